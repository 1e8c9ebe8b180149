"""Checks the operations of clients on a register with versions: is there an order that explains
them?

The search is that of Wing and Gong with Lowe's memory of states seen ("Testing for linearizability",
2017): operations are tried in every order that real time allows.
"""

import dataclasses

NEVER = float("inf")


@dataclasses.dataclass
class Operation:
    kind: str  # put, cas, get
    value: object  # The value that was written or read.
    begun: float
    ended: float
    outcome: str  # ok, failed (it certainly did nothing), unknown
    version: int = 0  # The version in the answer, if ok. 0 in a read: there is no such key.
    expected_value: object = None  # In a cas: the value that the key must have.
    expected_version: int = 0  # In a cas: the version that the key must have.
    node: str = ""


def linearizable(operations, steps_max=400_000):
    """(True, None), (False, why), or (None, why) if the search was given up. It does not use
    versions."""
    observed = {o.value for o in operations if o.kind == "get" and o.outcome == "ok"}
    observed |= {o.expected_value for o in operations if o.kind == "cas" and o.outcome == "ok"}
    # A write with unknown outcome whose value was never seen cannot explain any other operation.
    used = [o for o in operations if o.outcome == "ok"
            or (o.outcome == "unknown" and o.kind != "get" and o.value in observed)]
    ends = [o.ended if o.outcome == "ok" else NEVER for o in used]
    required = sum(1 << i for i, o in enumerate(used) if o.outcome == "ok")
    order = sorted(range(len(used)), key=lambda i: used[i].begun)
    stack, known, steps, best = [(0, None, 0)], {(0, None)}, 0, (-1, None, ())
    while stack:
        done, state, low = stack.pop()
        if done & required == required:
            return True, None
        while low < len(order) and done >> order[low] & 1:
            low += 1
        candidates = _next(used, ends, order, done, low)
        reached = (done & required).bit_count()
        if reached > best[0]:
            best = (reached, state, tuple(used[i] for i in candidates[:6]))
        for i in reversed(candidates):
            after = _effect(used[i], state)
            if after is _IMPOSSIBLE or (done | 1 << i, after) in known:
                continue
            known.add((done | 1 << i, after))
            stack.append((done | 1 << i, after, low))
            steps += 1
            if steps > steps_max:
                return None, f"given up after {steps_max} steps"
    return False, f"after {best[0]} of {required.bit_count()} operations the key holds {best[1]!r}; next: {best[2]}"


_IMPOSSIBLE = object()


def _effect(operation, state):
    if operation.kind == "put":
        return operation.value
    if operation.kind == "cas":
        return operation.value if operation.expected_value == state else _IMPOSSIBLE
    return state if operation.value == state else _IMPOSSIBLE


def _next(used, ends, order, done, low):
    """The operations that began before the first end of all operations that are left."""
    first_end, found = NEVER, []
    for position in range(low, len(order)):
        i = order[position]
        if done >> i & 1:
            continue
        if used[i].begun > first_end:
            break
        found.append(i)
        first_end = min(first_end, ends[i])
    return [i for i in found if used[i].begun <= first_end]


def version_faults(operations):
    """The contradictions between the versions in the answers: a list of texts with the
    operations."""
    faults, value_at, written = [], {0: None}, {}
    good = [o for o in operations if o.outcome == "ok"]
    for o in good:
        if value_at.setdefault(o.version, o.value) != o.value:
            faults.append(("two values at one version", value_at[o.version], o))
        if o.kind != "get" and written.setdefault(o.version, o) is not o:
            faults.append(("two writes at one version", written[o.version], o))
    by_end, newest, position = sorted(good, key=lambda o: o.ended), None, 0
    for o in sorted(good, key=lambda o: o.begun):
        while position < len(by_end) and by_end[position].ended < o.begun:
            if newest is None or by_end[position].version > newest.version:
                newest = by_end[position]
            position += 1
        if newest and (o.version < newest.version
                       or (o.kind != "get" and o.version == newest.version)):
            faults.append(("an older version after a newer one", newest, o))
    for o in good:
        if o.kind == "cas" and any(o.expected_version < v < o.version for v in value_at):
            faults.append(("a compare-and-set over another write", o))
    return faults


def faults_of(operations):
    """All faults of the history of one key. Empty: there is no fault."""
    faults = version_faults(operations)
    verdict, why = linearizable(operations)
    if verdict is not True:
        faults.append(("not linearizable" if verdict is False else "undecided", why))
    return faults


def self_test():
    """Tests the checker, which would find nothing if it accepted everything: it must refuse each
    bad history."""
    def put(value, begun, ended, version, outcome="ok"):
        return Operation("put", value, begun, ended, outcome, version)

    def get(value, begun, ended, version):
        return Operation("get", value, begun, ended, "ok", version)

    def cas(old, new, begun, ended, old_version, version):
        return Operation("cas", new, begun, ended, "ok", version, old, old_version)

    good = [put(1, 0, 1, 5), get(1, 2, 3, 5), put(2, 2, 6, 7), get(1, 3, 4, 5), get(2, 5, 6, 7),
            cas(2, 3, 7, 8, 7, 9), put(4, 7, NEVER, 0, "unknown"), get(3, 9, 10, 9), get(4, 11, 12, 12)]
    assert not faults_of(good), faults_of(good)
    bad = {
        "a stale read": [put(1, 0, 1, 5), put(2, 2, 3, 7), get(1, 4, 5, 5)],
        "a lost write": [put(1, 0, 1, 5), get(None, 2, 3, 0)],
        "two winners of one compare-and-set":
            [put(1, 0, 1, 5), cas(1, 2, 2, 3, 5, 7), cas(1, 3, 2, 3, 5, 8)],
        "a value that nobody wrote": [put(1, 0, 1, 5), get(9, 2, 3, 6)],
        "a read that goes back and forth":
            [put(1, 0, 9, 5), put(2, 0, 9, 7), get(2, 2, 3, 7), get(1, 4, 5, 8), get(2, 6, 7, 9)],
        "an unknown write that takes effect twice":
            [put(1, 0, 1, 5), put(2, 2, NEVER, 0, "unknown"), get(2, 3, 4, 6), put(3, 5, 6, 7), get(2, 7, 8, 8)],
    }
    for name, operations in bad.items():
        assert linearizable(operations)[0] is False, f"the checker accepts {name}"
    for name in ("a stale read", "a lost write", "two winners of one compare-and-set"):
        assert version_faults(bad[name]), f"the versions of {name} are accepted"
