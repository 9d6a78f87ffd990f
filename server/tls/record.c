#include "tls/record.h"

#include <assert.h>
#include <string.h>

#include "tls/crypto.h"

enum {
    VERSION_1_2 = 0x0303,
    ASSOCIATED_MAX = 13,
    NONCE_SIZE = 12,
    PLAIN_LOG2 = 14,
    ALERT_WARNING = 1,
    ALERT_FATAL = 2,
    ALERT_USER_CANCELED = 90,
    MESSAGE_TICKET = 4,
    MESSAGE_KEY_UPDATE = 24,
};

/* What is authenticated besides the ciphertext. */
struct associated {
    unsigned char bytes[ASSOCIATED_MAX];
    size_t len;
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

static bool is_13(const struct tls_direction *direction)
{
    return direction->format == TLS_FORMAT_13;
}

/* Whether a part of the nonce travels with the record. */
static bool is_explicit(const struct tls_direction *direction)
{
    return is_gcm(direction) && !is_13(direction);
}

static void head_write(unsigned char *at, uint8_t type, size_t payload_len)
{
    at[0] = type;
    put_16(at + 1, VERSION_1_2);
    put_16(at + 3, payload_len);
}

/* Of a record whose payload is `len` bytes, of which `plain_len` were plaintext. */
static void associate(struct associated *ret, const struct tls_direction *direction, uint8_t type,
                      size_t len, size_t plain_len)
{
    if (is_13(direction)) {
        head_write(ret->bytes, type, len);
        ret->len = TLS_HEAD_SIZE;
        return;
    }
    put_64(ret->bytes, direction->sequence);
    head_write(ret->bytes + 8, type, plain_len);
    ret->len = ASSOCIATED_MAX;
}

/* Of AES-GCM in 1.2, a salt and what travels with the record; of the others, one that is made of
 * the sequence number. */
static void nonce_write(const struct tls_direction *direction, const unsigned char *travels,
                        unsigned char nonce[NONCE_SIZE])
{
    if (is_explicit(direction)) {
        memcpy(nonce, direction->nonce.gcm.salt, NONCE_SIZE - TLS_EXPLICIT_SIZE);
        memcpy(nonce + NONCE_SIZE - TLS_EXPLICIT_SIZE, travels, TLS_EXPLICIT_SIZE);
        return;
    }
    memset(nonce, 0, NONCE_SIZE);
    put_64(nonce + 4, direction->sequence);
    for (size_t i = 0; i < NONCE_SIZE; i++)
        nonce[i] ^= direction->nonce.iv[i];
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

/* The key of GHASH: a block of zeros, encrypted. Each call has a schedule of its own. */
static void ghash_key_make(const br_aes_gen_ctr_keys *schedule, uint8_t h[16])
{
    static const unsigned char zero[NONCE_SIZE];
    memset(h, 0, 16);
    schedule->vtable->run(&schedule->vtable, zero, 0, h, 16);
}

/* Encrypts or decrypts and makes the tag of the ciphertext, as NIST SP 800-38D section 7 says: data
 * from counter 2 on, the tag under counter 1. */
static void gcm_run(const struct tls_direction *direction, bool encrypt,
                    const struct associated *aad, const unsigned char nonce[NONCE_SIZE],
                    unsigned char *data, size_t len, unsigned char *tag)
{
    const struct tls_crypto *crypto = tls_crypto();
    unsigned char lengths[16], made[16];
    const unsigned char *h = is_13(direction) ? made : direction->nonce.gcm.h;
    br_aes_gen_ctr_keys schedule;
    aes_schedule(&schedule, direction);
    if (is_13(direction))
        ghash_key_make(&schedule, made);
    put_64(lengths, (uint64_t)aad->len * 8);
    put_64(lengths + 8, (uint64_t)len * 8);

    if (encrypt)
        schedule.vtable->run(&schedule.vtable, nonce, 2, data, len);
    memset(tag, 0, TLS_TAG_SIZE);
    crypto->ghash(tag, h, aad->bytes, aad->len);
    crypto->ghash(tag, h, data, len);
    crypto->ghash(tag, h, lengths, sizeof lengths);
    schedule.vtable->run(&schedule.vtable, nonce, 1, tag, TLS_TAG_SIZE);
    if (!encrypt)
        schedule.vtable->run(&schedule.vtable, nonce, 2, data, len);
    explicit_bzero(&schedule, sizeof schedule);
    explicit_bzero(made, sizeof made);
}

/* Likewise with the cipher of the direction; `travels` is the part of the nonce that does. */
static void aead_run(const struct tls_direction *direction, bool encrypt,
                     const struct associated *aad, const unsigned char *travels,
                     unsigned char *data, size_t len, unsigned char *tag)
{
    const struct tls_crypto *crypto = tls_crypto();
    unsigned char nonce[NONCE_SIZE];
    nonce_write(direction, travels, nonce);
    if (is_gcm(direction))
        gcm_run(direction, encrypt, aad, nonce, data, len, tag);
    else
        crypto->poly1305(direction->key, nonce, data, len, aad->bytes, aad->len, tag,
                         crypto->chacha20, encrypt);
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
    br_aes_gen_ctr_keys schedule;
    memcpy(direction->nonce.gcm.salt, iv, sizeof direction->nonce.gcm.salt);
    aes_schedule(&schedule, direction);
    ghash_key_make(&schedule, direction->nonce.gcm.h);
    explicit_bzero(&schedule, sizeof schedule);
}

void tls_direction_init_13(struct tls_direction *direction, enum tls_cipher cipher, const void *key,
                           const void *iv)
{
    *direction = (struct tls_direction){
        .cipher = (uint8_t)cipher, .format = TLS_FORMAT_13, .plain_log2 = PLAIN_LOG2};
    memcpy(direction->key, key, cipher == TLS_AES_128_GCM ? 16 : 32);
    memcpy(direction->nonce.iv, iv, NONCE_SIZE);
}

void tls_keys_wipe(struct tls_keys *keys)
{
    explicit_bzero(keys, sizeof *keys);
}

size_t tls_record_head(const struct tls_direction *out)
{
    return is_explicit(out) ? TLS_HEAD_SIZE + TLS_EXPLICIT_SIZE : TLS_HEAD_SIZE;
}

size_t tls_record_overhead(const struct tls_direction *out)
{
    return tls_record_head(out) + is_13(out) + TLS_TAG_SIZE;
}

/* ---- receiving ---- */

/* Whether the payload of a record (what follows the header) can have this length. */
static bool payload_fits(const struct tls_direction *in, size_t len)
{
    size_t overhead = tls_record_overhead(in) - TLS_HEAD_SIZE;
    return len >= overhead &&
           len <= TLS_PLAIN_MAX + (is_13(in) ? (size_t)TLS_CIPHER_GROWTH_MAX : overhead);
}

/* Opens a payload in place. Returns its plaintext and sets `len`, or NULL when it does not
 * decrypt. */
static unsigned char *payload_open(struct tls_direction *in, uint8_t type, unsigned char *payload,
                                   size_t *len)
{
    assert(payload_fits(in, *len));
    unsigned char *plain = payload + tls_record_head(in) - TLS_HEAD_SIZE, tag[TLS_TAG_SIZE];
    size_t plain_len = *len - (size_t)(plain - payload) - TLS_TAG_SIZE;
    struct associated aad;
    associate(&aad, in, type, *len, plain_len);
    aead_run(in, false, &aad, payload, plain, plain_len, tag);
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
    if (is_13(in) && head[0] != TLS_APPLICATION_DATA)
        return -TLS_ERROR_UNEXPECTED;
    if (payload_fits(in, len))
        return 0;
    return len > TLS_PLAIN_MAX ? -TLS_ERROR_RECORD_TOO_LONG : -TLS_ERROR_RECORD_TOO_SHORT;
}

/* In 1.3 the level means nothing: all but two alerts are fatal (RFC 8446 section 6). */
static bool only_warns(const struct tls_direction *in, const unsigned char *alert)
{
    return is_13(in) ? alert[1] == ALERT_USER_CANCELED : alert[0] == ALERT_WARNING;
}

static int alert_read(const struct tls_direction *in, const unsigned char *alert, size_t len,
                      enum tls_record_kind *ret)
{
    if (len != 2)
        return -TLS_ERROR_BAD_ALERT;
    if (alert[1] == TLS_ALERT_CLOSE_NOTIFY)
        *ret = TLS_RECORD_CLOSE;
    else if (only_warns(in, alert))
        *ret = TLS_RECORD_WARNING;
    else
        return -TLS_ERROR_ALERT_RECEIVED;
    return 0;
}

/* What may come behind a handshake in 1.3. A KeyUpdate is the last of its record, for what follows
 * has other keys (RFC 8446 section 5.1). */
static int message_read(const unsigned char *message, size_t len, enum tls_record_kind *ret)
{
    static const unsigned char update[TLS_KEY_UPDATE_SIZE - 1] = {MESSAGE_KEY_UPDATE, 0, 0, 1};
    if (len == TLS_KEY_UPDATE_SIZE && memcmp(message, update, sizeof update) == 0 &&
        message[sizeof update] <= 1)
        *ret = message[sizeof update] ? TLS_RECORD_KEY_UPDATE_BOTH : TLS_RECORD_KEY_UPDATE;
    else if (len > 0 && message[0] == MESSAGE_TICKET)
        *ret = TLS_RECORD_TICKET;
    else
        return -TLS_ERROR_UNEXPECTED;
    return 0;
}

/* What an opened record is, besides application data. */
static int meaning(const struct tls_direction *in, uint8_t type, const unsigned char *plain,
                   size_t len, enum tls_record_kind *ret)
{
    *ret = TLS_RECORD_DATA;
    if (type == TLS_APPLICATION_DATA)
        return 0;
    if (type == TLS_ALERT)
        return alert_read(in, plain, len, ret);
    if (type == TLS_HANDSHAKE && is_13(in))
        return message_read(plain, len, ret);
    return type == TLS_HANDSHAKE ? -TLS_ERROR_RENEGOTIATION : -TLS_ERROR_UNEXPECTED;
}

/* Takes the type, and the zeros behind it, off the end of an opened record of 1.3. Returns the
 * type, or an error. */
static int inner_type(const unsigned char *plain, size_t *len)
{
    size_t end = *len;
    while (end > 0 && plain[end - 1] == 0)
        end--;
    if (end == 0)
        return -TLS_ERROR_UNEXPECTED;
    *len = end - 1;
    return *len > TLS_PLAIN_MAX ? -TLS_ERROR_RECORD_TOO_LONG : plain[end - 1];
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
    unsigned char *plain = payload_open(in, run[0], run + TLS_HEAD_SIZE, &payload_len);
    if (!plain)
        return -TLS_ERROR_BAD_MAC;
    int type = is_13(in) ? inner_type(plain, &payload_len) : run[0];
    if (type < 0)
        return type;
    enum tls_record_kind kind;
    err = meaning(in, (uint8_t)type, plain, payload_len, &kind);
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
    unsigned char *plain = area + tls_record_head(out), *travels = area + TLS_HEAD_SIZE;
    size_t size = plain_len + tls_record_overhead(out);
    struct associated aad;
    if (is_13(out)) {
        plain[plain_len++] = (unsigned char)type;
        type = TLS_APPLICATION_DATA;
    }
    head_write(area, (uint8_t)type, size - TLS_HEAD_SIZE);
    associate(&aad, out, (uint8_t)type, size - TLS_HEAD_SIZE, plain_len);
    if (is_explicit(out))
        put_64(travels, out->sequence);
    aead_run(out, true, &aad, travels, plain, plain_len, plain + plain_len);
    out->sequence++;
    return size;
}

size_t tls_key_update_seal(struct tls_direction *out, unsigned char *area)
{
    static const unsigned char message[TLS_KEY_UPDATE_SIZE] = {MESSAGE_KEY_UPDATE, 0, 0, 1, 0};
    memcpy(area + tls_record_head(out), message, sizeof message);
    return tls_record_seal_in_place(out, TLS_HANDSHAKE, area, sizeof message);
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
