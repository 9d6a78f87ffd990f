/* First packets of QUIC, again and again: each time another one of the allocations that a
 * connection begins with finds no memory, the library's among them. The client is refused, the
 * connection ends as overloaded, and nothing of it is left. */
#include "conn/check.h"
/* As builds with a sanitizer have it: every block is malloc's. */
#undef CONN_CHECKED
#define CONN_CHECKED   true
#define quic_tls_begin no_handshake
#include "carrier/quic_memory.c"

#include "carrier/quic_conn.c"

#include "api/api.h"
#include "fake_shard.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "failing_alloc.h"

enum {
    SLOTS = 8,
    PIPE_BYTES = 4096,
    PORT = 7,
    ALLOCATIONS_MIN = 8, /* of the library's alone */
    ALLOCATIONS_MAX = 100,
};

/* Behind all that is looked at here. */
int no_handshake(struct quic *quic)
{
    (void)quic;
    return -ENOMEM;
}

static void every_allocation_may_fail(void **state)
{
    struct fake_shard *fake = *state;
    struct shard *shard = fake->shard;
    const struct counters *counters = &shard->counters;
    const struct ring_packet packet = {.peer.sin6_family = AF_INET6};
    ngtcp2_pkt_hd head = {.version = NGTCP2_PROTO_VER_V1};
    const struct quic_first first = {&packet, &head, NULL};
    unsigned n = 0;
    quic_cid_draw(shard, &head.dcid, QUIC_CID_BYTES);
    quic_cid_draw(shard, &head.scid, QUIC_CID_BYTES);
    for (bool failed = true; failed; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        failing_alloc_arm(n);
        failing_alloc.inside = true;
        assert_null(quic_begin(quic_port_of(shard), &first));
        failing_alloc.inside = false;
        failed = failing_alloc_disarm();
        fake_shard_turn(fake);
        assert_int_equal(counter_read(&counters->closed[CLOSE_OVERLOADED]), n + 1);
        assert_int_equal(counter_read(&counters->quic_connections), 0);
        assert_int_equal(shard->live, 0);
        assert_int_equal(shard->budgets[BUDGET_QUIC].bytes, 0);
    }
    assert_true(n > ALLOCATIONS_MIN);
}

static int setup(void **state)
{
    static struct fake_shard fake;
    fake_shard_init(&fake);
    fake.server.transports = server_transports;
    fake.server.quic = quic_library_create();
    assert_non_null(fake.server.quic);
    fake.server.datagrams[DATAGRAM_QUIC] = &quic_datagrams;
    fake_shard_start(&fake, SLOTS, PIPE_BYTES);
    assert_int_equal(shard_datagrams(fake.shard, DATAGRAM_QUIC, PORT), 0);
    *state = &fake;
    return 0;
}

static int teardown(void **state)
{
    struct fake_shard *fake = *state;
    fake_shard_done(fake);
    quic_library_free((struct quic_library *)(uintptr_t)fake->server.quic);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
