/* redis_sweep: all channels of a glob begin anew, also those that no node has joined.
 *
 *   SCAN ─► keys of a page ─► for each: remove what the channel stands on, tell its topic ─┐
 *     ▲                                                                                    │
 *     └──────────────────────── until its cursor is 0 ◄── all are answered ◄───────────────┘
 *
 * SCAN gives every key that is there all the time; a channel that comes meanwhile has an epoch of
 * its own. What is told is a message of an epoch that nobody knows: nodes that have the channel
 * join it again, find another epoch, and tell subscribers (hub/remote_home.c). Nodes that are cut
 * off join all again by themselves. Of several Redis each is walked behind the one before it. A
 * link that is lost ends the walk with an error: who asked asks again, for all of it. */
#include "broker/redis_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/encoding.h"

enum {
    PATTERN_MAX = 2 * REDIS_PREFIX_MAX + NODES_GLOB_MAX + 8,
    ITEM_MAX = 256,
};

/* What was published as the last stays so: nothing can have been lost behind it. And what is no
 * hash is somebody else's: nobody can join such a channel, and it holds up no other. */
static const char script[] = "local ended = redis.pcall('HGET', KEYS[1], 'x')\n"
                             "local err = type(ended) == 'table' and ended.err\n"
                             "if ended == '1' or (err and string.find(err, '^WRONGTYPE')) then\n"
                             "  return 0\n"
                             "end\n"
                             "redis.call('DEL', KEYS[1], KEYS[2])\n"
                             "redis.call('PUBLISH', ARGV[1], ARGV[2])\n"
                             "return 1\n";

static void end(struct redis *redis, int err)
{
    struct nodes_ask *ask = redis->sweep.ask;
    redis->sweep.ask = NULL;
    redis->sweep.run++; /* what is under way of it is of no interest */
    if (err == 0 && redis->sweep.next) {
        redis_sweep(redis->sweep.next, ask);
        return;
    }
    ask->call.err = err;
    helper_answer(redis->helper, &ask->call);
}

static int send_words(struct redis *redis, const struct span *words, unsigned count,
                      enum sent_kind kind)
{
    if (redis->commands_sent.count == SENT_MAX)
        return -ENOBUFS;
    int err = redis_link_send(&redis->commands, words, count);
    if (err == 0)
        sent_add(&redis->commands_sent, (struct sent){.kind = kind, .id = redis->sweep.run});
    return err;
}

/* The prefix is anything; the glob has one sign, and Redis takes it for no byte as well. */
static size_t pattern_write(const struct redis *redis, char ret[PATTERN_MAX])
{
    size_t len = 0;
    for (const char *at = redis->config.prefix; *at != '\0'; at++) {
        if (strchr("*?[]\\^", *at))
            ret[len++] = '\\';
        ret[len++] = *at;
    }
    const struct nodes_ask *ask = redis->sweep.ask;
    return len +
           (size_t)snprintf(ret + len, PATTERN_MAX - len, ":{%.*s}:m", (int)ask->len, ask->text);
}

static int send_page(struct redis *redis)
{
    char pattern[PATTERN_MAX];
    const struct span words[] = {
        SPAN("SCAN"),  span_from(redis->sweep.cursor),
        SPAN("MATCH"), span_of(pattern, pattern_write(redis, pattern)),
        SPAN("COUNT"), SPAN("256"),
    };
    return send_words(redis, words, sizeof words / sizeof *words, SENT_SWEEP);
}

void redis_sweep(struct redis *redis, struct nodes_ask *ask)
{
    bool good = ask->len > 0 && ask->len <= NODES_GLOB_MAX;
    int err = redis_in_cluster(redis) ? -ENOTSUP
              : !good                 ? -EINVAL
              : redis->sweep.ask      ? -ENOBUFS
              : !redis_up(redis)      ? -ENOTCONN
                                      : 0;
    if (err < 0) {
        ask->call.err = err;
        helper_answer(redis->helper, &ask->call);
        return;
    }
    redis->sweep.ask = ask;
    redis->sweep.left = 0;
    snprintf(redis->sweep.cursor, sizeof redis->sweep.cursor, "0");
    if (send_page(redis) < 0)
        end(redis, -ENOTCONN);
}

void redis_sweep_next(struct redis *redis, struct redis *next)
{
    redis->sweep.next = next;
}

void redis_sweep_lost(struct redis *redis)
{
    if (redis->sweep.ask)
        end(redis, -ENOTCONN);
}

/* ---- one channel ---- */

/* PREFIX:{NAME}:m; or nothing. */
static struct span name_of(const struct redis *redis, struct span key)
{
    const size_t prefix = strlen(redis->config.prefix), head = prefix + 2, tail = 3;
    if (key.len <= head + tail || memcmp(key.ptr, redis->config.prefix, prefix) != 0 ||
        memcmp(key.ptr + prefix, ":{", 2) != 0 ||
        memcmp(key.ptr + key.len - tail, "}:m", tail) != 0)
        return (struct span){0};
    struct span name = span_of(key.ptr + head, key.len - head - tail);
    return hub_name_valid(name.ptr, name.len) ? name : (struct span){0};
}

/* A message of an epoch that the channel has not. Returns 0 when memory is out. */
static size_t item_write(struct redis *redis, char ret[ITEM_MAX], struct span name)
{
    uint64_t hash = hub_hash(redis->set, name.ptr, name.len);
    struct message *message = message_create(name.ptr, name.len, hash, NULL, 0, false);
    if (!message)
        return 0;
    size_t len = (size_t)snprintf(ret, ITEM_MAX, "%016" PRIx64 " 0 0\n", redis_random(redis) | 1);
    assert(len + encoding_size(message) <= ITEM_MAX);
    encoding_write(ret + len, message);
    len += encoding_size(message);
    message_unref(message);
    return len;
}

static int send_one(struct redis *redis, struct span meta, struct span name)
{
    char history[TOPIC_MAX + 8], topic[TOPIC_MAX], item[ITEM_MAX];
    const char *prefix = redis->config.prefix;
    int len = (int)name.len;
    size_t item_len = item_write(redis, item, name);
    if (item_len == 0)
        return -ENOMEM;
    int history_len = snprintf(history, sizeof history, "%s:{%.*s}:h", prefix, len, name.ptr);
    int topic_len = snprintf(topic, sizeof topic, "%s:%.*s", prefix, len, name.ptr);
    const struct span words[] = {
        SPAN("EVAL"),
        span_from(script),
        SPAN("2"),
        meta,
        span_of(history, (size_t)history_len),
        span_of(topic, (size_t)topic_len),
        span_of(item, item_len),
    };
    return send_words(redis, words, sizeof words / sizeof *words, SENT_SWEPT);
}

/* ---- answers ---- */

static bool cursor_read(struct redis_sweep *sweep, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0 || reply->len >= REDIS_CURSOR_MAX ||
        strspn(reply->str, "0123456789") != (size_t)reply->len)
        return false;
    memcpy(sweep->cursor, reply->str, (size_t)reply->len + 1);
    return true;
}

/* [cursor, [key, …]]. */
static int page_come(struct redis *redis, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !cursor_read(&redis->sweep, reply->element[0]) ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return -EPROTO;
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        struct span meta = key->type == REDIS_REPLY_STRING ? span_of(key->str, (size_t)key->len)
                                                           : (struct span){0};
        struct span name = meta.ptr ? name_of(redis, meta) : meta;
        if (!name.ptr)
            continue;
        int err = send_one(redis, meta, name);
        if (err < 0)
            return err;
        redis->sweep.left++;
    }
    return 0;
}

void redis_sweep_answered(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    struct redis_sweep *sweep = &redis->sweep;
    if (!sweep->ask || sent->id != sweep->run)
        return;
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    if (is_error)
        redis_count(&redis->counters.errors);
    int err = is_error ? -EPROTO : sent->kind == SENT_SWEEP ? page_come(redis, reply) : 0;
    if (err == 0)
        sweep->left -= sent->kind == SENT_SWEPT;
    bool is_last = strcmp(sweep->cursor, "0") == 0;
    if (err == 0 && sweep->left == 0 && !is_last)
        err = send_page(redis);
    if (err < 0 || (sweep->left == 0 && is_last))
        end(redis, err);
}
