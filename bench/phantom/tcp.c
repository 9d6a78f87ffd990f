#include "phantom/tcp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/pages.h"
#include "phantom/random.h"
#include "phantom/tcp_internal.h"

/* The wheel's ticks are 100 ms of the time that it is told: it is told that time runs faster. */
#define WHEEL_SPEED (TIMERS_TICK_NS / (TICK_MS * INT64_C(1000000)))

/* ---- making ---- */

uint32_t tcp_lines(const struct tcp_config *config)
{
    return config->slots + config->orphans;
}

int tcp_create(struct tcp **ret, const struct tcp_config *config)
{
    struct tcp *tcp = calloc(1, sizeof *tcp);
    if (!tcp)
        return -ENOMEM;
    tcp->config = *config;
    tcp->line_count = tcp_lines(config);
    tcp->pair_count = (uint64_t)config->address_count * config->port_count;
    tcp->flow_count = tcp->line_count + FLOWS_SPARE;
    tcp->flow_free = FLOW_NONE;
    tcp->lines = pages_map(tcp->line_count * sizeof *tcp->lines);
    tcp->by_pair = pages_map(tcp->pair_count * sizeof *tcp->by_pair);
    tcp->flows = pages_map(tcp->flow_count * sizeof *tcp->flows);
    tcp->delayed = pages_map(TCP_DELAYED * sizeof *tcp->delayed);
    const bool extra = config->timestamps || config->window_scale;
    if (extra)
        tcp->extras = pages_map(tcp->line_count * sizeof *tcp->extras);
    if (!tcp->lines || !tcp->by_pair || !tcp->flows || !tcp->delayed || (extra && !tcp->extras) ||
        chunks_init(&tcp->chunks, config->chunks) < 0) {
        tcp_free(tcp);
        return -ENOMEM;
    }
    *ret = tcp;
    return 0;
}

void tcp_free(struct tcp *tcp)
{
    if (!tcp)
        return;
    pages_unmap(tcp->lines, tcp->line_count * sizeof *tcp->lines);
    pages_unmap(tcp->extras, tcp->line_count * sizeof *tcp->extras);
    pages_unmap(tcp->by_pair, tcp->pair_count * sizeof *tcp->by_pair);
    pages_unmap(tcp->flows, tcp->flow_count * sizeof *tcp->flows);
    pages_unmap(tcp->delayed, TCP_DELAYED * sizeof *tcp->delayed);
    if (tcp->chunks.area)
        chunks_done(&tcp->chunks);
    free(tcp);
}

void tcp_time(struct tcp *tcp, int64_t now_ns)
{
    if (tcp->now_ns == 0) {
        timers_init(&tcp->timers, tcp->flows, sizeof *tcp->flows, offsetof(struct tcp_flow, timer),
                    now_ns * WHEEL_SPEED);
        tcp->random = (uint64_t)now_ns;
    }
    assert(now_ns >= tcp->now_ns);
    tcp->now_ns = now_ns;
}

const struct tcp_counters *tcp_counters(const struct tcp *tcp)
{
    return &tcp->counters;
}

uint32_t tcp_flows(const struct tcp *tcp)
{
    return tcp->flow_used;
}

/* ---- flows ---- */

struct tcp_flow *flow_want(struct tcp *tcp, struct tcp_line *line)
{
    if (line->flow != FLOW_NONE)
        return flow_of(tcp, line);
    assert(tcp->flows);
    uint32_t index = tcp->flow_free;
    if (index != FLOW_NONE)
        tcp->flow_free = tcp->flows[index].line;
    else if (tcp->flow_fresh < tcp->flow_count)
        index = tcp->flow_fresh++;
    else
        return NULL;
    tcp->flow_used++;
    line->flow = index;
    tcp->flows[index] = (struct tcp_flow){
        .line = line_index(tcp, line),
        .lent = true,
        .una = line->snd_next,
        .high = line->snd_next,
        .out = CHUNK_QUEUE_EMPTY,
        .in = CHUNK_QUEUE_EMPTY,
        .store = CHUNK_NONE,
        .cwnd = FIRST_SEGMENTS * (uint32_t)mss_of(tcp, line),
    };
    timer_link_init(&tcp->flows[index].timer);
    return &tcp->flows[index];
}

static void store_drop(struct tcp *tcp, struct tcp_flow *flow)
{
    if (flow->store == CHUNK_NONE)
        return;
    struct store *store = store_of(tcp, flow);
    for (uint32_t i = 0; i < store->count; i++)
        chunk_queue_clear(&tcp->chunks, &store->pieces[i].bytes);
    chunk_give(&tcp->chunks, flow->store);
    flow->store = CHUNK_NONE;
}

static void flow_give(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    if (!flow)
        return;
    timers_cancel(&tcp->timers, line->flow);
    chunk_queue_clear(&tcp->chunks, &flow->out);
    chunk_queue_clear(&tcp->chunks, &flow->in);
    store_drop(tcp, flow);
    flow->lent = false;
    flow->line = tcp->flow_free;
    tcp->flow_free = line->flow;
    tcp->flow_used--;
    line->flow = FLOW_NONE;
}

void flow_settle(struct tcp *tcp, struct tcp_line *line)
{
    const struct tcp_flow *flow = flow_of(tcp, line);
    if (!flow || line->state == LINE_CONNECTING || line->flags & LINE_ORPHAN ||
        flow->out.bytes > 0 || flow->in.bytes > 0 || flow->store != CHUNK_NONE ||
        flow->una != flow->high || flow->una != line->snd_next ||
        (line->flags & (LINE_FIN | LINE_FIN_SENT)) == LINE_FIN)
        return;
    flow_give(tcp, line);
}

void flow_timer(struct tcp *tcp, struct tcp_line *line, uint32_t wait_ms)
{
    int64_t due_ns = tcp->now_ns + wait_ms * INT64_C(1000000);
    timers_arm(&tcp->timers, line->flow, due_ns * WHEEL_SPEED);
}

/* ---- lines ---- */

static void line_free(struct tcp *tcp, struct tcp_line *line)
{
    flow_give(tcp, line);
    if (tcp->by_pair[line->pair] == line_index(tcp, line) + 1)
        tcp->by_pair[line->pair] = 0;
    line->state = LINE_FREE;
    line->flags = 0;
}

static void fire(struct tcp *tcp, struct tcp_line *line, enum line_flag watch, int32_t res)
{
    if (!(line->flags & watch))
        return;
    line->flags &= (uint8_t)~watch;
    enum tcp_event event = watch == LINE_WATCH_READ ? TCP_READABLE : TCP_WRITABLE;
    tcp->config.calls.event(tcp->config.calls.context, event, line_index(tcp, line), res);
}

void line_readable(struct tcp *tcp, struct tcp_line *line)
{
    fire(tcp, line, LINE_WATCH_READ, 0);
}

void line_writable(struct tcp *tcp, struct tcp_line *line)
{
    fire(tcp, line, LINE_WATCH_WRITE, 0);
}

void line_connected(struct tcp *tcp, struct tcp_line *line, int err)
{
    uint32_t slot = line_index(tcp, line);
    if (err < 0)
        line_free(tcp, line);
    tcp->config.calls.event(tcp->config.calls.context, TCP_CONNECTED, slot, err);
}

/* Only what was received before, and is not read, is left. */
static void flow_end(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    if (!flow)
        return;
    timers_cancel(&tcp->timers, line->flow);
    chunk_queue_clear(&tcp->chunks, &flow->out);
    store_drop(tcp, flow);
    flow->una = flow->high = line->snd_next;
    flow_settle(tcp, line);
}

void line_die(struct tcp *tcp, struct tcp_line *line, int err)
{
    if (line->flags & LINE_ORPHAN) {
        line_free(tcp, line);
        return;
    }
    if (tcp->by_pair[line->pair] == line_index(tcp, line) + 1)
        tcp->by_pair[line->pair] = 0;
    line->state = LINE_DEAD;
    line->quick = (uint8_t)err;
    flow_end(tcp, line);
    line_readable(tcp, line);
    line_writable(tcp, line);
}

/* ---- opening ---- */

static uint32_t server_of(struct tcp *tcp, const struct sockaddr_in *to)
{
    uint32_t address = ntohl(to->sin_addr.s_addr);
    uint16_t port = ntohs(to->sin_port);
    for (unsigned i = 0; i < tcp->server_count; i++)
        if (tcp->servers[i].address == address && tcp->servers[i].port == port)
            return i;
    if (tcp->server_count == TCP_SERVERS_MAX)
        return SERVER_NONE;
    tcp->servers[tcp->server_count] = (struct tcp_server){address, port, SEGMENT_MSS_DEFAULT};
    return tcp->server_count++;
}

/* Returns UINT32_MAX for what is not of the range. */
static uint32_t pair_of(const struct tcp *tcp, uint32_t address, uint16_t port)
{
    const struct tcp_config *config = &tcp->config;
    uint32_t nth = address - config->first_address;
    uint32_t nth_port = (uint32_t)port - config->port_first;
    if (nth >= config->address_count || nth_port >= config->port_count)
        return UINT32_MAX;
    return nth * config->port_count + nth_port;
}

int tcp_open(struct tcp *tcp, uint32_t slot, const struct sockaddr_in *from,
             const struct sockaddr_in *to)
{
    struct tcp_line *line = &tcp->lines[slot];
    assert(slot < tcp->config.slots && line->state == LINE_FREE && tcp->now_ns > 0);
    uint32_t pair = pair_of(tcp, ntohl(from->sin_addr.s_addr), ntohs(from->sin_port));
    uint32_t server = server_of(tcp, to);
    if (pair == UINT32_MAX || server == SERVER_NONE)
        return -EADDRNOTAVAIL;
    if (tcp->by_pair[pair] != 0)
        return -EADDRINUSE;
    *line = (struct tcp_line){
        .pair = pair,
        .snd_next = (uint32_t)random_next(&tcp->random),
        .flow = FLOW_NONE,
        .server = (uint8_t)server,
        .quick = TCP_QUICK,
    };
    if (tcp->extras)
        *extra_of(tcp, line) = (struct tcp_extra){0};
    if (!flow_want(tcp, line))
        return -ENOBUFS;
    line->state = LINE_CONNECTING;
    tcp->by_pair[pair] = slot + 1;
    send_syn(tcp, line);
    return 0;
}

/* ---- reading and writing ---- */

ptrdiff_t tcp_read(struct tcp *tcp, uint32_t slot, char *out, size_t len)
{
    struct tcp_line *line = &tcp->lines[slot];
    struct tcp_flow *flow = flow_of(tcp, line);
    if (flow && flow->in.bytes > 0) {
        const uint32_t half = window_most(tcp, line) / 2;
        bool low = flow->in.bytes > half;
        size_t taken = chunk_queue_take(&tcp->chunks, &flow->in, out, len);
        if (low && flow->in.bytes <= half && line->state == LINE_OPEN)
            send_ack(tcp, line);
        flow_settle(tcp, line);
        return (ptrdiff_t)taken;
    }
    if (line->state == LINE_DEAD)
        return -(ptrdiff_t)line->quick;
    if (line->state == LINE_SILENT)
        return -EAGAIN;
    if (line->state != LINE_OPEN)
        return -ENOTCONN;
    return line->flags & LINE_ENDED ? 0 : -EAGAIN;
}

ptrdiff_t tcp_write(struct tcp *tcp, uint32_t slot, const char *bytes, size_t len)
{
    struct tcp_line *line = &tcp->lines[slot];
    if (line->state == LINE_SILENT)
        return -EAGAIN;
    if (line->state != LINE_OPEN || line->flags & LINE_FIN)
        return line->state == LINE_DEAD ? -ECONNRESET : -ENOTCONN;
    struct tcp_flow *flow = flow_want(tcp, line);
    if (!flow)
        return -EAGAIN;
    uint32_t room = TCP_SEND_MAX - flow->out.bytes;
    size_t count = len < room ? len : room;
    if (count == 0 || !chunk_queue_put(&tcp->chunks, &flow->out, bytes, count)) {
        flow_settle(tcp, line);
        return -EAGAIN;
    }
    output(tcp, line);
    return (ptrdiff_t)count;
}

void tcp_watch(struct tcp *tcp, uint32_t slot, enum tcp_watch watch)
{
    struct tcp_line *line = &tcp->lines[slot];
    const struct tcp_flow *flow = flow_of(tcp, line);
    bool dead = line->state != LINE_OPEN;
    line->flags |= (uint8_t)watch;
    if (line->state == LINE_SILENT)
        return;
    if (watch == TCP_WATCH_READ && (dead || line->flags & LINE_ENDED || (flow && flow->in.bytes)))
        line_readable(tcp, line);
    else if (watch == TCP_WATCH_WRITE && (dead || !flow || flow->out.bytes < TCP_SEND_MAX / 2))
        line_writable(tcp, line);
}

void tcp_unwatch(struct tcp *tcp, uint32_t slot, enum tcp_watch watch)
{
    fire(tcp, &tcp->lines[slot], (enum line_flag)watch, -ECANCELED);
}

/* ---- ending ---- */

int tcp_shutdown(struct tcp *tcp, uint32_t slot)
{
    struct tcp_line *line = &tcp->lines[slot];
    if (line->state != LINE_OPEN || line->flags & LINE_FIN || !flow_want(tcp, line))
        return -ENOTCONN;
    line->flags |= LINE_FIN;
    output(tcp, line);
    return 0;
}

void tcp_silence(struct tcp *tcp, uint32_t slot)
{
    struct tcp_line *line = &tcp->lines[slot];
    if (line->state != LINE_OPEN)
        return;
    flow_give(tcp, line);
    line->state = LINE_SILENT;
    line->flags &= LINE_WATCH_READ | LINE_WATCH_WRITE;
}

void tcp_abort(struct tcp *tcp, uint32_t slot)
{
    struct tcp_line *line = &tcp->lines[slot];
    if (line->state == LINE_CONNECTING) {
        line_connected(tcp, line, -ECONNABORTED);
    } else if (line->state == LINE_OPEN) {
        send_reset(tcp, line);
        flow_give(tcp, line);
        line_die(tcp, line, ECONNRESET);
    } else {
        line_readable(tcp, line);
        line_writable(tcp, line);
    }
}

/* A free line that has no slot; NULL: there is none near. */
static struct tcp_line *orphan_take(struct tcp *tcp)
{
    const uint32_t all = tcp->config.orphans;
    for (unsigned i = 0; i < ORPHANS_TRIED && i < all; i++) {
        struct tcp_line *line = &tcp->lines[tcp->config.slots + tcp->orphan_next++ % all];
        if (line->state == LINE_FREE)
            return line;
    }
    return NULL;
}

/* It goes on without its slot. Returns false where that cannot be. */
static bool orphan(struct tcp *tcp, struct tcp_line *line)
{
    const struct tcp_flow *flow = flow_of(tcp, line);
    struct tcp_line *heir = flow && flow->in.bytes > 0 ? NULL : orphan_take(tcp);
    if (!heir)
        return false;
    *heir = *line;
    if (tcp->extras)
        *extra_of(tcp, heir) = *extra_of(tcp, line);
    heir->flags = (uint8_t)((line->flags | LINE_ORPHAN) & ~(LINE_ACK_OWED));
    if (flow)
        tcp->flows[line->flow].line = line_index(tcp, heir);
    tcp->by_pair[line->pair] = line_index(tcp, heir) + 1;
    if (tcp->config.calls.moved)
        tcp->config.calls.moved(tcp->config.calls.context, line_index(tcp, line),
                                line_index(tcp, heir));
    line->flow = FLOW_NONE;
    line->state = LINE_FREE;
    line->flags = 0;
    heir->flags |= LINE_FIN;
    if (!flow_want(tcp, heir)) {
        send_reset(tcp, heir);
        line_free(tcp, heir);
        return true;
    }
    output(tcp, heir);
    if (line_una(tcp, heir) == line_high(tcp, heir)) /* only the server's FIN is missing */
        flow_timer(tcp, heir, TIMEOUT_MAX_MS);
    return true;
}

void tcp_close(struct tcp *tcp, uint32_t slot)
{
    struct tcp_line *line = &tcp->lines[slot];
    assert(!(line->flags & (LINE_WATCH_READ | LINE_WATCH_WRITE)));
    if (line->state == LINE_OPEN && orphan(tcp, line))
        return;
    if (line->state == LINE_OPEN)
        send_reset(tcp, line);
    line_free(tcp, line);
}

/* ---- the clock ---- */

static void give_up(struct tcp *tcp, struct tcp_line *line)
{
    tcp->counters.given_up++;
    if (line->state == LINE_CONNECTING)
        line_connected(tcp, line, -ETIMEDOUT);
    else
        line_die(tcp, line, ETIMEDOUT);
}

static void timed_out(void *context, uint32_t index)
{
    struct tcp *tcp = context;
    struct tcp_flow *flow = &tcp->flows[index];
    struct tcp_line *line = &tcp->lines[flow->line];
    assert(flow->lent && line->flow == index);
    if (flow->tries == TCP_TRIES_MAX) {
        give_up(tcp, line);
        return;
    }
    flow->tries++;
    flow->timed_ns = 0; /* whose answer comes now is not known: Karn */
    if (line->state == LINE_CONNECTING)
        send_syn(tcp, line);
    else if (line->flags & LINE_FIN_SENT && flow->una == flow->high)
        line_die(tcp, line, 0); /* an orphan waits for the server's FIN no longer */
    else
        output_again(tcp, line);
}

static void delayed_step(struct tcp *tcp)
{
    uint32_t now_ms = (uint32_t)(tcp->now_ns / 1000000);
    while (tcp->delayed_head != tcp->delayed_tail) {
        const struct tcp_delayed *first = &tcp->delayed[tcp->delayed_head % TCP_DELAYED];
        if ((int32_t)(first->due_ms - now_ms) > 0)
            return;
        struct tcp_line *line = &tcp->lines[first->line];
        tcp->delayed_head++;
        if (line->state == LINE_OPEN && line->flags & LINE_ACK_OWED)
            send_ack(tcp, line);
    }
}

void tcp_advance(struct tcp *tcp)
{
    delayed_step(tcp);
    timers_advance(&tcp->timers, tcp->now_ns * WHEEL_SPEED, UINT32_MAX, timed_out, tcp);
}

int64_t tcp_wait_ns(const struct tcp *tcp, int64_t most_ns)
{
    int64_t wait_ns =
        timers_wait_ns(&tcp->timers, tcp->now_ns * WHEEL_SPEED, most_ns * WHEEL_SPEED) /
        WHEEL_SPEED;
    if (tcp->delayed_head == tcp->delayed_tail)
        return wait_ns;
    uint32_t due_ms = tcp->delayed[tcp->delayed_head % TCP_DELAYED].due_ms;
    int64_t left_ms = (int32_t)(due_ms - (uint32_t)(tcp->now_ns / 1000000));
    int64_t left_ns = left_ms > 0 ? left_ms * INT64_C(1000000) : 0;
    return left_ns < wait_ns ? left_ns : wait_ns;
}

/* ---- for tests ---- */

static uint32_t store_chunks(const struct tcp *tcp, const struct tcp_flow *flow)
{
    if (flow->store == CHUNK_NONE)
        return 0;
    const struct store *store = store_of(tcp, flow);
    uint32_t count = 1;
    for (uint32_t i = 0; i < store->count; i++)
        for (uint32_t at = store->pieces[i].bytes.first; at != CHUNK_NONE; count++)
            at = chunk_at(&tcp->chunks, at)->next;
    return count;
}

static uint32_t queue_chunks(const struct tcp *tcp, const struct chunk_queue *queue)
{
    uint32_t count = 0;
    for (uint32_t at = queue->first; at != CHUNK_NONE; count++)
        at = chunk_at(&tcp->chunks, at)->next;
    return count;
}

bool tcp_sound(const struct tcp *tcp)
{
    uint32_t flows = 0, chunks = 0;
    for (uint32_t i = 0; i < tcp->line_count; i++) {
        const struct tcp_line *line = &tcp->lines[i];
        const struct tcp_flow *flow = line->state == LINE_FREE ? NULL : flow_of(tcp, line);
        if (!flow)
            continue;
        if (!flow->lent || flow->line != i || segment_before(flow->high, flow->una))
            return false;
        flows++;
        chunks +=
            queue_chunks(tcp, &flow->in) + queue_chunks(tcp, &flow->out) + store_chunks(tcp, flow);
    }
    return flows == tcp->flow_used && chunks == tcp->chunks.used;
}
