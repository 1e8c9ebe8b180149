"""Certificates and tokens for the nodes of a test or a bench."""

import contextlib
import http.client
import json
import os
import ssl
import subprocess

from harness import CLEAN, CONTROL, Answer, Node


def certs(directory, *words):
    """Runs `databridgectl certs`. The files are in `directory`."""
    return subprocess.run([CONTROL, "certs", *words, "--dir", directory], check=True,
                          capture_output=True, text=True, env=CLEAN).stdout


def flags_of(directory, name):
    return [f"--cluster-tls-ca={directory}/ca.crt", f"--cluster-tls-cert={directory}/{name}.crt",
            f"--cluster-tls-key={directory}/{name}.key"]


def secure(cluster):
    """Gives each node of a cluster that is not started yet a certificate. Returns the directory."""
    directory = os.path.join(cluster.directory, "certs")
    certs(directory, "create-ca")
    for node in cluster.nodes:
        certs(directory, "create-node", node.name, node.bind)
        node.flags += flags_of(directory, node.name)
    return directory


class SecureNode(Node):
    """A node whose API speaks TLS and asks for tokens. The methods of Node use `token`."""

    authority = token = None

    def connect(self, timeout=5.0):
        context = ssl.create_default_context(cafile=self.authority)
        return http.client.HTTPSConnection("127.0.0.1", self.api_port, timeout=timeout,
                                           context=context)

    def api(self, method, path, body=None, headers=None, timeout=5.0):
        with contextlib.closing(self.connect(timeout)) as connection:
            sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            sent.update(headers or {})
            if body is not None:
                body = json.dumps(body).encode()
                sent.setdefault("Content-Type", "application/json")
            connection.request(method, path, body=body,
                               headers={k: v for k, v in sent.items() if v is not None})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())


def offline_token(file, role, name):
    """Makes a token without a node. Its hash goes into `file`."""
    done = subprocess.run([CONTROL, "token", "create", "--file", file, "--role", role, "--name", name],
                          capture_output=True, text=True, timeout=20, env=CLEAN)
    assert done.returncode == 0, done
    return done.stdout.strip()


def secure_all(cluster):
    """The same as secure(), and the API speaks TLS and asks for a token, too. The nodes' methods use
    one for an admin."""
    directory = secure(cluster)
    tokens = os.path.join(cluster.directory, "tokens")
    admin = offline_token(tokens, "admin", "test")
    for node in cluster.nodes:
        node.__class__ = SecureNode
        node.authority, node.token = f"{directory}/ca.crt", admin
        node.flags += [f"--api-tls-cert={directory}/{node.name}.crt",
                       f"--api-tls-key={directory}/{node.name}.key", f"--api-token-file={tokens}"]


def sign(directory, name, days):
    """A certificate of that node that is good for so many days, made by another program than
    ours."""
    key, request = f"{directory}/{name}.key", f"{directory}/{name}.csr"
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj",
                    f"/CN={name}", "-addext", f"subjectAltName=URI:databridge:node:{name}",
                    "-addext", "extendedKeyUsage=serverAuth,clientAuth"],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", f"{directory}/ca.crt",
                    "-CAkey", f"{directory}/ca.key", "-copy_extensions", "copyall", "-days",
                    str(days), "-out", f"{directory}/{name}.crt"], check=True, capture_output=True)
