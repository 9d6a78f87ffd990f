#include "wire/sse.h"
#include "wire_test.h"

static void expect(struct sse_event event, const char *expected)
{
    char buf[256];
    assert_int_equal(sse_event_size(&event), strlen(expected));
    assert_int_equal(sse_event_write(buf, &event), strlen(expected));
    assert_span(span_of(buf, strlen(expected)), span_from(expected));
}

static void test_events(void **state)
{
    (void)state;
    expect((struct sse_event){.data = SPAN("x")}, "data: x\n\n");
    expect((struct sse_event){.data = SPAN("")}, "data: \n\n");
    expect((struct sse_event){.data = SPAN(" x")}, "data:  x\n\n");
    expect((struct sse_event){.id = SPAN("5f3a.17"), .data = SPAN("x")},
           "id: 5f3a.17\ndata: x\n\n");
    expect((struct sse_event){.id = SPAN(""), .data = SPAN("x")}, "id: \ndata: x\n\n");
    expect((struct sse_event){.id = SPAN("1.0"),
                              .event = SPAN("recovered"),
                              .data = SPAN("x"),
                              .has_retry = true,
                              .retry_ms = 2500},
           "id: 1.0\nevent: recovered\nretry: 2500\ndata: x\n\n");
    expect((struct sse_event){.has_retry = true, .retry_ms = 0}, "retry: 0\n\n");
    expect((struct sse_event){.has_retry = true, .retry_ms = UINT32_MAX}, "retry: 4294967295\n\n");
    expect((struct sse_event){.id = SPAN("1.0")}, "id: 1.0\n\n");
    expect((struct sse_event){0}, "\n");
}

static void test_lines(void **state)
{
    (void)state;
    expect((struct sse_event){.data = SPAN("a\nb")}, "data: a\ndata: b\n\n");
    expect((struct sse_event){.data = SPAN("a\r\nb")}, "data: a\ndata: b\n\n");
    expect((struct sse_event){.data = SPAN("a\rb")}, "data: a\ndata: b\n\n");
    expect((struct sse_event){.data = SPAN("a\n")}, "data: a\ndata: \n\n");
    expect((struct sse_event){.data = SPAN("\n")}, "data: \ndata: \n\n");
    expect((struct sse_event){.data = SPAN("\r\r\n\n")}, "data: \ndata: \ndata: \ndata: \n\n");
    /* A line that looks like a field stays inside its own. */
    expect((struct sse_event){.data = SPAN("x\n\nid: 666\ndata: y")},
           "data: x\ndata: \ndata: id: 666\ndata: data: y\n\n");
}

static void test_comments(void **state)
{
    (void)state;
    char buf[64];
    assert_int_equal(sse_comment_size(SPAN("hello")), 9);
    assert_int_equal(sse_comment_write(buf, SPAN("hello")), 9);
    assert_span(span_of(buf, 9), SPAN(": hello\n\n"));
    assert_int_equal(sse_comment_write(buf, SPAN("")), sse_comment_size(SPAN("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
