/* mercure_subscription: one subscription of the Mercure protocol, as others are told of it
 * (draft-dunglas-mercure-07, section 7).
 *
 *   /.well-known/mercure/subscriptions                        all of them
 *   /.well-known/mercure/subscriptions/{topic}                those of a selector
 *   /.well-known/mercure/subscriptions/{topic}/{subscriber}   one, and the topic of its events
 *
 * Values are percent-encoded but for what is unreserved (RFC 6570 section 3.2.2).
 *
 * Threads  any.
 * Memory   The caller's. What a path is read to lies in its scratch.
 * Bounds   TOPIC_BYTES_MAX a selector. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "wire/out.h"
#include "wire/span.h"
#include "wire/topic.h"

#define MERCURE_HUB           "/.well-known/mercure"
#define MERCURE_SUBSCRIPTIONS MERCURE_HUB "/subscriptions"

enum {
    MERCURE_SUBSCRIBER_LEN = 9 + 36, /* urn:uuid: and the UUID */
    MERCURE_SUBSCRIPTION_ID_MAX =
        sizeof MERCURE_SUBSCRIPTIONS + 3 * TOPIC_BYTES_MAX + 1 + 3 * MERCURE_SUBSCRIBER_LEN,
};
static_assert((int)MERCURE_SUBSCRIPTION_ID_MAX <= (int)TOPIC_MATCH_MAX,
              "its events find their readers");

struct mercure_subscription {
    struct span topic;      /* the selector */
    struct span subscriber; /* as mercure_subscriber_write has it */
    struct span payload;    /* JSON; empty: none */
    bool active;
};

/* A UUID of 16 random bytes. */
void mercure_subscriber_write(char buf[MERCURE_SUBSCRIBER_LEN], const unsigned char random[16]);

/* Its path, which is the topic of its events. Returns the bytes. */
size_t mercure_subscription_id_write(char buf[MERCURE_SUBSCRIPTION_ID_MAX],
                                     const struct mercure_subscription *subscription);

/* Its document of JSON-LD. In one that stands by itself is the context; and where `last_id` is not
 * empty, the last event too. */
size_t mercure_subscription_size(const struct mercure_subscription *subscription,
                                 struct span last_id);
void mercure_subscription_write(struct out *out, const struct mercure_subscription *subscription,
                                bool alone, struct span last_id);

/* A JSON string, into an `out` with room for it. */
void mercure_string_write(struct out *out, struct span text);

/* What is asked for by a path. */
struct mercure_path {
    unsigned parts; /* of those that follow, how many it has */
    struct span topic, subscriber;
};

/* Reads a path that begins with MERCURE_SUBSCRIPTIONS; `scratch` is as long as it. Returns 1; 0
 * when there is no such path; -1 when it is wrongly encoded. */
int mercure_path_read(struct mercure_path *ret, struct span path, char *scratch);

/* Whether a topic is one that only the hub publishes to. */
bool mercure_topic_is_reserved(struct span topic);
