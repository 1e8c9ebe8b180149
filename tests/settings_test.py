"""The program's messages about its settings: one line, with exit code 2."""

import os
import subprocess
import tempfile
import unittest

from harness import PROGRAM


def databridge(*flags, environment=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DATABRIDGE_")}
    return subprocess.run([PROGRAM, *flags], capture_output=True, text=True, timeout=20,
                          env={**clean, **(environment or {})})


class Settings(unittest.TestCase):
    def refused(self, *flags, says):
        done = databridge(*flags)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(says, done.stderr)

    def test_help_version_and_check(self):
        done = databridge("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--cluster-bind-port", done.stdout)
        done = databridge("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")
        self.assertEqual(databridge("--check-config").returncode, 0)
        unused = databridge("--check-config", "--cluster-join-token-file=/no/such/file")
        self.assertEqual(unused.returncode, 0, "the cluster is off, so nobody reads it")

    def test_refusals(self):
        self.refused("--colour=red", says="--colour")
        self.refused("--check-config", "--port=0", says="--port")
        self.refused("--api-address=0.0.0.0", says="--insecure-network")
        self.refused("--cluster-enabled", "--cluster-bind-address=8.8.8.8", says="--insecure-network")
        self.refused("--cluster-discovery=dns", says="--cluster-dns-name")
        self.refused("--check-config", "--cluster-enabled", "--cluster-bind-address=::1",
                     "--cluster-discovery=multicast", says="multicast is for IPv4")
        self.refused("--check-config", "--api-token-file=/no/such/file", says="token create --file")
        self.refused("--check-config", "--api-tls-cert=/no/such/file", "--api-tls-key=/no/such/key",
                     says="--api-tls-cert")
        self.refused("--check-config", "--cluster-enabled", "--cluster-join-token-file=/no/such/file",
                     says="--cluster-join-token-file")
        self.refused("--config=/nowhere/at/all.yaml", says="/nowhere/at/all.yaml")

    def test_a_file_names_its_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("cluster:\n  enabled: true\n  bindPrt: 8090\n")
            file.flush()
            self.refused("--check-config", "--config", file.name, says=f"{file.name}:3: cluster.bindPrt")

    def test_environment(self):
        done = databridge("--check-config", environment={"DATABRIDGE_PORT": "99999"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("DATABRIDGE_PORT", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
