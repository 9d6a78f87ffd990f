#include "fuzz.h"

#include "http/params.h"

/* Writes every byte as an escape: the same query for whoever decodes it. */
static void escape(struct span text, struct transcript *ret)
{
    for (size_t i = 0; i < text.len; i++) {
        char escaped[4];
        snprintf(escaped, sizeof escaped, "%%%02X", (uint8_t)text.ptr[i]);
        transcript_add(ret, span_of(escaped, 3));
    }
}

static int read_query(struct params *params, const struct settings *settings, struct span query,
                      char *scratch)
{
    int err = params_read(params, settings, query, scratch, query.len);
    if (err < 0)
        assert(refusal_name(params->refusal) && refusal_status(params->refusal) == 400);
    return err;
}

static void params_hold(const struct params *params, const struct settings *settings)
{
    assert(params->channel_count > 0);
    assert(params->channel_count <= (unsigned)settings->channels_per_connection_max);
    for (unsigned i = 0; i < params->channel_count; i++) {
        assert(hub_name_valid(params->channels[i].ptr, params->channels[i].len));
        for (unsigned j = 0; j < i; j++)
            assert(!span_equal(params->channels[i], params->channels[j]));
    }
    assert(params->timeout_ms >= -1 && params->timeout_ms <= 3600 * 1000);
}

/* Channels that were read, asked for again in escapes, are the same channels. */
static void ask_again(const struct params *params, const struct settings *settings)
{
    struct transcript query = {0};
    for (unsigned i = 0; i < params->channel_count; i++) {
        transcript_add(&query, i > 0 ? SPAN("&channel=") : SPAN("channel="));
        escape(params->channels[i], &query);
    }
    struct params again;
    char *scratch = malloc(query.len);
    assert(scratch);
    assert(read_query(&again, settings, transcript_span(&query), scratch) == 0);
    assert(again.channel_count == params->channel_count);
    for (unsigned i = 0; i < again.channel_count; i++)
        assert(span_equal(again.channels[i], params->channels[i]));
    free(scratch);
    transcript_free(&query);
}

/* A query, and behind a line feed what a Last-Event-ID says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span query = fuzz_input(data, size), token = {0};
    const char *end = size > 0 ? memchr(query.ptr, '\n', size) : NULL;
    if (end) {
        token = span_skip(query, (size_t)(end - query.ptr) + 1);
        query.len = (size_t)(end - query.ptr);
    }
    struct settings settings;
    struct params params;
    settings_default(&settings);
    char *scratch = malloc(query.len > 0 ? query.len : 1);
    assert(scratch);
    if (read_query(&params, &settings, query, scratch) == 0) {
        params_hold(&params, &settings);
        ask_again(&params, &settings);
        if (params_since(&params, token) < 0)
            assert(params.refusal == REFUSAL_BAD_POSITION);
    }
    free(scratch);
    return 0;
}
