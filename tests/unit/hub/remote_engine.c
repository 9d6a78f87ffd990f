/* remote_engine: the fake engine, and the links of the nodes to it. */
#include "remote_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* splitmix64 */
uint32_t rw_random(struct rw_world *world, uint32_t below)
{
    uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

size_t rw_name(unsigned channel, char ret[4])
{
    ret[0] = 'c';
    ret[1] = (char)('0' + channel);
    return 2;
}

unsigned rw_channel_of(const char *name)
{
    return (unsigned)(name[1] - '0');
}

static struct message *message_of(struct rw_node *node, unsigned channel, uint32_t tag,
                                  uint64_t epoch, uint64_t offset)
{
    char name[4];
    size_t len = rw_name(channel, name);
    struct message *message =
        message_create(name, len, hub_hash(node->set, name, len), &tag, sizeof tag, false);
    assert_non_null(message);
    message->epoch = epoch;
    message->offset = offset;
    return message;
}

/* ---- the engine ---- */

static void fan_out(struct rw_world *world, unsigned channel, uint32_t tag)
{
    const struct rw_channel *at = &world->channels[channel];
    for (unsigned i = 0; i < RW_NODES; i++) {
        struct rw_node *node = &world->nodes[i];
        if (!node->up || !node->subscribed[channel])
            continue;
        for (unsigned copies = 1 + (rw_random(world, 10) == 0); copies > 0; copies--) {
            assert_true(node->queued[channel] < RW_QUEUE);
            node->queue[channel][node->queued[channel]++] =
                message_of(node, channel, tag, at->epoch, at->offset);
        }
    }
}

static void publish(struct rw_world *world, struct remote_ask *ask)
{
    unsigned channel = rw_channel_of(ask->name);
    struct rw_channel *at = &world->channels[channel];
    uint32_t tag;
    memcpy(&tag, message_payload(ask->message), sizeof tag);
    at->log[at->logged++] = tag;
    ask->epoch = at->epoch;
    ask->offset = ++at->offset;
    fan_out(world, channel, tag);
}

/* What is kept goes, and all who subscribe are told. */
static void forget_all(struct rw_world *world, struct remote_ask *ask)
{
    unsigned channel = rw_channel_of(ask->name);
    struct rw_channel *at = &world->channels[channel];
    at->gone = at->offset;
    ask->epoch = at->epoch;
    ask->offset = at->offset;
    for (unsigned i = 0; i < RW_NODES; i++) {
        struct rw_node *node = &world->nodes[i];
        if (!node->up || !node->subscribed[channel])
            continue;
        struct message *message = message_of(node, channel, 0, at->epoch, at->offset);
        message->kind = MESSAGE_FORGET;
        assert_true(node->queued[channel] < RW_QUEUE);
        node->queue[channel][node->queued[channel]++] = message;
    }
}

static void join(struct rw_node *node, struct remote_ask *ask)
{
    unsigned channel = rw_channel_of(ask->name);
    const struct rw_channel *at = &node->world->channels[channel];
    bool same = ask->stands && ask->epoch == at->epoch && ask->offset <= at->offset;
    uint64_t first = same && ask->offset > at->gone ? ask->offset : at->gone;
    ask->count = (unsigned)(at->offset - first);
    ask->messages = calloc(ask->count + 1, sizeof *ask->messages);
    assert_non_null(ask->messages);
    for (unsigned i = 0; i < ask->count; i++)
        ask->messages[i] = message_of(node, channel, at->log[at->before[at->epoch] + first + i],
                                      at->epoch, first + i + 1);
    ask->epoch = at->epoch;
    ask->offset = at->offset;
    ask->kept = at->offset - at->gone;
}

void rw_forget(struct rw_world *world)
{
    struct rw_channel *at = &world->channels[rw_random(world, RW_CHANNELS)];
    if (rw_random(world, 2) == 0 || at->epoch + 1 == RW_EPOCHS) {
        at->gone += rw_random(world, (uint32_t)(at->offset - at->gone) + 1);
        return;
    }
    at->epoch++;
    at->offset = at->gone = 0;
    at->before[at->epoch] = at->logged;
}

/* ---- links ---- */

static void ask(void *broker, struct remote_ask *ask)
{
    struct rw_node *node = broker;
    assert_true(node->asks_count < RW_ASKS);
    node->asks[node->asks_count++] = (struct rw_link_ask){.ask = ask};
}

const struct broker_ops rw_broker = {.ask = ask};

static void reset_shards(struct rw_node *node)
{
    for (unsigned i = 0; i < node->world->config.shards; i++)
        if (node->resets & 1u << i && remote_reset(node->helper, node->set, i, NULL) == 0)
            node->resets &= ~(1u << i);
}

/* The engine does the first ask that is not done. A join subscribes now, and is told the history
 * when its answer leaves. */
static void do_one(struct rw_node *node)
{
    unsigned i = 0;
    while (i < node->asks_count && node->asks[i].done)
        i++;
    if (i == node->asks_count)
        return;
    struct rw_link_ask *one = &node->asks[i];
    one->done = true;
    switch (one->ask->kind) {
    case REMOTE_PUBLISH:
        publish(node->world, one->ask);
        break;
    case REMOTE_JOIN:
        node->subscribed[rw_channel_of(one->ask->name)] = true;
        break;
    case REMOTE_FORGET:
        forget_all(node->world, one->ask);
        break;
    case REMOTE_LEAVE:
        node->subscribed[rw_channel_of(one->ask->name)] = false;
        break;
    }
}

static void answer_first(struct rw_node *node)
{
    if (node->asks_count == 0 || !node->asks[0].done)
        return;
    struct rw_link_ask one = node->asks[0];
    memmove(node->asks, node->asks + 1, --node->asks_count * sizeof one);
    if (one.ask->kind == REMOTE_JOIN && one.err == 0)
        join(node, one.ask);
    one.ask->call.err = one.err;
    remote_answer(node->helper, one.ask);
}

static void bring_one(struct rw_node *node)
{
    unsigned channel = rw_random(node->world, RW_CHANNELS);
    if (node->queued[channel] == 0)
        return;
    struct message *message = node->queue[channel][0];
    if (remote_live(node->helper, node->set, message) < 0)
        return;
    memmove(node->queue[channel], node->queue[channel] + 1,
            --node->queued[channel] * sizeof(struct message *));
}

static void news_lose(struct rw_node *node)
{
    for (unsigned channel = 0; channel < RW_CHANNELS; channel++) {
        for (unsigned i = 0; i < node->queued[channel]; i++)
            message_unref(node->queue[channel][i]);
        node->queued[channel] = 0;
        node->subscribed[channel] = false;
    }
}

/* What was done and is not answered is unknown; what was not is not done. */
void rw_link_break(struct rw_node *node)
{
    node->up = false;
    news_lose(node);
    for (unsigned i = 0; i < node->asks_count; i++) {
        struct rw_link_ask *one = &node->asks[i];
        bool again = one->ask->kind == REMOTE_JOIN && rw_random(node->world, 2) == 0;
        one->err = again ? 0 : one->done ? -ETIMEDOUT : -ENOTCONN;
        one->done = !again;
    }
}

void rw_link_step(struct rw_node *node)
{
    struct rw_world *world = node->world;
    helper_turn(node->helper);
    if (!node->up && rw_random(world, 4) == 0) {
        node->up = true;
        node->resets = (1u << world->config.shards) - 1;
    }
    reset_shards(node);
    for (unsigned i = rw_random(world, 6); i > 0 && node->up; i--)
        do_one(node);
    for (unsigned i = rw_random(world, 6); i > 0; i--)
        answer_first(node);
    for (unsigned i = rw_random(world, 8); i > 0; i--)
        bring_one(node);
    helper_turn(node->helper);
}

void rw_link_free(struct rw_node *node)
{
    news_lose(node);
    for (unsigned i = 0; i < node->asks_count; i++)
        remote_ask_free(node->asks[i].ask);
    helper_free(node->helper);
}
