/* shard: one thread's share of the server: a ring, a slab of connections, a hub, and the loop that
 * turns them.
 *
 *   shard_turn:  ring events ─► receive in batches ─► transports ─► timers ─► hub, deliveries
 *                                                                    ─► one send per socket
 *
 * Threads  shard_create to shard_free on one thread; shard_stop and reading `counters` on any.
 * Memory   Everything a shard touches is its own, except the lanes between hubs.
 * Bounds   RECEIVE_BATCH sockets a receive batch, RECEIVE_TURN_BYTES and a batch a turn; SEND_BATCH
 *          a send batch, FLUSH_MAX sends, CARRIERS_PER_TURN carriers and about FLUSH_BYTES_MAX
 *          bytes a turn besides what the hub's visits send: one broadcast cannot keep the loop from
 *          listening. */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/settings.h"
#include "conn/admission.h"
#include "conn/budgets.h"
#include "conn/carrier.h"
#include "conn/conn.h"
#include "conn/counters.h"
#include "conn/datagrams.h"
#include "core/block.h"
#include "core/ring.h"
#include "core/timers.h"
#include "courier/courier.h"

struct addresses;
struct answering;
struct askings;
struct auth;
struct broker;
struct kafka;
struct compression;
struct deltas_made;
struct http2_library;
struct exchange;
struct hub;
struct hub_set;
struct log;
struct origins;
struct presence_home;
struct quic_library;
struct rtc_library;
struct turn;
struct route;
struct secure;
struct session_pool;
struct sign_ons;
struct tls_identities;
struct tls_server;
struct top;
struct trusted;

enum {
    RECEIVE_BATCH = 64,
    RECEIVE_BYTES = 16 * 1024,
    RECEIVE_TURN_BYTES = 1 << 20, /* received when a turn takes no further events */
    RECEIVE_BATCH_INFLATED = 4,   /* sockets of a batch, where what comes may be inflated */
    INFLATE_RATIO = 32,           /* bytes that those of one receive may become, on average */
    SEND_BATCH = 512,
    SEND_VECTORS = 32,  /* frames of one socket in one send */
    SEND_GATHERED = 64, /* sockets in a batch that send more than one run */
    SEND_BATCH_BYTES = 4 << 20,
    FLUSH_MAX = 4096,
    CARRIERS_PER_TURN = 1024, /* with datagrams: as many as are received, for each is answered */
    FLUSH_BYTES_MAX = 16 << 20,
    LINGER_MS = 2000,          /* for the last answer to leave, and for the peer to close */
    LINGER_BYTES_PER_MS = 128, /* a long last answer has longer to leave */
    HEARTBEAT_NEIGHBOURS = 64, /* slots whose heartbeats are due together */
    HEARTBEAT_PARTS = 64,      /* of heartbeat_ms: so exact is when a message was last sent */
    BEATS = 255,               /* values of shard->beat */
    TRICKLE_EVENTS = 64,       /* of a turn; more are a batch already */
    TRICKLE_NS = 1000000,  /* from a turn with events to the next; slower ones wait for nobody */
    ADMIN_SPARE = 32,      /* connections of the operator beyond max_connections */
    ACCEPT_PAUSE_MS = 100, /* after an accept that failed for want of descriptors or memory */
    ACCEPT_ANEW_MS = 500,  /* between two looks at sockets that another process lets go of */
    ACCEPT_ANEW_TIMES = 40,
};

/* Which port a connection came to. The operator's is kept from clients by its address. */
enum listener {
    LISTENER_PLAIN,
    LISTENER_TLS,
    LISTENER_ADMIN,
};

/* For shard_keep, behind those. */
enum {
    KEPT_DATAGRAMS = RING_LISTENERS_MAX,
};

/* What all shards share and only read. */
enum {
    SESSION_KEY_BYTES = 32,
};

struct server {
    const struct settings *settings;
    const struct transport *const *transports; /* TRANSPORT_COUNT of them */
    /* Called once before the deliveries of a batch, once behind them, and once before the shard
     * goes. */
    void (*batch_begin)(struct shard *shard, const struct hub_batch *batch);
    void (*batch_done)(struct shard *shard);
    void (*batch_end)(struct shard *shard);
    void (*sessions_end)(struct shard *shard); /* likewise; NULL: there are none */
    /* Once in a turn, before what is queued is sent: a turn's share of the answers that are given
     * in pieces. What has left by the end of it has its next piece in the next one. */
    void (*answers_turn)(struct shard *shard);
    int64_t (*unix_s)(void);           /* the wall clock, for Date; NULL in a simulation */
    const struct route *routes;        /* ended by one without a path */
    const struct tls_server *tls;      /* NULL: no TLS */
    struct tls_identities *identities; /* what a shard begins with; a reload publishes others */
    const struct http2_library *http2; /* NULL: no HTTP/2, and so no streams */
    const struct datagram_ops *datagrams[DATAGRAM_PORTS]; /* NULL: that is not spoken */
    const struct quic_library *quic;                      /* of the first; NULL likewise */
    const struct rtc_library *rtc;                        /* of the second */
    struct turn *turn; /* NULL: no credentials for another server */
    struct span
        alt_svc; /* RFC 7838: a field that tells of HTTP/3, with CRLF; empty: there is none */
    const struct origins *origins;
    struct addresses *addresses;   /* NULL: nothing is limited by address */
    const struct trusted *trusted; /* NULL: no proxy is */
    struct log *log;               /* NULL: nobody asked for one */
    struct auth *auth;             /* NULL: everybody is anonymous */
    /* Of a request with its head, before it is served: holds it, and serves it later. NULL: none
     * is. */
    bool (*hold)(struct shard *shard, struct conn *conn, const struct route *route,
                 const struct exchange *exchange);
    struct hub_set *hubs;
    const struct broker *broker;             /* NULL: this node is by itself */
    struct courier *couriers[COURIER_ROLES]; /* NULL: nobody needs that one */
    struct kafka *kafka;                     /* NULL: none is read */
    struct shard **shards;                   /* for /metrics and for waking */
    unsigned shard_count;
    atomic_uint
        *serving;  /* how many shards still have connections; the one thing that is written */
    uint64_t seed; /* of what is told to clients at random */
    uint64_t node; /* this process, as clients of sessions name it */
    unsigned char session_key[SESSION_KEY_BYTES]; /* by which a session's client is known */
};

/* Scratch for building batches: part of the shard, so that nothing large is on the stack. */
struct send_batch {
    struct ring_io io[SEND_BATCH];
    struct conn *conns[SEND_BATCH];
    struct msghdr *gathered; /* SEND_GATHERED heads */
    struct iovec *vectors;   /* SEND_VECTORS for each */
    unsigned count;
    unsigned gathered_count;
    size_t bytes;
};

/* Whether events trickle in. */
struct trickle {
    int64_t turn_ns; /* when the last turn with events began */
    uint32_t slot;   /* the one that its last event was of */
    bool several;    /* this turn's events are few, and not of that slot alone */
};

struct shard {
    const struct server *server;
    const struct settings *settings;
    struct ring *ring;
    struct hub *hub;
    unsigned index;
    int64_t now_ns;
    int64_t heard_ns; /* all that had arrived by then was taken */
    uint8_t beat;     /* now_ns in parts of heartbeat_ms: 1 to 255, and round again */
    int64_t date_s;   /* the second that `date` shows */
    uint8_t date_len; /* 0: there is no wall clock (a simulation) */
    char date[48];    /* "Date: …" CRLF */
    struct conn *slab;
    uint32_t slab_slots; /* of the ring, and then those of streams */
    uint32_t live;
    uint32_t live_max;
    uint32_t slots_high; /* of the ring's, those below this have been used */
    struct trickle trickle;
    int listen_fds[RING_LISTENERS_MAX]; /* by enum listener; -1: none, or no longer */
    int64_t listen_again_ns; /* 0: listening, or not at all; else when to try after a shortage */
    int64_t listen_anew_ns;  /* when the next look is due, if any is left */
    uint8_t listen_anew_left;
    struct admission admission;
    struct secure *secure; /* NULL: no TLS */
    unsigned proxied;      /* bits 1 << enum listener: those that expect the PROXY protocol */
    uint64_t *clients;     /* by slot: the key of the address that a connection is limited by, or 0;
                              NULL: nothing is */
    struct sign_ons *signs; /* NULL: nobody has a token */
    struct streams streams;
    struct datagrams datagrams;
    struct timers timers;
    struct blocks blocks;
    struct budget budgets[BUDGET_COUNT];
    uint64_t places_bytes; /* that queued frames take in the queues, besides their blocks */

    uint32_t dirty_head; /* connections with something to send, first come first served */
    uint32_t dirty_tail;
    uint32_t dirty_count;
    uint32_t readable[RECEIVE_BATCH]; /* slots to receive from, in this batch */
    unsigned readable_count;
    size_t received_bytes; /* in this turn, inflated ones too */
    size_t inflate_room;   /* what the bytes of this receive may still become: conn_inflate_room */
    char *receive_area;    /* RECEIVE_BATCH buffers of RECEIVE_BYTES */
    struct send_batch *batch;
    enum slow_reader_policy slow_reader; /* of the batch being delivered */
    char *scratch;                       /* head_bytes_max bytes for decoding queries */
    void *encoder;                       /* transport/: frames of the batch being delivered */
    struct presence_home *presence;      /* session/; NULL: nobody is present */
    struct deltas_made *deltas;          /* transport/: NULL until somebody is given one */
    struct compression *compression;     /* transport/: NULL until something is (in|de)flated */
    struct session_pool *sessions;       /* session/; NULL: nobody has one */
    struct askings *askings;             /* session/; NULL: no application was asked */
    struct top *top;                     /* NULL: nobody has looked yet */
    struct answering *answers;           /* transport/: those whose next piece waits for its turn */
    size_t answered_bytes;               /* transport/: of answers made in this turn */
    unsigned mercure_lists;              /* transport/: of subscriptions, that are gathered */

    atomic_bool stopping;
    atomic_uint kept; /* bits 1 << what shard_keep names: another process has that, too */
    bool draining;
    bool has_drained;     /* it counts as serving no more */
    uint32_t drain_conns; /* there were when the drain began */
    uint32_t drain_gone;  /* of them, how many were sent away */
    uint32_t drain_next;  /* the slot to look at */
    int64_t drain_end_ns;

    struct counters counters;
};

/* Makes a shard around a ring and a hub set, on the thread that will turn it. The ring becomes the
 * shard's. Returns 0, or negative errno and a sentence in `why`. */
int shard_create(struct shard **ret, const struct server *server, unsigned index, struct ring *ring,
                 int64_t now_ns, char *why, size_t why_size);

/* Starts to accept from a listening socket, which becomes the shard's: closed when it drains, so
 * that nobody waits in the backlog of a server that goes away. */
int shard_listen(struct shard *shard, enum listener listener, int fd);

/* For sockets that come from another process, which accepts, too, until it drains. The kernel wakes
 * one accept for each connection: if that is the other's, and is cancelled before it ran, nobody
 * else is woken, and the connection would wait for the next one. So for a while the accepts are
 * made anew, which look at the backlog first. */
void shard_succeed(struct shard *shard);

/* Handshakes begin with these from now on; takes over a reference. Any thread. */
void shard_reload(struct shard *shard, struct tls_identities *identities);

/* One turn without waiting. Returns how long the shard may wait before the next, in ns; 0: it has
 * more to do. */
int64_t shard_turn(struct shard *shard, int64_t now_ns);

/* Turns until shard_stop and the drain that follows. */
void shard_run(struct shard *shard);

/* Begins to drain. Any thread; also from a signal's thread. */
void shard_stop(struct shard *shard);

/* Lets go of the listening sockets. */
void shard_stop_listening(struct shard *shard);

/* Before shard_stop, when another process goes on with that (enum listener, or KEPT_DATAGRAMS): a
 * listening socket stays as it is, and strangers' first packets are left to it. Any thread. */
void shard_keep(struct shard *shard, unsigned which);

static inline int64_t heartbeat_part_ns(const struct shard *shard)
{
    return shard->settings->heartbeat_ms * INT64_C(1000000) / HEARTBEAT_PARTS;
}

static inline bool shard_is_kept(const struct shard *shard, unsigned which)
{
    return atomic_load_explicit(&shard->kept, memory_order_relaxed) & (1U << which);
}

/* True when it has drained: no connection is left, or the drain is over. */
bool shard_done(const struct shard *shard);

/* Whether its thread may end: when no shard has connections any more, as it is the home of channels
 * that those of others may still ask for; or when its time is up. */
bool shard_may_leave(struct shard *shard);

void shard_free(struct shard *shard);

/* How many connections one shard takes when the server takes `total`, with slack for an uneven
 * spread. */
uint32_t shard_connections(uint64_t total, unsigned shards);

/* Seconds since 1970 by the wall clock; of a simulation's own clock where there is none. */
int64_t shard_unix_s(const struct shard *shard);

/* ---- between the files of conn/ ---- */

void shard_accepted(struct shard *shard, uint32_t slot, enum listener listener);
void shard_readable(struct shard *shard, uint32_t slot, int32_t res);
void shard_writable(struct shard *shard, uint32_t slot);
void shard_receive(struct shard *shard);
/* Sends for up to FLUSH_MAX connections, once for each: one that has more to send, or is answered
 * anew, comes after the others. Returns whether some are left for the next turn. */
bool shard_flush(struct shard *shard);
/* Sends one batch, in the middle of a delivery: the lines are still in the cache. */
void shard_flush_batch(struct shard *shard);
bool shard_drain_turn(struct shard *shard);
void conn_watch_read(struct shard *shard, struct conn *conn);
void conn_receive_soon(struct shard *shard, struct conn *conn);
/* Plaintext of the peer, as it was received or out of a record. */
void conn_input(struct shard *shard, struct conn *conn, char *bytes, size_t len);
void conn_input_ended(struct shard *shard, struct conn *conn);

/* `len` bytes of a client are about to be understood: they may become one message of
 * message_bytes_max, and INFLATE_RATIO times themselves. Without it a receive of 16 KiB could be a
 * thousand messages of a MiB each, in one turn. */
void conn_inflate_room(struct shard *shard, size_t len);
void conn_mark_dirty(struct shard *shard, struct conn *conn);
/* Takes bytes off the front of what is queued. */
void conn_consume(struct shard *shard, struct conn *conn, uint32_t bytes);
void conn_release(struct shard *shard, struct conn *conn);
/* Of a finishing connection all has left. */
void conn_sent_all(struct shard *shard, struct conn *conn);
/* Everything has left. */
void conn_drained(struct shard *shard, struct conn *conn);
/* The socket has not taken everything; `moved`: but something. May close the connection. */
void conn_wait_for_room(struct shard *shard, struct conn *conn, bool moved);
void conn_timer_fired(void *context, uint32_t slot);
void conn_queue_clear(struct shard *shard, struct conn *conn);

static inline const struct transport *conn_transport(const struct shard *shard,
                                                     const struct conn *conn)
{
    return shard->server->transports[conn->transport];
}
