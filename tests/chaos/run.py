#!/usr/bin/env python3
"""Rounds of mixed faults on real processes, with histories of keys and a flow that counts.

    run.py [--rounds N] [--seed N] [--only FAULT,…] [-- flag of databridge…]

In each round, one or two faults happen to five nodes while clients write and read. Then the faults
are taken back, and the round ends when the cluster is well again. The exit code is 1 if any round
had one of these: a history that no order explains, a number that was lost or released twice, two
leaders of one term, a node that ended by a fault of its own, a cluster that was not well again in
time.
"""

import argparse
import http.client
import os
import random
import sys
import time

import world as worlds

worlds.enter()

import clients  # noqa: E402
import faults as catalogue  # noqa: E402
import harness  # noqa: E402
import history  # noqa: E402
import numbers as numbered  # noqa: E402

# These faults kill processes.
KILLED = {"kill", "kill_leader", "kill_two", "kill_all", "kill_often", "drift"}
# These faults cut off no trigger: none of them ends a process, a lease or a link.
HARMLESS = {"moves", "transfers", "wall_clocks"}
# The faults of a round decide with which exit code a process may end: it was killed (-9), got
# SIGTERM (0), was removed for good (3), or failed and logged why (1).
ENDS_RIGHTLY = {-9: KILLED, 0: {"terminate"}, 3: {"remove"}, 1: {"disk_error"}}


class Rounds:
    def __init__(self, options):
        self.dice, self.options = random.Random(options.seed), options
        self.timeout = 10.0  # T, in seconds.
        for flag in options.flags:
            if flag.startswith("--cluster-heartbeat-timeout="):
                self.timeout = float(flag.split("=")[1].rstrip("s"))
        self.queue, self.operations, self.bad, self.begun = [], 0, 0, 0

    def pick(self):
        names = self.options.only or sorted(catalogue.FAULTS)
        if not self.queue:
            self.queue = self.dice.sample(names, len(names))
        picked = [self.queue.pop()]
        if not self.options.only and self.dice.random() < 0.45:
            picked.append(self.dice.choice([
                name for name in names if name not in picked
                and not (name in catalogue.NETWORK and picked[0] in catalogue.NETWORK)]))
        return picked

    def hurt(self, world, picked):
        """Begins the faults, lets them last, and takes them back. Returns their names and
        details."""
        drawn, ends = [], []
        for name in picked:
            try:
                end, words = catalogue.FAULTS[name](world, self.dice)
                ends.append(end)
                drawn.append((name, words))
                self.begun += 1
            except (AssertionError, OSError, http.client.HTTPException) as problem:
                drawn.append((name, f"not begun: {str(problem)[:80]}"))
            time.sleep(self.dice.random() * min(2, self.timeout / 2))
        time.sleep(self.dice.uniform(0.6, 1.4) * min(10, 1.5 * self.timeout))
        for end in ends:
            end()
        world.heal()
        return drawn

    def well_again(self, world):
        """Waits until all nodes are in one cluster and healthy, and all work runs. Returns the
        trouble that is left, or an empty list."""
        patience = max(40, 6 * self.timeout)
        try:
            world.wait_formed(60)
            world.wait_healthy(patience)
            harness.wait_until(lambda: all(
                a["state"] == "running"
                for a in world.running[0].get("/api/cluster/assignments")["assignments"]),
                patience, "all work runs", every=0.2)
            return []
        except AssertionError as problem:
            trouble = [str(problem)]
            try:
                trouble += [(n["id"], n["state"], n["stateReason"])
                            for n in world.running[0].get("/api/cluster/nodes")["nodes"]]
                trouble += [(a["name"], a["nodeId"], a["state"], a["reason"])
                            for a in world.running[0].get("/api/cluster/assignments")["assignments"]]
            except (OSError, http.client.HTTPException, AssertionError):
                pass
            return trouble

    def ended(self, world, picked):
        """The nodes that have ended without a reason in the faults of this round."""
        found = []
        for node in world.nodes:
            allowed = {code for code, faults in ENDS_RIGHTLY.items() if faults & set(picked)}
            found += [(node.name, code) for code in node.ends if code not in allowed]
            node.ends.clear()
            if not node.alive:
                if node.process.returncode not in allowed:
                    found.append((node.name, node.process.returncode))
                node.restart()
                node.ends.clear()
            if node.broke():
                found.append((node.name, "a CHECK failed"))
        return found

    def one(self, number, world, numbers):
        picked = self.pick()
        seen = clients.Clients(world, f"round{number}", self.dice)
        harness.wait_until(lambda: len(seen.accepted) > 2, 20, "clients are served")
        begun = time.monotonic()
        drawn = self.hurt(world, picked)
        over = time.monotonic()
        wrong = [("ended by itself", *end) for end in self.ended(world, picked)]
        gap = seen.longest_gap(begun, over)
        trouble = self.well_again(world)
        again = time.monotonic() - over
        wrong += [("not well again", *trouble)] if trouble else []
        wrong += seen.finish()
        wrong += numbers.faults(max(45, 3 * self.timeout), interrupted=not set(picked) <= HARMLESS)
        count = sum(len(operations) for operations in seen.operations.values())
        self.operations += count
        self.bad += bool(wrong)
        print(f"round {number}: {drawn}; {count} operations, no write for {gap:.1f} s at most, well again "
              f"after {again:.1f} s", flush=True)
        for each in wrong:
            print("  WRONG:", str(each)[:1500], flush=True)

    def run(self):
        history.self_test()
        numbered.Numbers.self_test()
        print(f"seed {self.options.seed}", flush=True)
        with worlds.World(flags=self.options.flags) as world:
            numbers = numbered.Numbers(os.path.join(world.directory, "out"))
            world.wait_healthy()
            world.put_flow("numbers", numbers.flow())
            world.wait_running("source", "middle", "files", "lines")
            for number in range(1, self.options.rounds + 1):
                self.one(number, world, numbers)
            world.running[0].api("DELETE", "/api/cluster/flows/numbers", timeout=10)
            world.wait_same_state(30)
        print(f"{self.options.rounds} rounds, {self.operations} operations, {len(numbers.seen)} flow files, "
              f"{len(numbers.doubled)} lines twice after an interruption: {self.begun} faults begun, {self.bad} rounds with something wrong (seed {self.options.seed})",
              flush=True)
        idle = self.operations == 0 or not numbers.seen or self.begun < self.options.rounds
        return 1 if self.bad or idle else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=lambda text: text.split(","), default=None,
                        help="some of: " + ", ".join(sorted(catalogue.FAULTS)))
    parser.add_argument("flags", nargs="*", help="flags of databridge, after --")
    options = parser.parse_args()
    options.flags = [*options.flags, "--file-root=/var/tmp"]
    sys.exit(Rounds(options).run())


main()
