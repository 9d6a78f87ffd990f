/* Answers in JSON: written in pieces of any size they are what they are as a whole. */
#include "transport/json.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHANNELS 3

static const struct position positions[CHANNELS] = {{1, 0}, {UINT64_MAX, UINT64_MAX}, {0x5f3a, 17}};

static struct message *message_of(const char *name, uint64_t offset, struct span payload, bool utf8)
{
    struct message *message = message_create(name, strlen(name), 1, payload.ptr, payload.len, utf8);
    assert_non_null(message);
    message->offset = offset;
    return message;
}

/* The last of its channel, with a type. */
static struct message *last_of(const char *name, const char *event, struct span payload, bool utf8)
{
    struct message *message = message_create_typed(name, strlen(name), 1, event, strlen(event),
                                                   payload.ptr, payload.len, utf8);
    assert_non_null(message);
    message->offset = 7;
    message->last = true;
    return message;
}

/* A text that has every kind of character, one of the bytes that become longest, and bytes that are
 * no text, of all three lengths that base64 tells apart. */
static unsigned messages_make(struct message **ret)
{
    static char ones[100];
    unsigned count = 0;
    memset(ones, 1, sizeof ones);
    ret[count++] = message_of("news", 1, SPAN("plain, \"quoted\"\n\t\x7f\xc3\xa9\0 and \\"), true);
    ret[count++] = message_of("news", 2, span_of(ones, sizeof ones), true);
    ret[count++] = message_of("a/b:c@d", UINT64_MAX, SPAN(""), true);
    ret[count++] = message_of("x", 9, SPAN(""), false);
    ret[count++] = message_of("x", 10, SPAN("\xff"), false);
    ret[count++] = message_of("x", 11, SPAN("\xff\0"), false);
    ret[count++] = message_of("x", 12, SPAN("\xff\0\x80 and so on"), false);
    ret[count++] = last_of("y", "price", SPAN("text"), true);
    ret[count++] = last_of("y", "p", SPAN("\xff"), false);
    return count;
}

static size_t whole_write(const struct json_answer *answer, char *buf, size_t size)
{
    struct json_cursor cursor = {0};
    size_t expected = json_answer_size(answer);
    assert_true(expected <= size);
    assert_int_equal(json_answer_next(answer, &cursor, buf, expected), expected);
    assert_true(json_answer_ended(answer, &cursor));
    assert_int_equal(json_answer_next(answer, &cursor, buf + expected, size - expected), 0);
    return expected;
}

/* Pieces of `room` bytes, or of room and more by turns. */
static void expect_pieces(const struct json_answer *answer, struct span whole, size_t room,
                          size_t more)
{
    struct json_cursor cursor = {0};
    size_t len = 0;
    char *piece = malloc(room + more);
    assert_non_null(piece);
    for (unsigned i = 0; !json_answer_ended(answer, &cursor); i++) {
        size_t got = json_answer_next(answer, &cursor, piece, i % 2 ? room + more : room);
        assert_true(got > 0 && len + got <= whole.len);
        assert_memory_equal(piece, whole.ptr + len, got);
        len += got;
    }
    assert_int_equal(len, whole.len);
    free(piece);
}

static void test_pieces_are_the_whole(void **state)
{
    static char whole[8192];
    struct message *messages[16];
    unsigned count = messages_make(messages);
    (void)state;
    for (unsigned given = 0; given <= count; given++) {
        const struct json_answer answer = {positions, CHANNELS,  messages,
                                           given,     given % 2, given % 3 == 0};
        size_t len = whole_write(&answer, whole, sizeof whole);
        for (size_t room = JSON_ROOM_MIN; room <= len; room++) {
            expect_pieces(&answer, span_of(whole, len), room, 0);
            expect_pieces(&answer, span_of(whole, len), JSON_ROOM_MIN, room);
        }
    }
    for (unsigned i = 0; i < count; i++)
        message_unref(messages[i]);
}

static void test_what_is_written(void **state)
{
    char buf[512];
    struct message *messages[] = {message_of("c", 7, SPAN("a\n"), true),
                                  message_of("c", 8, SPAN("\0\1"), false)};
    (void)state;
    const struct json_answer none = {positions, 1, NULL, 0, false, false};
    const struct json_answer both = {positions + 2, 1, messages, 2, true, false};
    size_t len = whole_write(&none, buf, sizeof buf);
    struct span expected = SPAN("{\"position\":\"1.0\",\"messages\":[],\"recovered\":false}\n");
    assert_int_equal(len, expected.len);
    assert_memory_equal(buf, expected.ptr, len);
    len = whole_write(&both, buf, sizeof buf);
    expected = SPAN("{\"position\":\"5f3a.17\",\"messages\":["
                    "{\"channel\":\"c\",\"offset\":7,\"data\":\"a\\n\"},"
                    "{\"channel\":\"c\",\"offset\":8,\"data\":\"AAE=\",\"base64\":true}"
                    "],\"recovered\":true}\n");
    assert_int_equal(len, expected.len);
    assert_memory_equal(buf, expected.ptr, len);
    message_unref(messages[0]);
    message_unref(messages[1]);
}

static void test_an_answer_has_one_message_however_large(void **state)
{
    static char large[10000];
    (void)state;
    struct message *messages[] = {message_of("c", 1, span_of(large, sizeof large), true),
                                  message_of("c", 2, SPAN("x"), true)};
    assert_int_equal(json_fit(messages, 2, 100), 1);
    assert_int_equal(json_fit(messages, 2, json_weight(messages[0])), 1);
    assert_int_equal(json_fit(messages, 2, json_weight(messages[0]) + 66), 2);
    assert_int_equal(json_fit(messages, 0, 100), 0);
    message_unref(messages[0]);
    message_unref(messages[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_the_whole),
        cmocka_unit_test(test_what_is_written),
        cmocka_unit_test(test_an_answer_has_one_message_however_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
