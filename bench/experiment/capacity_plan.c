#include "experiment/capacity_plan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/ring.h"
#include "experiment/bench.h"
#include "load/sources.h"
#include "measure/fields.h"
#include "measure/memory.h"
#include "output/number.h"

enum {
    DESCRIPTORS_OWN = 64,   /* of a process, beside one for each kernel ring */
    SERVER_TABLE_SPARE = 8, /* the server leaves one slot in so many of a table free */
    SERVER_DESCRIPTORS_OWN = 16 + 72 * 2, /* server/engine.c, with a shard for each of two cores */
    FILES_BESIDE = 4096,                  /* for everybody else, while the climb goes on */
    RESERVE_SHARE = 16,                   /* of all memory */
};
static const uint64_t RESERVE_LEAST = UINT64_C(256) << 20;

/* ---- reading ---- */

/* fs.file-max is not asked of those who may administer the system (CAP_SYS_ADMIN). */
static bool may_administer(void)
{
    enum {
        CAP_SYS_ADMIN_BIT = 21
    };
    static const char name[] = "CapEff:";
    char line[256];
    unsigned long long effective = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, sizeof name - 1) == 0)
            effective = strtoull(line + sizeof name - 1, NULL, 16);
    if (file)
        fclose(file);
    return effective >> CAP_SYS_ADMIN_BIT & 1;
}

static uint64_t source_pairs(void)
{
    const struct load_group_config group = {.clients = 1};
    const struct load_config config = {.groups = &group, .group_count = 1};
    struct sources sources;
    return sources_init(&sources, &config, 0) == 0 ? sources_count(&sources) : 0;
}

void capacity_machine_read(struct capacity_machine *ret)
{
    struct ring_features features;
    char why[BENCH_WHY_MAX];
    struct rlimit limit = {.rlim_max = 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    *ret = (struct capacity_machine){
        .memory_available = memory_available_bytes(),
        .memory_total = memory_total_bytes(),
        .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE),
        .files_max = fields_read_number("/proc/sys/fs/file-max", 0, UINT64_MAX),
        .files_used = fields_read_number("/proc/sys/fs/file-nr", 0, 0),
        .files_exempt = may_administer(),
        .tcp_pages = memory_tcp_pages(),
        .nofile = limit.rlim_max,
        .table_slots = ring_probe(&features, why, sizeof why) == 0 && features.direct
                           ? features.table_slots
                           : 0,
        .somaxconn = fields_read_number("/proc/sys/net/core/somaxconn", 0, UINT64_MAX),
        .sources = source_pairs(),
        .clients_max = OPTIONS_CLIENTS_MAX,
    };
    for (unsigned i = 0; i < 3; i++)
        ret->tcp_mem[i] = fields_read_number("/proc/sys/net/ipv4/tcp_mem", i, UINT64_MAX);
}

/* ---- computing ---- */

uint64_t capacity_reserve(uint64_t total)
{
    uint64_t share = total / RESERVE_SHARE;
    return share > RESERVE_LEAST ? share : RESERVE_LEAST;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static struct capacity_bound *bound_set(struct capacity_plan *plan, enum bound id, const char *name,
                                        uint64_t connections, const char *remedy)
{
    struct capacity_bound *bound = &plan->bounds[id];
    *bound = (struct capacity_bound){.name = name, .connections = connections, .remedy = remedy};
    if (connections < plan->bounds[plan->least].connections)
        plan->least = id;
    return bound;
}

static void bound_memory(struct capacity_plan *plan, const struct capacity_machine *machine)
{
    char available[NUMBER_TEXT_MAX], kept[NUMBER_TEXT_MAX], each[NUMBER_TEXT_MAX];
    uint64_t fit =
        machine->memory_available == 0
            ? UINT64_MAX
            : less(machine->memory_available, plan->memory_reserve) / BENCH_BYTES_PER_CONNECTION;
    struct capacity_bound *bound =
        bound_set(plan, BOUND_MEMORY, "memory", fit,
                  "Stop other programs, or take a machine with more; "
                  "`tuning/tune plan {n} --role both` says how much that is.");
    snprintf(bound->why, sizeof bound->why,
             "%s available, %s of it kept free, %s for both ends of a connection",
             number_bytes(available, (double)machine->memory_available),
             number_bytes(kept, (double)plan->memory_reserve),
             number_bytes(each, BENCH_BYTES_PER_CONNECTION));
}

static void bound_files(struct capacity_plan *plan, const struct capacity_machine *machine)
{
    uint64_t left = less(machine->files_max, machine->files_used + FILES_BESIDE);
    struct capacity_bound *bound =
        bound_set(plan, BOUND_FILES, "open files", machine->files_exempt ? UINT64_MAX : left / 2,
                  "It is fs.file-max: `tuning/tune apply {n} --role both` raises it.");
    snprintf(bound->why, sizeof bound->why,
             "fs.file-max %" PRIu64 ", %" PRIu64 " open, two for each connection%s",
             machine->files_max, machine->files_used,
             machine->files_exempt ? "; not asked of who may administer the system" : "");
}

/* Without direct descriptors (Linux before 6.13): the server keeps a part of them free, too. */
static void bound_descriptors(struct capacity_plan *plan, const struct capacity_machine *machine)
{
    uint64_t most = less(machine->nofile, SERVER_DESCRIPTORS_OWN);
    most = less(most - most / SERVER_TABLE_SPARE, BENCH_CONNECTIONS_SLACK);
    struct capacity_bound *bound = bound_set(
        plan, BOUND_TABLES, "file descriptors", most - most / (BENCH_CONNECTIONS_SHARE + 1),
        "It is RLIMIT_NOFILE: `ulimit -n {n}`, or `tuning/tune plan {n} --systemd` for a service. "
        "From Linux 6.13 on connections take none.");
    snprintf(bound->why, sizeof bound->why,
             "RLIMIT_NOFILE %" PRIu64 ", one for each connection on this kernel", machine->nofile);
}

/* The server's tables come first: it leaves a part of each free, and is asked for more than there
 * are subscribers. */
static void bound_tables(struct capacity_plan *plan, const struct capacity_machine *machine)
{
    if (machine->table_slots == 0) {
        bound_descriptors(plan, machine);
        return;
    }
    uint64_t usable = machine->table_slots - machine->table_slots / SERVER_TABLE_SPARE;
    uint64_t tables = less(machine->nofile, DESCRIPTORS_OWN);
    uint64_t slots = less(tables * usable, BENCH_CONNECTIONS_SLACK);
    struct capacity_bound *bound = bound_set(
        plan, BOUND_TABLES, "descriptor tables", slots - slots / (BENCH_CONNECTIONS_SHARE + 1),
        "It is RLIMIT_NOFILE, for each table and for their number: `ulimit -n {n}`, or "
        "`tuning/tune plan {n} --systemd` for a service.");
    snprintf(bound->why, sizeof bound->why,
             "RLIMIT_NOFILE %" PRIu64 ": up to %" PRIu64 " kernel rings in one process, %" PRIu64
             " connections in each",
             machine->nofile, tables, usable);
}

static void bound_sources(struct capacity_plan *plan, const struct capacity_machine *machine)
{
    struct capacity_bound *bound =
        bound_set(plan, BOUND_SOURCES, "source addresses", machine->sources,
                  "Each needs an address and a port of its own: add addresses.");
    snprintf(bound->why, sizeof bound->why,
             "pairs of address and port from 127.1.0.1 up; net.ipv4.ip_local_port_range is not "
             "asked");
}

static void bound_clients(struct capacity_plan *plan, const struct capacity_machine *machine)
{
    struct capacity_bound *bound =
        bound_set(plan, BOUND_CLIENTS, "load generator", machine->clients_max,
                  "It is a constant of the bench.");
    snprintf(bound->why, sizeof bound->why, "the most clients that one bench runs");
}

void capacity_plan_make(struct capacity_plan *ret, const struct capacity_machine *machine)
{
    *ret = (struct capacity_plan){
        .memory_reserve = capacity_reserve(machine->memory_total),
        .pressure_at = less(machine->tcp_mem[1], machine->tcp_pages),
        .stall_at = less(machine->tcp_mem[2], machine->tcp_pages),
        .backlog_short = machine->somaxconn < RAMP_IN_FLIGHT,
    };
    ret->bounds[BOUND_MEMORY].connections = UINT64_MAX;
    bound_memory(ret, machine);
    bound_files(ret, machine);
    bound_tables(ret, machine);
    bound_sources(ret, machine);
    bound_clients(ret, machine);
}

unsigned capacity_steps(uint32_t from, uint32_t top, double factor, uint32_t add,
                        uint32_t ret[PLAN_STEPS_MAX])
{
    assert(from > 0 && from <= top && (factor > 1 || add > 0));
    unsigned count = 0;
    for (double next = from; count < PLAN_STEPS_MAX;) {
        ret[count++] = next < top ? (uint32_t)next : top;
        if (next >= top)
            return count;
        double last = next;
        next = factor > 0 ? next * factor : next + add;
        if (next < last + 1)
            next = last + 1;
    }
    return 0;
}

const char *capacity_fill(char *text, size_t size, const char *template, uint64_t n)
{
    size_t len = 0;
    assert(size > 0);
    text[0] = '\0';
    while (*template && len < size) {
        const char *at = strstr(template, "{n}");
        int plain = at ? (int)(at - template) : (int)strlen(template);
        len += (size_t)snprintf(text + len, size - len, "%.*s", plain, template);
        template += plain;
        if (!at || len >= size)
            continue;
        len += (size_t)snprintf(text + len, size - len, "%" PRIu64, n);
        template += 3;
    }
    return text;
}
