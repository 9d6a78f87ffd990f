/* result: what a run has measured, before it becomes a table, run.json and a report.
 *
 *   struct result ── contestants ── turns          raw figures, one per turn of the clock
 *                 └─ timeline ── samples
 *
 * Idea     An experiment fills this in; the files of output/ read it. It is what was
 *          counted and read; rates, ratios and verdicts are made of it by bench/report.
 * Threads  one.
 * Memory   result_init to result_done; contestants stay where they are once added.
 * Bounds   RESULT_CONTESTANTS_MAX; turns and samples grow. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/histogram.h"
#include "load/load.h"
#include "measure/slab.h"
#include "measure/strain.h"

enum {
    RESULT_SOURCE_MAX = 64,
    RESULT_CONTESTANTS_MAX = 256,
    RESULT_NAME_MAX = 48,
    RESULT_VERSION_MAX = 128,
};

enum contestant_kind {
    KIND_TRANSPORT,
    KIND_CEILING,
    KIND_PEER,
};

/* Which side set the limit. */
enum saturated {
    SATURATED_NEITHER,
    SATURATED_SERVER,
    SATURATED_CLIENT,
    SATURATED_BOTH,
};

/* Of clients without sockets; all zero: there are none. Those of the server come in. */
struct segments {
    uint64_t in, out;
    uint64_t needless; /* of `in`: held only what had come before */
};

struct turn {
    unsigned round;
    double start_s;
    int64_t server_cpu_ns; /* what the server is charged with */
    struct load_turn load;
    struct strain strain;
    struct segments segments;
    uint64_t p50_ns, p99_ns, p999_ns; /* corrected, of an open loop; 0: not measured */
};

struct memory_growth {
    bool known;
    int64_t user_bytes;
    int64_t peak_bytes; /* likewise, of the most that it ever had; 0: unknown */
    bool kernel_known;
    bool one_end;     /* the clients' ends are not the kernel's */
    struct slab slab; /* growth by cache */
};

/* Of a contestant over TLS. */
struct tls_figures {
    char cipher[32];                /* empty: it is plain */
    uint64_t full, resumed;         /* handshakes */
    const struct contestant *plain; /* the same without TLS in the same workload; NULL: none */
};

struct contestant {
    char name[RESULT_NAME_MAX];
    char workload[RESULT_NAME_MAX];   /* empty: there is one */
    const struct contestant *ceiling; /* ratios are taken to it; NULL: none */
    enum contestant_kind kind;
    char version[RESULT_VERSION_MAX]; /* of a peer; empty: not known */
    uint32_t connections;
    uint32_t subscribers; /* on them; 0: one on each */
    uint32_t payload_bytes;
    unsigned server_cpus; /* that it was given; 0: unknown, then shares are unknown */

    struct turn *turns;
    struct histogram *corrected; /* of all turns; NULL: none */
    struct histogram *uncorrected;
    unsigned turn_count;

    /* Which of the following were measured. */
    bool has_ledger;
    bool has_requests;
    bool has_connect;
    struct load_ledger ledger;
    uint64_t requests_sent, requests_answered, requests_empty;
    struct load_ramp_result connect;
    struct memory_growth *memory; /* NULL: not measured */
    struct tls_figures tls;
    json_t *figures;     /* what only its experiment measures, as run.json has it; NULL: nothing */
    uint64_t own_faults; /* of these: messages that were doubled, out of order or corrupt */

    uint64_t errors[LOAD_FAIL_COUNT];
    json_t *counters; /* growth of the kernel's and the server's own counters; NULL: not read */
    uint64_t closes;  /* connections that the server ended without being asked */
    json_t *notes;    /* list of text; NULL: none */
};

struct sample {
    double t_s;
    const char *phase;
    char contestant[RESULT_NAME_MAX];
    uint32_t connections;
    bool only_connections; /* the following were not measured */
    double deliveries_per_s;
    double server_cpu, client_cpu;
    uint64_t rss_bytes, slab_bytes; /* 0: unknown */
    uint64_t p50_ns, p99_ns;        /* 0: not measured */
};

struct result {
    const char *experiment;
    char *command;
    time_t started_at;
    int64_t started_ns;
    double duration_s;
    bool interrupted;
    char server_source[RESULT_SOURCE_MAX]; /* what ringside-server was built from; empty: unknown */
    json_t *settings;
    json_t *machine;
    json_t *notes;
    struct contestant *contestants[RESULT_CONTESTANTS_MAX];
    unsigned contestant_count;
    struct sample *samples;
    unsigned sample_count;
};

void result_init(struct result *result, const char *experiment);
void result_done(struct result *result);

struct contestant *result_add(struct result *result, const char *name, const char *workload,
                              enum contestant_kind kind);
void result_sample(struct result *result, const struct sample *sample);
/* A note that is there already is not said twice. */
__attribute__((format(printf, 2, 3))) void result_note(struct result *result, const char *format,
                                                       ...);
void contestant_turn(struct contestant *contestant, const struct turn *turn);
__attribute__((format(printf, 2, 3))) void contestant_note(struct contestant *contestant,
                                                           const char *format, ...);

/* Gives it a figure of its experiment's own; takes the reference. */
void contestant_figure(struct contestant *contestant, const char *name, json_t *figure);
/* Forgets the turns with their latency and ledger: they were a try that did not count. */
void contestant_forget_turns(struct contestant *contestant);

/* Adds what the clients saw since `before` to the ledger. */
void contestant_ledger(struct contestant *contestant, const struct load_ledger *before,
                       const struct load_ledger *after);

/* ---- which side was the limit, of a turn ---- */

/* What a side did with the CPUs that it was given, as shares of their time. */
struct usage {
    double used;    /* of a pinned server: its CPUs were not idle; else user and system */
    double waited;  /* it could have run, and another program did; negative: unknown */
    double steal;   /* another machine on the host had the CPU; negative: unknown */
    double softirq; /* the kernel, for whoever; negative: unknown */
    double others;  /* of what a server used: not its threads, nor ksoftirqd; negative: unknown */
};

struct usage turn_server_usage(const struct turn *turn, unsigned cpus);
struct usage turn_client_usage(const struct turn *turn);

/* How much of its CPUs a side asked for, 1 at most: used and stolen, and waited for where that is
 * not in the time that was used. */
double usage_asked(const struct usage *usage);

/* Which side set the limit: the one that asked for all of its CPUs. */
enum saturated saturated_by(const struct usage *server, const struct usage *client);
const char *saturated_name(enum saturated side);
/* At a rate it is judged over the bursts of messages, in between which both sides idle. */
enum saturated turn_saturated(const struct turn *turn, unsigned cpus);
/* Lost, duplicate, out of order and corrupt, over all contestants; connections ended unasked. */
uint64_t result_ledger_faults(const struct result *result);
uint64_t result_closes(const struct result *result);

/* The contestant of that name and workload, or NULL. */
const struct contestant *result_find(const struct result *result, const char *name,
                                     const char *workload);
