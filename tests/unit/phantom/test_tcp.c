/* What each segment brings, one by one. */
#include "wire.h"

#include <errno.h>

static const char HUNDRED[100] = "abcdefghijklmnopqrstuvwxyz";

enum {
    CHUNKS = 64,
    SERVER_ISS = 5000,
    BIG = 65000,
    EXTRA_CHUNKS = 256,
};

/* A connection, and what comes next on it: of the client, and of the server. */
struct talk {
    struct wire wire;
    uint32_t client, server;
};

static void expect_event(struct wire *wire, enum tcp_event event, int32_t res)
{
    const struct wire_event *got = wire_event(wire);
    assert_non_null(got);
    assert_int_equal(got->event, event);
    assert_int_equal(got->res, res);
}

static void expect_silence(struct wire *wire)
{
    assert_null(wire_heard(wire));
    assert_null(wire_event(wire));
}

static const struct segment *expect(struct talk *talk, uint8_t flags)
{
    const struct segment *got = wire_heard(&talk->wire);
    assert_non_null(got);
    assert_int_equal(got->flags, flags);
    return got;
}

static void say(struct talk *talk, uint8_t flags, const char *bytes, size_t len)
{
    wire_say(&talk->wire, 0,
             (struct segment){.seq = talk->server,
                              .ack = talk->client,
                              .flags = flags,
                              .window = UINT16_MAX,
                              .bytes = bytes,
                              .len = len});
}

static void hear_all(struct talk *talk)
{
    while (wire_heard(&talk->wire))
        ;
    while (wire_event(&talk->wire))
        ;
}

static void begin(struct talk *talk, bool sack)
{
    wire_init(&talk->wire, 4, CHUNKS, sack, false);
    wire_open(&talk->wire, 0);
    const struct segment *syn = expect(talk, SEGMENT_SYN);
    assert_int_equal(syn->mss, WIRE_MTU - SEGMENT_HEAD_MIN);
    assert_int_equal(syn->sack_permitted, sack);
    talk->client = syn->seq + 1;
    talk->server = SERVER_ISS;
    wire_say(&talk->wire, 0,
             (struct segment){.seq = SERVER_ISS,
                              .ack = talk->client,
                              .flags = SEGMENT_SYN | SEGMENT_ACK,
                              .window = UINT16_MAX,
                              .mss = 1000,
                              .sack_permitted = true});
    talk->server++;
    const struct segment *ack = expect(talk, SEGMENT_ACK);
    assert_int_equal(ack->ack, SERVER_ISS + 1);
    expect_event(&talk->wire, TCP_CONNECTED, 0);
    assert_int_equal(tcp_flows(talk->wire.tcp), 0);
    expect_silence(&talk->wire);
}

/* Uses up the acknowledgements that come at once. */
static void warm_up(struct talk *talk)
{
    char byte;
    for (int i = 0; i < TCP_QUICK; i++) {
        say(talk, SEGMENT_ACK, "x", 1);
        talk->server++;
        assert_int_equal(tcp_read(talk->wire.tcp, 0, &byte, 1), 1);
        assert_int_equal(expect(talk, SEGMENT_ACK)->ack, talk->server);
    }
    hear_all(talk);
}

static void end(struct talk *talk)
{
    tcp_abort(talk->wire.tcp, 0);
    hear_all(talk);
    tcp_close(talk->wire.tcp, 0);
    assert_int_equal(tcp_flows(talk->wire.tcp), 0);
    wire_done(&talk->wire);
}

static void test_refused(void **state)
{
    (void)state;
    struct talk talk;
    wire_init(&talk.wire, 4, CHUNKS, false, false);
    wire_open(&talk.wire, 0);
    talk.client = expect(&talk, SEGMENT_SYN)->seq;
    talk.server = 0;
    say(&talk, SEGMENT_RST | SEGMENT_ACK, NULL, 0); /* of something else: passed over */
    expect_silence(&talk.wire);
    talk.client++;
    say(&talk, SEGMENT_RST | SEGMENT_ACK, NULL, 0);
    expect_event(&talk.wire, TCP_CONNECTED, -ECONNREFUSED);
    wire_open(&talk.wire, 0); /* its slot and its source are free */
    expect(&talk, SEGMENT_SYN);
    tcp_abort(talk.wire.tcp, 0);
    expect_event(&talk.wire, TCP_CONNECTED, -ECONNABORTED);
    wire_done(&talk.wire);
}

static void test_nobody_answers(void **state)
{
    (void)state;
    struct talk talk;
    wire_init(&talk.wire, 4, CHUNKS, false, false);
    wire_open(&talk.wire, 0);
    uint32_t seq = expect(&talk, SEGMENT_SYN)->seq;
    for (int i = 0; i < TCP_TRIES_MAX; i++) {
        expect_silence(&talk.wire);
        wire_pass(&talk.wire, 70000);
        assert_int_equal(expect(&talk, SEGMENT_SYN)->seq, seq);
    }
    wire_pass(&talk.wire, 70000);
    expect_event(&talk.wire, TCP_CONNECTED, -ETIMEDOUT);
    assert_int_equal(tcp_counters(talk.wire.tcp)->given_up, 1);
    wire_done(&talk.wire);
}

static void test_late_acknowledgements(void **state)
{
    (void)state;
    struct talk talk;
    begin(&talk, false);
    warm_up(&talk);
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED); /* alone: late */
    talk.server += sizeof HUNDRED;
    assert_null(wire_heard(&talk.wire));
    assert_true(tcp_wait_ns(talk.wire.tcp, INT64_MAX / 64) <= TCP_DELAY_MS * WIRE_MS);
    wire_pass(&talk.wire, TCP_DELAY_MS);
    assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server);
    for (int i = 0; i < 2; i++) { /* of two, the second at once */
        assert_null(wire_heard(&talk.wire));
        say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED);
        talk.server += sizeof HUNDRED;
    }
    assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server);
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED); /* on what is sent anyway */
    talk.server += sizeof HUNDRED;
    assert_int_equal(tcp_write(talk.wire.tcp, 0, "y", 1), 1);
    assert_int_equal(expect(&talk, SEGMENT_ACK | SEGMENT_PSH)->ack, talk.server);
    talk.client++;
    say(&talk, SEGMENT_ACK, NULL, 0);
    wire_pass(&talk.wire, 10 * TCP_DELAY_MS);
    assert_null(wire_heard(&talk.wire));
    end(&talk);
}

/* Who answers acknowledges with the next answer. */
static void test_an_answer_ends_haste(void **state)
{
    (void)state;
    struct talk talk;
    char byte;
    begin(&talk, false);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, "q", 1), 1); /* nothing was heard before */
    expect(&talk, SEGMENT_ACK | SEGMENT_PSH);
    talk.client++;
    for (int i = 0; i < 2; i++) {
        say(&talk, SEGMENT_ACK | SEGMENT_PSH, "p", 1);
        talk.server++;
        assert_int_equal(tcp_read(talk.wire.tcp, 0, &byte, 1), 1);
        if (i == 0)
            assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server);
        assert_null(wire_heard(&talk.wire));
        assert_int_equal(tcp_write(talk.wire.tcp, 0, "a", 1), 1);
        assert_int_equal(expect(&talk, SEGMENT_ACK | SEGMENT_PSH)->ack, talk.server);
        talk.client++;
    }
    end(&talk);
}

static void test_in_order_and_again(void **state)
{
    (void)state;
    struct talk talk;
    char bytes[300];
    begin(&talk, false);
    tcp_watch(talk.wire.tcp, 0, TCP_WATCH_READ);
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED);
    expect_event(&talk.wire, TCP_READABLE, 0);
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED); /* the same */
    assert_int_equal(tcp_counters(talk.wire.tcp)->again, 1);
    talk.server += 50; /* half of it is new */
    say(&talk, SEGMENT_ACK, HUNDRED + 50, 50);
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED);
    talk.server += 100;
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, sizeof bytes), 150);
    assert_memory_equal(bytes, HUNDRED, 100);
    assert_memory_equal(bytes + 100, HUNDRED + 50, 50);
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, sizeof bytes), -EAGAIN);
    assert_int_equal(tcp_flows(talk.wire.tcp), 0);
    hear_all(&talk);
    end(&talk);
}

static void test_out_of_order(void **state)
{
    (void)state;
    struct talk talk;
    char bytes[500];
    begin(&talk, true);
    const uint32_t from = talk.server;
    static const int order[] = {3, 1, 4, 1, 2};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        talk.server = from + (uint32_t)order[i] * 100;
        say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED);
        const struct segment *ack = expect(&talk, SEGMENT_ACK);
        assert_int_equal(ack->ack, from);
        assert_true(ack->sack_count > 0);
        assert_true(ack->sacks[0].from <= talk.server && talk.server < ack->sacks[0].to);
    }
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, sizeof bytes), -EAGAIN);
    talk.server = from;
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED);
    const struct segment *ack = expect(&talk, SEGMENT_ACK);
    assert_int_equal(ack->ack, from + 500);
    assert_int_equal(ack->sack_count, 0);
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, sizeof bytes), 500);
    for (int i = 0; i < 5; i++)
        assert_memory_equal(bytes + 100 * (ptrdiff_t)i, HUNDRED, 100);
    assert_int_equal(tcp_flows(talk.wire.tcp), 0);
    end(&talk);
}

static void test_sent_again(void **state)
{
    (void)state;
    struct talk talk;
    begin(&talk, false);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, HUNDRED, sizeof HUNDRED), sizeof HUNDRED);
    assert_int_equal(expect(&talk, SEGMENT_ACK | SEGMENT_PSH)->seq, talk.client);
    wire_pass(&talk.wire, 2000);
    const struct segment *again = expect(&talk, SEGMENT_ACK | SEGMENT_PSH);
    assert_int_equal(again->seq, talk.client);
    assert_memory_equal(again->bytes, HUNDRED, sizeof HUNDRED);
    talk.client += sizeof HUNDRED;
    say(&talk, SEGMENT_ACK, NULL, 0);
    assert_int_equal(tcp_flows(talk.wire.tcp), 0);
    assert_int_equal(tcp_counters(talk.wire.tcp)->retransmitted, 1);
    wire_pass(&talk.wire, 100000);
    assert_null(wire_heard(&talk.wire));
    end(&talk);
}

static void test_third_duplicate(void **state)
{
    (void)state;
    struct talk talk;
    char bytes[5000] = {1};
    begin(&talk, false);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, bytes, sizeof bytes), sizeof bytes);
    for (int i = 0; i < 5; i++) /* pieces of what the server takes */
        assert_int_equal(wire_heard(&talk.wire)->len, 1000);
    for (int i = 0; i < 3; i++) {
        assert_null(wire_heard(&talk.wire));
        say(&talk, SEGMENT_ACK, NULL, 0);
    }
    const struct segment *first = wire_heard(&talk.wire);
    assert_non_null(first);
    assert_int_equal(first->seq, talk.client);
    assert_int_equal(first->len, 1000);
    assert_null(wire_heard(&talk.wire));
    talk.client += sizeof bytes;
    say(&talk, SEGMENT_ACK, NULL, 0);
    assert_int_equal(tcp_flows(talk.wire.tcp), 0);
    end(&talk);
}

static void test_closed_window(void **state)
{
    (void)state;
    struct talk talk;
    begin(&talk, false);
    wire_say(&talk.wire, 0,
             (struct segment){.seq = talk.server, .ack = talk.client, .flags = SEGMENT_ACK});
    assert_int_equal(tcp_write(talk.wire.tcp, 0, HUNDRED, sizeof HUNDRED), sizeof HUNDRED);
    assert_null(wire_heard(&talk.wire));
    for (int i = 0; i < 3 * TCP_TRIES_MAX; i++) { /* asks for ever: the server is alive */
        wire_pass(&talk.wire, 70000);
        assert_int_equal(wire_heard(&talk.wire)->len, 1);
        wire_say(&talk.wire, 0,
                 (struct segment){.seq = talk.server, .ack = talk.client, .flags = SEGMENT_ACK});
        assert_null(wire_heard(&talk.wire));
    }
    say(&talk, SEGMENT_ACK, NULL, 0); /* it opens */
    uint32_t heard = 0;
    for (const struct segment *got; (got = wire_heard(&talk.wire));)
        heard = got->seq + (uint32_t)got->len - talk.client;
    if (heard < sizeof HUNDRED)
        wire_pass(&talk.wire, 70000);
    hear_all(&talk);
    talk.client += sizeof HUNDRED;
    say(&talk, SEGMENT_ACK, NULL, 0);
    assert_int_equal(tcp_flows(talk.wire.tcp), 0);
    end(&talk);
}

static void test_own_window(void **state)
{
    (void)state;
    struct talk talk;
    static char bytes[BIG];
    begin(&talk, false);
    say(&talk, SEGMENT_ACK, bytes, BIG);
    talk.server += BIG;
    assert_int_equal(expect(&talk, SEGMENT_ACK)->window, UINT16_MAX - BIG);
    say(&talk, SEGMENT_ACK, bytes, 1000); /* beyond it: only what fits */
    const struct segment *full = expect(&talk, SEGMENT_ACK);
    assert_int_equal(full->window, 0);
    assert_int_equal(full->ack, talk.server + UINT16_MAX - BIG);
    talk.server = full->ack;
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, 40000), 40000);
    const struct segment *opened = expect(&talk, SEGMENT_ACK); /* and says that it is open */
    assert_int_equal(opened->window, 40000);
    end(&talk);
}

/* A server that takes timestamps and window scale, whose own windows are four times as long. */
static void begin_extra(struct talk *talk, bool agreed)
{
    wire_init(&talk->wire, 4, EXTRA_CHUNKS, true, true);
    wire_open(&talk->wire, 0);
    const struct segment *syn = expect(talk, SEGMENT_SYN);
    assert_true(syn->timed && syn->scaled && syn->sack_permitted);
    assert_int_equal(syn->scale, TCP_SCALE);
    talk->client = syn->seq + 1;
    talk->server = SERVER_ISS + 1;
    wire_say(&talk->wire, 0,
             (struct segment){.seq = SERVER_ISS,
                              .ack = talk->client,
                              .flags = SEGMENT_SYN | SEGMENT_ACK,
                              .window = 1000,
                              .mss = 1000,
                              .timed = agreed,
                              .time = 500,
                              .scaled = agreed,
                              .scale = 2});
    const struct segment *ack = expect(talk, SEGMENT_ACK);
    assert_int_equal(ack->timed, agreed);
    assert_int_equal(ack->window, UINT16_MAX);
    expect_event(&talk->wire, TCP_CONNECTED, 0);
}

static void say_at(struct talk *talk, uint32_t time, uint32_t seq, const char *bytes, size_t len)
{
    wire_say(&talk->wire, 0,
             (struct segment){.seq = seq,
                              .ack = talk->client,
                              .flags = SEGMENT_ACK,
                              .window = 1000,
                              .timed = time > 0,
                              .time = time,
                              .bytes = bytes,
                              .len = len});
}

static void test_timestamps(void **state)
{
    (void)state;
    struct talk talk;
    char bytes[500];
    begin_extra(&talk, true);
    say_at(&talk, 510, talk.server, HUNDRED, 100);
    assert_int_equal(expect(&talk, SEGMENT_ACK)->echo, 510);
    say_at(&talk, 530, talk.server + 200, HUNDRED, 100); /* ahead: the time stays that in order */
    assert_int_equal(expect(&talk, SEGMENT_ACK)->echo, 510);
    say_at(&talk, 505, talk.server + 100, HUNDRED, 100); /* of long ago */
    assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server + 100);
    say_at(&talk, 0, talk.server + 100, HUNDRED, 100); /* without one */
    assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server + 100);
    assert_int_equal(tcp_counters(talk.wire.tcp)->unexpected, 2);
    say_at(&talk, 540, talk.server + 100, HUNDRED, 100);
    const struct segment *ack = expect(&talk, SEGMENT_ACK);
    assert_int_equal(ack->echo, 540);
    assert_int_equal(ack->ack, talk.server + 300);
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, sizeof bytes), 300);
    /* A segment has room for as much less as its timestamp takes. */
    static char many[2000];
    assert_int_equal(tcp_write(talk.wire.tcp, 0, many, sizeof many), sizeof many);
    const struct segment *data = expect(&talk, SEGMENT_ACK);
    assert_int_equal(data->len, 1000 - SEGMENT_TIMESTAMP);
    assert_true(data->timed);
    end(&talk);
}

static void test_window_scale(void **state)
{
    (void)state;
    struct talk talk;
    static char bytes[BIG];
    begin_extra(&talk, true);
    for (unsigned i = 0; i < 4; i++, talk.server += BIG) { /* more than a plain window */
        say_at(&talk, 510, talk.server, bytes, BIG);
        const struct segment *ack = expect(&talk, SEGMENT_ACK);
        assert_int_equal(ack->ack, talk.server + BIG);
        assert_int_equal(ack->window, ((UINT16_MAX << TCP_SCALE) - (i + 1) * BIG) >> TCP_SCALE);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, BIG), BIG);
    hear_all(&talk);
    /* The server's: 1,000 of its units after the handshake. */
    uint32_t sent = 0, len;
    assert_int_equal(tcp_write(talk.wire.tcp, 0, bytes, 6000), 6000);
    for (const struct segment *at; (at = wire_heard(&talk.wire)); sent = at->seq + len)
        len = (uint32_t)at->len;
    assert_int_equal(sent - talk.client, 4000);
    end(&talk);
}

/* A server that says nothing of it has a plain connection. */
static void test_not_agreed(void **state)
{
    (void)state;
    struct talk talk;
    begin_extra(&talk, false);
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED);
    const struct segment *ack = expect(&talk, SEGMENT_ACK);
    assert_false(ack->timed);
    assert_int_equal(ack->window, UINT16_MAX - sizeof HUNDRED);
    end(&talk);
}

static void test_resets(void **state)
{
    (void)state;
    struct talk talk;
    char byte;
    begin(&talk, false);
    tcp_watch(talk.wire.tcp, 0, TCP_WATCH_READ);
    talk.server += 10; /* could be forged: RFC 5961 */
    say(&talk, SEGMENT_RST, NULL, 0);
    assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server - 10);
    say(&talk, SEGMENT_SYN, NULL, 0);
    expect(&talk, SEGMENT_ACK);
    expect_silence(&talk.wire);
    talk.server -= 10;
    say(&talk, SEGMENT_ACK, "x", 1);
    expect(&talk, SEGMENT_ACK);
    expect_event(&talk.wire, TCP_READABLE, 0);
    tcp_watch(talk.wire.tcp, 0, TCP_WATCH_READ);
    expect_event(&talk.wire, TCP_READABLE, 0);
    talk.server++;
    say(&talk, SEGMENT_RST, NULL, 0);
    assert_int_equal(tcp_read(talk.wire.tcp, 0, &byte, 1), 1); /* came before */
    assert_int_equal(tcp_read(talk.wire.tcp, 0, &byte, 1), -ECONNRESET);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, "y", 1), -ECONNRESET);
    say(&talk, SEGMENT_ACK, "z", 1); /* nobody is there */
    expect(&talk, SEGMENT_RST);
    end(&talk);
}

/* A cable is pulled: nothing is said, whatever comes and however long. */
static void test_silenced(void **state)
{
    (void)state;
    struct talk talk;
    char byte;
    begin(&talk, false);
    tcp_watch(talk.wire.tcp, 0, TCP_WATCH_READ);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, HUNDRED, sizeof HUNDRED), sizeof HUNDRED);
    expect(&talk, SEGMENT_ACK | SEGMENT_PSH);
    tcp_silence(talk.wire.tcp, 0);
    assert_int_equal(tcp_flows(talk.wire.tcp), 0);
    say(&talk, SEGMENT_ACK, "x", 1);
    say(&talk, SEGMENT_RST, NULL, 0);
    wire_pass(&talk.wire, 100000);
    assert_int_equal(tcp_read(talk.wire.tcp, 0, &byte, 1), -EAGAIN);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, "y", 1), -EAGAIN);
    assert_int_equal(tcp_shutdown(talk.wire.tcp, 0), -ENOTCONN);
    tcp_watch(talk.wire.tcp, 0, TCP_WATCH_WRITE);
    expect_silence(&talk.wire);
    assert_true(tcp_sound(talk.wire.tcp));
    tcp_abort(talk.wire.tcp, 0);
    expect_event(&talk.wire, TCP_READABLE, 0);
    expect_event(&talk.wire, TCP_WRITABLE, 0);
    tcp_close(talk.wire.tcp, 0);
    expect_silence(&talk.wire);
    wire_done(&talk.wire);
}

static void test_server_ends(void **state)
{
    (void)state;
    struct talk talk;
    char bytes[200];
    begin(&talk, false);
    talk.server += 100; /* the end comes before what is before it */
    say(&talk, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
    expect(&talk, SEGMENT_ACK);
    talk.server -= 100;
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED);
    assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server + 101);
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, sizeof bytes), 100);
    assert_int_equal(tcp_read(talk.wire.tcp, 0, bytes, sizeof bytes), 0);
    tcp_close(talk.wire.tcp, 0);
    expect(&talk, SEGMENT_ACK | SEGMENT_FIN);
    talk.server += 101;
    talk.client++;
    say(&talk, SEGMENT_ACK, NULL, 0);
    assert_int_equal(tcp_flows(talk.wire.tcp), 0);
    wire_done(&talk.wire);
}

/* Its slot is taken anew while the old connection still waits for the server. */
static void test_closed_and_opened(void **state)
{
    (void)state;
    struct talk talk;
    begin(&talk, false);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, HUNDRED, sizeof HUNDRED), sizeof HUNDRED);
    expect(&talk, SEGMENT_ACK | SEGMENT_PSH);
    tcp_close(talk.wire.tcp, 0);
    expect(&talk, SEGMENT_ACK | SEGMENT_FIN);
    const struct sockaddr_in from = {.sin_addr.s_addr = htonl(WIRE_CLIENT),
                                     .sin_port = htons(WIRE_FIRST_PORT + 9)};
    const struct sockaddr_in to = {.sin_addr.s_addr = htonl(WIRE_SERVER),
                                   .sin_port = htons(WIRE_PORT)};
    assert_int_equal(tcp_open(talk.wire.tcp, 0, &from, &to), 0);
    assert_int_equal(expect(&talk, SEGMENT_SYN)->from_port, WIRE_FIRST_PORT + 9);
    talk.client += sizeof HUNDRED + 1;
    say(&talk, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
    assert_int_equal(expect(&talk, SEGMENT_ACK)->ack, talk.server + 1);
    assert_int_equal(tcp_flows(talk.wire.tcp), 1);
    end(&talk);
}

static void test_no_room(void **state)
{
    (void)state;
    struct talk talk;
    static char bytes[BIG];
    begin(&talk, false);
    for (uint32_t slot = 1; slot < 4; slot++)
        wire_open(&talk.wire, slot);
    hear_all(&talk);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, bytes, BIG), BIG);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, bytes, BIG), BIG);
    assert_int_equal(tcp_write(talk.wire.tcp, 0, bytes, BIG), -EAGAIN); /* all chunks are out */
    hear_all(&talk);
    say(&talk, SEGMENT_ACK, HUNDRED, sizeof HUNDRED); /* lost, as it were */
    assert_int_equal(tcp_counters(talk.wire.tcp)->no_room, 1);
    expect_silence(&talk.wire);
    for (uint32_t slot = 1; slot < 4; slot++)
        tcp_abort(talk.wire.tcp, slot);
    hear_all(&talk);
    end(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_late_acknowledgements),
        cmocka_unit_test(test_an_answer_ends_haste),
        cmocka_unit_test(test_in_order_and_again),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_sent_again),
        cmocka_unit_test(test_third_duplicate),
        cmocka_unit_test(test_closed_window),
        cmocka_unit_test(test_own_window),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_window_scale),
        cmocka_unit_test(test_not_agreed),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_silenced),
        cmocka_unit_test(test_server_ends),
        cmocka_unit_test(test_closed_and_opened),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
