/* close_reason: why connections end. Every end has exactly one, counted in /metrics as
 * ringside_connections_closed_total{reason="…"} and listed in docs/PROTOCOL.md. */
#pragma once

#include <errno.h>
#include <stdint.h>

#include "wire/span.h"

/* X(NAME, name, websocket close code or 0 for none, meaning) */
#define CLOSE_REASONS(X)                                                                           \
    X(DONE, done, 1000, "the exchange was over: the peer closed, or asked for no keep-alive")      \
    X(ENDED, ended, 1000, "the last message of its channel had been given")                        \
    X(PEER_RESET, peer_reset, 0, "the peer reset the connection or vanished with an error")        \
    X(TABLE_FULL, table_full, 0, "max_connections reached: answered 503")                          \
    X(BAD_REQUEST, bad_request, 0,                                                                 \
      "a request that is not HTTP/1.1, or is refused: answered 4xx or 5xx")                        \
    X(HEAD_TIMEOUT, head_timeout, 0,                                                               \
      "no complete request in head_timeout_ms: answered 408 if it had begun")                      \
    X(IDLE, idle, 0, "kept alive without a request for idle_timeout_ms")                           \
    X(GOING_AWAY, going_away, 1001, "the server drains")                                           \
    X(WS_PROTOCOL, ws_protocol, 1002, "a frame that breaks RFC 6455")                              \
    X(WS_UTF8, ws_utf8, 1007, "a text message that is not UTF-8")                                  \
    X(WS_INFLATE, ws_inflate, 1007, "a compressed message that is no DEFLATE")                     \
    X(WS_BOMBS, ws_bombs, 1008,                                                                    \
      "compressed messages that became more than 32 times what came at once, and one message")     \
    X(WS_POLICY, ws_policy, 1008, "a message from a client that may not publish")                  \
    X(WS_TOO_BIG, ws_too_big, 1009, "a message over message_bytes_max")                            \
    X(WS_TIMEOUT, ws_timeout, 1008, "a message that was not complete in body_timeout_ms")          \
    X(WS_BAD_MESSAGE, ws_bad_message, 1003, "an envelope that is not the JSON it should be")       \
    X(HEARTBEAT, heartbeat, 0, "a WebSocket was silent for two heartbeats")                        \
    X(SLOW_READER, slow_reader, 0, "more than queue_bytes_max waited for the reader")              \
    X(STALLED, stalled, 0, "the reader took or acknowledged nothing for stall_timeout_ms")         \
    X(QUEUE_TOTAL, queue_total, 0,                                                                 \
      "queue_total_bytes_max reached, and this reader had kept most waiting for longest; or "      \
      "memory "                                                                                    \
      "out for its messages")                                                                      \
    X(INPUT_TOTAL, input_total, 1013,                                                              \
      "input_total_bytes_max reached, and this client had left most unfinished for longest")       \
    X(HTTP2_TOTAL, http2_total, 0,                                                                 \
      "http2_total_bytes_max reached, and this connection had held most for longest")              \
    X(UNRECOVERABLE, unrecoverable, 4410, "a raw WebSocket asked for a position that is gone")     \
    X(GAP, gap, 4411, "messages of its channel were missed, and cannot be had any more")           \
    X(OVERLOADED, overloaded, 1013, "a bound of the hub was reached, or memory was out")           \
    X(SESSION_BAD_REQUEST, session_bad_request, 3501,                                              \
      "a session's client sent what is no command, or a command out of place")                     \
    X(SESSION_STALE, session_stale, 3502, "a session without a connect in head_timeout_ms")        \
    X(SESSION_NO_PONG, session_no_pong, 3012, "a session's client did not answer a ping")          \
    X(SESSION_TOKEN, session_token, 3500,                                                          \
      "a session's client brought a token that does not count")                                    \
    X(SESSION_CHANNELS, session_channels, 3505,                                                    \
      "a session was to begin with more than session_channels_max, or with what is no channel")    \
    X(SESSION_FORBIDDEN, session_forbidden, 3507,                                                  \
      "a client that only listens asked for a channel that it may not have")                       \
    X(SESSION_PROTOCOL, session_protocol, 3506, "a session's client speaks no JSON")               \
    X(TOKEN_EXPIRED, token_expired, 3005, "the token that it lived on has ended")                  \
    X(DISCONNECTED, disconnected, 3503, "a server asked for it, by POST /api/disconnect")          \
    X(APPLICATION, application, 4500,                                                              \
      "its application said so, with a code of its own: proxy hooks")                              \
    X(REVOKED, revoked, 3503, "its user, or the token that it lived on, was revoked")              \
    X(ADMISSION, admission, 0, "not let in by admits_per_s: told when to come back")               \
    X(LINGER, linger, 0, "the last answer could not leave in time")                                \
    X(ADDRESS_CONNECTIONS, address_connections, 0,                                                 \
      "address_connections_max were open from its address: reset")                                 \
    X(ADDRESS_CONNECTS, address_connects, 0,                                                       \
      "more came from its address than address_connects_per_s: reset")                             \
    X(ADDRESS_REQUESTS, address_requests, 0,                                                       \
      "its address asked more than address_requests_per_s: answered 429")                          \
    X(ADDRESS_PUBLISHES, address_publishes, 1013,                                                  \
      "its address published more than address_publishes_per_s: answered 429")                     \
    X(CARRIER, carrier, 0, "of a stream: its connection ended, and says why")                      \
    X(HTTP2_ERROR, http2_error, 0,                                                                 \
      "a connection error of RFC 9113: ringside_http2_errors_total says which")                    \
    X(HTTP2_FLOOD, http2_flood, 0,                                                                 \
      "a bound on what a client may make us do for nothing: ringside_http2_floods_total says "     \
      "which")                                                                                     \
    X(QUIC_TOTAL, quic_total, 0,                                                                   \
      "quic_total_bytes_max reached, and this connection had held most for longest")               \
    X(QUIC_ERROR, quic_error, 0,                                                                   \
      "of QUIC: a transport error, or a first packet that was not the beginning of one")           \
    X(HTTP3_ERROR, http3_error, 0,                                                                 \
      "a connection error of RFC 9114: ringside_http3_errors_total says which")                    \
    X(RTC_TOTAL, rtc_total, 0,                                                                     \
      "rtc_total_bytes_max reached, and this peer had held most for longest")                      \
    X(RTC_TIMEOUT, rtc_timeout, 0,                                                                 \
      "of WebRTC: no check in 10 s behind the offer, or nothing that stands in 20 s")              \
    X(RTC_SILENT, rtc_silent, 0, "of WebRTC: no check for 30 s, or no answer to what was sent")    \
    X(RTC_DTLS, rtc_dtls, 0,                                                                       \
      "of WebRTC: the handshake failed, or the certificate is not that of the offer")              \
    X(RTC_SCTP, rtc_sctp, 0, "of WebRTC: packets that break RFC 9260, or its bounds")              \
    X(RTC_TOO_BIG, rtc_too_big, 0, "of a data channel: a message over 64 KiB was for it")          \
    X(PROXY, proxy, 0, "no PROXY header, where one is expected, or not in time")                   \
    X(TLS, tls, 0, "TLS failed: ringside_tls_errors_total says of what")                           \
    X(TLS_TIMEOUT, tls_timeout, 0, "no complete TLS handshake in tls_handshake_timeout_ms")        \
    X(TLS_EVICTED, tls_evicted, 0,                                                                 \
      "its handshake stood still, and others waited: tls_handshakes_max were under way")

#define CLOSE_REASON_ENUM(NAME, name, code, meaning) CLOSE_##NAME,
enum close_reason {
    CLOSE_REASONS(CLOSE_REASON_ENUM) CLOSE_REASON_COUNT,
};

const char *close_reason_name(enum close_reason reason);
const char *close_reason_meaning(enum close_reason reason);
/* Why a connection ends whose socket gave this error: its peer acknowledges nothing any more
 * (TCP_USER_TIMEOUT), or has left. */
static inline enum close_reason close_reason_of_error(int err)
{
    return err == -ETIMEDOUT ? CLOSE_STALLED : CLOSE_PEER_RESET;
}

/* What a client of the Centrifuge protocol is told instead: its code, 3000 to 3499 for those who
 * are to come back, 3500 to 3999 for those who are not; or 0, when it is the WebSocket's. */
unsigned close_reason_disconnect(enum close_reason reason, struct span *ret_words);

/* The code of the close frame that announces it, or 0 when a WebSocket is closed without one. */
uint16_t close_reason_code(enum close_reason reason);
