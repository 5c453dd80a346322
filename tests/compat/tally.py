"""What tests of client libraries call: a recipe that counts how often it has run, and the lock."""

import os
import shutil

import harness

RECIPE = """
--- Counts calls, and lets them wait.
local tally = {}

tally.add = operation {
  doc  = "Add one to the number at `path`, which is returned.",
  args = { path = "path" },
  run  = function(call)
    local value = tonumber((znode.get(call.args.path))) + 1
    znode.set(call.args.path, tostring(value))
    return value
  end,
}

tally.await = operation {
  doc  = "Wait until there is a znode at `gate`, then add one to the number at `path`.",
  args = { path = "path", gate = "path", timeout = "duration?" },
  run  = function(call)
    if not znode.exists(call.args.gate) then call:wait { created = call.args.gate } end
    local value = tonumber((znode.get(call.args.path))) + 1
    znode.set(call.args.path, tostring(value))
    return value
  end,
}

tally.many = operation {
  doc  = "Make `count` znodes below `path`.",
  args = { path = "path", count = "integer" },
  run  = function(call)
    for i = 1, call.args.count do znode.create(call.args.path .. "/" .. i) end
    return true
  end,
}

tally.echo = operation {
  doc  = "Return `value`.",
  args = { value = "map?", text = "string?" },
  run  = function(call) return { value = call.args.value, text = call.args.text } end,
}

return tally
"""
SOURCE = harness.needed("SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))


def server(*options):
    """A server with these two recipes."""
    folder = os.path.abspath(f"recipes-{next(harness.numbers)}")
    os.mkdir(folder)
    with open(os.path.join(folder, "tally.lua"), "w", encoding="ascii") as file:
        file.write(RECIPE)
    shutil.copy(os.path.join(SOURCE, "recipes/lock.lua"), folder)
    return harness.server(f"recipeDir={folder}", *options)
