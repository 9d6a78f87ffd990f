/* The channels that give the most to deliver: exact while there are rows, and never too low. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/top.c"

#define S INT64_C(1000000000)

static void note(struct top *top, int64_t now_ns, const char *name, unsigned count,
                 uint32_t subscribers)
{
    top_note(
        top, now_ns,
        &(struct hub_batch){
            .name = name, .name_len = strlen(name), .count = count, .subscribers = subscribers});
}

static const struct top_row *find(const struct top_window *window, const char *name)
{
    for (unsigned i = 0; i < window->count; i++)
        if (span_equal(span_of(window->rows[i].name, window->rows[i].name_len), span_from(name)))
            return &window->rows[i];
    return NULL;
}

static struct top *watched(void)
{
    struct top *top = calloc(1, sizeof *top);
    assert_non_null(top);
    assert_int_equal(top_watch(top, 10 * S)->count, 0);
    return top;
}

static void test_a_second_is_shown_when_it_is_over(void **state)
{
    (void)state;
    struct top *top = watched();
    note(top, 10 * S, "a", 2, 5);
    note(top, 10 * S + 1, "b", 1, 7);
    note(top, 10 * S + 2, "a", 1, 6);
    assert_int_equal(top_watch(top, 10 * S + S / 2)->count, 0);
    const struct top_window *window = top_watch(top, 11 * S);
    assert_int_equal(window->count, 2);
    assert_int_equal(find(window, "a")->deliveries, 16);
    assert_int_equal(find(window, "a")->messages, 3);
    assert_int_equal(find(window, "a")->subscribers, 6);
    assert_int_equal(find(window, "b")->deliveries, 7);
    assert_int_equal(top_watch(top, 12 * S)->count, 0);
    free(top);
}

static void test_what_is_long_over_is_not_shown(void **state)
{
    (void)state;
    struct top *top = watched();
    note(top, 10 * S, "a", 1, 1);
    assert_int_equal(top_watch(top, 12 * S)->count, 0);
    free(top);
}

static void test_nothing_is_counted_when_nobody_looks(void **state)
{
    (void)state;
    struct top *top = watched();
    note(top, 10 * S + TOP_WATCH_NS, "a", 1, 1);
    assert_int_equal(top->now.count, 0);
    free(top);
}

/* Whoever has more than a row's share of all is there, and no count is too low. */
static void test_the_largest_stay_among_many(void **state)
{
    (void)state;
    struct top *top = watched();
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        note(top, 10 * S + i, name, 1, 1);
        note(top, 10 * S + i, "large", 1, 1);
    }
    const struct top_window *window = top_watch(top, 11 * S);
    assert_int_equal(window->count, TOP_ROWS);
    assert_int_equal(find(window, "large")->deliveries, 1000);
    assert_true(find(window, "c999")->deliveries >= 1);
    free(top);
}

static void test_a_name_may_be_as_long_as_names_are(void **state)
{
    (void)state;
    struct top *top = watched();
    char name[CHANNEL_NAME_MAX + 1];
    memset(name, 'n', CHANNEL_NAME_MAX);
    name[CHANNEL_NAME_MAX] = 0;
    note(top, 10 * S, name, 1, 1);
    assert_non_null(find(top_watch(top, 11 * S), name));
    free(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_is_shown_when_it_is_over),
        cmocka_unit_test(test_what_is_long_over_is_not_shown),
        cmocka_unit_test(test_nothing_is_counted_when_nobody_looks),
        cmocka_unit_test(test_the_largest_stay_among_many),
        cmocka_unit_test(test_a_name_may_be_as_long_as_names_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
