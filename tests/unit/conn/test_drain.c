/* A drain sends connections away evenly: those with sockets and those over UDP, each once, and none
 * that others carry. */
#include "fake_shard.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "conn/carrier.h"

enum {
    SLOTS = 16,
    PIPE_BYTES = 1024,
    SOCKETS = 4,
    OVER_UDP = 12,
    ALL = SOCKETS + OVER_UDP,
    PARTS = 4, /* of the drain */
};

static unsigned told[2 * SLOTS + OVER_UDP], told_in_all;

static void input(struct shard *shard, struct conn *conn, char *bytes, size_t len)
{
    (void)shard, (void)conn, (void)bytes, (void)len;
}

static void drain(struct shard *shard, struct conn *conn)
{
    told[conn_slot(shard, conn)]++;
    told_in_all++;
}

static void ended(struct shard *shard, struct conn *conn)
{
    (void)conn;
    shard->live--;
}

static void turn(struct shard *shard, struct carrier *carrier)
{
    (void)shard, (void)carrier;
}

static void reset(struct shard *shard, struct conn *stream, enum close_reason reason)
{
    (void)shard, (void)stream, (void)reason;
}

static const struct carrier_ops ops = {.turn = turn, .reset = reset};

static void wait_for(struct fake_shard *fake, int64_t ns)
{
    const int64_t until = fake_net_now(fake->net) + ns;
    while (fake_net_now(fake->net) < until) {
        fake_net_advance(fake->net, fake_net_now(fake->net) + FAKE_SHARD_MS);
        fake_shard_turn(fake);
    }
}

static void all_are_sent_away_evenly(void **state)
{
    static const struct transport of_sockets = {.name = "socket", .input = input, .drain = drain};
    static const struct transport of_udp = {.name = "udp", .drain = drain, .closed = ended};
    static const struct transport *const transports[TRANSPORT_COUNT] = {
        [TRANSPORT_HTTP] = &of_sockets,
        [TRANSPORT_QUIC] = &of_udp,
    };
    struct fake_shard fake;
    struct carrier port, peer;
    (void)state;
    fake_shard_init(&fake);
    fake.server.transports = transports;
    fake.settings.drain_ms = 1000;
    fake.server.http2 = (const struct http2_library *)transports; /* that there are streams */
    fake_shard_start(&fake, SLOTS, PIPE_BYTES);
    struct shard *shard = fake.shard;
    for (unsigned i = 0; i < SOCKETS; i++)
        fake_client_open(fake.net, fake.listeners[LISTENER_PLAIN]);
    fake_shard_turn(&fake);
    assert_int_equal(carrier_port_open(shard, &port, &ops, TRANSPORT_QUIC, LISTENER_TLS), 0);
    struct conn *line = NULL;
    for (int i = 0; i < OVER_UDP; i++) {
        line = stream_open(shard, &port, i + 1);
        line->transport = TRANSPORT_QUIC;
        shard->live++;
    }
    carrier_init(&peer, &ops, conn_slot(shard, line));
    stream_carries(shard, line, &peer);
    assert_non_null(stream_open(shard, &peer, 1)); /* that goes with its peer */
    shard_stop(shard);
    fake_shard_turn(&fake);
    assert_int_equal(told_in_all, 0);
    for (unsigned part = 1; part <= PARTS; part++) {
        wait_for(&fake, FAKE_SHARD_S / PARTS);
        assert_in_range(told_in_all, part * ALL / PARTS - 1, part * ALL / PARTS);
    }
    wait_for(&fake, FAKE_SHARD_S / PARTS);
    assert_int_equal(told_in_all, ALL);
    for (unsigned i = 0; i < sizeof told / sizeof told[0]; i++)
        assert_in_range(told[i], 0, 1);
    carrier_end_streams(shard, &peer);
    carrier_done(shard, &peer);
    stream_carries(shard, line, NULL);
    carrier_end_streams(shard, &port);
    carrier_port_close(shard, &port);
    fake_shard_done(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_sent_away_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
