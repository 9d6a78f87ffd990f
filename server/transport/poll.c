/* poll: GET /poll answers at once with what there is since a position, or with everything kept. */
#include "auth/permit.h"
#include "transport/answering.h"
#include "transport/cacheable.h"
#include "transport/gathering.h"
#include "transport/json.h"
#include "transport/standing.h"
#include "transport/transports.h"
#include "wire/out.h"

static void poll_closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    gathering_end(conn);
    cacheable_end(conn);
}

static bool poll_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard, (void)conn;
    return true;
}

static void poll_fail(struct shard *shard, struct conn *conn)
{
    /* Replies that are still to come must not reach a later request of this connection, so it ends.
     */
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

/* Returns true: all of it is queued. */
static bool answer_unchanged(struct shard *shard, struct conn *conn,
                             const struct json_answer *answer)
{
    char fields[CACHEABLE_FIELDS_MAX];
    size_t len = cacheable_fields(shard, conn, answer, fields);
    counter_add(&shard->counters.responses_unchanged, 1);
    http_answer(shard, conn, 304, (struct span){0}, (struct span){0}, span_of(fields, len));
    return true;
}

/* Returns whether all of the answer is queued. */
static bool answer(struct shard *shard, struct conn *conn, const struct json_answer *answer)
{
    return cacheable_unchanged(conn, answer) ? answer_unchanged(shard, conn, answer)
                                             : answering_begin(shard, conn, answer);
}

static void poll_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    struct gathering *gathering = gathering_of(conn);
    bool given;
    if (reply->err < 0) {
        poll_fail(shard, conn);
        return;
    }
    if (!gathering) {
        unsigned fit = json_fit(reply->messages, reply->count, answer_weight_max(shard));
        const struct position position = {reply->epoch, reply->offset - (reply->count - fit)};
        given = answer(shard, conn,
                       &(struct json_answer){&position, 1, reply->messages, fit, reply->recovered,
                                             reply->ended && fit == reply->count});
    } else {
        int all = gathering_reply(gathering, reply);
        if (all < 0)
            poll_fail(shard, conn);
        if (all <= 0)
            return;
        const struct json_answer all_of_them = gathering_answer(gathering);
        given = answer(shard, conn, &all_of_them);
        gathering_end(conn);
    }
    if (given)
        http_next(shard, conn);
}

void poll_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct params *params = http_params(shard, conn, exchange);
    if (!params || !permit_request(shard, conn, exchange->request, params, PERMIT_SUBSCRIBE))
        return;
    conn_hand_over(conn, TRANSPORT_POLL);
    if (cacheable_begin(shard, conn, exchange->request, params) < 0 ||
        (params->channel_count > 1 &&
         gathering_begin(shard, conn, params->channel_count, answer_weight_max(shard)) < 0)) {
        poll_fail(shard, conn);
        return;
    }
    for (unsigned i = 0; i < params->channel_count; i++) {
        struct ticket ticket = conn_ticket(shard, conn, i);
        struct hub_since since = params->since[i];
        if (since.from == HUB_FROM_NOW)
            since.from = HUB_FROM_START;
        if (hub_read(shard->hub, &ticket, params->channels[i].ptr, params->channels[i].len,
                     &since) < 0) {
            poll_fail(shard, conn);
            return;
        }
    }
}

const struct transport poll_transport = {
    .name = "poll",
    .input = http_stash,
    .input_ended = poll_input_ended,
    .give_up = http_give_up,
    .drain = http_drain,
    .closed = poll_closed,
    .read = poll_read,
};
