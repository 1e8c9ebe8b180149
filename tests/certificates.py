"""Certificates for the nodes of a test or a bench."""

import os
import subprocess

from harness import CLEAN, CONTROL


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
