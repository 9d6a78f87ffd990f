/* quic: links over QUIC: all of a load share one UDP socket.
 *
 *   quic_port.c    the socket: whose a datagram is; what is to be sent; alarms; the network between
 *   quic_conn.c    a link's connection: begins, reads, writes, ends
 *   client_h3.c    what is on its streams
 *   client_wt.c    and of those, what is WebTransport's
 *
 *     engine ─► quic_packets ─► quic_read ─► http3_stream_data ─► a subscriber
 *            ─► quic_step: alarms ─┐
 *            ─► quic_flush ◄───────┴─ quic_due: links with something to say
 *
 * Idea     The server's libraries and codecs (tls/quic_compat.h, wire/http3.h) in the other role. A
 *          connection's ID begins with its link's index, so that no table is needed to find it. The
 *          certificate is taken as it is: the server is the bench's own. GnuTLS's session goes with
 *          the handshake.
 * Network  Where a run has a round trip or losses, datagrams pass phantom/network.h here, as the
 *          segments of clients without sockets do there.
 * Threads  the load's.
 * Memory   For each connection some 65 KB of ngtcp2 0.12, and a stream of 120 bytes for each
 *          subscriber; for each link of the load 25 bytes.
 * Bounds   What a stream and a connection may send before they are heard: as Chromium has it.
 *          Requests at a time: as many as the server allows; others wait.
 * Errors   of a link, by enum load_failure.
 * Source   RFC 9000, RFC 9001, RFC 9114. */
#pragma once

#include <gnutls/gnutls.h>
#include <nghttp3/nghttp3.h>

#include "core/alarms.h"
#include "load/engine.h"
#include "phantom/network.h"
#include "tls/quic_compat.h"
#include "wire/http3.h"

enum {
    QUIC_PACKET_MAX = 1452, /* of an Ethernet's 1,500, behind the heads of IPv6 and UDP */
    QUIC_PACKET_ROOM = 2048,
    QUIC_CID_BYTES = 12, /* index and generation of a link, and six at random */
    QUIC_SOCKET = 0,     /* its number in the ring */
};

struct quic_port {
    int fd;
    struct alarms alarms; /* by link */
    uint32_t *due;        /* links with something to say, and how many */
    uint32_t due_count;
    uint8_t *is_due;       /* by link */
    uint16_t *generations; /* by link: how many connections it has had */
    gnutls_priority_t priority;
    gnutls_certificate_credentials_t credentials;
    nghttp3_qpack_encoder *encoder; /* with no table: one for all connections */
    nghttp3_qpack_decoder *decoder;
    unsigned out_count;
    struct ring_packet out[RING_PACKETS_MAX];
    struct ring_packet in[RING_PACKETS_MAX];
    char *area; /* of both */
};

struct http3_stream;

/* A link's connection: load.states has it. */
struct quic {
    struct load *load;
    ngtcp2_conn *conn;
    ngtcp2_crypto_conn_ref ref;
    gnutls_session_t tls; /* NULL: the handshake is over */
    struct sockaddr_in6 peer;
    struct http3_stream *streams;
    struct http3_stream *ready, *last_ready;
    struct http3_control *control; /* of the server, until it has said its settings */
    struct http3_stream *session;  /* of WebTransport: the one that asked for it; NULL: none is */
    uint32_t link;
    bool is_busy; /* the library is on the stack: it may not be freed */
    bool is_over; /* its link has ended meanwhile */
    bool is_dead; /* and the server knows */
};

/* ---- quic_port.c ---- */

/* Makes the port of a load that has such links. Returns 0 or negative errno with a sentence. */
int quic_port_create(struct load *load, char *why, size_t why_size);
/* Links have ended. Accepts a load without one. */
void quic_port_free(struct load *load);
/* Takes a batch of what has come. */
void quic_packets(struct load *load);
/* Alarms that are due go off, and what is under way arrives. Returns nanoseconds until the next. */
int64_t quic_step(struct load *load);
/* Everybody who is due says what there is to say, and all of it is sent. */
void quic_flush(struct load *load);
void quic_due(struct quic *quic);
/* Room for a packet, and so many bytes of it leave. */
char *quic_room(struct load *load);
void quic_send(struct quic *quic, size_t len, uint8_t ecn);

static inline bool link_is_quic(const struct load *load, const struct link *link)
{
    return link_protocol(load, link)->is & PROTOCOL_QUIC;
}

static inline struct quic *quic_of(const struct load *load, uint32_t link)
{
    return load->states[link];
}

static inline struct link *quic_link(const struct quic *quic)
{
    return &quic->load->links[quic->link];
}

/* ---- quic_conn.c ---- */

/* Begins a handshake. */
void quic_connect(struct load *load, struct link *link, const struct sockaddr_in *to);
void quic_read(struct quic *quic, char *bytes, size_t len, uint8_t ecn);
void quic_alarm(struct quic *quic);
void quic_write(struct quic *quic);
/* A row's `closed`: says so, and frees it, at once or when the library lets go. */
void quic_closed(struct load *load, struct link *link);

/* ---- client_h3.c ---- */

enum {
    HTTP3_HEAD_MAX = 65536, /* of an answer; and of a message that is kept until it is whole */
};

enum http3_kind {
    HTTP3_STREAM_REQUEST,
    HTTP3_STREAM_UNKNOWN, /* a one-way stream that has not said what it is */
    HTTP3_STREAM_CONTROL,
    HTTP3_STREAM_IGNORED,
    HTTP3_STREAM_SESSIONS, /* of a session of WebTransport, whose number is still to come */
    HTTP3_STREAM_RAW,      /* of a session of WebTransport: in no frames */
};

/* A stream that we have opened, or the server has. */
struct http3_stream {
    struct quic *quic;
    struct http3_stream *prev, *next; /* of the connection's */
    struct http3_stream *next_ready;
    struct subscriber *subscriber; /* NULL: it has none, or none any more */
    int64_t id;
    const char *bytes; /* to be sent, until they are acknowledged */
    uint32_t len, sent;
    bool is_ready; /* in the list of those with something to send */
    bool is_blocked;
    bool is_constant; /* `bytes` are */
    bool ends;        /* with what is to be sent */
    bool end_sent;
    uint8_t kind; /* enum http3_kind */
    uint16_t status;
    struct http3_number number;
    struct http3_frames frames;
    char *head; /* what is put together of it */
    uint32_t head_len;
};

/* The handshake is over: opens the control stream, and lets the link ask. */
void http3_opened(struct quic *quic);
/* Bytes of the server's, and its end. Returns false when they break the protocol. */
bool http3_stream_data(struct quic *quic, struct http3_stream *stream, int64_t id,
                       struct span bytes, bool ended);
void http3_stream_closed(struct http3_stream *stream, uint64_t code);
/* More may be asked than before. */
void http3_more_streams(struct quic *quic);
void http3_streams_free(struct quic *quic);
void http3_acked(struct http3_stream *stream, uint64_t offset);
void http3_ready(struct http3_stream *stream);
/* Puts pieces together at `head`. Returns false when they are too long. */
bool http3_keep(struct http3_stream *stream, struct span piece);
/* A stream of ours for a subscriber, both ways. Returns NULL when the server allows no more now: it
 * will ask again. */
struct http3_stream *http3_stream_open(struct quic *quic, struct subscriber *subscriber);
/* Asks by it. `protocol` NULL: a GET; else an extended CONNECT, which does not end. */
void http3_ask(struct http3_stream *stream, struct span target, const char *protocol);
/* A row's `left`. */
void http3_left(struct load *load, struct subscriber *subscriber);

/* ---- client_wt.c ---- */

void webtransport_answered(struct load *load, struct subscriber *subscriber);
/* Bytes of a stream of a session, and its end. Returns false when they break the protocol. */
bool webtransport_input(struct http3_stream *stream, struct span bytes, bool ended);
void webtransport_datagram(struct quic *quic, struct span datagram);
