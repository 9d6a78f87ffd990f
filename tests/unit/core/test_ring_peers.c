/* Rings that tell from where a connection came: io_uring by accepts that are one-shot and have an
 * address each, so the whole contract runs over those; and epoll. */
#include "ring_contract.h"
#include "ring_loopback.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const struct contract_kernel contract_kernel = {
    .ring_new = loopback_ring_peers,
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

enum {
    CROWD = 200, /* more than are armed at once */
    PORT_FIRST = 21000,
    PORTS = 10000,
};

/* A socket that listens on both families. Of the ports that the kernel chooses from, each may be in
 * TIME_WAIT on some address after a busy hour, so it is one below them. */
static int listen_dual(struct sockaddr_in6 *ret)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0, err = -1;
    *ret = (struct sockaddr_in6){.sin6_family = AF_INET6};
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    for (int i = 0; err < 0 && i < PORTS; i++) {
        ret->sin6_port = htons((uint16_t)(PORT_FIRST + (getpid() + i) % PORTS));
        err = bind(fd, (struct sockaddr *)ret, sizeof *ret);
    }
    assert_int_equal(err, 0);
    assert_int_equal(listen(fd, CROWD), 0);
    return fd;
}

static int connect_from(uint32_t from, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(from)}};
    assert_true(fd >= 0);
    /* The port is chosen when the other end is known: there may be few that nobody else has. */
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = port;
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void assert_peer(struct ring *ring, uint32_t slot, const char *expected)
{
    char text[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, ring_peer(ring, slot), text, sizeof text);
    assert_string_equal(text, expected);
}

/* Each byte of a peer's is its number, so its slot is known to be its. */
static void check_crowd(struct ring *ring, uint16_t port)
{
    static int peers[CROWD];
    for (int i = 0; i < CROWD; i++) {
        peers[i] = connect_from(INADDR_LOOPBACK + (uint32_t)i, port);
        uint8_t number = (uint8_t)i;
        assert_int_equal(send(peers[i], &number, 1, 0), 1);
    }
    for (int i = 0; i < CROWD; i++) {
        uint32_t slot = contract_accept_slot(ring);
        uint8_t number;
        char expected[INET6_ADDRSTRLEN];
        assert_int_equal(contract_receive_soon(ring, slot, &number, 1), 1);
        struct in_addr from = {htonl(INADDR_LOOPBACK + number)};
        snprintf(expected, sizeof expected, "::ffff:%s", inet_ntoa(from));
        assert_peer(ring, slot, expected);
    }
    for (int i = 0; i < CROWD; i++)
        close(peers[i]);
}

static void check_addresses(struct ring *ring)
{
    struct sockaddr_in6 address;
    int fd = listen_dual(&address);
    assert_int_equal(ring_listen(ring, 0, fd), 0);
    check_crowd(ring, address.sin6_port);

    int peer = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin6_addr = in6addr_loopback;
    assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
    assert_peer(ring, contract_accept_slot(ring), "::1");
    close(peer);
    ring_listen_stop(ring);
    close(fd);
    ring_free(ring);
}

static void each_address_is_told_on_io_uring(void **state)
{
    (void)state;
    check_addresses(loopback_ring_peers(CONTRACT_CAPACITY));
}

static void each_address_is_told_on_descriptors(void **state)
{
    (void)state;
    const struct ring_config config = {.capacity = CONTRACT_CAPACITY, .peers = true};
    char why[256];
    struct ring *ring;
    assert_int_equal(ring_uring_fd_create(&ring, &config, why, sizeof why), 0);
    check_addresses(ring);
}

static void each_address_is_told_on_epoll(void **state)
{
    (void)state;
    const struct ring_config config = {.capacity = CONTRACT_CAPACITY, .peers = true};
    char why[256];
    struct ring *ring;
    assert_int_equal(ring_epoll_create(&ring, &config, why, sizeof why), 0);
    check_addresses(ring);
}

/* What arms the accepts again is submitted with all else. */
static void an_address_costs_no_system_call(void **state)
{
    (void)state;
    struct ring *ring = loopback_ring_peers(CONTRACT_CAPACITY);
    loopback_listen(ring);
    contract_quiet(ring);
    for (int i = 0; i < 100; i++) {
        uint64_t before = ring->stats.enters;
        loopback_open();
        contract_kernel.turn(ring);
        struct ring_event event;
        assert_true(ring_next(ring, &event));
        assert_int_equal(event.kind, RING_ACCEPTED);
        assert_int_equal(ring->stats.enters, before + 1);
    }
    ring_free(ring);
    loopback_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_is_told_on_io_uring),
        cmocka_unit_test(each_address_is_told_on_descriptors),
        cmocka_unit_test(each_address_is_told_on_epoll),
        cmocka_unit_test(an_address_costs_no_system_call),
    };
    return contract_run() + contract_run_timed() +
           cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
