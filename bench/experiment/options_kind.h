/* options_kind: what an option may be: how its text is read, and how its value is said.
 *
 * Idea     A row of OPTIONS_TABLE names its kind, where the value is kept, and its
 *          bounds. Parser, help and the settings of a run are made of that.
 * Threads  one, before anything runs.
 * Memory   text points into argv.
 * Errors   argp_error, which ends the process with a sentence. */
#pragma once

#include <argp.h>
#include <jansson.h>
#include <stddef.h>

#include "experiment/options.h"

struct option_value;

struct option_kind {
    void (*take)(struct argp_state *state, struct options *options,
                 const struct option_value *value, char *text);
    /* A new reference; NULL: there is nothing to say. */
    json_t *(*say)(const struct options *options, const struct option_value *value);
};

struct option_value {
    const struct option_kind *kind;
    size_t at, count_at; /* in struct options; of a list also how many there are */
    uint32_t least, most;
    const char *words; /* what 0 stands for where it is no number; or what is between texts */
};

extern const struct option_kind kind_number, kind_milliseconds, kind_numbers, kind_rates, kind_text,
    kind_texts, kind_flag, kind_cpus, kind_percent;
/* Of one option each. */
extern const struct option_kind kind_transports, kind_against, kind_ciphers, kind_step, kind_drop,
    kind_address, kind_tls_address, kind_clients, kind_loss, kind_version, kind_tcp_options;
