#!/usr/bin/python3
"""kazoo's own test suite, as Debian ships it in python3-kazoo, against Moonkeeper.

The suite starts, stops and restarts its servers itself. It is not changed: what it takes for Java
(kazoo_suite/java) starts a moonkeeperd with the zoo.cfg that the suite has written. Arguments are
words for pytest's -k: which tests to run. COMPAT_SERVER=zookeeper runs it with Debian's ZooKeeper,
COMPAT_SERVER=any with three servers of ours, of which the suite stops and restarts some.
"""

import glob
import importlib.util
import os
import subprocess
import sys

import harness

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kazoo_suite")
MODULES = ["kazoo.tests", "pytest", "xdist", "pytest_timeout", "mock", "objgraph", "gevent",
           "eventlet", "puresasl"]

# Most of a test's time is spent waiting: for timeouts, and for servers that were told to restart.
PROCESSES = 4
TEST_SECONDS_MAX = 60
SUITE_SECONDS_MAX = 280


def needed(module):
    if importlib.util.find_spec(module) is None:
        print(f"1..0 # SKIP there is no python3 module {module}")
        sys.exit(harness.SKIPPED)


def environment():
    """What the suite's harness reads, and a PATH on which Java is ours."""
    result = dict(os.environ, PYTHONPATH=FOLDER, PYTHONWARNINGS="ignore", TMPDIR=os.getcwd(),
                  ZOOKEEPER_VERSION="3.8.0",
                  ZOOKEEPER_CLUSTER_SIZE="3" if os.environ.get("COMPAT_SERVER") == "any" else "1",
                  ZOOKEEPER_CLASSPATH="/usr/share/java/zookeeper.jar",
                  KAZOO_SUITE_LOGS=os.getcwd())
    if os.environ.get("COMPAT_SERVER") != "zookeeper":
        result["MOONKEEPERD"] = harness.needed("MOONKEEPERD")
        result["PATH"] = FOLDER + ":" + os.environ["PATH"]
    return result


def command(words):
    result = [sys.executable, "-m", "pytest", "-q", "-p", "kazoo_suite_plugin",
              "-p", "no:cacheprovider", "-n", str(PROCESSES), "--timeout", str(TEST_SECONDS_MAX),
              "--durations=10", "--pyargs", "kazoo.tests"]
    return result + (["-k", " and ".join(words)] if words else [])


def main():
    for module in MODULES:
        needed(module)
    with subprocess.Popen(command(sys.argv[1:]), env=environment()) as suite:
        try:
            code = suite.wait(SUITE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            print(f"not ok - kazoo's suite ends within {SUITE_SECONDS_MAX} s")
            suite.kill()
            code = 1
    for path in glob.glob("server-*.log") if code != 0 else []:
        with open(path, encoding="utf-8", errors="replace") as log:
            print(f"--- {path}\n{log.read()[-2000:]}")
    sys.exit(code)


if __name__ == "__main__":
    main()
