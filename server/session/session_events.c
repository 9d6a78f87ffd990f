/* session_events: what webhooks are told of clients. */
#include "session/session_internal.h"

#include <stdlib.h>

#include "wire/json_out.h"

void session_event(struct shard *shard, enum server_event event, struct span channel,
                   struct span data)
{
    const struct courier *courier = shard->server->couriers[COURIER_WEBHOOKS];
    if (courier)
        events_tell(courier_events(courier), shard->hub, event, channel, data);
}

void session_tell(struct shard *shard, const struct conn *conn, enum server_event event)
{
    const struct courier *courier = shard->server->couriers[COURIER_WEBHOOKS];
    if (!courier || !witness_wants(&courier_events(courier)->witness, event))
        return;
    struct span user = person_user(session_of(shard, conn));
    char id[SESSION_ID_LEN];
    size_t room = sizeof id + 32 + json_string_size(user);
    char *area = malloc(room);
    if (!area)
        return;
    session_id_write(shard, conn, id);
    struct out out = out_begin(area, room);
    out_text(&out, "{\"client\":\"");
    out_span(&out, span_of(id, sizeof id));
    out_text(&out, "\",\"user\":");
    out.at += json_string_write(out.at, user);
    out_text(&out, "}");
    session_event(shard, event, (struct span){0}, span_of(area, (size_t)out_end(&out)));
    free(area);
}
