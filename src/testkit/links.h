/* Private to testkit: what is between the servers of a world that has several. */
#ifndef MK_TESTKIT_LINKS_H
#define MK_TESTKIT_LINKS_H

#include "testkit/member.h"

struct testkit_links;
struct testkit_links *testkit_links_new(struct testkit_member *members, size_t count);
void testkit_links_free(struct testkit_links *links); /* all members are down */
/* A member has come up, or is about to go down. */
void testkit_links_up(struct testkit_links *links, struct testkit_member *member);
void testkit_links_down(struct testkit_links *links, struct testkit_member *member);
/* Carry what any of them has to say to others. False: nothing. */
bool testkit_links_step(struct testkit_links *links);

#endif
