/* The module is included: the scalar loop is the reference for the vector paths. */
#include "wire/mask.c"

#include "feed.h"
#include "wire_test.h"

enum {
    LEN_MAX = 300,
    OFFSETS = 33,
};

static void test_every_length_and_alignment(void **state)
{
    (void)state;
    uint64_t seed = 4;
    uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D};
    char plain[LEN_MAX + OFFSETS + 1], fast[sizeof plain], slow[sizeof plain];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (char)random_next(&seed);
    for (size_t offset = 0; offset < OFFSETS; offset++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            memcpy(fast, plain, sizeof plain);
            memcpy(slow, plain, sizeof plain);
            mask_apply(fast + offset, len, key);
            mask_scalar(slow + offset, len, key);
            assert_memory_equal(fast, slow, sizeof plain);
        }
    }
}

static void test_widths_agree(void **state)
{
    (void)state;
    uint8_t key[4] = {1, 2, 3, 4};
    uint64_t twice;
    memcpy(&twice, key, 4);
    memcpy((char *)&twice + 4, key, 4);
    for (size_t len = 0; len <= LEN_MAX; len++) {
        char wide[LEN_MAX] = {0}, slow[LEN_MAX] = {0};
        size_t done = mask_128(wide, len, twice);
        assert_int_equal(done, len / 16 * 16);
        mask_scalar(slow, done, key);
        assert_memory_equal(wide, slow, sizeof wide);
#ifdef VECTOR_AVX2
        if (vector_has_avx2()) {
            memset(wide, 0, sizeof wide);
            memset(slow, 0, sizeof slow);
            done = mask_256(wide, len, twice);
            assert_int_equal(done, len / 32 * 32);
            mask_scalar(slow, done, key);
            assert_memory_equal(wide, slow, sizeof wide);
        }
#endif
    }
}

/* Masking in two pieces with a rotated key is masking in one. */
static void test_any_phase(void **state)
{
    (void)state;
    const uint8_t key[4] = {0xDE, 0xAD, 0xBE, 0xEF};
    for (size_t cut = 0; cut <= LEN_MAX; cut++) {
        char whole[LEN_MAX] = {0}, split[LEN_MAX] = {0};
        uint8_t rotated[4];
        memcpy(rotated, key, sizeof rotated);
        mask_apply(whole, LEN_MAX, key);
        mask_apply(split, cut, rotated);
        mask_rotate(rotated, cut);
        mask_apply(split + cut, LEN_MAX - cut, rotated);
        assert_memory_equal(split, whole, sizeof whole);
    }
}

static void test_rfc_example(void **state)
{
    (void)state;
    char hello[] = {0x7f, (char)0x9f, 0x4d, 0x51, 0x58};
    mask_apply(hello, sizeof hello, (const uint8_t[4]){0x37, 0xfa, 0x21, 0x3d});
    assert_span(span_of(hello, sizeof hello), SPAN("Hello"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length_and_alignment),
        cmocka_unit_test(test_widths_agree),
        cmocka_unit_test(test_any_phase),
        cmocka_unit_test(test_rfc_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
