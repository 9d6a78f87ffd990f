/* The contract of datagrams. Those of the fake kernel may be lost, doubled, cut and late: there the
 * tests that count run without. */
#include "ring_contract.h"

#include <errno.h>
#include <string.h>

enum {
    ROOM = 2048,
    MANY = 3 * RING_PACKETS_MAX / 2,
};

static uint8_t rooms[RING_PACKETS_MAX][ROOM];

static unsigned receive(struct ring *ring, unsigned number, struct ring_packet *packets,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        packets[i] = (struct ring_packet){.iov = {rooms[i], ROOM}};
    return ring_packets_receive(ring, number, packets, count);
}

static struct ring_packet receive_one(struct ring *ring, unsigned number)
{
    struct ring_packet packet;
    ring_packets_watch(ring, number);
    contract_expect(ring, RING_PACKETS, number);
    assert_int_equal(receive(ring, number, &packet, 1), 1);
    return packet;
}

static ssize_t peer_takes(struct ring *ring, int peer, void *data, uint8_t *ret_ecn)
{
    for (int turn = 0; turn < CONTRACT_PATIENCE; turn++) {
        ssize_t n = contract_kernel.packet_peer_take(peer, data, ROOM, ret_ecn);
        if (n != -EAGAIN)
            return n;
        contract_kernel.turn(ring);
    }
    fail_msg("no datagram came");
    return 0;
}

static void assert_is_of(const struct ring_packet *packet, int peer)
{
    struct sockaddr_in6 address = contract_kernel.packet_peer_address(peer);
    assert_int_equal(packet->peer.sin6_port, address.sin6_port);
    assert_memory_equal(&packet->peer.sin6_addr, &address.sin6_addr, sizeof address.sin6_addr);
}

static void a_datagram_comes_with_all_that_is_known_of_it(void **state)
{
    struct ring *ring = *state;
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        int peer = contract_kernel.packet_peer();
        contract_kernel.packet_peer_send(peer, "ping", 4, ecn);
        struct ring_packet packet = receive_one(ring, 0);
        assert_int_equal(packet.res, 4);
        assert_memory_equal(rooms[0], "ping", 4);
        assert_int_equal(packet.ecn, ecn);
        assert_is_of(&packet, peer);
        struct sockaddr_in6 address = contract_kernel.packet_peer_address(peer);
        assert_memory_equal(&packet.local, &address.sin6_addr, sizeof packet.local);
    }
}

static void an_answer_goes_back_by_the_same_way(void **state)
{
    struct ring *ring = *state;
    char got[ROOM];
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        int peer = contract_kernel.packet_peer();
        contract_kernel.packet_peer_send(peer, "ping", 4, 0);
        struct ring_packet packet = receive_one(ring, 0);
        packet.iov = (struct iovec){(char[]){"pong!"}, 5};
        packet.ecn = ecn;
        ring_packets_send(ring, 0, &packet, 1);
        assert_int_equal(packet.res, 5);
        uint8_t came = 0xff;
        assert_int_equal(peer_takes(ring, peer, got, &came), 5);
        assert_memory_equal(got, "pong!", 5);
        assert_int_equal(came, ecn);
    }
}

static void one_entry_may_be_several_datagrams(void **state)
{
    struct ring *ring = *state;
    uint8_t data[2500], got[ROOM], ecn;
    contract_fill(data, sizeof data, 0);
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    int peer = contract_kernel.packet_peer();
    struct ring_packet packet = {
        .iov = {data, sizeof data},
        .segment = 1000,
        .peer = contract_kernel.packet_peer_address(peer),
    };
    ring_packets_send(ring, 0, &packet, 1);
    assert_int_equal(packet.res, sizeof data);
    for (size_t at = 0; at < sizeof data; at += 1000) {
        ssize_t size = at < 2000 ? 1000 : 500;
        assert_int_equal(peer_takes(ring, peer, got, &ecn), size);
        assert_memory_equal(got, data + at, (size_t)size);
    }
}

static void a_batch_takes_what_is_there_and_says_when_that_is_all(void **state)
{
    struct ring *ring = *state;
    struct ring_packet packets[RING_PACKETS_MAX];
    unsigned seen = 0;
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    int peer = contract_kernel.packet_peer();
    for (unsigned i = 0; i < MANY; i++)
        contract_kernel.packet_peer_send(peer, &(uint8_t){(uint8_t)i}, 1, 0);
    while (seen < MANY) {
        ring_packets_watch(ring, 0);
        contract_expect(ring, RING_PACKETS, 0);
        unsigned got;
        do {
            got = receive(ring, 0, packets, RING_PACKETS_MAX);
            for (unsigned i = 0; i < got; i++)
                assert_int_equal(rooms[i][0], seen++);
        } while (got == RING_PACKETS_MAX);
    }
    assert_int_equal(seen, MANY);
    assert_int_equal(receive(ring, 0, packets, RING_PACKETS_MAX), 0);
}

static void a_watch_sees_what_a_batch_left(void **state)
{
    struct ring *ring = *state;
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    int peer = contract_kernel.packet_peer();
    contract_kernel.packet_peer_send(peer, "a", 1, 0);
    contract_kernel.packet_peer_send(peer, "b", 1, 0);
    receive_one(ring, 0);
    assert_int_equal(rooms[0][0], 'a');
    receive_one(ring, 0);
    assert_int_equal(rooms[0][0], 'b');
    struct ring_packet packet;
    assert_int_equal(receive(ring, 0, &packet, 1), 0);
    ring_packets_watch(ring, 0);
    contract_quiet(ring);
}

static void without_a_watch_nothing_is_told(void **state)
{
    struct ring *ring = *state;
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    int peer = contract_kernel.packet_peer();
    contract_kernel.packet_peer_send(peer, "a", 1, 0);
    contract_quiet(ring);
    receive_one(ring, 0);
}

static void a_datagram_without_bytes_is_one(void **state)
{
    struct ring *ring = *state;
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    contract_kernel.packet_peer_send(contract_kernel.packet_peer(), "", 0, 0);
    assert_int_equal(receive_one(ring, 0).res, 0);
}

static void one_that_is_longer_than_its_room_is_told_apart(void **state)
{
    struct ring *ring = *state;
    uint8_t data[ROOM + 1] = {0};
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    int peer = contract_kernel.packet_peer();
    contract_kernel.packet_peer_send(peer, data, sizeof data, 0);
    assert_int_equal(receive_one(ring, 0).res, -EMSGSIZE);
    contract_kernel.packet_peer_send(peer, data, ROOM, 0);
    assert_int_equal(receive_one(ring, 0).res, ROOM);
}

static void each_socket_is_told_apart(void **state)
{
    struct ring *ring = *state;
    assert_int_equal(contract_kernel.packets_open(ring, 2), 0);
    int first = contract_kernel.packet_peer();
    contract_kernel.packet_peer_send(first, "first", 5, 0);
    assert_int_equal(contract_kernel.packets_open(ring, 0), 0);
    int second = contract_kernel.packet_peer();
    contract_kernel.packet_peer_send(second, "second", 6, 0);
    struct ring_packet packet = receive_one(ring, 0);
    assert_int_equal(packet.res, 6);
    assert_is_of(&packet, second);
    packet = receive_one(ring, 2);
    assert_int_equal(packet.res, 5);
    assert_is_of(&packet, first);
}

const struct CMUnitTest contract_packets[] = {
    CONTRACT_TEST(a_datagram_comes_with_all_that_is_known_of_it),
    CONTRACT_TEST(an_answer_goes_back_by_the_same_way),
    CONTRACT_TEST(one_entry_may_be_several_datagrams),
    CONTRACT_TEST(a_batch_takes_what_is_there_and_says_when_that_is_all),
    CONTRACT_TEST(a_watch_sees_what_a_batch_left),
    CONTRACT_TEST(without_a_watch_nothing_is_told),
    CONTRACT_TEST(a_datagram_without_bytes_is_one),
    CONTRACT_TEST(one_that_is_longer_than_its_room_is_told_apart),
    CONTRACT_TEST(each_socket_is_told_apart),
};
const size_t contract_packets_count = sizeof contract_packets / sizeof contract_packets[0];
