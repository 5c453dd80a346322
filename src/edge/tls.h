/* Private to edge: TLS, as bytes. Records of one side come in, plain bytes come out, and the other way
 * round; sockets, and when to read from them, are the stream's. All of libssl that edge needs is behind
 * this. Certificates are verified whenever they are shown; nothing is resumed, renegotiated or compressed. */
#ifndef EDGE_TLS_H
#define EDGE_TLS_H

#include "edge/edge.h"

/* What the connections of one kind have in common: the own certificate, whom to trust, which ciphers. */
struct tls;
/* From the options, which must outlive it, and the files that they name; `prefix` is what their names begin
 * with. NULL: `error` says what is wrong with which. */
struct tls *tls_new(const struct edge_tls_options *options, const char *prefix,
                    struct mk_error *error);
void tls_free(struct tls *tls); /* sessions may go on */
/* Read the files again: sessions from now on use what is in them. Anything but MK_OK: all stays as it was. */
enum mk_status tls_reload(struct tls *tls, struct mk_error *error);
/* When the own certificate ends, in seconds since 1970. */
int64_t tls_expires(const struct tls *tls);
const struct edge_tls_options *tls_options(const struct tls *tls);

/* One connection. */
struct tls_session;
/* Records to send are appended to `records`, from within any of the calls below. */
struct tls_session *tls_accept(struct tls *tls, struct mk_buf *records);
/* `host` was dialled: if the options want it, its certificate must be one for it. */
struct tls_session *tls_dial(struct tls *tls, const char *host, struct mk_buf *records);
void tls_session_free(struct tls_session *session);

/* Records have arrived: tls_handshake() or tls_read() must use them up before `records` goes. */
void tls_show(struct tls_session *session, struct mk_bytes records);
/* MK_OK: both know each other. MK_WOULD_BLOCK: more must arrive. MK_IO: tls_why(). */
enum mk_status tls_handshake(struct tls_session *session);
/* Plain bytes, at most `room`. MK_OK: *count of them, more than 0. MK_WOULD_BLOCK: more must arrive.
 * MK_END: the other side sends nothing any more. MK_IO: tls_why(). */
enum mk_status tls_read(struct tls_session *session, uint8_t *plain, size_t room, size_t *count);
/* All of `plain` becomes records. MK_IO: tls_why(). */
enum mk_status tls_write(struct tls_session *session, struct mk_bytes plain);
void tls_end(struct tls_session *session); /* says that no more comes */

/* Why it failed: a sentence about the other side, "its certificate has expired"; never freed. */
const char *tls_why(const struct tls_session *session);
/* The subject of the other side's certificate, accepted or not, as Java writes it: RFC 2253. False: it has
 * shown none, or one that cannot be written so. */
bool tls_subject(const struct tls_session *session, struct mk_buf *out);
/* Whether the other side's certificate is one for `host`, a name or an address; true if the options do not
 * ask for that of who connects here. */
bool tls_client_is(const struct tls_session *session, const char *host);

#endif
