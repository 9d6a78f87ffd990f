#include "conn/sign_on.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "conn/shard.h"
#include "core/pages.h"
#include "hub/call.h"
#include "hub/hub.h"

#define NS_PER_S       INT64_C(1000000000)
#define NO_WALK        UINT32_MAX
#define TIMED_S_MAX    INT64_C(315360000) /* a token that ends later, in 10 years, never does */
#define KIND_SALT      UINT64_C(0x9e3779b97f4a7c15)
#define TIMERS_AT_ONCE 1024

int sign_ons_init(struct shard *shard)
{
    struct sign_ons *signs = calloc(1, sizeof *signs);
    if (!signs)
        return -ENOMEM;
    shard->signs = signs;
    signs->walk_at = NO_WALK;
    signs->at = pages_map(shard->slab_slots * sizeof *signs->at);
    if (!signs->at)
        return -ENOMEM;
    timers_init(&signs->timers, signs->at, sizeof *signs->at, offsetof(struct sign_on, timer),
                shard->now_ns);
    return 0;
}

void sign_ons_done(struct shard *shard)
{
    if (!shard->signs)
        return;
    if (shard->signs->at)
        pages_unmap(shard->signs->at, shard->slab_slots * sizeof *shard->signs->at);
    free(shard->signs->revoked);
    free(shard->signs);
    shard->signs = NULL;
}

uint64_t sign_on_key(const struct hub_set *hubs, enum revoke kind, struct span name)
{
    uint64_t key = hub_hash(hubs, name.ptr, name.len) ^ (kind + 1) * KIND_SALT;
    return key == 0 ? 1 : key;
}

/* ---- revocations ---- */

static uint32_t place_of(const struct sign_ons *signs, uint64_t key)
{
    uint32_t mask = signs->revoked_places - 1, at = (uint32_t)(key >> 32) & mask;
    while (signs->revoked[at].key != 0 && signs->revoked[at].key != key)
        at = (at + 1) & mask;
    return at;
}

static void put(struct sign_ons *signs, const struct revocation *revocation)
{
    struct revocation *place = &signs->revoked[place_of(signs, revocation->key)];
    if (place->key == 0) {
        signs->revoked_count++;
        *place = *revocation;
        return;
    }
    if (revocation->before_s > place->before_s)
        place->before_s = revocation->before_s;
    if (revocation->until_s > place->until_s)
        place->until_s = revocation->until_s;
}

/* Makes place, by forgetting those that are over. Returns 0, -ENOSPC or -ENOMEM. */
static int make_room(struct sign_ons *signs, uint32_t most, int64_t now_s)
{
    struct sign_ons before = *signs;
    if (signs->revoked_count < signs->revoked_places / 2 && signs->revoked_count < most)
        return 0;
    uint32_t places = 16;
    while (places < 4 * (before.revoked_count + 1))
        places *= 2;
    struct revocation *revoked = calloc(places, sizeof *revoked);
    if (!revoked)
        return -ENOMEM;
    signs->revoked = revoked;
    signs->revoked_places = places;
    signs->revoked_count = 0;
    for (uint32_t i = 0; i < before.revoked_places; i++)
        if (before.revoked[i].key != 0 && before.revoked[i].until_s > now_s)
            put(signs, &before.revoked[i]);
    free(before.revoked);
    return signs->revoked_count < most ? 0 : -ENOSPC;
}

static bool is_revoked(const struct sign_ons *signs, uint64_t key, int64_t issued_s, int64_t now_s)
{
    if (key == 0 || signs->revoked_count == 0)
        return false;
    const struct revocation *found = &signs->revoked[place_of(signs, key)];
    return found->key != 0 && found->until_s > now_s && issued_s <= found->before_s;
}

bool sign_on_revoked(const struct shard *shard, const struct signing *signing, int64_t unix_s)
{
    const struct sign_ons *signs = shard->signs;
    return signs && (is_revoked(signs, signing->user, signing->issued_s, unix_s) ||
                     is_revoked(signs, signing->token, signing->issued_s, unix_s));
}

/* On its way to a shard, which frees it. */
struct revoking {
    struct call call;
    struct revocation revocation;
};

static void revoke(struct shard *shard, const struct revocation *revocation)
{
    struct sign_ons *signs = shard->signs;
    int64_t now_s = shard_unix_s(shard);
    if (!signs)
        return;
    if (make_room(signs, (uint32_t)shard->settings->revoked_max, now_s) < 0) {
        counter_add(&shard->counters.revocations_lost, 1);
        return;
    }
    put(signs, revocation);
    counter_set(&shard->counters.revocations, signs->revoked_count);
    if (signs->walk_at == NO_WALK)
        signs->walk_at = 0;
    else
        signs->walk_again = true;
}

static void revoking_run(void *target, struct call *call)
{
    struct revoking *revoking = (struct revoking *)call;
    revoke(target, &revoking->revocation);
    free(revoking);
}

static void revoking_drop(struct call *call)
{
    free(call);
}

static const struct call_ops revoking_ops = {.run = revoking_run, .drop = revoking_drop};

static int tell(struct shard *shard, unsigned target, const struct revocation *revocation)
{
    struct revoking *revoking = malloc(sizeof *revoking);
    if (!revoking)
        return -ENOMEM;
    *revoking = (struct revoking){.call.ops = &revoking_ops, .revocation = *revocation};
    int err = hub_call(shard->hub, target, &revoking->call);
    if (err < 0)
        free(revoking);
    return err;
}

int sign_ons_revoke(struct shard *shard, uint64_t key, int64_t before_s, int64_t until_s)
{
    const struct revocation revocation = {key, before_s, until_s};
    int err = 0;
    for (unsigned i = 0; i < shard->server->shard_count && err == 0; i++)
        err = tell(shard, i, &revocation);
    return err;
}

/* ---- connections ---- */

void conn_sign_on_ends(struct shard *shard, struct conn *conn, int64_t ends_s, int64_t unix_s)
{
    struct timers *timers = &shard->signs->timers;
    uint32_t slot = conn_slot(shard, conn);
    int64_t left_s = ends_s - unix_s;
    assert(conn->role & ROLE_SIGNED_ON);
    timers_cancel(timers, slot);
    if (ends_s > 0 && left_s < TIMED_S_MAX && shard->settings->token_ends_connection)
        timers_arm(timers, slot, shard->now_ns + (left_s > 0 ? left_s : 0) * NS_PER_S);
}

void conn_sign_on(struct shard *shard, struct conn *conn, const struct signing *signing,
                  int64_t unix_s)
{
    struct sign_ons *signs = shard->signs;
    uint32_t slot = conn_slot(shard, conn);
    conn_sign_off(shard, conn);
    struct sign_on *own = &signs->at[slot];
    *own = (struct sign_on){
        .user = signing->user, .token = signing->token, .issued_s = (uint32_t)signing->issued_s};
    timer_link_init(&own->timer);
    conn->role |= ROLE_SIGNED_ON;
    if (slot >= signs->high)
        signs->high = slot + 1;
    counter_add(&shard->counters.signed_on, 1);
    conn_sign_on_ends(shard, conn, signing->ends_s, unix_s);
}

void conn_sign_on_again(struct shard *shard, struct conn *conn, int64_t ends_s, int64_t unix_s)
{
    assert(!(conn->role & ROLE_SIGNED_ON));
    conn->role |= ROLE_SIGNED_ON;
    counter_add(&shard->counters.signed_on, 1);
    conn_sign_on_ends(shard, conn, ends_s, unix_s);
}

void conn_sign_off(struct shard *shard, struct conn *conn)
{
    if (!(conn->role & ROLE_SIGNED_ON))
        return;
    conn->role &= ~(uint32_t)ROLE_SIGNED_ON;
    counter_sub(&shard->counters.signed_on, 1);
    timers_cancel(&shard->signs->timers, conn_slot(shard, conn));
}

static void end(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    const struct transport *transport = conn_transport(shard, conn);
    if (conn->state != CONN_OPEN || !(conn->role & ROLE_SIGNED_ON))
        return;
    conn_sign_off(shard, conn);
    if (transport->signed_off)
        transport->signed_off(shard, conn, reason);
    else
        conn_end(shard, conn, END_CLOSE, reason);
}

static void expired(void *context, uint32_t slot)
{
    struct shard *shard = context;
    end(shard, conn_at(shard, slot), CLOSE_TOKEN_EXPIRED);
}

static void visit(struct shard *shard, uint32_t slot, int64_t now_s)
{
    struct conn *conn = conn_at(shard, slot);
    const struct sign_on *own = &shard->signs->at[slot];
    if (!(conn->role & ROLE_SIGNED_ON))
        return;
    if (is_revoked(shard->signs, own->user, own->issued_s, now_s) ||
        is_revoked(shard->signs, own->token, own->issued_s, now_s))
        end(shard, conn, CLOSE_REVOKED);
}

/* Returns whether there is more to walk. */
static bool walk(struct shard *shard)
{
    struct sign_ons *signs = shard->signs;
    int64_t now_s = shard_unix_s(shard);
    for (unsigned visits = 0; signs->walk_at < signs->high && visits < SIGN_ON_VISITS; visits++)
        visit(shard, signs->walk_at++, now_s);
    if (signs->walk_at < signs->high)
        return true;
    signs->walk_at = signs->walk_again ? 0 : NO_WALK;
    signs->walk_again = false;
    return signs->walk_at != NO_WALK;
}

bool sign_ons_turn(struct shard *shard, int64_t heard_ns)
{
    struct sign_ons *signs = shard->signs;
    bool more = timers_advance(&signs->timers, heard_ns, TIMERS_AT_ONCE, expired, shard);
    return (signs->walk_at != NO_WALK && walk(shard)) || more;
}
