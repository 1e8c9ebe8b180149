"""Five nodes, each in a network of its own. The API has a second network that no fault touches.

Each node talks to the others at 10.77.0.x and serves its API at 10.78.0.x, in a network namespace
of its own. All of these are connected to the namespace in which the harness runs, so an ordinary
HTTP client reaches every node.
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import harness  # noqa: E402
import shim  # noqa: E402

INSIDE = "DATABRIDGE_CHAOS_NETWORK"


def ip(*arguments, check=True):
    return harness.run("ip", *arguments, check=check)


def enter():
    """Starts this program again in a network namespace of its own, and removes the namespace at the
    end."""
    if os.environ.get(INSIDE):
        return
    switch = f"dbchaos{os.getpid()}"
    ip("netns", "add", switch)
    try:
        for bridge, address in (("data", "10.77.0.254/24"), ("api", "10.78.0.254/24")):
            ip("-n", switch, "link", "add", bridge, "type", "bridge")
            ip("-n", switch, "link", "set", bridge, "up")
            ip("-n", switch, "addr", "add", address, "dev", bridge)
        ip("-n", switch, "link", "set", "lo", "up")
        code = subprocess.run(["ip", "netns", "exec", switch, sys.executable, *sys.argv],
                              env={**os.environ, INSIDE: switch}).returncode
    finally:
        for line in ip("netns", "list").stdout.splitlines():
            name = line.split()[0] if line else ""
            if name == switch or name.startswith(switch + "-"):
                for pid in ip("netns", "pids", name, check=False).stdout.split():
                    subprocess.run(["kill", "-9", pid], check=False)
                ip("netns", "del", name, check=False)
    sys.exit(code)


class Node(harness.Node):
    """A node whose clocks, disk and network can be made to fail."""

    def __init__(self, number, directory, library, seeds, flags):
        super().__init__(f"node-{number}", directory, 8090, 8080, seeds, bind=f"10.77.0.{number}",
                         flags=[*flags, f"--api-address=10.78.0.{number}", "--insecure-network"])
        self.number, self.switch = number, os.environ[INSIDE]
        self.namespace = f"{self.switch}-{number}"
        self.api_host = f"10.78.0.{number}"
        faults = shim.Shim(library, os.path.join(directory, self.name + ".control"))
        self.wrapper = faults.wrapper
        self.jump, self.drift, self.spoil_disk = faults.jump, faults.drift, faults.spoil_disk
        self.ends = []  # The exit codes of its processes that a later start has replaced.

    def api(self, method, path, body=None, headers=None, timeout=5.0):
        return harness.call(self.api_port, method, path, body, headers, timeout, host=self.api_host)

    def connect(self):
        ip("netns", "add", self.namespace)
        for bridge, address in (("data", self.bind), ("api", self.api_host)):
            outer = f"{bridge}{self.number}"
            ip("-n", self.switch, "link", "add", outer, "type", "veth", "peer", "name", bridge,
               "netns", self.namespace)
            ip("-n", self.switch, "link", "set", outer, "master", bridge, "up")
            ip("-n", self.namespace, "addr", "add", address + "/24", "dev", bridge)
            ip("-n", self.namespace, "link", "set", bridge, "up")
        ip("-n", self.namespace, "link", "set", "lo", "up")

    # ---- Network

    def plug(self, connected):
        ip("-n", self.switch, "link", "set", f"data{self.number}", "up" if connected else "down")

    def _rules(self, rules):
        subprocess.run(["ip", "netns", "exec", self.namespace, "nft", "-f", "-"], input=rules,
                       text=True, check=True, capture_output=True)

    def deaf_to(self, others, reset=False):
        verdict = "tcp dport 0-65535 reject with tcp reset" if reset else "drop"
        self._rules("".join(
            "add table inet chaos\n"
            "add chain inet chaos incoming { type filter hook input priority 0; }\n"
            f"add rule inet chaos incoming ip saddr {other.bind} {verdict}\n" for other in others))

    def mute_to(self, others):
        self._rules("".join(
            "add table inet chaos\n"
            "add chain inet chaos outgoing { type filter hook output priority 0; }\n"
            f"add rule inet chaos outgoing ip daddr {other.bind} drop\n" for other in others))

    def heal(self):
        harness.run("ip", "netns", "exec", self.namespace, "nft", "delete", "table", "inet", "chaos",
                    check=False)
        self.plug(True)

    def restart(self):
        """Starts the node again if it has ended, with a right disk and right clocks."""
        if self.alive:
            return
        self.ends.append(self.process.returncode)
        self.spoil_disk()
        self.jump(0)
        self.drift(0)
        self.start()


class World(harness.Cluster):
    def __init__(self, count=5, flags=()):
        self.directory = tempfile.mkdtemp(prefix="databridge-chaos-", dir="/var/tmp")
        library = shim.build(self.directory)
        addresses = [f"10.77.0.{i}:8090" for i in range(1, count + 1)]
        self.nodes = [Node(i + 1, self.directory, library,
                           [a for a in addresses if a != addresses[i]], flags) for i in range(count)]
        self.start_at_entry = True

    def __enter__(self):
        for node in self.nodes:
            node.connect()
        return super().__enter__()

    def heal(self):
        """Ends all faults, but starts no process again."""
        for node in self.nodes:
            node.heal()
            node.spoil_disk()
            node.jump(0)
            if node.alive:
                node.thaw()
