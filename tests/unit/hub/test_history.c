#include "hub/history.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct message *numbered(uint64_t offset, size_t payload_len)
{
    static const char payload[64];
    struct message *message = message_create("c", 1, 0, payload, payload_len, false);
    assert_non_null(message);
    message->offset = offset;
    return message;
}

static void append(struct history *history, uint64_t offset, size_t payload_len)
{
    struct message *message = numbered(offset, payload_len);
    assert_int_equal(history_reserve(history), 0);
    history_append(history, message);
    message_unref(message);
}

static void test_window_moves(void **state)
{
    (void)state;
    struct history history = {0};
    /* A window of 5 goes round a ring of 8, and grows from there to 20. */
    for (uint64_t offset = 1; offset <= 50; offset++) {
        append(&history, offset, 1);
        if (history.count > 5)
            history_drop(&history);
        for (uint32_t i = 0; i < history.count; i++)
            assert_int_equal(history_at(&history, i)->offset, offset - history.count + 1 + i);
    }
    for (uint64_t offset = 51; offset <= 65; offset++)
        append(&history, offset, 1);
    assert_int_equal(history.count, 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(history_at(&history, i)->offset, 46 + i);
    history_done(&history);
    assert_null(history.ring);
}

static void test_cost_adds_up(void **state)
{
    (void)state;
    struct history history = {0};
    append(&history, 1, 10);
    append(&history, 2, 0);
    append(&history, 3, 20);
    assert_int_equal(history.bytes, 3 * (sizeof(struct message) + 1) + 30);
    history_drop(&history);
    history_drop(&history);
    assert_int_equal(history.bytes, sizeof(struct message) + 1 + 20);
    history_done(&history);
    assert_int_equal(history.bytes, 0);
    append(&history, 4, 0);
    assert_int_equal(history.count, 1);
    history_done(&history);
}

static void test_one_reference(void **state)
{
    (void)state;
    struct history history = {0};
    struct message *message = numbered(1, 3);
    assert_int_equal(history_reserve(&history), 0);
    history_append(&history, message);
    assert_int_equal(message->refs, 2);
    history_drop(&history);
    assert_int_equal(message->refs, 1);
    message_unref(message);
    history_done(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_moves),
        cmocka_unit_test(test_cost_adds_up),
        cmocka_unit_test(test_one_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
