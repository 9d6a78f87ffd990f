#include "transport/gathering.h"

#include <assert.h>
#include <stdlib.h>

struct gathering {
    unsigned channels;
    unsigned answered;
    bool recovered;
    unsigned count;
    unsigned size;
    struct message **messages;
    struct position positions[];
};

void gathering_begin(struct conn *conn, unsigned channels)
{
    struct conn_extra *extra = conn_extra(conn);
    assert(!extra->transport_state);
    struct gathering *gathering =
        calloc(1, sizeof *gathering + channels * sizeof gathering->positions[0]);
    assert(gathering);
    gathering->channels = channels;
    gathering->recovered = true;
    extra->transport_state = gathering;
}

struct gathering *gathering_of(struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static void add(struct gathering *gathering, struct message *const *messages, unsigned count)
{
    if (gathering->count + count > gathering->size) {
        gathering->size = gathering->count + count;
        gathering->messages =
            realloc(gathering->messages, gathering->size * sizeof(struct message *));
        assert(gathering->messages);
    }
    for (unsigned i = 0; i < count; i++)
        gathering->messages[gathering->count++] = message_ref(messages[i]);
}

bool gathering_reply(struct gathering *gathering, const struct hub_reply *reply)
{
    assert(reply->asker.tag < gathering->channels);
    add(gathering, reply->messages, reply->count);
    gathering->positions[reply->asker.tag] = (struct position){reply->epoch, reply->offset};
    gathering->recovered &= reply->recovered;
    return ++gathering->answered == gathering->channels;
}

void gathering_live(struct gathering *gathering, unsigned tag, const struct hub_batch *batch)
{
    const struct message *last = batch->messages[batch->count - 1];
    add(gathering, batch->messages, batch->count);
    gathering->positions[tag] = (struct position){last->epoch, last->offset};
}

bool gathering_recovered(const struct gathering *gathering)
{
    return gathering->recovered;
}

struct json_answer gathering_answer(const struct gathering *gathering)
{
    return (struct json_answer){gathering->positions, gathering->channels, gathering->messages,
                                gathering->count, gathering->recovered};
}

void gathering_end(struct conn *conn)
{
    struct gathering *gathering = gathering_of(conn);
    if (!gathering)
        return;
    for (unsigned i = 0; i < gathering->count; i++)
        message_unref(gathering->messages[i]);
    free(gathering->messages);
    free(gathering);
    conn->extra->transport_state = NULL;
}
