#!/usr/bin/env python3
"""A backup of a server that is in use, and a server that starts on it."""
import json
import os
import re
import signal
import threading
import time

from server_process import Server, contains, main

WRITTEN_SECONDS_MAX = 60


def server_with_backups(data, directory):
    with open(data + ".cfg", "w", encoding="utf-8") as config:
        config.write("backupDir=%s\n" % directory)
    return Server(data, ["--config", data + ".cfg"])


def backup(server, count=1):
    """Ask for one; its directory, when the log says that it is written."""
    server.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + WRITTEN_SECONDS_MAX
    while time.monotonic() < deadline:
        found = re.findall(r" backup written  directory=(\S+) ", server.lines())
        if len(found) == count:
            return found[-1]
        assert "could not be written" not in server.lines(), server.lines()
        time.sleep(0.02)
    raise AssertionError("no backup: " + server.lines())


class Writer(threading.Thread):
    """Sets a znode to 0, 1, 2, … as fast as it is answered."""

    def __init__(self, server):
        super().__init__()
        self.client = server.client()
        self.client.create("/counter", b"0")
        self.acknowledged = 0
        self.stopping = False
        self.start()

    def run(self):
        while not self.stopping:
            self.client.set("/counter", b"%d" % (self.acknowledged + 1))
            self.acknowledged += 1


def a_backup_under_load_has_everything_that_was_acknowledged_before_it():
    server = server_with_backups("source", "backups")
    client = server.client()
    for number in range(2000):
        client.create("/n%d" % number, b"x" * 200)
    client.create("/its", b"", 1)
    writer = Writer(server)
    time.sleep(0.3)
    before = writer.acknowledged
    where = backup(server)
    after = writer.acknowledged
    time.sleep(0.3)
    writer.stopping = True
    writer.join()

    copy = Server(where)
    other = copy.client()
    assert before <= int(other.get("/counter")) <= after + 1, (before, other.get("/counter"), after)
    assert len([name for name in other.children("/") if name.startswith("n")]) == 2000
    assert other.get("/its") == b""  # its session is in the backup, too
    other.create("/new", b"")
    assert copy.stop() == 0
    assert server.stop() == 0


def a_backup_does_not_change_when_its_server_goes_on():
    server = server_with_backups("going", "later")
    client = server.client()
    client.create("/n", b"old")
    first = backup(server)
    client.set("/n", b"new")
    second = backup(server, 2)
    assert first != second
    assert server.stop() == 0  # with a checkpoint, which drops what is superseded

    for where, value in ((first, b"old"), (second, b"new")):
        copy = Server(where)
        assert copy.client().get("/n") == value
        assert copy.stop() == 0


def block_of(client, size):
    """Numbers from idgen.next_block, through a call node: the first and the last."""
    error, body = client.create("/zookeeper/calls/idgen.next_block-",
                                b'{"path":"/ids","size":%d}' % size, 3)
    assert error == 0, error
    answer = json.loads(client.get(body[4:].decode()))
    assert answer["state"] == "done", answer
    return answer["result"]["first"], answer["result"]["last"]


def a_server_on_a_backup_gives_no_number_that_was_given_after_it_was_made():
    server = server_with_backups("numbers", "backups-of-numbers")
    client = server.client()
    block_of(client, 10)
    where = backup(server)
    lost = [block_of(client, size) for size in (1, 1000, 500000)]
    assert server.kill() == -signal.SIGKILL
    time.sleep(1)  # As idgen's header has it: what was given until a second before.

    copy = Server(where)
    first, last = block_of(copy.client(), 1000)
    assert last == first + 999
    assert first > lost[-1][1], (first, lost)
    assert copy.stop() == 0


def without_a_directory_for_backups_there_is_a_line_and_nothing_else():
    server = Server("none")
    server.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + WRITTEN_SECONDS_MAX
    while "no backup is made: say where it should go" not in server.lines():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.client().get("/") is not None
    assert server.stop() == 0


def a_backup_that_cannot_be_written_leaves_the_server_as_it_is():
    with open("a-file", "w", encoding="utf-8"):
        pass
    server = server_with_backups("refused", "a-file/below")
    client = server.client()
    client.create("/n", b"kept")
    server.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + WRITTEN_SECONDS_MAX
    while "the backup could not be written" not in server.lines():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    contains(server.lines(), "a-file/below")
    client.set("/n", b"still")
    assert client.get("/n") == b"still"
    assert server.stop() == 0
    assert os.path.getsize("a-file") == 0


if __name__ == "__main__":
    main([
        a_backup_under_load_has_everything_that_was_acknowledged_before_it,
        a_backup_does_not_change_when_its_server_goes_on,
        a_server_on_a_backup_gives_no_number_that_was_given_after_it_was_made,
        without_a_directory_for_backups_there_is_a_line_and_nothing_else,
        a_backup_that_cannot_be_written_leaves_the_server_as_it_is,
    ])
