/* An end that stands, and is parked while it is idle, still knows what its beginning needs: whoever
 * has not heard the answer to his cookie says it again. */
#include <string.h>

#include "sctp_pair.h"
#include "wire/octets.h"
#include "wire/sctp_internal.h"
#include "wire_test.h"

enum {
    SECOND = 1000,
    PORT = 5000,
    ANSWERS_LOST_MAX = 4,
};

static struct pair pair;
static unsigned heard, to_drop;

static void on_message(struct sctp *sctp, const struct sctp_message *message)
{
    (void)sctp, (void)message;
    heard++;
}

static void on_reset(struct sctp *sctp, uint16_t stream)
{
    (void)sctp, (void)stream;
}

static const struct sctp_ops ops = {on_message, on_reset, on_reset};

static struct sctp *end(unsigned number)
{
    return &pair.ends[number].sctp;
}

/* The first end hears nothing until so many cookies were answered. */
static bool drop_answers(struct pair *of, unsigned to, const uint8_t *packet, size_t len)
{
    (void)of, (void)len;
    bool drops = to == 0 && to_drop > 0;
    to_drop -= drops && packet[SCTP_HEAD_SIZE] == SCTP_COOKIE_ACK;
    return drops;
}

static bool drop_data(struct pair *of, unsigned to, const uint8_t *packet, size_t len)
{
    (void)of, (void)to, (void)len;
    bool drops = to_drop > 0 && packet[SCTP_HEAD_SIZE] == SCTP_DATA;
    to_drop -= drops;
    return drops;
}

/* Until the first end has a cookie. An end that has heartbeats to say is not parked. */
static void begin(void)
{
    static struct sctp_settings settings;
    settings = pair_settings;
    settings.heartbeat_ms = 0;
    heard = 0;
    pair_init(&pair, 1, &settings, &ops, 100);
    pair.parks = true;
    while (!end(0)->echo)
        assert_true(pair_step(&pair, SCTP_NEVER - 1));
}

/* The first end's cookie; `data`: with its first TSN in the same packet. */
static size_t cookie_write(uint8_t packet[SCTP_PACKET_MAX], bool data)
{
    const struct sctp_head head = {.source = PORT, .destination = PORT, .tag = end(0)->peer_tag};
    const struct sctp_echo *echo = end(0)->echo;
    struct sctp_writer writer;
    sctp_packet_begin(&writer, packet, SCTP_PACKET_MAX, &head);
    memcpy(sctp_chunk_write(&writer, SCTP_COOKIE_ECHO, 0, echo->len), echo->bytes, echo->len);
    if (data) {
        uint8_t *at = sctp_chunk_write(&writer, SCTP_DATA, SCTP_FLAG_B | SCTP_FLAG_E | SCTP_FLAG_U,
                                       SCTP_DATA_HEAD + 1);
        memset(at, 0, SCTP_DATA_HEAD + 1);
        octets_put32(at, end(0)->next_tsn);
        end(0)->acked_tsn = end(0)->given_up_tsn = end(0)->next_tsn++;
    }
    return sctp_packet_end(&writer);
}

static void come(const uint8_t *packet, size_t len)
{
    assert_int_equal(sctp_input(end(1), pair.now, packet, len), 0);
    pair_flush(&pair, 1);
}

static void send_one(unsigned from)
{
    const struct sctp_message message = {.payload = 53, .bytes = {"abc", 3}};
    assert_int_equal(sctp_send(end(from), &message, SCTP_RELIABLE), 0);
    pair_flush(&pair, from);
}

/* Both ways, and then nothing is left. */
static void both_are_heard(void)
{
    unsigned before = heard;
    send_one(0);
    send_one(1);
    pair_run(&pair, (uint64_t)5 * SECOND * PAIR_MS);
    assert_int_equal(heard, before + 2);
    assert_true(sctp_idle(end(0)) && sctp_idle(end(1)));
}

/* Also if DATA comes with the cookie, as usrsctp sends it, and is heard once; and if the first DATA
 * behind it is lost. */
static void test_each_cookie_is_answered(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4 * ANSWERS_LOST_MAX; i++) {
        const bool data = i / ANSWERS_LOST_MAX % 2;
        uint8_t packet[SCTP_PACKET_MAX];
        begin();
        to_drop = 1 + i % ANSWERS_LOST_MAX;
        pair.drop = drop_answers;
        const size_t len = data ? cookie_write(packet, true) : 0;
        while (to_drop > 0) {
            if (data)
                come(packet, len);
            pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
            assert_true(sctp_open(end(1)) && heard == data);
        }
        pair_run(&pair, (uint64_t)10 * SECOND * PAIR_MS);
        assert_true(sctp_open(end(0)) && pair.parkings > 0);
        pair.drop = drop_data;
        to_drop = i / ANSWERS_LOST_MAX / 2;
        both_are_heard();
        pair_done(&pair);
    }
}

/* What the network has kept: neither changes what stands, and a cookie that is not the one that was
 * given is not answered. */
static void test_a_beginning_that_comes_late(void **state)
{
    (void)state;
    uint8_t cookie[SCTP_PACKET_MAX], init[SCTP_PACKET_MAX];
    const struct sctp_head head = {.source = PORT, .destination = PORT};
    struct sctp_writer writer;
    begin();
    size_t len = cookie_write(cookie, false);
    sctp_packet_begin(&writer, init, SCTP_PACKET_MAX, &head);
    sctp_init_write(end(0), &writer, false);
    size_t init_len = sctp_packet_end(&writer);
    pair_run(&pair, (uint64_t)SECOND * PAIR_MS);
    both_are_heard();
    uint64_t before = pair.packets;
    come(init, init_len);
    assert_int_equal(pair.packets, before);
    come(cookie, len);
    assert_int_equal(pair.packets, before + 1);
    sctp_packet_begin(&writer, cookie, SCTP_PACKET_MAX,
                      &(struct sctp_head){PORT, PORT, end(0)->peer_tag});
    memset(sctp_chunk_write(&writer, SCTP_COOKIE_ECHO, 0, 8), 0, 8);
    come(cookie, sctp_packet_end(&writer));
    assert_int_equal(pair.packets, before + 1);
    both_are_heard();
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_cookie_is_answered),
        cmocka_unit_test(test_a_beginning_that_comes_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
