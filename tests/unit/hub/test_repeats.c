#include "hub/repeats.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void add(struct repeats *repeats, uint64_t channel, uint64_t key, int64_t until_ns)
{
    assert_int_equal(repeats_reserve(repeats), 0);
    const struct repeat repeat = {
        .channel = channel, .key = key, .offset = key, .until_ns = until_ns};
    repeats_add(repeats, &repeat);
}

static bool has(struct repeats *repeats, uint64_t channel, uint64_t key, int64_t now_ns)
{
    const struct repeat *found = repeats_find(repeats, channel, key, now_ns);
    return found && found->offset == key;
}

static void test_found_by_channel_and_key(void **state)
{
    (void)state;
    struct repeats repeats = {.max = 1000};
    assert_false(has(&repeats, 1, 2, 0));
    add(&repeats, 1, 2, 100);
    assert_true(has(&repeats, 1, 2, 99));
    assert_false(has(&repeats, 1, 2, 100));
    assert_false(has(&repeats, 2, 1, 0));
    assert_false(has(&repeats, 1, 3, 0));
    repeats_done(&repeats);
    assert_false(has(&repeats, 1, 2, 0));
}

/* Each of the newest `max` is found, however often the ring has gone round. */
static void test_the_oldest_gives_way(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 63, 64, 100, 128};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct repeats repeats = {.max = sizes[i]};
        for (uint64_t key = 1; key <= 1000; key++) {
            add(&repeats, key % 7, key, INT64_MAX);
            uint64_t oldest = key > sizes[i] ? key - sizes[i] + 1 : 1;
            assert_int_equal(repeats.count, key - oldest + 1);
            assert_true(has(&repeats, key % 7, key, 0));
            assert_true(has(&repeats, oldest % 7, oldest, 0));
            assert_false(has(&repeats, (oldest - 1) % 7, oldest - 1, 0));
        }
        repeats_done(&repeats);
    }
}

static void test_memory_goes_with_the_last(void **state)
{
    (void)state;
    struct repeats repeats = {.max = 1000};
    for (uint64_t key = 1; key <= 500; key++)
        add(&repeats, 1, key, (int64_t)key);
    repeats_expire(&repeats, 499, 100);
    assert_int_equal(repeats.count, 400);
    repeats_expire(&repeats, 499, 1000);
    assert_int_equal(repeats.count, 1);
    assert_true(has(&repeats, 1, 500, 499));
    repeats_expire(&repeats, 500, 1000);
    assert_null(repeats.ring);
    add(&repeats, 1, 1, 1000);
    assert_true(has(&repeats, 1, 1, 500));
    repeats_done(&repeats);
}

static void test_none_may_be(void **state)
{
    (void)state;
    struct repeats repeats = {0};
    assert_int_equal(repeats_reserve(&repeats), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_channel_and_key),
        cmocka_unit_test(test_the_oldest_gives_way),
        cmocka_unit_test(test_memory_goes_with_the_last),
        cmocka_unit_test(test_none_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
