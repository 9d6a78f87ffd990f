/* The fake kernel's datagrams: what it does to them, and to whom it brings them. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring_fake.h"

enum {
    DATAGRAMS = 2000,
    PACKET_PORT = 4433,
};

static struct fake_net *net;

static struct sockaddr_in6 peer_address(uint16_t number)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)(50000 + number)),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
}

static struct ring *packet_ring(void)
{
    struct ring *ring = ring_fake_create(net, &(struct ring_config){.capacity = 1});
    assert_int_equal(ring_packets_open(ring, 0, PACKET_PORT), 0);
    return ring;
}

static uint16_t take_number(struct ring *ring)
{
    uint16_t number = UINT16_MAX;
    struct ring_packet packet = {.iov = {&number, sizeof number}};
    if (ring_packets_receive(ring, 0, &packet, 1) == 0)
        return UINT16_MAX;
    assert_int_equal(packet.res, sizeof number);
    return number;
}

static void datagrams_are_lost_doubled_and_out_of_order(void **state)
{
    (void)state;
    struct fake_config config = fake_config_wild(7);
    config.packet_cut = 0;
    config.packet_spoilt = 0;
    net = fake_net_create(&config);
    struct ring *ring = packet_ring();
    struct fake_udp *udp = fake_udp_open(net, peer_address(0));
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        uint16_t number = (uint16_t)i;
        fake_udp_send(udp, PACKET_PORT, &number, sizeof number, 0);
    }
    fake_net_advance(net, config.packet_delay_ns_max);
    unsigned seen[DATAGRAMS] = {0}, early = 0, lost = 0, doubled = 0;
    uint16_t before = 0;
    for (uint16_t i = take_number(ring); i != UINT16_MAX; i = take_number(ring)) {
        seen[i]++;
        early += i < before;
        before = i;
    }
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        lost += seen[i] == 0;
        doubled += seen[i] == 2;
    }
    assert_true(lost > 50 && lost < 150);
    assert_true(doubled > 50 && doubled < 150);
    assert_true(early > DATAGRAMS / 4);
    ring_free(ring);
    fake_net_free(net);
}

static unsigned by_first_byte(const void *data, size_t size, unsigned sockets)
{
    return size > 0 ? *(const uint8_t *)data % sockets : 0;
}

static void rings_on_one_port_are_chosen_between(void **state)
{
    (void)state;
    const struct fake_config config = fake_config_calm();
    net = fake_net_create(&config);
    fake_net_route(net, by_first_byte);
    struct ring *rings[] = {packet_ring(), packet_ring(), packet_ring()};
    struct fake_udp *udp = fake_udp_open(net, peer_address(0));
    for (uint16_t i = 0; i < 9; i++)
        fake_udp_send(udp, PACKET_PORT, &i, sizeof i, 0);
    for (unsigned ring = 0; ring < 3; ring++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(take_number(rings[ring]), ring + 3 * i);
        assert_int_equal(take_number(rings[ring]), UINT16_MAX);
        ring_free(rings[ring]);
    }
    fake_net_free(net);
}

static void one_that_has_moved_is_found_at_its_new_address_only(void **state)
{
    (void)state;
    char byte;
    uint8_t ecn;
    const struct fake_config config = fake_config_calm();
    net = fake_net_create(&config);
    struct ring *ring = packet_ring();
    struct fake_udp *udp = fake_udp_open(net, peer_address(0));
    struct ring_packet packet = {.iov = {(char[]){"a"}, 1}, .peer = peer_address(0)};
    ring_packets_send(ring, 0, &packet, 1);
    fake_udp_move(udp, peer_address(1));
    ring_packets_send(ring, 0, &packet, 1);
    assert_int_equal(fake_udp_receive(udp, &byte, 1, &ecn), -EAGAIN);
    packet.peer = peer_address(1);
    ring_packets_send(ring, 0, &packet, 1);
    assert_int_equal(fake_udp_receive(udp, &byte, 1, &ecn), 1);
    ring_free(ring);
    fake_net_free(net);
}

static void a_spoilt_one_differs_in_one_bit(void **state)
{
    (void)state;
    struct fake_config config = fake_config_calm();
    config.packet_spoilt = 1000;
    net = fake_net_create(&config);
    struct ring *ring = packet_ring();
    struct fake_udp *udp = fake_udp_open(net, peer_address(0));
    for (unsigned i = 0; i < 100; i++) {
        const uint16_t number = 0;
        fake_udp_send(udp, PACKET_PORT, &number, sizeof number, 0);
        uint16_t spoilt = take_number(ring);
        assert_true(spoilt != 0 && (spoilt & (spoilt - 1)) == 0);
    }
    ring_free(ring);
    fake_net_free(net);
}

static void what_came_from_an_address_and_went_there_is_known(void **state)
{
    (void)state;
    struct fake_config config = fake_config_calm();
    net = fake_net_create(&config);
    struct ring *ring = packet_ring();
    struct fake_udp *udp = fake_udp_open(net, peer_address(0));
    fake_udp_send(udp, PACKET_PORT, "ab", 2, 0);
    assert_int_equal(fake_udp_taken(udp), 0);
    take_number(ring);
    assert_int_equal(fake_udp_taken(udp), 2);
    config.packet_lost = 1000;
    fake_net_configure(net, &config);
    struct ring_packet packet = {
        .iov = {(char[]){"abcde"}, 5}, .segment = 2, .peer = peer_address(0)};
    ring_packets_send(ring, 0, &packet, 1);
    assert_int_equal(fake_udp_given(udp), 5);
    fake_udp_move(udp, peer_address(1));
    assert_int_equal(fake_udp_taken(udp) + fake_udp_given(udp), 0);
    ring_free(ring);
    fake_net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_are_lost_doubled_and_out_of_order),
        cmocka_unit_test(rings_on_one_port_are_chosen_between),
        cmocka_unit_test(one_that_has_moved_is_found_at_its_new_address_only),
        cmocka_unit_test(a_spoilt_one_differs_in_one_bit),
        cmocka_unit_test(what_came_from_an_address_and_went_there_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
