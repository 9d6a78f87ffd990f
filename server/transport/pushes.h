/* pushes: messages as the Centrifuge protocol has them, in what carries them.
 *
 *   {"push":{"channel":"news","pub":{…}}}   to who asks and is answered
 *   {"channel":"news","pub":{…}}            bare: to who only listens
 *
 *   WebSocket   one text frame, a line feed between them
 *   lines       each ended by a line feed
 *   events      each the data of an event (WHATWG HTML, section 9.2)
 *
 * Threads  The shard's. */
#pragma once

#include "transport/encoder.h"

/* The messages in one frame, of the format and framing; without a block when memory is out. */
struct frame encode_pushes(struct shard *shard, struct message *const *messages, unsigned count,
                           struct encoding encoding);
