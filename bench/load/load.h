/* load: the clients of every experiment. Groups of subscribers, each with its own target,
 * transport, channel and publisher, all connected from one thread and given the clock in turns.
 *
 *     load_create ─► load_ramp ─► load_settle ─┬► load_run_turn(0) ─► load_run_turn(1) ─► … ─┐
 *                                              └──────────────── next round ◄────────────────┘
 *     load_idle · load_churn · load_storm · load_stall in between, and load_free
 *     load_visits in the place of all of that
 *
 * Nothing is read, and no ping answered, but inside these functions: who has other things to do
 * for long calls load_idle.
 *
 * Idea     A client is a subscriber of 32 bytes on a connection of 16, in two arrays; with one on
 *          each connection both have the same index. What it speaks is a row of load/protocol.h.
 *          Bytes are read into a shared area and parsed there. What a read leaves half done (half
 *          a frame, half a head) is kept in a stash from a bounded pool until the next read.
 * Counting A delivery is one message that one subscriber has received whole, found by parsing
 *          frames. Every payload begins with its number and its intended time, and each further
 *          byte follows from them (load/payload.h): all are compared. Each client has a ledger of
 *          numbers; wire bytes are counted apart from it, so that the two check each other.
 * Turns    Only the group whose turn it is publishes, and polls if it is a polling group. All
 *          others stay connected: pings are answered, long polls stay held, what they receive is
 *          counted.
 * Threads  One: the one that called load_create. The caller pins it.
 * Memory   All made in load_create: 48 bytes per client (16 of them per connection),
 *          LOAD_STASHES half reads, two histograms per group; what a protocol keeps for the life
 *          of a connection comes with it. The texts of the configuration are copied, except those
 *          of a load_protocol.
 * Bounds   LOAD_GROUPS_MAX groups, LOAD_FLIGHTS messages on their way per group,
 *          LOAD_ATTEMPTS_MAX connects per client in one ramp. A client that cannot have a stash
 *          is closed by name.
 * Errors   0 or negative errno; what happens to clients is counted by enum load_failure. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/histogram.h"
#include "phantom/network.h"
#include "tls/error.h"

struct load;
struct phantom;
struct protocol;
struct tls_client;

enum {
    LOAD_GROUPS_MAX = 64,
    LOAD_NAME_MAX = 128,   /* channel */
    LOAD_TARGET_MAX = 512, /* path and query */
    LOAD_FIELDS_MAX = 768, /* further fields of a request head */
    LOAD_KINDS_MAX = 8,    /* kinds of messages of a group */
    LOAD_CYCLE_MAX = 64,   /* messages after which the kinds begin anew: the sum of their parts */
    LOAD_CHANNELS_MAX = 1 << 20,
    LOAD_FLIGHTS = 16384,    /* messages on their way per group; a power of two */
    LOAD_ATTEMPTS_MAX = 4,   /* connects per client in one ramp */
    LOAD_STASHES = 65535,    /* half reads at one time, over all groups: at most so many */
    LOAD_STREAMS_MAX = 1024, /* subscribers on one connection */
    LOAD_DATAGRAMS_MAX = 64, /* of them by datagrams */
    LOAD_ERRNO_MAX = 134,    /* the kernel's last errno is EHWPOISON, 133 */
    LOAD_EXAMPLES_MAX = 8,   /* of broken order, kept for the report */
};

/* Which TLS session a client offers to resume. */
enum load_resume {
    LOAD_RESUME_NONE,   /* none: all handshakes are in full */
    LOAD_RESUME_OWN,    /* its last one: who connects again resumes */
    LOAD_RESUME_SHARED, /* one of its group's first: all but the first few handshakes resume */
};

/* Why a client did not come up, or did not stay. Names: load_failure_name. */
enum load_failure {
    LOAD_FAIL_REFUSED,     /* connection refused                                    */
    LOAD_FAIL_ADDRESS,     /* the source address and port were taken                */
    LOAD_FAIL_CONNECT,     /* any other error of connect                            */
    LOAD_FAIL_TIMEOUT,     /* no handshake within handshake_timeout_ms              */
    LOAD_FAIL_TLS,         /* a handshake or a record that went wrong; tls_error    */
    LOAD_FAIL_STATUS,      /* an HTTP status that was not asked for                 */
    LOAD_FAIL_SHED,        /* 503                                                   */
    LOAD_FAIL_HTTP,        /* an answer that is not HTTP, or lacks what we need     */
    LOAD_FAIL_WEBSOCKET,   /* a frame against RFC 6455, or a failed handshake check */
    LOAD_FAIL_JSON,        /* an answer without a position                          */
    LOAD_FAIL_EVENT_LONG,  /* an SSE event that no stash can hold                   */
    LOAD_FAIL_STASH,       /* all stashes taken                                     */
    LOAD_FAIL_BACKLOG,     /* the socket takes nothing, and too much waits for it   */
    LOAD_FAIL_CLOSE_FRAME, /* the server closed a WebSocket by a close frame        */
    LOAD_FAIL_END,         /* the server closed the connection                      */
    LOAD_FAIL_RESET,       /* the server or the kernel reset it                     */
    LOAD_FAIL_COUNT,
};

const char *load_failure_name(enum load_failure failure);

/* ---- making one ---- */

/* One WebSocket message of somebody else's protocol. */
struct load_message {
    const char *bytes;
    size_t len;
    bool binary; /* else text */
};

/* How to speak to a server that is not ours. Texts may be NULL; all stay where they are until
 * load_free. Each published message is `before`, the payload, `after`. */
struct load_protocol {
    const char *path;                     /* target of the subscription, with its query           */
    const char *fields;                   /* further fields of its head, each ended by CRLF       */
    const struct load_message *subscribe; /* sent after the WebSocket handshake, in this order    */
    unsigned subscribe_count;
    bool embedded; /* payloads lie somewhere inside the messages received, not at their start     */

    struct sockaddr_in publish_target; /* family 0: that of the group                           */
    const char *publish_path;          /* target of the publisher's WebSocket or POST            */
    const char *publish_fields;        /* of protocol_post, in place of a Content-Type            */
    const struct load_message *greeting; /* what a publishing WebSocket sends first               */
    unsigned greeting_count;
    struct load_message before, after; /* before.binary holds for the whole                       */
};

/* One kind of message: so many of each cycle are of it, mixed evenly. */
struct load_kind {
    uint32_t bytes; /* at least PAYLOAD_HEAD_SIZE */
    uint32_t parts;
};

struct load_group_config {
    const struct protocol *transport; /* load/protocol.h */
    struct sockaddr_in target;
    /* Several servers, which share their channels: link after link connects to the next, its
     * publisher to publish_to; who fails tries the one after it. Stay where they are until
     * load_free. 0: the target alone. */
    const struct sockaddr_in *targets;
    unsigned target_count, publish_to;
    /* Of a POST, for when servers may fail: one message after the other. What is refused by name
     * (503, 507) is asked again; what nobody knows the end of is a doubt. */
    bool certain;
    /* Its own for each group that publishes: numbers of messages are per channel. A group that does
     * not may hear another's. */
    const char *channel;
    uint32_t clients; /* subscribers */
    uint32_t streams; /* of them on each connection, with PROTOCOL_STREAMS; 0: one */

    /* Clients and messages are spread over so many channels: client i is on CHANNEL-(i mod n), and
     * message after message goes to the next. 0: all on CHANNEL. With channels, protocol_post is
     * the only way to publish, and there is no `protocol`. */
    uint32_t channels;
    /* Read by load_create; payload_bytes is the largest. None: all are of payload_bytes. */
    const struct load_kind *kinds;
    unsigned kind_count;
    const char *fields;       /* of each request head of the clients, each ended by CRLF; or NULL */
    bool since_start;         /* joins with since=start: what the history holds comes first */
    const char *token_secret; /* protocol_centrifuge: each signs on, as a user of its own, by a
                                 token of HS256; NULL: nobody does */
    bool anew; /* who is told that it cannot recover begins a new ledger: what it missed
                           is in `unrecovered`, and not lost */

    const struct protocol *publish;    /* on a connection of its own; NULL: nothing is published */
    struct sockaddr_in publish_target; /* family 0: target */
    uint32_t payload_bytes;            /* at least PAYLOAD_HEAD_SIZE (34) */

    uint32_t poll_interval_ms; /* PROTOCOL_BY_CLOCK; 0: 1000 */
    bool longpoll_reconnect;   /* protocol_longpoll: a new connection for every request */

    const struct load_protocol *protocol; /* NULL: our own */

    /* TLS for all connections of the group, its publisher's too; NULL: plain. It stays the
     * caller's. The publisher's offers what it speaks by ALPN, as the others do; NULL: the same. */
    const struct tls_client *tls, *publish_tls;
    /* Between links over QUIC and their server; of others it is the phantom's, or a relay. */
    struct network_config network;
    const char *tls_name; /* server name to ask for; NULL: none */
    enum load_resume tls_resume;
};

struct load_config {
    const struct load_group_config *groups;
    unsigned group_count;

    /* Clients without sockets (phantom/phantom.h), which come from its addresses. It stays the
     * caller's, and has one load at a time. NULL: sockets. */
    struct phantom *phantom;

    /* Source addresses: first_address, first_address + 1, …, each with all ports of the range. */
    struct in_addr first_address; /* 0: 127.1.0.1 */
    uint32_t address_count;       /* 0: as many as there are up to 127.199.255.255 */
    uint16_t port_first;          /* 0: 10000 */
    uint16_t port_last;           /* 0: 60000; the targets' ports are skipped */

    uint32_t handshake_timeout_ms; /* 0: 10000 */
    uint32_t stashes;              /* 0: LOAD_STASHES */

    /* Called about every progress_ms (0: 1000) from inside all functions that take long. Returning
     * false ends that function early with -EINTR. May be NULL. */
    bool (*progress)(void *context, struct load *load);
    void *context;
    uint32_t progress_ms;
};

/* Makes the ring and the clients; nothing is connected yet. Returns 0 and the load, which the
 * caller frees with load_free, or negative errno with a sentence in `why`. */
int load_create(struct load **ret, const struct load_config *config, char *why, size_t why_size);

/* Resets all connections, so that nothing stays in TIME_WAIT. Accepts NULL. */
void load_free(struct load *load);

/* ---- counters ---- */

/* One place where a client's numbers were not in order. */
struct load_example {
    uint32_t client; /* in its group */
    uint32_t expected;
    uint32_t got;
};

/* What subscribers saw, counted by the numbers of the messages. */
struct load_ledger {
    uint64_t expected;  /* delivered once, or lost */
    uint64_t delivered; /* without duplicates */
    uint64_t lost;
    /* Of datagrams, what was lost, or came too late to be news: by design, and no fault. Neither
     * expected nor lost. */
    uint64_t superseded;
    uint64_t duplicate;
    uint64_t out_of_order; /* came after a later one; not lost */
    /* Came otherwise than it was published: other bytes, another length, another channel. It is
     * delivered too where it says rightly which message it is; else that one is lost. */
    uint64_t corrupt;
    unsigned example_count;
    struct load_example examples[LOAD_EXAMPLES_MAX];
};

static inline uint64_t load_ledger_faults(const struct load_ledger *ledger)
{
    return ledger->lost + ledger->duplicate + ledger->out_of_order + ledger->corrupt;
}

/* Running totals of a group since load_create. */
struct load_counters {
    uint64_t deliveries;         /* duplicates too */
    uint64_t late;               /* of them: of messages from before the turn that goes on */
    uint64_t payload_bytes;      /* of the others: × payload_bytes when all is well */
    uint64_t framed_bytes;       /* WebSocket: bytes that whole parsed frames had on the wire */
    uint64_t bytes_in;           /* as read from the sockets of subscribers */
    uint64_t bytes_out;          /* as written to them */
    uint64_t reads;              /* receives that brought something */
    uint64_t requests;           /* polling: HTTP requests sent */
    uint64_t answers;            /* polling: answered */
    uint64_t empty_answers;      /* polling: answers that held no message */
    uint64_t polls_late;         /* polls left out because the last one was not answered */
    uint64_t pings;              /* WebSocket pings answered; SSE comments are not seen */
    uint64_t unrecovered;        /* resumed, but the server could not replay everything */
    uint64_t missed;             /* messages that were published between two connections of a
                                    client that resumed: its replay, and in the ledger */
    uint64_t published;          /* messages handed to the kernel by the publisher */
    uint64_t publisher_failures; /* times that the publisher's connection failed or ended */
    uint64_t publish_failures;   /* POST: answered with an error */
    uint64_t acknowledged;       /* POST: answered without one */
    uint64_t refused;            /* certain: refused by name, and asked again */
    uint64_t doubts;             /* certain: may have been published, or not */
    uint64_t doubtful;           /* of the ledger: of those, what a subscriber did not get */
    uint64_t closes[LOAD_FAIL_COUNT];   /* of clients that were up */
    uint64_t failures[LOAD_FAIL_COUNT]; /* of those not up yet; each may be tried again */
    uint64_t tls_full, tls_resumed;     /* TLS handshakes of subscribers */
    enum tls_error tls_error;           /* of the last LOAD_FAIL_TLS */
    uint16_t close_code;                /* of the last close frame */
    int status;                         /* of the last answer with an error */
};

const struct load_counters *load_counters(const struct load *load, unsigned group);

/* Walks the clients of a group, as it has to look for those that are behind. Messages that are
 * still on their way count as lost, so call it when a turn is over; what stalled clients have not
 * read does not. */
void load_ledger_read(const struct load *load, unsigned group, struct load_ledger *ret);

/* What became of the datagrams of links over QUIC. */
struct load_datagrams {
    struct network_counters network; /* of those between; all zero: there are none */
    uint64_t unread;                 /* found no room in the clients' socket */
};
void load_datagrams_read(const struct load *load, struct load_datagrams *ret);

/* Clients that are connected and subscribed; of one group, or of all for LOAD_ALL. */
#define LOAD_ALL UINT32_MAX
uint32_t load_up(const struct load *load, uint32_t group);
/* How many connections are, with all of their subscribers. */
uint32_t load_links_up(const struct load *load, unsigned group);
/* Of the subscribers, who has received something. */
uint32_t load_informed(const struct load *load, unsigned group);
uint32_t load_clients(const struct load *load, uint32_t group);

/* From the intended time of a message (corrected), or from when it was given to the kernel, to the
 * receive that brought it; one value per delivery. ECHO: round trips. The load's own: reset at
 * will. */
struct histogram *load_latency(struct load *load, unsigned group);
struct histogram *load_latency_uncorrected(struct load *load, unsigned group);

/* ---- ramp ---- */

/* How long a client waits before it connects again. Zero: not at all. */
struct load_backoff {
    uint32_t first_ms; /* full jitter: at random up to first_ms × 2^failures, … */
    uint32_t most_ms;  /* … and never more than this */
    bool hints;        /* exactly as long as the server said, where it did: retry_ms, retry: */
};

struct load_ramp_config {
    uint32_t in_flight;          /* connects and handshakes under way at one time; 0: 512 */
    double rate_per_s;           /* 0: as fast as in_flight allows */
    int64_t timeout_ns;          /* for the whole ramp; 0: none */
    uint32_t count;              /* clients to open of those that are down; 0: all */
    struct load_backoff backoff; /* with one, a client may try as often as there is time for */
};

struct load_ramp_result {
    uint32_t opened;
    uint32_t failed; /* after LOAD_ATTEMPTS_MAX attempts, or not tried when the time was over */
    uint64_t retries;
    int64_t elapsed_ns; /* up to the last handshake */
    double rate_per_s;
    uint64_t failures[LOAD_FAIL_COUNT]; /* attempts that failed, by reason */
    uint32_t errors[LOAD_ERRNO_MAX];    /* those that failed before a handshake, by errno */
};

/* Opens those clients of the group (or LOAD_ALL) that are down, and the publishers. A client is up
 * when its handshake is answered; where the transport says so (envelope, SSE, polling), when it has
 * its position. One that was up before resumes where it was, if its transport can. Returns 0, also
 * when some failed; -ENOTCONN when a publisher cannot connect; -ETIMEDOUT; -EINTR. */
int load_ramp(struct load *load, uint32_t group, const struct load_ramp_config *config,
              struct load_ramp_result *ret);

/* Publishes now and then until every client that is up has received something: a raw WebSocket has
 * no other proof that it is subscribed, and all ledgers begin here. Returns 0, -ENOTCONN without a
 * publisher, -ETIMEDOUT or -EINTR. The kernel acknowledges the first segments of a connection one
 * by one: some turns should follow that are not counted. */
int load_settle(struct load *load, unsigned group, int64_t timeout_ns);

/* ---- turns ---- */

struct load_mode {
    uint32_t depth; /* closed loop: messages under way; the next when one has reached everybody */
    double rate_per_s;   /* open loop, when depth is 0: on a schedule, whatever comes back */
    uint32_t under_way;  /* open loop: what is due waits while so many are, late; 0: never */
    uint32_t messages;   /* ends the turn after so many; 0: by time alone */
    int64_t hopeless_ns; /* ends it when a message has been on its way for so long; 0: never */
};

struct load_turn {
    int64_t started_ns; /* CLOCK_MONOTONIC */
    int64_t elapsed_ns; /* until the last message was complete, or given up */
    uint64_t publishes;
    uint64_t deliveries; /* of messages that were published in it */
    uint64_t incomplete; /* messages that did not reach everybody in time */
    uint64_t missing;    /* deliveries that they lack */
    bool hopeless;       /* ended early, by mode->hopeless_ns */
    uint64_t bytes_in, bytes_out;
    uint64_t payload_bytes, framed_bytes;
    uint64_t requests, empty_answers;
    uint64_t visits;       /* of load_visits, which has no deliveries */
    int64_t client_cpu_ns; /* of this thread */
    int64_t burst_ns;      /* of a rate: messages were under way; 0: not told */
    int64_t burst_cpu_ns;  /* of client_cpu_ns, in that time */
};

/* Lets one group publish for about duration_ns, then waits until the last message has reached
 * everybody, at most drain_ns (0: 5 s). An ECHO group sends on all its clients. Without a mode
 * nothing is published; a polling group then polls in vain. With mode->messages, duration_ns may be
 * 0: no limit. Returns 0, also when something is missing; -ENOTCONN when there is no publisher, it
 * was lost, or there is nobody to publish to; or -EINTR. */
int load_run_turn(struct load *load, unsigned group, int64_t duration_ns, int64_t drain_ns,
                  const struct load_mode *mode, struct load_turn *ret);

/* The same for several groups at once, all by one mode; `rets` has as many places. The CPU of each
 * is that of all. */
int load_run_together(struct load *load, const unsigned *groups, unsigned count,
                      int64_t duration_ns, int64_t drain_ns, const struct load_mode *mode,
                      struct load_turn *rets);

/* ---- quiet and trouble ---- */

/* Keeps all connected and answers pings. Polling groups do not poll unless `polling` is one of them
 * (LOAD_ALL: none). Returns 0 or -EINTR. */
int load_idle(struct load *load, int64_t duration_ns, uint32_t polling);

struct load_churn {
    double rate_per_s; /* clients closed and opened again, per second */
    bool orderly;      /* FIN instead of RST */
    int64_t duration_ns;
    struct load_mode publish; /* meanwhile; depth 0 and rate 0: nothing */
};

struct load_churn_result {
    uint64_t closed, reopened;
    uint64_t retries;
    int64_t elapsed_ns; /* from the first that was closed until the last was back */
};

/* Closes and opens clients while publishing goes on; those of a long poll that are between two
 * connections anyway are passed over. SSE, envelopes and polling resume by position
 * and keep their ledger; a raw WebSocket joins anew. `turn` counts as load_run_turn does. */
int load_churn(struct load *load, unsigned group, const struct load_churn *churn,
               struct load_turn *turn, struct load_churn_result *ret);

/* Every client of the group connects, is up, is reset, and connects again, for duration_ns: so many
 * visits are under way at any time. One that had begun by then is counted too. All were down before
 * and are down afterwards. Returns 0, also when some failed; -ETIMEDOUT or -EINTR. */
int load_visits(struct load *load, unsigned group, int64_t duration_ns, struct load_turn *ret);

/* Publishes on a group from now on, inside all functions of the load, also while nobody is there to
 * hear it. A mode of zeros ends it. Returns 0, -ENOTCONN or -EINTR. */
int load_publish(struct load *load, unsigned group, const struct load_mode *mode);

/* Waits until what a group was sent has reached everybody, and those who came back with a position
 * have what they missed; at most timeout_ns. Returns 0, also when something is missing, or -EINTR.
 */
int load_catch_up(struct load *load, unsigned group, int64_t timeout_ns);

struct load_storm {
    double share;       /* of each group's clients, dropped at once */
    bool orderly;       /* FIN instead of RST */
    uint32_t in_flight; /* reconnects under way at one time; 0: 512 */
    struct load_backoff backoff;
    int64_t timeout_ns;
};

struct load_storm_result {
    uint32_t dropped, recovered;
    uint64_t retries;
    int64_t started_ns;
    int64_t dropped_ns;   /* until all of them were told to go */
    int64_t recovered_ns; /* from the drop until the last one was up */
    int64_t client_cpu_ns;
    uint64_t failures[LOAD_FAIL_COUNT]; /* attempts that failed, by reason */
};

/* A reconnect storm: drops clients of all groups in the set (bit 1 << group) and lets them come
 * back, trying until timeout_ns; who is not back by then stays away. Returns 0 or -EINTR. */
int load_storm(struct load *load, uint64_t groups, const struct load_storm *storm,
               struct load_storm_result *ret);

struct load_chaos {
    double cuts_per_s; /* connections of all groups that are cut at random, half by RST; or 0 */
    int64_t duration_ns;
    uint64_t *random; /* the state of what chooses them */
};

struct load_chaos_result {
    uint64_t cut, retries;
};

/* Cuts connections, and lets all come back whoever has ended them, while load_publish goes on and
 * polling groups poll. Returns 0 or -EINTR. */
int load_chaos(struct load *load, const struct load_chaos *chaos, struct load_chaos_result *ret);

/* No more is published; waits until all are up and have all that they must have, at most
 * timeout_ns. Returns 0, also when somebody has not, or -EINTR. */
int load_chaos_end(struct load *load, int64_t timeout_ns);

/* Closes `count` clients of a group for good (until the next ramp). */
void load_drop(struct load *load, unsigned group, uint32_t count, bool orderly);

/* Those of the group that are down forget where they were, and will join anew. */
void load_forget(struct load *load, unsigned group);

/* Makes `count` clients, spread over the group, stop reading; 0 makes all read again. Stalled
 * clients are not waited for. */
void load_stall(struct load *load, unsigned group, uint32_t count);

/* Lets stalled clients of a group that publishes nothing read so many bytes a second after all, a
 * tenth of them at a time; 0: nothing again. */
void load_trickle(struct load *load, unsigned group, uint32_t bytes_per_s);

/* Clients of the group that are up fall silent for good: they acknowledge nothing, and are not
 * waited for by anybody. Of clients without sockets only. They still count as up. */
void load_silence(struct load *load, unsigned group);

/* So many of its connections that are up fall silent likewise, by `share` (0 … 1): which of them
 * follows from the seed. Their subscribers leave the ledger. Returns how many did. */
uint32_t load_vanish(struct load *load, unsigned group, double share, uint64_t seed);

/* How many clients of the group are up and have not received the message of that number, of
 * whichever group published it. Walks the group. */
uint32_t load_lacking(const struct load *load, unsigned group, uint64_t number);

/* Waits until none of them lacks it, at most timeout_ns. Returns 0, also when some do, or -EINTR.
 */
int load_await(struct load *load, unsigned group, uint64_t number, int64_t timeout_ns);
