"""Flows on real processes: whichever node is killed, no released flow file is lost or released
twice."""

import contextlib
import os
import pathlib
import random
import unittest

from harness import Cluster, NetworkedCluster, wait_until
from numbered import NUMBERED, check_numbered, two_sides, wait_for_more, written

ROUNDS = int(os.environ.get("ROUNDS", "5"))


def written_at(paths):
    """The times of the last write. A file that gets its final name at this moment is left out."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            yield os.stat(path).st_mtime_ns


class Flows(unittest.TestCase):
    def test_the_source_moves_and_releases_everything_once(self):
        dice = random.Random(int(os.environ.get("SEED", "1")))
        with Cluster(start=False) as cluster:
            out = os.path.join(cluster.directory, "out")
            os.mkdir(out)
            two_sides(cluster, cluster.directory)
            cluster.put_flow("numbered", NUMBERED.format(directory=out, count=0))
            cluster.wait_running("source", "sink")
            epochs = set()
            for _ in range(ROUNDS):
                wait_for_more(out)
                assignment = cluster.assignment("source", cluster.node("node-3"))
                self.assertNotIn(assignment["epoch"], epochs)
                epochs.add(assignment["epoch"])
                victim = cluster.node(assignment["nodeId"])
                victim.kill9()
                other = next(n for n in cluster.nodes[:2] if n is not victim)
                cluster.wait_running("source", on=other.name, deadline=30,
                                     among=cluster.node("node-3"))
                victim.start()
                cluster.wait_formed(deadline=20)
                cluster.wait_healthy()
                if dice.random() < 0.3:
                    cluster.node("node-3").kill9()
                    cluster.node("node-3").start()
                    cluster.wait_formed(deadline=20)
            # Only epochs that the cluster had assigned have released flow files.
            epochs.add(cluster.assignment("source", cluster.node("node-3"))["epoch"])
            order = check_numbered(self, out)
            self.assertLessEqual(set(order), epochs)
            self.assertGreater(len(set(order)), ROUNDS // 2, "the owners hardly changed")

    def test_what_is_written_into_a_rotated_file_arrives_too(self):
        with Cluster(count=1, start=False) as cluster:
            log, out = (pathlib.Path(cluster.directory, name) for name in ("a.log", "out.txt"))
            cluster.nodes[0].flags.append(f"--file-root={cluster.directory}")
            cluster.start()
            cluster.put_flow("rotated", f"""
processors:
  - {{name: tail, type: TailFile, properties: {{path: {log}}}}}
  - {{name: put, type: PutFile, terminate: [failure], properties: {{directory: {cluster.directory}, filename: out.txt, mode: append}}}}
connections:
  - {{from: tail, relationship: success, to: put}}
""")

            def write(file, line):
                file.write(line + "\n")
                wait_until(lambda: out.exists() and line in out.read_text().split(), 20, line)

            with open(log, "w", buffering=1) as old:
                write(old, "before")
                log.rename(f"{log}.1")
                write(old, "renamed")
                with open(log, "w", buffering=1) as new:
                    write(new, "new")
                    write(old, "late")
                    write(new, "newer")
                    write(old, "later")

    def test_kill_and_restart_of_a_lone_node_loses_nothing(self):
        with Cluster(count=1, start=False) as cluster:
            node, out = cluster.nodes[0], os.path.join(cluster.directory, "out")
            os.mkdir(out)
            node.flags += ["--cluster-labels=side=front", f"--file-root={cluster.directory}"]
            cluster.start()
            text = NUMBERED.replace("back", "front").format(directory=out, count=600)
            cluster.put_flow("numbered", text)
            for share in (100, 200, 300, 400):
                wait_until(lambda: len(written(out)) >= share, 60, f"{share} files")
                node.kill9()
                node.start()
            wait_until(lambda: len(written(out)) == 600, 60, "all files")
            self.assertEqual(sorted(written(out)), list(range(600)))

    def test_a_tail_goes_on_from_its_offset_elsewhere(self):
        with Cluster(start=False) as cluster:
            source = os.path.join(cluster.directory, "in.log")
            out = os.path.join(cluster.directory, "out")
            os.mkdir(out)
            open(source, "w").close()
            two_sides(cluster, cluster.directory)
            cluster.put_flow("tail", f"""
processors:
  - name: source
    type: TailFile
    shared: true
    constraints: {{require: {{side: front}}}}
    properties: {{path: "{source}", poll: 50ms}}
  - name: sink
    type: PutFile
    terminate: [failure]
    constraints: {{require: {{side: back}}}}
    properties: {{directory: "{out}", filename: lines, mode: append}}
connections:
  - {{from: source, relationship: success, to: sink}}
""")
            wrote = 0

            def write_more(count):
                nonlocal wrote
                with open(source, "a") as file:
                    for _ in range(count):
                        file.write(f"line {wrote}\n")
                        wrote += 1

            def lines():
                with open(os.path.join(out, "lines")) as file:
                    return file.read().splitlines()

            for _ in range(3):
                write_more(100)
                wait_until(lambda: len(lines()) >= wrote, 30, "the lines arrive")
                write_more(50)
                victim = cluster.node(cluster.assignment("source", cluster.nodes[2])["nodeId"])
                victim.kill9()
                write_more(50)
                wait_until(lambda: len(lines()) >= wrote, 40,
                           "the other node brings the rest of the lines")
                victim.start()
                cluster.wait_formed(deadline=20)
                cluster.wait_healthy()
            self.assertEqual(lines(), [f"line {i}" for i in range(wrote)])


# node-3 takes and writes the files. The nodes that route and change them in between may be killed.
ROUTED = """
processors:
  - name: take
    type: GetFile
    constraints: {{require: {{side: back}}}}
    properties: {{directory: "{directory}/in", minAge: 100ms, poll: 100ms}}
  - name: route
    type: RouteOnAttribute
    constraints: {{require: {{side: front}}}}
    properties: {{notes: 'filename =~ "note-.*"', images: 'filename =~ "image-.*"'}}
  - name: change
    type: ReplaceText
    terminate: [failure]
    constraints: {{require: {{side: front}}}}
    properties: {{pattern: '(?m)^(\\w+)=(\\w+)$', replacement: '\\2 is ${{filename}} of \\1'}}
  - name: notes
    type: PutFile
    terminate: [failure]
    constraints: {{require: {{side: back}}}}
    properties: {{directory: "{directory}/notes"}}
  - name: images
    type: PutFile
    terminate: [failure]
    constraints: {{require: {{side: back}}}}
    properties: {{directory: "{directory}/images"}}
  - name: rest
    type: PutFile
    terminate: [failure]
    constraints: {{require: {{side: back}}}}
    properties: {{directory: "{directory}/rest"}}
connections:
  - {{from: take, relationship: success, to: route}}
  - {{from: route, relationship: notes, to: change}}
  - {{from: change, relationship: success, to: notes}}
  - {{from: route, relationship: images, to: images}}
  - {{from: route, relationship: unmatched, to: rest}}
"""


def contents(directory):
    """name → bytes, without the files that are being written."""
    found = {}
    for name in os.listdir(directory):
        if not name.startswith("."):
            with open(os.path.join(directory, name), "rb") as file:
                found[name] = file.read()
    return found


class Files(unittest.TestCase):
    def test_files_are_taken_routed_changed_and_written_whoever_is_killed(self):
        with Cluster(start=False) as cluster:
            for name in ("in", "notes", "images", "rest"):
                os.mkdir(os.path.join(cluster.directory, name))
            two_sides(cluster, cluster.directory)
            cluster.put_flow("routed", ROUTED.format(directory=cluster.directory))
            cluster.wait_running("take", "route", "change", "notes", "images", "rest")
            expected = {"notes": {}, "images": {}, "rest": {}}

            def give(name, data, kind, comes_out=None):
                expected[kind][name] = comes_out or data
                with open(os.path.join(cluster.directory, "in", name), "wb") as file:
                    file.write(data)

            def give_all(numbers):
                for i in numbers:
                    give(f"note-{i}", f"a=b\nnot this\nkey{i}=value{i}\n".encode(), "notes",
                         f"b is note-{i} of a\nnot this\nvalue{i} is note-{i} of key{i}\n".encode())
                    give(f"image-{i}", bytes(range(256)) * 40 * i + b"\n", "images")
                    give(f"other-{i}", f"a=b {i}".encode(), "rest")

            def all_written():
                return expected == {kind: contents(os.path.join(cluster.directory, kind))
                                    for kind in expected}
            give_all(range(10))
            wait_until(all_written, 20, "every file has its place and its content")
            give_all(range(10, 30))
            cluster.node(cluster.assignment("change", cluster.node("node-3"))["nodeId"]).kill9()
            give_all(range(30, 40))
            # The flow files in the queue of the dead node come back with it.
            for node in cluster.nodes:
                if not node.alive:
                    node.start()
            wait_until(all_written, 30, "the other files are written, too")
            wait_until(lambda: contents(os.path.join(cluster.directory, "in")) == {}, 10,
                       "the files that are safe are removed from the source")


class Faults(unittest.TestCase):
    def test_a_processor_that_fails_says_so_until_it_succeeds(self):
        with Cluster(count=1) as cluster:
            out = os.path.join(cluster.directory, "out")
            with open(out, "w") as file:
                file.write("in the way of the directory")
            cluster.put_flow("faulty", f"""
processors:
  - {{name: source, type: GenerateFlowFile, properties: {{interval: 100ms}}}}
  - {{name: sink, type: PutFile, terminate: [failure], properties: {{directory: {out}}}}}
connections:
  - {{from: source, relationship: success, to: sink}}
""")
            def sink():
                return cluster.assignment("sink")
            wait_until(lambda: f"tries again: cannot open {out}" in sink()["reason"], 20,
                       "the reason of the assignment tells the failure")
            self.assertEqual(sink()["state"], "running")
            with open(cluster.nodes[0].log_path) as log:
                lines = sum(f"waits: cannot open {out}" in line for line in log)
            self.assertEqual(lines, 1, "each state is logged once")
            os.remove(out)
            wait_until(lambda: "tries again" not in sink()["reason"], 40, "the sink has succeeded")
            wait_until(lambda: len(os.listdir(out)) > 10, 20, "more flow files are written")
            written = sorted(int(name) for name in os.listdir(out) if name.isdigit())
            self.assertEqual(written, list(range(len(written))), "no flow file was lost meanwhile")

    def test_what_would_be_lost_or_lies_outside_the_roots_is_refused(self):
        with Cluster(count=1) as cluster:
            node, out = cluster.nodes[0], os.path.join(cluster.directory, "out")

            def put(directory, more=""):
                return node.api("PUT", "/api/cluster/flows/ruled", f"""processors:
  - {{name: source, type: GenerateFlowFile, properties: {{count: "3", interval: 10ms}}}}
  - {{name: sink, type: PutFile{more}, properties: {{directory: {directory}}}}}
connections: [{{from: source, relationship: success, to: sink}}]
""".encode(), headers={"Content-Type": "application/yaml"})

            refused = put(out)
            self.assertEqual(refused.status, 422)
            self.assertIn("line 3, column 5: ", refused.json["detail"])
            self.assertIn("say terminate: [failure]", refused.json["detail"])
            refused = put("/nowhere/of/ours", ", terminate: [failure]")
            self.assertEqual(refused.status, 422)
            self.assertIn("/nowhere/of/ours: start one with --file-root", refused.json["detail"])
            self.assertEqual(put(out, ", terminate: [failure]").status, 201)
            wait_until(lambda: os.path.isdir(out) and len(os.listdir(out)) == 3, 20,
                       "the flow files arrive")

            alone = {"type": "PutFile", "properties": {"directory": out}}
            self.assertEqual(node.api("POST", "/api/cluster/processors", alone).status, 422)
            alone["terminate"] = ["failure"]
            self.assertEqual(node.api("POST", "/api/cluster/processors", alone).status, 201)
            self.assertEqual(node.api("GET", "/api/cluster/nodes/node-1").json["fileRoots"],
                             [os.path.realpath(cluster.directory)])

    def test_a_busy_flow_is_deleted_and_made_again(self):
        """The flow is deleted at any moment, also while its sink works on flow files."""
        with Cluster(count=1, start=False) as cluster:
            node = cluster.nodes[0]
            node.flags += ["--cluster-labels=side=front", f"--file-root={cluster.directory}"]
            cluster.start()
            for i in range(10):
                out = os.path.join(cluster.directory, f"out-{i}")
                os.mkdir(out)
                cluster.put_flow("numbered", NUMBERED.replace("back", "front").format(directory=out, count=0))
                wait_for_more(out, 5 * i)
                answer = node.api("DELETE", "/api/cluster/flows/numbered", timeout=20)
                self.assertLess(answer.status, 300, answer)
                wait_until(lambda: node.get("/api/cluster/assignments")["assignments"] == [], 20,
                           "its processors are gone")
                self.assertEqual(written(out)[0], 1, "the flow did not begin anew")


class Minority(unittest.TestCase):
    def test_its_processors_stop_before_the_replacements_start(self):
        """Each node has a directory of its own under the same name, so the files show their
        writer."""
        quick = ["--cluster-heartbeat-timeout=3s", "--cluster-election-timeout=9s"]
        with NetworkedCluster(flags=quick, start=False) as cluster:
            common = os.path.join(cluster.directory, "common")
            os.mkdir(common)
            own = {}
            for node in cluster.nodes:
                own[node.name] = os.path.join(cluster.directory, "own-" + node.name)
                os.mkdir(own[node.name])
                node.flags += [f"--file-root={common}"]
                node.wrapper = ["sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"',
                                own[node.name], common]
            cluster.start()
            cluster.wait_healthy()
            cluster.put_flow("pair", f"""
processors:
  - {{name: source, type: GenerateFlowFile, properties: {{interval: 20ms, content: "${{index}}"}}}}
  - {{name: sink, type: PutFile, terminate: [failure], shared: true, properties: {{directory: "{common}"}}}}
connections:
  - {{from: source, relationship: success, to: sink}}
""")
            _, sink = cluster.wait_running("source", "sink")
            old = cluster.node(sink["nodeId"])
            cluster.move("source", old)
            wait_until(lambda: len(os.listdir(own[old.name])) > 30, 20, "files are written")
            others = cluster.others(old)
            elsewhere = {n.name: set(os.listdir(own[n.name])) for n in others}
            cluster.cut(old)

            def replaced():
                return [os.path.join(own[n.name], f) for n in others
                        for f in os.listdir(own[n.name]) if f not in elsewhere[n.name]]
            wait_until(lambda: len(replaced()) > 30, 40, "the replacements write")
            first = min(written_at(replaced()))
            last = max(written_at(os.path.join(own[old.name], f)
                                  for f in os.listdir(own[old.name])))
            self.assertLess(last, first, "the minority wrote after the replacement had started")


if __name__ == "__main__":
    unittest.main(verbosity=2)
