"""Discovery by an etcd server, which is started, killed and frozen by these tests."""

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from harness import CLEAN, Cluster, call, free_ports, holds_for, wait_until


class Etcd(contextlib.AbstractContextManager):
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="databridge-etcd-")
        self.port, self.peer_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def __enter__(self):
        return self.start()

    def start(self):
        peer = f"http://127.0.0.1:{self.peer_port}"
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(
                ["etcd", "--data-dir", os.path.join(self.directory, "data"),
                 "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", "default=" + peer], stdout=log, stderr=log,
                env={**CLEAN, "ETCD_UNSUPPORTED_ARCH": os.uname().machine.replace("aarch64", "arm64")})
        # etcd 3.4 has no /readyz. A linearizable read says that it serves.
        wait_until(lambda: self.nodes() is not None, 15, "etcd answers a linearizable read")
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def range(self, begin, end):
        answer = call(self.port, "POST", "/v3/kv/range",
                      {"key": base64.b64encode(begin.encode()).decode(),
                       "range_end": base64.b64encode(end.encode()).decode()})
        assert answer.status == 200, answer
        return [base64.b64decode(kv["key"]).decode() for kv in answer.json.get("kvs", [])]

    def nodes(self, name="default"):
        return self.range(f"/databridge/{name}/nodes/", f"/databridge/{name}/nodes0")

    def put(self, key, value):
        answer = call(self.port, "POST", "/v3/kv/put",
                      {"key": base64.b64encode(key.encode()).decode(),
                       "value": base64.b64encode(value.encode()).decode()})
        assert answer.status == 200, answer

    def delete(self, key):
        answer = call(self.port, "POST", "/v3/kv/deleterange",
                      {"key": base64.b64encode(key.encode()).decode()})
        assert answer.status == 200, answer


def with_etcd(cluster, endpoints, flags=()):
    for node in cluster.nodes:
        node.seeds = []
        node.flags = ["--cluster-discovery=etcd", f"--cluster-etcd-endpoints={endpoints}", *flags]
    return cluster


class WithoutWatches:
    """A proxy before etcd that passes all requests on, but ends each connection with a watch."""

    def __init__(self, port):
        self.target, self.watches = port, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            with contextlib.suppress(OSError):
                client = self.server.accept()[0]
                etcd = socket.create_connection(("127.0.0.1", self.target))
                for pair in ((client, etcd), (etcd, client)):
                    threading.Thread(target=self.copy, args=pair, daemon=True).start()

    def copy(self, source, to):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if data.startswith(b"POST /v3/watch"):
                    self.watches += 1
                    break
                to.sendall(data)
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Discovery(unittest.TestCase):
    def test_deleted_keys_come_back_and_ended_watches_are_no_outage(self):
        with Etcd() as etcd:
            proxy = WithoutWatches(etcd.port)
            with with_etcd(Cluster(start=False), etcd.url) as cluster:
                cluster.nodes[0].flags[1] = f"--cluster-etcd-endpoints={proxy.url}"
                for node in cluster.nodes:
                    node.start()
                cluster.wait_formed(deadline=10)
                wait_until(lambda: proxy.watches >= 3, 10, "the watch is made again")
                etcd.delete(etcd.nodes()[-1])
                self.assertEqual(len(etcd.nodes()), 2)
                wait_until(lambda: len(etcd.nodes()) == 3, 20, "the key is back")
                # The pauses grow from 0.25 s to 5 s, and libcurl tries each twice.
                self.assertLess(proxy.watches, 40)
                for node in cluster.nodes:
                    self.assertNotIn("etcd does not answer", node.log_tail(500))

    def test_nodes_find_each_other_and_a_dead_etcd_harms_nobody(self):
        with Etcd() as etcd, with_etcd(Cluster(count=4, start=False), etcd.url) as cluster:
            late = cluster.nodes[3]
            for node in cluster.nodes[:3]:
                node.start()
            cluster.wait_formed(deadline=5, size=3)
            self.assertEqual(len(etcd.nodes()), 3)
            etcd.kill()
            for node in cluster.running:
                wait_until(lambda at=node: "etcd does not answer" in at.log_tail(200), 15,
                           "it warns of the loss")
            cluster.write("x", 1, deadline=2)
            cluster.leader().kill9()
            cluster.write("y", 2, deadline=5)
            late.start()
            wait_until(late.status, 10, "it serves")
            holds_for(lambda: late.status()["clusterId"] is None, 2, "it finds nobody, and founds none")
            etcd.start()
            cluster.wait_formed(deadline=10, size=4)
            for node in cluster.running:
                wait_until(lambda at=node: "etcd answers again" in at.log_tail(200), 10, "it is back")
                self.assertEqual(node.log_tail(500).count("etcd does not answer"), 1)
            # A node that ends in order takes its key away at once.
            late.terminate()
            wait_until(lambda: len(etcd.nodes()) == 2, 12, "its key is gone, and that of the dead")

    def test_an_etcd_that_hangs_and_one_that_is_not_there(self):
        dead = free_ports(1)[0]
        with Etcd() as etcd, \
                with_etcd(Cluster(start=False),
                          f"http://127.0.0.1:{dead}/orders,{etcd.url}") as cluster:
            for node in cluster.nodes:
                node.start()
            cluster.wait_formed(deadline=5)
            self.assertEqual(len(etcd.nodes("orders")), 3)
            self.assertNotIn("etcd does not answer", cluster.nodes[0].log_tail(200))
            etcd.process.send_signal(signal.SIGSTOP)
            for node in cluster.nodes:
                wait_until(lambda at=node: "etcd does not answer" in at.log_tail(200), 20,
                           "it warns of the loss")
            cluster.write("x", 1, deadline=2)
            self.assertEqual(cluster.others(cluster.leader())[0].terminate(deadline=10), 0)
            etcd.process.send_signal(signal.SIGCONT)
            for node in cluster.running:
                wait_until(lambda at=node: "etcd answers again" in at.log_tail(200), 15, "it is back")
                wait_until(lambda: len(etcd.nodes("orders")) == 2, 15, "the keys are back")

    def test_other_keys_and_another_cluster_are_told_apart(self):
        with Etcd() as etcd, with_etcd(Cluster(count=4, start=False), etcd.url) as cluster:
            alien = cluster.nodes[3]
            flags, alien.flags = alien.flags, []
            alien.start()
            wait_until(lambda: alien.status()["status"] == "healthy", 10, "it founds alone")
            etcd.put("/databridge/default/nodes/junk", "not a node")
            for node in cluster.nodes[:3]:
                node.start()
            wait_until(lambda: all(node.status()["totalNodes"] == 3 for node in cluster.nodes[:3]),
                       5, "one cluster of three")
            alien.kill9()
            alien.flags = flags
            alien.start()
            for node in cluster.nodes:
                wait_until(lambda at=node: "clusters never merge" in at.log_tail(200), 10,
                           "each says that there is another cluster")
            self.assertEqual(len({node.status()["clusterId"] for node in cluster.nodes}), 2)
            self.assertIn("1 keys under /databridge/default/nodes/ that no node wrote",
                          cluster.nodes[0].log_tail(200))


if __name__ == "__main__":
    unittest.main(verbosity=2)
