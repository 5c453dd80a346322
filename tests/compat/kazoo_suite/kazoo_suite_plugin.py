"""A plugin of pytest: kazoo's suite in several processes, each with a server of its own; the tests
that are left out, by name; a line of TAP for each of the others.

left_out.txt is held to its word: a name in it that no test has is an error, and so is a test that
skips itself without being named there. Nothing drops out of the suite unseen.
"""

import os
import socket

import pytest

FOLDER = os.path.dirname(os.path.abspath(__file__))


def left_out():
    """Names, or prefixes that end in `*`, each with its reason."""
    with open(os.path.join(FOLDER, "left_out.txt"), encoding="ascii") as file:
        lines = [line for line in file if line.strip() and not line.startswith("#")]
    return dict(line.rstrip("\n").split(None, 1) for line in lines)


def matches(pattern, name):
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def name_of(nodeid):
    """kazoo.tests' part of pytest's name: test_lock.py::KazooLockTests::test_lock."""
    return nodeid.rsplit("/", 1)[-1]


def free_port():
    """Below those that the system hands out to connections: the suite frees it and takes it again."""
    for port in range(10000 + os.getpid() % 1000 * 20, 32768, 10):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise pytest.UsageError("no free port below 32768")


def pytest_configure(config):
    os.environ["ZOOKEEPER_PORT_OFFSET"] = str(free_port())
    config.suite_is_master = not hasattr(config, "workerinput")


def pytest_collection_modifyitems(config, items):
    patterns = left_out()
    if not config.option.keyword:
        names = [name_of(item.nodeid) for item in items]
        for pattern in patterns:
            if not any(matches(pattern, name) for name in names):
                raise pytest.UsageError(f"left_out.txt: no test is named {pattern}")
    items[:] = [item for item in items
                if not any(matches(pattern, name_of(item.nodeid)) for pattern in patterns)]


class Tap:
    """Printed as the reports of the processes arrive."""

    def __init__(self):
        self.failed = set()

    def pytest_runtest_logreport(self, report):
        name = name_of(report.nodeid)
        if report.failed or report.skipped:
            self.failed.add(name)
            why = "skips itself, and left_out.txt does not say why" if report.skipped else report.when
            print(f"\nnot ok - kazoo: {name} ({why})", flush=True)
        elif report.when == "teardown" and name not in self.failed:
            print(f"\nok - kazoo: {name}", flush=True)

    def pytest_sessionfinish(self, session):
        if self.failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_sessionstart(session):
    if session.config.suite_is_master:
        session.config.pluginmanager.register(Tap())
