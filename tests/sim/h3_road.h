/* h3_road: a connection of QUIC that clients of the simulation share, between h3_road.c,
 * h3_stream.c, h3_link.c and h3_session.c. */
#pragma once

#include <gnutls/gnutls.h>
#include <nghttp3/nghttp3.h>

#include "carried.h"
#include "h3_link.h"
#include "tls/quic_compat.h"
#include "wire/capsule.h"
#include "wire/http3.h"

/* What the library needs where it is until it is acknowledged. */
struct h3_chunk {
    struct h3_chunk *next;
    size_t len;
    uint8_t bytes[];
};

enum h3_kind {
    H3_REQUEST,
    H3_UNKNOWN, /* a server's, that has not said what it is */
    H3_CONTROL,
    H3_IGNORED,
    H3_SESSIONS, /* a server's, of a session of WebTransport whose number is still to come */
    H3_RAW,      /* of such a session: in no frames */
};

/* How a client has its stream. */
enum h3_way {
    H3_PLAIN,
    H3_TUNNEL,     /* a WebSocket of RFC 9220 */
    H3_OWN_STREAM, /* one as a stream of the client's in a session of WebTransport */
    H3_SESSION,    /* one as the session itself: messages come on a stream of the server's, and
                      leave as a stream each */
    H3_DATAGRAMS,  /* likewise, as datagrams, of which the latest counts */
};

struct h3_stream {
    struct h3_road *road;
    struct h3_stream *next;
    struct h3_link *link; /* who hears it; NULL: nobody, or nobody any more */
    int64_t id;
    enum h3_kind kind;
    struct h3_chunk *chunks;      /* from the one at `freed` on */
    uint64_t freed, sent, queued; /* offsets: of the first chunk, of what has not left, the end */
    bool ends, end_sent;          /* nothing follows what is queued */
    bool blocked, over;
    bool ended; /* by the server, before anybody could hear it */
    struct http3_number number;
    struct http3_frames frames;
    struct bytes head; /* of an answer, while it comes; or what nobody could hear yet */
};

struct h3_road {
    struct sim *sim;
    struct h3_road *next;
    struct fake_udp *udp;
    struct sockaddr_in6 address;
    ngtcp2_conn *conn;
    ngtcp2_crypto_conn_ref ref;
    gnutls_session_t tls; /* NULL: the handshake is over */
    gnutls_certificate_credentials_t credentials;
    nghttp3_qpack_encoder *encoder;
    nghttp3_qpack_decoder *decoder;
    struct http3_control control; /* of the server */
    struct h3_stream *streams;
    struct h3_link *links;
    unsigned count;
    int64_t stalled_until_ns;
    bool open;     /* the handshake is over */
    bool moved;    /* its address is not the one that it came with */
    bool proved;   /* the server may know that it is at its address */
    bool vanished; /* does nothing any more, and does not say so */
    bool leaves;   /* takes no further streams: the server said so */
};

struct h3_link {
    struct client *client;
    struct h3_road *road; /* NULL: it is over */
    struct h3_link *next;
    struct h3_stream *stream; /* NULL: none is under way */
    enum h3_way way;
    bool closed;       /* nothing follows what is in `in` */
    bool has_answer;   /* the last head that came was not an interim one, and has a body */
    struct bytes out;  /* of HTTP/1.1, or of a WebSocket */
    struct bytes body; /* of a request */
    struct bytes in;
    size_t unread; /* bytes of the stream that its window is not given back for */
    char key[WS_KEY_SIZE];

    /* h3_session.c */
    struct h3_stream *session; /* that asked for it; NULL: there is none */
    bool is_open;              /* it has been answered */
    struct capsules capsules;
    struct bytes target;      /* of the client's own stream */
    struct bytes first;       /* of the server's first frame, while it comes */
    bool is_judged;           /* that frame is no refusal */
    struct ws_inbound frames; /* of the client's, and a message of it */
    struct bytes message;
    struct bytes datagram; /* to be sent; empty: none is */
    uint8_t number;
    uint64_t sequence; /* of the next datagram, at least */
    uint64_t sent;     /* likewise of the client's */
};

/* ---- h3_road.c ---- */

/* One that has room for one stream more, or a new one. */
struct h3_road *h3_road_find(struct sim *sim);
/* Reads and writes, or has its troubles. It may be over then, and the link has none. */
void h3_road_go(struct h3_road *road);
/* The link gets off. A road goes with its last one. */
void h3_road_leave(struct h3_link *link);

/* ---- h3_stream.c ---- */

extern const ngtcp2_callbacks h3_callbacks;
void h3_stream_free(struct h3_stream *stream);
/* Opens a stream, both ways or to the server alone; NULL: the server lets no more be opened now. */
struct h3_stream *h3_stream_open(struct h3_road *road, bool both_ways);
void h3_stream_queue(struct h3_stream *stream, const void *bytes, size_t len);
/* The server is to send and to take nothing more on it. */
void h3_stream_reset(struct h3_stream *stream);

/* ---- h3_link.c ---- */

/* Asks for what its client wants next, if nothing is under way. */
void h3_link_ask(struct h3_link *link);
/* Bytes of a stream and its end, for its link. */
void h3_link_hear(struct h3_stream *stream, struct span bytes, bool ended);
/* The stream is over, however it ended. */
void h3_link_stream_over(const struct h3_stream *stream);
/* The road is. */
void h3_link_over(struct h3_link *link);
/* HEADERS of these fields. */
void h3_queue_head(struct h3_stream *stream, const struct carried_field *fields, size_t count);

/* ---- h3_session.c ---- */

/* How the client is to have the WebSocket that it asks for. */
enum h3_way h3_session_way(struct h3_link *link, const struct carried_request *asked);
/* Asks for the session. */
void h3_session_ask(struct h3_link *link, const struct carried_request *asked);
/* Its answer, what comes on the stream of that, and its end. */
void h3_session_answered(struct h3_link *link, int status);
void h3_session_capsules(struct h3_link *link, struct span bytes);
void h3_session_ended(struct h3_link *link);
/* Bytes on a stream in it, and the end of that. */
void h3_session_raw(struct h3_stream *stream, struct span bytes, bool ended);
void h3_session_datagram(struct h3_road *road, struct span bytes);
/* Whose a stream of the server's is. */
struct h3_link *h3_session_find(const struct h3_road *road, uint64_t session);
/* What the client sends. */
void h3_session_write(struct h3_link *link, const char *bytes, size_t size);
void h3_session_free(struct h3_link *link);
