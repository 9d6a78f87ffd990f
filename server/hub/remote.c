/* remote: what goes from the home shards to a broker, and comes from it. */
#include "hub/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hub/hub_internal.h"

/* ---- asks ---- */

static void list_add(struct remote_table *remote, struct call *call)
{
    call->next = NULL;
    if (remote->done_first)
        remote->done_last->next = call;
    else
        remote->done_first = call;
    remote->done_last = call;
}

static void ask_run(void *broker, struct call *call)
{
    struct remote_ask *ask = (struct remote_ask *)call;
    ask->hub->config->broker->ask(broker, ask);
}

/* What is to be made of it wants room, which the turn looks for later. */
static void ask_done(void *shard, struct call *call)
{
    (void)shard;
    struct remote_ask *ask = (struct remote_ask *)call;
    list_add(&ask->hub->remote, call);
}

static void ask_drop(struct call *call)
{
    remote_ask_free((struct remote_ask *)call);
}

static const struct call_ops ask_ops = {ask_run, ask_done, ask_drop};

struct remote_ask *remote_ask_create(struct hub *hub, enum remote_kind kind,
                                     const struct hub_rules *rules, const char *name, size_t len,
                                     uint64_t hash)
{
    struct remote_ask *ask = malloc(sizeof *ask + len);
    if (!ask)
        return NULL;
    *ask = (struct remote_ask){
        .call.ops = &ask_ops,
        .hub = hub,
        .kind = kind,
        .rules = rules,
        .hash = hash,
        .name_len = (uint8_t)len,
    };
    memcpy(ask->name, name, len);
    return ask;
}

void remote_ask_free(struct remote_ask *ask)
{
    if (!ask)
        return;
    message_unref(ask->message);
    for (unsigned i = 0; i < ask->count; i++)
        message_unref(ask->messages[i]);
    free(ask->messages);
    if (ask->request)
        request_free(ask->request);
    free(ask);
}

int remote_ask_send(struct hub *hub, struct remote_ask *ask)
{
    return hub_call(hub, hub->config->shards, &ask->call);
}

bool remote_canceled(const struct remote_ask *ask)
{
    return ask->kind == REMOTE_PUBLISH && home_line_broken(ask->hub, ask->from, &ask->publisher);
}

void remote_answer(struct helper *broker, struct remote_ask *ask)
{
    if (ask->kind == REMOTE_PUBLISH)
        home_line_break(ask->hub, ask->from, &ask->publisher, ask->call.err);
    helper_answer(broker, &ask->call);
}

/* ---- news ---- */

void remote_news_free(struct remote_news *news)
{
    message_unref(news->message);
    free(news);
}

/* It is on its way no more. */
static void news_arrived(struct remote_news *news)
{
    if (news->message)
        atomic_fetch_sub_explicit(&news->set->news_bytes[news->shard], message_bytes(news->message),
                                  memory_order_relaxed);
}

static void news_run(void *shard, struct call *call)
{
    (void)shard;
    struct remote_news *news = (struct remote_news *)call;
    struct hub *hub = news->set->hubs[news->shard];
    news_arrived(news);
    if (news->message) {
        remote_come(hub, news);
        return;
    }
    remote_reset_begin(hub, news->scope);
    remote_news_free(news);
}

static void news_drop(struct call *call)
{
    remote_news_free((struct remote_news *)call);
}

static const struct call_ops news_ops = {news_run, NULL, news_drop};

static int news_send(struct helper *broker, struct hub_set *set, unsigned shard,
                     struct message *message, const struct remote_scope *scope)
{
    struct remote_news *news = malloc(sizeof *news);
    if (!news)
        return -ENOMEM;
    *news = (struct remote_news){
        .call.ops = &news_ops, .set = set, .shard = shard, .message = message, .scope = scope};
    int err = helper_call(broker, shard, &news->call);
    if (err < 0)
        free(news);
    return err;
}

int remote_live(struct helper *broker, struct hub_set *set, struct message *message)
{
    unsigned shard = home_of(message->hash, set->config.shards);
    uint64_t under_way = atomic_load_explicit(&set->news_bytes[shard], memory_order_relaxed);
    if (under_way > 0 && under_way + message_bytes(message) > set->config.remote_bytes_max)
        return -ENOBUFS;
    int err = news_send(broker, set, shard, message, NULL);
    if (err == 0)
        atomic_fetch_add_explicit(&set->news_bytes[shard], message_bytes(message),
                                  memory_order_relaxed);
    return err;
}

/* It is told as a message that has no place: something is missing before it. */
int remote_rejoin(struct helper *broker, struct hub_set *set, const char *name, size_t len)
{
    struct message *message = message_create(name, len, hub_hash(set, name, len), NULL, 0, false);
    if (!message)
        return -ENOMEM;
    message->epoch = REMOTE_NO_EPOCH;
    int err = remote_live(broker, set, message);
    if (err < 0)
        message_unref(message);
    return err;
}

bool remote_has_room(const struct hub_set *set, unsigned shard)
{
    return atomic_load_explicit(&set->news_bytes[shard], memory_order_relaxed) <=
           set->config.remote_bytes_max / 2;
}

int remote_reset(struct helper *broker, struct hub_set *set, unsigned shard,
                 const struct remote_scope *scope)
{
    return news_send(broker, set, shard, NULL, scope);
}

/* ---- publishing ---- */

/* What limits a channel on this node alone. */
static int publish_rate(struct hub *hub, const struct message *message,
                        const struct hub_rules *rules)
{
    struct channel_home *channel;
    if (rules->publishes_per_s == 0 || message->kind != MESSAGE_PUBLICATION)
        return 0;
    int err = home_open(hub, message_name(message), message->name_len, message->hash, &channel);
    if (err)
        return err;
    err = home_rate(hub, channel);
    home_settle(hub, channel);
    return err;
}

const struct hub_rules *remote_rules(const struct hub *hub, const char *name, size_t len)
{
    const struct namespaces *namespaces = hub->config->namespaces;
    return &hub->set->rules[namespaces ? namespace_of(namespaces, span_of(name, len))->index : 0];
}

/* Takes over the message on success. */
static int publish_ask(struct hub *hub, unsigned from, const struct item *item)
{
    struct message *message = item->message;
    const struct hub_rules *rules = remote_rules(hub, message_name(message), message->name_len);
    if (rules->ephemeral && message->kind == MESSAGE_PUBLICATION && !message->last)
        message->kind = MESSAGE_EPHEMERAL;
    if (hub->remote.publish_bytes + message_bytes(message) > hub->config->remote_bytes_max)
        return -ENOBUFS;
    if (message->kind < MESSAGE_JOIN && witness_refuses(hub->config->witness))
        return -EDQUOT;
    int err = publish_rate(hub, message, rules);
    if (err)
        return err;
    struct remote_ask *ask = remote_ask_create(hub, REMOTE_PUBLISH, rules, message_name(message),
                                               message->name_len, message->hash);
    if (!ask)
        return -ENOMEM;
    ask->from = from;
    ask->ask = item->ask;
    ask->publisher = item->ticket;
    ask->message = message;
    err = remote_ask_send(hub, ask);
    if (err) {
        ask->message = NULL;
        remote_ask_free(ask);
        return err;
    }
    hub->remote.publish_bytes += message_bytes(message);
    return 0;
}

void remote_publish(struct hub *hub, unsigned from, const struct item *item)
{
    int err =
        home_line_broken(hub, from, &item->ticket) ? -ECANCELED : publish_ask(hub, from, item);
    if (err == 0)
        return;
    home_line_break(hub, from, &item->ticket, err);
    if (err != -ENOMEM)
        counter_add(&hub->counters.refused, 1);
    if (item->ask)
        home_published(hub, from, &item->ticket, err, 0, 0);
    message_unref(item->message);
}

/* Returns false when the answer has no place yet. */
static bool published(struct hub *hub, struct remote_ask *ask)
{
    if (ask->ask && exchange_reserve(hub, ask->from) < 0)
        return false;
    hub->remote.publish_bytes -= message_bytes(ask->message);
    uint64_t offset = ask->message->kind == MESSAGE_PUBLICATION ? ask->offset : 0;
    bool known = ask->known != REMOTE_NEW;
    if (ask->call.err == 0 && !known)
        remote_echo(hub, ask);
    counter_add(&hub->counters.repeated, ask->known == REMOTE_REPEATED);
    counter_add(&hub->counters.outdated, ask->known == REMOTE_OUTDATED);
    if (ask->ask)
        home_published(hub, ask->from, &ask->publisher, ask->call.err < 0 ? ask->call.err : known,
                       ask->epoch, offset);
    remote_ask_free(ask);
    return true;
}

/* ---- the turn ---- */

/* Returns false when it has to wait. */
static bool take_done(struct hub *hub, struct remote_ask *ask)
{
    switch (ask->kind) {
    case REMOTE_PUBLISH:
        return published(hub, ask);
    case REMOTE_JOIN:
        remote_joined(hub, ask);
        return true;
    case REMOTE_FORGET:
        return remote_forgotten(hub, ask);
    case REMOTE_LEAVE:
        remote_ask_free(ask);
        break;
    }
    return true;
}

void remote_turn(struct hub *hub)
{
    struct remote_table *remote = &hub->remote;
    remote->more = false;
    remote->left = TURN_REMOTE;
    while (remote->done_first && remote->left > 0 && !local_waits(hub)) {
        struct call *call = remote->done_first;
        struct call *next = call->next;
        if (!take_done(hub, (struct remote_ask *)call))
            break;
        remote->done_first = next;
        remote->left--;
    }
    remote_step_busy(hub);
    remote->more |= remote->done_first != NULL && remote->left == 0;
}

void remote_done(struct hub *hub)
{
    struct remote_table *remote = &hub->remote;
    remote->closed = true;
    while (remote->done_first) {
        struct call *call = remote->done_first;
        remote->done_first = call->next;
        remote_ask_free((struct remote_ask *)call);
    }
}
