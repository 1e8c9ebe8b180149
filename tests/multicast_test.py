"""Discovery by multicast: three network namespaces on a bridge, without any seeds."""

import os
import subprocess
import sys
import unittest

from harness import NetworkedCluster, run, wait_until

FLAGS = ["--cluster-discovery=multicast"]
GROUP, PORT = "239.255.80.90", 8099

# Runs inside a namespace: takes COUNT announcements from the group, and prints them in hex.
LISTEN = f"""
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("{GROUP}", {PORT}))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
             socket.inet_aton("{GROUP}") + socket.inet_aton(sys.argv[1]))
s.settimeout(10)
for _ in range(int(sys.argv[2])):
    print(s.recv(2048).hex())
"""
# Runs inside a namespace: sends the datagrams that come in hex to the group.
SEND = f"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
for line in sys.stdin:
    s.sendto(bytes.fromhex(line.strip()), ("{GROUP}", {PORT}))
"""


def inside(node, script, *arguments, given=None):
    done = subprocess.run(["ip", "netns", "exec", node.namespace, sys.executable, "-c", script,
                           node.bind, *map(str, arguments)], input=given, capture_output=True,
                          text=True, timeout=20, check=True)
    return done.stdout.split()


def announcement(incarnation, counter, host, port, node, cluster=""):
    """An announcement without a join token (docs/discovery.md)."""
    texts = b"".join(bytes([len(text)]) + text.encode() for text in (host, node, cluster))
    body = (b"DBan" + bytes([1, 0]) + incarnation.to_bytes(8, "little") +
            counter.to_bytes(8, "little") + port.to_bytes(2, "little") + texts)
    return body + crc32c(body).to_bytes(4, "little")


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def without_seeds(cluster, flags=()):
    for node in cluster.nodes:
        node.seeds = []
        node.flags = [*FLAGS, *flags]
    return cluster


class Multicast(unittest.TestCase):
    def test_three_nodes_find_each_other_and_a_fourth_joins(self):
        with without_seeds(NetworkedCluster(count=4, start=False)) as cluster:
            late = cluster.nodes[3]
            for node in cluster.nodes[:3]:
                node.start()
            cluster.wait_formed(deadline=5, size=3)
            late.start()
            cluster.wait_formed(deadline=5, size=4)
            # A network interface goes down. Nobody loses the other members, and the node finds back.
            cut = cluster.others(cluster.leader())[0]
            interface = f"dbe{cluster.tag}{cluster.nodes.index(cut) + 1}"
            run("ip", "-n", cut.namespace, "link", "set", interface, "down")
            wait_until(lambda: "announcements do not go out" in cut.log_tail(200), 5, "it is said")
            cluster.write("x", 1, nodes=cluster.others(cut), deadline=20)
            run("ip", "-n", cut.namespace, "link", "set", interface, "up")
            wait_until(lambda: "announcements go out again" in cut.log_tail(200), 5, "it is back")
            wait_until(lambda: cut.config_value("x") == 1, 20, "the node is back")
            # All are killed. They find each other again.
            for node in cluster.nodes:
                node.kill9()
            for node in cluster.nodes:
                node.start()
            cluster.wait_formed(deadline=15, size=4)

    def test_strangers_on_the_network_do_no_harm(self):
        with without_seeds(NetworkedCluster(start=False)) as cluster:
            first, second, third = cluster.nodes
            first.start()
            captured = inside(first, LISTEN, 1)[0]
            second.start()
            wait_until(lambda: "2 of 3 founders" in first.status().get("note", ""), 5,
                       "two have found each other")
            garbage = [os.urandom(n % 700 + 1).hex() for n in range(300)]
            # Addresses where no node is, and a node of another cluster.
            nowhere = [announcement(n + 1, 1, "10.0.1.200", n + 1, f"ghost-{n}").hex()
                       for n in range(200)]
            foreign = announcement(999, 1, "10.0.1.3", 9999, "alien", "0123456789abcdef").hex()
            inside(third, SEND, given="\n".join([*garbage, *nowhere]))
            third.start()
            cluster.wait_formed(deadline=5)
            inside(third, SEND, given="\n".join([foreign, captured]))
            for node in cluster.nodes:
                wait_until(lambda at=node: "alien at 10.0.1.3:9999 belongs to the cluster "
                           "0123456789abcdef" in at.log_tail(200), 5, "it names the stranger")
            wait_until(lambda: "a copy of an earlier announcement of node node-1" in
                       second.log_tail(400), 5, "it notes the copy")
            inside(third, SEND, given=foreign)
            self.assertEqual(first.log_tail(400).count("clusters never merge"), 1)
            cluster.write("x", 1)

    def test_with_a_join_token_only_its_owners_are_heard(self):
        with without_seeds(NetworkedCluster(count=4, start=False)) as cluster:
            tokens = {}
            for name in ("ours", "other"):
                tokens[name] = os.path.join(cluster.directory, name)
                with open(tokens[name], "w") as file:
                    file.write(f"{name} {'0123456789abcdef' * 2}\n")
                os.chmod(tokens[name], 0o600)
            *ours, stranger = cluster.nodes
            for node in ours:
                node.flags = [*FLAGS, f"--cluster-join-token-file={tokens['ours']}"]
            stranger.flags = [*FLAGS, f"--cluster-join-token-file={tokens['other']}"]
            stranger.start()
            for node in ours:
                node.start()
            wait_until(lambda: all(node.status()["totalNodes"] == 3 and node.leader()
                                   for node in ours), 5, "one cluster of three")
            for node in (*ours, stranger):
                wait_until(lambda at=node: "proves another join token" in at.log_tail(200), 5,
                           "the other's announcements are refused in words")
            self.assertIsNone(stranger.status()["clusterId"])
            for node in cluster.nodes:
                for name in tokens:
                    self.assertNotIn(f"{name} 0123456789", node.log_tail(1000))

    def test_an_interface_that_is_not_there_stops_the_start(self):
        with without_seeds(NetworkedCluster(count=1, start=False)) as cluster:
            node = cluster.nodes[0]
            config = os.path.join(cluster.directory, "config.yaml")
            with open(config, "w") as file:
                file.write("cluster: {multicast: {interface: nowhere0}}\n")
            node.flags = [*FLAGS, f"--config={config}"]
            node.start()
            wait_until(lambda: not node.alive, 10, "it ends")
            self.assertIn("cluster.multicast.interface", node.log_tail())
            # A member of a cluster starts without its source.
            lost, node.flags = node.flags, [*FLAGS, "--cluster-bootstrap-expect=1"]
            node.start()
            wait_until(lambda: node.status()["status"] == "healthy", 10, "it founds alone")
            node.terminate()
            node.flags = lost
            node.start()
            wait_until(lambda: node.status()["status"] == "healthy", 10, "it serves")
            wait_until(lambda: "announcements do not go out" in node.log_tail(), 5, "it is said")


if __name__ == "__main__":
    unittest.main(verbosity=2)
