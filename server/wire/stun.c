#include "wire/stun.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "wire/octets.h"

#define MAGIC           UINT32_C(0x2112a442)
#define FINGERPRINT_XOR UINT32_C(0x5354554e)

enum {
    BINDING_REQUEST = 0x0001,
    BINDING_SUCCESS = 0x0101,
    ATTRIBUTE_HEAD = 4,
    INTEGRITY_SIZE = ATTRIBUTE_HEAD + SHA1_DIGEST_SIZE,
    FINGERPRINT_SIZE = ATTRIBUTE_HEAD + 4,
    OPTIONAL = 0x8000, /* who does not know an attribute from here on passes over it */
    FAMILY_IPV4 = 1,
    FAMILY_IPV6 = 2,
};

enum attribute {
    USERNAME = 0x0006,
    MESSAGE_INTEGRITY = 0x0008,
    XOR_MAPPED_ADDRESS = 0x0020,
    PRIORITY = 0x0024,
    USE_CANDIDATE = 0x0025,
    FINGERPRINT = 0x8028,
    ICE_CONTROLLED = 0x8029,
    ICE_CONTROLLING = 0x802a,
};

static size_t padded(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* ---- integrity and fingerprint ---- */

void stun_key_init(struct stun_key *key, struct span password)
{
    hmac_sha1_set_key(&key->hmac, password.len, (const uint8_t *)password.ptr);
}

/* HMAC of the message up to `len`, as if it ended behind the attribute that begins there. */
static void integrity_of(uint8_t ret[SHA1_DIGEST_SIZE], const uint8_t *bytes, size_t len,
                         struct stun_key *key)
{
    uint8_t head[4] = {bytes[0], bytes[1]};
    octets_put16(head + 2, (uint16_t)(len + INTEGRITY_SIZE - STUN_HEAD_SIZE));
    hmac_sha1_update(&key->hmac, sizeof head, head);
    hmac_sha1_update(&key->hmac, len - sizeof head, bytes + sizeof head);
    hmac_sha1_digest(&key->hmac, SHA1_DIGEST_SIZE, ret);
}

static uint32_t fingerprint_of(const uint8_t *bytes, size_t len)
{
    return (uint32_t)crc32(0, bytes, (uInt)len) ^ FINGERPRINT_XOR;
}

bool stun_authentic(const struct stun_request *request, const uint8_t *bytes, struct stun_key *key)
{
    uint8_t expected[SHA1_DIGEST_SIZE], differs = 0;
    const uint8_t *said = bytes + request->integrity_at + ATTRIBUTE_HEAD;
    assert(request->integrity_at >= STUN_HEAD_SIZE);
    integrity_of(expected, bytes, request->integrity_at, key);
    for (size_t i = 0; i < sizeof expected; i++)
        differs |= (uint8_t)(expected[i] ^ said[i]);
    return differs == 0;
}

/* ---- reading ---- */

/* A fixed size that an attribute must have. */
static int sized(size_t size, size_t expected)
{
    return size == expected ? 0 : STUN_ATTRIBUTE;
}

static int username_take(struct stun_request *ret, const uint8_t *value, size_t size)
{
    if (ret->username.ptr || size == 0 || size > STUN_USERNAME_MAX)
        return STUN_ATTRIBUTE;
    ret->username = span_of((const char *)value, size);
    return 0;
}

static int attribute_take(struct stun_request *ret, uint16_t type, const uint8_t *value,
                          size_t size)
{
    switch (type) {
    case USERNAME:
        return username_take(ret, value, size);
    case PRIORITY:
        if (size == 4)
            ret->priority = octets_get32(value);
        return sized(size, 4);
    case USE_CANDIDATE:
        ret->use_candidate = true;
        return sized(size, 0);
    case ICE_CONTROLLING:
        ret->controlling = true;
        return sized(size, 8);
    case ICE_CONTROLLED:
        return sized(size, 8);
    default:
        return type < OPTIONAL ? STUN_UNKNOWN : 0;
    }
}

/* The attributes ahead of the integrity; sets where that begins. */
static int attributes_read(struct stun_request *ret, const uint8_t *bytes, size_t len)
{
    size_t at = STUN_HEAD_SIZE;
    while (len - at >= ATTRIBUTE_HEAD) {
        uint16_t type = octets_get16(bytes + at);
        size_t size = octets_get16(bytes + at + 2);
        if (padded(size) > len - at - ATTRIBUTE_HEAD)
            return STUN_LENGTH;
        if (type == MESSAGE_INTEGRITY) {
            ret->integrity_at = at;
            return sized(size, SHA1_DIGEST_SIZE);
        }
        if (type == FINGERPRINT)
            return STUN_MISSING;
        int err = attribute_take(ret, type, bytes + at + ATTRIBUTE_HEAD, size);
        if (err < 0)
            return err;
        at += ATTRIBUTE_HEAD + padded(size);
    }
    return at == len ? STUN_MISSING : STUN_LENGTH;
}

/* Behind the integrity is the fingerprint, and nothing else: whatever lay between them would be
 * vouched for by nobody. */
static int fingerprint_check(const uint8_t *bytes, size_t at, size_t len)
{
    if (at == len)
        return STUN_MISSING;
    if (len - at != FINGERPRINT_SIZE || octets_get16(bytes + at) != FINGERPRINT ||
        octets_get16(bytes + at + 2) != 4)
        return STUN_ATTRIBUTE;
    return octets_get32(bytes + at + ATTRIBUTE_HEAD) == fingerprint_of(bytes, at)
               ? 0
               : STUN_FINGERPRINT;
}

int stun_read(struct stun_request *ret, const uint8_t *bytes, size_t len)
{
    struct stun_request request = {.transaction = bytes + 8};
    if (len < STUN_HEAD_SIZE || octets_get16(bytes) != BINDING_REQUEST ||
        octets_get32(bytes + 4) != MAGIC)
        return STUN_OTHER;
    if (len > STUN_REQUEST_MAX || len % 4 != 0 || octets_get16(bytes + 2) != len - STUN_HEAD_SIZE)
        return STUN_LENGTH;
    int err = attributes_read(&request, bytes, len);
    if (err < 0)
        return err;
    err = fingerprint_check(bytes, request.integrity_at + INTEGRITY_SIZE, len);
    if (err < 0)
        return err;
    if (!request.username.ptr)
        return STUN_MISSING;
    *ret = request;
    return 0;
}

/* ---- writing ---- */

static void head_write(uint8_t *buf, uint16_t type, const uint8_t *transaction)
{
    octets_put16(buf, type);
    octets_put32(buf + 4, MAGIC);
    memcpy(buf + 8, transaction, STUN_TRANSACTION_SIZE);
}

/* Returns where the value goes. */
static uint8_t *attribute_write(uint8_t *buf, size_t *at, enum attribute type, size_t size)
{
    uint8_t *value = buf + *at + ATTRIBUTE_HEAD;
    octets_put16(buf + *at, (uint16_t)type);
    octets_put16(buf + *at + 2, (uint16_t)size);
    memset(value, 0, padded(size));
    *at += ATTRIBUTE_HEAD + padded(size);
    return value;
}

/* Integrity, length and fingerprint: the end of a message. */
static size_t message_end(uint8_t *buf, size_t at, struct stun_key *key)
{
    size_t integrity_at = at;
    uint8_t *hmac = attribute_write(buf, &at, MESSAGE_INTEGRITY, SHA1_DIGEST_SIZE);
    integrity_of(hmac, buf, integrity_at, key);
    octets_put16(buf + 2, (uint16_t)(at + FINGERPRINT_SIZE - STUN_HEAD_SIZE));
    uint32_t crc = fingerprint_of(buf, at);
    octets_put32(attribute_write(buf, &at, FINGERPRINT, 4), crc);
    return at;
}

/* The address of RFC 8489 section 14.2: xor with the magic number and the transaction. */
static void address_write(uint8_t *buf, size_t *at, const struct in6_addr *address, uint16_t port)
{
    bool ipv4 = IN6_IS_ADDR_V4MAPPED(address);
    size_t size = ipv4 ? 4 : 16;
    uint8_t *value = attribute_write(buf, at, XOR_MAPPED_ADDRESS, 4 + size);
    value[1] = ipv4 ? FAMILY_IPV4 : FAMILY_IPV6;
    octets_put16(value + 2, (uint16_t)(port ^ MAGIC >> 16));
    const uint8_t *from = address->s6_addr + 16 - size;
    for (size_t i = 0; i < size; i++)
        value[4 + i] = from[i] ^ buf[4 + i];
}

size_t stun_answer(uint8_t buf[STUN_ANSWER_MAX], const struct stun_request *request,
                   const struct in6_addr *address, uint16_t port, struct stun_key *key)
{
    size_t at = STUN_HEAD_SIZE;
    head_write(buf, BINDING_SUCCESS, request->transaction);
    address_write(buf, &at, address, port);
    at = message_end(buf, at, key);
    assert(at <= STUN_ANSWER_MAX);
    return at;
}

/* The address is not looked at: who asked knows whether it was answered, and that is all. */
bool stun_answers(const uint8_t *bytes, size_t len, const uint8_t *transaction,
                  struct stun_key *key)
{
    struct stun_request answer = {0};
    if (len < STUN_HEAD_SIZE + INTEGRITY_SIZE + FINGERPRINT_SIZE || len > STUN_ANSWER_MAX ||
        octets_get16(bytes) != BINDING_SUCCESS || octets_get32(bytes + 4) != MAGIC ||
        octets_get16(bytes + 2) != len - STUN_HEAD_SIZE ||
        memcmp(bytes + 8, transaction, STUN_TRANSACTION_SIZE) != 0)
        return false;
    answer.integrity_at = len - INTEGRITY_SIZE - FINGERPRINT_SIZE;
    return octets_get16(bytes + answer.integrity_at) == MESSAGE_INTEGRITY &&
           fingerprint_check(bytes, answer.integrity_at + INTEGRITY_SIZE, len) == 0 &&
           stun_authentic(&answer, bytes, key);
}

int stun_write(uint8_t *buf, size_t size, const struct stun_request *request, struct stun_key *key)
{
    static const uint8_t tie_breaker[8]; /* a lite peer has no role to dispute */
    size_t at = STUN_HEAD_SIZE;
    size_t most = STUN_HEAD_SIZE + ATTRIBUTE_HEAD + padded(request->username.len) +
                  (ATTRIBUTE_HEAD + 4) + (ATTRIBUTE_HEAD + sizeof tie_breaker) + ATTRIBUTE_HEAD +
                  INTEGRITY_SIZE + FINGERPRINT_SIZE;
    if (most > size || request->username.len > STUN_USERNAME_MAX)
        return -ENOBUFS;
    head_write(buf, BINDING_REQUEST, request->transaction);
    memcpy(attribute_write(buf, &at, USERNAME, request->username.len), request->username.ptr,
           request->username.len);
    octets_put32(attribute_write(buf, &at, PRIORITY, 4), request->priority);
    if (request->controlling)
        memcpy(attribute_write(buf, &at, ICE_CONTROLLING, sizeof tie_breaker), tie_breaker,
               sizeof tie_breaker);
    if (request->use_candidate)
        attribute_write(buf, &at, USE_CANDIDATE, 0);
    return (int)message_end(buf, at, key);
}
