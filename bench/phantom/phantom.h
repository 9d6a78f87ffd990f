/* phantom: clients without sockets. Their end of TCP is in this process, behind a device (phantom/
 * tcp, phantom/tun), and what they do to a network can be done to them (phantom/network).
 *
 *     the load ─► ring ─► tcp ─► network ─► device ─► the server's kernel ─► server
 *
 * Idea     A ring of core/ring.h whose sockets are lines of 24 bytes: whoever has a ring of the
 *          kernel's can have this one. The server's end is all that the kernel holds.
 * Addresses 198.18.0.0/15, which RFC 2544 keeps for such measurements: the server's is
 *          PHANTOM_SERVER, clients come from PHANTOM_CLIENTS on.
 * Threads  one: that of the ring.
 * Memory   see phantom/tcp.h; PHANTOM_CHUNKS for bytes under way.
 * Put back The device ends with phantom_close, or with the process, and its addresses with it.
 * Errors   0 or negative errno, with a sentence that says what to do. */
#pragma once

#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"
#include "phantom/network.h"
#include "phantom/tcp.h"

struct phantom;

#define PHANTOM_DEVICE  "ringside0"
#define PHANTOM_SERVER  UINT32_C(0xc6120001) /* 198.18.0.1 */
#define PHANTOM_CLIENTS UINT32_C(0xc6120100) /* 198.18.1.0 … 198.19.255.255 */

enum {
    PHANTOM_BITS = 15,
    PHANTOM_ADDRESSES_MAX = 0x1ff00,
    PHANTOM_CHUNKS = 1 << 18, /* half a gigabyte, if all are ever used at one time */
};

struct phantom_config {
    const cpu_set_t *server_cpus;  /* these receive what clients send; NULL: whoever sends it */
    struct network_config network; /* all zero: there is none between */
    bool sack, timestamps, window_scale; /* said by clients; SACK also where the network loses */
};

/* Of all rings since phantom_open. */
struct phantom_counters {
    struct tcp_counters tcp;
    struct network_counters network;
    uint64_t packets_in, packets_out; /* several segments may be one */
    uint64_t refused;                 /* packets that the device did not take */
    uint64_t unread;                  /* packets of the server that found the device's queue full */
    uint64_t unheard;  /* packets of clients that the server's CPUs dropped: of all the machine */
    uint64_t held;     /* times that clients waited until those CPUs had received more */
    int64_t behind_ns; /* the longest that the device had packets to read: none waited longer */
    uint64_t unreadable[SEGMENT_ERROR_COUNT]; /* packets that were not for clients */
};

/* Makes the device, in this network namespace. */
int phantom_open(struct phantom **ret, const struct phantom_config *config, char *why,
                 size_t why_size);
/* Accepts NULL. No ring of it may be left. */
void phantom_close(struct phantom *phantom);

/* Whether the server's CPUs receive what clients send: 0, or why not (negative errno). */
int phantom_receives_apart(const struct phantom *phantom);

struct phantom_ring_config {
    uint32_t slots;
    uint32_t near; /* from this slot on there is no network between: publishers */
    uint32_t first_address, address_count; /* sources; host order */
    uint16_t port_first;
    uint32_t port_count;
};

/* A client's ring, as ring_uring_create makes it, which ring_free frees; one at a time. */
int phantom_ring_create(struct ring **ret, struct phantom *phantom,
                        const struct phantom_ring_config *config, char *why, size_t why_size);

/* A client of that ring falls silent: see tcp_silence. */
void phantom_silence(struct ring *ring, uint32_t slot);

/* Nobody asks how long anything takes: packets may wait for half a millisecond. Who waits for
 * a device is woken by who sends, at the server's expense; who looks by the clock is not, as a
 * network card's interrupts are moderated. A ring of another engine goes on as it is. */
void phantom_rest(struct ring *ring, bool rests);

/* With what the ring that there is has counted. */
void phantom_count(const struct phantom *phantom, struct phantom_counters *ret);
