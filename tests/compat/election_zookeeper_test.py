#!/usr/bin/env python3
"""Our election sockets among ZooKeeper's own servers: of three members two are ZooKeeper's, one with a
smaller and one with a larger id than ours, so that both of them dial and are dialled."""

import os
import re
import subprocess
import time

import harness
from harness import case

SECONDS_MAX = 120
ZOOKEEPER = "org.apache.zookeeper.server.quorum.QuorumPeerMain"


class Ensemble:
    """Members 1 and 3 are ZooKeeper's; 2 is ours."""

    def __init__(self):
        self.ports = {member: [harness.free_port() for _ in range(3)] for member in (1, 2, 3)}
        self.servers = {}
        self.voter = None
        self.lines_path = os.path.abspath("voter.out")

    def start(self, member):
        data = os.path.abspath(f"zookeeper-{member}")
        os.makedirs(data, exist_ok=True)
        with open(os.path.join(data, "myid"), "w", encoding="ascii") as file:
            file.write(str(member))
        lines = ["tickTime=1000", "initLimit=10", "syncLimit=5", f"dataDir={data}",
                 f"clientPort={self.ports[member][0]}", "admin.enableServer=false"]
        lines += [f"server.{other}=127.0.0.1:{ports[1]}:{ports[2]}"
                  for other, ports in self.ports.items()]
        config = data + ".cfg"
        with open(config, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        jar = harness.needed("ZOOKEEPER_JAR", "/usr/share/java/zookeeper.jar")
        with open(data + ".log", "ab") as log:
            self.servers[member] = subprocess.Popen(
                ["java", "-Xmx256m", "-cp", jar, ZOOKEEPER, config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, member):
        self.servers[member].kill()
        self.servers.pop(member).wait()

    def vote(self):
        program = harness.needed("ELECTION_PEER",
                                 os.path.join(os.environ["BUILD_DIR"], "compat_election_peer"))
        members = [f"{member}=127.0.0.1:{ports[2]}" for member, ports in self.ports.items()]
        with open(self.lines_path, "wb") as out:
            self.voter = subprocess.Popen([program, "2"] + members, stdin=subprocess.PIPE,
                                          stdout=out, stderr=out)

    def lines(self):
        with open(self.lines_path, encoding="utf-8") as lines:
            return lines.read()

    def hears(self, pattern, after=0):
        """Where a line that matches ends. Lines are those of our voter, from `after` on."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            assert self.voter.poll() is None, self.lines()[-2000:]
            found = re.compile(pattern).search(self.lines(), after)
            if found:
                return found.end()
            time.sleep(0.05)
        raise AssertionError(f"{pattern} was not heard:\n" + self.lines()[-2000:])

    def leader(self):
        """Whom the others have elected; our vote may have made it either of them."""
        self.hears(r"from=1 state=[12] leader=")
        self.hears(r"from=3 state=[12] leader=")
        return int(re.search(r" state=[12] leader=([13]) ", self.lines()).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in list(self.servers):
            self.kill(member)
        if self.voter is not None:
            self.voter.stdin.close()
            assert self.voter.wait(SECONDS_MAX) == 0, self.lines()[-2000:]


@case("ZooKeeper's servers tell us whom they follow, whichever side made the connection")
def _():
    with Ensemble() as ensemble:
        ensemble.start(1)
        ensemble.start(3)
        ensemble.vote()

        leader = ensemble.leader()
        for member in (1, 3):
            state = 2 if member == leader else 1
            ensemble.hears(rf"from={member} state={state} leader={leader} .* config=1\n")


@case("a server of ZooKeeper's that comes back is heard again")
def _():
    with Ensemble() as ensemble:
        ensemble.start(1)
        ensemble.start(3)
        ensemble.vote()
        ensemble.leader()

        for member in (1, 3):
            ensemble.kill(member)
            here = len(ensemble.lines())
            ensemble.start(member)
            ensemble.hears(rf"from={member} state=[12] leader=", here)


@case("our vote and its own make a server of ZooKeeper's the leader")
def _():
    for member in (1, 3):
        with Ensemble() as ensemble:
            ensemble.start(member)
            ensemble.vote()

            ensemble.hears(rf"from={member} state=0 leader={member} ")
            ensemble.hears(rf"from={member} state=2 leader={member} ")


if __name__ == "__main__":
    harness.main()
