#!/usr/bin/env python3
"""The power fails under a real moonkeeperd: no znode that a client was told of is lost or old.

As crash_test.py, with the server in the workload's place: clients write, and tell the trace what was
answered. Then a server starts on the directory as it may be after a crash at some random moment.

usage: server_crash_test.py [--seed N] [--moments N] [--writes N]"""
import argparse
import os
import random
import shutil
import struct
import sys
import threading

from rebuild import HEADER, Disk, read_trace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat"))
from server_process import Closed, Server  # noqa: E402

SHIM = os.path.join(os.environ["BUILD_DIR"], "crash_shim.so")
OPTIONS = ["--option", "preAllocSize=256", "--option", "overlayBytes=1M", "--option",
           "checkpointLogBytes=1M"]
CLIENTS = 4


class Trace:
    """The trace, as a second writer: a mark is one record in one write, so it is never interleaved."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def mark(self, text):
        data = text.encode()
        os.write(self.file, HEADER.pack(b"M", 0, 0, len(data)) + data)


def write_znodes(server, trace, name, count, chance):
    """Creates and changes; the data of a znode begins with how often it has been written."""
    client = server.client()
    written = {}
    for _ in range(count):
        if not written or chance.random() < 0.5:
            path, version = "/%s-%d" % (name, len(written)), 1
        else:
            path = chance.choice(list(written))
            version = written[path] + 1
        data = struct.pack(">i", version) + bytes(chance.choice((0, 10, 100, 2000, 6000)))
        ask = client.create if version == 1 else client.set
        error, _ = ask(path, data)
        assert error == 0, error
        written[path] = version
        trace.mark("%s %d" % (path, version))
    client.close()


def server_traced(args, **environment):
    """What a server, several clients and their marks leave in the trace."""
    path = os.path.abspath("trace")
    trace = Trace(path)
    env = dict(os.environ, LD_PRELOAD=SHIM, CRASH_DIR=os.path.abspath("data"), CRASH_TRACE=path,
               **environment)
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:detect_leaks=0"
    server = Server("data", OPTIONS, env=env)
    threads = [threading.Thread(target=write_znodes,
                                args=(server, trace, "c%d" % i, args.writes // CLIENTS,
                                      random.Random(args.seed * CLIENTS + i)))
               for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.stop() == 0, server.lines()
    records = read_trace(path)
    os.unlink(path)
    return records


def lost_after_crash(marks):
    """Start on crashed/; which acknowledged writes are not there?"""
    acknowledged = {}
    for mark in marks:
        path, version = mark.split()
        acknowledged[path] = max(acknowledged.get(path, 0), int(version))
    try:
        server = Server("crashed", OPTIONS)
    except AssertionError as error:
        return [str(error)]
    client = server.client()
    lost = []
    for path, version in acknowledged.items():
        data = client.get(path)
        if data is None or struct.unpack_from(">i", data)[0] < version:
            lost.append("%s %d" % (path, version))
    client.close()
    server.stop()
    return lost


def crashes(args, records):
    chance = random.Random(args.seed)
    disk = Disk(records)
    marks = [i + 1 for i, record in enumerate(records) if record.kind == "M"]
    for moment in sorted(chance.choice(marks) if chance.random() < 0.7 else
                         chance.randint(1, len(records)) for _ in range(args.moments)):
        while disk.moment < moment:
            disk.step()
        disk.crash(chance, "crashed")
        yield moment, lost_after_crash(disk.marks)
        shutil.rmtree("crashed")


def a_crash_at_any_moment_loses_nothing_that_a_client_was_told_of(args):
    records = server_traced(args)
    for moment, lost in crashes(args, records):
        assert not lost, "seed %d, after %d of %d records: %s" % (args.seed, moment, len(records),
                                                                  lost[:3])


def without_syncs_it_is_seen_to_lose_something(args):
    args.moments = 5
    records = server_traced(args, CRASH_IGNORE_SYNC="1")
    assert any(lost for _, lost in crashes(args, records)), "this test would not see a missing sync"


def a_failing_sync_ends_the_server_with_a_message_and_loses_nothing(_):
    failing = os.path.abspath("syncs-fail")
    env = dict(os.environ, LD_PRELOAD=SHIM, CRASH_DIR=os.path.abspath("data"),
               CRASH_TRACE=os.path.abspath("trace"), CRASH_SYNC_FAILS=failing)
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:detect_leaks=0"
    server = Server("data", OPTIONS, env=env)
    client = server.client()
    for number in range(50):
        assert client.create("/kept%d" % number)[0] == 0
    with open(failing, "wb"):
        pass
    try:
        answered = client.create("/never")[0] == 0
    except (OSError, Closed):
        answered = False
    assert not answered, "a write was acknowledged whose sync failed"
    assert server.wait_exit() == 1, server.lines()
    assert "the log cannot be written" in server.lines(), server.lines()
    os.unlink(failing)
    server = Server("data", OPTIONS)
    names = server.client().children("/")
    assert all("kept%d" % number in names for number in range(50)), names
    assert server.stop() == 0, server.lines()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--writes", type=int, default=1600)
    args = parser.parse_args()
    if os.environ.get("MK_PRESET") == "tsan":
        print("skipped: RocksDB is not instrumented")
        return 77
    top = os.getcwd()
    failed = 0
    for number, case in enumerate([a_crash_at_any_moment_loses_nothing_that_a_client_was_told_of,
                                   without_syncs_it_is_seen_to_lose_something,
                                   a_failing_sync_ends_the_server_with_a_message_and_loses_nothing],
                                  1):
        folder = os.path.join(top, "case%d" % number)
        os.mkdir(folder)
        os.chdir(folder)
        result = "ok"
        try:
            case(args)
            shutil.rmtree(folder)
        except AssertionError as error:
            print("# %s" % error)
            result = "not ok"
            failed = 1
        print("%s %d - %s" % (result, number, case.__name__.replace("_", " ")), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
