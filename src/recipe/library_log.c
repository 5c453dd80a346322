/* log.debug, log.info, log.warn, log.error: a recipe's arguments as one line. */
#include "recipe/environment.h"
#include "recipe/log.h"
#include "recipe/run.h"

void recipe_log_write(struct recipe_log *log, enum mk_log_level level, mk_ms now_ms,
                      struct mk_bytes who, struct mk_bytes text)
{
    if (log->log == NULL || level > log->log->level) {
        return;
    }
    if (now_ms - log->second_ms >= 1000 || now_ms < log->second_ms) {
        log->second_ms = now_ms;
        log->lines = 0;
    }
    if (log->lines == RECIPE_LOG_LINES_PER_SECOND) {
        log->dropped++;
        return;
    }
    log->lines++;
    bool cut = text.len > RECIPE_LOG_LINE_BYTES_MAX;
    mk_log(log->log, level, "%.*s: %.*s%s  dropped_lines=%llu", (int)who.len,
           (const char *)who.data, cut ? RECIPE_LOG_LINE_BYTES_MAX : (int)text.len,
           (const char *)text.data, cut ? "..." : "", (unsigned long long)log->dropped);
    log->dropped = 0;
}

/* The arguments as text, separated by blanks, at most a little more than a line takes. */
static struct mk_bytes text_join(lua_State *L, struct mk_buf *out)
{
    out->len = 0;
    int count = lua_gettop(L);
    for (int i = 1; i <= count && out->len <= RECIPE_LOG_LINE_BYTES_MAX; i++) {
        sandbox_push_text(L, i);
        struct mk_bytes text = sandbox_bytes(L, -1);
        mk_buf_append(out, " ", i > 1 ? 1 : 0);
        mk_buf_append(out, text.data,
                      text.len > RECIPE_LOG_LINE_BYTES_MAX ? RECIPE_LOG_LINE_BYTES_MAX + 1
                                                           : text.len);
        lua_pop(L, 1);
    }
    sandbox_charge(L, out->len);
    return mk_buf_view(out);
}

static int log_at(lua_State *L, enum mk_log_level level)
{
    struct sandbox *sandbox = sandbox_of(L);
    struct mk_error where;
    sandbox_where(L, &where);
    struct mk_bytes who = mk_bytes_text(where.text);
    who.len -= who.len >= 2 ? 2 : 0; /* its ": " */
    mk_ms now_ms = sandbox->run == NULL ? 0 : sandbox->run->run->now_ms;
    recipe_log_write(sandbox->log, level, now_ms, who, text_join(L, &sandbox->scratch));
    return 0;
}

static int log_debug(lua_State *L)
{
    return log_at(L, MK_LOG_DEBUG);
}

static int log_info(lua_State *L)
{
    return log_at(L, MK_LOG_INFO);
}

static int log_warn(lua_State *L)
{
    return log_at(L, MK_LOG_WARN);
}

static int log_error(lua_State *L)
{
    return log_at(L, MK_LOG_ERROR);
}

void library_push_log(lua_State *L)
{
    static const luaL_Reg functions[] = {{"debug", log_debug},
                                         {"info", log_info},
                                         {"warn", log_warn},
                                         {"error", log_error},
                                         {NULL, NULL}};
    environment_push_functions(L, functions);
}
