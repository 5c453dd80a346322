#!/usr/bin/env python3
"""What a connection may send, and what happens when it sends something else."""
import os
import random
import socket
import struct
import time

from server_process import (OP_GET, OP_PING, OP_SET, Client, Closed, Server, connect_request, contains,
                            field, main, receive_all, set_body)

FRAME_MAX = 1048575
server = None


def closed_by(payload, session=True):
    """What the server sends before it closes the connection on which `payload` arrives."""
    if session:
        connection = server.client().connection
    else:
        connection = server.socket()
    try:
        connection.sendall(payload)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return receive_all(connection)


def set_frame(frame_bytes):
    """Body of a set of /frames so that the whole frame is that long."""
    overhead = 8 + len(set_body("/frames", b""))
    return set_body("/frames", b"x" * (frame_bytes - overhead))


def the_longest_frame_is_accepted():
    client = server.client()
    client.create("/frames")
    error, _ = client.ask(OP_SET, set_frame(FRAME_MAX))
    assert error == 0, error
    assert len(client.get("/frames")) == len(set_frame(FRAME_MAX)) - len(set_body("/frames", b""))
    client.close()


def a_longer_frame_closes_the_connection():
    assert closed_by(struct.pack(">i", FRAME_MAX + 1)) == b""
    assert closed_by(struct.pack(">i", FRAME_MAX + 1), session=False) == b""


def a_negative_length_closes_the_connection():
    assert closed_by(struct.pack(">i", -1)) == b""
    assert closed_by(struct.pack(">i", -2 ** 31), session=False) == b""


def an_empty_frame_closes_the_connection():
    assert closed_by(struct.pack(">i", 0)) == b""
    assert closed_by(struct.pack(">i", 0), session=False) == b""


def a_frame_shorter_than_a_header_closes_the_connection():
    assert closed_by(struct.pack(">i", 7) + bytes(7)) == b""


def what_came_before_a_bad_frame_is_answered():
    client = server.client()
    client.send_frame(struct.pack(">ii", -2, OP_PING))
    client.ping()  # the answer to the one before
    request = struct.pack(">ii", 77, OP_GET) + field("/") + b"\0"
    client.connection.sendall(struct.pack(">i", len(request)) + request + struct.pack(">i", -1))
    assert client.receive()[0] == -2
    assert client.receive()[0] == 77
    try:
        client.receive()
        raise AssertionError("a reply to nothing")
    except Closed:
        pass


def frames_may_come_byte_by_byte():
    request = connect_request()
    ping = struct.pack(">iii", 8, -2, OP_PING)
    with server.socket() as connection:
        for byte in struct.pack(">i", len(request)) + request + ping:
            connection.sendall(bytes([byte]))
        reply = b""
        while len(reply) < 41 + 20:
            reply += connection.recv(1000)
        assert struct.unpack_from(">i", reply)[0] == 37
        assert struct.unpack_from(">i", reply, 45)[0] == -2


def everything_may_come_at_once():
    request = connect_request()
    burst = struct.pack(">i", len(request)) + request
    for xid in range(1, 5001):
        get = struct.pack(">ii", xid, OP_GET) + field("/zookeeper") + b"\0"
        burst += struct.pack(">i", len(get)) + get
    client = Client.__new__(Client)
    client.connection, client.buffer = server.socket(), b""
    client.connection.sendall(burst)
    client.receive_frame()
    for xid in range(1, 5001):
        assert client.receive()[0] == xid
    client.connection.close()


def writes_and_reads_are_answered_in_order():
    client = server.client()
    client.create("/order", b"")
    for i in range(2000):
        client.send(OP_SET, set_body("/order", b"%d" % i))
        client.send(OP_GET, field("/order") + b"\0")
    first = client.xid - 3999
    for i in range(2000):
        assert client.receive()[0] == first + 2 * i
        xid, _, error, body = client.receive()
        assert (xid, error) == (first + 2 * i + 1, 0)
        length = struct.unpack_from(">i", body)[0]
        assert body[4:4 + length] == b"%d" % i
    client.close()


def garbage_stops_nothing():
    rng = random.Random(20260101)
    for round_number in range(300):
        connection = server.client().connection if round_number % 2 else server.socket()
        garbage = rng.randbytes(rng.randrange(1, 300))
        if round_number % 3:
            garbage = struct.pack(">i", len(garbage)) + garbage
        try:
            connection.sendall(garbage * rng.randrange(1, 5))
            if round_number % 5 == 0:
                connection.shutdown(socket.SHUT_WR)
                receive_all(connection)
        except (BrokenPipeError, ConnectionResetError):
            pass
        connection.close()
    assert server.word("ruok") == "imok"
    client = server.client()
    client.ping()
    client.close()


def mutated_requests_stop_nothing():
    rng = random.Random(20260102)
    client = server.client()
    client.create("/mutated", b"x")
    good = struct.pack(">ii", 1, OP_SET) + set_body("/mutated", b"some data")
    client.close()
    for _ in range(300):
        client = server.client()
        request = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            request[rng.randrange(len(request))] = rng.randrange(256)
        if rng.randrange(4) == 0:
            request = request[:rng.randrange(8, len(request))]
        try:
            client.send_frame(bytes(request))
            client.send_frame(struct.pack(">ii", -2, OP_PING))
            client.connection.settimeout(10)
            while client.receive()[0] != -2:
                pass
        except (Closed, BrokenPipeError, ConnectionResetError):
            pass
        client.connection.close()
    assert server.word("ruok") == "imok"


def a_frame_that_is_never_finished_costs_no_more_than_it_sent():
    connections = [server.socket() for _ in range(40)]
    before = resident_bytes()
    for connection in connections:
        connection.sendall(struct.pack(">i", FRAME_MAX) + bytes(1000))
    time.sleep(0.3)
    assert resident_bytes() - before < 8 * 1024 * 1024
    for connection in connections:
        connection.close()


def resident_bytes():
    with open("/proc/%d/statm" % server.process.pid, encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def who_does_not_read_is_not_served_further():
    writer = server.client()
    writer.create("/large", b"x" * 1000000)
    before = resident_bytes()
    reader = server.client()
    for _ in range(500):  # 500 MB of answers
        reader.send(OP_GET, field("/large") + b"\0")
    time.sleep(1)
    writer.ping()
    grown = resident_bytes() - before
    assert grown < 64 * 1024 * 1024, grown
    first = reader.xid - 499
    for i in range(500):
        assert reader.receive()[0] == first + i
        if i % 50 == 0:
            writer.ping()  # all of it may take longer than a session may be silent
    reader.close()
    writer.close()


def one_address_has_a_limited_number_of_connections():
    own = Server("limited", ["--option", "maxClientCnxns=5"])
    connections = [own.socket() for _ in range(5)]
    for connection in connections:
        client = Client(connection)
        client.ping()
    with own.socket() as connection:
        assert receive_all(connection) == b""
    contains(own.lines(), "its address has as many as maxClientCnxns allows  address=127.0.0.1 max=5")
    connections[0].close()
    deadline = time.monotonic() + 5
    while True:
        try:
            Client(own.socket()).ping()
            break
        except (Closed, ConnectionResetError, BrokenPipeError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert own.stop() == 0


def all_addresses_have_a_limited_number_of_connections():
    own = Server("limited-all", ["--option", "maxCnxns=3"])
    clients = [own.client() for _ in range(3)]
    with own.socket() as connection:
        assert receive_all(connection) == b""
    contains(own.lines(), "as many as maxCnxns allows")
    clients[0].ping()
    assert own.stop() == 0


def refused_connections_do_not_flood_the_log():
    own = Server("flooded", ["--option", "maxClientCnxns=1"])
    client = own.client()
    for _ in range(300):
        with own.socket() as connection:
            assert receive_all(connection) == b""
    client.ping()
    assert own.lines().count("connection refused") <= 20
    assert own.stop() == 0


def a_connection_without_a_session_is_closed():
    own = Server("silent", ["--option", "nio.sessionlessCnxnTimeout=500", "--option", "tickTime=200"])
    begin = time.monotonic()
    with own.socket() as connection:
        assert receive_all(connection) == b""
    assert 0.4 < time.monotonic() - begin < 5
    with own.socket() as connection:
        connection.sendall(b"ru")
        assert receive_all(connection) == b""
    assert own.stop() == 0


def a_larger_limit_can_be_set():
    own = Server("large", ["--option", "jute.maxbuffer=4M"])
    client = own.client()
    client.create("/frames")
    error, _ = client.ask(OP_SET, set_body("/frames", b"x" * 1500000))
    assert error == 0, error
    assert len(client.get("/frames")) == 1500000
    assert own.stop() == 0


if __name__ == "__main__":
    server = Server("data", ["--option", "maxClientCnxns=0"])
    main([
        the_longest_frame_is_accepted,
        a_longer_frame_closes_the_connection,
        a_negative_length_closes_the_connection,
        an_empty_frame_closes_the_connection,
        a_frame_shorter_than_a_header_closes_the_connection,
        what_came_before_a_bad_frame_is_answered,
        frames_may_come_byte_by_byte,
        everything_may_come_at_once,
        writes_and_reads_are_answered_in_order,
        garbage_stops_nothing,
        mutated_requests_stop_nothing,
        a_frame_that_is_never_finished_costs_no_more_than_it_sent,
        who_does_not_read_is_not_served_further,
        one_address_has_a_limited_number_of_connections,
        all_addresses_have_a_limited_number_of_connections,
        refused_connections_do_not_flood_the_log,
        a_connection_without_a_session_is_closed,
        a_larger_limit_can_be_set,
    ])
