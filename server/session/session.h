/* session: a client of the Centrifuge protocol: who it is, and what it is subscribed to.
 *
 *   line of the slab (ROLE_SESSION) ── subscriptions: the session's number ─► session, 64 bytes
 *                                                                              │ channels
 *                                                           hub's subscription ◄┘ ─► …, any order
 *
 *   commands.c   what a client asks             answers.c      what it is told, and given
 *   replay.c     what it missed, part by part   centrifuge.c   the protocol over a WebSocket
 *   person.c     who it is, by its token        permits.c      and so what it may
 *   webtransport.c   the same over WebTransport
 *   streams.c    the protocol over HTTP         emulation.c    what such a client asks
 *   speak.c      text, in what carries it
 *   orders.c     what a server has done to it   connecting.c   the channels that it begins with
 *   session_events.c  what webhooks are told of it
 *   asking.c     what its application is asked  verdicts.c     and what that has said
 *
 * Idea     docs/decisions/sessions.md. A session begins with its connection, NEW until its client
 *          has sent a connect command, and is gone when the connection begins to end.
 * Threads  The shard's.
 * Memory   A pool of the shard, reserved at the first session and touched page by page; it never
 *          moves. What of a replay is still to be asked for is on the heap meanwhile.
 * Bounds   session_channels_max channels, SESSION_COMMANDS_MAX commands in a message of at most
 *          message_bytes_max, head_timeout_ms for the connect command; SESSION_PARTS_MAX parts of
 *          replays at once; history and presence no more while queue_bytes_max waits. */
#pragma once

#include <assert.h>

#include "conn/shard.h"
#include "http/exchange.h"
#include "hub/hub.h"

enum {
    SESSION_COMMANDS_MAX = 1024, /* in one message */
    SESSION_PARTS_MAX = 8,       /* channels that begin with a part of their replay; the others
                                    wait with theirs until all has left */
    SESSION_ID_LEN = 36,         /* characters of a client's id */
};

enum session_state {
    SESSION_FREE,
    SESSION_NEW,
    SESSION_ASKING,     /* its application is asked who it is */
    SESSION_CONNECTING, /* begins with channels that have not answered yet */
    SESSION_CONNECTED,
};

/* A channel that has more to give behind a position. */
struct session_gap {
    uint32_t subscription;
    uint64_t epoch, offset;
};

/* A subscription by a token that ends. */
struct session_end {
    uint32_t subscription;
    int64_t ends_s;
};

struct nodes_heard;
struct person;
struct connecting;
struct asking;

struct session {
    uint64_t secret;   /* the part of its id that nobody can guess */
    uint32_t channels; /* head of the hub's chain; of a free one, the next */
    uint16_t channel_count;
    uint8_t state;            /* enum session_state */
    struct session_gap *gaps; /* whose replay goes on when all has left; NULL: none */
    uint16_t gap_count, gap_size;
    uint16_t end_count, end_size;
    struct session_end *ends;      /* NULL: no subscription ends by itself */
    struct person *person;         /* NULL: nobody in particular */
    struct connecting *connecting; /* of ROLE_CONNECTING */
    struct asking *asking;         /* NULL: nothing, and no application was asked for it */
};
static_assert(sizeof(struct session) <= 64, "a cache line");

extern const struct transport session_transport;

extern const struct transport session_lines_transport, session_events_transport;
extern const struct transport webtransport_transport, session_tunnel_transport;
extern const struct transport emulation_transport;

/* GET /connection/websocket and /connection/uni_websocket. */
void session_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void session_open_one_way(struct shard *shard, struct conn *conn, struct exchange *exchange);

/* CONNECT /connection/webtransport. */
void webtransport_open(struct shard *shard, struct conn *conn, struct exchange *exchange);

/* POST /connection/http_stream, GET and POST /connection/sse; and for those who only listen. */
void session_open_lines(struct shard *shard, struct conn *conn, struct exchange *exchange);
void session_open_lines_one_way(struct shard *shard, struct conn *conn, struct exchange *exchange);
void session_open_events(struct shard *shard, struct conn *conn, struct exchange *exchange);
void session_open_events_one_way(struct shard *shard, struct conn *conn, struct exchange *exchange);

/* POST /emulation. */
void emulation_open(struct shard *shard, struct conn *conn, struct exchange *exchange);

/* Gives the connection a session. Returns 0 or -ENOMEM. */
int session_begin(struct shard *shard, struct conn *conn);
/* Takes it back, with all subscriptions. */
void session_end(struct shard *shard, struct conn *conn);
struct session *session_of(const struct shard *shard, const struct conn *conn);

/* Its subscription to a channel, or HUB_NONE. */
uint32_t session_subscription_to(const struct shard *shard, const struct session *session,
                                 struct span name);

/* Which shard and slot an id is of, if it has the form of one. */
bool session_id_read(struct span id, unsigned *ret_shard, uint32_t *ret_slot);

/* What a client said to another node, for its session here; it is answered by and by. */
void emulation_heard(struct shard *shard, struct nodes_heard *heard);

/* Writes the client's id: its address, as 8-4-4-4-12 hex digits. */
void session_id_write(const struct shard *shard, const struct conn *conn, char ret[SESSION_ID_LEN]);

/* Frees the pool. */
void sessions_end(struct shard *shard);
