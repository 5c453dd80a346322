#!/usr/bin/python3
"""moonkeeper lock and moonkeeper lead: a command that runs while a lock is held."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import time

import harness
from harness import case, equal, true, until
from raw_client import Client
from relay import Relay

LOST, NOT_GRANTED, FAILED, CANNOT_RUN, NOT_FOUND = 123, 124, 125, 126, 127
numbers = iter(range(10 ** 6))


@functools.lru_cache(maxsize=None)
def shared():
    return harness.server("tickTime=500")


def begin(*words, server=None, options=(), verb="lock"):
    return subprocess.Popen([harness.needed("MOONKEEPER"), "-s", (server or shared()).address,
                             *options, verb, *words], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process):
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def run(*words, **named):
    return end(begin(*words, **named))


def shell(script):
    return ("--", "sh", "-c", script)


def running(*words, **named):
    """A command that has begun; it prints a line first. (process, the line)"""
    process = begin(*words, **named)
    return process, process.stdout.readline().rstrip("\n")


def room():
    return f"/locks/{next(numbers)}", Client(shared().port)


def alive(pid):
    """Not a zombie, which nobody may be there to reap."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def contenders(client, path):
    return 0 if client.stat(path) is None else client.stat(path).children


SLEEPS = "echo $$; exec sleep 60"
FAMILY = "sleep 61 & echo $!; wait"
STUBBORN = "trap '' TERM; echo $$; while :; do sleep 0.1; done"


@case("the command runs while the lock is held, and its exit code is that of the whole")
def _():
    path, client = room()
    code, out, errors = run(path, *shell("echo held; exit 7"))
    equal((code, out, errors), (7, "held\n", ""))
    until(lambda: contenders(client, path) == 0, "the lock is free again")
    equal(run(path, "true")[0], 0, "without the dashes, too")


@case("the command knows its fence, ticket and path")
def _():
    path, client = room()
    code, out, _ = run(path, *shell('echo "$MOONKEEPER_FENCE $MOONKEEPER_TICKET $MOONKEEPER_PATH"'))
    equal(code, 0)
    fence, ticket, said = out.split()
    equal((ticket, said), (path + "/lock-0000000000", path))
    later = int(run(path, *shell("echo $MOONKEEPER_FENCE"))[1])
    true(later > int(fence) > 0, "fences grow")
    client.close()


@case("two commands for one lock never run at the same time")
def _():
    path, _ = room()
    script = "test ! -e busy && touch busy && sleep 0.05 && rm busy"
    many = [begin(path, *shell(script)) for _ in range(8)]
    equal([end(one)[0] for one in many], [0] * 8)


@case("a lock that is not granted within --timeout is exit code 124, and nothing runs")
def _():
    path, client = room()
    holder, _ = running(path, *shell(SLEEPS))
    code, out, errors = run("--timeout", "200ms", path, *shell("echo ran"))
    equal((code, out), (NOT_GRANTED, ""))
    true("Timeout" in errors, errors)
    equal(contenders(client, path), 1)
    holder.send_signal(signal.SIGTERM)
    equal(end(holder)[0], 128 + signal.SIGTERM)


@case("a signal while it waits cancels the call, and is the exit code")
def _():
    path, client = room()
    holder, _ = running(path, *shell(SLEEPS))
    waiter = begin(path, *shell("echo ran"))
    until(lambda: contenders(client, path) == 2, "it waits")
    waiter.send_signal(signal.SIGINT)
    equal(end(waiter)[:2], (128 + signal.SIGINT, ""))
    until(lambda: contenders(client, path) == 1, "its place is free")
    holder.send_signal(signal.SIGTERM)
    end(holder)


@case("signals are passed on to the command, and its end is waited for")
def _():
    path, _ = room()
    for number, name in ((signal.SIGUSR1, "USR1"), (signal.SIGHUP, "HUP"), (signal.SIGINT, "INT")):
        script = f"trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.02; done"
        process, line = running(path, *shell(script))
        equal(line, "ready")
        process.send_signal(number)
        equal(end(process)[:2], (9, "got\n"), name)


@case("a command that a signal has ended is 128 and its number")
def _():
    path, _ = room()
    equal(run(path, *shell("kill -9 $$"))[0], 128 + signal.SIGKILL)


@case("what cannot run is 126, what is not there 127, and what makes no sense 125")
def _():
    path, _ = room()
    equal(run(path, "--", "/etc/passwd")[0], CANNOT_RUN)
    equal(run(path, "--", "/no/such/program")[0], NOT_FOUND)
    for words in ((), (path,), (path, "--"), ("--grace", "soon", path, "true"),
                  ("--nosuch", path, "true"), ("relative", "true")):
        code, out, errors = run(*words)
        equal((code, out), (FAILED, ""), str(words))
        true(errors.startswith("moonkeeper: "), errors)

    class Nowhere:
        address = f"127.0.0.1:{harness.free_port()}"
    equal(run(path, "true", server=Nowhere)[0], FAILED)


@case("a server that is killed and started again costs nothing: the lock is kept")
def _():
    with harness.server("tickTime=500") as server:
        process, line = running("/l", *shell(SLEEPS), server=server)
        server.kill()
        server.start()
        client = Client(server.port)
        equal(contenders(client, "/l"), 1)
        true(alive(line), "it runs on")
        until(lambda: "connecting again" in peek(process.stderr), "it has connected again")
        process.send_signal(signal.SIGTERM)
        equal(end(process)[0], 128 + signal.SIGTERM)


def peek(stream):
    """What there is to be read, without waiting."""
    os.set_blocking(stream.fileno(), False)
    with contextlib.suppress(BlockingIOError, TypeError):
        stream.held = getattr(stream, "held", "") + (os.read(stream.fileno(), 65536).decode())
    return getattr(stream, "held", "")


@case("without a server the command is stopped before somebody else can be granted the lock")
def _():
    begun = []
    for script, grace in ((SLEEPS, "5s"), (FAMILY, "5s"), (STUBBORN, "200ms"), (STUBBORN, "1h")):
        path, client = room()
        relay = Relay(shared().port)
        process, line = running("--grace", grace, path, *shell(script), server=relay)
        looks = f"grep -qs 'State:.[RSDT]' /proc/{line}/status && echo both || echo alone"
        begun.append((process, relay, begin(path, *shell(looks))))
        until(lambda: contenders(client, path) == 2, "somebody waits for it")
    for _, relay, _ in begun:
        relay.freeze()
    for process, relay, waiter in begun:
        code, _, errors = end(process)
        equal(code, LOST, errors)
        true("Lost" in errors, errors)
        equal(end(waiter)[:2], (0, "alone\n"))
        relay.close()


@case("a connection that breaks and is made again in time is no loss")
def _():
    path, client = room()
    relay = Relay(shared().port)
    process, line = running(path, *shell(SLEEPS), server=relay)
    for attempt in range(3):
        relay.cut()
        until(lambda: relay.accepted >= 2 + attempt, "it connects again")
    true(alive(line), "it runs on")
    equal(contenders(client, path), 1)
    process.send_signal(signal.SIGTERM)
    equal(end(process)[0], 128 + signal.SIGTERM)
    relay.close()


@case("a holder that was stopped for longer than its session lasts kills its command when it wakes")
def _():
    path, client = room()
    process, line = running(path, *shell(STUBBORN), options=("--timeout", "1s"))
    process.send_signal(signal.SIGSTOP)
    until(lambda: contenders(client, path) == 0, "its session expires", 60)
    process.send_signal(signal.SIGCONT)
    code, _, errors = end(process)
    equal(code, LOST, errors)
    equal(alive(line), False)


@case("a holder that is killed takes its command with it")
def _():
    path, _ = room()
    process, line = running(path, *shell(SLEEPS))
    process.kill()
    end(process)
    until(lambda: not alive(line), "the command ends")


@case("a ticket that somebody deletes stops the command")
def _():
    path, client = room()
    process, line = running(path, *shell(FAMILY))
    client.delete(path + "/lock-0000000000")
    code, _, errors = end(process)
    equal(code, LOST)
    true("somebody deleted the ticket" in errors, errors)
    until(lambda: not alive(line), "what the command has begun is gone, too")


@case("lead runs the command while it leads, and others are told its value")
def _():
    path, client = room()
    address = ("-s", shared().address)
    leader, _ = running("--value", "ann", path, *shell(SLEEPS), verb="lead")
    told = subprocess.run([harness.needed("MOONKEEPER"), *address, "call", "election.leader",
                           f"path={path}"], stdout=subprocess.PIPE, text=True, check=True).stdout
    true('"value":"ann"' in told, told)
    heir = begin("--value", "bob", path, *shell("echo $MOONKEEPER_FENCE"), verb="lead")
    until(lambda: contenders(client, path) == 2, "somebody else is a candidate")
    leader.send_signal(signal.SIGTERM)
    equal(end(leader)[0], 128 + signal.SIGTERM)
    code, out, errors = end(heir)
    equal((code, errors, int(out) > 0), (0, "", True))
    equal(run("--value", "x", path, "true")[0], FAILED, "a lock has no value")


@case("with --json what went wrong is an object, on standard error")
def _():
    path, _ = room()
    holder, _ = running(path, *shell(SLEEPS))
    code, _, errors = run("--timeout", "50ms", path, "true", options=["--json"])
    equal((code, json.loads(errors)["error"]), (NOT_GRANTED, "Timeout"))
    holder.send_signal(signal.SIGTERM)
    end(holder)


if __name__ == "__main__":
    harness.main()
