/* rtc: links of WebRTC: each is a peer with data channels, and all of a load share one UDP socket.
 *
 *   client_rtc.c    signalling: POST /rtc over the link's own TCP connection, and the answer;
 *                   channels, and what is on them
 *   rtc_peer.c      a peer: checks, handshake, association, its end
 *   rtc_port.c      the socket: whose a datagram is; what is to be sent; alarms; the network
 *
 *     link_connect ─► TCP ─► offer, answer ─► rtc_begin: checks ─► DTLS ─► SCTP ─► row.ask
 *     engine ─► rtc_packets ─► rtc_take ─► a message ─► a subscriber
 *            ─► rtc_step: alarms ─┐
 *            ─► rtc_flush ◄───────┴─ rtc_due: links with something to say
 *
 * Idea     The server's codecs (wire/sctp.h, tls/dtls.h) in the active role. A server tells peers
 *          apart by their address, so each has a loopback address of its own, its port is the
 *          socket's, and a datagram is found by the address that it came to.
 * Network  Where a run has a round trip or losses, datagrams pass phantom/network.h here, as the
 *          segments of clients without sockets do there.
 * Checks   As a browser sends them: until the first is answered every RTC_CHECK_AGAIN_MS, then
 *          every RTC_CHECK_MS. Who has no answer for RTC_GONE_MS takes the server for gone.
 * Threads  the load's.
 * Memory   1 KB for a peer; 12 KB more in its handshake; for each link of the load 25 bytes.
 * Bounds   RTC_SEND_BYTES and RTC_RECEIVE_BYTES of messages of a peer; SCTP_STREAMS_MAX channels.
 * Errors   of a link, by enum load_failure.
 * Source   RFC 8445, RFC 7675, RFC 8261, RFC 8832, RFC 9725. */
#pragma once

#include "core/alarms.h"
#include "load/engine.h"
#include "tls/dtls.h"
#include "wire/sctp.h"
#include "wire/sdp.h"

enum {
    RTC_SOCKET = 1, /* its number in the ring */
    RTC_PACKET_ROOM = 2048,
    RTC_CHECK_AGAIN_MS = 250,
    RTC_CHECK_MS = 2700,
    RTC_GONE_MS = 30000,
    RTC_HANDSHAKES = 64, /* under way, which the opener keeps to: more only say theirs again */
    RTC_SEND_BYTES = 512 << 10,
    RTC_RECEIVE_BYTES = 2 << 20,
    RTC_NAME_MAX = 32, /* of the server's user fragment, and of its password */
    RTC_ANSWER_MAX = 4096,
};

struct rtc_port {
    int fd;
    uint16_t port;                  /* of all peers, in network order */
    uint32_t first;                 /* address, in host order: of the link with index 0 */
    struct alarms alarms;           /* by link */
    struct dtls_identity *identity; /* of all peers */
    uint32_t *due;                  /* links with something to say, and how many */
    uint32_t due_count;
    uint8_t *is_due;       /* by link */
    uint32_t *generations; /* by link: how many peers it has had */
    unsigned out_count;
    struct ring_packet out[RING_PACKETS_MAX];
    struct ring_packet in[RING_PACKETS_MAX];
    uint8_t *area; /* of both */
};

enum rtc_phase {
    RTC_SIGNALS, /* over TCP */
    RTC_CHECKS,  /* its first check is not answered yet */
    RTC_SHAKES,  /* hands */
    RTC_OPENS,   /* the association does not stand yet */
    RTC_STANDS,
};

/* A link's peer: load.states has it. */
struct rtc_peer {
    struct load *load;
    uint32_t link;
    uint8_t phase; /* enum rtc_phase */
    bool is_busy;  /* SCTP is on the stack: it may not be freed */
    bool is_over;  /* its link has ended meanwhile */
    char *text;    /* RTC_SIGNALS: what has come of the answer, RTC_ANSWER_MAX */
    uint32_t text_len;
    struct sockaddr_in6 server;
    uint8_t name_len, password_len;
    char name[RTC_NAME_MAX], password[RTC_NAME_MAX];
    uint8_t transaction[12];          /* of the last check */
    int64_t check_ns;                 /* when the next is due */
    int64_t answered_ns;              /* when the last one was */
    int64_t say_again_ns;             /* of the handshake, its last flight; INT64_MAX: never */
    struct dtls_handshake *handshake; /* RTC_SHAKES */
    uint8_t fingerprint[DTLS_FINGERPRINT_SIZE];
    struct dtls_keys keys;
    struct sctp sctp;
};

static inline bool link_is_rtc(const struct load *load, const struct link *link)
{
    return link_protocol(load, link)->is & PROTOCOL_RTC;
}

static inline struct rtc_peer *rtc_of(const struct load *load, uint32_t link)
{
    return load->states[link];
}

static inline struct link *rtc_link(const struct rtc_peer *peer)
{
    return &peer->load->links[peer->link];
}

/* Whether the link has left its TCP connection behind: nothing of its slot in the ring is its own
 * any more. */
static inline bool link_is_detached(const struct load *load, const struct link *link)
{
    if (!link_is_rtc(load, link))
        return false;
    const struct rtc_peer *peer = rtc_of(load, link_index(load, link));
    return peer && peer->phase != RTC_SIGNALS;
}

/* ---- rtc_port.c ---- */

/* Makes the port of a load that has such links. Returns 0 or negative errno with a sentence. */
int rtc_port_create(struct load *load, char *why, size_t why_size);
/* Links have ended. Accepts a load without one. */
void rtc_port_free(struct load *load);
/* Takes what has come. */
void rtc_packets(struct load *load);
/* Alarms that are due go off, and what is under way arrives. Returns nanoseconds until the next. */
int64_t rtc_step(struct load *load);
/* Everybody who is due says what there is to say, and all of it is sent. */
void rtc_flush(struct load *load);
void rtc_due(struct rtc_peer *peer);
/* Room for a datagram, and so many bytes of it leave. */
uint8_t *rtc_room(struct load *load);
void rtc_send(struct rtc_peer *peer, size_t len);
/* A peer begins, or another one, on its link. */
void rtc_port_begin(struct rtc_peer *peer);
void rtc_alarm_set(struct rtc_peer *peer, int64_t at_ns);
void rtc_port_forget(struct rtc_peer *peer);

/* ---- rtc_peer.c ---- */

/* The answer has come: begins with checks. */
void rtc_begin(struct rtc_peer *peer, const struct sdp_answer *answer);
/* A datagram for it. */
void rtc_take(struct rtc_peer *peer, uint8_t *bytes, size_t len);
void rtc_alarm(struct rtc_peer *peer);
/* Says what there is to say. */
void rtc_write(struct rtc_peer *peer);
/* Says goodbye and frees it, at once or when SCTP lets go. Accepts NULL. */
void rtc_peer_end(struct rtc_peer *peer);

/* ---- client_rtc.c ---- */

extern const struct sctp_ops rtc_sctp_ops;
