/* bare_ring: the same broadcast on io_uring: 512 sends to a system call, sockets as direct
 * descriptors, so that it goes on where a descriptor per connection stops. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ceiling/bare.h"
#include "core/ring.h"

enum {
    SENDS_PER_BATCH = 512,
    RECEIVES_PER_BATCH = 64,
    WHY_MAX = 512,
};

struct loop {
    struct bare *bare;
    struct ring *ring;
    struct ring_io sends[SENDS_PER_BATCH];
    unsigned send_count;
    struct ring_io receives[RECEIVES_PER_BATCH];
    unsigned receive_count;
    char read_area[RECEIVES_PER_BATCH][BARE_READ_BYTES];
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Keeps what did not go, in order, at the front of the batch; forgets what can no longer go. */
static void keep_unsent(struct loop *loop)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < loop->send_count; i++) {
        struct ring_io *io = &loop->sends[i];
        if (io->res < 0 && io->res != -EAGAIN)
            continue;
        size_t sent = io->res > 0 ? (size_t)io->res : 0;
        if (sent == io->iov.iov_len)
            continue;
        io->iov.iov_base = (char *)io->iov.iov_base + sent;
        io->iov.iov_len -= sent;
        loop->sends[kept++] = *io;
    }
    loop->send_count = kept;
}

/* Sends the batch, and what did not fit again, until all of it went or the readers have stalled. */
static void send_batch(struct loop *loop)
{
    int64_t limit_ns = 0;
    while (loop->send_count > 0) {
        ring_send(loop->ring, loop->sends, loop->send_count);
        keep_unsent(loop);
        if (loop->send_count == 0)
            return;
        int64_t now = now_ns();
        limit_ns = limit_ns ? limit_ns : now + (int64_t)BARE_STALL_MS * 1000000;
        if (now > limit_ns)
            break;
    }
    for (unsigned i = 0; i < loop->send_count; i++)
        ring_abort(loop->ring, loop->sends[i].slot);
    loop->bare->dropped += loop->send_count;
    loop->send_count = 0;
}

static void send_add(struct loop *loop, uint32_t slot, char *bytes, size_t len)
{
    loop->sends[loop->send_count++] = (struct ring_io){.slot = slot, .iov = {bytes, len}};
    if (loop->send_count == SENDS_PER_BATCH)
        send_batch(loop);
}

static void broadcast(struct loop *loop)
{
    struct bare *bare = loop->bare;
    struct bare_outbox *outbox = &bare->outbox;
    size_t start = 0;
    for (unsigned frame = 0; frame < outbox->count; frame++) {
        for (uint32_t i = 0; i < bare->receiver_count; i++)
            send_add(loop, bare->receivers[i], outbox->bytes + start, outbox->ends[frame] - start);
        send_batch(loop); /* the next frame must not overtake what is left of this one */
        start = outbox->ends[frame];
    }
    bare_outbox_clear(outbox);
}

static void drop(struct loop *loop, uint32_t slot)
{
    bare_peer_close(loop->bare, slot);
    ring_close(loop->ring, slot);
}

static void received(struct loop *loop, const struct ring_io *io)
{
    struct bare_reply reply;
    if (io->res == -EAGAIN) {
        ring_watch(loop->ring, io->slot, RING_READ);
        return;
    }
    if (io->res <= 0) {
        drop(loop, io->slot);
        return;
    }
    bare_input(loop->bare, io->slot, io->iov.iov_base, (size_t)io->res, &reply);
    if (reply.len > 0) {
        send_add(loop, io->slot, reply.bytes, reply.len);
        send_batch(loop);
    }
    if (reply.close)
        drop(loop, io->slot);
    else
        ring_watch(loop->ring, io->slot, RING_READ);
    if (loop->bare->outbox.count > 0)
        broadcast(loop);
}

static void receive_batch(struct loop *loop)
{
    if (loop->receive_count == 0)
        return;
    unsigned count = loop->receive_count;
    ring_receive(loop->ring, loop->receives, count);
    loop->receive_count = 0;
    for (unsigned i = 0; i < count; i++)
        received(loop, &loop->receives[i]);
}

static void handle(struct loop *loop, const struct ring_event *event)
{
    switch (event->kind) {
    case RING_ACCEPTED:
        bare_peer_open(loop->bare, event->slot);
        ring_watch(loop->ring, event->slot, RING_READ);
        break;
    case RING_READABLE:
        loop->receives[loop->receive_count] = (struct ring_io){
            .slot = event->slot,
            .iov = {loop->read_area[loop->receive_count], BARE_READ_BYTES},
        };
        if (++loop->receive_count == RECEIVES_PER_BATCH)
            receive_batch(loop);
        break;
    case RING_REFUSED:
    case RING_CONNECTED:
    case RING_WRITABLE:
    case RING_PACKETS:
        break;
    }
}

int bare_ring_run(struct bare *bare, int listen_fd, const volatile bool *stop)
{
    char why[WHY_MAX] = "";
    const struct ring_config config = {.capacity = bare->capacity};
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    int err = ring_uring_create(&loop->ring, &config, why, sizeof why);
    if (err < 0) {
        fprintf(stderr, "ringside-ceiling: %s\n", why);
        free(loop);
        return err;
    }
    /* The ring's tables are larger than asked for, and any slot in them may be chosen. */
    bare_done(bare);
    loop->bare = bare;
    err = bare_init(bare, loop->ring->capacity);
    if (err == 0)
        err = ring_listen(loop->ring, 0, listen_fd);
    while (err == 0 && !*stop) {
        struct ring_event event;
        err = ring_wait(loop->ring, (int64_t)BARE_TURN_MS * 1000000);
        while (ring_next(loop->ring, &event))
            handle(loop, &event);
        receive_batch(loop);
    }
    ring_free(loop->ring);
    free(loop);
    return err;
}
