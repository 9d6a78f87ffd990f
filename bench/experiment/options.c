#include "experiment/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "load/payload.h"
#include "measure/clock.h"

enum {
    KEY_SERVER = 2000,
    KEY_ADDRESS,
    KEY_TLS_ADDRESS,
    KEY_SERVER_CPUS,
    KEY_CLIENT_CPUS,
    KEY_SHARDS,
    KEY_SET,
    KEY_RESULTS,
    KEY_JSON,
    KEY_PLAIN,
    KEY_QUIET,
    KEY_BRIEF,
    GROUP_SERVER = 100,
    GROUP_OUTPUT,
    HOUR_MS = 3600 * 1000,
    DAY_S = 24 * 3600,
    MESSAGE_MAX = 16 * 1024 * 1024,
    RELAY_MS_MAX = 60000,
};

static const double STEP_FACTOR_MIN = 1.05, STEP_FACTOR_MAX = 100;

static const struct argp_option common_options[] = {
    {0, 0, 0, 0, "The server:", GROUP_SERVER},
    {"server", KEY_SERVER, "PATH", 0, "ringside-server to start (default: of this build)", 0},
    {"address", KEY_ADDRESS, "HOST:PORT", 0,
     "Measure a server that runs already. It must allow publishing on a WebSocket", 0},
    {"tls-address", KEY_TLS_ADDRESS, "HOST:PORT", 0,
     "Where the server at --address has TLS, for --tls", 0},
    {"server-cpus", KEY_SERVER_CPUS, "LIST", 0, "CPUs of the server (default: the first)", 0},
    {"client-cpus", KEY_CLIENT_CPUS, "LIST", 0, "CPUs of the clients (default: the second)", 0},
    {"shards", KEY_SHARDS, "N", 0, "Shards of the server (default: one per CPU it has)", 0},
    {"set", KEY_SET, "NAME=VALUE", 0, "A setting of the server; may be repeated", 0},
    {0, 0, 0, 0, "What is left behind:", GROUP_OUTPUT},
    {"results", KEY_RESULTS, "DIR", 0,
     "Where the folder of this run goes (default: runs/ of the repository); none: nowhere", 0},
    {"json", KEY_JSON, "FILE", 0, "Write run.json here as well", 0},
    {"plain", KEY_PLAIN, 0, 0, "While it runs: lines of text, on a terminal too", 0},
    {"quiet", KEY_QUIET, 0, 0, "While it runs: nothing", 0},
    {"brief", KEY_BRIEF, 0, 0, "No tables when it is over", 0},
    {0},
};

struct option_row {
    int key;
    const char *name;
    const char *argument;
    const char *help;
};

#define OPTIONS_ROW(id, key, name, argument, help) {key, name, argument, help},
static const struct option_row rows[] = {OPTIONS_TABLE(OPTIONS_ROW)};

void options_default(struct options *options)
{
    *options = (struct options){
        .message_bytes = 128,
        .turn_ms = 1000,
        .streams_each = 1,
        .warmup_turns = 1,
        .poll_interval_ms = 500,
        .tls_ciphers = {TLS_AES_128_GCM, TLS_CHACHA20_POLY1305},
        .tls_cipher_count = 2,
    };
    cpus_default(options->server_cpus, options->client_cpus);
}

/* ---- values ---- */

static uint32_t number_of(struct argp_state *state, const char *text, uint32_t low, uint32_t high)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || *text == '-' || value < low || value > high)
        argp_error(state, "%s: needs a whole number from %u to %u", text, low, high);
    return (uint32_t)value;
}

/* Calls `take` for each part of a list with commas. */
static void each_of(struct argp_state *state, const char *list,
                    void (*take)(struct argp_state *, const char *part, size_t len))
{
    while (*list) {
        size_t len = strcspn(list, ",");
        take(state, list, len);
        list += len + (list[len] == ',');
    }
}

static void take_depth(struct argp_state *state, const char *part, size_t len)
{
    struct options *options = state->input;
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)len, part);
    if (options->depth_count == OPTIONS_LIST_MAX)
        argp_error(state, "at most %d depths", OPTIONS_LIST_MAX);
    else
        options->depths[options->depth_count++] = number_of(state, text, 1, LOAD_FLIGHTS / 2);
}

static void take_rate(struct argp_state *state, const char *part, size_t len)
{
    struct options *options = state->input;
    char text[32], *end;
    snprintf(text, sizeof text, "%.*s", (int)len, part);
    double rate = strtod(text, &end);
    if (*end != '\0' || !(rate > 0) || rate > 1e6)
        argp_error(state, "%s: needs a rate above 0", text);
    else if (options->rate_count == OPTIONS_LIST_MAX)
        argp_error(state, "at most %d rates", OPTIONS_LIST_MAX);
    else
        options->rates[options->rate_count++] = rate;
}

static void take_rtt(struct argp_state *state, const char *part, size_t len)
{
    struct options *options = state->input;
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)len, part);
    if (options->rtt_count == OPTIONS_LIST_MAX)
        argp_error(state, "at most %d round-trip times", OPTIONS_LIST_MAX);
    else
        options->rtts[options->rtt_count++] = number_of(state, text, 0, RELAY_MS_MAX);
}

static void take_count(struct argp_state *state, const char *part, size_t len)
{
    struct options *options = state->input;
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)len, part);
    if (options->count_count == OPTIONS_LIST_MAX)
        argp_error(state, "at most %d counts of subscribers", OPTIONS_LIST_MAX);
    else
        options->counts[options->count_count++] = number_of(state, text, 1, OPTIONS_CLIENTS_MAX);
}

static void take_transport(struct argp_state *state, const char *part, size_t len)
{
    struct options *options = state->input;
    const struct protocol *transport = protocol_find(part, len);
    if (!transport)
        argp_error(state, "%.*s: there are %s", (int)len, part, options_transports());
    else if (options->transport_count == OPTIONS_LIST_MAX)
        argp_error(state, "at most %d transports", OPTIONS_LIST_MAX);
    else
        options->transports[options->transport_count++] = transport;
}

static void take_against(struct argp_state *state, const char *part, size_t len)
{
    struct options *options = state->input;
    enum bare_loop loop;
    if (len == 7 && strncmp(part, "ceiling", len) == 0)
        for (int i = 0; i < BARE_LOOP_COUNT; i++)
            options->against[i] = true;
    else if (len == 4 && strncmp(part, "none", len) == 0)
        memset(options->against, 0, sizeof options->against);
    else if (bare_loop_parse(part, len, &loop))
        options->against[loop] = true;
    else
        argp_error(state, "%.*s: there are bare-send, bare-uring, bare-coalesce, ceiling and none",
                   (int)len, part);
}

static void take_cipher(struct argp_state *state, const char *part, size_t len)
{
    struct options *options = state->input;
    enum tls_cipher cipher;
    if (options->tls_cipher_count < TLS_CIPHER_COUNT && options_cipher_parse(part, len, &cipher))
        options->tls_ciphers[options->tls_cipher_count++] = cipher;
    else
        argp_error(state, "%.*s: there are gcm, gcm256 and chacha20, each once", (int)len, part);
}

static void take_address(struct argp_state *state, struct sockaddr_in *ret, const char *text)
{
    if (options_address(text, ret) < 0)
        argp_error(state, "%s: needs an IPv4 address and a port, as 127.0.0.1:8080", text);
}

static void take_cpus(struct argp_state *state, char ret[CPUS_TEXT_MAX], const char *text)
{
    cpu_set_t set;
    if (cpus_parse(&set, text) < 0 || !cpus_allowed(&set))
        argp_error(state, "%s: needs CPUs that this process may use, as 0,2-5", text);
    snprintf(ret, CPUS_TEXT_MAX, "%s", text);
}

static void take_step(struct argp_state *state, const char *text)
{
    struct options *options = state->input;
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

/* ---- parsing ---- */

static error_t parse_common(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_SERVER:
        options->server = text;
        return 0;
    case KEY_ADDRESS:
        take_address(state, &options->target, text);
        options->address = text;
        return 0;
    case KEY_TLS_ADDRESS:
        take_address(state, &options->tls_target, text);
        options->tls_address = text;
        return 0;
    case KEY_SERVER_CPUS:
        take_cpus(state, options->server_cpus, text);
        return 0;
    case KEY_CLIENT_CPUS:
        take_cpus(state, options->client_cpus, text);
        return 0;
    case KEY_SHARDS:
        options->shards = number_of(state, text, 1, 256);
        return 0;
    case KEY_SET:
        if (options->set_count == OPTIONS_SETS_MAX)
            argp_error(state, "at most %d settings", OPTIONS_SETS_MAX);
        options->sets[options->set_count++] = text;
        return 0;
    case KEY_RESULTS:
        options->results = text;
        return 0;
    case KEY_JSON:
        options->json = text;
        return 0;
    case KEY_BRIEF:
        options->brief = true;
        return 0;
    case KEY_PLAIN:
    case KEY_QUIET:
        options->show = key == KEY_QUIET ? SHOW_NOTHING : SHOW_LINES;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Options that are one whole number: where it is kept, what it may be, and what 0 stands for where
 * it is not a number. */
static const struct number_row {
    enum option_id id;
    size_t offset;
    uint32_t low, high;
    const char *zero;
} numbers[] = {
    {OPTION_SUBSCRIBERS, offsetof(struct options, subscribers), 1, OPTIONS_CLIENTS_MAX, NULL},
    {OPTION_SIZE, offsetof(struct options, message_bytes), PAYLOAD_HEAD_SIZE, MESSAGE_MAX, NULL},
    {OPTION_TURNS, offsetof(struct options, turns), 1, 10000, NULL},
    {OPTION_TURN_MS, offsetof(struct options, turn_ms), 10, HOUR_MS, NULL},
    {OPTION_WARMUP, offsetof(struct options, warmup_turns), 0, 1000, NULL},
    {OPTION_POLL_INTERVAL, offsetof(struct options, poll_interval_ms), 10, HOUR_MS, NULL},
    {OPTION_CONNECTIONS, offsetof(struct options, connections), 1, OPTIONS_CLIENTS_MAX, NULL},
    {OPTION_UNDER_WAY, offsetof(struct options, connections), 1, 1000, NULL},
    {OPTION_STREAMS_EACH, offsetof(struct options, streams_each), 1, LOAD_STREAMS_MAX, NULL},
    {OPTION_SECONDS, offsetof(struct options, seconds), 1, 7 * DAY_S, NULL},
    {OPTION_HEARTBEAT, offsetof(struct options, heartbeat_ms), 100, HOUR_MS, "the server's"},
    {OPTION_CHURN, offsetof(struct options, churn_per_s), 1, 1000000, NULL},
    {OPTION_FROM, offsetof(struct options, from), 1, OPTIONS_CLIENTS_MAX, NULL},
    {OPTION_TO, offsetof(struct options, to), 1, OPTIONS_CLIENTS_MAX, "what this machine holds"},
    {OPTION_HOLD, offsetof(struct options, seconds), 1, DAY_S, NULL},
    {OPTION_BROADCAST, offsetof(struct options, broadcast_s), 1, 3600, NULL},
    {OPTION_ADMIT, offsetof(struct options, admits_per_s), 1, 10000000, NULL},
    {OPTION_STALLED, offsetof(struct options, stalled_percent), 1, 90, NULL},
    {OPTION_VANISHED, offsetof(struct options, vanished), 1, 15000, NULL},
    {OPTION_QUEUE, offsetof(struct options, queue_bytes), 1024, 1u << 30, NULL},
    {OPTION_LIVE, offsetof(struct options, live), 1, OPTIONS_CLIENTS_MAX, "a tenth, at most 2000"},
    {OPTION_GIVE_UP, offsetof(struct options, give_up_s), 1, 3600, NULL},
    {OPTION_RTT, offsetof(struct options, rtt_ms), 0, RELAY_MS_MAX, NULL},
    {OPTION_JITTER, offsetof(struct options, jitter_ms), 0, RELAY_MS_MAX, NULL},
    {OPTION_SEARCH, offsetof(struct options, seconds), 1, DAY_S, NULL},
    {OPTION_ATTACKERS, offsetof(struct options, attackers), 1, 20000, NULL},
    {OPTION_BOUND, offsetof(struct options, bound_ms), 1, HOUR_MS, NULL},
};

static const struct number_row *number_row_of(enum option_id id)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].id == id)
            return &numbers[i];
    return NULL;
}

static error_t parse_listed(enum option_id id, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    const struct number_row *row = number_row_of(id);
    if (row) {
        uint32_t value = number_of(state, text, row->low, row->high);
        memcpy((char *)options + row->offset, &value, sizeof value);
    } else if (id == OPTION_DEPTH) {
        options->depth_count = 0;
        options->depths_given = true;
        each_of(state, text, take_depth);
    } else if (id == OPTION_RATE) {
        options->rate_count = 0;
        if (!options->depths_given)
            options->depth_count = 0;
        each_of(state, text, take_rate);
    } else if (id == OPTION_TRANSPORT) {
        options->transport_count = 0;
        each_of(state, text, take_transport);
    } else if (id == OPTION_AGAINST) {
        memset(options->against, 0, sizeof options->against);
        each_of(state, text, take_against);
    } else if (id == OPTION_STEP) {
        take_step(state, text);
    } else if (id == OPTION_DROP) {
        if (strcmp(text, "rst") != 0 && strcmp(text, "fin") != 0)
            argp_error(state, "%s: connections end by rst or by fin", text);
        options->drop_orderly = *text == 'f';
    } else if (id == OPTION_TLS) {
        options->tls = true;
    } else if (id == OPTION_TLS_RESUME) {
        options->tls = options->tls_resume = true;
    } else if (id == OPTION_TLS_RESUME_RAMP) {
        options->tls = options->tls_resume_ramp = true;
    } else if (id == OPTION_TLS_CIPHER) {
        options->tls = true;
        options->tls_cipher_count = 0;
        each_of(state, text, take_cipher);
    } else if (id == OPTION_RTTS) {
        options->rtt_count = 0;
        each_of(state, text, take_rtt);
    } else if (id == OPTION_COUNTS) {
        options->count_count = 0;
        each_of(state, text, take_count);
    } else if (!options_peer_parse(options, id, text, state)) {
        return ARGP_ERR_UNKNOWN;
    }
    options->given |= UINT64_C(1) << id;
    return 0;
}

/* The experiment whose command line is being parsed: argp hands its parsers one pointer, and that
 * is the options. */
static const struct options_use *current;

static error_t parse_any(int key, char *text, struct argp_state *state)
{
    for (const enum option_id *id = current->ids; *id != OPTION_COUNT; id++)
        if (rows[*id].key == key)
            return parse_listed(*id, text, state);
    if (key == ARGP_KEY_ARG)
        argp_error(state, "%s: an experiment takes options only", text);
    return parse_common(key, text, state);
}

/* ---- settings of the result ---- */

static json_t *number_value(const struct options *options, const struct number_row *row)
{
    uint32_t value;
    memcpy(&value, (const char *)options + row->offset, sizeof value);
    return value == 0 && row->zero ? json_string(row->zero) : json_integer(value);
}

static json_t *value_of(const struct options *options, enum option_id id)
{
    char text[1024] = "";
    size_t len = 0;
    const struct number_row *row = number_row_of(id);
    if (row)
        return number_value(options, row);
    if (id == OPTION_DEPTH)
        for (unsigned i = 0; i < options->depth_count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %u" : "%u",
                                    options->depths[i]);
    else if (id == OPTION_RATE)
        for (unsigned i = 0; i < options->rate_count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %g" : "%g",
                                    options->rates[i]);
    else if (id == OPTION_RTTS)
        for (unsigned i = 0; i < options->rtt_count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %u" : "%u",
                                    options->rtts[i]);
    else if (id == OPTION_COUNTS)
        for (unsigned i = 0; i < options->count_count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %u" : "%u",
                                    options->counts[i]);
    else if (id == OPTION_TRANSPORT)
        for (unsigned i = 0; i < options->transport_count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %s" : "%s",
                                    options->transports[i]->name);
    else if (id == OPTION_AGAINST)
        for (int i = 0; i < BARE_LOOP_COUNT; i++) {
            if (options->against[i])
                len += (size_t)snprintf(text + len, sizeof text - len, len ? ", %s" : "%s",
                                        bare_loop_name((enum bare_loop)i));
        }
    else if (id == OPTION_DROP)
        snprintf(text, sizeof text, "%s", options->drop_orderly ? "fin" : "rst");
    else if (id == OPTION_TLS_CIPHER)
        for (unsigned i = 0; i < options->tls_cipher_count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %s" : "%s",
                                    options_cipher_name(options->tls_ciphers[i]));
    else if (!options_peer_value(options, id, text, sizeof text))
        snprintf(text, sizeof text, options->step_add ? "+%.0f" : "%g",
                 options->step_add ? options->step_add : options->step_factor);
    return json_string(id == OPTION_AGAINST && !*text ? "none" : text);
}

/* The report knows these by the name and unit of the schema. */
static json_t *in_seconds(uint32_t ms)
{
    return json_real(ms / 1e3);
}

/* Of a run without TLS none is there, as before there was any. */
static void set_tls(json_t *settings, const struct options *options, enum option_id id)
{
    if (!options->tls)
        return;
    if (id == OPTION_TLS)
        json_object_set_new(settings, "tls", json_true());
    else if (id == OPTION_TLS_RESUME)
        json_object_set_new(settings, "tls_resume", json_boolean(options->tls_resume));
    else if (id == OPTION_TLS_RESUME_RAMP)
        json_object_set_new(settings, "tls_resume_ramp", json_boolean(options->tls_resume_ramp));
    else
        json_object_set_new(settings, "tls_cipher", value_of(options, id));
}

static void set_listed(json_t *settings, const struct options *options, enum option_id id)
{
    static const char *const names[] = {
        [OPTION_SUBSCRIBERS] = "subscribers",
        [OPTION_SIZE] = "message_bytes",
        [OPTION_TURNS] = "turns",
        [OPTION_TURN_MS] = "turn_s",
        [OPTION_WARMUP] = "warmup_rounds",
        [OPTION_DEPTH] = "depth",
        [OPTION_RATE] = "rate_per_s",
        [OPTION_TRANSPORT] = "transports",
        [OPTION_AGAINST] = "against",
        [OPTION_POLL_INTERVAL] = "poll_interval_s",
        [OPTION_CONNECTIONS] = "connections",
        [OPTION_UNDER_WAY] = "under_way",
        [OPTION_STREAMS_EACH] = "streams_per_connection",
        [OPTION_SECONDS] = "hold_s",
        [OPTION_HEARTBEAT] = "heartbeat_ms",
        [OPTION_CHURN] = "churn_per_s",
        [OPTION_FROM] = "from",
        [OPTION_TO] = "to",
        [OPTION_STEP] = "step",
        [OPTION_HOLD] = "hold_s",
        [OPTION_BROADCAST] = "broadcast_s",
        [OPTION_ADMIT] = "admits_per_s",
        [OPTION_STALLED] = "stalled_percent",
        [OPTION_QUEUE] = "queue_bytes_max",
        [OPTION_VANISHED] = "vanished",
        [OPTION_LIVE] = "live",
        [OPTION_DROP] = "drop",
        [OPTION_GIVE_UP] = "give_up_s",
        [OPTION_RTT] = "rtt_ms",
        [OPTION_RTTS] = "rtt_ms",
        [OPTION_JITTER] = "jitter_ms",
        [OPTION_BOUND] = "bound_ms",
        [OPTION_SEARCH] = "search_s",
        [OPTION_PEER] = "peers",
        [OPTION_PEER_URL] = "peer_url",
        [OPTION_PEER_SUBSCRIBE] = "peer_subscribe",
        [OPTION_PEER_PUBLISH_URL] = "peer_publish_url",
        [OPTION_PEER_PUBLISH] = "peer_publish",
        [OPTION_COUNTS] = "subscribers",
        [OPTION_STREAM] = "streams",
        [OPTION_ATTACK] = "attacks",
        [OPTION_ATTACKERS] = "attackers_max",
    };
    if (id >= OPTION_PEER && id <= OPTION_PEER_PUBLISH && !options_given(options, id))
        return;
    if (id == OPTION_LIST || (id == OPTION_ATTACK && !options->attacks))
        return;
    if (id >= OPTION_TLS && id <= OPTION_TLS_RESUME_RAMP) {
        set_tls(settings, options, id);
        return;
    }
    json_t *value = id == OPTION_TURN_MS         ? in_seconds(options->turn_ms)
                    : id == OPTION_POLL_INTERVAL ? in_seconds(options->poll_interval_ms)
                                                 : value_of(options, id);
    json_object_set_new(settings, names[id], value);
}

json_t *options_json(const struct options *options, const struct options_use *use)
{
    char text[1024] = "";
    size_t len = 0;
    json_t *settings = json_object();
    for (const enum option_id *id = use->ids; *id != OPTION_COUNT; id++)
        set_listed(settings, options, *id);
    json_object_set_new(settings, "shards", json_integer(options->shards));
    json_object_set_new(settings, "server_cpus", json_string(options->server_cpus));
    json_object_set_new(settings, "client_cpus", json_string(options->client_cpus));
    if (options->address)
        json_object_set_new(settings, "address", json_string(options->address));
    for (unsigned i = 0; i < options->set_count && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, i ? "; %s" : "%s", options->sets[i]);
    if (options->set_count > 0)
        json_object_set_new(settings, "server_settings", json_string(text));
    return settings;
}

/* ---- help ---- */

enum {
    HELP_MAX = 256,
};

/* Each with its default, if it has a value, in the order in which the experiment lists them. */
static size_t list_options(const struct options *options, const struct options_use *use,
                           struct argp_option *ret)
{
    static char helps[OPTION_COUNT][HELP_MAX];
    size_t count = 0;
    for (const enum option_id *id = use->ids; *id != OPTION_COUNT; id++, count++) {
        json_t *value = value_of(options, *id);
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        const char *shown = json_is_string(value) ? json_string_value(value) : text;
        const char *help = *id == OPTION_TRANSPORT ? options_transports() : rows[*id].help;
        snprintf(helps[count], HELP_MAX, *shown && rows[*id].argument ? "%s (default: %s)" : "%s",
                 help, shown);
        ret[count] = (struct argp_option){rows[*id].name, rows[*id].key, rows[*id].argument, 0,
                                          helps[count],   (int)count + 1};
        free(text);
        json_decref(value);
    }
    return count;
}

/* argp would take --tls for the beginning of --tls-address. */
static void refuse_tls(const struct options_use *use, const char *name, int argc, char **argv)
{
    for (const enum option_id *id = use->ids; *id != OPTION_COUNT; id++)
        if (*id == OPTION_TLS || *id == OPTION_TLS_CIPHER)
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
    struct argp_option list[OPTION_COUNT + sizeof common_options / sizeof common_options[0]];
    static char program[64]; /* argv keeps it */
    char text[4096];
    size_t count = list_options(options, use, list);
    memcpy(list + count, common_options, sizeof common_options);
    snprintf(program, sizeof program, "ringside-bench %s", name);
    snprintf(text, sizeof text, "%s\v%s", use->summary, use->details);
    const struct argp argp = {list, parse_any, NULL, text, NULL, NULL, NULL};
    refuse_tls(use, name, argc, argv);
    current = use;
    argv[0] = program;
    argp_parse(&argp, argc, argv, 0, NULL, options);
}
