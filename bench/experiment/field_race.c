/* field_race: the contestants and workloads of a fan-out. */
#include <stdio.h>

#include "experiment/vanishing.h"

unsigned field_workloads(const struct options *options, struct workload *ret)
{
    unsigned count = 0;
    for (unsigned i = 0; i < options->depth_count && count < FIELD_WORKLOADS_MAX; i++) {
        ret[count] = (struct workload){.mode.depth = options->depths[i]};
        snprintf(ret[count++].name, RESULT_NAME_MAX, "depth %u", options->depths[i]);
    }
    for (unsigned i = 0; i < options->rate_count && count < FIELD_WORKLOADS_MAX; i++) {
        ret[count] = (struct workload){.mode.rate_per_s = options->rates[i]};
        snprintf(ret[count++].name, RESULT_NAME_MAX, "rate %g/s", options->rates[i]);
    }
    return count;
}

const char *field_ceiling(const struct field *field)
{
    for (unsigned i = 0; i < field->count; i++)
        if (field->entrants[i].kind == KIND_CEILING && field->entrants[i].publish)
            return field->entrants[i].name;
    return NULL;
}

void field_defaults(struct options *options)
{
    options->subscribers = 9000;
    options->turns = 7;
    options->depths[0] = 1;
    options->depths[1] = 8;
    options->depth_count = 2;
    for (int i = 0; i < BARE_LOOP_COUNT; i++)
        options->against[i] = true;
}

int field_add_loops(struct field *field)
{
    static const enum bare_loop order[] = {BARE_SEND, BARE_URING, BARE_COALESCE};
    struct bench *bench = field->bench;
    const struct options *options = bench->options;
    for (int i = 0; i < BARE_LOOP_COUNT; i++) {
        struct server *server;
        if (!options->against[order[i]])
            continue;
        if (!bench_bare_fits(order[i], options->subscribers)) {
            result_note(&bench->result,
                        "%s needs a file descriptor for each of %u connections, more than "
                        "RLIMIT_NOFILE allows, and was left out.",
                        bare_loop_name(order[i]), options->subscribers);
            continue;
        }
        int err = bench_bare_start(bench, order[i], options->subscribers, &server);
        if (err < 0)
            return err;
        field_add(field, bare_loop_name(order[i]), KIND_CEILING, &protocol_websocket, server,
                  options->subscribers);
    }
    return 0;
}

int field_race(struct field *field)
{
    struct workload workloads[FIELD_WORKLOADS_MAX];
    unsigned count = field_workloads(field->bench->options, workloads);
    struct vanishing vanishing = {0};
    int err = field_open(field);
    if (err == 0)
        err = vanishing_begin(&vanishing, field);
    if (err == 0)
        err = field_rounds(field, workloads, count, field_ceiling(field));
    err = vanishing_end(&vanishing, field, field->bench->result.contestants[0], err);
    field_close(field);
    return err;
}
