#!/usr/bin/python3
"""The client protocol: what real clients depend on and servers that speak it tend to get wrong."""

import random
import time

import harness
import raw_client as raw
from harness import case, equal, true, until
from protocol import connect, expect, names, room
from raw_client import ADMIN, ALL, OPEN, Client, Reader, Reply


# --- Handshake and sessions.


@case("a client that would be content with a read-only server is told that this one is not")
def _():
    client = connect(connect=False)
    answer = client.connect(read_only=True)
    equal(answer[-1], 0)
    equal(client.create(next(names))[:6], "/case-", "it may write")


@case("a client that is silent past its timeout finds its connection closed without a word")
def _():
    with harness.server("tickTime=200") as server:
        client = Client(server.port, timeout_ms=400)
        client.create("/mine", flags=raw.EPHEMERAL)
        true(client.closed(20), "the end, and no frame before it")
        until(lambda: Client(server.port).stat("/mine") is None, "its ephemeral is gone")


@case("the name of an ephemeral is free again when closeSession is answered")
def _():
    other, path = room()
    for _ in range(50):
        client = connect()
        client.create(path + "/leader", flags=raw.EPHEMERAL)
        client.ask(raw.CLOSE)
        other.create(path + "/leader")
        other.delete(path + "/leader")


@case("sequence numbers, counts and zxids go on where they were after a kill, and sessions live on")
def _():
    with harness.server() as server:
        client = Client(server.port)
        client.create("/q")
        made = [client.create("/q/n-", flags=raw.EPHEMERAL | raw.SEQUENTIAL) for _ in range(3)]
        client.delete(made[2])
        before, seen = client.stat("/q"), client.zxid
        server.kill()
        server.start()
        again = client.reattached(zxid_seen=seen)
        equal(again.session, client.session)
        equal(again.stat("/q"), before)
        equal(again.children("/q"), ["n-0000000000", "n-0000000001"])
        equal(again.create("/q/n-", flags=raw.SEQUENTIAL), "/q/n-0000000003")
        true(again.zxid > seen, "zxids go on")
        true(Client(server.port).session != client.session, "no session id twice")


@case("no session expires for the time in which the server was down")
def _():
    with harness.server("tickTime=200") as server:
        client = Client(server.port, timeout_ms=1000)
        client.create("/mine", flags=raw.EPHEMERAL)
        server.kill()
        time.sleep(3)
        server.start()
        again = client.reattached(timeout_ms=1000)
        equal(again.session, client.session)
        true(again.stat("/mine") is not None, "its ephemeral")


# --- Replies.


@case("a ping is answered with xid -2, whatever xid it has")
def _():
    client = connect()
    for xid in (raw.XID_PING, 0, 7, -1):
        client.send(raw.PING, xid=xid)
        reply = client.receive()
        equal((reply.xid, reply.error, reply.body), (raw.XID_PING, 0, b""))


@case("there is one reply to each request, and none besides")
def _():
    client, path = room()
    sent = [client.send(raw.CREATE, raw.create(path + "/a")),
            client.send(raw.CREATE, raw.create(path + "/a")),
            client.send(raw.GET_DATA, b""),
            client.send(raw.MULTI, raw.multi((raw.CHECK, raw.check(path, 9)))),
            client.send(raw.SYNC, raw.string(path))]
    equal([client.receive().xid for _ in sent], sent)
    client.log.clear()
    client.ask(raw.PING, xid=raw.XID_PING)
    equal(len(client.log), 1)


@case("xids may wrap around and come again")
def _():
    client = connect()
    for xid in (2**31 - 1, 1, 2, 1, 1):
        equal(client.ask(raw.EXISTS, raw.read("/"), xid=xid).error, raw.OK)


@case("exists on what is missing is an error without a Stat")
def _():
    reply = connect().ask(raw.EXISTS, raw.read("/nope"))
    equal((reply.error, reply.body), (raw.NO_NODE, b""))


@case("a listing of 20,000 names is sent whole, however large it is")
def _():
    client, path = room()
    name = "n" * 40
    for start in range(0, 20000, 1000):
        client.must(raw.MULTI, raw.multi(*[(raw.CREATE, raw.create(f"{path}/{name}{i}"))
                                           for i in range(start, start + 1000)]))
    listed = client.must(raw.GET_CHILDREN, raw.read(path))
    true(len(listed.data) > 900000, "larger than many a client's buffer")
    equal(len(set(listed.strings())), 20000)


# --- Rights, as they are when it is their request's turn.


@case("what is pipelined behind a setACL is judged by the new ACL")
def _():
    client, path = room()
    closed = [(ADMIN, "world", "anyone")]
    client.send(raw.SET_ACL, raw.set_acl(path, closed))
    client.send(raw.SET_DATA, raw.set_data(path))
    client.send(raw.GET_DATA, raw.read(path))
    client.send(raw.CREATE, raw.create(path + "/a"))
    client.send(raw.SET_ACL, raw.set_acl(path, OPEN))
    client.send(raw.GET_DATA, raw.read(path))
    equal([client.receive().error for _ in range(6)],
          [0, raw.NO_AUTH, raw.NO_AUTH, raw.NO_AUTH, 0, 0])


@case("a request that was sent before an authentication has not its identity yet")
def _():
    client, path = room()
    client.send(raw.CREATE, raw.create(path + "/a", entries=[(ALL, "auth", "")]))
    client.send(raw.AUTH, raw.auth("digest", b"bob:secret"), xid=raw.XID_AUTH)
    client.send(raw.CREATE, raw.create(path + "/b", entries=[(ALL, "auth", "")]))
    equal([client.receive().error for _ in range(3)], [raw.INVALID_ACL, 0, 0])


@case("the ACL of a deleted znode decides who is told, and that of the parent about its children")
def _():
    owner, path = room()
    owner.authenticate(b"bob:secret")
    secret = [(ALL, "auth", "")]
    closed = owner.create(path + "/closed", entries=secret)
    owner.create(closed + "/child", entries=OPEN)
    watcher = connect()
    watcher.must(raw.ADD_WATCH, raw.string(closed) + raw.i32(0))
    watcher.must(raw.ADD_WATCH, raw.string(closed) + raw.i32(1))
    other = connect()
    other.authenticate(b"bob:secret")
    other.must(raw.ADD_WATCH, raw.string(closed) + raw.i32(0))

    owner.set(closed + "/child", b"x")
    owner.create(closed + "/more", entries=secret)
    owner.delete(closed + "/more")
    owner.delete(closed + "/child")
    owner.delete(closed)

    equal(watcher.take_events(), [(raw.CHANGED, closed + "/child"),
                                  (raw.DELETED, closed + "/child")])
    equal(other.take_events(), [(raw.CHILDREN, closed)] * 3 + [(raw.DELETED, closed)])


@case("a one-shot watch whose event may not be seen is spent all the same")
def _():
    owner, path = room()
    owner.authenticate(b"bob:secret")
    watcher = connect()
    watcher.get(path, watch=True)
    owner.must(raw.SET_ACL, raw.set_acl(path, [(ALL, "auth", "")]))
    owner.set(path, b"secret")
    owner.must(raw.SET_ACL, raw.set_acl(path, OPEN))
    owner.set(path, b"open")
    equal(watcher.take_events(), [])


@case("an identity by address is there from the beginning, and may be added again")
def _():
    client = connect()
    for data in (b"", b"anything", None):
        equal(client.ask(raw.AUTH, raw.auth("ip", data), xid=raw.XID_AUTH).error, raw.OK)
    reader = client.must(raw.WHO_AM_I)
    equal([(reader.string(), reader.string()) for _ in range(reader.i32())], [("ip", "127.0.0.1")])


@case("addWatch needs neither a znode nor a right, and tells nothing that may not be read")
def _():
    owner, path = room()
    owner.authenticate(b"bob:secret")
    owner.create(path + "/closed", entries=[(ALL, "auth", "")])
    watcher = connect()
    for mode in (0, 1):
        for name in (path + "/closed", path + "/absent", path + "/closed/below"):
            expect(watcher, name, raw.ADD_WATCH, raw.string(name) + raw.i32(mode), raw.OK)
    owner.set(path + "/closed", b"x")
    owner.create(path + "/closed/below", entries=[(ALL, "auth", "")])
    owner.create(path + "/absent")
    equal(watcher.take_events(), [(raw.CREATED, path + "/absent")])


# --- Watches.


@case("a watch is the business of its own session: no other can check or remove it")
def _():
    client, path = room()
    client.get(path, watch=True)
    other = connect()
    for code in (raw.CHECK_WATCHES, raw.REMOVE_WATCHES):
        expect(other, "another's", code, raw.string(path) + raw.i32(2), raw.NO_WATCHER)
    client.set(path, b"x")
    equal(client.take_events(), [(raw.CHANGED, path)], "its own change is told too")


@case("setWatches takes as many paths as a frame holds")
def _():
    client, path = room()
    paths = [f"{path}/{'w' * 20}{i}" for i in range(20000)]
    equal(client.error(raw.SET_WATCHES, raw.set_watches(client.zxid, [], paths, [])), raw.OK)
    client.create(paths[0])
    client.create(paths[19999])
    equal(client.take_events(), [(raw.CREATED, paths[0]), (raw.CREATED, paths[19999])])


@case("setWatches tells of a change after the zxid it names, and not of that one itself")
def _():
    client, path = room()
    stat = client.set(path, b"x")
    watcher = connect()
    watcher.must(raw.SET_WATCHES, raw.set_watches(stat.mzxid, [path], [], [path]))
    equal(watcher.take_events(), [])
    watcher.must(raw.SET_WATCHES, raw.set_watches(stat.mzxid - 1, [path], [], []))
    equal(watcher.take_events(), [(raw.CHANGED, path)])


@case("a child that went and came again is seen by its parent's pzxid alone")
def _():
    client, path = room()
    client.create(path + "/a")
    since = client.zxid
    client.delete(path + "/a")
    gone = client.ask(raw.PING, xid=raw.XID_PING) and client.stat(path).pzxid
    true(gone > since, "a deletion moves pzxid")
    watcher = connect()
    watcher.must(raw.SET_WATCHES, raw.set_watches(since, [], [], [path]))
    equal(watcher.take_events(), [(raw.CHILDREN, path)])


# --- Multis.


@case("a failed multi gives back what it had prepared: numbers, counts, znodes")
def _():
    client, path = room()
    before = client.stat(path)
    for bad in ((raw.CHECK, raw.check(path + "/nope")), (raw.CREATE, raw.create(path + "/s-")),
                (raw.CREATE, raw.create(path + "/t", flags=raw.TTL)),
                (raw.CREATE, raw.create(path + "/t", flags=raw.TTL_SEQUENTIAL))):
        client.ask(raw.MULTI, raw.multi((raw.CREATE, raw.create(path + "/s-")),
                                        (raw.CREATE, raw.create(path + "/s-", flags=3)),
                                        (raw.SET_DATA, raw.set_data(path, b"x")), bad))
        equal(client.stat(path), before)
    equal(client.create(path + "/s-", flags=raw.SEQUENTIAL), path + "/s-0000000000")


class Model:
    """A tree of {path: (data, version, children ever made)}, and its rules for a multi."""

    def __init__(self, root):
        self.root = root
        self.nodes = {root: (b"", 0, 0)}

    def parent(self, path):
        return path.rsplit("/", 1)[0]

    def create(self, path):
        parent = self.nodes.get(self.parent(path))
        if parent is None:
            return raw.NO_NODE
        if path in self.nodes:
            return raw.NODE_EXISTS
        self.nodes[self.parent(path)] = parent[:2] + (parent[2] + 1,)
        self.nodes[path] = (b"", 0, 0)
        return raw.OK

    def delete(self, path, version):
        if path not in self.nodes:
            return raw.NO_NODE
        if version not in (-1, self.nodes[path][1]):
            return raw.BAD_VERSION
        if any(self.parent(other) == path for other in self.nodes):
            return raw.NOT_EMPTY
        del self.nodes[path]
        return raw.OK

    def set(self, path, data, version):
        if path not in self.nodes:
            return raw.NO_NODE
        node = self.nodes[path]
        if version not in (-1, node[1]):
            return raw.BAD_VERSION
        self.nodes[path] = (data, node[1] + 1, node[2])
        return raw.OK

    def check(self, path, version):
        if path not in self.nodes:
            return raw.NO_NODE
        return raw.OK if version in (-1, self.nodes[path][1]) else raw.BAD_VERSION

    def children(self, path):
        return sorted(other[len(path) + 1:] for other in self.nodes
                      if other != path and self.parent(other) == path)


def random_step(dice, model):
    """(what the model answers to it, the operation)"""
    path = dice.choice(sorted(model.nodes)) + dice.choice(["", "", "/a", "/b", "/c/d"])
    version = dice.choice([-1, -1, -1, -1, 0, 1])
    what = dice.choice([0, 1, 2, 2, 3]) if path in model.nodes else dice.choice([0] * 9 + [1, 2, 3])
    if what == 0 and path != model.root:
        return model.create(path), (raw.CREATE, raw.create(path))
    if what == 1 and path != model.root:
        return model.delete(path, version), (raw.DELETE, raw.delete(path, version))
    if what == 2:
        data = b"%d" % dice.randrange(1000)
        return model.set(path, data, version), (raw.SET_DATA, raw.set_data(path, data, version))
    return model.check(path, version), (raw.CHECK, raw.check(path, version))


@case("random multis do what a model does one step after the other, or nothing at all")
def _():
    client, path = room()
    dice = random.Random(11)
    model = Model(path)
    succeeded = 0
    for _ in range(400):
        kept = dict(model.nodes)
        steps = []
        while not steps or (steps[-1][0] == raw.OK and len(steps) < dice.randrange(1, 8)):
            steps.append(random_step(dice, model))
        failed = steps[-1][0] != raw.OK
        behind = [(raw.CHECK, raw.check(path))] * dice.randrange(3)
        results = client.must(raw.MULTI, raw.multi(*[step[1] for step in steps], *behind)).multi()
        if failed:
            model.nodes = kept
            equal([result[1] for result in results],
                  [0] * (len(steps) - 1) + [steps[-1][0]] +
                  [raw.RUNTIME_INCONSISTENCY] * len(behind))
            equal({result[0] for result in results}, {-1})
        else:
            succeeded += 1
            equal([result[0] for result in results],
                  [step[1][0] for step in steps] + [raw.CHECK] * len(behind))
    true(50 < succeeded < 350, f"{succeeded} of 400 succeeded")
    for name, (data, version, made) in model.nodes.items():
        got, stat = client.get(name)
        children = model.children(name)
        equal((got, stat.version, stat.cversion), (data, version, 2 * made - len(children)), name)
        equal(client.children(name), children)


# --- Below /zookeeper.


@case("listing /zookeeper shows config and quota, as clients expect, and what recipes need besides")
def _():
    client = connect()
    equal(client.children("/zookeeper"), ["calls", "config", "quota", "recipes"])
    equal(client.children("/zookeeper/quota"), [])
    for name in client.children("/zookeeper"):
        child = "/zookeeper/" + name
        data, stat = client.get(child)
        equal(stat.owner, 0, child)
        true(data is not None, child)
        client.children(child)
        true(client.must(raw.GET_ACL, raw.string(child)).acl(), child)
        expect(client, child, raw.DELETE, raw.delete(child), raw.BAD_ARGUMENTS)


@case("a watch below the calls hears of its own session's calls, and of nobody else's")
def _():
    owner, path = room()
    watcher = connect()
    calls = "/zookeeper/calls"
    watcher.must(raw.ADD_WATCH, raw.string(calls) + raw.i32(1))
    watcher.must(raw.ADD_WATCH, raw.string("/") + raw.i32(1))
    first = owner.create(calls + "/lock.acquire-", b'{"path":"%s/l"}' % path.encode(), flags=3)
    second = owner.create(calls + "/lock.acquire-", b'{"path":"%s/l"}' % path.encode(), flags=3)
    owner.delete(first)
    owner.delete(second, 0)
    seen = [event for event in watcher.take_events() if event[1].startswith(calls)]
    equal(seen, [])
    own = watcher.create(calls + "/lock.acquire-", b'{"path":"%s/m"}' % path.encode(), flags=3)
    watcher.delete(own)
    seen = [event for event in watcher.take_events() if event[1].startswith(calls)]
    equal(seen, [(raw.CREATED, own), (raw.CHANGED, own), (raw.DELETED, own)])


@case("an exists watch on a call's hidden record, or on another's call, is never told")
def _():
    owner, path = room()
    calls = "/zookeeper/calls"
    arguments = b'{"path":"%s/l"}' % path.encode()
    owner.create(calls + "/lock.acquire-", arguments, flags=3)
    probe = owner.create(calls + "/lock.acquire-", arguments, flags=3)
    number = int(probe[-16:], 16)
    spies = [f"{calls}/lock.acquire-{number + i:016x}" for i in range(1, 40)]
    spies += [f"{calls}/.{number + i:016x}" for i in range(-2, 40)]
    watcher = connect()
    for spied in spies:
        expect(watcher, spied, raw.EXISTS, raw.read(spied, True), raw.NO_NODE)
    waiting = owner.create(calls + "/lock.acquire-", arguments, flags=3)
    true(waiting in spies, "the watcher has guessed its name")
    owner.delete(probe, 0)
    owner.delete(waiting, 0)
    equal(watcher.take_events(), [])
    found = [f"{calls}/.{number:016x}", waiting]
    equal(watcher.error(raw.SET_WATCHES, raw.set_watches(0, [], found, [])), raw.OK)
    equal(watcher.take_events(), [])


if __name__ == "__main__":
    harness.main()
