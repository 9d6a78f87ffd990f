#include "core/message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct message *message_create(const char *name, size_t name_len, uint64_t hash,
                               const void *payload, size_t payload_len, bool utf8)
{
    return message_create_typed(name, name_len, hash, NULL, 0, payload, payload_len, utf8);
}

struct message *message_create_typed(const char *name, size_t name_len, uint64_t hash,
                                     const char *event, size_t event_len, const void *payload,
                                     size_t payload_len, bool utf8)
{
    const struct message_parts parts = {
        .name = name,
        .name_len = name_len,
        .hash = hash,
        .event = event,
        .event_len = event_len,
        .payload = payload,
        .payload_len = payload_len,
        .utf8 = utf8,
    };
    return message_create_of(&parts);
}

static char *put(char *at, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(at, bytes, len);
    return at + len;
}

struct message *message_create_of(const struct message_parts *parts)
{
    size_t terms_len = parts->terms ? sizeof *parts->terms : 0;
    assert(parts->name_len > 0 && parts->name_len <= CHANNEL_NAME_MAX);
    assert(parts->payload_len <= UINT32_MAX && parts->event_len <= EVENT_TYPE_MAX);
    assert(parts->more_len <= MESSAGE_MORE_MAX);
    struct message *message = malloc(sizeof *message + parts->name_len + parts->event_len +
                                     parts->payload_len + parts->more_len + terms_len);
    if (!message)
        return NULL;
    *message = (struct message){
        .payload_len = (uint32_t)parts->payload_len,
        .hash = parts->hash,
        .more_len = (uint16_t)parts->more_len,
        .utf8 = parts->utf8,
        .has_terms = terms_len > 0,
        .name_len = (uint8_t)parts->name_len,
        .event_len = (uint8_t)parts->event_len,
    };
    atomic_init(&message->refs, 1);
    char *at = put(message->bytes, parts->name, parts->name_len);
    at = put(at, parts->event, parts->event_len);
    at = put(at, parts->payload, parts->payload_len);
    at = put(at, parts->more, parts->more_len);
    put(at, parts->terms, terms_len);
    return message;
}

struct message *message_ref(struct message *message)
{
    unsigned before = atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return message;
}

void message_unref(struct message *message)
{
    if (!message)
        return;
    unsigned before = atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        free(message);
}
