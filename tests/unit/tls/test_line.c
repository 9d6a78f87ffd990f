/* What a connection keeps: for each version and cipher it seals and opens as the keys would of
 * which it was made, through any number of records and new keys. */
#include "tls_test.h"

#include "tls/line.h"

static const uint8_t key[32] = {1, 2, 3}, iv[12] = {4, 5, 6};

enum {
    CASES = 2 * TLS_CIPHER_COUNT, /* of 1.2, then of 1.3 */
    PLAIN_LOG2 = 9,
};

struct end {
    struct tls_keys keys;
    struct tls_secrets secrets;
    union tls_line line;
};

static void end_make(struct end *end, unsigned at)
{
    enum tls_cipher cipher = (enum tls_cipher)(at % TLS_CIPHER_COUNT);
    bool is_13 = at >= TLS_CIPHER_COUNT;
    for (size_t i = 0; i < TLS_SECRET_MAX; i++) {
        end->secrets.in[i] = (uint8_t)(i + 7);
        end->secrets.out[i] = (uint8_t)(i + 7);
    }
    if (is_13) {
        tls_secret_keys(end->secrets.in, cipher, &end->keys.in);
        tls_secret_keys(end->secrets.out, cipher, &end->keys.out);
    } else {
        tls_direction_init(&end->keys.in, cipher, key, iv);
        tls_direction_init(&end->keys.out, cipher, key, iv);
    }
    end->keys.out.plain_log2 = PLAIN_LOG2;
    tls_line_keep(&end->line, &end->keys, is_13 ? &end->secrets : NULL);
}

/* Seals by the keys and by the line, which must be the same, and opens it by the line. */
static void talk(struct end *end, const char *text)
{
    unsigned char area[2][64];
    struct tls_direction scratch;
    struct tls_record record;
    size_t len = strlen(text), head = tls_line_head(&end->line);
    assert_int_equal(head, tls_record_head(&end->keys.out));
    memcpy(area[0] + head, text, len);
    memcpy(area[1] + head, text, len);
    size_t size = tls_record_seal_in_place(&end->keys.out, TLS_APPLICATION_DATA, area[0], len);
    struct tls_direction *out = tls_line_out(&end->line, &scratch);
    assert_int_equal(tls_record_seal_in_place(out, TLS_APPLICATION_DATA, area[1], len), size);
    assert_int_equal(out->plain_log2, PLAIN_LOG2);
    tls_line_out_used(&end->line, out);
    assert_memory_equal(area[0], area[1], size);

    struct tls_direction *in = tls_line_in(&end->line, &scratch);
    assert_int_equal(tls_record_open(in, area[0], size, &record), size);
    assert_int_equal(record.len, len);
    assert_memory_equal(record.bytes, text, len);
    assert_true(tls_line_in_used(&end->line, in));
}

static void test_each(void **state)
{
    (void)state;
    for (unsigned at = 0; at < CASES; at++) {
        struct end end;
        end_make(&end, at);
        assert_int_equal(tls_line_plain_max(&end.line), 1 << PLAIN_LOG2);
        for (unsigned i = 0; i < 300; i++)
            talk(&end, "one and another");
    }
}

static void test_new_keys(void **state)
{
    (void)state;
    for (unsigned at = TLS_CIPHER_COUNT; at < CASES; at++) {
        struct end end;
        struct tls_direction scratch;
        end_make(&end, at);
        for (unsigned i = 0; i < 20; i++) {
            talk(&end, "before");
            tls_secret_update(end.secrets.out, &end.keys.out);
            tls_line_out_update(&end.line, tls_line_out(&end.line, &scratch));
            tls_line_in_update(&end.line, tls_line_in(&end.line, &scratch));
        }
        talk(&end, "after");
    }
}

/* Numbers go as far as they may, and no further. */
static void test_numbers(void **state)
{
    (void)state;
    for (unsigned at = TLS_CIPHER_COUNT; at < CASES; at++) {
        struct end end;
        struct tls_direction scratch, *in, *out;
        end_make(&end, at);
        for (unsigned bit = 0; bit < 29; bit++) {
            in = tls_line_in(&end.line, &scratch);
            in->sequence = (1ULL << bit) + bit % 2;
            assert_true(tls_line_in_used(&end.line, in));
            assert_int_equal(tls_line_in(&end.line, &scratch)->sequence, (1ULL << bit) + bit % 2);
        }
        for (unsigned bit = 0; bit < 24; bit++) {
            out = tls_line_out(&end.line, &scratch);
            out->sequence = 1ULL << bit;
            tls_line_out_used(&end.line, out);
            assert_int_equal(tls_line_out(&end.line, &scratch)->sequence, 1ULL << bit);
        }
        in = tls_line_in(&end.line, &scratch);
        in->sequence = TLS_LINE_IN_MAX;
        assert_false(tls_line_in_used(&end.line, in));
    }
}

static void test_wipe(void **state)
{
    (void)state;
    static const union tls_line nothing;
    struct end end;
    struct tls_direction scratch = {.cipher = 1};
    static const struct tls_direction no_direction;
    end_make(&end, CASES - 1);
    tls_line_wipe(&end.line);
    assert_memory_equal(&end.line, &nothing, sizeof nothing);
    tls_line_forget(&scratch);
    assert_memory_equal(&scratch, &no_direction, sizeof scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_new_keys),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
