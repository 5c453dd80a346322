#!/usr/bin/python3
"""The client protocol, rule by rule, over a raw connection: handshake, order, frames, the end of a
session, four-letter words. The names of the cases are what is promised."""

import socket
import struct
import threading
import time

import harness
import raw_client as raw
from harness import case, equal, true
from protocol import connect, expect, names, room, shared
from raw_client import Client, Reader, Reply

FRAME_BYTES_MAX = 1048575


# --- Handshake.


@case("a connect request of 45 bytes is answered with 37, one of 44 with 36")
def _():
    for read_only, length in ((False, 37), (True, 37), (None, 36)):
        client = connect(connect=False)
        equal(len(client.connect(read_only=read_only)), length)
        client.close()


@case("the timeout is clamped to between 2 and 20 ticks")
def _():
    for asked, granted in ((1, 4000), (0, 4000), (-5, 4000), (5000, 5000), (10**6, 40000)):
        client = connect(timeout_ms=asked)
        equal(client.timeout_ms, granted, f"asked for {asked}")
        client.close()


@case("a new session takes any password and any protocol version")
def _():
    for password in (None, b"", b"short", bytes(40)):
        client = connect(password=password)
        equal(len(client.password), 16)
        client.close()
    client = connect(connect=False)
    client.frame(raw.i32(7) + raw.i64(-5) + raw.i32(9000) + raw.i64(0) + raw.buffer(bytes(16)))
    client.connected()
    equal(client.timeout_ms, 9000)


@case("a password is the one that ZooKeeper computes from the session id")
def _():
    client = connect()
    state = ((client.session ^ 0xB3415C00) ^ 0x5DEECE66D) & (1 << 48) - 1
    expected = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & (1 << 48) - 1
        expected += struct.pack("<I", state >> 16 & 0xFFFFFFFF)
    equal(client.password, expected)


@case("session ids are of this server, distinct, and never 0")
def _():
    clients = [connect() for _ in range(20)]
    ids = [client.session for client in clients]
    equal(len(set(ids)), 20)
    equal({session >> 56 for session in ids}, {1})
    for client in clients:
        client.close()


@case("requests sent behind the connect request are answered, in order")
def _():
    client = connect(connect=False)
    connect_record = raw.i32(0) + raw.i64(0) + raw.i32(9000) + raw.i64(0) + raw.buffer(bytes(16))
    burst = [connect_record + b"\x00",
             raw.i32(raw.XID_AUTH) + raw.i32(raw.AUTH) + raw.auth("digest", b"bob:secret"),
             raw.i32(1) + raw.i32(raw.WHO_AM_I),
             raw.i32(2) + raw.i32(raw.CREATE) + raw.create(next(names)),
             raw.i32(raw.XID_PING) + raw.i32(raw.PING)]
    client.send_bytes(b"".join(raw.i32(len(frame)) + frame for frame in burst))
    client.connected()
    replies = [client.receive() for _ in range(4)]
    equal(sorted(reply.xid for reply in replies), [-4, -2, 1, 2])
    equal([reply.xid for reply in replies if reply.xid != -2], [-4, 1, 2])
    equal([reply.error for reply in replies], [0, 0, 0, 0])


@case("a connection that comes back has its session, its ephemerals, and only the events it missed")
def _():
    client, path = room()
    other = connect()
    for name in ("/seen", "/changed", "/gone", "/same"):
        client.create(path + name)
    client.create(path + "/mine", flags=raw.EPHEMERAL)
    seen = client.zxid
    client.abandon()
    other.set(path + "/changed", b"x")
    other.delete(path + "/gone")

    again = client.reattached(zxid_seen=seen)

    equal((again.session, again.password), (client.session, client.password))
    equal(again.stat(path + "/mine").owner, client.session)
    lists = [[path + "/changed", path + "/gone", path + "/same"], [path + "/new"], [path]]
    equal(again.error(raw.SET_WATCHES, raw.set_watches(seen, *lists)), raw.OK)
    equal(again.take_events(), [(raw.CHANGED, path + "/changed"), (raw.DELETED, path + "/gone"),
                                (raw.CHILDREN, path)])
    other.create(path + "/new")
    other.set(path + "/same", b"y")
    other.set(path + "/changed", b"z")
    equal(again.take_events(), [(raw.CREATED, path + "/new"), (raw.CHANGED, path + "/same")])


@case("coming back may change the timeout, and uses up no zxid")
def _():
    client = connect(timeout_ms=6000)
    client.create(next(names))
    before = client.zxid
    again = client.reattached(timeout_ms=8000)
    equal(again.timeout_ms, 8000)
    again.ask(raw.EXISTS, raw.read("/"))
    equal(again.zxid, before)


@case("a session that moved to another connection closes the old one without a word")
def _():
    client = connect()
    again = client.reattached()
    true(client.closed(), "the old connection ends")
    equal(again.stat("/nope"), None)


@case("a wrong password and an unknown id are refused alike, and the rightful owner stays")
def _():
    owner = connect()
    refused = bytes(4) + bytes(4) + bytes(8) + raw.buffer(bytes(16)) + b"\x00"
    for session, password in ((owner.session, bytes(16)), (owner.session, b"wrong"),
                              (owner.session, None), (0x123456, owner.password),
                              (-1, owner.password)):
        client = connect(connect=False)
        equal(client.connect(session=session, password=password), refused)
        true(client.closed(), "the refused connection ends")
    equal(owner.stat("/nope"), None)


@case("a session that is not heard of expires, its ephemerals go, and it cannot come back")
def _():
    with harness.server("tickTime=200") as server:
        client = Client(server.port, timeout_ms=400)
        watcher = Client(server.port)
        started = time.monotonic()  # what it sends next is the last that is heard of it
        client.create("/mine", flags=raw.EPHEMERAL)
        watcher.stat("/mine", watch=True)
        watcher.children("/", watch=True)
        client.abandon()

        event = watcher.receive_any(20)
        took = time.monotonic() - started

        equal((event.type, event.path), (raw.DELETED, "/mine"))
        true(0.35 < took < 5, f"it expired after {took:.2f} s")
        equal(watcher.take_events()[1:], [(raw.CHILDREN, "/")])
        equal(watcher.stat("/mine"), None)
        again = Client(server.port, connect=False)
        again.connect(session=client.session, password=client.password)
        equal((again.timeout_ms, again.session, again.password), (0, 0, bytes(16)))
        true(again.closed(), "the refused connection ends")


@case("pings alone keep a session alive, and so do reads alone")
def _():
    with harness.server("tickTime=500") as server:
        for ask in (lambda client: client.ask(raw.PING, xid=raw.XID_PING),
                    lambda client: client.ask(raw.EXISTS, raw.read("/"))):
            client = Client(server.port, timeout_ms=2000)
            path = client.create("/alive-", flags=raw.EPHEMERAL | raw.SEQUENTIAL)
            for _ in range(18):
                time.sleep(0.2)
                ask(client)
            true(client.stat(path) is not None, "the ephemeral is there")


@case("a client that has seen more than the server gets no answer, only the end")
def _():
    client = connect()
    client.create(next(names))
    ahead = connect(connect=False)
    ahead.frame(raw.i32(0) + raw.i64(client.zxid + 1000) + raw.i32(9000) + raw.i64(0) +
                raw.buffer(bytes(16)) + b"\x00")
    true(ahead.closed(), "closed without a byte")
    equal(connect(zxid_seen=client.zxid).timeout_ms, 30000)


# --- Order.


@case("10,000 pipelined reads and writes are answered in order, with zxids that never fall")
def _():
    client, path = room()
    client.create(path + "/n")
    kinds = [(raw.SET_DATA, lambda i: raw.set_data(path + "/n", b"%d" % i)),
             (raw.GET_DATA, lambda i: raw.read(path + "/n")),
             (raw.CREATE, lambda i: raw.create(f"{path}/n/{i}")),
             (raw.EXISTS, lambda i: raw.read(f"{path}/n/{i - 1}")),
             (raw.DELETE, lambda i: raw.delete(f"{path}/n/{i - 2}")),
             (raw.GET_CHILDREN, lambda i: raw.read(path + "/n")),
             (raw.SYNC, lambda i: raw.string(path)),
             (raw.MULTI, lambda i: raw.multi((raw.CHECK, raw.check(path))))]
    count = 10000
    sender = threading.Thread(target=lambda: [
        client.send(kinds[i % 8][0], kinds[i % 8][1](i)) for i in range(count)])
    first = client.xid + 1
    sender.start()
    replies = [client.receive() for _ in range(count)]
    sender.join()

    equal([reply.xid for reply in replies], list(range(first, first + count)))
    equal([reply.error for reply in replies], [0] * count)
    zxids = [reply.zxid for reply in replies]
    equal(zxids, sorted(zxids))
    for i in range(8, count):
        if i % 8 == 1:
            equal(Reader(replies[i].body).buffer(), b"%d" % (i - 1), "the write before it")


@case("an event is written before the reply that shows the change, to another session")
def _():
    watcher, path = room()
    writer = connect()
    for i in range(500):
        watcher.get(path, watch=True)
        writer.send(raw.SET_DATA, raw.set_data(path, b"%d" % i))
        watcher.events.clear()
        data = None
        while data != b"%d" % i:
            data, _ = watcher.get(path)
            if data == b"%d" % i:
                equal([event.type for event in watcher.events], [raw.CHANGED], f"round {i}")
        writer.receive()


@case("read, event, reply: in one session, the watch's read and the write pipelined")
def _():
    client, path = room()
    client.log.clear()
    read = client.send(raw.GET_DATA, raw.read(path, True))
    write = client.send(raw.SET_DATA, raw.set_data(path, b"x"))
    client.receive()
    client.receive()
    kinds = [(got.xid if isinstance(got, Reply) else got.path) for got in client.log]
    equal(kinds, [read, path, write])
    equal(client.log[1].zxid, client.log[2].zxid, "the event has the write's zxid")


@case("a write is applied before a read that is pipelined behind it")
def _():
    client, path = room()
    for i in range(300):
        client.send(raw.SET_DATA, raw.set_data(path, b"%d" % i))
        client.send(raw.GET_DATA, raw.read(path))
        client.receive()
        equal(Reader(client.receive().body).buffer(), b"%d" % i)


@case("a read sees no write of its session that was sent after it, also when it needs the disk")
def _():
    options = ["cacheSize=8M", "overlayBytes=1M", "checkpointSeconds=1", "checkpointLogBytes=1M"]
    count, old = 200, b"o" * 100000
    with harness.server(*options) as server:
        client = Client(server.port)
        for i in range(count):
            client.create(f"/n{i}", old)
        client.abandon()
        server.restart()  # with nothing in memory
        client = Client(server.port)
        for i in range(count - 1):
            client.send(raw.SET_DATA, raw.set_data(f"/n{count - 1}", b"before"))
            client.send(raw.GET_DATA, raw.read(f"/n{i}"))
            client.send(raw.SET_DATA, raw.set_data(f"/n{i}", b"after"))
            client.receive()
            true(Reader(client.receive().body).buffer() == old, f"round {i}")
            client.receive()


@case("a read sees no write of its session that was sent after it, even if it reads slowly")
def _():
    client, path = room()
    client.create(path + "/big", b"b" * 900000)
    client.create(path + "/n", b"0")
    for _ in range(10):
        client.send(raw.GET_DATA, raw.read(path + "/big"))
    for i in range(1, 50):
        client.send(raw.GET_DATA, raw.read(path + "/n"))
        client.send(raw.SET_DATA, raw.set_data(path + "/n", b"%d" % i))
    time.sleep(0.5)  # by then the server has stopped to answer
    for _ in range(10):
        client.receive()
    for i in range(1, 50):
        equal(Reader(client.receive().body).buffer(), b"%d" % (i - 1))
        client.receive()


@case("a sync between two writes of a session waits for the first alone")
def _():
    client, path = room()
    client.create(path + "/n", b"0")
    for i in range(1, 300):
        client.send(raw.SYNC, raw.string(path))
        client.send(raw.GET_DATA, raw.read(path + "/n"))
        client.send(raw.SET_DATA, raw.set_data(path + "/n", b"%d" % i))
    for i in range(1, 300):
        client.receive()
        equal(Reader(client.receive().body).buffer(), b"%d" % (i - 1))
        client.receive()


@case("events of one transaction come in the order of its changes")
def _():
    client, path = room()
    watcher = connect()
    watcher.stat(path + "/a", watch=True)
    watcher.stat(path + "/b", watch=True)
    watcher.children(path, watch=True)
    client.must(raw.MULTI, raw.multi((raw.CREATE, raw.create(path + "/b")),
                                     (raw.CREATE, raw.create(path + "/a"))))
    equal(watcher.take_events(), [(raw.CREATED, path + "/b"), (raw.CHILDREN, path),
                                  (raw.CREATED, path + "/a")])


@case("xids are echoed, whatever they are")
def _():
    client, path = room()
    for xid in (0, -7, 2**31 - 1, -2**31, 5, 5):
        equal(client.ask(raw.EXISTS, raw.read(path), xid=xid).xid, xid)
    client.frame(raw.i32(77) + raw.i32(raw.PING))
    equal(client.receive().xid, raw.XID_PING, "a ping's reply")


# --- Frames.


@case("a frame of jute.maxbuffer bytes is taken, and one byte more ends the connection")
def _():
    client, path = room()
    overhead = len(raw.i32(0) + raw.i32(0) + raw.set_data(path, b""))
    data = b"x" * (FRAME_BYTES_MAX - overhead)
    equal(client.set(path, data).length, len(data))
    equal(client.get(path)[0], data)
    client.send(raw.SET_DATA, raw.set_data(path, data + b"x"))
    true(client.closed(), "one byte too many")


@case("lengths that cannot be end the connection without an answer")
def _():
    for length in (-1, -2**31, 0, 7, FRAME_BYTES_MAX + 1, 2**31 - 1):
        for attached in (True, False):
            client = connect(connect=attached)
            client.send_bytes(raw.i32(length) + (b"\0" * length if 0 <= length < 100 else b""))
            true(client.closed(), f"length {length}, attached: {attached}")


@case("a record that is cut off, or lies about a length, is answered -5 and the connection goes on")
def _():
    client, path = room()
    whole = raw.create(path + "/a")
    for record in [whole[:cut] for cut in range(0, len(whole), 5)]:
        expect(client, record.hex(), raw.CREATE, record, raw.MARSHALLING)
    for record in (raw.i32(2**31 - 1) + b"/a", raw.i32(-2) + b"/a", raw.i32(100) + b"/a"):
        expect(client, record.hex(), raw.GET_DATA, record, raw.MARSHALLING)
    huge_vector = raw.string(path + "/a") + raw.buffer(b"") + raw.i32(2**31 - 1)
    expect(client, "a vector of 2^31 entries", raw.CREATE, huge_vector, raw.MARSHALLING)
    equal(client.stat(path + "/a"), None)


@case("a write that cannot be read uses up a zxid in its turn, as one that fails does; a read does not")
def _():
    client, path = room()
    before = client.ask(raw.SET_DATA, raw.set_data(path)).zxid
    client.send(raw.SET_DATA, raw.set_data(path))
    client.send(raw.MULTI, raw.i32(raw.CREATE))
    client.send(raw.GET_DATA, raw.string(path))
    client.send(raw.DELETE, raw.string(path))
    client.send(raw.SET_DATA, raw.set_data(path))
    replies = [client.receive() for _ in range(5)]

    equal([(reply.error, reply.zxid - before) for reply in replies],
          [(0, 1), (raw.MARSHALLING, 2), (raw.MARSHALLING, 2), (raw.MARSHALLING, 3), (0, 4)])


@case("what follows a record is ignored, and any byte but 0 is true")
def _():
    client, path = room()
    expect(client, "trailing bytes", raw.EXISTS, raw.read(path) + b"trailing", raw.OK)
    expect(client, "0x07", raw.EXISTS, raw.string(path) + b"\x07", raw.OK)
    client.set(path, b"x")
    equal(client.take_events(), [(raw.CHANGED, path)])


@case("operations that do not exist are answered -6 with zxid -1, then the connection ends")
def _():
    for code in (0, -1, 10, 99, 13, -10, 23, 108, 702, 2**31 - 1):
        client = connect()
        client.send(code, raw.check("/"))
        reply = client.receive()
        equal((reply.error, reply.zxid, reply.body), (raw.UNIMPLEMENTED, -1, b""), code)
        true(client.closed(), f"operation {code}")


@case("null and empty data are kept apart")
def _():
    client, path = room()
    client.create(path + "/null", None)
    client.create(path + "/empty", b"")
    equal(client.get(path + "/null")[0], None)
    equal(client.get(path + "/empty")[0], b"")
    equal(client.get(path + "/null")[1].length, 0)
    client.set(path + "/empty", None)
    equal(client.get(path + "/empty")[0], None)


# --- The end of a session, and what is not there.


@case("sync echoes its path, whatever that is")
def _():
    client = connect()
    for path in ("/", "/no/such", "not a path", None, ""):
        reply = client.ask(raw.SYNC, raw.string(path))
        equal((reply.error, reply.body), (0, raw.string(path)))

@case("closeSession is answered, what is pipelined behind it is refused, then the connection ends")
def _():
    client, path = room()
    client.create(path + "/mine", flags=raw.EPHEMERAL)
    codes = [client.send(raw.CLOSE), client.send(raw.CREATE, raw.create(path + "/late")),
             client.send(raw.EXISTS, raw.read(path)), client.send(raw.SET_DATA, raw.set_data(path))]
    replies = [client.receive() for _ in codes]
    equal([reply.xid for reply in replies], codes)
    equal([reply.error for reply in replies], [0, -112, -112, -112])
    true(client.closed(), "the connection ends")
    other = connect()
    equal(other.stat(path + "/mine"), None)
    equal(other.stat(path + "/late"), None)
    again = connect(connect=False)
    again.connect(session=client.session, password=client.password)
    equal(again.timeout_ms, 0)

@case("what is not configured says so: reconfig, SASL")
def _():
    client = connect()
    record = raw.string(None) + raw.string(None) + raw.string("server.1=a:1:2") + raw.i64(-1)
    expect(client, "reconfig", raw.RECONFIG, record, raw.RECONFIG_DISABLED)
    with harness.server("reconfigEnabled=true") as server:
        expect(Client(server.port), "reconfig", raw.RECONFIG, record, raw.UNIMPLEMENTED)
    reply = client.ask(raw.SASL, raw.buffer(b""))
    equal((reply.error, reply.zxid, reply.body), (0, 0, raw.buffer(None)))


# --- Four-letter words.


def word(port, *parts, half_close=False):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            data = connection.recv(65536)
            if not data:
                return answer
            answer += data


@case("four-letter words are answered whole or in pieces, also over a half-closed socket")
def _():
    port = shared().port
    equal(word(port, b"ruok"), b"imok")
    equal(word(port, b"ruok", half_close=True), b"imok")
    equal(word(port, b"r", b"uo", b"k"), b"imok")
    equal(word(port, b"ruok\n"), b"imok")
    equal(word(port, b"isro"), b"rw")
    true(b"\nMode: standalone\n" in word(port, b"srvr"), "the Mode line")
    true(word(port, b"stat").startswith(b"Zookeeper version: 3."), "stat")
    true(b"zk_server_state\tstandalone\n" in word(port, b"mntr"), "mntr")
    true(b"clientPort=%d\n" % port in word(port, b"conf"), "conf")


@case("a word inside a session is a frame's length, and too large")
def _():
    client = connect()
    client.send_bytes(b"ruok")
    true(client.closed(), "the connection ends")

if __name__ == "__main__":
    harness.main()
