#!/usr/bin/python3
"""Curator's and kazoo's own recipes, and callers of the server's, contend for one lock through
10,000 hand-overs; fewer for read/write lock, semaphore and election, with connections that are cut.

What the lock protects is a counter that is written without a look at its version: two who were
inside at once would lose counts. It also holds the place in the queue of the last one inside, and
the last fence: both only grow. Run by Debian's python3, which has kazoo."""

import json
import os
import socket
import subprocess
import threading
import time

import curator_test
import harness
import raw_client as raw
from harness import case, equal, true
from kazoo_clients import KazooClient, moonkeeper
from relay import Relay

from kazoo.exceptions import BadVersionError, NoNodeError, NodeExistsError
from kazoo.recipe.lock import Lock, WriteLock

SLOW = os.environ.get("MK_PRESET") in ("asan", "tsan")
HAND_OVERS = 1000 if SLOW else 10000
FEWER = 50 if SLOW else 200
PERMITS = 2
SECONDS_MAX = 250
TIMEOUT_S = 40
CUT_EVERY_S = 0.3
OPTIONS = ["forceSync=no"]  # what is tried here is exclusion; a disk would only make it slow
CONTENDED, COUNTER, INSIDE = "/contended", "/counter", "/inside"


# Curator sorts by what follows its own names, and takes kazoo's for others: so kazoo's recipes have
# Curator's names here. (With ours alone they contend as they are: the last case.)
class LockNamed(Lock):
    _NODE_NAME = "-lock-"
    _EXCLUDE_NAMES = ["lock-"]


class WriteNamed(WriteLock):
    """(kazoo 2.8's ReadLock waits for writers who came after it, as they do for it: it hangs.)"""

    _NODE_NAME = "__WRIT__"
    _EXCLUDE_NAMES = ["__WRIT__", "__READ__"]


class LatchNamed(Lock):
    _NODE_NAME = "-latch-"
    _EXCLUDE_NAMES = ["latch-"]


# --- Clients: what contenders ask for. Each may be cut, and goes on.


class Kazoo:
    def __init__(self, server, cut):
        self.relay = Relay(server.port) if cut else None
        self.client = KazooClient(hosts=(self.relay or server).address, timeout=TIMEOUT_S)
        self.client.start(timeout=30)

    def get(self, path):
        return self.client.retry(self.client.get, path)[0]

    def set(self, path, data, version=-1):
        self.client.retry(self.client.set, path, data, version)

    def get_version(self, path):
        data, stat = self.client.retry(self.client.get, path)
        return data, stat.version

    def enter(self, path):
        try:
            self.client.retry(self.client.create, path)
        except NodeExistsError:
            pass  # made, and the answer lost
        return len(self.client.retry(self.client.get_children, INSIDE))

    def leave(self, path):
        try:
            self.client.retry(self.client.delete, path)
        except NoNodeError:
            pass

    def call(self, operation, **arguments):
        return moonkeeper.call(self.client, operation, **arguments)

    def cut(self):
        if self.relay:
            self.relay.cut()

    def close(self):
        self.client.stop()
        self.client.close()


class Raw:
    """Opcode 700, by hand: a call that was cut off is asked again with its id."""

    def __init__(self, server, cut):
        self.may_be_cut = cut
        self.client = raw.Client(server.port, timeout_ms=TIMEOUT_S * 1000)
        self.call_id = 0

    def again(self, ask):
        while True:
            try:
                return ask(self.client)
            except (raw.Closed, OSError):
                self.client = self.client.reattached(timeout_ms=TIMEOUT_S * 1000)

    def get(self, path):
        return self.get_version(path)[0]

    def get_version(self, path):
        data, stat = self.again(lambda client: client.get(path))
        return data, stat.version

    def set(self, path, data, version=-1):
        request = raw.set_data(path, data, version)
        error = self.again(lambda client: client.error(raw.SET_DATA, request))
        if error == BadVersionError.code:
            raise BadVersionError()
        equal(error, 0)

    def enter(self, path):
        error = self.again(lambda client: client.error(raw.CREATE, raw.create(path)))
        true(error in (0, NodeExistsError.code), f"create: {error}")
        return len(self.again(lambda client: client.children(INSIDE)))

    def leave(self, path):
        error = self.again(lambda client: client.error(raw.DELETE, raw.delete(path)))
        true(error in (0, NoNodeError.code), f"delete: {error}")

    def call(self, operation, **arguments):
        self.call_id += 1
        request = raw.call(operation, json.dumps(arguments).encode(), self.call_id,
                           self.call_id - 1)
        reply = self.again(lambda client: client.must(raw.CALL, request))
        error, message, result = reply.string(), reply.string(), reply.buffer()
        equal((error, message), (None, None), operation)
        return json.loads(result)

    def cut(self):
        if self.may_be_cut:
            try:
                self.client.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.again(lambda client: client.close())


# --- What is done inside, until the counter has its target. False: it has.


def inside(client, target, place=None, fence=None):
    count, last_place, last_fence = client.get(COUNTER).decode().split()
    if int(count) >= target:
        return False
    if place:
        true(place[-10:] > last_place, f"{place} came after {last_place}")
        last_place = place[-10:]
    if fence:
        true(fence > int(last_fence), f"the fence {fence} came after {last_fence}")
        last_fence = fence
    client.set(COUNTER, f"{int(count) + 1} {last_place} {last_fence}".encode())
    return True


def unmoved(client, target):
    before, after = client.get(COUNTER), client.get(COUNTER)
    equal(after, before, "the counter, while readers hold the lock")
    return int(before.split()[0]) < target


def counted(client, target):
    while True:
        data, version = client.get_version(COUNTER)
        count = int(data.split()[0])
        if count >= target:
            return False
        try:
            client.set(COUNTER, f"{count + 1} - 0".encode(), version)
            return True
        except BadVersionError:
            pass


def among_few(client, target, name):
    before = client.enter(f"{INSIDE}/{name}")
    more = counted(client, target)
    beside = max(before, client.enter(f"{INSIDE}/{name}"))
    true(beside <= PERMITS, f"{beside} are inside")
    client.leave(f"{INSIDE}/{name}")
    return more


# --- Contenders: one round each; whether there is more to do.


def kazoo_lock(kind, work, **named):
    def one_round(client, target, _):
        lock = kind(client.client, CONTENDED, **named)
        with lock:
            return work(client, target, lock)
    return one_round


def inside_with(client, target, lock):
    return inside(client, target, place=lock.node)


def by_lock(client, target, _):
    held = client.call("lock.acquire", path=CONTENDED)
    more = inside(client, target, held["ticket"], held["fence"])
    equal(client.call("lock.release", path=CONTENDED, **held), True)
    return more


def by_write(client, target, _):
    held = client.call("rwlock.write", path=CONTENDED)
    more = inside(client, target, held["ticket"], held["fence"])
    equal(client.call("rwlock.release", **held), True)
    return more


def by_downgrade(client, target, _):
    """As by_write, and then a look at what was written, from which no writer may keep it."""
    held = client.call("rwlock.write", path=CONTENDED)
    more = inside(client, target, held["ticket"], held["fence"])
    written = client.get(COUNTER)
    held = client.call("rwlock.downgrade", **held)
    equal(client.get(COUNTER), written, "after a downgrade")
    equal(client.call("rwlock.release", **held), True)
    return more


def by_read(client, target, _):
    held = client.call("rwlock.read", path=CONTENDED)
    more = unmoved(client, target)
    equal(client.call("rwlock.release", **held), True)
    return more


def by_semaphore(client, target, name):
    held = client.call("semaphore.acquire", path=CONTENDED)
    more = among_few(client, target, name)
    client.call("semaphore.release", permits=held["permits"], fence=held["fence"])
    return more


def by_election(client, target, name):
    held = client.call("election.campaign", path=CONTENDED, value=name)
    more = inside(client, target, held["ticket"], held["fence"])
    equal(client.call("election.resign", **held), True)
    return more


# --- Running them.


class Contender(threading.Thread):
    def __init__(self, client, one_round, target, name):
        super().__init__(daemon=True)
        self.client, self.one_round, self.target, self.label = client, one_round, target, name
        self.count, self.failure = 0, None

    def run(self):
        try:
            while self.one_round(self.client, self.target, self.label):
                self.count += 1
        except BaseException as error:  # pylint: disable=broad-except
            self.failure = error


def curator(server, kind, count, target, cut):
    jars = curator_test.class_path()
    if not os.path.exists("classes/Contend.class"):
        subprocess.run(["javac", "-nowarn", "-d", "classes", "-cp", jars]
                       + [f"{curator_test.SOURCES}/{name}.java"
                          for name in ("Contend", "Link", "Proxy", "Check")], check=True)
    return subprocess.Popen(["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp",
                             "classes:" + jars, "Contend", str(server.port), kind, str(count),
                             str(target), "cut" if cut else "whole"],
                            stdout=subprocess.PIPE, text=True)


def cut_now_and_then(contenders):
    """One of them, whenever there was progress: or a slow machine would see nothing but cuts."""
    seen = 0
    for i in range(1 << 30):
        alive = [one for one in contenders if one.is_alive()]
        if not alive:
            return
        count = sum(one.count for one in contenders)
        if count > seen:
            seen = count
            alive[i % len(alive)].client.cut()
        time.sleep(CUT_EVERY_S)


def contend(server, kind, target, kinds, curators=0, cut=False):
    """`kinds`: (client, round) pairs. How often each of them has been inside."""
    setup = Kazoo(server, False)
    setup.client.create(COUNTER, b"0 - 0")
    setup.client.create(INSIDE)
    if kind == "semaphore":
        setup.call("semaphore.set_limit", path=CONTENDED, limit=PERMITS)
    java = curator(server, kind, curators, target, cut) if curators else None
    contenders = [Contender(client(server, cut), one_round, target, f"{kind}-{i}")
                  for i, (client, one_round) in enumerate(kinds)]
    for one in contenders:
        one.start()
    try:
        if cut:
            threading.Thread(target=cut_now_and_then, args=(contenders,), daemon=True).start()
        deadline = time.monotonic() + SECONDS_MAX
        for one in contenders:
            while one.is_alive() and not any(other.failure for other in contenders):
                true(time.monotonic() < deadline, f"not done within {SECONDS_MAX} s: "
                     f"{[(other.label, other.count, other.is_alive()) for other in contenders]}")
                one.join(0.5)
        for one in contenders:
            if one.failure:
                raise one.failure
        counts = [one.count for one in contenders]
        if java:
            output, _ = java.communicate(timeout=max(1, deadline - time.monotonic()))
            equal(java.returncode, 0, output)
            counts += [int(line) for line in output.split()]
    finally:
        if java and java.poll() is None:
            java.kill()
            java.wait()
    equal(int(setup.get(COUNTER).split()[0]), target, "the counter")
    for one in contenders:
        one.client.close()
    setup.close()
    return counts


def fair(counts, total):
    equal(sum(counts), total, "what each has counted")
    true(min(counts) >= total / len(counts) / 4, f"somebody was kept waiting: {counts}")


@case("Curator, kazoo and callers of lock.acquire hand one lock over 10,000 times")
def _():
    with harness.server(*OPTIONS) as server:
        counts = contend(server, "lock", HAND_OVERS, curators=3, kinds=[
            (Kazoo, kazoo_lock(LockNamed, inside_with)), (Kazoo, by_lock),
            (Raw, by_lock), (Raw, by_lock), (Raw, by_lock), (Raw, by_lock)])
        fair(counts, HAND_OVERS)


@case("the same, with connections that are cut")
def _():
    with harness.server(*OPTIONS) as server:
        counts = contend(server, "lock", FEWER, curators=3, cut=True, kinds=[
            (Kazoo, by_lock), (Kazoo, by_lock), (Raw, by_lock), (Raw, by_lock)])
        equal(sum(counts), FEWER) # who is cut off begins again at the end


@case("readers and writers of Curator and rwlock share one lock, and are cut off")
def _():
    with harness.server(*OPTIONS) as server:
        contend(server, "rwlock", FEWER, curators=4, cut=True, kinds=[
            (Kazoo, by_write), (Kazoo, by_read), (Raw, by_downgrade), (Raw, by_read)])


@case("readers of Curator and rwlock, writers of kazoo too, share one lock")
def _():
    with harness.server(*OPTIONS) as server:
        contend(server, "rwlock", FEWER, curators=4, kinds=[
            (Kazoo, kazoo_lock(WriteNamed, inside_with)), (Kazoo, by_write), (Kazoo, by_read),
            (Raw, by_downgrade), (Raw, by_read)])


@case("clients of Curator and callers of semaphore.acquire share the permits, and are cut off")
def _():
    with harness.server(*OPTIONS) as server:
        contend(server, "semaphore", FEWER, curators=2, cut=True, kinds=[
            (Kazoo, by_semaphore)] + [(Raw, by_semaphore)] * 4)


@case("LeaderLatch, kazoo's lock and election.campaign elect one leader at a time")
def _():
    with harness.server(*OPTIONS) as server:
        counts = contend(server, "election", FEWER, curators=3, kinds=[
            (Kazoo, kazoo_lock(LatchNamed, inside_with)),
            (Kazoo, by_election), (Raw, by_election), (Raw, by_election)])
        equal(sum(counts), FEWER)


@case("kazoo's locks, as they are, and lock.acquire hand one lock over, if kazoo is told of us")
def _():
    with harness.server(*OPTIONS) as server:
        told = kazoo_lock(Lock, inside_with, extra_lock_patterns=["lock-"])
        counts = contend(server, "lock", FEWER, kinds=[
            (Kazoo, told), (Kazoo, told), (Kazoo, by_lock), (Raw, by_lock)])
        fair(counts, FEWER)


if __name__ == "__main__":
    harness.main()
