/* conn: one connection: 64 bytes while it is idle, more only while something is half done.
 *
 *   slab[slot]  ┌─────────────────── 64 bytes ───────────────────┐
 *               │ generation · state · transport · three flags   │──► conn_extra: a stash of input,
 *               │ frames to send · subscriptions · timer links   │    a queue of frames, a
 *               └────────────────────────────────────────────────┘    transport's own state
 *
 * Idea     The ring's slot number is the index into the slab; above those are streams, which a
 *          socket carries (conn/carrier.h), and are connections in all that follows. What leaves a
 *          connection in one turn is a single run of a block in almost every case and sits in the
 *          line; a second run, or what a full socket left over, goes to the queue in conn_extra.
 * Threads  The shard's.
 * Memory   The slab is reserved once, and its pages are touched as slots come into use. conn_extra
 *          is on the heap, attached on demand and given back when it is empty.
 * Bounds   queue_bytes_max per connection for live messages, queue_total_bytes_max per shard for
 *          all, head_bytes_max for the stash, a record for what TLS has begun to read. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/close_reason.h"
#include "conn/transport.h"
#include "conn/send_queue.h"
#include "core/block.h"
#include "core/budget.h"
#include "core/ticket.h"
#include "core/timers.h"
#include "wire/http.h"
#include "wire/span.h"

/* The life of a connection. conn_end moves it on, from any state, and nothing else does:
 *
 *     accepted
 *        │
 *      OPEN ───────────────────────────── END_CLOSE ──────────┐
 *        │ END_SENT, END_LINGER                               │
 *        ▼                                                    │
 *    FINISHING   what is queued leaves, over TLS close_notify │
 *        │   └── END_SENT: all has left ──────────────────────┤
 *        │ END_LINGER: all has left, and FIN                  │
 *        ▼                                                    │
 *    LINGERING   reads on, until the peer closes ─────────────┤
 *                                                             ▼
 *      FREE ◄──── nothing refers to the slot any more ──── CLOSING
 *
 * A connection has one deadline, which the state gives it and the peer cannot move:
 *
 *   OPEN        the handshake's, then its transport's (conn_timer); while the socket is full, that
 *               of a stalled reader instead
 *   FINISHING   LINGER_MS, and for a long queue 1 ms for each LINGER_BYTES_PER_MS; then a reset
 *   LINGERING   LINGER_MS
 *   CLOSING     none: it waits for the ring alone */
enum conn_state {
    CONN_FREE,
    CONN_OPEN,
    CONN_FINISHING,
    CONN_LINGERING,
    CONN_CLOSING,
};

/* How a connection ends. */
enum conn_how {
    END_CLOSE,  /* at once: what is queued is lost */
    END_SENT,   /* when what is queued has left: the peer has said that it sends nothing more */
    END_LINGER, /* then FIN, and reads until the peer closes: it may be sending, and to close over
                   unread bytes would reset away the answer (RFC 9112 section 9.6) */
};

/* Of the socket. The first ones refer to the slot, and it is not free before they are gone. */
enum conn_link {
    LINK_WATCH_READ = 1 << 0,  /* a read watch is out                               */
    LINK_WATCH_WRITE = 1 << 1, /* a write watch is out: the socket is full, or FIN on its way; of a
                                  stream: its window is closed, or its carrier's socket full */
    LINK_DIRTY = 1 << 2,       /* in the list of connections with something to send */
    LINK_RECEIVING = 1 << 3,   /* in the list of connections to receive from        */
    LINK_WAITS = 1 << 4,       /* in a list of handshakes that wait for their turn  */
    LINK_BUSY = LINK_WATCH_READ | LINK_WATCH_WRITE | LINK_DIRTY | LINK_RECEIVING | LINK_WAITS,

    LINK_PAUSED = 1 << 5, /* reads nothing until resumed: its answers do not leave fast enough */
    LINK_INPUT_ENDED = 1 << 6, /* the peer has sent its last byte, or nothing more is read of it;
                                  it may still be reading */

    LINK_CATCHES_UP =
        1 << 20,             /* when all has left, the next part is made: of a replay, an answer */
    LINK_TLS = 1 << 7,       /* came to the TLS port */
    LINK_HANDSHAKE = 1 << 8, /* its handshake is not over */
    LINK_KEYED = 1 << 9,     /* it is, and the keys are in the secure line */
    LINK_SEALED = 1 << 10,   /* the line's run is ciphertext already */
    LINK_KEY_UPDATE = 1 << 18, /* of TLS 1.3: goes over to new keys before what is sent next */
    LINK_NOTIFIED = 1 << 11,   /* close_notify or a fatal alert is queued or out */

    LINK_PROXY = 1 << 12,   /* its PROXY header is not complete             */
    LINK_COUNTED = 1 << 13, /* is one of its address's connections          */
    LINK_TRUSTED = 1 << 14, /* a trusted proxy's: its requests are others'  */

    LINK_STREAM = 1 << 15,   /* no socket but a stream: conn/carrier.h       */
    LINK_OFFERED = 1 << 16,  /* its protocol knows that it has something to send */
    LINK_END_SENT = 1 << 17, /* nothing follows what its protocol has of it  */
};

/* Of the request being answered. The next one begins with none of them. */
enum conn_asked {
    ASKED_HTTP_10 = 1 << 0,
    ASKED_KEEP_ALIVE = 1 << 1,
    ASKED_LAST_REQUEST = 1 << 2, /* no other will follow                        */
    ASKED_HEAD_ONLY = 1 << 3,
    ASKED_SINCE = 1 << 4,     /* a position was given                           */
    ASKED_RECOVERED = 1 << 5, /* a position was given, and is honoured so far   */
    ASKED_SEVERAL = 1 << 6,   /* several channels                               */
    ASKED_ENVELOPE = 1 << 7,  /* WebSocket: messages in JSON                    */
    ASKED_TAGGED = 1 << 8,    /* poll: the answer has a tag                     */
    ASKED_CACHEABLE = 1 << 9, /* poll: and shared caches may keep it            */
    ASKED_GZIP = 1 << 10,     /* poll: may be gzip; SSE: is                     */
    ASKED_DELTA = 1 << 11,    /* stream, session: what changed, of some channel */
};

/* Of the role that the connection has taken on, for the rest of its life. */
enum conn_role {
    ROLE_ADMITTED = 1 << 0,   /* a subscriber: further requests need no admission */
    ROLE_PING_SENT = 1 << 2,  /* WebSocket: nothing heard since the last ping     */
    ROLE_CLOSE_SENT = 1 << 3, /* WebSocket: our close frame is out                */
    ROLE_UNWANTED = 1 << 4,   /* came to a full table, or to a server that drains */
    ROLE_SESSION = 1 << 5,    /* has a session, which has its subscriptions       */
    ROLE_SIGNED_ON = 1 << 6,  /* lives on a token: conn/sign_on.h                 */
    ROLE_DEFLATE = 1 << 7,    /* WebSocket: permessage-deflate is agreed upon     */
    ROLE_ONE_WAY = 1 << 8,    /* of a session: its client only listens            */
    ROLE_CONNECTING = 1 << 9, /* of a session: its connect is not answered yet    */
    ROLE_KEPT = 1 << 10,      /* WebSocket: its carrier sees whether the peer is there: no pings */
    ROLE_LATEST = 1 << 11,    /* of what waits for room only the latest message is kept */
};

struct carrier;
struct conn_extra;
struct gathering;
struct catch_up;

struct conn {
    _Alignas(64) uint32_t
        generation;    /* grows with every use of the slot: replies to an earlier use are dropped */
    uint8_t state;     /* enum conn_state */
    uint8_t transport; /* enum transport_id */
    uint8_t origin;    /* 1 + index into the allowed origins, of the request; 0: none */
    uint8_t end_reason; /* enum close_reason, once it is finishing */
    uint32_t link;      /* enum conn_link */
    uint16_t asked;     /* enum conn_asked */
    uint16_t role;      /* enum conn_role */
    struct conn_extra *extra;
    struct block *out_block; /* the run to send, or NULL; the line holds a reference */
    uint32_t out_at;
    uint32_t out_len;
    uint32_t next_dirty;
    uint32_t subscriptions; /* head of the hub's chain; with ROLE_SESSION its session's number */
    struct timer_link timer;
    uint8_t since_ping; /* WebSocket: 1 + half heartbeats since the last ping; 0: there was none */
    uint8_t listener;   /* enum listener: where it came in */
    uint8_t out_kind;   /* enum send_kind, of the run to send */
    uint8_t told;       /* when a message was last sent, as shard->beat was; 0: not since the last
                           heartbeat */
};
static_assert(sizeof(struct conn) == 64, "a connection is one cache line");

struct stash {
    char *bytes;
    uint32_t len;
    uint32_t size;
};

struct conn_extra {
    struct send_queue queue;
    struct charge owed;          /* what waits since the socket was full */
    struct charge held;          /* of the three stashes, of the transport's state and of this */
    struct charge kept;          /* of kept_bytes, since the socket was full */
    uint64_t kept_bytes;         /* payloads that an answer under way keeps from being freed */
    struct stash input;          /* bytes not yet understood */
    struct stash message;        /* of a body or a message whose end has not come */
    struct stash record;         /* TLS: the beginning of a record that is not all there */
    uint32_t scanned;            /* of `input`, how many were searched for the end of a head */
    uint32_t unread;             /* of a paused stream: bytes taken, and its window not told */
    uint32_t state_bytes;        /* of the transport's state */
    bool has_body;               /* there is more of the request's body to come */
    bool stalled;                /* open, the socket is full, and the timer is the stall's */
    bool moved;                  /* bytes left the socket since that timer was set */
    struct http_body body;       /* of the request, as far as it has come */
    struct carrier *carrier;     /* of a socket that carries streams */
    void *transport_state;       /* the transport's own; freed by its `closed` or earlier */
    struct gathering *gathering; /* replies for several channels, until all are there */
    struct catch_up *catch_up;   /* of a stream that is not live yet in all of its channels */
    int64_t deadline_ns;         /* what the timer was set to before */
};

static_assert(sizeof(struct conn_extra) <= 320, "what jemalloc has a size for");

/* The extra part, made when it is missing. Returns NULL when memory is out. */
struct conn_extra *conn_extra(struct conn *conn);
/* Frees it when nothing is in it. */
void conn_extra_trim(struct shard *shard, struct conn *conn);

struct conn *conn_at(struct shard *shard, uint32_t slot);
uint32_t conn_slot(const struct shard *shard, const struct conn *conn);

/* For a question whose answer comes later; `tag` says which of its questions it is. */
struct ticket conn_ticket(const struct shard *shard, const struct conn *conn, uint32_t tag);

/* Who waits for an answer that has come, or NULL: it has ended, or is ending. */
struct conn *conn_of_ticket(struct shard *shard, const struct ticket *ticket);

/* True until it is closed: it may be ending. */
static inline bool conn_alive(const struct conn *conn)
{
    return conn->state != CONN_FREE && conn->state != CONN_CLOSING;
}

/* Its socket is full, or its FIN is on its way. */
static inline bool conn_blocked(const struct conn *conn)
{
    return conn->link & LINK_WATCH_WRITE;
}

/* ---- sending (outbound.c) ---- */

/* Queues a frame with so many messages of a channel; it leaves at the end of the turn, together
 * with whatever else is queued for the socket. May close the connection, for want of room or of
 * memory, also when that was out for the frame (its block is NULL), unless it is a pong, which is
 * then not sent; and others, for the shard's want of room. */
void conn_send(struct shard *shard, struct conn *conn, struct frame frame, enum send_kind kind,
               unsigned messages);

enum {
    CONTROL_BYTES_MAX = 64 * 1024, /* of SEND_CONTROL that wait for a full socket */
};

/* Copies bytes into a frame and queues it, as SEND_CONTROL. */
void conn_send_bytes(struct shard *shard, struct conn *conn, struct span bytes);

/* Queues a frame in front of all else. Closes the connection when memory is out, also when it was
 * for the frame. */
void conn_send_first(struct shard *shard, struct conn *conn, struct frame frame);

/* Bytes queued and not yet taken by the socket. */
uint64_t conn_queued(const struct conn *conn);

/* The same, and the places that it takes. */
uint64_t conn_waiting(const struct conn *conn);

/* What memory those keep. */
uint64_t conn_keeps(const struct conn *conn);

/* ---- lifecycle (lifecycle.c) ---- */

/* Ends a connection. It takes no more requests and no more messages. Safe in any state, also
 * twice: to end one that is ending already does nothing, but for END_CLOSE. With nothing queued
 * there is nothing to lose, and all three close at once, over TLS behind a close_notify.
 *
 * The reason that is counted is the first, unless the exchange was over and its last answer did not
 * leave: then it is what took that away. */
void conn_end(struct shard *shard, struct conn *conn, enum conn_how how, enum close_reason reason);

/* Sets the deadline of an open connection; one that is ending has its own. */
void conn_timer(struct shard *shard, struct conn *conn, int64_t delay_ms);

/* Sets the deadline for a stream's next heartbeat: after heartbeat_ms, or the first ones somewhat
 * sooner, but not before half of it. */
void conn_heartbeat(struct shard *shard, struct conn *conn);

/* For a heartbeat that is due: whether it can be left out, since a message was sent so lately that
 * the peer has not been without a byte for heartbeat_ms. The deadline is set anew then. Returns the
 * half heartbeats until that, or 0: it is to be sent. */
unsigned conn_heartbeat_skip(struct shard *shard, struct conn *conn);

/* Hands the connection to another transport. */
void conn_hand_over(struct conn *conn, enum transport_id transport);

/* Stops and starts reading. */
void conn_pause(struct conn *conn);
void conn_resume(struct shard *shard, struct conn *conn);

/* ---- stash: bytes that grow piece by piece (stash.c) ---- */

/* Appends; returns 0, -ENOBUFS when it would hold more than `max` bytes (at most UINT32_MAX), or
 * -ENOMEM. Failed, it is as before. */
int stash_append(struct stash *stash, const char *bytes, size_t len, size_t max);
void stash_consume(struct stash *stash, size_t len);
void stash_free(struct stash *stash);
