/* ws_publish: publishing on a WebSocket, where websocket_publish allows it.
 *
 * Raw, a message is published as it is to the connection's one channel, and nothing is answered. In
 * envelopes a client sends {"channel":C,"data":text} for any of its channels, with "base64":true
 * for other bytes, and is answered
 * {"channel":C,"offset":N,"epoch":E,"published":true}.
 *
 * Threads  The shard's. */
#pragma once

#include "conn/shard.h"
#include "hub/hub.h"

void ws_publish(struct shard *shard, struct conn *conn, struct span payload, bool text);

void ws_published(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err,
                  uint64_t epoch, uint64_t offset);
