/* handshake_client: the client's side of a handshake: whom it trusts, and the session that it
 * resumes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tls/handshake_state.h"

enum {
    SCRATCH = 4096,
};

struct tls_client {
    struct tls_client_config config;
    gnutls_priority_t priority;
    gnutls_certificate_credentials_t credentials; /* has no certificate of its own */
};

/* ---- settings ---- */

struct tls_client *tls_client_create(const struct tls_client_config *config)
{
    char text[HANDSHAKE_PRIORITY_SIZE];
    struct tls_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    assert(config->trust || config->trust_anybody);
    client->config = *config;
    handshake_priority(text, &config->suites, config->versions, config->p256_only);
    if (gnutls_priority_init(&client->priority, text, NULL) == 0 &&
        gnutls_certificate_allocate_credentials(&client->credentials) == 0)
        return client;
    tls_client_free(client);
    return NULL;
}

void tls_client_free(struct tls_client *client)
{
    if (!client)
        return;
    gnutls_priority_deinit(client->priority);
    if (client->credentials)
        gnutls_certificate_free_credentials(client->credentials);
    free(client);
}

/* ---- beginning ---- */

/* Whether the server has shown the one certificate that it must have. */
static int trusts(gnutls_session_t session)
{
    const struct tls_handshake *handshake = gnutls_session_get_ptr(session);
    const struct tls_trust *trust = handshake->client->config.trust;
    unsigned count;
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &count);
    return trust && !(shown && count > 0 && tls_trusts(trust, shown[0].data, shown[0].size));
}

static int begin(struct tls_handshake *handshake, const char *server_name,
                 const struct tls_ticket *resume)
{
    const struct tls_client *client = handshake->client;
    int err = handshake_begin(handshake, GNUTLS_CLIENT);
    if (err < 0)
        return err;
    gnutls_session_t session = handshake->session;
    gnutls_session_set_verify_function(session, trusts);
    err = gnutls_priority_set(session, client->priority);
    if (err == 0)
        err = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, client->credentials);
    if (err == 0)
        err = handshake_protocols(session, client->config.protocols, client->config.protocol_count,
                                  0);
    if (err == 0 && server_name)
        err = gnutls_server_name_set(session, GNUTLS_NAME_DNS, server_name, strlen(server_name));
    if (err == 0 && resume && resume->len > 0)
        err = gnutls_session_set_data(session, resume->bytes, resume->len);
    return err;
}

void tls_handshake_client(struct tls_handshake *handshake, const struct tls_client *client,
                          const char *server_name, const struct tls_ticket *resume)
{
    handshake->client = client;
    handshake->protocols = client->config.protocols;
    handshake->protocol_count = client->config.protocol_count;
    if (begin(handshake, server_name, resume) < 0)
        handshake->error = TLS_ERROR_INTERNAL;
    else
        handshake_step(handshake);
}

/* ---- tickets ---- */

bool tls_handshake_told(struct tls_handshake *handshake, const unsigned char *record, size_t len)
{
    unsigned char scratch[SCRATCH];
    ssize_t got;
    assert(handshake->client && handshake->stage == STAGE_OVER);
    handshake->in = record;
    handshake->in_len = len;
    do {
        got = gnutls_record_recv(handshake->session, scratch, sizeof scratch);
    } while (got > 0);
    handshake->in_len = 0;
    handshake->out_at = handshake->out_len = 0; /* what it would answer, others do */
    return gnutls_session_get_flags(handshake->session) & GNUTLS_SFLAGS_SESSION_TICKET;
}

bool tls_handshake_ticket(const struct tls_handshake *handshake, struct tls_ticket *ret)
{
    gnutls_datum_t data;
    gnutls_session_t session = handshake->session;
    bool has = gnutls_session_get_flags(session) & GNUTLS_SFLAGS_SESSION_TICKET;
    if ((handshake_is_13(handshake) && !has) || gnutls_session_get_data2(session, &data) < 0)
        return false;
    tls_ticket_free(ret);
    *ret = (struct tls_ticket){data.data, data.size};
    return true;
}

void tls_ticket_free(struct tls_ticket *ticket)
{
    if (ticket->bytes)
        explicit_bzero(ticket->bytes, ticket->len);
    gnutls_free(ticket->bytes);
    *ticket = (struct tls_ticket){0};
}
