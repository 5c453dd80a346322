#!/usr/bin/python3
"""The client protocol: calls of recipes, by opcode 700 and by znodes, over a raw connection."""

import json

import harness
import raw_client as raw
from harness import case, equal, true
from protocol import acquire, answer, ask_lock, connect, expect, names, quiet, room
from raw_client import Reader

CALLS = "/zookeeper/calls"
JSON, MSGPACK = b"\x00", b"\x01"


def release(client, path, ticket, call_id=2):
    arguments = json.dumps(dict(path=path, ticket=ticket)).encode()
    return answer(client.ask(raw.CALL, raw.call("lock.release", arguments, call_id)))


def leave(client):
    """Close a session whose call waits: the call's answer comes first."""
    xid = client.send(raw.CLOSE)
    equal(answer(client.receive())[0], "SessionExpired")
    equal(client.receive().xid, xid)


@case("a call is answered with its result, as JSON")
def _():
    client, path = room()
    granted = acquire(client, path + "/l")
    equal(granted["ticket"], path + "/l/lock-0000000000")
    equal(client.stat(granted["ticket"]).owner, client.session)
    equal(release(client, path + "/l", granted["ticket"]), (None, None, b"true"))
    equal(client.stat(granted["ticket"]), None)


@case("the fence is the zxid of the grant, and of the reply that brings it")
def _():
    client, path = room()
    reply = client.ask(raw.CALL, ask_lock(path + "/l"))
    equal(json.loads(answer(reply)[2])["fence"], reply.zxid)


@case("replies to other requests pass by the reply of a call that waits")
def _():
    holder, path = room()
    waiter = connect()
    granted = acquire(holder, path)
    xid = waiter.send(raw.CALL, ask_lock(path))
    for _ in range(3):
        true(waiter.stat(path) is not None, "other requests are answered")
    quiet(waiter)
    release(holder, path, granted["ticket"])
    reply = waiter.receive()
    equal(reply.xid, xid)
    true(json.loads(answer(reply)[2])["fence"] > granted["fence"], "a larger fence")


@case("a plain delete of the holder's ticket wakes the waiter, too")
def _():
    holder, path = room()
    waiter = connect()
    granted = acquire(holder, path)
    waiter.send(raw.CALL, ask_lock(path))
    quiet(waiter)
    holder.delete(granted["ticket"])
    equal(answer(waiter.receive())[0], None)


@case("waiters are served in the order in which they asked; who gives up leaves no gap")
def _():
    holder, path = room()
    granted = acquire(holder, path)
    waiters = [connect() for _ in range(5)]
    for one in waiters:
        one.send(raw.CALL, ask_lock(path))
        quiet(one)
    leave(waiters.pop(2))
    leave(waiters.pop(0))
    fences = []
    for one in waiters:
        release(holder, path, granted["ticket"], len(fences) + 2)
        granted = json.loads(answer(one.receive())[2])
        fences.append(granted["fence"])
        holder = one
        for other in waiters[len(fences):]:
            quiet(other)
    equal(fences, sorted(fences))


@case("a call id that is asked again gets the first result, and runs nothing")
def _():
    client, path = room()
    first = client.ask(raw.CALL, ask_lock(path + "/l", 7)).body
    before = client.stat(path + "/l")
    equal(client.ask(raw.CALL, ask_lock(path + "/l", 7)).body, first)
    again = client.reattached()
    equal(again.ask(raw.CALL, ask_lock(path + "/l", 7)).body, first)
    equal(again.stat(path + "/l"), before)


@case("a call id that waits and is asked again over a new connection keeps its place")
def _():
    holder, path = room()
    granted = acquire(holder, path)
    waiter = connect()
    waiter.send(raw.CALL, ask_lock(path, 3))
    quiet(waiter)
    again = waiter.reattached()
    xid = again.send(raw.CALL, ask_lock(path, 3))
    quiet(again)
    equal(len(again.children(path)), 2)
    release(holder, path, granted["ticket"])
    reply = again.receive()
    equal((reply.xid, answer(reply)[0]), (xid, None))


@case("a result that comes while its caller is away is there when it asks again")
def _():
    holder, path = room()
    granted = acquire(holder, path)
    waiter = connect()
    waiter.send(raw.CALL, ask_lock(path, 3))
    quiet(waiter)
    waiter.abandon()
    release(holder, path, granted["ticket"])
    again = waiter.reattached()
    ticket = json.loads(answer(again.ask(raw.CALL, ask_lock(path, 3)))[2])["ticket"]
    equal(again.stat(ticket).owner, waiter.session)


@case("results up to done_through are forgotten: the id is free again")
def _():
    client, path = room()
    first = acquire(client, path + "/a", 1)
    arguments = json.dumps({"path": path + "/b"}).encode()
    answer(client.ask(raw.CALL, raw.call("lock.acquire", arguments, 2, 1)))
    equal(release(client, path + "/a", first["ticket"], 3)[2], b"true")
    again = acquire(client, path + "/a", 1)
    true(again["fence"] > first["fence"], "it has run anew")


@case("a call without an id may not wait; one that need not wait is fine")
def _():
    client, path = room()
    other = connect()
    granted = acquire(client, path + "/l", 0)
    error, message, result = answer(other.ask(raw.CALL, ask_lock(path + "/l", 0)))
    true(error is not None and message and result is None, f"refused: {error}")
    equal(client.children(path + "/l"), [granted["ticket"].rsplit("/", 1)[1]])


@case("a call that waits shows as a znode of its session, and deleting that cancels the call")
def _():
    holder, path = room()
    acquire(holder, path)
    waiter = connect()
    xid = waiter.send(raw.CALL, ask_lock(path))
    quiet(waiter)
    nodes = waiter.children(CALLS)
    equal(len(nodes), 1)
    true(nodes[0].startswith("lock.acquire-"), nodes[0])
    equal(holder.children(CALLS), [])
    node = f"{CALLS}/{nodes[0]}"
    equal(waiter.get(node)[0], b'{"state":"waiting"}')
    expect(holder, "another session's", raw.DELETE, raw.delete(node), raw.NO_AUTH)
    delete = waiter.send(raw.DELETE, raw.delete(node, 0))
    replies = {reply.xid: reply for reply in (waiter.receive(), waiter.receive())}
    equal(sorted(replies), sorted([xid, delete]))
    equal(replies[delete].error, raw.OK)
    equal(answer(replies[xid])[0], "Cancelled")
    equal(waiter.children(CALLS), [])
    equal(len(waiter.children(path)), 1)


@case("a deadline ends a call, in time, and leaves nothing behind")
def _():
    holder, path = room()
    acquire(holder, path)
    waiter = connect()
    for timeout in ("250ms", 250, "1s"):
        error, message, result = answer(waiter.ask(raw.CALL, ask_lock(path, 0 + len(str(timeout)),
                                                                      timeout=timeout)))
        equal((error, result), ("Timeout", None))
        true(message, "a sentence")
    equal(len(waiter.children(path)), 1)
    equal(waiter.children(CALLS), [])


@case("what never ran is refused by name, with a sentence")
def _():
    client = connect()
    for operation, arguments, expected in (
            ("nosuch.thing", b"{}", "Unimplemented"), ("lock.nosuch", b"{}", "Unimplemented"),
            ("lock", b"{}", "Unimplemented"), ("", b"{}", "Unimplemented"),
            ("lock.acquire", b"{}", "BadArguments"), ("lock.acquire", b"{", "BadArguments"),
            ("lock.acquire", b"[]", "BadArguments"), ("lock.acquire", None, "BadArguments"),
            ("lock.acquire", b'{"path":5}', "BadArguments"),
            ("lock.acquire", b'{"path":"relative"}', "BadArguments"),
            ("lock.acquire", b'{"path":"/a","x":1}', "BadArguments"),
            ("lock.acquire", b'{"path":"/a","timeout":"soon"}', "BadArguments"),
            ("lock.acquire", b'{"path":"/a","timeout":-1}', "BadArguments")):
        error, message, result = answer(client.ask(raw.CALL, raw.call(operation, arguments)))
        equal((error, result), (expected, None), f"{operation} {arguments}")
        true(message, f"{operation} {arguments}: a sentence")


@case("a call's record that is no record is malformed, and the connection goes on")
def _():
    client, path = room()
    whole = ask_lock(path + "/l")
    for cut in range(0, len(whole), 3):
        expect(client, f"cut at {cut}", raw.CALL, whole[:cut], raw.MARSHALLING)
    bad = raw.string("lock.acquire") + raw.i64(1) + raw.i64(0) + raw.string(None) + b"\x07"
    expect(client, "no such format", raw.CALL, bad + raw.buffer(b"{}"), raw.MARSHALLING)
    acquire(client, path + "/l")


@case("arguments and results may be MessagePack")
def _():
    client, path = room()
    text = (path + "/l").encode()
    arguments = b"\x81\xa4path" + bytes([0xa0 | len(text)]) + text
    reply = client.ask(raw.CALL, raw.string("lock.acquire") + raw.i64(1) + raw.i64(0) +
                       raw.string(None) + MSGPACK + raw.buffer(arguments))
    error, _, result = answer(reply)
    equal(error, None)
    true(result[0] == 0x82 and b"\xa5fence" in result and b"\xa6ticket" in result, result.hex())


@case("what a call may do is what its caller may do")
def _():
    owner, path = room()
    owner.authenticate(b"bob:secret")
    owner.create(path + "/l", entries=[(raw.READ, "world", "anyone"), (raw.ALL, "auth", "")])
    stranger = connect()
    error, _, _ = answer(stranger.ask(raw.CALL, ask_lock(path + "/l")))
    equal(error, "NoAuth")
    acquire(owner, path + "/l")


@case("the end of a session ends its calls and frees what it held, in one transaction")
def _():
    holder, path = room()
    acquire(holder, path)
    gone, waiter = connect(), connect()
    for one in (gone, waiter):
        one.send(raw.CALL, ask_lock(path))
        quiet(one)
    leave(gone)
    equal(len(waiter.children(path)), 2)
    holder.close()
    equal(json.loads(answer(waiter.receive())[2])["ticket"], path + "/lock-0000000002")


@case("a node below the calls can be made in no other way, and nothing there can be written")
def _():
    client, path = room()
    for what, code, record in (
            ("not sequential", raw.CREATE, raw.create(CALLS + "/lock.acquire-", b"{}", flags=1)),
            ("persistent", raw.CREATE, raw.create(CALLS + "/lock.acquire-", b"{}", flags=2)),
            ("no dash", raw.CREATE, raw.create(CALLS + "/lock.acquire", b"{}", flags=3)),
            ("a container", raw.CREATE_CONTAINER, raw.create(CALLS + "/x-", b"{}", flags=4)),
            ("written", raw.SET_DATA, raw.set_data(CALLS, b"x")),
            ("deleted", raw.DELETE, raw.delete(CALLS)),
            ("a recipe written", raw.SET_DATA, raw.set_data("/zookeeper/recipes/lock", b"x")),
            ("a recipe made", raw.CREATE, raw.create("/zookeeper/recipes/mine", b"x")),
            ("a recipe deleted", raw.DELETE, raw.delete("/zookeeper/recipes/lock"))):
        true(client.error(code, record) != raw.OK, what)
    node = client.create(CALLS + "/lock.acquire-", json.dumps({"path": path}).encode(), flags=3)
    expect(client, "a result overwritten", raw.SET_DATA, raw.set_data(node, b"x"), raw.NO_AUTH)
    expect(client, "a child", raw.CREATE, raw.create(node + "/x"), raw.NO_AUTH)


@case("a call's znode is read with its Stat, also where create asks for one")
def _():
    client, path = room()
    reader = client.must(raw.CREATE2, raw.create(CALLS + "/lock.acquire-",
                                                 json.dumps({"path": path}).encode(), flags=3))
    node, stat = reader.string(), reader.stat()
    reader.end()
    data, found = client.get(node)
    equal((stat.owner, stat.czxid, stat.version), (client.session, found.czxid, found.version))
    equal((json.loads(data)["state"], found.version > 0), ("done", True))
    equal(node[-16:], f"{stat.czxid:016x}")


@case("a call's znode may bear Curator's protection prefix")
def _():
    client, path = room()
    prefix = "_c_01234567-89ab-cdef-0123-456789abcdef-"
    node = client.create(f"{CALLS}/{prefix}lock.acquire-", json.dumps({"path": path}).encode(),
                         flags=3)
    true(node.startswith(f"{CALLS}/{prefix}lock.acquire-0"), node)
    equal(json.loads(client.get(node)[0])["state"], "done")
    client.delete(node)


@case("calls survive a restart of the server: waiting ones wait on, results are kept")
def _():
    with harness.server("tickTime=1000") as server:
        holder, waiter = raw.Client(server.port), raw.Client(server.port)
        path = next(names)
        first = holder.ask(raw.CALL, ask_lock(path)).body
        ticket = json.loads(Reader(first[8:]).buffer())["ticket"]
        waiter.send(raw.CALL, ask_lock(path))
        quiet(waiter)
        server.restart()
        holder, waiter = holder.reattached(), waiter.reattached()
        equal(holder.ask(raw.CALL, ask_lock(path)).body, first)
        waiter.send(raw.CALL, ask_lock(path))
        quiet(waiter)
        equal(len(waiter.children(path)), 2)
        equal(release(holder, path, ticket)[2], b"true")
        equal(answer(waiter.receive())[0], None)


@case("where recipes are switched off a call says so, and a call's znode cannot be made")
def _():
    with harness.server("recipes=off") as server:
        client = raw.Client(server.port)
        error, message, _ = answer(client.ask(raw.CALL, ask_lock("/l")))
        equal(error, "Unimplemented")
        true("switched off" in message, message)
        true(client.error(raw.CREATE, raw.create(CALLS + "/lock.acquire-", b"{}", flags=3)) != 0,
             "refused")


if __name__ == "__main__":
    harness.main()
