#!/usr/bin/env python3
"""Three moonkeepers as one: written through each, killed one after the other, emptied, and whole again."""
import os
import re
import shutil
import socket
import subprocess
import time

from server_process import Closed, Server, contains, main

SECONDS_MAX = 120


def ports_take(count):
    """Ports that were free a moment ago; a server binds its own before it touches anything."""
    sockets = [socket.socket() for _ in range(count)]
    for taken in sockets:
        taken.bind(("127.0.0.1", 0))
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def until(what, condition):
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came to be: " + what)


def port_known(server):
    found = re.search(r"listening, .* address=\S+:(\d+) ", server.lines())
    server.port = int(found.group(1)) if found else 0
    return server.port


class Ensemble:
    def __init__(self, name):
        self.name = name
        ports = ports_take(6)
        self.lines = "".join("server.%d=127.0.0.1:%d:%d\n" % (i + 1, ports[2 * i], ports[2 * i + 1])
                             for i in range(3))
        self.servers = {}
        for number in (1, 2, 3):
            self.start(number)
        self.wait_serving()

    def folder(self, number):
        return "%s-%d" % (self.name, number)

    def start(self, number):
        folder = self.folder(number)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "myid"), "w", encoding="utf-8") as myid:
            myid.write("%d\n" % number)
        with open(folder + ".cfg", "w", encoding="utf-8") as config:
            config.write("tickTime=1000\ninitLimit=20\nsyncLimit=20\ndataDir=%s\n" % folder + self.lines)
        self.servers[number] = Server(folder, ["--config", folder + ".cfg"], wait=False)

    def wait_serving(self):
        for server in self.servers.values():
            until("a port is known", lambda: port_known(server))
        until("all follow one leader", lambda: sorted(self.modes()) == ["follower", "follower",
                                                                        "leader"])

    def mode(self, number):
        try:
            lines = self.servers[number].word("srvr").splitlines()
        except OSError:
            lines = []
        for line in lines:
            if line.startswith("Mode: "):
                return line[len("Mode: "):]
        return ""

    def modes(self):
        return [self.mode(number) for number in sorted(self.servers)]

    def leader(self):
        return until("somebody leads", lambda: next(
            (number for number in self.servers if self.mode(number) == "leader"), None))

    def kill(self, number):
        self.servers.pop(number).kill()

    def end(self):
        for server in self.servers.values():
            server.stop()


def write(ensemble, path):
    """Through whoever takes it. Who was cut off does not know, and asks again."""
    def once():
        for server in ensemble.servers.values():
            try:
                client = server.client()
                error, _ = client.create(path)
                client.close()
                if error in (0, -110):
                    return True
            except (OSError, Closed):
                pass
        return False
    until(path + " is acknowledged", once)


def synced_children(server):
    client = server.client()
    client.ask(9, b"\0\0\0\1/")
    names = client.children("/")
    client.close()
    return names


def what_is_written_through_one_is_read_from_all():
    ensemble = Ensemble("each")
    for number, server in ensemble.servers.items():
        client = server.client()
        for i in range(20):
            assert client.create("/%d-%d" % (number, i), b"x" * 1000)[0] == 0
        client.close()
    for server in ensemble.servers.values():
        names = synced_children(server)
        assert len([name for name in names if "-" in name]) == 60, names
    ensemble.end()


def leaders_are_killed_and_nothing_acknowledged_is_lost():
    ensemble = Ensemble("killed")
    written = []
    session = ensemble.servers[1].client()
    assert session.create("/mine", b"", 1)[0] == 0
    for round_number in range(3):
        for i in range(10):
            written.append("r%d-%d" % (round_number, i))
            write(ensemble, "/" + written[-1])
        killed = ensemble.leader()
        ensemble.kill(killed)
        written.append("after-%d" % round_number)
        write(ensemble, "/" + written[-1])
        ensemble.start(killed)
        ensemble.wait_serving()
    for server in ensemble.servers.values():
        names = synced_children(server)
        assert set(written) <= set(names), set(written) - set(names)
    assert "mine" in names
    again = ensemble.servers[ensemble.leader()].client(session=session.session,
                                                       password=session.password)
    assert again.session == session.session
    ensemble.end()


def a_server_that_was_emptied_gets_everything_back():
    ensemble = Ensemble("emptied")
    client = ensemble.servers[ensemble.leader()].client()
    for i in range(600):
        client.send(1, b"\0\0\0\5" + b"/%04d" % i + b"\0\0\0\1x" +
                    b"\0\0\0\1\0\0\0\x1f\0\0\0\5world\0\0\0\6anyone" + b"\0\0\0\0")
    for i in range(600):
        assert client.receive()[2] == 0
    client.close()
    emptied = next(number for number in ensemble.servers if ensemble.mode(number) == "follower")
    ensemble.kill(emptied)
    shutil.rmtree(ensemble.folder(emptied))
    ensemble.start(emptied)
    ensemble.wait_serving()
    contains(ensemble.servers[emptied].lines(), "the leader's snapshot is installed")
    assert len(synced_children(ensemble.servers[emptied])) == 601
    for number in list(ensemble.servers):
        ensemble.kill(number)
    for number in (1, 2, 3):
        ensemble.start(number)
    ensemble.wait_serving()
    assert len(synced_children(ensemble.servers[emptied])) == 601
    ensemble.end()


def a_member_that_rejoins_starts_from_nothing_and_keeps_its_promises():
    ensemble = Ensemble("rejoins")
    for i in range(20):
        write(ensemble, "/%d" % i)
    number = next(number for number in ensemble.servers if ensemble.mode(number) == "follower")
    folder = ensemble.folder(number)
    cli = os.environ["MOONKEEPER"]
    command = [cli, "repair", "--rejoin", folder + ".cfg"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 3, refused
    ensemble.kill(number)
    segment = next(name for name in os.listdir(folder + "/log") if name.startswith("log."))
    with open(os.path.join(folder, "log", segment), "r+b") as log:
        log.seek(60)
        log.write(b"damage")
    ensemble.start(number)
    damaged = ensemble.servers.pop(number)
    until("it refuses to start", lambda: damaged.process.poll() is not None)
    contains(damaged.lines(), "moonkeeper repair --rejoin")
    epoch = open(folder + "/log/acceptedEpoch", encoding="utf-8").read()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    contains(done.stdout, "put aside as")
    assert os.path.exists(folder + "/aside-1/state") and os.path.exists(folder + "/amnesiac")
    assert segment in os.listdir(folder + "/aside-1")
    assert open(folder + "/log/acceptedEpoch", encoding="utf-8").read() == epoch
    ensemble.start(number)
    ensemble.wait_serving()
    contains(ensemble.servers[number].lines(), "the leader's snapshot is installed")
    assert len(synced_children(ensemble.servers[number])) == 21
    until("it has remembered", lambda: not os.path.exists(folder + "/amnesiac"))
    ensemble.end()


main([a_member_that_rejoins_starts_from_nothing_and_keeps_its_promises,
      what_is_written_through_one_is_read_from_all,
      leaders_are_killed_and_nothing_acknowledged_is_lost,
      a_server_that_was_emptied_gets_everything_back])
