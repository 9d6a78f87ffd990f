/* handshake: drives a session of GnuTLS, whichever role it plays. */
#include "tls/handshake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tls/handshake_state.h"

enum {
    TICKETS_FULL = 2, /* a browser opens several connections at once, and a ticket is for one */
    TICKETS_RESUMED = 1,
    ALERT_SIZE = 2,
};

/* ---- bytes in and out, as GnuTLS asks for them ---- */

static ssize_t pull(gnutls_transport_ptr_t context, void *bytes, size_t size)
{
    struct tls_handshake *handshake = context;
    size_t len = handshake->in_len < size ? handshake->in_len : size;
    if (len == 0) {
        gnutls_transport_set_errno(handshake->session, EAGAIN);
        return -1;
    }
    memcpy(bytes, handshake->in, len);
    handshake->in += len;
    handshake->in_len -= len;
    return (ssize_t)len;
}

static ssize_t push(gnutls_transport_ptr_t context, const void *bytes, size_t size)
{
    struct tls_handshake *handshake = context;
    size_t room = sizeof handshake->buffer - handshake->out_len;
    size_t len = size < room ? size : room;
    if (len == 0) {
        handshake->full = true;
        gnutls_transport_set_errno(handshake->session, EAGAIN);
        return -1;
    }
    memcpy(handshake->buffer + handshake->out_len, bytes, len);
    handshake->out_len += (uint32_t)len;
    return (ssize_t)len;
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
        {GNUTLS_E_SESSION_EOF, TLS_ERROR_CLOSED},
        {GNUTLS_E_DECRYPTION_FAILED, TLS_ERROR_BAD_MAC},
        {GNUTLS_E_RECORD_OVERFLOW, TLS_ERROR_RECORD_TOO_LONG},
        {GNUTLS_E_UNEXPECTED_PACKET, TLS_ERROR_UNEXPECTED},
        {GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET, TLS_ERROR_UNEXPECTED},
        {GNUTLS_E_ERROR_IN_FINISHED_PACKET, TLS_ERROR_BAD_FINISHED},
        {GNUTLS_E_PK_SIG_VERIFY_FAILED, TLS_ERROR_BAD_SIGNATURE},
        {GNUTLS_E_CERTIFICATE_ERROR, TLS_ERROR_UNTRUSTED},
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
    if (err != GNUTLS_E_FATAL_ALERT_RECEIVED && err != GNUTLS_E_SESSION_EOF)
        gnutls_alert_send_appropriate(handshake->session, err);
}

/* For what nobody asks GnuTLS about. */
static void fail_by(struct tls_handshake *handshake, enum tls_error error)
{
    int alert = tls_error_alert(error);
    handshake->error = (uint8_t)error;
    if (alert >= 0)
        gnutls_alert_send(handshake->session, GNUTLS_AL_FATAL, (gnutls_alert_description_t)alert);
}

void tls_handshake_abort(struct tls_handshake *handshake)
{
    if (handshake->error == TLS_ERROR_NONE)
        fail_by(handshake, TLS_ERROR_INTERNAL);
}

void handshake_refuse(struct tls_handshake *handshake, enum tls_error error)
{
    handshake->error = (uint8_t)error;
    handshake->out_len =
        (uint32_t)tls_alert_plain((uint8_t)tls_error_alert(error), handshake->buffer);
}

/* ---- going on ---- */

static void shake(struct tls_handshake *handshake)
{
    int err;
    do {
        err = gnutls_handshake(handshake->session);
    } while (err == GNUTLS_E_WARNING_ALERT_RECEIVED || err == GNUTLS_E_INTERRUPTED);
    if (err == GNUTLS_E_SUCCESS)
        handshake->stage =
            handshake_is_13(handshake) && handshake->sends_ticket ? STAGE_TICKETS : STAGE_OVER;
    else if (gnutls_error_is_fatal(err))
        fail(handshake, err);
}

/* Those of 1.3, behind the handshake. A client that does not say that it resumes is sent none,
 * which is no error. */
static void send_tickets(struct tls_handshake *handshake)
{
    unsigned count = gnutls_session_is_resumed(handshake->session) ? TICKETS_RESUMED : TICKETS_FULL;
    if (gnutls_session_ticket_send(handshake->session, count, 0) != GNUTLS_E_AGAIN)
        handshake->stage = STAGE_OVER;
}

void handshake_step(struct tls_handshake *handshake)
{
    if (handshake->stage == STAGE_SHAKING)
        shake(handshake);
    if (handshake->stage == STAGE_TICKETS && handshake->error == TLS_ERROR_NONE)
        send_tickets(handshake);
}

/* ---- feeding, record by record ---- */

static size_t record_len(const struct tls_handshake *handshake)
{
    return (size_t)handshake->head[3] << 8 | handshake->head[4];
}

/* Gives GnuTLS bytes, and no chance to take one more. */
static void give(struct tls_handshake *handshake, const unsigned char *bytes, size_t len)
{
    handshake->in = bytes;
    handshake->in_len = len;
    handshake_step(handshake);
    handshake->in_len = 0;
}

/* Whether the record is an alert in the clear: what a peer sends that has no keys yet, or does not
 * use them, as OpenSSL when it does not trust the certificate of 1.3. */
static bool is_clear_alert(const struct tls_handshake *handshake)
{
    return handshake->head[0] == TLS_ALERT &&
           (record_len(handshake) == ALERT_SIZE || !handshake->ciphered_in);
}

/* Takes bytes of such an alert, of which GnuTLS hears nothing. All but warnings end a handshake. */
static void alert_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len)
{
    if (record_len(handshake) != ALERT_SIZE) {
        fail_by(handshake, TLS_ERROR_BAD_ALERT);
        return;
    }
    memcpy(handshake->alert + handshake->alert_len, bytes, len);
    handshake->alert_len += (uint8_t)len;
    if (handshake->alert_len < ALERT_SIZE)
        return;
    handshake->alert_len = 0;
    if (handshake->alert[1] == GNUTLS_A_CLOSE_NOTIFY)
        handshake->error = TLS_ERROR_CLOSED;
    else if (handshake->alert[0] != GNUTLS_AL_WARNING)
        handshake->error = TLS_ERROR_ALERT_RECEIVED;
}

/* GnuTLS would not look at what is behind the two bytes of a sealed alert of 1.2. In 1.3 none shows
 * itself by its head. */
static bool is_bad_alert(const struct tls_handshake *handshake)
{
    bool chacha = gnutls_cipher_get(handshake->session) == GNUTLS_CIPHER_CHACHA20_POLY1305;
    size_t sealed = ALERT_SIZE + TLS_TAG_SIZE + (chacha ? 0 : TLS_EXPLICIT_SIZE);
    return handshake->head[0] == TLS_ALERT && !is_clear_alert(handshake) &&
           record_len(handshake) != sealed;
}

/* GnuTLS would let some be longer than they may be. */
static bool is_too_long(const struct tls_handshake *handshake)
{
    bool ciphered = handshake->ciphered_in || handshake->head[0] == TLS_APPLICATION_DATA;
    return record_len(handshake) > TLS_PLAIN_MAX + (ciphered ? (size_t)TLS_CIPHER_GROWTH_MAX : 0);
}

/* Takes what these bytes have of the head. Returns how many those are. */
static size_t head_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len)
{
    size_t left = TLS_HEAD_SIZE - handshake->head_len, part = left < len ? left : len;
    memcpy(handshake->head + handshake->head_len, bytes, part);
    handshake->head_len += (uint8_t)part;
    if (handshake->head_len < TLS_HEAD_SIZE)
        return part;
    handshake->record_left = (uint16_t)record_len(handshake);
    handshake->fed += (uint32_t)(TLS_HEAD_SIZE + record_len(handshake));
    if (handshake->fed > (handshake->client ? HANDSHAKE_HEARD_MAX : HANDSHAKE_INPUT_MAX))
        fail_by(handshake, TLS_ERROR_HELLO_TOO_LONG);
    else if (is_too_long(handshake))
        fail_by(handshake, TLS_ERROR_RECORD_TOO_LONG);
    else if (is_bad_alert(handshake))
        fail_by(handshake, TLS_ERROR_BAD_ALERT);
    return part;
}

/* Feeds bytes of one record at most, and its head when that is whole. Returns how many it took. */
static size_t record_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len)
{
    bool begun = handshake->head_len > 0;
    size_t at = handshake->head_len < TLS_HEAD_SIZE ? head_feed(handshake, bytes, len) : 0;
    if (handshake->head_len < TLS_HEAD_SIZE || handshake->error != TLS_ERROR_NONE)
        return at;
    size_t part = handshake->record_left < len - at ? handshake->record_left : len - at;
    handshake->record_left -= (uint16_t)part;
    bool ends = handshake->record_left == 0;
    if (is_clear_alert(handshake)) {
        alert_feed(handshake, bytes + at, part);
    } else {
        if (at > 0 && begun)
            give(handshake, handshake->head, TLS_HEAD_SIZE);
        if (at > 0 && !begun)
            give(handshake, bytes, at + part);
        else if (part > 0)
            give(handshake, bytes + at, part);
        handshake->ciphered_in |= ends && handshake->head[0] == TLS_CHANGE_CIPHER_SPEC;
    }
    if (ends)
        handshake->head_len = 0;
    return at + part;
}

size_t tls_handshake_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len)
{
    size_t fed = 0;
    while (fed < len && tls_handshake_progress(handshake) == TLS_WANTS_INPUT)
        fed += record_feed(handshake, bytes + fed, len - fed);
    return fed;
}

size_t tls_handshake_output(struct tls_handshake *handshake, unsigned char *area, size_t size)
{
    size_t len = handshake->out_len - handshake->out_at;
    len = len < size ? len : size;
    memcpy(area, handshake->buffer + handshake->out_at, len);
    handshake->out_at += (uint32_t)len;
    if (handshake->out_at < handshake->out_len)
        return len;
    handshake->out_at = handshake->out_len = 0;
    if (handshake->full && handshake->error == TLS_ERROR_NONE) {
        handshake->full = false;
        handshake_step(handshake);
    }
    return len;
}

enum tls_progress tls_handshake_advance(struct tls_handshake *handshake, const unsigned char *bytes,
                                        size_t len, size_t *at)
{
    if (*at < len && tls_handshake_progress(handshake) == TLS_WANTS_INPUT)
        *at += tls_handshake_feed(handshake, bytes + *at, len - *at);
    return tls_handshake_progress(handshake);
}

enum tls_progress tls_handshake_progress(const struct tls_handshake *handshake)
{
    if (handshake->out_at < handshake->out_len)
        return TLS_HAS_OUTPUT;
    if (handshake->error != TLS_ERROR_NONE)
        return TLS_FAILED;
    return handshake->stage == STAGE_OVER ? TLS_DONE : TLS_WANTS_INPUT;
}

/* ---- beginning ---- */

/* 1.3: what the keys are made of, and made of again. */
static int keep_secrets(gnutls_session_t session, gnutls_record_encryption_level_t level,
                        const void *read, const void *write, size_t size)
{
    struct tls_handshake *handshake = gnutls_session_get_ptr(session);
    handshake->exchanged |= level == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE;
    if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION)
        return 0;
    assert(size <= TLS_SECRET_MAX);
    if (read)
        memcpy(handshake->secrets.in, read, size);
    if (write)
        memcpy(handshake->secrets.out, write, size);
    return 0;
}

/* 1.2: the client's key exchange has been understood. */
static int has_exchanged(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                         const gnutls_datum_t *message)
{
    (void)type, (void)when, (void)incoming, (void)message;
    ((struct tls_handshake *)gnutls_session_get_ptr(session))->exchanged = true;
    return 0;
}

int handshake_begin(struct tls_handshake *handshake, unsigned flags)
{
    int err = gnutls_init(&handshake->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (err < 0) {
        handshake->session = NULL;
        return err;
    }
    gnutls_session_t session = handshake->session;
    gnutls_session_set_ptr(session, handshake);
    gnutls_transport_set_ptr(session, handshake);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_push_function(session, push);
    gnutls_handshake_set_secret_function(session, keep_secrets);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_KEY_EXCHANGE,
                                       GNUTLS_HOOK_POST, has_exchanged);
    return 0;
}

int handshake_protocols(gnutls_session_t session, const char *const *protocols, size_t count,
                        unsigned flags)
{
    gnutls_datum_t names[TLS_PROTOCOLS_MAX];
    assert(count <= TLS_PROTOCOLS_MAX);
    for (size_t i = 0; i < count; i++)
        names[i] = (gnutls_datum_t){(unsigned char *)(uintptr_t)protocols[i],
                                    (unsigned)strlen(protocols[i])};
    return count == 0 ? 0 : gnutls_alpn_set_protocols(session, names, (unsigned)count, flags);
}

void handshake_priority(char text[HANDSHAKE_PRIORITY_SIZE], const struct tls_suites *suites,
                        enum tls_versions versions, bool p256_only)
{
    size_t len = (size_t)snprintf(
        text, HANDSHAKE_PRIORITY_SIZE,
        "NONE%s%s:+AEAD%s:+GROUP-SECP256R1%s"
        ":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SECP521R1-SHA512"
        ":+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384:+SIGN-ECDSA-SHA512"
        ":+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512"
        ":+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512:%%SERVER_PRECEDENCE",
        versions != TLS_VERSIONS_12 ? ":+VERS-TLS1.3" : "",
        versions != TLS_VERSIONS_13 ? ":+VERS-TLS1.2" : "", p256_only ? "" : ":+GROUP-X25519",
        p256_only ? "" : ":+GROUP-SECP384R1");
    for (size_t i = 0; i < suites->count; i++)
        len += tls_suite_offer(suites->suites[i], versions != TLS_VERSIONS_13, text + len,
                               HANDSHAKE_PRIORITY_SIZE - len);
    assert(len < HANDSHAKE_PRIORITY_SIZE);
}
