"""Writes by REST while one core attacks the ports of all nodes (tests/attacker.py), and while a process
that only spins burns the same core instead: one after the other, on the same cluster."""

import os


def judged(cluster, seconds, core, clients, load, **how):
    """The row of wrk for writes through the leader while core `core` attacks or spins, and what was
    sent."""
    from attacker import attack
    leader = cluster.leader()
    before = (leader.name, leader.status()["term"])
    with attack(seconds, core, cluster, leader, **how) as result:
        row = load(leader, clients, seconds)
        told = result()
    row["stays"] = all((view["leader"], view["term"]) == before and view["totalNodes"] == len(cluster.nodes)
                       for view in (node.status() for node in cluster.nodes))
    return row, told


def rows(harness, seconds, rounds, clients, wrk):
    """Three nodes without TLS, then three with TLS on both ports and tokens."""
    from certificates import secure_all
    core = os.cpu_count() - 1
    for kind in ("plain", "tls"):
        with harness.Cluster(start=False) as cluster:
            if kind == "tls":
                secure_all(cluster)
            cluster.start()
            cluster.wait_healthy()

            def load(leader, count, length):
                token = getattr(leader, "token", None)
                return wrk(f"http{'s' if token else ''}://127.0.0.1:{leader.api_port}", count, length,
                           "put.lua", token)
            load(cluster.leader(), clients, 3)
            for number in range(rounds):
                control, _ = judged(cluster, seconds, core, clients, load, plain=kind == "plain", spinning=True)
                sizes = [node.log_size() for node in cluster.nodes]
                flooded, told = judged(cluster, seconds, core, clients, load, plain=kind == "plain")
                yield {
                    "name": f"flood.{kind}", "unit": "× p99", "clients": clients,
                    "median": round(flooded["p99_ms"] / control["p99_ms"], 2),
                    "p50_ms": (control["p50_ms"], flooded["p50_ms"]),
                    "p99_ms": (control["p99_ms"], flooded["p99_ms"]),
                    "writes": (control["median"], flooded["median"]),
                    "refused": (control["refused"], flooded["refused"]),
                    "broken": flooded["broken"],
                    "attacks": sum(told["sent"].values()), "missed": told["missed"],
                    "attacks_a_second": round(sum(told["sent"].values()) / told["seconds"]),
                    "leader_and_term_stay": (control["stays"], flooded["stays"]),
                    "memory_mb": round(max(n.resident_kb("VmHWM") for n in cluster.nodes) / 1024),
                    "log_kb": round(max(n.log_size() - s for n, s in zip(cluster.nodes, sizes)) / 1024)}
