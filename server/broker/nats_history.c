/* nats_history: what is read back for a join, and what is heard. Whoever reaches NATS may have
 * written there: nothing of it is believed that is not looked at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/encoding.h"
#include "broker/nats_internal.h"

#define NS_PER_MS INT64_C(1000000)

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- for a join ---- */

void history_begin(struct nats *nats, struct nats_channel *channel, struct remote_ask *join)
{
    bool heard = join->stands && channel->heard > 0 && channel->heard_epoch == join->epoch &&
                 channel->heard_offset == join->offset;
    (void)nats;
    channel->read_max = join->rules->messages_max;
    channel->read = calloc(channel->read_max + 1U, sizeof(struct message *));
    channel->read_first = channel->read_count = 0;
    channel->read_bytes = 0;
    channel->read_bytes_max = join->rules->bytes_max;
    channel->read_at = heard ? channel->heard + 1 : 1;
    channel->read_all = !heard;
}

static struct message **at(const struct nats_channel *channel, unsigned nth)
{
    assert(channel->read_max > 0); /* else nothing is read */
    return &channel->read[(channel->read_first + nth) % channel->read_max];
}

static void drop_first(struct nats_channel *channel)
{
    struct message *first = *at(channel, 0);
    channel->read_bytes -= first->payload_len;
    channel->read_first = (channel->read_first + 1) % channel->read_max;
    channel->read_count--;
    message_unref(first);
}

static void drop_all(struct nats_channel *channel)
{
    while (channel->read_count > 0)
        drop_first(channel);
}

/* Keeps the newest, as far as they follow each other. */
static void keep(struct nats_channel *channel, struct message *message)
{
    if (channel->read_count > 0 &&
        (*at(channel, channel->read_count - 1))->offset + 1 != message->offset)
        drop_all(channel);
    channel->read_bytes += message->payload_len;
    while (channel->read_count == channel->read_max ||
           (channel->read_count > 0 && channel->read_bytes > channel->read_bytes_max))
        drop_first(channel);
    *at(channel, channel->read_count++) = message;
}

static int item_take(struct nats *nats, struct nats_channel *channel, struct span item,
                     int64_t now_ms)
{
    struct encoded read;
    if (encoding_read(&read, item, nats->config.message_bytes_max) < 0) {
        nats_count(&nats->counters.foreign);
        return 0;
    }
    if (read.kind == MESSAGE_FORGET) {
        drop_all(channel);
        channel->read_all = true;
    }
    if (read.kind != MESSAGE_PUBLICATION || read.epoch != channel->epoch)
        return 0;
    struct message *message =
        encoding_message(&read, span_of(channel->name, channel->name_len),
                         hub_hash(nats->set, channel->name, channel->name_len));
    if (!message)
        return -ENOMEM;
    int64_t age_ms = now_ms - read.time_ms;
    message->kept_until_ns = age_ms < 0 ? 0 : age_ms * NS_PER_MS;
    keep(channel, message);
    return 0;
}

int history_take(struct nats *nats, struct nats_channel *channel, const char *data, size_t len)
{
    struct nats_batch batch;
    struct span item;
    const int64_t now_ms = wall_ms();
    int err = 0, more = 0;
    if (nats_batch_read(&batch, span_of(data, len)) < 0) {
        nats_count(&nats->counters.foreign);
        return 1;
    }
    if (batch.epoch != channel->epoch)
        return 1; /* of another life */
    while (err == 0 && (more = encoding_item_next(&batch.items, &item)) > 0)
        err = item_take(nats, channel, item, now_ms);
    if (more < 0)
        nats_count(&nats->counters.foreign);
    return err < 0 ? err : 1;
}

/* As many as are wanted, of those that end where the channel stands. */
void history_end(struct nats *nats, struct nats_channel *channel, struct remote_ask *join)
{
    unsigned count = channel->read_count;
    bool whole = count > 0 && (*at(channel, count - 1))->offset == channel->offset;
    if (!whole)
        drop_all(channel);
    count = channel->read_count;
    bool same = join->stands && join->epoch == channel->epoch;
    uint64_t want = same ? channel->offset - join->offset : channel->offset;
    unsigned skipped = count > want ? count - (unsigned)want : 0;
    struct message **messages = calloc(count + 1U, sizeof(struct message *));
    for (unsigned i = 0; i < count; i++) {
        if (messages && i >= skipped)
            messages[i - skipped] = *at(channel, i);
        else
            message_unref(*at(channel, i));
    }
    channel->read_count = 0;
    history_forget(channel);
    join->epoch = channel->epoch;
    join->offset = channel->offset;
    join->ended = channel->ended;
    join->messages = messages;
    join->count = messages ? count - skipped : 0;
    join->kept = channel->read_all ? count : UINT64_MAX;
    nats_give(nats, join, messages ? 0 : -ENOMEM);
}

void history_forget(struct nats_channel *channel)
{
    if (channel->read)
        drop_all(channel);
    free(channel->read);
    channel->read = NULL;
}

/* ---- what is heard ---- */

/* Gives the next item to its shard. Returns false when that has no room: it is asked again. */
static bool item_give(struct nats *nats, struct span name, struct span item)
{
    struct encoded read;
    if (encoding_read(&read, item, nats->config.message_bytes_max) < 0) {
        nats_count(&nats->counters.foreign);
        return true;
    }
    struct message *message =
        encoding_message(&read, name, hub_hash(nats->set, name.ptr, name.len));
    if (!message)
        return false;
    if (remote_live(nats->helper, nats->set, message) == 0)
        return true;
    message_unref(message);
    return false;
}

/* Where the channel stands now, if nothing is under way for it. Somebody who lies here makes a
 * publish fail, which then looks. */
static void stands_at(struct nats *nats, struct span name, natsMsg *message)
{
    struct nats_channel *channel = nats_channel_of(nats, name);
    struct nats_batch batch;
    const char *text = NULL;
    if (!channel || natsMsgHeader_Get(message, "Nats-Sequence", &text) != NATS_OK || !text ||
        nats_batch_read(
            &batch, span_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message))) < 0)
        return;
    uint64_t seq = strtoull(text, NULL, 10);
    if (seq <= channel->heard)
        return;
    channel->heard = seq;
    channel->heard_epoch = batch.epoch;
    channel->heard_offset = batch.offset;
    if (channel->state == CHANNEL_IDLE)
        channel->known = channel->known && channel->last == seq;
}

static struct span subject_of(natsMsg *message)
{
    return span_from(natsMsg_GetSubject(message));
}

/* Begins with what comes next: returns whether there was anything. */
static bool hold_next(struct nats *nats)
{
    struct nats_batch batch;
    char name[NATS_NAME_MAX];
    natsMsg *message = nats_link_news(&nats->link);
    if (!message)
        return false;
    size_t len =
        nats_subject_read(name, nats->config.address.prefix, NATS_HEARD, subject_of(message));
    if (len == 0 || nats_batch_read(&batch, span_of(natsMsg_GetData(message),
                                                    (size_t)natsMsg_GetDataLength(message))) < 0) {
        nats_count(&nats->counters.foreign);
        natsMsg_Destroy(message);
        return true;
    }
    stands_at(nats, span_of(name, len), message);
    nats->held = message;
    nats->held_items = batch.items;
    return true;
}

static bool give_held(struct nats *nats)
{
    char name[NATS_NAME_MAX];
    size_t len =
        nats_subject_read(name, nats->config.address.prefix, NATS_HEARD, subject_of(nats->held));
    for (;;) {
        struct span rest = nats->held_items, item;
        int more = encoding_item_next(&rest, &item);
        if (more > 0 && !item_give(nats, span_of(name, len), item))
            return false;
        if (more < 0)
            nats_count(&nats->counters.foreign);
        if (more <= 0)
            break;
        nats->held_items = rest;
    }
    natsMsg_Destroy(nats->held);
    nats->held = NULL;
    return true;
}

bool news_take(struct nats *nats)
{
    for (;;) {
        if (nats->held && !give_held(nats))
            return false;
        if (!nats->held && !hold_next(nats))
            return true;
    }
}
