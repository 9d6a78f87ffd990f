/* Datagrams that leave together where the kernel takes none together, or not these: each that it
 * takes alone leaves once, in order, and is counted once. And what a turn
 * hears, between what it sends. */
#include "fake_shard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SLOTS = 8,
    PIPE_BYTES = 4096,
    PORT = 7,
    PEERS = 2,
    LONG = 1400,
    SHORT = 600,
    MANY = 150, /* more than an entry takes */
};

struct way {
    struct fake_shard fake;
    struct fake_udp *peers[PEERS];
    uint8_t sent[PEERS], received[PEERS]; /* what the last one says */
};

/* ---- a protocol that hears nothing ---- */

static int nothing_made(struct shard *shard)
{
    (void)shard;
    return 0;
}

static void nothing_heard(struct shard *shard, const struct ring_packet *packet)
{
    (void)shard;
    (void)packet;
}

static bool nothing_due(struct shard *shard)
{
    (void)shard;
    return false;
}

static int64_t never(const struct shard *shard)
{
    (void)shard;
    return INT64_MAX;
}

static void nothing_freed(struct shard *shard)
{
    (void)shard;
}

static const struct datagram_ops silent = {
    .create = nothing_made,
    .arrived = nothing_heard,
    .turn = nothing_due,
    .next_ns = never,
    .free = nothing_freed,
};

/* ---- a way ---- */

static struct sockaddr_in6 address_of(unsigned peer)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)(4000 + peer)),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
}

static int setup(void **state)
{
    static struct way way;
    way = (struct way){0};
    fake_shard_init(&way.fake);
    way.fake.server.datagrams[DATAGRAM_QUIC] = &silent;
    fake_shard_start(&way.fake, SLOTS, PIPE_BYTES);
    assert_int_equal(shard_datagrams(way.fake.shard, DATAGRAM_QUIC, PORT), 0);
    for (unsigned i = 0; i < PEERS; i++)
        way.peers[i] = fake_udp_open(way.fake.net, address_of(i));
    *state = &way;
    return 0;
}

static int teardown(void **state)
{
    struct way *way = *state;
    fake_shard_done(&way->fake);
    return 0;
}

static void refuse(struct way *way, int32_t joined_err, uint32_t packet_bytes_max)
{
    struct fake_config config = fake_config_calm();
    config.joined_err = joined_err;
    config.packet_bytes_max = packet_bytes_max;
    fake_net_configure(way->fake.net, &config);
}

/* Each says which it is, from its first byte to its last. */
static void make_of(struct way *way, uint32_t whose, unsigned peer, size_t len, unsigned count)
{
    const struct sockaddr_in6 address = address_of(peer);
    for (unsigned i = 0; i < count; i++) {
        memset(datagram_room(way->fake.shard, DATAGRAM_QUIC), ++way->sent[peer], len);
        datagram_send(way->fake.shard, DATAGRAM_QUIC, whose, len, &address, &in6addr_any, 0);
    }
}

static void make(struct way *way, unsigned peer, size_t len, unsigned count)
{
    make_of(way, peer, peer, len, count);
}

static void pass_over(struct way *way, unsigned peer, unsigned count)
{
    way->received[peer] = (uint8_t)(way->received[peer] + count);
}

static void expect(struct way *way, unsigned peer, size_t len, unsigned count)
{
    uint8_t bytes[DATAGRAM_BYTES], ecn;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fake_udp_receive(way->peers[peer], bytes, sizeof bytes, &ecn), len);
        way->received[peer]++;
        for (size_t at = 0; at < len; at++)
            assert_int_equal(bytes[at], way->received[peer]);
    }
}

static void expect_no_more(struct way *way)
{
    uint8_t bytes[DATAGRAM_BYTES], ecn;
    for (unsigned i = 0; i < PEERS; i++)
        assert_int_equal(fake_udp_receive(way->peers[i], bytes, sizeof bytes, &ecn), -EAGAIN);
}

static void expect_counted(const struct way *way, unsigned sent, unsigned joined, unsigned unsent,
                           size_t bytes)
{
    const struct counters *counters = &way->fake.shard->counters;
    assert_int_equal(counter_read(&counters->datagrams_sent), sent);
    assert_int_equal(counter_read(&counters->datagrams_joined), joined);
    assert_int_equal(counter_read(&counters->datagrams_unsent), unsent);
    assert_int_equal(counter_read(&counters->bytes_sent), bytes);
}

/* ---- tests ---- */

static void what_is_taken_together_is_counted_one_by_one(void **state)
{
    struct way *way = *state;
    make(way, 0, LONG, 3);
    make(way, 0, SHORT, 1);
    make(way, 1, SHORT, 2);
    datagrams_flush(way->fake.shard);
    expect(way, 0, LONG, 3);
    expect(way, 0, SHORT, 1);
    expect(way, 1, SHORT, 2);
    expect_no_more(way);
    expect_counted(way, 6, 4, 0, 3 * LONG + 3 * SHORT);
}

static void connections_at_one_address_are_not_joined(void **state)
{
    struct way *way = *state;
    make_of(way, 1, 0, SHORT, 2);
    make_of(way, 2, 0, SHORT, 3);
    make_of(way, 1, 0, SHORT, 1);
    make_of(way, DATAGRAM_NOBODYS, 0, SHORT, 2);
    datagrams_flush(way->fake.shard);
    expect(way, 0, SHORT, 8);
    expect_no_more(way);
    expect_counted(way, 8, 3, 0, 8 * SHORT);
}

/* An entry between such as are taken, and one that is as full as they get. */
static void a_device_that_cuts_nothing_gets_them_one_by_one(void **state)
{
    struct way *way = *state;
    refuse(way, -EIO, 0);
    make(way, 1, SHORT, 1);
    make(way, 0, LONG, 3);
    make(way, 0, SHORT, 1);
    make(way, 1, 1, MANY);
    datagrams_flush(way->fake.shard);
    expect(way, 1, SHORT, 1);
    expect(way, 0, LONG, 3);
    expect(way, 0, SHORT, 1);
    expect(way, 1, 1, MANY);
    expect_no_more(way);
    expect_counted(way, MANY + 5, 0, 0, 3 * LONG + 2 * SHORT + MANY);
    refuse(way, 0, 0); /* it is not asked again */
    make(way, 0, SHORT, 2);
    datagrams_flush(way->fake.shard);
    expect(way, 0, SHORT, 2);
    expect_counted(way, MANY + 7, 0, 0, 3 * LONG + 4 * SHORT + MANY);
}

static void a_kernel_that_knows_no_entries_gets_them_one_by_one(void **state)
{
    struct way *way = *state;
    refuse(way, -EINVAL, 0);
    make(way, 0, SHORT, 4);
    datagrams_flush(way->fake.shard);
    refuse(way, 0, 0);
    make(way, 0, SHORT, 2);
    datagrams_flush(way->fake.shard);
    expect(way, 0, SHORT, 6);
    expect_no_more(way);
    expect_counted(way, 6, 0, 0, 6 * SHORT);
}

/* Linux says EINVAL of the entry up to 6.13, and EMSGSIZE from then on. */
static void one_way_that_is_too_narrow_ends_no_joining(void **state)
{
    static const int32_t errs[] = {-EINVAL, -EMSGSIZE};
    struct way *way = *state;
    for (unsigned i = 0; i < sizeof errs / sizeof errs[0]; i++) {
        refuse(way, errs[i], LONG - 1);
        make(way, 0, LONG, 3);
        make(way, 0, SHORT, 1);
        datagrams_flush(way->fake.shard);
        pass_over(way, 0, 3);
        expect(way, 0, SHORT, 1);
        refuse(way, 0, 0);
        make(way, 1, SHORT, 4);
        datagrams_flush(way->fake.shard);
        expect(way, 1, SHORT, 4);
        expect_no_more(way);
        expect_counted(way, (i + 1) * 5, (i + 1) * 3, (i + 1) * 3, (size_t)(i + 1) * 5 * SHORT);
    }
}

/* Nothing else has room then either. */
static void what_a_full_socket_refuses_is_lost(void **state)
{
    struct way *way = *state;
    refuse(way, -EAGAIN, 0);
    make(way, 0, SHORT, 3);
    datagrams_flush(way->fake.shard);
    expect_no_more(way);
    expect_counted(way, 0, 0, 3, 0);
    refuse(way, 0, 0);
    pass_over(way, 0, 3);
    make(way, 0, SHORT, 3);
    datagrams_flush(way->fake.shard);
    expect(way, 0, SHORT, 3);
    expect_counted(way, 3, 2, 3, 3 * SHORT);
}

static void come(struct way *way, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        fake_udp_send(way->peers[0], PORT, "", 1, 0);
}

static int64_t behind_ns(struct way *way, int64_t after_ns)
{
    struct shard *shard = way->fake.shard;
    fake_net_advance(way->fake.net, fake_net_now(way->fake.net) + after_ns);
    ring_wait(shard->ring, 0);
    shard_turn(shard, fake_net_now(way->fake.net));
    return shard->now_ns - datagrams_heard_ns(shard, DATAGRAM_QUIC);
}

static void what_lies_in_the_socket_is_not_heard_yet(void **state)
{
    struct way *way = *state;
    come(way, 1);
    assert_int_equal(behind_ns(way, 0), 0);
    come(way, 3 * DATAGRAMS_PER_TURN);
    assert_int_equal(behind_ns(way, FAKE_SHARD_MS), FAKE_SHARD_MS);
    assert_int_equal(behind_ns(way, FAKE_SHARD_MS), 2 * FAKE_SHARD_MS);
    assert_int_equal(behind_ns(way, FAKE_SHARD_S), DATAGRAMS_BEHIND_NS);
    assert_int_equal(behind_ns(way, FAKE_SHARD_MS), 0);
}

struct counted {
    struct carrier carrier;
    unsigned turns;
};

static void count_turn(struct shard *shard, struct carrier *carrier)
{
    (void)shard;
    ((struct counted *)carrier)->turns++;
}

/* A message for all of them leaves room between to hear what they answer. */
static void a_turn_turns_so_many_carriers(void **state)
{
    struct way *way = *state;
    enum {
        LAST = 100,
        CROWD = 2 * CARRIERS_PER_TURN + LAST,
    };
    static const struct carrier_ops ops = {.turn = count_turn};
    static struct counted all[CROWD];
    struct shard *shard = way->fake.shard;
    for (unsigned i = 0; i < CROWD; i++) {
        carrier_init(&all[i].carrier, &ops, TIMERS_NONE);
        carrier_due(shard, &all[i].carrier);
    }
    for (unsigned turned = 0; turned < CROWD;) {
        unsigned left = CROWD - turned;
        turned += left < CARRIERS_PER_TURN ? left : CARRIERS_PER_TURN;
        int64_t wait_ns = shard_turn(shard, fake_net_now(way->fake.net));
        assert_int_equal(wait_ns == 0, turned < CROWD);
        for (unsigned i = 0; i < CROWD; i++)
            assert_int_equal(all[i].turns, i < turned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_taken_together_is_counted_one_by_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(connections_at_one_address_are_not_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_that_cuts_nothing_gets_them_one_by_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_kernel_that_knows_no_entries_gets_them_one_by_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_way_that_is_too_narrow_ends_no_joining, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_full_socket_refuses_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(what_lies_in_the_socket_is_not_heard_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_turns_so_many_carriers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
