/* remote: the channels of a hub set whose authority is elsewhere: an engine that several nodes
 * share, which numbers what is published and keeps the history. The home shard is this node's cache
 * of it.
 *
 *   home shard ── remote_ask: publish, join, leave ──► broker's thread ──► engine
 *   home shard ◄─ the same, answered ───────────────── broker's thread ◄──
 *   home shard ◄─ remote_live: what was published ──── broker's thread ◄── subscription
 *
 * Idea     Questions and news are calls (hub/call.h) between the home shards and one helper, the
 *          broker. A shard never waits: who published is answered when the engine has, and who
 *          subscribes when the channel is joined. Decision: docs/decisions/broker.md.
 * Threads  An ask belongs to the broker's thread from `ask` until remote_answer. The remote_
 *          functions below are called on that thread.
 * Memory   The hub's: an ask goes back to it. A message of remote_live is handed over on success.
 * Bounds   hub_config.overflow_max asks of a shard that are not answered, and remote_bytes_max of
 *          what they publish; as many news to a shard that are on their way, and as many bytes of
 *          them, and as many that wait for a join. REMOTE_JOINS_MAX joins of a shard. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/call.h"

struct helper;
struct hub_rules;
struct hub_set;
struct message;
struct request;

enum {
    REMOTE_JOINS_MAX = 256,
    REMOTE_NO_EPOCH = 0, /* no channel has it */
};

enum remote_kind {
    REMOTE_PUBLISH,
    REMOTE_JOIN,   /* subscribe, then say where the channel stands and what its history holds */
    REMOTE_LEAVE,  /* no answer is wanted: give it back by remote_answer all the same */
    REMOTE_FORGET, /* remove what is kept, and publish a MESSAGE_FORGET that says up to where */
};

/* What the authority made of a publish with terms (struct message_terms). */
enum remote_known {
    REMOTE_NEW,      /* it is published */
    REMOTE_REPEATED, /* it was before: epoch and offset are those of then */
    REMOTE_OUTDATED, /* its version is not above the channel's: they are where that stands */
};

struct remote_ask {
    struct call call; /* err is the answer: 0; -ENOTCONN: not done, the engine is not reached;
                         -ETIMEDOUT: perhaps done; -ENOSPC: the engine has no room; -EMSGSIZE:
                         never for what is so large; -EPIPE: the channel has ended; -ECANCELED:
                         see remote_canceled; -ENOMEM; -EPROTO: the engine says what it must
                         not */
    struct hub *hub;
    enum remote_kind kind;
    int64_t until_ns;              /* the broker's own */
    const struct hub_rules *rules; /* of the channel */
    uint64_t hash;
    /* PUBLISH, FORGET: the answer. JOIN: where the home stands, then the answer. */
    uint64_t epoch;
    uint64_t offset;
    bool stands; /* JOIN: the home has a position; the history behind it will do, if it is all */
    bool ended;  /* JOIN: the answer */
    /* PUBLISH; of FORGET the message that says so */
    struct message *message;
    unsigned from; /* the shard that waits for it */
    bool ask;
    enum remote_known known;
    struct ticket publisher;
    /* FORGET: what is answered */
    struct request *request;
    /* JOIN: the newest messages, in order of offset and without a gap up to `offset`; they and the
     * list are the ask's. kept_until_ns is how old they are. `kept`: how many there are
     * in all. */
    struct message **messages;
    unsigned count;
    uint64_t kept;
    uint8_t name_len;
    char name[];
};

/* Some of all channels. Whoever makes one keeps it as long as there are shards; `has` is asked on
 * their threads. */
struct remote_scope {
    bool (*has)(const struct remote_scope *scope, const char *name, size_t len);
};

struct broker_ops {
    /* On the broker's thread, with what its helper was made with. */
    void (*ask)(void *broker, struct remote_ask *ask);
};

/* Before one that waited is sent: whether something before it in its line was refused meanwhile
 * (hub/helper.h). Then its answer is -ECANCELED. */
bool remote_canceled(const struct remote_ask *ask);

/* Gives an ask back, with its answer in it. */
void remote_answer(struct helper *broker, struct remote_ask *ask);

/* A message of this channel has been published, here or on another node; epoch and offset are the
 * engine's. Returns 0, or -ENOBUFS or -ENOMEM; then the message stays with the caller. */
int remote_live(struct helper *broker, struct hub_set *set, struct message *message);

/* One channel that was joined is to be joined again: its subscription was lost. Returns 0, -ENOBUFS
 * or -ENOMEM. */
int remote_rejoin(struct helper *broker, struct hub_set *set, const char *name, size_t len);

/* Whether half of the bytes that may be on their way to a shard are free. */
bool remote_has_room(const struct hub_set *set, unsigned shard);

/* All of a scope that was joined is to be joined again: the subscriptions were lost. NULL: all that
 * there is. To one shard. Returns 0, -ENOBUFS or -ENOMEM: say it again later. */
int remote_reset(struct helper *broker, struct hub_set *set, unsigned shard,
                 const struct remote_scope *scope);
