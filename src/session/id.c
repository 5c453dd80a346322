/* Session ids: unique across servers and restarts without asking anybody.
 * Source: SessionTrackerImpl.initializeNextSessionId; protocol reference, section 2.3. */
#include "session/session.h"

mk_session session_id_first(uint8_t server_id, mk_ms start_ms)
{
    uint64_t id = ((uint64_t)start_ms << 24) >> 8 | (uint64_t)server_id << 56;
    if (id == 0 || id == (uint64_t)1 << 63) {
        id++; /* 0 is no session, and 2^63 marks a container where an owner stands. */
    }
    return (mk_session)id;
}
