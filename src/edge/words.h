/* Private to edge: four-letter words, what monitoring asks a connection of its own before any session.
 * Facts in, text out: who gathers the facts is loop.c's affair. */
#ifndef EDGE_WORDS_H
#define EDGE_WORDS_H

#include "edge/edge.h"

#define WORD_BYTES 4

/* Index in the table of words, which is also the bit in edge_options.words. */
#define WORD_NONE (-1)
int words_find(const uint8_t name[WORD_BYTES]); /* any word that ZooKeeper has; or WORD_NONE */
/* The set that "ruok, stat" or "*" names. Words that ZooKeeper has and we have not yet are left out
 * and appended to `missing`, with ", " between. MK_BAD_ARGUMENTS: not a word at all. */
enum mk_status words_parse(struct mk_bytes list, uint32_t *words, struct mk_buf *missing);
#define WORDS_DEFAULT "ruok,srvr,stat,mntr,isro,conf"

struct words_conn {
    struct server_conn_stats stats;
    bool asking; /* the connection that the word came on */
};
struct words_facts {
    const struct edge_options *options;
    const char *data_dir; /* absolute */
    const char *log_dir;
    uint32_t port; /* that was bound */
    bool serving;
    struct server_stats stats;
    const struct words_conn *conns; /* for words_lists_conns() only */
    size_t conns_count;
    uint64_t uptime_ms;
    uint64_t descriptors, descriptors_max;
    uint64_t data_bytes; /* on disk */
    uint64_t log_bytes;
};
bool words_lists_conns(int word);
bool words_resets(int word); /* srst: the caller resets the counters */
/* The whole answer; the connection is closed after it. `allowed`: the bit set of the options. */
void words_answer(int word, uint32_t allowed, const struct words_facts *facts, struct mk_buf *out);

#endif
