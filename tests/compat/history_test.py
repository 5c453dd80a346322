#!/usr/bin/env python3
"""The checker of histories finds what is planted in them, and nothing in those that are right."""

import itertools
import random

import harness
from harness import case, equal, true
from history import History, order_exists


class Story:
    """A history with a clock of its own: each event is a moment later."""

    def __init__(self):
        self.now = itertools.count()
        self.history = History(clock=lambda: next(self.now))
        self.zxids = itertools.count(1)

    def begin(self, client, kind, path="/a", value=None, version=-1):
        return self.history.begin(client, kind, path, value, version)

    def end(self, op, answer="ok", result=None, zxid=None):
        zxid = next(self.zxids) if zxid is None else zxid
        self.history.end(op, answer, zxid, result)
        return zxid

    def did(self, client, kind, value=None, version=-1, answer="ok", result=None, zxid=None):
        return self.end(self.begin(client, kind, "/a", value, version), answer, result, zxid)

    def reads(self, client, value, version, zxid, mzxid, synced_from=None, fresh=False):
        op = self.begin(client, "read")
        op.fresh = fresh
        self.history.read(op, value, version, zxid, mzxid, synced_from)

    def finds(self, *words):
        """One fault for each of these, with the words in it."""
        found = self.history.faults()
        equal(len(found), len(words), "\n".join(found))
        for fault, word in zip(found, words):
            true(word in fault, f"{word!r} in {fault!r}")


@case("a history in which all is right has no faults")
def _():
    story = Story()
    created = story.did("ann", "create", b"1", result=0)
    story.did("bob", "create", b"2", answer="exists")
    changed = story.did("bob", "set", b"2", version=0, result=1)
    story.did("ann", "set", b"3", version=0, answer="version")
    story.reads("ann", b"2", 1, changed + 1, changed)
    gone = story.did("ann", "delete", version=1)
    story.reads("ann", None, None, gone, 0)
    story.did("ann", "set", b"3", answer="none")
    story.reads("bob", None, None, gone, 0, fresh=True)
    true(created < changed < gone, "zxids grow")
    story.finds()


@case("operations that overlap may have happened in either order")
def _():
    story = Story()
    one, two = story.begin("ann", "create", value=b"1"), story.begin("bob", "delete")
    story.end(one, result=0)
    story.end(two)
    story.reads("ann", None, None, 9, 0, fresh=True)
    story.finds()


@case("an acknowledged write that is not there at the end is found")
def _():
    story = Story()
    story.did("ann", "create", b"1", result=0)
    story.did("ann", "set", b"2", result=1)
    story.reads("bob", b"1", 0, 1, 1, fresh=True)
    story.finds("no order")


@case("a znode that is not there at the end is found, unless somebody may have deleted it")
def _():
    for maybe in (False, True):
        story = Story()
        story.did("ann", "create", b"1", result=0)
        if maybe:
            story.history.unknown(story.begin("bob", "delete"))
        story.reads("bob", None, None, 5, 0, fresh=True)
        story.finds(*() if maybe else ("no order", "misses what was there"))


@case("a write of unknown outcome may have happened, never, or later than others")
def _():
    for value, version in ((b"0", 0), (b"1", 1)):
        story = Story()
        story.did("ann", "create", b"0", result=0)
        story.history.unknown(story.begin("bob", "set", value=b"1"))
        story.reads("ann", value, version, 5, 1 if version == 0 else 2, fresh=True)
        story.finds()
    story = Story()
    story.did("ann", "create", b"0", result=0)
    story.history.unknown(story.begin("bob", "set", value=b"1"))
    story.did("ann", "set", b"2", result=1)
    story.reads("ann", b"1", 2, 5, 4, fresh=True)
    story.finds()


@case("a write of unknown outcome that happened twice is found")
def _():
    story = Story()
    story.did("ann", "create", b"0", result=0)
    story.history.unknown(story.begin("bob", "set", value=b"1"))
    story.reads("ann", b"1", 2, 5, 4, fresh=True)
    story.finds("no order")


@case("two conditional writes that both say that they were first are found")
def _():
    story = Story()
    story.did("ann", "create", b"0", result=0)
    one = story.begin("ann", "set", value=b"1", version=0)
    two = story.begin("bob", "set", value=b"2", version=0)
    story.end(one, result=1)
    story.end(two, result=1)
    story.finds("no order")


@case("two that both created one znode are found")
def _():
    story = Story()
    one, two = story.begin("ann", "create", value=b"1"), story.begin("bob", "create", value=b"2")
    story.end(one, result=0)
    story.end(two, result=0)
    story.finds("no order")


@case("a refusal that nothing explains is found")
def _():
    for answer in ("exists", "ok"):
        story = Story()
        story.did("ann", "delete", answer="none")
        story.did("ann", "create", b"1", answer=answer)
        story.did("ann", "delete", version=4, answer="version" if answer == "ok" else "none")
        story.finds(*() if answer == "ok" else ("no order",))


@case("a version that is not the next one is found")
def _():
    story = Story()
    story.did("ann", "create", b"0", result=0)
    story.did("ann", "set", b"1", result=2)
    story.finds("no order")


@case("a read behind the last write that is older than it is found, also if it ends last")
def _():
    story = Story()
    story.did("ann", "create", b"0", result=0)
    early = story.begin("ann", "set", value=b"1")
    late = story.begin("bob", "read")
    late.fresh = True
    story.end(early, result=1)
    story.history.read(late, b"0", 0, 1, 1)  # began before the write had ended: may be
    story.finds()
    story.reads("bob", b"0", 0, 1, 1, fresh=True)
    story.finds("no order")


@case("two writes with one zxid, and zxids against the order of time, are found")
def _():
    story = Story()
    story.did("ann", "create", b"0", result=0, zxid=5)
    story.did("bob", "set", b"1", result=1, zxid=5)
    story.finds("one zxid", "smaller zxid")
    story = Story()
    story.did("ann", "create", b"0", result=0, zxid=5)
    story.did("bob", "set", b"1", result=1, zxid=4)
    story.finds("smaller zxid")


@case("a client that is shown an older state is found, whatever it reads")
def _():
    story = Story()
    zxid = story.did("ann", "create", b"0", result=0, zxid=7)
    story.did("ann", "set", b"0", answer="none", zxid=zxid - 1)
    true(any("had seen" in fault for fault in story.history.faults()), "it is found")


@case("a read that misses a write of its own client, or any before its zxid, is found")
def _():
    story = Story()
    story.did("ann", "create", b"0", result=0, zxid=1)
    story.did("ann", "set", b"1", result=1, zxid=2)
    story.reads("ann", b"0", 0, 2, 1)
    story.finds("misses a write")


@case("a read of what was never written, or of what comes behind its zxid, is found")
def _():
    story = Story()
    story.did("ann", "create", b"0", result=0, zxid=1)
    story.reads("ann", b"x", 0, 1, 1)
    story.finds("another value")
    story = Story()
    story.did("ann", "create", b"0", result=0, zxid=1)
    story.did("ann", "set", b"1", result=1, zxid=3)
    story.reads("bob", b"1", 1, 2, 3)
    story.finds("behind its zxid")


@case("a read behind a sync that misses what was acknowledged before the sync is found")
def _():
    for began_first in (True, False):
        story = Story()
        story.did("bob", "create", b"0", result=0, zxid=1)
        before = next(story.now)
        story.did("bob", "set", b"1", result=1, zxid=2)
        synced_from = before if began_first else next(story.now)
        story.reads("ann", b"0", 0, 1, 1, synced_from=synced_from)
        story.finds(*() if began_first else ("before a sync",))


@case("two holders of a lock, and a fence that does not grow, are found")
def _():
    history = History()
    history.held("/lock", "ann", 1, 0, 10)
    history.held("/lock", "bob", 2, 10, 20)
    history.held("/other", "cyd", 1, 5, 15)
    equal(history.faults(), [])
    history.held("/lock", "cyd", 2, 19, 30)
    found = history.faults()
    equal(len(found), 2)
    true("two hold /lock" in found[0] and "does not grow" in found[1], found)


@case("an element of a queue that is lost, taken twice, or out of nowhere is found")
def _():
    history = History()
    for element in ("a", "b", "c"):
        history.element_put(element, True)
    history.element_put("maybe", False)
    history.element_put("gone", True)
    history.element_maybe_taken("gone")
    history.element_taken("a", "ann")
    history.elements_left(["b", "c"])
    equal(history.faults(), [])
    history.element_taken("a", "bob")
    history.element_taken("b", "bob")
    history.element_taken("x", "bob")
    history.elements_left(["b", "y"])
    found = "\n".join(history.faults())
    for words in ("'a' was taken 2 times", "'b' was taken, and is still there",
                  "'x' was taken, by ['bob'], and nobody", "'y' is there, and nobody",
                  "'c' was put there, and is lost"):
        true(words in found, f"{words!r} in {found!r}")
    equal(found.count("\n"), 4)


def played(dice, clients, count):
    """A register that is right, used by clients at once: each answer is that of a moment between
    the operation's beginning and its end. Some answers get lost."""
    story, znode, version = Story(), None, 0
    under_way = {}
    zxid = 0
    for number in range(count):
        client = dice.randrange(clients)
        op = under_way.pop(client, None)
        if op is None:
            kind = dice.choice(("create", "set", "set", "delete", "read"))
            condition = dice.choice((-1, 0, 1, version)) if kind in ("set", "delete") else -1
            under_way[client] = story.begin(client, kind, "/a", b"%d" % number, condition)
            under_way[client].fresh = kind == "read"
            continue
        zxid += 1
        answer, result = "ok", None
        if op.kind == "read":
            story.history.read(op, *(znode or (None, None)), zxid, 0)
            continue
        if op.kind == "create":
            answer = "ok" if znode is None else "exists"
            znode, result = znode or (op.value, 0), 0
        elif znode is None:
            answer = "none"
        elif op.version not in (-1, znode[1]):
            answer = "version"
        elif op.kind == "delete":
            znode = None
        else:
            znode = (op.value, znode[1] + 1)
            result = znode[1]
        version = znode[1] if znode else 0
        if dice.random() < 0.08:
            story.history.unknown(op)
        else:
            story.end(op, answer, result if answer == "ok" else None)
    return story.history.operations


@case("of histories played by dice none has a fault, and of those with one wrong answer most have")
def _():
    dice = random.Random(5)
    found = wrong = 0
    for _ in range(150):
        operations = played(dice, 5, 120)
        true(order_exists(operations), "an order")
        certain = [op for op in operations if op.kind == "set" and op.answer == "ok"]
        if not certain:
            continue
        dice.choice(certain).result += 1
        wrong += 1
        found += order_exists(operations) is False
    true(wrong > 100 and found > wrong * 0.9, f"{found} of {wrong}")


if __name__ == "__main__":
    harness.main()
