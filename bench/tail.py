"""CPU per line of TailFile → PutFile (append), compared with rsyslog (imfile → omfile).

Each line is a flow file of its own. One real node with default limits and then rsyslogd read the
same file of 100-byte lines, in turn.
    python3 bench/tail.py [--rounds 3] [--lines 2000000] [--program build/release/databridge]...
rsyslogd must be installed (Debian: rsyslog). It is only compared with, and is no part of the
product.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.dont_write_bytecode = True

LINE = 100
FLOW = """processors:
  - {{name: tail, type: TailFile, properties: {{path: {source}, start: beginning, linesPerFlowFile: "1"}}}}
  - {{name: put, type: PutFile, terminate: [success, failure],
     properties: {{directory: {directory}, filename: out, mode: append}}}}
connections:
  - {{from: tail, relationship: success, to: put}}
"""
RSYSLOG = """global(workDirectory="{directory}/state" maxMessageSize="64k")
module(load="imfile")
template(name="raw" type="string" string="%msg%\\n")
input(type="imfile" File="{source}" Tag="t" freshStartTail="off")
action(type="omfile" file="{directory}/out" template="raw")
"""


def make(path, lines):
    with open(path, "w") as file:
        for index in range(lines):
            file.write(f"{index:012d} ".ljust(LINE - 1, "x") + "\n")


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def databridge(harness, source, lines):
    """The lines per second, and the microseconds of CPU per line."""
    with harness.Cluster(count=1, start=False) as cluster:
        directory = os.path.join(cluster.directory, "out")
        os.mkdir(directory)
        node = cluster.nodes[0]
        node.flags.append(f"--file-root={directory},{os.path.dirname(source)}")
        cluster.start()
        cluster.wait_healthy()
        began, before = time.monotonic(), node.cpu_seconds()
        cluster.put_flow("bench", FLOW.format(source=source, directory=directory))
        harness.wait_until(lambda: size(directory + "/out") >= lines * LINE, 1800, "all lines arrive", every=0.02)
        took, cpu = time.monotonic() - began, node.cpu_seconds() - before
        assert size(directory + "/out") == lines * LINE, "more bytes were written than there were"
    return lines / took, cpu / lines * 1e6


def rsyslog(harness, source, lines):
    directory = tempfile.mkdtemp(prefix="databridge-rsyslog-", dir="/var/tmp")
    os.mkdir(directory + "/state")
    with open(directory + "/conf", "w") as file:
        file.write(RSYSLOG.format(source=source, directory=directory))
    began = time.monotonic()
    process = subprocess.Popen(["rsyslogd", "-n", "-f", directory + "/conf", "-i", directory + "/pid"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: size(directory + "/out") >= lines * LINE, 1800, "all lines arrive", every=0.02)
        took, cpu = time.monotonic() - began, cpu_seconds(process.pid)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory)
    return lines / took, cpu / lines * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=2000000)
    parser.add_argument("--program", action="append")
    chosen = parser.parse_args()
    import harness
    programs = [os.path.abspath(program) for program in chosen.program or [harness.PROGRAM]]
    directory = tempfile.mkdtemp(prefix="databridge-tail-", dir="/var/tmp")
    found = {name: [] for name in (*programs, "rsyslog")}
    try:
        make(directory + "/in.log", chosen.lines)
        for _ in range(chosen.rounds):
            for name, figures in found.items():
                harness.PROGRAM = name
                measure = rsyslog if name == "rsyslog" else databridge
                figures.append(measure(harness, directory + "/in.log", chosen.lines))
    finally:
        shutil.rmtree(directory)
    for name, figures in found.items():
        rates, costs = zip(*figures)
        against = [cost / peer for cost, (_, peer) in zip(costs, found["rsyslog"])]
        print({"name": "tail", "program": name, "unit": "lines/s", "median": round(statistics.median(rates)),
               "us_cpu": round(statistics.median(costs), 1), "of_rsyslog": round(statistics.median(against), 2)},
              flush=True)


if __name__ == "__main__":
    main()
