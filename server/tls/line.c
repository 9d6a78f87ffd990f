#include "tls/line.h"

#include <assert.h>
#include <string.h>

enum {
    KIND_13 = 0x80,
    CIPHER_SHIFT = 5,
    CIPHER_MASK = 3,
    REST_MASK = 0x1f, /* in: the highest bits of the sequence number; out: the size of records */
    REST_SHIFT = 24,
    PLAIN_LOG2_MIN = 6,
    /* What the two parts of ChaCha20's secret of those sent are behind. */
    CHACHA_KEY = 32,
    IV_SIZE = 12,
    SECRET_PART = 16,
    AES_128_KEY = 16,
};

static_assert(offsetof(struct tls_direction, format) == offsetof(struct tls_line_half, kind) &&
                  TLS_FORMAT_12 == 0,
              "a line of 1.2 has no kind");

/* ---- numbers and kinds ---- */

static bool is_13(const struct tls_line_half *half)
{
    return half->kind & KIND_13;
}

static enum tls_cipher cipher_of(const struct tls_line_half *half)
{
    return (enum tls_cipher)(half->kind >> CIPHER_SHIFT & CIPHER_MASK);
}

static void kind_set(struct tls_line_half *half, enum tls_cipher cipher)
{
    half->kind = (uint8_t)(KIND_13 | (unsigned)cipher << CIPHER_SHIFT);
}

static uint32_t rest_of(const struct tls_line_half *half)
{
    return half->kind & REST_MASK;
}

static void rest_set(struct tls_line_half *half, uint32_t rest)
{
    half->kind = (uint8_t)((half->kind & ~(unsigned)REST_MASK) | rest);
}

/* Its 24 lower bits. */
static uint32_t number_of(const struct tls_line_half *half)
{
    return half->low | (uint32_t)half->high[0] << 8 | (uint32_t)half->high[1] << 16;
}

static void number_set(struct tls_line_half *half, uint64_t number)
{
    half->low = (uint8_t)number;
    half->high[0] = (uint8_t)(number >> 8);
    half->high[1] = (uint8_t)(number >> 16);
}

/* ---- secrets, and the keys beside them ---- */

static void secret_out(const union tls_line *line, uint8_t secret[TLS_SECRET_MAX])
{
    if (cipher_of(&line->out) != TLS_CHACHA20_POLY1305) {
        memcpy(secret, line->out.bytes, tls_secret_size(cipher_of(&line->out)));
        return;
    }
    memcpy(secret, line->in.bytes + CHACHA_KEY, SECRET_PART);
    memcpy(secret + SECRET_PART, line->out.bytes + CHACHA_KEY + IV_SIZE, SECRET_PART);
}

static void aes_128_keep(struct tls_line_half *half, const uint8_t *secret,
                         const struct tls_direction *direction)
{
    size_t size = tls_secret_size(TLS_AES_128_GCM);
    memcpy(half->bytes, secret, size);
    memcpy(half->bytes + size, direction->key, AES_128_KEY);
    memcpy(half->bytes + size + AES_128_KEY, direction->nonce.iv, IV_SIZE);
}

static void in_keep(union tls_line *line, const uint8_t *secret, const struct tls_direction *in)
{
    enum tls_cipher cipher = cipher_of(&line->in);
    if (cipher == TLS_AES_128_GCM)
        aes_128_keep(&line->in, secret, in);
    else
        memcpy(line->in.bytes, secret, tls_secret_size(cipher));
}

static void out_keep(union tls_line *line, const uint8_t *secret, const struct tls_direction *out)
{
    switch (cipher_of(&line->out)) {
    case TLS_AES_128_GCM:
        aes_128_keep(&line->out, secret, out);
        break;
    case TLS_CHACHA20_POLY1305:
        memcpy(line->out.bytes, out->key, CHACHA_KEY);
        memcpy(line->out.bytes + CHACHA_KEY, out->nonce.iv, IV_SIZE);
        memcpy(line->in.bytes + CHACHA_KEY, secret, SECRET_PART);
        memcpy(line->out.bytes + CHACHA_KEY + IV_SIZE, secret + SECRET_PART, SECRET_PART);
        break;
    case TLS_AES_256_GCM:
        memcpy(line->out.bytes, secret, tls_secret_size(TLS_AES_256_GCM));
        break;
    case TLS_CIPHER_COUNT:
        break;
    }
}

void tls_line_keep(union tls_line *line, const struct tls_keys *keys,
                   const struct tls_secrets *secrets)
{
    if (!secrets) {
        line->keys = *keys;
        return;
    }
    memset(line, 0, sizeof *line);
    kind_set(&line->in, (enum tls_cipher)keys->in.cipher);
    kind_set(&line->out, (enum tls_cipher)keys->out.cipher);
    rest_set(&line->out, keys->out.plain_log2 - PLAIN_LOG2_MIN);
    in_keep(line, secrets->in, &keys->in);
    out_keep(line, secrets->out, &keys->out);
    tls_line_in_used(line, &keys->in);
    tls_line_out_used(line, &keys->out);
}

void tls_line_wipe(union tls_line *line)
{
    explicit_bzero(line, sizeof *line);
}

void tls_line_forget(struct tls_direction *scratch)
{
    explicit_bzero(scratch, sizeof *scratch);
}

size_t tls_line_plain_max(const union tls_line *line)
{
    if (!is_13(&line->out))
        return tls_record_plain_max(&line->keys.out);
    return (size_t)1 << (rest_of(&line->out) + PLAIN_LOG2_MIN);
}

size_t tls_line_head(const union tls_line *line)
{
    return is_13(&line->out) ? TLS_HEAD_SIZE : tls_record_head(&line->keys.out);
}

/* ---- directions ---- */

static void aes_128_make(const struct tls_line_half *half, struct tls_direction *ret)
{
    const uint8_t *key = half->bytes + tls_secret_size(TLS_AES_128_GCM);
    tls_direction_init_13(ret, TLS_AES_128_GCM, key, key + AES_128_KEY);
}

struct tls_direction *tls_line_in(union tls_line *line, struct tls_direction *scratch)
{
    if (!is_13(&line->in))
        return &line->keys.in;
    if (cipher_of(&line->in) == TLS_AES_128_GCM)
        aes_128_make(&line->in, scratch);
    else
        tls_secret_keys(line->in.bytes, cipher_of(&line->in), scratch);
    scratch->sequence = number_of(&line->in) | (uint64_t)rest_of(&line->in) << REST_SHIFT;
    return scratch;
}

struct tls_direction *tls_line_out(union tls_line *line, struct tls_direction *scratch)
{
    if (!is_13(&line->out))
        return &line->keys.out;
    switch (cipher_of(&line->out)) {
    case TLS_AES_128_GCM:
        aes_128_make(&line->out, scratch);
        break;
    case TLS_CHACHA20_POLY1305:
        tls_direction_init_13(scratch, TLS_CHACHA20_POLY1305, line->out.bytes,
                              line->out.bytes + CHACHA_KEY);
        break;
    case TLS_AES_256_GCM:
        tls_secret_keys(line->out.bytes, TLS_AES_256_GCM, scratch);
        break;
    case TLS_CIPHER_COUNT:
        break;
    }
    scratch->sequence = number_of(&line->out);
    scratch->plain_log2 = (uint8_t)(rest_of(&line->out) + PLAIN_LOG2_MIN);
    return scratch;
}

bool tls_line_in_used(union tls_line *line, const struct tls_direction *in)
{
    if (in == &line->keys.in)
        return true;
    if (in->sequence >= TLS_LINE_IN_MAX)
        return false;
    number_set(&line->in, in->sequence);
    rest_set(&line->in, (uint32_t)(in->sequence >> REST_SHIFT));
    return true;
}

void tls_line_out_used(union tls_line *line, const struct tls_direction *out)
{
    if (out == &line->keys.out)
        return;
    assert(out->sequence < TLS_LINE_OUT_MAX);
    number_set(&line->out, out->sequence);
}

void tls_line_in_update(union tls_line *line, struct tls_direction *in)
{
    uint8_t secret[TLS_SECRET_MAX];
    assert(is_13(&line->in));
    memcpy(secret, line->in.bytes, tls_secret_size(cipher_of(&line->in)));
    tls_secret_update(secret, in);
    in_keep(line, secret, in);
    tls_line_in_used(line, in);
    explicit_bzero(secret, sizeof secret);
}

void tls_line_out_update(union tls_line *line, struct tls_direction *out)
{
    uint8_t secret[TLS_SECRET_MAX];
    assert(is_13(&line->out));
    secret_out(line, secret);
    tls_secret_update(secret, out);
    out_keep(line, secret, out);
    tls_line_out_used(line, out);
    explicit_bzero(secret, sizeof secret);
}
