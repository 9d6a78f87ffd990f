/* The module is included: the plain machine and each vector path are compared. */
#include "wire/utf8.c"

#include "feed.h"
#include "wire_test.h"

static const struct {
    struct span text;
    bool valid;
} table[] = {
    {SPAN_INIT(""), true},
    {SPAN_INIT("ascii"), true},
    {SPAN_INIT("\0"), true},
    {SPAN_INIT("\x7f"), true},
    {SPAN_INIT("Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"), true},
    {SPAN_INIT("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), true},
    /* the first and last of each length, and the neighbours of what is left out */
    {SPAN_INIT("\xc2\x80"), true},
    {SPAN_INIT("\xdf\xbf"), true},
    {SPAN_INIT("\xe0\xa0\x80"), true},
    {SPAN_INIT("\xed\x9f\xbf"), true},
    {SPAN_INIT("\xee\x80\x80"), true},
    {SPAN_INIT("\xef\xbf\xbd"), true},
    {SPAN_INIT("\xef\xbf\xbf"), true},
    {SPAN_INIT("\xf0\x90\x80\x80"), true},
    {SPAN_INIT("\xf4\x8f\xbf\xbf"), true},
    {SPAN_INIT("\xef\xbb\xbf"), true},
    /* above U+10FFFF, and the forms of five and six bytes */
    {SPAN_INIT("\xf4\x90\x80\x80"), false},
    {SPAN_INIT("\xf5\x80\x80\x80"), false},
    {SPAN_INIT("\xf8\x88\x80\x80\x80"), false},
    {SPAN_INIT("\xfc\x84\x80\x80\x80\x80"), false},
    {SPAN_INIT("\xfe"), false},
    {SPAN_INIT("\xff"), false},
    /* tails without a lead, leads without a tail */
    {SPAN_INIT("\x80"), false},
    {SPAN_INIT("\xbf"), false},
    {SPAN_INIT("\x80\xbf\x80"), false},
    {SPAN_INIT("\xc2"), false},
    {SPAN_INIT("\xc2 "), false},
    {SPAN_INIT("\xe0\xa0"), false},
    {SPAN_INIT("\xe0\xa0 "), false},
    {SPAN_INIT("\xf0\x90\x80"), false},
    {SPAN_INIT("\xf0\x90\x80 "), false},
    {SPAN_INIT("\xc2\xc2\x80"), false},
    {SPAN_INIT("a\xc2\x80\x80"), false},
    /* overlong */
    {SPAN_INIT("\xc0\xaf"), false},
    {SPAN_INIT("\xc1\xbf"), false},
    {SPAN_INIT("\xe0\x80\xaf"), false},
    {SPAN_INIT("\xe0\x9f\xbf"), false},
    {SPAN_INIT("\xf0\x80\x80\xaf"), false},
    {SPAN_INIT("\xf0\x8f\xbf\xbf"), false},
    {SPAN_INIT("\xc0\x80"), false},
    /* surrogates, alone and in pairs */
    {SPAN_INIT("\xed\xa0\x80"), false},
    {SPAN_INIT("\xed\xaf\xbf"), false},
    {SPAN_INIT("\xed\xb0\x80"), false},
    {SPAN_INIT("\xed\xbf\xbf"), false},
    {SPAN_INIT("\xed\xa0\x80\xed\xb0\x80"), false},
};

/* The reference: one byte at a time. */
static bool scalar_feed(struct utf8_state *state, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!utf8_step(state, (uint8_t)text.ptr[i]))
            return false;
    return true;
}

static void test_table_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct span text = table[i].text;
        assert_int_equal(utf8_valid(text), table[i].valid);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct utf8_state split = {0};
            bool valid = utf8_feed(&split, text.ptr, cut) &&
                         utf8_feed(&split, text.ptr + cut, text.len - cut);
            assert_int_equal(valid && utf8_complete(&split), table[i].valid);
        }
    }
}

static void encode(uint32_t point, char *buf, size_t *len)
{
    static const uint8_t leads[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    *len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = *len; i > 1; i--, point >>= 6)
        buf[i - 1] = (char)(0x80 | (point & 0x3F));
    buf[0] = (char)(leads[*len] | point);
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x110800; point++) {
        char buf[4];
        size_t len;
        encode(point, buf, &len);
        bool valid = point < 0x110000 && (point < 0xD800 || point > 0xDFFF);
        if (utf8_valid(span_of(buf, len)) != valid)
            fail_msg("U+%04X", point);
    }
}

/* All of one, two and three bytes: exactly the well-formed ones are accepted. */
static void test_every_short_sequence(void **state)
{
    (void)state;
    size_t valid = 0;
    for (uint32_t value = 0; value < 1u << 24; value++) {
        char buf[3] = {(char)(value >> 16), (char)(value >> 8), (char)value};
        valid += utf8_valid(span_of(buf, 3));
    }
    /* ASCII twice or thrice with the 1,920 of two bytes; the 61,440 of three. */
    assert_int_equal(valid, 128 * 128 * 128 + 2 * 128 * 1920 + 61440);
}

/* Fails at the first byte that cannot be right, not at the end of the piece or of the character. */
static void test_fails_fast(void **state)
{
    (void)state;
    struct utf8_state feed = {0};
    assert_true(utf8_feed(&feed, "\xf4", 1));
    assert_false(utf8_feed(&feed, "\x90", 1));
    feed = (struct utf8_state){0};
    assert_true(utf8_feed(&feed, "\xed", 1));
    assert_false(utf8_feed(&feed, "\xa0", 1));
}

/* One wrong byte, or one character, at each place of a long text, from each alignment. */
static void test_vector_paths_find_every_place(void **state)
{
    (void)state;
    enum {
        LEN = 300
    };
    char buf[LEN + 8];
    for (size_t offset = 0; offset < 8; offset++) {
        for (size_t at = 0; at < LEN; at++) {
            memset(buf, 'a', sizeof buf);
            assert_true(utf8_valid(span_of(buf + offset, LEN)));
            buf[offset + at] = (char)0x80;
            assert_false(utf8_valid(span_of(buf + offset, LEN)));
            buf[offset + at] = (char)0xC3;
            assert_false(utf8_valid(span_of(buf + offset, LEN)));
            buf[offset + at + 1] = (char)0xA9;
            assert_int_equal(utf8_valid(span_of(buf + offset, LEN)), at + 1 < LEN);
        }
    }
}

static void test_runs_stop_in_time(void **state)
{
    (void)state;
    uint8_t buf[256];
    for (size_t len = 0; len <= sizeof buf; len++) {
        for (size_t at = 0; at < len; at++) {
            memset(buf, 'a', sizeof buf);
            buf[at] = 0xFF;
            assert_int_equal(ascii_run(buf, len), at);
            size_t run = ascii_run_128(buf, len);
            assert_true(run <= at && at - run < 16);
#ifdef VECTOR_AVX2
            if (vector_has_avx2()) {
                run = ascii_run_256(buf, len);
                assert_true(run <= at && at - run < 64);
            }
#endif
        }
    }
}

/* Text that is mostly right: characters, now and then a random byte. */
static size_t random_text(char *buf, size_t size, uint64_t *seed)
{
    size_t len = 0;
    unsigned ascii = (unsigned)(random_next(seed) % 101);
    while (len + 4 <= size) {
        uint64_t draw = random_next(seed);
        size_t count = 1;
        if (draw % 100 < ascii)
            buf[len] = (char)('a' + draw / 100 % 26);
        else if (draw % 1000 < 3)
            buf[len] = (char)(draw >> 32);
        else
            encode((uint32_t)(draw >> 32) % 0xD800, buf + len, &count);
        len += count;
    }
    return random_next(seed) % (len + 1);
}

static void test_random_texts_as_the_reference_says(void **state)
{
    (void)state;
    uint64_t seed = 8;
    for (int round = 0; round < 20000; round++) {
        char buf[512];
        size_t len = random_text(buf, sizeof buf, &seed);
        size_t cut = len > 0 ? random_next(&seed) % len : 0;
        struct utf8_state reference = {0}, fast = {0};
        bool valid = scalar_feed(&reference, span_of(buf, len));
        bool fast_valid = utf8_feed(&fast, buf, cut) && utf8_feed(&fast, buf + cut, len - cut);
        assert_int_equal(fast_valid, valid);
        if (valid)
            assert_memory_equal(&fast, &reference, sizeof fast);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_every_split),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_every_short_sequence),
        cmocka_unit_test(test_fails_fast),
        cmocka_unit_test(test_vector_paths_find_every_place),
        cmocka_unit_test(test_runs_stop_in_time),
        cmocka_unit_test(test_random_texts_as_the_reference_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
