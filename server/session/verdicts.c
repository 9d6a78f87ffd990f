/* verdicts: what becomes of a session by what its application says. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conn/sign_on.h"
#include "session/asking.h"
#include "session/channel_name.h"
#include "wire/base64.h"
#include "wire/utf8.h"

enum {
    USER_MAX = 1024,  /* bytes of a user, as it stands in the answer */
    INFO_MAX = 16384, /* of info and of meta likewise */
    AGAIN_S = 60,     /* when an application that says nothing is asked for a refresh again */
    ERROR_AROUND_MAX = 96,
    TAGS_MAX = 4096,
    KEY_MAX = 256,
};

/* ---- error and disconnect ---- */

static void reply_error_as(struct shard *shard, struct conn *conn, uint32_t id,
                           const struct verdict *verdict)
{
    char text[APPLICATION_WORDS_MAX + ERROR_AROUND_MAX];
    struct out out = out_begin(text, sizeof text);
    counter_add(&shard->counters.commands_refused, 1);
    out_text(&out, "{\"id\":");
    out_decimal(&out, id);
    out_text(&out, ",\"error\":{\"code\":");
    out_decimal(&out, verdict->code);
    out_text(&out, ",\"message\":\"");
    out_span(&out, verdict->words);
    out_text(&out, "\"");
    if (verdict->temporary)
        out_text(&out, ",\"temporary\":true");
    out_text(&out, "}}");
    session_send_text(shard, conn, span_of(text, (size_t)out_end(&out)));
}

/* A client that only listens has no replies: it comes back, or stays away. */
static void refuse(struct shard *shard, struct conn *conn, const struct ask *ask,
                   const struct verdict *verdict)
{
    if (ask->hook == APPLICATION_CONNECT)
        session_of(shard, conn)->state = SESSION_NEW;
    if (ask->hook == APPLICATION_REFRESH)
        session_fail(shard, conn, CLOSE_TOKEN_EXPIRED);
    else if (ask->hook == APPLICATION_SUB_REFRESH)
        session_subscription_expired(shard, conn, ask->command.channel);
    else if (conn->role & ROLE_ONE_WAY)
        session_fail(shard, conn, verdict->temporary ? CLOSE_OVERLOADED : CLOSE_SESSION_FORBIDDEN);
    else
        reply_error_as(shard, conn, ask->command.id, verdict);
}

/* The words of a close frame are short; no character is cut. */
static void disconnect(struct shard *shard, struct conn *conn, const struct verdict *verdict)
{
    char text[APPLICATION_WORDS_MAX];
    struct span words = {text, json_string_decode(text, verdict->words)};
    if (words.len > WS_REASON_MAX)
        words.len = WS_REASON_MAX;
    while (words.len > 0 && !utf8_valid(words))
        words.len--;
    session_fail_as(shard, conn, CLOSE_APPLICATION, verdict->code, words);
}

static void refuse_by(struct shard *shard, struct conn *conn, const struct ask *ask,
                      enum centrifuge_error error)
{
    const struct verdict verdict = {
        .kind = VERDICT_ERROR,
        .code = centrifuge_error_code(error),
        .temporary = error == CENTRIFUGE_ERROR_INTERNAL,
        .words = span_from(centrifuge_error_message(error)),
    };
    refuse(shard, conn, ask, &verdict);
}

/* ---- results ---- */

/* Ends then, as the application has it; 0: never. Returns false where that is over. */
static bool ends_read(const struct shard *shard, const struct verdict *verdict, int64_t *ret_s)
{
    *ret_s = verdict->expire_at <= INT64_MAX ? (int64_t)verdict->expire_at : INT64_MAX;
    return *ret_s == 0 || *ret_s > shard_unix_s(shard);
}

/* Who it is, as a token would say it. Strings are decoded to `area`, of the answer's size. Returns
 * false when it is too much to keep. */
static bool claims_of(struct jwt_claims *ret, const struct shard *shard,
                      const struct verdict *verdict, char *area)
{
    if (verdict->user.len > USER_MAX || verdict->info.len > INFO_MAX ||
        verdict->b64info.len > INFO_MAX || verdict->meta.len > INFO_MAX)
        return false;
    size_t user = json_string_decode(area, verdict->user);
    size_t info = json_string_decode(area + user, verdict->b64info);
    *ret = (struct jwt_claims){
        .sub = span_of(area, user),
        .b64info = span_of(area + user, info),
        .info = verdict->info,
        .meta = verdict->meta,
        .channels = verdict->channels,
        .subs = verdict->subs,
        .iat_s = shard_unix_s(shard),
    };
    return true;
}

/* Somebody without a name is nobody in particular: as without a token. */
static int become(struct shard *shard, struct conn *conn, const struct jwt_claims *claims)
{
    struct session *session = session_of(shard, conn);
    if (claims->sub.len == 0 && !session->person)
        return 0;
    return person_take(session, claims, shard->settings->proxy_include_connection_meta);
}

/* JSON for its client, as it is or in base64: then it is in `*ret_area`, to be freed. Returns false
 * where that is none. */
static bool data_read(struct span *ret, char **ret_area, const struct verdict *verdict)
{
    *ret = verdict->data;
    *ret_area = NULL;
    if (verdict->data.len > 0 || verdict->b64data.len == 0)
        return true;
    *ret_area = malloc(verdict->b64data.len);
    if (!*ret_area)
        return false;
    struct span text = {*ret_area, json_string_decode(*ret_area, verdict->b64data)};
    int len = base64_decode(*ret_area, text.len, text);
    *ret = span_of(*ret_area, len > 0 ? (size_t)len : 0);
    return len >= 0 && json_valid(*ret);
}

static void become_connected(struct shard *shard, struct conn *conn, const struct ask *ask,
                             const struct verdict *verdict, struct span data)
{
    struct jwt_claims claims = {0};
    char area[USER_MAX + INFO_MAX];
    int64_t ends_s;
    if (!ends_read(shard, verdict, &ends_s))
        session_fail(shard, conn, CLOSE_TOKEN_EXPIRED);
    else if (!claims_of(&claims, shard, verdict, area))
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_INTERNAL);
    else if (become(shard, conn, &claims) < 0)
        session_fail(shard, conn, CLOSE_OVERLOADED);
    else {
        claims.ends_s = ends_s;
        if (claims.sub.len > 0 || ends_s > 0)
            session_lives_on(shard, conn, &claims);
        connecting_begin(shard, conn, &ask->command, &claims, data);
    }
}

static void connect_result(struct shard *shard, struct conn *conn, const struct ask *ask,
                           const struct verdict *verdict)
{
    struct span data;
    char *area;
    if (!verdict->has_result && !shard->settings->anonymous) {
        session_fail(shard, conn, CLOSE_SESSION_TOKEN);
        return;
    }
    if (data_read(&data, &area, verdict))
        become_connected(shard, conn, ask, verdict, data);
    else
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_INTERNAL);
    free(area);
}

static void refresh_result(struct shard *shard, struct conn *conn, const struct verdict *verdict)
{
    struct jwt_claims claims;
    char area[USER_MAX + INFO_MAX];
    int64_t ends_s, now_s = shard_unix_s(shard);
    const struct session *session = session_of(shard, conn);
    if (!verdict->has_result || verdict->expired || !ends_read(shard, verdict, &ends_s)) {
        session_fail(shard, conn, CLOSE_TOKEN_EXPIRED);
        return;
    }
    bool tells = verdict->info.len > 0 || verdict->b64info.len > 0 || verdict->meta.len > 0;
    if (tells && claims_of(&claims, shard, verdict, area)) {
        char user[USER_MAX];
        struct span name = person_user(session);
        if (name.len > 0 && name.len <= sizeof user) {
            memcpy(user, name.ptr, name.len);
            claims.sub = span_of(user, name.len);
            (void)become(shard, conn, &claims); /* else it stays what it was */
        }
    }
    counter_add(&shard->counters.tokens_refreshed, 1);
    if (conn->role & ROLE_SIGNED_ON)
        conn_sign_on_ends(shard, conn, ends_s, now_s);
}

/* Its data is in the answer, which comes when the subscription stands. */
static void subscribe_with(struct shard *shard, struct conn *conn, const struct ask *ask,
                           struct span name, int64_t ends_s, struct span data)
{
    struct session *session = session_of(shard, conn);
    bool before = session_subscription_to(shard, session, name) != HUB_NONE;
    session_subscribe_as(shard, conn, &ask->command, name, ends_s);
    if (before || data.len == 0 || conn->state != CONN_OPEN)
        return;
    uint32_t subscription = session_subscription_to(shard, session, name);
    if (subscription != HUB_NONE && asking_data_keep(session, subscription, data) < 0)
        session_fail(shard, conn, CLOSE_OVERLOADED);
}

static void subscribe_result(struct shard *shard, struct conn *conn, const struct ask *ask,
                             const struct verdict *verdict)
{
    struct channel_name name;
    struct span data;
    char *area;
    int64_t ends_s;
    bool good = channel_name_read(&name, ask->command.channel);
    assert(good && "it was asked about a channel");
    if (!data_read(&data, &area, verdict))
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_INTERNAL);
    else if (ask->taken_back)
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_NOT_AVAILABLE);
    else if (!ends_read(shard, verdict, &ends_s))
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_EXPIRED);
    else
        subscribe_with(shard, conn, ask, name.span, ends_s, data);
    free(area);
}

/* ---- a message ---- */

static uint64_t key_of(const struct shard *shard, struct span string)
{
    char key[KEY_MAX];
    if (string.len == 0)
        return 0;
    return hub_key_hash(shard->server->hubs, key, json_string_decode(key, string));
}

/* An object of strings. */
static bool are_tags(struct span tags)
{
    struct json_members members = json_members_begin(tags);
    struct json_member member;
    int found = 0;
    while (tags.len > 0 && (found = json_members_next(&members, &member)) > 0)
        if (member.kind != JSON_IS_STRING)
            return false;
    return found == 0 && tags.len <= TAGS_MAX;
}

/* What the application wants of it besides. Returns false when it may not be. */
static bool draft_read(struct session_draft *draft, const struct shard *shard,
                       const struct verdict *verdict)
{
    if (verdict->idempotency_key.len > KEY_MAX || verdict->version_epoch.len > KEY_MAX ||
        !are_tags(verdict->tags))
        return false;
    draft->skip_history = verdict->skip_history;
    draft->delta = verdict->delta;
    draft->tags = verdict->tags;
    draft->terms = (struct message_terms){
        .key = key_of(shard, verdict->idempotency_key),
        .version = verdict->version,
        .version_epoch = key_of(shard, verdict->version_epoch),
    };
    return draft->terms.key == 0 || shard->settings->idempotency_keys_max > 0;
}

/* Bytes in base64, in `area` of its size. Returns false when it is none. */
static bool bytes_read(struct session_draft *draft, char *area, struct span b64data)
{
    struct span text = {area, json_string_decode(area, b64data)};
    int len = base64_decode(area, text.len, text);
    if (len < 0)
        return false;
    draft->data = span_of(area, (size_t)len);
    draft->utf8 = utf8_valid(draft->data);
    return true;
}

/* The message is what the client sent, or what the application has made of it. */
static void publish_result(struct shard *shard, struct conn *conn, const struct ask *ask,
                           const struct verdict *verdict)
{
    struct channel_name name;
    struct session_draft draft = {.data = ask->command.data, .utf8 = true};
    bool is_bytes = verdict->data.len == 0 && verdict->b64data.len > 0;
    char *area = is_bytes ? malloc(verdict->b64data.len) : NULL;
    bool good = channel_name_read(&name, ask->command.channel);
    assert(good && "it was asked about a channel");
    if (verdict->data.len > 0)
        draft.data = verdict->data;
    good = draft_read(&draft, shard, verdict) &&
           (!is_bytes || (area && bytes_read(&draft, area, verdict->b64data)));
    if (good && draft.data.len <= (size_t)shard->settings->message_bytes_max)
        session_publish_as(shard, conn, ask->command.id, name.span, &draft);
    else
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_INTERNAL);
    free(area);
}

static void sub_refresh_result(struct shard *shard, struct conn *conn, const struct ask *ask,
                               const struct verdict *verdict)
{
    int64_t ends_s;
    if (!verdict->has_result || verdict->expired || !ends_read(shard, verdict, &ends_s))
        session_subscription_expired(shard, conn, ask->command.channel);
    else
        session_subscription_lasts(shard, conn, ask->command.channel, ends_s);
}

static void rpc_reply(struct shard *shard, struct conn *conn, uint32_t id, struct span data)
{
    size_t room = CENTRIFUGE_REPLY_MAX + data.len;
    char *area = session_text_begin(shard, conn, room);
    if (!area)
        return;
    struct out out = out_begin(area, room);
    centrifuge_reply_begin(&out, id, CENTRIFUGE_RPC);
    out_text(&out, "{");
    out_span(&out, data.len > 0 ? SPAN("\"data\":") : (struct span){0});
    out_span(&out, data);
    centrifuge_unbreak(out.at - data.len, data.len);
    out_text(&out, "}}");
    session_text_send(shard, conn, area, (size_t)out_end(&out), SEND_ANSWER, 0);
}

static void rpc_result(struct shard *shard, struct conn *conn, const struct ask *ask,
                       const struct verdict *verdict)
{
    struct span data;
    char *area;
    if (data_read(&data, &area, verdict))
        rpc_reply(shard, conn, ask->command.id, data);
    else
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_INTERNAL);
    free(area);
}

static void result(struct shard *shard, struct conn *conn, const struct ask *ask,
                   const struct verdict *verdict)
{
    switch (ask->hook) {
    case APPLICATION_CONNECT:
        connect_result(shard, conn, ask, verdict);
        break;
    case APPLICATION_REFRESH:
        refresh_result(shard, conn, verdict);
        break;
    case APPLICATION_SUBSCRIBE:
        subscribe_result(shard, conn, ask, verdict);
        break;
    case APPLICATION_PUBLISH:
        publish_result(shard, conn, ask, verdict);
        break;
    case APPLICATION_SUB_REFRESH:
        sub_refresh_result(shard, conn, ask, verdict);
        break;
    case APPLICATION_RPC:
        rpc_result(shard, conn, ask, verdict);
        break;
    case APPLICATION_HOOK_COUNT:
        assert(!"no hook");
    }
}

void verdict_give(struct shard *shard, struct conn *conn, const struct ask *ask,
                  const struct verdict *verdict)
{
    switch (verdict->kind) {
    case VERDICT_RESULT:
        result(shard, conn, ask, verdict);
        break;
    case VERDICT_ERROR:
        refuse(shard, conn, ask, verdict);
        break;
    case VERDICT_DISCONNECT:
        disconnect(shard, conn, verdict);
        break;
    }
}

/* What was allowed before goes on for a while. */
void verdict_missing(struct shard *shard, struct conn *conn, const struct ask *ask)
{
    int64_t again_s = shard_unix_s(shard) + AGAIN_S;
    if (ask->hook == APPLICATION_REFRESH && conn->role & ROLE_SIGNED_ON)
        conn_sign_on_ends(shard, conn, again_s, shard_unix_s(shard));
    else if (ask->hook == APPLICATION_SUB_REFRESH)
        session_subscription_lasts(shard, conn, ask->command.channel, again_s);
    else if (ask->hook != APPLICATION_REFRESH)
        refuse_by(shard, conn, ask, CENTRIFUGE_ERROR_INTERNAL);
}
