/* A certificate's subject as text, exactly as Java writes it, because ACLs compare it so: RFC 2253, the last
 * part first, "," between parts and "+" within one; types that the RFC names by their short names, others by
 * number with the value's DER in hex. Source: what X500Principal.getName() returns for the names in
 * tests/compat/tls_test.py. */
#include "edge/tls_session.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <string.h>

#define OID_BYTES_MAX 128 /* of an object identifier as text; a longer one is refused */

static const char *keyword_of(int nid)
{
    switch (nid) {
    case NID_commonName: return "CN";
    case NID_countryName: return "C";
    case NID_localityName: return "L";
    case NID_stateOrProvinceName: return "ST";
    case NID_organizationName: return "O";
    case NID_organizationalUnitName: return "OU";
    case NID_streetAddress: return "STREET";
    case NID_domainComponent: return "DC";
    case NID_userId: return "UID";
    default: return NULL;
    }
}

static bool is_text(int type)
{
    return type == V_ASN1_PRINTABLESTRING || type == V_ASN1_UTF8STRING ||
           type == V_ASN1_T61STRING || type == V_ASN1_IA5STRING || type == V_ASN1_GENERALSTRING ||
           type == V_ASN1_BMPSTRING || type == V_ASN1_UNIVERSALSTRING;
}

/* Blanks at either end are escaped, and so is what means something in such a name. */
static void text_write(struct mk_bytes text, struct mk_buf *out)
{
    size_t lead = 0, trail = text.len;

    while (lead < text.len && (text.data[lead] == ' ' || text.data[lead] == '\r')) {
        lead++;
    }
    while (trail > lead && (text.data[trail - 1] == ' ' || text.data[trail - 1] == '\r')) {
        trail--;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte == '\0') {
            mk_buf_append(out, "\\00", 3);
            continue;
        }
        if (i < lead || i >= trail || strchr(",=+<>#;\"\\", byte) != NULL) {
            mk_buf_put_u8(out, '\\');
        }
        mk_buf_put_u8(out, byte);
    }
}

static bool hex_write(const ASN1_STRING *value, struct mk_buf *out)
{
    ASN1_TYPE type = {.type = ASN1_STRING_type(value), .value.asn1_string = NULL};
    unsigned char *der = NULL;

    type.value.asn1_string = (ASN1_STRING *)(uintptr_t)value;
    int length = i2d_ASN1_TYPE(&type, &der);
    if (length <= 0) {
        return false;
    }
    mk_buf_put_u8(out, '#');
    for (int i = 0; i < length; i++) {
        mk_buf_printf(out, "%02x", der[i]);
    }
    OPENSSL_free(der);
    return true;
}

static bool entry_write(const X509_NAME_ENTRY *entry, struct mk_buf *out)
{
    ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
    const char *keyword = keyword_of(OBJ_obj2nid(object));
    char oid[OID_BYTES_MAX];

    if (keyword == NULL) {
        int length = OBJ_obj2txt(oid, sizeof(oid), object, 1);
        if (length <= 0 || (size_t)length >= sizeof(oid)) {
            return false;
        }
    }
    mk_buf_printf(out, "%s=", keyword != NULL ? keyword : oid);
    if (keyword == NULL || !is_text(ASN1_STRING_type(value))) {
        return hex_write(value, out);
    }
    struct mk_bytes text =
        mk_bytes_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    text_write(text, out);
    return true;
}

static bool is_utf8(const uint8_t *text, size_t len)
{
    unsigned long character = 0;

    while (len > 0) {
        int used = UTF8_getc(text, len > 8 ? 8 : (int)len, &character);
        if (used <= 0) {
            return false;
        }
        text += used;
        len -= (size_t)used;
    }
    return true;
}

bool tls_name_write(X509_NAME *name, struct mk_buf *out)
{
    int count = X509_NAME_entry_count(name);

    for (int end = count; end > 0;) {
        int begin = end - 1;
        int set = X509_NAME_ENTRY_set(X509_NAME_get_entry(name, begin));
        while (begin > 0 && X509_NAME_ENTRY_set(X509_NAME_get_entry(name, begin - 1)) == set) {
            begin--;
        }
        for (int i = begin; i < end; i++) {
            if (end < count || i > begin) {
                mk_buf_put_u8(out, i > begin ? '+' : ',');
            }
            if (!entry_write(X509_NAME_get_entry(name, i), out)) {
                return false;
            }
        }
        end = begin;
    }
    return is_utf8(out->data, out->len);
}
