#include "tls/dtls.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/record.h"

enum {
    DATAGRAMS_MAX = 8,
    RETRANSMIT_MS = 400,
    TOTAL_MS = 20000,
    LATE_BYTES_MAX = 64, /* of a change of keys, or of a Finished: 61 with AES-128-GCM */
    YEAR_S = 365 * 24 * 3600,
};

#define PRIORITY                                                                                   \
    "NONE:+VERS-DTLS1.2:+ECDHE-ECDSA:+AES-128-GCM:+CHACHA20-POLY1305:+AEAD:"                       \
    "+SIGN-ECDSA-SHA256:+SIGN-RSA-SHA256:+GROUP-X25519:+GROUP-SECP256R1:+COMP-NULL:+CTYPE-X509"

struct dtls_identity {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    uint8_t fingerprint[DTLS_FINGERPRINT_SIZE];
};

/* A record that has come before what is to be taken first; len 0: none. */
struct late {
    uint8_t len;
    uint8_t bytes[LATE_BYTES_MAX];
};

struct dtls_handshake {
    gnutls_session_t session;
    enum dtls_role role;
    bool may_repeat;   /* the last flight, as far as is known */
    bool has_said;     /* something, since this was last set to false */
    bool has_changed;  /* the peer's change of keys has been taken */
    const uint8_t *in; /* the record that is being fed; NULL when it has been taken */
    size_t in_len;
    uint8_t expected[DTLS_FINGERPRINT_SIZE];
    enum dtls_progress progress;
    unsigned timeouts;
    /* Datagrams to be taken, one behind the other. */
    unsigned out_at, out_count;
    size_t out_from, out_end;
    uint16_t out_len[DATAGRAMS_MAX];
    uint8_t out[DTLS_FLIGHT_MAX];
    struct late late_change, late_finished;
};

/* ---- the certificate ---- */

static int certificate_fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
    static const uint8_t serial[1] = {1};
    time_t now = time(NULL);
    int err = gnutls_x509_crt_set_version(crt, 3);
    if (err == 0)
        err = gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
    if (err == 0)
        err = gnutls_x509_crt_set_activation_time(crt, now - YEAR_S);
    if (err == 0)
        err = gnutls_x509_crt_set_expiration_time(crt, now + 10 * (time_t)YEAR_S);
    if (err == 0)
        err = gnutls_x509_crt_set_dn(crt, "CN=rtc", NULL);
    if (err == 0)
        err = gnutls_x509_crt_set_key(crt, key);
    return err == 0 ? gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) : err;
}

static int certificate_make(struct dtls_identity *identity, gnutls_x509_crt_t crt,
                            gnutls_x509_privkey_t key)
{
    size_t len = sizeof identity->fingerprint;
    int err = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                           GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (err == 0)
        err = certificate_fill(crt, key);
    if (err == 0)
        err = gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, identity->fingerprint, &len);
    if (err == 0)
        err = gnutls_certificate_set_x509_key(identity->credentials, &crt, 1, key);
    return err;
}

static int identity_init(struct dtls_identity *identity)
{
    gnutls_x509_crt_t crt = NULL;
    gnutls_x509_privkey_t key = NULL;
    int err = gnutls_certificate_allocate_credentials(&identity->credentials);
    if (err == 0)
        err = gnutls_priority_init(&identity->priority, PRIORITY, NULL);
    if (err == 0)
        err = gnutls_x509_crt_init(&crt);
    if (err == 0)
        err = gnutls_x509_privkey_init(&key);
    if (err == 0)
        err = certificate_make(identity, crt, key);
    if (crt)
        gnutls_x509_crt_deinit(crt);
    if (key)
        gnutls_x509_privkey_deinit(key);
    return err;
}

struct dtls_identity *dtls_identity_create(void)
{
    struct dtls_identity *identity = calloc(1, sizeof *identity);
    if (identity && identity_init(identity) < 0) {
        dtls_identity_free(identity);
        return NULL;
    }
    return identity;
}

void dtls_identity_free(struct dtls_identity *identity)
{
    if (!identity)
        return;
    if (identity->credentials)
        gnutls_certificate_free_credentials(identity->credentials);
    if (identity->priority)
        gnutls_priority_deinit(identity->priority);
    free(identity);
}

const uint8_t *dtls_identity_fingerprint(const struct dtls_identity *identity)
{
    return identity->fingerprint;
}

/* ---- datagrams in and out ---- */

static ssize_t pull(gnutls_transport_ptr_t context, void *bytes, size_t size)
{
    struct dtls_handshake *handshake = context;
    if (!handshake->in) {
        gnutls_transport_set_errno(handshake->session, EAGAIN);
        return -1;
    }
    size_t len = handshake->in_len < size ? handshake->in_len : size;
    memcpy(bytes, handshake->in, len);
    handshake->in = NULL;
    return (ssize_t)len;
}

static int pull_timeout(gnutls_transport_ptr_t context, unsigned ms)
{
    (void)ms;
    const struct dtls_handshake *handshake = context;
    return handshake->in != NULL;
}

/* The library says each message in a datagram of its own: those of a flight are gathered. What does
 * not fit is lost, and said again. */
static ssize_t push(gnutls_transport_ptr_t context, const void *bytes, size_t size)
{
    struct dtls_handshake *handshake = context;
    handshake->has_said = handshake->may_repeat = true;
    if (handshake->out_at == handshake->out_count)
        handshake->out_at = handshake->out_count = 0, handshake->out_from = handshake->out_end = 0;
    uint16_t *last = handshake->out_count > handshake->out_at
                         ? &handshake->out_len[handshake->out_count - 1]
                         : NULL;
    bool joins = last && *last + size <= DTLS_DATAGRAM_MAX;
    if (size > DTLS_DATAGRAM_MAX || size > sizeof handshake->out - handshake->out_end ||
        (!joins && handshake->out_count == DATAGRAMS_MAX))
        return (ssize_t)size;
    memcpy(handshake->out + handshake->out_end, bytes, size);
    handshake->out_end += size;
    if (joins)
        *last = (uint16_t)(*last + size);
    else
        handshake->out_len[handshake->out_count++] = (uint16_t)size;
    return (ssize_t)size;
}

size_t dtls_handshake_output(struct dtls_handshake *handshake, uint8_t datagram[DTLS_DATAGRAM_MAX])
{
    if (handshake->out_at == handshake->out_count)
        return 0;
    size_t len = handshake->out_len[handshake->out_at++];
    memcpy(datagram, handshake->out + handshake->out_from, len);
    handshake->out_from += len;
    return len;
}

/* ---- a session ---- */

static int session_set(struct dtls_handshake *handshake, const struct dtls_identity *identity,
                       enum dtls_role role)
{
    gnutls_session_t session = handshake->session;
    gnutls_transport_set_ptr(session, handshake);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_pull_timeout_function(session, pull_timeout);
    gnutls_transport_set_push_function(session, push);
    if (role == DTLS_SERVER)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    gnutls_dtls_set_mtu(session, DTLS_DATAGRAM_MAX);
    gnutls_dtls_set_timeouts(session, RETRANSMIT_MS, TOTAL_MS);
    int err = gnutls_priority_set(session, identity->priority);
    if (err == 0)
        err = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identity->credentials);
    /* Some stacks end a transport without it, though no media is wanted. */
    if (err == 0)
        err = gnutls_srtp_set_profile(session, GNUTLS_SRTP_AES128_CM_HMAC_SHA1_80);
    return err;
}

/* ---- going on ---- */

/* Whether the certificate that the peer has shown, and has the key of, is the one that it named. */
static bool peer_right(const struct dtls_handshake *handshake)
{
    uint8_t found[DTLS_FINGERPRINT_SIZE];
    size_t len = sizeof found;
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(handshake->session, &count);
    return chain && count > 0 &&
           gnutls_fingerprint(GNUTLS_DIG_SHA256, &chain[0], found, &len) == 0 &&
           len == sizeof found && memcmp(found, handshake->expected, len) == 0;
}

static void failed(struct dtls_handshake *handshake, int err)
{
    handshake->progress = DTLS_FAILED;
    if (err == GNUTLS_E_SUCCESS)
        gnutls_alert_send(handshake->session, GNUTLS_AL_FATAL, GNUTLS_A_BAD_CERTIFICATE);
    else if (err != GNUTLS_E_FATAL_ALERT_RECEIVED)
        gnutls_alert_send_appropriate(handshake->session, err);
}

static void shake(struct dtls_handshake *handshake)
{
    int err;
    do {
        err = gnutls_handshake(handshake->session);
    } while (err == GNUTLS_E_INTERRUPTED || err == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (err == GNUTLS_E_SUCCESS && peer_right(handshake))
        handshake->progress = DTLS_SHAKEN;
    else if (err == GNUTLS_E_SUCCESS || gnutls_error_is_fatal(err))
        failed(handshake, err);
}

static void record_feed(struct dtls_handshake *handshake, const uint8_t *record, size_t len)
{
    handshake->in = record;
    handshake->in_len = len;
    shake(handshake);
    handshake->in = NULL;
}

/* A client that has not heard our last flight says its own again, perhaps in the same records,
 * which the library passes over; otherwise it answers ever more seldom. So what was said last is
 * said again, as it was, to whoever proves to have the keys. */
static void flight_repeat(struct dtls_handshake *handshake, const uint8_t *record, size_t len)
{
    struct dtls_keys keys;
    struct dtls_record opened;
    uint8_t copy[LATE_BYTES_MAX];
    if (handshake->role != DTLS_SERVER || len > sizeof copy)
        return;
    memcpy(copy, record, len);
    dtls_handshake_keys(handshake, &keys);
    if (dtls_record_open(&keys, copy, len, &opened) > 0 && opened.type == TLS_HANDSHAKE)
        handshake->out_at = 0, handshake->out_from = 0;
    dtls_keys_wipe(&keys);
}

/* ---- order ---- */

/* The library ends a handshake, for good, when the change of keys comes where a message of its
 * flight is missing, and knows no record under keys that it does not have yet. Both come again,
 * but on a bad network there may be no flight of which everything comes. So they wait here. */
static void keep(struct late *late, const uint8_t *record, size_t len)
{
    if (len > sizeof late->bytes)
        return;
    memcpy(late->bytes, record, len);
    late->len = (uint8_t)len;
}

/* Whether the last message that a change of keys follows has been taken. */
static bool flight_ends(const struct dtls_handshake *handshake)
{
    gnutls_handshake_description_t last = gnutls_handshake_get_last_in(handshake->session);
    return last == GNUTLS_HANDSHAKE_CERTIFICATE_VERIFY ||
           last == GNUTLS_HANDSHAKE_SERVER_HELLO_DONE;
}

static void late_feed(struct dtls_handshake *handshake)
{
    if (handshake->progress != DTLS_SHAKING || !flight_ends(handshake))
        return;
    if (!handshake->has_changed && handshake->late_change.len > 0) {
        handshake->has_changed = true;
        record_feed(handshake, handshake->late_change.bytes, handshake->late_change.len);
    }
    size_t len = handshake->has_changed ? handshake->late_finished.len : 0;
    if (len == 0 || handshake->progress != DTLS_SHAKING)
        return;
    handshake->late_finished.len = 0;
    record_feed(handshake, handshake->late_finished.bytes, len);
}

static void record_taken(struct dtls_handshake *handshake, const uint8_t *record, size_t len)
{
    uint8_t type;
    uint16_t epoch;
    (void)dtls_record_peek(record, len, &type, &epoch);
    if (handshake->progress == DTLS_FAILED)
        return;
    if (handshake->progress == DTLS_SHAKEN) {
        if (epoch > 0)
            flight_repeat(handshake, record, len);
        return;
    }
    if (type == TLS_CHANGE_CIPHER_SPEC)
        keep(&handshake->late_change, record, len);
    else if (epoch > 0)
        keep(&handshake->late_finished, record, len);
    else
        record_feed(handshake, record, len);
    late_feed(handshake);
}

enum dtls_progress dtls_handshake_feed(struct dtls_handshake *handshake, const uint8_t *datagram,
                                       size_t len)
{
    uint8_t type;
    uint16_t epoch;
    int size;
    handshake->has_said = false;
    while ((size = dtls_record_peek(datagram, len, &type, &epoch)) > 0) {
        record_taken(handshake, datagram, (size_t)size);
        datagram += size;
        len -= (size_t)size;
    }
    if (handshake->has_said)
        handshake->timeouts = 0;
    return handshake->progress;
}

/* ---- time ---- */

unsigned dtls_handshake_wait_ms(struct dtls_handshake *handshake)
{
    if (!handshake->may_repeat || handshake->progress != DTLS_SHAKING)
        return 0;
    unsigned ms = gnutls_dtls_get_timeout(handshake->session);
    return ms > 0 ? ms : 1;
}

/* The library's clock is not the caller's: called too early it says nothing, and is to be asked
 * again. When it is time and it says nothing, the peer has begun with its next flight: then it is
 * the peer's turn to repeat. */
enum dtls_progress dtls_handshake_timer(struct dtls_handshake *handshake)
{
    if (handshake->progress != DTLS_SHAKING || !handshake->may_repeat ||
        gnutls_dtls_get_timeout(handshake->session) > 0)
        return handshake->progress;
    handshake->has_said = false;
    if (handshake->timeouts == DTLS_TIMEOUTS_MAX)
        handshake->progress = DTLS_FAILED;
    else
        shake(handshake);
    handshake->may_repeat = handshake->has_said;
    handshake->timeouts += handshake->has_said;
    return handshake->progress;
}

/* ---- beginning, and end ---- */

struct dtls_handshake *dtls_handshake_create(const struct dtls_identity *identity,
                                             enum dtls_role role,
                                             const uint8_t fingerprint[DTLS_FINGERPRINT_SIZE])
{
    struct dtls_handshake *handshake = calloc(1, sizeof *handshake);
    if (!handshake)
        return NULL;
    handshake->role = role;
    memcpy(handshake->expected, fingerprint, sizeof handshake->expected);
    unsigned flags = GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
    flags |= role == DTLS_SERVER ? GNUTLS_SERVER : GNUTLS_CLIENT;
    if (gnutls_init(&handshake->session, flags) < 0 || session_set(handshake, identity, role) < 0) {
        dtls_handshake_free(handshake);
        return NULL;
    }
    if (role == DTLS_CLIENT)
        shake(handshake);
    return handshake;
}

void dtls_handshake_free(struct dtls_handshake *handshake)
{
    if (!handshake)
        return;
    if (handshake->session)
        gnutls_deinit(handshake->session);
    free(handshake);
}

/* ---- what came of it ---- */

static uint64_t number_of(const unsigned char sequence[8])
{
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++)
        number = number << 8 | sequence[i];
    return number;
}

void dtls_handshake_keys(struct dtls_handshake *handshake, struct dtls_keys *ret)
{
    gnutls_datum_t in_iv, in_key, out_iv, out_key;
    unsigned char sequence[8];
    enum tls_cipher cipher = gnutls_cipher_get(handshake->session) == GNUTLS_CIPHER_AES_128_GCM
                                 ? TLS_AES_128_GCM
                                 : TLS_CHACHA20_POLY1305;
    assert(handshake->progress == DTLS_SHAKEN);
    int err = gnutls_record_get_state(handshake->session, 1, NULL, &in_iv, &in_key, NULL);
    assert(err == 0);
    err = gnutls_record_get_state(handshake->session, 0, NULL, &out_iv, &out_key, sequence);
    assert(err == 0);
    dtls_keys_init(ret, cipher, in_key.data, in_iv.data, out_key.data, out_iv.data,
                   number_of(sequence));
}
