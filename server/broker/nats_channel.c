/* nats_channel: what is asked of NATS for one channel. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/encoding.h"
#include "broker/nats_answer.h"
#include "broker/nats_internal.h"

enum {
    QUESTION_MAX = NATS_SUBJECT_MAX + 64,
    NUMBER_TEXT_MAX = 24,
    ANEW_CODE = 503, /* JetStream has no room */
};

static struct span name_of(const struct nats_channel *channel)
{
    return span_of(channel->name, channel->name_len);
}

/* ---- looking ---- */

static int get(struct nats *nats, struct nats_channel *channel, const char *question,
               enum channel_state state)
{
    char api[NATS_PREFIX_MAX + 32], reply[NATS_REPLY_MAX];
    natsMsg *message = NULL;
    snprintf(api, sizeof api, "$JS.API.STREAM.MSG.GET.%s", nats->config.address.prefix);
    nats_reply_to(reply, nats, channel, nats->tokens + 1);
    if (natsMsg_Create(&message, api, reply, question, (int)strlen(question)) != NATS_OK)
        return -ENOMEM;
    return nats_ask_for(nats, channel, message, state);
}

static int look(struct nats *nats, struct nats_channel *channel)
{
    char subject[NATS_SUBJECT_MAX], question[QUESTION_MAX];
    nats_subject_write(subject, nats->config.address.prefix, NATS_STORED, name_of(channel));
    snprintf(question, sizeof question, "{\"last_by_subj\":\"%s\"}", subject);
    return get(nats, channel, question, CHANNEL_LOOKING);
}

static int read_next(struct nats *nats, struct nats_channel *channel)
{
    char subject[NATS_SUBJECT_MAX], question[QUESTION_MAX];
    nats_subject_write(subject, nats->config.address.prefix, NATS_STORED, name_of(channel));
    snprintf(question, sizeof question, "{\"seq\":%" PRIu64 ",\"next_by_subj\":\"%s\"}",
             channel->read_at, subject);
    return get(nats, channel, question, CHANNEL_READING);
}

static void begin_anew(struct nats *nats, struct nats_channel *channel)
{
    channel->epoch = nats_random(nats) | 1;
    channel->offset = 0;
    channel->ended = channel->forgotten = false;
    channel->anew = true;
}

/* What the last item of a batch says of the channel: that it has ended, or that nothing is kept. */
static void last_item(struct nats_channel *channel, struct span items, size_t payload_max)
{
    struct span item;
    struct encoded read;
    channel->ended = channel->forgotten = false;
    while (encoding_item_next(&items, &item) == 1) {
        bool good = encoding_read(&read, item, payload_max) == 0;
        channel->ended = good && read.last;
        channel->forgotten = good && read.kind == MESSAGE_FORGET;
    }
}

/* The newest message of the channel says where it stands. One that is none of ours, or was sent to
 * a NATS that has been started again since, leaves nothing to stand on. */
static void looked(struct nats *nats, struct nats_channel *channel,
                   const struct nats_answer *answer)
{
    struct nats_batch batch;
    channel->known = true;
    channel->anew = false;
    channel->last = answer->seq;
    bool ours = answer->seq > 0 && nats_batch_read(&batch, span_of(answer->data, answer->len)) == 0;
    if (answer->seq > 0 && !ours)
        nats_count(&nats->counters.foreign);
    if (!ours || (batch.run != nats->link.run && !nats->config.durable)) {
        begin_anew(nats, channel);
        return;
    }
    channel->epoch = batch.epoch;
    channel->offset = batch.offset;
    last_item(channel, batch.items, nats->config.message_bytes_max);
}

/* ---- publishing ---- */

struct batch {
    char *bytes;
    size_t len, size;
};

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static size_t item_size(const struct message *message)
{
    return ENCODING_ITEM_HEAD + NATS_BATCH_HEAD + encoding_size(message);
}

static int batch_begin(struct batch *batch, const struct nats_batch *head, size_t size)
{
    *batch = (struct batch){.bytes = malloc(NATS_BATCH_HEAD + size)};
    if (!batch->bytes)
        return -ENOMEM;
    batch->size = NATS_BATCH_HEAD + size;
    batch->len = nats_batch_write(batch->bytes, head);
    return 0;
}

static void batch_add(struct batch *batch, const struct message *message, uint64_t epoch,
                      uint64_t offset, int64_t time_ms)
{
    char *item = batch->bytes + batch->len, *line = item + ENCODING_ITEM_HEAD;
    size_t size = encoding_size(message);
    assert(batch->size - batch->len >= item_size(message));
    size_t len = (size_t)snprintf(line, NATS_BATCH_HEAD, "%016" PRIx64 " %" PRIu64 " %" PRId64 "\n",
                                  epoch, offset, time_ms);
    encoding_write(line + len, message);
    encoding_item_write(item, len + size);
    batch->len += ENCODING_ITEM_HEAD + len + size;
}

/* Behind the newest that we know of, or not at all. `alone`: all before it may go. */
static int store(struct nats *nats, struct nats_channel *channel, const struct batch *batch,
                 bool alone)
{
    char subject[NATS_SUBJECT_MAX], reply[NATS_REPLY_MAX], number[NUMBER_TEXT_MAX];
    natsMsg *message = NULL;
    nats_subject_write(subject, nats->config.address.prefix, NATS_STORED, name_of(channel));
    nats_reply_to(reply, nats, channel, nats->tokens + 1);
    snprintf(number, sizeof number, "%" PRIu64, channel->last);
    if ((int64_t)batch->len > nats->link.payload_max)
        return -EMSGSIZE;
    natsStatus status = natsMsg_Create(&message, subject, reply, batch->bytes, (int)batch->len);
    if (status == NATS_OK)
        status = natsMsgHeader_Set(message, "Nats-Expected-Last-Subject-Sequence", number);
    if (status == NATS_OK && alone)
        status = natsMsgHeader_Set(message, "Nats-Rollup", "sub");
    if (status != NATS_OK) {
        natsMsg_Destroy(message);
        return -ENOMEM;
    }
    return nats_ask_for(nats, channel, message, CHANNEL_PUBLISHING);
}

static bool is_numbered(const struct remote_ask *ask)
{
    return ask->kind == REMOTE_PUBLISH && ask->message->kind == MESSAGE_PUBLICATION &&
           !ask->message->has_terms;
}

/* Takes as many publishes off the queue as go together. */
static void gather(struct nats *nats, struct nats_channel *channel, size_t *ret_size)
{
    size_t size = 0, most = BATCH_BYTES;
    if ((int64_t)most > nats->link.payload_max / 2)
        most = (size_t)nats->link.payload_max / 2;
    bool last = false;
    while (channel->asks.first && channel->sent.count < BATCH_MAX && !last &&
           is_numbered(ask_first(&channel->asks))) {
        size_t more = item_size(ask_first(&channel->asks)->message);
        if (channel->sent.count > 0 && size + more > most)
            break;
        size += more;
        struct remote_ask *ask = ask_pop(&channel->asks);
        last = ask->message->last;
        ask_push(&channel->sent, ask);
    }
    *ret_size = size;
}

static void refuse_sent(struct nats *nats, struct nats_channel *channel, int err)
{
    while (channel->sent.first)
        nats_give(nats, ask_pop(&channel->sent), err);
}

static void publish(struct nats *nats, struct nats_channel *channel)
{
    struct batch batch;
    size_t size;
    const struct hub_rules *rules = ask_first(&channel->asks)->rules;
    gather(nats, channel, &size);
    const struct nats_batch head = {
        nats->link.run, channel->epoch, channel->offset + channel->sent.count, {0}};
    int err = batch_begin(&batch, &head, size);
    uint64_t offset = channel->offset;
    const int64_t now_ms = wall_ms();
    for (struct call *call = channel->sent.first; err == 0 && call; call = call->next)
        batch_add(&batch, ((struct remote_ask *)call)->message, channel->epoch, ++offset, now_ms);
    if (err == 0)
        err = store(nats, channel, &batch, rules->messages_max == 0);
    free(batch.bytes);
    if (err == -EMSGSIZE)
        nats_count(&nats->counters.out_of_memory);
    if (err < 0)
        refuse_sent(nats, channel, err);
}

/* One that is given to those who are there, and has no number: past the stream. And the removal of
 * what is kept: in the place of all that was. */
static void announce(struct nats *nats, struct nats_channel *channel, struct remote_ask *ask)
{
    char subject[NATS_SUBJECT_MAX];
    natsMsg *message = NULL;
    struct batch batch;
    const struct nats_batch head = {nats->link.run, channel->epoch, channel->offset, {0}};
    if (ask->kind == REMOTE_FORGET) /* it becomes the newest, which says where the channel stands */
        ask->message->last = channel->ended;
    int err = batch_begin(&batch, &head, item_size(ask->message));
    if (err == 0)
        batch_add(&batch, ask->message, channel->epoch, channel->offset, wall_ms());
    if (err == 0 && ask->kind == REMOTE_FORGET) {
        ask_push(&channel->sent, ask);
        err = store(nats, channel, &batch, true);
        if (err < 0)
            refuse_sent(nats, channel, err);
        free(batch.bytes);
        return;
    }
    nats_subject_write(subject, nats->config.address.prefix, NATS_HEARD, name_of(channel));
    if (err == 0 && natsMsg_Create(&message, subject, NULL, batch.bytes, (int)batch.len) != NATS_OK)
        err = -ENOMEM;
    free(batch.bytes);
    if (err == 0)
        err = nats_link_send(&nats->link, message);
    natsMsg_Destroy(message);
    ask->epoch = channel->epoch;
    ask->offset = channel->offset;
    nats_give(nats, ask, err);
}

/* A batch of nothing: from now on the epoch is everybody's. */
static void mark(struct nats *nats, struct nats_channel *channel)
{
    struct batch batch;
    const struct nats_batch head = {nats->link.run, channel->epoch, 0, {0}};
    int err = batch_begin(&batch, &head, 0);
    if (err == 0)
        err = store(nats, channel, &batch, true);
    free(batch.bytes);
    if (err < 0)
        nats_give(nats, ask_pop(&channel->asks), err);
}

static void stored(struct nats *nats, struct nats_channel *channel,
                   const struct nats_answer *answer)
{
    channel->last = answer->seq;
    channel->anew = false;
    channel->heard_epoch = channel->epoch;
    while (channel->sent.first) {
        struct remote_ask *ask = ask_pop(&channel->sent);
        channel->offset += ask->kind == REMOTE_PUBLISH;
        channel->ended |= ask->kind == REMOTE_PUBLISH && ask->message->last;
        ask->epoch = channel->epoch;
        ask->offset = channel->offset;
        ask->known = REMOTE_NEW;
        nats_give(nats, ask, 0);
    }
    channel->heard_offset = channel->offset;
    channel->heard = answer->seq;
}

/* Back to the head of the queue, in their order. */
static void put_back(struct nats_channel *channel)
{
    if (!channel->sent.first)
        return;
    channel->sent.last->next = channel->asks.first;
    channel->asks.first = channel->sent.first;
    if (channel->asks.count == 0)
        channel->asks.last = channel->sent.last;
    channel->asks.count += channel->sent.count;
    channel->sent = (struct ask_queue){0};
}

static void not_stored(struct nats *nats, struct nats_channel *channel,
                       const struct nats_answer *answer)
{
    channel->known = false;
    if (answer->err_code == NATS_WRONG_SEQUENCE) {
        put_back(channel);
        return;
    }
    bool full = answer->code == ANEW_CODE;
    nats_count(full ? &nats->counters.out_of_memory : &nats->counters.errors);
    if (!channel->sent.first && channel->asks.first)
        nats_give(nats, ask_pop(&channel->asks), full ? -ENOSPC : -EPROTO); /* a mark for a join */
    refuse_sent(nats, channel, full ? -ENOSPC : -EPROTO);
}

/* ---- joining ---- */

static void answer_join(struct nats *nats, struct nats_channel *channel, struct remote_ask *join)
{
    join->epoch = channel->epoch;
    join->offset = channel->offset;
    join->ended = channel->ended;
    join->kept = channel->forgotten ? 0 : UINT64_MAX; /* nobody has counted */
    nats_give(nats, join, 0);
}

static int subscribe(struct nats *nats, struct nats_channel *channel)
{
    char subject[NATS_SUBJECT_MAX];
    if (channel->subscription)
        return 0;
    nats_subject_write(subject, nats->config.address.prefix, NATS_HEARD, name_of(channel));
    return nats_link_subscribe(&nats->link, &channel->subscription, subject);
}

/* The channel has been looked for behind the subscription: what is published from then on comes. */
static void join(struct nats *nats, struct nats_channel *channel)
{
    struct remote_ask *ask = ask_first(&channel->asks);
    bool same = ask->stands && ask->epoch == channel->epoch;
    if (same && channel->offset < ask->offset)
        begin_anew(nats, channel); /* NATS has lost what we have heard */
    if (channel->anew) {
        mark(nats, channel);
        return;
    }
    channel->looked = false;
    uint64_t want = same ? channel->offset - ask->offset : channel->offset;
    if (want > ask->rules->messages_max)
        want = ask->rules->messages_max;
    if (want == 0) {
        answer_join(nats, channel, ask_pop(&channel->asks));
        return;
    }
    history_begin(nats, channel, ask);
    if (!channel->read || read_next(nats, channel) < 0) {
        history_forget(channel);
        nats_give(nats, ask_pop(&channel->asks), -ENOMEM);
    }
}

static void begin_join(struct nats *nats, struct nats_channel *channel)
{
    if (channel->looked && channel->known) {
        join(nats, channel);
        return;
    }
    int err = subscribe(nats, channel);
    channel->looked = true;
    channel->known = false;
    if (err == 0)
        err = look(nats, channel);
    if (err < 0)
        nats_give(nats, ask_pop(&channel->asks), err);
}

/* ---- one after the other ---- */

static void next(struct nats *nats, struct nats_channel *channel)
{
    struct remote_ask *ask = ask_first(&channel->asks);
    if (ask->kind == REMOTE_JOIN) {
        begin_join(nats, channel);
    } else if (!channel->known) {
        int err = look(nats, channel);
        if (err < 0)
            nats_give(nats, ask_pop(&channel->asks), err);
    } else if (remote_canceled(ask)) {
        nats_give(nats, ask_pop(&channel->asks), -ECANCELED);
    } else if (channel->ended && ask->kind == REMOTE_PUBLISH) {
        nats_give(nats, ask_pop(&channel->asks), -EPIPE);
    } else if (is_numbered(ask)) {
        publish(nats, channel);
    } else if (ask->kind == REMOTE_PUBLISH && ask->message->has_terms) {
        nats_count(&nats->counters.errors); /* what NATS cannot promise is refused */
        nats_give(nats, ask_pop(&channel->asks), -EPROTO);
    } else {
        announce(nats, channel, ask_pop(&channel->asks));
    }
}

void channel_pump(struct nats *nats, struct nats_channel *channel)
{
    while (nats_link_up(&nats->link) && channel->state == CHANNEL_IDLE && channel->asks.first)
        next(nats, channel);
}

static void read_on(struct nats *nats, struct nats_channel *channel,
                    const struct nats_answer *answer)
{
    int more = 0;
    if (answer->seq > 0) {
        channel->read_at = answer->seq + 1;
        more = history_take(nats, channel, answer->data, answer->len);
    }
    more = more > 0 && answer->seq < channel->last;
    if (more && read_next(nats, channel) == 0)
        return;
    channel->state = CHANNEL_IDLE;
    history_end(nats, channel, ask_pop(&channel->asks));
}

void channel_answer(struct nats *nats, struct nats_channel *channel, struct span json)
{
    struct nats_answer answer;
    const enum channel_state state = channel->state;
    int err = nats_answer_read(&answer, json);
    bool found = err == 0 && (answer.code == 0 || answer.err_code == NATS_NOTHING_FOUND);
    channel->state = CHANNEL_IDLE;
    if (err < 0)
        nats_count(&nats->counters.foreign);
    if (state == CHANNEL_PUBLISHING && err == 0 && answer.code == 0)
        stored(nats, channel, &answer);
    else if (state == CHANNEL_PUBLISHING && err == 0)
        not_stored(nats, channel, &answer);
    else if (state == CHANNEL_LOOKING && found)
        looked(nats, channel, &answer);
    else if (state == CHANNEL_READING && found)
        read_on(nats, channel, &answer);
    else
        channel_give_up(nats, channel, false);
    free(answer.data);
    channel_pump(nats, channel);
}

void channel_give_up(struct nats *nats, struct nats_channel *channel, bool again)
{
    channel->state = CHANNEL_IDLE;
    channel->token = 0;
    channel->known = channel->looked = false;
    history_forget(channel);
    refuse_sent(nats, channel, -ETIMEDOUT);
    if (!again && channel->asks.first)
        nats_give(nats, ask_pop(&channel->asks), -ENOTCONN);
}
