/* string, table, math and the rest of the language: as in Lua 5.1, which LuaJIT's own libraries
 * stand for here. */
#include "fake_host.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_open(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

/* Makes text of the results, in a way that both know: "true;number:1;string:a". */
#define TEXT                                                                   \
    "local function text(...) local out = {} for i = 1, select('#', ...) do\n" \
    "  local v = select(i, ...) out[i] = type(v) .. ':' .. tostring(v) end\n"  \
    "  return table.concat(out, ';') end\n"

static void same_as_lua(const char *expression)
{
    struct mk_buf stock = {.data = NULL};
    struct mk_buf ours = {.data = NULL};
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    mk_buf_printf(&stock, TEXT "return text(pcall(function() return %s end))", expression);
    mk_buf_put_u8(&stock, 0);
    assert_int_equal(luaL_dostring(L, (const char *)stock.data), 0);
    mk_buf_printf(&ours, TEXT "return text(pcall(function() return %s end))", expression);
    mk_buf_put_u8(&ours, 0);
    world_eval(&world, (const char *)ours.data);
    struct mk_buf expected = {.data = NULL};
    size_t len = 0;
    const char *text = lua_tolstring(L, -1, &len);
    recipe_json_string(&expected, mk_bytes_of(text, len));
    mk_buf_put_u8(&expected, 0);
    const char *found = world_result(&world);
    bool both_failed =
        strncmp(text, "boolean:false", 13) == 0 && strncmp(found, "\"boolean:false", 14) == 0;
    if (!both_failed && strcmp(found, (const char *)expected.data) != 0) {
        fail_msg("%s: %s, but Lua says %s", expression, found, (const char *)expected.data);
    }
    mk_buf_free(&stock);
    mk_buf_free(&ours);
    mk_buf_free(&expected);
    lua_close(L);
}

static void all_same_as_lua(const char *const *expressions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        same_as_lua(expressions[i]);
    }
}

static void strings_are_cut_and_turned_as_in_lua(void **state)
{
    (void)state;
    static const char *const expressions[] = {"('hello'):sub(2, 3)",
                                              "('hello'):sub(-3)",
                                              "('hello'):sub(-100, 100)",
                                              "('hello'):sub(4, 2)",
                                              "('hello'):sub(0)",
                                              "('hello'):sub(2, -2)",
                                              "('hello'):sub(6)",
                                              "(''):sub(1, 1)",
                                              "('hello'):sub(-2, -1)",
                                              "('hello'):sub(1.7, 3.2)",
                                              "('x'):sub()",
                                              "('hello'):byte()",
                                              "('hello'):byte(2, 4)",
                                              "('hello'):byte(-1)",
                                              "('hello'):byte(10)",
                                              "('hello'):byte(0)",
                                              "('hello'):byte(-2, -1)",
                                              "string.char()",
                                              "string.char(104, 105)",
                                              "string.char(0, 255):byte(1, 2)",
                                              "string.char(256)",
                                              "string.char(-1)",
                                              "('hello'):len()",
                                              "('HeLLo'):lower()",
                                              "('HeLLo'):upper()",
                                              "('hello'):reverse()",
                                              "(''):reverse()",
                                              "('ab'):rep(3)",
                                              "('ab'):rep(0)",
                                              "('ab'):rep(-1)",
                                              "(''):rep(100)",
                                              "('ab'):rep(2.7)",
                                              "(5):rep(2)",
                                              "string.rep(5, 2)",
                                              "string.len(12)",
                                              "#'abc'",
                                              "'a' .. 1 .. 2.5"};
    all_same_as_lua(expressions, MK_COUNT(expressions));
}

static const char *const pattern_expressions[] = {
    "('hello world'):find('wor')",
    "('hello'):find('l')",
    "('hello'):find('l', 4)",
    "('hello'):find('l', -1)",
    "('hello'):find('')",
    "('hello'):find('', 6)",
    "('hello'):find('', 7)",
    "('hello'):find('xyz')",
    "('a.b'):find('.', 1, true)",
    "('a.b'):find('%.')",
    "('a+b'):find('+', 1, true)",
    "('hello'):find('l+')",
    "('hello'):find('(l)(l)')",
    "('hello'):find('()ll()')",
    "('hello'):match('h(.-)o')",
    "('hello'):match('^h')",
    "('hello'):match('^e')",
    "('hello'):match('o$')",
    "('hello'):match('l$')",
    "('hello'):match('^hello$')",
    "('hel$lo'):match('l$l')",
    "('hello'):match('.-')",
    "('hello'):match('.*l')",
    "('hello'):match('.-l')",
    "('hello'):match('h?ello')",
    "('ello'):match('h?ello')",
    "('  x  '):match('^%s*(.-)%s*$')",
    "('key = value'):match('^(%w+)%s*=%s*(%w+)$')",
    "('2024-01-02'):match('(%d+)-(%d+)-(%d+)')",
    "('f(a(b)c)d'):match('%b()')",
    "('f(a(b)c'):match('%b()')",
    "('f(a'):match('%b()')",
    "('a\"b\"c'):match('%b\"\"')",
    "('THE (quick) fox'):find('%f[%a]%a+')",
    "('THE (quick) fox'):gsub('%f[%a]%a+', 'X')",
    "('[[x]]'):match('%[%[(.-)%]%]')",
    "('aXbX'):match('(.)X(.)X')",
    "('abab'):match('(ab)%1')",
    "('abac'):match('(ab)%1')",
    "('a-b'):match('[a%-]+')",
    "('a-b'):match('[%a-]+')",
    "('a]b'):match('[]]')",
    "('a]b'):match('[^]]+')",
    "('a^b'):match('[b^]')",
    "('a^b'):match('[%^]')",
    "('x-z'):match('[x-z]+')",
    "('az'):match('[a-]')",
    "('a\\0b'):match('%z')",
    "('a\\0b'):match('a.b') == 'a\\0b'",
    "('AbC12_'):match('%u%l%u%d%d%p')",
    "('\\t \\n'):match('^%s+$')",
    "('aF09g'):match('%x+')",
    "('\\1\\2'):match('%c+')",
    "('a b'):match('%S+')",
    "('12ab'):match('%D+')",
    "('%'):match('%%')",
    "('a.b'):match('a%.b')",
    "('hello'):match('(h)(e)(l)(l)(o)')",
    "('hello'):match('((h)(e))')",
    "('x'):match('')",
    "('hello'):match('l', -2)",
    "('hello'):match('.', 6)",
    "('hello'):match('.', 10)",
    "('a'):rep(300):match('^(a*)$'):len()",
    "('abc'):find('b', nil)",
    "('abc'):find('b', 1, false)",
    "('*a'):match('*a')",
    "('a*'):match('a%*')",
    "('aaa'):match('a-$')",
    "('aaab'):match('a-b')",
    "('a'):match('%')",
    "('a'):match('[a')",
    "('a'):match('[a%')",
    "('a'):match('(a')",
    "('a'):match('a)')",
    "('a'):match('%1')",
    "('a'):match('(a)%2')",
    "('a'):match('(%1)')",
    "('a'):match('%b')",
    "('a'):match('%f')",
    "('a'):match('[]')",
    "('a'):match('[^]')",
    "('a'):find('[')",
    "('a'):find('[', 1, true)",
    "('x'):find()",
    "('aaaa'):match('a?a?a?a?aaaa')",
    "(('x'):rep(100) .. 'y'):match('x*y'):len()",
    "('abcabc'):find('c', 4)",
    "('hello'):find('(h)', 2)",
    "('=()='):match('%(%)')",
    "(' a '):match('%s(%a)%s')",
    "('a\\nb'):match('a.b') ~= nil",
    "('\\200\\201'):match('[\\200-\\201]+') == '\\200\\201'"};

static void patterns_match_as_in_lua(void **state)
{
    (void)state;
    all_same_as_lua(pattern_expressions, MK_COUNT(pattern_expressions));
}

static void substitution_works_as_in_lua(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        "('hello'):gsub('l', 'L')",
        "('hello'):gsub('l', 'L', 1)",
        "('hello'):gsub('l', 'L', 0)",
        "('hello'):gsub('', '-')",
        "(''):gsub('', '-')",
        "('hello'):gsub('x*', '-')",
        "('abc'):gsub('%w', '%0%0')",
        "('abc'):gsub('(%w)', '%1,')",
        "('abc'):gsub('%w', '%1')",
        "('hello world'):gsub('(%w+) (%w+)', '%2 %1')",
        "('abc'):gsub('%w', '%%')",
        "('abc'):gsub('b', '%2')",
        "('abc'):gsub('^a', 'x')",
        "('aaa'):gsub('^a', 'x')",
        "('abc'):gsub('c$', 'x')",
        "('abc'):gsub('.', { a = 1, b = true })",
        "('abc'):gsub('.', { a = '1', b = false })",
        "('abc'):gsub('.', function(c) return c:upper() end)",
        "('abc'):gsub('.', function() end)",
        "('abc'):gsub('.', function() return false end)",
        "('abc'):gsub('.', function() return {} end)",
        "('abc'):gsub('(a)(b)', function(a, b) return b .. a end)",
        "('abc'):gsub('()', '%1')",
        "('abc'):gsub('b', 7)",
        "('abc'):gsub('b', nil)",
        "('abc'):gsub('b')",
        "('$name is $x'):gsub('%$(%w+)', { name = 'lua' })",
        "('abc def'):gsub('%f[%w]%w', string.upper)",
        "('abc'):gsub('b*', '-')",
        "('x = 1'):gsub('%s+', '')",
        "('a,b,,c'):gsub(',', ';')"};
    all_same_as_lua(expressions, MK_COUNT(expressions));
}

static void gmatch_iterates_as_in_lua(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        ("(function() local o = {} for w in ('one two  three'):gmatch('%a+') do o[#o+1] = w end "
         "return table.concat(o, '|') end)()"),
        ("(function() local o = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do o[#o+1] = k "
         ".. "
         "v "
         "end return table.concat(o, '|') end)()"),
        ("(function() local o = {} for w in ('abc'):gmatch('') do o[#o+1] = '[' .. w .. ']' end "
         "return table.concat(o, '|') end)()"),
        ("(function() local o = {} for p in ('abc'):gmatch('()') do o[#o+1] = p end "
         "return table.concat(o, '|') end)()")};
    all_same_as_lua(expressions, MK_COUNT(expressions));
}

static void formats_as_in_lua(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        "string.format('%d|%5d|%-5d|%05d|%+d|% d', 7, 7, 7, 7, 7, 7)",
        "string.format('%d', -7.9)",
        "string.format('%d|%d|%d', 2^53, -2^53, -0.5)",
        "string.format('%.0f|%.0f|%.0f|%.0f', 0, -0, 12, -12)",
        "string.format('%.0f|%.0f|%.0f', 2^53, -2^53, 1e300)",
        "string.format('%.0f|%.0f|%.0f|%.1f', 0.7, 1.2, -0.2, 3)",
        "string.format('%.3d|%5.0f|%+.0f|%.0f', 5, 5, 5, 1/0)",
        "string.format('%i|%u', 7, 7)",
        "string.format('%x|%X|%#x|%o', 255, 255, 255, 8)",
        "string.format('%c%c', 72, 105)",
        "string.format('%5c|%-5c|', 72, 72)",
        "string.format('%f|%.2f|%10.3f|%-10.1f|', 1.5, 1.005, 3.14159, 2)",
        "string.format('%e|%.3E', 12345.678, 0.00012)",
        "string.format('%g|%g|%G', 1e20, 0.1, 1e-10)",
        "string.format('%s|%10s|%-10s|%.2s', 'abc', 'abc', 'abc', 'abc')",
        "string.format('%s %s %s', nil, true, 12)",
        "string.format('%%')",
        "string.format('%%%%a%%b%%%d%%', 1)",
        "string.format('%5.1s|', 'abc')",
        "string.format('%q', 'a\\n\"b\\\\')",
        "string.format('%d', '10')",
        "string.format('%d', 'x')",
        "string.format('%d')",
        "string.format('%y', 1)",
        "string.format('%')",
        "string.format('%123d', 1)",
        "string.format('%.123d', 1)",
        "string.format('%s')",
        "string.format('%.20s|%.0s|', 'abc', 'abc')",
        "string.format('%.14g', 3.14159265358979)",
        "string.format('%5s', 'abcdefgh')",
        "string.format('%.3d', 5)",
        "string.format('%x', 2^52)",
        "string.format('')",
        "string.format('no conversion', 1, 2)"};
    all_same_as_lua(expressions, MK_COUNT(expressions));
}

static void tables_work_as_in_lua(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        "table.concat({})",
        "table.concat({ 1, 2, 'x' })",
        "table.concat({ 1, 2, 3 }, ', ')",
        "table.concat({ 1, 2, 3 }, ', ', 2)",
        "table.concat({ 1, 2, 3 }, ', ', 2, 3)",
        "table.concat({ 1, 2, 3 }, ', ', 3, 2)",
        "table.concat({ 1, {}, 3 })",
        "table.concat({ 1, 2 }, '', 1, 3)",
        "(function() local t = { 1, 2 } table.insert(t, 3) return table.concat(t, ' ') end)()",
        "(function() local t = { 1, 2 } table.insert(t, 1, 0) return table.concat(t, ' ') end)()",
        ("(function() local t = { 1, 2, 3 } local r = table.remove(t, 1) return r, table.concat(t, "
         "' ') end)()"),
        ("(function() local t = { 1, 2, 3 } local r = table.remove(t) return r, table.concat(t, ' "
         "') end)()"),
        "table.remove({})",
        "table.maxn({ 1, 2, [10] = 1, x = 1 })",
        "table.maxn({})",
        "table.maxn({ [2.5] = 1 })",
        "table.insert({}, 1, 2, 3)",
        "table.insert({})",
        "(function() local t = { 3, 1, 2, 5, 4 } table.sort(t) return table.concat(t, ' ') end)()",
        "(function() local t = { 'b', 'a', 'c' } table.sort(t) return table.concat(t, ' ') end)()",
        ("(function() local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) "
         "return table.concat(t, ' ') end)()"),
        "(function() local t = {} table.sort(t) return #t end)()",
        "table.sort({ 1, 'x' })",
        "table.sort({ 1, 2 }, 3)",
        "table.sort({ {}, {} })",
        ("(function() local t = {} for i = 1, 1000 do t[i] = (i * 7919) % 1009 end table.sort(t) "
         "for i = 2, 1000 do if t[i - 1] > t[i] then return false end end return true end)()")};
    all_same_as_lua(expressions, MK_COUNT(expressions));
}

static void the_language_works_as_in_lua(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        "tostring(nil)",
        "tostring(1e15)",
        "tostring(0.1)",
        "tostring(-0)",
        "tostring(1/0)",
        "tostring(true)",
        "tostring()",
        "tonumber('10')",
        "tonumber('0x10')",
        "tonumber('10', 2)",
        "tonumber('z', 36)",
        "tonumber('x')",
        "tonumber(' 10 ')",
        "tonumber('')",
        "tonumber({})",
        "select('#')",
        "select('#', nil, nil)",
        "select(2, 'a', 'b', 'c')",
        "select(-1, 'a', 'b')",
        "select(0)",
        "unpack({ 1, 2, 3 })",
        "unpack({}, 1, 2)",
        "unpack({ 1, 2, 3 }, 2)",
        "unpack({ 1, 2, 3 }, 2, 1)",
        "type(nil)",
        "type(type)",
        "assert(1, 'x')",
        "assert(false, 'x')",
        "assert(nil)",
        "pcall(error)",
        "pcall(error, 'x', 0)",
        "math.floor(-1.5)",
        "math.max(1, 3, 2)",
        "math.min(1)",
        "math.fmod(7, 3)",
        "math.huge",
        "math.sqrt(16)",
        "7 % -3",
        "2 ^ 10",
        "(function(...) return select('#', ...) end)(nil, nil, nil)",
        ("(function() local s = 0 for i, v in ipairs({ 1, 2, nil, 4 }) do s = s + v end return s "
         "end)()"),
        ("(function() local n = 0 for k in pairs({ 1, 2, x = 3, y = 4 }) do n = n + 1 end return n "
         "end)()"),
        "xpcall(function() return 1 end, tostring)"};
    all_same_as_lua(expressions, MK_COUNT(expressions));
}

static void sorting_keeps_the_order_of_equal_elements(void **state)
{
    (void)state;
    world_eval(&world, "local t = {} for i = 1, 100 do t[i] = { key = i % 3, at = i } end\n"
                       "table.sort(t, function(a, b) return a.key < b.key end)\n"
                       "for i = 2, 100 do local a, b = t[i - 1], t[i]\n"
                       "  if a.key == b.key and a.at > b.at then return false end end return true");
    world_returned(&world, "true");
}

static void sorting_is_not_disturbed_by_a_comparator_that_writes(void **state)
{
    (void)state;
    world_eval(&world,
               "local t = { 3, 1, 2 } table.sort(t, function(a, b) t[1] = nil return a < b end)\n"
               "return t");
    world_returned(&world, "[1,2,3]");
}

static void refuses_to_sort_a_list_with_holes(void **state)
{
    (void)state;
    world_eval(&world, "local t = { 1, 2, 3, 4 } t[2] = nil table.sort(t)");
    world_failed(&world, "RecipeError", "the list has a hole at index 2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(strings_are_cut_and_turned_as_in_lua),
        TEST(patterns_match_as_in_lua),
        TEST(substitution_works_as_in_lua),
        TEST(gmatch_iterates_as_in_lua),
        TEST(formats_as_in_lua),
        TEST(tables_work_as_in_lua),
        TEST(the_language_works_as_in_lua),
        TEST(sorting_keeps_the_order_of_equal_elements),
        TEST(sorting_is_not_disturbed_by_a_comparator_that_writes),
        TEST(refuses_to_sort_a_list_with_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
