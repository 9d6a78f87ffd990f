#include "output/stall.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct stall *stall_create(void)
{
    struct stall *stall = calloc(1, sizeof *stall);
    assert(stall);
    return stall;
}

void stall_free(struct stall *stall)
{
    if (!stall)
        return;
    free(stall->ratios);
    free(stall);
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
    set(object, "readers", stall->readers);
    set(object, "trickling", stall->trickling);
    set(object, "turns", stall->turns);
    set(object, "queue_bytes_max", stall->queue_bytes_max);
    set(object, "bound_bytes", stall->bound_bytes);
    set(object, "queue_bytes", stall->queue_bytes);
    set(object, "rss_bytes", stall->rss_bytes);
    set(object, "tcp_bytes", stall->tcp_bytes);
    set(object, "queue_left", stall->queue_left);
    set(object, "closed", stall->closed);
    set(object, "dropped", stall->dropped);
    set(object, "lost", stall->lost);
    set(object, "duplicate", stall->duplicate);
    set(object, "out_of_order", stall->out_of_order);
    set(object, "corrupt", stall->corrupt);
    set(object, "returned", stall->returned);
    set(object, "trickling_returned", stall->trickling_returned);
    set(object, "unrecovered", stall->unrecovered);
    set(object, "trickled", stall->trickled);
    set(object, "latest", stall->latest);
    return object;
}
