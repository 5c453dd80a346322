#!/usr/bin/python3
"""What an operator of several servers does, gets wrong, and is told."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import harness
import network as networks
from ensemble import SECONDS_MAX, Ensemble, Member, until
from harness import Skip, case

SOURCE = harness.needed("SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
HOSTS = "/etc/hosts"
why_not = None  # be in namespaces of its own: the reason, if that is not allowed


def ends(member):
    """The exit code of a member that is expected to end by itself, and what it has said."""
    member.start()
    until("it ends", lambda: member.process.poll() is not None)
    code, member.process = member.process.returncode, None
    return code, member.log_text()


def written(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def moonkeeper(*words):
    return subprocess.run([harness.needed("MOONKEEPER"), *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS_MAX, check=False).stdout


# ---- Who it is, and where


@case("a member without myid, or with one that no line is of, says what to write")
def _():
    member = Ensemble().members[0]
    myid = os.path.join(member.data, "myid")
    for text, words in ((None, ("myid", "echo N > myid")), ("seven\n", ("myid",)),
                        ("4\n", ("this is server 4", "there is no server.4"))):
        os.remove(myid)
        if text is not None:
            written(myid, text)
        code, said = ends(member)
        assert code in (2, 3), (text, code, said)
        for word in words:
            assert word in said, (text, word, said)
        written(myid, "1\n")


@case("a port of another server's that is in use is named, with exit code 4")
def _():
    for port in ("quorum", "election", "port"):
        member = Ensemble().members[0]
        with socket.create_server(("127.0.0.1", getattr(member, port))):
            code, said = ends(member)
        assert code == 4, (port, code, said)
        assert str(getattr(member, port)) in said and "in use" in said, (port, said)


@case("a server that gives itself another's number is noticed by those that it connects to")
def _():
    ensemble = Ensemble()
    with ensemble:
        ensemble.serving()
        real = ensemble.members[1]
        impostor = Member(2, os.path.abspath("impostor"))
        impostor.prepare([line for line in real.lines if not line.startswith("server.2=")]
                         + [impostor.line("participant")])
        impostor.start()
        try:
            until("somebody says that there are two", lambda: any(
                "the same number in the file myid?  server=2" in member.log_text()
                for member in ensemble.members))
        finally:
            impostor.end(signal.SIGKILL)
        ensemble.serving()
        ensemble.client().create("/still-there")


# ---- Who is missing


@case("one that is alone says whom it misses, why and since when, in its log and to who asks")
def _():
    ensemble = Ensemble()
    alone, *others = ensemble.members
    ensemble.starting = [alone]
    with ensemble:
        for other in others:
            found = until("it says so", lambda other=other: re.search(
                rf"a server cannot be reached for elections: connection refused  server={other.number}"
                r" host=127.0.0.1 port=\d+ missing_ms=\d+", alone.log_text()))
            assert str(other.election) in found.group()
        assert "not currently serving" in alone.word("srvr")
        assert alone.word("isro") == "null" and alone.word("ruok") == "imok"
        assert "zk_server_state" not in alone.word("mntr") or \
            "not currently serving" in alone.word("mntr")
        status = moonkeeper("status", alone.config)
        for other in others:
            assert re.search(rf"^server\.{other.number}: missing for \d+ s: connection refused",
                             status, re.MULTILINE), status
        ensemble.start(others[0])
        ensemble.serving()


@case("each role says what it is: srvr, mntr, isro, status")
def _():
    with Ensemble(count=4, observers=1) as ensemble:
        leader = ensemble.serving()
        for member in ensemble.members:
            role = "leader" if member is leader else "observer" if member.number == 4 else "follower"
            assert member.mode() == role
            assert member.metrics()["zk_server_state"] == role
            assert member.word("isro") == "rw"
            assert role in moonkeeper("status", member.config)


# ---- By the book: conf/README.md, on three machines


def by_the_book():
    """The lines that conf/README.md gives, and the name of each machine."""
    with open(os.path.join(SOURCE, "conf/README.md"), encoding="utf-8") as file:
        found = re.search(r"^ +dataDir=\S+\n((?: +server\.\d=.*\n)+)", file.read(), re.MULTILINE)
    lines = [line.strip() for line in found.group(1).splitlines()]
    return lines, [re.match(r"server\.\d=(\w+):", line).group(1) for line in lines]


class Machine(Member):
    """As the book has it: every port is the same everywhere."""

    def __init__(self, number, network):
        super().__init__(number, os.path.abspath("machines"), network)
        self.port = 2181


def hosts_say(network, names):
    """What these names stand for: in this mount namespace, which is the test's own."""
    with open("hosts", "w", encoding="ascii") as file:
        for number, name in enumerate(("localhost", *names)):
            file.write(f"{'127.0.0.1' if number == 0 else network.address(number)} {name}\n")


@case("the lines of conf/README.md make three machines one, and a name may be told later")
def _():
    if why_not is not None:
        raise Skip(why_not)
    lines, names = by_the_book()
    assert len(lines) == 3
    network = networks.Network(3)
    hosts_say(network, names[:2])  # nobody knows the third one yet
    subprocess.run(["mount", "--bind", "hosts", HOSTS], check=True)
    machines = [Machine(number, network) for number in (1, 2, 3)]
    try:
        for machine in machines:
            machine.prepare(lines)
        for machine in machines[:2]:
            machine.start()
        until("two of them serve", lambda: all(machine.mode() for machine in machines[:2]))
        said = until("they say who cannot be found", lambda: re.search(
            rf"cannot be reached for elections: (.*)  server=3 host={names[2]} port=3888",
            machines[0].log_text()))
        assert "connection" not in said.group(1), said.group()
        hosts_say(network, names)
        machines[2].start()
        until("the third one serves", machines[2].mode)
        servers = ",".join(f"{machine.host}:2181" for machine in reversed(machines))
        assert moonkeeper("-s", servers, "create", "/by-the-book", "x") == "/by-the-book\n"
        machines[2].end(signal.SIGTERM)
        assert moonkeeper("-s", f"{machines[0].host}:2181", "get", "/by-the-book") == "x\n"
        codes = [machine.end(signal.SIGTERM) for machine in machines]
        assert codes == [0, 0, 0], codes
    finally:
        subprocess.run(["umount", HOSTS], check=False)
        for machine in machines:
            machine.end(signal.SIGKILL)
            print(machine.log_text()[-1500:] if sys.exc_info()[0] else "", end="")
        network.close()


# ---- Strangers


@case("who holds very many connections to the quorum port, and says nothing, keeps nobody out")
def _():
    with Ensemble() as ensemble:
        leader = ensemble.serving()
        follower = next(member for member in ensemble.members if member is not leader)
        follower.end(signal.SIGKILL)
        strangers = []
        try:
            for _ in range(400):
                strangers.append(socket.create_connection(("127.0.0.1", leader.quorum), timeout=10))
            ensemble.start(follower)
            ensemble.serving()
            began = time.monotonic()
            for stranger in strangers:
                stranger.settimeout(max(1, SECONDS_MAX - (time.monotonic() - began)))
                try:
                    assert stranger.recv(1) == b"", "it was told something"
                except ConnectionResetError:
                    pass
        finally:
            for stranger in strangers:
                stranger.close()


if __name__ == "__main__":
    why_not = networks.enter()
    if why_not is not None:
        print(f"# NOT ON MACHINES OF THEIR OWN: {why_not}", flush=True)
    harness.main()
