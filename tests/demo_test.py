"""Tests `make run` as the README shows it. The script of the demo runs in a network of its own,
where its default ports are free, and the test kills its leader."""

import collections
import os
import re
import shlex
import signal
import subprocess
import tempfile
import unittest

from harness import BUILD, CLEAN, CONTROL, ROOT, lone_namespace, run, wait_until

PACKAGE = re.compile(r"^(\S+) \S+ (install|upgrade|remove|purge) (\S+) (\S+) (\S+)$")


def commands_of_the_readme():
    """The lines of "Sixty seconds" that call databridgectl, without its path."""
    with open(os.path.join(ROOT, "README.md")) as file:
        section = file.read().split("\n## Sixty seconds\n")[1].split("\n## ")[0]
    return [shlex.split(line, comments=True)[1:] for line in section.splitlines()
            if line.startswith("build/release/databridgectl")]


class Demo:
    def __init__(self, directory, namespace):
        self.namespace, self.out = namespace, os.path.join(directory, "demo", "out")
        self.packages, self.said_path = os.path.join(directory, "packages.log"), os.path.join(directory, "said")
        # The end of the machine's own log, if it has one. The test adds lines of its own.
        with open(self.packages, "w") as log:
            subprocess.run(["tail", "-qn", "300", "/var/log/dpkg.log"], stdout=log, stderr=subprocess.DEVNULL)
        self.log_package("install first:all <none> 1.0")
        environment = {**CLEAN, "DEMO_BUILD": BUILD, "DEMO_DIR": directory, "DEMO_RESTART_AFTER": "5",
                       "DEMO_PACKAGES": self.packages}
        with open(self.said_path, "w") as said:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, os.path.join(ROOT, "tools", "run_demo.sh")],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment, start_new_session=True)

    def log_package(self, what):
        with open(self.packages, "a") as log:
            log.write(f"2026-01-02 03:04:05 {what}\n")

    def said(self):
        with open(self.said_path) as said:
            return said.read()

    def wait_said(self, pattern, deadline, after=0):
        def found():
            assert self.process.poll() is None, self.said()
            return re.search(pattern, self.said()[after:])
        return wait_until(found, deadline, f"the demo says {pattern}", every=0.1)

    def written(self):
        """The lines of each file that the flow has written."""
        found = {}
        for name in os.listdir(self.out):
            with open(os.path.join(self.out, name)) as file:
                found[name] = file.read().splitlines()
        return found

    def expected_packages(self):
        found = collections.defaultdict(list)
        with open(self.packages) as log:
            for match in filter(None, map(PACKAGE.match, log)):
                day, action, package, old, new = match.groups()
                found[f"packages-{action}.txt"].append(f"{day} {action} of {package} from {old} to {new}")
        return found

    def packages_are_written(self):
        # Sets are compared, because a PutFile whose node died may write its last batch twice
        # (docs/flow-files.md).
        written = self.written()
        return all(set(written.get(name, ())) == set(lines)
                   for name, lines in self.expected_packages().items())

    def reads_written(self):
        return len(self.written().get("access-GET-200.txt", ()))

    def control(self, *arguments):
        return subprocess.run(["ip", "netns", "exec", self.namespace, CONTROL, *arguments],
                              capture_output=True, text=True, timeout=20, env=CLEAN)


class Run(unittest.TestCase):
    def test_the_demo_works_as_the_readme_says_and_goes_on_without_its_leader(self):
        with lone_namespace() as namespace, tempfile.TemporaryDirectory() as directory:
            demo = Demo(directory, namespace)
            leader, = demo.wait_said(r"(node-\d), the leader: another one takes over", 60).groups()
            pid, = re.search(rf"kill -9 (\d+) +\({leader}, the leader", demo.said()).groups()
            wait_until(demo.packages_are_written, 20,
                       "the lines of the package manager are written")
            self.assertEqual({name: lines for name, lines in demo.written().items()
                              if name.startswith("packages-")}, demo.expected_packages())
            wait_until(lambda: demo.reads_written() > 0, 20, "the requests to the API are written")
            commands = commands_of_the_readme()
            self.assertGreaterEqual(len(commands), 3)
            for command in commands:
                done = demo.control(*command)
                self.assertEqual(done.returncode, 0, (command, done))

            before, reads = len(demo.said()), demo.reads_written()
            os.kill(int(pid), signal.SIGKILL)
            demo.log_package("install second:all <none> 1.0")
            demo.wait_said(rf"leader (?!{leader})node-\d, term", 20, before)
            wait_until(demo.packages_are_written, 20, "lines of packages are written again")
            wait_until(lambda: demo.reads_written() > reads, 20,
                       "requests to the API are written again")
            demo.wait_said(f"{leader} is started again as process", 20, before)
            for command in commands:
                wait_until(lambda command=command: demo.control(*command).returncode == 0, 20,
                           f"{command} is answered after the kill too")
            demo.wait_said("3 of 3 nodes healthy", 30, before)

            demo.process.send_signal(signal.SIGINT)
            self.assertEqual(demo.process.wait(timeout=20), 0, demo.said())
            # The script's sleep between two checks is a process, too. It ends by itself.
            wait_until(lambda: not run("ip", "netns", "pids", namespace).stdout.split(), 5,
                       "no process outlives the demo")


if __name__ == "__main__":
    unittest.main(verbosity=2)
