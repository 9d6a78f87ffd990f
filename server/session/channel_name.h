/* channel_name: a channel's name, read from a string of JSON.
 *
 * Threads  any.
 * Memory   the caller's; the span points into the area. */
#pragma once

#include "core/message.h"
#include "hub/hub.h"
#include "wire/json_out.h"
#include "wire/json_scan.h"

struct channel_name {
    struct span span;
    char area[CHANNEL_NAME_MAX * JSON_ESCAPE_MAX];
};

/* Returns false when it is no channel's. */
static inline bool channel_name_read(struct channel_name *ret, struct span string)
{
    if (string.len > sizeof ret->area)
        return false;
    ret->span = span_of(ret->area, json_string_decode(ret->area, string));
    return hub_name_valid(ret->span.ptr, ret->span.len);
}
