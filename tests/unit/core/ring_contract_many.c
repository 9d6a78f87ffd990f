/* The contract with many connections, and batches that are longer than a submission queue. */
#include "ring_contract.h"

#include <errno.h>
#include <poll.h>

enum {
    CROWD = 100,
    PIECE = 24,
};

struct crowd {
    uint32_t slots[CROWD];
    int peers[CROWD];
};

/* Which peer has which slot is found out by sending it its number. */
static void crowd_open(struct ring *ring, struct crowd *crowd)
{
    for (int i = 0; i < CROWD; i++)
        crowd->peers[i] = contract_kernel.peer_open();
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(contract_kernel.peer_write(crowd->peers[i], &i, sizeof i), sizeof i);
    for (int i = 0; i < CROWD; i++) {
        struct ring_event event = contract_event(ring);
        assert_int_equal(event.kind, RING_ACCEPTED);
        int peer;
        assert_int_equal(contract_receive_soon(ring, event.slot, &peer, sizeof peer), sizeof peer);
        crowd->slots[peer] = event.slot;
    }
}

static void a_long_batch_sends_in_order(void **state)
{
    struct ring *ring = *state;
    static struct ring_io batch[RING_BATCH_MAX];
    static uint8_t data[RING_BATCH_MAX][PIECE];
    struct crowd crowd;
    uint64_t sent[CROWD] = {0}, taken[CROWD] = {0}, random = 4096;
    crowd_open(ring, &crowd);

    for (int i = 0; i < RING_BATCH_MAX; i++) {
        uint64_t who = contract_random(&random) % CROWD;
        size_t size = 1 + contract_random(&random) % PIECE;
        contract_fill(data[i], size, sent[who]);
        sent[who] += size;
        batch[i] = (struct ring_io){.slot = crowd.slots[who], .res = -1, .iov = {data[i], size}};
    }
    ring_send(ring, batch, RING_BATCH_MAX);
    for (int i = 0; i < RING_BATCH_MAX; i++)
        assert_int_equal(batch[i].res, batch[i].iov.iov_len);
    for (int i = 0; i < CROWD; i++)
        contract_peer_takes(ring, crowd.peers[i], &taken[i], sent[i]);
    contract_quiet(ring);
}

static void a_long_batch_receives_in_order(void **state)
{
    struct ring *ring = *state;
    static struct ring_io batch[RING_BATCH_MAX];
    static uint8_t data[RING_BATCH_MAX][PIECE];
    uint8_t stream[RING_BATCH_MAX];
    struct crowd crowd;
    uint64_t got[CROWD] = {0}, random = 4097;
    crowd_open(ring, &crowd);
    contract_fill(stream, sizeof stream, 0);

    const int64_t each = 300;
    for (int i = 0; i < CROWD; i++) {
        ring_watch(ring, crowd.slots[i], RING_READ);
        assert_int_equal(contract_kernel.peer_write(crowd.peers[i], stream, (size_t)each), each);
    }
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(contract_event(ring).kind, RING_READABLE);

    for (int i = 0; i < RING_BATCH_MAX; i++) {
        uint32_t who = (uint32_t)(contract_random(&random) % CROWD);
        batch[i] = (struct ring_io){.slot = crowd.slots[who], .res = -1, .iov = {data[i], PIECE}};
    }
    ring_receive(ring, batch, RING_BATCH_MAX);
    for (int i = 0; i < RING_BATCH_MAX; i++) {
        int who = 0;
        while (crowd.slots[who] != batch[i].slot)
            who++;
        assert_true(batch[i].res == -EAGAIN || batch[i].res > 0);
        if (batch[i].res > 0)
            assert_memory_equal(data[i], stream + got[who], (size_t)batch[i].res);
        got[who] += batch[i].res > 0 ? (uint64_t)batch[i].res : 0;
    }
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(got[i], each);
    contract_quiet(ring);
}

static void one_bad_entry_spoils_no_other(void **state)
{
    struct ring *ring = *state;
    struct crowd crowd;
    struct ring_io batch[CROWD];
    char byte = 0;
    crowd_open(ring, &crowd);

    for (int i = 0; i < CROWD; i += 3) {
        ring_watch(ring, crowd.slots[i], RING_READ);
        contract_kernel.peer_reset(crowd.peers[i]);
        contract_expect(ring, RING_READABLE, crowd.slots[i]);
        assert_int_equal(contract_receive(ring, crowd.slots[i], &byte, 1), -ECONNRESET);
    }
    for (int i = 0; i < CROWD; i++)
        batch[i] = (struct ring_io){.slot = crowd.slots[i], .res = -1, .iov = {&byte, 1}};
    ring_send(ring, batch, CROWD);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(batch[i].res, i % 3 == 0 ? -EPIPE : 1);
    contract_quiet(ring);
}

/* Parks the whole crowd, then wakes it at once, many turns long: as many events as watches. */
static void every_watch_of_a_crowd_fires_once(void **state)
{
    struct ring *ring = *state;
    struct crowd crowd;
    char buffer[64];
    crowd_open(ring, &crowd);

    for (int round = 0; round < 10; round++) {
        uint8_t fired[CROWD] = {0};
        for (int i = 0; i < CROWD; i++)
            ring_watch(ring, crowd.slots[i], RING_READ);
        for (int i = 0; i < CROWD; i++)
            assert_int_equal(contract_kernel.peer_write(crowd.peers[i], "!", 1), 1);
        for (int i = 0; i < CROWD; i++) {
            struct ring_event event = contract_event(ring);
            assert_int_equal(event.kind, RING_READABLE);
            for (int who = 0; who < CROWD; who++)
                fired[who] += crowd.slots[who] == event.slot;
            assert_int_equal(contract_receive(ring, event.slot, buffer, sizeof buffer), 1);
        }
        for (int i = 0; i < CROWD; i++)
            assert_int_equal(fired[i], 1);
        contract_quiet(ring);
    }
}

/* However long others have been parked, and were before it came. */
static void a_close_is_seen_while_others_are_parked(void **state)
{
    struct ring *ring = *state;
    struct crowd crowd;
    crowd_open(ring, &crowd);
    for (int i = 1; i < CROWD; i++)
        ring_watch(ring, crowd.slots[i], RING_READ);
    contract_quiet(ring);
    ring_close(ring, crowd.slots[0]);
    assert_int_equal(contract_peer_end(ring, crowd.peers[0]), 0);

    int late;
    uint32_t slot = contract_accept(ring, &late);
    ring_close(ring, slot);
    assert_int_equal(contract_peer_end(ring, late), 0);
    contract_quiet(ring);
}

const struct CMUnitTest contract_many[] = {
    CONTRACT_TEST(a_long_batch_sends_in_order),
    CONTRACT_TEST(a_long_batch_receives_in_order),
    CONTRACT_TEST(one_bad_entry_spoils_no_other),
    CONTRACT_TEST(every_watch_of_a_crowd_fires_once),
    CONTRACT_TEST(a_close_is_seen_while_others_are_parked),
};
const size_t contract_many_count = sizeof contract_many / sizeof contract_many[0];
