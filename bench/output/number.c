#include "output/number.h"

#include <inttypes.h>
#include <stdio.h>

/* Three digits that matter. */
static int decimals(double value)
{
    return value < 10 ? 2 : value < 100 ? 1 : 0;
}

const char *number_short(char text[NUMBER_TEXT_MAX], double value)
{
    const char *unit = "";
    if (value >= 1e6) {
        value /= 1e6;
        unit = "M";
    } else if (value >= 1e4) {
        value /= 1e3;
        unit = "k";
    }
    snprintf(text, NUMBER_TEXT_MAX, "%.*f%s", *unit ? decimals(value) : value < 100, value, unit);
    return text;
}

const char *number_grouped(char text[NUMBER_TEXT_MAX], uint64_t value)
{
    char digits[NUMBER_TEXT_MAX];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t out = 0;
    for (size_t i = 0; i < len && out + 2 < NUMBER_TEXT_MAX; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = '\0';
    return text;
}

const char *number_time(char text[NUMBER_TEXT_MAX], double ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    unsigned unit = 0;
    while (ns >= 1000 && unit < 3) {
        ns /= 1000;
        unit++;
    }
    snprintf(text, NUMBER_TEXT_MAX, "%.*f %s", unit ? decimals(ns) : 0, ns, units[unit]);
    return text;
}

const char *number_bytes(char text[NUMBER_TEXT_MAX], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    while (bytes >= 1024 * 10 && unit < 4) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, NUMBER_TEXT_MAX, "%.*f %s", unit ? decimals(bytes) : 0, bytes, units[unit]);
    return text;
}
