#include "transport/json.h"

#include <assert.h>

#include "conf/settings.h"
#include "hub/hub.h"
#include "wire/base64.h"
#include "wire/json_out.h"

#define CHANNEL   "{\"channel\":\""
#define OFFSET    "\",\"offset\":"
#define EVENT     ",\"event\":\""
#define DATA      ",\"data\":\""
#define DELTA     ",\"delta\":\""
#define TEXT      "\""
#define BASE64    "\",\"base64\":true"
#define END       ",\"end\":true"
#define POSITION  "\"position\":\""
#define MESSAGES  "\",\"messages\":["
#define RECOVERED "],\"recovered\":"
#define ENDED     ",\"ended\":true"

enum {
    FIXED_SIZE = sizeof CHANNEL - 1 + sizeof OFFSET - 1,
    /* Of what an answer has around the data of its messages, the longest run. */
    BETWEEN_MAX =
        POSITION_TOKEN_MAX(SETTINGS_CHANNELS_MAX) + CHANNEL_NAME_MAX + EVENT_TYPE_MAX + 160,
};
static_assert(JSON_ROOM_MIN >= JSON_ESCAPE_MAX && JSON_ROOM_MIN >= BASE64_SIZE(1), "it goes on");

/* ---- a message: its head, its data, what ends that ---- */

static struct span payload_of(const struct message *message)
{
    return span_of(message_payload(message), message->payload_len);
}

static struct span data_end(const struct message *message)
{
    if (message->last)
        return message->utf8 ? SPAN(TEXT END) : SPAN(BASE64 END);
    return message->utf8 ? SPAN(TEXT) : SPAN(BASE64);
}

/* Up to what its payload is the value of. */
static void front_write(struct out *out, const struct message *message)
{
    out_text(out, CHANNEL);
    out_span(out, span_of(message_name(message), message->name_len));
    out_text(out, OFFSET);
    out_decimal(out, message->offset);
    if (message->event_len > 0) {
        out_text(out, EVENT);
        out_span(out, span_of(message_event(message), message->event_len));
        out_text(out, "\"");
    }
}

static void head_write(struct out *out, const struct message *message)
{
    front_write(out, message);
    out_text(out, DATA);
}

/* As much as fits; takes off `payload` what it stands for. */
static size_t data_write(const struct message *message, struct span *payload, char *buf,
                         size_t room)
{
    if (message->utf8)
        return json_escape(buf, room, payload);
    size_t most = room / 4 * 3, part = payload->len < most ? payload->len : most;
    size_t len = base64_encode(buf, span_of(payload->ptr, part));
    *payload = span_skip(*payload, part);
    return len;
}

static size_t front_size(const struct message *message)
{
    size_t size = FIXED_SIZE + message->name_len + digits_decimal_size(message->offset);
    if (message->event_len > 0)
        size += sizeof EVENT - 1 + message->event_len + 1;
    return size;
}

/* Everything but the closing brace. */
static size_t open_size(const struct message *message)
{
    size_t size = front_size(message) + sizeof DATA - 1 + data_end(message).len;
    if (message->utf8)
        return size + json_string_size(payload_of(message)) - 2;
    return size + BASE64_SIZE((size_t)message->payload_len);
}

static void open_write(struct out *out, const struct message *message)
{
    struct span payload = payload_of(message);
    head_write(out, message);
    out->at += data_write(message, &payload, out->at, (size_t)(out->end - out->at));
    out->overflow |= payload.len > 0;
    out_span(out, data_end(message));
}

/* ---- an envelope ---- */

static void delta_write(struct out *out, const struct message *message, struct span delta)
{
    front_write(out, message);
    out_text(out, DELTA);
    out->at += json_escape(out->at, (size_t)(out->end - out->at), &delta);
    out->overflow |= delta.len > 0;
    out_span(out, data_end(message));
}

size_t json_envelope_size(const struct message *message, struct span delta,
                          const struct position *positions, size_t count)
{
    size_t size = sizeof("," POSITION "\"}") - 1 + position_size(positions, count);
    if (delta.len == 0)
        return size + open_size(message);
    return size + front_size(message) + sizeof DELTA - 1 + json_string_size(delta) - 2 +
           data_end(message).len;
}

void json_envelope_write(struct out *out, const struct message *message, struct span delta,
                         const struct position *positions, size_t count)
{
    if (delta.len == 0)
        open_write(out, message);
    else
        delta_write(out, message, delta);
    out_text(out, "," POSITION);
    out->at += position_write(out->at, positions, count);
    out_text(out, "\"}");
}

/* ---- an answer ---- */

uint64_t json_weight(const struct message *message)
{
    return JSON_MESSAGE_COUNTS + (uint64_t)message_bytes(message);
}

unsigned json_fit(struct message *const *messages, unsigned count, uint64_t weight_max)
{
    uint64_t weight = 0;
    unsigned fit = 0;
    for (; fit < count && fit < HUB_REPLY_MESSAGES_MAX; fit++) {
        weight += json_weight(messages[fit]);
        if (weight > weight_max && fit > 0)
            break;
    }
    return fit;
}

size_t json_answer_size(const struct json_answer *answer)
{
    size_t size = sizeof("{" POSITION MESSAGES RECOVERED "}\n") - 1;
    size += position_size(answer->positions, answer->position_count);
    size += answer->recovered ? 4 : 5;
    size += answer->ended ? sizeof ENDED - 1 : 0;
    for (unsigned i = 0; i < answer->message_count; i++)
        size += open_size(answer->messages[i]) + 1 + (i > 0);
    return size;
}

/* What stands before the data of message number `next`, or behind the last. */
static void between_write(struct out *out, const struct json_answer *answer, unsigned next)
{
    if (next == 0) {
        out_text(out, "{" POSITION);
        out->at += position_write(out->at, answer->positions, answer->position_count);
        out_text(out, MESSAGES);
    } else {
        out_span(out, data_end(answer->messages[next - 1]));
        out_text(out, "}");
    }
    if (next < answer->message_count) {
        if (next > 0)
            out_text(out, ",");
        head_write(out, answer->messages[next]);
        return;
    }
    out_text(out, RECOVERED);
    out_span(out, answer->recovered ? SPAN("true") : SPAN("false"));
    if (answer->ended)
        out_text(out, ENDED);
    out_text(out, "}\n");
}

static size_t between_next(const struct json_answer *answer, struct json_cursor *cursor, char *buf,
                           size_t room)
{
    char text[BETWEEN_MAX];
    struct out out = out_begin(text, sizeof text);
    between_write(&out, answer, cursor->message);
    assert(!out.overflow);
    size_t left = (size_t)(out.at - out.start) - cursor->used;
    size_t len = left < room ? left : room;
    memcpy(buf, text + cursor->used, len);
    cursor->used += len;
    if (len == left)
        *cursor = (struct json_cursor){cursor->message, true, 0};
    return len;
}

static size_t data_next(const struct json_answer *answer, struct json_cursor *cursor, char *buf,
                        size_t room)
{
    const struct message *message = answer->messages[cursor->message];
    struct span payload = span_skip(payload_of(message), cursor->used);
    size_t len = data_write(message, &payload, buf, room);
    cursor->used = message->payload_len - payload.len;
    if (payload.len == 0)
        *cursor = (struct json_cursor){cursor->message + 1, false, 0};
    return len;
}

bool json_answer_ended(const struct json_answer *answer, const struct json_cursor *cursor)
{
    return cursor->message == answer->message_count && cursor->in_data;
}

size_t json_answer_next(const struct json_answer *answer, struct json_cursor *cursor, char *buf,
                        size_t room)
{
    size_t len = 0;
    while (!json_answer_ended(answer, cursor)) {
        const struct json_cursor before = *cursor;
        len += cursor->in_data ? data_next(answer, cursor, buf + len, room - len)
                               : between_next(answer, cursor, buf + len, room - len);
        if (cursor->message == before.message && cursor->in_data == before.in_data)
            break;
    }
    return len;
}
