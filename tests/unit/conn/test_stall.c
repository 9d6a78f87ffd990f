/* While a socket is full its connection's deadline is the stall's. Its own one is kept aside, also
 * when it is set anew in the very turn in which the rest leaves. */
#include "fake_shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SLOTS = 4,
    PIPE_BYTES = 1024,
    ANSWER_BYTES = PIPE_BYTES + 100,
    DEADLINE_MS = 1000,
    DEADLINE_TICKS = 10,
};

/* Sets the deadline; an `a` is answered, too. */
static void input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    static const char text[ANSWER_BYTES];
    if (memchr(bytes, 'a', len))
        conn_send_bytes(shard, conn, span_of(text, sizeof text));
    conn_timer(shard, conn, DEADLINE_MS);
}

static void expire(struct shard *shard, struct conn *conn)
{
    conn_end(shard, conn, END_CLOSE, CLOSE_IDLE);
}

static const struct transport transport = {.name = "test", .input = input, .timer = expire};

static void ticks(struct fake_shard *fake, unsigned count)
{
    while (count-- > 0)
        fake_shard_tick(fake);
}

static void what_is_set_when_the_rest_leaves_holds(void **state)
{
    static const struct transport *const transports[TRANSPORT_COUNT] = {&transport};
    struct fake_shard fake;
    char bytes[PIPE_BYTES];
    (void)state;
    fake_shard_init(&fake);
    fake.server.transports = transports;
    fake_shard_start(&fake, SLOTS, PIPE_BYTES);
    struct fake_client *client = fake_client_open(fake.net, fake.listeners[LISTENER_PLAIN]);
    assert_int_equal(fake_client_write(client, "a", 1), 1);
    fake_shard_turn(&fake);
    assert_true(fake.shard->slab[0].extra->stalled);
    ticks(&fake, DEADLINE_TICKS - 2);
    assert_int_equal(fake_client_read(client, bytes, sizeof bytes), PIPE_BYTES);
    assert_int_equal(fake_client_write(client, "b", 1), 1);
    fake_shard_turn(&fake);
    assert_null(fake.shard->slab[0].extra);
    ticks(&fake, DEADLINE_TICKS - 2);
    assert_int_equal(fake.shard->live, 1);
    ticks(&fake, DEADLINE_TICKS);
    assert_int_equal(fake.shard->live, 0);
    assert_int_equal(counter_read(&fake.shard->counters.closed[CLOSE_IDLE]), 1);
    fake_client_close(client);
    fake_shard_done(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_when_the_rest_leaves_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
