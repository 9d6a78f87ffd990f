#include "output/spread.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double rank(const double *sorted, unsigned count, double share)
{
    double place = ceil(share * count);
    return sorted[place < 1 ? 0 : (unsigned)place - 1];
}

struct spread spread_of(double *values, unsigned count)
{
    if (count == 0)
        return (struct spread){0};
    qsort(values, count, sizeof *values, by_value);
    return (struct spread){
        .median = rank(values, count, 0.5),
        .min = values[0],
        .p25 = rank(values, count, 0.25),
        .p75 = rank(values, count, 0.75),
        .max = values[count - 1],
        .n = count,
    };
}
