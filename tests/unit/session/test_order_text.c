#include "session/order_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    const struct order order = {.kind = ORDER_DISCONNECT,
                                .user = SPAN("alice"),
                                .reason = SPAN("go away"),
                                .keep = SPAN("[\"an id\"]"),
                                .code = 4000};
    struct order read;
    char *text = malloc(order_text_room(&order));
    size_t len = order_text_write(text, &order);
    assert_int_equal(order_text_read(&read, span_of(text, len)), 0);
    assert_true(read.kind == order.kind && read.code == 4000 && read.ends_s == 0);
    assert_true(span_equal(read.user, order.user) && span_equal(read.reason, order.reason));
    assert_true(span_equal(read.keep, order.keep) && read.client.len == 0);
    free(text);
}

static void test_a_subscription(void **state)
{
    (void)state;
    struct order read;
    assert_int_equal(order_text_read(&read, SPAN("0 0 1700000000 0 2 255 9 5 0 4 0 0\nalicenews")),
                     0);
    assert_true(read.kind == ORDER_SUBSCRIBE && read.ends_s == 1700000000);
    assert_true(read.since.from == HUB_FROM_POSITION && read.since.epoch == 255);
    assert_true(read.since.offset == 9 && span_equal(read.channel, SPAN("news")));
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2",
        "2 3503 0 0 0 0 0 5 0 0 0 0",
        "2 3503 0 0 0 0 0 5 0 0 0 0\nalic",
        "2 3503 0 0 0 0 0 5 0 0 0 0\nalice!",
        "2 3503 0 0 0 0 0 0 0 0 0 0\n",
        "9 3503 0 0 0 0 0 5 0 0 0 0\nalice",
        "2 2999 0 0 0 0 0 5 0 0 0 0\nalice",
        "2 5000 0 0 0 0 0 5 0 0 0 0\nalice",
        "2 3503 0 2 0 0 0 5 0 0 0 0\nalice",
        "2 3503 -1 0 0 0 0 5 0 0 0 0\nalice",
        "2 3503 9223372036854775808 0 0 0 0 5 0 0 0 0\nalice",
        "2 3503 0 0 4 0 0 5 0 0 0 0\nalice",
        "0 0 0 0 0 0 0 5 0 0 0 0\nalice",
        "1 0 0 0 0 0 0 5 0 3 0 0\nalicea b",
        "2 3503 0 0 0 0 0 5 0 0 0 2\nalice{}",
        "2 3503 0 0 0 0 0 5 0 0 0 3\nalice[1]",
        "2 3503 0 0 0 0 0 5 0 0 3 0\nalicea\nb",
        "2 3503 0 0 0 0 0 5 0 0 1 0\nalice\xff",
    };
    struct order order = {.code = 77};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(order_text_read(&order, span_from(texts[i])), -EINVAL);
    assert_int_equal(order.code, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_a_subscription),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
