/* ringside-server: reads the settings, makes the shards, and waits for a signal. */
#include <argp.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "api/api.h"
#include "api/turn.h"
#include "auth/auth.h"
#include "broker/broker.h"
#include "carrier/http2.h"
#include "carrier/quic.h"
#include "carrier/rtc.h"
#include "certificates.h"
#include "cluster.h"
#include "commands.h"
#include "conf/cpus.h"
#include "conf/machine.h"
#include "conf/settings.h"
#include "conn/client.h"
#include "conn/log.h"
#include "conn/shard.h"
#include "conn/trusted.h"
#include "core/build_info.h"
#include "core/ring.h"
#include "couriers.h"
#include "engine.h"
#include "http/origins.h"
#include "hub/hub.h"
#include "kafka/kafka.h"
#include "ports.h"
#include "reload.h"
#include "session/session.h"
#include "sizes.h"
#include "successor.h"
#include "transport/answering.h"
#include "transport/encoder.h"

/* Read by jemalloc. What a burst needed goes back to the machine soon, also when nothing is
 * allocated any more. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";

enum {
    WHY_MAX = 512,
};

/* ---- command line ---- */

enum {
    OPTION_ECHO = 1000,
    OPTION_HELP_CONFIG,
    OPTION_MAX_CONNECTIONS,
    OPTION_ADMIN_LISTEN,
    OPTION_TLS_LISTEN,
    OPTION_TLS_CERTIFICATE,
};

static const struct argp_option options[] = {
    {"listen", 'l', "ADDRESS:PORT", 0, "Where clients connect (default 127.0.0.1:8080)", 0},
    {"shards", 's', "N", 0,
     "Threads, each with its own ring, connections and channels (default: one per core)", 0},
    {"cpus", 'c', "LIST", 0, "Cores to pin them to, as 0,2-5", 0},
    {"max-connections", OPTION_MAX_CONNECTIONS, "N", 0, "Open connections over all shards", 0},
    {"config", 'f', "FILE", 0, "An INI file; --help-config prints one with every setting", 0},
    {"set", 'S', "NAME=VALUE", 0, "One setting, after the file", 0},
    {"admin-listen", OPTION_ADMIN_LISTEN, "ADDRESS:PORT", 0, "Where the operator connects", 0},
    {"tls-listen", OPTION_TLS_LISTEN, "ADDRESS:PORT", 0, "Where clients connect with TLS", 0},
    {"tls-certificate", OPTION_TLS_CERTIFICATE, "CHAIN:KEY", 0, "PEM files for --tls-listen", 0},
    {"echo", OPTION_ECHO, 0, 0, "Offer /echo, a WebSocket that returns what it gets", 0},
    {"help-config", OPTION_HELP_CONFIG, 0, 0,
     "Print all settings with unit, bounds and reason, and exit", 0},
    {0},
};

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "ringside-server %s (%s), with %s\n", build_version, build_source,
            kafka_library());
}

static const char documentation[] =
    "Realtime push: short and long polling, SSE and WebSocket over the same channels.\v"
    "Try it:\n"
    "  ringside-server &\n"
    "  curl -N 'http://127.0.0.1:8080/sse?channel=demo' &\n"
    "  curl -d hello 'http://127.0.0.1:8080/publish?channel=demo'\n"
    "or open http://127.0.0.1:8080/ in a browser.\n\n"
    "Instead of serving: gen-config prints the settings as a file, check-config says whether it "
    "would start with them, health whether the server with them serves (all take the same "
    "options); "
    "gen-token --help.\n\n"
    "SIGTERM and SIGINT send the clients away over drain_ms, then it exits. docs/PROTOCOL.md says "
    "what clients can ask, "
    "docs/OPERATING.md what the settings do.";

static error_t usage_error(struct argp_state *state, const char *why)
{
    argp_failure(state, 1, 0, "%s", why);
    return EINVAL;
}

static error_t set_or_fail(struct argp_state *state, const char *name, const char *value)
{
    char why[WHY_MAX];
    return settings_set(state->input, name, value, why, sizeof why) < 0 ? usage_error(state, why)
                                                                        : 0;
}

static error_t set_assignment(struct argp_state *state, char *assignment)
{
    char *equals = strchr(assignment, '=');
    if (!equals)
        return usage_error(state, "--set needs NAME=VALUE");
    *equals = '\0';
    error_t err = set_or_fail(state, assignment, equals + 1);
    *equals = '=';
    return err;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    char why[WHY_MAX];
    switch (key) {
    case 'l':
        return set_or_fail(state, "listen", argument);
    case 's':
        return set_or_fail(state, "shards", argument);
    case 'c':
        return set_or_fail(state, "cpus", argument);
    case OPTION_MAX_CONNECTIONS:
        return set_or_fail(state, "max_connections", argument);
    case OPTION_ADMIN_LISTEN:
        return set_or_fail(state, "admin_listen", argument);
    case OPTION_TLS_LISTEN:
        return set_or_fail(state, "tls_listen", argument);
    case OPTION_TLS_CERTIFICATE:
        return set_or_fail(state, "tls_certificates", argument);
    case 'f':
        return settings_read(state->input, argument, why, sizeof why) < 0 ? usage_error(state, why)
                                                                          : 0;
    case 'S':
        return set_assignment(state, argument);
    case OPTION_ECHO:
        return set_or_fail(state, "echo", "on");
    case OPTION_HELP_CONFIG:
        settings_print(state->input);
        exit(0);
    case ARGP_KEY_ARG:
        return usage_error(state, "there are no arguments, only options");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- shards on their threads ---- */

struct runner {
    pthread_t thread;
    struct launch *launch;
    unsigned index;
    int cpu;           /* -1: not pinned */
    char why[WHY_MAX]; /* empty: the shard was made */
};

struct launch {
    struct server server;
    atomic_uint serving;
    struct engine engine;
    struct certificates certificates;
    struct broker *broker;   /* NULL: this node is by itself */
    struct rtc_library *rtc; /* NULL: no WebRTC */
    struct ports ports;
    pthread_barrier_t step; /* all made · main has looked · all have stopped · so
                                              has the broker */
    bool failed;
    struct runner runners[HUB_SHARDS_MAX];
};

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t unix_s(void)
{
    return time(NULL);
}

static int pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static int make_shard(struct runner *runner)
{
    struct server *server = &runner->launch->server;
    struct shard **shard = &server->shards[runner->index];
    unsigned spare = runner->launch->ports.of[LISTENER_ADMIN].open ? ADMIN_SPARE : 0;
    const struct ring_config config = {
        .capacity =
            shard_connections((uint64_t)server->settings->max_connections, server->shard_count) +
            spare,
        .peers = server->addresses || server->log,
    };
    struct ring *ring;
    int err = runner->launch->engine.ring_create(&ring, &config, runner->why, sizeof runner->why);
    if (err < 0)
        return err;
    err = shard_create(shard, server, runner->index, ring, clock_ns(), runner->why,
                       sizeof runner->why);
    for (unsigned i = 0; i < RING_LISTENERS_MAX && err == 0; i++)
        if (runner->launch->ports.of[i].open)
            err = shard_listen(*shard, (enum listener)i,
                               runner->launch->ports.of[i].fds[runner->index]);
    if (err == 0 && runner->launch->ports.of[LISTENER_PLAIN].inherited)
        shard_succeed(*shard);
    for (unsigned i = 0; i < DATAGRAM_PORTS && err == 0; i++)
        if (runner->launch->ports.udp[i].open)
            err = shard_datagrams(*shard, (enum datagram_port)i,
                                  runner->launch->ports.udp[i].fds[runner->index]);
    return err;
}

static void *run_shard(void *context)
{
    struct runner *runner = context;
    struct launch *launch = runner->launch;
    int err = runner->cpu >= 0 ? pin(runner->cpu) : 0;
    if (err < 0)
        snprintf(runner->why, sizeof runner->why,
                 "cpus: core %d cannot be used: %s; `nproc` and taskset show which can",
                 runner->cpu, strerror(-err));
    else
        err = make_shard(runner);
    if (err < 0 && runner->why[0] == '\0')
        snprintf(runner->why, sizeof runner->why, "shard %u: %s", runner->index, strerror(-err));
    pthread_barrier_wait(&launch->step);
    pthread_barrier_wait(&launch->step);
    if (!launch->failed)
        shard_run(launch->server.shards[runner->index]);
    pthread_barrier_wait(&launch->step);
    pthread_barrier_wait(&launch->step);
    shard_free(launch->server.shards[runner->index]);
    return NULL;
}

static int launch_shards(struct launch *launch, const int *cpus, int cpu_count)
{
    unsigned count = launch->server.shard_count;
    atomic_init(&launch->serving, count);
    launch->server.serving = &launch->serving;
    pthread_barrier_init(&launch->step, NULL, count + 1);
    for (unsigned i = 0; i < count; i++) {
        struct runner *runner = &launch->runners[i];
        runner->launch = launch;
        runner->index = i;
        runner->cpu = (int)i < cpu_count ? cpus[i] : -1;
        int err = pthread_create(&runner->thread, NULL, run_shard, runner);
        assert(err == 0);
    }
    pthread_barrier_wait(&launch->step);
    for (unsigned i = 0; i < count; i++) {
        if (launch->runners[i].why[0] == '\0')
            continue;
        fprintf(stderr, "ringside-server: %s\n", launch->runners[i].why);
        launch->failed = true;
        break;
    }
    return launch->failed ? -1 : 0;
}

/* Helpers hear what shards said last, and may wake each as long as none is freed. */
static void join_shards(struct launch *launch)
{
    pthread_barrier_wait(&launch->step);
    cluster_end(launch->broker, &launch->server);
    log_end(launch->server.log);
    pthread_barrier_wait(&launch->step);
    for (unsigned i = 0; i < launch->server.shard_count; i++)
        pthread_join(launch->runners[i].thread, NULL);
    pthread_barrier_destroy(&launch->step);
}

/* ---- start and end ---- */

static uint64_t seed_draw(void)
{
    uint64_t seed;
    return getrandom(&seed, sizeof seed, 0) == sizeof seed ? seed : (uint64_t)clock_ns();
}

/* What cannot be guessed needs what the kernel knows, and nothing else. */
static bool session_key_draw(struct server *server)
{
    server->node = seed_draw();
    return getrandom(server->session_key, sizeof server->session_key, 0) ==
           sizeof server->session_key;
}

static int fail(const char *why)
{
    fprintf(stderr, "ringside-server: %s\n", why);
    return 1;
}

static void announce(const struct launch *launch)
{
    printf("ringside-server listens on ");
    ports_announce(&launch->ports);
    printf(" with %u shard%s, for up to %" PRId64 " connections\n", launch->server.shard_count,
           launch->server.shard_count == 1 ? "" : "s", launch->server.settings->max_connections);
    engine_announce(&launch->engine);
    cluster_announce(launch->broker, &launch->server);
    machine_announce();
    if (!launch->server.addresses && ports_open_to_others(&launch->ports))
        printf("nothing is limited by address: where strangers connect, set "
               "address_connections_max, address_connects_per_s, address_requests_per_s and "
               "address_publishes_per_s\n");
    const struct auth *auth = launch->server.auth;
    if (auth_token_keys(auth) + auth_api_keys(auth) == 0 && ports_open_to_others(&launch->ports))
        printf("nobody is asked for a name: where strangers connect, set token_keys and api_keys, "
               "and what each namespace allows; docs/TOKENS.md says how\n");
    fflush(stdout);
    log_server(launch->server.log, LOG_START, build_version);
}

static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGUSR2);
    sigaddset(ret, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* A child has ended, or the predecessor. The kernel may have its sockets for a moment more, and
 * they count. */
static void family_changed(const struct launch *launch)
{
    successor_reap();
    if (!successor_is_left())
        return;
    sleep(1);
    ports_take_all(&launch->ports, launch->server.shard_count);
}

/* Until SIGINT or SIGTERM. A second one ends the process at once. Returns who sent it. */
static pid_t wait_for_end(sigset_t *signals, const struct launch *launch)
{
    siginfo_t info;
    int signal;
    family_changed(launch); /* before its signal was blocked, nobody was told */
    while ((signal = sigwaitinfo(signals, &info)) != SIGINT && signal != SIGTERM) {
        if (signal == SIGHUP)
            reload(&launch->server);
        else if (signal == SIGUSR2)
            successor_start(&launch->ports, launch->server.shard_count);
        else if (signal == SIGCHLD)
            family_changed(launch);
    }
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    return info.si_pid;
}

/* Both signals drain. Sockets that a successor, or systemd, goes on with stay as they are. */
static void run_until_end(struct launch *launch, sigset_t *signals)
{
    struct server *server = &launch->server;
    bool handed_over = successor_takes_over(wait_for_end(signals, launch));
    log_server(server->log, handed_over ? LOG_HAND_OVER : LOG_DRAIN, "");
    kafka_leave(server->kafka);
    for (unsigned i = 0; i < server->shard_count; i++) {
        for (unsigned at = 0; at < RING_LISTENERS_MAX; at++)
            if (handed_over || launch->ports.of[at].kept)
                shard_keep(server->shards[i], at);
        if (handed_over)
            shard_keep(server->shards[i], KEPT_DATAGRAMS);
        shard_stop(server->shards[i]);
    }
}

static void speak_http3(struct server *server, struct ports *ports)
{
    if (!server->settings->http3 || !server->tls)
        return;
    struct quic_library *library = quic_library_create();
    assert(library);
    if (ports->udp[DATAGRAM_QUIC].joins)
        quic_library_tag_apart(library, ports->predecessor_tag);
    ports->tag = quic_library_tag(library);
    server->quic = library;
    server->datagrams[DATAGRAM_QUIC] = &quic_datagrams;
}

/* Behind ports_open: the answers of a shard tell its port. */
static int rtc_make(struct launch *launch, char *why, size_t why_size)
{
    struct server *server = &launch->server;
    int err = turn_create(&server->turn, server->settings, why, why_size);
    if (err < 0 || !launch->ports.udp[DATAGRAM_RTC].open)
        return err;
    err = rtc_library_create(&launch->rtc, server->settings, why, why_size);
    for (unsigned i = 0; err == 0 && i < server->shard_count; i++)
        rtc_library_port(launch->rtc, i, launch->ports.udp[DATAGRAM_RTC].numbers[i]);
    server->rtc = launch->rtc;
    server->datagrams[DATAGRAM_RTC] = err == 0 ? &rtc_datagrams : NULL;
    return err;
}

static int serve(struct launch *launch, const int *cpus, int cpu_count)
{
    struct server *server = &launch->server;
    char why[WHY_MAX];
    sigset_t signals;
    block_signals(&signals);
    if (!session_key_draw(server))
        return fail("getrandom: the kernel gives no random bytes");
    if (successor_inherit(&launch->ports, server->settings, why, sizeof why) < 0)
        return fail(why);
    speak_http3(server, &launch->ports);
    if (ports_open(&launch->ports, server->settings, server->shard_count, why, sizeof why) < 0)
        return fail(why);
    if (rtc_make(launch, why, sizeof why) < 0)
        return fail(why);
    char alt_svc[ALT_SVC_MAX];
    server->alt_svc = ports_alt_svc(&launch->ports, alt_svc);
    int err = launch_shards(launch, cpus, cpu_count);
    if (err == 0)
        err = cluster_start(launch->broker, server);
    if (err == 0)
        err = couriers_start(server, launch->broker ? 1 : 0);
    if (err == 0)
        err = log_start(server->log);
    if (err == 0 && (err = ports_take_over(&launch->ports, server->shard_count, why, sizeof why)))
        fail(why);
    launch->failed = err < 0;
    if (err == 0)
        announce(launch);
    pthread_barrier_wait(&launch->step);
    if (err == 0) {
        successor_ready();
        run_until_end(launch, &signals);
    }
    join_shards(launch);
    ports_close(&launch->ports, server->shard_count);
    return err == 0 ? 0 : 1;
}

static void read_options(int argc, char **argv, struct settings *settings)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "\ngen-config\ncheck-config\nhealth\ngen-token --key KEY",
        .doc = documentation,
    };
    successor_prepare(argv);
    settings_default(settings);
    argp_err_exit_status = 1;
    argp_program_version_hook = print_version;
    argp_parse(&argp, argc, argv, 0, NULL, settings);
}

static void release(struct launch *launch)
{
    http2_library_free((struct http2_library *)(uintptr_t)launch->server.http2);
    quic_library_free((struct quic_library *)(uintptr_t)launch->server.quic);
    rtc_library_free(launch->rtc);
    turn_free(launch->server.turn);
    kafka_free(launch->server.kafka);
    broker_free(launch->broker);
    couriers_free(&launch->server);
    hub_set_free(launch->server.hubs);
    log_free(launch->server.log);
    free(launch->server.shards);
    certificates_done(&launch->certificates);
}

static struct hub_set *hubs_make(const struct launch *launch, const struct settings *settings)
{
    return cluster_hubs(settings, launch->broker, launch->server.kafka,
                        couriers_count(&launch->server), couriers_witness(&launch->server),
                        seed_draw());
}

int main(int argc, char **argv)
{
    static struct settings settings;
    static struct launch launch;
    char why[WHY_MAX];
    int cpus[CPUS_MAX];

    enum command command = command_take(&argc, argv);
    if (command == COMMAND_GEN_TOKEN)
        return command_gen_token(argc, argv);
    read_options(argc, argv, &settings);
    if (command != COMMAND_SERVE)
        return command_run(command, &settings);
    if (engine_choose(&launch.engine, settings.engine, why, sizeof why) < 0 ||
        ports_read(&launch.ports, &settings, why, sizeof why) < 0)
        return fail(why);
    int cpu_count = sizes_choose(&settings, &launch.engine, cpus, why, sizeof why);
    if (cpu_count < 0)
        return fail(why);
    static struct origins *origins; /* of a start that fails the process frees what it has */
    if (settings_check(&settings, why, sizeof why) < 0 ||
        certificates_init(&launch.certificates, &settings, why, sizeof why) < 0 ||
        origins_create(&origins, settings.allowed_origins, why, sizeof why) < 0)
        return fail(why);
    static struct addresses *addresses;
    const uint64_t seed[] = {seed_draw(), seed_draw()};
    static struct trusted trusted;
    static struct auth *auth;
    if (clients_table(&addresses, &settings, seed) < 0)
        return fail("addresses_max: memory is out; lower it");
    if (trusted_read(&trusted, settings.trusted_proxies, why, sizeof why) < 0 ||
        auth_create(&auth, &settings, why, sizeof why) < 0 ||
        cluster_create(&launch.broker, &launch.server, &settings, seed_draw(), why, sizeof why) <
            0 ||
        log_create(&launch.server.log, &settings, why, sizeof why) < 0)
        return fail(why);
    launch.server = (struct server){
        .settings = &settings,
        .transports = server_transports,
        .unix_s = unix_s,
        .batch_begin = encoder_begin,
        .batch_done = encoder_release,
        .batch_end = encoder_done,
        .sessions_end = sessions_end,
        .answers_turn = answering_turn,
        .routes = server_routes,
        .tls = launch.certificates.server,
        .identities = launch.certificates.identities,
        .http2 = settings.http2 ? http2_library_create() : NULL,
        .origins = origins,
        .addresses = addresses,
        .trusted = &trusted,
        .auth = auth,
        .broker = launch.broker,
        .log = launch.server.log,
        .couriers = {launch.server.couriers[0], launch.server.couriers[1]},
        .kafka = launch.server.kafka,
        .hubs = hubs_make(&launch, &settings),
        .shards = calloc((size_t)settings.shards, sizeof(struct shard *)),
        .shard_count = (unsigned)settings.shards,
        .seed = seed_draw(),
    };
    assert(launch.server.hubs && launch.server.shards && (launch.server.http2 || !settings.http2));
    int code = serve(&launch, cpus, cpu_count);
    release(&launch);
    origins_free(origins);
    addresses_free(addresses);
    auth_free(auth);
    return code;
}
