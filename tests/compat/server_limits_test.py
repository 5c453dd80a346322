#!/usr/bin/env python3
"""Limits and throttles of zoo.cfg, each with its effect on clients."""
import re
import socket
import struct
import time

from server_process import (Client, Closed, Server, connect_request, contains, field, main, receive_all)


def limited(name, *pairs):
    return Server(name, [word for pair in pairs for word in ("--option", pair)])


def metric(server, key):
    return int(re.search(r"zk_%s\t(\d+)" % key, server.word("mntr")).group(1))


def connect_from(server, address):
    return socket.create_connection(("127.0.0.1", server.port), 10, (address, 0))


def is_closed(connection):
    connection.settimeout(10)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def maxClientCnxns_is_per_address():
    own = limited("per-address", "maxClientCnxns=3")
    first = [connect_from(own, "127.0.0.2") for _ in range(3)]
    assert is_closed(connect_from(own, "127.0.0.2"))
    clients = [Client(connect_from(own, "127.0.0.3")) for _ in range(3)]
    for client in clients:
        client.ping()
    first[0].close()
    deadline = time.monotonic() + 10
    while True:
        try:
            Client(connect_from(own, "127.0.0.2")).ping()
            break
        except (Closed, OSError):
            assert time.monotonic() < deadline, "a place that was given up is not given again"
    assert metric(own, "connection_rejected") >= 1
    contains(own.lines(), "its address has as many as maxClientCnxns allows  address=127.0.0.2 max=3")
    assert own.stop() == 0


def maxClientCnxns_of_zero_is_no_limit():
    own = limited("no-limit", "maxClientCnxns=0")
    clients = [own.client() for _ in range(100)]
    clients[99].ping()
    assert own.stop() == 0


def maxCnxns_is_for_all_addresses_together():
    own = limited("all-addresses", "maxCnxns=4", "maxClientCnxns=3")
    kept = [connect_from(own, "127.0.0.%d" % (2 + i)) for i in range(4)]
    assert is_closed(connect_from(own, "127.0.0.9"))
    contains(own.lines(), "there are as many as maxCnxns allows")
    del kept
    assert own.stop() == 0


def who_says_nothing_is_closed_after_sessionlessCnxnTimeout():
    own = limited("silent", "nio.sessionlessCnxnTimeout=300")
    begin = time.monotonic()
    silent = own.socket()
    begun = own.socket()
    begun.sendall(b"\0\0")
    client = own.client()
    assert is_closed(silent) and is_closed(begun)
    assert 0.25 < time.monotonic() - begin < 8
    client.ping()
    assert metric(own, "sessionless_connections_expired") == 2
    assert own.stop() == 0


def timeouts_are_brought_between_min_and_maxSessionTimeout():
    own = limited("timeouts", "tickTime=1000", "minSessionTimeout=3000", "maxSessionTimeout=9000")
    assert [own.client(timeout_ms=ms).timeout_ms for ms in (0, 1, 3000, 5000, 9000, 10**9)] == \
        [3000, 3000, 3000, 5000, 9000, 9000]
    contains(own.word("conf"), "minSessionTimeout=3000\nmaxSessionTimeout=9000\n")
    assert own.stop() == 0


def a_frame_of_jute_maxbuffer_is_read_and_a_longer_one_is_not():
    own = limited("frames", "jute.maxbuffer=2048")
    client = own.client()
    rest = 8 + len(field("/x")) + 4 + 27 + 4  # header, path, length of the data, ACL, flags
    assert client.create("/x", b"x" * (2048 - rest))[0] == 0
    try:
        client.create("/y", b"x" * (2049 - rest))
        raise AssertionError("a frame of 2049 bytes was taken")
    except (Closed, OSError):
        pass
    contains(own.lines(), "is jute.maxbuffer large enough?")
    assert own.stop() == 0


def sessions(server, count):
    """How many of those that connect now are granted a session."""
    granted = 0
    for _ in range(count):
        request = connect_request()
        with server.socket() as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            granted += connection.recv(100) != b""
    return granted


def the_bucket_of_connection_throttle_lets_in_as_many_as_it_holds():
    own = limited("throttle", "connection_throttle_tokens=5", "connection_throttle_fill_time=3600000",
                  "connection_throttle_fill_count=1")
    assert sessions(own, 12) == 5
    text = own.word("mntr")
    contains(text, "zk_max_connection_token_deficit\t5\n", "zk_cnt_connection_token_deficit\t12\n",
             "zk_connection_rejected\t7\n", "zk_connection_drop_probability\t0.0\n")
    assert own.word("isro") == "rw"
    assert own.stop() == 0


def the_bucket_is_filled_as_time_goes_by():
    own = limited("filled", "connection_throttle_tokens=1", "connection_throttle_fill_time=200",
                  "connection_throttle_fill_count=1")
    assert sessions(own, 1) == 1
    deadline = time.monotonic() + 20
    while sessions(own, 1) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert own.stop() == 0


def large_requests_beyond_their_budget_end_their_connection():
    own = limited("large", "largeRequestThreshold=600000", "largeRequestMaxBytes=1M")
    body = field("/l") + field(b"x" * 700000) + struct.pack(">ii", 1, 31) + field("world") + \
        field("anyone") + struct.pack(">i", 0)
    frame = struct.pack(">iii", len(body) + 8, 1, 1) + body
    closed = 0
    deadline = time.monotonic() + 20
    while metric(own, "large_requests_rejected") == 0:
        client = own.client()
        try:  # The second is refused if the first is not answered by then.
            client.connection.sendall(frame + frame)
            client.receive(), client.receive()
        except (Closed, OSError):
            closed += 1
        assert time.monotonic() < deadline
    assert closed == metric(own, "large_requests_rejected")
    assert own.client().create("/small")[0] == 0
    assert own.stop() == 0


def a_client_that_floods_is_read_no_faster_than_it_is_answered():
    own = limited("flood", "request_throttle_max_requests=10", "globalOutstandingLimit=100000",
                  "connectionOutstandingLimit=100000")
    client = own.client()
    frames = []
    for number in range(2000):
        body = struct.pack(">ii", number + 1, 1) + field("/f%d" % number) + field(b"") + \
            struct.pack(">ii", 1, 31) + field("world") + field("anyone") + struct.pack(">i", 0)
        frames.append(struct.pack(">i", len(body)) + body)
    client.connection.sendall(b"".join(frames))
    for number in range(2000):
        xid, _, error, _ = client.receive()
        assert (xid, error) == (number + 1, 0), (xid, error)
    assert metric(own, "request_throttle_wait_count") >= 1
    assert metric(own, "outstanding_requests") == 0
    assert own.stop() == 0


if __name__ == "__main__":
    main([
        maxClientCnxns_is_per_address,
        maxClientCnxns_of_zero_is_no_limit,
        maxCnxns_is_for_all_addresses_together,
        who_says_nothing_is_closed_after_sessionlessCnxnTimeout,
        timeouts_are_brought_between_min_and_maxSessionTimeout,
        a_frame_of_jute_maxbuffer_is_read_and_a_longer_one_is_not,
        the_bucket_of_connection_throttle_lets_in_as_many_as_it_holds,
        the_bucket_is_filled_as_time_goes_by,
        large_requests_beyond_their_budget_end_their_connection,
        a_client_that_floods_is_read_no_faster_than_it_is_answered,
    ])
