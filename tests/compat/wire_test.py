#!/usr/bin/python3
"""The wire format of calls, as src/recipe/README.md has it: every field by its bytes."""

import base64
import functools
import hashlib
import itertools
import json
import struct

import harness
import raw_client as raw
import tally
from harness import case, equal, true, until
from raw_client import Client, Reader

CALLS = "/zookeeper/calls"
SUPER = b"super:secret"
SUPER_DIGEST = "super:" + base64.b64encode(hashlib.sha1(SUPER).digest()).decode()
numbers = itertools.count()


@functools.lru_cache(maxsize=None)
def shared():
    return tally.server("tickTime=500",
                        "DigestAuthenticationProvider.superDigest=" + SUPER_DIGEST)


def room():
    client = Client(shared().port)
    return client, client.create(f"/room-{next(numbers)}", b"0")


def field(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def request(operation, arguments, call_id=1, done_through=0, chroot=None, form=0):
    return (field(operation) + struct.pack(">qq", call_id, done_through) + field(chroot) +
            struct.pack(">B", form) + field(arguments))


def answer(reply):
    """(error, message, result), and that nothing follows."""
    equal(reply.error, 0, "the header")
    reader = Reader(reply.body)
    fields = reader.buffer(), reader.buffer(), reader.buffer()
    reader.end()
    return fields


def call(client, *arguments, **named):
    return answer(client.ask(700, request(*arguments, **named)))


def path_of(path):
    return json.dumps({"path": path}).encode()


def wait_for(client, path, call_id):
    """A call that waits until there is path-gate."""
    arguments = json.dumps({"path": path, "gate": path + "-gate"}).encode()
    return client.send(700, request(b"tally.await", arguments, call_id))


def nodes(client):
    return client.children(CALLS)


@case("a call's request and reply are these bytes")
def _():
    client, path = room()
    payload = (struct.pack(">ii", 77, 700) + struct.pack(">i", 9) + b"tally.add" +
               struct.pack(">qq", 1, 0) + b"\xff\xff\xff\xff" + b"\x00" + field(path_of(path)))
    client.send_bytes(struct.pack(">i", len(payload)) + payload)
    frame = client.receive_frame()
    xid, zxid, error = struct.unpack_from(">iqi", frame)
    equal((xid, error, frame[16:]), (77, 0, b"\xff\xff\xff\xff" * 2 + b"\x00\x00\x00\x011"))
    equal(client.stat(path).mzxid, zxid)


@case("an error has a name, a sentence, and no result")
def _():
    client, path = room()
    error, message, result = call(client, b"tally.add", path_of(path + "/nope"))
    true(error and message and result is None, (error, message, result))


@case("null and empty arguments are none; a chroot may be null, empty, or the root")
def _():
    client, path = room()
    for arguments in (None, b"", b"{}"):
        equal(call(client, b"tally.echo", arguments, 0), (None, None, b"{}"))
    for chroot, inner in ((None, path), (b"", path), (b"/", path), (path.encode(), "/")):
        error, _, result = call(client, b"tally.add", path_of(inner), 0, chroot=chroot)
        equal((error, result is None), (None, False), chroot)
    equal(call(client, b"tally.add", path_of(path), 0, chroot=b"nope")[0], b"BadArguments")


@case("the format byte is 0 or 1, 64 more than these, or 128, and nothing else")
def _():
    client, path = room()
    text = path.encode()
    packed = b"\x81\xa4path" + bytes([0xa0 | len(text)]) + text
    for form in range(256):
        reply = client.ask(700, request(b"tally.add", packed if form % 64 == 1 else path_of(path), 0,
                                        form=form))
        equal(reply.error, 0 if form in (0, 1, 64, 65, 128) else raw.MARSHALLING, f"format {form}")
        if form in (0, 1, 64, 65):
            equal(answer(reply)[2], {0: b"1", 1: b"\x02", 64: b"3", 65: b"\x04"}[form])


@case("a call without an id may not wait, and one with an id is answered once and again")
def _():
    client, path = room()
    arguments = json.dumps({"path": path, "gate": path + "-gate"}).encode()
    equal(call(client, b"tally.await", arguments, 0)[0], b"BadArguments")
    first = call(client, b"tally.add", path_of(path), 5)
    equal(call(client, b"tally.add", path_of(path), 5), first)
    equal(call(client, b"tally.echo", b"{}", 5), first, "whatever else is asked under the id")
    again = client.reattached()
    equal(call(again, b"tally.add", path_of(path), 5), first)
    equal(call(again, b"tally.add", path_of(path), 6, 5), (None, None, b"2"))
    equal(call(again, b"tally.add", path_of(path), 5, 5), (None, None, b"3"), "forgotten: run anew")


@case("what never ran is refused by name, and its id may be used again")
def _():
    client, path = room()
    for operation, arguments, error in ((b"no.such", b"{}", b"Unimplemented"),
                                        (b"tally.add", b"{}", b"BadArguments"),
                                        (b"tally.add", b"[", b"BadArguments")):
        equal(call(client, operation, arguments, 1)[0], error)
    equal(call(client, b"tally.add", path_of(path), 1), (None, None, b"1"))


@case("other replies pass by a call that waits; asked again it keeps its place")
def _():
    client, path = room()
    xid = wait_for(client, path, 1)
    equal(client.get(path)[0], b"0")
    waiting = nodes(client)
    again = client.reattached()
    xid = wait_for(again, path, 1)
    again.stat("/")
    equal(nodes(again), waiting)
    again.create(path + "-gate")
    reply = again.receive()
    equal((reply.xid, answer(reply)), (xid, (None, None, b"1")))
    equal(nodes(again), [])


@case("calls that wait are told apart by the order of their nodes, and deleting one cancels it")
def _():
    client, path = room()
    xids = [wait_for(client, path, call_id) for call_id in (1, 2, 3)]
    client.stat("/")
    numbers = sorted(name.rsplit("-", 1)[1] for name in nodes(client))
    equal(len(numbers), 3)
    node = f"{CALLS}/tally.await-{numbers[1]}"
    delete = client.send(raw.DELETE, raw.delete(node, 0))
    replies = {reply.xid: reply for reply in (client.receive(), client.receive())}
    equal((replies[delete].error, answer(replies[xids[1]])[0]), (0, b"Cancelled"))
    client.send(raw.CREATE, raw.create(path + "-gate"))
    left = sorted(client.receive().xid for _ in range(3))
    true(xids[0] in left and xids[2] in left, "the others have ended")


@case("a call node has its number in its name, its state in its data, and one event")
def _():
    client, path = room()
    arguments = json.dumps({"path": path, "gate": path + "-gate"}).encode()
    prefix = "_c_01234567-89ab-cdef-0123-456789abcdef-"
    node = client.create(f"{CALLS}/{prefix}tally.await-", arguments, flags=3)
    data, stat = client.get(node, watch=True)
    equal((data, stat.version, stat.owner), (b'{"state":"waiting"}', 0, client.session))
    equal(node, f"{CALLS}/{prefix}tally.await-{stat.czxid:016x}")
    equal(nodes(client), [node.rsplit("/", 1)[1]])
    other = Client(shared().port)
    equal(nodes(other), [])
    other.create(path + "-gate")
    until(lambda: (raw.CHANGED, node) in client.take_events(), "an event")
    data, stat = client.get(node)
    equal((data, stat.version > 0), (b'{"state":"done","result":1}', True))
    equal(client.error(raw.DELETE, raw.delete(node, 0)), raw.BAD_VERSION)
    equal(client.error(raw.DELETE, raw.delete(node, stat.version)), raw.OK)
    node = client.create(f"{CALLS}/tally.add-", path_of(path + "/nope"), flags=3)
    data, stat = client.get(node)
    equal((sorted(json.loads(data)), stat.version > 0), (["error", "message", "state"], True))
    client.delete(node)


@case("a call node that cannot be made is an error, and leaves nothing")
def _():
    client, path = room()
    for name, data, flags, error in (("tally.add-", b"{}", 3, raw.BAD_ARGUMENTS),
                                     ("no.such-", b"{}", 3, raw.UNIMPLEMENTED),
                                     ("tally.add-", path_of(path), 0, raw.BAD_ARGUMENTS),
                                     ("tally.add-", path_of(path), 2, raw.BAD_ARGUMENTS)):
        equal(client.error(raw.CREATE, raw.create(f"{CALLS}/{name}", data, flags=flags)), error,
              f"{name} {data} {flags}")
    equal(nodes(client), [])


@case("a record is these bytes, for super alone")
def _():
    client, path = room()
    xid = wait_for(client, path, 9)
    client.stat("/")
    number = nodes(client)[0].rsplit("-", 1)[1]
    record = f"{CALLS}/.{number}"
    equal(client.error(raw.GET_DATA, raw.read(record)), raw.NO_NODE)
    admin = Client(shared().port)
    admin.authenticate(SUPER)
    data, stat = admin.get(record)
    reader = Reader(data)
    equal(reader.take(3), b"\x01\x00\x00")
    equal((reader.i64(), reader.i64(), reader.i32()), (client.session, 9, xid))
    equal((reader.i64(), reader.i64(), reader.i64(), reader.i32()), (0, stat.ctime, 0, 0))
    equal(reader.buffer(), b"tally.await")
    true(len(reader.buffer()) > 0, "the version's hash")
    equal((reader.buffer(), json.loads(reader.buffer())["path"]), (b"", path))
    true(len(reader.buffer()) > 4, "identities")
    reader.buffer()
    equal(reader.buffer(), f"{CALLS}/tally.await-{number}".encode())
    equal((reader.take(2), reader.i64(), reader.buffer()),
          (b"\x01\x01", 0, (path + "-gate").encode()))
    equal(reader.take(1), b"\x00")
    reader.end()


if __name__ == "__main__":
    harness.main()
