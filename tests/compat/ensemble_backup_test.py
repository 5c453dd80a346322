#!/usr/bin/python3
"""Backups of the members of an ensemble that is in use, and servers that are restored from them."""

import os
import shutil
import signal
import subprocess
import sys
import threading

try:
    import kazoo  # noqa: F401
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(77)

import harness
from ensemble import SECONDS_MAX, Ensemble, agree, until
from harness import case


def command(*words):
    return subprocess.run([harness.needed("MOONKEEPER"), *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=SECONDS_MAX, check=False)


def backup(member):
    """Its directory."""
    done = command("backup", member.config)
    assert done.returncode == 0, (done, member.log_text()[-2000:])
    return done.stdout.strip()


def restore(where, member):
    done = command("restore", where, member.config)
    assert done.returncode == 0 and "restored through 0x" in done.stdout, done


class Writer(threading.Thread):
    """Sets a znode to 1, 2, 3, … as fast as it is answered."""

    def __init__(self, client):
        super().__init__()
        self.client = client
        self.client.create("/counter", b"0")
        self.acknowledged = 0
        self.stopping = False
        self.start()

    def run(self):
        while not self.stopping:
            self.client.set("/counter", b"%d" % (self.acknowledged + 1))
            self.acknowledged += 1


def with_backups(**named):
    ensemble = Ensemble(**named)
    for member in ensemble.members:
        member.prepare(member.lines + [f"backupDir={member.data}-backups"])
    return ensemble


def backed_up(ensemble):
    """Of each role one, under load: its directory, and what the counter was before and after."""
    leader = ensemble.serving()
    observer = ensemble.members[3]
    follower = next(one for one in ensemble.members[:3] if one is not leader)
    client = ensemble.client(leader)
    for number in range(300):
        client.create_async(f"/n{number:03}", b"x" * 500)
    client.create("/its", ephemeral=True)
    writer = Writer(client)
    found = []
    for member in (leader, follower, observer):
        until("something is written", lambda: writer.acknowledged > 20 * (len(found) + 1))
        before = writer.acknowledged
        where = backup(member)
        # A learner's clients are told of what it has not heard of yet.
        found.append((where, before if member is leader else 0, writer.acknowledged))
    writer.stopping = True
    writer.join()
    return leader, found


def counter(client):
    return int(client.get("/counter")[0])


@case("a member's backup is restored into a new ensemble, which no server of the old one can lead")
def _():
    with with_backups(count=4, observers=1) as old:
        leader, found = backed_up(old)
        for where, _, _ in found:
            assert os.path.exists(os.path.join(where, "amnesiac"))  # it is nobody's data as it is
        for member in old.members:
            member.end(signal.SIGKILL)

        for where, before, after in found:
            new = Ensemble()
            for member in new.members:
                restore(where, member)
            refused = command("restore", where, new.members[0].config)
            assert refused.returncode == 1 and "move it away" in refused.stderr, refused
            if where is not found[1][0]:
                new.members[2].prepare(new.members[2].lines)
                new.starting = new.members[:2]
            with new:
                new.serving()
                client = new.client()
                assert before <= counter(client) <= after + 1, (before, counter(client), after)
                assert len(client.get_children("/")) == 303, client.get_children("/")
                assert client.get("/its")[1].owner_session_id  # its session is there, too
                client.create("/new", b"")
                assert "/new" in agree(new)

        # What the old leader has is later than any backup; the one that was restored leads.
        new = Ensemble()
        one, _, strange = new.members
        restore(found[1][0], one)
        shutil.rmtree(strange.data)
        shutil.copytree(leader.data, strange.data)
        strange.prepare(strange.lines)
        new.starting = [strange]
        with new:
            new.start(one)
            until("the restored one leads, or is left alone", lambda: one.mode() == "leader" or
                  strange.process.poll() is not None)
            assert "role: leader" not in strange.log_text()[-20000:].rsplit("listening", 1)[-1]
            if strange.process.poll() is not None:
                assert "moonkeeper repair --rejoin" in strange.log_text()
                strange.process = None
            else:
                assert "/counter" in agree(new)


@case("who has not got all from the leader yet makes no backup, and says so")
def _():
    with with_backups() as ensemble:
        leader = ensemble.serving()
        assert backup(leader)
        mark = os.path.join(leader.data, "amnesiac")
        with open(mark, "w", encoding="ascii"):
            pass

        done = command("backup", leader.config)

        os.remove(mark)
        assert done.returncode == 1 and "back up another one" in done.stderr, done
        leader.end(signal.SIGTERM)
        done = command("backup", leader.config)
        assert done.returncode == 1 and "no server runs" in done.stderr, done


if __name__ == "__main__":
    harness.main()
