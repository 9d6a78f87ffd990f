/* identity: one chain and its key, from PEM, checked against each other. identity_set.c keeps
 * several. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/crypto.h"
#include "tls/identity_build.h"
#include "tls/names.h"
#include "tls/pem.h"

enum {
    DAYS_TO_1970 = 719528, /* BearSSL counts from the year 0 */
    SECONDS_PER_DAY = 86400,
};

/* ---- the chain ---- */

static int chain_take(struct tls_identity *identity, struct pem *pem)
{
    for (size_t i = 0; i < pem->count; i++) {
        struct pem_object *object = &pem->objects[i];
        if (strcmp(object->name, "CERTIFICATE") != 0 &&
            strcmp(object->name, "X509 CERTIFICATE") != 0)
            continue;
        if (identity->chain_len == TLS_CHAIN_MAX)
            return -E2BIG;
        identity->chain[identity->chain_len++] = (br_x509_certificate){object->bytes, object->len};
        object->bytes = NULL;
        object->len = 0;
    }
    return identity->chain_len > 0 ? 0 : -ENOENT;
}

static size_t chain_size(const struct tls_identity *identity)
{
    size_t sum = 0;
    for (size_t i = 0; i < identity->chain_len; i++)
        sum += identity->chain[i].data_len;
    return sum;
}

static void certificate_decode(br_x509_decoder_context *decoder, const br_x509_certificate *der)
{
    br_x509_decoder_init(decoder, NULL, NULL);
    br_x509_decoder_push(decoder, der->data, der->data_len);
}

static int read_chain(struct tls_identity *identity, const char *pem_text, size_t len,
                      const char *file, char *why, size_t why_size)
{
    struct pem pem;
    int err = pem_read(&pem, pem_text, len);
    if (err == 0) {
        err = chain_take(identity, &pem);
        pem_free(&pem);
    }
    if (err == -ENOENT)
        snprintf(why, why_size,
                 "%s: has no certificate; a PEM file has lines -----BEGIN "
                 "CERTIFICATE-----",
                 file);
    else if (err == -E2BIG)
        snprintf(why, why_size,
                 "%s: has more than %d certificates; only the server's own and "
                 "those between it and the root belong there",
                 file, TLS_CHAIN_MAX);
    else if (err < 0)
        snprintf(why, why_size, "%s: is no PEM file (RFC 7468), or is cut off", file);
    if (err < 0 || chain_size(identity) <= TLS_CHAIN_BYTES_MAX)
        return err;
    snprintf(why, why_size,
             "%s: its certificates have %zu bytes, and each handshake sends them all; at most %d, "
             "and a usual chain has 2,000 to 5,000",
             file, chain_size(identity), TLS_CHAIN_BYTES_MAX);
    return -E2BIG;
}

/* ---- the key ---- */

/* Returns 0 when there is a key of a kind that can sign, or what is wrong. */
static const char *key_take(struct tls_identity *identity, const struct pem *pem)
{
    for (size_t i = 0; i < pem->count; i++) {
        const struct pem_object *object = &pem->objects[i];
        if (strcmp(object->name, "ENCRYPTED PRIVATE KEY") == 0)
            return "is encrypted; `openssl pkey -in KEY -out KEY.plain` writes it in the clear";
        if (strcmp(object->name, "PRIVATE KEY") != 0 &&
            strcmp(object->name, "EC PRIVATE KEY") != 0 &&
            strcmp(object->name, "RSA PRIVATE KEY") != 0)
            continue;
        if (object->len > TLS_KEY_DER_MAX)
            return "is longer than an RSA key of at most 4096 bits";
        br_skey_decoder_init(&identity->key);
        br_skey_decoder_push(&identity->key, object->bytes, object->len);
        identity->key_type = br_skey_decoder_key_type(&identity->key);
        /* BearSSL writes past its ends with a longer one. */
        bool fits = identity->key_type != BR_KEYTYPE_RSA ||
                    br_skey_decoder_get_rsa(&identity->key)->n_bitlen <= TLS_RSA_BITS_MAX;
        if (fits && (identity->key_type == BR_KEYTYPE_RSA || identity->key_type == BR_KEYTYPE_EC))
            return NULL;
        return "is neither RSA of at most 4096 bits nor ECDSA on P-256, P-384 or P-521, or is "
               "encrypted; `openssl ecparam -genkey -name prime256v1` makes one that is";
    }
    return "has no private key; a PEM file has a line -----BEGIN PRIVATE KEY-----";
}

static int read_key(struct tls_identity *identity, const char *pem_text, size_t len,
                    const char *file, char *why, size_t why_size)
{
    struct pem pem;
    if (pem_read(&pem, pem_text, len) < 0) {
        snprintf(why, why_size, "%s: is no PEM file (RFC 7468), or is cut off", file);
        return -EINVAL;
    }
    const char *trouble = key_take(identity, &pem);
    pem_free(&pem);
    if (!trouble)
        return 0;
    snprintf(why, why_size, "%s: %s", file, trouble);
    return -EINVAL;
}

/* ---- do they belong together ---- */

static bool ec_key_of(const br_ec_private_key *key, const br_ec_public_key *certified)
{
    unsigned char point[BR_EC_KBUF_PUB_MAX_SIZE];
    br_ec_public_key public;
    return key->curve == certified->curve &&
           br_ec_compute_pub(tls_crypto()->ec, &public, point, key) == certified->qlen &&
           memcmp(point, certified->q, certified->qlen) == 0;
}

static bool rsa_key_of(const br_rsa_private_key *key, const br_rsa_public_key *certified)
{
    unsigned char modulus[TLS_RSA_BITS_MAX / 8];
    /* The default one of BearSSL 0.6 has no room for 4096 bits. */
    br_rsa_compute_modulus compute = br_rsa_i15_compute_modulus;
    const unsigned char *n = certified->n;
    size_t len = certified->nlen;
    while (len > 0 && n[0] == 0) {
        n++;
        len--;
    }
    return compute(NULL, key) == len && len <= sizeof modulus && compute(modulus, key) == len &&
           memcmp(modulus, n, len) == 0;
}

static bool key_of(const struct tls_identity *identity, const br_x509_pkey *certified)
{
    if (identity->key_type != certified->key_type)
        return false;
    return identity->key_type == BR_KEYTYPE_EC
               ? ec_key_of(br_skey_decoder_get_ec(&identity->key), &certified->key.ec)
               : rsa_key_of(br_skey_decoder_get_rsa(&identity->key), &certified->key.rsa);
}

static int check_pair(struct tls_identity *identity, const char *chain_file, const char *key_file,
                      char *why, size_t why_size)
{
    br_x509_decoder_context decoder;
    certificate_decode(&decoder, &identity->chain[0]);
    const br_x509_pkey *certified = br_x509_decoder_get_pkey(&decoder);
    if (!certified) {
        snprintf(
            why, why_size,
            "%s: the first certificate cannot be read (BearSSL error %d); its key is RSA of at "
            "most 4096 bits, or ECDSA on P-256, P-384 or P-521",
            chain_file, br_x509_decoder_last_error(&decoder));
        return -EINVAL;
    }
    if (!key_of(identity, certified)) {
        snprintf(why, why_size,
                 "%s: is not the key of the first certificate in %s; the server's own certificate "
                 "comes first, and each with its own key",
                 key_file, chain_file);
        return -EINVAL;
    }
    identity->expires_s = ((int64_t)decoder.notafter_days - DAYS_TO_1970) * SECONDS_PER_DAY +
                          decoder.notafter_seconds;
    return 0;
}

/* The same for GnuTLS. What is behind the first certificate is sent, and not looked into. */
static int read_again(struct tls_identity *identity, const struct identity_source *source)
{
    const gnutls_datum_t key = {(unsigned char *)(uintptr_t)source->key_pem,
                                (unsigned)source->key_len};
    identity->pcerts = calloc(identity->chain_len, sizeof *identity->pcerts);
    int err = identity->pcerts ? gnutls_privkey_init(&identity->privkey) : GNUTLS_E_MEMORY_ERROR;
    if (err == 0)
        err = gnutls_privkey_import_x509_raw(identity->privkey, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    for (size_t i = 0; i < identity->chain_len && err == 0; i++) {
        const gnutls_datum_t der = {identity->chain[i].data, (unsigned)identity->chain[i].data_len};
        if (i == 0)
            err = gnutls_pcert_import_x509_raw(&identity->pcerts[i], &der, GNUTLS_X509_FMT_DER, 0);
        else
            identity->pcerts[i] = (gnutls_pcert_st){.cert = der, .type = GNUTLS_CRT_X509};
    }
    return err;
}

static int read_names(struct tls_identity *identity)
{
    size_t size = identity->chain[0].data_len;
    identity->names = malloc(size);
    if (!identity->names)
        return -ENOMEM;
    return names_of_certificate(identity->chain[0].data, size, identity->names, size,
                                &identity->names_len);
}

int identity_build(struct tls_identity *identity, const struct identity_source *source, char *why,
                   size_t why_size)
{
    memset(identity, 0, sizeof *identity);
    int err = read_chain(identity, source->chain_pem, source->chain_len, source->chain_name, why,
                         why_size);
    if (err == 0)
        err = read_key(identity, source->key_pem, source->key_len, source->key_name, why, why_size);
    if (err == 0)
        err = check_pair(identity, source->chain_name, source->key_name, why, why_size);
    if (err == 0 && (err = read_names(identity)) < 0)
        snprintf(why, why_size, "%s: its names cannot be read", source->chain_name);
    int again = err == 0 ? read_again(identity, source) : 0;
    if (again < 0) {
        snprintf(why, why_size, "%s and its key: GnuTLS cannot use them: %s", source->chain_name,
                 gnutls_strerror(again));
        err = -EINVAL;
    }
    if (err < 0)
        identity_done(identity);
    return err;
}

void identity_done(struct tls_identity *identity)
{
    for (size_t i = 0; i < identity->chain_len; i++) {
        free(identity->chain[i].data);
    }
    if (identity->pcerts)
        gnutls_pcert_deinit(&identity->pcerts[0]);
    free(identity->pcerts);
    if (identity->privkey)
        gnutls_privkey_deinit(identity->privkey);
    free(identity->names);
    explicit_bzero(identity, sizeof *identity);
}

bool tls_identity_named(const struct tls_identity *identity, const char *server_name)
{
    for (size_t at = 0; at < identity->names_len; at += strlen(identity->names + at) + 1)
        if (names_match(identity->names + at, server_name))
            return true;
    return false;
}

int tls_identity_curve(const struct tls_identity *identity)
{
    return identity->key_type == BR_KEYTYPE_EC ? br_skey_decoder_get_ec(&identity->key)->curve : 0;
}

/* ---- a client's trust in one certificate ---- */

struct tls_trust {
    struct tls_identity chain;
};

int tls_trust_create(struct tls_trust **ret, const char *pem, size_t len, const char *name,
                     char *why, size_t why_size)
{
    struct tls_trust *trust = calloc(1, sizeof *trust);
    if (!trust)
        return -ENOMEM;
    int err = read_chain(&trust->chain, pem, len, name, why, why_size);
    if (err < 0)
        tls_trust_free(trust);
    else
        *ret = trust;
    return err;
}

void tls_trust_free(struct tls_trust *trust)
{
    if (trust)
        identity_done(&trust->chain);
    free(trust);
}

bool tls_trusts(const struct tls_trust *trust, const void *der, size_t len)
{
    const br_x509_certificate *own = &trust->chain.chain[0];
    return own->data_len == len && memcmp(own->data, der, len) == 0;
}
