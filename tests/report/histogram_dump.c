/* Samples in, percentiles out: lets another implementation judge core/histogram.
 *
 *   histogram_dump [INTERVAL_NS] < samples        one decimal number per line
 *
 * Prints "name value" lines: count, min, max, mean, then one per percentile. With an interval the
 * samples are recorded corrected. */
#include "core/histogram.c"

#include <inttypes.h>
#include <stdio.h>

static const double percents[] = {0, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100};

int main(int argc, char **argv)
{
    uint64_t interval_ns = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    struct histogram *h = histogram_create();
    uint64_t value;

    if (h == NULL)
        return 1;
    while (scanf("%" SCNu64, &value) == 1)
        histogram_record_corrected(h, value, interval_ns);

    printf("count %" PRIu64 "\n", histogram_count(h));
    printf("min %" PRIu64 "\n", histogram_min(h));
    printf("max %" PRIu64 "\n", histogram_max(h));
    printf("mean %.6f\n", histogram_mean(h));
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
        printf("%g %" PRIu64 "\n", percents[i], histogram_percentile(h, percents[i]));
    histogram_free(h);
    return 0;
}
