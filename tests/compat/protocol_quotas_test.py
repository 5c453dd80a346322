#!/usr/bin/python3
"""The client protocol: quotas, which are ordinary znodes with a meaning (reference, section 8.3)."""

import functools

import harness
import raw_client as raw
from harness import case, equal, true, until
from protocol import names
from raw_client import Client, Reader

OPTIONS = ["tickTime=2000", "extendedTypesEnabled=true", "znode.container.checkIntervalMs=1000"]
QUOTA_EXCEEDED = -125


@functools.lru_cache(maxsize=None)
def shared(enforce):
    return harness.server(*OPTIONS, f"enforceQuota={enforce}")


def connect(enforce="true"):
    return Client(shared(enforce).port)


def room(enforce="true", data=b""):
    """A session, and a znode of its own with a quota still to come."""
    client = connect(enforce)
    path = client.create(next(names), data)
    client.create("/zookeeper/quota" + path)
    return client, path


def limits_of(path):
    return f"/zookeeper/quota{path}/zookeeper_limits"


def stats_of(path):
    return f"/zookeeper/quota{path}/zookeeper_stats"


def limit(client, path, limits):
    client.create(limits_of(path), limits.encode())
    client.create(stats_of(path), b"count=0,bytes=0")


def usage(client, path):
    return client.get(stats_of(path))[0].decode()


@case("creating zookeeper_stats counts what there is: the znode itself too, and bytes of data only")
def _():
    client, path = room(data=b"12")
    client.create(path + "/b", b"345")
    client.must(raw.CREATE, raw.create(path + "/null", None))
    limit(client, path, "count=5,bytes=-1")
    equal(usage(client, path), "count=3,bytes=5")


@case("usage follows each change; the Stat of zookeeper_stats does not, but for its length")
def _():
    client, path = room()
    limit(client, path, "count=100,bytes=-1")
    before = client.stat(stats_of(path))
    client.stat(stats_of(path), watch=True)
    client.get(stats_of(path), watch=True)
    for number in range(12):
        client.create(f"{path}/{number}", b"x" * 10)
    equal(usage(client, path), "count=13,bytes=120")
    client.set(path + "/1", b"")
    client.set(path + "/2", b"x" * 30)
    client.delete(path + "/3")
    equal(usage(client, path), "count=12,bytes=120")
    equal(client.stat(stats_of(path)), before._replace(length=len("count=12,bytes=120")))
    equal(client.take_events(), [])


@case("the create of zookeeper_stats is answered with the length that was sent")
def _():
    client, path = room()
    client.create(limits_of(path), b"count=5,bytes=-1")
    reader = client.must(raw.CREATE2, raw.create(stats_of(path), b"c"))
    reader.string()
    equal(reader.stat().length, 1)
    equal(client.stat(stats_of(path)).length, len("count=1,bytes=0"))


@case("a hard limit may be reached, and one more is refused with -125")
def _():
    client, path = room()
    limit(client, path, "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3")
    client.create(path + "/1", b"x" * 10)
    client.create(path + "/2")
    equal(client.error(raw.CREATE, raw.create(path + "/3")), QUOTA_EXCEEDED)
    equal(client.error(raw.SET_DATA, raw.set_data(path + "/2", b"x")), QUOTA_EXCEEDED)
    client.set(path + "/1", b"y" * 10)
    client.set(path + "/1", b"y" * 9)
    client.set(path + "/2", b"x")
    client.delete(path + "/1")
    client.create(path + "/3")
    equal(usage(client, path), "count=3,bytes=1")


@case("the quota comes behind the name and before the version")
def _():
    client, path = room()
    limit(client, path, "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=1")
    equal(client.error(raw.SET_DATA, raw.set_data(path, b"x", 7)), QUOTA_EXCEEDED)
    equal(client.error(raw.SET_DATA, raw.set_data(path, b"", 7)), raw.BAD_VERSION)
    equal(client.error(raw.CREATE, raw.create(path, b"x")), raw.NODE_EXISTS)
    equal(client.error(raw.CREATE, raw.create(path + "/a/b")), raw.NO_NODE)


@case("every kind of create is refused, and a multi with one of them as a whole")
def _():
    client, path = room()
    limit(client, path, "count=-1,bytes=-1=;countHardLimit=1")
    for code, flags, ttl in ((raw.CREATE, raw.EPHEMERAL, None), (raw.CREATE2, raw.SEQUENTIAL, None),
                             (raw.CREATE_CONTAINER, 4, None), (raw.CREATE_TTL, 5, 1000)):
        record = raw.create(path + "/a", flags=flags, ttl=ttl)
        equal(client.error(code, record), QUOTA_EXCEEDED, f"opcode {code}")
    reply = client.ask(raw.MULTI, raw.multi((raw.SET_DATA, raw.set_data(path, b"x")),
                                            (raw.CREATE, raw.create(path + "/a"))))
    equal(Reader(reply.body).multi(), [(-1, 0), (-1, QUOTA_EXCEEDED)])
    equal(usage(client, path), "count=1,bytes=0")
    equal(client.get(path)[0], b"")


@case("a hard limit stands in for the soft one; without enforceQuota neither refuses")
def _():
    client, path = room()
    limit(client, path, "count=1,bytes=1=;countHardLimit=3")
    client.create(path + "/1", b"more than one")
    client.create(path + "/2")
    equal(client.error(raw.CREATE, raw.create(path + "/3")), QUOTA_EXCEEDED)
    client, path = room("false")
    limit(client, path, "count=1,bytes=1=;countHardLimit=1;byteHardLimit=1")
    client.create(path + "/1", b"more than one")
    equal(usage(client, path), "count=2,bytes=13")


@case("what exceeds a limit is a line in the log")
def _():
    client, path = room("false")
    limit(client, path, "count=1,bytes=-1")
    client.create(path + "/1")
    until(lambda: "uota exceeded" in shared("false").log_text(), "the log says so")


@case("of two quotas above a znode the deepest one holds and counts")
def _():
    client, path = room()
    client.create(path + "/in")
    client.create(f"/zookeeper/quota{path}/in")
    limit(client, path, "count=-1,bytes=-1=;countHardLimit=2")
    limit(client, path + "/in", "count=-1,bytes=-1=;countHardLimit=3")
    client.create(path + "/in/1")
    client.create(path + "/in/2")
    equal(client.error(raw.CREATE, raw.create(path + "/in/3")), QUOTA_EXCEEDED)
    equal(client.error(raw.CREATE, raw.create(path + "/out")), QUOTA_EXCEEDED)
    equal(usage(client, path + "/in"), "count=3,bytes=0")
    equal(usage(client, path), "count=2,bytes=0")


@case("deleting zookeeper_limits ends a quota; changing it holds at once")
def _():
    client, path = room()
    limit(client, path, "count=-1,bytes=-1=;countHardLimit=1")
    equal(client.error(raw.CREATE, raw.create(path + "/1")), QUOTA_EXCEEDED)
    client.set(limits_of(path), b"count=-1,bytes=-1=;countHardLimit=2")
    client.create(path + "/1")
    equal(client.error(raw.CREATE, raw.create(path + "/2")), QUOTA_EXCEEDED)
    client.delete(limits_of(path))
    client.create(path + "/2")
    equal(usage(client, path), "count=2,bytes=0")


@case("a quota of the root is refused, where ZooKeeper would die of it")
def _():
    with harness.server(*OPTIONS) as server:
        client = Client(server.port)
        record = raw.create("/zookeeper/quota/zookeeper_limits", b"count=1")
        equal(client.error(raw.CREATE, record), raw.BAD_ARGUMENTS)


@case("multis, ends of sessions and the reaper are counted")
def _():
    client, path = room()
    limit(client, path, "count=100,bytes=-1")
    other = connect()
    other.create(path + "/e", b"12345", flags=raw.EPHEMERAL)
    other.must(raw.MULTI, raw.multi((raw.CREATE_CONTAINER, raw.create(path + "/c", flags=4)),
                                    (raw.CREATE, raw.create(path + "/c/a", b"12")),
                                    (raw.SET_DATA, raw.set_data(path + "/c/a", b"1"))))
    equal(usage(client, path), "count=4,bytes=6")
    other.close()
    equal(usage(client, path), "count=3,bytes=1")
    client.delete(path + "/c/a")
    until(lambda: client.stat(path + "/c") is None, "the container goes")
    equal(usage(client, path), "count=1,bytes=0")


@case("usage is right after kill -9, also of a subtree that was still being counted")
def _():
    with harness.server(*OPTIONS) as server:
        client = Client(server.port)
        client.create("/a")
        for number in range(0, 5000, 100):
            client.must(raw.MULTI, raw.multi(*(
                (raw.CREATE, raw.create(f"/a/{number + i}", b"x")) for i in range(100))))
        client.create("/zookeeper/quota/a")
        limit(client, "/a", "count=10,bytes=-1")
        server.kill()
        server.start()
        client = Client(server.port)
        until(lambda: usage(client, "/a") == "count=5001,bytes=5000", "all is counted")
        client.create("/a/more", b"12")
        client.delete("/a/1")
        server.kill()
        server.start()
        client = Client(server.port)
        equal(usage(client, "/a"), "count=5001,bytes=5001")


if __name__ == "__main__":
    harness.main()
