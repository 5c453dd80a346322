"""Histories of clients, and what is wrong with them.

    history = History()
    op = history.begin("ann", "set", "/a", value=b"1", version=-1)
    history.end(op, "ok", zxid=0x100000005, version=3)     # or another answer
    history.unknown(op)                                    # the connection broke: it may happen yet
    history.faults()                                       # sentences; none: nothing is wrong

A znode is a register with a version: create, set and delete, conditional ones too, and reads. What
is promised of it, and looked for:

  order       An order of the operations explains every answer, and an operation that ended before
              another began comes before it (linearizability: Herlihy, Wing, 1990). Found by trying, with
              what was tried remembered: Wing, Gong, 1993; Lowe, "Testing for linearizability", 2017.
              One znode at a time, which is enough for all of them. Reads are left out, but for those
              behind a sync that no deposed leader can have answered, and the last ones.
  zxids       An acknowledged write has a zxid that no other has, larger than those of all that were
              acknowledged before it began.
  reads       A read shows the znode as of the zxid in its reply: no acknowledged write at or before it
              is missing, none behind it is there.
  sessions    What a client is shown never goes back, at whatever server it is: so it reads what it wrote.
  syncs       What is read behind a sync has all that was acknowledged before the sync began.
  locks       Nobody is granted a lock before its last holder gave it up, or its session may have
              ended; fences grow.
  queues      What was put in is taken out once, or is still there; nothing else is.

Times are those of one clock. An operation of unknown outcome may happen at any later time, or never.
"""

import threading
import time
from collections import defaultdict, namedtuple

STEPS_MAX = 400_000  # of the search for an order, per znode. Histories with few open ends need hundreds.
FAULTS_MAX = 20      # of one kind; the first ones say it

UNKNOWN = "unknown"
WRITES = ("create", "set", "delete")
NEVER = float("inf")

Held = namedtuple("Held", "holder fence since until")  # of a lock


class Operation:
    """`answer`: "ok" or an error's name; UNKNOWN: nobody knows. `version`: of a write the condition
    (-1: none), of a read what came. `fresh`: a read that must be the last word, see `order`."""

    def __init__(self, number, client, kind, path, began, value, version):
        self.number, self.client, self.kind, self.path = number, client, kind, path
        self.began, self.ended = began, NEVER
        self.value, self.version = value, version
        self.answer, self.zxid, self.mzxid = UNKNOWN, 0, 0
        self.result = None  # the version that a write has made
        self.seen = 0       # the largest zxid that this client had seen when it began
        self.synced_from = None  # when the sync before this read began
        self.fresh = False

    def __repr__(self):
        what = "" if self.value is None else f" {self.value!r}"
        zxid = f" zxid {self.zxid:#x}" if self.zxid else ""
        return (f"#{self.number} {self.client}: {self.kind} {self.path}{what} version {self.version}"
                f" -> {self.answer}{'' if self.result is None else f' {self.result}'}{zxid}"
                f" [{self.began:.4f}, {self.ended:.4f}]")


# ---- A znode: None, or (value, version).


def step(state, op):
    """All (answer, next state, version made) that `op` may lead to: one."""
    if op.kind == "create":
        return ("ok", (op.value, 0), 0) if state is None else ("exists", state, None)
    if op.kind == "read":
        return ("none", state, None) if state is None else ("ok", state, state[1])
    if state is None:
        return "none", state, None
    if op.version not in (-1, state[1]):
        return "version", state, None
    if op.kind == "delete":
        return "ok", None, None
    return "ok", (op.value, state[1] + 1), state[1] + 1


def explains(state, op):
    """The state behind `op`, in a list; empty: its answer cannot be explained here."""
    answer, after, made = step(state, op)
    if op.answer == UNKNOWN:
        return [after]
    if answer != op.answer:
        return []
    if op.kind == "read":
        return [after] if state is None or (op.value, op.version) == state else []
    return [after] if op.result is None or op.result == made else []


def nexts(operations, done, state):
    """(place, state behind it) of each that may be next: no other one ended before it began."""
    limit, open_ones = NEVER, []
    for place, op in enumerate(operations):  # by their beginnings
        if op.began > limit:
            break
        if not done >> place & 1:
            limit = min(limit, op.ended)
            open_ones.append((place, op))
    for place, op in open_ones:
        if op.began <= limit:
            for after in explains(state, op):
                if op.answer != UNKNOWN or after != state:  # else it may as well never happen
                    yield place, after


def order_exists(operations):
    """Whether the operations on one znode have an order; None: not found within STEPS_MAX."""
    operations = sorted(operations, key=lambda op: op.began)
    certain = sum(1 << place for place, op in enumerate(operations) if op.answer != UNKNOWN)
    stack, tried = [(0, None)], set()
    while stack:
        done, state = stack.pop()
        if done & certain == certain:
            return True
        if (done, state) not in tried:
            tried.add((done, state))
            stack += [(done | 1 << place, after) for place, after in nexts(operations, done, state)]
        if len(tried) > STEPS_MAX:
            return None
    return False


def limited(faults):
    """The first of them."""
    found = []
    for fault in faults:
        if len(found) == FAULTS_MAX:
            found.append("... and more of this kind")
            break
        found.append(fault)
    return found


class History:
    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.lock = threading.Lock()
        self.operations = []
        self.seen = defaultdict(int)  # by client
        self.back = []                # sentences: what a client saw go back
        self.holds = defaultdict(list)
        self.put, self.taken = {}, defaultdict(list)  # element: acknowledged; element: who took it
        self.maybe_taken = set()
        self.left = None

    # ---- What clients say.

    def begin(self, client, kind, path, value=None, version=-1):
        with self.lock:
            op = Operation(len(self.operations), client, kind, path, self.clock(), value, version)
            op.seen = self.seen[client]
            self.operations.append(op)
        return op

    def end(self, op, answer, zxid=0, result=None, mzxid=0):
        with self.lock:
            op.ended, op.answer, op.zxid, op.result, op.mzxid = (self.clock(), answer, zxid, result,
                                                                 mzxid)
            self.saw(op.client, zxid, op)

    def read(self, op, value, version, zxid, mzxid=0, synced_from=None):
        """The end of a read; `value` None: there is no such znode."""
        op.value, op.version, op.synced_from = value, version, synced_from
        self.end(op, "none" if value is None else "ok", zxid, None, mzxid)

    def unknown(self, op):
        op.answer = UNKNOWN

    def saw(self, client, zxid, what):
        if zxid < self.seen[client]:
            self.back.append(f"a client that had seen {self.seen[client]:#x} was shown {zxid:#x}:"
                             f" {what}")
        self.seen[client] = max(self.seen[client], zxid)

    def held(self, lock, holder, fence, since, until):
        with self.lock:
            self.holds[lock].append(Held(holder, fence, since, until))

    def element_put(self, element, acknowledged):
        with self.lock:
            self.put[element] = acknowledged

    def element_taken(self, element, client):
        with self.lock:
            self.taken[element].append(client)

    def element_maybe_taken(self, element):
        """The connection broke."""
        with self.lock:
            self.maybe_taken.add(element)

    def elements_left(self, elements):
        self.left = list(elements)

    def counts(self):
        """How much there is to look at."""
        return {"writes": sum(op.kind in WRITES for op in self.operations),
                "reads": sum(op.kind == "read" for op in self.operations),
                "znodes": len({op.path for op in self.operations}),
                "locks held": [len(holds) for holds in self.holds.values()], "elements": len(self.put),
                "taken": len(self.taken)}

    # ---- What is wrong.

    def faults(self):
        writes = [op for op in self.operations if op.kind in WRITES and op.answer != UNKNOWN]
        found = []
        for check in (self.order_faults(), self.zxid_faults(writes), self.read_faults(writes),
                      self.back, self.sync_faults(writes), self.lock_faults(), self.queue_faults()):
            found += limited(check)
        return found

    def order_faults(self):
        by_path = defaultdict(list)
        for op in self.operations:
            if op.kind in WRITES or op.fresh:
                by_path[op.path].append(op)
        for path, operations in by_path.items():
            exists = order_exists(operations)
            if not exists:
                why = "none was found in time" if exists is None else "there is none"
                yield (f"no order explains what was done to {path} ({why}):\n    " +
                       "\n    ".join(map(repr, operations)))

    def zxid_faults(self, writes):
        made = [op for op in writes if op.answer == "ok"]
        by_zxid = {}
        for op in made:
            other = by_zxid.setdefault(op.zxid, op)
            if other is not op:
                yield f"two writes have one zxid: {other}, {op}"
        # By their beginnings, with the largest zxid of all that had ended by then.
        ends = sorted(made, key=lambda op: op.ended)
        last, at = None, 0
        for op in sorted(made, key=lambda op: op.began):
            while at < len(ends) and ends[at].ended < op.began:
                if last is None or ends[at].zxid > last.zxid:
                    last = ends[at]
                at += 1
            if last is not None and last.zxid >= op.zxid:
                yield f"a write has a smaller zxid than one that was acknowledged before: {last}, {op}"

    def read_faults(self, writes):
        by_path, maybe_gone = defaultdict(list), defaultdict(list)
        for op in writes:
            if op.answer == "ok":
                by_path[op.path].append(op)
        for op in self.operations:
            if op.kind == "delete" and op.answer == UNKNOWN:
                maybe_gone[op.path].append(op)
        for operations in by_path.values():
            operations.sort(key=lambda op: op.zxid)
        for op in self.operations:
            if op.kind == "read" and op.answer != UNKNOWN:
                gone = any(other.began < op.ended for other in maybe_gone[op.path])
                yield from read_fault(op, by_path[op.path], gone)

    def sync_faults(self, writes):
        ends = sorted((op for op in writes if op.answer == "ok"), key=lambda op: op.ended)
        last, at = None, 0
        reads = [op for op in self.operations if op.synced_from is not None]
        for op in sorted(reads, key=lambda op: op.synced_from):
            while at < len(ends) and ends[at].ended < op.synced_from:
                if last is None or ends[at].zxid > last.zxid:
                    last = ends[at]
                at += 1
            if op.answer != UNKNOWN and last is not None and op.zxid < last.zxid:
                yield f"what was acknowledged before a sync is not seen behind it: {last}, {op}"

    def lock_faults(self):
        for lock, holds in self.holds.items():
            holds = sorted(holds, key=lambda held: held.since)
            for one, other in zip(holds, holds[1:]):
                if other.since < one.until:
                    yield f"two hold {lock}: {one}, {other}"
                if other.fence <= one.fence:
                    yield f"the fence of {lock} does not grow: {one}, {other}"

    def queue_faults(self):
        for element, takers in self.taken.items():
            if len(takers) > 1:
                yield f"{element!r} was taken {len(takers)} times, by {takers}"
            if element not in self.put:
                yield f"{element!r} was taken, by {takers}, and nobody has put it there"
        if self.left is None:
            return
        for element in self.left:
            if element in self.taken:
                yield f"{element!r} was taken, and is still there"
            if element not in self.put:
                yield f"{element!r} is there, and nobody has put it there"
        somewhere = set(self.left) | set(self.taken) | self.maybe_taken
        for element, acknowledged in self.put.items():
            if acknowledged and element not in somewhere:
                yield f"{element!r} was put there, and is lost"


def read_fault(read, writes, gone):
    """Of a read, beside the acknowledged writes of its znode in the order of their zxids. `gone`:
    the znode may have been deleted without anybody having been told."""
    before = [op for op in writes if op.zxid <= read.zxid]
    last = before[-1] if before else None
    if read.answer == "none":
        if last is not None and last.kind != "delete" and not gone:
            yield f"a read misses what was there: {last}, {read}"
        return
    if last is not None and read.mzxid < last.zxid:
        yield f"a read misses a write at or before its zxid: {last}, {read}"
    if read.mzxid > read.zxid:
        yield f"a read shows what is behind its zxid: {read}"
    for op in writes:
        if op.zxid == read.mzxid and (op.value, op.result) != (read.value, read.version):
            yield f"a read shows another value than was written: {op}, {read}"
