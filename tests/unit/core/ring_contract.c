/* What the tests of the contract share. */
#include "ring_contract.h"

#include <errno.h>

struct ring_event contract_event(struct ring *ring)
{
    struct ring_event event;
    for (int turn = 0; turn < CONTRACT_PATIENCE; turn++) {
        if (ring_next(ring, &event))
            return event;
        contract_kernel.turn(ring);
    }
    fail_msg("no event came");
    return (struct ring_event){0};
}

int32_t contract_expect(struct ring *ring, enum ring_event_kind kind, uint32_t slot)
{
    struct ring_event event = contract_event(ring);
    assert_int_equal(event.kind, kind);
    assert_int_equal(event.slot, slot);
    return event.res;
}

void contract_quiet(struct ring *ring)
{
    struct ring_event event;
    for (int turn = 0; turn < CONTRACT_QUIET_TURNS; turn++) {
        contract_kernel.turn(ring);
        if (ring_next(ring, &event))
            fail_msg("unexpected event: kind %d, slot %u, res %d", (int)event.kind, event.slot,
                     event.res);
    }
}

uint32_t contract_accept_slot(struct ring *ring)
{
    struct ring_event event = contract_event(ring);
    assert_int_equal(event.kind, RING_ACCEPTED);
    assert_true(event.slot < ring->capacity);
    return event.slot;
}

uint32_t contract_accept(struct ring *ring, int *peer)
{
    *peer = contract_kernel.peer_open();
    return contract_accept_slot(ring);
}

int32_t contract_send(struct ring *ring, uint32_t slot, const void *data, size_t size)
{
    struct ring_io io = {.slot = slot, .res = -1, .iov = {(void *)(uintptr_t)data, size}};
    ring_send(ring, &io, 1);
    return io.res;
}

int32_t contract_receive(struct ring *ring, uint32_t slot, void *data, size_t size)
{
    struct ring_io io = {.slot = slot, .res = -1, .iov = {data, size}};
    ring_receive(ring, &io, 1);
    return io.res;
}

void contract_peer_read_all(struct ring *ring, int peer, void *data, size_t size)
{
    char *to = data;
    int turns = 0;
    while (size > 0) {
        ssize_t n = contract_kernel.peer_read(peer, to, size);
        if (n == -EAGAIN) {
            assert_true(turns++ < CONTRACT_PATIENCE);
            contract_kernel.turn(ring);
            continue;
        }
        assert_true(n > 0);
        to += n;
        size -= (size_t)n;
    }
}

int32_t contract_receive_soon(struct ring *ring, uint32_t slot, void *data, size_t size)
{
    for (int turn = 0; turn < CONTRACT_PATIENCE; turn++) {
        int32_t n = contract_receive(ring, slot, data, size);
        if (n != -EAGAIN)
            return n;
        contract_kernel.turn(ring);
    }
    fail_msg("nothing to receive");
    return 0;
}

ssize_t contract_peer_end(struct ring *ring, int peer)
{
    char byte;
    for (int turn = 0; turn < CONTRACT_PATIENCE; turn++) {
        ssize_t n = contract_kernel.peer_read(peer, &byte, 1);
        if (n != -EAGAIN)
            return n;
        contract_kernel.turn(ring);
    }
    fail_msg("the peer sees no end");
    return 0;
}

void contract_fill(uint8_t *data, size_t size, uint64_t position)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)((position + i) * 31 + ((position + i) >> 8));
}

void contract_peer_takes(struct ring *ring, int peer, uint64_t *position, size_t size)
{
    static uint8_t got[65536], expected[65536];
    while (size > 0) {
        size_t part = size < sizeof got ? size : sizeof got;
        contract_peer_read_all(ring, peer, got, part);
        contract_fill(expected, part, *position);
        assert_memory_equal(got, expected, part);
        *position += part;
        size -= part;
    }
}

int contract_fill_socket(struct ring *ring, uint32_t slot, uint64_t *sent)
{
    enum {
        PIECE = 300007
    };
    static uint8_t piece[PIECE];
    int shorts = 0;
    for (int full = 0; full < CONTRACT_QUIET_TURNS;) {
        contract_fill(piece, PIECE, *sent);
        int32_t n = contract_send(ring, slot, piece, PIECE);
        assert_true(n == -EAGAIN || (n > 0 && n <= PIECE));
        shorts += n > 0 && n < PIECE;
        *sent += n > 0 ? (uint64_t)n : 0;
        full = n == -EAGAIN ? full + 1 : 0;
        if (full > 0)
            contract_kernel.turn(ring);
    }
    return shorts;
}

int contract_setup(void **state)
{
    struct ring *ring = contract_kernel.ring_new(CONTRACT_CAPACITY);
    contract_kernel.listen(ring);
    *state = ring;
    return 0;
}

int contract_teardown(void **state)
{
    ring_free(*state);
    contract_kernel.end();
    return 0;
}

int contract_run(void)
{
    return _cmocka_run_group_tests("one connection", contract_one, contract_one_count, NULL, NULL) +
           _cmocka_run_group_tests("many connections", contract_many, contract_many_count, NULL,
                                   NULL) +
           _cmocka_run_group_tests("datagrams", contract_packets, contract_packets_count, NULL,
                                   NULL);
}
