#include "frames.h"

#include <string.h>

#define BLOCKS_MAX 65536 /* every prefix of every golden frame, several times over */

struct frames {
    size_t count;
    void *blocks[BLOCKS_MAX];
};

int frames_setup(void **state)
{
    *state = mk_alloc_zero(1, sizeof(struct frames));
    return 0;
}

int frames_teardown(void **state)
{
    struct frames *frames = *state;
    for (size_t i = 0; i < frames->count; i++) {
        mk_free(frames->blocks[i]);
    }
    mk_free(frames);
    return 0;
}

struct mk_bytes copy(void **state, struct mk_bytes bytes)
{
    struct frames *frames = *state;
    MK_ASSERT(frames->count < BLOCKS_MAX);
    uint8_t *block = mk_alloc(bytes.len);
    if (bytes.len > 0) {
        memcpy(block, bytes.data, bytes.len);
    }
    frames->blocks[frames->count++] = block;
    return mk_bytes_of(block, bytes.len);
}

static uint8_t digit(char c)
{
    MK_ASSERT((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

struct mk_bytes hex(void **state, const char *digits)
{
    struct mk_buf out = {0};
    const char *at = digits;
    while (*at != '\0') {
        if (*at == ' ' || *at == '\n') {
            at++;
            continue;
        }
        mk_buf_put_u8(&out, (uint8_t)(digit(at[0]) << 4 | digit(at[1])));
        at += 2;
    }
    struct mk_bytes bytes = copy(state, mk_buf_view(&out));
    mk_buf_free(&out);
    return bytes;
}

struct mk_bytes payload(struct mk_bytes frame)
{
    assert_true(frame.len >= 4);
    assert_int_equal(mk_load_u32(frame.data), frame.len - 4);
    return mk_bytes_of(frame.data + 4, frame.len - 4);
}

void assert_bytes(struct mk_bytes actual, struct mk_bytes expected)
{
    assert_int_equal(actual.len, expected.len);
    assert_non_null(actual.data);
    if (expected.len > 0) {
        assert_memory_equal(actual.data, expected.data, expected.len);
    }
}

void assert_text(struct mk_bytes actual, const char *expected)
{
    assert_bytes(actual, mk_bytes_text(expected));
}

void assert_null_bytes(struct mk_bytes actual)
{
    assert_ptr_equal(actual.data, NULL);
    assert_int_equal(actual.len, 0);
}

void assert_encoded(void **state, struct mk_buf *out, const char *digits)
{
    assert_bytes(mk_buf_view(out), hex(state, digits));
    mk_buf_free(out);
}

const struct golden golden_requests[] = {
    {"ping", -2, JUTE_PING, "00000008 fffffffe 0000000b"},
    {"auth digest bob:secret", -4, JUTE_AUTH,
     "00000024 fffffffc 00000064 00000000 00000006 646967657374 0000000a 626f623a736563726574"},
    {"auth nosuch", -4, JUTE_AUTH,
     "0000001b fffffffc 00000064 00000000 00000006 6e6f73756368 00000001 78"},
    {"sasl", 0x15, JUTE_SASL, "0000000c 00000015 00000066 00000000"},
    {"whoAmI", 10, JUTE_WHO_AM_I, "00000008 0000000a 0000006b"},
    {"closeSession", 11, JUTE_CLOSE_SESSION, "00000008 0000000b fffffff5"},
    {"create /a", 1, JUTE_CREATE,
     "00000033 00000001 00000001 00000002 2f61 00000002 6869 " OPEN_ACL " 00000000"},
    {"create2 /a/b", 2, JUTE_CREATE2,
     "00000033 00000002 0000000f 00000004 2f612f62 00000000 " OPEN_ACL " 00000003"},
    {"createContainer /c", 1, JUTE_CREATE_CONTAINER,
     "00000031 00000001 00000013 00000002 2f63 00000000 " OPEN_ACL " 00000004"},
    {"createTTL /t", 2, JUTE_CREATE_TTL,
     "00000039 00000002 00000015 00000002 2f74 00000000 " OPEN_ACL " 00000005 000000000000ea60"},
    {"create /e- with null data", 3, JUTE_CREATE,
     "00000032 00000003 00000001 00000003 2f652d ffffffff " OPEN_ACL " 00000003"},
    {"getData /a", 3, JUTE_GET_DATA, "0000000f 00000003 00000004 00000002 2f61 01"},
    {"exists /nope", 5, JUTE_EXISTS, "00000012 00000005 00000003 00000005 2f6e6f7065 00"},
    {"getChildren /zookeeper", 7, JUTE_GET_CHILDREN,
     "00000017 00000007 00000008 0000000a 2f7a6f6f6b6565706572 00"},
    {"getChildren2 /a", 6, JUTE_GET_CHILDREN2, "0000000f 00000006 0000000c 00000002 2f61 00"},
    {"getEphemerals /", 4, JUTE_GET_EPHEMERALS, "0000000d 00000004 00000067 00000001 2f"},
    {"getAllChildrenNumber /", 5, JUTE_GET_ALL_CHILDREN_NUMBER,
     "0000000d 00000005 00000068 00000001 2f"},
    {"sync /c", 6, JUTE_SYNC, "0000000e 00000006 00000009 00000002 2f63"},
    {"getACL /c", 9, JUTE_GET_ACL, "0000000e 00000009 00000006 00000002 2f63"},
    {"setData /a", 4, JUTE_SET_DATA,
     "00000018 00000004 00000005 00000002 2f61 00000002 796f ffffffff"},
    {"setACL /c", 8, JUTE_SET_ACL,
     "0000003d 00000008 00000007 00000002 2f63 00000002 0000001f 00000004 61757468 00000000"
     "00000001 00000005 776f726c64 00000006 616e796f6e65 00000000"},
    {"delete /t version 7", 10, JUTE_DELETE, "00000012 0000000a 00000002 00000002 2f74 00000007"},
    {"delete /t", 11, JUTE_DELETE, "00000012 0000000b 00000002 00000002 2f74 ffffffff"},
    {"reconfig", 20, JUTE_RECONFIG,
     "00000032 00000014 00000010 ffffffff ffffffff"
     "00000016 7365727665722e313d3132372e302e302e313a313a32 ffffffffffffffff"},
    {"addWatch /a", 9, JUTE_ADD_WATCH, "00000012 00000009 0000006a 00000002 2f61 00000001"},
    {"addWatch /p with a mode that is none", 19, JUTE_ADD_WATCH,
     "00000012 00000013 0000006a 00000002 2f70 00000009"},
    {"setWatches", -8, JUTE_SET_WATCHES,
     "00000022 fffffff8 00000065 0000000000000000 00000001 00000002 2f61 00000000 00000000"},
    {"setWatches2", -8, JUTE_SET_WATCHES2,
     "00000030 fffffff8 00000069 0000000000000000 00000000 00000000 00000000"
     "00000001 00000002 2f70 00000001 00000002 2f72"},
    {"exists /t", 12, JUTE_EXISTS, "0000000f 0000000c 00000003 00000002 2f74 01"},
    {"checkWatches /t", 13, JUTE_CHECK_WATCHES,
     "00000012 0000000d 00000011 00000002 2f74 00000002"},
    {"removeWatches /t", 14, JUTE_REMOVE_WATCHES,
     "00000012 0000000e 00000012 00000002 2f74 00000003"},
    {"multi: create, check, delete", 7, JUTE_MULTI,
     "0000006c 00000007 0000000e"
     "00000001 00 ffffffff 00000002 2f6d 00000000 " OPEN_ACL " 00000000"
     "0000000d 00 ffffffff 00000005 2f6e6f7065 00000000"
     "00000002 00 ffffffff 00000002 2f61 ffffffff"
     "ffffffff 01 ffffffff"},
    {"multi: check, setData", 8, JUTE_MULTI,
     "0000003c 00000008 0000000e"
     "0000000d 00 ffffffff 00000002 2f61 00000001"
     "00000005 00 ffffffff 00000002 2f61 00000001 7a 00000001"
     "ffffffff 01 ffffffff"},
    {"multi: create2, createContainer, delete", 17, JUTE_MULTI,
     "00000088 00000011 0000000e"
     "0000000f 00 ffffffff 00000002 2f78 00000000 " OPEN_ACL " 00000000"
     "00000013 00 ffffffff 00000002 2f79 00000000 " OPEN_ACL " 00000004"
     "00000002 00 ffffffff 00000002 2f78 00000000"
     "ffffffff 01 ffffffff"},
    {"multi of nothing", 18, JUTE_MULTI, "00000011 00000012 0000000e ffffffff 01 ffffffff"},
    {"multiRead", 16, JUTE_MULTI_READ,
     "0000004f 00000010 00000016"
     "00000004 00 ffffffff 0000000d 2f652d30303030303030303032 00"
     "00000008 00 ffffffff 00000002 2f63 00"
     "00000004 00 ffffffff 00000005 2f6e6f7065 00"
     "ffffffff 01 ffffffff"},
    {"call lock.acquire", 30, JUTE_CALL,
     "00000036 0000001e 000002bc 0000000c 6c6f636b2e61637175697265"
     "0000000000000007 0000000000000005 00000002 2f78 00 00000003 7b2020"},
    {"call lock.acquire, dry run", 31, JUTE_CALL,
     "00000036 0000001f 000002bc 0000000c 6c6f636b2e61637175697265"
     "0000000000000007 0000000000000005 00000002 2f78 80 00000003 7b2020"},
    {"calls", 32, JUTE_CALLS, "00000014 00000020 000002bd 0000000100000007 00000064"},
};
const size_t golden_requests_count = MK_COUNT(golden_requests);
