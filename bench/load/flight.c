#include "load/flight.h"

#include <assert.h>

static_assert((LOAD_FLIGHTS & (LOAD_FLIGHTS - 1)) == 0, "numbers find their place by a mask");

static struct flight *place_of(struct flights *flights, uint32_t number)
{
    return &flights->slots[number & (LOAD_FLIGHTS - 1)];
}

static void give_up(struct flights *flights, struct flight *flight)
{
    flight->open = false;
    flights->open--;
    flights->incomplete++;
    flights->missing += flight->expected - flight->delivered;
}

static void close_if_complete(struct flights *flights, struct flight *flight)
{
    if (!flight->open || flight->delivered < flight->expected)
        return;
    flight->open = false;
    flights->open--;
}

void flights_launch(struct flights *flights, uint32_t number, uint32_t expected,
                    int64_t intended_ns, int64_t sent_ns)
{
    assert(number > flights->last && flights->touched_count == 0);
    flights->last = number;
    struct flight *flight = place_of(flights, number);
    if (flight->open)
        give_up(flights, flight);
    *flight = (struct flight){
        .number = number,
        .expected = expected,
        .intended_ns = intended_ns,
        .sent_ns = sent_ns,
        .open = true,
    };
    flights->open++;
    close_if_complete(flights, flight);
}

bool flights_note(struct flights *flights, uint32_t number)
{
    struct flight *flight = place_of(flights, number);
    if (flight->number != number)
        return false;
    if (flight->fresh++ == 0)
        flights->touched[flights->touched_count++] = number & (LOAD_FLIGHTS - 1);
    return true;
}

static uint64_t since(int64_t then_ns, int64_t now_ns)
{
    return now_ns > then_ns ? (uint64_t)(now_ns - then_ns) : 0;
}

void flights_settle(struct flights *flights, int64_t now_ns, struct histogram *corrected,
                    struct histogram *uncorrected)
{
    for (uint32_t i = 0; i < flights->touched_count; i++) {
        struct flight *flight = &flights->slots[flights->touched[i]];
        histogram_record_n(corrected, since(flight->intended_ns, now_ns), flight->fresh);
        histogram_record_n(uncorrected, since(flight->sent_ns, now_ns), flight->fresh);
        flight->delivered += flight->fresh;
        flight->fresh = 0;
        close_if_complete(flights, flight);
    }
    flights->touched_count = 0;
}

void flights_leave(struct flights *flights, uint64_t from, uint32_t step)
{
    uint64_t oldest = flights->last < LOAD_FLIGHTS ? 1 : flights->last - LOAD_FLIGHTS + 1;
    if (flights->open == 0)
        return;
    if (from < oldest)
        from += (oldest - from + step - 1) / step * step;
    for (uint64_t number = from; number <= flights->last; number += step) {
        struct flight *flight = place_of(flights, (uint32_t)number);
        if (!flight->open || flight->number != number || flight->expected == 0)
            continue;
        flight->expected--;
        close_if_complete(flights, flight);
    }
}

/* The loop is paid for by the launches: `oldest` only rises, and never beyond `last`. */
int64_t flights_oldest_ns(struct flights *flights)
{
    if (flights->open == 0)
        return INT64_MAX;
    if (flights->last >= LOAD_FLIGHTS && flights->oldest <= flights->last - LOAD_FLIGHTS)
        flights->oldest = flights->last - LOAD_FLIGHTS + 1;
    for (;; flights->oldest++) {
        const struct flight *flight = place_of(flights, flights->oldest);
        assert(flights->oldest <= flights->last);
        if (flight->open && flight->number == flights->oldest)
            return flight->intended_ns;
    }
}

void flights_give_up(struct flights *flights)
{
    for (unsigned i = 0; i < LOAD_FLIGHTS && flights->open > 0; i++)
        if (flights->slots[i].open)
            give_up(flights, &flights->slots[i]);
}
