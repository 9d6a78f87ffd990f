/* What is held of hellos is charged to the shard's input, half ones and whole ones that wait for a
 * handshake: when that is spent, the client that has held most for longest goes. */
#include "conn/secure.h"
#include "fake_shard.h"
#include "tls_test.h"

enum {
    SLOTS = 8,
    CLIENTS = 4,
    PIPE_BYTES = 64 * 1024,
    BUDGET = 40000,
    PART = 12000, /* three fit */
};

static const struct transport transport = {.name = "test"};

struct world {
    struct fake_shard fake;
    struct tls_server *server;
    struct tls_client *client;
    struct tls_handshakes *pool; /* of the one client that is in earnest */
    struct fake_client *clients[CLIENTS];
};

static void world_begin(struct world *world)
{
    static const struct transport *const transports[TRANSPORT_COUNT] = {&transport};
    struct fake_shard *fake = &world->fake;
    memset(world, 0, sizeof *world);
    fake_shard_init(fake);
    fake->settings.tls_handshakes_max = 1;
    fake->settings.input_total_bytes_max = BUDGET;
    world->server =
        tls_server_create(&(struct tls_server_config){.suites = suites_of(ALL_CIPHERS)});
    world->client = tls_client_create(
        &(struct tls_client_config){.suites = suites_of(ALL_CIPHERS), .trust_anybody = true});
    world->pool = tls_handshakes_create(1);
    fake->server.tls = world->server;
    fake->server.identities = identities_of("ec", NULL);
    fake->server.transports = transports;
    fake_shard_start(fake, SLOTS, PIPE_BYTES);
}

static void world_end(struct world *world)
{
    fake_shard_done(&world->fake);
    tls_identities_unref(world->fake.server.identities);
    tls_handshakes_free(world->pool);
    tls_client_free(world->client);
    tls_server_free(world->server);
}

static struct fake_client *come(struct world *world, const unsigned char *bytes, size_t len)
{
    struct fake_shard *fake = &world->fake;
    struct fake_client *client = fake_client_open(fake->net, fake->listeners[LISTENER_TLS]);
    assert_int_equal(fake_client_write(client, bytes, len), len);
    fake_shard_turn(fake);
    fake_shard_tick(fake);
    return client;
}

/* A hello of `size` bytes, as far as anybody looks before it has a handshake. */
static void hello_write(unsigned char *hello, size_t size)
{
    memset(hello, 0, size);
    hello[0] = TLS_HANDSHAKE;
    hello[1] = hello[2] = 3;
    hello[3] = (unsigned char)((size - 5) >> 8);
    hello[4] = (unsigned char)(size - 5);
    hello[5] = 1;
    hello[7] = (unsigned char)((size - 9) >> 8);
    hello[8] = (unsigned char)(size - 9);
}

static uint64_t held(const struct world *world)
{
    return world->fake.shard->budgets[BUDGET_INPUT].bytes;
}

static bool is_served(const struct world *world, const struct fake_client *client)
{
    const struct ring *ring;
    uint32_t slot;
    return fake_client_slot(client, &ring, &slot) &&
           world->fake.shard->slab[slot].state == CONN_OPEN;
}

/* All of them come; the first is one too many for the budget when the last one does. */
static void who_held_longest_goes(struct world *world, size_t whole)
{
    unsigned char hello[PIPE_BYTES];
    const struct counters *counters = &world->fake.shard->counters;
    hello_write(hello, whole);
    for (unsigned i = 0; i < CLIENTS; i++) {
        for (unsigned before = 0; before < i; before++)
            assert_true(is_served(world, world->clients[before]));
        assert_true(held(world) >= (uint64_t)i * PART && held(world) <= BUDGET);
        world->clients[i] = come(world, hello, PART);
    }
    assert_int_equal(counter_read(&counters->input_bytes), held(world));
    assert_true(held(world) >= (CLIENTS - 1) * PART && held(world) <= BUDGET);
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(is_served(world, world->clients[i]), i > 0);
    /* It is told: a fatal alert, internal_error. */
    unsigned char alert[16];
    assert_int_equal(fake_client_read(world->clients[0], alert, sizeof alert), 7);
    assert_memory_equal(alert, "\x15\x03\x03\0\x02\x02\x50", 7);
    for (unsigned i = 0; i < CLIENTS; i++)
        fake_client_close(world->clients[i]);
    fake_shard_turn(&world->fake);
}

static void half_hellos_are_charged(void **state)
{
    static struct world world;
    (void)state;
    world_begin(&world);
    who_held_longest_goes(&world, PART + 1000);
    assert_int_equal(counter_read(&world.fake.shard->counters.closed[CLOSE_INPUT_TOTAL]), 1);
    assert_int_equal(held(&world), 0);
    assert_int_equal(world.fake.shard->live, 0);
    world_end(&world);
}

static void hellos_that_wait_are_charged(void **state)
{
    static struct world world;
    unsigned char hello[1024];
    (void)state;
    world_begin(&world);
    struct tls_handshake *handshake = tls_handshake_take(world.pool);
    tls_handshake_client(handshake, world.client, "a.example", NULL);
    size_t len = tls_handshake_output(handshake, hello, sizeof hello);
    struct fake_client *first = come(&world, hello, len);
    tls_handshake_give(world.pool, handshake);
    assert_true(fake_client_readable(first)); /* it has the one handshake that there is */
    assert_int_equal(held(&world), 0);
    who_held_longest_goes(&world, PART);
    assert_int_equal(world.fake.shard->live, 1 + CLIENTS); /* nobody looks while they wait */
    fake_client_close(first);
    for (int64_t ns = 0; ns < 4 * SECURE_PATIENCE_NS; ns += TIMERS_TICK_NS)
        fake_shard_tick(&world.fake);
    assert_int_equal(held(&world), 0);
    assert_int_equal(world.fake.shard->live, 0);
    assert_int_equal(counter_read(&world.fake.shard->counters.closed[CLOSE_INPUT_TOTAL]), 1);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_hellos_are_charged),
        cmocka_unit_test(hellos_that_wait_are_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
