/* remote_world: the readers, and what they must be given. */
#include "remote_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- the ledger ---- */

static struct rw_reader *reader_of(struct rw_shard *shard, uint32_t conn, uint32_t subscription)
{
    struct rw_reader *reader = &shard->readers[conn];
    assert_int_equal(reader->subscription, subscription);
    return reader;
}

static void take(struct rw_shard *shard, struct rw_reader *reader, const struct message *message)
{
    const struct rw_channel *channel = &shard->node->world->channels[reader->channel];
    uint32_t tag;
    assert_int_equal(message->payload_len, sizeof tag);
    memcpy(&tag, message_payload(message), sizeof tag);
    assert_true(message->epoch == reader->epoch && message->offset == reader->offset + 1);
    assert_int_equal(tag, channel->log[channel->before[message->epoch] + message->offset - 1]);
    reader->offset++;
}

static void subscribed(void *context, const struct hub_reply *reply)
{
    struct rw_shard *shard = context;
    struct rw_world *world = shard->node->world;
    struct rw_reader *reader = reader_of(shard, reply->ticket.conn, reply->subscription);
    assert_int_equal(reader->state, RW_PENDING);
    if (reply->err) {
        assert_true(reply->err == -ENOTCONN || reply->err == -ETIMEDOUT || reply->err == -ENOBUFS);
        hub_unsubscribe_all(shard->hub, &reader->chain);
        reader->state = RW_FREE;
        world->coverage->refused++;
        return;
    }
    bool recovered = reply->was_recovering && reply->recovered;
    if (reply->was_recovering) {
        assert_true(reply->recovered || !world->exact);
        world->coverage->recovered += recovered;
        world->coverage->unrecoverable += !recovered;
    }
    if (!recovered) {
        reader->epoch = reply->epoch;
        reader->offset = reply->offset - reply->count;
    }
    reader->stands = true;
    for (unsigned i = 0; i < reply->count; i++)
        take(shard, reader, reply->messages[i]);
    assert_true(reader->epoch == reply->epoch && reader->offset == reply->offset);
    reader->state = reply->more ? RW_PARTED : RW_LIVE;
}

static void deliver(void *context, uint32_t conn, uint32_t subscription,
                    const struct hub_batch *batch)
{
    struct rw_shard *shard = context;
    struct rw_reader *reader = reader_of(shard, conn, subscription);
    assert_int_equal(reader->state, RW_LIVE);
    for (unsigned i = 0; i < batch->count; i++)
        take(shard, reader, batch->messages[i]);
    shard->node->world->coverage->delivered += batch->count;
}

static void lost(void *context, uint32_t conn, uint32_t subscription, const struct hub_batch *batch)
{
    struct rw_shard *shard = context;
    struct rw_reader *reader = reader_of(shard, conn, subscription);
    (void)batch;
    assert_false(shard->node->world->exact);
    assert_int_equal(reader->state, RW_LIVE);
    hub_unsubscribe_all(shard->hub, &reader->chain);
    reader->state = RW_FREE;
}

static void published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                      uint64_t offset)
{
    struct rw_shard *shard = context;
    struct rw_world *world = shard->node->world;
    world->answered++;
    world->coverage->unknown += err == -ETIMEDOUT;
    world->coverage->refused += err != 0 && err != -ETIMEDOUT;
    if (err)
        return;
    const struct rw_channel *channel = &world->channels[ticket->conn];
    assert_int_equal(channel->log[channel->before[epoch] + offset - 1], ticket->tag);
}

static void removed(void *context, const struct hub_reply *reply)
{
    struct rw_shard *shard = context;
    shard->node->world->coverage->removed += reply->err == 0 && reply->recovered;
}

static void wake(void *context, unsigned target)
{
    (void)context;
    (void)target;
}

static void batch(void *context, const struct hub_batch *batch)
{
    (void)context;
    assert_true(batch->count > 0);
}

static void batch_done(void *context)
{
    (void)context;
}

static const struct hub_ops hub_ops = {
    .subscribed = subscribed,
    .read = removed,
    .published = published,
    .batch = batch,
    .batch_done = batch_done,
    .deliver = deliver,
    .lost = lost,
    .wake = wake,
};

/* ---- what they ask ---- */

static void publish(struct rw_world *world, struct rw_shard *shard)
{
    unsigned channel = rw_random(world, RW_CHANNELS);
    char name[4];
    size_t len = rw_name(channel, name);
    if (world->tags == RW_PUBLISHES)
        return;
    uint32_t tag = world->tags;
    struct message *message =
        message_create(name, len, hub_hash(shard->node->set, name, len), &tag, sizeof tag, false);
    assert_non_null(message);
    const struct ticket ticket = {.conn = channel, .tag = tag};
    if (hub_publish(shard->hub, &ticket, message) == 0)
        world->tags++;
    else
        message_unref(message);
}

static void subscribe(struct rw_world *world, struct rw_shard *shard, uint32_t conn)
{
    struct rw_reader *reader = &shard->readers[conn];
    char name[4];
    if (reader->state != RW_FREE)
        return;
    if (!reader->stands)
        reader->channel = rw_random(world, RW_CHANNELS);
    reader->since = (struct hub_since){.from = (enum hub_from)rw_random(world, 2)};
    if (reader->stands)
        reader->since =
            (struct hub_since){HUB_FROM_POSITION, .epoch = reader->epoch, .offset = reader->offset};
    size_t len = rw_name(reader->channel, name);
    const struct ticket ticket = {.conn = conn};
    if (hub_subscribe(shard->hub, &reader->chain, &ticket, name, len, &reader->since,
                      &reader->subscription) == 0)
        reader->state = RW_PENDING;
}

static void leave(struct rw_world *world, struct rw_shard *shard, uint32_t conn)
{
    struct rw_reader *reader = &shard->readers[conn];
    hub_unsubscribe_all(shard->hub, &reader->chain);
    reader->state = RW_FREE;
    if (rw_random(world, 3) == 0)
        reader->stands = false;
}

/* A client comes back to another node, with its position. */
static void move(struct rw_world *world, struct rw_shard *shard, uint32_t conn)
{
    struct rw_node *node = &world->nodes[rw_random(world, RW_NODES)];
    struct rw_shard *other = &node->shards[rw_random(world, world->config.shards)];
    struct rw_reader *from = &shard->readers[conn], *to = &other->readers[conn];
    if (from == to || !from->stands)
        return;
    leave(world, other, conn);
    hub_unsubscribe_all(shard->hub, &from->chain);
    *to = (struct rw_reader){.channel = from->channel,
                             .chain = HUB_NONE,
                             .stands = true,
                             .epoch = from->epoch,
                             .offset = from->offset};
    *from = (struct rw_reader){.chain = HUB_NONE};
    subscribe(world, other, conn);
}

static void removal(struct rw_world *world, struct rw_shard *shard)
{
    char name[4];
    size_t len = rw_name(rw_random(world, RW_CHANNELS), name);
    const struct ticket ticket = {0};
    const struct hub_since since = {.from = HUB_FORGET};
    (void)hub_read(shard->hub, &ticket, name, len, &since);
}

static void resume(struct rw_shard *shard)
{
    for (uint32_t conn = 0; conn < RW_READERS; conn++) {
        struct rw_reader *reader = &shard->readers[conn];
        const struct ticket ticket = {.conn = conn};
        if (reader->state != RW_PARTED ||
            hub_resume(shard->hub, reader->subscription, &ticket, reader->epoch, reader->offset))
            continue;
        reader->since = (struct hub_since){.from = HUB_FROM_POSITION};
        reader->state = RW_PENDING;
    }
}

static void shard_turn(struct rw_shard *shard)
{
    resume(shard);
    hub_turn(shard->hub, shard->node->world->now_ns);
}

void rw_step(struct rw_world *world)
{
    struct rw_node *node = &world->nodes[rw_random(world, RW_NODES)];
    struct rw_shard *shard = &node->shards[rw_random(world, world->config.shards)];
    uint32_t conn = rw_random(world, RW_READERS);
    uint32_t draw = rw_random(world, 1000);
    world->now_ns += rw_random(world, 1000000);
    if (draw < 350)
        shard_turn(shard);
    else if (draw < 600)
        rw_link_step(node);
    else if (draw < 800)
        publish(world, shard);
    else if (draw < 900)
        subscribe(world, shard, conn);
    else if (draw < 930)
        leave(world, shard, conn);
    else if (draw < 970)
        move(world, shard, conn);
    else if (draw < 978)
        rw_link_break(node);
    else if (draw < 984)
        world->now_ns += 100000000;
    else if (draw < 990 && world->trims)
        rw_forget(world);
    else if (draw < 992 && !world->exact)
        removal(world, shard);
}

/* ---- begin and end ---- */

static void node_open(struct rw_world *world, struct rw_node *node)
{
    static const struct helper_ops helper_ops = {.wake = wake};
    node->world = world;
    node->up = true;
    node->set = hub_set_create(&world->config);
    assert_non_null(node->set);
    for (unsigned i = 0; i < world->config.shards; i++) {
        struct rw_shard *shard = &node->shards[i];
        shard->node = node;
        shard->index = i;
        shard->hub = hub_create(node->set, i, &hub_ops, shard);
        assert_non_null(shard->hub);
        for (unsigned conn = 0; conn < RW_READERS; conn++)
            shard->readers[conn].chain = HUB_NONE;
    }
    node->helper = helper_create(node->set, 0, &helper_ops, node);
    assert_non_null(node->helper);
}

struct rw_world *rw_open(uint64_t seed, struct rw_coverage *coverage)
{
    struct rw_world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->random = seed;
    world->coverage = coverage;
    world->exact = rw_random(world, 2);
    world->trims = !world->exact && rw_random(world, 2);
    world->config = (struct hub_config){
        .shards = 1 + rw_random(world, RW_SHARDS),
        .helpers = 1,
        .seed = seed,
        .channels_max = 8,
        .subscriptions_max = 64,
        .history_messages_max = world->exact ? RW_PUBLISHES : rw_random(world, 10),
        .history_bytes_max = UINT64_MAX,
        .history_age_ns = INT64_MAX,
        .history_total_bytes_max = UINT64_MAX,
        .reply_bytes_max = 8 + rw_random(world, 200),
        .linger_ns = rw_random(world, 50000000),
        .overflow_max = world->exact ? 1000 : 2 + rw_random(world, 20),
        .turn_visits = rw_random(world, 2) ? 1 + rw_random(world, 20) : 0,
        .broker = &rw_broker,
        .remote_bytes_max = world->exact ? UINT64_MAX : 40 + rw_random(world, 1000),
        .lane_slots = 4u << rw_random(world, 5),
    };
    for (unsigned i = 0; i < RW_CHANNELS; i++)
        world->channels[i].epoch = 1;
    for (unsigned i = 0; i < RW_NODES; i++)
        node_open(world, &world->nodes[i]);
    return world;
}

static bool at_rest(const struct rw_world *world)
{
    bool rest = world->answered == world->tags;
    for (unsigned i = 0; i < RW_NODES; i++) {
        const struct rw_node *node = &world->nodes[i];
        rest &= node->up && node->asks_count == 0 && node->resets == 0;
        for (unsigned channel = 0; channel < RW_CHANNELS; channel++)
            rest &= node->queued[channel] == 0;
        for (unsigned k = 0; k < world->config.shards; k++)
            for (unsigned conn = 0; conn < RW_READERS; conn++) {
                enum rw_state state = node->shards[k].readers[conn].state;
                rest &= state == RW_FREE || state == RW_LIVE;
            }
    }
    return rest;
}

static void check(struct rw_world *world, struct rw_reader *reader)
{
    const struct rw_channel *channel = &world->channels[reader->channel];
    if (reader->state != RW_LIVE)
        return;
    assert_true(reader->epoch == channel->epoch || !world->exact);
    if (reader->epoch == channel->epoch)
        assert_int_equal(reader->offset, channel->offset);
}

/* Nobody keeps what the engine has not, but where it does not say so. */
static void check_kept(const struct rw_world *world, const struct rw_node *node)
{
    uint64_t here = 0, there = 0;
    struct hub_stats stats;
    for (unsigned k = 0; k < world->config.shards; k++) {
        hub_stats_read(node->shards[k].hub, &stats);
        here += stats.history_messages;
    }
    for (unsigned i = 0; i < RW_CHANNELS; i++)
        there += world->channels[i].offset - world->channels[i].gone;
    assert_true(here <= there || world->trims);
}

void rw_rest(struct rw_world *world)
{
    unsigned quiet = 0;
    for (unsigned round = 0; round < 20000 && quiet < 40; round++) {
        world->now_ns += 10000000;
        for (unsigned i = 0; i < RW_NODES; i++) {
            for (unsigned k = 0; k < world->config.shards; k++)
                shard_turn(&world->nodes[i].shards[k]);
            rw_link_step(&world->nodes[i]);
        }
        quiet = at_rest(world) ? quiet + 1 : 0;
    }
    assert_true(quiet >= 40);
    for (unsigned i = 0; i < RW_NODES; i++)
        check_kept(world, &world->nodes[i]);
    for (unsigned i = 0; i < RW_NODES; i++)
        for (unsigned k = 0; k < world->config.shards; k++)
            for (unsigned conn = 0; conn < RW_READERS; conn++)
                check(world, &world->nodes[i].shards[k].readers[conn]);
}

void rw_close(struct rw_world *world)
{
    for (unsigned i = 0; i < RW_NODES; i++) {
        struct rw_node *node = &world->nodes[i];
        for (unsigned k = 0; k < world->config.shards; k++) {
            struct hub_stats stats;
            hub_stats_read(node->shards[k].hub, &stats);
            world->coverage->lost += stats.remote_lost;
            world->coverage->gaps += stats.remote_gaps;
            world->coverage->filled += stats.remote_filled;
            world->coverage->duplicates += stats.remote_duplicates;
            hub_free(node->shards[k].hub);
        }
        rw_link_free(node);
        hub_set_free(node->set);
    }
    free(world);
}
