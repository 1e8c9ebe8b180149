"""Bad input of every kind: the node answers with a clear error, nothing is lost, and no other node
or client is disturbed."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

from harness import CONTROL, Cluster, Node, call, free_ports, run, wait_until


def raw(port, data, timeout=10.0, until_closed=True):
    """Sends bytes unchanged, and returns the answer up to the moment when the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        got = b""
        with contextlib.suppress(ConnectionError, socket.timeout):
            connection.sendall(data)
            while until_closed:
                part = connection.recv(65536)
                if not part:
                    break
                got += part
        return got


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def golden_greeting():
    """A well-formed greeting from a member of another cluster (docs/frame-format.md)."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(here, "src", "platform", "testdata", "frames.hex")) as file:
        digits = re.search(r"greeting:((?:\s+[0-9a-f]+)+)", file.read())[1]
    return bytes.fromhex("".join(digits.split()))


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.cluster.__enter__()
        cls.cluster.write("kept", "value")
        cls.node = cls.cluster.leader()
        cls.other = cls.cluster.others(cls.node)[0]

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    def tearDown(self):
        """After each attack, all nodes still serve, and nothing has changed."""
        for node in self.cluster.nodes:
            self.assertTrue(node.alive, node.name + "\n" + node.log_tail())
            self.assertEqual(node.config_value("kept", linearizable=True), "value")

    def refused(self, answer, *statuses):
        self.assertIn(answer.status, statuses, answer)
        self.assertEqual(answer.headers.get("Content-Type"), "application/problem+json", answer)
        for field in ("type", "title", "status", "detail", "code"):
            self.assertIn(field, answer.json)
        self.assertEqual(answer.json["status"], answer.status)

    def test_bodies(self):
        port, path = self.node.api_port, "/api/cluster/config/k"
        for body, status in [
                (b"", 400), (b"{", 400), (b"{\"value\":1}}", 400), (b"\x00\xff\xfe", 400),
                (b'{"value":"\xff"}', 400), (b"[" * 100000, 400), (b'{"value":1e99999}', 400),
                (b"[]", 422), (b'"text"', 422), (b"{}", 422), (b'{"valeu":1}', 422),
                (b'{"value":1,"more":2}', 422)]:
            with self.subTest(body=body[:40]):
                answer = call(port, "PUT", path, body)
                self.assertIn(answer.status, (400, 422), answer)
                self.refused(answer, answer.status)
        self.assertIsNone(self.node.config_value("k"))

    def test_types_and_names(self):
        cases = [
            ("POST", "/api/cluster/processors", {"type": 7}, (400, 422)),
            ("POST", "/api/cluster/processors", {"type": "NoSuchThing"}, (422,)),
            ("POST", "/api/cluster/processors", {"type": "LogAttribute", "colour": 1}, (422,)),
            ("PUT", "/api/cluster/strategy", {"strategy": "best"}, (422,)),
            ("GET", "/api/cluster/nodes/nobody", None, (404,)),
            ("DELETE", "/api/cluster/nodes/nobody", None, (404,)),
            ("DELETE", "/api/cluster/processors/00000000-0000-7000-8000-000000000000", None, (404,)),
            ("GET", "/api/cluster/config/nothing-here", None, (404,)),
            ("GET", "/api/cluster/nowhere", None, (404,)),
            ("GET", "/api/cluster/nodes/%ff%00", None, (400, 404, 422)),
            ("PATCH", "/api/cluster/nodes", None, (405,)),
            ("POST", "/api/cluster/join", {"seeds": "x"}, (400, 422)),
            ("POST", "/api/cluster/rebalance", {"planId": "none"}, (404, 409, 422)),
        ]
        for method, path, body, statuses in cases:
            with self.subTest(path=path, body=body):
                self.refused(call(self.node.api_port, method, path, body, timeout=20), *statuses)

    def test_foreign_hosts_origins_and_content_types(self):
        port = self.node.api_port
        body = b'{"value":1}'
        self.refused(call(port, "GET", "/api/cluster/status", headers={"Host": "evil.example"}),
                     400, 403, 421)
        self.refused(call(port, "PUT", "/api/cluster/config/k", body,
                          headers={"Origin": "http://evil.example"}), 403)
        self.refused(call(port, "PUT", "/api/cluster/config/k", body,
                          headers={"Content-Type": "text/plain"}), 415)

    def test_a_body_of_100_mb(self):
        head = (f"PUT /api/cluster/config/k HTTP/1.1\r\nHost: 127.0.0.1:{self.node.api_port}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {100 << 20}\r\n\r\n").encode()
        before = self.node.resident_kb()
        with socket.create_connection(("127.0.0.1", self.node.api_port), 30) as client:
            answers, sent = [], 0
            reader = threading.Thread(target=lambda: answers.append(client.recv(4096)), daemon=True)
            reader.start()
            client.sendall(head + b'{"value":"')
            with contextlib.suppress(OSError):  # The node need not read a body that it refuses.
                while sent < 100 << 20:
                    sent += client.send(b"a" * (1 << 20))
            reader.join(30)
        self.assertIn(b" 413 ", answers[0].split(b"\r\n")[0])
        self.assertLess(self.node.resident_kb() - before, 40 << 10)

    def test_broken_http(self):
        port = self.node.api_port
        for text in [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
                     b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                     b"PUT /api/cluster/config/k HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                     b"PUT /api/cluster/config/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: \rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n"]:
            with self.subTest(text=text[:30]):
                with contextlib.suppress(OSError):
                    answer = raw(port, text, timeout=1.0)
                    self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0])

    def test_a_thousand_silent_connections_and_slow_clients(self):
        silent = []
        try:
            for _ in range(1000):
                silent.append(socket.create_connection(("127.0.0.1", self.node.api_port), 5))
            for each in silent[:100]:
                each.sendall(b"GET /api/cluster/status HT")  # The rest never comes.
            self.assertEqual(self.node.status()["totalNodes"], 3)
            self.assertEqual(self.other.put_config("meanwhile", 1).status, 200)
        finally:
            for each in silent:
                each.close()

    def test_a_thousand_silent_connections_on_the_cluster_port(self):
        silent = []
        try:
            for _ in range(1000):
                silent.append(socket.create_connection(("127.0.0.1", self.node.cluster_port), 5))
            self.assertEqual(self.other.put_config("meanwhile.2", 1).status, 200)
            self.assertEqual(self.cluster.leader().name, self.node.name)
        finally:
            for each in silent:
                each.close()

    def test_garbage_on_the_cluster_port(self):
        for data in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 4096, b"\xff" * 4096,
                     os.urandom(65536), struct.pack("<I", 0xffffffff) + b"x" * 100,
                     struct.pack(">I", 1 << 30), b""]:
            with self.subTest(data=data[:20]):
                raw(self.node.cluster_port, data, timeout=0.5)
        term = self.node.status()["term"]
        self.assertEqual(self.cluster.leader().name, self.node.name)
        self.assertEqual(self.node.status()["term"], term)

    def test_frames_of_another_cluster_and_of_a_newer_version(self):
        """Such frames are whole and have a right checksum. The farewell says why they are refused,
        and the cluster is not disturbed."""
        foreign = golden_greeting()
        self.assertEqual(struct.pack("<I", crc32c(foreign[:12] + foreign[16:])), foreign[12:16])
        newer = bytearray(foreign)
        newer[4] += 1
        newer[12:16] = struct.pack("<I", crc32c(bytes(newer[:12] + newer[16:])))
        term = self.node.status()["term"]
        for frame, word in [(foreign, b"cluster"), (bytes(newer), b"version")]:
            with socket.create_connection(("127.0.0.1", self.node.cluster_port), timeout=5) as link:
                link.sendall(frame)
                answer = b""
                while word not in answer:
                    more = link.recv(4096)
                    self.assertTrue(more, f"closed without a word about the {word.decode()}: {answer}")
                    answer += more
        self.assertEqual(self.node.status()["term"], term)
        self.assertEqual(self.node.status()["status"], "healthy")

    def test_a_stranger_is_not_let_in(self):
        """A node of another cluster names this cluster as its seed. Both sides refuse it, and
        neither cluster changes."""
        with Cluster(count=1) as foreign:
            stranger = foreign.nodes[0]
            stranger.put_config("mine", 1)
            answer = stranger.api("POST", "/api/cluster/join",
                                  {"seeds": [f"127.0.0.1:{self.node.cluster_port}"]}, timeout=30)
            self.refused(answer, 409)
            self.assertEqual(stranger.status()["totalNodes"], 1)
            self.assertEqual(self.node.status()["totalNodes"], 3)


    def test_flows_that_are_well_formed_and_impossible(self):
        kind = {"Content-Type": "application/yaml"}
        for text, status in [(b"processors: [", 400), (b"a: 1\na: 2\n", 400), (b"a: \xff", 400),
                             (b"processors: []", 422), (b"colour: red", 422), (b"[]", 422),
                             (b"name: " + b"n" * 300 + b"\nprocessors: [{name: a, type: LogAttribute}]", 422)]:
            with self.subTest(text=text[:30]):
                answer = call(self.node.api_port, "PUT", "/api/cluster/flows/f", text, headers=kind)
                self.refused(answer, status)
                self.assertRegex(answer.json["detail"], "line [0-9]+, column [0-9]+: ")
        self.refused(call(self.node.api_port, "PUT", "/api/cluster/flows/f", b"processors: []",
                          headers={**kind, "If-Match": "3"}), 422)

    def test_a_processor_of_no_flow(self):
        for node in self.cluster.nodes:
            self.refused(node.api("POST", "/api/cluster/processors",
                                  {"type": "LogAttribute", "flowId": "nope"}, timeout=20), 422)

    def test_the_answer_of_a_check_shows_what_came_of_it(self):
        for node in (self.node, self.other):
            path = f"/api/cluster/nodes/{self.other.name}"
            before = wait_until(lambda: node.get(path)["lastHeartbeat"], 10, "the node was heard")
            answer = node.api("POST", path + "/check", timeout=10)
            self.assertEqual(answer.status, 200, answer)
            self.assertGreater(answer.json["lastHeartbeat"], before)

    def test_the_answers_of_stop_and_start_show_what_came_of_them(self):
        path = "/api/cluster/processors/22222222-2222-4222-8222-222222222222"
        wanted = {"id": path[-36:], "name": "log", "type": "LogAttribute"}
        self.assertEqual(self.node.api("POST", path[:-37], wanted, timeout=10).status, 201)
        def state():
            return self.other.get(path)["state"]
        wait_until(lambda: state() == "running", 20, "the processor runs")
        for node in (self.node, self.other):
            answer = node.api("POST", path + "/stop", timeout=10)
            self.assertEqual(answer.status, 200, answer)
            self.assertIn(answer.json["state"], ("stopping", "unassigned"))
            wait_until(lambda: state() == "unassigned", 10, "the processor has stopped")
            answer = node.api("POST", path + "/start", timeout=10)
            self.assertEqual(answer.status, 200, answer)
            self.assertIn(answer.json["state"], ("assigned", "starting", "running"))
            self.assertEqual(node.api("POST", path + "/start", timeout=10).status, 200)
            wait_until(lambda: state() == "running", 10, "the processor runs again")
        self.assertEqual(self.node.api("DELETE", path, timeout=10).status, 200)

    def test_the_answer_of_a_transfer_names_the_new_leader(self):
        for asked in self.cluster.nodes:
            def hand_over(asked=asked):
                new = self.cluster.others(self.cluster.leader())[0]
                answer = asked.api("POST", "/api/cluster/leader/transfer", {"nodeId": new.name}, timeout=30)
                # A transfer may fail: on a busy machine the test may have to ask for it again.
                return answer.status not in (503, 504) and (answer, new)
            answer, new = wait_until(hand_over, 90, "leadership is handed over")
            self.assertEqual((answer.status, answer.json.get("leader")), (200, new.name), answer)
        type(self).node = self.cluster.leader()
        type(self).other = self.cluster.others(self.node)[0]


class Starts(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="databridge-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def lone(self, data_dir, *flags):
        node = Node("lone", self.directory, *free_ports(2), [], flags=flags)
        node.data_dir, node.log_path = data_dir, os.path.join(self.directory, f"{node.api_port}.log")
        self.addCleanup(lambda: node.alive and node.kill9())
        return node

    def ends_with_one_line(self, node, *words, code=1):
        self.assertEqual(node.start().process.wait(timeout=20), code, node.log_tail())
        self.assertEqual(len(node.log_tail().strip().splitlines()), 1, node.log_tail())
        for word in words:
            self.assertIn(word, node.log_tail())

    def test_a_port_in_use_is_named_and_nothing_is_left_behind(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for name in ("api_port", "cluster_port"):
                node = self.lone(os.path.join(self.directory, "data-" + name))
                setattr(node, name, port)
                self.ends_with_one_line(node, f"127.0.0.1:{port}", "in use")
                self.assertFalse(os.path.exists(node.data_dir))

    def test_a_data_directory_of_a_newer_version(self):
        node = self.lone(os.path.join(self.directory, "data"))
        os.mkdir(node.data_dir)
        with open(os.path.join(node.data_dir, "format"), "w") as file:
            file.write("databridge data format 99\n")
        self.ends_with_one_line(node, "99", code=2)

    def test_silent_connections_that_take_every_descriptor_keep_nobody_out(self):
        node = self.lone(os.path.join(self.directory, "data"))
        node.wrapper = ("prlimit", "--nofile=300:300")
        node.start()
        wait_until(lambda: node.status()["status"] == "healthy", 10, "the node serves")
        most = node.get("/api/cluster/nodes")["nodes"][0]["capacity"]["maxConnections"]
        self.assertLess(most, 300)
        with contextlib.ExitStack() as silent:
            for i in range(600):
                port = node.api_port if i % 3 else node.cluster_port
                silent.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            for i in range(20):
                self.assertEqual(node.put_config("k", i).status, 200)
            done = run(CONTROL, "--api", f"127.0.0.1:{node.api_port}", "status", check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        for i in range(20):
            self.assertEqual(node.put_config("k", i).status, 200)
        self.assertEqual(node.terminate(), 0, node.log_tail())

    def small_disk(self, size):
        disk = os.path.join(self.directory, "disk")
        os.mkdir(disk)
        done = run("mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", disk, check=False)
        self.assertEqual(done.returncode, 0, "a small disk needs root and the right to mount: " + done.stderr)
        self.addCleanup(run, "umount", "-l", disk, check=False)
        return disk

    def test_a_disk_without_room_is_refused(self):
        self.ends_with_one_line(self.lone(self.small_disk("100k")), "free space")

    def test_a_disk_that_fills_up_ends_the_node_with_a_word(self):
        disk = self.small_disk("40m")
        node = self.lone(os.path.join(disk, "data")).start()
        wait_until(lambda: node.put_config("k", 1).status == 200, 10, "the node takes writes")
        with open(os.path.join(disk, "other"), "wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
                file.flush()
        with contextlib.suppress(OSError, http.client.HTTPException):
            for _ in range(1000):
                node.put_config("k", "x" * 200000)
        self.assertEqual(node.process.wait(timeout=20), 1, node.log_tail())
        # A thread of the store's library may be faster and fail with an assertion. This is logged,
        # too.
        self.assertRegex(node.log_tail(), "No space left on device|the store's library gave up")

    def test_a_share_of_the_disk_can_be_kept_free(self):
        disk = self.small_disk("128m")
        with open(os.path.join(disk, "other"), "wb") as file:
            file.write(b"x" * (64 << 20))
        config = os.path.join(self.directory, "node.yaml")
        with open(config, "w") as file:
            file.write("node: {diskFreeMin: 80%}\n")
        node = self.lone(os.path.join(disk, "data"), "--config=" + config).start()
        def state():
            answer = node.api("GET", "/api/cluster/nodes/lone")
            return answer.status == 200 and (answer.json["state"], answer.json["stateReason"])
        wait_until(lambda: state() == ("degraded", "disk_full"), 20,
                   "the node says that too little is free")

    def test_the_status_warns_of_what_is_not_encrypted(self):
        node = self.lone(os.path.join(self.directory, "data"), "--insecure-network",
                         "--cluster-advertise-address=127.0.0.1")
        node.bind = "0.0.0.0"
        node.start()
        wait_until(node.status, 10, "the node serves")
        warnings = node.status()["warnings"]
        self.assertTrue(any("not encrypted" in warning for warning in warnings), warnings)

    def test_databridgectl_tells_that_there_is_no_quorum(self):
        node = self.lone(os.path.join(self.directory, "data"), "--cluster-bootstrap-expect=2")
        node.start()
        wait_until(node.status, 10, "the node serves")
        done = subprocess.run([CONTROL, "--api", f"127.0.0.1:{node.api_port}", "status"],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 3, done)
        self.assertIn("no_quorum", done.stdout)


class DamagedStore(unittest.TestCase):
    def damage(self, how):
        acknowledged = {f"k{i}": f"{i}-" + "x" * 200 for i in range(30)}
        with Cluster() as cluster:
            for key, value in acknowledged.items():
                cluster.write(key, value)
            victim = cluster.others(cluster.leader())[0]
            first = self.incarnation(cluster, victim)
            victim.kill9()
            files = []
            for folder, _, names in os.walk(victim.data_dir):
                files += [os.path.join(folder, n) for n in names
                          if n.endswith((".log", ".sst")) and os.path.getsize(os.path.join(folder, n))]
            self.assertTrue(files, "a store without files")
            how(max(files, key=os.path.getsize))
            said_before = victim.log_size()
            victim.start()

            # The records of its promises are damaged, so it must not go on under its incarnation.
            self.assertEqual(victim.process.wait(timeout=30), 1, victim.log_tail())
            words = victim.log_since(said_before)
            self.assertIn(victim.data_dir, words)
            self.assertNotIn("CHECK(", words)
            cluster.write("still", 1)
            for node in cluster.running:
                self.has_all(node, acknowledged)
            shutil.rmtree(victim.data_dir)
            victim.start()
            wait_until(lambda: victim.config_value("still") == 1, 20,
                       "the node is back with an empty disk")
            self.assertNotEqual(self.incarnation(cluster, victim), first)
            self.has_all(victim, acknowledged)

    def incarnation(self, cluster, node):
        return cluster.leader(among=cluster.others(node)).get(
            "/api/cluster/nodes/" + node.name)["incarnation"]

    def has_all(self, node, acknowledged):
        self.assertEqual({key: node.config_value(key, linearizable=True) for key in acknowledged},
                         acknowledged)

    def test_a_truncated_store_is_refused_and_its_node_comes_back_empty(self):
        self.damage(lambda path: os.truncate(path, os.path.getsize(path) // 2))

    def test_a_bit_flipped_store_is_refused_and_its_node_comes_back_empty(self):
        def flip(path):
            with open(path, "r+b") as file:
                middle = os.path.getsize(path) // 2
                file.seek(middle)
                byte = file.read(1)[0]
                file.seek(middle)
                file.write(bytes([byte ^ 0x10]))
        self.damage(flip)


if __name__ == "__main__":
    unittest.main(verbosity=2)
