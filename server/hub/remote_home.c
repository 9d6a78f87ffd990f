/* remote_home: a channel that is numbered elsewhere, at its home shard.
 *
 *   COLD ── a request ──► WANTED ──► JOINING ── joined ──► WARM ── nobody wants it ──► left
 *                           ▲                                │
 *                           └── reset, a gap, a position ────┘
 *                               that is not known here
 *
 * While it is joined requests wait, and so does what is published. The answer to a join says where
 * the channel stands, at a time when the subscription was there already: what follows comes live,
 * and what came twice is known by its offset. So whoever is answered has everything up to that
 * offset, and gets everything behind it: the argument of lanes, one level up.
 *
 * Where something is missing the channel is joined again. If the history has what was missed it is
 * given, in order, as if it had come live; else those who subscribe are ended behind a gap, and
 * come back with their position, which is then recovered or is not. */
#include <errno.h>
#include <stdlib.h>

#include "hub/hub_internal.h"

#define RETRY_NS INT64_C(250000000)

/* ---- lists ---- */

/* To be joined or to be looked at: one that is to be joined needs nothing else before. */
static void make_busy(struct hub *hub, struct home_remote *remote)
{
    struct remote_list *list =
        remote->phase == REMOTE_WANTED ? &hub->remote.wanted : &hub->remote.busy;
    if (remote->busy)
        return;
    remote->busy = true;
    remote->next_busy = NULL;
    if (list->first)
        list->last->next_busy = remote;
    else
        list->first = remote;
    list->last = remote;
    if (remote->home.place == HOME_IDLE)
        home_settle(hub, &remote->home);
}

static void list_pop(struct remote_list *list)
{
    struct home_remote *remote = list->first;
    list->first = remote->next_busy;
    remote->busy = false;
}

static struct remote_work *work_of(struct home_remote *remote)
{
    if (!remote->work)
        remote->work = calloc(1, sizeof *remote->work);
    return remote->work;
}

static void news_drop_first(struct hub *hub, struct remote_work *work)
{
    struct remote_news *news = work->first;
    work->first = (struct remote_news *)news->call.next;
    hub->remote.waiting_bytes -= message_bytes(news->message);
    remote_news_free(news);
}

static void fill_done(struct remote_work *work)
{
    remote_ask_free(work->fill);
    work->fill = NULL;
    work->fill_at = 0;
}

/* Gives back what is empty. */
static void work_trim(struct home_remote *remote)
{
    struct remote_work *work = remote->work;
    if (!work || work->first || work->waiting_first || work->fill || work->gap)
        return;
    free(work);
    remote->work = NULL;
}

void remote_work_free(struct hub *hub, struct remote_work *work)
{
    while (work && work->first)
        news_drop_first(hub, work);
    for (struct request *request; work && (request = work->waiting_first);) {
        work->waiting_first = request->next;
        request_free(request);
    }
    if (work) {
        message_unref(work->gap);
        fill_done(work);
    }
    free(work);
}

bool remote_holds(struct channel_home *channel)
{
    const struct home_remote *remote = remote_of(channel);
    return remote->work || remote->busy || remote->phase == REMOTE_JOINING;
}

/* ---- joining ---- */

static void want_join(struct hub *hub, struct home_remote *remote)
{
    if (remote->phase == REMOTE_JOINING)
        remote->again = true;
    else
        remote->phase = REMOTE_WANTED;
    make_busy(hub, remote);
}

/* Returns true when it has been asked; else it is asked in a later turn. */
static bool join(struct hub *hub, struct home_remote *remote)
{
    struct channel_home *channel = &remote->home;
    struct remote_ask *ask =
        remote_ask_create(hub, REMOTE_JOIN, home_rules(hub, channel), channel->name,
                          channel->name_len, hub_hash(hub->set, channel->name, channel->name_len));
    if (!ask)
        return false;
    ask->stands = lane_bits_any(&channel->shards) || channel->history.count > 0;
    ask->epoch = channel->epoch;
    ask->offset = channel->offset;
    if (remote_ask_send(hub, ask) < 0) {
        remote_ask_free(ask);
        return false;
    }
    hub->remote.joins++;
    remote->phase = REMOTE_JOINING;
    return true;
}

/* A position that another node has given, and that this one has not heard of yet. */
static bool is_ahead(const struct channel_home *channel, const struct request *request)
{
    const struct hub_since *since = &request->since;
    if (since->from != HUB_FROM_POSITION || request->rejoined)
        return false;
    return since->epoch != channel->epoch || since->offset > channel->offset;
}

static void answer_waiting(struct hub *hub, struct home_remote *remote, int err)
{
    struct remote_work *work = remote->work;
    for (struct request *request; work && (request = work->waiting_first);) {
        if (exchange_reserve(hub, request->from) < 0 || local_waits(hub))
            return;
        if (err == 0 && is_ahead(&remote->home, request)) {
            request->rejoined = true;
            want_join(hub, remote);
            return;
        }
        work->waiting_first = request->next;
        work->waiting--;
        if (err == 0) {
            home_answer(hub, request->from, request, request->subscribe);
            continue;
        }
        request->err = err;
        const struct item item = {.kind = request->subscribe ? ITEM_SUBSCRIBED : ITEM_READ_DONE,
                                  .request = request};
        exchange_send(hub, request->from, &item);
    }
}

/* It was asked in vain. Those who wait are told; those who subscribe are not let down. */
static void join_failed(struct hub *hub, struct home_remote *remote, int err)
{
    bool keep = lane_bits_any(&remote->home.shards) || (remote->work && remote->work->first);
    struct remote_work *work = work_of(remote);
    if (work)
        work->retry_ns = time_after(hub->now_ns, RETRY_NS);
    else
        hub->remote.rest_ns = time_after(hub->now_ns, RETRY_NS);
    answer_waiting(hub, remote, err);
    bool waits = work && work->waiting_first;
    remote->phase = keep || waits ? REMOTE_WANTED : REMOTE_COLD;
    if (remote->phase == REMOTE_WANTED)
        make_busy(hub, remote);
    else
        work_trim(remote);
}

/* Takes the history for this node's. Messages are in order and without a gap up to the offset. */
static void history_take(struct hub *hub, struct channel_home *channel,
                         const struct remote_ask *ask)
{
    home_forget(hub, channel);
    for (unsigned i = 0; i < ask->count; i++) {
        if (home_rules(hub, channel)->messages_max > channel->history.count &&
            history_reserve(&channel->history) < 0) {
            home_forget(hub, channel);
            continue;
        }
        ask->messages[i]->delta = home_delta(hub, channel, ask->messages[i]);
        home_keep(hub, channel, ask->messages[i]);
    }
    channel->epoch = ask->epoch;
    channel->offset = ask->offset;
    channel->ended = ask->ended;
}

/* Those who subscribe are told that something is missing, behind which all is as the ask says.
 * Returns false when memory is out. */
static bool gap_make(struct hub *hub, struct home_remote *remote, const struct remote_ask *ask)
{
    struct channel_home *channel = &remote->home;
    struct remote_work *work = work_of(remote);
    struct message *gap =
        message_create(channel->name, channel->name_len, ask->hash, NULL, 0, false);
    if (!work || !gap) {
        message_unref(gap);
        return false;
    }
    gap->kind = MESSAGE_GAP;
    gap->epoch = ask->epoch;
    gap->offset = ask->offset;
    message_unref(work->gap);
    work->gap = gap;
    counter_add(&hub->counters.remote_lost, 1);
    return true;
}

static void joined(struct hub *hub, struct home_remote *remote, struct remote_ask *ask)
{
    struct channel_home *channel = &remote->home;
    uint64_t missed = ask->offset - channel->offset;
    bool ours = ask->epoch == channel->epoch && ask->offset >= channel->offset;
    remote->phase = REMOTE_WARM;
    counter_add(&hub->counters.remote_joins, 1);
    if (remote->work)
        remote->work->retry_ns = 0;
    if (ours && ask->stands && missed <= ask->count && work_of(remote)) {
        fill_done(remote->work);
        remote->work->fill = ask;
        remote->work->fill_at = ask->count - (unsigned)missed;
        counter_add(&hub->counters.remote_filled, missed);
        return;
    }
    if (lane_bits_any(&channel->shards) && !gap_make(hub, remote, ask)) {
        remote->phase = REMOTE_WANTED;
        remote_ask_free(ask);
        return;
    }
    if (remote->work)
        fill_done(remote->work);
    history_take(hub, channel, ask);
    remote_ask_free(ask);
}

void remote_joined(struct hub *hub, struct remote_ask *ask)
{
    struct channel_home *channel =
        (void *)table_find(&hub->home.table, ask->name, ask->name_len, ask->hash);
    assert(channel && "it is held while it is joined");
    struct home_remote *remote = remote_of(channel);
    hub->remote.joins--;
    int err = ask->call.err;
    if (err == 0) {
        joined(hub, remote, ask);
    } else {
        join_failed(hub, remote, err);
        remote_ask_free(ask);
    }
    if (remote->again && remote->phase == REMOTE_WARM)
        remote->phase = REMOTE_WANTED;
    remote->again = false;
    make_busy(hub, remote);
    home_settle(hub, channel);
}

/* Returns how many channels the part has. */
static unsigned reset_part(struct hub *hub, struct table_node *node)
{
    const struct remote_scope *scope = hub->remote.reset_scope;
    unsigned count = 0;
    for (; node; node = node->hh.next, count++) {
        struct home_remote *remote = remote_of((void *)node);
        const struct channel_home *channel = &remote->home;
        bool within = !scope || scope->has(scope, channel->name, channel->name_len);
        if (within && remote->phase != REMOTE_COLD)
            want_join(hub, remote);
    }
    return count;
}

static void reset_slice(struct hub *hub)
{
    struct remote_table *table = &hub->remote;
    for (unsigned count = 0; table->reset_part < TABLE_PARTS && count < TURN_SWEEP;)
        count += reset_part(hub, hub->home.table.parts[table->reset_part++]);
    table->more |= table->reset_part < TABLE_PARTS;
}

/* Two scopes at a time are taken for all. */
void remote_reset_begin(struct hub *hub, const struct remote_scope *scope)
{
    struct remote_table *remote = &hub->remote;
    bool under_way = remote->reset_part < TABLE_PARTS;
    remote->reset_scope = under_way && remote->reset_scope != scope ? NULL : scope;
    remote->reset_part = 0;
}

/* ---- giving ---- */

/* Gives the next message, which has its place. Returns false when there is no room yet. */
static bool give(struct hub *hub, struct channel_home *channel, struct message *message)
{
    if (hub->remote.left == 0 || local_waits(hub)) {
        hub->remote.more |= hub->remote.left == 0;
        return false;
    }
    if (home_room(hub, channel) < 0)
        return false;
    bool is_event = message->kind != MESSAGE_PUBLICATION;
    if (!is_event && channel->history.count < home_rules(hub, channel)->messages_max &&
        history_reserve(&channel->history) < 0)
        return false;
    hub->remote.left--;
    if (is_event && message->kind != MESSAGE_GAP) {
        message->epoch = channel->epoch;
        message->offset = channel->offset;
        message->delta = false;
    } else if (!is_event) {
        message->delta = home_delta(hub, channel, message);
        channel->offset = message->offset;
        channel->ended = message->last;
        home_keep(hub, channel, message);
        counter_add(&hub->counters.published, 1);
    }
    home_send(hub, channel, message);
    return true;
}

static bool give_gap(struct hub *hub, struct home_remote *remote)
{
    struct remote_work *work = remote->work;
    if (!work->gap)
        return true;
    if (!give(hub, &remote->home, work->gap))
        return false;
    message_unref(work->gap);
    work->gap = NULL;
    return true;
}

static bool give_fill(struct hub *hub, struct home_remote *remote)
{
    struct remote_work *work = remote->work;
    if (!work->fill)
        return true;
    for (; work->fill_at < work->fill->count; work->fill_at++) {
        struct message *message = work->fill->messages[work->fill_at];
        if (message->offset <= remote->home.offset)
            continue;
        if (!give(hub, &remote->home, message))
            return false;
    }
    remote->home.ended = work->fill->ended;
    /* What the authority has no more is not kept here either. */
    if (remote->home.offset == work->fill->offset)
        home_forget_but(hub, &remote->home, work->fill->kept);
    fill_done(work);
    return true;
}

enum news_place {
    NEWS_NEXT,
    NEWS_KNOWN,
    NEWS_BEYOND, /* something is missing before it */
};

static enum news_place place_of(const struct channel_home *channel, const struct message *message)
{
    if (message->kind != MESSAGE_PUBLICATION)
        return NEWS_NEXT;
    if (message->epoch != channel->epoch || message->offset > channel->offset + 1)
        return NEWS_BEYOND;
    return message->offset == channel->offset + 1 ? NEWS_NEXT : NEWS_KNOWN;
}

static void news_see(struct remote_work *work)
{
    for (struct remote_news *news = work->first; news; news = (struct remote_news *)news->call.next)
        news->seen = true;
}

/* Returns false when there is no room yet, or something is missing. */
static bool give_news(struct hub *hub, struct home_remote *remote)
{
    struct channel_home *channel = &remote->home;
    struct remote_work *work = remote->work;
    while (work->first) {
        struct message *message = work->first->message;
        enum news_place place = place_of(channel, message);
        if (message->kind == MESSAGE_FORGET) {
            remote_forget_until(hub, channel, message);
            news_drop_first(hub, work);
            continue;
        }
        /* The authority has been asked since: this is of a life of the channel that is over. */
        if (place == NEWS_BEYOND && work->first->seen)
            place = NEWS_KNOWN;
        if (place == NEWS_BEYOND) {
            counter_add(&hub->counters.remote_gaps, 1);
            news_see(work);
            want_join(hub, remote);
            return false;
        }
        if (place == NEWS_NEXT && !give(hub, channel, message))
            return false;
        counter_add(
            place == NEWS_NEXT ? &hub->counters.remote_live : &hub->counters.remote_duplicates, 1);
        news_drop_first(hub, work);
    }
    return true;
}

/* Returns false when more is to be done with the channel. */
static bool step(struct hub *hub, struct home_remote *remote)
{
    if (remote->phase == REMOTE_WANTED)
        return false;
    if (remote->phase != REMOTE_WARM || !remote->work)
        return true;
    if (!give_gap(hub, remote) || !give_fill(hub, remote))
        return false;
    answer_waiting(hub, remote, 0);
    if (remote->phase != REMOTE_WARM || !give_news(hub, remote))
        return false;
    bool done = !remote->work->waiting_first;
    work_trim(remote);
    return done;
}

/* As many as may be asked at a time; those that failed have waited equally long. */
static void join_wanted(struct hub *hub)
{
    struct remote_list *wanted = &hub->remote.wanted;
    if (hub->remote.rest_ns > hub->now_ns)
        return;
    for (struct home_remote *remote; (remote = wanted->first);) {
        bool rests = remote->work && remote->work->retry_ns > hub->now_ns;
        if (rests || hub->remote.joins == REMOTE_JOINS_MAX || !join(hub, remote))
            return;
        list_pop(wanted);
    }
}

void remote_step_busy(struct hub *hub)
{
    struct remote_list *busy = &hub->remote.busy;
    reset_slice(hub);
    struct home_remote *last = busy->first ? busy->last : NULL;
    for (struct home_remote *remote; (remote = busy->first);) {
        list_pop(busy);
        if (!step(hub, remote))
            make_busy(hub, remote);
        home_settle(hub, &remote->home);
        if (remote == last)
            break;
    }
    join_wanted(hub);
}

/* ---- what comes ---- */

/* Too much waits: what is dropped is had again, or missed, with the next join. */
static void news_drop_all(struct hub *hub, struct home_remote *remote)
{
    while (remote->work->first)
        news_drop_first(hub, remote->work);
    if (remote->phase == REMOTE_WARM || remote->phase == REMOTE_JOINING)
        want_join(hub, remote);
}

void remote_come(struct hub *hub, struct remote_news *news)
{
    struct message *message = news->message;
    struct channel_home *channel = (void *)table_find(&hub->home.table, message_name(message),
                                                      message->name_len, message->hash);
    struct home_remote *remote = channel ? remote_of(channel) : NULL;
    if (!remote || remote->phase == REMOTE_COLD) {
        if (message->epoch != REMOTE_NO_EPOCH)
            remote_leave(hub, message_name(message), message->name_len, message->hash);
        remote_news_free(news);
        return;
    }
    struct remote_work *work = work_of(remote);
    if (!work) {
        want_join(hub, remote);
        remote_news_free(news);
        return;
    }
    news->call.next = NULL;
    if (work->first)
        work->last->call.next = &news->call;
    else
        work->first = news;
    work->last = news;
    hub->remote.waiting_bytes += message_bytes(message);
    if (hub->remote.waiting_bytes > hub->config->remote_bytes_max)
        news_drop_all(hub, remote);
    make_busy(hub, remote);
}

void remote_echo(struct hub *hub, struct remote_ask *ask)
{
    struct message *message = ask->message;
    struct channel_home *channel = (void *)table_find(&hub->home.table, message_name(message),
                                                      message->name_len, message->hash);
    message->epoch = ask->epoch;
    message->offset = ask->offset;
    if (channel && message->kind < MESSAGE_JOIN)
        home_tell(hub, HUB_PUBLISHED, channel, message);
    if (!channel || message->kind != MESSAGE_PUBLICATION)
        return;
    struct home_remote *remote = remote_of(channel);
    if (remote->phase != REMOTE_WARM || (remote->work && (remote->work->gap || remote->work->fill)))
        return;
    if (place_of(channel, message) == NEWS_NEXT && give(hub, channel, message))
        home_settle(hub, channel);
}

/* ---- requests ---- */

static void wait_add(struct hub *hub, struct home_remote *remote, struct request *request)
{
    struct remote_work *work = remote->work;
    request->next = NULL;
    request->rejoined = remote->phase != REMOTE_JOINING;
    if (work->waiting_first)
        work->waiting_last->next = request;
    else
        work->waiting_first = request;
    work->waiting_last = request;
    work->waiting++;
    if (remote->phase == REMOTE_JOINING)
        return;
    want_join(hub, remote);
}

void remote_refuse(struct hub *hub, unsigned from, struct request *request, bool subscribe, int err)
{
    request->err = err;
    const struct item item = {.kind = subscribe ? ITEM_SUBSCRIBED : ITEM_READ_DONE,
                              .request = request};
    counter_add(&hub->counters.refused, err != -ENOMEM);
    exchange_send(hub, from, &item);
}

void remote_request(struct hub *hub, unsigned from, struct request *request, bool subscribe)
{
    struct channel_home *channel;
    if (request->since.from == HUB_FORGET) {
        remote_forget(hub, from, request);
        return;
    }
    int err = home_open(hub, request->name, request->name_len, request->hash, &channel);
    if (err) {
        remote_refuse(hub, from, request, subscribe, err);
        return;
    }
    struct home_remote *remote = remote_of(channel);
    remote_want(hub, remote);
    bool ready = remote->phase == REMOTE_WARM && !is_ahead(channel, request);
    if (ready) {
        home_answer(hub, from, request, subscribe);
        return;
    }
    struct remote_work *work = work_of(remote);
    if (!work || work->waiting >= hub->config->overflow_max) {
        remote_refuse(hub, from, request, subscribe, work ? -ENOBUFS : -ENOMEM);
        return;
    }
    request->from = (uint8_t)from;
    request->subscribe = subscribe;
    wait_add(hub, remote, request);
    home_settle(hub, channel);
}
