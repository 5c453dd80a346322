#!/usr/bin/python3
"""Gates: calls by clients whose paths all lie below a chroot, with kazoo as it is, and by opcode 700."""

import json
import threading

import harness
import raw_client as raw
from harness import case, equal, true, until
from protocol import acquire, answer, connect, names, shared

try:
    from kazoo.client import KazooClient
    from kazoo.exceptions import BadArgumentsError, NoAuthError, NoNodeError
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    harness.sys.exit(harness.SKIPPED)

CALLS = "/zookeeper/calls"

def administrator():
    client = connect()
    client.authenticate(b"super:secret")
    return client


def gate_open(chroot, entries=raw.OPEN):
    """What `moonkeeper calls open` does: the gate's znodes, and a line in the list of gates."""
    admin = administrator()
    for path in (chroot, chroot + "/zookeeper"):
        if admin.stat(path) is None:
            admin.create(path)
    admin.create(chroot + CALLS, entries=entries)
    listed = admin.get(CALLS)[0]
    admin.set(CALLS, listed + b"\n" + chroot.encode() if listed else chroot.encode())
    admin.close()


def gate_close(chroot):
    admin = administrator()
    lines = [line for line in admin.get(CALLS)[0].split(b"\n") if line != chroot.encode()]
    admin.set(CALLS, b"\n".join(lines))
    admin.close()


def gate():
    chroot = next(names)
    gate_open(chroot)
    return chroot


def kazoo(chroot):
    client = KazooClient(hosts=shared().address + chroot, timeout=10)
    client.start(timeout=20)
    return client


def ask(client, path, operation="lock.acquire", **arguments):
    return client.create(CALLS + "/" + operation + "-",
                         json.dumps(dict(path=path, **arguments)).encode(),
                         ephemeral=True, sequence=True)


def state(client, node):
    return json.loads(client.get(node)[0])


def finish(*clients):
    for client in clients:
        client.stop()
        client.close()


@case("a client with a chroot calls through its gate, and all that it names and is told lies below it")
def _():
    chroot = gate()
    client, outside = kazoo(chroot), connect()
    node = ask(client, "/locks/a")
    true(node.startswith(CALLS + "/lock.acquire-"), node)
    done = state(client, node)
    equal(done["state"], "done")
    equal(done["result"]["ticket"], "/locks/a/lock-0000000000")
    equal(outside.children(chroot + "/locks/a"), ["lock-0000000000"])
    equal(outside.stat("/locks"), None)
    released = ask(client, "/locks/a", "lock.release", ticket=done["result"]["ticket"])
    equal(state(client, released)["result"], True)
    finish(client)


@case("clients with and without the chroot wait for each other in one queue")
def _():
    chroot = gate()
    first, inside = connect(), kazoo(chroot)
    granted = acquire(first, chroot + "/l")
    told = threading.Event()
    node = ask(inside, "/l")
    equal(inside.get(node, watch=lambda event: told.set())[0], b'{"state":"waiting"}')
    first.ask(raw.CALL, raw.call("lock.release", json.dumps(
        dict(path=chroot + "/l", ticket=granted["ticket"])).encode(), 2))
    true(told.wait(20), "the call's znode tells of its end")
    equal(state(inside, node)["result"]["ticket"], "/l/lock-0000000001")
    finish(inside)


@case("a call through a gate is cancelled by deleting its znode, and by nobody else")
def _():
    chroot = gate()
    holder, inside, other = connect(), kazoo(chroot), kazoo(chroot)
    granted = acquire(holder, chroot + "/l")
    node = ask(inside, "/l")
    try:
        other.delete(node)
        true(False, "another's call was deleted")
    except NoAuthError:
        pass
    inside.delete(node, version=0)
    until(lambda: holder.children(chroot + "/l") == [granted["ticket"].split("/")[-1]],
          "the place in the queue is given up")
    finish(inside, other)


@case("at a gate everybody sees only their own calls")
def _():
    chroot = gate()
    one, other = kazoo(chroot), kazoo(chroot)
    node = ask(one, "/l")
    equal(one.get_children(CALLS), [node.split("/")[-1]])
    equal(other.get_children(CALLS), [])
    for look in (other.get, other.get_acls):
        try:
            look(node)
            true(False, "another's call was read")
        except NoAuthError:
            pass
    outside = connect()
    equal(outside.children(chroot + CALLS), [])
    equal(outside.error(raw.GET_DATA, raw.read(chroot + node)), raw.NO_AUTH)
    finish(one, other)


@case("nothing but calls can be made at a gate, and nothing there can be written")
def _():
    chroot = gate()
    client = connect()
    node = client.create(chroot + CALLS + "/lock.acquire-",
                         json.dumps({"path": "/l"}).encode(), flags=3)
    inside = chroot + CALLS
    for what, code, record in (
            ("persistent", raw.CREATE, raw.create(inside + "/lock.acquire-", b"{}", flags=2)),
            ("no dash", raw.CREATE, raw.create(inside + "/lock.acquire", b"{}", flags=3)),
            ("a container", raw.CREATE_CONTAINER, raw.create(inside + "/x-", b"{}", flags=4)),
            ("no name", raw.CREATE, raw.create(inside + "/", b"{}", flags=2)),
            ("written", raw.SET_DATA, raw.set_data(node, b'{"state":"done"}')),
            ("an ACL", raw.SET_ACL, raw.set_acl(node, raw.OPEN)),
            ("a child", raw.CREATE, raw.create(node + "/x")),
            ("in a multi", raw.MULTI, raw.multi((raw.CREATE, raw.create(inside + "/x"))))):
        reply = client.ask(code, record)
        true(reply.error != 0 or code == raw.MULTI, what)
    equal([name for name in client.children(inside)], [node.split("/")[-1]])
    equal(json.loads(client.get(node)[0])["state"], "done")


@case("who may call at a gate is a matter of the gate's ACL")
def _():
    chroot = next(names)
    gate_open(chroot, entries=[(raw.READ, "world", "anyone")])
    client = kazoo(chroot)
    try:
        ask(client, "/l")
        true(False, "it was made")
    except NoAuthError:
        pass
    finish(client)


@case("a gate that nobody opened is a znode like any other")
def _():
    chroot = next(names)
    client = connect()
    for path in (chroot, chroot + "/zookeeper", chroot + CALLS):
        client.create(path)
    made = client.create(chroot + CALLS + "/lock.acquire-", b"{}", flags=3)
    equal(made, chroot + CALLS + "/lock.acquire-0000000000")
    equal(client.error(raw.SET_DATA, raw.set_data(CALLS, chroot.encode())), raw.NO_AUTH)


@case("a call goes on when its gate is closed, and nothing new is made there")
def _():
    chroot = gate()
    holder, inside = connect(), kazoo(chroot)
    granted = acquire(holder, chroot + "/l")
    node = ask(inside, "/l")
    gate_close(chroot)
    holder.ask(raw.CALL, raw.call("lock.release", json.dumps(
        dict(path=chroot + "/l", ticket=granted["ticket"])).encode(), 2))
    until(lambda: state(inside, node)["state"] == "done", "the call is granted")
    made = ask(inside, "/l")
    equal(made, CALLS + "/lock.acquire-0000000001")
    finish(inside)


@case("a call whose znode goes after its gate was closed ends all the same")
def _():
    chroot = gate()
    holder, inside = connect(), kazoo(chroot)
    granted = acquire(holder, chroot + "/l")
    node = ask(inside, "/l")
    gate_close(chroot)
    inside.delete(node)
    holder.ask(raw.CALL, raw.call("lock.release", json.dumps(
        dict(path=chroot + "/l", ticket=granted["ticket"])).encode(), 2))
    equal(acquire(holder, chroot + "/other", call_id=3)["ticket"],
          chroot + "/other/lock-0000000000")
    finish(inside)
    until(lambda: not holder.children(chroot + "/l"), "all that it held goes with its session")


@case("a call's chroot by opcode 700 confines it: no path leads out of it")
def _():
    client = connect()
    base, secret = client.create(next(names)), client.create(next(names), b"secret")

    def asked(path, call_id):
        record = raw.call("lock.acquire", json.dumps({"path": path}).encode(), call_id,
                          chroot=base)
        return answer(client.ask(raw.CALL, record))

    error, _message, result = asked("/l", 1)
    equal(error, None)
    equal(json.loads(result)["ticket"], "/l/lock-0000000000")
    equal(client.children(base), ["l"])
    for number, path in enumerate(("/..", "/../x", "/./x", ".." + secret, "x", "//x", "",
                                   "/\u0000x", "/x/../../y"), 2):
        equal(asked(path, number)[0], "BadArguments", path)
    equal(client.children(secret), [])
    equal(client.children(base), ["l"])


@case("a chroot that is no path is refused")
def _():
    client = connect()
    for number, chroot in enumerate(("x", "/x/", "/..", "/a/../b", "//"), 1):
        record = raw.call("lock.acquire", b'{"path":"/l"}', number, chroot=chroot)
        equal(answer(client.ask(raw.CALL, record))[0], "BadArguments", chroot)


@case("a chroot among the server's own znodes reaches none of them")
def _():
    client = connect()
    for number, chroot in enumerate((CALLS, "/zookeeper", "/zookeeper/recipes"), 1):
        record = raw.call("lock.acquire", b'{"path":"/calls/x"}', number, chroot=chroot)
        true(answer(client.ask(raw.CALL, record))[0] is not None, chroot)
    equal(client.children(CALLS), [])


if __name__ == "__main__":
    harness.main()
