/* webhooks_internal: webhooks from inside.
 *
 *   webhooks.c         endpoints; what is asked
 *   webhook_accept.c   events, for who wants them
 *   webhook_ship.c     what is due, as posts; what becomes of each
 *   webhook_settle.c   what was done, on disk; answers to who waits for that
 *   webhook_patience.c how long until another try
 *   webhook_api.c      what is asked for by the server API, as JSON
 *
 * Threads  The courier's. */
#pragma once

#include "courier/events.h"
#include "courier/interest.h"
#include "courier/queue.h"
#include "courier/wakes.h"
#include "courier/webhooks.h"

struct shipped_event {
    uint64_t seq;
    int64_t born_ms, key;
    unsigned attempt;
    bool held;
};

enum {
    SHIPMENT_FIELDS = 5,
    SHIPMENT_FIELD_MAX = 256 + SIGNATURE_MAX,
};

/* A post of one event, or of a batch. */
struct shipment {
    struct post post;
    struct webhooks *webhooks;
    struct endpoint *endpoint; /* NULL: it was removed meanwhile */
    char *url;
    int64_t began_ms;
    bool slow; /* has one of the places for slow ones */
    char fields[SHIPMENT_FIELDS][SHIPMENT_FIELD_MAX];
    const char *field_list[SHIPMENT_FIELDS];
    char *body;
    size_t body_len, body_room;
    unsigned count, at_rest; /* events; of these, rows of the queue */
    struct shipment *next;
    struct shipped_event events[];
};

struct call_list {
    struct call *first, *last;
};

struct webhooks {
    const struct settings *settings;
    const struct reach *reach;
    struct queue *queue;
    struct post_client *client;
    struct helper *helper;
    struct endpoint *by_id, *by_number;
    struct wakes wakes;
    struct interest interest;
    struct events events;
    struct syncer *syncer;
    struct call_list held, synced; /* asks that wait for a commit; for the sync that is under way */
    unsigned registering;          /* of those held that have `registered` */
    bool is_syncing;
    int64_t now_ns, now_ms; /* monotonic; of the queue's clock */
    int64_t changed_ms;     /* since when there is something to commit; 0: there is not */
    int64_t pause_until_ms; /* the disk has failed */
    bool disk_fails;        /* and has taken nothing since */
    uint64_t random;
    unsigned slow_under_way;
    struct {
        unsigned accepted, delivered, failed, buried, replayed;
    } turn;     /* counted when it is on disk */
    int failed; /* a commit in the middle of this turn */
    struct webhook_counters counters;
};

static inline void webhook_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* ---- webhooks.c ---- */

/* Writes an endpoint down in the place of the one with its id; with the transaction of the turn it
 * takes that place here, too. Those of a turn share it, so that many are registered at the cost of
 * one. Taken over by the ask on success. */
int webhooks_register(struct webhooks *webhooks, struct endpoint *endpoint,
                      struct webhook_ask *ask);
/* Before anything that the endpoints of this turn count for. */
void webhooks_registered_now(struct webhooks *webhooks);
/* Behind a transaction: what is in memory is on disk, not before, and not without it. */
void webhooks_registered(struct webhooks *webhooks, int err);
int webhooks_remove(struct webhooks *webhooks, struct endpoint *endpoint);
struct endpoint *webhooks_endpoint(struct webhooks *webhooks, struct span id);
struct endpoint *webhooks_numbered(struct webhooks *webhooks, int64_t number);
/* ---- webhook_accept.c ---- */

struct webhook_event {
    struct span type, channel; /* of an alphabet that JSON needs no escapes for; or empty */
    struct span data;          /* JSON */
};

/* Puts it into the queue of each that wants it. Returns how many that are, or negative errno; its
 * id is in `id`. */
int webhooks_accept(struct webhooks *webhooks, const struct webhook_event *event,
                    char id[QUEUE_ID_MAX]);

/* ---- webhook_ship.c ---- */

void webhooks_rest_until(struct webhooks *webhooks, struct endpoint *endpoint);

/* ---- webhook_settle.c ---- */

/* Makes an answer one of an error of the disk. */
void webhooks_void(struct webhook_ask *ask);
void webhooks_hold(struct call_list *list, struct call *call);
/* In the middle of a turn. What fails of it fails for all that was not committed before. */
int webhooks_commit(struct webhooks *webhooks);
/* By when webhooks_settle is to be called; INT64_MAX: only when something comes. */
int64_t webhooks_settle_ms(const struct webhooks *webhooks);
void webhooks_gauges_set(struct webhooks *webhooks);
/* Whether what is published now could be told: shards look at it before they publish. */
void webhooks_full_set(struct webhooks *webhooks);

/* ---- webhook_patience.c ---- */

/* How long until another try behind so many that failed: from the least, twice as long each time,
 * to the most, a random part of its second half; and at least what the receiver asks for, up to a
 * day. */
int64_t patience_ms(unsigned failures, int64_t least_ms, int64_t most_ms, int64_t retry_after_s,
                    uint64_t random);
uint64_t patience_random(uint64_t *state);

/* ---- webhook_api.c ---- */

/* Answers into ask->answer. */
void webhook_api(struct webhooks *webhooks, struct webhook_ask *ask);
