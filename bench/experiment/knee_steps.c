#include "experiment/knee_steps.h"

#include <assert.h>
#include <stdlib.h>

#include "output/figure.h"

struct knee *knee_create(bool of_subscribers, double rate_per_s, int64_t bound_ns)
{
    struct knee *knee = calloc(1, sizeof *knee);
    assert(knee);
    knee->of_subscribers = of_subscribers;
    knee->rate_per_s = rate_per_s;
    knee->bound_ns = bound_ns;
    return knee;
}

void knee_free(struct knee *knee)
{
    if (!knee)
        return;
    free(knee->steps);
    free(knee);
}

void knee_add(struct knee *knee, const struct knee_step *step)
{
    knee->steps = realloc(knee->steps, (knee->step_count + 1) * sizeof *step);
    assert(knee->steps);
    knee->steps[knee->step_count++] = *step;
}

static json_t *of_step(const struct knee_step *step)
{
    json_t *object = json_pack(
        "{s:f, s:b, s:b, s:b, s:o, s:I, s:I, s:I, s:I, s:o}", "value", step->value, "held",
        step->held, "repeat", step->repeat, "client_bound", step->client_bound, "deliveries_per_s",
        figure_number(step->deliveries_per_s, 0.1), "p50_ns", (json_int_t)step->p50_ns, "p99_ns",
        (json_int_t)step->p99_ns, "p99_uncorrected_ns", (json_int_t)step->p99_uncorrected_ns,
        "missing", (json_int_t)step->missing, "client_cpu_share",
        figure_number(step->client_share, 1e-4));
    if (step->server_share >= 0)
        json_object_set_new(object, "server_cpu_share", figure_number(step->server_share, 1e-4));
    return object;
}

json_t *knee_json(const struct knee *knee)
{
    json_t *steps = json_array();
    for (unsigned i = 0; i < knee->step_count; i++)
        json_array_append_new(steps, of_step(&knee->steps[i]));
    json_t *object =
        json_pack("{s:s, s:I, s:b, s:I, s:o}", "of", knee->of_subscribers ? "subscribers" : "rate",
                  "bound_ns", (json_int_t)knee->bound_ns, "client_limited", knee->client_limited,
                  "closed", (json_int_t)knee->closed, "steps", steps);
    if (knee->of_subscribers)
        json_object_set_new(object, "rate_per_s", json_real(knee->rate_per_s));
    if (knee->value > 0)
        json_object_set_new(object, "value", json_real(knee->value));
    if (knee->failed > 0)
        json_object_set_new(object, "failed", json_real(knee->failed));
    if (knee->closed_rate > 0)
        json_object_set_new(object, "closed_loop",
                            json_pack("{s:o, s:I}", "rate_per_s",
                                      figure_number(knee->closed_rate, 1e-3), "p99_ns",
                                      (json_int_t)knee->closed_p99_ns));
    return object;
}
