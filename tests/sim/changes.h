/* changes: messages that come otherwise than they were published: deflated, or as what changed
 * since the one before; and readers that begin with the latest.
 *
 * Memory   What a reader had last, by channel, until it is gone; an inflater and a deflater for all
 *          clients, until changes_done. */
#pragma once

#include "client.h"

#define CHANGES_OFFER "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

/* The answer to a handshake has come: whether it agrees. */
void changes_agree(struct client *client, const struct http_response *answer);

/* What a message inflates to, in the place of its bytes. */
void changes_inflate(struct client *client, struct bytes *message);

/* Deflates a message that the client is about to send into static memory; returns an empty one
 * where it would be no shorter. */
struct span changes_deflate(struct client *client, struct span payload);

/* A message that came whole, or what it becomes: the base of the next one, of who asked for what
 * changes. One that is no text is none: without a ptr. */
void changes_keep(struct client *client, unsigned place, struct span message);
struct span changes_apply(struct client *client, unsigned place, struct span delta);

/* A reader asks for the latest: it is not to be given more than that. */
void changes_ask_latest(struct client *client);
/* It is told where it stands in one of its channels, before the first message. */
void changes_stands(struct client *client, unsigned place, const struct position *at);

void changes_gone(struct client *client);
void changes_done(void);
