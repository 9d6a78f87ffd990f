#include "load/opener.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    CLIENTS = 200,
    PUBLISHER = CLIENTS,
    MS = 1000000,
};

/* A load of one group, and what the opener had it do. */
static struct load world;
static struct link links[CLIENTS + 1];
static struct subscriber subscribers[CLIENTS + 1];
static struct group group;
static uint32_t connected[4 * CLIENTS];
static unsigned connect_count;
static uint32_t timed_out[CLIENTS];
static unsigned timeout_count;

/* ---- in the place of link.c ---- */

void link_connect(struct load *load, struct link *link)
{
    assert_int_equal(link->phase, LINK_DOWN);
    link->phase = LINK_CONNECTING;
    link->attempts++;
    connected[connect_count++] = link_index(load, link);
}

static void fail_one(struct link *link, enum load_failure failure)
{
    opener_failed(&world, link, failure);
    link->phase = LINK_DOWN;
    if (link->flags & LINK_AGAIN) {
        link->flags &= (uint8_t)~LINK_AGAIN;
        opener_return(&world, link);
    }
}

void link_fail(struct load *load, struct link *link, enum load_failure failure)
{
    assert_int_equal(failure, LOAD_FAIL_TIMEOUT);
    timed_out[timeout_count++] = link_index(load, link);
    fail_one(link, failure);
}

static void come_up(struct link *link)
{
    opener_done(&world, link);
    link->phase = LINK_UP;
    link->attempts = 0;
}

static int fresh(void **state)
{
    (void)state;
    static struct load empty;
    world = empty;
    memset(links, 0, sizeof links);
    memset(subscribers, 0, sizeof subscribers);
    world.links = links;
    world.subscribers = subscribers;
    world.publishers_first = world.publisher_links_first = CLIENTS;
    world.subscriber_count = world.link_count = CLIENTS + 1;
    group.links = group.config.clients = CLIENTS;
    group.streams = 1;
    world.groups = &group;
    world.group_count = 1;
    world.handshake_timeout_ms = 1000;
    world.now_ns = INT64_C(5000) * MS;
    world.opener.backlog_fd = -1;
    opener_init(&world);
    connect_count = timeout_count = 0;
    return 0;
}

/* ---- in the place of backlog.c ---- */

static int waiting;
static unsigned looks;

int backlog_waiting(int fd, const struct sockaddr_in *listener)
{
    assert_int_equal(fd, 1000);
    assert_ptr_equal(listener, &group.config.target);
    looks++;
    return waiting;
}

static void queue(uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        opener_queue(&world, &links[i]);
}

/* ---- how many at one time ---- */

static void test_in_order_and_no_more_than_allowed(void **state)
{
    (void)state;
    opener_start(&world, 5, 0, 0);
    queue(0, 12);
    assert_int_equal(opener_step(&world), INT64_MAX); /* the next may go when one is up */
    assert_int_equal(connect_count, 5);
    assert_int_equal(opener_step(&world), INT64_MAX);
    assert_int_equal(connect_count, 5);
    come_up(&links[3]);
    come_up(&links[0]);
    opener_step(&world);
    assert_int_equal(connect_count, 7);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(connected[i], i);
    assert_int_equal(world.opener.opened, 2);
    assert_int_equal(world.opener.last_ns, world.now_ns);
}

static void test_a_step_has_a_bound_of_its_own(void **state)
{
    (void)state;
    opener_start(&world, 100, 0, 0);
    queue(0, 70);
    assert_int_equal(opener_step(&world), 0); /* at once again */
    assert_int_equal(connect_count, STEP_CONNECTS);
    opener_step(&world);
    assert_int_equal(connect_count, 2 * STEP_CONNECTS);
    assert_int_equal(opener_step(&world), INT64_MAX);
    assert_int_equal(connect_count, 70);
}

static void bare(uint32_t unaccepted)
{
    static const struct protocol protocol = {.is = PROTOCOL_BARE};
    group.config.transport = &protocol;
    world.opener.backlog_fd = 1000;
    opener_start(&world, 5, 0, 0);
    world.opener.unaccepted = unaccepted;
    looks = 0;
}

static void test_bare_connects_wait_for_the_server(void **state)
{
    (void)state;
    bare(UNACCEPTED_MAX - 1);
    queue(0, 3);
    opener_step(&world);
    assert_int_equal(connect_count, 3); /* before it has too many */
    come_up(&links[0]);
    queue(3, 9);
    waiting = UNACCEPTED_MAX;
    assert_int_equal(opener_step(&world), LOOK_NS);
    assert_int_equal(opener_step(&world), LOOK_NS);
    assert_int_equal(looks, 1); /* not at once again */
    assert_int_equal(connect_count, 3);
    world.now_ns += LOOK_NS;
    waiting = 7;
    opener_step(&world);
    assert_int_equal(looks, 2);
    assert_int_equal(connect_count, 6); /* five at one time, and one is up */
}

static void test_the_last_bare_connect_is_open_when_it_is_accepted(void **state)
{
    (void)state;
    bare(0);
    queue(0, 2);
    opener_step(&world);
    come_up(&links[0]);
    come_up(&links[1]);
    waiting = 1;
    assert_int_equal(opener_step(&world), LOOK_NS);
    assert_int_equal(world.opener.unaccepted, 1);
    world.now_ns += LOOK_NS;
    waiting = -ENOENT; /* the server has gone: nobody accepts it any longer */
    assert_int_equal(opener_step(&world), INT64_MAX);
    assert_int_equal(world.opener.unaccepted, 0);
    assert_int_equal(world.opener.last_ns, world.now_ns);
}

static void test_queued_once(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, 0);
    queue(0, 3);
    queue(0, 3);
    assert_int_equal(world.opener.queued.count, 3);
    opener_step(&world);
    assert_int_equal(connect_count, 3);
}

/* 100 a second: one every 10 ms, and what was late is made up for. */
static void test_at_a_rate(void **state)
{
    (void)state;
    opener_start(&world, 0, 100, 0);
    queue(0, 50);
    assert_int_equal(opener_step(&world), 10 * MS);
    assert_int_equal(connect_count, 1);
    world.now_ns += 9 * MS;
    assert_int_equal(opener_step(&world), 1 * MS);
    assert_int_equal(connect_count, 1);
    world.now_ns += 1 * MS;
    opener_step(&world);
    assert_int_equal(connect_count, 2);
    world.now_ns += 55 * MS;
    assert_int_equal(opener_step(&world), 5 * MS);
    assert_int_equal(connect_count, 7);
}

static void test_publishers_are_not_counted(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, 1);
    queue(PUBLISHER, 1);
    opener_step(&world);
    come_up(&links[PUBLISHER]);
    assert_int_equal(world.opener.opened, 0);
    links[PUBLISHER].phase = LINK_DOWN;
    queue(PUBLISHER, 1);
    opener_step(&world);
    fail_one(&links[PUBLISHER], LOAD_FAIL_REFUSED);
    assert_int_equal(world.opener.failed, 0);
    assert_int_equal(world.opener.failures[LOAD_FAIL_REFUSED], 1);
}

/* ---- failures ---- */

static void test_tries_again_so_often(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, 3);
    queue(7, 1);
    for (unsigned attempt = 1; attempt <= 5; attempt++) {
        opener_step(&world);
        assert_int_equal(connect_count, attempt < 3 ? attempt : 3);
        if (links[7].phase == LINK_CONNECTING)
            fail_one(&links[7], LOAD_FAIL_RESET);
    }
    assert_int_equal(world.opener.failed, 1);
    assert_int_equal(world.opener.retries, 2);
    assert_int_equal(world.opener.failures[LOAD_FAIL_RESET], 3);
    assert_int_equal(world.opener.queued.count + world.opener.opening, 0);
}

static void test_those_without_an_answer_time_out(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, 1);
    queue(0, 2);
    opener_step(&world);
    world.now_ns += 400 * MS;
    queue(2, 1);
    opener_step(&world);
    world.now_ns += 599 * MS;
    opener_step(&world);
    assert_int_equal(timeout_count, 0);
    world.now_ns += (1 + WAIT_TICK_MS) * MS;
    opener_step(&world);
    assert_int_equal(timeout_count, 2);
    world.now_ns += 400 * MS;
    opener_step(&world);
    assert_int_equal(timeout_count, 3);
    assert_int_equal(timed_out[2], 2);
    assert_int_equal(world.opener.failed, 3);
}

/* ---- back-off ---- */

/* Fails the client and gives the milliseconds until it connects again. */
static uint32_t wait_after_failure(struct link *link)
{
    unsigned before = connect_count;
    int64_t failed_ns = world.now_ns;
    fail_one(link, LOAD_FAIL_SHED);
    for (opener_step(&world); connect_count == before; opener_step(&world))
        world.now_ns += MS;
    return (uint32_t)((world.now_ns - failed_ns) / MS);
}

static void test_as_long_as_the_server_said(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, LOAD_ATTEMPTS_ANY);
    world.opener.backoff = (struct load_backoff){100000, 100000, true};
    queue(0, 1);
    opener_step(&world);
    subscribers[0].hint = 250 / WAIT_TICK_MS;
    uint32_t wait_ms = wait_after_failure(&links[0]);
    assert_in_range(wait_ms, 248, 248 + WAIT_TICK_MS);
    assert_int_equal(subscribers[0].hint, 0); /* good for one wait */
    assert_int_equal(world.opener.waiting, 0);
}

static void test_hints_that_nobody_wants(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, LOAD_ATTEMPTS_ANY);
    queue(0, 1);
    opener_step(&world);
    subscribers[0].hint = 1000;
    assert_int_equal(wait_after_failure(&links[0]), 0);
}

/* A publisher that is told to come later does. */
static void test_publishers_wait_too(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, LOAD_ATTEMPTS_ANY);
    world.opener.backoff.hints = true;
    queue(PUBLISHER, 1);
    opener_step(&world);
    subscribers[PUBLISHER].hint = 100 / WAIT_TICK_MS;
    assert_in_range(wait_after_failure(&links[PUBLISHER]), 100, 100 + WAIT_TICK_MS);
}

/* Full jitter: anywhere up to first × 2^failures, and never more than the most. */
static void test_jitter_doubles_up_to_a_bound(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, LOAD_ATTEMPTS_ANY);
    world.opener.backoff = (struct load_backoff){.first_ms = 50, .most_ms = 400};
    for (unsigned failures = 1; failures <= 6; failures++) {
        uint32_t bound = (50U << failures) < 400 ? 50U << failures : 400, most = 0;
        uint64_t sum = 0;
        for (uint32_t i = 0; i < 4 * CLIENTS; i++) {
            links[0].attempts = (uint8_t)failures;
            uint32_t wait_ms = wait_ms_of(&world, &links[0]);
            assert_true(wait_ms <= bound);
            most = wait_ms > most ? wait_ms : most;
            sum += wait_ms;
        }
        assert_true(most > bound * 9 / 10);
        assert_in_range(sum / (4 * CLIENTS), bound * 4 / 10, bound * 6 / 10);
    }
}

/* The wheel has a lap of two seconds: who waits for longer stays for others. */
static void test_longer_than_a_lap(void **state)
{
    (void)state;
    opener_start(&world, 0, 0, LOAD_ATTEMPTS_ANY);
    world.opener.backoff.hints = true;
    queue(0, 1);
    opener_step(&world);
    subscribers[0].hint = 70000 / WAIT_TICK_MS;
    assert_in_range(wait_after_failure(&links[0]), 70000, 70000 + WAIT_TICK_MS);
}

static void test_many_come_back_at_their_times(void **state)
{
    (void)state;
    opener_start(&world, UINT32_MAX, 0, LOAD_ATTEMPTS_ANY);
    world.opener.backoff.hints = true;
    queue(0, CLIENTS);
    while (connect_count < CLIENTS)
        opener_step(&world);
    connect_count = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        subscribers[i].hint = (uint16_t)(1 + i * 37 % CLIENTS);
        fail_one(&links[i], LOAD_FAIL_SHED);
    }
    assert_int_equal(world.opener.waiting, CLIENTS);
    int64_t began_ns = world.now_ns;
    unsigned seen = 0;
    while (seen < CLIENTS) {
        assert_true(opener_step(&world) <= WAIT_TICK_MS * MS || world.opener.waiting == 0);
        for (; seen < connect_count; seen++) {
            int64_t due_ms = (1 + connected[seen] * 37 % CLIENTS) * WAIT_TICK_MS;
            int64_t late_ms = (world.now_ns - began_ns) / MS - due_ms;
            assert_in_range(late_ms, 0, WAIT_TICK_MS);
        }
        world.now_ns += MS;
    }
}

/* ---- giving up ---- */

static void test_abandoned(void **state)
{
    (void)state;
    opener_start(&world, 2, 0, LOAD_ATTEMPTS_ANY);
    world.opener.backoff.hints = true;
    queue(0, 4);
    opener_step(&world);
    subscribers[0].hint = 10;
    fail_one(&links[0], LOAD_FAIL_SHED);
    links[3].flags |= LINK_CYCLING; /* a long poll between two requests: it counts as up */
    opener_abandon(&world);
    assert_int_equal(world.opener.waiting, 0);
    assert_int_equal(links[0].phase, LINK_DOWN);
    assert_int_equal(world.opener.queued.count, 1);
    assert_int_equal(world.opener.queued.first, 3);
    assert_int_equal(world.opener.opening, 1); /* it is on its way already */
    world.now_ns += 100 * MS;
    opener_step(&world);
    assert_int_equal(connect_count, 3);
    assert_int_equal(connected[2], 3);
}

static void test_forgotten_wherever_they_are(void **state)
{
    (void)state;
    opener_start(&world, 1, 0, LOAD_ATTEMPTS_ANY);
    world.opener.backoff.hints = true;
    queue(0, 3);
    opener_step(&world);
    subscribers[0].hint = 10;
    fail_one(&links[0], LOAD_FAIL_SHED);
    opener_step(&world);
    assert_int_equal(links[1].phase, LINK_CONNECTING);
    for (uint32_t i = 0; i < 4; i++)
        opener_forget(&world, &links[i]); /* waits, connects, is queued, is nowhere */
    assert_int_equal(world.opener.waiting, 0);
    assert_int_equal(world.opener.opening, 0);
    assert_int_equal(world.opener.queued.count, 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_false(links[i].flags & LINK_LISTED);
    assert_int_equal(opener_step(&world), INT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in_order_and_no_more_than_allowed),
        TEST(test_a_step_has_a_bound_of_its_own),
        TEST(test_bare_connects_wait_for_the_server),
        TEST(test_the_last_bare_connect_is_open_when_it_is_accepted),
        TEST(test_queued_once),
        TEST(test_at_a_rate),
        TEST(test_publishers_are_not_counted),
        TEST(test_tries_again_so_often),
        TEST(test_those_without_an_answer_time_out),
        TEST(test_as_long_as_the_server_said),
        TEST(test_hints_that_nobody_wants),
        TEST(test_publishers_wait_too),
        TEST(test_jitter_doubles_up_to_a_bound),
        TEST(test_longer_than_a_lap),
        TEST(test_many_come_back_at_their_times),
        TEST(test_abandoned),
        TEST(test_forgotten_wherever_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
