#include "experiment/versus.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/field.h"
#include "experiment/peer.h"

enum {
    SUBSCRIBERS = 9000,
    TURNS = 7,
    PEERS_MAX = OPTIONS_PEERS_MAX + 1,
};
static_assert(PEERS_MAX + OPTIONS_LIST_MAX + BARE_LOOP_COUNT <= FIELD_ENTRANTS_MAX,
              "there is room for all that a command line can ask for");
static_assert(PEERS_MAX + 1 + BARE_LOOP_COUNT <= BENCH_SERVERS_MAX, "a server for each");

bool versus_wanted(const struct options *options)
{
    return options->peer_count > 0 || options->peer_url;
}

void versus_settle(struct options *options)
{
    if (!versus_wanted(options))
        return;
    if (!options_given(options, OPTION_SUBSCRIBERS))
        options->subscribers = SUBSCRIBERS;
    if (!options_given(options, OPTION_TURNS))
        options->turns = TURNS;
    if (!options_given(options, OPTION_TRANSPORT)) {
        options->transports[0] = &protocol_websocket;
        options->transport_count = 1;
    }
    if (!options_given(options, OPTION_RATE))
        options->rate_count = 0;
    if (!options_given(options, OPTION_DEPTH)) {
        options->depths[0] = 1;
        options->depths[1] = 8;
        options->depth_count = 2;
    }
    /* With several messages under way, the loop to beat is the one that gathers them too. */
    if (!options_given(options, OPTION_AGAINST))
        options->against[BARE_COALESCE] = true;
}

/* ---- the field ---- */

static int add_ours(struct field *field, struct bench *bench)
{
    const struct options *options = bench->options;
    struct server *server;
    int err =
        bench_server_start(bench, options->subscribers * options->transport_count, NULL, &server);
    for (unsigned i = 0; err == 0 && i < options->transport_count; i++)
        field_add(field, options->transports[i]->name, KIND_TRANSPORT, options->transports[i],
                  server, options->subscribers);
    return err;
}

static int add_peer(struct field *field, struct bench *bench, struct peer *peer)
{
    struct server *server;
    int err = peer_start(bench, peer, bench->options->subscribers, &server);
    if (err < 0)
        return err;
    struct entrant *entrant = field_add(field, peer->name, KIND_PEER, peer->transport, server,
                                        bench->options->subscribers);
    entrant->publish = peer->publish_by;
    entrant->protocol = &peer->protocol;
    entrant->version = peer->version;
    return 0;
}

/* ---- running ---- */

/* All are read before the first is started, so that what is wrong is said at once. */
static int read_peers(struct bench *bench, struct peer *peers[PEERS_MAX], unsigned *ret_count)
{
    const struct options *options = bench->options;
    int err = 0;
    for (unsigned i = 0; err == 0 && i < options->peer_count; i++)
        err = peer_read(options->peers[i], &peers[(*ret_count)++]);
    for (unsigned i = 0; err == 0 && i < options->peer_count; i++)
        if (peers[i]->visit || peers[i]->caches)
            err = bench_fail(-EINVAL, "%s has no subscribers: it is for `bench %s`", peers[i]->name,
                             peers[i]->caches ? "mix" : "handshakes");
    if (err == 0 && options->peer_url)
        err = peer_of_urls(bench, &peers[(*ret_count)++]);
    for (unsigned i = 0; err == 0 && i < *ret_count; i++)
        for (unsigned j = 0; err == 0 && j < i; j++)
            if (strcmp(peers[i]->name, peers[j]->name) == 0)
                err = bench_fail(-EINVAL, "there are two peers of the name %s", peers[i]->name);
    return err;
}

static int run(struct bench *bench, struct peer *const peers[], unsigned count)
{
    struct field field;
    field_init(&field, bench);
    int err = add_ours(&field, bench);
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = add_peer(&field, bench, peers[i]);
    if (err == 0)
        err = field_add_loops(&field);
    if (err == 0)
        err = field_race(&field);
    return err;
}

int versus_run(struct bench *bench)
{
    struct peer *peers[PEERS_MAX] = {0};
    unsigned count = 0;
    if (bench->options->tls)
        return bench_fail(-EINVAL, "--tls and --peer do not go together: peers are measured "
                                   "without TLS, but for `bench handshakes`");
    int err = read_peers(bench, peers, &count);
    if (err == 0)
        err = run(bench, peers, count);
    for (unsigned i = 0; i < count; i++)
        peer_free(peers[i]);
    return err;
}
