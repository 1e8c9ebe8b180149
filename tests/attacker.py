"""A program that attacks both ports of nodes from one core, as fast as it can, for tests and benches:

    python3 tests/attacker.py --seconds 60 --core 0 --target HOST:CLUSTER-PORT:API-PORT … [--plain]

It sends random bytes, frames with wrong lengths and checksums, greetings that end in the middle,
handshakes that are begun and dropped, damaged handshakes, handshakes without a certificate, plain
HTTP to ports with TLS, malformed and oversized requests, and wrong tokens. With --spin it only burns
its core. At the end it prints what it has sent, as JSON. All bytes are made before it begins, so that
each attack costs it little.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import time

from copies_test import frame, greeting, raft_heartbeat

KEPT = 200     # Connections that stay open; the oldest is closed for each new one.
SESSIONS = 16  # Connections over TLS that are in use at once.


def first_words_of_tls():
    """The ClientHello of a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


def damaged(data, chance):
    """The same bytes with some of them changed, behind the head of the record."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 8)):
        data[chance.randrange(5, len(data))] = chance.randrange(256)
    return bytes(data)


def frames(chance):
    """(name, bytes) for the cluster port."""
    hello = frame(1, greeting(77, b""))
    wrong = bytearray(hello)
    wrong[12] ^= 1
    newer = bytearray(hello)
    newer[4] += 1
    return [
        ("random bytes", chance.randbytes(chance.randrange(1, 4096))),
        ("frame, length of 4 GB", b"DBCF\x01\x01\0\0" + struct.pack("<II", 0xffffffff, 0) + b"x" * 100),
        ("frame, length of 64 MiB", b"DBCF\x01\x02\0\0" + struct.pack("<II", 64 << 20, 0) + b"x" * 4000),
        ("frame, wrong checksum", bytes(wrong)),
        ("frame, newer version", bytes(newer)),
        ("frame, unknown kind", frame(99, b"x" * 50)),
        ("greeting, cut off", hello[:chance.randrange(1, len(hello))]),
        ("greeting of nobody", hello + raft_heartbeat(77, chance.getrandbits(63), 1 << 40)),
        ("message before the greeting", raft_heartbeat(77, chance.getrandbits(63), 1 << 40)),
        ("greeting of rubbish", frame(1, chance.randbytes(200))),
    ]


def handshakes(chance):
    """(name, bytes) for ports that speak TLS."""
    hello = first_words_of_tls()
    return [
        ("half a handshake", hello),
        ("half a handshake", hello),
        ("half a ClientHello", hello[:chance.randrange(6, len(hello))]),
        ("damaged ClientHello", damaged(hello, chance)),
        ("handshake, then rubbish", hello + b"\x17\x03\x03\x01\x00" + chance.randbytes(256)),
        ("ClientHello of 16 KB", b"\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03\x03" + chance.randbytes(16000)),
        ("silence", b""),
    ]


def wrong_token(chance):
    return (b"GET /api/cluster/nodes HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer dbt_%012x_%064x\r\n\r\n" % (chance.getrandbits(48), chance.getrandbits(256)))


def requests(chance):
    """(name, bytes) for a port that speaks HTTP."""
    put = b"PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return [
        ("wrong token", wrong_token(chance)),
        ("wrong tokens, a row of them", b"".join(wrong_token(chance) for _ in range(50))),
        ("no HTTP", chance.randbytes(300)),
        ("newer HTTP", b"GET / HTTP/9.9\r\n\r\n"),
        ("path of 100 KB", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("20,000 fields", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20000 + b"\r\n"),
        ("field of 70 KB", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70000 + b"\r\n\r\n"),
        ("negative length", put + b"Content-Length: -5\r\n\r\n"),
        ("two lengths", put + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}"),
        ("broken chunks", put + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("body of 8 MiB that does not come", put + b"Content-Length: 8388608\r\n\r\n" + b"[" * 1000),
        ("broken JSON", put + b"Content-Length: 1000\r\n\r\n" + b"[" * 1000),
        ("foreign host", b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        ("unknown method", b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ]


class Attacker:
    def __init__(self, targets, plain, sources):
        self.sent, self.missed = collections.Counter(), 0
        self.sources = sources
        self.open = collections.deque()
        self.sessions = collections.deque()
        self.contexts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.contexts.check_hostname, self.contexts.verify_mode = False, ssl.CERT_NONE
        chance = random.Random(1)
        self.quick, self.secret = [], []
        for host, cluster, api in targets:
            for _ in range(4):  # Different bytes of each kind.
                shakes = [] if plain else handshakes(chance)
                to_cluster, to_api = frames(chance) + shakes, requests(chance) + shakes
                self.quick += [("cluster port: " + name, (host, cluster), data)
                               for name, data in to_cluster + requests(chance)[2:5]]
                self.quick += [("API: " + name, (host, api), data) for name, data in to_api]
                if not plain:
                    self.secret += [("API, by TLS: " + name, (host, api), data)
                                    for name, data in requests(chance)]
                    self.secret += [("cluster port, by TLS: " + name, (host, cluster), data)
                                    for name, data in frames(chance)]
        chance.shuffle(self.quick)
        chance.shuffle(self.secret)

    def connect(self, address):
        link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Most connections leave nothing behind when they are closed, or the ports would be used up.
        if random.random() < 7 / 8:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.setblocking(False)
        if self.sources > 1:
            number = random.randrange(self.sources)
            link.bind((f"127.1.{number >> 8}.{number & 255}", 0))
        with contextlib.suppress(BlockingIOError):
            link.connect(address)
        self.open.append(link)
        if len(self.open) > KEPT:
            self.open.popleft().close()
        return link

    def throw(self, name, address, data):
        """Connects, sends, and does not wait for an answer."""
        try:
            self.connect(address).send(data)
            self.sent[name] += 1
        except OSError:
            self.missed += 1

    def step(self, session):
        """Goes on with a connection over TLS, as far as it goes without waiting. Returns whether it
        is needed any more."""
        name, link, data, until = session
        try:
            link.do_handshake()  # Nothing happens if it was done.
            if data:
                link.send(data)
                self.sent[name] += 1
                session[2] = b""
            return bool(link.recv(65536))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return time.monotonic() < until
        except (OSError, ValueError):
            if session[2]:
                self.missed += 1
            return False

    def run(self, seconds):
        began = time.monotonic()
        turn = 0
        while time.monotonic() - began < seconds:
            for _ in range(8):
                self.throw(*self.quick[turn % len(self.quick)])
                turn += 1
            if not self.secret:
                continue
            if len(self.sessions) < SESSIONS:
                name, address, data = self.secret[turn // 8 % len(self.secret)]
                with contextlib.suppress(OSError):
                    link = self.contexts.wrap_socket(self.connect(address), do_handshake_on_connect=False)
                    self.sessions.append([name, link, data, time.monotonic() + 1])
            if self.sessions:
                session = self.sessions.popleft()
                if self.step(session):
                    self.sessions.append(session)
                else:
                    session[1].close()
        return time.monotonic() - began


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(100000):
            pass


@contextlib.contextmanager
def attack(seconds, core, cluster, first=None, plain=False, spinning=False, sources=1):
    """Runs this program beside the caller. Three of five attacks go to the node `first`. Gives a
    function that waits for its end and returns what it has sent."""
    order = [node for other in cluster.others(first) for node in (first, other)] + [first]
    command = [sys.executable, os.path.abspath(__file__), "--seconds", str(seconds), "--core", str(core),
               "--sources", str(sources)]
    for node in order:
        command += ["--target", f"{node.bind}:{node.cluster_port}:{node.api_port}"]
    command += ["--plain"] * plain + ["--spin"] * spinning
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def result():
        return json.loads(process.communicate(timeout=seconds + 30)[0])
    with process:
        try:
            yield result
        finally:
            process.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--plain", action="store_true", help="the ports speak no TLS")
    parser.add_argument("--spin", action="store_true", help="attack nobody, burn the core")
    parser.add_argument("--sources", type=int, default=1, help="from so many addresses of loopback")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {chosen.core})
    if chosen.spin:
        spin(chosen.seconds)
        json.dump({"seconds": chosen.seconds, "sent": {}, "missed": 0}, sys.stdout)
        return
    targets = [(host, int(cluster), int(api))
               for host, cluster, api in (target.split(":") for target in chosen.target)]
    attacker = Attacker(targets, chosen.plain, chosen.sources)
    took = attacker.run(chosen.seconds)
    json.dump({"seconds": took, "sent": attacker.sent, "missed": attacker.missed,
               "cpu": time.process_time()}, sys.stdout)


if __name__ == "__main__":
    main()
