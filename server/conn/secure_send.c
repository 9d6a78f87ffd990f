/* secure_send: from queued frames to records.
 *
 *   the line's run, the queue ─► area │ rest of an earlier send │ record │ record │ close_notify │
 *                                                                  └─► one send
 *
 * A record takes what fits into it, across the borders of frames: what a turn has queued for one
 * socket is one record up to 16 KiB, and no larger than it is. */
#include <assert.h>
#include <string.h>

#include "conn/secure.h"
#include "conn/shard.h"

static union tls_line *line_of(const struct shard *shard, const struct conn *conn)
{
    return &secure_line(shard->secure, conn_slot(shard, conn))->keys;
}

/* The most that goes into this send. */
static size_t size_bound(const union tls_line *line, const struct conn *conn)
{
    uint64_t queued = conn_queued(conn);
    uint64_t records = queued / tls_line_plain_max(line) + 2;
    uint64_t size = queued + records * TLS_OVERHEAD_MAX + SECURE_KEY_UPDATE_MAX + TLS_ALERT_MAX;
    return size < SECURE_SEND_MAX ? (size_t)size : SECURE_SEND_MAX;
}

static size_t record_bound(const struct conn *conn)
{
    uint64_t size = conn_queued(conn) + TLS_OVERHEAD_MAX;
    return size < TLS_RECORD_MAX ? (size_t)size : TLS_RECORD_MAX;
}

/* Seals the next record of what is queued, and takes it off the queue. */
static size_t record_seal(struct shard *shard, struct conn *conn, struct tls_direction *out,
                          unsigned char *area)
{
    size_t head = tls_record_head(out), most = tls_record_plain_max(out), len = 0;
    while (conn->out_block && len < most) {
        size_t part = conn->out_len < most - len ? conn->out_len : most - len;
        memcpy(area + head + len, conn->out_block->bytes + conn->out_at, part);
        conn_consume(shard, conn, (uint32_t)part);
        len += part;
    }
    counter_add(&shard->counters.tls_records_sent, 1);
    return tls_record_seal_in_place(out, TLS_APPLICATION_DATA, area, len);
}

static bool farewell_due(const struct conn *conn)
{
    return conn->state == CONN_FINISHING && !conn->out_block && !(conn->link & LINK_NOTIFIED);
}

static bool keys_are_old(const struct conn *conn, const struct tls_direction *out)
{
    return conn->link & LINK_KEY_UPDATE ||
           (out->sequence >= SECURE_RECORDS_MAX && out->format == TLS_FORMAT_13);
}

/* Says so with the old keys, and goes over to the new ones. Returns the size of that record. */
static size_t keys_renew(struct shard *shard, struct conn *conn, struct tls_direction *out,
                         unsigned char *area)
{
    size_t len = tls_key_update_seal(out, area);
    tls_line_out_update(line_of(shard, conn), out);
    conn->link &= ~(uint32_t)LINK_KEY_UPDATE;
    return len;
}

static void out_used(union tls_line *line, const struct tls_direction *out,
                     struct tls_direction *scratch)
{
    tls_line_out_used(line, out);
    if (out == scratch)
        tls_line_forget(scratch);
}

/* Writes all that is to leave now. Returns its size. */
static size_t fill(struct shard *shard, struct conn *conn, unsigned char *area, size_t room)
{
    union tls_line *line = line_of(shard, conn);
    struct tls_direction scratch, *out = tls_line_out(line, &scratch);
    size_t len = 0;
    if (conn->link & LINK_SEALED) {
        len = conn->out_len;
        assert(len <= room);
        memcpy(area, conn->out_block->bytes + conn->out_at, len);
        conn->link &= ~(uint32_t)LINK_SEALED;
        conn_consume(shard, conn, (uint32_t)len);
    }
    while (conn->out_block &&
           len + record_bound(conn) + SECURE_KEY_UPDATE_MAX + TLS_ALERT_MAX <= room) {
        if (keys_are_old(conn, out))
            len += keys_renew(shard, conn, out, area + len);
        len += record_seal(shard, conn, out, area + len);
    }
    if (farewell_due(conn)) {
        len += tls_alert_seal(out, TLS_ALERT_CLOSE_NOTIFY, area + len);
        conn->link |= LINK_NOTIFIED;
    }
    assert(len <= room);
    out_used(line, out, &scratch);
    return len;
}

bool secure_seal(struct shard *shard, struct conn *conn, struct ring_io *io)
{
    struct secure *secure = shard->secure;
    size_t room = size_bound(line_of(shard, conn), conn);
    if (secure->area_used + room > SECURE_AREA)
        return false;
    if (conn->next_dirty != TIMERS_NONE)
        __builtin_prefetch(&secure_line(secure, conn->next_dirty)->keys.out);
    unsigned char *area = secure->area + secure->area_used;
    io->iov = (struct iovec){area, fill(shard, conn, area, room)};
    secure->area_used += io->iov.iov_len;
    return true;
}

void secure_sent(struct shard *shard, struct conn *conn, const struct ring_io *io)
{
    size_t taken = io->res > 0 ? (size_t)io->res : 0;
    counter_add(&shard->counters.bytes_sent, taken);
    if (taken == io->iov.iov_len)
        return;
    const char *rest = (const char *)io->iov.iov_base + taken;
    conn_send_first(shard, conn, blocks_copy(&shard->blocks, rest, io->iov.iov_len - taken));
    if (conn_alive(conn))
        conn->link |= LINK_SEALED;
}

void secure_alert(struct shard *shard, struct conn *conn, uint8_t description)
{
    size_t sealed = conn->link & LINK_SEALED ? conn->out_len : 0;
    char *area = blocks_reserve(&shard->blocks, sealed + TLS_ALERT_MAX);
    if (!area) {
        conn_end(shard, conn, END_CLOSE, CLOSE_QUEUE_TOTAL);
        return;
    }
    if (sealed > 0)
        memcpy(area, conn->out_block->bytes + conn->out_at, sealed);
    union tls_line *line = line_of(shard, conn);
    struct tls_direction scratch, *out = tls_line_out(line, &scratch);
    size_t alert = tls_alert_seal(out, description, (unsigned char *)area + sealed);
    out_used(line, out, &scratch);
    struct frame frame = blocks_commit(&shard->blocks, sealed + alert);
    conn_queue_clear(shard, conn);
    conn_send_first(shard, conn, frame);
    if (!conn_alive(conn))
        return;
    conn->link |= LINK_SEALED | LINK_NOTIFIED;
    conn_mark_dirty(shard, conn);
}

bool secure_goodbye(struct shard *shard, struct conn *conn)
{
    if (conn->link & LINK_NOTIFIED)
        return false;
    secure_alert(shard, conn, TLS_ALERT_CLOSE_NOTIFY);
    return true;
}
