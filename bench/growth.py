"""The cost of a change in a large state that stays the same: P processors of type `external`.

    python3 bench/growth.py [--processors P] [--rounds 3] [--adds 1000] [--program NAME=BUILD]…

P is 100,000 by default. A round on a machine that does nothing else takes some minutes:
`python3 bench/growth.py --rounds 1 --adds 1000`. With several programs (NAME=BUILD: a name and a
build folder), each round runs them in turn. Each round starts three nodes on loopback, prints one
line of JSON, and ends the nodes. At the end the medians over the rounds are printed, one on a line:

    add_leader_us_10       µs of CPU of the leader for one AddProcessor, with 10 processors: the mean
                           over `--adds` commands of 16 clients. CPU is user and system time of the
                           whole process, counted in steps of 10 ms. With 1,000 adds, one step is
                           10 µs here
    add_follower_us_10     the same on a follower
    fill_s                 seconds until P processors run, sent as flows of 1,000
    idle_leader_percent    CPU of the leader in 10 s without requests, in % of one core
    idle_leader_mb         resident memory of the leader after that, in MiB
    idle_follower_percent  CPU of a follower in the same way, in the 10 s after
    add_leader_us_P        as add_leader_us_10, with P processors
    add_follower_us_P      the same on a follower
    put_flow_ms            milliseconds until the PUT of a new flow of 1,000 is answered: median of 5
    lease_lost_s           a follower that owns a third of the processors stands still for longer
                           than its lease, but not for T: seconds from its waking until all run
                           again
    failover_ms            milliseconds from kill -9 of the leader until any node accepts a write
                           that was sent after it
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.join(ROOT, "bench"))
sys.dont_write_bytecode = True

IN_FLOW = 1000
SETTINGS = "node:\n  maxProcessors: 1000000\nlog:\n  level: warn\n"


def flow(name, count):
    lines = [f"name: {name}", "processors:"]
    for n in range(count):
        lines += [f"  - name: p{n}", "    type: external"]
    return "\n".join(lines) + "\n"


def put_flow(node, name, count=IN_FLOW):
    began = time.monotonic()
    answer = node.api("PUT", "/api/cluster/flows/" + name, flow(name, count).encode(),
                      {"Content-Type": "application/yaml"}, timeout=120)
    assert answer.status in (200, 201), answer
    return (time.monotonic() - began) * 1000


def count_running(node):
    return node.status()["runningProcessors"]


def fill(harness, cluster, count):
    leader = cluster.leader()
    for n in range(count // IN_FLOW):
        put_flow(leader, f"bulk-{n}")
    if count % IN_FLOW:
        put_flow(leader, "rest", count % IN_FLOW)
    harness.wait_until(lambda: count_running(leader) >= count, 900, f"{count} run", every=1)


def settle(harness, cluster):
    """Waits until no node has had much to do for a second."""
    def sample():
        return time.monotonic(), [node.cpu_seconds() for node in cluster.running]
    last = [sample()]

    def calm():
        if time.monotonic() - last[0][0] < 1:
            return False
        before, last[0] = last[0], sample()
        return all(now - then < 0.3 for now, then in zip(last[0][1], before[1]))
    harness.wait_until(calm, 120, "the nodes rest", every=0.1)


def add_many(cluster, count, clients=16):
    """The microseconds of CPU for each added processor, on the leader and on a follower."""
    leader = cluster.leader()
    nodes = [leader, cluster.others(leader)[0]]
    before = [node.cpu_seconds() for node in nodes]

    def add(n):
        # No node fits this constraint, so only the change is measured, and not the start.
        answer = leader.api("POST", "/api/cluster/processors",
                            {"type": "external", "name": f"one-{n}",
                             "constraints": {"require": {"nowhere": "1"}}}, timeout=60)
        assert answer.status == 201, answer
        return answer.json["processorId"]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        ids = list(pool.map(add, range(count)))
    costs = [(node.cpu_seconds() - b) / count * 1e6 for node, b in zip(nodes, before)]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda p: leader.api("DELETE", "/api/cluster/processors/" + p, timeout=60), ids))
    return costs


def idle(harness, node, seconds=10):
    before, began = node.cpu_seconds(), time.monotonic()
    harness.wait_until(lambda: time.monotonic() - began > seconds, seconds + 5, "time to pass")
    return (node.cpu_seconds() - before) / seconds * 100


def lose_lease(harness, cluster, leader, patience=10.0):
    """The seconds until all work runs again that a follower lost at the end of its lease (T/2)."""
    wanted = count_running(leader)
    node = cluster.others(leader)[0]
    node.freeze()
    began = time.monotonic()
    harness.wait_until(lambda: time.monotonic() - began > patience * 0.7, patience, "time to pass")
    node.thaw()
    began = time.monotonic()
    harness.wait_until(lambda: count_running(leader) < wanted, 30, "the work ends", every=0.05)
    harness.wait_until(lambda: count_running(leader) >= wanted, 600, "all run again", every=0.1)
    return time.monotonic() - began


def measure(harness, processors, adds):
    from failover import one_failover
    row = {}
    with harness.Cluster(start=False) as cluster:
        for node in cluster.nodes:
            config = os.path.join(cluster.directory, node.name + ".yaml")
            with open(config, "w") as out:
                out.write(SETTINGS)
            node.flags = ["--config=" + config]
        cluster.start()
        cluster.wait_healthy()
        fill(harness, cluster, 10)
        row["add_leader_us_10"], row["add_follower_us_10"] = add_many(cluster, adds)
        began = time.monotonic()
        fill(harness, cluster, processors)
        row["fill_s"] = time.monotonic() - began
        settle(harness, cluster)
        leader = cluster.leader()
        row["idle_leader_percent"] = idle(harness, leader)
        row["idle_leader_mb"] = leader.resident_kb() / 1024
        row["idle_follower_percent"] = idle(harness, cluster.others(leader)[0])
        row["add_leader_us_P"], row["add_follower_us_P"] = add_many(cluster, adds)
        times = []
        for n in range(5):  # The cluster is at rest each time: the flow before has started.
            settle(harness, cluster)
            times.append(put_flow(leader, f"extra-{n}"))
        row["put_flow_ms"] = statistics.median(times)
        settle(harness, cluster)
        row["lease_lost_s"] = lose_lease(harness, cluster, leader)
        settle(harness, cluster)
        row["failover_ms"] = one_failover(cluster)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--processors", type=int, default=100_000)
    parser.add_argument("--adds", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", action="append", default=[], metavar="NAME=BUILD")
    chosen = parser.parse_args()
    programs = dict(one.split("=", 1) for one in chosen.program) or \
        {"now": os.path.join(ROOT, "build", "release")}
    import harness
    seen = {name: [] for name in programs}
    for _ in range(chosen.rounds):
        for name, build in programs.items():
            harness.PROGRAM = os.path.join(os.path.abspath(build), "databridge")
            seen[name].append(measure(harness, chosen.processors, chosen.adds))
            print(name, json.dumps({k: round(v, 1) for k, v in seen[name][-1].items()}), flush=True)
    for name, rows in seen.items():
        for key in rows[0]:
            print(f"{name:<10} {key:<24} {statistics.median(row[key] for row in rows):>10.1f}")


if __name__ == "__main__":
    main()
