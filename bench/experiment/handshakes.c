/* handshakes: what it costs a server to let in one connection over TLS: in full, with each key
 * exchange, and resumed; beside the same without TLS, and beside other servers.
 *
 *     connect ─► TLS handshake ─► GET ─► answer ─► RST, and again
 *
 * The request is there so that a handshake is over for the server as well: in a resumed one the
 * last word is the client's, and a client that left upon it could leave before it is read. What
 * TCP, the request and its answer cost by themselves is a contestant of its own, and can be
 * subtracted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "experiment/field.h"
#include "experiment/peer.h"
#include "measure/clock.h"

enum {
    UNDER_WAY = 64,
    TURNS = 7,
    PEERS_MAX = OPTIONS_PEERS_MAX,
    KINDS_TLS = 3, /* with each cipher: two key exchanges, and resumed */
};

/* Of its handshakes; fewer are a workload that is not what its name says. */
static const double RESUMED_MIN = 0.98;
static const char DEFAULT_PEER[] = "nginx-tls";
static const char OURS[] = "ringside"; /* our own server among the contestants */

/* What a visit has; all have TCP, a request and its answer. */
enum handshake {
    HANDSHAKE_PLAIN, /* no TLS */
    HANDSHAKE_P256,  /* in full, with this key exchange */
    HANDSHAKE_X25519,
    HANDSHAKE_RESUMED,
    HANDSHAKE_COUNT,
};
static const char *const kind_names[HANDSHAKE_COUNT] = {"plain", "full P-256", "full X25519",
                                                        "resumed"};

static const enum option_id handshakes_options[] = {
    OPTION_UNDER_WAY,  OPTION_PEER,        OPTION_TRANSPORT, OPTION_STREAMS_EACH,
    OPTION_TURNS,      OPTION_TURN_MS,     OPTION_WARMUP,    OPTION_TLS_VERSION,
    OPTION_TLS_CIPHER, OPTIONS_OF_CLIENTS, OPTION_COUNT,
};

static void defaults(struct options *options)
{
    options->connections = UNDER_WAY;
    options->turns = TURNS;
    options->tls = true;
}

/* ---- the field ---- */

struct race {
    struct field field;
    unsigned workloads;                       /* of each server */
    unsigned servers;                         /* ours, then the peers */
    bool warm;                                /* turns count */
    enum handshake kinds[FIELD_ENTRANTS_MAX]; /* by entrant: server after server */
    struct contestant *contestants[FIELD_ENTRANTS_MAX];
};

static int add(struct race *race, struct server *server, enum handshake kind,
               enum tls_cipher cipher, const struct peer *peer)
{
    struct bench *bench = race->field.bench;
    race->kinds[race->field.count] = kind;
    const struct options *options = bench->options;
    const struct protocol *protocol =
        peer || options->transport_count == 0 ? &protocol_get : options->transports[0];
    uint32_t each = protocol->is & PROTOCOL_STREAMS ? options->streams_each : 1;
    struct entrant *entrant =
        field_add(&race->field, peer ? peer->name : OURS, peer ? KIND_PEER : KIND_TRANSPORT,
                  protocol, server, options->connections * each);
    entrant->publish = NULL;
    if (peer) {
        entrant->protocol = &peer->protocol;
        entrant->version = peer->version;
    }
    if (kind == HANDSHAKE_PLAIN || ways_have(options, PROTOCOL_QUIC))
        return 0;
    entrant->tls = kind == HANDSHAKE_P256 ? bench_tls_client_p256(bench, cipher, protocol)
                                          : bench_tls_client(bench, cipher, protocol);
    entrant->cipher = cipher;
    entrant->reach = server->tls_reach;
    entrant->resume = kind == HANDSHAKE_RESUMED ? LOAD_RESUME_OWN : LOAD_RESUME_NONE;
    return entrant->tls ? 0 : -EINVAL;
}

static int add_server(struct race *race, struct server *server, const struct peer *peer)
{
    static const enum handshake kinds[KINDS_TLS] = {HANDSHAKE_P256, HANDSHAKE_X25519,
                                                    HANDSHAKE_RESUMED};
    const struct options *options = race->field.bench->options;
    bool quic = ways_have(options, PROTOCOL_QUIC); /* which has one cipher, and no tickets */
    int err = add(race, server, quic ? HANDSHAKE_X25519 : HANDSHAKE_PLAIN, TLS_AES_128_GCM, peer);
    for (unsigned c = 0; !quic && c < options->tls_cipher_count; c++)
        for (unsigned k = 0; err == 0 && k < KINDS_TLS; k++)
            err = add(race, server, kinds[k], options->tls_ciphers[c], peer);
    race->servers++;
    return err;
}

static void name_workload(const struct race *race, unsigned index, char ret[RESULT_NAME_MAX])
{
    const char *kind = kind_names[race->kinds[index]];
    if (race->kinds[index] == HANDSHAKE_PLAIN)
        snprintf(ret, RESULT_NAME_MAX, "%s", kind);
    else
        snprintf(ret, RESULT_NAME_MAX, "%s, %s", kind,
                 tls_cipher_name(race->field.entrants[index].cipher));
}

/* Workload by workload, so that the table reads across the servers. */
static void add_contestants(struct race *race)
{
    const bool compared = race->field.bench->options->transport_count == 0;
    for (unsigned w = 0; w < race->workloads; w++)
        for (unsigned s = 0; s < race->servers; s++) {
            char name[RESULT_NAME_MAX];
            unsigned i = s * race->workloads + w;
            name_workload(race, i, name);
            struct contestant *contestant = field_contestant(&race->field, i, name);
            contestant->connections = race->field.bench->options->connections;
            if (compared)
                contestant_figure(contestant, "handshakes",
                                  json_pack("{s:s}", "kind", kind_names[race->kinds[i]]));
            race->contestants[i] = contestant;
        }
}

/* ---- the rounds ---- */

/* Why the last one did not come in. */
static const char *last_failure(const struct load_counters *counters)
{
    for (int i = 0; i < LOAD_FAIL_COUNT; i++)
        if (counters->failures[i] > 0)
            return i == LOAD_FAIL_TLS ? tls_error_meaning(counters->tls_error)
                                      : load_failure_name((enum load_failure)i);
    return "no reason known";
}

/* What the turns for warming up have counted belongs to nobody. */
static void forget_warm_up(struct race *race)
{
    for (unsigned i = 0; i < race->field.count; i++) {
        struct contestant nobody = {0};
        field_failures(&race->field, i, &nobody);
    }
}

/* The servers are neighbours in time. */
static int turn(void *context, unsigned at, unsigned round, bool counted)
{
    struct race *race = context;
    struct bench *bench = race->field.bench;
    const unsigned index = at % race->servers * race->workloads + at / race->servers;
    struct contestant *contestant = race->contestants[index];
    struct turn turn;
    if (counted && !race->warm)
        forget_warm_up(race);
    race->warm = counted;
    watch_phase(bench, counted ? "turns" : "warm-up", contestant->name, contestant->workload);
    int err = field_visits(&race->field, index, (int64_t)bench->options->turn_ms * NS_PER_MS, round,
                           &turn);
    if (err == 0 && turn.load.visits == 0)
        err =
            bench_fail(-ECONNREFUSED, "%s, %s: nobody came in: %s", contestant->name,
                       contestant->workload, last_failure(load_counters(race->field.load, index)));
    if (err == 0 && counted)
        contestant_turn(contestant, &turn);
    watch_turn(bench, NULL, &turn, NULL); /* its rows are for deliveries */
    return err;
}

static int rounds(struct race *race)
{
    const struct options *options = race->field.bench->options;
    watch_turns(race->field.bench, race->field.count * (options->warmup_turns + options->turns));
    int err = field_take_turns(&race->field, race->workloads * race->servers, turn, race);
    for (unsigned i = 0; i < race->field.count; i++)
        field_failures(&race->field, i, race->contestants[i]);
    return err;
}

/* A session that the server had dropped, or none yet: that was a handshake in full. */
static void check_resumed(const struct race *race)
{
    for (unsigned i = 0; i < race->field.count; i++) {
        struct contestant *contestant = race->contestants[i];
        double all = (double)(contestant->tls.full + contestant->tls.resumed);
        if (race->kinds[i] == HANDSHAKE_RESUMED && all > 0 &&
            (double)contestant->tls.resumed < RESUMED_MIN * all)
            contestant_note(contestant,
                            "%.1f %% of its handshakes were in full: their sessions "
                            "were not in the server's cache",
                            100 * (double)contestant->tls.full / all);
    }
}

/* ---- running ---- */

static int run_field(struct bench *bench, struct peer *const peers[], unsigned count)
{
    struct race race = {0};
    const struct options *options = bench->options;
    struct server *server;
    field_init(&race.field, bench);
    race.workloads =
        ways_have(options, PROTOCOL_QUIC) ? 1 : 1 + KINDS_TLS * options->tls_cipher_count;
    if (race.workloads * (1 + count) > FIELD_ENTRANTS_MAX)
        return bench_fail(-ENOSPC,
                          "%u contestants are too many for one run: name fewer with "
                          "--tls-cipher or --peer",
                          race.workloads * (1 + count));
    int err = bench_server_start(bench, options->connections, NULL, &server);
    if (err == 0)
        err = add_server(&race, server, NULL);
    for (unsigned i = 0; err == 0 && i < count; i++) {
        err = peer_start(bench, peers[i], options->connections, &server);
        if (err == 0)
            err = add_server(&race, server, peers[i]);
    }
    if (err == 0)
        err = field_create(&race.field);
    if (err == 0) {
        add_contestants(&race);
        err = rounds(&race);
        check_resumed(&race);
    }
    field_close(&race.field);
    return err;
}

static int read_peer(const char *name, struct peer **ret)
{
    int err = peer_read(name, ret);
    return err == 0 && !(*ret)->visit
               ? bench_fail(-EINVAL, "%s has no [handshake] in its manifest: it is for `compare`",
                            name)
               : err;
}

static int run(struct bench *bench)
{
    const struct options *options = bench->options;
    struct peer *peers[PEERS_MAX] = {0};
    unsigned count = 0;
    int err = 0;
    if (options->transport_count > 1)
        return bench_fail(-EINVAL, "handshakes takes one --transport at most");
    for (unsigned i = 0; err == 0 && i < options->peer_count; i++)
        err = read_peer(options->peers[i], &peers[count++]);
    if (options->transport_count > 0)
        result_note(&bench->result,
                    "Ringside's clients subscribe, %s, where those of peers ask for a page: they "
                    "are not compared.",
                    options->transports[0]->name);
    else if (options->peer_count == 0 && peer_installed(DEFAULT_PEER))
        err = read_peer(DEFAULT_PEER, &peers[count++]);
    else if (options->peer_count == 0)
        result_note(&bench->result,
                    "Measured alone: nginx is not installed. `./build.sh peers %s` "
                    "does that.",
                    DEFAULT_PEER);
    if (err == 0)
        err = run_field(bench, peers, count);
    for (unsigned i = 0; i < count; i++)
        peer_free(peers[i]);
    return err;
}

const struct experiment experiment_handshakes = {
    .name = "handshakes",
    .use =
        {handshakes_options, "TLS handshakes per second and core, full and resumed, beside nginx.",
         "Each connection is a TCP connect, the handshake, a small GET and its answer, and a "
         "reset. Where the clients are the bottleneck, which with OpenSSL on the other side they "
         "are, the server's CPU per handshake is the figure to look at. With --transport a "
         "connection subscribes instead, and is compared with none.\n\n"
         "  ./build.sh peers nginx-tls\n"
         "  ringside-bench handshakes\n"
         "  ringside-bench handshakes --tls-cipher gcm --turns 15\n"
         "  ringside-bench handshakes --transport h2-sse --streams 10\n"
         "  ringside-bench handshakes --transport h3-poll"},
    .defaults = defaults,
    .run = run,
};
