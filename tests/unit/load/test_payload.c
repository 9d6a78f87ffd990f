#include "load/payload.c"

#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    SIZE = 150,
};

static struct payload taken(const char *bytes, size_t len)
{
    struct payload payload = {0};
    payload_take(&payload, span_of(bytes, len));
    return payload;
}

static bool intact(const struct payload *payload, uint32_t number, size_t size)
{
    return payload->number == number && !payload->changed && payload->length == size;
}

static void check(uint32_t number, uint64_t intended_ns, size_t size)
{
    char buf[512];
    memset(buf, '!', sizeof buf);
    payload_write(buf, size, number, intended_ns, false);
    assert_int_equal(buf[size], '!');
    assert_true(payload_begins(span_of(buf, size)));
    struct payload payload = taken(buf, size);
    assert_true(intact(&payload, number, size) && payload.intended_ns == intended_ns);
    /* The head alone says as much. */
    payload = taken(buf, PAYLOAD_HEAD_SIZE);
    assert_true(payload.number == number && payload.intended_ns == intended_ns);
}

static void test_round_trip(void **state)
{
    (void)state;
    check(1, 0, PAYLOAD_HEAD_SIZE);
    check(0x89abcdef, 0xfedcba9876543210, 35);
    check(UINT32_MAX, UINT64_MAX, 128);
    check(2, 1, 300);
}

static void test_as_documented(void **state)
{
    (void)state;
    char buf[43];
    payload_write(buf, 42, 1234, 0x18bcfe56800, false);
    buf[42] = '\0';
    assert_string_equal(buf, "929bf739000004d2 0000018bcfe56800 cjjllkdn");
}

/* Two and three pieces of any length are the same as one. */
static void test_pieces(void **state)
{
    (void)state;
    char buf[SIZE];
    payload_write(buf, SIZE, 77, 78, false);
    for (size_t first = 0; first <= SIZE; first++)
        for (size_t second = first; second <= SIZE; second++) {
            struct payload payload = {0};
            payload_take(&payload, span_of(buf, first));
            payload_take(&payload, span_of(buf + first, second - first));
            payload_take(&payload, span_of(buf + second, SIZE - second));
            assert_true(intact(&payload, 77, SIZE) && payload.intended_ns == 78);
        }
}

/* Whichever byte is changed to whatever other one: it is noticed, in the head by the number. */
static void test_any_byte(void **state)
{
    (void)state;
    char buf[SIZE];
    for (size_t at = 0; at < SIZE; at++)
        for (int c = 0; c < 256; c++) {
            payload_write(buf, SIZE, 5, 123456789, false);
            bool same = (unsigned char)buf[at] == c;
            buf[at] = (char)c;
            struct payload payload = taken(buf, SIZE);
            assert_int_equal(intact(&payload, 5, SIZE), same);
            assert_int_equal(payload.number, at < PAYLOAD_HEAD_SIZE && !same ? 0 : 5);
        }
}

/* xorshift64, Marsaglia. */
static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

/* The check of a head holds against any one digit, for numbers and times of all sizes. */
static void test_any_digit(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (unsigned run = 0; run < 2000; run++) {
        char buf[PAYLOAD_HEAD_SIZE];
        uint32_t number = (uint32_t)(next(&seed) >> 32) >> run % 31 | 1;
        uint64_t intended_ns = next(&seed) >> run % 64;
        payload_write(buf, sizeof buf, number, intended_ns, false);
        for (size_t at = 0; at < PAYLOAD_HEAD_SIZE - 1; at++) {
            char was = buf[at];
            for (const char *digit = "0123456789abcdef"; *digit && was != ' '; digit++) {
                buf[at] = *digit;
                assert_int_equal(taken(buf, sizeof buf).number, *digit == was ? number : 0);
            }
            buf[at] = was;
        }
    }
}

/* The start of one message and the end of another, as a server might mix them. */
static void test_mixed(void **state)
{
    (void)state;
    char one[SIZE], other[SIZE];
    for (uint32_t apart = 1; apart < 300; apart++)
        for (size_t cut = PAYLOAD_HEAD_SIZE; cut + 8 < SIZE; cut += 5) {
            payload_write(one, SIZE, 1000, 7, false);
            payload_write(other, SIZE, 1000 + apart, 7, false);
            memcpy(one + cut, other + cut, SIZE - cut);
            struct payload payload = taken(one, SIZE);
            assert_true(payload.number == 1000 && payload.changed);
        }
}

/* Cut anywhere it is what was written, and no byte of it may be another. */
static void test_a_text_that_repeats(void **state)
{
    (void)state;
    enum {
        LONG = 25000,
        PARTS = 200,
    };
    char *buf = malloc(LONG), *next_one = malloc(LONG);
    for (uint32_t number = 1; number < 120; number += 7) {
        payload_write(buf, LONG, number, 7, true);
        payload_write(next_one, LONG, number + 1, 7, true);
        unsigned differ = 0;
        for (size_t at = PAYLOAD_HEAD_SIZE; at < LONG; at++)
            differ += buf[at] != next_one[at];
        assert_in_range(differ, 50, LONG / PARTS * 4);
        for (size_t cut = 0; cut < 400; cut += 13) {
            struct payload payload = {.repeats = true};
            payload_take(&payload, span_of(buf, cut));
            payload_take(&payload, span_of(buf + cut, LONG - cut));
            assert_true(payload.number == number && !payload.changed && payload.length == LONG);
        }
        buf[number * 191] ^= 1;
        struct payload payload = {.repeats = true};
        payload_take(&payload, span_of(buf, LONG));
        assert_true(payload.changed || payload.number == 0);
    }
    free(buf);
    free(next_one);
}

/* A length that is wrong is the caller's to find: it is told. */
static void test_length(void **state)
{
    (void)state;
    char buf[SIZE + 1];
    payload_write(buf, SIZE + 1, 3, 4, false);
    struct payload shorter = taken(buf, SIZE - 1), longer = taken(buf, SIZE + 1);
    assert_true(intact(&shorter, 3, SIZE - 1) && intact(&longer, 3, SIZE + 1));
    assert_int_equal(taken(buf, PAYLOAD_HEAD_SIZE - 1).number, 0);
    assert_int_equal(taken(buf, 0).length, 0);
}

/* What is no head at all, whatever its check would be. */
static void test_begins(void **state)
{
    (void)state;
    char buf[PAYLOAD_HEAD_SIZE];
    for (size_t at = 0; at < sizeof buf; at++)
        for (int c = 0; c < 256; c++) {
            bool separator = at == 16 || at == 33;
            bool right = separator ? c == ' ' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            payload_write(buf, sizeof buf, 1, 1, false);
            buf[at] = (char)c;
            assert_int_equal(payload_begins(span_of(buf, sizeof buf)), right);
        }
    payload_write(buf, sizeof buf, 1, 1, false);
    assert_false(payload_begins(span_of(buf, sizeof buf - 1)));
}

static void test_no_escapes(void **state)
{
    (void)state;
    char buf[256];
    for (uint32_t number = 1; number < 2000; number += 3) {
        payload_write(buf, sizeof buf, number, UINT64_MAX / 7, false);
        for (size_t i = 0; i < sizeof buf; i++)
            assert_true(buf[i] == ' ' || (buf[i] >= '0' && buf[i] <= '9') ||
                        (buf[i] >= 'a' && buf[i] <= 'p'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_as_documented),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_any_byte),
        cmocka_unit_test(test_any_digit),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_a_text_that_repeats),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_begins),
        cmocka_unit_test(test_no_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
