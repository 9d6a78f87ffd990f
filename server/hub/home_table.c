/* home_table: the channels that are numbered here: found, made, forgotten; and the bounds of their
 * histories.
 *
 * A channel with history is on `kept` of its rules, moved to the end by each publish. With the same
 * rules a message lives equally long, so the channel at the front is the first whose newest message
 * is too old: no
 * clock per channel, no scan. What is too old in a channel that is still published to goes with its
 * next publish or read. */
#include "hub/hub_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static_assert(offsetof(struct channel_home, node) == 0, "what table_find gives is the channel");

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t home_epoch(struct hub *hub)
{
    uint64_t epoch;
    do {
        epoch = random_next(&hub->home.random);
    } while (epoch == 0);
    return epoch;
}

static void counters_set(struct hub *hub)
{
    counter_set(&hub->counters.channels, hub->home.count);
    counter_set(&hub->counters.history_bytes, hub->home.history_bytes);
    counter_set(&hub->counters.history_messages, hub->home.history_messages);
    counter_set(&hub->counters.repeats, hub->home.repeats.count);
    counter_set(&hub->counters.lasting_keys, hub->home.lasting.count);
}

static void list_append(struct channel_home **list, struct channel_home *channel)
{
    DL_APPEND(*list, channel);
}

static void list_remove(struct channel_home **list, struct channel_home *channel)
{
    DL_DELETE(*list, channel);
}

/* The list of a place, NULL for HOME_NOWHERE. */
static struct channel_home **list_of(struct home_table *home, const struct channel_home *channel,
                                     enum home_place place)
{
    switch (place) {
    case HOME_KEPT:
        return &home->kept[channel->rules];
    case HOME_IDLE:
        return &home->idle;
    case HOME_NOWHERE:
        break;
    }
    return NULL;
}

/* Puts the channel at the end of the list of that place. */
static void move_to(struct home_table *home, struct channel_home *channel, enum home_place place)
{
    struct channel_home **from = list_of(home, channel, (enum home_place)channel->place);
    struct channel_home **to = list_of(home, channel, place);
    if (from)
        list_remove(from, channel);
    if (to)
        list_append(to, channel);
    channel->place = (uint8_t)place;
}

void home_free(struct hub *hub, struct channel_home *channel)
{
    struct home_table *home = &hub->home;
    move_to(home, channel, HOME_NOWHERE);
    table_remove(&home->table, &channel->node);
    home->count--;
    home->history_bytes -= channel->history.bytes;
    home->history_messages -= channel->history.count;
    history_done(&channel->history);
    free(channel->version);
    if (hub->config->broker)
        remote_free(hub, channel);
    else
        free(channel);
    counters_set(hub);
}

static uint8_t rules_of(const struct hub *hub, const char *name, size_t len)
{
    const struct namespaces *namespaces = hub->config->namespaces;
    return namespaces ? namespace_of(namespaces, span_of(name, len))->index : 0;
}

static struct channel_home *channel_create(struct hub *hub, const char *name, size_t len,
                                           uint64_t hash)
{
    struct home_table *home = &hub->home;
    const bool elsewhere = hub->config->broker != NULL;
    struct channel_home *channel = elsewhere ? remote_alloc(len) : malloc(sizeof *channel + len);
    if (!channel)
        return NULL;
    *channel = (struct channel_home){
        .epoch = home_epoch(hub), .rules = rules_of(hub, name, len), .name_len = (uint8_t)len};
    memcpy(channel->name, name, len);
    if (table_insert(&home->table, &channel->node, channel->name, len, hash) != 0) {
        free(elsewhere ? (void *)remote_of(channel) : channel);
        return NULL;
    }
    home->count++;
    hub->created++;
    home_settle(hub, channel);
    return channel;
}

int home_open(struct hub *hub, const char *name, size_t len, uint64_t hash,
              struct channel_home **ret)
{
    struct home_table *home = &hub->home;
    struct channel_home *channel = (void *)table_find(&home->table, name, len, hash);
    if (!channel) {
        /* One that nobody wants need not linger where its place is wanted. */
        if (home->count >= hub->config->channels_max && home->idle)
            home_free(hub, home->idle);
        if (home->count >= hub->config->channels_max)
            return -ENOSPC;
        channel = channel_create(hub, name, len, hash);
        if (!channel)
            return -ENOMEM;
    }
    *ret = channel;
    return 0;
}

static enum home_place place_of(const struct hub *hub, struct channel_home *channel)
{
    if (channel->history.count > 0)
        return HOME_KEPT;
    if (hub->config->broker && remote_holds(channel))
        return HOME_NOWHERE;
    return lane_bits_any(&channel->shards) ? HOME_NOWHERE : HOME_IDLE;
}

void home_settle(struct hub *hub, struct channel_home *channel)
{
    enum home_place place = place_of(hub, channel);
    /* Among the idle it starts anew each time; among the kept only a publish moves it. */
    if (place != channel->place || place == HOME_IDLE)
        move_to(&hub->home, channel, place);
    if (place == HOME_IDLE)
        channel->idle_until_ns = time_after(hub->now_ns, hub->config->linger_ns);
    if (place != HOME_KEPT)
        history_done(&channel->history);
    if (hub->config->broker)
        remote_settle(hub, channel);
    counters_set(hub);
}

static void drop_oldest(struct hub *hub, struct channel_home *channel)
{
    uint64_t before = channel->history.bytes;
    history_drop(&channel->history);
    hub->home.history_bytes -= before - channel->history.bytes;
    hub->home.history_messages--;
}

static const struct message *newest(const struct channel_home *channel)
{
    return history_at(&channel->history, channel->history.count - 1);
}

/* When it was last published to. */
static int64_t published_ns(const struct hub *hub, const struct channel_home *channel)
{
    return newest(channel)->kept_until_ns - home_rules(hub, channel)->age_ns;
}

/* The channel with history that was longest not published to. */
static struct channel_home *longest_kept(const struct hub *hub)
{
    struct channel_home *oldest = NULL;
    for (unsigned i = 0; i < hub->set->rules_count; i++) {
        struct channel_home *channel = hub->home.kept[i];
        if (channel && (!oldest || published_ns(hub, channel) < published_ns(hub, oldest)))
            oldest = channel;
    }
    return oldest;
}

void home_keep(struct hub *hub, struct channel_home *channel, struct message *message)
{
    const struct hub_rules *rules = home_rules(hub, channel);
    struct home_table *home = &hub->home;
    struct history *history = &channel->history;
    if (rules->messages_max == 0)
        return;

    while (history->count >= rules->messages_max)
        drop_oldest(hub, channel);
    message->kept_until_ns = time_after(hub->now_ns, rules->age_ns - message->kept_until_ns);
    history_append(history, message);
    home->history_bytes += history_cost(message);
    home->history_messages++;
    while (history->bytes > rules->bytes_max && history->count > 1)
        drop_oldest(hub, channel);

    move_to(home, channel, HOME_KEPT);
    while (home->history_bytes > hub->config->history_total_bytes_max) {
        struct channel_home *oldest = longest_kept(hub);
        drop_oldest(hub, oldest);
        if (oldest->history.count == 0)
            home_settle(hub, oldest);
    }
    counters_set(hub);
}

void home_expire(struct hub *hub, struct channel_home *channel)
{
    while (channel->history.count > 0 &&
           history_at(&channel->history, 0)->kept_until_ns <= hub->now_ns)
        drop_oldest(hub, channel);
}

void home_forget_but(struct hub *hub, struct channel_home *channel, uint64_t newest)
{
    while (channel->history.count > newest)
        drop_oldest(hub, channel);
}

void home_forget(struct hub *hub, struct channel_home *channel)
{
    home_forget_but(hub, channel, 0);
}

void home_forget_until(struct hub *hub, struct channel_home *channel, uint64_t offset)
{
    while (channel->history.count > 0 && history_at(&channel->history, 0)->offset <= offset)
        drop_oldest(hub, channel);
}

/* Of one list. Returns how many are left of those that may be forgotten in this turn. */
static unsigned sweep_kept(struct hub *hub, struct channel_home **list, unsigned left)
{
    for (struct channel_home *channel;
         left > 0 && (channel = *list) && newest(channel)->kept_until_ns <= hub->now_ns; left--) {
        drop_oldest(hub, channel);
        if (channel->history.count == 0)
            home_settle(hub, channel);
    }
    return left;
}

bool home_sweep(struct hub *hub)
{
    struct home_table *home = &hub->home;
    unsigned left = TURN_SWEEP;
    for (unsigned i = 0; i < hub->set->rules_count; i++)
        left = sweep_kept(hub, &home->kept[i], left);
    bool more = left == 0;
    left = remote_sweep(hub, TURN_SWEEP);
    more |= left == 0;
    left = TURN_SWEEP;
    for (; left > 0 && home->idle && home->idle->idle_until_ns <= hub->now_ns; left--)
        home_free(hub, home->idle);
    repeats_expire(&home->repeats, hub->now_ns, TURN_SWEEP);
    repeats_expire(&home->lasting, hub->now_ns, TURN_SWEEP);
    counters_set(hub);
    return more || left == 0;
}

void home_done(struct hub *hub)
{
    unsigned part = 0;
    for (void *channel; (channel = table_any(&hub->home.table, &part));)
        home_free(hub, channel);
    repeats_done(&hub->home.repeats);
    repeats_done(&hub->home.lasting);
}
