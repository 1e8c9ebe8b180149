"""A flood of malformed frames, handshakes and requests on both ports of all nodes, from one core.
bench/run.py --only flood measures for a minute what it costs; here nothing may break."""

import contextlib
import http.client
import json
import os
import re
import threading
import unittest

from attacker import attack
from certificates import secure_all
from harness import CONFIG, Cluster, wait_until

SECONDS = 10
MEMORY = 150 << 10  # KB
LOG_LINES = 100  # Of one node in these seconds: what one address does is said once a minute.


class Writer(threading.Thread):
    """Writes the same keys again and again through one node, over a connection that stays open, and
    keeps what was acknowledged."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.acknowledged, self.failed = node, {}, []
        self.stop = threading.Event()

    def connect(self):
        if hasattr(self.node, "connect"):
            return self.node.connect(timeout=20)
        return http.client.HTTPConnection("127.0.0.1", self.node.api_port, timeout=20)

    def run(self):
        token = getattr(self.node, "token", None)
        headers = {"Content-Type": "application/json",
                   **({"Authorization": f"Bearer {token}"} if token else {})}
        number = 0
        with contextlib.closing(self.connect()) as connection:
            while not self.stop.is_set():
                number += 1
                key = f"w.{number % 500}"
                try:
                    connection.request("PUT", CONFIG + key, json.dumps({"value": number}), headers)
                    answer = connection.getresponse()
                    body = answer.read()
                    if answer.status == 200:
                        self.acknowledged[key] = number
                    else:
                        self.failed.append(body)
                except (OSError, http.client.HTTPException) as problem:
                    self.failed.append(problem)
                    connection.close()


def items(node):
    return {item["key"]: item["value"] for item in node.get(CONFIG[:-1] + "?limit=10000")["config"]}


class Flood(unittest.TestCase):
    def flooded(self, cluster, plain):
        """Attacks, and checks that nothing breaks. Returns what was sent."""
        cluster.wait_healthy()
        leader = cluster.leader()
        term, sizes = leader.status()["term"], [node.log_size() for node in cluster.nodes]
        writer = Writer(leader)
        writer.start()
        with attack(SECONDS, os.cpu_count() - 1, cluster, leader, plain=plain) as result:
            wait_until(lambda: len(writer.acknowledged) >= 20, SECONDS, "writes go on during the flood")
            # A new client gets in, too.
            wait_until(lambda: leader.put_config("new.client", 1).status == 200, SECONDS, "a new client")
            told = result()
        writer.stop.set()
        writer.join(30)
        self.assertEqual(writer.failed, [])
        for node, size in zip(cluster.nodes, sizes):
            self.assertTrue(node.alive, node.log_tail())
            status = node.status()
            self.assertEqual((status["leader"], status["term"]), (leader.name, term), node.log_tail())
            self.assertEqual(status["totalNodes"], 3)
            self.assertLess(node.resident_kb("VmHWM"), MEMORY)
            self.assertLess(node.log_since(size).count("\n"), LOG_LINES, node.log_tail(200))
            # Each acknowledged write is there.
            wait_until(lambda node=node: writer.acknowledged.items() <= items(node).items(), 10,
                       "all that was acknowledged")
        cluster.wait_healthy()
        self.assertGreater(sum(told["sent"].values()), 100 * SECONDS, told)
        return told["sent"]

    def assert_reasons(self, said):
        # Which reasons come before the limit of reasons is a matter of chance.
        reasons = set(re.findall(r"connection from 127\.0\.0\.1(?::\d+)? cut: (.*)", said))
        self.assertGreaterEqual(len(reasons), 3, said)

    def test_ports_with_tls_and_tokens(self):
        with Cluster(start=False) as cluster:
            secure_all(cluster)
            cluster.start()
            sent = self.flooded(cluster, plain=False)
            for kind in ("cluster port: half a handshake", "API: half a handshake",
                         "API, by TLS: ", "cluster port, by TLS: "):
                self.assertTrue(any(name.startswith(kind) for name in sent), sent)
            for node in cluster.nodes:
                said = node.log_tail(100000)
                self.assertIn("a TLS handshake with 127.0.0.1 has failed: ", said)
                self.assert_reasons(said)

    def test_ports_without_tls(self):
        with Cluster() as cluster:
            sent = self.flooded(cluster, plain=True)
            self.assertGreater(sent.get("API: broken chunks", 0), 0, sent)
            for node in cluster.nodes:
                self.assert_reasons(node.log_tail(100000))


if __name__ == "__main__":
    unittest.main(verbosity=2)
