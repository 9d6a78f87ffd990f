/* handshake_server: the server's side of a handshake: what it offers, and whom its sessions are
 * for. */
#include <assert.h>
#include <bearssl.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/handshake_state.h"

enum {
    TICKET_KEY_SIZE = 64, /* GnuTLS's */
};

struct tls_server {
    struct tls_server_config config;
    gnutls_priority_t priority;
    uint8_t ticket_key[TICKET_KEY_SIZE];
};

/* ---- settings ---- */

int tls_versions_read(struct tls_server_config *config, const char *text, char *why,
                      size_t why_size)
{
    bool tls_12 = false, tls_13 = false;
    for (const char *at = text + strspn(text, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        bool is_12 = len == 3 && memcmp(at, "1.2", len) == 0;
        if (!is_12 && (len != 3 || memcmp(at, "1.3", len) != 0)) {
            snprintf(why, why_size, "tls_versions = %s: needs 1.2, 1.3 or both", text);
            return -EINVAL;
        }
        tls_12 |= is_12;
        tls_13 |= !is_12;
        at += len;
    }
    if (!tls_12 && !tls_13) {
        snprintf(why, why_size, "tls_versions is empty: it needs 1.2, 1.3 or both");
        return -EINVAL;
    }
    config->versions = !tls_13 ? TLS_VERSIONS_12 : tls_12 ? TLS_VERSIONS_BOTH : TLS_VERSIONS_13;
    return 0;
}

struct tls_server *tls_server_create(const struct tls_server_config *config)
{
    struct tls_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    char text[HANDSHAKE_PRIORITY_SIZE];
    server->config = *config;
    handshake_priority(text, &config->suites, config->versions, false);
    int err = gnutls_priority_init(&server->priority, text, NULL);
    if (err == 0)
        err = gnutls_rnd(GNUTLS_RND_KEY, server->ticket_key, sizeof server->ticket_key);
    if (err == 0)
        return server;
    tls_server_free(server);
    return NULL;
}

void tls_server_free(struct tls_server *server)
{
    if (!server)
        return;
    gnutls_priority_deinit(server->priority);
    explicit_bzero(server, sizeof *server);
    free(server);
}

/* ---- tickets ---- */

/* Each server name has a key of its own, made of the server's: a ticket opens under no other name
 * (RFC 6066 section 3), and under the same in other letters neither. */
static void ticket_key(const struct tls_server *server, const char *name,
                       uint8_t ret[TICKET_KEY_SIZE])
{
    br_hmac_key_context key;
    br_hmac_context hmac;
    br_hmac_key_init(&key, &br_sha512_vtable, server->ticket_key, TICKET_KEY_SIZE);
    br_hmac_init(&hmac, &key, 0);
    br_hmac_update(&hmac, name, strlen(name));
    br_hmac_out(&hmac, ret);
    explicit_bzero(&key, sizeof key);
    explicit_bzero(&hmac, sizeof hmac);
}
static_assert(TICKET_KEY_SIZE == br_sha512_SIZE, "a key is one HMAC");

/* GnuTLS makes the keys that seal tickets of this one and the time. */
static int tickets_offer(struct tls_handshake *handshake, const struct tls_server *server,
                         const char *name)
{
    uint8_t bytes[TICKET_KEY_SIZE];
    const gnutls_datum_t key = {bytes, sizeof bytes};
    handshake->sends_ticket = server->config.ticket_lifetime_s > 0;
    if (!handshake->sends_ticket)
        return 0;
    ticket_key(server, name, bytes);
    int err = gnutls_session_ticket_enable_server(handshake->session, &key);
    gnutls_db_set_cache_expiration(handshake->session, (int)server->config.ticket_lifetime_s);
    explicit_bzero(bytes, sizeof bytes);
    return err;
}

/* ---- beginning ---- */

static int begin(struct tls_handshake *handshake, const struct tls_server *server,
                 const struct tls_asked *asked)
{
    const struct tls_server_config *config = &server->config;
    int err = handshake_begin(handshake, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);
    if (err < 0)
        return err;
    gnutls_session_t session = handshake->session;
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_IGNORE);
    gnutls_handshake_set_max_packet_length(session, HANDSHAKE_INPUT_MAX);
    err = gnutls_priority_set(session, server->priority);
    if (err == 0)
        err = tls_identities_offer(session, &handshake->choice);
    if (err == 0)
        err = handshake_protocols(session, config->protocols, config->protocol_count,
                                  GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
    return err == 0 ? tickets_offer(handshake, server, asked->name) : err;
}

void tls_handshake_server(struct tls_handshake *handshake, const struct tls_server *server,
                          struct tls_identities *identities, const struct tls_asked *asked)
{
    handshake->protocols = server->config.protocols;
    handshake->protocol_count = server->config.protocol_count;
    handshake->choice = (struct tls_identity_choice){tls_identities_ref(identities),
                                                     !asked->ecdsa_12, !asked->rsa_12};
    if (server->config.versions == TLS_VERSIONS_13 && !asked->tls_13)
        handshake_refuse(handshake, TLS_ERROR_VERSION);
    else if (begin(handshake, server, asked) < 0)
        handshake->error = TLS_ERROR_INTERNAL;
}
