#!/usr/bin/env python3
"""What a hostile client, or a recipe with a mistake, must not achieve: bring the server down, make it
grow, or get what others would not get."""

import json
import os
import struct

import harness
from harness import case, equal, true, until
from raw_client import (BAD_ARGUMENTS, CALL, CLOSE, CREATE, DELETE, EXISTS, GET_DATA,
                        MULTI, MULTI_READ, OK, SESSION_EXPIRED, Client, call,
                        create, delete, i32, multi, read)

CALLS = "/zookeeper/calls/"
EPHEMERAL_SEQUENTIAL = 3

ABUSE = """
local abuse = {}
abuse.wait_on = operation { doc = "", args = { path = "string" },
  run = function(call) call:wait { created = call.args.path } end }
abuse.outlive = operation { doc = "", args = { path = "path" }, outlives_session = true,
  run = function(call)
    if not znode.exists(call.args.path) then call:wait { created = call.args.path } end
    return 1
  end }
abuse.outlive_ephemeral = operation { doc = "", args = { path = "path" }, outlives_session = true,
  run = function(call)
    if not znode.exists(call.args.path) then call:wait { created = call.args.path } end
    return znode.create("/left-behind", { ephemeral = true })
  end }
return abuse
"""


def server(*options, **named):
    os.makedirs("abuse-recipes", exist_ok=True)
    with open("abuse-recipes/abuse.lua", "w", encoding="ascii") as file:
        file.write(ABUSE)
    return harness.server("recipeDir=" + os.path.abspath("abuse-recipes"), *options, **named)


def arguments(**named):
    return json.dumps(named).encode()


def node(operation, **named):
    """The record that creates a call node."""
    return create(CALLS + operation + "-", arguments(**named), flags=EPHEMERAL_SEQUENTIAL)


def frame(xid, code, record=b""):
    payload = i32(xid) + i32(code) + record
    return i32(len(payload)) + payload


@case("reads in front of a closeSession in one packet are answered")
def _():
    with server() as one:
        client = Client(one.port)
        client.send_bytes(frame(1, CREATE, create("/a", b"v")) + frame(2, GET_DATA, read("/a")) +
                          frame(3, EXISTS, read("/a")) + frame(4, CLOSE) +
                          frame(5, EXISTS, read("/a")))
        replies = [client.receive() for _ in range(5)]
        equal([(reply.xid, reply.error) for reply in replies],
              [(1, OK), (2, OK), (3, OK), (4, OK), (5, SESSION_EXPIRED)])
        true(client.closed(), "the end")


@case("a call node's name is a path like any other, behind Curator's prefix too")
def _():
    with server() as one:
        client = Client(one.port)
        for byte in (b"\0", b"\x01", b"\xff"):
            path = CALLS.encode() + b"_c_" + byte * 36 + b"-abuse.wait_on-"
            record = create(path, arguments(path="/x"), flags=EPHEMERAL_SEQUENTIAL)
            equal(client.error(CREATE, record), BAD_ARGUMENTS, repr(byte))
        equal(client.children(CALLS[:-1]), [])


@case("a recipe that waits for an empty path fails; the server stays")
def _():
    with server() as one:
        client = Client(one.port)
        made = client.must(CREATE, node("abuse.wait_on", path="")).string()
        equal(json.loads(client.get(made)[0])["error"], "BadArguments")


@case("a multi whose ACLs become much larger than it is refused")
def _():
    with server() as one:
        client = Client(one.port)
        for i in range(40):
            client.authenticate(b"user%d%s:x" % (i, b"y" * 200))
        entries = [(31, "auth", "")]
        many = multi(*[(CREATE, create("/m%05d" % i, b"", entries)) for i in range(5000)])
        reply = client.ask(MULTI, many)
        true(struct.pack(">i", BAD_ARGUMENTS) in reply.body, "one part is refused")
        equal(client.stat("/m00000"), None)
        few = multi(*[(CREATE, create("/m%05d" % i, b"", entries)) for i in range(50)])
        equal(client.error(MULTI, few), OK)


@case("a multiRead of one large znode, very often, is refused")
def _():
    with server() as one:
        client = Client(one.port)
        client.create("/large", bytes(900000))
        many = multi(*[(GET_DATA, read("/large")) for _ in range(1000)])
        equal(client.error(MULTI_READ, many), BAD_ARGUMENTS)
        few = multi(*[(GET_DATA, read("/large")) for _ in range(3)])
        equal(client.error(MULTI_READ, few), OK)


@case("a call that outlives its session leaves nothing behind in its name")
def _():
    with server() as one:
        client = Client(one.port)
        client.send(CALL, call("abuse.outlive", arguments(path="/go"), 1))
        client.send(CALL, call("abuse.outlive_ephemeral", arguments(path="/go"), 2))
        other = Client(one.port)
        until(lambda: other.stat(CALLS[:-1]).children >= 4, "both are parked")
        client.send(CLOSE) # what waits is answered first: nobody will be told how it ends
        xids = [client.receive().xid for _ in range(3)]
        equal(sorted(xids[:2]) + xids[2:], [1, 2, 3])
        other.create("/go")
        until(lambda: other.stat(CALLS[:-1]).children == 0, "both have ended")
        equal(other.stat("/left-behind"), None)


@case("calls that wait when recipes are switched off can be cancelled, and end with their session")
def _():
    with server() as one:
        client = Client(one.port)
        for _ in range(2):
            client.must(CREATE, node("abuse.wait_on", path="/never"))
        nodes = client.children(CALLS[:-1])
        one.options += ("recipes=off",)
        one.restart()
        again = client.reattached()
        equal(again.error(DELETE, delete(CALLS + nodes[0])), OK)
        again.close()
        other = Client(one.port)
        until(lambda: other.stat(CALLS[:-1]).children == 0, "both have ended")


if __name__ == "__main__":
    harness.main()
