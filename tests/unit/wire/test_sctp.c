#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sctp_pair.h"
#include "wire/octets.h"
#include "wire/sctp_internal.h"
#include "wire_test.h"

enum {
    HEARD_MAX = 64,
    SECOND = 1000,
};

/* What the two ends have heard, as text: "<end><stream>:<first byte><length>". */
static struct {
    unsigned count;
    struct {
        unsigned end, stream;
        uint32_t payload;
        size_t len;
        char first, last;
    } messages[HEARD_MAX];
    unsigned resets, reusables;
    bool abort_then;
} heard;

static struct pair pair;

static void on_message(struct sctp *sctp, const struct sctp_message *message)
{
    assert_true(heard.count < HEARD_MAX);
    heard.messages[heard.count].end = pair_end_of(sctp)->number;
    heard.messages[heard.count].stream = message->stream;
    heard.messages[heard.count].payload = message->payload;
    heard.messages[heard.count].len = message->bytes.len;
    heard.messages[heard.count].first = message->bytes.ptr[0];
    heard.messages[heard.count].last = message->bytes.ptr[message->bytes.len - 1];
    heard.count++;
    if (heard.abort_then)
        sctp_abort(sctp);
}

static void on_reset(struct sctp *sctp, uint16_t stream)
{
    (void)sctp;
    heard.resets |= 1U << stream;
}

static void on_reusable(struct sctp *sctp, uint16_t stream)
{
    (void)sctp;
    heard.reusables |= 1U << stream;
}

static const struct sctp_ops ops = {on_message, on_reset, on_reusable};

static struct sctp *end(unsigned number)
{
    return &pair.ends[number].sctp;
}

static void begin(void)
{
    memset(&heard, 0, sizeof heard);
    pair_init(&pair, 1, &pair_settings, &ops, 100);
}

static void begin_open(void)
{
    begin();
    pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
    assert_true(sctp_open(end(0)) && sctp_open(end(1)));
}

static int queue(unsigned from, unsigned stream, char letter, size_t len, struct sctp_effort effort)
{
    static char bytes[1 << 17];
    memset(bytes, letter, len);
    struct sctp_message message = {
        .stream = (uint16_t)stream,
        .payload = 53,
        .bytes = {bytes, len},
    };
    return sctp_send(end(from), &message, effort);
}

static void queue_now(unsigned from, unsigned stream, char letter, size_t len)
{
    assert_int_equal(queue(from, stream, letter, len, SCTP_RELIABLE), 0);
    pair_flush(&pair, from);
}

/* ---- what the network does to a packet ---- */

static unsigned drop_type = UINT8_MAX, drop_count;

static bool drop_some(struct pair *of, unsigned to, const uint8_t *packet, size_t len)
{
    (void)of;
    (void)to;
    assert_true(len >= SCTP_HEAD_SIZE + SCTP_CHUNK_HEAD);
    if (packet[SCTP_HEAD_SIZE] != drop_type || drop_count == 0)
        return false;
    drop_count--;
    return true;
}

static void drop(unsigned type, unsigned count)
{
    pair.drop = drop_some;
    drop_type = type;
    drop_count = count;
}

/* ---- beginning ---- */

static void test_open_takes_two_round_trips(void **state)
{
    (void)state;
    begin();
    pair_run(&pair, 40 * PAIR_MS);
    assert_true(sctp_open(end(0)) && sctp_open(end(1)));
    assert_int_equal(pair.packets, 4);
    assert_int_equal(sctp_held(end(0)) + sctp_held(end(1)), 0);
    assert_null(end(0)->echo);
    /* Nothing is due but a heartbeat. */
    assert_true(sctp_deadline(end(1)) > pair.now + (uint64_t)20 * SECOND * PAIR_MS);
    pair_done(&pair);
}

static void test_each_packet_of_the_beginning_may_be_lost(void **state)
{
    (void)state;
    static const uint8_t types[] = {SCTP_INIT, SCTP_INIT_ACK, SCTP_COOKIE_ECHO, SCTP_COOKIE_ACK};
    for (size_t i = 0; i < sizeof types; i++) {
        begin();
        /* The first INIT has left by now: its answer is lost in its place. */
        drop(types[i], 3);
        pair_run(&pair, (uint64_t)60 * SECOND * PAIR_MS);
        assert_true(sctp_open(end(0)) && sctp_open(end(1)));
        queue_now(0, 0, 'a', 10);
        queue_now(1, 0, 'b', 10);
        pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
        assert_int_equal(heard.count, 2);
        pair_done(&pair);
    }
}

static void test_who_gets_no_answer_gives_up(void **state)
{
    (void)state;
    begin();
    pair.lost = 1000;
    pair_run(&pair, (uint64_t)600 * SECOND * PAIR_MS);
    assert_int_equal(sctp_ended(end(0)), SCTP_END_TIMEOUT);
    assert_int_equal(sctp_deadline(end(0)), SCTP_NEVER);
    pair_done(&pair);
}

static void test_both_may_begin(void **state)
{
    (void)state;
    begin();
    sctp_connect(end(1), pair.now);
    pair_flush(&pair, 1);
    pair_run(&pair, (uint64_t)5 * SECOND * PAIR_MS);
    assert_true(sctp_open(end(0)) && sctp_open(end(1)));
    queue_now(0, 0, 'a', 5000);
    queue_now(1, 0, 'b', 5000);
    pair_run(&pair, (uint64_t)5 * SECOND * PAIR_MS);
    assert_int_equal(heard.count, 2);
    pair_done(&pair);
}

/* ---- messages ---- */

static void test_messages_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,    2,    3,    4,    1151, 1152, 1153,  1154, 1155,
                                   1156, 1157, 1158, 1159, 1160, 2000, 60000, 65536};
    begin_open();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        queue_now(i % 2, i % SCTP_STREAMS_MAX, (char)('a' + i), sizes[i]);
        pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
        assert_int_equal(heard.count, i + 1);
        assert_int_equal(heard.messages[i].len, sizes[i]);
        assert_int_equal(heard.messages[i].first, 'a' + i);
        assert_int_equal(heard.messages[i].last, 'a' + i);
        assert_int_equal(heard.messages[i].end, 1 - i % 2);
        assert_int_equal(heard.messages[i].payload, 53);
    }
    pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
    assert_int_equal(sctp_held(end(0)) + sctp_held(end(1)), 0);
    pair_done(&pair);
}

static void test_many_small_ones_share_packets(void **state)
{
    (void)state;
    begin_open();
    uint64_t before = pair.packets;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(queue(0, 0, 'a', 20, SCTP_RELIABLE), 0);
    pair_flush(&pair, 0);
    pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
    assert_int_equal(heard.count, 50);
    assert_true(pair.packets - before <= 4); /* 50 × 36 bytes in two, and a SACK for both */
    pair_done(&pair);
}

static void test_refusals(void **state)
{
    (void)state;
    begin();
    assert_int_equal(queue(0, 0, 'a', 1, SCTP_RELIABLE), -ENOTCONN);
    assert_int_equal(sctp_reset(end(0), 0), -ENOTCONN);
    pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
    assert_int_equal(queue(0, SCTP_STREAMS_MAX, 'a', 1, SCTP_RELIABLE), -EINVAL);
    assert_int_equal(sctp_reset(end(0), SCTP_STREAMS_MAX), -EINVAL);
    assert_int_equal(queue(0, 0, 'a', 0, SCTP_RELIABLE), -EINVAL);
    assert_int_equal(queue(0, 0, 'a', 65537, SCTP_RELIABLE), -EMSGSIZE);
    unsigned count = 0;
    while (queue(0, 0, 'a', 60000, SCTP_RELIABLE) == 0)
        count++;
    assert_int_equal(count, (1 << 20) / 60000);
    assert_int_equal(queue(0, 0, 'a', 60000, SCTP_RELIABLE), -ENOBUFS);
    assert_true(sctp_held(end(0)) > 17 * 60000);
    pair_done(&pair);
}

static void test_memory_is_given_back_in_the_middle(void **state)
{
    (void)state;
    begin_open();
    drop(SCTP_DATA, 2);
    queue_now(0, 0, 'a', 30000);
    queue_now(0, 1, 'b', 100);
    pair_run(&pair, 30 * PAIR_MS);
    assert_true(sctp_held(end(0)) > 0 && sctp_held(end(1)) > 0);
    pair_done(&pair); /* asserts that nothing is left */
}

/* A slow stream holds up none but itself. */
static void test_a_loss_on_one_stream(void **state)
{
    (void)state;
    begin_open();
    drop(SCTP_DATA, 1);
    queue_now(0, 0, 'a', 100);
    queue_now(0, 1, 'b', 100);
    queue_now(0, 0, 'c', 100);
    pair_run(&pair, 15 * PAIR_MS);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.messages[0].stream, 1);
    pair_run(&pair, (uint64_t)2 * SECOND * PAIR_MS);
    assert_int_equal(heard.count, 3);
    assert_int_equal(heard.messages[1].first, 'a');
    assert_int_equal(heard.messages[2].first, 'c');
    pair_done(&pair);
}

/* ---- what may be lost ---- */

/* The trap of RFC 3758: the beginning of what is given up must not be joined to what comes next. */
static void test_a_given_up_beginning_takes_its_end_along(void **state)
{
    (void)state;
    begin_open();
    drop(SCTP_DATA, 3);
    struct sctp_effort until = {UINT32_MAX, pair.now + 50 * PAIR_MS};
    assert_int_equal(queue(0, 0, 'x', 40000, until), 0); /* more than the first window */
    assert_int_equal(queue(0, 0, 'y', 3000, SCTP_RELIABLE), 0);
    pair_flush(&pair, 0);
    assert_true(end(0)->queue->cut > 0 && end(0)->queue->cut < 40000);
    pair_run(&pair, (uint64_t)10 * SECOND * PAIR_MS);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.messages[0].len, 3000);
    assert_int_equal(heard.messages[0].first, 'y');
    assert_int_equal(sctp_held(end(0)) + sctp_held(end(1)), 0);
    pair_done(&pair);
}

static void test_no_retransmission(void **state)
{
    (void)state;
    struct sctp_effort once = {0, SCTP_NEVER};
    begin_open();
    drop(SCTP_DATA, 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(queue(0, 3, (char)('a' + i), 10, once), 0);
        pair_flush(&pair, 0);
    }
    pair_run(&pair, (uint64_t)10 * SECOND * PAIR_MS);
    assert_int_equal(heard.count, 3);
    assert_int_equal(heard.messages[0].first, 'b');
    assert_int_equal(sctp_held(end(0)) + sctp_held(end(1)), 0);
    pair_done(&pair);
}

/* What is late before it left takes no number, so nobody waits for it. */
static void test_late_before_it_left(void **state)
{
    (void)state;
    begin_open();
    uint32_t tsn = end(0)->next_tsn;
    struct sctp_effort late = {UINT32_MAX, pair.now};
    assert_int_equal(queue(0, 0, 'a', 10, late), 0);
    queue_now(0, 0, 'b', 10);
    pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.messages[0].first, 'b');
    assert_int_equal(end(0)->next_tsn, tsn + 1);
    pair_done(&pair);
}

/* ---- streams that begin anew ---- */

static void test_reset_and_again(void **state)
{
    (void)state;
    begin_open();
    for (unsigned round = 1; round <= 3; round++) {
        heard.resets = heard.reusables = 0;
        queue_now(0, 2, 'a', 3000);
        queue_now(0, 2, 'b', 10);
        drop(round == 2 ? SCTP_RE_CONFIG : SCTP_DATA, 1);
        assert_int_equal(sctp_reset(end(0), 2), 0);
        assert_int_equal(queue(0, 2, 'z', 10, SCTP_RELIABLE), -EBUSY);
        pair_flush(&pair, 0);
        pair_run(&pair, (uint64_t)10 * SECOND * PAIR_MS);
        assert_int_equal(heard.count, 2 * round);
        assert_int_equal(heard.resets, 1 << 2);
        assert_int_equal(heard.reusables, 1 << 2);
        assert_int_equal(end(0)->next_ssn[2], 0);
        assert_int_equal(end(1)->peer_ssn[2], 0);
    }
    pair_done(&pair);
}

/* ---- the end ---- */

static void test_shutdown_waits_for_what_is_queued(void **state)
{
    (void)state;
    static const uint8_t types[] = {SCTP_DATA, SCTP_SHUTDOWN, SCTP_SHUTDOWN_ACK,
                                    SCTP_SHUTDOWN_COMPLETE};
    for (size_t i = 0; i < sizeof types; i++) {
        begin_open();
        drop(types[i], 1);
        queue_now(0, 0, 'a', 20000);
        sctp_close(end(0));
        assert_int_equal(queue(0, 0, 'b', 1, SCTP_RELIABLE), -ENOTCONN);
        pair_run(&pair, (uint64_t)60 * SECOND * PAIR_MS);
        assert_int_equal(heard.count, 1);
        assert_int_equal(sctp_ended(end(0)), SCTP_END_SHUTDOWN);
        assert_int_equal(sctp_ended(end(1)), SCTP_END_SHUTDOWN);
        pair_done(&pair);
    }
}

static void test_abort(void **state)
{
    (void)state;
    begin_open();
    heard.abort_then = true; /* out of the middle of a packet */
    queue_now(0, 0, 'a', 20);
    queue_now(0, 0, 'b', 20);
    pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
    assert_int_equal(heard.count, 1);
    assert_int_equal(sctp_ended(end(1)), SCTP_END_ABORT);
    assert_int_equal(sctp_ended(end(0)), SCTP_END_ABORTED);
    assert_int_equal(sctp_deadline(end(0)), SCTP_NEVER);
    pair_done(&pair);
}

static void test_a_peer_that_is_gone(void **state)
{
    (void)state;
    begin_open();
    pair.lost = 1000;
    pair_run(&pair, (uint64_t)1200 * SECOND * PAIR_MS); /* heartbeats alone find out */
    assert_int_equal(sctp_ended(end(0)), SCTP_END_TIMEOUT);
    assert_int_equal(sctp_ended(end(1)), SCTP_END_TIMEOUT);
    pair_done(&pair);
}

static void test_heartbeats_are_answered(void **state)
{
    (void)state;
    begin_open();
    uint64_t before = pair.packets;
    pair_run(&pair, (uint64_t)300 * SECOND * PAIR_MS);
    assert_true(sctp_open(end(0)) && sctp_open(end(1)));
    assert_int_equal(end(0)->errors, 0);
    assert_in_range(pair.packets - before, 18, 40); /* of one end, or of both at the same time */
    pair_done(&pair);
}

/* ---- packets that no peer of ours sends ---- */

/* Gives the second end one chunk, as the first would send it. */
static int give(uint8_t type, uint8_t flags, struct span value)
{
    uint8_t packet[SCTP_PACKET_MAX];
    struct sctp_writer writer;
    struct sctp_head head = {5000, 5000, type == SCTP_INIT ? 0 : end(1)->own_tag};
    sctp_packet_begin(&writer, packet, sizeof packet, &head);
    if (value.len > 0)
        memcpy(sctp_chunk_write(&writer, type, flags, value.len), value.ptr, value.len);
    else
        sctp_chunk_write(&writer, type, flags, 0);
    return sctp_input(end(1), pair.now, packet, sctp_packet_end(&writer));
}

static int give_data(uint32_t ahead, uint16_t stream, uint16_t ssn, uint8_t flags, size_t len)
{
    uint8_t value[1100];
    memset(value, 'd', sizeof value);
    octets_put32(value, end(1)->peer_tsn + 1 + ahead);
    octets_put16(value + 4, stream);
    octets_put16(value + 6, ssn);
    octets_put32(value + 8, 53);
    return give(SCTP_DATA, flags, span_of((char *)value, SCTP_DATA_HEAD + len));
}

static void test_wrong_packets_change_nothing(void **state)
{
    (void)state;
    begin_open();
    uint8_t packet[32];
    struct sctp_writer writer;
    struct sctp_head heads[] = {
        {5001, 5000, end(1)->own_tag}, {5000, 5001, end(1)->own_tag}, {5000, 5000, 1}};
    static const int errors[] = {SCTP_PORT, SCTP_PORT, SCTP_TAG};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        sctp_packet_begin(&writer, packet, sizeof packet, &heads[i]);
        sctp_chunk_write(&writer, SCTP_ABORT, 0, 0);
        assert_int_equal(sctp_input(end(1), pair.now, packet, sctp_packet_end(&writer)), errors[i]);
    }
    /* A second INIT does not begin anew what stands. */
    struct sctp before = *end(1);
    static const char init[] = "\0\0\0\x09\0\x10\0\0\0\x10\0\x10\0\0\0\x09";
    assert_int_equal(give(SCTP_INIT, 0, span_of(init, 16)), 0);
    assert_int_equal(end(1)->heartbeat_at, before.heartbeat_at);
    assert_memory_equal(end(1), &before, sizeof before);
    assert_int_equal(give(63, 0, span_of("", 0)), 0);
    assert_int_equal(give(SCTP_COOKIE_ECHO, 0, SPAN("not ours")), 0);
    before.heartbeat_at = end(1)->heartbeat_at; /* the peer is there */
    assert_memory_equal(end(1), &before, sizeof before);
    pair_done(&pair);
}

static void test_what_a_peer_may_not_do(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        struct span value;
    } bad[] = {
        {SCTP_SACK, SPAN_INIT("\0\0\0\0\0\0\0\0\0\0\0")},       /* too short */
        {SCTP_SACK, SPAN_INIT("\0\0\0\0\0\0\0\0\0\x01\0\0")},   /* a block that is not there */
        {SCTP_SACK, SPAN_INIT("\0\0\x7f\xff\0\0\0\0\0\0\0\0")}, /* what was never sent */
        {SCTP_DATA, SPAN_INIT("\0\0\0\x64\0\0\0\0\0\0\0\x35")}, /* nothing in it */
        {SCTP_FORWARD_TSN, SPAN_INIT("\0\0\0\x65\0\0")},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        begin_open();
        assert_int_equal(give(bad[i].type, 3, bad[i].value), 0);
        assert_int_equal(sctp_ended(end(1)), SCTP_END_PROTOCOL);
        pair_flush(&pair, 1);
        pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
        assert_int_equal(sctp_ended(end(0)), SCTP_END_ABORTED);
        pair_done(&pair);
    }
}

static void test_a_message_without_end(void **state)
{
    (void)state;
    begin_open();
    assert_int_equal(give_data(0, 0, 0, SCTP_FLAG_B, 1000), 0);
    for (unsigned i = 0; i < 100 && !sctp_ended(end(1)); i++)
        assert_int_equal(give_data(0, 0, 0, 0, 1000), 0);
    assert_int_equal(sctp_ended(end(1)), SCTP_END_SIZE);
    pair_done(&pair);
}

/* Messages whose turn never comes: each begins and ends, in the order of the TSNs. */
static void test_held_is_bounded(void **state)
{
    (void)state;
    begin_open();
    unsigned most = 2 * SCTP_HELD_MAX + 2, i = 0;
    for (; i < most && !sctp_ended(end(1)); i++)
        assert_int_equal(give_data(0, 0, 7, SCTP_FLAG_B | SCTP_FLAG_E, 1), 0);
    assert_int_equal(sctp_ended(end(1)), SCTP_END_SIZE);
    assert_true(sctp_held(end(1)) <= (256 << 10) + 2 * 65536);
    pair_done(&pair);
}

static void test_gaps_are_bounded(void **state)
{
    (void)state;
    begin_open();
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(give_data(1 + 2 * i, 0, (uint16_t)i, SCTP_FLAG_B, 10), 0);
    assert_int_equal(end(1)->gaps->count, SCTP_GAPS_MAX);
    assert_int_equal(end(1)->held_count, SCTP_GAPS_MAX);
    assert_int_equal(give_data(SCTP_TSN_WINDOW, 0, 0, SCTP_FLAG_B, 10), 0);
    assert_int_equal(end(1)->held_count, SCTP_GAPS_MAX);
    assert_int_equal(sctp_ended(end(1)), SCTP_LIVES);
    pair_done(&pair);
}

/* Streams that there are not: acknowledged, and nothing else. */
static void test_a_stream_that_is_none(void **state)
{
    (void)state;
    begin_open();
    uint32_t tsn = end(1)->peer_tsn;
    assert_int_equal(give_data(0, SCTP_STREAMS_MAX, 0, SCTP_FLAG_B | SCTP_FLAG_E, 10), 0);
    assert_int_equal(end(1)->peer_tsn, tsn + 1);
    assert_int_equal(heard.count, 0);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_takes_two_round_trips),
        cmocka_unit_test(test_each_packet_of_the_beginning_may_be_lost),
        cmocka_unit_test(test_who_gets_no_answer_gives_up),
        cmocka_unit_test(test_both_may_begin),
        cmocka_unit_test(test_messages_of_all_sizes),
        cmocka_unit_test(test_many_small_ones_share_packets),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_memory_is_given_back_in_the_middle),
        cmocka_unit_test(test_a_loss_on_one_stream),
        cmocka_unit_test(test_a_given_up_beginning_takes_its_end_along),
        cmocka_unit_test(test_no_retransmission),
        cmocka_unit_test(test_late_before_it_left),
        cmocka_unit_test(test_reset_and_again),
        cmocka_unit_test(test_shutdown_waits_for_what_is_queued),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_a_peer_that_is_gone),
        cmocka_unit_test(test_heartbeats_are_answered),
        cmocka_unit_test(test_wrong_packets_change_nothing),
        cmocka_unit_test(test_what_a_peer_may_not_do),
        cmocka_unit_test(test_a_message_without_end),
        cmocka_unit_test(test_held_is_bounded),
        cmocka_unit_test(test_gaps_are_bounded),
        cmocka_unit_test(test_a_stream_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
