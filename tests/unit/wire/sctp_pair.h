/* sctp_pair: two ends of an association and the network between them, in virtual time.
 *
 * Threads  one.
 * Memory   the pair's; packets under way are bounded by what the ends have under way. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/sctp.h"

enum {
    PAIR_WIRE_MAX = 4096,
    PAIR_MS = 1000000,
};

struct pair_packet {
    uint64_t at;
    uint64_t order; /* of two at the same time the one that was sent first comes first */
    size_t len;
    unsigned to;
    uint8_t bytes[SCTP_PACKET_MAX];
};

struct pair;

struct pair_end {
    struct sctp sctp;
    struct pair *pair;
    unsigned number;
};

struct pair {
    struct pair_end ends[2];
    uint64_t now, sent, seed;
    unsigned lost, twice, late; /* of a thousand packets */
    uint64_t delay_ns, jitter_ns;
    struct pair_packet *wire[PAIR_WIRE_MAX];
    unsigned wire_count;
    uint64_t packets, losses, parkings;
    bool together; /* an end answers when it has all that comes at that time */
    bool parks;    /* an end is parked, and wakes, whenever it is idle */
    /* Whether a packet is lost whatever the chances; may be NULL. */
    bool (*drop)(struct pair *pair, unsigned to, const uint8_t *packet, size_t len);
    void *owner;
};

extern const struct sctp_settings pair_settings;

/* The second end is the one that waits. */
void pair_init(struct pair *pair, uint64_t seed, const struct sctp_settings *settings,
               const struct sctp_ops *ops, uint32_t first_tsn);
void pair_done(struct pair *pair);

static inline struct pair_end *pair_end_of(struct sctp *sctp)
{
    return (struct pair_end *)(void *)sctp;
}

/* Puts what an end has to say on the wire. */
void pair_flush(struct pair *pair, unsigned end);

/* Goes on to the next packet or deadline that is not behind `until`. Returns false when there is
 * none: then it is that time. */
bool pair_step(struct pair *pair, uint64_t until);

/* Goes on for so long. */
void pair_run(struct pair *pair, uint64_t ns);
