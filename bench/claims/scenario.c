#include "claims/scenario.h"

#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUND_TO = 100, /* shares of a machine are no exact figures */
};

struct reading {
    struct scenario *scenario;
    uint64_t fits;
    char why[SCENARIO_WHY_MAX];
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reading *reading, const char *format,
                                                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reading->why, sizeof reading->why, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- texts ---- */

/* A line that begins with a blank continues the one before it, and comes here under the same name:
 * so does one that is given twice. Both are appended. */
static int append(struct reading *reading, char *text, size_t size, const char *name,
                  const char *value)
{
    size_t len = strlen(text);
    int count = snprintf(text + len, size - len, "%s%s", len > 0 ? " " : "", value);
    if (count >= 0 && (size_t)count < size - len)
        return 0;
    return refuse(reading, "%s is longer than %zu bytes", name, size - 1);
}

static int take_seconds(struct reading *reading, const char *value)
{
    char *end;
    unsigned long seconds = strtoul(value, &end, 10);
    if (end == value || *end != '\0' || seconds == 0 || seconds > SCENARIO_SECONDS_MAX)
        return refuse(reading, "seconds: needs a whole number from 1 to %d, not '%s'",
                      SCENARIO_SECONDS_MAX, value);
    reading->scenario->seconds = (uint32_t)seconds;
    return 0;
}

static int take_head(struct reading *reading, const char *name, const char *value)
{
    struct scenario *scenario = reading->scenario;
    if (strcmp(name, "title") == 0)
        return append(reading, scenario->title, sizeof scenario->title, name, value);
    if (strcmp(name, "about") == 0)
        return append(reading, scenario->about, sizeof scenario->about, name, value);
    if (strcmp(name, "experiment") == 0)
        return append(reading, scenario->experiment, sizeof scenario->experiment, name, value);
    if (strcmp(name, "seconds") == 0)
        return take_seconds(reading, value);
    return refuse(reading,
                  "there is no '%s' in [scenario]: there are title, about, experiment and seconds",
                  name);
}

/* ---- options ---- */

/* "25 % of fits, at most 100000": a share of the connections that this machine holds. Returns
 * whether it is one; `ret` 0: it is not well formed. */
static bool share_of_fits(const char *value, uint64_t fits, uint64_t *ret)
{
    static const char of[] = "% of fits", most[] = ", at most ";
    char *end;
    double percent = strtod(value, &end);
    uint64_t limit = UINT64_MAX;
    *ret = 0;
    if (!strstr(value, "of fits"))
        return false;
    end += strspn(end, " ");
    if (strncmp(end, of, sizeof of - 1) != 0 || !(percent > 0) || percent > 100)
        return true;
    end += sizeof of - 1;
    if (strncmp(end, most, sizeof most - 1) == 0) {
        limit = strtoull(end + sizeof most - 1, &end, 10);
    }
    if (*end != '\0' || limit == 0)
        return true;
    double share = floor((double)fits * percent / 100 / ROUND_TO) * ROUND_TO;
    *ret = share < (double)limit ? (uint64_t)share : limit;
    if (*ret == 0)
        *ret = 1;
    return true;
}

static char *add_option(struct reading *reading)
{
    struct scenario *scenario = reading->scenario;
    if (scenario->option_count == SCENARIO_OPTIONS_MAX) {
        refuse(reading, "at most %d options", SCENARIO_OPTIONS_MAX);
        return NULL;
    }
    return scenario->options[scenario->option_count++];
}

/* The number that a share stands for, or the value as it is. */
static int settle_value(struct reading *reading, const char *name, const char *value, char *ret,
                        size_t size)
{
    uint64_t number;
    if (!share_of_fits(value, reading->fits, &number)) {
        int count = snprintf(ret, size, "%s", value);
        return count >= 0 && (size_t)count < size
                   ? 0
                   : refuse(reading, "%s is longer than %zu bytes", name, size - 1);
    }
    if (number == 0)
        return refuse(reading, "%s: '%s' is not of the form '25 %% of fits, at most 100000'", name,
                      value);
    snprintf(ret, size, "%llu", (unsigned long long)number);
    return 0;
}

static int take_option(struct reading *reading, const char *name, const char *value)
{
    char settled[SCENARIO_OPTION_MAX - SCENARIO_NAME_MAX - 4] = "";
    if (strlen(name) >= SCENARIO_NAME_MAX)
        return refuse(reading, "there is no option '%s'", name);
    int err = settle_value(reading, name, value, settled, sizeof settled);
    char *option = err == 0 ? add_option(reading) : NULL;
    if (!option)
        return -EINVAL;
    snprintf(option, SCENARIO_OPTION_MAX, "--%s%s%s", name, *settled ? "=" : "", settled);
    return 0;
}

/* "--stream=name=NAME part=value part=value": its parts are checked where it is read. */
static int take_stream(struct reading *reading, const char *stream, const char *name,
                       const char *value)
{
    char head[SCENARIO_NAME_MAX * 2], settled[SCENARIO_OPTION_MAX / 2] = "";
    struct scenario *scenario = reading->scenario;
    char *option = NULL;
    size_t head_len = (size_t)snprintf(head, sizeof head, "--stream=name=%.40s", stream);
    int err = settle_value(reading, name, value, settled, sizeof settled);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < scenario->option_count; i++)
        if (strncmp(scenario->options[i], head, head_len) == 0 &&
            (scenario->options[i][head_len] == ' ' || scenario->options[i][head_len] == '\0'))
            option = scenario->options[i];
    if (!option) {
        option = add_option(reading);
        if (!option)
            return -EINVAL;
        snprintf(option, SCENARIO_OPTION_MAX, "%s", head);
    }
    size_t len = strlen(option);
    int count = snprintf(option + len, SCENARIO_OPTION_MAX - len, " %s=%s", name, settled);
    return count >= 0 && (size_t)count < SCENARIO_OPTION_MAX - len
               ? 0
               : refuse(reading, "[stream %s] is longer than %d bytes", stream,
                        SCENARIO_OPTION_MAX - 1);
}

/* ---- claims ---- */

static struct scenario_claim *claim_named(struct reading *reading, const char *name)
{
    struct scenario *scenario = reading->scenario;
    for (unsigned i = 0; i < scenario->claim_count; i++)
        if (strcmp(scenario->claims[i].name, name) == 0)
            return &scenario->claims[i];
    if (strlen(name) >= SCENARIO_NAME_MAX) {
        refuse(reading, "the name of a claim has at most %d bytes", SCENARIO_NAME_MAX - 1);
        return NULL;
    }
    if (scenario->claim_count == SCENARIO_CLAIMS_MAX) {
        refuse(reading, "at most %d claims", SCENARIO_CLAIMS_MAX);
        return NULL;
    }
    struct scenario_claim *claim = &scenario->claims[scenario->claim_count++];
    snprintf(claim->name, sizeof claim->name, "%s", name);
    return claim;
}

static int take_claim(struct reading *reading, const char *claim_name, const char *name,
                      const char *value)
{
    static const struct {
        const char *name;
        size_t at;
    } keys[] = {
        {"claim", offsetof(struct scenario_claim, claim)},
        {"source", offsetof(struct scenario_claim, source)},
        {"value", offsetof(struct scenario_claim, value)},
        {"measured", offsetof(struct scenario_claim, measured)},
        {"holds", offsetof(struct scenario_claim, holds)},
        {"depends", offsetof(struct scenario_claim, depends)},
    };
    struct scenario_claim *claim = claim_named(reading, claim_name);
    for (size_t i = 0; claim && i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].name, name) == 0)
            return append(reading, (char *)claim + keys[i].at, SCENARIO_TEXT_MAX, name, value);
    return claim ? refuse(reading,
                          "there is no '%s' in [claim]: there are claim, source, value, measured, "
                          "holds and depends",
                          name)
                 : -EINVAL;
}

/* ---- the file ---- */

static int take(struct reading *reading, const char *section, const char *name, const char *value)
{
    static const char claim[] = "claim ", stream[] = "stream ";
    if (strcmp(section, "scenario") == 0)
        return take_head(reading, name, value);
    if (strcmp(section, "options") == 0)
        return take_option(reading, name, value);
    if (strncmp(section, claim, sizeof claim - 1) == 0)
        return take_claim(reading, section + sizeof claim - 1, name, value);
    if (strncmp(section, stream, sizeof stream - 1) == 0)
        return take_stream(reading, section + sizeof stream - 1, name, value);
    return refuse(reading,
                  "there is no section [%s]: there are [scenario], [options], [stream NAME] and "
                  "[claim NAME]",
                  section);
}

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    return reading->why[0] == '\0' && take(reading, section, name, value) == 0;
}

/* What may not be left out. */
static int check(struct reading *reading)
{
    const struct scenario *scenario = reading->scenario;
    if (!scenario->title[0])
        return refuse(reading, "there is no title in [scenario]");
    if (!scenario->experiment[0])
        return refuse(reading, "there is no experiment in [scenario]");
    if (scenario->seconds == 0)
        return refuse(reading, "there is no seconds in [scenario]: how long its run may take");
    if (scenario->claim_count == 0)
        return refuse(reading, "there is no [claim NAME]");
    for (unsigned i = 0; i < scenario->claim_count; i++) {
        const struct scenario_claim *claim = &scenario->claims[i];
        const char *missing = !claim->claim[0]   ? "claim"
                              : !claim->value[0] ? "value"
                              : !claim->holds[0] ? "holds"
                                                 : NULL;
        if (missing)
            return refuse(reading, "there is no %s in [claim %s]", missing, claim->name);
    }
    return 0;
}

/* "latency" of bench/scenarios/latency.ini */
static void name_of(struct scenario *scenario, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    int len = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
    snprintf(scenario->path, sizeof scenario->path, "%s", path);
    snprintf(scenario->name, sizeof scenario->name, "%.*s", len, base);
}

int scenario_read(struct scenario **ret, const char *path, uint64_t fits, char *why,
                  size_t why_size)
{
    struct reading reading = {.scenario = calloc(1, sizeof(struct scenario)), .fits = fits};
    if (!reading.scenario)
        return -ENOMEM;
    name_of(reading.scenario, path);
    errno = 0;
    int line = ini_parse(path, take_line, &reading);
    int err = line < 0 ? (errno ? -errno : -EIO) : line > 0 ? -EINVAL : check(&reading);
    if (err == 0) {
        *ret = reading.scenario;
        return 0;
    }
    if (line < 0)
        snprintf(why, why_size, "cannot read %s: %s", path, strerror(-err));
    else if (line > 0)
        snprintf(why, why_size, "%s:%d: %s", path, line,
                 reading.why[0] ? reading.why
                                : "not a line of the form name = value, of at most 199 characters");
    else
        snprintf(why, why_size, "%s: %s", path, reading.why);
    scenario_free(reading.scenario);
    return err;
}

void scenario_free(struct scenario *scenario)
{
    free(scenario);
}
