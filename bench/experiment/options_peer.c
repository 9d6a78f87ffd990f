/* options_peer: the options whose texts are read elsewhere: other servers and how to speak to them,
 * streams, and names of attacks. */
#include <stdio.h>

#include "experiment/options.h"

static void take_peer(struct argp_state *state, const char *text)
{
    struct options *options = state->input;
    if (options->peer_count == OPTIONS_PEERS_MAX)
        argp_error(state, "at most %d peers", OPTIONS_PEERS_MAX);
    options->peers[options->peer_count++] = text;
}

static void take_peer_subscribe(struct argp_state *state, const char *text)
{
    struct options *options = state->input;
    if (options->peer_subscribe_count == OPTIONS_LIST_MAX)
        argp_error(state, "at most %d messages to subscribe", OPTIONS_LIST_MAX);
    options->peer_subscribe[options->peer_subscribe_count++] = text;
}

static void take_stream(struct argp_state *state, const char *text)
{
    struct options *options = state->input;
    if (options->stream_count == OPTIONS_STREAMS_MAX)
        argp_error(state, "at most %d streams", OPTIONS_STREAMS_MAX);
    options->streams[options->stream_count++] = text;
}

bool options_peer_parse(struct options *options, enum option_id id, const char *text,
                        struct argp_state *state)
{
    if (id == OPTION_PEER)
        take_peer(state, text);
    else if (id == OPTION_PEER_URL)
        options->peer_url = text;
    else if (id == OPTION_PEER_SUBSCRIBE)
        take_peer_subscribe(state, text);
    else if (id == OPTION_PEER_PUBLISH_URL)
        options->peer_publish_url = text;
    else if (id == OPTION_PEER_PUBLISH)
        options->peer_publish = text;
    else if (id == OPTION_STREAM)
        take_stream(state, text);
    else if (id == OPTION_ATTACK)
        options->attacks = text;
    else if (id == OPTION_LIST)
        return true; /* that it is given is all */
    else
        return false;
    return true;
}

bool options_peer_value(const struct options *options, enum option_id id, char *text, size_t size)
{
    const char *const *list = id == OPTION_PEER               ? options->peers
                              : id == OPTION_PEER_URL         ? &options->peer_url
                              : id == OPTION_PEER_SUBSCRIBE   ? options->peer_subscribe
                              : id == OPTION_PEER_PUBLISH_URL ? &options->peer_publish_url
                              : id == OPTION_PEER_PUBLISH     ? &options->peer_publish
                              : id == OPTION_STREAM           ? options->streams
                              : id == OPTION_ATTACK           ? &options->attacks
                                                              : NULL;
    unsigned count = id == OPTION_PEER             ? options->peer_count
                     : id == OPTION_PEER_SUBSCRIBE ? options->peer_subscribe_count
                     : id == OPTION_STREAM         ? options->stream_count
                                                   : list && *list != NULL;
    size_t len = 0;
    for (unsigned i = 0; list && i < count && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, i ? ", %s" : "%s", list[i]);
    return list != NULL;
}
