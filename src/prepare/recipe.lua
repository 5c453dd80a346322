--- The recipe `recipe`: it deploys the others. Part of the server, and the only one that may write
-- below /zookeeper/recipes:
--
--   /zookeeper/recipes                  ACL: whoever may WRITE it may deploy
--   /zookeeper/recipes/NAME             data: the active version; "": the recipe is being removed
--   /zookeeper/recipes/NAME/VERSION     data: the source, never changed; VERSION is its SHA-256
--   /zookeeper/recipes/NAME/.history    data: who did what, as JSON; the last 100 changes
--   /zookeeper/recipes/.ending/NAME.VERSION   its calls are being ended; then it goes
--
-- recipe.deploy     compile and check `source`, make it the active version of `name`
-- recipe.rollback   make a version active that is still kept; default: what the last change replaced
-- recipe.remove     remove one version, or the recipe with all of them
-- recipe.upgrade    take the version that the server's own catalogue has now
-- recipe.list       what is active, and how much it is used
--
-- Errors     BadArguments  the source is no recipe: file, line, reason
--            NoAuth        the caller may not write /zookeeper/recipes, or calls below a chroot
--            NoNode        no such recipe, or no such version of it
--            Conflict      another version is active than `expect` says; the catalogue has one of that
--                          name, and the source does not say `override = true`; calls wait on what is
--                          to be removed; it is the active version, or is being removed
--            Limit         too many recipes, or too many versions with waiting calls
-- Atomic     each is one transaction, and changes everything or nothing; a removal that ends calls is
--            over when the last of them has ended
-- Survives   the leader's death, at every step
local recipe = {}

local ROOT = "/zookeeper/recipes"
local ENDING = ROOT .. "/.ending"
local RECIPES_MAX = 256 -- each takes memory once it is called
local VERSIONS_MAX = 16 -- as many as one call:wait can wait for
local HISTORY_MAX = 100 -- 40 KB, written with every change
local LIST_MAX = 50     -- a reply of some 100 KB
local PREFIX_MIN = 8    -- hexadecimal digits that stand for a version

local NAME = { type = "string", min = 1, max = 64 }
local VERSION = { type = "string", optional = true, min = 4, max = 64 } -- or how it begins
local COMMENT = { type = "string", optional = true, max = 200 }

local function path_of(name, version)
  return version and ROOT .. "/" .. name .. "/" .. version or ROOT .. "/" .. name
end

local function marker_of(name, version)
  return ENDING .. "/" .. name .. "." .. version
end

-- Names that begin with a dot are the server's.
local function visible(names)
  local out = json.list()
  for _, name in ipairs(names) do
    if name:sub(1, 1) ~= "." then table.insert(out, name) end
  end
  return out
end

local function versions_of(name)
  return visible(znode.children(path_of(name), { by = "creation" }))
end

-- ---- History ----

-- catalogue: the version that came from the server's own catalogue last; absent: none did.
local function history_read(name)
  local text = znode.get(path_of(name, ".history"))
  return text and json.decode(text) or { entries = json.list() }
end

local function history_add(call, name, history, entry)
  entry.zxid, entry.time_ms, entry.who = call.zxid, call.now, deployment.who()
  table.insert(history.entries, entry)
  while #history.entries > HISTORY_MAX do table.remove(history.entries, 1) end
  local path = path_of(name, ".history")
  if not znode.exists(path) then znode.create(path) end
  znode.set(path, json.encode(history))
end

-- The version that the last change of the active one replaced; nil: there was none.
local function replaced_last(history)
  for i = #history.entries, 1, -1 do
    if history.entries[i].action ~= "remove" then return history.entries[i].was end
  end
end

local function audit(call, name, entry)
  deployment.audit(("recipe %s  recipe=%s version=%s was=%s session=0x%s who=%s"):format(
    entry.action, name, entry.version or "-", entry.was or "-", call.session, deployment.who()))
end

-- ---- Versions ----

-- The active version. Fails if there is no such recipe, or if it is going.
local function active_of(name)
  local active = znode.get(path_of(name))
  if not active or name:sub(1, 1) == "." then fail("NoNode", "there is no recipe " .. name) end
  if active == "" then fail("Conflict", "recipe " .. name .. " is being removed") end
  return active
end

-- The version of `name` that `prefix` stands for.
local function version_of(name, prefix)
  local found
  for _, version in ipairs(versions_of(name)) do
    if #prefix >= PREFIX_MIN and version:sub(1, #prefix) == prefix then
      if found then fail("BadArguments", "several versions begin with " .. prefix) end
      found = version
    end
  end
  if not found then fail("NoNode", "recipe " .. name .. " has no version " .. prefix) end
  return found
end

-- Make room for one more: the oldest go that are not active and that no call waits on.
local function versions_prune(name, active)
  local versions = versions_of(name)
  local surplus = #versions - VERSIONS_MAX + 1
  for _, version in ipairs(versions) do
    if surplus > 0 and version ~= active and not znode.exists(marker_of(name, version))
      and deployment.waiting(name, version) == 0 then
      znode.delete(path_of(name, version))
      surplus = surplus - 1
    end
  end
  if surplus > 0 then
    fail("Limit", ("recipe %s has %d versions on which calls wait"):format(name, VERSIONS_MAX))
  end
end

-- Keep `source` as `version`, unless it is there.
local function version_keep(name, version, source, active)
  if znode.exists(marker_of(name, version)) then
    fail("Conflict", "the calls of this very version are being ended: it is being removed")
  end
  if znode.exists(path_of(name, version)) then return end
  if active then
    versions_prune(name, active)
  else
    if #visible(znode.children(ROOT)) >= RECIPES_MAX then
      fail("Limit", ("there are %d recipes already"):format(RECIPES_MAX))
    end
    znode.create(path_of(name), { data = version })
  end
  znode.create(path_of(name, version), { data = source })
end

-- Make `version` the active one, and say so.
local function activate(call, name, history, entry)
  znode.set(path_of(name), entry.version)
  history_add(call, name, history, entry)
  audit(call, name, entry)
  return { name = name, version = entry.version, was = entry.was, changed = true, zxid = call.zxid }
end

local function unchanged(name, version)
  return { name = name, version = version, was = version, changed = false }
end

local function expect_check(expect, active)
  if not expect then return end
  local holds = active and #expect >= PREFIX_MIN and active:sub(1, #expect) == expect
  if not active then holds = expect == "none" end
  if not holds then
    fail("Conflict", ("expected %s, and %s is active"):format(expect, active or "none"))
  end
end

-- ---- Operations ----

recipe.deploy = operation {
  doc  = "Make `source` the active version of recipe `name`; `expect` is the version that it "
    .. "replaces, or \"none\".",
  args = { name = NAME, source = "string", expect = VERSION, comment = COMMENT },
  run  = function(call)
    local args = call.args
    deployment.may()
    if args.name == "recipe" then fail("Conflict", "the recipe `recipe` is the server's own") end
    local version, overrides = deployment.check(args.name, args.source)
    local active = znode.exists(path_of(args.name)) and active_of(args.name) or nil
    expect_check(args.expect, active)
    if active == version then return unchanged(args.name, version) end

    local history = history_read(args.name)
    if history.catalogue and history.catalogue ~= version and not overrides then
      fail("Conflict", "the catalogue has a recipe " .. args.name
        .. ": to replace it, the source must say `override = true` in the table that it returns")
    end
    version_keep(args.name, version, args.source, active)
    return activate(call, args.name, history, { action = "deploy", version = version, was = active,
      comment = args.comment })
  end,
}

recipe.rollback = operation {
  doc  = "Make `version` of recipe `name` the active one again; default: the one that the last "
    .. "change replaced.",
  args = { name = NAME, version = VERSION, expect = VERSION, comment = COMMENT },
  run  = function(call)
    local args = call.args
    deployment.may()
    local active = active_of(args.name)
    expect_check(args.expect, active)
    local history = history_read(args.name)
    local wanted = args.version or replaced_last(history)
    if not wanted then fail("NoNode", "recipe " .. args.name .. " has had no other version") end
    local version = version_of(args.name, wanted)
    if version == active then return unchanged(args.name, version) end
    if znode.exists(marker_of(args.name, version)) then
      fail("Conflict", "version " .. version .. " is being removed")
    end

    deployment.check(args.name, (znode.get(path_of(args.name, version))))
    return activate(call, args.name, history, { action = "rollback", version = version,
      was = active, comment = args.comment })
  end,
}

recipe.upgrade = operation {
  doc  = "Take the version of recipe `name` that the server's own catalogue has, unless one was "
    .. "deployed in its place.",
  args = { name = NAME, comment = COMMENT },
  run  = function(call)
    local name = call.args.name
    deployment.may()
    local source = deployment.catalogue(name)
    if not source then fail("NoNode", "this server's catalogue has no recipe " .. name) end
    local version = deployment.check(name, source)
    local active = znode.exists(path_of(name)) and active_of(name) or nil
    local history = history_read(name)
    if active and active ~= history.catalogue or active == version then
      return unchanged(name, active)
    end

    version_keep(name, version, source, active)
    history.catalogue = version
    return activate(call, name, history,
      { action = "upgrade", version = version, was = active, comment = call.args.comment })
  end,
}

-- ---- Removal ----

-- Remove `version` if no call waits on it; else mark it, and the server ends its calls. The marker.
local function version_remove(name, version, fail_waiting)
  local waiting = deployment.waiting(name, version)
  if waiting == 0 then
    znode.delete(path_of(name, version))
    return nil
  end
  if not fail_waiting then
    fail("Conflict", ("%d calls wait on version %s of recipe %s: remove it when they have ended, or "
      .. "with fail_waiting, which ends them"):format(waiting, version, name))
  end
  local marker = marker_of(name, version)
  if not znode.exists(ENDING) then znode.create(ENDING) end
  if not znode.exists(marker) then znode.create(marker) end
  return marker
end

-- When the last version has gone, the recipe has.
local function recipe_vanish(name)
  znode.delete(path_of(name, ".history"))
  znode.delete(path_of(name))
end

-- The markers of what could not go at once.
local function removal_begin(call)
  local name, version, markers = call.args.name, call.args.version, json.list()
  local active = active_of(name)
  expect_check(call.args.expect, active)
  local versions = versions_of(name)
  if version then
    version = version_of(name, version)
    versions = { version }
    if version == active then
      fail("Conflict", "version " .. version .. " is the active one: roll back first, or remove the "
        .. "whole recipe")
    end
  end

  for _, each in ipairs(versions) do
    local marker = version_remove(name, each, call.args.fail_waiting)
    if marker then table.insert(markers, marker) end
  end
  local entry = { action = "remove", version = version, was = active }
  if version then
    history_add(call, name, history_read(name), entry)
  elseif #markers == 0 then
    recipe_vanish(name)
  else
    znode.set(path_of(name), "")
  end
  audit(call, name, entry)
  return markers
end

recipe.remove = operation {
  doc  = "Remove `version` of recipe `name`, or the recipe with all its versions. `fail_waiting`: end "
    .. "the calls that wait on it; their `cancel` runs.",
  args = { name = NAME, version = VERSION, expect = VERSION, fail_waiting = "boolean?" },
  run  = function(call)
    deployment.may()
    local markers = call:once("begin", function() return removal_begin(call) end)
    local left = {}
    for _, marker in ipairs(markers) do
      if znode.exists(marker) then table.insert(left, marker) end
    end
    if #left > 0 then call:wait { deleted = left } end
    return { name = call.args.name, version = call.args.version, changed = true }
  end,
}

-- The server calls it when no call waits any more on what `marker`, a name below ENDING, stands for.
recipe.ended = operation {
  doc  = "Part of recipe.remove: a version on which no call waits any more goes.",
  args = { marker = "string" },
  run  = function(call)
    deployment.may()
    local name, version = call.args.marker:match("^([^.]+)%.(%x+)$")
    if not version or not znode.exists(marker_of(name, version)) then fail("NoNode") end
    if deployment.waiting(name, version) > 0 then fail("Conflict", "calls wait on it") end

    znode.delete(path_of(name, version))
    znode.delete(marker_of(name, version))
    if znode.get(path_of(name)) == "" and #versions_of(name) == 0 then recipe_vanish(name) end
    return true
  end,
}

-- ---- What there is ----

-- Where `name` stands in relation to the server's own catalogue: nil, it is not in it; "same"; "newer",
-- upgrade would take it; "overridden", another version was deployed in its place.
local function catalogue_state(name, active)
  local source = deployment.catalogue(name)
  if not source then return nil end
  if not active then return "newer" end
  if active == deployment.hash(source) then return "same" end
  return history_read(name).catalogue == active and "newer" or "overridden"
end

local function describe(name)
  local active = znode.get(path_of(name))
  if active == "" then return { name = name, state = "removing" } end
  local out = { name = name, version = active, state = active and "active" or "absent",
    catalogue = catalogue_state(name, active) }
  if active then
    out.versions = #versions_of(name)
    out.operations = deployment.figures(name, active)
  end
  return out
end

-- The next name after `name`, of the tree or of the catalogue.
local function name_after(name)
  local here = znode.children(ROOT, { from = name ~= "" and name or ".~", limit = 1 })[1]
  local there = deployment.catalogue_next(name)
  if not here or there and there < here then return there end
  return here
end

recipe.list = operation {
  doc  = "Recipes, in the order of their names, from behind `from`; `next` is where to go on.",
  args = { from = "string?", name = "string?" },
  reads_only = true,
  run  = function(call)
    local out = { recipes = json.list() }
    if call.args.name then
      local one = describe(call.args.name)
      if one.state == "absent" then fail("NoNode", "there is no recipe " .. call.args.name) end
      table.insert(out.recipes, one)
      return out
    end
    local name = name_after(call.args.from or "")
    while name do
      table.insert(out.recipes, describe(name))
      if #out.recipes == LIST_MAX and name_after(name) then
        out.next = name
        break
      end
      name = name_after(name)
    end
    return out
  end,
}

return recipe
