/* capacity_plan: how far a climb can go on this machine, computed before anything is opened.
 *
 * Idea     A bound is something that would end the climb badly: by swapping, by being killed, by
 *          tables that cannot be made. The climb stops at the least of them. Settings that only
 *          slow things down or lose messages (tcp_mem, the accept backlog) are no bounds but
 *          forecasts: meeting them is what the climb is for.
 * Threads  any.
 * Memory   in place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_TEXT_MAX = 256,
    PLAN_STEPS_MAX = 32,
    RAMP_IN_FLIGHT = 512, /* connects under way at one time: what the accept backlog must hold */
};

/* What the bounds are computed from. */
struct capacity_machine {
    uint64_t memory_available, memory_total; /* bytes; 0: unknown */
    uint64_t page_bytes;
    uint64_t tcp_mem[3];  /* pages */
    uint64_t tcp_pages;   /* in use */
    uint64_t files_max;   /* fs.file-max */
    uint64_t files_used;  /* fs.file-nr */
    bool files_exempt;    /* CAP_SYS_ADMIN: fs.file-max does not count */
    uint64_t nofile;      /* RLIMIT_NOFILE, hard */
    uint32_t table_slots; /* direct descriptors in one kernel ring under it; 0: there are none, and
                             each connection is a descriptor of both processes */
    uint64_t somaxconn;
    uint64_t sources;     /* pairs of source address and port */
    uint64_t clients_max; /* of the load generator */
};

void capacity_machine_read(struct capacity_machine *ret);

enum bound {
    BOUND_MEMORY,
    BOUND_FILES,
    BOUND_TABLES,
    BOUND_SOURCES,
    BOUND_CLIENTS,
    BOUND_COUNT,
};

struct capacity_bound {
    const char *name;
    uint64_t connections;
    char why[PLAN_TEXT_MAX];
    const char *remedy; /* what moves it; "{n}" stands for the number of connections wanted */
};

struct capacity_plan {
    struct capacity_bound bounds[BOUND_COUNT];
    enum bound least;
    uint64_t memory_reserve; /* bytes that are never touched */
    /* One message queued on so many connections is where the kernel starts to squeeze (the second
     * number of tcp_mem), and where nothing more is queued (the third). */
    uint64_t pressure_at, stall_at;
    bool backlog_short; /* somaxconn is below RAMP_IN_FLIGHT */
};

void capacity_plan_make(struct capacity_plan *ret, const struct capacity_machine *machine);

/* What is kept free of `total` bytes. */
uint64_t capacity_reserve(uint64_t total);

/* The counts of the steps, the last of them at `top`. Returns how many, or 0 when there would be
 * more than PLAN_STEPS_MAX. `factor` 0: `add` more each time. */
unsigned capacity_steps(uint32_t from, uint32_t top, double factor, uint32_t add,
                        uint32_t ret[PLAN_STEPS_MAX]);

/* A template with "{n}" replaced by the number. Returns `text`. */
const char *capacity_fill(char *text, size_t size, const char *template, uint64_t n);
