/* redis_queue: asks that wait to be sent, and publishes that go together.
 *
 *   queue:  a1 b1 a2 join(c) a3 ─► batches: [a1 a2 a3] [b1], join(c)
 *
 * What came in one turn for one channel is one command: a script takes as long for its own sake as
 * for the messages of a batch. Nobody waits for more to come. */
#include "broker/redis_internal.h"

#include <errno.h>
#include <string.h>

#include "broker/encoding.h"

static_assert((BATCHES_MAX & (BATCHES_MAX - 1)) == 0, "a mask");

/* ---- the list ---- */

void redis_queue_push(struct redis *redis, struct remote_ask *ask)
{
    struct ask_list *list = &redis->queue;
    redis->publishes += ask->kind == REMOTE_PUBLISH;
    ask->call.next = NULL;
    if (list->first)
        list->last->next = &ask->call;
    else
        list->first = &ask->call;
    list->last = &ask->call;
    list->count++;
}

struct remote_ask *redis_queue_pop(struct redis *redis)
{
    struct ask_list *list = &redis->queue;
    struct remote_ask *ask = (struct remote_ask *)list->first;
    if (!ask)
        return NULL;
    list->first = ask->call.next;
    list->count--;
    redis->publishes -= ask->kind == REMOTE_PUBLISH;
    ask->call.next = NULL;
    return ask;
}

/* ---- batches ---- */

static bool same_channel(const struct remote_ask *one, const struct remote_ask *other)
{
    return one->hash == other->hash && one->name_len == other->name_len &&
           memcmp(one->name, other->name, one->name_len) == 0;
}

/* What has terms of its own, or ends its channel, goes by itself. */
static bool goes_with_others(const struct remote_ask *ask)
{
    return ask->kind == REMOTE_PUBLISH && !ask->message->has_terms && !ask->message->last;
}

static bool has_place(const struct message *message)
{
    return message->kind == MESSAGE_PUBLICATION;
}

/* Numbered ones and events are told apart by the script. */
static bool fits(const struct batch *batch, const struct remote_ask *ask, size_t bytes)
{
    return same_channel(batch->first, ask) &&
           has_place(batch->first->message) == has_place(ask->message) &&
           batch->count < BATCH_MESSAGES_MAX && batch->bytes + bytes <= BATCH_BYTES_MAX;
}

static int send(struct redis *redis, struct remote_ask *ask)
{
    int err = redis_send_ask(redis, ask);
    if (err < 0)
        redis_answer(redis, ask, -ENOTCONN);
    return err;
}

static int batch_send(struct redis *redis, struct batch *batch)
{
    struct remote_ask *first = batch->first;
    if (!first)
        return 0;
    first->until_ns = batch->last->until_ns;
    *batch = (struct batch){0};
    return send(redis, first);
}

static int batch_add(struct redis *redis, struct batch *batch, struct remote_ask *ask)
{
    size_t bytes = ENCODING_ITEM_HEAD + encoding_size(ask->message);
    int err = batch->first && !fits(batch, ask, bytes) ? batch_send(redis, batch) : 0;
    if (batch->first)
        batch->last->call.next = &ask->call;
    else
        batch->first = ask;
    batch->last = ask;
    batch->count++;
    batch->bytes += bytes;
    return err;
}

/* Behind what is asked of its channel before. */
static int take(struct redis *redis, struct remote_ask *ask)
{
    struct batch *batch = &redis->batches[ask->hash & (BATCHES_MAX - 1)];
    if (remote_canceled(ask)) {
        redis_answer(redis, ask, -ECANCELED);
        return 0;
    }
    if (goes_with_others(ask))
        return batch_add(redis, batch, ask);
    int err = batch->first && same_channel(batch->first, ask) ? batch_send(redis, batch) : 0;
    int sent = send(redis, ask);
    return err < 0 ? err : sent;
}

int redis_queue_send(struct redis *redis)
{
    int err = 0;
    while (err == 0 && redis->queue.first && redis->commands_sent.count < SENT_MAX / 2) {
        const struct remote_ask *next = (const struct remote_ask *)redis->queue.first;
        if (next->kind == REMOTE_JOIN && redis->news_sent.count == SENT_MAX)
            break;
        err = take(redis, redis_queue_pop(redis));
    }
    for (unsigned i = 0; i < BATCHES_MAX; i++) {
        int sent = batch_send(redis, &redis->batches[i]);
        err = err < 0 ? err : sent;
    }
    return err;
}
