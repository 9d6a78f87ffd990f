/* How a connection ends: each way with an answer that leaves, one that leaves slowly, and none. */
#include "fake_shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SLOTS = 4,
    PIPE_BYTES = 1024,
    LONG_ANSWER = 1024 * PIPE_BYTES,
    LINGER_TICKS = LINGER_MS / 100,
    LONG_TICKS = LINGER_TICKS + LONG_ANSWER / LINGER_BYTES_PER_MS / 100,
    SLACK_TICKS = 2,
    PIPES_PER_TICK = 16, /* 160 KB a second */
};

/* `s` queues a short answer, `l` one that the pipe has no room for; then the ends. */
static void input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    static const char text[LONG_ANSWER];
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == 's' || bytes[i] == 'l')
            conn_send_bytes(shard, conn, span_of(text, bytes[i] == 's' ? 10 : sizeof text));
        else if (bytes[i] == 'C')
            conn_end(shard, conn, END_CLOSE, CLOSE_DONE);
        else if (bytes[i] == 'S')
            conn_end(shard, conn, END_SENT, CLOSE_DONE);
        else if (bytes[i] == 'L')
            conn_end(shard, conn, END_LINGER, CLOSE_DONE);
        else if (bytes[i] == 'B')
            conn_end(shard, conn, END_LINGER, CLOSE_BAD_REQUEST);
    }
}

static const struct transport transport = {.name = "test", .input = input};

struct end {
    struct fake_shard fake;
    struct fake_client *client;
};

static int setup(void **state)
{
    static const struct transport *const transports[TRANSPORT_COUNT] = {&transport};
    struct end *end = calloc(1, sizeof *end);
    assert_non_null(end);
    fake_shard_init(&end->fake);
    end->fake.server.transports = transports;
    end->fake.settings.head_timeout_ms = 3600000;
    fake_shard_start(&end->fake, SLOTS, PIPE_BYTES);
    end->client = fake_client_open(end->fake.net, end->fake.listeners[LISTENER_PLAIN]);
    fake_shard_turn(&end->fake);
    *state = end;
    return 0;
}

static int teardown(void **state)
{
    struct end *end = *state;
    if (end->client)
        fake_client_close(end->client);
    fake_shard_done(&end->fake);
    free(end);
    return 0;
}

static void ask(struct end *end, const char *text)
{
    assert_int_equal(fake_client_write(end->client, text, strlen(text)), strlen(text));
    fake_shard_turn(&end->fake);
}

static void ticks(struct end *end, unsigned count)
{
    while (count-- > 0)
        fake_shard_tick(&end->fake);
}

/* The client takes so many bytes each tick. */
static void trickle(struct end *end, unsigned count, size_t bytes)
{
    char taken[PIPE_BYTES];
    while (count-- > 0) {
        fake_client_read(end->client, taken, bytes);
        fake_shard_tick(&end->fake);
    }
}

static enum conn_state state_of(const struct end *end)
{
    return (enum conn_state)end->fake.shard->slab[0].state;
}

static uint64_t closed(const struct end *end, enum close_reason reason)
{
    return counter_read(&end->fake.shard->counters.closed[reason]);
}

static void with_nothing_queued_all_close_at_once(void **state)
{
    struct end *end = *state;
    const char *const ways[] = {"C", "S", "L"};
    for (unsigned i = 0; i < 3; i++) {
        ask(end, ways[i]);
        assert_int_equal(state_of(end), CONN_FREE);
        assert_int_equal(closed(end, CLOSE_DONE), i + 1);
        fake_client_close(end->client);
        end->client = fake_client_open(end->fake.net, end->fake.listeners[LISTENER_PLAIN]);
        fake_shard_turn(&end->fake);
    }
}

static void what_is_sent_needs_no_lingering(void **state)
{
    struct end *end = *state;
    char bytes[PIPE_BYTES];
    ask(end, "sS");
    assert_int_equal(state_of(end), CONN_FREE);
    assert_int_equal(closed(end, CLOSE_DONE), 1);
    assert_int_equal(fake_client_read(end->client, bytes, sizeof bytes), 10);
}

static void who_may_be_sending_is_read_from(void **state)
{
    struct end *end = *state;
    ask(end, "sB");
    assert_int_equal(state_of(end), CONN_LINGERING);
    ask(end, "more");
    ticks(end, LINGER_TICKS - SLACK_TICKS);
    assert_int_equal(state_of(end), CONN_LINGERING);
    ticks(end, 2 * SLACK_TICKS);
    assert_int_equal(state_of(end), CONN_FREE);
    assert_int_equal(closed(end, CLOSE_BAD_REQUEST), 1);
    assert_int_equal(counter_read(&end->fake.shard->counters.lingers_cut), 1);
}

static void lingering_ends_with_the_peers_end(void **state)
{
    struct end *end = *state;
    ask(end, "sL");
    assert_int_equal(state_of(end), CONN_LINGERING);
    fake_client_shutdown(end->client);
    fake_shard_turn(&end->fake);
    assert_int_equal(state_of(end), CONN_FREE);
    assert_int_equal(closed(end, CLOSE_DONE), 1);
}

static void nobody_who_takes_nothing_is_waited_for(void **state)
{
    struct end *end = *state;
    ask(end, "lB");
    ticks(end, LONG_TICKS + SLACK_TICKS);
    assert_int_equal(state_of(end), CONN_FREE);
    assert_int_equal(closed(end, CLOSE_BAD_REQUEST), 1);
}

/* A byte now and then must not move the deadline. */
static void a_trickle_does_not_buy_time(void **state)
{
    struct end *end = *state;
    ask(end, "lL");
    trickle(end, LONG_TICKS - SLACK_TICKS, 1);
    assert_int_equal(state_of(end), CONN_FINISHING);
    trickle(end, 2 * SLACK_TICKS, 1);
    assert_int_equal(state_of(end), CONN_FREE);
    assert_int_equal(closed(end, CLOSE_LINGER), 1);
}

static void a_stall_before_does_not_either(void **state)
{
    struct end *end = *state;
    ask(end, "l");
    ticks(end, 1);
    assert_true(end->fake.shard->slab[0].extra->stalled);
    ask(end, "L");
    trickle(end, LONG_TICKS + SLACK_TICKS, 1);
    assert_int_equal(state_of(end), CONN_FREE);
    assert_int_equal(closed(end, CLOSE_LINGER), 1);
}

static void a_long_answer_has_the_time_that_it_needs(void **state)
{
    struct end *end = *state;
    char taken[PIPE_BYTES];
    size_t got = 0;
    ask(end, "lS");
    for (unsigned tick = 0; got < LONG_ANSWER && tick < LONG_TICKS; tick++) {
        for (unsigned i = 0; i < PIPES_PER_TICK; i++) {
            ssize_t n = fake_client_read(end->client, taken, sizeof taken);
            got += n > 0 ? (size_t)n : 0;
            fake_shard_turn(&end->fake);
        }
        fake_shard_tick(&end->fake);
    }
    assert_int_equal(got, LONG_ANSWER);
    assert_int_equal(closed(end, CLOSE_DONE), 1);
}

/* ---- the end of a shard ---- */

static void leave(struct end *end, atomic_uint *serving)
{
    end->fake.server.serving = serving;
    shard_stop(end->fake.shard);
    ask(end, "C");
    fake_shard_turn(&end->fake);
    assert_true(shard_done(end->fake.shard));
}

static void a_shard_without_connections_stays_for_the_others(void **state)
{
    struct end *end = *state;
    atomic_uint serving = 2;
    leave(end, &serving);
    for (int turn = 0; turn < 3; turn++) {
        assert_false(shard_may_leave(end->fake.shard));
        assert_int_equal(serving, 1);
    }
    atomic_store(&serving, 0);
    assert_true(shard_may_leave(end->fake.shard));
}

static void it_does_not_wait_for_them_for_ever(void **state)
{
    struct end *end = *state;
    atomic_uint serving = 2;
    leave(end, &serving);
    int64_t most_ns = end->fake.settings.drain_ms * 1000000 + LINGER_MS * INT64_C(1000000);
    for (int64_t ns = 0; ns < most_ns; ns += TIMERS_TICK_NS) {
        assert_false(shard_may_leave(end->fake.shard));
        fake_shard_tick(&end->fake);
    }
    assert_true(shard_may_leave(end->fake.shard));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(with_nothing_queued_all_close_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_sent_needs_no_lingering, setup, teardown),
        cmocka_unit_test_setup_teardown(who_may_be_sending_is_read_from, setup, teardown),
        cmocka_unit_test_setup_teardown(lingering_ends_with_the_peers_end, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_who_takes_nothing_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_trickle_does_not_buy_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stall_before_does_not_either, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_answer_has_the_time_that_it_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shard_without_connections_stays_for_the_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_does_not_wait_for_them_for_ever, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
