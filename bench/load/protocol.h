/* protocol: what a client of the load speaks, as a row: nothing else in bench/ asks which it is.
 *
 *     bytes of a link ─► row.input ─► subscriber_deliver, subscriber_is_up, subscriber_fail
 *     a link is open ─► row.opened, or row.ask for each of its subscribers
 *
 * To add one: its own file, load/client_NAME.c, with its row; and its name in PROTOCOLS below. Its
 * name is then what --transport takes, and bench/README.md says what else there is to do.
 *
 * Threads  the load's.
 * Memory   constants. What a protocol keeps for the life of a link is its own, at load.states; what
 *          it keeps from one read to the next is a stash (load/stash.h).
 * Errors   of a link or a subscriber, by enum load_failure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/load.h"

struct group;
struct link;
struct subscriber;

/* X(name): each is `protocol_name`. Those with a name of their own in the row are transports. */
#define PROTOCOLS(X)                                                                               \
    X(poll)                                                                                        \
    X(longpoll)                                                                                    \
    X(sse)                                                                                         \
    X(websocket)                                                                                   \
    X(websocket_envelope)                                                                          \
    X(websocket_deflate)                                                                           \
    X(websocket_delta)                                                                             \
    X(centrifuge)                                                                                  \
    X(h2_poll)                                                                                     \
    X(h2_longpoll)                                                                                 \
    X(h2_sse)                                                                                      \
    X(h2_websocket)                                                                                \
    X(h2_websocket_envelope)                                                                       \
    X(h3_sse)                                                                                      \
    X(h3_poll)                                                                                     \
    X(webtransport)                                                                                \
    X(webtransport_envelope)                                                                       \
    X(webtransport_datagram)                                                                       \
    X(webrtc_reliable)                                                                             \
    X(webrtc_unreliable)                                                                           \
    X(echo)                                                                                        \
    X(longpoll_since)                                                                              \
    X(post)                                                                                        \
    X(connect)                                                                                     \
    X(get)                                                                                         \
    X(half_request)

enum protocol_is {
    PROTOCOL_ASKS = 1,        /* for its messages, again and again: requests are counted        */
    PROTOCOL_BY_CLOCK = 2,    /* and does so every poll_interval_ms                             */
    PROTOCOL_ECHOES = 4,      /* says something and waits for it to come back                   */
    PROTOCOL_SILENT = 8,      /* hears no messages: there is nothing to publish                 */
    PROTOCOL_JSON = 16,       /* each message is in JSON, with the position                     */
    PROTOCOL_ANSWERS = 32,    /* each message that is published has an answer of its own        */
    PROTOCOL_SENDS = 64,      /* a client can send on what it listens on: it need not ask       */
    PROTOCOL_STALLS = 128,    /* a subscriber that does not read can be told from one that does */
    PROTOCOL_STREAMS = 256,   /* a link has several subscribers, where that is asked for        */
    PROTOCOL_PUSHES = 512,    /* the Centrifuge protocol's, with the payload inside             */
    PROTOCOL_PACKED = 2048,   /* each message is deflated, or told by what changed: load/packed.h */
    PROTOCOL_DEFLATES = 4096, /* by permessage-deflate                                     */
    PROTOCOL_QUIC = 8192,     /* its links have no sockets of their own: load/quic.h */
    PROTOCOL_LOSSY = 16384,   /* what is lost is not sent again: a later message takes its place */
    PROTOCOL_RTC = 32768,     /* WebRTC: a peer of load/rtc.h, once its offer is answered       */
    PROTOCOL_UDP = PROTOCOL_QUIC | PROTOCOL_RTC,
    PROTOCOL_BARE = 1024, /* is up when TCP is, before a server has accepted it             */
};

struct protocol {
    const char *name;      /* of --transport; NULL: only experiments choose it */
    const char *path;      /* target of the subscription: %s is the channel */
    const char *join_path; /* of the first request; NULL: path */
    const char *fields;    /* further ones of each request's head, each with CRLF; or NULL */
    const char *alpn;      /* what it is called under TLS; NULL: ALPN is not used */
    unsigned is;           /* enum protocol_is */
    size_t held_bytes;     /* kept of a message half read, besides its payload; 0: nothing is */
    const struct protocol *resumes_as; /* the same messages with a position; NULL: it has one */

    /* A link's way to the server is open. NULL: each of its subscribers asks. */
    void (*opened)(struct load *load, struct link *link);
    void (*ask)(struct load *load, struct subscriber *subscriber);
    /* Bytes of the server, which may be written to. */
    void (*input)(struct load *load, struct link *link, char *bytes, size_t len);
    /* The link ends: frees its state. A subscriber of streams ends, and its link does not: ends its
     * stream. NULL: there is nothing to do. */
    void (*closed)(struct load *load, struct link *link);
    void (*left)(struct load *load, struct subscriber *subscriber);
    /* The subscribers of a link that is stalled may be sent so many bytes more: 0 stops them, and
     * UINT32_MAX lets all come again. NULL: its socket is not read. */
    void (*grant)(struct load *load, struct link *link, uint32_t bytes);
    /* Why the server has ended the connection. NULL: LOAD_FAIL_END. */
    enum load_failure (*ended)(const struct subscriber *subscriber);
    /* Sends a few bytes on a subscriber's stream. NULL: on its link, as they are. */
    void (*send)(struct load *load, struct subscriber *subscriber, const char *bytes, size_t len);
    /* Writes a whole message of the group's, with its request or frame. Returns its size. NULL: it
     * cannot publish. */
    size_t (*publish)(const struct load *load, const struct group *group, char *out,
                      uint32_t number, int64_t intended_ns);
};

#define PROTOCOL_ROW(name) extern const struct protocol protocol_##name;
PROTOCOLS(PROTOCOL_ROW)
#undef PROTOCOL_ROW

/* The transport of that name; NULL: there is none. */
const struct protocol *protocol_find(const char *name, size_t len);
/* The transports, one after the other; NULL behind the last. */
const struct protocol *protocol_transport(unsigned number);
