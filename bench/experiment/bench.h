/* bench: one run of one experiment: its options, the servers that it started, the load, the result.
 *
 *     main ─► bench_init ─► experiment->run ─┬► bench_server_start, bench_bare_start
 *                                            ├► field_open ─► field_rounds ─► field_close
 *                                            └► result, table
 *          ─► bench_finish                      (servers ended and checked, files written)
 *
 * Threads  one. A signal only sets a flag, which the load looks at.
 * Memory   bench_init to bench_done. Servers stay where they are.
 * Bounds   BENCH_SERVERS_MAX, BENCH_PATHS_MAX. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "experiment/options.h"
#include "experiment/way.h"
#include "load/load.h"
#include "measure/process.h"
#include "output/files.h"
#include "output/result.h"

enum {
    BENCH_SERVERS_MAX = 16,
    BENCH_PATHS_MAX = 16,
    BENCH_WHY_MAX = 512,
    BENCH_PATH_MAX = 4096,
    /* What a server is started for beyond its subscribers: one in so many, and so many: publishers,
     * health checks, and what an uneven spread asks for. */
    BENCH_CONNECTIONS_SHARE = 8,
    BENCH_CONNECTIONS_SLACK = 1024,
    /* Both ends of a connection: two sockets of 3.7 KB with a poll each, and slack. */
    BENCH_BYTES_PER_CONNECTION = 10 * 1024,
    BENCH_BYTES_QUIC = 140 * 1024, /* and over QUIC: mostly pools of ngtcp2, at both ends */
    /* The server's end alone: 4,175 bytes of the kernel's, 88 of the server's, and 76 of a client's
     * that has no socket. */
    BENCH_BYTES_SOCKETLESS = 4400,
};

struct server {
    struct process process;
    struct sockaddr_in address;
    struct sockaddr_in tls_address; /* family 0: it has no TLS */
    int held_fds[2];                /* that hold the ports of a server of ours; -1: none */
    /* Where subscribers connect to: these addresses, or relays before them. */
    struct sockaddr_in reach, tls_reach;
    unsigned cpus;       /* that it was given; 0: not ours to know */
    const char *ready;   /* path that answers 200 when it is; NULL: it accepts connections */
    bool peer;           /* not ours: has workers, and may die of the SIGTERM that ends it */
    bool beside_clients; /* it is on their CPUs */
};

/* A relay that puts a round-trip time in front of a server (bench/relay): of its plain port, or of
 * the one for TLS, whose records it carries as they are. */
struct path {
    struct process process;
    struct sockaddr_in address;
    int held_fd; /* holds its port */
    uint32_t rtt_ms;
    bool tls;
};

/* What rates are taken from. */
struct watch_reading {
    int64_t now_ns;
    uint64_t deliveries;
    int64_t server_cpu_ns, client_cpu_ns;
    uint32_t connections;
};

/* What the terminal and the timeline are told. */
struct watch {
    enum options_show show;
    const char *phase;
    char contestant[RESULT_NAME_MAX], detail[RESULT_NAME_MAX];
    unsigned turns_ahead, turns_done; /* in the whole run; ahead 0: unknown */
    int64_t turns_since_ns;
    int64_t rest_ns; /* how long the run goes on from then; 0: unknown */
    int64_t rest_since_ns;
    int64_t phase_since_ns;
    int64_t phase_ns; /* how long it lasts; 0: unknown */
    int64_t sampled_ns;
    uint64_t deliveries;
    int64_t server_cpu_ns;
    int64_t client_cpu_ns;
    int64_t sample_every_ns;
    struct witness *witness; /* whose latency the samples have; NULL: nobody's */
    uint64_t memory_least;   /* the load is ended when less is available; 0: never */
    bool memory_low;         /* it was */
    uint64_t tcp_pages_most; /* that were seen; whoever wants to know sets it to 0 before */
};

struct bench {
    const struct options *options;
    struct result result;
    struct files files;
    struct watch watch;
    struct server servers[BENCH_SERVERS_MAX];
    unsigned server_count;
    struct path paths[BENCH_PATHS_MAX];
    unsigned path_count;
    struct phantom *phantom; /* of clients without sockets; NULL: they have some */
    struct load *load;       /* while there is one */
    unsigned group_count;
    struct certificate certificate; /* with --tls */
    struct tls_trust *trust;
    /* Of those that offer any curve, and P-256 alone; that say nothing by ALPN, and what they
     * speak. */
    struct tls_client *tls_clients[2][2][TLS_CIPHER_COUNT];
    char folder[BENCH_PATH_MAX]; /* of this program */
    bool beside_clients; /* what a server has besides its shards goes to the clients' CPUs */
};

struct experiment {
    const char *name;
    struct options_use use;
    void (*defaults)(struct options *options);
    /* Defaults that depend on what is on the command line; NULL: none. */
    void (*settle)(struct options *options);
    /* Returns 0, or negative errno after a sentence on standard error; -EINTR when interrupted. */
    int (*run)(struct bench *bench);
};

/* One for each name of BENCH_EXPERIMENTS, which bench/meson.build makes of its list. */
#define EXPERIMENT_DECLARED(name) extern const struct experiment experiment_##name;
BENCH_EXPERIMENTS(EXPERIMENT_DECLARED)
#undef EXPERIMENT_DECLARED

/* Set by SIGINT and SIGTERM. */
bool bench_interrupted(void);

/* One sentence on standard error; returns `err`. */
__attribute__((format(printf, 2, 3))) int bench_fail(int err, const char *format, ...);

/* ---- servers ---- */

/* Starts ringside-server for so many connections, or takes the one at --address. `extra` are
 * further settings, ended by NULL; or NULL. Returns 0 or negative errno. */
int bench_server_start(struct bench *bench, uint32_t connections, const char *const *extra,
                       struct server **ret);

/* Ends a server and starts it anew, at the same address, as it was started. Returns 0 or negative
 * errno, after a sentence. */
int bench_server_restart(struct bench *bench, struct server *server);

/* Starts one bare loop on the server's CPUs. */
int bench_bare_start(struct bench *bench, enum bare_loop loop, uint32_t connections,
                     struct server **ret);

/* Starts a relay in front of a port of a server, for so many connections, with --jitter-ms. Returns
 * 0 and where it listens, or negative errno. */
int bench_path_start(struct bench *bench, const struct server *server, bool tls, uint32_t rtt_ms,
                     uint32_t connections, struct sockaddr_in *ret);

/* Ends a relay, and notes in the result how exact it was. Returns 0 or -EIO. */
int bench_path_stop(struct bench *bench, struct path *path);

/* For servers that are not ours. A place of the table with a free address of 127.0.0.1; NULL after
 * a sentence. */
struct server *bench_server_place(struct bench *bench, char *address, size_t size);

/* Chooses its tls_address, and makes the certificate if it is not there. */
int bench_server_tls_place(struct bench *bench, struct server *server);

/* Likewise one that listens at an address of the caller's; nothing holds its port. */
struct server *bench_server_at(struct bench *bench, const struct sockaddr_in *address);

/* The ringside-server that is to be started: that of --server, or beside this program. NULL after a
 * sentence. */
const char *bench_server_program(const struct bench *bench, char path[BENCH_PATH_MAX]);

/* Pins and starts argv, which listens on server->address, and waits until it is ready. */
int bench_server_launch(struct bench *bench, struct server *server, const char *name,
                        char *const argv[], uint32_t connections);

/* Takes the server that listens on server->address, without workers that it may have. */
int bench_server_adopt(struct bench *bench, struct server *server, const char *name,
                       uint32_t connections);

/* Whether a bare loop can have so many connections: two of three need a descriptor for each. */
bool bench_bare_fits(enum bare_loop loop, uint32_t connections);

/* Ends a server and says so when it did not leave with status 0. Returns 0 or -EIO. */
int bench_server_stop(struct server *server);

/* Ends the server that was started last, so that the next one can have its place; NULL: there is
 * none. Returns `err`, or without one that of bench_server_stop. */
int bench_server_end(struct bench *bench, struct server *server, int err);

/* Refuses, with a sentence, what the memory of this machine cannot hold: both ends of all
 * connections, or the server's alone; `over_quic` of them have more. Waits for memory that is
 * coming back. Returns 0 or -ENOMEM. */
int bench_memory_check(const struct bench *bench, uint64_t connections, uint64_t over_quic);

/* ---- watch ---- */

/* Before the bench is pinned. */
void watch_init(struct bench *bench);

/* Says what comes next; `contestant` and `detail` may be NULL. */
void watch_phase(struct bench *bench, const char *phase, const char *contestant,
                 const char *detail);

/* How long the phase that has begun will last. */
void watch_lasts(struct bench *bench, int64_t duration_ns);

/* How long the rest of the run will last, but for ramps; for one whose turns differ in length. */
void watch_rest(struct bench *bench, int64_t duration_ns);

/* So many turns more are ahead of the run: what is left is told by those that are done. */
void watch_turns(struct bench *bench, unsigned count);

/* A turn of the clock is over. It is listed under `name`, unless that is NULL, with the workload
 * and the ratio of its contestant, if there is one yet. */
void watch_turn(struct bench *bench, const char *name, const struct turn *turn,
                const struct contestant *contestant);

/* How often watch_progress is to be called. */
uint32_t watch_period_ms(const struct bench *bench);

/* Called by the load: takes a sample each second, and shows what is new. False: interrupted, or
 * less memory is left than watch.memory_least. */
bool watch_progress(void *bench, struct load *load);
