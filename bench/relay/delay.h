/* delay: the bytes of one direction that have been read and are not yet due.
 *
 *     bytes   ring of `size`          |....AAAABBBBBBCC.....|
 *     marks   ring of `mark_count`    { end of A, due } { end of B, due } { end of C, due }
 *
 * Idea     Each read becomes one mark. A mark is never due before the one in front of it, so that
 *          bytes leave in the order in which they came, whatever the jitter says.
 * Threads  one.
 * Memory   the caller's: `size` bytes and `mark_count` marks.
 * Bounds   both rings. A full queue has no room, and who reads from a socket then waits: that is
 *          the back-pressure which a full window is on a real path.
 * Time     an argument; no clock here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/histogram.h"

struct delay_mark {
    uint64_t end; /* of the stream's bytes, counted from its beginning */
    int64_t due_ns;
};

struct delay {
    char *bytes;
    struct delay_mark *marks;
    uint32_t size;              /* a power of two */
    uint32_t mark_count;        /* a power of two, at least 2 */
    uint32_t mark_in, mark_out; /* counted from the beginning */
    uint64_t written, taken;
    int64_t last_due_ns;
    bool ended;
};

/* When nothing is due. */
#define DELAY_NEVER INT64_MAX

void delay_init(struct delay *delay, char *bytes, uint32_t size, struct delay_mark *marks,
                uint32_t mark_count);

/* Where the next read may be put; of length 0 when there is no room, or the stream has ended. */
struct iovec delay_room(const struct delay *delay);

/* `len` bytes were put there, due at due_ns or with those in front of them. */
void delay_push(struct delay *delay, uint32_t len, int64_t due_ns);

/* Nothing follows. The end is due as bytes would be. */
void delay_end(struct delay *delay, int64_t due_ns);

/* When something is due next; DELAY_NEVER when the queue is empty. */
int64_t delay_next_ns(const struct delay *delay);

/* What is due, as far as it is in one piece. */
struct iovec delay_due(const struct delay *delay, int64_t now_ns);

/* The first `len` bytes have left at now_ns. `late` gets how long after its time each read has
 * left whole. */
void delay_take(struct delay *delay, uint32_t len, int64_t now_ns, struct histogram *late);

/* Whether all bytes have left and the end is due. */
bool delay_over(const struct delay *delay, int64_t now_ns);
