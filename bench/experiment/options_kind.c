#include "experiment/options_kind.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAID_MAX = 1024,
    PART_MAX = 64,
    LOSS_BURST_MAX = 1000,
};

static const double STEP_FACTOR_MIN = 1.05, STEP_FACTOR_MAX = 100, RATE_MAX = 1e6;

static void *place(struct options *options, size_t at)
{
    return (char *)options + at;
}

static const void *seen(const struct options *options, size_t at)
{
    return (const char *)options + at;
}

/* ---- lists ---- */

/* One part of a list with commas, as a text of its own. */
typedef void (*take_part)(struct argp_state *state, struct options *options,
                          const struct option_value *value, const char *part);

static void each_of(struct argp_state *state, struct options *options,
                    const struct option_value *value, const char *list, take_part take)
{
    char part[PART_MAX];
    while (*list) {
        size_t len = strcspn(list, ",");
        snprintf(part, sizeof part, "%.*s", (int)len, list);
        take(state, options, value, part);
        list += len + (list[len] == ',');
    }
}

/* Where the next of a list belongs, which is then one longer. */
static unsigned next_of(struct argp_state *state, unsigned *count, unsigned most)
{
    if (*count >= most)
        argp_error(state, "at most %u of them", most);
    return (*count)++;
}

struct said {
    char text[SAID_MAX];
    size_t len;
};

/* What does not fit is cut. */
__attribute__((format(printf, 3, 4))) static void add(struct said *said, const char *between,
                                                      const char *format, ...)
{
    char part[SAID_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    int len = snprintf(said->text + said->len, SAID_MAX - said->len, "%s%s",
                       said->len > 0 ? between : "", part);
    said->len = said->len + (size_t)len < SAID_MAX ? said->len + (size_t)len : SAID_MAX - 1;
}

/* ---- numbers ---- */

static uint32_t number_of(struct argp_state *state, const char *text, uint32_t least, uint32_t most)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || *text == '-' || value < least || value > most)
        argp_error(state, "%s: needs a whole number from %u to %u", text, least, most);
    return (uint32_t)value;
}

static void take_number(struct argp_state *state, struct options *options,
                        const struct option_value *value, char *text)
{
    uint32_t *into = place(options, value->at);
    *into = number_of(state, text, value->least, value->most);
}

static json_t *say_number(const struct options *options, const struct option_value *value)
{
    const uint32_t *number = seen(options, value->at);
    return *number == 0 && value->words ? json_string(value->words) : json_integer(*number);
}

const struct option_kind kind_number = {take_number, say_number};
const struct option_kind kind_milliseconds = {take_number, say_number};

static void take_one(struct argp_state *state, struct options *options,
                     const struct option_value *value, const char *part)
{
    uint32_t *list = place(options, value->at);
    unsigned at = next_of(state, place(options, value->count_at), OPTIONS_LIST_MAX);
    list[at] = number_of(state, part, value->least, value->most);
}

static void take_numbers(struct argp_state *state, struct options *options,
                         const struct option_value *value, char *text)
{
    *(unsigned *)place(options, value->count_at) = 0;
    each_of(state, options, value, text, take_one);
}

static json_t *say_numbers(const struct options *options, const struct option_value *value)
{
    const uint32_t *list = seen(options, value->at);
    const unsigned *count = seen(options, value->count_at);
    struct said said = {0};
    for (unsigned i = 0; i < *count; i++)
        add(&said, ", ", "%u", list[i]);
    return json_string(said.text);
}

const struct option_kind kind_numbers = {take_numbers, say_numbers};

static void take_rate(struct argp_state *state, struct options *options,
                      const struct option_value *value, const char *part)
{
    double *list = place(options, value->at);
    char *end;
    double rate = strtod(part, &end);
    if (*end != '\0' || !(rate > 0) || rate > RATE_MAX)
        argp_error(state, "%s: needs a rate above 0", part);
    list[next_of(state, place(options, value->count_at), OPTIONS_LIST_MAX)] = rate;
}

static void take_rates(struct argp_state *state, struct options *options,
                       const struct option_value *value, char *text)
{
    *(unsigned *)place(options, value->count_at) = 0;
    each_of(state, options, value, text, take_rate);
}

static json_t *say_rates(const struct options *options, const struct option_value *value)
{
    const double *list = seen(options, value->at);
    const unsigned *count = seen(options, value->count_at);
    struct said said = {0};
    for (unsigned i = 0; i < *count; i++)
        add(&said, ", ", "%g", list[i]);
    return json_string(said.text);
}

const struct option_kind kind_rates = {take_rates, say_rates};

/* ---- texts, and what is given or not ---- */

static void take_text(struct argp_state *state, struct options *options,
                      const struct option_value *value, char *text)
{
    (void)state;
    *(const char **)place(options, value->at) = text;
}

static json_t *say_text(const struct options *options, const struct option_value *value)
{
    const char *const *text = seen(options, value->at);
    return *text ? json_string(*text) : NULL;
}

const struct option_kind kind_text = {take_text, say_text};

static void take_texts(struct argp_state *state, struct options *options,
                       const struct option_value *value, char *text)
{
    const char **list = place(options, value->at);
    list[next_of(state, place(options, value->count_at), value->most)] = text;
}

static json_t *say_texts(const struct options *options, const struct option_value *value)
{
    const char *const *list = seen(options, value->at);
    const unsigned *count = seen(options, value->count_at);
    struct said said = {0};
    for (unsigned i = 0; i < *count; i++)
        add(&said, value->words, "%s", list[i]);
    return *count > 0 ? json_string(said.text) : NULL;
}

const struct option_kind kind_texts = {take_texts, say_texts};

static void take_flag(struct argp_state *state, struct options *options,
                      const struct option_value *value, char *text)
{
    (void)state;
    (void)text;
    *(bool *)place(options, value->at) = true;
}

static json_t *say_flag(const struct options *options, const struct option_value *value)
{
    return json_boolean(*(const bool *)seen(options, value->at));
}

const struct option_kind kind_flag = {take_flag, say_flag};

static void take_cpus(struct argp_state *state, struct options *options,
                      const struct option_value *value, char *text)
{
    cpu_set_t set;
    if (cpus_parse(&set, text) < 0 || !cpus_allowed(&set))
        argp_error(state, "%s: needs CPUs that this process may use, as 0,2-5", text);
    snprintf(place(options, value->at), CPUS_TEXT_MAX, "%s", text);
}

static json_t *say_cpus(const struct options *options, const struct option_value *value)
{
    return json_string(seen(options, value->at));
}

const struct option_kind kind_cpus = {take_cpus, say_cpus};

static double percent_of(struct argp_state *state, const char *text, char **ret_end)
{
    double value = strtod(text, ret_end);
    if (*ret_end == text || !(value >= 0 && value <= 100))
        argp_error(state, "%s: needs a share from 0 to 100, as 1 or 0.5", text);
    return value;
}

static void take_percent(struct argp_state *state, struct options *options,
                         const struct option_value *value, char *text)
{
    char *end;
    double percent = percent_of(state, text, &end);
    if (*end != '\0')
        argp_error(state, "%s: needs a share from 0 to 100, as 1 or 0.5", text);
    *(double *)place(options, value->at) = percent;
}

static json_t *say_percent(const struct options *options, const struct option_value *value)
{
    return json_real(*(const double *)seen(options, value->at));
}

const struct option_kind kind_percent = {take_percent, say_percent};

/* ---- of one option each ---- */

static void take_clients(struct argp_state *state, struct options *options,
                         const struct option_value *value, char *text)
{
    (void)value;
    if (strcmp(text, "kernel") != 0 && strcmp(text, "socketless") != 0)
        argp_error(state, "%s: there are kernel and socketless", text);
    options->socketless = *text == 's';
}

static json_t *say_clients(const struct options *options, const struct option_value *value)
{
    (void)value;
    return json_string(options->socketless ? "socketless" : "kernel");
}

const struct option_kind kind_clients = {take_clients, say_clients};

static void take_loss(struct argp_state *state, struct options *options,
                      const struct option_value *value, char *text)
{
    (void)value;
    char *end;
    options->loss_percent = percent_of(state, text, &end);
    options->loss_burst = 1;
    if (*end == ',')
        options->loss_burst = strtod(end + 1, &end);
    if (*end != '\0' || !(options->loss_burst >= 1 && options->loss_burst <= LOSS_BURST_MAX))
        argp_error(state, "%s: needs a share, and how many are lost in a row, as 1 or 1,5", text);
}

static json_t *say_loss(const struct options *options, const struct option_value *value)
{
    (void)value;
    struct said said = {0};
    add(&said, "", "%g%%", options->loss_percent);
    if (options->loss_burst > 1)
        add(&said, "", ", %g in a row", options->loss_burst);
    return json_string(said.text);
}

const struct option_kind kind_loss = {take_loss, say_loss};

static void take_tcp_option(struct argp_state *state, struct options *options,
                            const struct option_value *value, const char *part)
{
    (void)value;
    if (strcmp(part, "timestamps") == 0)
        options->timestamps = true;
    else if (strcmp(part, "sack") == 0)
        options->sack = true;
    else if (strcmp(part, "window-scale") == 0)
        options->window_scale = true;
    else if (strcmp(part, "none") == 0)
        options->timestamps = options->sack = options->window_scale = false;
    else
        argp_error(state, "%s: there are timestamps, sack, window-scale and none", part);
}

static void take_tcp_options(struct argp_state *state, struct options *options,
                             const struct option_value *value, char *text)
{
    each_of(state, options, value, text, take_tcp_option);
}

static json_t *say_tcp_options(const struct options *options, const struct option_value *value)
{
    (void)value;
    struct said said = {0};
    if (options->timestamps)
        add(&said, ", ", "timestamps");
    if (options->sack)
        add(&said, ", ", "sack");
    if (options->window_scale)
        add(&said, ", ", "window-scale");
    return json_string(said.text[0] ? said.text : "none");
}

const struct option_kind kind_tcp_options = {take_tcp_options, say_tcp_options};

static void take_transport(struct argp_state *state, struct options *options,
                           const struct option_value *value, const char *part)
{
    (void)value;
    const struct protocol *transport = protocol_find(part, strlen(part));
    if (!transport)
        argp_error(state, "%s: there are %s", part, options_transports());
    else
        options->transports[next_of(state, &options->transport_count, OPTIONS_LIST_MAX)] =
            transport;
}

static void take_transports(struct argp_state *state, struct options *options,
                            const struct option_value *value, char *text)
{
    options->transport_count = 0;
    each_of(state, options, value, text, take_transport);
}

static json_t *say_transports(const struct options *options, const struct option_value *value)
{
    (void)value;
    struct said said = {0};
    for (unsigned i = 0; i < options->transport_count; i++)
        add(&said, ", ", "%s", options->transports[i]->name);
    return json_string(said.text);
}

const struct option_kind kind_transports = {take_transports, say_transports};

static void take_loop(struct argp_state *state, struct options *options,
                      const struct option_value *value, const char *part)
{
    (void)value;
    enum bare_loop loop;
    if (strcmp(part, "ceiling") == 0)
        for (int i = 0; i < BARE_LOOP_COUNT; i++)
            options->against[i] = true;
    else if (strcmp(part, "none") == 0)
        memset(options->against, 0, sizeof options->against);
    else if (bare_loop_parse(part, strlen(part), &loop))
        options->against[loop] = true;
    else
        argp_error(state, "%s: there are bare-send, bare-uring, bare-coalesce, ceiling and none",
                   part);
}

static void take_against(struct argp_state *state, struct options *options,
                         const struct option_value *value, char *text)
{
    memset(options->against, 0, sizeof options->against);
    each_of(state, options, value, text, take_loop);
}

static json_t *say_against(const struct options *options, const struct option_value *value)
{
    (void)value;
    struct said said = {0};
    for (int i = 0; i < BARE_LOOP_COUNT; i++)
        if (options->against[i])
            add(&said, ", ", "%s", bare_loop_name((enum bare_loop)i));
    return json_string(said.len > 0 ? said.text : "none");
}

const struct option_kind kind_against = {take_against, say_against};

static void take_cipher(struct argp_state *state, struct options *options,
                        const struct option_value *value, const char *part)
{
    (void)value;
    enum tls_cipher cipher;
    if (options->tls_cipher_count < TLS_CIPHER_COUNT &&
        options_cipher_parse(part, strlen(part), &cipher))
        options->tls_ciphers[options->tls_cipher_count++] = cipher;
    else
        argp_error(state, "%s: there are gcm, gcm256 and chacha20, each once", part);
}

static void take_ciphers(struct argp_state *state, struct options *options,
                         const struct option_value *value, char *text)
{
    options->tls_cipher_count = 0;
    each_of(state, options, value, text, take_cipher);
}

static json_t *say_ciphers(const struct options *options, const struct option_value *value)
{
    (void)value;
    struct said said = {0};
    for (unsigned i = 0; i < options->tls_cipher_count; i++)
        add(&said, ", ", "%s", options_cipher_name(options->tls_ciphers[i]));
    return json_string(said.text);
}

const struct option_kind kind_ciphers = {take_ciphers, say_ciphers};

static void take_version(struct argp_state *state, struct options *options,
                         const struct option_value *value, char *text)
{
    (void)value;
    options->tls_12 = strcmp(text, "1.2") == 0;
    if (!options->tls_12 && strcmp(text, "1.3") != 0)
        argp_error(state, "%s: there are 1.2 and 1.3", text);
}

static json_t *say_version(const struct options *options, const struct option_value *value)
{
    (void)value;
    return json_string(options->tls_12 ? "1.2" : "1.3");
}

const struct option_kind kind_version = {take_version, say_version};

static void take_step(struct argp_state *state, struct options *options,
                      const struct option_value *value, char *text)
{
    (void)value;
    char *end;
    options->step_factor = 0;
    options->step_add = 0;
    if (*text == '+') {
        options->step_add = number_of(state, text + 1, 1, OPTIONS_CLIENTS_MAX);
        return;
    }
    options->step_factor = strtod(text, &end);
    if (end == text || *end != '\0' ||
        !(options->step_factor >= STEP_FACTOR_MIN && options->step_factor <= STEP_FACTOR_MAX))
        argp_error(state, "%s: needs a factor from %g to %g, or +N", text, STEP_FACTOR_MIN,
                   STEP_FACTOR_MAX);
}

static json_t *say_step(const struct options *options, const struct option_value *value)
{
    (void)value;
    struct said said = {0};
    if (options->step_add > 0)
        add(&said, "", "+%u", options->step_add);
    else
        add(&said, "", "%g", options->step_factor);
    return json_string(said.text);
}

const struct option_kind kind_step = {take_step, say_step};

static void take_drop(struct argp_state *state, struct options *options,
                      const struct option_value *value, char *text)
{
    (void)value;
    if (strcmp(text, "rst") != 0 && strcmp(text, "fin") != 0)
        argp_error(state, "%s: connections end by rst or by fin", text);
    options->drop_orderly = *text == 'f';
}

static json_t *say_drop(const struct options *options, const struct option_value *value)
{
    (void)value;
    return json_string(options->drop_orderly ? "fin" : "rst");
}

const struct option_kind kind_drop = {take_drop, say_drop};

static void take_target(struct argp_state *state, struct sockaddr_in *ret, const char *text)
{
    if (options_address(text, ret) < 0)
        argp_error(state, "%s: needs an IPv4 address and a port, as 127.0.0.1:8080", text);
}

static void take_address(struct argp_state *state, struct options *options,
                         const struct option_value *value, char *text)
{
    take_target(state, &options->target, text);
    take_text(state, options, value, text);
}

const struct option_kind kind_address = {take_address, say_text};

static void take_tls_address(struct argp_state *state, struct options *options,
                             const struct option_value *value, char *text)
{
    take_target(state, &options->tls_target, text);
    take_text(state, options, value, text);
}

const struct option_kind kind_tls_address = {take_tls_address, say_text};
