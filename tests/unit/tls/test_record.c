#include "tls_test.h"

static const uint8_t key[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static const uint8_t iv[12] = {9, 8, 7, 6, 5, 4, 3, 2, 1};

static struct tls_keys keys_of(enum tls_cipher cipher)
{
    struct tls_keys keys;
    tls_direction_init(&keys.in, cipher, key, iv);
    tls_direction_init(&keys.out, cipher, key, iv);
    return keys;
}

/* BearSSL's own record classes read what ours writes, and the other way round. */
static void test_against_bearssl(void **state)
{
    (void)state;
    for (int cipher = 0; cipher < TLS_CIPHER_COUNT; cipher++) {
        br_sslrec_gcm_context gcm;
        br_sslrec_chapol_context chacha;
        const br_sslrec_in_class **theirs = cipher == TLS_CHACHA20_POLY1305
                                                ? (const br_sslrec_in_class **)&chacha.vtable.in
                                                : (const br_sslrec_in_class **)&gcm.vtable.in;
        if (cipher == TLS_CHACHA20_POLY1305)
            br_sslrec_in_chapol_vtable.init(&chacha.vtable.in, br_chacha20_ct_run,
                                            br_poly1305_ctmul_run, key, iv);
        else
            br_sslrec_in_gcm_vtable.init(&gcm.vtable.in, &br_aes_ct64_ctr_vtable, key,
                                         cipher == TLS_AES_128_GCM ? 16 : 32, br_ghash_ctmul64, iv);
        struct tls_keys keys = keys_of((enum tls_cipher)cipher);
        for (size_t len = 0; len < 300; len++) {
            unsigned char text[300], area[400];
            memset(text, (int)len, sizeof text);
            const struct iovec plain = {text, len};
            size_t size = tls_record_seal(&keys.out, &plain, 1, area), payload = size - 5;
            assert_true((*theirs)->check_length(theirs, payload));
            unsigned char *opened = (*theirs)->decrypt(theirs, 23, 0x303, area + 5, &payload);
            assert_non_null(opened);
            assert_int_equal(payload, len);
            assert_memory_equal(opened, text, len);
        }
    }
}

/* Two records in one run, cut anywhere: nothing is said before the first one is whole. */
static void test_every_cut(void **state)
{
    (void)state;
    for (int cipher = 0; cipher < TLS_CIPHER_COUNT; cipher++) {
        struct tls_keys keys = keys_of((enum tls_cipher)cipher);
        unsigned char area[256], copy[256];
        char text[] = "first and second";
        const struct iovec one[] = {{text, 5}}, two[] = {{text, 0}, {text + 10, 6}};
        size_t first = tls_record_seal(&keys.out, one, 1, area);
        size_t size = first + tls_record_seal(&keys.out, two, 2, area + first);
        for (size_t len = 0; len <= size; len++) {
            struct tls_direction in = keys.in;
            struct tls_record record;
            memcpy(copy, area, len);
            int got = tls_record_open(&in, copy, len, &record);
            assert_int_equal(got, len < first ? 0 : first);
            if (got == 0)
                continue;
            assert_memory_equal(record.bytes, "first", record.len);
            got = tls_record_open(&in, copy + first, len - first, &record);
            assert_int_equal(got, len < size ? 0 : size - first);
            if (got > 0)
                assert_memory_equal(record.bytes, "second", record.len);
        }
    }
}

/* Any bit that changes on the way is noticed. */
static void test_every_bit(void **state)
{
    (void)state;
    for (int cipher = 0; cipher < TLS_CIPHER_COUNT; cipher++) {
        struct tls_keys keys = keys_of((enum tls_cipher)cipher);
        unsigned char area[256], copy[256];
        char text[] = "message";
        const struct iovec plain = {text, 7};
        size_t size = tls_record_seal(&keys.out, &plain, 1, area);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            struct tls_direction in = keys.in;
            struct tls_record record;
            memcpy(copy, area, size);
            copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
            int got = tls_record_open(&in, copy, size, &record);
            if (bit / 8 == 3 || bit / 8 == 4)
                assert_true(got <= 0); /* a longer record may not be there yet */
            else
                assert_true(got < 0);
            if (bit / 8 > 4)
                assert_int_equal(got, -TLS_ERROR_BAD_MAC);
        }
    }
}

/* A record that is played again, or out of turn, does not open. */
static void test_order(void **state)
{
    (void)state;
    struct tls_keys keys = keys_of(TLS_AES_128_GCM);
    unsigned char first[64], second[64], again[64];
    struct tls_record record;
    char text[] = "x";
    const struct iovec plain = {text, 1};
    size_t size = tls_record_seal(&keys.out, &plain, 1, first);
    tls_record_seal(&keys.out, &plain, 1, second);
    memcpy(again, first, size);
    struct tls_direction in = keys.in;
    assert_int_equal(tls_record_open(&in, second, size, &record), -TLS_ERROR_BAD_MAC);
    in = keys.in;
    assert_int_equal(tls_record_open(&in, first, size, &record), size);
    assert_int_equal(tls_record_open(&in, again, size, &record), -TLS_ERROR_BAD_MAC);
}

static int open_head(enum tls_cipher cipher, uint8_t type, uint16_t version, size_t len)
{
    struct tls_keys keys = keys_of(cipher);
    unsigned char head[5] = {type, (unsigned char)(version >> 8), (unsigned char)version,
                             (unsigned char)(len >> 8), (unsigned char)len};
    struct tls_record record;
    return tls_record_open(&keys.in, head, sizeof head, &record);
}

/* A header alone is enough to refuse a record. */
static void test_heads(void **state)
{
    (void)state;
    assert_int_equal(open_head(TLS_AES_128_GCM, 23, 0x303, 24), 0);
    assert_int_equal(open_head(TLS_AES_128_GCM, 23, 0x303, 16384 + 24), 0);
    assert_int_equal(open_head(TLS_AES_128_GCM, 23, 0x303, 16384 + 25), -TLS_ERROR_RECORD_TOO_LONG);
    assert_int_equal(open_head(TLS_AES_128_GCM, 23, 0x303, 65535), -TLS_ERROR_RECORD_TOO_LONG);
    assert_int_equal(open_head(TLS_AES_128_GCM, 23, 0x303, 23), -TLS_ERROR_RECORD_TOO_SHORT);
    assert_int_equal(open_head(TLS_CHACHA20_POLY1305, 23, 0x303, 16), 0);
    assert_int_equal(open_head(TLS_CHACHA20_POLY1305, 23, 0x303, 15), -TLS_ERROR_RECORD_TOO_SHORT);
    assert_int_equal(open_head(TLS_CHACHA20_POLY1305, 23, 0x303, 16384 + 17),
                     -TLS_ERROR_RECORD_TOO_LONG);
    assert_int_equal(open_head(TLS_AES_256_GCM, 23, 0x302, 100), -TLS_ERROR_VERSION);
    assert_int_equal(open_head(TLS_AES_256_GCM, 24, 0x303, 100), -TLS_ERROR_UNKNOWN_TYPE);
    assert_int_equal(open_head(TLS_AES_256_GCM, 'G', 0x303, 100), -TLS_ERROR_UNKNOWN_TYPE);
}

static int open_sealed(enum tls_content type, const char *plain, size_t len,
                       enum tls_record_kind *ret_kind)
{
    struct tls_keys keys = keys_of(TLS_AES_256_GCM);
    unsigned char area[128];
    memcpy(area + tls_record_head(&keys.out), plain, len);
    size_t size = tls_record_seal_in_place(&keys.out, type, area, len);
    struct tls_record record = {.kind = TLS_RECORD_DATA};
    int got = tls_record_open(&keys.in, area, size, &record);
    *ret_kind = record.kind;
    return got;
}

static void test_meanings(void **state)
{
    (void)state;
    enum tls_record_kind kind;
    assert_true(open_sealed(TLS_APPLICATION_DATA, "", 0, &kind) > 0);
    assert_int_equal(kind, TLS_RECORD_DATA);
    assert_true(open_sealed(TLS_ALERT, "\1\0", 2, &kind) > 0);
    assert_int_equal(kind, TLS_RECORD_CLOSE);
    assert_true(open_sealed(TLS_ALERT, "\1\x5a", 2, &kind) > 0);
    assert_int_equal(kind, TLS_RECORD_WARNING);
    assert_int_equal(open_sealed(TLS_ALERT, "\2\x14", 2, &kind), -TLS_ERROR_ALERT_RECEIVED);
    assert_int_equal(open_sealed(TLS_ALERT, "\2", 1, &kind), -TLS_ERROR_BAD_ALERT);
    assert_int_equal(open_sealed(TLS_ALERT, "\1\0\1", 3, &kind), -TLS_ERROR_BAD_ALERT);
    assert_int_equal(open_sealed(TLS_HANDSHAKE, "\1\0\0\0", 4, &kind), -TLS_ERROR_RENEGOTIATION);
    assert_int_equal(open_sealed(TLS_CHANGE_CIPHER_SPEC, "\1", 1, &kind), -TLS_ERROR_UNEXPECTED);
}

static void test_alerts(void **state)
{
    (void)state;
    for (int cipher = 0; cipher < TLS_CIPHER_COUNT; cipher++) {
        struct tls_keys keys = keys_of((enum tls_cipher)cipher);
        unsigned char area[TLS_ALERT_MAX];
        struct tls_record record;
        size_t size = tls_alert_seal(&keys.out, TLS_ALERT_CLOSE_NOTIFY, area);
        assert_true(size <= TLS_ALERT_MAX);
        assert_int_equal(tls_record_open(&keys.in, area, size, &record), size);
        assert_int_equal(record.kind, TLS_RECORD_CLOSE);
        size = tls_alert_seal(&keys.out, 20, area);
        assert_int_equal(tls_record_open(&keys.in, area, size, &record), -TLS_ERROR_ALERT_RECEIVED);
    }
}

static void test_largest(void **state)
{
    (void)state;
    for (int cipher = 0; cipher < TLS_CIPHER_COUNT; cipher++) {
        struct tls_keys keys = keys_of((enum tls_cipher)cipher);
        unsigned char *text = calloc(1, TLS_PLAIN_MAX), *area = malloc(TLS_RECORD_MAX);
        assert_non_null(text);
        assert_non_null(area);
        const struct iovec plain = {text, TLS_PLAIN_MAX};
        struct tls_record record;
        assert_int_equal(tls_record_plain_max(&keys.out), TLS_PLAIN_MAX);
        size_t size = tls_record_seal(&keys.out, &plain, 1, area);
        assert_true(size <= TLS_RECORD_MAX);
        assert_int_equal(tls_record_open(&keys.in, area, size, &record), size);
        assert_int_equal(record.len, TLS_PLAIN_MAX);
        assert_memory_equal(record.bytes, text, TLS_PLAIN_MAX);
        free(text);
        free(area);
    }
}

static void test_wipe(void **state)
{
    (void)state;
    static const struct tls_keys nothing;
    struct tls_keys keys = keys_of(TLS_AES_256_GCM);
    tls_keys_wipe(&keys);
    assert_memory_equal(&keys, &nothing, sizeof keys);
}

static void test_suite_names(void **state)
{
    (void)state;
    struct tls_suites suites;
    char why[256];
    assert_int_equal(tls_suites_read(&suites, " chacha20-poly1305  aes128-gcm ", why, sizeof why),
                     0);
    assert_int_equal(suites.count, 4);
    assert_string_equal(tls_suite_name(suites.suites[0]),
                        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
    assert_string_equal(tls_suite_name(suites.suites[3]), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    assert_string_equal(tls_suite_name(1), "unknown");
    assert_true(tls_suites_read(&suites, "", why, sizeof why) < 0);
    assert_true(tls_suites_read(&suites, "aes128", why, sizeof why) < 0);
    assert_true(tls_suites_read(&suites, "aes128-gcm aes128-gcm", why, sizeof why) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_bearssl),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_meanings),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_suite_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
