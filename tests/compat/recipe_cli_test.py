#!/usr/bin/python3
"""moonkeeper recipe: deploying to a real server, and to one that is restarted or killed between."""

import json
import os
import re
import subprocess

import harness
from harness import case, equal, true, until

OK, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
ADMIN = "ann:NBxn6wU5X1dBYfxVeNvNbrkF8EE="  # of ann:ann
AUTH = ("--auth", "digest:ann:ann")


def server(*options):
    os.makedirs("catalogue", exist_ok=True)
    with open("catalogue/lock.lua", "w", encoding="utf-8") as file:
        file.write(gate("catalogue"))
    return harness.server("tickTime=200", "recipeDir=" + os.path.abspath("catalogue"),
                          "recipeAdmin=digest:" + ADMIN, *options)


def run(one, *words, auth=AUTH, options=()):
    """(exit code, standard output, standard error)"""
    command = [harness.needed("MOONKEEPER"), "-s", one.address if one else "127.0.0.1:1", *auth,
               *options, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def good(one, *words, **named):
    code, out, errors = run(one, *words, **named)
    equal((code, errors), (OK, ""), " ".join(words))
    return out


def begin(one, *words):
    return subprocess.Popen([harness.needed("MOONKEEPER"), "-s", one.address, *words],
                            stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def gate(value, extra=""):
    return f"""local gate = {{}}
gate.answer = operation {{ doc = "Answer.", run = function() return "{value}" end }}
gate.pass = operation {{
  doc  = "Wait until there is a znode at `path`.",
  args = {{ path = "path", tries = {{ type = "integer", default = 3, min = 1, max = 9 }} }},
  run  = function(call)
    if not znode.exists(call.args.path) then call:wait {{ created = call.args.path }} end
    return "{value}"
  end,
}}
{extra}
return gate
"""


def source(text, name="gate.lua"):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def listed(one, name):
    return json.loads(good(one, "recipe", "list", name, options=["--json"]))[0]


def operation(one, name):
    return [each for each in listed(one, "gate")["operations"] if each["name"] == name][0]


def waits(one, count):
    until(lambda: operation(one, "pass")["waiting"] == count, f"{count} calls wait")


@case("check looks at files without a server, and says file, line and reason")
def _():
    code, out, errors = run(None, "recipe", "check", source(gate("one")))
    equal((code, errors), (OK, ""))
    true(re.fullmatch(r"gate\.lua: [0-9a-f]{64}\n", out), out)

    bad = source("local x =\nreturn {", "bad.lua")
    code, out, errors = run(None, "recipe", "check", "gate.lua", bad)
    equal(code, FAILED)
    true("bad.lua:2: " in errors, errors)
    code, out, _ = run(None, "recipe", "check", "gate.lua", bad, options=["--json"])
    equal([each["ok"] for each in json.loads(out)], [True, False])
    equal(run(None, "recipe", "check", "nothing.lua")[0], USAGE)


@case("describe prints what operations do, their arguments, bounds and defaults")
def _():
    code, out, errors = run(None, "recipe", "describe", source(gate("one")), "pass")
    equal((code, errors), (OK, ""))
    true("gate.pass\n  Wait until" in out, out)
    true(re.search(r"tries +integer, at least 1, at most 9, default 3\n", out), out)
    equal(run(None, "recipe", "describe", "gate.lua", "fly")[0], FAILED)


@case("a recipe is deployed, called, listed, shown and described by who may, and by nobody else")
def _():
    with server() as one:
        equal(run(one, "recipe", "deploy", source(gate("one")), auth=())[0], FAILED)
        true("NoAuth" in run(one, "recipe", "deploy", "gate.lua", auth=())[2], "NoAuth")

        out = good(one, "recipe", "deploy", "--expect", "none", "--comment", "first", "gate.lua")
        version = re.fullmatch(r"gate: deployed ([0-9a-f]{64})\n", out)[1]
        equal(good(one, "call", "gate.answer", auth=()), '"one"\n')
        equal(good(one, "recipe", "show", "gate", auth=()), gate("one"))
        equal(listed(one, "gate")["version"], version)
        true("gate.answer" in good(one, "recipe", "list", auth=()), "the operation is listed")
        true("integer" in good(one, "recipe", "describe", "gate", auth=()), "it is described")
        equal(operation(one, "answer")["calls"], 1)
        true(f"recipe=gate version={version} was=- " in one.log_text(), "the audit line")
        true("who=ip:127.0.0.1,digest:ann zxid=0x" in one.log_text(), "who it was")


@case("a bad source of each kind is refused with file and line, and changes nothing")
def _():
    with server() as one:
        good(one, "recipe", "deploy", source(gate("one")))
        for text, reason in (("return {", "gate.lua:1: "), ("\nlocal t\nreturn t.x", "gate.lua:3: "),
                             ("return 1", "returns a table"), ("return {}", "operations"),
                             ("while true do end", "gate.lua"), ("\x1bLJ", "bytecode"),
                             (gate("two").replace('"Answer."', "7"), "'doc'"),
                             ("--" + "x" * 300000, "more than 262144 bytes")):
            code, out, errors = run(one, "recipe", "deploy", source(text))
            equal((code, out), (FAILED, ""), text[:40])
            true("BadArguments" in errors and reason in errors, errors)
        equal(good(one, "call", "gate.answer"), '"one"\n')
        equal(run(one, "recipe", "deploy", "--name", "recipe", source(gate("two")))[0], FAILED)


@case("a call finishes on the version that it began with, over a restart and a kill")
def _():
    with server() as one:
        good(one, "recipe", "deploy", source(gate("one")))
        old = begin(one, "--timeout", "60s", "call", "gate.pass", "path=/open")
        waits(one, 1)
        good(one, "recipe", "deploy", source(gate("two")))
        one.restart()
        good(one, "recipe", "deploy", source(gate("three")))
        one.kill()
        one.start()
        new = begin(one, "--timeout", "60s", "call", "gate.pass", "path=/open")
        waits(one, 2)
        equal(good(one, "call", "gate.answer"), '"three"\n')
        good(one, "create", "/open")
        equal(old.communicate(timeout=120)[0], '"one"\n')
        equal(new.communicate(timeout=120)[0], '"three"\n')


@case("rollback goes back, and history says who did what, also after a kill")
def _():
    with server() as one:
        first = good(one, "recipe", "deploy", source(gate("one"))).split()[2]
        good(one, "recipe", "deploy", "--comment", "waits less", source(gate("two")))
        true("Conflict" in run(one, "recipe", "rollback", "--expect", first, "gate")[2], "Conflict")
        one.kill()
        one.start()
        true(f"rolled back to {first}" in good(one, "recipe", "rollback", "gate"), "rolled back")
        equal(good(one, "call", "gate.answer"), '"one"\n')
        lines = good(one, "recipe", "history", "gate").splitlines()
        equal([line.split()[1] for line in lines], ["deploy", "deploy", "rollback"])
        true(lines[1].endswith(": waits less"), lines[1])
        true(all("by ip:127.0.0.1,digest:ann " in line for line in lines), lines)


@case("a version on which calls wait is not removed, unless they are to fail")
def _():
    with server() as one:
        first = good(one, "recipe", "deploy", source(gate("one"))).split()[2]
        old = begin(one, "--timeout", "60s", "call", "gate.pass", "path=/open")
        waits(one, 1)
        good(one, "recipe", "deploy", source(gate("two")))
        code, _, errors = run(one, "recipe", "remove", "gate", first[:8])
        equal(code, FAILED)
        true("Conflict: 1 calls wait" in errors, errors)
        good(one, "recipe", "remove", "--fail-waiting", "gate", first[:8])
        true("Cancelled" in old.communicate(timeout=120)[1], "it was cancelled")
        good(one, "recipe", "remove", "gate")
        true("Unimplemented" in run(one, "call", "gate.answer")[2], "it is gone")


@case("the catalogue's is replaced with override = true only; upgrade takes a newer one when asked")
def _():
    with server() as one:
        true("override = true" in run(one, "recipe", "deploy", source(gate("mine"), "lock.lua"))[2],
             "refused")
        with open("catalogue/lock.lua", "w", encoding="utf-8") as file:
            file.write(gate("newer"))
        one.restart()
        equal(good(one, "call", "lock.answer"), '"catalogue"\n')
        equal(listed(one, "lock")["catalogue"], "newer")
        true("upgraded to" in good(one, "recipe", "upgrade"), "upgraded")
        equal(good(one, "call", "lock.answer"), '"newer"\n')
        good(one, "recipe", "deploy", source(gate("mine", "gate.override = true"), "lock.lua"))
        equal(good(one, "recipe", "upgrade"), "")
        equal(good(one, "call", "lock.answer"), '"mine"\n')


@case("any client deploys by a call node, and reads there what is wrong")
def _():
    with server() as one:
        from kazoo.client import KazooClient
        client = KazooClient(one.address, auth_data=[("digest", "ann:ann")])
        client.start()
        for text, state in ((gate("kazoo"), "done"), ("return {", "failed")):
            node = client.create("/zookeeper/calls/recipe.deploy-",
                                 json.dumps({"name": "gate", "source": text}).encode(),
                                 ephemeral=True, sequence=True)
            answer = json.loads(client.get(node)[0])
            equal(answer["state"], state, str(answer))
        true("gate.lua:1: " in answer["message"], str(answer))
        client.stop()
        client.close()
        equal(good(one, "call", "gate.answer"), '"kazoo"\n')


@case("mntr and the log tell of calls, failures, those that wait, and slow runs")
def _():
    with server("slowRunMs=1") as one:
        slow = gate("x", """gate.spin = operation { doc = "", run = function()
  local n = 0
  while true do n = n + 1 end
end }""")
        good(one, "recipe", "deploy", source(slow))
        true("Budget" in run(one, "call", "gate.spin")[2], "out of budget")
        good(one, "call", "gate.answer")
        words = good(one, "word", "mntr")
        true("zk_gate.answer_recipe_calls\t1\n" in words, words[-2000:])
        true("zk_gate.spin_recipe_failures\t1\n" in words, "failures")
        true(re.search(r"zk_gate\.spin_recipe_instructions\t1\d{6}\n", words), "instructions")
        true("zk_cnt_gate.answer_recipe_latency\t1\n" in words, "latency")

        def told():
            run(one, "call", "gate.spin") # another slow run may have had this second's line
            return "operation=gate.spin run_ms=" in one.log_text()

        until(told, "the slow run is told")


if __name__ == "__main__":
    harness.main()
