/* field: contestants that are all connected at once and get the clock in turns.
 *
 *     round 0        A₁ B₁ C₁  A₈ B₈ C₈          (a turn each, for every workload)
 *     round 1        A₁ B₁ C₁  A₈ B₈ C₈
 *      …             └──────┘ what a ratio is taken from: neighbours in time
 *
 * Idea     A machine that is not ours alone changes its speed from minute to minute, and seldom
 *          from second to second. Figures of one round have the same weather; their quotient does
 *          not know it.
 * Threads  one.
 * Memory   in place; names point to constants.
 * Bounds   FIELD_ENTRANTS_MAX, FIELD_WORKLOADS_MAX. */
#pragma once

#include <assert.h>

#include "experiment/bench.h"

enum {
    FIELD_ENTRANTS_MAX = 32,
    FIELD_WORKLOADS_MAX = 8,
};

static_assert(FIELD_ENTRANTS_MAX * FIELD_WORKLOADS_MAX <= RESULT_CONTESTANTS_MAX,
              "each entrant is a contestant in each workload");

/* One group of the load, and the server that it is connected to. */
struct entrant {
    const char *name;
    enum contestant_kind kind;
    const struct protocol *transport;
    const struct protocol *publish;
    struct server *server;
    struct sockaddr_in reach; /* where its subscribers connect: the server, or a relay before it */
    struct sockaddr_in
        publish_at; /* where its publisher does: beside the server, if not said else */
    const struct tls_client *tls;         /* NULL: plain */
    const struct tls_client *publish_tls; /* the publisher has TLS where its subscribers do */
    enum tls_cipher cipher;
    enum load_resume resume;
    struct entrant *plain; /* the same without TLS, to compare with; NULL: there is none */
    uint32_t rtt_ms;       /* of the network before links over UDP */
    uint32_t clients;
    /* Of several servers that share their channels, as load_group_config has them. */
    const struct sockaddr_in *targets;
    unsigned target_count, publish_to;
    uint32_t channels;
    bool certain;
    char channel[RESULT_NAME_MAX];
    const struct stream *stream;          /* where it differs from the options; NULL: nowhere */
    const struct load_protocol *protocol; /* of a peer; NULL: our own */
    const char *version;                  /* likewise */

    struct load_ramp_result ramp;
    struct memory_growth *memory; /* of the ramp; given to the first contestant made of it */
    bool memory_given;
    uint64_t rss_before; /* of its server, before the ramp */
    uint64_t failures_taken[LOAD_FAIL_COUNT], closes_taken[LOAD_FAIL_COUNT];
    uint64_t tls_full_taken, tls_resumed_taken;
};

struct workload {
    char name[RESULT_NAME_MAX];
    struct load_mode mode;
};

struct field {
    struct bench *bench;
    struct entrant entrants[FIELD_ENTRANTS_MAX];
    unsigned count;
    struct load *load;
    struct in_addr from; /* load_config.first_address */
    uint32_t from_count;
    bool anew;          /* load_group_config.anew, of all */
    bool memory_unread; /* connects without looking at memory, which takes its time */
    int64_t drain_ns;   /* how long a turn waits for its last message to reach everybody; 0: what so
                         many clients ask for */
};

void field_init(struct field *field, struct bench *bench);

/* Adds a transport of `server`, or a bare loop; what else an entrant has is set by the caller.
 * Nothing connects before field_open. */
struct entrant *field_add(struct field *field, const char *name, enum contestant_kind kind,
                          const struct protocol *transport, struct server *server,
                          uint32_t clients);

/* Adds the way of a transport. Returns 0 or negative errno, after a sentence. */
int field_add_way(struct field *field, const struct way *way, struct server *server,
                  uint32_t clients);

/* Starts a server, and adds all ways to it that the options ask for, with so many clients each;
 * likewise. */
int field_serve_ways(struct field *field, uint32_t clients);

/* Makes the load for all entrants and connects nobody: for experiments that open connections in
 * their own way. Refuses what does not fit into memory. */
int field_create(struct field *field);

/* Connects one entrant, with its time and its memory. Returns 0 or negative errno, after a
 * sentence. */
int field_ramp(struct field *field, unsigned index);

/* How many connections so many subscribers of an entrant take. */
uint32_t field_links(const struct field *field, unsigned index, uint32_t subscribers);

/* field_create, then connects all, one entrant after the other, each with its time and its memory,
 * and settles them. Returns 0 or negative errno, after a sentence. */
int field_open(struct field *field);

/* Publishes until everybody who is connected has a place in the channel, from which on the ledger
 * counts. Part of field_open, and due again when some have come back. */
int field_settle(struct field *field, unsigned index);

/* Resets all connections and takes over what became of them. Accepts a field that is not open. */
void field_close(struct field *field);

/* A contestant for the entrant of that index under one workload, with all that the ramp has
 * measured. */
struct contestant *field_contestant(struct field *field, unsigned index, const char *workload);

/* Gives the contestant what went wrong for the entrant's clients since the last call; field_close
 * does it for the rest. `into` NULL: it was wanted. */
void field_failures(struct field *field, unsigned index, struct contestant *into);

/* Likewise the TLS handshakes alone; `into` NULL: they are nobody's. */
void field_handshakes(struct field *field, unsigned index, struct contestant *into);

/* One turn of the clock for one entrant; `into` NULL: not counted. Returns 0 or negative errno. */
int field_turn(struct field *field, unsigned index, const struct load_mode *mode,
               int64_t duration_ns, unsigned round, struct contestant *into);

/* The same for an experiment that judges the turn itself: its latencies are then load_latency and
 * load_latency_uncorrected of the load. Returns 0 or negative errno. */
int field_step(struct field *field, unsigned index, const struct load_mode *mode,
               int64_t duration_ns, unsigned round, struct turn *ret);

/* A turn in which its clients do nothing but connect and leave; likewise. */
int field_visits(struct field *field, unsigned index, int64_t duration_ns, unsigned round,
                 struct turn *ret);

/* Rounds of `count` turns each: those for warming up, and then those that are `counted`; both begin
 * with 0. Every other round runs backwards: who comes after whom may matter. Ends with the first
 * turn that does not return 0. */
int field_take_turns(struct field *field, unsigned count,
                     int (*turn)(void *context, unsigned at, unsigned round, bool counted),
                     void *context);

/* One of those turns, of --turn-ms, for the contestant of an entrant. */
int field_one_turn(struct field *field, unsigned index, const struct load_mode *mode,
                   struct contestant *contestant, unsigned round, bool counted);

/* Rounds of turns of all entrants in all workloads, after those for warming up. Contestants of kind
 * ceiling named `ceiling` are what the others of their workload are compared to. */
int field_rounds(struct field *field, const struct workload *workloads, unsigned workload_count,
                 const char *ceiling);

/* What ratios are taken to: the first bare loop that there is, by name; NULL when there is none. */
const char *field_ceiling(const struct field *field);

/* Subscribers, turns, depths and loops of a fan-out. */
void field_defaults(struct options *options);

/* Adds the loops of --against that can have so many connections; says which cannot. Returns 0 or
 * negative errno. */
int field_add_loops(struct field *field);

/* Opens the field, races it in the workloads of the options, and closes it. Returns 0 or negative
 * errno. */
int field_race(struct field *field);

/* The workloads of --depth and --rate, in that order. Returns how many. */
unsigned field_workloads(const struct options *options, struct workload *ret);
