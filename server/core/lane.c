#include "core/lane.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/pages.h"

enum {
    CACHE_LINE = 64
};

struct lane {
    alignas(CACHE_LINE) atomic_uint write; /* slots before it are the target's to read */
    atomic_bool starved;                   /* the source waits for room */

    alignas(CACHE_LINE) unsigned pushed; /* source only: write index with what is not flushed yet */
    unsigned read_seen;

    alignas(CACHE_LINE) atomic_uint read; /* slots before it are the source's to write */

    alignas(CACHE_LINE) unsigned write_seen; /* target only */
};
static_assert(sizeof(struct lane) == 4 * (size_t)CACHE_LINE, "one line per writer and reader");

struct slot {
    unsigned char bytes[LANE_SLOT_BYTES];
};

/* One per participant; all others write it, at most once per flush. */
struct inbox {
    alignas(CACHE_LINE) _Atomic uint64_t ready[LANE_PARTICIPANTS_MAX / 64];
    atomic_bool asleep;
};

struct lane_set {
    struct inbox *inboxes;
    struct lane *lanes;
    struct slot *slots;
    size_t bytes;
    unsigned participants;
    unsigned slots_each;
};

unsigned lane_slots(unsigned participants)
{
    assert(participants > 0 && participants <= LANE_PARTICIPANTS_MAX);
    unsigned share = LANE_SLOTS_TOTAL / (participants * participants);
    unsigned slots = LANE_SLOTS_MAX;
    while (slots > share && slots > LANE_SLOTS_MIN)
        slots /= 2;
    return slots;
}

struct lane_set *lane_set_create(unsigned participants, unsigned slots)
{
    assert(participants > 0 && participants <= LANE_PARTICIPANTS_MAX);
    assert(slots > 0 && (slots & (slots - 1)) == 0);
    struct lane_set *set = malloc(sizeof *set);
    if (!set)
        return NULL;

    size_t count = (size_t)participants * participants;
    size_t inboxes_bytes = participants * sizeof(struct inbox);
    size_t lanes_bytes = count * sizeof(struct lane);
    size_t bytes = inboxes_bytes + lanes_bytes + count * slots * sizeof(struct slot);
    /* Zeros are the start state of every index and flag. */
    char *map = pages_map(bytes);
    if (!map) {
        free(set);
        return NULL;
    }
    *set = (struct lane_set){
        .inboxes = (void *)map,
        .lanes = (void *)(map + inboxes_bytes),
        .slots = (void *)(map + inboxes_bytes + lanes_bytes),
        .bytes = bytes,
        .participants = participants,
        .slots_each = slots,
    };
    return set;
}

void lane_set_free(struct lane_set *set)
{
    if (!set)
        return;
    pages_unmap(set->inboxes, set->bytes);
    free(set);
}

static size_t lane_index(const struct lane_set *set, unsigned source, unsigned target)
{
    assert(source < set->participants && target < set->participants);
    return (size_t)target * set->participants + source;
}

static struct slot *slot_at(struct lane_set *set, size_t lane, unsigned index)
{
    return &set->slots[lane * set->slots_each + (index & (set->slots_each - 1))];
}

/* Whether so many slots are free, as far as the source has looked; it looks again when they are
 * not. */
static bool has_room(struct lane_set *set, struct lane *lane, unsigned count)
{
    if (set->slots_each - (lane->pushed - lane->read_seen) >= count)
        return true;
    lane->read_seen = atomic_load_explicit(&lane->read, memory_order_acquire);
    return set->slots_each - (lane->pushed - lane->read_seen) >= count;
}

bool lane_has_room(struct lane_set *set, unsigned source, unsigned target, unsigned count)
{
    return has_room(set, &set->lanes[lane_index(set, source, target)], count);
}

int lane_push(struct lane_set *set, unsigned source, unsigned target, const void *slot)
{
    size_t index = lane_index(set, source, target);
    struct lane *lane = &set->lanes[index];

    if (!has_room(set, lane, 1))
        return -ENOBUFS;
    memcpy(slot_at(set, index, lane->pushed), slot, sizeof(struct slot));
    lane->pushed++;
    return 0;
}

/* Ends the target's wait, if it waits. The order is what matters: the bit is set, then `asleep` is
 * read; the sleeper sets `asleep`, then reads the bits. All four are sequentially consistent, so
 * one of the two sees the other. The exchange lets exactly one of several ringers pay for the wake.
 */
static bool ring_bell(struct inbox *inbox, unsigned source)
{
    atomic_fetch_or(&inbox->ready[source / 64], UINT64_C(1) << (source % 64));
    return atomic_load(&inbox->asleep) && atomic_exchange(&inbox->asleep, false);
}

bool lane_flush(struct lane_set *set, unsigned source, unsigned target)
{
    struct lane *lane = &set->lanes[lane_index(set, source, target)];
    if (atomic_load_explicit(&lane->write, memory_order_relaxed) == lane->pushed)
        return false;
    atomic_store_explicit(&lane->write, lane->pushed, memory_order_release);
    return ring_bell(&set->inboxes[target], source);
}

void lane_ready(struct lane_set *set, unsigned target, struct lane_bits *ready)
{
    struct inbox *inbox = &set->inboxes[target];
    for (unsigned i = 0; i < LANE_PARTICIPANTS_MAX / 64; i++) {
        if (atomic_load_explicit(&inbox->ready[i], memory_order_relaxed))
            ready->words[i] |= atomic_exchange(&inbox->ready[i], 0);
    }
}

unsigned lane_pop(struct lane_set *set, unsigned source, unsigned target, void *slots, unsigned max,
                  bool *ret_wake)
{
    size_t index = lane_index(set, source, target);
    struct lane *lane = &set->lanes[index];
    unsigned read = atomic_load_explicit(&lane->read, memory_order_relaxed);

    *ret_wake = false;
    if (lane->write_seen - read < max)
        lane->write_seen = atomic_load_explicit(&lane->write, memory_order_acquire);
    unsigned count = lane->write_seen - read;
    if (count > max)
        count = max;
    if (count == 0)
        return 0;
    for (unsigned i = 0; i < count; i++)
        memcpy((struct slot *)slots + i, slot_at(set, index, read + i), sizeof(struct slot));

    /* The same handshake as the bell: room is shown, then `starved` is read; see lane_starve. */
    atomic_store(&lane->read, read + count);
    if (atomic_load(&lane->starved) && atomic_exchange(&lane->starved, false))
        *ret_wake = ring_bell(&set->inboxes[source], target);
    return count;
}

bool lane_starve(struct lane_set *set, unsigned source, unsigned target)
{
    struct lane *lane = &set->lanes[lane_index(set, source, target)];
    atomic_store(&lane->starved, true);
    return lane->pushed - atomic_load(&lane->read) < set->slots_each;
}

bool lane_sleep(struct lane_set *set, unsigned target)
{
    struct inbox *inbox = &set->inboxes[target];
    atomic_store(&inbox->asleep, true);
    for (unsigned i = 0; i < LANE_PARTICIPANTS_MAX / 64; i++) {
        if (atomic_load(&inbox->ready[i])) {
            atomic_store(&inbox->asleep, false);
            return false;
        }
    }
    return true;
}

void lane_awake(struct lane_set *set, unsigned target)
{
    atomic_store_explicit(&set->inboxes[target].asleep, false, memory_order_relaxed);
}
