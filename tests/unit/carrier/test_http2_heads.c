#include "carrier/http2_heads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    DATA = 0,
    HEADERS = 1,
    PRIORITY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    END_STREAM = 1,
    ACK = 1,
    ROOM = 4096,
};

/* Frames as a client sends them. */
struct sent {
    char bytes[ROOM];
    size_t len;
};

static struct sent preface(void)
{
    struct sent sent = {.len = HTTP2_PREFACE_BYTES};
    memset(sent.bytes, 'P', HTTP2_PREFACE_BYTES);
    return sent;
}

static void frame(struct sent *sent, int type, int flags, uint32_t stream, size_t payload)
{
    const unsigned char head[HTTP2_HEAD_BYTES] = {
        0, (uint8_t)(payload >> 8), (uint8_t)payload,       (uint8_t)type,   (uint8_t)flags,
        0, (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream,
    };
    memcpy(sent->bytes + sent->len, head, sizeof head);
    memset(sent->bytes + sent->len + sizeof head, 1, payload);
    sent->len += sizeof head + payload;
}

/* Whole, and byte by byte: the same is found. */
static struct http2_heads_found take(const struct sent *sent)
{
    struct http2_heads heads;
    http2_heads_init(&heads);
    struct http2_heads_found whole = http2_heads_take(&heads, sent->bytes, sent->len);
    struct http2_heads_found sum = {0};
    http2_heads_init(&heads);
    for (size_t i = 0; i < sent->len && sum.error == 0; i++) {
        struct http2_heads_found one = http2_heads_take(&heads, sent->bytes + i, 1);
        sum.idle_frames += one.idle_frames;
        sum.error = one.error;
    }
    assert_int_equal(sum.idle_frames, whole.idle_frames);
    assert_int_equal(sum.error, whole.error);
    return whole;
}

static void test_usual_frames(void **state)
{
    (void)state;
    struct sent sent = preface();
    frame(&sent, SETTINGS, ACK, 0, 0);
    frame(&sent, HEADERS, 0, 1, 30);
    frame(&sent, DATA, 0, 1, 300);
    frame(&sent, DATA, END_STREAM, 1, 0);
    frame(&sent, HEADERS, END_STREAM, 3, 5);
    frame(&sent, RST_STREAM, 0, 3, 4);
    struct http2_heads_found found = take(&sent);
    assert_int_equal(found.error, 0);
    assert_int_equal(found.idle_frames, 0);
    assert_int_equal(found.good, sent.len);
}

static void test_frames_that_do_nothing(void **state)
{
    (void)state;
    struct sent sent = preface();
    frame(&sent, SETTINGS, 0, 0, 6);
    frame(&sent, PING, 0, 0, 8);
    frame(&sent, PING, ACK, 0, 8);
    frame(&sent, PRIORITY, 0, 1, 5);
    frame(&sent, DATA, 0, 1, 0);
    frame(&sent, 0xb0, 0, 1, 3);
    assert_int_equal(take(&sent).idle_frames, 5);
}

static void test_a_stream_that_the_client_has_ended(void **state)
{
    (void)state;
    const int ends[][2] = {{HEADERS, END_STREAM}, {DATA, END_STREAM}, {RST_STREAM, 0}};
    const int more[] = {DATA, HEADERS};
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 2; k++) {
            struct sent sent = preface();
            frame(&sent, HEADERS, i == 0 ? END_STREAM : 0, 1, 3);
            if (i > 0)
                frame(&sent, ends[i][0], ends[i][1], 1, 4);
            size_t good = sent.len;
            frame(&sent, more[k], 0, 1, 2);
            struct http2_heads_found found = take(&sent);
            assert_int_equal(found.error, 5);
            assert_int_equal(found.good, good);
        }
}

static void test_trailers_are_no_error(void **state)
{
    (void)state;
    struct sent sent = preface();
    frame(&sent, HEADERS, 0, 1, 3);
    frame(&sent, DATA, 0, 1, 3);
    frame(&sent, HEADERS, END_STREAM, 1, 3);
    assert_int_equal(take(&sent).error, 0);
}

static void test_a_number_that_was_passed_over(void **state)
{
    (void)state;
    struct sent sent = preface();
    frame(&sent, HEADERS, END_STREAM, 5, 3);
    frame(&sent, HEADERS, END_STREAM, 3, 3);
    assert_int_equal(take(&sent).error, 1);
}

static void test_priority_of_no_stream(void **state)
{
    (void)state;
    struct sent sent = preface();
    frame(&sent, PRIORITY, 0, 0, 5);
    assert_int_equal(take(&sent).error, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual_frames),
        cmocka_unit_test(test_frames_that_do_nothing),
        cmocka_unit_test(test_a_stream_that_the_client_has_ended),
        cmocka_unit_test(test_trailers_are_no_error),
        cmocka_unit_test(test_a_number_that_was_passed_over),
        cmocka_unit_test(test_priority_of_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
