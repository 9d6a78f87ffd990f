/* Between the files of carrier/rtc*.c.
 *
 *   rtc_port.c      a datagram: whose it is; alarms; the library
 *   rtc_offer.c     an offer and its answer; the end that a client asks for
 *   rtc_peer.c      a peer: handshake, association, turn, deadlines, end
 *   rtc_park.c      what is left of a peer while nothing happens, and back
 *   rtc_channel.c   a data channel: opens, messages in and out, ends */
#pragma once

#include <assert.h>
#include <nettle/hmac.h>

#include "carrier/rtc.h"
#include "conn/carrier.h"
#include "core/alarms.h"
#include "core/linear_hash.h"
#include "hub/hub.h"
#include "tls/dtls.h"
#include "wire/sctp.h"
#include "wire/sdp.h"

enum {
    RTC_SECRET_BYTES = 32,
    RTC_NAME_LEN = 20,     /* shard, slot and generation, as hex */
    RTC_PASSWORD_LEN = 32, /* 128 bits, as hex */
    RTC_ID_LEN = RTC_NAME_LEN + RTC_PASSWORD_LEN,
    RTC_FIRST_MS = 10000,          /* from the offer to the first check */
    RTC_OPEN_MS = 20000,           /* from the offer until its association stands */
    RTC_FRESH_PART = 3,            /* of rtc_consent_ms: without a check nothing is sent any more */
    RTC_SCTP_PORT = 5000,          /* of our end */
    RTC_SEND_BYTES = 512 << 10,    /* of messages, not acknowledged, for a peer */
    RTC_RECEIVE_BYTES = 256 << 10, /* of pieces, that wait for others */
    RTC_LIMIT_MAX = UINT16_MAX,    /* of milliseconds or retransmissions: browsers have no more */
};

struct rtc_library {
    struct dtls_identity *dtls;
    struct hmac_sha256_ctx secret; /* keyed, and nothing hashed yet: to be copied */
    struct in6_addr addresses[SDP_ADDRESSES_MAX];
    unsigned address_count;
    struct sctp_settings sctp;
    uint16_t ports[HUB_SHARDS_MAX];
};

/* A shard's. */
struct rtc_port {
    struct carrier carrier; /* its streams are peers */
    struct shard *shard;
    struct alarms alarms;     /* by slot, from the first stream on */
    struct linear_hash peers; /* by address, once a check has come from it */
    uint32_t handshakes;      /* under way */
};

struct rtc_channel {
    uint32_t slot;             /* of its line; TIMERS_NONE: there is none */
    struct sctp_effort effort; /* until_ns: for how long, counted from when it is sent */
    bool is_lossy;             /* only the latest counts when it cannot leave at once */
    bool is_unordered;
    bool is_refused; /* what the line has is the body of an error */
    bool is_ending;  /* reset, and not confirmed yet */
};

/* What a peer has while something is under way. */
struct rtc_live {
    struct rtc *rtc;
    struct sctp sctp;
    struct dtls_keys keys;
    struct dtls_handshake *handshake; /* NULL: the keys are there */
    int64_t say_again_ns;             /* of the handshake, its last flight; INT64_MAX: never */
    int64_t began_ns;                 /* the offer came */
    struct rtc_channel channels[SCTP_STREAMS_MAX];
};

struct rtc_parked;

/* What a peer has by IPv6, or with a token. */
struct rtc_more {
    struct in6_addr address, local;
    char *authorization; /* of the offer, for its channels; NULL: there was none */
};

struct rtc {
    struct carrier carrier; /* its streams are data channels */
    struct linear_node node;
    struct charge charge;
    struct rtc_port *port;
    union {
        struct rtc_live *live;
        struct rtc_parked *parked; /* is_parked: rtc_park.c */
    };
    union {
        struct {
            struct in_addr address, local; /* 0: not known */
        };
        struct rtc_more *more; /* has_more */
    };
    uint32_t heard_ms;    /* the last check came, or before the first the offer; goes round */
    uint16_t port_number; /* of the peer, in network order */
    bool has_more : 1;
    bool is_parked : 1;
    bool is_bound : 1;  /* address and port are its own */
    bool is_shaken : 1; /* the handshake is over on our side */
    bool is_busy : 1;   /* SCTP is on the stack: it may not be freed */
    bool is_dead : 1;   /* its line is closed: free it when that is over */
    bool drains : 1;    /* ends when its channels have */
};
static_assert(sizeof(struct rtc) <= 128, "what an idle peer has, with 128 bytes parked");

static inline struct rtc_port *rtc_port_of(const struct shard *shard)
{
    return shard->datagrams.state[DATAGRAM_RTC];
}

static inline struct shard *rtc_shard(const struct rtc *rtc)
{
    return rtc->port->shard;
}

static inline struct rtc *rtc_of(const struct shard *shard, const struct conn *line)
{
    return (struct rtc *)conn_carrier(shard, line);
}

static inline struct conn *rtc_line(const struct rtc *rtc)
{
    return conn_at(rtc_shard(rtc), rtc->carrier.slot);
}

static inline const char *rtc_authorization(const struct rtc *rtc)
{
    return rtc->has_more ? rtc->more->authorization : NULL;
}

/* When it was heard, in whole milliseconds: within the 49 days after it. */
static inline int64_t rtc_heard_ns(const struct rtc *rtc)
{
    int64_t now_ms = rtc_shard(rtc)->now_ns / 1000000;
    return (now_ms - (uint32_t)((uint32_t)now_ms - rtc->heard_ms)) * 1000000;
}

static inline void rtc_heard(struct rtc *rtc)
{
    rtc->heard_ms = (uint32_t)(rtc_shard(rtc)->now_ns / 1000000);
}

static inline struct rtc *rtc_of_sctp(struct sctp *sctp)
{
    return ((struct rtc_live *)(void *)((char *)sctp - offsetof(struct rtc_live, sctp)))->rtc;
}

/* ---- rtc_port.c ---- */

/* The name of a peer: RTC_NAME_LEN characters. What it is to know: RTC_PASSWORD_LEN of them, for
 * checks of its path, or, with `end`, to end it. */
void rtc_name_write(const struct rtc *rtc, char name[RTC_NAME_LEN]);
void rtc_password_write(const struct shard *shard, const char name[RTC_NAME_LEN], bool end,
                        char password[RTC_PASSWORD_LEN]);
/* The peer of a name that lives on this shard, or NULL. */
struct rtc *rtc_named(struct shard *shard, struct span name);
/* Where it is, and by which address of ours it came; or unspecified. IPv4 as mapped. */
struct sockaddr_in6 rtc_address(const struct rtc *rtc);
struct in6_addr rtc_local(const struct rtc *rtc);
/* The part that few have, made when it is missing. Returns NULL when memory is out. */
struct rtc_more *rtc_more(struct rtc *rtc);
/* The shard of a name; UINT32_MAX: it is none. */
uint32_t rtc_name_shard(struct span name);
void rtc_unbind(struct rtc *rtc);

/* ---- rtc_peer.c ---- */

extern const struct carrier_ops rtc_ops, rtc_port_ops;
/* A peer for an offer, with its token, on the heap, or NULL, taken over. Returns NULL when there is
 * no place, or memory is out. */
struct rtc *rtc_begin(struct rtc_port *port, const struct sdp_offer *offer, char *authorization);
/* Records that have come from its address. */
void rtc_records(struct rtc *rtc, uint8_t *bytes, size_t len);
void rtc_alarm(struct rtc *rtc);
/* Whether the peer has been heard lately, so that it may be sent to. */
bool rtc_fresh(const struct rtc *rtc);
void rtc_alarm_set(struct rtc *rtc);
void rtc_end(struct rtc *rtc, enum close_reason reason);
/* Charges what is held. Returns false when that has closed the peer. */
bool rtc_account(struct rtc *rtc);

/* ---- rtc_park.c ---- */

/* Leaves only what an idle peer needs, if this one is idle, and if there is memory to. */
void rtc_park(struct rtc *rtc);
/* Makes it a live one again. Returns NULL when memory is out: then nothing has changed. */
struct rtc_live *rtc_awake(struct rtc *rtc);
/* One line fewer: the stream is to be reset when it is awake. */
void rtc_parked_reset(struct rtc *rtc, uint16_t id);
size_t rtc_parked_bytes(const struct rtc *rtc);

/* ---- rtc_channel.c ---- */

extern const struct sctp_ops rtc_sctp_ops;
void rtc_head(struct shard *shard, struct conn *stream, const struct http_response_head *head);
void rtc_reset(struct shard *shard, struct conn *stream, enum close_reason reason);
void rtc_read_on(struct shard *shard, struct conn *stream);
void rtc_offer_lines(struct rtc *rtc);
/* Gives SCTP what the lines have, as far as it takes it. Returns whether it took something. */
bool rtc_fill(struct rtc *rtc);
void rtc_settle(struct rtc *rtc);
/* A channel without a line. */
void rtc_channels_init(struct rtc_live *live);
