"""Five nodes with work. Nodes are drained or killed, a sixth one joins, a disk is lost, clients
watch the events, and a snapshot is restored."""

import collections
import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import unittest

from harness import CLEAN, CONTROL, Cluster, holds_for, wait_until

# The times are short, so that several windows and silences fit into a minute.
FLAGS = ["--cluster-heartbeat-timeout=1s", "--cluster-election-timeout=3s",
         "--cluster-rebalance-window=2s", "--cluster-replica-count=5"]
COUNT = 30


class Stream:
    """The server-sent events of one node after the event `last`."""

    def __init__(self, node, last):
        self.connection = http.client.HTTPConnection("127.0.0.1", node.api_port, timeout=15)
        self.connection.request("GET", "/api/cluster/events", headers={
            "Accept": "text/event-stream", "Last-Event-ID": last})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.status

    def ids(self, until):
        """The ids that come, up to and including the first one for which until() is true."""
        with contextlib.closing(self.connection):
            found = []
            for line in self.response:
                if line.startswith(b"id: "):
                    found.append(line[4:].strip().decode())
                    if until(found):
                        return found
        raise AssertionError(f"the stream ended after {found[-3:]}")


class FiveNodes(Cluster):
    """`founders` run from the start. `sixth` is not among their seeds; a test that needs it starts
    it."""

    def __init__(self):
        super().__init__(count=6, flags=FLAGS, start=False)
        self.founders, self.sixth = self.nodes[:5], self.nodes[5]
        self.asked = self.founders[0]  # The node that gets the requests.

    def __enter__(self):
        try:
            for node in self.founders:
                node.seeds = [s for s in node.seeds if not s.endswith(f":{self.sixth.cluster_port}")]
                node.start()
            self.wait_formed(size=5)
            self.wait_all_healthy()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def wait_all_healthy(self):
        wait_until(lambda: all(node.status()["healthyNodes"] == node.status()["totalNodes"] == 5
                               for node in self.running), 30, "five healthy nodes")

    def add_work(self):
        for i in range(COUNT):
            answer = self.asked.api("POST", "/api/cluster/processors",
                                   {"type": "LogAttribute", "name": f"p{i}", "properties": {}})
            assert answer.status == 201, answer

    def work(self):
        """processor → (node, epoch) if all of them run, otherwise None."""
        listed = self.asked.get("/api/cluster/assignments?limit=1000")["assignments"]
        if len(listed) == COUNT and all(a["state"] == "running" for a in listed):
            return {a["processorId"]: (a["nodeId"], a["epoch"]) for a in listed}
        return None

    def wait_work(self, condition, deadline, what):
        """Waits until all work runs and condition(node → count) is true. Returns the work."""
        def found():
            work = self.work()
            return work and condition(collections.Counter(n for n, _ in work.values())) and work
        return wait_until(found, deadline, what)


def even_on_five(counts):
    return len(counts) == 5 and max(counts.values()) - min(counts.values()) <= 1


class Five(unittest.TestCase):
    def test_a_drained_node_loses_its_work_and_two_dead_ones_too(self):
        with FiveNodes() as cluster:
            cluster.add_work()
            cluster.wait_work(even_on_five, 20, "all work runs on five")
            drained = cluster.founders[1]
            answer = cluster.asked.api("POST", f"/api/cluster/nodes/{drained.name}/drain", {}, timeout=20)
            self.assertEqual(answer.status, 202, answer)
            operation = "/api/cluster/operations/" + answer.json["operationId"]
            wait_until(lambda: cluster.asked.get(operation)["phase"] == "done", 20, "the drain ends")
            cluster.wait_work(lambda counts: drained.name not in counts, 20, "all work runs elsewhere")
            self.assertTrue(cluster.asked.get("/api/cluster/nodes/" + drained.name)["draining"])
            answer = cluster.asked.api("DELETE", f"/api/cluster/nodes/{drained.name}/drain", timeout=20)
            self.assertEqual(answer.status, 200, answer)
            cluster.wait_work(even_on_five, 20, "the drained node has its share again")

            dead = [cluster.leader(among=cluster.founders), drained]
            if dead[0] is drained:
                dead[0] = cluster.founders[2]
            cluster.asked = next(node for node in cluster.founders if node not in dead)
            for node in dead:
                node.kill9()
            cluster.wait_work(lambda counts: not {n.name for n in dead} & set(counts), 30,
                              "all work runs on three")
            cluster.write("goes.on", 1)
            for node in dead:
                node.start()
            cluster.wait_all_healthy()
            cluster.wait_work(even_on_five, 30, "five share the work again")

    def test_a_sixth_node_gets_its_share_and_then_nothing_moves(self):
        with FiveNodes() as cluster:
            cluster.add_work()
            before = cluster.wait_work(even_on_five, 20, "all work runs on five")
            cluster.sixth.start()
            after = cluster.wait_work(lambda counts: counts[cluster.sixth.name] == COUNT // 6, 30,
                                      "the sixth has its share")
            moved = {p for p in before if before[p] != after[p]}
            self.assertEqual(moved, {p for p in after if after[p][0] == cluster.sixth.name},
                             "a processor has moved without need")
            holds_for(lambda: cluster.work() == after, 6, "three windows without a move", every=0.2)
            self.assertEqual(cluster.sixth.get("/api/cluster/nodes/" + cluster.sixth.name)["role"], "worker")

    def test_an_emptied_node_comes_back_as_somebody_new(self):
        with FiveNodes() as cluster:
            cluster.write("kept", 1)
            emptied = cluster.others(cluster.leader(among=cluster.founders))[0]
            cluster.asked = next(node for node in cluster.founders if node is not emptied)

            def incarnation():
                return cluster.asked.get("/api/cluster/nodes/" + emptied.name)["incarnation"]
            old = incarnation()
            emptied.kill9()
            shutil.rmtree(emptied.data_dir)
            emptied.start()
            wait_until(lambda: incarnation() != old, 20, "a new incarnation")
            cluster.wait_all_healthy()
            wait_until(lambda: emptied.config_value("kept") == 1, 10,
                       "the emptied node has the old value")
            wait_until(lambda: cluster.asked.status()["quorum"]["voters"] == 5
                       and cluster.asked.status()["quorum"]["reachable"] == 5, 20,
                       "the emptied node votes again")

    def test_a_stream_that_reconnects_misses_no_event_and_gets_none_twice(self):
        with FiveNodes() as cluster:
            def write_some(first):
                for i in range(first, first + 20):
                    cluster.write(f"k{i}", i)

            def listed(since):
                """The ids of the events on all pages."""
                found = []
                while True:
                    page = cluster.asked.get("/api/cluster/events?since=" + (found or [since])[-1])["events"]
                    if not page:
                        return found
                    found += [event["id"] for event in page]
            start = listed("0")[-1]
            stream = Stream(cluster.asked, start)
            write_some(0)
            seen = stream.ids(lambda found: len(found) == 15)
            write_some(20)
            # Each time another node is asked: all nodes give an event the same id.
            for node in cluster.founders[1:]:
                stream = Stream(node, seen[-1])
                seen += stream.ids(lambda found: len(found) == 5)
            write_some(40)
            last = listed(seen[-1])[-1]
            seen += Stream(cluster.founders[2], seen[-1]).ids(lambda found: found[-1] == last)
            expected = listed(start)
            self.assertEqual(seen, expected[:len(seen)])
            self.assertGreaterEqual(len(seen), 60)

    def test_a_snapshot_brings_back_what_was_saved(self):
        with FiveNodes() as cluster:
            def control(*words):
                done = subprocess.run([CONTROL, "--api", f"http://127.0.0.1:{cluster.asked.api_port}", *words],
                                      capture_output=True, text=True, timeout=60, env=CLEAN)
                self.assertEqual(done.returncode, 0, done)
            cluster.add_work()
            cluster.put_flow("kept", "processors: [{name: in.flow, type: LogAttribute}]")
            cluster.write("key", "saved")
            file = os.path.join(cluster.directory, "backup")
            control("snapshot", "save", file)
            cluster.write("key", "changed")
            cluster.write("newer", 1)
            self.assertLess(cluster.asked.api("DELETE", "/api/cluster/flows/kept").status, 300)
            cluster.asked.api("PUT", "/api/cluster/strategy", {"strategy": "round_robin"})
            control("snapshot", "restore", file)
            cluster.wait_running("in.flow", *(f"p{i}" for i in range(COUNT)))
            for node in cluster.founders:
                self.assertEqual(node.config_value("key", linearizable=True), "saved")
                self.assertIsNone(node.config_value("newer"))
                self.assertEqual(node.get("/api/cluster/strategy")["strategy"], "least_loaded")
            cluster.write("key", "goes on")
            cluster.wait_same_state()


if __name__ == "__main__":
    unittest.main(verbosity=2)
