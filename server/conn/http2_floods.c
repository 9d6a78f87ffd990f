#include "conn/http2_floods.h"

#include <stddef.h>

bool http2_bucket_take(struct http2_bucket *bucket, int64_t per_s, int64_t burst, int64_t now_ns)
{
    int64_t interval_ns = INT64_C(1000000000) / per_s;
    if (bucket->until_ns < now_ns)
        bucket->until_ns = now_ns;
    if (bucket->until_ns - now_ns > burst * interval_ns)
        return false;
    bucket->until_ns += interval_ns;
    return true;
}

const char *http2_flood_name(enum http2_flood flood)
{
#define FLOOD_NAME(NAME, name, what) #name,
    static const char *const names[] = {HTTP2_FLOODS(FLOOD_NAME)};
    return names[flood];
}

const char *http2_code_name(uint32_t code)
{
    static const char *const names[HTTP2_CODES] = {
        "no_error",
        "protocol_error",
        "internal_error",
        "flow_control_error",
        "settings_timeout",
        "stream_closed",
        "frame_size_error",
        "refused_stream",
        "cancel",
        "compression_error",
        "connect_error",
        "enhance_your_calm",
        "inadequate_security",
        "http_1_1_required",
        "other",
    };
    return names[code < HTTP2_CODES ? code : HTTP2_CODES - 1];
}
