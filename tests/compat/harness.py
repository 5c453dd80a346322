"""What the tests of this folder share: servers of their own, named cases, TAP output.

A test file defines cases and runs them:

    @case("a session is granted what it asks for")
    def _(): ...

    if __name__ == "__main__":
        harness.main()

Each server listens on a free port of 127.0.0.1, keeps its data below the working directory (which
is empty when a test begins) and is ended by its pid. COMPAT_SERVER=zookeeper runs the cases
against Debian's ZooKeeper instead, which shows whether a case asks for what ZooKeeper does; some
then fail by intention, where Moonkeeper follows a newer release. COMPAT_SERVER=leader, follower or
any runs them against three servers that are restarted meanwhile: three_servers.py.
"""

import glob
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
SKIPPED = 77

cases = []
numbers = itertools.count(1)
running = []


class Skip(Exception):
    """The case cannot be tried here."""


given = set()


def free_port():
    """For a server that cannot choose one itself, never the same twice. Below those that the system
    gives to outgoing connections, of which other tests make thousands meanwhile."""
    for port in random.sample(sorted(set(range(15000, 32000)) - given), 500):
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                given.add(port)
                return port
        except OSError:
            pass
    raise AssertionError("no port is free")


def needed(name, *alternatives):
    """The path in an environment variable, or the first alternative that exists."""
    for path in [os.environ.get(name)] + list(alternatives):
        if path and os.path.exists(path):
            return path
    print(f"1..0 # SKIP {name} is not there", flush=True)
    sys.exit(SKIPPED)


def serves(port):
    """A server may listen before it serves. Asked by a word: a session would use up zxids, and if
    its answer came too late it would be left behind, to expire in the middle of a test."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"srvr")
            answer = b""
            while part := connection.recv(4096):
                answer += part
            return b"Mode: " in answer
    except OSError:
        return False


class Moonkeeper:
    """A moonkeeperd. `probe`: whether to use up a session, and so zxids, to see that it serves."""

    def __init__(self, *options, port=None, data=None, address="127.0.0.1"):
        self.options = options
        self.data = data or os.path.abspath(f"data-{next(numbers)}")
        self.port = port
        self.listens = address
        self.log = self.data + ".log"
        self.process = None
        self.start()

    def command(self):
        command = [needed("MOONKEEPERD"), "--data", self.data, "--port", str(self.port or 0),
                   "--address", self.listens, "--option", "4lw.commands.whitelist=*"]
        for option in self.options:
            command += ["--option", option]
        return command

    def start(self):
        begin = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        running.append(self)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self.ready(begin):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError("the server did not start:\n" + self.log_text()[-2000:])
            time.sleep(0.02)
        return self

    def ready(self, begin):
        found = re.search(r" serving +address=\S*:(\d+)", self.log_text()[begin:])
        if found:
            self.port = int(found.group(1))
        return bool(found)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def signal_and_wait(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the server did not stop in time") from None
        if self in running:
            running.remove(self)
        return self.process.returncode

    def stop(self):
        return self.signal_and_wait(signal.SIGTERM)

    def kill(self):
        return self.signal_and_wait(signal.SIGKILL)

    def restart(self):
        """On the same port, with the same data."""
        self.stop()
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        code = self.stop()
        if code not in (0, -signal.SIGKILL):
            raise AssertionError(f"the server ended with {code}:\n" + self.log_text()[-4000:])


# Moonkeeper's options, as ZooKeeper's properties. What has no counterpart is left out.
ZOOKEEPER_ONLY = {"recipes": None, "extendedTypesEnabled": "zookeeper.extendedTypesEnabled",
                  "DigestAuthenticationProvider.superDigest":
                      "zookeeper.DigestAuthenticationProvider.superDigest",
                  "jute.maxbuffer": "jute.maxbuffer", "forceSync": "zookeeper.forceSync",
                  "enforceQuota": "zookeeper.enforceQuota",
                  "znode.container.checkIntervalMs": "znode.container.checkIntervalMs",
                  "znode.container.maxPerMinute": "znode.container.maxPerMinute",
                  "znode.container.maxNeverUsedIntervalMs":
                      "znode.container.maxNeverUsedIntervalMs",
                  "saslUsersFile": "java.security.auth.login.config"}
SASL_PROVIDER = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"


class ZooKeeper(Moonkeeper):
    """Debian's, with the same options as far as it has them."""

    def command(self):
        jar = needed("ZOOKEEPER_JAR", "/usr/share/java/zookeeper.jar")
        self.port = self.port or free_port()
        os.makedirs(self.data, exist_ok=True)
        lines = ["tickTime=3000", f"dataDir={self.data}", f"clientPort={self.port}",
                 "clientPortAddress=127.0.0.1", "admin.enableServer=false",
                 "4lw.commands.whitelist=*"]
        properties = []
        for option in self.options:
            key, value = option.split("=", 1)
            if key not in ZOOKEEPER_ONLY:
                lines.append(option)
            elif ZOOKEEPER_ONLY[key]:
                lines += [SASL_PROVIDER] if key == "saslUsersFile" else []
                properties.append(f"-D{ZOOKEEPER_ONLY[key]}={value}")
        config = self.data + ".cfg"
        with open(config, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        return ["java"] + properties + ["-Xmx512m", "-cp", jar,
                                        "org.apache.zookeeper.server.ZooKeeperServerMain", config]

    def ready(self, begin):
        return serves(self.port)

    def __exit__(self, *_):
        self.kill()


def server(*options, **named):
    kind = os.environ.get("COMPAT_SERVER")
    if kind == "zookeeper":
        return ZooKeeper(*options, **named)
    if kind in ("leader", "follower", "any"):
        import three_servers
        return three_servers.Three(*options, **named)
    return Moonkeeper(*options, **named)


def zookeeper_is_there():
    return os.path.exists("/usr/share/java/zookeeper.jar") and shutil.which("java") is not None


def zkcli():
    """The path of zkCli.sh, wherever the distribution has it."""
    found = shutil.which("zkCli.sh") or next(
        iter(glob.glob("/usr/share/zookeeper*/bin/zkCli.sh")), None)
    return needed("ZKCLI", found)


# --- Cases.


def case(name):
    def register(function):
        cases.append((name, function))
        return function
    return register


def equal(actual, expected, what=""):
    if actual != expected:
        raise AssertionError(f"{what + ': ' if what else ''}expected {expected!r}, got {actual!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what, seconds=20):
    """Poll: for what other processes and the clock do."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.02)


def in_threads(*functions, seconds=90):
    """Run them at once; raise what one of them raised."""
    failures = []

    def guarded(function):
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True)
               for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        true(not thread.is_alive() or failures, "a thread did not end")
    if failures:
        raise failures[0]


def run_case(name, function):
    """Whether it passed, or None when skipped."""
    import three_servers  # which needs this module
    try:
        if why := three_servers.left_out(name):
            raise Skip(why)
        function()
    except Skip as reason:
        print(f"ok - {name} # SKIP {reason}", flush=True)
        return None
    except BaseException as error:  # pylint: disable=broad-except
        print(f"not ok - {name}", flush=True)
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        print("    " + trace.replace("\n", "\n    "), flush=True)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return False
    print(f"ok - {name}", flush=True)
    return True


def end(one):
    """Stop a server that several cases have shared; whether it ended as it should."""
    if isinstance(one, ZooKeeper):
        one.kill()
        return True
    try:
        code = one.stop()
        true(code == 0, f"exit code {code}:\n{one.log_text()[-4000:]}")
    except AssertionError as error:
        print(f"not ok - a server of these cases stops in order\n    {error}", flush=True)
        return False
    return True


def main():
    """Run the cases whose names contain all the words of the command line; end the process."""
    if os.environ.get("COMPAT_SERVER") != "zookeeper":
        needed("MOONKEEPERD")
    chosen = [(name, function) for name, function in cases
              if all(word in name for word in sys.argv[1:])]
    passed = failed = 0
    try:
        for name, function in chosen:
            result = run_case(name, function)
            passed += result is True
            failed += result is False
    finally:
        failed += sum(not end(one) for one in list(running))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
