/* The epoll engine: the contract, and what it alone promises: how few system calls it makes, and
 * what happens when slots or descriptors run out. */
#include "ring_contract.h"
#include "ring_loopback.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "core/ring_epoll.h"

const struct contract_kernel contract_kernel = {
    .ring_new = loopback_ring_epoll,
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

static void freeing_the_ring_closes_what_is_open(void **state)
{
    (void)state;
    loopback_listener(NULL);
    int before = loopback_descriptors(), peer;
    struct ring *ring = loopback_ring_epoll(CONTRACT_CAPACITY);
    loopback_listen(ring);
    for (int i = 0; i < 10; i++)
        ring_watch(ring, contract_accept(ring, &peer), RING_READ);
    ring_free(ring);
    assert_int_equal(loopback_descriptors(), before + 10);
    loopback_end();
}

/* ---- system calls ---- */

static void a_request_costs_a_wait_and_a_receive(void **state)
{
    struct ring *ring = *state;
    char buffer[16];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    ring_watch(ring, slot, RING_READ);
    contract_quiet(ring);
    for (int i = 0; i < 10; i++) {
        uint64_t enters = ring->stats.enters;
        assert_int_equal(contract_kernel.peer_write(peer, "request", 7), 7);
        contract_expect(ring, RING_READABLE, slot);
        assert_int_equal(contract_receive(ring, slot, buffer, sizeof buffer), 7);
        ring_watch(ring, slot, RING_READ);
        assert_int_equal(ring->stats.enters - enters, 2);
    }
}

static void an_accepted_socket_is_registered_once(void **state)
{
    struct ring *ring = *state;
    int peer;
    contract_quiet(ring);
    uint64_t enters = ring->stats.enters;
    ring_watch(ring, contract_accept(ring, &peer), RING_READ);
    contract_quiet(ring);
    /* Wait, accept, add, and an accept that finds nobody; but none for being writable. */
    assert_int_equal(ring->stats.enters - enters, 4 + CONTRACT_QUIET_TURNS);
}

/* Whether the watch for a full socket fires. A kernel that is slow may still move bytes to the
 * other end when nothing more was taken, and there is room again. */
static bool has_room_again(struct ring *ring, uint32_t slot)
{
    struct ring_event event;
    for (int turn = 0; turn < CONTRACT_QUIET_TURNS; turn++) {
        contract_kernel.turn(ring);
        if (!ring_next(ring, &event))
            continue;
        assert_int_equal(event.kind, RING_WRITABLE);
        assert_int_equal(event.slot, slot);
        return true;
    }
    return false;
}

static uint64_t watch_room(struct ring *ring, uint32_t slot, uint64_t *sent)
{
    contract_fill_socket(ring, slot, sent);
    uint64_t enters = ring->stats.enters;
    ring_watch(ring, slot, RING_WRITE);
    return ring->stats.enters - enters;
}

static void only_the_first_stall_registers_for_writing(void **state)
{
    struct ring *ring = *state;
    uint64_t sent = 0, taken = 0;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    for (int round = 0; round < 4; round++) {
        assert_int_equal(watch_room(ring, slot, &sent), round == 0 ? 1 : 0);
        for (int again = 0; has_room_again(ring, slot); again++) {
            assert_true(again < CONTRACT_PATIENCE);
            assert_int_equal(watch_room(ring, slot, &sent), 0);
        }
        contract_peer_takes(ring, peer, &taken, sent - taken);
        assert_true(contract_expect(ring, RING_WRITABLE, slot) & POLLOUT);
    }
    ring_close(ring, slot);
}

/* ---- readiness that is remembered ---- */

/* A receive that was filled to the last byte may have left something: the watch fires, for nothing
 * at the worst, and once. */
static void a_filled_receive_may_fire_for_nothing(void **state)
{
    struct ring *ring = *state;
    char buffer[4];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    ring_watch(ring, slot, RING_READ);
    assert_int_equal(contract_kernel.peer_write(peer, "full", 4), 4);
    contract_expect(ring, RING_READABLE, slot);
    assert_int_equal(contract_receive(ring, slot, buffer, 4), 4);
    ring_watch(ring, slot, RING_READ);
    contract_expect(ring, RING_READABLE, slot);
    assert_int_equal(contract_receive(ring, slot, buffer, 4), -EAGAIN);
    ring_watch(ring, slot, RING_READ);
    contract_quiet(ring);
    assert_int_equal(contract_kernel.peer_write(peer, "x", 1), 1);
    contract_expect(ring, RING_READABLE, slot);
}

/* The next six bytes. Loopback may deliver them late: till then a watch fires for nothing, once. */
static void comes(struct ring *ring, uint32_t slot, const char *text)
{
    char buffer[16];
    int32_t n = -EAGAIN;
    for (int turn = 0; turn < CONTRACT_PATIENCE && n == -EAGAIN; turn++) {
        contract_expect(ring, RING_READABLE, slot);
        n = contract_receive(ring, slot, buffer, sizeof buffer);
        ring_watch(ring, slot, RING_READ);
    }
    assert_int_equal(n, 6);
    assert_memory_equal(buffer, text, 6);
}

/* A receive stops at the urgent mark, short, with more behind it. */
static void urgent_data_strands_nothing(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    ring_watch(ring, slot, RING_READ);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(send(peer, "before!", 7, MSG_OOB), 7);
        assert_int_equal(send(peer, "behind", 6, 0), 6);
        comes(ring, slot, "before");
        comes(ring, slot, "behind");
    }
}

/* A client that never stops sending must not keep a turn from ending. */
static void a_watch_in_a_turn_fires_in_the_next(void **state)
{
    struct ring *ring = *state;
    struct ring_event event;
    char byte;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    assert_int_equal(contract_kernel.peer_write(peer, "many bytes", 10), 10);
    ring_watch(ring, slot, RING_READ);
    for (int i = 0; i < 10; i++) {
        contract_expect(ring, RING_READABLE, slot);
        assert_int_equal(contract_receive(ring, slot, &byte, 1), 1);
        ring_watch(ring, slot, RING_READ);
        assert_false(ring_next(ring, &event));
    }
}

/* ---- bounds ---- */

static void a_full_ring_leaves_the_backlog_waiting(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t last = 0;
    for (uint32_t i = 0; i < ring->capacity; i++)
        last = contract_accept(ring, &peer);
    peer = contract_kernel.peer_open();
    contract_quiet(ring);
    uint64_t enters = ring->stats.enters;
    contract_quiet(ring);
    assert_int_equal(ring->stats.enters - enters, CONTRACT_QUIET_TURNS);
    ring_close(ring, last);
    assert_int_equal(contract_accept_slot(ring), last);
    ring_listen_stop(ring);
    ring_close(ring, last);
    contract_quiet(ring);
}

/* Told in each turn, until the caller stops listening; the connection is not lost. */
static void a_want_of_descriptors_is_told(void **state)
{
    struct ring *ring = *state;
    struct rlimit limit;
    loopback_reserve(1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {3, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    contract_kernel.peer_open();
    struct ring_event event = contract_event(ring);
    assert_int_equal(event.kind, RING_REFUSED);
    assert_int_equal(event.res, -EMFILE);
    ring_listen_stop(ring);
    contract_quiet(ring);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    contract_kernel.listen(ring);
    contract_accept_slot(ring);
}

static void the_hard_limit_is_ours(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit low = {64, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(ring_descriptors_raise(), limit.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(accepted_sockets_are_descriptors),
        cmocka_unit_test(freeing_the_ring_closes_what_is_open),
        CONTRACT_TEST(a_request_costs_a_wait_and_a_receive),
        CONTRACT_TEST(an_accepted_socket_is_registered_once),
        CONTRACT_TEST(only_the_first_stall_registers_for_writing),
        CONTRACT_TEST(a_filled_receive_may_fire_for_nothing),
        CONTRACT_TEST(urgent_data_strands_nothing),
        CONTRACT_TEST(a_watch_in_a_turn_fires_in_the_next),
        CONTRACT_TEST(a_full_ring_leaves_the_backlog_waiting),
        CONTRACT_TEST(a_want_of_descriptors_is_told),
        cmocka_unit_test(the_hard_limit_is_ours),
    };
    return contract_run() + contract_run_timed() +
           cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
}
