#!/usr/bin/python3
"""zkCli.sh as Debian packages it: znodes, ACLs, watches, and the server's lock
through call nodes."""

import functools
import json
import re
import subprocess

import harness
from harness import case, equal, true, until
from zkcli import ZkCli

if not harness.zookeeper_is_there():
    print("1..0 # SKIP there is no zkCli.sh, or no java")
    harness.sys.exit(harness.SKIPPED)


@functools.lru_cache(maxsize=None)
def shared():
    return harness.server()


@functools.lru_cache(maxsize=None)
def session(_name="first"):
    return ZkCli(shared().address)


def ask(command):
    return session().ask(command)


@case("zkCli.sh creates, gets, sets, lists and deletes")
def _():
    equal(ask("create /a one"), ["Created /a"])
    equal(ask("get /a"), ["one"])
    equal(ask("set /a two"), [])
    equal(ask("set -v 7 /a three"), ["version No is not valid : /a"])
    equal(ask("create /a x"), ["Node already exists: /a"])
    equal(ask("create -s /a/s- x"), ["Created /a/s-0000000000"])
    equal(ask("create -e /a/e x"), ["Created /a/e"])
    equal(ask("create -c /a/c"), ["Created /a/c"])
    equal(ask("ls /a"), ["[c, e, s-0000000000]"])
    equal(ask("ls -R /a"), ["/a", "/a/c", "/a/e", "/a/s-0000000000"])
    equal(ask("getAllChildrenNumber /a"), ["3"])
    equal(ask("getEphemerals /a"), ["[/a/e]"])
    equal(ask("delete /a"), ["Node not empty: /a"])
    equal(ask("get /nope"), ["Node does not exist: /nope"])
    equal(ask("deleteall /a"), [])
    equal(ask("ls /"), ["[zookeeper]"])


@case("zkCli.sh prints a Stat as it does for ZooKeeper")
def _():
    ask("create /stat 12345")
    lines = ask("stat /stat")
    names = [line.split(" = ")[0] for line in lines]
    equal(names, ["cZxid", "ctime", "mZxid", "mtime", "pZxid", "cversion", "dataVersion",
                  "aclVersion", "ephemeralOwner", "dataLength", "numChildren"])
    equal(lines[5:], ["cversion = 0", "dataVersion = 0", "aclVersion = 0", "ephemeralOwner = 0x0",
                      "dataLength = 5", "numChildren = 0"])


@case("zkCli.sh reads and sets ACLs, authenticates, and says who it is")
def _():
    ask("addauth digest bob:secret")
    equal(ask("create /acl x auth::cdrwa"), ["Created /acl"])
    equal(ask("getAcl /acl"), ["'digest,'bob:fyVmFCwVbTJYrznoSu1koqYEYF0=", ": cdrwa"])
    equal(ask("setAcl /acl world:anyone:r"), [])
    equal(ask("set /acl y"), ["Insufficient permission : /acl"])
    equal(sorted(ask("whoami")), ["Auth scheme: User", "digest: bob", "ip: 127.0.0.1"])


@case("zkCli.sh's watches fire")
def _():
    ask("create /watched x")
    equal(ask("get -w /watched"), ["x"])
    ask("set /watched y")
    until(lambda: ask("version") is not None and any("type:NodeDataChanged path:/watched" in event
                                                     for event in session().events), "the event")
    equal(ask("addWatch -m PERSISTENT_RECURSIVE /watched"), [])
    ask("create /watched/a")
    until(lambda: ask("version") is not None and any("type:NodeCreated path:/watched/a" in event
                                                     for event in session().events), "the event")


@case("zkCli.sh syncs, and hears that reconfiguration is switched off")
def _():
    equal(ask("sync /"), ["Sync is OK"])
    equal(ask("config"), [])
    equal(ask("reconfig -members server.1=a:1:2:participant;3"),
          ["KeeperErrorCode = Reconfig is disabled"])


@case("zkCli.sh takes the server's lock by creating a call's znode, and a second one waits")
def _():
    made = ask("""create -e -s /zookeeper/calls/lock.acquire- '{"path":"/locks/a"}'""")
    path = re.fullmatch(r"Created (/zookeeper/calls/lock\.acquire-[0-9a-f]{16})", made[0]).group(1)
    state = json.loads(ask(f"get {path}")[0])
    equal(state["state"], "done")
    equal(state["result"]["ticket"], "/locks/a/lock-0000000000")
    equal(ask("ls /locks/a"), ["[lock-0000000000]"])
    equal(ask("ls /zookeeper/calls"), [f"[{path.rsplit('/', 1)[1]}]"])

    waiter = ZkCli(shared().address)
    made = waiter.ask("""create -e -s /zookeeper/calls/lock.acquire- '{"path":"/locks/a"}'""")
    waiting = made[0].split(" ")[1]
    equal(waiter.ask(f"get -w {waiting}"), ['{"state":"waiting"}'])
    arguments = json.dumps({"path": "/locks/a", "ticket": state["result"]["ticket"]},
                           separators=(",", ":"))
    ask(f"create -e -s /zookeeper/calls/lock.release- '{arguments}'")
    until(lambda: json.loads(waiter.ask(f"get {waiting}")[0])["state"] == "done", "the lock")
    told = f"type:NodeDataChanged path:{waiting}"
    true(any(told in event for event in waiter.events), "the event")
    waiter.quit()


@case("zkCli.sh cancels a waiting call by deleting its znode")
def _():
    create = """create -e -s /zookeeper/calls/lock.acquire- '{"path":"/locks/b"}'"""
    ask(create)
    waiting = ask(create)[0].split()[1]
    equal(ask(f"get {waiting}"), ['{"state":"waiting"}'])
    equal(ask("ls /locks/b"), ["[lock-0000000000, lock-0000000001]"])
    equal(ask(f"delete -v 0 {waiting}"), [])
    equal(ask("ls /locks/b"), ["[lock-0000000000]"])


@case("zkCli.sh is told what is wrong with a call")
def _():
    equal(ask("create -e -s /zookeeper/calls/nosuch.thing- {}"),
          ["KeeperErrorCode = Unimplemented for /zookeeper/calls/nosuch.thing-"])
    equal(ask("create -e -s /zookeeper/calls/lock.acquire- {}"),
          ["Arguments are not valid : /zookeeper/calls/lock.acquire-"])


@case("zkCli.sh sets, lists and deletes quotas; a hard one is in force; containers and TTLs go")
def _():
    with harness.server("enforceQuota=true", "extendedTypesEnabled=true",
                        "znode.container.checkIntervalMs=500") as server:
        client = ZkCli(server.address)
        client.ask("create /q 12345")
        client.ask("create /q/a")
        where = "absolute path is /zookeeper/quota/q/zookeeper_limits"

        def quota(limits, usage):
            equal(client.ask("listquota /q"), [where, f"Output quota for /q {limits}",
                                               f"Output stat for /q {usage}"])

        equal(client.ask("setquota -N 3 /q"), [])
        quota("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3", "count=2,bytes=5")
        client.ask("create /q/b 123")
        equal(client.ask("create /q/c"), ["Quota has exceeded : /q/c"])
        quota("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3", "count=3,bytes=8")
        equal(client.ask("setquota -n 5 /q/a"), ["/q/a has a parent /q which has a quota"])
        equal(client.ask("setquota -B 100 /q"), [])
        quota("count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=3", "count=3,bytes=8")
        equal(client.ask("delquota -N /q"), [])
        quota("count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=-1", "count=3,bytes=8")
        equal(client.ask("delquota /q"), [])
        equal(client.ask("listquota /q"), [where, "quota for /q does not exist."])
        equal(client.ask("ls /zookeeper/quota"), ["[]"])
        client.ask("create /q/c")
        client.ask("create -c /q/container")
        client.ask("create /q/container/a")
        client.ask("create -t 500 /q/ttl")
        client.ask("delete /q/container/a")
        until(lambda: client.ask("ls /q") == ["[a, b, c]"], "container and TTL go")
        client.quit()


@case("zkCli.sh with one command runs it and ends, and closing the session frees what it held")
def _():
    done = subprocess.run([harness.zkcli(), "-server", shared().address, "get", "/stat"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False)
    equal(done.returncode, 0)
    true("12345" in done.stdout.split("\n"), done.stdout)
    session().quit()
    other = ZkCli(shared().address)
    listed = other.ask("ls /locks/b")
    true(listed in (["[]"], ["Node does not exist: /locks/b"]), f"empty, or reaped: {listed}")
    other.quit()


if __name__ == "__main__":
    harness.main()
