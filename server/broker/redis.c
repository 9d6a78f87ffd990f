/* redis: links, queue, deadlines. */
#include "broker/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/redis_internal.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    CONNECT_MS_MAX = 1000, /* of each step of an attempt */
    DIAL_WAIT_MS = 5,      /* until it is looked at again */
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 2000,
    PING_MS = 1000,
    BEHIND_WAIT_MS = 10, /* until a shard that had no room is looked at again */
    WAIT_MS_MAX = 500,
    TURN_REPLIES = 1024, /* of a link, taken in a turn */
};

uint64_t redis_random(struct redis *redis)
{
    uint64_t z = (redis->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct redis *redis_create(const struct redis_config *config)
{
    struct redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return NULL;
    redis->config = *config;
    redis->random = config->seed;
    memcpy(redis->orders_at, "0-0", 4);
    return redis;
}

void redis_attach(struct redis *redis, struct helper *helper, struct hub_set *set, uint64_t node,
                  nodes_ear *ear)
{
    redis->desk.helper = helper;
    redis->desk.self = node;
    redis->desk.ear = ear;
    redis->desk.say = redis_nodes_say;
    redis->desk.engine = redis;
    redis->helper = helper;
    redis->set = set;
}

const struct engine_counters *redis_counters(const struct redis *redis)
{
    return &redis->counters;
}

/* ---- asks ---- */

void redis_answer(struct redis *redis, struct remote_ask *ask, int err)
{
    while (ask) {
        struct remote_ask *next = (struct remote_ask *)ask->call.next;
        ask->call.next = NULL;
        ask->call.err = err;
        remote_answer(redis->helper, ask);
        ask = next;
    }
}

static int64_t timeout_ns(const struct redis *redis)
{
    return redis->config.address.timeout_ms * NS_PER_MS;
}

void redis_ask(struct redis *redis, struct remote_ask *ask)
{
    bool publishes = ask->kind == REMOTE_PUBLISH;
    bool at_once = redis_up(redis) && redis->queue.count == 0;
    if (publishes && !at_once && redis->publishes >= redis->config.queue_max) {
        redis_count(&redis->counters.queue_full);
        redis_answer(redis, ask, redis_up(redis) ? -ENOBUFS : -ENOTCONN);
        return;
    }
    ask->until_ns = redis->now_ns + timeout_ns(redis);
    redis_queue_push(redis, ask);
}

/* Puts a join back: it is asked again, on other links. */
static void again(struct redis *redis, struct sent_ring *ring)
{
    while (ring->count > 0) {
        struct sent sent = sent_take(ring);
        if (sent.ask && sent.ask->kind != REMOTE_JOIN)
            redis_answer(redis, sent.ask, -ETIMEDOUT);
        else if (sent.ask)
            redis_queue_push(redis, sent.ask);
    }
}

static void expire_sent(struct redis *redis, struct sent_ring *ring)
{
    for (unsigned i = 0; i < ring->count; i++) {
        struct sent *sent = &ring->at[(ring->head + i) & (SENT_MAX - 1)];
        if (!sent->ask)
            continue;
        if (sent->ask->until_ns > redis->now_ns)
            break;
        redis_count(&redis->counters.timeouts);
        redis_answer(redis, sent->ask, -ETIMEDOUT);
        sent->ask = NULL;
    }
}

static void expire(struct redis *redis)
{
    redis_nodes_expire(redis);
    expire_sent(redis, &redis->commands_sent);
    expire_sent(redis, &redis->news_sent);
    while (redis->queue.first &&
           ((struct remote_ask *)redis->queue.first)->until_ns <= redis->now_ns) {
        redis_count(&redis->counters.timeouts);
        redis_answer(redis, redis_queue_pop(redis), -ENOTCONN);
    }
}

/* ---- links ---- */

static void backoff(struct redis *redis)
{
    uint64_t most = (uint64_t)BACKOFF_MS_MIN << (redis->failures < 6 ? redis->failures : 6);
    if (most > BACKOFF_MS_MAX)
        most = BACKOFF_MS_MAX;
    redis->failures++;
    redis->retry_ns =
        redis->now_ns + (int64_t)(most / 2 + redis_random(redis) % (most / 2 + 1)) * NS_PER_MS;
    redis_count(&redis->counters.connect_failures);
}

static void disconnect(struct redis *redis)
{
    redis_link_close(&redis->commands);
    redis_link_close(&redis->news);
    again(redis, &redis->commands_sent);
    again(redis, &redis->news_sent);
    redis_nodes_lost(redis);
    redis_sweep_lost(redis);
    memset(redis->behind, 0, sizeof redis->behind);
    redis->behind_count = 0;
    redis->leaves = redis->downs = 0;
    redis->looks = false;
    redis->apart_topic_len = 0;
    atomic_store(&redis->counters.connected, 0);
}

/* Each step within its time. */
static int dial(struct redis_dial *dial, const struct redis_config *config, char *why,
                size_t why_size)
{
    dial->address = config->address;
    if (dial->address.timeout_ms > CONNECT_MS_MAX)
        dial->address.timeout_ms = CONNECT_MS_MAX;
    int err = config->sentinels.count > 0
                  ? redis_sentinels_ask(&config->sentinels, &dial->address, why, why_size)
                  : 0;
    if (err == 0)
        err = redis_link_open(&dial->commands, &dial->address, &dial->greeting, why, why_size);
    if (err == 0)
        err = redis_link_open(&dial->news, &dial->address, NULL, why, why_size);
    if (err < 0)
        redis_link_close(&dial->commands);
    explicit_bzero(dial->address.password, sizeof dial->address.password);
    return err;
}

/* The links are there: all that was joined is to be joined again. */
static void connected(struct redis *redis)
{
    redis->commands = redis->dial.commands;
    redis->news = redis->dial.news;
    redis->greeting = redis->dial.greeting;
    redis->commands.heard_ns = redis->news.heard_ns = redis->now_ns;
    redis->resets = 0;
    redis->failures = 0;
    redis_count(&redis->counters.connects);
    atomic_store(&redis->counters.connected, 1);
}

int redis_connect(struct redis *redis, char *why, size_t why_size)
{
    int err = dial(&redis->dial, &redis->config, why, why_size);
    if (err == 0)
        connected(redis);
    return err;
}

static void *dial_run(void *context)
{
    struct redis *redis = context;
    char why[256];
    redis->dial.err = dial(&redis->dial, &redis->config, why, sizeof why);
    atomic_store(&redis->dial.done, true);
    return NULL;
}

static void dial_end(struct redis *redis)
{
    pthread_join(redis->dial.thread, NULL);
    redis->dial.running = false;
}

static void lost(struct redis *redis)
{
    disconnect(redis);
    backoff(redis);
}

static void reconnect(struct redis *redis)
{
    if (redis->dial.running && atomic_load(&redis->dial.done)) {
        dial_end(redis);
        if (redis->dial.err < 0)
            backoff(redis);
        else
            connected(redis);
    }
    if (redis_up(redis) || redis->dial.running || redis->retry_ns > redis->now_ns)
        return;
    atomic_store(&redis->dial.done, false);
    redis->dial.running = pthread_create(&redis->dial.thread, NULL, dial_run, redis) == 0;
    if (!redis->dial.running)
        backoff(redis);
}

void redis_stop(struct redis *redis)
{
    if (redis->dial.running) {
        dial_end(redis);
        if (redis->dial.err == 0)
            connected(redis);
    }
    disconnect(redis);
    while (redis->queue.first)
        redis_answer(redis, redis_queue_pop(redis), -ENOTCONN);
}

void redis_free(struct redis *redis)
{
    if (!redis)
        return;
    redis_link_close(&redis->commands);
    redis_link_close(&redis->news);
    free(redis);
}

/* ---- the turn ---- */

/* A link that says nothing for so long is gone, whatever TCP still believes. */
static int look_alive(struct redis *redis, struct redis_link *link, struct sent_ring *sent)
{
    bool asked = link->pinged_ns > link->heard_ns;
    if (asked && redis->now_ns - link->heard_ns > 2 * timeout_ns(redis) &&
        redis->now_ns - link->pinged_ns > timeout_ns(redis))
        return -EIO;
    if (asked || redis->now_ns - link->heard_ns < PING_MS * NS_PER_MS)
        return 0;
    return redis_send_ping(redis, link, sent);
}

static int receive(struct redis *redis, struct redis_link *link,
                   int (*take)(struct redis *, const redisReply *))
{
    int more = redis_link_receive(link, redis->now_ns), err = more < 0 ? more : 0;
    unsigned taken = 0;
    for (; err == 0 && taken < TURN_REPLIES; taken++) {
        redisReply *reply = NULL;
        err = redis_link_reply(link, &reply);
        if (!reply)
            break;
        err = take(redis, reply);
        freeReplyObject(reply);
    }
    redis->more |= taken == TURN_REPLIES || more > 0;
    return err;
}

void redis_reset_shards(struct redis *redis)
{
    while (redis->resets < helper_participant(redis->set, 0) &&
           remote_reset(redis->helper, redis->set, redis->resets, redis->config.scope) == 0)
        redis->resets++;
}

static int turn(struct redis *redis)
{
    int err = receive(redis, &redis->commands, redis_take_command);
    if (err == 0)
        err = receive(redis, &redis->news, redis_take_news);
    redis_catch_up(redis);
    redis_reset_shards(redis);
    if (err == 0)
        err = redis_nodes_listen(redis);
    if (err == 0)
        err = redis_look(redis);
    if (err == 0)
        err = redis_queue_send(redis);
    if (err == 0)
        err = look_alive(redis, &redis->commands, &redis->commands_sent);
    if (err == 0)
        err = look_alive(redis, &redis->news, &redis->news_sent);
    if (err == 0 && redis_link_flush(&redis->commands) < 0)
        err = -EIO;
    if (err == 0 && redis_link_flush(&redis->news) < 0)
        err = -EIO;
    return err;
}

void redis_turn(struct redis *redis, int64_t now_ns)
{
    if (redis->now_ns == 0) /* it was connected before its thread began */
        redis->commands.heard_ns = redis->news.heard_ns = now_ns;
    redis->now_ns = now_ns;
    redis->more = false;
    reconnect(redis);
    if (redis_up(redis) && turn(redis) < 0)
        lost(redis);
    expire(redis);
    atomic_store_explicit(&redis->counters.queued, redis->queue.count, memory_order_relaxed);
    atomic_store_explicit(&redis->counters.sent,
                          redis->commands_sent.count + redis->news_sent.count,
                          memory_order_relaxed);
}

static unsigned wait_for(struct pollfd *ret, struct redis_link *link)
{
    int flushed = redis_link_flush(link);
    *ret = (struct pollfd){.fd = link->socket.fd,
                           .events = (short)(POLLIN | (flushed > 0 ? POLLOUT : 0))};
    return 1;
}

unsigned redis_wait(struct redis *redis, struct pollfd ret[ENGINE_FDS], int64_t now_ns,
                    int *ret_timeout_ms)
{
    int64_t most_ms = WAIT_MS_MAX;
    unsigned count = 0;
    if (redis->queue.first || redis->commands_sent.count > 0 || redis->desk.open_count > 0)
        most_ms = PING_MS / 20;
    if (redis->more)
        most_ms = 0;
    if (redis->behind_count > 0 && most_ms > BEHIND_WAIT_MS)
        most_ms = BEHIND_WAIT_MS;
    if (redis_up(redis)) {
        count += wait_for(&ret[count], &redis->commands);
        count += wait_for(&ret[count], &redis->news);
    } else if (redis->dial.running) {
        most_ms = DIAL_WAIT_MS;
    } else if ((redis->retry_ns - now_ns) / NS_PER_MS < most_ms) {
        most_ms = (redis->retry_ns - now_ns) / NS_PER_MS + 1;
    }
    *ret_timeout_ms = most_ms < 0 ? 0 : (int)most_ms;
    return count;
}
