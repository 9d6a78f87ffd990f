/* handshake_state: what the files of a handshake share: handshake.c drives it, handshake_server.c
 * and handshake_client.c are its roles, handshake_pool.c lends it. Nobody else includes this.
 *
 * Threads  as handshake.h says. */
#pragma once

#include <bearssl.h>

#include "tls/handshake.h"
#include "tls/handshake_13.h"

/* Chooses a certificate and signs with its key; BearSSL calls it. */
struct handshake_policy {
    const br_ssl_server_policy_class *class;
    struct tls_identities *identities;
    const struct tls_identity *chosen; /* NULL: a session was resumed, or nothing is decided */
};

/* The server's sessions as BearSSL asks for them. */
struct handshake_cache {
    const br_ssl_session_cache_class *class;
    struct tls_sessions *sessions;
    int64_t now_s;
    uint64_t name; /* of the server that the client asks for; BearSSL looks for a session before it
                      has read that */
    bool found;
};

/* Whom a client trusts. */
union handshake_trust {
    const br_x509_class *class;
    br_x509_knownkey_context known;
    struct {
        const br_x509_class *class;
        br_x509_decoder_context decoder; /* of the first certificate */
        unsigned certificates;
    } anybody;
};

struct tls_handshake {
    union {
        br_ssl_engine_context engine;
        br_ssl_server_context server;
        br_ssl_client_context client;
    } bear;
    struct handshake_13 modern;
    struct handshake_policy policy;
    struct handshake_cache cache;
    union handshake_trust trust;
    const char *const *protocols;
    size_t protocol_count;
    uint8_t resuming[TLS_SESSION_ID_SIZE]; /* client: the session that it asked for */
    bool is_server;
    uint8_t error;
    uint8_t alert_len; /* of `alert`, not taken yet; 0: none */
    unsigned char alert[TLS_ALERT_MAX];
    uint32_t index; /* in the pool */
    /* Last: only what a handshake uses of it is ever touched. */
    unsigned char buffer[BR_SSL_BUFSIZE_MONO];
};

/* Settings that both roles share, for the template of an engine. */
void handshake_engine_init(br_ssl_engine_context *engine, const struct tls_suites *suites,
                           const char *const *protocols, size_t protocol_count);

/* Whether a session was found under another name than the hello turned out to ask for. */
bool handshake_name_differs(const struct tls_handshake *handshake);
