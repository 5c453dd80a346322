/* Small facts of the server's own. */
#include "store/keys.h"
#include "store/rows.h"

void store_fact_put(struct store_view *view, struct mk_bytes name, struct mk_bytes value)
{
    rows_enter(view);
    rows_write_begin(view);
    rows_put(view, key_path(&view->store->scraps, KEY_FACT, name), value);
    (void)rows_write_end(view); /* nothing was read */
}

enum mk_status store_fact_read(struct store_view *view, struct mk_bytes name, struct mk_buf *value)
{
    rows_enter(view);
    struct mk_bytes found;
    enum mk_status status = rows_get(view, key_path(&view->store->scraps, KEY_FACT, name), &found);
    if (status == MK_OK) {
        mk_buf_append_bytes(value, found);
    }
    return status;
}
