/* Keys of TLS 1.3 from their secrets, and its records: those of RFC 8448 section 3, and what no
 * peer may send. */
#include "tls_test.h"

#include "tls/secrets.h"

static const uint8_t client_secret[TLS_SECRET_MAX] = {
    0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65, 0x52,
    0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf, 0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};

static void test_rfc_8448(void **state)
{
    (void)state;
    static const uint8_t key[] = {0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9,
                                  0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51};
    static const uint8_t iv[] = {0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08,
                                 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9};
    static const uint8_t record[] = {
        0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa,
        0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc,
        0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20,
        0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd,
        0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};
    struct tls_direction out;
    tls_secret_keys(client_secret, TLS_AES_128_GCM, &out);
    assert_memory_equal(out.key, key, sizeof key);
    assert_memory_equal(out.nonce.iv, iv, sizeof iv);
    unsigned char area[sizeof record];
    for (unsigned char i = 0; i < 50; i++)
        area[TLS_HEAD_SIZE + i] = i;
    assert_int_equal(tls_record_seal_in_place(&out, TLS_APPLICATION_DATA, area, 50), sizeof record);
    assert_memory_equal(area, record, sizeof record);
}

/* Seals with the type and the zeros of an inner plaintext as given. */
static size_t seal(struct tls_direction *out, const unsigned char *inner, size_t len,
                   unsigned char *area)
{
    memcpy(area + TLS_HEAD_SIZE, inner, len);
    /* The last byte is put there again as the type. */
    return tls_record_seal_in_place(out, (enum tls_content)inner[len - 1], area, len - 1);
}

static void test_what_comes_inside(void **state)
{
    (void)state;
    static const struct {
        unsigned char inner[16];
        size_t len;
        int kind; /* or an error */
        size_t data;
    } rows[] = {
        {"hello\x17", 6, TLS_RECORD_DATA, 5},
        {"\x17", 1, TLS_RECORD_DATA, 0},
        {"hi\x17\0\0\0", 6, TLS_RECORD_DATA, 2},
        {"h\0\x17", 3, TLS_RECORD_DATA, 2},
        {"\0\0\0", 3, -TLS_ERROR_UNEXPECTED, 0},
        {"\x01\0\x15", 3, TLS_RECORD_CLOSE, 0},
        {"\x02\0\x15", 3, TLS_RECORD_CLOSE, 0},
        {"\x01\x5a\x15", 3, TLS_RECORD_WARNING, 0},
        {"\x01\x28\x15", 3, -TLS_ERROR_ALERT_RECEIVED, 0},
        {"\x01\x15", 2, -TLS_ERROR_BAD_ALERT, 0},
        {"\x18\0\0\x01\0\x16", 6, TLS_RECORD_KEY_UPDATE, 0},
        {"\x18\0\0\x01\x01\x16", 6, TLS_RECORD_KEY_UPDATE_BOTH, 0},
        {"\x18\0\0\x01\x02\x16", 6, -TLS_ERROR_UNEXPECTED, 0},
        {"\x18\0\0\x02\0\0\x16", 7, -TLS_ERROR_UNEXPECTED, 0},
        {"\x18\0\0\x01\0\x04\x16", 7, -TLS_ERROR_UNEXPECTED, 0},
        {"\x04\0\0\0\x16", 5, TLS_RECORD_TICKET, 0},
        {"\x01\0\0\0\x16", 5, -TLS_ERROR_UNEXPECTED, 0},
        {"\x16", 1, -TLS_ERROR_UNEXPECTED, 0},
        {"\x01\x14", 2, -TLS_ERROR_UNEXPECTED, 0},
    };
    static const enum tls_cipher ciphers[] = {TLS_AES_128_GCM, TLS_CHACHA20_POLY1305,
                                              TLS_AES_256_GCM};
    for (size_t c = 0; c < COUNT_OF(ciphers); c++)
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct tls_direction out, in;
            struct tls_record record = {.len = 0};
            unsigned char area[64];
            tls_secret_keys(client_secret, ciphers[c], &out);
            in = out;
            size_t size = seal(&out, rows[i].inner, rows[i].len, area);
            assert_int_equal(size, TLS_HEAD_SIZE + rows[i].len + TLS_TAG_SIZE);
            assert_int_equal(tls_record_open(&in, area, size - 1, &record), 0);
            int got = tls_record_open(&in, area, size, &record);
            if (got != (rows[i].kind < 0 ? rows[i].kind : (int)size) ||
                (got > 0 && ((int)record.kind != rows[i].kind || record.len != rows[i].data)))
                fail_msg("row %zu: %d, kind %d, %zu bytes", i, got, (int)record.kind, record.len);
        }
}

static void test_sizes(void **state)
{
    (void)state;
    static unsigned char area[TLS_RECORD_MAX + 1];
    struct tls_direction out, in;
    struct tls_record record;
    tls_secret_keys(client_secret, TLS_AES_128_GCM, &out);
    in = out;
    memset(area, 'x', sizeof area);
    size_t size = tls_record_seal_in_place(&out, TLS_APPLICATION_DATA, area, TLS_PLAIN_MAX);
    assert_int_equal(size, TLS_PLAIN_MAX + 22);
    assert_int_equal(tls_record_open(&in, area, size, &record), size);
    assert_int_equal(record.len, TLS_PLAIN_MAX);
    static const unsigned char too_long[] = {23, 3, 3, 0x41, 0x01}, too_short[] = {23, 3, 3, 0, 16};
    memcpy(area, too_long, sizeof too_long);
    assert_int_equal(tls_record_open(&in, area, TLS_HEAD_SIZE, &record),
                     -TLS_ERROR_RECORD_TOO_LONG);
    memcpy(area, too_short, sizeof too_short);
    assert_int_equal(tls_record_open(&in, area, TLS_HEAD_SIZE, &record),
                     -TLS_ERROR_RECORD_TOO_SHORT);
}

/* Both ends go on to the next keys together; the old ones open nothing any more. */
static void test_update(void **state)
{
    (void)state;
    struct tls_direction out, in, old;
    uint8_t secrets[2][TLS_SECRET_MAX];
    memcpy(secrets[0], client_secret, sizeof client_secret);
    memcpy(secrets[1], client_secret, sizeof client_secret);
    tls_secret_keys(client_secret, TLS_CHACHA20_POLY1305, &out);
    in = out;
    out.plain_log2 = 10;
    for (unsigned round = 0; round < 3; round++) {
        unsigned char area[64];
        struct tls_record record;
        size_t size = tls_key_update_seal(&out, area);
        assert_int_equal(tls_record_open(&in, area, size, &record), size);
        assert_int_equal(record.kind, TLS_RECORD_KEY_UPDATE);
        old = in;
        tls_secret_update(secrets[0], &out);
        tls_secret_update(secrets[1], &in);
        assert_int_equal(out.sequence, 0);
        assert_int_equal(out.plain_log2, 10);
        memcpy(area + TLS_HEAD_SIZE, "news", 4);
        size = tls_record_seal_in_place(&out, TLS_APPLICATION_DATA, area, 4);
        unsigned char copy[64];
        memcpy(copy, area, sizeof copy);
        assert_int_equal(tls_record_open(&old, copy, size, &record), -TLS_ERROR_BAD_MAC);
        assert_int_equal(tls_record_open(&in, area, size, &record), size);
        assert_memory_equal(record.bytes, "news", 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_8448),
        cmocka_unit_test(test_what_comes_inside),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
