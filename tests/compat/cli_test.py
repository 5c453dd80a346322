#!/usr/bin/python3
"""The program moonkeeper: what it prints, where, and with which exit code."""

import functools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import case, equal, true, until
from raw_client import Client
from relay import Relay

OK, FAILED, USAGE, UNREACHABLE, LOST, INTERRUPTED = 0, 1, 2, 3, 4, 130


@functools.lru_cache(maxsize=None)
def shared():
    return harness.server("tickTime=200")


def command(*words, server=None, options=()):
    return [harness.needed("MOONKEEPER"), "-s", (server or shared()).address, *options, *words]


def run(*words, server=None, options=(), stdin=subprocess.DEVNULL):
    """(exit code, standard output, standard error)"""
    done = subprocess.run(command(*words, server=server, options=options), stdin=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def begin(*words, server=None, options=(), stdin=subprocess.DEVNULL):
    return subprocess.Popen(command(*words, server=server, options=options), stdin=stdin, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process):
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def holds(*words, **named):
    """Start a command that prints a line and holds on; (process, the line)."""
    process = begin(*words, **named)
    return process, process.stdout.readline().rstrip("\n")


def waits(client, path, contenders):
    """Until that many contend for the lock at `path`."""
    until(lambda: client.stat(path) is not None and client.stat(path).children == contenders,
          f"{contenders} contenders for {path}")


# --- Znodes.


@case("create, get, set, ls, stat, exists and delete do what they say, on standard output")
def _():
    equal(run("create", "/z", "one"), (OK, "/z\n", ""))
    equal(run("get", "/z"), (OK, "one\n", ""))
    equal(run("set", "/z", "two"), (OK, "version 1\n", ""))
    equal(run("set", "-v", "1", "/z", "three"), (OK, "version 2\n", ""))
    equal(run("create", "-s", "/z/s-"), (OK, "/z/s-0000000000\n", ""))
    equal(run("create", "-c", "/z/c"), (OK, "/z/c\n", ""))
    equal(run("create", "/z/a", "--", "-data"), (OK, "/z/a\n", ""))
    equal(run("ls", "/z"), (OK, "a\nc\ns-0000000000\n", ""))
    equal(run("get", "/z/a"), (OK, "-data\n", ""))
    equal(run("get", "/z/c"), (OK, "\n", ""))
    equal(run("exists", "/z"), (OK, "true\n", ""))
    equal(run("exists", "/nope"), (FAILED, "false\n", ""))
    code, out, _ = run("stat", "/z")
    equal(code, OK)
    true(re.search(r"^ctime +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", out, re.M), out)
    true(re.search(r"^version +2$", out, re.M), out)
    true(re.search(r"^children_count +3$", out, re.M), out)
    equal(run("delete", "/z/c"), (OK, "", ""))
    equal(run("delete", "-v", "0", "/z/a"), (OK, "", ""))
    code, out, _ = run("sync")
    true(code == OK and re.fullmatch(r"zxid 0x[0-9a-f]+\n", out), out)


@case("an error goes to standard error, with its name and the path, and exit code 1")
def _():
    run("create", "/e", "x")
    run("create", "/e/child", "x")
    for words, error in ((("get", "/nope"), "get: NoNode: no such znode: /nope"),
                         (("create", "/e"), "create: NodeExists: the znode exists already: /e"),
                         (("set", "-v", "7", "/e", "y"),
                          "set: BadVersion: the version is not the expected one: /e"),
                         (("delete", "/e"), "delete: NotEmpty: the znode has children: /e"),
                         (("create", "nope"),
                          "create: BadArguments: an argument is not valid: nope"),
                         (("stat", "/nope"), "stat: NoNode: no such znode: /nope")):
        equal(run(*words), (FAILED, "", f"moonkeeper: {error}\n"))


@case("--json prints objects that a program can read, errors too")
def _():
    code, out, _ = run("create", "/json", "x", options=["--json"])
    made = json.loads(out)
    equal((code, made["path"], made["stat"]["version"]), (OK, "/json", 0))
    found = json.loads(run("get", "/json", options=["--json"])[1])
    equal((found["path"], found["data"], found["stat"]), ("/json", "x", made["stat"]))
    equal(found["stat"]["ephemeral_owner"], None)
    equal(json.loads(run("set", "/json", "y", options=["--json"])[1])["stat"]["version"], 1)
    equal(json.loads(run("stat", "/json", options=["--json"])[1])["data_length"], 1)
    equal(json.loads(run("ls", "/json", options=["--json"])[1]), [])
    equal(run("delete", "/json", options=["--json"])[1], '{"path":"/json"}\n')
    code, out, errors = run("get", "/json", options=["--json"])
    equal((code, out), (FAILED, ""))
    equal(json.loads(errors), {"error": "NoNode", "message": "no such znode: /json"})
    client = Client(shared().port)
    client.create("/binary", b"\xff\x00\x01")
    equal(json.loads(run("get", "/binary", options=["--json"])[1])["data_base64"], "/wAB")
    client.create("/null", None)
    equal(json.loads(run("get", "/null", options=["--json"])[1])["data"], None)


@case("an ephemeral lasts as long as its command, and --hold makes that longer")
def _():
    client = Client(shared().port)
    equal(run("create", "-e", "/mine", "x")[0], OK)
    equal(client.stat("/mine"), None)
    process, line = holds("create", "-e", "--hold=60s", "/mine", "x")
    equal(line, "/mine")
    true(client.stat("/mine").owner != 0, "it is there, and ephemeral")
    process.send_signal(signal.SIGINT)
    equal(end(process), (OK, "", ""))
    equal(client.stat("/mine"), None)


# --- Calls.


@case("a call prints its result as JSON")
def _():
    code, out, errors = run("call", "lock.acquire", "path=/locks/plain", "timeout=5s")
    equal((code, errors), (OK, ""))
    result = json.loads(out)
    equal(sorted(result), ["fence", "ticket"])
    equal(result["ticket"], "/locks/plain/lock-0000000000")


@case("a lock ends with its command; --hold keeps it for a time, until Ctrl-C or the end of input")
def _():
    client = Client(shared().port)
    path = "/locks/hold"
    for stdin, stop in ((subprocess.DEVNULL, None),
                        (subprocess.PIPE, lambda p: p.stdin.close()),
                        (subprocess.PIPE, lambda p: p.send_signal(signal.SIGINT)),
                        (subprocess.PIPE, lambda p: p.send_signal(signal.SIGTERM))):
        option = "--hold=300ms" if stop is None else "--hold"
        process, line = holds("call", option, "lock.acquire", f"path={path}", stdin=stdin)
        ticket = json.loads(line)["ticket"]
        true(client.stat(ticket) is not None, "held")
        code, _, errors = run("call", "lock.acquire", f"path={path}", "timeout=50ms")
        equal(code, FAILED if stop else code)
        if stop:
            equal(errors, "moonkeeper: lock.acquire: Timeout: the call was not granted in time\n")
            stop(process)
        equal(process.wait(20), OK)
        process.stdout.close()
        process.stderr.close()
        equal(client.stat(ticket), None)


@case("a waiting call gets the lock when its holder lets go, with a larger fence")
def _():
    client = Client(shared().port)
    holder, line = holds("call", "--hold=60s", "lock.acquire", "path=/locks/wait")
    waiter = begin("call", "lock.acquire", "path=/locks/wait")
    waits(client, "/locks/wait", 2)
    equal(waiter.poll(), None)
    holder.send_signal(signal.SIGINT)
    end(holder)
    code, out, errors = end(waiter)
    equal((code, errors), (OK, ""))
    true(json.loads(out)["fence"] > json.loads(line)["fence"], "a larger fence")


@case("Ctrl-C cancels a waiting call, which leaves its place in the queue, and exits with 130")
def _():
    client = Client(shared().port)
    holder, _ = holds("call", "--hold=60s", "lock.acquire", "path=/locks/cancel")
    relay = Relay(shared().port)
    waiter = begin("call", "lock.acquire", "path=/locks/cancel", server=relay)
    waits(client, "/locks/cancel", 2)
    equal(relay.asked(b"/zookeeper/calls/lock.acquire-"), False)
    waiter.send_signal(signal.SIGINT)
    equal(end(waiter), (INTERRUPTED, "", ""))
    waits(client, "/locks/cancel", 1)
    true(relay.asked(b"/zookeeper/calls/lock.acquire-"), "it does not rely on its session's end")
    relay.close()
    holder.send_signal(signal.SIGINT)
    end(holder)


@case("a call outlives its connection: it is asked again, keeps its place, and is run once")
def _():
    with harness.server("tickTime=500") as server:
        client = Client(server.port)
        holder = Client(server.port)
        relay = Relay(server.port)
        first, _ = holds("call", "--hold=60s", "lock.acquire", "path=/l", server=server)
        waiter = begin("call", "lock.acquire", "path=/l", server=relay)
        waits(client, "/l", 2)
        before = client.children("/l")
        relay.cut()
        until(lambda: relay.accepted == 2, "it connects again")
        time.sleep(0.2)
        equal(client.children("/l"), before, "the same place in the queue")
        first.send_signal(signal.SIGINT)
        end(first)
        code, out, errors = end(waiter)
        equal(code, OK, errors)
        equal(json.loads(out)["ticket"], "/l/" + before[1])
        true("connecting again" in errors, errors)
        relay.close()
        holder.close()


@case("a waiting call survives a restart of the server")
def _():
    with harness.server("tickTime=500") as server:
        client = Client(server.port)
        first, _ = holds("call", "--hold=60s", "lock.acquire", "path=/l", server=server)
        waiter = begin("call", "lock.acquire", "path=/l", server=server)
        waits(client, "/l", 2)
        server.restart()
        time.sleep(0.5)
        equal(first.poll(), None, "the holder holds on")
        equal(waiter.poll(), None, "the waiter waits on")
        first.send_signal(signal.SIGINT)
        end(first)
        code, out, _ = end(waiter)
        equal((code, json.loads(out)["ticket"]), (OK, "/l/lock-0000000001"))


@case("when the session is lost the exit code is 4, and so for who holds on")
def _():
    with harness.server("tickTime=500") as server:
        relay = Relay(server.port)
        options = ["--timeout", "2s"]
        holder, _ = holds("call", "--hold=60s", "lock.acquire", "path=/l", server=relay,
                          options=options)
        client = Client(server.port)
        waiter = begin("call", "lock.acquire", "path=/l", server=relay, options=options)
        waits(client, "/l", 2)
        relay.close()
        code, _, errors = end(holder)
        equal(code, LOST)
        true("SessionExpired" in errors, errors)
        code, out, errors = end(waiter)
        equal((code, out), (LOST, ""))
        true("not known" in errors, errors)


@case("a call that fails says why, and exits with 1")
def _():
    code, out, errors = run("call", "lock.release", "path=/locks/no", "ticket=/locks/no/lock-1")
    equal((code, out), (FAILED, ""))
    true(errors.startswith("moonkeeper: lock.release: NotOwner: "), errors)
    code, _, errors = run("call", "nosuch.thing")
    equal(code, FAILED)
    true("nosuch.thing: Unimplemented: " in errors, errors)
    code, _, errors = run("call", "lock.acquire", options=["--json"])
    equal((code, json.loads(errors)["error"]), (FAILED, "BadArguments"))


@case("KEY:=JSON is whatever it says")
def _():
    code, _, errors = run("call", "lock.acquire", "path=/locks/typed", "timeout:=250")
    equal((code, errors), (OK, ""))
    code, _, errors = run("call", "lock.acquire", "path:=5")
    equal(code, FAILED)
    true("BadArguments" in errors, errors)
    equal(run("call", "lock.acquire", "path=/locks/typed", "timeout=250ms")[0], OK)


@case("KEY=VALUE is a number, a boolean, a list or a map where the operation declares one")
def _():
    equal(run("call", "counter.add", "path=/typed/number", "by=3")[0], OK)
    equal(run("call", "counter.add", "path=/typed/number", "by=-5")[0], OK)
    equal(run("get", "/typed/number")[1], "-2\n")
    equal(run("call", "lock.acquire", "path=/locks/typed", "timeout=250")[0], OK)
    code, out, errors = run("call", "multilock.acquire", 'paths=["/locks/one","/locks/two"]')
    equal((code, errors), (OK, ""))
    equal(len(json.loads(out)["tickets"]), 2)
    equal(run("call", "counter.add_all", 'by={"/typed/number":5}')[:2], (OK, '{"/typed/number":3}\n'))


@case("KEY=VALUE is text where the operation declares text, whatever it looks like")
def _():
    for value in ("3", "true", "null", "[1]", '{"a":1}', '"quoted"', "007"):
        equal(run("call", "value.set", "path=/typed/text", f"data={value}")[0], OK)
        equal(run("get", "/typed/text")[:2], (OK, value + "\n"))


@case("KEY=VALUE that is not what the operation declares is refused by the server, with its name")
def _():
    for value in ("three", "007", "true", "[3]", "1.5", "99999999999999999999"):
        code, _, errors = run("call", "counter.add", "path=/typed/wrong", f"by={value}")
        equal(code, FAILED)
        true("BadArguments: argument 'by' must be" in errors, errors)
    equal(run("exists", "/typed/wrong")[0], FAILED)
    code, _, errors = run("call", "nosuch.thing", "n=3")
    equal(code, FAILED)
    true("nosuch.thing: Unimplemented: " in errors, errors)
    code, _, errors = run("call", "counter.nothing", "n=3")
    true("counter.nothing: Unimplemented: " in errors, errors)
    code, _, errors = run("call", "counter.get", "path=/typed/number", "n=3")
    true("BadArguments" in errors, errors)


# --- What is around the commands.


@case("--help fits one screen, begins with an example, and is what help prints")
def _():
    code, out, errors = run("--help")
    equal((code, errors), (OK, ""))
    lines = out.split("\n")
    true(lines[0].startswith("Example: moonkeeper "), lines[0])
    true(len(lines) <= 41, f"{len(lines)} lines")
    true(max(len(line) for line in lines) <= 100, "no line is wider than 100")
    equal(run("help")[1], out)
    version = subprocess.run([harness.needed("MOONKEEPERD"), "--version"], text=True, check=True,
                             stdout=subprocess.PIPE).stdout
    equal(run("version")[1].replace("moonkeeper ", "moonkeeperd "), version)


@case("a command line that makes no sense exits with 2 and says what is wrong")
def _():
    for words, what in ((("nosuch",), "nosuch: no such command"), ((), "no command"),
                        (("get",), "usage: moonkeeper get PATH"), (("get", "/a", "/b"), "usage: "),
                        (("get", "-x", "/a"), "usage: "), (("set", "/a"), "usage: "),
                        (("set", "-v", "x", "/a", "b"), "usage: "),
                        (("create", "-c", "-e", "/a"), "usage: "),
                        (("create", "--hold=soon", "/a"), "usage: "),
                        (("call",), "which operation"),
                        (("call", "path=/a"), "before its arguments"),
                        (("call", "a.b", "path"), "not KEY=VALUE"),
                        (("call", "a.b", "=x"), "not KEY"),
                        (("call", "a.b", "x=1", "x=2"), "x is given twice"),
                        (("call", "a.b", "x:={"), "x:={"),
                        (("call", "--hold=5", "a.b"), "duration"),
                        (("word", "x"), "four letters"),
                        (("--timeout", "5", "sync"), "duration"), (("-s", "", "sync"), "list of"),
                        (("-s", "a:b", "sync"), "list of"),
                        (("--nosuch", "sync"), "not an option")):
        done = subprocess.run([harness.needed("MOONKEEPER"), *words], text=True, timeout=20,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        equal((done.returncode, done.stdout), (USAGE, ""), str(words))
        true(what in done.stderr, f"{words}: {done.stderr}")


@case("four-letter words are asked with `word`")
def _():
    equal(run("word", "ruok"), (OK, "imok\n", ""))
    true("\nMode: standalone\n" in run("word", "srvr")[1], "srvr")


@case("without a server the exit code is 3; the next of a list is tried")
def _():
    class Nowhere:
        address = f"127.0.0.1:{harness.free_port()}"

    for words in (("get", "/"), ("call", "a.b"), ("word", "ruok")):
        code, out, errors = run(*words, server=Nowhere)
        equal((code, out), (UNREACHABLE, ""))
        true("Connection refused" in errors, errors)

    class Both:
        address = f"{Nowhere.address},{shared().address}"

    equal(run("exists", "/", server=Both), (OK, "true\n", ""))
    environment = dict(os.environ, MOONKEEPER_SERVERS=shared().address)
    equal(subprocess.run([harness.needed("MOONKEEPER"), "exists", "/"], env=environment, text=True,
                         stdout=subprocess.PIPE, check=False, timeout=20).stdout, "true\n")


@case("what answers nonsense, or nothing, is no server")
def _():
    for answer in (b"HTTP/1.0 400 Bad Request\r\n\r\n", b"", b"\x7f\xff\xff\xff", None):
        with Impostor(answer) as impostor:
            code, out, errors = run("get", "/", server=impostor, options=["--timeout", "300ms"])
            equal((code, out), (UNREACHABLE, ""), errors)


class Impostor:
    """Answers every connection with the same bytes; None: with silence."""

    def __init__(self, answer):
        self.answer = answer
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.connections = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                connection, _ = self.socket.accept()
                self.connections.append(connection)
                if self.answer is not None:
                    connection.recv(100)
                    connection.sendall(self.answer)
                    connection.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in [self.socket] + self.connections:
            one.close()


if __name__ == "__main__":
    harness.main()
