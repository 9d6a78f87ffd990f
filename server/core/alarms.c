#include "core/alarms.h"

#include <assert.h>
#include <errno.h>

#include "core/pages.h"

enum {
    BRANCHES = 4,
};

struct alarm {
    int64_t at_ns;
    uint32_t id;
};

int alarms_init(struct alarms *alarms, uint32_t ids)
{
    assert(ids > 0 && ids < ALARMS_NONE);
    *alarms = (struct alarms){
        .heap = pages_map(ids * sizeof *alarms->heap),
        .places = pages_map(ids * sizeof *alarms->places),
        .ids = ids,
    };
    if (alarms->heap && alarms->places)
        return 0;
    alarms_done(alarms);
    return -ENOMEM;
}

void alarms_done(struct alarms *alarms)
{
    pages_unmap(alarms->heap, alarms->ids * sizeof *alarms->heap);
    pages_unmap(alarms->places, alarms->ids * sizeof *alarms->places);
    *alarms = (struct alarms){0};
}

static void put(struct alarms *alarms, uint32_t place, struct alarm alarm)
{
    alarms->heap[place] = alarm;
    alarms->places[alarm.id] = place + 1;
}

static void rise(struct alarms *alarms, uint32_t place, struct alarm alarm)
{
    while (place > 0) {
        uint32_t above = (place - 1) / BRANCHES;
        if (alarms->heap[above].at_ns <= alarm.at_ns)
            break;
        put(alarms, place, alarms->heap[above]);
        place = above;
    }
    put(alarms, place, alarm);
}

/* The earliest of those below a place; `place` itself when there is none. */
static uint32_t first_below(const struct alarms *alarms, uint32_t place)
{
    uint64_t below = (uint64_t)place * BRANCHES + 1;
    uint32_t first = place;
    for (uint64_t i = below; i < below + BRANCHES && i < alarms->count; i++)
        if (first == place || alarms->heap[i].at_ns < alarms->heap[first].at_ns)
            first = (uint32_t)i;
    return first;
}

static void sink(struct alarms *alarms, uint32_t place, struct alarm alarm)
{
    for (;;) {
        uint32_t first = first_below(alarms, place);
        if (first == place || alarms->heap[first].at_ns >= alarm.at_ns)
            break;
        put(alarms, place, alarms->heap[first]);
        place = first;
    }
    put(alarms, place, alarm);
}

/* Up or down, wherever it belongs. */
static void settle(struct alarms *alarms, uint32_t place, struct alarm alarm)
{
    if (place > 0 && alarm.at_ns < alarms->heap[(place - 1) / BRANCHES].at_ns)
        rise(alarms, place, alarm);
    else
        sink(alarms, place, alarm);
}

void alarms_set(struct alarms *alarms, uint32_t id, int64_t at_ns)
{
    assert(id < alarms->ids);
    uint32_t place = alarms->places[id] > 0 ? alarms->places[id] - 1 : alarms->count++;
    settle(alarms, place, (struct alarm){at_ns, id});
}

void alarms_cancel(struct alarms *alarms, uint32_t id)
{
    assert(id < alarms->ids);
    if (alarms->places[id] == 0)
        return;
    uint32_t place = alarms->places[id] - 1;
    alarms->places[id] = 0;
    struct alarm last = alarms->heap[--alarms->count];
    if (last.id != id)
        settle(alarms, place, last);
}

int64_t alarms_at_ns(const struct alarms *alarms, uint32_t id)
{
    assert(id < alarms->ids);
    return alarms->places[id] > 0 ? alarms->heap[alarms->places[id] - 1].at_ns : INT64_MAX;
}

int64_t alarms_next_ns(const struct alarms *alarms)
{
    return alarms->count > 0 ? alarms->heap[0].at_ns : INT64_MAX;
}

uint32_t alarms_pop(struct alarms *alarms, int64_t now_ns)
{
    if (alarms->count == 0 || alarms->heap[0].at_ns > now_ns)
        return ALARMS_NONE;
    uint32_t id = alarms->heap[0].id;
    alarms_cancel(alarms, id);
    return id;
}
