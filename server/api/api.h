/* api: what is not a transport: publishing, tickets and revocations, metrics, liveness, pages,
 * and the table of all paths.
 *
 * Threads  The shard's. */
#pragma once

#include "http/exchange.h"

struct nodes_heard;

extern const struct route server_routes[];
extern const struct transport publish_transport;
extern const struct transport revoke_transport;

extern const struct transport server_api_transport;
extern const struct transport watch_transport;
extern const struct transport webhooks_transport;
extern const struct transport mercure_publish_transport;
extern const struct transport hook_transport;

void server_api_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void publish_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void ticket_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void revoke_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
/* Another node has revoked something. */
void revoke_heard(struct shard *shard, struct nodes_heard *heard);
void metrics_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void mercure_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void hook_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void watch_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void webhooks_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void health_open(struct shard *shard, struct conn *conn, struct exchange *exchange);
void page_open(struct shard *shard, struct conn *conn, struct exchange *exchange);

/* Why the hub has not published: a negative error of hub_ops.published. */
enum refusal publish_refusal(int err, bool has_broker);

/* The text of /metrics, to be freed; without memory there is none. */
struct span metrics_make(const struct shard *shard);

/* All transports, by enum transport_id. */
extern const struct transport *const server_transports[TRANSPORT_COUNT];
