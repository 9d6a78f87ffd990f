/* simulation: hubs, scheduled in one thread by a seed, against a model that knows what is promised.
 *
 * The model keeps a reference to every message that was ever published. The home shard writes epoch
 * and offset into a message once, so the messages themselves are the reference order: (channel,
 * epoch, offset) names one message, and the offsets of an epoch have no gap. A reader's cursor that
 * only ever moves by one has then seen every message exactly once and in order.
 *
 * Threads  The test's. Memory  sim_open to sim_close. Bounds  The constants below. */
#pragma once

#include "core/message.h"
#include "hub/helper.h"
#include "hub/hub.h"
#include "hub/hub_internal.h"

enum {
    SIM_SHARDS = 4,
    SIM_HELPERS = 2,
    SIM_PARTIES = SIM_SHARDS + SIM_HELPERS,
    SIM_KEPT = 8,  /* calls that a participant answers later */
    SIM_CONNS = 6, /* per shard */
    SIM_CHANNELS = 8,
    SIM_SUBSCRIPTIONS = 24, /* per shard */
    SIM_MESSAGES = 20000,
    SIM_READS = 20000,
    SIM_ROUNDS = 100000, /* until rest */
};

enum reader_state {
    READER_NONE,
    READER_PENDING,
    READER_PARTED, /* has a part of its replay */
    READER_LIVE,
    READER_REFUSED,
};

/* A subscription, or a read, as its owner knows it. */
struct reader {
    enum reader_state state;
    uint32_t conn;
    uint32_t tag;
    unsigned channel;
    struct hub_since since;
    uint64_t epoch;
    uint64_t cursor; /* offset of the last message seen */
    unsigned given;  /* in the replay */
};

/* What was published, and whether its answer has come. */
struct publication {
    struct message *message;
    unsigned channel;
    bool answered;
};

/* What the seeds together have met: a bound that was never reached was not tested. */
struct coverage {
    uint64_t published, delivered, recovered, unrecoverable, lane_full, refused;
    uint64_t refused_late; /* by the home shard */
    uint64_t parts;        /* of replays in several parts */
    uint64_t mores;        /* of reads */
    uint64_t wakes;
    uint64_t starved; /* slept with something waiting for room */
    uint64_t kept_starts;
    uint64_t called, calls_refused, dropped;
    uint64_t rung; /* for helpers */
};

struct sim;

struct sim_shard {
    struct sim *sim;
    struct hub *hub;
    unsigned index;
    bool asleep;
    uint32_t chains[SIM_CONNS];
    struct reader readers[2 * SIM_SUBSCRIPTIONS]; /* by subscription */
};

/* What a participant has of calls. */
struct sim_party {
    struct sim *sim;
    struct helper *helper; /* NULL: a shard */
    bool asleep;           /* a helper */
    struct call *kept[SIM_KEPT];
    unsigned kept_count;
    unsigned asked[SIM_PARTIES], heard[SIM_PARTIES]; /* the number of the last one to, and from */
    unsigned answers[SIM_PARTIES], answered[SIM_PARTIES];
};

struct sim {
    struct hub_config config;
    struct hub_set *set;
    struct sim_shard shards[SIM_SHARDS];
    struct sim_party parties[SIM_PARTIES]; /* shards first */
    uint64_t calls_open;
    struct coverage *coverage;
    uint64_t random;
    int64_t now_ns;
    bool exact; /* only count and bytes bound the history: the model knows what is kept */
    bool calm;  /* callbacks do nothing of their own */

    struct publication publications[SIM_MESSAGES];
    uint32_t publications_count;
    struct reader reads[SIM_READS]; /* by tag */
    uint32_t reads_count;
    uint32_t tags;
};

struct sim *sim_open(uint64_t seed, struct coverage *coverage);
/* Frees all, in whatever state it is; asserts that no message is left over. */
void sim_close(struct sim *sim);

/* One random thing: a turn, a request, a step of time. */
void sim_step(struct sim *sim);
/* Turns all until all sleep, then checks that everything was answered and delivered. */
void sim_rest(struct sim *sim);
/* Ends all connections, lets all time pass, and checks that nothing is left. */
void sim_wind_down(struct sim *sim);

uint32_t sim_random(struct sim *sim, uint32_t below);
/* A random request on behalf of that shard. */
void sim_request(struct sim *sim, struct sim_shard *shard);
/* Asks for the next parts of what that shard's readers are replayed. */
void sim_resume(struct sim_shard *shard);
void sim_check_position(const struct sim_shard *shard, uint32_t subscription);
/* ---- sim_calls.c ---- */

void sim_open_helpers(struct sim *sim);
void sim_close_helpers(struct sim *sim);
/* A random call of that participant. */
void sim_ask(struct sim *sim, unsigned participant);
void sim_answer_kept(struct sim *sim, unsigned participant);
void sim_step_helper(struct sim *sim);
/* A round towards rest, and whether it is reached, for helpers and what anybody keeps. */
void sim_rest_helpers(struct sim *sim);
bool sim_helpers_rest(const struct sim *sim);

extern const struct hub_ops sim_ops;
size_t sim_name(unsigned channel, char name[4]);
