"""Actions of an operator on one process: SIGTERM, SIGHUP, a restart, a second start by mistake."""

import datetime
import os
import signal
import socket
import tempfile
import unittest

from harness import Cluster, Node, free_ports, wait_until
from numbered import NUMBERED, check_numbered, two_sides, wait_for_more, written


PINNED = """
processors:
""" + "".join(f"""
  - name: {{node}}-{i}
    type: GenerateFlowFile
    constraints: {{{{require: {{{{node: {{node}}}}}}}}}}
    properties: {{{{interval: 10ms}}}}
""" for i in range(4))


def now():
    """The time in the form that the events have."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def last_event(node):
    return node.get("/api/cluster/events?limit=100000")["events"][-1]["id"]


def placed_on(name, node, since, until):
    """The events of `node` that assign work to the node `name` in that time."""
    return [event for event in node.get(f"/api/cluster/events?limit=100000&since={since}")["events"]
            if event["type"] == "work_assigned" and event["nodeId"] == name and event["at"] < until]


class Alone(Node):
    """A node without --cluster-enabled."""

    def command(self):
        return [each for each in super().command()
                if not each.startswith(("--cluster-enabled", "--cluster-seeds"))]


class Sigterm(unittest.TestCase):
    def test_a_leader_hands_over_and_its_processor_goes_on_elsewhere_from_its_index(self):
        with Cluster(start=False) as cluster:
            out = os.path.join(cluster.directory, "out")
            os.mkdir(out)
            two_sides(cluster, cluster.directory)
            old, heir, back = cluster.nodes
            cluster.put_flow("numbered", NUMBERED.format(directory=out, count=0))
            cluster.wait_running("source", "sink")
            epoch = cluster.move("source", old)["epoch"]
            cluster.lead(old)
            wait_for_more(out, epoch=epoch)
            old.signal(signal.SIGTERM)
            wait_until(lambda: cluster.leader(deadline=1, among=[heir, back]) is not old, 2,
                       "another one leads")
            self.assertEqual(old.process.wait(timeout=10), 0, old.log_tail())
            newer = cluster.wait_running("source", on=heir.name, among=back)[0]["epoch"]
            wait_for_more(out, epoch=newer)
            owners = sorted(set(check_numbered(self, out)))
            self.assertEqual(owners[-2:], [epoch, newer])
            cluster.write("after.goodbye", 1)
            old.start()
            wait_until(lambda: old.config_value("after.goodbye") == 1, 5, "the old leader is back")


    def test_a_member_that_stops_is_given_nothing_any_more(self):
        """The work is pinned to the node, so it cannot be assigned to another one."""
        with Cluster() as cluster:
            cluster.wait_healthy()
            for node in reversed(cluster.nodes):
                cluster.put_flow(node.name, PINNED.format(node=node.name))
            cluster.wait_running(*(f"{node.name}-{i}" for node in cluster.nodes for i in range(4)))
            for node in cluster.others(cluster.leader()):
                other = cluster.others(node)[0]
                known = last_event(other)
                self.assertEqual(node.terminate(), 0, node.log_tail())
                self.assertEqual(placed_on(node.name, other, known, now()), [])
                node.start()
                cluster.wait_formed()


class OneProcess(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="databridge-test-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def node(self, name="alone", kind=Alone, flags=()):
        node = kind(name, self.directory, *free_ports(2), [],
                    flags=[f"--file-root={self.directory}", "--cluster-labels=side=back", *flags])
        self.addCleanup(lambda: node.alive and node.kill9())
        return node

    def serving(self, node):
        node.start()
        wait_until(lambda: node.status()["status"] == "healthy", 10, "the node serves")
        return node

    def test_without_a_cluster_it_runs_flows_and_goes_on_after_sigterm_where_it_was(self):
        node, out = self.node(), os.path.join(self.directory, "out")
        os.mkdir(out)
        port = socket.create_server(("127.0.0.1", node.cluster_port))  # No node may dial it.
        self.addCleanup(port.close)
        self.serving(node)
        self.assertEqual(node.put_config("kept", [1]).status, 200)
        answer = node.api("PUT", "/api/cluster/flows/numbered",
                          NUMBERED.replace("front", "back").format(directory=out, count=0).encode(),
                          {"Content-Type": "application/yaml"})
        self.assertIn(answer.status, (200, 201), answer)
        for _ in range(5):
            wait_for_more(out)
            known = last_event(node)
            self.assertEqual(node.terminate(), 0, node.log_tail())
            ended = now()
            self.serving(node)
            self.assertEqual(placed_on(node.name, node, known, ended), [])
        wait_for_more(out)
        check_numbered(self, out)
        self.assertGreater(max(written(out)), 200)
        self.assertEqual(node.config_value("kept"), [1])
        self.assertEqual(node.status()["totalNodes"], 1)
        port.setblocking(False)
        with self.assertRaises(BlockingIOError, msg="a node that stands alone has dialled"):
            port.accept()

    def test_without_a_cluster_it_has_no_cluster_port(self):
        """Two such nodes have the same cluster port in their settings, and run side by side."""
        first, second = self.node("first"), self.node("second")
        second.cluster_port = first.cluster_port
        self.serving(first)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", first.cluster_port), timeout=5).close()
        self.serving(second)

    def test_sighup_opens_the_access_log_again_and_reads_the_level_from_the_file(self):
        config = os.path.join(self.directory, "node.yaml")

        def set_level(level):
            with open(config, "w") as file:
                file.write(f"log: {{level: {level}}}\n")
        set_level("error")
        node = self.serving(self.node(flags=["--config=" + config]))
        rotated = node.access_log + ".1"

        def rotate():
            """Rotates the access log as logrotate does. The node opens the new file before it reads
            the configuration again."""
            os.rename(node.access_log, rotated)
            node.signal(signal.SIGHUP)
            wait_until(lambda: os.path.exists(node.access_log), 5, "the access log is opened again")
        self.assertEqual(node.log_tail(), "", "the level of the file holds from the start")
        set_level("info")
        rotate()
        wait_until(lambda: "configuration read again" in node.log_tail(), 5, "the new level holds")
        self.assertIn("/api/cluster/status", self.text(rotated))
        node.get("/api/cluster/nodes")
        wait_until(lambda: "/api/cluster/nodes" in self.text(node.access_log), 5,
                   "the new access log has the line")
        self.assertNotIn("/api/cluster/nodes", self.text(rotated))

        set_level("loudest")
        rotate()
        wait_until(lambda: "loudest" in node.log_tail(), 5, "the wrong file is logged")
        self.assertEqual(node.status()["status"], "healthy")
        # The node takes one signal after the other, so the second one begins after the first is
        # done.
        set_level("error")
        rotate()
        rotate()
        size = node.log_size()
        rotate()
        self.assertEqual(node.log_size(), size, node.log_tail())

    def text(self, path):
        with open(path) as file:
            return file.read()

    def test_a_data_directory_in_use_is_refused_with_a_line(self):
        first = self.serving(self.node("first"))
        second = self.node("second")
        second.data_dir = first.data_dir
        self.assertEqual(second.start().process.wait(timeout=10), 1)
        self.assertEqual(len(second.log_tail().splitlines()), 1, second.log_tail())
        for words in (f"data directory {first.data_dir} is in use", f"pid {first.pid}"):
            self.assertIn(words, second.log_tail())
        self.assertEqual(first.put_config("unharmed", 1).status, 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
