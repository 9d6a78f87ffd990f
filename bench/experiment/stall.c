#include "experiment/stall.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "output/figure.h"

void stall_done(struct stall *stall)
{
    free(stall->ratios);
    stall->ratios = NULL;
}

void stall_ratio(struct stall *stall, double ratio)
{
    stall->ratios = realloc(stall->ratios, (stall->ratio_count + 1) * sizeof ratio);
    assert(stall->ratios);
    stall->ratios[stall->ratio_count++] = ratio;
}

struct spread stall_ratios(const struct stall *stall)
{
    if (stall->ratio_count == 0)
        return (struct spread){0};
    double *sorted = malloc(stall->ratio_count * sizeof *sorted);
    assert(sorted);
    memcpy(sorted, stall->ratios, stall->ratio_count * sizeof *sorted);
    struct spread spread = spread_of(sorted, stall->ratio_count);
    free(sorted);
    return spread;
}

static void set(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

json_t *stall_json(const struct stall *stall)
{
    json_t *object = json_pack("{s:s}", "policy", stall->policy);
#define SET(name) set(object, #name, stall->name);
    STALL_COUNTS(SET)
#undef SET
    figure_set_spread(object, "p99_ratio", stall_ratios(stall), 1e-4);
    return object;
}
