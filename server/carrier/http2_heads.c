#include "carrier/http2_heads.h"

#include <stdbool.h>
#include <string.h>

/* RFC 9113 sections 6 and 7. */
enum {
    TYPE_DATA = 0,
    TYPE_HEADERS = 1,
    TYPE_PRIORITY = 2,
    TYPE_RST_STREAM = 3,
    TYPE_SETTINGS = 4,
    TYPE_PING = 6,
    TYPE_LAST = 9,
    FLAG_END_STREAM = 1,
    FLAG_ACK = 1,
    PROTOCOL_ERROR = 1,
    STREAM_CLOSED = 5,
};

struct head {
    uint32_t length, stream;
    uint8_t type, flags;
};

void http2_heads_init(struct http2_heads *heads)
{
    *heads = (struct http2_heads){.skip = HTTP2_PREFACE_BYTES, .gap_from = 1};
}

static struct head read_head(const uint8_t *bytes)
{
    return (struct head){
        .length = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2],
        .type = bytes[3],
        .flags = bytes[4],
        .stream = (uint32_t)(bytes[5] & 0x7f) << 24 | (uint32_t)bytes[6] << 16 |
                  (uint32_t)bytes[7] << 8 | bytes[8],
    };
}

static bool has_ended(const struct http2_heads *heads, uint32_t stream)
{
    for (unsigned i = 0; i < HTTP2_ENDED_KEPT; i++)
        if (heads->ended[i] == stream)
            return true;
    return false;
}

static uint32_t error_of(const struct http2_heads *heads, const struct head *head)
{
    bool speaks = head->type == TYPE_HEADERS || head->type == TYPE_DATA;
    bool is_passed = head->stream >= heads->gap_from && head->stream <= heads->gap_to;
    if (head->type == TYPE_PRIORITY && head->stream == 0)
        return PROTOCOL_ERROR;
    if (speaks && head->stream != 0 && has_ended(heads, head->stream))
        return STREAM_CLOSED;
    return head->type == TYPE_HEADERS && is_passed ? PROTOCOL_ERROR : 0;
}

static void note(struct http2_heads *heads, const struct head *head)
{
    bool speaks = head->type == TYPE_HEADERS || head->type == TYPE_DATA;
    if (head->type == TYPE_HEADERS && head->stream > heads->newest) {
        heads->gap_from = heads->newest + 1;
        heads->gap_to = head->stream - 1;
        heads->newest = head->stream;
    }
    if ((speaks && head->flags & FLAG_END_STREAM) || head->type == TYPE_RST_STREAM)
        heads->ended[heads->ended_at++ % HTTP2_ENDED_KEPT] = head->stream;
}

static bool is_idle(const struct head *head)
{
    switch (head->type) {
    case TYPE_DATA:
        return head->length == 0 && !(head->flags & FLAG_END_STREAM);
    case TYPE_SETTINGS:
    case TYPE_PING:
        return !(head->flags & FLAG_ACK);
    case TYPE_PRIORITY:
        return true;
    default:
        return head->type > TYPE_LAST;
    }
}

struct http2_heads_found http2_heads_take(struct http2_heads *heads, const char *bytes, size_t len)
{
    struct http2_heads_found found = {.good = len};
    for (size_t at = 0; at < len;) {
        size_t left = len - at;
        if (heads->skip > 0) {
            size_t part = heads->skip < left ? heads->skip : left;
            heads->skip -= (uint32_t)part;
            at += part;
            continue;
        }
        size_t wanted = HTTP2_HEAD_BYTES - (size_t)heads->have;
        size_t part = wanted < left ? wanted : left;
        memcpy(heads->head + heads->have, bytes + at, part);
        heads->have = (uint8_t)(heads->have + part);
        at += part;
        if (heads->have < HTTP2_HEAD_BYTES)
            break;
        const struct head head = read_head(heads->head);
        heads->have = 0;
        heads->skip = head.length;
        found.error = error_of(heads, &head);
        if (found.error != 0) {
            found.good = at - part;
            return found;
        }
        note(heads, &head);
        found.idle_frames += is_idle(&head);
    }
    return found;
}
