/* jwt: signed tokens (RFC 7519, RFC 7515 compact form): who a client is, and what it may.
 *
 *   eyJhbGciOi…  .  eyJzdWIiOi…  .  3f9c…        base64url, two dots
 *   ─┬───────── ─┬─ ─┬───────── ─┬─ ─┬───
 *    {"alg","kid"}    {"sub","exp",…}  signature over all before its dot
 *
 * Idea     A key has one algorithm, and says so in the configuration: what a token says of its own
 *          (`none`, HS256 with a public key) only chooses among the keys, never how one is used.
 *          The claims are those of Centrifugo's connection and subscription tokens; others are
 *          passed over.
 * Threads  any.
 * Memory   The caller's: claims point into the area, and are valid as long as it is. GnuTLS
 *          allocates while it looks at a signature of RS256 or ES256.
 * Bounds   JWT_BYTES_MAX a token, JWT_KEYS_MAX keys, of which those without a `kid` are tried one
 *          after the other.
 * Errors   enum jwt_error, negative; of these REVOKED and TAKEN are auth/auth.h's.
 * Cost     The signature, by far: tests/unit/auth/measure_tokens.c. The claims are read once. */
#pragma once

#include <bearssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    JWT_BYTES_MAX = 4096,
    JWT_AREA_BYTES = 2 * JWT_BYTES_MAX,
    JWT_KEYS_MAX = 32,
    JWT_KID_MAX = 64,
    JWT_SECRET_MAX = 512,
    JWT_RSA_BYTES_MAX = 512, /* 4096 bits */
    JWT_EC_POINT_BYTES = 65, /* of P-256, uncompressed */
};

/* X(NAME, name, sentence) */
#define JWT_ERRORS(X)                                                                              \
    X(MALFORMED, malformed, "is no token: three parts of base64url, the first two JSON objects")   \
    X(TOO_LONG, too_long, "is longer than 4096 bytes")                                             \
    X(ALGORITHM, algorithm, "is signed by an algorithm that no key has")                           \
    X(KEY, key, "names a key (kid) that there is not")                                             \
    X(SIGNATURE, signature, "is not signed by a key of this server")                               \
    X(CLAIMS, claims, "has a claim of the wrong kind, or one twice")                               \
    X(EXPIRED, expired, "has expired")                                                             \
    X(NOT_YET, not_yet, "is not valid yet")                                                        \
    X(AUDIENCE, audience, "is for another audience")                                               \
    X(ISSUER, issuer, "is from another issuer")                                                    \
    X(REVOKED, revoked, "was revoked, or its user")                                                \
    X(TAKEN, taken, "is a ticket, and was taken before")                                           \
    X(CROWDED, crowded, "comes with too many others: try again")

#define JWT_ERROR_ENUM(NAME, name, sentence) JWT_NO_##NAME,
enum jwt_number {
    JWT_NO_ERROR,
    JWT_ERRORS(JWT_ERROR_ENUM) JWT_ERROR_COUNT
};
#define JWT_ERROR_NEGATIVE(NAME, name, sentence) JWT_ERROR_##NAME = -(int)JWT_NO_##NAME,
enum jwt_error {
    JWT_ERRORS(JWT_ERROR_NEGATIVE)
};

const char *jwt_error_name(int error);
const char *jwt_error_sentence(int error); /* what the token … */

enum jwt_algorithm {
    JWT_HS256, /* HMAC with SHA-256: who can verify can also sign */
    JWT_RS256, /* RSASSA-PKCS1-v1_5 with SHA-256 */
    JWT_ES256, /* ECDSA on P-256 with SHA-256 */
};

struct jwt_key {
    enum jwt_algorithm algorithm;
    uint8_t kid_len; /* 0: of tokens without one */
    char kid[JWT_KID_MAX];
    br_hmac_key_context hmac;           /* of HS256; the secret itself is not kept */
    unsigned char n[JWT_RSA_BYTES_MAX]; /* of RS256 */
    unsigned char e[8];
    size_t n_len, e_len;
    unsigned char point[JWT_EC_POINT_BYTES]; /* of ES256 */
};

struct jwt_keys {
    struct jwt_key list[JWT_KEYS_MAX];
    unsigned count;
};

/* Begins a key for HMAC; `secret` may be wiped afterwards. A kid longer than JWT_KID_MAX, or a
 * secret of no or more than JWT_SECRET_MAX bytes, is -EINVAL. */
int jwt_key_hs256(struct jwt_key *ret, struct span kid, struct span secret);

/* The same for a public key in PEM (RFC 7468): a line -----BEGIN PUBLIC KEY-----, or a certificate
 * with one. -EINVAL when it is none of that algorithm: RSA of 2048 to 4096 bits, or P-256. */
int jwt_key_public(struct jwt_key *ret, enum jwt_algorithm algorithm, struct span kid,
                   struct span pem);

struct jwt_rules {
    const struct jwt_keys *keys;
    int64_t now_s;        /* seconds since 1970 */
    int64_t leeway_s;     /* clocks may differ by so much */
    struct span audience; /* one of the token's must be this; empty: it must have none */
    struct span issuer;   /* likewise, but empty: whatever it is */
    unsigned *signatures; /* how many signatures of public keys may still be looked at: each is
                             counted off; NULL: any number */
};

/* Strings are decoded; what is JSON is as it stands in the token. Empty: not there. */
struct jwt_claims {
    struct span sub;      /* the user; empty: anonymous, though signed */
    struct span jti;      /* the token's own name */
    struct span channel;  /* the one that a subscription token is for */
    struct span of;       /* of a ticket: the jti of the token that it was made from */
    struct span client;   /* the client that it is for */
    struct span b64info;  /* as info, in base64 */
    struct span info;     /* JSON: what others learn of it */
    struct span meta;     /* JSON: what only the server learns */
    struct span channels; /* JSON, a list of strings: subscribed to by the server at connect */
    struct span subs;     /* JSON, an object: the same with options for each */
    struct span override; /* JSON, an object: options of the subscription */
    struct span mercure;  /* JSON, an object: what a Mercure hub may be asked for */
    int64_t exp_s;        /* 0: none; the token is not taken after this */
    int64_t iat_s;        /* 0: none */
    int64_t ends_s;       /* when what it allows ends: `expire_at`, else exp; 0: never */
};

/* Verifies a token. Returns 0 and the claims, or an error; then `ret` is as before. */
int jwt_verify(struct jwt_claims *ret, struct span token, const struct jwt_rules *rules,
               char area[JWT_AREA_BYTES]);

/* Whether the claims give this channel: it is theirs, or in `channels` or `subs`. */
bool jwt_gives_channel(const struct jwt_claims *claims, struct span channel);

/* Writes a token of HS256 with these claims, a JSON object, into `buf`. Returns its length, or
 * -ENOBUFS. */
int jwt_sign_hs256(char *buf, size_t size, const struct jwt_key *key, struct span claims);

/* Compares without telling by its time where they differ. */
bool jwt_same(const void *a, const void *b, size_t len);
