#!/usr/bin/env python3
"""How moonkeeperd ends: in order when it is asked to, and without losing anything when it is not."""
import signal
import struct
import threading
import time

from server_process import OP_CREATE, OPEN_ACL, OP_SET, Client, Closed, Server, contains, field, main, set_body

KILLS = 12
WRITERS = 3


def create_body(path, data=b""):
    return field(path) + field(data) + OPEN_ACL + struct.pack(">i", 0)


def sigterm_and_sigint_end_with_code_0():
    server = Server("asked")
    assert server.stop() == 0
    server = Server("asked")
    server.process.send_signal(signal.SIGINT)
    assert server.wait_exit() == 0
    contains(server.lines(), " stopping  ", " stopped  zxid=0x")


def what_was_received_is_answered_before_the_end():
    server = Server("answered")
    client = server.client()
    client.create("/n")
    for i in range(500):
        client.send(OP_SET, set_body("/n", b"%d" % i))
    client.ping_sent = client.send_frame(struct.pack(">ii", -2, 11))
    while client.receive()[0] < 10:
        pass  # the server is in the middle of them
    server.process.send_signal(signal.SIGTERM)
    answered = 10
    try:
        while True:
            xid, _, error, _ = client.receive()
            assert error == 0
            answered = max(answered, xid)
    except (Closed, ConnectionResetError):
        pass
    assert server.wait_exit() == 0
    server = Server("answered")
    assert int(server.client().get("/n")) >= answered - 2
    assert server.stop() == 0


def a_stopped_server_has_nothing_to_replay():
    server = Server("checkpointed")
    client = server.client()
    for i in range(200):
        client.create("/n%d" % i, b"x")
    assert server.stop() == 0
    last = [line for line in server.lines().splitlines() if " stopped  " in line][0]
    zxid, checkpoint = [part.split("=")[1] for part in last.split() if "=" in part]
    assert zxid == checkpoint, last
    server = Server("checkpointed")
    assert len(server.client().children("/")) == 201
    assert server.stop() == 0


def a_session_survives_a_restart():
    server = Server("session")
    client = server.client()
    client.create("/mine", b"", 1)
    assert server.stop() == 0
    server = Server("session")
    again = Client(server.socket(), session=client.session, password=client.password)
    assert again.session == client.session
    assert again.get("/mine") == b""
    again.close()
    other = server.client()
    assert other.get("/mine") is None
    assert server.stop() == 0


def a_client_that_does_not_read_cannot_delay_the_end():
    server = Server("stubborn")
    client = server.client()
    client.create("/large", b"x" * 1000000)
    for _ in range(50):
        client.send(4, field("/large") + b"\0")
    time.sleep(0.3)
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 15


def a_second_signal_ends_it_at_once():
    server = Server("impatient")
    client = server.client()
    client.create("/large", b"x" * 1000000)
    for _ in range(50):
        client.send(4, field("/large") + b"\0")
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 4


class Writer(threading.Thread):
    """Creates znodes one after another and remembers which were acknowledged."""

    def __init__(self, server, name):
        super().__init__()
        self.client = server.client()
        self.name = name
        self.acknowledged = 0
        self.last_zxid = 0

    def run(self):
        try:
            sent = 0
            while True:
                while sent < self.acknowledged + 20:
                    self.client.send(OP_CREATE, create_body("/%s-%06d" % (self.name, sent)))
                    sent += 1
                _, zxid, error, _ = self.client.receive()
                assert error == 0, error
                self.acknowledged += 1
                self.last_zxid = zxid
        except (Closed, OSError):
            pass


def nothing_acknowledged_is_lost_when_it_is_killed():
    expected = {}
    last_zxid = 0
    options = ["--option", "preAllocSize=256", "--option", "checkpointLogBytes=1M",
               "--option", "overlayBytes=1M", "--option", "checkpointSeconds=1"]
    for round_number in range(KILLS + 1):
        server = Server("killed", options)
        names = set(server.client().children("/"))
        for name, count in expected.items():
            missing = [i for i in range(count) if "%s-%06d" % (name, i) not in names]
            assert not missing, "round %d: lost %s of %s" % (round_number, missing[:5], name)
        if round_number == KILLS:
            break
        writers = [Writer(server, "r%d-w%d" % (round_number, i)) for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.1 + 0.07 * round_number)
        assert server.kill() == -signal.SIGKILL
        for writer in writers:
            writer.join()
            assert writer.acknowledged > 0
            expected[writer.name] = writer.acknowledged
        newest = max(writer.last_zxid for writer in writers)
        assert newest >> 32 == round_number + 1 and newest > last_zxid
        last_zxid = newest
    print("# %d creates acknowledged over %d kills" % (sum(expected.values()), KILLS))
    assert server.stop() == 0


def it_can_be_killed_while_it_starts():
    for delay_ms in range(0, 60, 6):
        server = Server("starting", wait=False)
        time.sleep(delay_ms / 1000)
        server.kill()
    server = Server("starting")
    assert server.client().create("/n")[0] == 0
    assert server.stop() == 0


if __name__ == "__main__":
    main([
        sigterm_and_sigint_end_with_code_0,
        what_was_received_is_answered_before_the_end,
        a_stopped_server_has_nothing_to_replay,
        a_session_survives_a_restart,
        a_client_that_does_not_read_cannot_delay_the_end,
        a_second_signal_ends_it_at_once,
        nothing_acknowledged_is_lost_when_it_is_killed,
        it_can_be_killed_while_it_starts,
    ])
