#include "transport/ws_publish.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "auth/permit.h"
#include "conn/client.h"
#include "core/message.h"
#include "transport/standing.h"
#include "transport/websocket.h"
#include "wire/base64.h"
#include "wire/json_scan.h"
#include "wire/out.h"
#include "wire/utf8.h"

enum {
    ANSWER_MAX = CHANNEL_NAME_MAX + 128,
};

static void publish(struct shard *shard, struct conn *conn, struct span name, struct span payload,
                    bool utf8, const struct ticket *ticket)
{
    uint64_t hash = hub_hash(shard->server->hubs, name.ptr, name.len);
    struct message *message =
        message_create(name.ptr, name.len, hash, payload.ptr, payload.len, utf8);
    if (!message || hub_publish(shard->hub, ticket, message) < 0) {
        message_unref(message);
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
    }
}

/* The connection's subscription to a channel, whose name is a string of JSON, and its place in the
 * order of the request; or HUB_NONE. */
static uint32_t subscription_to(const struct shard *shard, const struct conn *conn,
                                struct span name, uint32_t *place)
{
    *place = 0;
    for (uint32_t sub = conn->subscriptions; sub != HUB_NONE; sub = hub_next_of(shard->hub, sub)) {
        struct span own;
        own.ptr = hub_name_of(shard->hub, sub, &own.len);
        if (json_string_is(name, own))
            return sub;
        ++*place;
    }
    return HUB_NONE;
}

static bool may_publish(const struct shard *shard, const struct conn *conn, uint32_t subscription)
{
    struct span name;
    name.ptr = hub_name_of(shard->hub, subscription, &name.len);
    return permit_subscriber_publishes(shard, conn, name);
}

/* What an envelope asks for: {"channel":"C","data":"text"}, perhaps with "base64":true. */
struct envelope {
    struct json_member channel, data, base64; /* without a name: not there */
};

/* Keeps one that is asked for. Returns false when it has come before. */
static bool keep(struct json_member *place, const struct json_member *member)
{
    bool first = !place->name.ptr;
    *place = *member;
    return first;
}

static bool is_bool(const struct json_member *member)
{
    return member->kind == JSON_IS_TRUE || member->kind == JSON_IS_FALSE;
}

/* Returns false when it is no envelope. Other members are passed over. */
static bool envelope_read(struct envelope *ret, struct span text)
{
    struct json_members members = json_members_begin(text);
    struct json_member member;
    int found;
    *ret = (struct envelope){.base64.kind = JSON_IS_FALSE};
    while ((found = json_members_next(&members, &member)) > 0) {
        bool first = true;
        if (json_string_is(member.name, SPAN("channel")))
            first = keep(&ret->channel, &member);
        else if (json_string_is(member.name, SPAN("data")))
            first = keep(&ret->data, &member);
        else if (json_string_is(member.name, SPAN("base64")))
            first = keep(&ret->base64, &member);
        if (!first)
            return false;
    }
    return found == 0 && ret->channel.name.ptr && ret->channel.kind == JSON_IS_STRING &&
           ret->data.name.ptr && ret->data.kind == JSON_IS_STRING && is_bool(&ret->base64);
}

/* Decodes what an envelope carries into `area`, which is as large as that is in JSON. Returns false
 * when it is no base64 and says so. */
static bool data_decode(const struct envelope *envelope, char *area, struct span *ret)
{
    *ret = span_of(area, json_string_decode(area, envelope->data.value));
    if (envelope->base64.kind == JSON_IS_FALSE)
        return true;
    int len = base64_decode(area, ret->len, *ret);
    ret->len = len > 0 ? (size_t)len : 0;
    return len >= 0;
}

/* Publishes what an envelope asks for. Returns false when it is not one. */
static bool publish_envelope(struct shard *shard, struct conn *conn, struct span text)
{
    struct envelope envelope;
    struct span channel, payload;
    uint32_t place, sub = HUB_NONE;
    if (envelope_read(&envelope, text))
        sub = subscription_to(shard, conn, envelope.channel.value, &place);
    if (sub == HUB_NONE)
        return false;
    if (!may_publish(shard, conn, sub)) {
        websocket_fail(shard, conn, CLOSE_WS_POLICY);
        return true;
    }
    char *area = malloc(envelope.data.value.len + 1);
    if (!area) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return true;
    }
    channel.ptr = hub_name_of(shard->hub, sub, &channel.len);
    struct ticket ticket = conn_ticket(shard, conn, place);
    bool right = data_decode(&envelope, area, &payload);
    bool utf8 = envelope.base64.kind == JSON_IS_FALSE || utf8_valid(payload);
    if (right)
        publish(shard, conn, channel, payload, utf8, &ticket);
    free(area);
    return right;
}

void ws_publish(struct shard *shard, struct conn *conn, struct span payload, bool text)
{
    if (!shard->settings->websocket_publish) {
        websocket_fail(shard, conn, CLOSE_WS_POLICY);
        return;
    }
    if (!(conn->asked & ASKED_ENVELOPE) && !may_publish(shard, conn, conn->subscriptions)) {
        websocket_fail(shard, conn, CLOSE_WS_POLICY);
        return;
    }
    if (shard->clients && client_take(shard, conn, ADDRESS_PUBLISHES) > 0) {
        websocket_fail(shard, conn, CLOSE_ADDRESS_PUBLISHES);
        return;
    }
    if (!(conn->asked & ASKED_ENVELOPE)) {
        struct span name;
        name.ptr = hub_name_of(shard->hub, conn->subscriptions, &name.len);
        struct ticket ticket = conn_ticket(shard, conn, 0);
        publish(shard, conn, name, payload, text || utf8_valid(payload), &ticket);
        return;
    }
    if (!text || !publish_envelope(shard, conn, payload))
        websocket_fail(shard, conn, CLOSE_WS_BAD_MESSAGE);
}

void ws_published(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err,
                  uint64_t epoch, uint64_t offset)
{
    if (err < 0) {
        websocket_fail(shard, conn, err == -EPIPE ? CLOSE_ENDED : CLOSE_OVERLOADED);
        return;
    }
    if (!(conn->asked & ASKED_ENVELOPE))
        return;
    uint32_t sub = conn->subscriptions;
    for (uint32_t place = ticket->tag; place > 0 && sub != HUB_NONE; place--)
        sub = hub_next_of(shard->hub, sub);
    if (sub == HUB_NONE || conn->role & ROLE_CLOSE_SENT)
        return;
    struct span name;
    name.ptr = hub_name_of(shard->hub, sub, &name.len);
    char text[ANSWER_MAX], hex[DIGITS_HEX_MAX];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"channel\":\"");
    out_span(&out, name);
    out_text(&out, "\",\"offset\":");
    out_decimal(&out, offset);
    out_text(&out, ",\"epoch\":\"");
    out_span(&out, span_of(hex, digits_hex_write(hex, epoch)));
    out_text(&out, "\",\"published\":true}");
    websocket_send(shard, conn, WS_TEXT, span_of(text, (size_t)out_end(&out)), SEND_ANSWER);
}
