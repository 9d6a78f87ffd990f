/* error: why TLS ended on a connection. Every failure of the codec has one of these names;
 * /metrics counts them and docs/TLS.md lists them.
 *
 * Threads  any.
 * Errors   Functions of tls/ return the number negated: -TLS_ERROR_BAD_MAC.
 * Source   RFC 5246 section 7.2 for the alerts. */
#pragma once

#include <stdint.h>

/* X(NAME, name, alert that we send or -1, meaning) */
#define TLS_ERRORS(X)                                                                              \
    X(NONE, none, -1, "nothing is wrong")                                                          \
    X(PLAIN_HTTP, plain_http, -1, "an HTTP request without TLS")                                   \
    X(NOT_TLS, not_tls, -1, "the first bytes are no TLS record")                                   \
    X(VERSION, version, 70, "no version that is spoken here, or a record of another one")          \
    X(NOTHING_COMMON, nothing_common, 40,                                                          \
      "no cipher suite, curve or signature that both sides have")                                  \
    X(NO_PROTOCOL, no_protocol, 120, "ALPN offers only protocols that are not spoken here")        \
    X(BAD_HANDSHAKE, bad_handshake, 50, "a handshake message that breaks its RFC")                 \
    X(HELLO_TOO_LONG, hello_too_long, 50,                                                          \
      "a ClientHello of more than 16,384 bytes, or a handshake of more than 49,152")               \
    X(BAD_FINISHED, bad_finished, 51, "the two sides saw different handshakes")                    \
    X(BAD_SIGNATURE, bad_signature, 51, "the key exchange is not signed by the certificate")       \
    X(UNTRUSTED, untrusted, 42, "the certificate is not the expected one, or is broken")           \
    X(BAD_MAC, bad_mac, 20, "a record that does not decrypt")                                      \
    X(RECORD_TOO_LONG, record_too_long, 22, "a record of more than 16,384 bytes")                  \
    X(RECORD_TOO_SHORT, record_too_short, 50, "a record too short to hold its tag")                \
    X(UNKNOWN_TYPE, unknown_type, 10, "a record of unknown type")                                  \
    X(UNEXPECTED, unexpected, 10, "a record that has no place where it came")                      \
    X(BAD_ALERT, bad_alert, 50, "an alert that is not two bytes, in a record of its own")          \
    X(ALERT_RECEIVED, alert_received, -1, "the peer gave up with a fatal alert")                   \
    X(RENEGOTIATION, renegotiation, 100, "the peer asked for a second handshake")                  \
    X(KEY_UPDATES, key_updates, 10, "the peer changes its keys faster than it says anything")      \
    X(CLOSED, closed, -1, "the peer said close_notify during the handshake")                       \
    X(TRUNCATED, truncated, -1, "the peer's stream ended inside a handshake or a record")          \
    X(INTERNAL, internal, 80, "a bound of the TLS library")

#define TLS_ERROR_ENUM(NAME, name, alert, meaning) TLS_ERROR_##NAME,
enum tls_error {
    TLS_ERRORS(TLS_ERROR_ENUM) TLS_ERROR_COUNT,
};

const char *tls_error_name(enum tls_error error);
const char *tls_error_meaning(enum tls_error error);

/* The alert that tells the peer, or -1 when nothing is sent. */
int tls_error_alert(enum tls_error error);
