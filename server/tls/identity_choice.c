/* identity_choice: which certificate a client is shown. Those for the name that it asks for come
 * first. */
#include <string.h>

#include "tls/hello.h"
#include "tls/identity_build.h"

enum {
    ALGORITHMS_MAX = 6,
};

/* The signatures that an EC key can make. In 1.3 each curve has one (RFC 8446 section 4.2.3), in
 * 1.2 it goes with any of these hashes. */
static void ecdsa_of(int curve, bool is_13, gnutls_sign_algorithm_t ret[ALGORITHMS_MAX])
{
    static const gnutls_sign_algorithm_t any[ALGORITHMS_MAX] = {
        GNUTLS_SIGN_ECDSA_SHA256,           GNUTLS_SIGN_ECDSA_SHA384,
        GNUTLS_SIGN_ECDSA_SHA512,           GNUTLS_SIGN_ECDSA_SECP256R1_SHA256,
        GNUTLS_SIGN_ECDSA_SECP384R1_SHA384, GNUTLS_SIGN_ECDSA_SECP521R1_SHA512};
    size_t at = curve == BR_EC_secp256r1 ? 0 : curve == BR_EC_secp384r1 ? 1 : 2;
    if (!is_13) {
        memcpy(ret, any, sizeof any);
        return;
    }
    ret[0] = any[at];
    ret[1] = any[at + 3];
}

static void rsa_of(bool is_13, gnutls_sign_algorithm_t ret[ALGORITHMS_MAX])
{
    static const gnutls_sign_algorithm_t any[ALGORITHMS_MAX] = {
        GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384,
        GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, GNUTLS_SIGN_RSA_SHA256,
        GNUTLS_SIGN_RSA_SHA384,          GNUTLS_SIGN_RSA_SHA512};
    memcpy(ret, any, (is_13 ? 3 : 6) * sizeof any[0]);
}

static bool verifies(gnutls_session_t session, const struct tls_identity *identity)
{
    const struct tls_identity_choice *choice = gnutls_db_get_ptr(session);
    bool is_13 = gnutls_protocol_get_version(session) == GNUTLS_TLS1_3;
    gnutls_sign_algorithm_t own[ALGORITHMS_MAX] = {GNUTLS_SIGN_UNKNOWN}, peers;
    int curve = tls_identity_curve(identity);
    if (!is_13 && (curve == 0 ? choice->no_rsa_12 : choice->no_ecdsa_12))
        return false;
    if (curve == 0)
        rsa_of(is_13, own);
    else
        ecdsa_of(curve, is_13, own);
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

int identity_choose(gnutls_session_t session, const gnutls_datum_t *authorities,
                    int authority_count, const gnutls_pk_algorithm_t *keys, int key_count,
                    gnutls_pcert_st **pcerts, unsigned *pcert_count, gnutls_privkey_t *key)
{
    (void)authorities;
    (void)authority_count;
    (void)keys;
    (void)key_count;
    const struct tls_identity_choice *choice = gnutls_db_get_ptr(session);
    const struct tls_identities *set = choice->identities;
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
