"""Several servers as one ensemble, on loopback: ours, or among them some that are ZooKeeper's."""

import glob
import itertools
import os
import re
import signal
import socket
import subprocess
import time

import harness

SECONDS_MAX = 120
TICK_MS = 500
SESSION_SECONDS = 30
HISTORY = 100  # transactions kept for who comes back, if there is a checkpoint of the rest
ZOOKEEPER = "org.apache.zookeeper.server.quorum.QuorumPeerMain"


folders = itertools.count(1)


class Member:
    """One server of an ensemble, by its number; on a host of a `network` by the same number."""

    def __init__(self, number, folder, network=None):
        self.number = number
        self.host = "127.0.0.1" if network is None else network.address(number)
        self.inside = [] if network is None else network.command(number)
        self.port, self.quorum, self.election = (harness.free_port() for _ in range(3))
        self.data = os.path.join(folder, f"member-{number}")
        self.config = self.data + ".cfg"
        self.log = self.data + ".log"
        self.process = None
        self.lines = []

    def line(self, role):
        return (f"server.{self.number}={self.host}:{self.quorum}:{self.election}:{role}"
                f";{self.host}:{self.port}")

    def prepare(self, lines):
        self.lines = lines
        os.makedirs(self.data, exist_ok=True)
        with open(os.path.join(self.data, "myid"), "w", encoding="ascii") as file:
            file.write(f"{self.number}\n")
        with open(self.config, "w", encoding="ascii") as file:
            file.write("\n".join(lines + [f"dataDir={self.data}"]) + "\n")

    def command(self):
        return [harness.needed("MOONKEEPERD"), "--config", self.config]

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.inside + self.command(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def end(self, number):
        """Its exit code; 0 if it was not there."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        try:
            return self.process.wait(SECONDS_MAX)
        finally:
            self.process.kill()
            self.process.wait()
            self.process = None

    def word(self, word):
        """What a four-letter word is answered; "" if nobody is there."""
        try:
            with socket.create_connection((self.host, self.port), timeout=10) as connection:
                connection.sendall(word.encode())
                answer = b""
                while part := connection.recv(65536):
                    answer += part
                return answer.decode()
        except OSError:
            return ""

    def mode(self):
        found = re.search(r"^Mode: (\w+)$", self.word("srvr"), re.MULTILINE)
        return found.group(1) if found else ""

    def metrics(self):
        return dict(line.split("\t", 1) for line in self.word("mntr").splitlines() if "\t" in line)

    def files(self, pattern):
        return glob.glob(os.path.join(self.data, "**", pattern), recursive=True)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()


class ZooKeeperMember(Member):
    """ZooKeeper's own server. Ended by a signal it has a code of its own."""

    properties = ("-Dzookeeper.extendedTypesEnabled=true",)

    def command(self):
        jar = harness.needed("ZOOKEEPER_JAR", "/usr/share/java/zookeeper.jar")
        return ["java", "-Xmx256m", *self.properties, "-cp", jar, ZOOKEEPER, self.config]

    def end(self, number):
        super().end(number)
        return 0


def until(what, condition):
    """The first true value of `condition`."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not so in {SECONDS_MAX} s: {what}")


def tree(client):
    """Every znode: data, Stat, ACL. /zookeeper/config is each server's own affair."""
    found = {}
    paths = ["/"]
    while paths:
        asked = [(path, client.get_async(path), client.get_acls_async(path),
                  client.get_children_async(path)) for path in paths]
        paths = []
        for path, data, access, children in asked:
            found[path] = (*data.get(SECONDS_MAX), access.get(SECONDS_MAX)[0])
            paths += [path.rstrip("/") + "/" + name for name in children.get(SECONDS_MAX)
                      if path != "/zookeeper" or name != "config"]
    return found


def agree(ensemble):
    """Every server that is there shows the same znodes, which are returned, and none has found a
    difference."""
    expected = None
    for member in ensemble.alive():
        client = ensemble.client(member)
        client.sync("/")
        found = tree(client)
        client.stop()
        expected = expected or found
        assert sorted(found) == sorted(expected), (member.number, set(found) ^ set(expected))
        for path, znode in expected.items():
            assert found[path] == znode, (member.number, path, found[path], znode)
        assert member.metrics().get("zk_digest_mismatches_count", "0") == "0", member.number
    return expected


class Ensemble:
    """Servers with the same options; the last `observers` of them do not vote, those of the numbers
    in `zookeepers` are ZooKeeper's. The one of the number `first` serves with a single other before
    the rest start: of three empty servers it leads, if its number is the larger of the two.
    `options` are lines of all their files. Who lacks more than is in memory gets a snapshot, or the
    log's transactions, if `log_share` says so."""

    def __init__(self, count=3, observers=0, zookeepers=(), first=None, network=None,
                 tick_ms=TICK_MS, recipes="off", options=(), log_share="0"):
        folder = os.path.abspath(f"ensemble-{next(folders)}")
        os.makedirs(folder)
        self.members = [(ZooKeeperMember if number in zookeepers else Member)(number, folder, network)
                        for number in range(1, count + 1)]
        lines = [f"tickTime={tick_ms}", "initLimit=20", "syncLimit=10", "maxClientCnxns=0",
                 "minSessionTimeout=1000", "maxSessionTimeout=60000",
                 "4lw.commands.whitelist=*", "admin.enableServer=false", f"recipes={recipes}",
                 f"commitLogCount={HISTORY}", "overlayBytes=1M", *options]
        for member in self.members:
            votes = member.number <= count - observers
            lines.append(member.line("participant" if votes else "observer"))
        for member in self.members:
            own = [] if member.number in zookeepers else [f"snapshotSizeFactor={log_share}"]
            member.prepare(lines + own)
        self.clients = []
        self.first = first
        self.starting = self.members

    def start(self, *members):
        for member in members or self.members:
            member.start()

    def alive(self):
        return [member for member in self.members if member.process is not None]

    def leader(self):
        leaders = [member for member in self.alive() if member.mode() == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def serving(self):
        """Everybody who is alive serves, and one of them leads."""
        until("all serve", lambda: all(member.mode() for member in self.alive()))
        return until("there is a leader", self.leader)

    def client(self, *members):
        from kazoo.client import KazooClient  # not everybody who has servers has kazoo
        hosts = ",".join(f"{member.host}:{member.port}" for member in members or self.members)
        client = KazooClient(hosts, timeout=SESSION_SECONDS, randomize_hosts=False,
                             connection_retry={"max_tries": -1, "max_delay": 0.2},
                             command_retry={"max_tries": -1, "max_delay": 0.2})
        client.start(SECONDS_MAX)
        self.clients.append(client)
        return client

    def __enter__(self):
        if self.first is not None:
            first = self.members[self.first - 1]
            first.start()
            until("it is there", lambda: first.word("ruok") == "imok")
            next(member for member in self.members if member is not first).start()
            self.serving()
        self.start(*(member for member in self.starting if member.process is None))
        return self

    def __exit__(self, kind, *_):
        for client in self.clients:
            client.stop()
            client.close()
        codes = [member.end(signal.SIGTERM) for member in self.members]
        if kind is not None or any(codes):
            for member in self.members:
                print(f"--- {member.number}:\n" + member.log_text()[-3000:], flush=True)
        assert not any(codes), codes
