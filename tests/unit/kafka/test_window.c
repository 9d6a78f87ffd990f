#include "kafka/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    MANY = 200, /* more than the first memory holds */
};

static void fill(struct window *window, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(window_push(window, &window[0], 100 + i, 1), 0);
}

static void send_next(struct window *window, uint32_t expected)
{
    uint32_t number;
    assert_non_null(window_next(window, &number));
    assert_int_equal(number, expected);
    window_sent(window);
}

/* What is done behind what is not is not committed. */
static void test_in_order(void **state)
{
    (void)state;
    struct window window = {0};
    int64_t offset = 0;
    fill(&window, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        send_next(&window, i);
    uint32_t number;
    assert_null(window_next(&window, &number));
    for (uint32_t i = MANY - 1; i > 0; i--) {
        assert_false(window_answered(&window, i, true));
        assert_int_equal(window_retire(&window, &offset), 0);
    }
    assert_false(window_answered(&window, 0, true));
    assert_int_equal(window_retire(&window, &offset), MANY);
    assert_int_equal(offset, 100 + MANY - 1);
    assert_int_equal(window_count(&window), 0);
    window_done(&window);
}

/* What failed, and all behind it, is sent again, when everything is answered. */
static void test_again(void **state)
{
    (void)state;
    struct window window = {0};
    int64_t offset = 0;
    fill(&window, 4);
    for (uint32_t i = 0; i < 3; i++)
        send_next(&window, i);
    assert_false(window_answered(&window, 0, true));
    assert_false(window_answered(&window, 1, false));
    assert_true(window.is_broken);
    assert_true(window_answered(&window, 2, false));
    assert_int_equal(window_retire(&window, &offset), 1);
    assert_int_equal(offset, 100);
    window_again(&window);
    for (uint32_t i = 1; i < 4; i++)
        send_next(&window, i);
    for (uint32_t i = 1; i < 4; i++)
        window_answered(&window, i, true);
    assert_int_equal(window_retire(&window, &offset), 3);
    assert_int_equal(offset, 103);
    window_done(&window);
}

/* Those that were done before the line broke are not sent again. */
static void test_done_in_between(void **state)
{
    (void)state;
    struct window window = {0};
    uint32_t number;
    int64_t offset = 0;
    fill(&window, 3);
    for (uint32_t i = 0; i < 3; i++)
        send_next(&window, i);
    window_answered(&window, 1, true); /* to another channel */
    window_answered(&window, 0, false);
    assert_true(window_answered(&window, 2, false));
    window_again(&window);
    send_next(&window, 0);
    send_next(&window, 2);
    assert_null(window_next(&window, &number));
    window_answered(&window, 0, true);
    assert_int_equal(window_retire(&window, &offset), 2);
    assert_int_equal(offset, 101);
    window_done(&window);
}

static void test_skipped_and_dropped(void **state)
{
    (void)state;
    struct window window = {0};
    struct window_entry entry;
    uint32_t number;
    int64_t offset = 0;
    fill(&window, 3);
    assert_non_null(window_next(&window, &number));
    window_skip(&window);
    assert_int_equal(window_retire(&window, &offset), 1);
    send_next(&window, 1);
    assert_true(window_drop(&window, &entry) && entry.offset == 101);
    assert_true(window_drop(&window, &entry) && entry.offset == 102);
    assert_false(window_drop(&window, &entry));
    window_done(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_done_in_between),
        cmocka_unit_test(test_skipped_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
