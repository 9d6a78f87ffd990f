/* queue: what is to be delivered, on disk: events, who is to have each, who could not be given it.
 *
 *   endpoints   who wants what, as JSON
 *   events      seq ─► body                      a row as long as somebody is to have it
 *   deliveries  seq, endpoint ─► next, attempt   a row for each that is to have it
 *   dead        seq, endpoint ─► why             the same, given up
 *
 * Idea     SQLite in WAL mode. All that a turn of the courier does is one transaction, and an event
 *          is accepted when that is committed: it is then on the disk. Whatever ends the process, a
 *          delivery is there until it is known to be done; so it may be made again, with the same
 *          id.
 * Threads  The courier's.
 * Memory   SQLite's cache. What a row of queue_due points to stays until the next call.
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

/* The queue's clock, in ms. `monotonic_ns` never goes back. */
int64_t queue_clock(struct queue *queue, int64_t monotonic_ns);
void queue_stats_read(const struct queue *queue, struct queue_stats *ret);

/* Ends the transaction that the first change began. Returns 0, or the error that makes all of it
 * void. */
int queue_commit(struct queue *queue);

/* ---- endpoints ---- */

typedef void queue_endpoint_told(void *context, int64_t number, struct span text, bool from_file,
                                 int state);
int queue_endpoints(struct queue *queue, queue_endpoint_told *told, void *context);
/* New, or in the place of the one with that id. */
int queue_endpoint_put(struct queue *queue, const char *id, struct span text, bool from_file,
                       int state, int64_t *ret_number);
/* With all that it was to have. */
int queue_endpoint_remove(struct queue *queue, int64_t number);

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
};
int queue_event_add(struct queue *queue, uint64_t seq, struct span body,
                    const struct queue_target *targets, unsigned count, int64_t now_ms);

/* ---- deliveries ---- */

struct queue_row {
    uint64_t seq;
    int64_t born_ms;
    int64_t key;
    unsigned attempt; /* that were made */
    struct span body;
};

/* Those of an endpoint that are due, the first first, at most `limit`, until `take` says false. */
typedef bool queue_row_take(void *context, const struct queue_row *row);
int queue_due(struct queue *queue, int64_t endpoint, int64_t now_ms, unsigned limit,
              queue_row_take *take, void *context);
/* When the next one is, beyond so many; INT64_MAX: none. */
int64_t queue_next(struct queue *queue, int64_t endpoint, unsigned beyond);

int queue_done(struct queue *queue, int64_t endpoint, uint64_t seq, int64_t key, int64_t now_ms);
int queue_later(struct queue *queue, int64_t endpoint, uint64_t seq, unsigned attempt,
                int64_t next_ms);
/* Gives it up. */
int queue_bury(struct queue *queue, int64_t endpoint, uint64_t seq, int64_t key, unsigned attempt,
               const char *why, int64_t now_ms);
/* Gives up all of an endpoint. */
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

/* Of one endpoint and one event, or of all where that is 0; `limit` behind `after`. */
struct queue_which {
    int64_t endpoint;
    uint64_t seq, after;
    unsigned limit;
};
int queue_dead_list(struct queue *queue, const struct queue_which *which, int64_t now_ms,
                    queue_dead_told *told, void *context);
/* Return how many, or negative errno. */
int queue_dead_replay(struct queue *queue, const struct queue_which *which, int64_t now_ms);
int queue_dead_purge(struct queue *queue, const struct queue_which *which);
