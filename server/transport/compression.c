#include "transport/compression.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct compression {
    struct deflater *deflater; /* or NULL */
    struct inflater *inflater; /* or NULL */
};

/* NULL when memory is out. */
static struct compression *compression(struct shard *shard)
{
    if (!shard->compression)
        shard->compression = calloc(1, sizeof *shard->compression);
    return shard->compression;
}

static struct deflater *deflater(struct shard *shard)
{
    struct compression *own = compression(shard);
    if (own && !own->deflater)
        own->deflater = deflater_create((int)shard->settings->compress_level,
                                        (int)shard->settings->deflate_window_bits);
    return own ? own->deflater : NULL;
}

/* `behind`: 0 where it got no smaller. */
static void count(struct shard *shard, size_t before, size_t behind)
{
    counter_add(&shard->counters.deflates, 1);
    counter_add(&shard->counters.deflate_bytes_plain, before);
    counter_add(&shard->counters.deflate_bytes, behind > 0 ? behind : before);
}

/* Deflates where that is worth it; else, or when memory is out, returns 0. */
static size_t deflate_payload(struct shard *shard, char *area, struct span payload)
{
    if (payload.len < (size_t)shard->settings->compress_bytes_min || !deflater(shard))
        return 0;
    size_t len = deflater_message(deflater(shard), area, payload);
    count(shard, payload.len, len);
    return len;
}

int compression_agree(struct shard *shard, struct conn *conn, const struct http_request *request)
{
    conn->role &= (uint16_t)~ROLE_DEFLATE; /* of a handshake before, that was refused */
    if (!shard->settings->websocket_deflate)
        return 0;
    int offer = ws_deflate_judge(&request->fields, (unsigned)shard->settings->deflate_window_bits);
    if (offer == WS_DEFLATE_ACCEPTED)
        conn->role |= ROLE_DEFLATE;
    else if (offer == WS_DEFLATE_DECLINED)
        counter_add(&shard->counters.deflate_declined, 1);
    return offer < 0 ? offer : 0;
}

size_t compression_field(const struct shard *shard, const struct conn *conn,
                         char buf[WS_DEFLATE_FIELD_MAX])
{
    return conn->role & ROLE_DEFLATE
               ? ws_deflate_field_write(buf, (unsigned)shard->settings->deflate_window_bits)
               : 0;
}

size_t compression_gzip(struct shard *shard, struct span body, char **ret)
{
    if (body.len < (size_t)shard->settings->compress_bytes_min || !deflater(shard))
        return 0;
    char *area = malloc(body.len);
    size_t len = area ? deflater_gzip(deflater(shard), area, body) : 0;
    count(shard, body.len, len);
    if (len == 0)
        free(area);
    else
        *ret = area;
    return len;
}

size_t compression_piece(struct shard *shard, char *area, struct span text, bool shared)
{
    bool deflates = shared && text.len >= (size_t)shard->settings->compress_bytes_min;
    size_t len = deflate_piece(deflates ? deflater(shard) : NULL, area, text);
    if (deflates)
        count(shard, text.len, len < text.len ? len : 0);
    return len;
}

/* The payload's length decides that of the head, so it is deflated further back and moved. */
size_t compression_ws_frame(struct shard *shard, char *area, enum ws_opcode opcode,
                            struct span payload)
{
    char *body = area + WS_FRAME_HEAD_MAX;
    size_t len = deflate_payload(shard, body, payload);
    const struct ws_frame_head head = {.length = len > 0 ? len : payload.len,
                                       .opcode = (uint8_t)opcode,
                                       .fin = true,
                                       .deflated = len > 0};
    size_t size = ws_frame_head_write(area, &head);
    if (len > 0)
        memmove(area + size, body, len);
    else if (payload.len > 0)
        memcpy(area + size, payload.ptr, payload.len);
    return size + (size_t)head.length;
}

int compression_inflate(struct shard *shard, struct span message, char **ret, size_t *ret_len)
{
    struct compression *own = compression(shard);
    if (own && !own->inflater)
        own->inflater = inflater_create();
    if (!own || !own->inflater)
        return -ENOMEM;
    counter_add(&shard->counters.inflates, 1);
    size_t max = (size_t)shard->settings->message_bytes_max;
    size_t room = shard->inflate_room < max ? shard->inflate_room : max;
    int err = inflater_message(own->inflater, message, room, ret, ret_len);
    if (err < 0)
        return err == -EFBIG && room < max ? -EDQUOT : err;
    shard->inflate_room -= *ret_len;
    /* As if it had come like that: a turn takes no further events when it has enough to do. */
    shard->received_bytes += *ret_len;
    return 0;
}

enum close_reason compression_close_reason(int err)
{
    switch (err) {
    case -EFBIG:
        return CLOSE_WS_TOO_BIG;
    case -EDQUOT:
        return CLOSE_WS_BOMBS;
    case -ENOMEM:
        return CLOSE_OVERLOADED;
    default:
        return CLOSE_WS_INFLATE;
    }
}

void compression_done(struct shard *shard)
{
    struct compression *own = shard->compression;
    if (!own)
        return;
    deflater_free(own->deflater);
    inflater_free(own->inflater);
    free(own);
    shard->compression = NULL;
}
