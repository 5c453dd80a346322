#!/usr/bin/python3
"""The client protocol: which error answers, which paths are valid, who may do what."""

import base64
import hashlib

import harness
import raw_client as raw
from harness import case, equal, true
from protocol import connect, expect, names, room
from raw_client import ADMIN, ALL, OPEN, Reader


# --- Errors. Each row: what is asked, what is answered.


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
        ("no right before the version", raw.SET_DATA, raw.set_data(path + "/closed", b"", 9),
         raw.NO_AUTH),
        ("missing", raw.SET_DATA, raw.set_data(path + "/no"), raw.NO_NODE),
        ("bad path before missing", raw.SET_DATA, raw.set_data(path + "/no/"), raw.BAD_ARGUMENTS),
        ("version", raw.SET_DATA, raw.set_data(path, b"", 9), raw.BAD_VERSION),
        ("no path", raw.SET_DATA, raw.set_data(None), raw.BAD_ARGUMENTS),
        ("empty path", raw.SET_DATA, raw.set_data(""), raw.BAD_ARGUMENTS),
        ("bad ACL before missing", raw.SET_ACL, raw.set_acl(path + "/no", []), raw.INVALID_ACL),
        ("bad path before bad ACL", raw.SET_ACL, raw.set_acl(path + "/", []), raw.BAD_ARGUMENTS),
        ("missing", raw.SET_ACL, raw.set_acl(path + "/no", OPEN), raw.NO_NODE),
        ("no right before the version", raw.SET_ACL, raw.set_acl(path + "/closed", OPEN, 9),
         raw.NO_AUTH),
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
        expect(client, f"mode {mode}", raw.ADD_WATCH, raw.string(path) + raw.i32(mode),
               raw.MARSHALLING)


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


# --- Paths.


BAD_NAMES = ["", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "\x01", "\x1f", "a\tb",
             "\x7f", "\x9f", "\U0001F600", "\uf8ff", "\ue000", "\ufff0", "\uffff", "\ufffd"]
GOOD_NAMES = ["...", "..a", "a..", ".hidden", "a b", " ", "\u00a0", "\u4e2d\u6587", "\ud7ff",
              "\uf900",              "a:b", "%00", "*", "\u0300"]


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
        missing_parent = name in ("./a", "../a", "a//b")  # that it is missing comes first
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


# --- ACLs.


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
    twice = [(raw.READ, "world", "anyone"), (raw.READ, "world", "anyone"),
             (ADMIN, "auth", "ignored"), (raw.WRITE, "world", "anyone")]
    expect(client, "auth without an identity", raw.SET_ACL, raw.set_acl(path, twice),
           raw.INVALID_ACL)
    client.authenticate(b"bob:secret")
    client.must(raw.SET_ACL, raw.set_acl(path, twice))
    equal(client.must(raw.GET_ACL, raw.string(path)).acl(),
          [(raw.READ, "world", "anyone"), (ADMIN, "digest", digest("bob:secret")),
           (raw.WRITE, "world", "anyone")])


@case("ACLs that say nothing are refused")
def _():
    client, path = room()
    bad = [("world", "nobody"), ("nosuch", "x"), ("digest", "bob"), ("digest", "a:b:c"),
           ("sasl", "bob"), ("ip", "nowhere"), ("ip", "1.2.3"), ("ip", "1.2.3.4/33"),
           ("super", ""), ("x509", "CN=a"), (None, "anyone"), ("digest", None)]
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

if __name__ == "__main__":
    harness.main()
