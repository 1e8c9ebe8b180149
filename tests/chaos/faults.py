"""The faults of a round. Each is a function of (world, dice) that begins the fault and returns
(end, words): `end` takes the fault back, and `words` describe it."""

import contextlib
import errno
import http.client
import shutil
import subprocess
import threading
import time

FAULTS = {}
NETWORK = {"split", "isolated_leader", "one_way", "ring", "resets", "flapping_cable"}


def fault(function):
    FAULTS[function.__name__] = function
    return function


def nothing():
    pass


def repeat(step):
    """Calls step() again and again on a thread of its own, until the returned function is
    called."""
    over = threading.Event()

    def work():
        while not over.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, AssertionError, LookupError):
                step()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def end():
        over.set()
        thread.join(60)
    return end


# ---- Processes

@fault
def kill(world, dice):
    node = dice.choice(world.nodes)
    node.kill9()
    return node.restart, node.name


@fault
def kill_leader(world, dice):
    node = world.leader()
    node.kill9()
    return node.restart, node.name


@fault
def kill_two(world, dice):
    nodes = dice.sample(world.nodes, 2)
    for node in nodes:
        node.kill9()
    return lambda: [node.restart() for node in nodes], [node.name for node in nodes]


@fault
def kill_all(world, dice):
    for node in world.nodes:
        node.kill9()
    for node in dice.sample(world.nodes, len(world.nodes)):
        time.sleep(dice.random() * 0.3)
        node.restart()
    return nothing, "all"


@fault
def kill_often(world, dice):
    def step():
        node = dice.choice(world.nodes)
        if node.alive:
            node.kill9()
            time.sleep(dice.random() * 1.5)
            node.restart()
        time.sleep(dice.random() * 2)
    return repeat(step), "one after the other"


@fault
def freeze(world, dice):
    node = dice.choice([world.leader(), dice.choice(world.nodes)])
    seconds = dice.uniform(1, 15)
    node.freeze()
    timer = threading.Timer(seconds, lambda: node.alive and node.thaw())
    timer.start()

    def end():
        timer.cancel()
        if node.alive:
            node.thaw()
    return end, (node.name, round(seconds, 1))


@fault
def freeze_often(world, dice):
    def step():
        node = dice.choice(world.nodes)
        if node.alive and not node.stopped:
            node.freeze()
            time.sleep(dice.uniform(0.2, 4))
            node.thaw()
    ends = [repeat(step), repeat(step)]
    return lambda: [end() for end in ends], "two at a time"


@fault
def terminate(world, dice):
    node = dice.choice([world.leader(), dice.choice(world.nodes)])
    thread = threading.Thread(target=lambda: node.terminate(15), daemon=True)
    thread.start()

    def end():
        thread.join(16)
        assert not node.alive, f"SIGTERM has not ended {node.name} within 15 s"
        node.restart()
    return end, node.name


@fault
def remove(world, dice):
    """A member is removed, and comes back with an empty disk."""
    node = dice.choice([world.leader(), dice.choice(world.nodes)])
    through = dice.choice(world.others(node))
    answer = through.api("DELETE", f"/api/cluster/nodes/{node.name}", timeout=10)
    assert answer.status == 202, answer

    def end():
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.process.wait(40)
        # It may still be alive: while other nodes are down, its work cannot leave. Then it stays.
        if node.alive:
            with contextlib.suppress(OSError, http.client.HTTPException):
                through.api("DELETE", f"/api/cluster/nodes/{node.name}/drain", timeout=10)
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.process.wait(3)
        if not node.alive:
            node.ends.append(node.process.returncode)
            shutil.rmtree(node.data_dir, ignore_errors=True)
            node.start()
    return end, (node.name, "asked of " + through.name)


# ---- Networks

@fault
def split(world, dice):
    few = dice.sample(world.nodes, dice.choice([1, 2]))
    many = [node for node in world.nodes if node not in few]
    for node in few:
        node.deaf_to(many)
        node.mute_to(many)
    return world.heal, [node.name for node in few]


@fault
def isolated_leader(world, dice):
    node = world.leader()
    node.plug(False)
    return world.heal, node.name


@fault
def one_way(world, dice):
    node = dice.choice([world.leader(), dice.choice(world.nodes)])
    some = dice.sample(world.others(node), dice.randint(1, len(world.nodes) - 1))
    way = dice.choice(["deaf", "mute"])
    (node.deaf_to if way == "deaf" else node.mute_to)(some)
    return world.heal, (node.name, way, [other.name for other in some])


@fault
def ring(world, dice):
    """Every node hears a majority, and no two nodes hear the same one."""
    for i, node in enumerate(world.nodes):
        node.deaf_to([world.nodes[(i + 2) % len(world.nodes)]])
    return world.heal, "each is deaf to one"


@fault
def resets(world, dice):
    node = dice.choice(world.nodes)
    node.deaf_to(world.others(node), reset=True)
    return world.heal, node.name


@fault
def flapping_cable(world, dice):
    node = world.leader()

    def step():
        node.plug(False)
        time.sleep(0.8)
        node.plug(True)
        time.sleep(1.2)
    stop = repeat(step)

    def end():
        stop()
        world.heal()
    return end, node.name


# ---- Clocks and disks

@fault
def wall_clocks(world, dice):
    jumps = {}
    for node in dice.sample(world.nodes, dice.randint(1, len(world.nodes))):
        jumps[node.name] = dice.choice([-365 * 86400, -3600, -5, 5, 660, 3600, 2 * 86400, 3650 * 86400])
        node.jump(jumps[node.name])
    return lambda: [node.jump(0) for node in world.nodes], jumps


@fault
def drift(world, dice):
    fast, slow = dice.sample(world.nodes, 2)
    fast.drift(1.045)
    slow.drift(0.955)

    def end():
        for node in (fast, slow):
            node.kill9()
            node.restart()
    return end, {fast.name: 1.045, slow.name: 0.955}


@fault
def disk_error(world, dice):
    node = dice.choice([world.leader(), dice.choice(world.nodes)])
    kind = dice.choice([{"sync_errno": errno.EIO}, {"write_errno": errno.EIO}, {"write_errno": errno.ENOSPC}])
    node.spoil_disk(**kind)

    def end():
        node.spoil_disk()
        node.restart()
    return end, (node.name, kind)


@fault
def slow_disk(world, dice):
    node = dice.choice([world.leader(), dice.choice(world.nodes)])
    delay = dice.choice([50, 200, 600, 1500, 4000])
    node.spoil_disk(sync_delay_ms=delay)
    return node.spoil_disk, (node.name, f"{delay} ms")


# ---- Operators

@fault
def transfers(world, dice):
    def step():
        dice.choice(world.nodes).api("POST", "/api/cluster/leader/transfer", {}, timeout=5)
        time.sleep(dice.random())
    return repeat(step), "again and again"


@fault
def moves(world, dice):
    def step():
        time.sleep(dice.random() * 2)
        listed = dice.choice(world.running).get("/api/cluster/assignments")["assignments"]
        dice.choice(world.running).api(
            "POST", f"/api/cluster/processors/{dice.choice(listed)['processorId']}/move",
            {"nodeId": dice.choice(world.nodes).name}, timeout=5)
    return repeat(step), "again and again"
