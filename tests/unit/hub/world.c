#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    SETTLE_ROUNDS_MAX = 10000,
};

static void record(struct world *world, const struct event *event)
{
    if (world->mute)
        return;
    assert_true(world->count < WORLD_EVENTS);
    world->events[world->count++] = *event;
    if (world->meddle)
        world->meddle(world, event);
}

static struct event event_of(const void *shard, enum event_kind kind)
{
    return (struct event){.kind = kind, .shard = ((const struct place *)shard)->shard};
}

static void record_messages(struct event *event, struct message *const *messages, unsigned count)
{
    event->count = count;
    event->first = count ? messages[0]->offset : 0;
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(messages[i]->offset, event->first + i);
}

static void record_reply(void *shard, enum event_kind kind, const struct hub_reply *reply)
{
    struct event event = event_of(shard, kind);
    event.conn = reply->ticket.conn;
    event.subscription = reply->subscription;
    event.err = reply->err;
    event.epoch = reply->epoch;
    event.offset = reply->offset;
    event.recovered = reply->recovered;
    event.more = reply->more;
    record_messages(&event, reply->messages, reply->count);
    record(((struct place *)shard)->world, &event);
}

static void on_subscribed(void *shard, const struct hub_reply *reply)
{
    record_reply(shard, EVENT_SUBSCRIBED, reply);
}

static void on_read(void *shard, const struct hub_reply *reply)
{
    record_reply(shard, EVENT_READ, reply);
}

static void on_published(void *shard, const struct ticket *ticket, int err, uint64_t epoch,
                         uint64_t offset)
{
    struct event event = event_of(shard, EVENT_PUBLISHED);
    event.conn = ticket->conn;
    event.err = err;
    event.epoch = epoch;
    event.offset = offset;
    record(((struct place *)shard)->world, &event);
}

static struct event batch_event(void *shard, enum event_kind kind, const struct hub_batch *batch)
{
    struct event event = event_of(shard, kind);
    record_messages(&event, batch->messages, batch->count);
    event.epoch = batch->messages[0]->epoch;
    event.offset = batch->messages[batch->count - 1]->offset;
    return event;
}

static void on_batch(void *shard, const struct hub_batch *batch)
{
    struct event event = batch_event(shard, EVENT_BATCH, batch);
    record(((struct place *)shard)->world, &event);
}

static void on_batch_done(void *shard)
{
    (void)shard;
}

static void on_deliver(void *shard, uint32_t conn, uint32_t subscription,
                       const struct hub_batch *batch)
{
    struct event event = batch_event(shard, EVENT_DELIVER, batch);
    event.conn = conn;
    event.subscription = subscription;
    record(((struct place *)shard)->world, &event);
}

static void on_events(void *shard, uint32_t conn, uint32_t subscription,
                      const struct hub_batch *batch)
{
    struct event event = batch_event(shard, EVENT_JOINED, batch);
    event.conn = conn;
    event.subscription = subscription;
    record(((struct place *)shard)->world, &event);
}

static void on_lost(void *shard, uint32_t conn, uint32_t subscription,
                    const struct hub_batch *batch)
{
    struct event event = batch_event(shard, EVENT_LOST, batch);
    event.conn = conn;
    event.subscription = subscription;
    record(((struct place *)shard)->world, &event);
}

static void on_wake(void *shard, unsigned target)
{
    struct event event = event_of(shard, EVENT_WAKE);
    event.target = target;
    record(((struct place *)shard)->world, &event);
}

struct hub_config world_config(void)
{
    return (struct hub_config){
        .shards = 1,
        .seed = 42,
        .channels_max = 100,
        .subscriptions_max = 1000,
        .history_messages_max = 100,
        .history_bytes_max = 1 << 20,
        .history_age_ns = INT64_MAX,
        .history_total_bytes_max = 1 << 24,
        .reply_bytes_max = 1 << 20,
        .linger_ns = 1000,
        .overflow_max = 1000,
    };
}

struct world *world_open(const struct hub_config *config)
{
    static const struct hub_ops ops = {
        .subscribed = on_subscribed,
        .read = on_read,
        .published = on_published,
        .batch = on_batch,
        .batch_done = on_batch_done,
        .deliver = on_deliver,
        .deliver_events = on_events,
        .lost = on_lost,
        .wake = on_wake,
    };
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    assert_in_range(config->shards, 1, WORLD_SHARDS);
    world->config = *config;
    world->set = hub_set_create(config);
    assert_non_null(world->set);
    for (unsigned i = 0; i < config->shards; i++) {
        world->places[i] = (struct place){world, i};
        world->hubs[i] = hub_create(world->set, i, &ops, &world->places[i]);
        assert_non_null(world->hubs[i]);
    }
    return world;
}

void world_close(struct world *world)
{
    for (unsigned i = 0; i < world->config.shards; i++)
        hub_free(world->hubs[i]);
    hub_set_free(world->set);
    free(world);
}

/* A hub that could sleep has nothing to do; all of them in one round, and nothing is under way. */
/* Asks for the next part of each replay that has one. Returns whether there was any. */
static bool resume(struct world *world)
{
    bool some = false;
    for (; world->resumed < world->count; world->resumed++) {
        const struct event *event = &world->events[world->resumed];
        if (event->kind != EVENT_SUBSCRIBED || !event->more)
            continue;
        struct hub *hub = world->hubs[event->shard];
        struct ticket ticket = {.conn = event->conn};
        if (subscription_dead(&hub->subscriptions.at[event->subscription]))
            continue;
        assert_int_equal(hub_resume(hub, event->subscription, &ticket, event->epoch, event->offset),
                         0);
        some = true;
    }
    return some;
}

void world_settle(struct world *world)
{
    for (unsigned round = 0; round < SETTLE_ROUNDS_MAX; round++) {
        bool more = false;
        for (unsigned i = 0; i < world->config.shards; i++)
            more |= hub_turn(world->hubs[i], world->now_ns);
        more |= resume(world);
        for (unsigned i = 0; i < world->config.shards && !more; i++) {
            more = !hub_sleep(world->hubs[i]);
            hub_awake(world->hubs[i]);
        }
        if (!more)
            return;
    }
    fail_msg("the hubs do not come to rest");
}

void world_pass(struct world *world, int64_t delay_ns)
{
    world->now_ns += delay_ns;
    world_settle(world);
}

uint32_t world_subscribe(struct world *world, unsigned shard, uint32_t *chain, uint32_t conn,
                         const char *name, struct hub_since since)
{
    struct ticket ticket = {.conn = conn};
    uint32_t subscription = HUB_NONE;
    assert_int_equal(hub_subscribe(world->hubs[shard], chain, &ticket, name, strlen(name), &since,
                                   &subscription),
                     0);
    return subscription;
}

int world_read(struct world *world, unsigned shard, uint32_t conn, const char *name,
               struct hub_since since)
{
    struct ticket ticket = {.conn = conn};
    return hub_read(world->hubs[shard], &ticket, name, strlen(name), &since);
}

int world_publish(struct world *world, unsigned shard, uint32_t conn, const char *name,
                  size_t bytes)
{
    static const char payload[4096];
    assert_in_range(bytes, 0, sizeof payload);
    struct ticket ticket = {.conn = conn};
    struct message *message = message_create(
        name, strlen(name), hub_hash(world->set, name, strlen(name)), payload, bytes, true);
    assert_non_null(message);
    int err = hub_publish(world->hubs[shard], &ticket, message);
    if (err)
        message_unref(message);
    return err;
}

struct hub_stats world_stats(const struct world *world, unsigned shard)
{
    struct hub_stats stats;
    hub_stats_read(world->hubs[shard], &stats);
    return stats;
}

const char *world_name(const struct world *world, unsigned home)
{
    static char names[WORLD_SHARDS][16];
    for (unsigned i = 0; i < 1000; i++) {
        int len = snprintf(names[home], sizeof names[home], "name-%u", i);
        uint64_t hash = hub_hash(world->set, names[home], (size_t)len);
        if (home_of(hash, world->config.shards) == home)
            return names[home];
    }
    fail_msg("no name for this home");
    return NULL;
}

const struct event *world_next(struct world *world, enum event_kind kind)
{
    while (world->seen < world->count) {
        const struct event *event = &world->events[world->seen++];
        if (event->kind == kind)
            return event;
    }
    return NULL;
}
