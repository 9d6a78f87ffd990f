/* counters: what a shard counts. Written by its thread only; /metrics on any shard reads them all.
 *
 * Threads  counter_add and counter_set on the owner, counter_read anywhere: relaxed atomics, no
 *          lock. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "conn/close_reason.h"
#include "conn/http2_floods.h"
#include "conn/refusal.h"
#include "tls/error.h"
#include "wire/http3.h"

/* X(name, kind, help): kind is counter or gauge, as Prometheus means them. */
#define COUNTERS(X)                                                                                \
    X(accepted, counter, "Connections accepted")                                                   \
    X(accept_refused, counter, "Connections lost before they had a slot")                          \
    X(admitted, counter, "Connections that became subscribers, by their first request")            \
    X(lingers_cut, counter,                                                                        \
      "Connections closed because the client did not, 2 s after its last answer")                  \
    X(connections, gauge, "Open connections")                                                      \
    X(addresses_counted, gauge, "Open connections that are counted on their address")              \
    X(addresses_untracked, counter,                                                                \
      "Connections, requests and publishes not limited by address, for want of room to count")     \
    X(streams_opened, counter, "Streams opened on connections that carry them")                    \
    X(streams, gauge, "Open streams of connections that carry them")                               \
    X(http2_connections, gauge, "Open connections with HTTP/2")                                    \
    X(http2_pushes, counter, "Resources pushed: http2_push")                                       \
    X(http2_pushes_unwanted, counter,                                                              \
      "Not pushed, as the client's SETTINGS say that it takes none")                               \
    X(http2_bytes, gauge, "Bytes that the HTTP/2 library holds for connections")                   \
    X(requests, counter, "HTTP requests with a complete head")                                     \
    X(responses_empty, counter, "Poll answers without a message")                                  \
    X(responses_unchanged, counter, "Polls answered 304: the client has the answer")               \
    X(errors_4xx, counter, "Answers with a 4xx status")                                            \
    X(errors_5xx, counter, "Answers with a 5xx status")                                            \
    X(bytes_received, counter, "Bytes received")                                                   \
    X(bytes_sent, counter, "Bytes sent")                                                           \
    X(sends, counter, "Sends: one may carry many messages")                                        \
    X(sends_short, counter, "Sends that found the socket full")                                    \
    X(messages_received, counter, "Messages published by clients of this shard")                   \
    X(webhooks_received, counter, "Webhooks that were published")                                  \
    X(webhooks_repeated, counter, "Webhooks that had been published before, by their id")          \
    X(messages_dropped, counter,                                                                   \
      "Live messages dropped for slow readers (slow_reader=drop_oldest or keep_latest)")           \
    X(gatherings_cut, counter,                                                                     \
      "Streams ended because a channel did not answer while the others brought too much")          \
    X(deflate_accepted, counter, "WebSockets opened with permessage-deflate")                      \
    X(deflate_declined, counter, "Handshakes with no offer of it that the server can go by")       \
    X(streams_gzip, counter, "SSE streams opened as gzip")                                         \
    X(deflates, counter, "Messages deflated, each once for all who share its frame")               \
    X(deflate_bytes_plain, counter, "Bytes of them before")                                        \
    X(deflate_bytes, counter, "Bytes of them behind it")                                           \
    X(deltas, counter, "Messages compared with the ones before, each once for all who asked")      \
    X(delta_bytes_plain, counter, "Bytes of them")                                                 \
    X(delta_bytes, counter, "Bytes of their deltas, or of them where there is none")               \
    X(deltas_declined, counter,                                                                    \
      "Subscriptions that ask for deltas unknown here, or in a namespace without")                 \
    X(inflates, counter, "Messages of clients inflated")                                           \
    X(pings, counter, "Heartbeats sent")                                                           \
    X(pings_skipped, counter, "Heartbeats left out, as a message had just been sent")              \
    X(input_bytes, gauge, "Bytes of input that is no whole request or message yet")                \
    X(queue_bytes, gauge,                                                                          \
      "Bytes of blocks with frames for readers that are behind; each shard's open block is one")   \
    X(kept_bytes, gauge, "Bytes of messages held for answers whose readers are behind")            \
    X(turns, counter, "Turns of the loop")                                                         \
    X(system_calls, counter, "System calls made for sockets")                                      \
    X(streams_sse, gauge, "Open SSE streams")                                                      \
    X(streams_websocket, gauge, "Open WebSockets")                                                 \
    X(mercure_ends_lost, counter,                                                                  \
      "Subscriptions of Mercure that ended, of which no event could tell")                         \
    X(sessions, gauge, "Open connections with the Centrifuge protocol")                            \
    X(streams_session, gauge, "Open answers of HTTP that are streams of it")                       \
    X(proxy_asked, counter, "Questions to an application")                                         \
    X(proxy_failed, counter, "Questions without a verdict that could be understood")               \
    X(proxy_refused, counter,                                                                      \
      "Questions not asked, at a bound or as the application was not there")                       \
    X(proxy_waiting, gauge, "Questions that are waited for")                                       \
    X(proxy_bytes, gauge, "Bytes of them")                                                         \
    X(emulations, counter, "Requests with commands for such streams")                              \
    X(commands, counter, "Commands of the Centrifuge protocol")                                    \
    X(commands_bad, counter, "Commands that were none, and ended their connection")                \
    X(presence_lost, counter, "Clients that came or went, of whom presence was not told")          \
    X(presence_bytes, gauge, "Bytes held of who is present")                                       \
    X(presence_full, counter, "Clients that are not present, for presence_total_bytes_max")        \
    X(tokens_refreshed, counter, "Tokens exchanged inside a connection")                           \
    X(orders, counter, "Sessions that a server had subscribed, unsubscribed, closed or refreshed") \
    X(commands_refused, counter, "Commands answered by an error")                                  \
    X(longpolls_held, gauge, "Long polls being held")                                              \
    X(signed_on, gauge, "Open connections that live on a token")                                   \
    X(revocations, gauge, "Users and tokens that are remembered as revoked, by each shard")        \
    X(revocations_lost, counter, "Revocations that a shard had no room for: revoked_max")          \
    X(tls_handshakes_full, counter, "TLS handshakes completed with a signature")                   \
    X(tls_handshakes_resumed, counter, "TLS handshakes completed by resuming a session")           \
    X(tls_handshakes, gauge, "TLS handshakes under way")                                           \
    X(tls_handshakes_waiting, gauge, "Connections whose TLS handshake waits for its turn")         \
    X(tls_connections, gauge, "Open connections with TLS")                                         \
    X(tls_records_received, counter, "TLS records opened")                                         \
    X(tls_key_updates, counter, "KeyUpdates of peers, TLS 1.3")                                    \
    X(tls_records_sent, counter, "TLS records sealed")                                             \
    X(datagrams_received, counter, "UDP datagrams received")                                       \
    X(datagrams_sent, counter, "UDP datagrams sent")                                               \
    X(datagrams_joined, counter, "Those among them that left with the one before, in one entry")   \
    X(datagrams_unsent, counter, "UDP datagrams that the socket did not take, and that are lost")  \
    X(quic_connections, gauge, "Open QUIC connections, with those in their handshake")             \
    X(webtransports, gauge, "Open sessions of WebTransport")                                       \
    X(webtransport_datagrams_sent, counter, "Messages sent as datagrams of WebTransport")          \
    X(webtransport_superseded, counter,                                                            \
      "Messages not sent as datagrams, as a later one was there before there was room")            \
    X(webtransport_wide, counter, "Messages that fit no datagram, and were sent as streams")       \
    X(webtransport_datagrams_received, counter, "Messages that came as datagrams")                 \
    X(webtransport_datagrams_dropped, counter,                                                     \
      "Datagrams of WebTransport for nobody, of another form, or behind a later one")              \
    X(quic_handshakes, counter, "QUIC handshakes completed")                                       \
    X(quic_retries, counter, "Clients of QUIC that had to prove their address first")              \
    X(quic_resets, counter, "Stateless resets, for packets of connections that are gone")          \
    X(quic_versions, counter, "Clients of QUIC told which versions are spoken")                    \
    X(quic_refused, counter, "Clients of QUIC refused: no room, a drain, or a bad token")          \
    X(quic_strays, counter, "Datagrams that were no packet of QUIC for this server")               \
    X(quic_handed_on, counter, "Packets of QUIC that came to another shard, and went on by lane")  \
    X(quic_stuck, counter, "Likewise, and lost: too many were on their way")                       \
    X(quic_errors, counter, "QUIC connections ended with a transport error of the client's")       \
    X(quic_bytes, gauge, "Bytes held for QUIC connections")                                        \
    X(rtc_offers, counter, "Offers of WebRTC that were answered")                                  \
    X(rtc_peers, gauge, "Peers of WebRTC, from their offer on")                                    \
    X(rtc_handshakes, counter, "DTLS handshakes completed")                                        \
    X(rtc_checks, counter, "Checks of ICE that were answered")                                     \
    X(rtc_forged, counter, "Checks whose sender did not know the password")                        \
    X(rtc_limited, counter, "Checks of addresses with too many requests")                          \
    X(rtc_strays, counter, "Datagrams of nobody: no check, or from no peer's address")             \
    X(rtc_records_bad, counter, "Records of DTLS that were false, late or there before")           \
    X(rtc_channels_opened, counter, "Data channels opened")                                        \
    X(rtc_superseded, counter, "Messages of unreliable channels dropped for later ones")           \
    X(rtc_bytes, gauge, "Bytes held for peers of WebRTC")

/* Turns by how long they took: up to 1 ms, up to 2 ms, up to 4 ms … and longer. */
enum {
    TURN_LENGTHS = 10,
};
#define TURN_LENGTH_NS(i) (INT64_C(1000000) << (i)) /* not of the last */

#define COUNTER_FIELD(name, kind, help) _Atomic uint64_t name;
struct counters {
    COUNTERS(COUNTER_FIELD)
    _Atomic uint64_t turn_lengths[TURN_LENGTHS];
    _Atomic uint64_t turns_ns; /* all of them together */
    _Atomic uint64_t closed[CLOSE_REASON_COUNT];
    _Atomic uint64_t streams_closed[CLOSE_REASON_COUNT];
    _Atomic uint64_t http2_errors[HTTP2_CODES];
    _Atomic uint64_t http2_floods[HTTP2_FLOOD_COUNT];
    _Atomic uint64_t http3_errors[HTTP3_ERROR_NAMES];
    _Atomic uint64_t refused[REFUSAL_COUNT];
    _Atomic uint64_t tls_errors[TLS_ERROR_COUNT];
};

static inline uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void counter_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* One writer, so a load and a store will do: no locked instruction. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t value)
{
    counter_set(counter, counter_read(counter) + value);
}

static inline void counter_sub(_Atomic uint64_t *counter, uint64_t value)
{
    counter_set(counter, counter_read(counter) - value);
}
