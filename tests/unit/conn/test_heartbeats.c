/* Heartbeats spread evenly over the interval: of a crowd that came at once, and again after a
 * broadcast that held all of them up. They are left out where messages were sent, and nobody is
 * without a byte for longer than the interval. */
#include "api/api.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    CROWD = 6400,
    INTERVAL_TICKS = 20,
    PIPE_BYTES = 1024,
    MESSAGE_BYTES = PIPE_BYTES, /* no socket takes it at once */
    MEAN = CROWD / INTERVAL_TICKS,
    /* A step may have one phase more or less than its share. */
    MOST = MEAN + HEARTBEAT_NEIGHBOURS,
    LEAST = MEAN - HEARTBEAT_NEIGHBOURS,
    SHORT_BYTES = 5,
    /* A tick for which the wheel is early, one for that in which it looks, one of a part of the
     * interval that has begun. */
    SILENT_MAX = INTERVAL_TICKS + 2,
};

struct crowd {
    struct fake_shard fake;
    struct origins *origins;
    struct fake_client *clients[CROWD];
    unsigned silent[CROWD]; /* steps since something was read */
    bool reads;
    bool answers; /* pings */
};

static bool is_websocket(unsigned i)
{
    return i % 2 == 0;
}

static void write_all(struct crowd *crowd, struct fake_client *client, const char *bytes,
                      size_t len)
{
    while (len > 0) {
        ssize_t n = fake_client_write(client, bytes, len);
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
        if (len > 0)
            fake_shard_turn(&crowd->fake);
    }
}

/* Whatever comes is read, and taken for a ping. */
static void client_read(struct crowd *crowd, unsigned i)
{
    static char bytes[PIPE_BYTES];
    struct fake_client *client = crowd->clients[i];
    if (!fake_client_readable(client)) {
        assert_in_range(crowd->silent[i]++, 0, SILENT_MAX);
        return;
    }
    crowd->silent[i] = 0;
    while (fake_client_read(client, bytes, sizeof bytes) > 0)
        ;
    if (is_websocket(i) && crowd->answers)
        write_all(crowd, client, "\x8a\x80\0\0\0", 6);
}

static uint64_t heartbeats(const struct crowd *crowd)
{
    return counter_read(&crowd->fake.shard->counters.pings);
}

/* Returns how many heartbeats were sent in one step of the timers. */
static uint64_t step(struct crowd *crowd)
{
    uint64_t before = heartbeats(crowd);
    fake_shard_tick(&crowd->fake);
    for (unsigned i = 0; crowd->reads && i < CROWD; i++)
        client_read(crowd, i);
    fake_shard_turn(&crowd->fake);
    return heartbeats(crowd) - before;
}

static void steps(struct crowd *crowd, unsigned count)
{
    while (count-- > 0)
        step(crowd);
}

static void are_even(struct crowd *crowd)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < INTERVAL_TICKS; i++) {
        uint64_t count = step(crowd);
        assert_in_range(count, LEAST, MOST);
        sum += count;
    }
    assert_int_equal(sum, CROWD);
    assert_int_equal(crowd->fake.shard->live, CROWD);
}

/* ---- a crowd ---- */

static void all_come(struct crowd *crowd)
{
    static const char websocket[] =
        "GET /ws?channel=a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const char sse[] = "GET /sse?channel=a HTTP/1.1\r\nHost: a\r\n\r\n";
    for (unsigned i = 0; i < CROWD; i++) {
        const char *request = is_websocket(i) ? websocket : sse;
        crowd->clients[i] =
            fake_client_open(crowd->fake.net, crowd->fake.listeners[LISTENER_PLAIN]);
        write_all(crowd, crowd->clients[i], request, strlen(request));
    }
    fake_shard_turn(&crowd->fake);
    assert_int_equal(counter_read(&crowd->fake.shard->counters.streams_websocket), CROWD / 2);
    assert_int_equal(counter_read(&crowd->fake.shard->counters.streams_sse), CROWD / 2);
}

static void broadcast(struct crowd *crowd, int bytes)
{
    static char request[MESSAGE_BYTES + 100];
    int head = snprintf(request, sizeof request,
                        "POST /publish?channel=a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
                        bytes);
    struct fake_client *publisher =
        fake_client_open(crowd->fake.net, crowd->fake.listeners[LISTENER_PLAIN]);
    memset(request + head, 'x', (size_t)bytes);
    write_all(crowd, publisher, request, (size_t)head + (size_t)bytes);
    fake_shard_turn(&crowd->fake);
    fake_client_close(publisher);
    fake_shard_turn(&crowd->fake);
}

static int setup(void **state)
{
    static struct crowd crowd;
    char why[256];
    struct fake_shard *fake = &crowd.fake;
    fake_shard_init(fake);
    fake->settings.heartbeat_ms = INTERVAL_TICKS * TIMERS_TICK_NS / FAKE_SHARD_MS;
    assert_int_equal(origins_create(&crowd.origins, "*", why, sizeof why), 0);
    fake->server.origins = crowd.origins;
    fake->server.transports = server_transports;
    fake->server.routes = server_routes;
    fake->server.batch_begin = encoder_begin;
    fake->server.batch_done = encoder_release;
    fake->server.batch_end = encoder_done;
    fake->server.answers_turn = answering_turn;
    fake_shard_start(fake, CROWD + 1, PIPE_BYTES);
    crowd.reads = crowd.answers = true;
    *state = &crowd;
    return 0;
}

static int teardown(void **state)
{
    struct crowd *crowd = *state;
    fake_shard_done(&crowd->fake);
    origins_free(crowd->origins);
    return 0;
}

static void test_heartbeats_spread_evenly(void **state)
{
    struct crowd *crowd = *state;
    crowd->fake.settings.heartbeats_skipped_max = 0;
    all_come(crowd);
    steps(crowd, 2 * INTERVAL_TICKS);
    are_even(crowd);

    /* All are held up for most of an interval: what was due then is due together. */
    crowd->reads = false;
    broadcast(crowd, MESSAGE_BYTES);
    steps(crowd, INTERVAL_TICKS * 3 / 4);
    crowd->reads = true;
    assert_int_equal(counter_read(&crowd->fake.shard->counters.sends_short), CROWD);
    step(crowd);
    assert_true(step(crowd) > 10 * MEAN);
    steps(crowd, 2 * INTERVAL_TICKS);
    are_even(crowd);
}

/* A message each quarter of an interval. */
static void steps_with_messages(struct crowd *crowd, unsigned intervals)
{
    for (unsigned i = 0; i < 4 * intervals; i++) {
        broadcast(crowd, SHORT_BYTES);
        steps(crowd, INTERVAL_TICKS / 4);
    }
}

static void test_messages_take_the_place_of_heartbeats(void **state)
{
    struct crowd *crowd = *state;
    all_come(crowd);
    steps_with_messages(crowd, 5);
    uint64_t before = heartbeats(crowd);
    steps_with_messages(crowd, 4);
    /* One in four is sent all the same, to those who answer. */
    assert_int_equal(heartbeats(crowd) - before, CROWD / 2);
    assert_int_equal(crowd->fake.shard->live, CROWD);

    /* Then all are due in half an interval, and not in a moment. */
    for (unsigned i = 0; i < INTERVAL_TICKS; i++)
        assert_in_range(step(crowd), 0, 2 * MEAN + 2 * HEARTBEAT_NEIGHBOURS);
    steps(crowd, INTERVAL_TICKS);
    are_even(crowd);
}

static void test_messages_hide_nobody_who_answers_nothing(void **state)
{
    struct crowd *crowd = *state;
    all_come(crowd);
    crowd->answers = false;
    steps_with_messages(crowd, 5);
    assert_int_equal(counter_read(&crowd->fake.shard->counters.closed[CLOSE_HEARTBEAT]), CROWD / 2);
    assert_int_equal(crowd->fake.shard->live, CROWD / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_heartbeats_spread_evenly, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_take_the_place_of_heartbeats, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_messages_hide_nobody_who_answers_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
