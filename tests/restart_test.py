"""Planned restarts: SIGTERM and a new start are no failure, and nodes can be restarted one after
the other."""

import os
import signal
import threading
import time
import unittest

from harness import Cluster, holds_for, wait_until
from numbered import NUMBERED, check_numbered, wait_for_more, two_sides

RESTARTS = int(os.environ.get("RESTARTS", "10"))
SOON = 3.0   # The seconds from its start in which a node is healthy and runs its work.
SLACK = 3.0  # The factor by which a test waits longer, because its machine may be busy.

# Each node has one processor that cannot run elsewhere and waits for its node.
PINNED = "processors:\n" + "".join(
    f"  - {{name: pinned-{i}, type: GenerateFlowFile, properties: {{interval: 50ms}},"
    f" constraints: {{require: {{node: node-{i}}}}}}}\n" for i in (1, 2, 3))


class Writer(threading.Thread):
    """Writes all the time to any node that accepts. After any other answer it tries again with the
    same Idempotency-Key."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.acknowledged, self.over = cluster, 0, threading.Event()
        self.problem = None

    def run(self):
        try:
            while not self.over.is_set():
                self.cluster.write(f"write.{self.acknowledged}", self.acknowledged, deadline=30)
                self.acknowledged += 1
        except AssertionError as problem:
            self.problem = problem

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.join(timeout=40)
        assert kind is not None or not self.is_alive(), "a write does not end"
        assert kind is not None or self.problem is None, f"writes stopped: {self.problem}"


def state_of(node, seen_by):
    return seen_by.get("/api/cluster/nodes/" + node.name, timeout=2)["state"]


def events(node, kind=None):
    found, since = [], "0"
    while True:
        more = node.get(f"/api/cluster/events?since={since}&limit=10000")["events"]
        found += more
        if len(more) < 10000:
            return [event for event in found if kind in (None, event["type"])]
        since = more[-1]["id"]


class PlannedRestarts(unittest.TestCase):
    def restart(self, cluster, node):
        """Restarts the node. Returns the seconds from its start until it was ready, and until all
        its work ran."""
        other = cluster.others(node)[0]
        self.assertEqual(node.terminate(), 0, node.log_tail())
        wait_until(lambda: state_of(node, other) == "stopped", 5, f"{node.name} is stopped")
        self.assertIn(f"{node.name} is stopped (shut_down)", other.status()["reasons"])
        begun = time.monotonic()
        node.start()
        wait_until(lambda: node.api("GET", "/readyz").status == 200, 20, f"{node.name} is ready")
        ready = time.monotonic() - begun
        # After /readyz an operator may restart the next node, so the others must call this one
        # healthy. Their views may come a moment later.
        wait_until(lambda: state_of(node, other) == "healthy", 2, f"{other.name} calls it healthy")
        cluster.wait_running("pinned-" + node.name[-1], on=node.name, among=other)
        return ready, time.monotonic() - begun

    def test_ten_in_a_row_with_writes_and_a_flow(self):
        with Cluster(start=False) as cluster:
            out = os.path.join(cluster.directory, "out")
            os.mkdir(out)
            two_sides(cluster, cluster.directory)
            cluster.put_flow("numbered", NUMBERED.format(directory=out, count=0))
            cluster.put_flow("pinned", PINNED)
            cluster.wait_running("source", "sink", "pinned-1", "pinned-2", "pinned-3")
            began = events(cluster.nodes[0])[-1]["id"]
            times = []
            with Writer(cluster) as writer:
                for number in range(RESTARTS):
                    led = cluster.leader()
                    # Every second time it is the leader, which hands over first.
                    others = [node for node in cluster.nodes if node is not led]
                    node = led if number % 2 else others[number // 2 % 2]
                    times.append(self.restart(cluster, node))
                wait_for_more(out)
            print("ready, working after:", [f"{a:.1f} {b:.1f}" for a, b in times])
            self.assertLess(max(working for _, working in times), SOON * SLACK)
            since = [event for event in events(cluster.nodes[0])
                     if tuple(map(int, event["id"].split("."))) > tuple(map(int, began.split(".")))]
            failed = [event for event in since if event["type"] == "node_failed"]
            self.assertEqual(failed, [])
            self.assertEqual(len([e for e in since if e["type"] == "node_stopped"]), RESTARTS)
            self.assertGreater(writer.acknowledged, RESTARTS)
            cluster.wait_healthy()
            for number in range(writer.acknowledged):
                self.assertEqual(cluster.nodes[0].config_value(f"write.{number}"), number)
            check_numbered(self, out)


    def test_what_may_run_elsewhere_moves_at_once_and_a_kill_is_a_failure(self):
        with Cluster(flags=["--cluster-heartbeat-timeout=4s", "--cluster-election-timeout=12s"]) as cluster:
            cluster.wait_healthy()
            cluster.put_flow("free", "processors: [{name: free, type: GenerateFlowFile, properties: {interval: 1s}}]")
            cluster.wait_running("free")
            gone = cluster.move("free", cluster.others(cluster.leader())[0])["nodeId"]
            node = cluster.node(gone)
            other = cluster.others(node)[0]
            node.signal(signal.SIGTERM)
            begun = time.monotonic()
            wait_until(lambda: (cluster.assignment("free", other) or {}).get("state") == "running"
                       and cluster.assignment("free", other)["nodeId"] != gone, 10,
                       "the processor runs elsewhere")
            self.assertLess(time.monotonic() - begun, 4,
                            "the processor moves before a lease can end")
            node.process.wait(timeout=10)
            # Long after T, the stop still does not count as a failure.
            holds_for(lambda: state_of(node, other) == "stopped", 5, "the node is stopped")
            self.assertEqual(events(other, "node_failed"), [])
            node.start()
            cluster.wait_healthy()
            node.kill9()
            wait_until(lambda: events(other, "node_failed"), 15, "the kill counts as a failure")
            self.assertGreater(other.get("/api/cluster/nodes/" + node.name)["quarantinedForMs"], 0)


if __name__ == "__main__":
    unittest.main()
