/* split: a whole server over the fake kernel, to which the same bytes come in different pieces.
 *
 *   split_begin ─► split_open ─► pieces, a turn after each ─► split_leave ─► split_open … split_end
 *
 * Idea     What a server answers depends on the bytes and not on where the network cut them. A
 *          delivery is a connection of its own, to a server that has forgotten those before: the
 *          clock goes on until no channel is left, and the next epoch is the first one again. So
 *          two answers to the same bytes are the same byte by byte. There is no Date.
 * Threads  one.
 * Memory   split_end gives everything back. */
#pragma once

#include "api/api.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "split_hub.h"
#include "transport/answering.h"
#include "transport/encoder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SPLIT_SLOTS = 8,
    SPLIT_PIPE_BYTES = 512 * 1024,
    SPLIT_ANSWER_MAX = 512 * 1024,
    SPLIT_FORGETS = 8, /* turns until a channel is forgotten */
};

struct split_answer {
    char bytes[SPLIT_ANSWER_MAX];
    size_t len;
    bool ended;
};

struct split {
    struct fake_shard fake;
    struct origins *origins;
    struct fake_client *client;
};

/* After fake_shard_init, and settings of the test's choice. */
static inline void split_begin(struct split *split)
{
    struct fake_shard *fake = &split->fake;
    char why[256];
    fake->settings.echo = fake->settings.websocket_publish = true;
    assert_int_equal(origins_create(&split->origins, "*", why, sizeof why), 0);
    fake->server.origins = split->origins;
    fake->server.transports = server_transports;
    fake->server.routes = server_routes;
    fake->server.batch_begin = encoder_begin;
    fake->server.batch_done = encoder_release;
    fake->server.batch_end = encoder_done;
    fake->server.answers_turn = answering_turn;
    fake_shard_start(fake, SPLIT_SLOTS, SPLIT_PIPE_BYTES);
}

static inline void split_end(struct split *split)
{
    fake_shard_done(&split->fake);
    origins_free(split->origins);
}

static inline void split_open(struct split *split, enum listener listener)
{
    split->client = fake_client_open(split->fake.net, split->fake.listeners[listener]);
    fake_shard_turn(&split->fake);
}

/* What the client says, perhaps the last. One that has been closed is written to in vain. */
static inline void split_write(struct split *split, const void *bytes, size_t len, bool fin)
{
    ssize_t n = len > 0 ? fake_client_write(split->client, bytes, len) : 0;
    assert_true(n == (ssize_t)len || n == -EPIPE || n == -ECONNRESET);
    if (fin)
        fake_client_shutdown(split->client);
    fake_shard_turn(&split->fake);
}

static inline void split_read(struct split *split, struct split_answer *answer)
{
    ssize_t n;
    while ((n = fake_client_read(split->client, answer->bytes + answer->len,
                                 sizeof answer->bytes - answer->len)) > 0)
        answer->len += (size_t)n;
    answer->ended |= n != -EAGAIN;
}

/* Another client says something, in one piece. */
static inline void split_aside(struct split *split, const char *text)
{
    struct fake_client *other =
        fake_client_open(split->fake.net, split->fake.listeners[LISTENER_PLAIN]);
    if (split->fake.settings.proxy_protocol)
        fake_client_write(other, "PROXY UNKNOWN\r\n", 15);
    fake_shard_turn(&split->fake);
    assert_int_equal(fake_client_write(other, text, strlen(text)), strlen(text));
    fake_shard_turn(&split->fake);
    fake_client_close(other);
    fake_shard_turn(&split->fake);
}

/* The client goes, and the server has nothing of it any more, nor of what it published. */
static inline void split_leave(struct split *split)
{
    struct shard *shard = split->fake.shard;
    fake_client_close(split->client);
    fake_shard_turn(&split->fake);
    assert_int_equal(shard->live, 0);
    assert_int_equal(shard->budgets[BUDGET_INPUT].bytes, 0);
    for (unsigned i = 0; i < SPLIT_FORGETS && split_hub_channels(shard->hub) > 0; i++) {
        fake_net_advance(split->fake.net, fake_net_now(split->fake.net) + FAKE_SHARD_S);
        fake_shard_turn(&split->fake);
    }
    assert_int_equal(split_hub_channels(shard->hub), 0);
    split_hub_rewind(shard->hub);
    shard->admission.random = 0;
}

static inline void split_compare(const char *name, size_t at, size_t len,
                                 const struct split_answer *whole,
                                 const struct split_answer *answer)
{
    if (answer->len == whole->len && answer->ended == whole->ended &&
        memcmp(answer->bytes, whole->bytes, whole->len) == 0)
        return;
    fail_msg("%s, cut at %zu of %zu: %zu bytes%s, whole %zu%s:\n%.*s\n---- whole:\n%.*s", name, at,
             len, answer->len, answer->ended ? " and the end" : "", whole->len,
             whole->ended ? " and the end" : "", (int)(answer->len < 2000 ? answer->len : 2000),
             answer->bytes, (int)(whole->len < 2000 ? whole->len : 2000), whole->bytes);
}
