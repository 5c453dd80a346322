#!/usr/bin/env python3
"""libmoonkeeper against Moonkeeper and against ZooKeeper, through a proxy that is cut and mended, and
against servers that lie. The cases themselves are in client_library.c."""
import os
import select
import socket
import struct
import subprocess
import sys
import threading

import harness
from harness import case, true

PROGRAM = harness.needed("CLIENT_LIBRARY",
                         os.path.join(os.environ["BUILD_DIR"], "compat_client_library"))
SECONDS_MAX = 90
OPTIONS = ["tickTime=200", "minSessionTimeout=400", "extendedTypesEnabled=true",
           "4lw.commands.whitelist=*"]


class Proxy:
    """Between a client and a server: holds back, cuts, mends."""

    def __init__(self, port):
        self.server = port
        self.port = None
        self.lock = threading.Lock()
        self.pairs = []
        self.held = False
        self.listener = None
        self.closed = False
        self.mend()

    def mend(self):
        self.held = False
        self.listener = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server), 10)
            except OSError:
                return
            with self.lock:
                self.pairs.append((client, server))
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()

    def pump(self, client, server):
        try:
            while True:
                if self.held:
                    select.select([], [], [], 0.01)
                    if client.fileno() < 0:
                        return
                    continue
                for ready in select.select([client, server], [], [], 0.05)[0]:
                    if self.held:
                        break
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            client.close()
            server.close()

    def hold(self):
        self.held = True

    def release(self):
        self.held = False

    def cut(self):
        """All connections, and no new ones."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.lock:
            for pair in self.pairs:
                for one in pair:
                    try:
                        one.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            self.pairs = []


def play(name, *addresses, **commands):
    """Run a case, doing what it asks for; its output."""
    output = []
    with subprocess.Popen([PROGRAM, name, *addresses], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        timer = threading.Timer(SECONDS_MAX, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                output.append(line)
                if line.startswith("please "):
                    commands[line.split()[1]]()
                    process.stdin.write("done\n")
                    process.stdin.flush()
        finally:
            timer.cancel()
    text = "".join(output)
    true(process.returncode == 0, f"exit code {process.returncode}:\n{text}")
    return text


def play_with(server, name):
    proxy = Proxy(server.port)
    try:
        def again():
            if proxy.listener is None:
                proxy.mend()
        return play(name, f"127.0.0.1:{proxy.port}", f"127.0.0.1:{server.port}", cut=proxy.cut,
                    mend=lambda: (proxy.cut(), again()), hold=proxy.hold, release=proxy.release,
                    restart=server.restart)
    finally:
        proxy.cut()


servers = {}


def shared(kind):
    if kind not in servers:
        servers[kind] = kind(*OPTIONS)
    return servers[kind]


ON_BOTH = {
    "creates": "all kinds of znodes are created, and what they are comes back with them",
    "reads_and_writes": "data, Stats and children are read and written, with and without versions",
    "acls": "identities are kept over connections, and decide what an ACL permits",
    "multis": "a multi answers for each of its operations, done or not; a multiRead likewise",
    "the_rest": "ephemerals, numbers, the configuration and four-letter words are asked for",
    "chroot": "below a chroot all paths are short, in results and in events",
    "watches": "watches are told what they wait for, to the last, and are removed",
    "one_of_two_watches_is_removed": "of two watches on a znode one can go, and the other stays",
    "order": "an event comes before the answer that shows its cause",
    "missed_events": "what watches missed while the connection was cut is delivered afterwards",
    "losses": "what was outstanding when a connection broke ends with ConnectionLoss, once",
    "silence": "a server that falls silent is left",
    "idle": "a session that has nothing to say is kept alive",
    "next_server": "servers are tried one after the other, and requests wait meanwhile",
    "expiry": "an expired session is the end of its requests and its watches",
    "ten_thousand_outstanding": "10,000 requests may be outstanding, and are answered in order",
    "limits": "requests, bytes and watches are limited, and who asks beyond is told",
    "close_with_requests_outstanding": "what was asked before the close is answered, or ends",
    "attach": "a session can be left and attached to again, but not without its password",
    "callbacks": "functions that wait refuse to in callbacks, those that do not work there",
    "threads": "many threads may use one handle",
}


def both(name, sentence):
    @case(sentence)
    def _():
        play_with(shared(harness.Moonkeeper), name)

    @case(f"ZooKeeper: {sentence}")
    def _():
        if not harness.zookeeper_is_there():
            raise harness.Skip("ZooKeeper is not there")
        play_with(shared(harness.ZooKeeper), name)


for _name, _sentence in ON_BOTH.items():
    both(_name, _sentence)


@case("a session, its ephemerals and its watches survive the server's restart")
def _():
    with harness.Moonkeeper(*OPTIONS) as server:
        play_with(server, "restart")


@case("a call waits, is passed by other requests, survives its connection, and is made once")
def _():
    play_with(shared(harness.Moonkeeper), "calls")


# --- Servers that lie. Each is a function from a request to bytes, or to None: hang up.


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


def granted(timeout_ms=3000):
    return frame(struct.pack(">iiqi16sB", 0, timeout_ms, 0x1234, 16, b"p" * 16, 0))


def reply(xid, error=0, body=b""):
    return frame(struct.pack(">iqi", xid, 5, error) + body)


STAT = bytes(68)
LIES = {
    "greets with what is no handshake": (lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
    "greets with a handshake that is too short": (lambda: frame(b"abc"), None),
    "greets with a password that is too short":
        (lambda: frame(struct.pack(">iiqi2s", 0, 3000, 1, 2, b"pp")), None),
    "hangs up instead of a handshake": (lambda: None, None),
    "announces a frame of two gigabytes": (granted, lambda xid: b"\x7f\xff\xff\xff" + bytes(64)),
    "announces a frame of negative length": (granted, lambda xid: b"\xff\xff\xff\xff"),
    "announces a frame above the limit": (granted, lambda xid: struct.pack(">i", (1 << 20) + 1)),
    "sends a reply without a header": (granted, lambda xid: frame(b"abcd")),
    "cuts a reply short": (granted, lambda xid: reply(xid, 0, struct.pack(">i", 3) + b"ab")),
    "leaves out the Stat": (granted, lambda xid: reply(xid, 0, struct.pack(">i", 3) + b"abc")),
    "announces more data than there is":
        (granted, lambda xid: reply(xid, 0, struct.pack(">i", 0x7fffffff) + STAT)),
    "answers another request": (granted, lambda xid: reply(xid + 1, 0, bytes(4) + STAT)),
    "answers an authentication that was not asked for": (granted, lambda xid: reply(-4)),
    "answers watches that were not set again": (granted, lambda xid: reply(-8)),
    "sends an event of no kind":
        (granted, lambda xid: reply(-1, 0, struct.pack(">iii2s", 9, 3, 2, b"/a"))),
    "sends an event without a path":
        (granted, lambda xid: reply(-1, 0, struct.pack(">iii", 1, 3, -1))),
    "sends an event whose path holds a NUL":
        (granted, lambda xid: reply(-1, 0, struct.pack(">iii3s", 1, 3, 3, b"/\0a"))),
    "hangs up in the middle of a frame": (granted, lambda xid: (struct.pack(">i", 100), None)),
}


class Liar:
    def __init__(self, greeting, answer):
        self.greeting = greeting
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            try:
                self.receive(client)
                greeting = self.greeting()
                if greeting is None:
                    return
                client.sendall(greeting)
                while self.answer:
                    xid = struct.unpack_from(">i", self.receive(client))[0]
                    said = self.answer(xid)
                    if isinstance(said, tuple):
                        client.sendall(said[0])
                        return
                    client.sendall(said)
                client.recv(1)
            except (OSError, struct.error):
                pass

    @staticmethod
    def receive(client):
        head = client.recv(4, socket.MSG_WAITALL)
        return client.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def lie(sentence, greeting, answer):
    @case(f"a server that {sentence} is left, and does no harm")
    def _():
        liar = Liar(greeting, answer)
        try:
            true("trouble: 127.0.0.1" in play("liar", f"127.0.0.1:{liar.port}"), "no trouble")
        finally:
            liar.stop()


for _sentence, (_greeting, _answer) in LIES.items():
    lie(_sentence, _greeting, _answer)

if __name__ == "__main__":
    sys.exit(harness.main())
