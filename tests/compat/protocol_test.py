#!/usr/bin/python3
"""The client protocol, rule by rule, over a raw connection. The names are what is promised."""

import base64
import functools
import hashlib
import itertools
import random
import socket
import struct
import threading
import time

import harness
import raw_client as raw
from harness import case, equal, true
from raw_client import ADMIN, ALL, OPEN, Client, Reader, Reply

SUPER = "super:" + base64.b64encode(hashlib.sha1(b"super:secret").digest()).decode()
OPTIONS = ["tickTime=2000", "extendedTypesEnabled=true",
           "DigestAuthenticationProvider.superDigest=" + SUPER]
FRAME_BYTES_MAX = 1048575

names = (f"/case-{number}" for number in itertools.count(1))


@functools.lru_cache(maxsize=None)
def shared():
    """The server of all cases that need no options of their own."""
    return harness.server(*OPTIONS)


def connect(**options):
    return Client(shared().port, **options)


def room():
    """A session, and a znode of its own to work below."""
    client = connect()
    return client, client.create(next(names))


# --- Handshake (reference, section 2).


@case("a connect request of 45 bytes is answered with 37, one of 44 with 36")
def _():
    for read_only, length in ((False, 37), (True, 37), (None, 36)):
        client = connect(connect=False)
        equal(len(client.connect(read_only=read_only)), length)
        client.close()


@case("the timeout is clamped to between 2 and 20 ticks")
def _():
    for asked, granted in ((1, 4000), (0, 4000), (-5, 4000), (5000, 5000), (10**6, 40000)):
        client = connect(timeout_ms=asked)
        equal(client.timeout_ms, granted, f"asked for {asked}")
        client.close()


@case("a new session takes any password and any protocol version")
def _():
    for password in (None, b"", b"short", bytes(40)):
        client = connect(password=password)
        equal(len(client.password), 16)
        client.close()
    client = connect(connect=False)
    client.frame(raw.i32(7) + raw.i64(-5) + raw.i32(9000) + raw.i64(0) + raw.buffer(bytes(16)))
    client.connected()
    equal(client.timeout_ms, 9000)


@case("a password is the one that ZooKeeper computes from the session id")
def _():
    client = connect()
    state = ((client.session ^ 0xB3415C00) ^ 0x5DEECE66D) & (1 << 48) - 1
    expected = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & (1 << 48) - 1
        expected += struct.pack("<I", state >> 16 & 0xFFFFFFFF)
    equal(client.password, expected)


@case("session ids are of this server, distinct, and never 0")
def _():
    clients = [connect() for _ in range(20)]
    ids = [client.session for client in clients]
    equal(len(set(ids)), 20)
    equal({session >> 56 for session in ids}, {1})
    for client in clients:
        client.close()


@case("requests sent behind the connect request are answered, in order")
def _():
    client = connect(connect=False)
    connect_record = raw.i32(0) + raw.i64(0) + raw.i32(9000) + raw.i64(0) + raw.buffer(bytes(16))
    burst = [connect_record + b"\x00",
             raw.i32(raw.XID_AUTH) + raw.i32(raw.AUTH) + raw.auth("digest", b"bob:secret"),
             raw.i32(1) + raw.i32(raw.WHO_AM_I),
             raw.i32(2) + raw.i32(raw.CREATE) + raw.create(next(names)),
             raw.i32(raw.XID_PING) + raw.i32(raw.PING)]
    client.send_bytes(b"".join(raw.i32(len(frame)) + frame for frame in burst))
    client.connected()
    replies = [client.receive() for _ in range(4)]
    equal(sorted(reply.xid for reply in replies), [-4, -2, 1, 2])
    equal([reply.xid for reply in replies if reply.xid != -2], [-4, 1, 2])
    equal([reply.error for reply in replies], [0, 0, 0, 0])


@case("a connection that comes back has its session, its ephemerals, and only the events it missed")
def _():
    client, path = room()
    other = connect()
    for name in ("/seen", "/changed", "/gone", "/same"):
        client.create(path + name)
    client.create(path + "/mine", flags=raw.EPHEMERAL)
    seen = client.zxid
    client.abandon()
    other.set(path + "/changed", b"x")
    other.delete(path + "/gone")

    again = client.reattached(zxid_seen=seen)

    equal((again.session, again.password), (client.session, client.password))
    equal(again.stat(path + "/mine").owner, client.session)
    lists = [[path + "/changed", path + "/gone", path + "/same"], [path + "/new"], [path]]
    equal(again.error(raw.SET_WATCHES, raw.set_watches(seen, *lists)), raw.OK)
    equal(again.take_events(), [(raw.CHANGED, path + "/changed"), (raw.DELETED, path + "/gone"),
                                (raw.CHILDREN, path)])
    other.create(path + "/new")
    other.set(path + "/same", b"y")
    other.set(path + "/changed", b"z")
    equal(again.take_events(), [(raw.CREATED, path + "/new"), (raw.CHANGED, path + "/same")])


@case("coming back may change the timeout, and uses up no zxid")
def _():
    client = connect(timeout_ms=6000)
    client.create(next(names))
    before = client.zxid
    again = client.reattached(timeout_ms=8000)
    equal(again.timeout_ms, 8000)
    again.ask(raw.EXISTS, raw.read("/"))
    equal(again.zxid, before)


@case("a session that moved to another connection closes the old one without a word")
def _():
    client = connect()
    again = client.reattached()
    true(client.closed(), "the old connection ends")
    equal(again.stat("/nope"), None)


@case("a wrong password and an unknown id are refused alike, and the rightful owner stays")
def _():
    owner = connect()
    refused = bytes(4) + bytes(4) + bytes(8) + raw.buffer(bytes(16)) + b"\x00"
    for session, password in ((owner.session, bytes(16)), (owner.session, b"wrong"),
                              (owner.session, None), (0x123456, owner.password),
                              (-1, owner.password)):
        client = connect(connect=False)
        equal(client.connect(session=session, password=password), refused)
        true(client.closed(), "the refused connection ends")
    equal(owner.stat("/nope"), None)


@case("a session that is not heard of expires, its ephemerals go, and it cannot come back")
def _():
    with harness.server("tickTime=200") as server:
        client = Client(server.port, timeout_ms=400)
        watcher = Client(server.port)
        client.create("/mine", flags=raw.EPHEMERAL)
        watcher.stat("/mine", watch=True)
        watcher.children("/", watch=True)
        started = time.monotonic()
        client.abandon()

        event = watcher.receive_any(20)
        took = time.monotonic() - started

        equal((event.type, event.path), (raw.DELETED, "/mine"))
        true(0.35 < took < 5, f"it expired after {took:.2f} s")
        equal(watcher.take_events()[1:], [(raw.CHILDREN, "/")])
        equal(watcher.stat("/mine"), None)
        again = Client(server.port, connect=False)
        again.connect(session=client.session, password=client.password)
        equal((again.timeout_ms, again.session, again.password), (0, 0, bytes(16)))
        true(again.closed(), "the refused connection ends")


@case("pings alone keep a session alive, and so do reads alone")
def _():
    with harness.server("tickTime=100") as server:
        for ask in (lambda client: client.ask(raw.PING, xid=raw.XID_PING),
                    lambda client: client.ask(raw.EXISTS, raw.read("/"))):
            client = Client(server.port, timeout_ms=600)
            path = client.create("/alive-", flags=raw.EPHEMERAL | raw.SEQUENTIAL)
            for _ in range(15):
                time.sleep(0.1)
                ask(client)
            true(client.stat(path) is not None, "the ephemeral is there")


@case("a client that has seen more than the server gets no answer, only the end")
def _():
    client = connect()
    client.create(next(names))
    ahead = connect(connect=False)
    ahead.frame(raw.i32(0) + raw.i64(client.zxid + 1000) + raw.i32(9000) + raw.i64(0) +
                raw.buffer(bytes(16)) + b"\x00")
    true(ahead.closed(), "closed without a byte")
    equal(connect(zxid_seen=client.zxid).timeout_ms, 30000)


# --- Order (sections 3.2, 6.4).


@case("10,000 pipelined reads and writes are answered in order, with zxids that never fall")
def _():
    client, path = room()
    client.create(path + "/n")
    kinds = [(raw.SET_DATA, lambda i: raw.set_data(path + "/n", b"%d" % i)),
             (raw.GET_DATA, lambda i: raw.read(path + "/n")),
             (raw.CREATE, lambda i: raw.create(f"{path}/n/{i}")),
             (raw.EXISTS, lambda i: raw.read(f"{path}/n/{i - 1}")),
             (raw.DELETE, lambda i: raw.delete(f"{path}/n/{i - 2}")),
             (raw.GET_CHILDREN, lambda i: raw.read(path + "/n")),
             (raw.SYNC, lambda i: raw.string(path)),
             (raw.MULTI, lambda i: raw.multi((raw.CHECK, raw.check(path))))]
    count = 10000
    sender = threading.Thread(target=lambda: [
        client.send(kinds[i % 8][0], kinds[i % 8][1](i)) for i in range(count)])
    first = client.xid + 1
    sender.start()
    replies = [client.receive() for _ in range(count)]
    sender.join()

    equal([reply.xid for reply in replies], list(range(first, first + count)))
    equal([reply.error for reply in replies], [0] * count)
    zxids = [reply.zxid for reply in replies]
    equal(zxids, sorted(zxids))
    for i in range(8, count):
        if i % 8 == 1:
            equal(Reader(replies[i].body).buffer(), b"%d" % (i - 1), "a read sees the write before it")


@case("an event is written before the reply that shows the change, to another session")
def _():
    watcher, path = room()
    writer = connect()
    for i in range(500):
        watcher.get(path, watch=True)
        writer.send(raw.SET_DATA, raw.set_data(path, b"%d" % i))
        watcher.events.clear()
        data = None
        while data != b"%d" % i:
            data, _ = watcher.get(path)
            if data == b"%d" % i:
                equal([event.type for event in watcher.events], [raw.CHANGED], f"round {i}")
        writer.receive()


@case("read, event, reply: in one session, the watch's read and the write pipelined")
def _():
    client, path = room()
    client.log.clear()
    read = client.send(raw.GET_DATA, raw.read(path, True))
    write = client.send(raw.SET_DATA, raw.set_data(path, b"x"))
    client.receive()
    client.receive()
    kinds = [(got.xid if isinstance(got, Reply) else got.path) for got in client.log]
    equal(kinds, [read, path, write])
    equal(client.log[1].zxid, client.log[2].zxid, "the event has the write's zxid")


@case("a write is applied before a read that is pipelined behind it")
def _():
    client, path = room()
    for i in range(300):
        client.send(raw.SET_DATA, raw.set_data(path, b"%d" % i))
        client.send(raw.GET_DATA, raw.read(path))
        client.receive()
        equal(Reader(client.receive().body).buffer(), b"%d" % i)


@case("events of one transaction come in the order of its changes")
def _():
    client, path = room()
    watcher = connect()
    watcher.stat(path + "/a", watch=True)
    watcher.stat(path + "/b", watch=True)
    watcher.children(path, watch=True)
    client.must(raw.MULTI, raw.multi((raw.CREATE, raw.create(path + "/b")),
                                     (raw.CREATE, raw.create(path + "/a"))))
    equal(watcher.take_events(), [(raw.CREATED, path + "/b"), (raw.CHILDREN, path),
                                  (raw.CREATED, path + "/a")])


@case("xids are echoed, whatever they are")
def _():
    client, path = room()
    for xid in (0, -7, 2**31 - 1, -2**31, 5, 5):
        equal(client.ask(raw.EXISTS, raw.read(path), xid=xid).xid, xid)
    client.frame(raw.i32(77) + raw.i32(raw.PING))
    equal(client.receive().xid, raw.XID_PING, "a ping's reply")


# --- Errors (section 4.2). Each row: what is asked, what is answered.


def expect(client, what, code, record, error):
    equal(client.error(code, record), error, what)


@case("create: the first check that fails is the one that answers")
def _():
    client, path = room()
    closed_acl = [(raw.READ, "world", "anyone")]
    client.create(path + "/closed", entries=closed_acl)
    client.create(path + "/there")
    client.create(path + "/ephemeral", flags=raw.EPHEMERAL)
    bad_acl = [(ALL, "nosuch", "x")]

    def asked(what, error, path, entries=OPEN, flags=0):
        expect(client, what, raw.CREATE, raw.create(path, b"", entries, flags), error)

    asked("bad flags before a missing parent", raw.BAD_ARGUMENTS, path + "/no/a", OPEN, 9)
    asked("no slash before an empty ACL", raw.BAD_ARGUMENTS, "a", [])
    asked("bad ACL before a missing parent", raw.INVALID_ACL, path + "/no/a", bad_acl)
    asked("an empty ACL", raw.INVALID_ACL, path + "/a", [])
    asked("no ACL", raw.INVALID_ACL, path + "/a", None)
    asked("missing parent before a bad path", raw.NO_NODE, path + "/no//a")
    asked("missing parent", raw.NO_NODE, path + "/no/a")
    asked("no right before it exists", raw.NO_AUTH, path + "/closed/a")
    asked("it exists", raw.NODE_EXISTS, path + "/there")
    asked("the root exists", raw.NODE_EXISTS, "/")
    asked("a child of an ephemeral", raw.NO_CHILDREN_FOR_EPHEMERALS, path + "/ephemeral/a")
    asked("a TTL mode without a TTL's operation", raw.BAD_ARGUMENTS, path + "/a", OPEN, raw.TTL)
    asked("no path", raw.MARSHALLING, None)


@case("delete: the first check that fails is the one that answers")
def _():
    client, path = room()
    client.create(path + "/closed", entries=OPEN)
    client.create(path + "/closed/child")
    client.must(raw.SET_ACL, raw.set_acl(path + "/closed", [(raw.READ, "world", "anyone")]))
    client.create(path + "/full")
    client.create(path + "/full/child")

    def asked(what, error, path, version=-1):
        expect(client, what, raw.DELETE, raw.delete(path, version), error)

    for special in ("/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
        asked("a special znode", raw.BAD_ARGUMENTS, special)
    asked("no slash", raw.BAD_ARGUMENTS, "a")
    asked("empty", raw.BAD_ARGUMENTS, "")
    asked("no path", raw.MARSHALLING, None)
    asked("missing parent", raw.NO_NODE, path + "/no/a")
    asked("no right before missing", raw.NO_AUTH, path + "/closed/no")
    asked("no right", raw.NO_AUTH, path + "/closed/child")
    asked("missing", raw.NO_NODE, path + "/no")
    asked("version before not empty", raw.BAD_VERSION, path + "/full", 7)
    asked("not empty", raw.NOT_EMPTY, path + "/full")


@case("setData, setACL: the first check that fails is the one that answers")
def _():
    client, path = room()
    client.create(path + "/closed", entries=[(raw.READ, "world", "anyone")])
    rows = [
        ("no right before the version", raw.SET_DATA, raw.set_data(path + "/closed", b"", 9), raw.NO_AUTH),
        ("missing", raw.SET_DATA, raw.set_data(path + "/no"), raw.NO_NODE),
        ("bad path before missing", raw.SET_DATA, raw.set_data(path + "/no/"), raw.BAD_ARGUMENTS),
        ("version", raw.SET_DATA, raw.set_data(path, b"", 9), raw.BAD_VERSION),
        ("no path", raw.SET_DATA, raw.set_data(None), raw.BAD_ARGUMENTS),
        ("empty path", raw.SET_DATA, raw.set_data(""), raw.BAD_ARGUMENTS),
        ("bad ACL before missing", raw.SET_ACL, raw.set_acl(path + "/no", []), raw.INVALID_ACL),
        ("bad path before bad ACL", raw.SET_ACL, raw.set_acl(path + "/", []), raw.BAD_ARGUMENTS),
        ("missing", raw.SET_ACL, raw.set_acl(path + "/no", OPEN), raw.NO_NODE),
        ("no right before the version", raw.SET_ACL, raw.set_acl(path + "/closed", OPEN, 9), raw.NO_AUTH),
        ("version", raw.SET_ACL, raw.set_acl(path, OPEN, 9), raw.BAD_VERSION),
        ("no path", raw.SET_ACL, raw.set_acl(None, OPEN), raw.BAD_ARGUMENTS),
    ]
    for what, code, record, error in rows:
        expect(client, what, code, record, error)


@case("reads: missing before no right; exists and getACL as they are; no path is malformed")
def _():
    client, path = room()
    client.create(path + "/closed", entries=[(raw.WRITE, "world", "anyone")])
    client.create(path + "/admin", entries=[(ADMIN, "world", "anyone")])
    reads = (raw.GET_DATA, raw.GET_CHILDREN, raw.GET_CHILDREN2)
    for code in reads + (raw.EXISTS,):
        expect(client, f"{code}: missing", code, raw.read(path + "/no"), raw.NO_NODE)
        expect(client, f"{code}: no right", code, raw.read(path + "/closed"), raw.NO_AUTH)
        expect(client, f"{code}: no path", code, raw.read(None), raw.MARSHALLING)
    for code in (raw.GET_ALL_CHILDREN_NUMBER, raw.GET_ACL):
        expect(client, f"{code}: missing", code, raw.string(path + "/no"), raw.NO_NODE)
        expect(client, f"{code}: no right", code, raw.string(path + "/closed"), raw.NO_AUTH)
    expect(client, "getACL is content with ADMIN", raw.GET_ACL, raw.string(path + "/admin"), raw.OK)
    expect(client, "NUL in exists", raw.EXISTS, raw.read("/a\0b"), raw.BAD_ARGUMENTS)
    expect(client, "the empty path is the root", raw.GET_CHILDREN, raw.read(""), raw.OK)


@case("watches: a type that is none before a watch that is none; a mode that is none")
def _():
    client, path = room()
    for code in (raw.CHECK_WATCHES, raw.REMOVE_WATCHES):
        for kind in (0, 6, 9, -1):
            expect(client, f"type {kind}", code, raw.string(path) + raw.i32(kind), raw.MARSHALLING)
        for kind in range(1, 6):
            expect(client, f"type {kind}", code, raw.string(path) + raw.i32(kind), raw.NO_WATCHER)
    for mode in (2, -1, 9):
        expect(client, f"mode {mode}", raw.ADD_WATCH, raw.string(path) + raw.i32(mode), raw.MARSHALLING)


@case("a failed write has a zxid, and no znode changes")
def _():
    client, path = room()
    before = client.stat(path)
    reply = client.ask(raw.SET_DATA, raw.set_data(path, b"x", 9))
    equal(reply.error, raw.BAD_VERSION)
    true(reply.zxid >= client.zxid, "a zxid that does not fall")
    equal(client.ask(raw.CREATE, raw.create(path + "/no/a")).error, raw.NO_NODE)
    equal(client.stat(path), before)


@case("versions: -1 is any, setData and setACL count apart")
def _():
    client, path = room()
    equal(client.set(path, b"a", 0).version, 1)
    equal(client.set(path, b"b", -1).version, 2)
    stat = client.must(raw.SET_ACL, raw.set_acl(path, OPEN, 0)).stat()
    equal((stat.version, stat.aversion), (2, 1))
    equal(client.error(raw.SET_ACL, raw.set_acl(path, OPEN, 0)), raw.BAD_VERSION)
    equal(client.must(raw.SET_ACL, raw.set_acl(path, OPEN, 1)).stat().aversion, 2)
    client.delete(path, 2)


# --- Paths (section 8.1).


BAD_NAMES = ["", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "\x01", "\x1f", "a\tb",
             "\x7f", "\x9f", "\U0001F600", "\uf8ff", "\ue000", "\ufff0", "\uffff", "\ufffd"]
GOOD_NAMES = ["...", "..a", "a..", ".hidden", "a b", " ", "\u00a0", "\u4e2d\u6587", "\ud7ff", "\uf900",
              "a:b", "%00", "*", "\u0300"]


@case("paths that ZooKeeper takes are taken by create, setData, exists and delete")
def _():
    client, path = room()
    for name in GOOD_NAMES:
        equal(client.create(f"{path}/{name}"), f"{path}/{name}")
        client.set(f"{path}/{name}", b"x")
        true(client.stat(f"{path}/{name}"), "it is there")
        client.delete(f"{path}/{name}")


@case("paths that are not valid are refused by create, setData, setACL and check")
def _():
    client, path = room()
    client.create(path + "/a")
    for name in BAD_NAMES:
        bad = f"{path}/{name}"
        missing_parent = name in ("./a", "../a", "a//b")  # ".", ".." and "" are missing: that is first
        expect(client, repr(bad), raw.CREATE, raw.create(bad),
               raw.NO_NODE if missing_parent else raw.BAD_ARGUMENTS)
        expect(client, repr(bad), raw.SET_DATA, raw.set_data(bad), raw.BAD_ARGUMENTS)
        expect(client, repr(bad), raw.SET_ACL, raw.set_acl(bad, OPEN), raw.BAD_ARGUMENTS)
        reply = client.ask(raw.MULTI, raw.multi((raw.CHECK, raw.check(bad))))
        equal(Reader(reply.body).multi(), [(-1, raw.BAD_ARGUMENTS)], repr(bad))


@case("a NUL is refused by create, delete, setData and exists; other reads just find nothing")
def _():
    client, path = room()
    bad = path + "/a\0b"
    expect(client, "create", raw.CREATE, raw.create(bad), raw.BAD_ARGUMENTS)
    expect(client, "delete", raw.DELETE, raw.delete(bad), raw.BAD_ARGUMENTS)
    expect(client, "setData", raw.SET_DATA, raw.set_data(bad), raw.BAD_ARGUMENTS)
    expect(client, "exists", raw.EXISTS, raw.read(bad), raw.BAD_ARGUMENTS)
    expect(client, "getData", raw.GET_DATA, raw.read(bad), raw.NO_NODE)
    expect(client, "getData", raw.GET_DATA, raw.read(path + "/./x/"), raw.NO_NODE)


@case("malformed UTF-8 in a path is refused when written")
def _():
    client, path = room()
    for bad in (b"/\xff", b"/\xc3", b"/\xed\xa0\x80", b"/\xc0\xaf"):
        bad = path.encode() + bad
        expect(client, repr(bad), raw.CREATE, raw.create(bad), raw.BAD_ARGUMENTS)
        expect(client, repr(bad), raw.SET_DATA, raw.set_data(bad), raw.BAD_ARGUMENTS)


# --- ACLs (section 7).


def digest(credentials):
    user = credentials.split(":")[0]
    return user + ":" + base64.b64encode(hashlib.sha1(credentials.encode()).digest()).decode()


# operation: (permission, on the parent?, how)
GUARDED = {
    "getData": (raw.READ, False, lambda p: (raw.GET_DATA, raw.read(p + "/x"))),
    "exists": (raw.READ, False, lambda p: (raw.EXISTS, raw.read(p + "/x"))),
    "getChildren": (raw.READ, False, lambda p: (raw.GET_CHILDREN, raw.read(p + "/x"))),
    "getChildren2": (raw.READ, False, lambda p: (raw.GET_CHILDREN2, raw.read(p + "/x"))),
    "getAllChildrenNumber": (raw.READ, False,
                             lambda p: (raw.GET_ALL_CHILDREN_NUMBER, raw.string(p + "/x"))),
    "getACL": (raw.READ | ADMIN, False, lambda p: (raw.GET_ACL, raw.string(p + "/x"))),
    "setData": (raw.WRITE, False, lambda p: (raw.SET_DATA, raw.set_data(p + "/x"))),
    "create": (raw.CREATE_CHILD, True, lambda p: (raw.CREATE, raw.create(p + "/y"))),
    "create2": (raw.CREATE_CHILD, True, lambda p: (raw.CREATE2, raw.create(p + "/y"))),
    "createContainer": (raw.CREATE_CHILD, True,
                        lambda p: (raw.CREATE_CONTAINER, raw.create(p + "/y", flags=4))),
    "delete": (raw.DELETE_CHILD, True, lambda p: (raw.DELETE, raw.delete(p + "/x"))),
    "setACL": (ADMIN, False, lambda p: (raw.SET_ACL, raw.set_acl(p + "/x", OPEN))),
}


def guarded_by(owner, entries_of, permission, on_parent):
    """A znode with a child /x, of which one is guarded with `permission` alone."""
    path = owner.create(next(names))
    owner.create(path + "/x", entries=OPEN if on_parent else entries_of(permission))
    if on_parent:
        owner.must(raw.SET_ACL, raw.set_acl(path, entries_of(permission)))
    return path


SCHEMES = {
    "world": lambda perms: [(perms, "world", "anyone")],
    "digest": lambda perms: [(perms, "digest", digest("bob:secret"))],
    "auth": lambda perms: [(perms, "auth", "")],
    "ip": lambda perms: [(perms, "ip", "127.0.0.1")],
    "ip network": lambda perms: [(perms, "ip", "127.0.0.0/8")],
}


@case("every operation needs its permission, whichever scheme grants it")
def _():
    owner = connect()
    owner.authenticate(b"bob:secret")
    for scheme, entries_of in SCHEMES.items():
        for name, (needed, on_parent, how) in GUARDED.items():
            for permission in (raw.READ, raw.WRITE, raw.CREATE_CHILD, raw.DELETE_CHILD, ADMIN):
                path = guarded_by(owner, entries_of, permission, on_parent)
                error = owner.error(*how(path))
                allowed = permission & needed != 0
                equal(error, raw.OK if allowed else raw.NO_AUTH, f"{name}, {scheme}, {permission}")


@case("who is not named in an ACL may nothing, and super may everything")
def _():
    owner = connect()
    owner.authenticate(b"bob:secret")
    stranger = connect()
    stranger.authenticate(b"eve:guess")
    root = connect()
    root.authenticate(b"super:secret")
    elsewhere = [(ALL, "ip", "10.1.2.3"), (ALL, "digest", digest("bob:secret"))]
    for name, (_, on_parent, how) in GUARDED.items():
        path = guarded_by(owner, lambda _: elsewhere, ALL, on_parent)
        equal(stranger.error(*how(path)), raw.NO_AUTH, name)
        equal(root.error(*how(path)), raw.OK, name)


@case("a multi and its check are judged by the ACLs as the multi has left them")
def _():
    client, path = room()
    closed = [(raw.CREATE_CHILD, "world", "anyone")]
    reply = client.ask(raw.MULTI, raw.multi((raw.CREATE, raw.create(path + "/a", entries=closed)),
                                            (raw.CREATE, raw.create(path + "/a/b")),
                                            (raw.CHECK, raw.check(path + "/a"))))
    equal(Reader(reply.body).multi(), [(-1, 0), (-1, 0), (-1, raw.NO_AUTH)])
    equal(client.stat(path + "/a"), None)


@case("getACL hides the hash of a digest from who has not ADMIN")
def _():
    owner, path = room()
    owner.authenticate(b"bob:secret")
    entries = [(ALL, "digest", digest("bob:secret")), (raw.READ, "world", "anyone")]
    owner.must(raw.SET_ACL, raw.set_acl(path, entries))
    equal(owner.must(raw.GET_ACL, raw.string(path)).acl(), entries)
    equal(connect().must(raw.GET_ACL, raw.string(path)).acl(),
          [(ALL, "digest", "bob:x"), (raw.READ, "world", "anyone")])


@case("ACLs are put in order when they are set: duplicates go, auth becomes the identities")
def _():
    client, path = room()
    twice = [(raw.READ, "world", "anyone"), (raw.READ, "world", "anyone"), (ADMIN, "auth", "ignored"),
             (raw.WRITE, "world", "anyone")]
    expect(client, "auth without an identity", raw.SET_ACL, raw.set_acl(path, twice), raw.INVALID_ACL)
    client.authenticate(b"bob:secret")
    client.must(raw.SET_ACL, raw.set_acl(path, twice))
    equal(client.must(raw.GET_ACL, raw.string(path)).acl(),
          [(raw.READ, "world", "anyone"), (ADMIN, "digest", digest("bob:secret")),
           (raw.WRITE, "world", "anyone")])


@case("ACLs that say nothing are refused")
def _():
    client, path = room()
    bad = [("world", "nobody"), ("nosuch", "x"), ("digest", "bob"), ("digest", "a:b:c"), ("sasl", "bob"),
           ("ip", "nowhere"), ("ip", "1.2.3"), ("ip", "1.2.3.4/33"), ("super", ""), ("x509", "CN=a"),
           (None, "anyone"), ("digest", None)]
    for scheme, name in bad:
        expect(client, f"{scheme}:{name}", raw.SET_ACL, raw.set_acl(path, [(ALL, scheme, name)]),
               raw.INVALID_ACL)
    for name in ("1.2.3.4", "1.2.3.4/0", "1.2.3.4/32", "::1", "fe80::/10"):
        expect(client, name, raw.CREATE, raw.create(f"{path}/{name.replace('/', '-')}", b"",
                                                    [(ALL, "ip", name)]), raw.OK)


@case("identities accumulate on a connection and do not outlive it")
def _():
    client, path = room()
    client.authenticate(b"bob:secret")
    client.authenticate(b"eve:guess")
    client.authenticate(b"bob:secret")
    reader = client.must(raw.WHO_AM_I)
    equal(sorted((reader.string(), reader.string()) for _ in range(reader.i32())),
          [("digest", "bob"), ("digest", "eve"), ("ip", "127.0.0.1")])
    client.create(path + "/mine", entries=[(ALL, "auth", "")])
    again = client.reattached()
    expect(again, "without authentication", raw.GET_DATA, raw.read(path + "/mine"), raw.NO_AUTH)
    again.authenticate(b"eve:guess")
    expect(again, "with one of the two", raw.GET_DATA, raw.read(path + "/mine"), raw.OK)


@case("an authentication that fails is answered, then the connection ends")
def _():
    for scheme, data in (("nosuch", b"x"), ("world", b"anyone"), ("sasl", b""), ("super", b""),
                         ("digest", None)):
        client = connect()
        reply = client.ask(raw.AUTH, raw.auth(scheme, data), xid=raw.XID_AUTH)
        equal((reply.error, reply.zxid, reply.body), (raw.AUTH_FAILED, 0, b""), scheme)
        true(client.closed(), scheme)


@case("an event about a znode that its watcher may not read is not sent")
def _():
    owner, path = room()
    owner.authenticate(b"bob:secret")
    owner.create(path + "/a")
    watcher = connect()
    watcher.stat(path + "/a", watch=True)
    watcher.stat(path + "/b", watch=True)
    watcher.stat(path + "/open", watch=True)
    owner.must(raw.SET_ACL, raw.set_acl(path + "/a", [(ALL, "auth", "")]))
    owner.set(path + "/a", b"secret")
    owner.create(path + "/b", entries=[(ALL, "auth", "")])
    owner.create(path + "/open")
    equal(watcher.take_events(), [(raw.CREATED, path + "/open")])


# --- Frames (section 1.2).


@case("a frame of jute.maxbuffer bytes is taken, and one byte more ends the connection")
def _():
    client, path = room()
    overhead = len(raw.i32(0) + raw.i32(0) + raw.set_data(path, b""))
    data = b"x" * (FRAME_BYTES_MAX - overhead)
    equal(client.set(path, data).length, len(data))
    equal(client.get(path)[0], data)
    client.send(raw.SET_DATA, raw.set_data(path, data + b"x"))
    true(client.closed(), "one byte too many")


@case("lengths that cannot be end the connection without an answer")
def _():
    for length in (-1, -2**31, 0, 7, FRAME_BYTES_MAX + 1, 2**31 - 1):
        for attached in (True, False):
            client = connect(connect=attached)
            client.send_bytes(raw.i32(length) + (b"\0" * length if 0 <= length < 100 else b""))
            true(client.closed(), f"length {length}, attached: {attached}")


@case("a record that is cut off, or lies about a length, is answered -5 and the connection goes on")
def _():
    client, path = room()
    whole = raw.create(path + "/a")
    for record in [whole[:cut] for cut in range(0, len(whole), 5)]:
        expect(client, record.hex(), raw.CREATE, record, raw.MARSHALLING)
    for record in (raw.i32(2**31 - 1) + b"/a", raw.i32(-2) + b"/a", raw.i32(100) + b"/a"):
        expect(client, record.hex(), raw.GET_DATA, record, raw.MARSHALLING)
    huge_vector = raw.string(path + "/a") + raw.buffer(b"") + raw.i32(2**31 - 1)
    expect(client, "a vector of 2^31 entries", raw.CREATE, huge_vector, raw.MARSHALLING)
    equal(client.stat(path + "/a"), None)


@case("what follows a record is ignored, and any byte but 0 is true")
def _():
    client, path = room()
    expect(client, "trailing bytes", raw.EXISTS, raw.read(path) + b"trailing", raw.OK)
    expect(client, "0x07", raw.EXISTS, raw.string(path) + b"\x07", raw.OK)
    client.set(path, b"x")
    equal(client.take_events(), [(raw.CHANGED, path)])


@case("operations that do not exist are answered -6 with zxid -1, then the connection ends")
def _():
    for code in (0, -1, 10, 99, 13, -10, 23, 108, 701, 2**31 - 1):
        client = connect()
        client.send(code, raw.check("/"))
        reply = client.receive()
        equal((reply.error, reply.zxid, reply.body), (raw.UNIMPLEMENTED, -1, b""), f"operation {code}")
        true(client.closed(), f"operation {code}")


@case("null and empty data are kept apart")
def _():
    client, path = room()
    client.create(path + "/null", None)
    client.create(path + "/empty", b"")
    equal(client.get(path + "/null")[0], None)
    equal(client.get(path + "/empty")[0], b"")
    equal(client.get(path + "/null")[1].length, 0)
    client.set(path + "/empty", None)
    equal(client.get(path + "/empty")[0], None)


# --- Watches (section 6).


def watch_all_ways(path):
    """{name: a session with one watch of that kind at `path`}"""
    sessions = {}
    for name, set_watch in {
            "data": lambda c: c.get(path, watch=True),
            "exists": lambda c: c.stat(path, watch=True),
            "child": lambda c: c.children(path, watch=True),
            "persistent": lambda c: c.must(raw.ADD_WATCH, raw.string(path) + raw.i32(0)),
            "recursive": lambda c: c.must(raw.ADD_WATCH, raw.string(path) + raw.i32(1))}.items():
        sessions[name] = connect()
        set_watch(sessions[name])
    return sessions


@case("each kind of watch is told what it is for, once or for ever")
def _():
    client, path = room()
    node = client.create(path + "/n")
    client.create(node + "/child")
    steps = [
        ("data changed", lambda: client.set(node, b"x"),
         {"data": raw.CHANGED, "exists": raw.CHANGED, "persistent": raw.CHANGED,
          "recursive": raw.CHANGED}, node),
        ("child created", lambda: client.create(node + "/new"),
         {"child": (raw.CHILDREN, node), "persistent": (raw.CHILDREN, node),
          "recursive": (raw.CREATED, node + "/new")}, node),
        ("child's data changed", lambda: client.set(node + "/new", b"x"),
         {"recursive": (raw.CHANGED, node + "/new")}, node),
        ("child deleted", lambda: client.delete(node + "/new"),
         {"child": (raw.CHILDREN, node), "persistent": (raw.CHILDREN, node),
          "recursive": (raw.DELETED, node + "/new")}, node),
        ("grandchild created", lambda: client.create(node + "/child/deep"),
         {"recursive": (raw.CREATED, node + "/child/deep")}, node),
        ("ACL changed", lambda: client.must(raw.SET_ACL, raw.set_acl(node, OPEN)), {}, node),
    ]
    for what, change, expected, at in steps:
        sessions = watch_all_ways(node)
        change()
        for name, session in sessions.items():
            event = expected.get(name)
            event = (event, at) if isinstance(event, int) else event
            equal(session.take_events(), [event] if event else [], f"{what}: {name}")
            session.close()


@case("a deletion is told once to each kind of watch, and an absent znode's creation to three")
def _():
    client, path = room()
    node = client.create(path + "/n")
    sessions = watch_all_ways(node)
    client.delete(node)
    for name, session in sessions.items():
        equal(session.take_events(), [(raw.DELETED, node)], name)
    sessions["exists"].stat(node, watch=True)
    client.create(node)
    for name, session in sessions.items():
        told = name in ("exists", "persistent", "recursive")
        equal(session.take_events(), [(raw.CREATED, node)] if told else [], name)


@case("one-shot watches are told once, persistent ones every time")
def _():
    client, path = room()
    sessions = watch_all_ways(path)
    for _ in range(3):
        client.set(path, b"x")
    counts = {name: len(session.take_events()) for name, session in sessions.items()}
    equal(counts, {"data": 1, "exists": 1, "child": 0, "persistent": 3, "recursive": 3})


@case("a session with many watches on a path is told once of each change")
def _():
    client, path = room()
    node = client.create(path + "/n")
    watcher = connect()
    for _ in range(2):
        watcher.get(node, watch=True)
        watcher.stat(node, watch=True)
        watcher.children(node, watch=True)
        for mode in (0, 1):
            watcher.must(raw.ADD_WATCH, raw.string(node) + raw.i32(mode))
            watcher.must(raw.ADD_WATCH, raw.string(path) + raw.i32(mode))
    client.set(node, b"x")
    equal(watcher.take_events(), [(raw.CHANGED, node)])
    client.delete(node)
    equal(watcher.take_events(), [(raw.DELETED, node), (raw.CHILDREN, path)])


@case("the modes of watches on one path live side by side")
def _():
    client, path = room()
    watcher = connect()
    watcher.must(raw.ADD_WATCH, raw.string(path) + raw.i32(0))
    watcher.must(raw.ADD_WATCH, raw.string(path) + raw.i32(1))
    watcher.get(path, watch=True)
    expect(watcher, "remove", raw.REMOVE_WATCHES, raw.string(path) + raw.i32(5), raw.OK)
    expect(watcher, "the recursive one is gone", raw.CHECK_WATCHES, raw.string(path) + raw.i32(5),
           raw.NO_WATCHER)
    expect(watcher, "the persistent one is not", raw.CHECK_WATCHES, raw.string(path) + raw.i32(4), raw.OK)
    client.set(path, b"x")
    client.set(path, b"y")
    equal(watcher.take_events(), [(raw.CHANGED, path)] * 2)


@case("removeWatches takes away exactly what it names")
def _():
    client, path = room()
    present = {"data": (2, 3), "exists": (2, 3), "child": (1, 3), "persistent": (3, 4),
               "recursive": (3, 5)}
    for kind, types in present.items():
        for asked in range(1, 6):
            session = watch_all_ways(path)[kind]
            error = raw.OK if asked in types else raw.NO_WATCHER
            what = f"{kind}, type {asked}"
            expect(session, what, raw.CHECK_WATCHES, raw.string(path) + raw.i32(asked), error)
            expect(session, what, raw.REMOVE_WATCHES, raw.string(path) + raw.i32(asked), error)
            expect(session, what, raw.REMOVE_WATCHES, raw.string(path) + raw.i32(asked), raw.NO_WATCHER)
            expect(session, "another path", raw.REMOVE_WATCHES, raw.string(path + "/x") + raw.i32(3),
                   raw.NO_WATCHER)


@case("a read that fails sets no watch; exists on what is not there does")
def _():
    client, path = room()
    watcher = connect()
    watcher.ask(raw.GET_DATA, raw.read(path + "/a", True))
    watcher.ask(raw.GET_CHILDREN, raw.read(path + "/a", True))
    expect(watcher, "nothing", raw.CHECK_WATCHES, raw.string(path + "/a") + raw.i32(3), raw.NO_WATCHER)
    watcher.stat(path + "/a", watch=True)
    client.create(path + "/a")
    equal(watcher.take_events(), [(raw.CREATED, path + "/a")])


@case("setWatches tells what has changed since the zxid it names, and sets the rest")
def _():
    client, path = room()
    for name in ("/same", "/changed", "/parent", "/quiet", "/exists"):
        client.create(path + name)
    since = client.zxid
    client.set(path + "/changed", b"x")
    client.create(path + "/parent/child")

    watcher = connect()
    data = [path + "/gone", path + "/changed", path + "/same"]
    exist = [path + "/absent", path + "/exists"]
    child = [path + "/gone", path + "/parent", path + "/quiet"]
    reply = watcher.ask(raw.SET_WATCHES, raw.set_watches(since, data, exist, child), xid=-8)

    equal((reply.xid, reply.error, reply.body), (-8, 0, b""))
    equal([event.zxid for event in watcher.events], [-1] * 5)
    equal(watcher.take_events(), [(raw.DELETED, path + "/gone"), (raw.CHANGED, path + "/changed"),
                                  (raw.CREATED, path + "/exists"), (raw.DELETED, path + "/gone"),
                                  (raw.CHILDREN, path + "/parent")])
    for name in ("/same", "/changed", "/exists"):
        client.set(path + name, b"y")
    client.create(path + "/absent")
    client.create(path + "/quiet/child")
    equal(watcher.take_events(), [(raw.CHANGED, path + "/same"), (raw.CREATED, path + "/absent"),
                                  (raw.CHILDREN, path + "/quiet")])


@case("setWatches2 sets persistent watches again, without catching up")
def _():
    client, path = room()
    watcher = connect()
    watcher.must(raw.SET_WATCHES2, raw.set_watches(0, [], [], [], [path], [path + "/r"]))
    equal(watcher.take_events(), [])
    client.create(path + "/r")
    client.create(path + "/r/deep")
    client.set(path, b"x")
    equal(watcher.take_events(), [(raw.CREATED, path + "/r"), (raw.CHILDREN, path),
                                  (raw.CREATED, path + "/r/deep"), (raw.CHANGED, path)])


@case("null lists in setWatches are empty lists")
def _():
    client = connect()
    equal(client.error(raw.SET_WATCHES, raw.set_watches(0, None, None, None)), raw.OK)


@case("watches go with their connection, not with their session")
def _():
    client, path = room()
    watcher = connect()
    watcher.get(path, watch=True)
    again = watcher.reattached()
    client.set(path, b"x")
    equal(again.take_events(), [])


@case("addWatch answers with a body of four zeros")
def _():
    client, path = room()
    for mode in (0, 1):
        reply = client.ask(raw.ADD_WATCH, raw.string(path + "/absent") + raw.i32(mode))
        equal(reply.body, bytes(4))


# --- Multi (sections 4.3 to 4.5).


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


# --- Znodes (section 5).


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


@case("sync echoes its path, whatever that is")
def _():
    client = connect()
    for path in ("/", "/no/such", "not a path", None, ""):
        reply = client.ask(raw.SYNC, raw.string(path))
        equal((reply.error, reply.body), (0, raw.string(path)))


@case("closeSession is answered, what is pipelined behind it is refused, then the connection ends")
def _():
    client, path = room()
    client.create(path + "/mine", flags=raw.EPHEMERAL)
    codes = [client.send(raw.CLOSE), client.send(raw.CREATE, raw.create(path + "/late")),
             client.send(raw.EXISTS, raw.read(path)), client.send(raw.SET_DATA, raw.set_data(path))]
    replies = [client.receive() for _ in codes]
    equal([reply.xid for reply in replies], codes)
    equal([reply.error for reply in replies], [0, -112, -112, -112])
    true(client.closed(), "the connection ends")
    other = connect()
    equal(other.stat(path + "/mine"), None)
    equal(other.stat(path + "/late"), None)
    again = connect(connect=False)
    again.connect(session=client.session, password=client.password)
    equal(again.timeout_ms, 0)


@case("what is not configured says so: reconfig, SASL")
def _():
    client = connect()
    record = raw.string(None) + raw.string(None) + raw.string("server.1=a:1:2") + raw.i64(-1)
    expect(client, "reconfig", raw.RECONFIG, record, raw.RECONFIG_DISABLED)
    reply = client.ask(raw.SASL, raw.buffer(b""))
    equal((reply.error, reply.zxid, reply.body), (0, 0, raw.buffer(None)))


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


@case("random writes leave every Stat as a model has it")
def _():
    client, path = room()
    dice = random.Random(7)
    model = {path: dict(version=0, made=0, children=set(), length=0, aversion=0)}
    for _ in range(600):
        target = dice.choice(sorted(model))
        name = target + "/" + dice.choice("abc")
        what = dice.randrange(4)
        if what == 0 and name.count("/") < 6:
            error = client.error(raw.CREATE, raw.create(name, b"12"))
            equal(error, raw.NODE_EXISTS if name in model else raw.OK)
            if error == raw.OK:
                model[name] = dict(version=0, made=0, children=set(), length=2, aversion=0)
                model[target]["made"] += 1
                model[target]["children"].add(name)
        elif what == 1 and target != path:
            error = client.error(raw.DELETE, raw.delete(target))
            equal(error, raw.NOT_EMPTY if model[target]["children"] else raw.OK)
            if error == raw.OK:
                model[target.rsplit("/", 1)[0]]["children"].remove(target)
                del model[target]
        elif what == 2:
            data = b"x" * dice.randrange(200)
            client.set(target, data, model[target]["version"])
            model[target].update(version=model[target]["version"] + 1, length=len(data))
        elif what == 3:
            client.must(raw.SET_ACL, raw.set_acl(target, OPEN, model[target]["aversion"]))
            model[target]["aversion"] += 1
    for name, expected in model.items():
        stat = client.stat(name)
        children = len(expected["children"])
        equal((stat.version, stat.aversion, stat.length, stat.children, stat.cversion),
              (expected["version"], expected["aversion"], expected["length"], children,
               2 * expected["made"] - children), name)


# --- Four-letter words (section 10.1).


def word(port, *parts, half_close=False):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            data = connection.recv(65536)
            if not data:
                return answer
            answer += data


@case("four-letter words are answered whole or in pieces, also over a half-closed socket")
def _():
    port = shared().port
    equal(word(port, b"ruok"), b"imok")
    equal(word(port, b"ruok", half_close=True), b"imok")
    equal(word(port, b"r", b"uo", b"k"), b"imok")
    equal(word(port, b"ruok\n"), b"imok")
    equal(word(port, b"isro"), b"rw")
    true(b"\nMode: standalone\n" in word(port, b"srvr"), "the Mode line")
    true(word(port, b"stat").startswith(b"Zookeeper version: 3."), "stat")
    true(b"zk_server_state\tstandalone\n" in word(port, b"mntr"), "mntr")
    true(b"clientPort=%d\n" % port in word(port, b"conf"), "conf")


@case("a word inside a session is a frame's length, and too large")
def _():
    client = connect()
    client.send_bytes(b"ruok")
    true(client.closed(), "the connection ends")


if __name__ == "__main__":
    harness.main()
