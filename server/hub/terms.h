/* terms: what a message's publisher wants of its channel (struct message_terms).
 *
 *   key      ─► published with it before, in this channel? ─► answered as it was then
 *   version  ─► not above that of the channel's newest?    ─► answered where the channel stands
 *
 * Threads  The home shard's.
 * Memory   hub/repeats.h for keys; 16 bytes for a channel that has had a version, as long as it is
 *          known: a version is forgotten with its channel.
 * Bounds   repeats_max keys, each for repeats_ns; and lasting_max, each for lasting_ns. */
#pragma once

struct channel_home;
struct hub;
struct message;

/* Returns 1 where it is not to be published: its epoch and offset are those that are answered; 0
 * where it is; or -ENOMEM: there is no room to remember it. */
int terms_check(struct hub *hub, struct channel_home *channel, struct message *message);

/* It has been published. terms_check has said so. */
void terms_keep(struct hub *hub, struct channel_home *channel, const struct message *message);
