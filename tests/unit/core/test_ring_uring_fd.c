/* The io_uring engine on ordinary descriptors, which is what kernels before 6.13 get: the contract,
 * what it alone promises, and more connections than a kernel ring has slots. */
#include "ring_contract.h"
#include "ring_loopback.h"

#include <errno.h>
#include <sys/resource.h>

#include "core/ring_uring.h"

enum {
    SLOTS_FEW = 1024,                    /* of a kernel ring, under this limit: */
    DESCRIPTORS_FEW = 2 * SLOTS_FEW - 1, /* rounded down to a power of two */
    CONNECTIONS = 980,                   /* with their peers' ends as many as it lets in */
};

static uint32_t capacity_at_least; /* for several kernel rings */

static struct ring *ring_new(uint32_t capacity)
{
    return loopback_ring_fd(capacity > capacity_at_least ? capacity : capacity_at_least);
}

const struct contract_kernel contract_kernel = {
    .ring_new = ring_new,
    .listen = loopback_listen,
    .listen_second = loopback_listen_second,
    .turn = loopback_turn,
    .peer_open = loopback_open,
    .peer_open_second = loopback_open_second,
    .peer_write = loopback_write,
    .peer_read = loopback_read,
    .peer_close = loopback_close,
    .peer_reset = loopback_reset,
    .packets_open = loopback_packets_open,
    .packet_peer = loopback_packet_peer,
    .packet_peer_send = loopback_packet_send,
    .packet_peer_take = loopback_packet_take,
    .packet_peer_address = loopback_packet_address,
    .end = loopback_end,
};

/* A trial's files are closed as well, whatever it finds. */
static void the_trial_leaves_nothing_open(void **state)
{
    (void)state;
    int before = loopback_descriptors();
    assert_int_equal(ring_trial(false), 1);
    int direct = ring_trial(true);
    assert_int_equal(direct, ring_is_direct());
    assert_int_equal(loopback_descriptors(), before);
}

static void accepted_sockets_are_descriptors(void **state)
{
    struct ring *ring = *state;
    int before = loopback_descriptors(), peer;
    uint32_t slots[50];
    for (int i = 0; i < 50; i++)
        slots[i] = contract_accept(ring, &peer);
    assert_int_equal(loopback_descriptors(), before + 100); /* with the peers' ends */
    for (int i = 0; i < 25; i++)
        ring_close(ring, slots[i]);
    assert_int_equal(loopback_descriptors(), before + 75);
    assert_int_equal(ring->stats.slots_used, 25);
}

/* Also the connections that it has accepted and that nobody has asked about yet. */
static void freeing_the_ring_closes_what_is_open(void **state)
{
    (void)state;
    loopback_listener(NULL);
    int before = loopback_descriptors(), peer;
    struct ring *ring = loopback_ring_fd(CONTRACT_CAPACITY);
    loopback_listen(ring);
    for (int i = 0; i < 10; i++)
        ring_watch(ring, contract_accept(ring, &peer), RING_READ);
    loopback_open();
    loopback_turn(ring);
    loopback_open();
    ring_free(ring);
    assert_int_equal(loopback_descriptors(), before + 12);
    loopback_end();
}

static void a_closed_slot_is_the_next_to_be_taken(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t first = contract_accept(ring, &peer);
    uint32_t second = contract_accept(ring, &peer);
    ring_close(ring, first);
    assert_int_equal(contract_accept(ring, &peer), first);
    ring_close(ring, second);
    ring_close(ring, first);
    assert_int_equal(contract_accept(ring, &peer), first);
    assert_int_equal(contract_accept(ring, &peer), second);
}

/* Told, and not lost: it waits in the backlog until there is a descriptor. */
static void a_want_of_descriptors_is_told(void **state)
{
    struct ring *ring = *state;
    struct rlimit limit;
    loopback_reserve(1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {3, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ring_listen_stop(ring);
    contract_quiet(ring);
    contract_kernel.listen(ring); /* the limit is that of the accept's submission */
    contract_kernel.peer_open();
    struct ring_event event = contract_event(ring);
    assert_int_equal(event.kind, RING_REFUSED);
    assert_int_equal(event.res, -EMFILE);
    ring_listen_stop(ring);
    while (ring_next(ring, &event))
        assert_int_equal(event.kind, RING_REFUSED);
    contract_quiet(ring);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    contract_kernel.listen(ring);
    contract_accept_slot(ring);
}

/* Each gets the bytes that are meant for it, on whichever kernel ring it is. */
static void a_low_limit_makes_several_kernel_rings(void **state)
{
    struct ring *ring = *state;
    uint32_t slots[CONNECTIONS];
    int peers[CONNECTIONS];
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        slots[i] = contract_accept(ring, &peers[i]);
    assert_int_equal(ring->stats.tables, 2);
    assert_true(slots[CONNECTIONS - 1] >= SLOTS_FEW);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        uint32_t got = 0;
        ring_watch(ring, slots[i], RING_READ);
        assert_int_equal(loopback_write(peers[i], &i, sizeof i), sizeof i);
        contract_expect(ring, RING_READABLE, slots[i]);
        assert_int_equal(contract_receive(ring, slots[i], &got, sizeof got), sizeof got);
        assert_int_equal(got, i);
        assert_int_equal(contract_send(ring, slots[i], &i, sizeof i), sizeof i);
        contract_peer_read_all(ring, peers[i], &got, sizeof got);
        assert_int_equal(got, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trial_leaves_nothing_open),
        CONTRACT_TEST(accepted_sockets_are_descriptors),
        cmocka_unit_test(freeing_the_ring_closes_what_is_open),
        CONTRACT_TEST(a_closed_slot_is_the_next_to_be_taken),
        CONTRACT_TEST(a_want_of_descriptors_is_told),
    };
    const struct CMUnitTest several[] = {
        CONTRACT_TEST(a_low_limit_makes_several_kernel_rings),
    };
    int failed = contract_run() + contract_run_timed() +
                 cmocka_run_group_tests_name("io_uring on descriptors", tests, NULL, NULL);

    const struct rlimit few = {DESCRIPTORS_FEW, DESCRIPTORS_FEW};
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return failed + 1;
    capacity_at_least = 2 * SLOTS_FEW;
    return failed + cmocka_run_group_tests_name("several kernel rings", several, NULL, NULL);
}
