/* capacity_verdict: from what was seen to what broke, which setting moves it, and the command.
 *
 *     evidence ─► the first row of the table that it fits ─► one sentence
 *
 * Idea     The table is in the order of certainty: what the server or the kernel says by name comes
 *          first, what only fits (a CPU that had no time left) later, "nothing explains it" last.
 * Threads  any.
 * Memory   in place; the rows are constants. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "experiment/capacity_counters.h"
#include "load/load.h"

enum {
    VERDICT_TEXT_MAX = 1024,
};

/* Where in a step it broke. */
enum capacity_stage {
    STAGE_WHOLE, /* it did not */
    STAGE_RAMP,
    STAGE_HOLD,
    STAGE_BROADCAST,
};

/* What one step has shown. */
struct capacity_evidence {
    enum capacity_stage stage;
    const char *transport;
    uint32_t wanted, up; /* connections */
    double elapsed_s;    /* of the stage where it broke */
    double allowed_s;    /* the bound on the time of that stage */
    bool stalled;        /* the first message to all did not reach all in time */
    uint64_t missing;    /* deliveries of the broadcast that did not come */
    uint64_t ledger_faults;
    uint64_t closes; /* connections that were lost unasked */
    bool server_ended;
    bool publisher_down;               /* it could not connect, or lost its connection */
    bool memory_low;                   /* the reserve was touched */
    uint64_t memory_available;         /* bytes, when the step was over; 0: unknown */
    double server_share, client_share; /* of their CPUs, in that stage */
    uint64_t tcp_pages_most;           /* that TCP held at one time, sampled each second */
    struct capacity_counters growth;
    uint64_t failures[LOAD_FAIL_COUNT]; /* attempts and connections, by what the clients saw */
    uint32_t errors[LOAD_ERRNO_MAX];    /* failed connects, by errno */
};

struct capacity_cause {
    const char *name;
    bool (*fits)(const struct capacity_evidence *evidence);
    const char *says;    /* what broke */
    const char *setting; /* "net.…" is a sysctl, anything else is told as it is; NULL: none */
    const char *remedy;  /* "{n}" is the number of connections that was wanted */
    bool slows;          /* worth saying of a step that held, too */
};

/* The row that the evidence of a broken step fits. Never NULL: the last fits all. */
const struct capacity_cause *capacity_cause_of(const struct capacity_evidence *evidence);

/* The next row after `cause` that fits as well, but for the last; NULL: none. */
const struct capacity_cause *capacity_cause_next(const struct capacity_evidence *evidence,
                                                 const struct capacity_cause *cause);

/* The next row after `cause` (NULL: the first) that slowed a step that held; NULL: none. */
const struct capacity_cause *capacity_cause_slowed(const struct capacity_evidence *evidence,
                                                   const struct capacity_cause *cause);

/* Every row in order, for those who check them; NULL after the last. */
const struct capacity_cause *capacity_cause_at(unsigned index);

/* "At 320,000, the broadcast stalled: 1,204 had not got it after 60 s" */
void capacity_say_what(char text[VERDICT_TEXT_MAX], const struct capacity_evidence *evidence);

/* "EADDRNOTAVAIL" */
const char *verdict_errno_name(int err);

/* The counters, errnos and failures that are not 0, as "TCPMemoryPressures +312, …". */
void capacity_say_evidence(char text[VERDICT_TEXT_MAX], const struct capacity_evidence *evidence);
