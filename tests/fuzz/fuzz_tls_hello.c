#include <stdio.h>

#include "fuzz.h"

#include "tls/handshake_state.h"
#include "tls/hello.h"

/* What strangers send to a server first. The first byte says how: raw bytes, or the body of a
 * ClientHello in a record and message whose lengths are right. However it is cut, it ends the same,
 * and never in a finished handshake. The rest of the first byte is a size of pieces. What is said
 * is another thing each time, for GnuTLS draws its own randomness. */
static struct tls_server *server;
static struct tls_identities *identities;
static struct tls_handshakes *pool;

static void setup(void)
{
    static const char *const protocols[] = {"http/1.1"};
    char why[256];
    struct tls_server_config config = {
        .protocols = protocols, .protocol_count = 1, .versions = TLS_VERSIONS_BOTH};
    int err =
        tls_suites_read(&config.suites, "aes128-gcm aes256-gcm chacha20-poly1305", why, sizeof why);
    assert(err == 0);
    server = tls_server_create(&config);
    pool = tls_handshakes_create(2);
    err = tls_identities_read(&identities, CERTIFICATES "/ec.pem:" CERTIFICATES "/ec.key.pem", why,
                              sizeof why);
    if (err < 0)
        fprintf(stderr, "%s\n", why);
    assert(err == 0 && server && pool);
}

/* Frames the body. Returns the length. */
static size_t frame(const uint8_t *body, size_t len, unsigned char *area)
{
    const unsigned char head[] = {22,
                                  3,
                                  1,
                                  (unsigned char)((len + 4) >> 8),
                                  (unsigned char)(len + 4),
                                  1,
                                  0,
                                  (unsigned char)(len >> 8),
                                  (unsigned char)len};
    memcpy(area, head, sizeof head);
    if (len > 0)
        memcpy(area + sizeof head, body, len);
    return sizeof head + len;
}

/* Looks at a hello as it comes. What it says of the whole it says of any beginning, or nothing yet.
 * Returns its size, or what is wrong with it; 0: it is not whole. */
static int look(const unsigned char *bytes, size_t len, uint64_t step)
{
    struct tls_hello hello = {0};
    int result = 0;
    size_t have = 0;
    while (have < len && result == 0) {
        have += feed_step(&step, len - have);
        unsigned char *copy = malloc(have + 1);
        assert(copy);
        memcpy(copy, bytes, have);
        result = tls_hello_next(&hello, copy, have);
        free(copy);
        assert(result <= TLS_HELLO_MAX && (result <= 0 || (size_t)result <= have));
        assert(result != 0 || have <= TLS_HELLO_MAX + TLS_HEAD_SIZE);
    }
    return result;
}

/* Whether GnuTLS has read the same server name. It has none where a hello has no good one. */
static bool name_is(const struct tls_handshake *handshake, const char *name)
{
    char read[TLS_NAME_SIZE];
    size_t size = sizeof read;
    unsigned type;
    return gnutls_server_name_get(handshake->session, read, &size, &type, 0) < 0 ||
           strcmp(read, name) == 0;
}

static void run(const unsigned char *bytes, size_t len, uint64_t step, struct transcript *said)
{
    unsigned char output[4096];
    int seen = look(bytes, len, step);
    transcript_number(said, seen);
    if (seen <= 0)
        return;
    struct tls_handshake *handshake = tls_handshake_take(pool);
    struct tls_asked asked;
    tls_hello_asks(bytes, (size_t)seen, &asked);
    tls_handshake_server(handshake, server, identities, &asked);
    size_t at = 0, want = 1, fed = 1, taken = 1;
    while ((at < len && fed == want) || taken > 0) {
        want = feed_step(&step, len - at);
        fed = tls_handshake_feed(handshake, bytes + at, want);
        at += fed;
        taken = tls_handshake_output(handshake, output, sizeof output);
        assert(tls_handshake_progress(handshake) != TLS_DONE);
    }
    transcript_number(said, tls_handshake_error(handshake));
    assert(tls_handshake_error(handshake) != TLS_ERROR_NONE || name_is(handshake, asked.name));
    tls_handshake_give(pool, handshake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char area[1 << 14];
    if (!server)
        setup();
    if (size == 0 || size > sizeof area / 2)
        return 0;
    size_t len = size - 1;
    if (data[0] % 2)
        len = frame(data + 1, len, area);
    else
        memcpy(area, data + 1, len);
    struct transcript whole = {0};
    run(area, len, 0, &whole);
    const uint64_t steps[] = {1, 1 + data[0] / 2 % 64, FEED_VARIED | len};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct transcript split = {0};
        run(area, len, steps[i], &split);
        assert(span_equal(transcript_span(&whole), transcript_span(&split)));
        transcript_free(&split);
    }
    transcript_free(&whole);
    return 0;
}
