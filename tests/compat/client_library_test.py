#!/usr/bin/env python3
"""libmoonkeeper against Moonkeeper, through a proxy that is cut and mended, and against servers that lie.
The cases themselves are in client_library.c."""
import socket
import struct
import sys
import threading

import client_library
import harness
from client_library import OPTIONS, play, play_with, shared
from harness import case, true

client_library.cases_define()


@case("a session, its ephemerals and its watches survive the server's restart")
def _():
    with harness.Moonkeeper(*OPTIONS) as server:
        play_with(server, "restart")


@case("a call waits, is passed by other requests, survives its connection, and is made once")
def _():
    play_with(shared(), "calls")


@case("a thousand calls over a connection that breaks ten times are carried out once each")
def _():
    play_with(shared(), "calls_once")


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
