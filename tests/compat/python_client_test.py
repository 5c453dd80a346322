#!/usr/bin/python3
"""The Python module, over Debian's kazoo: calls, exactly once, whatever happens to the connection."""

import functools
import os
import signal
import subprocess
import sys
import threading

import harness
import tally
from harness import case, equal, true, until
from relay import Relay

sys.path.insert(0, os.path.join(tally.SOURCE, "src/client/python"))
try:
    import moonkeeper
    from kazoo.client import KazooClient
    from kazoo.retry import KazooRetry
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(harness.SKIPPED)

CALLS = moonkeeper.CALLS
numbers = iter(range(10 ** 6))


@functools.lru_cache(maxsize=None)
def shared():
    return tally.server("tickTime=500")


def connect(address=None, **options):
    retry = KazooRetry(max_tries=-1, delay=0.01, max_delay=0.1)
    client = KazooClient(hosts=address or shared().address, connection_retry=retry, timeout=10,
                         **options)
    client.start(timeout=30)
    return client


def finish(*clients):
    for client in clients:
        client.stop()
        client.close()


def number(client, value=b"0"):
    """A znode that holds a number, and its path."""
    path = f"/number-{next(numbers)}"
    client.create(path, value)
    return path


def raises(error, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except moonkeeper.CallError as raised:
        equal(raised.error, error)
        return raised
    raise AssertionError(f"{error} was not raised")


@case("a call returns its result, and leaves no znode behind")
def _():
    client = connect()
    path = number(client)
    equal([moonkeeper.call(client, "tally.add", path=path) for _ in range(3)], [1, 2, 3])
    equal(client.get_children(CALLS), [])
    finish(client)


@case("arguments and results are whatever JSON can say, and may be called client or operation")
def _():
    client = connect()
    value = {"list": [1, 2.5, None, True], "text": "ä\n\"", "client": {}, "operation": []}
    equal(moonkeeper.call(client, "tally.echo", value=value, text="x"),
          {"value": value, "text": "x"})
    raises("BadArguments", moonkeeper.call, client, "tally.echo", client=1, operation=2)
    finish(client)


@case("a lock is waited for, and ends with the session of its holder")
def _():
    one, two = connect(), connect()
    first = moonkeeper.call(one, "lock.acquire", path="/l/a")
    pending = moonkeeper.start(two, "lock.acquire", path="/l/a")
    until(lambda: len(one.get_children("/l/a")) == 2, "it waits")
    finish(one)
    true(pending.result()["fence"] > first["fence"], "a larger fence")
    equal(two.get_children(CALLS), [])
    finish(two)


@case("a call that fails raises its error by name; one that cannot be made, too")
def _():
    client, other = connect(), connect()
    moonkeeper.call(other, "lock.acquire", path="/l/b")
    late = raises("Timeout", moonkeeper.call, client, "lock.acquire", path="/l/b", timeout="50ms")
    true("in time" in late.message and "Timeout" in str(late), str(late))
    raises("NotOwner", moonkeeper.call, client, "lock.release", path="/l/b",
           ticket="/l/b/lock-0000000000")
    raises("Unimplemented", moonkeeper.call, client, "no.such")
    raises("BadArguments", moonkeeper.call, client, "lock.acquire")
    equal(client.get_children(CALLS), [])
    finish(client, other)


@case("who has too many calls waiting is told, and may call again when one has ended")
def _():
    with tally.server("sessionCallsMax=3") as server:
        client = connect(server.address)
        path = number(client)
        waiting = [moonkeeper.start(client, "tally.await", path=path, gate="/gate")
                   for _ in range(3)]
        raises("Overload", moonkeeper.call, client, "tally.add", path=path)
        equal(waiting[0].cancel(), True)
        equal(moonkeeper.call(client, "tally.add", path=path), 1)
        finish(client)


@case("a call is cancelled, unless it has ended")
def _():
    client, other = connect(), connect()
    granted = moonkeeper.call(other, "lock.acquire", path="/l/c")
    pending = moonkeeper.start(client, "lock.acquire", path="/l/c")
    equal(pending.cancel(), True)
    raises("Cancelled", pending.result)
    equal(len(client.get_children("/l/c")), 1)
    pending = moonkeeper.start(client, "lock.acquire", path="/l/c")
    moonkeeper.call(other, "lock.release", path="/l/c", ticket=granted["ticket"])
    until(lambda: client.get(pending.path)[1].version > 0, "it is granted")
    equal(pending.cancel(), False)
    true(pending.result()["fence"] > granted["fence"], "it has its result")
    finish(client, other)


@case("waiting ends after a time that the caller gives; the call goes on")
def _():
    client = connect()
    path = number(client)
    pending = moonkeeper.start(client, "tally.await", path=path, gate=path + "-gate")
    for seconds in (0, 0.05):
        try:
            pending.result(seconds)
            raise AssertionError("it cannot have ended")
        except TimeoutError:
            pass
    client.create(path + "-gate")
    equal((pending.result(), pending.result(), client.get(path)[0]), (1, 1, b"1"))
    finish(client)


@case("Ctrl-C while it waits cancels the call")
def _():
    client = connect()
    path = number(client)
    script = ("import sys; sys.path.insert(0, sys.argv[1]); import moonkeeper\n"
              "from kazoo.client import KazooClient\n"
              "client = KazooClient(sys.argv[2]); client.start()\n"
              "try: moonkeeper.call(client, 'lock.acquire', path='/l/d')\n"
              "except KeyboardInterrupt: print(len(client.get_children('/l/d')), flush=True)\n"
              "client.stop()")
    granted = moonkeeper.call(client, "lock.acquire", path="/l/d")
    process = subprocess.Popen([sys.executable, "-c", script, os.path.dirname(moonkeeper.__file__),
                                shared().address], stdout=subprocess.PIPE, text=True)
    until(lambda: len(client.get_children("/l/d")) == 2, "it waits")
    process.send_signal(signal.SIGINT)
    equal(process.communicate(timeout=60)[0], "1\n")
    true(granted and path, "")
    finish(client)


@case("a thousand calls over a connection that loses requests and replies are run once each")
def _():
    witness = connect()
    path = number(witness)
    relay = Relay(shared().port)
    client = connect(relay.address)
    losses = 0
    for expected in range(1, 1001):
        if expected % 20 == 0:
            relay.lose("request" if expected % 40 else "reply")
            losses += 1
        equal(moonkeeper.call(client, "tally.add", path=path), expected)
    equal(witness.get(path)[0], b"1000")
    true(relay.accepted > losses // 2, f"{relay.accepted} connections")
    equal(client.get_children(CALLS), [])
    finish(client, witness)
    relay.close()


@case("threads that share a client have their own calls, each run once")
def _():
    relay = Relay(shared().port)
    client = connect(relay.address)
    path = number(client)
    results = []

    def add():
        for _ in range(50):
            results.append(moonkeeper.call(client, "tally.add", path=path))

    threads = [threading.Thread(target=add, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for done in (50, 150, 250):
        until(lambda at=done: len(results) > at, "calls are made", 60)
        relay.cut()
    for thread in threads:
        thread.join(60)
    equal(sorted(results), list(range(1, 401)))
    finish(client)
    relay.close()


@case("a call that waits survives broken connections, and a server that is killed")
def _():
    with tally.server("tickTime=500") as server:
        relay = Relay(server.port)
        client, witness = connect(relay.address), connect(server.address)
        path = number(witness)
        pending = moonkeeper.start(client, "tally.await", path=path, gate="/gate")
        for attempt in range(3):
            relay.cut()
            until(lambda at=attempt: relay.accepted > at + 1, "it connects again")
        server.kill()
        server.start()
        until(lambda: witness.connected, "the witness is back")
        equal(witness.get(path)[0], b"0")
        witness.create("/gate")
        equal(pending.result(), 1)
        equal(witness.get(path)[0], b"1")
        finish(client, witness)
        relay.close()


@case("a result that comes while the client is away is there when it is back")
def _():
    relay = Relay(shared().port)
    client, witness = connect(relay.address), connect()
    path = number(witness)
    pending = moonkeeper.start(client, "tally.await", path=path, gate=path + "-gate")
    relay.freeze()
    witness.create(path + "-gate")
    until(lambda: witness.get(path)[0] == b"1", "it has run")
    relay.cut()
    relay.flow()
    equal(pending.result(), 1)
    finish(client, witness)
    relay.close()


@case("after the session has expired the outcome is unknown, and is said to be")
def _():
    relay = Relay(shared().port)
    client, witness = connect(relay.address), connect()
    path = number(witness)
    pending = moonkeeper.start(client, "tally.await", path=path, gate=path + "-gate")
    other = KazooClient(shared().address, client_id=client.client_id, timeout=10)
    other.start(timeout=30)  # attaches to the session, and closes it
    finish(other)
    unknown = raises("SessionExpired", pending.result)
    equal(type(unknown), moonkeeper.OutcomeUnknown)
    equal(pending.cancel(), False)
    witness.create(path + "-gate")
    equal(witness.get(path)[0], b"0")
    until(lambda: client.connected, "the client has another session")
    equal(moonkeeper.call(client, "tally.add", path=path), 1)
    finish(client, witness)
    relay.close()


@case("a client that is stopped has no result, and does not wait for ever")
def _():
    client = connect()
    path = number(client)
    pending = moonkeeper.start(client, "tally.await", path=path, gate=path + "-gate")
    timer = threading.Timer(0.1, client.stop)
    timer.start()
    raises("SessionExpired", pending.result)
    timer.join()
    client.close()


if __name__ == "__main__":
    harness.main()
