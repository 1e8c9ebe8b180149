"""Three processes, default timeouts: they become one cluster, in any order, and a write is everywhere."""

import itertools
import unittest

from harness import Cluster, wait_until


class Formation(unittest.TestCase):
    def test_one_cluster_within_five_seconds_in_any_order(self):
        for order in list(itertools.permutations(range(3)))[::2]:
            with self.subTest(order=order), Cluster(start=False) as cluster:
                for i in order:
                    cluster.nodes[i].start()
                cluster.wait_formed(deadline=5)
                view = cluster.nodes[0].status()
                self.assertEqual(view["quorum"]["voters"], 3)
                self.assertEqual(view["quorum"]["needed"], 2)

    def test_a_key_written_on_any_node_is_read_on_all(self):
        with Cluster() as cluster:
            for writer in cluster.nodes:
                key, value = "from." + writer.name, {"by": writer.name, "list": [1, None, "ä"]}
                answer = writer.put_config(key, value)
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json["key"], key)
                self.assertEqual(answer.json["value"], value)
                version = answer.json["version"]
                for reader in cluster.nodes:
                    self.assertEqual(reader.config_value(key, linearizable=True), value)
                    self.assertGreaterEqual(reader.status()["version"], version)
            cluster.wait_same_state()

    def test_roles_and_leader_are_alike_on_every_node(self):
        with Cluster() as cluster:
            leader = cluster.leader()
            for node in cluster.nodes:
                members = {m["id"]: m for m in node.get("/api/cluster/nodes")["nodes"]}
                self.assertEqual(set(members), {"node-1", "node-2", "node-3"})
                self.assertEqual([m["id"] for m in members.values() if m["role"] == "primary"],
                                 [leader.name])
                self.assertEqual(sorted(m["role"] for m in members.values()),
                                 ["primary", "secondary", "secondary"])

    def test_a_lone_node_is_a_cluster_and_remembers(self):
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            self.assertEqual(node.put_config("a", 1).status, 200)
            identity = node.status()["clusterId"]
            node.kill9()
            node.start()
            wait_until(lambda: node.config_value("a") == 1, 5, "the key is back")
            self.assertEqual(node.status()["clusterId"], identity)

    def test_a_fourth_node_joins_as_a_worker(self):
        with Cluster(count=4, start=False) as cluster:
            founders, late = cluster.nodes[:3], cluster.nodes[3]
            for node in founders:
                node.seeds = [s for s in node.seeds if not s.endswith(f":{late.cluster_port}")]
                node.start()
            cluster.wait_formed(size=3)
            late.start()
            cluster.wait_formed(size=4)
            wait_until(lambda: late.get("/api/cluster/nodes/node-4")["role"] == "worker", 10,
                       "the fourth is a worker")
            self.assertEqual(founders[0].status()["quorum"]["voters"], 3)
            self.assertEqual(late.put_config("by.worker", True).status, 200)

    def test_sigterm_ends_with_zero_and_the_node_comes_back(self):
        with Cluster() as cluster:
            leader = cluster.leader()
            self.assertEqual(leader.terminate(deadline=10), 0)
            cluster.write("after.goodbye", 1)
            leader.start()
            wait_until(lambda: leader.config_value("after.goodbye") == 1, 5, "it caught up")


if __name__ == "__main__":
    unittest.main(verbosity=2)
