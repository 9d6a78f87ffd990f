#include "output/figure.h"

#include <math.h>

#include "measure/clock.h"

json_t *figure_number(double value, double unit)
{
    return json_real(isfinite(value) ? round(value / unit) * unit : 0);
}

json_t *figure_seconds(int64_t ns)
{
    return json_real((double)ns / NS_PER_S);
}

json_t *figure_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

void figure_set_spread(json_t *object, const char *name, struct spread spread, double unit)
{
    if (spread.n == 0)
        return;
    json_object_set_new(
        object, name,
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:i}", "median", figure_number(spread.median, unit),
                  "min", figure_number(spread.min, unit), "p25", figure_number(spread.p25, unit),
                  "p75", figure_number(spread.p75, unit), "max", figure_number(spread.max, unit),
                  "n", (int)spread.n));
}
