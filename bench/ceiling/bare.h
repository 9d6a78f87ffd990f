/* bare: the least that a broadcasting server has to do, as a ruler for those that do more.
 *
 *   bytes in ─► bare_input ─► handshake answer, pong, close        (sent to the same socket)
 *                         └─► frames of what was published         (an outbox, sent to all others)
 *
 * Idea     A bare server answers a WebSocket handshake on any path, takes every data frame as a
 *          publish, and writes it unmasked to everybody but its sender. It has one channel, no
 *          history, no numbering, no limits per reader, no timeouts: what is left is the system
 *          calls. Three loops (ceiling/loop.h) do the sending, and differ in nothing else.
 * Threads  One.
 * Memory   16 bytes per connection, and a session while something is half received.
 * Bounds   BARE_MESSAGE_MAX per message, BARE_STALL_MS for a reader whose socket is full: a bare
 *          loop waits for it, then drops it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/ws.h"

enum {
    BARE_READ_BYTES = 64 * 1024,
    BARE_HEAD_MAX = 8 * 1024,
    BARE_MESSAGE_MAX = 16 * 1024 * 1024,
    BARE_REPLY_MAX = 512,
    BARE_STALL_MS = 2000,
    BARE_TURN_MS = 200,                        /* how long a signal may go unnoticed */
    BARE_FRAMES_MAX = BARE_READ_BYTES / 6 + 1, /* a masked frame has at least 6 bytes */
};

enum bare_state {
    BARE_FREE,
    BARE_HEAD,       /* no complete request head yet */
    BARE_SUBSCRIBER, /* in the list of receivers */
    BARE_PUBLISHER,  /* has published, and receives no more */
};

/* What is half received from one connection. */
struct bare_session {
    struct ws_inbound inbound;
    size_t head_len;
    char head[BARE_HEAD_MAX];
};

struct bare_peer {
    struct bare_session *session; /* NULL between messages */
    uint32_t place;               /* of a subscriber, in the list of receivers */
    uint8_t state;                /* enum bare_state */
};

/* Frames to be sent: one after the other, so that a loop may send one or all. */
struct bare_outbox {
    char *bytes;
    size_t len;
    size_t size;
    size_t ends[BARE_FRAMES_MAX]; /* where each frame ends */
    unsigned count;
};

struct bare {
    struct bare_peer *peers; /* by descriptor or slot */
    uint32_t *receivers;     /* peers that get what is published, in no order */
    uint32_t receiver_count;
    uint32_t capacity;
    struct bare_outbox outbox;
    char *message; /* a message in pieces */
    size_t message_len;
    size_t message_size;
    uint64_t dropped; /* readers that stalled */
};

struct bare_reply {
    char bytes[BARE_REPLY_MAX];
    size_t len;
    bool close; /* after the reply */
};

/* Prepares for peers 0 … capacity-1. Returns 0 or -ENOMEM. */
int bare_init(struct bare *bare, uint32_t capacity);
void bare_done(struct bare *bare);

void bare_peer_open(struct bare *bare, uint32_t peer);
void bare_peer_close(struct bare *bare, uint32_t peer);

/* Takes what was read from a peer: fills `reply`, and adds what was published to the outbox, which
 * the caller sends to all receivers and empties before the next call. */
void bare_input(struct bare *bare, uint32_t peer, char *bytes, size_t len,
                struct bare_reply *reply);

static inline void bare_outbox_clear(struct bare_outbox *outbox)
{
    outbox->len = 0;
    outbox->count = 0;
}

/* Run until `*stop`. The listening socket stays the caller's. Return 0 or negative errno. */
int bare_epoll_run(struct bare *bare, int listen_fd, bool coalesce, const volatile bool *stop);
int bare_ring_run(struct bare *bare, int listen_fd, const volatile bool *stop);
