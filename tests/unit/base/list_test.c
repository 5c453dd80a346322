#include "base/base.h"
#include "unit/cmocka.h"

struct item {
    int number;
    struct mk_link link;
};

static void items_come_in_the_order_of_appending(void **state)
{
    struct mk_link head;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    mk_list_init(&head);
    assert_true(mk_list_empty(&head));

    for (size_t i = 0; i < 3; i++) {
        mk_list_append(&head, &items[i].link);
    }

    int expected = 0;
    for (struct mk_link *at = head.next; at != &head; at = at->next) {
        assert_int_equal(MK_CONTAINER(at, struct item, link)->number, expected);
        expected++;
    }
    assert_int_equal(expected, 3);
}

static void a_removed_item_points_at_itself_and_may_be_removed_again(void **state)
{
    struct mk_link head;
    struct mk_link a;
    struct mk_link b;
    mk_list_init(&head);
    mk_list_append(&head, &a);
    mk_list_append(&head, &b);

    mk_list_remove(&a);
    mk_list_remove(&a);

    assert_ptr_equal(a.next, &a);
    assert_ptr_equal(head.next, &b);
    mk_list_remove(&b);
    assert_true(mk_list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_in_the_order_of_appending),
        cmocka_unit_test(a_removed_item_points_at_itself_and_may_be_removed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
