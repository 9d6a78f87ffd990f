/* handshake_server: the server's side of a handshake: which certificate, its signature, and
 * sessions. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tls/crypto.h"
#include "tls/handshake_state.h"

struct tls_server {
    br_ssl_server_context template; /* ready but for what belongs to one handshake */
    struct tls_server_config config;
    struct server_13 *modern; /* NULL: 1.3 is not spoken */
};

/* ---- which certificate ---- */

/* The hash to sign with, or 0 when the client verifies no signature of this key. SHA-1 is not among
 * them. */
static int signature_hash(const br_ssl_server_context *server, const struct tls_identity *identity)
{
    static const int preferred[] = {br_sha256_ID, br_sha384_ID, br_sha512_ID};
    static const int preferred_p384[] = {br_sha384_ID, br_sha512_ID, br_sha256_ID};
    const int *order = tls_identity_curve(identity) == BR_EC_secp384r1 ? preferred_p384 : preferred;
    uint32_t hashes = br_ssl_server_get_client_hashes(server);
    unsigned shift = identity->key_type == BR_KEYTYPE_EC ? 8 : 0;
    for (size_t i = 0; i < 3; i++)
        if (hashes >> (shift + (unsigned)order[i]) & 1)
            return order[i];
    return 0;
}

static bool suite_is_for(const br_suite_translated suite, const struct tls_identity *identity)
{
    unsigned exchange = suite[1] >> 12;
    return exchange ==
           (identity->key_type == BR_KEYTYPE_EC ? BR_SSLKEYX_ECDHE_ECDSA : BR_SSLKEYX_ECDHE_RSA);
}

/* The suite and hash for an identity with the client's suite at `index`. */
static bool try(const br_ssl_server_context *server, size_t index,
                const struct tls_identity *identity, br_ssl_server_choices *choices)
{
    size_t count;
    const br_suite_translated *suites = br_ssl_server_get_client_suites(server, &count);
    int hash = signature_hash(server, identity);
    if (hash == 0 || !suite_is_for(suites[index], identity))
        return false;
    *choices = (br_ssl_server_choices){
        .cipher_suite = suites[index][0],
        .algo_id = 0xff00U + (unsigned)hash,
        .chain = identity->chain,
        .chain_len = identity->chain_len,
    };
    return true;
}

/* Among those for the name: the best suite decides. */
static const struct tls_identity *choose_named(const struct handshake_policy *policy,
                                               const br_ssl_server_context *server,
                                               br_ssl_server_choices *choices)
{
    const char *name = br_ssl_engine_get_server_name(&server->eng);
    size_t suites;
    br_ssl_server_get_client_suites(server, &suites);
    for (size_t suite = 0; name[0] != '\0' && suite < suites; suite++)
        for (size_t i = 0; i < tls_identities_count(policy->identities); i++) {
            const struct tls_identity *identity = tls_identities_at(policy->identities, i);
            if (tls_identity_named(identity, name) && try(server, suite, identity, choices))
                return identity;
        }
    return NULL;
}

/* None is for the name: the first one that the client can verify. */
static const struct tls_identity *choose_any(const struct handshake_policy *policy,
                                             const br_ssl_server_context *server,
                                             br_ssl_server_choices *choices)
{
    size_t suites;
    br_ssl_server_get_client_suites(server, &suites);
    for (size_t i = 0; i < tls_identities_count(policy->identities); i++)
        for (size_t suite = 0; suite < suites; suite++) {
            const struct tls_identity *identity = tls_identities_at(policy->identities, i);
            if (try(server, suite, identity, choices))
                return identity;
        }
    return NULL;
}

/* BearSSL takes the curve with the smallest number that both sides have: P-256. Its X25519 takes a
 * third of the time, and the policy is asked just before the curve is looked for. */
static void prefer_x25519(br_ssl_server_context *server)
{
    static const uint32_t x25519 = 1U << BR_EC_curve25519;
    if (server->curves & x25519)
        server->curves = x25519;
}

static int choose(const br_ssl_server_policy_class **context, const br_ssl_server_context *server,
                  br_ssl_server_choices *choices)
{
    struct handshake_policy *policy = (struct handshake_policy *)context;
    prefer_x25519((br_ssl_server_context *)server);
    policy->chosen = choose_named(policy, server, choices);
    if (!policy->chosen)
        policy->chosen = choose_any(policy, server, choices);
    return policy->chosen != NULL;
}

/* ---- its signature ---- */

/* No suite without ECDHE is offered, so BearSSL never asks. */
static uint32_t refuse_exchange(const br_ssl_server_policy_class **context, unsigned char *data,
                                size_t *len)
{
    (void)context;
    (void)data;
    (void)len;
    return 0;
}

static const br_hash_class *hash_class(unsigned id)
{
    return id == br_sha256_ID   ? &br_sha256_vtable
           : id == br_sha384_ID ? &br_sha384_vtable
                                : &br_sha512_vtable;
}

static size_t sign_ecdsa(const br_ec_private_key *key, unsigned hash, unsigned char *data,
                         size_t hash_len, size_t size)
{
    unsigned char value[64];
    /* Two integers of the curve's order, each with a head of 3 or 4 bytes, and a head for both. */
    if (size < 2 * key->xlen + 12 || hash_len > sizeof value)
        return 0;
    memcpy(value, data, hash_len);
    return tls_crypto()->ecdsa_sign(tls_crypto()->ec, hash_class(hash), value, key, data);
}

static size_t sign_rsa(const br_rsa_private_key *key, unsigned hash, unsigned char *data,
                       size_t hash_len, size_t size)
{
    unsigned char value[64];
    size_t len = (key->n_bitlen + 7) / 8;
    const unsigned char *oid = hash == br_sha256_ID   ? BR_HASH_OID_SHA256
                               : hash == br_sha384_ID ? BR_HASH_OID_SHA384
                                                      : BR_HASH_OID_SHA512;
    if (size < len || hash_len > sizeof value)
        return 0;
    memcpy(value, data, hash_len);
    return tls_crypto()->rsa_sign(oid, value, hash_len, key, data) ? len : 0;
}

static size_t sign(const br_ssl_server_policy_class **context, unsigned algorithm,
                   unsigned char *data, size_t hash_len, size_t size)
{
    const struct tls_identity *identity = ((struct handshake_policy *)context)->chosen;
    assert(identity && algorithm >= 0xff00U);
    unsigned hash = algorithm & 0xff;
    return identity->key_type == BR_KEYTYPE_EC
               ? sign_ecdsa(br_skey_decoder_get_ec(&identity->key), hash, data, hash_len, size)
               : sign_rsa(br_skey_decoder_get_rsa(&identity->key), hash, data, hash_len, size);
}

static const br_ssl_server_policy_class policy_class = {
    sizeof(struct handshake_policy),
    choose,
    refuse_exchange,
    sign,
};

/* ---- sessions ---- */

/* What stands for a server name: names are the same in any case. */
static uint64_t name_hash(const char *name)
{
    unsigned char digest[br_sha256_SIZE];
    br_sha256_context sha256;
    uint64_t hash;
    br_sha256_init(&sha256);
    for (size_t i = 0; name[i] != '\0'; i++) {
        char lower = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
        br_sha256_update(&sha256, &lower, 1);
    }
    br_sha256_out(&sha256, digest);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

static void save(const br_ssl_session_cache_class **context, br_ssl_server_context *server,
                 const br_ssl_session_parameters *parameters)
{
    const struct handshake_cache *cache = (const struct handshake_cache *)context;
    struct tls_session session = {
        .suite = parameters->cipher_suite,
        .name = name_hash(br_ssl_engine_get_server_name(&server->eng)),
    };
    memcpy(session.id, parameters->session_id, TLS_SESSION_ID_SIZE);
    memcpy(session.secret, parameters->master_secret, TLS_SECRET_SIZE);
    tls_sessions_save(cache->sessions, &session, cache->now_s);
    explicit_bzero(&session, sizeof session);
}

static int load(const br_ssl_session_cache_class **context, br_ssl_server_context *server,
                br_ssl_session_parameters *parameters)
{
    (void)server;
    struct handshake_cache *cache = (struct handshake_cache *)context;
    struct tls_session session = {.name = cache->name};
    memcpy(session.id, parameters->session_id, TLS_SESSION_ID_SIZE);
    if (!tls_sessions_load(cache->sessions, &session, cache->now_s))
        return 0;
    parameters->version = BR_TLS12;
    parameters->cipher_suite = session.suite;
    memcpy(parameters->master_secret, session.secret, TLS_SECRET_SIZE);
    explicit_bzero(&session, sizeof session);
    cache->found = true;
    return 1;
}

bool handshake_name_differs(const struct tls_handshake *handshake)
{
    return handshake->is_server && handshake->cache.found &&
           name_hash(br_ssl_engine_get_server_name(&handshake->bear.engine)) !=
               handshake->cache.name;
}

static const br_ssl_session_cache_class cache_class = {sizeof(struct handshake_cache), save, load};

/* ---- settings, and beginning ---- */

struct tls_server *tls_server_create(const struct tls_server_config *config)
{
    struct tls_server *server = malloc(sizeof *server);
    unsigned char *buffer = malloc(BR_SSL_BUFSIZE_MONO);
    if (!server || !buffer) {
        free(server);
        free(buffer);
        return NULL;
    }
    br_ssl_server_zero(&server->template);
    server->config = *config;
    br_ssl_engine_context *engine = &server->template.eng;
    handshake_engine_init(engine, &config->suites, config->protocols, config->protocol_count);
    br_ssl_engine_set_all_flags(engine, BR_OPT_ENFORCE_SERVER_PREFERENCES |
                                            BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
    /* BearSSL asks the machine for randomness at the first reset, and not again: so the first one
     * is here, and each handshake only adds its seed. */
    br_ssl_engine_set_buffer(engine, buffer, BR_SSL_BUFSIZE_MONO, 0);
    int ready = br_ssl_server_reset(&server->template);
    free(buffer);
    assert(ready);
    bool speaks_13 = config->versions != TLS_VERSIONS_12;
    server->modern = speaks_13 ? server_13_create(config) : NULL;
    if (server->modern || !speaks_13)
        return server;
    tls_server_free(server);
    return NULL;
}

void tls_server_free(struct tls_server *server)
{
    if (!server)
        return;
    server_13_free(server->modern);
    explicit_bzero(server, sizeof *server);
    free(server);
}

void tls_handshake_server(struct tls_handshake *handshake, const struct tls_server *server,
                          struct tls_identities *identities, const struct tls_asked *asked,
                          int64_t now_s, const uint8_t seed[TLS_SEED_SIZE])
{
    br_ssl_server_context *bear = &handshake->bear.server;
    handshake->is_server = true;
    handshake->protocols = server->config.protocols;
    handshake->protocol_count = server->config.protocol_count;
    handshake->policy =
        (struct handshake_policy){&policy_class, tls_identities_ref(identities), NULL};
    if (server->modern && asked->tls_13) {
        handshake_13_begin(handshake, server->modern);
        return;
    }
    if (server->config.versions == TLS_VERSIONS_13) {
        handshake_13_refuse(handshake, TLS_ERROR_VERSION);
        return;
    }
    *bear = server->template;
    handshake->cache = (struct handshake_cache){&cache_class, server->config.sessions, now_s,
                                                name_hash(asked->name), false};
    br_ssl_server_set_policy(bear, &handshake->policy.class);
    if (server->config.sessions)
        br_ssl_server_set_cache(bear, &handshake->cache.class);
    br_ssl_engine_inject_entropy(&bear->eng, seed, TLS_SEED_SIZE);
    br_ssl_engine_set_buffer(&bear->eng, handshake->buffer, sizeof handshake->buffer, 0);
    int ready = br_ssl_server_reset(bear);
    assert(ready);
}
