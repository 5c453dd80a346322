#!/usr/bin/python3
"""Three servers that behave as one: processes on loopback, kazoo as their client, kill -9."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

try:
    from kazoo.exceptions import KazooException, NodeExistsError
    from kazoo.handlers.threading import KazooTimeoutError
    from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(77)

import harness
from ensemble import HISTORY, SECONDS_MAX, Ensemble, agree, until
from harness import case

KILLS = 4
INSTALL_KILLS = 6
MANY = 600  # znodes, which are more than that, and more than fits between two checkpoints


def same_everywhere(ensemble, path, data):
    for member in ensemble.alive():
        client = ensemble.client(member)
        client.sync(path)
        assert client.get(path)[0] == data, (member.number, path)


# ---- A whole ensemble

@case("three servers elect one of them, and each says what it is")
def _():
    with Ensemble() as ensemble:
        leader = ensemble.serving()

        modes = sorted(member.mode() for member in ensemble.members)
        assert modes == ["follower", "follower", "leader"], modes
        until("both followers are synchronised",
              lambda: leader.metrics().get("zk_synced_followers") == "2")
        metrics = leader.metrics()
        assert metrics["zk_server_state"] == "leader"
        assert metrics["zk_followers"] == "2" and metrics["zk_learners"] == "2"
        assert metrics["zk_synced_observers"] == "0" and metrics["zk_pending_syncs"] == "0"
        for member in ensemble.members:
            assert member.word("isro") == "rw"
            assert member.word("ruok") == "imok"
            if member is not leader:
                assert member.metrics()["zk_server_state"] == "follower"
                assert "zk_synced_followers" not in member.metrics()


def status(member):
    """What `moonkeeper status` says of each server, by its number."""
    done = subprocess.run([harness.needed("MOONKEEPER"), "status", member.config],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          timeout=SECONDS_MAX, check=False)
    return dict(re.findall(r"^server\.(\d+): (.*)$", done.stdout, re.MULTILINE))


@case("status tells what the others do, how far behind they are, and who is missing and why")
def _():
    with Ensemble() as ensemble:
        leader = ensemble.serving()
        ensemble.client(leader).create("/written", b"")
        follower, other = (member for member in ensemble.members if member is not leader)

        until("both follow", lambda: all(
            "follows, zxid 0x" in status(leader)[str(member.number)]
            for member in (follower, other)))
        assert status(leader)[str(leader.number)] == "leader, this server"
        assert status(follower)[str(leader.number)] == "leads"

        other.end(signal.SIGKILL)

        until("it is missing", lambda: re.fullmatch(
            r"missing for \d+ s: connection refused", status(leader)[str(other.number)]))


@case("what is written through one server is read through every other")
def _():
    with Ensemble() as ensemble:
        ensemble.serving()
        for member in ensemble.members:
            path = f"/by-{member.number}"
            ensemble.client(member).create(path, path.encode())

            same_everywhere(ensemble, path, path.encode())


@case("a session goes on at another server, and its ephemeral with it")
def _():
    with Ensemble() as ensemble:
        ensemble.serving()
        first, second, third = ensemble.members
        client = ensemble.client(first, second, third)
        client.create("/ephemeral", b"", ephemeral=True)
        session = client.client_id

        first.end(signal.SIGKILL)

        until("the client is served again", lambda: client.retry(client.exists, "/ephemeral"))
        assert client.client_id == session
        assert ensemble.client(third).exists("/ephemeral") is not None


@case("a watch at one server is told of a change by another")
def _():
    with Ensemble() as ensemble:
        ensemble.serving()
        told = threading.Event()
        writer = ensemble.client(ensemble.members[0])
        writer.create("/watched", b"1")
        watcher = ensemble.client(ensemble.members[1])
        watcher.sync("/watched")
        watcher.get("/watched", watch=lambda event: told.set())

        writer.set("/watched", b"2")

        assert told.wait(SECONDS_MAX)


@case("one of three does not serve, and does again when there is another")
def _():
    with Ensemble() as ensemble:
        ensemble.serving()
        ensemble.client().create("/kept", b"kept")
        first, second, third = ensemble.members
        third.end(signal.SIGKILL)
        second.end(signal.SIGKILL)

        until("it no longer serves",
              lambda: "not currently serving" in first.word("srvr"))
        assert first.word("isro") == "null" and first.word("ruok") == "imok"

        ensemble.start(second)
        ensemble.serving()
        same_everywhere(ensemble, "/kept", b"kept")


@case("all stop and start again, and nothing is lost")
def _():
    with Ensemble() as ensemble:
        ensemble.serving()
        client = ensemble.client()
        for number in range(50):
            client.create(f"/kept-{number}", str(number).encode())
        for member in ensemble.members:
            assert member.end(signal.SIGTERM) == 0

        ensemble.start()

        ensemble.serving()
        same_everywhere(ensemble, "/kept-49", b"49")


# ---- Servers that die

class Load:
    """A client that makes znodes, one after another, and remembers those that were acknowledged."""

    def __init__(self, client):
        self.client = client
        self.acknowledged = []
        self.running = True
        client.ensure_path("/load")
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number = 0
        while self.running:
            try:
                self.client.create(f"/load/{number}", b"x")
            except NodeExistsError:
                pass  # an earlier try, of which nobody knew what had come of it
            except (KazooException, KazooTimeoutError):
                time.sleep(0.01)
                continue
            self.acknowledged.append(number)
            number += 1

    def grows(self):
        """Until some more have been acknowledged."""
        before = len(self.acknowledged)
        until("writes go on", lambda: len(self.acknowledged) > before + 20)

    def end(self):
        self.running = False
        self.thread.join(SECONDS_MAX)
        assert not self.thread.is_alive()


@case("the leader is killed again and again: no acknowledged write is lost, no session ends")
def _():
    with Ensemble() as ensemble:
        ensemble.serving()
        client = ensemble.client()
        session = client.client_id
        client.create("/alive", b"", ephemeral=True)
        load = Load(client)
        for _ in range(KILLS):
            load.grows()
            leader = ensemble.serving()
            leader.end(signal.SIGKILL)
            load.grows()
            ensemble.start(leader)
            ensemble.serving()
        load.grows()
        load.end()

        assert client.client_id == session
        expected = {str(number) for number in load.acknowledged}
        for member in ensemble.members:
            reader = ensemble.client(member)
            reader.sync("/load")
            missing = expected - set(reader.get_children("/load"))
            assert not missing, (member.number, sorted(missing)[:10], len(expected))
            assert reader.exists("/alive") is not None


@case("a follower that was away catches up with what was written meanwhile")
def _():
    with Ensemble() as ensemble:
        leader = ensemble.serving()
        follower = next(member for member in ensemble.members if member is not leader)
        client = ensemble.client(leader)
        client.create("/before", b"")
        follower.end(signal.SIGKILL)
        for number in range(HISTORY // 2):  # fewer than the leader keeps
            client.create_async(f"/meanwhile-{number}", b"x")
        client.create("/last", b"last")

        ensemble.start(follower)

        ensemble.serving()
        same_everywhere(ensemble, "/last", b"last")
        assert len(ensemble.client(follower).get_children("/")) >= HISTORY // 2 + 2
        assert snapshots_in(follower) == 0


@case("an observer serves, and has no vote")
def _():
    with Ensemble(count=4, observers=1) as ensemble:
        leader = ensemble.serving()
        observer = ensemble.members[3]
        assert observer.mode() == "observer"
        assert leader.metrics()["zk_synced_observers"] == "1"
        ensemble.client(observer).create("/by-observer", b"o")
        same_everywhere(ensemble, "/by-observer", b"o")

        for member in ensemble.members[:2]:
            member.end(signal.SIGKILL)

        until("nobody serves without a majority of those that vote",
              lambda: not observer.mode() and not ensemble.members[2].mode())


# ---- Servers that take in a snapshot

INSTALLED = "the leader's snapshot is installed"


def write_many(client, folder, count=MANY):
    """More than the leader keeps for who comes back: it makes checkpoints meanwhile."""
    client.ensure_path(folder)
    pending = [client.create_async(f"{folder}/{number}", os.urandom(5000))
               for number in range(count)]
    for created in pending:
        created.get(timeout=SECONDS_MAX)


def snapshots_in(member):
    return member.log_text().count(INSTALLED)


@case("an empty server joins while writes go on, and has what the others have")
def _():
    ensemble = Ensemble()
    first, second, third = ensemble.members
    ensemble.starting = [first, second]
    with ensemble:
        ensemble.serving()
        client = ensemble.client(first, second)
        client.create("/ephemeral", b"", ephemeral=True, makepath=True)
        client.create("/read-only", b"", acl=[make_digest_acl("ann", "secret", read=True)] +
                      OPEN_ACL_UNSAFE)
        write_many(client, "/many")
        load = Load(client)
        load.grows()

        ensemble.start(third)

        until("it serves", third.mode)
        load.grows()
        load.end()
        assert snapshots_in(third) == 1
        held = agree(ensemble)
        assert {"/ephemeral", "/read-only", f"/many/{MANY - 1}"} <= held.keys()
        assert {f"/load/{number}" for number in load.acknowledged} <= held.keys()


@case("who took a snapshot starts again from it, leads with it, and takes another")
def _():
    with Ensemble() as ensemble:
        leader = ensemble.serving()
        behind, other = (member for member in ensemble.members if member is not leader)
        for turn in range(2):
            behind.end(signal.SIGKILL)
            write_many(ensemble.client(leader, other), f"/many-{turn}")
            ensemble.start(behind)
            ensemble.serving()
            assert snapshots_in(behind) == turn + 1
        behind.end(signal.SIGKILL)
        ensemble.start(behind)
        ensemble.serving()
        ensemble.client(leader).create("/after", b"")
        same_everywhere(ensemble, "/after", b"")

        leader.end(signal.SIGKILL)
        other.end(signal.SIGKILL)
        ensemble.start(other)
        ensemble.serving()
        ensemble.client(behind, other).create("/then", b"")
        ensemble.start(leader)

        ensemble.serving()
        assert f"/many-1/{MANY - 1}" in agree(ensemble)


@case("killed again and again while it takes a snapshot, a server comes back and has all of it")
def _():
    with Ensemble() as ensemble:
        leader = ensemble.serving()
        behind, other = (member for member in ensemble.members if member is not leader)
        behind.end(signal.SIGKILL)
        client = ensemble.client(leader, other)
        state_new = os.path.join(behind.data, "state.new")
        write_many(client, "/many-0", 5 * MANY)
        for kill in range(1, INSTALL_KILLS + 1):
            taken = snapshots_in(behind)
            ensemble.start(behind)
            # Some way into it; the last one is killed when the old state has gone.
            until("a snapshot comes in",
                  lambda: os.path.exists(state_new) or snapshots_in(behind) > taken)
            time.sleep(0.005 * kill)
            behind.end(signal.SIGKILL)
            write_many(client, f"/many-{kill}")

        ensemble.start(behind)

        ensemble.serving()
        assert snapshots_in(behind) >= 1
        assert not os.path.exists(state_new)
        assert f"/many-{INSTALL_KILLS}/{MANY - 1}" in agree(ensemble)


if __name__ == "__main__":
    harness.main()
