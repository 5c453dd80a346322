#!/usr/bin/env python3
"""mntr beside a real ZooKeeper's: the same names, the same kinds of values, and after the same requests
plausible ones. COMPAT_SERVER has no say here: both servers run."""
import re
import struct

import harness
from harness import Moonkeeper, Skip, ZooKeeper, case, equal, true
from server_process import Client, receive_all
import socket

# Of ZooKeeper's own threads, queues and caches: there is no such thing here to measure.
INTERNAL = re.compile(
    r"prep_process_time|prep_processor_(queue_time_ms|request_queued)|proposal_process_time|"
    r"sync_process_time|sync_processor_(queue_size|queue_time_ms|queue_flush_time_ms|request_queued|"
    r"queue_and_flush_time_ms)|close_session_prep_time|outstanding_changes_(queued|removed)|"
    r"commit_process_time|om_(commit|proposal)_process_time_ms|(read|write)_final_proc_time_ms|"
    r".*commit_?proc.*|.*commit_processor.*|.*session_queue.*|request_commit_queued|"
    r"(local|server)_write_committed_time_ms|learner_request_processor_queue_size|"
    r"skip_learner_request_to_next_processor_count|"
    r"netty_queued_buffer_capacity|socket_closing_time|startup_(snap|txns)_load_time|jvm_pause_time_ms|"
    r".*dead_watchers?.*|response_packet_.*cache_(hits|misses)|request_throttle_queue_time_ms|"
    r".*_(read|write)_per_namespace")
# Of the request throttle, which is not there.
THROTTLE = re.compile(r"stale_(requests|replies)|stale_requests_dropped")
PREFIX = re.compile(r"^(avg|min|max|cnt|sum|p50|p95|p99|p999)_(?!latency$|client_response_size$|"
                    r"file_descriptor_count$)")


def word(port, name):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(name)
        return receive_all(connection).decode()


def metrics(port):
    values = {}
    for line in word(port, b"mntr").splitlines():
        key, tab, value = line.partition("\t")
        true(key.startswith("zk_") and tab and value, line)
        equal(key in values, False, key)
        values[key[3:]] = value
    return values


def load(port):
    """A session that makes a hundred znodes, one of them ephemeral, reads each and watches two."""
    client = Client(socket.create_connection(("127.0.0.1", port), 10))
    for number in range(100):
        equal(client.create("/m%02d" % number, b"x" * 100, flags=1 if number == 0 else 0)[0], 0)
    for number in range(100):
        true(client.get("/m%02d" % number) == b"x" * 100, "the data")
    path = struct.pack(">i", 4) + b"/m01\1"
    equal(client.ask(3, path)[0], 0)
    equal(client.ask(8, path)[0], 0)
    client.send(5, struct.pack(">i", 4) + b"/m01" + struct.pack(">i", 1) + b"y" + struct.pack(">i", -1))
    equal([client.receive()[0] for _ in range(2)], [-1, client.xid])
    return client


both = {}


def servers():
    if not harness.zookeeper_is_there():
        raise Skip("no ZooKeeper to compare with")
    if not both:
        both["ours"], both["theirs"] = Moonkeeper("recipes=off"), ZooKeeper()
    return both["ours"], both["theirs"]


@case("every metric of ZooKeeper is there by name, but for those of its threads and caches")
def _():
    ours, theirs = (set(metrics(one.port)) for one in servers())
    missing = {name for name in theirs - ours
               if not INTERNAL.fullmatch(PREFIX.sub("", name)) and not THROTTLE.fullmatch(name)}
    equal(sorted(missing), [])


@case("a value is a number where ZooKeeper's is, and has decimals only where its has")
def _():
    ours, theirs = (metrics(one.port) for one in servers())
    shared = [name for name in theirs if name in ours]
    true(len(shared) > 150, len(shared))
    for name in shared:
        kinds = [re.sub(r"-?\d+", "9", value) if re.fullmatch(r"-?\d+(\.\d+)?", value) else "text"
                 for value in (ours[name], theirs[name])]
        equal(kinds[0], kinds[1], name)


@case("after the same requests the counts are the same, and latencies are of the order of milliseconds")
def _():
    one, other = servers()
    before = [metrics(server.port) for server in (one, other)]
    clients = [load(server.port) for server in (one, other)]
    after = [metrics(server.port) for server in (one, other)]
    for name, change in {"znode_count": 100, "ephemerals_count": 1, "global_sessions": 1,
                         "num_alive_connections": 1, "watch_count": 1, "packets_received": 204,
                         "packets_sent": 205, "connection_request_count": 1,
                         "cnt_node_changed_watch_count": 1, "approximate_data_size": 10301,
                         "sum_node_changed_watch_count": 1}.items():
        for i in range(2):
            moved = int(after[i][name]) - int(before[i][name])
            extra = 2 if name.startswith("packets") else 0  # the words themselves count as packets
            true(change <= moved <= change + extra, f"{name} of {('us', 'them')[i]}: {moved}")
    for i in range(2):
        true(int(after[i]["cnt_updatelatency"]) - int(before[i]["cnt_updatelatency"]) >= 101, "updates")
        true(int(after[i]["cnt_readlatency"]) - int(before[i]["cnt_readlatency"]) >= 102, "reads")
        true(0 < int(after[i]["response_bytes"]) - int(before[i]["response_bytes"]) < 60000, "bytes")
    for name in ("p50_updatelatency", "avg_latency", "avg_fsynctime", "p99_readlatency"):
        true(0 <= float(after[0][name]) < 5000, f"{name} {after[0][name]}")
    true(3 < int(after[0]["open_file_descriptor_count"]) < 200, "descriptors")
    for client in clients:
        client.close()


@case("the lists of both are of one form")
def _():
    clients = [Client(socket.create_connection(("127.0.0.1", server.port), 10))
               for server in servers()]
    for client in clients:
        client.create("/listed", b"", flags=1)
        client.ask(3, struct.pack(">i", 7) + b"/listed\1")
    for name in (b"srvr", b"stat", b"cons", b"dump", b"wchs", b"wchc", b"wchp", b"dirs", b"crst",
                 b"srst", b"gtmk", b"conf"):
        forms = []
        for server in servers():
            text = re.sub(r"built on .*", "", word(server.port, name))
            text = re.sub(r"(Dir=).*", r"\1", text)
            text = re.sub(r"\w{3} \w{3} \d+ [\d:]+ \w+ \d+", "<time>", text)
            text = re.sub(r"\d expire at|\(\d\)/\(\d\)", "<count>", text)
            text = re.sub(r"(?m)^<count> <time>:\n(?!\t)", "", text)  # an empty set of ZooKeeper's
            text = re.sub(r"0x[0-9a-f]+|-?\d+(\.\d+)*(-[\w${}.]+)?", "<n>", text)
            # Neither server lists connections in an order that means anything.
            forms.append(sorted(text.splitlines()) if name in (b"stat", b"cons", b"dump") else text)
        equal(forms[0], forms[1], name.decode())
    for client in clients:
        client.connection.close()


if __name__ == "__main__":
    harness.main()
