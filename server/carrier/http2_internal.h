/* Between the files of carrier/http2*.c.
 *
 *   http2.c           a connection: its session, input, deadlines, drain, end
 *   http2_send.c      what streams have queued becomes frames
 *   http2_request.c   fields become a request, DATA its body
 *   http2_answer.c    an answer's head becomes fields
 *   http2_push.c      a resource that nobody has asked for
 *   http2_memory.c    what the library takes
 *   http2_heads.c     what frames go by
 *
 * The names of bounds are in conn/http2_floods.h. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "carrier/http2.h"
#include "carrier/http2_heads.h"
#include "conn/http2_floods.h"
#include "conn/carrier.h"
#include "http/exchange.h"

struct http2_library {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
};

/* A head while it is received: the fields with their bytes behind them. */
struct http2_head {
    struct http_request request;
    struct span method, path, authority, protocol;
    int32_t stream;
    uint32_t listed; /* its size as RFC 9113 section 6.5.2 counts it */
    uint32_t used;
    bool too_long;
    bool too_many;
    char bytes[]; /* head_bytes_max */
};

struct http2 {
    struct carrier carrier;
    struct shard *shard;
    nghttp2_session *session;
    struct http2_head *head; /* NULL: none is being received */
    uint64_t bytes;          /* what the library holds */
    struct charge charge;
    struct http2_heads heads;
    struct http2_promise *promise; /* of a push, that has not left yet; or NULL */
    int32_t pushed;                /* the newest pushed stream; 0: none was */
    struct http2_bucket resets, idle_frames;
    bool begins;       /* the session is being made */
    bool is_busy;      /* the library is on the stack: the session may not be freed */
    bool is_dead;      /* the connection is closed: free it when that is over */
    bool drains;       /* takes no streams, and ends for `end_reason` when those that it has do */
    bool says_goodbye; /* GOAWAY has been submitted */
    bool idles;        /* it has no stream, and has the deadline for that */
    bool is_late;      /* it has not taken its GOAWAY yet */
    bool has_served;
    bool has_failed;    /* what it sends after its error is ignored */
    bool has_lost;      /* a frame that the client waits for: the connection is to end */
    bool flooded;       /* a bound is reached: the connection is to end */
    uint8_t end_reason; /* enum close_reason */
};

static inline struct http2 *http2_of(struct conn *socket)
{
    return socket->extra ? (struct http2 *)socket->extra->carrier : NULL;
}

static inline struct conn *http2_socket(struct http2 *http2)
{
    return conn_at(http2->shard, http2->carrier.slot);
}

/* ---- http2.c ---- */

/* A bound is reached. Returns what a callback says to the library, to stop it. */
int http2_flooded(struct http2 *http2, enum http2_flood flood);

/* What the library says to something to send. If it found no memory the client would wait for that
 * for ever, so its connection ends in the next turn. */
void http2_submitted(struct http2 *http2, int err);

/* The line of a stream, or NULL when it has none any more. */
struct conn *http2_stream(struct http2 *http2, int32_t id);

/* ---- http2_send.c ---- */

/* Lets the library write what it has, as far as the socket has room. Returns 0 or what the library
 * failed of. The connection may be closed then: is_dead. */
int http2_pump(struct http2 *http2);
/* Settles each stream on the list of ready ones. */
void http2_settle(struct http2 *http2);
int http2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                    size_t length, nghttp2_data_source *source, void *user_data);
/* Submits what ready streams have. */
void http2_offer(struct http2 *http2);

/* ---- http2_request.c ---- */

int http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data);
int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                    void *user_data);
int http2_on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                  size_t len, void *user_data);
/* A head is whole. */
void http2_request(struct http2 *http2, const nghttp2_frame *frame);
/* The client has ended a stream. */
void http2_body_ended(struct http2 *http2, int32_t id);
void http2_read_on(struct shard *shard, struct conn *stream);

/* A line for a stream whose request is whole. Returns NULL, with the stream refused, where there is
 * no place or the connection is drained. */
struct conn *http2_open(struct http2 *http2, int32_t id);

/* ---- http2_push.c ---- */

/* Promises http2_push to a client that asks for `/` and takes pushes. */
void http2_push(struct http2 *http2, int32_t parent, const struct http_request *request);
/* Serves a promise that has left, and forgets one that never will. */
void http2_push_go_on(struct http2 *http2);
void http2_push_drop(struct http2 *http2);

/* ---- http2_answer.c ---- */

void http2_head(struct shard *shard, struct conn *stream, const struct http_response_head *head);

/* ---- http2_memory.c ---- */

nghttp2_mem http2_memory(struct http2 *http2);
/* Overwrites the buffer that all sessions of the thread share, in builds with a sanitizer. */
void http2_memory_spoil(void);
