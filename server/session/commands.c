/* commands: what a client with a session asks for. */
#include "session/session_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "core/build_info.h"
#include "core/message.h"
#include "conn/client.h"
#include "conn/sign_on.h"
#include "session/asking.h"
#include "session/channel_name.h"
#include "session/presence.h"
#include "session/results.h"

enum {
    CONNECT_REPLY_MAX = 320,
};
#define INFO ",\"info\":"
#define TAGS ",\"tags\":"

static enum centrifuge_error error_of(int err)
{
    return err == -ENOBUFS ? CENTRIFUGE_ERROR_TOO_MANY_REQUESTS : CENTRIFUGE_ERROR_INTERNAL;
}

/* ---- connect and refresh ---- */

/* A while longer than that: its client asks for another token at its end, unless its application is
 * asked then. */
void session_lives_on(struct shard *shard, struct conn *conn, const struct jwt_claims *claims)
{
    struct signing signing = auth_signing(shard, claims);
    if (signing.ends_s > 0 && !asking_wanted(shard, APPLICATION_REFRESH))
        signing.ends_s += shard->settings->token_grace_ms / 1000;
    conn_sign_on(shard, conn, &signing, shard_unix_s(shard));
}

/* A token, or what one was changed into: a login ticket is of a key that no other token is of. */
static int token_read(struct shard *shard, struct span token, struct jwt_claims *ret,
                      char area[JWT_AREA_BYTES])
{
    if (!shard->server->auth)
        return JWT_ERROR_KEY;
    int err = auth_token(shard, token, ret, area);
    return err == JWT_ERROR_KEY ? auth_login_ticket(shard, token, ret, area) : err;
}

/* Who it is from now on, by a token. Returns 0 and its claims, or ends the connection, or says
 * that the token has expired. */
static int token_take(struct shard *shard, struct conn *conn,
                      const struct centrifuge_command *command, struct jwt_claims *ret,
                      char area[JWT_AREA_BYTES])
{
    struct session *session = session_of(shard, conn);
    int err = token_read(shard, command->token, ret, area);
    bool other = err == 0 && session->person && !span_equal(ret->sub, person_user(session));
    if (err == JWT_ERROR_EXPIRED && conn->role & ROLE_ONE_WAY)
        session_fail(shard, conn, CLOSE_TOKEN_EXPIRED);
    else if (err == JWT_ERROR_EXPIRED)
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_TOKEN_EXPIRED);
    else if ((err < 0 && err != JWT_ERROR_CROWDED) || other)
        session_fail(shard, conn, CLOSE_SESSION_TOKEN);
    else if (err < 0 ||
             (err = person_take(session, ret, shard->settings->proxy_include_connection_meta)) < 0)
        session_fail(shard, conn, CLOSE_OVERLOADED);
    if (err < 0 || other)
        return -EACCES;
    session_lives_on(shard, conn, ret);
    return 0;
}

/* What connect and refresh answer alike. */
static void client_write(const struct shard *shard, const struct conn *conn, struct out *out,
                         int64_t ends_s)
{
    char id[SESSION_ID_LEN];
    session_id_write(shard, conn, id);
    out_text(out, "{\"client\":\"");
    out_span(out, span_of(id, sizeof id));
    out_text(out, "\",\"version\":\"Ringside ");
    out_span(out, span_from(build_version));
    out_text(out, "\"");
    if (!asking_wanted(shard, APPLICATION_REFRESH))
        ttl_write(shard, out, SPAN(","), ends_s);
}

/* Where the commands behind this one go. */
static void address_write(const struct shard *shard, const struct conn *conn, struct out *out)
{
    char name[SESSION_NAME_LEN], node[SESSION_NODE_LEN];
    session_name_write(shard, conn, name);
    session_node_write(shard, node);
    out_text(out, ",\"session\":\"");
    out_span(out, span_of(name, sizeof name));
    out_text(out, "\",\"node\":\"");
    out_span(out, span_of(node, sizeof node));
    out_text(out, "\"");
}

void session_connected(struct shard *shard, struct conn *conn, uint32_t id, int64_t ends_s,
                       struct span subs, struct span data)
{
    bool one_way = conn->role & ROLE_ONE_WAY;
    size_t room = CONNECT_REPLY_MAX + subs.len + data.len;
    char *area = session_text_begin(shard, conn, room);
    if (!area)
        return;
    struct out out = out_begin(area, room);
    session_of(shard, conn)->state = SESSION_CONNECTED;
    session_tell(shard, conn, EVENT_CONNECTED);
    if (one_way)
        out_text(&out, "{\"connect\":");
    else
        centrifuge_reply_begin(&out, id, CENTRIFUGE_CONNECT);
    client_write(shard, conn, &out, ends_s);
    out_text(&out, ",\"ping\":");
    out_decimal(&out, ((uint64_t)shard->settings->heartbeat_ms + 999) / 1000);
    if (!one_way)
        out_text(&out, ",\"pong\":true");
    if (session_is_emulated(conn))
        address_write(shard, conn, &out);
    session_data_write(&out, data);
    if (subs.len > 0) {
        out_text(&out, ",\"subs\":{");
        out_span(&out, subs);
        out_text(&out, "}");
    }
    out_text(&out, "}}");
    session_text_send(shard, conn, area, (size_t)out_end(&out), SEND_ANSWER, 0);
    if (conn->state == CONN_OPEN)
        conn_heartbeat(shard, conn);
}

/* A client that only listens has no reply to come back by. */
static void not_asked(struct shard *shard, struct conn *conn,
                      const struct centrifuge_command *command, int err)
{
    if (conn->role & ROLE_ONE_WAY)
        session_fail(shard, conn, CLOSE_OVERLOADED);
    else
        session_reply_error(shard, conn, command->id, (enum centrifuge_error)(-1 - err));
}

static void ask_who(struct shard *shard, struct conn *conn,
                    const struct centrifuge_command *command)
{
    int err = asking_ask(shard, conn, APPLICATION_CONNECT, command);
    if (err < 0)
        not_asked(shard, conn, command, err);
    else
        session_of(shard, conn)->state = SESSION_ASKING;
}

static void sign_on(struct shard *shard, struct conn *conn,
                    const struct centrifuge_command *command)
{
    struct jwt_claims claims = {0};
    char area[JWT_AREA_BYTES];
    if (command->token.len == 0 && asking_wanted(shard, APPLICATION_CONNECT)) {
        ask_who(shard, conn, command);
        return;
    }
    if (command->token.len == 0 && !shard->settings->anonymous) {
        session_fail(shard, conn, CLOSE_SESSION_TOKEN);
        return;
    }
    if (command->token.len == 0 || token_take(shard, conn, command, &claims, area) == 0)
        connecting_begin(shard, conn, command, &claims, (struct span){0});
}

static void refresh(struct shard *shard, struct conn *conn,
                    const struct centrifuge_command *command)
{
    struct jwt_claims claims;
    char area[JWT_AREA_BYTES];
    if (token_take(shard, conn, command, &claims, area) < 0)
        return;
    counter_add(&shard->counters.tokens_refreshed, 1);
    char text[CONNECT_REPLY_MAX];
    struct out out = out_begin(text, sizeof text);
    centrifuge_reply_begin(&out, command->id, CENTRIFUGE_REFRESH);
    client_write(shard, conn, &out, claims.ends_s);
    out_text(&out, "}}");
    session_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}

/* ---- subscriptions ---- */

/* Whether it is given what changes in this channel. Returns false when what it asks for is no name.
 */
static bool deltas_agree(struct shard *shard, struct conn *conn, struct span asked,
                         struct span name, bool *ret)
{
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, name);
    bool given =
        asked.len > 0 && !span_equal(asked, SPAN("null")) && !span_equal(asked, SPAN("\"\""));
    *ret = span_equal(asked, SPAN("\"fossil\"")) && namespace->delta != DELTAS_OFF;
    if (*ret)
        conn->asked |= ASKED_DELTA;
    counter_add(&shard->counters.deltas_declined, given && !*ret);
    return !given || asked.ptr[0] == '"';
}

/* Whether it could be subscribed: it is not, and has not too many. Returns 0 or a refusal. */
static int subscribe_check(const struct shard *shard, const struct session *session,
                           struct span name)
{
    if (session_subscription_to(shard, session, name) != HUB_NONE)
        return -1 - (int)CENTRIFUGE_ERROR_ALREADY_SUBSCRIBED;
    return session->channel_count >= shard->settings->session_channels_max
               ? -1 - (int)CENTRIFUGE_ERROR_LIMIT_EXCEEDED
               : 0;
}

static void subscribe(struct shard *shard, struct conn *conn,
                      const struct centrifuge_command *command, struct span name)
{
    int64_t ends_s = 0;
    int err = subscribe_check(shard, session_of(shard, conn), name);
    if (err == 0)
        err = session_may_subscribe(shard, conn, name, command->token, &ends_s);
    bool asks = err == SESSION_ASK;
    if (asks)
        err = asking_ask(shard, conn, APPLICATION_SUBSCRIBE, command);
    if (err < 0)
        session_reply_error(shard, conn, command->id, (enum centrifuge_error)(-1 - err));
    else if (!asks)
        session_subscribe_as(shard, conn, command, name, ends_s);
}

static struct hub_since since_of(const struct session *session,
                                 const struct centrifuge_command *command)
{
    if (!command->recover)
        return (struct hub_since){.from = HUB_FROM_NOW};
    return (struct hub_since){.from = HUB_FROM_POSITION,
                              .epoch = epoch_read(command->epoch),
                              .offset = command->offset,
                              .hold = session->channel_count >= SESSION_PARTS_MAX};
}

void session_subscribe_as(struct shard *shard, struct conn *conn,
                          const struct centrifuge_command *command, struct span name,
                          int64_t ends_s)
{
    struct session *session = session_of(shard, conn);
    struct ticket ticket = conn_ticket(shard, conn, command->id);
    uint32_t subscription;
    struct hub_since since = since_of(session, command);
    int err = subscribe_check(shard, session, name);
    if (err < 0) {
        session_reply_error(shard, conn, command->id, (enum centrifuge_error)(-1 - err));
        return;
    }
    if (!deltas_agree(shard, conn, command->delta, name, &since.keeps_last)) {
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    err = hub_subscribe(shard->hub, &session->channels, &ticket, name.ptr, name.len, &since,
                        &subscription);
    if (err < 0) {
        session_reply_error(shard, conn, command->id, error_of(err));
        return;
    }
    session->channel_count++;
    if (subscription_ends(session, subscription, ends_s) < 0)
        session_fail(shard, conn, CLOSE_OVERLOADED);
}

int session_subscribe(struct shard *shard, struct conn *conn, struct span name,
                      const struct hub_since *since, int64_t ends_s)
{
    struct session *session = session_of(shard, conn);
    const struct ticket ticket = conn_ticket(shard, conn, 0);
    uint32_t subscription;
    if (session_subscription_to(shard, session, name) != HUB_NONE)
        return 0;
    if (session->channel_count >= shard->settings->session_channels_max)
        return -ENOSPC;
    struct hub_since from = *since;
    from.hold = since->from == HUB_FROM_POSITION && session->channel_count >= SESSION_PARTS_MAX;
    int err = hub_subscribe(shard->hub, &session->channels, &ticket, name.ptr, name.len, &from,
                            &subscription);
    if (err < 0)
        return err;
    session->channel_count++;
    err = subscription_ends(session, subscription, ends_s);
    if (err < 0)
        session_unsubscribe(shard, conn, subscription);
    return err;
}

void session_unsubscribe(struct shard *shard, struct conn *conn, uint32_t subscription)
{
    struct session *session = session_of(shard, conn);
    struct span name;
    name.ptr = hub_name_of(shard->hub, subscription, &name.len);
    presence_leave(shard, conn, name);
    replay_forget(session, subscription);
    asking_data_forget(session, subscription);
    (void)subscription_ends(session, subscription, 0);
    hub_unsubscribe(shard->hub, &session->channels, subscription);
    session->channel_count--;
}

static void sub_refresh(struct shard *shard, struct conn *conn,
                        const struct centrifuge_command *command, struct span name)
{
    struct session *session = session_of(shard, conn);
    uint32_t subscription = session_subscription_to(shard, session, name);
    int64_t ends_s;
    int refused = session_token_for(shard, conn, name, command->token, &ends_s);
    if (subscription == HUB_NONE)
        refused = -1 - (int)CENTRIFUGE_ERROR_PERMISSION_DENIED;
    if (refused < 0) {
        session_reply_error(shard, conn, command->id, (enum centrifuge_error)(-1 - refused));
        return;
    }
    if (subscription_ends(session, subscription, ends_s) < 0) {
        session_fail(shard, conn, CLOSE_OVERLOADED);
        return;
    }
    counter_add(&shard->counters.tokens_refreshed, 1);
    char text[CENTRIFUGE_REPLY_MAX];
    struct out out = out_begin(text, sizeof text);
    centrifuge_reply_begin(&out, command->id, CENTRIFUGE_SUB_REFRESH);
    out_text(&out, "{");
    ttl_write(shard, &out, (struct span){0}, ends_s);
    out_text(&out, "}}");
    session_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}

static void unsubscribe(struct shard *shard, struct conn *conn,
                        const struct centrifuge_command *command, struct span name)
{
    struct session *session = session_of(shard, conn);
    uint32_t subscription = session_subscription_to(shard, session, name);
    if (subscription != HUB_NONE)
        session_unsubscribe(shard, conn, subscription);
    else
        asking_take_back(shard, conn, name);
    session_reply_empty(shard, conn, command->id, CENTRIFUGE_UNSUBSCRIBE);
    replay_go_on(shard, conn);
}

/* ---- publish ---- */

/* A message says whose it is. */
static struct message *message_by(const struct shard *shard, const struct conn *conn,
                                  struct span name, const struct session_draft *draft)
{
    const struct session *session = session_of(shard, conn);
    struct span user = person_user(session), info = person_info(session);
    char id[SESSION_ID_LEN];
    struct span client = {id, sizeof id};
    session_id_write(shard, conn, id);
    size_t room = sizeof INFO TAGS + centrifuge_client_room(client, user, info) + draft->tags.len;
    char *more = malloc(room);
    if (!more)
        return NULL;
    struct out out = out_begin(more, room);
    out_text(&out, INFO);
    centrifuge_client_write(&out, client, user, info);
    if (draft->tags.len > 0) {
        out_text(&out, TAGS);
        out_span(&out, draft->tags);
        centrifuge_unbreak(out.at - draft->tags.len, draft->tags.len);
    }
    const struct message_parts parts = {
        .name = name.ptr,
        .name_len = name.len,
        .hash = hub_hash(shard->server->hubs, name.ptr, name.len),
        .payload = draft->data.ptr,
        .payload_len = draft->data.len,
        .utf8 = draft->utf8,
        .more = more,
        .more_len = (size_t)out_end(&out),
        .terms = draft->terms.key != 0 || draft->terms.version != 0 ? &draft->terms : NULL,
    };
    struct message *message = message_create_of(&parts);
    free(more);
    if (message && draft->skip_history)
        message->kind = MESSAGE_EPHEMERAL;
    if (message)
        message->delta = draft->delta;
    return message;
}

void session_publish_as(struct shard *shard, struct conn *conn, uint32_t id, struct span name,
                        const struct session_draft *draft)
{
    struct ticket ticket = conn_ticket(shard, conn, id);
    struct message *message = message_by(shard, conn, name, draft);
    int err = message ? hub_publish(shard->hub, &ticket, message) : -ENOMEM;
    if (err < 0) {
        message_unref(message);
        session_reply_error(shard, conn, id, error_of(err));
    }
}

/* Where an application is asked, whoever is let into the channel may ask. */
static bool may_publish(const struct shard *shard, const struct session *session,
                        const struct namespace *namespace, struct span name)
{
    bool subscribed = session_subscription_to(shard, session, name) != HUB_NONE;
    if (namespace->proxy_publish)
        return session_is(session, namespace, name, WHO_ANONYMOUS, subscribed);
    return shard->settings->websocket_publish &&
           session_is(session, namespace, name, namespace->allow_publish, subscribed);
}

static void publish(struct shard *shard, struct conn *conn,
                    const struct centrifuge_command *command, struct span name)
{
    const struct session *session = session_of(shard, conn);
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, name);
    if (!may_publish(shard, session, namespace, name)) {
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_PERMISSION_DENIED);
        return;
    }
    if (command->data.len == 0) {
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    if (shard->clients && client_take(shard, conn, ADDRESS_PUBLISHES) > 0) {
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
        return;
    }
    const struct session_draft draft = {.data = command->data, .utf8 = true};
    int err = 0;
    if (namespace->proxy_publish)
        err = asking_ask(shard, conn, APPLICATION_PUBLISH, command);
    else
        session_publish_as(shard, conn, command->id, name, &draft);
    if (err < 0)
        session_reply_error(shard, conn, command->id, (enum centrifuge_error)(-1 - err));
}

/* ---- history ---- */

static void history(struct shard *shard, struct conn *conn,
                    const struct centrifuge_command *command, struct span name)
{
    struct ticket ticket = conn_ticket(shard, conn, command->id);
    const struct hub_since since = history_since(command);
    const struct session *session = session_of(shard, conn);
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, name);
    bool subscribed = session_subscription_to(shard, session, name) != HUB_NONE;
    if (!session_is(session, namespace, name, namespace->allow_history, subscribed)) {
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_PERMISSION_DENIED);
        return;
    }
    int err = hub_read(shard->hub, &ticket, name.ptr, name.len, &since);
    if (err < 0)
        session_reply_error(shard, conn, command->id, error_of(err));
}

/* ---- presence ---- */

static enum centrifuge_error presence_error(int err)
{
    switch (err) {
    case -E2BIG:
        return CENTRIFUGE_ERROR_LIMIT_EXCEEDED;
    case -EBUSY:
        return CENTRIFUGE_ERROR_TOO_MANY_REQUESTS;
    default:
        return CENTRIFUGE_ERROR_INTERNAL;
    }
}

static void presence_told(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                          const struct presence_answer *answer)
{
    if (session_has_left(conn))
        return;
    if (session_owes_much(shard, conn)) {
        session_reply_error(shard, conn, ticket->tag, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
        return;
    }
    size_t room = CENTRIFUGE_REPLY_MAX + presence_result_room(answer);
    char *area = answer->err == 0 ? malloc(room) : NULL;
    if (!area) {
        session_reply_error(shard, conn, ticket->tag, presence_error(answer->err));
        return;
    }
    struct out out = out_begin(area, room);
    centrifuge_reply_begin(&out, ticket->tag,
                           answer->stats ? CENTRIFUGE_PRESENCE_STATS : CENTRIFUGE_PRESENCE);
    presence_result_write(&out, answer);
    out_text(&out, "}");
    session_send_text(shard, conn, span_of(area, (size_t)out_end(&out)));
    free(area);
}

static void presence(struct shard *shard, struct conn *conn,
                     const struct centrifuge_command *command, struct span name)
{
    struct ticket ticket = conn_ticket(shard, conn, command->id);
    const struct session *session = session_of(shard, conn);
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, name);
    bool subscribed = session_subscription_to(shard, session, name) != HUB_NONE;
    bool stats = command->method == CENTRIFUGE_PRESENCE_STATS;
    if (!namespace->presence)
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_NOT_AVAILABLE);
    else if (!session_is(session, namespace, name, namespace->allow_presence, subscribed))
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_PERMISSION_DENIED);
    else if (presence_ask(shard, &ticket, name, stats, presence_told) < 0)
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
}

/* ---- rpc ---- */

static void rpc(struct shard *shard, struct conn *conn, const struct centrifuge_command *command)
{
    int err = -1 - (int)CENTRIFUGE_ERROR_NOT_AVAILABLE;
    if (asking_wanted(shard, APPLICATION_RPC))
        err = asking_ask(shard, conn, APPLICATION_RPC, command);
    if (err < 0)
        session_reply_error(shard, conn, command->id, (enum centrifuge_error)(-1 - err));
}

/* ---- all of them ---- */

typedef void (*channel_command)(struct shard *shard, struct conn *conn,
                                const struct centrifuge_command *command, struct span name);

static void of_channel(struct shard *shard, struct conn *conn,
                       const struct centrifuge_command *command, channel_command act)
{
    struct channel_name name;
    if (channel_name_read(&name, command->channel))
        act(shard, conn, command, name.span);
    else
        session_reply_error(shard, conn, command->id, CENTRIFUGE_ERROR_BAD_REQUEST);
}

static void act(struct shard *shard, struct conn *conn, const struct centrifuge_command *command)
{
    switch (command->method) {
    case CENTRIFUGE_CONNECT:
        session_fail(shard, conn, CLOSE_SESSION_BAD_REQUEST);
        break;
    case CENTRIFUGE_SUBSCRIBE:
        of_channel(shard, conn, command, subscribe);
        break;
    case CENTRIFUGE_UNSUBSCRIBE:
        of_channel(shard, conn, command, unsubscribe);
        break;
    case CENTRIFUGE_PUBLISH:
        of_channel(shard, conn, command, publish);
        break;
    case CENTRIFUGE_HISTORY:
        of_channel(shard, conn, command, history);
        break;
    case CENTRIFUGE_PING:
        session_reply_empty(shard, conn, command->id, CENTRIFUGE_PING);
        break;
    case CENTRIFUGE_REFRESH:
        refresh(shard, conn, command);
        break;
    case CENTRIFUGE_SUB_REFRESH:
        of_channel(shard, conn, command, sub_refresh);
        break;
    case CENTRIFUGE_PRESENCE:
    case CENTRIFUGE_PRESENCE_STATS:
        of_channel(shard, conn, command, presence);
        break;
    case CENTRIFUGE_RPC:
        rpc(shard, conn, command);
        break;
    case CENTRIFUGE_SEND: /* nobody here hears it */
    case CENTRIFUGE_PONG:
        break;
    }
}

void session_command(struct shard *shard, struct conn *conn,
                     const struct centrifuge_command *command)
{
    uint8_t state = session_of(shard, conn)->state;
    if (state != SESSION_NEW && state != SESSION_ASKING)
        act(shard, conn, command);
    else if (state == SESSION_NEW && command->method == CENTRIFUGE_CONNECT)
        sign_on(shard, conn, command);
    else
        session_fail(shard, conn, CLOSE_SESSION_BAD_REQUEST);
}
