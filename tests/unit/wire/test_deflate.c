#include <errno.h>
#include <stdlib.h>

#include "wire/deflate.h"
#include "feed.h"
#include "wire_test.h"

enum {
    LONG = 100000,
};

static int inflate_all(struct span message, size_t max, struct span *ret)
{
    struct inflater *inflater = inflater_create();
    char *bytes = NULL;
    size_t len = 0;
    int err = inflater_message(inflater, message, max, &bytes, &len);
    inflater_free(inflater);
    *ret = span_of(bytes, len);
    return err;
}

static void expect_inflated(struct span message, struct span expected)
{
    struct span got;
    assert_int_equal(inflate_all(message, LONG, &got), 0);
    assert_span(got, expected);
    free((char *)got.ptr);
}

static void expect_error(struct span message, size_t max, int expected)
{
    struct span got;
    assert_int_equal(inflate_all(message, max, &got), expected);
    assert_null(got.ptr);
}

/* RFC 7692 section 7.2.3. */
static void test_examples_of_the_rfc(void **state)
{
    (void)state;
    expect_inflated(SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00"), SPAN("Hello"));
    expect_inflated(SPAN("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), SPAN("Hello"));
    expect_inflated(SPAN("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), SPAN("Hello"));
    expect_inflated(SPAN("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), SPAN("Hello"));
    expect_inflated(SPAN("\x00"), SPAN(""));
    expect_inflated(SPAN("\x02\x00"), SPAN(""));
}

static void test_what_is_no_deflate(void **state)
{
    (void)state;
    expect_error(SPAN("\x06"), LONG, -EPROTO);                      /* a reserved kind of block */
    expect_error(SPAN("\x00\x05\x00\xfa\xfe"), LONG, -EPROTO);      /* LEN and NLEN disagree    */
    expect_error(SPAN("\x00\x09\x00\xf6\xffHello"), LONG, -EPROTO); /* a block that goes on     */
    expect_error(SPAN("\xf2\x48\xcd"), LONG, -EPROTO);              /* cut off                  */
    expect_error(SPAN("\x02\x08\x82\x00"), LONG, -EPROTO);          /* from before the message  */
    expect_error(SPAN("\xf3\x48\xcd\xc9\xc9\x07\x00"), LONG, -EPROTO); /* nothing behind the last */
}

/* Deflates, and inflates again with a bound that is just enough and one that is not. */
static void round_trip(struct deflater *deflater, struct span payload)
{
    char *area = malloc(payload.len + DEFLATE_ROOM);
    size_t len = deflater_message(deflater, area, payload);
    assert_true(len < payload.len || len == 0);
    if (len > 0) {
        struct span got;
        assert_int_equal(inflate_all(span_of(area, len), payload.len, &got), 0);
        assert_span(got, payload);
        free((char *)got.ptr);
        expect_error(span_of(area, len), payload.len - 1, -EFBIG);
    }
    free(area);
}

static void test_round_trips(void **state)
{
    (void)state;
    char *text = malloc(LONG);
    uint64_t seed = 7;
    for (size_t i = 0; i < LONG; i++)
        text[i] = (char)('a' + random_next(&seed) % 4);
    for (int bits = DEFLATE_WINDOW_BITS_MIN; bits <= DEFLATE_WINDOW_BITS_MAX; bits++) {
        struct deflater *deflater = deflater_create(1 + bits % 9, bits);
        assert_non_null(deflater);
        for (size_t len = 1; len <= LONG; len = len * 3 + 1)
            round_trip(deflater, span_of(text, len));
        deflater_free(deflater);
    }
    free(text);
}

/* What was said before helps nobody. */
static void test_no_context(void **state)
{
    (void)state;
    struct span text = SPAN("{\"instrument\":\"RING\",\"price\":17,\"instrument\":\"RING\"}");
    struct deflater *deflater = deflater_create(6, 12);
    char first[64], second[64];
    size_t len = deflater_message(deflater, first, text);
    assert_true(len > 0);
    assert_int_equal(deflater_message(deflater, second, text), len);
    assert_memory_equal(first, second, len);
    deflater_free(deflater);
}

static void test_what_does_not_get_smaller(void **state)
{
    (void)state;
    char noise[1000], area[1000 + DEFLATE_ROOM];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)random_next(&seed);
    struct deflater *deflater = deflater_create(6, 12);
    for (size_t len = 0; len <= sizeof noise; len++)
        assert_int_equal(deflater_message(deflater, area, span_of(noise, len)), 0);
    deflater_free(deflater);
}

/* A thousand bytes that would be a million: no more than asked for are made. */
static void test_bomb(void **state)
{
    (void)state;
    char *zeros = calloc(1, 1 << 20);
    char *area = malloc((1 << 20) + DEFLATE_ROOM);
    struct deflater *deflater = deflater_create(9, 15);
    size_t len = deflater_message(deflater, area, span_of(zeros, 1 << 20));
    assert_true(len > 0 && len < 2000);
    expect_error(span_of(area, len), 0, -EFBIG);
    expect_error(span_of(area, len), 1, -EFBIG);
    expect_error(span_of(area, len), 65536, -EFBIG);
    expect_error(span_of(area, len), (1 << 20) - 1, -EFBIG);
    deflater_free(deflater);
    free(area);
    free(zeros);
}

/* RFC 1951 section 3.2.4: what is stored has blocks of 65,535 bytes. */
static void test_pieces_that_are_stored(void **state)
{
    (void)state;
    char *text = calloc(1, LONG), *area = malloc(deflate_piece_room(LONG));
    assert_int_equal(deflate_piece(NULL, area, SPAN("ab")), 7);
    assert_memory_equal(area,
                        "\0\2\0\xfd\xff"
                        "ab",
                        7);
    assert_int_equal(deflate_piece_room(65535), 65535 + 2 * 5);
    size_t len = deflate_piece(NULL, area, span_of(text, LONG));
    assert_int_equal(len, LONG + 2 * 5);
    assert_memory_equal(area, "\0\xff\xff\0\0", 5);
    struct deflater *deflater = deflater_create(6, 12);
    len = deflate_piece(deflater, area, span_of(text, LONG));
    assert_in_range(len, 5, 1000);
    assert_memory_equal(area + len - 4, "\0\0\xff\xff", 4);
    /* What gets no smaller is stored. */
    assert_int_equal(deflate_piece(deflater, area, SPAN("xyz")), 8);
    deflater_free(deflater);
    free(area);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_that_are_stored),
        cmocka_unit_test(test_examples_of_the_rfc),
        cmocka_unit_test(test_what_is_no_deflate),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_no_context),
        cmocka_unit_test(test_what_does_not_get_smaller),
        cmocka_unit_test(test_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
