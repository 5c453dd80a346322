#!/usr/bin/env python3
"""Four-letter words as monitoring sends them."""
import re
import socket
import struct
import time

from server_process import Server, connect_request, contains, main, receive_all

server = None


def each_word_of_the_default_answers():
    assert server.word("ruok") == "imok"
    assert server.word("isro") == "rw"
    contains(server.word("srvr"), "Zookeeper version: 3.9.", "Mode: standalone\n", "Node count: ")
    contains(server.word("stat"), "Clients:\n /127.0.0.1:", "Mode: standalone\n")
    contains(server.word("mntr"), "zk_version\t3.9.", "zk_server_state\tstandalone\n")
    contains(server.word("conf"), "clientPort=%d\n" % server.port, "serverId=")


def every_line_of_mntr_is_a_key_a_tab_and_a_value():
    lines = server.word("mntr").splitlines()
    assert len(lines) > 20
    for line in lines:
        assert re.fullmatch(r"zk_[a-z_0-9]+\t\S.*", line), line
    assert len({line.split("\t")[0] for line in lines}) == len(lines)


def a_word_may_end_with_a_newline():
    assert server.word("ruok\n") == "imok"
    assert server.word("ruok\r\nmore") == "imok"


def a_word_may_arrive_in_pieces():
    with server.socket() as connection:
        for byte in b"ruok":
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
        assert receive_all(connection) == b"imok"


def the_connection_is_closed_without_waiting_for_the_peer():
    with server.socket() as connection:
        connection.sendall(b"ruok")
        assert receive_all(connection) == b"imok"


def what_comes_after_the_word_does_not_destroy_the_answer():
    with server.socket() as connection:
        connection.sendall(b"srvr")
        time.sleep(0.1)
        connection.sendall(b"\n" * 1000)
        contains(receive_all(connection).decode(), "Node count: ")


def the_answer_comes_in_one_piece():
    with server.socket() as connection:
        connection.sendall(b"mntr")
        contains(connection.recv(8192).decode(), "zk_version", "zk_znode_count", "zk_uptime")


def an_unknown_word_is_a_length_and_closes_the_connection():
    assert server.word("nope") == ""


def a_word_that_is_not_allowed_is_refused_by_name():
    expected = " is not executed because it is not in the whitelist.\n"
    assert server.word("envi") == "envi" + expected
    assert server.word("dump") == "dump" + expected


def a_word_after_the_handshake_is_a_length():
    client = server.client()
    client.connection.sendall(b"ruok")
    assert receive_all(client.connection) == b""


def a_word_behind_a_connect_request_is_a_length():
    request = connect_request()
    with server.socket() as connection:
        connection.sendall(struct.pack(">i", len(request)) + request + b"srvr")
        assert b"Zookeeper" not in receive_all(connection)


def stat_shows_sessions_and_the_one_who_asks():
    client = server.client()
    client.ping()
    local = client.connection.getsockname()[1]
    text = server.word("stat")
    found = re.search(r" /127\.0\.0\.1:%d\[1\]\(queued=0,recved=(\d+),sent=(\d+)\)\n" % local, text)
    assert found and int(found.group(1)) >= 2, text
    assert re.search(r" /127\.0\.0\.1:\d+\[0\]\(queued=0,recved=1,sent=0\)\n", text), text
    client.close()


def the_numbers_move():
    def metric(key):
        return int(re.search(r"zk_%s\t(\d+)" % key, server.word("mntr")).group(1))
    znodes, received, watches = metric("znode_count"), metric("packets_received"), 0
    client = server.client()
    assert client.create("/numbers", b"0123456789")[0] == 0
    assert metric("znode_count") == znodes + 1
    assert metric("packets_received") >= received + 2
    assert metric("num_alive_connections") >= 2
    assert metric("watch_count") == watches
    assert metric("global_sessions") >= 1
    assert metric("open_file_descriptor_count") > 3
    client.close()


def all_words_are_answered_if_allowed():
    own = Server("all-words", ["--option", "4lw.commands.whitelist=*"])
    contains(own.word("envi"), "Environment:\nzookeeper.version=3.9.")
    contains(own.word("dirs"), "datadir_size: ", "logdir_size: ")
    contains(own.word("wchs"), "0 connections watching 0 paths\nTotal watches:0\n")
    assert own.word("srst") == "Server stats reset.\n"
    contains(own.word("srvr"), "Received: 0\n")
    assert own.stop() == 0


def words_do_not_count_as_sessions_and_go_away():
    for _ in range(200):
        assert server.word("ruok") == "imok"
    deadline = time.monotonic() + 5
    while "zk_num_alive_connections\t1\n" not in server.word("mntr"):
        assert time.monotonic() < deadline, server.word("stat")
        time.sleep(0.05)


def a_peer_that_does_not_end_its_side_is_left_after_a_second():
    with server.socket() as connection:
        connection.sendall(b"ruok")
        assert connection.recv(10) == b"imok"
        assert connection.recv(10) == b""
        time.sleep(2.5)
        try:
            connection.sendall(b"x")
            time.sleep(0.2)
            connection.sendall(b"x")
            raise AssertionError("the connection is still there")
        except (BrokenPipeError, ConnectionResetError):
            pass


def ipv6_and_ipv4_are_both_served_without_an_address():
    own = Server("all-addresses", ["--option", "clientPortAddress="])
    assert own.word("ruok") == "imok"
    contains(own.word("stat"), " /127.0.0.1:")
    if socket.has_ipv6:
        try:
            with socket.create_connection(("::1", own.port), 5) as connection:
                connection.sendall(b"ruok")
                assert receive_all(connection) == b"imok"
        except OSError as error:
            print("# no IPv6 here: %s" % error)
    assert own.stop() == 0


if __name__ == "__main__":
    server = Server()
    main([
        each_word_of_the_default_answers,
        every_line_of_mntr_is_a_key_a_tab_and_a_value,
        a_word_may_end_with_a_newline,
        a_word_may_arrive_in_pieces,
        the_connection_is_closed_without_waiting_for_the_peer,
        what_comes_after_the_word_does_not_destroy_the_answer,
        the_answer_comes_in_one_piece,
        an_unknown_word_is_a_length_and_closes_the_connection,
        a_word_that_is_not_allowed_is_refused_by_name,
        a_word_after_the_handshake_is_a_length,
        a_word_behind_a_connect_request_is_a_length,
        stat_shows_sessions_and_the_one_who_asks,
        the_numbers_move,
        all_words_are_answered_if_allowed,
        words_do_not_count_as_sessions_and_go_away,
        a_peer_that_does_not_end_its_side_is_left_after_a_second,
        ipv6_and_ipv4_are_both_served_without_an_address,
    ])
