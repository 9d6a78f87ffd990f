/* webhooks_loop: those who post events to a server, and those whom it delivers them to.
 *
 *   poster ── POST /api/webhook/publish ─► server ── POST /KIND/N, signed ─► receiver
 *      └─────────── or straight: the ceiling ───────────────────────────────────▲
 *
 * Idea     One loop with plain sockets on epoll, which shares no code with the server. Event n is
 *          for endpoint n modulo their number, and carries n. A table has when each was to be
 *          posted, whether it was accepted, and how often it came.
 * Threads  one.
 * Memory   webhooks_loop_init to webhooks_loop_done.
 * Bounds   EVENTS_MAX events of a set of endpoints, POSTERS_MAX posters, RECEIVERS_MAX connections
 *          of servers; requests of up to REQUEST_MAX bytes,
 *          and data of up to DATA_MAX.
 * Errors   negative errno, after a sentence on standard error. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/histogram.h"

enum {
    EVENTS_MAX = 1 << 21,
    POSTERS_MAX = 256,
    RECEIVERS_MAX = 8192,
    REQUEST_MAX = 4096,
    ID_SIZE = 40, /* of an event, as the server calls it */
    DATA_MAX = 2048,
};

/* How an endpoint answers: the word in its path. */
enum behaviour {
    RECEIVER_FAST,     /* 200 at once */
    RECEIVER_SLOW,     /* 200 after slow_ms */
    RECEIVER_FAILING,  /* 500 */
    RECEIVER_FLAPPING, /* 200 for half a second, 500 for the next */
    RECEIVER_DEAD,     /* nothing */
    RECEIVER_TRICKLE,  /* a byte of an endless head each second */
    BEHAVIOURS,
};

extern const char *const behaviour_names[BEHAVIOURS];

struct event {
    int64_t due_ns; /* to be posted; 0: never was */
    uint32_t id;    /* hash of what the server called it first */
    uint8_t tries;  /* that came, up to 255 */
    uint8_t taken;  /* of these, answered 200 */
    bool accepted;
    bool renamed; /* came under another id, which is a fault */
};

/* Endpoints of one server, and what became of their events. */
struct webhooks_set {
    struct sockaddr_in server; /* where events are posted */
    const char *key;           /* API key */
    bool straight;             /* to the receivers themselves */
    uint32_t endpoints;
    const enum behaviour *behaviours; /* of each */
    struct event *events;
    uint32_t posted; /* events so far */
    uint64_t accepted, refused, failed;
    uint64_t accepted_fast; /* of these, for fast endpoints */
    uint64_t came, taken;   /* deliveries, and those answered 200 */
    uint64_t taken_fast;    /* of these, the first of events for fast endpoints */
    struct histogram
        *latency; /* from due to arrival, of fast endpoints, the first time; NULL: not kept */
    /* Where each event is for several endpoints, all of them fast, on one channel. */
    uint32_t each;       /* so many; 0: for one. They count in accepted_fast and taken_fast */
    uint8_t *arrived;    /* a bit for each event and endpoint */
    uint32_t depth;      /* at most so many events are on their way; 0: any number */
    uint32_t data_bytes; /* of an event's data, if its number leaves room; 0: the number alone */
    uint64_t repeated;   /* deliveries after the first to the same endpoint */
    uint64_t bytes_in, bytes_out; /* of requests to them, and of their answers */
};

struct webhooks_loop;

int webhooks_loop_create(struct webhooks_loop **ret, uint32_t slow_ms);
void webhooks_loop_free(struct webhooks_loop *loop);

/* Where its receivers listen; and at that port of each address of 127.0.0.0/8. */
struct sockaddr_in webhooks_loop_address(const struct webhooks_loop *loop);

/* A path begins with the number of its set. Sets stay where they are. */
void webhooks_loop_set(struct webhooks_loop *loop, unsigned number, struct webhooks_set *set);

/* Posts for so long: as fast as `posters` that wait for each answer can, or at a rate. What was
 * begun is waited for. */
int webhooks_loop_post(struct webhooks_loop *loop, struct webhooks_set *set, unsigned posters,
                       double rate_per_s, int64_t duration_ns);

/* Receives until all accepted events of fast endpoints were taken, and with `all` those of flapping
 * ones, or for so long. */
int webhooks_loop_drain(struct webhooks_loop *loop, struct webhooks_set *set, bool all,
                        int64_t patience_ns);

/* Receives until so many deliveries have come in all, or for so long. */
int webhooks_loop_await(struct webhooks_loop *loop, const struct webhooks_set *set, uint64_t came,
                        int64_t patience_ns);

/* Of the accepted events from number `from` on, for endpoints that take them in the end: how many
 * were never taken; with `each`, how many deliveries of them. */
uint64_t webhooks_set_lacking(const struct webhooks_set *set, uint32_t from);
