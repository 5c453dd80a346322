"""A moonkeeperd under test, and the client protocol in its raw form: what the tests of the process share.

Not a test itself. Programs come from the environment: MOONKEEPERD. Everything is kept in the current
directory, which is empty at the start.
"""
import atexit
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

MOONKEEPERD = os.environ.get("MOONKEEPERD", "moonkeeperd")
STARTED_SECONDS_MAX = 60
STOPPED_SECONDS_MAX = 60

CONNECT_OK = 37
OP_CREATE, OP_DELETE, OP_EXISTS, OP_GET, OP_SET, OP_CHILDREN, OP_PING = 1, 2, 3, 4, 5, 8, 11
OP_CLOSE = -11
OPEN_ACL = struct.pack(">ii", 1, 31) + struct.pack(">i5si6s", 5, b"world", 6, b"anyone")


class Closed(Exception):
    """The server closed the connection."""


class Server:
    """One moonkeeperd on a port that is free. Its log lines go to a file."""

    count = 0

    def __init__(self, data="data", args=(), port=0, wait=True, **popen):
        Server.count += 1
        self.data = data
        self.log_path = "server-%d.log" % Server.count
        self.log = open(self.log_path, "wb")
        command = [MOONKEEPERD, "--data", data, "--port", str(port), "--address", "127.0.0.1",
                   "--option", "4lw.commands.whitelist=*"]
        self.process = subprocess.Popen(command + list(args), stdout=self.log, stderr=self.log,
                                        **popen)
        atexit.register(self.end)
        self.port = 0
        if wait:
            self.wait_serving()

    def lines(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_serving(self):
        deadline = time.monotonic() + STARTED_SECONDS_MAX
        while time.monotonic() < deadline:
            found = re.search(r" serving  address=\S+:(\d+) ", self.lines())
            if found:
                self.port = int(found.group(1))
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError("the server does not serve: " + self.lines())

    def wait_exit(self):
        code = self.process.wait(STOPPED_SECONDS_MAX)
        self.log.close()
        return code

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit()

    def kill(self):
        self.process.kill()
        return self.wait_exit()

    def end(self):
        """Whatever became of the test: leave no process behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def socket(self):
        connection = socket.create_connection(("127.0.0.1", self.port), 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def word(self, word):
        with self.socket() as connection:
            connection.sendall(word if isinstance(word, bytes) else word.encode())
            connection.shutdown(socket.SHUT_WR)
            return receive_all(connection).decode()

    def client(self, **options):
        return Client(self.socket(), **options)


class Client:
    """A session. Requests are sent by send(), replies come from receive(), in order."""

    def __init__(self, connection, timeout_ms=30000, session=0, password=bytes(16)):
        self.connection = connection
        self.xid = 0
        self.buffer = b""
        self.send_frame(connect_request(timeout_ms, session, password))
        reply = self.receive_frame()
        _, self.timeout_ms, self.session, length = struct.unpack_from(">iiqi", reply)
        self.password = reply[20:20 + length]

    def send_frame(self, payload):
        self.connection.sendall(struct.pack(">i", len(payload)) + payload)

    def receive_frame(self):
        while True:
            if len(self.buffer) >= 4:
                length = struct.unpack_from(">i", self.buffer)[0]
                if len(self.buffer) >= 4 + length:
                    frame = self.buffer[4:4 + length]
                    self.buffer = self.buffer[4 + length:]
                    return frame
            data = self.connection.recv(1 << 20)
            if not data:
                raise Closed()
            self.buffer += data

    def send(self, op, body=b""):
        self.xid += 1
        self.send_frame(struct.pack(">ii", self.xid, op) + body)
        return self.xid

    def receive(self):
        frame = self.receive_frame()
        xid, zxid, error = struct.unpack_from(">iqi", frame)
        return xid, zxid, error, frame[16:]

    def ask(self, op, body=b""):
        xid = self.send(op, body)
        answered, _, error, body = self.receive()
        assert answered == xid, "reply to %d instead of %d" % (answered, xid)
        return error, body

    def create(self, path, data=b"", flags=0):
        return self.ask(OP_CREATE, field(path) + field(data) + OPEN_ACL + struct.pack(">i", flags))

    def set(self, path, data):
        return self.ask(OP_SET, set_body(path, data))

    def get(self, path):
        error, body = self.ask(OP_GET, field(path) + b"\0")
        if error != 0:
            return None
        length = struct.unpack_from(">i", body)[0]
        return body[4:4 + max(length, 0)]

    def children(self, path):
        error, body = self.ask(OP_CHILDREN, field(path) + b"\0")
        assert error == 0, error
        names, at = [], 4
        for _ in range(struct.unpack_from(">i", body)[0]):
            length = struct.unpack_from(">i", body, at)[0]
            names.append(body[at + 4:at + 4 + length].decode())
            at += 4 + length
        return names

    def ping(self):
        self.send_frame(struct.pack(">ii", -2, OP_PING))
        xid, _, error, _ = self.receive()
        assert (xid, error) == (-2, 0)

    def close(self):
        self.ask(OP_CLOSE)
        self.connection.close()


def field(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">i", len(value)) + value


def set_body(path, data):
    return field(path) + field(data) + struct.pack(">i", -1)


def connect_request(timeout_ms=30000, session=0, password=bytes(16)):
    return struct.pack(">iqiq", 0, 0, timeout_ms, session) + field(password) + b"\0"


def receive_all(connection):
    """Until the server closes; a reset counts as that."""
    data = b""
    try:
        while True:
            part = connection.recv(65536)
            if not part:
                return data
            data += part
    except ConnectionResetError:
        return data


def run(*args):
    """A moonkeeperd that is expected to end by itself: exit code, stdout, stderr."""
    done = subprocess.run([MOONKEEPERD, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=STARTED_SECONDS_MAX, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def contains(text, *parts):
    for part in parts:
        assert part in text, "%r is not in %r" % (part, text)


def main(tests):
    """Run the functions, print TAP, exit. A test's name is the sentence it checks."""
    failed = 0
    print("1..%d" % len(tests))
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print("ok %d - %s" % (number, name), flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print("not ok %d - %s" % (number, name), flush=True)
    sys.exit(1 if failed else 0)
