"""The section "Two machines" of the README, as a new user types it: its commands run in three network
namespaces with the addresses that it names. The machine of the user has no node."""

import os
import re
import subprocess
import unittest

from harness import BUILD, CLEAN, PROGRAM, ROOT, NetworkedCluster, wait_until

# Copies files to the home directory of that machine, with the modes that they have, as scp does.
SCP = """#!/bin/sh -e
for last; do :; done
case "$last" in *:) ;; *) echo "no machine: $last" >&2; exit 1;; esac
while [ $# -gt 1 ]; do cp "$1" "$MACHINES/${last%:}/"; shift; done
"""


def blocks_of_the_readme():
    """The commands of the section: they prepare, start node-1, start node-2, and use the cluster."""
    with open(os.path.join(ROOT, "README.md")) as file:
        section = file.read().split("\n## Two machines\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.S)


class TwoMachines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prepare, *cls.starts, cls.use = blocks_of_the_readme()
        cls.cluster = NetworkedCluster(start=False)
        cls.cluster.__enter__()
        try:
            cls.follow_the_readme()
        except BaseException:
            cls.cluster.__exit__(AssertionError, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    @classmethod
    def follow_the_readme(cls):
        assert len(cls.starts) == 2, cls.starts
        *nodes, user = cls.cluster.nodes
        cls.nodes, cls.namespace = nodes, user.namespace
        cls.homes = {node: os.path.join(cls.cluster.directory, node.bind) for node in cls.cluster.nodes}
        cls.home = cls.homes[user]
        tools = os.path.join(cls.cluster.directory, "tools")
        for directory in (tools, *cls.homes.values()):
            os.mkdir(directory)
        with open(os.open(tools + "/scp", os.O_WRONLY | os.O_CREAT, 0o755), "w") as file:
            file.write(SCP)
        cls.environment = {**CLEAN, "PATH": f"{BUILD}:{tools}:{CLEAN['PATH']}",
                           "MACHINES": cls.cluster.directory, "HOME": cls.home}
        cls.said = cls.shell(cls.prepare).stdout
        for node, start in zip(nodes, cls.starts):
            with open(node.log_path, "ab") as log:
                node.process = subprocess.Popen(
                    ["ip", "netns", "exec", node.namespace, "sh", "-ec", start], cwd=cls.homes[node],
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                    env=cls.environment)
        first = cls.use.split("\n")[0]
        wait_until(lambda: re.search("nodes +2 healthy of 2", cls.shell(first, check=False).stdout), 15,
                   "both nodes are members and healthy")
        cls.shown = cls.shell(cls.use).stdout

    @classmethod
    def shell(cls, text, check=True):
        """Runs commands on the machine of the user."""
        done = subprocess.run(["ip", "netns", "exec", cls.namespace, "sh", "-ec", text], cwd=cls.home,
                              capture_output=True, text=True, timeout=60, env=cls.environment)
        assert done.returncode == 0 or not check, done
        return done

    def refused(self, command, *words):
        done = self.shell(command, check=False)
        self.assertNotEqual(done.returncode, 0, done)
        for each in words:
            self.assertIn(each, done.stderr)

    def test_both_nodes_are_members(self):
        self.assertRegex(self.shown, "nodes +2 healthy of 2")
        for node in self.nodes:
            self.assertRegex(self.shown, rf"(?m)^{node.name} .*healthy.* {node.bind}:8090")
            self.assertIn(f"--cluster-bind-address={node.bind}", self.starts[self.nodes.index(node)])

    def test_what_the_third_machine_writes_is_there_on_both(self):
        self.assertIn('"hello"', self.shown)
        self.assertRegex(self.shown, r"(?m)^\S+ +source .*node-[12]")
        for node in self.nodes:
            api = f"databridgectl --api https://{node.bind}:8080 --ca certs/ca.crt --token-file admin.token "
            self.assertIn("hello", self.shell(api + "config get greeting").stdout)
            wait_until(lambda api=api: self.shell(api + "assignments").stdout.count(" running ") == 2, 15,
                       "both processors run")
        wait_until(lambda: any("HELLO" in node.log_tail(500) for node in self.nodes), 10,
                   "the flow writes to the log")

    def test_strangers_are_refused_in_words(self):
        api = "databridgectl --api https://10.0.1.1:8080 "
        trust = api + "--ca certs/ca.crt "
        self.shell("umask 077; databridgectl token create --role admin --file other > wrong.token")
        self.refused(trust + "--token-file wrong.token status", "token")
        self.refused(trust + "status", "--token-file")
        self.refused(api + "--token-file admin.token status", "--ca")
        self.refused("databridgectl --api http://10.0.1.1:8080 --token-file admin.token status", "https://")
        for flags, words in (("", "give the three files --cluster-tls-ca"),
                             ("--cluster-tls-ca=x/ca.crt --cluster-tls-cert=x/node-3.crt "
                              "--cluster-tls-key=x/node-3.key", "another authority")):
            self.shell("rm -rf data x; databridgectl certs create-ca --dir x; "
                       "databridgectl certs create-node node-3 --dir x")
            log = os.path.join(self.cluster.directory, "stranger.log")
            with open(log, "w") as out:
                stranger = subprocess.Popen(
                    ["ip", "netns", "exec", self.namespace, PROGRAM, "--cluster-enabled=true",
                     "--cluster-bind-address=10.0.1.3", "--cluster-seeds=10.0.1.1:8090", *flags.split()],
                    cwd=self.home, stdout=out, stderr=out, env=self.environment)
            try:
                def told(words=words):
                    with open(log) as text:
                        return words in text.read()
                wait_until(told, 10, f"it is told: {words}")
            finally:
                stranger.kill()
                stranger.wait()
        self.assertRegex(self.shell(trust + "--token-file admin.token status").stdout,
                         "nodes +2 healthy of 2")

    def test_no_secret_of_the_user_is_on_a_node(self):
        self.assertIn("this key grants membership in the cluster: only that node may have it", self.said)
        for node in self.nodes:
            files = os.listdir(self.homes[node])
            self.assertEqual(sorted(files), sorted(["ca.crt", f"{node.name}.crt", f"{node.name}.key",
                                                    "data", "tokens"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
