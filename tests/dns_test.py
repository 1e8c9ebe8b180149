"""Discovery by SRV records: against dnsmasq, and against a server that answers as Consul does."""

import contextlib
import os
import signal
import subprocess
import sys
import unittest

from harness import Cluster, holds_for, lone_namespace, wait_until

NAME = "_databridge._tcp.example"
SERVER = "127.0.0.53"

# Answers SRV questions for databridge.service.consul in the form of Consul's agent: targets in
# another order each time, time to live 0, and the addresses in the additional section. With
# "bare" the addresses must be asked for.
CONSUL = r"""
import random, socket, struct, sys
kind, hosts = sys.argv[1], dict(pair.split("=") for pair in sys.argv[2:])
def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"
def record(owner, kind, data):
    return owner + struct.pack(">HHIH", kind, 1, 0, len(data)) + data
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.53", 53))
while True:
    question, sender = s.recvfrom(512)
    at, parts = 12, []
    while question[at]:
        parts.append(question[at + 1:at + 1 + question[at]].decode().lower())
        at += 1 + question[at]
    asked, wanted = ".".join(parts), struct.unpack(">H", question[at + 1:at + 3])[0]
    nodes, answers, more = list(hosts.items()), [], []
    random.shuffle(nodes)
    for node, place in nodes:
        ip, port = place.split(":")
        full = node + ".node.dc1.consul"
        if asked == "databridge.service.consul" and wanted == 33:
            answers.append(record(b"\xc0\x0c", 33, struct.pack(">HHH", 1, 1, int(port)) + name(full)))
            if kind != "bare":
                more.append(record(name(full), 1, socket.inet_aton(ip)))
        if asked == full and wanted == 1:
            answers.append(record(b"\xc0\x0c", 1, socket.inet_aton(ip)))
    flags = 0x8580 if answers or asked.endswith("consul") else 0x8583
    s.sendto(question[:2] + struct.pack(">HHHHH", flags, 1, len(answers), 0, len(more)) +
             question[12:at + 5] + b"".join(answers) + b"".join(more), sender)
"""


class NameServer:
    """A DNS server in the namespace, which can be replaced by another one."""

    def __init__(self, namespace):
        self.namespace, self.process = namespace, None

    def start(self, *command):
        self.stop()
        self.process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *command],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def dnsmasq(self, nodes, ttl=1):
        records = []
        for node in nodes:
            records += [f"--srv-host={NAME},{node.name}.example,{node.cluster_port},1,5",
                        f"--host-record={node.name}.example,{node.bind}"]
        self.start("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon",
                   "--conf-file=/dev/null", f"--listen-address={SERVER}", "--bind-interfaces",
                   "--pid-file=", "--local=/example/", f"--local-ttl={ttl}", *records)

    def consul(self, kind, nodes):
        self.start(sys.executable, "-c", CONSUL, kind,
                   *(f"{node.name}={node.bind}:{node.cluster_port}" for node in nodes))

    def hang(self):
        """It takes questions, and answers none."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def cluster_and_server(count=3, flags=(), name=NAME):
    """Nodes that are not started, in a network of their own with a DNS server."""
    with lone_namespace() as namespace:
        folder = f"/etc/netns/{namespace}"
        os.makedirs(folder)
        with open(f"{folder}/resolv.conf", "w") as servers:
            servers.write(f"nameserver {SERVER}\n")
        server = NameServer(namespace)
        try:
            with Cluster(count=count, start=False) as cluster:
                for i, node in enumerate(cluster.nodes):
                    node.namespace, node.bind, node.seeds = namespace, f"127.0.0.{11 + i}", []
                    node.flags = ["--cluster-discovery=dns", f"--cluster-dns-name={name}", *flags]
                yield cluster, server
        finally:
            server.stop()
            os.remove(f"{folder}/resolv.conf")
            os.rmdir(folder)


class Dns(unittest.TestCase):
    def test_three_nodes_find_each_other_and_changes_are_followed(self):
        with cluster_and_server(count=4) as (cluster, server):
            *first, third, fourth = cluster.nodes
            server.dnsmasq(first, ttl=3600)
            for node in first:
                node.start()
            for node in first:
                wait_until(lambda at=node: "2 of 3 founders" in at.status().get("note", ""), 10,
                           "two have found each other")
            server.dnsmasq([*first, third], ttl=3600)
            third.start()
            cluster.wait_formed(deadline=5, size=3)
            # A node that is in no record joins, too.
            fourth.start()
            cluster.wait_formed(deadline=5, size=4)
            cluster.write("x", 1)

    def test_a_server_that_hangs_harms_nobody(self):
        with cluster_and_server() as (cluster, server):
            server.dnsmasq(cluster.nodes)
            for node in cluster.nodes:
                node.start()
            cluster.wait_formed(deadline=5)
            server.hang()
            for node in cluster.nodes:
                wait_until(lambda at=node: "DNS does not answer" in at.log_tail(200), 20,
                           "it warns of the loss")
            cluster.write("x", 1, deadline=2)
            # All start again without DNS.
            for node in cluster.nodes:
                self.assertEqual(node.terminate(deadline=10), 0)
            ended = [node.log_size() for node in cluster.nodes]
            for node in cluster.nodes:
                node.start()
            cluster.wait_formed(deadline=10)
            for node, size in zip(cluster.nodes, ended):
                wait_until(lambda at=node, since=size: "DNS does not answer" in at.log_since(since),
                           10, "its first question is in vain")
            begun = [node.log_size() for node in cluster.nodes]
            server.go_on()
            for node, size in zip(cluster.nodes, begun):
                wait_until(lambda at=node, since=size: "DNS answers again" in at.log_since(since),
                           40, "it says that the server is back")
                self.assertLessEqual(node.log_tail(500).count("DNS does not answer"), 2)
            cluster.write("y", 2)

    def test_the_last_answer_is_remembered(self):
        with cluster_and_server(count=2, flags=["--cluster-bootstrap-expect=2"]) as (cluster, server):
            server.dnsmasq(cluster.nodes)
            for node in cluster.nodes:  # Each is alone, and sees both addresses.
                node.start()
                wait_until(lambda at=node: os.path.exists(os.path.join(at.data_dir, "sightings")),
                           10, "it has an answer")
                node.kill9()
            server.hang()
            for node in cluster.nodes:
                node.start()
            cluster.wait_formed(deadline=10)

    def test_a_name_without_records_is_said(self):
        with cluster_and_server(count=1) as (cluster, server):
            server.dnsmasq([])
            node = cluster.nodes[0].start()
            wait_until(lambda: "DNS knows no address of a node under " + NAME in node.log_tail(), 10,
                       "it says so")
            holds_for(lambda: node.log_tail().count("DNS knows no address") == 1, 3, "once")
            server.dnsmasq(cluster.nodes)
            wait_until(lambda: "DNS knows addresses of nodes under " + NAME in node.log_tail(), 10,
                       "it says that this is over")


class Consul(unittest.TestCase):
    def test_nodes_find_each_other_by_its_dns(self):
        for kind in ("full", "bare"):
            with self.subTest(kind), \
                    cluster_and_server(name="databridge.service.consul") as (cluster, server):
                server.consul(kind, cluster.nodes)
                for node in cluster.nodes:
                    node.start()
                cluster.wait_formed(deadline=5)
                cluster.write("x", 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
