#include <stdio.h>

#include "wire/ws.h"
#include "wire/ws_deflate.h"
#include "wire_test.h"

static int judge(const char *fields, unsigned window_bits)
{
    static char head[1024];
    struct http_request request;
    int len = snprintf(head, sizeof head, "GET /ws HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    assert_int_equal(http_request_parse(&request, head, (size_t)len, 0, sizeof head), len);
    return ws_deflate_judge(&request.fields, window_bits);
}

static void expect(const char *value, int expected)
{
    char fields[512];
    snprintf(fields, sizeof fields, "Sec-WebSocket-Extensions: %s\r\n", value);
    int got = judge(fields, 12);
    if (got != expected)
        print_error("%s\n", value);
    assert_int_equal(got, expected);
}

#define PMD "permessage-deflate"

static void test_accepted(void **state)
{
    (void)state;
    expect(PMD, WS_DEFLATE_ACCEPTED);
    expect("Permessage-Deflate", WS_DEFLATE_ACCEPTED);
    expect(PMD "; client_max_window_bits", WS_DEFLATE_ACCEPTED);
    expect(PMD ";client_max_window_bits=8", WS_DEFLATE_ACCEPTED);
    expect(PMD "; client_max_window_bits=\"15\"", WS_DEFLATE_ACCEPTED);
    expect(PMD "; client_max_window_bits=\"1\\5\"", WS_DEFLATE_ACCEPTED);
    expect(PMD "; server_max_window_bits=12; client_max_window_bits=12", WS_DEFLATE_ACCEPTED);
    expect(PMD "; server_max_window_bits = 15", WS_DEFLATE_ACCEPTED);
    expect(PMD "; server_no_context_takeover ; client_no_context_takeover", WS_DEFLATE_ACCEPTED);
    expect("other; a=\"b\", , " PMD, WS_DEFLATE_ACCEPTED);
}

/* Section 7.1: parameters that are not known, given twice, or have values that they may not. */
static void test_declined(void **state)
{
    (void)state;
    expect(PMD "; unknown", WS_DEFLATE_DECLINED);
    expect(PMD "; server_no_context_takeover=1", WS_DEFLATE_DECLINED);
    expect(PMD "; client_no_context_takeover=\"true\"", WS_DEFLATE_DECLINED);
    expect(PMD "; server_no_context_takeover; server_no_context_takeover", WS_DEFLATE_DECLINED);
    expect(PMD "; client_max_window_bits; client_max_window_bits=9", WS_DEFLATE_DECLINED);
    expect(PMD "; server_max_window_bits", WS_DEFLATE_DECLINED);
    expect(PMD "; server_max_window_bits=7", WS_DEFLATE_DECLINED);
    expect(PMD "; server_max_window_bits=16", WS_DEFLATE_DECLINED);
    expect(PMD "; server_max_window_bits=012", WS_DEFLATE_DECLINED);
    expect(PMD "; server_max_window_bits=+12", WS_DEFLATE_DECLINED);
    expect(PMD "; server_max_window_bits=120", WS_DEFLATE_DECLINED);
    expect(PMD "; client_max_window_bits=7", WS_DEFLATE_DECLINED);
    expect(PMD "; client_max_window_bits=08", WS_DEFLATE_DECLINED);
    expect(PMD "; client_max_window_bits=x", WS_DEFLATE_DECLINED);
    expect(PMD "; server_max_window_bits=11", WS_DEFLATE_DECLINED); /* ours is larger */
}

static void test_the_next_offer(void **state)
{
    (void)state;
    expect(PMD "; server_max_window_bits=9, " PMD, WS_DEFLATE_ACCEPTED);
    expect(PMD ", " PMD "; unknown", WS_DEFLATE_ACCEPTED);
    assert_int_equal(judge("Sec-WebSocket-Extensions: " PMD "; unknown\r\n"
                           "Sec-WebSocket-Extensions: " PMD "\r\n",
                           12),
                     WS_DEFLATE_ACCEPTED);
}

static void test_not_offered(void **state)
{
    (void)state;
    assert_int_equal(judge("", 12), WS_DEFLATE_NONE);
    expect("", WS_DEFLATE_NONE);
    expect(", ,", WS_DEFLATE_NONE);
    expect("x-webkit-deflate-frame", WS_DEFLATE_NONE);
    expect("permessage-bzip2; client_max_compress_level=1", WS_DEFLATE_NONE);
}

/* RFC 6455 section 9.1. */
static void test_no_list_of_extensions(void **state)
{
    (void)state;
    static const char *const table[] = {
        PMD ";",        PMD "; ",          PMD "; a=",      PMD "; =9",    PMD "; a=\"b",
        PMD "; a=\"\"", PMD "; a=\"b c\"", PMD "; a=\"b\\", PMD "; a=b c", PMD " " PMD,
        "; a",          "\"" PMD "\"",     PMD ", @",
    };
    for (size_t i = 0; i < COUNT_OF(table); i++)
        expect(table[i], WS_HANDSHAKE_EXTENSION);
}

static void test_field(void **state)
{
    (void)state;
    char field[WS_DEFLATE_FIELD_MAX];
    size_t len = ws_deflate_field_write(field, 15);
    assert_span(span_of(field, len),
                SPAN("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                     "client_no_context_takeover; server_max_window_bits=15\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_declined),
        cmocka_unit_test(test_the_next_offer),
        cmocka_unit_test(test_not_offered),
        cmocka_unit_test(test_no_list_of_extensions),
        cmocka_unit_test(test_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
