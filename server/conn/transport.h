/* transport: what a protocol must answer for the connections that are in its hands. One file per
 * transport, all of this shape; conn calls upwards through it, and the hub's replies find their way
 * through it.
 *
 * Threads  All of it on the shard's thread.
 * Rules    Any of these may close the connection (conn_end); a caller looks before
 *          it goes on. A NULL entry means that the transport has nothing to do there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/close_reason.h"
#include "conn/refusal.h"
#include "core/ticket.h"

struct conn;
struct shard;
struct hub_reply;
struct hub_batch;

enum transport_id {
    TRANSPORT_HTTP, /* between requests: collects a head, then hands over */
    TRANSPORT_PUBLISH,
    TRANSPORT_POLL,
    TRANSPORT_LONGPOLL,
    TRANSPORT_ANSWER, /* a poll's or long poll's answer, given in pieces */
    TRANSPORT_SSE,
    TRANSPORT_OPENING, /* a WebSocket that is not subscribed yet, and so not answered */
    TRANSPORT_WEBSOCKET,
    TRANSPORT_ECHO,
    TRANSPORT_HTTP2, /* carries streams */
    TRANSPORT_RTC,   /* a peer of WebRTC: carries data channels */
    TRANSPORT_RTC_OFFER,
    TRANSPORT_QUIC, /* likewise, and is itself a stream: of the shard's port */
    TRANSPORT_SERVER_API,
    TRANSPORT_HELD,           /* waits for its ticket, likewise */
    TRANSPORT_REVOKE,         /* waits for the other nodes of a cluster */
    TRANSPORT_SESSION,        /* a WebSocket with a session: the Centrifuge protocol */
    TRANSPORT_SESSION_LINES,  /* the same as an answer that does not end, of lines */
    TRANSPORT_SESSION_EVENTS, /* likewise, of events */
    TRANSPORT_WEBTRANSPORT,   /* a session of it, in which sessions of that protocol are opened */
    TRANSPORT_SESSION_TUNNEL, /* such a one, of lines both ways */
    TRANSPORT_WT,             /* a session of WebTransport without a channel of its own */
    TRANSPORT_WT_TARGET,      /* a stream in one: says first what it is for */
    TRANSPORT_WT_MESSAGE,     /* a client's one-way stream in one: a message */
    TRANSPORT_EMULATION,      /* commands for such a one */
    TRANSPORT_WATCH,          /* the operator's: an event stream about the server */
    TRANSPORT_MERCURE,
    TRANSPORT_MERCURE_PUBLISH,
    TRANSPORT_MERCURE_LIST,
    TRANSPORT_HOOK,
    TRANSPORT_WEBHOOKS, /* the server API's part about webhooks */
    TRANSPORT_COUNT,
};

struct transport {
    const char *name;
    bool is_tunnel; /* bytes of its stream are not the body of a request */
    /* Bytes came. They may be changed in place, and are gone when this returns. */
    void (*input)(struct shard *shard, struct conn *conn, char *bytes, size_t len);
    /* A whole message came on a WebSocket; likewise. */
    void (*message)(struct shard *shard, struct conn *conn, struct span payload, bool text);
    /* A client has opened a stream in a session of WebTransport, both ways or to us alone: makes it
     * what it is to be. NULL: such streams are refused. */
    void (*opened)(struct shard *shard, struct conn *session, struct conn *stream);
    void (*opened_one_way)(struct shard *shard, struct conn *session, struct conn *stream);
    /* A piece of the request's body came: see http/body.h. `last`: none follows; it may be empty.
     */
    void (*body)(struct shard *shard, struct conn *conn, struct span piece, bool last);
    /* The peer has sent its last byte. Returns true when it is still owed something, after which
     * the connection is to end; NULL or false closes at once. */
    bool (*input_ended)(struct shard *shard, struct conn *conn);
    /* Answers what is no request that the transport could read. */
    void (*refuse)(struct shard *shard, struct conn *conn, enum refusal refusal);
    /* What it has of its input, and cannot go on without, is given up for want of room: says so.
     * The caller ends the connection. NULL: there are no words for it, and it is closed. */
    void (*give_up)(struct shard *shard, struct conn *conn);
    /* All has left that was queued for a connection that is paused or catches up. NULL: it is read
     * from again. */
    void (*drained)(struct shard *shard, struct conn *conn);
    /* Its token has ended, or was revoked: says so and ends. NULL: it is closed. */
    void (*signed_off)(struct shard *shard, struct conn *conn, enum close_reason reason);
    /* The deadline set with conn_timer has passed. */
    void (*timer)(struct shard *shard, struct conn *conn);
    /* The server is going away: say so and end. */
    void (*drain)(struct shard *shard, struct conn *conn);
    /* It ends, and hears no more: take its subscriptions back. NULL: they are the line's chain. */
    void (*leave)(struct shard *shard, struct conn *conn);
    /* The connection is closing: give back what the transport attached, and its gauge. */
    void (*closed)(struct shard *shard, struct conn *conn);
    /* Replies and messages of the hub, for requests that this connection made. */
    void (*subscribed)(struct shard *shard, struct conn *conn, const struct hub_reply *reply);
    void (*read)(struct shard *shard, struct conn *conn, const struct hub_reply *reply);
    void (*published)(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err,
                      uint64_t epoch, uint64_t offset);
    void (*deliver)(struct shard *shard, struct conn *conn, uint32_t subscription,
                    const struct hub_batch *batch);
    /* Who joined and left one of its channels, or ephemeral messages. NULL: nobody is told. */
    void (*events)(struct shard *shard, struct conn *conn, uint32_t subscription,
                   const struct hub_batch *batch);
};
