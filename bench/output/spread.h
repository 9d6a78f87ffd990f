/* spread: how the figures of several turns lie: median, quartiles by nearest rank, ends.
 *
 * Threads  any.
 * Memory   in place; the values given are sorted in place. */
#pragma once

struct spread {
    double median, min, p25, p75, max;
    unsigned n;
};

/* Of no values, all is 0. */
struct spread spread_of(double *values, unsigned count);
