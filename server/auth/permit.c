#include "auth/permit.h"

#include <assert.h>
#include <stdio.h>

#include "auth/auth.h"
#include "conn/sign_on.h"

enum {
    CHALLENGE_MAX = 256,
};

/* ---- what the request brings ---- */

struct span permit_bearer(const struct http_request *request)
{
    static const struct span scheme = SPAN_INIT("bearer ");
    const struct http_field *field = http_field_single(&request->fields, SPAN("Authorization"));
    if (!field || field->value.len <= scheme.len ||
        !span_equal_nocase(span_of(field->value.ptr, scheme.len), scheme))
        return (struct span){0};
    return span_skip(field->value, scheme.len);
}

/* Takes a cookie-pair off the front (RFC 6265 section 4.2.1). */
static bool cookie_take(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    while (rest->len > 0 && (rest->ptr[0] == ' ' || rest->ptr[0] == ';'))
        *rest = span_skip(*rest, 1);
    if (rest->len == 0)
        return false;
    const char *semicolon = memchr(rest->ptr, ';', rest->len);
    struct span pair = {rest->ptr, semicolon ? (size_t)(semicolon - rest->ptr) : rest->len};
    const char *equals = memchr(pair.ptr, '=', pair.len);
    size_t name = equals ? (size_t)(equals - pair.ptr) : pair.len;
    *rest = span_skip(*rest, pair.len);
    *ret_name = span_of(pair.ptr, name);
    *ret_value = equals ? span_skip(pair, name + 1) : (struct span){0};
    return true;
}

struct span permit_cookie(const struct http_request *request, struct span wanted)
{
    struct span name, value;
    for (size_t i = 0; i < request->fields.count && wanted.len > 0; i++) {
        const struct http_field *field = &request->fields.list[i];
        struct span rest = field->value;
        if (!span_equal_nocase(field->name, SPAN("Cookie")))
            continue;
        while (cookie_take(&rest, &name, &value))
            if (span_equal(name, wanted))
                return value;
    }
    return (struct span){0};
}

static struct span token_of(const struct settings *settings, const struct http_request *request,
                            const struct params *params)
{
    struct span token = permit_bearer(request);
    if (token.len == 0 && settings->url_tokens)
        token = params->token;
    if (token.len == 0 && params->ticket.len == 0)
        token = permit_cookie(request, span_from(settings->token_cookie));
    return token;
}

enum refusal permit_refusal(int error)
{
    switch ((enum jwt_error)error) {
    case JWT_ERROR_EXPIRED:
        return REFUSAL_TOKEN_EXPIRED;
    case JWT_ERROR_REVOKED:
        return REFUSAL_TOKEN_REVOKED;
    case JWT_ERROR_TAKEN:
        return REFUSAL_TICKET_INVALID;
    case JWT_ERROR_CROWDED:
        return REFUSAL_OVERLOADED;
    case JWT_ERROR_MALFORMED:
    case JWT_ERROR_TOO_LONG:
    case JWT_ERROR_ALGORITHM:
    case JWT_ERROR_KEY:
    case JWT_ERROR_SIGNATURE:
    case JWT_ERROR_CLAIMS:
    case JWT_ERROR_NOT_YET:
    case JWT_ERROR_AUDIENCE:
    case JWT_ERROR_ISSUER:
        break;
    }
    return REFUSAL_TOKEN_INVALID;
}

static bool refuse(struct permit *permit, enum refusal refusal)
{
    permit->refusal = refusal;
    return false;
}

static bool client_read(struct permit *ret, struct shard *shard, const struct http_request *request,
                        const struct params *params)
{
    struct span token = token_of(shard->settings, request, params);
    int err = 0;
    if (token.len > 0)
        err = auth_token(shard, token, &ret->claims, ret->area);
    else if (params->ticket.len > 0)
        err = auth_login_ticket(shard, params->ticket, &ret->claims, ret->area);
    else
        return shard->settings->anonymous || refuse(ret, REFUSAL_TOKEN_REQUIRED);
    if (err < 0 && token.len == 0 && err != JWT_ERROR_CROWDED && err != JWT_ERROR_REVOKED)
        return refuse(ret, REFUSAL_TICKET_INVALID);
    if (err < 0)
        return refuse(ret, permit_refusal(err));
    ret->who = WHO_SIGNED_ON;
    return true;
}

bool permit_read(struct permit *ret, struct shard *shard, struct conn *conn,
                 const struct http_request *request, const struct params *params)
{
    struct auth *auth = shard->server->auth;
    ret->who = WHO_ANONYMOUS;
    if (!auth)
        return true;
    if (conn->listener == LISTENER_ADMIN || auth_is_server(shard, request)) {
        ret->who = WHO_SERVER;
        return true;
    }
    /* Without keys nobody could have a token. */
    if (auth_token_keys(auth) == 0)
        return shard->settings->anonymous || refuse(ret, REFUSAL_TOKEN_REQUIRED);
    return client_read(ret, shard, request, params);
}

/* ---- what it may ---- */

/* A token for one channel is for that one alone. */
static bool is_for_another(const struct permit *permit, struct span channel)
{
    return permit->who == WHO_SIGNED_ON && permit->claims.channel.len > 0 &&
           !span_equal(permit->claims.channel, channel);
}

bool permit_allows(const struct permit *permit, const struct shard *shard, struct span channel,
                   enum permit_act act)
{
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, channel);
    enum who wanted = act == PERMIT_SUBSCRIBE ? namespace_subscribers(namespace)
                                              : namespace_publishers(namespace);
    if (permit->who == WHO_SERVER)
        return true;
    if (is_for_another(permit, channel))
        return false;
    bool given = permit->who == WHO_SIGNED_ON && jwt_gives_channel(&permit->claims, channel);
    if (given && (act == PERMIT_SUBSCRIBE || wanted <= WHO_SUBSCRIBER))
        return true;
    struct span user = permit->who == WHO_SIGNED_ON ? permit->claims.sub : (struct span){0};
    if (!namespace_lets_user(namespace, channel, user))
        return false;
    /* Its name has let it in, and is what is asked for. */
    if (namespace_is_limited(namespace, channel) && act == PERMIT_SUBSCRIBE)
        return true;
    return permit->who >= wanted;
}

bool permit_subscriber_publishes(const struct shard *shard, const struct conn *conn,
                                 struct span channel)
{
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, channel);
    enum who wanted = namespace_publishers(namespace);
    return wanted == WHO_ANONYMOUS || wanted == WHO_SUBSCRIBER ||
           (wanted == WHO_SIGNED_ON && conn->role & ROLE_SIGNED_ON);
}

/* ---- the answer ---- */

/* RFC 6750 section 3: without a token, no error is named. */
static const char *challenge_error(enum refusal refusal)
{
    if (refusal == REFUSAL_TOKEN_REQUIRED || refusal == REFUSAL_API_KEY_REQUIRED)
        return NULL;
    return refusal == REFUSAL_FORBIDDEN ? "insufficient_scope" : "invalid_token";
}

static struct span challenge(char buf[CHALLENGE_MAX], enum refusal refusal)
{
    const char *error = challenge_error(refusal);
    const char *scheme = refusal == REFUSAL_API_KEY_REQUIRED ? "apikey" : "Bearer";
    int len = snprintf(buf, CHALLENGE_MAX, "WWW-Authenticate: %s realm=\"ringside\"%s%s%s%s%s\r\n",
                       scheme, error ? ", error=\"" : "", error ? error : "",
                       error ? "\", error_description=\"" : "",
                       error ? refusal_sentence(refusal) : "", error ? "\"" : "");
    assert(len > 0 && len < CHALLENGE_MAX);
    return span_of(buf, (size_t)len);
}

void permit_refuse(struct shard *shard, struct conn *conn, const struct http_request *request,
                   enum refusal refusal)
{
    char field[CHALLENGE_MAX];
    bool has_body = request->fields.chunked || request->fields.content_length > 0;
    if (refusal == REFUSAL_OVERLOADED)
        (has_body ? http_refuse : http_error)(shard, conn, refusal);
    else
        (has_body ? http_refuse_fields : http_error_fields)(shard, conn, refusal,
                                                            challenge(field, refusal));
}

void permit_end(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    char field[CHALLENGE_MAX];
    enum refusal refusal = reason == CLOSE_REVOKED ? REFUSAL_TOKEN_REVOKED : REFUSAL_TOKEN_EXPIRED;
    http_refuse_fields(shard, conn, refusal, challenge(field, refusal));
}

static bool check(struct permit *permit, struct shard *shard, struct conn *conn,
                  const struct http_request *request, const struct params *params,
                  enum permit_act act)
{
    bool may = permit_read(permit, shard, conn, request, params);
    for (unsigned i = 0; i < params->channel_count && may; i++)
        if (!permit_allows(permit, shard, params->channels[i], act))
            may = refuse(permit,
                         permit->who == WHO_ANONYMOUS ? REFUSAL_TOKEN_REQUIRED : REFUSAL_FORBIDDEN);
    if (!may)
        permit_refuse(shard, conn, request, permit->refusal);
    return may;
}

bool permit_request(struct shard *shard, struct conn *conn, const struct http_request *request,
                    const struct params *params, enum permit_act act)
{
    struct permit permit;
    return check(&permit, shard, conn, request, params, act);
}

bool permit_stream(struct shard *shard, struct conn *conn, const struct http_request *request,
                   const struct params *params)
{
    struct permit permit;
    if (!check(&permit, shard, conn, request, params, PERMIT_SUBSCRIBE))
        return false;
    if (permit.who != WHO_SIGNED_ON || conn->asked & ASKED_HEAD_ONLY)
        return true;
    const struct signing signing = auth_signing(shard, &permit.claims);
    conn_sign_on(shard, conn, &signing, shard_unix_s(shard));
    return true;
}
