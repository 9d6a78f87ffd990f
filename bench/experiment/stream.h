/* stream: one kind of subscribers and what is published to them, as `mix` takes it:
 *
 *     name=chat transport=sse subscribers=3000 channels=300 kinds=48x5,200x1 rate=180
 *
 *     name         what it is called in the tables
 *     transport    websocket, sse, longpoll, poll; websocket
 *     subscribers  1000
 *     channels     that they and the messages are spread over, evenly; 1
 *     size         bytes of a message; 128
 *     kinds        sizes that are mixed, BYTESxPARTS: of six messages five have 48 bytes, one 200
 *     rate         messages a second, of all channels together; 1
 *     poll-ms      interval of a short poll; that of the options
 *     headers      plain, or browser: what a browser puts into each request; plain
 *     state        yes: who connects gets what the history holds first; no
 *     cache        yes: its polls go through an nginx with proxy_cache; no
 *
 * Threads  one.
 * Memory   in place.
 * Bounds   LOAD_KINDS_MAX kinds. */
#pragma once

#include "experiment/options.h"

struct stream {
    char name[RESULT_NAME_MAX];
    const struct protocol *transport;
    uint32_t subscribers, channels, bytes, poll_interval_ms;
    struct load_kind kinds[LOAD_KINDS_MAX];
    unsigned kind_count;
    double rate_per_s;
    bool browser;
    bool state;
    bool cache;
};

/* Reads a text as above. Returns 0, or -EINVAL with a sentence. */
int stream_parse(struct stream *ret, const char *text, char *why, size_t why_size);

/* Puts it into the configuration of a group, whose kinds and fields then point into it. */
void stream_apply(const struct stream *stream, struct load_group_config *group);
