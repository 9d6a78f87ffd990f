#include "auth/keys.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/hook_keys.h"
#include "auth/secret.h"

enum {
    HASH_BYTES = br_sha256_SIZE,
};

struct auth_keys {
    atomic_uint references;
    struct jwt_keys tokens;
    unsigned char api[API_KEYS_MAX][HASH_BYTES];
    unsigned api_count;
    struct hook_keys hooks[HOOKS_MAX]; /* by their order in the settings */
};

/* ---- keys of tokens ---- */

static bool algorithm_take(const char **text, enum jwt_algorithm *ret)
{
    static const char *const names[] = {
        [JWT_HS256] = "HS256", [JWT_RS256] = "RS256", [JWT_ES256] = "ES256"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        *ret = (enum jwt_algorithm)i;
        if (secret_prefix_take(text, names[i]))
            return true;
    }
    return false;
}

/* ALGORITHM, perhaps @KID, and a colon; what follows is the source. */
static int head_read(const char **text, enum jwt_algorithm *algorithm, struct span *kid)
{
    if (!algorithm_take(text, algorithm))
        return -EINVAL;
    *kid = (struct span){0};
    if (**text == '@') {
        *kid = span_of(*text + 1, strcspn(*text + 1, ":"));
        *text += 1 + kid->len;
        if (kid->len == 0)
            return -EINVAL;
    }
    return secret_prefix_take(text, ":") && kid->len <= JWT_KID_MAX ? 0 : -EINVAL;
}

static const char *shape_of(enum jwt_algorithm algorithm)
{
    switch (algorithm) {
    case JWT_HS256:
        return "a secret of 32 to 512 bytes; `openssl rand -hex 32` makes one";
    case JWT_RS256:
        return "an RSA public key of 2048 to 4096 bits, or a certificate with one, in PEM";
    case JWT_ES256:
        return "a public key on P-256, or a certificate with one, in PEM";
    }
    return "";
}

enum {
    SECRET_BYTES_MIN = 32, /* RFC 7518 section 3.2: as long as the hash */
};

static int key_make(struct jwt_key *ret, enum jwt_algorithm algorithm, struct span kid,
                    const struct secret *secret)
{
    struct span bytes = {secret->bytes, secret->len};
    if (algorithm != JWT_HS256)
        return jwt_key_public(ret, algorithm, kid, bytes);
    return bytes.len < SECRET_BYTES_MIN ? -EINVAL : jwt_key_hs256(ret, kid, bytes);
}

static int token_key_read(struct jwt_key *ret, const char *text, struct secret *secret, char *why,
                          size_t why_size)
{
    enum jwt_algorithm algorithm;
    struct span kid;
    const char *source = text;
    if (head_read(&source, &algorithm, &kid) < 0) {
        snprintf(
            why, why_size,
            "token_keys: %s: needs ALGORITHM:file:PATH or ALGORITHM@KID:file:PATH, with HS256, "
            "RS256 or ES256, and env:NAME instead of file:PATH",
            text);
        return -EINVAL;
    }
    int err = secret_read(secret, source, why, why_size);
    if (err < 0)
        return err;
    err = key_make(ret, algorithm, kid, secret);
    if (err < 0)
        snprintf(why, why_size, "%s: is not %s", source, shape_of(algorithm));
    return err;
}

int auth_key_read(struct jwt_key *ret, const char *text, char *why, size_t why_size)
{
    struct secret secret;
    int err = token_key_read(ret, text, &secret, why, why_size);
    explicit_bzero(&secret, sizeof secret);
    return err;
}

static int token_key_add(void *context, const char *text, struct secret *secret, char *why,
                         size_t why_size)
{
    struct auth_keys *keys = context;
    if (keys->tokens.count == JWT_KEYS_MAX) {
        snprintf(why, why_size, "token_keys: more than %d", JWT_KEYS_MAX);
        return -E2BIG;
    }
    int err = token_key_read(&keys->tokens.list[keys->tokens.count], text, secret, why, why_size);
    keys->tokens.count += err == 0;
    return err;
}

/* ---- API keys ---- */

static void hash(unsigned char ret[HASH_BYTES], struct span bytes)
{
    br_sha256_context sha;
    br_sha256_init(&sha);
    br_sha256_update(&sha, bytes.ptr, bytes.len);
    br_sha256_out(&sha, ret);
    explicit_bzero(&sha, sizeof sha);
}

static int api_key_add(void *context, const char *source, struct secret *secret, char *why,
                       size_t why_size)
{
    struct auth_keys *keys = context;
    if (keys->api_count == API_KEYS_MAX) {
        snprintf(why, why_size, "api_keys: more than %d", API_KEYS_MAX);
        return -E2BIG;
    }
    int err = secret_read(secret, source, why, why_size);
    if (err < 0)
        return err;
    if (secret->len < API_KEY_BYTES_MIN) {
        snprintf(why, why_size,
                 "%s: an API key has at least %d bytes; `openssl rand -hex 32` makes "
                 "one",
                 source, API_KEY_BYTES_MIN);
        return -EINVAL;
    }
    hash(keys->api[keys->api_count++], span_of(secret->bytes, secret->len));
    return 0;
}

bool auth_keys_api(const struct auth_keys *keys, struct span given)
{
    unsigned char hashed[HASH_BYTES];
    bool found = false;
    hash(hashed, given);
    for (unsigned i = 0; i < keys->api_count; i++)
        found |= jwt_same(hashed, keys->api[i], HASH_BYTES);
    return found;
}

/* ---- the set ---- */

int auth_keys_read(struct auth_keys **ret, const struct settings *settings, char *why,
                   size_t why_size)
{
    struct auth_keys *keys = calloc(1, sizeof *keys);
    if (!keys) {
        snprintf(why, why_size, "keys: memory is out");
        return -ENOMEM;
    }
    atomic_init(&keys->references, 1);
    int err = secret_each(settings->token_keys, token_key_add, keys, why, why_size);
    if (err == 0)
        err = secret_each(settings->api_keys, api_key_add, keys, why, why_size);
    for (unsigned i = 0; i < settings->hooks.count && err == 0; i++)
        err = hook_keys_read(&keys->hooks[i], &settings->hooks.list[i], why, why_size);
    if (err < 0) {
        auth_keys_unref(keys);
        return err;
    }
    *ret = keys;
    return 0;
}

struct auth_keys *auth_keys_ref(struct auth_keys *keys)
{
    atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
    return keys;
}

void auth_keys_unref(struct auth_keys *keys)
{
    if (!keys || atomic_fetch_sub_explicit(&keys->references, 1, memory_order_acq_rel) > 1)
        return;
    explicit_bzero(keys, sizeof *keys);
    free(keys);
}

const struct jwt_keys *auth_keys_tokens(const struct auth_keys *keys)
{
    return &keys->tokens;
}

const struct hook_keys *auth_keys_hook(const struct auth_keys *keys, unsigned hook)
{
    return &keys->hooks[hook];
}

size_t auth_keys_api_count(const struct auth_keys *keys)
{
    return keys->api_count;
}
