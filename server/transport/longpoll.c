/* longpoll: GET /longpoll is held until one of its channels has a message, or the hold is over.
 *
 * A held request is a subscription and a deadline: nothing on the heap. All who wait for the same
 * channel get the same bytes, encoded once. What a turn brings on a second channel is fetched by
 * the client's next request. */
#include "auth/permit.h"
#include "conn/sign_on.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/gathering.h"
#include "transport/json.h"
#include "transport/standing.h"
#include "transport/transports.h"
#include "wire/out.h"

enum {
    HOLD_AGAIN_MS = 100, /* a tick of the timers */
};

static void hold_end(struct shard *shard, struct conn *conn)
{
    counter_sub(&shard->counters.longpolls_held, 1);
    gathering_end(conn);
    conn_sign_off(shard, conn);
    hub_unsubscribe_all(shard->hub, &conn->subscriptions);
}

static void longpoll_closed(struct shard *shard, struct conn *conn)
{
    counter_sub(&shard->counters.longpolls_held, 1);
    gathering_end(conn);
}

static void fail(struct shard *shard, struct conn *conn)
{
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

static void answer_frame(struct shard *shard, struct conn *conn, struct frame frame)
{
    if (!frame.block) {
        fail(shard, conn);
        return;
    }
    http_send(shard, conn, frame);
    if (conn->state != CONN_OPEN)
        return;
    hold_end(shard, conn);
    http_next(shard, conn);
}

static void answer(struct shard *shard, struct conn *conn, const struct json_answer *answer)
{
    bool given = answering_begin(shard, conn, answer);
    if (conn->state != CONN_OPEN)
        return;
    hold_end(shard, conn);
    if (given)
        http_next(shard, conn);
}

static void answer_several(struct shard *shard, struct conn *conn, struct gathering *gathering)
{
    const struct json_answer full = gathering_answer(gathering);
    answer(shard, conn, &full);
}

static void subscribed_several(struct shard *shard, struct conn *conn,
                               const struct hub_reply *reply)
{
    struct gathering *gathering = gathering_of(conn);
    int all = gathering ? gathering_reply(gathering, reply) : 0;
    if (all < 0)
        fail(shard, conn);
    if (all <= 0)
        return;
    bool lost = conn->asked & ASKED_SINCE && !gathering_recovered(gathering);
    if (lost || gathering_answer(gathering).message_count > 0)
        answer_several(shard, conn, gathering);
    else
        gathering_end(conn);
}

static void longpoll_subscribed(struct shard *shard, struct conn *conn,
                                const struct hub_reply *reply)
{
    bool lost = conn->asked & ASKED_SINCE && !reply->recovered;
    if (lost)
        conn->asked &= ~(uint32_t)ASKED_RECOVERED;
    if (reply->err < 0) {
        fail(shard, conn);
    } else if (conn->asked & ASKED_SEVERAL) {
        subscribed_several(shard, conn, reply);
    } else if (reply->count > 0 || lost || reply->ended) {
        unsigned fit = json_fit(reply->messages, reply->count, answer_weight_max(shard));
        const struct position position = {reply->epoch, reply->offset - (reply->count - fit)};
        answer(shard, conn,
               &(struct json_answer){&position, 1, reply->messages, fit, reply->recovered,
                                     reply->ended && fit == reply->count});
    }
}

/* True when everybody who waits for this channel gets the same bytes. */
static bool shareable(const struct shard *shard, const struct conn *conn,
                      const struct hub_batch *batch)
{
    if (conn->link & LINK_STREAM)
        return !(conn->asked & (ASKED_HEAD_ONLY | ASKED_SEVERAL)) &&
               encoder_shares_answer(shard, batch);
    uint32_t asked =
        conn->asked & (ASKED_HTTP_10 | ASKED_KEEP_ALIVE | ASKED_HEAD_ONLY | ASKED_SEVERAL);
    return asked == ASKED_KEEP_ALIVE && origins_any(shard->server->origins) &&
           encoder_shares_answer(shard, batch);
}

static void longpoll_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                             const struct hub_batch *batch)
{
    bool recovered = conn->asked & ASKED_RECOVERED;
    if (shareable(shard, conn, batch)) {
        answer_frame(shard, conn, encoder_answer(shard, conn, batch, recovered));
        return;
    }
    struct position positions[SETTINGS_CHANNELS_MAX];
    struct standing standing;
    bool live = standing_read(shard, conn, subscription, positions, &standing);
    struct gathering *gathering = gathering_of(conn);
    if (gathering && gathering_live(gathering, standing.at, batch) < 0)
        fail(shard, conn);
    if (gathering || !live)
        return;
    unsigned fit = json_fit(batch->messages, batch->count, answer_weight_max(shard));
    positions[standing.at].offset = batch->messages[fit - 1]->offset;
    answer(shard, conn,
           &(struct json_answer){positions, standing.count, batch->messages, fit, recovered,
                                 standing.count == 1 && batch->messages[fit - 1]->last});
}

/* The hold is over, or the server goes away: an empty answer with the position reached. */
static void answer_empty(struct shard *shard, struct conn *conn)
{
    struct position positions[SETTINGS_CHANNELS_MAX];
    struct standing standing;
    /* Else the home shard's answer is on its way, or a message is: both are worth a moment. */
    if (standing_read(shard, conn, HUB_NONE, positions, &standing))
        answer(shard, conn,
               &(struct json_answer){positions, standing.count, NULL, 0,
                                     conn->asked & ASKED_RECOVERED, false});
    else
        conn_timer(shard, conn, HOLD_AGAIN_MS);
}

static void longpoll_drain(struct shard *shard, struct conn *conn)
{
    conn->asked &= ~(uint32_t)ASKED_KEEP_ALIVE;
    answer_empty(shard, conn);
}

/* A client that asks for more than may wait behind a held request is not read from, and so its end
 * would not be seen either: the hold ends instead, and what waits is answered. */
static void longpoll_input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    http_stash(shard, conn, bytes, len);
    if (conn->link & LINK_PAUSED)
        conn_timer(shard, conn, 0);
}

void longpoll_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct params *params = http_params(shard, conn, exchange);
    if (!params || !permit_stream(shard, conn, exchange->request, params))
        return;
    if (conn->asked & ASKED_HEAD_ONLY) {
        http_answer_no_body(shard, conn, SPAN("application/json"),
                            SPAN("Cache-Control: no-store\r\n"));
        return;
    }
    int64_t hold_ms = shard->settings->longpoll_hold_ms;
    if (params->timeout_ms >= 0 && params->timeout_ms < hold_ms)
        hold_ms = params->timeout_ms;
    if (standing_subscribe(shard, conn, params, answer_weight_max(shard)) < 0) {
        fail(shard, conn);
        return;
    }
    conn_hand_over(conn, TRANSPORT_LONGPOLL);
    counter_add(&shard->counters.longpolls_held, 1);
    conn_timer(shard, conn, hold_ms);
}

const struct transport longpoll_transport = {
    .name = "longpoll",
    .input = longpoll_input,
    .give_up = http_give_up,
    .signed_off = permit_end,
    .timer = answer_empty,
    .drain = longpoll_drain,
    .closed = longpoll_closed,
    .subscribed = longpoll_subscribed,
    .deliver = longpoll_deliver,
};
