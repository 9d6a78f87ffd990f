#include "transport/gathering.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "transport/json.h"

enum {
    PLACE_BYTES = sizeof(struct message *) + 1,
};

struct gathering {
    unsigned channels;
    uint64_t weight_left; /* that may be added; 0: no more messages */
    unsigned answered;
    uint64_t more;       /* a bit for each channel that has more to give */
    uint64_t live_bytes; /* of live messages, with their places */
    bool recovered;
    unsigned count;
    unsigned size;
    struct message **messages;
    uint8_t *tags;            /* of each message */
    struct position *reached; /* behind the messages so far */
    struct position start[];  /* epoch 0: not answered yet */
};

int gathering_begin(struct shard *shard, struct conn *conn, unsigned channels, uint64_t weight_max)
{
    assert(!gathering_of(conn) && channels <= UINT8_MAX);
    struct conn_extra *extra = conn_extra(conn);
    size_t size = sizeof(struct gathering) + 2 * channels * sizeof(struct position);
    struct gathering *gathering = extra ? calloc(1, size) : NULL;
    if (!gathering) {
        conn_extra_trim(shard, conn);
        return -ENOMEM;
    }
    gathering->channels = channels;
    gathering->weight_left = weight_max;
    gathering->recovered = true;
    gathering->reached = gathering->start + channels;
    extra->gathering = gathering;
    return 0;
}

struct gathering *gathering_of(const struct conn *conn)
{
    return conn->extra ? conn->extra->gathering : NULL;
}

static int grow(struct gathering *gathering, unsigned size)
{
    struct message **messages = realloc(gathering->messages, size * sizeof(struct message *));
    if (!messages)
        return -ENOMEM;
    gathering->messages = messages;
    uint8_t *tags = realloc(gathering->tags, size);
    if (!tags)
        return -ENOMEM;
    gathering->tags = tags;
    gathering->size = size;
    return 0;
}

static int add(struct gathering *gathering, unsigned tag, struct message *const *messages,
               unsigned count)
{
    assert(tag < gathering->channels);
    unsigned size = gathering->count + count;
    if (size > gathering->size && grow(gathering, size) < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        gathering->tags[gathering->count] = (uint8_t)tag;
        gathering->messages[gathering->count++] = message_ref(messages[i]);
    }
    return 0;
}

/* How many of them the answer has room for; one, if it has none yet, however large. */
static unsigned take_room(struct gathering *gathering, struct message *const *messages,
                          unsigned count)
{
    if (gathering->weight_left == GATHERING_UNBOUNDED)
        return count;
    unsigned most = HUB_REPLY_MESSAGES_MAX - gathering->count;
    unsigned fit = json_fit(messages, count < most ? count : most, gathering->weight_left);
    uint64_t weight = 0;
    for (unsigned i = 0; i < fit; i++)
        weight += json_weight(messages[i]);
    if (weight > gathering->weight_left && gathering->count > 0)
        fit = 0;
    gathering->weight_left -=
        fit < count || weight > gathering->weight_left ? gathering->weight_left : weight;
    return fit;
}

int gathering_reply(struct gathering *gathering, const struct hub_reply *reply)
{
    unsigned tag = reply->ticket.tag;
    unsigned fit = take_room(gathering, reply->messages, reply->count);
    if (add(gathering, tag, reply->messages, fit) < 0)
        return -ENOMEM;
    uint64_t start = reply->count > 0 ? reply->messages[0]->offset - 1 : reply->offset;
    gathering->start[tag] = (struct position){reply->epoch, start};
    gathering->reached[tag] =
        (struct position){reply->epoch, fit == reply->count ? reply->offset : start + fit};
    gathering->recovered &= reply->recovered;
    if (reply->more)
        gathering->more |= UINT64_C(1) << tag;
    return ++gathering->answered == gathering->channels;
}

bool gathering_more(const struct gathering *gathering, unsigned tag, struct position *ret)
{
    *ret = gathering->reached[tag];
    return gathering->more >> tag & 1;
}

int gathering_live(struct gathering *gathering, unsigned tag, const struct hub_batch *batch)
{
    struct position *reached = &gathering->reached[tag];
    /* Behind what had no room there is none. */
    if (batch->messages[0]->offset != reached->offset + 1)
        return 0;
    unsigned fit = take_room(gathering, batch->messages, batch->count);
    if (fit > 0)
        reached->offset = batch->messages[fit - 1]->offset;
    for (unsigned i = 0; i < fit; i++)
        gathering->live_bytes += batch->messages[i]->payload_len + PLACE_BYTES;
    return add(gathering, tag, batch->messages, fit);
}

uint64_t gathering_live_bytes(const struct gathering *gathering)
{
    return gathering->live_bytes;
}

bool gathering_recovered(const struct gathering *gathering)
{
    return gathering->recovered;
}

struct json_answer gathering_answer(const struct gathering *gathering)
{
    return (struct json_answer){gathering->reached, gathering->channels,  gathering->messages,
                                gathering->count,   gathering->recovered, false};
}

const struct position *gathering_start(const struct gathering *gathering, unsigned *ret_count)
{
    *ret_count = gathering->channels;
    return gathering->start;
}

unsigned gathering_run(const struct gathering *gathering, unsigned *cursor,
                       struct standing *standing, struct message *const **ret_messages)
{
    unsigned first = *cursor;
    if (first == gathering->count)
        return 0;
    standing->at = gathering->tags[first];
    while (*cursor < gathering->count && gathering->tags[*cursor] == standing->at)
        ++*cursor;
    *ret_messages = gathering->messages + first;
    return *cursor - first;
}

void gathering_end(struct conn *conn)
{
    struct gathering *gathering = gathering_of(conn);
    if (!gathering)
        return;
    for (unsigned i = 0; i < gathering->count; i++)
        message_unref(gathering->messages[i]);
    free(gathering->messages);
    free(gathering->tags);
    free(gathering);
    conn->extra->gathering = NULL;
}
