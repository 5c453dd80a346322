/* What a peer sends. The first byte says where: 0 packets of the quorum port, as a stream; 1 the hello
 * of the election port; 2 a notification. What reads, is written as bytes that read to the same; and
 * what had not all arrived is asked for within its bound, wherever the stream is cut. */
#include "jute/jute.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DATA_MAX 256

static void data_walk(const struct jute_packet *packet)
{
    struct jute_learner_info info;
    struct jute_forwarded forwarded;
    struct jute_validity validity;
    struct jute_touch touch;
    (void)!jute_learner_info_read(packet->data, &info);
    (void)!jute_validity_read(packet->data, &validity);
    if (jute_forwarded_read(packet->data, &forwarded) == MK_OK) {
        struct mk_buf again = {0};
        jute_put_forwarded(&again, &forwarded);
        MK_ASSERT(mk_bytes_equal(mk_buf_view(&again), packet->data));
        mk_buf_free(&again);
    }
    struct mk_reader reader = mk_reader_of(packet->data);
    size_t touches = 0;
    enum mk_status status;
    while ((status = jute_touch_next(&reader, &touch)) == MK_OK) {
        touches++;
    }
    MK_ASSERT(status == (packet->data.len % JUTE_TOUCH_BYTES == 0 ? MK_END : MK_MALFORMED));
    MK_ASSERT(touches == packet->data.len / JUTE_TOUCH_BYTES);
}

static void packets(struct mk_bytes stream)
{
    struct jute_packet packet;
    size_t used;
    enum mk_status status;
    while ((status = jute_packet_read(stream, DATA_MAX, &packet, &used)) == MK_OK) {
        struct jute_ids_cursor cursor = jute_ids_begin(&packet);
        struct jute_id id;
        while (jute_ids_next(&cursor, &id)) {
        }
        MK_ASSERT(mk_reader_left(&cursor.reader) == 0);
        data_walk(&packet);

        struct mk_buf again = {0};
        jute_put_packet(&again, &packet);
        MK_ASSERT(mk_bytes_equal(mk_buf_view(&again), mk_bytes_of(stream.data, used)));
        mk_buf_free(&again);
        size_t none;
        struct mk_bytes cut = mk_bytes_of(stream.data, used - 1);
        MK_ASSERT(jute_packet_read(cut, DATA_MAX, &packet, &none) == MK_WOULD_BLOCK);
        stream = mk_bytes_of(stream.data + used, stream.len - used);
    }
    MK_ASSERT(status == MK_MALFORMED || stream.len < 2 * DATA_MAX + JUTE_PACKET_BYTES_MIN);
}

static void hello(struct mk_bytes stream)
{
    struct jute_election_hello first, second;
    size_t used;
    if (jute_election_hello_read(stream, &first, &used) == MK_OK && first.addresses.data != NULL) {
        struct mk_buf again = {0};
        jute_put_election_hello(&again, &first);
        enum mk_status status = jute_election_hello_read(mk_buf_view(&again), &second, &used);
        MK_ASSERT(status == MK_OK && used == again.len);
        MK_ASSERT(first.id == second.id && mk_bytes_equal(first.addresses, second.addresses));
        mk_buf_free(&again);
    }
}

static void notification(struct mk_bytes body)
{
    struct jute_notification first, second;
    if (jute_notification_read(body, &first) == MK_OK) {
        struct mk_buf again = {0};
        jute_put_notification(&again, &first);
        enum mk_status status = jute_notification_read(mk_buf_view(&again), &second);
        MK_ASSERT(status == MK_OK && first.leader == second.leader);
        MK_ASSERT(first.peer_epoch == second.peer_epoch && first.round == second.round);
        mk_buf_free(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct mk_bytes rest = mk_bytes_of(data + 1, size - 1);
    switch (data[0]) {
    case 0: packets(rest); break;
    case 1: hello(rest); break;
    case 2: notification(rest); break;
    default: break;
    }
    return 0;
}
