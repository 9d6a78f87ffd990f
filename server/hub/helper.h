/* helper: a participant of the lanes that is no shard: a thread for what would hold a shard up,
 * such as a resolver, a disk, or the client of a broker.
 *
 *   shard ──► hub_call ──► lane ──► helper_turn ──► run, and what takes long
 *   shard ◄──── done ◄──── lane ◄── helper_turn ◄── helper_answer
 *
 * Idea     It has no ring and no connections. It turns when its bell rings, and when what it waits
 *          for itself has come: helper_bell is one descriptor more for its poll. A helper asks
 *          shards as shards ask it, and may publish.
 * Lines    What it publishes it publishes in lines, and what one line publishes to a channel stays
 *          in order also when some of it is refused: behind one that was not published, nothing of
 *          the line is, until the helper begins the line's next run.
 * Threads  helper_create to helper_free on the helper's thread; helper_stop on any.
 * Memory   Its calls; the lanes and the bell are the hub set's, so shards may ask it before it is
 *          there and after it has gone.
 * Bounds   HUB_HELPERS_MAX. HELPER_ITEMS of each lane in a turn; hub_config.lines.
 *
 * Leaving  Shards end first, all together, and are not freed yet; then helpers are stopped and
 *          joined: what shards asked in their last turn is run. Then the shards are freed, which a
 *          helper could have woken until now, and at last the set, which drops what is still in the
 *          lanes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/bell.h"
#include "hub/call.h"

struct helper;
struct hub_set;
struct message;
struct ticket;

struct helper_ops {
    /* That shard sleeps and has something in its lanes: end its wait. */
    void (*wake)(void *context, unsigned shard);
    /* The answer to helper_publish, from inside helper_turn: as hub_ops.published, or -ECANCELED:
     * something before it in its line was not published. NULL: it publishes nothing. */
    void (*published)(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                      uint64_t offset);
};

/* The number by which participants call that helper: below hub_config.helpers. */
unsigned helper_participant(const struct hub_set *set, unsigned which);

/* `context` is what wake, and run and done of calls, are given. Returns NULL when memory is out. */
struct helper *helper_create(struct hub_set *set, unsigned which, const struct helper_ops *ops,
                             void *context);
/* Drops what it has not handed over; NULL is allowed. */
void helper_free(struct helper *helper);

/* As hub_call and hub_answer are for a shard. */
int helper_call(struct helper *helper, unsigned target, struct call *call);
void helper_answer(struct helper *helper, struct call *call);

/* Publishes, taking over the caller's reference on success; ops->published follows. The ticket's
 * `tag` is the line, below hub_config.lines, and `generation` its run, which is not 0: a new one
 * begins when all of the one before has been answered. `conn` is the caller's. Returns 0, or
 * -ENOBUFS: the lane is full, and the bell rings when it is not. */
int helper_publish(struct helper *helper, const struct ticket *ticket, struct message *message);

/* Takes what has come, and hands over what is to go. Returns true when there is more to do at
 * once. */
bool helper_turn(struct helper *helper);

/* Before a wait of its own, in which helper_bell is polled. Returns false when there is something
 * to do: take a turn instead. */
bool helper_sleep(struct helper *helper);
void helper_awake(struct helper *helper);
const struct bell *helper_bell(const struct helper *helper);

/* All that for a helper that waits for nothing else: until there is something to take, or for so
 * long. */
void helper_wait(struct helper *helper, int64_t timeout_ns);

/* It is to leave: wakes it. By which of the set's helpers it is, since that is known to all. */
void helper_stop(struct hub_set *set, unsigned which);
bool helper_stopping(const struct helper *helper);
