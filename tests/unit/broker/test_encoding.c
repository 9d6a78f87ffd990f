#include "broker/encoding.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static int read_text(struct encoded *ret, const char *line, const char *body, size_t len)
{
    static char text[256];
    int head = snprintf(text, sizeof text, "%s\n", line);
    memcpy(text + head, body, len);
    return encoding_read(ret, span_of(text, (size_t)head + len), 16);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    char body[64];
    struct encoded read;
    const char *more = ",\"tags\":{\"a\":\"b\"}";
    const struct message_parts parts = {.name = "news",
                                        .name_len = 4,
                                        .event = "price",
                                        .event_len = 5,
                                        .payload = "hello",
                                        .payload_len = 5,
                                        .utf8 = true,
                                        .more = more,
                                        .more_len = strlen(more)};
    struct message *message = message_create_of(&parts);
    message->last = message->delta = true;
    size_t len = encoding_size(message);
    assert_true(len <= sizeof body);
    encoding_write(body, message);
    message_unref(message);
    assert_int_equal(read_text(&read, "00000000000000ff 42 1700000000000", body, len), 0);
    assert_true(read.delta && span_equal(read.more, span_from(more)));
    assert_true(read.epoch == 0xff && read.offset == 42 && read.time_ms == 1700000000000);
    assert_true(read.utf8 && read.last && read.kind == MESSAGE_PUBLICATION);
    assert_true(span_equal(read.event, SPAN("price")) && span_equal(read.payload, SPAN("hello")));
}

static void test_events_of_presence(void **state)
{
    (void)state;
    struct encoded read;
    assert_int_equal(read_text(&read, "1 0 0", "1\x05\0{}", 5), 0);
    assert_int_equal(read.kind, MESSAGE_JOIN);
    assert_int_equal(read_text(&read, "1 0 0", "1\x09\0{}", 5), 0);
    assert_int_equal(read.kind, MESSAGE_LEAVE);
    assert_int_equal(read_text(&read, "1 0 0", "1\x0d\0{}", 5), -EINVAL);
}

/* Of "ab" and "cd", heard together. */
static const char several[] = "2\0\0\0\x05"
                              "1\1\0ab\0\0\0\x05"
                              "1\1\0cd";

static int run_of(struct encoded_run *ret, const char *line, const char *body, size_t len)
{
    static char text[256];
    int head = snprintf(text, sizeof text, "%s\n", line);
    memcpy(text + head, body, len);
    return encoding_run_read(ret, span_of(text, (size_t)head + len));
}

static void test_several(void **state)
{
    (void)state;
    struct encoded_run run;
    struct encoded read;
    assert_int_equal(run_of(&run, "ff 42 7", several, sizeof several - 1), 0);
    assert_int_equal(encoding_run_next(&run, &read, 16), 1);
    assert_true(read.offset == 41 && read.epoch == 0xff && read.time_ms == 7);
    assert_true(span_equal(read.payload, SPAN("ab")));
    assert_int_equal(encoding_run_next(&run, &read, 16), 1);
    assert_true(read.offset == 42 && span_equal(read.payload, SPAN("cd")));
    assert_int_equal(encoding_run_next(&run, &read, 16), 0);
    assert_int_equal(run_of(&run, "ff 42 7", "1\1\0ab", 5), 0);
    assert_int_equal(encoding_run_next(&run, &read, 16), 1);
    assert_true(read.offset == 42 && span_equal(read.payload, SPAN("ab")));
    assert_int_equal(encoding_run_next(&run, &read, 16), 0);
    assert_int_equal(run_of(&run, "ff 1 7", several, sizeof several - 1), 0);
    assert_int_equal(encoding_run_next(&run, &read, 16), -EINVAL);
    assert_int_equal(run_of(&run, "ff 2 7", several, sizeof several - 1), 0);
    assert_int_equal(encoding_run_next(&run, &read, 1), -EINVAL);
    for (size_t len = 0; len < sizeof several - 1; len++)
        assert_int_equal(run_of(&run, "ff 2 7", several, len), len == 10 ? 0 : -EINVAL);
    assert_int_equal(run_of(&run, "g 2 7", several, sizeof several - 1), -EINVAL);
}

/* Events have no place of their own, however many there are. */
static void test_several_events(void **state)
{
    static const char events[] = "2\0\0\0\x03"
                                 "1\x05\0\0\0\0\x03"
                                 "1\x09\0";
    (void)state;
    struct encoded_run run;
    struct encoded read;
    assert_int_equal(run_of(&run, "ff 0 7", events, sizeof events - 1), 0);
    assert_int_equal(encoding_run_next(&run, &read, 16), 1);
    assert_true(read.offset == 0 && read.kind == MESSAGE_JOIN);
    assert_int_equal(encoding_run_next(&run, &read, 16), 1);
    assert_true(read.offset == 0 && read.kind == MESSAGE_LEAVE);
}

static void test_in_two_parts(void **state)
{
    (void)state;
    struct encoded line, read;
    struct encoded_run run;
    const struct span rest = SPAN("2\0\0\0\x04"
                                  "1\0\0x\0\0\0\x04"
                                  "1\0\0y");
    assert_int_equal(encoding_line_read(&line, SPAN("ff 9 7\n1")), -EINVAL);
    assert_int_equal(encoding_line_read(&line, SPAN("ff 9 7\n3x")), -EINVAL);
    assert_int_equal(encoding_line_read(&line, SPAN("ff 9 7\n")), -EINVAL);
    assert_int_equal(encoding_run_read(&run, SPAN("ff 9 7\n3")), 0);
    assert_int_equal(encoding_run_next(&run, &read, 16), -EINVAL);
    assert_int_equal(encoding_line_read(&line, SPAN("ff 9 7\n3")), 0);
    assert_int_equal(encoding_rest_read(&run, &line, SPAN("")), -EINVAL);
    assert_int_equal(encoding_rest_read(&run, &line, span_of(rest.ptr, 8)), -EINVAL);
    assert_int_equal(encoding_rest_read(&run, &line, rest), 0);
    for (uint64_t offset = 8; offset <= 9; offset++) {
        assert_int_equal(encoding_run_next(&run, &read, 16), 1);
        assert_true(read.epoch == 0xff && read.offset == offset && read.payload.len == 1);
    }
    assert_int_equal(encoding_run_next(&run, &read, 16), 0);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"",
                                        "1",
                                        "1 2",
                                        "0 1 1",
                                        "g 1 1",
                                        "F 1 1",
                                        "1 x 1",
                                        "1 1 -1",
                                        "1  1 1",
                                        "1 1 1 ",
                                        " 1 1 1",
                                        "11111111111111111 1 1",
                                        "1 9007199254740992 1"};
    struct encoded read = {.offset = 77};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(read_text(&read, lines[i], "1\0\0x", 4), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "", 0), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\0", 2), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "2\0\0", 3), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\x20\0", 3), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\x20\0\0\0}", 6), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\x20\0\0\x09,\"tags\":1}", 15), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\x20\0\0\x0a,\"else\":{}", 16), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\x20\0\0\x0b,\"info\":{\n}}", 17), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\x84\0", 3), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\0\x05pric", 7), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\0\x02  x", 6), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\x01\0\xff", 4), -EINVAL);
    assert_int_equal(read_text(&read, "1 1 1", "1\0\0aaaaaaaaaaaaaaaaa", 20), -EINVAL);
    assert_int_equal(read.offset, 77);
    assert_int_equal(read_text(&read, "1 1 1", "1\0\0\xff", 4), 0);
    assert_int_equal(read_text(&read, "1 1 1", "1\x20\0\0\x0a,\"tags\":{}}", 16), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_events_of_presence),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_several_events),
        cmocka_unit_test(test_in_two_parts),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
