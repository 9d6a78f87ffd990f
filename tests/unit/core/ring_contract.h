/* ring_contract: what server/core/ring.h promises, as tests that any engine must pass.
 *
 * Idea     A test program defines `contract_kernel`, which says how to make a ring and how to play
 *          the other end of a connection, and calls contract_run. test_ring_uring.c and
 *          test_ring_epoll.c do it with loopback sockets, test_ring_fake.c with the fake kernel.
 * Threads  One. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cmocka.h>

#include "core/ring.h"

enum {
    CONTRACT_CAPACITY = 512,  /* slots of the ring under test: at least this many */
    CONTRACT_PATIENCE = 4000, /* turns to wait for an event that must come */
    CONTRACT_QUIET_TURNS = 8, /* turns in which an event that must not come would have come */
};

/* A wait that must be cut short: longer than a machine stands still, so a test that takes this long
 * has failed. */
#define CONTRACT_LONG_NS INT64_C(60000000000)

/* A peer is the other end of a connection: small integers, chosen by the kernel of the test.
 * Reads and writes never block: a count, 0 at the end of the stream, or negative errno. */
struct contract_kernel {
    struct ring *(*ring_new)(uint32_t capacity);
    void (*listen)(struct ring *ring);        /* as listener 0 */
    void (*listen_second)(struct ring *ring); /* on another port, as listener 1 */
    void (*turn)(struct ring *ring); /* ring_wait, with as much time as a turn takes here */
    int (*peer_open)(void);
    int (*peer_open_second)(void); /* at the other port */
    ssize_t (*peer_write)(int peer, const void *data, size_t size);
    ssize_t (*peer_read)(int peer, void *data, size_t size);
    void (*peer_close)(int peer);
    void (*peer_reset)(int peer);
    int (*packets_open)(struct ring *ring, unsigned number); /* a socket of its own */
    /* A peer of datagrams to the socket that was opened last: as peers are. */
    int (*packet_peer)(void);
    void (*packet_peer_send)(int peer, const void *data, size_t size, uint8_t ecn);
    ssize_t (*packet_peer_take)(int peer, void *data, size_t size, uint8_t *ret_ecn);
    struct sockaddr_in6 (*packet_peer_address)(int peer);
    void (*end)(void); /* gives back what the functions above made */
};

extern const struct contract_kernel contract_kernel;

extern const struct CMUnitTest contract_one[], contract_many[], contract_packets[];
extern const size_t contract_one_count, contract_many_count, contract_packets_count;

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)

/* A ring of CONTRACT_CAPACITY slots that listens, as the state of a test. */
int contract_setup(void **state);
int contract_teardown(void **state);

/* Runs all tests of the contract; returns how many failed. */
int contract_run(void);

/* Those about waiting and waking, for an engine on a real kernel. */
int contract_run_timed(void);

/* The next event; fails the test when none comes. */
struct ring_event contract_event(struct ring *ring);

/* Fails the test unless the next event is this one. Returns its `res`. */
int32_t contract_expect(struct ring *ring, enum ring_event_kind kind, uint32_t slot);

/* Fails the test when another event comes. */
void contract_quiet(struct ring *ring);

/* Waits for a connection that is on its way; returns its slot. */
uint32_t contract_accept_slot(struct ring *ring);

/* Opens a connection: returns the slot, and the peer. */
uint32_t contract_accept(struct ring *ring, int *peer);

/* One entry of a batch, alone. */
int32_t contract_send(struct ring *ring, uint32_t slot, const void *data, size_t size);
int32_t contract_receive(struct ring *ring, uint32_t slot, void *data, size_t size);

/* Waits until there is something, or the end. */
int32_t contract_receive_soon(struct ring *ring, uint32_t slot, void *data, size_t size);

/* Numbers every byte of a stream, so that a loss or a repetition shows; checks it at the peer. */
void contract_fill(uint8_t *data, size_t size, uint64_t position);
void contract_peer_takes(struct ring *ring, int peer, uint64_t *position, size_t size);

/* Sends until the socket takes nothing, and still takes nothing a while later: on a busy machine
 * loopback delivers late, and what the peer's side then takes makes room. Returns how many sends
 * were short. */
int contract_fill_socket(struct ring *ring, uint32_t slot, uint64_t *sent);

/* What the peer sees in the end: 0 for FIN, -ECONNRESET for RST. */
ssize_t contract_peer_end(struct ring *ring, int peer);

/* Reads exactly `size` bytes at the peer; fails the test when they do not come. */
void contract_peer_read_all(struct ring *ring, int peer, void *data, size_t size);

/* splitmix64: short, seeded, the same everywhere. */
static inline uint64_t contract_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
