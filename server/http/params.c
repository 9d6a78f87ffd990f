#include "http/params.h"

#include <errno.h>

#include "wire/position.h"

enum {
    TIMEOUT_S_MAX = 3600,
};

static int refuse(struct params *params, const char *error, const char *detail)
{
    params->error = error;
    params->detail = detail;
    return -EINVAL;
}

static int channel_add(struct params *params, const struct settings *settings, struct span name)
{
    if (!hub_name_valid(name.ptr, name.len))
        return refuse(params, "bad_channel", "a channel is 1 to 128 of A-Z a-z 0-9 - _ . : / @");
    if (params->channel_count == (unsigned)settings->channels_per_connection_max)
        return refuse(params, "too_many_channels",
                      "more channels than channels_per_connection_max");
    for (unsigned i = 0; i < params->channel_count; i++)
        if (span_equal(params->channels[i], name))
            return refuse(params, "duplicate_channel", "the same channel is asked for twice");
    params->channels[params->channel_count++] = name;
    return 0;
}

int params_since(struct params *params, struct span token)
{
    if (span_equal(token, SPAN("start"))) {
        for (unsigned i = 0; i < params->channel_count; i++)
            params->since[i] = (struct hub_since){.from = HUB_FROM_START};
        return 0;
    }
    struct position positions[SETTINGS_CHANNELS_MAX];
    int count = position_parse(positions, SETTINGS_CHANNELS_MAX, token);
    if (count < 0 || (unsigned)count != params->channel_count)
        return refuse(params, "bad_position",
                      "since is not a position of these channels, in this order");
    for (int i = 0; i < count; i++)
        params->since[i] =
            (struct hub_since){HUB_FROM_POSITION, positions[i].epoch, positions[i].offset};
    params->since_given = true;
    return 0;
}

static int timeout_read(struct params *params, struct span value)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < value.len && i < 5; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return refuse(params, "bad_timeout", "timeout is whole seconds, 0 to 3600");
        seconds = seconds * 10 + value.ptr[i] - '0';
    }
    if (value.len == 0 || value.len > 4 || seconds > TIMEOUT_S_MAX)
        return refuse(params, "bad_timeout", "timeout is whole seconds, 0 to 3600");
    params->timeout_ms = seconds * 1000;
    return 0;
}

int params_read(struct params *ret, const struct settings *settings, struct span query,
                char *scratch, size_t scratch_size)
{
    ret->channel_count = 0;
    ret->since_given = false;
    ret->timeout_ms = -1;
    ret->envelope = false;
    ret->error = ret->detail = NULL;

    struct http_query walk;
    struct span name, value, since = {0};
    http_query_init(&walk, query, scratch, scratch_size);
    int err;
    while ((err = http_query_next(&walk, &name, &value)) == 1) {
        err = 0;
        if (span_equal(name, SPAN("channel")))
            err = channel_add(ret, settings, value);
        else if (span_equal(name, SPAN("since")))
            since = value;
        else if (span_equal(name, SPAN("timeout")))
            err = timeout_read(ret, value);
        else if (span_equal(name, SPAN("envelope")))
            ret->envelope = span_equal(value, SPAN("1"));
        if (err < 0)
            return err;
    }
    if (err < 0)
        return refuse(ret, "bad_query", "the query has a broken percent escape");
    if (ret->channel_count == 0)
        return refuse(ret, "no_channel", "channel= is missing");
    for (unsigned i = 0; i < ret->channel_count; i++)
        ret->since[i] = (struct hub_since){.from = HUB_FROM_NOW};
    return since.ptr ? params_since(ret, since) : 0;
}
