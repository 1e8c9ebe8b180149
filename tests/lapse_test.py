"""Processors that are at work when their lease lapses, or when every node stands still. No process
may end because of that.

Each processor syncs many files to a slow disk in one trigger, so a trigger is always under way.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos"))

from harness import Cluster, NetworkedCluster, holds_for, wait_until  # noqa: E402
from shim import Shim, build  # noqa: E402

FLOW = """
processors:
  - name: make
    type: GenerateFlowFile
    properties: {{interval: 20ms, size: 1KiB, batch: "100"}}
  - name: put
    type: PutFile
    terminate: [success, failure]
    constraints: {{require: {{node: {node}}}}}
    properties: {{directory: "{directory}"}}
connections:
  - {{from: make, relationship: success, to: put}}
"""


def give_slow_disks(cluster):
    library = build(cluster.directory)
    shims = {node.name: Shim(library, os.path.join(cluster.directory, node.name + ".control"))
             for node in cluster.nodes}
    for node in cluster.nodes:
        node.wrapper = shims[node.name].wrapper
    return shims


def stands_still(node):
    with open(f"/proc/{node.pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


class Sink:
    """A flow whose files are all written by one node."""

    def __init__(self, cluster, node):
        self.directory = os.path.join(cluster.directory, "out-" + node.name)
        os.mkdir(self.directory)
        cluster.put_flow("to-" + node.name, FLOW.format(node=node.name, directory=self.directory))

    def wait_for_more(self):
        before = len(os.listdir(self.directory))
        wait_until(lambda: len(os.listdir(self.directory)) > before + 50, 30, "files are written")


class Lapse(unittest.TestCase):
    def test_an_owner_that_is_cut_off_while_it_syncs_lives(self):
        with NetworkedCluster(start=False) as cluster:
            shims = give_slow_disks(cluster)
            cluster.start()
            cluster.wait_healthy()
            owner = cluster.others(cluster.leader())[0]
            sink = Sink(cluster, owner)
            sink.wait_for_more()
            shims[owner.name].spoil_disk(sync_delay_ms=10)
            sink.wait_for_more()
            cluster.cut(owner)
            # This is longer than the lease, the time of a trigger and the stop budget together.
            holds_for(lambda: owner.alive, 8, "the owner lives while it is cut off")
            cluster.mend(owner)
            sink.wait_for_more()
            cluster.wait_healthy()
            self.assertTrue(all(node.alive for node in cluster.nodes))

    def test_nodes_that_all_stand_still_at_once_go_on(self):
        with Cluster(start=False) as cluster:
            shims = give_slow_disks(cluster)
            cluster.start()
            cluster.wait_healthy()
            sinks = [Sink(cluster, node) for node in cluster.nodes]
            for shim in shims.values():
                shim.spoil_disk(sync_delay_ms=3)
            for sink in sinks:
                sink.wait_for_more()
            for node in cluster.nodes:
                node.freeze()
            wait_until(lambda: all(stands_still(node) for node in cluster.nodes), 10,
                       "all nodes stand still")
            holds_for(lambda: all(stands_still(node) for node in cluster.nodes), 6.5,
                      "no node runs")
            for node in cluster.nodes:
                node.thaw()
            holds_for(lambda: all(node.alive for node in cluster.nodes), 5, "all processes live on")
            for sink in sinks:
                sink.wait_for_more()
            cluster.wait_healthy()


if __name__ == "__main__":
    unittest.main(verbosity=2)
