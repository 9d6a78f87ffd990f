/* session_internal: what the files of this folder have for each other.
 *
 * Threads  The shard's. */
#pragma once

#include "session/session.h"
#include "wire/centrifuge.h"

/* ---- commands.c ---- */

/* Does what a command asks. May end the connection. */
void session_command(struct shard *shard, struct conn *conn,
                     const struct centrifuge_command *command);

/* ---- answers.c ---- */

void session_reply_empty(struct shard *shard, struct conn *conn, uint32_t id,
                         enum centrifuge_method method);
void session_reply_error(struct shard *shard, struct conn *conn, uint32_t id,
                         enum centrifuge_error error);

/* As struct transport has them. */
void session_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply);
void session_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply);
void session_published(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err,
                       uint64_t epoch, uint64_t offset);
void session_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                     const struct hub_batch *batch);

/* Takes a subscription back. */
void session_unsubscribe(struct shard *shard, struct session *session, uint32_t subscription);

/* ---- replay.c: a replay that is longer than a part ----
 *
 *   part queued, and a gap noted ─► all has left ─► hub_resume ─► next part … ─► live */

/* The subscription has more to give behind the position. Returns 0 or -ENOMEM. */
int replay_note(struct session *session, uint32_t subscription, uint64_t epoch, uint64_t offset);
void replay_forget(struct session *session, uint32_t subscription);
/* Asks for the next part, now or when what is queued has left. May end the connection. */
void replay_go_on(struct shard *shard, struct conn *conn);
/* As struct transport has it. */
void replay_drained(struct shard *shard, struct conn *conn);
