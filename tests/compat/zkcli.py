"""zkCli.sh, ZooKeeper's own command line, driven as by hand: a command, its output, the next."""

import os
import queue
import subprocess
import threading
import time

import harness

ANSWER_SECONDS_MAX = 60
NOISE = ("SLF4J:", "WATCHER::", "WatchedEvent", "Connecting to", "Welcome to", "JLine", "[zk:")


class ZkCli:
    """A session of zkCli.sh. `ask` returns the lines that a command has printed."""

    def __init__(self, address):
        environment = dict(os.environ, ZOO_LOG_DIR=os.getcwd())
        self.process = subprocess.Popen([harness.zkcli(), "-server", address],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=environment)
        self.lines = queue.Queue()
        self.events = []
        self.asked = 0
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def ask(self, command):
        """The output ends where the answer to a question about an absent znode begins."""
        self.asked += 1
        mark = f"/not-there-{self.asked}"
        self.process.stdin.write(f"{command}\nls {mark}\n")
        self.process.stdin.flush()
        lines = []
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            line = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
            if line is None:
                raise AssertionError(f"zkCli.sh ended during {command!r}: {lines}")
            if line == f"Node does not exist: {mark}":
                return lines
            if line.startswith("WatchedEvent"):
                self.events.append(line)
            elif line and not line.startswith(NOISE):
                lines.append(line)

    def quit(self):
        """Orderly: the session is closed. (The exit code is that of the last command.)"""
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait(ANSWER_SECONDS_MAX)
