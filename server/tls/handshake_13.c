#include "tls/handshake_13.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tls/handshake_state.h"

enum {
    TICKETS_FULL = 2, /* a browser opens several connections at once, and a ticket is for one */
    TICKETS_RESUMED = 1,
};

static void step(struct tls_handshake *handshake);

/* ---- bytes in and out ---- */

static ssize_t pull(gnutls_transport_ptr_t context, void *bytes, size_t size)
{
    struct handshake_13 *modern = &((struct tls_handshake *)context)->modern;
    size_t len = modern->in_len < size ? modern->in_len : size;
    if (len == 0) {
        gnutls_transport_set_errno(modern->session, EAGAIN);
        return -1;
    }
    memcpy(bytes, modern->in, len);
    modern->in += len;
    modern->in_len -= len;
    return (ssize_t)len;
}

static ssize_t push(gnutls_transport_ptr_t context, const void *bytes, size_t size)
{
    struct tls_handshake *handshake = context;
    struct handshake_13 *modern = &handshake->modern;
    size_t room = sizeof handshake->buffer - modern->out_len;
    size_t len = size < room ? size : room;
    if (len == 0) {
        modern->full = true;
        gnutls_transport_set_errno(modern->session, EAGAIN);
        return -1;
    }
    memcpy(handshake->buffer + modern->out_len, bytes, len);
    modern->out_len += (uint32_t)len;
    return (ssize_t)len;
}

/* How many of these bytes belong to the record that is being fed. */
static size_t of_record(struct handshake_13 *modern, const unsigned char *bytes, size_t len)
{
    size_t at = 0;
    while (modern->head_len < TLS_HEAD_SIZE && at < len) {
        modern->head[modern->head_len++] = bytes[at++];
        if (modern->head_len == TLS_HEAD_SIZE)
            modern->record_left = (uint16_t)(modern->head[3] << 8 | modern->head[4]);
    }
    if (modern->head_len < TLS_HEAD_SIZE)
        return at;
    size_t part = modern->record_left < len - at ? modern->record_left : len - at;
    modern->record_left -= (uint16_t)part;
    if (modern->record_left == 0)
        modern->head_len = 0;
    return at + part;
}

/* Whether the record is an alert in the clear: what a client sends that has no keys yet, or does
 * not use them, as OpenSSL when it does not trust the certificate. Any of them ends a handshake. */
static bool gives_up(const struct handshake_13 *modern)
{
    bool is_headed = modern->head_len == TLS_HEAD_SIZE || modern->head_len == 0;
    return is_headed && modern->head[0] == TLS_ALERT;
}

size_t handshake_13_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len)
{
    struct handshake_13 *modern = &handshake->modern;
    size_t fed = 0;
    while (fed < len && handshake_13_progress(handshake) == TLS_WANTS_INPUT) {
        size_t part = of_record(modern, bytes + fed, len - fed);
        modern->in = bytes + fed;
        modern->in_len = part;
        fed += part;
        if (gives_up(modern))
            handshake->error = TLS_ERROR_ALERT_RECEIVED;
        else
            step(handshake);
    }
    modern->in_len = 0;
    return fed;
}

size_t handshake_13_output(struct tls_handshake *handshake, unsigned char *area, size_t size)
{
    struct handshake_13 *modern = &handshake->modern;
    size_t len = modern->out_len - modern->out_at;
    len = len < size ? len : size;
    memcpy(area, handshake->buffer + modern->out_at, len);
    modern->out_at += (uint32_t)len;
    if (modern->out_at < modern->out_len)
        return len;
    modern->out_at = modern->out_len = 0;
    if (modern->full && handshake->error == TLS_ERROR_NONE) {
        modern->full = false;
        step(handshake);
    }
    return len;
}

/* ---- what is wrong ---- */

static enum tls_error error_of(int err)
{
    static const struct {
        int err;
        enum tls_error error;
    } rows[] = {
        {GNUTLS_E_UNSUPPORTED_VERSION_PACKET, TLS_ERROR_VERSION},
        {GNUTLS_E_NO_CIPHER_SUITES, TLS_ERROR_NOTHING_COMMON},
        {GNUTLS_E_NO_COMMON_KEY_SHARE, TLS_ERROR_NOTHING_COMMON},
        {GNUTLS_E_INSUFFICIENT_CREDENTIALS, TLS_ERROR_NOTHING_COMMON},
        {GNUTLS_E_UNWANTED_ALGORITHM, TLS_ERROR_NOTHING_COMMON},
        {GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM, TLS_ERROR_NOTHING_COMMON},
        {GNUTLS_E_NO_APPLICATION_PROTOCOL, TLS_ERROR_NO_PROTOCOL},
        {GNUTLS_E_FATAL_ALERT_RECEIVED, TLS_ERROR_ALERT_RECEIVED},
        {GNUTLS_E_DECRYPTION_FAILED, TLS_ERROR_BAD_MAC},
        {GNUTLS_E_RECORD_OVERFLOW, TLS_ERROR_RECORD_TOO_LONG},
        {GNUTLS_E_UNEXPECTED_PACKET, TLS_ERROR_UNEXPECTED},
        {GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET, TLS_ERROR_UNEXPECTED},
        {GNUTLS_E_ERROR_IN_FINISHED_PACKET, TLS_ERROR_BAD_FINISHED},
        {GNUTLS_E_MEMORY_ERROR, TLS_ERROR_INTERNAL},
        {GNUTLS_E_INTERNAL_ERROR, TLS_ERROR_INTERNAL},
        {GNUTLS_E_RANDOM_FAILED, TLS_ERROR_INTERNAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].err == err)
            return rows[i].error;
    return TLS_ERROR_BAD_HANDSHAKE;
}

static void fail(struct tls_handshake *handshake, int err)
{
    handshake->error = (uint8_t)error_of(err);
    if (err != GNUTLS_E_FATAL_ALERT_RECEIVED)
        gnutls_alert_send_appropriate(handshake->modern.session, err);
}

/* ---- going on ---- */

/* Of a warning only the one that ends everything is not passed over. */
static bool passes_over(struct tls_handshake *handshake, int err)
{
    if (err != GNUTLS_E_WARNING_ALERT_RECEIVED)
        return err == GNUTLS_E_INTERRUPTED;
    if (gnutls_alert_get(handshake->modern.session) != GNUTLS_A_CLOSE_NOTIFY)
        return true;
    handshake->error = TLS_ERROR_CLOSED;
    return false;
}

static void shake(struct tls_handshake *handshake)
{
    struct handshake_13 *modern = &handshake->modern;
    int err;
    do {
        err = gnutls_handshake(modern->session);
    } while (passes_over(handshake, err));
    if (err == GNUTLS_E_SUCCESS)
        modern->stage = STAGE_13_TICKETS;
    else if (gnutls_error_is_fatal(err) && handshake->error == TLS_ERROR_NONE)
        fail(handshake, err);
}

/* A client that does not say that it resumes is sent none, which is no error. */
static void send_tickets(struct tls_handshake *handshake)
{
    struct handshake_13 *modern = &handshake->modern;
    unsigned count = gnutls_session_is_resumed(modern->session) ? TICKETS_RESUMED : TICKETS_FULL;
    int err = modern->tickets ? gnutls_session_ticket_send(modern->session, count, 0) : 0;
    if (err != GNUTLS_E_AGAIN)
        modern->stage = STAGE_13_OVER;
}

static void step(struct tls_handshake *handshake)
{
    if (handshake->modern.stage == STAGE_13_SHAKING)
        shake(handshake);
    if (handshake->modern.stage == STAGE_13_TICKETS && handshake->error == TLS_ERROR_NONE)
        send_tickets(handshake);
}

enum tls_progress handshake_13_progress(const struct tls_handshake *handshake)
{
    const struct handshake_13 *modern = &handshake->modern;
    if (modern->out_at < modern->out_len)
        return TLS_HAS_OUTPUT;
    if (handshake->error != TLS_ERROR_NONE)
        return TLS_FAILED;
    return modern->stage == STAGE_13_OVER ? TLS_DONE : TLS_WANTS_INPUT;
}

void handshake_13_abort(struct tls_handshake *handshake)
{
    if (handshake->error != TLS_ERROR_NONE)
        return;
    handshake->error = TLS_ERROR_INTERNAL;
    gnutls_alert_send(handshake->modern.session, GNUTLS_AL_FATAL, GNUTLS_A_INTERNAL_ERROR);
}

/* ---- beginning, and end ---- */

static int keep_secrets(gnutls_session_t session, gnutls_record_encryption_level_t level,
                        const void *read, const void *write, size_t size)
{
    struct tls_handshake *handshake = gnutls_session_get_ptr(session);
    struct handshake_13 *modern = &handshake->modern;
    modern->keyed |= level == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE;
    if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION)
        return 0;
    assert(size == TLS_TRAFFIC_SECRET_SIZE);
    if (read)
        memcpy(modern->secrets.in, read, size);
    if (write)
        memcpy(modern->secrets.out, write, size);
    return 0;
}

static int session_set(struct tls_handshake *handshake, const struct server_13 *server)
{
    gnutls_session_t session = handshake->modern.session;
    gnutls_session_set_ptr(session, handshake);
    gnutls_transport_set_ptr(session, handshake);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_push_function(session, push);
    gnutls_handshake_set_secret_function(session, keep_secrets);
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_IGNORE);
    int err = gnutls_priority_set(session, server->priority);
    if (err == 0)
        err = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
                                     tls_identities_credentials(handshake->policy.identities));
    if (err == 0 && server->protocol_count > 0)
        err = gnutls_alpn_set_protocols(session, server->protocols, server->protocol_count,
                                        GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
    if (err == 0 && server->ticket_key.size > 0) {
        err = gnutls_session_ticket_enable_server(session, &server->ticket_key);
        gnutls_db_set_cache_expiration(session, (int)server->lifetime_s);
    }
    return err;
}

void handshake_13_begin(struct tls_handshake *handshake, const struct server_13 *server)
{
    struct handshake_13 *modern = &handshake->modern;
    *modern =
        (struct handshake_13){.stage = STAGE_13_SHAKING, .tickets = server->ticket_key.size > 0};
    if (gnutls_init(&modern->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
                                          GNUTLS_NO_AUTO_SEND_TICKET) < 0 ||
        session_set(handshake, server) < 0)
        handshake->error = TLS_ERROR_INTERNAL;
}

void handshake_13_refuse(struct tls_handshake *handshake, enum tls_error error)
{
    handshake->error = (uint8_t)error;
    handshake->modern = (struct handshake_13){.stage = STAGE_13_OVER};
    handshake->modern.out_len =
        (uint32_t)tls_alert_plain((uint8_t)tls_error_alert(error), handshake->buffer);
}

void handshake_13_done(struct tls_handshake *handshake)
{
    if (handshake->modern.session)
        gnutls_deinit(handshake->modern.session);
}

/* ---- what came of it ---- */

static enum tls_cipher cipher_of(gnutls_session_t session)
{
    return gnutls_cipher_get(session) == GNUTLS_CIPHER_AES_128_GCM ? TLS_AES_128_GCM
                                                                   : TLS_CHACHA20_POLY1305;
}

/* A smaller limit is the client's wish (RFC 6066 section 4, RFC 8449). */
static uint8_t plain_log2(gnutls_session_t session)
{
    size_t most = gnutls_record_get_max_size(session);
    uint8_t log2 = 6;
    while (log2 < 14 && (1U << (log2 + 1)) <= most)
        log2++;
    return log2;
}

void handshake_13_keys(const struct tls_handshake *handshake, struct tls_keys *ret)
{
    const struct handshake_13 *modern = &handshake->modern;
    enum tls_cipher cipher = cipher_of(modern->session);
    unsigned char sequence[8];
    tls_secret_keys(modern->secrets.in, cipher, &ret->in);
    tls_secret_keys(modern->secrets.out, cipher, &ret->out);
    /* Tickets were sent with these keys; nothing was received. */
    int err = gnutls_record_get_state(modern->session, 0, NULL, NULL, NULL, sequence);
    assert(err == 0);
    for (size_t i = 0; i < sizeof sequence; i++)
        ret->out.sequence = ret->out.sequence << 8 | sequence[i];
    ret->out.plain_log2 = plain_log2(modern->session);
}

uint16_t handshake_13_suite(const struct tls_handshake *handshake)
{
    return cipher_of(handshake->modern.session) == TLS_AES_128_GCM
               ? TLS_13_AES_128_GCM_SHA256
               : TLS_13_CHACHA20_POLY1305_SHA256;
}

int handshake_13_curve(const struct tls_handshake *handshake)
{
    return gnutls_group_get(handshake->modern.session) == GNUTLS_GROUP_X25519 ? BR_EC_curve25519
                                                                              : BR_EC_secp256r1;
}

int handshake_13_protocol(const struct tls_handshake *handshake)
{
    gnutls_datum_t name;
    if (gnutls_alpn_get_selected_protocol(handshake->modern.session, &name) < 0)
        return -1;
    for (size_t i = 0; i < handshake->protocol_count; i++)
        if (strlen(handshake->protocols[i]) == name.size &&
            memcmp(handshake->protocols[i], name.data, name.size) == 0)
            return (int)i;
    return -1;
}
