/* refusal: why a request is refused. Every refusal has a name, which the client reads in
 * {"error":…} and /metrics counts as ringside_requests_refused_total{reason="…"}; docs/PROTOCOL.md
 * lists them.
 *
 *   0 … REFUSAL_OWN_COUNT-1   the table below
 *   then                      what the HTTP codec refuses (enum http_error)
 *   then                      what a WebSocket handshake is refused for (enum ws_handshake_error)
 */
#pragma once

#include "wire/http.h"
#include "wire/ws.h"

/* X(NAME, name, status, sentence for the client) */
#define REFUSALS(X)                                                                                \
    X(NOT_FOUND, not_found, 404, "there is nothing at this path")                                  \
    X(METHOD_NOT_ALLOWED, method_not_allowed, 405, "see the Allow field")                          \
    X(METHOD_UNKNOWN, method_unknown, 501, "this server has no such method")                       \
    X(BODY_UNEXPECTED, body_unexpected, 400, "only POST has a body here")                          \
    X(ORIGIN_REFUSED, origin_refused, 403, "allowed_origins does not list this page's origin")     \
    X(HEAD_TIMEOUT, head_timeout, 408, "the request was not complete in time")                     \
    X(BODY_TIMEOUT, body_timeout, 408, "the body stopped coming")                                  \
    X(NO_CHANNEL, no_channel, 400, "channel= is missing")                                          \
    X(BAD_CHANNEL, bad_channel, 400, "a channel is 1 to 128 of A-Z a-z 0-9 - _ . : / @ # ,")       \
    X(ONE_CHANNEL, one_channel, 400, "a message goes to one channel")                              \
    X(TOO_MANY_CHANNELS, too_many_channels, 400, "more than channels_per_connection_max")          \
    X(DUPLICATE_CHANNEL, duplicate_channel, 400, "the same channel is asked for twice")            \
    X(BAD_POSITION, bad_position, 400, "since is no position of these channels, in this order")    \
    X(BAD_TIMEOUT, bad_timeout, 400, "timeout is whole seconds, 0 to 3600")                        \
    X(BAD_QUERY, bad_query, 400, "the query has a broken percent escape")                          \
    X(BAD_DELTA, bad_delta, 400, "delta=fossil is the only one; of a publish delta=1")             \
    X(BAD_DATAGRAMS, bad_datagrams, 400,                                                           \
      "datagrams= is the number of a subscription, 0 to 63, and no other may have it")             \
    X(NO_DATAGRAMS, no_datagrams, 400,                                                             \
      "datagrams= is for WebTransport, a client that takes them, one channel, and no deltas")      \
    X(ENVELOPE_REQUIRED, envelope_required, 400, "several channels need envelope=1")               \
    X(ECHO_OFF, echo_off, 404, "start with --echo to have this")                                   \
    X(API_KEY_REQUIRED, api_key_required, 401, "only servers may do this: send an API key")        \
    X(BAD_EVENT, bad_event, 400,                                                                   \
      "an event is 1 to 64 characters of a channel's name, and none of the server's own")          \
    X(NO_TOPIC, no_topic, 400, "topic= is missing")                                                \
    X(BAD_TOPIC, bad_topic, 400, "a topic is empty, too long, the hub's own, or one too many")     \
    X(BAD_UPDATE, bad_update, 400, "the form is broken, or its data, type, id or retry is")        \
    X(LIST_TOO_LONG, list_too_long, 503, "more subscriptions than one answer has; ask by topic")   \
    X(ENDED, ended, 409, "the last message of this channel has been published")                    \
    X(OVERLOADED, overloaded, 503, "a bound of the hub is reached; try again")                     \
    X(BROKER_DOWN, broker_down, 503, "the engine of the cluster is not reached; nothing was done") \
    X(BROKER_TIMEOUT, broker_timeout, 504,                                                         \
      "the engine of the cluster did not answer: it may have been published")                      \
    X(BROKER_FULL, broker_full, 507, "the engine of the cluster has no room; not published")       \
    X(TABLE_FULL, table_full, 503, "max_connections is reached; try again")                        \
    X(ADMISSION, admission, 503, "more come than admits_per_s lets in; come back after retry_ms")  \
    X(ADDRESS_REQUESTS, address_requests, 429,                                                     \
      "your address asks too much; come back after retry_ms")                                      \
    X(ADDRESS_PUBLISHES, address_publishes, 429,                                                   \
      "your address publishes too much; come back after retry_ms")                                 \
    X(CHANNEL_PUBLISHES, channel_publishes, 429,                                                   \
      "more is published to this channel than publishes_per_s of its namespace")                   \
    X(DRAINING, draining, 503, "the server is going away")                                         \
    X(TOKEN_REQUIRED, token_required, 401, "who asks must say who that is: send a token")          \
    X(TOKEN_INVALID, token_invalid, 401, "the token does not count here")                          \
    X(TOKEN_EXPIRED, token_expired, 401, "the token has ended: get another one")                   \
    X(TOKEN_REVOKED, token_revoked, 401, "the token, or its user, was revoked")                    \
    X(TICKET_INVALID, ticket_invalid, 401, "a ticket is good once, and for ticket_ttl_ms")         \
    X(FORBIDDEN, forbidden, 403, "the namespace of the channel does not allow this to you")        \
    X(BAD_REVOCATION, bad_revocation, 400, "user= or token= says of whom, and ttl= how long")      \
    X(TICKETS_OFF, tickets_off, 404, "ticket_ttl_ms is 0")                                         \
    X(BAD_CONNECT, bad_connect, 400, "a connect request in JSON is missing, or is none")           \
    X(BAD_EMULATION, bad_emulation, 400, "an emulation is JSON with strings: session, node, data") \
    X(NO_SESSION, no_session, 404, "there is no such session on this node: connect again")         \
    X(NODE_SILENT, node_silent, 503,                                                               \
      "another node of the cluster does not answer: it may have been done, ask again")             \
    X(SESSION_BEHIND, session_behind, 429, "the session's stream is not read fast enough")         \
    X(UNKNOWN_HOOK, unknown_hook, 404, "no webhook of this name is received here")                 \
    X(HOOK_UNSIGNED, hook_unsigned, 401, "the fields of a signed webhook are missing or broken")   \
    X(HOOK_SIGNATURE, hook_signature, 401, "none of its secrets makes one of these signatures")    \
    X(HOOK_STALE, hook_stale, 401, "it was signed too long ago, or in the future: see the clocks") \
    X(HOOK_ID, hook_id, 400, "the body is no JSON object with a short id, as this scheme has it")  \
    X(WEBHOOKS_OFF, webhooks_off, 404, "webhook_queue is empty")                                   \
    X(WEBHOOKS_FULL, webhooks_full, 507,                                                           \
      "the queue of webhooks has no room for what this would tell; not published")                 \
    X(RTC_OFF, rtc_off, 404, "start with rtc_address to have this")                                \
    X(RTC_FULL, rtc_full, 503, "as many peers, or handshakes, as there may be; try again")         \
    X(NO_PEER, no_peer, 404, "there is no such peer, or it is not yours")                          \
    X(OFFER_TYPE, offer_type, 415, "an offer is application/sdp")                                  \
    X(OFFER_SYNTAX, offer_syntax, 422, "the offer is not lines of a letter, = and a value")        \
    X(OFFER_VERSION, offer_version, 422, "the offer does not begin with v=0")                      \
    X(OFFER_MEDIA, offer_media, 422, "an offer has data channels, and no media")                   \
    X(OFFER_ICE, offer_ice, 422, "the offer has no ice-ufrag and ice-pwd, or is of a lite agent")  \
    X(OFFER_FINGERPRINT, offer_fingerprint, 422, "the offer has no fingerprint of SHA-256")        \
    X(OFFER_SETUP, offer_setup, 422, "the one that offers must begin the handshake")               \
    X(OFFER_SCTP, offer_sctp, 422, "the offer has no sctp-port")                                   \
    X(TURN_OFF, turn_off, 404, "start with turn_uris to have this")                                \
    X(TLS_REQUIRED, tls_required, 400, "this port speaks TLS: use https:// or wss://")

#define REFUSAL_ENUM(NAME, name, status, sentence) REFUSAL_##NAME,
enum refusal {
    REFUSALS(REFUSAL_ENUM) REFUSAL_OWN_COUNT,
    REFUSAL_COUNT = REFUSAL_OWN_COUNT + HTTP_ERROR_COUNT + WS_HANDSHAKE_COUNT,
};

static inline enum refusal refusal_http(int error)
{
    return (enum refusal)(REFUSAL_OWN_COUNT - error);
}

static inline enum refusal refusal_handshake(int error)
{
    return (enum refusal)(REFUSAL_OWN_COUNT + HTTP_ERROR_COUNT - error);
}

/* The name, or NULL for the numbers that stand for no error. */
const char *refusal_name(enum refusal refusal);
int refusal_status(enum refusal refusal);
const char *refusal_sentence(enum refusal refusal);
