#include "feed_sse.h"
#include "wire/sse_lines.h"
#include "wire_test.h"

/* Whole, cut at every byte, and byte by byte. */
static void expect_size(struct span stream, const char *expected, size_t size)
{
    for (size_t cut = 0; cut <= stream.len; cut++) {
        struct transcript said = {0};
        feed_sse(stream, cut, cut == 0, size, &said);
        assert_span(transcript_span(&said), span_from(expected));
        transcript_free(&said);
    }
}

static void expect(struct span stream, const char *expected)
{
    expect_size(stream, expected, 256);
}

static void test_fields(void **state)
{
    (void)state;
    expect(SPAN(""), ".");
    expect(SPAN("data: x\n\n"), "data[x]; .");
    expect(SPAN("data:x\n\n"), "data[x]; .");
    expect(SPAN("data:  x\n\n"), "data[ x]; .");
    expect(SPAN("data\n\n"), "data[]; .");
    expect(SPAN("data:\n\n"), "data[]; .");
    expect(SPAN("data: a:b: c\n\n"), "data[a:b: c]; .");
    expect(SPAN("id: 5f.1\nevent: e\ndata: x\nretry: 250\n\n"),
           "id[5f.1]event[e]data[x]retry250; .");
    expect(SPAN("id\ndata: x\n\n"), "id[]data[x]; .");
    expect(SPAN("id: 1\nid: 2\nevent: a\nevent: b\ndata: x\n\n"), "id[2]event[b]data[x]; .");
    expect(SPAN("data: x\nunknown: y\nDATA: z\n data: w\n\n"), "data[x]; .");
    expect(SPAN("data: x\n\ndata: y\n\n"), "data[x]; data[y]; .");
    expect(SPAN("data: unfinished\n"), ".");
}

static void test_blocks_without_data(void **state)
{
    (void)state;
    expect(SPAN("id: 1\n\n"), "id[1]; .");
    expect(SPAN("retry: 1\n\n"), "retry1; .");
    expect(SPAN("event: e\n\ndata: x\n\n"), "data[x]; .");
    expect(SPAN("nothing\n\n"), ".");
    expect(SPAN("\n\n\n"), ".");
}

static void test_ignored_values(void **state)
{
    (void)state;
    expect(SPAN("id: 1\nid: a\0b\ndata: x\n\n"), "id[1]data[x]; .");
    expect(SPAN("retry: 1s\nretry: -1\nretry:\nretry: 99999999999\ndata: x\n\n"), "data[x]; .");
    expect(SPAN("retry: 5\nretry: x\n\n"), "retry5; .");
}

static void test_joined_data(void **state)
{
    (void)state;
    expect(SPAN("data: a\ndata: b\n\n"), "data[a\nb]; .");
    expect(SPAN("data\ndata\n\n"), "data[\n]; .");
    expect(SPAN("data\ndata\ndata\n\n"), "data[\n\n]; .");
    expect(SPAN("data:\ndata: a\ndata\n\n"), "data[\na\n]; .");
    expect(SPAN("id: 1\ndata: a\nevent: e\ndata: b\nid: 22\ndata: c\n\n"),
           "id[22]event[e]data[a\nb\nc]; .");
    expect(SPAN("data: a\n:comment\ndata: b\n\n"), "data[a\nb]; .");
}

static void test_line_ends(void **state)
{
    (void)state;
    expect(SPAN("data: a\r\ndata: b\r\n\r\n"), "data[a\nb]; .");
    expect(SPAN("data: a\rdata: b\r\r"), "data[a\nb]; .");
    expect(SPAN("data: a\r\ndata: b\ndata: c\r\r\n"), "data[a\nb\nc]; .");
    expect(SPAN("data: a\r\n\r\ndata: b\r\n\r\n"), "data[a]; data[b]; .");
    expect(SPAN("data: a\r\rdata: b\n\ndata: c\r\n\r\n"), "data[a]; data[b]; data[c]; .");
    expect(SPAN("\r\n\r\r\n\ndata: a\n\r\n"), "data[a]; .");
}

static void test_comments(void **state)
{
    (void)state;
    expect(SPAN(":\n\n"), ".");
    expect(SPAN(": a comment\n\ndata: x\n\n:\n\n"), "data[x]; .");
    expect(SPAN(":a\r:b\r\n:c\ndata: x\n\n"), "data[x]; .");
    /* Keep-alives without an empty line are no event that grows. */
    expect_size(SPAN(": keep-alive\n: keep-alive\n: keep-alive\ndata: x\n\n"), "data[x]; .", 8);
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    expect(SPAN("\xEF\xBB\xBF"
                "data: x\n\n"),
           "data[x]; .");
    expect(SPAN("\xEF\xBB\xBF\n"
                "data: x\n\n"),
           "data[x]; .");
    expect(SPAN("\xEF\xBB\xBF:c\n"
                "data: x\n\n"),
           "data[x]; .");
    expect(SPAN("\xEF\xBB\xBF\xEF\xBB\xBF"
                "data: x\n\n"),
           ".");
    expect(SPAN("\n\xEF\xBB\xBF"
                "data: x\n\n"),
           ".");
    expect(SPAN("data: x\n\n\xEF\xBB\xBF"
                "data: y\n\n"),
           "data[x]; .");
    expect(SPAN("\xEF\xBB"
                "data: x\n\n"),
           ".");
}

static void test_bound(void **state)
{
    (void)state;
    expect_size(SPAN("data: x\n\n"), "data[x]; .", 8);
    expect_size(SPAN("data: x\n\n"), "too long", 7);
    expect_size(SPAN("data: x\n\ndata: xy\n\n"), "data[x]; too long", 8);
    expect_size(SPAN("data: this line does not end"), "too long", 10);
    /* 24 bytes of lines, and once more 2 of id. */
    expect_size(SPAN("id: 17\ndata: a\r\ndata: b\n\n"), "id[17]data[a\nb]; .", 26);
    expect_size(SPAN("id: 17\ndata: a\r\ndata: b\n\n"), "too long", 25);
}

/* The writer's events come back, with line ends as LF. */
static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        struct span data;
        const char *expected;
    } table[] = {
        {SPAN_INIT("x"), "id[1.2]event[e]data[x]retry7; ."},
        {SPAN_INIT(""), "id[1.2]event[e]data[]retry7; ."},
        {SPAN_INIT("a\nb\r\nc\rd\n"), "id[1.2]event[e]data[a\nb\nc\nd\n]retry7; ."},
        {SPAN_INIT(" lead"), "id[1.2]event[e]data[ lead]retry7; ."},
        {SPAN_INIT("\n\nid: 6\n\n"), "id[1.2]event[e]data[\n\nid: 6\n\n]retry7; ."},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char buf[256];
        struct sse_event event = {.id = SPAN("1.2"),
                                  .event = SPAN("e"),
                                  .data = table[i].data,
                                  .has_retry = true,
                                  .retry_ms = 7};
        expect(span_of(buf, sse_event_write(buf, &event)), table[i].expected);
    }
}

static void test_whole_events_are_not_copied(void **state)
{
    (void)state;
    char buf[64];
    struct sse_parser parser = {0};
    struct sse_event event;
    struct span stream = SPAN("id: 1\ndata: x\n\n"), input = stream;
    assert_int_equal(sse_parser_next(&parser, &input, buf, sizeof buf, &event), SSE_EVENT);
    assert_ptr_equal(event.data.ptr, stream.ptr + 12);
    assert_true(sse_parser_idle(&parser));
    input = SPAN("data: y");
    assert_int_equal(sse_parser_next(&parser, &input, buf, sizeof buf, &event), SSE_MORE);
    assert_false(sse_parser_idle(&parser));
}

/* At every place and from every alignment, and nothing that only looks like a line break. */
static void test_line_breaks_are_found(void **state)
{
    (void)state;
    char buf[80];
    for (size_t offset = 0; offset < 16; offset++) {
        struct span text = span_of(buf + offset, 60);
        for (size_t at = 0; at < text.len; at++) {
            memset(buf, 'a', sizeof buf);
            buf[offset + at] = (char)0x8A;
            assert_int_equal(sse_line_len(text), text.len);
            buf[offset + at] = '\n';
            assert_int_equal(sse_line_len(text), at);
            buf[offset + at] = '\r';
            assert_int_equal(sse_line_len(text), at);
            assert_int_equal(sse_line_len(span_of(text.ptr, at)), at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_blocks_without_data),
        cmocka_unit_test(test_ignored_values),
        cmocka_unit_test(test_joined_data),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_whole_events_are_not_copied),
        cmocka_unit_test(test_line_breaks_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
