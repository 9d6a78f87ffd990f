/* The client side of the io_uring engine, in every way to make a socket: bound in the ring, before
 * Linux 6.11 installed in its table, and as an ordinary descriptor. */
#include "ring_contract.h"
#include "ring_loopback.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/ring_uring.h"

enum {
    PORT_FIRST = 20100, /* below the range from which the kernel chooses */
};

const struct contract_kernel contract_kernel = {
    .turn = loopback_turn,
};

struct client {
    struct ring *ring;
    struct sockaddr_in server;
};

static struct client client;

static int setup_with(struct ring *ring, void **state)
{
    client.ring = ring;
    loopback_listener(&client.server);
    *state = &client;
    return 0;
}

/* Where the kernel cannot do it this is the way that it has instead, as for the bench. */
static int setup_in_ring(void **state)
{
    return setup_with(loopback_ring(CONTRACT_CAPACITY, true), state);
}

static int setup_installed(void **state)
{
    struct ring *ring = loopback_ring(CONTRACT_CAPACITY, true);
    ((struct ring_uring *)ring)->bind_direct = false;
    return setup_with(ring, state);
}

static int setup_descriptors(void **state)
{
    return setup_with(loopback_ring_fd_client(CONTRACT_CAPACITY), state);
}

static int teardown(void **state)
{
    (void)state;
    ring_free(client.ring);
    loopback_end();
    return 0;
}

/* A loopback address of this process alone, as several runs may go on side by side. */
static struct sockaddr_in address(uint32_t number, unsigned port)
{
    uint32_t run = 128 + (uint32_t)getpid() % (127 * 256); /* 127.0.128.0 and above */
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr = {htonl(127U << 24 | run << 8 | number)}};
}

/* Takes one connection at the server's end. */
static int take(struct sockaddr_in *ret_from)
{
    socklen_t size = sizeof *ret_from;
    for (int turn = 0; turn < CONTRACT_PATIENCE; turn++) {
        int fd = accept(loopback_listener(NULL), (struct sockaddr *)ret_from, &size);
        if (fd >= 0)
            return fd;
        assert_int_equal(errno, EAGAIN);
        contract_kernel.turn(client.ring);
    }
    fail_msg("no connection came");
    return -1;
}

static int32_t connect_from(uint32_t slot, const struct sockaddr_in *from)
{
    ring_connect(client.ring, slot, from, &client.server);
    return contract_expect(client.ring, RING_CONNECTED, slot);
}

/* So TIME_WAIT is on its side, and the client's address is free. */
static void peer_ends_first(uint32_t slot, int peer)
{
    char byte;
    ring_watch(client.ring, slot, RING_READ);
    close(peer);
    assert_true(contract_expect(client.ring, RING_READABLE, slot) > 0);
    assert_int_equal(contract_receive(client.ring, slot, &byte, 1), 0);
    ring_close(client.ring, slot);
}

static void a_connection_comes_from_the_named_address(void **state)
{
    (void)state;
    struct sockaddr_in from = address(1, PORT_FIRST), seen;
    char buffer[4];
    assert_int_equal(connect_from(3, &from), 0);
    assert_int_equal(client.ring->stats.slots_used, 1);
    int peer = take(&seen);
    assert_int_equal(seen.sin_addr.s_addr, from.sin_addr.s_addr);
    assert_int_equal(seen.sin_port, from.sin_port);

    assert_int_equal(contract_send(client.ring, 3, "ping", 4), 4);
    assert_int_equal(recv(peer, buffer, 4, MSG_WAITALL), 4);
    ring_watch(client.ring, 3, RING_READ);
    assert_int_equal(send(peer, "pong", 4, 0), 4);
    assert_true(contract_expect(client.ring, RING_READABLE, 3) > 0);
    assert_int_equal(contract_receive(client.ring, 3, buffer, 4), 4);
    assert_memory_equal(buffer, "pong", 4);
    peer_ends_first(3, peer);
    contract_quiet(client.ring);
}

static void port_zero_is_any_port(void **state)
{
    (void)state;
    struct sockaddr_in from = address(2, 0), seen;
    assert_int_equal(connect_from(0, &from), 0);
    int peer = take(&seen);
    assert_int_equal(seen.sin_addr.s_addr, from.sin_addr.s_addr);
    assert_int_not_equal(seen.sin_port, 0);
    ring_close(client.ring, 0);
    close(peer);
}

/* One event with the errno of the step that failed; the slot is free, and good for another try at
 * once. */
static void a_failure_is_told_once(const struct sockaddr_in *from, const struct sockaddr_in *to,
                                   int32_t err)
{
    for (int i = 0; i < 3; i++) {
        ring_connect(client.ring, 7, from, to);
        assert_int_equal(contract_expect(client.ring, RING_CONNECTED, 7), err);
        assert_int_equal(client.ring->stats.slots_used, 0);
        if (i > 0)
            contract_quiet(client.ring);
    }
    struct sockaddr_in good = address(3, 0), seen;
    ring_connect(client.ring, 7, from, to);
    assert_int_equal(contract_expect(client.ring, RING_CONNECTED, 7), err);
    assert_int_equal(connect_from(7, &good), 0);
    int peer = take(&seen);
    assert_int_equal(contract_send(client.ring, 7, "x", 1), 1);
    ring_close(client.ring, 7);
    close(peer);
    contract_quiet(client.ring);
}

static void an_address_in_use_fails_the_bind(void **state)
{
    (void)state;
    struct sockaddr_in from = address(4, PORT_FIRST + 1);
    int holder = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(holder, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(listen(holder, 1), 0);
    a_failure_is_told_once(&from, &client.server, -EADDRINUSE);
    close(holder);
}

static void a_foreign_address_fails_the_bind(void **state)
{
    (void)state;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(0xc0000201)}};
    a_failure_is_told_once(&from, &client.server, -EADDRNOTAVAIL);
}

static void nobody_listening_is_refused(void **state)
{
    (void)state;
    struct sockaddr_in from = address(5, 0), to = address(6, PORT_FIRST + 2);
    a_failure_is_told_once(&from, &to, -ECONNREFUSED);
}

static void abort_resets_and_leaves_no_time_wait(void **state)
{
    (void)state;
    struct sockaddr_in from = address(7, PORT_FIRST + 3), seen;
    char byte;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(connect_from(1, &from), 0);
        int peer = take(&seen);
        ring_watch(client.ring, 1, RING_READ);
        if (i % 2)
            contract_quiet(client.ring);
        ring_abort(client.ring, 1);
        assert_true(contract_expect(client.ring, RING_READABLE, 1) > 0);
        ring_close(client.ring, 1);
        contract_kernel.turn(client.ring);
        assert_int_equal(recv(peer, &byte, 1, 0), -1);
        assert_int_equal(errno, ECONNRESET);
        close(peer);
    }
    contract_quiet(client.ring);
}

/* As a bench's client does that goes by itself: the connection is over when it asks again. */
static void a_close_gives_the_address_back(void **state)
{
    (void)state;
    struct sockaddr_in from = address(10, PORT_FIRST + 4), seen;
    struct sockaddr_in other = address(11, 0);
    assert_int_equal(connect_from(5, &other), 0);
    int parked = take(&seen);
    ring_watch(client.ring, 5, RING_READ);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(connect_from(1, &from), 0);
        int peer = take(&seen);
        peer_ends_first(1, peer);
        contract_kernel.turn(client.ring);
    }
    close(parked);
}

/* In one turn: what is queued for a slot is done before what comes after it. */
static void a_slot_is_closed_and_connected_in_one_turn(void **state)
{
    (void)state;
    struct sockaddr_in seen;
    char byte;
    for (unsigned i = 0; i < 20; i++) {
        struct sockaddr_in from = address(8, PORT_FIRST + 10 + i);
        assert_int_equal(connect_from(2, &from), 0);
        int peer = take(&seen);
        assert_int_equal(seen.sin_port, from.sin_port);
        ring_abort(client.ring, 2);
        ring_close(client.ring, 2);
        from.sin_port = htons((uint16_t)(PORT_FIRST + 40 + i));
        assert_int_equal(connect_from(2, &from), 0);
        assert_int_equal(recv(peer, &byte, 1, 0), -1);
        close(peer);
        peer = take(&seen);
        assert_int_equal(seen.sin_port, from.sin_port);
        assert_int_equal(contract_send(client.ring, 2, "x", 1), 1);
        assert_int_equal(recv(peer, &byte, 1, 0), 1);
        ring_abort(client.ring, 2);
        ring_close(client.ring, 2);
        close(peer);
    }
    contract_quiet(client.ring);
}

/* Hundreds of connects before the first wait, some of which fail: one answer each. */
static void many_connects_in_one_turn(void **state)
{
    (void)state;
    uint8_t answers[CONTRACT_CAPACITY] = {0};
    struct sockaddr_in nobody = address(6, PORT_FIRST + 2), seen;
    for (uint32_t slot = 0; slot < CONTRACT_CAPACITY; slot++) {
        struct sockaddr_in from = address(9, PORT_FIRST + 100 + slot);
        ring_connect(client.ring, slot, &from, slot % 4 == 1 ? &nobody : &client.server);
    }
    for (int i = 0; i < CONTRACT_CAPACITY; i++) {
        struct ring_event event = contract_event(client.ring);
        assert_int_equal(event.kind, RING_CONNECTED);
        assert_int_equal(event.res, event.slot % 4 == 1 ? -ECONNREFUSED : 0);
        answers[event.slot]++;
    }
    for (uint32_t slot = 0; slot < CONTRACT_CAPACITY; slot++)
        assert_int_equal(answers[slot], 1);
    for (uint32_t slot = 0; slot < CONTRACT_CAPACITY; slot++) {
        if (slot % 4 == 1)
            continue;
        int peer = take(&seen);
        uint32_t from = ntohs(seen.sin_port) - PORT_FIRST - 100u;
        assert_true(from < CONTRACT_CAPACITY && answers[from] == 1);
        answers[from] = 0;
        peer_ends_first(from, peer);
    }
    contract_quiet(client.ring);
}

#define EVERY_WAY(test)                                                                            \
    {#test " (in the ring)", test, setup_in_ring, teardown, NULL},                                 \
        {#test " (installed)", test, setup_installed, teardown, NULL},                             \
    {                                                                                              \
#test " (descriptors)", test, setup_descriptors, teardown, NULL                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERY_WAY(a_connection_comes_from_the_named_address),
        EVERY_WAY(port_zero_is_any_port),
        EVERY_WAY(an_address_in_use_fails_the_bind),
        EVERY_WAY(a_foreign_address_fails_the_bind),
        EVERY_WAY(nobody_listening_is_refused),
        EVERY_WAY(abort_resets_and_leaves_no_time_wait),
        EVERY_WAY(a_close_gives_the_address_back),
        EVERY_WAY(a_slot_is_closed_and_connected_in_one_turn),
        EVERY_WAY(many_connects_in_one_turn),
    };
    return cmocka_run_group_tests_name("ring client", tests, NULL, NULL);
}
