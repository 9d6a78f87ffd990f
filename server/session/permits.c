/* permits: what a client may do in a channel, by its namespace and the client's tokens. */
#include "session/session_internal.h"

#include "auth/auth.h"

static int refusal(enum centrifuge_error error)
{
    return -1 - (int)error;
}

bool session_is(const struct session *session, const struct namespace *namespace,
                struct span channel, enum who who, bool subscribed)
{
    if (!subscribed && !namespace_lets_user(namespace, channel, person_user(session)))
        return false;
    switch (who) {
    case WHO_ANONYMOUS:
        return true;
    case WHO_SIGNED_ON:
        return session->person;
    case WHO_SUBSCRIBER:
        return subscribed;
    case WHO_SERVER:
        break;
    }
    return false;
}

static bool is_for(const struct shard *shard, const struct conn *conn,
                   const struct jwt_claims *claims, struct span channel)
{
    char id[SESSION_ID_LEN];
    session_id_write(shard, conn, id);
    bool client = claims->client.len == 0 || span_equal(claims->client, span_of(id, sizeof id));
    return client && jwt_gives_channel(claims, channel) &&
           span_equal(claims->sub, person_user(session_of(shard, conn)));
}

int session_token_for(struct shard *shard, struct conn *conn, struct span channel,
                      struct span token, int64_t *ret_ends_s)
{
    struct jwt_claims claims;
    char area[JWT_AREA_BYTES];
    int err = shard->server->auth ? auth_token(shard, token, &claims, area) : JWT_ERROR_KEY;
    if (err == JWT_ERROR_EXPIRED)
        return refusal(CENTRIFUGE_ERROR_TOKEN_EXPIRED);
    if (err == JWT_ERROR_CROWDED)
        return refusal(CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
    if (err < 0 || !is_for(shard, conn, &claims, channel))
        return refusal(CENTRIFUGE_ERROR_PERMISSION_DENIED);
    *ret_ends_s = claims.ends_s;
    return 0;
}

int session_may_subscribe(struct shard *shard, struct conn *conn, struct span channel,
                          struct span token, int64_t *ret_ends_s)
{
    const struct session *session = session_of(shard, conn);
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, channel);
    *ret_ends_s = 0;
    if (!namespace_lets_user(namespace, channel, person_user(session)))
        return refusal(CENTRIFUGE_ERROR_PERMISSION_DENIED);
    if (token.len > 0)
        return session_token_for(shard, conn, channel, token, ret_ends_s);
    bool is_limited = namespace_is_limited(namespace, channel);
    if (namespace->proxy_subscribe && !is_limited)
        return SESSION_ASK;
    bool limited = is_limited && session->person;
    return limited || session_is(session, namespace, channel, namespace->allow_subscribe, false)
               ? 0
               : refusal(CENTRIFUGE_ERROR_PERMISSION_DENIED);
}
