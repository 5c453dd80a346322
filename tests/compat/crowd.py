"""Very many connections from one Python process, and a bystander who feels what they do to others."""

import errno
import itertools
import multiprocessing
import os
import select
import socket
import struct
import time

from raw_client import Client, boolean, buffer, i32, i64

SOURCES = 16  # source addresses, 127.0.0.2 and on: more ports than one has
AT_ONCE = 1000  # handshakes under way
SILENCE_SECONDS_MAX = 60
PASSWORD_NONE = bytes(16)
CONNECT_REPLY_BYTES = 41


def connect_frame(timeout_ms, session=0, password=PASSWORD_NONE):
    payload = (i32(0) + i64(0) + i32(timeout_ms) + i64(session) + buffer(password) + boolean(False))
    return i32(len(payload)) + payload


def dial(port, number):
    """A non-blocking socket on its way to the server."""
    one = socket.socket()
    one.setblocking(False)
    one.bind((f"127.0.0.{2 + number % SOURCES}", 0))
    code = one.connect_ex(("127.0.0.1", port))
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))
    return one


class Handshake:
    """What a ConnectRequest was answered with. `timeout_ms` 0: the session is not known."""

    def __init__(self, one, answer):
        self.socket = one
        self.timeout_ms, self.session = struct.unpack_from(">iq", answer, 8)
        self.password = answer[24:40]


def handshakes(port, frames, at_once=AT_ONCE, keep=True):
    """Connect once for each of `frames`, at most `at_once` at a time under way; in no order.
    A connection that is not kept is closed as soon as it is answered, without a word."""
    poll = select.epoll()
    waiting = {}  # fd: [socket, frame, answer]
    frames = iter(frames)
    number = 0
    done = []
    more = True
    while more or waiting:
        while more and len(waiting) < at_once:
            frame = next(frames, None)
            more = frame is not None
            if more:
                one = dial(port, number)
                number += 1
                waiting[one.fileno()] = [one, frame, b""]
                poll.register(one, select.EPOLLOUT)
        events = poll.poll(SILENCE_SECONDS_MAX)
        if waiting and not events:
            raise AssertionError(f"no answer for {SILENCE_SECONDS_MAX} s, {len(waiting)} wait")
        for fd, event in events:
            entry = waiting[fd]
            if event & select.EPOLLOUT and entry[1]:
                entry[0].send(entry[1])
                entry[1] = b""
                poll.modify(fd, select.EPOLLIN)
                continue
            part = entry[0].recv(CONNECT_REPLY_BYTES - len(entry[2]))
            entry[2] += part
            if not part:
                raise AssertionError("the server closed a connection that asked for a session")
            if len(entry[2]) == CONNECT_REPLY_BYTES:
                poll.unregister(fd)
                del waiting[fd]
                done.append(Handshake(entry[0], entry[2]))
                if not keep:
                    entry[0].close()
    poll.close()
    return done


def word(port, name):
    """What a four-letter word is answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_SECONDS_MAX) as one:
        one.sendall(name)
        answer = b""
        while part := one.recv(1 << 16):
            answer += part
        return answer.decode()


def stream(client, frames, count, reply_bytes, window=4000):
    """Send `count` frames on a client's connection, at most `window` unanswered, all of whose replies
    have one length. Returns the errors among them."""
    one = client.socket
    one.settimeout(SILENCE_SECONDS_MAX)
    size = reply_bytes + 4
    received = b""
    errors = 0
    for at in range(0, count, window):
        part = list(itertools.islice(frames, min(window, count - at)))
        one.sendall(b"".join(part))
        while len(received) < size * len(part):
            got = one.recv(1 << 20)
            if not got:
                raise AssertionError("the server closed the connection")
            received += got
        for reply in range(len(part)):
            errors += struct.unpack_from(">i", received, reply * size + 16)[0] != 0
        received = received[size * len(part):]
    return errors


# --- The bystander.


def bystander_run(port, pipe):
    """Gets and sets in turn, one at a time, until a word comes through the pipe."""
    client = Client(port, timeout_ms=40000)
    path = client.create("/bystander-", flags=2)
    latencies = []
    count = 0
    pipe.send("ready")
    while not pipe.poll():
        begin = time.monotonic()
        if count % 2 == 0:
            client.set(path, b"%d" % count)
        else:
            value = client.get(path)[0]
            if value != b"%d" % (count - 1):
                raise AssertionError(f"a get saw {value}, not the set before it")
        latencies.append(time.monotonic() - begin)
        count += 1
        time.sleep(0.002)
    client.close()
    pipe.send(latencies)


class Bystander:
    """Another client, in a process of its own. Leaving it gives `figures`: p50, p99, max in ms."""

    def __init__(self, port):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=bystander_run, args=(port, other))
        self.figures = None

    def __enter__(self):
        self.process.start()
        if not self.pipe.poll(SILENCE_SECONDS_MAX):
            raise AssertionError("the bystander gets no session")
        self.pipe.recv()
        return self

    def __exit__(self, kind, *_):
        if kind is not None or not self.process.is_alive():
            self.process.kill()
            self.process.join()
            if kind is None:
                raise AssertionError("the bystander has failed: see above")
            return
        self.pipe.send("stop")
        if not self.pipe.poll(SILENCE_SECONDS_MAX):
            self.process.kill()
            raise AssertionError("the bystander waits for an answer")
        latencies = sorted(self.pipe.recv())
        self.process.join()
        self.figures = [1000 * latencies[min(len(latencies) - 1, int(len(latencies) * part))]
                        for part in (0.5, 0.99, 1)]


def resident_mib(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
