#!/usr/bin/python3
"""Calls as the command line shows them: dry runs, which calls wait and behind whom, gates."""

import base64
import functools
import hashlib
import json
import os
import signal
import subprocess

import harness
import raw_client as raw
import tally
from harness import case, equal, true, until
from raw_client import Client, Reader

OK, FAILED, USAGE = 0, 1, 2
CALLS = "/zookeeper/calls"
SUPER = "super:secret"
SUPER_HASH = base64.b64encode(hashlib.sha1(SUPER.encode()).digest()).decode()
numbers = iter(range(10 ** 6))


@functools.lru_cache(maxsize=None)
def shared():
    return tally.server("tickTime=500", "DigestAuthenticationProvider.superDigest=super:" +
                        SUPER_HASH)


def begin(*words, options=(), env=None):
    command = [harness.needed("MOONKEEPER"), "-s", shared().address, *options, *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))


def run(*words, **named):
    process = begin(*words, **named)
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def room():
    client = Client(shared().port)
    return client, client.create(f"/room-{next(numbers)}", b"0")


def dry(*words, **named):
    code, out, errors = run("call", "--dry-run", *words, **named)
    equal((code, errors), (OK, ""))
    return json.loads(out)


def snapshot(client, path):
    return client.get(path), client.children(path), client.stat("/zookeeper"), client.stat(CALLS)


def ask_waiting(client, path, call_id=1, **arguments):
    """A call that waits for path-gate."""
    record = json.dumps(dict(path=path, gate=path + "-gate", **arguments)).encode()
    return client.send(raw.CALL, raw.call("tally.await", record, call_id))


def listed(client, after=0, limit=0):
    return json.loads(client.must(raw.CALLS, raw.i64(after) + raw.i32(limit)).buffer())


# --- Dry runs.


@case("a dry run tells what a call would return, read and change, and changes nothing")
def _():
    client, path = room()
    before = snapshot(client, path)
    report = dry("tally.add", f"path={path}")
    equal(report.pop("instructions") % 100, 0, "whole hundreds")
    equal(report, {"outcome": "returned", "result": 1, "reads": [{"znode": path}],
                   "effects": [{"set": path, "bytes": 1}]})
    equal(dry("tally.add", f"path={path}")["result"], 1)
    equal(snapshot(client, path), before)


@case("a dry run tells what a call would wait for, and leaves no call behind")
def _():
    client, path = room()
    granted = json.loads(run("call", "lock.acquire", f"path={path}/l")[1])
    holder = Client(shared().port)
    holder.must(raw.CALL, raw.call("lock.acquire", json.dumps({"path": path + "/l"}).encode()))
    report = dry("lock.acquire", f"path={path}/l")
    equal(report["outcome"], "waits")
    ticket = report["effects"][0]["create"]
    true({"deleted": ticket} in report["waits"] and len(report["waits"]) == 2, report)
    true(granted["ticket"] < ticket, "a ticket behind the holder's")
    equal(client.stat(ticket), None)
    equal(len(client.children(path + "/l")), 1)
    equal(len(listed(holder)["calls"]), 0)
    holder.close()


@case("a dry run tells how a call would fail; what cannot be called is refused as ever")
def _():
    client, path = room()
    report = dry("tally.add", f"path={path}/nope")
    equal((report["outcome"], report["effects"]), ("failed", []))
    true(report["error"] and report["message"], report)
    for words, error in ((("no.such",), "Unimplemented"), (("tally.add",), "BadArguments")):
        code, out, errors = run("call", "--dry-run", *words)
        equal((code, out), (FAILED, ""))
        true(error in errors, errors)
    client.close()


@case("a dry run has its caller's rights, and no others")
def _():
    client, path = room()
    client.authenticate(b"bob:secret")
    client.must(raw.SET_ACL, raw.set_acl(path, [(raw.ALL, "auth", "")]))
    equal(dry("tally.add", f"path={path}")["error"], "NoAuth")
    equal(dry("tally.add", f"path={path}", options=["--auth", "digest:bob:secret"])["result"], 1)
    equal(dry("tally.add", f"path={path}", env={"MOONKEEPER_AUTH": "digest:bob:secret"})["result"],
          1)


@case("a dry run in MessagePack is malformed; its call id is used for nothing")
def _():
    client, path = room()
    whole = raw.call("tally.add", json.dumps({"path": path}).encode())
    at = len(whole) - len(raw.buffer(json.dumps({"path": path}).encode())) - 1
    equal(whole[at], 0)
    equal(client.error(raw.CALL, whole[:at] + b"\x81" + whole[at + 1:]), raw.MARSHALLING)
    client.must(raw.CALL, whole[:at] + b"\x80" + whole[at + 1:])
    reader = client.must(raw.CALL, whole)
    equal((reader.string(), reader.string(), reader.buffer()), (None, None, b"1"))
    reader = client.must(raw.CALL, whole[:at] + b"\x80" + whole[at + 1:])
    reader.string(), reader.string()
    equal(json.loads(reader.buffer())["result"], 2, "a report, not what the call got")


@case("a long report is cut, and says by how much")
def _():
    client, path = room()
    report = dry("tally.many", f"path={path}", "count:=300")
    equal((len(report["effects"]), report["effects_omitted"]), (256, 44))
    true(report["instructions"] > 0, "instructions are counted")
    equal(client.children(path), [])


# --- Which calls wait.


@case("a session's own calls are listed, with what they wait for and whose that is")
def _():
    holder, path = room()
    record = json.dumps({"path": path + "/l"}).encode()
    granted = json.loads(Reader(holder.ask(raw.CALL, raw.call("lock.acquire", record)).body[8:])
                         .buffer())
    one = Client(shared().port)
    for call_id, timeout in ((1, None), (2, "1h")):
        arguments = dict(path=path + "/l", **({"timeout": timeout} if timeout else {}))
        one.send(raw.CALL, raw.call("lock.acquire", json.dumps(arguments).encode(), call_id))
    first, second = until(lambda: two_of(listed(one)["calls"]), "both wait")
    equal(sorted(first), ["call", "operation", "runs", "session", "since", "waits"])
    equal((first["operation"], first["session"], first["runs"]),
          ("lock.acquire", f"{one.session & (2 ** 64 - 1):016x}", 1))
    true(first["call"].startswith(CALLS + "/lock.acquire-"), first)
    behind = next(wait for wait in first["waits"] if wait["deleted"] == granted["ticket"])
    equal(behind, {"deleted": granted["ticket"],
                   "owner": f"{holder.session & (2 ** 64 - 1):016x}"})
    true(second["timeout_at"] > second["since"], second)
    own = next(wait for wait in first["waits"] if wait != behind)["deleted"]
    behind = next(wait for wait in second["waits"] if wait["deleted"] == own)
    equal((behind["owner"], behind["call"]), (first["session"], first["call"]))
    equal(listed(holder)["calls"], [])
    one.abandon()


def two_of(calls):
    return calls if len(calls) == 2 else None


@case("others' calls are seen by who has proved to be the same, and by administrators")
def _():
    owner, path = room()
    owner.authenticate(b"amy:secret")
    ask_waiting(owner, path)
    until(lambda: listed(owner)["calls"], "it waits")
    name = listed(owner)["calls"][0]["call"].rsplit("/", 1)[1]
    code, out, errors = run("calls", options=["--auth", "digest:amy:secret"])
    equal((code, errors), (OK, ""))
    true(name in out and f"created {path}-gate" in out and "  since 2" in out, out)
    equal(run("calls"), (OK, "", ""))
    equal(run("calls", options=["--auth", "digest:eve:secret"]), (OK, "", ""))
    true(name in run("calls", options=["--auth", "digest:" + SUPER])[1], "all are listed")
    lines = run("calls", options=["--json", "--auth", "digest:" + SUPER])[1].splitlines()
    true(name in [json.loads(line)["call"].rsplit("/", 1)[1] for line in lines], lines)
    owner.create(path + "-gate")


@case("many calls are listed page by page, each once, in the order in which they were made")
def _():
    client, path = room()
    for call_id in range(1, 251):
        ask_waiting(client, path, call_id)
    admin = Client(shared().port)
    admin.authenticate(SUPER.encode())
    until(lambda: client_calls(admin, path, 0)[0] == 250, "all wait")
    for limit, pages in ((0, 3), (100, 3), (1000, 3), (7, 36)):
        count, seen = client_calls(admin, path, limit)
        equal((count, seen >= pages), (250, True), f"limit {limit}")
    for after, limit in ((-1, 0), (0, -1)):
        equal(admin.error(raw.CALLS, raw.i64(after) + raw.i32(limit)), raw.BAD_ARGUMENTS)
    equal(admin.error(raw.CALLS, raw.i64(0)), raw.MARSHALLING)
    other = Client(shared().port)
    other.create(path + "-gate")
    for _ in range(250):
        client.receive()
    equal(client_calls(admin, path, 0)[0], 0)


def client_calls(client, path, limit):
    """(how many wait for the gate of `path`, in how many pages)"""
    after, found, pages = 0, [], 0
    while True:
        page = listed(client, after, limit)
        pages += 1
        found += [call["call"][-16:] for call in page["calls"]
                  if {"created": path + "-gate"} in call["waits"]]
        after = page.get("after")
        if not after:
            break
    equal(found, sorted(set(found)), "in order, each once")
    return len(found), pages


# --- Gates.


@case("gates are opened and closed by administrators, and by nobody else")
def _():
    client, _ = room()
    admin = ["--auth", "digest:" + SUPER]
    for gate in ("/app", "/team/b", "/app/c"):
        client.error(raw.CREATE, raw.create("/team"))
        equal(run("calls", "open", gate, options=admin), (OK, "", ""))
        true(client.stat(gate + CALLS) is not None, gate)
    equal(run("calls", "open", "/app", options=admin), (OK, "", ""))
    equal(client.get(CALLS)[0], b"/app\n/team/b\n/app/c")
    code, _, errors = run("calls", "open", "/mine")
    equal(code, FAILED)
    true("NoAuth" in errors, errors)
    for gate, left in (("/team/b", b"/app\n/app/c"), ("/app/c", b"/app"), ("/app", b""),
                       ("/app", b"")):
        equal(run("calls", "close", gate, options=admin), (OK, "", ""))
        equal(client.get(CALLS)[0] or b"", left)
    for words in (("open",), ("open", "app"), ("open", "/"), ("open", "/a/"), ("shut", "/a"),
                  ("open", "/a", "/b")):
        equal(run("calls", *words)[0], USAGE, str(words))


@case("call KEY=VALUE is what the operation declares, below a gate too")
def _():
    admin = ["--auth", "digest:" + SUPER]
    equal(run("calls", "open", "/typed", options=admin), (OK, "", ""))
    below = ["-s", shared().address + "/typed"]
    equal(run("create", "/made", options=below)[0], OK)
    code, out, errors = run("call", "tally.many", "path=/made", "count=2", options=below)
    equal((code, errors), (OK, ""))
    code, _, errors = run("call", "tally.many", "path=/made", "count=two", options=below)
    equal(code, FAILED)
    true("BadArguments: argument 'count' must be" in errors, errors)
    equal(run("calls", "close", "/typed", options=admin), (OK, "", ""))


@case("call --timeout is the argument of that name")
def _():
    client, path = room()
    holder = Client(shared().port)
    holder.must(raw.CALL, raw.call("lock.acquire", json.dumps({"path": path + "/l"}).encode()))
    code, _, errors = run("call", "--timeout", "50ms", "lock.acquire", f"path={path}/l")
    equal(code, FAILED)
    true("Timeout" in errors, errors)
    equal(run("call", "--timeout", "soon", "lock.acquire")[0], USAGE)
    equal(run("call", "--nosuch", "lock.acquire")[0], USAGE)
    client.close()


@case("a hang-up cancels a call that waits, as Ctrl-C does")
def _():
    client, path = room()
    process = begin("call", "tally.await", f"path={path}", f"gate={path}-gate",
                    options=["--auth", "digest:una:x"])
    until(lambda: run("calls", options=["--auth", "digest:una:x"])[1], "it waits")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    equal(process.returncode, 128 + signal.SIGHUP)
    equal(run("calls", options=["--auth", "digest:una:x"])[1], "")
    client.close()


if __name__ == "__main__":
    harness.main()
