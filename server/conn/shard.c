#include "conn/shard.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conn/client.h"
#include "conn/log.h"
#include "conn/secure.h"
#include "conn/sign_on.h"
#include "conn/top.h"
#include "core/pages.h"
#include "hub/hub.h"
#include "wire/http.h"
#include "wire/out.h"

enum {
    /* No more than the hub takes from one shard in a turn: a million clients that ask at once wait
     * in their sockets, and not in the hub's queue, which would refuse them. */
    EVENTS_PER_TURN_MAX = 1024,
    /* As many as a turn can flush: pings do not outrun what is sent and heard. */
    TIMERS_PER_TURN = FLUSH_MAX,
};
#define WAIT_MAX_NS    INT64_C(1000000000)
#define DRAIN_STEP_NS  INT64_C(10000000)
#define TIMER_SLACK_NS 1000UL
#define BEHIND_MAX_NS  INT64_C(30000000000) /* that deadlines wait when the server is behind */

/* ---- the hub's answers, to whom they are for ---- */

static void on_subscribed(void *context, const struct hub_reply *reply)
{
    struct shard *shard = context;
    struct conn *conn = conn_of_ticket(shard, &reply->ticket);
    if (conn && conn_transport(shard, conn)->subscribed)
        conn_transport(shard, conn)->subscribed(shard, conn, reply);
}

static void on_read(void *context, const struct hub_reply *reply)
{
    struct shard *shard = context;
    struct conn *conn = conn_of_ticket(shard, &reply->ticket);
    if (conn && conn_transport(shard, conn)->read)
        conn_transport(shard, conn)->read(shard, conn, reply);
}

static void on_published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                         uint64_t offset)
{
    struct shard *shard = context;
    struct conn *conn = conn_of_ticket(shard, ticket);
    if (err == 0)
        counter_add(&shard->counters.messages_received, 1);
    if (conn && conn_transport(shard, conn)->published)
        conn_transport(shard, conn)->published(shard, conn, ticket, err, epoch, offset);
}

/* Live messages are queued during their batch alone, and all of them are of its channel. */
static enum slow_reader_policy slow_reader_of(const struct settings *settings, struct span channel)
{
    switch (namespace_of(&settings->namespaces, channel)->slow_reader) {
    case OWN_POLICY_DISCONNECT:
        return SLOW_READER_DISCONNECT;
    case OWN_POLICY_DROP_OLDEST:
        return SLOW_READER_DROP_OLDEST;
    case OWN_POLICY_KEEP_LATEST:
        return SLOW_READER_KEEP_LATEST;
    case OWN_POLICY_COMMON:
        break;
    }
    return settings->slow_reader;
}

static void on_batch(void *context, const struct hub_batch *batch)
{
    struct shard *shard = context;
    shard->slow_reader = slow_reader_of(shard->settings, span_of(batch->name, batch->name_len));
    if (shard->top)
        top_note(shard->top, shard->now_ns, batch);
    shard->server->batch_begin(shard, batch);
}

static void on_batch_done(void *context)
{
    struct shard *shard = context;
    if (shard->server->batch_done)
        shard->server->batch_done(shard);
}

static void on_deliver(void *context, uint32_t slot, uint32_t subscription,
                       const struct hub_batch *batch)
{
    struct shard *shard = context;
    struct conn *conn = &shard->slab[slot];
    if (conn->state == CONN_OPEN)
        conn_transport(shard, conn)->deliver(shard, conn, subscription, batch);
    if (shard->dirty_count >= SEND_BATCH)
        shard_flush_batch(shard);
}

static void on_events(void *context, uint32_t slot, uint32_t subscription,
                      const struct hub_batch *batch)
{
    struct shard *shard = context;
    struct conn *conn = &shard->slab[slot];
    if (conn->state == CONN_OPEN && conn_transport(shard, conn)->events)
        conn_transport(shard, conn)->events(shard, conn, subscription, batch);
    if (shard->dirty_count >= SEND_BATCH)
        shard_flush_batch(shard);
}

/* A long poll has no words for it: its client asks again, with its position. */
static void on_lost(void *context, uint32_t slot, uint32_t subscription,
                    const struct hub_batch *batch)
{
    struct shard *shard = context;
    struct conn *conn = &shard->slab[slot];
    (void)subscription;
    (void)batch;
    if (conn->state != CONN_OPEN)
        return;
    const struct transport *transport = conn_transport(shard, conn);
    if (transport->signed_off && conn->transport != TRANSPORT_LONGPOLL)
        transport->signed_off(shard, conn, CLOSE_GAP);
    else
        conn_end(shard, conn, END_CLOSE, CLOSE_GAP);
}

static void on_wake(void *context, unsigned target)
{
    struct shard *shard = context;
    ring_wake(shard->server->shards[target]->ring);
}

static const struct hub_ops hub_ops = {
    .subscribed = on_subscribed,
    .read = on_read,
    .published = on_published,
    .batch = on_batch,
    .batch_done = on_batch_done,
    .deliver = on_deliver,
    .deliver_events = on_events,
    .lost = on_lost,
    .wake = on_wake,
};

/* ---- making and freeing ---- */

uint32_t shard_connections(uint64_t total, unsigned shards)
{
    if (shards == 1)
        return (uint32_t)total;
    /* SO_REUSEPORT spreads evenly only on average. */
    uint64_t share = (total + shards - 1) / shards;
    return (uint32_t)(share + share / 8 + 64);
}

static int memory_init(struct shard *shard)
{
    shard->slab = pages_map((size_t)shard->slab_slots * sizeof *shard->slab);
    if (!shard->slab)
        return -ENOMEM;
    shard->receive_area = malloc((size_t)RECEIVE_BATCH * RECEIVE_BYTES);
    shard->scratch = malloc((size_t)shard->settings->head_bytes_max);
    shard->batch = malloc(sizeof *shard->batch);
    if (!shard->receive_area || !shard->scratch || !shard->batch)
        return -ENOMEM;
    /* What a shard has from the start is there from the start, so that what grows later is the
     * connections'. */
    explicit_bzero(shard->receive_area, (size_t)RECEIVE_BATCH * RECEIVE_BYTES);
    explicit_bzero(shard->scratch, (size_t)shard->settings->head_bytes_max);
    explicit_bzero(shard->batch, sizeof *shard->batch);
    shard->batch->gathered = calloc(SEND_GATHERED, sizeof *shard->batch->gathered);
    shard->batch->vectors =
        calloc((size_t)SEND_GATHERED * SEND_VECTORS, sizeof *shard->batch->vectors);
    return shard->batch->gathered && shard->batch->vectors ? 0 : -ENOMEM;
}

int shard_create(struct shard **ret, const struct server *server, unsigned index, struct ring *ring,
                 int64_t now_ns, char *why, size_t why_size)
{
    struct shard *shard = calloc(1, sizeof *shard);
    if (!shard)
        return -ENOMEM;
    shard->server = server;
    shard->settings = server->settings;
    shard->ring = ring;
    shard->index = index;
    shard->now_ns = shard->heard_ns = now_ns;
    bool carries = server->http2 || server->quic;
    uint32_t streams = carries ? streams_of_shard(server->settings, server->shard_count) : 0;
    shard->slab_slots = ring->capacity + streams;
    shard->live_max =
        shard_connections((uint64_t)server->settings->max_connections, server->shard_count);
    shard->dirty_head = TIMERS_NONE;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        shard->listen_fds[i] = -1;
    admission_init(&shard->admission, server->settings, server->shard_count, server->seed + index);
    shard->proxied = (unsigned)server->settings->proxy_protocol << LISTENER_PLAIN |
                     (unsigned)server->settings->tls_proxy_protocol << LISTENER_TLS;
    int err = memory_init(shard);
    if (err == 0)
        err = streams_init(shard, ring->capacity, streams);
    if (err == 0 && server->addresses)
        err = clients_init(shard);
    if (err == 0 && server->log)
        err = log_shard_init(shard);
    if (err == 0 && server->auth)
        err = sign_ons_init(shard);
    if (err == 0 && server->tls)
        err = secure_create(&shard->secure, server, ring->capacity, now_ns);
    if (err == 0) {
        timers_init(&shard->timers, shard->slab, sizeof *shard->slab, offsetof(struct conn, timer),
                    now_ns);
        shard->hub = hub_create(server->hubs, index, &hub_ops, shard);
        err = shard->hub ? 0 : -ENOMEM;
    }
    if (err == 0)
        err = datagrams_init(shard);
    if (err < 0) {
        snprintf(why, why_size, "shard %u: %s; lower max_connections, or free memory", index,
                 strerror(-err));
        shard_free(shard);
        return err;
    }
    *ret = shard;
    return 0;
}

static bool has_listeners(const struct shard *shard)
{
    bool some = false;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        some |= shard->listen_fds[i] >= 0;
    return some;
}

void shard_stop_listening(struct shard *shard)
{
    /* The armed accept holds the socket for a while; shut down, it gives up the port at once. */
    if (has_listeners(shard) && shard->listen_again_ns == 0)
        ring_listen_stop(shard->ring);
    shard->listen_again_ns = 0;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        if (shard->listen_fds[i] < 0)
            continue;
        if (!shard_is_kept(shard, i))
            shutdown(shard->listen_fds[i], SHUT_RDWR);
        close(shard->listen_fds[i]);
        shard->listen_fds[i] = -1;
    }
}

void shard_free(struct shard *shard)
{
    if (!shard)
        return;
    for (uint32_t slot = 0; shard->hub && shard->live > 0 && slot < shard->slots_high; slot++)
        conn_end(shard, &shard->slab[slot], END_CLOSE, CLOSE_GOING_AWAY);
    if (shard->hub)
        datagrams_done(shard);
    if (shard->server->batch_end)
        shard->server->batch_end(shard);
    if (shard->server->sessions_end)
        shard->server->sessions_end(shard);
    secure_free(shard->secure);
    clients_done(shard);
    if (shard->server->log)
        log_shard_done(shard);
    sign_ons_done(shard);
    hub_free(shard->hub);
    blocks_done(&shard->blocks);
    if (shard->ring)
        shard_stop_listening(shard);
    ring_free(shard->ring);
    if (shard->batch) {
        free(shard->batch->gathered);
        free(shard->batch->vectors);
    }
    free(shard->batch);
    free(shard->top);
    free(shard->scratch);
    free(shard->receive_area);
    streams_done(shard);
    pages_unmap(shard->slab, (size_t)shard->slab_slots * sizeof *shard->slab);
    free(shard);
}

/* ---- turning ---- */

int shard_listen(struct shard *shard, enum listener listener, int fd)
{
    shard->listen_fds[listener] = fd;
    return ring_listen(shard->ring, listener, fd);
}

void shard_reload(struct shard *shard, struct tls_identities *identities)
{
    secure_publish(shard->secure, identities);
}

/* Connections stay in the backlog while the machine has no descriptor or memory for them; trying at
 * once again would only burn the core. */
static void refused(struct shard *shard, int32_t err)
{
    bool shortage =
        err == -ENFILE || err == -EMFILE || err == -ENOMEM || err == -ENOBUFS || err == -ENOSPC;
    counter_add(&shard->counters.accept_refused, 1);
    if (!shortage || !has_listeners(shard) || shard->listen_again_ns != 0)
        return;
    ring_listen_stop(shard->ring);
    shard->listen_again_ns = shard->now_ns + ACCEPT_PAUSE_MS * INT64_C(1000000);
}

static void listen_again(struct shard *shard)
{
    if (shard->listen_again_ns == 0 || shard->now_ns < shard->listen_again_ns)
        return;
    shard->listen_again_ns = 0;
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++)
        if (shard->listen_fds[i] >= 0)
            ring_listen(shard->ring, i, shard->listen_fds[i]);
}

void shard_succeed(struct shard *shard)
{
    shard->listen_anew_left = ACCEPT_ANEW_TIMES;
}

static void listen_anew(struct shard *shard)
{
    if (shard->listen_anew_left == 0 || shard->now_ns < shard->listen_anew_ns)
        return;
    shard->listen_anew_left--;
    shard->listen_anew_ns = shard->now_ns + ACCEPT_ANEW_MS * INT64_C(1000000);
    if (!has_listeners(shard) || shard->listen_again_ns != 0)
        return;
    ring_listen_stop(shard->ring);
    shard->listen_again_ns = shard->now_ns;
    listen_again(shard);
}

/* How long nothing needs this shard but what comes from outside. */
static int64_t wait_ns(const struct shard *shard)
{
    int64_t most_ns = shard->draining ? DRAIN_STEP_NS : WAIT_MAX_NS;
    int64_t wait = timers_wait_ns(&shard->timers, shard->now_ns, most_ns);
    if (shard->signs)
        wait = timers_wait_ns(&shard->signs->timers, shard->now_ns, wait);
    wait = datagrams_wait_ns(shard, wait);
    int64_t handshake = shard->secure ? secure_wait_ns(shard) : INT64_MAX;
    if (handshake < wait)
        wait = handshake;
    if (shard->listen_anew_left > 0 && shard->listen_anew_ns - shard->now_ns < wait)
        wait = shard->listen_anew_ns - shard->now_ns;
    if (shard->listen_again_ns == 0)
        return wait;
    int64_t listen = shard->listen_again_ns - shard->now_ns;
    return listen < wait ? listen : wait;
}

/* A connection that waits for each answer before it asks again brings events as fast, and waits for
 * nobody: its own slot comes again and again. */
static void watch_trickle(struct shard *shard, unsigned events, uint32_t slot)
{
    struct trickle *trickle = &shard->trickle;
    bool fast = shard->now_ns - trickle->turn_ns < TRICKLE_NS;
    trickle->several =
        events > 0 && events <= TRICKLE_EVENTS && fast && (events > 1 || slot != trickle->slot);
    if (events == 0)
        return;
    trickle->turn_ns = shard->now_ns;
    trickle->slot = slot;
}

/* So many have been taken in this turn. */
static bool may_take_events(const struct shard *shard, unsigned count)
{
    return count < EVENTS_PER_TURN_MAX && shard->received_bytes < RECEIVE_TURN_BYTES;
}

/* Returns whether there may be more of them. */
static bool take_events(struct shard *shard)
{
    struct ring_event event = {.slot = 0};
    unsigned n = 0;
    shard->received_bytes = 0;
    for (; may_take_events(shard, n) && ring_next(shard->ring, &event); n++) {
        switch (event.kind) {
        case RING_ACCEPTED:
            shard_accepted(shard, event.slot, (enum listener)event.res);
            break;
        case RING_REFUSED:
            refused(shard, event.res);
            break;
        case RING_READABLE:
            shard_readable(shard, event.slot, event.res);
            break;
        case RING_WRITABLE:
            shard_writable(shard, event.slot);
            break;
        case RING_CONNECTED:
            assert(!"a server opens no connections");
            break;
        case RING_PACKETS:
            datagrams_arrived(shard, event.slot, event.res);
            break;
        }
    }
    watch_trickle(shard, n, event.slot);
    bool more = !may_take_events(shard, n);
    shard_receive(shard);
    return more || (shard->secure && shard->secure->behind);
}

/* The time that deadlines are held against: until when everybody has been heard. A server that is
 * behind, or was stopped for a while, has the answers of its clients lying unread; who ends
 * connections for a silence that is its own loses them all, and has them all back at once. */
static int64_t heard_until(struct shard *shard, int64_t now_ns, bool more_events)
{
    if (!more_events)
        shard->heard_ns = now_ns;
    else if (now_ns - shard->heard_ns > BEHIND_MAX_NS)
        shard->heard_ns = now_ns - BEHIND_MAX_NS;
    return shard->heard_ns;
}

int64_t shard_unix_s(const struct shard *shard)
{
    return shard->server->unix_s ? shard->server->unix_s() : shard->now_ns / 1000000000;
}

/* RFC 9110 section 6.6.1: a server with a clock says when it answered. Once a second will do. */
static void tell_date(struct shard *shard)
{
    int64_t second = shard->now_ns / 1000000000;
    if (!shard->server->unix_s || shard->date_s == second)
        return;
    shard->date_s = second;
    struct out out = out_begin(shard->date, sizeof shard->date);
    out_text(&out, "Date: ");
    http_date_write(out.at, (uint64_t)shard->server->unix_s());
    out.at += HTTP_DATE_SIZE;
    out_text(&out, "\r\n");
    shard->date_len = (uint8_t)out_end(&out);
}

/* Behind all that live connections were owed: a step may take a millisecond, and then they are
 * looked at again. Returns whether there is more to do at once. */
static bool shake_hands(struct shard *shard)
{
    bool more = secure_turn(shard);
    shard_receive(shard);
    return more || shard->dirty_head != TIMERS_NONE;
}

int64_t shard_turn(struct shard *shard, int64_t now_ns)
{
    shard->now_ns = now_ns;
    shard->beat = (uint8_t)(1 + now_ns / heartbeat_part_ns(shard) % BEATS);
    tell_date(shard);
    counter_add(&shard->counters.turns, 1);
    counter_set(&shard->counters.system_calls, shard->ring->stats.enters);
    bool more = take_events(shard);
    int64_t heard_ns = heard_until(shard, now_ns, more);
    listen_again(shard);
    listen_anew(shard);
    if (atomic_load_explicit(&shard->stopping, memory_order_relaxed))
        more |= shard_drain_turn(shard);
    more |= timers_advance(&shard->timers, heard_ns, TIMERS_PER_TURN, conn_timer_fired, shard);
    more |= hub_turn(shard->hub, now_ns);
    if (shard->signs)
        more |= sign_ons_turn(shard, heard_ns);
    if (shard->answers || shard->answered_bytes > 0)
        shard->server->answers_turn(shard);
    more |= datagrams_turn(shard);
    more |= shard_flush(shard);
    datagrams_flush(shard);
    if (shard->secure)
        more |= shake_hands(shard);
    if (more || shard->answers)
        return 0;
    return wait_ns(shard);
}

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* To be woken for each of a trickle of events costs more than they do: they are let gather. */
static int wait_for_events(const struct shard *shard, int64_t wait_ns)
{
    int64_t gather_ns = shard->settings->gather_us * 1000;
    if (!shard->trickle.several || gather_ns == 0 || wait_ns <= gather_ns)
        return ring_wait(shard->ring, wait_ns);
    return ring_gather(shard->ring, gather_ns, wait_ns);
}

static void count_turn(struct shard *shard, int64_t took_ns)
{
    unsigned length = 0;
    while (length < TURN_LENGTHS - 1 && took_ns > TURN_LENGTH_NS(length))
        length++;
    counter_add(&shard->counters.turn_lengths[length], 1);
    counter_add(&shard->counters.turns_ns, (uint64_t)took_ns);
}

void shard_run(struct shard *shard)
{
    int64_t wait_ns = 0;
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS); /* the kernel's own would add half of gather_us */
    while (!shard_may_leave(shard)) {
        if (wait_ns > 0 && !hub_sleep(shard->hub))
            wait_ns = 0;
        int err = wait_for_events(shard, wait_ns);
        assert(err == 0);
        hub_awake(shard->hub);
        int64_t began_ns = clock_ns();
        wait_ns = shard_turn(shard, began_ns);
        count_turn(shard, clock_ns() - began_ns);
    }
}
