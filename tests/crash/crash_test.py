#!/usr/bin/env python3
"""The power fails at any moment: what was acknowledged is there, and the checkpoint is whole.

usage: crash_test.py [--seed N] [--moments N] [--again N] [--transactions N]

A workload runs once under shim.c, which writes down what it does to its files; rebuild.py makes the
directory as it may be after a crash at a random moment, and the workload's `check` looks at it. Some of
these directories live on, are recovered under the shim, and crash again. A failure prints the seed and
the moment, and leaves the directory `crashed`, as `check` has left it.

The last tests take the syncs away, and must see acknowledged transactions lost."""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys

from rebuild import Disk, read_trace

BUILD = os.environ["BUILD_DIR"]
SHIM = os.path.join(BUILD, "crash_shim.so")
WORKLOAD = os.path.join(BUILD, "crash_workload")


class Lost(Exception):
    """What should be there after a crash is not."""


def workload_run(directory, trace, seed, count, *more, **environment):
    env = dict(os.environ, LD_PRELOAD=SHIM, CRASH_DIR=os.path.realpath(directory), CRASH_TRACE=trace,
               **environment)
    # The shim has to come first, and allocates nothing that could leak.
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:detect_leaks=0"
    subprocess.run([WORKLOAD, "run", directory, str(seed), str(count), *more], env=env, check=True,
                   timeout=300)


def acknowledged(marks):
    """The largest zxid and epoch that anyone was told of."""
    numbers = {"acknowledged": 0, "epoch": 0}
    for mark in marks:
        word, number = mark.split()
        numbers[word] = max(numbers[word], int(number))
    return numbers["acknowledged"], numbers["epoch"]


def check(directory, seed, zxid, epoch):
    result = subprocess.run([WORKLOAD, "check", directory, str(seed), str(zxid), str(epoch)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                            check=False)
    if result.returncode != 0:
        raise Lost(result.stdout.strip())


def same(left, right):
    """Two directories hold the same names and bytes."""
    return subprocess.run(["diff", "-r", left, right], stdout=subprocess.DEVNULL,
                          check=False).returncode == 0


def mark_texts(records):
    return [record.data.decode() for record in records if record.kind == "M"]


def moments_of(records, count, chance, first):
    """`count` random moments after `first`, in order; half of them just behind a mark, where most is
    promised."""
    marks = [i + 1 for i, record in enumerate(records) if record.kind == "M" and i >= first]
    moments = [chance.choice(marks) if chance.random() < 0.5
               else chance.randint(first + 1, len(records)) for _ in range(count)]
    return sorted(moments)


class Run:
    """One run of the workload and what it did. `before`: the directory as it was."""

    def __init__(self, args, directory, count, *more, before=None, marks=(), **environment):
        self.args = args
        self.directory = directory
        self.before = before
        self.marks = list(marks)
        self.records = []
        self.go_on(count, *more, **environment)

    def go_on(self, count, *more, **environment):
        """A process, perhaps after another; whether it was killed."""
        trace = os.path.abspath(self.directory + ".trace")
        killed = False
        try:
            workload_run(self.directory, trace, self.args.seed, count, *more, **environment)
        except subprocess.CalledProcessError as error:
            if error.returncode != -signal.SIGKILL:
                raise
            killed = True
        self.records += read_trace(trace)
        os.unlink(trace)
        return killed

    def crashes(self, chance, count, first=0):
        """`count` times: crashed/ as of a random moment, and what had been acknowledged by then."""
        disk = Disk(self.records, self.before)
        for moment in moments_of(self.records, count, chance, first):
            while disk.moment < moment:
                disk.step()
            disk.crash(chance, "crashed")
            yield moment, self.marks + disk.marks
            shutil.rmtree("crashed")
        while disk.step():
            pass
        disk.all("replayed")
        assert same(self.directory, "replayed"), "the trace does not explain the directory"
        shutil.rmtree("replayed")

    def check_crash(self, moment, marks):
        try:
            check("crashed", self.args.seed, *acknowledged(marks))
        except Lost as lost:
            raise Lost("seed %d, %d of %d records: %s" %
                       (self.args.seed, moment, len(self.records), lost)) from lost


def a_crash_at_any_moment_keeps_what_was_acknowledged(args):
    os.mkdir("data")
    run = Run(args, "data", args.transactions)
    for moment, marks in run.crashes(random.Random(args.seed), args.moments):
        run.check_crash(moment, marks)


def a_crash_while_or_after_recovering_from_one_does_too(args):
    os.mkdir("data")
    first = Run(args, "data", args.transactions // 2)
    chance = random.Random(args.seed)
    for _, marks in first.crashes(chance, args.again):
        for name in ("before", "again"):
            shutil.copytree("crashed", name)
        run = Run(args, "again", acknowledged(marks)[0] + args.transactions // 5, before="before",
                  marks=marks)
        os.rename("crashed", "kept")
        for moment, more in run.crashes(chance, args.moments // args.again):
            run.check_crash(moment, more)
        os.rename("kept", "crashed")
        for name in ("before", "again"):
            shutil.rmtree(name)


def a_process_that_is_killed_leaves_nothing_that_its_successor_mistakes_for_durable(args):
    chance = random.Random(args.seed)
    for number in range(args.again):
        directory = "data%d" % number
        os.mkdir(directory)
        run = Run(args, directory, args.transactions, CRASH_KILL_AT=str(chance.randint(20, 150)))
        killed_at = len(run.records)
        run.go_on(acknowledged(mark_texts(run.records))[0] + 20)
        for moment, marks in run.crashes(chance, args.moments // args.again, first=killed_at):
            run.check_crash(moment, marks)


def loses_something(args, *more, **environment):
    os.mkdir("data")
    run = Run(args, "data", args.transactions, *more, **environment)
    lost = 0
    for moment, marks in run.crashes(random.Random(args.seed), 10):
        try:
            run.check_crash(moment, marks)
        except Lost:
            lost += 1
    assert lost > 0, "nothing was ever lost: this test would not see a missing sync"


def without_the_logs_syncs_it_is_seen_to_lose_something(args):
    loses_something(args, "unsynced")


def without_any_sync_it_is_seen_to_lose_something(args):
    loses_something(args, CRASH_IGNORE_SYNC="1")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--moments", type=int, default=60, help="crashes in each test")
    parser.add_argument("--again", type=int, default=3, help="directories that go on afterwards")
    parser.add_argument("--transactions", type=int, default=1500)
    args = parser.parse_args()
    cases = [a_crash_at_any_moment_keeps_what_was_acknowledged,
             a_crash_while_or_after_recovering_from_one_does_too,
             a_process_that_is_killed_leaves_nothing_that_its_successor_mistakes_for_durable,
             without_the_logs_syncs_it_is_seen_to_lose_something,
             without_any_sync_it_is_seen_to_lose_something]
    if os.environ.get("MK_PRESET") == "tsan":
        print("skipped: RocksDB is not instrumented")
        return 77
    top = os.getcwd()
    failed = 0
    for number, case in enumerate(cases, 1):
        folder = os.path.join(top, "case%d" % number)
        os.mkdir(folder)
        os.chdir(folder)
        try:
            case(args)
            shutil.rmtree(folder)
            result = "ok"
        except (Lost, AssertionError, subprocess.SubprocessError) as error:
            print("# %s" % error)
            result = "not ok"
            failed = 1
        print("%s %d - %s" % (result, number, case.__name__.replace("_", " ")), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
