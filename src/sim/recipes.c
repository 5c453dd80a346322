/* The recipes that clients of the simulator call, beside recipes/lock.lua: as small as can be, and such
 * that the model can say what each call must answer. */
#include <string.h>

#include "sim/check.h"

/* Calls that wait for a time and nothing else. */
static const char nap[] =
    "return { take = operation { doc = 'Wait for a while.',\n"
    "  args = { time = 'duration', timeout = 'duration?' },\n"
    "  run = function(call)\n"
    "    local at = call:once('at', function() return call.now + call.args.time end)\n"
    "    if call.now < at then call:wait { at = at } end\n"
    "    return true\n"
    "  end } }\n";

/* A number at /tally, and each answer with the zxid that it is true at. `keep` outlives its session; a
 * znode that it has made is there for as long as it waits. */
static const char tally[] =
    "local tally = {}\n"
    "local function now() return tonumber(znode.get('/tally') or '') or 0 end\n"
    "local function add(call, by)\n"
    "  local value = now() + by\n"
    "  if znode.exists('/tally') then\n"
    "    znode.set('/tally', tostring(value))\n"
    "  else\n"
    "    znode.create('/tally', { data = tostring(value) })\n"
    "  end\n"
    "  return { value = value, zxid = call.zxid }\n"
    "end\n"
    "tally.add = operation { doc = 'Add `by`.', args = { by = 'integer' },\n"
    "  run = function(call) return add(call, call.args.by) end }\n"
    "tally.get = operation { doc = 'What it is.', reads_only = true,\n"
    "  run = function(call) return { value = now(), zxid = call.zxid } end }\n"
    "tally.keep = operation { doc = 'Add 1 after a while.', args = { time = 'duration' },\n"
    "  deadline = '1h', outlives_session = true,\n"
    "  run = function(call)\n"
    "    local at = call:once('at', function() return call.now + call.args.time end)\n"
    "    local made = call:once('made', function()\n"
    "      return znode.create('/kept-', { sequential = true })\n"
    "    end)\n"
    "    if call.now < at then call:wait { at = at } end\n"
    "    pcall(znode.delete, made) -- or somebody has made a child\n"
    "    return add(call, 1)\n"
    "  end,\n"
    "  cancel = function(call) pcall(znode.delete, call:recall('made')) end }\n"
    "return tally\n";

/* One line without quotation marks: it is sent as a string of JSON. */
static const char gate[] =
    "local version = %d local gate = {} gate.pass = operation { doc = 'Wait for a znode.', "
    "args = { path = 'path', timeout = 'duration?' }, run = function(call) "
    "local waited = call:recall('waited') "
    "if not znode.exists(call.args.path) then "
    "call:once('waited', function() return true end) "
    "call:wait { created = call.args.path } end "
    "return { gate = version } end } return gate";

struct mk_bytes sim_recipe_nap(void)
{
    return mk_bytes_text(nap);
}

struct mk_bytes sim_recipe_tally(void)
{
    return mk_bytes_text(tally);
}

void sim_gate_source(struct mk_buf *out, int version)
{
    mk_buf_printf(out, gate, version);
}

int sim_gate_version(struct mk_bytes source)
{
    struct mk_bytes begin = MK_BYTES("local version = ");
    const uint8_t *at =
        source.len == 0 ? NULL : memmem(source.data, source.len, begin.data, begin.len);

    return at == NULL || at + begin.len == source.data + source.len ? -1 : at[begin.len] - '0';
}

/* ---- Which operation a name means ---- */

static const char *const operations[] = {
    [SIM_ACQUIRE] = "lock.acquire", [SIM_RELEASE] = "lock.release",
    [SIM_HOLDER] = "lock.holder",   [SIM_NAP] = "nap.take",
    [SIM_PASS] = "gate.pass",       [SIM_ADD] = "tally.add",
    [SIM_GET] = "tally.get",        [SIM_KEEP] = "tally.keep",
    [SIM_DEPLOY] = "recipe.deploy", [SIM_ROLLBACK] = "recipe.rollback",
    [SIM_REMOVE] = "recipe.remove", [SIM_UPGRADE] = "recipe.upgrade",
    [SIM_LIST] = "recipe.list",
};

enum sim_operation sim_operation_of(struct mk_bytes name)
{
    for (size_t i = 0; i < MK_COUNT(operations); i++) {
        if (operations[i] != NULL && mk_bytes_equal(name, mk_bytes_text(operations[i]))) {
            return (enum sim_operation)i;
        }
    }
    return SIM_UNKNOWN;
}

const char *sim_operation_name(enum sim_operation operation)
{
    MK_ASSERT(operation != SIM_UNKNOWN && operation < MK_COUNT(operations));
    return operations[operation];
}

bool sim_operation_reads(enum sim_operation operation)
{
    return operation == SIM_GET || operation == SIM_LIST || operation == SIM_HOLDER;
}

bool sim_operation_deploys(enum sim_operation operation)
{
    return operation == SIM_DEPLOY || operation == SIM_ROLLBACK || operation == SIM_REMOVE ||
           operation == SIM_UPGRADE;
}
