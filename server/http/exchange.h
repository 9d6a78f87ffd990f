/* exchange: one HTTP request on a connection and its answer.
 *
 *   input ─► head complete ─► route ─► answered at once ─► next request on the same connection
 *                                  └─► a transport takes the connection ─► answered ─► http_next
 *
 * Threads  The shard's.
 * Memory   A request is parsed where its bytes lie; it is valid while `open` runs.
 * Bounds   head_bytes_max per head; head_timeout_ms for it to come; idle_timeout_ms between
 *          requests. Requests that come while one is being answered wait in the stash, and reading
 *          pauses when that is full. The next is looked at when the answers before it have left,
 *          but for ANSWERS_TOGETHER bytes; until then the connection is not read from. */
#pragma once

#include <stddef.h>

#include "conn/shard.h"
#include "http/params.h"
#include "wire/http.h"

struct exchange {
    const struct http_request *request;
    char *rest; /* what came behind the head; `open` takes from the front of it what belongs to the
                   request */
    size_t rest_len;
};

/* Whom a path is for, which says on which listeners it is served: see route_served. On the others
 * there is no such path. */
enum audience {
    FOR_CLIENTS,
    FOR_VISITORS, /* of the page that shows the transports */
    FOR_OPERATOR, /* and his page: what tells or does anything wants an API key */
    FOR_PUBLISHERS,
    FOR_TOKENS,
    FOR_METRICS,
    FOR_HEALTH,
    FOR_HOOKS, /* that bring their signatures */
};

struct route {
    const char *path; /* ended by '*': all that begin so */
    enum audience audience;
    unsigned methods;  /* bits 1 << enum http_method */
    const char *allow; /* the same, as the Allow field has it */
    void (*open)(struct shard *shard, struct conn *conn, struct exchange *exchange);
    /* Of paths that make a connection a subscriber: answers one that is not let in. NULL for all
     * others, which need no admission. */
    void (*shed)(struct shard *shard, struct conn *conn, enum refusal refusal, uint32_t retry_ms);
    bool upgrades; /* to a WebSocket */
};

extern const struct transport http_transport;

/* The web pages that may use this connection. A page in the operator's browser could reach a
 * listener that its author cannot: none may. */
static inline const struct origins *http_origins(const struct shard *shard, const struct conn *conn)
{
    return conn->listener == LISTENER_ADMIN ? NULL : shard->server->origins;
}

/* Serves a request that its stream has to itself. */
void http_serve(struct shard *shard, struct conn *stream, const struct http_request *request);

/* Refuses what is no request that could be read, and ends the connection. */
void http_refuse_head(struct shard *shard, struct conn *conn, enum refusal refusal);

/* Ends a request whose answer is queued: keeps the connection for the next, which may already be
 * there, or finishes it. */
void http_next(struct shard *shard, struct conn *conn);

/* A request that was held has been served, as it would have been at once: goes on with what came
 * behind it. */
void http_resumed(struct shard *shard, struct conn *conn);

/* For transports whose answer is on its way while the server drains: it is the last one. */
void http_drain(struct shard *shard, struct conn *conn);

/* give_up of the transports that owe an answer: 503, the last on this connection. */
void http_give_up(struct shard *shard, struct conn *conn);

/* Keeps bytes that came while a request is being answered. */
void http_stash(struct shard *shard, struct conn *conn, char *bytes, size_t len);

/* ---- answers ---- */

/* Answers completely. `extra` is further fields, each ended by CRLF. */
void http_answer(struct shard *shard, struct conn *conn, int status, struct span content_type,
                 struct span body, struct span extra);

/* Answers HEAD where GET's answer has no length that is known before: a stream, or what is waited
 * for. */
void http_answer_no_body(struct shard *shard, struct conn *conn, struct span content_type,
                         struct span extra);

/* Answers with the refusal's status and {"error":name,"message":sentence}, and counts it. */
void http_error(struct shard *shard, struct conn *conn, enum refusal refusal);
void http_error_fields(struct shard *shard, struct conn *conn, enum refusal refusal,
                       struct span extra);

/* The same, and ends the connection: the peer may have more on the way that we cannot make sense
 * of. */
void http_refuse(struct shard *shard, struct conn *conn, enum refusal refusal);
void http_refuse_fields(struct shard *shard, struct conn *conn, enum refusal refusal,
                        struct span extra);

/* Tells somebody who is not let in when to come back: the refusal's status with Retry-After, and
 * retry_ms in the body. */
void http_shed(struct shard *shard, struct conn *conn, enum refusal refusal, uint32_t retry_ms);

/* An answer is a head and a body. What carries the connection decides how the head travels: in
 * front of the body, as HTTP/1.1 has it, or by itself. */
struct http_head {
    int status;
    enum http_framing framing;
    uint64_t length; /* HTTP_FRAMING_LENGTH only */
    struct span type;
    struct span extra; /* further fields, each ended by CRLF */
};

enum {
    HTTP_ANSWER_HEAD_MAX = 1536,
};

/* Begins an answer: adds this connection's Date and CORS fields to the head, and writes it to
 * `buf`, where the body is to follow. Returns how many bytes it has there; `size` of
 * HTTP_ANSWER_HEAD_MAX always suffices without `extra`. */
size_t http_head_begin(struct shard *shard, struct conn *conn, char *buf, size_t size,
                       const struct http_head *head);

/* Sends an answer, whose head http_head_begin has begun. */
static inline void http_send(struct shard *shard, struct conn *conn, struct frame frame)
{
    if (frame.len > 0 || !frame.block)
        conn_send(shard, conn, frame, SEND_ANSWER, 0);
}

/* Tells a client to go on with its body. */
void http_continue(struct shard *shard, struct conn *conn);

/* Sends a head whose body comes later, piece by piece. */
void http_head_send(struct shard *shard, struct conn *conn, const struct http_head *head);

/* Whether a body of unknown length is sent to this connection in chunks; else it lasts as long as
 * its connection does. */
static inline bool http_is_chunked(const struct conn *conn)
{
    return !(conn->asked & ASKED_HTTP_10) && !(conn->link & LINK_STREAM);
}

static inline enum http_framing http_stream_framing(const struct conn *conn)
{
    return http_is_chunked(conn) ? HTTP_FRAMING_CHUNKED : HTTP_FRAMING_CLOSE;
}

/* ---- an answer in pieces, whose length is not known when it begins ----
 *
 *   head │ gap, body, framed in place │ gap, body, framed in place │ … the last of them
 *
 * Chunks on HTTP/1.1. On 1.0 the end of the body is that of the connection. */

enum {
    HTTP_PIECE_MAX = 0xffff,        /* bytes of a body in one piece */
    HTTP_PIECE_GAP = 4 + 2,         /* "ffff" CRLF */
    HTTP_PIECE_FRAMING_MAX = 6 + 7, /* around a body: the gap, CRLF, and the last chunk */
};

/* Writes the head of one with status 200, likewise. */
size_t http_pieces_head(struct shard *shard, struct conn *conn, char *buf, size_t size,
                        struct span content_type, struct span extra);

/* A piece of a body, 1 to HTTP_PIECE_MAX bytes, stands at area + HTTP_PIECE_GAP: frames it for this
 * connection. Returns how many bytes at `area` are to be sent. */
size_t http_piece_frame(const struct conn *conn, char *area, size_t body, bool last);

/* Reads the query, or answers 400 and returns NULL. The result is the shard's and valid during
 * `open`. */
struct params *http_params(struct shard *shard, struct conn *conn, const struct exchange *exchange);
/* The same where no channel is needed. */
struct params *http_params_any(struct shard *shard, struct conn *conn,
                               const struct exchange *exchange);
