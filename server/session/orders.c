#include "session/orders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/nodes.h"
#include "conn/sign_on.h"
#include "conn/survey.h"
#include "session/order_text.h"
#include "session/session_internal.h"
#include "wire/json_scan.h"

#define UNSUBSCRIBE_CODE 2000

enum {
    PUSH_MAX = 96,
};

/* A shard's copy. */
struct errand {
    struct survey_part part;
    struct order order; /* its spans are in the text */
    order_done *done;
    uint64_t key; /* of the user, as conn/sign_on.h has it */
    uint32_t at;  /* the slot to look at */
    char text[];
};

/* ---- what is done to one ---- */

static void unsubscribe_one(struct shard *shard, struct conn *conn, uint32_t subscription)
{
    struct span name;
    name.ptr = hub_name_of(shard->hub, subscription, &name.len);
    session_push_unsubscribe(shard, conn, name, UNSUBSCRIBE_CODE, SPAN("server unsubscribe"));
    if (conn->state == CONN_OPEN)
        session_unsubscribe(shard, conn, subscription);
}

static void unsubscribe(struct shard *shard, struct conn *conn, struct span channel)
{
    struct session *session = session_of(shard, conn);
    uint32_t at =
        channel.len > 0 ? session_subscription_to(shard, session, channel) : session->channels;
    bool all = channel.len == 0;
    while (at != HUB_NONE && conn->state == CONN_OPEN) {
        uint32_t next = hub_next_of(shard->hub, at);
        unsubscribe_one(shard, conn, at);
        at = all ? next : HUB_NONE;
    }
    if (conn->state == CONN_OPEN)
        replay_go_on(shard, conn);
}

static bool is_kept(const struct shard *shard, const struct conn *conn, struct span keep)
{
    char id[SESSION_ID_LEN];
    struct json_items items = json_items_begin(keep);
    struct span item;
    enum json_kind kind;
    session_id_write(shard, conn, id);
    while (keep.len > 0 && json_items_next(&items, &item, &kind) > 0)
        if (kind == JSON_IS_STRING && json_string_is(item, span_of(id, sizeof id)))
            return true;
    return false;
}

/* Its client is told how long it has from now on. */
static void refresh(struct shard *shard, struct conn *conn, const struct order *order)
{
    int64_t now_s = shard_unix_s(shard);
    char text[PUSH_MAX];
    struct out out = out_begin(text, sizeof text);
    if (order->expired || (order->ends_s > 0 && order->ends_s <= now_s)) {
        session_fail(shard, conn, CLOSE_TOKEN_EXPIRED);
        return;
    }
    int64_t grace_s = order->ends_s > 0 ? shard->settings->token_grace_ms / 1000 : 0;
    conn_sign_on_ends(shard, conn, order->ends_s + grace_s, now_s);
    out_text(&out, "{\"refresh\":{");
    ttl_write(shard, &out, (struct span){0}, order->ends_s);
    out_text(&out, "}}");
    session_push(shard, conn, span_of(text, (size_t)out_end(&out)));
}

static int carry_out(struct shard *shard, struct conn *conn, const struct order *order)
{
    counter_add(&shard->counters.orders, 1);
    switch (order->kind) {
    case ORDER_SUBSCRIBE:
        return session_subscribe(shard, conn, order->channel, &order->since, order->ends_s);
    case ORDER_UNSUBSCRIBE:
        unsubscribe(shard, conn, order->channel);
        break;
    case ORDER_DISCONNECT:
        if (!is_kept(shard, conn, order->keep))
            session_fail_as(shard, conn, CLOSE_DISCONNECTED, order->code, order->reason);
        break;
    case ORDER_REFRESH:
        refresh(shard, conn, order);
        break;
    case ORDER_REVOKE:
        session_fail(shard, conn, CLOSE_REVOKED);
        break;
    }
    return 0;
}

/* ---- whose it is ---- */

static bool has_session(const struct shard *shard, const struct conn *conn)
{
    return conn->state == CONN_OPEN && conn->role & ROLE_SESSION &&
           session_of(shard, conn)->state == SESSION_CONNECTED;
}

static void try(struct shard *shard, struct errand *errand, uint32_t slot)
{
    const struct order *order = &errand->order;
    struct conn *conn = conn_at(shard, slot);
    if (!has_session(shard, conn))
        return;
    if (order->user.len > 0 && !span_equal(order->user, person_user(session_of(shard, conn))))
        return;
    int err = carry_out(shard, conn, order);
    if (err < 0)
        errand->part.call.err = err;
}

/* The client's id is its address, and a number that nobody can guess. */
static void try_client(struct shard *shard, struct errand *errand)
{
    char id[SESSION_ID_LEN];
    unsigned target;
    uint32_t slot;
    if (!session_id_read(errand->order.client, &target, &slot) || slot >= shard->slab_slots ||
        !has_session(shard, conn_at(shard, slot)))
        return;
    session_id_write(shard, conn_at(shard, slot), id);
    if (span_equal(errand->order.client, span_of(id, sizeof id)))
        try(shard, errand, slot);
}

static bool step(struct shard *shard, struct survey_part *part)
{
    struct errand *errand = (struct errand *)part;
    const struct sign_ons *signs = shard->signs;
    if (errand->order.client.len > 0) {
        try_client(shard, errand);
        return false;
    }
    for (unsigned i = 0; signs && errand->at < signs->high && i < ORDER_VISITS; i++, errand->at++)
        if (signs->at[errand->at].user == errand->key &&
            conn_at(shard, errand->at)->role & ROLE_SIGNED_ON)
            try(shard, errand, errand->at);
    return signs && errand->at < signs->high;
}

/* ---- the order ---- */

static struct span keep_copy(char **at, struct span text)
{
    char *copy = *at;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    *at += text.len;
    return span_of(copy, text.len);
}

static struct survey_part *errand_make(const void *what)
{
    const struct errand *model = what;
    const struct order *order = &model->order;
    struct errand *errand = malloc(sizeof *errand + order->user.len + order->client.len +
                                   order->channel.len + order->reason.len + order->keep.len);
    if (!errand)
        return NULL;
    char *at = errand->text;
    *errand = *model;
    errand->order.user = keep_copy(&at, order->user);
    errand->order.client = keep_copy(&at, order->client);
    errand->order.channel = keep_copy(&at, order->channel);
    errand->order.reason = keep_copy(&at, order->reason);
    errand->order.keep = keep_copy(&at, order->keep);
    return &errand->part;
}

static void errand_free(struct survey_part *part)
{
    free(part);
}

static void errand_done(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                        struct survey_part *parts, int err)
{
    ((struct errand *)parts)->done(shard, conn, ticket, err);
}

static void errand_told(struct shard *shard, struct nodes_heard *heard, struct survey_part *parts,
                        int err)
{
    (void)parts;
    nodes_reply(shard->hub, heard, err, (struct span){0});
}

static const struct survey_ops ops = {
    .step = step, .done = errand_done, .free = errand_free, .told = errand_told};

static struct errand errand_of(const struct shard *shard, const struct order *order)
{
    return (struct errand){
        .order = *order,
        .key = order->user.len > 0 ? sign_on_key(shard->server->hubs, REVOKE_USER, order->user) : 0,
    };
}

/* Which shards have to do with it. That of a client which is nobody's is looked for here, and not
 * found. */
static unsigned shards_of(const struct shard *shard, const struct order *order, unsigned *ret_first)
{
    uint32_t slot;
    *ret_first = 0;
    if (order->client.len == 0)
        return shard->server->shard_count;
    if (!session_id_read(order->client, ret_first, &slot) ||
        *ret_first >= shard->server->shard_count)
        *ret_first = shard->index;
    return 1;
}

int order_give(struct shard *shard, const struct ticket *ticket, const struct order *order,
               order_done *done)
{
    struct errand model = errand_of(shard, order);
    unsigned first, count = shards_of(shard, order, &first);
    model.done = done;
    return survey_ask(shard, ticket, first, count, errand_make, &model, &ops);
}

void order_heard(struct shard *shard, struct nodes_heard *heard)
{
    struct order order;
    unsigned first;
    int err = order_text_read(&order, span_of(heard->text, heard->len));
    if (err == 0) {
        const struct errand model = errand_of(shard, &order);
        unsigned count = shards_of(shard, &order, &first);
        err = survey_hear(shard, heard, first, count, errand_make, &model, &ops);
    }
    if (err < 0)
        nodes_reply(shard->hub, heard, err, (struct span){0});
}
