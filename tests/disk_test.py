"""Full disks: a node with a full disk goes on voting and reports the trouble. When there is room
again, it is healthy again."""

import contextlib
import os
import subprocess
import unittest

from harness import Cluster, wait_until

MIB = 1 << 20


@contextlib.contextmanager
def small_disk(directory, mib):
    os.makedirs(directory)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(path):
    """Writes to a file until the disk is full. It also takes room that is freed meanwhile, but not
    later."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


class FullDisk(unittest.TestCase):
    def check(self, cluster, full, rest):
        reserve, ballast = os.path.join(full.data_dir, "reserve"), os.path.join(full.data_dir, "ballast")
        self.assertEqual(os.stat(reserve).st_blocks * 512, 24 * MIB)
        known = full.log_size()
        fill(ballast)
        wait_until(lambda: os.stat(reserve).st_size < 24 * MIB, 10, "the node gives up its reserve")
        wait_until(lambda: "the disk is full" in full.log_since(known), 10, "the node says so")
        wait_until(lambda: any(node["id"] == full.name and node["stateReason"] == "disk_full"
                               for node in rest.get("/api/cluster/nodes")["nodes"]), 10,
                   "the node is degraded")
        return known, ballast, reserve

    def recovers(self, cluster, full, known, ballast, reserve):
        os.remove(ballast)
        wait_until(lambda: os.stat(reserve).st_size == 24 * MIB, 10,
                   "the node has its reserve again")
        wait_until(lambda: "has room again" in full.log_since(known), 10, "the node says so")
        cluster.wait_healthy()
        cluster.write("at.last", 1)
        cluster.wait_same_state()

    def test_a_node_whose_disk_is_full_votes_on(self):
        with Cluster(start=False) as cluster, contextlib.ExitStack() as disks:
            full, rest, third = cluster.nodes
            disks.enter_context(small_disk(full.data_dir, 240))
            cluster.start()
            cluster.wait_healthy()
            cluster.lead(rest)
            found = self.check(cluster, full, rest)
            third.kill9()  # Now there is no majority without the node whose disk is full.
            for i in range(20):
                cluster.write(f"k{i}", "x" * 1000, nodes=[rest])
            self.assertTrue(full.alive, full.log_tail())
            self.assertEqual(full.config_value("k19", linearizable=True), "x" * 1000)
            third.start()
            cluster.wait_formed()
            self.recovers(cluster, full, *found)

            # A leader with a full disk refuses new writes, except those that make room.
            cluster.lead(full)
            found = self.check(cluster, full, rest)
            refused = rest.put_config("more", 1)
            self.assertEqual((refused.status, refused.json["code"]), (503, "unavailable"), refused)
            self.assertIn("disk is full", refused.json["detail"])
            self.assertEqual(rest.api("DELETE", "/api/cluster/config/k0").status, 200)
            self.recovers(cluster, full, *found)


if __name__ == "__main__":
    unittest.main()
