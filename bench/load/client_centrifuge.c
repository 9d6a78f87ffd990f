/* client_centrifuge: subscribers with the Centrifuge protocol, JSON on a WebSocket, as the official
 * SDKs speak it to Ringside.
 *
 *   → connect LF subscribe       ← {"id":1,"connect":…   ← {"id":2,"subscribe":…: it is up
 *   ← {}: a ping                 → {}
 *   ← {"push":…: payloads inside, perhaps several
 *
 * What is no push is known by its first bytes, which are kept where the head of a raw payload
 * would be. */
#include "load/engine.h"
#include "wire/out.h"

enum {
    GREETING_MAX = LOAD_NAME_MAX + CHANNEL_SUFFIX_MAX + 128,
};

void centrifuge_greet(struct load *load, struct subscriber *subscriber)
{
    const struct group *group = group_of(load, subscriber);
    char suffix[CHANNEL_SUFFIX_MAX], text[GREETING_MAX];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"");
    out_span(&out, span_from(group->channel));
    if (group->config.channels > 0)
        out_span(&out, span_of(suffix, channel_suffix_write(
                                           suffix, channel_of_subscriber(load, subscriber))));
    out_text(&out, "\"}}");
    ws_send(load, subscriber, WS_TEXT, span_of(text, (size_t)out_end(&out)));
}

void centrifuge_piece(struct half *half, struct span piece)
{
    if (half->message_bytes >= sizeof half->payload.head)
        return;
    size_t room = sizeof half->payload.head - (size_t)half->message_bytes;
    memcpy(half->payload.head + half->message_bytes, piece.ptr,
           piece.len < room ? piece.len : room);
}

static bool begins(const struct half *half, struct span with)
{
    return half->message_bytes >= with.len && memcmp(half->payload.head, with.ptr, with.len) == 0;
}

void centrifuge_end(struct load *load, struct subscriber *subscriber, const struct half *half)
{
    if (begins(half, SPAN("{}"))) {
        group_of(load, subscriber)->counters.pings++;
        ws_send(load, subscriber, WS_TEXT, SPAN("{}"));
    } else if (begins(half, SPAN("{\"id\":2,\"subscribe\":"))) {
        subscriber_is_up(load, subscriber);
    } else if (begins(half, SPAN("{\"id\":1,\"error\":")) ||
               begins(half, SPAN("{\"id\":2,\"error\":"))) {
        subscriber_fail(load, subscriber, LOAD_FAIL_JSON);
    }
}

/* Its positions are in members of their own, which these clients do not read: what comes back for
 * what it missed does so with envelopes. */
const struct protocol protocol_centrifuge = {
    .name = "centrifuge",
    .path = "/connection/websocket",
    .is = PROTOCOL_SENDS | PROTOCOL_STALLS | PROTOCOL_PUSHES,
    .resumes_as = &protocol_websocket_envelope,
    .ask = ws_request,
    .input = ws_input,
};
