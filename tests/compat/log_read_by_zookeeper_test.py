#!/usr/bin/env python3
"""The log is in ZooKeeper's format: its own tool and its own server read it, trailers and all."""
import glob
import os
import shutil
import socket
import subprocess
import sys
import time

import harness

JAR = "/usr/share/java/zookeeper.jar"
COUNT = 1000  # znodes; a session, a create and a change of each are 2,001 entries
LAST = "0x1%08x" % (2 * COUNT + 1)


def java(*arguments, **options):
    return subprocess.Popen(["java", "-cp", JAR + ":conf", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **options)


def log_write():
    os.makedirs("data")
    writer = os.path.join(os.environ["BUILD_DIR"], "compat_log_writer")
    last = subprocess.run([writer, "data/version-2", str(COUNT)], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()
    assert last == LAST, last


def zookeepers_log_tool_reads_every_entry():
    segments = sorted(glob.glob("data/version-2/log.*"), key=lambda name: int(name[-9:], 16))
    assert len(segments) > 2, segments
    entries = 0
    for segment in segments:
        tool = java("org.apache.zookeeper.server.persistence.TxnLogToolkit", "-v", segment)
        lines = tool.communicate()[0].splitlines()
        assert tool.returncode == 0, lines
        assert not any("CRC" in line for line in lines), lines
        assert any(line.startswith("EOF reached after") for line in lines), lines[-5:]
        entries += sum(" session 0x" in line for line in lines)
    assert entries == 2 * COUNT + 1, entries


def ask(port, word, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(word)
                answer = b""
                while chunk := connection.recv(65536):
                    answer += chunk
            if b"Zxid" in answer:
                return answer.decode()
        except OSError:
            pass
        assert time.monotonic() < deadline, "the ZooKeeper does not answer on port %d" % port
        time.sleep(0.1)


def a_zookeeper_starts_from_it():
    port = harness.free_port()
    server = java("-Dzookeeper.snapshot.trust.empty=true", "-Dzookeeper.admin.enableServer=false",
                  "-Dzookeeper.4lw.commands.whitelist=srvr",
                  "org.apache.zookeeper.server.ZooKeeperServerMain", str(port), "data")
    try:
        answer = ask(port, b"srvr")
    finally:
        server.kill()
        server.wait()
    assert "Zxid: " + LAST + "\n" in answer, answer
    # Besides "/", "/zookeeper", two below it, and one that ZooKeeper counts twice.
    assert "Node count: %d\n" % (COUNT + 5) in answer, answer


def main():
    if shutil.which("java") is None or not os.path.exists(JAR):
        print("skipped: no ZooKeeper here")
        return 77
    os.makedirs("conf")
    with open("conf/log4j.properties", "w", encoding="ascii") as file:
        file.write("log4j.rootLogger=OFF\n")
    log_write()
    for number, case in enumerate([zookeepers_log_tool_reads_every_entry,
                                   a_zookeeper_starts_from_it], 1):
        case()
        print("ok %d - %s" % (number, case.__name__.replace("_", " ")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
