#!/usr/bin/env python3
"""HTTP for operators: the AdminServer's commands and Prometheus' metrics, as curl and a scraper see them,
and beside a real ZooKeeper's."""
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

import harness
from server_process import Client, Server, contains, main, receive_all, run

PROMETHEUS = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
# What Debian's package of ZooKeeper leaves out of its own class path.
JARS = ["/usr/share/java/%s.jar" % name for name in (
    "zookeeper", "jetty9-server", "jetty9-servlet", "jetty9-http", "jetty9-io", "jetty9-util",
    "jetty9-util-ajax", "jetty9-security", "servlet-api", "jackson-core", "jackson-databind",
    "jackson-annotations")]
server = None


def ports_of(one):
    return [int(port) for port in re.findall(r"answered over HTTP +address=\S+ port=(\d+)", one.lines())]


def options(*pairs):
    return [word for pair in pairs for word in ("--option", pair)]


def http(port, path, method="GET", body=None):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (port, path), data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.headers.get("Content-Type"), reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type"), error.read().decode()


def command(name, port=None):
    status, kind, text = http(port or ports_of(server)[0], "/commands/" + name)
    assert (status, kind) == (200, "application/json"), (name, status, kind)
    return json.loads(text)


def names():
    return re.findall(r'<a href="/commands/(\w+)">\1</a>', http(ports_of(server)[0], "/commands")[2])


def commands_lists_every_name_and_each_of_them_answers():
    found = names()
    assert found == sorted(found) and len(found) >= 25, found
    for name in found:
        answer = command(name)
        assert list(answer)[:2] == ["command", "error"] and answer["command"] == name, answer
        assert answer["error"] is None or name in ("leader", "set_trace_mask"), answer


def a_second_name_means_the_same():
    for first, second in (("monitor", "mntr"), ("server_stats", "srvr"), ("configuration", "conf"),
                          ("configuration", "config"), ("environment", "envi"), ("watches", "wchc")):
        assert command(second)["command"] == first


def an_unknown_command_is_named_in_the_error():
    assert command("nope") == {"command": "nope", "error": "Unknown command: nope"}


def nothing_but_get_and_head_of_a_known_path_is_answered():
    port = ports_of(server)[0]
    assert http(port, "/commands/ruok", "HEAD")[0] == 200
    for method in ("POST", "PUT", "DELETE", "TRACE", "OPTIONS"):
        assert http(port, "/commands/ruok", method)[0] == 405, method
    assert http(port, "/commands/ruok", "POST", b"x" * 100000)[0] == 405
    for path in ("/", "/metrics", "/commandsruok", "/../etc/passwd"):
        assert http(port, path)[0] == 404, path


def commands_tell_what_the_words_tell():
    client = server.client()
    assert client.create("/over-http", b"", flags=1)[0] == 0
    client.ask(3, struct.pack(">i", 10) + b"/over-http\1")
    mine = [one for one in command("connections")["connections"] if one.get("session_id") == client.session]
    assert len(mine) == 1 and mine[0]["last_operation"] == "EXIS" and mine[0]["session_timeout"] == 30000
    dump = command("dump")
    assert dump["session_id_to_ephemeral_paths"][str(client.session)] == ["/over-http"]
    assert client.session in sum(dump["expiry_time_to_session_ids"].values(), [])
    assert command("watches")["session_id_to_watched_paths"] == {str(client.session): ["/over-http"]}
    assert command("watches_by_path")["path_to_session_ids"] == {"/over-http": [client.session]}
    assert command("watch_summary")["num_total_watches"] == 1
    assert command("configuration")["client_port"] == server.port
    contains(server.word("srvr"), "Node count: %d\n" % command("server_stats")["node_count"])
    client.connection.close()


def counters_are_reset_and_the_trace_mask_is_kept():
    assert command("set_trace_mask?traceMask=77")["tracemask"] == 77
    assert command("get_trace_mask")["tracemask"] == 77
    assert command("server_stats")["server_stats"]["packets_received"] > 0
    command("stat_reset")
    assert command("server_stats")["server_stats"]["packets_received"] == 0


def secrets_of_the_file_are_not_told():
    with open("secret.cfg", "w", encoding="utf-8") as config:
        config.write("tickTime=2000\nadmin.enableServer=true\nadmin.serverPort=0\n"
                     "DigestAuthenticationProvider.superDigest=super:c2VjcmV0\n"
                     "ssl.keyStore.password=hidden\n")
    own = Server("secret", ["--config", "secret.cfg"])
    text = command("icfg", ports_of(own)[0])["initial_configuration"]
    contains(text, "tickTime=2000\n", "superDigest=***\n", "password=***\n")
    assert "c2VjcmV0" not in text and "hidden" not in text
    assert own.stop() == 0


def prometheus_reads_the_metrics():
    port = ports_of(server)[1]
    status, kind, text = http(port, "/metrics")
    assert status == 200 and kind.startswith("text/plain; version=0.0.4"), kind
    names_seen = set()
    for line in text.splitlines():
        sample = re.fullmatch(r'([a-z_0-9]+)(\{quantile="0\.\d+"\})? -?\d+(\.\d+)?', line)
        assert sample or re.fullmatch(r"# (HELP|TYPE) [a-z_0-9]+ [a-z_0-9]+", line), line
        if sample:
            names_seen.add(sample.group(1))
    for name in ("znode_count", "avg_latency", "outstanding_requests", "packets_received", "uptime",
                 "readlatency_count", "fsynctime_sum", "open_file_descriptor_count", "watch_count"):
        assert name in names_seen, name
    contains(text, "# TYPE znode_count gauge\n", "# TYPE commit_count counter\n",
             "# TYPE updatelatency summary\n", 'updatelatency{quantile="0.99"} ')
    assert http(port, "/commands")[0] == 404


def by_default_there_is_no_http():
    own = Server("no-http")
    assert ports_of(own) == []
    assert own.stop() == 0


def a_port_that_is_taken_is_said_at_the_start():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run("--data", "unused", "--address", "127.0.0.1", "--port", "0",
                           *options("admin.enableServer=true", "admin.serverPort=%d" % port))
        assert code == 4, (code, err)
        contains(err, "cannot listen for HTTP on 127.0.0.1, port %d" % port, "admin.serverPort")
    assert not os.path.exists("unused/log")


def many_ask_at_once_while_clients_work_and_a_stop_lets_go_of_all():
    own = Server("busy", options("admin.enableServer=true", "admin.serverPort=0", PROMETHEUS,
                                 "metricsProvider.httpPort=0"))
    admin, prometheus = ports_of(own)
    client = own.client()
    failures, done = [], threading.Event()

    def ask(port, path):
        while not done.is_set():
            try:
                status = http(port, path)[0]
                if status != 200:
                    failures.append(status)
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=ask, args=one) for one in
               [(admin, "/commands/monitor"), (admin, "/commands/dump"), (prometheus, "/metrics")] * 2]
    for thread in threads:
        thread.start()
    for number in range(300):
        assert client.create("/busy%d" % number, b"x")[0] == 0
    assert not failures, failures[:3]
    begin = time.monotonic()
    stopped = threading.Thread(target=own.stop)
    stopped.start()
    stopped.join(30)
    done.set()
    for thread in threads:
        thread.join(30)
    assert own.process.returncode == 0 and time.monotonic() - begin < 30


def one_who_connects_and_says_nothing_keeps_nobody_waiting():
    port = ports_of(server)[0]
    silent = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(20)]
    silent[0].sendall(b"GET /commands/ruok HTTP/1.1\r\n")
    assert command("ruok")["error"] is None
    with socket.create_connection(("127.0.0.1", port), 5) as garbage:
        garbage.sendall(b"\0\1\2" * 10000 + b"\r\n\r\n")
        receive_all(garbage)
    assert command("ruok")["error"] is None
    for one in silent:
        one.close()


def keys_of(value):
    """The shape of an answer: names, and what kind of thing is below each."""
    if isinstance(value, dict):
        return {key: keys_of(one) for key, one in value.items()}
    return type(value).__name__


def every_answer_has_the_keys_of_zookeepers():
    if not harness.zookeeper_is_there() or not all(map(os.path.exists, JARS)):
        print("# no ZooKeeper with an AdminServer to compare with")
        return
    port, admin = harness.free_port(), harness.free_port()
    os.makedirs("zookeeper", exist_ok=True)
    with open("zookeeper.cfg", "w", encoding="utf-8") as config:
        config.write("tickTime=2000\ndataDir=zookeeper\nclientPort=%d\nclientPortAddress=127.0.0.1\n"
                     "admin.serverAddress=127.0.0.1\nadmin.serverPort=%d\n" % (port, admin))
    theirs = subprocess.Popen(["java", "-Xmx256m", "-cp", ":".join(JARS),
                               "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zookeeper.cfg"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.until(lambda: serves(port), "ZooKeeper serves", 60)
        harness.until(lambda: answers(admin), "its AdminServer answers", 30)
        compare(admin, Client(socket.create_connection(("127.0.0.1", port), 10)), server.client())
    finally:
        theirs.kill()
        theirs.wait()


def serves(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"srvr")
            return b"Mode: standalone" in receive_all(connection)
    except OSError:
        return False


def answers(port):
    try:
        return http(port, "/commands/ruok")[0] == 200
    except OSError:
        return False


def compare(admin, their_client, our_client):
    for client in (their_client, our_client):
        client.create("/same", b"", flags=1)
        client.ask(3, struct.pack(">i", 5) + b"/same\1")
    # Of Java's process; and values that are keys (times, ids) or differ by nature.
    skipped = {"environment", "monitor", "system_properties", "snapshot", "restore"}
    for name in names():
        ours, theirs = command(name), json.loads(http(admin, "/commands/" + name)[2])
        if name in skipped or str(theirs["error"]).startswith("Unknown command"):
            continue
        for answer in (ours, theirs):
            for volatile in ("expiry_time_to_session_ids", "session_id_to_ephemeral_paths",
                             "session_id_to_watched_paths"):
                if volatile in answer:
                    answer[volatile] = sorted(map(str, answer[volatile].values()))[:0]
        assert keys_of(ours) == keys_of(theirs), (name, keys_of(ours), keys_of(theirs))
    for client in (their_client, our_client):
        client.connection.close()


if __name__ == "__main__":
    server = Server("data", options("admin.enableServer=true", "admin.serverPort=0", PROMETHEUS,
                                    "metricsProvider.httpHost=127.0.0.1", "metricsProvider.httpPort=0"))
    main([
        commands_lists_every_name_and_each_of_them_answers,
        a_second_name_means_the_same,
        an_unknown_command_is_named_in_the_error,
        nothing_but_get_and_head_of_a_known_path_is_answered,
        commands_tell_what_the_words_tell,
        counters_are_reset_and_the_trace_mask_is_kept,
        secrets_of_the_file_are_not_told,
        prometheus_reads_the_metrics,
        by_default_there_is_no_http,
        a_port_that_is_taken_is_said_at_the_start,
        many_ask_at_once_while_clients_work_and_a_stop_lets_go_of_all,
        one_who_connects_and_says_nothing_keeps_nobody_waiting,
        every_answer_has_the_keys_of_zookeepers,
    ])
