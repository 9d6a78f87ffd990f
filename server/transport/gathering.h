/* gathering: the hub's replies to one request for several channels, until the last one is there.
 *
 * Threads  The shard's.
 * Memory   On the heap, as conn_extra's transport_state; holds references on the messages.
 * Bounds   One reply per channel, each bounded by the hub. */
#pragma once

#include <stdbool.h>

#include "conn/conn.h"
#include "hub/hub.h"
#include "transport/json.h"

/* Begins one. The connection must have no transport_state. */
void gathering_begin(struct conn *conn, unsigned channels);

/* The present one, or NULL. For transports that keep nothing else there. */
struct gathering *gathering_of(struct conn *conn);

/* Takes the reply to the request with tag reply->asker.tag. Returns true when all channels have
 * answered. */
bool gathering_reply(struct gathering *gathering, const struct hub_reply *reply);

/* Takes live messages of the channel with this tag, which came while another has not answered. */
void gathering_live(struct gathering *gathering, unsigned tag, const struct hub_batch *batch);

/* True when every channel that was asked for a position could honour it. */
bool gathering_recovered(const struct gathering *gathering);

/* What there is. Valid until gathering_end. */
struct json_answer gathering_answer(const struct gathering *gathering);

/* Frees it, if there is one. */
void gathering_end(struct conn *conn);
