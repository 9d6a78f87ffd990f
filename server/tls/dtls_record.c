#include "tls/dtls_record.h"

#include <assert.h>
#include <string.h>

#include "tls/crypto.h"
#include "tls/record.h"

enum {
    VERSION_DTLS_1_2 = 0xfefd,
    SEQUENCE_AT = 3,
    LENGTH_AT = 11,
    NONCE_SIZE = 12,
    SALT_SIZE = 4,
    EXPLICIT_SIZE = 8,
    AES_KEY_SIZE = 16,
    ALERT_WARNING = 1,
};

static void put_16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static uint64_t get_64(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return value;
}

static size_t get_16(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

static bool is_gcm(const struct dtls_keys *keys)
{
    return keys->cipher == TLS_AES_128_GCM;
}

size_t dtls_record_head(const struct dtls_keys *keys)
{
    return DTLS_HEAD_SIZE + (is_gcm(keys) ? EXPLICIT_SIZE : 0);
}

/* ---- AEAD ---- */

/* NIST SP 800-38D section 7: data from counter 2 on, the tag under counter 1. */
static void gcm_run(const struct dtls_direction *direction, bool encrypt,
                    const uint8_t aad[DTLS_HEAD_SIZE], const uint8_t nonce[NONCE_SIZE],
                    uint8_t *data, size_t len, uint8_t *tag)
{
    const struct tls_crypto *crypto = tls_crypto();
    const uint8_t *h = direction->key + AES_KEY_SIZE;
    uint8_t lengths[16];
    br_aes_gen_ctr_keys schedule;
    crypto->aes_ctr->init(&schedule.vtable, direction->key, AES_KEY_SIZE);
    put_64(lengths, DTLS_HEAD_SIZE * 8);
    put_64(lengths + 8, (uint64_t)len * 8);
    if (encrypt)
        schedule.vtable->run(&schedule.vtable, nonce, 2, data, len);
    memset(tag, 0, TLS_TAG_SIZE);
    crypto->ghash(tag, h, aad, DTLS_HEAD_SIZE);
    crypto->ghash(tag, h, data, len);
    crypto->ghash(tag, h, lengths, sizeof lengths);
    schedule.vtable->run(&schedule.vtable, nonce, 1, tag, TLS_TAG_SIZE);
    if (!encrypt)
        schedule.vtable->run(&schedule.vtable, nonce, 2, data, len);
    explicit_bzero(&schedule, sizeof schedule);
}

/* `number` is epoch and sequence; `travels` the part of the nonce that does, for AES-GCM. */
static void aead_run(const struct dtls_keys *keys, const struct dtls_direction *direction,
                     bool encrypt, uint8_t type, uint64_t number, const uint8_t *travels,
                     uint8_t *data, size_t len, uint8_t *tag)
{
    uint8_t aad[DTLS_HEAD_SIZE], nonce[NONCE_SIZE] = {0};
    put_64(aad, number);
    aad[8] = type;
    put_16(aad + 9, VERSION_DTLS_1_2);
    put_16(aad + 11, len);
    if (is_gcm(keys)) {
        memcpy(nonce, direction->iv, SALT_SIZE);
        memcpy(nonce + SALT_SIZE, travels, EXPLICIT_SIZE);
        gcm_run(direction, encrypt, aad, nonce, data, len, tag);
        return;
    }
    const struct tls_crypto *crypto = tls_crypto();
    put_64(nonce + 4, number);
    for (size_t i = 0; i < NONCE_SIZE; i++)
        nonce[i] ^= direction->iv[i];
    crypto->poly1305(direction->key, nonce, data, len, aad, sizeof aad, tag, crypto->chacha20,
                     encrypt);
}

/* ---- keys ---- */

static void direction_init(struct dtls_direction *direction, enum tls_cipher cipher,
                           const uint8_t *key, const uint8_t *iv)
{
    static const uint8_t zero[NONCE_SIZE];
    *direction = (struct dtls_direction){.sequence = 0};
    if (cipher == TLS_CHACHA20_POLY1305) {
        memcpy(direction->key, key, sizeof direction->key);
        memcpy(direction->iv, iv, sizeof direction->iv);
        return;
    }
    br_aes_gen_ctr_keys schedule;
    memcpy(direction->key, key, AES_KEY_SIZE);
    memcpy(direction->iv, iv, SALT_SIZE);
    /* The key of GHASH is a block of zeros, encrypted. */
    tls_crypto()->aes_ctr->init(&schedule.vtable, key, AES_KEY_SIZE);
    schedule.vtable->run(&schedule.vtable, zero, 0, direction->key + AES_KEY_SIZE, 16);
    explicit_bzero(&schedule, sizeof schedule);
}

void dtls_keys_init(struct dtls_keys *keys, enum tls_cipher cipher, const uint8_t *in_key,
                    const uint8_t *in_iv, const uint8_t *out_key, const uint8_t *out_iv,
                    uint64_t sequence)
{
    assert(cipher == TLS_AES_128_GCM || cipher == TLS_CHACHA20_POLY1305);
    *keys = (struct dtls_keys){.cipher = (uint8_t)cipher};
    direction_init(&keys->in, cipher, in_key, in_iv);
    direction_init(&keys->out, cipher, out_key, out_iv);
    keys->out.sequence = sequence;
    keys->in.sequence = sequence & UINT64_C(0xffff) << 48;
}

void dtls_keys_wipe(struct dtls_keys *keys)
{
    explicit_bzero(keys, sizeof *keys);
}

#define EPOCH_1 (UINT64_C(1) << 48)

static void put_48(uint8_t at[6], uint64_t number)
{
    for (unsigned i = 6; i-- > 0; number >>= 8)
        at[i] = (uint8_t)number;
}

static uint64_t get_48(const uint8_t at[6])
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 6; i++)
        number = number << 8 | at[i];
    return number;
}

bool dtls_keys_park(const struct dtls_keys *keys, struct dtls_parked *ret)
{
    if (!is_gcm(keys) || keys->in.sequence >> 48 != 1 || keys->out.sequence >> 48 != 1)
        return false;
    *ret = (struct dtls_parked){.came = (uint32_t)keys->came};
    put_48(ret->in_sequence, keys->in.sequence);
    put_48(ret->out_sequence, keys->out.sequence);
    memcpy(ret->in_key, keys->in.key, AES_KEY_SIZE);
    memcpy(ret->out_key, keys->out.key, AES_KEY_SIZE);
    memcpy(ret->in_iv, keys->in.iv, SALT_SIZE);
    memcpy(ret->out_iv, keys->out.iv, SALT_SIZE);
    return true;
}

void dtls_keys_wake(struct dtls_keys *keys, const struct dtls_parked *parked)
{
    dtls_keys_init(keys, TLS_AES_128_GCM, parked->in_key, parked->in_iv, parked->out_key,
                   parked->out_iv, EPOCH_1 | get_48(parked->out_sequence));
    keys->in.sequence = EPOCH_1 | get_48(parked->in_sequence);
    keys->came = parked->came | ~UINT64_C(0) << DTLS_PARKED_WINDOW;
}

/* ---- receiving ---- */

int dtls_record_peek(const uint8_t *datagram, size_t len, uint8_t *ret_type, uint16_t *ret_epoch)
{
    if (len < DTLS_HEAD_SIZE || len - DTLS_HEAD_SIZE < get_16(datagram + LENGTH_AT))
        return DTLS_LENGTH;
    *ret_type = datagram[0];
    *ret_epoch = (uint16_t)get_16(datagram + SEQUENCE_AT);
    return (int)(DTLS_HEAD_SIZE + get_16(datagram + LENGTH_AT));
}

/* RFC 6347 section 4.1.2.6. */
static bool replayed(const struct dtls_keys *keys, uint64_t number)
{
    uint64_t highest = keys->in.sequence;
    if (number > highest)
        return false;
    return highest - number >= DTLS_WINDOW || (keys->came >> (highest - number) & 1) != 0;
}

static void note(struct dtls_keys *keys, uint64_t number)
{
    uint64_t highest = keys->in.sequence;
    if (number <= highest) {
        keys->came |= UINT64_C(1) << (highest - number);
        return;
    }
    keys->came = number - highest < DTLS_WINDOW ? keys->came << (number - highest) : 0;
    keys->came |= 1;
    keys->in.sequence = number;
}

static bool tags_equal(const uint8_t *a, const uint8_t *b)
{
    uint8_t differ = 0;
    for (size_t i = 0; i < TLS_TAG_SIZE; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

int dtls_record_open(struct dtls_keys *keys, uint8_t *bytes, size_t len, struct dtls_record *ret)
{
    uint8_t type, tag[TLS_TAG_SIZE];
    uint16_t epoch;
    int size = dtls_record_peek(bytes, len, &type, &epoch);
    if (size < 0)
        return size;
    if (get_16(bytes + 1) != VERSION_DTLS_1_2)
        return DTLS_VERSION;
    if (epoch != keys->in.sequence >> 48)
        return DTLS_EPOCH;
    size_t head = dtls_record_head(keys);
    if ((size_t)size < head + TLS_TAG_SIZE)
        return DTLS_LENGTH;
    uint64_t number = get_64(bytes + SEQUENCE_AT);
    if (replayed(keys, number))
        return DTLS_REPLAYED;
    size_t plain_len = (size_t)size - head - TLS_TAG_SIZE;
    aead_run(keys, &keys->in, false, type, number, bytes + DTLS_HEAD_SIZE, bytes + head, plain_len,
             tag);
    if (!tags_equal(tag, bytes + head + plain_len))
        return DTLS_MAC;
    note(keys, number);
    *ret = (struct dtls_record){type, bytes + head, plain_len};
    return size;
}

/* ---- sending ---- */

size_t dtls_record_seal(struct dtls_keys *keys, uint8_t type, uint8_t *area, size_t plain_len)
{
    size_t head = dtls_record_head(keys);
    uint64_t number = keys->out.sequence++;
    assert(plain_len <= TLS_PLAIN_MAX && number >> 48 == keys->out.sequence >> 48);
    area[0] = type;
    put_16(area + 1, VERSION_DTLS_1_2);
    put_64(area + SEQUENCE_AT, number);
    put_16(area + LENGTH_AT, head - DTLS_HEAD_SIZE + plain_len + TLS_TAG_SIZE);
    if (is_gcm(keys))
        put_64(area + DTLS_HEAD_SIZE, number);
    aead_run(keys, &keys->out, true, type, number, area + DTLS_HEAD_SIZE, area + head, plain_len,
             area + head + plain_len);
    return head + plain_len + TLS_TAG_SIZE;
}

size_t dtls_close_seal(struct dtls_keys *keys, uint8_t area[DTLS_ALERT_SIZE])
{
    uint8_t *alert = area + dtls_record_head(keys);
    alert[0] = ALERT_WARNING;
    alert[1] = TLS_ALERT_CLOSE_NOTIFY;
    return dtls_record_seal(keys, TLS_ALERT, area, 2);
}
