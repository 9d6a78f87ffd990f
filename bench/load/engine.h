/* engine: what the files of the load generator share. Nobody outside load/ includes this.
 *
 *   turn.c ramp.c churn.c idle.c     what is asked for: set things going, step until they are done
 *   visits.c together.c              likewise
 *   engine.c                         one step: open, publish, poll, send, wait, receive, count
 *   link.c                           a link's life: down ─► connecting ─► opening ─► up
 *   subscriber.c                     a subscriber's, on its link
 *   protocol.c                       which protocols there are: a row each
 *   client_ws.c _sse.c _poll.c       what the bytes of each mean
 *   half.c stash.c                   what is left of a read until the next
 *   publisher.c poller.c opener.c    who acts by the clock
 *   trickler.c                       likewise
 *   outbox.c                         small sends, gathered; what a socket did not take
 *   secure.c                         TLS, below all of them
 *
 * A link is a connection, and its index is its slot in the ring. A subscriber is who hears the
 * messages of a channel: one on each link, or several where the protocol has streams
 * (group.streams). The subscribers of a link follow each other, and with one on each link both
 * have the same index. Publishers come after all subscribers and after all links: that of group g
 * is subscriber publishers_first + g, on link publisher_links_first + g. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"
#include "core/timers.h"
#include "load/doubts.h"
#include "load/flight.h"
#include "load/ledger.h"
#include "load/load.h"
#include "load/outbox.h"
#include "load/protocol.h"
#include "load/secure.h"
#include "load/sources.h"
#include "load/stash.h"
#include "load/token.h"
#include "wire/position.h"
#include "wire/span.h"

#define LINK_NONE UINT32_MAX

enum {
    RECEIVE_BATCH = 128,
    RECEIVE_BYTES = 8192,
    /* Three lines more than the bytes: areas a power of two apart would all fall into the same
     * cache sets. */
    RECEIVE_STRIDE = RECEIVE_BYTES + 192,
    STEP_WAIT_MS = 20, /* longest wait in one step */
    WAIT_TICK_MS = 4,  /* how exactly a link comes back */
    REQUEST_HEAD_MAX = 2048,
    STASH_BYTES_MIN = 2048,
    STASH_EVENT_EXTRA = 512, /* an SSE event's lines besides its payload */
};

enum {
    LOAD_ECHO_BYTES_MAX = 65536,
    LOAD_HOST_MAX = 32,      /* "address:port" */
    CHANNEL_SUFFIX_MAX = 12, /* "-1048575" */
    LOAD_ATTEMPTS_ANY = 255, /* tries as long as there is time */
};

enum link_phase {
    LINK_DOWN,
    LINK_WAITING, /* down, until it is time to connect again */
    LINK_CONNECTING,
    LINK_TLS,     /* in its TLS handshake */
    LINK_OPENING, /* until all its subscribers are up */
    LINK_UP,
    LINK_CLOSING, /* waits for its watches to fire */
};

enum link_flag {
    LINK_WATCHED = 1,       /* a read watch is outstanding */
    LINK_WRITE_WATCHED = 2, /* likewise */
    LINK_STALLED = 4,       /* up, but is not read from */
    LINK_CYCLING = 8,       /* between two connections of a long poll: who is up stays up */
    LINK_AGAIN = 16,        /* connects again as soon as it is down */
    LINK_LISTED = 32,       /* queued, being opened, or waiting: the opener's */
    LINK_BACKLOG = 64,      /* its socket has not taken all that was sent: the outbox's */
    LINK_SENDING = 128,     /* has bytes in the outbox */
};

/* A connection. Its timer is the opener's: the time-out of what is being opened, or when to connect
 * again; one that is queued has no deadline, and its neighbours in the queue are there instead. */
struct link {
    struct timer_link timer;
    uint8_t group;
    uint8_t phase;    /* enum link_phase */
    uint8_t flags;    /* enum link_flag */
    uint8_t attempts; /* in this ramp */
};

enum subscriber_flag {
    SUBSCRIBER_OPEN = 1,     /* has asked for the channel: bytes may be parsed for it */
    SUBSCRIBER_ANSWERED = 2, /* that was answered; it may have no position yet */
    SUBSCRIBER_UP = 4,       /* and is heard: what is published must reach it */
    SUBSCRIBER_STALLED = 8,  /* up, but does not read */
    SUBSCRIBER_ASKED = 16,   /* a request, or an echo, waits for its answer */
};

struct subscriber {
    struct ledger_place place;
    struct position position; /* epoch 0: none */
    uint16_t stash;           /* its number, from 1; 0: none */
    uint16_t hint;            /* what the server told it to wait, in WAIT_TICK_MS; 0: nothing */
    uint8_t group;
    uint8_t flags; /* enum subscriber_flag */
    uint8_t kept;  /* what its protocol keeps between two messages */
};
static_assert(sizeof(struct link) == 16 && sizeof(struct subscriber) == 32, "load.h says so");

struct link_list {
    uint32_t first, last, count;
};

/* Publishes one group's messages over one connection; publisher.c. */
struct publisher {
    struct load_mode mode;
    bool active;
    bool alone;   /* goes on while nobody is there */
    bool failed;  /* its connection could not be made, or ended */
    bool again;   /* certain: the last message was refused, and is still to be published */
    char *buffer; /* what is being sent; with TLS, room for a record's head comes first */
    size_t head;  /* that room */
    size_t size, len;
    uint64_t left;       /* messages until the turn's limit */
    uint32_t number;     /* of the last message */
    double interval_ns;  /* open loop */
    double due_ns;       /* open loop: intended time of the next message */
    uint32_t unanswered; /* POST: requests on their way */
};

/* Sends a polling group's requests evenly over the interval; poller.c. */
struct poller {
    bool active;
    uint32_t cursor;
    double due_ns;
};

/* Reads for its stalled clients; trickler.c. */
struct trickler {
    uint32_t bytes; /* each time; 0: nothing */
    uint32_t cursor;
    double due_ns;
};

/* When messages of a rate are under way: from a publish to its last delivery, and what this thread
 * has used of its CPU in that time. At a low rate both sides idle in between, and a turn as a whole
 * cannot tell which was the limit. */
struct burst {
    bool begun;
    int64_t since_ns, since_cpu_ns; /* of one that goes on */
    int64_t ns, cpu_ns;             /* of those that are over */
};

struct group {
    struct load_group_config config;
    char path[LOAD_TARGET_MAX];      /* of the subscription */
    char join_path[LOAD_TARGET_MAX]; /* polling: of the first request */
    char publish_path[LOAD_TARGET_MAX];
    char channel[LOAD_NAME_MAX + 1];
    char fields[LOAD_FIELDS_MAX + 32]; /* further ones of the clients' request heads */
    char host[LOAD_HOST_MAX];
    char publish_host[LOAD_HOST_MAX];
    br_hmac_key_context token_key; /* where clients sign on */
    struct load_protocol protocol; /* all zero: our own */
    struct sockaddr_in publish_target;
    uint32_t first; /* subscriber */
    uint32_t first_link;
    uint32_t links;
    uint32_t streams; /* subscribers of each link, but perhaps the last */
    uint32_t up;      /* subscribers */
    uint32_t links_up;
    uint32_t stalled;
    uint32_t ready;          /* up, reading, and in the ledger: those that a message must reach */
    uint32_t channels;       /* at least 1 */
    uint32_t *channel_ready; /* of each channel */
    uint32_t cycle[LOAD_CYCLE_MAX]; /* sizes of the messages that follow each other in a channel */
    uint32_t cycle_count;
    bool echoing;
    uint32_t echoes; /* under way */
    struct load_counters counters;
    struct load_ledger ledger;
    uint64_t torn; /* messages of polls' answers that were cut off: they are asked for again */
    struct publisher publisher;
    struct doubts doubts;
    struct poller poller;
    struct trickler trickler;
    struct histogram *corrected;
    struct histogram *uncorrected;
    struct flights flights;
    struct burst burst;
    struct network *network; /* of links over UDP; NULL: there is none between */
    uint64_t heard;          /* of PROTOCOL_LOSSY: deliveries so far, and when the last was */
    int64_t heard_ns;
    struct packed *packed; /* of PROTOCOL_PACKED: what its messages were; NULL: none has come */
    uint32_t turn_after;   /* number of the last message before the turn that goes on */
};

/* Opens links with a bounded number under way; opener.c. */
struct opener {
    struct link_list queued; /* down, to be opened */
    uint32_t opening;        /* from the connect until all its subscribers are up */
    uint32_t waiting;        /* for their time to connect again */
    struct timers timers;    /* of all links */
    uint64_t random;
    struct load_backoff backoff;
    uint32_t in_flight_max;
    unsigned attempts_max;
    double interval_ns; /* 0: as fast as in_flight_max allows */
    double due_ns;
    uint32_t opened, failed; /* since opener_start */
    uint64_t retries;
    int64_t last_ns; /* when the last one came up */
    uint64_t failures[LOAD_FAIL_COUNT];
    uint32_t errors[LOAD_ERRNO_MAX]; /* of connect and what goes before it */
    int backlog_fd;                  /* load/backlog.h; negative: the kernel does not tell */
    const struct sockaddr_in *bare;  /* the server of bare connects; NULL: there were none */
    uint32_t unaccepted;             /* of them, as far as is known */
    int64_t look_ns;                 /* when the kernel may be asked again */
};

struct churner {
    bool active;
    bool orderly;
    struct group *group;
    uint32_t cursor, stride;
    double interval_ns, due_ns;
    uint64_t closed;
};

struct load {
    struct ring *ring;
    struct link *links;
    struct subscriber *subscribers;
    uint32_t publishers_first;      /* subscriber */
    uint32_t publisher_links_first; /* link */
    uint32_t subscriber_count;      /* with the publishers */
    uint32_t link_count;            /* likewise */
    void **states;                  /* by link: what its protocol keeps for its life; or NULL */
    struct group *groups;
    unsigned group_count;
    uint32_t handshake_timeout_ms;
    struct sources sources;
    struct stashes stashes;
    struct outbox outbox;
    struct secure *secure;  /* NULL: no group has TLS */
    struct quic_port *quic; /* NULL: no link is over QUIC */
    struct rtc_port *rtc;   /* NULL: no link is of WebRTC */
    struct opener opener;
    struct churner churner;

    int64_t now_ns;   /* of the last receive or wait */
    struct half half; /* where reads without a stash are parsed; clean between reads */
    char *scratch;    /* stands in for stash.bytes likewise */
    char *receive_area;
    struct ring_io receive[RECEIVE_BATCH];
    unsigned receive_count;
    uint64_t touched_groups; /* those that the batch brought messages to */

    bool (*progress)(void *context, struct load *load);
    void *progress_context;
    int64_t progress_ns, progress_due_ns;
};
static_assert(LOAD_GROUPS_MAX <= 64, "touched_groups has a bit for each");

static inline struct group *group_of(struct load *load, const struct subscriber *subscriber)
{
    return &load->groups[subscriber->group];
}

static inline struct group *link_group(struct load *load, const struct link *link)
{
    return &load->groups[link->group];
}

static inline uint32_t subscriber_index(const struct load *load,
                                        const struct subscriber *subscriber)
{
    return (uint32_t)(subscriber - load->subscribers);
}

static inline uint32_t link_index(const struct load *load, const struct link *link)
{
    return (uint32_t)(link - load->links);
}

static inline bool subscriber_publishes(const struct load *load,
                                        const struct subscriber *subscriber)
{
    return subscriber_index(load, subscriber) >= load->publishers_first;
}

static inline bool link_publishes(const struct load *load, const struct link *link)
{
    return link_index(load, link) >= load->publisher_links_first;
}

static inline uint32_t group_number(const struct load *load, const struct group *group)
{
    return (uint32_t)(group - load->groups);
}

static inline struct link *group_publisher(struct load *load, const struct group *group)
{
    return &load->links[load->publisher_links_first + group_number(load, group)];
}

/* The first subscriber of a link, and how many it has. */
static inline struct subscriber *link_first(const struct load *load, const struct link *link)
{
    const struct group *group = &load->groups[link->group];
    if (link_publishes(load, link))
        return &load->subscribers[load->publishers_first + link->group];
    uint32_t nth = link_index(load, link) - group->first_link;
    return &load->subscribers[group->first + nth * group->streams];
}

static inline uint32_t link_streams(const struct load *load, const struct link *link)
{
    const struct group *group = &load->groups[link->group];
    if (group->streams == 1 || link_publishes(load, link))
        return 1;
    uint32_t from = (link_index(load, link) - group->first_link) * group->streams;
    uint32_t left = group->config.clients - from;
    return left < group->streams ? left : group->streams;
}

static inline struct link *link_of(const struct load *load, const struct subscriber *subscriber)
{
    const struct group *group = &load->groups[subscriber->group];
    if (subscriber_publishes(load, subscriber))
        return &load->links[load->publisher_links_first + subscriber->group];
    uint32_t nth = subscriber_index(load, subscriber) - group->first;
    return &load->links[group->first_link + (group->streams == 1 ? nth : nth / group->streams)];
}

static inline const struct protocol *link_protocol(const struct load *load, const struct link *link)
{
    const struct load_group_config *config = &load->groups[link->group].config;
    return link_publishes(load, link) ? config->publish : config->transport;
}

/* Whether bytes may still be parsed for it. */
static inline bool link_open(const struct link *link)
{
    return link->phase >= LINK_TLS && link->phase <= LINK_UP;
}

static inline bool subscriber_open(const struct subscriber *subscriber)
{
    return subscriber->flags & SUBSCRIBER_OPEN;
}

static inline bool link_secure(const struct load *load, const struct link *link)
{
    return load->groups[link->group].config.tls != NULL;
}

static inline bool group_is(const struct group *group, unsigned trait)
{
    return group->config.transport->is & trait;
}

/* Whether it is one of group.ready. */
static inline bool subscriber_ready(const struct subscriber *subscriber)
{
    return (subscriber->flags & (SUBSCRIBER_UP | SUBSCRIBER_STALLED)) == SUBSCRIBER_UP &&
           subscriber->place.expected != 0;
}

/* Whether it is up, and so is its link: not one between two connections. */
static inline bool subscriber_connected(const struct load *load,
                                        const struct subscriber *subscriber)
{
    return subscriber->flags & SUBSCRIBER_UP && link_of(load, subscriber)->phase == LINK_UP;
}

/* channels.c: numbers go round the channels, 1 to the first; in its channel a message has a
 * sequence of its own, which is what a ledger counts. */
int channels_init(struct group *group);
static inline uint32_t channel_of_number(const struct group *group, uint32_t number)
{
    return (number - 1) % group->channels;
}
static inline uint32_t sequence_of_number(const struct group *group, uint32_t number)
{
    return (number - 1) / group->channels + 1;
}
uint32_t channel_of_subscriber(const struct load *load, const struct subscriber *subscriber);
/* The sequence of the last message that was published to its channel; 0: none. */
uint32_t channel_last(const struct load *load, const struct subscriber *subscriber);
/* It has become, or is no longer, one of those that a message must reach. */
void ready_enter(struct load *load, const struct subscriber *subscriber);
void ready_leave(struct load *load, const struct subscriber *subscriber);
/* How many a message must reach, and its size. */
uint32_t expected_of_number(const struct group *group, uint32_t number);
uint32_t bytes_of_number(const struct group *group, uint32_t number);
/* "-17", without a null byte; returns its length. */
size_t channel_suffix_write(char buf[CHANNEL_SUFFIX_MAX], uint32_t channel);

/* counters.c: how many messages of those that were published for sure it has not reached. */
uint32_t subscriber_behind(const struct load *load, const struct subscriber *subscriber);
/* Whether one that is ready has not reached the last message. Walks the group. */
bool group_behind(const struct load *load, const struct group *group);

/* engine.c */
int64_t engine_clock_ns(void);
/* One round of everything. Returns 0, or -EINTR when progress said stop. */
int engine_step(struct load *load);
/* Reads at most so many bytes for a link that has not been told that there are any. */
void engine_receive(struct load *load, const struct link *link, uint32_t bytes);

/* link.c */
void link_connect(struct load *load, struct link *link);
void link_connected(struct load *load, struct link *link, int err);
void link_input(struct load *load, struct link *link, char *bytes, size_t len);
/* What came in once TLS is taken off. */
void link_plain(struct load *load, struct link *link, char *bytes, size_t len);
/* The way to the server is open: its subscribers ask. */
void link_opened(struct load *load, struct link *link);
void link_ask_all(struct load *load, struct link *link);
/* Closes for a reason that nobody asked for. Safe while its bytes are being parsed. */
void link_fail(struct load *load, struct link *link, enum load_failure failure);
/* The server has ended the connection. */
void link_ended(struct load *load, struct link *link);
/* Closes because we want it; it is down when its watches have fired. */
void link_close(struct load *load, struct link *link, bool orderly);
/* Closes between two requests and comes back at once; who is up goes on counting as up. */
void link_cycle(struct load *load, struct link *link);
/* Waits for bytes, unless it does already or is stalled. */
void link_watch(struct load *load, struct link *link);
/* A watch of a closing link has fired. */
void link_closing(struct load *load, struct link *link);

/* subscriber.c */
/* It asks for its channel. */
void subscriber_ask(struct load *load, struct subscriber *subscriber);
/* That is answered and, where there is one, the position known. */
void subscriber_is_up(struct load *load, struct subscriber *subscriber);
/* What it hears is of no use any longer. That ends its link; but on one of streams which is up, its
 * own stream alone, and the link with the last of them. Safe while its bytes are being parsed. */
void subscriber_fail(struct load *load, struct subscriber *subscriber, enum load_failure failure);
/* Its link ends, or its stream: gives back what it holds. */
void subscriber_hang_up(struct load *load, struct subscriber *subscriber);
/* It counted as up and does so no longer. One that cannot say where it was starts anew. */
void subscriber_leave(struct load *load, struct subscriber *subscriber);
/* The server said when to come back: retry: of a stream; and Retry-After, or retry_ms in a body of
 * which at least the start came with the head. */
void subscriber_hint(struct subscriber *subscriber, uint32_t wait_ms);
void subscriber_hint_answer(struct subscriber *subscriber, struct span retry_after,
                            struct span body);
/* It came back with a position, and is told that not all behind it can be had. */
void subscriber_unrecovered(struct load *load, struct subscriber *subscriber);
/* One message has been received whole. */
void subscriber_deliver(struct load *load, struct subscriber *subscriber,
                        const struct payload *payload);
/* The target of a subscription: its channel is the last in `path`; with &since= where it has a
 * position. */
struct span subscriber_target(const struct load *load, const struct subscriber *subscriber,
                              const char *path, char buf[LOAD_TARGET_MAX]);
/* Why one that did not get what it asked for has failed. */
enum load_failure status_failure(struct load *load, struct subscriber *subscriber, int status);

/* The state to parse a read with, and its end: what is half done goes to a stash. */
struct half *half_begin(struct load *load, const struct subscriber *subscriber, char **ret_bytes);
void half_end(struct load *load, struct subscriber *subscriber, bool idle);
/* Takes a response head from the front of `input`. Returns 1 with the head, 0 when more is needed
 * (it is then held), or negative when it is not HTTP. */
int half_response(struct load *load, struct half *half, char *bytes, struct span *input,
                  struct http_response *ret);
/* Takes one piece of a JSON text of the server: messages, a position, whether all was recovered;
 * and forgets it, when it has come whole. */
void half_json(struct load *load, struct subscriber *subscriber, struct half *half,
               struct span piece);
void half_json_end(struct half *half);

/* client_ws.c */
/* Frames of a WebSocket, whatever carries them. */
void ws_frames(struct load *load, struct subscriber *subscriber, char *input, size_t len);
/* The handshake is answered: says what is to be said first. */
void ws_opened(struct load *load, struct subscriber *subscriber);
void ws_echo(struct load *load, struct subscriber *subscriber);
/* For protocols in WebSocket messages: the handshake, a frame, what the server has sent. */
void ws_request(struct load *load, struct subscriber *subscriber);
void ws_send(struct load *load, struct subscriber *subscriber, unsigned opcode,
             struct span payload);
void ws_input(struct load *load, struct link *link, char *bytes, size_t len);

/* client_centrifuge.c */
/* The handshake is answered: signs on and subscribes, in one message. */
void centrifuge_greet(struct load *load, struct subscriber *subscriber);
/* The next piece of a message; and its end, which may have been a reply or a ping. */
void centrifuge_piece(struct half *half, struct span piece);
void centrifuge_end(struct load *load, struct subscriber *subscriber, const struct half *half);

/* client_sse.c */
enum {
    SSE_KEPT_CHUNKED = 0x80, /* subscriber.kept: in chunks. The rest is its parser's */
};
/* Bytes of an event stream, whatever carries them. */
void sse_stream(struct load *load, struct subscriber *subscriber, char *input, size_t len);
/* Its request is answered. */
void sse_opened(struct load *load, struct subscriber *subscriber);

/* client_poll.c */
/* The target of the request that is due. */
struct span poll_target(struct load *load, struct subscriber *subscriber,
                        char buf[LOAD_TARGET_MAX]);
/* A request has left. */
void poll_asked(struct load *load, struct subscriber *subscriber);
/* An answer is whole; `answer` is what it said. The next request is due. */
void poll_answered(struct load *load, struct subscriber *subscriber, const struct half *answer);
/* The same on a stream of a carrier: its head is there, a piece of its body, its end. */
void poll_begun(struct load *load, struct subscriber *subscriber);
void poll_piece(struct load *load, struct subscriber *subscriber, char *bytes, size_t len);
void poll_over(struct load *load, struct subscriber *subscriber);

/* opener.c */
void opener_start(struct load *load, uint32_t in_flight_max, double rate_per_s,
                  unsigned attempts_max);
void opener_queue(struct load *load, struct link *link);
/* Connects what may be. Returns nanoseconds until it may go on, or INT64_MAX. */
int64_t opener_step(struct load *load);
/* Opens it as soon as it is down: at once if it is, else when its watches have fired. */
void opener_again(struct load *load, struct link *link);
/* It is down and wants to come back: now, or when its back-off says. */
void opener_return(struct load *load, struct link *link);
/* Those that are not being opened yet stay down, but for long polls between two requests. */
void opener_abandon(struct load *load);
/* A link that was being opened is up, has failed, or is closed by ourselves. */
void opener_done(struct load *load, struct link *link);
void opener_failed(struct load *load, struct link *link, enum load_failure failure);
void opener_forget(struct load *load, struct link *link);
/* Before the first link is opened. */
void opener_init(struct load *load);

/* publisher.c */
int publisher_init(struct group *group);
void publisher_start(struct load *load, struct group *group, const struct load_mode *mode);
/* No new messages; what was refused by name is asked again. */
void publisher_end(struct group *group);
void publisher_stop(struct group *group);
/* Publishes what is due, in one send. Returns nanoseconds until the next, or INT64_MAX. */
int64_t publisher_step(struct load *load, struct group *group);
void publisher_lost(struct load *load, struct link *link);
/* A POST is answered; with an error, of which the status is in the counters. */
void publisher_answered(struct group *group, bool failed);
/* Connects the group's publisher if it is not. Returns 0, -ENOTCONN or -EINTR. */
int publisher_ready(struct load *load, struct group *group);

/* poller.c */
void poller_start(struct load *load, struct group *group);
int64_t poller_step(struct load *load, struct group *group);

/* One that is stalled by its protocol alone has a socket like others. */
static inline bool link_reads(const struct load *load, const struct link *link)
{
    return !(link->flags & LINK_STALLED) || link_protocol(load, link)->grant;
}

/* trickler.c */
int64_t trickler_step(struct load *load, struct group *group);

/* churn.c */
int64_t churner_step(struct load *load);
/* It is up, and reads no longer: nobody waits for its subscribers. */
void link_stall(struct load *load, struct link *link);

/* User and system time of this thread. */
int64_t turn_cpu_ns(void);
/* turn.c: what a group has counted between two moments */
struct turn_mark {
    struct load_counters counters;
    uint64_t incomplete, missing;
    int64_t now_ns, cpu_ns;
    int64_t burst_ns, burst_cpu_ns;
};
/* The first message of a burst is about to be published; nothing is under way any longer. */
void burst_begin(struct group *group);
void burst_end(struct group *group);
void turn_begin(struct load *load, struct group *group, struct turn_mark *ret);
void turn_end(struct load *load, const struct group *group, const struct turn_mark *mark,
              struct load_turn *ret);
/* Steps until nothing is under way that may still come, at most until the deadline. */
int turn_drain(struct load *load, struct group *group, int64_t deadline_ns);
