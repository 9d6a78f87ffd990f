#include "auth/login_tickets.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/pages.h"

enum {
    BUCKET = 8,
    END_BITS = 24, /* half a year, after which a second comes again: longer than any ticket */
};
#define END_MASK ((UINT64_C(1) << END_BITS) - 1)

struct login_tickets {
    _Atomic uint64_t *places;
    uint64_t buckets; /* a power of two */
};

struct login_tickets *login_tickets_create(uint64_t count)
{
    struct login_tickets *tickets = malloc(sizeof *tickets);
    if (!tickets)
        return NULL;
    tickets->buckets = 1;
    while (tickets->buckets * BUCKET < count)
        tickets->buckets *= 2;
    tickets->places = pages_map(tickets->buckets * BUCKET * sizeof *tickets->places);
    if (tickets->places)
        return tickets;
    free(tickets);
    return NULL;
}

void login_tickets_free(struct login_tickets *tickets)
{
    if (!tickets)
        return;
    pages_unmap((void *)tickets->places, tickets->buckets * BUCKET * sizeof *tickets->places);
    free(tickets);
}

/* Whether what is in a place does not count any more. The seconds go round. */
static bool is_over(uint64_t place, int64_t now_s)
{
    uint64_t left = (place - (uint64_t)now_s) & END_MASK;
    return place == 0 || left == 0 || left > END_MASK / 2;
}

/* How many places have this ticket. */
static unsigned count(_Atomic uint64_t *bucket, uint64_t ticket)
{
    unsigned found = 0;
    for (unsigned i = 0; i < BUCKET; i++)
        found += atomic_load(&bucket[i]) == ticket;
    return found;
}

int login_tickets_take(struct login_tickets *tickets, uint64_t hash, int64_t now_s, int64_t ends_s)
{
    _Atomic uint64_t *bucket = &tickets->places[(hash & (tickets->buckets - 1)) * BUCKET];
    uint64_t ticket = (hash & ~END_MASK) | ((uint64_t)ends_s & END_MASK);
    if (count(bucket, ticket) > 0)
        return -EEXIST;
    for (unsigned i = 0; i < BUCKET; i++) {
        uint64_t before = atomic_load(&bucket[i]);
        if (!is_over(before, now_s) || !atomic_compare_exchange_strong(&bucket[i], &before, ticket))
            continue;
        /* Two at the same moment may have found different places. */
        return count(bucket, ticket) == 1 ? 0 : -EEXIST;
    }
    return count(bucket, ticket) > 0 ? -EEXIST : -ENOSPC;
}
