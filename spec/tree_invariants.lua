--- What holds of recipes/tree.lua whatever happens.
local LIMIT = 3

local function new_path(run)
  run.state.number = (run.state.number or 0) + 1
  return "/t" .. run.state.number
end

-- A listing that began: { names, next }; all that was there before it and stays must be in it.
local function list_on(run, listing)
  local page = run:session():call("tree.children",
    { path = "/list", from = listing.next, limit = LIMIT })
  for _, child in ipairs(page.children) do
    if listing.last and child.name <= listing.last then error(child.name .. " is listed twice") end
    listing.last = child.name
    listing.names[child.name] = true
  end
  listing.next = page.next
  if page.next then return end
  for name in pairs(listing.there) do
    if not listing.names[name] and run.state.stays[name] then error(name .. " is not listed") end
  end
  run.state.listing = nil
end

return {
  sessions = 3,
  begin = function(run)
    run.state.stays, run.state.gone = {}, {}
    local session = run:session()
    session:create("/list")
    for i = 1, 9 do
      session:create("/list/stays" .. i)
      run.state.stays["stays" .. i] = true
    end
  end,
  actions = {
    {
      name = "grow a subtree", weight = 3,
      run = function(run)
        local session, path = run:session(), new_path(run)
        session:create(path)
        for i = 1, run:random(3) do
          session:create(path .. "/a" .. i)
          session:create(path .. "/a" .. i .. "/b")
        end
      end,
    },
    {
      name = "delete some of it", weight = 6,
      run = function(run)
        local paths = {}
        for _, path in ipairs(run.world:znodes()) do
          if path:match("^/t%d+$") then table.insert(paths, path) end
        end
        run:start(run:session(), "tree.delete", { path = run:one_of(paths), limit = LIMIT })
      end,
    },
    {
      name = "list a page", weight = 4,
      run = function(run)
        run.state.listing = run.state.listing or { names = {}, there = run.state.stays }
        list_on(run, run.state.listing)
      end,
    },
    {
      name = "make or delete what is listed", weight = 4,
      run = function(run)
        local session, path = run:session(), "/list/comes" .. run:random(9)
        if session:exists(path) then session:delete(path) else session:create(path) end
      end,
    },
  },
  check = function(run)
    for _, call in ipairs(run:returned("tree.delete")) do
      local result, path = call:result(), call.arguments.path
      if result.deleted > LIMIT then error("more than it was told") end
      if result.more and result.deleted < LIMIT then error("less than it was told") end
      if not result.more and run.world:znode(path) then error(path .. " is still there") end
    end
    for _, path in ipairs(run.world:znodes()) do
      local parent = path:match("^(.+)/")
      if parent and not run.world:znode(parent) then error(path .. " has no parent") end
    end
  end,
}
