#include "output/json.h"

#include <inttypes.h>

#include "config.h"
#include "core/build_info.h"
#include "output/figure.h"

static const double percents[] = {0,     10,    20,    30,    40,    50,     60,     70,
                                  75,    80,    85,    90,    92,    94,     95,     96,
                                  97,    98,    99,    99.3,  99.5,  99.7,   99.8,   99.9,
                                  99.93, 99.95, 99.97, 99.98, 99.99, 99.995, 99.999, 100};

static void set_cost(json_t *object, const char *name, int64_t ns)
{
    if (ns >= 0)
        json_object_set_new(object, name, figure_seconds(ns));
}

static void set_share(json_t *object, const char *side, const char *what, double share)
{
    char name[64];
    snprintf(name, sizeof name, "%s_%s_share", side, what);
    if (share >= 0)
        json_object_set_new(object, name, figure_number(share, 1e-4));
}

static void set_side(json_t *object, const char *name, const struct strain_side *side)
{
    set_cost(object, name[0] == 's' ? "server_waited_s" : "client_waited_s", side->waited_ns);
    set_share(object, name, "steal", side->steal);
    set_share(object, name, "softirq", side->softirq);
}

static json_t *of_turn(const struct contestant *contestant, const struct turn *turn)
{
    const struct load_turn *load = &turn->load;
    json_t *object = json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "round", (int)turn->round, "start_s",
        figure_number(turn->start_s, 1e-3), "elapsed_s", figure_seconds(load->elapsed_ns),
        "publishes", figure_count(load->publishes), "deliveries", figure_count(load->deliveries),
        "down_bytes", figure_count(load->bytes_in), "up_bytes", figure_count(load->bytes_out),
        "server_cpu_s", figure_seconds(turn->server_cpu_ns), "client_cpu_s",
        figure_seconds(load->client_cpu_ns));
    if (load->burst_ns > 0) {
        json_object_set_new(object, "burst_s", figure_seconds(load->burst_ns));
        json_object_set_new(object, "burst_client_cpu_s", figure_seconds(load->burst_cpu_ns));
    }
    if (turn->p50_ns > 0) {
        json_object_set_new(object, "p50_ns", figure_count(turn->p50_ns));
        json_object_set_new(object, "p99_ns", figure_count(turn->p99_ns));
    }
    if (turn->strain.known) {
        json_object_set_new(object, "server_elapsed_s", figure_seconds(turn->strain.elapsed_ns));
        set_side(object, "server", &turn->strain.server);
        set_side(object, "client", &turn->strain.client);
        json_object_set_new(object, "server_process_cpu_s",
                            figure_seconds(turn->strain.cost.process_ns));
        set_cost(object, "server_softirqd_s", turn->strain.cost.softirqd_ns);
        set_cost(object, "server_others_s", strain_others_ns(&turn->strain.cost));
    }
    if (turn->segments.in > 0) {
        json_object_set_new(object, "segments_in", figure_count(turn->segments.in));
        json_object_set_new(object, "segments_out", figure_count(turn->segments.out));
        json_object_set_new(object, "segments_needless", figure_count(turn->segments.needless));
    }
    if (load->visits > 0)
        json_object_set_new(object, "handshakes", figure_count(load->visits));
    if (contestant->has_requests) {
        json_object_set_new(object, "requests", figure_count(load->requests));
        json_object_set_new(object, "empty_answers", figure_count(load->empty_answers));
    }
    return object;
}

/* [low_ns, count] of those that are not empty. */
static json_t *of_buckets(const struct histogram *histogram)
{
    json_t *list = json_array();
    struct histogram_bucket bucket;
    size_t cursor = 0;
    while (histogram_next(histogram, &cursor, &bucket))
        json_array_append_new(
            list, json_pack("[o, o]", figure_count(bucket.low_ns), figure_count(bucket.count)));
    return list;
}

static json_t *of_histogram(const struct histogram *histogram)
{
    json_t *pairs = json_array();
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
        json_array_append_new(
            pairs, json_pack("[f, o]", percents[i],
                             figure_count(histogram_percentile(histogram, percents[i]))));
    json_t *out = json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "count", figure_count(histogram_count(histogram)), "min_ns",
        figure_count(histogram_min(histogram)), "max_ns", figure_count(histogram_max(histogram)),
        "mean_ns", figure_number(histogram_mean(histogram), 0.1), "percentiles", pairs);
    json_object_set_new(out, "buckets", of_buckets(histogram));
    return out;
}

static void set_latency(json_t *object, const struct contestant *contestant)
{
    json_t *latency = json_object();
    if (contestant->corrected && histogram_count(contestant->corrected) > 0)
        json_object_set_new(latency, "corrected", of_histogram(contestant->corrected));
    if (contestant->uncorrected && histogram_count(contestant->uncorrected) > 0)
        json_object_set_new(latency, "uncorrected", of_histogram(contestant->uncorrected));
    if (json_object_size(latency) > 0)
        json_object_set(object, "latency", latency);
    json_decref(latency);
}

static void set_memory(json_t *object, const struct contestant *contestant)
{
    const struct memory_growth *memory = contestant->memory;
    if (!memory || !memory->known || contestant->connections == 0)
        return;
    double user = memory->user_bytes > 0 ? (double)memory->user_bytes : 0;
    json_t *out = json_pack("{s:o, s:o}", "user_bytes_per_connection",
                            figure_number(user / contestant->connections, 0.1), "user_bytes",
                            figure_count((uint64_t)user));
    if (memory->peak_bytes > 0)
        json_object_set_new(
            out, "peak_user_bytes_per_connection",
            figure_number((double)memory->peak_bytes / contestant->connections, 0.1));
    if (memory->kernel_known) {
        json_t *list = json_array();
        int64_t sum = 0;
        for (unsigned i = 0; i < memory->slab.count; i++) {
            const struct slab_cache *cache = &memory->slab.caches[i];
            sum += cache->bytes;
            json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "cache", cache->name,
                                                  "objects", (json_int_t)cache->objects, "bytes",
                                                  (json_int_t)cache->bytes));
        }
        json_object_set_new(out, "kernel_bytes_per_connection",
                            figure_number((double)sum / contestant->connections, 0.1));
        json_object_set_new(out, "kernel_bytes", figure_count((uint64_t)sum));
        json_object_set_new(out, "kernel_ends", json_integer(memory->one_end ? 1 : 2));
        json_object_set_new(out, "slab", list);
    }
    json_object_set_new(object, "memory", out);
}

static void set_counts(json_t *object, const struct contestant *contestant)
{
    const struct load_ledger *ledger = &contestant->ledger;
    if (contestant->has_ledger)
        json_object_set_new(
            object, "ledger",
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "expected", figure_count(ledger->expected),
                      "delivered", figure_count(ledger->delivered), "lost",
                      figure_count(ledger->lost), "duplicate", figure_count(ledger->duplicate),
                      "out_of_order", figure_count(ledger->out_of_order), "corrupt",
                      figure_count(ledger->corrupt)));
    if (contestant->has_ledger && ledger->superseded > 0)
        json_object_set_new(json_object_get(object, "ledger"), "superseded",
                            figure_count(ledger->superseded));
    if (contestant->has_requests)
        json_object_set_new(object, "requests",
                            json_pack("{s:o, s:o, s:o}", "sent",
                                      figure_count(contestant->requests_sent), "answered",
                                      figure_count(contestant->requests_answered), "empty",
                                      figure_count(contestant->requests_empty)));
    if (contestant->has_connect)
        json_object_set_new(object, "connect",
                            json_pack("{s:o, s:o, s:o}", "opened",
                                      figure_count(contestant->connect.opened), "failed",
                                      figure_count(contestant->connect.failed), "elapsed_s",
                                      figure_seconds(contestant->connect.elapsed_ns)));
}

static void set_errors(json_t *object, const struct contestant *contestant)
{
    json_t *errors = json_object();
    for (int i = 0; i < LOAD_FAIL_COUNT; i++)
        if (contestant->errors[i] > 0)
            json_object_set_new(errors, load_failure_name((enum load_failure)i),
                                figure_count(contestant->errors[i]));
    if (json_object_size(errors) > 0)
        json_object_set(object, "errors", errors);
    json_decref(errors);
    if (contestant->closes > 0)
        json_object_set_new(object, "closes", figure_count(contestant->closes));
    if (contestant->counters)
        json_object_set(object, "counters", contestant->counters);
    if (contestant->notes)
        json_object_set(object, "notes", contestant->notes);
}

static const char *kind_name(enum contestant_kind kind)
{
    static const char *const names[] = {"transport", "ceiling", "peer"};
    return names[kind];
}

/* Of another contestant in the same workload: its figures are set beside that one's. */
static void set_name(json_t *object, const char *name, const struct contestant *other)
{
    if (other)
        json_object_set_new(object, name, json_string(other->name));
}

static void set_tls(json_t *object, const struct contestant *contestant)
{
    const struct tls_figures *tls = &contestant->tls;
    if (tls->cipher[0] == '\0')
        return;
    json_t *out = json_pack("{s:s, s:o, s:o}", "cipher", tls->cipher, "full",
                            figure_count(tls->full), "resumed", figure_count(tls->resumed));
    set_name(out, "plain", tls->plain);
    json_object_set_new(object, "tls", out);
}

static json_t *of_contestant(const struct contestant *contestant)
{
    json_t *turns = json_array();
    for (unsigned i = 0; i < contestant->turn_count; i++)
        json_array_append_new(turns, of_turn(contestant, &contestant->turns[i]));
    json_t *object =
        json_pack("{s:s, s:s, s:i}", "name", contestant->name, "kind", kind_name(contestant->kind),
                  "connections", (int)contestant->connections);
    if (contestant->subscribers > 0 && contestant->subscribers != contestant->connections)
        json_object_set_new(object, "subscribers", figure_count(contestant->subscribers));
    if (contestant->version[0])
        json_object_set_new(object, "version", json_string(contestant->version));
    if (contestant->workload[0])
        json_object_set_new(object, "workload", json_string(contestant->workload));
    if (contestant->server_cpus > 0)
        json_object_set_new(object, "server_cpus", figure_count(contestant->server_cpus));
    json_object_set_new(object, "payload_bytes", figure_count(contestant->payload_bytes));
    set_name(object, "ceiling", contestant->ceiling);
    set_tls(object, contestant);
    set_counts(object, contestant);
    set_memory(object, contestant);
    set_latency(object, contestant);
    json_object_update(object, contestant->figures);
    set_errors(object, contestant);
    json_object_set_new(object, "turns", turns);
    return object;
}

static json_t *of_sample(const struct sample *sample)
{
    json_t *object = json_pack("{s:o, s:s, s:i}", "t_s", figure_number(sample->t_s, 1e-3), "phase",
                               sample->phase, "connections", (int)sample->connections);
    if (!sample->only_connections) {
        json_object_set_new(object, "deliveries_per_s",
                            figure_number(sample->deliveries_per_s, 0.1));
        json_object_set_new(object, "server_cpu", figure_number(sample->server_cpu, 1e-4));
        json_object_set_new(object, "client_cpu", figure_number(sample->client_cpu, 1e-4));
    }
    if (sample->rss_bytes > 0)
        json_object_set_new(object, "rss_bytes", figure_count(sample->rss_bytes));
    if (sample->slab_bytes > 0)
        json_object_set_new(object, "slab_bytes", figure_count(sample->slab_bytes));
    if (sample->p99_ns > 0) {
        json_object_set_new(object, "p50_ns", figure_count(sample->p50_ns));
        json_object_set_new(object, "p99_ns", figure_count(sample->p99_ns));
    }
    if (sample->contestant[0])
        json_object_set_new(object, "contestant", json_string(sample->contestant));
    return object;
}

static json_t *of_time(time_t time)
{
    char text[32];
    struct tm utc;
    gmtime_r(&time, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_string(text);
}

json_t *json_of_build(const struct result *result, const char *commit, bool dirty)
{
    json_t *build =
        json_pack("{s:s, s:s, s:b, s:s, s:s}", "version", build_version, "commit", commit, "dirty",
                  dirty, "compiler", BENCH_COMPILER, "type", BENCH_BUILD_TYPE);
    if (result->server_source[0])
        json_object_set_new(build, "server", json_string(result->server_source));
    return build;
}

json_t *json_of_result(const struct result *result, const char *commit, bool dirty)
{
    json_t *contestants = json_array();
    json_t *timeline = json_array();
    for (unsigned i = 0; i < result->contestant_count; i++)
        json_array_append_new(contestants, of_contestant(result->contestants[i]));
    for (unsigned i = 0; i < result->sample_count; i++)
        json_array_append_new(timeline, of_sample(&result->samples[i]));

    json_t *run =
        json_pack("{s:s, s:s}", "schema", "ringside-run/2", "experiment", result->experiment);
    json_object_set_new(run, "command", json_string(result->command));
    json_object_set_new(run, "started_at", of_time(result->started_at));
    json_object_set_new(run, "duration_s", figure_number(result->duration_s, 1e-3));
    json_object_set_new(run, "interrupted", json_boolean(result->interrupted));
    json_object_set_new(run, "build", json_of_build(result, commit, dirty));
    json_object_set(run, "machine", result->machine);
    json_object_set(run, "settings", result->settings);
    json_object_set_new(run, "contestants", contestants);
    json_object_set_new(run, "timeline", timeline);
    json_object_set(run, "notes", result->notes);
    return run;
}
