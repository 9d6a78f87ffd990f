/* queue: what is to be delivered, on disk: events, who is to have each, who could not be given it.
 *
 *   endpoints   who wants what, as JSON
 *   events      seq ─► held, body, sum           a row as long as somebody is to have it
 *   deliveries  seq, endpoint ─► next, attempt   a row for each that is to have it
 *   dead        seq, endpoint ─► why             the same, given up
 *
 * Idea     SQLite in WAL mode. What was done since the last commit is one transaction, and an event
 *          is accepted when that is committed, and the log is on the disk (courier/syncer.h).
 *          Whatever ends the process, a delivery is there until it is known to be done; so it may
 *          be made again, with the same id.
 *          Most events are delivered a moment after they have come. Those are held in memory, and
 *          have one row that names who is still to have them; what is delivered before a commit is
 *          never written. One that fails, waits for another of its key, or finds no room in memory
 *          is at rest: a row of deliveries, which is read when it is due.
 * Threads  The courier's.
 * Memory   SQLite's cache; QUEUE_HELD_BYTES_MAX of events; 150 bytes for each endpoint that had
 *          one. What a row of queue_due points to stays until the next call.
 * Bounds   queue_config.bytes_max of the file, and what a checkpoint has not moved yet beside it.
 * Clock    Times are of a clock of its own, which goes on where it stood when it was last saved: a
 *          wall clock that jumps makes nothing late or old.
 * Errors   0 or negative errno: -ENOSPC, a bound or the disk; -EIO. One makes the transaction void:
 *          queue_commit says so again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

struct queue;

enum {
    QUEUE_ID_MAX = 40, /* of an event */
    QUEUE_COUNTED_MAX = 1000,
    QUEUE_SPARE = 16,
};

struct queue_config {
    const char *path;
    int64_t bytes_max;
    int64_t dead_max; /* dead letters; beyond it the oldest goes */
    bool drop_oldest; /* at bytes_max, instead of refusing */
};

struct queue_stats {
    int64_t waiting; /* deliveries */
    int64_t dead;
    int64_t bytes;
    uint64_t dropped;     /* deliveries, for want of room */
    uint64_t dead_purged; /* dead letters, for want of room */
};

/* Opens the file, or makes it. One that is damaged is set aside, by another name, and said so in
 * `why`; it is then 1. Returns 0, or negative errno and a sentence: -EBUSY, another process
 * has it. */
int queue_open(struct queue **ret, const struct queue_config *config, char *why, size_t why_size);
/* NULL is allowed. What is not committed is lost. */
void queue_close(struct queue *queue);

/* Whether it takes what comes: 1/QUEUE_SPARE of it is free, or the oldest go for it. */
bool queue_has_room(struct queue *queue);
/* Begins a transaction that changes nothing: its commit says whether the disk takes one. */
void queue_try(struct queue *queue);

/* The queue's clock, in ms. `monotonic_ns` never goes back. */
int64_t queue_clock(struct queue *queue, int64_t monotonic_ns);
void queue_stats_read(const struct queue *queue, struct queue_stats *ret);

/* Ends the transaction that the first change began. Returns 0, or the error that makes all of it
 * void: events that came since the last one are gone; what was delivered is remembered, and written
 * by the next. It is on the disk when the log has been synced: "-wal" behind the path. */
int queue_commit(struct queue *queue);
/* Whether there is something to commit. */
bool queue_is_changed(const struct queue *queue);

/* ---- endpoints ---- */

typedef void queue_endpoint_told(void *context, int64_t number, struct span text, bool from_file,
                                 int state);
int queue_endpoints(struct queue *queue, queue_endpoint_told *told, void *context);
/* The numbers of those whose ids come after `after`, in order, at most `limit`. */
typedef void queue_number_told(void *context, int64_t number);
int queue_endpoints_after(struct queue *queue, struct span after, unsigned limit,
                          queue_number_told *told, void *context);
/* What it is to have, and its dead letters: each counted to QUEUE_COUNTED_MAX, so that looking at
 * an endpoint has a bound. */
void queue_endpoint_count(struct queue *queue, int64_t number, unsigned *ret_waiting,
                          unsigned *ret_dead);
/* New, or in the place of the one with that id. */
int queue_endpoint_put(struct queue *queue, const char *id, struct span text, bool from_file,
                       int state, int64_t *ret_number);
/* With all that it was to have, and costs what that is; queue_endpoint_forget when that is
 * committed. */
int queue_endpoint_remove(struct queue *queue, int64_t number);
void queue_endpoint_forget(struct queue *queue, int64_t endpoint);

/* ---- events ---- */

/* A number for an event, and its id; each is given once, whatever ends the process. */
uint64_t queue_number(struct queue *queue);
size_t queue_id_write(const struct queue *queue, uint64_t seq, char ret[QUEUE_ID_MAX]);
bool queue_id_read(const struct queue *queue, struct span id, uint64_t *ret);

/* Adds an event for `count` endpoints. `keys[i]` is 0, or what it is in order by for that one. */
struct queue_target {
    int64_t endpoint;
    int64_t next_ms;
    int64_t key;
    bool rests; /* it does not answer now: a row, not memory */
};
int queue_event_add(struct queue *queue, uint64_t seq, struct span body,
                    const struct queue_target *targets, unsigned count, int64_t now_ms);

/* ---- deliveries ---- */

struct queue_row {
    uint64_t seq;
    int64_t born_ms;
    int64_t key;
    unsigned attempt; /* that were made */
    bool held;        /* it is given out once, and is not at rest */
    bool damaged;     /* the body is not what was written: the disk has changed it */
    struct span body;
};

struct queue_when {
    int64_t now_ms;
    unsigned under_way; /* rows that were given out, and are not done: they come again */
    unsigned limit;     /* of rows beyond these */
};

/* Those of an endpoint that are due, the first first, until `take` says false: that one was taken
 * too. */
typedef bool queue_row_take(void *context, const struct queue_row *row);
int queue_due(struct queue *queue, int64_t endpoint, const struct queue_when *when,
              queue_row_take *take, void *context);
/* An endpoint does not answer: what is in memory for it, and not under way, becomes rows. */
void queue_rest(struct queue *queue, int64_t endpoint);
/* What was given out is not under way after all. */
void queue_give_back(struct queue *queue, int64_t endpoint, uint64_t seq);
/* When the next one is; INT64_MAX: none. */
int64_t queue_next(struct queue *queue, int64_t endpoint, unsigned under_way);

int queue_done(struct queue *queue, int64_t endpoint, uint64_t seq, int64_t key, int64_t now_ms);
int queue_later(struct queue *queue, int64_t endpoint, uint64_t seq, unsigned attempt,
                int64_t next_ms);
/* Gives it up. */
int queue_bury(struct queue *queue, int64_t endpoint, uint64_t seq, int64_t key, unsigned attempt,
               const char *why, int64_t now_ms);
/* Gives up all of an endpoint. Returns how many, or negative errno. */
int queue_bury_all(struct queue *queue, int64_t endpoint, const char *why, int64_t now_ms);

/* ---- dead letters ---- */

struct queue_dead {
    uint64_t seq;
    int64_t endpoint;
    int64_t age_ms; /* since it was given up */
    unsigned attempt;
    struct span why, body;
};
typedef void queue_dead_told(void *context, const struct queue_dead *dead);

/* Of one endpoint and one event, or of all where that is 0. Listed are `limit` behind one that is
 * of the event `after` and the endpoint `after_endpoint`; INT64_MAX: behind all of that event. */
struct queue_which {
    int64_t endpoint, after_endpoint;
    uint64_t seq, after;
    unsigned limit;
};
int queue_dead_list(struct queue *queue, const struct queue_which *which, int64_t now_ms,
                    queue_dead_told *told, void *context);
/* Whose dead letters these are. */
int queue_dead_endpoints(struct queue *queue, const struct queue_which *which,
                         queue_number_told *told, void *context);
/* Return how many, or negative errno. */
int queue_dead_replay(struct queue *queue, const struct queue_which *which, int64_t now_ms);
int queue_dead_purge(struct queue *queue, const struct queue_which *which);
