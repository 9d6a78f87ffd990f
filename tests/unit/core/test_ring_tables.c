/* One ring on several kernel rings, as where RLIMIT_NOFILE is low: it is lowered here to the
 * smallest table.
 *
 * The peers are a client ring, since the limit leaves no descriptors for them; its slots say where
 * they connected from, and a connection tells its number by the first bytes that it sends. */
#include "ring_contract.h"
#include "ring_loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/ring_uring.h"

enum {
    DESCRIPTORS = 256,
    TABLES = 4,
    SLOTS = TABLES * DESCRIPTORS,
    CAPACITY = TABLES * (DESCRIPTORS - DESCRIPTORS / 8),
    PEERS = SLOTS + DESCRIPTORS,
    NOBODY = UINT32_MAX,
    SKIPPED = 77, /* to Meson */
};

/* A pair of rings, joined by loopback, and who is connected with whom. */
struct joined {
    struct ring *server;
    struct ring *client;
    struct sockaddr_in address;
    uint32_t peer_of[SLOTS];
    uint32_t slot_of[PEERS];
    uint32_t open;     /* peers that are connected as far as they know */
    uint32_t accepted; /* those of them that the server has accepted */
};

static struct joined joined;

static void turn_both(struct ring *ring)
{
    (void)ring;
    ring_wait(joined.client, 0);
    loopback_turn(joined.server);
}

const struct contract_kernel contract_kernel = {
    .turn = turn_both,
};

static int setup(void **state)
{
    joined.server = loopback_ring(CAPACITY, false);
    joined.client = loopback_ring(PEERS, true);
    loopback_listener(&joined.address);
    memset(joined.peer_of, 0xff, sizeof joined.peer_of);
    memset(joined.slot_of, 0xff, sizeof joined.slot_of);
    joined.open = joined.accepted = 0;
    *state = &joined;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ring_free(joined.client);
    ring_free(joined.server);
    loopback_end();
    return 0;
}

static void peer_connect(uint32_t peer)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ring_connect(joined.client, peer, &any, &joined.address);
}

/* Takes the answers to `count` connects. A connection says its number at once. */
static void peers_connected(uint32_t count)
{
    while (count > 0) {
        struct ring_event event;
        if (!ring_next(joined.client, &event)) {
            assert_int_equal(ring_wait(joined.client, LOOPBACK_TURN_NS), 0);
            continue;
        }
        assert_int_equal(event.kind, RING_CONNECTED);
        assert_int_equal(event.res, 0);
        assert_int_equal(contract_send(joined.client, event.slot, &event.slot, sizeof event.slot),
                         sizeof event.slot);
        joined.open++;
        count--;
    }
}

static void peers_open(uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        peer_connect(first + i);
    peers_connected(count);
}

/* Joins an accepted slot with its peer. */
static void accepted(uint32_t slot)
{
    uint32_t peer;
    int32_t n;
    int turns = 0;
    while ((n = contract_receive(joined.server, slot, &peer, sizeof peer)) == -EAGAIN) {
        assert_true(turns++ < CONTRACT_PATIENCE);
        contract_kernel.turn(joined.server);
    }
    assert_int_equal(n, sizeof peer);
    assert_true(slot < SLOTS && peer < PEERS);
    assert_int_equal(joined.peer_of[slot], NOBODY);
    assert_int_equal(joined.slot_of[peer], NOBODY);
    joined.peer_of[slot] = peer;
    joined.slot_of[peer] = slot;
    joined.accepted++;
}

static void accept_until(uint32_t count)
{
    while (joined.accepted < count) {
        struct ring_event event = contract_event(joined.server);
        assert_int_equal(event.kind, RING_ACCEPTED);
        accepted(event.slot);
    }
}

/* Nobody else is accepted, and nobody is turned away. */
static void no_more_is_accepted(void)
{
    contract_quiet(joined.server);
}

static void part(uint32_t slot)
{
    uint32_t peer = joined.peer_of[slot];
    ring_close(joined.server, slot);
    ring_abort(joined.client, peer);
    ring_close(joined.client, peer);
    joined.peer_of[slot] = NOBODY;
    joined.slot_of[peer] = NOBODY;
    joined.open--;
    joined.accepted--;
}

/* Every connection is alive and joined with the right one. */
static void everybody_answers(void)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint32_t peer = joined.peer_of[slot], got = 0;
        if (peer == NOBODY)
            continue;
        assert_int_equal(contract_send(joined.server, slot, &slot, sizeof slot), sizeof slot);
        assert_int_equal(contract_receive_soon(joined.client, peer, &got, sizeof got), sizeof got);
        assert_int_equal(got, slot);
    }
}

/* They are opened when they are needed. */
static void a_low_limit_makes_several_tables(void **state)
{
    (void)state;
    assert_int_equal(((struct ring_uring *)joined.server)->tables_max, TABLES);
    assert_int_equal(joined.server->stats.tables, 1);
    assert_int_equal(joined.server->capacity, SLOTS);
}

static void every_slot_of_every_table_is_used(void **state)
{
    (void)state;
    uint64_t random = 1;
    loopback_listen(joined.server);
    while (joined.open < SLOTS) {
        uint32_t burst = 1 + (uint32_t)(contract_random(&random) % 100);
        burst = burst < SLOTS - joined.open ? burst : SLOTS - joined.open;
        peers_open(joined.open, burst);
        accept_until(joined.open);
    }
    assert_int_equal(joined.server->stats.slots_used, SLOTS);
    assert_int_equal(joined.server->stats.tables, TABLES);
    everybody_answers();
}

/* More wait in the backlog than a table holds when the ring begins to accept. */
static void a_full_backlog_is_accepted_whole(void **state)
{
    (void)state;
    peers_open(0, SLOTS);
    loopback_listen(joined.server);
    accept_until(SLOTS);
    no_more_is_accepted();
    everybody_answers();
}

static void a_full_ring_leaves_the_backlog_waiting(void **state)
{
    (void)state;
    const uint32_t extra = PEERS - SLOTS;
    uint64_t random = 2;
    loopback_listen(joined.server);
    peers_open(0, PEERS);
    accept_until(SLOTS);
    no_more_is_accepted();
    assert_int_equal(joined.server->stats.slots_used, SLOTS);

    for (uint32_t i = 0; i < extra; i++) {
        uint32_t slot;
        do
            slot = (uint32_t)(contract_random(&random) % SLOTS);
        while (joined.peer_of[slot] == NOBODY);
        part(slot);
        if (i % 3 == 0)
            accept_until(SLOTS);
    }
    accept_until(SLOTS);
    assert_int_equal(joined.open, SLOTS);
    no_more_is_accepted();
    everybody_answers();
}

static void listening_stops_on_a_full_ring(void **state)
{
    (void)state;
    loopback_listen(joined.server);
    peers_open(0, SLOTS + 10);
    accept_until(SLOTS);
    ring_listen_stop(joined.server);
    for (uint32_t slot = 0; slot < 20; slot++)
        part(slot);
    no_more_is_accepted();
    loopback_listen(joined.server);
    accept_until(SLOTS - 10);
    no_more_is_accepted();
    everybody_answers();
}

/* At the edge of being full, where accepting moves from table to table. */
static void nobody_is_lost_in_churn(void **state)
{
    (void)state;
    uint64_t random = 3;
    loopback_listen(joined.server);
    for (int round = 0; round < 60; round++) {
        uint32_t opened = 0;
        for (uint32_t peer = 0; peer < PEERS && joined.open + opened < SLOTS; peer++) {
            if (joined.slot_of[peer] == NOBODY && contract_random(&random) % 4) {
                peer_connect(peer);
                opened++;
            }
        }
        peers_connected(opened);
        accept_until(joined.open);
        uint32_t share = 1 + (uint32_t)(contract_random(&random) % 30);
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            if (joined.peer_of[slot] != NOBODY && contract_random(&random) % share == 0)
                part(slot);
    }
    everybody_answers();
    no_more_is_accepted();
    assert_int_equal(joined.server->stats.slots_used, joined.accepted);
    assert_int_equal(joined.client->stats.slots_used, joined.open);
}

/* The backlog is larger than a table, so no table has room for all of it. */
static void who_comes_and_goes_needs_no_further_table(void **state)
{
    (void)state;
    loopback_listen(joined.server);
    for (int round = 0; round < 20; round++) {
        peers_open(0, DESCRIPTORS / 2);
        accept_until(DESCRIPTORS / 2);
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            if (joined.peer_of[slot] != NOBODY)
                part(slot);
        assert_int_equal(joined.server->stats.tables, 1);
    }
    no_more_is_accepted();
}

/* ---- events on tables that nobody waits on ---- */

static void fill_ring(void)
{
    loopback_listen(joined.server);
    peers_open(0, SLOTS);
    accept_until(SLOTS);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint32_t slot_in_table(uint32_t table)
{
    return table * DESCRIPTORS + 17 * (table + 1);
}

static void an_event_before_the_wait_ends_it(void **state)
{
    (void)state;
    fill_ring();
    for (uint32_t i = 0; i < 10 * TABLES; i++) {
        uint32_t slot = slot_in_table(i % TABLES);
        char byte = 0;
        ring_watch(joined.server, slot, RING_READ);
        contract_quiet(joined.server);
        assert_int_equal(contract_send(joined.client, joined.peer_of[slot], &byte, 1), 1);
        int64_t start = now_ns();
        struct ring_event event;
        while (!ring_next(joined.server, &event)) {
            assert_int_equal(ring_wait(joined.server, CONTRACT_LONG_NS), 0);
            assert_true(now_ns() - start < CONTRACT_LONG_NS);
        }
        assert_int_equal(event.slot, slot);
        assert_int_equal(contract_receive(joined.server, slot, &byte, 1), 1);
    }
}

enum {
    ROUNDS = 500
};

/* Plain sockets as peers for another thread, since a ring has one owner. */
static void *write_main(void *argument)
{
    int *ends = argument;
    for (int i = 0; i < ROUNDS; i++) {
        char byte = 0;
        assert_int_equal(send(ends[i % TABLES], &byte, 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(ends[i % TABLES], &byte, 1, 0), 1); /* until it was seen */
    }
    return NULL;
}

static void an_event_within_the_wait_ends_it(void **state)
{
    (void)state;
    static int ends[TABLES];
    pthread_t thread;
    fill_ring();
    for (uint32_t table = 0; table < TABLES; table++) {
        part(slot_in_table(table));
        no_more_is_accepted();
        ends[table] = loopback_open();
        assert_int_equal(contract_accept_slot(joined.server), slot_in_table(table));
        ring_watch(joined.server, slot_in_table(table), RING_READ);
    }
    contract_quiet(joined.server);

    assert_int_equal(pthread_create(&thread, NULL, write_main, ends), 0);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = now_ns();
        struct ring_event event;
        while (!ring_next(joined.server, &event)) {
            assert_int_equal(ring_wait(joined.server, CONTRACT_LONG_NS), 0);
            assert_true(now_ns() - start < CONTRACT_LONG_NS);
        }
        char byte;
        assert_int_equal(event.slot, slot_in_table((uint32_t)i % TABLES));
        assert_int_equal(contract_receive(joined.server, event.slot, &byte, 1), 1);
        ring_watch(joined.server, event.slot, RING_READ);
        assert_int_equal(contract_send(joined.server, event.slot, &byte, 1), 1);
    }
    pthread_join(thread, NULL);
}

static void idle_tables_cost_no_system_call(void **state)
{
    (void)state;
    fill_ring();
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        ring_watch(joined.server, slot, RING_READ);
    contract_quiet(joined.server);
    uint64_t enters = joined.server->stats.enters;
    contract_quiet(joined.server);
    assert_int_equal(joined.server->stats.enters - enters, CONTRACT_QUIET_TURNS);
}

/* Takes one number for each entry, in batches: what is not there yet when the machine is busy comes
 * with a later one. `taken` counts them by slot. */
static void receive_numbers(struct ring_io *batch, uint32_t count, uint32_t *taken)
{
    static uint32_t got[RING_BATCH_MAX];
    for (int turns = 0; count > 0; turns++) {
        assert_true(turns < CONTRACT_PATIENCE);
        for (uint32_t i = 0; i < count; i++)
            batch[i].iov = (struct iovec){&got[i], sizeof got[i]};
        ring_receive(joined.client, batch, count);
        uint32_t left = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (batch[i].res == -EAGAIN) {
                batch[left++].slot = batch[i].slot;
                continue;
            }
            assert_int_equal(batch[i].res, sizeof got[i]);
            assert_int_equal(got[i], taken[joined.slot_of[batch[i].slot]]++);
        }
        count = left;
        contract_kernel.turn(joined.server);
    }
}

static void a_batch_goes_over_all_tables(void **state)
{
    (void)state;
    static struct ring_io batch[RING_BATCH_MAX];
    static uint32_t numbers[RING_BATCH_MAX];
    static uint32_t sent[SLOTS], taken[SLOTS];
    uint64_t random = 4;
    fill_ring();

    memset(sent, 0, sizeof sent);
    memset(taken, 0, sizeof taken);
    for (uint32_t i = 0; i < RING_BATCH_MAX; i++) {
        uint32_t slot = (uint32_t)(contract_random(&random) % SLOTS);
        numbers[i] = sent[slot]++;
        batch[i] = (struct ring_io){.slot = slot, .iov = {&numbers[i], sizeof numbers[i]}};
    }
    ring_send(joined.server, batch, RING_BATCH_MAX);
    for (uint32_t i = 0; i < RING_BATCH_MAX; i++) {
        assert_int_equal(batch[i].res, sizeof numbers[i]);
        batch[i].slot = joined.peer_of[batch[i].slot];
    }
    receive_numbers(batch, RING_BATCH_MAX, taken);
    assert_memory_equal(sent, taken, sizeof sent);
}

/* Of this process alone: the ports of one that ran a moment ago are still in TIME_WAIT. */
static struct in_addr own_address(void)
{
    return (struct in_addr){htonl((INADDR_LOOPBACK & 0xff000000) | (uint32_t)getpid() << 2 | 2)};
}

/* The addresses of connects that wait to be submitted, on every table at once. */
static void connects_on_many_tables_keep_their_addresses(void **state)
{
    (void)state;
    enum {
        PORT_FIRST = 21000
    };
    static uint8_t seen[PEERS];
    struct ring_uring *uring = (struct ring_uring *)joined.client;
    assert_true(PEERS > uring->tables_max * 2);
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t slot = i % uring->tables_max * DESCRIPTORS + i / uring->tables_max;
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr = own_address(),
                                   .sin_port = htons((uint16_t)(PORT_FIRST + i))};
        ring_connect(joined.client, slot, &from, &joined.address);
    }
    uint32_t connects = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        int32_t res = contract_event(joined.client).res;
        /* Else somebody listens there on all addresses. */
        assert_true(res == 0 || res == -EADDRINUSE);
        connects += res == 0;
    }
    assert_true(connects > SLOTS / 2);
    for (uint32_t i = 0; i < connects; i++) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        int fd = accept(loopback_listener(NULL), (struct sockaddr *)&from, &size);
        assert_true(fd >= 0);
        uint32_t port = ntohs(from.sin_port) - (uint32_t)PORT_FIRST;
        assert_true(port < SLOTS && !seen[port]);
        seen[port] = 1;
        close(fd);
    }
}

int main(void)
{
    const struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        perror("setrlimit");
        return 1;
    }
    /* Slots beyond the limit there are only with direct descriptors. */
    if (!ring_is_direct())
        return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_low_limit_makes_several_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(every_slot_of_every_table_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_backlog_is_accepted_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_ring_leaves_the_backlog_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(listening_stops_on_a_full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_lost_in_churn, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_and_goes_needs_no_further_table, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_before_the_wait_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_within_the_wait_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_tables_cost_no_system_call, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_goes_over_all_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(connects_on_many_tables_keep_their_addresses, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("ring tables", tests, NULL, NULL);
}
