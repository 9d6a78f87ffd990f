#include "experiment/vanishing.h"

#include <errno.h>
#include <string.h>

#include "experiment/reasons.h"
#include "measure/clock.h"
#include "output/figure.h"

static const int64_t LOOK_NS = (int64_t)200 * NS_PER_MS;

int vanishing_begin(struct vanishing *ret, struct field *field)
{
    const struct options *options = field->bench->options;
    *ret = (struct vanishing){0};
    if (options->vanish_percent == 0)
        return 0;
    for (unsigned i = 0; i < field->count; i++)
        if (field->entrants[i].transport->is & PROTOCOL_UDP)
            return bench_fail(-EINVAL, "--vanish is of connections over TCP: leave out %s",
                              field->entrants[i].name);
    http_get_init(&ret->get, &field->entrants[0].server->address);
    ret->before = reasons_read(&ret->get);
    ret->begun_ns = clock_now_ns();
    for (unsigned i = 0; i < field->count; i++)
        if (field->entrants[i].kind == KIND_TRANSPORT)
            ret->clients +=
                load_vanish(field->load, i, options->vanish_percent / 100, options->seed);
    return 0;
}

/* Connections that the server ended for a reason, but for those that an ordinary end has. */
static uint32_t closed_of(const json_t *reasons)
{
    static const char prefix[] = "closed_";
    uint32_t closed = 0;
    const char *name;
    json_t *count;
    json_object_foreach((json_t *)(uintptr_t)reasons, name, count)
    {
        if (strncmp(name, prefix, strlen(prefix)) == 0 && strcmp(name, "closed_done") != 0 &&
            strcmp(name, "closed_idle") != 0)
            closed += (uint32_t)json_integer_value(count);
    }
    return closed;
}

int vanishing_end(struct vanishing *vanishing, struct field *field, struct contestant *into,
                  int err)
{
    const int64_t until_ns = clock_now_ns() + (int64_t)VANISHING_PATIENCE_S * NS_PER_S;
    json_t *reasons = NULL;
    uint32_t closed = 0;
    if (!vanishing->before)
        return err;
    watch_phase(field->bench, "vanished", into->name, "until the server has found them");
    for (;;) {
        json_decref(reasons);
        reasons = reasons_since(&vanishing->get, vanishing->before);
        closed = closed_of(reasons);
        if (err < 0 || closed >= vanishing->clients || clock_now_ns() >= until_ns)
            break;
        err = load_idle(field->load, LOOK_NS, LOAD_ALL);
    }
    contestant_figure(into, "vanished",
                      json_pack("{s:o, s:o, s:O, s:o}", "clients", figure_count(vanishing->clients),
                                "closed", figure_count(closed), "reasons", reasons, "found_s",
                                figure_seconds(clock_now_ns() - vanishing->begun_ns)));
    json_decref(reasons);
    json_decref(vanishing->before);
    http_get_done(&vanishing->get);
    *vanishing = (struct vanishing){0};
    return err;
}
