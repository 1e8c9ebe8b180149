"""A leader frozen for longer than every bound wakes up into a cluster that has gone on without it."""

import unittest

from harness import Cluster, wait_until

# Shorter than the defaults, in their proportion, so that "longer than the bounds" is seconds.
QUICK = ["--cluster-heartbeat-timeout=2s", "--cluster-election-timeout=6s"]


class Pause(unittest.TestCase):
    def test_a_frozen_leader_steps_down_when_it_wakes(self):
        with Cluster(flags=QUICK) as cluster:
            cluster.write("x", "old")
            old = cluster.leader()
            term = old.status()["term"]
            old.freeze()
            cluster.write("x", "new", deadline=20)
            new = cluster.leader()
            self.assertNotEqual(new.name, old.name)

            def quarantined():
                return new.get("/api/cluster/nodes/" + old.name)["state"] in ("unhealthy",
                                                                              "disconnected")
            wait_until(quarantined, 20, "the frozen one is no longer healthy")
            old.thaw()

            # From its first answer on: never the old value as the newest, never itself as leader of
            # the old term.
            def told():
                seen = old.status()
                if seen["leader"] == old.name:
                    self.assertEqual(old.config_value("x", linearizable=True) or "new", "new")
                return seen["leader"] == new.name and seen["term"] > term
            wait_until(told, 10, "the old leader follows the new one")
            self.assertEqual(old.config_value("x", linearizable=True), "new")
            answer = old.put_config("y", "by the woken")
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(new.config_value("y", linearizable=True), "by the woken")
            cluster.wait_same_state()

    def test_a_write_asked_of_a_frozen_leader_is_no_promise(self):
        """What the leader gets right after waking is either in the log of the new one, or refused."""
        with Cluster(flags=QUICK) as cluster:
            cluster.write("z", 0)
            old = cluster.leader()
            old.freeze()
            cluster.write("z", 1, deadline=20)
            old.thaw()
            answer = old.put_config("w", "first words")
            if answer.status == 200:
                for node in cluster.others(old):
                    self.assertEqual(node.config_value("w", linearizable=True), "first words")
            else:
                self.assertIn(answer.code, ("no_leader", "no_quorum", "timed_out", "unavailable"))
            wait_until(lambda: len({n.status()["leader"] for n in cluster.nodes}) == 1, 10,
                       "one leader")

    def test_the_leadership_is_not_handed_to_who_does_not_answer(self):
        with Cluster(flags=QUICK) as cluster:
            leader = cluster.leader()
            frozen, other = cluster.others(leader)
            def reachable():
                return leader.status()["quorum"]["reachable"]
            wait_until(lambda: reachable() == 3, 20, "everybody answers")
            frozen.freeze()
            wait_until(lambda: reachable() == 2, 20, "one is missed")
            answer = leader.api("POST", "/api/cluster/leader/transfer", {"nodeId": frozen.name}, timeout=40)
            self.assertEqual((answer.status, answer.code), (409, "conflict"), answer)
            answer = leader.api("POST", "/api/cluster/leader/transfer", timeout=40)
            self.assertEqual((answer.status, answer.json["leader"]), (200, other.name), answer)
            frozen.thaw()


if __name__ == "__main__":
    unittest.main(verbosity=2)
