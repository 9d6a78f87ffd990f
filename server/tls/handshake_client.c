/* handshake_client: the client's side of a handshake: whom it trusts, and the session that it
 * resumes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tls/crypto.h"
#include "tls/handshake_state.h"

struct tls_client {
    br_ssl_client_context template; /* ready but for what belongs to one handshake */
    struct tls_client_config config;
    br_ec_impl p256; /* with p256_only */
};

/* ---- trust in anybody: the key of the first certificate, whoever signed it ---- */

static void any_start_chain(const br_x509_class **context, const char *server_name)
{
    (void)server_name;
    union handshake_trust *trust = (union handshake_trust *)context;
    trust->anybody.certificates = 0;
    br_x509_decoder_init(&trust->anybody.decoder, NULL, NULL);
}

static void any_start_cert(const br_x509_class **context, uint32_t length)
{
    (void)length;
    ((union handshake_trust *)context)->anybody.certificates++;
}

static void any_append(const br_x509_class **context, const unsigned char *bytes, size_t len)
{
    union handshake_trust *trust = (union handshake_trust *)context;
    if (trust->anybody.certificates == 1)
        br_x509_decoder_push(&trust->anybody.decoder, bytes, len);
}

static void any_end_cert(const br_x509_class **context)
{
    (void)context;
}

static unsigned any_end_chain(const br_x509_class **context)
{
    union handshake_trust *trust = (union handshake_trust *)context;
    return br_x509_decoder_get_pkey(&trust->anybody.decoder) ? 0 : BR_ERR_X509_EMPTY_CHAIN;
}

static const br_x509_pkey *any_get_key(const br_x509_class *const *context, unsigned *usages)
{
    union handshake_trust *trust = (union handshake_trust *)context;
    if (usages)
        *usages = BR_KEYTYPE_SIGN;
    return br_x509_decoder_get_pkey(&trust->anybody.decoder);
}

static const br_x509_class any_class = {
    sizeof(union handshake_trust),
    any_start_chain,
    any_start_cert,
    any_append,
    any_end_cert,
    any_end_chain,
    any_get_key,
};

static void trust_init(union handshake_trust *trust, const struct tls_client_config *config)
{
    if (!config->trust) {
        assert(config->trust_anybody);
        trust->class = &any_class;
        return;
    }
    const br_x509_pkey *key = tls_trust_key(config->trust);
    if (key->key_type == BR_KEYTYPE_EC)
        br_x509_knownkey_init_ec(&trust->known, &key->key.ec, BR_KEYTYPE_SIGN);
    else
        br_x509_knownkey_init_rsa(&trust->known, &key->key.rsa, BR_KEYTYPE_SIGN);
}

/* ---- settings, and beginning ---- */

/* In the place of a check of the server's signature. */
static uint32_t accept_signature(const br_ec_impl *impl, const void *hash, size_t hash_len,
                                 const br_ec_public_key *key, const void *signature, size_t len)
{
    (void)impl;
    (void)hash;
    (void)hash_len;
    (void)key;
    (void)signature;
    (void)len;
    return 1;
}

struct tls_client *tls_client_create(const struct tls_client_config *config)
{
    struct tls_client *client = malloc(sizeof *client);
    unsigned char *buffer = malloc(BR_SSL_BUFSIZE_MONO);
    if (!client || !buffer) {
        free(client);
        free(buffer);
        return NULL;
    }
    br_ssl_client_zero(&client->template);
    client->config = *config;
    br_ssl_engine_context *engine = &client->template.eng;
    handshake_engine_init(engine, &config->suites, config->protocols, config->protocol_count);
    /* A key on a curve that is not for key exchange here can still have signed. */
    client->p256 = *tls_crypto()->ec;
    client->p256.supported_curves = 1U << BR_EC_secp256r1;
    br_ssl_engine_set_ec(engine, config->p256_only ? &client->p256 : tls_crypto()->ec);
    br_ssl_engine_set_rsavrfy(engine, tls_crypto()->rsa_verify);
    br_ssl_engine_set_ecdsa(engine, config->signature_unchecked ? accept_signature
                                                                : tls_crypto()->ecdsa_verify);
    br_ssl_engine_set_all_flags(engine, BR_OPT_NO_RENEGOTIATION);
    /* As for the server: BearSSL asks the machine for randomness here, and not again. */
    br_ssl_engine_set_buffer(engine, buffer, BR_SSL_BUFSIZE_MONO, 0);
    int ready = br_ssl_client_reset(&client->template, NULL, 0);
    free(buffer);
    assert(ready);
    return client;
}

void tls_client_free(struct tls_client *client)
{
    if (client)
        explicit_bzero(client, sizeof *client);
    free(client);
}

void tls_handshake_client(struct tls_handshake *handshake, const struct tls_client *client,
                          const char *server_name, const struct tls_session *resume,
                          const uint8_t seed[TLS_SEED_SIZE])
{
    br_ssl_client_context *bear = &handshake->bear.client;
    *bear = client->template;
    handshake->is_server = false;
    handshake->protocols = client->config.protocols;
    handshake->protocol_count = client->config.protocol_count;
    trust_init(&handshake->trust, &client->config);
    br_ssl_engine_set_x509(&bear->eng, &handshake->trust.class);
    if (resume) {
        br_ssl_session_parameters parameters = {
            .session_id_len = TLS_SESSION_ID_SIZE,
            .version = BR_TLS12,
            .cipher_suite = resume->suite,
        };
        memcpy(parameters.session_id, resume->id, TLS_SESSION_ID_SIZE);
        memcpy(parameters.master_secret, resume->secret, TLS_SECRET_SIZE);
        memcpy(handshake->resuming, resume->id, TLS_SESSION_ID_SIZE);
        br_ssl_engine_set_session_parameters(&bear->eng, &parameters);
        explicit_bzero(&parameters, sizeof parameters);
    }
    br_ssl_engine_inject_entropy(&bear->eng, seed, TLS_SEED_SIZE);
    br_ssl_engine_set_buffer(&bear->eng, handshake->buffer, sizeof handshake->buffer, 0);
    int ready = br_ssl_client_reset(bear, server_name, resume != NULL);
    assert(ready);
}
