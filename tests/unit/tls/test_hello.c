#include "tls/hello.h"
#include "tls_test.h"

/* Looks at the bytes as they come, so many at a time. */
static int look(const void *bytes, size_t len, size_t step)
{
    struct tls_hello hello = {0};
    int result = 0;
    for (size_t have = 0; have < len && result == 0;) {
        have = have + step < len ? have + step : len;
        result = tls_hello_next(&hello, bytes, have);
    }
    return result;
}

/* A ClientHello of so many bytes in all, cut into records of so many. Returns their size. */
static size_t make(unsigned char *ret, size_t message, size_t record)
{
    size_t at = 0;
    for (size_t sent = 0; sent < message;) {
        size_t len = message - sent < record ? message - sent : record;
        const unsigned char head[] = {22, 3, 1, (unsigned char)(len >> 8), (unsigned char)len};
        memcpy(ret + at, head, sizeof head);
        at += sizeof head;
        for (size_t i = 0; i < len; i++, sent++)
            ret[at++] = sent == 0   ? 1
                        : sent == 2 ? (unsigned char)((message - 4) >> 8)
                        : sent == 3 ? (unsigned char)(message - 4)
                                    : 0;
    }
    return at;
}

static void test_whole(void **state)
{
    (void)state;
    static unsigned char bytes[6 * TLS_HELLO_MAX];
    static const size_t sizes[] = {4, 5, 63, 517, 2000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t record = 1; record < 600; record += record < 8 ? 1 : 97) {
            size_t len = make(bytes, sizes[i], record);
            assert_int_equal(look(bytes, len, SIZE_MAX / 2), len);
            assert_int_equal(look(bytes, len, 1), len);
            assert_int_equal(look(bytes, len, 7), len);
            assert_int_equal(look(bytes, len - 1, 1), 0);
            /* What follows at once is somebody else's affair. */
            assert_int_equal(look(bytes, len + 1, SIZE_MAX / 2), len);
        }
}

static void test_size(void **state)
{
    (void)state;
    static unsigned char bytes[8 * TLS_HELLO_MAX];
    const size_t most = TLS_HELLO_MAX - TLS_HEAD_SIZE;
    size_t len = make(bytes, most, most);
    assert_int_equal(look(bytes, len, 100), TLS_HELLO_MAX);
    /* As soon as a head says so. */
    make(bytes, most + 1, most + 1);
    assert_int_equal(look(bytes, 9, 9), -TLS_ERROR_HELLO_TOO_LONG);
    len = make(bytes, 10000, 3);
    assert_int_equal(look(bytes, len, 1), -TLS_ERROR_HELLO_TOO_LONG);
    len = make(bytes, 60000, 16384);
    assert_int_equal(look(bytes, 9, 1), -TLS_ERROR_HELLO_TOO_LONG);
}

static void test_strangers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        int result;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", 1, -TLS_ERROR_PLAIN_HTTP},
        {"\0\1\2", 1, -TLS_ERROR_NOT_TLS},
        {"\x80\x2e\1\3\1", 1, -TLS_ERROR_NOT_TLS}, /* a hello of SSL 2 */
        {"\x16\3\3\x40\1", 5, -TLS_ERROR_RECORD_TOO_LONG},
        {"\x16\4\3\0\5", 5, -TLS_ERROR_VERSION},
        {"\x17\3\3\0\5", 5, -TLS_ERROR_UNEXPECTED},
        {"\x14\3\3\0\1", 5, -TLS_ERROR_UNEXPECTED},
        {"\x16\3\3\0\5\2", 6, -TLS_ERROR_UNEXPECTED},
        {"\x16\3\3\0\0", 5, -TLS_ERROR_BAD_HANDSHAKE},
        {"\x16\3\3\0\5\1\0\0\0", 9, -TLS_ERROR_UNEXPECTED}, /* a message behind it */
        {"\x15\3\3\0\2\2\x28", 7, -TLS_ERROR_ALERT_RECEIVED},
        {"\x15\3\3\0\2\1\x5a", 7, -TLS_ERROR_UNEXPECTED},
        {"\x15\3\3\0\2\1\0", 7, -TLS_ERROR_CLOSED},
        {"\x15\3\1\0\3", 5, -TLS_ERROR_BAD_ALERT},
        {"\x15\3\3\0\0", 5, -TLS_ERROR_BAD_ALERT},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        /* At this byte, and no earlier. */
        assert_int_equal(look(cases[i].bytes, cases[i].len, 1), cases[i].result);
        assert_int_equal(look(cases[i].bytes, cases[i].len, cases[i].len), cases[i].result);
        assert_int_equal(look(cases[i].bytes, cases[i].len - 1, 1), 0);
    }
}

/* The name that a real client asks for, in records of any size. */
static void test_name(void **state)
{
    (void)state;
    static const char *const names[] = {"a.example", "x", NULL};
    struct pair pair;
    pair_of(&pair, TLS_VERSIONS_12, ALL_CIPHERS, identities_of("ec", NULL));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        pair_begin(&pair, names[i], NULL);
        pump_out(pair.at_client, &pair.to_server, 0);
        for (size_t record = 1; record < pair.to_server.len; record++) {
            unsigned char bytes[8192];
            struct tls_asked asked;
            size_t at = 0;
            for (size_t from = TLS_HEAD_SIZE; from < pair.to_server.len; from += record) {
                size_t left = pair.to_server.len - from, len = left < record ? left : record;
                const unsigned char head[] = {22, 3, 1, (unsigned char)(len >> 8),
                                              (unsigned char)len};
                memcpy(bytes + at, head, sizeof head);
                memcpy(bytes + at + sizeof head, pair.to_server.bytes + from, len);
                at += sizeof head + len;
            }
            assert_int_equal(look(bytes, at, SIZE_MAX / 2), at);
            tls_hello_asks(bytes, at, &asked);
            assert_false(asked.tls_13);
            assert_true(asked.ecdsa_12 && asked.rsa_12);
            assert_string_equal(asked.name, names[i] ? names[i] : "");
            /* Cut anywhere it is not the name, and nothing is read that is not there. */
            tls_hello_asks(bytes, at - record % at, &asked);
        }
    }
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
