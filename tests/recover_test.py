"""A cluster whose quorum is lost for good: its survivors are looked at while they are stopped, one
of them begins a new generation, and the others are fenced and come back as new members."""

import json
import os
import shutil
import subprocess
import unittest

from copies_test import TICKS
from harness import CONTROL, Cluster, wait_until

QUICK = ["--cluster-heartbeat-timeout=1s", "--cluster-election-timeout=3s",
         "--cluster-replica-count=5"]


def recover(*arguments, code=0):
    done = subprocess.run([CONTROL, "recover", *arguments], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def inspect(*directories):
    return json.loads(recover("-o", "json", "inspect", *directories))


def members(node):
    return {m["id"]: m for m in node.get("/api/cluster/nodes")["nodes"]}


class Recover(unittest.TestCase):
    def test_three_of_five_disks_are_lost(self):
        with Cluster(count=5, flags=QUICK) as cluster:
            cluster.wait_healthy()
            cluster.put_flow("ticks", TICKS)
            cluster.wait_running("source", "sink")
            cluster.write("kept", 1)
            cluster.wait_same_state()
            first, second, *others = cluster.nodes
            before = first.status()
            epoch = cluster.assignment("source", first)["epoch"]
            incarnations = {name: m["incarnation"] for name, m in members(first).items()}
            self.assertIn("in use", recover("inspect", first.data_dir, code=1))

            for node in others:
                node.kill9()
                shutil.rmtree(node.data_dir)
            for node in (first, second):
                node.kill9()
            if inspect(first.data_dir, second.data_dir)["newest"] != first.data_dir:
                first, second = second, first
            self.inspect_and_refuse(first, second, others, before)
            name = json.loads(recover("-o", "json", "write", first.data_dir, second.data_dir,
                                      "--lost", ",".join(n.name for n in others)))["clusterId"]
            self.assertTrue(name.startswith(before["clusterId"] + ".1."), name)

            # The survivor alone is a cluster that takes writes. Its seeds are gone or of before.
            first.start()
            wait_until(lambda: first.put_config("after", 2).status == 200, 15, "a write")
            self.assertEqual(first.config_value("kept"), 1)
            self.assertEqual(first.status()["clusterId"], name)

            # The other survivor is fenced, and comes back as a new member. So do empty ones.
            second.start()
            wait_until(lambda: second.name in members(first)
                       and members(first)[second.name]["incarnation"] != incarnations[second.name],
                       20,
                       "the other survivor is a member again")
            self.assertIn("was recovered as " + name, second.log_tail(200))
            self.assertTrue(any(f.startswith("older-copy") for f in os.listdir(second.data_dir)))
            for node in others:
                node.start()
            cluster.wait_formed(size=5)
            cluster.wait_healthy(deadline=40)
            cluster.wait_running("source", "sink", deadline=40)
            self.assertGreater(cluster.assignment("source", first)["epoch"], epoch)
            wait_until(lambda: all(m["role"] != "worker" for m in members(first).values()), 40,
                       "all are voters again")
            cluster.write("last", 3, nodes=[second])
            cluster.wait_same_state()
            events = first.get("/api/cluster/events")["events"]
            began = [e for e in events if e["type"] == "generation_began"]
            self.assertEqual([(e["nodeId"], e["data"]["generation"]) for e in began],
                             [(first.name, "1")])

    def inspect_and_refuse(self, first, second, others, before):
        found = inspect(first.data_dir, second.data_dir)
        logs = {d["nodeId"]: d for d in found["directories"]}
        self.assertEqual(set(logs), {first.name, second.name})
        for log in logs.values():
            self.assertEqual(log["clusterId"], before["clusterId"])
            self.assertEqual(log["generation"], 0)
            self.assertGreaterEqual(log["lastIndex"], log["commitIndex"])
            self.assertEqual(sum(s["voter"] for s in log["servers"]), 5)
            self.assertEqual((log["flows"], log["processors"], log["keys"]), (1, 2, 1))
        text = recover("inspect", first.data_dir, second.data_dir)
        self.assertIn("The newest log here", text)
        self.assertIn("are lost if only other nodes have them", text)

        # Each refusal names its reason, and nothing has changed by then.
        lost = [node.name for node in others]
        refused = recover("write", first.data_dir, code=1)
        self.assertIn("are not called lost, and they are a majority of the 5 voters", refused)
        refused = recover("write", first.data_dir, "--lost", "n77", code=1)
        self.assertIn("n77 is called lost, and the log does not know it", refused)
        refused = recover("write", first.data_dir, "--lost", ",".join([first.name, *lost]), code=1)
        self.assertIn("its data directory is here", refused)
        refused = recover("write", os.path.dirname(first.data_dir), code=1)
        self.assertIn("not the data directory of a node", refused)
        self.assertEqual(inspect(first.data_dir, second.data_dir), found)
        # By force, on a copy: it is done, and says what it has passed over.
        copy = shutil.copytree(first.data_dir, first.data_dir + ".copy")
        forced = recover("write", copy, "--force")
        self.assertIn("forced, although", forced)
        self.assertEqual(inspect(copy)["directories"][0]["generation"], 1)
        os.chown(os.path.join(copy, "format"), 65534, 65534)
        self.assertIn("belongs to the user with the id 65534", recover("inspect", copy, code=1))


if __name__ == "__main__":
    unittest.main()
