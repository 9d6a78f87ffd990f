/* carrier: a connection whose socket carries streams, and the streams: lines of the slab above the
 * ring's capacity. docs/decisions/streams-and-carriers.md has the drawing.
 *
 * Idea     Whoever has a line does not ask which it is. What differs is here: a stream has no
 *          socket to watch, send to or close, and its carrier does that for it. A window that is
 *          closed is to a stream what a full socket is to a connection (conn_blocked).
 * Turns    A stream with something to send is on its carrier's list of ready ones (LINK_DIRTY), and
 *          that carrier on the shard's list. At the flush each carrier there is turned, once: it
 *          takes what its streams have queued to the line of its socket, and settles each stream
 *          that it has touched.
 * Threads  The shard's.
 * Memory   16 bytes for each stream beside its line, and 8 for each that is a carrier itself,
 *          reserved for all and touched as they come into use. struct carrier is part of what its
 *          protocol keeps.
 * Bounds   streams_max over all shards. How many one connection may have is its protocol's affair.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "wire/http.h"

/* A stream's, beside its line. */
struct stream_link {
    uint32_t carrier;        /* the slot of its socket */
    uint32_t next, previous; /* the other streams of the carrier; or the next free stream */
    int32_t id;              /* the protocol's number; 0: its protocol has forgotten it */
};

struct carrier;
struct settings;

/* How a session of WebTransport, or a stream in one, is to give its messages. */
struct carrier_wish {
    const char *protocol; /* of a session: the sub-protocol agreed upon; NULL: none */
    int number;           /* as datagrams, with this in front; -1: on a stream */
};

struct carrier_ops {
    /* Begins the answer of a stream, or is an interim one (status below 200). */
    void (*head)(struct shard *shard, struct conn *stream, const struct http_response_head *head);
    /* Takes what streams have queued to the line of the socket, as far as that has room, and
     * settles each that it has touched. May close the connection. */
    void (*turn)(struct shard *shard, struct carrier *carrier);
    /* A stream is over on our side; not called when its protocol has forgotten it. */
    void (*reset)(struct shard *shard, struct conn *stream, enum close_reason reason);
    /* A stream that was paused takes input again. */
    void (*read_on)(struct shard *shard, struct conn *stream);
    /* Before it is answered: what its client asks for. Returns 0; -EOPNOTSUPP: it is no session of
     * WebTransport, nor a stream in one, or there are no datagrams; -EEXIST: another one has the
     * number; -ENOMEM. NULL: there are no such sessions. */
    int (*wish)(struct shard *shard, struct conn *stream, const struct carrier_wish *wish);
    /* Why a session of WebTransport will end: said when it does. NULL: there are none. */
    void (*farewell)(struct shard *shard, struct conn *stream, uint32_t code, struct span reason);
};

struct carrier {
    const struct carrier_ops *ops;
    uint32_t slot;    /* of its socket */
    uint32_t streams; /* the newest of them, or TIMERS_NONE */
    uint32_t count;
    uint32_t ready_head, ready_tail; /* linked by next_dirty */
    bool is_due;                     /* it is in the shard's list */
    bool holds_back; /* its socket had no room for all: is due again when that has drained */
    struct carrier *prev, *next; /* there */
};

/* A shard's. */
struct streams {
    struct stream_link *links; /* by slot − first */
    struct carrier **carried;  /* likewise: what a stream carries itself, as a peer does; NULL */
    uint32_t first;            /* slot of the first stream: the ring's capacity */
    uint32_t count;
    uint32_t high; /* so many have been used */
    uint32_t free; /* slot of one that was, or TIMERS_NONE */
    uint32_t open;
    struct carrier *due;
    uint32_t due_count;
};

/* How many streams one shard may have. */
uint32_t streams_of_shard(const struct settings *settings, unsigned shards);

/* Returns 0 or -ENOMEM. */
int streams_init(struct shard *shard, uint32_t first, uint32_t count);
void streams_done(struct shard *shard);

/* ---- a carrier ---- */

void carrier_init(struct carrier *carrier, const struct carrier_ops *ops, uint32_t slot);

/* What a line carries; NULL: nothing. */
struct carrier *conn_carrier(const struct shard *shard, const struct conn *conn);
/* A stream's line carries it from now on; NULL: nothing any more. A socket's is in conn_extra. */
void stream_carries(struct shard *shard, const struct conn *stream, struct carrier *carrier);

/* Closes its streams, which are its protocol's no longer. */
void carrier_end_streams(struct shard *shard, struct carrier *carrier);

/* Before it is freed. Its streams are closed. */
void carrier_done(struct shard *shard, struct carrier *carrier);

/* A carrier without a socket: what comes for its streams comes by datagrams. It takes a line of its
 * own among those of streams, with itself as what that carries. Returns 0 or -ENOBUFS. */
int carrier_port_open(struct shard *shard, struct carrier *carrier, const struct carrier_ops *ops,
                      enum transport_id transport, uint8_t listener);
/* Its streams are closed. */
void carrier_port_close(struct shard *shard, struct carrier *carrier);

/* It is to be turned at the next flush. */
void carrier_due(struct shard *shard, struct carrier *carrier);

/* Turns carriers, `most` of them and until the shard's list of connections is a batch. Returns how
 * many. */
uint32_t carriers_turn(struct shard *shard, uint32_t most);

/* ---- a stream ---- */

/* Opens one in TRANSPORT_HTTP, for a request that has come whole. Returns NULL when there is no
 * place for it. */
struct conn *stream_open(struct shard *shard, struct carrier *carrier, int32_t id);

struct stream_link *stream_link(const struct shard *shard, const struct conn *stream);
struct carrier *stream_carrier(const struct shard *shard, const struct conn *stream);

/* As carrier_ops has them; of what is no stream, -EOPNOTSUPP, and nothing. */
int stream_wish(struct shard *shard, struct conn *stream, const struct carrier_wish *wish);
void stream_farewell(struct shard *shard, struct conn *stream, uint32_t code, struct span reason);

/* The protocol has forgotten it: its end needs no word there. */
void stream_forgotten(struct shard *shard, struct conn *stream);

/* The line of the socket: a connection's own, or that of a stream's carrier. */
struct conn *conn_socket(struct shard *shard, struct conn *conn);

/* After bytes of a stream have left for its carrier: what is left over waits for its window, or
 * for the carrier's socket. `moved`: some have. May close the stream. */
void stream_settle(struct shard *shard, struct conn *stream, bool moved);

/* ---- between the files of conn/: what lines do there, a stream does here ---- */

void stream_ready(struct shard *shard, struct conn *stream);
void stream_head(struct shard *shard, struct conn *stream, const struct http_response_head *head);
void stream_read_on(struct shard *shard, struct conn *stream);
void stream_sent_all(struct shard *shard, struct conn *stream);
void stream_closed(struct shard *shard, struct conn *stream, enum close_reason reason);
void stream_free(struct shard *shard, struct conn *stream);
