"""Clients that write down what they ask and what they are answered, while servers come and go.

    witness = Witness("ann", members, history, dice)
    witness.start(job)            # job(witness), again and again, in a thread of its own, until
    witness.end()                 # ... here, which raises what went wrong

A job is a few requests. Should the connection break, the job ends with Lost and the next one begins
on another server: nothing is repeated behind the back of the history.
"""

import json
import threading
import time

import raw_client as raw
from raw_client import Client, Closed, Reader

ANSWERS = {raw.OK: "ok", raw.NODE_EXISTS: "exists", raw.NO_NODE: "none", raw.BAD_VERSION: "version"}
SESSION_MOVED = -118
END_SECONDS_MAX = 120
LIVE_KEYS = 4
OPERATIONS_A_KEY = 40  # so that an order of them is found at once


class Lost(Exception):
    """The connection broke: nobody knows what has become of the last request."""


class Witness:
    """One session after another, each on one server after another. `seconds`: patience for a reply."""

    def __init__(self, name, members, history, dice, timeout_ms=30000, seconds=5):
        self.name, self.members, self.history, self.dice = name, members, history, dice
        self.wanted_ms, self.seconds = timeout_ms, seconds
        self.client = None
        self.session, self.password, self.zxid, self.timeout_ms = 0, bytes(16), 0, timeout_ms
        self.at = dice.randrange(len(members))
        self.running, self.failure, self.thread = True, None, None
        self.answered = self.expired = self.lost = self.lost_in_a_row = 0
        self.alive_at = 0.0  # when the last request was sent that has been answered
        self.before = None   # what a job has left, to be done away with

    # ---- The connection.

    def connected(self):
        while self.running and self.client is None:
            self.at = (self.at + 1) % len(self.members)
            member, began = self.members[self.at], time.monotonic()
            try:
                client = Client(member.port, host=member.host, timeout_ms=self.wanted_ms,
                                session=self.session, password=self.password,
                                zxid_seen=self.zxid, seconds=self.seconds)
            except (OSError, Closed):
                time.sleep(0.05)
                continue
            if client.session == 0:
                client.socket.close()
                self.expired += self.session != 0
                self.session, self.password = 0, bytes(16)
                continue
            self.client, self.alive_at = client, began
            self.session, self.password = client.session, client.password
            self.timeout_ms = client.timeout_ms
        return self.client is not None

    def broken(self):
        self.client.socket.close()
        self.client = None
        self.lost += 1
        raise Lost()

    def ask(self, code, record=b""):
        sent = time.monotonic()
        try:
            reply = self.client.ask(code, record)
        except (OSError, Closed):
            self.broken()
        except AssertionError as error:
            if "half a frame" not in str(error):  # who is killed may be in the middle of one
                raise
            self.broken()
        if reply.error in (raw.SESSION_EXPIRED, SESSION_MOVED):
            self.broken()
        self.alive_at, self.zxid = sent, max(self.zxid, reply.zxid)
        self.answered += 1
        return reply

    def expires_at(self):
        """No server ends the session before this."""
        return self.alive_at + self.timeout_ms / 1000

    # ---- The thread.

    def start(self, job):
        self.thread = threading.Thread(target=self.run, args=(job,), daemon=True)
        self.thread.start()

    def run(self, job):
        in_a_row = 0
        try:
            while self.running and self.connected():
                try:
                    job(self)
                    in_a_row = 0
                except Lost:
                    in_a_row += 1
                    self.lost_in_a_row = max(self.lost_in_a_row, in_a_row)
                time.sleep(self.dice.random() * 0.008)
        except BaseException as error:  # pylint: disable=broad-except
            self.failure = error

    def end(self):
        self.running = False
        self.thread.join(END_SECONDS_MAX)
        assert not self.thread.is_alive(), f"{self.name} does not end"
        if self.client is not None:
            self.client.socket.close()
        if self.failure is not None:
            raise self.failure

    # ---- Requests that are written down.

    def write(self, kind, path, value=None, version=-1):
        """How it was answered."""
        code, record = {"create": lambda: (raw.CREATE, raw.create(path, value)),
                        "set": lambda: (raw.SET_DATA, raw.set_data(path, value, version)),
                        "delete": lambda: (raw.DELETE, raw.delete(path, version))}[kind]()
        op = self.history.begin(self.name, kind, path, value, version)
        reply = self.ask(code, record)  # Lost: the history has it as unknown
        answer = ANSWERS[reply.error]
        result = None
        if answer == "ok" and kind != "delete":
            result = 0 if kind == "create" else Reader(reply.body).stat().version
        self.history.end(op, answer, reply.zxid, result)
        return answer

    def read(self, path, synced=False, fresh=False):
        """(value, version), or None."""
        synced_from = None
        if synced:
            synced_from = self.history.clock()
            self.ask(raw.SYNC, raw.string(path))
        op = self.history.begin(self.name, "read", path)
        op.fresh = fresh
        reply = self.ask(raw.GET_DATA, raw.read(path))
        if reply.error == raw.NO_NODE:
            self.history.read(op, None, None, reply.zxid, 0, synced_from)
            return None
        assert reply.error == 0, reply
        reader = Reader(reply.body)
        value, stat = reader.buffer(), reader.stat()
        self.history.read(op, value, stat.version, reply.zxid, stat.mzxid, synced_from)
        return value, stat.version

    def children(self, path):
        reply = self.ask(raw.GET_CHILDREN, raw.read(path))
        assert reply.error == 0, reply
        return sorted(Reader(reply.body).strings())


# ---- Jobs.


class Keys:
    """Znodes that many clients use at once, each for a while."""

    def __init__(self, folder):
        self.folder, self.lock, self.made = folder, threading.Lock(), 0
        self.live = [self.new() for _ in range(LIVE_KEYS)]

    def new(self):
        self.made += 1
        return [f"{self.folder}/{self.made}", OPERATIONS_A_KEY]

    def paths(self):
        return [f"{self.folder}/{number}" for number in range(1, self.made + 1)]

    def pick(self, dice):
        with self.lock:
            key = dice.choice(self.live)
            key[1] -= 1
            if key[1] == 0:
                self.live[self.live.index(key)] = self.new()
            return key[0]


def registers(keys):
    """Everything that may be done to a znode, conditional on its version or not."""
    def job(witness):
        dice, path = witness.dice, keys.pick(witness.dice)
        found = witness.read(path, synced=dice.random() < 0.3)
        value = f"{witness.name}-{witness.answered}-{witness.lost}".encode()
        condition = found[1] if found and dice.random() < 0.6 else -1
        kind = dice.choice(("set", "set", "set", "create", "delete")) if found else "create"
        witness.write(kind, path, None if kind == "delete" else value,
                      -1 if kind == "create" else condition)
    return job


def locks(folder):
    """A znode for each who asks; the oldest holds the lock. `before`: the data of znodes that may
    still be there, since the connection broke."""
    def forget(witness):
        for name in witness.children(folder):
            reply = witness.ask(raw.GET_DATA, raw.read(f"{folder}/{name}"))
            if reply.error == 0 and Reader(reply.body).buffer() == witness.before:
                witness.ask(raw.DELETE, raw.delete(f"{folder}/{name}"))
        witness.before = None

    def job(witness):
        if witness.before is not None:
            forget(witness)
        witness.before = f"{witness.name}-{witness.answered}".encode()
        made = witness.ask(raw.CREATE, raw.create(f"{folder}/n-", witness.before,
                                                  flags=raw.EPHEMERAL | raw.SEQUENTIAL))
        own = Reader(made.body).string().rsplit("/", 1)[1]
        while (names := witness.children(folder))[0] != own:
            if own not in names or not witness.running:
                return  # the session has ended, and another begun; or the test has
            time.sleep(0.005)
        since = time.monotonic()
        try:
            witness.ask(raw.EXISTS, raw.read(folder))
        finally:
            until = min(time.monotonic(), witness.expires_at())
            if until > since:
                witness.history.held(folder, witness.name, made.zxid, since, until)
        witness.ask(raw.DELETE, raw.delete(f"{folder}/{own}"))
        witness.before = None
    return job


def calls(path):
    """The same by calls of the recipe `lock`. A call whose answer is lost is asked for again, by its
    number, in the same session: it happens once. `before`: that call, and what has been granted."""
    def call(witness, operation, **arguments):
        if witness.before is None or witness.before[0] != witness.session:
            witness.before = [witness.session, 1, None]
        _, number, _ = witness.before
        reply = witness.ask(raw.CALL, raw.call(operation, json.dumps(arguments).encode(), number,
                                               number - 1))
        assert reply.error == 0, reply
        reader = Reader(reply.body)
        error, message, result = reader.string(), reader.string(), reader.buffer()
        if error == "Unimplemented":  # while not all servers have said that they can
            return None
        witness.before[1] += 1
        assert error is None, (operation, error, message)
        return json.loads(result)

    def job(witness):
        session = witness.session
        held = witness.before[2] if witness.before and witness.before[0] == session else None
        if held is None:
            held = call(witness, "lock.acquire", path=path)
            if held is None:
                return
            since, witness.before[2] = time.monotonic(), held
            try:
                witness.ask(raw.EXISTS, raw.read(path))
            finally:
                until = min(time.monotonic(), witness.expires_at())
                if until > since:
                    witness.history.held(path, witness.name, held["fence"], since, until)
        if call(witness, "lock.release", path=path, ticket=held["ticket"]) is not None:
            witness.before[2] = None
    return job


def puts(folder):
    def job(witness):
        element = f"{witness.name}-{witness.answered}-{witness.lost}"
        witness.history.element_put(element, False)
        made = witness.ask(raw.CREATE, raw.create(f"{folder}/e-", element.encode(),
                                                  flags=raw.SEQUENTIAL))
        assert made.error == 0, made
        witness.history.element_put(element, True)
    return job


def takes(folder):
    def job(witness):
        names = witness.children(folder)
        if not names:
            return
        path = f"{folder}/{witness.dice.choice(names[:3])}"
        reply = witness.ask(raw.GET_DATA, raw.read(path))
        if reply.error != 0:
            return
        element = Reader(reply.body).buffer().decode()
        try:
            gone = witness.ask(raw.DELETE, raw.delete(path))
        except Lost:
            witness.history.element_maybe_taken(element)
            raise
        if gone.error == 0:
            witness.history.element_taken(element, witness.name)
    return job
