#!/usr/bin/python3
"""The same random requests to Moonkeeper and to Debian's ZooKeeper 3.8.0, side by side: every answer
and every event must be the same, but for zxids, times and session ids, which are compared by
their order.

The requests are those a client might send, valid and not: two sessions take turns, so that one
watches what the other does. Where the two differ by intention, the request is left out, or the
answers are made alike, in `alike`; each with its reason.

    DIFFERENTIAL_SEED=7 DIFFERENTIAL_REQUESTS=5000 tests/compat/differential_test.py
"""

import os
import random

import harness
import raw_client as raw
from harness import case, equal
from raw_client import ALL, OPEN, Client, Event, Reader

SEED = int(os.environ.get("DIFFERENTIAL_SEED", "1"))
REQUESTS = int(os.environ.get("DIFFERENTIAL_REQUESTS", "3000"))
OPTIONS = ["tickTime=3000", "extendedTypesEnabled=true", "recipes=off"]
ROOT = "/d"
DIGEST = "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="
ACLS = [OPEN] * 6 + [[(ALL, "auth", "")], [(raw.READ, "world", "anyone")],
                     [(ALL & ~raw.READ, "world", "anyone")], [(ALL, "digest", DIGEST)],
                     [(raw.READ | raw.CREATE_CHILD | raw.DELETE_CHILD, "world", "anyone"),
                      (ALL, "ip", "127.0.0.1/8")], [(raw.ADMIN, "world", "anyone")],
                     [], [(ALL, "nosuch", "x")], [(ALL, "digest", "bob")], [(ALL, "ip", "x")]]


class Dice:
    """Requests. What has been made is not remembered: names are few, so they meet."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def path(self):
        depth = self.random.choice((1, 1, 2, 2, 2, 3))
        path = ROOT + "".join("/" + self.random.choice("abc") for _ in range(depth))
        if self.random.random() < 0.03:
            path += self.random.choice(("/", "//x", "/.", "/..", "/./x", "/\x01", "\0", "/\ufffd"))
        return path

    def open_path(self):
        """Of znodes that everybody may read: 3.8.0 asks for no right to watch by `exists`."""
        return ROOT + "/" + self.random.choice("ef")

    def version(self):
        return self.random.choice((-1, -1, -1, 0, 1, 2))

    def data(self):
        return self.random.choice((None, b"", b"x", b"data", b"y" * 300))

    def create(self, in_multi=False):
        code = self.random.choice((raw.CREATE, raw.CREATE, raw.CREATE2, raw.CREATE_CONTAINER,
                                   raw.CREATE_TTL))
        flags = self.random.choice((0, 0, 0, 1, 2, 3))
        ttl = None
        if code == raw.CREATE_CONTAINER:
            flags = 4
        elif code == raw.CREATE_TTL:
            # Far away; a TTL below 1 with another flag ends a ZooKeeper 3.8.0.
            flags, ttl = self.random.choice((5, 6)), self.random.choice((10**9, 10**10))
        # In a multi 3.8.0 answers create2 as create.
        code = raw.CREATE if in_multi and code == raw.CREATE2 else code
        path = self.path() + ("-" if flags in (2, 3, 6) else "")
        return code, raw.create(path, self.data(), self.random.choice(ACLS), flags, ttl)

    def write(self, in_multi=False):
        kind = self.random.randrange(10)
        if self.random.random() < 0.1:
            return self.random.choice(((raw.CREATE, raw.create(self.open_path())),
                                       (raw.SET_DATA, raw.set_data(self.open_path())),
                                       (raw.DELETE, raw.delete(self.open_path()))))
        if kind < 4:
            return self.create(in_multi)
        if kind < 6:
            return raw.DELETE, raw.delete(self.path(), self.version())
        if kind < 9 or in_multi:
            return raw.SET_DATA, raw.set_data(self.path(), self.data(), self.version())
        return raw.SET_ACL, raw.set_acl(self.path(), self.random.choice(ACLS), self.version())

    def multi(self):
        operations = [self.write(in_multi=True) if self.random.random() < 0.8 else
                      (raw.CHECK, raw.check(self.path(), self.version()))
                      for _ in range(self.random.randrange(5))]
        return raw.MULTI, raw.multi(*operations)

    def read(self):
        watch = self.random.random() < 0.3
        code = self.random.choice((raw.EXISTS, raw.GET_DATA, raw.GET_DATA, raw.GET_CHILDREN,
                                   raw.GET_CHILDREN2, raw.GET_ACL, raw.GET_ALL_CHILDREN_NUMBER,
                                   raw.GET_EPHEMERALS, raw.MULTI_READ, raw.SYNC))
        if code == raw.MULTI_READ:
            return code, raw.multi(*[(self.random.choice((raw.GET_DATA, raw.GET_CHILDREN)),
                                      raw.read(self.path())) for _ in range(3)])
        if code == raw.EXISTS and watch:
            return code, raw.read(self.open_path(), True)
        if code in (raw.EXISTS, raw.GET_DATA, raw.GET_CHILDREN, raw.GET_CHILDREN2):
            return code, raw.read(self.path(), watch)
        return code, raw.string(self.path())

    def request(self):
        kind = self.random.randrange(20)
        if kind < 9:
            return self.write()
        if kind < 11:
            return self.multi()
        if kind < 12:
            path, mode = self.path(), self.random.choice((0, 1))
            # On 3.8 one mode of a path's watches replaces the other: here each path has one.
            return raw.ADD_WATCH, raw.string(f"{ROOT}/p{mode}{path[-2:]}") + raw.i32(mode)
        return self.read()


def without_order(reader, code):
    """The names in a listing, which come in any order."""
    names = sorted(reader.strings())
    return [names, reader.stat()._asdict()] if code == raw.GET_CHILDREN2 else names


def values(code, reply):
    """An answer as plain values, with the names of what differs from run to run."""
    reader = Reader(reply.body)
    if reply.error != 0:
        return reply.error, None
    if code in (raw.CREATE2, raw.CREATE_CONTAINER, raw.CREATE_TTL):
        body = [reader.string(), reader.stat()._asdict()]
    elif code in (raw.SET_DATA, raw.SET_ACL, raw.EXISTS):
        body = reader.stat()._asdict()
    elif code == raw.GET_DATA:
        body = [reader.buffer(), reader.stat()._asdict()]
    elif code in (raw.GET_CHILDREN, raw.GET_CHILDREN2, raw.GET_EPHEMERALS):
        body = without_order(reader, code)
    elif code == raw.GET_ACL:
        body = [reader.acl(), reader.stat()._asdict()]
    elif code in (raw.MULTI, raw.MULTI_READ):
        body = [[kind, plain(value)] for kind, value in reader.multi()]
    else:
        body = reply.body
    return 0, body


def plain(value):
    if isinstance(value, raw.Stat):
        return value._asdict()
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if isinstance(value, list):
        return sorted(value)
    return value


class Ranks:
    """Zxids as how many different ones came before: equal runs have equal ranks."""

    def __init__(self, sessions):
        self.known = {0: 0}
        self.sessions = sessions

    def of(self, value):
        return self.known.setdefault(value, len(self.known))

    def alike(self, value):
        if isinstance(value, dict):
            value = dict(value)
            for name in ("czxid", "mzxid", "pzxid"):
                value[name] = self.of(value[name])
            value["same_time"] = value.pop("ctime") == value.pop("mtime") or value["version"] > 0
            value["owner"] = self.sessions.get(value["owner"], value["owner"])
            return {name: value[name] for name in sorted(value)}
        if isinstance(value, (list, tuple)):
            return [self.alike(part) for part in value]
        return value


class Side:
    """A server, two sessions, and what they have seen."""

    def __init__(self, server):
        self.server = server
        self.clients = [Client(server.port), Client(server.port)]
        self.clients[0].authenticate(b"bob:secret")
        sessions = {client.session: f"session {i}" for i, client in enumerate(self.clients)}
        self.ranks = Ranks(sessions)
        self.clients[0].create(ROOT)

    def ask(self, who, code, record):
        client = self.clients[who]
        reply = client.ask(code, record)
        other = self.clients[1 - who]
        other.ask(raw.PING, xid=raw.XID_PING)  # its events are here by then
        events = [[(event.type, event.path) for event in one.events] for one in self.clients]
        for one in self.clients:
            one.events.clear()
        return values(code, reply), events


@case(f"{REQUESTS} random requests are answered as ZooKeeper answers them (seed {SEED})")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("there is no ZooKeeper, or no java")
    with harness.Moonkeeper(*OPTIONS) as own, harness.ZooKeeper(*OPTIONS) as theirs:
        sides = [Side(own), Side(theirs)]
        dice = Dice(SEED)
        for i in range(REQUESTS):
            who = dice.random.randrange(2)
            code, record = dice.request()
            got, expected = (side.ask(who, code, record) for side in sides)
            if code == raw.EXISTS and got[0][0] == raw.NO_AUTH:
                continue  # as of 3.8.4
            got, expected = sides[0].ranks.alike(got), sides[1].ranks.alike(expected)
            equal(got, expected, f"request {i} of session {who}: operation {code}, {record!r}")


if __name__ == "__main__":
    harness.main()
