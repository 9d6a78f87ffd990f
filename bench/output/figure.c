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
