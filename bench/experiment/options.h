/* options: the command line of every experiment.
 *
 * Idea     One struct and one parser; an experiment lists the options that it understands, so that
 *          its --help shows those and no others, and sets its own defaults before.
 * Threads  one, before anything runs.
 * Memory   text points into argv. */
#pragma once

#include <assert.h>
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
    OPTIONS_CLIENTS_MAX = 8 * 1024 * 1024, /* of one load */
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
    bool plain, quiet;
    bool brief; /* nothing is printed of the result */
    bool list;  /* of attacks, and nothing is run */
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
    uint32_t cuts_per_s;
    uint32_t stops, restarts; /* of the server, in a chaos */
    uint32_t from, to;        /* connections of the first and of the last step; to 0: what fits */
    double step_factor;       /* each step so many times the last; 0: step_add more than the last */
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
    uint64_t given[2]; /* bit i: the option with that id stands on the command line */
    bool tls;          /* each transport over TLS too */
    bool tls_resume;
    bool tls_resume_ramp;
    bool tokens; /* clients of the Centrifuge protocol sign on */
    bool tls_12; /* else 1.3 */
    enum tls_cipher tls_ciphers[TLS_CIPHER_COUNT];
    unsigned tls_cipher_count;
    const char *streams[OPTIONS_STREAMS_MAX]; /* as experiment/stream.h reads them */
    unsigned stream_count;
    bool socketless; /* clients: phantom/phantom.h */
    double loss_percent, loss_burst;
    double reorder_percent;
    double vanish_percent;               /* of the clients: how many fall silent */
    bool timestamps, sack, window_scale; /* options of TCP that clients without sockets say */
    uint32_t line_rate;                  /* bytes a second of each client, each way; 0: any */
    uint32_t seed;                       /* of the network between */
    const char *attacks;                 /* names with commas; NULL: all */
    uint32_t attackers;                  /* at most so many connections of one attack */
    uint32_t nodes;                      /* of a cluster */
    uint32_t endpoints;                  /* of webhooks */
    const char *broker;                  /* the engine that they share */
    const char *fsync; /* when it has what it acknowledges on the disk: no, everysec, always */
    uint32_t channels; /* of each node's publisher */
    bool kill_node, kill_engine, partition;
    uint32_t away_s; /* how long what was killed or cut off stays so */
    char engine_cpus[CPUS_TEXT_MAX];
};

/* X(ID, key, long name, argument, name in the settings of a run, what it is, help): an option is
 * one row. What it is: NUMBER(field, least, most), and so on, as options.c defines them. A key of 0
 * is none: there is only the long name. */
#define OPTIONS_TABLE(X)                                                                           \
    X(SUBSCRIBERS, 'n', "subscribers", "N", "subscribers",                                         \
      NUMBER(subscribers, 1, OPTIONS_CLIENTS_MAX), "Subscribers of each contestant")               \
    X(COUNTS, 'n', "subscribers", "N[,N...]", "subscribers",                                       \
      NUMBERS(counts, count_count, 1, OPTIONS_CLIENTS_MAX),                                        \
      "Counts of subscribers, one after the other")                                                \
    X(SIZE, 'b', "size", "BYTES", "message_bytes",                                                 \
      NUMBER(message_bytes, PAYLOAD_HEAD_SIZE, MESSAGE_MAX), "Payload of a message, at least 34")  \
    X(TURNS, 't', "turns", "N", "turns", NUMBER(turns, 1, 10000),                                  \
      "Turns of the clock for each contestant and workload")                                       \
    X(TURN_MS, 0, "turn-ms", "MS", "turn_s", MILLISECONDS(turn_ms, 10, HOUR_MS),                   \
      "How long a turn is")                                                                        \
    X(WARMUP, 0, "warmup", "N", "warmup_rounds", NUMBER(warmup_turns, 0, 1000),                    \
      "Rounds that are run first and not counted")                                                 \
    X(DEPTH, 'd', "depth", "D[,D...]", "depth", NUMBERS(depths, depth_count, 1, LOAD_FLIGHTS / 2), \
      "Closed loop: messages under way at one time")                                               \
    X(RATE, 'r', "rate", "R[,R...]", "rate_per_s", RATES(rates, rate_count),                       \
      "Open loop: messages per second")                                                            \
    X(TRANSPORT, 'T', "transport", "LIST", "transports", OF_KIND(transports),                      \
      "Names with commas, as options_transports() has them")                                       \
    X(AGAINST, 'a', "against", "LIST", "against", OF_KIND(against),                                \
      "Bare loops to measure beside it: bare-send, bare-uring, bare-coalesce; ceiling: all "       \
      "three; none")                                                                               \
    X(POLL_INTERVAL, 0, "poll-interval-ms", "MS", "poll_interval_s",                               \
      MILLISECONDS(poll_interval_ms, 10, HOUR_MS), "How often a short-polling client asks")        \
    X(STREAMS_EACH, 0, "streams", "N", "streams_per_connection",                                   \
      NUMBER(streams_each, 1, LOAD_STREAMS_MAX), "Subscribers on each connection of HTTP/2")       \
    X(CONNECTIONS, 'n', "connections", "N", "connections",                                         \
      NUMBER(connections, 1, OPTIONS_CLIENTS_MAX), "Connections to open and hold")                 \
    X(UNDER_WAY, 'n', "under-way", "N", "under_way", NUMBER(connections, 1, 1000),                 \
      "Connections under way at one time")                                                         \
    X(SECONDS, 's', "seconds", "S", "hold_s", NUMBER(seconds, 1, 7 * DAY_S), "How long")           \
    X(HEARTBEAT, 0, "heartbeat-ms", "MS", "heartbeat_ms",                                          \
      NUMBER_OR(heartbeat_ms, 100, HOUR_MS, "the server's"),                                       \
      "The server's ping interval; 3600000 shows what it does when there is nothing to do")        \
    X(CHURN, 'c', "churn", "N", "churn_per_s", NUMBER(churn_per_s, 1, 1000000),                    \
      "Subscribers that leave and come back each second")                                          \
    X(CUTS, 0, "cuts", "N", "cuts_per_s", NUMBER(cuts_per_s, 1, 1000000),                          \
      "Connections that are cut each second, at random")                                           \
    X(STOPS, 0, "stops", "N", "stops", NUMBER(stops, 0, 1000),                                     \
      "How often the server is stopped for a while, and continued")                                \
    X(RESTARTS, 0, "restarts", "N", "restarts", NUMBER(restarts, 0, 1000),                         \
      "How often the server is restarted: it forgets all channels")                                \
    X(FROM, 'f', "from", "N", "from", NUMBER(from, 1, OPTIONS_CLIENTS_MAX),                        \
      "Connections of the first step")                                                             \
    X(TO, 'm', "to", "N", "to", NUMBER_OR(to, 1, OPTIONS_CLIENTS_MAX, "what this machine holds"),  \
      "Connections of the last step, if the machine holds so many")                                \
    X(STEP, 'p', "step", "FACTOR|+N", "step", OF_KIND(step),                                       \
      "Each step is so many times the last one, or so many more: 2, 1.5, +50000")                  \
    X(HOLD, 's', "hold-seconds", "S", "hold_s", NUMBER(seconds, 1, DAY_S),                         \
      "How long each step is held before its broadcast")                                           \
    X(BROADCAST, 0, "broadcast-seconds", "S", "broadcast_s", NUMBER(broadcast_s, 1, 3600),         \
      "A broadcast that has not reached everybody by then has failed")                             \
    X(ADMIT, 0, "admit", "N", "admits_per_s", NUMBER(admits_per_s, 1, 10000000),                   \
      "Subscribers that the server lets in each second (admits_per_s)")                            \
    X(STALLED, 0, "stalled", "PERCENT", "stalled_percent", NUMBER(stalled_percent, 1, 90),         \
      "How many of the subscribers stop reading")                                                  \
    X(VANISHED, 0, "vanished", "N", "vanished", NUMBER(vanished, 1, 5000000),                      \
      "Peers that connect and fall silent, of three kinds")                                        \
    X(QUEUE, 0, "queue", "BYTES", "queue_bytes_max", NUMBER(queue_bytes, 1024, 1u << 30),          \
      "What may wait for one reader (queue_bytes_max)")                                            \
    X(LIVE, 0, "live", "N", "live",                                                                \
      NUMBER_OR(live, 1, OPTIONS_CLIENTS_MAX, "a tenth, at most 2000"),                            \
      "Clients that stay connected meanwhile, to tell what they notice")                           \
    X(DROP, 0, "drop", "rst|fin", "drop", OF_KIND(drop),                                           \
      "How the connections end: reset, or in order")                                               \
    X(GIVE_UP, 0, "give-up", "S", "give_up_s", NUMBER(give_up_s, 1, 3600),                         \
      "Who, or what, is not back after so many seconds stays away")                                \
    X(RTT, 0, "rtt-ms", "MS", "rtt_ms", NUMBER(rtt_ms, 0, RELAY_MS_MAX),                           \
      "Put a relay between subscribers and server, with this round-trip time")                     \
    X(RTTS, 0, "rtt-ms", "MS[,MS...]", "rtt_ms", NUMBERS(rtts, rtt_count, 0, RELAY_MS_MAX),        \
      "Round-trip times, each by a relay of its own; 0: straight over loopback")                   \
    X(JITTER, 0, "jitter-ms", "MS", "jitter_ms", NUMBER(jitter_ms, 0, RELAY_MS_MAX),               \
      "Each read waits up to so much longer in a relay")                                           \
    X(SEARCH, 0, "search-seconds", "S", "search_s", NUMBER(seconds, 1, DAY_S),                     \
      "How long the search may take, without what confirms it")                                    \
    X(BOUND, 0, "bound-ms", "MS", "bound_ms", NUMBER(bound_ms, 1, HOUR_MS),                        \
      "99 % of the deliveries must arrive within this time")                                       \
    X(PEER, 'P', "peer", "NAME|FILE", "peers", TEXTS(peers, peer_count, OPTIONS_PEERS_MAX, ", "),  \
      "Another server to measure beside it, of bench/peers/ or of a manifest; may be "             \
      "repeated")                                                                                  \
    X(PEER_URL, 0, "peer-url", "URL", "peer_url", TEXT(peer_url),                                  \
      "Likewise one that runs already: ws://HOST:PORT/PATH to subscribe")                          \
    X(PEER_SUBSCRIBE, 0, "peer-subscribe", "TEXT", "peer_subscribe",                               \
      TEXTS(peer_subscribe, peer_subscribe_count, OPTIONS_LIST_MAX, ", "),                         \
      "What its subscribers send first; may be repeated")                                          \
    X(PEER_PUBLISH_URL, 0, "peer-publish-url", "URL", "peer_publish_url", TEXT(peer_publish_url),  \
      "Where to publish to it, by ws:// or by POST to http:// (default: the URL to "               \
      "subscribe)")                                                                                \
    X(PEER_PUBLISH, 0, "peer-publish", "TEXT", "peer_publish", TEXT(peer_publish),                 \
      "What is sent to publish @payload@")                                                         \
    X(STREAM, 0, "stream", "TEXT", "streams",                                                      \
      TEXTS(streams, stream_count, OPTIONS_STREAMS_MAX, ", "),                                     \
      "\"name=N part=value ...\": subscribers and what is published to them; may be repeated")     \
    X(ATTACK, 0, "attack", "NAME[,NAME...]", "attacks", TEXT(attacks), "Only these attacks")       \
    X(LIST, 0, "list", NULL, NULL, FLAG(list), "Say which attacks there are, and end")             \
    X(ATTACKERS, 0, "attackers", "N", "attackers_max", NUMBER(attackers, 1, 20000),                \
      "At most so many connections of an attacker")                                                \
    X(ENDPOINTS, 0, "endpoints", "N", "endpoints", NUMBER(endpoints, 10, 100000),                  \
      "Webhooks that a server posts to")                                                           \
    X(NODES, 'N', "nodes", "N", "nodes", NUMBER(nodes, 2, 4), "Servers that share their channels") \
    X(BROKER, 'B', "broker", "redis|nats", "broker", TEXT(broker), "The engine that they share")   \
    X(FSYNC, 0, "fsync", "no|everysec|always", "fsync", TEXT(fsync),                               \
      "When the engine has on the disk what it acknowledges")                                      \
    X(ENGINE_CPUS, 0, "engine-cpus", "LIST", "engine_cpus", CPUS(engine_cpus),                     \
      "CPUs of the engine")                                                                        \
    X(CHANNELS, 0, "channels", "N", "channels", NUMBER(channels, 1, LOAD_CHANNELS_MAX),            \
      "Of each publisher, in the steps of trouble. Without it as many as leave each message 20 "   \
      "hearers")                                                                                   \
    X(KILL_NODE, 0, "kill-node", NULL, "kill_node", FLAG(kill_node),                               \
      "A step of trouble: kill -9 of a node under load, and its start")                            \
    X(KILL_ENGINE, 0, "kill-engine", NULL, "kill_engine", FLAG(kill_engine),                       \
      "Likewise of the engine")                                                                    \
    X(PARTITION, 0, "partition", NULL, "partition", FLAG(partition),                               \
      "Likewise a node and the engine do not hear each other (needs namespaces: root)")            \
    X(AWAY, 0, "away-seconds", "S", "away_s", NUMBER(away_s, 0, 600),                              \
      "How long what was killed or cut off stays so")                                              \
    X(TLS, 0, "tls", NULL, "tls", FLAG(tls), "Each transport over TLS too, beside the plain one")  \
    X(TLS_VERSION, 0, "tls-version", "1.2|1.3", "tls_version", OF_KIND(version),                   \
      "Which TLS the clients offer; without it 1.3, as browsers would agree on")                   \
    X(TLS_CIPHER, 0, "tls-cipher", "LIST", "tls_cipher", OF_KIND(ciphers),                         \
      "Over TLS with gcm, gcm256, chacha20")                                                       \
    X(TLS_RESUME, 0, "tls-resume", NULL, "tls_resume", FLAG(tls_resume),                           \
      "Who connects again resumes its TLS session")                                                \
    X(TLS_RESUME_RAMP, 0, "tls-resume-ramp", NULL, "tls_resume_ramp", FLAG(tls_resume_ramp),       \
      "All but the first connections resume a TLS session of those: a ramp of a million "          \
      "takes minutes")                                                                             \
    X(TOKENS, 0, "tokens", NULL, "tokens", FLAG(tokens),                                           \
      "Clients of the Centrifuge protocol sign on, each as a user of its own, by tokens of HS256") \
    X(CLIENTS, 0, "clients", "kernel|socketless", "clients", OF_KIND(clients),                     \
      "Whose TCP the clients have: the kernel's, or none: their ends are in this process, on a "   \
      "device that needs CAP_NET_ADMIN (docs/METHOD.md says when to use which)")                   \
    X(LOSS, 0, "loss", "PERCENT[,BURST]", "loss", OF_KIND(loss),                                   \
      "Without sockets: the network loses so many packets, BURST in a row on average")             \
    X(REORDER, 0, "reorder", "PERCENT", "reorder_percent", PERCENT(reorder_percent),               \
      "Without sockets: so many packets overtake those before them")                               \
    X(TCP_OPTIONS, 0, "tcp-options", "LIST", "tcp_options", OF_KIND(tcp_options),                  \
      "Without sockets: what clients say beside their MSS: timestamps, sack, window-scale; none "  \
      "(sack goes without saying where packets are lost)")                                         \
    X(VANISH, 0, "vanish", "PERCENT", "vanish_percent", PERCENT(vanish_percent),                   \
      "Without sockets: so many clients fall silent without a word, by the seed, and the server "  \
      "has to find them")                                                                          \
    X(LINE_RATE, 0, "line-rate", "BYTES", "line_rate",                                             \
      NUMBER_OR(line_rate, 1000, 1u << 30, "any"),                                                 \
      "Without sockets: each client's line carries so much a second, each way")                    \
    X(SEED, 0, "seed", "N", "seed", NUMBER(seed, 1, UINT32_MAX),                                   \
      "Of the network between: the same seed, the same losses")                                    \
    /* from here on of every experiment */                                                         \
    X(SERVER, 0, "server", "PATH", NULL, TEXT(server),                                             \
      "ringside-server to start (default: of this build)")                                         \
    X(ADDRESS, 0, "address", "HOST:PORT", "address", AT_KIND(address, address),                    \
      "Measure a server that runs already. It must allow publishing on a WebSocket")               \
    X(TLS_ADDRESS, 0, "tls-address", "HOST:PORT", NULL, AT_KIND(tls_address, tls_address),         \
      "Where the server at --address has TLS, for --tls")                                          \
    X(SERVER_CPUS, 0, "server-cpus", "LIST", "server_cpus", CPUS(server_cpus),                     \
      "CPUs of the server")                                                                        \
    X(CLIENT_CPUS, 0, "client-cpus", "LIST", "client_cpus", CPUS(client_cpus),                     \
      "CPUs of the clients")                                                                       \
    X(SHARDS, 0, "shards", "N", "shards", NUMBER_OR(shards, 1, 248, "one per CPU it has"),         \
      "Shards of the server")                                                                      \
    X(SET, 0, "set", "NAME=VALUE", "server_settings",                                              \
      TEXTS(sets, set_count, OPTIONS_SETS_MAX, "; "), "A setting of the server; may be repeated")  \
    X(RESULTS, 0, "results", "DIR", NULL, TEXT(results),                                           \
      "Where the folder of this run goes (default: runs/ of the repository); none: nowhere")       \
    X(JSON, 0, "json", "FILE", NULL, TEXT(json), "Write run.json here as well")                    \
    X(PLAIN, 0, "plain", NULL, NULL, FLAG(plain),                                                  \
      "While it runs: lines of text, on a terminal too")                                           \
    X(QUIET, 0, "quiet", NULL, NULL, FLAG(quiet), "While it runs: nothing")                        \
    X(BRIEF, 0, "brief", NULL, NULL, FLAG(brief), "No tables when it is over")

enum option_id {
#define OPTIONS_ID(name, ...) OPTION_##name,
    OPTIONS_TABLE(OPTIONS_ID)
#undef OPTIONS_ID
    OPTION_COUNT,
    OPTION_COMMON = OPTION_SERVER,
};
static_assert(OPTION_COUNT <= 128, "each has a bit of options.given");

/* Of experiments whose clients need no sockets. */
#define OPTIONS_OF_CLIENTS                                                                         \
    OPTION_CLIENTS, OPTION_LOSS, OPTION_REORDER, OPTION_LINE_RATE, OPTION_SEED, OPTION_TCP_OPTIONS

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
    return options->given[id / 64] >> id % 64 & 1;
}

/* Every setting, under the names that the report knows. */
json_t *options_json(const struct options *options, const struct options_use *use);

/* "poll, longpoll, sse …": the transports there are. The text is constant. */
const char *options_transports(void);

/* As --tls-cipher takes it: "gcm", "gcm256", "chacha20". */
const char *options_cipher_name(enum tls_cipher cipher);
bool options_cipher_parse(const char *text, size_t len, enum tls_cipher *ret);
