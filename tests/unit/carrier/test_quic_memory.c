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
    ALLOCATIONS_MIN = 6, /* of the library's alone; ngtcp2 0.12 has more of them than 1.11 */
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

/* Secrets are in small blocks, of which the next connection of an arena would find them. */
static void what_is_given_back_is_wiped(void **state)
{
    static const size_t sizes[] = {16, 100, 1500, 2000};
    (void)state;
    struct arenas arenas = {0};
    struct quic quic = {.arena = arena_get(&arenas)};
    assert_non_null(quic.arena);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *block = quic_take(&quic, sizes[i]);
        assert_true(is_inside(&quic, block));
        memset(block, 0x5a, sizes[i]);
        quic_give(&quic, block);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(block[at], 0);
    }
    assert_int_equal(quic.bytes, 0);
    arenas_done(&arenas);
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
        cmocka_unit_test(what_is_given_back_is_wiped),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
