/* body: the body of a request, decoded as HTTP/1.1 frames it and given piece by piece to the
 * transport that asked for it (transport.body). A stream frames its body itself.
 *
 *   bytes behind the head ─► http_body_begin ─┐
 *   bytes that come later ─► http_body_input ─┴► transport.body(piece, last) … ─► next request
 *
 * Threads  The shard's.
 * Memory   24 bytes in conn_extra while the body lasts. Pieces lie where they were received; a body
 *          that came whole is one piece.
 * Bounds   The `max` of http_body_begin. How long a body may take is its transport's affair. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/exchange.h"

/* Takes the body of this request, of at most `max` bytes, and tells a client that waits for it to
 * go on. The connection is in its transport's hands already, whose `input` is http_body_input.
 * Returns false when the request was refused instead, or the connection ended. */
bool http_body_begin(struct shard *shard, struct conn *conn, struct exchange *exchange,
                     uint64_t max);

/* Bytes of the body, and of requests behind it: those wait in the stash. */
void http_body_input(struct shard *shard, struct conn *conn, char *bytes, size_t len);

/* For `body` of a transport that wants it whole: gives it to `whole` when the last piece is there.
 * Until then it lies in the stash, of message_bytes_max at most; one that came whole is not copied.
 * Refuses the request when memory is out. */
typedef void http_body_whole(struct shard *shard, struct conn *conn, struct span body);
void http_body_collect(struct shard *shard, struct conn *conn, struct span piece, bool last,
                       http_body_whole *whole);

/* A stream has ended, and with it a body whose length nothing else has said. */
void http_body_end(struct shard *shard, struct conn *stream);

/* Bytes of a stream's body, or of its tunnel. */
void http_stream_input(struct shard *shard, struct conn *stream, char *bytes, size_t len);

/* The client has ended a stream: its body, or its tunnel. */
void http_stream_ended(struct shard *shard, struct conn *stream);

/* The client says no more in a tunnel, which is over then: nobody answers a close frame or a ping.
 * One that is not answered yet is a request like any other, and is answered first: see
 * opening_subscribed. Does nothing to a stream that is none. */
void http_tunnel_ended(struct shard *shard, struct conn *stream);

/* Whether the last piece has been given. */
static inline bool http_body_ended(const struct conn *conn)
{
    return !conn->extra || !conn->extra->has_body;
}
