#include "load/payload_search.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "load/payload.c"

enum {
    SIZE = 48,
    FOUND_MAX = 8,
};

struct found_numbers {
    uint64_t numbers[FOUND_MAX];
    unsigned count;
    unsigned changed;
};

static void take(struct payload_search *search, struct span piece, uint32_t size,
                 struct found_numbers *found_numbers)
{
    /* A copy of its own, so that reading beyond a piece is found out. */
    char *bytes = malloc(piece.len + 1);
    memcpy(bytes, piece.ptr, piece.len);
    struct span rest = span_of(bytes, piece.len);
    while (payload_search_next(search, &rest, size)) {
        assert_true(found_numbers->count < FOUND_MAX);
        found_numbers->numbers[found_numbers->count++] = search->payload.number;
        assert_true(search->payload.intended_ns == 5 || search->payload.number == 0);
        assert_int_equal(search->payload.length, size);
        found_numbers->changed += search->payload.changed;
    }
    assert_int_equal(rest.len, 0);
    free(bytes);
}

/* `before` and a payload, for each of the numbers, then `after`. */
static size_t message_write(char *buf, const char *before, const char *after, unsigned count,
                            uint32_t size)
{
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        memcpy(buf + len, before, strlen(before));
        len += strlen(before);
        payload_write(buf + len, size, i + 1, 5, false);
        len += size;
    }
    memcpy(buf + len, after, strlen(after));
    return len + strlen(after);
}

static void check_cuts(const char *before, const char *after, unsigned count, uint32_t size)
{
    char buf[1024];
    size_t len = message_write(buf, before, after, count, size);
    for (size_t first = 0; first <= len; first++) {
        for (size_t step = 1; step <= len; step += step < 40 ? 1 : 7) {
            struct payload_search search = {0};
            struct found_numbers found_numbers = {0};
            take(&search, span_of(buf, first), size, &found_numbers);
            for (size_t at = first; at < len; at += step)
                take(&search, span_of(buf + at, len - at < step ? len - at : step), size,
                     &found_numbers);
            assert_int_equal(found_numbers.count, count);
            assert_int_equal(found_numbers.changed, 0);
            for (unsigned i = 0; i < count; i++)
                assert_int_equal(found_numbers.numbers[i], i + 1);
        }
    }
}

static void test_json(void **state)
{
    (void)state;
    check_cuts("{\"push\":{\"pub\":{\"data\":\"", "\"}}}\n", 3, SIZE);
}

/* Digits and spaces before the head must not hide it. */
static void test_digits_before(void **state)
{
    (void)state;
    check_cuts("0123456789abcdef", "", 1, SIZE);
    check_cuts("0123456789abcdef 0123456789abcde ", "", 2, SIZE);
    check_cuts(" a", "0123456789abcdef ", 1, SIZE);
}

static void test_nothing_around(void **state)
{
    (void)state;
    check_cuts("", "", 3, PAYLOAD_HEAD_SIZE);
    check_cuts("", "", 2, PAYLOAD_HEAD_SIZE + 1);
}

static void test_not_complete(void **state)
{
    (void)state;
    char buf[256];
    struct payload_search search = {0};
    struct found_numbers found_numbers = {0};
    size_t len = message_write(buf, "x", "", 1, SIZE);
    take(&search, span_of(buf, len - 1), SIZE, &found_numbers);
    assert_int_equal(found_numbers.count, 0);
}

/* Whichever byte is not as it was written: it is found, or its head is, and nothing is not. */
static void test_changed(void **state)
{
    (void)state;
    char buf[256];
    size_t len = message_write(buf, "{\"data\":\"", "\"}", 1, SIZE), at = strlen("{\"data\":\"");
    for (size_t i = 0; i < SIZE; i++) {
        char was = buf[at + i];
        buf[at + i] = was == 'b' ? 'c' : 'b';
        for (size_t cut = 0; cut <= len; cut++) {
            struct payload_search search = {0};
            struct found_numbers found_numbers = {0};
            take(&search, span_of(buf, cut), SIZE, &found_numbers);
            take(&search, span_of(buf + cut, len - cut), SIZE, &found_numbers);
            bool space = i == PAYLOAD_HEAD_SIZE / 2 - 1 || i == PAYLOAD_HEAD_SIZE - 1;
            assert_int_equal(found_numbers.count, !space);
            assert_int_equal(search.payload.number, i < PAYLOAD_HEAD_SIZE ? 0 : 1);
            assert_int_equal(found_numbers.changed, !space);
        }
        buf[at + i] = was;
    }
}

static void test_none(void **state)
{
    (void)state;
    struct payload_search search = {0};
    struct found_numbers found_numbers = {0};
    take(&search, SPAN("{\"id\":1,\"connect\":{\"client\":\"0123456789abcdef\",\"ping\":25}}"),
         SIZE, &found_numbers);
    assert_int_equal(found_numbers.count, 0);
}

static void test_bounded(void **state)
{
    (void)state;
    char buf[256], filler[PAYLOAD_SEARCH_MAX + 1];
    struct payload_search search = {0};
    struct found_numbers found_numbers = {0};
    memset(filler, '-', sizeof filler);
    take(&search, span_of(filler, sizeof filler), SIZE, &found_numbers);
    size_t len = message_write(buf, "x", "", 1, SIZE);
    take(&search, span_of(buf, len), SIZE, &found_numbers);
    assert_int_equal(found_numbers.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),           cmocka_unit_test(test_digits_before),
        cmocka_unit_test(test_nothing_around), cmocka_unit_test(test_not_complete),
        cmocka_unit_test(test_none),           cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
