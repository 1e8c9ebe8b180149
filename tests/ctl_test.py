"""Tests databridgectl on a real cluster: its tables, its JSON, its exit codes."""

import json
import os
import re
import subprocess
import unittest

from harness import CLEAN, CONTROL, Cluster, free_ports, holds_for, wait_until

UUID = "33333333-3333-4333-8333-33333333333"


class Control(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.cluster.__enter__()
        cls.cluster.wait_healthy()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    def setUp(self):
        self.cluster.wait_healthy()

    def control(self, *words, node=None, code=0, **environment):
        node = node or self.cluster.nodes[0]
        done = subprocess.run([CONTROL, *words], capture_output=True, text=True, timeout=30, env={
            **CLEAN, "DATABRIDGE_API": f"http://127.0.0.1:{node.api_port}", **environment})
        self.assertEqual(done.returncode, code, (words, done))
        if code:
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        return done.stdout

    def json(self, *words, **more):
        return json.loads(self.control("-o", "json", *words, **more))

    def rows(self, *words, **more):
        """The rows of a table that was printed, each as a mapping from the titles of the
        columns."""
        lines = [re.split(r"  +", line.strip()) for line in self.control(*words, **more).splitlines()]
        return [dict(zip(lines[0], line)) for line in lines[1:]]

    def test_status(self):
        leader = self.cluster.leader()
        for node in self.cluster.nodes:
            # A member may be degraded for a moment at any time, because a busy machine answers
            # late.
            for line in (rf"leader +{leader.name} \(term \d+\)", "nodes +3 healthy of 3",
                         "quorum +3 of 3 voters reachable, 2 needed"):
                wait_until(lambda: re.search(f"(?m)^{line}$", self.control("status", node=node)), 20, line)
            view = self.json("status", node=node)
            self.assertEqual((view["leader"], view["totalNodes"]), (leader.name, 3))

    def test_nodes_are_listed_and_shown(self):
        leader = self.cluster.leader()
        roles = {n.name: "primary" if n is leader else "secondary" for n in self.cluster.nodes}
        self.assertEqual({row["NODE"]: row["ROLE"] for row in self.rows("node", "list")}, roles)
        listed = self.json("node", "list")["nodes"]
        self.assertEqual({n["id"]: n["role"] for n in listed}, roles)
        self.assertRegex(self.control("node", "show", leader.name), r"(?m)^role +primary$")

    def test_processors_are_added_listed_and_evened_out(self):
        ids = [f"{UUID}{i}" for i in range(6)]
        for id in ids[:3]:
            said = self.control("processor", "add", "LogAttribute", "--id", id, "--name", "by-" + id[-1])
            self.assertRegex(said, f"(?m)^processor +{id}$")
        for id in ids[3:]:
            added = self.json("processor", "add", "--id", id, "--property", "prefix=p",
                              "--prefer", "disk=ssd", "LogAttribute", node=self.cluster.nodes[1])
            self.assertEqual((added["processorId"], added["type"]), (id, "LogAttribute"))

        def places():
            found = {a["processorId"]: (a["nodeId"], a["state"])
                     for a in self.json("assignments")["assignments"]}
            return all(found[id][1] == "running" for id in ids) and {id: found[id][0] for id in ids}
        wait_until(places, 20, "all processors run")
        for id in ids:
            self.control("processor", "move", id, "node-1")
        wait_until(lambda: set((places() or {0: 0}).values()) == {"node-1"}, 20, "all run on one node")
        table = {row["PROCESSOR"]: row for row in self.rows("assignments", "--node", "node-1")}
        self.assertEqual({table[id]["STATE"] for id in ids}, {"running"})
        self.assertEqual(self.rows("assignments", "--node", "node-2"), [])

        def planned():
            plan = self.json("rebalance", "--dry-run")
            return len(plan["moves"]) == 4 and plan
        plan = wait_until(planned, 20, "a plan for three healthy nodes")
        self.assertEqual(plan["lowerBound"], 4)
        wait_until(lambda: "4 moves (at least 4 are needed)" in self.control("rebalance", "--dry-run"), 20,
                   "the table shows the same plan")
        holds_for(lambda: set((places() or {0: 0}).values()) == {"node-1"}, 1, "a dry run moves nothing")

        def counts():
            nodes = list((places() or {}).values())
            return sorted(nodes.count(node) for node in set(nodes))
        wait_until(lambda: "move" in self.control("rebalance") and counts() == [2, 2, 2], 20,
                   "the work is balanced", every=1)
        self.control("rebalance", "--plan", plan["planId"], code=1)
        for id in ids:
            self.control("processor", "remove", id)
        self.assertEqual(self.rows("assignments"), [])

    def test_events_are_the_same_everywhere(self):
        self.control("config", "set", "of.events", "1")
        said = self.control("events")
        ids = re.findall(r"(?m)^(\d+\.\d+)  \d{4}-\S+Z  \w+", said)
        self.assertEqual(len(ids), len(said.splitlines()))
        self.assertEqual(ids, sorted(ids, key=lambda id: [int(part) for part in id.split(".")]))
        half = len(ids) // 2
        for node in self.cluster.nodes:
            wait_until(lambda node=node: self.control("events", node=node).startswith(said), 5,
                       f"{node.name} has the same events")
            later = self.json("events", "--since", ids[half], node=node)["events"]
            self.assertEqual([event["id"] for event in later][:len(ids) - half - 1], ids[half + 1:])

    def test_events_are_followed_across_a_restart_of_the_node(self):
        node = self.cluster.nodes[2]
        self.control("config", "set", "followed", "0")
        since = self.json("events")["events"][-1]["id"]
        path = os.path.join(self.cluster.directory, "followed")
        with open(path, "w") as out:
            follower = subprocess.Popen(
                [CONTROL, "--api", f"http://127.0.0.1:{node.api_port}", "-o", "json", "events",
                 "--follow", "--since", since], stdout=out, env=CLEAN)
        self.addCleanup(lambda: (follower.kill(), follower.wait()))

        def followed():
            with open(path) as out:
                return [json.loads(line)["id"] for line in out if line.endswith("\n")]
        self.control("config", "set", "followed", "1")
        wait_until(followed, 10, "the follower prints an event")
        node.kill9()
        self.control("config", "set", "followed", "2")
        node.start()
        self.cluster.wait_healthy()
        self.control("config", "set", "followed", "3")

        def listed():
            return [event["id"] for event in self.json("events", "--since", since)["events"]]
        wait_until(lambda: len(listed()) >= 3 and followed() == listed(), 10,
                   "every event is printed once, in order")

    def test_the_next_api_is_asked_if_one_cannot_be_reached(self):
        dead = free_ports(2)
        node = self.cluster.nodes[1]
        several = f"127.0.0.1:{dead[0]}, http://127.0.0.1:{node.api_port},127.0.0.1:{dead[1]}"
        self.assertEqual(self.json("status", DATABRIDGE_API=several)["totalNodes"], 3)
        self.assertEqual(self.json("--api", several, "status")["totalNodes"], 3)
        none = subprocess.run([CONTROL, "--api", f"127.0.0.1:{dead[0]},127.0.0.1:{dead[1]}", "status"],
                              capture_output=True, text=True, timeout=30, env=CLEAN)
        self.assertEqual(none.returncode, 1)
        for port in dead:
            self.assertIn(f"no answer from http://127.0.0.1:{port}", none.stderr)

    def test_exit_codes(self):
        self.control("config", "set", "a.key", '{"any": ["json"]}')
        self.assertEqual(self.json("config", "get", "a.key")["value"], {"any": ["json"]})
        self.control("node", "show", "nobody", code=1)
        self.control("processor", "add", "NoSuchThing", code=1)
        self.control("config", "get", "not.there", code=1)
        self.control("status", code=1, DATABRIDGE_API="http://127.0.0.1:1")
        for words in (("nonsense",), ("node",), ("processor", "add"), ("-o", "xml", "status"),
                      ("status", "--colour"), ("processor", "add", "LogAttribute", "-p", "nameless")):
            with self.subTest(words=words):
                done = subprocess.run([CONTROL, *words], capture_output=True, text=True, timeout=30, env=CLEAN)
                self.assertEqual(done.returncode, 2, done)
                self.assertTrue(done.stderr.strip())
                if words == ("nonsense",):
                    self.assertIn("no such command: nonsense", done.stderr)
        self.assertEqual(self.control("--help").splitlines()[0],
                         "databridgectl: a DataBridge cluster from the command line")


class WithoutQuorum(unittest.TestCase):
    def test_three_is_the_exit_code_without_a_quorum(self):
        with Cluster() as cluster:
            left = cluster.nodes[0]
            for other in cluster.others(left):
                other.kill9()

            def code(*words):
                return subprocess.run([CONTROL, "--api", f"http://127.0.0.1:{left.api_port}", *words],
                                      capture_output=True, timeout=40, env=CLEAN).returncode
            # The write comes last: before the leader notices the loss, its outcome would be
            # unknown.
            for words in (("status",), ("leader",), ("config", "set", "k", "1")):
                wait_until(lambda words=words: code(*words) == 3, 20, f"{words} says so", every=0.1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
