"""A node that comes later joins the cluster that is there."""

import unittest

from harness import Cluster, wait_until


class Join(unittest.TestCase):
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
