/* quic_tls: the handshake of a connection (RFC 9001), by GnuTLS. When it is over the library has
 * the keys, and GnuTLS's session goes: 11 KB. No tickets, and so no early data. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "carrier/quic_internal.h"
#include "conn/secure.h"

static const char priority[] =
    "NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+GROUP-X25519"
    ":+GROUP-SECP256R1:+GROUP-SECP384R1:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SECP384R1-SHA384"
    ":+SIGN-ECDSA-SECP521R1-SHA512:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384"
    ":+SIGN-RSA-PSS-RSAE-SHA512:%SERVER_PRECEDENCE:%DISABLE_TLS13_COMPAT_MODE";

void quic_random(uint8_t *to, size_t len)
{
    int err = gnutls_rnd(GNUTLS_RND_NONCE, to, len);
    assert(err == 0);
}

struct quic_library *quic_library_create(void)
{
    struct quic_library *library = calloc(1, sizeof *library);
    if (!library)
        return NULL;
    if (gnutls_priority_init(&library->priority, priority, NULL) < 0 ||
        gnutls_rnd(GNUTLS_RND_KEY, library->reset_secret, sizeof library->reset_secret) < 0 ||
        gnutls_rnd(GNUTLS_RND_KEY, library->token_secret, sizeof library->token_secret) < 0 ||
        gnutls_rnd(GNUTLS_RND_NONCE, library->tag, sizeof library->tag) < 0) {
        quic_library_free(library);
        return NULL;
    }
    return library;
}

/* As the kernel's program reads it. */
uint16_t quic_library_tag(const struct quic_library *library)
{
    return (uint16_t)(library->tag[0] << 8 | library->tag[1]);
}

void quic_library_tag_apart(struct quic_library *library, uint16_t other)
{
    library->tag[0] ^= quic_library_tag(library) == other;
}

void quic_library_free(struct quic_library *library)
{
    if (!library)
        return;
    gnutls_priority_deinit(library->priority);
    explicit_bzero(library, sizeof *library);
    free(library);
}

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    return ((struct quic *)ref->user_data)->conn;
}

static int session_set(struct quic *quic)
{
    static const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "h3", 2};
    gnutls_session_t session = quic->tls;
    quic->ref = (ngtcp2_crypto_conn_ref){conn_of, quic};
    gnutls_session_set_ptr(session, &quic->ref);
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_IGNORE);
    int err = ngtcp2_crypto_gnutls_configure_server_session(session);
    if (err == 0)
        err = gnutls_priority_set(session, quic->shard->server->quic->priority);
    if (err == 0)
        err = tls_identities_offer(session, &quic->identities);
    if (err == 0)
        err = gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY);
    return err;
}

int quic_tls_begin(struct quic *quic)
{
    quic->identities.identities = tls_identities_ref(secure_identities(quic->shard->secure));
    quic->port->handshakes++;
    gnutls_session_t session;
    if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL | GNUTLS_NO_AUTO_SEND_TICKET) < 0)
        return -ENOMEM;
    quic->tls = session;
    if (session_set(quic) < 0)
        return -ENOMEM;
    ngtcp2_conn_set_tls_native_handle(quic->conn, quic->tls);
    return 0;
}

void quic_tls_end(struct quic *quic)
{
    if (!quic->identities.identities)
        return;
    if (quic->conn)
        ngtcp2_conn_set_tls_native_handle(quic->conn, NULL);
    if (quic->tls)
        gnutls_deinit(quic->tls);
    tls_identities_unref(quic->identities.identities);
    quic->tls = NULL;
    quic->identities.identities = NULL;
    quic->port->handshakes--;
}
