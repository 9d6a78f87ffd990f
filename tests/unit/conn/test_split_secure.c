/* The same over TLS: what a client sends from its hello to its close_notify, cut at every byte, and
 * one byte at a time; and its plaintext in records of all lengths. */
#include "split.h"
#include "tls_test.h"

enum {
    RECORDS_MAX = 1024,
    TEXT_MAX = 20000,
    EVERY_BYTE = 1000, /* so long a client's bytes are cut at each */
    AROUND = 60,       /* so far from a record's ends, if there are more */
    SPREAD = 503,      /* between cuts elsewhere */
    LIFETIME_S = 1 << 30,
    NO_CUT = 0,
    ONE_BYTE_AT_A_TIME = -1,
};

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"
#define BEFORE      "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nfirst"
#define AFTER       "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nlater"
#define WEBSOCKET                                                                                  \
    "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"               \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* What a client says in so many records of plaintext. */
struct said {
    const char *name;
    const char *good; /* is in the answer */
    char text[TEXT_MAX];
    size_t len;
    size_t records[RECORDS_MAX]; /* where each ends */
    unsigned record_count;
};

struct world {
    struct split split;
    struct tls_server *server;
    struct tls_client *client;
    struct tls_handshakes *pool; /* the client's */
    struct tls_ticket ticket;
    /* of the delivery */
    struct tls_handshake *handshake;
    struct tls_keys keys;
    struct pipe out;
    size_t sent;      /* of all its bytes */
    size_t hello;     /* of them, its first flight */
    size_t data_from; /* its first record with plaintext */
    int cut;
};

static void world_begin(struct world *world, const char *cipher)
{
    struct fake_shard *fake = &world->split.fake;
    memset(world, 0, sizeof *world);
    fake_shard_init(fake);
    fake->settings.tls_handshakes_max = 2;
    world->server = tls_server_create(
        &(struct tls_server_config){.suites = suites_of(cipher), .ticket_lifetime_s = LIFETIME_S});
    world->client = tls_client_create(
        &(struct tls_client_config){.suites = suites_of(cipher), .trust_anybody = true});
    fake->server.tls = world->server;
    fake->server.identities = identities_of("ec", NULL);
    world->pool = tls_handshakes_create(1);
    split_begin(&world->split);
}

static void world_end(struct world *world)
{
    split_end(&world->split);
    tls_handshakes_free(world->pool);
    tls_identities_unref(world->split.fake.server.identities);
    tls_client_free(world->client);
    tls_server_free(world->server);
    tls_ticket_free(&world->ticket);
}

/* ---- a client ---- */

/* Sends what there is, cut where the delivery is. */
static void push(struct world *world)
{
    size_t at = 0;
    while (at < world->out.len) {
        size_t step = world->out.len - at, cut = world->cut > 0 ? (size_t)world->cut : 0;
        if (world->cut == ONE_BYTE_AT_A_TIME)
            step = 1;
        else if (world->sent < cut && cut - world->sent < step)
            step = cut - world->sent;
        split_write(&world->split, world->out.bytes + at, step, false);
        world->sent += step;
        at += step;
    }
    world->out.len = 0;
}

/* Its last flight, if there is one, stays in the pipe. */
static void shake_hands(struct world *world)
{
    unsigned char bytes[8192];
    world->handshake = tls_handshake_take(world->pool);
    tls_handshake_client(world->handshake, world->client, "a.example", &world->ticket);
    pump_out(world->handshake, &world->out, 0);
    world->hello = world->out.len;
    for (;;) {
        pump_out(world->handshake, &world->out, 0);
        if (tls_handshake_progress(world->handshake) == TLS_DONE)
            break;
        push(world);
        ssize_t n = fake_client_read(world->split.client, bytes, sizeof bytes);
        if (n <= 0)
            fail_msg("cut at %d: no answer in the handshake", world->cut);
        size_t fed = tls_handshake_feed(world->handshake, bytes, (size_t)n);
        pump_out(world->handshake, &world->out, 0);
        fed += tls_handshake_feed(world->handshake, bytes + fed, (size_t)n - fed);
        if (fed != (size_t)n)
            fail_msg("cut at %d: %s", world->cut,
                     tls_error_name(tls_handshake_error(world->handshake)));
    }
    assert_int_equal(tls_handshake_resumed(world->handshake), world->ticket.len > 0);
    tls_handshake_keys(world->handshake, &world->keys);
}

static void seal(struct world *world, const char *bytes, size_t len)
{
    const struct iovec plain = {(void *)bytes, len};
    assert_true(world->out.len + len + TLS_OVERHEAD_MAX <= sizeof world->out.bytes);
    world->out.len +=
        tls_record_seal(&world->keys.out, &plain, 1, world->out.bytes + world->out.len);
}

/* The plaintext of what has come; `close_notify` is its end. */
static void open_records(struct world *world, struct split_answer *answer)
{
    size_t at = 0, len = 0;
    while (at < answer->len) {
        struct tls_record record;
        int size = tls_record_open(&world->keys.in, (unsigned char *)answer->bytes + at,
                                   answer->len - at, &record);
        if (size <= 0)
            fail_msg("cut at %d: a record that does not open", world->cut);
        assert_int_not_equal(record.kind, TLS_RECORD_WARNING);
        answer->ended = record.kind == TLS_RECORD_CLOSE;
        at += (size_t)size;
        if (record.kind == TLS_RECORD_DATA) {
            memmove(answer->bytes + len, record.bytes, record.len);
            len += record.len;
        }
    }
    answer->len = len;
}

static void deliver(struct world *world, const struct said *said, int cut, struct split_answer *ret)
{
    struct split *split = &world->split;
    ret->len = 0;
    ret->ended = false;
    world->sent = world->out.len = 0;
    world->cut = cut;
    split_aside(split, BEFORE);
    split_open(split, LISTENER_TLS);
    shake_hands(world);
    world->data_from = world->sent + world->out.len;
    for (unsigned i = 0; i < said->record_count; i++) {
        size_t from = i > 0 ? said->records[i - 1] : 0;
        seal(world, said->text + from, said->records[i] - from);
    }
    push(world);
    split_aside(split, AFTER);
    if (split->fake.shard->budgets[BUDGET_INPUT].bytes > 0)
        fail_msg("%s, cut at %d: something of it is held", said->name, cut);
    world->out.len = tls_alert_seal(&world->keys.out, TLS_ALERT_CLOSE_NOTIFY, world->out.bytes);
    push(world);
    split_read(split, ret);
    open_records(world, ret);
    tls_handshake_give(world->pool, world->handshake);
    split_leave(split);
}

/* From here on clients resume the session of this one. */
static void remember(struct world *world)
{
    split_open(&world->split, LISTENER_TLS);
    world->sent = world->out.len = 0;
    world->cut = NO_CUT;
    shake_hands(world);
    assert_true(tls_handshake_ticket(world->handshake, &world->ticket));
    tls_handshake_give(world->pool, world->handshake);
    split_leave(&world->split);
}

/* ---- what it says ---- */

static void add(struct said *said, const char *text, size_t len)
{
    assert_true(said->len + len <= sizeof said->text && said->record_count < RECORDS_MAX);
    memcpy(said->text + said->len, text, len);
    said->len += len;
    said->records[said->record_count++] = said->len;
}

static void begin(struct said *said, const char *name, const char *good)
{
    said->name = name;
    said->good = good;
    said->len = said->record_count = 0;
}

static void one_request(struct said *said)
{
    begin(said, "a request", "\"data\":\"first\"");
    add(said, GET("/poll?channel=a&since=start"), sizeof GET("/poll?channel=a&since=start") - 1);
}

static void several(struct said *said)
{
    begin(said, "requests and a frame", "\x81\x02hi");
    add(said, BEFORE, sizeof BEFORE - 1);
    add(said, GET("/longpoll?channel=a&since=start"),
        sizeof GET("/longpoll?channel=a&since=start") - 1);
    add(said, "", 0);
    add(said, WEBSOCKET, sizeof WEBSOCKET - 1);
    add(said, "\x81\x82\0\0\0\0hi", 8);
}

/* A record of the largest size. */
static void a_large_one(struct said *said)
{
    static char text[TLS_PLAIN_MAX];
    begin(said, "a body", "\"offset\":2");
    memset(text, 'x', sizeof text);
    int len = snprintf(text, sizeof text,
                       "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 16000\r\n");
    size_t rest = sizeof text - 16000 - (size_t)len - 4;
    len += snprintf(text + len, sizeof text - (size_t)len, "X:%*s\r\n\r\n", (int)rest - 2, "x");
    text[len] = 'x';
    add(said, text, sizeof text);
}

/* ---- sweeps ---- */

static size_t next_cut(const struct world *world, size_t at, size_t len)
{
    size_t from = world->data_from;
    bool near = at < from + AROUND || at + AROUND >= len;
    return len <= EVERY_BYTE || near    ? at + 1
           : at + SPREAD < len - AROUND ? at + SPREAD
                                        : len - AROUND;
}

static void sweep(struct world *world, const struct said *said)
{
    static struct split_answer whole, answer;
    deliver(world, said, NO_CUT, &whole);
    size_t len = world->sent;
    assert_true(whole.ended);
    if (!memmem(whole.bytes, whole.len, said->good, strlen(said->good)))
        fail_msg("%s: %.*s", said->name, (int)whole.len, whole.bytes);
    /* A hello is cut where a session is resumed, which costs less. */
    size_t at = world->ticket.len > 0 ? 0 : world->hello - AROUND;
    while ((at = next_cut(world, at, len)) < len) {
        deliver(world, said, (int)at, &answer);
        split_compare(said->name, at, len, &whole, &answer);
    }
    deliver(world, said, ONE_BYTE_AT_A_TIME, &answer);
    split_compare(said->name, 1, len, &whole, &answer);
}

static void every_byte_of_a_full_handshake(void **state)
{
    static struct world world;
    static struct said said;
    (void)state;
    world_begin(&world, "aes128-gcm");
    one_request(&said);
    sweep(&world, &said);
    world_end(&world);
}

static void every_byte_of_a_resumed_session(void **state)
{
    static const char *const ciphers[] = {"aes128-gcm", "chacha20-poly1305"};
    static struct world world;
    static struct said said;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ciphers); i++) {
        world_begin(&world, ciphers[i]);
        remember(&world);
        several(&said);
        sweep(&world, &said);
        a_large_one(&said);
        sweep(&world, &said);
        world_end(&world);
    }
}

/* The plaintext is cut, into records. */
static void records_of_every_length(void **state)
{
    static struct split_answer whole, answer;
    static struct world world;
    static struct said said;
    (void)state;
    world_begin(&world, "aes128-gcm");
    several(&said);
    remember(&world);
    said.records[0] = said.len;
    said.record_count = 1;
    deliver(&world, &said, NO_CUT, &whole);
    said.records[1] = said.len;
    said.record_count = 2;
    for (size_t at = 1; at < said.len; at++) {
        said.records[0] = at;
        deliver(&world, &said, NO_CUT, &answer);
        split_compare("records", at, said.len, &whole, &answer);
    }
    for (size_t at = 0; at < said.len; at++)
        said.records[at] = at + 1;
    said.record_count = (unsigned)said.len;
    deliver(&world, &said, NO_CUT, &answer);
    split_compare("records of a byte", 1, said.len, &whole, &answer);
    deliver(&world, &said, ONE_BYTE_AT_A_TIME, &answer);
    split_compare("records of a byte in pieces", 1, said.len, &whole, &answer);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_full_handshake),
        cmocka_unit_test(every_byte_of_a_resumed_session),
        cmocka_unit_test(records_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
