/* server_api_item: what one item of a request asks for, and its answer. */
#include "api/server_api.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hub/hub.h"
#include "conf/namespaces.h"
#include "session/channel_name.h"
#include "session/presence.h"
#include "session/results.h"
#include "wire/json_scan.h"

enum {
    RESULT_MAX = 512,
};

/* ---- answers ---- */

static void answer_set(struct api_call *call, unsigned at, char *text, size_t len, bool failed)
{
    struct api_answer *answer = &call->answers[at];
    assert(!answer->text && call->left > 0);
    answer->text = text;
    answer->len = (uint32_t)len;
    answer->failed = failed;
    call->bytes += len;
    call->left--;
}

/* Where memory is out for an error's text there is nothing to say it with. */
void api_error(struct api_call *call, unsigned at, enum centrifuge_error error)
{
    char text[CENTRIFUGE_REPLY_MAX];
    struct out out = out_begin(text, sizeof text);
    centrifuge_error_write(&out, error);
    size_t len = (size_t)out_end(&out);
    char *copy = malloc(len);
    if (copy)
        memcpy(copy, text, len);
    answer_set(call, at, copy, copy ? len : 0, true);
}

void api_result(struct api_call *call, unsigned at, struct span text)
{
    bool fits = call->bytes + text.len <= API_ANSWER_MAX;
    char *copy = fits ? malloc(text.len) : NULL;
    if (!copy) {
        api_error(call, at, fits ? CENTRIFUGE_ERROR_INTERNAL : CENTRIFUGE_ERROR_LIMIT_EXCEEDED);
        return;
    }
    memcpy(copy, text.ptr, text.len);
    answer_set(call, at, copy, text.len, false);
}

void api_item_published(struct api_call *call, unsigned at, int err, uint64_t epoch,
                        uint64_t offset)
{
    if (err < 0) {
        api_error(call, at, published_error(err));
        return;
    }
    char text[RESULT_MAX], hex[DIGITS_HEX_MAX];
    struct out out = out_begin(text, sizeof text);
    out_text(&out, "{\"offset\":");
    out_decimal(&out, offset);
    out_text(&out, ",\"epoch\":\"");
    out_span(&out, span_of(hex, digits_hex_write(hex, epoch)));
    out_text(&out, "\"}");
    api_result(call, at, span_of(text, (size_t)out_end(&out)));
}

void api_item_read(struct api_call *call, unsigned at, const struct hub_reply *reply)
{
    if (reply->err < 0 || !reply->recovered) {
        api_error(call, at,
                  reply->err < 0 ? CENTRIFUGE_ERROR_INTERNAL : CENTRIFUGE_ERROR_UNRECOVERABLE);
        return;
    }
    if (call->answers[at].method == API_HISTORY_REMOVE) {
        api_result(call, at, SPAN("{}"));
        return;
    }
    size_t room = history_result_room(reply);
    char *area = malloc(room);
    if (!area) {
        api_error(call, at, CENTRIFUGE_ERROR_INTERNAL);
        return;
    }
    struct out out = out_begin(area, room);
    history_result_write(&out, reply);
    api_result(call, at, span_of(area, (size_t)out_end(&out)));
    free(area);
}

/* ---- what is asked for ---- */

static void history(struct shard *shard, const struct conn *conn, struct api_call *call,
                    unsigned at, const struct centrifuge_command *request, struct span name)
{
    const struct ticket ticket = conn_ticket(shard, conn, at);
    struct hub_since since = history_since(request);
    if (call->answers[at].method == API_HISTORY_REMOVE)
        since = (struct hub_since){.from = HUB_FORGET};
    if (hub_read(shard->hub, &ticket, name.ptr, name.len, &since) < 0)
        api_error(call, at, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
}

static void presence_told(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                          const struct presence_answer *answer)
{
    struct api_call *call = conn->extra->transport_state;
    size_t room = presence_result_room(answer);
    char *area = answer->err == 0 ? malloc(room) : NULL;
    if (area) {
        struct out out = out_begin(area, room);
        presence_result_write(&out, answer);
        api_result(call, ticket->tag, span_of(area, (size_t)out_end(&out)));
        free(area);
    } else {
        api_error(call, ticket->tag,
                  answer->err == -E2BIG ? CENTRIFUGE_ERROR_LIMIT_EXCEEDED
                                        : CENTRIFUGE_ERROR_INTERNAL);
    }
    api_respond_if_all(shard, conn);
}

static void presence(struct shard *shard, const struct conn *conn, struct api_call *call,
                     unsigned at, bool stats, struct span name)
{
    const struct ticket ticket = conn_ticket(shard, conn, at);
    if (!namespace_of(&shard->settings->namespaces, name)->presence)
        api_error(call, at, CENTRIFUGE_ERROR_NOT_AVAILABLE);
    else if (presence_ask(shard, &ticket, name, stats, presence_told) < 0)
        api_error(call, at, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
}

static void of_channel(struct shard *shard, const struct conn *conn, struct api_call *call,
                       unsigned at, const struct centrifuge_command *request)
{
    struct channel_name name;
    unsigned method = call->answers[at].method;
    if (!channel_name_read(&name, request->channel))
        api_error(call, at, CENTRIFUGE_ERROR_BAD_REQUEST);
    else if (method == API_PUBLISH)
        api_publish(shard, conn, call, at, request, name.span);
    else if (method == API_HISTORY || method == API_HISTORY_REMOVE)
        history(shard, conn, call, at, request, name.span);
    else
        presence(shard, conn, call, at, method == API_PRESENCE_STATS, name.span);
}

void api_item(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
              enum api_method method, const struct centrifuge_command *request)
{
    call->answers[at].method = (uint8_t)method;
    switch (method) {
    case API_PUBLISH:
    case API_HISTORY:
    case API_HISTORY_REMOVE:
    case API_PRESENCE:
    case API_PRESENCE_STATS:
        of_channel(shard, conn, call, at, request);
        break;
    case API_INFO:
        api_info(shard, conn, call, at);
        break;
    case API_SUBSCRIBE:
    case API_UNSUBSCRIBE:
    case API_DISCONNECT:
    case API_REFRESH:
        api_order(shard, conn, call, at, method, request);
        break;
    case API_CHANNELS:
        api_channels(shard, conn, call, at, request);
        break;
    case API_RPC: /* there are no methods */
        api_error(call, at, CENTRIFUGE_ERROR_METHOD_NOT_FOUND);
        break;
    case API_BROADCAST:
    case API_BATCH:
    case API_METHOD_COUNT:
        api_error(call, at, CENTRIFUGE_ERROR_NOT_AVAILABLE);
    }
}
