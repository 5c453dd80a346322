/* The doubly linked ring that is embedded in other structs. */
#include "base/base.h"

void mk_list_init(struct mk_link *head)
{
    head->prev = head;
    head->next = head;
}

bool mk_list_empty(const struct mk_link *head)
{
    return head->next == head;
}

void mk_list_append(struct mk_link *head, struct mk_link *link)
{
    MK_ASSERT(head != link);
    MK_ASSERT(head->prev->next == head);
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

void mk_list_remove(struct mk_link *link)
{
    MK_ASSERT(link->prev->next == link);
    MK_ASSERT(link->next->prev == link);
    link->prev->next = link->next;
    link->next->prev = link->prev;
    mk_list_init(link);
}
