/* outbox: small sends of many links, gathered and submitted together; and what a socket has not
 * taken, until it does.
 *
 *     reserve, commit ─► gathered ─► sent together ─► the rest of one ─► its backlog ─► writable
 *
 * Idea     What follows another send of the same link goes with it, in one segment. As a second
 *          one it would wait until the first is acknowledged, which may take 40 ms: a request does,
 *          behind the last word of a resumed TLS handshake, since that has no answer. A link with a
 *          backlog sends nothing past it.
 * Threads  the owner's.
 * Memory   OUTBOX_BYTES, inside the load; a backlog is on the heap while there is one.
 * Bounds   OUTBOX_ENTRIES sends; a full outbox is flushed. A link whose backlog has OUTBOX_BACKLOG
 *          bytes and is to have more is closed (LOAD_FAIL_BACKLOG): its server has stopped
 *          reading. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"
#include "wire/span.h"

struct load;
struct link;
struct backlog;

enum {
    OUTBOX_ENTRIES = 512,
    OUTBOX_BYTES = 256 * 1024,
    OUTBOX_BACKLOG = 1024 * 1024,
};

struct outbox {
    char *bytes;
    size_t used;
    unsigned count;
    struct ring_io io[OUTBOX_ENTRIES];
    struct backlog **backlogs; /* by link; touched where there is one */
    uint32_t open;             /* backlogs */
    uint32_t links;
};

/* Returns 0 or -ENOMEM. */
int outbox_init(struct outbox *outbox, uint32_t links);
void outbox_done(struct outbox *outbox);

/* Room for a send of at most `size` bytes, at most OUTBOX_BYTES; then how many it has. What is
 * committed is sealed where the link has TLS. */
char *outbox_reserve(struct load *load, struct link *link, size_t size);
void outbox_commit(struct load *load, struct link *link, size_t len);

void outbox_flush(struct load *load);

/* The socket took only `taken` of these bytes, or was full (-EAGAIN), or has failed: keeps the rest
 * until it is writable, or fails the link. */
void outbox_taken(struct load *load, struct link *link, struct span bytes, int taken);

/* The socket of a link with a backlog is writable. */
void outbox_writable(struct load *load, struct link *link);

/* The link ends: its backlog goes nowhere. */
void outbox_forget(struct load *load, struct link *link);
