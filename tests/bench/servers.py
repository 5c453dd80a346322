"""The servers that are measured: each a process of its own, or three that are an ensemble."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar"  # Its manifest names the rest of the class path.
ZOOKEEPER_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
MEMBERS = 3  # Of an ensemble.


class Failure(Exception):
    """Something that ends the measurement, with what to say about it."""


def moonkeeper_command(build_dir, data_dir, port):
    """The one place that knows how moonkeeperd is started."""
    return [os.path.join(build_dir, "moonkeeperd"), "--data", data_dir, "--port", str(port)]


def zookeeper_command(_build_dir, data_dir, port):
    """ZooKeeper as Debian packages it, with its own defaults. No logging backend is on the class
    path: it logs nothing, to its advantage. The admin server would want a port of its own."""
    config = os.path.join(data_dir, "zoo.cfg")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"tickTime=2000\ndataDir={data_dir}/data\nclientPort={port}\n"
                   "clientPortAddress=127.0.0.1\nadmin.enableServer=false\n")
    return ["java", "-cp", ZOOKEEPER_JAR, ZOOKEEPER_MAIN, config]


def echo_command(build_dir, _data_dir, port):
    return [os.path.join(build_dir, "bench_echo"), "--port", str(port)]


def redis_command(_build_dir, data_dir, port):
    """Redis as safe as the others: a write is answered when it has been synced."""
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", data_dir,
            "--appendonly", "yes", "--appendfsync", "always", "--save", ""]


def moonkeeper_missing(build_dir):
    path = os.path.join(build_dir, "moonkeeperd")
    return None if os.access(path, os.X_OK) else f"{path} is not built"


def zookeeper_missing(_build_dir):
    if not os.path.exists(ZOOKEEPER_JAR):
        return f"{ZOOKEEPER_JAR} is not there: apt-get install zookeeper"
    if not shutil.which("java"):
        return "there is no java: apt-get install default-jre-headless"
    return None


def echo_missing(build_dir):
    path = os.path.join(build_dir, "bench_echo")
    return None if os.access(path, os.X_OK) else f"{path} is not built"


def redis_missing(build_dir):
    if not shutil.which("redis-server"):
        return "there is no redis-server: apt-get install redis-server"
    path = os.path.join(build_dir, "bench_redis")
    return None if os.access(path, os.X_OK) else f"{path} is not built"


# name: (command line, reason for being absent)
SERVERS = {
    "moonkeeper": (moonkeeper_command, moonkeeper_missing),
    "zookeeper": (zookeeper_command, zookeeper_missing),
    "redis": (redis_command, redis_missing),
    "echo": (echo_command, echo_missing),
}


class Server:
    """A process of ours, with its data in a folder of its own; ended by its pid.
    Registered in `running` as soon as it exists, so that end_all() ends it whatever happens."""

    running = []

    def __init__(self, name, build_dir, scratch_dir):
        self.name = name
        self.port = free_port()
        self.data_dir = tempfile.mkdtemp(prefix=name + "-", dir=scratch_dir)
        self.start(SERVERS[name][0](build_dir, self.data_dir, self.port))
        self.wait_until_ready()

    def start(self, command):
        self.log_path = os.path.join(self.data_dir, "output")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.data_dir)
        Server.running.append(self)

    @property
    def ports(self):
        return [self.port]

    @property
    def pids(self):
        return [self.process.pid]

    def cpu_seconds(self):
        """User and system, since it was started."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_ready(self, is_ready=None):
        is_ready = is_ready or (redis_answers if self.name == "redis" else answers)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not is_ready(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log_path, "r", encoding="utf-8", errors="replace") as log:
                    tail = log.read()[-2000:]
                self.stop()
                raise Failure(f"{self.name} did not start. Its last output:\n{tail}")
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM):
        """The process, not its data."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self in Server.running:
            Server.running.remove(self)

    def stop(self):
        self.end()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    @staticmethod
    def end_all():
        for server in list(Server.running):
            server.stop()


# --- Ensembles.


class Member(Server):
    """One of an ensemble. Moonkeeper and ZooKeeper read the same configuration."""

    def __init__(self, name, number, build_dir, scratch_dir):
        self.name = name
        self.number = number
        self.port, self.quorum_port, self.election_port = (free_port() for _ in range(3))
        self.data_dir = tempfile.mkdtemp(prefix=f"{name}-{number}-", dir=scratch_dir)
        config = os.path.join(self.data_dir, "zoo.cfg")
        self.command = ([os.path.join(build_dir, "moonkeeperd"), "--config", config]
                        if name == "moonkeeper" else
                        ["java", "-cp", ZOOKEEPER_JAR, ZOOKEEPER_MAIN, config])

    @property
    def line(self):
        return (f"server.{self.number}=127.0.0.1:{self.quorum_port}:{self.election_port}"
                f";127.0.0.1:{self.port}\n")

    def configure(self, lines):
        with open(os.path.join(self.data_dir, "myid"), "w", encoding="ascii") as file:
            file.write(f"{self.number}\n")
        with open(os.path.join(self.data_dir, "zoo.cfg"), "w", encoding="ascii") as file:
            file.write("tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\n"
                       "4lw.commands.whitelist=*\nadmin.enableServer=false\n"
                       f"dataDir={self.data_dir}/data\n{lines}")
        os.makedirs(os.path.join(self.data_dir, "data"), exist_ok=True)
        shutil.copy(os.path.join(self.data_dir, "myid"), os.path.join(self.data_dir, "data"))

    def begin(self):
        self.start(self.command)

    def mode(self):
        """leader or follower; "" if it does not serve."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"srvr")
                text = b""
                while part := connection.recv(65536):
                    text += part
        except OSError:
            return ""
        for line in text.decode(errors="replace").splitlines():
            if line.startswith("Mode: "):
                return line[len("Mode: "):]
        return ""


class Ensemble:
    """Three of one kind, with the interface of a Server. The leader is the first of its ports."""

    def __init__(self, name, build_dir, scratch_dir, options=""):
        self.name = name
        self.members = [Member(name, number + 1, build_dir, scratch_dir)
                        for number in range(MEMBERS)]
        lines = "".join(member.line for member in self.members) + options
        for member in self.members:
            member.configure(lines)
        for member in self.members:
            member.begin()
        for member in self.members:
            member.wait_until_ready()
        self.members.sort(key=lambda member: member.mode() != "leader")

    @property
    def ports(self):
        return [member.port for member in self.members]

    @property
    def pids(self):
        return [member.process.pid for member in self.members]

    def leader(self):
        leaders = [member for member in self.members if member.mode() == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def stop(self):
        for member in self.members:
            member.stop()


# --- Whether they answer.


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    """Whether a new session is granted, and closed again: a server may listen before it serves."""
    request = struct.pack(">iiqiqi16sB", 45, 0, 0, 10000, 0, 16, bytes(16), 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            reply = connection.recv(64)
            if len(reply) < 40 or struct.unpack_from(">i", reply, 8)[0] <= 0:
                return False
            connection.sendall(struct.pack(">iii", 8, 1, -11))
            return len(connection.recv(64)) > 0
    except OSError:
        return False


def redis_answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64) == b"+PONG\r\n"
    except OSError:
        return False
