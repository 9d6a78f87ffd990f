/* secure_turn: a shard's share of TLS, and whose handshake goes on in a turn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/secure.h"
#include "conn/shard.h"
#include "core/pages.h"

#define NS_PER_S INT64_C(1000000000)
/* How far a rush may be ahead of tls_handshakes_per_s. */
#define BURST_NS INT64_C(100000000)

/* ---- making and freeing ---- */

static size_t lines_size(const struct secure *secure)
{
    return (size_t)secure->slots * sizeof *secure->lines;
}

int secure_create(struct secure **ret, const struct server *server, uint32_t slots, int64_t now_ns)
{
    const struct settings *settings = server->settings;
    struct secure *secure = calloc(1, sizeof *secure);
    if (!secure)
        return -ENOMEM;
    uint32_t shards = server->shard_count;
    secure->server = server->tls;
    secure->identities = tls_identities_ref(server->identities);
    secure->slots = slots;
    secure->begun.head = secure->hellos.head = TIMERS_NONE;
    secure->oldest = secure->newest = TIMERS_NONE;
    secure->next_ns = now_ns;
    if (settings->tls_handshakes_per_s > 0)
        secure->interval_ns = NS_PER_S * shards / settings->tls_handshakes_per_s;
    secure->handshakes_max = ((uint32_t)settings->tls_handshakes_max + shards - 1) / shards;
    secure->handshakes = tls_handshakes_create(secure->handshakes_max);
    secure->area = calloc(1, SECURE_AREA);
    secure->lines = pages_map(lines_size(secure));
    if (!secure->handshakes || !secure->area || !secure->lines) {
        secure_free(secure);
        return -ENOMEM;
    }
    /* There from the start, so that what grows later is the connections'. */
    explicit_bzero(secure->area, SECURE_AREA);
    *ret = secure;
    return 0;
}

void secure_free(struct secure *secure)
{
    if (!secure)
        return;
    tls_handshakes_free(secure->handshakes);
    tls_identities_unref(secure->identities);
    tls_identities_unref(atomic_load(&secure->fresh));
    pages_unmap(secure->lines, lines_size(secure));
    free(secure->area);
    free(secure);
}

void secure_publish(struct secure *secure, struct tls_identities *identities)
{
    tls_identities_unref(
        atomic_exchange_explicit(&secure->fresh, identities, memory_order_acq_rel));
}

/* ---- the lists ---- */

static void list_push(struct secure *secure, struct secure_list *list, uint32_t slot)
{
    secure_line(secure, slot)->early.next = TIMERS_NONE;
    if (list->head == TIMERS_NONE)
        list->head = slot;
    else
        secure_line(secure, list->tail)->early.next = slot;
    list->tail = slot;
    list->count++;
}

static uint32_t list_pop(struct secure *secure, struct secure_list *list)
{
    uint32_t slot = list->head;
    list->head = secure_line(secure, slot)->early.next;
    list->count--;
    return slot;
}

static void gauge(struct shard *shard)
{
    counter_set(&shard->counters.tls_handshakes_waiting,
                shard->secure->begun.count + shard->secure->hellos.count);
}

static void wait_in(struct shard *shard, struct conn *conn, struct secure_list *list)
{
    conn->link |= LINK_WAITS;
    list_push(shard->secure, list, conn_slot(shard, conn));
}

/* What a hello is made of costs nothing to read. */
void secure_readable(struct shard *shard, struct conn *conn)
{
    struct secure *secure = shard->secure;
    if (secure_line(secure, conn_slot(shard, conn))->early.handshake)
        wait_in(shard, conn, &secure->begun);
    else
        conn_receive_soon(shard, conn);
}

void secure_wait(struct shard *shard, struct conn *conn)
{
    wait_in(shard, conn, &shard->secure->hellos);
}

/* ---- who holds a handshake ---- */

static uint32_t *older_of(struct secure *secure, uint32_t slot)
{
    return slot == TIMERS_NONE ? &secure->newest : &secure_line(secure, slot)->early.older;
}

static uint32_t *newer_of(struct secure *secure, uint32_t slot)
{
    return slot == TIMERS_NONE ? &secure->oldest : &secure_line(secure, slot)->early.newer;
}

void secure_lent(struct shard *shard, struct conn *conn)
{
    struct secure *secure = shard->secure;
    uint32_t slot = conn_slot(shard, conn), before = secure->newest;
    union secure_line *line = secure_line(secure, slot);
    line->early.since_ns = shard->now_ns;
    line->early.older = before;
    line->early.newer = TIMERS_NONE;
    *newer_of(secure, before) = slot;
    secure->newest = slot;
}

void secure_returned(struct shard *shard, struct conn *conn)
{
    struct secure *secure = shard->secure;
    const union secure_line *line = secure_line(secure, conn_slot(shard, conn));
    *newer_of(secure, line->early.older) = line->early.newer;
    *older_of(secure, line->early.newer) = line->early.older;
}

void secure_stepped(struct shard *shard, struct conn *conn)
{
    union secure_line *line = secure_line(shard->secure, conn_slot(shard, conn));
    if (line->early.exchanged)
        return;
    line->early.exchanged = true;
    secure_returned(shard, conn);
    secure_lent(shard, conn);
}

/* Who has held one too long, or TIMERS_NONE. Who has just been heard may be about to finish. */
static uint32_t squatter(struct shard *shard)
{
    struct secure *secure = shard->secure;
    for (uint32_t slot = secure->oldest; slot != TIMERS_NONE; slot = *newer_of(secure, slot)) {
        if (secure_line(secure, slot)->early.since_ns + SECURE_PATIENCE_NS > shard->now_ns)
            return TIMERS_NONE;
        if (!(conn_at(shard, slot)->link & (LINK_WAITS | LINK_RECEIVING)))
            return slot;
    }
    return TIMERS_NONE;
}

static bool make_place(struct shard *shard)
{
    struct secure *secure = shard->secure;
    if (tls_handshakes_in_use(secure->handshakes) < secure->handshakes_max)
        return true;
    uint32_t slot = squatter(shard);
    if (slot == TIMERS_NONE)
        return false;
    secure_evict(shard, conn_at(shard, slot));
    return true;
}

/* How long until there may be a place. */
static int64_t place_wait_ns(const struct secure *secure, int64_t now_ns)
{
    if (tls_handshakes_in_use(secure->handshakes) < secure->handshakes_max)
        return 0;
    int64_t wait_ns =
        secure_line(secure, secure->oldest)->early.since_ns + SECURE_PATIENCE_NS - now_ns;
    return wait_ns > 0 ? wait_ns : 0;
}

/* ---- whose turn it is ---- */

/* How long until the next one may begin. */
static int64_t rate_wait_ns(const struct secure *secure, int64_t now_ns)
{
    int64_t wait_ns = secure->next_ns - BURST_NS - now_ns;
    return secure->interval_ns > 0 && wait_ns > 0 ? wait_ns : 0;
}

static void rate_count(struct secure *secure, int64_t now_ns)
{
    if (secure->next_ns < now_ns)
        secure->next_ns = now_ns;
    secure->next_ns += secure->interval_ns;
}

/* How long until the next one may begin. */
static int64_t begin_wait_ns(const struct secure *secure, int64_t now_ns)
{
    int64_t rate_ns = rate_wait_ns(secure, now_ns), place_ns = place_wait_ns(secure, now_ns);
    return rate_ns > place_ns ? rate_ns : place_ns;
}

/* What the next step of a handshake that has begun may cost: with a key exchange the most. */
static int64_t step_cost(const struct secure_early *early)
{
    return early->exchanged || tls_handshake_resumed(early->handshake) ? 1 : SECURE_EXCHANGE_STEPS;
}

/* Returns what it costs: 0, unless it is one whose handshake goes on. */
static int64_t take_up(struct shard *shard, uint32_t slot)
{
    struct conn *conn = conn_at(shard, slot);
    conn->link &= ~(uint32_t)LINK_WAITS;
    if (conn->state == CONN_CLOSING) {
        conn_release(shard, conn);
        return 0;
    }
    /* It may be received from at once, and then its line has keys in the place of a handshake. */
    bool open = conn->state == CONN_OPEN;
    int64_t cost = open ? step_cost(&secure_line(shard->secure, slot)->early) : 0;
    conn_receive_soon(shard, conn);
    return conn->state == CONN_OPEN ? cost : 0;
}

/* Returns what it has cost; 0, unless its handshake has begun. */
static int64_t begin(struct shard *shard, uint32_t slot)
{
    struct conn *conn = conn_at(shard, slot);
    conn->link &= ~(uint32_t)LINK_WAITS;
    if (conn->state == CONN_CLOSING)
        conn_release(shard, conn);
    else if (conn->state != CONN_OPEN)
        conn_watch_read(shard, conn);
    else
        return secure_begin(shard, conn) ? SECURE_SIGNATURE_STEPS : 1;
    return 0;
}

/* Both return what is left of the turn's steps. */
static int64_t take_up_begun(struct shard *shard, int64_t left)
{
    struct secure *secure = shard->secure;
    while (left > 0 && secure->begun.head != TIMERS_NONE)
        left -= take_up(shard, list_pop(secure, &secure->begun));
    return left;
}

static int64_t begin_others(struct shard *shard, int64_t left, bool *ret_place)
{
    struct secure *secure = shard->secure;
    while (left > 0 && secure->hellos.head != TIMERS_NONE &&
           rate_wait_ns(secure, shard->now_ns) == 0 && (*ret_place = make_place(shard))) {
        int64_t cost = begin(shard, list_pop(secure, &secure->hellos));
        if (cost > 0)
            rate_count(secure, shard->now_ns);
        left -= cost;
    }
    return left;
}

/* Those who have begun go first, but for every other turn in which that has left nothing for those
 * whose hello waits: bytes that trickle are steps, too. */
bool secure_turn(struct shard *shard)
{
    struct secure *secure = shard->secure;
    int64_t left = shard->settings->tls_handshakes_per_turn;
    bool place = true, turned = secure->hellos_first;
    if (turned)
        left = begin_others(shard, left, &place);
    left = take_up_begun(shard, left);
    secure->hellos_first = !turned && left <= 0;
    if (!turned)
        begin_others(shard, left, &place);
    gauge(shard);
    secure->behind = secure->begun.head != TIMERS_NONE || (place && secure_wait_ns(shard) == 0);
    return secure->behind;
}

int64_t secure_wait_ns(const struct shard *shard)
{
    const struct secure *secure = shard->secure;
    return secure->hellos.head == TIMERS_NONE ? INT64_MAX : begin_wait_ns(secure, shard->now_ns);
}
