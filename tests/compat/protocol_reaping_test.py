#!/usr/bin/python3
"""The client protocol: what goes by itself. Containers and TTL znodes, with a reaper that comes every
second; and what is left of both after kill -9. The times are those observed of ZooKeeper 3.8.0."""

import functools
import time

import harness
import raw_client as raw
from harness import case, equal, true, until
from raw_client import Client

INTERVAL = 1.0
SLACK = 1.5  # of a busy machine, beyond the next round
OPTIONS = ["tickTime=2000", "extendedTypesEnabled=true", "znode.container.checkIntervalMs=1000"]
DELETED, CHILDREN_CHANGED = 2, 4


@functools.lru_cache(maxsize=None)
def shared(*more):
    return harness.server(*OPTIONS, *more)


def connect(*more):
    return Client(shared(*more).port)


def container(client, path):
    client.must(raw.CREATE_CONTAINER, raw.create(path, flags=4))


def ttl(client, path, milliseconds):
    client.must(raw.CREATE_TTL, raw.create(path, flags=5, ttl=milliseconds))


def emptied(client, path):
    container(client, path)
    client.create(path + "/a")
    client.delete(path + "/a")


class Clock:
    def __init__(self):
        self.start = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start


def goes(client, path, clock, least, most):
    """It is there for `least` seconds of the clock, and gone at `most`, and a busy machine's slack."""
    until(lambda: client.stat(path) is None, f"{path} goes", seconds=most + SLACK + 20)
    seconds = clock.seconds()
    true(seconds >= least, f"{path} was gone after {seconds:.2f} s, earlier than {least} s")
    true(seconds <= most + SLACK, f"{path} was gone only after {seconds:.2f} s, not {most} s")


@case("a container goes with the next round after its last child, not before")
def _():
    client = connect()
    container(client, "/emptied")
    client.create("/emptied/a")
    client.create("/emptied/b")
    client.delete("/emptied/a")
    time.sleep(2 * INTERVAL)
    true(client.stat("/emptied") is not None, "it has a child")
    clock = Clock()
    client.delete("/emptied/b")
    goes(client, "/emptied", clock, 0, INTERVAL)


@case("a container that never had a child stays")
def _():
    client = connect()
    container(client, "/never-used")
    time.sleep(3 * INTERVAL)
    equal(client.stat("/never-used").owner, 0)


@case("a container that never had a child goes after znode.container.maxNeverUsedIntervalMs")
def _():
    client = connect("znode.container.maxNeverUsedIntervalMs=3000")
    clock = Clock()
    container(client, "/never-used")
    goes(client, "/never-used", clock, 3, 3 + INTERVAL)


@case("a container in a container goes first, and its parent in a later round")
def _():
    client = connect()
    container(client, "/outer")
    clock = Clock()
    emptied(client, "/outer/inner")
    goes(client, "/outer/inner", clock, 0, INTERVAL)
    goes(client, "/outer", clock, 0, 2 * INTERVAL)


@case("a TTL of 3 s is over after 3 to 4 s")
def _():
    client = connect()
    clock = Clock()
    ttl(client, "/ttl", 3000)
    goes(client, "/ttl", clock, 3, 3 + INTERVAL)


@case("setData begins a TTL afresh, setACL and getData do not")
def _():
    client = connect()
    ttl(client, "/touched", 3000)
    ttl(client, "/looked-at", 3000)
    clock = Clock()
    time.sleep(2)
    client.get("/looked-at")
    client.must(raw.SET_ACL, raw.set_acl("/looked-at", raw.OPEN))
    client.set("/touched", b"x")
    goes(client, "/looked-at", clock, 2.9, 3 + INTERVAL)
    goes(client, "/touched", clock, 5, 5 + INTERVAL)


@case("a TTL znode with a child stays, and goes right after the child, whose comings do not count")
def _():
    client = connect()
    ttl(client, "/parent", 500)
    client.create("/parent/child")
    time.sleep(3 * INTERVAL)
    true(client.stat("/parent") is not None, "it has a child")
    clock = Clock()
    client.delete("/parent/child")
    goes(client, "/parent", clock, 0, INTERVAL)


@case("a sequential TTL znode goes like any other")
def _():
    client = connect()
    clock = Clock()
    path = client.must(raw.CREATE_TTL, raw.create("/seq-", flags=6, ttl=500)).string()
    true(path.startswith("/seq-0"), path)
    goes(client, path, clock, 0.5, 0.5 + INTERVAL)


@case("who watches is told as of any deletion, and the parent is moved by it")
def _():
    client, watcher, cache = connect(), connect(), connect()
    client.create("/watched")
    emptied(client, "/watched/c")
    watcher.stat("/watched/c", watch=True)
    watcher.children("/watched", watch=True)
    cache.must(raw.ADD_WATCH, raw.string("/watched") + raw.i32(1))
    before = client.stat("/watched")
    until(lambda: client.stat("/watched/c") is None, "it goes")
    equal(watcher.take_events(), [(DELETED, "/watched/c"), (CHILDREN_CHANGED, "/watched")])
    equal(cache.take_events(), [(DELETED, "/watched/c")])
    after = client.stat("/watched")
    equal((after.children, after.cversion), (0, before.cversion + 1))
    true(after.pzxid > before.pzxid, "pzxid has moved")
    equal((after.mzxid, after.version), (before.mzxid, before.version))


@case("a client that comes too late for a container finds no node, makes it anew, and goes on")
def _():
    client = connect()
    emptied(client, "/late")
    until(lambda: client.stat("/late") is None, "it goes")
    equal(client.error(raw.CREATE, raw.create("/late/b")), raw.NO_NODE)
    container(client, "/late")
    client.create("/late/b")
    time.sleep(2 * INTERVAL)
    true(client.stat("/late/b") is not None, "it is used")


@case("no more go in a minute than znode.container.maxPerMinute")
def _():
    client = connect("znode.container.maxPerMinute=120")
    client.create("/slow")
    for number in range(8):
        ttl(client, f"/slow/{number}", 1)
    until(lambda: len(client.children("/slow")) < 8, "the round begins")
    clock = Clock()
    until(lambda: not client.children("/slow"), "all go", seconds=30)
    true(clock.seconds() >= 7 * 0.5 - 0.3, f"7 more went in {clock.seconds():.2f} s")


@case("after kill -9 what was due, and what becomes due, still goes; what is not due stays")
def _():
    with harness.server(*OPTIONS) as server:
        client = Client(server.port)
        emptied(client, "/before")
        container(client, "/used")
        client.create("/used/child")
        clock = Clock()
        ttl(client, "/ttl", 6000)
        ttl(client, "/long", 600000)
        server.kill()
        server.start()
        client = Client(server.port)
        until(lambda: client.stat("/before") is None, "the container goes")
        true(client.stat("/ttl") is not None or clock.seconds() >= 6, "the TTL has not begun afresh")
        goes(client, "/ttl", clock, 6, 6 + INTERVAL + 5)
        true(client.stat("/long") is not None, "its TTL is long")
        client.delete("/used/child")
        until(lambda: client.stat("/used") is None, "the other container goes")


@case("without extendedTypesEnabled a TTL is refused, and containers go all the same")
def _():
    with harness.server("tickTime=2000", "znode.container.checkIntervalMs=1000") as server:
        client = Client(server.port)
        equal(client.error(raw.CREATE_TTL, raw.create("/t", flags=5, ttl=1000)), raw.UNIMPLEMENTED)
        emptied(client, "/c")
        until(lambda: client.stat("/c") is None, "it goes")


if __name__ == "__main__":
    harness.main()
