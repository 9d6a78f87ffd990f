/* engine: what the files of the load generator share. Nobody outside load/ includes this.
 *
 *   turn.c ramp.c churn.c idle.c     what is asked for: set things going, step until they are done
 *   visits.c                         likewise
 *   engine.c                         one step: open, publish, poll, send, wait, receive, count
 *   client.c                         a client's life: down ─► connecting ─► handshake ─► up
 *   client_ws.c _sse.c _poll.c       what its bytes mean
 *   half.c stash.c                   what is left of a read until the next
 *   publisher.c poller.c opener.c    who acts by the clock
 *   trickler.c                       likewise
 *   outbox.c                         small sends, gathered
 *   secure.c                         TLS, below all of them
 *
 * A client's index is its slot in the ring. Publishers come after all subscribers: the publisher of
 * group g is client publishers_first + g. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"
#include "load/flight.h"
#include "load/ledger.h"
#include "load/load.h"
#include "load/outbox.h"
#include "load/secure.h"
#include "load/sources.h"
#include "load/stash.h"
#include "wire/position.h"
#include "wire/span.h"

#define CLIENT_NONE UINT32_MAX

enum {
    RECEIVE_BATCH = 128,
    RECEIVE_BYTES = 8192,
    /* Three lines more than the bytes: areas a power of two apart would all fall into the same
     * cache sets. */
    RECEIVE_STRIDE = RECEIVE_BYTES + 192,
    STEP_WAIT_MS = 20,    /* longest wait in one step */
    WAIT_TICK_MS = 4,     /* how exactly a client comes back */
    WAIT_BUCKETS = 16384, /* a lap of 65 s; who waits for longer stays for another */
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

enum client_phase {
    CLIENT_DOWN,
    CLIENT_WAITING, /* down, until it is time to connect again */
    CLIENT_CONNECTING,
    CLIENT_TLS,       /* in its TLS handshake */
    CLIENT_HANDSHAKE, /* waits for the answer to its first request */
    CLIENT_CONFIRM,   /* answered, but has no position yet */
    CLIENT_UP,
    CLIENT_CLOSING, /* waits for its watches to fire */
};

enum client_flag {
    CLIENT_WATCHED = 1,       /* a read watch is outstanding */
    CLIENT_WRITE_WATCHED = 2, /* likewise */
    CLIENT_STALLED = 4,       /* up, but does not read */
    CLIENT_ASKED = 8,         /* a request waits for its answer */
    CLIENT_CHUNKED = 16,      /* the event stream comes in chunks */
    CLIENT_CYCLING = 32,      /* between two connections of a long poll: counts as up */
    CLIENT_AGAIN = 64,        /* connects again as soon as it is down */
    CLIENT_LISTED = 128,      /* in one of the opener's lists */
};

struct client {
    uint32_t next, previous; /* in the opener's list of those being opened, or queued */
    uint32_t since_ms;       /* when the connect began, or when it is to begin */
    uint32_t stash;
    struct ledger_place place;
    struct position position; /* epoch 0: none */
    uint16_t group;
    uint8_t phase;     /* enum client_phase */
    uint8_t flags;     /* enum client_flag */
    uint8_t attempts;  /* in this ramp */
    uint8_t sse_flags; /* of the parser between two events */
    uint16_t hint;     /* what the server told it to wait, in WAIT_TICK_MS; 0: nothing */
};
static_assert(sizeof(struct client) == 48, "load.h says so");

struct client_list {
    uint32_t first, last, count;
};

/* Publishes one group's messages over one connection; publisher.c. */
struct publisher {
    struct load_mode mode;
    bool active;
    bool alone;   /* goes on while nobody is there */
    bool failed;  /* its connection could not be made, or ended */
    char *buffer; /* what is being sent; with TLS, room for a record's head comes first */
    size_t head;  /* that room */
    size_t size, len, sent;
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

struct group {
    struct load_group_config config;
    char path[LOAD_TARGET_MAX];      /* of the subscription */
    char join_path[LOAD_TARGET_MAX]; /* polling: of the first request */
    char publish_path[LOAD_TARGET_MAX];
    char channel[LOAD_NAME_MAX + 1];
    char fields[LOAD_FIELDS_MAX + 32]; /* further ones of the clients' request heads */
    char host[LOAD_HOST_MAX];
    char publish_host[LOAD_HOST_MAX];
    struct load_protocol protocol; /* all zero: our own */
    struct sockaddr_in publish_target;
    uint32_t first; /* client */
    uint32_t up;
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
    struct publisher publisher;
    struct poller poller;
    struct trickler trickler;
    struct histogram *corrected;
    struct histogram *uncorrected;
    struct flights flights;
};

/* Clients that wait for their time to connect again, by that time; opener.c. */
struct waiting {
    struct client_list buckets[WAIT_BUCKETS];
    uint32_t count;
    uint32_t tick; /* the last one that was looked at */
    uint64_t random;
};

/* Opens clients with a bounded number under way; opener.c. */
struct opener {
    struct client_list queued;  /* down, to be opened */
    struct client_list opening; /* connecting, in the order of their start */
    struct waiting waiting;
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
    struct client *clients;
    uint32_t subscriber_count;
    uint32_t publishers_first;
    uint32_t client_count; /* with the publishers */
    struct group *groups;
    unsigned group_count;
    uint32_t handshake_timeout_ms;
    struct sources sources;
    struct stashes stashes;
    struct outbox outbox;
    struct secure *secure; /* NULL: no group has TLS */
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

static inline struct group *group_of(struct load *load, const struct client *client)
{
    return &load->groups[client->group];
}

static inline uint32_t client_index(const struct load *load, const struct client *client)
{
    return (uint32_t)(client - load->clients);
}

static inline bool client_publishes(const struct load *load, const struct client *client)
{
    return client_index(load, client) >= load->publishers_first;
}

static inline struct client *group_publisher(struct load *load, const struct group *group)
{
    return &load->clients[load->publishers_first + (uint32_t)(group - load->groups)];
}

/* Whether bytes may still be parsed for it. */
static inline bool client_open(const struct client *client)
{
    return client->phase >= CLIENT_TLS && client->phase <= CLIENT_UP;
}

static inline bool client_secure(struct load *load, const struct client *client)
{
    return group_of(load, client)->config.tls != NULL;
}

static inline bool transport_polls(enum load_transport transport)
{
    return transport == LOAD_POLL || transport == LOAD_LONGPOLL;
}

/* Whether it is one of group.ready. */
static inline bool client_ready(const struct client *client)
{
    return (client->phase == CLIENT_UP || client->flags & CLIENT_CYCLING) &&
           !(client->flags & CLIENT_STALLED) && client->place.expected != 0;
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
uint32_t channel_of_client(const struct load *load, const struct client *client);
/* The sequence of the last message that was published to a client's channel; 0: none. */
uint32_t channel_last(const struct load *load, const struct client *client);
/* A client has become, or is no longer, one of those that a message must reach. */
void ready_enter(struct load *load, const struct client *client);
void ready_leave(struct load *load, const struct client *client);
/* How many a message must reach, and its size. */
uint32_t expected_of_number(const struct group *group, uint32_t number);
uint32_t bytes_of_number(const struct group *group, uint32_t number);
/* "-17", without a null byte; returns its length. */
size_t channel_suffix_write(char buf[CHANNEL_SUFFIX_MAX], uint32_t channel);

/* counters.c: whether one that is ready has not reached the last message. Walks the group. */
bool group_behind(const struct load *load, const struct group *group);

/* engine.c */
int64_t engine_clock_ns(void);
/* One round of everything. Returns 0, or -EINTR when progress said stop. */
int engine_step(struct load *load);
/* Reads at most so many bytes for a client that has not been told that there are any. */
void engine_receive(struct load *load, const struct client *client, uint32_t bytes);

/* client.c */
void client_connect(struct load *load, struct client *client);
void client_connected(struct load *load, struct client *client, int err);
void client_input(struct load *load, struct client *client, char *bytes, size_t len);
/* What came in once TLS is taken off. */
void client_plain(struct load *load, struct client *client, char *bytes, size_t len);
/* The way to the server is open: sends the first request. */
void client_ask(struct load *load, struct client *client);
/* The handshake is answered and, where there is one, the position known. */
void client_is_up(struct load *load, struct client *client);
/* Closes for a reason that nobody asked for. Safe while its bytes are being parsed. */
void client_fail(struct load *load, struct client *client, enum load_failure failure);
/* The server has ended the stream. */
void client_ended(struct load *load, struct client *client);
/* Closes because we want it; it is down when its watches have fired. */
void client_close(struct load *load, struct client *client, bool orderly);
/* Closes between two requests and comes back at once; it goes on counting as up. */
void client_cycle(struct load *load, struct client *client);
/* Waits for bytes, unless it does already or is stalled. */
void client_watch(struct load *load, struct client *client);
/* The server said when to come back: retry: of a stream; and Retry-After, or retry_ms in a body of
 * which at least the start came with the head. */
void client_hint(struct client *client, uint32_t wait_ms);
void client_hint_answer(struct client *client, const struct http_response *response,
                        struct span body);
/* A watch of a closing client has fired. */
void client_closing(struct load *load, struct client *client);
/* One message has been received whole. */
void client_deliver(struct load *load, struct client *client, const struct payload *payload);

/* The state to parse a read with, and its end: what is half done goes to a stash. */
struct half *half_begin(struct load *load, const struct client *client, char **ret_bytes);
void half_end(struct load *load, struct client *client, bool idle);
/* Takes a response head from the front of `input`. Returns 1 with the head, 0 when more is needed
 * (it is then held), or negative when it is not HTTP. */
int half_response(struct load *load, struct half *half, char *bytes, struct span *input,
                  struct http_response *ret);
/* Takes one piece of a JSON text of the server: messages, a position, whether all was recovered;
 * and forgets it, when it has come whole. */
void half_json(struct load *load, struct client *client, struct half *half, struct span piece);
void half_json_end(struct half *half);

/* client_ws.c */
void ws_request(struct load *load, struct client *client);
void ws_input(struct load *load, struct client *client, char *bytes, size_t len);
void ws_echo(struct load *load, struct client *client);
/* Masks with the client's key and queues a whole frame. */
void ws_send(struct load *load, struct client *client, unsigned opcode, struct span payload);
/* The masking key of a client: one for the life of a connection. */
void ws_key(uint32_t index, uint8_t ret_key[4]);
extern const struct span ws_handshake_key;

/* client_sse.c */
void sse_request(struct load *load, struct client *client);
void sse_input(struct load *load, struct client *client, char *bytes, size_t len);

/* client_poll.c */
void poll_request(struct load *load, struct client *client);
void poll_input(struct load *load, struct client *client, char *bytes, size_t len);
/* The target of a subscription: its channel is the last in `path`; with &since= where the client
 * has a position. */
struct span client_target(const struct load *load, const struct client *client, const char *path,
                          char buf[LOAD_TARGET_MAX]);

/* opener.c */
void opener_start(struct load *load, uint32_t in_flight_max, double rate_per_s,
                  unsigned attempts_max);
void opener_queue(struct load *load, struct client *client);
/* Connects what may be. Returns nanoseconds until it may go on, or INT64_MAX. */
int64_t opener_step(struct load *load);
/* Opens it as soon as it is down: at once if it is, else when its watches have fired. */
void opener_again(struct load *load, struct client *client);
/* It is down and wants to come back: now, or when its back-off says. */
void opener_return(struct load *load, struct client *client);
/* Those that are not being opened yet stay down, but for long polls between two requests. */
void opener_abandon(struct load *load);
/* A client that was being opened is up, has failed, or is closed by ourselves. */
void opener_done(struct load *load, struct client *client);
void opener_failed(struct load *load, struct client *client, enum load_failure failure);
void opener_forget(struct load *load, struct client *client);

/* publisher.c */
int publisher_init(struct group *group);
void publisher_start(struct load *load, struct group *group, const struct load_mode *mode);
void publisher_stop(struct group *group);
/* Publishes what is due, in one send. Returns nanoseconds until the next, or INT64_MAX. */
int64_t publisher_step(struct load *load, struct group *group);
void publisher_writable(struct load *load, struct client *client);
void publisher_input(struct load *load, struct client *client, char *bytes, size_t len);
void publisher_lost(struct load *load, struct client *client);
/* Connects the group's publisher if it is not. Returns 0, -ENOTCONN or -EINTR. */
int publisher_ready(struct load *load, struct group *group);

/* poller.c */
void poller_start(struct load *load, struct group *group);
int64_t poller_step(struct load *load, struct group *group);

/* trickler.c */
int64_t trickler_step(struct load *load, struct group *group);

/* churn.c */
int64_t churner_step(struct load *load);

/* User and system time of this thread. */
int64_t turn_cpu_ns(void);
/* turn.c: what a group has counted between two moments */
struct turn_mark {
    struct load_counters counters;
    uint64_t incomplete, missing;
    int64_t now_ns, cpu_ns;
};
void turn_begin(struct load *load, const struct group *group, struct turn_mark *ret);
void turn_end(struct load *load, const struct group *group, const struct turn_mark *mark,
              struct load_turn *ret);
/* Steps until nothing is under way that may still come, at most until the deadline. */
int turn_drain(struct load *load, struct group *group, int64_t deadline_ns);
