"""kill -9 on real processes: a new leader commits, the old one comes back, nothing acknowledged is lost."""

import os
import random
import threading
import unittest
import uuid

from harness import Cluster, wait_until

ROUNDS = int(os.environ.get("ROUNDS", "5"))


class Writers:
    """Keeps writing new keys to whoever lives, and remembers what was acknowledged."""

    def __init__(self, cluster, count=4):
        self.cluster, self.done = cluster, threading.Event()
        self.acknowledged, self.lock = {}, threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True)
                        for i in range(count)]

    def work(self, number):
        dice, i = random.Random(number), 0
        while not self.done.is_set():
            node = dice.choice(self.cluster.nodes)
            key, value, i = f"load.{number}.{i}", dice.randrange(1 << 40), i + 1
            try:
                answer = node.put_config(key, value, timeout=2.0,
                                         headers={"Idempotency-Key": str(uuid.uuid4())})
            except OSError:
                self.done.wait(0.02)
                continue
            except Exception:  # A connection that was cut in the middle of an answer.
                continue
            if answer.status == 200:
                with self.lock:
                    self.acknowledged[key] = value

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def count(self):
        with self.lock:
            return len(self.acknowledged)


def all_config(node):
    found, after = {}, ""
    while True:
        page = node.get(f"/api/cluster/config?limit=1000&after={after}")
        items = page.get("config") or page.get("items") or []
        found.update({item["key"]: item["value"] for item in items})
        if len(items) < 1000:
            return found
        after = items[-1]["key"]


class Crash(unittest.TestCase):
    def test_a_killed_leader_is_replaced_and_comes_back_as_a_member(self):
        with Cluster() as cluster:
            cluster.write("before", 1)
            old = cluster.leader()
            term = old.status()["term"]
            old.kill9()
            node, _ = cluster.write("after", 2, deadline=15)
            new = cluster.leader()
            self.assertNotEqual(new.name, old.name)
            self.assertGreater(new.status()["term"], term)
            self.assertEqual(node.config_value("before", linearizable=True), 1)
            old.start()

            # Back as a member: it has what it missed, and counts for the quorum again. Healthy it is
            # called after two good checks in a row, a third of T apart.
            wait_until(lambda: old.config_value("after") == 2
                       and new.status()["quorum"]["reachable"] == 3, 5, "back as a member")
            cluster.wait_healthy()
            cluster.wait_same_state()

    def test_any_node_killed_at_any_time_loses_nothing_acknowledged(self):
        dice = random.Random(int(os.environ.get("SEED", "1")))
        with Cluster() as cluster:
            with Writers(cluster) as writers:
                for _ in range(ROUNDS):
                    before = writers.count()
                    wait_until(lambda: writers.count() > before + 50, 30, "writes go on")
                    victim = dice.choice(cluster.nodes)
                    victim.kill9()
                    before = writers.count()
                    wait_until(lambda: writers.count() > before + 50, 30, "writes go on with two")
                    victim.start()
                    cluster.wait_formed(deadline=20)
            acknowledged = writers.acknowledged
            self.assertGreater(len(acknowledged), 100 * ROUNDS)
            cluster.wait_same_state(deadline=20)
            for node in cluster.nodes:
                stored = all_config(node)
                missing = [k for k, v in acknowledged.items() if stored.get(k) != v]
                self.assertEqual(missing, [], f"{len(missing)} acknowledged writes gone on {node.name}")

    def test_all_killed_at_once_come_back_with_everything(self):
        with Cluster() as cluster:
            for i in range(50):
                cluster.write(f"k{i}", i)
            identity = cluster.nodes[0].status()["clusterId"]
            for node in cluster.nodes:
                node.kill9()
            for node in cluster.nodes:
                node.start()
            cluster.wait_formed()
            cluster.write("again", True)
            for node in cluster.nodes:
                self.assertEqual(node.status()["clusterId"], identity)
                self.assertEqual(node.config_value("k49", linearizable=True), 49)


if __name__ == "__main__":
    unittest.main(verbosity=2)
