#include "load/ledger.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct counts {
    uint64_t delivered, lost, duplicate, out_of_order;
};

/* Feeds numbers, up to a 0, and checks what is counted. */
static void check(const uint32_t *numbers, struct counts want)
{
    struct load_ledger sums = {0};
    struct ledger_place place = {0};
    for (; *numbers != 0; numbers++)
        ledger_note(&sums, &place, *numbers, 5);
    assert_int_equal(sums.delivered, want.delivered);
    assert_int_equal(sums.lost, want.lost);
    assert_int_equal(sums.duplicate, want.duplicate);
    assert_int_equal(sums.out_of_order, want.out_of_order);
}

#define CHECK(delivered, lost, duplicate, out_of_order, ...)                                       \
    check((const uint32_t[]){__VA_ARGS__, 0},                                                      \
          (struct counts){delivered, lost, duplicate, out_of_order})

static void test_in_order(void **state)
{
    (void)state;
    CHECK(4, 0, 0, 0, 1, 2, 3, 4);
    CHECK(3, 0, 0, 0, 1000, 1001, 1002);
}

static void test_lost(void **state)
{
    (void)state;
    CHECK(3, 1, 0, 0, 1, 3, 4);
    CHECK(2, 998, 0, 0, 1, 1000);
}

static void test_duplicate(void **state)
{
    (void)state;
    CHECK(3, 0, 1, 0, 1, 2, 2, 3);
    CHECK(3, 0, 2, 0, 1, 2, 3, 2, 1);
}

static void test_out_of_order(void **state)
{
    (void)state;
    CHECK(3, 0, 0, 1, 1, 3, 2);
    CHECK(3, 0, 1, 1, 1, 3, 2, 2);
    CHECK(4, 0, 0, 2, 1, 4, 3, 2);
}

/* What came before somebody joined was not lost, so its coming takes nothing out of the lost. */
static void test_before_joining(void **state)
{
    (void)state;
    CHECK(1, 0, 1, 0, 10, 9);
    CHECK(2, 3, 1, 0, 10, 14, 9);
}

/* Farther back than the bits reach, a late message cannot be told from a second copy. */
static void test_far_back(void **state)
{
    (void)state;
    CHECK(3, 30, 0, 1, 1, 33, 2);
    CHECK(2, 32, 1, 0, 1, 34, 2);
}

static void test_examples(void **state)
{
    (void)state;
    struct load_ledger sums = {0};
    struct ledger_place place = {0};
    ledger_note(&sums, &place, 1, 42);
    for (uint32_t i = 0; i < 3 * LOAD_EXAMPLES_MAX; i++)
        ledger_note(&sums, &place, 3 + 2 * i, 42);
    assert_int_equal(sums.example_count, LOAD_EXAMPLES_MAX);
    assert_int_equal(sums.examples[0].client, 42);
    assert_int_equal(sums.examples[0].expected, 2);
    assert_int_equal(sums.examples[0].got, 3);
}

static void test_behind(void **state)
{
    (void)state;
    struct ledger_place place = {0};
    assert_int_equal(ledger_behind(&place, 10), 0);
    place.expected = 8;
    assert_int_equal(ledger_behind(&place, 10), 3);
    assert_int_equal(ledger_behind(&place, 7), 0);
    assert_int_equal(ledger_behind(&place, 6), 0);
}

/* Against a plain account of every number, for all orders of a few messages with gaps and copies.
 */
static void test_against_plain_account(void **state)
{
    (void)state;
    enum {
        COUNT = 6,
        VALUES = 6,
        RUNS = 46656 /* VALUES to the power of COUNT */
    };
    for (unsigned run = 0; run < RUNS; run++) {
        uint32_t numbers[COUNT + 1] = {[COUNT] = 0};
        unsigned times[VALUES + 1] = {0};
        struct counts want = {0};
        uint32_t first = run % VALUES + 1, last = 0;
        for (unsigned i = 0, left = run; i < COUNT; i++, left /= VALUES) {
            uint32_t number = numbers[i] = left % VALUES + 1;
            if (number < first || times[number]++ > 0) {
                want.duplicate++;
                continue;
            }
            want.delivered++;
            want.out_of_order += number < last;
            last = number > last ? number : last;
        }
        want.lost = last - first + 1 - want.delivered;
        check(numbers, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_duplicate),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_before_joining),
        cmocka_unit_test(test_far_back),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_against_plain_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
