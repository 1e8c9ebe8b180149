"""A cluster of one version uses all features of that version, and says so."""

import os
import unittest

from harness import Cluster, wait_until


def features(node):
    return node.status()["features"]


class Features(unittest.TestCase):
    def test_a_new_cluster_uses_all_features_and_keeps_older_programs_out(self):
        with Cluster() as cluster:
            for node in cluster.nodes:
                wait_until(lambda at=node: features(at)["active"] == ["feature_gates"], 15,
                           "the features are active")
            node = cluster.nodes[1]
            node.kill9()
            node.start()
            wait_until(lambda: features(node)["active"] == ["feature_gates"], 15, "they stay so")
            cluster.wait_same_state()
            for node in cluster.nodes:
                with open(os.path.join(node.data_dir, "format"), encoding="ascii") as file:
                    self.assertEqual(file.read(), "databridge data format 2\n")


if __name__ == "__main__":
    unittest.main()
