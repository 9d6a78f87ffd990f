#include "auth/auth.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "auth/keys.h"
#include "auth/login_tickets.h"
#include "conn/shard.h"
#include "hub/hub.h"
#include "wire/json_out.h"
#include "wire/out.h"

enum {
    TICKET_KEY_BYTES = 32,
};

/* A shard's share: nobody else writes it, but for what is published. */
struct auth_shard {
    _Alignas(64) struct auth_keys *keys;
    _Atomic(struct auth_keys *) published; /* by main; NULL: nothing new */
    int64_t turn_ns;                       /* in which */
    unsigned signatures;                   /* so many of public keys may still be looked at */
    uint64_t cleared; /* the nonce of a ticket that the engine of the cluster has given us */
    _Atomic uint64_t counts[JWT_ERROR_COUNT];
};

struct auth {
    const struct settings *settings;
    unsigned shard_count;
    _Atomic unsigned token_keys, api_keys; /* of the keys that were published last */
    struct jwt_keys tickets_key;           /* of this process alone */
    struct login_tickets *tickets;         /* those that were taken; NULL: there are none */
    struct auth_shard shards[];
};

static void publish(struct auth *auth, struct auth_keys *keys)
{
    atomic_store_explicit(&auth->token_keys, auth_keys_tokens(keys)->count, memory_order_relaxed);
    atomic_store_explicit(&auth->api_keys, (unsigned)auth_keys_api_count(keys),
                          memory_order_relaxed);
    for (unsigned i = 0; i < auth->shard_count; i++)
        auth_keys_unref(atomic_exchange(&auth->shards[i].published, auth_keys_ref(keys)));
    auth_keys_unref(keys);
}

/* Without a key of their own, tickets of one process are no tokens of another, nor of the same one
 * later. Returns 0, -ENOMEM, or an error and a sentence. */
static int tickets_begin(struct auth *auth, char *why, size_t why_size)
{
    char secret[TICKET_KEY_BYTES];
    why[0] = '\0';
    if (auth->settings->ticket_ttl_ms == 0)
        return 0;
    auth->tickets = login_tickets_create((uint64_t)auth->settings->tickets_max);
    auth->tickets_key.count = 1;
    if (auth->tickets && auth->settings->ticket_key[0] != '\0')
        return auth_key_read(auth->tickets_key.list, auth->settings->ticket_key, why, why_size);
    if (!auth->tickets || getrandom(secret, sizeof secret, 0) != sizeof secret)
        return -ENOMEM;
    int err = jwt_key_hs256(auth->tickets_key.list, SPAN("ticket"), span_of(secret, sizeof secret));
    explicit_bzero(secret, sizeof secret);
    return err;
}

int auth_create(struct auth **ret, const struct settings *settings, char *why, size_t why_size)
{
    unsigned shards = (unsigned)settings->shards;
    struct auth_keys *keys;
    int err = auth_keys_read(&keys, settings, why, why_size);
    if (err < 0)
        return err;
    size_t size = sizeof(struct auth) + shards * sizeof(struct auth_shard);
    struct auth *auth = aligned_alloc(64, (size + 63) / 64 * 64);
    if (auth)
        memset(auth, 0, size);
    if (auth)
        auth->settings = settings;
    why[0] = '\0';
    err = auth ? tickets_begin(auth, why, why_size) : -ENOMEM;
    if (err < 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "tokens: memory is out; tickets_max takes 8 bytes each");
        auth_free(auth);
        auth_keys_unref(keys);
        return err;
    }
    auth->shard_count = shards;
    publish(auth, keys);
    *ret = auth;
    return 0;
}

void auth_free(struct auth *auth)
{
    for (unsigned i = 0; auth && i < auth->shard_count; i++) {
        auth_keys_unref(auth->shards[i].keys);
        auth_keys_unref(atomic_load(&auth->shards[i].published));
    }
    if (auth) {
        login_tickets_free(auth->tickets);
        explicit_bzero(&auth->tickets_key, sizeof auth->tickets_key);
    }
    free(auth);
}

int auth_reload(struct auth *auth, char *why, size_t why_size)
{
    struct auth_keys *keys;
    int err = auth_keys_read(&keys, auth->settings, why, why_size);
    if (err == 0)
        publish(auth, keys);
    return err;
}

unsigned auth_token_keys(const struct auth *auth)
{
    return atomic_load_explicit(&auth->token_keys, memory_order_relaxed);
}

unsigned auth_api_keys(const struct auth *auth)
{
    return atomic_load_explicit(&auth->api_keys, memory_order_relaxed);
}

static struct auth_shard *share_of(struct shard *shard)
{
    return &shard->server->auth->shards[shard->index];
}

/* The keys that were published last. */
static const struct auth_keys *keys_of(struct auth_shard *share)
{
    if (!atomic_load_explicit(&share->published, memory_order_relaxed))
        return share->keys;
    auth_keys_unref(share->keys);
    share->keys = atomic_exchange(&share->published, NULL);
    return share->keys;
}

struct signing auth_signing(const struct shard *shard, const struct jwt_claims *claims)
{
    const struct hub_set *hubs = shard->server->hubs;
    struct span token = claims->of.len > 0 ? claims->of : claims->jti;
    return (struct signing){
        .user = claims->sub.len > 0 ? sign_on_key(hubs, REVOKE_USER, claims->sub) : 0,
        .token = token.len > 0 ? sign_on_key(hubs, REVOKE_TOKEN, token) : 0,
        .issued_s = claims->iat_s,
        .ends_s = claims->ends_s,
    };
}

static int revoked_check(const struct shard *shard, const struct jwt_claims *claims, int64_t now_s)
{
    const struct signing signing = auth_signing(shard, claims);
    return sign_on_revoked(shard, &signing, now_s) ? JWT_ERROR_REVOKED : 0;
}

int auth_token(struct shard *shard, struct span token, struct jwt_claims *ret,
               char area[JWT_AREA_BYTES])
{
    const struct settings *settings = shard->settings;
    struct auth_shard *share = share_of(shard);
    if (share->turn_ns != shard->now_ns)
        share->signatures = (unsigned)settings->token_signatures_per_turn;
    share->turn_ns = shard->now_ns;
    const struct jwt_rules rules = {
        .keys = auth_keys_tokens(keys_of(share)),
        .signatures = &share->signatures,
        .now_s = shard_unix_s(shard),
        .leeway_s = settings->token_leeway_s,
        .audience = span_from(settings->token_audience),
        .issuer = span_from(settings->token_issuer),
    };
    int err = jwt_verify(ret, token, &rules, area);
    if (err == 0)
        err = revoked_check(shard, ret, rules.now_s);
    counter_add(&share->counts[-err], 1);
    return err;
}

/* ---- tickets ---- */

static uint64_t nonce_of(const struct shard *shard, const struct jwt_claims *claims)
{
    return hub_key_hash(shard->server->hubs, claims->jti.ptr, claims->jti.len);
}

uint64_t auth_ticket_nonce(struct shard *shard, struct span ticket)
{
    struct jwt_claims claims;
    char area[JWT_AREA_BYTES];
    const struct auth *auth = shard->server->auth;
    if (!auth || !auth->tickets)
        return 0;
    const struct jwt_rules rules = {.keys = &auth->tickets_key, .now_s = shard_unix_s(shard)};
    return jwt_verify(&claims, ticket, &rules, area) == 0 ? nonce_of(shard, &claims) : 0;
}

void auth_ticket_cleared(struct shard *shard, uint64_t nonce)
{
    share_of(shard)->cleared = nonce;
}

static int ticket_take(struct shard *shard, const struct jwt_claims *claims, int64_t now_s)
{
    uint64_t nonce = nonce_of(shard, claims);
    if (shard->server->hold && share_of(shard)->cleared != nonce)
        return JWT_ERROR_TAKEN;
    switch (login_tickets_take(shard->server->auth->tickets, nonce, now_s, claims->exp_s)) {
    case 0:
        return 0;
    case -ENOSPC:
        return JWT_ERROR_CROWDED;
    default:
        return JWT_ERROR_TAKEN;
    }
}

int auth_login_ticket(struct shard *shard, struct span ticket, struct jwt_claims *ret,
                      char area[JWT_AREA_BYTES])
{
    const struct auth *auth = shard->server->auth;
    const struct jwt_rules rules = {.keys = &auth->tickets_key, .now_s = shard_unix_s(shard)};
    int err = jwt_verify(ret, ticket, &rules, area);
    if (err == 0)
        err = revoked_check(shard, ret, rules.now_s);
    if (err == 0)
        err = ticket_take(shard, ret, rules.now_s);
    counter_add(&share_of(shard)->counts[-err], 1);
    return err;
}

static void claim_name(struct out *out, struct span name)
{
    out_text(out, ",\"");
    out_span(out, name);
    out_text(out, "\":");
}

static void text_claim(struct out *out, struct span name, struct span text)
{
    if (text.len == 0)
        return;
    claim_name(out, name);
    if (json_string_size(text) > (size_t)(out->end - out->at))
        out->overflow = true;
    else
        out->at += json_string_write(out->at, text);
}

static void json_claim(struct out *out, struct span name, struct span json)
{
    if (json.len == 0)
        return;
    claim_name(out, name);
    out_span(out, json);
}

static void time_claim(struct out *out, struct span name, int64_t time_s)
{
    claim_name(out, name);
    out_decimal(out, (uint64_t)time_s);
}

/* The nonce is the ticket's jti; that of the token goes on as `of`, so that it can be revoked. */
static void ticket_claims(struct out *out, const struct jwt_claims *claims, uint64_t nonce[2],
                          int64_t exp_s)
{
    char hex[DIGITS_HEX_MAX];
    out_text(out, "{\"jti\":\"");
    out_span(out, span_of(hex, digits_hex_write(hex, nonce[0])));
    out_text(out, ".");
    out_span(out, span_of(hex, digits_hex_write(hex, nonce[1])));
    out_text(out, "\"");
    time_claim(out, SPAN("exp"), exp_s);
    time_claim(out, SPAN("expire_at"), claims->ends_s);
    if (claims->iat_s > 0)
        time_claim(out, SPAN("iat"), claims->iat_s);
    text_claim(out, SPAN("of"), claims->jti);
    text_claim(out, SPAN("sub"), claims->sub);
    text_claim(out, SPAN("channel"), claims->channel);
    text_claim(out, SPAN("client"), claims->client);
    text_claim(out, SPAN("b64info"), claims->b64info);
    json_claim(out, SPAN("info"), claims->info);
    json_claim(out, SPAN("meta"), claims->meta);
    json_claim(out, SPAN("channels"), claims->channels);
    json_claim(out, SPAN("subs"), claims->subs);
    json_claim(out, SPAN("override"), claims->override);
    json_claim(out, SPAN("mercure"), claims->mercure);
    out_text(out, "}");
}

int auth_login_ticket_make(struct shard *shard, const struct jwt_claims *claims,
                           char buf[JWT_BYTES_MAX])
{
    const struct auth *auth = shard->server->auth;
    char text[JWT_BYTES_MAX];
    uint64_t nonce[2];
    struct out out = out_begin(text, sizeof text);
    int64_t ttl_s = (shard->settings->ticket_ttl_ms + 999) / 1000;
    ssize_t drawn = getrandom(nonce, sizeof nonce, 0);
    assert(auth->tickets && drawn == sizeof nonce);
    ticket_claims(&out, claims, nonce, shard_unix_s(shard) + ttl_s);
    if (out.overflow)
        return -ENOBUFS;
    return jwt_sign_hs256(buf, JWT_BYTES_MAX, auth->tickets_key.list,
                          span_of(text, (size_t)out_end(&out)));
}

/* ---- servers ---- */

bool auth_is_server(struct shard *shard, const struct http_request *request)
{
    static const struct span scheme = SPAN_INIT("apikey ");
    const struct http_field *field = http_field_single(&request->fields, SPAN("X-API-Key"));
    const struct http_field *authorization =
        http_field_single(&request->fields, SPAN("Authorization"));
    struct span key = {0};
    if (!shard->server->auth)
        return false;
    if (field)
        key = field->value;
    else if (authorization && authorization->value.len > scheme.len &&
             span_equal_nocase(span_of(authorization->value.ptr, scheme.len), scheme))
        key = span_skip(authorization->value, scheme.len);
    return key.len > 0 && auth_keys_api(keys_of(share_of(shard)), key);
}

void auth_hook_begin(struct shard *shard, const struct hook *hook, const struct hook_head *head,
                     struct hook_check *ret)
{
    const struct auth_keys *keys = keys_of(share_of(shard));
    hook_check_begin(ret, auth_keys_hook(keys, hook->index), hook->scheme, head);
}

uint64_t auth_counts(const struct auth *auth, unsigned shard, unsigned error)
{
    return counter_read(&auth->shards[shard].counts[error]);
}
