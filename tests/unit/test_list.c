/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/list.h"

#include "tests/unit/unit.h"

struct item {
    int number;
    struct list link;
};

static int order(struct list *head)
{
    int digits = 0;

    list_for_each(link, head) digits = digits * 10 + list_entry(link, struct item, link)->number;
    return digits;
}

static void keeps_order(void **state)
{
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct list head;

    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[3].link);
    list_push_front(&head, &items[0].link);
    list_insert_after(&items[1].link, &items[2].link);
    assert_false(list_empty(&head));
    assert_int_equal(order(&head), 1234);
}

static void removed_link_is_in_no_list(void **state)
{
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    struct list head;

    (void)state;
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_push_back(&head, &items[i].link);
    list_remove(&items[1].link);
    assert_true(list_empty(&items[1].link));
    list_remove(&items[1].link);
    assert_int_equal(order(&head), 13);
    assert_ptr_equal(list_pop_front(&head), &items[0].link);
    assert_ptr_equal(list_pop_front(&head), &items[2].link);
    assert_null(list_pop_front(&head));
}

static void links_may_go_while_walking(void **state)
{
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct list head;
    int visited = 0;

    (void)state;
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_push_back(&head, &items[i].link);
    list_for_each(link, &head)
    {
        visited++;
        if (list_entry(link, struct item, link)->number % 2 == 0)
            list_remove(link);
    }
    assert_int_equal(visited, 4);
    assert_int_equal(order(&head), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(removed_link_is_in_no_list),
        cmocka_unit_test(links_may_go_while_walking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
