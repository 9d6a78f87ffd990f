/* outbox: small sends of many clients, gathered and submitted together.
 *
 * Idea     What follows another send of the same client goes with it, in one segment. As a second
 *          one it would wait until the first is acknowledged, which may take 40 ms: a request does,
 *          behind the last word of a resumed TLS handshake, since that has no answer.
 * Threads  the owner's.
 * Memory   OUTBOX_BYTES, inside the load.
 * Bounds   OUTBOX_ENTRIES sends; a full outbox is flushed. A client whose socket does not take
 *          all of it is closed (LOAD_FAIL_SEND): its server has stopped reading. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"
#include "wire/span.h"

struct load;
struct client;

enum {
    OUTBOX_ENTRIES = 512,
    OUTBOX_BYTES = 256 * 1024,
};

struct outbox {
    char *bytes;
    size_t used;
    unsigned count;
    struct ring_io io[OUTBOX_ENTRIES];
};

/* Room for a send of at most `size` bytes, at most OUTBOX_BYTES; then how many it has. What is
 * committed is sealed where the client has TLS. */
char *outbox_reserve(struct load *load, const struct client *client, size_t size);
void outbox_commit(struct load *load, const struct client *client, size_t len);

void outbox_flush(struct load *load);
