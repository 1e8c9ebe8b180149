"""A leader is frozen for longer than every bound. When it wakes, the cluster has gone on without
it."""

import contextlib
import http.client
import json
import os
import time
import unittest

from harness import CONFIG, Answer, Cluster, holds_for, wait_until
from numbered import NUMBERED, check_numbered, files, two_sides, wait_for_more

# The times are shorter than the defaults, in the same proportion, so that the bounds are seconds.
QUICK = ["--cluster-heartbeat-timeout=2s", "--cluster-election-timeout=6s"]
BOUNDS = 2 + 6


class Waiting:
    """A request that is sent now to a process that may be frozen. The answer is read later."""

    def __init__(self, node, method, path, body=None, connection=None):
        self.connection = connection or http.client.HTTPConnection("127.0.0.1", node.api_port, timeout=30)
        self.connection.request(method, path, body and json.dumps(body),
                                {"Content-Type": "application/json"})

    def answer(self):
        with contextlib.closing(self.connection):
            response = self.connection.getresponse()
            return Answer(response.status, response.headers, response.read())


def served(node):
    """A connection that the process of the node has accepted itself, not only the kernel."""
    connection = http.client.HTTPConnection("127.0.0.1", node.api_port, timeout=30)
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    return connection


class Pause(unittest.TestCase):
    def test_a_leader_frozen_with_work_releases_nothing_after_it_wakes(self):
        with Cluster(flags=QUICK, start=False) as cluster:
            out = os.path.join(cluster.directory, "out")
            os.mkdir(out)
            two_sides(cluster, cluster.directory)
            old, heir, back = cluster.nodes
            cluster.put_flow("numbered", NUMBERED.format(directory=out, count=0))
            cluster.wait_running("source", "sink")
            epoch = cluster.move("source", old)["epoch"]
            cluster.lead(old)
            cluster.write("x", "old")
            wait_for_more(out, epoch=epoch)
            term = old.status()["term"]
            connections = [served(old) for _ in range(2)]

            old.freeze()
            begun = time.monotonic()
            # The frozen leader cannot read these requests. They are in its sockets when it wakes.
            read = Waiting(old, "GET", CONFIG + "x?consistency=linearizable", None, connections[0])
            write = Waiting(old, "PUT", CONFIG + "buffered", {"value": "old"}, connections[1])
            late = Waiting(old, "PUT", CONFIG + "backlog", {"value": "old"})
            cluster.write("x", "new", deadline=20)
            new = cluster.leader()
            self.assertNotEqual(new.name, old.name)
            replaced = cluster.wait_running("source", on=heir.name, among=back)[0]
            self.assertGreater(replaced["epoch"], epoch)
            wait_for_more(out, epoch=replaced["epoch"])
            holds_for(lambda: back.leader() == new.name, begun + BOUNDS + 1 - time.monotonic(),
                      "the other nodes go on for longer than every bound", every=0.2)
            self.assertIn(new.get("/api/cluster/nodes/" + old.name)["state"],
                          ("unhealthy", "disconnected"))
            woken_at = time.time() * 1000
            old.thaw()

            # Its first answers may come before it knows that it was replaced. They must be true.
            self.assert_no_lie(read.answer(), lambda said: said["value"] == "new")
            for key, waiting in (("buffered", write), ("backlog", late)):
                self.assert_no_lie(waiting.answer(), lambda said, key=key: new.config_value(
                    key, linearizable=True) == said["value"] == "old")
            wait_until(lambda: old.status()["leader"] == new.name and old.status()["term"] > term, 10,
                       "the old leader follows the new one")
            self.assertEqual(old.config_value("x", linearizable=True), "new")
            answer = old.put_config("y", "by the woken")
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(new.config_value("y", linearizable=True), "by the woken")
            cluster.wait_healthy()
            wait_for_more(out)

            order = check_numbered(self, out)
            self.assertEqual(sorted(set(order))[-2:], [epoch, replaced["epoch"]])
            made_late = [f for f in files(out) if f[1] == epoch and f[2] >= woken_at]
            self.assertEqual(made_late, [], "the old owner made files after it woke")
            new.api("DELETE", "/api/cluster/flows/numbered")
            cluster.wait_same_state()

    def assert_no_lie(self, answer, is_true):
        if answer.status == 200:
            self.assertTrue(is_true(answer.json), answer)
        else:
            self.assertIn(answer.code, ("no_leader", "no_quorum", "timed_out", "unavailable"), answer)

    def test_a_write_asked_of_a_woken_leader_is_no_promise(self):
        """A write that reaches the leader right after it wakes is in the log of the new leader, or
        refused."""
        with Cluster(flags=QUICK) as cluster:
            cluster.write("z", 0)
            old = cluster.leader()
            old.freeze()
            cluster.write("z", 1, deadline=20)
            old.thaw()
            answer = old.put_config("w", "first words")
            self.assert_no_lie(answer, lambda said: all(
                node.config_value("w", linearizable=True) == "first words"
                for node in cluster.others(old)))
            wait_until(lambda: len({n.status()["leader"] for n in cluster.nodes}) == 1, 10,
                       "all nodes name one leader")

    def test_the_leadership_is_not_handed_to_who_does_not_answer(self):
        with Cluster(flags=QUICK) as cluster:
            leader = cluster.leader()
            frozen, other = cluster.others(leader)
            def reachable():
                return leader.status()["quorum"]["reachable"]
            wait_until(lambda: reachable() == 3, 20, "all nodes answer")
            frozen.freeze()
            wait_until(lambda: reachable() == 2, 20, "the leader misses one node")
            answer = leader.api("POST", "/api/cluster/leader/transfer", {"nodeId": frozen.name}, timeout=40)
            self.assertEqual((answer.status, answer.code), (409, "conflict"), answer)
            answer = leader.api("POST", "/api/cluster/leader/transfer", timeout=40)
            self.assertEqual((answer.status, answer.json["leader"]), (200, other.name), answer)
            frozen.thaw()


if __name__ == "__main__":
    unittest.main(verbosity=2)
