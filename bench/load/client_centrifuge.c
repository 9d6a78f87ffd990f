/* client_centrifuge: subscribers with the Centrifuge protocol, JSON on a WebSocket, as the official
 * SDKs speak it to Ringside.
 *
 *   → connect LF subscribe       ← {"id":1,"connect":…   ← {"id":2,"subscribe":…: it is up
 *   ← {}: a ping                 → {}
 *   ← {"push":…: payloads inside, perhaps several
 *
 * What is no push is known by how it begins, which is kept. Its position is that of the reply, and
 * one more with each publication: a reply that says otherwise is an error. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/engine.h"
#include "wire/out.h"

enum {
    SINCE_MAX = 96,
    GREETING_MAX = LOAD_NAME_MAX + CHANNEL_SUFFIX_MAX + TOKEN_MAX + 192,
};

void centrifuge_greet(struct load *load, struct subscriber *subscriber)
{
    const struct group *group = group_of(load, subscriber);
    char suffix[CHANNEL_SUFFIX_MAX], text[GREETING_MAX], since[SINCE_MAX], token[TOKEN_MAX];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"id\":1,\"connect\":{");
    if (group->config.token_secret) {
        uint32_t user = subscriber_index(load, subscriber) - group->first;
        out_text(&out, "\"token\":\"");
        out_span(&out, span_of(token, token_write(token, &group->token_key, user)));
        out_text(&out, "\"");
    }
    out_text(&out, "}}\n{\"id\":2,\"subscribe\":{\"channel\":\"");
    out_span(&out, span_from(group->channel));
    if (group->config.channels > 0)
        out_span(&out, span_of(suffix, channel_suffix_write(
                                           suffix, channel_of_subscriber(load, subscriber))));
    const struct position *at = &subscriber->position;
    snprintf(since, sizeof since, ",\"recover\":true,\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64,
             at->epoch, at->offset);
    out_text(&out, "\"");
    if (at->epoch != 0)
        out_span(&out, span_from(since));
    out_text(&out, "}}");
    ws_send(load, subscriber, WS_TEXT, span_of(text, (size_t)out_end(&out)));
}

void centrifuge_piece(struct half *half, struct span piece)
{
    if (half->message_bytes >= sizeof half->reply)
        return;
    size_t room = sizeof half->reply - (size_t)half->message_bytes;
    memcpy(half->reply + half->message_bytes, piece.ptr, piece.len < room ? piece.len : room);
}

static struct span beginning(const struct half *half)
{
    uint64_t len = half->message_bytes;
    return span_of(half->reply, len < sizeof half->reply ? (size_t)len : sizeof half->reply);
}

static bool begins(const struct half *half, struct span with)
{
    struct span text = beginning(half);
    return text.len >= with.len && memcmp(text.ptr, with.ptr, with.len) == 0;
}

/* What stands behind a member's name in a reply; NULL: there is none. */
static const char *member_of(const char *reply, const char *name)
{
    const char *at = strstr(reply, name);
    return at ? at + strlen(name) : NULL;
}

/* Where it stands; the publications that came with it have been counted. Returns false when the
 * reply does not say, or says otherwise. */
static bool position_take(struct load *load, struct subscriber *subscriber, const struct half *half)
{
    char reply[HALF_REPLY_MAX + 1] = "";
    struct span text = beginning(half);
    memcpy(reply, text.ptr, text.len);
    char *publications = strstr(reply, "\"publications\"");
    if (publications)
        *publications = '\0';
    const char *epoch = member_of(reply, "\"epoch\":\"");
    const char *offset = member_of(reply, "\"offset\":");
    bool came_back = subscriber->position.epoch != 0;
    const struct position told = {
        .epoch = epoch ? strtoull(epoch, NULL, 16) : 0,
        .offset = offset ? strtoull(offset, NULL, 10) : 0,
    };
    bool recovered = strstr(reply, "\"recovered\":true");
    bool same =
        told.epoch == subscriber->position.epoch && told.offset == subscriber->position.offset;
    if (came_back && !recovered)
        subscriber_unrecovered(load, subscriber);
    subscriber->position = told;
    return told.epoch != 0 && (same || !came_back || !recovered);
}

void centrifuge_end(struct load *load, struct subscriber *subscriber, const struct half *half)
{
    if (begins(half, SPAN("{}"))) {
        group_of(load, subscriber)->counters.pings++;
        ws_send(load, subscriber, WS_TEXT, SPAN("{}"));
    } else if (begins(half, SPAN("{\"id\":2,\"subscribe\":"))) {
        if (position_take(load, subscriber, half))
            subscriber_is_up(load, subscriber);
        else
            subscriber_fail(load, subscriber, LOAD_FAIL_JSON);
    } else if (begins(half, SPAN("{\"id\":1,\"error\":")) ||
               begins(half, SPAN("{\"id\":2,\"error\":"))) {
        subscriber_fail(load, subscriber, LOAD_FAIL_JSON);
    }
}

const struct protocol protocol_centrifuge = {
    .name = "centrifuge",
    .path = "/connection/websocket",
    .is = PROTOCOL_SENDS | PROTOCOL_STALLS | PROTOCOL_PUSHES,
    .ask = ws_request,
    .input = ws_input,
};
