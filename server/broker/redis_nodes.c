/* redis_nodes: what nodes ask each other, over Redis.
 *
 *   PREFIX:!all          questions to all
 *   PREFIX:!NODE         questions to one, and answers to it; 16 hex digits
 *   PREFIX:!orders       stream: the newest orders
 *
 * In a Redis Cluster {!} is in the place of the exclamation mark, so that all of it has one slot.
 * No channel has an exclamation mark. PUBLISH answers with how many heard it: so many answers
 * are waited for, this node's own ears left out. */
#include "broker/redis_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/encoding.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    ORDERS_PAGE = 256, /* old orders asked for at a time */
    ORDERS_MS = 1000,  /* until what was refused is asked for again */
    LOOK_MS = 20,
    LISTEN_MS = 50, /* until a topic that was refused is asked for again */
};

/* What is behind the prefix of all that is the nodes' own. */
static const char *mark_of(const struct redis *redis)
{
    return redis_in_cluster(redis) ? ":{!}" : ":!";
}

static size_t topic_all(const struct redis *redis, char ret[TOPIC_MAX])
{
    return (size_t)snprintf(ret, TOPIC_MAX, "%s%sall", redis->config.prefix, mark_of(redis));
}

static size_t topic_node(const struct redis *redis, uint64_t node, char ret[TOPIC_MAX])
{
    return (size_t)snprintf(ret, TOPIC_MAX, "%s%s%016" PRIx64, redis->config.prefix, mark_of(redis),
                            node);
}

static size_t topic_orders(const struct redis *redis, char ret[TOPIC_MAX])
{
    return (size_t)snprintf(ret, TOPIC_MAX, "%s%sorders", redis->config.prefix, mark_of(redis));
}

/* ---- questions ---- */

static void close_if_all(struct redis *redis, struct nodes_ask *ask)
{
    if (ask->answered >= ask->expected)
        nodes_close(&redis->desk, ask, 0);
}

static int send_bytes(struct redis *redis, struct span topic, struct span head, struct span text)
{
    char *body = malloc(head.len + text.len);
    if (!body)
        return -ENOMEM;
    memcpy(body, head.ptr, head.len);
    if (text.len > 0)
        memcpy(body + head.len, text.ptr, text.len);
    const struct span verb = redis_in_cluster(redis) ? SPAN("SPUBLISH") : SPAN("PUBLISH");
    const struct span publish[] = {verb, topic, span_of(body, head.len + text.len)};
    int err = redis_link_send(&redis->commands, publish, 3);
    free(body);
    return err;
}

/* An order is kept before it is told; the script says of both. */
static int send_order(struct redis *redis, const struct nodes_ask *ask, struct span head,
                      bool whole)
{
    char key[TOPIC_MAX], topic[TOPIC_MAX], most[24];
    struct span orders = span_of(key, topic_orders(redis, key));
    struct span all = span_of(topic, topic_all(redis, topic));
    int most_len = snprintf(most, sizeof most, "%" PRIu32, redis->config.orders_max);
    char *body = malloc(head.len + ask->len);
    if (!body)
        return -ENOMEM;
    memcpy(body, head.ptr, head.len);
    memcpy(body + head.len, ask->text, ask->len);
    const char *text = script_texts[redis_in_cluster(redis)][SCRIPT_ORDER];
    const struct span words[] = {
        span_from(whole ? "EVAL" : "EVALSHA"),
        span_from(whole ? text : redis->greeting.shas[SCRIPT_ORDER]),
        SPAN("1"),
        orders,
        span_of(body, head.len + ask->len),
        span_of(most, (size_t)most_len),
        all,
    };
    int err = redis_link_send(&redis->commands, words, sizeof words / sizeof *words);
    free(body);
    return err;
}

/* The first to set it has it. */
static int send_take(struct redis *redis, const struct nodes_ask *ask)
{
    char key[TOPIC_MAX];
    const char *space = memchr(ask->text, ' ', ask->len);
    size_t len = space ? (size_t)(space - ask->text) : 0;
    assert(space && len <= NODES_NUMBER_BYTES);
    int key_len = snprintf(key, sizeof key, "%s%sticket:%.*s", redis->config.prefix, mark_of(redis),
                           (int)len, ask->text);
    const struct span words[] = {
        SPAN("SET"), span_of(key, (size_t)key_len),          SPAN("1"), SPAN("NX"),
        SPAN("PX"),  span_of(space + 1, ask->len - len - 1),
    };
    return redis_link_send(&redis->commands, words, sizeof words / sizeof *words);
}

static int send_question(struct redis *redis, const struct nodes_ask *ask, bool whole)
{
    char topic[TOPIC_MAX], head[NODES_HEAD_BYTES];
    const struct nodes_said said = {.from = redis->desk.self, .id = ask->id, .kind = ask->kind};
    nodes_head_write(head, &said);
    if (redis->commands_sent.count == SENT_MAX)
        return -ENOBUFS;
    struct span to = {topic, 0};
    to.len = ask->to != 0 ? topic_node(redis, ask->to, topic) : topic_all(redis, topic);
    int err = ask->kind == NODES_TAKE ? send_take(redis, ask)
              : nodes_is_order(ask->kind)
                  ? send_order(redis, ask, span_of(head, sizeof head), whole)
                  : send_bytes(redis, to, span_of(head, sizeof head), span_of(ask->text, ask->len));
    if (err == 0)
        sent_add(&redis->commands_sent,
                 (struct sent){.kind = SENT_QUESTION, .id = ask->id, .whole = whole});
    return err;
}

static void ask_now(struct redis *redis, struct nodes_ask *ask)
{
    int err = send_question(redis, ask, false);
    if (err < 0)
        nodes_close(&redis->desk, ask, err);
}

/* What is asked before this node hears answers waits for that. */
void redis_question(struct redis *redis, struct nodes_ask *ask)
{
    int64_t until_ns = redis->now_ns + redis->config.address.timeout_ms * NS_PER_MS;
    int err =
        redis_up(redis) ? nodes_open(&redis->desk, ask, redis_random(redis), until_ns) : -ENOTCONN;
    if (err < 0) {
        ask->call.err = err;
        helper_answer(redis->helper, &ask->call);
    } else if (redis->listening == REDIS_NODE_TOPICS) {
        ask_now(redis, ask);
    }
}

/* ---- answers of Redis ---- */

/* How many hear it. Returns -1 for what is no number of those. */
static long long heard_by(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
        reply = reply->element[0];
    return reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 && reply->integer < UINT16_MAX
               ? reply->integer
               : -1;
}

static void question_sent(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    struct nodes_ask *ask = nodes_open_of(&redis->desk, sent->id);
    if (!ask)
        return;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0 &&
        !sent->whole) {
        if (send_question(redis, ask, true) < 0)
            nodes_close(&redis->desk, ask, -ENOTCONN);
        return;
    }
    if (ask->kind == NODES_TAKE) {
        bool is_error = reply->type == REDIS_REPLY_ERROR;
        if (is_error)
            redis_count(&redis->counters.errors);
        bool is_ours = reply->type == REDIS_REPLY_STATUS;
        nodes_close(&redis->desk, ask, is_ours ? 0 : is_error ? -ENOTCONN : -EEXIST);
        return;
    }
    long long count = heard_by(reply);
    if (count < 0) {
        redis_count(&redis->counters.errors);
        nodes_close(&redis->desk, ask, -ENOTCONN);
    } else if (ask->to != 0 && count == 0) {
        nodes_close(&redis->desk, ask, -ENOENT);
    } else {
        ask->expected = ask->to != 0 ? 1 : count > 0 ? (unsigned)count - 1 : 0;
        close_if_all(redis, ask);
    }
}

/* Without room it is asked for in another turn. */
static void send_orders_page(struct redis *redis)
{
    char key[TOPIC_MAX], from[REDIS_ORDER_MAX + 1];
    int from_len = snprintf(from, sizeof from, "(%s", redis->orders_at);
    const struct span words[] = {
        SPAN("XRANGE"),
        span_of(key, topic_orders(redis, key)),
        span_of(from, (size_t)from_len),
        SPAN("+"),
        SPAN("COUNT"),
        SPAN("256"),
    };
    if (redis->commands_sent.count == SENT_MAX ||
        redis_link_send(&redis->commands, words, sizeof words / sizeof *words) < 0)
        return;
    sent_add(&redis->commands_sent, (struct sent){.kind = SENT_ORDERS});
    redis->orders_asked = true;
}

static void hear(struct redis *redis, const struct nodes_said *said, bool old)
{
    if (nodes_hear(&redis->desk, said, old) < 0)
        redis_count(&redis->counters.unheard);
}

static bool order_id_read(char ret[REDIS_ORDER_MAX], struct span id)
{
    if (id.len == 0 || id.len >= REDIS_ORDER_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if ((id.ptr[i] < '0' || id.ptr[i] > '9') && id.ptr[i] != '-')
            return false;
    memcpy(ret, id.ptr, id.len);
    ret[id.len] = '\0';
    return true;
}

static struct span string_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? span_of(reply->str, (size_t)reply->len)
                                             : (struct span){0};
}

/* [id, ["o", order]]. One that came before this node began is of interest as far as it still
 * counts: sessions that it could end are not there yet. */
static bool old_order(struct redis *redis, const redisReply *entry)
{
    struct nodes_said said;
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        !order_id_read(redis->orders_at, string_of(entry->element[0])))
        return false;
    const redisReply *fields = entry->element[1];
    if (fields->type != REDIS_REPLY_ARRAY || fields->elements != 2 ||
        nodes_said_read(&said, string_of(fields->element[1])) < 0 || said.is_answer ||
        !nodes_is_order(said.kind)) {
        redis_count(&redis->counters.foreign);
        return true;
    }
    bool own = said.from == redis->desk.self;
    if (!own && (said.kind == NODES_REVOKE || redis->orders_known))
        hear(redis, &said, true);
    return true;
}

/* Until all are read they are asked for again, behind the last that was. What is heard meanwhile
 * may be read again then: an order is done at least once. */
static void orders_come(struct redis *redis, const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; good && i < reply->elements; i++)
        good = old_order(redis, reply->element[i]);
    redis->orders_asked = false;
    if (!good) {
        redis_count(reply->type == REDIS_REPLY_ERROR ? &redis->counters.errors
                                                     : &redis->counters.foreign);
        redis->orders_ns = redis->now_ns + ORDERS_MS * NS_PER_MS;
    } else if (reply->elements < ORDERS_PAGE) {
        redis->orders_known = true;
        redis->orders_read = true;
    }
}

static void orders_read_on(struct redis *redis)
{
    bool hears = redis->listening == REDIS_NODE_TOPICS && !redis->config.follows;
    if (hears && !redis->orders_read && !redis->orders_asked && redis->orders_ns <= redis->now_ns)
        send_orders_page(redis);
}

void redis_nodes_answered(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    const struct redis_peers *peers = redis->config.peers;
    if (peers && reply->type == REDIS_REPLY_ERROR)
        peers->turned(peers->context, redis, NULL, span_of(reply->str, (size_t)reply->len));
    if (sent->kind == SENT_QUESTION)
        question_sent(redis, sent, reply);
    else if (sent->kind == SENT_ORDERS)
        orders_come(redis, reply);
    else if (reply->type == REDIS_REPLY_ERROR)
        redis_count(&redis->counters.errors);
}

/* ---- what comes ---- */

void redis_nodes_say(void *engine, const struct nodes_heard *heard)
{
    struct redis *redis = engine;
    char topic[TOPIC_MAX], head[NODES_HEAD_BYTES];
    const struct nodes_said said = {
        .is_answer = true, .from = redis->desk.self, .id = heard->id, .err = heard->call.err};
    if (!redis_up(redis) || redis->commands_sent.count == SENT_MAX)
        return;
    nodes_head_write(head, &said);
    struct span to = {topic, topic_node(redis, heard->from, topic)};
    if (send_bytes(redis, to, span_of(head, sizeof head),
                   span_of(heard->answer, heard->answer_len)) == 0)
        sent_add(&redis->commands_sent, (struct sent){.kind = SENT_SAY});
}

static void answer_come(struct redis *redis, const struct nodes_said *said)
{
    struct nodes_ask *ask = nodes_open_of(&redis->desk, said->id);
    if (!ask)
        return;
    int err = nodes_answer_add(ask, said->err, said->text);
    if (err < 0) {
        nodes_close(&redis->desk, ask, err);
        return;
    }
    ask->answered++;
    close_if_all(redis, ask);
}

/* An order has its place in the stream before it. */
static struct span order_place(struct redis *redis, struct span body)
{
    char id[REDIS_ORDER_MAX];
    const char *space = body.len > 0 && body.ptr[0] >= '0' && body.ptr[0] <= '9'
                            ? memchr(body.ptr, ' ', body.len)
                            : NULL;
    if (!space)
        return body;
    size_t len = (size_t)(space - body.ptr);
    if (order_id_read(id, span_of(body.ptr, len)) && redis->orders_read)
        memcpy(redis->orders_at, id, sizeof id);
    return span_skip(body, len + 1);
}

bool redis_nodes_topic(const struct redis *redis, struct span topic)
{
    const size_t len = strlen(redis->config.prefix);
    const struct span mark = span_from(mark_of(redis));
    return topic.len >= len + mark.len && memcmp(topic.ptr, redis->config.prefix, len) == 0 &&
           memcmp(topic.ptr + len, mark.ptr, mark.len) == 0;
}

bool redis_nodes_come(struct redis *redis, struct span topic, struct span body)
{
    struct nodes_said said;
    if (!redis_nodes_topic(redis, topic))
        return false;
    if (nodes_said_read(&said, order_place(redis, body)) < 0)
        redis_count(&redis->counters.foreign);
    else if (said.is_answer)
        answer_come(redis, &said);
    else if (said.from != redis->desk.self)
        hear(redis, &said, false);
    return true;
}

/* ---- links ---- */

int redis_nodes_listen(struct redis *redis)
{
    char topic[TOPIC_MAX];
    orders_read_on(redis);
    if (redis->asked_to_listen || redis->config.follows || redis->listen_ns > redis->now_ns)
        return 0;
    redis->asked_to_listen = true;
    for (unsigned i = 0; i < REDIS_NODE_TOPICS; i++) {
        size_t len = i == 0 ? topic_all(redis, topic) : topic_node(redis, redis->desk.self, topic);
        const struct span verb = redis_in_cluster(redis) ? SPAN("SSUBSCRIBE") : SPAN("SUBSCRIBE");
        const struct span words[] = {verb, span_of(topic, len)};
        if (redis->news_sent.count == SENT_MAX || redis_link_send(&redis->news, words, 2) < 0)
            return -ENOMEM;
        sent_add(&redis->news_sent, (struct sent){.kind = SENT_SUBSCRIBE, .own = true});
    }
    return 0;
}

void redis_nodes_listening(struct redis *redis)
{
    if (++redis->listening < REDIS_NODE_TOPICS)
        return;
    for (unsigned i = 0; redis->desk.open_count > 0 && i < NODES_OPEN_MAX; i++)
        if (redis->desk.open[i])
            ask_now(redis, redis->desk.open[i]);
}

void redis_nodes_lost(struct redis *redis)
{
    redis->asked_to_listen = false;
    redis->listening = 0;
    redis->orders_read = redis->orders_asked = false;
    redis->orders_ns = 0;
    nodes_close_all(&redis->desk, -ETIMEDOUT);
}

void redis_nodes_unheard(struct redis *redis)
{
    if (redis->config.follows)
        return;
    redis_nodes_lost(redis);
    redis->listen_ns = redis->now_ns + LISTEN_MS * NS_PER_MS;
}

void redis_nodes_expire(struct redis *redis)
{
    if (redis->desk.open_count == 0 || redis->now_ns - redis->looked_ns < LOOK_MS * NS_PER_MS)
        return;
    redis->looked_ns = redis->now_ns;
    nodes_close_old(&redis->desk, redis->now_ns);
}
