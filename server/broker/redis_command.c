/* redis_command: what is asked, as commands. */
#include "broker/redis_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/encoding.h"
#include "hub/rules.h"

enum {
    NUMBER_TEXT_MAX = 24,
    EPOCH_TEXT_MAX = 17,
};

struct names {
    char meta[TOPIC_MAX + 8], history[TOPIC_MAX + 8], topic[TOPIC_MAX];
    char keys[TOPIC_MAX + 8], order[TOPIC_MAX + 8]; /* of publishes */
    size_t topic_len;
};

/* Those of keys that last longer are others, for each is in the order of its ends. */
static void names_make(struct names *ret, const struct redis *redis, const struct remote_ask *ask,
                       bool lasting)
{
    const char *prefix = redis->config.prefix;
    int len = ask->name_len;
    snprintf(ret->meta, sizeof ret->meta, "%s:{%.*s}:m", prefix, len, ask->name);
    snprintf(ret->history, sizeof ret->history, "%s:{%.*s}:h", prefix, len, ask->name);
    snprintf(ret->keys, sizeof ret->keys, "%s:{%.*s}:%c", prefix, len, ask->name,
             lasting ? 'l' : 'k');
    snprintf(ret->order, sizeof ret->order, "%s:{%.*s}:%c", prefix, len, ask->name,
             lasting ? 'r' : 'q');
    bool braces = redis_in_cluster(redis);
    ret->topic_len = (size_t)snprintf(ret->topic, sizeof ret->topic, "%s:%s%.*s%s", prefix,
                                      braces ? "{" : "", len, ask->name, braces ? "}" : "");
}

/* A command under way: its arguments, and the texts of numbers among them. */
struct command {
    struct span arguments[REDIS_ARGUMENTS_MAX];
    int count;
    char texts[REDIS_ARGUMENTS_MAX][NUMBER_TEXT_MAX];
};

static void add(struct command *command, struct span argument)
{
    assert(command->count < REDIS_ARGUMENTS_MAX);
    command->arguments[command->count++] = argument;
}

static void add_number(struct command *command, uint64_t number)
{
    char *text = command->texts[command->count];
    add(command, span_of(text, (size_t)snprintf(text, NUMBER_TEXT_MAX, "%" PRIu64, number)));
}

static void add_epoch(struct command *command, uint64_t epoch)
{
    char *text = command->texts[command->count];
    add(command, span_of(text, (size_t)snprintf(text, NUMBER_TEXT_MAX, "%016" PRIx64, epoch)));
}

/* With 20 digits, so that texts compare as numbers do. */
static void add_version(struct command *command, uint64_t version)
{
    char *text = command->texts[command->count];
    add(command, span_of(text, (size_t)snprintf(text, NUMBER_TEXT_MAX, "%020" PRIu64, version)));
}

static void begin(struct command *command, struct redis *redis, const struct names *names,
                  enum script script, bool whole, bool with_keys)
{
    command->count = 0;
    add(command, span_from(whole ? "EVAL" : "EVALSHA"));
    const char *text = script_texts[redis_in_cluster(redis)][script];
    add(command, span_from(whole ? text : redis->greeting.shas[script]));
    add(command, with_keys ? SPAN("4") : SPAN("2"));
    add(command, span_from(names->meta));
    add(command, span_from(names->history));
    if (with_keys) {
        add(command, span_from(names->keys));
        add(command, span_from(names->order));
    }
    add_epoch(command, redis_random(redis) | 1);
    add(command, span_from(redis->greeting.life));
    add(command, redis->greeting.durable ? SPAN("1") : SPAN("0"));
    add_number(command, (uint64_t)redis->config.ttl_ms);
    add_number(command, redis->greeting.seen_ms);
}

static void add_bounds(struct command *command, const struct hub_rules *rules)
{
    add_number(command, rules->messages_max);
    add_number(command,
               rules->bytes_max < (UINT64_C(1) << 52) ? rules->bytes_max : UINT64_C(1) << 52);
    add_number(command, (uint64_t)(rules->age_ns / 1000000));
}

/* One that goes alone is written as it is. */
static size_t bodies_size(const struct remote_ask *ask)
{
    size_t len = encoding_size(ask->message);
    if (!ask->call.next)
        return len;
    for (len = 1; ask; ask = (const struct remote_ask *)ask->call.next)
        len += ENCODING_ITEM_HEAD + encoding_size(ask->message);
    return len;
}

static void bodies_write(char *at, const struct remote_ask *ask)
{
    if (!ask->call.next) {
        encoding_write(at, ask->message);
        return;
    }
    *at++ = ENCODING_SEVERAL;
    for (; ask; ask = (const struct remote_ask *)ask->call.next) {
        size_t len = encoding_size(ask->message);
        encoding_item_write(at, len);
        encoding_write(at + ENCODING_ITEM_HEAD, ask->message);
        at += ENCODING_ITEM_HEAD + len;
    }
}

/* What it is, with those behind it. To be freed; NULL when memory is out. */
static struct span body_make(const struct remote_ask *ask)
{
    size_t len = bodies_size(ask);
    char *body = malloc(len);
    if (body)
        bodies_write(body, ask);
    return span_of(body, len);
}

static void body_free(struct span body)
{
    free((char *)(uintptr_t)body.ptr);
}

/* Where it is published, and as what. */
static void add_message(struct command *command, const struct names *names, struct span body)
{
    add(command, span_of(names->topic, names->topic_len));
    add(command, body);
}

/* How many have a place: of a batch all or none. */
static uint64_t numbered(const struct remote_ask *ask)
{
    uint64_t count = 0;
    for (; ask; ask = (const struct remote_ask *)ask->call.next)
        count += ask->message->kind == MESSAGE_PUBLICATION;
    return count;
}

static void add_terms(struct command *command, const struct redis *redis,
                      const struct message_terms *terms)
{
    if (terms->key != 0)
        add_epoch(command, terms->key);
    else
        add(command, SPAN(""));
    if (terms->version != 0)
        add_version(command, terms->version);
    else
        add(command, SPAN(""));
    if (terms->version_epoch != 0)
        add_epoch(command, terms->version_epoch);
    else
        add(command, SPAN(""));
    const struct redis_config *config = &redis->config;
    add_number(command, terms->lasting ? config->lasting_max : config->keys_max);
    add_number(command, (uint64_t)(terms->lasting ? config->lasting_ms : config->keys_ms));
}

static int send_publish(struct redis *redis, const struct remote_ask *ask, struct span body,
                        bool whole)
{
    const struct message *message = ask->message;
    struct message_terms terms = {0};
    struct command command;
    struct names names;
    if (message->has_terms)
        terms = message_terms(message);
    names_make(&names, redis, ask, terms.lasting);
    begin(&command, redis, &names, SCRIPT_PUBLISH, whole, terms.key != 0);
    add_message(&command, &names, body);
    add_bounds(&command, ask->rules);
    add_number(&command, numbered(ask));
    add(&command, message->last ? SPAN("1") : SPAN("0"));
    add_terms(&command, redis, &terms);
    return redis_link_send(&redis->commands, command.arguments, command.count);
}

/* Lua hashes each byte of each text that it is given or makes, which for a large one takes most of
 * its time. What the script has no need to look at goes past it. What has terms may turn out not to
 * be published. */
static bool goes_apart(const struct redis *redis, const struct remote_ask *ask, size_t len)
{
    bool kept = ask->rules->messages_max > 0 && ask->message->kind == MESSAGE_PUBLICATION;
    return redis->greeting.transacts && !kept && !ask->message->has_terms && !ask->message->last &&
           len >= APART_BYTES_MIN;
}

/* Nothing comes between the two. */
static int send_apart(struct redis *redis, const struct remote_ask *ask, struct span body)
{
    static const char text[] = {ENCODING_APART};
    const struct span multi = SPAN("MULTI"), exec = SPAN("EXEC");
    struct names names;
    names_make(&names, redis, ask, false);
    const struct span verb = redis_in_cluster(redis) ? SPAN("SPUBLISH") : SPAN("PUBLISH");
    const struct span publish[] = {verb, span_of(names.topic, names.topic_len), body};
    int err = redis_link_send(&redis->commands, &multi, 1);
    if (err == 0)
        err = send_publish(redis, ask, span_of(text, sizeof text), false);
    if (err == 0)
        err = redis_link_send(&redis->commands, publish, 3);
    if (err == 0)
        err = redis_link_send(&redis->commands, &exec, 1);
    for (unsigned i = 1; err == 0 && i < APART_COMMANDS; i++)
        sent_add(&redis->commands_sent, (struct sent){.kind = SENT_QUEUED});
    return err;
}

static int send_forget(struct redis *redis, const struct remote_ask *ask, struct span body,
                       bool whole)
{
    struct command command;
    struct names names;
    names_make(&names, redis, ask, false);
    begin(&command, redis, &names, SCRIPT_FORGET, whole, false);
    add_message(&command, &names, body);
    return redis_link_send(&redis->commands, command.arguments, command.count);
}

static int send_join(struct redis *redis, const struct remote_ask *ask, bool whole)
{
    struct command command;
    struct names names;
    names_make(&names, redis, ask, false);
    begin(&command, redis, &names, SCRIPT_JOIN, whole, false);
    add_number(&command, ask->rules->messages_max);
    if (ask->stands)
        add_epoch(&command, ask->epoch);
    else
        add(&command, SPAN(""));
    add_number(&command, ask->offset);
    return redis_link_send(&redis->commands, command.arguments, command.count);
}

static int send_message(struct redis *redis, const struct remote_ask *ask, bool whole,
                        bool may_be_apart, enum sent_kind *ret)
{
    struct span body = body_make(ask);
    if (!body.ptr)
        return -ENOMEM;
    bool apart =
        ask->kind == REMOTE_PUBLISH && !whole && may_be_apart && goes_apart(redis, ask, body.len);
    int err = apart                         ? send_apart(redis, ask, body)
              : ask->kind == REMOTE_PUBLISH ? send_publish(redis, ask, body, whole)
                                            : send_forget(redis, ask, body, whole);
    body_free(body);
    *ret = apart ? SENT_APART : SENT_SCRIPT;
    return err;
}

static int send_script(struct redis *redis, struct remote_ask *ask, bool whole, bool may_be_apart)
{
    enum sent_kind kind = SENT_SCRIPT;
    int err = 0;
    if (redis->commands_sent.count + APART_COMMANDS > SENT_MAX)
        return -ENOBUFS;
    switch (ask->kind) {
    case REMOTE_PUBLISH:
    case REMOTE_FORGET:
        err = send_message(redis, ask, whole, may_be_apart, &kind);
        break;
    case REMOTE_JOIN:
        err = send_join(redis, ask, whole);
        break;
    case REMOTE_LEAVE:
        assert(!"leaving is no script");
    }
    if (err == 0)
        sent_add(&redis->commands_sent, (struct sent){.kind = kind, .ask = ask, .whole = whole});
    return err;
}

int redis_send_script(struct redis *redis, struct remote_ask *ask, bool whole)
{
    return send_script(redis, ask, whole, true);
}

int redis_send_through(struct redis *redis, struct remote_ask *ask)
{
    return send_script(redis, ask, false, false);
}

/* It counts for one command. */
int redis_send_asking(struct redis *redis, struct remote_ask *ask, bool whole)
{
    const struct span asking = SPAN("ASKING");
    if (redis->commands_sent.count + 1 + APART_COMMANDS > SENT_MAX)
        return -ENOBUFS;
    int err = redis_link_send(&redis->commands, &asking, 1);
    if (err == 0)
        sent_add(&redis->commands_sent, (struct sent){.kind = SENT_QUEUED});
    if (err == 0)
        err = send_script(redis, ask, whole, false);
    if (err == 0)
        sent_last(&redis->commands_sent)->asking = true;
    return err;
}

static bool send_plain(struct redis *redis, const struct span *words, int count,
                       enum sent_kind kind)
{
    if (!redis_up(redis) || redis->commands_sent.count == SENT_MAX ||
        redis_link_send(&redis->commands, words, count) < 0)
        return false;
    sent_add(&redis->commands_sent, (struct sent){.kind = kind});
    return true;
}

bool redis_ask_slots(struct redis *redis)
{
    const struct span words[] = {SPAN("CLUSTER"), SPAN("SLOTS")};
    return send_plain(redis, words, 2, SENT_SLOTS);
}

bool redis_probe(struct redis *redis)
{
    char key[TOPIC_MAX];
    int len = snprintf(key, sizeof key, "%s:{!}probe", redis->config.prefix);
    const struct span words[] = {SPAN("HGET"), span_of(key, (size_t)len), SPAN("x")};
    return send_plain(redis, words, 3, SENT_PROBE);
}

static int send_topic(struct redis *redis, const char *verb, const struct remote_ask *ask)
{
    struct names names;
    names_make(&names, redis, ask, false);
    const struct span arguments[] = {span_from(verb), span_of(names.topic, names.topic_len)};
    return redis_link_send(&redis->news, arguments, 2);
}

int redis_send_ask(struct redis *redis, struct remote_ask *ask)
{
    int err = 0;
    switch (ask->kind) {
    case REMOTE_PUBLISH:
    case REMOTE_FORGET:
        return redis_send_script(redis, ask, false);
    case REMOTE_JOIN:
        if (redis->news_sent.count == SENT_MAX)
            return -ENOBUFS;
        err = send_topic(redis, redis_in_cluster(redis) ? "SSUBSCRIBE" : "SUBSCRIBE", ask);
        if (err == 0)
            sent_add(&redis->news_sent, (struct sent){.kind = SENT_SUBSCRIBE, .ask = ask});
        break;
    case REMOTE_LEAVE:
        err = send_topic(redis, redis_in_cluster(redis) ? "SUNSUBSCRIBE" : "UNSUBSCRIBE", ask);
        redis->leaves += err == 0;
        if (err == 0)
            redis_answer(redis, ask, 0);
        break;
    }
    return err;
}

int redis_send_ping(struct redis *redis, struct redis_link *link, struct sent_ring *sent)
{
    const struct span ping[] = {SPAN("PING")};
    if (sent->count == SENT_MAX)
        return 0;
    int err = redis_link_send(link, ping, 1);
    if (err == 0) {
        link->pinged_ns = redis->now_ns;
        sent_add(sent, (struct sent){.kind = SENT_PING});
    }
    return err;
}
