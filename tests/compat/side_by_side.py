"""Two servers that are given the same history: what each of them says, and where they differ.

    sides = Sides(own_port, their_port)
    found = sides.difference(steps)          # None, or a Difference
    sides.shrunk(steps, found)               # a shorter history with a difference in it

A run of a history starts with a znode and with sessions of its own, so that runs do not meet.
Zxids are compared as their distance from the zxid of that znode, times as belonging to a zxid,
owners as sessions of the history. Whatever has no order in ZooKeeper (names in a listing, the
ephemerals that a session leaves behind) is sorted.
"""

import itertools
import time
from collections import namedtuple

import random_history
import raw_client as raw
from random_history import ROOT, Step
from raw_client import Client, Closed, Event, Reader

ANSWER_SECONDS_MAX = 60
SHRINK_SECONDS_MAX = 120

Difference = namedtuple("Difference", "number step what own theirs")


class Fail(Exception):
    """A server did what none may: no answer in time, or the wrong number of answers."""


class Session:
    """One session of a history: its connection, if it has one, and what it keeps without."""

    def __init__(self):
        self.client = None
        self.id = 0
        self.password = bytes(16)
        self.zxid = 0

    def open(self, port, password=None):
        client = Client(port, timeout_ms=60000, session=self.id, zxid_seen=self.zxid,
                        password=self.password if password is None else password)
        if client.session == 0:
            client.socket.close()
            return False
        client.zxid = self.zxid
        self.client, self.id, self.password = client, client.session, client.password
        return True

    def leave(self):
        """The connection ends here; the session stays."""
        if self.client is not None:
            self.zxid = self.client.zxid
            self.client.socket.close()
            self.client = None


class Run:
    """One history on one server."""

    def __init__(self, port, maker, root):
        self.port = port
        self.root = root
        reply = maker.ask(raw.CREATE, raw.create(root))
        if reply.error != 0:
            raise Fail(f"{root} was not made: {reply.error}")
        self.base = reply.zxid
        self.sessions = [Session() for _ in range(random_history.SESSIONS)]
        self.owners = {0: 0}
        self.times = {}

    # --- Answers as values that mean the same on both servers.

    def zxid(self, zxid):
        return zxid - self.base if zxid > 0 else zxid

    def time_of(self, zxid, stamp):
        """All that one transaction changes has one time."""
        return "its time" if self.times.setdefault(zxid, stamp) == stamp else "another time"

    def stat(self, stat):
        return (self.zxid(stat.czxid), self.zxid(stat.mzxid), self.time_of(stat.czxid, stat.ctime),
                self.time_of(stat.mzxid, stat.mtime), stat.version, stat.cversion, stat.aversion,
                self.owners.get(stat.owner, hex(stat.owner)), stat.length, stat.children,
                self.zxid(stat.pzxid))

    def acl(self, entries):
        """What `auth` stands for comes in any order."""
        digests = sum(scheme == "digest" for _, scheme, _ in entries)
        return sorted(entries) if digests > 1 else entries

    def part(self, value):
        """Of a multi."""
        if isinstance(value, raw.Stat):
            return self.stat(value)
        if isinstance(value, tuple):
            return tuple(map(self.part, value))
        return sorted(value) if isinstance(value, list) else value

    def body(self, code, reader):
        if code in (raw.CREATE2, raw.CREATE_CONTAINER, raw.CREATE_TTL):
            value = reader.string(), self.stat(reader.stat())
        elif code in (raw.SET_DATA, raw.SET_ACL, raw.EXISTS):
            value = self.stat(reader.stat())
        elif code == raw.GET_DATA:
            value = reader.buffer(), self.stat(reader.stat())
        elif code in (raw.GET_CHILDREN, raw.GET_EPHEMERALS):
            value = sorted(reader.strings())
        elif code == raw.GET_CHILDREN2:
            value = sorted(reader.strings()), self.stat(reader.stat())
        elif code == raw.GET_ACL:
            value = self.acl(reader.acl()), self.stat(reader.stat())
        elif code in (raw.MULTI, raw.MULTI_READ):
            value = [(kind, self.part(one)) for kind, one in reader.multi()]
        elif code == raw.WHO_AM_I:
            value = sorted((reader.string(), reader.string()) for _ in range(reader.i32()))
        else:
            value, reader.at = reader.data, len(reader.data)
        reader.end()
        return value

    def reply(self, code, reply):
        if reply.error == 0:
            body = self.body(code, Reader(reply.body))
        else:
            body = reply.body  # of an error there is none, but for an illegal multiRead
        return ("reply", code, self.zxid(reply.zxid), reply.error, body)

    # --- Steps.

    def do(self, step):
        """What all sessions see of it: a list a session. The first is that of the step's own."""
        session = self.sessions[step.session]
        own = getattr(self, step.action)(session, step.requests)
        ends = bool(step.requests) or step.action == "close"
        closing = step.action == "close" or any(one.code == raw.CLOSE for one in step.requests)
        seen = [own]
        for other in self.sessions:
            if other is not session and other.client is not None and ends:
                events = self.events(other)
                seen.append(sorted(events) if closing else events)
        return seen

    def events(self, session):
        """Whatever has come: the answer to a ping is behind it."""
        session.client.send(raw.PING, xid=raw.XID_PING)
        log = []
        while True:
            got = session.client.receive_any(ANSWER_SECONDS_MAX)
            if not isinstance(got, Event):
                return log
            log.append(("event", got.type, got.path))

    def connect(self, session):
        if session.client is None:
            if not session.open(self.port):
                raise Fail("a session is gone that has not been closed")
            if session.id not in self.owners:
                self.owners[session.id] = f"session {len(self.owners)}"

    def ask(self, session, requests):
        self.connect(session)
        client = session.client
        expected = {}
        frames = []
        for request in requests:
            record = request.record.replace(ROOT, self.root)
            if request.code is None:
                frames.append(record)
                continue
            if request.seen is not None:
                record = raw.i64(max(client.zxid - request.seen, 0)) + record
            if request.code == raw.AUTH:
                xid = raw.XID_AUTH
            else:
                client.xid += 1
                xid = client.xid
                expected[xid] = request.code
            frames.append(raw.i32(8 + len(record)) + raw.i32(xid) + raw.i32(request.code) + record)
        client.send_bytes(b"".join(frames))
        return self.answers(session, expected, len(frames))

    def answers(self, session, expected, count):
        """In the order in which they come, but that of an `auth` may overtake others."""
        log, auths = [], []
        left = iter(expected.items())
        while count > 0:
            try:
                got = session.client.receive_any(ANSWER_SECONDS_MAX)
            except Closed:
                session.leave()
                return auths + log + ["closed"]
            if isinstance(got, Event):
                log.append(("event", got.type, got.path))
                continue
            count -= 1
            if got.xid == raw.XID_AUTH:
                auths.append(self.reply(raw.AUTH, got))
            else:
                xid, code = next(left)
                if got.xid != xid:
                    raise Fail(f"the reply to {got.xid} instead of that to {xid}")
                log.append(self.reply(code, got))
            if self.ends(got):
                log.append("closed" if session.client.closed() else "left open")
                session.leave()
                return auths + log
        return auths + log

    @staticmethod
    def ends(reply):
        """Whether the connection ends with it."""
        return reply.error == raw.AUTH_FAILED or (reply.error, reply.zxid) == (raw.UNIMPLEMENTED,
                                                                              -1)

    def drop(self, session, _):
        session.leave()
        return []

    def steal(self, session, _):
        self.connect(session)
        old, session.client = session.client, None
        session.zxid = old.zxid
        self.connect(session)
        closed = old.closed()
        old.socket.close()
        return ["closed" if closed else "left open"]

    def refuse(self, session, _):
        if session.client is not None or session.id == 0:
            return []
        return ["granted" if session.open(self.port, b"not its password") else "refused"]

    def close(self, session, _):
        self.connect(session)
        session.client.send(raw.CLOSE)
        log = []
        while True:
            got = session.client.receive_any(ANSWER_SECONDS_MAX)
            if not isinstance(got, Event):
                break
            log.append(("event", got.type, got.path))
        log = sorted(log) + [self.reply(raw.CLOSE, got)]
        log.append("closed" if session.client.closed() else "left open")
        session.leave()
        session.id, session.password = 0, bytes(16)
        return log

    def finish(self):
        """No session outlives the run."""
        for session in self.sessions:
            if session.id != 0:
                self.connect(session)
                self.close(session, ())


def as_3_8_0(step, seen):
    """The step for a ZooKeeper 3.8.0, given what a later release answered: `exists` has come to
    ask for the right to read. 3.8.0 does so for getData, which answers alike if it is missing."""
    replies = iter([one for one in seen[0] if one[0] == "reply" and one[1] != raw.AUTH])
    requests = []
    for request in step.requests:
        reply = next(replies, None) if request.code not in (raw.AUTH, None) else None
        if reply and request.code == raw.EXISTS and reply[3] == raw.NO_AUTH:
            request = request._replace(code=raw.GET_DATA)
        requests.append(request)
    return step._replace(requests=requests)


def made_alike(own, theirs):
    """An answer of ours as 3.8.0 gives it."""
    if own == theirs or own[0] != "reply" or theirs[0] != "reply":
        return own
    _, code, zxid, error, body = own
    if code == raw.EXISTS and error == raw.NO_AUTH:
        return ("reply", raw.GET_DATA, zxid, error, body)
    if code == raw.CHECK_WATCHES and error == raw.NO_WATCHER:
        # 3.8.0 says that there is a watch when another session has one.
        return ("reply", code, zxid, theirs[3], body)
    if code == raw.MULTI and error == 0 and theirs[3] == 0 and len(body) == len(theirs[4]):
        # In a multi 3.8.0 answers create2 as create.
        body = [(raw.CREATE, value[0]) if (kind, other[0]) == (raw.CREATE2, raw.CREATE)
                else (kind, value) for (kind, value), other in zip(body, theirs[4])]
        return ("reply", code, zxid, error, body)
    return own


class Sides:
    """Ours and theirs. `same_release`: no answer is made alike."""

    def __init__(self, own_port, their_port, same_release=False):
        self.ports = own_port, their_port
        self.same_release = same_release
        self.makers = [Client(port, timeout_ms=60000) for port in self.ports]
        self.roots = (b"/d%04d" % number for number in itertools.count(1))

    def difference(self, steps):
        """The first, or None."""
        root = next(self.roots)
        runs = [Run(port, maker, root) for port, maker in zip(self.ports, self.makers)]
        found = None
        for number, step in enumerate(steps):
            unlike = self.unlike(runs, step)
            if unlike is not None:
                found = Difference(number, step, *unlike)
                break
        for run in runs:
            ended = self.attempt(run, None)
            if found is None and isinstance(ended, str):
                raise Fail(f"the sessions of a history did not end: {ended}")
        return found

    def unlike(self, runs, step):
        """What, and how it is on both sides; None: they are alike."""
        own = self.attempt(runs[0], step)
        if isinstance(own, str):
            return "what its session sees", own, "(not asked)"
        if not self.same_release:
            step = as_3_8_0(step, own)
        theirs = self.attempt(runs[1], step)
        if isinstance(theirs, str) or len(own) != len(theirs):
            return "what its session sees", own, theirs
        for who, (one, other) in enumerate(zip(own, theirs)):
            what = "what its session sees" if who == 0 else "what another session sees"
            if not self.same_release and len(one) == len(other):
                one = list(map(made_alike, one, other))
            if one != other:
                at = next((i for i, pair in enumerate(zip(one, other)) if pair[0] != pair[1]),
                          min(len(one), len(other)))
                return f"{what}, from its number {at} on", one[at:at + 3], other[at:at + 3]
        return None

    @staticmethod
    def attempt(run, step):
        """What is seen of a step (None: the end), or what went wrong as a string."""
        try:
            return run.do(step) if step else run.finish()
        except (Fail, Closed, OSError, AssertionError) as error:
            return f"{type(error).__name__}: {error}"

    # --- A shorter history: delta debugging (Zeller, Hildebrandt, 2002), without complements.

    def shrunk(self, steps, found):
        """With a difference, not always the same; as short as time permits. None: there is none
        when it is played again."""
        steps = steps[:found.number + 1]
        if self.difference(steps) is None:
            return None
        atoms = [(number, step, request) for number, step in enumerate(steps)
                 for request in (step.requests or [None])]
        deadline = time.monotonic() + SHRINK_SECONDS_MAX
        size = len(atoms) // 2
        while size > 0 and time.monotonic() < deadline:
            begin, progress = 0, False
            while begin < len(atoms) and time.monotonic() < deadline:
                fewer = atoms[:begin] + atoms[begin + size:]
                if fewer and self.difference(assembled(fewer)) is not None:
                    atoms, progress = fewer, True
                else:
                    begin += size
            if size > 1 or not progress:
                size //= 2
        return random_history.without_nothing(assembled(atoms))


def assembled(atoms):
    """Steps again, of (its number, the step, one of its requests) each."""
    steps = []
    for _, group in itertools.groupby(atoms, key=lambda atom: atom[0]):
        group = list(group)
        step = group[0][1]
        steps.append(Step(step.action, step.session,
                          [request for _, _, request in group if request is not None]))
    return steps
