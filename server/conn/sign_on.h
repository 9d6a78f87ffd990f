/* sign_on: which connections live on a token, until when, and which tokens do not count any more.
 *
 *   at[slot]  user · token · issued · timer   32 bytes, beside the slab: its lines stay as they are
 *
 *   a token's end ──► timer ────────────┐
 *   a revocation ──► hub_call ──► walk ─┴─► the transport's `signed_off` says why, and ends
 *
 * Idea     Users and tokens are known by a hash of their names. A revocation is told to all shards;
 *          each remembers it for those who come later, and walks once over those who are there,
 *          however many revocations came since the last walk.
 * Threads  The shard's.
 * Memory   Pages by slot, touched by connections that sign on; 32 bytes for each revocation.
 * Bounds   revoked_max revocations; SIGN_ON_VISITS slots a turn. Two names with the same hash of 64
 *          bits, under a seed of the process, would be revoked together. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "core/timers.h"
#include "wire/span.h"

enum {
    SIGN_ON_VISITS = 16384,
};

struct hub_set;

/* What a revocation is of. */
enum revoke {
    REVOKE_USER,  /* the user's tokens that were issued until now */
    REVOKE_TOKEN, /* one, by its jti */
};

/* A sign-on, as a transport asks for it. */
struct signing {
    uint64_t user;    /* sign_on_key of REVOKE_USER; 0: none */
    uint64_t token;   /* likewise; 0: it has no name */
    int64_t issued_s; /* 0: not told, and so before every revocation */
    int64_t ends_s;   /* 0: never */
};

struct sign_on {
    uint64_t user;
    uint64_t token;
    uint32_t issued_s;
    struct timer_link timer;
};
static_assert(sizeof(struct sign_on) == 32, "two to a cache line");

struct revocation {
    uint64_t key; /* 0: a free place */
    int64_t before_s;
    int64_t until_s;
};

struct sign_ons {
    struct sign_on *at;
    struct timers timers;
    struct revocation *revoked; /* open addressing; NULL before the first */
    uint32_t revoked_places;    /* a power of two */
    uint32_t revoked_count;
    uint32_t high;    /* slots below this have been used */
    uint32_t walk_at; /* the slot to look at; UINT32_MAX: no walk is under way */
    bool walk_again;  /* a revocation has come since it began */
};

/* Returns 0 or -ENOMEM. `done` is for any shard. */
int sign_ons_init(struct shard *shard);
void sign_ons_done(struct shard *shard);

/* The hash by which a user or a token is known. */
uint64_t sign_on_key(const struct hub_set *hubs, enum revoke kind, struct span name);

/* From now on, or anew, the connection lives on a token. */
void conn_sign_on(struct shard *shard, struct conn *conn, const struct signing *signing,
                  int64_t unix_s);
/* One that does ends then instead, 0: never. */
void conn_sign_on_ends(struct shard *shard, struct conn *conn, int64_t ends_s, int64_t unix_s);
/* One that was just signed off goes on until then, as who it was. */
void conn_sign_on_again(struct shard *shard, struct conn *conn, int64_t ends_s, int64_t unix_s);
/* It does not any more. For any connection. */
void conn_sign_off(struct shard *shard, struct conn *conn);

/* Whether it may not sign on: a revocation that still counts is of its user or its token. */
bool sign_on_revoked(const struct shard *shard, const struct signing *signing, int64_t unix_s);

/* Revokes on all shards, and on this one at the end of its turn. Returns 0, or -ENOBUFS or -ENOMEM:
 * then some may not have heard of it, and it is to be asked for again. */
int sign_ons_revoke(struct shard *shard, uint64_t key, int64_t before_s, int64_t until_s);

/* Ends what is over, and walks on. Returns whether there is more to do at once. */
bool sign_ons_turn(struct shard *shard, int64_t heard_ns);
