"""Mutual TLS between nodes, the join token, and impostors on the cluster port."""

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from certificates import certs, flags_of, secure, sign
from copies_test import frame, greeting
from guardian_test import child_of
from harness import BUILD, CLEAN, ROOT, Cluster, NetworkedCluster, Node, free_ports, wait_until

FINGER = r"([0-9A-F]{2}:){31}[0-9A-F]{2}"


def shake_hands(port, pair=None, then=b""):
    """Does the handshake as a client does that does not check the server, says `then`, and returns
    what comes back, or the error of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pair:
        context.load_cert_chain(pair + ".crt", pair + ".key")
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        try:
            with context.wrap_socket(raw) as tls:  # Under TLS 1.3 this succeeds for anybody.
                tls.sendall(then)
                while more := tls.recv(4096):
                    heard += more
        except (ssl.SSLError, ConnectionError) as problem:
            return f"{heard!r} {problem}"
    return repr(heard)


class Links(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(start=False)
        cls.certs = secure(cls.cluster)
        cls.cluster.__enter__()
        cls.cluster.start()
        cls.cluster.wait_healthy()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    def log(self, node):
        with open(node.log_path, errors="replace") as log:
            return log.read()

    def wait_noted(self, node, words):
        wait_until(lambda: words in self.log(node), 10, f"{node.name} notes: {words}")

    def test_1_impostors_are_refused_and_noted(self):
        node = self.cluster.nodes[0]
        port = node.cluster_port
        foreign = os.path.join(self.cluster.directory, "foreign")
        certs(foreign, "create-ca")
        certs(foreign, "create-node", "node-2")
        certs(self.certs, "create-client", "ann")
        sign(self.certs, "late", 0)
        hello = frame(1, greeting(77, b""))
        for what, pair, then, heard, noted in (
                ("no certificate", None, hello, "certificate required", "it showed no certificate"),
                ("expired", self.certs + "/late", hello, "certificate expired",
                 "its certificate has expired"),
                ("foreign authority", foreign + "/node-2", hello, "unknown ca",
                 "its certificate is of another authority"),
                ("wrong name", self.certs + "/node-3", hello,
                 "calls itself x and shows the certificate of node node-3",
                 "calls itself x and shows the certificate of node node-3"),
                ("a client of the API", self.certs + "/ann", hello, "only nodes may connect here",
                 "this is the certificate of ann, a client of the API")):
            with self.subTest(what):
                self.assertIn(heard, shake_hands(port, pair, then))
                self.wait_noted(node, noted)
        self.cluster.write("after.impostors", 1)

    def test_2_a_node_of_another_authority_or_without_tls_is_told_so(self):
        node = self.cluster.nodes[0]
        foreign = os.path.join(self.cluster.directory, "other")
        certs(foreign, "create-ca")
        certs(foreign, "create-node", "node-9")
        for what, flags, told in (("foreign", flags_of(foreign, "node-9"), "another authority"),
                                  ("plain", [], "give the three files --cluster-tls-ca")):
            with self.subTest(what):
                port, api = free_ports(2)
                stranger = Node("node-9", os.path.join(self.cluster.directory, "at-" + what), port, api,
                                [f"127.0.0.1:{node.cluster_port}"], flags=flags)
                os.mkdir(os.path.dirname(stranger.data_dir))
                stranger.start()
                try:
                    wait_until(lambda: told in stranger.log_tail(), 10, "it says why")
                    lines = [line for line in stranger.log_tail().splitlines() if told in line]
                    self.assertIn(f"127.0.0.1:{node.cluster_port}", lines[0])
                    self.assertEqual(len(lines), 1, "once")
                finally:
                    stranger.kill9()
        self.assertEqual(node.status()["totalNodes"], 3)

    def test_3_certificates_change_while_writes_go_on(self):
        nodes, stop, failed = self.cluster.nodes, threading.Event(), []

        def write():
            count = 0
            while not stop.is_set():
                count += 1
                answer = nodes[0].put_config("busy", count)
                if answer.status != 200:
                    failed.append(answer)

        before = [node.log_size() for node in nodes]
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for node in nodes:
                certs(self.certs, "create-node", node.name, "--replace", "--days", "10")
                node.signal(signal.SIGHUP)
                wait_until(lambda: "new links use the certificate" in node.log_tail(), 10, "reload")
            with open(f"{self.certs}/node-1.crt", "w") as broken:
                broken.write("no certificate")
            nodes[0].signal(signal.SIGHUP)
            wait_until(lambda: "what was read before stays in force" in nodes[0].log_tail(), 10,
                       "a broken file is said")
        finally:
            stop.set()
            writer.join()
        self.assertEqual(failed, [])
        for node, size in zip(nodes, before):
            self.assertNotIn(" ended: ", node.log_since(size), "no link has ended")
            warned = [w for w in node.status()["warnings"] if "certificate" in w]
            self.assertRegex(warned[0], r"ends on \d{4}-\d\d-\d\d, in (9|10) days")
            self.assertEqual(node.log_since(size).count("put a new one in its place"), 1, "once")
            metrics = node.api("GET", "/metrics").body.decode()
            at = re.search(r'\ndatabridge_certificate_expiry_timestamp_seconds{port="cluster"} (\d+)',
                           metrics)
            self.assertAlmostEqual(int(at[1]), time.time() + 10 * 86400, delta=600)
        # The old files of node-1 still count: a node that starts again finds it.
        nodes[1].terminate()
        nodes[1].start()
        self.cluster.wait_healthy()
        certs(self.certs, "create-node", "node-1", "--replace")
        nodes[0].signal(signal.SIGHUP)
        wait_until(lambda: not [w for w in nodes[0].status()["warnings"] if "certificate" in w], 10,
                   "no warning any more")

    def test_4_the_leader_is_killed(self):
        leader = self.cluster.leader()
        leader.kill9()
        others = self.cluster.others(leader)
        self.cluster.write("after.kill", 1, nodes=others)
        leader.start()
        wait_until(lambda: leader.config_value("after.kill") == 1, 10, "it is a member again")
        self.cluster.wait_healthy()


class Start(unittest.TestCase):
    """One node: its name, and files that do not fit."""

    def setUp(self):
        self.cluster = Cluster(count=1, start=False)
        self.addCleanup(self.cluster.__exit__, None, None, None)
        self.node = self.cluster.nodes[0]
        self.certs = os.path.join(self.cluster.directory, "certs")
        certs(self.certs, "create-ca")
        for name in ("a", "b"):
            self.assertIn("grants membership", certs(self.certs, "create-node", name))
        self.node.name = ""  # No --cluster-node-id, but its empty default.

    def refused(self, *flags):
        self.node.flags = list(flags)
        before = self.node.log_size() if os.path.exists(self.node.log_path) else 0
        self.node.start()
        self.assertEqual(self.node.process.wait(timeout=10), 2)
        return self.node.log_since(before)

    def test_the_certificate_names_the_node(self):
        self.node.flags = flags_of(self.certs, "a")
        self.node.start()
        wait_until(lambda: self.node.status()["nodeId"] == "a", 10, "the node is called a")
        self.assertEqual(self.node.terminate(), 0)
        self.assertIn("the data directory is of node a, and", self.refused(*flags_of(self.certs, "b")))
        self.node.name = "a"
        self.assertIn("this node is called a, and", self.refused(*flags_of(self.certs, "b")))

    def test_files_that_do_not_fit(self):
        token = os.path.join(self.cluster.directory, "join.token")
        with open(token, "w") as file:
            file.write("0123456789abcdef")
        os.chmod(token, 0o644)
        self.assertIn("chmod 600 " + token, self.refused(f"--cluster-join-token-file={token}"))
        os.chmod(f"{self.certs}/a.key", 0o640 if os.getuid() else 0o644)
        self.assertIn("chmod 600", self.refused(*flags_of(self.certs, "a")))
        sign(self.certs, "late", 0)
        self.assertIn("has expired", self.refused(*flags_of(self.certs, "late")))
        self.assertIn("has expired", self.refused("--check-config", *flags_of(self.certs, "late")))
        certs(self.certs, "create-client", "ann")
        self.assertIn("cannot be used with", self.refused(*flags_of(self.certs, "ann")))

    def test_the_list_tells_names_ends_and_fingerprints(self):
        listed = certs(self.certs, "list")
        self.assertRegex(listed, rf"(?m)^a +node +\d{{4}}-\d\d-\d\d +365 +localhost,127.0.0.1 +{FINGER}")
        self.assertEqual(os.stat(f"{self.certs}/a.key").st_mode & 0o777, 0o600)
        with self.assertRaises(subprocess.CalledProcessError):
            certs(self.certs, "create-node", "a")


class Manual(unittest.TestCase):
    def test_its_commands_work(self):
        with open(os.path.join(ROOT, "docs", "operating.md")) as page:
            section = page.read().split("\n## Certificates\n")[1].split("\n## ")[0]
        commands = re.search(r"```sh\n(.*?)```", section, re.S)[1]
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(["sh", "-e"], input=commands, cwd=directory, check=True,
                                  capture_output=True, text=True,
                                  env={**CLEAN, "PATH": BUILD + ":" + CLEAN["PATH"]})
            self.assertEqual(len(os.listdir(directory + "/certs")), 8)
        self.assertIn("10.0.1.2,db2.example,localhost,127.0.0.1", done.stdout)


class Recorder:
    """Stands between two nodes, and keeps what the dialler of its first connection says."""

    def __init__(self, port):
        self.to = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.said = b""
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                threading.Thread(target=self.carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self.carry, args=(far, near, False), daemon=True).start()

    def carry(self, come, go, keep):
        with contextlib.suppress(OSError):
            while piece := come.recv(65536):
                if keep:
                    self.said += piece
                go.sendall(piece)
        for end in (come, go):
            end.close()


class JoinToken(unittest.TestCase):
    def test_who_does_not_know_the_token_stays_outside(self):
        with Cluster(start=False) as cluster:
            token = os.path.join(cluster.directory, "join.token")
            secret = "3f7a0c5e9d1b4f60a2c4e6881357bd9f"
            with open(token, "w") as file:
                file.write(secret + "\n")
            os.chmod(token, 0o600)
            for node in cluster.nodes:
                node.flags.append(f"--cluster-join-token-file={token}")
            cluster.start()
            cluster.wait_healthy()
            node = cluster.nodes[0]
            recorder = Recorder(node.cluster_port)
            other = token + ".other"
            with open(other, "w") as file:
                file.write("another secret of 16 bytes and more")
            os.chmod(other, 0o600)
            for name, flags, told in (
                    ("none", [], "asks for one"),
                    ("other", [f"--cluster-join-token-file={other}"], "join token"),
                    ("right", [f"--cluster-join-token-file={token}"], None)):
                port, api = free_ports(2)
                guest = Node(name, cluster.directory, port, api, [f"127.0.0.1:{recorder.port}"],
                             flags=flags)
                recorder.said = b""
                guest.start()
                if told:
                    wait_until(lambda: told in guest.log_tail(), 10, "it is told why")
                    wait_until(lambda: f"node {name}" in node.log_tail(), 10, "it is noted")
                    self.assertEqual(node.status()["totalNodes"], 3)
                    guest.kill9()
                else:
                    cluster.nodes.append(guest)
                    wait_until(lambda: guest.status()["totalNodes"] == 4, 15, "it is a member")
            said = recorder.said
            self.assertIn(b"right", said)
            self.assertNotIn(secret.encode(), said)
            with socket.create_connection(("127.0.0.1", node.cluster_port), timeout=10) as replayed:
                replayed.sendall(said)
                heard = b""
                with contextlib.suppress(ConnectionError):
                    while piece := replayed.recv(4096):
                        heard += piece
            wait_until(lambda: "repeat those of another connection" in node.log_tail(), 10,
                       "the replay is noted")
            for each in cluster.nodes:
                self.assertNotIn(secret, each.log_tail(1000))
            recorder.listener.close()


class Proof(unittest.TestCase):
    def test_a_guardian_reports_over_tls(self):
        with NetworkedCluster(start=False, flags=["--guardian", "--cluster-heartbeat-timeout=20s",
                                                  "--cluster-election-timeout=60s"]) as cluster:
            secure(cluster)
            cluster.start()
            cluster.wait_healthy()
            leader = cluster.leader()
            victim = cluster.others(leader)[0]
            cluster.put_flow("guarded", """
processors:
  - {name: moves, type: GenerateFlowFile, properties: {interval: 100ms}}
""")
            cluster.wait_running("moves")
            cluster.move("moves", victim)
            owned = cluster.assignment("moves", leader)
            # The node cannot start again, so only its guardian is left to prove its death.
            os.rename(victim.data_dir, victim.data_dir + ".away")
            with open(victim.data_dir, "w") as in_the_way:
                in_the_way.write("no directory")
            os.kill(child_of(victim), signal.SIGKILL)
            moved = wait_until(
                lambda: next((a for a in [cluster.assignment("moves", leader)]
                              if a["epoch"] > owned["epoch"] and a["state"] == "running"), None),
                8, "the work runs elsewhere long before T")
            self.assertNotEqual(moved["nodeId"], victim.name)
            os.remove(victim.data_dir)
            os.rename(victim.data_dir + ".away", victim.data_dir)


if __name__ == "__main__":
    unittest.main(verbosity=2)
