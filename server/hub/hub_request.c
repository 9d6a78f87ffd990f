/* hub_request: what the transports of this shard ask for, on its way to the home shard. */
#include "hub/hub_internal.h"

#include <errno.h>

static int refuse(struct hub *hub, int err)
{
    if (err != -ENOMEM)
        counter_add(&hub->counters.refused, 1);
    return err;
}

static int request_send(struct hub *hub, enum item_kind kind, struct request *request)
{
    struct item item = {.kind = (uint8_t)kind, .request = request};
    return exchange_request(hub, home_of(request->hash, hub->config->shards), &item);
}

/* The order of the checks leaves nothing to undo but the request: a channel without subscribers
 * goes by itself. */
int hub_subscribe(struct hub *hub, uint32_t *chain, const struct ticket *ticket, const char *name,
                  size_t len, const struct hub_since *since, uint32_t *ret)
{
    assert(len > 0 && len <= CHANNEL_NAME_MAX);
    uint64_t hash = hub_hash(hub->set, name, len);
    struct channel_local *channel;
    int err = exchange_room(hub, home_of(hash, hub->config->shards));
    if (!err)
        err = local_open(hub, name, len, hash, &channel);
    if (err)
        return refuse(hub, err);

    struct request *request = request_create(ticket, name, len, hash, since);
    if (!request)
        return -ENOMEM;
    err = subscription_add(hub, channel, ticket->conn, since->keeps_last, chain,
                           &request->subscription);
    if (err) {
        request_free(request);
        return refuse(hub, err);
    }
    uint32_t subscription = request->subscription;
    err = request_send(hub, ITEM_SUBSCRIBE, request);
    if (err) {
        request_free(request);
        hub_unsubscribe(hub, chain, subscription);
        subscription_answered(hub, subscription, false);
        return refuse(hub, err);
    }
    *ret = subscription;
    return 0;
}

int hub_resume(struct hub *hub, uint32_t subscription, const struct ticket *ticket, uint64_t epoch,
               uint64_t offset)
{
    struct subscription *at = &hub->subscriptions.at[subscription];
    const struct channel_local *channel = hub->local.channels[at->channel];
    const struct hub_since since = {.from = HUB_FROM_POSITION, .epoch = epoch, .offset = offset};
    assert(!subscription_dead(at) && at->answered && !at->live);
    uint64_t hash = hub_hash(hub->set, channel->name, channel->name_len);
    struct request *request =
        request_create(ticket, channel->name, channel->name_len, hash, &since);
    if (!request)
        return -ENOMEM;
    request->subscription = subscription;
    request->resumed = true;
    int err = request_send(hub, ITEM_SUBSCRIBE, request);
    if (err) {
        request_free(request);
        return refuse(hub, err);
    }
    at->answered = 0;
    return 0;
}

int hub_read(struct hub *hub, const struct ticket *ticket, const char *name, size_t len,
             const struct hub_since *since)
{
    assert(len > 0 && len <= CHANNEL_NAME_MAX);
    uint64_t hash = hub_hash(hub->set, name, len);
    int err = exchange_room(hub, home_of(hash, hub->config->shards));
    if (err)
        return refuse(hub, err);
    struct request *request = request_create(ticket, name, len, hash, since);
    if (!request)
        return -ENOMEM;
    err = request_send(hub, ITEM_READ, request);
    if (err)
        request_free(request);
    return err ? refuse(hub, err) : 0;
}

int hub_call(struct hub *hub, unsigned target, struct call *call)
{
    int err = calls_ask(&hub->exchange.calls, target, call);
    return err ? refuse(hub, err) : 0;
}

void hub_answer(struct hub *hub, struct call *call)
{
    calls_answer(&hub->exchange.calls, call);
}

int hub_publish(struct hub *hub, const struct ticket *ticket_or_null, struct message *message)
{
    assert(message->epoch == 0 && message->offset == 0);
    struct item item = {.kind = ITEM_PUBLISH, .message = message};
    if (ticket_or_null) {
        item.ask = true;
        item.ticket = *ticket_or_null;
    }
    int err = exchange_request(hub, home_of(message->hash, hub->config->shards), &item);
    return err ? refuse(hub, err) : 0;
}
