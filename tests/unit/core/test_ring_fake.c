/* The fake kernel: the contract, that it notices who breaks it, and that a seed draws the same
 * again. */
#include "ring_contract.h"
#include "ring_fake.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PEERS_MAX = 4096,
    TURN_NS = 5000000,
};

static struct fake_net *net;
static struct fake_client *peers[PEERS_MAX];
static int peer_count;
static struct fake_config net_config;

static struct ring *kernel_ring_new(uint32_t capacity)
{
    net = fake_net_create(&net_config);
    peer_count = 0;
    return ring_fake_create(net, &(struct ring_config){.capacity = capacity});
}

static void kernel_listen(struct ring *ring)
{
    assert_int_equal(ring_listen(ring, 0, 0), 0);
}

static void kernel_listen_second(struct ring *ring)
{
    assert_int_equal(ring_listen(ring, 1, 1), 0);
}

static void kernel_turn(struct ring *ring)
{
    fake_net_advance(net, fake_net_now(net) + TURN_NS);
    assert_int_equal(ring_wait(ring, TURN_NS), 0);
}

static int open_at(int port)
{
    assert_true(peer_count < PEERS_MAX);
    peers[peer_count] = fake_client_open(net, port);
    return peer_count++;
}

static int kernel_peer_open(void)
{
    return open_at(0);
}

static int kernel_peer_open_second(void)
{
    return open_at(1);
}

static ssize_t kernel_peer_write(int peer, const void *data, size_t size)
{
    return fake_client_write(peers[peer], data, size);
}

static ssize_t kernel_peer_read(int peer, void *data, size_t size)
{
    return fake_client_read(peers[peer], data, size);
}

static void kernel_peer_close(int peer)
{
    fake_client_close(peers[peer]);
}

static void kernel_peer_reset(int peer)
{
    fake_client_reset(peers[peer]);
}

enum {
    PACKET_PORT = 4433,
};

static struct fake_udp *packet_peers[PEERS_MAX];
static int packet_peer_count;
static int packet_port;

static int kernel_packets_open(struct ring *ring, unsigned number)
{
    packet_port = PACKET_PORT + (int)number;
    return ring_packets_open(ring, number, packet_port);
}

static struct sockaddr_in6 kernel_packet_peer_address(int peer)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)(50000 + peer)),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
}

static int kernel_packet_peer(void)
{
    struct sockaddr_in6 address = kernel_packet_peer_address(packet_peer_count);
    packet_peers[packet_peer_count] = fake_udp_open(net, address);
    return packet_peer_count++;
}

static void kernel_packet_peer_send(int peer, const void *data, size_t size, uint8_t ecn)
{
    fake_udp_send(packet_peers[peer], packet_port, data, size, ecn);
}

static ssize_t kernel_packet_peer_take(int peer, void *data, size_t size, uint8_t *ret_ecn)
{
    return fake_udp_receive(packet_peers[peer], data, size, ret_ecn);
}

static void kernel_end(void)
{
    packet_peer_count = 0;
    fake_net_free(net);
    net = NULL;
}

const struct contract_kernel contract_kernel = {
    .ring_new = kernel_ring_new,
    .listen = kernel_listen,
    .listen_second = kernel_listen_second,
    .turn = kernel_turn,
    .peer_open = kernel_peer_open,
    .peer_open_second = kernel_peer_open_second,
    .peer_write = kernel_peer_write,
    .peer_read = kernel_peer_read,
    .peer_close = kernel_peer_close,
    .peer_reset = kernel_peer_reset,
    .packets_open = kernel_packets_open,
    .packet_peer = kernel_packet_peer,
    .packet_peer_send = kernel_packet_peer_send,
    .packet_peer_take = kernel_packet_peer_take,
    .packet_peer_address = kernel_packet_peer_address,
    .end = kernel_end,
};

/* ---- what ends the process ---- */

static void assert_ends_the_process(void (*deed)(struct ring *ring, uint32_t slot))
{
    struct ring *ring = contract_kernel.ring_new(CONTRACT_CAPACITY);
    int peer;
    contract_kernel.listen(ring);
    uint32_t slot = contract_accept(ring, &peer);

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        sigaction(SIGABRT, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        close(STDERR_FILENO); /* where the assertion would be reported */
        deed(ring, slot);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ring_free(ring);
    contract_kernel.end();
}

static void watch_twice(struct ring *ring, uint32_t slot)
{
    ring_watch(ring, slot, RING_READ);
    ring_watch(ring, slot, RING_READ);
}

static void close_with_a_watch_out(struct ring *ring, uint32_t slot)
{
    ring_watch(ring, slot, RING_WRITE);
    ring_close(ring, slot);
}

static void close_before_the_cancellation(struct ring *ring, uint32_t slot)
{
    ring_watch(ring, slot, RING_READ);
    ring_unwatch(ring, slot, RING_READ);
    ring_close(ring, slot);
}

static void close_twice(struct ring *ring, uint32_t slot)
{
    ring_close(ring, slot);
    ring_close(ring, slot);
}

static void send_on_a_free_slot(struct ring *ring, uint32_t slot)
{
    contract_send(ring, slot + 1, "x", 1);
}

static void watch_a_free_slot(struct ring *ring, uint32_t slot)
{
    ring_close(ring, slot);
    ring_watch(ring, slot, RING_READ);
}

static void receive_beyond_the_capacity(struct ring *ring, uint32_t slot)
{
    char byte;
    (void)slot;
    contract_receive(ring, ring->capacity, &byte, 1);
}

static void receive_into_nothing(struct ring *ring, uint32_t slot)
{
    char byte;
    contract_receive(ring, slot, &byte, 0);
}

static void send_too_many(struct ring *ring, uint32_t slot)
{
    static struct ring_io batch[RING_BATCH_MAX + 1];
    for (int i = 0; i <= RING_BATCH_MAX; i++)
        batch[i] = (struct ring_io){.slot = slot, .iov = {(void *)"x", 1}};
    ring_send(ring, batch, RING_BATCH_MAX + 1);
}

static void listen_twice(struct ring *ring, uint32_t slot)
{
    (void)slot;
    ring_listen(ring, 0, 1);
}

static void breaking_the_contract_ends_the_process(void **state)
{
    (void)state;
    assert_ends_the_process(watch_twice);
    assert_ends_the_process(close_with_a_watch_out);
    assert_ends_the_process(close_before_the_cancellation);
    assert_ends_the_process(close_twice);
    assert_ends_the_process(send_on_a_free_slot);
    assert_ends_the_process(watch_a_free_slot);
    assert_ends_the_process(receive_beyond_the_capacity);
    assert_ends_the_process(receive_into_nothing);
    assert_ends_the_process(send_too_many);
    assert_ends_the_process(listen_twice);
}

/* ---- a full ring, and a client's ring ---- */

static void a_full_ring_leaves_the_backlog_waiting(void **state)
{
    (void)state;
    struct ring *ring = contract_kernel.ring_new(3);
    uint32_t slots[3];
    int peer;
    contract_kernel.listen(ring);
    for (int i = 0; i < 3; i++)
        slots[i] = contract_accept(ring, &peer);
    peer = contract_kernel.peer_open();
    contract_quiet(ring);
    ring_close(ring, slots[1]);
    assert_int_equal(contract_accept_slot(ring), slots[1]);
    ring_free(ring);
    contract_kernel.end();
}

static void a_ring_connects_to_a_ring(void **state)
{
    (void)state;
    struct ring *server = contract_kernel.ring_new(8);
    struct ring *client =
        ring_fake_create(net, &(struct ring_config){.capacity = 8, .client = true});
    struct sockaddr_in from = {.sin_port = htons(1)}, to = {.sin_port = htons(5)};
    char byte;

    ring_connect(client, 0, &from, &to);
    assert_int_equal(contract_expect(client, RING_CONNECTED, 0), -ECONNREFUSED);
    assert_int_equal(client->stats.slots_used, 0);
    assert_int_equal(ring_listen(server, 0, 5), 0);
    ring_connect(client, 0, &from, &to);
    assert_int_equal(contract_expect(client, RING_CONNECTED, 0), 0);
    ring_connect(client, 1, &from, &to);
    assert_int_equal(contract_expect(client, RING_CONNECTED, 1), -EADDRINUSE);

    uint32_t slot = contract_accept_slot(server);
    ring_watch(client, 0, RING_READ);
    assert_int_equal(contract_send(server, slot, "x", 1), 1);
    contract_expect(client, RING_READABLE, 0);
    assert_int_equal(contract_receive(client, 0, &byte, 1), 1);
    ring_abort(client, 0);
    ring_close(client, 0);
    assert_int_equal(contract_receive(server, slot, &byte, 1), -ECONNRESET);
    ring_free(client);
    ring_free(server);
    contract_kernel.end();
}

/* ---- the wild kernel ---- */

enum {
    ECHOES = 40,
    ROUNDS = 600,
};

/* Echoes at the ring's end, for clients that come, write, read and go at random. */
struct echo {
    bool used;
    bool closing;
    bool watching[2];
    uint8_t bytes[512];
    uint32_t count;
};

static void echo_close_when_quiet(struct ring *ring, struct echo *echo, uint32_t slot)
{
    if (!echo->watching[RING_READ] && !echo->watching[RING_WRITE]) {
        ring_close(ring, slot);
        *echo = (struct echo){0};
    }
}

static void echo_end(struct ring *ring, struct echo *echo, uint32_t slot)
{
    echo->closing = true;
    for (enum ring_direction direction = RING_READ; direction <= RING_WRITE; direction++)
        if (echo->watching[direction])
            ring_unwatch(ring, slot, direction);
    echo_close_when_quiet(ring, echo, slot);
}

static void echo_watch(struct ring *ring, struct echo *echo, uint32_t slot,
                       enum ring_direction direction)
{
    echo->watching[direction] = true;
    ring_watch(ring, slot, direction);
}

static void echo_write(struct ring *ring, struct echo *echo, uint32_t slot)
{
    int32_t n = contract_send(ring, slot, echo->bytes, echo->count);
    if (n < 0 && n != -EAGAIN) {
        echo_end(ring, echo, slot);
        return;
    }
    if (n > 0) {
        echo->count -= (uint32_t)n;
        memmove(echo->bytes, echo->bytes + n, echo->count);
    }
    echo_watch(ring, echo, slot, echo->count > 0 ? RING_WRITE : RING_READ);
}

static void echo_read(struct ring *ring, struct echo *echo, uint32_t slot)
{
    int32_t n = contract_receive(ring, slot, echo->bytes, sizeof echo->bytes);
    if (n == -EAGAIN) {
        echo_watch(ring, echo, slot, RING_READ);
    } else if (n <= 0) {
        echo_end(ring, echo, slot);
    } else {
        echo->count = (uint32_t)n;
        echo_write(ring, echo, slot);
    }
}

static void echo_event(struct ring *ring, struct echo *echoes, const struct ring_event *event)
{
    struct echo *echo = &echoes[event->slot];
    switch (event->kind) {
    case RING_ACCEPTED:
        assert_false(echo->used);
        echo->used = true;
        echo_watch(ring, echo, event->slot, RING_READ);
        break;
    case RING_REFUSED:
        break;
    case RING_CONNECTED:
    case RING_PACKETS:
        fail();
        break;
    case RING_READABLE:
    case RING_WRITABLE: {
        enum ring_direction direction = event->kind == RING_READABLE ? RING_READ : RING_WRITE;
        assert_true(echo->watching[direction]);
        echo->watching[direction] = false;
        if (echo->closing)
            echo_close_when_quiet(ring, echo, event->slot);
        else if (direction == RING_READ)
            echo_read(ring, echo, event->slot);
        else
            echo_write(ring, echo, event->slot);
        break;
    }
    }
}

/* One of the clients does something; what comes back must be what went out. */
struct echo_client {
    struct fake_client *client;
    uint64_t sent;
    uint64_t got;
};

static void echo_client_act(struct echo_client *who)
{
    uint8_t data[700], expected[700];
    size_t size = 1 + fake_net_random(net) % sizeof data;
    ssize_t n = 0;
    switch (who->client ? fake_net_random(net) % 40 : 0) {
    case 0:
        if (who->client)
            fake_client_close(who->client);
        *who = (struct echo_client){.client = fake_client_open(net, 0)};
        return;
    case 1:
        fake_client_reset(who->client);
        *who = (struct echo_client){0};
        return;
    default:
        break;
    }
    if (fake_net_random(net) % 2) {
        contract_fill(data, size, who->sent);
        n = fake_client_write(who->client, data, size);
        who->sent += n > 0 ? (uint64_t)n : 0;
    } else {
        n = fake_client_read(who->client, data, size);
        contract_fill(expected, sizeof expected, who->got);
        if (n > 0)
            assert_memory_equal(data, expected, (size_t)n);
        who->got += n > 0 ? (uint64_t)n : 0;
        assert_true(who->got <= who->sent);
    }
    if (n == 0 || (n < 0 && n != -EAGAIN)) {
        fake_client_close(who->client);
        who->client = NULL;
    }
}

static uint64_t wild_run(uint64_t seed)
{
    static struct echo echoes[ECHOES / 2];
    static struct echo_client clients[ECHOES];
    struct fake_config config = fake_config_wild(seed);
    struct ring_event event;
    memset(echoes, 0, sizeof echoes);
    memset(clients, 0, sizeof clients);
    net = fake_net_create(&config);
    struct ring *ring = ring_fake_create(net, &(struct ring_config){.capacity = ECHOES / 2});
    ring_listen(ring, 0, 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t i = fake_net_random(net) % ECHOES; i > 0; i--)
            echo_client_act(&clients[fake_net_random(net) % ECHOES]);
        int64_t due = fake_net_due(net);
        if (due > fake_net_now(net) && due != INT64_MAX && fake_net_random(net) % 4)
            fake_net_advance(net, due);
        ring_wait(ring, 0);
        while (ring_next(ring, &event))
            echo_event(ring, echoes, &event);
    }
    for (int i = 0; i < ECHOES; i++)
        if (clients[i].client)
            fake_client_close(clients[i].client);
    while (fake_net_due(net) != INT64_MAX) {
        if (fake_net_due(net) > fake_net_now(net))
            fake_net_advance(net, fake_net_due(net));
        ring_wait(ring, 0);
        while (ring_next(ring, &event))
            echo_event(ring, echoes, &event);
    }
    assert_int_equal(ring->stats.slots_used, 0);
    assert_int_equal(fake_net_open(net), 0);
    uint64_t trace = fake_net_trace(net);
    ring_free(ring);
    fake_net_free(net);
    return trace;
}

static void wild_echoes_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t trace = wild_run(seed);
        assert_int_equal(wild_run(seed), trace);
        assert_int_not_equal(wild_run(seed + 1000), trace);
    }
}

static int run_contract(const struct fake_config *config)
{
    net_config = *config;
    return contract_run();
}

int main(void)
{
    const struct CMUnitTest fake_tests[] = {
        cmocka_unit_test(breaking_the_contract_ends_the_process),
        cmocka_unit_test(a_full_ring_leaves_the_backlog_waiting),
        cmocka_unit_test(a_ring_connects_to_a_ring),
        cmocka_unit_test(wild_echoes_lose_nothing),
    };
    struct fake_config calm = fake_config_calm();
    struct fake_config slow = calm;
    slow.delay_ns_max = TURN_NS * 3;
    slow.shuffled = true;
    int failed = run_contract(&calm) + run_contract(&slow);
    net_config = calm;
    return failed + cmocka_run_group_tests_name("fake kernel", fake_tests, NULL, NULL);
}
