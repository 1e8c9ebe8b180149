"""A node under a guardian. The guardian starts it again, passes signals on to it, and proves its
death to other hosts."""

import os
import re
import signal
import time
import unittest

from harness import Cluster, NetworkedCluster, wait_until


def child_of(node):
    """The process of the node. The test has started its parent, the guardian."""
    pid = node.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        for child in children.read().split():
            with open(f"/proc/{child}/status") as status:
                # A child of the guardian that only reports has one thread.
                if int(re.search(r"Threads:\s+(\d+)", status.read())[1]) > 1:
                    return int(child)
    return None


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")


class Guarded(unittest.TestCase):
    def test_a_killed_node_is_back_by_itself(self):
        with Cluster(flags=["--guardian"]) as cluster:
            cluster.wait_healthy()
            for node in (cluster.leader(), cluster.nodes[0]):
                before = child_of(node)
                os.kill(before, signal.SIGKILL)
                wait_until(lambda: child_of(node) not in (None, before), 5, "another process runs")
                wait_until(lambda: node.status()["totalNodes"] == 3, 10,
                           "the node is a member again")
                cluster.write("after", node.name)
            cluster.wait_same_state()

    def test_the_guardian_is_small_and_passes_signals_on(self):
        with Cluster(flags=["--guardian"]) as cluster:
            cluster.wait_healthy()
            node = cluster.others(cluster.leader())[0]
            self.assertLess(resident_kb(node.process.pid), 25_000)
            inside = child_of(node)
            self.assertEqual(node.terminate(), 0)
            self.assertFalse(is_there(inside))
            node.start()
            wait_until(lambda: node.status()["totalNodes"] == 3, 10, "the node is a member again")
            inside = child_of(node)
            os.kill(node.process.pid, signal.SIGKILL)
            wait_until(lambda: not is_there(inside), 10, "the node ends with its guardian")

    def test_what_cannot_get_better_is_not_tried_again(self):
        with Cluster(flags=["--guardian"]) as cluster:
            cluster.wait_healthy()
            gone = cluster.others(cluster.leader())[0]
            answer = cluster.leader().api("DELETE", "/api/cluster/nodes/" + gone.name)
            self.assertEqual(answer.status, 202, answer)
            wait_until(lambda: not gone.alive, 20, "the removed node and its guardian end")
            self.assertEqual(gone.process.returncode, 3)


class Proof(unittest.TestCase):
    def test_the_work_of_a_killed_node_on_another_host_moves_at_once(self):
        """The lease of the killed node lasts for seconds. Its next process would prove the death,
        too. So the test keeps it from starting, and only the guardian is left to prove the
        death."""
        with NetworkedCluster(flags=["--guardian", "--cluster-heartbeat-timeout=20s",
                                     "--cluster-election-timeout=60s"]) as cluster:
            cluster.wait_healthy()
            leader = cluster.leader()
            victim = cluster.others(leader)[0]
            cluster.put_flow("guarded", f"""
processors:
  - name: moves
    type: GenerateFlowFile
    properties: {{interval: 100ms}}
""")
            cluster.wait_running("moves")
            cluster.move("moves", victim)
            owned = cluster.assignment("moves", leader)
            os.rename(victim.data_dir, victim.data_dir + ".away")
            with open(victim.data_dir, "w") as in_the_way:
                in_the_way.write("no directory")
            begun = time.monotonic()
            os.kill(child_of(victim), signal.SIGKILL)
            moved = wait_until(
                lambda: next((a for a in [cluster.assignment("moves", leader)]
                              if a["epoch"] > owned["epoch"] and a["state"] == "running"), None),
                8, "the work runs elsewhere long before T")
            self.assertNotEqual(moved["nodeId"], victim.name)
            print(f"moved within {1000 * (time.monotonic() - begun):.0f} ms", flush=True)
            os.remove(victim.data_dir)
            os.rename(victim.data_dir + ".away", victim.data_dir)
            wait_until(lambda: victim.status()["totalNodes"] == 3, 20,
                       "the guardian has started the node again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
