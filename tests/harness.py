"""Runs real `databridge` processes for tests: starts and watches them, makes them fail, and always
ends them.

All waiting is done with wait_until(condition, deadline): a fixed sleep is too long or too short. A
test that fails prints the last lines of every node's log. Only the standard library is used.
"""

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("DATABRIDGE_BUILD") or os.path.join(ROOT, "build", "release")
PROGRAM = os.path.join(BUILD, "databridge")
CONTROL = os.path.join(BUILD, "databridgectl")
CONFIG = "/api/cluster/config/"
# The settings in the environment of the user who runs the tests do not reach the nodes.
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("DATABRIDGE_")}


class Timeout(AssertionError):
    pass


def wait_until(condition, deadline, what, every=0.02):
    """Polls until condition() is true, and returns its value. An unreachable node means "not
    yet"."""
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, http.client.HTTPException, KeyError) as problem:
            last = problem
        if time.monotonic() >= end:
            raise Timeout(f"not within {deadline} s: {what} (last seen: {last!r})")
        time.sleep(every)


def holds_for(condition, seconds, what, every=0.05):
    """Checks again and again, for this many seconds, that condition() is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            raise AssertionError(f"did not hold for {seconds} s: {what}")
        time.sleep(every)


def free_ports(count):
    """Free ports below the ephemeral range, so that no outgoing connection can use one of them."""
    found = []
    for port in random.sample(range(20000, 32000), 4000):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The `code` of a problem document, or None."""
        try:
            return self.json.get("code")
        except (ValueError, AttributeError):
            return None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def call(port, method, path, body=None, headers=None, timeout=5.0, host="127.0.0.1"):
    """Sends one request on a connection of its own. `body` is None, bytes, or a value to send as
    JSON."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Node:
    """A node with its data directory. The object outlives the process: start() again is a
    restart."""

    def __init__(self, name, directory, cluster_port, api_port, seeds, bind="127.0.0.1",
                 namespace=None, flags=()):
        self.name = name
        self.cluster_port, self.api_port = cluster_port, api_port
        self.bind, self.namespace = bind, namespace
        self.data_dir = os.path.join(directory, name)
        self.log_path = os.path.join(directory, name + ".log")
        self.access_log = os.path.join(directory, name + "-access.log")
        self.seeds, self.flags = list(seeds), list(flags)
        self.process = None
        self.stopped = False
        self.wrapper = ()  # These words go in front of the command at every start.
        self.program = PROGRAM  # Another build may run here.

    def command(self):
        # Without a flag of the test, flows may use files anywhere below the directory of the test.
        roots = [] if any(flag.startswith("--file-root") for flag in self.flags) else \
            [f"--file-root={os.path.dirname(self.data_dir)}"]
        return [self.program, "--cluster-enabled=true", f"--cluster-node-id={self.name}",
                f"--cluster-bind-address={self.bind}", f"--cluster-bind-port={self.cluster_port}",
                f"--cluster-seeds={','.join(self.seeds)}", f"--port={self.api_port}",
                f"--data-dir={self.data_dir}", f"--api-access-log={self.access_log}", *roots,
                *self.flags]

    def start(self, wrapper=None):
        assert self.process is None or self.process.poll() is not None, self.name + " runs already"
        inside = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*inside, *(self.wrapper if wrapper is None else wrapper),
                                             *self.command()], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True, env=CLEAN)
        self.stopped = False
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def kill9(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self):
        self.signal(signal.SIGSTOP)
        self.stopped = True

    def thaw(self):
        self.signal(signal.SIGCONT)
        self.stopped = False

    def terminate(self, deadline=10):
        """Ends the process with SIGTERM, as an operator would, and returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout=deadline)

    def api(self, method, path, body=None, headers=None, timeout=5.0):
        if self.namespace:
            return call_inside(self.namespace, self.api_port, method, path, body, headers, timeout)
        return call(self.api_port, method, path, body, headers, timeout)

    def get(self, path, timeout=5.0):
        answer = self.api("GET", path, timeout=timeout)
        assert answer.status == 200, (self.name, path, answer)
        return answer.json

    def status(self):
        return self.get("/api/cluster/status", timeout=2.0)

    def leader(self):
        """The leader's id as this node sees it, or None."""
        answer = self.api("GET", "/api/cluster/leader", timeout=2.0)
        return answer.json["leader"] if answer.status == 200 else None

    def put_config(self, key, value, timeout=5.0, headers=None):
        return self.api("PUT", CONFIG + key, {"value": value}, headers, timeout)

    def config_value(self, key, linearizable=False):
        answer = self.api("GET", CONFIG + key + ("?consistency=linearizable" if linearizable else ""))
        return answer.json["value"] if answer.status == 200 else None

    def log_tail(self, lines=60):
        try:
            with open(self.log_path, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except OSError as problem:
            return str(problem)

    def log_size(self):
        return os.path.getsize(self.log_path)

    def log_since(self, size):
        """The text after the first `size` bytes of the log. Earlier runs of the node wrote
        those."""
        with open(self.log_path, errors="replace") as log:
            log.seek(size)
            return log.read()

    def broke(self):
        """Whether a process of this node has ended by itself in a way that no input may cause."""
        last = self.process and self.process.poll()
        if last in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
            return True
        try:
            with open(self.log_path, errors="replace") as log:
                return " CHECK(" in log.read()
        except OSError:
            return False

    def resident_kb(self, field="VmRSS"):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field + ":"))

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cluster(contextlib.AbstractContextManager):
    """`count` nodes on loopback, with the default timeouts unless `flags` set others."""

    def __init__(self, count=3, flags=(), start=True):
        self.directory = tempfile.mkdtemp(prefix="databridge-test-")
        ports = free_ports(2 * count)
        addresses = [f"127.0.0.1:{port}" for port in ports[:count]]
        self.nodes = [
            Node(f"node-{i + 1}", self.directory, ports[i], ports[count + i],
                 [a for a in addresses if a != addresses[i]], flags=flags)
            for i in range(count)]
        self.start_at_entry = start

    def __enter__(self):
        if self.start_at_entry:
            self.start()
        return self

    def start(self):
        """Starts a cluster that was made with start=False. The test sets the nodes' flags before
        that."""
        for node in self.nodes:
            node.start()
        self.wait_formed()

    def __exit__(self, kind, problem, trace):
        broken = [node.name for node in self.nodes if node.broke()]
        if kind is not None or broken:
            for node in self.nodes:
                state = "alive" if node.alive else f"exit {node.process and node.process.poll()}"
                print(f"--- {node.name} ({state})\n{node.log_tail()}", file=sys.stderr)
        for node in self.nodes:
            if node.alive:
                with contextlib.suppress(OSError):
                    os.killpg(node.pid, signal.SIGKILL)
                node.process.wait()
        self.clean_up()
        shutil.rmtree(self.directory, ignore_errors=True)
        # A test may pass although a node crashed, because the other nodes go on.
        assert kind is not None or not broken, f"ended by a fault of their own: {broken}"
        return False

    def clean_up(self):
        pass

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    @property
    def running(self):
        return [node for node in self.nodes if node.alive and not node.stopped]

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def leader(self, deadline=15, among=None):
        """The node that all running nodes (or all of `among`) name as the leader."""
        def agreed():
            asked = among or self.running
            names = {node.leader() for node in asked}
            if len(names) != 1 or None in names:
                return None
            found = self.node(names.pop())
            return found if found in asked else None
        return wait_until(agreed, deadline, "all nodes agree on a living leader")

    def wait_formed(self, deadline=15, size=None):
        size = size or len(self.nodes)

        def formed():
            views = [node.status() for node in self.running]
            return (len({view["clusterId"] for view in views}) == 1
                    and len({view["leader"] for view in views}) == 1 and views[0]["leader"]
                    and all(view["totalNodes"] == size for view in views))
        wait_until(formed, deadline, f"one cluster of {size}")

    def wait_healthy(self, deadline=20):
        wait_until(lambda: all(node.status()["healthyNodes"] == len(self.nodes)
                               for node in self.running), deadline, "every node healthy")

    def write(self, key, value, deadline=15, nodes=None):
        """Writes until a node accepts, and returns (node, answer). All attempts have one
        Idempotency-Key, so the write takes effect once."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        accepted = []

        def attempt():
            for node in nodes or self.running:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    answer = node.put_config(key, value, timeout=3.0, headers=headers)
                    if answer.status == 200:
                        accepted.append((node, answer))
                        return True
            return False
        wait_until(attempt, deadline, f"a write of {key} is accepted")
        return accepted[0]

    def put_flow(self, flow, text):
        answer = self.running[0].api("PUT", "/api/cluster/flows/" + flow, text.encode(),
                                     {"Content-Type": "application/yaml"}, timeout=20)
        assert answer.status in (200, 201), answer

    def assignment(self, name, node=None):
        """The assignment of the processor of that name, as a running node sees it."""
        listed = (node or self.running[0]).get("/api/cluster/assignments?limit=10000")
        return next((a for a in listed["assignments"] if a["name"] == name), None)

    def wait_running(self, *names, deadline=20, on=None, among=None):
        """Waits until these processors run (on the node `on`, if given). Returns their
        assignments."""
        def run_now():
            seen = [self.assignment(name, among) for name in names]
            return all(a and a["state"] == "running" and (on is None or a["nodeId"] == on)
                       for a in seen) and seen
        return wait_until(run_now, deadline, f"running: {', '.join(names)}")

    def move(self, name, node):
        """Moves the processor of that name to `node`, and waits until it runs there. Returns its
        assignment."""
        assignment = self.assignment(name)
        if assignment["nodeId"] != node.name:
            moved = self.running[0].api(
                "POST", f"/api/cluster/processors/{assignment['processorId']}/move",
                {"nodeId": node.name}, timeout=20)
            assert moved.status in (200, 202), moved
        return self.wait_running(name, on=node.name)[0]

    def lead(self, node):
        """Has the present leader hand over to `node`, and waits until `node` leads."""
        answer = node.api("POST", "/api/cluster/leader/transfer", {"nodeId": node.name}, timeout=30)
        assert answer.status == 200 or self.leader() is node, answer
        wait_until(lambda: self.leader() is node, 10, f"{node.name} leads")
        return node

    def wait_same_state(self, deadline=15):
        """Waits until all running nodes show one version and one state hash. Returns the hash."""
        def same():
            views = [node.status() for node in self.running]
            return (len({view["version"] for view in views}) == 1
                    and len({view["stateHash"] for view in views}) == 1 and views[0]["stateHash"])
        return wait_until(same, deadline, "equal state hashes at one version")


# --- Networks for tests: namespaces on a bridge --------------------------------------------------

def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


def call_inside(namespace, port, method, path, body=None, headers=None, timeout=5.0):
    """Does the same as call() from within a network namespace, which has a loopback of its own."""
    script = ("import sys, json; sys.path.insert(0, sys.argv[1]); import harness\n"
              "a = json.load(sys.stdin)\n"
              "b = a['body'].encode('latin-1') if a['body'] is not None else None\n"
              "r = harness.call(a['port'], a['method'], a['path'], b, a['headers'], a['timeout'])\n"
              "json.dump([r.status, list(r.headers.items()), r.body.decode('latin-1')], sys.stdout)\n")
    sent = dict(headers or {})
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
        body = body.decode("latin-1") if isinstance(body, bytes) else json.dumps(body)
    question = json.dumps({"port": port, "method": method, "path": path, "body": body,
                           "headers": sent, "timeout": timeout})
    done = subprocess.run(["ip", "netns", "exec", namespace, sys.executable, "-c", script,
                           os.path.dirname(os.path.abspath(__file__))],
                          input=question, capture_output=True, text=True, timeout=timeout + 10)
    if done.returncode != 0:
        raise OSError(done.stderr.strip().splitlines()[-1] if done.stderr else "no answer")
    status, pairs, text = json.loads(done.stdout)
    return Answer(status, dict(pairs), text.encode("latin-1"))


@contextlib.contextmanager
def lone_namespace():
    """A network with a loopback and nothing else: all ports are free in it, also the default ones.
    Processes that still run in it at the end are killed."""
    name = f"dblone{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        for pid in run("ip", "netns", "pids", name).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", name)


class NetworkedCluster(Cluster):
    """Nodes in network namespaces of their own, on one bridge: 10.0.1.1, 10.0.1.2, … port 8090."""

    def __init__(self, count=3, flags=(), start=True):
        super().__init__(count, flags, start)
        self.tag = f"{os.getpid() % 10000:04d}"
        self.bridge = "dbbr" + self.tag
        self.interfaces = {}
        addresses = [f"10.0.1.{i + 1}" for i in range(count)]
        for i, node in enumerate(self.nodes):
            node.namespace = f"dbns{self.tag}-{i + 1}"
            node.bind, node.cluster_port, node.api_port = addresses[i], 8090, 8080
            node.seeds = [f"{a}:8090" for a in addresses if a != addresses[i]]
        # The bridge is in a namespace, too, so that the machine's own routes do not change.
        self.switch = "dbsw" + self.tag

    def __enter__(self):
        try:
            self.build_network()
        except BaseException:
            self.clean_up()
            raise
        try:
            return super().__enter__()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def build_network(self):
        run("ip", "netns", "add", self.switch)
        inside = ("ip", "-n", self.switch)
        run(*inside, "link", "add", self.bridge, "type", "bridge")
        run(*inside, "link", "set", self.bridge, "up")
        for i, node in enumerate(self.nodes):
            here, there = f"dbp{self.tag}{i + 1}", f"dbe{self.tag}{i + 1}"
            self.interfaces[node.name] = here
            run("ip", "netns", "add", node.namespace)
            run(*inside, "link", "add", here, "type", "veth", "peer", "name", there, "netns",
                node.namespace)
            run(*inside, "link", "set", here, "master", self.bridge, "up")
            run("ip", "-n", node.namespace, "link", "set", "lo", "up")
            run("ip", "-n", node.namespace, "addr", "add", f"{node.bind}/24", "dev", there)
            run("ip", "-n", node.namespace, "link", "set", there, "up")

    def clean_up(self):
        for node in self.nodes:
            run("ip", "netns", "del", node.namespace, check=False)
        run("ip", "netns", "del", self.switch, check=False)

    def cut(self, node):
        """Takes the node's interface down, as if its cable was pulled. The others hear nothing of
        it."""
        run("ip", "-n", self.switch, "link", "set", self.interfaces[node.name], "down")

    def mend(self, node):
        run("ip", "-n", self.switch, "link", "set", self.interfaces[node.name], "up")

    def reset_between(self, node, other):
        """A firewall on `node` that answers everything from and to `other` with a TCP reset."""
        rules = (f"table inet dbwall {{\n"
                 f" chain incoming {{ type filter hook input priority 0;\n"
                 f"  ip saddr {other.bind} tcp dport 0-65535 reject with tcp reset; }}\n"
                 f" chain outgoing {{ type filter hook output priority 0;\n"
                 f"  ip daddr {other.bind} tcp flags & rst == 0 reject with tcp reset; }}\n"
                 f"}}\n")
        subprocess.run(["ip", "netns", "exec", node.namespace, "nft", "-f", "-"], input=rules,
                       text=True, check=True, capture_output=True)

    def open_wall(self, node):
        run("ip", "netns", "exec", node.namespace, "nft", "delete", "table", "inet", "dbwall",
            check=False)
