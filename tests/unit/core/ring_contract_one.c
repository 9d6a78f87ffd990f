/* The contract as one connection sees it, one promise a test. */
#include "ring_contract.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

static void accept_gives_a_slot_that_moves_bytes(void **state)
{
    struct ring *ring = *state;
    char buffer[16];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    assert_int_equal(ring->stats.slots_used, 1);
    assert_int_equal(contract_kernel.peer_write(peer, "question", 8), 8);
    assert_int_equal(contract_receive_soon(ring, slot, buffer, sizeof buffer), 8);
    assert_memory_equal(buffer, "question", 8);
    assert_int_equal(contract_send(ring, slot, "answer", 6), 6);
    contract_peer_read_all(ring, peer, buffer, 6);
    assert_memory_equal(buffer, "answer", 6);
    contract_quiet(ring);
    ring_close(ring, slot);
    assert_int_equal(ring->stats.slots_used, 0);
}

static void a_watch_gives_one_event(void **state)
{
    struct ring *ring = *state;
    char buffer[16];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    ring_watch(ring, slot, RING_READ);
    contract_quiet(ring);
    assert_int_equal(contract_kernel.peer_write(peer, "a", 1), 1);
    assert_true(contract_expect(ring, RING_READABLE, slot) & POLLIN);

    /* Neither what stays unread nor what comes later fires a watch that is over. */
    assert_int_equal(contract_kernel.peer_write(peer, "b", 1), 1);
    contract_quiet(ring);

    /* A new watch sees what is there already. */
    ring_watch(ring, slot, RING_READ);
    assert_true(contract_expect(ring, RING_READABLE, slot) & POLLIN);
    assert_int_equal(contract_receive(ring, slot, buffer, sizeof buffer), 2);
    ring_close(ring, slot);
}

static void both_directions_are_watched_apart(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    ring_watch(ring, slot, RING_READ);
    ring_watch(ring, slot, RING_WRITE);
    assert_true(contract_expect(ring, RING_WRITABLE, slot) & POLLOUT);
    contract_quiet(ring);
    ring_unwatch(ring, slot, RING_WRITE);
    contract_quiet(ring);
    ring_unwatch(ring, slot, RING_READ);
    assert_int_equal(contract_expect(ring, RING_READABLE, slot), -ECANCELED);
    contract_quiet(ring);
    ring_close(ring, slot);
}

static void unwatch_gives_the_event_that_is_due(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    /* In the turn of the watch, turns later, and again: a cancelled watch leaves nothing behind. */
    for (int round = 0; round < 3; round++) {
        ring_watch(ring, slot, RING_READ);
        if (round > 0)
            contract_quiet(ring);
        ring_unwatch(ring, slot, RING_READ);
        assert_int_equal(contract_expect(ring, RING_READABLE, slot), -ECANCELED);
        contract_quiet(ring);
    }
    ring_close(ring, slot);
}

static void unwatch_may_lose_the_race(void **state)
{
    struct ring *ring = *state;
    char buffer[16];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    for (int round = 0; round < 20; round++) {
        ring_watch(ring, slot, RING_READ);
        if (round % 2)
            contract_quiet(ring);
        assert_int_equal(contract_kernel.peer_write(peer, "x", 1), 1);
        ring_unwatch(ring, slot, RING_READ);
        int32_t res = contract_expect(ring, RING_READABLE, slot);
        assert_true(res == -ECANCELED || (res > 0 && (res & POLLIN)));
        contract_quiet(ring);
        assert_int_equal(contract_receive_soon(ring, slot, buffer, sizeof buffer), 1);
    }
    ring_close(ring, slot);
}

static void a_hang_up_fires_the_watch(void **state)
{
    struct ring *ring = *state;
    char byte;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    ring_watch(ring, slot, RING_READ);
    contract_quiet(ring);
    contract_kernel.peer_close(peer);
    assert_true(contract_expect(ring, RING_READABLE, slot) & POLLIN);
    assert_int_equal(contract_receive(ring, slot, &byte, 1), 0);
    contract_quiet(ring);
    ring_close(ring, slot);
}

static void a_reset_fires_both_watches(void **state)
{
    struct ring *ring = *state;
    char bytes[4096] = {0};
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    while (contract_send(ring, slot, bytes, sizeof bytes) == sizeof bytes)
        ;

    ring_watch(ring, slot, RING_READ);
    ring_watch(ring, slot, RING_WRITE);
    contract_quiet(ring);
    contract_kernel.peer_reset(peer);
    struct ring_event first = contract_event(ring);
    struct ring_event second = contract_event(ring);
    assert_true(first.res > 0 && second.res > 0 && first.kind != second.kind);
    assert_int_equal(contract_receive(ring, slot, bytes, 1), -ECONNRESET);
    int32_t res = contract_send(ring, slot, bytes, 1);
    assert_true(res == -EPIPE || res == -ECONNRESET);
    contract_quiet(ring);
    ring_close(ring, slot);
}

/* What a receive had no room for, and what it shows once: the end. */
static void a_watch_sees_what_a_receive_left(void **state)
{
    struct ring *ring = *state;
    char buffer[4];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    ring_watch(ring, slot, RING_READ);
    assert_int_equal(contract_kernel.peer_write(peer, "0123456789", 10), 10);
    for (int left = 10; left > 0; left -= 4) {
        assert_true(contract_expect(ring, RING_READABLE, slot) & POLLIN);
        assert_int_equal(contract_receive(ring, slot, buffer, 4), left < 4 ? left : 4);
        ring_watch(ring, slot, RING_READ);
    }
    contract_quiet(ring);
    assert_int_equal(contract_kernel.peer_write(peer, "abc", 3), 3);
    contract_kernel.peer_close(peer);
    assert_true(contract_expect(ring, RING_READABLE, slot) & POLLIN);
    assert_int_equal(contract_receive_soon(ring, slot, buffer, 4), 3);
    for (int round = 0; round < 3; round++) {
        ring_watch(ring, slot, RING_READ);
        assert_true(contract_expect(ring, RING_READABLE, slot) & POLLIN);
        assert_int_equal(contract_receive_soon(ring, slot, buffer, 4), 0);
    }
    ring_close(ring, slot);
}

static void nothing_to_receive_is_eagain(void **state)
{
    struct ring *ring = *state;
    char buffer[16];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    assert_int_equal(contract_receive(ring, slot, buffer, sizeof buffer), -EAGAIN);
    contract_quiet(ring);
    ring_close(ring, slot);
}

/* A watch that fires was right to: there was room again, which is filled. */
static int fill_and_watch(struct ring *ring, uint32_t slot, uint64_t *sent)
{
    int shorts = 0;
    for (int again = 0; again < CONTRACT_PATIENCE; again++) {
        struct ring_event event;
        shorts += contract_fill_socket(ring, slot, sent);
        bool fired = false;
        ring_watch(ring, slot, RING_WRITE);
        for (int turn = 0; turn < CONTRACT_QUIET_TURNS && !fired; turn++) {
            contract_kernel.turn(ring);
            fired = ring_next(ring, &event);
        }
        if (!fired)
            return shorts;
        assert_true(event.kind == RING_WRITABLE && event.slot == slot && event.res & POLLOUT);
    }
    fail_msg("the socket never stays full");
    return shorts;
}

static void a_full_socket_sends_short_and_says_how_much(void **state)
{
    struct ring *ring = *state;
    uint64_t sent = 0, taken = 0;
    int peer, shorts = 0;
    uint32_t slot = contract_accept(ring, &peer);

    for (int round = 0; round < 6; round++) {
        shorts += fill_and_watch(ring, slot, &sent);
        contract_peer_takes(ring, peer, &taken, sent - taken);
        assert_true(contract_expect(ring, RING_WRITABLE, slot) & POLLOUT);
    }
    assert_true(shorts > 0);
    ring_close(ring, slot);
    assert_int_equal(contract_peer_end(ring, peer), 0);
}

/* More than a result can say. What has left is in order, and the rest is the caller's. */
static void a_message_of_gigabytes_is_sent_short(void **state)
{
    enum {
        PART = 64 << 20,
        PARTS = 40
    };
    struct ring *ring = *state;
    uint8_t *part = test_malloc(PART);
    struct iovec parts[PARTS];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = PARTS};
    uint64_t taken = 0;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    contract_fill(part, PART, 0);
    for (int i = 0; i < PARTS; i++)
        parts[i] = (struct iovec){part, PART};
    struct ring_io io = {.slot = slot, .res = -1, .msg = &message};
    ring_send(ring, &io, 1);
    assert_true(io.res > 0);
    contract_peer_takes(ring, peer, &taken, io.res < PART ? (size_t)io.res : PART);
    ring_close(ring, slot);
    test_free(part);
}

static void a_message_of_vectors_is_sent_in_order(void **state)
{
    struct ring *ring = *state;
    struct iovec parts[] = {
        {(void *)"one ", 4}, {(void *)"", 0}, {(void *)"two ", 4}, {(void *)"three", 5}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};
    char buffer[13];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);

    struct ring_io io = {.slot = slot, .res = -1, .msg = &message};
    ring_send(ring, &io, 1);
    assert_int_equal(io.res, 13);
    contract_peer_read_all(ring, peer, buffer, 13);
    assert_memory_equal(buffer, "one two three", 13);
    ring_close(ring, slot);
}

static void a_message_of_vectors_is_sent_short(void **state)
{
    enum {
        PARTS = 5,
        PART = 60013
    };
    struct ring *ring = *state;
    static uint8_t data[PARTS * PART];
    struct iovec parts[PARTS];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = PARTS};
    uint64_t sent = 0, taken = 0;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    struct ring_io io = {.slot = slot, .msg = &message};

    do {
        contract_fill(data, sizeof data, sent);
        for (int i = 0; i < PARTS; i++)
            parts[i] = (struct iovec){data + (size_t)i * PART, PART};
        ring_send(ring, &io, 1);
        assert_true(io.res == -EAGAIN || io.res > 0);
        sent += io.res > 0 ? (uint64_t)io.res : 0;
    } while (io.res == (int32_t)sizeof data);
    contract_peer_takes(ring, peer, &taken, sent);
    contract_quiet(ring);
    ring_close(ring, slot);
}

static void close_ends_the_stream(void **state)
{
    struct ring *ring = *state;
    char byte;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    assert_int_equal(contract_send(ring, slot, "x", 1), 1);
    ring_close(ring, slot);
    contract_peer_read_all(ring, peer, &byte, 1);
    assert_int_equal(contract_peer_end(ring, peer), 0);
}

static void shutdown_ends_the_stream_and_goes_on_receiving(void **state)
{
    struct ring *ring = *state;
    char buffer[16];
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    ring_watch(ring, slot, RING_READ);
    contract_quiet(ring);
    assert_int_equal(contract_send(ring, slot, "last", 4), 4);
    ring_shutdown(ring, slot);
    assert_int_equal(contract_expect(ring, RING_WRITABLE, slot), 0);
    contract_peer_read_all(ring, peer, buffer, 4);
    assert_int_equal(contract_peer_end(ring, peer), 0);

    /* It neither fires nor ends the watch for reading. */
    contract_quiet(ring);
    assert_int_equal(contract_kernel.peer_write(peer, "late", 4), 4);
    assert_true(contract_expect(ring, RING_READABLE, slot) & POLLIN);
    assert_int_equal(contract_receive_soon(ring, slot, buffer, sizeof buffer), 4);
    ring_watch(ring, slot, RING_READ);
    contract_quiet(ring);
    contract_kernel.peer_close(peer);
    assert_true(contract_expect(ring, RING_READABLE, slot) > 0);
    assert_int_equal(contract_receive_soon(ring, slot, buffer, sizeof buffer), 0);
    contract_quiet(ring);
    ring_close(ring, slot);
}

/* The event is due before the slot may be closed, and nothing calls it back. */
static void unwatch_leaves_a_shutdown_alone(void **state)
{
    struct ring *ring = *state;
    for (int round = 0; round < 20; round++) {
        int peer;
        uint32_t slot = contract_accept(ring, &peer);
        ring_shutdown(ring, slot);
        ring_unwatch(ring, slot, RING_WRITE);
        assert_int_equal(contract_expect(ring, RING_WRITABLE, slot), 0);
        contract_quiet(ring);
        ring_close(ring, slot);
        assert_int_equal(contract_peer_end(ring, peer), 0);
    }
}

static void shutdown_of_a_reset_connection_has_its_event(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    ring_watch(ring, slot, RING_READ);
    contract_kernel.peer_reset(peer);
    contract_expect(ring, RING_READABLE, slot);
    ring_shutdown(ring, slot);
    assert_int_equal(contract_expect(ring, RING_WRITABLE, slot), -ENOTCONN);
    contract_quiet(ring);
    ring_close(ring, slot);
}

static void close_over_unread_bytes_resets(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    ring_watch(ring, slot, RING_READ);
    assert_int_equal(contract_kernel.peer_write(peer, "unread", 6), 6);
    contract_expect(ring, RING_READABLE, slot);
    ring_close(ring, slot);
    assert_int_equal(contract_peer_end(ring, peer), -ECONNRESET);
}

static void abort_resets_and_fires_the_watch(void **state)
{
    struct ring *ring = *state;
    int peer;
    uint32_t slot = contract_accept(ring, &peer);
    ring_watch(ring, slot, RING_READ);
    contract_quiet(ring);
    ring_abort(ring, slot);
    assert_true(contract_expect(ring, RING_READABLE, slot) > 0);
    contract_quiet(ring);
    ring_close(ring, slot);
    assert_int_equal(contract_peer_end(ring, peer), -ECONNRESET);
}

static void a_slot_is_free_after_close(void **state)
{
    struct ring *ring = *state;
    for (uint32_t i = 0; i < 3 * CONTRACT_CAPACITY; i++) {
        int peer;
        uint32_t slot = contract_accept(ring, &peer);
        assert_int_equal(ring->stats.slots_used, 1);
        ring_watch(ring, slot, RING_READ);
        contract_kernel.peer_close(peer);
        contract_expect(ring, RING_READABLE, slot);
        ring_close(ring, slot);
    }
}

static void listening_stops_and_starts_again(void **state)
{
    struct ring *ring = *state;
    int first, second;
    uint32_t slot = contract_accept(ring, &first);
    ring_listen_stop(ring);
    contract_quiet(ring);
    second = contract_kernel.peer_open();
    contract_quiet(ring);
    contract_kernel.listen(ring);
    struct ring_event event = contract_event(ring);
    assert_int_equal(event.kind, RING_ACCEPTED);
    assert_true(event.slot != slot);
    assert_int_equal(contract_send(ring, event.slot, "x", 1), 1);
    char byte;
    contract_peer_read_all(ring, second, &byte, 1);

    /* Within one turn, too. */
    ring_listen_stop(ring);
    contract_kernel.listen(ring);
    contract_accept(ring, &second);
}

static int32_t accepted_on(struct ring *ring)
{
    struct ring_event event = contract_event(ring);
    assert_int_equal(event.kind, RING_ACCEPTED);
    return event.res;
}

static void each_of_two_listeners_is_told_apart(void **state)
{
    struct ring *ring = *state;
    contract_kernel.listen_second(ring);
    for (int i = 0; i < 40; i++) {
        bool second = i % 3 == 1;
        (second ? contract_kernel.peer_open_second : contract_kernel.peer_open)();
        assert_int_equal(accepted_on(ring), second);
    }
    ring_listen_stop(ring);
    contract_quiet(ring);
    contract_kernel.peer_open();
    contract_kernel.peer_open_second();
    contract_quiet(ring);
    contract_kernel.listen_second(ring);
    assert_int_equal(accepted_on(ring), 1);
    contract_quiet(ring);
    contract_kernel.listen(ring);
    assert_int_equal(accepted_on(ring), 0);
}

/* A full ring loses nobody, on neither port: who finds no slot waits until one is free. */
static void two_listeners_share_the_slots(void **state)
{
    struct ring *ring = *state;
    contract_kernel.listen_second(ring);
    uint32_t open[2] = {0}, last[2] = {0};
    for (uint32_t i = 0; i < ring->capacity && i < CONTRACT_CAPACITY; i++) {
        (i % 2 ? contract_kernel.peer_open_second : contract_kernel.peer_open)();
        struct ring_event event = contract_event(ring);
        assert_int_equal(event.kind, RING_ACCEPTED);
        open[event.res]++;
        last[event.res] = event.slot;
    }
    assert_int_equal(open[0], open[1]);
    for (int listener = 0; listener < 2; listener++) {
        ring_close(ring, last[listener]);
        (listener ? contract_kernel.peer_open_second : contract_kernel.peer_open)();
        assert_int_equal(accepted_on(ring), listener);
    }
}

const struct CMUnitTest contract_one[] = {
    CONTRACT_TEST(accept_gives_a_slot_that_moves_bytes),
    CONTRACT_TEST(a_watch_gives_one_event),
    CONTRACT_TEST(both_directions_are_watched_apart),
    CONTRACT_TEST(unwatch_gives_the_event_that_is_due),
    CONTRACT_TEST(unwatch_may_lose_the_race),
    CONTRACT_TEST(a_hang_up_fires_the_watch),
    CONTRACT_TEST(a_reset_fires_both_watches),
    CONTRACT_TEST(a_watch_sees_what_a_receive_left),
    CONTRACT_TEST(nothing_to_receive_is_eagain),
    CONTRACT_TEST(a_full_socket_sends_short_and_says_how_much),
    CONTRACT_TEST(a_message_of_gigabytes_is_sent_short),
    CONTRACT_TEST(a_message_of_vectors_is_sent_in_order),
    CONTRACT_TEST(a_message_of_vectors_is_sent_short),
    CONTRACT_TEST(close_ends_the_stream),
    CONTRACT_TEST(shutdown_ends_the_stream_and_goes_on_receiving),
    CONTRACT_TEST(unwatch_leaves_a_shutdown_alone),
    CONTRACT_TEST(shutdown_of_a_reset_connection_has_its_event),
    CONTRACT_TEST(close_over_unread_bytes_resets),
    CONTRACT_TEST(abort_resets_and_fires_the_watch),
    CONTRACT_TEST(a_slot_is_free_after_close),
    CONTRACT_TEST(listening_stops_and_starts_again),
    CONTRACT_TEST(each_of_two_listeners_is_told_apart),
    CONTRACT_TEST(two_listeners_share_the_slots),
};
const size_t contract_one_count = sizeof contract_one / sizeof contract_one[0];
