"""Between receiving a command and acknowledging it, a node syncs at least once. strace shows it."""

import os
import re
import shutil
import time
import unittest

from harness import Cluster, wait_until

CALLS = ("trace=fsync,fdatasync,sync_file_range,read,recvfrom,recvmsg,readv,write,writev,sendto,"
         "sendmsg")
# Seconds. strace makes each sync take so long where a test must see that a node waits for it.
SYNC_TAKES = 0.3


def is_received(line, text):
    return re.search(r"\b(read|recv\w*|readv)(\(| resumed)", line) and text in line


def syncs(lines):
    return sum(1 for line in lines
               if re.search(r"\b(fsync|fdatasync)(\(\d+\)| resumed>\))\s+= 0", line))


class Sync(unittest.TestCase):
    def setUp(self):
        self.assertTrue(shutil.which("strace"), "strace is in tools/packages.txt: make deps")

    def start_traced(self, node, *more):
        trace = node.data_dir + ".trace"
        return trace, node.start(wrapper=["strace", "-f", "-q", "-s", "400", "-o", trace, "-e", CALLS, *more])

    def stop_traced(self, node, trace):
        with open(f"/proc/{node.pid}/task/{node.pid}/children") as children:
            for child in children.read().split():
                os.kill(int(child), 15)
        node.process.wait(timeout=20)
        with open(trace, errors="replace") as lines:
            return list(lines)

    def test_a_sync_lies_between_command_and_answer(self):
        with Cluster(count=1, start=False) as cluster:
            trace, node = self.start_traced(cluster.nodes[0])
            wait_until(lambda: node.leader() == node.name, 30, "the node leads")
            # The node refuses requests until it has applied the first entry of its term.
            cluster.write("begun", 1, deadline=30)
            for i in range(5):
                self.assertEqual(node.put_config(f"sync-{i}", f"marker-{i}", timeout=20).status, 200)
            events = self.stop_traced(node, trace)
            for i in range(5):
                received = next(n for n, line in enumerate(events)
                                if is_received(line, f"PUT /api/cluster/config/sync-{i}"))
                answered = next(n for n, line in enumerate(events[received:], received)
                                if re.search(r"\b(write|writev|send\w+)\(", line) and "HTTP/1.1 200" in line)
                self.assertGreaterEqual(syncs(events[received:answered]), 1, f"write {i}")

    def test_a_follower_acknowledges_what_is_appended_only_after_a_sync(self):
        """The leader needs the acknowledgement of this follower, because the third node is dead.
        The follower's syncs are slow, so that an acknowledgement before the sync would come too
        early."""
        with Cluster() as cluster:
            leader = cluster.leader()
            follower, third = cluster.others(leader)
            def reachable():
                return leader.status()["quorum"]["reachable"]
            follower.kill9()
            wait_until(lambda: reachable() == 2, 20, "the leader misses the follower")
            trace, _ = self.start_traced(follower, "-e",
                                         f"inject=fsync,fdatasync:delay_exit={SYNC_TAKES * 1e6:.0f}")
            wait_until(lambda: reachable() == 3 and follower.leader() == leader.name, 40,
                       "the follower is back")
            third.kill9()
            wait_until(lambda: reachable() == 2, 20, "the leader misses the third node")
            for i in range(3):
                begun = time.monotonic()
                answer = leader.put_config(f"sync-{i}", f"marker-{i}", timeout=30)
                self.assertEqual(answer.status, 200, answer)
                self.assertGreaterEqual(time.monotonic() - begun, SYNC_TAKES, f"write {i}")
            events = self.stop_traced(follower, trace)
            for i in range(3):
                received = [n for n, line in enumerate(events) if is_received(line, f"marker-{i}")]
                self.assertTrue(received, f"append {i} is not in the trace")
                following = next((n for n, line in enumerate(events)
                                  if is_received(line, f"marker-{i + 1}")), len(events))
                self.assertGreaterEqual(syncs(re.sub(r" \(DELAYED\)$", "", line.rstrip())
                                              for line in events[received[0]:following]), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
