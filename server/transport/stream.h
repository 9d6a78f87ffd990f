/* stream: how a subscription opens on a transport that stays open (SSE, WebSocket with envelopes).
 *
 *   where it stands, and whether its position could be honoured  ─►  the replay  ─►  live messages
 *
 * With several channels the first step waits for the last channel's answer. The replay comes in
 * parts, see catch_up.h; channels that have none are live meanwhile.
 *
 * Threads  The shard's. */
#pragma once

#include "conn/shard.h"
#include "hub/hub.h"
#include "transport/encoder.h"

/* How a transport writes the two kinds of things. */
struct stream_writer {
    /* Where the client stands before the first message. */
    void (*standing)(struct shard *shard, struct conn *conn, const struct position *positions,
                     unsigned count);
    /* Messages of one channel for this client alone. */
    void (*messages)(struct shard *shard, struct conn *conn, struct message *const *messages,
                     unsigned count, const struct standing *standing, enum send_kind kind);
};

/* Takes a reply without an error to one of the connection's subscriptions. Returns 0 or -ENOMEM:
 * then the stream cannot go on. */
int stream_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                      const struct stream_writer *writer);

/* Whether the history has gone on faster than its reader took it; the connection is closed then. */
bool stream_outrun(struct shard *shard, struct conn *conn, const struct hub_reply *reply);

/* A part of a replay is queued: asks for the next when it has left, if there is more. Returns
 * likewise. */
int stream_replayed(struct shard *shard, struct conn *conn, const struct hub_reply *reply);

/* Whether a batch of its one channel may be told by what changed: it has the message before. Ask
 * once for each batch. */
static inline bool stream_takes_deltas(const struct shard *shard, const struct conn *conn,
                                       uint32_t subscription)
{
    return conn->asked & ASKED_DELTA && hub_keeps_last(shard->hub, subscription) &&
           hub_took_last(shard->hub, subscription);
}

/* Takes a batch for a connection with several channels. Returns likewise, or -ENOBUFS: while its
 * last channel has not answered, the others have brought more than queue_bytes_max. */
/* Whether it hears a batch that is none of publications: ephemeral messages, once it is live in all
 * of its channels. Who joins and leaves is told to sessions alone. */
bool stream_hears(const struct conn *conn, const struct hub_batch *batch);

int stream_deliver_several(struct shard *shard, struct conn *conn, uint32_t subscription,
                           const struct hub_batch *batch, const struct stream_writer *writer);
