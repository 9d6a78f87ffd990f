#include "broker/encoding.h"

#include <errno.h>
#include <string.h>

#include "hub/hub.h"
#include "wire/utf8.h"

enum {
    FLAG_UTF8 = 1 << 0,
    FLAG_LAST = 1 << 1,
    FLAG_JOIN = 1 << 2,
    FLAG_LEAVE = 1 << 3,
    FLAG_EPHEMERAL = 1 << 4,
    FLAGS = FLAG_UTF8 | FLAG_LAST | FLAG_JOIN | FLAG_LEAVE | FLAG_EPHEMERAL,
    EPOCH_DIGITS_MAX = 16,
    NUMBER_DIGITS_MAX = 16,
};

/* Numbers of the engine's scripts are doubles. */
#define NUMBER_MAX (UINT64_C(1) << 53)

void encoding_head(char ret[ENCODING_HEAD_BYTES], const struct message *message)
{
    ret[0] = '1';
    ret[1] = (char)((message->utf8 ? FLAG_UTF8 : 0) | (message->last ? FLAG_LAST : 0) |
                    (message->kind == MESSAGE_JOIN ? FLAG_JOIN : 0) |
                    (message->kind == MESSAGE_LEAVE ? FLAG_LEAVE : 0) |
                    (message->kind == MESSAGE_EPHEMERAL ? FLAG_EPHEMERAL : 0));
    ret[2] = (char)message->event_len;
}

int encoding_epoch(uint64_t *ret, struct span digits)
{
    uint64_t value = 0;
    if (digits.len == 0 || digits.len > EPOCH_DIGITS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return -EINVAL;
        value = value << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (value == 0)
        return -EINVAL;
    *ret = value;
    return 0;
}

int encoding_number(uint64_t *ret, struct span digits)
{
    uint64_t value = 0;
    if (digits.len == 0 || digits.len > NUMBER_DIGITS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return -EINVAL;
        value = value * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    if (value >= NUMBER_MAX)
        return -EINVAL;
    *ret = value;
    return 0;
}

/* Cuts off what is before the first `end`, and that. Returns false when there is none. */
static bool cut(struct span *ret, struct span *rest, char end)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, end, rest->len) : NULL;
    if (!at)
        return false;
    *ret = span_of(rest->ptr, (size_t)(at - rest->ptr));
    *rest = span_skip(*rest, ret->len + 1);
    return true;
}

static enum message_kind kind_of(unsigned flags)
{
    if (flags & FLAG_JOIN)
        return MESSAGE_JOIN;
    if (flags & FLAG_LEAVE)
        return MESSAGE_LEAVE;
    return flags & FLAG_EPHEMERAL ? MESSAGE_EPHEMERAL : MESSAGE_PUBLICATION;
}

static int body_read(struct encoded *ret, struct span body, size_t payload_max)
{
    if (body.len < ENCODING_HEAD_BYTES || body.ptr[0] != '1')
        return -EINVAL;
    unsigned flags = (unsigned char)body.ptr[1], event_len = (unsigned char)body.ptr[2];
    body = span_skip(body, ENCODING_HEAD_BYTES);
    unsigned kind = flags & (FLAG_JOIN | FLAG_LEAVE | FLAG_EPHEMERAL);
    bool both = (kind & (kind - 1)) != 0;
    if (flags & ~(unsigned)FLAGS || both || event_len > EVENT_TYPE_MAX || event_len > body.len)
        return -EINVAL;
    ret->event = span_of(body.ptr, event_len);
    ret->payload = span_skip(body, event_len);
    ret->kind = kind_of(kind);
    ret->last = flags & FLAG_LAST;
    ret->utf8 = flags & FLAG_UTF8;
    bool event_good = event_len == 0 || hub_name_valid(ret->event.ptr, event_len);
    bool text_good = !ret->utf8 || utf8_valid(ret->payload);
    return event_good && text_good && ret->payload.len <= payload_max ? 0 : -EINVAL;
}

int encoding_read(struct encoded *ret, struct span bytes, size_t payload_max)
{
    struct span epoch, offset, time;
    uint64_t time_ms;
    struct encoded read = {0};
    if (!cut(&epoch, &bytes, ' ') || !cut(&offset, &bytes, ' ') || !cut(&time, &bytes, '\n') ||
        encoding_epoch(&read.epoch, epoch) < 0 || encoding_number(&read.offset, offset) < 0 ||
        encoding_number(&time_ms, time) < 0 || body_read(&read, bytes, payload_max) < 0)
        return -EINVAL;
    read.time_ms = (int64_t)time_ms;
    *ret = read;
    return 0;
}
