"""Tests the API over TLS with tokens: three real nodes, the first token made offline, tokens of the
cluster, roles, SIGHUP, and that no secret is in any file."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import unittest

from certificates import SecureNode, certs, offline_token, secure_all
from harness import CLEAN, CONTROL, PROGRAM, Cluster, free_ports, wait_until

TOKEN = re.compile(r"dbt_[0-9a-f]{12}_[0-9a-f]{64}")


def make_certificate(directory):
    """An authority, and a certificate for the API: the paths of all three files."""
    certs(directory, "create-ca")
    certs(directory, "create-node", "api")
    return (os.path.join(directory, each) for each in ("ca.crt", "api.crt", "api.key"))


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cluster = Cluster(start=False)
        cls.directory = cluster.directory
        cls.secrets = []
        cls.authority, cls.certificate, cls.key = make_certificate(cls.directory)
        cls.files = {}
        for node in cluster.nodes:
            node.__class__ = SecureNode
            node.authority = cls.authority
            cls.files[node] = os.path.join(cls.directory, node.name + ".tokens")
            node.flags += [f"--api-tls-cert={cls.certificate}", f"--api-tls-key={cls.key}",
                           f"--api-token-file={cls.files[node]}"]
        cls.admin = cls.offline(cls.files[cluster.nodes[0]], "admin", "first")
        for node in cluster.nodes[1:]:
            with open(cls.files[cluster.nodes[0]]) as lines, open(cls.files[node], "w") as copy:
                copy.write(lines.read())
        for node in cluster.nodes:
            node.token = cls.admin
        cluster.__enter__()
        cluster.start()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    @classmethod
    def offline(cls, file, role, name):
        token = offline_token(file, role, name)
        assert TOKEN.fullmatch(token), token
        cls.secrets.append(token)
        return token

    def control(self, *words, token=None, node=None, code=0):
        node = node or self.cluster.nodes[0]
        environment = {**CLEAN, "DATABRIDGE_API": f"https://127.0.0.1:{node.api_port}",
                       "DATABRIDGE_CA": self.authority}
        if token:
            path = os.path.join(self.directory, "ctl-token")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(token + "\n")
            environment["DATABRIDGE_TOKEN_FILE"] = path
        done = subprocess.run([CONTROL, *words], capture_output=True, text=True, timeout=30,
                              env=environment)
        if os.path.exists(os.path.join(self.directory, "ctl-token")):
            os.remove(os.path.join(self.directory, "ctl-token"))
        self.assertEqual(done.returncode, code, (words, done))
        return done.stdout if code == 0 else done.stderr

    def make(self, role, *more, node=None):
        token = self.control("token", "create", "--role", role, *more, token=self.admin,
                             node=node).strip()
        self.assertRegex(token, TOKEN)
        self.secrets.append(token)
        return token

    def status_with(self, node, token, method="GET", path="/api/cluster/nodes", body=None):
        return node.api(method, path, body, {"Authorization": f"Bearer {token}"}).status

    @staticmethod
    def text(path):
        with open(path) as file:
            return file.read()

    def follower(self):
        leader = self.cluster.leader()
        return next(node for node in self.cluster.nodes if node is not leader)

    def test_a_token_is_made_on_one_node_and_counts_on_all(self):
        first, second, third = self.cluster.nodes
        token = self.make("operate", "--name", "ci", "--expires", "90d", node=second)
        for node in self.cluster.nodes:
            wait_until(lambda: self.status_with(node, token) == 200, 5, "the token counts")
            self.assertEqual(self.status_with(node, token, "GET", "/api/cluster/tokens"), 403)
        listed = self.control("token", "list", token=self.admin, node=third)
        self.assertRegex(listed, rf"(?m)^{token[4:16]} +ci +operate +\S+Z +\S+Z$")
        self.assertNotIn(token, listed)

        self.make("admin")  # The last token of the cluster could not be revoked.
        self.control("token", "revoke", token[4:16], token=self.admin, node=first)
        for node in self.cluster.nodes:
            wait_until(lambda: self.status_with(node, token) == 401, 1, "the token is refused")

    def test_each_role_may_do_its_part_and_no_more(self):
        node = self.follower()  # Writes are forwarded to the leader.
        read, operate = self.make("read"), self.make("operate")
        for token in (read, operate):
            wait_until(lambda: self.status_with(node, token) == 200, 5, "the token counts")
        write = ("PUT", "/api/cluster/config/role", {"value": 1})
        self.assertEqual(self.status_with(node, read, *write), 403)
        self.assertEqual(self.status_with(node, operate, *write), 200)
        self.assertEqual(self.status_with(node, operate, "GET", "/api/cluster/snapshot"), 403)
        self.assertEqual(self.status_with(node, self.admin, "GET", "/api/cluster/snapshot"), 200)
        self.assertEqual(node.api("GET", "/healthz", headers={"Authorization": None}).status, 200)
        self.assertEqual(node.api("GET", "/metrics", headers={"Authorization": None}).status, 401)
        # The event of the write names the client, on every node, and so does the log a refusal.
        for other in self.cluster.nodes:
            event = wait_until(lambda: next((e for e in other.get(
                "/api/cluster/events?limit=10000")["events"] if e["data"].get("key") == "role"),
                None), 5, "the event is there")
            self.assertEqual((event["data"]["by"], event["data"]["byAddress"]),
                             (operate[4:16], "127.0.0.1"))
        # A check changes nothing, and there is an event that says who asked for it.
        self.assertEqual(self.status_with(node, operate, "POST",
                                          f"/api/cluster/nodes/{node.name}/check"), 200)
        # So it is for the backup that the admin has taken.
        asked = [(e["data"]["action"], e["data"]["subject"], e["data"]["by"], e["data"]["byAddress"])
                 for e in node.get("/api/cluster/events?limit=10000")["events"]
                 if e["type"] == "action_asked"]
        self.assertEqual(asked, [("backup", node.name, f"first ({self.admin[4:16]})", "127.0.0.1"),
                                 ("node_check", node.name, operate[4:16], "127.0.0.1")])
        self.assertIn(f"audit: refused PUT /api/cluster/config/role by {read[4:16]}",
                      node.log_tail(400))
        wait_until(lambda: f" {operate[4:16]}\n" in self.text(node.access_log), 5, "the access log")
        self.assertRegex(self.text(node.access_log),
                         rf"PUT /api/cluster/config/role 403 \S+ \S+ {read[4:16]}\n")

    def test_an_event_says_who_asked_a_node_to_join(self):
        with Cluster(start=False) as cluster:
            secure_all(cluster)
            first, second = cluster.nodes[:2]
            for node in (first, second):
                node.seeds = []
                node.start()
            for node in (first, second):
                wait_until(lambda: node.status()["leader"], 20, node.name + " leads a cluster alone")
            answer = second.api("POST", "/api/cluster/join",
                                {"seeds": [f"127.0.0.1:{first.cluster_port}"]}, timeout=20)
            self.assertEqual(answer.status, 200, answer)
            for node in (first, second):
                asked = wait_until(lambda: [e["data"] for e in node.get(
                    "/api/cluster/events?limit=10000")["events"] if e["type"] == "action_asked"], 10,
                    "the event is there")
                self.assertEqual([(e["action"], e["subject"], e["byAddress"]) for e in asked],
                                 [("join", second.name, "127.0.0.1")])
                self.assertRegex(asked[0]["by"], r"^test \([0-9a-f]{12}\)$")

    def test_a_token_file_is_shown_as_json(self):
        path = os.path.join(self.directory, "json.tokens")
        run = [CONTROL, "-o", "json", "token"]
        made = json.loads(subprocess.run(
            [*run, "create", "--file", path, "--role", "operate", "--name", "ci", "--expires", "1h"],
            check=True, capture_output=True, text=True, timeout=20, env=CLEAN).stdout)
        self.assertRegex(made["token"], TOKEN)
        listed = json.loads(subprocess.run([*run, "list", "--file", path], check=True, timeout=20,
                                           capture_output=True, text=True, env=CLEAN).stdout)
        [token] = listed["tokens"]
        self.assertEqual((token["id"], token["name"], token["role"]), (made["id"], "ci", "operate"))
        self.assertLess(token["createdAt"], token["expiresAt"])

    def test_ctl_says_what_to_do(self):
        self.assertIn("--token-file", self.control("status", code=1))
        self.assertIn("needs the role admin",
                      self.control("token", "list", token=self.make("read"), code=1))
        plain = subprocess.run([CONTROL, "--api", f"http://127.0.0.1:{self.cluster.nodes[0].api_port}",
                                "status"], capture_output=True, text=True, timeout=30, env=CLEAN)
        self.assertEqual(plain.returncode, 1)
        self.assertIn("use https://", plain.stderr)
        stranger = subprocess.run(
            [CONTROL, "--api", f"https://127.0.0.1:{self.cluster.nodes[0].api_port}", "status"],
            capture_output=True, text=True, timeout=30, env=CLEAN)
        self.assertEqual(stranger.returncode, 1)
        self.assertIn("--ca", stranger.stderr)

    def test_a_reload_changes_tokens_and_certificate_under_a_stream(self):
        node = self.cluster.nodes[0]
        self.make("admin")  # The last token of the cluster could not be revoked.
        kept = self.make("read")
        wait_until(lambda: self.status_with(node, kept) == 200, 5, "the token counts")
        with contextlib.closing(node.connect(timeout=20)) as connection:
            connection.request("GET", "/api/cluster/events", headers={
                "Accept": "text/event-stream", "Authorization": f"Bearer {kept}"})
            stream = connection.getresponse()
            self.assertEqual(stream.status, 200)
            added = self.offline(self.files[node], "read", "added")
            self.assertEqual(self.status_with(node, added), 401)
            certs(self.directory, "create-node", "api", "--replace")
            node.signal(signal.SIGHUP)

            def shown():
                return ssl.get_server_certificate(("127.0.0.1", node.api_port))
            with open(self.certificate) as file:
                wanted = ssl.PEM_cert_to_DER_cert(file.read())
            wait_until(lambda: ssl.PEM_cert_to_DER_cert(shown()) == wanted, 5, "the new certificate")
            wait_until(lambda: self.status_with(node, added) == 200, 5, "the added token counts")
            # The stream goes on under the old certificate.
            self.assertEqual(node.put_config("stream", 1).status, 200)
            text = b""
            while b'"key":"stream"' not in text:
                piece = stream.readline()
                self.assertTrue(piece, text)
                text += piece
            # It ends when its token is revoked.
            self.control("token", "revoke", kept[4:16], token=self.admin, node=node)
            while stream.readline():
                pass
        # A file that is broken changes nothing, and the log says so.
        with open(self.files[node], "a") as file:
            file.write("nonsense\n")
        size = node.log_size()
        node.signal(signal.SIGHUP)
        wait_until(lambda: "what was read before stays in force" in node.log_since(size), 5, "a line")
        self.assertEqual(self.status_with(node, added), 200)
        done = subprocess.run([CONTROL, "token", "list", "--file", self.files[node]],
                              capture_output=True, text=True, timeout=20, env=CLEAN)
        self.assertIn("six words are needed", done.stderr)
        with open(self.files[node]) as file:
            lines = file.read().replace("nonsense\n", "")
        with open(self.files[node], "w") as file:
            file.write(lines)
        subprocess.run([CONTROL, "token", "revoke", added[4:16], "--file", self.files[node]],
                       check=True, capture_output=True, timeout=20, env=CLEAN)
        node.signal(signal.SIGHUP)
        wait_until(lambda: self.status_with(node, added) == 401, 5, "the added token is refused")

    def test_tokens_survive_a_restart(self):
        token = self.make("read", "--name", "lasting")
        node = self.follower()
        wait_until(lambda: self.status_with(node, token) == 200, 5, "the token counts")
        self.assertEqual(node.terminate(), 0)
        node.start()
        wait_until(lambda: self.status_with(node, token) == 200, 15, "the token counts again")
        for other in self.cluster.nodes:
            self.assertEqual(self.status_with(other, token), 200)

    def test_handshakes_that_fail_are_noted_and_harm_nobody(self):
        node = self.cluster.nodes[1]
        size = node.log_size()
        silent = [socket.create_connection(("127.0.0.1", node.api_port)) for _ in range(100)]
        for each in silent[:50]:
            each.sendall(b"\x16\x03\x01\x02\x00" + os.urandom(300))
        for each in silent[50:70]:
            each.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(node.put_config("handshakes", 1).status, 200)
        for each in silent:
            each.close()
        wait_until(lambda: "a TLS handshake with 127.0.0.1 has failed" in node.log_since(size), 5,
                   "a line about handshakes")
        metrics = node.api("GET", "/metrics").body.decode()
        self.assertRegex(metrics, r'databridge_api_tls_handshakes_total\{result="failed"\} [1-9]')

    def test_zz_no_secret_is_in_any_file(self):
        self.assertGreater(len(self.secrets), 5)
        wrong = self.secrets[-1][:-1] + ("0" if self.secrets[-1][-1] != "0" else "1")
        for node in self.cluster.nodes:
            self.assertEqual(self.status_with(node, wrong), 401)
            self.assertEqual(node.api("GET", f"/api/cluster/nodes?token={wrong}").status, 422)
            self.assertEqual(node.terminate(), 0)
        looked = 0
        for folder, _, names in os.walk(self.directory):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                looked += 1
                for secret in [*self.secrets, wrong]:
                    self.assertNotIn(secret[17:].encode(), content, os.path.join(folder, name))
        self.assertGreater(looked, 20)


class OneNode(unittest.TestCase):
    def test_files_that_cannot_be_used_stop_the_start(self):
        with Cluster(count=1, start=False) as cluster:
            directory = cluster.directory
            _, certificate, key = make_certificate(directory)
            tokens = os.path.join(directory, "tokens")
            with open(tokens, "w") as file:
                file.write("not a token\n")
            for flags, words in (
                    ([f"--api-token-file={tokens}"], "line 1: six words"),
                    ([f"--api-token-file={tokens}-none"], "cannot open"),
                    ([f"--api-tls-cert={key}", f"--api-tls-key={certificate}"], "certificate"),
                    ([f"--api-tls-cert={certificate}"], "needs its key")):
                ports = free_ports(2)
                done = subprocess.run(
                    [PROGRAM, f"--port={ports[0]}", f"--cluster-bind-port={ports[1]}",
                     f"--data-dir={directory}/data", *flags], capture_output=True, text=True,
                    timeout=20, env=CLEAN)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(words, done.stdout + done.stderr)

    def test_the_first_token_of_a_cluster_closes_loopback(self):
        with Cluster(count=1) as cluster:
            node = cluster.nodes[0]
            self.assertEqual(node.api("POST", "/api/cluster/tokens", {"role": "read"}).status, 422)
            made = node.api("POST", "/api/cluster/tokens", {"role": "admin", "name": "me"})
            self.assertEqual(made.status, 201)
            self.assertEqual(node.api("GET", "/api/cluster/nodes").status, 401)
            bearer = {"Authorization": f"Bearer {made.json['token']}"}
            self.assertEqual(node.api("GET", "/api/cluster/nodes", headers=bearer).status, 200)
            # It stays closed: the last token cannot be revoked.
            kept = node.api("DELETE", f"/api/cluster/tokens/{made.json['id']}", headers=bearer)
            self.assertEqual(kept.status, 422)
            self.assertIn("make another one", kept.json["detail"])
            self.assertEqual(node.api("GET", "/api/cluster/nodes").status, 401)


if __name__ == "__main__":
    unittest.main()
