#include "tls/secrets.h"

#include <assert.h>
#include <bearssl.h>
#include <string.h>

enum {
    LABEL_MAX = 32,
    IV_SIZE = 12,
};

static const br_hash_class *hash_of(enum tls_cipher cipher)
{
    return cipher == TLS_AES_256_GCM ? &br_sha384_vtable : &br_sha256_vtable;
}

size_t tls_secret_size(enum tls_cipher cipher)
{
    return cipher == TLS_AES_256_GCM ? br_sha384_SIZE : br_sha256_SIZE;
}

/* HKDF-Expand-Label with an empty context; what is asked for is never more than one block of the
 * hash, which is one HMAC. */
static void expand(const br_hmac_key_context *key, const char *name, uint8_t *ret, size_t len)
{
    static const char prefix[] = "tls13 ";
    size_t name_len = strlen(name), label_len = sizeof prefix - 1 + name_len;
    uint8_t info[2 + 1 + LABEL_MAX + 1 + 1], block[TLS_SECRET_MAX], *at = info;
    assert(label_len <= LABEL_MAX && len <= sizeof block);
    *at++ = 0;
    *at++ = (uint8_t)len;
    *at++ = (uint8_t)label_len;
    memcpy(at, prefix, sizeof prefix - 1);
    memcpy(at + sizeof prefix - 1, name, name_len);
    at += label_len;
    *at++ = 0; /* no context */
    *at++ = 1; /* the first block of HKDF-Expand (RFC 5869 section 2.3) */

    br_hmac_context hmac;
    br_hmac_init(&hmac, key, 0);
    br_hmac_update(&hmac, info, (size_t)(at - info));
    br_hmac_out(&hmac, block);
    memcpy(ret, block, len);
    explicit_bzero(&hmac, sizeof hmac);
    explicit_bzero(block, sizeof block);
}

void tls_secret_keys(const uint8_t *secret, enum tls_cipher cipher, struct tls_direction *ret)
{
    br_hmac_key_context hmac;
    uint8_t key[32], iv[IV_SIZE];
    br_hmac_key_init(&hmac, hash_of(cipher), secret, tls_secret_size(cipher));
    expand(&hmac, "key", key, cipher == TLS_AES_128_GCM ? 16 : 32);
    expand(&hmac, "iv", iv, sizeof iv);
    tls_direction_init_13(ret, cipher, key, iv);
    explicit_bzero(&hmac, sizeof hmac);
    explicit_bzero(key, sizeof key);
    explicit_bzero(iv, sizeof iv);
}

void tls_secret_update(uint8_t *secret, struct tls_direction *direction)
{
    enum tls_cipher cipher = (enum tls_cipher)direction->cipher;
    uint8_t next[TLS_SECRET_MAX], plain_log2 = direction->plain_log2;
    br_hmac_key_context hmac;
    br_hmac_key_init(&hmac, hash_of(cipher), secret, tls_secret_size(cipher));
    expand(&hmac, "traffic upd", next, tls_secret_size(cipher));
    memcpy(secret, next, tls_secret_size(cipher));
    explicit_bzero(&hmac, sizeof hmac);
    explicit_bzero(next, sizeof next);
    tls_secret_keys(secret, cipher, direction);
    direction->plain_log2 = plain_log2;
}

void tls_secrets_wipe(struct tls_secrets *secrets)
{
    explicit_bzero(secrets, sizeof *secrets);
}
