/* webhooks: events on their way to endpoints: accepted, delivered, tried again, given up.
 *
 *   event ─► who wants it ─► queue ─► due ─► post ─► 2xx: done
 *                              ▲                 └─► else: later, with more and more patience
 *                              └── dead letters ◄──────── too often, too old, or 410
 *
 * Idea     The queue has what is to be delivered; here is when, and how many at a time. A delivery
 *          does not wait for the disk: only who asks to have an event accepted does. An endpoint
 *          that fails webhook_breaker times in a row is asked by one post at a time until it
 *          answers. Those that are slow or fail have half of the courier's places at most: the
 *          others never wait for them.
 * Threads  The courier's, and one that waits for the disk; webhook_counters on any.
 * Memory   Endpoints, and what is under way.
 * Bounds   webhook_endpoints_max; those of courier/endpoint.h and courier/queue.h.
 * Source   github.com/standard-webhooks/standard-webhooks */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "courier/endpoint.h"
#include "courier/post.h"
#include "hub/call.h"

struct events;
struct helper;
struct queue;
struct settings;
struct webhooks;

#define WEBHOOK_COUNTERS(X)                                                                        \
    X(events_accepted, "counter", "Events that somebody wants, and that are on disk")              \
    X(events_refused, "counter", "Events that were not accepted: no room, or the disk fails")      \
    X(events_lost, "counter", "Events of this server that the courier could not be given")         \
    X(delivered, "counter", "Events that an endpoint has taken, each for each endpoint")           \
    X(attempts_failed, "counter", "Deliveries that were tried and are to be tried again")          \
    X(buried, "counter", "Deliveries given up: dead letters")                                      \
    X(replayed, "counter", "Dead letters that were given another try")                             \
    X(dropped, "counter", "Deliveries dropped for room in the queue")                              \
    X(dead_purged, "counter", "Dead letters dropped for room in the queue")                        \
    X(disk_failures, "counter", "Transactions of the queue that failed")                           \
    X(pending, "gauge", "Deliveries that wait or are under way")                                   \
    X(dead, "gauge", "Dead letters")                                                               \
    X(queue_bytes, "gauge", "Bytes of the queue in use")                                           \
    X(full, "gauge", "1: the queue has no room, is not there, or its disk fails")                  \
    X(endpoints, "gauge", "Endpoints")                                                             \
    X(endpoints_failing, "gauge", "Endpoints asked by one post at a time, since they fail")        \
    X(endpoints_gone, "gauge", "Endpoints that have answered 410")

struct webhook_counters {
#define WEBHOOK_COUNTER_FIELD(name, ...) _Atomic uint64_t name;
    WEBHOOK_COUNTERS(WEBHOOK_COUNTER_FIELD)
#undef WEBHOOK_COUNTER_FIELD
};

/* Opens the queue, and reads the endpoints. Returns 0, or negative errno and a sentence; what is
 * to be said although it goes on is on stderr. With -EBUSY there are webhooks all the same, whose
 * queue another process has: webhooks_begin before all else. */
int webhooks_create(struct webhooks **ret, const struct settings *settings,
                    const struct reach *reach, char *why, size_t why_size);
int webhooks_begin(struct webhooks *webhooks, char *why, size_t why_size);
/* Whom its posts go by, and who answers asks; before anything below. Returns 0 or negative errno:
 * there is no thread for the disk. */
int webhooks_attach(struct webhooks *webhooks, struct post_client *client, struct helper *helper);
/* NULL is allowed. */
void webhooks_free(struct webhooks *webhooks);

/* What shards tell it of their own. */
struct events *webhooks_events(struct webhooks *webhooks);

const struct webhook_counters *webhook_counters(const struct webhooks *webhooks);

/* What time it is: before anything that is done at that time. */
void webhooks_tick(struct webhooks *webhooks, int64_t now_ns);
/* Begins what is due. */
void webhooks_ship(struct webhooks *webhooks);
/* Commits what was done, if somebody waits for it or it is time; answers those who waited for what
 * is on the disk now. */
void webhooks_settle(struct webhooks *webhooks);
/* All of that, with the disk waited for. */
void webhooks_stop(struct webhooks *webhooks);
/* By when the next turn is to come; INT64_MAX: only when something comes. */
int64_t webhooks_deadline_ns(const struct webhooks *webhooks);

/* ---- what shards ask for ---- */

#define WEBHOOK_OPS(X)                                                                             \
    X(PUBLISH, publish)   /* {"type":…,"channel":…,"data":…}: an event of the application */ \
    X(REGISTER, register) /* an endpoint: courier/endpoint.h */                                    \
    X(REMOVE, remove)     /* {"id":…}, with all that it was to have */                           \
    X(LIST, list)         /* {"after":…,"limit":…}: endpoints, in order of their ids */        \
    X(DEAD, dead)         /* {"endpoint":…,"after":…,"limit":…}: dead letters */             \
    X(SHOW, show)         /* {"event":…,"endpoint":…}: with its body */                        \
    X(REPLAY, replay)     /* {"event":…,"endpoint":…}: another try; without either, of all */  \
    X(PURGE, purge)       /* likewise: thrown away */

#define WEBHOOK_OP_ENUM(NAME, name) WEBHOOK_##NAME,
enum webhook_op {
    WEBHOOK_OPS(WEBHOOK_OP_ENUM) WEBHOOK_OP_COUNT,
};

/* Asked of the courier for webhooks (courier_ask_webhooks); answered when what it changed is on
 * disk. */
struct webhook_ask {
    struct call call; /* .run is courier_run_webhooks */
    enum webhook_op op;
    char *answer; /* JSON, {"result":…} or {"error":{"code":…,"message":…}}; NULL: no memory */
    size_t answer_len;
    bool changes;                /* its answer counts only if the queue says so */
    struct endpoint *registered; /* counts when it is on disk */
    size_t len;
    char text[]; /* the body of the request */
};

/* With a copy of the body. Returns NULL when memory is out. */
struct webhook_ask *webhook_ask_create(enum webhook_op op, struct span body,
                                       const struct call_ops *ops, const struct ticket *ticket);
void webhook_ask_free(struct webhook_ask *ask);
/* On the courier's thread: its answer follows when it is on disk. */
void webhooks_ask(struct webhooks *webhooks, struct webhook_ask *ask);
