#include "feed_http.h"
#include "wire_test.h"

#define HEAD_MAX 8192
#define HOST     "Host: h\r\n"
#define GET      "GET / HTTP/1.1\r\n"

static int parse(struct http_request *ret, const char *head)
{
    return http_request_parse(ret, head, strlen(head), 0, HEAD_MAX);
}

static void test_plain_get(void **state)
{
    (void)state;
    struct http_request request;
    const char *head = "GET /sse?channel=a%20b&since=5.1 HTTP/1.1\r\n"
                       "host: example.org:8080\r\n"
                       "Accept:text/event-stream\r\n"
                       "X-Empty:\r\n"
                       "X-Blank: \t a b \t \r\n"
                       "\r\nnext";
    assert_int_equal(parse(&request, head), strlen(head) - 4);
    assert_int_equal(request.method, HTTP_GET);
    assert_span(request.method_name, SPAN("GET"));
    assert_span(request.target, SPAN("/sse?channel=a%20b&since=5.1"));
    assert_span(request.path, SPAN("/sse"));
    assert_span(request.query, SPAN("channel=a%20b&since=5.1"));
    assert_span(request.host, SPAN("example.org:8080"));
    assert_int_equal(request.fields.count, 4);
    assert_int_equal(request.fields.minor_version, 1);
    assert_true(request.fields.keep_alive);
    assert_false(request.fields.has_content_length);
    assert_false(request.fields.chunked);
    assert_false(request.expect_continue);
    assert_span(http_field_find(&request.fields, SPAN("ACCEPT"))->value, SPAN("text/event-stream"));
    assert_span(http_field_find(&request.fields, SPAN("x-empty"))->value, SPAN(""));
    assert_span(http_field_find(&request.fields, SPAN("x-blank"))->value, SPAN("a b"));
    assert_null(http_field_find(&request.fields, SPAN("x-none")));
}

static void test_methods(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        enum http_method method;
    } table[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_GET},
        {"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_HEAD},
        {"POST / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_POST},
        {"PUT / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PUT},
        {"PATCH / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_PATCH},
        {"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_DELETE},
        {"OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_OPTIONS},
        {"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_TRACE},
        {"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_CONNECT},
        {"get / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_METHOD_OTHER},
        {"GETS / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_METHOD_OTHER},
        {"M-SEARCH / HTTP/1.1\r\nHost: h\r\n\r\n", HTTP_METHOD_OTHER},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_request request;
        assert_true(parse(&request, table[i].head) > 0);
        assert_int_equal(request.method, table[i].method);
    }
}

static void test_target_forms(void **state)
{
    (void)state;
    static const struct {
        const char *line, *path, *query, *host;
    } table[] = {
        {"GET / HTTP/1.1\r\n", "/", "", "h"},
        {"GET /? HTTP/1.1\r\n", "/", "", "h"},
        {"GET /a/b?c?d/e HTTP/1.1\r\n", "/a/b", "c?d/e", "h"},
        {"GET /a|b^{c}`[d]?|^{} HTTP/1.1\r\n", "/a|b^{c}`[d]", "|^{}", "h"},
        {"GET //other HTTP/1.1\r\n", "//other", "", "h"},
        {"GET http://a.b:80/c?d HTTP/1.1\r\n", "/c", "d", "a.b:80"},
        {"GET HTTPS://a.b HTTP/1.1\r\n", "/", "", "a.b"},
        {"GET http://[::1]:8080?x HTTP/1.1\r\n", "/", "x", "[::1]:8080"},
        {"OPTIONS * HTTP/1.1\r\n", "*", "", "h"},
        {"CONNECT a.b:443 HTTP/1.1\r\n", "", "", "a.b:443"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_request request;
        char head[128];
        snprintf(head, sizeof head, "%sHost: h\r\n\r\n", table[i].line);
        assert_int_equal(parse(&request, head), strlen(head));
        assert_span(request.path, span_from(table[i].path));
        assert_span(request.query, span_from(table[i].query));
        assert_span(request.host, span_from(table[i].host));
    }
}

/* One row per way to smuggle a request, or merely to be wrong. */
static const struct {
    struct span head;
    int error;
} refused[] = {
    /* the request line */
    {SPAN_INIT("\x16\x03\x01\x02"), HTTP_ERROR_METHOD},
    {SPAN_INIT(" GET / HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_METHOD},
    {SPAN_INIT("\r\n\r\n"), HTTP_ERROR_METHOD},
    {SPAN_INIT("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_METHOD},
    {SPAN_INIT("\rGET / HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT("\nGET / HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_METHOD},
    {SPAN_INIT("GET\r\n" HOST "\r\n"), HTTP_ERROR_METHOD},
    {SPAN_INIT("G@T / HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_METHOD},
    {SPAN_INIT("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_METHOD},
    {SPAN_INIT("GET /\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET \r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET  / HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET /  HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET / HTTP/1.1 \r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET / HTTP/1.1\r\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET / http/1.1\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET / HTTP/11\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET / HTTP/1.x\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET / HTTP/1.10\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("GET / XTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_VERSION},
    {SPAN_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_ERROR_VERSION_MAJOR},
    {SPAN_INIT("GET / HTTP/0.9\r\n\r\n"), HTTP_ERROR_VERSION_MAJOR},
    {SPAN_INIT("GET x HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET * HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("OPTIONS *x HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET /\"<> HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET /a\rb HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET http:// HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET http:///a HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET http:/h/ HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("GET h:80 HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    {SPAN_INIT("CONNECT / HTTP/1.1\r\n" HOST "\r\n"), HTTP_ERROR_TARGET},
    /* line ends */
    {SPAN_INIT("GET / HTTP/1.1\n" HOST "\r\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT("GET / HTTP/1.1\nHost: h\n\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT(GET "Host: h\n\r\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT(GET "Host: h\n\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT(GET HOST "\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT(GET HOST "A: b\rC: d\r\n\r\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT(GET HOST "A: b\r\r\n\r\n"), HTTP_ERROR_LINE_END},
    {SPAN_INIT(GET HOST "A: b\nContent-Length: 5\r\n\r\n"), HTTP_ERROR_LINE_END},
    /* fields */
    {SPAN_INIT(GET HOST "A : b\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST "A\t: b\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST ": b\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST "A\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST "A b: c\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST "A\0: b\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST "\xc3\xa9: b\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST "(A): b\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    {SPAN_INIT(GET HOST "A: b\r\n c\r\n\r\n"), HTTP_ERROR_FIELD_FOLDED},
    {SPAN_INIT(GET HOST "A: b\r\n\tc\r\n\r\n"), HTTP_ERROR_FIELD_FOLDED},
    {SPAN_INIT(GET " Host: h\r\n\r\n"), HTTP_ERROR_FIELD_FOLDED},
    {SPAN_INIT(GET HOST "A: b\0c\r\n\r\n"), HTTP_ERROR_FIELD_VALUE},
    {SPAN_INIT(GET HOST "A: b\x0b\r\n\r\n"), HTTP_ERROR_FIELD_VALUE},
    {SPAN_INIT(GET HOST "A: b\x7f\r\n\r\n"), HTTP_ERROR_FIELD_VALUE},
    {SPAN_INIT(GET HOST "A: \x1b[31m\r\n\r\n"), HTTP_ERROR_FIELD_VALUE},
    /* Host */
    {SPAN_INIT(GET "\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT(GET HOST HOST "\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT(GET "Host:\r\n\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT(GET "Host: a b\r\n\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT(GET "Host: a, b\r\n\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT(GET "Host: a/b\r\n\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT(GET "Host: u@h\r\n\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), HTTP_ERROR_HOST},
    {SPAN_INIT("GET http://a/ HTTP/1.1\r\n\r\n"), HTTP_ERROR_HOST},
    /* length */
    {SPAN_INIT(GET HOST "Content-Length: +5\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: -5\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 0x5\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 5 5\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 5, 5\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 5.0\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 1e1\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length:\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 1000000000000000000\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 18446744073709551621\r\n\r\n"), HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
     HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
     HTTP_ERROR_CONTENT_LENGTH},
    {SPAN_INIT(GET HOST "Content-Length: 0\r\nContent-Length: 6\r\n\r\n"),
     HTTP_ERROR_CONTENT_LENGTH},
    /* transfer coding */
    {SPAN_INIT(GET HOST "Transfer-Encoding: gzip\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"), HTTP_ERROR_TRANSFER_CODING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: chunked, identity\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"), HTTP_ERROR_TRANSFER_CODING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: identity\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: xchunked\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: \"chunked\"\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: chunked;q=1\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding:\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP_ERROR_TRANSFER_CODING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"),
     HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP_ERROR_TRANSFER_CODING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: chunked,\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: , chunked\r\n\r\n"), HTTP_ERROR_TRANSFER_CODING},
    {SPAN_INIT("GET / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"), HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding:\x0b"
                        "chunked\r\n\r\n"),
     HTTP_ERROR_FIELD_VALUE},
    {SPAN_INIT(GET HOST "Transfer-Encoding\r\n : chunked\r\n\r\n"), HTTP_ERROR_FIELD_NAME},
    /* both */
    {SPAN_INIT(GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP_ERROR_FRAMING},
    {SPAN_INIT(GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
     HTTP_ERROR_FRAMING},
    {SPAN_INIT("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_ERROR_FRAMING},
    /* expectations */
    {SPAN_INIT(GET HOST "Expect: 200-ok\r\n\r\n"), HTTP_ERROR_EXPECTATION},
    {SPAN_INIT(GET HOST "Expect: 100-continue, x\r\n\r\n"), HTTP_ERROR_EXPECTATION},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct http_request request;
        struct span head = refused[i].head;
        int result = http_request_parse(&request, head.ptr, head.len, 0, HEAD_MAX);
        if (result != refused[i].error)
            print_error("row %zu: %.*s\n", i, (int)head.len, head.ptr);
        assert_int_equal(result, refused[i].error);
    }
}

static void test_framing_and_persistence(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool has_length, chunked, keep_alive, upgrade, expect;
        uint64_t length;
    } table[] = {
        {GET HOST "Content-Length: 0\r\n\r\n", true, false, true, false, false, 0},
        {GET HOST "content-length:  42 \r\n\r\n", true, false, true, false, false, 42},
        {GET HOST "Content-Length: 0042\r\n\r\n", true, false, true, false, false, 42},
        {GET HOST "Content-Length: 999999999999999999\r\n\r\n", true, false, true, false, false,
         999999999999999999},
        {GET HOST "transfer-encoding: CHUNKED\r\n\r\n", false, true, true, false, false, 0},
        {GET HOST "Connection: close\r\n\r\n", false, false, false, false, false, 0},
        {GET HOST "Connection: keep-alive, Close\r\n\r\n", false, false, false, false, false, 0},
        {GET HOST "Connection: x\r\nConnection:,,close,\r\n\r\n", false, false, false, false, false,
         0},
        {GET HOST "Connection: closed\r\n\r\n", false, false, true, false, false, 0},
        {GET HOST "Connection: keep-alive, Upgrade\r\n\r\n", false, false, true, true, false, 0},
        {GET HOST "Expect: 100-Continue\r\n\r\n", false, false, true, false, true, 0},
        {"GET / HTTP/1.0\r\n\r\n", false, false, false, false, false, 0},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, false, true, false, false, 0},
        {"GET / HTTP/1.0\r\nConnection: upgrade\r\n\r\n", false, false, false, false, false, 0},
        {"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, false, false, false, false, 0},
        {"GET / HTTP/1.7\r\n" HOST "\r\n", false, false, true, false, false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_request request;
        assert_int_equal(parse(&request, table[i].head), strlen(table[i].head));
        assert_int_equal(request.fields.has_content_length, table[i].has_length);
        assert_int_equal(request.fields.content_length, table[i].length);
        assert_int_equal(request.fields.chunked, table[i].chunked);
        assert_int_equal(request.fields.keep_alive, table[i].keep_alive);
        assert_int_equal(request.fields.connection_upgrade, table[i].upgrade);
        assert_int_equal(request.expect_continue, table[i].expect);
    }
}

static void test_leading_empty_line(void **state)
{
    (void)state;
    struct http_request request;
    const char *head = "\r\n" GET HOST "\r\n";
    assert_int_equal(parse(&request, head), strlen(head));
    assert_int_equal(request.method, HTTP_GET);
}

static void put(char *at, struct span text)
{
    memcpy(at, text.ptr, text.len);
}

static void test_too_long(void **state)
{
    (void)state;
    struct http_request request;
    char head[300];
    memset(head, 'a', sizeof head);
    put(head, SPAN("GET /"));
    assert_int_equal(http_request_parse(&request, head, 99, 0, 100), 0);
    assert_int_equal(http_request_parse(&request, head, 100, 0, 100), HTTP_ERROR_TARGET_LONG);
    assert_int_equal(http_request_parse(&request, head, 300, 0, 100), HTTP_ERROR_TARGET_LONG);
    put(head, SPAN(GET "A: "));
    assert_int_equal(http_request_parse(&request, head, 100, 0, 100), HTTP_ERROR_HEAD_LONG);
    put(head + 296, SPAN("\r\n\r\n"));
    assert_int_equal(http_request_parse(&request, head, 300, 0, 299), HTTP_ERROR_HEAD_LONG);
    assert_int_equal(http_request_parse(&request, head, 300, 0, 300), HTTP_ERROR_HOST);
}

static void test_too_many_fields(void **state)
{
    (void)state;
    struct http_request request;
    for (size_t extra = HTTP_FIELDS_MAX - 1; extra <= HTTP_FIELDS_MAX; extra++) {
        struct transcript head = {0};
        transcript_add(&head, SPAN(GET HOST));
        for (size_t i = 0; i < extra; i++)
            transcript_add(&head, SPAN("A: b\r\n"));
        transcript_add(&head, SPAN("\r\n"));
        int result = http_request_parse(&request, head.text, head.len, 0, HEAD_MAX);
        assert_int_equal(result, extra < HTTP_FIELDS_MAX ? (int)head.len : HTTP_ERROR_FIELDS_MANY);
        transcript_free(&head);
    }
}

static void test_every_split(void **state)
{
    (void)state;
    static const struct span heads[] = {
        SPAN_INIT("POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
        SPAN_INIT("\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        SPAN_INIT(GET "Host: h\n\nX"),
        SPAN_INIT(GET HOST "A: b\r\n c\r\n\r\n"),
        SPAN_INIT(GET HOST "A: a value that is longer than head_max allows it to be, so there"),
    };
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        struct transcript whole = {0};
        feed_request(heads[i], heads[i].len, 0, 80, &whole);
        for (size_t cut = 0; cut <= heads[i].len; cut++) {
            struct transcript split = {0};
            feed_request(heads[i], cut, cut == 0, 80, &split);
            assert_span(transcript_span(&split), transcript_span(&whole));
            transcript_free(&split);
        }
        transcript_free(&whole);
    }
}

static void test_head_end_needs_only_new_bytes(void **state)
{
    (void)state;
    const char *head = GET HOST "\r\n";
    size_t len = strlen(head);
    for (size_t scanned = 0; scanned < len; scanned++) {
        assert_int_equal(http_head_end(head, len, scanned), len);
        assert_int_equal(http_head_end(head, scanned, 0), 0);
    }
}

static void test_lists(void **state)
{
    (void)state;
    assert_true(http_list_has(SPAN("a, B ,c"), SPAN("b")));
    assert_true(http_list_has(SPAN(",, a"), SPAN("a")));
    assert_false(http_list_has(SPAN("ab, c"), SPAN("b")));
    assert_false(http_list_has(SPAN(""), SPAN("a")));
}

static void test_single_field(void **state)
{
    (void)state;
    struct http_request request;
    assert_true(parse(&request, GET HOST "A: 1\r\nB: 2\r\na: 3\r\n\r\n") > 0);
    assert_span(http_field_find(&request.fields, SPAN("a"))->value, SPAN("1"));
    assert_null(http_field_single(&request.fields, SPAN("a")));
    assert_span(http_field_single(&request.fields, SPAN("b"))->value, SPAN("2"));
    assert_null(http_field_single(&request.fields, SPAN("c")));
}

static void test_every_error_has_a_name_and_a_status(void **state)
{
    (void)state;
    for (int error = 1; error < HTTP_ERROR_COUNT; error++) {
        assert_non_null(http_error_name((enum http_error) - error));
        int status = http_error_status((enum http_error) - error);
        assert_true(http_status_reason(status).len > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_get),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_target_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_framing_and_persistence),
        cmocka_unit_test(test_leading_empty_line),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_head_end_needs_only_new_bytes),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_single_field),
        cmocka_unit_test(test_every_error_has_a_name_and_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
