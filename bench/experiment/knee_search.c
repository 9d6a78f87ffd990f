#include "experiment/knee_search.h"

#include <assert.h>
#include <math.h>

static const double STRIDE = 2;
static const double RESOLUTION = 1.05;

enum {
    FAILURES_BELIEVED = 2,
};

/* To three digits, as nobody reads more from a rate; or to a whole number. */
static double rounded(double value, bool whole)
{
    if (whole)
        return round(value);
    double unit = pow(10, floor(log10(value)) - 2);
    return round(value / unit) * unit;
}

static double within(const struct knee_search *search, double value)
{
    value = value > search->most ? search->most : rounded(value, search->whole);
    return value < search->least ? search->least : value;
}

void knee_search_init(struct knee_search *search, double start, double least, double most,
                      bool whole)
{
    assert(least > 0 && least <= most);
    *search = (struct knee_search){.least = least, .most = most, .whole = whole};
    search->next = within(search, start > least ? start : least);
}

/* Between what held and what failed; 0 when nothing new is left there. */
static double middle(const struct knee_search *search)
{
    if (search->high <= search->low * RESOLUTION)
        return 0;
    double value = within(search, sqrt(search->low * search->high));
    return value > search->low && value < search->high ? value : 0;
}

static double upwards(const struct knee_search *search)
{
    return search->low < search->most ? within(search, search->low * STRIDE) : 0;
}

static double next_step(struct knee_search *search)
{
    if (search->steps >= KNEE_STEPS_MAX)
        return 0;
    if (search->high == 0) /* nothing has failed */
        return upwards(search);
    if (search->low == 0) /* nothing has held */
        return search->high > search->least ? within(search, search->high / STRIDE) : 0;
    search->close = true;
    return middle(search);
}

static unsigned failures_at(const struct knee_search *search, double value)
{
    unsigned count = 0;
    for (unsigned i = 0; i < search->failed_count; i++)
        count += search->failed[i] == value;
    return count;
}

/* The lowest that failed above what held; 0: none. */
static double lowest_failed(const struct knee_search *search)
{
    double lowest = 0;
    for (unsigned i = 0; i < search->failed_count; i++)
        if (search->failed[i] > search->low && (lowest == 0 || search->failed[i] < lowest))
            lowest = search->failed[i];
    return lowest;
}

void knee_search_take(struct knee_search *search, bool held)
{
    assert(search->next > 0 && search->steps < KNEE_STEPS_MAX);
    search->steps++;
    if (held)
        search->low = search->next;
    else
        search->failed[search->failed_count++] = search->next;
    search->high = lowest_failed(search);
    search->next = next_step(search);
    bool doubtful = search->high > 0 && failures_at(search, search->high) < FAILURES_BELIEVED;
    if (search->next == 0 && doubtful && search->steps < KNEE_STEPS_MAX)
        search->next = search->high;
}

double knee_search_below(double value, bool whole)
{
    double below = rounded(value / (RESOLUTION * RESOLUTION), whole);
    return whole && below >= value ? value - 1 : below;
}
