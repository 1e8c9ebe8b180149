"""Static discovery: lists of seeds that name all nodes or some, names, and lists that cannot found
a cluster."""

import contextlib
import os
import unittest

from harness import Cluster, Timeout, holds_for, lone_namespace, wait_until


@contextlib.contextmanager
def named_hosts(names):
    """A network with a loopback of its own, in which these names stand for these addresses. Gives
    (namespace, set_names)."""
    with lone_namespace() as namespace:
        folder = f"/etc/netns/{namespace}"
        os.makedirs(folder)

        def set_names(known):
            # The file stays the same one, since it is mounted over /etc/hosts.
            with open(f"{folder}/hosts", "w") as hosts:
                hosts.write("127.0.0.1 localhost\n" +
                            "".join(f"{ip} {name}\n" for name, ip in known.items()))
        set_names(names)
        with open(f"{folder}/resolv.conf", "w") as servers:
            servers.write("nameserver 127.0.0.250\noptions timeout:1 attempts:1\n")
        try:
            yield namespace, set_names
        finally:
            for file in os.listdir(folder):
                os.remove(os.path.join(folder, file))
            os.rmdir(folder)


class Static(unittest.TestCase):
    def test_ten_nodes_with_the_same_three_seeds_become_one_cluster(self):
        with Cluster(count=10, start=False) as cluster:
            seeds = [f"127.0.0.1:{node.cluster_port}" for node in cluster.nodes[:3]]
            for node in reversed(cluster.nodes):
                node.seeds = seeds  # The first three have their own address in the list.
                node.start()
            cluster.wait_formed(deadline=30)
            wait_until(lambda: cluster.nodes[9].status()["quorum"]["voters"] == 3, 10,
                       "three voters")
            cluster.write("x", 1)
            cluster.wait_same_state()

    def test_a_ring_of_lists_says_that_it_cannot_found(self):
        with Cluster(start=False) as cluster:
            for i, node in enumerate(cluster.nodes):
                node.seeds = [f"127.0.0.1:{cluster.nodes[(i + 1) % 3].cluster_port}"]
                node.start()
            for node in cluster.nodes:
                wait_until(lambda at=node: "give all nodes the same --cluster-seeds" in
                           at.status().get("note", ""), 10, "the node says why there is no cluster")
            self.assertEqual({node.status()["clusterId"] for node in cluster.nodes}, {None})

    def test_clusters_never_merge_and_say_so(self):
        with Cluster(count=2, start=False) as cluster:
            one, other = cluster.nodes
            one.seeds = other.seeds = []
            for node in cluster.nodes:
                node.start()
                wait_until(lambda at=node: at.status()["status"] == "healthy", 10, "it founds alone")
            ids = {node.status()["clusterId"] for node in cluster.nodes}
            other.kill9()
            other.seeds = [f"127.0.0.1:{one.cluster_port}"]
            other.start()
            wait_until(lambda: "belongs to cluster" in other.log_tail(), 10, "it names the stranger")
            holds_for(lambda: {node.status()["clusterId"] for node in cluster.nodes} == ids, 2,
                      "two clusters")


class Names(unittest.TestCase):
    def start_named(self, cluster, namespace, ips):
        """All nodes have one list with the names of all, their own included."""
        seeds = [f"{name}:8090" for name in ips]
        for node, ip in zip(cluster.nodes, ips.values()):
            node.namespace, node.bind, node.cluster_port, node.seeds = namespace, ip, 8090, seeds
            node.start()

    def test_names_of_both_families_and_the_own_name_in_the_list(self):
        ips = {"n1.example": "127.0.0.11", "n2.example": "::1", "n3.example": "127.0.0.13"}
        with named_hosts(ips) as (namespace, _), Cluster(start=False) as cluster:
            self.start_named(cluster, namespace, ips)
            cluster.wait_formed(deadline=5)
            cluster.write("x", 1)

    def test_seeds_that_come_up_late_and_a_silent_name_server(self):
        ips = {"n1.example": "127.0.0.11", "n2.example": "127.0.0.12", "n3.example": "127.0.0.13"}
        with named_hosts({}) as (namespace, set_names), Cluster(start=False) as cluster:
            self.start_named(cluster, namespace, ips)
            with self.assertRaises(Timeout):
                cluster.wait_formed(deadline=2)  # No name can be resolved yet.
            set_names(ips)
            cluster.wait_formed(deadline=10)
            # The names are gone again. All nodes start anew, and know the last addresses.
            set_names({})
            for node in cluster.nodes:
                node.kill9()
            for node in cluster.nodes:
                with open(os.path.join(node.data_dir, "addresses")) as book:
                    self.assertIn(".example:8090 127.0.0.1", book.read())
                node.start()
            cluster.wait_formed(deadline=20)
            cluster.write("x", 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
