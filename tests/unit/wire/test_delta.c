#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/delta.h"
#include "feed.h"
#include "wire/utf8.h"
#include "wire_test.h"

enum {
    LONG = 1 << 17,
};

static void expect_applied(struct span base, struct span delta, struct span expected)
{
    char area[256];
    int len = delta_apply(area, sizeof area, base, delta);
    assert_int_equal(len, expected.len);
    assert_span(span_of(area, (size_t)len), expected);
}

static void expect_error(struct span base, struct span delta, size_t room, int expected)
{
    char area[256];
    assert_true(room <= sizeof area);
    assert_int_equal(delta_apply(area, room, base, delta), expected);
}

/* Made by the package fossil-delta of npm, as createDelta(base, target). */
static void test_what_another_encoder_made(void **state)
{
    (void)state;
    expect_applied(
        SPAN("the quick brown fox jumps over the lazy dog, and again the quick brown fox"),
        SPAN("1E\n8:the slowd@9,4:onceN@l,3:cat1srl83;"),
        SPAN("the slow brown fox jumps over the lazy dog, and once again the quick brown cat"));
}

static void test_what_is_no_delta(void **state)
{
    (void)state;
    static const struct span bad[] = {
        SPAN_INIT(""),           SPAN_INIT("3"),          SPAN_INIT("3\n"),
        SPAN_INIT("3\n3@0"),     SPAN_INIT("3\n3@0,"),    SPAN_INIT("3\n3@0;1;"),
        SPAN_INIT("3\n3@4,0;"),  SPAN_INIT("3\n4@0,0;"),  SPAN_INIT("3\n3:ab"),
        SPAN_INIT("3\n3:abc"),   SPAN_INIT("3\n3:abc0;"), SPAN_INIT("\n3:abc0;"),
        SPAN_INIT("3\n!"),       SPAN_INIT("3\n2:ab0;"),  SPAN_INIT("~~~~~~~\n"),
        SPAN_INIT("3\n~~~~~~~"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(SPAN("abcdef"), bad[i], 256, -EPROTO);
}

/* The sum is that of one word, "abc" and a zero. */
static void test_bounds_of_what_it_becomes(void **state)
{
    (void)state;
    const struct span delta = SPAN("3\n3:abc1XObC0;");
    expect_applied(SPAN(""), delta, SPAN("abc"));
    expect_error(SPAN(""), delta, 2, -EFBIG);
    expect_error(SPAN(""), SPAN("3\n3:abc1XObC0;x"), 256, -EPROTO);
    expect_error(SPAN(""), SPAN("~~~~~\n3:abc1XObC0;"), 256, -EFBIG);
}

/* Returns the delta's length. */
static size_t round_trip(struct delta_maker *maker, struct span base, struct span target)
{
    char *area = malloc(target.len + 1), *again = malloc(target.len + 1);
    size_t len = delta_make(maker, area, base, target);
    assert_true(len < target.len || len == 0);
    if (len > 0) {
        assert_int_equal(delta_apply(again, target.len, base, span_of(area, len)), target.len);
        assert_memory_equal(again, target.ptr, target.len);
    }
    if (len > 0 && utf8_valid(base) && utf8_valid(target))
        assert_true(utf8_valid(span_of(area, len)));
    free(area);
    free(again);
    return len;
}

/* Metrics, of which every `step`th has another value than with `step` 0. */
static struct span metrics(char *area, size_t size, unsigned step)
{
    int len = 0;
    for (unsigned i = 0; i < 200; i++)
        len += snprintf(area + len, size - (size_t)len, "%c\"metric_%03u\":%u.%02u",
                        i == 0 ? '{' : ',', i, 1000 + i * 7 + (step > 0 && i % step == 3),
                        i * 13 % 100);
    len += snprintf(area + len, size - (size_t)len, "}");
    return span_of(area, (size_t)len);
}

static void test_four_of_200_metrics(void **state)
{
    (void)state;
    char before[8192], after[8192];
    struct delta_maker *maker = delta_maker_create(8192);
    const struct span base = metrics(before, sizeof before, 0);
    const struct span target = metrics(after, sizeof after, 50);
    size_t len = round_trip(maker, base, target);
    assert_in_range(len, 1, target.len / 50);
    delta_maker_free(maker);
}

static void test_nothing_is_gained(void **state)
{
    (void)state;
    struct delta_maker *maker = delta_maker_create(64);
    char area[128];
    memset(area, 'a', sizeof area);
    assert_int_equal(round_trip(maker, SPAN(""), SPAN("")), 0);
    assert_int_equal(round_trip(maker, SPAN(""), SPAN("abc")), 0);
    assert_int_equal(round_trip(maker, SPAN("abc"), SPAN("abc")), 0);
    assert_int_equal(round_trip(maker, SPAN("one thing"), SPAN("and quite another thing")), 0);
    assert_in_range(round_trip(maker, span_of(area, 64), span_of(area, 64)), 1, 20);
    assert_int_equal(round_trip(maker, span_of(area, 65), span_of(area, 64)), 0);
    assert_int_equal(round_trip(maker, span_of(area, 64), span_of(area, 65)), 0);
    delta_maker_free(maker);
}

/* Characters that differ in their first byte, their last, or both: none is cut. */
static void test_no_character_is_cut(void **state)
{
    (void)state;
    static const char *const letters[] = {"ä", "ö", "é", "€", "₭", "😀", "😁", "a"};
    struct delta_maker *maker = delta_maker_create(LONG);
    uint64_t seed = 17;
    char before[2048], after[2048];
    for (int round = 0; round < 200; round++) {
        size_t base = 0, target = 0;
        for (int i = 0; i < 300; i++) {
            const char *one = letters[random_next(&seed) % 8];
            const char *other =
                random_next(&seed) % 30 == 0 ? letters[random_next(&seed) % 8] : one;
            memcpy(before + base, one, strlen(one));
            memcpy(after + target, other, strlen(other));
            base += strlen(one);
            target += strlen(other);
        }
        assert_true(round_trip(maker, span_of(before, base), span_of(after, target)) > 0);
    }
    delta_maker_free(maker);
}

/* Texts of few letters, so that everything is found everywhere, and one moved against the other. */
static void test_any_texts(void **state)
{
    (void)state;
    struct delta_maker *maker = delta_maker_create(LONG);
    char *text = malloc(LONG);
    uint64_t seed = 4;
    for (int round = 0; round < 60; round++) {
        size_t len = (size_t)random_next(&seed) % (LONG / 8), letters = 1 + (size_t)round % 4;
        for (size_t i = 0; i < len; i++)
            text[i] = (char)('a' + random_next(&seed) % letters);
        size_t from = len > 0 ? (size_t)random_next(&seed) % len : 0;
        round_trip(maker, span_of(text, len), span_of(text + from, len - from));
        round_trip(maker, span_of(text + from, len - from), span_of(text, len));
        round_trip(maker, span_of(text, len / 2), span_of(text + len / 2, len - len / 2));
    }
    free(text);
    delta_maker_free(maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_another_encoder_made),
        cmocka_unit_test(test_what_is_no_delta),
        cmocka_unit_test(test_bounds_of_what_it_becomes),
        cmocka_unit_test(test_four_of_200_metrics),
        cmocka_unit_test(test_nothing_is_gained),
        cmocka_unit_test(test_no_character_is_cut),
        cmocka_unit_test(test_any_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
