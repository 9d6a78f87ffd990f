/* channel_home: what other shards ask of a channel where it is numbered.
 *
 * The answer to a subscription is sent before any message that is numbered later, over the same
 * lane: whoever gets it has everything up to its offset from the replay, and everything behind it
 * comes live. */
#include "hub/hub_internal.h"
#include "hub/terms.h"

#include <errno.h>
#include <stdlib.h>

#define NS_PER_S INT64_C(1000000000)

/* A publish adds one item to the lane of each shard that wants it. One that does not keep up must
 * not make the others' memory grow: nothing is numbered that could not be handed over within the
 * bound, and within the memory there is. Returns 0, -ENOBUFS or -ENOMEM. */
int home_room(struct hub *hub, const struct channel_home *channel)
{
    int err = 0;
    for (unsigned shard = lane_bits_next(&channel->shards, 0);
         shard < LANE_PARTICIPANTS_MAX && !err; shard = lane_bits_next(&channel->shards, shard + 1))
        err = exchange_live_room(hub, shard);
    return err;
}

/* At once, a second's worth. */
int home_rate(struct hub *hub, struct channel_home *channel)
{
    uint32_t per_s = home_rules(hub, channel)->publishes_per_s;
    int64_t used_ns = channel->publishes_ns > hub->now_ns ? channel->publishes_ns : hub->now_ns;
    if (per_s == 0)
        return 0;
    used_ns += NS_PER_S / per_s;
    if (used_ns - hub->now_ns > NS_PER_S)
        return -EBUSY;
    channel->publishes_ns = used_ns;
    return 0;
}

/* Nobody can come behind the last one, so it is kept where others are. */
static void kind_settle(struct hub *hub, const struct channel_home *channel,
                        struct message *message)
{
    bool publication = message->kind == MESSAGE_PUBLICATION;
    if (publication && home_rules(hub, channel)->ephemeral && !message->last)
        message->kind = MESSAGE_EPHEMERAL;
}

static int publish_check(struct hub *hub, struct channel_home *channel,
                         const struct message *message)
{
    if (channel->ended)
        return -EPIPE;
    if (message->kind < MESSAGE_JOIN && witness_refuses(hub->config->witness))
        return -EDQUOT;
    int err = home_room(hub, channel);
    if (!err && message->kind < MESSAGE_JOIN)
        err = home_rate(hub, channel);
    if (err || message->kind != MESSAGE_PUBLICATION)
        return err;
    home_expire(hub, channel);
    return channel->history.count < home_rules(hub, channel)->messages_max
               ? history_reserve(&channel->history)
               : 0;
}

bool home_delta(const struct hub *hub, const struct channel_home *channel,
                const struct message *message)
{
    enum deltas delta = home_rules(hub, channel)->delta;
    return message->kind == MESSAGE_PUBLICATION &&
           (delta == DELTAS_ALL || (delta == DELTAS_ASKED && message->delta));
}

/* Gives it its place, and keeps it, if it is to have one. */
static void number(struct hub *hub, struct channel_home *channel, struct message *message)
{
    message->epoch = channel->epoch;
    channel->ended |= message->last;
    if (message->kind < MESSAGE_JOIN)
        counter_add(&hub->counters.published, 1);
    message->delta = home_delta(hub, channel, message);
    if (message->kind == MESSAGE_PUBLICATION) {
        message->offset = ++channel->offset;
        home_keep(hub, channel, message);
    } else {
        message->offset = channel->offset;
    }
}

void home_send(struct hub *hub, struct channel_home *channel, struct message *message)
{
    for (unsigned shard = lane_bits_next(&channel->shards, 0); shard < LANE_PARTICIPANTS_MAX;
         shard = lane_bits_next(&channel->shards, shard + 1)) {
        struct item live = {.kind = ITEM_LIVE, .message = message_ref(message)};
        exchange_send(hub, shard, &live);
    }
}

void home_published(struct hub *hub, unsigned from, const struct ticket *ticket, int err,
                    uint64_t epoch, uint64_t offset)
{
    struct item answer = {.kind = ITEM_PUBLISHED, .err = (int16_t)err, .ticket = *ticket};
    answer.position.epoch = epoch;
    answer.position.offset = offset;
    exchange_send(hub, from, &answer);
}

void home_tell(struct hub *hub, enum hub_event event, const struct channel_home *channel,
               struct message *message)
{
    struct hub_witness *witness = hub->config->witness;
    if (!witness_wants(witness, event))
        return;
    const struct hub_happening happening = {
        .event = event,
        .name = channel->name,
        .name_len = channel->name_len,
        .message = message,
        .epoch = message ? message->epoch : channel->epoch,
        .offset = message ? message->offset : channel->offset,
    };
    witness->told(witness, hub, &happening);
}

/* Where it is published, or was before. Returns 0, 1 or an error. */
static int place(struct hub *hub, struct channel_home *channel, struct message *message)
{
    int known = terms_check(hub, channel, message);
    if (known != 0)
        return known;
    kind_settle(hub, channel, message);
    int err = publish_check(hub, channel, message);
    if (err)
        return err;
    number(hub, channel, message);
    terms_keep(hub, channel, message);
    home_send(hub, channel, message);
    if (message->kind < MESSAGE_JOIN)
        home_tell(hub, HUB_PUBLISHED, channel, message);
    return 0;
}

bool home_line_broken(const struct hub *hub, unsigned from, const struct ticket *ticket)
{
    return from >= hub->config->shards && line_is_broken(hub->set, ticket);
}

void home_line_break(struct hub *hub, unsigned from, const struct ticket *ticket, int err)
{
    bool never = err == -EPIPE || err == -EMSGSIZE;
    if (from >= hub->config->shards && err < 0 && !never)
        line_break(hub->set, ticket);
}

static void publish(struct hub *hub, unsigned from, const struct item *item)
{
    struct message *message = item->message;
    struct channel_home *channel = NULL;
    int err = home_line_broken(hub, from, &item->ticket) ? -ECANCELED : 0;
    if (!err)
        err = home_open(hub, message_name(message), message->name_len, message->hash, &channel);
    if (!err)
        err = place(hub, channel, message);
    home_line_break(hub, from, &item->ticket, err);
    if (err < 0 && err != -ENOMEM && err != -EPIPE)
        counter_add(&hub->counters.refused, 1);
    if (channel)
        home_settle(hub, channel);
    uint64_t offset = message->kind == MESSAGE_PUBLICATION ? message->offset : 0;
    if (item->ask)
        home_published(hub, from, &item->ticket, err, message->epoch, offset);
    message_unref(message);
}

/* How many of the kept messages, counted from the newest, are asked for. */
static uint32_t wanted(struct hub *hub, const struct channel_home *channel, struct request *request)
{
    uint32_t kept = channel->history.count;
    switch (request->since.from) {
    case HUB_FROM_NOW:
        return 0;
    case HUB_FROM_START:
        return kept;
    case HUB_FROM_LATEST:
        return kept > 0;
    case HUB_FROM_POSITION:
        break;
    case HUB_FROM_PAGE:
    case HUB_FORGET:
        assert(!"a page is no replay");
    }
    uint64_t missed =
        channel->offset - request->since.offset; /* huge where the position is ahead of us */
    bool ours = request->since.epoch == channel->epoch && request->since.offset <= channel->offset;
    const struct hub_rules *rules = home_rules(hub, channel);
    /* The newest message is all that there is to have, whatever came before it. */
    if (rules->latest_state && kept > 0 && (!ours || missed > 0)) {
        ours = true;
        missed = 1;
    }
    request->recovered = ours && (rules->recovery ? missed <= kept : missed == 0);
    if (!request->recovered)
        counter_add(&hub->counters.unrecoverable, 1);
    else if (!request->resumed)
        counter_add(&hub->counters.recovered, 1);
    return request->recovered ? (uint32_t)missed : 0;
}

/* How many of the messages one reply may hold; at least one if there is one. */
static unsigned reply_fit(struct message *const *messages, unsigned count, uint64_t bytes_max)
{
    uint64_t bytes = 0;
    unsigned fit = 0;
    for (; fit < count; fit++) {
        bytes += messages[fit]->payload_len;
        if (bytes > bytes_max && fit > 0)
            break;
    }
    return fit;
}

/* What of the history a page is: `count` messages from `first` on. */
struct page {
    uint32_t first, count;
};

static struct page page_of(const struct channel_home *channel, const struct hub_since *since)
{
    uint32_t kept = channel->history.count;
    uint64_t gone = channel->offset - kept; /* the offset before the oldest */
    struct page page = {0, kept};
    if (since->bounded && !since->reverse) {
        uint64_t behind = since->offset > gone ? since->offset - gone : 0;
        page.first = behind < kept ? (uint32_t)behind : kept;
        page.count = kept - page.first;
    } else if (since->bounded) {
        uint64_t before = since->offset > gone + 1 ? since->offset - gone - 1 : 0;
        page.count = before < kept ? (uint32_t)before : kept;
    }
    uint32_t most = since->limit < (uint32_t)HUB_REPLY_MESSAGES_MAX
                        ? since->limit
                        : (uint32_t)HUB_REPLY_MESSAGES_MAX;
    if (page.count > most) {
        page.first += since->reverse ? page.count - most : 0;
        page.count = most;
    }
    return page;
}

/* Fills in a page. Returns 0 or -ENOMEM. */
static int page_fill(struct hub *hub, struct channel_home *channel, struct request *request)
{
    home_expire(hub, channel);
    const struct hub_since *since = &request->since;
    const struct page page = page_of(channel, since);
    request->epoch = channel->epoch;
    request->offset = channel->offset;
    request->recovered = !since->bounded || since->epoch == 0 || since->epoch == channel->epoch;
    if (!request->recovered || page.count == 0)
        return 0;
    struct message **messages = malloc(page.count * sizeof(struct message *));
    if (!messages)
        return -ENOMEM;
    for (uint32_t i = 0; i < page.count; i++) {
        uint32_t at = since->reverse ? page.count - 1 - i : i;
        messages[i] = history_at(&channel->history, page.first + at);
    }
    request->messages = messages;
    request->count = reply_fit(messages, page.count, hub->config->reply_bytes_max);
    for (uint32_t i = 0; i < request->count; i++)
        message_ref(messages[i]);
    hub->replayed += request->count;
    return 0;
}

/* Fills in the answer, with as many bytes of payload as it may have. */
static int answer_fill(struct hub *hub, struct channel_home *channel, struct request *request,
                       uint64_t bytes_max)
{
    home_expire(hub, channel);
    const struct history *history = &channel->history;
    uint32_t count = wanted(hub, channel, request);
    uint32_t first = history->count - count;
    request->epoch = channel->epoch;
    request->offset = channel->offset;
    request->more = count > 0 && request->since.hold;
    if (request->more)
        request->offset = history_at(history, first)->offset - 1;
    if (count == 0 || request->more)
        return 0;

    uint32_t room = count < HUB_REPLY_MESSAGES_MAX ? count : (uint32_t)HUB_REPLY_MESSAGES_MAX;
    struct message **messages = malloc(room * sizeof(struct message *));
    if (!messages)
        return -ENOMEM;
    for (uint32_t i = 0; i < room; i++)
        messages[i] = history_at(history, first + i);
    request->messages = messages;
    request->count = reply_fit(messages, room, bytes_max);
    for (uint32_t i = 0; i < request->count; i++)
        message_ref(messages[i]);
    hub->replayed += request->count;
    request->more = request->count < count;
    request->offset = messages[request->count - 1]->offset;
    return 0;
}

/* Its shard is told from now on. */
static void occupy(struct hub *hub, struct channel_home *channel, unsigned from,
                   struct request *request)
{
    bool first = !lane_bits_any(&channel->shards);
    lane_bits_add(&channel->shards, from);
    request->home = channel;
    if (first)
        home_tell(hub, HUB_OCCUPIED, channel, NULL);
    if (request->since.from != HUB_FROM_NOW && !channel->history.count &&
        home_rules(hub, channel)->latest_state)
        home_tell(hub, HUB_CACHE_EMPTY, channel, NULL);
}

void home_answer(struct hub *hub, unsigned from, struct request *request, bool subscribe)
{
    struct channel_home *channel;
    int err = home_open(hub, request->name, request->name_len, request->hash, &channel);
    if (!err) {
        uint64_t most = hub->config->reply_bytes_max;
        if (subscribe && most > PART_BYTES)
            most = PART_BYTES;
        if (request->since.from == HUB_FORGET)
            home_forget(hub, channel);
        bool page = request->since.from == HUB_FROM_PAGE || request->since.from == HUB_FORGET;
        err = page ? page_fill(hub, channel, request) : answer_fill(hub, channel, request, most);
        if (!err && subscribe && !request->more)
            occupy(hub, channel, from, request);
        request->ended = channel->ended && !request->more;
        home_settle(hub, channel);
    }
    if (err == -ENOSPC)
        counter_add(&hub->counters.refused, 1);
    request->err = err;
    struct item item = {.kind = subscribe ? ITEM_SUBSCRIBED : ITEM_READ_DONE, .request = request};
    exchange_send(hub, from, &item);
}

static void vacate(struct hub *hub, struct channel_home *channel, unsigned from)
{
    bool some = lane_bits_any(&channel->shards);
    lane_bits_remove(&channel->shards, from);
    if (some && !lane_bits_any(&channel->shards))
        home_tell(hub, HUB_VACATED, channel, NULL);
}

void home_handle(struct hub *hub, unsigned from, const struct item *item)
{
    bool elsewhere = hub->config->broker != NULL;
    void (*publish_it)(struct hub *, unsigned, const struct item *) =
        elsewhere ? remote_publish : publish;
    void (*answer)(struct hub *, unsigned, struct request *, bool) =
        elsewhere ? remote_request : home_answer;
    switch ((enum item_kind)item->kind) {
    case ITEM_PUBLISH:
        publish_it(hub, from, item);
        break;
    case ITEM_SUBSCRIBE:
        answer(hub, from, item->request, true);
        break;
    case ITEM_READ:
        answer(hub, from, item->request, false);
        break;
    case ITEM_UNSUBSCRIBE:
        vacate(hub, item->home, from);
        home_settle(hub, item->home);
        break;
    case ITEM_LIVE:
    case ITEM_SUBSCRIBED:
    case ITEM_READ_DONE:
    case ITEM_PUBLISHED:
    case ITEM_CALL:
    case ITEM_CALLED:
        assert(!"an answer or a call went to a home shard");
    }
}
