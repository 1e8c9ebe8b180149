"""Nodes that are not what they say: a copy of a data directory that runs beside its original, a
data directory that was put back to an older state, and strangers on the cluster port."""

import os
import shutil
import socket
import struct
import unittest

from harness import Cluster, Node, free_ports, holds_for, wait_until

# T = 1.5 s, so that waiting for T does not take long.
QUICK = ["--cluster-heartbeat-timeout=1500ms", "--cluster-election-timeout=4500ms"]

TICKS = """name: ticks
processors:
  - {name: source, type: GenerateFlowFile, properties: {interval: 100ms, content: x}}
  - {name: sink, type: LogAttribute, properties: {prefix: TICK}}
connections:
  - {from: source, relationship: success, to: sink}
"""


def member(cluster, name, by):
    listed = by.get("/api/cluster/nodes")["nodes"]
    return next((m for m in listed if m["id"] == name), None)


def epochs(node):
    listed = node.get("/api/cluster/assignments")["assignments"]
    return {a["name"]: (a["nodeId"], a["epoch"]) for a in listed}


class CopyBeside(unittest.TestCase):
    def test_a_copy_is_refused_and_the_original_keeps_its_place(self):
        with Cluster(flags=QUICK) as cluster:
            cluster.wait_healthy()
            leader = cluster.leader()
            original = cluster.others(leader)[0]
            cluster.put_flow("ticks", TICKS)
            cluster.wait_running("source", "sink")
            cluster.move("source", original)
            before = epochs(leader)
            port, api = free_ports(2)
            seeds = [f"127.0.0.1:{node.cluster_port}" for node in cluster.nodes]
            copy = Node(original.name, os.path.join(cluster.directory, "copy"), port, api, seeds,
                        flags=QUICK)
            shutil.copytree(original.data_dir, copy.data_dir)
            copy.start()
            try:
                wait_until(lambda: "waits to be let in" in copy.log_tail(), 5,
                           "the copy says that it waits")
                wait_until(lambda: not copy.alive, 15, "the copy ends for good")
                self.assertEqual(copy.process.returncode, 3)
                self.assertIn("a copy of a running node's", copy.log_tail())
            finally:
                if copy.alive:
                    copy.kill9()
            self.assertTrue(original.alive)
            self.assertEqual(epochs(leader), before, "no work has moved")
            self.assertEqual(member(cluster, original.name, leader)["state"], "healthy")
            self.assertEqual(original.api("GET", "/readyz").status, 200)
            cluster.write("after", 1, nodes=[original])


class PutBack(unittest.TestCase):
    def test_a_node_on_an_older_disk_comes_back_as_somebody_else(self):
        with Cluster(flags=QUICK) as cluster:
            cluster.wait_healthy()
            leader = cluster.leader()
            node = cluster.others(leader)[0]
            node.terminate()
            kept = node.data_dir + ".kept"
            shutil.copytree(node.data_dir, kept)
            for _ in range(2):
                node.start()
                wait_until(lambda: node.api("GET", "/readyz").status == 200, 15,
                           "the node is ready")
                node.terminate()
            before = member(cluster, node.name, leader)["incarnation"]
            shutil.rmtree(node.data_dir)
            os.rename(kept, node.data_dir)
            node.start()
            wait_until(lambda: "a new incarnation begins" in node.log_tail(200), 15,
                       "the node logs that a new incarnation begins")

            def is_back():
                now = member(cluster, node.name, leader)
                return now and now["incarnation"] != before and now["state"] == "healthy"
            wait_until(is_back, 30, "the node is a member again, as a new incarnation")
            self.assertTrue(os.path.isdir(os.path.join(node.data_dir, "older-copy-1")))
            self.assertTrue(node.alive)
            cluster.write("after", 1)


# ---- A stranger's frames (docs/frame-format.md)

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind, payload):
    head = b"DBCF" + bytes([1, kind, 0, 0]) + struct.pack("<I", len(payload))
    return head + struct.pack("<I", crc32c(head + payload)) + payload


def greeting(incarnation, cluster):
    def number(tag, value):
        return bytes([tag, 8, 0]) + struct.pack("<Q", value)

    def text(tag, value):
        return bytes([tag]) + struct.pack("<H", len(value)) + value
    return number(1, incarnation) + text(2, b"x") + text(3, cluster) + number(4, 1) + number(11, 5)


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def raft_heartbeat(sender, to, term):
    packet = (bytes([1, 7]) + struct.pack("<QQ", sender, to) + varint(term) + b"\0" * 6
              + struct.pack("<Q", 0) + b"\0" * 7)
    inner = varint(1 << 3 | 2) + varint(len(packet)) + packet
    return frame(2, varint(1 << 3) + varint(1) + varint(2 << 3 | 2) + varint(len(inner)) + inner)


class Strangers(unittest.TestCase):
    def test_an_absurd_term_of_a_stranger_changes_nothing(self):
        with Cluster(flags=QUICK) as cluster:
            cluster.wait_healthy()
            term = cluster.leader().status()["term"]
            name = cluster.nodes[0].status()["clusterId"].encode()
            for node in cluster.nodes:
                to = int(member(cluster, node.name, node)["incarnation"])
                with socket.create_connection(("127.0.0.1", node.cluster_port), 5) as link:
                    link.sendall(frame(1, greeting(0x1234, name)) + raft_heartbeat(0x1234, to, 1 << 62))
                    link.settimeout(5)
                    self.assertEqual(link.recv(4), b"DBCF", "the node sends its greeting")
                wait_until(lambda: "is not known as a member" in node.log_tail(), 5,
                           "the node logs the stranger")
            holds_for(lambda: all(n.status()["term"] == term for n in cluster.nodes), 1,
                      "the term stays")
            cluster.write("after", 1)


if __name__ == "__main__":
    unittest.main()
