/* Keys are wiped when a connection ends: one is brought to every stage of its handshake and beyond,
 * and ended in every way, also by clients that do not keep to the order or the time of a handshake.
 * Afterwards its secrets are nowhere in the memory of its shard. */
#include "tls/handshake_pool.c"

#include "conn/secure.h"
#include "fake_shard.h"
#include "tls_test.h"

enum {
    SLOTS = 4,
    PIPE_BYTES = 8192,
    HANDSHAKE_TICKS = 30, /* that a handshake may take */
    NARROW_BYTES = 128,   /* less than the server's first flight, by far */
    ANSWER_BYTES = 3 * PIPE_BYTES,
    AFTER_TICKS = 150, /* longer than any deadline below, and the linger behind it */
    CIPHER_KEY_MIN = 16,
    MASTER_SIZE = 48,
};

/* ---- a transport ---- */

/* More than the peer's pipe holds: what is left over is ciphertext in the queue. */
static void answer(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    static const char text[ANSWER_BYTES];
    (void)bytes, (void)len;
    conn_send_bytes(shard, conn, span_of(text, sizeof text));
}

static void expire(struct shard *shard, struct conn *conn)
{
    conn_end(shard, conn, END_CLOSE, CLOSE_HEAD_TIMEOUT);
}

static const struct transport transport = {.name = "test", .input = answer, .timer = expire};

/* ---- a connection ---- */

struct visit {
    struct fake_shard fake;
    struct tls_server *server;
    struct tls_client *client;
    struct tls_handshakes *pool; /* the client's */
    struct tls_handshake *handshake;
    struct fake_client *link; /* NULL: the client has closed */
    struct pipe out;
    size_t sent;
    size_t flights[2]; /* sizes of the client's */
    unsigned flight_count;
    bool keyed;
    struct tls_keys keys;
};

static void visit_begin(struct visit *visit, const char *cipher, uint32_t pipe_bytes)
{
    static const struct transport *const transports[TRANSPORT_COUNT] = {&transport};
    struct fake_shard *fake = &visit->fake;
    memset(visit, 0, sizeof *visit);
    fake_shard_init(fake);
    fake->settings.tls_handshakes_max = 2;
    fake->settings.tls_handshake_timeout_ms = fake->settings.head_timeout_ms =
        HANDSHAKE_TICKS * TIMERS_TICK_NS / FAKE_SHARD_MS;
    fake->settings.stall_timeout_ms = fake->settings.drain_ms = 1000;
    visit->server = tls_server_create(&(struct tls_server_config){
        .suites = suites_of(cipher), .ticket_lifetime_s = TICKET_LIFETIME_S});
    visit->client = tls_client_create(
        &(struct tls_client_config){.suites = suites_of(cipher), .trust_anybody = true});
    fake->server.tls = visit->server;
    fake->server.identities = identities_of("ec", NULL);
    fake->server.transports = transports;
    fake_shard_start(fake, SLOTS, pipe_bytes);

    visit->pool = tls_handshakes_create(1);
    visit->handshake = tls_handshake_take(visit->pool);
    tls_handshake_client(visit->handshake, visit->client, "a.example", NULL);
    visit->link = fake_client_open(fake->net, fake->listeners[LISTENER_TLS]);
    fake_shard_turn(fake);
}

static void visit_done(struct visit *visit)
{
    if (visit->link)
        fake_client_close(visit->link);
    tls_handshake_give(visit->pool, visit->handshake);
    tls_handshakes_free(visit->pool);
    fake_shard_done(&visit->fake);
    tls_identities_unref(visit->fake.server.identities);
    tls_client_free(visit->client);
    tls_server_free(visit->server);
}

static void say(struct visit *visit, const unsigned char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = fake_client_write(visit->link, bytes, len);
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
        fake_shard_turn(&visit->fake);
    }
}

/* Goes on with the handshake until `stop` bytes of the client have been sent, or it is over. */
static void advance(struct visit *visit, size_t stop)
{
    unsigned char bytes[PIPE_BYTES];
    while (tls_handshake_progress(visit->handshake) != TLS_DONE || visit->out.len > 0) {
        size_t before = visit->out.len;
        if (pump_out(visit->handshake, &visit->out, 0))
            visit->flights[visit->flight_count++] = visit->out.len - before;
        size_t part = visit->out.len < stop - visit->sent ? visit->out.len : stop - visit->sent;
        say(visit, visit->out.bytes, part);
        memmove(visit->out.bytes, visit->out.bytes + part, visit->out.len - part);
        visit->out.len -= part;
        visit->sent += part;
        ssize_t n = fake_client_read(visit->link, bytes, sizeof bytes);
        if (n < 0)
            return;
        assert_int_equal(tls_handshake_feed(visit->handshake, bytes, (size_t)n), n);
    }
    tls_handshake_keys(visit->handshake, &visit->keys);
    visit->keyed = true;
}

/* ---- stages ---- */

enum stage {
    STAGE_SILENT,      /* connected */
    STAGE_HALF_HELLO,  /* a part of its first record has come */
    STAGE_HELLO,       /* the server's ephemeral key is made */
    STAGE_EXCHANGED,   /* and its master secret */
    STAGE_ALMOST,      /* all has come but the last byte */
    STAGE_KEYED,       /* the handshake is given back */
    STAGE_LEFT_OVER,   /* ciphertext waits for a full socket */
    STAGE_HALF_RECORD, /* the beginning of a record waits for its rest */
    STAGE_COUNT,
};

static const unsigned char request[] = "a request";

static size_t seal(struct visit *visit, enum tls_content type, const unsigned char *bytes,
                   size_t len, unsigned char *record)
{
    memcpy(record + tls_record_head(&visit->keys.out), bytes, len);
    return tls_record_seal_in_place(&visit->keys.out, type, record, len);
}

static void reach(struct visit *visit, enum stage stage)
{
    unsigned char record[TLS_RECORD_MAX];
    if (stage == STAGE_SILENT)
        return;
    advance(visit, 0);
    size_t hello = visit->flights[0];
    advance(visit, stage == STAGE_HALF_HELLO ? hello / 2 : hello);
    if (stage < STAGE_EXCHANGED)
        return;
    size_t exchange = TLS_HEAD_SIZE + ((size_t)visit->out.bytes[3] << 8 | visit->out.bytes[4]);
    advance(visit, hello + exchange);
    if (stage == STAGE_EXCHANGED)
        return;
    advance(visit, hello + visit->flights[1] - (stage == STAGE_ALMOST));
    if (stage <= STAGE_KEYED)
        return;
    size_t len = seal(visit, TLS_APPLICATION_DATA, request, sizeof request, record);
    say(visit, record, stage == STAGE_HALF_RECORD ? len - 1 : len);
}

/* ---- ways to end ---- */

static void closes(struct visit *visit)
{
    fake_client_close(visit->link);
    visit->link = NULL;
}

static void resets(struct visit *visit)
{
    fake_client_reset(visit->link);
    visit->link = NULL;
}

static void says(struct visit *visit, enum tls_content type, const unsigned char *bytes, size_t len)
{
    unsigned char record[TLS_RECORD_MAX] = {(unsigned char)type, 3, 3, 0, (unsigned char)len};
    memcpy(record + TLS_HEAD_SIZE, bytes, len);
    say(visit, record, visit->keyed ? seal(visit, type, bytes, len, record) : TLS_HEAD_SIZE + len);
}

static void says_goodbye(struct visit *visit)
{
    says(visit, TLS_ALERT, (const unsigned char[]){1, TLS_ALERT_CLOSE_NOTIFY}, 2);
}

static void says_that_it_gives_up(struct visit *visit)
{
    says(visit, TLS_ALERT, (const unsigned char[]){2, 48}, 2);
}

/* Neither a first record nor a later one, and too short to decrypt. */
static void says_what_is_no_record(struct visit *visit)
{
    unsigned char bytes[64];
    memset(bytes, 0xff, sizeof bytes);
    say(visit, bytes, sizeof bytes);
}

static void falls_silent(struct visit *visit)
{
    (void)visit;
}

static void is_sent_away(struct visit *visit)
{
    shard_stop(visit->fake.shard);
}

static const struct {
    const char *name;
    void (*end)(struct visit *visit);
} ways[] = {
    {"closes", closes},
    {"resets", resets},
    {"says goodbye", says_goodbye},
    {"says that it gives up", says_that_it_gives_up},
    {"says what is no record", says_what_is_no_record},
    {"falls silent", falls_silent},
    {"is sent away", is_sent_away},
};

/* ---- what is in memory ---- */

struct region {
    const char *name;
    const void *start;
    size_t size;
};

static bool holds(const struct region *region, const void *secret, size_t size)
{
    return memmem(region->start, region->size, secret, size) != NULL;
}

static bool is_zero(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

enum {
    REGIONS = 5,
};

static void regions_of(const struct shard *shard, struct region ret[REGIONS])
{
    const struct secure *secure = shard->secure;
    const struct tls_handshakes *pool = secure->handshakes;
    const struct region regions[REGIONS] = {
        {"the handshakes", pool->memory, (size_t)pool->count * STRIDE},
        {"the lines", secure->lines, secure->slots * sizeof *secure->lines},
        {"the area of sends", secure->area, SECURE_AREA},
        {"the area of receives", shard->receive_area, (size_t)RECEIVE_BATCH * RECEIVE_BYTES},
        {"the slab", shard->slab, shard->slab_slots * sizeof *shard->slab},
    };
    memcpy(ret, regions, sizeof regions);
}

/* What both sides know of each other's secrets. */
struct secrets {
    uint8_t master[MASTER_SIZE]; /* only GnuTLS has it */
    uint8_t in[CIPHER_KEY_MIN], out[CIPHER_KEY_MIN];
};

static struct secrets secrets_of(const struct visit *visit)
{
    struct secrets secrets;
    gnutls_datum_t master;
    gnutls_session_get_master_secret(visit->handshake->session, &master);
    memcpy(secrets.master, master.data, sizeof secrets.master);
    memcpy(secrets.in, visit->keys.in.key, CIPHER_KEY_MIN);
    memcpy(secrets.out, visit->keys.out.key, CIPHER_KEY_MIN);
    return secrets;
}

/* The test would see nothing if it looked in the wrong places. */
static void secrets_are_there(const struct visit *visit, enum stage stage)
{
    struct region regions[REGIONS];
    const struct secrets secrets = secrets_of(visit);
    regions_of(visit->fake.shard, regions);
    assert_int_equal(visit->keyed, stage >= STAGE_KEYED);
    if (visit->keyed) {
        assert_true(holds(&regions[1], secrets.in, sizeof secrets.in));
        assert_true(holds(&regions[1], secrets.out, sizeof secrets.out));
    }
}

/* Where a secret is found, or NULL. */
static const char *secret_left(const struct visit *visit, const struct secrets *secrets)
{
    struct region regions[REGIONS];
    regions_of(visit->fake.shard, regions);
    for (size_t i = 0; i < REGIONS; i++)
        if (holds(&regions[i], secrets->master, sizeof secrets->master) ||
            (visit->keyed && (holds(&regions[i], secrets->in, sizeof secrets->in) ||
                              holds(&regions[i], secrets->out, sizeof secrets->out))))
            return regions[i].name;
    return NULL;
}

/* Where there is anything at all. */
static const char *anything_left(const struct visit *visit)
{
    const struct secure *secure = visit->fake.shard->secure;
    const union secure_line *line = secure_line(secure, 0);
    for (uint32_t i = 0; i < secure->handshakes->count; i++)
        if (!is_zero(secure->handshakes->memory + (size_t)i * STRIDE,
                     offsetof(struct tls_handshake, buffer)))
            return "a handshake";
    size_t early = visit->keyed ? 0 : sizeof line->early; /* a place in a list is no secret */
    if (!is_zero((const char *)line + early, sizeof *line - early))
        return "the line";
    return line->early.handshake ? "the line's handshake" : NULL;
}

/* ---- the tests ---- */

static void end_and_look(struct visit *visit, enum stage stage, size_t way)
{
    reach(visit, stage);
    const struct secrets secrets = secrets_of(visit);
    secrets_are_there(visit, stage);
    assert_int_equal(visit->fake.shard->live, 1);
    ways[way].end(visit);
    for (unsigned i = 0; i < AFTER_TICKS && visit->fake.shard->live > 0; i++)
        fake_shard_tick(&visit->fake);
    fake_shard_turn(&visit->fake);
    const char *left = anything_left(visit);
    if (!left && stage >= STAGE_EXCHANGED)
        left = secret_left(visit, &secrets);
    if (visit->fake.shard->live > 0)
        left = "the connection";
    if (left)
        fail_msg("at stage %d, after the client %s, there is still %s", (int)stage, ways[way].name,
                 left);
}

static void nothing_is_left_at_any_end(const char *cipher)
{
    static struct visit visit;
    for (enum stage stage = STAGE_SILENT; stage < STAGE_COUNT; stage++)
        for (size_t way = 0; way < COUNT_OF(ways); way++) {
            visit_begin(&visit, cipher, PIPE_BYTES);
            end_and_look(&visit, stage, way);
            visit_done(&visit);
        }
}

static void test_aes_gcm(void **state)
{
    (void)state;
    nothing_is_left_at_any_end("aes128-gcm");
}

static void test_chacha20(void **state)
{
    (void)state;
    nothing_is_left_at_any_end("chacha20-poly1305");
}

/* The end of the server's flight is the same in every handshake, so a client need not have it to
 * finish. Here it is told all that has not been sent. */
static void test_who_finishes_ahead_is_cut_off(void **state)
{
    static struct visit visit;
    (void)state;
    visit_begin(&visit, "aes128-gcm", NARROW_BYTES);
    const struct shard *shard = visit.fake.shard;
    const struct conn *conn = &shard->slab[0];
    advance(&visit, 0);
    advance(&visit, visit.flights[0]);
    assert_non_null(conn->out_block);
    assert_int_equal(tls_handshake_feed(visit.handshake,
                                        (unsigned char *)conn->out_block->bytes + conn->out_at,
                                        conn->out_len),
                     conn->out_len);
    assert_true(pump_out(visit.handshake, &visit.out, 0));
    say(&visit, visit.out.bytes, visit.out.len - 1);
    assert_true(conn->out_len > 0 && conn->link & LINK_WATCH_WRITE);
    assert_int_equal(shard->live, 1);
    say(&visit, visit.out.bytes + visit.out.len - 1, 1);
    assert_int_equal(shard->live, 0);
    assert_int_equal(counter_read(&shard->counters.closed[CLOSE_TLS]), 1);
    assert_int_equal(counter_read(&shard->counters.tls_errors[TLS_ERROR_UNEXPECTED]), 1);
    assert_null(anything_left(&visit));
    visit_done(&visit);
}

/* A client that takes a byte now and then does not keep its handshake for longer. */
static void test_who_reads_too_slowly_is_cut_off(void **state)
{
    static struct visit visit;
    unsigned char byte;
    (void)state;
    visit_begin(&visit, "aes128-gcm", NARROW_BYTES);
    const struct shard *shard = visit.fake.shard;
    advance(&visit, 0);
    say(&visit, visit.out.bytes, visit.flights[0]);
    for (unsigned i = 0; i < HANDSHAKE_TICKS - 1; i++) {
        assert_int_equal(fake_client_read(visit.link, &byte, 1), 1);
        fake_shard_tick(&visit.fake);
    }
    assert_int_equal(shard->live, 1);
    fake_shard_tick(&visit.fake);
    fake_shard_tick(&visit.fake);
    assert_int_equal(shard->live, 0);
    assert_int_equal(counter_read(&shard->counters.closed[CLOSE_TLS_TIMEOUT]), 1);
    assert_null(anything_left(&visit));
    visit_done(&visit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aes_gcm),
        cmocka_unit_test(test_chacha20),
        cmocka_unit_test(test_who_finishes_ahead_is_cut_off),
        cmocka_unit_test(test_who_reads_too_slowly_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
