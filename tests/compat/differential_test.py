#!/usr/bin/python3
"""The same random history to Moonkeeper and to Debian's ZooKeeper 3.8.0, side by side: every answer,
every Stat, every zxid and every event must be the same, in the same order on each connection.

random_history.py says what happens in it, side_by_side.py how it is compared. A difference is shrunk
and written to a file; what is printed with it replays it.

    DIFFERENTIAL_REQUESTS=100000 tests/compat/differential_test.py fresh     # about two minutes
    DIFFERENTIAL_SEED=7 tests/compat/differential_test.py fresh              # that seed again
    DIFFERENTIAL_REPLAY=difference-7.txt tests/compat/differential_test.py replay
"""

import functools
import os
import random

import harness
import random_history
import raw_client as raw
from harness import case, equal, true
from protocol import SUPER
from raw_client import Client
from side_by_side import Sides

REQUESTS = int(os.environ.get("DIFFERENTIAL_REQUESTS", "4000"))
ROUND = 2000  # requests of one history: more make listings long, and differences hard to shrink
FIXED_SEED = 1
FRESH_SEED = int(os.environ.get("DIFFERENTIAL_SEED", random.SystemRandom().randrange(1, 10**9)))
REPLAY = os.environ.get("DIFFERENTIAL_REPLAY")
# When a container is reaped is a matter of the clock: not while histories are played.
OPTIONS = ["tickTime=3000", "extendedTypesEnabled=true", "forceSync=no", "maxClientCnxns=0",
           "DigestAuthenticationProvider.superDigest=" + SUPER,
           "znode.container.checkIntervalMs=86400000"]


@functools.lru_cache(maxsize=None)
def both():
    if not harness.zookeeper_is_there():
        raise harness.Skip("there is no ZooKeeper, or no java")
    return Sides(harness.Moonkeeper(*OPTIONS).port, harness.ZooKeeper(*OPTIONS).port)


def explain(sides, seed, steps, found):
    """Shrink it, keep it, say what it is."""
    text = f"seed {seed}: {found.what} of {found.step}:\n  ours   {found.own}\n  theirs {found.theirs}\n"
    path = os.path.abspath(f"difference-{seed}.txt")
    shorter = sides.shrunk(steps, found)
    random_history.write(shorter or steps, path)
    if shorter is None:
        return text + f"played once more there was no difference; the history is in {path}"
    again = sides.difference(shorter) or found
    with open(path, encoding="ascii") as file:
        history = file.read()
    return (f"{text}shrunk to {len(shorter)} steps: {again.what} of {again.step}:\n"
            f"  ours   {again.own}\n  theirs {again.theirs}\n{history}"
            f"replay it: DIFFERENTIAL_REPLAY={path} tests/compat/differential_test.py replay")


def compare(seed):
    """Histories until there are requests enough, each from a seed that follows from the first."""
    sides = both()
    left = REQUESTS
    while left > 0:
        steps = random_history.history(seed, min(ROUND, left))
        found = sides.difference(steps)
        if found is not None:
            raise AssertionError(explain(sides, seed, steps, found))
        left -= sum(len(step.requests) for step in steps)
        seed += 1
    print(f"# no difference in {REQUESTS - left} requests, the last seed was {seed - 1}")


@case(f"{REQUESTS} random requests are answered as ZooKeeper answers them (fixed seed {FIXED_SEED})")
def _():
    compare(FIXED_SEED)


@case(f"{REQUESTS} random requests are answered as ZooKeeper answers them (fresh seed {FRESH_SEED})")
def _():
    compare(FRESH_SEED)


@case("a server that checks no permissions is found out, by a history of few requests")
def _():
    with harness.Moonkeeper(*OPTIONS) as own, harness.Moonkeeper("skipACL=yes", *OPTIONS) as other:
        sides = Sides(own.port, other.port, same_release=True)
        for seed in range(1, 11):
            steps = random_history.history(seed, 500)
            found = sides.difference(steps)
            if found is not None:
                break
        true(found is not None, "there is no difference")
        shorter = sides.shrunk(steps, found)

        true(sum(len(step.requests) for step in shorter) <= 5, f"it is not short: {shorter}")
        random_history.write(shorter, "found.txt")
        true(sides.difference(random_history.load("found.txt")), "what was kept has no difference")


def reaped(server):
    """What is seen of znodes that go by themselves, one after the other."""
    client, watcher = Client(server.port), Client(server.port)
    client.create("/r")
    client.must(raw.CREATE_CONTAINER, raw.create("/r/unused", flags=raw.CONTAINER))
    client.must(raw.CREATE_CONTAINER, raw.create("/r/c", flags=raw.CONTAINER))
    client.create("/r/c/x")
    client.must(raw.CREATE_TTL, raw.create("/r/parent", flags=raw.TTL, ttl=1000))
    client.create("/r/parent/x")
    watcher.must(raw.ADD_WATCH, raw.string("/r") + raw.i32(1))
    seen = []
    for path, flags, child in (("/r/c", None, "/r/c/x"), ("/r/t", raw.TTL, None),
                               ("/r/s0000000004", raw.TTL_SEQUENTIAL, None),
                               ("/r/parent", None, "/r/parent/x")):
        if flags:
            client.must(raw.CREATE_TTL, raw.create(path[:4], flags=flags, ttl=400))
        client.get(path, watch=True)
        client.children("/r", watch=True)
        if child:
            client.delete(child)
        harness.until(lambda: client.stat(path) is None, f"{path} goes")
        stat = client.stat("/r")
        seen += [path, client.take_events(), watcher.take_events(), client.children("/r"),
                 (stat.version, stat.cversion, stat.children, stat.mzxid == stat.czxid)]
    return seen


@case("empty containers and expired TTL znodes go with the events and Stats of ZooKeeper")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("there is no ZooKeeper, or no java")
    options = ["extendedTypesEnabled=true", "znode.container.checkIntervalMs=1000"]
    with harness.Moonkeeper(*options) as own, harness.ZooKeeper(*options) as theirs:
        equal(reaped(own), reaped(theirs))


if REPLAY:
    @case(f"the replay of {REPLAY} shows no difference")
    def _():
        found = both().difference(random_history.load(REPLAY))
        true(found is None, found and f"{found.what} of {found.step}:\n  ours   {found.own}\n"
                                      f"  theirs {found.theirs}")


if __name__ == "__main__":
    harness.main()
