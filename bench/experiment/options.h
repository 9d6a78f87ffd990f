/* options: the command line of every experiment.
 *
 * Idea     One struct and one parser; an experiment lists the options that it understands, so that
 *          its --help shows those and no others, and sets its own defaults before.
 * Threads  one, before anything runs.
 * Memory   text points into argv. */
#pragma once

#include <argp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "ceiling/loop.h"
#include "load/load.h"
#include "load/protocol.h"
#include "measure/cpus.h"
#include "output/result.h"
#include "tls/suite.h"

enum {
    OPTIONS_SETS_MAX = 16,
    OPTIONS_LIST_MAX = 8,
    OPTIONS_PEERS_MAX = 8,
    OPTIONS_STREAMS_MAX = 8,
    OPTIONS_CLIENTS_MAX = 4 * 1024 * 1024, /* of one load */
};

/* What is seen of a run while it goes on. */
enum options_show {
    SHOW_VIEW,  /* on a terminal; else lines */
    SHOW_LINES, /* of text */
    SHOW_NOTHING,
};

struct options {
    /* every experiment */
    const char *server;  /* path of ringside-server; NULL: beside this program */
    const char *address; /* of a server that runs already; NULL: start one */
    struct sockaddr_in target;
    const char *tls_address; /* of its TLS port */
    struct sockaddr_in tls_target;
    const char *results;
    const char *json;
    enum options_show show;
    bool brief; /* nothing is printed of the result */
    char server_cpus[CPUS_TEXT_MAX];
    char client_cpus[CPUS_TEXT_MAX];
    uint32_t shards; /* 0: one per CPU of the server */
    const char *sets[OPTIONS_SETS_MAX];
    unsigned set_count;

    /* those that are listed */
    uint32_t subscribers;
    uint32_t message_bytes;
    uint32_t turns;
    uint32_t turn_ms;
    uint32_t warmup_turns;
    uint32_t depths[OPTIONS_LIST_MAX]; /* closed loop */
    unsigned depth_count;
    bool depths_given;              /* else --rate takes the place of the default depths */
    double rates[OPTIONS_LIST_MAX]; /* open loop */
    unsigned rate_count;
    const struct protocol *transports[OPTIONS_LIST_MAX];
    unsigned transport_count;
    bool against[BARE_LOOP_COUNT];
    uint32_t poll_interval_ms;
    uint32_t connections;
    uint32_t streams_each; /* subscribers on a connection, of transports that have streams */
    uint32_t seconds;
    uint32_t heartbeat_ms; /* 0: the server's default */
    uint32_t churn_per_s;
    uint32_t from, to;  /* connections of the first and of the last step; to 0: what fits */
    double step_factor; /* each step so many times the last; 0: step_add more than the last */
    uint32_t step_add;
    uint32_t broadcast_s;
    uint32_t admits_per_s;
    uint32_t stalled_percent; /* of the subscribers: how many stop reading */
    uint32_t queue_bytes;     /* queue_bytes_max of the server */
    uint32_t vanished;        /* peers that fall silent */
    uint32_t live;            /* 0: a tenth of the subscribers, and not too many */
    bool drop_orderly;
    uint32_t give_up_s;
    uint32_t rtt_ms;    /* of a relay before each server; 0: none */
    uint32_t jitter_ms; /* of all relays */
    uint32_t rtts[OPTIONS_LIST_MAX];
    unsigned rtt_count;
    uint32_t bound_ms;                 /* for the corrected p99 */
    uint32_t counts[OPTIONS_LIST_MAX]; /* of subscribers, one after the other */
    unsigned count_count;
    const char *peers[OPTIONS_PEERS_MAX];
    unsigned peer_count;
    const char *peer_url; /* of the subscription; NULL: none */
    const char *peer_subscribe[OPTIONS_LIST_MAX];
    unsigned peer_subscribe_count;
    const char *peer_publish_url, *peer_publish; /* NULL: as the subscription; the payload alone */
    uint64_t given; /* bit i: the option with that id stands on the command line */
    bool tls;       /* each transport over TLS too */
    bool tls_resume;
    bool tls_resume_ramp;
    enum tls_cipher tls_ciphers[TLS_CIPHER_COUNT];
    unsigned tls_cipher_count;
    const char *streams[OPTIONS_STREAMS_MAX]; /* as experiment/stream.h reads them */
    unsigned stream_count;
    const char *attacks; /* names with commas; NULL: all */
    uint32_t attackers;  /* at most so many connections of one attack */
};

/* X(NAME, key, long name, argument, help): the options that an experiment may list. */
#define OPTIONS_TABLE(X)                                                                           \
    X(SUBSCRIBERS, 'n', "subscribers", "N", "Subscribers of each contestant")                      \
    X(COUNTS, 'n', "subscribers", "N[,N...]", "Counts of subscribers, one after the other")        \
    X(SIZE, 'b', "size", "BYTES", "Payload of a message, at least 34")                             \
    X(TURNS, 't', "turns", "N", "Turns of the clock for each contestant and workload")             \
    X(TURN_MS, 1001, "turn-ms", "MS", "How long a turn is")                                        \
    X(WARMUP, 1002, "warmup", "N", "Rounds that are run first and not counted")                    \
    X(DEPTH, 'd', "depth", "D[,D...]", "Closed loop: messages under way at one time")              \
    X(RATE, 'r', "rate", "R[,R...]", "Open loop: messages per second")                             \
    X(TRANSPORT, 'T', "transport", "LIST", "Names with commas, as options_transports() has them")  \
    X(AGAINST, 'a', "against", "LIST",                                                             \
      "Bare loops to measure beside it: bare-send, bare-uring, bare-coalesce; ceiling: all "       \
      "three; "                                                                                    \
      "none")                                                                                      \
    X(POLL_INTERVAL, 1003, "poll-interval-ms", "MS", "How often a short-polling client asks")      \
    X(STREAMS_EACH, 1090, "streams", "N", "Subscribers on each connection of HTTP/2")              \
    X(CONNECTIONS, 'n', "connections", "N", "Connections to open and hold")                        \
    X(UNDER_WAY, 'n', "under-way", "N", "Connections under way at one time")                       \
    X(SECONDS, 's', "seconds", "S", "How long")                                                    \
    X(HEARTBEAT, 1004, "heartbeat-ms", "MS",                                                       \
      "The server's ping interval; 3600000 shows what it does when there is nothing to do")        \
    X(CHURN, 'c', "churn", "N", "Subscribers that leave and come back each second")                \
    X(FROM, 'f', "from", "N", "Connections of the first step")                                     \
    X(TO, 'm', "to", "N", "Connections of the last step, if the machine holds so many")            \
    X(STEP, 'p', "step", "FACTOR|+N",                                                              \
      "Each step is so many times the last one, or so many more: 2, 1.5, +50000")                  \
    X(HOLD, 's', "hold-seconds", "S", "How long each step is held before its broadcast")           \
    X(BROADCAST, 1005, "broadcast-seconds", "S",                                                   \
      "A broadcast that has not reached everybody by then has failed")                             \
    X(ADMIT, 1040, "admit", "N", "Subscribers that the server lets in each second (admits_per_s)") \
    X(STALLED, 1060, "stalled", "PERCENT", "How many of the subscribers stop reading")             \
    X(VANISHED, 1062, "vanished", "N", "Peers that connect and fall silent, of three kinds")       \
    X(QUEUE, 1061, "queue", "BYTES", "What may wait for one reader (queue_bytes_max)")             \
    X(LIVE, 1041, "live", "N", "Clients that stay connected meanwhile, to tell what they notice")  \
    X(DROP, 1042, "drop", "rst|fin", "How the connections end: reset, or in order")                \
    X(GIVE_UP, 1043, "give-up", "S", "Who is not back after so many seconds stays away")           \
    X(RTT, 1030, "rtt-ms", "MS",                                                                   \
      "Put a relay between subscribers and server, with this round-trip time")                     \
    X(RTTS, 1031, "rtt-ms", "MS[,MS...]",                                                          \
      "Round-trip times, each by a relay of its own; 0: straight over loopback")                   \
    X(JITTER, 1032, "jitter-ms", "MS", "Each read waits up to so much longer in a relay")          \
    X(SEARCH, 1007, "search-seconds", "S",                                                         \
      "How long the search may take, without what confirms it")                                    \
    X(BOUND, 1006, "bound-ms", "MS", "99 % of the deliveries must arrive within this time")        \
    X(PEER, 'P', "peer", "NAME|FILE",                                                              \
      "Another server to measure beside it, of bench/peers/ or of a manifest; may be repeated")    \
    X(PEER_URL, 1040, "peer-url", "URL",                                                           \
      "Likewise one that runs already: ws://HOST:PORT/PATH to subscribe")                          \
    X(PEER_SUBSCRIBE, 1041, "peer-subscribe", "TEXT",                                              \
      "What its subscribers send first; may be repeated")                                          \
    X(PEER_PUBLISH_URL, 1042, "peer-publish-url", "URL",                                           \
      "Where to publish to it, by ws:// or by POST to http:// (default: the URL to subscribe)")    \
    X(PEER_PUBLISH, 1043, "peer-publish", "TEXT", "What is sent to publish @payload@")             \
    X(STREAM, 1070, "stream", "TEXT",                                                              \
      "\"name=N part=value ...\": subscribers and what is published to them; may be repeated")     \
    X(ATTACK, 1080, "attack", "NAME[,NAME...]", "Only these attacks")                              \
    X(LIST, 1081, "list", NULL, "Say which attacks there are, and end")                            \
    X(ATTACKERS, 1082, "attackers", "N", "At most so many connections of an attacker")             \
    X(TLS, 1050, "tls", NULL, "Each transport over TLS 1.2 too, beside the plain one")             \
    X(TLS_CIPHER, 1051, "tls-cipher", "LIST", "Over TLS with gcm, gcm256, chacha20")               \
    X(TLS_RESUME, 1052, "tls-resume", NULL, "Who connects again resumes its TLS session")          \
    X(TLS_RESUME_RAMP, 1053, "tls-resume-ramp", NULL,                                              \
      "All but the first connections resume a TLS session of those: a ramp of a million "          \
      "takes minutes")

enum option_id {
#define OPTIONS_ID(name, ...) OPTION_##name,
    OPTIONS_TABLE(OPTIONS_ID)
#undef OPTIONS_ID
    OPTION_COUNT,
};

struct options_use {
    const enum option_id *ids; /* ended by OPTION_COUNT */
    const char *summary;       /* one line */
    const char *details;       /* shown below the options */
};

/* Fills in what holds for every experiment. The experiment sets its own defaults afterwards. */
void options_default(struct options *options);

/* Parses the command line of one experiment; exits on --help and on errors. `name` is that of the
 * experiment, and argv[0] is replaced. */
void options_parse(struct options *options, const struct options_use *use, const char *name,
                   int argc, char **argv);

/* Reads "127.0.0.1:8080". Returns 0 or -EINVAL. */
int options_address(const char *text, struct sockaddr_in *ret);

static inline bool options_given(const struct options *options, enum option_id id)
{
    return options->given >> id & 1;
}

/* Every setting, under the names that the report knows. */
json_t *options_json(const struct options *options, const struct options_use *use);

/* "poll, longpoll, sse …": the transports there are. The text is constant. */
const char *options_transports(void);

/* The options of peers, and streams. Returns whether it is one. */
bool options_peer_parse(struct options *options, enum option_id id, const char *text,
                        struct argp_state *state);

/* Likewise: what was given for it, one after the other. */
bool options_peer_value(const struct options *options, enum option_id id, char *text, size_t size);

/* As --tls-cipher takes it: "gcm", "gcm256", "chacha20". */
const char *options_cipher_name(enum tls_cipher cipher);
bool options_cipher_parse(const char *text, size_t len, enum tls_cipher *ret);
