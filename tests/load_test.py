"""The load that a node reports is measured: processes that burn CPU are seen in it, and an idle
node uses little."""

import concurrent.futures
import json
import multiprocessing
import time
import unittest

from harness import Cluster, wait_until


def burn():
    while True:
        pass


def load_of(node):
    return node.get("/api/cluster/nodes/" + node.name)["load"]


class Machine:
    """Tells from /proc/stat how busy the machine really was since the last call."""

    def __init__(self):
        self.total, self.idle = self.read()

    @staticmethod
    def read():
        with open("/proc/stat") as stat:
            ticks = [int(each) for each in stat.readline().split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    def busy(self):
        total, idle = self.read()
        share = 100 * (1 - (idle - self.idle) / max(1, total - self.total))
        self.total, self.idle = total, idle
        return share


class Load(unittest.TestCase):
    def test_reported_load_follows_a_hog(self):
        """A load is a mean over half a minute, because one busy second says little. So it changes
        soon, but reaches the new value only after a while."""
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            wait_until(lambda: load_of(node)["memoryUsage"] > 0, 10, "a first sample")
            wait_until(lambda: load_of(node)["cpuUsage"] < 60, 90, "the machine is not busy by itself")
            before = load_of(node)["cpuUsage"]
            hogs = [multiprocessing.Process(target=burn, daemon=True)
                    for _ in range(multiprocessing.cpu_count())]
            for hog in hogs:
                hog.start()
            try:
                wait_until(lambda: load_of(node)["cpuUsage"] > before + 5, 10, "the hog shows")
                busy = wait_until(lambda: load_of(node)["cpuUsage"] > 70 and load_of(node), 120,
                                  "the hog makes most of the load")
                self.assertLessEqual(busy["cpuUsage"], 100)
            finally:
                for hog in hogs:
                    hog.kill()
                    hog.join()
            machine = Machine()
            # Other programs may keep this machine busy, too. Then the load cannot fall.
            wait_until(lambda: load_of(node)["cpuUsage"] < busy["cpuUsage"] - 5 or machine.busy() > 70, 30,
                       "the hog is gone", every=1.0)

    def test_an_idle_node_is_small(self):
        with Cluster() as cluster:
            cluster.wait_healthy()
            # This is no test of speed: it measures the CPU time of idle nodes over a fixed window.
            started, window = time.monotonic(), 10
            before = {node.name: node.cpu_seconds() for node in cluster.nodes}
            wait_until(lambda: time.monotonic() - started > window, window + 5, "the window is over")
            for node in cluster.nodes:
                spent = (node.cpu_seconds() - before[node.name]) / (time.monotonic() - started)
                self.assertLessEqual(node.resident_kb(), 30 * 1024, node.name)
                self.assertLessEqual(spent, 0.01, f"{node.name}: {spent:.2%} of a core")

    def test_a_node_that_rests_is_small_again(self):
        with Cluster(count=1) as cluster:
            cluster.wait_healthy()
            node = cluster.nodes[0]
            # The node must parse this large body before it can refuse it.
            body = json.dumps({"value": [1] * 2_000_000}).encode()
            headers = {"Content-Type": "application/json"}
            with concurrent.futures.ThreadPoolExecutor(8) as clients:
                answers = list(clients.map(
                    lambda _: node.api("PUT", "/api/cluster/config/k", body, headers, timeout=60), range(16)))
            self.assertEqual({answer.status for answer in answers}, {413})
            self.assertGreater(node.resident_kb("VmHWM"), 50 * 1024,
                               "the memory of the node did not grow")
            wait_until(lambda: node.resident_kb() <= 30 * 1024, 90,
                       "the node is small again", every=1.0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
