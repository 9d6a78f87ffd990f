/* The io_uring engine: the contract, and what only a real kernel can show. */
#include "ring_contract.h"
#include "ring_loopback.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/ring_uring.h"

static struct ring *server_ring(uint32_t capacity)
{
    return loopback_ring(capacity, false);
}

const struct contract_kernel contract_kernel = {
    .ring_new = server_ring,
    .listen = loopback_listen,
    .turn = loopback_turn,
    .peer_open = loopback_open,
    .peer_write = loopback_write,
    .peer_read = loopback_read,
    .peer_close = loopback_close,
    .peer_reset = loopback_reset,
    .end = loopback_end,
};

enum {
    LONG_NS = 1000000000, /* longer than anybody wants to wait: a test that needs it has failed */
};

static int setup(void **state)
{
    struct ring *ring = server_ring(CONTRACT_CAPACITY);
    loopback_listen(ring);
    *state = ring;
    return 0;
}

static int teardown(void **state)
{
    ring_free(*state);
    loopback_end();
    return 0;
}

static int descriptor_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    int count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void the_probe_finds_a_usable_kernel(void **state)
{
    (void)state;
    char why[256] = "";
    struct ring_features features = {0};
    assert_int_equal(ring_probe(&features, why, sizeof why), 0);
    assert_true(features.usable);
    assert_true(features.table_slots >= 256);
    assert_string_equal(why, "");
}

static void accepted_sockets_take_no_descriptor(void **state)
{
    struct ring *ring = *state;
    int before = descriptor_count(), peer;
    for (int i = 0; i < 50; i++)
        contract_accept(ring, &peer);
    assert_int_equal(ring->stats.slots_used, 50);
    assert_int_equal(descriptor_count(), before + 50); /* the peers' ends */
}

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

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A wake is lost when the wait goes on to its timeout. */
static void assert_wait_is_cut_short(struct ring *ring)
{
    uint64_t start = now_ns();
    assert_int_equal(ring_wait(ring, LONG_NS), 0);
    assert_true(now_ns() - start < LONG_NS);
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
    WAKES = 5000
};

struct waker {
    struct ring *ring;
    _Atomic(uint32_t) sent;
    _Atomic(uint32_t) seen;
};

/* Sends the next wake only after the last one was seen, at whatever point the ring is by then. */
static void *waker_main(void *argument)
{
    struct waker *waker = argument;
    for (uint32_t i = 1; i <= WAKES; i++) {
        atomic_store(&waker->sent, i);
        ring_wake(waker->ring);
        while (atomic_load(&waker->seen) < i)
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
    while (seen < WAKES) {
        assert_wait_is_cut_short(waker.ring);
        seen = atomic_load(&waker.sent);
        atomic_store(&waker.seen, seen);
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest uring_tests[] = {
        cmocka_unit_test(the_probe_finds_a_usable_kernel),
        cmocka_unit_test_setup_teardown(accepted_sockets_take_no_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_ends_when_the_time_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(an_idle_ring_only_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wake_ends_the_next_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(no_wake_is_lost_after_another, setup, teardown),
        cmocka_unit_test_setup_teardown(no_wake_is_lost_in_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wake_is_over_after_its_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wake_from_another_thread_ends_the_wait, setup, teardown),
    };
    int failed = contract_run();
    return failed + cmocka_run_group_tests_name("io_uring", uring_tests, NULL, NULL);
}
