#!/usr/bin/python3
"""The client protocol: multis, sequence numbers, Stats, ephemerals, containers, TTLs."""

import random

import harness
import raw_client as raw
from harness import case, equal, true
from protocol import connect, expect, room
from raw_client import OPEN, Client, Reader


# --- Multi.


@case("a multi does everything or nothing, and says which operation failed")
def _():
    client, path = room()
    watcher = connect()
    watcher.must(raw.ADD_WATCH, raw.string(path) + raw.i32(1))
    before = client.stat(path)
    reply = client.ask(raw.MULTI, raw.multi(
        (raw.CREATE, raw.create(path + "/a")), (raw.SET_DATA, raw.set_data(path, b"x")),
        (raw.DELETE, raw.delete(path + "/nope")), (raw.CREATE, raw.create(path + "/b"))))
    equal(reply.error, 0)
    reader = Reader(reply.body)
    equal(reader.multi(), [(-1, 0), (-1, 0), (-1, raw.NO_NODE), (-1, raw.RUNTIME_INCONSISTENCY)])
    reader.end()
    equal(client.stat(path), before)
    equal(client.children(path), [])
    equal(watcher.take_events(), [])


@case("each operation of a multi sees what those before it did; all share one zxid and one time")
def _():
    client, path = room()
    reply = client.ask(raw.MULTI, raw.multi(
        (raw.CREATE2, raw.create(path + "/a")), (raw.CREATE2, raw.create(path + "/a/b")),
        (raw.SET_DATA, raw.set_data(path + "/a", b"1", 0)),
        (raw.SET_DATA, raw.set_data(path + "/a", b"2", 1)), (raw.CHECK, raw.check(path + "/a", 2)),
        (raw.DELETE, raw.delete(path + "/a/b")), (raw.DELETE, raw.delete(path + "/a", 2)),
        (raw.CREATE2, raw.create(path + "/a", b"again")),
        (raw.CREATE_CONTAINER, raw.create(path + "/c", flags=4)),
        (raw.CREATE_TTL, raw.create(path + "/t", flags=5, ttl=100000)),
        (raw.CREATE, raw.create(path + "/plain"))))
    results = Reader(reply.body).multi()
    equal([code for code, _ in results], [15, 15, 5, 5, 13, 2, 2, 15, 15, 15, 1])
    stats = [results[i][1][1] for i in (0, 1, 7, 8, 9)]
    equal({stat.czxid for stat in stats}, {reply.zxid})
    equal(len({stat.ctime for stat in stats}), 1)
    equal([results[i][1].version for i in (2, 3)], [1, 2])
    equal(results[10][1], path + "/plain")
    equal(client.get(path + "/a")[0], b"again")
    equal([stat.owner for stat in stats[3:]], [0, 0], "containers and TTLs are not ephemerals")


@case("sequence numbers go on inside a multi, and a failed one gives them back")
def _():
    client, path = room()
    sequential = (raw.CREATE, raw.create(path + "/s-", flags=raw.SEQUENTIAL))
    results = client.must(raw.MULTI, raw.multi(sequential, sequential, sequential)).multi()
    equal([value[-10:] for _, value in results], ["0000000000", "0000000001", "0000000002"])
    client.ask(raw.MULTI, raw.multi(sequential, (raw.CHECK, raw.check("/nope"))))
    equal(client.create(path + "/s-", flags=raw.SEQUENTIAL)[-10:], "0000000003")


@case("an empty multi succeeds and uses up a zxid")
def _():
    client, path = room()
    before = client.set(path, b"x").mzxid
    reply = client.ask(raw.MULTI, raw.multi())
    equal((reply.error, reply.body, reply.zxid > before), (0, raw.multi(), True))


@case("a multi with what does not belong into one is malformed as a whole")
def _():
    client, path = room()
    good = (raw.CREATE, raw.create(path + "/a"))
    for bad in ((raw.SET_ACL, raw.set_acl(path, OPEN)), (raw.GET_DATA, raw.read(path)),
                (raw.EXISTS, raw.read(path)), (raw.MULTI, raw.multi()), (99, b""),
                (raw.CREATE, raw.create(path + "/b", flags=9))):
        reply = client.ask(raw.MULTI, raw.multi(good, bad))
        equal((reply.error, reply.body), (raw.MARSHALLING, b""), f"operation {bad[0]}")
    unended = raw.multi(good)[:-9]
    equal(client.error(raw.MULTI, unended), raw.MARSHALLING, "without its end")
    equal(client.stat(path + "/a"), None)


@case("multiRead answers each read by itself, and refuses writes")
def _():
    client, path = room()
    client.create(path + "/a", b"data")
    client.create(path + "/closed", entries=[(raw.WRITE, "world", "anyone")])
    results = client.must(raw.MULTI_READ, raw.multi(
        (raw.GET_DATA, raw.read(path + "/a", True)), (raw.GET_DATA, raw.read(path + "/no")),
        (raw.GET_CHILDREN, raw.read(path)), (raw.GET_DATA, raw.read(path + "/closed")))).multi()
    equal([code for code, _ in results], [4, -1, 8, -1])
    equal(results[0][1][0], b"data")
    equal((results[1][1], results[3][1]), (raw.NO_NODE, raw.NO_AUTH))
    equal(sorted(results[2][1]), ["a", "closed"])
    client.set(path + "/a", b"x")
    equal(client.take_events(), [], "a multiRead sets no watch")
    reply = client.ask(raw.MULTI_READ, raw.multi((raw.DELETE, raw.delete(path + "/a"))))
    equal((reply.error, reply.body), (raw.MARSHALLING, raw.multi()))
    reply = client.ask(raw.MULTI_READ, raw.multi((raw.EXISTS, raw.read(path + "/a"))))
    equal((reply.error, reply.body), (raw.MARSHALLING, b""))


# --- Znodes.


@case("a sequence number counts every child ever made, by whatever create, and never goes back")
def _():
    client, path = room()

    def next_suffix(prefix="/s-"):
        return client.create(path + prefix, flags=raw.SEQUENTIAL)[len(path + prefix):]

    equal(next_suffix(), "0000000000")
    client.create(path + "/plain")
    equal(next_suffix(), "0000000002")
    client.delete(path + "/s-0000000002")
    client.ask(raw.CREATE, raw.create(path + "/plain"))
    equal(next_suffix(), "0000000003")
    equal(next_suffix("/"), "0000000004")
    equal(next_suffix("/."), "0000000005")
    client.create(path + "/t-0000000007")
    equal(client.error(raw.CREATE, raw.create(path + "/t-", flags=2)), raw.NODE_EXISTS)
    equal(next_suffix(), "0000000007")


@case("the counts of a Stat are those of ZooKeeper, step by step")
def _():
    client, path = room()

    def parent():
        stat = client.stat(path)
        return stat.cversion, stat.children, stat.pzxid

    zxids = [client.must(raw.CREATE2, raw.create(f"{path}/{name}")) for name in "abc"]
    zxids = [(reader.string(), reader.stat())[1].czxid for reader in zxids]
    equal(parent(), (3, 3, zxids[2]))
    deleted = client.ask(raw.DELETE, raw.delete(path + "/b")).zxid
    equal(parent(), (4, 2, deleted))
    client.set(path + "/a", b"x")
    client.create(path + "/a/deep")
    client.must(raw.SET_ACL, raw.set_acl(path + "/a", OPEN))
    equal(parent(), (4, 2, deleted))
    other = connect()
    other.create(path + "/e-", flags=raw.EPHEMERAL | raw.SEQUENTIAL)
    equal(client.children(path), ["a", "c", "e-0000000003"])
    equal(parent()[0], 5)
    closed = other.ask(raw.CLOSE).zxid
    equal(parent(), (6, 2, closed))
    stat = client.stat(path)
    equal((stat.mzxid, stat.version, stat.mtime), (stat.czxid, 0, stat.ctime), "the parent itself")


@case("setData and setACL change only what they are for")
def _():
    client, path = room()
    before = client.stat(path)
    after = client.set(path, b"abc")
    equal(after, before._replace(mzxid=after.mzxid, mtime=after.mtime, version=1, length=3))
    true(after.mzxid > before.mzxid, "a new zxid")
    changed = client.must(raw.SET_ACL, raw.set_acl(path, OPEN)).stat()
    equal(changed, after._replace(aversion=1))


@case("ephemerals have their owner, no children, and go with the session, in one transaction")
def _():
    client, path = room()
    owner = connect()
    made = sorted(owner.create(path + f"/e{i}", flags=raw.EPHEMERAL) for i in range(5))
    equal(client.stat(made[0]).owner, owner.session)
    equal(sorted(owner.must(raw.GET_EPHEMERALS, raw.string("/")).strings()), made)
    equal(owner.must(raw.GET_EPHEMERALS, raw.string(path + "/e1")).strings(), [path + "/e1"])
    equal(sorted(owner.must(raw.GET_EPHEMERALS, raw.string(None)).strings()), made)
    equal(client.must(raw.GET_EPHEMERALS, raw.string("/")).strings(), [])
    client.must(raw.ADD_WATCH, raw.string(path) + raw.i32(1))
    closed = owner.ask(raw.CLOSE)
    client.ask(raw.PING, xid=raw.XID_PING)
    equal({event.zxid for event in client.events}, {closed.zxid})
    equal(sorted(event.path for event in client.events), made)
    equal(client.children(path), [])


@case("containers are made by 19, and by any create in a multi with flag 4, and serve no owner")
def _():
    client, path = room()
    reader = client.must(raw.CREATE_CONTAINER, raw.create(path + "/c", flags=4))
    equal((reader.string(), reader.stat().owner), (path + "/c", 0))
    reader.end()
    reader = client.must(raw.CREATE_CONTAINER, raw.create(path + "/c0", flags=0))
    equal(reader.string(), path + "/c0")
    code, value = client.must(raw.MULTI, raw.multi(
        (raw.CREATE, raw.create(path + "/m", flags=4)))).multi()[0]
    equal((code, value[0]), (15, path + "/m"))
    equal(client.create(path + "/plain", flags=4), path + "/plain")


@case("TTLs are milliseconds from 1 to 2^40 - 1, with the flags that are for them")
def _():
    client, path = room()
    for flags, ttl, error in ((5, 1, 0), (6, 2**40 - 1, 0), (5, 0, -8), (5, -1, -8), (5, 2**40, -8),
                              (0, -1, -8), (3, -5, -8)):
        expect(client, f"flags {flags}, TTL {ttl}", raw.CREATE_TTL,
               raw.create(f"{path}/t{flags}-{abs(ttl)}", flags=flags, ttl=ttl), error)
    for code in (raw.CREATE, raw.CREATE2):
        expect(client, "a TTL's flag without one", code, raw.create(path + "/x", flags=5), -8)


@case("without extendedTypesEnabled a TTL is not implemented, and the connection goes on")
def _():
    with harness.server() as server:
        client = Client(server.port)
        expect(client, "createTTL", raw.CREATE_TTL, raw.create("/t", flags=5, ttl=1000), -6)
        equal(client.stat("/t"), None)


@case("the tree begins as ZooKeeper's, and counts of descendants are right")
def _():
    with harness.server("recipes=off") as server:
        client = Client(server.port)
        equal(client.children("/"), ["zookeeper"])
        equal(client.children("/zookeeper"), ["config", "quota"])
        equal(client.must(raw.GET_ALL_CHILDREN_NUMBER, raw.string("/")).i32(), 3)
        equal(client.must(raw.GET_ALL_CHILDREN_NUMBER, raw.string("/zookeeper")).i32(), 2)
        root, system = client.stat("/"), client.stat("/zookeeper")
        equal((root.czxid, root.ctime, root.cversion, root.children), (0, 0, -1, 1))
        equal((system.czxid, system.cversion, system.children), (0, -2, 2))
        equal(client.get("/zookeeper/config")[0], b"")
        equal(client.stat("/zookeeper/config").aversion, -1)
        equal(client.must(raw.GET_ACL, raw.string("/zookeeper/config")).acl(),
              [(raw.READ, "world", "anyone")])
        client.create("/zookeeper/foo")
        client.delete("/zookeeper/foo")


@case("fifty sessions at once get distinct, growing sequence numbers")
def _():
    client, path = room()
    clients = [connect() for _ in range(50)]
    for one in clients:
        for _ in range(20):
            one.send(raw.CREATE, raw.create(path + "/lock-", flags=3))
    made = [Reader(one.receive().body).string() for one in clients for _ in range(20)]
    equal(sorted(made), [f"{path}/lock-{i:010d}" for i in range(1000)])
    for one in clients:
        own = [name for name in made[clients.index(one) * 20:][:20]]
        equal(own, sorted(own))
        one.close()
    equal(client.children(path), [])


class StatModel:
    """Every field of every Stat below one znode, by ZooKeeper's rules; times as the server says."""

    def __init__(self, client, path):
        self.client = client
        self.stats = {path: client.stat(path)}
        self.made = {path: 0}

    def family_changed(self, path, zxid, made, children):
        parent = path.rsplit("/", 1)[0]
        stat = self.stats[parent]
        self.made[parent] += made
        count = stat.children + children
        self.stats[parent] = stat._replace(pzxid=zxid, children=count,
                                           cversion=2 * self.made[parent] - count)

    def create(self, path, flags):
        reply = self.client.ask(raw.CREATE2, raw.create(path, b"12", flags=flags))
        equal(reply.error, raw.NODE_EXISTS if path in self.stats else raw.OK)
        if reply.error == raw.OK:
            reader = Reader(reply.body)
            reader.string()
            stat = reader.stat()
            owner = self.client.session if flags == raw.EPHEMERAL else 0
            equal(stat, raw.Stat(reply.zxid, reply.zxid, stat.ctime, stat.ctime, 0, 0, 0, owner, 2,
                                 0, reply.zxid))
            self.stats[path], self.made[path] = stat, 0
            self.family_changed(path, reply.zxid, 1, 1)

    def delete(self, path):
        reply = self.client.ask(raw.DELETE, raw.delete(path))
        equal(reply.error, raw.NOT_EMPTY if self.stats[path].children else raw.OK)
        if reply.error == raw.OK:
            del self.stats[path]
            self.family_changed(path, reply.zxid, 0, -1)

    def set(self, path, data):
        before = self.stats[path]
        reply = self.client.ask(raw.SET_DATA, raw.set_data(path, data, before.version))
        stat = Reader(reply.body).stat()
        true(stat.mtime >= before.mtime, "time goes on")
        self.stats[path] = before._replace(mzxid=reply.zxid, mtime=stat.mtime, length=len(data),
                                           version=before.version + 1)
        equal(stat, self.stats[path])

    def set_acl(self, path):
        before = self.stats[path]
        self.stats[path] = before._replace(aversion=before.aversion + 1)
        stat = self.client.must(raw.SET_ACL, raw.set_acl(path, OPEN, before.aversion)).stat()
        equal(stat, self.stats[path])


@case("random writes leave all eleven fields of every Stat as a model has them")
def _():
    client, path = room()
    dice = random.Random(7)
    model = StatModel(client, path)
    for _ in range(800):
        target = dice.choice(sorted(model.stats))
        what = dice.randrange(5)
        if what <= 1 and target.count("/") < 6 and not model.stats[target].owner:
            model.create(target + "/" + dice.choice("abc"), dice.choice([0, 0, 0, raw.EPHEMERAL]))
        elif what == 2 and target != path:
            model.delete(target)
        elif what == 3:
            model.set(target, b"x" * dice.randrange(200))
        elif what == 4:
            model.set_acl(target)
    true(len(model.stats) > 20, "some are left")
    for name, stat in model.stats.items():
        equal(client.stat(name), stat, name)
        equal(client.get(name)[1], stat, name)


if __name__ == "__main__":
    harness.main()
