#include "relay/agenda.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define NOWHERE UINT32_MAX

int agenda_init(struct agenda *agenda, uint32_t capacity)
{
    *agenda = (struct agenda){
        .times = calloc(capacity, sizeof *agenda->times),
        .heap = calloc(capacity, sizeof *agenda->heap),
        .place = calloc(capacity, sizeof *agenda->place),
        .capacity = capacity,
    };
    if (!agenda->times || !agenda->heap || !agenda->place) {
        agenda_done(agenda);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < capacity; i++)
        agenda->place[i] = NOWHERE;
    return 0;
}

void agenda_done(struct agenda *agenda)
{
    free(agenda->times);
    free(agenda->heap);
    free(agenda->place);
    *agenda = (struct agenda){0};
}

static void put(struct agenda *agenda, uint32_t at, uint32_t party)
{
    agenda->heap[at] = party;
    agenda->place[party] = at;
}

static int64_t time_at(const struct agenda *agenda, uint32_t at)
{
    return agenda->times[agenda->heap[at]];
}

/* Moves the party up to where nobody above it is later. */
static void rise(struct agenda *agenda, uint32_t at)
{
    uint32_t party = agenda->heap[at];
    for (; at > 0 && time_at(agenda, (at - 1) / 2) > agenda->times[party]; at = (at - 1) / 2)
        put(agenda, at, agenda->heap[(at - 1) / 2]);
    put(agenda, at, party);
}

/* Moves the party down to where nobody below it is earlier. */
static void sink(struct agenda *agenda, uint32_t at)
{
    uint32_t party = agenda->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < agenda->count && time_at(agenda, child + 1) < time_at(agenda, child))
            child++;
        if (child >= agenda->count || time_at(agenda, child) >= agenda->times[party])
            break;
        put(agenda, at, agenda->heap[child]);
        at = child;
    }
    put(agenda, at, party);
}

static void leave(struct agenda *agenda, uint32_t party)
{
    uint32_t at = agenda->place[party];
    agenda->place[party] = NOWHERE;
    uint32_t last = agenda->heap[--agenda->count];
    if (last == party)
        return;
    put(agenda, at, last);
    rise(agenda, at);
    sink(agenda, agenda->place[last]);
}

void agenda_set(struct agenda *agenda, uint32_t party, int64_t time_ns)
{
    assert(party < agenda->capacity);
    bool there = agenda->place[party] != NOWHERE;
    agenda->times[party] = time_ns;
    if (time_ns == AGENDA_NEVER) {
        if (there)
            leave(agenda, party);
        return;
    }
    if (!there)
        put(agenda, agenda->count++, party);
    rise(agenda, agenda->place[party]);
    sink(agenda, agenda->place[party]);
}

int64_t agenda_next_ns(const struct agenda *agenda)
{
    return agenda->count > 0 ? time_at(agenda, 0) : AGENDA_NEVER;
}

uint32_t agenda_first(const struct agenda *agenda)
{
    assert(agenda->count > 0);
    return agenda->heap[0];
}
