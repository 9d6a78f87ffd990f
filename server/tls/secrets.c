#include "tls/secrets.h"

#include <assert.h>
#include <bearssl.h>
#include <string.h>

enum {
    LABEL_MAX = 32,
    IV_SIZE = 12,
};

/* HKDF-Expand-Label with an empty context; what is asked for is never more than one block of
 * SHA-256, which is one HMAC. */
static void expand(const uint8_t secret[TLS_TRAFFIC_SECRET_SIZE], const char *name, uint8_t *ret,
                   size_t len)
{
    static const char prefix[] = "tls13 ";
    size_t name_len = strlen(name), label_len = sizeof prefix - 1 + name_len;
    uint8_t info[2 + 1 + LABEL_MAX + 1 + 1], block[br_sha256_SIZE], *at = info;
    assert(label_len <= LABEL_MAX && len <= sizeof block);
    *at++ = 0;
    *at++ = (uint8_t)len;
    *at++ = (uint8_t)label_len;
    memcpy(at, prefix, sizeof prefix - 1);
    memcpy(at + sizeof prefix - 1, name, name_len);
    at += label_len;
    *at++ = 0; /* no context */
    *at++ = 1; /* the first block of HKDF-Expand (RFC 5869 section 2.3) */

    br_hmac_key_context key;
    br_hmac_context hmac;
    br_hmac_key_init(&key, &br_sha256_vtable, secret, TLS_TRAFFIC_SECRET_SIZE);
    br_hmac_init(&hmac, &key, 0);
    br_hmac_update(&hmac, info, (size_t)(at - info));
    br_hmac_out(&hmac, block);
    memcpy(ret, block, len);
    explicit_bzero(&key, sizeof key);
    explicit_bzero(&hmac, sizeof hmac);
    explicit_bzero(block, sizeof block);
}

void tls_secret_keys(const uint8_t secret[TLS_TRAFFIC_SECRET_SIZE], enum tls_cipher cipher,
                     struct tls_direction *ret)
{
    uint8_t key[32], iv[IV_SIZE];
    expand(secret, "key", key, cipher == TLS_AES_128_GCM ? 16 : 32);
    expand(secret, "iv", iv, sizeof iv);
    tls_direction_init_13(ret, cipher, key, iv);
    explicit_bzero(key, sizeof key);
    explicit_bzero(iv, sizeof iv);
}

void tls_secret_update(uint8_t secret[TLS_TRAFFIC_SECRET_SIZE], struct tls_direction *direction)
{
    uint8_t next[TLS_TRAFFIC_SECRET_SIZE], plain_log2 = direction->plain_log2;
    expand(secret, "traffic upd", next, sizeof next);
    memcpy(secret, next, sizeof next);
    explicit_bzero(next, sizeof next);
    tls_secret_keys(secret, (enum tls_cipher)direction->cipher, direction);
    direction->plain_log2 = plain_log2;
}

void tls_secrets_wipe(struct tls_secrets *secrets)
{
    explicit_bzero(secrets, sizeof *secrets);
}
