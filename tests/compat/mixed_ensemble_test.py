#!/usr/bin/python3
"""Our servers and ZooKeeper's in one ensemble: who leads, who follows, who comes back with what."""

import itertools
import json
import shutil
import signal
import sys
import threading

try:
    from kazoo.client import KazooState
    from kazoo.exceptions import NoNodeError, UnimplementedError
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(77)

import harness
from ensemble import HISTORY, Ensemble, Member, ZooKeeperMember, agree, until
from harness import case

FOLLOWER = (2, 3)    # ZooKeeper's, if ours is to follow: 3 leads
LEADER = (1, 2)      # if ours is to lead
MANY = 5000          # transactions: more than either kind keeps in memory for one that comes back
WRITERS = 3          # beside each other, while a snapshot is taken


def zookeepers(ensemble):
    return [member for member in ensemble.members if isinstance(member, ZooKeeperMember)]


def ours(ensemble):
    return [member for member in ensemble.members if not isinstance(member, ZooKeeperMember)]


def led_by(ensemble, kind):
    leader = ensemble.serving()
    assert leader in kind(ensemble), leader.number
    return leader


def filled(ensemble):
    """Something of everything, through each server."""
    for member in ensemble.alive():
        client = ensemble.client(member)
        base = f"/by-{member.number}"
        client.create(base, b"1")
        client.set(base, b"2")
        client.create(base + "/null", None)
        client.create(base + "/ephemeral", b"", ephemeral=True)
        client.create(base + "/gone", b"")
        client.delete(base + "/gone")
        client.ensure_path("/sequence")
        client.create("/sequence/n-", b"", sequence=True)
        multi = client.transaction()
        multi.create(base + "/multi", b"m")
        multi.set_data(base, b"3")
        multi.check(base, 2)
        assert multi.commit()[1].version == 2
        multi = client.transaction()
        multi.create(base + "/never")
        multi.create(base)
        assert len(multi.commit()) == 2
        short = ensemble.client(member)
        short.create(base + "/of-a-session", b"", ephemeral=True)
        short.stop()


def many(client, below, count=MANY):
    client.retry(client.ensure_path, below)
    pending = [client.create_async(f"{below}/{i:05}", b"x" * 100) for i in range(count)]
    for one in pending:
        one.get(120)


def comes_back(ensemble, member):
    ensemble.start(member)
    ensemble.serving()


def emptied(member):
    member.end(signal.SIGKILL)
    shutil.rmtree(member.data)
    member.prepare(member.lines)


def lives_together(kind, numbers):
    with Ensemble(zookeepers=numbers, first=3) as ensemble:
        led_by(ensemble, kind)
        filled(ensemble)
        found = agree(ensemble)
        for member in ensemble.members:
            assert found[f"/by-{member.number}"][0] == b"3"
            assert f"/by-{member.number}/ephemeral" in found
            assert f"/by-{member.number}/of-a-session" not in found
        names = sorted(path for path in found if path.startswith("/sequence/"))
        assert names == [f"/sequence/n-{i:010}" for i in range(3)], names


@case("ours follows a ZooKeeper: what is written through each is the same on all")
def _():
    lives_together(zookeepers, FOLLOWER)


@case("ours leads two ZooKeepers: what is written through each is the same on all")
def _():
    lives_together(ours, LEADER)


@case("two of ours follow a ZooKeeper: what is written through each is the same on all")
def _():
    lives_together(zookeepers, (3,))


@case("one of ours leads another and a ZooKeeper: what is written through each is the same on all")
def _():
    lives_together(ours, (1,))


@case("a watch at one kind is told of a change by the other")
def _():
    with Ensemble(zookeepers=FOLLOWER, first=3) as ensemble:
        ensemble.serving()
        for one, other in ((0, 1), (1, 0)):
            told = threading.Event()
            path = f"/watched-{one}"
            writer = ensemble.client(ensemble.members[other])
            writer.create(path, b"1")
            watcher = ensemble.client(ensemble.members[one])
            watcher.sync(path)
            watcher.get(path, watch=lambda event, told=told: told.set())

            writer.set(path, b"2")

            assert told.wait(120)


@case("a session moves from a ZooKeeper to ours and back, and its ephemeral lives")
def _():
    for numbers in (FOLLOWER, LEADER):
        with Ensemble(zookeepers=numbers, first=3) as ensemble:
            ensemble.serving()
            first, second = zookeepers(ensemble)[0], ours(ensemble)[0]
            client = ensemble.client(first, second)
            lost = threading.Event()
            client.add_listener(lambda state, lost=lost: state == KazooState.LOST and lost.set())
            client.create("/ephemeral", b"", ephemeral=True)
            session = client.client_id
            for member in (first, second, first):
                client.retry(client.exists, "/ephemeral")
                member.end(signal.SIGKILL)
                until("it is served again", lambda: client.retry(client.exists, "/ephemeral"))
                client.retry(client.set, "/ephemeral", b"x")
                assert client.client_id == session and not lost.is_set()
                comes_back(ensemble, member)
            agree(ensemble)


@case("who was killed comes back and has what was written meanwhile, under either kind")
def _():
    for kind, numbers in ((zookeepers, FOLLOWER), (ours, LEADER)):
        with Ensemble(zookeepers=numbers, first=3) as ensemble:
            led_by(ensemble, kind)
            for member in (ours(ensemble)[0], zookeepers(ensemble)[0]):
                others = [other for other in ensemble.members if other is not member]
                client = ensemble.client(*others)
                many(client, f"/before-{member.number}", 20)
                member.end(signal.SIGKILL)
                many(client, f"/meanwhile-{member.number}", HISTORY // 2)
                comes_back(ensemble, member)
                agree(ensemble)


@case("an empty one of ours takes the snapshot of a ZooKeeper that is being written to")
def _():
    with Ensemble(zookeepers=FOLLOWER, first=3) as ensemble:
        led_by(ensemble, zookeepers)
        filled(ensemble)
        many(ensemble.client(*zookeepers(ensemble)), "/many")
        own = ours(ensemble)[0]
        emptied(own)
        load = Load(*(ensemble.client(zookeepers(ensemble)[i % 2]) for i in range(WRITERS)))
        comes_back(ensemble, own)
        load.end()
        assert "snapshot is installed" in own.log_text()
        agree(ensemble)
        own.end(signal.SIGKILL)
        comes_back(ensemble, own)
        agree(ensemble)


@case("an empty ZooKeeper takes the snapshot of one of ours that is being written to")
def _():
    with Ensemble(zookeepers=LEADER, first=3) as ensemble:
        leader = led_by(ensemble, ours)
        filled(ensemble)
        many(ensemble.client(leader), "/many")
        empty = zookeepers(ensemble)[0]
        emptied(empty)
        load = Load(*(ensemble.client(leader) for _ in range(WRITERS)))
        comes_back(ensemble, empty)
        load.end()
        agree(ensemble)
        empty.end(signal.SIGKILL)
        comes_back(ensemble, empty)
        agree(ensemble)


class Load:
    """Clients that create, change and delete all the time, what is there and what is not."""

    def __init__(self, *clients):
        self.running = True
        self.failed = []
        clients[0].ensure_path("/load")
        self.threads = [threading.Thread(target=self.run, args=(client, number))
                        for number, client in enumerate(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, client, number):
        try:
            for i in itertools.count():
                if not self.running:
                    break
                self.round(client, f"/load/{number}-{i}", f"/many/{i * 37 % MANY:05}", i)
        except Exception as error:  # pylint: disable=broad-except
            self.failed.append(error)

    def round(self, client, own, old, i):
        multi = client.transaction()
        multi.create(own + "-multi")
        multi.delete(own + "-multi")
        waits = [client.create_async(own, b"x"), client.set_async(own, b"y"),
                 client.create_async(own + "/sequence-", b"", sequence=True),
                 client.create_async(own + "/ephemeral", b"", ephemeral=True),
                 client.delete_async(old), multi.commit_async(),
                 client.create_async(old, b"again"), client.create_async(old + "/below", b"b")]
        if i % 3 == 0:
            waits += [client.delete_async(own + "/ephemeral"),
                      client.delete_async(old + "/below"), client.delete_async(old),
                      client.create_async(old, b"once more")]
        for one in waits:
            one.wait(120)  # several clients are at the same znodes: some do not succeed

    def end(self):
        self.running = False
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive()
        assert not self.failed, self.failed


def truncated(kind, numbers):
    """The leader has logged what nobody else has; the others have gone on without it."""
    with Ensemble(zookeepers=numbers, first=3) as ensemble:
        leader = led_by(ensemble, kind)
        others = [member for member in ensemble.members if member is not leader]
        client = ensemble.client(leader)
        client.create("/before", b"")
        for member in others:
            member.process.send_signal(signal.SIGSTOP)
        for i in range(20):
            client.create_async(f"/never-{i}", b"")
        zxid = until("it is in the leader's log",
                     lambda: b"/never-19" in logged(leader))
        assert zxid
        for member in others + [leader]:
            member.end(signal.SIGKILL)
        client.stop()
        ensemble.start(*others)
        ensemble.serving()
        ensemble.client(*others).create("/after", b"")
        comes_back(ensemble, leader)
        found = agree(ensemble)
        assert "/after" in found and "/never-0" not in found, sorted(found)


def logged(member):
    """The bytes of its log."""
    found = b""
    for name in sorted(member.files("log.*")):
        with open(name, "rb") as file:
            found += file.read()
    return found


@case("what only a leader of ours has logged is cut off under a ZooKeeper that leads next")
def _():
    truncated(ours, LEADER)


@case("what only a ZooKeeper that led has logged is cut off under one of ours or another ZooKeeper")
def _():
    truncated(zookeepers, FOLLOWER)


@case("an observer of ours serves under a ZooKeeper, and a ZooKeeper observes ours")
def _():
    for numbers in ((1, 2, 3), (4,)):
        with Ensemble(count=4, observers=1, zookeepers=numbers) as ensemble:
            ensemble.serving()
            assert ensemble.members[3].mode() == "observer"
            filled(ensemble)
            agree(ensemble)


def replaced(ensemble, member, kind):
    """By an empty server of another kind, with its id and its ports."""
    member.end(signal.SIGTERM)
    shutil.rmtree(member.data)
    member.__class__ = kind
    member.prepare(member.lines)
    comes_back(ensemble, member)


@case("an ensemble migrates one by one and back, and a session goes on all the while")
def _():
    with Ensemble(zookeepers=(1, 2, 3)) as ensemble:
        ensemble.serving()
        client = ensemble.client()
        session = client.client_id
        client.create("/ephemeral", b"", ephemeral=True)
        filled(ensemble)
        for kind in (Member, ZooKeeperMember):
            for member in ensemble.members:
                replaced(ensemble, member, kind)
                client.retry(client.ensure_path, f"/{kind.__name__}-{member.number}")
                found = agree(ensemble)
                assert "/ephemeral" in found and client.client_id == session
        assert len([path for path in found if "Member-" in path]) == 6


def calls(client, operation, arguments):
    """Make a call by its znode: the znode's path."""
    return client.create(f"/zookeeper/calls/{operation}-", arguments, ephemeral=True, sequence=True)


def is_refused(client):
    try:
        client.delete(calls(client, "counter.add", b'{"path":"/n"}'))
    except (UnimplementedError, NoNodeError):
        return True
    return False


def state(client, path):
    return json.loads(client.get(path)[0])["state"]


@case("recipes run when the last ZooKeeper is replaced, and stand still while there is one again")
def _():
    with Ensemble(zookeepers=(1, 3), first=3, recipes="on") as ensemble:
        ensemble.serving()
        clients = [ensemble.client(member) for member in ensemble.members]
        for client in clients:
            assert is_refused(client)
        first, second, third = ensemble.members
        replaced(ensemble, third, Member)
        assert is_refused(ensemble.client(second)) and is_refused(ensemble.client(third))
        replaced(ensemble, first, Member)
        holder, waiter = ensemble.client(second), ensemble.client(third)
        until("recipes run", lambda: not is_refused(holder))
        lock = b'{"path":"/lock"}'
        calls(holder, "lock.acquire", lock)
        waits = calls(waiter, "lock.acquire", lock)
        assert state(waiter, waits) == "waiting"

        replaced(ensemble, first, ZooKeeperMember)
        for member in ensemble.members:
            assert is_refused(ensemble.client(member))
        holder.stop()  # its lock goes, and who waits for it stands still
        waiter.retry(waiter.sync, "/lock")
        assert len(waiter.retry(waiter.get_children, "/lock")) == 1
        assert state(waiter, waits) == "waiting"

        replaced(ensemble, first, Member)
        until("it is granted", lambda: waiter.retry(state, waiter, waits) == "done")


if __name__ == "__main__":
    if not harness.zookeeper_is_there():
        print("1..0 # SKIP no ZooKeeper here")
        sys.exit(harness.SKIPPED)
    harness.main()
