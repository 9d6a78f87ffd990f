/* lane: one-way queues between participants, and the doorbell that ends the wait of one. Shards are
 * participants, and so are threads that serve them.
 *
 *   participant 0                                      participant 1
 *   lane_push ─► slots, lane_flush ─┬─► write index ──────────────────────────► lane_pop
 *                                   └─► the source's bit in the target's inbox ─► lane_ready
 *
 *   one lane    ┌───────────────┬───────────────┬───────────────┬───────────────┐
 *   4 cache     │ write         │ pushed        │ read          │ write_seen    │
 *   lines       │ starved       │ read_seen     │               │               │
 *   written by  │ source        │ source        │ target        │ target        │
 *   read by     │ target        │ source only   │ source        │ target only   │
 *               └───────────────┴───────────────┴───────────────┴───────────────┘
 *
 * Idea     A lane set has a lane for every ordered pair of participants. Each index is on a cache
 *          line that one side writes; each side keeps what it last saw of the other's index on a
 *          line of its own, so a push or a pop touches a shared line only when what it saw is used
 *          up. An inbox has a bit per source: a target looks at the lanes that have something, not
 *          at all.
 * Threads  lane_push, lane_flush and lane_starve on the source's thread; lane_pop, lane_ready,
 *          lane_sleep and lane_awake on the target's. A participant is one thread.
 * Memory   One mapping, made at start; a page takes memory when it is first used. Nothing here
 *          allocates afterwards. Slots are copied in and out: what they point to belongs to whoever
 *          holds the slot.
 * Bounds   lane_slots(): LANE_SLOTS_TOTAL shared out among the lanes, rounded down to a
 *          power of two, never fewer than LANE_SLOTS_MIN or more than LANE_SLOTS_MAX. So:
 *              participants   2     16     53    106    128    256
 *              slots each  4096   4096    256     64     64     64
 *              MiB in all   0.5     32     22     22     32    128
 *          A full lane is back-pressure, not a failure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    LANE_PARTICIPANTS_MAX = 256,
    LANE_SLOT_BYTES = 32,
    LANE_SLOTS_MIN = 64,
    LANE_SLOTS_MAX = 4096,
    LANE_SLOTS_TOTAL = 1 << 20,
};

/* A set of participants. */
struct lane_bits {
    uint64_t words[LANE_PARTICIPANTS_MAX / 64];
};

struct lane_set;

/* Slots of a lane in a set with that many participants. */
unsigned lane_slots(unsigned participants);

/* `slots` is a power of two. Returns NULL when memory is out. */
struct lane_set *lane_set_create(unsigned participants, unsigned slots);
/* What is still in the slots is the caller's to pop before. */
void lane_set_free(struct lane_set *set);

/* Whether the source could push so many now. */
bool lane_has_room(struct lane_set *set, unsigned source, unsigned target, unsigned count);

/* Queues LANE_SLOT_BYTES for the target, which does not see them before lane_flush: push the whole
 * batch first. Returns 0, or -ENOBUFS when the lane is full. */
int lane_push(struct lane_set *set, unsigned source, unsigned target, const void *slot);

/* Lets the target see what was pushed. Returns true when it sleeps and this caller is to wake it.
 */
bool lane_flush(struct lane_set *set, unsigned source, unsigned target);

/* Adds to `ready` the sources that have flushed since the last call. */
void lane_ready(struct lane_set *set, unsigned target, struct lane_bits *ready);

/* Takes up to `max` slots and returns how many; fewer than `max` means that the lane was empty.
 * Sets `*ret_wake` when the source sleeps until this lane has room (lane_starve) and this caller is
 * to wake it. */
unsigned lane_pop(struct lane_set *set, unsigned source, unsigned target, void *slots, unsigned max,
                  bool *ret_wake);

/* For a source that has more to push than there is room for, before it sleeps: asks the target to
 * ring when it has popped. Returns true when there is room already: do not sleep. */
bool lane_starve(struct lane_set *set, unsigned source, unsigned target);

/* Announces that the target is about to wait. Returns false when something has arrived: do not
 * wait. */
bool lane_sleep(struct lane_set *set, unsigned target);
void lane_awake(struct lane_set *set, unsigned target);

static inline void lane_bits_add(struct lane_bits *bits, unsigned one)
{
    bits->words[one / 64] |= UINT64_C(1) << (one % 64);
}

static inline void lane_bits_remove(struct lane_bits *bits, unsigned one)
{
    bits->words[one / 64] &= ~(UINT64_C(1) << (one % 64));
}

static inline bool lane_bits_has(const struct lane_bits *bits, unsigned one)
{
    return bits->words[one / 64] >> (one % 64) & 1;
}

static inline bool lane_bits_any(const struct lane_bits *bits)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < LANE_PARTICIPANTS_MAX / 64; i++)
        any |= bits->words[i];
    return any != 0;
}

/* The first member at or after `from`, or LANE_PARTICIPANTS_MAX. From one behind a member it goes
 * on to the next; the set may change meanwhile. */
static inline unsigned lane_bits_next(const struct lane_bits *bits, unsigned from)
{
    while (from < LANE_PARTICIPANTS_MAX) {
        uint64_t rest = bits->words[from / 64] >> (from % 64);
        if (rest)
            return from + (unsigned)__builtin_ctzll(rest);
        from = (from / 64 + 1) * 64;
    }
    return LANE_PARTICIPANTS_MAX;
}
