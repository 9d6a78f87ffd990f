/* redis_reply: what comes from Redis. Whoever reaches it may have written there: nothing of it is
 * believed that is not looked at. */
#include "broker/redis_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/encoding.h"
#include "hub/rules.h"
#include "hub/table.h"

static struct span text_of(const redisReply *reply)
{
    bool is_text = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
    return is_text ? span_of(reply->str, (size_t)reply->len) : (struct span){0};
}

static bool is_array(const redisReply *reply, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == elements;
}

/* ---- answers to commands ---- */

static bool starts(const redisReply *reply, const char *word)
{
    size_t len = strlen(word);
    return (size_t)reply->len >= len && memcmp(reply->str, word, len) == 0;
}

/* Since 7.0 an error in a script begins with what it is of, or with ERR. */
static bool is_out_of_memory(const redisReply *reply)
{
    return starts(reply, "OOM") || memmem(reply->str, (size_t)reply->len, "OOM command", 11);
}

/* What an error says of the ask; none of these has changed anything. */
static int error_of(struct redis *redis, const redisReply *reply)
{
    static const char *const elsewhere[] = {"LOADING",     "READONLY", "MISCONF", "MASTERDOWN",
                                            "CLUSTERDOWN", "BUSY",     "NOAUTH",  "NOPERM",
                                            "NOREPLICAS",  "EXECABORT"};
    if (is_out_of_memory(reply)) {
        redis_count(&redis->counters.out_of_memory);
        return -ENOSPC;
    }
    redis_count(&redis->counters.errors);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (starts(reply, elsewhere[i]))
            return -ENOTCONN;
    return -EPROTO;
}

/* Epoch, offset and whether the channel has ended: the first three of an answer. */
static int place_read(struct remote_ask *ask, const redisReply *reply)
{
    uint64_t epoch, offset;
    if (encoding_epoch(&epoch, text_of(reply->element[0])) < 0 ||
        encoding_number(&offset, text_of(reply->element[1])) < 0)
        return -EPROTO;
    ask->epoch = epoch;
    ask->offset = offset;
    ask->ended = span_equal(text_of(reply->element[2]), SPAN("1"));
    return 0;
}

/* What went together has places one behind the other, up to the one that was answered; events have
 * none. */
static int places_give(struct remote_ask *first)
{
    uint64_t behind = 0, last = first->offset;
    if (!first->call.next || first->message->kind != MESSAGE_PUBLICATION)
        behind = 0;
    else
        for (const struct call *at = first->call.next; at; at = at->next)
            behind++;
    if (behind >= last && behind > 0)
        return -EPROTO;
    for (struct remote_ask *ask = first; ask; ask = (struct remote_ask *)ask->call.next) {
        ask->epoch = first->epoch;
        ask->offset = last - behind;
        behind -= behind > 0;
    }
    return 0;
}

static int publish_read(struct remote_ask *ask, const redisReply *reply)
{
    if (!is_array(reply, 4) || place_read(ask, reply) < 0)
        return -EPROTO;
    struct span known = text_of(reply->element[3]);
    if (known.len != 1 || known.ptr[0] < '0' || known.ptr[0] > '2')
        return -EPROTO;
    ask->known = (enum remote_known)(known.ptr[0] - '0');
    return ask->ended ? -EPIPE : places_give(ask);
}

static int forget_read(struct remote_ask *ask, const redisReply *reply)
{
    return is_array(reply, 3) && place_read(ask, reply) == 0 ? 0 : -EPROTO;
}

/* The message of one that is kept, if it is that of this offset. */
static struct message *message_read(const struct redis *redis, const struct remote_ask *ask,
                                    const redisReply *item, uint64_t offset, int64_t now_ms)
{
    struct encoded read;
    if (encoding_read(&read, text_of(item), redis->config.message_bytes_max) < 0 ||
        read.epoch != ask->epoch || read.offset != offset || read.kind != MESSAGE_PUBLICATION)
        return NULL;
    struct message *message = encoding_message(&read, span_of(ask->name, ask->name_len), ask->hash);
    if (!message)
        return NULL;
    int64_t age_ms = now_ms - read.time_ms;
    message->kept_until_ns = age_ms < 0 ? 0 : age_ms * 1000000;
    return message;
}

/* Takes the messages from the newest back, as far as they are whole and without a gap. */
static int history_read(struct redis *redis, struct remote_ask *ask, const redisReply *items,
                        int64_t now_ms)
{
    size_t most = ask->rules->messages_max;
    size_t count = items->elements < most ? items->elements : most;
    struct message **messages = malloc((count + 1) * sizeof(struct message *));
    if (!messages)
        return -ENOMEM;
    size_t first = count;
    while (first > 0) {
        uint64_t back = count - first;
        const redisReply *item = items->element[items->elements - 1 - back];
        struct message *message =
            back < ask->offset ? message_read(redis, ask, item, ask->offset - back, now_ms) : NULL;
        if (!message) {
            redis_count(&redis->counters.foreign);
            break;
        }
        messages[--first] = message;
    }
    memmove(messages, messages + first, (count - first) * sizeof(struct message *));
    ask->messages = messages;
    ask->count = (unsigned)(count - first);
    return 0;
}

static int join_read(struct redis *redis, struct remote_ask *ask, const redisReply *reply)
{
    uint64_t now_ms;
    if (!is_array(reply, 6) || reply->element[4]->type != REDIS_REPLY_ARRAY ||
        encoding_number(&now_ms, text_of(reply->element[3])) < 0 ||
        encoding_number(&ask->kept, text_of(reply->element[5])) < 0 || place_read(ask, reply) < 0)
        return -EPROTO;
    return history_read(redis, ask, reply->element[4], (int64_t)now_ms);
}

static int answer_read(struct redis *redis, struct remote_ask *ask, const redisReply *reply)
{
    switch (ask->kind) {
    case REMOTE_PUBLISH:
        return publish_read(ask, reply);
    case REMOTE_JOIN:
        return join_read(redis, ask, reply);
    case REMOTE_FORGET:
        return forget_read(ask, reply);
    case REMOTE_LEAVE:
        break;
    }
    return -EPROTO;
}

static void take_answer(struct redis *redis, struct remote_ask *ask, const redisReply *reply)
{
    int err =
        reply->type == REDIS_REPLY_ERROR ? error_of(redis, reply) : answer_read(redis, ask, reply);
    if (err == -EPROTO && reply->type != REDIS_REPLY_ERROR)
        redis_count(&redis->counters.foreign);
    /* Whatever that is, it was run. */
    if (err == -EPROTO && reply->type != REDIS_REPLY_ERROR && ask->kind == REMOTE_PUBLISH)
        err = -ETIMEDOUT;
    redis_answer(redis, ask, err);
}

/* What the script of a transaction said, or why nothing of it was done; NULL: neither. */
static const redisReply *script_of(const redisReply *exec)
{
    if (exec->type == REDIS_REPLY_ERROR)
        return exec;
    return is_array(exec, 2) ? exec->element[0] : NULL;
}

/* In a cluster: what was refused for its place was not done, and may be elsewhere. */
static bool turns(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    static const char *const places[] = {"MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN", "EXECABORT"};
    const struct redis_peers *peers = redis->config.peers;
    bool may = peers && !is_out_of_memory(reply);
    for (size_t i = 0; may && i < sizeof places / sizeof *places; i++)
        if (starts(reply, places[i])) {
            struct span error = span_of(reply->str, (size_t)reply->len);
            peers->turned(peers->context, redis, sent->ask, error);
            return true;
        }
    return false;
}

/* Without memory nothing is queued, not even what needs none: the script alone is asked, which says
 * what a small message is told. Returns whether it was taken. */
static bool unqueued(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    struct sent *next = sent_first(&redis->commands_sent);
    if (sent->kind == SENT_QUEUED && next)
        next->unqueued = sent->unqueued || (is_error && is_out_of_memory(reply));
    if (sent->kind != SENT_APART || !sent->unqueued || !sent->ask || !is_error ||
        !starts(reply, "EXECABORT"))
        return false;
    if (redis_send_through(redis, sent->ask) < 0)
        redis_answer(redis, sent->ask, -ENOTCONN);
    return true;
}

/* Who may not MULTI any more has had each of them done by itself, and nobody knows the end of that;
 * who may not EXEC would have all that follows queued. Returns 1: the first was so, 0: neither, or
 * -EPROTO: the link is to be given up. */
static int forbidden(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    struct sent *next = sent_first(&redis->commands_sent);
    bool waits = reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_ERROR;
    if (sent->kind == SENT_QUEUED && next)
        next->loose = sent->loose || !waits;
    if (sent->kind != SENT_APART)
        return 0;
    bool may_not = reply->type == REDIS_REPLY_ERROR && starts(reply, "NOPERM");
    if (!sent->loose)
        return may_not ? -EPROTO : 0;
    redis->greeting.transacts = false;
    redis_count(&redis->counters.errors);
    redis_answer(redis, sent->ask, -ETIMEDOUT);
    return 1;
}

/* The text of the script is sent where its hash is not known. */
static bool forgotten(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR || !starts(reply, "NOSCRIPT") || sent->whole)
        return false;
    int err = sent->asking ? redis_send_asking(redis, sent->ask, true)
                           : redis_send_script(redis, sent->ask, true);
    if (err < 0)
        redis_answer(redis, sent->ask, -ENOTCONN);
    return true;
}

/* One that goes on to be down has perhaps lost its slots, and cannot say so: the link is given up,
 * and what subscribes there looks where they are. */
static int probed(struct redis *redis, const redisReply *reply)
{
    bool down = reply->type == REDIS_REPLY_ERROR && starts(reply, "CLUSTERDOWN");
    redis->downs = down ? redis->downs + 1 : 0;
    return redis->downs >= DOWNS_MAX ? -EPROTO : 0;
}

int redis_take_command(struct redis *redis, const redisReply *reply)
{
    if (redis->commands_sent.count == 0)
        return -EPROTO;
    struct sent sent = sent_take(&redis->commands_sent);
    if (sent.kind == SENT_SLOTS) {
        redis->config.peers->slots(redis->config.peers->context, redis, reply);
        return 0;
    }
    if (sent.kind == SENT_PROBE)
        return probed(redis, reply);
    if (sent.kind == SENT_LOOK) {
        redis_looked(redis, &sent, reply);
        return 0;
    }
    if (sent.kind == SENT_SWEEP || sent.kind == SENT_SWEPT) {
        redis_sweep_answered(redis, &sent, reply);
        return 0;
    }
    if (sent.kind > SENT_SUBSCRIBE) {
        redis_nodes_answered(redis, &sent, reply);
        return 0;
    }
    int may_not = forbidden(redis, &sent, reply);
    if (may_not > 0)
        return 0;
    if (sent.kind == SENT_APART)
        reply = script_of(reply);
    if (!reply) {
        redis_count(&redis->counters.foreign);
        redis_answer(redis, sent.ask, -ETIMEDOUT);
        return 0;
    }
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    if (unqueued(redis, &sent, reply) || (is_error && turns(redis, &sent, reply)))
        return 0;
    /* The server that we are at is no master any more, or not yet: another one may be. */
    bool moved =
        may_not < 0 || (is_error && (starts(reply, "READONLY") || starts(reply, "LOADING")));
    if (!sent.ask)
        return moved ? -EPROTO : 0;
    if (forgotten(redis, &sent, reply))
        return 0;
    take_answer(redis, sent.ask, reply);
    return moved ? -EPROTO : 0;
}

/* ---- news ---- */

/* Nobody waits for a shard that has no room: what it misses it reads from the history. */
static void fall_behind(struct redis *redis, unsigned shard)
{
    redis_count(&redis->counters.dropped);
    if (redis->behind[shard])
        return;
    redis->behind[shard] = true;
    redis->behind_count++;
}

void redis_catch_up(struct redis *redis)
{
    unsigned shards = helper_participant(redis->set, 0);
    for (unsigned i = 0; redis->behind_count > 0 && i < shards; i++) {
        if (!redis->behind[i] || !remote_has_room(redis->set, i) ||
            remote_reset(redis->helper, redis->set, i, redis->config.scope) < 0)
            continue;
        redis->behind[i] = false;
        redis->behind_count--;
    }
}

/* The channel of a topic: behind the prefix, in a cluster in braces. */
static struct span name_of(const struct redis *redis, struct span topic)
{
    size_t len = strlen(redis->config.prefix);
    if (topic.len <= len + 1 || memcmp(topic.ptr, redis->config.prefix, len) != 0 ||
        topic.ptr[len] != ':')
        return (struct span){0};
    struct span name = span_skip(topic, len + 1);
    if (redis_in_cluster(redis)) {
        if (name.len < 2 || name.ptr[0] != '{' || name.ptr[name.len - 1] != '}')
            return (struct span){0};
        name = span_of(name.ptr + 1, name.len - 2);
    }
    return hub_name_valid(name.ptr, name.len) ? name : (struct span){0};
}

/* Likewise, if it is here. One that is at another Redis is numbered there. */
static struct span channel_of(const struct redis *redis, struct span topic)
{
    const struct remote_scope *scope = redis->config.scope;
    struct span name = name_of(redis, topic);
    bool here = name.ptr && (!scope || scope->has(scope, name.ptr, name.len));
    return here ? name : (struct span){0};
}

/* What was heard, if it is whole: perhaps with the line that came before it. Returns 1, 0: its rest
 * is the next, or -EINVAL. */
static int run_read(struct redis *redis, struct encoded_run *ret, struct span topic,
                    struct span body)
{
    const struct span line_topic = span_of(redis->apart_topic, redis->apart_topic_len);
    redis->apart_topic_len = 0;
    if (line_topic.len > 0 && span_equal(topic, line_topic))
        return encoding_rest_read(ret, &redis->apart, body) < 0 ? -EINVAL : 1;
    if (line_topic.len > 0)
        redis_count(&redis->counters.foreign);
    if (encoding_line_read(&redis->apart, body) < 0)
        return encoding_run_read(ret, body) < 0 ? -EINVAL : 1;
    assert(topic.len <= sizeof redis->apart_topic);
    memcpy(redis->apart_topic, topic.ptr, topic.len);
    redis->apart_topic_len = topic.len;
    return 0;
}

static void message_come(struct redis *redis, struct span topic, struct span body)
{
    struct encoded_run run;
    struct encoded read;
    int more = 0;
    if (redis_nodes_come(redis, topic, body))
        return;
    struct span name = channel_of(redis, topic);
    int whole = name.ptr ? run_read(redis, &run, topic, body) : -EINVAL;
    if (whole <= 0) {
        if (whole < 0)
            redis_count(&redis->counters.foreign);
        return;
    }
    uint64_t hash = hub_hash(redis->set, name.ptr, name.len);
    unsigned shard = home_of(hash, helper_participant(redis->set, 0));
    while ((more = encoding_run_next(&run, &read, redis->config.message_bytes_max)) > 0) {
        struct message *message = redis->behind[shard] ? NULL : encoding_message(&read, name, hash);
        if (!message || remote_live(redis->helper, redis->set, message) < 0) {
            message_unref(message);
            fall_behind(redis, shard);
        }
    }
    if (more < 0)
        redis_count(&redis->counters.foreign);
}

/* A subscription is confirmed: what is published from now on comes. */
static int subscribed(struct redis *redis)
{
    if (redis->news_sent.count == 0 || sent_first(&redis->news_sent)->kind != SENT_SUBSCRIBE)
        return -EPROTO;
    struct sent sent = sent_take(&redis->news_sent);
    if (sent.own)
        redis_nodes_listening(redis);
    if (sent.ask && redis_send_script(redis, sent.ask, false) < 0)
        redis_answer(redis, sent.ask, -ENOTCONN);
    return 0;
}

/* A node of a cluster refuses what is elsewhere. */
static int refused(struct redis *redis, struct span error)
{
    const struct redis_peers *peers = redis->config.peers;
    if (!peers || redis->news_sent.count == 0 ||
        sent_first(&redis->news_sent)->kind != SENT_SUBSCRIBE)
        return -EPROTO;
    struct sent sent = sent_take(&redis->news_sent);
    if (sent.own)
        redis_nodes_unheard(redis);
    peers->turned(peers->context, redis, sent.ask, error);
    return 0;
}

/* Asked for, or its slot was moved away. */
static void unsubscribed(struct redis *redis, struct span topic)
{
    const struct redis_peers *peers = redis->config.peers;
    bool asked = redis->leaves > 0;
    redis->leaves -= asked;
    if (!peers)
        return;
    if (!asked)
        peers->turned(peers->context, redis, NULL, (struct span){0});
    if (topic.len > 0 && redis_nodes_topic(redis, topic)) {
        redis_nodes_unheard(redis);
        return;
    }
    struct span name = name_of(redis, topic);
    if (!name.ptr || remote_rejoin(redis->helper, redis->set, name.ptr, name.len) == 0)
        return;
    uint64_t hash = hub_hash(redis->set, name.ptr, name.len);
    fall_behind(redis, home_of(hash, helper_participant(redis->set, 0)));
}

static int ponged(struct redis *redis)
{
    if (redis->news_sent.count == 0 || sent_first(&redis->news_sent)->kind != SENT_PING)
        return -EPROTO;
    sent_take(&redis->news_sent);
    return 0;
}

int redis_take_news(struct redis *redis, const redisReply *reply)
{
    struct span kind = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
                           ? text_of(reply->element[0])
                           : text_of(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        return refused(redis, span_of(reply->str, (size_t)reply->len));
    const bool sharded = redis_in_cluster(redis);
    const struct span message = sharded ? SPAN("smessage") : SPAN("message");
    const struct span confirmed = sharded ? SPAN("ssubscribe") : SPAN("subscribe");
    const struct span ended = sharded ? SPAN("sunsubscribe") : SPAN("unsubscribe");
    if (span_equal(kind, message) && is_array(reply, 3)) {
        message_come(redis, text_of(reply->element[1]), text_of(reply->element[2]));
        return 0;
    }
    if (span_equal(kind, confirmed))
        return subscribed(redis);
    if (span_equal(kind, ended) && is_array(reply, 3)) {
        unsubscribed(redis, text_of(reply->element[1]));
        return 0;
    }
    /* Without a subscription it is a plain PONG. */
    if (span_equal(kind, SPAN("pong")) || span_equal(kind, SPAN("PONG")))
        return ponged(redis);
    return -EPROTO;
}
