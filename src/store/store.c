/* The store assembled: open and close, views and transactions. */
#include "store/checkpoint.h"
#include "store/znodes.h"

enum { VIEW_COMMITTED, VIEW_SPECULATIVE };

/* See store_fuzzy_begin(). */
#define FACT_FUZZY MK_BYTES("fuzzy")
#define FUZZY MK_BYTES("1")

#define LISTINGS_CACHE_SHARE \
    16 /* of the cache's memory: ten thousand lists of a hundred in 256 MiB */

static void view_init(struct store *store, bool speculative)
{
    store->views[speculative] = (struct store_view){
        .store = store,
        .speculative = speculative,
        .may_block = true,
        .zxid = store->applied,
        .zxid_before = store->applied,
    };
}

static struct store *store_new(struct store_base *base, const struct store_options *options)
{
    struct store *store = mk_alloc_zero(1, sizeof(*store));
    store->options = *options;
    uint64_t listings_bytes = options->cache_bytes / LISTINGS_CACHE_SHARE;
    committed_init(&store->committed, base, options->cache_bytes - listings_bytes,
                   options->hash_seed);
    listings_init(&store->listings, listings_bytes);
    speculative_init(&store->speculative, options->hash_seed);
    return store;
}

static void store_free(struct store *store)
{
    speculative_free(&store->speculative);
    owned_free(&store->owned);
    committed_free(&store->committed);
    listings_free(&store->listings);
    mk_buf_free(&store->value);
    mk_arena_free(&store->scraps);
    mk_free(store);
}

struct store *store_open_bare(struct store_base *base, const struct store_options *options,
                              bool *fresh, struct mk_error *error)
{
    MK_ASSERT(base != NULL);
    struct store *store = store_new(base, options);
    enum mk_status status = checkpoint_load(store, error);
    if (status != MK_OK && status != MK_NO_NODE) {
        store_free(store);
        base->ops->close(base);
        return NULL;
    }
    view_init(store, VIEW_COMMITTED);
    view_init(store, VIEW_SPECULATIVE);
    store->checkpoint = (struct store_checkpoint){.store = store, .applied = store->applied};
    *fresh = status == MK_NO_NODE;
    return store;
}

void store_close(struct store *store)
{
    struct store_base *base = store->committed.base;
    store_free(store);
    base->ops->close(base);
}

mk_zxid store_applied(const struct store *store)
{
    return store->applied;
}

mk_zxid store_durable(const struct store *store)
{
    return store->durable;
}

const struct store_totals *store_totals(const struct store *store)
{
    return &store->totals;
}

uint64_t store_memory_bytes(const struct store *store)
{
    struct store_base *base = store->committed.base;
    return sizeof(*store) + committed_bytes(&store->committed) +
           speculative_bytes(&store->speculative) + store->listings.bytes + store->value.cap +
           base->ops->memory_bytes(base);
}

struct store_base *store_base_of(struct store *store)
{
    return store->committed.base;
}

/* ---- Views and transactions ---- */

struct store_view *store_committed(struct store *store)
{
    return &store->views[VIEW_COMMITTED];
}

struct store_view *store_speculative(struct store *store)
{
    return &store->views[VIEW_SPECULATIVE];
}

void store_view_blocking(struct store_view *view, bool may_block)
{
    view->may_block = may_block;
}

mk_zxid store_view_zxid(const struct store_view *view)
{
    return view->zxid;
}

void store_begin(struct store_view *view, mk_zxid zxid, mk_ms time_ms)
{
    bool again = view->store->again;
    MK_ASSERT(!view->begun);
    MK_ASSERT(!again || !view->speculative);
    MK_ASSERT(again || zxid > view->zxid);
    MK_ASSERT(again || zxid > view->store->applied);
    view->begun = true;
    view->zxid_before = view->zxid;
    view->zxid = zxid;
    view->time_ms = time_ms;
    view->creations = again ? STORE_POSITIONS_AGAIN : 0;
    view->wakes = 0;
}

void store_again(struct store *store, bool again)
{
    MK_ASSERT(!store->views[VIEW_COMMITTED].begun);
    store->again = again;
    store->views[VIEW_COMMITTED].zxid = store->applied;
}

static void fuzzy_note(struct store *store, struct mk_bytes value)
{
    struct store_view *view = store_committed(store);

    store_begin(view, store->applied, 0);
    store_fact_put(view, FACT_FUZZY, value);
    store_end(view);
}

void store_fuzzy_begin(struct store *store)
{
    store_again(store, true);
    fuzzy_note(store, FUZZY);
}

void store_fuzzy_end(struct store *store)
{
    if (store->again) {
        fuzzy_note(store, MK_BYTES(""));
        store_again(store, false);
    }
}

bool store_fuzzy(const struct store *store)
{
    return store->again;
}

/* When it is opened: whether it was when it was closed. */
static enum mk_status fuzzy_read(struct store *store, struct mk_error *error)
{
    struct mk_buf value = {0};
    enum mk_status status = store_fact_read(store_committed(store), FACT_FUZZY, &value);

    if (status == MK_OK) {
        store_again(store, mk_bytes_equal(mk_buf_view(&value), FUZZY));
    } else if (status != MK_NO_NODE) {
        mk_error_set(error, "cannot read of what kind the state is: %s", mk_status_text(status));
    }
    mk_buf_free(&value);
    return status == MK_NO_NODE ? MK_OK : status;
}

struct store *store_open(struct store_base *base, const struct store_options *options,
                         struct mk_error *error)
{
    bool fresh;
    struct store *store = store_open_bare(base, options, &fresh, error);
    if (store != NULL && fresh) {
        struct store_view *view = &store->views[VIEW_COMMITTED];
        view->begun = true;
        enum mk_status status = znodes_plant(view, 0);
        MK_ASSERT(status == MK_OK); /* nothing is read from a base that is empty */
        view->begun = false;
    } else if (store != NULL && fuzzy_read(store, error) != MK_OK) {
        store_close(store);
        return NULL;
    }
    return store;
}

void store_end(struct store_view *view)
{
    MK_ASSERT(view->begun && !view->writing);
    view->begun = false;
    if (view->speculative) {
        speculative_end(&view->store->speculative);
        owned_end(&view->store->owned);
    } else if (view->zxid > view->store->applied) { /* else it was applied again */
        view->store->applied = view->zxid;
    }
}

void store_abort(struct store_view *view)
{
    MK_ASSERT(view->speculative);
    MK_ASSERT(view->begun && !view->writing);
    speculative_abort(&view->store->speculative);
    owned_abort(&view->store->owned);
    view->zxid = view->zxid_before;
    view->begun = false;
}

void store_speculative_forget(struct store *store, mk_zxid zxid)
{
    MK_ASSERT(!store->views[VIEW_SPECULATIVE].begun);
    MK_ASSERT(zxid <= store->applied);
    speculative_forget(&store->speculative, zxid);
}

void store_speculative_reset(struct store *store)
{
    struct store_view *view = &store->views[VIEW_SPECULATIVE];
    MK_ASSERT(!view->begun);
    speculative_free(&store->speculative);
    speculative_init(&store->speculative, store->options.hash_seed);
    owned_free(&store->owned);
    store->owned = (struct owned){0};
    view->zxid = store->applied;
}

/* ---- What the last MK_WOULD_BLOCK needs ---- */

#define LOAD_ROWS_MAX 1024               /* rows that one load of a range brings into memory, */
#define LOAD_BYTES_MAX ((size_t)1 << 20) /* and bytes of them: a reader thread's turn of a few ms */

void store_load_wanted(const struct store *store, struct store_load *out)
{
    const struct store_load *wanted = &store->committed.wanted;
    out->key.len = 0;
    mk_buf_append_bytes(&out->key, mk_buf_view(&wanted->key));
    out->range = wanted->range;
    out->backwards = wanted->backwards;
    out->settles = store->committed.settles;
    out->value.len = 0;
    out->found = false;
}

static enum mk_status load_row(struct store_base *base, struct store_load *load)
{
    load->value.len = 0;
    enum mk_status status = base->ops->get(base, mk_buf_view(&load->key), true, &load->value);
    load->found = status == MK_OK;
    return status == MK_NO_NODE ? MK_OK : status;
}

static enum mk_status load_range(struct store_base *base, struct mk_bytes from, bool backwards)
{
    struct store_base_iter *iter = base->ops->iter_new(base, true);
    enum mk_status status = base->ops->iter_seek(iter, from, backwards);
    size_t bytes = 0;
    for (int rows = 0; status == MK_OK && rows < LOAD_ROWS_MAX && bytes < LOAD_BYTES_MAX; rows++) {
        bytes += base->ops->iter_key(iter).len + base->ops->iter_value(iter).len;
        status = base->ops->iter_step(iter);
    }
    base->ops->iter_free(iter);
    return status == MK_END ? MK_OK : status;
}

enum mk_status store_load(struct store_base *base, struct store_load *load)
{
    return load->range ? load_range(base, mk_buf_view(&load->key), load->backwards)
                       : load_row(base, load);
}

void store_load_done(struct store *store, struct store_load *load)
{
    if (!load->range) {
        committed_loaded(&store->committed, load);
    }
    store_load_free(load);
}

void store_load_free(struct store_load *load)
{
    mk_buf_free(&load->key);
    mk_buf_free(&load->value);
}
