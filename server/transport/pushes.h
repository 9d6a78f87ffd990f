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

struct pushes {
    struct message *const *messages;
    unsigned count;
    const struct span *deltas; /* of the messages; NULL: they go whole */
    struct message *before;    /* of which the first delta is */
};

/* The messages in one frame, as the encoding says; without a block when memory is out. */
struct frame encode_pushes(struct shard *shard, const struct pushes *pushes,
                           struct encoding encoding);
