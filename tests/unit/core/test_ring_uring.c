/* The io_uring engine, as this kernel has it: the contract, and what it alone promises. */
#include "ring_contract.h"
#include "ring_loopback.h"

const struct contract_kernel contract_kernel = {
    .ring_new = loopback_ring_server,
    .listen = loopback_listen,
    .listen_second = loopback_listen_second,
    .turn = loopback_turn,
    .peer_open = loopback_open,
    .peer_open_second = loopback_open_second,
    .peer_write = loopback_write,
    .peer_read = loopback_read,
    .peer_close = loopback_close,
    .peer_reset = loopback_reset,
    .packets_open = loopback_packets_open,
    .packet_peer = loopback_packet_peer,
    .packet_peer_send = loopback_packet_send,
    .packet_peer_take = loopback_packet_take,
    .packet_peer_address = loopback_packet_address,
    .end = loopback_end,
};

static void the_probe_finds_a_usable_kernel(void **state)
{
    (void)state;
    char why[256] = "";
    struct ring_features features = {0};
    assert_int_equal(ring_probe(&features, why, sizeof why), 0);
    assert_true(features.usable);
    assert_true(features.table_slots >= 256);
    assert_string_equal(why, "");
}

/* A kernel shows one of the two: direct descriptors where they end at once, else ordinary ones. */
static void the_engine_is_that_of_the_probe(void **state)
{
    struct ring *ring = *state;
    assert_string_equal(ring->engine->name, ring_is_direct() ? "io_uring" : "io_uring_fd");
}

static void accepted_sockets_take_no_descriptor(void **state)
{
    struct ring *ring = *state;
    if (!ring_is_direct())
        skip();
    int before = loopback_descriptors(), peer;
    for (int i = 0; i < 50; i++)
        contract_accept(ring, &peer);
    assert_int_equal(ring->stats.slots_used, 50);
    assert_int_equal(loopback_descriptors(), before + 50); /* the peers' ends */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_probe_finds_a_usable_kernel),
        CONTRACT_TEST(the_engine_is_that_of_the_probe),
        CONTRACT_TEST(accepted_sockets_take_no_descriptor),
    };
    return contract_run() + contract_run_timed() +
           cmocka_run_group_tests_name("io_uring", tests, NULL, NULL);
}
