#include "http/params.h"

#include <errno.h>

#include "wire/json_scan.h"
#include "wire/position.h"
#include "wire/webtransport.h"

enum {
    TIMEOUT_S_MAX = 3600,
    TTL_S_MAX = 315360000,
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
    bool latest = span_equal(token, SPAN("latest"));
    if (latest || span_equal(token, SPAN("start"))) {
        for (unsigned i = 0; i < params->channel_count; i++)
            params->since[i] =
                (struct hub_since){.from = latest ? HUB_FROM_LATEST : HUB_FROM_START};
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

static int ttl_read(struct params *params, struct span value)
{
    uint64_t seconds;
    if (!json_number_read(value, &seconds) || seconds == 0 || seconds > TTL_S_MAX)
        return refuse(params, REFUSAL_BAD_REVOCATION);
    params->ttl_s = (int64_t)seconds;
    return 0;
}

/* What says who asks, and of whom. */
static int name_read(struct params *params, struct span name, struct span value)
{
    if (span_equal(name, SPAN("token")))
        params->token = value;
    else if (span_equal(name, SPAN("ticket")))
        params->ticket = value;
    else if (span_equal(name, SPAN("user")))
        params->user = value;
    else if (span_equal(name, SPAN("client")))
        params->client = value;
    else if (span_equal(name, SPAN("cf_connect")))
        params->connect = value;
    else if (span_equal(name, SPAN("ttl")))
        return ttl_read(params, value);
    return 0;
}

static int delta_read(struct params *params, struct span value)
{
    bool off = span_equal(value, SPAN("0"));
    if (!off && !span_equal(value, SPAN("1")) && !span_equal(value, SPAN("fossil")))
        return refuse(params, REFUSAL_BAD_DELTA);
    params->delta = !off;
    return 0;
}

static int number_read(struct params *params, struct span value)
{
    uint64_t number;
    if (!json_number_read(value, &number) || number > WEBTRANSPORT_NUMBER_MAX)
        return refuse(params, REFUSAL_BAD_DATAGRAMS);
    params->number = (int)number;
    return 0;
}

static int param_read(struct params *params, const struct settings *settings, struct span name,
                      struct span value, struct span *since)
{
    if (span_equal(name, SPAN("channel")))
        return channel_add(params, settings, value);
    if (span_equal(name, SPAN("timeout")))
        return timeout_read(params, value);
    if (span_equal(name, SPAN("delta")))
        return delta_read(params, value);
    if (span_equal(name, SPAN("datagrams")))
        return number_read(params, value);
    if (span_equal(name, SPAN("since")))
        *since = value;
    else if (span_equal(name, SPAN("envelope")))
        params->envelope = span_equal(value, SPAN("1"));
    else if (span_equal(name, SPAN("end")))
        params->end = span_equal(value, SPAN("1"));
    else if (span_equal(name, SPAN("event")))
        params->event = value;
    return name_read(params, name, value);
}

int params_read_any(struct params *ret, const struct settings *settings, struct span query,
                    char *scratch, size_t scratch_size)
{
    struct http_query walk;
    struct span name, value, since = {0};
    int err;
    ret->channel_count = 0;
    ret->since_given = false;
    ret->timeout_ms = -1;
    ret->envelope = false;
    ret->number = -1;
    ret->delta = false;
    ret->token = ret->ticket = ret->user = ret->client = ret->connect = (struct span){0};
    ret->ttl_s = -1;
    ret->end = false;
    ret->event = (struct span){0};
    http_query_init(&walk, query, scratch, scratch_size);
    while ((err = http_query_next(&walk, &name, &value)) == 1)
        if (param_read(ret, settings, name, value, &since) < 0)
            return -EINVAL;
    if (err < 0)
        return refuse(ret, REFUSAL_BAD_QUERY);
    ret->envelope |= ret->delta;
    for (unsigned i = 0; i < ret->channel_count; i++)
        ret->since[i] = (struct hub_since){.from = HUB_FROM_NOW};
    return since.ptr && ret->channel_count > 0 ? params_since(ret, since) : 0;
}

int params_read(struct params *ret, const struct settings *settings, struct span query,
                char *scratch, size_t scratch_size)
{
    int err = params_read_any(ret, settings, query, scratch, scratch_size);
    return err == 0 && ret->channel_count == 0 ? refuse(ret, REFUSAL_NO_CHANNEL) : err;
}
