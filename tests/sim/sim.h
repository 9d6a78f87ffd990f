/* sim: whole shards over the fake kernel, with clients that behave as badly as clients do.
 *
 *   sim_main.c      the command line: which seeds
 *   sim_world.c     the server: settings drawn from the seed, shards; and one life of it
 *   sim_end.c       what must hold in the end
 *   sim_clock.c     the scheduler: whose turn it is, and how time passes
 *   client.c        a client's connection: comes, writes, reads, stalls, breaks off
 *   secure_link.c   TLS around that connection, in one of four seeds
 *   h2_link.c       HTTP/2 below several of them, in two of five seeds
 *   h2_road.c       the connection that they share
 *   h3_link.c       HTTP/3 below several of them, from seed 3,000 on
 *   h3_road.c       the connection of QUIC that they share, over a network that loses
 *   h3_session.c    sessions of WebTransport on it, their streams and datagrams
 *   carried.c       what both have of requests and answers
 *   client_ask.c    what clients ask for: requests, frames, nonsense
 *   client_read.c   what they are told: from bytes to answers, events and frames
 *   client_told.c   what those say, held against the ledger
 *   seat*.c         clients with sessions, in three of five seeds from 1,000 on: Centrifuge
 *   changes.c       what a client inflates, and what it applies to what it had
 *   ledger.c        the truth about messages, and the judge of every reader
 *
 * Idea     One seed decides everything: the settings, the kernel's liberties, who does what when.
 *          A breach ends the process with the seed, so that it can be run again under a debugger.
 * Threads  One, for all shards.
 * Clock    Virtual, in the net. A turn of a shard takes some microseconds of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/shard.h"
#include "hub/hub.h"
#include "ledger.h"
#include "ring_fake.h"

enum {
    SIM_SHARDS_MAX = 4,
    SIM_CLIENTS_MAX = 160,
    SIM_CHANNELS_MAX = 8,
    SIM_TALES = 3, /* channels behind these, that end */
};

#define SIM_MS INT64_C(1000000)
#define SIM_S  (1000 * SIM_MS)
/* The clock begins here: a server never sees a small one. */
#define SIM_START_NS (1000 * SIM_S)

struct client;
struct h2_road;
struct h3_road;
struct secure_world;

struct sim {
    uint64_t seed;
    uint64_t random;
    struct fake_net *net;
    struct ledger ledger;

    struct settings settings;
    struct server server;
    struct shard *shards[SIM_SHARDS_MAX];
    int listeners[SIM_SHARDS_MAX];
    struct secure_world *secure; /* NULL: no TLS */
    int secure_listeners[SIM_SHARDS_MAX];
    int64_t run_at_ns[SIM_SHARDS_MAX];     /* when the shard's wait ends by itself */
    int64_t busy_until_ns[SIM_SHARDS_MAX]; /* its last turn takes until then */
    uint64_t turns;

    struct h2_road *roads;      /* connections of HTTP/2 that clients share */
    struct h3_road *quic_roads; /* and those of QUIC */
    uint64_t addresses;         /* that such have had */
    struct client *clients;     /* client_count of them */
    unsigned client_count;
    unsigned channel_count;
    unsigned messages_max;
    unsigned trouble; /* how often a client breaks off, and half as often as it stalls: of 1000 */

    bool sessions; /* many clients speak the Centrifuge protocol */
    bool changes;  /* messages come deflated, or as what changed; readers begin with the latest;
                      there are tales */
    bool quic;     /* there is HTTP/3 */
    bool crowded;  /* few calls between shards may be under way: presence may be lost */
    bool starved;  /* the server finds no memory now and then */
    bool narrow;   /* some connections hold few bytes, and so are slow */
    bool calm;     /* no more trouble: clients behave, the kernel has no faults */
    int64_t calm_ns;
    bool draining; /* the server goes away */

    uint64_t herald_first; /* messages from this one on were sent after all was calm */

    struct sim_stats {
        uint64_t connections, published, delivered, recovered, lost, refused, resets, stalls;
        uint64_t unheralded;
        uint64_t failed;                  /* allocations */
        uint64_t by_session;              /* messages that came by it */
        uint64_t deltas, inflated;        /* that came so */
        uint64_t ends;                    /* that readers were told */
        uint64_t roads, streams, carried; /* of HTTP/2 and 3; and messages that came by them */
        uint64_t quic_roads, quic_open;   /* of QUIC; of these those whose handshake was done */
        uint64_t moves;                   /* to another address */
        uint64_t sessions, datagrams;     /* of WebTransport, and what came so */
    } stats;
};

uint64_t sim_random(struct sim *sim);
uint64_t sim_below(struct sim *sim, uint64_t bound);
/* Out of 1000. */
bool sim_chance(struct sim *sim, unsigned permille);
int64_t sim_now(const struct sim *sim);

/* A breach: says which, and ends the process. The message ends without a newline. */
_Noreturn void sim_breach(const struct sim *sim, const char *file, int line, const char *format,
                          ...) __attribute__((format(printf, 4, 5)));

#define sim_check(sim, condition, ...)                                                             \
    do {                                                                                           \
        if (!(condition))                                                                          \
            sim_breach((sim), __FILE__, __LINE__, __VA_ARGS__);                                    \
    } while (0)

/* One whole life: a server comes up, is used and abused, and goes. Returns a hash of all that
 * happened. */
uint64_t sim_run(uint64_t seed, bool verbose);

/* ---- sim_end.c ---- */

/* Trouble ends: whoever asked is answered, and whoever listens gets everything. */
void sim_end_trouble(struct sim *sim);
/* Everybody leaves, and the server holds nothing of them any more. */
void sim_end_visits(struct sim *sim);
/* The server goes away, and everybody is told. */
void sim_end_server(struct sim *sim);

/* ---- sim_clock.c ---- */

/* Where the simulation keeps something for itself inside a shard's turn: it always finds memory. */
void sim_keep(struct sim *sim, void (*keep)(struct sim *sim, const struct hub_batch *batch),
              const struct hub_batch *batch);

/* Runs until `acts` acts of clients have been done, or the time is over. */
void sim_play(struct sim *sim, uint64_t acts, int64_t until_ns);
