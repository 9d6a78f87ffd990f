#include "load/outbox.h"

#include <errno.h>

#include "load/engine.h"

char *outbox_reserve(struct load *load, const struct client *client, size_t size)
{
    struct outbox *outbox = &load->outbox;
    bool secure = client_secure(load, client);
    if (secure)
        size += secure_overhead(load, client, size);
    assert(size <= OUTBOX_BYTES);
    if (outbox->count == OUTBOX_ENTRIES || size > OUTBOX_BYTES - outbox->used)
        outbox_flush(load);
    return outbox->bytes + outbox->used + (secure ? secure_head(load, client) : 0);
}

void outbox_commit(struct load *load, const struct client *client, size_t len)
{
    struct outbox *outbox = &load->outbox;
    const uint32_t slot = client_index(load, client);
    struct ring_io *last = outbox->count > 0 ? &outbox->io[outbox->count - 1] : NULL;
    if (client_secure(load, client))
        len = secure_seal(load, client, outbox->bytes + outbox->used, len);
    if (last && last->slot == slot)
        last->iov.iov_len += len;
    else
        outbox->io[outbox->count++] = (struct ring_io){
            .slot = slot,
            .iov = {outbox->bytes + outbox->used, len},
        };
    outbox->used += len;
}

static void sent(struct load *load, const struct ring_io *io)
{
    struct client *client = &load->clients[io->slot];
    if (io->res > 0 && !client_publishes(load, client))
        group_of(load, client)->counters.bytes_out += (uint64_t)io->res;
    if (io->res == (int32_t)io->iov.iov_len || !client_open(client))
        return;
    bool full = io->res >= 0 || io->res == -EAGAIN;
    client_fail(load, client, full ? LOAD_FAIL_SEND : LOAD_FAIL_RESET);
}

void outbox_flush(struct load *load)
{
    struct outbox *outbox = &load->outbox;
    if (outbox->count == 0)
        return;
    ring_send(load->ring, outbox->io, outbox->count);
    unsigned count = outbox->count;
    outbox->count = 0;
    outbox->used = 0;
    for (unsigned i = 0; i < count; i++)
        sent(load, &outbox->io[i]);
}
