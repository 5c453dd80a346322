#!/usr/bin/python3
"""The client protocol: which watch is told what, how often, in which order; setWatches; removal."""

import harness
import raw_client as raw
from harness import case, equal
from protocol import connect, expect, room
from raw_client import OPEN


# --- Watches.


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
    expect(watcher, "the persistent one is not", raw.CHECK_WATCHES, raw.string(path) + raw.i32(4),
           raw.OK)
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
            expect(session, what, raw.REMOVE_WATCHES, raw.string(path) + raw.i32(asked),
                   raw.NO_WATCHER)
            expect(session, "another path", raw.REMOVE_WATCHES,
                   raw.string(path + "/x") + raw.i32(3), raw.NO_WATCHER)


@case("a read that fails sets no watch; exists on what is not there does")
def _():
    client, path = room()
    watcher = connect()
    watcher.ask(raw.GET_DATA, raw.read(path + "/a", True))
    watcher.ask(raw.GET_CHILDREN, raw.read(path + "/a", True))
    expect(watcher, "nothing", raw.CHECK_WATCHES, raw.string(path + "/a") + raw.i32(3),
           raw.NO_WATCHER)
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

if __name__ == "__main__":
    harness.main()
