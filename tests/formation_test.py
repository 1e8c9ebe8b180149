"""Three processes with default timeouts become one cluster, whatever their order, and all nodes
have each write."""

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
                for node in cluster.nodes:
                    wait_until(lambda at=node: at.status()["quorum"]["voters"] == 3, 5,
                               "three voters, as every node knows")
                    self.assertEqual(node.status()["quorum"]["needed"], 2)

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
            expected = {n.name: "primary" if n is leader else "secondary" for n in cluster.nodes}
            for node in cluster.nodes:
                def roles(at=node):
                    listed = at.get("/api/cluster/nodes")["nodes"]
                    return {m["id"]: m["role"] for m in listed} == expected
                wait_until(roles, 5, f"{expected} as seen by {node.name}")

    def test_a_lone_node_is_a_cluster_and_remembers(self):
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            self.assertEqual(node.put_config("a", 1).status, 200)
            identity = node.status()["clusterId"]
            node.kill9()
            node.start()
            wait_until(lambda: node.config_value("a") == 1, 5, "the key is back")
            self.assertEqual(node.status()["clusterId"], identity)

    def test_sigterm_ends_with_zero_and_the_node_comes_back(self):
        with Cluster() as cluster:
            leader = cluster.leader()
            self.assertEqual(leader.terminate(deadline=10), 0)
            cluster.write("after.goodbye", 1)
            leader.start()
            wait_until(lambda: leader.config_value("after.goodbye") == 1, 5,
                       "the node has caught up")


if __name__ == "__main__":
    unittest.main(verbosity=2)
