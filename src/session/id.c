/* Session ids: unique across servers and restarts without asking anybody. The top byte is the server's, as in
 * ZooKeeper; behind it lies what makes the id new. Source: protocol reference, section 2.3. */
#include "session/session.h"

#define LOCAL ((uint64_t)1 << 55)

/* 0 is no session, and 2^63 marks a container where an owner stands. */
static mk_session id_of(uint8_t server_id, uint64_t low)
{
    uint64_t id = (uint64_t)server_id << 56 | low;

    return (mk_session)(id == 0 || id == (uint64_t)1 << 63 ? id + 1 : id);
}

mk_session session_id_behind(uint8_t server_id, mk_zxid zxid)
{
    return id_of(server_id, ((uint64_t)zxid + 1) & (LOCAL - 1));
}

mk_session session_id_local(uint8_t server_id, mk_ms start_ms)
{
    return id_of(server_id, (((uint64_t)start_ms << 24) >> 8) | LOCAL);
}
