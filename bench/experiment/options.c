#include "experiment/options.h"

#include <argp.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "experiment/options_kind.h"
#include "load/payload.h"

enum {
    KEY_FIRST = 1000, /* of options that have only a long name; others are characters */
    GROUP_SERVER = 100,
    GROUP_OUTPUT,
    HELP_MAX = 256,
    HOUR_MS = 3600 * 1000,
    DAY_S = 24 * 3600,
    MESSAGE_MAX = 16 * 1024 * 1024,
    RELAY_MS_MAX = 60000,
};

#define AT(field) offsetof(struct options, field)
#define VALUE(...)                                                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NUMBER(field, low, high)          VALUE(&kind_number, AT(field), 0, low, high, NULL)
#define NUMBER_OR(field, low, high, zero) VALUE(&kind_number, AT(field), 0, low, high, zero)
#define MILLISECONDS(field, low, high)    VALUE(&kind_milliseconds, AT(field), 0, low, high, NULL)
#define NUMBERS(field, n, low, high)      VALUE(&kind_numbers, AT(field), AT(n), low, high, NULL)
#define RATES(field, count)               VALUE(&kind_rates, AT(field), AT(count), 0, 0, NULL)
#define TEXTS(field, count, most, between)                                                         \
    VALUE(&kind_texts, AT(field), AT(count), 0, most, between)
#define TEXT(field)          AT_KIND(text, field)
#define PERCENT(field)       AT_KIND(percent, field)
#define FLAG(field)          AT_KIND(flag, field)
#define CPUS(field)          AT_KIND(cpus, field)
#define AT_KIND(name, field) VALUE(&kind_##name, AT(field), 0, 0, 0, NULL)
#define OF_KIND(name)        VALUE(&kind_##name, 0, 0, 0, 0, NULL)

static const struct option_row {
    int key;
    const char *name, *argument, *setting, *help;
    struct option_value value;
} rows[] = {
#define OPTIONS_ROW(id, key, name, argument, setting, value, help)                                 \
    {(key) ? (key) : KEY_FIRST + OPTION_##id, name, argument, setting, help, value},
    OPTIONS_TABLE(OPTIONS_ROW)
#undef OPTIONS_ROW
};

void options_default(struct options *options)
{
    *options = (struct options){
        .message_bytes = 128,
        .turn_ms = 1000,
        .streams_each = 1,
        .warmup_turns = 1,
        .poll_interval_ms = 500,
        .seed = 1,
        .tls_ciphers = {TLS_AES_128_GCM, TLS_CHACHA20_POLY1305},
        .tls_cipher_count = 2,
    };
    cpus_default(options->server_cpus, options->client_cpus);
    memcpy(options->engine_cpus, options->server_cpus, sizeof options->engine_cpus);
}

static bool is_tls(enum option_id id)
{
    return id >= OPTION_TLS && id <= OPTION_TLS_RESUME_RAMP;
}

static bool is_listed(const struct options_use *use, enum option_id id)
{
    if (id >= OPTION_COMMON)
        return true;
    for (const enum option_id *listed = use->ids; *listed != OPTION_COUNT; listed++)
        if (*listed == id)
            return true;
    return false;
}

/* ---- parsing ---- */

/* The experiment whose command line is being parsed: argp hands its parsers one pointer, and that
 * is the options. */
static const struct options_use *current;

static void take(struct options *options, enum option_id id, char *text, struct argp_state *state)
{
    const struct option_value *value = &rows[id].value;
    if (id == OPTION_RATE && !options->depths_given)
        options->depth_count = 0;
    value->kind->take(state, options, value, text);
    options->depths_given |= id == OPTION_DEPTH;
    options->tls |= is_tls(id);
    options->given[id / 64] |= UINT64_C(1) << id % 64;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        if (rows[id].key == key && is_listed(current, (enum option_id)id)) {
            take(state->input, (enum option_id)id, text, state);
            return 0;
        }
    if (key == ARGP_KEY_ARG)
        argp_error(state, "%s: an experiment takes options only", text);
    return ARGP_ERR_UNKNOWN;
}

/* ---- settings of the result ---- */

/* Of a run without TLS none of its options is there, as before there was any. */
static void set_listed(json_t *settings, const struct options *options, enum option_id id)
{
    const struct option_row *row = &rows[id];
    if (!row->setting || (is_tls(id) && !options->tls))
        return;
    json_t *value = row->value.kind->say(options, &row->value);
    if (row->value.kind == &kind_milliseconds) {
        json_t *seconds = json_real((double)json_integer_value(value) / 1e3);
        json_decref(value);
        value = seconds;
    }
    if (value)
        json_object_set_new(settings, row->setting, value);
}

json_t *options_json(const struct options *options, const struct options_use *use)
{
    json_t *settings = json_object();
    for (const enum option_id *id = use->ids; *id != OPTION_COUNT; id++)
        set_listed(settings, options, *id);
    for (unsigned id = OPTION_COMMON; id < OPTION_COUNT; id++)
        set_listed(settings, options, (enum option_id)id);
    return settings;
}

/* ---- help ---- */

/* With its default, if it has a value. */
static struct argp_option help_of(const struct options *options, enum option_id id, int group)
{
    static char helps[OPTION_COUNT][HELP_MAX];
    const struct option_row *row = &rows[id];
    json_t *value = row->argument ? row->value.kind->say(options, &row->value) : NULL;
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;
    const char *shown = json_is_string(value) ? json_string_value(value) : text;
    const char *help = id == OPTION_TRANSPORT ? options_transports() : row->help;
    if (shown && *shown)
        snprintf(helps[id], HELP_MAX, "%s (default: %s)", help, shown);
    else
        snprintf(helps[id], HELP_MAX, "%s", help);
    free(text);
    json_decref(value);
    return (struct argp_option){row->name, row->key, row->argument, 0, helps[id], group};
}

/* The experiment's own in the order in which it lists them, then those that all have. */
static void list_options(const struct options *options, const struct options_use *use,
                         struct argp_option *ret)
{
    int group = 1;
    for (const enum option_id *id = use->ids; *id != OPTION_COUNT; id++)
        *ret++ = help_of(options, *id, group++);
    for (unsigned id = OPTION_COMMON; id < OPTION_COUNT; id++) {
        bool output = id >= OPTION_RESULTS;
        if (id == OPTION_SERVER || id == OPTION_RESULTS)
            *ret++ = (struct argp_option){
                .doc = output ? "What is left behind:" : "The server:",
                .group = output ? GROUP_OUTPUT : GROUP_SERVER,
            };
        *ret++ = help_of(options, (enum option_id)id, output ? GROUP_OUTPUT : GROUP_SERVER);
    }
    *ret = (struct argp_option){0};
}

/* argp would take --tls for the beginning of --tls-address. */
static void refuse_tls(const struct options_use *use, const char *name, int argc, char **argv)
{
    if (is_listed(use, OPTION_TLS) || is_listed(use, OPTION_TLS_CIPHER))
        return;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--tls", 5) != 0 || strncmp(argv[i], "--tls-address", 13) == 0)
            continue;
        fprintf(stderr,
                "ringside-bench %s: %s: this experiment has no TLS: ceiling measures no server of "
                "ours\n",
                name, argv[i]);
        exit(EX_USAGE);
    }
}

void options_parse(struct options *options, const struct options_use *use, const char *name,
                   int argc, char **argv)
{
    struct argp_option list[OPTION_COUNT + 3]; /* two headings, and the end */
    static char program[64];                   /* argv keeps it */
    char text[4096];
    list_options(options, use, list);
    snprintf(program, sizeof program, "ringside-bench %s", name);
    snprintf(text, sizeof text, "%s\v%s", use->summary, use->details);
    const struct argp argp = {list, parse, NULL, text, NULL, NULL, NULL};
    refuse_tls(use, name, argc, argv);
    current = use;
    argv[0] = program;
    argp_parse(&argp, argc, argv, 0, NULL, options);
    options->show = options->quiet ? SHOW_NOTHING : options->plain ? SHOW_LINES : SHOW_VIEW;
}
