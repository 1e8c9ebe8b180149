"""Real networks: three namespaces on a bridge. They are cut as by a pulled cable, or by a firewall
that resets connections."""

import time
import unittest

from harness import NetworkedCluster, holds_for, wait_until

QUICK = ["--cluster-heartbeat-timeout=2s", "--cluster-election-timeout=6s"]


class Partition(unittest.TestCase):
    def test_the_references_example_as_written(self):
        with NetworkedCluster() as cluster:
            view = cluster.nodes[0].status()
            self.assertEqual(view["totalNodes"], 3)
            leader = cluster.leader()
            answer = leader.get("/api/cluster/leader")
            self.assertEqual(answer["address"], f"{leader.bind}:8090")
            cluster.write("x", 1)
            for node in cluster.nodes:
                self.assertEqual(node.config_value("x", linearizable=True), 1)

    def test_the_minority_says_no_quorum_and_writes_nothing(self):
        with NetworkedCluster(flags=QUICK) as cluster:
            cluster.write("x", "before")
            cut = cluster.leader()
            cluster.cut(cut)
            rest = cluster.others(cut)

            def refuses():
                answer = cut.put_config("x", "minority", timeout=20.0)
                self.assertNotEqual(answer.status, 200, "the minority accepted a write")
                return answer.status == 503 and answer.code == "no_quorum"
            wait_until(refuses, 30, "the minority says no_quorum", every=0.2)
            self.assertEqual(cut.status()["status"], "no_quorum")
            cluster.write("x", "majority", deadline=20, nodes=rest)
            answer = cut.api("GET", "/api/cluster/config/x?consistency=linearizable", timeout=20.0)
            self.assertNotEqual(answer.status, 200,
                                "a linearizable read was answered without a quorum")
            cluster.mend(cut)
            wait_until(lambda: cut.config_value("x", linearizable=True) == "majority", 20,
                       "the minority has the write of the majority")
            cluster.wait_same_state()

    def test_a_firewall_that_resets_does_not_prove_a_death(self):
        """The owner lives behind the firewall, so it must not count as gone before its lease
        bound."""
        with NetworkedCluster(flags=["--cluster-heartbeat-timeout=6s",
                                     "--cluster-election-timeout=18s"]) as cluster:
            cluster.wait_healthy()
            leader = cluster.leader()
            cut = cluster.others(leader)[0]
            cluster.put_flow("behind", f"""
processors:
  - name: kept
    type: GenerateFlowFile
    constraints: {{require: {{node: {cut.name}}}}}
    properties: {{interval: 100ms}}
""")
            owned = cluster.wait_running("kept", on=cut.name)[0]
            rest = cluster.others(cut)
            watcher = cluster.leader(among=rest)
            begun = time.monotonic()
            for other in rest:
                cluster.reset_between(cut, other)

            # This proves that the firewall cuts. Otherwise the checks below could not fail.
            def is_cut_off():
                member = watcher.get("/api/cluster/nodes/" + cut.name)
                return (member["state"], member["stateReason"]) == ("disconnected", "connection_refused")
            wait_until(is_cut_off, 4, "the watcher is refused, as if the process was gone")

            def not_yet_moved():
                member = watcher.get("/api/cluster/nodes/" + cut.name)
                kept = cluster.assignment("kept", watcher)
                return (member["state"] != "unhealthy" and kept["nodeId"] == cut.name
                        and kept["epoch"] == owned["epoch"] and kept["state"] == "running")
            # The last heartbeat was up to T/10 before the cut, and each check takes a while, too.
            holds_for(not_yet_moved, begun + 4.8 - time.monotonic(),
                      "the node that is cut off is only suspected, and keeps its work", every=0.1)
            wait_until(lambda: cluster.assignment("kept", watcher)["epoch"] != owned["epoch"]
                       or cluster.assignment("kept", watcher)["state"] == "unassigned", 20,
                       "the work is taken away after the lease bound")
            cluster.open_wall(cut)
            wait_until(lambda: watcher.get("/api/cluster/nodes/" + cut.name)["state"] == "healthy",
                       20, "the node is healthy again")
            # The source commits checkpoints all the time. Without its flow the state stays the
            # same.
            gone = watcher.api("DELETE", "/api/cluster/flows/behind")
            self.assertLess(gone.status, 300, gone)
            cluster.wait_same_state()


if __name__ == "__main__":
    unittest.main(verbosity=2)
