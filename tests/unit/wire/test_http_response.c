#include "feed_http.h"
#include "wire_test.h"

#define HEAD_MAX 8192

static int parse(struct http_response *ret, const char *head)
{
    return http_response_parse(ret, head, strlen(head), 0, HEAD_MAX);
}

static void test_plain(void **state)
{
    (void)state;
    struct http_response response;
    const char *head = "HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\nServer: x\r\n\r\n";
    assert_int_equal(parse(&response, head), strlen(head));
    assert_int_equal(response.status, 404);
    assert_span(response.reason, SPAN("Not Found"));
    assert_int_equal(response.fields.content_length, 12);
    assert_true(response.fields.keep_alive);
    assert_span(http_field_find(&response.fields, SPAN("server"))->value, SPAN("x"));
}

static void test_status_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status; /* or the error */
    } table[] = {
        {"HTTP/1.1 200 OK", 200},
        {"HTTP/1.1 200 ", 200},
        {"HTTP/1.0 999 strange", 999},
        {"HTTP/1.1 100 Continue", 100},
        {"HTTP/1.1 200 tab\tand \xc3\xa9", 200},
        {"HTTP/1.1 200", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1 099 x", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1 20 OK", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1 2000 OK", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1  200 OK", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1 2x0 OK", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1 200\tOK", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1 200 \x01xx", HTTP_ERROR_STATUS_LINE},
        {"HTTP/1.1 200 bare\rreturn", HTTP_ERROR_STATUS_LINE},
        {"", HTTP_ERROR_STATUS_LINE},
        {"HTTP/2.0 200 OK", HTTP_ERROR_VERSION_MAJOR},
        {"HTTP 1.1 200 OK", HTTP_ERROR_VERSION},
        {"SIP/2.0 200 OK x", HTTP_ERROR_VERSION},
        {"HTTP/1.1 200 OK\n", HTTP_ERROR_LINE_END},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_response response;
        char head[128];
        snprintf(head, sizeof head, "%s\r\n\r\n", table[i].line);
        int result = parse(&response, head);
        if (table[i].status > 0) {
            assert_int_equal(result, strlen(head));
            assert_int_equal(response.status, table[i].status);
        } else {
            assert_int_equal(result, table[i].status);
        }
    }
}

static void test_fields_are_as_strict_as_in_requests(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int error;
    } table[] = {
        {"A : b\r\n", HTTP_ERROR_FIELD_NAME},
        {"A: b\r\n c\r\n", HTTP_ERROR_FIELD_FOLDED},
        {"Content-Length: 1\r\nContent-Length: 1\r\n", HTTP_ERROR_CONTENT_LENGTH},
        {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", HTTP_ERROR_FRAMING},
        {"Transfer-Encoding: gzip\r\n", HTTP_ERROR_FRAMING},
        {"Transfer-Encoding: gzip, chunked\r\n", HTTP_ERROR_TRANSFER_CODING},
        {"A: b\n", HTTP_ERROR_LINE_END},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_response response;
        char head[128];
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s\r\n", table[i].fields);
        assert_int_equal(parse(&response, head), table[i].error);
    }
}

/* Which body follows depends on the request, the status and the fields, in that order. */
static void test_framing(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum http_method method;
        const char *fields;
        const char *body;
        const char *expected;
        int finish;
    } table[] = {
        {200, HTTP_GET, "Content-Length: 3\r\n", "abcdef", "abc", 0},
        {200, HTTP_GET, "Content-Length: 3\r\n", "ab", "ab", HTTP_ERROR_BODY_SHORT},
        {200, HTTP_GET, "Content-Length: 0\r\n", "ab", "", 0},
        {200, HTTP_GET, "Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n", "a", 0},
        {200, HTTP_GET, "Transfer-Encoding: chunked\r\n", "1\r\na", "a", HTTP_ERROR_BODY_SHORT},
        {200, HTTP_GET, "", "to the end", "to the end", 0},
        {200, HTTP_CONNECT, "", "tunnel", "", 0},
        {404, HTTP_CONNECT, "", "sorry", "sorry", 0},
        {200, HTTP_HEAD, "Content-Length: 3\r\n", "abc", "", 0},
        {204, HTTP_GET, "", "abc", "", 0},
        {304, HTTP_GET, "Content-Length: 3\r\n", "abc", "", 0},
        {101, HTTP_GET, "Upgrade: websocket\r\n", "\x81\x00", "", 0},
        {100, HTTP_POST, "", "HTTP/1.1 200 OK\r\n", "", 0},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_response response;
        struct http_body body;
        struct transcript payload = {0};
        char head[128];
        snprintf(head, sizeof head, "HTTP/1.1 %d x\r\n%s\r\n", table[i].status, table[i].fields);
        assert_int_equal(parse(&response, head), strlen(head));
        assert_int_equal(http_response_body_init(&body, &response, table[i].method, 100), 0);
        struct span rest = span_from(table[i].body), piece;
        while (http_body_next(&body, &rest, &piece) == HTTP_BODY_DATA)
            transcript_add(&payload, piece);
        assert_span(transcript_span(&payload), span_from(table[i].expected));
        assert_int_equal(http_body_finish(&body), table[i].finish);
        transcript_free(&payload);
    }
}

static void test_every_split(void **state)
{
    (void)state;
    static const struct span heads[] = {
        SPAN_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        SPAN_INIT("HTTP/1.1 200 OK\r\nA: b\n\r\n"),
        SPAN_INIT("HTTP/1.1 200 this line alone is longer than head_max allows\r\n\r\n"),
        SPAN_INIT("HTTP/1.1 200 OK\r\nA: these fields are longer than head_max allows\r\n\r\n"),
    };
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        struct transcript whole = {0};
        feed_response(heads[i], heads[i].len, 0, 50, &whole);
        for (size_t cut = 0; cut <= heads[i].len; cut++) {
            struct transcript split = {0};
            feed_response(heads[i], cut, cut == 0, 50, &split);
            assert_span(transcript_span(&split), transcript_span(&whole));
            transcript_free(&split);
        }
        transcript_free(&whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_fields_are_as_strict_as_in_requests),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
