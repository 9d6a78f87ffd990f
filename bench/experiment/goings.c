#include "experiment/goings.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "measure/clock.h"
#include "measure/http_get.h"
#include "output/figure.h"

static const double RECONNECT_SHARE = 0.1;
static const int64_t RECONNECT_TIMEOUT_NS = (int64_t)300 * NS_PER_S;
static const int64_t LEAVE_TIMEOUT_NS = (int64_t)120 * NS_PER_S;
static const int64_t LEAVE_LOOK_NS = (int64_t)20 * NS_PER_MS;

enum {
    STRANGERS = 2, /* connections that are not the load's: the publisher's, and this question's */
};

int goings_reconnect(struct field *field, unsigned index, struct contestant *into)
{
    const struct load_storm storm = {.share = RECONNECT_SHARE, .timeout_ns = RECONNECT_TIMEOUT_NS};
    struct load_storm_result result;
    watch_phase(field->bench, "reconnect", into->name, NULL);
    int err = load_storm(field->load, UINT64_C(1) << index, &storm, &result);
    if (err < 0)
        return err;
    contestant_figure(into, "reconnect",
                      json_pack("{s:I, s:I, s:I, s:o}", "dropped", (json_int_t)result.dropped,
                                "recovered", (json_int_t)result.recovered, "retries",
                                (json_int_t)result.retries, "elapsed_s",
                                figure_seconds(result.recovered_ns)));
    if (result.recovered < result.dropped)
        contestant_note(into, "%u of %u connections were not back in time",
                        result.dropped - result.recovered, result.dropped);
    return 0;
}

/* What the server holds by its own account; when it does not say, negative errno or the negative
 * status of its answer. */
static int64_t connections_of(struct http_get *get, char *text)
{
    static const char name[] = "\nringside_connections ";
    int status = http_get(get, "/metrics", text, HTTP_GET_METRICS_MAX);
    if (status != 200)
        return status < 0 ? status : -status;
    const char *found = strstr(text, name);
    return found ? strtoll(found + strlen(name), NULL, 10) : -ENOMSG;
}

int goings_leave(struct field *field, unsigned index, struct contestant *into)
{
    struct http_get get;
    char *text = malloc(HTTP_GET_METRICS_MAX);
    assert(text);
    http_get_init(&get, &field->entrants[index].server->address);
    watch_phase(field->bench, "leave", into->name, NULL);

    int err = load_idle(field->load, NS_PER_MS, LOAD_ALL);
    int64_t start_ns = clock_now_ns(), left = connections_of(&get, text);
    bool known = left >= 0;
    if (!known)
        contestant_note(into,
                        "how long the server takes to forget its connections is unknown: "
                        "/metrics gave %ld instead of their number",
                        (long)left);
    uint32_t count = load_links_up(field->load, index);
    load_drop(field->load, index, count, false);
    while (err == 0 && left > STRANGERS && clock_now_ns() - start_ns < LEAVE_TIMEOUT_NS) {
        err = load_idle(field->load, LEAVE_LOOK_NS, LOAD_ALL);
        left = connections_of(&get, text);
    }
    if (err == 0 && known && left <= STRANGERS)
        contestant_figure(into, "leave",
                          json_pack("{s:I, s:o}", "connections", (json_int_t)count, "elapsed_s",
                                    figure_seconds(clock_now_ns() - start_ns)));
    else if (err == 0 && known)
        contestant_note(into,
                        "%ld connections were still held when waiting for the server to "
                        "forget them was given up",
                        (long)left);
    http_get_done(&get);
    free(text);
    return err;
}
