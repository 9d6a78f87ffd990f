#include "transport/deltas.h"

#include <stdlib.h>

#include "core/message.h"
#include "wire/delta.h"

struct deltas_made {
    struct delta_maker *maker; /* or NULL */
    bool tried;                /* of this batch */
    struct span *of_batch;     /* or NULL: there are none */
    char *text;                /* in which they lie */
};

static struct span payload_of(const struct message *message)
{
    return span_of(message_payload(message), message->payload_len);
}

static const struct message *before_of(const struct hub_batch *batch, unsigned i)
{
    return i > 0 ? batch->messages[i - 1] : batch->before;
}

static bool may_have(const struct shard *shard, const struct hub_batch *batch, unsigned i)
{
    const struct message *message = batch->messages[i], *before = before_of(batch, i);
    size_t most = (size_t)shard->settings->delta_bytes_max;
    return message->delta && before && message->utf8 && before->utf8 &&
           message->payload_len <= most && before->payload_len <= most;
}

/* Of those that may have one; 0: nobody has. */
static size_t text_size(const struct shard *shard, const struct hub_batch *batch)
{
    size_t size = 0;
    for (unsigned i = 0; i < batch->count; i++)
        size += may_have(shard, batch, i) ? batch->messages[i]->payload_len : 0;
    return size;
}

static size_t make_one(struct shard *shard, struct delta_maker *maker,
                       const struct hub_batch *batch, unsigned i, char *area)
{
    struct span target = payload_of(batch->messages[i]);
    size_t len = delta_make(maker, area, payload_of(before_of(batch, i)), target);
    counter_add(&shard->counters.deltas, 1);
    counter_add(&shard->counters.delta_bytes_plain, target.len);
    counter_add(&shard->counters.delta_bytes, len > 0 ? len : target.len);
    return len;
}

static void make(struct shard *shard, struct deltas_made *made, const struct hub_batch *batch)
{
    size_t size = text_size(shard, batch), used = 0;
    if (size == 0)
        return;
    if (!made->maker)
        made->maker = delta_maker_create((size_t)shard->settings->delta_bytes_max);
    made->of_batch = made->maker ? calloc(batch->count, sizeof *made->of_batch) : NULL;
    made->text = made->of_batch ? malloc(size) : NULL;
    if (!made->text) {
        deltas_release(shard);
        made->tried = true;
        return;
    }
    for (unsigned i = 0; i < batch->count; i++) {
        if (!may_have(shard, batch, i))
            continue;
        size_t len = make_one(shard, made->maker, batch, i, made->text + used);
        made->of_batch[i] = span_of(made->text + used, len);
        used += len;
    }
}

const struct span *deltas_of(struct shard *shard, const struct hub_batch *batch)
{
    if (!shard->deltas)
        shard->deltas = calloc(1, sizeof *shard->deltas);
    struct deltas_made *made = shard->deltas;
    if (!made)
        return NULL;
    if (!made->tried) {
        made->tried = true;
        make(shard, made, batch);
    }
    return made->of_batch;
}

void deltas_release(struct shard *shard)
{
    struct deltas_made *made = shard->deltas;
    if (!made)
        return;
    free(made->of_batch);
    free(made->text);
    made->of_batch = NULL;
    made->text = NULL;
    made->tried = false;
}

void deltas_done(struct shard *shard)
{
    deltas_release(shard);
    if (!shard->deltas)
        return;
    delta_maker_free(shard->deltas->maker);
    free(shard->deltas);
    shard->deltas = NULL;
}
