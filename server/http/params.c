#include "http/params.h"

#include <errno.h>

#include "wire/position.h"

enum {
    TIMEOUT_S_MAX = 3600,
};

static int refuse(struct params *params, enum refusal refusal)
{
    params->refusal = refusal;
    return -EINVAL;
}

static int channel_add(struct params *params, const struct settings *settings, struct span name)
{
    if (!hub_name_valid(name.ptr, name.len))
        return refuse(params, REFUSAL_BAD_CHANNEL);
    if (params->channel_count == (unsigned)settings->channels_per_connection_max)
        return refuse(params, REFUSAL_TOO_MANY_CHANNELS);
    for (unsigned i = 0; i < params->channel_count; i++)
        if (span_equal(params->channels[i], name))
            return refuse(params, REFUSAL_DUPLICATE_CHANNEL);
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
        return refuse(params, REFUSAL_BAD_POSITION);
    for (int i = 0; i < count; i++)
        params->since[i] = (struct hub_since){
            .from = HUB_FROM_POSITION, .epoch = positions[i].epoch, .offset = positions[i].offset};
    params->since_given = true;
    return 0;
}

void params_since_lost(struct params *params)
{
    for (unsigned i = 0; i < params->channel_count; i++)
        params->since[i] = (struct hub_since){.from = HUB_FROM_POSITION}; /* no epoch is 0 */
    params->since_given = true;
}

static int timeout_read(struct params *params, struct span value)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < value.len && i < 5; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return refuse(params, REFUSAL_BAD_TIMEOUT);
        seconds = seconds * 10 + value.ptr[i] - '0';
    }
    if (value.len == 0 || value.len > 4 || seconds > TIMEOUT_S_MAX)
        return refuse(params, REFUSAL_BAD_TIMEOUT);
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
        return refuse(ret, REFUSAL_BAD_QUERY);
    if (ret->channel_count == 0)
        return refuse(ret, REFUSAL_NO_CHANNEL);
    for (unsigned i = 0; i < ret->channel_count; i++)
        ret->since[i] = (struct hub_since){.from = HUB_FROM_NOW};
    return since.ptr ? params_since(ret, since) : 0;
}
