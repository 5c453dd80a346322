#!/usr/bin/python3
"""A member of three that has lost its data, or whose data is damaged, is whole again."""

import os
import shutil
import signal
import subprocess
import sys

try:
    import kazoo  # noqa: F401
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(77)

import harness
from ensemble import HISTORY, SECONDS_MAX, Ensemble, agree, until
from harness import case

MANY = 600  # znodes, more than are kept for who comes back


def filled(ensemble, count):
    """A follower, and a client of the others."""
    leader = ensemble.serving()
    follower, other = (member for member in ensemble.members if member is not leader)
    client = ensemble.client(leader, other)
    pending = [client.create_async(f"/{number:04}", os.urandom(5000)) for number in range(count)]
    for created in pending:
        created.get(SECONDS_MAX)
    return follower, client


@case("a server that was emptied gets everything back, and has it when all have been killed")
def _():
    with Ensemble() as ensemble:
        follower, client = filled(ensemble, MANY)
        follower.end(signal.SIGKILL)
        shutil.rmtree(follower.data)
        follower.prepare(follower.lines)

        ensemble.start(follower)

        ensemble.serving()
        assert "the leader's snapshot is installed" in follower.log_text()
        assert f"/{MANY - 1:04}" in agree(ensemble)
        client.stop()
        for member in ensemble.members:
            member.end(signal.SIGKILL)
        ensemble.start()
        ensemble.serving()
        assert f"/{MANY - 1:04}" in agree(ensemble)


@case("a server that was away gets what the log has, if that is less than everything")
def _():
    with Ensemble(log_share="1") as ensemble:
        follower, client = filled(ensemble, MANY)
        leader = ensemble.serving()
        follower.end(signal.SIGKILL)
        away = [client.create_async(f"/away-{number}", b"x" * 100) for number in range(2 * HISTORY)]
        for created in away:
            created.get(SECONDS_MAX)

        ensemble.start(follower)

        ensemble.serving()
        assert f"/away-{2 * HISTORY - 1}" in agree(ensemble)
        assert f"id={follower.number} by=log" in leader.log_text()
        assert "the leader's snapshot is installed" not in follower.log_text()


def rejoin(member, check=True):
    return subprocess.run([harness.needed("MOONKEEPER"), "repair", "--rejoin", member.config],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=SECONDS_MAX, check=check)


def content(path):
    with open(path, "rb") as file:
        return file.read()


@case("a member that rejoins starts from nothing and keeps its promises")
def _():
    with Ensemble() as ensemble:
        member, _ = filled(ensemble, 20)
        assert rejoin(member, check=False).returncode == 3  # it runs
        member.end(signal.SIGKILL)
        log = os.path.join(member.data, "log")
        segment = next(name for name in os.listdir(log) if name.startswith("log."))
        with open(os.path.join(log, segment), "r+b") as file:
            file.seek(60)
            file.write(b"damage")
        member.start()
        until("it refuses to start", lambda: member.process.poll() is not None)
        member.process = None
        assert "moonkeeper repair --rejoin" in member.log_text()
        epoch = content(os.path.join(log, "acceptedEpoch"))

        assert "put aside as" in rejoin(member).stdout

        aside, amnesiac = (os.path.join(member.data, name) for name in ("aside-1", "amnesiac"))
        assert os.path.exists(os.path.join(aside, "state")) and os.path.exists(amnesiac)
        assert segment in os.listdir(aside)
        assert content(os.path.join(log, "acceptedEpoch")) == epoch
        ensemble.start(member)
        ensemble.serving()
        assert "the leader's snapshot is installed" in member.log_text()
        assert "/0019" in agree(ensemble)
        until("it has remembered", lambda: not os.path.exists(amnesiac))


if __name__ == "__main__":
    harness.main()
