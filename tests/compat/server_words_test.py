#!/usr/bin/env python3
"""Four-letter words as monitoring sends them."""
import re
import socket
import struct
import threading
import time

from server_process import Server, connect_request, contains, main, receive_all

server = None


def by_default_srvr_isro_and_memb_alone_are_answered():
    own = Server("default-words", ["--option", "4lw.commands.whitelist=srvr,isro,memb"])
    contains(own.word("memb"), "Mode: standalone\n")
    contains(own.word("srvr"), "Mode: standalone\n")
    assert own.word("isro") == "rw"
    for word in ("ruok", "stat", "mntr", "dump", "stmk12345678"):
        assert own.word(word) == word[:4] + " is not executed because it is not in the whitelist.\n"
    assert own.stop() == 0


def each_word_that_monitoring_sends_answers():
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


def what_follows_stmk_is_the_mask_that_gtmk_shows():
    assert server.word("gtmk") == "306"
    with server.socket() as connection:
        connection.sendall(b"stmk\0\0\0\0")
        time.sleep(0.05)
        connection.sendall(b"\0\0\1\2")
        assert receive_all(connection) == b"258"
    assert server.word("gtmk") == "258"
    assert server.word("stmk") == "", "without its mask it is no word"


def cons_and_dump_show_a_session_and_what_it_owns():
    client = server.client()
    assert client.create("/owned", b"", flags=1)[0] == 0
    client.ask(3, struct.pack(">i", 6) + b"/owned" + b"\0")
    sid = "0x%x" % client.session
    line = [line for line in server.word("cons").splitlines() if "sid=" + sid in line]
    assert len(line) == 1 and re.search(
        r"^ /127\.0\.0\.1:\d+\[1\]\(queued=0,recved=3,sent=3,sid=%s,lop=EXIS,est=\d+,to=30000,"
        r"lcxid=0x2,lzxid=0x[0-9a-f]+,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)$" % sid,
        line[0]), line
    dump = server.word("dump")
    contains(dump, "SessionTracker dump:\nSession Sets (", "\t%s\n" % sid,
             "\nSessions with Ephemerals (1):\n%s:\n\t/owned\n" % sid, "Connections dump:\n",
             "sessionId: %s\n" % sid, "sessionId: 0x0\n")
    assert server.word("crst") == "Connection stats reset.\n"
    line = [line for line in server.word("cons").splitlines() if "sid=" + sid in line][0]
    contains(line, "recved=0,sent=0,", "lop=NA,", "to=30000,lzxid=")
    client.close()
    contains(server.word("dump"), "Sessions with Ephemerals (0):\n")


def watches_are_counted_and_listed():
    client = server.client()
    sid = "0x%x" % client.session
    path = struct.pack(">i", 8) + b"/watched"
    client.ask(3, path + b"\1")            # exists: a data watch
    client.ask(8, struct.pack(">i", 1) + b"/" + b"\1")  # getChildren: ZooKeeper lists none
    assert server.word("wchs") == "1 connections watching 1 paths\nTotal watches:1\n"
    assert server.word("wchc") == "%s\n\t/watched\n\n" % sid
    assert server.word("wchp") == "/watched\n\t%s\n\n" % sid
    contains(server.word("mntr"), "zk_watch_count\t2\n", "zk_cnt_node_created_watch_count\t0\n")
    other = server.client()
    assert other.create("/watched")[0] == 0
    contains(server.word("mntr"), "zk_watch_count\t0\n", "zk_sum_node_created_watch_count\t1\n",
             "zk_sum_node_children_watch_count\t1\n")
    assert server.word("wchc") == "\n"
    other.close()
    client.connection.close()


def a_list_of_tens_of_thousands_is_cut_and_says_so():
    client = server.client(timeout_ms=60000)
    frames = []
    for number in range(30000):
        path = b"/many/%06d" % number
        body = struct.pack(">iii", number + 1, 106, len(path)) + path + bytes(4)  # addWatch
        frames.append(struct.pack(">i", len(body)) + body)
    sender = threading.Thread(target=client.connection.sendall, args=(b"".join(frames),))
    sender.start()
    left = 30000 * 24  # each is a header and a number
    while left > 0:
        left -= len(client.connection.recv(min(left, 65536)))
    sender.join()
    for word in ("wchc", "wchp"):
        begin = time.monotonic()
        text = server.word(word)
        took = time.monotonic() - begin
        assert text.count("/many/") == 20000, text.count("/many/")
        contains(text, "... and more: 20000 of 30000 watches are listed\n")
        assert took < 5, took
    client.connection.close()


def the_other_words_answer():
    own = Server("other-words")
    contains(own.word("envi"), "Environment:\nzookeeper.version=3.9.", "\nhost.name=")
    contains(own.word("dirs"), "datadir_size: ", "logdir_size: ")
    assert own.word("hash") == ""
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
        by_default_srvr_isro_and_memb_alone_are_answered,
        each_word_that_monitoring_sends_answers,
        every_line_of_mntr_is_a_key_a_tab_and_a_value,
        a_word_may_end_with_a_newline,
        a_word_may_arrive_in_pieces,
        the_connection_is_closed_without_waiting_for_the_peer,
        what_comes_after_the_word_does_not_destroy_the_answer,
        the_answer_comes_in_one_piece,
        an_unknown_word_is_a_length_and_closes_the_connection,
        a_word_after_the_handshake_is_a_length,
        a_word_behind_a_connect_request_is_a_length,
        stat_shows_sessions_and_the_one_who_asks,
        the_numbers_move,
        what_follows_stmk_is_the_mask_that_gtmk_shows,
        cons_and_dump_show_a_session_and_what_it_owns,
        watches_are_counted_and_listed,
        a_list_of_tens_of_thousands_is_cut_and_says_so,
        the_other_words_answer,
        words_do_not_count_as_sessions_and_go_away,
        a_peer_that_does_not_end_its_side_is_left_after_a_second,
        ipv6_and_ipv4_are_both_served_without_an_address,
    ])
