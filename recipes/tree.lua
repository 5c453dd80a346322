--- What ZooKeeper lacks: children in pages, deletion of a subtree, compare-and-set on data.
-- tree.children
-- Arguments  path     whose children
--            from     list those behind this name; default: from the first one
--            limit    at most so many, 1 to 200; fewer if their names are long; default: 100
--            backwards  from the last name to the first; default: false
-- Result     children a list of { name, version, children, data_length, ctime, mtime, czxid, mzxid,
--                     pzxid, owner }, in the order of their names; owner: of an ephemeral one;
--                     only { name } of a child that the caller may not read
--            next     `from` of the next page; absent behind the last
-- Errors     NoNode   there is no such path
--            NoAuth   the caller may not read it
--
-- tree.delete
-- Arguments  path     deleted with all that is below it, what is deepest first
--            limit    at most so many znodes, 1 to 1000, fewer if their paths are long;
--                     default: 500
-- Result     deleted  how many znodes are gone
--            more     true: not all; ask again, until it is false
-- Errors     NoNode   there is no such path
--            NoAuth   the caller may not delete one of them: of this request's, none is
--
-- tree.compare_and_set
-- Arguments  path, data  what is to be written, and where
--            expect   the bytes that must be there
-- Result     version  the znode's new version
-- Errors     Conflict other bytes are there; NoNode; NoAuth
--
-- tree.get
-- Arguments  path
-- Result     data, version, mzxid, as of this request's own place in the order of all changes: it
--            sees whatever was acknowledged to anybody before it was asked, like a sync and a get
-- Errors     NoNode, NoAuth
--
-- Pages      what is neither made nor deleted between two pages is listed exactly once
-- Deletion   one request is one transaction; between two of them others see part of the subtree
-- Survives   the leader's death: each request has happened as a whole or not at all
local tree = {}
local PAGE_BYTES = 56 * 1024 -- below the engine's bound on a result
local STAT_BYTES = 256       -- at most, of an entry but for its name
local PATHS_BYTES = 200 * 1024 -- of what one transaction deletes, which has an end

local function below(path, name) return (path == "/" and "" or path) .. "/" .. name end

local function entry(path, name)
  local readable, stat = pcall(znode.stat, below(path, name))
  if not readable then return { name = name } end
  return stat and {
    name = name, version = stat.version, children = stat.children_count,
    data_length = stat.data_length, ctime = stat.ctime, mtime = stat.mtime, czxid = stat.czxid,
    mzxid = stat.mzxid, pzxid = stat.pzxid, owner = stat.owner,
  }
end

tree.children = operation {
  doc  = "A page of the children of `path`, each with its stat.",
  args = { path = "path", from = "string?", backwards = { type = "boolean", default = false },
           limit = { type = "integer", default = 100, min = 1, max = 200 } },
  reads_only = true,
  run  = function(call)
    local path, limit = call.args.path, call.args.limit
    if not znode.exists(path) then fail("NoNode", path) end
    local names = znode.children(path,
      { from = call.args.from, limit = limit + 1, backwards = call.args.backwards })
    local page, bytes, last = json.list(), 0, math.min(limit, #names)
    for i = 1, last do
      bytes = bytes + STAT_BYTES + 2 * #names[i] -- each byte may be one that JSON escapes
      if bytes > PAGE_BYTES and i > 1 then
        last = i - 1
        break
      end
      -- nil: the server keeps some of its own below /zookeeper, which no recipe may look at.
      page[#page + 1] = entry(path, names[i])
    end
    return { children = page, next = names[last + 1] and names[last] }
  end,
}

-- Depth first, without recursion: down to a leaf, which goes, and up again.
tree.delete = operation {
  doc  = "Delete `path` and what is below it, in steps.",
  args = { path = "path", limit = { type = "integer", default = 500, min = 1, max = 1000 } },
  run  = function(call)
    local top, deleted, bytes = call.args.path, 0, 0
    if not znode.exists(top) then fail("NoNode", top) end
    local at = top
    while deleted < call.args.limit and bytes < PATHS_BYTES do
      local child = znode.first_child(at)
      if child then
        at = child
      else
        znode.delete(at)
        deleted, bytes = deleted + 1, bytes + #at
        if at == top then return { deleted = deleted, more = false } end
        at = at:match("^(.*)/[^/]+$")
      end
    end
    return { deleted = deleted, more = true }
  end,
}

tree.compare_and_set = operation {
  doc  = "Set the data of `path` if it is `expect`.",
  args = { path = "path", expect = "bytes", data = "bytes" },
  run  = function(call)
    local data = znode.get(call.args.path)
    if not data then fail("NoNode", call.args.path) end
    if data ~= call.args.expect then fail("Conflict", "it holds something else") end
    return { version = znode.set(call.args.path, call.args.data) }
  end,
}

-- Not `reads_only`: as a transaction it has its place in the order, whichever server was asked.
tree.get = operation {
  doc  = "The data of `path` as of now, not as of a server that lags behind.",
  args = { path = "path" },
  run  = function(call)
    local data, stat = znode.get(call.args.path)
    if not data then fail("NoNode", call.args.path) end
    return { data = data, version = stat.version, mzxid = stat.mzxid }
  end,
}

return tree
