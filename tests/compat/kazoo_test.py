#!/usr/bin/python3
"""kazoo, as Debian packages it, against Moonkeeper: the client as it is, its recipes, and the
server's own lock through call nodes. Run by Debian's python3, which has that kazoo."""

import functools
import json
import threading
import time

import harness
import kazoo_clients
from harness import case, equal, in_threads, true, until
from kazoo_clients import KazooClient, finish

from kazoo.exceptions import (BadVersionError, NoAuthError, NoNodeError, NodeExistsError,
                              NotEmptyError, RolledBackError)
from kazoo.recipe.watchers import ChildrenWatch, DataWatch
from kazoo.security import make_digest_acl


@functools.lru_cache(maxsize=None)
def shared():
    return harness.server("tickTime=500")


def connect(**options):
    return kazoo_clients.connect(shared(), **options)


# --- The client.


@case("kazoo creates, reads, writes, lists and deletes")
def _():
    client = connect()
    equal(client.create("/basics/a", b"one", makepath=True), "/basics/a")
    data, stat = client.get("/basics/a")
    equal((data, stat.version, stat.data_length), (b"one", 0, 3))
    equal(client.set("/basics/a", b"two", version=0).version, 1)
    equal(client.get_children("/basics"), ["a"])
    equal(client.exists("/basics/nope"), None)
    for error, attempt in ((NodeExistsError, lambda: client.create("/basics/a")),
                           (BadVersionError, lambda: client.set("/basics/a", b"", version=7)),
                           (NotEmptyError, lambda: client.delete("/basics")),
                           (NoNodeError, lambda: client.get("/basics/nope"))):
        try:
            attempt()
            raise AssertionError(f"{error.__name__} was not raised")
        except error:
            pass
    path, stat = client.create("/basics/s-", b"x", sequence=True, ephemeral=True, include_data=True)
    equal((path, stat.ephemeralOwner), ("/basics/s-0000000001", client.client_id[0]))
    client.delete("/basics", recursive=True)
    equal(client.exists("/basics"), None)
    finish(client)


@case("kazoo's watches fire, once each, and its watchers follow")
def _():
    client, other = connect(), connect()
    client.ensure_path("/watched")
    seen, data, children = [], [], []
    client.get("/watched", watch=seen.append)
    DataWatch(client, "/watched", lambda value, stat: data.append(value))
    ChildrenWatch(client, "/watched", lambda names: children.append(sorted(names)))
    other.set("/watched", b"1")
    until(lambda: b"1" in data, "the data watch")
    other.set("/watched", b"2")
    other.create("/watched/a")
    until(lambda: data[-1] == b"2" and children[-1] == ["a"], "both watchers")
    equal([(event.type, event.path) for event in seen], [("CHANGED", "/watched")])
    finish(client, other)


@case("kazoo's transactions commit as one, or roll back and say why")
def _():
    client = connect()
    transaction = client.transaction()
    transaction.create("/tx", b"")
    transaction.create("/tx/a", b"1")
    transaction.set_data("/tx/a", b"2")
    transaction.check("/tx/a", version=1)
    results = transaction.commit()
    equal(results[:2], ["/tx", "/tx/a"])
    equal((results[2].version, results[3]), (1, True))
    transaction = client.transaction()
    transaction.delete("/tx/a")
    transaction.check("/tx", version=9)
    results = transaction.commit()
    equal([type(result) for result in results], [RolledBackError, BadVersionError])
    equal(client.get("/tx/a")[0], b"2")
    finish(client)


@case("kazoo's authentication opens what is closed to others")
def _():
    owner, other = connect(), connect()
    owner.add_auth("digest", "bob:secret")
    owner.create("/private", b"x", acl=[make_digest_acl("bob", "secret", all=True)])
    try:
        other.get("/private")
        raise AssertionError("it was read without a right")
    except NoAuthError:
        pass
    other.add_auth("digest", "bob:secret")
    equal(other.get("/private")[0], b"x")
    finish(owner, other)


@case("kazoo reads the server's version and its words")
def _():
    with harness.server("4lw.commands.whitelist=*") as server:
        client = KazooClient(hosts=server.address)
        client.start(timeout=20)
        true(client.server_version() >= (3, 9), "a version")
        equal(client.command(b"ruok"), "imok")
        true("Mode: standalone" in client.command(b"srvr"), "srvr")
        finish(client)


@case("kazoo's session survives a restart of the server, with its ephemerals")
def _():
    with harness.server("tickTime=500") as server:
        client = KazooClient(hosts=server.address, timeout=10)
        client.start(timeout=20)
        session = client.client_id[0]
        client.create("/mine", b"x", ephemeral=True)
        server.restart()
        until(lambda: client.connected, "connected again")
        equal(client.retry(client.get, "/mine")[0], b"x")
        equal(client.client_id[0], session)
        finish(client)


@case("1,000 requests in flight come back in order")
def _():
    client = connect()
    client.ensure_path("/async")
    pending = [client.create_async("/async/n-", b"%d" % i, sequence=True) for i in range(1000)]
    equal([one.get(timeout=30) for one in pending], [f"/async/n-{i:010d}" for i in range(1000)])
    finish(client)


# --- kazoo's own recipes.


@case("kazoo's Lock lets one in at a time")
def _():
    clients = [connect() for _ in range(4)]
    inside, entered = [], []

    def work(client):
        for _ in range(5):
            with client.Lock("/kazoo/lock", str(client.client_id[0])):
                inside.append(client)
                equal(len(inside), 1, "holders")
                entered.append(client)
                inside.remove(client)

    in_threads(*[functools.partial(work, client) for client in clients])
    equal(len(entered), 20)
    finish(*clients)


@case("kazoo's ReadLock, WriteLock and Semaphore keep their bounds")
def _():
    clients = [connect() for _ in range(3)]
    with clients[0].ReadLock("/kazoo/rw"), clients[1].ReadLock("/kazoo/rw"):
        equal(clients[2].WriteLock("/kazoo/rw").acquire(blocking=False), False)
    with clients[2].WriteLock("/kazoo/rw"):
        pass
    first, second, third = (client.Semaphore("/kazoo/semaphore", max_leases=2)
                            for client in clients)
    true(first.acquire(timeout=10) and second.acquire(timeout=10), "two leases")
    equal(third.acquire(blocking=False), False)
    first.release()
    true(third.acquire(timeout=10), "the lease that was given back")
    finish(*clients)


@case("kazoo's Election has one leader at a time")
def _():
    clients = [connect() for _ in range(3)]
    leading, led = [], []

    def lead(client):
        leading.append(client)
        equal(len(leading), 1, "leaders")
        time.sleep(0.02)
        led.append(client)
        leading.remove(client)

    in_threads(*[functools.partial(client.Election("/kazoo/election").run, lead, client)
                 for client in clients])
    equal(len(led), 3)
    finish(*clients)


@case("kazoo's Queue and LockingQueue lose nothing and give nothing twice")
def _():
    clients = [connect() for _ in range(3)]
    queue = clients[0].Queue("/kazoo/queue")
    for i in range(60):
        queue.put(b"%03d" % i)
    taken = []

    def take(client):
        own = client.Queue("/kazoo/queue")
        while True:
            item = own.get()
            if item is None:
                return
            taken.append(item)

    in_threads(*[functools.partial(take, client) for client in clients])
    equal(sorted(taken), [b"%03d" % i for i in range(60)])
    locking = clients[0].LockingQueue("/kazoo/locking")
    locking.put_all([b"a", b"b"])
    equal(locking.get(10), b"a")
    true(locking.consume(), "consumed")
    equal(clients[1].LockingQueue("/kazoo/locking").get(10), b"b")
    finish(*clients)


@case("kazoo's Counter counts every addition")
def _():
    clients = [connect() for _ in range(3)]

    def add(client):
        counter = client.Counter("/kazoo/counter")
        for _ in range(20):
            counter += 1

    in_threads(*[functools.partial(add, client) for client in clients])
    equal(clients[0].Counter("/kazoo/counter").value, 60)
    finish(*clients)


@case("kazoo's Barrier and DoubleBarrier hold until all may pass")
def _():
    clients = [connect() for _ in range(2)]
    barrier = clients[0].Barrier("/kazoo/barrier")
    barrier.create()
    equal(clients[1].Barrier("/kazoo/barrier").wait(timeout=0.2), False)
    passed = threading.Thread(
        target=lambda: true(clients[1].Barrier("/kazoo/barrier").wait(timeout=20), "passed"),
        daemon=True)
    passed.start()
    barrier.remove()
    passed.join(20)
    true(not passed.is_alive(), "the barrier opened")

    through = []

    def meet(client):
        double = client.DoubleBarrier("/kazoo/double", 2)
        double.enter()
        through.append("in")
        double.leave()
        through.append("out")

    in_threads(*[functools.partial(meet, client) for client in clients])
    equal(sorted(through), ["in", "in", "out", "out"])
    finish(*clients)


@case("kazoo's Party knows who is there, and who has gone")
def _():
    clients = [connect() for _ in range(3)]
    parties = [client.Party("/kazoo/party", f"member-{i}") for i, client in enumerate(clients)]
    for party in parties:
        party.join()
    equal(sorted(parties[0]), ["member-0", "member-1", "member-2"])
    finish(clients[2])
    equal(sorted(parties[0]), ["member-0", "member-1"])
    finish(*clients[:2])


@case("kazoo's SetPartitioner and TreeCache settle")
def _():
    clients = [connect() for _ in range(2)]
    partitioners = [client.SetPartitioner("/kazoo/partition", set=range(4), time_boundary=0.5,
                                          identifier=f"member-{i}")
                    for i, client in enumerate(clients)]

    def settle(one):
        while not one.acquired or len(list(one)) != 2:
            if one.release:
                one.release_set()
            elif one.failed:
                raise AssertionError("a partitioner failed")
            else:
                one.wait_for_acquire(1)
                time.sleep(0.05)

    in_threads(*[functools.partial(settle, one) for one in partitioners])
    equal(sorted(list(partitioners[0]) + list(partitioners[1])), [0, 1, 2, 3])

    from kazoo.recipe.cache import TreeCache
    cache = TreeCache(clients[0], "/kazoo/tree")
    clients[0].ensure_path("/kazoo/tree")
    cache.start()
    clients[1].create("/kazoo/tree/a", b"x")
    until(lambda: cache.get_data("/kazoo/tree/a"), "the cache follows")
    equal(cache.get_data("/kazoo/tree/a").data, b"x")
    cache.close()
    finish(*clients)


# --- The server's recipes, through call nodes.


def make_call(client, operation, **arguments):
    """The path of the call's znode."""
    return client.create(f"/zookeeper/calls/{operation}-", json.dumps(arguments).encode(),
                         ephemeral=True, sequence=True)


def wait_result(client, path, seconds=20):
    """The call's znode as JSON, when the call has ended; by its watch, which also tells of the ends of
    connections."""
    while True:
        changed = threading.Event()
        state = json.loads(client.get(path, watch=lambda event: changed.set())[0])
        if state["state"] != "waiting":
            return state
        true(changed.wait(seconds), "the call did not end in time")


@case("a free lock is granted by the reply to the create itself")
def _():
    client = connect()
    path = make_call(client, "lock.acquire", path="/server/free")
    state = json.loads(client.get(path)[0])
    equal(state["state"], "done")
    ticket = state["result"]["ticket"]
    equal(client.exists(ticket).ephemeralOwner, client.client_id[0])
    released = make_call(client, "lock.release", path="/server/free", ticket=ticket)
    equal(json.loads(client.get(released)[0]), {"state": "done", "result": True})
    equal(client.exists(ticket), None)
    finish(client)


@case("a lock is passed on, with a larger fence, and its waiter is told by the call's znode")
def _():
    holder, waiter = connect(), connect()
    first = wait_result(holder, make_call(holder, "lock.acquire", path="/server/lock"))["result"]
    path = make_call(waiter, "lock.acquire", path="/server/lock")
    data, stat = waiter.get(path)
    equal((json.loads(data), stat.version), ({"state": "waiting"}, 0))
    results = []
    thread = threading.Thread(target=lambda: results.append(wait_result(waiter, path)),
                              daemon=True)
    thread.start()
    make_call(holder, "lock.release", path="/server/lock", ticket=first["ticket"])
    thread.join(20)
    true(results, "the waiter was told")
    true(results[0]["result"]["fence"] > first["fence"], "a larger fence")
    true(waiter.get(path)[1].version > 0, "a finished call has a version above 0")
    finish(holder, waiter)


@case("the end of a holder's session passes its lock on")
def _():
    holder, waiter = connect(), connect()
    wait_result(holder, make_call(holder, "lock.acquire", path="/server/session"))
    path = make_call(waiter, "lock.acquire", path="/server/session")
    equal(json.loads(waiter.get(path)[0])["state"], "waiting")
    finish(holder)
    equal(wait_result(waiter, path)["state"], "done")
    finish(waiter)


@case("deleting a waiting call's znode with version 0 cancels it; of a finished one, it fails")
def _():
    holder, waiter, third = connect(), connect(), connect()
    done = make_call(holder, "lock.acquire", path="/server/cancel")
    wait_result(holder, done)
    cancelled = make_call(waiter, "lock.acquire", path="/server/cancel")
    behind = make_call(third, "lock.acquire", path="/server/cancel")
    waiter.delete(cancelled, version=0)
    equal(waiter.exists(cancelled), None)
    equal(len(holder.get_children("/server/cancel")), 2, "the cancelled ticket is gone")
    try:
        holder.delete(done, version=0)
        raise AssertionError("a finished call was cancelled")
    except BadVersionError:
        pass
    finish(holder)
    equal(wait_result(third, behind)["state"], "done")
    finish(waiter, third)


@case("a call that is not granted in time says so, and leaves nothing behind")
def _():
    holder, waiter = connect(), connect()
    wait_result(holder, make_call(holder, "lock.acquire", path="/server/timeout"))
    path = make_call(waiter, "lock.acquire", path="/server/timeout", timeout="300ms")
    state = wait_result(waiter, path)
    equal((state["state"], state["error"]), ("failed", "Timeout"))
    equal(len(waiter.get_children("/server/timeout")), 1)
    finish(holder, waiter)


@case("what cannot run is refused, and leaves no znode")
def _():
    client = connect()
    for operation, arguments in (("nosuch.thing", {}), ("lock.acquire", {}), ("lock.nosuch", {}),
                                 ("lock.acquire", {"path": 5}),
                                 ("lock.acquire", {"path": "/a", "x": 1})):
        try:
            make_call(client, operation, **arguments)
            raise AssertionError(f"{operation} {arguments} was taken")
        except Exception as error:  # pylint: disable=broad-except
            true(type(error).__name__ in ("UnimplementedError", "BadArgumentsError"), repr(error))
    equal(client.get_children("/zookeeper/calls"), [])
    finish(client)


@case("a session lists and reads its own calls, and nobody else's")
def _():
    one, other = connect(), connect()
    path = make_call(one, "lock.acquire", path="/server/own")
    equal(["/zookeeper/calls/" + name for name in one.get_children("/zookeeper/calls")], [path])
    equal(other.get_children("/zookeeper/calls"), [])
    for attempt in (lambda: other.get(path), lambda: other.delete(path)):
        try:
            attempt()
            raise AssertionError("another session's call is open")
        except NoAuthError:
            pass
    one.delete(path)
    equal(one.get_children("/zookeeper/calls"), [])
    finish(one, other)


@case("kazoo's Lock and the server's contend for one lock, in one queue")
def _():
    client, other, third = connect(), connect(), connect()
    lock = client.Lock("/server/shared", "kazoo", extra_lock_patterns=["lock-"])
    lock.acquire(timeout=10)
    path = make_call(other, "lock.acquire", path="/server/shared")
    equal(json.loads(other.get(path)[0])["state"], "waiting")
    behind = third.Lock("/server/shared", "kazoo too", extra_lock_patterns=["lock-"])
    equal(behind.acquire(blocking=False), False)
    lock.release()
    ticket = wait_result(other, path)["result"]["ticket"]
    equal(behind.acquire(blocking=False), False)
    make_call(other, "lock.release", path="/server/shared", ticket=ticket)
    true(behind.acquire(timeout=10), "kazoo has it after the server's holder")
    finish(client, other, third)


@case("kazoo sees the usage of a quota, which follows every client's changes")
def _():
    one, two = connect(), connect()
    one.create("/quoted/a", b"12345", makepath=True)
    one.ensure_path("/zookeeper/quota/quoted")
    one.create("/zookeeper/quota/quoted/zookeeper_limits", b"count=2,bytes=-1")
    one.create("/zookeeper/quota/quoted/zookeeper_stats", b"count=0,bytes=0")
    equal(one.get("/zookeeper/quota/quoted/zookeeper_stats")[0], b"count=2,bytes=5")
    two.create("/quoted/e-", b"12", ephemeral=True, sequence=True)
    with one.transaction() as transaction:
        transaction.create("/quoted/b", b"x")
        transaction.set_data("/quoted/a", b"")
    equal(one.get("/zookeeper/quota/quoted/zookeeper_stats")[0], b"count=4,bytes=3")
    finish(two)
    equal(one.get("/zookeeper/quota/quoted/zookeeper_stats")[0], b"count=3,bytes=1")
    finish(one)


if __name__ == "__main__":
    harness.main()
