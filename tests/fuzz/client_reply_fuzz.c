/* Any bytes as a server's answer to the client library: a byte that chooses the request, one that
 * chooses the chroot, then the frame. A server is believed nothing; what is taken from it lies below the
 * chroot, is as long as it says, and can be read to its end. */
#include "client/codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum moonkeeper_op ops[] = {
    MOONKEEPER_CREATE,
    MOONKEEPER_DELETE,
    MOONKEEPER_EXISTS,
    MOONKEEPER_GET,
    MOONKEEPER_SET,
    MOONKEEPER_GET_ACL,
    MOONKEEPER_SET_ACL,
    MOONKEEPER_CHILDREN,
    MOONKEEPER_SYNC,
    MOONKEEPER_CHILDREN2,
    MOONKEEPER_MULTI,
    MOONKEEPER_RECONFIG,
    MOONKEEPER_MULTI_READ,
    MOONKEEPER_REMOVE_WATCHES,
    MOONKEEPER_AUTH,
    MOONKEEPER_ADD_WATCH,
    MOONKEEPER_GET_EPHEMERALS,
    MOONKEEPER_GET_ALL_CHILDREN_NUMBER,
    MOONKEEPER_WHO_AM_I,
    MOONKEEPER_CALL,
    MOONKEEPER_CALLS,
    MOONKEEPER_GET_CONFIG,
};
static const uint8_t writes[] = {JUTE_CREATE2, JUTE_DELETE, JUTE_CHECK, JUTE_SET_DATA,
                                 JUTE_CREATE_CONTAINER};
static const uint8_t reads[] = {JUTE_GET_DATA, JUTE_GET_CHILDREN, JUTE_GET_DATA};

/* So that a pointer to anywhere else is found out. */
static volatile size_t sink;

static void string_walk(const char *string)
{
    if (string != NULL) {
        sink += strlen(string);
    }
}

static void result_walk(const struct moonkeeper_result *result)
{
    string_walk(result->path);
    string_walk(result->call_error);
    string_walk(result->call_message);
    for (size_t i = 0; i < result->data_bytes; i++) {
        sink += ((const uint8_t *)result->data)[i];
    }
    MK_ASSERT(result->data == NULL || ((const char *)result->data)[result->data_bytes] == '\0');
    for (size_t i = 0; i < result->names_count; i++) {
        string_walk(result->names[i]);
    }
    for (size_t i = 0; i < result->acls_count; i++) {
        string_walk(result->acls[i].scheme);
        string_walk(result->acls[i].id);
    }
    for (size_t i = 0; i < result->identities_count; i++) {
        string_walk(result->identities[i].scheme);
    }
    for (size_t i = 0; i < result->results_count; i++) {
        result_walk(&result->results[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct client_asked asked = {.op = ops[data[0] % MK_COUNT(ops)]};
    struct mk_bytes chroot = data[1] & 1 ? MK_BYTES("/app") : MK_BYTES("");
    struct jute_reply reply;
    if (jute_reply_decode(mk_bytes_of(data + 2, size - 2), &reply) != MK_OK) {
        return 0;
    }
    if (asked.op == MOONKEEPER_MULTI) {
        asked.multi = mk_bytes_of(writes, data[1] / 2 % (MK_COUNT(writes) + 1));
    } else if (asked.op == MOONKEEPER_MULTI_READ) {
        asked.multi = mk_bytes_of(reads, data[1] / 2 % (MK_COUNT(reads) + 1));
    }

    struct mk_arena arena = {0};
    struct moonkeeper_result result = {0};
    if (client_result_decode(&asked, &reply, chroot, &arena, &result)) {
        result_walk(&result);
        MK_ASSERT(result.results_count == 0 || result.results_count == asked.multi.len);
    } else {
        struct moonkeeper_result nothing = {.zxid = result.zxid};
        MK_ASSERT(memcmp(&result, &nothing, sizeof(result)) == 0);
    }
    mk_arena_free(&arena);
    return 0;
}
