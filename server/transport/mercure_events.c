/* mercure_events: what a Mercure hub publishes itself: private updates that say which subscriptions
 * there are (draft-dunglas-mercure-07, section 7.1).
 *
 *   a stream stands ─► for each of its selectors "active":true ─┐
 *   it ends         ─► for each of these        "active":false ─┴─► the channel of all updates */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conn/shard.h"
#include "core/message.h"
#include "hub/hub.h"
#include "transport/mercure.h"
#include "transport/mercure_internal.h"

struct message *mercure_message(struct shard *shard, const struct mercure_update *update)
{
    struct span name = SPAN(MERCURE_CHANNEL);
    size_t size = mercure_update_size(update);
    char *payload = malloc(size);
    if (!payload)
        return NULL;
    mercure_update_write(payload, update);
    struct message *message =
        message_create(name.ptr, name.len, hub_hash(shard->server->hubs, name.ptr, name.len),
                       payload, size, false);
    free(payload);
    return message;
}

bool mercure_stream_name(struct mercure_stream *stream, struct span claim)
{
    unsigned char random[16];
    struct span payload;
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != sizeof random)
        return false;
    mercure_subscriber_write(stream->subscriber, random);
    if (!mercure_claim_payload(claim, &payload))
        return true;
    stream->payload = malloc(payload.len);
    if (!stream->payload)
        return false;
    memcpy(stream->payload, payload.ptr, payload.len);
    stream->payload_len = (uint16_t)payload.len;
    return true;
}

static int publish(struct shard *shard, const struct mercure_subscription *subscription)
{
    char id[MERCURE_SUBSCRIPTION_ID_MAX];
    size_t size = mercure_subscription_size(subscription, (struct span){0});
    char *document = malloc(size);
    if (!document)
        return -ENOMEM;
    struct out out = out_begin(document, size);
    mercure_subscription_write(&out, subscription, true, (struct span){0});
    const struct mercure_update update = {
        .topics = {{id, mercure_subscription_id_write(id, subscription)}},
        .topic_count = 1,
        .data = {document, (size_t)out_end(&out)},
        .private = true,
    };
    struct message *message = mercure_message(shard, &update);
    free(document);
    int err = message ? hub_publish(shard->hub, NULL, message) : -ENOMEM;
    if (err < 0)
        message_unref(message);
    return err;
}

/* Of the first `count` selectors. Returns how many could be published. */
static unsigned publish_all(struct shard *shard, const struct mercure_stream *stream,
                            unsigned count, bool active, int *ret_err)
{
    const char *at = stream->asked->text;
    for (unsigned i = 0; i < count; at += stream->asked->len[i++]) {
        const struct mercure_subscription subscription =
            mercure_subscription_of(stream, span_of(at, stream->asked->len[i]), active);
        *ret_err = publish(shard, &subscription);
        if (*ret_err < 0)
            return i;
    }
    return count;
}

int mercure_announce(struct shard *shard, struct mercure_stream *stream)
{
    int err = 0;
    stream->announced = (uint8_t)publish_all(shard, stream, stream->asked->count, true, &err);
    return err;
}

void mercure_announce_end(struct shard *shard, struct mercure_stream *stream)
{
    int err = 0;
    unsigned told = publish_all(shard, stream, stream->announced, false, &err);
    counter_add(&shard->counters.mercure_ends_lost, stream->announced - told);
    stream->announced = 0;
}
