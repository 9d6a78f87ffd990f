/* harm: what an attack cost the attacker, the server and the well-behaved.
 *
 * Threads  one.
 * Memory   harm_create to harm_free. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Bounds that an attack may break; the names of harm_broken. */
enum harm_bound {
    HARM_ALIVE,     /* the server has ended */
    HARM_MEMORY,    /* more than the row's bound */
    HARM_LATENCY,   /* the others' p99 */
    HARM_CLOSED,    /* some of the others were closed, or lost messages */
    HARM_NEWCOMERS, /* too few were served */
    HARM_RECOVERY,  /* memory or p99 were not back in time */
    HARM_UNNAMED,   /* the server has not ended it by the name that the row has */
    HARM_BOUNDS,
};

struct harm {
    const char *about; /* the attack's sentence */
    uint32_t connections;
    uint64_t visits, refused, ended; /* connections: made, not to be made, ended by the server */
    uint64_t sent, received;
    int64_t elapsed_ns, attacker_cpu_ns, attacker_waited_ns; /* waited: for a CPU */

    uint64_t rss_before, rss_peak, rss_after; /* of the server; 0: unknown */
    uint64_t bound_bytes;                     /* what rss_peak may be more than rss_before */
    uint64_t tcp_bytes;                       /* more than before, of all sockets */
    double cpu_calm, cpu_during;              /* of the server, in CPUs */

    uint64_t p50_before_ns, p99_before_ns, p50_ns, p99_ns, p50_after_ns, p99_after_ns;
    uint64_t closed; /* of the others */
    uint64_t lost, duplicate, out_of_order, corrupt;
    uint64_t newcomers, newcomers_served;
    int64_t newcomer_slowest_ns;

    int64_t recovered_ns; /* from the end of the attack; -1: not in the time that it was given */
    json_t *reasons;      /* "closed_head_timeout": how often, by the server's own counters */
    const char *ends_by;  /* which of these has to be among them; NULL: none has */
    char *said;           /* the last words of a server that has ended; NULL: it has not */
    bool broken[HARM_BOUNDS];
};

struct harm *harm_create(void);

/* Accepts NULL. */
void harm_free(struct harm *harm);

/* What it is measured by: the others' p99 after it, when the server is warm; or that before, where
 * that was the calmer one: a server that an attack has left slow is not measured by that. */
uint64_t harm_calm_p99_ns(const struct harm *harm);
/* How much memory grew at most. */
uint64_t harm_growth_bytes(const struct harm *harm);

/* The object of docs/RESULTS.md; a new reference. */
json_t *harm_json(const struct harm *harm);
