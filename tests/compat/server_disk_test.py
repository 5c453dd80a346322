#!/usr/bin/env python3
"""A disk that is full or fails: the server ends with a clear message, has lost nothing that it
acknowledged, and starts again when there is space.

Runs in a mount namespace of its own, so that it can have a small disk; without the right to that, the
tests that need one are skipped."""
import os
import random
import resource
import subprocess
import sys
import time

from server_process import Closed, Server, contains, main, run

SMALL = ["--option", "preAllocSize=256", "--option", "overlayBytes=1M", "--option",
         "checkpointLogBytes=1M"]
isolated = os.environ.get("SERVER_DISK_TEST_ISOLATED") == "1"


def isolate():
    """Start again in a user and mount namespace; stay as we are if that is not allowed."""
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        possible = subprocess.run(command + ["true"], stderr=subprocess.DEVNULL, check=False)
        if possible.returncode == 0:
            os.environ["SERVER_DISK_TEST_ISOLATED"] = "1"
            os.execvp("unshare", command + [sys.executable] + sys.argv)


def small_disk(folder, megabytes):
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % megabytes, "none", folder], check=True)


def resize(folder, megabytes):
    subprocess.run(["mount", "-o", "remount,size=%dm" % megabytes, folder], check=True)


def content(i):
    """Bytes that no compression makes small."""
    return random.Random(i).randbytes(5000)


def write_until_it_ends(server, prefix=""):
    """Create znodes until the connection breaks; how many were acknowledged."""
    client = server.client()
    acknowledged = 0
    try:
        while acknowledged < 1000000:
            error, _ = client.create("/%sn%06d" % (prefix, acknowledged), content(acknowledged))
            assert error == 0, error
            acknowledged += 1
    except (Closed, OSError):
        pass
    return acknowledged


def assert_kept(server, acknowledged, prefix=""):
    client = server.client()
    names = set(client.children("/"))
    missing = [i for i in range(acknowledged) if "%sn%06d" % (prefix, i) not in names]
    assert not missing, "lost %d, from %d on" % (len(missing), missing[0])
    assert client.get("/%sn%06d" % (prefix, acknowledged - 1)) == content(acknowledged - 1)


def a_full_disk_ends_the_server_and_loses_nothing():
    small_disk("small", 12)
    server = Server("small/data", SMALL)
    acknowledged = write_until_it_ends(server)
    assert server.wait_exit() == 1
    contains(server.lines(), " error ", "o space left on device", "ree some space")
    assert acknowledged > 100
    resize("small", 64)
    server = Server("small/data", SMALL)
    assert_kept(server, acknowledged)
    assert server.client().create("/after")[0] == 0
    assert server.stop() == 0


def a_start_on_a_full_disk_says_so():
    small_disk("full", 4)
    server = Server("full/data", SMALL)
    assert server.stop() == 0
    with open("full/ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    code, _, err = run("--data", "full/data", "--address", "127.0.0.1", "--port", "0", *SMALL)
    assert code in (1, 3), (code, err)
    contains(err, "o space left on device")
    os.remove("full/ballast")
    server = Server("full/data", SMALL)
    assert server.client().create("/after")[0] == 0
    assert server.stop() == 0


def a_limit_on_file_sizes_ends_the_server_and_loses_nothing():
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500000, resource.RLIM_INFINITY))
    options = ["--option", "preAllocSize=1024", "--option", "overlayBytes=2M"]
    server = Server("limited", options, preexec_fn=limit)
    acknowledged = write_until_it_ends(server)
    assert server.wait_exit() == 1, server.lines()
    contains(server.lines(), " error a checkpoint cannot be written: ")
    server = Server("limited", options)
    assert_kept(server, acknowledged)
    assert server.stop() == 0


def a_read_only_directory_is_said():
    small_disk("frozen", 16)
    server = Server("frozen/data", SMALL)
    assert server.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", "frozen"], check=True)
    code, _, err = run("--data", "frozen/data", "--address", "127.0.0.1", "--port", "0", *SMALL)
    assert code == 3, (code, err)
    contains(err, "ead-only file system")


def segments_behind_a_checkpoint_are_removed():
    server = Server("removed", SMALL + ["--option", "checkpointSeconds=1"])
    client = server.client()
    for i in range(3000):
        assert client.set("/", b"x" * 5000)[0] in (0, -101), i
    deadline = time.monotonic() + 20
    while True:
        segments = [n for n in os.listdir("removed/log") if n.startswith("log.")]
        if len(segments) <= 8:
            break
        assert time.monotonic() < deadline, segments
        client.set("/", b"x")
        time.sleep(0.2)
    assert server.stop() == 0


if __name__ == "__main__":
    if not isolated:
        isolate()
    tests = [a_limit_on_file_sizes_ends_the_server_and_loses_nothing,
             segments_behind_a_checkpoint_are_removed]
    if isolated:
        tests += [a_full_disk_ends_the_server_and_loses_nothing, a_start_on_a_full_disk_says_so,
                  a_read_only_directory_is_said]
    else:
        print("# no mount namespaces here: tests of a full disk are left out")
    main(tests)
