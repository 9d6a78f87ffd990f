/* A hold that is over before the channel's home has answered, on another shard that is slow: the
 * empty answer is owed, with a position, and comes when there is one. */
#include "api/api.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SHARDS = 2,
    SLOTS = 8,
    PIPE_BYTES = 64 * 1024,
    LATE_TICKS = 50, /* that the other shard does nothing */
    NAMES = 64,
    PAYLOAD = 1000,
};

struct world {
    struct settings settings;
    struct server server;
    struct shard *shards[SHARDS];
    struct origins *origins;
    struct fake_net *net;
};

static void world_begin(struct world *world)
{
    const struct hub_config hub = {
        .shards = SHARDS,
        .channels_max = 16,
        .subscriptions_max = SLOTS,
        .history_messages_max = 16,
        .history_bytes_max = 1 << 20,
        .history_age_ns = FAKE_SHARD_S,
        .history_total_bytes_max = 1 << 20,
        .reply_bytes_max = 1 << 20,
        .linger_ns = FAKE_SHARD_S,
        .overflow_max = 1024,
        .lane_slots = 64,
    };
    struct fake_config config = fake_config_calm();
    char why[256];
    settings_default(&world->settings);
    world->settings.max_connections = SLOTS;
    config.pipe_bytes_min = config.pipe_bytes_max = PIPE_BYTES;
    world->net = fake_net_create(&config);
    fake_net_advance(world->net, 1000 * FAKE_SHARD_S);
    assert_int_equal(origins_create(&world->origins, "*", why, sizeof why), 0);
    world->server = (struct server){
        .settings = &world->settings,
        .origins = world->origins,
        .transports = server_transports,
        .routes = server_routes,
        .batch_begin = encoder_begin,
        .batch_done = encoder_release,
        .batch_end = encoder_done,
        .answers_turn = answering_turn,
        .hubs = hub_set_create(&hub),
        .shards = world->shards,
        .shard_count = SHARDS,
    };
    for (unsigned i = 0; i < SHARDS; i++) {
        const struct ring_config ring = {.capacity = SLOTS};
        assert_int_equal(shard_create(&world->shards[i], &world->server, i,
                                      ring_fake_create(world->net, &ring), fake_net_now(world->net),
                                      why, sizeof why),
                         0);
        shard_listen(world->shards[i], LISTENER_PLAIN, open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
}

static void world_end(struct world *world)
{
    for (unsigned i = 0; i < SHARDS; i++)
        shard_free(world->shards[i]);
    hub_set_free(world->server.hubs);
    origins_free(world->origins);
    fake_net_free(world->net);
}

static void turn(struct world *world, unsigned shard)
{
    struct ring *ring = world->shards[shard]->ring;
    int64_t wait_ns = 0;
    while (wait_ns == 0 || ring_fake_due(ring) <= fake_net_now(world->net)) {
        ring_wait(ring, 0);
        wait_ns = shard_turn(world->shards[shard], fake_net_now(world->net));
    }
}

static void say(struct fake_client *client, const char *text)
{
    assert_int_equal(fake_client_write(client, text, strlen(text)), strlen(text));
}

/* Which of the shards has the client: the first to look at its port. */
static struct fake_client *come(struct world *world)
{
    struct fake_client *client =
        fake_client_open(world->net, world->shards[0]->listen_fds[LISTENER_PLAIN]);
    turn(world, 0);
    return client;
}

/* Asks shard 0 about a channel, and lets the hold end while shard 1 stands still. */
static void ask(struct world *world, const char *name, bool *ret_late)
{
    static const char *const ends[] = {"\"messages\":[]", "HTTP/1.1 200 "};
    char request[256], answer[2048] = "";
    struct fake_client *client = come(world);
    snprintf(request, sizeof request,
             "GET /longpoll?channel=%s&timeout=0 HTTP/1.1\r\nHost: h\r\n\r\n", name);
    say(client, request);
    for (unsigned i = 0; i < LATE_TICKS; i++) {
        fake_net_advance(world->net, fake_net_now(world->net) + TIMERS_TICK_NS);
        turn(world, 0);
    }
    *ret_late = !fake_client_readable(client);
    for (unsigned i = 0; i < 2 * SHARDS; i++) {
        fake_net_advance(world->net, fake_net_now(world->net) + TIMERS_TICK_NS);
        turn(world, (i + 1) % SHARDS);
    }
    ssize_t n = fake_client_read(client, answer, sizeof answer - 1);
    assert_true(n > 0);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (!strstr(answer, ends[i]))
            fail_msg("channel %s: %s", name, answer);
    say(client, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    turn(world, 0);
    assert_true(fake_client_read(client, answer, sizeof answer) > 0);
    fake_client_close(client);
    turn(world, 0);
}

static void a_hold_waits_for_the_answer_of_its_home(void **state)
{
    static struct world world;
    unsigned late_ones = 0;
    (void)state;
    world_begin(&world);
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        bool late;
        snprintf(name, sizeof name, "c%u", i % 8);
        ask(&world, name, &late);
        late_ones += late;
    }
    assert_true(late_ones > 0 && late_ones < NAMES);
    assert_int_equal(counter_read(&world.shards[0]->counters.refused[REFUSAL_OVERLOADED]), 0);
    world_end(&world);
}

/* A channel whose home is the shard that stands still, or one that is at home here. */
static void find(struct world *world, bool late, char name[16])
{
    bool is_late = !late;
    for (unsigned i = 0; i < NAMES && is_late != late; i++) {
        snprintf(name, 16, "c%u", i);
        ask(world, name, &is_late);
    }
    assert_int_equal(is_late, late);
}

static void publish(struct world *world, const char *name)
{
    char request[256], body[PAYLOAD + 1];
    struct fake_client *client = come(world);
    snprintf(request, sizeof request,
             "POST /publish?channel=%s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", name,
             PAYLOAD);
    memset(body, 'x', PAYLOAD);
    body[PAYLOAD] = '\0';
    say(client, request);
    say(client, body);
    turn(world, 0);
    fake_client_close(client);
    turn(world, 0);
}

/* What a stream of two channels gets, one of which is late, when the other has so many messages
 * meanwhile; and then the late one answers. */
static size_t stream_meanwhile(struct world *world, unsigned messages, char *got, size_t size)
{
    char here[16], late[16], request[256];
    find(world, false, here);
    find(world, true, late);
    struct fake_client *client = come(world);
    snprintf(request, sizeof request, "GET /sse?channel=%s&channel=%s HTTP/1.1\r\nHost: h\r\n\r\n",
             here, late);
    say(client, request);
    turn(world, 0);
    for (unsigned i = 0; i < messages; i++)
        publish(world, here);
    for (unsigned i = 0; i < 2 * SHARDS; i++)
        turn(world, (i + 1) % SHARDS);
    ssize_t n = fake_client_read(client, got, size - 1);
    assert_true(n > 0);
    got[n] = '\0';
    fake_client_close(client);
    turn(world, 0);
    return (size_t)n;
}

static void what_is_gathered_meanwhile_is_bounded(void **state)
{
    static struct world world;
    static char got[PIPE_BYTES];
    (void)state;
    world_begin(&world);
    world.settings.queue_bytes_max = 10 * PAYLOAD;
    const struct counters *counters = &world.shards[0]->counters;
    size_t len = stream_meanwhile(&world, 9, got, sizeof got);
    assert_true(len > 9 * PAYLOAD);
    assert_int_equal(counter_read(&counters->gatherings_cut), 0);
    len = stream_meanwhile(&world, 10, got, sizeof got);
    assert_true(len < PAYLOAD);
    assert_string_equal(got + len - 5, "0\r\n\r\n");
    assert_int_equal(counter_read(&counters->gatherings_cut), 1);
    assert_int_equal(counter_read(&counters->closed[CLOSE_OVERLOADED]), 1);
    world_end(&world);
}

/* Its handshake is answered when it is subscribed, and then what it has said meanwhile. */
static void a_websocket_is_open_when_it_is_subscribed(void **state)
{
    static struct world world;
    char late[16], request[512], got[1024];
    (void)state;
    world_begin(&world);
    find(&world, true, late);
    struct fake_client *client = come(&world);
    snprintf(request, sizeof request,
             "GET /ws?channel=%s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x89\x82mask",
             late);
    say(client, request);
    turn(&world, 0);
    assert_false(fake_client_readable(client));
    assert_true(world.shards[0]->budgets[BUDGET_INPUT].bytes > 0);
    say(client, "\x05\x08"); /* "hi" */
    turn(&world, 0);
    turn(&world, 1);
    assert_false(fake_client_readable(client));
    uint64_t sends = counter_read(&world.shards[0]->counters.sends);
    turn(&world, 0);
    assert_int_equal(counter_read(&world.shards[0]->counters.sends), sends + 1);
    ssize_t n = fake_client_read(client, got, sizeof got);
    assert_true(n > 20);
    assert_memory_equal(got, "HTTP/1.1 101 ", 13);
    assert_memory_equal(got + n - 4, "\x8a\x02hi", 4);
    assert_int_equal(world.shards[0]->budgets[BUDGET_INPUT].bytes, 0);
    fake_client_close(client);
    turn(&world, 0);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_websocket_is_open_when_it_is_subscribed),
        cmocka_unit_test(what_is_gathered_meanwhile_is_bounded),
        cmocka_unit_test(a_hold_waits_for_the_answer_of_its_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
