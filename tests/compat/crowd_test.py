#!/usr/bin/env python3
"""Crowds, floods and idlers: what very many or very ill-behaved clients do to one server, and to a
bystander who only wants his gets and sets answered.

Sizes are a tenth of the full ones, so that it ends within a minute; CROWD_SCALE=1 runs the full ones.
Each case prints a line of figures: the bystander's p50, p99 and longest wait at rest and meanwhile,
and the server's memory before, at its largest, and after. README.md has those of a full run."""

import os
import random
import resource
import threading
import time

import harness
import raw_client as raw
from crowd import Bystander, connect_frame, dial, handshakes, resident_mib, stream, word
from harness import case, equal, true, until
from raw_client import Client, i32

SCALE = float(os.environ.get("CROWD_SCALE", "0.1"))
# Its memory is then the sanitizer's: what was freed stays for a while.
SANITIZED = os.environ.get("MK_PRESET", "release") != "release"
# A turn of the loop that takes all of an attack at once would show as seconds.
WAIT_MS_MAX = 10000 if SANITIZED else 2000
REST_SECONDS = 1.0
TIMEOUT_MS = 40000


def scaled(count):
    return max(1, int(count * SCALE))


class Arena:
    """A server, a bystander at rest, then one during the attack; figures at the end."""

    def __init__(self, name, *options):
        self.name = name
        self.server = harness.Moonkeeper("maxClientCnxns=0", *options)
        self.peak = 0
        self.watching = True

    def memory(self):
        return resident_mib(self.server.process.pid)

    def watch_memory(self):
        while self.watching:
            self.peak = max(self.peak, self.memory())
            time.sleep(0.05)

    def __enter__(self):
        with Bystander(self.server.port) as rest:
            time.sleep(REST_SECONDS)
        self.rest = rest.figures
        self.before = self.memory()
        self.thread = threading.Thread(target=self.watch_memory, daemon=True)
        self.thread.start()
        self.bystander = Bystander(self.server.port).__enter__()
        return self

    def __exit__(self, kind, *rest):
        self.bystander.__exit__(kind, *rest)
        self.watching = False
        self.thread.join()
        if kind is None:
            self.report()
            true(self.bystander.figures[2] < WAIT_MS_MAX,
                 f"nobody else waits longer than {WAIT_MS_MAX} ms")
        self.server.__exit__(kind, *rest)

    def report(self):
        print("# %s: bystander p50/p99/max ms at rest %.1f/%.1f/%.1f, meanwhile %.1f/%.1f/%.1f; "
              "RSS MiB before %.0f, at most %.0f, after %.0f" %
              (self.name, *self.rest, *self.bystander.figures, self.before, self.peak,
               self.memory()), flush=True)

    def sessions(self):
        return int(self.monitor()["zk_global_sessions"])

    def monitor(self):
        lines = word(self.server.port, b"mntr").splitlines()
        return dict(line.split("\t", 1) for line in lines if "\t" in line)


@case("ten thousand idle connections, half of them without a handshake")
def _():
    count = scaled(10000)
    with Arena(f"{count} idle connections") as arena:
        port = arena.server.port
        silent = [dial(port, number) for number in range(count // 2)]
        idle = handshakes(port, (connect_frame(TIMEOUT_MS) for _ in range(count // 2)))
        time.sleep(2)
        true(arena.sessions() >= len(idle), "all have sessions")
        per_connection = (arena.memory() - arena.before) * 1024 / count
        true(SANITIZED or per_connection < 16, f"{per_connection:.1f} KiB a connection")
        for one in silent + [handshake.socket for handshake in idle]:
            one.close()


@case("sessions that are made and thrown away expire, and leave nothing")
def _():
    count = scaled(20000)
    with Arena(f"{count} sessions thrown away", "tickTime=500", "minSessionTimeout=1000") as arena:
        gone = handshakes(arena.server.port, (connect_frame(1000) for _ in range(count)), keep=False)
        equal(len(gone), count)
        until(lambda: arena.sessions() <= 2, "all have expired", 60)


@case("connections that come and go all the time")
def _():
    count = scaled(50000)
    with Arena(f"{count} connections one after another") as arena:
        port = arena.server.port
        junk = random.Random(7)
        for number in range(count // 100):
            crowd = [dial(port, number * 100 + i) for i in range(100)]
            for one in crowd:
                if junk.random() < 0.5:
                    try:
                        one.send(junk.randbytes(junk.randrange(1, 60)))
                    except OSError:
                        pass  # not connected yet, or refused already
                one.close()


@case("fifty thousand sessions come back at once after a crash, and all are kept")
def _():
    count = scaled(50000)
    with harness.Moonkeeper("maxClientCnxns=0") as server:
        made = handshakes(server.port, (connect_frame(TIMEOUT_MS) for _ in range(count)), keep=False)
        server.kill()
        begin = time.monotonic()
        server.start()
        with Bystander(server.port) as bystander:
            back = handshakes(server.port, (connect_frame(TIMEOUT_MS, one.session, one.password)
                                            for one in made), at_once=4000, keep=False)
            took = time.monotonic() - begin
        equal({one.session for one in back}, {one.session for one in made})
        true(all(one.timeout_ms == TIMEOUT_MS for one in back), "nobody is told that it has expired")
        print("# %d sessions back %.1f s after the crash; bystander p50/p99/max ms %.1f/%.1f/%.1f" %
              (count, took, *bystander.figures), flush=True)
        true(bystander.figures[2] < WAIT_MS_MAX, "nobody waits long")


def framed(xid, code, record):
    payload = i32(xid) + i32(code) + record
    return i32(len(payload)) + payload


@case("a session with a hundred thousand ephemerals ends, by itself or by a close")
def _():
    count = scaled(100000)
    with Arena(f"two sessions with {count} ephemerals end", "tickTime=500",
               "minSessionTimeout=1000") as arena:
        for close in (True, False):
            client = Client(arena.server.port, timeout_ms=10000 if close else 2000)
            parent = client.create("/many")
            frames = (framed(i + 10, raw.CREATE,
                             raw.create("/many/e%08d" % i, flags=raw.EPHEMERAL))
                      for i in range(count))
            equal(stream(client, frames, count, 16 + 4 + len("/many/e00000000")), 0)
            other = Client(arena.server.port)
            equal(other.stat(parent).children, count)
            if close:
                client.close()
            else:
                client.abandon()
            until(lambda who=other: who.stat(parent).children == 0, "all are gone", 60)
            other.delete(parent)
            other.close()


@case("a million watches are kept, told once, and cost a bounded amount of memory")
def _():
    count = scaled(1000000)
    sessions = 10
    with Arena(f"{count} watches") as arena:
        clients = []
        each = count // sessions
        for number in range(sessions):
            client = Client(arena.server.port, timeout_ms=TIMEOUT_MS)
            clients.append(client)
            frames = (framed(i + 10, raw.EXISTS, raw.read("/w%d/%07d" % (number, i), True))
                      for i in range(each))
            equal(stream(client, frames, each, 16), each)  # NoNode, and the watch is set
        per_watch = (arena.memory() - arena.before) * (1 << 20) / count
        print(f"# {per_watch:.0f} bytes a watch", flush=True)
        # 200 to 300 for the watch and its path (tree/watches.c), tables that have just doubled, and
        # what the server remembers of the znodes that it did not find.
        true(SANITIZED or per_watch < 512, f"{per_watch:.0f} bytes a watch")
        maker = Client(arena.server.port)
        maker.create("/w0")
        maker.create("/w0/0000007")
        event = clients[0].receive_any()
        equal((event.type, event.path), (raw.CREATED, "/w0/0000007"))
        for client in clients:
            client.abandon()
        until(lambda: int(arena.monitor()["zk_watch_count"]) == 0, "the watches are gone", 30)


@case("a thousand watchers that do not read are told, cut off or kept, and nobody waits for them")
def _():
    count = scaled(1000)
    with Arena(f"{count} watchers that do not read", "connectionOutputBytesMax=1M") as arena:
        watchers = [Client(arena.server.port, timeout_ms=TIMEOUT_MS) for _ in range(count)]
        maker = Client(arena.server.port)
        path = maker.create("/" + "n" * 1000)
        for client in watchers:
            client.must(raw.ADD_WATCH, raw.string(path) + i32(0))
        for i in range(scaled(20000)):
            maker.set(path, b"%d" % i)
        true(SANITIZED or arena.peak < arena.before + count * 2.0 + 64,
             "what they do not read is bounded")
        for client in watchers:
            client.abandon()


@case("clients that ask for much and never read are held back")
def _():
    with Arena("200 clients that never read") as arena:
        maker = Client(arena.server.port)
        path = maker.create("/large", bytes(100000))
        greedy = []
        request = framed(1, raw.GET_DATA, raw.read(path)) * 200  # 20 MB of answers each
        for _ in range(scaled(200)):
            client = Client(arena.server.port, timeout_ms=TIMEOUT_MS)
            client.send_bytes(request)
            greedy.append(client)
        time.sleep(3)
        true(SANITIZED or arena.peak < arena.before + len(greedy) * 1.0 + 64,
             f"{arena.peak:.0f} MiB at most")
        for client in greedy:
            client.abandon()


@case("slow senders, a byte at a time, hold nobody up")
def _():
    count = scaled(2000)
    with Arena(f"{count} slow senders") as arena:
        frame = connect_frame(TIMEOUT_MS)
        slow = [dial(arena.server.port, number) for number in range(count)]
        time.sleep(0.5)
        for at in range(20):
            for one in slow:
                try:
                    one.send(frame[at:at + 1])
                except OSError:
                    pass  # cut off: its right
            time.sleep(0.1)
        for one in slow:
            one.close()


@case("streams of requests that were damaged on the way end in answers or a closed connection")
def _():
    count = scaled(3000)
    chance = random.Random(20)
    with Arena(f"{count} damaged streams") as arena:
        keeper = Client(arena.server.port)
        kept = keeper.create("/kept", b"whole")
        for number in range(count):
            client = Client(arena.server.port, timeout_ms=TIMEOUT_MS)
            good = b"".join([
                framed(1, raw.CREATE, raw.create("/d%d" % number, b"x")),
                framed(2, raw.GET_DATA, raw.read("/d%d" % number, True)),
                framed(3, raw.SET_DATA, raw.set_data("/d%d" % number, b"yy")),
                framed(4, raw.MULTI, raw.multi((raw.CREATE, raw.create("/d%d/a" % number)),
                                               (raw.DELETE, raw.delete("/d%d/a" % number)))),
                framed(5, raw.DELETE, raw.delete("/d%d" % number))])
            bad = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                bad[chance.randrange(len(bad))] = chance.randrange(256)
            client.send_bytes(bytes(bad[:chance.randrange(1, len(bad) + 1)]))
            client.abandon()
        equal(keeper.get(kept)[0], b"whole")


@case("a flood of authentications of one connection is bounded")
def _():
    with Arena("a flood of auth packets") as arena:
        client = Client(arena.server.port, timeout_ms=TIMEOUT_MS)
        try:
            for number in range(scaled(50000)):
                client.send(raw.AUTH, raw.auth("digest", b"user%d:" % number + b"x" * 500), xid=-4)
                if number % 100 == 99:
                    for _ in range(100):
                        client.receive()
        except (raw.Closed, OSError):
            pass  # cut off: its right
        true(SANITIZED or arena.memory() < arena.before + 64, "its identities are bounded")


if __name__ == "__main__":
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # the server inherits it
    harness.main()
