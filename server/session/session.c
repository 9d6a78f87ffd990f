#include "session/session_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/pages.h"
#include "session/asking.h"
#include "session/presence.h"
#include "wire/out.h"

struct session_pool {
    struct session *at;
    uint32_t capacity;
    uint32_t unused; /* from here on never used */
    uint32_t free;   /* those given back */
    uint64_t random;
};

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct session_pool *pool_of(struct shard *shard)
{
    if (shard->sessions)
        return shard->sessions;
    struct session_pool *pool = malloc(sizeof *pool);
    if (!pool)
        return NULL;
    *pool = (struct session_pool){
        .at = pages_map((size_t)shard->slab_slots * sizeof *pool->at),
        .capacity = shard->slab_slots,
        .free = HUB_NONE,
        .random = shard->server->seed ^ ((uint64_t)shard->index << 48),
    };
    if (!pool->at) {
        free(pool);
        return NULL;
    }
    shard->sessions = pool;
    return pool;
}

void sessions_end(struct shard *shard)
{
    struct session_pool *pool = shard->sessions;
    presence_end(shard);
    askings_end(shard);
    if (!pool)
        return;
    pages_unmap(pool->at, (size_t)pool->capacity * sizeof *pool->at);
    free(pool);
    shard->sessions = NULL;
}

/* There are as many as lines of the slab. */
static uint32_t pool_take(struct session_pool *pool)
{
    uint32_t index = pool->free;
    if (index == HUB_NONE) {
        assert(pool->unused < pool->capacity);
        return pool->unused++;
    }
    pool->free = pool->at[index].channels;
    return index;
}

int session_begin(struct shard *shard, struct conn *conn)
{
    struct session_pool *pool = pool_of(shard);
    if (!pool)
        return -ENOMEM;
    assert(conn->subscriptions == HUB_NONE && !(conn->role & ROLE_SESSION));
    uint32_t index = pool_take(pool);
    pool->at[index] = (struct session){
        .secret = random_next(&pool->random), .channels = HUB_NONE, .state = SESSION_NEW};
    conn->subscriptions = index;
    conn->role |= ROLE_SESSION;
    counter_add(&shard->counters.sessions, 1);
    return 0;
}

struct session *session_of(const struct shard *shard, const struct conn *conn)
{
    assert(conn->role & ROLE_SESSION && conn->subscriptions < shard->sessions->unused);
    return &shard->sessions->at[conn->subscriptions];
}

void session_end(struct shard *shard, struct conn *conn)
{
    if (!(conn->role & ROLE_SESSION))
        return;
    struct session_pool *pool = shard->sessions;
    struct session *session = session_of(shard, conn);
    if (session->state == SESSION_CONNECTED)
        session_tell(shard, conn, EVENT_DISCONNECTED);
    presence_leave_all(shard, conn);
    hub_unsubscribe_all(shard->hub, &session->channels);
    connecting_end(shard, conn);
    free(session->gaps);
    free(session->ends);
    free(session->person);
    asking_end(shard, session->asking);
    *session = (struct session){.channels = pool->free};
    pool->free = conn->subscriptions;
    conn->subscriptions = HUB_NONE;
    conn->role &= ~(uint32_t)ROLE_SESSION;
    conn->link &= ~(uint32_t)LINK_CATCHES_UP;
    counter_sub(&shard->counters.sessions, 1);
}

static void digits_write(char *at, unsigned count, uint64_t value)
{
    for (unsigned i = count; i-- > 0; value >>= 4)
        at[i] = "0123456789abcdef"[value & 15];
}

void session_id_write(const struct shard *shard, const struct conn *conn, char ret[SESSION_ID_LEN])
{
    uint64_t secret = session_of(shard, conn)->secret;
    digits_write(ret, 8, conn_slot(shard, conn));
    digits_write(ret + 9, 4, shard->index);
    digits_write(ret + 14, 4, conn->generation);
    digits_write(ret + 19, 4, secret >> 48);
    digits_write(ret + 24, 12, secret);
    ret[8] = ret[13] = ret[18] = ret[23] = '-';
}

static bool digits_read(struct span digits, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter)
            return false;
        *ret = *ret << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool session_id_read(struct span id, unsigned *ret_shard, uint32_t *ret_slot)
{
    uint64_t slot, shard;
    if (id.len != SESSION_ID_LEN || !digits_read(span_of(id.ptr, 8), &slot) ||
        !digits_read(span_of(id.ptr + 9, 4), &shard))
        return false;
    *ret_slot = (uint32_t)slot;
    *ret_shard = (unsigned)shard;
    return true;
}

uint32_t session_subscription_to(const struct shard *shard, const struct session *session,
                                 struct span name)
{
    uint32_t at = session->channels;
    for (; at != HUB_NONE; at = hub_next_of(shard->hub, at)) {
        struct span own;
        own.ptr = hub_name_of(shard->hub, at, &own.len);
        if (span_equal(own, name))
            break;
    }
    return at;
}
