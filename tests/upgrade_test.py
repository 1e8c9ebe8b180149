"""A cluster of the earlier build is upgraded node by node, goes back by one version, and is upgraded
again, under writes. Once features are active, the earlier build stays outside and harms nobody.

It builds the earlier daemon first, which takes minutes, so `make upgrade` runs it and `make test` does
not."""

import unittest

from earlier import earlier_program
from harness import PROGRAM, Cluster, Node, free_ports, holds_for, wait_until
from restart_test import Writer, events

HOLD = "cluster.holdFeatures"


def features(node):
    return node.status()["features"]


def waits_for(node):
    """The nodes that the first waiting feature waits for, as the node knows."""
    return sorted(features(node)["waiting"][0]["for"])


class Upgrade(unittest.TestCase):
    def restart_as(self, cluster, node, program):
        self.assertEqual(node.terminate(), 0, node.log_tail())
        node.program = program
        node.start()
        wait_until(lambda: node.api("GET", "/readyz").status == 200, 30, f"{node.name} is ready")
        cluster.wait_healthy()

    def upgrade(self, cluster, left):
        """Upgrades these nodes. The upgraded ones say which nodes are still waited for."""
        left = list(left)
        while left:
            node = left.pop(0)
            self.restart_as(cluster, node, PROGRAM)
            expected = sorted(other.name for other in left)
            wait_until(lambda at=node, names=expected: waits_for(at) == names, 10,
                       f"{node.name} waits for {expected}")

    def check_refused(self, cluster, earlier):
        """A member that goes back now ends by itself. A newcomer of the earlier build is not taken
        in, and both sides say why."""
        node, other = cluster.nodes[2], cluster.nodes[0]
        self.assertEqual(node.terminate(), 0)
        node.program = earlier
        node.start()
        node.process.wait(timeout=20)
        self.assertIn("has format 2, this program knows up to 1", node.log_tail())

        ports = free_ports(2)
        newcomer = Node("newcomer", cluster.directory, *ports,
                        [f"127.0.0.1:{at.cluster_port}" for at in cluster.nodes])
        newcomer.program = earlier
        cluster.nodes.append(newcomer.start())
        wait_until(lambda: "lacks feature_gates (0.2.0)" in newcomer.log_tail(), 20,
                   "the newcomer says why it is not taken in")
        wait_until(lambda: any("newcomer at" in at.log_tail() and "is not let in" in at.log_tail()
                               for at in cluster.nodes[:2]), 10, "a member says so, too")
        cluster.write("beside.the.newcomer", 1)
        holds_for(lambda: other.status()["totalNodes"] == 3, 3, "it is no member")
        cluster.nodes.remove(newcomer)
        newcomer.kill9()

    def test_up_and_back_and_up_again(self):
        earlier = earlier_program()
        with Cluster(start=False) as cluster:
            for node in cluster.nodes:
                node.program = earlier
            cluster.start()
            cluster.write(HOLD, True)
            with Writer(cluster) as writer:
                self.upgrade(cluster, cluster.nodes)
                back = cluster.leader()
                self.restart_as(cluster, back, earlier)
                others = cluster.others(back)
                wait_until(lambda: waits_for(others[0]) == [back.name], 10, "it waits again")
                self.upgrade(cluster, [back])
                holds_for(lambda: features(back)["active"] == [], 3, "the hold holds")

                self.assertEqual(back.api("DELETE", "/api/cluster/config/" + HOLD).status, 200)
                for node in cluster.nodes:
                    wait_until(lambda at=node: features(at) == {
                        "active": ["feature_gates"], "waiting": [], "held": False}, 15,
                        f"{node.name} says that it is active")
                activated = events(back, "features_activated")
                self.assertEqual([e["data"] for e in activated], [{"features": "feature_gates"}])
                self.check_refused(cluster, earlier)
                node = cluster.nodes[2]
                node.program = PROGRAM
                node.start()
                cluster.wait_healthy()
            cluster.wait_same_state()
            self.assertGreater(writer.acknowledged, 50)
            for number in range(writer.acknowledged):
                self.assertEqual(node.config_value(f"write.{number}"), number)


if __name__ == "__main__":
    unittest.main()
