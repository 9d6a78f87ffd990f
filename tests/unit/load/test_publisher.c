#include "load/publisher.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "wire/ws.h"

enum {
    MS = 1000000,
    SENT_MAX = 1 << 20,
    PUBLISHER = 1, /* after one subscriber */
};

/* A load of one group, and a socket that takes as much as it is told to. */
static struct load world;
static struct link links[2];
static struct subscriber subscribers[2];
static struct group crowd;
static char sent[SENT_MAX];
static size_t sent_len;
static size_t room; /* bytes that the socket still takes */
static int refusal; /* what it says when there is none */
static unsigned sends, watches;
static enum load_failure failed_for;
static unsigned failures;

static void socket_send(struct ring *ring, struct ring_io *io, unsigned count)
{
    (void)ring;
    assert_int_equal(count, 1);
    assert_int_equal(io->slot, PUBLISHER);
    size_t taken = io->iov.iov_len < room ? io->iov.iov_len : room;
    assert_true(sent_len + taken <= SENT_MAX);
    memcpy(sent + sent_len, io->iov.iov_base, taken);
    sent_len += taken;
    room -= taken;
    io->res = taken > 0 ? (int32_t)taken : refusal;
    sends++;
}

static void socket_watch(struct ring *ring, uint32_t slot, enum ring_direction direction)
{
    (void)ring;
    assert_true(slot == PUBLISHER && direction == RING_WRITE);
    watches++;
}

static const struct ring_engine engine = {.send = socket_send, .watch = socket_watch};
static struct ring ring = {.engine = &engine};

/* ---- in the place of the others ---- */

void burst_begin(struct group *group)
{
    assert_true(group == &crowd);
}

void link_fail(struct load *load, struct link *link, enum load_failure failure)
{
    assert_true(link == &links[PUBLISHER]);
    failed_for = failure;
    failures++;
    link->phase = LINK_DOWN;
    publisher_lost(load, link);
}

int64_t engine_clock_ns(void)
{
    return world.now_ns;
}

int engine_step(struct load *load)
{
    load->now_ns += 100 * MS;
    return 0;
}

void opener_queue(struct load *load, struct link *link)
{
    (void)load;
    link->flags |= LINK_LISTED;
}

size_t secure_head(const struct load *load, const struct link *link)
{
    (void)load;
    (void)link;
    return 0;
}

size_t secure_overhead(const struct load *load, const struct link *link, size_t len)
{
    (void)len;
    return secure_head(load, link);
}

size_t secure_seal(struct load *load, const struct link *link, char *area, size_t len)
{
    (void)load;
    (void)link;
    (void)area;
    return len;
}

static const struct protocol protocol_frames = {.publish = publish_frame};
static const struct protocol protocol_posts = {.is = PROTOCOL_ANSWERS, .publish = publish_post};

static void make(const struct protocol *publish, uint32_t bytes)
{
    crowd = (struct group){
        .config = {.transport = publish, .publish = publish, .payload_bytes = bytes},
        .publish_path = "/publish?channel=c",
        .publish_host = "127.0.0.1:1",
        .channels = 1,
        .cycle = {bytes},
        .cycle_count = 1,
        .up = 1,
        .ready = 1,
    };
    crowd.channel_ready = &crowd.ready;
    static struct load empty;
    world = empty;
    memset(links, 0, sizeof links);
    memset(subscribers, 0, sizeof subscribers);
    links[PUBLISHER].phase = LINK_UP;
    world.ring = &ring;
    world.links = links;
    world.subscribers = subscribers;
    world.publishers_first = world.publisher_links_first = PUBLISHER;
    world.subscriber_count = world.link_count = 2;
    assert_int_equal(outbox_init(&world.outbox, 2), 0);
    world.groups = &crowd;
    world.group_count = 1;
    world.now_ns = INT64_C(1000) * MS;
    sent_len = 0;
    room = SIZE_MAX;
    refusal = -EAGAIN;
    sends = watches = failures = 0;
    assert_int_equal(publisher_init(&crowd), 0);
}

static int end(void **state)
{
    (void)state;
    free(crowd.publisher.buffer);
    crowd.publisher.buffer = NULL;
    outbox_done(&world.outbox);
    return 0;
}

static void start(struct load_mode mode)
{
    publisher_start(&world, &crowd, &mode);
}

/* ---- reading what was sent ---- */

struct message {
    uint32_t number;
    uint64_t intended_ns;
    size_t length;
};

static struct message message_of(const char *bytes, size_t len)
{
    struct payload payload = {0};
    payload_take(&payload, span_of(bytes, len));
    assert_true(payload.number > 0 && !payload.changed);
    return (struct message){payload.number, payload.intended_ns, len};
}

/* Takes the masked frames that were sent apart, as RFC 6455 writes them. Returns their count. */
static unsigned frames_read(struct message *ret, unsigned max)
{
    uint8_t key[4];
    publish_key(PUBLISHER, key);
    size_t at = 0;
    unsigned count = 0;
    while (at < sent_len) {
        size_t length = (unsigned char)sent[at + 1] & 0x7f;
        assert_int_equal((unsigned char)sent[at], 0x81);
        assert_true((unsigned char)sent[at + 1] & 0x80);
        at += 2;
        if (length == 126) {
            length = (size_t)((unsigned char)sent[at] << 8 | (unsigned char)sent[at + 1]);
            at += 2;
        }
        assert_memory_equal(sent + at, key, 4);
        at += 4;
        assert_true(at + length <= sent_len && count < max);
        for (size_t i = 0; i < length; i++)
            sent[at + i] = (char)(sent[at + i] ^ key[i % 4]);
        ret[count++] = message_of(sent + at, length);
        at += length;
    }
    sent_len = 0;
    return count;
}

/* One message has reached the one subscriber. */
static void arrive(uint32_t number)
{
    static struct histogram *histogram;
    histogram = histogram ? histogram : histogram_create();
    assert_true(flights_note(&crowd.flights, number));
    flights_settle(&crowd.flights, world.now_ns, histogram, histogram);
}

/* ---- closed loop ---- */

static void test_as_many_under_way_as_the_depth_says(void **state)
{
    (void)state;
    struct message got[16];
    make(&protocol_frames, 128);
    start((struct load_mode){.depth = 3});
    assert_int_equal(publisher_step(&world, &crowd), INT64_MAX);
    assert_int_equal(frames_read(got, 16), 3);
    assert_int_equal(sends, 1); /* what is due in one step leaves in one send */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(got[i].number, i + 1);
        assert_int_equal(got[i].intended_ns, world.now_ns);
        assert_int_equal(got[i].length, 128);
    }
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 16), 0);
    arrive(2);
    world.now_ns += MS;
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 16), 1);
    assert_int_equal(got[0].number, 4);
    assert_int_equal(got[0].intended_ns, world.now_ns);
    assert_int_equal(crowd.counters.published, 4);
}

static void test_so_many_and_no_more(void **state)
{
    (void)state;
    struct message got[16];
    make(&protocol_frames, 34);
    start((struct load_mode){.depth = UINT32_MAX, .messages = 5});
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 16), 5);
    assert_int_equal(publisher_step(&world, &crowd), INT64_MAX);
    assert_int_equal(frames_read(got, 16), 0);
    start((struct load_mode){.depth = 1, .messages = 5}); /* those under way count */
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 16), 0);
    publisher_stop(&crowd);
    assert_int_equal(publisher_step(&world, &crowd), INT64_MAX);
}

/* ---- open loop ---- */

/* What is due waits until somebody has heard, and is as late as that makes it. */
static void test_a_rate_that_waits_for_those_under_way(void **state)
{
    (void)state;
    struct message got[16];
    make(&protocol_frames, 64);
    const int64_t began_ns = world.now_ns;
    start((struct load_mode){.rate_per_s = 100, .under_way = 2});
    world.now_ns += 35 * MS;
    assert_int_equal(publisher_step(&world, &crowd), INT64_MAX);
    assert_int_equal(frames_read(got, 16), 2);
    arrive(1);
    world.now_ns += MS;
    assert_int_equal(publisher_step(&world, &crowd), INT64_MAX);
    assert_int_equal(frames_read(got, 16), 1);
    assert_int_equal(got[0].number, 3);
    assert_int_equal(got[0].intended_ns, began_ns + 20 * MS);
    arrive(2);
    arrive(3);
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 16), 1);
    arrive(4);
    assert_int_equal(publisher_step(&world, &crowd), 4 * MS); /* none is under way, and none due */
}

/* 100 a second. The schedule does not wait for anybody. */
static void test_on_a_schedule(void **state)
{
    (void)state;
    struct message got[16];
    const int64_t began_ns = INT64_C(1000) * MS;
    make(&protocol_frames, 128);
    start((struct load_mode){.rate_per_s = 100});
    assert_int_equal(publisher_step(&world, &crowd), 10 * MS);
    assert_int_equal(frames_read(got, 16), 1);
    assert_int_equal(got[0].intended_ns, began_ns);
    world.now_ns += 9 * MS;
    assert_int_equal(publisher_step(&world, &crowd), 1 * MS);
    assert_int_equal(frames_read(got, 16), 0);
    world.now_ns += 26 * MS; /* 35: those of 10, 20 and 30 are due, and say so */
    assert_int_equal(publisher_step(&world, &crowd), 5 * MS);
    assert_int_equal(frames_read(got, 16), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(got[i].intended_ns, began_ns + (int64_t)(i + 1) * 10 * MS);
}

/* While the socket is full nothing is added, and the schedule runs on. */
static void test_a_full_socket(void **state)
{
    (void)state;
    struct message got[16];
    make(&protocol_frames, 128);
    start((struct load_mode){.rate_per_s = 100});
    room = 50;
    publisher_step(&world, &crowd);
    assert_int_equal(sent_len, 50);
    assert_int_equal(watches, 1);
    assert_true(links[PUBLISHER].flags & LINK_WRITE_WATCHED);
    world.now_ns += 30 * MS;
    assert_int_equal(publisher_step(&world, &crowd), INT64_MAX);
    assert_int_equal(sends, 1);
    assert_int_equal(crowd.counters.published, 1);

    links[PUBLISHER].flags &= (uint8_t)~LINK_WRITE_WATCHED;
    room = 0;
    outbox_writable(&world, &links[PUBLISHER]); /* nothing after all: it is watched again */
    assert_int_equal(watches, 2);
    links[PUBLISHER].flags &= (uint8_t)~LINK_WRITE_WATCHED;
    room = SIZE_MAX;
    outbox_writable(&world, &links[PUBLISHER]);
    assert_int_equal(frames_read(got, 16), 1); /* whole, in two pieces */
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 16), 3);
    assert_int_equal(got[0].intended_ns, INT64_C(1010) * MS);
    assert_int_equal(got[2].intended_ns, INT64_C(1030) * MS);
    assert_int_equal(failures, 0);
}

static void test_a_lost_connection(void **state)
{
    (void)state;
    make(&protocol_frames, 128);
    start((struct load_mode){.rate_per_s = 100});
    room = 0;
    refusal = -EPIPE;
    publisher_step(&world, &crowd);
    assert_int_equal(failures, 1);
    assert_int_equal(failed_for, LOAD_FAIL_RESET);
    assert_int_equal(crowd.publisher.len, 0);
    world.now_ns += 50 * MS;
    assert_int_equal(publisher_step(&world, &crowd), INT64_MAX); /* not while it is down */
    assert_int_equal(crowd.counters.published, 1);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct message got[4];
    make(&protocol_frames, 128);
    crowd.up = 2;
    crowd.stalled = 2;
    start((struct load_mode){.rate_per_s = 100});
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 4), 0);
    crowd.publisher.alone = true;
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 4), 1);
}

/* ---- forms ---- */

static void test_post(void **state)
{
    (void)state;
    static const char head[] = "POST /publish?channel=c HTTP/1.1\r\n";
    make(&protocol_posts, 40);
    start((struct load_mode){.depth = 1});
    publisher_step(&world, &crowd);
    sent[sent_len] = '\0';
    assert_int_equal(strncmp(sent, head, sizeof head - 1), 0);
    assert_non_null(strstr(sent, "\r\nHost: 127.0.0.1:1\r\n"));
    assert_non_null(strstr(sent, "\r\nContent-Length: 40\r\n"));
    assert_non_null(strstr(sent, "\r\nContent-Type: text/plain\r\n"));
    const char *body = strstr(sent, "\r\n\r\n") + 4;
    assert_int_equal(sent + sent_len - body, 40);
    assert_int_equal(message_of(body, 40).number, 1);
    assert_int_equal(crowd.publisher.unanswered, 1);
}

/* No more than 256 requests wait for their answers. */
static void test_posts_are_pipelined_up_to_a_bound(void **state)
{
    (void)state;
    make(&protocol_posts, 40);
    start((struct load_mode){.rate_per_s = 1e6});
    world.now_ns += 10 * MS;
    for (unsigned i = 0; i < 20; i++)
        publisher_step(&world, &crowd);
    assert_int_equal(crowd.counters.published, PIPELINE_MAX);
    crowd.publisher.unanswered -= 7;
    publisher_step(&world, &crowd);
    assert_int_equal(crowd.counters.published, PIPELINE_MAX + 7);
}

/* Numbers go round the channels, each to its own address. */
static void test_channels(void **state)
{
    (void)state;
    make(&protocol_posts, 40);
    crowd.config.channels = crowd.channels = 2;
    uint32_t ready[2] = {1, 1};
    crowd.channel_ready = ready;
    start((struct load_mode){.depth = 3});
    publisher_step(&world, &crowd);
    sent[sent_len] = '\0';
    const char *first = strstr(sent, "channel=c-0 "), *second = strstr(sent, "channel=c-1 ");
    assert_true(first && second && first < second);
    assert_non_null(strstr(second, "channel=c-0 "));
}

/* What another server's protocol puts around a payload is in the lengths. */
static void test_around_the_payload(void **state)
{
    (void)state;
    uint8_t key[4];
    publish_key(PUBLISHER, key);
    make(&protocol_frames, 40);
    free(crowd.publisher.buffer);
    crowd.protocol.before = (struct load_message){"\x30\x31", 2, true};
    crowd.protocol.after = (struct load_message){"}", 1, true};
    assert_int_equal(publisher_init(&crowd), 0);
    start((struct load_mode){.depth = 1});
    publisher_step(&world, &crowd);
    assert_int_equal(sent_len, 2 + 4 + 43);
    assert_int_equal((unsigned char)sent[0], 0x82);
    assert_int_equal((unsigned char)sent[1], 0x80 | 43);
    for (size_t i = 0; i < 43; i++)
        sent[6 + i] = (char)(sent[6 + i] ^ key[i % 4]);
    assert_memory_equal(sent + 6, "\x30\x31", 2);
    assert_int_equal(message_of(sent + 8, 40).number, 1);
    assert_int_equal(sent[48], '}');
}

static void test_kinds_of_sizes(void **state)
{
    (void)state;
    struct message got[8];
    make(&protocol_frames, 300);
    crowd.cycle[0] = 50;
    crowd.cycle[1] = 300;
    crowd.cycle_count = 2;
    start((struct load_mode){.depth = 4});
    publisher_step(&world, &crowd);
    assert_int_equal(frames_read(got, 8), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(got[i].length, i % 2 ? 300 : 50);
}

/* The buffer is never written beyond: what has no room waits for the next step. */
static void test_as_much_as_there_is_room_for(void **state)
{
    (void)state;
    make(&protocol_frames, 100000);
    start((struct load_mode){.depth = UINT32_MAX, .messages = 10});
    unsigned steps = 0;
    while (crowd.publisher.left > 0) {
        sent_len = 0;
        publisher_step(&world, &crowd);
        assert_true(sent_len <= crowd.publisher.size);
        assert_true(++steps <= 10);
    }
    assert_int_equal(crowd.counters.published, 10);
    assert_true(steps > 1);
}

/* ---- its connection ---- */

static void test_ready(void **state)
{
    (void)state;
    make(&protocol_frames, 40);
    assert_int_equal(publisher_ready(&world, &crowd), 0);
    links[PUBLISHER].phase = LINK_DOWN;
    int64_t began_ns = world.now_ns;
    assert_int_equal(publisher_ready(&world, &crowd), -ENOTCONN); /* nobody ever connects it */
    assert_true(world.now_ns - began_ns >= READY_TIMEOUT_S * INT64_C(1000000000));
    const struct load_mode mode = {.rate_per_s = 1};
    crowd.config.publish = NULL;
    assert_int_equal(load_publish(&world, 0, &mode), -ENOTCONN);
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_as_many_under_way_as_the_depth_says),
        TEST(test_a_rate_that_waits_for_those_under_way),
        TEST(test_so_many_and_no_more),
        TEST(test_on_a_schedule),
        TEST(test_a_full_socket),
        TEST(test_a_lost_connection),
        TEST(test_nobody_there),
        TEST(test_post),
        TEST(test_posts_are_pipelined_up_to_a_bound),
        TEST(test_channels),
        TEST(test_around_the_payload),
        TEST(test_kinds_of_sizes),
        TEST(test_as_much_as_there_is_room_for),
        TEST(test_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
