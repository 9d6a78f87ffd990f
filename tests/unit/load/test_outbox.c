#include "load/outbox.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    LINKS = 3,
    SENT_MAX = 4 * OUTBOX_BACKLOG,
};

/* Links of one group, and sockets that take as much as they are told to. */
static struct load world;
static struct link links[LINKS];
static struct group group;
static char sent[LINKS][SENT_MAX];
static size_t sent_len[LINKS];
static size_t room[LINKS];
static int refusal;
static unsigned sends, watches;
static unsigned failures[LOAD_FAIL_COUNT];

static void socket_send(struct ring *ring, struct ring_io *io, unsigned count)
{
    (void)ring;
    for (unsigned i = 0; i < count; i++) {
        uint32_t slot = io[i].slot;
        size_t taken = io[i].iov.iov_len < room[slot] ? io[i].iov.iov_len : room[slot];
        assert_true(sent_len[slot] + taken <= SENT_MAX);
        memcpy(sent[slot] + sent_len[slot], io[i].iov.iov_base, taken);
        sent_len[slot] += taken;
        room[slot] -= taken;
        io[i].res = taken > 0 ? (int32_t)taken : refusal;
    }
    sends++;
}

static void socket_watch(struct ring *ring, uint32_t slot, enum ring_direction direction)
{
    (void)ring;
    assert_true(slot < LINKS && direction == RING_WRITE);
    watches++;
}

static const struct ring_engine engine = {.send = socket_send, .watch = socket_watch};
static struct ring ring = {.engine = &engine};

/* ---- in the place of the others ---- */

void link_fail(struct load *load, struct link *link, enum load_failure failure)
{
    failures[failure]++;
    link->phase = LINK_CLOSING;
    outbox_forget(load, link);
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
    (void)area;
    return len + secure_head(load, link);
}

static int fresh(void **state)
{
    (void)state;
    static struct load empty;
    world = empty;
    group = (struct group){.links = LINKS, .streams = 1, .config.clients = LINKS};
    memset(links, 0, sizeof links);
    memset(failures, 0, sizeof failures);
    world.ring = &ring;
    world.links = links;
    world.groups = &group;
    world.group_count = 1;
    world.link_count = world.publisher_links_first = LINKS;
    assert_int_equal(outbox_init(&world.outbox, LINKS), 0);
    for (int i = 0; i < LINKS; i++) {
        links[i].phase = LINK_UP;
        room[i] = SIZE_MAX;
        sent_len[i] = 0;
    }
    refusal = -EAGAIN;
    sends = watches = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    outbox_done(&world.outbox);
    return 0;
}

static void say(uint32_t index, const char *text)
{
    size_t len = strlen(text);
    memcpy(outbox_reserve(&world, &links[index], len), text, len);
    outbox_commit(&world, &links[index], len);
}

static void writable(uint32_t index)
{
    links[index].flags &= (uint8_t)~LINK_WRITE_WATCHED;
    outbox_writable(&world, &links[index]);
}

static void check(uint32_t index, const char *text)
{
    assert_int_equal(sent_len[index], strlen(text));
    assert_memory_equal(sent[index], text, sent_len[index]);
}

/* ---- gathered ---- */

static void test_gathered_until_flushed(void **state)
{
    (void)state;
    say(0, "a");
    say(0, "b");
    say(1, "c");
    assert_int_equal(sends, 0);
    outbox_flush(&world);
    assert_int_equal(sends, 1);
    check(0, "ab");
    check(1, "c");
    assert_int_equal(group.counters.bytes_out, 3);
    outbox_flush(&world);
    assert_int_equal(sends, 1);
}

/* Two sends of one link in one batch might be taken in part each. */
static void test_one_place_for_each_link(void **state)
{
    (void)state;
    say(0, "one ");
    say(1, "x");
    say(0, "two");
    assert_int_equal(sends, 1);
    outbox_flush(&world);
    check(0, "one two");
    check(1, "x");
}

/* ---- what a socket does not take ---- */

static void test_the_rest_follows_in_its_order(void **state)
{
    (void)state;
    room[0] = 3;
    say(0, "abcdef");
    say(1, "x");
    outbox_flush(&world);
    check(0, "abc");
    check(1, "x");
    assert_true(links[0].flags & LINK_BACKLOG);
    assert_int_equal(watches, 1);
    say(0, "ghi"); /* behind it, though the socket would take something now */
    room[0] = 2;
    outbox_flush(&world);
    check(0, "abc");
    assert_int_equal(watches, 1);
    writable(0);
    check(0, "abcde");
    assert_int_equal(watches, 2);
    room[0] = SIZE_MAX;
    writable(0);
    check(0, "abcdefghi");
    assert_false(links[0].flags & LINK_BACKLOG);
    say(0, "j");
    outbox_flush(&world);
    check(0, "abcdefghij");
    assert_int_equal(group.counters.bytes_out, 11);
    assert_int_equal(world.outbox.open, 0);
}

static void test_a_full_socket_is_no_failure(void **state)
{
    (void)state;
    room[2] = 0;
    say(2, "later");
    outbox_flush(&world);
    writable(2); /* nothing after all */
    room[2] = SIZE_MAX;
    writable(2);
    check(2, "later");
    assert_int_equal(failures[LOAD_FAIL_RESET] + failures[LOAD_FAIL_BACKLOG], 0);
}

static void test_a_broken_socket_is_one(void **state)
{
    (void)state;
    room[0] = room[1] = 0;
    say(0, "never");
    outbox_flush(&world);
    refusal = -EPIPE;
    writable(0);
    assert_int_equal(failures[LOAD_FAIL_RESET], 1);
    say(1, "never");
    outbox_flush(&world);
    assert_int_equal(failures[LOAD_FAIL_RESET], 2);
    assert_int_equal(world.outbox.open, 0);
}

static void test_as_much_as_the_bound(void **state)
{
    (void)state;
    static const char piece[64 * 1024 + 1] = {[0 ... 64 * 1024 - 1] = 'p'};
    size_t said = 0;
    room[0] = 0;
    while (failures[LOAD_FAIL_BACKLOG] == 0) {
        assert_true(said <= OUTBOX_BACKLOG);
        say(0, piece);
        outbox_flush(&world);
        said += sizeof piece - 1;
    }
    assert_int_equal(said, OUTBOX_BACKLOG + sizeof piece - 1);
    assert_int_equal(world.outbox.open, 0);
    say(1, "others go on");
    outbox_flush(&world);
    check(1, "others go on");
}

static void test_what_is_left_of_one_that_ends(void **state)
{
    (void)state;
    room[0] = 0;
    say(0, "gone");
    outbox_flush(&world);
    outbox_forget(&world, &links[0]);
    room[0] = SIZE_MAX;
    writable(0);
    check(0, "");
    room[1] = 0;
    say(1, "freed with the outbox");
    outbox_flush(&world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_gathered_until_flushed),        TEST(test_one_place_for_each_link),
        TEST(test_the_rest_follows_in_its_order), TEST(test_a_full_socket_is_no_failure),
        TEST(test_a_broken_socket_is_one),        TEST(test_as_much_as_the_bound),
        TEST(test_what_is_left_of_one_that_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
