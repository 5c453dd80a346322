/* Private to sasl: what a client's response says. */
#ifndef MK_SASL_DIRECTIVES_H
#define MK_SASL_DIRECTIVES_H

#include "base/base.h"

enum directive {
    DIRECTIVE_USERNAME,
    DIRECTIVE_REALM,
    DIRECTIVE_NONCE,
    DIRECTIVE_CNONCE,
    DIRECTIVE_NC,
    DIRECTIVE_QOP,
    DIRECTIVE_DIGEST_URI,
    DIRECTIVE_RESPONSE,
    DIRECTIVE_CHARSET,
    DIRECTIVE_AUTHZID,
    DIRECTIVES
};
struct directives {
    struct mk_bytes values[DIRECTIVES]; /* unquoted; null: not given */
};

/* Name=value or name="value", with commas between. Names that are not listed above are passed over, as
 * the RFC has it. Values without a backslash borrow from `text`, others are in `scraps`. False: it is
 * not that, or a directive comes twice. */
bool directives_parse(struct mk_bytes text, struct mk_arena *scraps, struct directives *out);

#endif
