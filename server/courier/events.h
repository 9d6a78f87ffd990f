/* events: what happens in this server, on its way to the webhooks.
 *
 *   home shard ── hub_witness.told ─┐
 *   session ────── events_tell ─────┴─► call ─► lanes ─► courier ─► webhooks_accept
 *
 * Idea     A shard hands over a reference on the message, or a copy of a few words: it is made into
 *          JSON on the courier's thread. What no endpoint wants is not handed over at all.
 * Threads  events_tell and `told` on a shard's; the rest on the courier's, or before the shards.
 * Memory   An event is on the heap until the courier has taken it.
 * Bounds   hub_config.overflow_max events of a shard that the courier has not taken; more are lost,
 *          and counted. */
#pragma once

#include <stdint.h>

#include "hub/witness.h"
#include "wire/span.h"

struct webhooks;

/* X(NAME, type): the first are those of enum hub_event. */
#define SERVER_EVENTS(X)                                                                           \
    X(PUBLISHED, "channel.published")                                                              \
    X(OCCUPIED, "channel.occupied")                                                                \
    X(VACATED, "channel.vacated")                                                                  \
    X(CACHE_EMPTY, "channel.cache_empty")                                                          \
    X(JOINED, "channel.joined")                                                                    \
    X(LEFT, "channel.left")                                                                        \
    X(CONNECTED, "client.connected")                                                               \
    X(DISCONNECTED, "client.disconnected")

#define SERVER_EVENT_ENUM(NAME, type) EVENT_##NAME,
enum server_event {
    SERVER_EVENTS(SERVER_EVENT_ENUM) SERVER_EVENT_COUNT,
};

struct events {
    struct hub_witness witness;
    struct webhooks *webhooks;
    unsigned participant;                 /* the courier's */
    unsigned wanting[SERVER_EVENT_COUNT]; /* endpoints */
    _Atomic uint64_t lost;
};

void events_init(struct events *events, struct webhooks *webhooks);

/* An endpoint that wants these has come (`by` 1) or gone (-1): bits 1 << enum server_event. */
void events_count(struct events *events, uint32_t types, int by);

struct span event_type(enum server_event event);

/* Tells of something besides what the hub tells; `data` is JSON. Costs nothing that matters where
 * nobody wants it: ask witness_wants before `data` is made. */
void events_tell(struct events *events, struct hub *hub, enum server_event event,
                 struct span channel, struct span data);
