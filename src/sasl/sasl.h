/* SASL as ZooKeeper speaks it: DIGEST-MD5 (RFC 2831), the server's side, and the users' file.
 *
 * Two tokens each way: whatever the client sends first is answered with a challenge; its response with
 * the proof that the server knows the password too, or with a failure. Functions of their arguments:
 * what must not be guessed, the nonce, follows from a secret that the caller hands in. Called by the
 * server, which says what becomes of the connection, and by the edge, which reads the file.
 *
 * No library of mechanisms is behind it: ZooKeeper's challenge is reproduced byte for byte, one
 * mechanism is no negotiation, and nothing is loaded into the process at run time. */
#ifndef MK_SASL_H
#define MK_SASL_H

#include "base/base.h"

/* ---- Users: name and password, from a file in the syntax of JAAS ---- */

/* All are looked at for each login: 10,000 take some 50 microseconds. */
#define SASL_USERS_MAX 10000
#define SASL_FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct sasl_users;
struct sasl_users *sasl_users_new(void);
void sasl_users_free(struct sasl_users *users); /* NULL is fine */
/* Add one, or replace the password of one that is there. MK_BAD_ARGUMENTS: the name cannot be one, or
 * there are SASL_USERS_MAX. */
enum mk_status sasl_users_put(struct sasl_users *users, struct mk_bytes name,
                              struct mk_bytes password, struct mk_error *error);
/* The user_<name>="<password>" options of the DigestLoginModule in `section` of a file that a JVM would
 * be given as java.security.auth.login.config. MK_BAD_ARGUMENTS: `error` names the line. */
enum mk_status sasl_users_parse(struct sasl_users *users, struct mk_bytes file, const char *section,
                                struct mk_error *error);
size_t sasl_users_count(const struct sasl_users *users);
/* The password of `name`, and the name itself, as `users` keeps them; null: there is no such user. */
struct mk_bytes sasl_users_find(const struct sasl_users *users, struct mk_bytes name,
                                struct mk_bytes *kept_name);

/* ---- One exchange; a connection has at most one ---- */

#define SASL_NONCE_BYTES 40
#define SASL_TOKEN_BYTES_MAX 4096 /* RFC 2831, section 2.1.2: a longer response is to be refused */

enum sasl_state { SASL_BEGIN, SASL_CHALLENGED, SASL_DONE };
struct sasl_exchange {
    enum sasl_state state;
    uint8_t nonce[SASL_NONCE_BYTES];
};

/* `number` must not come twice with one `secret`, of which 32 bytes are random. */
void sasl_exchange_begin(struct sasl_exchange *exchange, struct mk_bytes secret, uint64_t number);
/* The client's next token. MK_OK: the server's is appended to `reply`; `*user` is whom the client has
 * proved to be (it borrows from `users`), or null if that is still to come. MK_AUTH_FAILED: the
 * exchange is over, and nobody learns whether the user exists. */
enum mk_status sasl_exchange_step(struct sasl_exchange *exchange, const struct sasl_users *users,
                                  struct mk_bytes token, struct mk_buf *reply,
                                  struct mk_bytes *user);

#endif
