/* tcp_internal: what the files of phantom/tcp share. Nobody else includes this.
 *
 *   tcp.c       lines, and what the caller asks for
 *   tcp_in.c    what a segment brings
 *   tcp_out.c   what leaves, and when it leaves again */
#pragma once

#include <assert.h>

#include "core/timers.h"
#include "phantom/chunks.h"
#include "phantom/tcp.h"

#define FLOW_NONE   UINT32_MAX
#define SERVER_NONE UINT32_MAX

enum {
    WINDOW_MAX = 65535, /* bytes that may be unread; shifted by what is agreed on */
    TICK_MS = 4,        /* of all timers */
    SYN_TIMEOUT_MS = 1000,
    TIMEOUT_MIN_MS = 200, /* beyond a round trip, as Linux has it */
    TIMEOUT_MAX_MS = 60000,
    FIRST_SEGMENTS = 10, /* of a flow, RFC 6928 */
    FLOWS_SPARE = 1024,
    ORPHANS_TRIED = 8, /* places that are looked at for a free one */
};

enum line_state {
    LINE_FREE,
    LINE_CONNECTING,
    LINE_OPEN,
    LINE_DEAD,   /* no connection any longer; the slot is not closed yet */
    LINE_SILENT, /* the server does not know */
};

enum line_flag {
    LINE_WATCH_READ = TCP_WATCH_READ,
    LINE_WATCH_WRITE = TCP_WATCH_WRITE,
    LINE_ACK_OWED = 4,  /* one of the delayed acknowledgements is its */
    LINE_ENDED = 8,     /* the server's FIN has come */
    LINE_FIN = 16,      /* ours is due, behind all bytes */
    LINE_FIN_SENT = 32, /* snd_next is behind it */
    LINE_SACK = 64,     /* both sides know of it */
    LINE_ORPHAN = 128,  /* has no slot */
};

/* A connection. */
struct tcp_line {
    uint32_t pair;     /* of its source: (address × ports) + port */
    uint32_t snd_next; /* SND.NXT; SND.UNA is here too unless it has a flow */
    uint32_t rcv_next; /* RCV.NXT */
    uint32_t flow;     /* FLOW_NONE: nothing is under way */
    uint16_t window;   /* SND.WND */
    uint16_t rtt_ms;   /* smoothed; 0: not measured */
    uint8_t server;
    uint8_t state; /* enum line_state */
    uint8_t flags; /* enum line_flag */
    uint8_t quick; /* segments that are still acknowledged at once; of a dead one: errno */
};
static_assert(sizeof(struct tcp_line) == 24, "tcp.h says so");

/* What a connection has agreed on of RFC 7323. */
struct tcp_extra {
    uint32_t recent; /* TS.Recent: the timestamp to echo */
    bool timed;
    bool scaled;
    uint8_t scale; /* of the server's windows */
};
static_assert(sizeof(struct tcp_extra) == 8, "tcp.h says so");

/* Came out of order: kept until what is missing has come. */
struct store_piece {
    uint32_t seq, len;
    struct chunk_queue bytes;
    bool fin;
};
struct store {
    uint32_t count;
    uint32_t latest; /* the segment that came last: the first that SACK has to name */
    struct store_piece pieces[TCP_STORE_MAX]; /* by seq; none touches another */
};
static_assert(sizeof(struct store) <= CHUNK_BYTES, "a store lies in a chunk");

struct tcp_flow {
    struct timer_link timer;
    uint32_t line; /* of a free one: the next */
    bool lent;
    uint32_t una;           /* SND.UNA */
    uint32_t high;          /* the most that was sent: after a time-out snd_next goes back */
    struct chunk_queue out; /* from una on, without SYN and FIN */
    struct chunk_queue in;  /* received in order, not read */
    uint32_t store;         /* chunk of a struct store; CHUNK_NONE: nothing out of order */
    uint32_t cwnd;
    uint32_t timed_seq; /* when this is acknowledged, that was a round trip */
    int64_t timed_ns;   /* 0: none is timed */
    uint8_t tries;      /* time-outs in a row */
    uint8_t duplicates; /* acknowledgements that say the same again */
};

struct tcp_server {
    uint32_t address;
    uint16_t port;
    uint16_t mss; /* that it takes */
};

struct tcp_delayed {
    uint32_t line;
    uint32_t due_ms;
};

struct tcp {
    struct tcp_config config;
    int64_t now_ns;
    struct tcp_line *lines; /* slots, then orphans */
    uint32_t line_count;
    struct tcp_extra *extras; /* by line; NULL: nothing of it is asked for */
    uint32_t *by_pair;        /* line + 1; 0: none */
    uint64_t pair_count;
    struct tcp_flow *flows;
    uint32_t flow_count, flow_fresh, flow_free, flow_used;
    struct chunks chunks;
    struct timers timers; /* of flows */
    uint32_t orphan_next;
    struct tcp_delayed *delayed; /* a circle of TCP_DELAYED */
    uint32_t delayed_head, delayed_tail;
    struct tcp_server servers[TCP_SERVERS_MAX];
    unsigned server_count;
    uint64_t random;
    struct tcp_counters counters;
};

static inline uint32_t line_index(const struct tcp *tcp, const struct tcp_line *line)
{
    return (uint32_t)(line - tcp->lines);
}

static inline struct tcp_flow *flow_of(const struct tcp *tcp, const struct tcp_line *line)
{
    return line->state == LINE_FREE || line->flow == FLOW_NONE ? NULL : &tcp->flows[line->flow];
}

/* NULL: plain, as nothing else was asked for. */
static inline struct tcp_extra *extra_of(const struct tcp *tcp, const struct tcp_line *line)
{
    return tcp->extras ? &tcp->extras[line_index(tcp, line)] : NULL;
}

static inline bool line_timed(const struct tcp *tcp, const struct tcp_line *line)
{
    return tcp->extras && extra_of(tcp, line)->timed;
}

static inline unsigned own_scale(const struct tcp *tcp, const struct tcp_line *line)
{
    return tcp->extras && extra_of(tcp, line)->scaled ? TCP_SCALE : 0;
}

/* SND.WND in bytes. */
static inline uint32_t line_window(const struct tcp *tcp, const struct tcp_line *line)
{
    return (uint32_t)line->window << (tcp->extras ? extra_of(tcp, line)->scale : 0);
}

static inline struct store *store_of(const struct tcp *tcp, const struct tcp_flow *flow)
{
    return (struct store *)(void *)tcp->chunks.area[flow->store].bytes;
}

static inline uint32_t line_una(const struct tcp *tcp, const struct tcp_line *line)
{
    return line->flow == FLOW_NONE ? line->snd_next : tcp->flows[line->flow].una;
}

static inline uint32_t line_high(const struct tcp *tcp, const struct tcp_line *line)
{
    return line->flow == FLOW_NONE ? line->snd_next : tcp->flows[line->flow].high;
}

/* tcp.c */
/* The line's flow, lent if it has none; NULL: all are. */
struct tcp_flow *flow_want(struct tcp *tcp, struct tcp_line *line);
/* Gives it back if nothing is under way. */
void flow_settle(struct tcp *tcp, struct tcp_line *line);
void flow_timer(struct tcp *tcp, struct tcp_line *line, uint32_t wait_ms);
/* There is no connection any longer, and whoever watches hears of it. `err`: what reads say; 0: the
 * end of the stream. */
void line_die(struct tcp *tcp, struct tcp_line *line, int err);
void line_readable(struct tcp *tcp, struct tcp_line *line);
void line_writable(struct tcp *tcp, struct tcp_line *line);
/* Its connection is made, or not: err. */
void line_connected(struct tcp *tcp, struct tcp_line *line, int err);

/* tcp_out.c */
/* How many bytes may be unread, and how many the server may still send. */
uint32_t window_most(const struct tcp *tcp, const struct tcp_line *line);
uint32_t window_of(const struct tcp *tcp, const struct tcp_line *line);
void send_syn(struct tcp *tcp, struct tcp_line *line);
void send_ack(struct tcp *tcp, struct tcp_line *line);
void send_reset(struct tcp *tcp, struct tcp_line *line);
/* A segment for no connection: RFC 9293 section 3.10.7.1. */
void send_stranger(struct tcp *tcp, const struct segment *segment);
/* What was received is acknowledged soon, or at once. */
void ack_received(struct tcp *tcp, struct tcp_line *line, bool at_once);
/* Sends what windows allow, and the FIN that is due. */
void output(struct tcp *tcp, struct tcp_line *line);
/* After a time-out. */
void output_again(struct tcp *tcp, struct tcp_line *line);
/* The first segment that is not acknowledged leaves again. */
void output_first(struct tcp *tcp, struct tcp_line *line);
uint16_t mss_of(const struct tcp *tcp, const struct tcp_line *line);
uint32_t timeout_ms(const struct tcp_line *line, unsigned tries);
