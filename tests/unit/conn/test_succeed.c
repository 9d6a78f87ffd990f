/* A shard whose sockets come from another process takes the connections that woke that one's accept
 * when it was cancelled: soon, for as long as that may happen, and then it rests. */
#include "fake_shard.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    SLOTS = 4,
    PIPE_BYTES = 1024,
};

static void input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    (void)shard, (void)conn, (void)bytes, (void)len;
}

static const struct transport transport = {.name = "test", .input = input};

static void begin(struct fake_shard *fake)
{
    static const struct transport *const transports[TRANSPORT_COUNT] = {&transport};
    fake_shard_init(fake);
    fake->server.transports = transports;
    fake_shard_start(fake, SLOTS, PIPE_BYTES);
}

/* For so long, in which the clock goes on by what each turn is ready to wait. Returns the turns. */
static unsigned wait_for(struct fake_shard *fake, int64_t ns)
{
    const int64_t until = fake_net_now(fake->net) + ns;
    unsigned turns = 0;
    for (; fake_net_now(fake->net) < until; turns++) {
        ring_wait(fake->shard->ring, 0);
        int64_t at = fake_net_now(fake->net) + shard_turn(fake->shard, fake_net_now(fake->net));
        int64_t due = ring_fake_due(fake->shard->ring);
        at = due < at ? due : at;
        fake_net_advance(fake->net, at < until ? at : until);
    }
    return turns;
}

/* Returns whether it is accepted as soon as it is to be. */
static bool is_taken(struct fake_shard *fake, enum listener listener)
{
    struct fake_client *client = fake_client_open(fake->net, fake->listeners[listener]);
    fake_client_miss(fake->net, client);
    wait_for(fake, (ACCEPT_ANEW_MS + 1) * FAKE_SHARD_MS);
    bool taken = !fake_client_waits(client);
    fake_client_close(client);
    wait_for(fake, FAKE_SHARD_MS);
    return taken;
}

static void who_has_woken_nobody_is_taken(void **state)
{
    struct fake_shard fake;
    (void)state;
    begin(&fake);
    shard_succeed(fake.shard);
    for (unsigned i = 0; i < ACCEPT_ANEW_TIMES / 4; i++) {
        assert_true(is_taken(&fake, LISTENER_PLAIN));
        assert_int_equal(fake.shard->live, 0);
    }
    fake_shard_done(&fake);
}

/* The other process is gone by then, and a shard that has nothing to do sleeps. */
static void after_a_while_it_rests(void **state)
{
    struct fake_shard fake;
    (void)state;
    begin(&fake);
    unsigned usual = wait_for(&fake, 10 * FAKE_SHARD_S);
    assert_false(is_taken(&fake, LISTENER_PLAIN));
    shard_succeed(fake.shard);
    wait_for(&fake, ACCEPT_ANEW_TIMES * ACCEPT_ANEW_MS * FAKE_SHARD_MS);
    assert_in_range(wait_for(&fake, 10 * FAKE_SHARD_S), 1, usual + 1);
    assert_false(is_taken(&fake, LISTENER_PLAIN));
    fake_shard_done(&fake);
}

/* A shard that drains has let go of its sockets. */
static void one_that_drains_takes_nobody(void **state)
{
    struct fake_shard fake;
    (void)state;
    begin(&fake);
    shard_succeed(fake.shard);
    wait_for(&fake, FAKE_SHARD_MS);
    shard_stop(fake.shard);
    wait_for(&fake, FAKE_SHARD_MS);
    assert_false(is_taken(&fake, LISTENER_PLAIN));
    fake_shard_done(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_woken_nobody_is_taken),
        cmocka_unit_test(after_a_while_it_rests),
        cmocka_unit_test(one_that_drains_takes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
