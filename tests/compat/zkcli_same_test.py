#!/usr/bin/env python3
"""The same sessions of zkCli.sh with Moonkeeper and with ZooKeeper, side by side: what is printed,
line by line, and the events. Every command of zkCli 3.8.0 is there, most of them with every option.

What differs by nature is made alike before it is compared: zxids become distances from that of the
first znode, times and session ids become words.
"""

import difflib
import functools
import re

import harness
from harness import case, equal, true, until
from zkcli import ZkCli

if not harness.zookeeper_is_there():
    print("1..0 # SKIP there is no zkCli.sh, or no java")
    harness.sys.exit(harness.SKIPPED)

# Without recipes there is nothing below /zookeeper that ZooKeeper does not have.
OPTIONS = ["recipes=off", "tickTime=2000", "extendedTypesEnabled=true", "enforceQuota=true",
           "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU="]


class Side:
    """A server, and a session of zkCli.sh with it, whose lines are made comparable."""

    def __init__(self, server):
        self.server = server
        self.cli = ZkCli(server.address)
        self.first_zxid = None
        self.cli.ask("create /first")
        self.first_zxid = int(re.search(r"cZxid = 0x([0-9a-f]+)",
                                        "\n".join(self.cli.ask("stat /first"))).group(1), 16)

    def alike(self, line):
        line = re.sub(r"Zxid = 0x([1-9a-f][0-9a-f]*)",
                      lambda m: f"Zxid = first + {int(m.group(1), 16) - self.first_zxid}", line)
        line = re.sub(r"([cm]time) = .*", r"\1 = a time", line)
        line = re.sub(r"ephemeralOwner = 0x[0-9a-f]{2,}", "ephemeralOwner = a session", line)
        return line

    def ask(self, command):
        lines = [self.alike(line)
                 for line in self.cli.ask(command.replace("SERVER", self.server.address))]
        # ZooKeeper has a session's identities, and its ephemerals, in no order.
        if command.startswith("getEphemerals"):
            lines = [str(sorted(line.strip("[]").split(", "))) for line in lines]
        return sorted(lines) if command == "whoami" else lines

    def events(self):
        return [re.sub(r" zxid:.*", "", event) for event in self.cli.events]


@functools.lru_cache(maxsize=None)
def sides():
    return Side(harness.Moonkeeper(*OPTIONS)), Side(harness.ZooKeeper(*OPTIONS))


def same(*commands):
    """Both print the same for each of the commands, in turn."""
    ours, theirs = sides()
    differences = []
    for command in commands:
        expected, actual = theirs.ask(command), ours.ask(command)
        if actual != expected:
            differences += [command] + list(difflib.unified_diff(
                expected, actual, "ZooKeeper", "Moonkeeper", lineterm=""))
    true(not differences, "the same:\n" + "\n".join(differences))


def same_events():
    """Events overtake answers on the screen, not each other."""
    ours, theirs = sides()
    until(lambda: same("sync /") is None and len(ours.events()) >= len(theirs.events()),
          "the events")
    equal(ours.events(), theirs.events())


@case("zkCli.sh prints the same when it creates")
def _():
    same("create /a", "create /a again", "create /a/b data", "create /nope/b", "create -e /a/e x",
         "create /a/e/child", "create -s /a/s- 1", "create -s /a/s- 2", "create -e -s /a/s- 3",
         "create -c /a/c", "create -c -e /a/ce", "create -t 100000 /a/t x", "create -t 0 /a/t0",
         "create -t 100000 -s /a/t- x", "create -t 1 -e /a/te", "create /a/acl x world:anyone:r",
         "create /a/bad x world:anyone", "create relative", "create /a/", "create", "create //a",
         "create '/a/with space' 'data with spaces'", "ls /a")


@case("zkCli.sh prints the same when it reads")
def _():
    same("get /a/b", "get -s /a/b", "get -s /a/e", "get -s /a/c", "get -s /a/t", "get /a",
         "get /nope", "get", "stat /a", "stat /a/e", "stat /nope", "ls /", "ls /a", "ls -s /a",
         "ls -R /a", "ls -R /", "ls -s /a/b", "ls /nope", "getAllChildrenNumber /a",
         "getAllChildrenNumber /",
         "getAllChildrenNumber /nope", "getEphemerals", "getEphemerals /a", "getEphemerals /nope",
         "stat /", "stat /zookeeper", "ls -R /zookeeper", "get -s /zookeeper/quota", "sync /",
         "sync /a", "sync /nope")


@case("zkCli.sh prints the same when it writes")
def _():
    same("set /a new", "set -s /a newer", "set -v 1 /a no", "set -v 2 /a yes", "get -s /a",
         "set /nope x", "set -s -v 3 /a 'two words'", "stat /a", "set /a", "delete -v 7 /a/b",
         "delete /a", "delete /nope", "delete -v 0 /a/b", "delete /a/s-0000000002", "delete /",
         "ls /a", "deleteall /a/c", "create /d", "create /d/e", "create /d/e/f", "create /d/g",
         "deleteall /d -b 2", "ls /d", "deleteall /nope", "stat /a")


@case("zkCli.sh prints the same for ACLs and identities")
def _():
    same("whoami", "getAcl /a", "getAcl -s /a", "getAcl /nope", "addauth digest ann:secret",
         "whoami", "create /x x auth::cdrwa", "getAcl /x", "getAcl -s /x",
         "setAcl /x world:anyone:r", "set /x y", "create /x/y", "setAcl /x world:anyone:cdrwa",
         "addauth digest super:test",
         "setAcl /x world:anyone:cdrwa", "setAcl -s /x digest:ann:x:r,world:anyone:cdrwa",
         "setAcl -v 7 /x world:anyone:r", "create /x/y", "create /x/y/z",
         "setAcl -R /x world:anyone:crwda", "getAcl /x/y/z", "setAcl /x ip:127.0.0.1:rw",
         "getAcl /x", "setAcl /x ip:300.0.0.1:r", "setAcl /x nope:a:r",
         "setAcl /nope world:anyone:r", "addauth", "whoami")


@case("zkCli.sh prints the same, and is told the same events in the same order, for watches")
def _():
    same("create /w x", "get -w /w", "set /w y", "set /w z", "stat -w /w", "delete /w",
         "ls -w /first", "create /first/a", "create /first/b", "create /w x",
         "addWatch -m PERSISTENT /w", "set /w 1", "set /w 2", "create /w/a", "create /w/a/b",
         "addWatch /first", "create /first/a/b", "set /first/a/b x", "delete /first/a/b",
         "addWatch -m PERSISTENT_RECURSIVE /first/b", "create /first/b/c", "addWatch -m NOPE /w",
         "addWatch /later", "create /later", "delete /later", "create /later")
    same_events()


@case("zkCli.sh prints the same, and is told the same, when it removes watches")
def _():
    same("get -w /first/b", "removewatches /first/b -d", "removewatches /first/b -d",
         "ls -w /first/a", "removewatches /first/a -c", "removewatches /first/a -c",
         "get -w /w", "removewatches /w -a", "removewatches /nope", "removewatches /nope -l",
         "set /w 3")
    same_events()


@case("zkCli.sh prints the same for quotas")
def _():
    same("create /q", "listquota /q", "setquota -n 3 /q", "listquota /q", "setquota -n 4 /q/child",
         "create /q/a 12", "listquota /q", "setquota -b 100 /q", "listquota /q", "delquota -n /q",
         "listquota /q", "setquota -N 3 /q", "create /q/b", "create /q/c", "ls /q",
         "setquota -B 10 /q", "set /q/a 123456789012", "set /q/a 123", "listquota /q",
         "setquota -n 5 /", "setquota -n 5 /nope", "delquota -N /q", "delquota -B /q",
         "listquota /q", "delquota /q", "listquota /q", "delquota /q",
         "create /q/c", "ls -R /zookeeper/quota")


@case("zkCli.sh prints the same for the configuration, which is not an ensemble's")
def _():
    same("config", "config -s", "config -c", "config -w", "reconfig",
         "reconfig -add server.2=a:1:2;3",
         "reconfig -remove 2", "get /zookeeper/config", "getAcl /zookeeper/config")


@case("zkCli.sh prints the same for what it does by itself")
def _():
    same("printwatches", "printwatches off", "printwatches", "printwatches on", "history", "redo 1",
         "version", "nosuchcommand", "ls", "delete", "get -q /a")


@case("zkCli.sh closes and connects again, and its ephemerals have gone")
def _():
    same("create -e /mine", "getEphemerals /mine", "close\nconnect SERVER", "stat /mine",
         "getEphemerals", "whoami", "ls /", "ls -R /a", "get -s /a")


if __name__ == "__main__":
    harness.main()
