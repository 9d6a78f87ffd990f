#include "load/packed.h"

#include <stdlib.h>

#include "load/engine.h"
#include "wire/deflate.h"
#include "wire/delta.h"
#include "wire/json_scan.h"

struct packed_message {
    char *bytes, *text; /* as it came, and what it stands for; the text may be NULL */
    size_t len, text_len;
    bool deflated, delta;
    struct payload payload;   /* of the text */
    struct position position; /* behind it; epoch 0: it has none */
};

struct packed {
    struct inflater *inflater; /* or NULL */
    struct packed_message seen[PACKED_SEEN];
    unsigned next; /* the place of the next one; the oldest is there */
};

static void message_clear(struct packed_message *message)
{
    free(message->bytes);
    free(message->text);
    *message = (struct packed_message){0};
}

void packed_free(struct packed *packed)
{
    if (!packed)
        return;
    for (unsigned i = 0; i < PACKED_SEEN; i++)
        message_clear(&packed->seen[i]);
    inflater_free(packed->inflater);
    free(packed);
}

static struct packed_message *nth_newest(struct packed *packed, unsigned n)
{
    return &packed->seen[(packed->next + PACKED_SEEN - 1 - n) % PACKED_SEEN];
}

static const struct packed_message *seen(struct packed *packed, struct span bytes, bool deflated)
{
    for (unsigned i = 0; i < PACKED_SEEN; i++) {
        const struct packed_message *message = nth_newest(packed, i);
        if (message->bytes && message->deflated == deflated &&
            span_equal(span_of(message->bytes, message->len), bytes))
            return message;
    }
    return NULL;
}

/* The message right before a position. */
static const struct packed_message *before(struct packed *packed, const struct position *position)
{
    for (unsigned i = 0; i < PACKED_SEEN; i++) {
        const struct packed_message *message = nth_newest(packed, i);
        if (message->text && message->position.epoch == position->epoch &&
            message->position.offset + 1 == position->offset)
            return message;
    }
    return NULL;
}

/* ---- unpacking: these return false for what is not as it should be ---- */

static bool inflate(struct packed *packed, struct packed_message *message, size_t most)
{
    if (!packed->inflater)
        packed->inflater = inflater_create();
    return packed->inflater &&
           inflater_message(packed->inflater, span_of(message->bytes, message->len), most,
                            &message->text, &message->text_len) == 0;
}

static bool text_set(struct packed_message *message, struct span string)
{
    message->text = malloc(string.len + 1);
    if (message->text)
        message->text_len = json_string_decode(message->text, string);
    return message->text;
}

static bool delta_set(struct packed *packed, struct packed_message *message, struct span string,
                      size_t most)
{
    const struct packed_message *base = before(packed, &message->position);
    char *delta = malloc(string.len + 1);
    message->text = malloc(most);
    int len = -1;
    if (base && delta && message->text)
        len = delta_apply(message->text, most, span_of(base->text, base->text_len),
                          span_of(delta, json_string_decode(delta, string)));
    free(delta);
    message->text_len = len > 0 ? (size_t)len : 0;
    return len > 0;
}

static bool envelope_read(struct packed *packed, struct packed_message *message, size_t most)
{
    struct json_members members = json_members_begin(span_of(message->bytes, message->len));
    struct json_member member;
    struct span data = {0};
    int found;
    while ((found = json_members_next(&members, &member)) > 0) {
        bool delta = json_string_is(member.name, SPAN("delta"));
        if (delta || json_string_is(member.name, SPAN("data")))
            data = member.value;
        message->delta |= delta;
        if (json_string_is(member.name, SPAN("position")) &&
            position_parse(&message->position, 1, member.value) != 1)
            return false;
    }
    if (found < 0 || message->position.epoch == 0)
        return false;
    if (!data.ptr)
        return true;
    return message->delta ? delta_set(packed, message, data, most) : text_set(message, data);
}

static bool unpack(struct packed *packed, struct packed_message *message, bool envelope,
                   size_t most)
{
    if (envelope)
        return !message->deflated && envelope_read(packed, message, most);
    if (message->deflated)
        return inflate(packed, message, most);
    message->text = malloc(message->len + 1);
    if (!message->text)
        return false;
    memcpy(message->text, message->bytes, message->len);
    message->text_len = message->len;
    return true;
}

static const struct packed_message *learn(struct packed *packed, const struct group *group,
                                          struct span bytes, bool deflated)
{
    struct packed_message *message = &packed->seen[packed->next];
    message_clear(message);
    message->bytes = malloc(bytes.len + 1);
    if (!message->bytes)
        return NULL;
    memcpy(message->bytes, bytes.ptr, bytes.len);
    message->len = bytes.len;
    message->deflated = deflated;
    if (!unpack(packed, message, group->config.transport->is & PROTOCOL_JSON,
                group->config.payload_bytes)) {
        message_clear(message);
        return NULL;
    }
    message->payload.repeats = true;
    if (message->text)
        payload_take(&message->payload, span_of(message->text, message->text_len));
    packed->next = (packed->next + 1) % PACKED_SEEN;
    return message;
}

/* Where it stands with envelopes; the first, without a message, brings it up. Returns false where
 * a delta is of what it has not been given. */
static bool follow(struct load *load, struct subscriber *subscriber,
                   const struct packed_message *message)
{
    const struct position *position = &message->position;
    bool has_base = subscriber->position.epoch == position->epoch &&
                    subscriber->position.offset + 1 == position->offset;
    if (position->epoch == 0)
        return true;
    if (message->delta && !has_base)
        return false;
    subscriber->position = *position;
    if (!message->text && !(subscriber->flags & SUBSCRIBER_UP))
        subscriber_is_up(load, subscriber);
    return true;
}

void packed_take(struct load *load, struct subscriber *subscriber, struct span message,
                 bool deflated)
{
    struct group *group = group_of(load, subscriber);
    if (!group->packed)
        group->packed = calloc(1, sizeof *group->packed);
    const struct packed_message *found = NULL;
    if (group->packed)
        found = seen(group->packed, message, deflated);
    if (group->packed && !found)
        found = learn(group->packed, group, message, deflated);
    if (!found || !follow(load, subscriber, found))
        subscriber_fail(load, subscriber, LOAD_FAIL_JSON);
    else if (found->text)
        subscriber_deliver(load, subscriber, &found->payload);
}
