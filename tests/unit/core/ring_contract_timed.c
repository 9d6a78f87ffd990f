/* The contract with time in it: waiting and waking, which only an engine on a real kernel can show.
 */
#include "ring_contract.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static void waiting_ends_when_the_time_is_over(void **state)
{
    struct ring *ring = *state;
    struct ring_event event;
    assert_int_equal(ring_wait(ring, 0), 0);
    assert_int_equal(ring_wait(ring, 1), 0);
    assert_int_equal(ring_wait(ring, 1000000), 0);
    assert_false(ring_next(ring, &event));
}

static void an_idle_ring_only_waits(void **state)
{
    struct ring *ring = *state;
    int peer;
    for (int i = 0; i < 20; i++)
        ring_watch(ring, contract_accept(ring, &peer), RING_READ);
    contract_quiet(ring);
    uint64_t enters = ring->stats.enters;
    contract_quiet(ring);
    assert_int_equal(ring->stats.enters - enters, CONTRACT_QUIET_TURNS);
}

/* ---- ring_wake ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A wake is lost when the wait goes on to its timeout. */
static void assert_wait_is_cut_short(struct ring *ring)
{
    int64_t start = now_ns();
    assert_int_equal(ring_wait(ring, CONTRACT_LONG_NS), 0);
    assert_true(now_ns() - start < CONTRACT_LONG_NS);
}

static void a_wake_ends_the_next_wait(void **state)
{
    struct ring *ring = *state;
    for (int i = 0; i < 10; i++) {
        contract_quiet(ring);
        ring_wake(ring);
        assert_wait_is_cut_short(ring);
    }
}

/* Each wake may come before the ring has seen to the one before it. */
static void no_wake_is_lost_after_another(void **state)
{
    struct ring *ring = *state;
    for (int i = 0; i < 10; i++) {
        ring_wake(ring);
        ring_wake(ring);
        assert_wait_is_cut_short(ring);
        ring_wake(ring);
        assert_wait_is_cut_short(ring);
    }
}

/* A batch looks at completions, and may meet the wake's. */
static void no_wake_is_lost_in_a_batch(void **state)
{
    struct ring *ring = *state;
    char byte;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    for (int i = 0; i < 10; i++) {
        contract_quiet(ring);
        ring_wake(ring);
        assert_int_equal(contract_receive(ring, slot, &byte, 1), -EAGAIN);
        assert_wait_is_cut_short(ring);
    }
}

static void a_wake_is_over_after_its_wait(void **state)
{
    struct ring *ring = *state;
    ring_wake(ring);
    assert_wait_is_cut_short(ring);
    contract_quiet(ring);
    uint64_t enters = ring->stats.enters;
    contract_quiet(ring);
    assert_int_equal(ring->stats.enters - enters, CONTRACT_QUIET_TURNS);
}

enum {
    WAKES = 5000,
    WAKES_LEAST = 50,
    WAKES_NS = 2000000000, /* an emulated machine, or a busy one, takes long to change threads */
};

struct waker {
    struct ring *ring;
    _Atomic(uint32_t) sent;
    _Atomic(uint32_t) seen;
    _Atomic(bool) over;
};

/* Sends the next wake only after the last one was seen, at whatever point the ring is by then. */
static void *waker_main(void *argument)
{
    struct waker *waker = argument;
    for (uint32_t i = 1; i <= WAKES && !atomic_load(&waker->over); i++) {
        atomic_store(&waker->sent, i);
        ring_wake(waker->ring);
        while (atomic_load(&waker->seen) < i && !atomic_load(&waker->over))
            ;
    }
    return NULL;
}

static void a_wake_from_another_thread_ends_the_wait(void **state)
{
    static struct waker waker; /* outlives a failed test, as the thread does */
    waker = (struct waker){.ring = *state};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, waker_main, &waker), 0);
    uint32_t seen = 0;
    int64_t start = now_ns();
    while (seen < WAKES && (seen < WAKES_LEAST || now_ns() - start < WAKES_NS)) {
        assert_wait_is_cut_short(waker.ring);
        seen = atomic_load(&waker.sent);
        atomic_store(&waker.seen, seen);
    }
    atomic_store(&waker.over, true);
    pthread_join(thread, NULL);
}

/* ---- ring_gather ---- */

#define GATHER_NS INT64_C(2000000)

static void a_gathering_ends_with_what_has_come(void **state)
{
    struct ring *ring = *state;
    struct ring_event event;
    int peers[4];
    for (int i = 0; i < 4; i++)
        ring_watch(ring, contract_accept(ring, &peers[i]), RING_READ);
    contract_quiet(ring);
    for (int i = 0; i < 4; i++)
        assert_int_equal(contract_kernel.peer_write(peers[i], "x", 1), 1);
    int64_t start = now_ns();
    assert_int_equal(ring_gather(ring, GATHER_NS, CONTRACT_LONG_NS), 0);
    assert_true(now_ns() - start < CONTRACT_LONG_NS);
    for (int i = 0; i < 4; i++) {
        assert_true(ring_next(ring, &event));
        assert_int_equal(event.kind, RING_READABLE);
    }
}

static void a_gathering_of_nothing_ends_when_the_time_is_over(void **state)
{
    struct ring *ring = *state;
    struct ring_event event;
    int64_t start = now_ns();
    assert_int_equal(ring_gather(ring, GATHER_NS, 2 * GATHER_NS), 0);
    assert_true(now_ns() - start >= GATHER_NS);
    assert_false(ring_next(ring, &event));
}

static void a_wake_ends_a_gathering(void **state)
{
    struct ring *ring = *state;
    for (int i = 0; i < 10; i++) {
        contract_quiet(ring);
        ring_wake(ring);
        int64_t start = now_ns();
        assert_int_equal(ring_gather(ring, GATHER_NS, CONTRACT_LONG_NS), 0);
        assert_true(now_ns() - start < CONTRACT_LONG_NS);
    }
}

int contract_run_timed(void)
{
    const struct CMUnitTest timed[] = {
        CONTRACT_TEST(waiting_ends_when_the_time_is_over),
        CONTRACT_TEST(an_idle_ring_only_waits),
        CONTRACT_TEST(a_wake_ends_the_next_wait),
        CONTRACT_TEST(no_wake_is_lost_after_another),
        CONTRACT_TEST(no_wake_is_lost_in_a_batch),
        CONTRACT_TEST(a_wake_is_over_after_its_wait),
        CONTRACT_TEST(a_wake_from_another_thread_ends_the_wait),
        CONTRACT_TEST(a_gathering_ends_with_what_has_come),
        CONTRACT_TEST(a_gathering_of_nothing_ends_when_the_time_is_over),
        CONTRACT_TEST(a_wake_ends_a_gathering),
    };
    return cmocka_run_group_tests_name("waiting and waking", timed, NULL, NULL);
}
