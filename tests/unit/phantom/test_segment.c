/* Packets as bytes. */
#include "phantom/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* A SYN+ACK with a timestamp and a window scale, as Linux sends it, with its checksums. */
static const unsigned char SYN_ACK[] = {
    0x45, 0x00, 0x00, 0x3c, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0xae, 0x91, 0xc6, 0x12, 0x00,
    0x01, 0xc6, 0x12, 0x01, 0x00, 0x1f, 0x90, 0x27, 0x10, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
    0x07, 0x08, 0xa0, 0x12, 0xfe, 0x88, 0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x04,
    0x02, 0x08, 0x0a, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
};

static void test_reads(void **state)
{
    (void)state;
    struct segment segment;
    assert_int_equal(segment_parse(&segment, (const char *)SYN_ACK, sizeof SYN_ACK, true), 0);
    assert_int_equal(segment.from, 0xc6120001);
    assert_int_equal(segment.to, 0xc6120100);
    assert_int_equal(segment.from_port, 8080);
    assert_int_equal(segment.to_port, 10000);
    assert_int_equal(segment.seq, 0x01020304);
    assert_int_equal(segment.ack, 0x05060708);
    assert_int_equal(segment.flags, SEGMENT_SYN | SEGMENT_ACK);
    assert_int_equal(segment.window, 0xfe88);
    assert_int_equal(segment.mss, 1460);
    assert_true(segment.sack_permitted && segment.timed && segment.scaled);
    assert_int_equal(segment.scale, 7);
    assert_int_equal(segment.time, 1);
    assert_int_equal(segment.echo, 0);
    assert_int_equal(segment.len, 0);
}

static int parsed(unsigned char *packet, size_t len, size_t at, unsigned char value, bool vouched)
{
    struct segment segment;
    unsigned char before = packet[at];
    packet[at] = value;
    int result = segment_parse(&segment, (const char *)packet, len, vouched);
    packet[at] = before;
    return result;
}

static void test_refuses(void **state)
{
    (void)state;
    unsigned char packet[sizeof SYN_ACK];
    memcpy(packet, SYN_ACK, sizeof packet);
    const size_t len = sizeof packet;
    assert_int_equal(parsed(packet, len, 0, 0x60, true), -SEGMENT_NOT_IPV4);
    assert_int_equal(parsed(packet, 0, 0, 0x45, true), -SEGMENT_NOT_IPV4);
    assert_int_equal(parsed(packet, 19, 0, 0x45, true), -SEGMENT_CUT);
    assert_int_equal(parsed(packet, len - 1, 0, 0x45, true), -SEGMENT_CUT);
    assert_int_equal(parsed(packet, len, 3, 0x27, true), -SEGMENT_CUT); /* no room for TCP */
    assert_int_equal(parsed(packet, len, 0, 0x44, true), -SEGMENT_HEADER);
    assert_int_equal(parsed(packet, len, 6, 0x20, true), -SEGMENT_FRAGMENT);
    assert_int_equal(parsed(packet, len, 7, 0x01, true), -SEGMENT_FRAGMENT);
    assert_int_equal(parsed(packet, len, 9, 17, true), -SEGMENT_NOT_TCP);
    assert_int_equal(parsed(packet, len, 32, 0x40, true), -SEGMENT_HEADER);
    assert_int_equal(parsed(packet, len, 32, 0xf0, true), -SEGMENT_HEADER);
    assert_int_equal(parsed(packet, len, 24, 9, false), -SEGMENT_CHECKSUM);
    assert_int_equal(parsed(packet, len, 41, 0, true), 0); /* an option of no length ends them */
    assert_int_equal(parsed(packet, len, 41, 99, true), 0);
}

static void test_written_is_read(void **state)
{
    (void)state;
    char packet[SEGMENT_HEAD_MAX + 5];
    struct segment read, written = {
                             .from = 0xc6120100,
                             .to = 0xc6120001,
                             .from_port = 65535,
                             .to_port = 1,
                             .seq = UINT32_MAX,
                             .ack = 7,
                             .window = 512,
                             .flags = SEGMENT_ACK | SEGMENT_PSH,
                             .sack_count = 3,
                             .sacks = {{1, 2}, {3, UINT32_MAX}, {5, 6}},
                             .len = 5,
                         };
    size_t head = segment_head_write(packet, &written);
    memcpy(packet + head, "hello", 5);
    segment_checksum_write(packet, head + 5);
    assert_int_equal(segment_parse(&read, packet, head + 5, false), 0);
    assert_memory_equal(read.bytes, "hello", 5);
    written.bytes = read.bytes;
    assert_memory_equal(&read, &written, sizeof read);
    packet[head]++;
    assert_int_equal(segment_parse(&read, packet, head + 5, false), -SEGMENT_CHECKSUM);
}

/* All options of a SYN, and what a timestamp leaves of SACK's blocks. */
static void test_options(void **state)
{
    (void)state;
    char packet[SEGMENT_HEAD_MAX];
    struct segment read, written = {.flags = SEGMENT_SYN,
                                    .mss = 1460,
                                    .sack_permitted = true,
                                    .timed = true,
                                    .time = 0x01020304,
                                    .echo = 0xfffefdfc,
                                    .scaled = true,
                                    .scale = SEGMENT_SCALE_MAX};
    size_t head = segment_head_write(packet, &written);
    assert_int_equal(segment_parse(&read, packet, head, true), 0);
    written.bytes = read.bytes;
    assert_memory_equal(&read, &written, sizeof read);
    packet[head - 1] = SEGMENT_SCALE_MAX + 1;
    assert_int_equal(segment_parse(&read, packet, head, true), 0);
    assert_int_equal(read.scale, SEGMENT_SCALE_MAX);
    written = (struct segment){.flags = SEGMENT_ACK,
                               .timed = true,
                               .sack_count = 4,
                               .sacks = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}};
    head = segment_head_write(packet, &written);
    assert_int_equal(head, SEGMENT_HEAD_MAX);
    assert_int_equal(segment_parse(&read, packet, head, true), 0);
    assert_int_equal(read.sack_count, 3);
    assert_int_equal(read.sacks[2].to, 6);
}

static void test_circle(void **state)
{
    (void)state;
    assert_true(segment_before(1, 2));
    assert_false(segment_before(2, 2));
    assert_true(segment_before(UINT32_MAX, 0));
    assert_false(segment_before(0, UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),           cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_written_is_read), cmocka_unit_test(test_options),
        cmocka_unit_test(test_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
