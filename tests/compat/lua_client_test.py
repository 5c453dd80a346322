#!/usr/bin/python3
"""moonkeeper.client, the Lua module, in LuaJIT with LuaSocket: znodes, watches, calls, exactly once."""

import functools
import os
import shutil
import subprocess
import threading

import harness
import tally
from harness import case, true
from relay import Relay

SECONDS_MAX = 120
LUA = harness.needed("LUAJIT", shutil.which("luajit"))
ENVIRONMENT = dict(os.environ, LUA_PATH=os.path.join(tally.SOURCE, "lua", "?.lua") + ";;")


def has(module):
    return subprocess.run([LUA, "-e", f"require '{module}'"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


@functools.lru_cache(maxsize=None)
def shared():
    return tally.server("tickTime=500")


def play(name, server):
    """Run a case, doing what it asks for."""
    relay = Relay(server.port)
    program = os.path.join(tally.SOURCE, "tests/compat/lua_client.lua")

    def kill():
        server.kill()
        server.start()

    commands = {"cut": relay.cut, "freeze": relay.freeze, "kill": kill, "flow": relay.flow,
                "lose_request": lambda: relay.lose("request"),
                "lose_reply": lambda: relay.lose("reply")}
    output = []
    with subprocess.Popen([LUA, program, name, relay.address, server.address], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=ENVIRONMENT) as process:
        timer = threading.Timer(SECONDS_MAX, process.kill)
        timer.start()
        for line in process.stdout:
            output.append(line)
            if line.startswith("please "):
                commands[line.split()[1]]()
                process.stdin.write("done\n")
                process.stdin.flush()
        timer.cancel()
    relay.close()
    true(process.returncode == 0, f"exit code {process.returncode}:\n{''.join(output)}")


SENTENCES = {
    "znodes": "znodes are made, read, written and deleted, with and without versions",
    "permissions": "identities are kept over connections, and decide what an ACL permits",
    "watches": "watches are called once, over a broken connection too, and may use the client",
    "chroot": "below a chroot all paths are short: of znodes, events, and calls",
    "json": "arguments and results are data as recipes have it, and nothing else is accepted",
    "calls": "calls return, fail by name, wait, and do not hold up other requests",
    "cancel": "of several calls that wait each can be cancelled; what has ended cannot",
    "exactly_once": "a thousand calls over a connection that loses requests and replies are run "
                    "once each",
    "many_at_once": "two hundred calls under way when the connection breaks are run once each",
    "killed_server": "a call that waits survives a broken connection, and a server that is killed",
    "expiry": "after the session has expired nothing is known of its calls, and all is refused",
    "attach": "a session can be left and attached to again, and its calls have new numbers",
    "pings": "poll() keeps a session alive",
    "idle": "who has not listened does not take the server for silent",
    "silence": "a server that falls silent is left",
    "nonsense": "servers that are not there are passed over, lists that make no sense refused",
    "cosockets": "sockets may be OpenResty's",
}
for case_name, sentence in SENTENCES.items():
    case(sentence)(lambda name=case_name: play(name, tally.server("tickTime=500")
                                               if name == "killed_server" else shared()))


if __name__ == "__main__":
    if not has("socket"):
        print("1..0 # SKIP there is no LuaSocket")
        harness.sys.exit(harness.SKIPPED)
    harness.main()
