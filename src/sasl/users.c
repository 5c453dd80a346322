/* The users' file: what ZooKeeper's operators have already, a JAAS configuration.
 *
 *     Server {
 *         org.apache.zookeeper.server.auth.DigestLoginModule required
 *         user_super="secret"
 *         user_bob="bobsecret";
 *     };
 *
 * A file is any number of sections; a section is a name, and in braces any number of modules; a module is
 * a class, a flag and options, ended by a semicolon. Comments are C's and C++'s. Only the one section is
 * looked into, the others are read over. */
#include "sasl/sasl.h"

#include <string.h>

#define USER_PREFIX "user_"
#define MODULE "DigestLoginModule"

struct sasl_users {
    struct mk_arena texts;
    size_t count;
    size_t cap;
    struct sasl_user {
        struct mk_bytes name, password;
    } * list;
};

struct sasl_users *sasl_users_new(void)
{
    return mk_alloc_zero(1, sizeof(struct sasl_users));
}

void sasl_users_free(struct sasl_users *users)
{
    if (users != NULL) {
        mk_arena_free(&users->texts);
        mk_free(users->list);
        mk_free(users);
    }
}

size_t sasl_users_count(const struct sasl_users *users)
{
    return users->count;
}

static struct sasl_user *find(const struct sasl_users *users, struct mk_bytes name)
{
    for (size_t i = 0; i < users->count; i++) {
        if (mk_bytes_equal(users->list[i].name, name)) {
            return &users->list[i];
        }
    }
    return NULL;
}

struct mk_bytes sasl_users_find(const struct sasl_users *users, struct mk_bytes name,
                                struct mk_bytes *kept_name)
{
    const struct sasl_user *user = find(users, name);

    *kept_name = user != NULL ? user->name : MK_BYTES_NULL;
    return user != NULL ? user->password : MK_BYTES_NULL;
}

/* An identity is the user's name as it is. ZooKeeper takes / and @ for the parts of a Kerberos name, of
 * which it keeps the first. */
static bool name_possible(struct mk_bytes name)
{
    return name.len > 0 && memchr(name.data, '/', name.len) == NULL &&
           memchr(name.data, '@', name.len) == NULL;
}

enum mk_status sasl_users_put(struct sasl_users *users, struct mk_bytes name,
                              struct mk_bytes password, struct mk_error *error)
{
    struct sasl_user *user = find(users, name);

    if (!name_possible(name)) {
        mk_error_set(error, "\"%.*s\" cannot be a user: a name is not empty and has no / or @",
                     (int)name.len, (const char *)name.data);
        return MK_BAD_ARGUMENTS;
    }
    if (user == NULL && users->count == SASL_USERS_MAX) {
        mk_error_set(error, "there are more than %d users", SASL_USERS_MAX);
        return MK_BAD_ARGUMENTS;
    }
    if (user == NULL) {
        if (users->count == users->cap) {
            users->cap = users->cap * 2 + 16;
            users->list = mk_realloc(users->list, users->cap * sizeof(*users->list));
        }
        user = &users->list[users->count++];
        user->name = mk_arena_copy(&users->texts, name);
    }
    user->password = mk_arena_copy(&users->texts, password);
    return MK_OK;
}

/* ---- Tokens: words, strings, and { } ; = ---- */

enum token_kind { TOKEN_END, TOKEN_TEXT, TOKEN_MARK, TOKEN_BAD };

struct jaas {
    struct sasl_users *users;
    struct mk_error *error;
    const uint8_t *at, *end;
    unsigned line;
    enum token_kind kind;
    struct mk_buf text; /* TOKEN_TEXT: unquoted; TOKEN_MARK: the mark */
};

static bool starts(const struct jaas *jaas, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(jaas->end - jaas->at) >= len && memcmp(jaas->at, text, len) == 0;
}

static void pass(struct jaas *jaas)
{
    jaas->line += *jaas->at == '\n';
    jaas->at++;
}

static void pass_through(struct jaas *jaas, const char *close)
{
    while (jaas->at < jaas->end && !starts(jaas, close)) {
        pass(jaas);
    }
    for (size_t i = strlen(close); i > 0 && jaas->at < jaas->end; i--) {
        pass(jaas);
    }
}

static void pass_blanks(struct jaas *jaas)
{
    while (jaas->at < jaas->end) {
        if (starts(jaas, "//")) {
            pass_through(jaas, "\n");
        } else if (starts(jaas, "/*")) {
            pass_through(jaas, "*/");
        } else if (*jaas->at <= ' ') {
            pass(jaas);
        } else {
            return;
        }
    }
}

static bool is_mark(uint8_t byte)
{
    return byte == '{' || byte == '}' || byte == ';' || byte == '=';
}

static void string_take(struct jaas *jaas)
{
    pass(jaas);
    jaas->kind = TOKEN_TEXT;
    while (jaas->at < jaas->end && *jaas->at != '"' && *jaas->at != '\n') {
        if (*jaas->at == '\\' && jaas->at + 1 < jaas->end) {
            jaas->at++;
        }
        mk_buf_put_u8(&jaas->text, *jaas->at);
        pass(jaas);
    }
    if (jaas->at == jaas->end || *jaas->at != '"') {
        jaas->kind = TOKEN_BAD;
        return;
    }
    pass(jaas);
}

static void token_next(struct jaas *jaas)
{
    jaas->text.len = 0;
    pass_blanks(jaas);
    if (jaas->at == jaas->end) {
        jaas->kind = TOKEN_END;
    } else if (*jaas->at == '"') {
        string_take(jaas);
    } else if (is_mark(*jaas->at)) {
        jaas->kind = TOKEN_MARK;
        mk_buf_put_u8(&jaas->text, *jaas->at++);
    } else {
        jaas->kind = TOKEN_TEXT;
        while (jaas->at<jaas->end && * jaas->at> ' ' && !is_mark(*jaas->at) && *jaas->at != '"') {
            mk_buf_put_u8(&jaas->text, *jaas->at++);
        }
    }
}

static bool at_mark(const struct jaas *jaas, char mark)
{
    return jaas->kind == TOKEN_MARK && jaas->text.data[0] == (uint8_t)mark;
}

/* ---- Grammar ---- */

static enum mk_status expected(const struct jaas *jaas, const char *what)
{
    if (jaas->kind == TOKEN_BAD) {
        what = "the closing quote";
    }
    mk_error_set(jaas->error, "line %u: expected %s", jaas->line, what);
    return MK_BAD_ARGUMENTS;
}

static enum mk_status mark_pass(struct jaas *jaas, char mark, const char *what)
{
    if (!at_mark(jaas, mark)) {
        return expected(jaas, what);
    }
    token_next(jaas);
    return MK_OK;
}

/* key = value */
static enum mk_status option_read(struct jaas *jaas, bool wanted)
{
    struct mk_buf key = {0};

    mk_buf_append_bytes(&key, mk_buf_view(&jaas->text));
    token_next(jaas);
    enum mk_status status = mark_pass(jaas, '=', "= behind the name of an option");
    if (status == MK_OK && jaas->kind != TOKEN_TEXT) {
        status = expected(jaas, "a value");
    }
    struct mk_bytes name = mk_buf_view(&key);
    if (status == MK_OK && wanted && mk_bytes_starts(name, MK_BYTES(USER_PREFIX))) {
        struct mk_error why = {""};
        size_t prefix = sizeof(USER_PREFIX) - 1;
        struct mk_bytes password = jaas->text.len > 0 ? mk_buf_view(&jaas->text) : MK_BYTES("");
        status = sasl_users_put(jaas->users, mk_bytes_of(name.data + prefix, name.len - prefix),
                                password, &why);
        if (status != MK_OK) {
            mk_error_set(jaas->error, "line %u: %s", jaas->line, why.text);
        }
    }
    if (status == MK_OK) {
        token_next(jaas);
    }
    mk_buf_free(&key);
    return status;
}

static bool ends(struct mk_bytes text, struct mk_bytes end)
{
    return text.len >= end.len && memcmp(text.data + text.len - end.len, end.data, end.len) == 0;
}

/* class flag option... ; */
static enum mk_status module_read(struct jaas *jaas, bool wanted)
{
    enum mk_status status = MK_OK;

    if (jaas->kind != TOKEN_TEXT) {
        return expected(jaas, "the class of a login module, or }");
    }
    if (wanted && !ends(mk_buf_view(&jaas->text), MK_BYTES(MODULE))) {
        mk_error_set(jaas->error,
                     "line %u: %.*s: only " MODULE " is available, that is, DIGEST-MD5", jaas->line,
                     (int)jaas->text.len, (const char *)jaas->text.data);
        return MK_BAD_ARGUMENTS;
    }
    token_next(jaas);
    if (jaas->kind != TOKEN_TEXT) {
        return expected(jaas, "required, or another flag of a login module");
    }
    token_next(jaas);
    while (status == MK_OK && jaas->kind == TOKEN_TEXT) {
        status = option_read(jaas, wanted);
    }
    return status == MK_OK ? mark_pass(jaas, ';', "an option, or ; behind the last") : status;
}

/* name { module... } ; */
static enum mk_status section_read(struct jaas *jaas, const char *section, bool *found)
{
    if (jaas->kind != TOKEN_TEXT) {
        return expected(jaas, "the name of a section");
    }
    bool wanted = mk_bytes_equal(mk_buf_view(&jaas->text), mk_bytes_text(section));
    *found = *found || wanted;
    token_next(jaas);
    enum mk_status status = mark_pass(jaas, '{', "{ behind the name of a section");
    while (status == MK_OK && !at_mark(jaas, '}')) {
        status = module_read(jaas, wanted);
    }
    if (status == MK_OK) {
        status = mark_pass(jaas, '}', "}");
    }
    return status == MK_OK ? mark_pass(jaas, ';', "; behind the } of a section") : status;
}

enum mk_status sasl_users_parse(struct sasl_users *users, struct mk_bytes file, const char *section,
                                struct mk_error *error)
{
    struct jaas jaas = {.users = users, .error = error, .line = 1};
    enum mk_status status = MK_OK;
    bool found = false;

    jaas.at = file.data;
    jaas.end = file.len > 0 ? file.data + file.len : file.data;
    token_next(&jaas);
    while (status == MK_OK && jaas.kind != TOKEN_END) {
        status = section_read(&jaas, section, &found);
    }
    if (status == MK_OK && !found) {
        mk_error_set(error, "there is no section %s in it", section);
        status = MK_BAD_ARGUMENTS;
    }
    mk_buf_free(&jaas.text);
    return status;
}
