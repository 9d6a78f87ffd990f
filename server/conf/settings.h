/* settings: everything an operator can set, in one table: name, unit, default, bounds and reason.
 *
 *   defaults ─► --config FILE (INI, read by inih) ─► --set name=value and the short options
 *
 * Threads  Filled before the shards start, read-only afterwards.
 * Memory   struct settings owns its strings.
 * Errors   Reading gives 0 or -EINVAL with one line in `why` that names the setting, the value and
 *          what would be right. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/hooks.h"
#include "conf/kafka_rows.h"
#include "conf/namespaces.h"
#include "conf/rows.h"

enum {
    SETTINGS_ORIGINS_MAX = 32,
    SETTINGS_CHANNELS_MAX = 64, /* upper bound of channels_per_connection_max */
};

/* What becomes of live messages for a reader whose queue is full. */
enum slow_reader_policy {
    SLOW_READER_DISCONNECT,  /* closed by name; it comes back with its position and recovers */
    SLOW_READER_DROP_OLDEST, /* the oldest waiting messages make room                        */
    SLOW_READER_KEEP_LATEST, /* only the newest message waits                                */
};

/* Where messages may be published. */
enum publish_on {
    PUBLISH_ON_ALL,   /* wherever clients connect, and at admin_listen */
    PUBLISH_ON_ADMIN, /* at admin_listen alone */
    PUBLISH_ON_NONE,
};

/* Where a proxy says whose a request is. */
enum proxy_header {
    PROXY_HEADER_X_FORWARDED_FOR,
    PROXY_HEADER_FORWARDED, /* RFC 7239 */
};

/* Whether there is a log, and of which form its lines are. */
enum log_format {
    LOG_OFF,
    LOG_LOGFMT,
    LOG_JSON,
};

/* X(type, name, default, minimum, maximum, unit, reason)
 * Types: NUMBER (int64_t), SWITCH (on/off), TEXT (char[SETTINGS_TEXT_MAX]), LIST (the same with
 * room for more, and further lines of a file add to it); and the enums, whose values have in their
 * order the names that the unit lists: POLICY (slow_reader_policy), PUBLISH_ON, PROXY_HEADER,
 * LOG_FORMAT, KAFKA_START, KAFKA_REFUSED.
 * Sections are comments in the file that --help-config prints; names are unique without them. Only
 * those that begin with `namespace` or `hook` count: conf/namespaces.h, conf/hooks.h. */
#define SETTINGS_TABLE(X, SECTION)                                                                 \
    SECTION("server")                                                                              \
    X(TEXT, listen, "127.0.0.1:8080", 0, 0, "address:port",                                        \
      "Where clients connect: an IPv4 address, or an IPv6 one in brackets, as [::1]:8080. [::] "   \
      "is all addresses of both. Empty: nowhere but at tls_listen.")                               \
    X(NUMBER, shards, 0, 0, 248, "count",                                                          \
      "Threads with their own ring, connections and channels. 0: one per core.")                   \
    X(TEXT, cpus, "", 0, 0, "list",                                                                \
      "Cores to pin the shards to, as 0,2-5. Empty: each to a core when there is one for each.")   \
    X(TEXT, engine, "auto", 0, 0, "auto, io_uring, io_uring_fd or epoll",                          \
      "How the kernel is asked. auto: io_uring, or epoll where that is forbidden. io_uring: on "   \
      "direct descriptors where the kernel ends closed ones at once (Linux 6.13), else as "        \
      "io_uring_fd: each connection is a file descriptor. On epoll it is one too, and each send "  \
      "a system call.")                                                                            \
    X(NUMBER, max_connections, 0, 0, 16000000, "count",                                            \
      "Open connections over all shards; more get 503. 0: as many as half of the memory holds, "   \
      "at 6 KiB each; on epoll, no more than RLIMIT_NOFILE allows.")                               \
    X(NUMBER, listen_backlog, 2048, 16, 65535, "count",                                            \
      "Connections the kernel keeps ready until a shard takes them.")                              \
    X(NUMBER, defer_accept_s, 0, 0, 60, "s",                                                       \
      "A connection is accepted with its first bytes, or about so long after it was made: saves "  \
      "a wake for each, and a place for those that say nothing. Until then the kernel has it "     \
      "among those half open. 0: it is accepted at once.")                                         \
    X(TEXT, congestion_control, "", 0, 0, "name",                                                  \
      "TCP congestion control of accepted connections, as reno or cubic. Empty: the system's.")    \
    X(NUMBER, gather_us, 100, 0, 10000, "us",                                                      \
      "Events that trickle in from several connections are let gather for so long and then taken " \
      "together. Saves CPU, costs that much latency, and only while they come faster than one in " \
      "a millisecond. 0: each is taken at once.")                                                  \
    X(NUMBER, drain_ms, 1000, 0, 3600000, "ms",                                                    \
      "After SIGTERM, clients are sent away evenly over this time, so that they do not come back " \
      "all at once.")                                                                              \
    SECTION("operator")                                                                            \
    X(TEXT, admin_listen, "", 0, 0, "address:port",                                                \
      "Where the operator connects, as 127.0.0.1:9090: /metrics, /healthz and /publish, and "      \
      "nothing else. Whoever reaches it may use it. Empty: nowhere.")                              \
    X(SWITCH, metrics_public, true, 0, 1, "on/off",                                                \
      "/metrics also where clients connect. off: there it is not found.")                          \
    X(SWITCH, health_public, true, 0, 1, "on/off", "/healthz likewise.")                           \
    X(SWITCH, page_public, true, 0, 1, "on/off",                                                   \
      "/, a page that shows all transports on a channel. off: it is not found.")                   \
    X(PUBLISH_ON, publish_on, PUBLISH_ON_ALL, 0, 2, "all, admin or none",                          \
      "Where messages may be published: wherever clients connect and at admin_listen, at "         \
      "admin_listen alone, or nowhere. Nobody is asked for a name: on a port that strangers "      \
      "reach, all lets them publish.")                                                             \
    SECTION("log")                                                                                 \
    X(LOG_FORMAT, log, LOG_OFF, 0, 2, "off, logfmt or json",                                       \
      "A line for each start, reload, refusal and end of a connection, with its reason and the "   \
      "client's address. Costs 16 bytes for each connection, and connections are accepted one by " \
      "one, as with limits by address.")                                                           \
    X(TEXT, log_file, "", 0, 0, "path",                                                            \
      "Where the lines go; SIGHUP opens it anew. Empty: standard error.")                          \
    X(NUMBER, log_lines_per_s, 1000, 1, 1000000, "count",                                          \
      "Lines of refusals and ends in a second, over all shards. Of what is beyond, each shard "    \
      "has a line for the first of each reason, and the rest is counted.")                         \
    SECTION("tls")                                                                                 \
    X(TEXT, tls_listen, "", 0, 0, "address:port",                                                  \
      "Where clients connect with TLS, as 0.0.0.0:8443 or [::]:8443. Empty: no TLS.")              \
    X(LIST, tls_certificates, "", 0, 0, "list of chain.pem:key.pem",                               \
      "Certificates with their keys, separated by spaces. The client's server name chooses; who "  \
      "gives none, or an unknown one, gets the first. Read again at SIGHUP.")                      \
    X(TEXT, tls_ciphers, "aes128-gcm chacha20-poly1305 aes256-gcm", 0, 0, "list",                  \
      "Ciphers, the best first; the server's order counts.")                                       \
    X(TEXT, tls_versions, "1.2 1.3", 0, 0, "list",                                                 \
      "Versions of TLS that are spoken: 1.2, 1.3 or both. The best that a client offers is "       \
      "taken.")                                                                                    \
    X(SWITCH, tls_tickets, true, 0, 1, "on/off",                                                   \
      "Clients are given tickets by which they resume a session, which is cheaper than a "         \
      "handshake in full. Nothing is kept for them here.")                                         \
    X(NUMBER, tls_session_lifetime_ms, 3600000, 1000, 86400000, "ms",                              \
      "How long a session can be resumed.")                                                        \
    X(NUMBER, tls_handshakes_max, 1024, 1, 65536, "count",                                         \
      "Handshakes under way over all shards, at some 30 KiB each while they last. When all are "   \
      "taken, one that has stood still for a second makes place.")                                 \
    X(NUMBER, tls_handshakes_per_s, 0, 0, 10000000, "count",                                       \
      "Handshakes begun each second, over all shards; the others wait for their turn until "       \
      "tls_handshake_timeout_ms. 0: as many as the shards can do.")                                \
    X(NUMBER, tls_handshakes_per_turn, 16, 1, 1024, "count",                                       \
      "Steps of handshakes that a shard takes between two looks at its live connections, of "      \
      "which 16 take some 0.4 ms: one with a signature counts 16, one that may have a "            \
      "key exchange 8, any other 1.")                                                              \
    X(NUMBER, tls_handshake_timeout_ms, 10000, 100, 3600000, "ms",                                 \
      "A handshake must be complete this long after its connection was accepted.")                 \
    SECTION("addresses")                                                                           \
    X(NUMBER, address_connections_max, 0, 0, 1000000, "count",                                     \
      "Open connections from one IPv4 address or IPv6 /64; more are reset. Many clients may "      \
      "share "                                                                                     \
      "an address: a school, an office, a mobile network. 0: any number.")                         \
    X(NUMBER, address_connects_per_s, 0, 0, 10000000, "count",                                     \
      "New connections from one address each second, and with them TLS handshakes; more are "      \
      "reset. 0: any number.")                                                                     \
    X(NUMBER, address_requests_per_s, 0, 0, 10000000, "count",                                     \
      "Requests from one address each second; more get 429. 0: any number.")                       \
    X(NUMBER, address_publishes_per_s, 0, 0, 10000000, "count",                                    \
      "Messages published from one address each second; more get 429, or 1013 on a WebSocket. "    \
      "0: any number.")                                                                            \
    X(NUMBER, address_burst_ms, 1000, 0, 60000, "ms",                                              \
      "A rush from one address may be ahead of each of these rates by as many as that lets in in " \
      "this time.")                                                                                \
    X(SWITCH, proxy_protocol, false, 0, 1, "on/off",                                               \
      "Each connection to listen begins with a PROXY header (version 1 or 2), which says whose "   \
      "it "                                                                                        \
      "is. Let nobody but the proxy reach the port: the header is believed.")                      \
    X(SWITCH, tls_proxy_protocol, false, 0, 1, "on/off", "Likewise on tls_listen, ahead of TLS.")  \
    X(LIST, trusted_proxies, "", 0, 0, "list of addresses",                                        \
      "Proxies whose proxy_header says whose a request is: addresses, and ranges as 10.0.0.0/8, "  \
      "separated by spaces. Their connections are not limited by address, and their clients are.") \
    X(PROXY_HEADER, proxy_header, PROXY_HEADER_X_FORWARDED_FOR, 0, 1,                              \
      "x-forwarded-for or forwarded", "The field of a request that trusted_proxies set.")          \
    X(NUMBER, addresses_max, 65536, 8, 8388608, "count",                                           \
      "Addresses remembered, over all shards, at 32 bytes each, when one of these limits is set. " \
      "Rounded up to a power of two. Some are not limited when more than half are in use.")        \
    SECTION("tokens")                                                                              \
    X(LIST, token_keys, "", 0, 0, "list of ALGORITHM:file:PATH",                                   \
      "Keys that tokens of clients (JWT) are signed with: HS256, RS256 or ES256, perhaps with "    \
      "@KID "                                                                                      \
      "behind it, and where the secret or the public key (PEM) is: file:PATH or env:NAME. Read "   \
      "again at SIGHUP. Empty: there are no tokens.")                                              \
    X(TEXT, token_audience, "", 0, 0, "text",                                                      \
      "What aud of a token must have. Empty: it must have no aud.")                                \
    X(TEXT, token_issuer, "", 0, 0, "text", "What iss of a token must be. Empty: anything.")       \
    X(NUMBER, token_leeway_s, 5, 0, 3600, "s",                                                     \
      "Clocks may differ by so much when exp and nbf are looked at.")                              \
    X(SWITCH, anonymous, true, 0, 1, "on/off",                                                     \
      "Clients need no token where a namespace asks for none. off: each one needs one.")           \
    X(SWITCH, url_tokens, true, 0, 1, "on/off",                                                    \
      "A token may stand in the URL, as token=. Proxies write URLs down: off where clients that "  \
      "cannot set a header have tickets.")                                                         \
    X(TEXT, token_cookie, "ringside_token", 0, 0, "name",                                          \
      "The cookie that may carry a token. Only where allowed_origins lists the pages that may "    \
      "use it is it one that other pages cannot make use of. Empty: none.")                        \
    X(SWITCH, token_ends_connection, true, 0, 1, "on/off",                                         \
      "A connection ends when its token does (expire_at, or exp). off: a token is looked at when " \
      "the connection begins, and never again.")                                                   \
    X(NUMBER, ticket_ttl_ms, 30000, 0, 3600000, "ms",                                              \
      "How long a ticket of POST /ticket is good, once. 0: there are none.")                       \
    X(TEXT, ticket_key, "", 0, 0, "HS256:file:PATH or HS256:env:NAME",                             \
      "What tickets are signed with, the same on all nodes of a cluster. Empty: drawn at the "     \
      "start, and a ticket is good on the node that gave it.")                                     \
    X(NUMBER, tickets_max, 1048576, 64, 1073741824, "count",                                       \
      "Tickets that may be used in that time, at 8 bytes each, over all shards; more are refused " \
      "for a while. Rounded up to a power of two.")                                                \
    X(NUMBER, revoked_max, 65536, 1, 16777216, "count",                                            \
      "Users and tokens that a shard remembers as revoked, at 48 to 96 bytes each.")               \
    X(NUMBER, revoked_ttl_s, 86400, 1, 315360000, "s",                                             \
      "How long a revocation counts, unless ttl= says so: as long as the longest token.")          \
    X(NUMBER, token_signatures_per_turn, 16, 1, 100000, "count",                                   \
      "Tokens of RS256 and ES256 that a shard looks at between two looks at its live "             \
      "connections; "                                                                              \
      "one takes up to 0.2 ms. The others get 503, and come back.")                                \
    X(LIST, api_keys, "", 0, 0, "list of file:PATH",                                               \
      "Keys of servers, 16 bytes or longer: who brings one may do everything that a namespace "    \
      "allows servers. file:PATH or env:NAME; read again at SIGHUP.")                              \
    SECTION("http")                                                                                \
    X(NUMBER, head_bytes_max, 8192, 1024, 65536, "bytes", "Request head. Larger gets 431 or 414.") \
    X(NUMBER, head_timeout_ms, 10000, 100, 3600000, "ms",                                          \
      "A request head must be complete this long after its first byte: 408.")                      \
    X(NUMBER, body_timeout_ms, 60000, 100, 3600000, "ms",                                          \
      "A request body must be complete after this: 408.")                                          \
    X(SWITCH, http2, true, 0, 1, "on/off",                                                         \
      "HTTP/2, for clients that ask for it: by ALPN at tls_listen, by its preface at listen.")     \
    X(NUMBER, http2_streams_max, 100, 1, 65535, "count",                                           \
      "Streams that one connection may have open; more are refused. RFC 9113 section 6.5.2 "       \
      "advises no fewer than 100.")                                                                \
    X(NUMBER, streams_max, 0, 0, 64000000, "count",                                                \
      "Open streams over all shards; more are refused. 0: as many as max_connections.")            \
    X(NUMBER, http2_resets_per_s, 100, 0, 1000000, "count",                                        \
      "Streams of one connection that may be reset each second, and ten times as many in a rush: " \
      "more than that end the connection. 0: any number.")                                         \
    X(NUMBER, http2_total_bytes_max, 4294967296, 1048576, 1099511627776, "bytes",                  \
      "What the HTTP/2 library holds in one shard. Beyond it, the connections that have held "     \
      "most "                                                                                      \
      "for longest are closed.")                                                                   \
    X(SWITCH, http3, false, 0, 1, "on/off",                                                        \
      "HTTP/3: QUIC on the UDP port with the number of tls_listen, which answers there tell of. "  \
      "An open connection takes some 75 KB.")                                                      \
    X(NUMBER, quic_idle_timeout_ms, 30000, 1000, 600000, "ms",                                     \
      "A QUIC connection that is silent for so long is over. Open ones are kept from it by a "     \
      "packet each half of it, or each heartbeat_ms.")                                             \
    X(NUMBER, quic_retry_over, 100, 0, 1000000, "count",                                           \
      "QUIC handshakes under way in one shard; beyond it a client has to prove its address "       \
      "first, which costs a round trip. 0: always.")                                               \
    X(NUMBER, quic_total_bytes_max, 4294967296, 1048576, 1099511627776, "bytes",                   \
      "What QUIC connections take in one shard. Beyond it new ones are refused, and those that "   \
      "have held most for longest are closed.")                                                    \
    X(TEXT, rtc_address, "", 0, 0, "addresses",                                                    \
      "What peers of WebRTC are told: an IPv4 address, an IPv6 address, or both. It is the one "   \
      "that they reach, also behind a NAT. Empty: no WebRTC.")                                     \
    X(NUMBER, rtc_port, 9300, 0, 65535, "port",                                                    \
      "The UDP port of the first shard; each other one has the next. A successor has the row of "  \
      "ports behind, and the one after it this row again. 0: any that are free.")                  \
    X(NUMBER, rtc_handshakes_max, 256, 1, 65536, "count",                                          \
      "Peers between their offer and the end of their handshake, in one shard: 15 KB each. More "  \
      "are refused: 503.")                                                                         \
    X(NUMBER, rtc_consent_ms, 30000, 1000, 30000, "ms",                                            \
      "A peer of WebRTC from which no check has come for so long is gone (RFC 7675); after a "     \
      "third of it nothing is sent to it. Browsers check every 2.7 s, others every 5 s.")          \
    X(NUMBER, rtc_total_bytes_max, 1073741824, 1048576, 1099511627776, "bytes",                    \
      "What peers of WebRTC take in one shard. Beyond it new ones are refused, and those that "    \
      "have held most for longest are closed.")                                                    \
    X(TEXT, turn_uris, "", 0, 0, "URIs",                                                           \
      "TURN servers that GET /turn gives credentials for, as turn:turn.example.org:3478. Empty: "  \
      "there is no such path.")                                                                    \
    X(TEXT, turn_secret, "", 0, 0, "file:PATH or env:NAME",                                        \
      "What is shared with them: static-auth-secret of coturn, 16 bytes at least. Read at the "    \
      "start.")                                                                                    \
    X(NUMBER, turn_ttl_ms, 3600000, 60000, 86400000, "ms",                                         \
      "For how long such credentials may begin something; coturn asks when it is used.")           \
    X(TEXT, http2_push, "", 0, 0, "path",                                                          \
      "What is pushed by PUSH_PROMISE to a client that asks for / on HTTP/2 and takes pushes, as " \
      "/poll?channel=news. Browsers take none any more: it is here to be measured. Empty: "        \
      "nothing.")                                                                                  \
    X(NUMBER, idle_timeout_ms, 75000, 100, 86400000, "ms",                                         \
      "A kept-alive connection without a request is closed.")                                      \
    X(LIST, allowed_origins, "*", 0, 0, "list",                                                    \
      "Origins of web pages that may use this server, separated by spaces: CORS, and the "         \
      "WebSocket handshake. "                                                                      \
      "* allows all; empty allows none but requests without an Origin.")                           \
    SECTION("channels")                                                                            \
    X(NUMBER, message_bytes_max, 1048576, 1, 1073741824, "bytes",                                  \
      "Payload of one message. Larger gets 413 or 1009.")                                          \
    X(NUMBER, channels_per_connection_max, 32, 1, SETTINGS_CHANNELS_MAX, "count",                  \
      "Channels in one request or stream.")                                                        \
    X(NUMBER, subscriptions_per_connection, 4, 1, SETTINGS_CHANNELS_MAX, "count",                  \
      "On average over all connections: bounds the subscriptions of a shard; more get 503.")       \
    X(NUMBER, channels_max, 1000000, 1, 1000000000, "count", "Channels per shard.")                \
    X(NUMBER, history_messages_max, 128, 1, 1000000, "count",                                      \
      "Messages that a channel keeps for recovery.")                                               \
    X(NUMBER, history_bytes_max, 4194304, 1, 1099511627776, "bytes",                               \
      "Bytes of messages that a channel keeps, with their heads and names.")                       \
    X(NUMBER, history_age_ms, 300000, 1, 86400000, "ms", "A message is forgotten after this.")     \
    X(NUMBER, history_total_bytes_max, 268435456, 1, 1099511627776, "bytes",                       \
      "Bytes of messages kept per shard.")                                                         \
    X(NUMBER, idempotency_keys_max, 65536, 0, 16777216, "count",                                   \
      "Keys of publishes by the server API that a shard remembers, at 48 bytes each; the oldest "  \
      "gives way. 0: publishes with a key are refused.")                                           \
    X(NUMBER, idempotency_ms, 300000, 1000, 86400000, "ms",                                        \
      "For so long a publish with the same key is answered as the first was, and not done again.") \
    SECTION("hooks")                                                                               \
    X(NUMBER, webhook_ids_max, 65536, 64, 16777216, "count",                                       \
      "Ids of webhooks that a shard remembers, at 48 bytes each; the oldest gives way.")           \
    X(NUMBER, webhook_ids_s, 86400, 60, 2592000, "s",                                              \
      "For so long a webhook with the same id is answered as the first was, and not published "    \
      "again: longer than twice tolerance_s of any.")                                              \
    SECTION("delivery")                                                                            \
    X(NUMBER, unsent_bytes_max, 131072, 0, 1073741824, "bytes",                                    \
      "What the kernel takes for one connection beyond what is on its way (TCP_NOTSENT_LOWAT). "   \
      "Its socket is then full, and the rest waits here, where queue_bytes_max counts it. "        \
      "0: net.ipv4.tcp_notsent_lowat, as a rule no bound below tcp_wmem.")                         \
    X(NUMBER, queue_bytes_max, 1048576, 1024, 1073741824, "bytes",                                 \
      "Bytes that wait for one reader whose socket is full, each frame with its place in the "     \
      "queue. Beyond it slow_reader applies.")                                                     \
    X(POLICY, slow_reader, SLOW_READER_DISCONNECT, 0, 2, "disconnect, drop_oldest or keep_latest", \
      "disconnect closes the reader, which recovers by its position; the others lose messages "    \
      "for that reader only.")                                                                     \
    X(NUMBER, input_total_bytes_max, 134217728, 65536, 1099511627776, "bytes",                     \
      "Heads, bodies and messages in one shard that are not complete. Beyond it, the clients "     \
      "that "                                                                                      \
      "have left most unfinished for longest are closed.")                                         \
    X(NUMBER, queue_total_bytes_max, 268435456, 65536, 1099511627776, "bytes",                     \
      "Frames in one shard. Beyond it, the readers that have kept most waiting for longest are "   \
      "closed.")                                                                                   \
    X(NUMBER, presence_total_bytes_max, 268435456, 4096, 1099511627776, "bytes",                   \
      "Who is present in channels that one shard numbers. Beyond it, who comes is not present, "   \
      "until others have left.")                                                                   \
    X(NUMBER, stall_timeout_ms, 30000, 100, 3600000, "ms",                                         \
      "A reader that takes nothing for this long is closed, and a peer that acknowledges nothing " \
      "(TCP_USER_TIMEOUT).")                                                                       \
    X(NUMBER, heartbeat_ms, 25000, 100, 3600000, "ms",                                             \
      "WebSocket ping and SSE comment, so that address translators keep the path. A WebSocket "    \
      "that stays silent for "                                                                     \
      "two of them is closed.")                                                                    \
    X(NUMBER, heartbeats_per_ping, 1, 1, 100, "count",                                             \
      "Every so many heartbeats of a WebSocket are a ping, which is answered; those between are "  \
      "unsolicited pongs (RFC 6455 section 5.5.3), which keep the path and cost "                  \
      "less.")                                                                                     \
    X(NUMBER, heartbeats_skipped_max, 3, 0, 100, "count",                                          \
      "A heartbeat is left out where a message was sent within heartbeat_ms: on a WebSocket so "   \
      "many between two pings, on an event stream each. 0: none.")                                 \
    X(NUMBER, longpoll_hold_ms, 25000, 10, 3600000, "ms",                                          \
      "A long poll is answered empty after this, unless timeout= says less.")                      \
    X(NUMBER, poll_s_maxage, 0, 0, 86400, "s",                                                     \
      "Shared caches in front may give an answer to /poll to everybody who asks the same for so "  \
      "long (Cache-Control: s-maxage); not those to requests with Authorization, Cookie or a "     \
      "token. News is late by as much. 0: no cache may keep one.")                                 \
    SECTION("reconnects")                                                                          \
    X(NUMBER, retry_ms, 2000, 0, 3600000, "ms",                                                    \
      "The least that a client is told to wait before it connects again: retry: of SSE, "          \
      "Retry-After, the text of a close frame.")                                                   \
    X(NUMBER, retry_spread_ms, 2000, 0, 3600000, "ms",                                             \
      "Each client is told a random part of this on top of retry_ms: those who are told the same " \
      "and are cut off together come back together.")                                              \
    X(NUMBER, admits_per_s, 0, 0, 10000000, "count",                                               \
      "New subscribers let in each second, over all shards: a connection's first request to "      \
      "/poll, /longpoll, /sse, /ws or /echo. The others are told when to come back. 0: all.")      \
    X(NUMBER, admit_burst_ms, 250, 0, 60000, "ms",                                                 \
      "A rush may be ahead of admits_per_s by as many as that lets in in this time.")              \
    X(NUMBER, admit_wait_ms_max, 60000, 1000, 3600000, "ms",                                       \
      "The longest that somebody who was not let in is told to wait.")                             \
    SECTION("cluster")                                                                             \
    X(TEXT, redis, "", 0, 0, "address:port, or NAME@address:port,…",                               \
      "Redis that the nodes of a cluster share, as 10.0.0.5:6379: it numbers messages and keeps "  \
      "their history, and each node hears what is published on the others. With a name before @ "  \
      "these are sentinels, which say where the master of that name is. Several words: each "      \
      "channel is at one of them. Empty: this node is by itself. docs/CLUSTER.md says what is "    \
      "promised.")                                                                                 \
    X(SWITCH, redis_cluster, false, 0, 1, "on/off",                                                \
      "They are nodes of a Redis Cluster (7.0 or later): some of it, which say where the others "  \
      "are. Off, as a Redis by itself takes fewer commands.")                                      \
    X(TEXT, redis_user, "", 0, 0, "name", "Whom to be there (ACL). Empty: the default user.")      \
    X(TEXT, redis_password, "", 0, 0, "file:PATH or env:NAME",                                     \
      "Where the password stands. Empty: there is none.")                                          \
    X(TEXT, redis_prefix, "ringside", 0, 0, "text",                                                \
      "Keys and topics begin with it: two clusters on one Redis need two.")                        \
    X(SWITCH, redis_tls, false, 0, 1, "on/off",                                                    \
      "Speak TLS to Redis, and to its sentinels: their certificates have to be for the hosts "     \
      "that are set here.")                                                                        \
    X(TEXT, redis_ca, "", 0, 0, "file",                                                            \
      "Whom to trust for that: certificates of CAs, PEM. Empty: whom the system trusts.")          \
    X(TEXT, redis_certificate, "", 0, 0, "file",                                                   \
      "This client's own certificate, PEM, with those that follow it. Empty: it has none.")        \
    X(TEXT, redis_key, "", 0, 0, "file", "The key to that, PEM.")                                  \
    X(SWITCH, redis_required, true, 0, 1, "on/off",                                                \
      "Without Redis the server does not start. off: it starts, and refuses what needs it.")       \
    X(TEXT, nats, "", 0, 0, "address:port",                                                        \
      "NATS with JetStream, in the place of Redis, as 10.0.0.5:4222. Empty: not.")                 \
    X(TEXT, nats_user, "", 0, 0, "name", "Whom to be there. Empty: nobody in particular.")         \
    X(TEXT, nats_password, "", 0, 0, "file:PATH or env:NAME",                                      \
      "Where the password stands. Empty: there is none.")                                          \
    X(TEXT, nats_prefix, "ringside", 0, 0, "text",                                                 \
      "Subjects begin with it, and the stream has its name: two clusters on one NATS need two.")   \
    X(SWITCH, nats_tls, false, 0, 1, "on/off",                                                     \
      "Speak TLS to NATS: its certificate has to be for the host that is set here.")               \
    X(TEXT, nats_ca, "", 0, 0, "file",                                                             \
      "Whom to trust for that: certificates of CAs, PEM. Empty: whom the system trusts.")          \
    X(TEXT, nats_certificate, "", 0, 0, "file",                                                    \
      "This client's own certificate, PEM, with those that follow it. Empty: it has none.")        \
    X(TEXT, nats_key, "", 0, 0, "file", "The key to that, PEM.")                                   \
    X(SWITCH, nats_required, true, 0, 1, "on/off",                                                 \
      "Without NATS the server does not start. off: it starts, and refuses what needs it.")        \
    X(SWITCH, nats_durable, false, 0, 1, "on/off",                                                 \
      "What JetStream has acknowledged is there when NATS has been started again: positions stay " \
      "good. off: each start of NATS begins a new epoch of every channel.")                        \
    X(NUMBER, broker_timeout_ms, 3000, 50, 60000, "ms",                                            \
      "A publish or a subscription that Redis has not answered by then is refused: a publish "     \
      "that was sent may then have taken place.")                                                  \
    X(NUMBER, broker_queue_max, 10000, 0, 1000000, "count",                                        \
      "Publishes that wait while Redis cannot be reached, up to broker_timeout_ms each; more are " \
      "refused. 0: all are refused at once.")                                                      \
    X(NUMBER, broker_bytes_max, 67108864, 65536, 1099511627776, "bytes",                           \
      "Messages of one shard on their way to Redis, and from it; more are refused, or read "       \
      "again from the history.")                                                                   \
    X(NUMBER, broker_position_ttl_s, 604800, 60, 315360000, "s",                                   \
      "A channel that nobody publishes to or joins for so long begins a new epoch.")               \
    SETTINGS_KAFKA(X, SECTION)                                                                     \
    SECTION("courier")                                                                             \
    X(TEXT, webhook_queue, "", 0, 0, "path",                                                       \
      "The file in which events wait for the endpoints that want them. Empty: there are no "       \
      "webhooks.")                                                                                 \
    X(TEXT, webhook_endpoints, "", 0, 0, "path",                                                   \
      "A JSON list of endpoints, read at the start; others may be registered by the server API. "  \
      "docs/WEBHOOKS.md says what an endpoint has.")                                               \
    X(NUMBER, webhook_queue_bytes_max, 1073741824, 1048576, 1099511627776, "bytes",                \
      "Of webhook_queue. Beyond it events are refused, or the oldest go: webhook_drop_oldest.")    \
    X(SWITCH, webhook_drop_oldest, false, 0, 1, "on/off",                                          \
      "When the queue is full the oldest events go, whoever has not had them. off: new ones are "  \
      "refused.")                                                                                  \
    X(SWITCH, webhook_refuse_publish, false, 0, 1, "on/off",                                       \
      "While the queue has no room, or the disk fails, messages whose channel.published "          \
      "somebody "                                                                                  \
      "wants are refused. off: they are published, and what would be told of them is lost and "    \
      "counted.")                                                                                  \
    X(NUMBER, webhook_dead_max, 100000, 1, 1000000000, "count",                                    \
      "Dead letters that are kept; beyond it the oldest goes.")                                    \
    X(NUMBER, webhook_endpoints_max, 100000, 1, 10000000, "count",                                 \
      "Endpoints; more are not registered.")                                                       \
    X(NUMBER, webhook_retry_min_ms, 1000, 10, 3600000, "ms",                                       \
      "Until the second try of a delivery; then twice as long each time, and a random part of "    \
      "that less.")                                                                                \
    X(NUMBER, webhook_retry_max_ms, 3600000, 10, 86400000, "ms", "No try is later than that.")     \
    X(NUMBER, webhook_budget_s, 259200, 1, 31536000, "s",                                          \
      "A delivery that has failed for so long is given up: a dead letter.")                        \
    X(NUMBER, webhook_breaker, 5, 1, 1000000, "count",                                             \
      "An endpoint that has failed so many times in a row is asked by one post at a time, until "  \
      "it answers.")                                                                               \
    X(LIST, courier_private, "", 0, 0, "list of addresses and names",                              \
      "Where hooks and webhooks may be posted to although others cannot reach it, as loopback "    \
      "and private networks: addresses, ranges as 10.0.0.0/8, and names of hosts.")                \
    X(LIST, courier_ports, "80 443 1024-65535", 0, 0, "list of ports",                             \
      "Ports that may be posted to, and spans of them as 8000-8999.")                              \
    X(SWITCH, courier_plain, false, 0, 1, "on/off",                                                \
      "http:// may be posted to anywhere. off: only at what courier_private names.")               \
    X(TEXT, courier_authorities, "", 0, 0, "path",                                                 \
      "Certificates (PEM) of the authorities that servers posted to are believed by. Empty: the "  \
      "system's.")                                                                                 \
    X(NUMBER, courier_posts_max, 1024, 1, 65536, "count",                                          \
      "Posts under way at a time, for webhooks and for hooks each. The others wait.")              \
    SECTION("compression")                                                                         \
    X(SWITCH, websocket_deflate, false, 0, 1, "on/off",                                            \
      "permessage-deflate without context takeover, for WebSockets that offer it. Its length "     \
      "tells something of a message, also over TLS: leave it off where a message has a secret "    \
      "beside what others may choose.")                                                            \
    X(SWITCH, poll_gzip, false, 0, 1, "on/off",                                                    \
      "Answers to /poll as gzip, for clients that take it, up to 16 KiB of messages. Leave it "    \
      "off "                                                                                       \
      "for the same reason.")                                                                      \
    X(SWITCH, sse_gzip, false, 0, 1, "on/off",                                                     \
      "Event streams as gzip, for clients that take it; each event is readable when it has come. " \
      "Leave it off for the same reason.")                                                         \
    X(NUMBER, compress_bytes_min, 128, 1, 1073741824, "bytes",                                     \
      "What is shorter is sent as it is.")                                                         \
    X(NUMBER, compress_level, 6, 1, 9, "level", "1: the least work, 9: the fewest bytes.")         \
    X(NUMBER, deflate_window_bits, 12, 9, 15, "bits",                                              \
      "Messages on WebSockets are deflated with a window of two to the power of this. A client "   \
      "that wants less is sent them uncompressed.")                                                \
    X(NUMBER, delta_bytes_max, 262144, 0, 268435456, "bytes",                                      \
      "A longer message is sent whole also to who asked for deltas.")                              \
    X(NUMBER, delta_total_bytes_max, 67108864, 0, 1099511627776, "bytes",                          \
      "Of the last messages of channels that each shard keeps to compare the next ones with; "     \
      "beyond this they are sent whole.")                                                          \
    SECTION("application")                                                                         \
    X(TEXT, proxy_connect_endpoint, "", 0, 0, "URL",                                               \
      "Where an application is asked who a client of the Centrifuge protocol is that brings no "   \
      "token: the JSON of Centrifugo's proxy. Empty: nowhere. What is private must be named in "   \
      "courier_private.")                                                                          \
    X(TEXT, proxy_refresh_endpoint, "", 0, 0, "URL",                                               \
      "Likewise, whether a connection goes on whose time is over.")                                \
    X(TEXT, proxy_subscribe_endpoint, "", 0, 0, "URL",                                             \
      "Likewise, who may subscribe, in namespaces with proxy_subscribe.")                          \
    X(TEXT, proxy_publish_endpoint, "", 0, 0, "URL",                                               \
      "Likewise, who may publish what, in namespaces with proxy_publish.")                         \
    X(TEXT, proxy_sub_refresh_endpoint, "", 0, 0, "URL",                                           \
      "Likewise, whether a subscription goes on whose time is over, in namespaces with "           \
      "proxy_sub_refresh.")                                                                        \
    X(TEXT, proxy_rpc_endpoint, "", 0, 0, "URL", "Likewise, what answers the rpc of clients.")     \
    X(NUMBER, proxy_timeout_ms, 1000, 10, 60000, "ms",                                             \
      "What is not answered by then is answered for: error 100, which clients try again.")         \
    X(LIST, proxy_http_headers, "", 0, 0, "list of names",                                         \
      "Fields of a session's first request that are passed on with each question, as cookie "      \
      "or authorization, separated by spaces.")                                                    \
    X(SWITCH, proxy_include_connection_meta, false, 0, 1, "on/off",                                \
      "meta, of a token or of the answer to connect, is kept and told with each question.")        \
    X(NUMBER, proxy_waiting_max, 1024, 1, 65536, "count",                                          \
      "Questions of each kind that a shard waits for; more get error 111.")                        \
    X(NUMBER, proxy_total_bytes_max, 67108864, 65536, 1099511627776, "bytes",                      \
      "Questions that a shard waits for, together; more get error 111.")                           \
    X(NUMBER, proxy_answer_bytes_max, 65536, 1024, 16777216, "bytes",                              \
      "An application's answer. A longer one is none.")                                            \
    SECTION("mercure")                                                                             \
    X(SWITCH, mercure, false, 0, 1, "on/off",                                                      \
      "The Mercure protocol at /.well-known/mercure; who may is said by token_keys and api_keys.") \
    X(SWITCH, mercure_subscriptions, false, 0, 1, "on/off",                                        \
      "Who has a token for it is told which subscriptions of Mercure there are.")                  \
    SECTION("websocket")                                                                           \
    X(SWITCH, websocket_publish, false, 0, 1, "on/off", "Clients may publish on their WebSocket.") \
    X(NUMBER, token_grace_ms, 25000, 0, 3600000, "ms",                                             \
      "What a token of a client with the Centrifuge protocol allows goes on for so long after "    \
      "its "                                                                                       \
      "end: the client asks for another one then.")                                                \
    X(NUMBER, session_channels_max, 128, 1, 4096, "count",                                         \
      "Channels that a client of the Centrifuge protocol may be subscribed to at a time; more "    \
      "get error 106.")                                                                            \
    X(SWITCH, echo, false, 0, 1, "on/off",                                                         \
      "GET /echo: a WebSocket that returns what it gets, for measurements.")

#define SETTINGS_FIELD_NUMBER(name)        int64_t name;
#define SETTINGS_FIELD_SWITCH(name)        bool name;
#define SETTINGS_FIELD_TEXT(name)          char name[SETTINGS_TEXT_MAX];
#define SETTINGS_FIELD_LIST(name)          char name[SETTINGS_LIST_MAX];
#define SETTINGS_FIELD_POLICY(name)        enum slow_reader_policy name;
#define SETTINGS_FIELD_PROXY_HEADER(name)  enum proxy_header name;
#define SETTINGS_FIELD_LOG_FORMAT(name)    enum log_format name;
#define SETTINGS_FIELD_PUBLISH_ON(name)    enum publish_on name;
#define SETTINGS_FIELD_KAFKA_START(name)   enum kafka_start name;
#define SETTINGS_FIELD_KAFKA_REFUSED(name) enum kafka_refused name;
#define SETTINGS_FIELD(type, name, ...)    SETTINGS_FIELD_##type(name)
#define SETTINGS_NO_SECTION(name)

struct settings {
    SETTINGS_TABLE(SETTINGS_FIELD, SETTINGS_NO_SECTION)
    struct namespaces namespaces;
    struct hooks hooks;
};

void settings_default(struct settings *settings);

/* Reads an INI file over what is set so far. Unknown names are errors. */
int settings_read(struct settings *settings, const char *path, char *why, size_t why_size);

/* Sets one by name; that of a namespace is PREFIX:NAME, and :NAME of the channels without one; that
 * of a webhook /hook/WEBHOOK:NAME. */
int settings_set(struct settings *settings, const char *name, const char *value, char *why,
                 size_t why_size);

/* Checks what depends on several of them. Call once after all are set. */
int settings_check(const struct settings *settings, char *why, size_t why_size);

/* Prints the whole table as an INI file with comments: what --help-config shows. */
void settings_print(const struct settings *settings);
