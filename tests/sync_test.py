"""Between receiving a command and acknowledging it there is at least one sync (seen by strace)."""

import os
import re
import shutil
import unittest

from harness import Cluster, wait_until


@unittest.skipUnless(shutil.which("strace"), "strace is in tools/packages.txt: make deps")
class Sync(unittest.TestCase):
    def test_a_sync_lies_between_command_and_answer(self):
        with Cluster(count=1, start=False) as cluster:
            node = cluster.nodes[0]
            trace = os.path.join(cluster.directory, "trace")
            node.start(wrapper=["strace", "-f", "-q", "-s", "200", "-o", trace, "-e",
                                "trace=fsync,fdatasync,sync_file_range,read,recvfrom,recvmsg,"
                                "readv,write,writev,sendto,sendmsg"])
            wait_until(lambda: node.leader() == node.name, 30, "it leads itself")
            for i in range(5):
                self.assertEqual(node.put_config(f"sync-{i}", f"marker-{i}", timeout=20).status, 200)
            self.stop_tracee(node)
            with open(trace, errors="replace") as lines:
                events = list(lines)
            for i in range(5):
                self.assertGreaterEqual(self.syncs_between(events, i), 1, f"write {i}")

    def stop_tracee(self, node):
        with open(f"/proc/{node.pid}/task/{node.pid}/children") as children:
            for child in children.read().split():
                os.kill(int(child), 15)
        node.process.wait(timeout=20)

    def syncs_between(self, events, i):
        """Completed syncs after the request was read and before the first answer was written."""
        key = f"sync-{i}"
        received = next(n for n, line in enumerate(events)
                        if re.search(r"\b(read|recv\w*|readv)(\(| resumed)", line)
                        and "PUT /api/cluster/config/" + key in line)
        answered = next(n for n, line in enumerate(events[received:], received)
                        if re.search(r"\b(write|writev|send\w+)\(", line) and "HTTP/1.1 200" in line)
        return sum(1 for line in events[received:answered]
                   if re.search(r"\b(fsync|fdatasync)(\(\d+\)| resumed>\))\s+= 0", line))


if __name__ == "__main__":
    unittest.main(verbosity=2)
