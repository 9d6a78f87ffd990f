/* message: an immutable payload on its way from a publisher to everybody.
 *
 *   ┌──────────────┬──────────────┬──────────────┬──────────────┬──────┬───────┐
 *   │ head         │ channel name │ event type   │ payload      │ more │ terms │   one allocation
 *   └──────────────┴──────────────┴──────────────┴──────────────┴──────┴───────┘
 *
 * Threads  Made by the publisher's shard, or a helper; offset and epoch are set by the home shard
 *          before anybody else sees it; from then on it is read-only and shared between shards by
 *          counted references.
 * Memory   message_create gives one reference; the last message_unref frees, on whatever thread.
 * Bounds   The payload by `message_bytes_max`, the name by CHANNEL_NAME_MAX; callers check both. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    CHANNEL_NAME_MAX = 128, /* bytes; any of A-Z a-z 0-9 - _ . : / @ */
    EVENT_TYPE_MAX = 64,    /* the same characters */
    MESSAGE_MORE_MAX = UINT16_MAX,
};

/* What a message is. All but the first have no offset of their own and are in no history: they
 * carry that of the message before them. */
enum message_kind {
    MESSAGE_PUBLICATION,
    MESSAGE_EPHEMERAL, /* for those who are there: it is given to subscribers, and kept by nobody */
    MESSAGE_JOIN,   /* a client came to the channel: the payload is a JSON object that says who */
    MESSAGE_LEAVE,  /* it left */
    MESSAGE_GAP,    /* something before this was missed, and cannot be had */
    MESSAGE_FORGET, /* between nodes alone: the history up to its offset was removed */
};

struct message {
    atomic_uint refs;
    uint32_t payload_len;
    uint64_t offset;       /* 1, 2, 3 … within an epoch of its channel */
    uint64_t epoch;        /* one life of the channel's numbering; never 0 */
    uint64_t hash;         /* of the channel's name */
    int64_t kept_until_ns; /* home shard only: when the history lets go of it; its age before */
    uint16_t more_len;     /* members of JSON beside the payload: ,"tags":{…},"info":{…} */
    bool utf8 : 1;         /* the payload is valid UTF-8 */
    bool last : 1;         /* of its channel: nothing can be published behind it */
    bool has_terms : 1;    /* message_terms are behind all */
    uint8_t name_len;
    uint8_t event_len;    /* 0: no type */
    uint8_t kind;         /* enum message_kind; set by its maker, before it is published */
    bool delta;           /* may be told by what changed: as its publisher asked, and then as the
                             home shard has it */
    _Atomic uint8_t form; /* 0: not looked at; else 1 + what a reader has found it to be, and any
                             other would find as well */
    char bytes[];         /* name, event type, payload, more, terms */
};

/* What its publisher wants of the channel: hub/terms.h. */
struct message_terms {
    uint64_t key;           /* not twice with this one: a hash; 0: none */
    uint64_t version;       /* not behind one that is not below; 0: none */
    uint64_t version_epoch; /* and has the same epoch: a hash; 0: any */
    bool lasting;           /* the key is one of those that are remembered for longer */
};

/* What a message is made of. */
struct message_parts {
    const char *name;
    size_t name_len;
    uint64_t hash;
    const char *event;
    size_t event_len; /* at most EVENT_TYPE_MAX */
    const void *payload;
    size_t payload_len;
    bool utf8;
    const char *more;
    size_t more_len;                   /* at most MESSAGE_MORE_MAX */
    const struct message_terms *terms; /* NULL: none */
};

/* Returns a message with one reference that holds copies of both, or NULL when memory is out.
 * offset and epoch are 0. */
struct message *message_create(const char *name, size_t name_len, uint64_t hash,
                               const void *payload, size_t payload_len, bool utf8);

/* The same, with a type that its publisher gave it; `event_len` at most EVENT_TYPE_MAX. */
struct message *message_create_typed(const char *name, size_t name_len, uint64_t hash,
                                     const char *event, size_t event_len, const void *payload,
                                     size_t payload_len, bool utf8);

/* The same of all its parts. */
struct message *message_create_of(const struct message_parts *parts);

struct message *message_ref(struct message *message);

/* Gives back one reference. NULL is allowed. */
void message_unref(struct message *message);

static inline const char *message_name(const struct message *message)
{
    return message->bytes;
}

static inline const char *message_event(const struct message *message)
{
    return message->bytes + message->name_len;
}

static inline const char *message_payload(const struct message *message)
{
    return message->bytes + message->name_len + message->event_len;
}

static inline const char *message_more(const struct message *message)
{
    return message_payload(message) + message->payload_len;
}

/* Of one that has_terms. */
static inline struct message_terms message_terms(const struct message *message)
{
    struct message_terms terms;
    memcpy(&terms, message_more(message) + message->more_len, sizeof terms);
    return terms;
}

/* What it takes besides its head. */
static inline size_t message_bytes(const struct message *message)
{
    return (size_t)message->name_len + message->event_len + message->payload_len +
           message->more_len + (message->has_terms ? sizeof(struct message_terms) : 0);
}
