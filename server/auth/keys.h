/* keys: the secrets that tokens and webhooks are verified with, and the API keys of servers.
 *
 *   token_keys = HS256:file:/etc/ringside/hmac.key ES256@2026:file:/etc/ringside/issuer.pem
 *                ─┬─── ─┬──────────────────────── ─┬─── ─┬──
 *                 algorithm   where it is            its kid
 *   api_keys   = file:/etc/ringside/api.key env:RINGSIDE_API_KEY
 *
 * Idea     A set is made once, then only read and counted; SIGHUP makes a new one. A secret is kept
 *          in no form that could be written down: of HMAC only the state that it leads to, of an
 *          API key only its SHA-256.
 * Threads  A set is made on one thread. From then on any may read, ref and unref it.
 * Memory   A set is wiped when its last reference goes; what was read of a file, at once.
 * Bounds   JWT_KEYS_MAX and API_KEYS_MAX keys, SECRET_BYTES_MAX bytes each.
 * Errors   Negative errno and a sentence that names the source, never what is in it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "auth/jwt.h"
#include "conf/settings.h"

enum {
    API_KEYS_MAX = 32,
    API_KEY_BYTES_MIN = 16, /* what nobody guesses in a lifetime, if drawn at random */
};

struct auth_keys;
struct hook_keys;

/* Reads what token_keys and api_keys name. Both may be empty: then the set is. */
int auth_keys_read(struct auth_keys **ret, const struct settings *settings, char *why,
                   size_t why_size);
/* Reads one key of tokens, written as in token_keys. */
int auth_key_read(struct jwt_key *ret, const char *text, char *why, size_t why_size);

struct auth_keys *auth_keys_ref(struct auth_keys *keys);
void auth_keys_unref(struct auth_keys *keys); /* NULL is allowed */

const struct jwt_keys *auth_keys_tokens(const struct auth_keys *keys);
/* Those of a webhook, by its order in the settings. */
const struct hook_keys *auth_keys_hook(const struct auth_keys *keys, unsigned hook);
size_t auth_keys_api_count(const struct auth_keys *keys);

/* Whether this is one of the API keys. Takes as long for any that is none. */
bool auth_keys_api(const struct auth_keys *keys, struct span given);
