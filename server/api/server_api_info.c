/* server_api_info: what the nodes of a cluster have to say of themselves. */
#include "api/server_api.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/nodes.h"
#include "core/build_info.h"
#include "hub/hub.h"
#include "wire/json_scan.h"
#include "wire/out.h"

enum {
    NODE_MAX = 512, /* of one node's object */
    AROUND_MAX = 32,
    NODE_DIGITS = 16, /* of its number */
};

static void uid_write(struct out *out, const struct server *server)
{
    if (!server->broker) {
        out_text(out, "ringside");
        return;
    }
    char digits[NODE_DIGITS];
    for (unsigned i = 0; i < sizeof digits; i++)
        digits[i] = "0123456789abcdef"[server->node >> (60 - 4 * i) & 15];
    out_span(out, span_of(digits, sizeof digits));
}

static void node_write(struct out *out, const struct server *server)
{
    uint64_t clients = 0, channels = 0, subscriptions = 0;
    struct hub_stats stats;
    for (unsigned i = 0; i < server->shard_count; i++) {
        clients += counter_read(&server->shards[i]->counters.sessions);
        hub_stats_read(server->shards[i]->hub, &stats);
        channels += stats.channels;
        subscriptions += stats.subscriptions;
    }
    out_text(out, "{\"uid\":\"");
    uid_write(out, server);
    out_text(out, "\",\"name\":\"ringside\",\"version\":\"");
    out_span(out, span_from(build_version));
    out_text(out, "\",\"num_clients\":");
    out_decimal(out, clients);
    out_text(out, ",\"num_channels\":");
    out_decimal(out, channels);
    out_text(out, ",\"num_subs\":");
    out_decimal(out, subscriptions);
    out_text(out, "}");
}

/* What another node says is told as it is, if it is an object in one line. */
static bool is_node(const struct nodes_answer *answer)
{
    struct span text = {answer->text, answer->len};
    bool one_line = text.len > 0 && text.len <= NODE_MAX && !memchr(text.ptr, '\n', text.len) &&
                    !memchr(text.ptr, '\r', text.len);
    return answer->err == 0 && one_line && text.ptr[0] == '{' && json_valid(text);
}

/* Without others there is this one. */
static void answer(struct shard *shard, struct api_call *call, unsigned at,
                   const struct nodes_answer *others)
{
    size_t room = NODE_MAX + AROUND_MAX;
    for (const struct nodes_answer *other = others; other; other = other->next)
        room += NODE_MAX + 1;
    char *area = malloc(room);
    if (!area) {
        api_error(call, at, CENTRIFUGE_ERROR_INTERNAL);
        return;
    }
    struct out out = out_begin(area, room);
    out_text(&out, "{\"nodes\":[");
    node_write(&out, shard->server);
    for (const struct nodes_answer *other = others; other; other = other->next) {
        if (!is_node(other))
            continue;
        out_text(&out, ",");
        out_span(&out, span_of(other->text, other->len));
    }
    out_text(&out, "]}");
    api_result(call, at, span_of(area, (size_t)out_end(&out)));
    free(area);
}

static void nodes_told(void *context, struct nodes_ask *ask)
{
    struct shard *shard = context;
    struct conn *conn = conn_of_ticket(shard, &ask->call.ticket);
    if (conn) {
        answer(shard, conn->extra->transport_state, ask->call.ticket.tag, ask->answers);
        api_respond_if_all(shard, conn);
    }
    nodes_ask_free(ask);
}

void api_info(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at)
{
    if (!shard->server->broker) {
        answer(shard, call, at, NULL);
        return;
    }
    struct nodes_ask *ask = nodes_ask_create(NODES_INFO, 0, (struct span){0});
    if (ask) {
        ask->call.ticket = conn_ticket(shard, conn, at);
        ask->done = nodes_told;
    }
    if (ask && nodes_send(shard->hub, shard->server->hubs, ask) == 0)
        return;
    nodes_ask_free(ask);
    api_error(call, at, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
}

void info_heard(struct shard *shard, struct nodes_heard *heard)
{
    char text[NODE_MAX];
    struct out out = out_begin(text, sizeof text);
    node_write(&out, shard->server);
    nodes_reply(shard->hub, heard, 0, span_of(text, (size_t)out_end(&out)));
}
