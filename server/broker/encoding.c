#include "broker/encoding.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "hub/hub.h"
#include "wire/json_scan.h"
#include "wire/utf8.h"

enum {
    FLAG_UTF8 = 1 << 0,
    FLAG_LAST = 1 << 1,
    FLAG_JOIN = 1 << 2,
    FLAG_LEAVE = 1 << 3,
    FLAG_EPHEMERAL = 1 << 4,
    FLAG_MORE = 1 << 5,
    FLAG_DELTA = 1 << 6,
    FLAG_FORGET = 1 << 7,
    FLAGS_KIND = FLAG_JOIN | FLAG_LEAVE | FLAG_EPHEMERAL | FLAG_FORGET,
    HEAD_BYTES = 3,
    MORE_BYTES = 2,
    EPOCH_DIGITS_MAX = 16,
    NUMBER_DIGITS_MAX = 16,
};

/* Numbers of the engine's scripts are doubles. */
#define NUMBER_MAX (UINT64_C(1) << 53)

static unsigned flags_of(const struct message *message)
{
    static const uint8_t kinds[] = {[MESSAGE_JOIN] = FLAG_JOIN,
                                    [MESSAGE_LEAVE] = FLAG_LEAVE,
                                    [MESSAGE_EPHEMERAL] = FLAG_EPHEMERAL,
                                    [MESSAGE_FORGET] = FLAG_FORGET};
    return (message->utf8 ? FLAG_UTF8 : 0u) | (message->last ? FLAG_LAST : 0u) |
           (message->delta ? FLAG_DELTA : 0u) | (message->more_len > 0 ? FLAG_MORE : 0u) |
           kinds[message->kind];
}

/* What is more than the payload ends with the brace that ends its object. */
static size_t more_size(const struct message *message)
{
    return message->more_len > 0 ? (size_t)message->more_len + 1 : 0;
}

size_t encoding_size(const struct message *message)
{
    size_t more = more_size(message);
    return HEAD_BYTES + (more > 0 ? MORE_BYTES : 0u) + message->event_len + message->payload_len +
           more;
}

void encoding_write(char *ret, const struct message *message)
{
    size_t bytes = (size_t)message->event_len + message->payload_len + message->more_len;
    *ret++ = '1';
    *ret++ = (char)flags_of(message);
    *ret++ = (char)message->event_len;
    if (message->more_len > 0) {
        *ret++ = (char)(message->more_len >> 8);
        *ret++ = (char)message->more_len;
    }
    memcpy(ret, message_event(message), bytes);
    if (message->more_len > 0)
        ret[bytes] = '}';
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
    if (flags & FLAG_FORGET)
        return MESSAGE_FORGET;
    return flags & FLAG_EPHEMERAL ? MESSAGE_EPHEMERAL : MESSAGE_PUBLICATION;
}

/* Members of an object that has begun, and its end: they go into pushes as they are, each of which
 * is one line. */
static bool more_is_good(struct span more)
{
    struct json_members members = {.rest = more, .begun = true};
    struct json_member member;
    int found;
    if (more.ptr[0] != ',' || memchr(more.ptr, '\n', more.len) || memchr(more.ptr, '\r', more.len))
        return false;
    while ((found = json_members_next(&members, &member)) > 0) {
        bool known = span_equal(member.name, SPAN("tags")) || span_equal(member.name, SPAN("info"));
        if (!known || member.kind != JSON_IS_OBJECT)
            return false;
    }
    return found == 0 && more.ptr[more.len - 1] == '}';
}

/* Takes it off the end of the body, if its flag says that it is there. */
static int more_read(struct encoded *ret, struct span *body)
{
    if (body->len < MORE_BYTES)
        return -EINVAL;
    size_t len = (size_t)(unsigned char)body->ptr[0] << 8 | (unsigned char)body->ptr[1];
    *body = span_skip(*body, MORE_BYTES);
    if (len == 0 || len + 1 > body->len)
        return -EINVAL;
    struct span more = span_skip(*body, body->len - len - 1);
    if (!more_is_good(more))
        return -EINVAL;
    ret->more = span_of(more.ptr, len);
    body->len -= len + 1;
    return 0;
}

static int body_read(struct encoded *ret, struct span body, size_t payload_max)
{
    if (body.len < HEAD_BYTES || body.ptr[0] != '1')
        return -EINVAL;
    unsigned flags = (unsigned char)body.ptr[1], event_len = (unsigned char)body.ptr[2];
    unsigned kind = flags & FLAGS_KIND;
    bool both = (kind & (kind - 1)) != 0;
    body = span_skip(body, HEAD_BYTES);
    if (both || (flags & FLAG_MORE && more_read(ret, &body) < 0) || event_len > EVENT_TYPE_MAX ||
        event_len > body.len)
        return -EINVAL;
    ret->event = span_of(body.ptr, event_len);
    ret->payload = span_skip(body, event_len);
    ret->kind = kind_of(kind);
    ret->last = flags & FLAG_LAST;
    ret->utf8 = flags & FLAG_UTF8;
    ret->delta = flags & FLAG_DELTA;
    bool event_good = event_len == 0 || hub_name_valid(ret->event.ptr, event_len);
    bool text_good = !ret->utf8 || utf8_valid(ret->payload);
    return event_good && text_good && ret->payload.len <= payload_max ? 0 : -EINVAL;
}

/* Takes the line off. */
static int line_read(struct encoded *ret, struct span *bytes)
{
    struct span epoch, offset, time;
    uint64_t time_ms;
    if (!cut(&epoch, bytes, ' ') || !cut(&offset, bytes, ' ') || !cut(&time, bytes, '\n') ||
        encoding_epoch(&ret->epoch, epoch) < 0 || encoding_number(&ret->offset, offset) < 0 ||
        encoding_number(&time_ms, time) < 0)
        return -EINVAL;
    ret->time_ms = (int64_t)time_ms;
    return 0;
}

int encoding_read(struct encoded *ret, struct span bytes, size_t payload_max)
{
    struct encoded read = {0};
    if (line_read(&read, &bytes) < 0 || body_read(&read, bytes, payload_max) < 0)
        return -EINVAL;
    *ret = read;
    return 0;
}

/* ---- several ---- */

void encoding_item_write(char ret[ENCODING_ITEM_HEAD], size_t len)
{
    assert(len <= UINT32_MAX);
    for (int i = 0; i < ENCODING_ITEM_HEAD; i++)
        ret[i] = (char)(len >> (8 * (ENCODING_ITEM_HEAD - 1 - i)));
}

int encoding_item_next(struct span *items, struct span *ret)
{
    uint32_t len = 0;
    if (items->len == 0)
        return 0;
    if (items->len < ENCODING_ITEM_HEAD)
        return -EINVAL;
    for (int i = 0; i < ENCODING_ITEM_HEAD; i++)
        len = len << 8 | (unsigned char)items->ptr[i];
    *items = span_skip(*items, ENCODING_ITEM_HEAD);
    if (len == 0 || len > items->len)
        return -EINVAL;
    *ret = span_of(items->ptr, len);
    *items = span_skip(*items, len);
    return 1;
}

int encoding_line_read(struct encoded *ret, struct span bytes)
{
    struct encoded line = {0};
    if (line_read(&line, &bytes) < 0 || bytes.len != 1 || bytes.ptr[0] != ENCODING_APART)
        return -EINVAL;
    *ret = line;
    return 0;
}

int encoding_rest_read(struct encoded_run *ret, const struct encoded *line, struct span bytes)
{
    struct encoded_run run = {.line = *line};
    if (bytes.len == 0)
        return -EINVAL;
    run.single = bytes.ptr[0] != ENCODING_SEVERAL;
    run.items = run.single ? bytes : span_skip(bytes, 1);
    run.left = run.single;
    struct span items = run.items, item;
    int found = 0;
    while (!run.single && (found = encoding_item_next(&items, &item)) > 0)
        run.left++;
    if (found < 0 || run.left == 0)
        return -EINVAL;
    *ret = run;
    return 0;
}

int encoding_run_read(struct encoded_run *ret, struct span bytes)
{
    struct encoded line = {0};
    return line_read(&line, &bytes) < 0 ? -EINVAL : encoding_rest_read(ret, &line, bytes);
}

int encoding_run_next(struct encoded_run *run, struct encoded *ret, size_t payload_max)
{
    struct encoded read = run->line;
    struct span item = run->items;
    if (run->left == 0)
        return 0;
    run->left--;
    if (!run->single && encoding_item_next(&run->items, &item) < 0)
        return -EINVAL;
    if (body_read(&read, item, payload_max) < 0)
        return -EINVAL;
    /* Events have no place of their own. */
    if (read.kind == MESSAGE_PUBLICATION && run->left > 0) {
        if (read.offset <= run->left)
            return -EINVAL;
        read.offset -= run->left;
    }
    *ret = read;
    return 1;
}

struct message *encoding_message(const struct encoded *read, struct span name, uint64_t hash)
{
    const struct message_parts parts = {
        .name = name.ptr,
        .name_len = name.len,
        .hash = hash,
        .event = read->event.ptr,
        .event_len = read->event.len,
        .payload = read->payload.ptr,
        .payload_len = read->payload.len,
        .utf8 = read->utf8,
        .more = read->more.ptr,
        .more_len = read->more.len,
    };
    struct message *message = message_create_of(&parts);
    if (!message)
        return NULL;
    message->kind = (uint8_t)read->kind;
    message->last = read->last;
    message->delta = read->delta;
    message->epoch = read->epoch;
    message->offset = read->offset;
    return message;
}
