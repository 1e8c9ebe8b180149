"""A node that starts later joins the existing cluster."""

import threading
import unittest

from harness import Cluster, holds_for, wait_until


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

    def test_a_removed_node_that_is_started_again_harms_nobody(self):
        """The node with the lowest incarnation would be the first to become a voter. When it reads
        that it was removed, it ends, so it must not become one."""
        with Cluster() as cluster:
            cluster.wait_healthy()
            leader = cluster.leader()
            known = {n["id"]: int(n["incarnation"])
                     for n in leader.get("/api/cluster/nodes")["nodes"]}
            removed = min(cluster.others(leader), key=lambda n: known[n.name])
            answer = leader.api("DELETE", f"/api/cluster/nodes/{removed.name}", timeout=20)
            self.assertEqual(answer.status, 202, answer)
            wait_until(lambda: leader.status()["totalNodes"] == 2, 20, "the node is removed")
            removed.terminate()
            removed.start()
            wait_until(lambda: not removed.alive, 20, "the node reads that it was removed")
            self.assertIn("empty data directory", removed.log_tail())
            holds_for(lambda: leader.put_config("goes.on", 1, timeout=3).status == 200, 6,
                      "the others commit")

    def test_a_join_is_answered_once_the_node_is_a_member(self):
        """A node that waits for founders is told of a seed where no node runs yet."""
        with Cluster(count=2, start=False) as cluster:
            late, founder = cluster.nodes
            late.seeds, founder.seeds = [], []
            late.flags = ["--cluster-bootstrap-expect=2"]
            late.start()
            wait_until(late.status, 10, "it serves")
            answers = []
            body = {"seeds": [f"127.0.0.1:{founder.cluster_port}"]}
            asking = threading.Thread(target=lambda: answers.append(
                late.api("POST", "/api/cluster/join", body, timeout=40)))
            asking.start()
            wait_until(lambda: "seeds" in late.status().get("note", ""), 10,
                       "the node looks for the seed")
            self.assertEqual(answers, [])
            founder.start()
            asking.join()
            self.assertEqual(answers[0].status, 200, answers)
            self.assertEqual(answers[0].json["nodeId"], late.name)
            self.assertEqual(answers[0].json["clusterId"], founder.status()["clusterId"])
            again = late.api("POST", "/api/cluster/join", body, timeout=10)
            self.assertEqual((again.status, again.json["clusterId"]), (200, answers[0].json["clusterId"]))

    def test_a_node_alone_gives_up_its_empty_cluster(self):
        with Cluster(count=4, start=False) as cluster:
            home, empty, holds = cluster.nodes[0], cluster.nodes[1], cluster.nodes[2]
            for node in (home, empty, holds):
                node.seeds = []
                node.start()
                wait_until(lambda node=node: node.status()["status"] == "healthy", 10,
                           "the node is a cluster by itself")
            self.assertEqual(holds.put_config("mine", 1).status, 200)
            nobody = {"seeds": [f"127.0.0.1:{cluster.nodes[3].cluster_port}"]}
            self.assertEqual(empty.api("POST", "/api/cluster/join", nobody, timeout=20).status, 503)
            self.assertEqual(empty.status()["status"], "healthy")
            body = {"seeds": [f"127.0.0.1:{home.cluster_port}"]}
            self.assertEqual(holds.api("POST", "/api/cluster/join", body, timeout=20).status, 409)
            answer = empty.api("POST", "/api/cluster/join", body, timeout=20)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json["clusterId"], home.status()["clusterId"])
            self.assertEqual(empty.put_config("from.the.new", 2).status, 200)
            self.assertEqual(home.get("/api/cluster/config/from.the.new")["value"], 2)
            empty.kill9()
            empty.start()  # Without seeds of its own it finds the others again.
            wait_until(lambda: empty.put_config("again", 3).status == 200, 10, "the node is back")
            self.assertEqual(empty.status()["totalNodes"], 2)
            self.assertEqual(holds.get("/api/cluster/config/mine")["value"], 1)

    def test_a_cluster_id_is_the_only_one_that_is_joined(self):
        with Cluster(count=2, start=False) as cluster:
            home, late = cluster.nodes
            home.seeds = []
            home.start()
            wait_until(lambda: home.status()["status"] == "healthy", 10,
                       "the node is a cluster by itself")
            late.seeds = [f"127.0.0.1:{home.cluster_port}"]
            late.flags = ["--cluster-id=other"]
            late.start()
            wait_until(lambda: "cluster other" in late.status().get("note", ""), 10,
                       "the node names the cluster that it waits for")
            holds_for(lambda: late.status()["status"] == "no_quorum", 2,
                      "the node joins no cluster")
            late.kill9()
            late.flags = [f"--cluster-id={home.status()['clusterId']}"]
            late.start()
            wait_until(lambda: late.put_config("in", 1).status == 200, 10, "the node is a member")
            late.kill9()
            late.flags = ["--cluster-id=other"]
            late.start()
            wait_until(lambda: not late.alive, 10, "the node ends")
            self.assertIn("correct --cluster-id", late.log_tail())

    def test_the_same_processor_twice_is_answered_at_once(self):
        with Cluster(count=1) as cluster:
            wanted = {"id": "11111111-1111-4111-8111-111111111111", "name": "log",
                      "type": "LogAttribute"}
            for _ in range(2):
                answer = cluster.nodes[0].api("POST", "/api/cluster/processors", wanted, timeout=5)
                self.assertIn(answer.status, (200, 201), answer)


if __name__ == "__main__":
    unittest.main(verbosity=2)
