#include "auth/jwt_internal.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "wire/base64.h"
#include "wire/json_scan.h"

enum {
    DIGEST_BYTES = br_sha256_SIZE,
    ES256_BYTES = 64,
    SIGNATURE_MAX = JWT_RSA_BYTES_MAX,
};

#define JWT_NAME(NAME, name, sentence)     [JWT_NO_##NAME] = #name,
#define JWT_SENTENCE(NAME, name, sentence) [JWT_NO_##NAME] = (sentence),
static const char *const names[] = {JWT_ERRORS(JWT_NAME)};
static const char *const sentences[] = {JWT_ERRORS(JWT_SENTENCE)};

const char *jwt_error_name(int error)
{
    assert(error < 0 && error > -JWT_ERROR_COUNT);
    return names[-error];
}

const char *jwt_error_sentence(int error)
{
    assert(error < 0 && error > -JWT_ERROR_COUNT);
    return sentences[-error];
}

bool jwt_same(const void *a, const void *b, size_t len)
{
    const volatile unsigned char *left = a, *right = b;
    unsigned char differs = 0;
    for (size_t i = 0; i < len; i++)
        differs |= left[i] ^ right[i];
    return differs == 0;
}

/* ---- the parts ---- */

struct parts {
    struct span header, payload, signature;
    struct span signed_bytes; /* the first two with the dot between */
};

/* Takes what stands before a dot. Returns false when there is none. */
static bool part_take(struct span *rest, struct span *ret)
{
    const char *dot = rest->len > 0 ? memchr(rest->ptr, '.', rest->len) : NULL;
    if (!dot)
        return false;
    *ret = span_of(rest->ptr, (size_t)(dot - rest->ptr));
    *rest = span_skip(*rest, ret->len + 1);
    return true;
}

static bool split(struct parts *ret, struct span token)
{
    struct span rest = token;
    if (!part_take(&rest, &ret->header) || !part_take(&rest, &ret->payload))
        return false;
    ret->signature = rest;
    ret->signed_bytes = span_of(token.ptr, ret->header.len + 1 + ret->payload.len);
    return rest.len > 0 && !memchr(rest.ptr, '.', rest.len);
}

/* ---- the header ---- */

struct header {
    enum jwt_algorithm algorithm;
    struct span kid; /* without a pointer: none */
};

static int algorithm_read(struct header *header, const struct json_member *member)
{
    static const struct span known[] = {
        [JWT_HS256] = SPAN_INIT("HS256"),
        [JWT_RS256] = SPAN_INIT("RS256"),
        [JWT_ES256] = SPAN_INIT("ES256"),
    };
    if (member->kind != JSON_IS_STRING)
        return JWT_ERROR_MALFORMED;
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (span_equal(member->value, known[i])) {
            header->algorithm = (enum jwt_algorithm)i;
            return 0;
        }
    }
    return JWT_ERROR_ALGORITHM;
}

static int kid_read(struct header *header, const struct json_member *member)
{
    if (member->kind != JSON_IS_STRING)
        return JWT_ERROR_MALFORMED;
    header->kid = member->value;
    return 0;
}

/* A member that comes twice, or that would change what is signed (RFC 7515 section 4.1.11), makes
 * it none. */
static int header_read(struct header *ret, struct span text)
{
    struct json_members members = json_members_begin(text);
    struct json_member member;
    bool has_algorithm = false;
    int found;
    *ret = (struct header){0};
    while ((found = json_members_next(&members, &member)) > 0) {
        int err = 0;
        if (json_string_is(member.name, SPAN("crit")))
            return JWT_ERROR_MALFORMED;
        if (json_string_is(member.name, SPAN("alg"))) {
            err = has_algorithm ? JWT_ERROR_MALFORMED : algorithm_read(ret, &member);
            has_algorithm = true;
        } else if (json_string_is(member.name, SPAN("kid"))) {
            err = ret->kid.ptr ? JWT_ERROR_MALFORMED : kid_read(ret, &member);
        }
        if (err < 0)
            return err;
    }
    return found == 0 && has_algorithm ? 0 : JWT_ERROR_MALFORMED;
}

/* ---- the signature ---- */

static void hmac(unsigned char ret[DIGEST_BYTES], const struct jwt_key *key, struct span bytes)
{
    br_hmac_context context;
    br_hmac_init(&context, &key->hmac, DIGEST_BYTES);
    br_hmac_update(&context, bytes.ptr, bytes.len);
    br_hmac_out(&context, ret);
}

static bool is_hs256(const struct jwt_key *key, struct span bytes, struct span signature)
{
    unsigned char own[DIGEST_BYTES];
    hmac(own, key, bytes);
    return signature.len == DIGEST_BYTES && jwt_same(own, signature.ptr, DIGEST_BYTES);
}

static gnutls_datum_t datum(const void *bytes, size_t len)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)bytes, (unsigned)len};
}

/* Frees `public`, which has been imported unless `err`. GnuTLS multiplies on curves, and with long
 * numbers, five times as fast as BearSSL does. */
static bool is_signed_by(gnutls_pubkey_t public, int err, gnutls_sign_algorithm_t algorithm,
                         struct span bytes, const gnutls_datum_t *signature)
{
    const gnutls_datum_t data = datum(bytes.ptr, bytes.len);
    bool is = err == 0 && gnutls_pubkey_verify_data2(public, algorithm, 0, &data, signature) >= 0;
    gnutls_pubkey_deinit(public);
    return is;
}

static bool is_rs256(const struct jwt_key *key, struct span bytes, struct span signature)
{
    const gnutls_datum_t n = datum(key->n, key->n_len), e = datum(key->e, key->e_len);
    const gnutls_datum_t given = datum(signature.ptr, signature.len);
    gnutls_pubkey_t public;
    if (signature.len != key->n_len || gnutls_pubkey_init(&public) < 0)
        return false;
    int err = gnutls_pubkey_import_rsa_raw(public, &n, &e);
    return is_signed_by(public, err, GNUTLS_SIGN_RSA_SHA256, bytes, &given);
}

/* A token has two numbers side by side, of which GnuTLS wants a sequence (RFC 7518 section 3.4). */
static bool is_es256(const struct jwt_key *key, struct span bytes, struct span signature)
{
    const size_t half = ES256_BYTES / 2;
    const gnutls_datum_t x = datum(key->point + 1, half), y = datum(key->point + 1 + half, half);
    gnutls_pubkey_t public;
    gnutls_datum_t sequence;
    if (signature.len != ES256_BYTES)
        return false;
    const gnutls_datum_t r = datum(signature.ptr, half), s = datum(signature.ptr + half, half);
    if (gnutls_encode_rs_value(&sequence, &r, &s) < 0)
        return false;
    bool is = false;
    if (gnutls_pubkey_init(&public) == 0) {
        int err = gnutls_pubkey_import_ecc_raw(public, GNUTLS_ECC_CURVE_SECP256R1, &x, &y);
        is = is_signed_by(public, err, GNUTLS_SIGN_ECDSA_SHA256, bytes, &sequence);
    }
    gnutls_free(sequence.data);
    return is;
}

static bool is_signed(const struct jwt_key *key, struct span bytes, struct span signature)
{
    switch (key->algorithm) {
    case JWT_HS256:
        return is_hs256(key, bytes, signature);
    case JWT_RS256:
        return is_rs256(key, bytes, signature);
    case JWT_ES256:
        return is_es256(key, bytes, signature);
    }
    return false;
}

static bool is_named(const struct jwt_key *key, struct span kid)
{
    if (!kid.ptr)
        return key->kid_len == 0;
    return key->kid_len > 0 && json_string_is(kid, span_of(key->kid, key->kid_len));
}

/* A signature of a public key takes some fifteen to a hundred times as long as one of HMAC. */
static bool may_look(const struct jwt_rules *rules, const struct jwt_key *key)
{
    if (!rules->signatures || key->algorithm == JWT_HS256)
        return true;
    if (*rules->signatures == 0)
        return false;
    --*rules->signatures;
    return true;
}

/* The keys that the header may mean: of its name and of its algorithm, both. */
static int signature_check(const struct jwt_rules *rules, const struct header *header,
                           struct span bytes, struct span signature)
{
    bool named = false, fits = false;
    for (unsigned i = 0; i < rules->keys->count; i++) {
        const struct jwt_key *key = &rules->keys->list[i];
        if (!is_named(key, header->kid))
            continue;
        named = true;
        if (key->algorithm != header->algorithm)
            continue;
        fits = true;
        if (!may_look(rules, key))
            return JWT_ERROR_CROWDED;
        if (is_signed(key, bytes, signature))
            return 0;
    }
    if (fits)
        return JWT_ERROR_SIGNATURE;
    return named || !header->kid.ptr ? JWT_ERROR_ALGORITHM : JWT_ERROR_KEY;
}

/* ---- the whole ---- */

static int part_decode(struct span *ret, char *area, size_t size, struct span text)
{
    int len = base64url_decode(area, size, text);
    *ret = span_of(area, len > 0 ? (size_t)len : 0);
    return len < 0 ? JWT_ERROR_MALFORMED : 0;
}

static int verify(const struct parts *parts, const struct jwt_rules *rules, char *area)
{
    char signature[SIGNATURE_MAX];
    struct span header_text, signature_bytes;
    struct header header;
    int err = part_decode(&header_text, area, JWT_AREA_BYTES, parts->header);
    if (err == 0)
        err = header_read(&header, header_text);
    if (err == 0)
        err = part_decode(&signature_bytes, signature, sizeof signature, parts->signature);
    if (err != 0)
        return err;
    return signature_check(rules, &header, parts->signed_bytes, signature_bytes);
}

int jwt_verify(struct jwt_claims *ret, struct span token, const struct jwt_rules *rules,
               char area[JWT_AREA_BYTES])
{
    struct parts parts;
    struct span payload;
    struct jwt_claims claims;
    if (token.len > JWT_BYTES_MAX)
        return JWT_ERROR_TOO_LONG;
    if (!split(&parts, token))
        return JWT_ERROR_MALFORMED;
    int err = verify(&parts, rules, area);
    if (err == 0)
        err = part_decode(&payload, area, JWT_AREA_BYTES, parts.payload);
    if (err == 0)
        err = jwt_claims_read(&claims, payload, rules, area + payload.len,
                              JWT_AREA_BYTES - payload.len);
    if (err == 0)
        *ret = claims;
    return err;
}

int jwt_sign_hs256(char *buf, size_t size, const struct jwt_key *key, struct span claims)
{
    char header[JWT_KID_MAX + 64];
    unsigned char signature[DIGEST_BYTES];
    assert(key->algorithm == JWT_HS256);
    int head = snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"typ\":\"JWT\"%s%.*s%s}",
                        key->kid_len > 0 ? ",\"kid\":\"" : "", key->kid_len, key->kid,
                        key->kid_len > 0 ? "\"" : "");
    assert(head > 0 && (size_t)head < sizeof header);
    size_t needed = BASE64URL_SIZE((size_t)head) + BASE64URL_SIZE(claims.len) +
                    BASE64URL_SIZE((size_t)DIGEST_BYTES) + 2;
    if (needed > size)
        return -ENOBUFS;
    char *out = buf + base64url_encode(buf, span_of(header, (size_t)head));
    *out++ = '.';
    out += base64url_encode(out, claims);
    hmac(signature, key, span_of(buf, (size_t)(out - buf)));
    *out++ = '.';
    out += base64url_encode(out, span_of((char *)signature, DIGEST_BYTES));
    assert((size_t)(out - buf) == needed);
    return (int)needed;
}
