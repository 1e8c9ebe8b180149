"""Flow files per second from a source to a sink, in three ways.

The ways are: on one node, on two nodes, and on two nodes of which the receiver is paused again and
again.

The flow is GenerateFlowFile → PutFile (append) with files of 1 KiB and default limits. Three real
processes run on loopback. The processors are not put on the leader. Each round measures all three
ways, so that their ratios are of one time and one machine.
    python3 bench/routing.py [--rounds 3] [--files 60000] [--program build/release/databridge]...
With several programs, each round measures them in turn.
"""

import argparse
import contextlib
import os
import statistics
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.dont_write_bytecode = True

SIZE = 1024
WAYS = ("one_node", "two_nodes", "two_nodes_paused")
PAUSE, EVERY = 0.12, 0.4


def flow(source, sink, directory, files, ends):
    """`ends`: add `terminate`, which newer programs require for relationships that lead nowhere."""
    says = ", terminate: [success, failure]" if ends else ""
    return f"""processors:
  - {{name: make, type: GenerateFlowFile, constraints: {{require: {{node: {source}}}}},
     properties: {{interval: 0s, size: {SIZE}, batch: "500", count: "{files}"}}}}
  - {{name: put, type: PutFile{says}, constraints: {{require: {{node: {sink}}}}},
     properties: {{directory: {directory}, filename: out, mode: append}}}}
connections:
  - {{from: make, relationship: success, to: put}}
"""


@contextlib.contextmanager
def paused(node, wanted):
    """Stops the process of the node for 120 ms of every 400 ms, at any point of its work."""
    over = threading.Event()

    def shake():
        while not over.wait(EVERY - PAUSE):
            node.freeze()
            over.wait(PAUSE)
            node.thaw()
    thread = threading.Thread(target=shake, daemon=True)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if wanted:
            thread.join()


def put(cluster, harness, source, sink, directory, files):
    def accepted():
        leader = cluster.leader()
        for ends in (True, False):
            text = flow(source.name, sink.name, directory, files, ends)
            answer = leader.api("PUT", "/api/cluster/flows/bench", text.encode(),
                                {"Content-Type": "application/yaml"}, 20)
            if answer.status in (200, 201):
                return True
        raise AssertionError(answer)
    harness.wait_until(accepted, 20, "the flow is accepted")


def measure(harness, way, files):
    """The flow files per second, and the microseconds of CPU per file, summed over source and
    sink."""
    with harness.Cluster(start=False) as cluster:
        directory = os.path.join(cluster.directory, "out")
        os.mkdir(directory)
        for node in cluster.nodes:
            node.flags.append(f"--file-root={directory}")
        cluster.start()
        cluster.wait_healthy()
        source, sink = cluster.others(cluster.leader())
        if way == "one_node":
            sink = source
        concerned = {node.name: node for node in (source, sink)}.values()
        path = os.path.join(directory, "out")

        def has(share):
            return os.path.exists(path) and os.path.getsize(path) >= share * files * (SIZE + 1)
        with paused(sink, way == "two_nodes_paused"):
            put(cluster, harness, source, sink, directory, files)
            harness.wait_until(lambda: has(0.1), 60, "the first files arrive", every=0.005)
            began, before = time.monotonic(), sum(n.cpu_seconds() for n in concerned)
            share = os.path.getsize(path) / (SIZE + 1)
            harness.wait_until(lambda: has(1), 600, "all files arrive", every=0.005)
            took, cpu = time.monotonic() - began, sum(n.cpu_seconds() for n in concerned) - before
        done = files - share
        return done / took, cpu / done * 1e6


def rows(harness, rounds, files, programs=None):
    """A row for each way (and program), with medians of the figures and of each round's ratios."""
    programs = programs or [harness.PROGRAM]
    found = {(program, way): [] for program in programs for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            for program in programs:
                harness.PROGRAM = os.path.abspath(program)
                found[program, way].append(measure(harness, way, files))
    results = []
    for (program, way), figures in found.items():
        rates, costs = zip(*figures)
        share = [rate / one for rate, (one, _) in zip(rates, found[program, "one_node"])]
        against = [cost / base for cost, (_, base) in zip(costs, found[programs[-1], way])]
        results.append({
            "name": f"routing.{way}", "unit": "1/s", "median": round(statistics.median(rates)),
            "of_one_node": round(statistics.median(share), 2),
            "us_cpu": round(statistics.median(costs), 1), "all": [round(rate) for rate in rates],
            **({"program": program, "cpu_of_last": round(statistics.median(against), 2)}
               if len(programs) > 1 else {})})
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=60000)
    parser.add_argument("--program", action="append")
    parser.add_argument("--way", action="append", choices=WAYS, help="only that one, without ratios")
    chosen = parser.parse_args()
    import harness
    if chosen.way:
        for way in chosen.way:
            for program in chosen.program or [harness.PROGRAM]:
                harness.PROGRAM = os.path.abspath(program)
                rate, cost = measure(harness, way, chosen.files)
                print(f"{way:<18} {rate:>8.0f}/s {cost:>8.1f} us CPU a file  {program}", flush=True)
        return
    for row in rows(harness, chosen.rounds, chosen.files, chosen.program):
        print(row, flush=True)


if __name__ == "__main__":
    main()
