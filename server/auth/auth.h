/* auth: who asks, and what they may: tokens and API keys, held against the configuration.
 *
 *   main ── auth_create ─► struct auth ── SIGHUP: auth_reload ─► a counted set of keys a shard
 *                             │                                        │ one atomic exchange
 *   request ── auth_token ────┴────────────────────────────────────────┴─► claims, or an error
 *
 * Threads  auth_create, auth_reload and auth_free on the thread of main; auth_counts on any; all
 *          else on the shard's.
 * Memory   One struct for the process, and a set of keys. Claims are in the caller's area.
 * Bounds   Those of auth/jwt.h and auth/keys.h.
 * Errors   Those of jwt_verify, and JWT_ERROR_REVOKED. Without token keys every token is refused.
 *          `server->auth` may be NULL (a simulation): then everybody is anonymous, and no token may
 *          be asked about. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/hook_keys.h"
#include "auth/jwt.h"
#include "conf/settings.h"
#include "conn/sign_on.h"
#include "wire/http.h"

struct auth;

/* Reads the keys; `settings->shards` is settled. Returns 0, or negative errno and a sentence. */
int auth_create(struct auth **ret, const struct settings *settings, char *why, size_t why_size);
void auth_free(struct auth *auth);

/* Reads the keys again: what is verified from now on is held against these. Connections stay as
 * they are. On an error the old keys stay. */
int auth_reload(struct auth *auth, char *why, size_t why_size);

/* How many keys of each kind there are; what was read last. */
unsigned auth_token_keys(const struct auth *auth);
unsigned auth_api_keys(const struct auth *auth);

/* Verifies a client's token. Returns 0 and its claims, which point into the area, or an enum
 * jwt_error; and counts it. */
int auth_token(struct shard *shard, struct span token, struct jwt_claims *ret,
               char area[JWT_AREA_BYTES]);

/* The same for a ticket, which it takes: also JWT_ERROR_TAKEN and JWT_ERROR_CROWDED. */
int auth_login_ticket(struct shard *shard, struct span ticket, struct jwt_claims *ret,
                      char area[JWT_AREA_BYTES]);

/* Where requests are held (struct server): the nonce of a ticket that is genuine, as all nodes know
 * it; 0: it is none. Until a nonce is cleared, its ticket is refused as taken. */
uint64_t auth_ticket_nonce(struct shard *shard, struct span ticket);
void auth_ticket_cleared(struct shard *shard, uint64_t nonce);

/* Makes a ticket of what a token allows, in `buf`. Returns its length, or -ENOBUFS: the claims are
 * too long for another token. */
int auth_login_ticket_make(struct shard *shard, const struct jwt_claims *claims,
                           char buf[JWT_BYTES_MAX]);

/* How a connection signs on with these claims: conn/sign_on.h. */
struct signing auth_signing(const struct shard *shard, const struct jwt_claims *claims);

/* Whether a request brings an API key: `Authorization: apikey KEY`, or `X-API-Key: KEY`. */
bool auth_is_server(struct shard *shard, const struct http_request *request);

/* Begins to verify a webhook, with the secrets that it has now. */
void auth_hook_begin(struct shard *shard, const struct hook *hook, const struct hook_head *head,
                     struct hook_check *ret);

/* Tokens of a shard that were verified (0), or refused by -enum jwt_error. */
uint64_t auth_counts(const struct auth *auth, unsigned shard, unsigned error);
