#include "feed_http.h"
#include "wire_test.h"

static int decode(enum http_framing framing, uint64_t length, uint64_t body_max, struct span input,
                  size_t first, size_t step, struct transcript *ret, size_t *ret_used)
{
    struct http_body body;
    assert_int_equal(http_body_init(&body, framing, length, body_max), 0);
    return feed_body(body, input, first, step, ret, ret_used);
}

static const struct {
    struct span input;
    const char *payload;
    int result;
    size_t left; /* bytes after the end of the body */
} chunked[] = {
    {SPAN_INIT("0\r\n\r\n"), "", HTTP_BODY_END, 0},
    {SPAN_INIT("0\r\n\r\nGET /"), "", HTTP_BODY_END, 5},
    {SPAN_INIT("5\r\nhello\r\n0\r\n\r\n"), "hello", HTTP_BODY_END, 0},
    {SPAN_INIT("005\r\nhello\r\n000\r\n\r\n"), "hello", HTTP_BODY_END, 0},
    {SPAN_INIT("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\nx"), "01234567890123456789",
     HTTP_BODY_END, 1},
    {SPAN_INIT("1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n"), "\r\n", HTTP_BODY_END, 0},
    {SPAN_INIT("1;a=b;c=\"d\"\r\nx\r\n0;last\r\n\r\n"), "x", HTTP_BODY_END, 0},
    {SPAN_INIT("1;\r\nx\r\n0\r\n\r\n"), "x", HTTP_BODY_END, 0},
    {SPAN_INIT("1 ; a = b\r\nx\r\n0\t ;\tlast\r\n\r\n"), "x", HTTP_BODY_END, 0},
    {SPAN_INIT("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\nrest"), "x", HTTP_BODY_END, 4},
    {SPAN_INIT("5\r\nhel"), "hel", HTTP_BODY_MORE, 0},
    {SPAN_INIT("5"), "", HTTP_BODY_MORE, 0},
    {SPAN_INIT("0\r\n\r"), "", HTTP_BODY_MORE, 0},
    {SPAN_INIT(""), "", HTTP_BODY_MORE, 0},
    {SPAN_INIT("\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT(";a\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("-1\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("+1\r\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("0x1\r\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT(" 1\r\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1 \r\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1 \t\r\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1 1;a\r\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1 "), "", HTTP_BODY_MORE, 0},
    {SPAN_INIT("g\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1_0\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1\rx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1\r\r\nx\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("0000000000000001\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("ffffffffffffffff\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("10000000000000005\r\n"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("fffffffffffffff\r\n"), "", HTTP_ERROR_BODY_LONG, 0},
    {SPAN_INIT("65\r\n"), "", HTTP_ERROR_BODY_LONG, 0},
    {SPAN_INIT("1\r\nx\r\n64\r\n"), "x", HTTP_ERROR_BODY_LONG, 0},
    {SPAN_INIT("1;a\nx\r\n"), "", HTTP_ERROR_CHUNK_EXTENSION, 0},
    {SPAN_INIT("1;a\rb\r\nx"), "", HTTP_ERROR_CHUNK_SIZE, 0},
    {SPAN_INIT("1;\0\r\nx\r\n"), "", HTTP_ERROR_CHUNK_EXTENSION, 0},
    {SPAN_INIT("1\r\nxy\r\n"), "x", HTTP_ERROR_CHUNK_END, 0},
    {SPAN_INIT("1\r\nx\n0\r\n\r\n"), "x", HTTP_ERROR_CHUNK_END, 0},
    {SPAN_INIT("1\r\nx\r0\r\n\r\n"), "x", HTTP_ERROR_CHUNK_END, 0},
    {SPAN_INIT("1\r\nx0\r\n\r\n"), "x", HTTP_ERROR_CHUNK_END, 0},
    {SPAN_INIT("0\r\n\n"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\n\rX"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\nA : b\r\n\r\n"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\n: b\r\n\r\n"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\n A: b\r\n\r\n"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\nA\r\n\r\n"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\nA: b\n\r\n"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\nA: b\rc\r\n"), "", HTTP_ERROR_TRAILER, 0},
    {SPAN_INIT("0\r\nGET / HTTP/1.1\r\n\r\n"), "", HTTP_ERROR_TRAILER, 0},
};

static void test_chunked_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(chunked); i++) {
        struct span input = chunked[i].input;
        for (size_t cut = 0; cut <= input.len; cut++) {
            struct transcript payload = {0};
            size_t used;
            int result =
                decode(HTTP_FRAMING_CHUNKED, 0, 100, input, cut, cut == 0, &payload, &used);
            if (result != chunked[i].result)
                print_error("row %zu cut %zu: %.*s\n", i, cut, (int)input.len, input.ptr);
            assert_int_equal(result, chunked[i].result);
            assert_span(transcript_span(&payload), span_from(chunked[i].payload));
            if (result == HTTP_BODY_END)
                assert_int_equal(used, input.len - chunked[i].left);
            transcript_free(&payload);
        }
    }
}

static int decode_overhead(const char *before, size_t count, const char *after)
{
    struct transcript input = {0}, payload = {0};
    size_t used;
    transcript_add(&input, span_from(before));
    for (size_t i = 0; i < count; i++)
        transcript_add(&input, SPAN("e"));
    transcript_add(&input, span_from(after));
    int result =
        decode(HTTP_FRAMING_CHUNKED, 0, 100, transcript_span(&input), 0, 0, &payload, &used);
    transcript_free(&input);
    transcript_free(&payload);
    return result;
}

static void test_overhead_is_bounded(void **state)
{
    (void)state;
    const char *rest = "\r\nx\r\n0\r\n\r\n";
    assert_int_equal(decode_overhead("1;", HTTP_CHUNK_EXTENSION_MAX, rest), HTTP_BODY_END);
    assert_int_equal(decode_overhead("1;", HTTP_CHUNK_EXTENSION_MAX + 1, rest),
                     HTTP_ERROR_CHUNK_EXTENSION);
    /* "A:", the value, CRLF, CRLF */
    assert_int_equal(decode_overhead("0\r\nA:", HTTP_TRAILER_MAX - 6, "\r\n\r\n"), HTTP_BODY_END);
    assert_int_equal(decode_overhead("0\r\nA:", HTTP_TRAILER_MAX - 5, "\r\n\r\n"),
                     HTTP_ERROR_TRAILER);
}

static void test_length(void **state)
{
    (void)state;
    struct http_body body;
    assert_int_equal(http_body_init(&body, HTTP_FRAMING_LENGTH, 11, 10), HTTP_ERROR_BODY_LONG);
    struct span input = SPAN("0123456789rest");
    for (size_t cut = 0; cut <= input.len; cut++) {
        struct transcript payload = {0};
        size_t used;
        assert_int_equal(decode(HTTP_FRAMING_LENGTH, 10, 10, input, cut, cut == 0, &payload, &used),
                         HTTP_BODY_END);
        assert_span(transcript_span(&payload), SPAN("0123456789"));
        assert_int_equal(used, 10);
        transcript_free(&payload);
    }
}

static void test_until_close(void **state)
{
    (void)state;
    struct span input = SPAN("0123456789");
    for (size_t cut = 0; cut <= input.len; cut++) {
        struct transcript payload = {0};
        size_t used;
        assert_int_equal(decode(HTTP_FRAMING_CLOSE, 0, 10, input, cut, cut == 0, &payload, &used),
                         HTTP_BODY_MORE);
        assert_span(transcript_span(&payload), input);
        transcript_free(&payload);
        assert_int_equal(decode(HTTP_FRAMING_CLOSE, 0, 9, input, cut, cut == 0, &payload, &used),
                         HTTP_ERROR_BODY_LONG);
        assert_span(transcript_span(&payload), span_of(input.ptr, 9));
        transcript_free(&payload);
    }
}

static void test_end_is_repeated(void **state)
{
    (void)state;
    struct http_body body;
    struct span input = SPAN("next"), payload;
    assert_int_equal(http_body_init(&body, HTTP_FRAMING_NONE, 0, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_body_next(&body, &input, &payload), HTTP_BODY_END);
        assert_span(input, SPAN("next"));
    }
    assert_int_equal(http_body_finish(&body), 0);
}

static void test_request_framing(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int result;
    } table[] = {
        {"", HTTP_BODY_END},
        {"Content-Length: 0\r\n", HTTP_BODY_END},
        {"Content-Length: 1\r\n", HTTP_BODY_MORE},
        {"Transfer-Encoding: chunked\r\n", HTTP_BODY_MORE},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_request request;
        struct http_body body;
        struct span input = SPAN(""), payload;
        char head[128];
        int len =
            snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n", table[i].fields);
        assert_int_equal(http_request_parse(&request, head, (size_t)len, 0, sizeof head), len);
        assert_int_equal(http_request_body_init(&body, &request, 100), 0);
        assert_int_equal(http_body_next(&body, &input, &payload), table[i].result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked_every_split),
        cmocka_unit_test(test_overhead_is_bounded),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_until_close),
        cmocka_unit_test(test_end_is_repeated),
        cmocka_unit_test(test_request_framing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
