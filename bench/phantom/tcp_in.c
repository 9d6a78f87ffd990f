/* tcp_in: what a segment brings: RFC 9293 section 3.10.7. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "phantom/tcp_internal.h"

enum {
    DUPLICATES = 3, /* acknowledgements that tell of a loss */
    RTT_WEIGHT = 8,
    RTT_MAX_MS = 30000,
};

/* ---- acknowledgements ---- */

static void note_round_trip(struct tcp *tcp, struct tcp_line *line, uint32_t ack)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    if (flow->timed_ns == 0 || segment_before(ack, flow->timed_seq))
        return;
    int64_t ms = (tcp->now_ns - flow->timed_ns) / 1000000;
    ms = ms < 1 ? 1 : ms < RTT_MAX_MS ? ms : RTT_MAX_MS;
    flow->timed_ns = 0;
    line->rtt_ms = line->rtt_ms == 0 ? (uint16_t)ms
                                     : (uint16_t)(line->rtt_ms + (ms - line->rtt_ms) / RTT_WEIGHT);
}

/* Our FIN is acknowledged. */
static void finished(struct tcp *tcp, struct tcp_line *line)
{
    if (line->flags & LINE_ENDED)
        line_die(tcp, line, 0);
    else if (line->flags & LINE_ORPHAN)
        flow_timer(tcp, line, TIMEOUT_MAX_MS);
}

static void advance(struct tcp *tcp, struct tcp_line *line, uint32_t ack)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    uint32_t acked = ack - flow->una;
    uint32_t bytes = acked < flow->out.bytes ? acked : flow->out.bytes;
    note_round_trip(tcp, line, ack);
    chunk_queue_take(&tcp->chunks, &flow->out, NULL, bytes);
    flow->una = ack;
    flow->tries = flow->duplicates = 0;
    flow->cwnd = flow->cwnd + acked < TCP_SEND_MAX ? flow->cwnd + acked : TCP_SEND_MAX;
    if (segment_before(line->snd_next, ack))
        line->snd_next = ack;
    if (acked > bytes) /* behind all bytes is the FIN, and it has arrived */
        line->flags |= LINE_FIN_SENT;
    timers_cancel(&tcp->timers, line->flow);
    if (flow->out.bytes < TCP_SEND_MAX / 2)
        line_writable(tcp, line);
}

/* Returns false when the rest of the segment is of no use. */
static bool ack_input(struct tcp *tcp, struct tcp_line *line, const struct segment *segment)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    uint32_t una = line_una(tcp, line), high = line_high(tcp, line);
    if (segment_before(high, segment->ack)) {
        send_ack(tcp, line);
        return false;
    }
    bool old = segment_before(segment->ack, una);
    bool same = segment->ack == una && segment->len == 0 && segment->window == line->window;
    if (!old)
        line->window = segment->window;
    if (!flow || old)
        return true;
    if (segment->ack != una)
        advance(tcp, line, segment->ack);
    else if (line->window == 0 && flow->tries > 1)
        flow->tries = 1; /* it is closed, but alive */
    else if (same && high != una && ++flow->duplicates == DUPLICATES)
        output_first(tcp, line);
    if (line->flags & LINE_FIN_SENT && flow->una == flow->high && line->snd_next == flow->una)
        finished(tcp, line);
    else
        output(tcp, line);
    return line->state == LINE_OPEN;
}

/* ---- what came out of order ---- */

static void store_insert(struct store *store, uint32_t at, const struct store_piece *piece)
{
    memmove(&store->pieces[at + 1], &store->pieces[at],
            (store->count - at) * sizeof *store->pieces);
    store->pieces[at] = *piece;
    store->count++;
}

static void store_remove(struct store *store, uint32_t at)
{
    store->count--;
    memmove(&store->pieces[at], &store->pieces[at + 1],
            (store->count - at) * sizeof *store->pieces);
}

/* Joins the piece with the one before it, if they touch. */
static void store_join(struct tcp *tcp, struct store *store, uint32_t at)
{
    if (at == 0 || at >= store->count)
        return;
    struct store_piece *before = &store->pieces[at - 1], *piece = &store->pieces[at];
    if (before->seq + before->len != piece->seq || before->fin)
        return;
    before->len += piece->len;
    before->fin = piece->fin;
    chunk_queue_move(&tcp->chunks, &before->bytes, &piece->bytes);
    store_remove(store, at);
}

/* Keeps bytes that lie between two pieces. Returns false when there is no room. */
static bool store_gap(struct tcp *tcp, struct store *store, uint32_t at,
                      const struct segment *segment)
{
    struct store_piece piece = {.seq = segment->seq,
                                .len = (uint32_t)segment->len,
                                .bytes = CHUNK_QUEUE_EMPTY,
                                .fin = segment->flags & SEGMENT_FIN};
    if (store->count == TCP_STORE_MAX ||
        !chunk_queue_put(&tcp->chunks, &piece.bytes, segment->bytes, segment->len))
        return false;
    store_insert(store, at, &piece);
    store_join(tcp, store, at + 1);
    store_join(tcp, store, at);
    return true;
}

/* The part of `segment` from its byte `from` up to `to`. */
static struct segment part_of(const struct segment *segment, uint32_t from, uint32_t to)
{
    struct segment part = *segment;
    part.seq += from;
    part.bytes += from;
    part.len = to - from;
    if (to < segment->len)
        part.flags &= (uint8_t)~SEGMENT_FIN;
    return part;
}

/* What of it is not there yet goes into the gaps. Returns false when some found no room. */
static bool store_put(struct tcp *tcp, struct store *store, const struct segment *segment)
{
    uint32_t from = 0, len = (uint32_t)segment->len, at = 0;
    bool fin = segment->flags & SEGMENT_FIN;
    while (from < len || (fin && from == len)) {
        while (at < store->count &&
               !segment_before(segment->seq + from, store->pieces[at].seq + store->pieces[at].len))
            at++;
        const struct store_piece *next = at < store->count ? &store->pieces[at] : NULL;
        if (next && !segment_before(segment->seq + from, next->seq)) {
            from = next->seq + next->len - segment->seq;
            continue;
        }
        uint32_t to = next && next->seq - segment->seq < len ? next->seq - segment->seq : len;
        struct segment part = part_of(segment, from, to);
        if (!store_gap(tcp, store, at, &part))
            return false;
        if (to == len)
            return true;
        from = to;
        at = 0;
    }
    return true;
}

static void disorder(struct tcp *tcp, struct tcp_line *line, const struct segment *segment)
{
    struct tcp_flow *flow = flow_want(tcp, line);
    tcp->counters.out_of_order++;
    if (flow && flow->store == CHUNK_NONE) {
        flow->store = chunk_take(&tcp->chunks);
        if (flow->store != CHUNK_NONE)
            store_of(tcp, flow)->count = 0;
    }
    if (flow && flow->store != CHUNK_NONE)
        store_of(tcp, flow)->latest = segment->seq;
    bool kept = flow && flow->store != CHUNK_NONE && store_put(tcp, store_of(tcp, flow), segment);
    if (!kept)
        tcp->counters.no_room++;
    if (flow && flow->store != CHUNK_NONE && store_of(tcp, flow)->count == 0) {
        chunk_give(&tcp->chunks, flow->store);
        flow->store = CHUNK_NONE;
    }
    send_ack(tcp, line);
    flow_settle(tcp, line);
}

/* ---- what came in order ---- */

static void end_of_stream(struct tcp_line *line)
{
    line->rcv_next++;
    line->flags |= LINE_ENDED;
}

/* The first piece touches what is in order now, or is part of it. */
static void store_take_first(struct tcp *tcp, struct tcp_line *line, struct store *store)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    struct store_piece *first = &store->pieces[0];
    uint32_t known = line->rcv_next - first->seq;
    uint32_t skipped = known < first->len ? known : first->len;
    chunk_queue_take(&tcp->chunks, &first->bytes, NULL, skipped);
    line->rcv_next += first->len - skipped;
    chunk_queue_move(&tcp->chunks, &flow->in, &first->bytes);
    if (first->fin)
        end_of_stream(line);
    store_remove(store, 0);
}

/* Returns whether something was kept out of order. */
static bool store_release(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    if (!flow || flow->store == CHUNK_NONE)
        return false;
    struct store *store = store_of(tcp, flow);
    while (store->count > 0 && !(line->flags & LINE_ENDED) &&
           !segment_before(line->rcv_next, store->pieces[0].seq))
        store_take_first(tcp, line, store);
    while (line->flags & LINE_ENDED && store->count > 0) {
        chunk_queue_clear(&tcp->chunks, &store->pieces[0].bytes);
        store_remove(store, 0);
    }
    if (store->count == 0) {
        chunk_give(&tcp->chunks, flow->store);
        flow->store = CHUNK_NONE;
    }
    return true;
}

static void in_order(struct tcp *tcp, struct tcp_line *line, const struct segment *segment)
{
    struct tcp_flow *flow = segment->len > 0 ? flow_want(tcp, line) : NULL;
    if (segment->len > 0 &&
        (!flow || !chunk_queue_put(&tcp->chunks, &flow->in, segment->bytes, segment->len))) {
        tcp->counters.no_room++;
        flow_settle(tcp, line);
        return;
    }
    line->rcv_next += (uint32_t)segment->len;
    tcp->counters.bytes_in += segment->len;
    if (segment->flags & SEGMENT_FIN)
        end_of_stream(line);
    bool filled = store_release(tcp, line);
    if (tcp->chunks.used > tcp->counters.chunks_most)
        tcp->counters.chunks_most = tcp->chunks.used;
    bool many = segment->len >= 2U * mss_of(tcp, line);
    ack_received(tcp, line, filled || many || line->flags & LINE_ENDED);
    line_readable(tcp, line);
    flow = flow_of(tcp, line);
    if (line->flags & LINE_ENDED && line->flags & LINE_FIN_SENT &&
        (!flow || flow->una == flow->high))
        line_die(tcp, line, 0);
}

/* Cuts off what is known, and what is beyond the window. Returns false when nothing is left. */
static bool trim(const struct tcp *tcp, const struct tcp_line *line, struct segment *segment)
{
    uint32_t known = line->rcv_next - segment->seq;
    if (segment_before(segment->seq, line->rcv_next)) {
        if (known > segment->len || (known == segment->len && !(segment->flags & SEGMENT_FIN)))
            return false;
        *segment = part_of(segment, known, (uint32_t)segment->len);
    }
    uint32_t ahead = segment->seq - line->rcv_next, room = window_of(tcp, line);
    if (ahead > room || (segment->len > 0 && ahead == room))
        return false;
    if (segment->len > room - ahead)
        *segment = part_of(segment, 0, room - ahead);
    return true;
}

static void data_input(struct tcp *tcp, struct tcp_line *line, const struct segment *whole)
{
    struct segment segment = *whole;
    uint32_t end = segment.seq + (uint32_t)segment.len;
    if (line->flags & LINE_ORPHAN && segment_before(line->rcv_next, end)) {
        send_reset(tcp, line); /* nobody will read it */
        line_die(tcp, line, ECONNRESET);
    } else if (line->flags & LINE_ENDED || !trim(tcp, line, &segment)) {
        tcp->counters.again++;
        send_ack(tcp, line);
    } else if (segment.seq == line->rcv_next) {
        in_order(tcp, line, &segment);
    } else {
        disorder(tcp, line, &segment);
    }
}

/* ---- RFC 7323 ---- */

static void agree(struct tcp *tcp, struct tcp_line *line, const struct segment *segment)
{
    struct tcp_extra *extra = extra_of(tcp, line);
    if (!extra)
        return;
    *extra = (struct tcp_extra){
        .recent = segment->time,
        .timed = tcp->config.timestamps && segment->timed,
        .scaled = tcp->config.window_scale && segment->scaled,
    };
    extra->scale = extra->scaled ? segment->scale : 0;
}

/* Whether its timestamp is none of long ago (PAWS, section 5), and it has one. */
static bool is_of_now(const struct tcp *tcp, const struct tcp_line *line,
                      const struct segment *segment)
{
    return !line_timed(tcp, line) || segment->flags & SEGMENT_RST ||
           (segment->timed && !segment_before(segment->time, extra_of(tcp, line)->recent));
}

/* Of segments whose acknowledgement waits the first one's is echoed: section 4.3. */
static void note_time(const struct tcp *tcp, const struct tcp_line *line,
                      const struct segment *segment)
{
    if (line_timed(tcp, line) && !(line->flags & LINE_ACK_OWED) &&
        !segment_before(line->rcv_next, segment->seq))
        extra_of(tcp, line)->recent = segment->time;
}

/* ---- by state ---- */

static void connecting_input(struct tcp *tcp, struct tcp_line *line, const struct segment *segment)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    bool acked = segment->flags & SEGMENT_ACK && segment->ack == line->snd_next;
    if (segment->flags & SEGMENT_ACK && !acked) {
        if (!(segment->flags & SEGMENT_RST))
            send_stranger(tcp, segment);
    } else if (segment->flags & SEGMENT_RST) {
        if (acked)
            line_connected(tcp, line, -ECONNREFUSED);
    } else if (!(segment->flags & SEGMENT_SYN) || !acked) {
        tcp->counters.unexpected++;
    } else {
        tcp->servers[line->server].mss = segment->mss ? segment->mss : SEGMENT_MSS_DEFAULT;
        note_round_trip(tcp, line, segment->ack);
        timers_cancel(&tcp->timers, line->flow);
        agree(tcp, line, segment);
        flow->una = segment->ack;
        flow->tries = 0;
        flow->cwnd = FIRST_SEGMENTS * (uint32_t)mss_of(tcp, line);
        line->rcv_next = segment->seq + 1;
        line->window = segment->window; /* a SYN's is not scaled */
        if (tcp->extras)
            line->window >>= extra_of(tcp, line)->scale;
        line->state = LINE_OPEN;
        if (segment->sack_permitted && tcp->config.sack)
            line->flags |= LINE_SACK;
        send_ack(tcp, line);
        flow_settle(tcp, line);
        line_connected(tcp, line, 0);
    }
}

/* RFC 5961: what could be forged is answered by what we have, and so is what is too old. */
static bool acceptable(struct tcp *tcp, struct tcp_line *line, const struct segment *segment)
{
    uint32_t len = (uint32_t)segment->len + !!(segment->flags & SEGMENT_FIN);
    bool old = segment_before(segment->seq + len, line->rcv_next);
    bool ahead = !segment_before(segment->seq, line->rcv_next + window_most(tcp, line));
    if (segment->flags & SEGMENT_RST && segment->seq == line->rcv_next) {
        line_die(tcp, line, ECONNRESET);
        return false;
    }
    if (segment->flags & SEGMENT_RST && (old || ahead))
        return false;
    if (!old && !ahead && !(segment->flags & (SEGMENT_RST | SEGMENT_SYN)) &&
        is_of_now(tcp, line, segment)) {
        note_time(tcp, line, segment);
        return segment->flags & SEGMENT_ACK;
    }
    tcp->counters.again += old && len > 0;
    tcp->counters.unexpected += !old && !ahead && len > 0;
    send_ack(tcp, line);
    return false;
}

static void open_input(struct tcp *tcp, struct tcp_line *line, const struct segment *segment)
{
    if (!acceptable(tcp, line, segment) || !ack_input(tcp, line, segment))
        return;
    if (segment->len > 0 || segment->flags & SEGMENT_FIN)
        data_input(tcp, line, segment);
    if (line->state == LINE_OPEN)
        flow_settle(tcp, line);
}

static struct tcp_line *line_of(const struct tcp *tcp, const struct segment *segment)
{
    const struct tcp_config *config = &tcp->config;
    uint32_t nth = segment->to - config->first_address;
    uint32_t nth_port = (uint32_t)segment->to_port - config->port_first;
    if (nth >= config->address_count || nth_port >= config->port_count)
        return NULL;
    uint32_t found = tcp->by_pair[(uint64_t)nth * config->port_count + nth_port];
    if (found == 0)
        return NULL;
    struct tcp_line *line = &tcp->lines[found - 1];
    const struct tcp_server *server = &tcp->servers[line->server];
    return server->address == segment->from && server->port == segment->from_port ? line : NULL;
}

uint32_t tcp_owner(const struct tcp *tcp, const struct segment *segment)
{
    const struct tcp_line *line = line_of(tcp, segment);
    return line ? line_index(tcp, line) : TCP_NOBODY;
}

void tcp_input(struct tcp *tcp, const struct segment *segment)
{
    struct tcp_line *line = line_of(tcp, segment);
    tcp->counters.segments_in++;
    if (!line) {
        tcp->counters.strangers++;
        if (!(segment->flags & SEGMENT_RST))
            send_stranger(tcp, segment);
    } else if (line->state == LINE_CONNECTING) {
        connecting_input(tcp, line, segment);
    } else if (line->state != LINE_SILENT) {
        assert(line->state == LINE_OPEN);
        open_input(tcp, line, segment);
    }
}
