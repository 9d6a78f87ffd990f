/* handshake: drives BearSSL's engine, whichever role it plays. */
#include "tls/handshake.h"

#include <assert.h>
#include <string.h>

#include "tls/crypto.h"
#include "tls/engine_record.h"
#include "tls/handshake_state.h"

/* ---- beginning ---- */

void handshake_engine_init(br_ssl_engine_context *engine, const struct tls_suites *suites,
                           const char *const *protocols, size_t protocol_count)
{
    const struct tls_crypto *crypto = tls_crypto();
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, suites->suites, suites->count);
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(engine, br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(engine, br_tls12_sha384_prf);
    br_ssl_engine_set_ec(engine, &crypto->ecdhe);
    br_ssl_engine_set_aes_ctr(engine, crypto->aes_ctr);
    br_ssl_engine_set_ghash(engine, crypto->ghash);
    br_ssl_engine_set_chacha20(engine, crypto->chacha20);
    br_ssl_engine_set_poly1305(engine, crypto->poly1305);
    br_ssl_engine_set_gcm(engine, &engine_gcm_in, &engine_gcm_out);
    br_ssl_engine_set_chapol(engine, &engine_chacha_in, &engine_chacha_out);
    if (protocol_count > 0)
        br_ssl_engine_set_protocol_names(engine, (const char **)protocols, protocol_count);
}

/* ---- failing ---- */

/* An alert that BearSSL has sent already says what it thought of the peer. */
static enum tls_error error_of_alert(int description)
{
    switch (description) {
    case BR_ALERT_HANDSHAKE_FAILURE:
        return TLS_ERROR_NOTHING_COMMON;
    case BR_ALERT_PROTOCOL_VERSION:
        return TLS_ERROR_VERSION;
    case BR_ALERT_NO_APPLICATION_PROTOCOL:
        return TLS_ERROR_NO_PROTOCOL;
    default:
        return TLS_ERROR_BAD_HANDSHAKE;
    }
}

/* The header of the record that was refused is still at the front of the buffer. */
static enum tls_error error_of_length(const struct tls_handshake *handshake)
{
    unsigned len = (unsigned)handshake->buffer[3] << 8 | handshake->buffer[4];
    return len > TLS_PLAIN_MAX ? TLS_ERROR_RECORD_TOO_LONG : TLS_ERROR_RECORD_TOO_SHORT;
}

static enum tls_error error_of(const struct tls_handshake *handshake, int err)
{
    if (err >= BR_ERR_SEND_FATAL_ALERT)
        return error_of_alert(err - BR_ERR_SEND_FATAL_ALERT);
    if (err >= BR_ERR_RECV_FATAL_ALERT)
        return TLS_ERROR_ALERT_RECEIVED;
    if (err >= BR_ERR_X509_INVALID_VALUE || err == BR_ERR_WRONG_KEY_USAGE)
        return TLS_ERROR_UNTRUSTED;
    switch (err) {
    case BR_ERR_OK:
        return TLS_ERROR_CLOSED;
    case BR_ERR_BAD_STATE:
    case BR_ERR_NO_RANDOM:
    case BR_ERR_LIMIT_EXCEEDED:
        return TLS_ERROR_INTERNAL;
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION:
        return TLS_ERROR_VERSION;
    case BR_ERR_BAD_LENGTH:
    case BR_ERR_TOO_LARGE:
        return error_of_length(handshake);
    case BR_ERR_BAD_MAC:
        return TLS_ERROR_BAD_MAC;
    case BR_ERR_UNKNOWN_TYPE:
        return TLS_ERROR_UNKNOWN_TYPE;
    case BR_ERR_UNEXPECTED:
        return TLS_ERROR_UNEXPECTED;
    case BR_ERR_BAD_ALERT:
        return TLS_ERROR_BAD_ALERT;
    case BR_ERR_BAD_FINISHED:
        return TLS_ERROR_BAD_FINISHED;
    case BR_ERR_INVALID_ALGORITHM:
        return TLS_ERROR_NOTHING_COMMON;
    case BR_ERR_BAD_SIGNATURE:
        return TLS_ERROR_BAD_SIGNATURE;
    default:
        return TLS_ERROR_BAD_HANDSHAKE;
    }
}

static void fail(struct tls_handshake *handshake, enum tls_error error, bool alert)
{
    handshake->error = (uint8_t)error;
    int description = alert ? tls_error_alert(error) : -1;
    if (description < 0)
        return;
    struct tls_direction *out = engine_record_out(&handshake->bear.engine);
    handshake->alert_len =
        (uint8_t)(out ? tls_alert_seal(out, (uint8_t)description, handshake->alert)
                      : tls_alert_plain((uint8_t)description, handshake->alert));
}

/* Whether the engine would neither take nor give a byte, and yet is not closed. */
static bool is_stuck(const br_ssl_engine_context *engine, unsigned state)
{
    size_t room = 0;
    if (state & BR_SSL_RECVREC)
        br_ssl_engine_recvrec_buf(engine, &room);
    return room == 0 && !(state & (BR_SSL_SENDREC | BR_SSL_SENDAPP));
}

/* After the engine was given or asked for something: has it failed? */
static void settle(struct tls_handshake *handshake)
{
    br_ssl_engine_context *engine = &handshake->bear.engine;
    unsigned state = br_ssl_engine_current_state(engine);
    if (handshake->error != TLS_ERROR_NONE)
        return;
    if (state == BR_SSL_CLOSED) {
        int err = br_ssl_engine_last_error(engine);
        fail(handshake, error_of(handshake, err), err < BR_ERR_RECV_FATAL_ALERT);
    } else if (is_stuck(engine, state) ||
               (state & BR_SSL_SENDREC && handshake_name_differs(handshake))) {
        fail(handshake, TLS_ERROR_INTERNAL, true);
    }
}

/* ---- feeding ---- */

/* Looks at the head of a record before the engine gets its last byte. The engine takes alerts of
 * any length, and one that closes takes no byte behind it, not even of its own record, for which it
 * then waits. `filled` is how much of its buffer is full.
 * Returns whether the head can stand. */
static bool head_stands(struct tls_handshake *handshake, size_t filled)
{
    const unsigned char *head = handshake->buffer;
    if (filled != TLS_HEAD_SIZE || head[0] != TLS_ALERT)
        return true;
    const struct tls_direction *in = engine_record_in(&handshake->bear.engine);
    size_t len = 2 + (in ? tls_record_overhead(in) - TLS_HEAD_SIZE : 0);
    if (((size_t)head[3] << 8 | head[4]) == len)
        return true;
    fail(handshake, TLS_ERROR_BAD_ALERT, true);
    return false;
}

size_t tls_handshake_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len)
{
    if (handshake_is_13(&handshake->modern))
        return handshake_13_feed(handshake, bytes, len);
    br_ssl_engine_context *engine = &handshake->bear.engine;
    size_t fed = 0;
    while (fed < len && tls_handshake_progress(handshake) == TLS_WANTS_INPUT) {
        size_t room;
        unsigned char *area = br_ssl_engine_recvrec_buf(engine, &room);
        size_t part = len - fed < room ? len - fed : room;
        memcpy(area, bytes + fed, part);
        fed += part;
        if (!head_stands(handshake, (size_t)(area - handshake->buffer) + part))
            break;
        br_ssl_engine_recvrec_ack(engine, part);
        settle(handshake);
    }
    return fed;
}

size_t tls_handshake_output(struct tls_handshake *handshake, unsigned char *area, size_t size)
{
    if (handshake_is_13(&handshake->modern))
        return handshake_13_output(handshake, area, size);
    br_ssl_engine_context *engine = &handshake->bear.engine;
    size_t taken = 0, len;
    unsigned char *bytes;
    while (taken < size && (bytes = br_ssl_engine_sendrec_buf(engine, &len))) {
        len = len < size - taken ? len : size - taken;
        memcpy(area + taken, bytes, len);
        br_ssl_engine_sendrec_ack(engine, len);
        taken += len;
        settle(handshake);
    }
    if (handshake->alert_len > 0 && size - taken >= handshake->alert_len) {
        memcpy(area + taken, handshake->alert, handshake->alert_len);
        taken += handshake->alert_len;
        handshake->alert_len = 0;
    }
    return taken;
}

enum tls_progress tls_handshake_advance(struct tls_handshake *handshake, const unsigned char *bytes,
                                        size_t len, size_t *at)
{
    if (*at < len && tls_handshake_progress(handshake) == TLS_WANTS_INPUT)
        *at += tls_handshake_feed(handshake, bytes + *at, len - *at);
    return tls_handshake_progress(handshake);
}

/* ---- what came of it ---- */

enum tls_progress tls_handshake_progress(const struct tls_handshake *handshake)
{
    if (handshake_is_13(&handshake->modern))
        return handshake_13_progress(handshake);
    unsigned state = br_ssl_engine_current_state(&handshake->bear.engine);
    if (state & BR_SSL_SENDREC || handshake->alert_len > 0)
        return TLS_HAS_OUTPUT;
    if (handshake->error != TLS_ERROR_NONE)
        return TLS_FAILED;
    return state & BR_SSL_SENDAPP ? TLS_DONE : TLS_WANTS_INPUT;
}

bool tls_handshake_exchanged(const struct tls_handshake *handshake)
{
    if (handshake_is_13(&handshake->modern))
        return handshake->modern.keyed;
    return engine_record_in((br_ssl_engine_context *)&handshake->bear.engine) != NULL;
}

void tls_handshake_abort(struct tls_handshake *handshake)
{
    if (handshake_is_13(&handshake->modern))
        handshake_13_abort(handshake);
    else if (handshake->error == TLS_ERROR_NONE)
        fail(handshake, TLS_ERROR_INTERNAL, true);
}

enum tls_error tls_handshake_error(const struct tls_handshake *handshake)
{
    return (enum tls_error)handshake->error;
}

/* A smaller limit is the client's wish (RFC 6066 section 4). */
static uint8_t plain_log2(const br_ssl_engine_context *engine)
{
    uint8_t log2 = 9;
    while (log2 < 14 && (1U << (log2 + 1)) <= engine->max_frag_len)
        log2++;
    return log2;
}

void tls_handshake_keys(struct tls_handshake *handshake, struct tls_keys *ret)
{
    assert(tls_handshake_progress(handshake) == TLS_DONE);
    if (handshake_is_13(&handshake->modern)) {
        handshake_13_keys(handshake, ret);
        return;
    }
    br_ssl_engine_context *engine = &handshake->bear.engine;
    struct tls_direction *in = engine_record_in(engine), *out = engine_record_out(engine);
    assert(in && out);
    /* One by one: a compound literal would leave a copy on the stack. */
    ret->in = *in;
    ret->out = *out;
    ret->out.plain_log2 = plain_log2(engine);
}

bool tls_handshake_secrets(const struct tls_handshake *handshake, struct tls_secrets *ret)
{
    if (!handshake_is_13(&handshake->modern))
        return false;
    *ret = handshake->modern.secrets;
    return true;
}

bool tls_handshake_resumed(const struct tls_handshake *handshake)
{
    if (handshake_is_13(&handshake->modern))
        return gnutls_session_is_resumed(handshake->modern.session);
    const br_ssl_session_parameters *session = &handshake->bear.engine.session;
    if (handshake->is_server)
        return !handshake->policy.chosen;
    return session->session_id_len == TLS_SESSION_ID_SIZE &&
           memcmp(session->session_id, handshake->resuming, TLS_SESSION_ID_SIZE) == 0;
}

uint16_t tls_handshake_suite(const struct tls_handshake *handshake)
{
    if (handshake_is_13(&handshake->modern))
        return handshake_13_suite(handshake);
    return handshake->bear.engine.session.cipher_suite;
}

int tls_handshake_curve(const struct tls_handshake *handshake)
{
    if (handshake_is_13(&handshake->modern))
        return handshake_13_curve(handshake);
    return tls_handshake_resumed(handshake) ? 0 : handshake->bear.engine.ecdhe_curve;
}

int tls_handshake_protocol(const struct tls_handshake *handshake)
{
    if (handshake_is_13(&handshake->modern))
        return handshake_13_protocol(handshake);
    const char *name =
        br_ssl_engine_get_selected_protocol((br_ssl_engine_context *)&handshake->bear.engine);
    for (size_t i = 0; name && i < handshake->protocol_count; i++)
        if (strcmp(handshake->protocols[i], name) == 0)
            return (int)i;
    return -1;
}

bool tls_handshake_session(const struct tls_handshake *handshake, struct tls_session *ret)
{
    const br_ssl_engine_context *engine = &handshake->bear.engine;
    if (engine->session.session_id_len != TLS_SESSION_ID_SIZE)
        return false;
    *ret = (struct tls_session){.suite = engine->session.cipher_suite};
    memcpy(ret->id, engine->session.session_id, TLS_SESSION_ID_SIZE);
    memcpy(ret->secret, engine->session.master_secret, TLS_SECRET_SIZE);
    return true;
}
