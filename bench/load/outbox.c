#include "load/outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "core/pages.h"
#include "load/engine.h"

struct backlog {
    size_t sent, len, size;
    char bytes[];
};

enum {
    BACKLOG_BYTES_MIN = 4096,
};

int outbox_init(struct outbox *outbox, uint32_t links)
{
    outbox->bytes = malloc(OUTBOX_BYTES);
    outbox->backlogs = pages_map(links * sizeof *outbox->backlogs);
    outbox->links = links;
    return outbox->bytes && outbox->backlogs ? 0 : -ENOMEM;
}

void outbox_done(struct outbox *outbox)
{
    for (uint32_t i = 0; outbox->open > 0 && i < outbox->links; i++) {
        outbox->open -= outbox->backlogs[i] != NULL;
        free(outbox->backlogs[i]);
    }
    pages_unmap(outbox->backlogs, outbox->links * sizeof *outbox->backlogs);
    free(outbox->bytes);
}

/* ---- backlogs ---- */

void outbox_forget(struct load *load, struct link *link)
{
    struct backlog **backlog = &load->outbox.backlogs[link_index(load, link)];
    if (!(link->flags & LINK_BACKLOG))
        return;
    free(*backlog);
    *backlog = NULL;
    load->outbox.open--;
    link->flags &= (uint8_t)~LINK_BACKLOG;
}

static void watch_write(struct load *load, struct link *link)
{
    if (link->flags & LINK_WRITE_WATCHED)
        return;
    link->flags |= LINK_WRITE_WATCHED;
    ring_watch(load->ring, link_index(load, link), RING_WRITE);
}

static void keep(struct load *load, struct link *link, struct span bytes)
{
    struct backlog **backlog = &load->outbox.backlogs[link_index(load, link)];
    size_t len = *backlog ? (*backlog)->len : 0, size = *backlog ? (*backlog)->size : 0;
    if (len - (*backlog ? (*backlog)->sent : 0) >= OUTBOX_BACKLOG) {
        link_fail(load, link, LOAD_FAIL_BACKLOG);
        return;
    }
    if (len + bytes.len > size) {
        size = (len + bytes.len) * 2 + BACKLOG_BYTES_MIN;
        struct backlog *grown = realloc(*backlog, sizeof *grown + size);
        assert(grown);
        if (!*backlog)
            *grown = (struct backlog){0};
        grown->size = size;
        *backlog = grown;
    }
    memcpy((*backlog)->bytes + len, bytes.ptr, bytes.len);
    (*backlog)->len = len + bytes.len;
    load->outbox.open += !(link->flags & LINK_BACKLOG);
    link->flags |= LINK_BACKLOG;
    watch_write(load, link);
}

void outbox_taken(struct load *load, struct link *link, struct span bytes, int taken)
{
    if (taken > 0 && !link_publishes(load, link))
        link_group(load, link)->counters.bytes_out += (uint64_t)taken;
    if (!link_open(link) || taken == (int)bytes.len)
        return;
    if (taken < 0 && taken != -EAGAIN)
        link_fail(load, link, LOAD_FAIL_RESET);
    else
        keep(load, link, span_skip(bytes, taken > 0 ? (size_t)taken : 0));
}

void outbox_writable(struct load *load, struct link *link)
{
    struct backlog *backlog = load->outbox.backlogs[link_index(load, link)];
    if (!(link->flags & LINK_BACKLOG))
        return;
    struct ring_io io = {
        .slot = link_index(load, link),
        .iov = {backlog->bytes + backlog->sent, backlog->len - backlog->sent},
    };
    ring_send(load->ring, &io, 1);
    if (io.res < 0 && io.res != -EAGAIN) {
        link_fail(load, link, LOAD_FAIL_RESET);
        return;
    }
    if (io.res > 0 && !link_publishes(load, link))
        link_group(load, link)->counters.bytes_out += (uint64_t)io.res;
    backlog->sent += io.res > 0 ? (size_t)io.res : 0;
    if (backlog->sent == backlog->len)
        outbox_forget(load, link);
    else
        watch_write(load, link);
}

/* ---- gathering ---- */

/* Whatever a link has in the outbox is in one place: what comes behind the rest of a send that is
 * not taken whole must not be sent with it. */
static bool behind_another(const struct outbox *outbox, const struct link *link, uint32_t slot)
{
    return link->flags & LINK_SENDING && outbox->io[outbox->count - 1].slot != slot;
}

char *outbox_reserve(struct load *load, struct link *link, size_t size)
{
    struct outbox *outbox = &load->outbox;
    bool secure = link_secure(load, link);
    if (secure)
        size += secure_overhead(load, link, size);
    assert(size <= OUTBOX_BYTES);
    if (outbox->count == OUTBOX_ENTRIES || size > OUTBOX_BYTES - outbox->used ||
        behind_another(outbox, link, link_index(load, link)))
        outbox_flush(load);
    return outbox->bytes + outbox->used + (secure ? secure_head(load, link) : 0);
}

void outbox_commit(struct load *load, struct link *link, size_t len)
{
    struct outbox *outbox = &load->outbox;
    const uint32_t slot = link_index(load, link);
    char *bytes = outbox->bytes + outbox->used;
    if (link_secure(load, link))
        len = secure_seal(load, link, bytes, len);
    if (link->flags & LINK_BACKLOG) {
        keep(load, link, span_of(bytes, len));
        return;
    }
    if (link->flags & LINK_SENDING)
        outbox->io[outbox->count - 1].iov.iov_len += len;
    else
        outbox->io[outbox->count++] = (struct ring_io){.slot = slot, .iov = {bytes, len}};
    link->flags |= LINK_SENDING;
    outbox->used += len;
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
    for (unsigned i = 0; i < count; i++) {
        const struct ring_io *io = &outbox->io[i];
        struct link *link = &load->links[io->slot];
        link->flags &= (uint8_t)~LINK_SENDING;
        outbox_taken(load, link, span_of(io->iov.iov_base, io->iov.iov_len), io->res);
    }
}
