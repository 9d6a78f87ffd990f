/* identity_choice: which certificate a client of TLS 1.3 is shown. Those for the name that it asks
 * for come first; of 1.2, handshake_server.c decides by the same rule. */
#include <string.h>

#include "tls/handshake_state.h"
#include "tls/identity_build.h"

enum {
    ALGORITHMS_MAX = 3,
};

/* The signatures that a key can make in 1.3, where a curve has one (RFC 8446 section 4.2.3). */
static void algorithms_of(const struct tls_identity *identity,
                          gnutls_sign_algorithm_t ret[ALGORITHMS_MAX])
{
    static const gnutls_sign_algorithm_t rsa[ALGORITHMS_MAX] = {GNUTLS_SIGN_RSA_PSS_RSAE_SHA256,
                                                                GNUTLS_SIGN_RSA_PSS_RSAE_SHA384,
                                                                GNUTLS_SIGN_RSA_PSS_RSAE_SHA512};
    static const gnutls_sign_algorithm_t p256[ALGORITHMS_MAX] = {GNUTLS_SIGN_ECDSA_SECP256R1_SHA256,
                                                                 GNUTLS_SIGN_ECDSA_SHA256};
    static const gnutls_sign_algorithm_t p384[ALGORITHMS_MAX] = {GNUTLS_SIGN_ECDSA_SECP384R1_SHA384,
                                                                 GNUTLS_SIGN_ECDSA_SHA384};
    static const gnutls_sign_algorithm_t p521[ALGORITHMS_MAX] = {GNUTLS_SIGN_ECDSA_SECP521R1_SHA512,
                                                                 GNUTLS_SIGN_ECDSA_SHA512};
    int curve = tls_identity_curve(identity);
    memcpy(ret,
           curve == 0                 ? rsa
           : curve == BR_EC_secp256r1 ? p256
           : curve == BR_EC_secp384r1 ? p384
                                      : p521,
           sizeof rsa);
}

static bool verifies(gnutls_session_t session, const struct tls_identity *identity)
{
    gnutls_sign_algorithm_t own[ALGORITHMS_MAX], peers;
    algorithms_of(identity, own);
    for (size_t at = 0; gnutls_sign_algorithm_get_requested(session, at, &peers) == 0; at++)
        for (size_t i = 0; i < ALGORITHMS_MAX; i++)
            if (own[i] == peers && peers != GNUTLS_SIGN_UNKNOWN)
                return true;
    return false;
}

/* The first that is for the name, or of all without one, and that the client can verify. */
static const struct tls_identity *choose(gnutls_session_t session, const struct tls_identities *set,
                                         const char *name)
{
    for (size_t i = 0; i < tls_identities_count(set); i++) {
        const struct tls_identity *identity = tls_identities_at(set, i);
        if ((!name || tls_identity_named(identity, name)) && verifies(session, identity))
            return identity;
    }
    return NULL;
}

int identity_choose_13(gnutls_session_t session, const gnutls_datum_t *authorities,
                       int authority_count, const gnutls_pk_algorithm_t *keys, int key_count,
                       gnutls_pcert_st **pcerts, unsigned *pcert_count, gnutls_privkey_t *key)
{
    (void)authorities;
    (void)authority_count;
    (void)keys;
    (void)key_count;
    const struct tls_handshake *handshake = gnutls_session_get_ptr(session);
    const struct tls_identities *set = handshake->policy.identities;
    char name[TLS_NAME_SIZE];
    size_t size = sizeof name;
    unsigned type;
    const struct tls_identity *chosen = NULL;
    if (gnutls_server_name_get(session, name, &size, &type, 0) == 0)
        chosen = choose(session, set, name);
    if (!chosen)
        chosen = choose(session, set, NULL);
    if (!chosen)
        return -1;
    *pcerts = chosen->pcerts;
    *pcert_count = (unsigned)chosen->chain_len;
    *key = chosen->privkey;
    return 0;
}
