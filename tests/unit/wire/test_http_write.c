#include <errno.h>

#include "wire/http.h"
#include "wire_test.h"

static void expect_response(const struct http_response_head *head, const char *expected)
{
    char buf[512];
    struct http_response parsed;
    size_t len = strlen(expected);
    assert_int_equal(http_response_head_write(buf, sizeof buf, head), len);
    assert_span(span_of(buf, len), span_from(expected));
    /* It fits exactly, and in nothing smaller. */
    assert_int_equal(http_response_head_write(buf, len, head), len);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(http_response_head_write(buf, size, head), -ENOBUFS);
    /* Our own parser takes it. */
    assert_int_equal(http_response_parse(&parsed, expected, len, 0, 512), len);
    assert_int_equal(parsed.status, head->status);
}

static void test_response_heads(void **state)
{
    (void)state;
    expect_response(&(struct http_response_head){.status = 200,
                                                 .minor_version = 1,
                                                 .keep_alive = true,
                                                 .framing = HTTP_FRAMING_LENGTH,
                                                 .content_length = 42,
                                                 .content_type = SPAN("application/json"),
                                                 .extra = SPAN("A: b\r\n")},
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    "Content-Length: 42\r\nA: b\r\n\r\n");
    expect_response(
        &(struct http_response_head){
            .status = 200, .minor_version = 1, .keep_alive = true, .framing = HTTP_FRAMING_CHUNKED},
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect_response(
        &(struct http_response_head){
            .status = 200, .minor_version = 0, .keep_alive = true, .framing = HTTP_FRAMING_LENGTH},
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    expect_response(&(struct http_response_head){.status = 503, .framing = HTTP_FRAMING_CLOSE},
                    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n");
    expect_response(
        &(struct http_response_head){.status = 204, .minor_version = 1, .keep_alive = true},
        "HTTP/1.1 204 No Content\r\n\r\n");
    expect_response(
        &(struct http_response_head){.status = 599, .minor_version = 1, .keep_alive = true},
        "HTTP/1.1 599 \r\n\r\n");
}

static void expect_request(const struct http_request_head *head, const char *expected)
{
    char buf[512];
    struct http_request parsed;
    size_t len = strlen(expected);
    assert_int_equal(http_request_head_write(buf, sizeof buf, head), len);
    assert_span(span_of(buf, len), span_from(expected));
    for (size_t size = 0; size < len; size++)
        assert_int_equal(http_request_head_write(buf, size, head), -ENOBUFS);
    assert_int_equal(http_request_parse(&parsed, expected, len, 0, 512), len);
    assert_span(parsed.method_name, head->method);
    assert_span(parsed.target, head->target);
    assert_int_equal(parsed.fields.keep_alive, !head->close);
}

static void test_request_heads(void **state)
{
    (void)state;
    expect_request(&(struct http_request_head){.method = SPAN("GET"),
                                               .target = SPAN("/poll?channel=a"),
                                               .host = SPAN("h:80")},
                   "GET /poll?channel=a HTTP/1.1\r\nHost: h:80\r\n\r\n");
    expect_request(&(struct http_request_head){.method = SPAN("POST"),
                                               .target = SPAN("/publish"),
                                               .host = SPAN("h"),
                                               .close = true,
                                               .framing = HTTP_FRAMING_LENGTH,
                                               .content_length = 5,
                                               .content_type = SPAN("text/plain"),
                                               .extra = SPAN("X: y\r\n")},
                   "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
                   "Content-Length: 5\r\nConnection: close\r\nX: y\r\n\r\n");
    expect_request(&(struct http_request_head){.method = SPAN("POST"),
                                               .target = SPAN("/"),
                                               .host = SPAN("h"),
                                               .framing = HTTP_FRAMING_CHUNKED},
                   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void test_chunk_heads(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *head;
    } table[] = {
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {255, "ff\r\n"},
        {4096, "1000\r\n"},
        {UINT32_MAX, "ffffffff\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char buf[HTTP_CHUNK_HEAD_MAX];
        size_t len = http_chunk_head_write(buf, table[i].size);
        assert_span(span_of(buf, len), span_from(table[i].head));
        assert_int_equal(http_chunk_head_size(table[i].size), len);
    }
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        uint64_t unix_s;
        const char *date;
    } table[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1709251199, "Thu, 29 Feb 2024 23:59:59 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char buf[HTTP_DATE_SIZE];
        http_date_write(buf, table[i].unix_s);
        assert_span(span_of(buf, sizeof buf), span_from(table[i].date));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response_heads),
        cmocka_unit_test(test_request_heads),
        cmocka_unit_test(test_chunk_heads),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
