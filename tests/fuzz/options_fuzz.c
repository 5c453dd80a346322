/* Any bytes as a configuration file. Each entry is taken or refused with a reason; whatever comes of
 * it, every option can be written down, and what is written down is taken and means the same. */
#include "admin/admin.h"
#include "edge/options.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Set all options of a fresh set to what `options` says, and compare. */
static void write_and_read(const struct edge_options *options)
{
    struct edge_options again;
    struct mk_error error;
    struct mk_buf text = {0};
    struct mk_buf text_again = {0};

    edge_options_default(&again);
    for (size_t i = 0; option_name(i) != NULL; i++) {
        text.len = 0;
        text_again.len = 0;
        option_value(options, i, &text);
        mk_buf_put_u8(&text, 0);
        if (text.len == 1 || text.data[0] == '(') {
            continue; /* not set, or a set of words, which is not written down */
        }
        enum mk_status status = option_set(&again, option_name(i), (const char *)text.data, &error);
        MK_ASSERT(status == MK_OK);
        option_value(&again, i, &text_again);
        mk_buf_put_u8(&text_again, 0);
        MK_ASSERT(mk_bytes_equal(mk_buf_view(&text), mk_buf_view(&text_again)));
    }
    mk_buf_free(&text);
    mk_buf_free(&text_again);
    edge_options_free(&again);
}

static void words_try(struct mk_bytes list)
{
    uint32_t words;
    if (admin_words_parse(list, &words) == MK_OK) {
        MK_ASSERT(words != 0 || list.len == 0 || list.data[0] == ',' || list.data[0] == ' ');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mk_bytes text = {data, size};
    struct mk_properties properties = mk_properties_of(text);
    struct mk_property property = {0};
    struct edge_options options;
    struct mk_error error;
    unsigned line = 0;

    edge_options_default(&options);
    while (mk_properties_next(&properties, &property) == MK_OK) {
        MK_ASSERT(properties.line > line);
        line = properties.line;
        MK_ASSERT(strlen((const char *)property.key.data) == property.key.len);
        error.text[0] = '\0';
        enum mk_status status = option_set(&options, (const char *)property.key.data,
                                           (const char *)property.value.data, &error);
        MK_ASSERT((status == MK_OK) == (error.text[0] == '\0'));
        MK_ASSERT(status == MK_OK || status == MK_BAD_ARGUMENTS);
    }
    write_and_read(&options);
    if (options_check(&options, &error) == MK_OK) {
        MK_ASSERT(options.server.session_timeout_min_ms <= options.server.session_timeout_max_ms);
    }
    words_try(text);
    mk_property_free(&property);
    edge_options_free(&options);
    return 0;
}
