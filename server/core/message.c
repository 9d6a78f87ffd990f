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
    assert(name_len > 0 && name_len <= CHANNEL_NAME_MAX && payload_len <= UINT32_MAX);
    assert(event_len <= EVENT_TYPE_MAX);
    struct message *message = malloc(sizeof *message + name_len + event_len + payload_len);
    if (!message)
        return NULL;
    *message = (struct message){
        .payload_len = (uint32_t)payload_len,
        .hash = hash,
        .utf8 = utf8,
        .name_len = (uint8_t)name_len,
        .event_len = (uint8_t)event_len,
    };
    atomic_init(&message->refs, 1);
    memcpy(message->bytes, name, name_len);
    if (event_len > 0)
        memcpy(message->bytes + name_len, event, event_len);
    if (payload_len > 0)
        memcpy(message->bytes + name_len + event_len, payload, payload_len);
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
