"""ZooKeeper's client protocol by hand: every byte is visible, nothing is retried, nothing is hidden.

    client = Client(port)
    reply = client.ask(GET_DATA, string("/a") + boolean(True))
    reply.error, reply.zxid, Reader(reply.body).buffer()
    client.events                   # notifications that came meanwhile, in order
    client.log                      # replies and events in the order in which they came

Encoders give bytes; None encodes as null. `ask` waits for one reply, `send` and `receive` are its
halves, for pipelining.
"""

import socket
import struct
from collections import namedtuple

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN = 1, 2, 3, 4, 5, 6, 7, 8
SYNC, PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG = 9, 11, 12, 13, 14, 15, 16
CHECK_WATCHES, REMOVE_WATCHES, CREATE_CONTAINER, CREATE_TTL, MULTI_READ = 17, 18, 19, 21, 22
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER = 100, 101, 102, 103, 104
SET_WATCHES2, ADD_WATCH, WHO_AM_I, CALL, CALLS, CLOSE = 105, 106, 107, 700, 701, -11

XID_EVENT, XID_PING, XID_AUTH, XID_SET_WATCHES = -1, -2, -4, -8

OK, MARSHALLING, UNIMPLEMENTED, BAD_ARGUMENTS = 0, -5, -6, -8
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS = -101, -102, -103, -108
NODE_EXISTS, NOT_EMPTY, SESSION_EXPIRED, INVALID_ACL, AUTH_FAILED = -110, -111, -112, -114, -115
NO_WATCHER, RECONFIG_DISABLED, RUNTIME_INCONSISTENCY = -121, -123, -2

CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4  # events

EPHEMERAL, SEQUENTIAL, CONTAINER, TTL, TTL_SEQUENTIAL = 1, 2, 4, 5, 6  # flags of a create

READ, WRITE, CREATE_CHILD, DELETE_CHILD, ADMIN, ALL = 1, 2, 4, 8, 16, 31
OPEN = [(ALL, "world", "anyone")]

Reply = namedtuple("Reply", "xid zxid error body")
Event = namedtuple("Event", "type path zxid")
Stat = namedtuple("Stat", "czxid mzxid ctime mtime version cversion aversion owner length children "
                          "pzxid")
STAT = struct.Struct(">qqqqiiiqiiq")


class Closed(Exception):
    """The server closed the connection."""


# --- Encoding.


def i32(value):
    return struct.pack(">i", value)


def i64(value):
    return struct.pack(">q", value)


def boolean(value):
    return b"\x01" if value else b"\x00"


def buffer(data):
    return i32(-1) if data is None else i32(len(data)) + data


def string(text):
    return buffer(text.encode() if isinstance(text, str) else text)


def vector(items, encode):
    return i32(-1) if items is None else i32(len(items)) + b"".join(map(encode, items))


def acl(entries):
    return vector(entries, lambda entry: i32(entry[0]) + string(entry[1]) + string(entry[2]))


def create(path, data=b"", entries=OPEN, flags=0, ttl=None):
    return (string(path) + buffer(data) + acl(entries) + i32(flags) +
            (b"" if ttl is None else i64(ttl)))


def delete(path, version=-1):
    return string(path) + i32(version)


check = delete


def set_data(path, data=b"", version=-1):
    return string(path) + buffer(data) + i32(version)


def set_acl(path, entries, version=-1):
    return string(path) + acl(entries) + i32(version)


def read(path, watch=False):
    return string(path) + boolean(watch)


def auth(scheme, data):
    return i32(0) + string(scheme) + buffer(data)


def multi(*operations):
    """Each (operation code, record)."""
    body = b"".join(struct.pack(">iBi", code, 0, -1) + record for code, record in operations)
    return body + struct.pack(">iBi", -1, 1, -1)


def set_watches(zxid, *lists):
    """data, exist, child; of setWatches2 persistent and recursive, too."""
    return i64(zxid) + b"".join(vector(paths, string) for paths in lists)


def call(operation, arguments, call_id=1, done_through=0, chroot=None):
    """Arguments as JSON, in bytes."""
    return (string(operation) + i64(call_id) + i64(done_through) + string(chroot) + b"\x00" +
            buffer(arguments))


# --- Decoding.


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise AssertionError(f"the record is too short: {self.data.hex()}")
        self.at += count
        return self.data[self.at - count:self.at]

    def i32(self):
        return struct.unpack(">i", self.take(4))[0]

    def i64(self):
        return struct.unpack(">q", self.take(8))[0]

    def buffer(self):
        length = self.i32()
        return None if length == -1 else self.take(length)

    def string(self):
        data = self.buffer()
        return None if data is None else data.decode()

    def strings(self):
        return [self.string() for _ in range(self.i32())]

    def stat(self):
        return Stat(*STAT.unpack(self.take(STAT.size)))

    def acl(self):
        return [(self.i32(), self.string(), self.string()) for _ in range(self.i32())]

    def end(self):
        if self.at != len(self.data):
            raise AssertionError(f"bytes behind the record: {self.data[self.at:].hex()}")

    def multi(self):
        """[(code, value)]; value is an error, a path, a Stat, (path, Stat), (data, Stat), names."""
        results = []
        while True:
            code, done, error = struct.unpack(">iBi", self.take(9))
            if done:
                if (code, error) != (-1, -1):
                    raise AssertionError("not the end of a multi")
                return results
            results.append((code, self.multi_value(code, error)))

    def multi_value(self, code, error):
        if code == -1:
            if self.i32() != error:
                raise AssertionError("the two errors of a multi's result differ")
            return error
        if error != 0:
            raise AssertionError("a result with an error is not of type -1")
        kinds = {CREATE: self.string, SET_DATA: self.stat, GET_CHILDREN: self.strings,
                 CREATE2: lambda: (self.string(), self.stat()),
                 GET_DATA: lambda: (self.buffer(), self.stat()),
                 DELETE: lambda: None, CHECK: lambda: None}
        return kinds[code]()


# --- The connection.


class Client:
    """With connect=False nothing is sent at first. read_only=None leaves that byte out. `seconds`: how
    long to wait for a connection, and for each reply unless another time is given."""

    def __init__(self, port, timeout_ms=30000, session=0, password=bytes(16), zxid_seen=0,
                 read_only=False, connect=True, host="127.0.0.1", seconds=30):
        self.seconds = seconds
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.port = port
        self.xid = 0
        self.zxid = 0
        self.events = []
        self.log = []
        self.session = self.password = self.timeout_ms = None
        if connect:
            self.connect(timeout_ms, session, password, zxid_seen, read_only)

    def connect(self, timeout_ms=30000, session=0, password=bytes(16), zxid_seen=0,
                read_only=False):
        self.frame(i32(0) + i64(zxid_seen) + i32(timeout_ms) + i64(session) + buffer(password) +
                   (b"" if read_only is None else boolean(read_only)))
        return self.connected()

    def connected(self):
        """Read the ConnectResponse, which is returned whole."""
        answer = self.receive_frame()
        reader = Reader(answer)
        reader.i32()
        self.timeout_ms = reader.i32()
        self.session = reader.i64()
        self.password = reader.buffer()
        return answer

    def reattached(self, **options):
        """Another connection for this session."""
        return Client(self.port, session=self.session, password=self.password, **options)

    def send_bytes(self, data):
        self.socket.sendall(data)

    def frame(self, payload):
        self.send_bytes(i32(len(payload)) + payload)

    def send(self, code, record=b"", xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.frame(i32(xid) + i32(code) + record)
        return xid

    def receive_frame(self, seconds=None):
        """Without its length. Closed when there is no more; TimeoutError when nothing comes."""
        self.socket.settimeout(self.seconds if seconds is None else seconds)
        while True:
            if len(self.received) >= 4:
                length = struct.unpack_from(">i", self.received)[0]
                if len(self.received) >= 4 + length:
                    frame = self.received[4:4 + length]
                    self.received = self.received[4 + length:]
                    return frame
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                raise Closed("reset") from None
            if not data:
                if self.received:
                    raise AssertionError(f"half a frame before the end: {self.received.hex()}")
                raise Closed("closed")
            self.received += data

    def receive(self, seconds=None):
        """The next reply; events before it go to `events`."""
        while True:
            got = self.receive_any(seconds)
            if isinstance(got, Reply):
                return got

    def receive_any(self, seconds=None):
        frame = self.receive_frame(seconds)
        reader = Reader(frame)
        xid, zxid, error = reader.i32(), reader.i64(), reader.i32()
        got = Reply(xid, zxid, error, frame[16:])
        if xid == XID_EVENT:
            kind, state, path = reader.i32(), reader.i32(), reader.string()
            reader.end()
            if (state, error) != (3, 0):
                raise AssertionError(f"not a proper event: {frame.hex()}")
            got = Event(kind, path, zxid)
            self.events.append(got)
        elif zxid > 0:
            self.zxid = max(self.zxid, zxid)
        self.log.append(got)
        return got

    def ask(self, code, record=b"", xid=None):
        xid = self.send(code, record, xid)
        reply = self.receive()
        if reply.xid != xid:
            raise AssertionError(f"the reply has xid {reply.xid}, not {xid}")
        if reply.error != 0 and reply.body and code not in (MULTI_READ, SASL):
            raise AssertionError(f"an error with a body: {reply}")
        return reply

    def error(self, code, record=b""):
        return self.ask(code, record).error

    def must(self, code, record=b""):
        """The body, as a Reader, of what must succeed."""
        reply = self.ask(code, record)
        if reply.error != 0:
            raise AssertionError(f"operation {code} failed with {reply.error}")
        return Reader(reply.body)

    def closed(self, seconds=None):
        """Whether the server closes without another frame."""
        try:
            frame = self.receive_frame(seconds)
        except Closed:
            return True
        except (TimeoutError, socket.timeout):
            return False
        raise AssertionError(f"a frame instead of the end: {frame.hex()}")

    # --- What most tests need.

    def create(self, path, data=b"", entries=OPEN, flags=0):
        return self.must(CREATE, create(path, data, entries, flags)).string()

    def set(self, path, data, version=-1):
        return self.must(SET_DATA, set_data(path, data, version)).stat()

    def get(self, path, watch=False):
        reader = self.must(GET_DATA, read(path, watch))
        return reader.buffer(), reader.stat()

    def delete(self, path, version=-1):
        self.must(DELETE, delete(path, version))

    def stat(self, path, watch=False):
        """Or None if there is no such znode."""
        reply = self.ask(EXISTS, read(path, watch))
        return Reader(reply.body).stat() if reply.error == 0 else None

    def children(self, path, watch=False):
        return sorted(self.must(GET_CHILDREN, read(path, watch)).strings())

    def take_events(self):
        """What has come so far, (type, path) each; a ping makes sure that all has."""
        self.ask(PING, xid=XID_PING)
        events, self.events = self.events, []
        return [(event.type, event.path) for event in events]

    def authenticate(self, credentials):
        return self.ask(AUTH, auth("digest", credentials), xid=XID_AUTH)

    def close(self):
        """Orderly: closeSession, its reply, the end."""
        self.ask(CLOSE)
        if not self.closed():
            raise AssertionError("the server did not close the connection")
        self.socket.close()

    def abandon(self):
        """The connection breaks; the session stays."""
        self.socket.close()
