/* transports: the ways a client can be reached, each in a file of its own.
 *
 *   poll.c       answers at once          longpoll.c    holds the request until there is something
 *   sse.c        an event stream          websocket.c   frames both ways, and /echo
 *   answering.c  what is left to give of a large answer to the first two
 *
 * Each has an `open` for its route and a struct transport for the connections it then has. */
#pragma once

#include "conn/shard.h"
#include "http/exchange.h"

extern const struct transport poll_transport;
extern const struct transport longpoll_transport;
extern const struct transport answer_transport;
extern const struct transport sse_transport;
extern const struct transport opening_transport; /* a WebSocket before its handshake is answered */
extern const struct transport websocket_transport;
extern const struct transport echo_transport;

void poll_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void longpoll_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void sse_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
/* An EventSource that is answered 503 gives up for good; a stream that ends makes it come back. */
void sse_shed(struct shard *shard, struct conn *conn, enum refusal refusal, uint32_t retry_ms);
void websocket_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void echo_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
