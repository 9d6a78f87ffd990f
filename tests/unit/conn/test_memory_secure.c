/* The same over TLS, by a client that reads slowly: what a full socket leaves over is ciphertext,
 * which cannot be made again. Each time another allocation finds no memory; the client gets its
 * answer or is cut off, and the next one is served. */
#include "api/api.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "tls_test.h"
#include "transport/answering.h"
#include "transport/encoder.h"

#include <errno.h>

#include "failing_alloc.h"

enum {
    SLOTS = 8,
    PIPE = 3000,      /* of the socket: an answer takes many sends */
    PAYLOAD = 130000, /* no text: in base64 three pieces, each about what a send seals */
    ANSWER = 173000,  /* so much comes of it at least */
    VISITS_MAX = 200,
};

#define POST "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 130000\r\n\r\n"
#define GET  "GET /poll?channel=a&since=start HTTP/1.1\r\nHost: h\r\n\r\n"

struct world {
    struct fake_shard fake;
    struct origins *origins;
    struct tls_server *server;
    struct tls_client *client;
    struct tls_handshakes *pool; /* the client's */
    struct fake_client *visitor;
    size_t got;
    bool ended;
};

static void turn(struct world *world)
{
    failing_alloc.inside = true;
    fake_shard_turn(&world->fake);
    failing_alloc.inside = false;
}

/* Returns how much has come, 0 for nothing. */
static size_t hear(struct world *world, void *bytes, size_t size)
{
    ssize_t n = fake_client_read(world->visitor, bytes, size);
    world->ended |= n <= 0 && n != -EAGAIN;
    turn(world);
    return n > 0 ? (size_t)n : 0;
}

static void say(struct world *world, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len && !world->ended;) {
        ssize_t n = fake_client_write(world->visitor, (const char *)bytes + at, len - at);
        world->ended |= n <= 0 && n != -EAGAIN;
        at += n > 0 ? (size_t)n : 0;
        turn(world);
    }
}

/* Returns whether it was done. */
static bool shake_hands(struct world *world, struct tls_handshake *handshake)
{
    static struct pipe out;
    unsigned char bytes[1024];
    tls_handshake_client(handshake, world->client, "a.example", NULL);
    out.len = 0;
    for (size_t fed = 0, n = 0; !world->ended;) {
        pump_out(handshake, &out, 0);
        say(world, out.bytes, out.len);
        out.len = 0;
        if (tls_handshake_progress(handshake) == TLS_DONE)
            return true;
        if (fed == n) {
            fed = 0;
            n = hear(world, bytes, sizeof bytes);
        }
        fed += tls_handshake_feed(handshake, bytes + fed, n - fed);
    }
    return false;
}

static void pay(struct world *world)
{
    struct tls_handshake *handshake = tls_handshake_take(world->pool);
    unsigned char bytes[1024];
    world->visitor = fake_client_open(world->fake.net, world->fake.listeners[LISTENER_TLS]);
    world->got = 0;
    world->ended = false;
    if (shake_hands(world, handshake)) {
        struct tls_keys keys;
        const struct iovec plain = {(void *)GET, sizeof GET - 1};
        tls_handshake_keys(handshake, &keys);
        say(world, bytes, tls_record_seal(&keys.out, &plain, 1, bytes));
        for (size_t n = 1; n > 0; world->got += n)
            n = hear(world, bytes, sizeof bytes);
        say(world, bytes, tls_alert_seal(&keys.out, TLS_ALERT_CLOSE_NOTIFY, bytes));
    }
    tls_handshake_give(world->pool, handshake);
    fake_client_close(world->visitor);
    turn(world);
}

static void every_allocation_may_fail(void **state)
{
    struct world *world = *state;
    bool failed = true;
    pay(world);
    assert_true(world->got > ANSWER);
    for (unsigned n = 0; failed; n++) {
        assert_true(n < VISITS_MAX);
        blocks_done(&world->fake.shard->blocks);
        failing_alloc_arm(n);
        pay(world);
        failed = failing_alloc_disarm();
        if (world->got < ANSWER && !world->ended)
            fail_msg("allocation %u: the client knows nothing", n);
        pay(world);
        if (world->got < ANSWER)
            fail_msg("after allocation %u: not served", n);
    }
    assert_int_equal(world->fake.shard->live, 0);
    assert_true(counter_read(&world->fake.shard->counters.closed[CLOSE_QUEUE_TOTAL]) > 1);
}

static void publish(struct world *world)
{
    static char body[PAYLOAD];
    memset(body, 0xff, sizeof body);
    world->visitor = fake_client_open(world->fake.net, world->fake.listeners[LISTENER_PLAIN]);
    say(world, POST, sizeof POST - 1);
    say(world, body, sizeof body);
    fake_client_close(world->visitor);
    turn(world);
}

static int setup(void **state)
{
    static struct world world;
    struct fake_shard *fake = &world.fake;
    char why[256];
    fake_shard_init(fake);
    fake->settings.tls_handshakes_max = 2;
    world.server =
        tls_server_create(&(struct tls_server_config){.suites = suites_of("aes128-gcm")});
    world.client = tls_client_create(
        &(struct tls_client_config){.suites = suites_of("aes128-gcm"), .trust_anybody = true});
    world.pool = tls_handshakes_create(1);
    assert_int_equal(origins_create(&world.origins, "*", why, sizeof why), 0);
    fake->server.origins = world.origins;
    fake->server.tls = world.server;
    fake->server.identities = identities_of("ec", NULL);
    fake->server.transports = server_transports;
    fake->server.routes = server_routes;
    fake->server.batch_begin = encoder_begin;
    fake->server.batch_done = encoder_release;
    fake->server.batch_end = encoder_done;
    fake->server.answers_turn = answering_turn;
    fake_shard_start(fake, SLOTS, PIPE);
    publish(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    fake_shard_done(&world->fake);
    origins_free(world->origins);
    tls_handshakes_free(world->pool);
    tls_identities_unref(world->fake.server.identities);
    tls_client_free(world->client);
    tls_server_free(world->server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
