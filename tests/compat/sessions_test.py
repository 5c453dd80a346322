#!/usr/bin/python3
"""Sessions that one server knows alone: local ones, and those of a server without a quorum."""

import os
import signal
import subprocess
import sys
import time

try:
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException, NotReadOnlyCallError
    from kazoo.protocol.states import KeeperState
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(77)

import harness
from ensemble import SECONDS_MAX, Ensemble, agree, until
from harness import case

LOCAL = ("localSessionsEnabled=true", "localSessionsUpgradingEnabled=true")
PROGRAM = os.path.join(os.environ.get("BUILD_DIR", "."), "compat_c_read_only")
MAIN = "org.apache.zookeeper.ZooKeeperMain"


def sessions(member):
    """How many it knows alone, and how many all know."""
    metrics = member.metrics()
    return int(metrics.get("zk_local_sessions", -1)), int(metrics.get("zk_global_sessions", -1))


# --- Local sessions.


@case("a local session is no transaction until it makes an ephemeral; then it may move")
def _():
    with Ensemble(options=LOCAL) as ensemble:
        leader = ensemble.serving()
        follower, other = (member for member in ensemble.members if member is not leader)
        zxid = leader.metrics()["zk_proposal_count"]
        clients = [ensemble.client(follower) for _ in range(20)]
        assert sessions(follower) == (20, 0)
        for client in clients[1:]:
            client.stop()
        assert leader.metrics()["zk_proposal_count"] == zxid
        mine = clients[0]
        mine.create("/kept", b"1")
        assert sessions(follower) == (1, 0)

        mine.create("/mine", ephemeral=True)

        assert sessions(follower) == (0, 1) and sessions(leader) == (0, 1)
        owner = mine.get("/mine")[1].owner_session_id
        assert owner == mine.client_id[0]
        mine.set_hosts(f"127.0.0.1:{other.port}")
        follower.end(signal.SIGKILL)
        until("it has moved", lambda: other.metrics().get("zk_num_alive_connections") == "2")
        assert mine.get("/mine")[1].owner_session_id == mine.client_id[0] == owner
        ensemble.start(follower)
        ensemble.serving()
        mine.stop()
        assert "/mine" not in agree(ensemble)


def lives_in(ensemble, member):
    """A client of that server writes with a local session, and makes it everybody's."""
    client = ensemble.client(member)
    client.create(f"/by-{member.number}", b"1")
    assert sessions(member)[0] == 1, sessions(member)
    client.create(f"/mine-{member.number}", ephemeral=True)
    client.set(f"/by-{member.number}", b"2")
    until("it is everybody's", lambda: sessions(member)[0] == 0)
    multi = client.transaction()
    multi.create(f"/multi-{member.number}", b"m")
    multi.commit()
    return client


@case("local sessions work with ZooKeeper's servers as leader, and as followers")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("there is no ZooKeeper")
    for zookeepers, leads in (((3,), 3), ((2,), 3)):
        with Ensemble(zookeepers=zookeepers, first=3, options=LOCAL) as ensemble:
            assert ensemble.serving() is ensemble.members[leads - 1]
            clients = [lives_in(ensemble, member) for member in ensemble.members]
            paths = agree(ensemble)
            assert all(f"/mine-{member.number}" in paths for member in ensemble.members)
            for client in clients:
                client.stop()
            paths = agree(ensemble)
            assert not any(path.startswith("/mine-") for path in paths), sorted(paths)
            for client in ensemble.clients:
                client.close()
            ensemble.clients.clear()


# --- Read-only mode.


def left_alone(ensemble):
    """One of three, which holds /a; what is left of the ensemble."""
    leader = ensemble.serving()
    follower, other = (member for member in ensemble.members if member is not leader)
    client = ensemble.client(follower)
    client.create("/a", b"1")
    client.stop()
    for member in (leader, other):
        member.end(signal.SIGKILL)
    until("it serves reads", lambda: follower.word("isro") == "ro")
    return follower, leader, other


def hosts(ensemble):
    return ",".join(f"127.0.0.1:{member.port}" for member in ensemble.members)


def zkcli(member, *words):
    """One command of ZooKeeper's Java client, which is content with reads."""
    done = subprocess.run(["java", "-cp", "/usr/share/java/*", MAIN, "-server",
                           f"127.0.0.1:{member.port}", "-r", *words], text=True,
                          timeout=SECONDS_MAX, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout


@case("one of three is read by who is content with that, and written when there are three again")
def _():
    with Ensemble(options=("readonlymode.enabled=true",)) as ensemble:
        follower, leader, other = left_alone(ensemble)
        assert "\nMode: read-only\n" in follower.word("srvr")
        assert "READ-ONLY mode; serving only read-only clients\n" in follower.word("stat")
        assert follower.metrics()["zk_server_state"] == "read-only"
        program = None
        if os.path.exists(PROGRAM):
            program = subprocess.Popen([PROGRAM, hosts(ensemble)], text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        client = KazooClient(hosts(ensemble), timeout=10, read_only=True,
                             connection_retry={"max_tries": -1, "max_delay": 0.2})
        ensemble.clients.append(client)

        client.start(SECONDS_MAX)

        assert client.client_state == KeeperState.CONNECTED_RO
        assert client.get("/a")[0] == b"1" and "a" in client.get_children("/")
        for write in (lambda: client.create("/b"), lambda: client.set("/a", b"2"),
                      lambda: client.create("/e", ephemeral=True), lambda: client.sync("/")):
            try:
                write()
                raise AssertionError("written")
            except NotReadOnlyCallError:
                pass
        if harness.zookeeper_is_there():
            said = zkcli(follower, "get", "/a")
            assert "\n1\n" in said, said
            said = zkcli(follower, "create", "/b")
            assert "Not a read-only call" in said, said
        if program is not None:
            lines = [program.stdout.readline() for _ in range(3)]
            assert lines == ["read-only\n", "get 0 1\n", "create -119\n"], lines
        refused = KazooClient(f"127.0.0.1:{follower.port}", timeout=10)
        try:
            refused.start(2)
            raise AssertionError("served")
        except refused.handler.timeout_exception:
            refused.close()

        ensemble.start(leader, other)

        ensemble.serving()
        assert follower.word("isro") == "rw"
        until("the client has been let in", lambda: client.client_state == KeeperState.CONNECTED)
        written(client)
        if program is not None:
            rest = program.communicate(timeout=SECONDS_MAX)[0]
            assert (rest, program.returncode) == ("connected\ncreate 0\n", 0), rest
        assert "/b" in agree(ensemble)


def written(client):
    """A client that is being disconnected for once asks again."""
    deadline = time.monotonic() + SECONDS_MAX
    while not client.exists("/b"):
        try:
            client.create("/b")
        except KazooException:
            assert time.monotonic() < deadline
            time.sleep(0.1)


if __name__ == "__main__":
    harness.main()
