#include "fuzz.h"

#include "tls/handshake.h"

/* A handshake between a real client and a real server, of which one end is told something else
 * than was said. The first byte chooses which end, whether a session is resumed, and the version;
 * then come changes of four bytes each: where in all that this end is told, what kind, and a value.
 *
 * However what it is told is cut, no two ends come to keys that differ. What is in a handshake is
 * another thing each time, for GnuTLS draws its own randomness. */
enum {
    FLIGHT_MAX = 1 << 15,
};

static struct tls_handshakes *pool;
static struct tls_identities *identities;
static struct tls_server *server;
static struct tls_client *clients[2]; /* of 1.2, and of 1.3 */
static struct tls_ticket ticket;      /* of a handshake that nobody disturbed */

/* One end's input, as far as it has been said. */
struct told {
    struct span changes;
    unsigned char bytes[FLIGHT_MAX];
    size_t len, fed;
    size_t said; /* by the other end, before changes */
};

/* One byte of the other end: as it is, or changed. */
static void tell(struct told *told, unsigned char byte)
{
    size_t at = told->said++;
    bool dropped = false;
    while (told->changes.len >= 4 && told->len + 2 < FLIGHT_MAX) {
        const uint8_t *change = (const uint8_t *)told->changes.ptr;
        if ((size_t)(change[0] << 8 | change[1]) > at)
            break;
        if (change[2] % 4 == 0)
            byte ^= change[3];
        else if (change[2] % 4 == 1)
            told->bytes[told->len++] = change[3];
        else if (change[2] % 4 == 2)
            dropped = true;
        else
            byte = change[3];
        told->changes = span_skip(told->changes, 4);
    }
    if (!dropped && told->len < FLIGHT_MAX)
        told->bytes[told->len++] = byte;
}

static bool say(struct tls_handshake *from, struct told *told)
{
    unsigned char output[4096];
    size_t len = tls_handshake_output(from, output, sizeof output);
    for (size_t i = 0; i < len; i++)
        tell(told, output[i]);
    return len > 0;
}

static bool hear(struct tls_handshake *to, struct told *told, uint64_t *step)
{
    size_t want = feed_step(step, told->len - told->fed);
    size_t fed = tls_handshake_feed(to, told->bytes + told->fed, want);
    told->fed += fed;
    return fed > 0 || (want == 0 && told->fed < told->len);
}

/* Both are done: what one seals the other opens. */
static void check_keys(struct tls_handshake *const ends[2])
{
    struct tls_keys keys[2];
    for (int end = 0; end < 2; end++)
        tls_handshake_keys(ends[end], &keys[end]);
    for (int end = 0; end < 2; end++) {
        assert(memcmp(keys[end].in.key, keys[!end].out.key, sizeof keys[end].in.key) == 0);
        assert(memcmp(keys[end].in.nonce.iv, keys[!end].out.nonce.iv,
                      sizeof keys[end].in.nonce.iv) == 0);
    }
}

/* Runs until nobody has anything to say. */
static void run(struct span changes, bool to_server, bool resume, bool is_13, uint64_t step)
{
    static struct told told[2];
    struct tls_handshake *ends[2] = {tls_handshake_take(pool), tls_handshake_take(pool)};
    const struct tls_asked asked = {.tls_13 = is_13, .ecdsa_12 = true, .rsa_12 = true};
    tls_handshake_client(ends[0], clients[is_13], NULL, resume ? &ticket : NULL);
    tls_handshake_server(ends[1], server, identities, &asked);
    told[0].len = told[0].fed = told[0].said = told[1].len = told[1].fed = told[1].said = 0;
    told[to_server].changes = changes;
    told[!to_server].changes = (struct span){0};
    uint64_t steps[2] = {0, 0};
    steps[to_server] = step;
    for (bool moved = true; moved;) {
        moved = false;
        for (int end = 0; end < 2; end++) {
            moved |= say(ends[end], &told[!end]);
            moved |= hear(ends[end], &told[end], &steps[end]);
        }
    }
    if (tls_handshake_progress(ends[0]) == TLS_DONE && tls_handshake_progress(ends[1]) == TLS_DONE)
        check_keys(ends);
    if (ticket.len == 0)
        tls_handshake_ticket(ends[0], &ticket);
    for (int end = 0; end < 2; end++)
        tls_handshake_give(pool, ends[end]);
}

static void setup(void)
{
    char why[256];
    struct tls_server_config serves = {0};
    struct tls_client_config asks = {.trust_anybody = true};
    int err = tls_suites_read(&serves.suites, "aes128-gcm chacha20-poly1305", why, sizeof why);
    assert(err == 0);
    asks.suites = serves.suites;
    serves.versions = TLS_VERSIONS_BOTH;
    serves.ticket_lifetime_s = 1000;
    server = tls_server_create(&serves);
    clients[0] = tls_client_create(&asks);
    asks.versions = TLS_VERSIONS_13;
    clients[1] = tls_client_create(&asks);
    pool = tls_handshakes_create(2);
    err = tls_identities_read(&identities, CERTIFICATES "/ec.pem:" CERTIFICATES "/ec.key.pem", why,
                              sizeof why);
    assert(err == 0 && server && clients[0] && clients[1] && pool);
    run((struct span){0}, true, false, false, 0);
    assert(ticket.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    if (!server)
        setup();
    uint8_t choice = fuzz_choice(&input);
    const uint64_t steps[] = {0, 1, FEED_VARIED | size};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        run(input, choice & 1, choice & 2, choice & 4, steps[i]);
    return 0;
}
