/* handshake_result: what came of a handshake: keys, secrets, and what was agreed on. */
#include <assert.h>
#include <bearssl.h>
#include <string.h>

#include "tls/handshake_state.h"

enum {
    PLAIN_LOG2_MIN = 6, /* RFC 8449 */
    PLAIN_LOG2_MAX = 14,
};

bool tls_handshake_exchanged(const struct tls_handshake *handshake)
{
    return handshake->exchanged;
}

enum tls_error tls_handshake_error(const struct tls_handshake *handshake)
{
    return (enum tls_error)handshake->error;
}

bool tls_handshake_resumed(const struct tls_handshake *handshake)
{
    return handshake->session && gnutls_session_is_resumed(handshake->session);
}

/* ---- keys ---- */

static enum tls_cipher cipher_of(gnutls_session_t session)
{
    gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(session);
    return cipher == GNUTLS_CIPHER_AES_128_GCM   ? TLS_AES_128_GCM
           : cipher == GNUTLS_CIPHER_AES_256_GCM ? TLS_AES_256_GCM
                                                 : TLS_CHACHA20_POLY1305;
}

/* A smaller limit is the peer's wish (RFC 6066 section 4, RFC 8449). */
static uint8_t plain_log2(gnutls_session_t session)
{
    size_t most = gnutls_record_get_max_size(session);
    uint8_t log2 = PLAIN_LOG2_MIN;
    while (log2 < PLAIN_LOG2_MAX && (1U << (log2 + 1)) <= most)
        log2++;
    return log2;
}

/* The sequence number counts Finished of 1.2, and tickets of 1.3. */
static void direction_of(gnutls_session_t session, bool reads, const uint8_t *secret,
                         struct tls_direction *ret)
{
    gnutls_datum_t iv, key;
    unsigned char sequence[8];
    int err = gnutls_record_get_state(session, reads, NULL, &iv, &key, sequence);
    assert(err == 0);
    if (gnutls_protocol_get_version(session) == GNUTLS_TLS1_3)
        tls_secret_keys(secret, cipher_of(session), ret);
    else
        tls_direction_init(ret, cipher_of(session), key.data, iv.data);
    for (size_t i = 0; i < sizeof sequence; i++)
        ret->sequence = ret->sequence << 8 | sequence[i];
}

void tls_handshake_keys(struct tls_handshake *handshake, struct tls_keys *ret)
{
    assert(tls_handshake_progress(handshake) == TLS_DONE);
    direction_of(handshake->session, true, handshake->secrets.in, &ret->in);
    direction_of(handshake->session, false, handshake->secrets.out, &ret->out);
    ret->out.plain_log2 = plain_log2(handshake->session);
}

void tls_handshake_line(struct tls_handshake *handshake, union tls_line *ret)
{
    struct tls_keys keys;
    tls_handshake_keys(handshake, &keys);
    tls_line_keep(ret, &keys, handshake_is_13(handshake) ? &handshake->secrets : NULL);
    tls_keys_wipe(&keys);
}

/* ---- what was agreed on ---- */

uint16_t tls_handshake_suite(const struct tls_handshake *handshake)
{
    return tls_suite_of(cipher_of(handshake->session), handshake_is_13(handshake),
                        gnutls_kx_get(handshake->session) == GNUTLS_KX_ECDHE_RSA);
}

int tls_handshake_curve(const struct tls_handshake *handshake)
{
    if (!handshake_is_13(handshake) && tls_handshake_resumed(handshake))
        return 0;
    gnutls_group_t group = gnutls_group_get(handshake->session);
    return group == GNUTLS_GROUP_X25519      ? BR_EC_curve25519
           : group == GNUTLS_GROUP_SECP384R1 ? BR_EC_secp384r1
                                             : BR_EC_secp256r1;
}

int tls_handshake_protocol(const struct tls_handshake *handshake)
{
    gnutls_datum_t name;
    if (gnutls_alpn_get_selected_protocol(handshake->session, &name) < 0)
        return -1;
    for (size_t i = 0; i < handshake->protocol_count; i++)
        if (strlen(handshake->protocols[i]) == name.size &&
            memcmp(handshake->protocols[i], name.data, name.size) == 0)
            return (int)i;
    return -1;
}
