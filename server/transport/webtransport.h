/* webtransport: sessions of WebTransport that carry messages as a WebSocket does: CONNECT /wt.
 *
 *   CONNECT /wt?channel=C ─► a WebSocket whose frames go on a stream of ours, or as datagrams
 *   a stream of the client's ─► a line with a target, "/ws?channel=D" LF ─► a WebSocket, both ways
 *   a one-way stream of the client's ─► a message to the session
 *
 * Idea     To all that is above the carrier it is a WebSocket: parameters, messages, positions and
 *          closes are those of /ws. What is different is in carrier/http3_session.c and
 *          carrier/http3_latest.c.
 * Threads  The shard's.
 * Bounds   head_bytes_max for a target, within head_timeout_ms; message_bytes_max for a message,
 *          within body_timeout_ms. */
#pragma once

#include "conn/shard.h"
#include "http/exchange.h"
#include "wire/webtransport.h"

#define WT_PROTOCOL "ringside" /* the sub-protocol, for clients that offer it */

extern const struct transport wt_transport, wt_target_transport, wt_message_transport;

/* Whether a request opens a session. */
static inline bool wt_is_session(const struct http_request *request)
{
    return span_equal(request->protocol, WEBTRANSPORT_PROTOCOL);
}

/* Answers one without a channel of its own. */
void wt_begin(struct shard *shard, struct conn *conn);

/* CONNECT /wt. */
void wt_open(struct shard *shard, struct conn *conn, struct exchange *exchange);

/* As struct transport has them. */
void wt_opened(struct shard *shard, struct conn *session, struct conn *stream);
void wt_opened_one_way(struct shard *shard, struct conn *session, struct conn *stream);
