/* How much leaves at once, and what waits. */
#include "sctp_pair.h"
#include "wire_test.h"

static unsigned heard;

static struct pair pair;

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

/* At a round trip of 50 ms of which every hundredth packet is lost, as much leaves as of a TCP with
 * such losses: its square root law, and half of that at least. Without losses what may wait, nearly
 * once in each. So it is for an end that answers each packet, and for one that takes all that has
 * come before it says something, as a turn of the server does. */
static void test_throughput(void **state)
{
    (void)state;
    enum {
        SECONDS = 20,
        SIZE = 8192,
        OWED = 128 << 10,
        OF_TCP = 280 << 10
    };
    static uint8_t bytes[SIZE];
    const struct sctp_message message = {.payload = 53, .bytes = {(const char *)bytes, SIZE}};
    for (unsigned i = 0; i < 4; i++) {
        const unsigned lost = i % 2 * 10;
        pair_init(&pair, 1, &pair_settings, &ops, 1000);
        pair.together = i >= 2;
        pair.delay_ns = (uint64_t)25 * PAIR_MS;
        pair.lost = lost;
        struct sctp *from = &pair.ends[1].sctp;
        uint64_t sent = 0, end = pair.now + (uint64_t)SECONDS * 1000 * PAIR_MS;
        while (pair.now < end) {
            while (sctp_open(from) && sctp_owes(from) < OWED) {
                assert_int_equal(sctp_send(from, &message, SCTP_RELIABLE), 0);
                sent += SIZE;
            }
            pair_flush(&pair, 1);
            pair_run(&pair, PAIR_MS);
        }
        uint64_t each_s = (sent - sctp_owes(from)) / SECONDS;
        assert_true(each_s > (lost ? OF_TCP / 2 : OWED * 15));
        pair_done(&pair);
    }
}

/* Small messages, one behind the other: none waits for an acknowledgement. */
static void test_no_small_message_waits(void **state)
{
    (void)state;
    struct sctp_settings settings = pair_settings;
    settings.heartbeat_ms = 0; /* an end that has one to say is not parked */
    char bytes[128] = {0};
    const struct sctp_message message = {.payload = 53, .bytes = {bytes, sizeof bytes}};
    for (unsigned parks = 0; parks < 2; parks++) {
        pair_init(&pair, 1, &settings, &ops, 100);
        pair.delay_ns = PAIR_MS / 20;
        pair_run(&pair, (uint64_t)1000 * PAIR_MS);
        pair.parks = parks;
        heard = 0;
        for (unsigned i = 0; i < 2000; i++) {
            assert_int_equal(sctp_send(&pair.ends[1].sctp, &message, SCTP_RELIABLE), 0);
            pair_flush(&pair, 1);
            pair_run(&pair, PAIR_MS / 2);
            assert_int_equal(heard, 1);
            heard = 0;
        }
        assert_true(!parks || pair.parkings > 500);
        pair_done(&pair);
    }
}

/* All of several packets is lost, and given up or sent again when the time is over: what comes
 * behind it waits for no acknowledgement that its peer holds back, which costs 200 ms. */
static void test_it_goes_on_after_all_was_lost(void **state)
{
    (void)state;
    enum {
        SIZE = 4000,
        BEHIND = 16
    };
    static const char bytes[SIZE];
    const struct sctp_effort once = {.retransmits = 0, .until_ns = SCTP_NEVER};
    struct sctp_settings settings = pair_settings;
    settings.heartbeat_ms = 0;
    for (unsigned i = 0; i < 8; i++) {
        const bool given_up = i & 1;
        const struct sctp_message message = {.payload = 53, .bytes = {bytes, i & 4 ? 100 : SIZE}};
        pair_init(&pair, 1, &settings, &ops, 100);
        pair.delay_ns = (uint64_t)2 * PAIR_MS;
        pair.parks = i & 2;
        struct sctp *from = &pair.ends[1].sctp;
        pair_run(&pair, (uint64_t)1000 * PAIR_MS);
        assert_int_equal(sctp_send(from, &message, SCTP_RELIABLE), 0);
        pair_flush(&pair, 1);
        pair_run(&pair, (uint64_t)1000 * PAIR_MS);
        pair.lost = 1000;
        heard = 0;
        assert_int_equal(sctp_send(from, &message, given_up ? once : SCTP_RELIABLE), 0);
        pair_flush(&pair, 1);
        pair.lost = 0;
        for (unsigned j = 0; j < BEHIND; j++)
            assert_int_equal(sctp_send(from, &message, SCTP_RELIABLE), 0);
        const uint64_t timeout_ns = sctp_path_rto_ns(&from->path);
        pair_run(&pair, timeout_ns + (uint64_t)50 * PAIR_MS);
        assert_int_equal(heard, BEHIND + !given_up);
        pair_done(&pair);
    }
}

/* However many acknowledgements come while nothing leaves. */
static void test_a_burst_has_an_end(void **state)
{
    (void)state;
    struct sctp_path path;
    sctp_path_init(&path, 1 << 20);
    sctp_path_left(&path, 1000);
    uint32_t before = 0;
    for (unsigned i = 0; i < 4000000; i++) {
        sctp_path_answered(&path, 1000);
        assert_true(path.burst >= before);
        before = path.burst;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_throughput),
        cmocka_unit_test(test_no_small_message_waits),
        cmocka_unit_test(test_it_goes_on_after_all_was_lost),
        cmocka_unit_test(test_a_burst_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
