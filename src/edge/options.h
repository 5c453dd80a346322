/* Private to edge: one option at a time, wherever it was written. */
#ifndef EDGE_OPTIONS_H
#define EDGE_OPTIONS_H

#include "edge/edge.h"

/* Set the option `key`, with or without "zookeeper." before it, to what `value` says. MK_OK also for keys that only ZooKeeper has a use for:
 * they are added to options->ignored. MK_BAD_ARGUMENTS: the key is unknown (`error` suggests the
 * nearest), the value is not one, or what it asks for is not available. */
enum mk_status option_set(struct edge_options *options, const char *key, const char *value,
                          struct mk_error *error);
/* What no single option can see: that they fit together. Fills in what follows from others. */
enum mk_status options_check(struct edge_options *options, struct mk_error *error);
/* The n-th of our own options' names; NULL behind the last. */
const char *option_name(size_t index);
/* The value that option has now, as it would be written; for tests of the manual. */
void option_value(const struct edge_options *options, size_t index, struct mk_buf *out);

/* ... those of authentication: option_auth.c. */
enum mk_status options_super_user_add(struct edge_options *options, const char *user,
                                      struct mk_error *error); /* superUser.N */
enum mk_status options_auth_check(struct edge_options *options, struct mk_error *error);

/* ... those of TLS: option_tls.c. Who has it, and which ports there are. */
void options_tls_settle(struct edge_options *options);

/* ... those of an ensemble: option_ensemble.c. A line server.N, group.N or weight.N. */
enum mk_status options_ensemble_line(struct edge_options *options, const char *key,
                                     const char *value, struct mk_error *error);
/* `key` is refused if it turns out that this server is a member of an ensemble. */
void options_member_refuses(struct edge_options *options, const char *key, const char *value);
enum mk_status options_ensemble_check(struct edge_options *options, struct mk_error *error);

/* A file of options, whole. */
enum mk_status options_file_read(const char *path, struct mk_buf *out, struct mk_error *error);
char *options_text(struct edge_options *options, const char *text); /* a copy that lives as long */
/* Append `key` to the ignored ones, once. */
void options_ignore(struct edge_options *options, const char *key);

/* Keys that ZooKeeper knows and we have no use for. */
enum zookeeper_key {
    ZOOKEEPER_KEY_UNKNOWN,
    ZOOKEEPER_KEY_IGNORED,
    ZOOKEEPER_KEY_SUPER_USER, /* one more SASL user who may do everything */
    ZOOKEEPER_KEY_SERVER,     /* server.N, group.N, weight.N */
    ZOOKEEPER_KEY_MEMBER,     /* means nothing to a server that is alone; no member can do it */
    ZOOKEEPER_KEY_OBSERVERS,  /* asks for what no server can do */
    ZOOKEEPER_KEY_TLS,        /* asks for what would be less safe if it were ignored */
};
/* What `key` is with that value: a key that asks for what is the case anyway is ignored. */
enum zookeeper_key zookeeper_key_find(const char *key, const char *value);
/* The n-th name of the table, without prefixes; NULL behind the last. */
const char *zookeeper_key_name(size_t index);

#endif
