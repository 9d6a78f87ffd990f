#include <bearssl.h>
#include <errno.h>

#include "tls/handshake_state.h"
#include "tls_test.h"

static const char *const protocols[] = {"http/1.1"};
static const char *const protocols_h2[] = {"h2"};
static const enum tls_versions each_version[] = {TLS_VERSIONS_12, TLS_VERSIONS_13};

/* A message from one end to the other, to see that the keys fit. */
static void talk_to(struct tls_direction *out, struct tls_direction *in)
{
    char text[] = "hello";
    const struct iovec plain[] = {{text, 2}, {text + 2, 3}};
    unsigned char area[64 + TLS_OVERHEAD_MAX];
    size_t size = tls_record_seal(out, plain, 2, area);
    assert_int_equal(size, 5 + tls_record_overhead(out));
    struct tls_record record;
    assert_int_equal(tls_record_open(in, area, size, &record), size);
    assert_int_equal(record.kind, TLS_RECORD_DATA);
    assert_int_equal(record.len, 5);
    assert_memory_equal(record.bytes, "hello", 5);
}

/* What the server sends behind a handshake of 1.3: nothing but tickets. Returns how many. */
static unsigned open_tickets(struct pair *pair, struct tls_keys *client)
{
    unsigned count = 0;
    size_t at = 0;
    for (int size; at < pair->to_client.len; at += (size_t)size, count++) {
        struct tls_record record;
        size = tls_record_open(&client->in, pair->to_client.bytes + at, pair->to_client.len - at,
                               &record);
        assert_true(size > 0);
        assert_int_equal(record.kind, TLS_RECORD_TICKET);
    }
    pair->to_client.len = 0;
    return count;
}

/* Runs one to its end, and takes its ticket into `ret` unless that is NULL. */
static void run_ok(struct pair *pair, const char *name, const struct tls_ticket *resume,
                   size_t step, struct tls_ticket *ret)
{
    struct tls_keys server, client;
    pair_begin(pair, name, resume);
    pair_run(pair, step);
    pair_keys(pair, &server, &client);
    assert_int_equal(pair->to_server.len, 0);
    if (ret)
        assert_true(pair_ticket(pair, ret));
    unsigned tickets = open_tickets(pair, &client);
    assert_int_equal(tickets > 0, pair->offers_13 && pair->at_server->sends_ticket);
    talk_to(&server.out, &client.in);
    talk_to(&client.out, &server.in);
}

static void test_every_suite(void **state)
{
    (void)state;
    static const struct {
        enum tls_versions versions;
        const char *cipher, *identity;
        uint16_t suite;
    } cases[] = {
        {TLS_VERSIONS_12, "aes128-gcm", "ec", 0xc02b},
        {TLS_VERSIONS_12, "aes128-gcm", "rsa", 0xc02f},
        {TLS_VERSIONS_12, "aes256-gcm", "ec", 0xc02c},
        {TLS_VERSIONS_12, "aes256-gcm", "rsa", 0xc030},
        {TLS_VERSIONS_12, "chacha20-poly1305", "ec", 0xcca9},
        {TLS_VERSIONS_12, "chacha20-poly1305", "rsa", 0xcca8},
        {TLS_VERSIONS_12, "aes128-gcm", "p384", 0xc02b},
        {TLS_VERSIONS_13, "aes128-gcm", "ec", 0x1301},
        {TLS_VERSIONS_13, "aes128-gcm", "rsa", 0x1301},
        {TLS_VERSIONS_13, "chacha20-poly1305", "ec", 0x1303},
        {TLS_VERSIONS_13, "aes256-gcm", "ec", 0x1302},
        {TLS_VERSIONS_13, "aes256-gcm", "rsa", 0x1302},
        {TLS_VERSIONS_13, "chacha20-poly1305", "p384", 0x1303},
        {TLS_VERSIONS_BOTH, "aes128-gcm", "ec", 0x1301},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pair pair;
        pair_of(&pair, cases[i].versions, cases[i].cipher, identities_of(cases[i].identity, NULL));
        run_ok(&pair, "a.example", NULL, 0, NULL);
        assert_int_equal(tls_handshake_suite(pair.at_server), cases[i].suite);
        assert_int_equal(tls_handshake_suite(pair.at_client), cases[i].suite);
        assert_false(tls_handshake_resumed(pair.at_server));
        assert_false(tls_handshake_resumed(pair.at_client));
        assert_true(tls_handshake_exchanged(pair.at_server));
        pair_done(&pair);
    }
}

/* X25519 where the client has it, P-256 where it has nothing else; none when a session of 1.2 is
 * resumed. */
static void test_curves(void **state)
{
    (void)state;
    const struct tls_server_config server = {.suites = suites_of(ALL_CIPHERS),
                                             .versions = TLS_VERSIONS_BOTH,
                                             .ticket_lifetime_s = TICKET_LIFETIME_S};
    for (size_t i = 0; i < COUNT_OF(each_version); i++) {
        struct tls_client_config client = {
            .suites = server.suites, .versions = each_version[i], .trust_anybody = true};
        struct pair pair;
        struct tls_ticket ticket = {0};
        int resumed = each_version[i] == TLS_VERSIONS_13 ? BR_EC_curve25519 : 0;
        pair_init(&pair, &server, &client, identities_of("ec", NULL));
        run_ok(&pair, "a.example", NULL, 0, &ticket);
        assert_int_equal(tls_handshake_curve(pair.at_server), BR_EC_curve25519);
        assert_int_equal(tls_handshake_curve(pair.at_client), BR_EC_curve25519);
        run_ok(&pair, "a.example", &ticket, 0, NULL);
        assert_int_equal(tls_handshake_curve(pair.at_server), resumed);
        assert_int_equal(tls_handshake_curve(pair.at_client), resumed);
        tls_ticket_free(&ticket);
        pair_done(&pair);

        client.p256_only = true;
        pair_init(&pair, &server, &client, identities_of("ec", NULL));
        run_ok(&pair, "a.example", NULL, 0, NULL);
        assert_int_equal(tls_handshake_curve(pair.at_server), BR_EC_secp256r1);
        assert_int_equal(tls_handshake_curve(pair.at_client), BR_EC_secp256r1);
        pair_done(&pair);
    }
}

/* Bytes arrive in any pieces. */
static void test_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(each_version); i++) {
        struct pair pair;
        struct tls_ticket ticket = {0};
        pair_of(&pair, each_version[i], ALL_CIPHERS, identities_of("ec", NULL));
        for (size_t step = 1; step < 40; step += step < 8 ? 1 : 7)
            run_ok(&pair, "a.example", NULL, step, &ticket);
        for (size_t step = 1; step < 300; step++)
            run_ok(&pair, "a.example", &ticket, step, NULL);
        tls_ticket_free(&ticket);
        pair_done(&pair);
    }
}

static void resumes(enum tls_versions versions)
{
    struct pair pair;
    struct tls_ticket ticket = {0};
    pair_of(&pair, versions, ALL_CIPHERS, identities_of("ec", NULL));
    run_ok(&pair, "a.example", NULL, 0, &ticket);
    uint16_t suite = tls_handshake_suite(pair.at_server);
    for (size_t i = 0; i < 3; i++) {
        run_ok(&pair, "a.example", &ticket, 0, NULL);
        assert_true(tls_handshake_resumed(pair.at_server));
        assert_true(tls_handshake_resumed(pair.at_client));
        assert_int_equal(tls_handshake_suite(pair.at_server), suite);
    }

    /* Another server name, and none: a full handshake each. */
    static const char *const names[] = {"b.example", "A.example", NULL};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        run_ok(&pair, names[i], &ticket, 0, NULL);
        assert_false(tls_handshake_resumed(pair.at_client));
        assert_false(tls_handshake_resumed(pair.at_server));
    }
    tls_ticket_free(&ticket);
    pair_done(&pair);
}

static void test_resumed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(each_version); i++)
        resumes(each_version[i]);
}

static void test_no_tickets(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(each_version); i++) {
        const struct tls_server_config server = {.suites = suites_of(ALL_CIPHERS),
                                                 .versions = TLS_VERSIONS_BOTH};
        const struct tls_client_config client = {
            .suites = server.suites, .versions = each_version[i], .trust_anybody = true};
        struct pair pair;
        struct tls_ticket ticket = {0};
        pair_init(&pair, &server, &client, identities_of("ec", NULL));
        run_ok(&pair, "a.example", NULL, 0, NULL);
        pair_ticket(&pair, &ticket);
        run_ok(&pair, "a.example", &ticket, 0, NULL);
        assert_false(tls_handshake_resumed(pair.at_server));
        tls_ticket_free(&ticket);
        pair_done(&pair);
    }
}

/* A hello with a ticket whose bytes are changed one at a time gives no connection. */
static void test_changed_tickets(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(each_version); i++) {
        struct pair pair;
        struct tls_ticket ticket = {0};
        pair_of(&pair, each_version[i], ALL_CIPHERS, identities_of("ec", NULL));
        run_ok(&pair, "a.example", NULL, 0, &ticket);
        for (size_t at = TLS_HEAD_SIZE;; at += 13) {
            pair_begin(&pair, "a.example", &ticket);
            pump_out(pair.at_client, &pair.to_server, 0);
            if (at >= pair.to_server.len)
                break;
            pair.to_server.bytes[at] ^= 0x55;
            pair_run(&pair, 0);
            assert_int_not_equal(tls_handshake_progress(pair.at_client), TLS_DONE);
            assert_int_not_equal(tls_handshake_progress(pair.at_server), TLS_DONE);
        }
        tls_ticket_free(&ticket);
        pair_done(&pair);
    }
}

/* A server that has both and speaks 1.2 says so in its random number (RFC 8446 section 4.1.3), and
 * both ends hash all messages into their secret (RFC 7627). */
static void test_the_older_version_is_marked(void **state)
{
    (void)state;
    enum {
        RANDOM_END = TLS_HEAD_SIZE + 4 + 2 + 32,
    };
    struct pair pair;
    pair_of(&pair, TLS_VERSIONS_12, ALL_CIPHERS, identities_of("ec", NULL));
    pair_begin(&pair, "a.example", NULL);
    pump_out(pair.at_client, &pair.to_server, 0);
    pump_in(pair.at_server, &pair.to_server, 0);
    pump_out(pair.at_server, &pair.to_client, 0);
    assert_memory_equal(pair.to_client.bytes + RANDOM_END - 8, "DOWNGRD\1", 8);
    pair_run(&pair, 0);
    assert_int_equal(tls_handshake_progress(pair.at_server), TLS_DONE);
    assert_true(gnutls_session_get_flags(pair.at_server->session) &
                GNUTLS_SFLAGS_EXT_MASTER_SECRET);
    pair_done(&pair);
}

static uint16_t suite_for(struct pair *pair, const char *name)
{
    run_ok(pair, name, NULL, 0, NULL);
    return tls_handshake_suite(pair->at_server);
}

/* The name decides, then the order of the certificates; without a name the first one. */
static void test_server_names(void **state)
{
    (void)state;
    struct pair pair;
    const uint16_t ecdsa = 0xc02b, rsa = 0xc02f;
    pair_of(&pair, TLS_VERSIONS_12, "aes128-gcm", identities_of("rsa", "wild"));
    assert_int_equal(suite_for(&pair, "a.example"), rsa);
    assert_int_equal(suite_for(&pair, "x.b.example"), ecdsa);
    assert_int_equal(suite_for(&pair, "X.B.EXAMPLE"), ecdsa);
    assert_int_equal(suite_for(&pair, "b.example"), rsa);
    assert_int_equal(suite_for(&pair, "y.x.b.example"), rsa);
    assert_int_equal(suite_for(&pair, NULL), rsa);
    pair_done(&pair);
    pair_of(&pair, TLS_VERSIONS_12, "aes128-gcm", identities_of("rsa", "ec"));
    assert_int_equal(suite_for(&pair, "a.example"), rsa);
    assert_int_equal(suite_for(&pair, "nobody.example"), rsa);
    pair_done(&pair);
}

static enum tls_error failure(const struct tls_server_config *server,
                              const struct tls_client_config *client, const char *identity,
                              enum tls_error *ret_client)
{
    struct pair pair;
    pair_init(&pair, server, client, identities_of(identity, NULL));
    pair_begin(&pair, "a.example", NULL);
    pair_run(&pair, 0);
    assert_int_equal(tls_handshake_progress(pair.at_server), TLS_FAILED);
    assert_int_equal(tls_handshake_progress(pair.at_client), TLS_FAILED);
    enum tls_error error = tls_handshake_error(pair.at_server);
    *ret_client = tls_handshake_error(pair.at_client);
    pair_done(&pair);
    return error;
}

static void test_nothing_in_common(void **state)
{
    (void)state;
    enum tls_error at_client;
    struct tls_server_config server = {.suites = suites_of("aes128-gcm")};
    struct tls_client_config client = {.suites = suites_of("chacha20-poly1305"),
                                       .trust_anybody = true};
    assert_int_equal(failure(&server, &client, "ec", &at_client), TLS_ERROR_NOTHING_COMMON);
    assert_int_equal(at_client, TLS_ERROR_ALERT_RECEIVED);

    /* Only ECDSA is offered, and the certificate is RSA. */
    client.suites = (struct tls_suites){.suites = {0xc02b}, .count = 1};
    assert_int_equal(failure(&server, &client, "rsa", &at_client), TLS_ERROR_NOTHING_COMMON);
    assert_int_equal(at_client, TLS_ERROR_ALERT_RECEIVED);
}

static void test_alpn(void **state)
{
    (void)state;
    enum tls_error at_client;
    const struct tls_server_config server = {
        .suites = suites_of(ALL_CIPHERS), .protocols = protocols, .protocol_count = 1};
    struct tls_client_config client = {.suites = server.suites,
                                       .trust_anybody = true,
                                       .protocols = protocols,
                                       .protocol_count = 1};
    struct pair pair;
    pair_init(&pair, &server, &client, identities_of("ec", NULL));
    run_ok(&pair, "a.example", NULL, 0, NULL);
    assert_int_equal(tls_handshake_protocol(pair.at_server), 0);
    assert_int_equal(tls_handshake_protocol(pair.at_client), 0);
    pair_done(&pair);

    client.protocol_count = 0;
    pair_init(&pair, &server, &client, identities_of("ec", NULL));
    run_ok(&pair, "a.example", NULL, 0, NULL);
    assert_int_equal(tls_handshake_protocol(pair.at_server), -1);
    pair_done(&pair);

    client.protocols = protocols_h2;
    client.protocol_count = 1;
    assert_int_equal(failure(&server, &client, "ec", &at_client), TLS_ERROR_NO_PROTOCOL);
    assert_int_equal(at_client, TLS_ERROR_ALERT_RECEIVED);
}

static void test_trusted_key(void **state)
{
    (void)state;
    enum tls_error at_client;
    const struct tls_server_config server = {.suites = suites_of(ALL_CIPHERS)};
    static const char *const names[] = {"ec", "rsa", "p384"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char file[32];
        snprintf(file, sizeof file, "%s.pem", names[i]);
        struct tls_trust *trust = trust_of(file);
        const struct tls_client_config client = {.suites = server.suites, .trust = trust};
        struct pair pair;
        pair_init(&pair, &server, &client, identities_of(names[i], NULL));
        run_ok(&pair, "a.example", NULL, 0, NULL);
        pair_done(&pair);
        failure(&server, &client, i == 0 ? "wild" : "ec", &at_client);
        assert_in_set(at_client,
                      ((LargestIntegralType[]){TLS_ERROR_BAD_SIGNATURE, TLS_ERROR_UNTRUSTED,
                                               TLS_ERROR_BAD_HANDSHAKE}),
                      3);
        tls_trust_free(trust);
    }
}

/* A server's flight whose bytes are changed one at a time: the client never finishes. */
static void test_changed_bytes(void **state)
{
    (void)state;
    struct pair pair;
    pair_of(&pair, TLS_VERSIONS_12, "aes128-gcm", identities_of("ec", NULL));
    for (size_t at = 0;; at += 37) {
        pair_begin(&pair, "a.example", NULL);
        pump_out(pair.at_client, &pair.to_server, 0);
        pump_in(pair.at_server, &pair.to_server, 0);
        pump_out(pair.at_server, &pair.to_client, 0);
        if (at >= pair.to_client.len)
            break;
        pair.to_client.bytes[at] ^= 0x55;
        pair_run(&pair, 0);
        assert_int_not_equal(tls_handshake_progress(pair.at_client), TLS_DONE);
        assert_int_not_equal(tls_handshake_progress(pair.at_server), TLS_DONE);
    }
    pair_done(&pair);
}

/* Data that came right behind the client's Finished stays with the caller. */
static void test_data_behind_finished(void **state)
{
    (void)state;
    struct pair pair;
    struct tls_ticket ticket = {0};
    struct tls_keys server, client;
    pair_of(&pair, TLS_VERSIONS_12, ALL_CIPHERS, identities_of("ec", NULL));
    run_ok(&pair, "a.example", NULL, 0, &ticket);

    pair_begin(&pair, "a.example", &ticket);
    tls_ticket_free(&ticket);
    pump_out(pair.at_client, &pair.to_server, 0);
    pump_in(pair.at_server, &pair.to_server, 0);
    pump_out(pair.at_server, &pair.to_client, 0);
    pump_in(pair.at_client, &pair.to_client, 0);
    pump_out(pair.at_client, &pair.to_server, 0);
    assert_int_equal(tls_handshake_progress(pair.at_client), TLS_DONE);
    tls_handshake_keys(pair.at_client, &client);
    char text[] = "GET /";
    const struct iovec plain = {text, 5};
    size_t size =
        tls_record_seal(&client.out, &plain, 1, pair.to_server.bytes + pair.to_server.len);
    pair.to_server.len += size;

    pump_in(pair.at_server, &pair.to_server, 0);
    assert_int_equal(tls_handshake_progress(pair.at_server), TLS_DONE);
    assert_int_equal(pair.to_server.len, size);
    tls_handshake_keys(pair.at_server, &server);
    struct tls_record record;
    assert_int_equal(tls_record_open(&server.in, pair.to_server.bytes, size, &record), size);
    assert_int_equal(record.len, 5);
    assert_memory_equal(record.bytes, "GET /", 5);
    pair_done(&pair);
}

/* The pool lends what it has, and a storm leaves it as it was. */
static void test_pool(void **state)
{
    (void)state;
    struct tls_handshakes *pool = tls_handshakes_create(40);
    struct tls_handshake *taken[40];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT_OF(taken); i++) {
            taken[i] = tls_handshake_take(pool);
            assert_non_null(taken[i]);
            for (size_t j = 0; j < i; j++)
                assert_ptr_not_equal(taken[i], taken[j]);
        }
        assert_null(tls_handshake_take(pool));
        assert_int_equal(tls_handshakes_in_use(pool), 40);
        for (size_t i = 0; i < COUNT_OF(taken); i++)
            tls_handshake_give(pool, taken[(i * 7) % 40]);
        assert_int_equal(tls_handshakes_in_use(pool), 0);
    }
    tls_handshakes_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_suite),
        cmocka_unit_test(test_curves),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_no_tickets),
        cmocka_unit_test(test_changed_tickets),
        cmocka_unit_test(test_the_older_version_is_marked),
        cmocka_unit_test(test_server_names),
        cmocka_unit_test(test_nothing_in_common),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_trusted_key),
        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_data_behind_finished),
        cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
