/* person: who a client is, and until when its subscriptions last. */
#include "session/session_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "wire/base64.h"
#include "session/asking.h"
#include "session/channel_name.h"
#include "wire/json_scan.h"

enum {
    ENDS_MIN = 4,
    EXPIRED_CODE = 2501,
    ASKED_AGAIN_S = 120, /* longer than proxy_timeout_ms can be */
};

/* `b64info` is the same in base64. What is no JSON is left out. A line end in it, which is a blank
 * there, would end the reply that it is in. */
static size_t json_keep(char *area, size_t len)
{
    if (len == 0 || !json_valid(span_of(area, len)))
        return 0;
    centrifuge_unbreak(area, len);
    return len;
}

static size_t info_copy(char *area, const struct jwt_claims *claims)
{
    size_t len = claims->info.len;
    if (len > 0)
        memcpy(area, claims->info.ptr, len);
    if (len == 0 && claims->b64info.len > 0) {
        int decoded = base64_decode(area, claims->b64info.len, claims->b64info);
        len = decoded > 0 ? (size_t)decoded : 0;
    }
    return json_keep(area, len);
}

static size_t meta_copy(char *area, const struct jwt_claims *claims, bool meta)
{
    if (!meta || claims->meta.len == 0)
        return 0;
    memcpy(area, claims->meta.ptr, claims->meta.len);
    return json_keep(area, claims->meta.len);
}

int person_take(struct session *session, const struct jwt_claims *claims, bool meta)
{
    size_t most =
        claims->sub.len + claims->info.len + claims->b64info.len + (meta ? claims->meta.len : 0);
    struct person *person = malloc(sizeof *person + most);
    if (!person)
        return -ENOMEM;
    if (claims->sub.len > 0)
        memcpy(person->text, claims->sub.ptr, claims->sub.len);
    person->user_len = (uint16_t)claims->sub.len;
    person->info_len = (uint16_t)info_copy(person->text + claims->sub.len, claims);
    person->meta_len =
        (uint16_t)meta_copy(person->text + claims->sub.len + person->info_len, claims, meta);
    free(session->person);
    session->person = person;
    return 0;
}

struct span person_user(const struct session *session)
{
    const struct person *person = session->person;
    return person ? span_of(person->text, person->user_len) : (struct span){0};
}

struct span person_info(const struct session *session)
{
    const struct person *person = session->person;
    return person ? span_of(person->text + person->user_len, person->info_len) : (struct span){0};
}

struct span person_meta(const struct session *session)
{
    const struct person *person = session->person;
    if (!person)
        return (struct span){0};
    return span_of(person->text + person->user_len + person->info_len, person->meta_len);
}

/* ---- what ends ---- */

void ttl_write(const struct shard *shard, struct out *out, struct span before, int64_t ends_s)
{
    if (ends_s == 0)
        return;
    int64_t ttl_s = ends_s - shard_unix_s(shard);
    out_span(out, before);
    out_text(out, "\"expires\":true,\"ttl\":");
    out_decimal(out, ttl_s > 0 ? (uint64_t)ttl_s : 0);
}

static struct session_end *end_of(const struct session *session, uint32_t subscription)
{
    for (unsigned i = 0; i < session->end_count; i++)
        if (session->ends[i].subscription == subscription)
            return &session->ends[i];
    return NULL;
}

int64_t subscription_end_of(const struct session *session, uint32_t subscription)
{
    const struct session_end *end = end_of(session, subscription);
    return end ? end->ends_s : 0;
}

static void forget(struct session *session, struct session_end *end)
{
    *end = session->ends[--session->end_count];
    if (session->end_count > 0)
        return;
    free(session->ends);
    session->ends = NULL;
    session->end_size = 0;
}

static int grow(struct session *session)
{
    unsigned size = session->end_size > 0 ? 2U * session->end_size : ENDS_MIN;
    struct session_end *ends = realloc(session->ends, size * sizeof *ends);
    if (!ends)
        return -ENOMEM;
    session->ends = ends;
    session->end_size = (uint16_t)size;
    return 0;
}

int subscription_ends(struct session *session, uint32_t subscription, int64_t ends_s)
{
    struct session_end *end = end_of(session, subscription);
    if (ends_s == 0 && end)
        forget(session, end);
    if (ends_s == 0)
        return 0;
    if (!end && session->end_count == session->end_size && grow(session) < 0)
        return -ENOMEM;
    if (!end)
        end = &session->ends[session->end_count++];
    *end = (struct session_end){subscription, ends_s};
    return 0;
}

static uint32_t subscription_by(const struct shard *shard, const struct session *session,
                                struct span channel)
{
    struct channel_name name;
    return channel_name_read(&name, channel) ? session_subscription_to(shard, session, name.span)
                                             : HUB_NONE;
}

void session_subscription_lasts(struct shard *shard, struct conn *conn, struct span channel,
                                int64_t ends_s)
{
    struct session *session = session_of(shard, conn);
    uint32_t subscription = subscription_by(shard, session, channel);
    if (subscription != HUB_NONE && subscription_ends(session, subscription, ends_s) < 0)
        session_fail(shard, conn, CLOSE_OVERLOADED);
}

/* Its client asks for another token, and subscribes again. */
static void expire(struct shard *shard, struct conn *conn, uint32_t subscription)
{
    struct span name;
    name.ptr = hub_name_of(shard->hub, subscription, &name.len);
    session_push_unsubscribe(shard, conn, name, EXPIRED_CODE, SPAN("subscription expired"));
    if (conn->state == CONN_OPEN)
        session_unsubscribe(shard, conn, subscription);
}

void session_subscription_expired(struct shard *shard, struct conn *conn, struct span channel)
{
    uint32_t subscription = subscription_by(shard, session_of(shard, conn), channel);
    if (subscription != HUB_NONE)
        expire(shard, conn, subscription);
}

/* Asks whether it goes on; it does for a while, so that the application is not asked twice. */
static void ask_on(struct shard *shard, struct conn *conn, struct session_end *end,
                   struct span name)
{
    const struct centrifuge_command command = {.channel = name};
    end->ends_s = shard_unix_s(shard) + ASKED_AGAIN_S;
    (void)asking_ask(shard, conn, APPLICATION_SUB_REFRESH, &command);
}

void subscriptions_expire(struct shard *shard, struct conn *conn)
{
    struct session *session = session_of(shard, conn);
    int64_t now_s = shard_unix_s(shard);
    int64_t late_s = now_s - shard->settings->token_grace_ms / 1000;
    for (unsigned i = session->end_count; i-- > 0 && conn->state == CONN_OPEN;) {
        struct session_end *end = &session->ends[i];
        if (end->ends_s > now_s)
            continue;
        struct span name;
        name.ptr = hub_name_of(shard->hub, end->subscription, &name.len);
        if (namespace_of(&shard->settings->namespaces, name)->proxy_sub_refresh)
            ask_on(shard, conn, end, name);
        else if (end->ends_s <= late_s)
            expire(shard, conn, end->subscription);
    }
}
