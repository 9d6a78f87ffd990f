#include "transport/ws_publish.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "conn/client.h"
#include "core/message.h"
#include "transport/standing.h"
#include "wire/base64.h"
#include "wire/out.h"
#include "wire/utf8.h"

enum {
    ANSWER_MAX = CHANNEL_NAME_MAX + 128,
    VALUES_MAX = 32, /* in an envelope */
};

static void publish(struct shard *shard, struct conn *conn, struct span name, struct span payload,
                    bool utf8, const struct hub_asker *asker)
{
    uint64_t hash = hub_hash(shard->server->hubs, name.ptr, name.len);
    struct message *message =
        message_create(name.ptr, name.len, hash, payload.ptr, payload.len, utf8);
    if (!message || hub_publish(shard->hub, asker, message) < 0) {
        message_unref(message);
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
    }
}

/* The connection's subscription to a channel, and its place in the order of the request; or
 * HUB_NONE. */
static uint32_t subscription_to(const struct shard *shard, const struct conn *conn,
                                struct span name, uint32_t *place)
{
    *place = 0;
    for (uint32_t sub = conn->subscriptions; sub != HUB_NONE; sub = hub_next_of(shard->hub, sub)) {
        struct span own;
        own.ptr = hub_name_of(shard->hub, sub, &own.len);
        if (span_equal(own, name))
            return sub;
        ++*place;
    }
    return HUB_NONE;
}

/* Whether it has no more values than an envelope may have. Jansson makes a node of each, and a
 * megabyte of zeros in a list is half a million of them. */
static bool has_few_values(struct span json)
{
    bool inside = false; /* a string */
    unsigned values = 0;
    for (size_t i = 0; i < json.len && values <= VALUES_MAX; i++) {
        char c = json.ptr[i];
        if (inside && c == '\\')
            i++;
        else if (c == '"')
            inside = !inside;
        else if (!inside)
            values += c == ',' || c == '[' || c == '{';
    }
    return values <= VALUES_MAX;
}

/* Publishes what an envelope asks for. Returns false when it is not one. */
static bool publish_envelope(struct shard *shard, struct conn *conn, json_t *envelope)
{
    const char *name, *data;
    size_t name_len, data_len;
    int base64 = 0;
    uint32_t place;
    if (json_unpack(envelope, "{s:s%, s:s%, s?b}", "channel", &name, &name_len, "data", &data,
                    &data_len, "base64", &base64) != 0)
        return false;
    struct span channel = {name, name_len}, payload = {data, data_len};
    if (subscription_to(shard, conn, channel, &place) == HUB_NONE)
        return false;
    struct hub_asker asker = standing_asker(shard, conn, place);
    if (!base64) {
        publish(shard, conn, channel, payload, true, &asker);
        return true;
    }
    char *bytes = malloc(data_len + 1);
    if (!bytes) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return true;
    }
    int len = base64_decode(bytes, data_len, payload);
    if (len >= 0)
        publish(shard, conn, channel, span_of(bytes, (size_t)len),
                utf8_valid(span_of(bytes, (size_t)len)), &asker);
    free(bytes);
    return len >= 0;
}

void ws_publish(struct shard *shard, struct conn *conn, struct span payload, bool text)
{
    if (!shard->settings->websocket_publish) {
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
        struct hub_asker asker = standing_asker(shard, conn, 0);
        publish(shard, conn, name, payload, text || utf8_valid(payload), &asker);
        return;
    }
    json_t *envelope =
        text && has_few_values(payload)
            ? json_loadb(payload.ptr, payload.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)
            : NULL;
    if (!envelope || !publish_envelope(shard, conn, envelope))
        websocket_fail(shard, conn, CLOSE_WS_BAD_MESSAGE);
    json_decref(envelope);
}

void ws_published(struct shard *shard, struct conn *conn, const struct hub_asker *asker, int err,
                  uint64_t epoch, uint64_t offset)
{
    if (err < 0) {
        websocket_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    if (!(conn->asked & ASKED_ENVELOPE))
        return;
    uint32_t sub = conn->subscriptions;
    for (uint32_t place = asker->tag; place > 0 && sub != HUB_NONE; place--)
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
    websocket_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}
