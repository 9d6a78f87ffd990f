/* jwt_key: secrets and public keys, read for the verification of tokens.
 *
 *   SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, in DER):
 *     30 len │ 30 len │ 06 len algorithm │ parameters │ 03 len │ 00 │ key
 *                                                        key of RSA: 30 len │ 02 len n │ 02 len e
 *                                                        of an EC:   04 │ x │ y
 */
#include "auth/jwt.h"

#include <errno.h>
#include <string.h>

#include "tls/pem.h"

enum {
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OID = 0x06,
    DER_SEQUENCE = 0x30,
    RSA_BYTES_MIN = 256, /* 2048 bits */
    EC_UNCOMPRESSED = 0x04,
};

static int kid_set(struct jwt_key *key, enum jwt_algorithm algorithm, struct span kid)
{
    *key = (struct jwt_key){.algorithm = algorithm};
    if (kid.len > JWT_KID_MAX)
        return -EINVAL;
    key->kid_len = (uint8_t)kid.len;
    if (kid.len > 0)
        memcpy(key->kid, kid.ptr, kid.len);
    return 0;
}

int jwt_key_hs256(struct jwt_key *ret, struct span kid, struct span secret)
{
    if (secret.len == 0 || secret.len > JWT_SECRET_MAX || kid_set(ret, JWT_HS256, kid) < 0)
        return -EINVAL;
    br_hmac_key_init(&ret->hmac, &br_sha256_vtable, secret.ptr, secret.len);
    return 0;
}

/* Takes an element of this tag off the front. Returns false when there is none. */
static bool der_take(struct span *der, uint8_t tag, struct span *ret)
{
    const uint8_t *at = (const uint8_t *)der->ptr;
    if (der->len < 2 || at[0] != tag)
        return false;
    size_t len = at[1], head = 2;
    if (len >= 0x80) {
        size_t bytes = len & 0x7f;
        if (bytes == 0 || bytes > 2 || der->len < 2 + bytes)
            return false;
        head += bytes;
        len = bytes == 1 ? at[2] : (size_t)at[2] << 8 | at[3];
    }
    if (der->len - head < len)
        return false;
    *ret = span_of(der->ptr + head, len);
    *der = span_skip(*der, head + len);
    return true;
}

/* A number that is not negative, without the zeros in front of it. */
static bool number_take(struct span *der, struct span *ret)
{
    if (!der_take(der, DER_INTEGER, ret) || ret->len == 0 || (uint8_t)ret->ptr[0] >= 0x80)
        return false;
    while (ret->len > 0 && ret->ptr[0] == 0)
        *ret = span_skip(*ret, 1);
    return ret->len > 0;
}

static bool rsa_read(struct jwt_key *key, struct span bits)
{
    struct span sequence, n, e;
    if (!der_take(&bits, DER_SEQUENCE, &sequence) || bits.len > 0 || !number_take(&sequence, &n) ||
        !number_take(&sequence, &e) || sequence.len > 0)
        return false;
    if (n.len < RSA_BYTES_MIN || n.len > sizeof key->n || e.len > sizeof key->e)
        return false;
    memcpy(key->n, n.ptr, n.len);
    memcpy(key->e, e.ptr, e.len);
    key->n_len = n.len;
    key->e_len = e.len;
    return true;
}

static bool point_read(struct jwt_key *key, struct span bits)
{
    if (bits.len != sizeof key->point || bits.ptr[0] != EC_UNCOMPRESSED)
        return false;
    memcpy(key->point, bits.ptr, bits.len);
    return true;
}

static bool info_read(struct jwt_key *key, struct span der)
{
    static const struct span rsa = SPAN_INIT("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01");
    static const struct span ec = SPAN_INIT("\x2a\x86\x48\xce\x3d\x02\x01");
    static const struct span p256 = SPAN_INIT("\x2a\x86\x48\xce\x3d\x03\x01\x07");
    struct span info, kind, oid, curve, bits;
    if (!der_take(&der, DER_SEQUENCE, &info) || der.len > 0 ||
        !der_take(&info, DER_SEQUENCE, &kind) || !der_take(&kind, DER_OID, &oid) ||
        !der_take(&info, DER_BITS, &bits) || info.len > 0 || bits.len == 0 || bits.ptr[0] != 0)
        return false;
    bits = span_skip(bits, 1);
    if (key->algorithm == JWT_RS256)
        return span_equal(oid, rsa) && rsa_read(key, bits);
    return span_equal(oid, ec) && der_take(&kind, DER_OID, &curve) && span_equal(curve, p256) &&
           point_read(key, bits);
}

static bool certificate_read(struct jwt_key *key, const struct pem_object *object)
{
    br_x509_decoder_context decoder;
    br_x509_decoder_init(&decoder, NULL, NULL);
    br_x509_decoder_push(&decoder, object->bytes, object->len);
    const br_x509_pkey *public = br_x509_decoder_get_pkey(&decoder);
    if (!public)
        return false;
    if (key->algorithm == JWT_ES256)
        return public->key_type == BR_KEYTYPE_EC && public->key.ec.curve == BR_EC_secp256r1 &&
               point_read(key, span_of((char *)public->key.ec.q, public->key.ec.qlen));
    if (public->key_type != BR_KEYTYPE_RSA)
        return false;
    const br_rsa_public_key *rsa = &public->key.rsa;
    if (rsa->nlen < RSA_BYTES_MIN || rsa->nlen > sizeof key->n || rsa->elen > sizeof key->e)
        return false;
    memcpy(key->n, rsa->n, rsa->nlen);
    memcpy(key->e, rsa->e, rsa->elen);
    key->n_len = rsa->nlen;
    key->e_len = rsa->elen;
    return true;
}

int jwt_key_public(struct jwt_key *ret, enum jwt_algorithm algorithm, struct span kid,
                   struct span pem_text)
{
    struct pem pem;
    bool found = false;
    if (algorithm == JWT_HS256 || kid_set(ret, algorithm, kid) < 0)
        return -EINVAL;
    int err = pem_read(&pem, pem_text.ptr, pem_text.len);
    if (err < 0)
        return err;
    for (size_t i = 0; i < pem.count && !found; i++) {
        const struct pem_object *object = &pem.objects[i];
        if (strcmp(object->name, "PUBLIC KEY") == 0)
            found = info_read(ret, span_of((const char *)object->bytes, object->len));
        else if (strcmp(object->name, "CERTIFICATE") == 0)
            found = certificate_read(ret, object);
    }
    pem_free(&pem);
    return found ? 0 : -EINVAL;
}
