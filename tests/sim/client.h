/* client: one visitor after another on one seat: publisher, poller, stream, socket, or nuisance.
 *
 *   away ─ client_open ─► asks ─► answers … ─► stream ─► gone ─► away, with its positions
 *
 * Memory   What a visit needs is made in it and given back by client_gone. */
#pragma once

#include "seat.h"
#include "sim.h"
#include "wire/http.h"
#include "wire/position.h"
#include "wire/sse.h"
#include "wire/ws.h"

enum {
    ASKED_MAX = 4,   /* requests under way on one connection */
    READING_MAX = 4, /* channels of one reader */
    HELD_MAX = 400000,
};

enum client_role {
    ROLE_PUBLISH,
    ROLE_POLL,
    ROLE_LONGPOLL,
    ROLE_SSE,
    ROLE_WS,
    ROLE_ECHO,
    ROLE_CENTRIFUGE,
    ROLE_NUISANCE,
};

enum client_state {
    CLIENT_HTTP,
    CLIENT_SSE,
    CLIENT_WS,
};

/* Bytes at hand: [at, len) of them are still of interest. */
struct bytes {
    char *ptr;
    size_t at;
    size_t len;
    size_t size;
};

struct h2_link;
struct h3_link;
struct secure_link;

struct client {
    struct sim *sim;
    unsigned index;
    int64_t act_at_ns;
    struct fake_client *link;   /* NULL: away, or carried */
    struct secure_link *secure; /* around it; NULL: without TLS */
    struct h2_link *carried;    /* a stream of a connection that others share, instead of it */
    struct h3_link *h3;         /* or one of HTTP/3 */
    bool lossy;                 /* its messages are datagrams */
    bool stray;                 /* speaks without TLS at the port of TLS */
    int64_t arrived_ns;
    int64_t stalled_until_ns;
    uint64_t bytes_read; /* in all visits */
    enum client_role role;
    enum client_state state;
    unsigned requests_left;
    bool leaving;  /* closes when it has nothing under way */
    bool vanished; /* does nothing any more, and does not say so */
    bool deaf;     /* asks, and reads no answer */
    bool shut;     /* has closed its half behind its last request */

    struct bytes out;
    struct bytes in;      /* a head that has not come whole */
    struct bytes message; /* a body, or a message in pieces */
    struct bytes held;    /* for the parser of event streams */
    bool in_body;
    struct http_body body;
    struct http_response answer;
    struct sse_parser sse;
    struct ws_inbound ws;
    char key[WS_KEY_SIZE];

    uint64_t asked[ASKED_MAX]; /* message ids of a publisher; 0 for other requests */
    unsigned asked_count;
    uint64_t published[ASKED_MAX]; /* on a WebSocket with envelopes, not yet confirmed */
    unsigned published_count;

    uint64_t echoes; /* sent to /echo, ever; and come back, or lost with their connection */
    uint64_t echoed;

    unsigned reading_count;
    struct ledger_cursor reading[READING_MAX];
    bool resuming; /* asked for what follows a position */
    bool envelope;
    bool standing; /* was told where it stands */
    bool ended;    /* was told that its channel has, and nothing may follow */
    bool jumped;   /* got something behind a gap, and must be told so */
    bool close_seen;
    unsigned close_code;

    /* changes.c */
    bool offers, deflates; /* permessage-deflate: it did, and it is agreed upon */
    bool delta;            /* asked for what changes */
    bool latest;           /* asked for the latest of each channel, when these were known: */
    struct ledger_place newest[READING_MAX];
    struct bytes base[READING_MAX];
    bool has_base[READING_MAX];

    struct seat seat; /* of ROLE_CENTRIFUGE */
};

void bytes_add(struct bytes *bytes, const void *data, size_t len);
void bytes_free(struct bytes *bytes);

static inline struct span bytes_left(const struct bytes *bytes)
{
    return span_of(bytes->ptr + bytes->at, bytes->len - bytes->at);
}

void client_init(struct client *client, struct sim *sim, unsigned index);
/* Does something, or nothing, and says when it wants its next turn. */
void client_act(struct client *client);
void client_leave(struct client *client);
/* The connection is over for whatever reason. */
void client_gone(struct client *client);
bool client_streams(const struct client *client);
bool client_is_here(const struct client *client);
/* Whether its connection is shared with others. */
static inline bool client_shares(const struct client *client)
{
    return client->carried || client->h3;
}
/* The connection below, whoever shares it; NULL when that is over. */
struct fake_client *client_end(const struct client *client);

/* ---- client_ask.c ---- */

/* Comes in some role, or in this one. */
void client_open(struct client *client);
void client_open_as(struct client *client, enum client_role role);
/* Asks for something again. */
void client_ask(struct client *client);
void client_ask_publish(struct client *client, unsigned channel);
/* A frame of the client's own, masked. */
void client_frame(struct client *client, enum ws_opcode opcode, struct span payload);
/* Something that a client may send on an open WebSocket. */
void client_chat(struct client *client);
void client_channel_name(unsigned channel, char ret[32]);

/* ---- client_read.c ---- */

/* Understands what came. Returns false when the connection is over. */
bool client_input(struct client *client, char *bytes, size_t len);
/* The server has closed: what was under way without an end may end here. */
void client_input_end(struct client *client);

/* ---- client_told.c ---- */

/* What a message, an answer, an event or a frame says, held against the ledger. */
void told_publish(struct client *client, uint64_t id);
/* Whether what it has published may be refused because its channel has ended. */
bool told_ended(const struct client *client);
void told_answer(struct client *client);
void told_event(struct client *client, const struct sse_event *event);
void told_frame(struct client *client, bool text);
void told_echo(struct client *client, bool text);
