/* JSON and MessagePack, against their rules and against jansson and msgpack-c. */
#include "fake_host.h"

#include <jansson.h>
#include <msgpack.h>
#include <stdio.h>

static struct world world;

/* Operations that turn the text they are given inside out. The arguments go in as MessagePack, so
 * that nothing is escaped. */
static const char recipe[] =
    "local function op(f) return operation { doc = '', args = { text = 'bytes' },\n"
    "  run = function(call) return f(call.args.text) end } end\n"
    "return { json = op(function(t) return json.encode(json.decode(t)) end),\n"
    "  to_msgpack = op(function(t) return msgpack.encode(json.decode(t)) end),\n"
    "  from_msgpack = op(function(t) return json.encode(msgpack.decode(t)) end),\n"
    "  msgpack = op(function(t) return msgpack.encode(msgpack.decode(t)) end) }\n";

static int setup(void **state)
{
    (void)state;
    world_open(&world);
    world_load(&world, "values", recipe);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static int packer_write(void *context, const char *data, size_t len)
{
    mk_buf_append(context, data, len);
    return 0;
}

/* Run `operation` on `text`; the result's bytes stay in world.run.result, as MessagePack. */
static bool convert(const char *operation, const char *text, size_t len)
{
    struct mk_buf arguments = {.data = NULL};
    msgpack_packer packer;
    msgpack_packer_init(&packer, &arguments, packer_write);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str(&packer, 4);
    msgpack_pack_str_body(&packer, "text", 4);
    msgpack_pack_bin(&packer, len);
    msgpack_pack_bin_body(&packer, text, len);

    recipe_run_deinit(&world.run);
    world.run = (struct recipe_run){
        .version = world.version,
        .operation = recipe_operation_find(world.version, mk_bytes_text(operation)),
        .format = RECIPE_MSGPACK,
        .arguments = mk_buf_view(&arguments),
        .host = &world.host};
    recipe_run(world.engine, &world.run);
    mk_buf_free(&arguments);
    return world.run.end == RECIPE_RETURNED;
}

/* The string that the run returned. */
static struct mk_bytes returned(msgpack_unpacked *unpacked)
{
    size_t at = 0;
    msgpack_unpacked_init(unpacked);
    assert_int_equal(msgpack_unpack_next(unpacked, (const char *)world.run.result.data,
                                         world.run.result.len, &at),
                     MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(at, world.run.result.len);
    if (unpacked->data.type == MSGPACK_OBJECT_BIN) {
        return mk_bytes_of(unpacked->data.via.bin.ptr, unpacked->data.via.bin.size);
    }
    assert_int_equal(unpacked->data.type, MSGPACK_OBJECT_STR);
    return mk_bytes_of(unpacked->data.via.str.ptr, unpacked->data.via.str.size);
}

static void converts(const char *operation, const char *text, size_t text_len, const char *expected,
                     size_t expected_len)
{
    msgpack_unpacked unpacked;
    if (!convert(operation, text, text_len)) {
        fail_msg("%s: %s: %s", operation, text, world_message(&world));
    }
    struct mk_bytes bytes = returned(&unpacked);
    if (!mk_bytes_equal(bytes, mk_bytes_of(expected, expected_len))) {
        fail_msg("%s: %s became %.*s, but %s was expected", operation, text, (int)bytes.len,
                 (const char *)bytes.data, expected);
    }
    msgpack_unpacked_destroy(&unpacked);
}

static void json_becomes(const char *text, const char *expected)
{
    converts("json", text, strlen(text), expected, strlen(expected));
}

static void refuses(const char *operation, const char *text, size_t len, const char *why)
{
    if (convert(operation, text, len)) {
        fail_msg("%s: %s was not refused", operation, text);
    }
    world_failed(&world, "BadArguments", why);
}

/* ---- JSON ---- */

static void reads_and_writes_json(void **state)
{
    (void)state;
    static const char *const same[] = {"null",
                                       "true",
                                       "false",
                                       "0",
                                       "-1",
                                       "1.5",
                                       "0.1",
                                       "9007199254740992",
                                       "-9007199254740992",
                                       "\"\"",
                                       "\"a\"",
                                       "[]",
                                       "{}",
                                       "[[],{}]",
                                       "[null,1]",
                                       "{\"a\":null}",
                                       "{\"a\":[],\"b\":{}}",
                                       "\"\\\"\\\\\\n\\r\\t\\u0001\\u007f\"",
                                       "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\x99\"",
                                       "1e-07",
                                       "[1,[2,[3]]]"};
    for (size_t i = 0; i < MK_COUNT(same); i++) {
        json_becomes(same[i], same[i]);
    }
    json_becomes(" [ 1 ,\n\t{ \"b\" : 2 , \"a\" : 1 } ]\r\n", "[1,{\"a\":1,\"b\":2}]");
    json_becomes("[-0,0.0,1.0,1e3,1E+2,12e-1]", "[0,0,1,1000,100,1.2]");
    json_becomes("\"\\u0041\\u00e4\\u20ac\\ud83c\\udf19\\/\\b\\f\"",
                 "\"A\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\x99/\\u0008\\u000c\"");
    json_becomes("\"\\u0000\"", "\"\\u0000\"");
}

static void writes_maps_in_the_order_of_their_keys(void **state)
{
    (void)state;
    json_becomes("{\"b\":1,\"a\":2,\"ab\":3,\"B\":4,\"\":5,\"10\":6,\"9\":7}",
                 "{\"\":5,\"10\":6,\"9\":7,\"B\":4,\"a\":2,\"ab\":3,\"b\":1}");
}

static void writes_numbers_as_short_as_they_can_be_read_back(void **state)
{
    (void)state;
    json_becomes("[0.1,0.30000000000000004,3.141592653589793,5e-324,123456.789]",
                 "[0.1,0.30000000000000004,3.141592653589793,4.94065645841247e-324,123456.789]");
}

static void refuses_numbers_that_would_be_rounded(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "9007199254740993", "-9007199254740993",         "1e16", "12345678901234567", "1e400",
        "-1e400",           "99999999999999999999999999"};
    for (size_t i = 0; i < MK_COUNT(numbers); i++) {
        refuses("json", numbers[i], strlen(numbers[i]), "");
    }
    refuses("json", "9007199254740993", 16, "a number beyond 2^53 would be rounded");
    refuses("json", "1e99999999999999999999", 22, "an exponent beyond all bounds");
    refuses("json", "1e-99999999999999999999", 23, "an exponent beyond all bounds");
}

static const char *const json_texts[] = {"",
                                         " ",
                                         "nul",
                                         "nulll",
                                         "True",
                                         "01",
                                         "-",
                                         "-01",
                                         "1.",
                                         ".5",
                                         "1.e1",
                                         "1e",
                                         "1e+",
                                         "+1",
                                         "0x10",
                                         "NaN",
                                         "Infinity",
                                         "1 2",
                                         "[",
                                         "]",
                                         "[1",
                                         "[1,",
                                         "[1,]",
                                         "[,1]",
                                         "[1 2]",
                                         "{",
                                         "}",
                                         "{\"a\"",
                                         "{\"a\":",
                                         "{\"a\":1",
                                         "{\"a\":1,",
                                         "{\"a\":1,}",
                                         "{\"a\" 1}",
                                         "{a:1}",
                                         "{1:1}",
                                         "{\"a\":1,\"a\":1}",
                                         "'a'",
                                         "\"",
                                         "\"\\",
                                         "\"\\x\"",
                                         "\"\\u\"",
                                         "\"\\u12\"",
                                         "\"\\u12g4\"",
                                         "\"\\ud800\"",
                                         "\"\\udc00\"",
                                         "\"\\ud800\\u0041\"",
                                         "\"\\ud800x\"",
                                         "\"\n\"",
                                         "\"\x01\"",
                                         "\"\x7f\"",
                                         "\"\xff\"",
                                         "\"\xc0\x80\"",
                                         "\"\xed\xa0\x80\"",
                                         "\"\xf4\x90\x80\x80\"",
                                         "\"\xc3\"",
                                         "\"\xe2\x82\"",
                                         "\"\xc3\xa4\"",
                                         "// c\n1",
                                         "/* c */ 1",
                                         "[1]x",
                                         "\xef\xbb\xbf\x31",
                                         "1\v",
                                         "[\"a\",{\"b\":[true,false,null]}]",
                                         "-0",
                                         "0e0",
                                         "1E5",
                                         "\"\\u00E4\"",
                                         "tru",
                                         "t",
                                         "fals",
                                         "n",
                                         "[[[[[[]]]]]]",
                                         "{\"\":{}}",
                                         "\"a\\",
                                         "\"a\\u00"};

static void agrees_with_jansson(const char *text)
{
    json_error_t error;
    json_t *value =
        json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    bool accepted = convert("json", text, strlen(text));
    if (accepted != (value != NULL)) {
        fail_msg("%s: jansson says %s", text, value == NULL ? error.text : "fine");
    }
    json_decref(value);
}

static void accepts_the_json_that_jansson_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < MK_COUNT(json_texts); i++) {
        agrees_with_jansson(json_texts[i]);
    }
}

static void says_where_json_is_wrong(void **state)
{
    (void)state;
    refuses("json", "[1, x]", 6, "JSON: a malformed number at byte 5");
    refuses("json", "[1, tru]", 8, "JSON: a value expected at byte 5");
    refuses("json", "\"abc", 4, "JSON: a string without an end at byte 5");
    refuses("json", "1 1", 3, "JSON: the end expected at byte 3");
}

static void escapes_text_and_replaces_what_is_not_utf8(void **state)
{
    (void)state;
    struct mk_buf out = {.data = NULL};

    recipe_json_string(&out, MK_BYTES("a\"\\\n\x01\xff\xc3\xa4\xc3"));

    mk_buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.data,
                        "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\"");
    mk_buf_free(&out);
}

/* ---- MessagePack ---- */

static void writes_the_shortest_messagepack(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *bytes;
        size_t len;
    } cases[] = {
        {"null", "\xc0", 1},
        {"true", "\xc3", 1},
        {"false", "\xc2", 1},
        {"127", "\x7f", 1},
        {"128", "\xcc\x80", 2},
        {"256", "\xcd\x01\x00", 3},
        {"65536", "\xce\x00\x01\x00\x00", 5},
        {"4294967296", "\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9},
        {"-1", "\xff", 1},
        {"-32", "\xe0", 1},
        {"-33", "\xd0\xdf", 2},
        {"-129", "\xd1\xff\x7f", 3},
        {"-32769", "\xd2\xff\xff\x7f\xff", 5},
        {"-2147483649", "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", 9},
        {"1.5", "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 9},
        {"\"a\"",
         "\xa1"
         "a",
         2},
        {"[]", "\x90", 1},
        {"{}", "\x80", 1},
        {"{\"b\":1,\"a\":[2]}",
         "\x82\xa1"
         "a\x91\x02\xa1"
         "b\x01",
         8},
    };
    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        converts("to_msgpack", cases[i].json, strlen(cases[i].json), cases[i].bytes, cases[i].len);
    }
}

static void reads_every_form_of_messagepack(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *json;
    } cases[] = {
        {"\xcc\x07", 2, "7"},
        {"\xcd\x00\x07", 3, "7"},
        {"\xce\x00\x00\x00\x07", 5, "7"},
        {"\xcf\x00\x00\x00\x00\x00\x00\x00\x07", 9, "7"},
        {"\xd0\xf9", 2, "-7"},
        {"\xd1\xff\xf9", 3, "-7"},
        {"\xd2\xff\xff\xff\xf9", 5, "-7"},
        {"\xd3\xff\xff\xff\xff\xff\xff\xff\xf9", 9, "-7"},
        {"\xca\x3f\xc0\x00\x00", 5, "1.5"},
        {"\xd9\x01x", 3, "\"x\""},
        {"\xda\x00\x01x", 4, "\"x\""},
        {"\xdb\x00\x00\x00\x01x", 6, "\"x\""},
        {"\xc4\x01x", 3, "\"x\""},
        {"\xc5\x00\x01x", 4, "\"x\""},
        {"\xc6\x00\x00\x00\x01x", 6, "\"x\""},
        {"\xdc\x00\x01\x07", 4, "[7]"},
        {"\xdd\x00\x00\x00\x01\x07", 6, "[7]"},
        {"\xde\x00\x01\xa1x\x07", 6, "{\"x\":7}"},
        {"\xdf\x00\x00\x00\x01\xc4\x01x\x07", 9, "{\"x\":7}"},
    };
    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        converts("from_msgpack", cases[i].bytes, cases[i].len, cases[i].json,
                 strlen(cases[i].json));
    }
}

static void refuses_messagepack_that_is_malformed_or_not_for_lua(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {"", 0, "the bytes are not a value"},
        {"\xc1", 1, "the bytes are not a value"},
        {"\xc7\x01\x01x", 4, "the bytes are not a value"},
        {"\xd4\x01x", 3, "the bytes are not a value"},
        {"\xcd\x01", 2, "the bytes are not a value"},
        {"\xa2x", 2, "the bytes end within a string"},
        {"\xdb\xff\xff\xff\xffx", 6, "the bytes end within a string"},
        {"\x92\x01", 2, "the bytes are not a value"},
        {"\x81\x01\x01", 3, "a map's key is not a string"},
        {"\x81\xa1x", 3, "the bytes are not a value"},
        {"\x82\xa1x\x01\xa1x\x01", 7, "a map has the same key twice"},
        {"\x01\x01", 2, "bytes follow the value"},
        {"\xcf\x00\x20\x00\x00\x00\x00\x00\x01", 9, "beyond 2^53 would be rounded"},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "beyond 2^53 would be rounded"},
        {"\xd3\xff\xdf\xff\xff\xff\xff\xff\xff", 9, "beyond 2^53 would be rounded"},
        {"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 9, "NaN and infinity"},
        {"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 9, "NaN and infinity"},
        {"\xca\x7f\x80\x00\x00", 5, "NaN and infinity"},
        {"\xcb\x43\x40\x00\x00\x00\x00\x00\x01", 9, "beyond 2^53 would be rounded"},
    };
    for (size_t i = 0; i < MK_COUNT(cases); i++) {
        refuses("msgpack", cases[i].bytes, cases[i].len, cases[i].why);
    }
}

static void tells_text_from_other_bytes(void **state)
{
    (void)state;
    converts("msgpack", "\xc4\x02\xc3\xa4", 4, "\xa2\xc3\xa4", 3);
    converts("msgpack", "\xa1\xff", 2, "\xc4\x01\xff", 3);
}

/* What we write, msgpack-c reads, and writes the same way. */
static void writes_what_msgpack_c_writes(void **state)
{
    (void)state;
    struct mk_buf json = {.data = NULL};
    struct mk_buf again = {.data = NULL};
    mk_buf_printf(&json, "{\"list\":[");
    for (int i = 0; i < 300; i++) {
        mk_buf_printf(&json, "%s%d,-%d,%d.5", i == 0 ? "" : ",", i * 1237, i * 919, i);
    }
    mk_buf_printf(&json, "],\"map\":{");
    for (int i = 0; i < 100; i++) {
        mk_buf_printf(&json, "%s\"%0*d\":\"%0*d\"", i == 0 ? "" : ",", i + 1, i, i * 3 + 1, i);
    }
    mk_buf_printf(&json, "}}");

    assert_true(convert("to_msgpack", (const char *)json.data, json.len));

    msgpack_unpacked result;
    msgpack_unpacked value;
    struct mk_bytes bytes = returned(&result);
    size_t at = 0;
    msgpack_unpacked_init(&value);
    assert_int_equal(msgpack_unpack_next(&value, (const char *)bytes.data, bytes.len, &at),
                     MSGPACK_UNPACK_SUCCESS);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &again, packer_write);
    msgpack_pack_object(&packer, value.data);
    assert_true(mk_bytes_equal(mk_buf_view(&again), bytes));
    msgpack_unpacked_destroy(&value);
    msgpack_unpacked_destroy(&result);
    mk_buf_free(&json);
    mk_buf_free(&again);
}

/* ---- Lua's side ---- */

static void keeps_an_empty_list_a_list(void **state)
{
    (void)state;
    world_eval(&world, "return { {}, json.list(), json.list({}), json.decode('[]'), "
                       "msgpack.decode('\\144') }");
    world_returned(&world, "[{},[],[],[],[]]");
    world_eval(&world, "local t = json.decode('[1]') table.remove(t) t[1] = 2 t[2] = 3 return t");
    world_returned(&world, "[2,3]");
    world_eval(&world, "local t = json.decode('[1]') t.x = 1 return t");
    world_failed(&world, "RecipeError", "neither a list");
}

static void has_a_null_that_is_not_nil(void **state)
{
    (void)state;
    world_eval(&world, "local t = json.decode('[null,{\"a\":null}]')\n"
                       "return { #t, t[1] == json.null, t[2].a == msgpack.null, tostring(t[1]),\n"
                       "  t[1] and 'true', json.null }");
    world_returned(&world, "[2,true,true,\"null\",\"true\",null]");
}

static void refuses_what_has_no_form(void **state)
{
    (void)state;
    world_eval(&world, "return json.encode({ [1.5] = 1 })");
    world_failed(&world, "RecipeError", "neither a list");
    world_eval(&world, "return json.encode({ [2] = 1 })");
    world_failed(&world, "RecipeError", "neither a list");
    world_eval(&world, "return json.encode({ f = print_x })");
    world_failed(&world, "RecipeError", "there is no 'print_x'");
    world_eval(&world, "return json.encode({ f = pairs })");
    world_failed(&world, "RecipeError", "a function cannot be encoded");
    world_eval(&world, "return json.encode({ [true] = 1 })");
    world_failed(&world, "RecipeError", "not boolean");
    world_eval(&world, "return json.encode()");
    world_failed(&world, "RecipeError", "value expected");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_and_writes_json),
        TEST(writes_maps_in_the_order_of_their_keys),
        TEST(writes_numbers_as_short_as_they_can_be_read_back),
        TEST(refuses_numbers_that_would_be_rounded),
        TEST(accepts_the_json_that_jansson_accepts),
        TEST(says_where_json_is_wrong),
        TEST(escapes_text_and_replaces_what_is_not_utf8),
        TEST(writes_the_shortest_messagepack),
        TEST(reads_every_form_of_messagepack),
        TEST(refuses_messagepack_that_is_malformed_or_not_for_lua),
        TEST(tells_text_from_other_bytes),
        TEST(writes_what_msgpack_c_writes),
        TEST(keeps_an_empty_list_a_list),
        TEST(has_a_null_that_is_not_nil),
        TEST(refuses_what_has_no_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
