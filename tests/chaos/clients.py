"""The clients of a round. They write and read keys through every node, and remember the answers."""

import collections
import http.client
import random
import threading
import time
import uuid

import harness
import history

PATIENCE = 20.0  # Seconds for one operation under an Idempotency-Key, with all its retries.


class Clients:
    def __init__(self, world, prefix, dice, count=4, keys=4):
        self.world, self.prefix, self.keys = world, prefix, keys
        self.operations = collections.defaultdict(list)
        self.accepted = []  # The times at which a node accepted a probe. Each node has one prober.
        self.leaders = collections.defaultdict(set)  # term → the nodes that led in it.
        self.codes = collections.Counter()
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(i, random.Random(dice.random())),
                                         daemon=True) for i in range(count)]
        for node in world.nodes:
            self.threads.append(threading.Thread(target=self._probe, args=(node,), daemon=True))
            self.threads.append(threading.Thread(target=self._watch, args=(node,), daemon=True))
        for thread in self.threads:
            thread.start()

    def _watch(self, node):
        while not self.over.wait(0.5):
            try:
                status = node.status()
            except (OSError, http.client.HTTPException, ValueError, AssertionError):
                continue
            if status["status"] != "no_quorum" and status["leader"] == node.name:
                self.leaders[status["term"]].add(node.name)

    def _probe(self, node):
        number = 0
        while not self.over.wait(0.3):
            number += 1
            try:
                if node.put_config(f"probe.{node.name}", number, timeout=1.5).status == 200:
                    self.accepted.append(time.monotonic())
            except (OSError, http.client.HTTPException):
                pass

    def _work(self, me, dice):
        held, number = {}, 0  # `held`: key → (version, value), as this client knows them.
        while not self.over.is_set():
            number += 1
            key = f"{self.prefix}.{dice.randrange(self.keys)}"
            kind = dice.choices(["get", "cas", "put"], [4, 3, 3])[0]
            if kind == "cas" and key not in held:
                kind = "put"
            operation = history.Operation(kind, f"{me}-{number}", time.monotonic(), 0, "unknown")
            headers = {}
            if kind == "cas":
                operation.expected_version, operation.expected_value = held[key]
                headers["If-Match"] = str(operation.expected_version)
            if kind != "get" and dice.random() < 0.25:
                headers["Idempotency-Key"] = str(uuid.uuid4())
            self._perform(operation, key, headers, dice)
            operation.ended = time.monotonic()
            if operation.outcome == "ok" and operation.version:
                held[key] = (operation.version, operation.value)
            elif operation.outcome == "failed":
                held.pop(key, None)
            with self.lock:
                self.operations[key].append(operation)
            self.over.wait(dice.random() * 0.22)

    def _perform(self, operation, key, headers, dice):
        """Performs it once, or again and again through any node if an Idempotency-Key makes that
        safe."""
        path, deadline = harness.CONFIG + key, time.monotonic() + PATIENCE
        while True:
            node = dice.choice(self.world.nodes)
            operation.node = node.name
            try:
                if operation.kind == "get":
                    answer = node.api("GET", path + "?consistency=linearizable", timeout=4)
                else:
                    answer = node.api("PUT", path, {"value": operation.value}, headers, timeout=4)
                self._take(operation, answer)
            except ConnectionRefusedError:
                if "Idempotency-Key" not in headers:
                    operation.outcome = "failed"
            except (OSError, http.client.HTTPException, ValueError) as problem:
                self.codes[type(problem).__name__] += 1
            again = operation.outcome == "unknown" and "Idempotency-Key" in headers
            if not again or self.over.is_set() or time.monotonic() > deadline:
                return
            time.sleep(0.2)

    def _take(self, operation, answer):
        self.codes[answer.status] += 1
        if answer.status == 200:
            operation.outcome, operation.version = "ok", answer.json["version"]
            if operation.kind == "get":
                operation.value = answer.json["value"]
        elif answer.status == 404 and operation.kind == "get":
            operation.outcome, operation.version, operation.value = "ok", 0, None
        elif answer.status == 409 and operation.kind == "cas":
            operation.outcome = "failed"

    def longest_gap(self, begun, ended):
        """The longest time within (begun, ended) in which no probe was accepted."""
        times = [begun, *sorted(t for t in self.accepted if begun <= t <= ended), ended]
        return max(after - before for before, after in zip(times, times[1:]))

    def finish(self):
        """Stops the clients, reads every key once more, and returns all faults of the histories."""
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE + 10)
        faults = [("two leaders in a term", term, sorted(names))
                  for term, names in self.leaders.items() if len(names) > 1]
        for key, operations in self.operations.items():
            last = history.Operation("get", None, time.monotonic(), 0, "unknown")

            def read():
                answer = self.world.running[0].api(
                    "GET", harness.CONFIG + key + "?consistency=linearizable", timeout=8)
                self._take(last, answer)
                return last.outcome == "ok"
            harness.wait_until(read, 30, f"{key} is read at the end")
            last.ended = time.monotonic()
            # A cas that failed with a conflict changed nothing, and a refused connection had no
            # request.
            operations = [o for o in operations if o.outcome != "failed"] + [last]
            faults += [(key, *fault) for fault in history.faults_of(operations)]
        return faults
