/* network: what lies between clients and server: delay, loss, disorder, a narrow line.
 *
 *   server ─► device ─► network_pass ─┬─► dropped
 *   client ─► segment ─► network_pass ┼─► at once
 *                                     └─► kept ─► network_next, when it is due
 *
 * Idea     A packet's fate follows from the seed, its line, how many connections that has had, the
 *          way, and how many packets went this way so far: not from when it came. The same clients
 *          meet the same losses again, however fast either side is.
 * Loss     Independent, or in bursts: the model of Gilbert, in which a line is bad for
 *          `loss_burst` packets on average and loses all of them.
 * Disorder A packet that is picked goes without its delay, and so before those in front of it;
 *          jitter alone changes no order.
 * Threads  the owner's.
 * Memory   28 bytes for each connection, 44 with jitter; packets that are under way lie in one
 *          mapping, touched as far as it was ever needed.
 * Bounds   NETWORK_PACKETS on their way. What is beyond is lost, and counted apart. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct network;

enum {
    NETWORK_PACKETS = 1 << 18,
    NETWORK_PACKET_MAX = 1536, /* bytes: no packet here has several segments */
};

enum network_way {
    NETWORK_TO_SERVER,
    NETWORK_TO_CLIENT,
};

struct network_config {
    uint64_t seed;
    uint32_t rtt_us;    /* half of it each way */
    uint32_t jitter_us; /* up to so much more, each way */
    double loss;        /* share of the packets, 0 … 1 */
    double loss_burst;  /* lost in a row, on average; up to 1: independent */
    double reorder;     /* share of the packets */
    double rate_bytes;  /* a second, of each connection each way; 0: any */
};

struct network_counters {
    uint64_t passed, lost, reordered;
    uint64_t overflowed; /* lost for want of room in here: the run is not what was asked for */
    uint32_t packets_most;
};

/* Whether there is anything to do. */
bool network_wanted(const struct network_config *config);

/* For connections 0 … lines-1. Returns 0 or -ENOMEM. */
int network_create(struct network **ret, const struct network_config *config, uint32_t lines);
/* Accepts NULL. */
void network_free(struct network *network);

/* A connection of the line with that index begins. What is on a line that has none passes
 * untouched. */
void network_begin(struct network *network, uint32_t index, int64_t now_ns);
/* Its connection goes on in another line. */
void network_move(struct network *network, uint32_t from, uint32_t to);

/* A packet sets out. Its head and payload are copied if it is kept. Returns true when it is there
 * at once, and is the caller's to hand on. */
bool network_pass(struct network *network, uint32_t index, enum network_way way, const char *head,
                  size_t head_len, const char *payload, size_t payload_len, int64_t now_ns);

/* A packet that has arrived: it stays good until the next call of any function. Returns its length;
 * 0: none is due. The lengths of head and payload are as they were given. */
size_t network_next(struct network *network, int64_t now_ns, const char **ret_packet,
                    size_t *ret_head_len, enum network_way *ret_way);

/* Nanoseconds until one is due, at most `most_ns`. */
int64_t network_wait_ns(const struct network *network, int64_t now_ns, int64_t most_ns);

const struct network_counters *network_counters(const struct network *network);
