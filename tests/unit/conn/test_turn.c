/* What a turn does at most for a crowd that asks for much: in bytes and steps, and not in time. */
#include "api/api.h"
#include "conn/secure.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "tls_test.h"
#include "transport/answering.h"
#include "transport/encoder.h"

enum {
    SLOTS = 256,
    PIPE_BYTES = 1 << 20,
    CLIENTS = 10,    /* for all of whom a turn reads the history */
    PAYLOAD = 50000, /* six times as much as JSON */
    BODY = 65536,
    CROWD = 200,
    TURNS_MAX = 10000,
};

#define POST(length)                                                                               \
    "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n"
#define GET "GET /poll?channel=a HTTP/1.1\r\nHost: h\r\n\r\n"

struct world {
    struct fake_shard fake;
    struct origins *origins;
    struct tls_server *server;
};

static void world_begin(struct world *world)
{
    struct fake_shard *fake = &world->fake;
    char why[256];
    fake_shard_init(fake);
    world->server =
        tls_server_create(&(struct tls_server_config){.suites = suites_of(ALL_CIPHERS)});
    assert_int_equal(origins_create(&world->origins, "*", why, sizeof why), 0);
    fake->server.origins = world->origins;
    fake->server.tls = world->server;
    fake->server.identities = identities_of("ec", NULL);
    fake->server.transports = server_transports;
    fake->server.routes = server_routes;
    fake->server.batch_begin = encoder_begin;
    fake->server.batch_done = encoder_release;
    fake->server.batch_end = encoder_done;
    fake->server.answers_turn = answering_turn;
    fake_shard_start(fake, SLOTS, PIPE_BYTES);
}

static void world_end(struct world *world)
{
    fake_shard_done(&world->fake);
    origins_free(world->origins);
    tls_identities_unref(world->fake.server.identities);
    tls_server_free(world->server);
}

static struct fake_client *come(struct world *world, enum listener listener, const void *bytes,
                                size_t len)
{
    struct fake_client *client = fake_client_open(world->fake.net, world->fake.listeners[listener]);
    assert_int_equal(fake_client_write(client, bytes, len), len);
    return client;
}

/* One turn, and no other. Returns whether it has left nothing to do. */
static bool turn(struct world *world)
{
    struct ring *ring = world->fake.shard->ring;
    ring_wait(ring, 0);
    int64_t wait_ns = shard_turn(world->fake.shard, fake_net_now(world->fake.net));
    return wait_ns > 0 && ring_fake_due(ring) > fake_net_now(world->fake.net);
}

static size_t hear(struct fake_client *client)
{
    static char bytes[PIPE_BYTES];
    ssize_t n = fake_client_read(client, bytes, sizeof bytes);
    return n > 0 ? (size_t)n : 0;
}

static void publish(struct world *world)
{
    static char body[PAYLOAD];
    memset(body, 1, sizeof body);
    struct fake_client *publisher =
        come(world, LISTENER_PLAIN, POST("50000"), sizeof POST("50000") - 1);
    assert_int_equal(fake_client_write(publisher, body, sizeof body), sizeof body);
    fake_shard_turn(&world->fake);
    fake_client_close(publisher);
    fake_shard_turn(&world->fake);
}

/* All ask at once, and take what comes at once. */
static void answers_are_made_in_turns(void **state)
{
    static struct world world;
    struct fake_client *clients[CLIENTS];
    size_t got[CLIENTS] = {0}, all = 0;
    (void)state;
    world_begin(&world);
    publish(&world);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = come(&world, LISTENER_PLAIN, GET, sizeof GET - 1);
    bool rests = false;
    for (unsigned turns = 0; !rests; turns++) {
        size_t before = all, least = SIZE_MAX, most = 0;
        assert_true(turns < TURNS_MAX);
        rests = turn(&world);
        for (unsigned i = 0; i < CLIENTS; i++) {
            size_t more = hear(clients[i]);
            assert_true(more <= BLOCK_BYTES);
            got[i] += more;
            all += more;
            least = got[i] < least ? got[i] : least;
            most = got[i] > most ? got[i] : most;
        }
        assert_true(all - before < ANSWERS_TURN_BYTES + BLOCK_BYTES);
        assert_true(most - least <= BLOCK_BYTES); /* nobody has two pieces more than another */
        assert_true(world.fake.shard->blocks.bytes < 8 * BLOCK_BYTES);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_true(got[i] > 6 * PAYLOAD && got[i] < 6 * PAYLOAD + 4096);
        fake_client_close(clients[i]);
    }
    fake_shard_turn(&world.fake);
    world_end(&world);
}

static void a_turn_receives_so_much(void **state)
{
    static struct world world;
    static char body[BODY];
    struct fake_client *clients[CROWD];
    (void)state;
    world_begin(&world);
    for (unsigned i = 0; i < CROWD; i++) {
        clients[i] = come(&world, LISTENER_PLAIN, POST("99999"), sizeof POST("99999") - 1);
        assert_int_equal(fake_client_write(clients[i], body, sizeof body), sizeof body);
    }
    const struct counters *counters = &world.fake.shard->counters;
    bool rests = false;
    for (unsigned turns = 0; !rests; turns++) {
        uint64_t before = counter_read(&counters->bytes_received);
        assert_true(turns < TURNS_MAX);
        rests = turn(&world);
        assert_true(counter_read(&counters->bytes_received) - before <=
                    RECEIVE_TURN_BYTES + RECEIVE_BATCH * RECEIVE_BYTES);
    }
    assert_true(counter_read(&counters->bytes_received) > CROWD * BODY);
    assert_true(counter_read(&counters->input_bytes) >= CROWD * BODY);
    for (unsigned i = 0; i < CROWD; i++)
        fake_client_close(clients[i]);
    fake_shard_turn(&world.fake);
    assert_int_equal(counter_read(&counters->input_bytes), 0);
    world_end(&world);
}

static void a_turn_signs_once(void **state)
{
    static struct world world;
    struct fake_client *clients[CLIENTS];
    static struct pipe hello;
    (void)state;
    world_begin(&world);
    struct tls_client *tls = tls_client_create(
        &(struct tls_client_config){.suites = suites_of(ALL_CIPHERS), .trust_anybody = true});
    struct tls_handshakes *pool = tls_handshakes_create(1);
    struct tls_handshake *handshake = tls_handshake_take(pool);
    tls_handshake_client(handshake, tls, "a.example", NULL);
    pump_out(handshake, &hello, 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = come(&world, LISTENER_TLS, hello.bytes, hello.len);
    const struct counters *counters = &world.fake.shard->counters;
    bool rests = false;
    for (unsigned turns = 0; !rests; turns++) {
        uint64_t before = counter_read(&counters->tls_handshakes);
        assert_true(turns < TURNS_MAX);
        rests = turn(&world);
        assert_in_range(counter_read(&counters->tls_handshakes) - before, 0, 1);
    }
    assert_int_equal(counter_read(&counters->tls_handshakes), CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++)
        fake_client_close(clients[i]);
    fake_shard_turn(&world.fake);
    tls_handshake_give(pool, handshake);
    tls_handshakes_free(pool);
    tls_client_free(tls);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_made_in_turns),
        cmocka_unit_test(a_turn_receives_so_much),
        cmocka_unit_test(a_turn_signs_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
