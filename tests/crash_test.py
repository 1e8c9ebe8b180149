"""kill -9 on real processes: a new leader commits, the old one comes back as a member, and no
acknowledged write is lost."""

import collections
import contextlib
import http.client
import os
import random
import threading
import unittest
import uuid

from harness import Cluster, holds_for, wait_until
from numbered import NUMBERED, check_numbered, two_sides, wait_for_more

ROUNDS = int(os.environ.get("ROUNDS", "5"))
ROUNDS_PER_CLUSTER = 5


class Writers:
    """Writes new keys all the time, to any node that is alive, and remembers the acknowledged
    ones."""

    def __init__(self, cluster, count=4):
        self.cluster, self.done, self.go = cluster, threading.Event(), threading.Event()
        self.go.set()
        self.acknowledged, self.lock = {}, threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True)
                        for i in range(count)]

    def work(self, number):
        dice, i = random.Random(number), 0
        while not self.done.is_set():
            self.go.wait()
            node = dice.choice(self.cluster.nodes)
            key, value, i = f"load.{number}.{i}", dice.randrange(1 << 40), i + 1
            try:
                answer = node.put_config(key, value, timeout=2.0,
                                         headers={"Idempotency-Key": str(uuid.uuid4())})
            except OSError:
                self.done.wait(0.02)
                continue
            except http.client.HTTPException:  # The answer was cut in the middle.
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

    def wait_for_more(self, what, writes=50):
        before = self.count()
        wait_until(lambda: self.count() > before + writes, 30, what)

    @contextlib.contextmanager
    def paused(self):
        self.go.clear()
        try:
            yield
        finally:
            self.go.set()


def wait_equal_hashes(cluster, deadline=20):
    """Waits until all nodes were seen at one version, not always at the same time: a running flow
    makes new versions all the time. At equal versions, the nodes must show equal hashes."""
    seen = collections.defaultdict(dict)

    def all_at_one():
        for node in cluster.nodes:
            view = node.status()
            at = seen[view["version"]]
            at[node.name] = view["stateHash"]
            if len(set(at.values())) > 1:
                raise AssertionError(f"other states at version {view['version']}: {at}")
        return any(len(at) == len(cluster.nodes) for at in seen.values())
    wait_until(all_at_one, deadline, "all nodes seen at one version", every=0.005)


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
    def test_a_killed_leader_is_replaced_with_its_work_and_comes_back_as_a_member(self):
        with Cluster() as cluster:
            cluster.wait_healthy()
            cluster.write("before", 1)
            cluster.put_flow("own", "processors: [{name: own, type: GenerateFlowFile}]")
            cluster.wait_running("own")
            old = cluster.leader()
            term, epoch = old.status()["term"], cluster.move("own", old)["epoch"]
            old.kill9()
            node, _ = cluster.write("after", 2, deadline=15)
            new = cluster.leader()
            self.assertNotEqual(new.name, old.name)
            self.assertGreater(new.status()["term"], term)
            self.assertEqual(node.config_value("before", linearizable=True), 1)

            def runs_elsewhere():
                own = cluster.assignment("own", new)
                return own["state"] == "running" and own["nodeId"] != old.name and own["epoch"] > epoch
            wait_until(runs_elsewhere, 20, "the dead leader's processor runs under a newer epoch")
            wait_until(lambda: any(old.name in warning for warning in new.status()["warnings"]), 10,
                       "the status names the node whose queues are out of reach")
            old.start()

            # It is a member again when it has the writes that it missed, and counts for the quorum.
            # It is healthy only later, after two good checks in a row, a third of T apart.
            wait_until(lambda: old.config_value("after") == 2
                       and new.status()["quorum"]["reachable"] == 3, 5,
                       "the old leader is a member again")
            holds_for(runs_elsewhere, 1, "its work stays where it is")
            cluster.wait_healthy()
            wait_equal_hashes(cluster)

    def test_any_node_killed_at_any_time_loses_nothing_acknowledged(self):
        seed = int(os.environ.get("SEED", "1"))
        for first in range(0, ROUNDS, ROUNDS_PER_CLUSTER):
            with self.subTest(first=first, seed=seed), Cluster(start=False) as cluster:
                dice = random.Random(f"{seed}.{first}")
                self.kill_in_rounds(cluster, dice, min(ROUNDS_PER_CLUSTER, ROUNDS - first))

    def kill_in_rounds(self, cluster, dice, rounds):
        out = os.path.join(cluster.directory, "out")
        os.mkdir(out)
        two_sides(cluster, cluster.directory)
        cluster.put_flow("numbered", NUMBERED.format(directory=out, count=0))
        cluster.wait_running("source", "sink")
        with Writers(cluster) as writers:
            for _ in range(rounds):
                writers.wait_for_more("writes go on", dice.randrange(1, 100))
                victim = dice.choice(cluster.nodes)
                victim.kill9()
                writers.wait_for_more("writes go on with two", dice.randrange(1, 100))
                victim.start()
                # Sometimes a node is killed while the victim comes back: the victim itself, or
                # another one, so that for a moment only one of three may be left.
                again = dice.choice(cluster.nodes) if dice.random() < 0.4 else None
                if again is not None:
                    wait_until(lambda: dice.random() < 0.1, 5, "some moment of its recovery")
                    again.kill9()
                    again.start()
                cluster.wait_formed(deadline=20)
                with writers.paused():
                    wait_equal_hashes(cluster)
        # A node that has just come back gets no work before it is healthy, so this may take long.
        wait_for_more(out, deadline=60)
        check_numbered(self, out)
        cluster.nodes[2].api("DELETE", "/api/cluster/flows/numbered")
        acknowledged = writers.acknowledged
        self.assertGreater(len(acknowledged), 100 * rounds)
        cluster.wait_same_state(deadline=20)
        for node in cluster.nodes:
            stored = all_config(node)
            missing = [k for k, v in acknowledged.items() if stored.get(k) != v]
            self.assertEqual(missing, [], f"{len(missing)} acknowledged writes gone on {node.name}")

    def test_who_was_judged_without_a_quorum_is_healthy_again(self):
        """The next leader commits the verdicts that the last one made and could not commit."""
        with Cluster() as cluster:
            cluster.wait_healthy()
            leader = cluster.leader()
            rest = cluster.others(leader)
            for node in rest:
                node.kill9()
            wait_until(lambda: leader.status()["status"] == "no_quorum", 10, "the leader is alone")
            holds_for(lambda: leader.status()["status"] == "no_quorum", 4,
                      "the leader stays alone and judges the others")
            for node in rest:
                node.start()
            cluster.wait_healthy(deadline=40)

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
