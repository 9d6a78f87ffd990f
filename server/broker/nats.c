/* nats: asks, deadlines, the connection. */
#include "broker/nats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/nats_internal.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 2000,
    EXPIRE_MS = 50,   /* between two walks over the channels that are asked for */
    HELD_WAIT_MS = 1, /* until a shard that had no room is asked again */
    WAIT_MS_MAX = 500,
    CLOSE_MS = 5000,
};

uint64_t nats_random(struct nats *nats)
{
    uint64_t z = (nats->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int64_t timeout_ns(const struct nats *nats)
{
    return nats->config.address.timeout_ms * NS_PER_MS;
}

/* ---- channels ---- */

static bool is_busy(const struct nats_channel *channel)
{
    return channel->asks.first || channel->sent.first || channel->state != CHANNEL_IDLE;
}

struct nats_channel *nats_channel_of(const struct nats *nats, struct span name)
{
    uint64_t hash = hub_hash(nats->set, name.ptr, name.len);
    return (struct nats_channel *)table_find(&nats->channels, name.ptr, name.len, hash);
}

static void unlist(struct nats_channel *channel)
{
    struct channel_list *list = channel->list;
    if (channel->previous)
        channel->previous->next = channel->next;
    else
        list->first = channel->next;
    if (channel->next)
        channel->next->previous = channel->previous;
    else
        list->last = channel->previous;
    list->count--;
}

static void list_in(struct nats_channel *channel, struct channel_list *list)
{
    channel->list = list;
    channel->next = NULL;
    channel->previous = list->last;
    if (list->last)
        list->last->next = channel;
    else
        list->first = channel;
    list->last = channel;
    list->count++;
}

static void channel_free(struct nats *nats, struct nats_channel *channel)
{
    unlist(channel);
    table_remove(&nats->channels, &channel->node);
    natsSubscription_Destroy(channel->subscription);
    history_forget(channel);
    free(channel);
}

static struct nats_channel *channel_take(struct nats *nats, struct span name)
{
    struct nats_channel *channel = nats_channel_of(nats, name);
    if (channel)
        return channel;
    channel = calloc(1, sizeof *channel);
    if (!channel)
        return NULL;
    channel->name_len = (uint8_t)name.len;
    memcpy(channel->name, name.ptr, name.len);
    if (table_insert(&nats->channels, &channel->node, channel->name, name.len,
                     hub_hash(nats->set, name.ptr, name.len)) < 0) {
        free(channel);
        return NULL;
    }
    list_in(channel, &nats->busy);
    return channel;
}

static void list_busy(struct nats *nats, struct nats_channel *channel)
{
    if (channel->list == &nats->busy)
        return;
    unlist(channel);
    list_in(channel, &nats->busy);
}

/* What is not joined either is remembered for a while: its next publish needs no look then. */
static void list_idle(struct nats *nats, struct nats_channel *channel)
{
    unlist(channel);
    list_in(channel, channel->subscription ? &nats->joined : &nats->idle);
    if (nats->idle.count > CHANNELS_IDLE_MAX)
        channel_free(nats, nats->idle.first);
}

/* ---- asks ---- */

void nats_give(struct nats *nats, struct remote_ask *ask, int err)
{
    nats->asks--;
    nats->publishes -= ask->kind == REMOTE_PUBLISH;
    ask->call.err = err;
    remote_answer(nats->helper, ask);
}

void nats_reply_to(char ret[NATS_REPLY_MAX], const struct nats *nats,
                   const struct nats_channel *channel, uint64_t token)
{
    char subject[NATS_SUBJECT_MAX];
    nats_subject_write(subject, nats->config.address.prefix, NATS_HEARD,
                       span_of(channel->name, channel->name_len));
    snprintf(ret, NATS_REPLY_MAX, "%.63s.%016" PRIx64 ".%s", nats->link.inbox, token, subject);
}

int nats_ask_for(struct nats *nats, struct nats_channel *channel, natsMsg *message,
                 enum channel_state state)
{
    channel->token = ++nats->tokens;
    int err = nats_link_send(&nats->link, message);
    natsMsg_Destroy(message);
    if (err < 0)
        return err;
    channel->state = state;
    channel->asked_ns = nats->now_ns;
    return 0;
}

static void leave(struct nats *nats, struct remote_ask *ask)
{
    struct nats_channel *channel = nats_channel_of(nats, span_of(ask->name, ask->name_len));
    if (channel) {
        natsSubscription_Destroy(channel->subscription);
        channel->subscription = NULL;
        list_busy(nats, channel); /* and from there to the idle */
    }
    nats_give(nats, ask, 0);
}

static void ask(void *engine, struct remote_ask *ask)
{
    struct nats *nats = engine;
    bool publishes = ask->kind == REMOTE_PUBLISH;
    nats->asks++;
    nats->publishes += publishes;
    if (ask->kind == REMOTE_LEAVE) {
        leave(nats, ask);
        return;
    }
    if (publishes && !nats_link_up(&nats->link) && nats->publishes > nats->config.queue_max) {
        nats_count(&nats->counters.queue_full);
        nats_give(nats, ask, -ENOTCONN);
        return;
    }
    struct nats_channel *channel = channel_take(nats, span_of(ask->name, ask->name_len));
    if (!channel) {
        nats_give(nats, ask, -ENOMEM);
        return;
    }
    ask->until_ns = nats->now_ns + timeout_ns(nats);
    ask_push(&channel->asks, ask);
    list_busy(nats, channel);
    channel_pump(nats, channel);
}

/* Those before the first that is in time. A join that is being read is its question's. */
static void expire_asks(struct nats *nats, struct nats_channel *channel)
{
    while (channel->state != CHANNEL_READING && channel->asks.first &&
           ask_first(&channel->asks)->until_ns <= nats->now_ns) {
        bool join = ask_first(&channel->asks)->kind == REMOTE_JOIN;
        nats_count(&nats->counters.timeouts);
        channel->looked &= !join;
        nats_give(nats, ask_pop(&channel->asks), join ? -ETIMEDOUT : -ENOTCONN);
    }
}

static bool reads_too_long(const struct nats *nats, const struct nats_channel *channel)
{
    return channel->state == CHANNEL_READING &&
           ask_first(&channel->asks)->until_ns + timeout_ns(nats) / 2 <= nats->now_ns;
}

static void expire(struct nats *nats)
{
    struct nats_channel *channel = nats->busy.first, *following;
    if (nats->expire_ns > nats->now_ns)
        return;
    nats->expire_ns = nats->now_ns + EXPIRE_MS * NS_PER_MS;
    for (; channel; channel = following) {
        following = channel->next;
        if (channel->state != CHANNEL_IDLE &&
            (channel->asked_ns + timeout_ns(nats) <= nats->now_ns ||
             reads_too_long(nats, channel))) {
            nats_count(&nats->counters.timeouts);
            channel_give_up(nats, channel, true);
        }
        expire_asks(nats, channel);
        channel_pump(nats, channel);
        if (!is_busy(channel))
            list_idle(nats, channel);
    }
}

/* ---- answers ---- */

/* INBOX.TOKEN.SUBJECT of the channel; one that is late, or anybody's, is for nobody. */
static void answer(struct nats *nats, natsMsg *message)
{
    char name[NATS_NAME_MAX];
    struct span subject = span_from(natsMsg_GetSubject(message));
    size_t head = strlen(nats->link.inbox) + 1, digits = 16;
    if (subject.len <= head + digits + 1)
        return;
    uint64_t token = strtoull(subject.ptr + head, NULL, 16);
    size_t len = nats_subject_read(name, nats->config.address.prefix, NATS_HEARD,
                                   span_skip(subject, head + digits + 1));
    struct nats_channel *channel = len > 0 ? nats_channel_of(nats, span_of(name, len)) : NULL;
    if (!channel || channel->state == CHANNEL_IDLE || channel->token != token)
        return;
    channel_answer(nats, channel,
                   span_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)));
}

static void answers(struct nats *nats)
{
    natsMsg *message;
    while ((message = nats_link_answer(&nats->link))) {
        if (!nats_nodes_come(nats, message))
            answer(nats, message);
        natsMsg_Destroy(message);
    }
}

/* ---- the link ---- */

static void backoff(struct nats *nats)
{
    uint64_t most = (uint64_t)BACKOFF_MS_MIN << (nats->failures < 6 ? nats->failures : 6);
    if (most > BACKOFF_MS_MAX)
        most = BACKOFF_MS_MAX;
    nats->failures++;
    nats->retry_ns =
        nats->now_ns + (int64_t)(most / 2 + nats_random(nats) % (most / 2 + 1)) * NS_PER_MS;
    nats_count(&nats->counters.connect_failures);
}

/* What was sent is in doubt, and what is known may be so no longer. */
static void disconnect(struct nats *nats)
{
    while (nats->joined.first)
        list_busy(nats, nats->joined.first);
    for (struct nats_channel *channel = nats->busy.first; channel; channel = channel->next) {
        channel_give_up(nats, channel, true);
        natsSubscription_Destroy(channel->subscription);
        channel->subscription = NULL;
    }
    for (struct nats_channel *channel = nats->idle.first; channel; channel = channel->next)
        channel->known = false;
    nats_nodes_lost(nats);
    natsMsg_Destroy(nats->held);
    nats->held = NULL;
    nats_link_close(&nats->link);
    atomic_store(&nats->counters.connected, 0);
}

static int nats_connect(void *engine, char *why, size_t why_size)
{
    struct nats *nats = engine;
    int err = nats_link_open(&nats->link, &nats->config.address, why, why_size);
    if (err < 0)
        return err;
    nats->resets = 0;
    nats->failures = 0;
    nats_count(&nats->counters.connects);
    atomic_store(&nats->counters.connected, 1);
    return 0;
}

static void reconnect(struct nats *nats)
{
    char why[256];
    if (nats_link_up(&nats->link) || nats->retry_ns > nats->now_ns)
        return;
    if (nats_connect(nats, why, sizeof why) < 0)
        backoff(nats);
    else
        nats->expire_ns = 0; /* all that waits is asked */
}

static void question(void *engine, struct nodes_ask *ask)
{
    struct nats *nats = engine;
    if (ask->kind == NODES_GAP) {
        ask->call.err = -ENOTSUP;
        helper_answer(nats->helper, &ask->call);
        return;
    }
    nats_question(nats, ask);
}

static void turn(void *engine, int64_t now_ns)
{
    struct nats *nats = engine;
    nats->now_ns = now_ns;
    bell_wait(&nats->link.bell, 0);
    if (nats_link_up(&nats->link) && nats_link_lost(&nats->link)) {
        disconnect(nats);
        backoff(nats);
    }
    reconnect(nats);
    if (nats_link_up(&nats->link)) {
        while (nats->resets < helper_participant(nats->set, 0) &&
               remote_reset(nats->helper, nats->set, nats->resets, NULL) == 0)
            nats->resets++;
        if (!nats->nodes.topics[0] && nats_nodes_open(nats) < 0) {
            disconnect(nats);
            backoff(nats);
            return;
        }
        answers(nats);
        news_take(nats);
        nats_nodes_turn(nats);
    }
    expire(nats);
    atomic_store_explicit(&nats->counters.queued, nats->asks, memory_order_relaxed);
}

static unsigned wait_for(void *engine, struct pollfd ret[ENGINE_FDS], int64_t now_ns,
                         int *ret_timeout_ms)
{
    const struct nats *nats = engine;
    int64_t most_ms = nats->busy.first || nats->nodes.desk.open_count > 0 ? EXPIRE_MS : WAIT_MS_MAX;
    if (nats->held ||
        (nats_link_up(&nats->link) && nats->resets < helper_participant(nats->set, 0)))
        most_ms = HELD_WAIT_MS;
    if (!nats_link_up(&nats->link) && (nats->retry_ns - now_ns) / NS_PER_MS < most_ms)
        most_ms = (nats->retry_ns - now_ns) / NS_PER_MS + 1;
    *ret_timeout_ms = most_ms < 0 ? 0 : (int)most_ms;
    ret[0] = (struct pollfd){.fd = nats->link.bell.fd, .events = POLLIN};
    return 1;
}

/* ---- life ---- */

struct nats *nats_create(const struct nats_config *config)
{
    struct nats *nats = calloc(1, sizeof *nats);
    if (!nats)
        return NULL;
    nats->config = *config;
    nats->random = config->seed;
    if (nats_link_init(&nats->link) < 0 || nats_Open(-1) != NATS_OK ||
        nats_SetMessageDeliveryPoolSize(1) != NATS_OK) {
        nats_link_done(&nats->link);
        free(nats);
        return NULL;
    }
    return nats;
}

static void attach(void *engine, struct helper *helper, struct hub_set *set, uint64_t node,
                   nodes_ear *ear)
{
    struct nats *nats = engine;
    nats->nodes.desk.helper = helper;
    nats->nodes.desk.self = node;
    nats->nodes.desk.ear = ear;
    nats->nodes.desk.say = nats_nodes_say;
    nats->nodes.desk.engine = nats;
    nats->helper = helper;
    nats->set = set;
}

static void stop(void *engine)
{
    struct nats *nats = engine;
    nats_nodes_leave(nats);
    disconnect(nats);
    for (struct nats_channel *channel = nats->busy.first; channel; channel = channel->next)
        while (channel->asks.first)
            nats_give(nats, ask_pop(&channel->asks), -ENOTCONN);
}

static void free_all(struct nats *nats, struct channel_list *list)
{
    for (struct nats_channel *channel = list->first, *following; channel; channel = following) {
        following = channel->next;
        channel_free(nats, channel);
    }
}

static void nats_free(void *engine)
{
    struct nats *nats = engine;
    if (!nats)
        return;
    free_all(nats, &nats->busy);
    free_all(nats, &nats->joined);
    free_all(nats, &nats->idle);
    nats_link_close(&nats->link);
    (void)nats_CloseAndWait(CLOSE_MS); /* no callback of it runs behind that */
    nats_link_done(&nats->link);
    explicit_bzero(&nats->config, sizeof nats->config);
    free(nats);
}

static const struct engine_counters *counters(const void *engine)
{
    return &((const struct nats *)engine)->counters;
}

const struct engine_ops nats_engine = {
    .connect = nats_connect,
    .attach = attach,
    .ask = ask,
    .question = question,
    .turn = turn,
    .wait = wait_for,
    .stop = stop,
    .free = nats_free,
    .counters = counters,
};
