/* witness: who is told of what happens to channels where they are numbered.
 *
 * Idea     One for a hub set, or none. What nobody wants costs a look at a pointer, and at a word
 *          that seldom changes.
 * Threads  `told` on the home shard's, from inside the hub: it may make calls (hub/call.h), and
 *          nothing else. `wants` and `full` are written on any.
 * Memory   The maker's. What an event points to stays until `told` returns; a message may be kept
 *          by a reference. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub;
struct message;

enum hub_event {
    HUB_PUBLISHED,   /* a message, on the node where it was published */
    HUB_OCCUPIED,    /* the first shard of this node has a subscriber */
    HUB_VACATED,     /* the last one has had none for hub_config.linger_ns */
    HUB_CACHE_EMPTY, /* somebody subscribes to the latest state, and there is none */
    HUB_EVENTS,
};

struct hub_happening {
    enum hub_event event;
    const char *name;
    size_t name_len;
    struct message *message; /* HUB_PUBLISHED */
    uint64_t epoch, offset;
};

struct hub_witness {
    _Atomic uint32_t wants; /* bits 1 << enum hub_event, and others of the maker's */
    _Atomic bool full;      /* what is published and could not be told is refused: -EDQUOT */
    void (*told)(struct hub_witness *witness, struct hub *hub,
                 const struct hub_happening *happening);
};

static inline bool witness_refuses(const struct hub_witness *witness)
{
    return witness && atomic_load_explicit(&witness->full, memory_order_relaxed) &&
           atomic_load_explicit(&witness->wants, memory_order_relaxed) & 1u << HUB_PUBLISHED;
}

static inline bool witness_wants(const struct hub_witness *witness, unsigned event)
{
    return witness && atomic_load_explicit(&witness->wants, memory_order_relaxed) & 1u << event;
}
