"""What harness.server() is with COMPAT_SERVER=leader, follower or any: three servers instead of one.

    leader      clients speak to the server that leads, and the two others are restarted in turn
    follower    clients speak to a server that follows, and the other follower is restarted
    any         clients are given the addresses of all three, which are restarted in turn: for those
                that ask again when a connection is lost

One at a time, in order (SIGTERM), the next one when all serve again and a moment has passed. With
COMPAT_RESTARTS=no nobody is. What a test does to its server, it does to all three.
"""

import os
import signal
import threading

import harness
from ensemble import Member, until

ROLES = ("leader", "follower", "any")
PAUSE_SECONDS = 0.5  # between two restarts: clients are to get something done

# Cases that cannot hold there, by words of their names, and why.
LEFT_OUT = {
    "a session that is not heard of expires": "its timeout is shorter than a restart takes",
    "no session expires for the time in which the server was down":
        "its timeout is shorter than an election and its waiting for all three take",
    "the tree begins as ZooKeeper's": "says what is in /zookeeper/config of a server that is alone",
    "four-letter words are answered whole or in pieces": "asks for Mode: standalone",
    "kazoo reads the server's version and its words": "asks for Mode: standalone",
}


def left_out(name):
    """Why a case is not tried, or None."""
    if os.environ.get("COMPAT_SERVER") not in ROLES:
        return None
    return next((why for words, why in LEFT_OUT.items() if words in name), None)


class Three(harness.Moonkeeper):
    def __init__(self, *options, port=None, data=None, address="127.0.0.1"):
        self.role = os.environ["COMPAT_SERVER"]
        folder = data or os.path.abspath(f"data-{next(harness.numbers)}")
        self.members = [Member(number, folder) for number in (1, 2, 3)]
        # The third one leads, see start().
        self.served = self.members[2 if self.role == "leader" else 0]
        self.served.port = port or self.served.port
        self.turns = {"leader": self.members[:2], "follower": self.members[1:2],
                      "any": self.members}[self.role]
        lines = ["initLimit=20", "syncLimit=10", "4lw.commands.whitelist=*",
                 "admin.enableServer=false"]
        if not any(option.startswith("tickTime=") for option in options):
            lines.append("tickTime=2000")
        lines += list(options) + [member.line("participant") for member in self.members]
        for member in self.members:
            member.prepare(lines)
        self.lock = threading.Lock()  # held while somebody is restarted
        self.restarts = 0
        self.ended = threading.Event()
        self.thread = None
        super().__init__(*options, port=self.served.port, data=folder, address=address)

    @property
    def address(self):
        members = self.members if self.role == "any" else [self.served]
        return ",".join(f"127.0.0.1:{member.port}" for member in members)

    def start(self):
        harness.running.append(self)
        for member in (self.members[2], self.members[0]):
            member.start()
        self.await_all()
        self.members[1].start()
        self.await_all()
        self.process = self.served.process
        if os.environ.get("COMPAT_RESTARTS") != "no":
            self.ended.clear()
            self.thread = threading.Thread(target=self.restart_in_turn, daemon=True)
            self.thread.start()
        return self

    def await_all(self):
        """Until all that have been started serve."""
        started = [member for member in self.members if member.process is not None]

        def serve():
            if any(member.process.poll() is not None for member in started):
                self.signal_and_wait(signal.SIGKILL)
                raise AssertionError("a server did not start:\n" + self.log_text()[-2000:])
            return all(member.mode() for member in started)

        until("all serve", serve)

    def restart_in_turn(self):
        while not self.ended.wait(PAUSE_SECONDS):
            with self.lock:
                member = self.turns[self.restarts % len(self.turns)]
                if self.ended.is_set() or member.end(signal.SIGTERM) != 0:
                    return  # the exit code of the others says that something is wrong
                member.start()
                self.await_all()
                self.restarts += 1

    def log_text(self):
        return "".join(f"--- {member.number}:\n{member.log_text()}" for member in self.members
                       if os.path.exists(member.log))

    def signal_and_wait(self, number):
        self.ended.set()
        if self.thread not in (None, threading.current_thread()):
            self.thread.join()
            print(f"# {self.restarts} restarts", flush=True)
        codes = [member.end(number) for member in self.members]
        if self in harness.running:
            harness.running.remove(self)
        return next((code for code in codes if code != 0), 0)
