#!/usr/bin/python3
"""Calls through three servers that behave as one: where they are answered, and what kill -9 changes."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import harness
import tally
from harness import case

sys.path.insert(0, os.path.join(tally.SOURCE, "src/client/python"))
try:
    import moonkeeper
    from kazoo.exceptions import KazooException, UnimplementedError
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(harness.SKIPPED)

from ensemble import SECONDS_MAX, Ensemble, agree, until

logging.getLogger("kazoo").addHandler(logging.NullHandler())

KILLS = 3
BETWEEN_SECONDS = 1
LOCK = "/locks/shared"


def announced(ensemble):
    """All have said that they run recipes, and everybody knows it."""
    wanted = ",".join(str(member.number) for member in ensemble.members).encode()
    for member in ensemble.alive():
        client = ensemble.client(member)
        until("all have announced", lambda client=client: (
            client.exists("/zookeeper/announced") and client.get("/zookeeper/announced")[0] == wanted))
        until("there are recipes", lambda client=client: (
            client.exists("/zookeeper/recipes") and client.get("/zookeeper/recipes")[0] == b""))


def client_at(ensemble, turn):
    """Connected to one of them, and to the next one when that has gone."""
    turn %= len(ensemble.members)
    return ensemble.client(*ensemble.members[turn:], *ensemble.members[:turn])


def command(ensemble, *arguments, **named):
    servers = ",".join(f"{member.host}:{member.port}" for member in ensemble.members)
    return subprocess.Popen([harness.needed("MOONKEEPER"), "-s", servers, *arguments],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, **named)


# ---- Where calls run

@case("a call is answered by each server, and while a minority is down by the others")
def _():
    with Ensemble(recipes="on") as ensemble:
        ensemble.serving()
        announced(ensemble)

        sums = [moonkeeper.call(ensemble.client(member), "counter.add", path="/n")["after"]
                for member in ensemble.members]
        assert sums == [1, 2, 3], sums
        read = command(ensemble, "call", "--linearizable", "counter.get", "path=/n")
        assert read.communicate(timeout=SECONDS_MAX)[0] == "3\n"
        last = ensemble.members[0]
        last.end(signal.SIGKILL)
        ensemble.serving()
        client = ensemble.client(*ensemble.alive())
        assert moonkeeper.call(client, "counter.add", path="/n")["after"] == 4
        ensemble.start(last)
        ensemble.serving()
        agree(ensemble)


@case("until all servers have come calls are refused, with the number of the one that is missing")
def _():
    ensemble = Ensemble(recipes="on")
    ensemble.starting = ensemble.members[:2]
    with ensemble:
        missing = ensemble.members[2]
        ensemble.serving()
        client = ensemble.client(*ensemble.alive())
        call = command(ensemble, "call", "counter.add", "path=/n")
        said = call.communicate(timeout=SECONDS_MAX)[0]
        assert "Unimplemented" in said and "server 3" in said, said
        try:
            client.create("/zookeeper/calls/counter.add-", b"{}", ephemeral=True, sequence=True)
            raise AssertionError("a call node was made")
        except UnimplementedError:
            pass

        ensemble.start(missing)
        ensemble.serving()
        announced(ensemble)
        assert moonkeeper.call(client, "counter.add", path="/n")["after"] == 1


@case("a call that waits through one server is granted by a release through another")
def _():
    with Ensemble(recipes="on") as ensemble:
        ensemble.serving()
        announced(ensemble)
        one, two, three = (client_at(ensemble, turn) for turn in range(3))
        grant = moonkeeper.call(one, "lock.acquire", path=LOCK)
        waits = moonkeeper.start(two, "lock.acquire", path=LOCK)
        waiting = command(ensemble, "call", "lock.acquire", "path=" + LOCK)
        until("both wait", lambda: len(three.get_children(LOCK)) == 3)

        moonkeeper.call(one, "lock.release", path=LOCK, ticket=grant["ticket"])

        second = waits.result(SECONDS_MAX)
        assert second["fence"] > grant["fence"]
        ensemble.leader().end(signal.SIGKILL)
        ensemble.serving()
        until("who holds it is there again", lambda: two.retry(two.exists, second["ticket"]))
        moonkeeper.call(two, "lock.release", path=LOCK, ticket=second["ticket"])
        said = waiting.communicate(timeout=SECONDS_MAX)[0]
        assert waiting.returncode == 0 and '"fence"' in said, said


# ---- Exactly once, and one at a time, whoever is killed

class Callers:
    """Each a thread with a client of its own, until told to stop. What one raises ends the test."""

    def __init__(self):
        self.stopped = threading.Event()
        self.threads = []
        self.failures = []
        self.inside = 0
        self.held = 0
        self.added = 0
        self.guard = threading.Lock()

    def run(self, count, act, client_of):
        for _ in range(count):
            thread = threading.Thread(target=self._loop, args=(act, client_of()))
            self.threads.append(thread)
            thread.start()

    def _loop(self, act, client):
        try:
            while not self.stopped.is_set():
                act(client)
        except BaseException as failure:  # pylint: disable=broad-except
            self.failures.append(repr(failure))

    def finish(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(SECONDS_MAX)
            assert not thread.is_alive(), "a caller waits for ever"
        assert not self.failures, self.failures

    def add(self, client):
        moonkeeper.call(client, "counter.add", path="/added")
        with self.guard:
            self.added += 1

    def _alone(self):
        with self.guard:
            self.inside += 1
            assert self.inside == 1, "two hold the lock"
        time.sleep(0.001)
        with self.guard:
            self.inside -= 1
            self.held += 1

    def lock_by_call(self, client):
        grant = moonkeeper.call(client, "lock.acquire", path=LOCK)
        self._alone()
        moonkeeper.call(client, "lock.release", path=LOCK, ticket=grant["ticket"])

    def lock_by_kazoo(self, client):
        lock = client.Lock(LOCK, extra_lock_patterns=["lock-"])
        lock.acquire()
        self._alone()
        while True:
            try:
                lock.release()
                return
            except KazooException:
                client.retry(client.exists, LOCK)


@case("leaders are killed under callers: each addition counts once, and one at a time holds the lock")
def _():
    with Ensemble(recipes="on") as ensemble:
        ensemble.serving()
        announced(ensemble)
        callers = Callers()
        places = iter(range(100))

        def client_of():
            return client_at(ensemble, next(places))

        callers.run(4, callers.add, client_of)
        callers.run(3, callers.lock_by_call, client_of)
        callers.run(2, callers.lock_by_kazoo, client_of)
        for _ in range(KILLS):
            done = callers.added, callers.held
            until("callers get on", lambda done=done: (
                callers.failures or (callers.added > done[0] + 10 and callers.held > done[1] + 3)))
            time.sleep(BETWEEN_SECONDS)
            leader = ensemble.serving()
            leader.end(signal.SIGKILL)
            until("another leads", ensemble.leader)
            ensemble.start(leader)
        done = callers.added, callers.held
        until("callers get on", lambda: (
            callers.failures or (callers.added > done[0] + 10 and callers.held > done[1] + 3)))
        callers.finish()

        ensemble.serving()
        found = agree(ensemble)
        assert int(found["/added"][0]) == callers.added, (found["/added"][0], callers.added)
        assert not [path for path in found if path.startswith(LOCK + "/")], found.keys()
        print(f"# {callers.added} additions, {callers.held} times held, {KILLS} leaders killed")


if __name__ == "__main__":
    harness.main()
