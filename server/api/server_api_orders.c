/* server_api_orders: what a server has done to the sessions of a user or a client: subscribe,
 * unsubscribe, disconnect, refresh. */
#include "api/server_api.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/nodes.h"
#include "hub/hub.h"
#include "session/channel_name.h"
#include "session/order_text.h"
#include "session/orders.h"
#include "session/results.h"
#include "wire/json_scan.h"
#include "wire/ws.h"

enum {
    DISCONNECT_CODE = 3503, /* who is told no other stays away */
    DISCONNECT_CODE_MIN = 3000,
    DISCONNECT_CODE_MAX = 4999,
};

static enum centrifuge_error error_of(int err)
{
    if (err == -ENOSPC)
        return CENTRIFUGE_ERROR_LIMIT_EXCEEDED;
    return err == -ENOBUFS ? CENTRIFUGE_ERROR_TOO_MANY_REQUESTS : CENTRIFUGE_ERROR_INTERNAL;
}

static void done(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err)
{
    struct api_call *call = conn->extra->transport_state;
    if (err < 0)
        api_error(call, ticket->tag, error_of(err));
    else
        api_result(call, ticket->tag, SPAN("{}"));
    api_respond_if_all(shard, conn);
}

/* ---- in a cluster: the other nodes first, then this one ---- */

static void ignore(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err)
{
    (void)shard, (void)conn, (void)ticket, (void)err;
}

/* What some have not heard they hear when they can; but its server is told that it was not now. */
static void nodes_told(void *context, struct nodes_ask *ask)
{
    struct shard *shard = context;
    const struct ticket ticket = ask->call.ticket;
    struct conn *conn = conn_of_ticket(shard, &ticket);
    struct order order;
    int err = ask->call.err, bad = order_text_read(&order, span_of(ask->text, ask->len));
    assert(bad == 0 && "it is this node's own");
    int own = order_give(shard, &ticket, &order, err < 0 ? ignore : done);
    nodes_ask_free(ask);
    if (!conn || (err == 0 && own == 0))
        return;
    api_error(conn->extra->transport_state, ticket.tag, error_of(err < 0 ? err : own));
    api_respond_if_all(shard, conn);
}

static int give(struct shard *shard, const struct ticket *ticket, const struct order *order)
{
    if (!shard->server->broker)
        return order_give(shard, ticket, order, done);
    char *text = malloc(order_text_room(order));
    struct nodes_ask *ask = NULL;
    if (text)
        ask = nodes_ask_create(NODES_ORDER, 0, span_of(text, order_text_write(text, order)));
    free(text);
    if (!ask)
        return -ENOMEM;
    ask->call.ticket = *ticket;
    ask->done = nodes_told;
    int err = nodes_send(shard->hub, shard->server->hubs, ask);
    if (err < 0)
        nodes_ask_free(ask);
    return err;
}

/* ---- what is asked ---- */

/* {"code":4000,"reason":"text"}: either may be missing. The reason is left with its escapes. */
static bool words_read(struct order *order, struct span object)
{
    struct json_members members = json_members_begin(object);
    struct json_member member;
    uint64_t code = 0;
    int found;
    while ((found = json_members_next(&members, &member)) > 0) {
        if (json_string_is(member.name, SPAN("code")) &&
            (member.kind != JSON_IS_NUMBER || !json_number_read(member.value, &code)))
            return false;
        if (json_string_is(member.name, SPAN("reason"))) {
            order->reason = member.value;
            if (member.kind != JSON_IS_STRING)
                return false;
        }
    }
    if (code > 0)
        order->code = code <= DISCONNECT_CODE_MAX ? (unsigned)code : 0;
    return found == 0 && order->code >= DISCONNECT_CODE_MIN;
}

static bool list_of_strings(struct span list)
{
    struct json_items items = json_items_begin(list);
    struct span item;
    enum json_kind kind;
    int found;
    while ((found = json_items_next(&items, &item, &kind)) > 0)
        if (kind != JSON_IS_STRING)
            return false;
    return found == 0;
}

static bool is_null(struct span value)
{
    return value.len == 0 || span_equal(value, SPAN("null"));
}

static bool disconnect_read(struct order *ret, const struct centrifuge_command *request)
{
    ret->kind = ORDER_DISCONNECT;
    ret->code = DISCONNECT_CODE;
    ret->reason = SPAN("force disconnect");
    if (!is_null(request->whitelist))
        ret->keep = request->whitelist;
    return (is_null(request->disconnect) || words_read(ret, request->disconnect)) &&
           (ret->keep.len == 0 || list_of_strings(ret->keep));
}

static bool kind_read(struct order *ret, enum api_method method,
                      const struct centrifuge_command *request)
{
    ret->ends_s = request->expire_at <= INT64_MAX ? (int64_t)request->expire_at : INT64_MAX;
    if (method == API_SUBSCRIBE) {
        ret->kind = ORDER_SUBSCRIBE;
        ret->since.from = request->since ? HUB_FROM_POSITION : HUB_FROM_NOW;
        ret->since.epoch = epoch_read(request->epoch);
        ret->since.offset = request->offset;
    } else if (method == API_UNSUBSCRIBE) {
        ret->kind = ORDER_UNSUBSCRIBE;
    } else if (method == API_REFRESH) {
        ret->kind = ORDER_REFRESH;
        ret->expired = request->expired;
    } else {
        return disconnect_read(ret, request);
    }
    return true;
}

static struct span decode(char **at, struct span string)
{
    struct span text = {*at, json_string_decode(*at, string)};
    *at += text.len;
    return text;
}

/* Without escapes, and as an order may be. `area` has the room of all strings. */
static bool strings_read(struct order *order, const struct centrifuge_command *request, char *area)
{
    order->user = decode(&area, request->user);
    order->client = decode(&area, request->client);
    order->channel = decode(&area, request->channel);
    order->reason = decode(&area, order->reason);
    bool named = order->channel.len > 0 || order->kind == ORDER_SUBSCRIBE;
    bool of_channel = order->kind == ORDER_SUBSCRIBE || order->kind == ORDER_UNSUBSCRIBE;
    if (of_channel && named && !hub_name_valid(order->channel.ptr, order->channel.len))
        return false;
    return (order->user.len > 0 || order->client.len > 0) && order->reason.len <= WS_REASON_MAX;
}

void api_order(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
               enum api_method method, const struct centrifuge_command *request)
{
    const struct ticket ticket = conn_ticket(shard, conn, at);
    struct order order = {0};
    if (request->session.len > 0) {
        api_error(call, at, CENTRIFUGE_ERROR_NOT_AVAILABLE);
        return;
    }
    if (!kind_read(&order, method, request)) {
        api_error(call, at, CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    char *area = malloc(request->user.len + request->client.len + request->channel.len +
                        order.reason.len + 1);
    if (area && !strings_read(&order, request, area)) {
        api_error(call, at, CENTRIFUGE_ERROR_BAD_REQUEST);
    } else {
        int err = area ? give(shard, &ticket, &order) : -ENOMEM;
        if (err < 0)
            api_error(call, at, error_of(err));
    }
    free(area);
}
