/* Private to testkit: what a client asks and what it is told, as functions for Lua. */
#ifndef MK_TESTKIT_REQUESTS_H
#define MK_TESTKIT_REQUESTS_H

#include <lauxlib.h>

/* Methods of the world's. Requests are (world, client, ...) -> xid, or nothing: the client is not
 * connected; `answer` looks whether the reply is there, `event` whether a watch has fired. */
extern const luaL_Reg testkit_requests[];

#endif
