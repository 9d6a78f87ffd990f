#include <gnutls/abstract.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include <sys/syscall.h>
#include <unistd.h>

#include "tls/dtls.h"
#include "tls/record.h"

/* The library asks the clock. Here it is this one, which tests move. */
static int64_t clock_ahead_ms;

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    long err = syscall(SYS_clock_gettime, clock_id, tp);
    tp->tv_sec += clock_ahead_ms / 1000;
    tp->tv_nsec += clock_ahead_ms % 1000 * 1000000;
    tp->tv_sec += tp->tv_nsec / 1000000000;
    tp->tv_nsec %= 1000000000;
    return (int)err;
}

/* A client of GnuTLS, in memory: what it sends waits here until it is moved. */
enum {
    QUEUE_MAX = 32,
    RETRANSMIT_MS = 450, /* the server's own is 400: it does not answer sooner */
    FLIGHT = 5,          /* the client's second, in datagrams */
};

struct client {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    uint8_t fingerprint[DTLS_FINGERPRINT_SIZE];
    struct {
        size_t len;
        uint8_t bytes[2048];
    } out[QUEUE_MAX];
    unsigned out_count;
    const uint8_t *in;
    size_t in_len;
    bool srtp;
};

static struct dtls_identity *server;

static ssize_t client_pull(gnutls_transport_ptr_t context, void *bytes, size_t size)
{
    struct client *client = context;
    if (!client->in || client->in_len > size) {
        gnutls_transport_set_errno(client->session, EAGAIN);
        return -1;
    }
    memcpy(bytes, client->in, client->in_len);
    client->in = NULL;
    return (ssize_t)client->in_len;
}

static int client_pull_timeout(gnutls_transport_ptr_t context, unsigned ms)
{
    (void)ms;
    return ((struct client *)context)->in != NULL;
}

static ssize_t client_push(gnutls_transport_ptr_t context, const void *bytes, size_t size)
{
    struct client *client = context;
    assert_true(client->out_count < QUEUE_MAX && size <= sizeof client->out[0].bytes);
    memcpy(client->out[client->out_count].bytes, bytes, size);
    client->out[client->out_count++].len = size;
    return (ssize_t)size;
}

static void client_certificate(struct client *client)
{
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
    size_t len = sizeof client->fingerprint;
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(
                         key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                     0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, "\1", 1);
    gnutls_x509_crt_set_activation_time(crt, 0);
    gnutls_x509_crt_set_expiration_time(crt, 4000000000);
    gnutls_x509_crt_set_key(crt, key);
    assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(
        gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, client->fingerprint, &len), 0);
    assert_int_equal(gnutls_certificate_set_x509_key(client->credentials, &crt, 1, key), 0);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static void client_init(struct client *client, const char *cipher, bool certificate)
{
    char priority[256];
    memset(client, 0, sizeof *client);
    (void)snprintf(priority, sizeof priority, "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-CIPHER-ALL:+%s",
                   cipher);
    assert_int_equal(gnutls_certificate_allocate_credentials(&client->credentials), 0);
    if (certificate)
        client_certificate(client);
    assert_int_equal(gnutls_init(&client->session, GNUTLS_CLIENT | GNUTLS_DATAGRAM |
                                                       GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL),
                     0);
    gnutls_transport_set_ptr(client->session, client);
    gnutls_transport_set_pull_function(client->session, client_pull);
    gnutls_transport_set_pull_timeout_function(client->session, client_pull_timeout);
    gnutls_transport_set_push_function(client->session, client_push);
    assert_int_equal(gnutls_priority_set_direct(client->session, priority, NULL), 0);
    assert_int_equal(
        gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials), 0);
    assert_int_equal(gnutls_srtp_set_profile(client->session, GNUTLS_SRTP_AES128_CM_HMAC_SHA1_80),
                     0);
}

static void client_done(struct client *client)
{
    gnutls_deinit(client->session);
    gnutls_certificate_free_credentials(client->credentials);
}

/* Moves what the client has said, in datagrams of its own, then what the handshake answers. Returns
 * how far that is. `lose` datagrams of the answer are lost. */
static enum dtls_progress exchange(struct client *client, struct dtls_handshake *handshake,
                                   unsigned lose, unsigned *datagrams)
{
    uint8_t datagram[DTLS_DATAGRAM_MAX];
    enum dtls_progress progress = DTLS_SHAKING;
    size_t len;
    unsigned count = client->out_count;
    client->out_count = 0;
    for (unsigned i = 0; i < count; i++)
        progress = dtls_handshake_feed(handshake, client->out[i].bytes, client->out[i].len);
    while ((len = dtls_handshake_output(handshake, datagram)) > 0) {
        *datagrams += 1;
        assert_true(len <= DTLS_DATAGRAM_MAX);
        if (lose > 0) {
            lose--;
            continue;
        }
        client->in = datagram;
        client->in_len = len;
        (void)gnutls_handshake(client->session);
        client->in = NULL;
    }
    return progress;
}

static enum dtls_progress shake(struct client *client, struct dtls_handshake *handshake,
                                unsigned *datagrams)
{
    enum dtls_progress progress = DTLS_SHAKING;
    (void)gnutls_handshake(client->session);
    for (unsigned i = 0; i < 4 && progress == DTLS_SHAKING; i++)
        progress = exchange(client, handshake, 0, datagrams);
    return progress;
}

static void test_shake_and_park(void **state)
{
    (void)state;
    static const char *const ciphers[] = {"AES-128-GCM", "CHACHA20-POLY1305"};
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        struct dtls_keys keys;
        unsigned datagrams = 0;
        uint8_t area[256];
        client_init(&client, ciphers[i], true);
        struct dtls_handshake *handshake =
            dtls_handshake_create(server, DTLS_SERVER, client.fingerprint);
        assert_non_null(handshake);
        assert_int_equal(shake(&client, handshake, &datagrams), DTLS_SHAKEN);
        assert_int_equal(datagrams, 2); /* a flight is one datagram, in both directions */
        gnutls_srtp_profile_t profile;
        assert_int_equal(gnutls_srtp_get_selected_profile(client.session, &profile), 0);
        dtls_handshake_keys(handshake, &keys);
        dtls_handshake_free(handshake);

        /* The keys alone read what the client says … */
        client.out_count = 0;
        assert_int_equal(gnutls_record_send(client.session, "hello", 5), 5);
        struct dtls_record record;
        uint8_t copy[2048];
        memcpy(copy, client.out[0].bytes, client.out[0].len);
        assert_int_equal(dtls_record_open(&keys, client.out[0].bytes, client.out[0].len, &record),
                         client.out[0].len);
        assert_int_equal(record.type, TLS_APPLICATION_DATA);
        assert_int_equal(record.len, 5);
        assert_memory_equal(record.bytes, "hello", 5);
        assert_int_equal(dtls_record_open(&keys, copy, client.out[0].len, &record), DTLS_REPLAYED);

        /* … and say what it understands. */
        for (unsigned round = 0; round < 3; round++) {
            memcpy(area + dtls_record_head(&keys), "answer", 6);
            client.in_len = dtls_record_seal(&keys, TLS_APPLICATION_DATA, area, 6);
            client.in = area;
            assert_int_equal(gnutls_record_recv(client.session, copy, sizeof copy), 6);
            assert_memory_equal(copy, "answer", 6);
        }
        client.in_len = dtls_close_seal(&keys, area);
        client.in = area;
        assert_int_equal(gnutls_record_recv(client.session, copy, sizeof copy), 0);
        dtls_keys_wipe(&keys);
        client_done(&client);
    }
}

static void test_another_certificate(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        unsigned datagrams = 0;
        client_init(&client, "AES-128-GCM", i == 0);
        client.fingerprint[31] ^= 1;
        struct dtls_handshake *handshake =
            dtls_handshake_create(server, DTLS_SERVER, client.fingerprint);
        assert_int_equal(shake(&client, handshake, &datagrams), DTLS_FAILED);
        assert_int_equal(dtls_handshake_feed(handshake, (const uint8_t *)"", 0), DTLS_FAILED);
        dtls_handshake_free(handshake);
        client_done(&client);
    }
}

/* The client says its last flight again when it does not hear ours. */
static void test_last_flight_is_said_again(void **state)
{
    (void)state;
    struct client client;
    unsigned datagrams = 0;
    client_init(&client, "AES-128-GCM", true);
    gnutls_dtls_set_timeouts(client.session, RETRANSMIT_MS, 60000);
    struct dtls_handshake *handshake =
        dtls_handshake_create(server, DTLS_SERVER, client.fingerprint);
    (void)gnutls_handshake(client.session);
    assert_int_equal(exchange(&client, handshake, 0, &datagrams), DTLS_SHAKING);
    assert_int_equal(exchange(&client, handshake, 9, &datagrams), DTLS_SHAKEN);
    assert_int_equal(datagrams, 2);
    while (datagrams == 2) {
        clock_ahead_ms += gnutls_dtls_get_timeout(client.session) + 1;
        (void)gnutls_handshake(client.session);
        if (client.out_count > 0)
            assert_int_equal(exchange(&client, handshake, 0, &datagrams), DTLS_SHAKEN);
    }
    assert_int_equal(datagrams, 3);
    assert_int_equal(gnutls_record_send(client.session, "hello", 5), 5);
    dtls_handshake_free(handshake);
    client_done(&client);
}

/* A hello in two datagrams, of which the first is lost at first. */
static void test_half_a_hello(void **state)
{
    (void)state;
    struct client client;
    unsigned datagrams = 0;
    enum dtls_progress progress = DTLS_SHAKING;
    client_init(&client, "AES-128-GCM", true);
    gnutls_dtls_set_mtu(client.session, 150);
    gnutls_dtls_set_timeouts(client.session, 20, 60000);
    struct dtls_handshake *handshake =
        dtls_handshake_create(server, DTLS_SERVER, client.fingerprint);
    (void)gnutls_handshake(client.session);
    assert_true(client.out_count >= 2);
    for (unsigned i = 1; i < client.out_count; i++)
        assert_int_equal(dtls_handshake_feed(handshake, client.out[i].bytes, client.out[i].len),
                         DTLS_SHAKING);
    /* Nothing was answered, so nothing is said again, however often it is asked for. */
    assert_int_equal(dtls_handshake_wait_ms(handshake), 0);
    for (unsigned i = 0; i <= DTLS_TIMEOUTS_MAX; i++)
        assert_int_equal(dtls_handshake_timer(handshake), DTLS_SHAKING);
    client.out_count = 0;
    while (progress == DTLS_SHAKING) {
        clock_ahead_ms += gnutls_dtls_get_timeout(client.session) + 1;
        (void)gnutls_handshake(client.session);
        progress = exchange(&client, handshake, 0, &datagrams);
    }
    assert_int_equal(progress, DTLS_SHAKEN);
    /* What is no hello at all is not answered, either. */
    dtls_handshake_free(handshake);
    handshake = dtls_handshake_create(server, DTLS_SERVER, client.fingerprint);
    static const uint8_t noise[] = "\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\4abcd";
    uint8_t datagram[DTLS_DATAGRAM_MAX];
    assert_int_equal(dtls_handshake_feed(handshake, noise, sizeof noise - 1), DTLS_SHAKING);
    assert_int_equal(dtls_handshake_output(handshake, datagram), 0);
    dtls_handshake_free(handshake);
    client_done(&client);
}

/* Takes what it has to say. Returns whether it was something. */
static bool says(struct dtls_handshake *handshake)
{
    uint8_t datagram[DTLS_DATAGRAM_MAX];
    bool some = false;
    while (dtls_handshake_output(handshake, datagram) > 0)
        some = true;
    return some;
}

static void test_flights_are_said_again_some_times(void **state)
{
    (void)state;
    struct client client;
    unsigned datagrams = 0;
    client_init(&client, "AES-128-GCM", true);
    struct dtls_handshake *handshake =
        dtls_handshake_create(server, DTLS_SERVER, client.fingerprint);
    (void)gnutls_handshake(client.session);
    assert_int_equal(exchange(&client, handshake, 9, &datagrams), DTLS_SHAKING);
    for (unsigned i = 0; i < DTLS_TIMEOUTS_MAX; i++) {
        /* An alarm that goes off too early is not counted. */
        assert_int_equal(dtls_handshake_timer(handshake), DTLS_SHAKING);
        assert_false(says(handshake));
        clock_ahead_ms += dtls_handshake_wait_ms(handshake) + 1;
        assert_int_equal(dtls_handshake_timer(handshake), DTLS_SHAKING);
        assert_true(says(handshake));
    }
    clock_ahead_ms += dtls_handshake_wait_ms(handshake) + 1;
    assert_int_equal(dtls_handshake_timer(handshake), DTLS_FAILED);
    dtls_handshake_free(handshake);
    client_done(&client);
}

/* Feeds what of the client's flight is in `came`, a bit for each of its datagrams. */
static enum dtls_progress feed(struct dtls_handshake *handshake, const struct client *client,
                               unsigned came)
{
    enum dtls_progress progress = DTLS_SHAKING;
    for (unsigned i = 0; i < FLIGHT; i++)
        if (came >> i & 1)
            progress = dtls_handshake_feed(handshake, client->out[i].bytes, client->out[i].len);
    return progress;
}

/* A client such as werift says each message in a datagram of its own, and all of them again in the
 * same records. Whatever is lost of them the first time, the handshake stands when each has come
 * once, however long that takes; and then our last flight is said as often as the client's is. */
static void test_any_of_a_flight_is_lost(void **state)
{
    (void)state;
    const unsigned all = (1 << FLIGHT) - 1;
    for (unsigned came = 0; came < all; came++) {
        struct client client;
        unsigned datagrams = 0;
        client_init(&client, "AES-128-GCM", true);
        struct dtls_handshake *handshake =
            dtls_handshake_create(server, DTLS_SERVER, client.fingerprint);
        (void)gnutls_handshake(client.session);
        assert_int_equal(exchange(&client, handshake, 0, &datagrams), DTLS_SHAKING);
        assert_int_equal(client.out_count, FLIGHT);
        assert_int_equal(feed(handshake, &client, came), DTLS_SHAKING);
        for (unsigned i = 0; came > 0 && i <= DTLS_TIMEOUTS_MAX; i++) {
            clock_ahead_ms += 500;
            assert_int_equal(dtls_handshake_timer(handshake), DTLS_SHAKING);
            (void)says(handshake);
        }
        assert_int_equal(feed(handshake, &client, all & ~came), DTLS_SHAKEN);
        for (unsigned i = 0; i < 3; i++) {
            assert_true(says(handshake));
            assert_int_equal(feed(handshake, &client, all), DTLS_SHAKEN);
        }
        client.out_count = 0;
        assert_int_equal(exchange(&client, handshake, 0, &datagrams), DTLS_SHAKING);
        assert_int_equal(gnutls_record_send(client.session, "hello", 5), 5);
        dtls_handshake_free(handshake);
        client_done(&client);
    }
}

/* ---- both sides ours ---- */

static size_t seal(struct dtls_keys *keys, uint8_t *area)
{
    memcpy(area + dtls_record_head(keys), "bytes", 5);
    return dtls_record_seal(keys, TLS_APPLICATION_DATA, area, 5);
}

/* Moves all that one has to say to the other. Returns whether there was something. */
static bool carry(struct dtls_handshake *from, struct dtls_handshake *to)
{
    uint8_t datagram[DTLS_DATAGRAM_MAX];
    size_t len;
    bool some = false;
    while ((len = dtls_handshake_output(from, datagram)) > 0) {
        (void)dtls_handshake_feed(to, datagram, len);
        some = true;
    }
    return some;
}

static void test_client(void **state)
{
    (void)state;
    struct dtls_identity *other = dtls_identity_create();
    assert_non_null(other);
    for (int wrong = 0; wrong < 2; wrong++) {
        struct dtls_keys a, b;
        uint8_t area[64];
        struct dtls_record record;
        const uint8_t *expected = dtls_identity_fingerprint(wrong ? other : server);
        struct dtls_handshake *client = dtls_handshake_create(other, DTLS_CLIENT, expected);
        struct dtls_handshake *host =
            dtls_handshake_create(server, DTLS_SERVER, dtls_identity_fingerprint(other));
        assert_non_null(client);
        assert_non_null(host);
        bool moves = true;
        while (moves) {
            moves = carry(client, host);
            moves |= carry(host, client);
        }
        enum dtls_progress progress = dtls_handshake_timer(client);
        assert_int_equal(progress, wrong ? DTLS_FAILED : DTLS_SHAKEN);
        if (!wrong) {
            dtls_handshake_keys(client, &a);
            dtls_handshake_keys(host, &b);
            size_t len = seal(&a, area);
            assert_int_equal(dtls_record_open(&b, area, len, &record), (int)len);
            len = seal(&b, area);
            assert_int_equal(dtls_record_open(&a, area, len, &record), (int)len);
        }
        dtls_handshake_free(client);
        dtls_handshake_free(host);
    }
    dtls_identity_free(other);
}

/* ---- records ---- */

static void keys_pair(struct dtls_keys *a, struct dtls_keys *b, enum tls_cipher cipher)
{
    static const uint8_t first[32] = "one key of thirty-two bytes, one";
    static const uint8_t second[32] = "another key of thirty-two bytes.";
    static const uint8_t iv[12] = "twelve bytes";
    dtls_keys_init(a, cipher, first, iv, second, iv, UINT64_C(1) << 48);
    dtls_keys_init(b, cipher, second, iv, first, iv, UINT64_C(1) << 48);
}

/* Parked in the middle: numbers, window and keys go on, both ways. */
static void test_parked_keys_go_on(void **state)
{
    (void)state;
    struct dtls_keys a, b;
    struct dtls_parked parked;
    struct dtls_record record;
    uint8_t records[3][64], copy[64];
    size_t len = 0;
    keys_pair(&a, &b, TLS_AES_128_GCM);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(dtls_keys_park(&a, &parked));
        dtls_keys_wipe(&a);
        dtls_keys_wake(&a, &parked);
        len = seal(&a, records[i]);
    }
    static const unsigned order[] = {1, 0, 2};
    for (size_t i = 0; i < 3; i++) {
        memcpy(copy, records[order[i]], len);
        assert_int_equal(dtls_record_open(&b, copy, len, &record), (int)len);
        assert_true(dtls_keys_park(&b, &parked));
        dtls_keys_wipe(&b);
        dtls_keys_wake(&b, &parked);
        memcpy(copy, records[order[i]], len);
        assert_int_equal(dtls_record_open(&b, copy, len, &record), DTLS_REPLAYED);
    }
    keys_pair(&a, &b, TLS_CHACHA20_POLY1305);
    assert_false(dtls_keys_park(&a, &parked));
}

static void test_window(void **state)
{
    (void)state;
    static uint8_t records[3 * DTLS_WINDOW][64];
    struct dtls_keys a, b;
    struct dtls_record record;
    size_t len = 0;
    uint8_t copy[64];
    keys_pair(&a, &b, TLS_AES_128_GCM);
    for (unsigned i = 0; i < 3 * DTLS_WINDOW; i++)
        len = seal(&a, records[i]);
    static const struct {
        unsigned number;
        int found;
    } order[] = {
        {1, 0},
        {0, 0},
        {0, DTLS_REPLAYED},
        {1, DTLS_REPLAYED},
        {5, 0},
        {3, 0},
        {3, DTLS_REPLAYED},
        {2 * DTLS_WINDOW, 0},
        {DTLS_WINDOW, DTLS_REPLAYED},
        {DTLS_WINDOW + 1, 0},
        {DTLS_WINDOW + 1, DTLS_REPLAYED},
        {2 * DTLS_WINDOW - 1, 0},
        {2 * DTLS_WINDOW + 1, 0},
        {DTLS_WINDOW + 2, 0},
        {DTLS_WINDOW + 1, DTLS_REPLAYED},
    };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        memcpy(copy, records[order[i].number], len);
        int found = dtls_record_open(&b, copy, len, &record);
        assert_int_equal(found, order[i].found ? order[i].found : (int)len);
    }
}

static void test_what_is_no_record(void **state)
{
    (void)state;
    for (unsigned cipher = 0; cipher < 2; cipher++) {
        struct dtls_keys a, b;
        struct dtls_record record;
        uint8_t area[64], copy[64];
        keys_pair(&a, &b, cipher ? TLS_CHACHA20_POLY1305 : TLS_AES_128_GCM);
        size_t len = seal(&a, area);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            memcpy(copy, area, len);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            int found = dtls_record_open(&b, copy, len, &record);
            if (bit / 8 == 1 || bit / 8 == 2)
                assert_int_equal(found, DTLS_VERSION);
            else if (bit / 8 == 3 || bit / 8 == 4)
                assert_int_equal(found, DTLS_EPOCH);
            else
                assert_true(found == DTLS_MAC || found == DTLS_LENGTH);
        }
        for (size_t part = 0; part < len; part++) {
            memcpy(copy, area, part);
            assert_int_equal(dtls_record_open(&b, copy, part, &record), DTLS_LENGTH);
        }
        /* None of that has moved the window. */
        assert_int_equal(dtls_record_open(&b, area, len, &record), len);
        assert_memory_equal(record.bytes, "bytes", 5);
    }
}

static int make_server(void **state)
{
    (void)state;
    server = dtls_identity_create();
    return server ? 0 : -1;
}

static int free_server(void **state)
{
    (void)state;
    dtls_identity_free(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shake_and_park),
        cmocka_unit_test(test_another_certificate),
        cmocka_unit_test(test_last_flight_is_said_again),
        cmocka_unit_test(test_half_a_hello),
        cmocka_unit_test(test_flights_are_said_again_some_times),
        cmocka_unit_test(test_any_of_a_flight_is_lost),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_parked_keys_go_on),
        cmocka_unit_test(test_what_is_no_record),
    };
    return cmocka_run_group_tests(tests, make_server, free_server);
}
