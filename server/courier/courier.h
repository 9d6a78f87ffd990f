/* courier: a thread that posts to the servers of others, for shards that may not wait.
 *
 *   shard ── courier_ask ──► lanes ──► courier's thread ──► HTTP ──► application
 *   shard ◄── done ──────── lanes ◄── courier's thread ◄── its answer
 *
 * Idea     A helper (hub/helper.h) with an HTTP client (courier/post.h). There are two of them, so
 *          that a disk that writes slowly holds up no client that waits for a verdict: one for
 *          hooks, which ask an application; one for webhooks, which have a queue on disk.
 * Threads  courier_create, courier_start, courier_end and courier_free on one thread; courier_ask
 *          on a shard's; courier_stats_read on any.
 * Memory   A question is its asker's: see struct courier_post.
 * Bounds   hub_config.overflow_max questions of a shard that are not answered; those of
 *          courier/post.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "courier/post.h"
#include "hub/call.h"

struct courier;
struct events;
struct hub;
struct hub_set;
struct settings;
struct webhook_ask;

enum courier_role {
    COURIER_HOOKS,
    COURIER_WEBHOOKS,
    COURIER_ROLES,
};

/* A post that a shard asks for, and its answer. What post points to stays until done or drop; they
 * give the answer back by post_clear. `post.ended` is the courier's. */
struct courier_post {
    struct call call; /* .run is courier_run */
    struct post post;
    struct courier *courier; /* its own */
};

/* For call_ops.run. */
void courier_run(void *target, struct call *call);

/* The same for what is asked about webhooks (courier/webhooks.h). */
void courier_run_webhooks(void *target, struct call *call);

struct courier_waker {
    void (*wake)(void *context, unsigned shard);
    void *context;
};

enum {
    COURIER_ROWS_MAX = 48,
};

struct courier_row {
    const char *name, *kind, *help;
    const char *label; /* of an end; NULL: none */
    uint64_t value;
};

/* Reads the settings. Returns 0, and NULL where nothing needs it; or negative errno and a
 * sentence. */
int courier_create(struct courier **ret, enum courier_role role, const struct settings *settings,
                   char *why, size_t why_size);
/* Starts the thread, as that helper of the set; the shards are there. Returns 0 or negative
 * errno. */
int courier_start(struct courier *courier, struct hub_set *set, unsigned which,
                  const struct courier_waker *waker);
/* Stops the thread and waits for it: behind the end of the shards, and before they are freed. NULL
 * is allowed, and so is one that was not started. */
void courier_end(struct courier *courier);
void courier_free(struct courier *courier);

/* Asks for a post; `done` follows. Returns 0 or -ENOBUFS; then it stays with the caller. */
int courier_ask(const struct courier *courier, struct hub *hub, struct courier_post *post);

int courier_ask_webhooks(const struct courier *courier, struct hub *hub, struct webhook_ask *ask);

/* What is told of this server's own events; NULL: it is not the one for webhooks. */
struct events *courier_events(const struct courier *courier);

/* For /metrics. Returns how many. */
unsigned courier_stats_read(const struct courier *courier,
                            struct courier_row ret[COURIER_ROWS_MAX]);
