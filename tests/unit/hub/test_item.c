#include "hub/item.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct item numbered(uint64_t number)
{
    struct item item = {.kind = ITEM_PUBLISHED};
    item.position.offset = number;
    return item;
}

static void test_order_while_it_grows(void **state)
{
    (void)state;
    struct item_queue queue = {0};
    uint64_t in = 0;
    uint64_t out = 0;
    /* Three in, two out: the head moves while the ring doubles under it. */
    while (in < 3000) {
        for (unsigned i = 0; i < 3; i++) {
            struct item item = numbered(in++);
            assert_int_equal(item_queue_push(&queue, &item), 0);
        }
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(item_queue_first(&queue)->position.offset, out++);
            item_queue_drop(&queue);
        }
    }
    assert_int_equal(queue.count, in - out);
    while (out < in) {
        assert_int_equal(item_queue_first(&queue)->position.offset, out++);
        item_queue_drop(&queue);
    }
    assert_null(item_queue_first(&queue));
    assert_null(queue.items); /* a burst does not keep its memory */
    item_queue_done(&queue);
}

static void test_done_releases(void **state)
{
    (void)state;
    struct message *message = message_create("c", 1, 0, "x", 1, true);
    struct ticket ticket = {.conn = 1};
    struct hub_since since = {.from = HUB_FROM_NOW};
    struct request *request = request_create(&ticket, "c", 1, 0, &since);
    request->messages = malloc(sizeof(struct message *));
    request->messages[0] = message_ref(message);
    request->count = 1;

    struct item_queue queue = {0};
    struct item items[] = {
        {.kind = ITEM_LIVE, .message = message_ref(message)},
        {.kind = ITEM_PUBLISH, .message = message_ref(message)},
        {.kind = ITEM_SUBSCRIBED, .request = request},
        {.kind = ITEM_UNSUBSCRIBE},
        {.kind = ITEM_PUBLISHED},
    };
    for (unsigned i = 0; i < sizeof items / sizeof items[0]; i++)
        assert_int_equal(item_queue_push(&queue, &items[i]), 0);
    assert_int_equal(message->refs, 4);
    item_queue_done(&queue);
    assert_int_equal(message->refs, 1);
    message_unref(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_while_it_grows),
        cmocka_unit_test(test_done_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
