"""Tests how the set of voters follows the members, and the commands join, leave and remove."""

import re
import subprocess
import unittest

from harness import CLEAN, CONTROL, Cluster, wait_until


def control(node, *words):
    return subprocess.run([CONTROL, "--api", f"http://127.0.0.1:{node.api_port}", *words],
                          capture_output=True, text=True, timeout=60, env=CLEAN)


def voters(node):
    return {n["id"] for n in node.get("/api/cluster/nodes")["nodes"] if n["role"] != "worker"}


def founded(cluster, labels=(), flags=()):
    """Starts the first three as founders. The fourth knows them as seeds."""
    founders = cluster.nodes[:3]
    addresses = [f"127.0.0.1:{node.cluster_port}" for node in founders]
    for node, label in zip(cluster.nodes, labels or [""] * 4):
        node.seeds = addresses
        node.flags = [*node.flags, *flags] + ([f"--cluster-labels=zone={label}"] if label else [])
    for node in founders:
        node.start()
    cluster.wait_formed(size=3)
    return founders


class Member(unittest.TestCase):
    def test_nodes_join_and_leave_by_command(self):
        with Cluster(start=False) as cluster:
            for node in cluster.nodes:
                node.seeds = []
                node.start()
            first, second, third = cluster.nodes
            for node in cluster.nodes:
                wait_until(lambda: node.status()["leader"], 20, node.name + " leads a cluster alone")
            for node in (second, third):
                joined = control(node, "join", f"127.0.0.1:{first.cluster_port}")
                self.assertEqual(joined.returncode, 0, joined)
                self.assertRegex(joined.stdout, f"(?m)^node +{node.name}$")
            # A newcomer votes only once it has been steady for ten seconds.
            self.assertEqual(voters(first), {first.name})
            wait_until(lambda: len(voters(first)) == 3, 40, "all three vote")

            left = control(third, "leave", "--wait")
            self.assertEqual(left.returncode, 0, left)
            wait_until(lambda: first.status()["totalNodes"] == 2, 20, "the third has left")
            self.assertIn("node-3 has left", left.stdout)
            self.assertIn("empty data directory", third.log_tail())

    def test_the_last_votes_are_not_removed(self):
        with Cluster() as cluster:
            cluster.wait_healthy()
            leader = cluster.leader()
            gone, kept = cluster.others(leader)
            gone.kill9()
            refused = control(leader, "remove", kept.name)
            self.assertEqual(refused.returncode, 1, refused)
            self.assertRegex(refused.stderr, re.escape(kept.name))
            self.assertRegex(refused.stderr, "quorum|vote")
            done = control(leader, "remove", "--force", "--wait", gone.name)
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(leader.status()["totalNodes"], 2)

    def test_a_dead_voter_is_replaced_and_voters_are_spread_over_zones(self):
        with Cluster(count=4, start=False) as cluster:
            founders = founded(cluster, labels=["a", "a", "a", "b"])
            late = cluster.nodes[3].start()
            cluster.wait_formed(size=4)
            wait_until(lambda: late.name in voters(founders[0]), 40, "the other zone has a vote")
            wait_until(lambda: len(voters(founders[0])) == 3, 20, "three votes in two zones")
            worker = next(node for node in founders if node.name not in voters(node))
            dead = next(node for node in founders
                        if node is not worker and node is not cluster.leader())
            dead.kill9()
            wait_until(lambda: voters(worker) == {node.name for node in cluster.others(dead)}, 60,
                       "the worker votes in place of the dead one")


if __name__ == "__main__":
    unittest.main(verbosity=2)
