#include <errno.h>
#include <stdio.h>

#include "wire/ws.h"
#include "wire_test.h"

/* RFC 6455 section 1.3. */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEYLINE "Sec-WebSocket-Key: " KEY "\r\n"

static void test_accept_key(void **state)
{
    (void)state;
    char accept[WS_ACCEPT_SIZE];
    ws_accept_key(accept, SPAN(KEY));
    assert_span(span_of(accept, sizeof accept), SPAN(ACCEPT));
}

static void request_parse(struct http_request *ret, const char *line, const char *fields)
{
    static char head[1024];
    int len = snprintf(head, sizeof head, "%s\r\nHost: h\r\n%s\r\n", line, fields);
    assert_int_equal(http_request_parse(ret, head, (size_t)len, 0, sizeof head), len);
}

static void test_requests(void **state)
{
    (void)state;
    static const struct {
        const char *line, *fields;
        int result;
    } table[] = {
        {"GET /ws HTTP/1.1", UPGRADE VERSION KEYLINE, 0},
        {"GET /ws HTTP/1.1",
         "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n" VERSION KEYLINE, 0},
        {"GET /ws HTTP/1.1",
         "Upgrade: h2c, websocket\r\nConnection: x\r\nConnection: upgrade\r\n" VERSION KEYLINE, 0},
        {"GET /ws HTTP/1.1", "Content-Length: 0\r\n" UPGRADE VERSION KEYLINE, 0},
        {"POST /ws HTTP/1.1", UPGRADE VERSION KEYLINE, WS_HANDSHAKE_METHOD},
        {"GET /ws HTTP/1.0", UPGRADE VERSION KEYLINE, WS_HANDSHAKE_UPGRADE},
        {"GET /ws HTTP/1.1", "Upgrade: websocket\r\n" VERSION KEYLINE, WS_HANDSHAKE_UPGRADE},
        {"GET /ws HTTP/1.1", "Connection: upgrade\r\n" VERSION KEYLINE, WS_HANDSHAKE_UPGRADE},
        {"GET /ws HTTP/1.1", "Upgrade: websockets\r\nConnection: upgrade\r\n" VERSION KEYLINE,
         WS_HANDSHAKE_UPGRADE},
        {"GET /ws HTTP/1.1", UPGRADE KEYLINE, WS_HANDSHAKE_VERSION},
        {"GET /ws HTTP/1.1", UPGRADE KEYLINE "Sec-WebSocket-Version: 8\r\n", WS_HANDSHAKE_VERSION},
        {"GET /ws HTTP/1.1", UPGRADE KEYLINE "Sec-WebSocket-Version: 13, 8\r\n",
         WS_HANDSHAKE_VERSION},
        {"GET /ws HTTP/1.1", UPGRADE KEYLINE VERSION VERSION, WS_HANDSHAKE_VERSION},
        {"GET /ws HTTP/1.1", UPGRADE VERSION, WS_HANDSHAKE_KEY},
        {"GET /ws HTTP/1.1", UPGRADE VERSION KEYLINE KEYLINE, WS_HANDSHAKE_KEY},
        {"GET /ws HTTP/1.1", UPGRADE VERSION "Sec-WebSocket-Key:\r\n", WS_HANDSHAKE_KEY},
        {"GET /ws HTTP/1.1", UPGRADE VERSION "Sec-WebSocket-Key: AAAA\r\n", WS_HANDSHAKE_KEY},
        {"GET /ws HTTP/1.1", UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n",
         WS_HANDSHAKE_KEY},
        {"GET /ws HTTP/1.1", UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n",
         WS_HANDSHAKE_KEY},
        {"GET /ws HTTP/1.1", UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ_==\r\n",
         WS_HANDSHAKE_KEY},
        {"GET /ws HTTP/1.1", "Content-Length: 1\r\n" UPGRADE VERSION KEYLINE, WS_HANDSHAKE_BODY},
        {"GET /ws HTTP/1.1", "Transfer-Encoding: chunked\r\n" UPGRADE VERSION KEYLINE,
         WS_HANDSHAKE_BODY},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_request request;
        struct span key;
        request_parse(&request, table[i].line, table[i].fields);
        int result = ws_handshake_check(&request, &key);
        if (result != table[i].result)
            print_error("row %zu\n", i);
        assert_int_equal(result, table[i].result);
        if (result == 0)
            assert_span(key, SPAN(KEY));
    }
}

static void test_wanted_and_offers(void **state)
{
    (void)state;
    struct http_request request;
    request_parse(&request, "GET / HTTP/1.1", "Upgrade: h2c\r\nConnection: upgrade\r\n");
    assert_false(ws_handshake_wanted(&request));
    assert_false(ws_handshake_offers(&request, SPAN("ringside")));
    request_parse(&request, "GET / HTTP/1.0",
                  "Upgrade: websocket\r\nSec-WebSocket-Protocol: a, ringside\r\n"
                  "Sec-WebSocket-Protocol: b\r\n");
    assert_true(ws_handshake_wanted(&request));
    assert_true(ws_handshake_offers(&request, SPAN("ringside")));
    assert_true(ws_handshake_offers(&request, SPAN("b")));
    assert_false(ws_handshake_offers(&request, SPAN("c")));
}

static void test_answers(void **state)
{
    (void)state;
#define LINE   "HTTP/1.1 101 Switching Protocols\r\n"
#define PROVEN "Sec-WebSocket-Accept: " ACCEPT "\r\n"
    static const struct {
        const char *head;
        int result;
    } table[] = {
        {LINE UPGRADE PROVEN, 0},
        {LINE UPGRADE PROVEN "Sec-WebSocket-Protocol: a\r\n", 0},
        {"HTTP/1.1 200 OK\r\n" UPGRADE PROVEN, WS_HANDSHAKE_STATUS},
        {"HTTP/1.1 426 Upgrade Required\r\n", WS_HANDSHAKE_STATUS},
        {"HTTP/1.0 101 Switching Protocols\r\n" UPGRADE PROVEN, WS_HANDSHAKE_UPGRADE},
        {LINE "Connection: Upgrade\r\n" PROVEN, WS_HANDSHAKE_UPGRADE},
        {LINE "Upgrade: websocket\r\n" PROVEN, WS_HANDSHAKE_UPGRADE},
        {LINE UPGRADE, WS_HANDSHAKE_ACCEPT},
        {LINE UPGRADE PROVEN PROVEN, WS_HANDSHAKE_ACCEPT},
        {LINE UPGRADE "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
         WS_HANDSHAKE_ACCEPT},
        {LINE UPGRADE PROVEN "Sec-WebSocket-Extensions: permessage-deflate\r\n",
         WS_HANDSHAKE_EXTENSION},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct http_response response;
        char head[512];
        int len = snprintf(head, sizeof head, "%s\r\n", table[i].head);
        assert_int_equal(http_response_parse(&response, head, (size_t)len, 0, sizeof head), len);
        assert_int_equal(ws_handshake_answer_check(&response, SPAN(KEY)), table[i].result);
    }
}

/* What one side writes, the other side takes. */
static void test_both_ends_agree(void **state)
{
    (void)state;
    char buf[512];
    struct http_request request;
    struct http_response response;
    struct span key;
    int len = ws_handshake_request_write(buf, sizeof buf, SPAN("/ws?channel=a"), SPAN("h:1"),
                                         SPAN(KEY), SPAN("Origin: http://h\r\n"));
    assert_int_equal(http_request_parse(&request, buf, (size_t)len, 0, sizeof buf), len);
    assert_span(request.target, SPAN("/ws?channel=a"));
    assert_int_equal(ws_handshake_check(&request, &key), 0);
    assert_span(key, SPAN(KEY));
    for (size_t size = 0; size < (size_t)len; size++) {
        char less[512];
        assert_int_equal(ws_handshake_request_write(less, size, SPAN("/ws?channel=a"), SPAN("h:1"),
                                                    SPAN(KEY), SPAN("Origin: http://h\r\n")),
                         -ENOBUFS);
    }
    len = ws_handshake_answer_write(buf, sizeof buf, SPAN(KEY), SPAN("X: y\r\n"));
    assert_int_equal(http_response_parse(&response, buf, (size_t)len, 0, sizeof buf), len);
    assert_int_equal(ws_handshake_answer_check(&response, SPAN(KEY)), 0);
    assert_int_equal(ws_handshake_answer_write(buf, (size_t)len - 1, SPAN(KEY), SPAN("X: y\r\n")),
                     -ENOBUFS);
}

static void test_every_error_has_a_name_and_a_status(void **state)
{
    (void)state;
    for (int error = 1; error < WS_HANDSHAKE_COUNT; error++) {
        assert_non_null(ws_handshake_error_name((enum ws_handshake_error) - error));
        int status = ws_handshake_error_status((enum ws_handshake_error) - error);
        assert_true(http_status_reason(status).len > 0);
    }
    assert_int_equal(ws_handshake_error_status(WS_HANDSHAKE_VERSION), 426);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_key),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_wanted_and_offers),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_both_ends_agree),
        cmocka_unit_test(test_every_error_has_a_name_and_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
