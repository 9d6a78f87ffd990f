/* stash: what a read has left half done, until the next read of the same client.
 *
 * Between two messages a client has none. One belongs to a client from a partial read to the read
 * that completes it, so at one time there are about as many as clients are being sent to.
 *
 * Threads  the owner's.
 * Memory   one mapping, touched as far as it was ever needed; blocks are handed out last in, first
 *          out.
 * Bounds   the count and the bytes per block given at creation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/json_scan.h"
#include "load/payload.h"
#include "load/payload_search.h"
#include "wire/http.h"
#include "wire/position.h"
#include "wire/sse.h"
#include "wire/ws.h"

#define STASH_NONE UINT32_MAX

enum {
    HALF_REPLY_MAX = 192, /* up to the publications of a reply to subscribe */
};

/* The state of whichever parsers a transport needs. All zero is the state between two messages. */
struct half {
    struct ws_inbound inbound;
    uint64_t message_bytes;     /* of the WebSocket message so far */
    struct payload payload;     /* likewise, where the message is one */
    char reply[HALF_REPLY_MAX]; /* of the Centrifuge protocol: how the message begins */
    struct http_body body;      /* in_body: of the answer, or of the event stream */
    struct sse_parser sse;
    struct json_scan scan;
    struct payload_search search;
    struct position position; /* of the answer being read, for when it is complete */
    uint32_t messages;        /* in the answer being read */
    uint32_t held;            /* bytes[0 … held) are the start of a head */
    bool in_body;
    bool failed; /* the answer's status is an error */
    bool lost;   /* the answer says "recovered": false */
    bool last;   /* the connection ends with this answer */
};

struct stash {
    uint32_t next; /* free ones are a list */
    struct half half;
    char bytes[]; /* a half received head, or the lines of a half received event */
};

struct stashes {
    char *area;
    size_t stride;
    size_t bytes_size; /* of stash.bytes */
    uint32_t count;
    uint32_t used;
    uint32_t fresh; /* those from here on were never handed out */
    uint32_t free;
};

/* Returns 0 or -ENOMEM. */
int stashes_init(struct stashes *stashes, uint32_t count, size_t bytes_size);
void stashes_done(struct stashes *stashes);

/* Returns STASH_NONE when all are taken. What it holds is up to the caller. */
uint32_t stash_take(struct stashes *stashes);
void stash_give(struct stashes *stashes, uint32_t index);

static inline struct stash *stash_at(const struct stashes *stashes, uint32_t index)
{
    return (struct stash *)(void *)(stashes->area + (size_t)index * stashes->stride);
}
