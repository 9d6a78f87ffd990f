/* params: what a request's query asks for.
 *
 *   ?channel=a&channel=b&since=5f3a.17~1c.0&timeout=10&envelope=1
 *
 * Threads  Any.
 * Memory   Names point into the request or into the caller's scratch, and are valid as long as
 *          both.
 * Errors   A negative return with `refusal` to answer with; unknown parameters are ignored, so that
 *          clients may add what caches need. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf/settings.h"
#include "conn/refusal.h"
#include "hub/hub.h"
#include "wire/http.h"
#include "wire/span.h"

struct params {
    struct span channels[SETTINGS_CHANNELS_MAX];
    unsigned channel_count;
    struct hub_since
        since[SETTINGS_CHANNELS_MAX]; /* one per channel; HUB_FROM_NOW where nothing was asked */
    bool since_given;
    int64_t timeout_ms; /* -1: not given */
    bool envelope;
    int number;        /* datagrams: as these, with this in front; -1: not given */
    bool delta;        /* of a stream: it takes what changed, in envelopes; of a publish: it may
                                  be told by that */
    bool end;          /* of a publish: nothing comes behind it */
    struct span event; /* of a publish: its type, as it was given; without a ptr: none */
    struct span token, ticket; /* who asks; empty: not given */
    struct span user, client;  /* of whom something is asked */
    struct span connect;       /* cf_connect: of a session that begins with its request */
    int64_t ttl_s;             /* -1: not given */
    enum refusal refusal;      /* when reading failed */
};

/* Reads the query. Returns 0, or -EINVAL with `refusal` set. At least one channel is
 * required. `scratch` holds decoded text and must be as long as the query. */
int params_read(struct params *ret, const struct settings *settings, struct span query,
                char *scratch, size_t scratch_size);

/* The same where no channel is needed. */
int params_read_any(struct params *ret, const struct settings *settings, struct span query,
                    char *scratch, size_t scratch_size);

/* Reads a position for the channels asked for; also for Last-Event-ID. */
int params_since(struct params *params, struct span token);

/* A position was given that cannot be recovered, in any of the channels. */
void params_since_lost(struct params *params);
