#!/usr/bin/python3
"""Barriers, double barriers and parties that Curator, kazoo and callers of the recipes share: real
clients of each, on the same znodes, round after round."""

import functools
import logging
import os
import queue
import shutil
import subprocess
import sys
import threading

import curator_test
import harness
import kazoo_clients
from harness import case, equal, true, until
from kazoo_clients import moonkeeper

# The servers end before the clients, which would say so on standard error.
logging.getLogger("kazoo").addHandler(logging.NullHandler())

ROUNDS = 20
DONE_SECONDS_MAX = 90


@functools.lru_cache(maxsize=None)
def shared():
    return harness.server("tickTime=500")


class Curator:
    """A JVM with members of Curator's; see curator/Barriers.java."""

    def __init__(self):
        jars = curator_test.class_path()
        os.makedirs("barriers", exist_ok=True)
        subprocess.run(["javac", "-nowarn", "-d", "barriers", "-cp", jars,
                        os.path.join(curator_test.SOURCES, "Barriers.java")], check=True)
        self.waiting = {}
        self.jvm = subprocess.Popen(["java", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp",
                                     "barriers:" + jars, "Barriers", str(shared().port)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.jvm.stdout:
            member, action, result = line.rstrip("\n").split(" ", 2)
            self.waiting[member, action].put(result)

    def act(self, member, action, path, *more):
        answers = self.waiting[member, action] = queue.Queue()
        print(member, action, path, *more, file=self.jvm.stdin, flush=True)
        result = answers.get(timeout=DONE_SECONDS_MAX)
        equal(result, "true", f"Curator's member {member}: {action}")

    def end(self):
        self.jvm.stdin.close()
        self.jvm.wait(30)


@functools.lru_cache(maxsize=None)
def curator():
    return Curator()


class CuratorMember:
    """One who meets others at a barrier. All three kinds have the same methods."""

    def __init__(self, name):
        self.name = name

    def set(self, path):
        curator().act(self.name, "set", path)

    def remove(self, path):
        curator().act(self.name, "remove", path)

    def wait(self, path):
        curator().act(self.name, "wait", path)

    def enter(self, path, count):
        curator().act(self.name, "enter", path, count)

    def leave(self, path):
        curator().act(self.name, "leave", path)


class KazooMember:
    def __init__(self, name):
        self.name = name
        self.client = kazoo_clients.connect(shared())
        self.double = None

    def set(self, path):
        self.client.Barrier(path).create()

    def remove(self, path):
        true(self.client.Barrier(path).remove(), "kazoo removes the barrier")

    def wait(self, path):
        true(self.client.Barrier(path).wait(DONE_SECONDS_MAX), "kazoo passes the barrier")

    def enter(self, path, count):
        self.double = self.client.DoubleBarrier(path, count)
        self.double.enter()
        true(self.double.participating, "kazoo has entered")

    def leave(self, _path):
        self.double.leave()


class Caller:
    def __init__(self, name):
        self.name = name
        self.client = kazoo_clients.connect(shared())
        self.entered = None

    def call(self, operation, **arguments):
        return moonkeeper.call(self.client, operation, **arguments)

    def set(self, path):
        true(self.call("barrier.set", path=path)["set"], "the barrier is set")

    def remove(self, path):
        true(self.call("barrier.remove", path=path), "the barrier is removed")

    def wait(self, path):
        self.call("barrier.wait", path=path, timeout=DONE_SECONDS_MAX * 1000)

    def enter(self, path, count):
        self.entered = self.call("double_barrier.enter", path=path, count=count,
                                 timeout=DONE_SECONDS_MAX * 1000)

    def leave(self, path):
        true(self.call("double_barrier.leave", path=path, ticket=self.entered["ticket"],
                       timeout=DONE_SECONDS_MAX * 1000), "the caller has left")


@functools.lru_cache(maxsize=None)
def members():
    """Two of each kind."""
    return [kind(f"{kind.__name__}-{i}") for i in range(2)
            for kind in (CuratorMember, KazooMember, Caller)]


class Doing:
    """Members that do something, each in a thread of its own."""

    def __init__(self, who, action):
        self.done = []
        self.failures = []
        self.threads = [threading.Thread(target=self.guarded, args=(one, action), daemon=True)
                        for one in who]
        for thread in self.threads:
            thread.start()

    def guarded(self, member, action):
        try:
            action(member)
            self.done.append(member)
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(f"{member.name}: {error!r}")

    def join(self):
        for thread in self.threads:
            thread.join(DONE_SECONDS_MAX)
        equal(self.failures, [])
        equal(len(self.done), len(self.threads), "members that are through")


def calls_waiting(client):
    return [name for name in client.get_children(moonkeeper.CALLS)
            if b"waiting" in client.get(f"{moonkeeper.CALLS}/{name}")[0]]


@case("Curator, kazoo and callers are held by one barrier, whoever sets and whoever removes it")
def _():
    client = kazoo_clients.connect(shared())
    everybody = members()
    for i in range(9):
        setter, remover = everybody[i % 3], everybody[i // 3]
        path = f"/shared/barrier-{i}"
        setter.set(path)
        waiting = Doing(everybody, lambda one, path=path: one.wait(path))
        callers = [one for one in everybody if isinstance(one, Caller)]
        until(lambda callers=callers: all(calls_waiting(one.client) for one in callers),
              "the callers wait")
        equal([one.name for one in waiting.done], [], "members that were not held")
        remover.remove(path)
        waiting.join()
        equal(client.exists(path), None)
    client.stop()


def children(client, path):
    return client.get_children(path) if client.exists(path) else []


@case("Curator, kazoo and callers enter and leave one double barrier together, round after round")
def _():
    client, path = kazoo_clients.connect(shared()), "/shared/double"
    everybody, last_round = members(), 0
    for i in range(ROUNDS):
        # The last to come, and to go, is of another kind each time.
        last = everybody[i % 3]
        others = [one for one in everybody if one is not last]
        entering = Doing(others, lambda one: one.enter(path, len(everybody)))
        until(lambda: len(children(client, path)) == len(others), "all but one have come")
        equal([one.name for one in entering.done], [], "members in before the last has come")
        last.enter(path, len(everybody))
        entering.join()

        rounds = {one.entered["round"] for one in everybody if isinstance(one, Caller)}
        equal(len(rounds), 1, "rounds that the callers are in")
        true(rounds.copy().pop() > last_round, "rounds grow")
        last_round = rounds.pop()

        leaving = Doing(others, lambda one: one.leave(path))
        # kazoo's first member by name stays until it is alone with the last; the others go.
        until(lambda: len([name for name in children(client, path) if name != "ready"]) <= 2,
              "all but one are going")
        # kazoo's and Curator's may leave before: the one by an error of its own, when it is woken
        # twice, the other as soon as a single member is left.
        equal([one.name for one in leaving.done if isinstance(one, Caller)], [],
              "callers out before the last has gone")
        last.leave(path)
        leaving.join()
        equal([name for name in children(client, path) if name != "ready"], [])
    client.stop()


@case("callers do not wait for members of kazoo's and Curator's whose sessions have ended")
def _():
    path, everybody = "/shared/mortal", members()
    mortal = KazooMember("mortal")
    callers = [one for one in everybody if isinstance(one, Caller)]
    entering = Doing(callers, lambda one: one.enter(path, 3))
    mortal.enter(path, 3)
    entering.join()
    leaving = Doing(callers, lambda one: one.leave(path))
    until(lambda: all(calls_waiting(one.client) for one in callers), "the callers wait")
    mortal.client.stop()
    leaving.join()


@case("kazoo's Party and the recipe's are one party")
def _():
    path, client, other = "/shared/party", kazoo_clients.connect(shared()), kazoo_clients.connect(shared())
    party = client.Party(path, "of kazoo's")
    party.join()
    known = moonkeeper.call(other, "party.changes", path=path)
    equal(len(known["members"]), 1)
    moonkeeper.call(other, "party.join", path=path, id="ours", data="of the recipe's")
    equal(sorted(party), ["of kazoo's", "of the recipe's"])
    equal([one["data"] for one in moonkeeper.call(other, "party.members", path=path)
           if one["id"] != "ours"], ["of kazoo's"])
    party.leave()
    answer = moonkeeper.call(other, "party.changes", path=path, party=known["party"],
                             since=known["version"])
    equal([change["event"] for change in answer["changes"]], ["joined", "left"])
    other.stop()
    equal(len(party), 0)
    client.stop()


if __name__ == "__main__":
    if shutil.which("javac") is None:
        print("1..0 # SKIP there is no javac")
        sys.exit(harness.SKIPPED)
    curator_test.class_path()
    try:
        harness.main()
    finally:
        if curator.cache_info().currsize:
            curator().end()
        for one in members() if members.cache_info().currsize else []:
            if hasattr(one, "client"):
                one.client.stop()
