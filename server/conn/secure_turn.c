/* secure_turn: a shard's share of TLS, and whose handshake goes on in a turn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "conn/secure.h"
#include "conn/shard.h"

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
    secure->begun.head = secure->unbegun.head = TIMERS_NONE;
    secure->next_ns = now_ns;
    if (settings->tls_handshakes_per_s > 0)
        secure->interval_ns = NS_PER_S * shards / settings->tls_handshakes_per_s;
    secure->handshakes =
        tls_handshakes_create(((uint32_t)settings->tls_handshakes_max + shards - 1) / shards);
    secure->area = calloc(1, SECURE_AREA);
    void *lines = mmap(NULL, lines_size(secure), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    secure->lines = lines == MAP_FAILED ? NULL : lines;
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
    if (secure->lines)
        munmap(secure->lines, lines_size(secure));
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
                shard->secure->begun.count + shard->secure->unbegun.count);
}

void secure_readable(struct shard *shard, struct conn *conn)
{
    struct secure *secure = shard->secure;
    uint32_t slot = conn_slot(shard, conn);
    conn->link |= LINK_WAITS;
    list_push(secure,
              secure_line(secure, slot)->early.handshake ? &secure->begun : &secure->unbegun, slot);
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

/* Returns whether it is one whose handshake goes on. */
static bool take_up(struct shard *shard, uint32_t slot)
{
    struct conn *conn = conn_at(shard, slot);
    conn->link &= ~(uint32_t)LINK_WAITS;
    if (conn->state == CONN_CLOSING) {
        conn_release(shard, conn);
        return false;
    }
    conn_receive_soon(shard, conn);
    return conn->state == CONN_OPEN;
}

bool secure_turn(struct shard *shard)
{
    struct secure *secure = shard->secure;
    int64_t left = shard->settings->tls_handshakes_per_turn;
    while (left > 0 && secure->begun.head != TIMERS_NONE)
        left -= take_up(shard, list_pop(secure, &secure->begun));
    while (left > 0 && secure->unbegun.head != TIMERS_NONE &&
           rate_wait_ns(secure, shard->now_ns) == 0) {
        if (!take_up(shard, list_pop(secure, &secure->unbegun)))
            continue;
        rate_count(secure, shard->now_ns);
        left--;
    }
    gauge(shard);
    return secure->begun.head != TIMERS_NONE ||
           (secure->unbegun.head != TIMERS_NONE && rate_wait_ns(secure, shard->now_ns) == 0);
}

int64_t secure_wait_ns(const struct shard *shard)
{
    const struct secure *secure = shard->secure;
    return secure->unbegun.head == TIMERS_NONE ? INT64_MAX : rate_wait_ns(secure, shard->now_ns);
}
