#!/usr/bin/python3
"""kazoo's own Counter, Queue and LockingQueue beside callers of the server's recipes, on one znode.
Run by Debian's python3, which has that kazoo. Curator's DistributedAtomicLong beside counter.add is a
case of curator_test.py."""

import collections
import functools
import threading

import harness
import kazoo_clients
from harness import case, equal, in_threads, true, until
from kazoo_clients import finish

from moonkeeper import call, start

WAIT_SECONDS_MAX = 90  # For anything at all: the server may run under AddressSanitizer, beside others.
ADDITIONS = 40         # Of each of the counters' threads.
MESSAGES = 60          # Of each kind of producer.
LAST = b"last"         # Tells one consumer to stop.


@functools.lru_cache(maxsize=None)
def shared():
    return harness.server("tickTime=500", "maxSessionTimeout=60000")


def connect(timeout=30):
    return kazoo_clients.connect(shared(), timeout)


# --- One number.


@case("kazoo's Counter and counter.add add to one number, and nothing is lost")
def _():
    clients = [connect() for _ in range(5)]
    clients[0].ensure_path("/data/number")

    def kazoo_adds(client, by):
        counter = client.Counter("/data/number")
        for _ in range(ADDITIONS):
            counter += by

    def recipe_adds(client, by):
        for _ in range(ADDITIONS):
            result = call(client, "counter.add", path="/data/number", by=by)
            equal(result["after"] - result["before"], by)

    in_threads(lambda: kazoo_adds(clients[0], 1), lambda: kazoo_adds(clients[1], -3),
               lambda: recipe_adds(clients[2], 10), lambda: recipe_adds(clients[3], 100),
               lambda: recipe_adds(clients[4], -1))
    equal(clients[0].Counter("/data/number").value, ADDITIONS * (1 - 3 + 10 + 100 - 1))
    finish(*clients)


# --- One queue.


def kazoo_consumes(client, path, taken):
    queue = client.LockingQueue(path)
    while True:
        message = queue.get(timeout=WAIT_SECONDS_MAX)
        true(message is not None, "kazoo waited in vain")
        true(queue.consume(), "kazoo could not consume what it had taken")
        if message == LAST:
            return
        taken.append(message)


def recipe_consumes(client, path, taken):
    while True:
        message, = call(client, "queue.take", path=path)
        true(call(client, "queue.ack", path=path, id=message["id"], fence=message["fence"]), "acked")
        if message["data"].encode() == LAST:
            return
        taken.append(message["data"].encode())


@case("kazoo's LockingQueue and queue.take share one queue: every message is taken once")
def _():
    path = "/data/shared"
    producers, consumers = [connect(), connect()], [connect() for _ in range(5)]
    queue = producers[0].LockingQueue(path)
    taken = [[] for _ in consumers]

    def kazoo_puts():
        for number in range(MESSAGES):
            queue.put(f"kazoo {number}".encode())

    def recipe_puts():
        for number in range(MESSAGES):
            call(producers[1], "queue.put", path=path, data=f"recipe {number}")

    def tell_all_to_stop():
        in_threads(kazoo_puts, recipe_puts)
        for _ in consumers:
            queue.put(LAST, priority=900)

    in_threads(tell_all_to_stop,
               *[functools.partial(kazoo_consumes if i < 2 else recipe_consumes, client, path,
                                   taken[i]) for i, client in enumerate(consumers)])

    counts = collections.Counter(message for messages in taken for message in messages)
    equal(set(counts.values()), {1})
    equal(set(counts), {f"{kind} {number}".encode()
                        for kind in ("kazoo", "recipe") for number in range(MESSAGES)})
    for messages in taken[2:]:  # Of one producer, each consumer sees an increasing part.
        for kind in (b"kazoo", b"recipe"):
            numbers = [int(one.split()[1]) for one in messages if one.startswith(kind)]
            equal(numbers, sorted(numbers))
    equal(call(producers[0], "queue.stats", path=path)["ready"], 0)
    finish(*producers, *consumers)


@case("a waiting queue.take gets what kazoo puts, and kazoo's waiting get what queue.put puts")
def _():
    path = "/data/waiting"
    one, two = connect(), connect()
    pending = start(one, "queue.take", path=path)
    two.LockingQueue(path).put(b"from kazoo")
    message, = pending.result(WAIT_SECONDS_MAX)
    equal(message["data"], "from kazoo")
    call(one, "queue.ack", path=path, id=message["id"], fence=message["fence"])

    got = []
    queue = two.LockingQueue(path)
    waiting = threading.Thread(target=lambda: got.append(queue.get(timeout=WAIT_SECONDS_MAX)))
    waiting.start()
    call(one, "queue.put", path=path, data="from a recipe")
    waiting.join(WAIT_SECONDS_MAX)
    equal(got, [b"from a recipe"])
    finish(one, two)


@case("what the session of a consumer leaves behind goes to a consumer of the other kind")
def _():
    path = "/data/left"
    keeper, kazoo, recipe = connect(), connect(), connect()
    call(keeper, "queue.put", path=path, data="one")
    message, = call(recipe, "queue.take", path=path)
    equal((message["data"], message["deliveries"]), ("one", 1))
    recipe.stop()
    # It comes back when somebody takes: kazoo's clients ask nobody to.
    message, = call(keeper, "queue.take", path=path)
    equal((message["data"], message["deliveries"]), ("one", 2))
    call(keeper, "queue.nack", path=path, id=message["id"], fence=message["fence"])

    queue = kazoo.LockingQueue(path)
    equal(queue.get(timeout=WAIT_SECONDS_MAX), b"one")
    pending = start(keeper, "queue.take", path=path)
    equal(keeper.get(pending.path)[0], b'{"state":"waiting"}')
    kazoo.stop()
    message, = pending.result(WAIT_SECONDS_MAX)
    equal(message["data"], "one")
    finish(keeper)


@case("what queue.put and kazoo put with priorities is taken in one order")
def _():
    path = "/data/order"
    client = connect()
    queue = client.LockingQueue(path)
    for number, (priority, kazoo) in enumerate([(100, True), (100, False), (50, True), (50, False),
                                                (200, False), (100, True)]):
        if kazoo:
            queue.put(str(number).encode(), priority=priority)
        else:
            call(client, "queue.put", path=path, data=str(number), priority=priority)
    taken = call(client, "queue.take", path=path, count=3)
    for message in taken:
        call(client, "queue.ack", path=path, id=message["id"], fence=message["fence"])
    order = [message["data"] for message in taken]
    for _ in range(3):
        order.append(queue.get(timeout=WAIT_SECONDS_MAX).decode())
        true(queue.consume(), "consumed")
    equal(order, ["2", "3", "0", "1", "5", "4"])
    until(lambda: client.get_children(path + "/entries") == [], "empty")
    finish(client)


if __name__ == "__main__":
    harness.main()
