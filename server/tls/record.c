#include "tls/record.h"

#include <assert.h>
#include <string.h>

#include "tls/crypto.h"

enum {
    VERSION_1_2 = 0x0303,
    ASSOCIATED_SIZE = 13,
    NONCE_SIZE = 12,
    EXPLICIT_SIZE = 8, /* the part of AES-GCM's nonce that travels with the record */
    PLAIN_LOG2 = 14,
    ALERT_WARNING = 1,
    ALERT_FATAL = 2,
};

/* ---- bytes ---- */

static void put_16(unsigned char *at, size_t value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static void put_64(unsigned char *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        at[i] = (unsigned char)value;
}

static size_t get_16(const unsigned char *at)
{
    return (size_t)at[0] << 8 | at[1];
}

static bool is_gcm(const struct tls_direction *direction)
{
    return direction->cipher != TLS_CHACHA20_POLY1305;
}

static void head_write(unsigned char *at, uint8_t type, size_t payload_len)
{
    at[0] = type;
    put_16(at + 1, VERSION_1_2);
    put_16(at + 3, payload_len);
}

/* What is authenticated besides the ciphertext. */
static void associated(unsigned char *at, uint64_t sequence, uint8_t type, size_t plain_len)
{
    put_64(at, sequence);
    head_write(at + 8, type, plain_len);
}

/* Whether two tags agree, in a time that does not tell where they differ. */
static bool tags_equal(const unsigned char *a, const unsigned char *b)
{
    unsigned char differ = 0;
    for (size_t i = 0; i < TLS_TAG_SIZE; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

/* ---- AES-GCM ---- */

static void aes_schedule(br_aes_gen_ctr_keys *schedule, const struct tls_direction *direction)
{
    size_t key_len = direction->cipher == TLS_AES_128_GCM ? 16 : 32;
    tls_crypto()->aes_ctr->init(&schedule->vtable, direction->key, key_len);
}

/* Encrypts or decrypts and makes the tag of the ciphertext, as NIST SP 800-38D section 7 says: data
 * from counter 2 on, the tag under counter 1. */
static void gcm_run(const struct tls_direction *direction, bool encrypt, const unsigned char *aad,
                    const unsigned char *explicit_nonce, unsigned char *data, size_t len,
                    unsigned char *tag)
{
    const struct tls_crypto *crypto = tls_crypto();
    unsigned char nonce[NONCE_SIZE], lengths[16];
    br_aes_gen_ctr_keys schedule;
    aes_schedule(&schedule, direction);
    memcpy(nonce, direction->nonce.gcm.salt, 4);
    memcpy(nonce + 4, explicit_nonce, EXPLICIT_SIZE);
    put_64(lengths, ASSOCIATED_SIZE * 8);
    put_64(lengths + 8, (uint64_t)len * 8);

    if (encrypt)
        schedule.vtable->run(&schedule.vtable, nonce, 2, data, len);
    memset(tag, 0, TLS_TAG_SIZE);
    crypto->ghash(tag, direction->nonce.gcm.h, aad, ASSOCIATED_SIZE);
    crypto->ghash(tag, direction->nonce.gcm.h, data, len);
    crypto->ghash(tag, direction->nonce.gcm.h, lengths, sizeof lengths);
    schedule.vtable->run(&schedule.vtable, nonce, 1, tag, TLS_TAG_SIZE);
    if (!encrypt)
        schedule.vtable->run(&schedule.vtable, nonce, 2, data, len);
    explicit_bzero(&schedule, sizeof schedule);
}

/* ---- ChaCha20-Poly1305 ---- */

static void chacha_run(const struct tls_direction *direction, bool encrypt,
                       const unsigned char *aad, unsigned char *data, size_t len,
                       unsigned char *tag)
{
    const struct tls_crypto *crypto = tls_crypto();
    unsigned char nonce[NONCE_SIZE] = {0};
    put_64(nonce + 4, direction->sequence);
    for (size_t i = 0; i < NONCE_SIZE; i++)
        nonce[i] ^= direction->nonce.iv[i];
    crypto->poly1305(direction->key, nonce, data, len, aad, ASSOCIATED_SIZE, tag, crypto->chacha20,
                     encrypt);
}

/* ---- directions ---- */

void tls_direction_init(struct tls_direction *direction, enum tls_cipher cipher, const void *key,
                        const void *iv)
{
    *direction = (struct tls_direction){.cipher = (uint8_t)cipher, .plain_log2 = PLAIN_LOG2};
    memcpy(direction->key, key, cipher == TLS_AES_128_GCM ? 16 : 32);
    if (cipher == TLS_CHACHA20_POLY1305) {
        memcpy(direction->nonce.iv, iv, NONCE_SIZE);
        return;
    }
    static const unsigned char zero[NONCE_SIZE];
    br_aes_gen_ctr_keys schedule;
    memcpy(direction->nonce.gcm.salt, iv, sizeof direction->nonce.gcm.salt);
    aes_schedule(&schedule, direction);
    schedule.vtable->run(&schedule.vtable, zero, 0, direction->nonce.gcm.h,
                         sizeof direction->nonce.gcm.h);
    explicit_bzero(&schedule, sizeof schedule);
}

void tls_keys_wipe(struct tls_keys *keys)
{
    explicit_bzero(keys, sizeof *keys);
}

size_t tls_record_head(const struct tls_direction *out)
{
    return is_gcm(out) ? TLS_HEAD_SIZE + EXPLICIT_SIZE : TLS_HEAD_SIZE;
}

size_t tls_record_overhead(const struct tls_direction *out)
{
    return tls_record_head(out) + TLS_TAG_SIZE;
}

/* ---- receiving ---- */

bool tls_payload_fits(const struct tls_direction *in, size_t len)
{
    size_t overhead = tls_record_overhead(in) - TLS_HEAD_SIZE;
    return len >= overhead && len <= TLS_PLAIN_MAX + overhead;
}

unsigned char *tls_payload_open(struct tls_direction *in, uint8_t type, unsigned char *payload,
                                size_t *len)
{
    assert(tls_payload_fits(in, *len));
    unsigned char *plain = payload + tls_record_head(in) - TLS_HEAD_SIZE;
    size_t plain_len = *len - tls_record_overhead(in) + TLS_HEAD_SIZE;
    unsigned char aad[ASSOCIATED_SIZE], tag[TLS_TAG_SIZE];
    associated(aad, in->sequence, type, plain_len);
    if (is_gcm(in))
        gcm_run(in, false, aad, payload, plain, plain_len, tag);
    else
        chacha_run(in, false, aad, plain, plain_len, tag);
    if (!tags_equal(tag, plain + plain_len))
        return NULL;
    in->sequence++;
    *len = plain_len;
    return plain;
}

/* What is wrong with a header, or 0. */
static int head_check(const struct tls_direction *in, const unsigned char *head)
{
    size_t len = get_16(head + 3);
    if (head[0] < TLS_CHANGE_CIPHER_SPEC || head[0] > TLS_APPLICATION_DATA)
        return -TLS_ERROR_UNKNOWN_TYPE;
    if (get_16(head + 1) != VERSION_1_2)
        return -TLS_ERROR_VERSION;
    if (tls_payload_fits(in, len))
        return 0;
    return len > TLS_PLAIN_MAX ? -TLS_ERROR_RECORD_TOO_LONG : -TLS_ERROR_RECORD_TOO_SHORT;
}

static int alert_read(const unsigned char *alert, size_t len, enum tls_record_kind *ret)
{
    if (len != 2)
        return -TLS_ERROR_BAD_ALERT;
    if (alert[1] == TLS_ALERT_CLOSE_NOTIFY)
        *ret = TLS_RECORD_CLOSE;
    else if (alert[0] == ALERT_WARNING)
        *ret = TLS_RECORD_WARNING;
    else
        return -TLS_ERROR_ALERT_RECEIVED;
    return 0;
}

/* What an opened record is, besides application data. */
static int meaning(uint8_t type, const unsigned char *plain, size_t len, enum tls_record_kind *ret)
{
    *ret = TLS_RECORD_DATA;
    if (type == TLS_APPLICATION_DATA)
        return 0;
    if (type == TLS_ALERT)
        return alert_read(plain, len, ret);
    return type == TLS_HANDSHAKE ? -TLS_ERROR_RENEGOTIATION : -TLS_ERROR_UNEXPECTED;
}

int tls_record_open(struct tls_direction *in, unsigned char *run, size_t len,
                    struct tls_record *ret)
{
    if (len < TLS_HEAD_SIZE)
        return 0;
    int err = head_check(in, run);
    if (err < 0)
        return err;
    size_t payload_len = get_16(run + 3), size = TLS_HEAD_SIZE + payload_len;
    if (len < size)
        return 0;
    unsigned char *plain = tls_payload_open(in, run[0], run + TLS_HEAD_SIZE, &payload_len);
    if (!plain)
        return -TLS_ERROR_BAD_MAC;
    enum tls_record_kind kind;
    err = meaning(run[0], plain, payload_len, &kind);
    if (err < 0)
        return err;
    *ret = (struct tls_record){kind, plain, kind == TLS_RECORD_DATA ? payload_len : 0};
    return (int)size;
}

/* ---- sending ---- */

size_t tls_record_seal_in_place(struct tls_direction *out, enum tls_content type,
                                unsigned char *area, size_t plain_len)
{
    assert(plain_len <= TLS_PLAIN_MAX);
    unsigned char aad[ASSOCIATED_SIZE], *plain = area + tls_record_head(out);
    size_t size = plain_len + tls_record_overhead(out);
    head_write(area, (uint8_t)type, size - TLS_HEAD_SIZE);
    associated(aad, out->sequence, (uint8_t)type, plain_len);
    if (is_gcm(out)) {
        put_64(area + TLS_HEAD_SIZE, out->sequence);
        gcm_run(out, true, aad, area + TLS_HEAD_SIZE, plain, plain_len, plain + plain_len);
    } else {
        chacha_run(out, true, aad, plain, plain_len, plain + plain_len);
    }
    out->sequence++;
    return size;
}

size_t tls_record_seal(struct tls_direction *out, const struct iovec *plain, unsigned count,
                       unsigned char *area)
{
    unsigned char *at = area + tls_record_head(out);
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        assert(len + plain[i].iov_len <= tls_record_plain_max(out));
        memcpy(at + len, plain[i].iov_base, plain[i].iov_len);
        len += plain[i].iov_len;
    }
    return tls_record_seal_in_place(out, TLS_APPLICATION_DATA, area, len);
}

static void alert_write(unsigned char *at, uint8_t description)
{
    bool warning =
        description == TLS_ALERT_CLOSE_NOTIFY || description == TLS_ALERT_NO_RENEGOTIATION;
    at[0] = warning ? ALERT_WARNING : ALERT_FATAL;
    at[1] = description;
}

size_t tls_alert_seal(struct tls_direction *out, uint8_t description, unsigned char *area)
{
    alert_write(area + tls_record_head(out), description);
    return tls_record_seal_in_place(out, TLS_ALERT, area, 2);
}

size_t tls_alert_plain(uint8_t description, unsigned char *area)
{
    head_write(area, TLS_ALERT, 2);
    alert_write(area + TLS_HEAD_SIZE, description);
    return TLS_HEAD_SIZE + 2;
}
