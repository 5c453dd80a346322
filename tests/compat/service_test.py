#!/usr/bin/python3
"""moonkeeper start, stop, restart, status: a server of this machine, as zkServer.sh handles one."""

import os
import shutil
import signal
import socket
import subprocess

import harness
from harness import case, equal, free_port, numbers, true, until

OK, FAILED, USAGE, LATE = 0, 1, 2, 4
PID_FILE, LOG_FILE = "zookeeper_server.pid", "moonkeeper_server.out"


class Service:
    """A configuration, and what moonkeeper does with it. Whatever becomes of the case, it is stopped."""

    def __init__(self, *lines, port=None, data=None):
        number = next(numbers)
        self.data = os.path.abspath(data or f"service-{number}")
        self.port = port or free_port()
        self.config = os.path.abspath(f"service-{number}.cfg")
        self.write(*lines)

    def write(self, *lines):
        with open(self.config, "w", encoding="utf-8") as config:
            config.write("\n".join((f"dataDir={self.data}", f"clientPort={self.port}",
                                    "clientPortAddress=127.0.0.1") + lines) + "\n")

    def run(self, *words, config=None):
        done = subprocess.run([harness.needed("MOONKEEPER"), *words, config or self.config],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=100, check=False)
        return done.returncode, done.stdout, done.stderr

    def path(self, name):
        return os.path.join(self.data, name)

    def pid(self):
        with open(self.path(PID_FILE), encoding="ascii") as file:
            return int(file.read())

    def pid_write(self, pid):
        os.makedirs(self.data, exist_ok=True)
        with open(self.path(PID_FILE), "w", encoding="ascii") as file:
            file.write(str(pid))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("stop")


def alive(pid):
    """A zombie has ended: whether somebody collects it is the affair of the machine's init."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def says(result, code, *parts):
    equal(result[0], code, str(result))
    for part in parts:
        true(part in result[1] + result[2], f"{part!r} is not in {result}")


# --- The life of a server.


@case("start answers when the server does, status tells its mode, stop waits for its end")
def _():
    with Service() as one:
        equal(one.run("start")[:2], (OK, "Starting moonkeeper ... STARTED\n"))
        pid = one.pid()
        code, out, errors = one.run("status")
        equal((code, out), (OK, f"Client port found: {one.port}. Client address: 127.0.0.1. "
                                "Client SSL: false.\nMode: standalone\n"))
        equal(errors, f"Using config: {one.config}\n")
        equal(one.run("stop")[:2], (OK, "Stopping moonkeeper ... STOPPED\n"))
        true(not alive(pid), "it has ended when stop says so")
        true(not os.path.exists(one.path(PID_FILE)), "and its number is gone")
        equal(one.run("status")[1].splitlines()[1:],
              ["Error contacting service. It is probably not running."])
        equal(one.run("status")[0], FAILED)


@case("what was written before a restart is there after it, with another process")
def _():
    with Service() as one:
        one.run("start")
        before = one.pid()
        client = [harness.needed("MOONKEEPER"), "-s", f"127.0.0.1:{one.port}"]
        subprocess.run(client + ["create", "/kept", "x"], check=True, stdout=subprocess.DEVNULL)
        equal(one.run("restart")[:2], (OK, "Stopping moonkeeper ... STOPPED\n"
                                           "Starting moonkeeper ... STARTED\n"))
        true(one.pid() != before, "another process")
        equal(subprocess.run(client + ["get", "/kept"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout, "x\n")


@case("a server that runs is not started again, however it was started")
def _():
    with Service() as one:
        one.run("start")
        says(one.run("start"), FAILED, f"already running as process {one.pid()}.")
    with harness.Moonkeeper() as other, Service(data=other.data) as one:
        says(one.run("start"), FAILED, f"already running as process {other.process.pid}.")


@case("start-foreground is the server itself, and ends in order by SIGTERM")
def _():
    one = Service()
    process = subprocess.Popen([harness.needed("MOONKEEPER"), "start-foreground", one.config],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until(lambda: one.run("status")[0] == OK, "the server answers")
    with open(f"/proc/{process.pid}/comm", encoding="ascii") as comm:
        equal(comm.read(), "moonkeeperd\n")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    equal(process.returncode, OK)
    true(" serving " in out, out)


@case("a server in the background outlives the terminal's hangup and keeps no descriptor of it")
def _():
    with Service() as one:
        one.run("start") # which returns although its pipes were inherited: nobody holds them open
        equal(os.getsid(one.pid()), one.pid())
        equal(os.readlink(f"/proc/{one.pid()}/fd/0"), "/dev/null")
        equal(os.readlink(f"/proc/{one.pid()}/fd/2"), one.path(LOG_FILE))


@case("print-cmd prints a command that starts the server")
def _():
    one = Service()
    os.mkdir(one.data)
    code, out, _ = one.run("print-cmd")
    equal(code, OK)
    process = subprocess.Popen(["bash", "-c", "exec " + out])
    until(lambda: one.run("status")[0] == OK, "the server answers")
    process.terminate()
    equal(process.wait(60), 0)
    true(os.path.getsize(one.path(LOG_FILE)) > 0, "its output is in the file that was named")


@case("moonkeeperd is found beside moonkeeper, in the sbin of its installation, and in PATH")
def _():
    one = Service()
    os.makedirs("prefix/bin")
    os.makedirs("prefix/sbin")
    os.makedirs("elsewhere")
    client = shutil.copy(harness.needed("MOONKEEPER"), "prefix/bin/moonkeeper")
    for folder in ("prefix/bin", "prefix/sbin", "elsewhere"):
        os.symlink(harness.needed("MOONKEEPERD"), os.path.join(folder, "moonkeeperd"))

    def found():
        done = subprocess.run([client, "print-cmd", one.config], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, PATH=f"/nowhere:{os.path.abspath('elsewhere')}"))
        return done.returncode, done.stdout.split('"')[1] if done.returncode == OK else done.stderr

    for path in ("prefix/bin/moonkeeperd", "prefix/sbin/moonkeeperd", "elsewhere/moonkeeperd"):
        code, where = found()
        equal((code, os.path.normpath(where)), (OK, os.path.abspath(path)))
        os.unlink(path)
    code, where = found()
    equal(code, FAILED)
    true("moonkeeperd is neither beside this program" in where, where)


# --- What can be wrong.


@case("without a pid file there is nothing to stop, and that is no error")
def _():
    one = Service()
    equal(one.run("stop")[:2], (OK, "Stopping moonkeeper ... no moonkeeper to stop (could not find "
                                    f"file {one.path(PID_FILE)})\n"))


@case("a server that was started otherwise is not stopped")
def _():
    with harness.Moonkeeper() as other:
        one = Service(data=other.data)
        says(one.run("stop"), FAILED, f"process {other.process.pid} runs on {other.data}",
             "was not started by moonkeeper start")
        true(alive(other.process.pid), "it is left alone")


@case("a pid file that a kill -9 has left does not hinder a start, and stop removes it")
def _():
    with Service() as one:
        one.run("start")
        first = one.pid()
        os.kill(first, signal.SIGKILL)
        until(lambda: not alive(first), "it has ended")
        until(lambda: one.run("status")[0] == FAILED, "with all of its threads, and what they held")
        says(one.run("stop"), OK, f"process {first} of {one.path(PID_FILE)} is not a server")
        one.pid_write(first)
        says(one.run("start"), OK, "STARTED")
        true(one.pid() != first, "a new number")


@case("a number that now belongs to another process is not signalled")
def _():
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        with Service() as one:
            one.pid_write(bystander.pid)
            says(one.run("stop"), OK, f"process {bystander.pid} of", "is not a server")
            one.pid_write(bystander.pid)
            says(one.run("start"), OK, "STARTED")
            server = one.pid()
            one.pid_write(bystander.pid)
            says(one.run("stop"), FAILED, f"process {server} runs on")
            one.pid_write(server)
        equal(bystander.poll(), None, "the bystander lives")
    finally:
        bystander.kill()
        bystander.wait()


@case("a mistake in the configuration is told in the server's words")
def _():
    with Service("tickTme=2000") as one:
        says(one.run("start"), FAILED, "FAILED TO START", "tickTime",
             "moonkeeperd has ended with exit code 2")
        true(not os.path.exists(one.path(PID_FILE)), "no pid file is left")


@case("restart tells a mistake before it stops the server that works")
def _():
    with Service() as one:
        one.run("start")
        pid = one.pid()
        one.write("maxClientCnxns=many")
        says(one.run("restart"), USAGE, "maxClientCnxns", "left alone")
        equal(one.run("status")[0], OK)
        equal(one.pid(), pid)


@case("an occupied port is told, and whoever sits there is not taken for the server")
def _():
    with harness.Moonkeeper() as other, Service(port=other.port) as one:
        says(one.run("start"), FAILED, "FAILED TO START", "address already in use", "exit code 4")
        true(alive(other.process.pid), "the other server lives")


@case("a file that cannot be read is a mistake of the command line")
def _():
    one = Service()
    says(one.run("start", config="absent.cfg"), USAGE, "absent.cfg cannot be opened")
    says(one.run("status", config="absent.cfg"), USAGE, "absent.cfg cannot be opened")
    says(one.run("start", "--wait", "soon"), USAGE, "usage: moonkeeper start [--wait TIME] CONFIG")


@case("a data directory that cannot be made is named")
def _():
    with open("in-the-way", "w", encoding="ascii"):
        pass
    says(Service(data="in-the-way/data").run("start"), FAILED, "in-the-way/data")


@case("a lock that belongs to somebody else cannot be looked at, and nothing is started")
def _():
    if os.geteuid() != 0:
        raise harness.Skip("only root can become somebody else")
    one = Service()
    os.mkdir(one.data, 0o700)
    with open(one.path("lock"), "w", encoding="ascii"):
        pass
    os.chmod(one.config, 0o644)
    os.chmod(os.getcwd(), 0o755)
    binary = harness.needed("MOONKEEPER")
    done = subprocess.run([binary, "start", one.config], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, user=65534, group=65534,
                          extra_groups=[])
    says((done.returncode, done.stdout, done.stderr), FAILED, "FAILED TO START", "Permission denied")
    true(not os.path.exists(one.path(LOG_FILE)), "nothing was started")


@case("a server that is slow to answer is left to go on, with exit code 4")
def _():
    with Service() as one:
        says(one.run("start", "--wait", "0s"), LATE, "NOT ANSWERING YET", one.path(LOG_FILE))
        until(lambda: one.run("status")[0] == OK, "it answers later")


@case("a port that nobody could be told is refused")
def _():
    one = Service()
    with open(one.config, "a", encoding="ascii") as config:
        config.write("clientPort=0\n")
    says(one.run("start"), FAILED, "clientPort=0")


# --- Where the port is found.


def port_found(*lines, myid="1"):
    data = os.path.abspath(f"found-{next(numbers)}")
    os.makedirs(data)
    if myid:
        with open(os.path.join(data, "myid"), "w", encoding="ascii") as file:
            file.write(myid + "\n")
    config = data + ".cfg"
    with open(config, "w", encoding="ascii") as file:
        file.write("\n".join((f"dataDir={data}",) + lines) + "\n")
    done = subprocess.run([harness.needed("MOONKEEPER"), "status", config], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.splitlines()[0]


@case("status finds the port where zkServer.sh finds it")
def _():
    found = "Client port found: {}. Client address: {}. Client SSL: {}."
    equal(port_found("clientPort=1"), found.format(1, "localhost", "false"))
    equal(port_found("clientPort = 2", "clientPortAddress = ::1"), found.format(2, "::1", "false"))
    equal(port_found("server.1=a:2888:3888;3"), found.format(3, "localhost", "false"))
    equal(port_found("server.1=a:1:2;9", "server.2=b:1:2;127.0.0.1:4", myid="2"),
          found.format(4, "127.0.0.1", "false"))
    equal(port_found("server.1=a:2888:3888:observer;[::1]:5"), found.format(5, "::1", "false"))
    with open("dynamic.cfg", "w", encoding="ascii") as file:
        file.write("server.1=a:2888:3888:participant;6\n")
    equal(port_found("dynamicConfigFile=dynamic.cfg", "server.1=a:1:2"),
          found.format(6, "localhost", "false"))
    equal(port_found("secureClientPort=7", "secureClientPortAddress=127.0.0.1"),
          found.format(7, "127.0.0.1", "true"))
    equal(port_found("tickTime=2000", myid=None), found.format(2181, "localhost", "false"))


@case("status asks a ZooKeeper as well")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("no ZooKeeper")
    with harness.ZooKeeper() as other:
        one = Service(port=other.port)
        equal(one.run("status")[1].splitlines()[1:], ["Mode: standalone"])


@case("status believes no program that accepts and says nothing")
def _():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        one = Service(port=mute.getsockname()[1])
        says(one.run("status"), FAILED, "Error contacting service")


@case("moonkeeperd --check judges a configuration without touching anything")
def _():
    one = Service()
    check = [harness.needed("MOONKEEPERD"), "--check", "--config", one.config]
    equal(subprocess.run(check, check=False).returncode, 0)
    one.write("tickTime=never")
    done = subprocess.run(check, check=False, text=True, stderr=subprocess.PIPE)
    equal(done.returncode, 2)
    true("tickTime=never" in done.stderr, done.stderr)
    true(not os.path.exists(one.data), "nothing was made")


if __name__ == "__main__":
    harness.main()
