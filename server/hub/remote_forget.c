/* remote_forget: histories that are removed where the authority keeps them.
 *
 *   removal ──► authority: nothing is kept, and a MESSAGE_FORGET goes to all who subscribe
 *   answered ─► what is kept here up to that offset goes, too
 *
 * Positions stay: what comes behind them is numbered as ever. A node that does not hear of it, as
 * its link was lost, joins again and is told how many messages there still are. */
#include <errno.h>
#include <stdlib.h>

#include "hub/hub_internal.h"

void remote_forget_until(struct hub *hub, struct channel_home *channel,
                         const struct message *message)
{
    if (message->epoch != channel->epoch)
        return;
    home_forget_until(hub, channel, message->offset);
    home_settle(hub, channel);
}

static int ask(struct hub *hub, unsigned from, struct request *request)
{
    const struct hub_rules *rules = remote_rules(hub, request->name, request->name_len);
    struct remote_ask *ask = remote_ask_create(hub, REMOTE_FORGET, rules, request->name,
                                               request->name_len, request->hash);
    if (!ask)
        return -ENOMEM;
    ask->message = message_create(request->name, request->name_len, request->hash, NULL, 0, false);
    if (ask->message)
        ask->message->kind = MESSAGE_FORGET;
    ask->from = from;
    int err = ask->message ? remote_ask_send(hub, ask) : -ENOMEM;
    if (err < 0)
        remote_ask_free(ask);
    else
        ask->request = request;
    return err;
}

void remote_forget(struct hub *hub, unsigned from, struct request *request)
{
    int err = ask(hub, from, request);
    if (err < 0)
        remote_refuse(hub, from, request, false, err);
}

bool remote_forgotten(struct hub *hub, struct remote_ask *ask)
{
    struct request *request = ask->request;
    if (exchange_reserve(hub, ask->from) < 0)
        return false;
    ask->request = NULL;
    if (ask->call.err < 0) {
        remote_refuse(hub, ask->from, request, false, ask->call.err);
        remote_ask_free(ask);
        return true;
    }
    struct channel_home *channel =
        (void *)table_find(&hub->home.table, ask->name, ask->name_len, ask->hash);
    ask->message->epoch = ask->epoch;
    ask->message->offset = ask->offset;
    if (channel)
        remote_forget_until(hub, channel, ask->message);
    request->epoch = ask->epoch;
    request->offset = ask->offset;
    request->recovered = true;
    const struct item item = {.kind = ITEM_READ_DONE, .request = request};
    exchange_send(hub, ask->from, &item);
    remote_ask_free(ask);
    return true;
}
