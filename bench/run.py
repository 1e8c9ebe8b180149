"""Runs all benchmarks: a table for people, and JSON for comparison. `make bench` calls this.

Absolute figures differ from machine to machine, so compare only runs on the same machine.
"""

import argparse
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.dont_write_bytecode = True


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread_of(name, times):
    return {"name": name, "unit": "ms", "rounds": len(times),
            "median": round(statistics.median(times), 1), "p90": round(percentile(times, 0.9), 1),
            "min": round(min(times), 1), "max": round(max(times), 1),
            "all": [round(t, 1) for t in times]}


def bench_failover(harness, rounds):
    from failover import one_failover
    with harness.Cluster() as cluster:
        return spread_of("failover.kill", [one_failover(cluster) for _ in range(rounds)])


def bench_silent(harness, rounds):
    from failover import one_silence
    with harness.Cluster() as cluster:
        return spread_of("failover.silent", [one_silence(cluster) for _ in range(rounds)])


def bench_routing(harness, rounds):
    from routing import rows
    return rows(harness, rounds, 60000)


UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


def wrk(url, clients, seconds, script=None, token=None):
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    if script:
        command += ["-s", os.path.join(ROOT, "bench", script)]
    out = subprocess.run([*command, url], check=True, capture_output=True, text=True,
                         env={**os.environ, "BENCH_TOKEN": token or ""}).stdout
    latency = {share: float(value) * UNITS[unit] for share, value, unit
               in re.findall(r"^\s+(50|90|99)%\s+([\d.]+)(us|ms|s|m)$", out, re.M)}
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    broken = re.search(r"Socket errors: (.*)", out)
    return {"unit": "1/s", "clients": clients,
            "median": round(float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))),
            "p50_ms": round(latency.get("50", 0), 2), "p99_ms": round(latency.get("99", 0), 2),
            "refused": int(failed.group(1)) if failed else 0,
            "broken": broken.group(1) if broken else ""}


def bench_http(harness, seconds):
    results = []
    with harness.Cluster() as cluster:
        cluster.wait_healthy()
        leader = cluster.leader()
        url = f"http://127.0.0.1:{leader.api_port}"
        for clients in (1, 64, 1000):
            results.append({"name": "http.writes", **wrk(url, clients, seconds, "put.lua")})
        cluster.write("read.me", "x" * 256)
        read = url + "/api/cluster/config/read.me"
        results.append({"name": "http.reads", **wrk(read, 64, seconds)})
        results.append({"name": "http.linearizable_reads",
                        **wrk(read + "?consistency=linearizable", 64, seconds)})
        follower = cluster.others(leader)[0]
        results.append({"name": "http.writes_by_follower",
                        **wrk(f"http://127.0.0.1:{follower.api_port}", 64, seconds, "put.lua")})
    return results


def bench_idle(harness):
    with harness.Cluster() as cluster:
        cluster.wait_healthy()
        started, before = time.monotonic(), [n.cpu_seconds() for n in cluster.nodes]
        harness.wait_until(lambda: time.monotonic() - started > 10, 20, "ten idle seconds")
        spent = [(n.cpu_seconds() - b) / 10 * 100 for n, b in zip(cluster.nodes, before)]
        return [{"name": "idle.cpu", "unit": "% of a core", "median": round(max(spent), 2)},
                {"name": "idle.resident", "unit": "MB",
                 "median": round(max(n.resident_kb() for n in cluster.nodes) / 1024, 1)}]


def spent(cluster):
    return sum(node.cpu_seconds() for node in cluster.nodes)


def bench_tls(harness, seconds):
    """Writes on two clusters that differ in TLS only. They take turns, so that both see the same
    machine."""
    from certificates import secure
    kinds, rows = ("plain", "tls"), []
    with harness.Cluster() as plain, harness.Cluster(start=False) as tls:
        secure(tls)
        tls.start()
        clusters = dict(zip(kinds, (plain, tls)))
        for cluster in clusters.values():
            cluster.wait_healthy()
        for kind, cluster in clusters.items():
            rows.append({"name": f"tls.idle_resident.{kind}", "unit": "MB",
                         "median": round(max(n.resident_kb() for n in cluster.nodes) / 1024, 1)})
        for clients in (1, 64):
            rates, costs = {kind: [] for kind in kinds}, {kind: [] for kind in kinds}
            for _ in range(3):
                for kind, cluster in clusters.items():
                    before = spent(cluster)
                    url = f"http://127.0.0.1:{cluster.leader().api_port}"
                    rate = wrk(url, clients, seconds, "put.lua")["median"]
                    rates[kind].append(rate)
                    costs[kind].append((spent(cluster) - before) * 1e6 / (rate * seconds))
            for kind in kinds:
                rows.append({"name": f"tls.writes.{kind}", "unit": "1/s", "clients": clients,
                             "median": statistics.median(rates[kind]), "all": rates[kind],
                             "cpu_us_a_write": round(statistics.median(costs[kind]), 1)})
    return rows


def bench_flood(harness, seconds, rounds):
    from flood import rows
    return rows(harness, seconds, rounds, 16, wrk)


def bench_programs(build):
    """Runs the bench programs of this build. Each measures single rooms in its own process.
    Programs of Google Benchmark print JSON, as an environment variable asks; others print one
    figure a line."""
    results = []
    for program in sorted(glob.glob(os.path.join(build, "*_bench"))):
        name = os.path.basename(program)
        out = subprocess.run([program], check=True, capture_output=True, text=True, cwd=build,
                             env={**os.environ, "BENCHMARK_FORMAT": "json"}).stdout
        if not out.lstrip().startswith("{"):
            results += [{"name": name, "text": line.strip()} for line in out.splitlines() if line.strip()]
            continue
        for each in json.loads(out)["benchmarks"]:
            results.append({"name": f"{name}.{each['name']}",
                            "unit": each["time_unit"], "median": round(each["real_time"], 1),
                            **({"items_per_second": round(each["items_per_second"])}
                               if "items_per_second" in each else {})})
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench.json"))
    parser.add_argument("--only", default="", help="failover, silent, http, tls, flood, routing, idle or programs")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--flood-seconds", type=int, default=60, help="for each run of the row flood")
    chosen = parser.parse_args()
    build = os.path.abspath(chosen.build)
    os.environ["DATABRIDGE_BUILD"] = build
    import harness

    results = []
    has_node = os.path.exists(harness.PROGRAM)
    for name, bench in (("failover", lambda: [bench_failover(harness, chosen.rounds)]),
                        ("silent", lambda: [bench_silent(harness, min(5, chosen.rounds))]),
                        ("http", lambda: bench_http(harness, chosen.seconds)),
                        ("tls", lambda: bench_tls(harness, chosen.seconds)),
                        ("flood", lambda: bench_flood(harness, chosen.flood_seconds, min(3, chosen.rounds))),
                        ("routing", lambda: bench_routing(harness, min(3, chosen.rounds))),
                        ("idle", lambda: bench_idle(harness)),
                        ("programs", lambda: bench_programs(build))):
        if chosen.only and chosen.only != name or (name != "programs" and not has_node):
            continue
        for result in bench():
            results.append(result)
            if "text" in result:
                print(f"{result['name']:<20} {result['text']}", flush=True)
                continue
            rest = {k: v for k, v in result.items() if k not in ("name", "unit", "median")}
            print(f"{result['name']:<40} {result['median']:>12} {result['unit']:<12} "
                  + " ".join(f"{k}={v}" for k, v in rest.items()), flush=True)
    with open(chosen.out, "w") as out:
        json.dump({"cores": os.cpu_count(), "results": results}, out, indent=1)
    print("written to", os.path.relpath(chosen.out))


if __name__ == "__main__":
    main()
