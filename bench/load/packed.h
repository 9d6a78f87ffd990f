/* packed: messages that come deflated, or by what changed since the one before.
 *
 *   frame ─► seen before, byte for byte? ─► the payload that it was found to be
 *        └─► no: inflated, or applied to the text of the message before ─► compared ─► kept
 *
 * Idea     A server that packs a message once for all sends all the same bytes. So the first
 *          subscriber's are unpacked and every byte of what they become is compared
 *          (load/payload.h); the others' are compared with the first's, which says the same and is
 *          cheaper than to unpack them. A delta counts only for who was given the message before.
 * Threads  the load's.
 * Memory   a group's, on the heap: PACKED_SEEN messages, packed and not.
 * Bounds   PACKED_SEEN; a group that has deltas on more channels than that fails. */
#pragma once

#include "wire/span.h"

struct load;
struct packed;
struct subscriber;

enum {
    PACKED_SEEN = 64,
};

/* A whole message has come for a subscriber. May end it. */
void packed_take(struct load *load, struct subscriber *subscriber, struct span message,
                 bool deflated);

/* NULL is allowed. */
void packed_free(struct packed *packed);
