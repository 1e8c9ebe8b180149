"""The time from a crash of the leader (kill -9), or from the moment when it stands still, until any
node accepts a write, as a client sees it."""

import concurrent.futures
import http.client
import json
import threading
import time
import uuid


class Prober(threading.Thread):
    """Writes to one node without pause from the start event on, until a write of any prober is
    accepted."""

    def __init__(self, port, start, accepted):
        super().__init__(daemon=True)
        self.port, self.start_event, self.accepted = port, start, accepted
        self.took = None
        self.ready = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.connect()
        self.ready.set()
        self.start_event.wait()
        while not self.accepted.is_set():
            body = json.dumps({"value": str(uuid.uuid4())})
            try:
                connection.request("PUT", f"/api/cluster/config/probe.{self.port}", body,
                                   {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.took = time.perf_counter()
                    self.accepted.set()
            except (OSError, http.client.HTTPException):
                connection.close()
        connection.close()


def one_failover(cluster):
    """The milliseconds from the kill to the first accepted write that was sent after it."""
    cluster.wait_formed()
    cluster.wait_healthy()
    leader = cluster.leader()
    cluster.write("settled", 1)
    start, accepted = threading.Event(), threading.Event()
    probers = [Prober(node.api_port, start, accepted) for node in cluster.others(leader)]
    for prober in probers:
        prober.start()
        prober.ready.wait()
    killed = time.perf_counter()
    leader.kill9()
    start.set()
    accepted.wait(60)
    for prober in probers:
        prober.join(15)
    times = [prober.took for prober in probers if prober.took]
    if not times:
        raise RuntimeError("no write was accepted within 60 s")
    leader.start()
    return (min(times) - killed) * 1000


def one_silence(cluster):
    """The milliseconds from the freeze of the leader to the first accepted write. A new attempt goes
    to each of the others every 10 ms, so that one which waits for the old leader delays nothing."""
    cluster.wait_healthy()
    leader = cluster.leader()
    accepted, times = threading.Event(), []

    def attempt(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("PUT", "/api/cluster/config/probe", json.dumps({"value": "x"}),
                               {"Content-Type": "application/json"})
            if connection.getresponse().status == 200:
                times.append(time.perf_counter())
                accepted.set()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
    others = cluster.others(leader)
    with concurrent.futures.ThreadPoolExecutor(256) as pool:
        frozen = time.perf_counter()
        leader.freeze()
        while not accepted.wait(0.01) and time.perf_counter() - frozen < 60:
            for node in others:
                pool.submit(attempt, node.api_port)
    leader.thaw()
    if not times:
        raise RuntimeError("no write was accepted within 60 s")
    return (min(times) - frozen) * 1000
