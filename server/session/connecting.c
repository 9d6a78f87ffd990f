/* connecting: the channels that a session begins with: those of its token, `channels` and `subs`;
 * and for a client that only listens those that it asks for, `subs`. What `subs` of a connect says
 * besides is where its client stands.
 *
 * Idea     The result of connect has what each channel answered. A channel that is live before the
 *          last one has answered has its frames kept, in order, and sent behind the result.
 * Memory   The result as far as it is written, and references on frames; until all have answered.
 * Bounds   session_channels_max channels: 3505. SESSION_PARTS_MAX parts of replays. Frames that
 *          wait have queue_bytes_max: then it is ended as a slow reader is. */
#include <errno.h>
#include <stdlib.h>

#include "core/message.h"
#include "session/channel_name.h"
#include "session/results.h"
#include "session/session_internal.h"

enum {
    SUB_MAX = CHANNEL_NAME_MAX + 384, /* of a result, without its publications */
    HELD_MIN = 8,
};

struct held {
    struct frame frame;
    unsigned messages;
};

struct connecting {
    uint32_t id;
    unsigned left; /* so many have not answered */
    int64_t ends_s;
    char *subs;
    size_t len;
    char *data; /* of its application; NULL: none */
    size_t data_len;
    struct held *held;
    unsigned held_count, held_size;
    uint64_t held_bytes;
};

/* ---- begin ---- */

/* Where the client stands in a channel, as `subs` has it; and its token for it. */
static struct centrifuge_command asked_for(struct span subs, struct span name)
{
    struct json_members members = json_members_begin(subs);
    struct json_member member;
    struct centrifuge_command asked = {0};
    while (subs.len > 0 && json_members_next(&members, &member) > 0)
        if (json_string_is(member.name, name) && member.kind == JSON_IS_OBJECT &&
            centrifuge_connect_read(&asked, member.value) == 0)
            return asked;
    return (struct centrifuge_command){0};
}

/* Returns 0, or negative errno: -EACCES when it may not have it, -EINVAL when it is no channel. */
static int subscribe(struct shard *shard, struct conn *conn, struct span subs, struct span string,
                     bool given)
{
    struct session *session = session_of(shard, conn);
    struct channel_name name;
    struct hub_since since = {.from = HUB_FROM_NOW};
    int64_t ends_s = 0;
    if (!channel_name_read(&name, string))
        return -EINVAL;
    if (session_subscription_to(shard, session, name.span) != HUB_NONE)
        return 0;
    const struct centrifuge_command asked = asked_for(subs, name.span);
    if (!given && session_may_subscribe(shard, conn, name.span, asked.token, &ends_s) != 0)
        return -EACCES;
    if (asked.recover)
        since = (struct hub_since){
            .from = HUB_FROM_POSITION, .epoch = epoch_read(asked.epoch), .offset = asked.offset};
    int err = session_subscribe(shard, conn, name.span, &since, ends_s);
    if (err == 0)
        session->connecting->left++;
    return err;
}

static int subscribe_list(struct shard *shard, struct conn *conn, struct span subs,
                          struct span list)
{
    struct json_items items = json_items_begin(list);
    struct span item;
    enum json_kind kind;
    int err = 0;
    while (list.len > 0 && err == 0 && json_items_next(&items, &item, &kind) > 0)
        err = kind == JSON_IS_STRING ? subscribe(shard, conn, subs, item, true) : -EINVAL;
    return err;
}

static int subscribe_members(struct shard *shard, struct conn *conn, struct span subs,
                             struct span object, bool given)
{
    struct json_members members = json_members_begin(object);
    struct json_member member;
    int err = 0;
    while (object.len > 0 && err == 0 && json_members_next(&members, &member) > 0)
        err = subscribe(shard, conn, subs, member.name, given);
    return err;
}

static int subscribe_all(struct shard *shard, struct conn *conn,
                         const struct centrifuge_command *command, const struct jwt_claims *claims)
{
    struct span subs = command->subs;
    int err = subscribe_list(shard, conn, subs, claims->channels);
    if (err == 0)
        err = subscribe_members(shard, conn, subs, claims->subs, true);
    if (err == 0 && conn->role & ROLE_ONE_WAY)
        err = subscribe_members(shard, conn, subs, subs, false);
    return err;
}

static enum close_reason reason_of(int err)
{
    if (err == -EACCES)
        return CLOSE_SESSION_FORBIDDEN;
    return err == -EINVAL || err == -ENOSPC ? CLOSE_SESSION_CHANNELS : CLOSE_OVERLOADED;
}

static void connecting_free(struct connecting *connecting)
{
    free(connecting->held);
    free(connecting->subs);
    free(connecting->data);
    free(connecting);
}

/* All have answered. What the session keeps is its own no longer, whatever becomes of it. */
static void finish(struct shard *shard, struct conn *conn)
{
    struct connecting *connecting = session_of(shard, conn)->connecting;
    session_of(shard, conn)->connecting = NULL;
    conn->role &= ~(uint32_t)ROLE_CONNECTING;
    session_connected(shard, conn, connecting->id, connecting->ends_s,
                      span_of(connecting->subs, connecting->len),
                      span_of(connecting->data, connecting->data_len));
    for (unsigned i = 0; i < connecting->held_count; i++) {
        struct held *held = &connecting->held[i];
        if (conn->state == CONN_OPEN)
            conn_send(shard, conn, held->frame, SEND_LIVE, held->messages);
        block_unref(&shard->blocks, held->frame.block);
    }
    connecting_free(connecting);
}

/* Returns 0 or -ENOMEM. */
static int connecting_create(struct session *session, uint32_t id, int64_t ends_s, struct span data)
{
    struct connecting *connecting = calloc(1, sizeof *connecting);
    char *copy = data.len > 0 ? malloc(data.len) : NULL;
    if (!connecting || (data.len > 0 && !copy)) {
        free(connecting);
        free(copy);
        return -ENOMEM;
    }
    if (copy)
        memcpy(copy, data.ptr, data.len);
    *connecting =
        (struct connecting){.id = id, .ends_s = ends_s, .data = copy, .data_len = data.len};
    session->connecting = connecting;
    return 0;
}

void connecting_begin(struct shard *shard, struct conn *conn,
                      const struct centrifuge_command *command, const struct jwt_claims *claims,
                      struct span data)
{
    struct session *session = session_of(shard, conn);
    bool any = claims->channels.len > 0 || claims->subs.len > 0 ||
               (conn->role & ROLE_ONE_WAY && command->subs.len > 0);
    if (!any) {
        session_connected(shard, conn, command->id, claims->ends_s, (struct span){0}, data);
        return;
    }
    if (connecting_create(session, command->id, claims->ends_s, data) < 0) {
        session_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    session->state = SESSION_CONNECTING;
    conn->role |= ROLE_CONNECTING;
    int err = subscribe_all(shard, conn, command, claims);
    if (err < 0)
        session_fail(shard, conn, reason_of(err));
    else if (session->connecting->left == 0)
        finish(shard, conn);
}

/* ---- while they answer ---- */

void connecting_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    struct connecting *connecting = session_of(shard, conn)->connecting;
    size_t room = connecting->len + SUB_MAX + publications_room(reply, CENTRIFUGE_PLAIN);
    char *subs = realloc(connecting->subs, room);
    struct span name;
    if (!subs) {
        session_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    connecting->subs = subs;
    struct out out = out_begin(subs + connecting->len, room - connecting->len);
    name.ptr = hub_name_of(shard->hub, reply->subscription, &name.len);
    out_span(&out, connecting->len > 0 ? SPAN(",\"") : SPAN("\""));
    out_span(&out, name);
    out_text(&out, "\":");
    session_subscription_write(shard, conn, &out, reply);
    connecting->len += (size_t)out_end(&out);
    if (--connecting->left == 0)
        finish(shard, conn);
}

void connecting_hold(struct shard *shard, struct conn *conn, struct frame frame, unsigned messages)
{
    struct connecting *connecting = session_of(shard, conn)->connecting;
    if (connecting->held_count == connecting->held_size) {
        unsigned size = connecting->held_size > 0 ? 2 * connecting->held_size : HELD_MIN;
        struct held *held = realloc(connecting->held, size * sizeof *held);
        connecting->held = held ? held : connecting->held;
        connecting->held_size = held ? size : connecting->held_size;
    }
    if (!frame.block || connecting->held_count == connecting->held_size) {
        session_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    block_ref(frame.block);
    connecting->held[connecting->held_count++] = (struct held){frame, messages};
    connecting->held_bytes += frame.len;
    if (connecting->held_bytes > (uint64_t)shard->settings->queue_bytes_max)
        conn_end(shard, conn, END_CLOSE, CLOSE_SLOW_READER);
}

void connecting_end(struct shard *shard, struct conn *conn)
{
    struct session *session = session_of(shard, conn);
    struct connecting *connecting = session->connecting;
    conn->role &= ~(uint32_t)ROLE_CONNECTING;
    if (!connecting)
        return;
    for (unsigned i = 0; i < connecting->held_count; i++)
        block_unref(&shard->blocks, connecting->held[i].frame.block);
    connecting_free(connecting);
    session->connecting = NULL;
}
