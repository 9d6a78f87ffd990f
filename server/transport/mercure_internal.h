/* What the files of a Mercure hub share of its streams. */
#pragma once

#include "conn/conn.h"
#include "transport/mercure_subscription.h"
#include "transport/mercure_update.h"

/* A stream's; in conn_extra. */
struct mercure_stream {
    struct mercure_selectors *asked, *allowed;
    bool has_begun; /* its head has been sent */
    bool resumes;   /* it says behind which event it begins */
    bool has_searched;
    bool is_whole;     /* it begins with the first of the history */
    uint8_t announced; /* of what it asked for, so many are told as subscriptions */
    uint8_t id_len;
    char id[MERCURE_TEXT_MAX]; /* the last that its client has */
    /* With mercure_subscriptions: what others are told of it. */
    char subscriber[MERCURE_SUBSCRIBER_LEN];
    uint16_t payload_len;
    char *payload; /* JSON; NULL: none */
};

static inline struct mercure_stream *mercure_stream_of(const struct conn *conn)
{
    return conn->extra->transport_state;
}

/* The subscription to the selector `topic` of a stream. */
static inline struct mercure_subscription
mercure_subscription_of(const struct mercure_stream *stream, struct span topic, bool active)
{
    return (struct mercure_subscription){
        .topic = topic,
        .subscriber = {stream->subscriber, sizeof stream->subscriber},
        .payload = {stream->payload, stream->payload_len},
        .active = active,
    };
}

/* A message of the channel of all updates; NULL without memory. */
struct message *mercure_message(struct shard *shard, const struct mercure_update *update);

/* What others will be told of a stream that begins: a name for its subscriber, and the payload of
 * its token. Returns false without memory. */
bool mercure_stream_name(struct mercure_stream *stream, struct span claim);

/* Publishes an event for each of its subscriptions: that they are there. Returns 0, or the error of
 * the first that could not be. */
int mercure_announce(struct shard *shard, struct mercure_stream *stream);

/* Likewise of those that were announced: that they are over. */
void mercure_announce_end(struct shard *shard, struct mercure_stream *stream);
