#include "auth/auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/keys.h"
#include "conn/shard.h"

/* A shard's share: nobody else writes it, but for what is published. */
struct auth_shard {
    _Alignas(64) struct auth_keys *keys;
    _Atomic(struct auth_keys *) published; /* by main; NULL: nothing new */
    _Atomic uint64_t counts[JWT_ERROR_COUNT];
};

struct auth {
    const struct settings *settings;
    unsigned shard_count;
    unsigned token_keys, api_keys;
    struct auth_shard shards[];
};

static void publish(struct auth *auth, struct auth_keys *keys)
{
    auth->token_keys = auth_keys_tokens(keys)->count;
    auth->api_keys = (unsigned)auth_keys_api_count(keys);
    for (unsigned i = 0; i < auth->shard_count; i++)
        auth_keys_unref(atomic_exchange(&auth->shards[i].published, auth_keys_ref(keys)));
    auth_keys_unref(keys);
}

int auth_create(struct auth **ret, const struct settings *settings, unsigned shards, char *why,
                size_t why_size)
{
    struct auth_keys *keys;
    int err = auth_keys_read(&keys, settings, why, why_size);
    if (err < 0)
        return err;
    size_t size = sizeof(struct auth) + shards * sizeof(struct auth_shard);
    struct auth *auth = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!auth) {
        snprintf(why, why_size, "tokens: memory is out");
        auth_keys_unref(keys);
        return -ENOMEM;
    }
    memset(auth, 0, size);
    auth->settings = settings;
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
    return auth->token_keys;
}

unsigned auth_api_keys(const struct auth *auth)
{
    return auth->api_keys;
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

static int64_t unix_s(const struct shard *shard)
{
    return shard->server->unix_s ? shard->server->unix_s() : shard->now_ns / 1000000000;
}

int auth_token(struct shard *shard, struct span token, struct jwt_claims *ret,
               char area[JWT_AREA_BYTES])
{
    const struct settings *settings = shard->settings;
    struct auth_shard *share = share_of(shard);
    const struct jwt_rules rules = {
        .keys = auth_keys_tokens(keys_of(share)),
        .now_s = unix_s(shard),
        .leeway_s = settings->token_leeway_s,
        .audience = span_from(settings->token_audience),
        .issuer = span_from(settings->token_issuer),
    };
    int err = jwt_verify(ret, token, &rules, area);
    counter_add(&share->counts[-err], 1);
    return err;
}

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

uint64_t auth_counts(const struct auth *auth, unsigned shard, unsigned error)
{
    return counter_read(&auth->shards[shard].counts[error]);
}
