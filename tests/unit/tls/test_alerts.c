/* What a peer may not send while a handshake is under way: alerts of any length, what is no
 * handshake, more than it may. */
#include "tls/handshake_state.h"
#include "tls_test.h"

/* Feeds bytes, at most `step` at a time, until one of them is not taken. */
static void feed_all(struct tls_handshake *to, const unsigned char *bytes, size_t len, size_t step)
{
    for (size_t fed = 1; len > 0 && fed > 0; bytes += fed, len -= fed)
        fed = tls_handshake_feed(to, bytes, len < step ? len : step);
}

/* What a stranger sends first, and how it ends. */
static enum tls_error first_bytes(const void *bytes, size_t len, size_t step, unsigned char *alert,
                                  size_t *alert_len)
{
    struct pair pair;
    pair_of(&pair, TLS_VERSIONS_12, ALL_CIPHERS, identities_of("ec", NULL));
    pair_begin(&pair, NULL, NULL);
    feed_all(pair.at_server, bytes, len, step);
    *alert_len = tls_handshake_output(pair.at_server, alert, TLS_ALERT_MAX);
    enum tls_error error = tls_handshake_error(pair.at_server);
    assert_true(error == TLS_ERROR_NONE || tls_handshake_progress(pair.at_server) == TLS_FAILED);
    pair_done(&pair);
    return error;
}

static void test_strangers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum tls_error error;
        int alert;
    } cases[] = {
        {"\x16\3\3\x40\1", 5, TLS_ERROR_RECORD_TOO_LONG, 22},
        {"\x16\4\3\0\5hello", 10, TLS_ERROR_VERSION, 70},
        {"\x15\3\3\0\2\2\x28", 7, TLS_ERROR_ALERT_RECEIVED, -1},
        {"\x15\3\3\0\2\1\0", 7, TLS_ERROR_CLOSED, -1},
        {"\x15\3\1\0\3\1\0\0", 8, TLS_ERROR_BAD_ALERT, 50},
        {"\x15\3\3\0\4\1\0\2\x28", 9, TLS_ERROR_BAD_ALERT, 50},
        {"\x15\3\3\0\1\1", 6, TLS_ERROR_BAD_ALERT, 50},
        {"\x15\3\3\0\0", 5, TLS_ERROR_BAD_ALERT, 50},
    };
    for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
        unsigned char alert[TLS_ALERT_MAX];
        size_t len, at = i / 2, step = i % 2 ? 1 : SIZE_MAX;
        assert_int_equal(first_bytes(cases[at].bytes, cases[at].len, step, alert, &len),
                         cases[at].error);
        if (cases[at].alert < 0) {
            assert_int_equal(len, 0);
            continue;
        }
        const unsigned char expected[] = {21, 3, 3, 0, 2, 2, (unsigned char)cases[at].alert};
        assert_int_equal(len, sizeof expected);
        assert_memory_equal(alert, expected, sizeof expected);
    }
}

/* An alert is two bytes, wherever a handshake stands and whichever end it comes to. */
static void test_alerts_of_any_length(void **state)
{
    (void)state;
    struct pair pair;
    pair_of(&pair, TLS_VERSIONS_12, ALL_CIPHERS, identities_of("ec", NULL));
    for (unsigned i = 0; i < 8 * 6; i++) {
        unsigned len = i / 8;
        const unsigned char bytes[] = {21, 3, 3, 0, (unsigned char)len, 1, 0, 1, 0, 1};
        bool to_server = i & 1, late = i & 2;
        pair_begin(&pair, "a.example", NULL);
        pump_out(pair.at_client, &pair.to_server, 0);
        if (late && to_server) {
            pump_in(pair.at_server, &pair.to_server, 0);
            while (pump_out(pair.at_server, &pair.to_client, 0))
                ;
        }
        struct tls_handshake *to = to_server ? pair.at_server : pair.at_client;
        feed_all(to, bytes, 5 + len, i & 4 ? 1 : SIZE_MAX);
        while (pump_out(to, &pair.to_client, 0))
            ;
        assert_int_equal(tls_handshake_progress(to), TLS_FAILED);
        assert_int_equal(tls_handshake_error(to),
                         len == 2 ? TLS_ERROR_CLOSED : TLS_ERROR_BAD_ALERT);
    }
    pair_done(&pair);
}

/* The keys that a client has gone over to, with the number of its Finished. */
static struct tls_direction sealing_of(const struct tls_handshake *client)
{
    gnutls_datum_t iv, key;
    struct tls_direction out;
    assert_int_equal(gnutls_record_get_state(client->session, 0, NULL, &iv, &key, NULL), 0);
    tls_direction_init(&out, TLS_AES_128_GCM, key.data, iv.data);
    return out;
}

/* The same under the keys of the handshake: in the place of a client's Finished. */
static void test_sealed_alerts_of_any_length(void **state)
{
    (void)state;
    struct pair pair;
    pair_of(&pair, TLS_VERSIONS_12, "aes128-gcm", identities_of("ec", NULL));
    for (size_t i = 0; i < 2 * 5; i++) {
        unsigned char area[TLS_OVERHEAD_MAX + 8] = {0};
        size_t len = i / 2;
        pair_begin(&pair, "a.example", NULL);
        pump_out(pair.at_client, &pair.to_server, 0);
        pump_in(pair.at_server, &pair.to_server, 0);
        while (pump_out(pair.at_server, &pair.to_client, 0))
            pump_in(pair.at_client, &pair.to_client, 0);
        while (pump_out(pair.at_client, &pair.to_server, 0))
            ;
        struct tls_direction out = sealing_of(pair.at_client);
        pair.to_server.len -= tls_record_overhead(&out) + 16; /* a Finished */
        area[tls_record_head(&out)] = 1;
        size_t size = tls_record_seal_in_place(&out, TLS_ALERT, area, len);
        size_t step = i % 2 ? 1 : SIZE_MAX;
        feed_all(pair.at_server, pair.to_server.bytes, pair.to_server.len, step);
        assert_int_equal(tls_handshake_progress(pair.at_server), TLS_WANTS_INPUT);
        feed_all(pair.at_server, area, size, step);
        while (pump_out(pair.at_server, &pair.to_client, 0))
            ;
        assert_int_equal(tls_handshake_progress(pair.at_server), TLS_FAILED);
        assert_int_equal(tls_handshake_error(pair.at_server),
                         len == 2 ? TLS_ERROR_CLOSED : TLS_ERROR_BAD_ALERT);
    }
    pair_done(&pair);
}

/* A client that begins a message of 16 MiB behind its hello is not listened to for long. */
static void test_a_message_without_end(void **state)
{
    (void)state;
    static unsigned char record[TLS_HEAD_SIZE + TLS_PLAIN_MAX] = {22, 3,   3,   0x40, 0,
                                                                  16, 255, 255, 255};
    struct pair pair;
    pair_of(&pair, TLS_VERSIONS_12, ALL_CIPHERS, identities_of("ec", NULL));
    pair_begin(&pair, "a.example", NULL);
    pump_out(pair.at_client, &pair.to_server, 0);
    pump_in(pair.at_server, &pair.to_server, 0);
    while (pump_out(pair.at_server, &pair.to_client, 0))
        ;
    for (unsigned i = 0; i < 2; i++) {
        feed_all(pair.at_server, record, sizeof record, SIZE_MAX);
        assert_int_equal(tls_handshake_progress(pair.at_server), TLS_WANTS_INPUT);
        record[TLS_HEAD_SIZE] = 0;
    }
    feed_all(pair.at_server, record, sizeof record, SIZE_MAX);
    assert_int_equal(tls_handshake_error(pair.at_server), TLS_ERROR_HELLO_TOO_LONG);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_alerts_of_any_length),
        cmocka_unit_test(test_sealed_alerts_of_any_length),
        cmocka_unit_test(test_a_message_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
