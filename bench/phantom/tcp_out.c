/* tcp_out: what leaves. Every segment but a SYN acknowledges what has come. */
#include <assert.h>
#include <string.h>

#include "phantom/tcp_internal.h"

enum {
    LARGE_MAX = UINT16_MAX - SEGMENT_HEAD_MAX, /* payload of one IPv4 packet */
    SHIFT_MAX = 8,
};

uint16_t mss_of(const struct tcp *tcp, const struct tcp_line *line)
{
    uint16_t own = (uint16_t)(tcp->config.mtu - SEGMENT_HEAD_MIN);
    uint16_t theirs = tcp->servers[line->server].mss;
    uint16_t least = own < theirs ? own : theirs;
    return line_timed(tcp, line) && least > SEGMENT_TIMESTAMP ? least - SEGMENT_TIMESTAMP : least;
}

uint32_t window_most(const struct tcp *tcp, const struct tcp_line *line)
{
    return (uint32_t)WINDOW_MAX << own_scale(tcp, line);
}

uint32_t window_of(const struct tcp *tcp, const struct tcp_line *line)
{
    const struct tcp_flow *flow = flow_of(tcp, line);
    uint32_t held = flow ? flow->in.bytes : 0, most = window_most(tcp, line);
    return held < most ? most - held : 0;
}

uint32_t timeout_ms(const struct tcp_line *line, unsigned tries)
{
    uint32_t ms = line->rtt_ms ? line->rtt_ms + TIMEOUT_MIN_MS : SYN_TIMEOUT_MS;
    ms <<= tries < SHIFT_MAX ? tries : SHIFT_MAX;
    return ms < TIMEOUT_MAX_MS ? ms : TIMEOUT_MAX_MS;
}

/* ---- segments ---- */

static uint32_t timestamp(const struct tcp *tcp)
{
    return (uint32_t)(tcp->now_ns / 1000000);
}

static struct segment segment_of(const struct tcp *tcp, const struct tcp_line *line)
{
    const struct tcp_config *config = &tcp->config;
    const struct tcp_server *server = &tcp->servers[line->server];
    return (struct segment){
        .from = config->first_address + line->pair / config->port_count,
        .to = server->address,
        .from_port = (uint16_t)(config->port_first + line->pair % config->port_count),
        .to_port = server->port,
        .seq = line->snd_next,
        .ack = line->rcv_next,
        .window = (uint16_t)(window_of(tcp, line) >> own_scale(tcp, line)),
        .flags = SEGMENT_ACK,
        .timed = line_timed(tcp, line),
        .time = timestamp(tcp),
        .echo = tcp->extras ? extra_of(tcp, line)->recent : 0,
    };
}

static void leave(struct tcp *tcp, uint32_t line, const struct segment *segment,
                  const struct iovec *payload, unsigned count, uint16_t mss)
{
    tcp->counters.segments_out++;
    tcp->counters.bytes_out += segment->len;
    tcp->config.calls.send(tcp->config.calls.context, line, segment, payload, count, mss);
}

static void sacks_add(const struct tcp *tcp, const struct tcp_line *line, struct segment *segment)
{
    const struct tcp_flow *flow = flow_of(tcp, line);
    if (!(line->flags & LINE_SACK) || !flow || flow->store == CHUNK_NONE)
        return;
    const struct store *store = store_of(tcp, flow);
    uint32_t first = 0; /* RFC 2018 section 4: the block with the segment that came last */
    for (uint32_t i = 0; i < store->count; i++)
        if (store->latest - store->pieces[i].seq < store->pieces[i].len)
            first = i;
    for (uint32_t i = 0; i < store->count && i < SEGMENT_SACKS_MAX; i++) {
        const struct store_piece *piece = &store->pieces[(first + i) % store->count];
        segment->sacks[segment->sack_count++] =
            (struct segment_sack){piece->seq, piece->seq + piece->len};
    }
}

void send_syn(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    struct segment segment = segment_of(tcp, line);
    segment.seq = flow->una;
    segment.ack = 0;
    segment.flags = SEGMENT_SYN;
    segment.mss = (uint16_t)(tcp->config.mtu - SEGMENT_HEAD_MIN);
    segment.sack_permitted = tcp->config.sack;
    segment.timed = tcp->config.timestamps;
    segment.scaled = tcp->config.window_scale;
    segment.scale = TCP_SCALE;
    line->snd_next = flow->high = flow->una + 1;
    tcp->counters.retransmitted += flow->tries > 0;
    flow->timed_seq = line->snd_next;
    flow->timed_ns = flow->tries == 0 ? tcp->now_ns : 0;
    flow_timer(tcp, line, timeout_ms(line, flow->tries));
    leave(tcp, line_index(tcp, line), &segment, NULL, 0, segment.mss);
}

void send_ack(struct tcp *tcp, struct tcp_line *line)
{
    struct segment segment = segment_of(tcp, line);
    line->flags &= (uint8_t)~LINE_ACK_OWED;
    segment.seq = line_high(tcp, line);
    sacks_add(tcp, line, &segment);
    leave(tcp, line_index(tcp, line), &segment, NULL, 0, 0);
}

void send_reset(struct tcp *tcp, struct tcp_line *line)
{
    struct segment segment = segment_of(tcp, line);
    segment.flags = SEGMENT_RST | SEGMENT_ACK;
    segment.window = 0;
    leave(tcp, line_index(tcp, line), &segment, NULL, 0, 0);
}

void send_stranger(struct tcp *tcp, const struct segment *segment)
{
    bool known = segment->flags & SEGMENT_ACK;
    uint32_t len = (uint32_t)segment->len + !!(segment->flags & SEGMENT_SYN) +
                   !!(segment->flags & SEGMENT_FIN);
    const struct segment reset = {
        .from = segment->to,
        .to = segment->from,
        .from_port = segment->to_port,
        .to_port = segment->from_port,
        .seq = known ? segment->ack : 0,
        .ack = known ? 0 : segment->seq + len,
        .flags = known ? SEGMENT_RST : SEGMENT_RST | SEGMENT_ACK,
    };
    leave(tcp, TCP_NOBODY, &reset, NULL, 0, 0);
}

/* ---- acknowledgements ---- */

void ack_received(struct tcp *tcp, struct tcp_line *line, bool at_once)
{
    if (line->quick > 0) {
        line->quick--;
        at_once = true;
    }
    bool full = tcp->delayed_tail - tcp->delayed_head == TCP_DELAYED;
    if (at_once || full || line->flags & LINE_ACK_OWED) {
        send_ack(tcp, line);
        return;
    }
    line->flags |= LINE_ACK_OWED;
    tcp->delayed[tcp->delayed_tail++ % TCP_DELAYED] = (struct tcp_delayed){
        line_index(tcp, line), (uint32_t)(tcp->now_ns / 1000000) + TCP_DELAY_MS};
}

/* ---- bytes ---- */

/* Points at up to `len` bytes of the queue, from `offset` on. Returns how many. */
static uint32_t gather(const struct tcp *tcp, const struct chunk_queue *queue, uint32_t offset,
                       uint32_t len, struct iovec payload[TCP_PAYLOADS_MAX], unsigned *ret_count)
{
    uint32_t got = 0;
    *ret_count = 0;
    for (uint32_t at = queue->first; at != CHUNK_NONE && got < len;) {
        struct chunk *chunk = chunk_at(&tcp->chunks, at);
        at = chunk->next;
        if (offset >= chunk->len) {
            offset -= chunk->len;
            continue;
        }
        uint32_t count = chunk->len - offset;
        count = count < len - got ? count : len - got;
        payload[(*ret_count)++] = (struct iovec){chunk->bytes + chunk->from + offset, count};
        got += count;
        offset = 0;
        if (*ret_count == TCP_PAYLOADS_MAX)
            break;
    }
    return got;
}

/* Sends up to `most` bytes that are `offset` behind una. Returns how many. */
static uint32_t piece(struct tcp *tcp, struct tcp_line *line, uint32_t offset, uint32_t most)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    struct iovec payload[TCP_PAYLOADS_MAX];
    unsigned count;
    uint16_t mss = mss_of(tcp, line);
    uint32_t limit = tcp->config.large ? LARGE_MAX : mss;
    uint32_t len = gather(tcp, &flow->out, offset, most < limit ? most : limit, payload, &count);
    struct segment segment = segment_of(tcp, line);
    segment.seq = flow->una + offset;
    segment.len = len;
    if (offset + len == flow->out.bytes)
        segment.flags |= SEGMENT_PSH;
    line->flags &= (uint8_t)~LINE_ACK_OWED;
    if (line->quick < TCP_QUICK) /* it has heard something, and answers */
        line->quick = 0;
    tcp->counters.retransmitted += segment_before(segment.seq, flow->high);
    leave(tcp, line_index(tcp, line), &segment, payload, count, mss);
    return len;
}

/* Bytes behind una that may be under way: what the server takes, and the network. One byte asks a
 * closed window whether it is still closed. */
static uint32_t limit_of(const struct tcp *tcp, const struct tcp_line *line,
                         const struct tcp_flow *flow)
{
    const uint32_t window = line_window(tcp, line);
    if (window == 0)
        return flow->tries > 0 ? 1 : 0;
    return window < flow->cwnd ? window : flow->cwnd;
}

static void note_high(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    if (segment_before(flow->high, line->snd_next))
        flow->high = line->snd_next;
}

static void time_it(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    if (flow->timed_ns != 0 || flow->tries > 0 || segment_before(line->snd_next, flow->high))
        return;
    flow->timed_seq = line->snd_next;
    flow->timed_ns = tcp->now_ns;
}

static void fin(struct tcp *tcp, struct tcp_line *line)
{
    struct segment segment = segment_of(tcp, line);
    segment.flags |= SEGMENT_FIN;
    line->flags = (uint8_t)((line->flags | LINE_FIN_SENT) & ~LINE_ACK_OWED);
    line->snd_next++;
    note_high(tcp, line);
    leave(tcp, line_index(tcp, line), &segment, NULL, 0, 0);
}

static void send_allowed(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    uint32_t sent = line->snd_next - flow->una, limit = limit_of(tcp, line, flow);
    while (sent < flow->out.bytes && sent < limit) {
        uint32_t len = piece(tcp, line, sent, limit - sent);
        sent += len;
        line->snd_next += len;
        time_it(tcp, line);
        note_high(tcp, line);
    }
    if (line->flags & LINE_FIN && sent == flow->out.bytes)
        fin(tcp, line);
}

void output(struct tcp *tcp, struct tcp_line *line)
{
    const struct tcp_flow *flow = flow_of(tcp, line);
    if (!flow || line->state != LINE_OPEN)
        return;
    if (!(line->flags & LINE_FIN_SENT))
        send_allowed(tcp, line);
    bool waits = line->snd_next != flow->una || flow->out.bytes > 0;
    if (waits && timers_deadline_ns(&tcp->timers, line->flow) == 0)
        flow_timer(tcp, line, timeout_ms(line, flow->tries));
}

/* After a time-out all is sent again from una on, slowly: what had arrived is acknowledged soon. */
void output_again(struct tcp *tcp, struct tcp_line *line)
{
    struct tcp_flow *flow = flow_of(tcp, line);
    line->snd_next = flow->una;
    line->flags &= (uint8_t)~LINE_FIN_SENT;
    flow->cwnd = mss_of(tcp, line);
    flow->duplicates = 0;
    output(tcp, line);
}

void output_first(struct tcp *tcp, struct tcp_line *line)
{
    const struct tcp_flow *flow = flow_of(tcp, line);
    if (flow->out.bytes > 0)
        piece(tcp, line, 0, mss_of(tcp, line));
}
