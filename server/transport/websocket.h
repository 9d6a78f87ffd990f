/* websocket: what a protocol in WebSocket messages needs of those: its own are /ws and /echo, and
 * sessions have theirs (session/centrifuge.c).
 *
 *   websocket_handshake ─► websocket_begin ─► .message … ─► websocket_fail, or the peer's close
 *
 * Threads  The shard's. */
#pragma once

#include "conn/shard.h"
#include "wire/ws.h"

/* Checks the opening handshake, or refuses it and returns false. A stream has no key. */
bool websocket_handshake(struct shard *shard, struct conn *conn, const struct http_request *request,
                         struct span *key);

/* Answers it, and hands the connection over. That may be its end. */
void websocket_begin(struct shard *shard, struct conn *conn, struct span key,
                     enum transport_id transport);

void websocket_send(struct shard *shard, struct conn *conn, enum ws_opcode opcode,
                    struct span payload, enum send_kind kind);

/* Sends the close frame that belongs to the reason, and finishes. */
void websocket_fail(struct shard *shard, struct conn *conn, enum close_reason reason);

/* The same with a code and a reason of at most WS_REASON_MAX bytes of somebody else. */
void websocket_fail_as(struct shard *shard, struct conn *conn, enum close_reason reason,
                       unsigned code, struct span words);

/* Says that the server goes, and waits a moment for the answer. */
void websocket_say_goodbye(struct shard *shard, struct conn *conn);

/* A message has been half received for longer than it may. */
bool websocket_is_late(const struct shard *shard, const struct conn *conn);

/* As struct transport has them. */
void websocket_input(struct shard *shard, struct conn *conn, char *bytes, size_t len);
void websocket_give_up(struct shard *shard, struct conn *conn);
void websocket_closed(struct shard *shard, struct conn *conn);
