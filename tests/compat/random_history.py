"""Random histories for the differential test: what a few sessions do, as plain values.

A history is a list of steps (action, session, requests), in which a session is a small number:

    ask     send the requests at once, and take their replies; connects first if need be
    drop    the connection breaks; the session stays, and the next `ask` goes back to it
    steal   another connection takes the session over from the one that is open
    refuse  a connection with the wrong password; of a session that has no connection
    close   the session ends

So a history from which steps or requests have been taken out is a history again, which is how one
is shrunk. It is written to a file as a Python literal a step, and read back.

What is made has not to succeed: names are few, so that they meet. Left out is what ZooKeeper 3.8.0
does by accident, or Moonkeeper otherwise by intention: see README.md.
"""

import ast
import base64
import hashlib
import random
from collections import namedtuple

import raw_client as raw
from raw_client import ALL, OPEN

ROOT = b"/d0000"  # each run of a history puts a root of its own in its place, as long as this
SESSIONS = 4
BURST_MAX = 40
MODES = (None, None, 0, 1)  # of watches: standard, standard, persistent, recursive

# `record` begins with a zxid that lies `seen` behind the last that the session has seen, if there
# is one. Without a code the record is sent as it is, without the length of a frame.
Request = namedtuple("Request", "code record seen", defaults=(b"", None))
Step = namedtuple("Step", "action session requests", defaults=((),))


def digest_id(credentials):
    user = credentials.split(b":")[0].decode()
    return user + ":" + base64.b64encode(hashlib.sha1(credentials).digest()).decode()


BOB, ANN, SUPER = b"bob:secret", b"ann:xyz", b"super:secret"
CREDENTIALS = [BOB, BOB, ANN, SUPER, b"nocolon", b""]
REFUSED_AUTH = [("nosuch", b"x"), ("world", b"anyone"), ("super", b""), ("digest", None)]
ACLS = [
    [(ALL, "auth", "")], [(ALL, "auth", ""), (raw.READ, "world", "anyone")],
    [(raw.READ, "world", "anyone")], [(ALL & ~raw.READ, "world", "anyone")],
    [(ALL, "digest", digest_id(BOB))],
    [(raw.READ, "digest", digest_id(BOB)), (ALL, "digest", digest_id(ANN))],
    [(raw.READ | raw.CREATE_CHILD | raw.DELETE_CHILD, "world", "anyone"),
     (ALL, "ip", "127.0.0.1/8")],
    [(raw.ADMIN, "world", "anyone")], [(raw.WRITE, "ip", "127.0.0.1"), (ALL, "ip", "10.1.2.3")],
    [(ALL, "digest", digest_id(BOB)), (ALL, "digest", digest_id(BOB))],
    [(0, "world", "anyone")], [(1 << 30, "world", "anyone")]]
BAD_ACLS = [
    [], None, [(ALL, "nosuch", "x")], [(ALL, "digest", "bob")], [(ALL, "ip", "x")],
    [(ALL, "world", "nobody")], [(ALL, "super", "")], [(ALL, "ip", "127.0.0.1/33")],
    [(ALL, None, "x")], OPEN + [(ALL, "digest", "a:b:c")]]

# Nothing is refused: 3.8.0 counts what has been applied, and not what is pipelined.
LIMITS = [b"count=-1,bytes=-1", b"count=3,bytes=-1", b"count=-1,bytes=100",
          b"count=5,bytes=200=;byteHardLimit=300;countHardLimit=7"]


def mode_of(session, path):
    """The mode that a session's watches of a path have. 3.8.0 keeps one mode a path, that of the
    watch set last, so here each path has one for good."""
    path = path.encode() if isinstance(path, str) else path
    return MODES[(session + sum(path[len(ROOT):])) % len(MODES)]


class Dice:
    """What to do next, from a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.session = 0
        self.in_multi = False
        # Histories differ in kind, not only in detail: one is all watches, another all multis.
        self.kinds = [(weight * self.random.choice((0.3, 1, 3)), kind) for weight, kind in (
            (34, self.write), (6, self.multi), (3, self.multi_of_a_family), (34, self.read),
            (8, self.read_more), (4, self.multi_read), (5, self.add_watch),
            (4, self.remove_watches), (2, self.set_watches), (4, self.quota))]
        self.names = self.random.choice(("a", "ab", "aabbc", "aabbc", "abcdefgh"))
        self.depths = self.random.choice(((1,), (1, 1, 2, 2, 2, 3), (1, 2, 2, 3, 3, 4)))
        self.quotas = self.random.choice((("",), ("/a", "/b"), ("/a/a", "/a/b")))
        self.burst_mean = self.random.choice((1, 5, 5, 12))

    def chance(self, probability):
        return self.random.random() < probability

    def choice(self, *weighted):
        """One of the values of (weight, value) pairs."""
        return self.random.choices([value for _, value in weighted],
                                   [weight for weight, _ in weighted])[0]

    # --- What requests are made of.

    def path(self):
        path = ROOT.decode() + "".join("/" + self.random.choice(self.names)
                                       for _ in range(self.random.choice(self.depths)))
        if self.chance(0.15):
            path += "-%010d" % int(self.random.expovariate(0.2))
        return path

    def bad_path(self):
        return self.random.choice((
            None, "a",
            self.path() + self.random.choice(("/", "//x", "/.", "/..", "/./x", "/...", "/\x01",
                                              "\0", "/\ufffd", "/\x7f", "/\ue000", "/\u4e2d", " ")),
            self.path().encode() + self.random.choice((b"\xff", b"/\xc0\x80", b"/\xf0\x9f\x98\x80",
                                                       b"/\xed\xa0\x80"))))

    def some_path(self):
        """A null path in a multi 3.8.0 takes for an error of its own."""
        path = self.bad_path() if self.chance(0.04) else self.path()
        return self.path() if path is None and self.in_multi else path

    def reserved_path(self):
        """To make and to delete: what others see of these does not start afresh with a history."""
        return self.random.choice(("", "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"))

    def path_for(self, *modes):
        """Of which this session's watches have one of the modes."""
        while True:
            path = ROOT.decode() if self.chance(0.05) else self.path()
            if mode_of(self.session, path) in modes:
                return path

    def version(self):
        return self.choice((75, -1), (10, 0), (5, 1), (4, 2), (3, 3), (2, 7), (1, -2))

    def data(self):
        return self.random.choice((None, b"", b"x", b"data", b"y" * 127, b"z" * 128, b"w" * 129,
                                   b"y" * 3000))

    def acl(self):
        return self.random.choice(self.choice((80, [OPEN]), (16, ACLS), (4, BAD_ACLS)))

    # --- Writes.

    def create(self):
        code = self.random.choice((raw.CREATE, raw.CREATE, raw.CREATE2, raw.CREATE_CONTAINER,
                                   raw.CREATE_TTL))
        flags, ttl = self.random.choice((0, 0, 0, 0, 1, 1, 2, 3, 4)), None
        if code == raw.CREATE_CONTAINER:
            flags = self.random.choice((4, 4, 4, 0))
        elif code == raw.CREATE_TTL:
            flags = self.random.choice((5, 6))
            ttl = self.random.choice((10**9, 10**10, 0xffffffffff))
        if not self.in_multi and self.chance(0.05):
            flags = self.random.choice((5, 6, 7, -1, 1 << 20, 4, 0))
            ttl = ttl and self.random.choice((0, 1 << 40) if flags in (5, 6) else (0, 10**9))
        path = self.some_path()
        if flags == 0 and self.chance(0.01):
            path = self.reserved_path()
        if flags in (2, 3, 6) and path:
            path += self.random.choice((b"-", b"-", b"-", b"/", b"/.") if isinstance(path, bytes)
                                       else ("-", "-", "-", "/", "/."))
        return Request(code, raw.create(path, self.data(), self.acl(), flags, ttl))

    def delete(self):
        path = self.reserved_path() if self.chance(0.01) else self.some_path()
        return Request(raw.DELETE, raw.delete(path, self.version()))

    def set_data(self):
        return Request(raw.SET_DATA, raw.set_data(self.some_path(), self.data(), self.version()))

    def set_acl(self):
        return Request(raw.SET_ACL, raw.set_acl(self.some_path(), self.acl(), self.version()))

    def check(self):
        return Request(raw.CHECK, raw.check(self.some_path(), self.version()))

    def multi(self):
        self.in_multi = True
        operations = []
        for _ in range(self.random.choice((0, 1, 1, 2, 2, 3, 4))):
            operations.append(self.choice((5, self.create),
                                          (2, self.delete), (3, self.set_data), (2, self.check))())
        if self.chance(0.04):
            operations.insert(self.random.randrange(len(operations) + 1), self.choice(
                (1, self.set_acl), (1, self.read), (1, lambda: Request(raw.MULTI, raw.multi())),
                (1, lambda: Request(99, b"")))())
        self.in_multi = False
        return Request(raw.MULTI, raw.multi(*[(one.code, one.record) for one in operations]))

    def multi_of_a_family(self):
        """One that succeeds more often: what it needs it makes, on the way."""
        path = self.path()
        chain = [(raw.CREATE, raw.create(path + "/m", self.data())),
                 (raw.CREATE2, raw.create(path + "/m/s-", self.data(), self.acl(), 2)),
                 (raw.CREATE, raw.create(path + "/m/s-", flags=3)),
                 (raw.SET_DATA, raw.set_data(path + "/m", self.data(), 0)),
                 (raw.SET_DATA, raw.set_data(path + "/m", self.data(), 1)),
                 (raw.CHECK, raw.check(path + "/m", 2)),
                 (raw.DELETE, raw.delete(path + "/m", self.version()))]
        kept = [one for one in chain if self.chance(0.8)]
        return Request(raw.MULTI, raw.multi(*kept))

    # --- Quotas: below /zookeeper/quota, and so with names of their own for each run.

    def quota(self):
        """Both znodes of a quota come and go together, and none lies within another: 3.8.0 does not
        keep the usage of one without limits, nor adds what an inner one that goes has counted."""
        root = "/zookeeper/quota" + ROOT.decode() + self.random.choice(self.quotas)
        limits, stats = root + "/zookeeper_limits", root + "/zookeeper_stats"
        text = self.random.choice(LIMITS)
        return self.choice(
            (8, Request(raw.GET_DATA, raw.read(stats))),
            (2, Request(raw.CREATE, raw.create(root))),
            (4, Request(raw.MULTI, raw.multi((raw.CREATE, raw.create(limits, text)),
                                             (raw.CREATE, raw.create(stats, b"count=0,bytes=0"))))),
            (1, Request(raw.SET_DATA, raw.set_data(limits, text))),
            (1, Request(raw.GET_DATA, raw.read(limits))),
            (0.5, Request(raw.MULTI, raw.multi((raw.DELETE, raw.delete(stats)),
                                               (raw.DELETE, raw.delete(limits))))))

    # --- Reads and watches.

    def read(self):
        code = self.random.choice((raw.EXISTS, raw.GET_DATA, raw.GET_DATA, raw.GET_CHILDREN,
                                   raw.GET_CHILDREN2))
        if self.chance(0.45):
            return Request(code, raw.read(self.path_for(None), True))
        return Request(code, raw.read(self.some_path()))

    def read_more(self):
        code = self.random.choice((raw.GET_ACL, raw.GET_ACL, raw.GET_ALL_CHILDREN_NUMBER,
                                   raw.GET_EPHEMERALS, raw.SYNC, raw.WHO_AM_I))
        path = self.some_path()
        if code in (raw.GET_EPHEMERALS, raw.GET_ALL_CHILDREN_NUMBER):
            path = self.random.choice((path, ROOT, ROOT + b"/a")) if path else ROOT
        if code == raw.SYNC and isinstance(path, bytes):
            path = None
        return Request(code, b"" if code == raw.WHO_AM_I else raw.string(path))

    def multi_read(self):
        self.in_multi = True
        operations = [(self.random.choice((raw.GET_DATA, raw.GET_CHILDREN)),
                       raw.read(self.some_path(), self.chance(0.2)))
                      for _ in range(self.random.randrange(5))]
        self.in_multi = False
        if self.chance(0.05):
            one = self.choice((1, self.set_data),
                              (1, lambda: Request(raw.EXISTS, raw.read(self.path()))))()
            operations.insert(self.random.randrange(len(operations) + 1), one[:2])
        return Request(raw.MULTI_READ, raw.multi(*operations))

    def add_watch(self):
        if self.chance(0.05):
            return Request(raw.ADD_WATCH, raw.string(self.path()) + raw.i32(9))
        path = self.path_for(0, 1)
        return Request(raw.ADD_WATCH, raw.string(path) + raw.i32(mode_of(self.session, path)))

    def remove_watches(self):
        """3.8.0 takes halves of persistent watches away, where later releases do not."""
        code = self.random.choice((raw.REMOVE_WATCHES, raw.REMOVE_WATCHES, raw.CHECK_WATCHES))
        path = self.path()
        kinds = (1, 2, 3, 3, 9, 0) if mode_of(self.session, path) is None else (3,)
        return Request(code, raw.string(path) + raw.i32(self.random.choice(kinds)))

    def set_watches(self):
        lists = [[self.path_for(*modes) for _ in range(self.random.randrange(4))]
                 for modes in ((None,), (None,), (None,), (0,), (1,))]
        seen = self.random.choice((0, 0, 1, 5, 20, 1000))
        if self.chance(0.5):
            return Request(raw.SET_WATCHES, raw.set_watches(0, *lists[:3])[8:], seen)
        return Request(raw.SET_WATCHES2, raw.set_watches(0, *lists)[8:], seen)

    def authenticate(self):
        return Request(raw.AUTH, raw.auth("digest", self.random.choice(CREDENTIALS))
                       if self.chance(0.9) else raw.auth("ip", b""))

    # --- Records that are no good.

    def damaged(self, request):
        """Cut off, with a byte changed, or with bytes behind it. Not what would ask for something
        that is left out."""
        record = request.record
        kind = self.random.randrange(3)
        if kind == 0 and record:
            return request._replace(record=record[:self.random.randrange(len(record))])
        if kind == 1 and request.code in (raw.GET_ACL, raw.DELETE, raw.SET_DATA, raw.SET_ACL,
                                          raw.CREATE, raw.CREATE2) and len(record) > 8:
            at = self.random.randrange(min(len(record), 60))
            return request._replace(
                record=record[:at] + bytes([self.random.choice((0, 1, 0x7f, 0x80, 0xff))]) +
                record[at + 1:])
        return request._replace(record=record + b"\x00\xff" * self.random.randrange(1, 4))

    def fatal(self):
        """What ends the connection."""
        if self.chance(0.4):
            return Request(raw.AUTH, raw.auth(*self.random.choice(REFUSED_AUTH)))
        if self.chance(0.6):
            return Request(self.random.choice((0, -1, 10, 99, 23)), b"")
        return Request(None, self.random.choice((
            raw.i32(0), raw.i32(-1), raw.i32(1 << 30), raw.i32(4) + raw.i32(1),
            raw.i32(7) + b"\0" * 7)))

    # --- Steps.

    def request(self):
        request = self.choice(*self.kinds)()
        watches = request.code in (raw.ADD_WATCH, raw.SET_WATCHES, raw.SET_WATCHES2,
                                   raw.REMOVE_WATCHES, raw.CHECK_WATCHES)
        if not watches and self.chance(0.03):
            return self.damaged(request)
        return request

    def write(self):
        return self.choice((45, self.create), (20, self.delete), (25, self.set_data),
                           (10, self.set_acl))()

    def burst(self, size):
        """Behind a setACL come reads: 3.8.0 checks writes there against the list before it."""
        requests = [self.authenticate()] if self.chance(0.02) else []
        changed = False
        while len(requests) < size:
            request = self.request() if not changed else self.choice(
                (3, self.read), (1, self.read_more), (1, self.multi_read))()
            changed = changed or request.code == raw.SET_ACL
            requests.append(request)
        return requests

    def welcome(self):
        """What clients send first on a new connection."""
        requests = [self.authenticate() for _ in range(self.random.choice((0, 1, 1, 2)))]
        if self.chance(0.7):
            requests.append(self.set_watches())
        return requests

    def steps(self):
        """What one session does next: a step or two."""
        self.session = self.random.randrange(SESSIONS)
        size = min(BURST_MAX, 1 + int(self.random.expovariate(1 / self.burst_mean)))
        action = self.choice((92, "ask"), (2, "drop"), (1, "steal"), (1.2, "close"), (1, "fatal"),
                             (0.5, "refuse"))
        if action == "ask":
            return [Step("ask", self.session, self.burst(size))]
        steps = [Step("ask", self.session, [self.fatal()]) if action == "fatal"
                 else Step(action, self.session)]
        if action == "refuse":
            steps.insert(0, Step("drop", self.session))
        if action in ("steal", "close") or self.chance(0.5):
            steps.append(Step("ask", self.session, self.welcome() + self.burst(size)))
        return steps


def history(seed, requests_count):
    dice = Dice(seed)
    steps = [Step("ask", session, [Request(raw.AUTH, raw.auth("digest", credentials))])
             for session, credentials in enumerate((BOB, ANN, SUPER))]
    count = 0
    while count < requests_count:
        more = dice.steps()
        steps += more
        count += sum(len(step.requests) for step in more)
    return steps


def without_nothing(steps):
    """Steps that ask for nothing say nothing."""
    return [step for step in steps if step.action != "ask" or step.requests]


def write(steps, path):
    with open(path, "w", encoding="ascii") as file:
        for step in steps:
            file.write(ascii((step.action, step.session, [tuple(one) for one in step.requests])))
            file.write("\n")


def load(path):
    with open(path, encoding="ascii") as file:
        rows = [ast.literal_eval(line) for line in file if line.strip()]
    return [Step(action, session, [Request(*one) for one in requests])
            for action, session, requests in rows]
