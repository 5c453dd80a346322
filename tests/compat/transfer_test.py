#!/usr/bin/python3
"""Import and export: a real ZooKeeper's data becomes ours, and the other way. What clients see stays the
same to the byte, and their sessions go on."""

import gzip
import json
import os
import shutil
import subprocess

import harness
from harness import case, equal, true
from raw_client import (ALL, CLOSE, CREATE, CREATE_CONTAINER, CREATE_TTL, DELETE, EPHEMERAL,
                        GET_ACL, GET_CHILDREN, GET_DATA, MULTI, READ, SEQUENTIAL, SET_ACL, SET_DATA,
                        Client, create, delete, multi, read, set_acl, set_data, string)

OPTIONS = ("extendedTypesEnabled=true", "maxSessionTimeout=600000", "recipes=off")
TIMEOUT_MS = 600000  # sessions outlive whatever a loaded machine takes for the test
READABLE = [(READ, "world", "anyone"), (ALL, "digest", "bob:kqkwcBKzYZ3tRTV3j7GhjQ1UiUU=")]


def needs_zookeeper():
    if not harness.zookeeper_is_there():
        raise harness.Skip("no ZooKeeper here")


def moonkeeper(*words):
    return subprocess.run([harness.needed("MOONKEEPER"), *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def must(*words):
    ended = moonkeeper("--json", *words)
    equal(ended.returncode, 0, ended.stderr)
    return json.loads(ended.stdout)


def tree(client, path="/"):
    """Every znode: data, Stat, ACL, children, as they came."""
    data, stat = client.get(path)
    access = client.must(GET_ACL, string(path)).acl()
    names = sorted(client.must(GET_CHILDREN, read(path)).strings())
    found = {path: (data, stat, access, names)}
    for name in names:
        found.update(tree(client, path.rstrip("/") + "/" + name))
    return found


def same_tree(actual, expected):
    equal(sorted(actual), sorted(expected), "paths")
    for path, znode in expected.items():
        equal(actual[path], znode, path)


def filled(client, other):
    """Something of everything that a tree can hold."""
    for path in ("/a", "/a/b", "/seq", "/acl", "/quota", "/many", "/e"):
        client.create(path, path.encode())
    for _ in range(3):
        client.create("/seq/n-", b"", flags=SEQUENTIAL)
    client.delete("/seq/n-0000000001")
    for version in range(5):
        client.set("/a", b"%d" % version)
    client.create("/null", None)
    client.create("/large", bytes(range(256)) * 2000)
    client.create("/acl/readable", b"x", READABLE)
    client.create("/acl/same", b"y", READABLE)
    client.must(SET_ACL, set_acl("/acl", READABLE + [(READ, "ip", "10.0.0.0/8")]))
    client.create("/e/of-one", b"", flags=EPHEMERAL)
    other.create("/e/of-two-", b"", flags=EPHEMERAL | SEQUENTIAL)
    client.must(CREATE_CONTAINER, create("/container", b"c", flags=4))
    client.create("/container/child")
    client.must(CREATE_TTL, create("/ttl", b"t", flags=5, ttl=1 << 39))
    client.create("/zookeeper/quota/quota")
    client.create("/zookeeper/quota/quota/zookeeper_limits", b"count=10,bytes=1000")
    client.create("/zookeeper/quota/quota/zookeeper_stats", b"count=0,bytes=0")
    client.create("/quota/used", b"12345")
    client.must(MULTI, multi((CREATE, create("/multi")), (CREATE, create("/multi/b")),
                             (CREATE, create("/multi/a")), (SET_DATA, set_data("/multi", b"set")),
                             (DELETE, delete("/multi/b"))))
    equal(client.must(MULTI, multi((CREATE, create("/multi/c")), (CREATE, create("/multi")))
                      ).multi()[0], (-1, 0), "a multi that fails")
    for i in range(300):
        client.create("/many/%03d" % i, b"%d" % i)


class Session:
    """A session that is still there when its server is not."""

    def __init__(self, client):
        self.session, self.password = client.session, client.password

    def resume(self, server):
        client = Client(server.port, TIMEOUT_MS, self.session, self.password)
        equal(client.session, self.session, "the session")
        return client


def sequence(client):
    """The counter goes on where it was, whatever became of the znodes."""
    path = client.create("/seq/n-", b"", flags=SEQUENTIAL)
    client.delete(path)
    return int(path[-10:])


def imported(name, source):
    """A server of ours over what a ZooKeeper has left."""
    report = must("import", source, name)
    return report, harness.Moonkeeper(*OPTIONS, data=os.path.abspath(name))


@case("a ZooKeeper that was killed is imported: the same tree, and sessions that go on; and exported again")
def _():
    needs_zookeeper()
    zookeeper = harness.ZooKeeper(*OPTIONS)
    one, two = Client(zookeeper.port, TIMEOUT_MS), Client(zookeeper.port, TIMEOUT_MS)
    gone = Client(zookeeper.port, TIMEOUT_MS)
    gone.create("/gone", b"", flags=EPHEMERAL)
    gone.ask(CLOSE)
    filled(one, two)
    zookeeper.kill()
    zookeeper.start()  # now there is a snapshot, and another log behind it
    sessions = [Session(one), Session(two)]
    one, two = (session.resume(zookeeper) for session in sessions)
    one.set("/a", b"after the start")
    two.create("/seq/n-", b"", flags=SEQUENTIAL)
    two.create("/e/late", b"", flags=EPHEMERAL)
    one.create("/quota/more", b"123")
    expected = tree(one)
    zookeeper.kill()

    report, own = imported("imported", zookeeper.data)
    one, two = (session.resume(own) for session in sessions)
    same_tree(tree(one), expected)
    equal(report["sessions"], 2, "sessions")
    equal(report["ephemerals"], 3, "ephemerals")
    true(report["transactions"] > 0, "the log was read, too")
    equal(sequence(two), 4, "the next number")
    equal(two.zxid >> 32, (report["zxid"] >> 32) + 1, "the epoch after it")
    equal(one.ask(CREATE, create("/quota/x", b"")).error, 0, "a create under the quota")
    two.ask(CLOSE)  # its ephemerals go with it, by their imported owner
    equal(one.must(GET_CHILDREN, read("/e")).strings(), ["of-one"], "ephemerals")
    expected = tree(one)
    del sessions[1]
    equal(own.stop(), 0, "exit code")

    report = must("export", "imported", "exported")
    equal(report["sessions"], 1, "sessions")
    zookeeper = harness.ZooKeeper(*OPTIONS, data=os.path.abspath("exported"))
    one = sessions[0].resume(zookeeper)
    same_tree(tree(one), expected)
    equal(sequence(one), 5, "the next number")
    one.ask(CLOSE)
    equal(Client(zookeeper.port).must(GET_CHILDREN, read("/e")).strings(), [], "ephemerals")
    zookeeper.kill()


def data_of(name):
    """A small data directory of a ZooKeeper's, with two snapshots; the last one can be damaged."""
    zookeeper = harness.ZooKeeper(*OPTIONS, data=os.path.abspath(name))
    client = Client(zookeeper.port, TIMEOUT_MS)
    client.create("/a", b"1")
    zookeeper.kill()
    zookeeper.start()
    client = Client(zookeeper.port, TIMEOUT_MS)
    client.create("/b", b"2")
    expected = tree(client)
    zookeeper.kill()
    snapshots = sorted(os.listdir(name + "/version-2"))
    snapshots = [file for file in snapshots if file.startswith("snapshot.")]
    equal(len(snapshots), 2, "snapshots")
    return expected, os.path.join(name, "version-2", snapshots[-1])


@case("a damaged snapshot is passed over for an older one and its log; a whole one may be compressed")
def _():
    needs_zookeeper()
    expected, newest = data_of("small")
    with open(newest, "rb") as file:
        whole = file.read()
    os.remove(newest)
    with gzip.open(newest + ".gz", "wb") as file:
        file.write(whole)
    _, own = imported("gz", "small/version-2")
    same_tree(tree(Client(own.port)), expected)
    own.stop()

    os.remove(newest + ".gz")
    for name, bad in (("flipped", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]),
                      ("cut", whole[:300]), ("nothing", b"")):
        with open(newest, "wb") as file:
            file.write(bad)
        ended = moonkeeper("import", "small", name)
        equal(ended.returncode, 0, ended.stderr)
        true("passed over" in ended.stderr and newest in ended.stderr, ended.stderr)
        own = harness.Moonkeeper(*OPTIONS, data=os.path.abspath(name))
        same_tree(tree(Client(own.port)), expected)
        own.stop()


def assert_refused(words, why, left):
    ended = moonkeeper(*words)
    equal(ended.returncode, 1, ended.stderr)
    true(why in ended.stderr, ended.stderr)
    true(not os.path.exists(left), left + " is left")


@case("what cannot be imported is refused with the reason, and leaves nothing behind")
def _():
    needs_zookeeper()
    _, newest = data_of("source")
    logs = [os.path.join("source/version-2", name) for name in sorted(os.listdir("source/version-2"))
            if name.startswith("log.")]
    os.mkdir("empty")
    assert_refused(("import", "empty", "t1"), "there is no snapshot", "t1/state")
    assert_refused(("import", "nosuch", "t2"), "nosuch", "t2/state")

    with open(logs[-1], "r+b") as file:  # in an entry that another follows
        file.seek(60)
        byte = file.read(1)
        file.seek(60)
        file.write(bytes([byte[0] ^ 1]))
    assert_refused(("import", "source", "t3"), logs[-1], "t3/state")
    true(not os.path.exists("t3/state.new"), "nothing is left half done")
    os.remove(logs[-1])
    os.rename(newest, newest + ".snappy")
    assert_refused(("import", "source", "t4"), "snappy", "t4/state")
    os.remove(newest + ".snappy")
    must("import", "source", "t5")
    assert_refused(("import", "source", "t5"), "holds a server's data already", "t5/state.new")
    shutil.copytree("t5", "t6")
    own = harness.Moonkeeper(*OPTIONS, data=os.path.abspath("t6"))
    assert_refused(("export", "t6", "t7"), "", "t7/version-2")
    own.stop()
    must("export", "t6", "t7")
    assert_refused(("export", "t6", "t7"), "holds a ZooKeeper's data already", "t7/version-2/export.tmp")
    equal(moonkeeper("import", "one").returncode, 2, "usage")
    equal(moonkeeper("export", "--log-to", "x", "t6", "t8").returncode, 2, "usage")


@case("what recipes have made is exported as ordinary znodes, and comes back as it was")
def _():
    own = harness.Moonkeeper("maxSessionTimeout=600000", data=os.path.abspath("calls"))
    holder, waiter = Client(own.port, TIMEOUT_MS), Client(own.port, TIMEOUT_MS)
    arguments = b'{"path":"/lock"}'
    holder.create("/zookeeper/calls/lock.acquire-", arguments, flags=EPHEMERAL | SEQUENTIAL)
    call = waiter.create("/zookeeper/calls/lock.acquire-", arguments,
                         flags=EPHEMERAL | SEQUENTIAL)
    equal(json.loads(waiter.get(call)[0]), {"state": "waiting"}, "the second call")
    holder, waiter = Session(holder), Session(waiter)
    own.stop()

    must("export", "calls", "calls-zookeeper")
    must("import", "calls-zookeeper", "calls-again")
    own = harness.Moonkeeper("maxSessionTimeout=600000", data=os.path.abspath("calls-again"))
    waiter = waiter.resume(own)
    equal(json.loads(waiter.get(call)[0]), {"state": "waiting"}, "it waits on")
    holder.resume(own).ask(CLOSE)
    harness.until(lambda: json.loads(waiter.get(call)[0])["state"] == "done", "the lock is handed over")
    own.stop()


if __name__ == "__main__":
    harness.main()
