#include "feed.h"
#include "wire/http.h"
#include "wire_test.h"

/* Writes "name=value;" for each parameter, then the error if there is one. The query is a heap
 * block of its own, where a sanitizer sees a step beyond its end. */
static void expect(struct span query, size_t scratch_size, const char *expected)
{
    char scratch[64], text[256] = "";
    struct http_query walk;
    struct span name, value;
    size_t len = 0;
    int result;
    assert_true(scratch_size <= sizeof scratch);
    struct pieces pieces = pieces_begin(query, query.len, 0);
    assert_true(pieces_next(&pieces));
    http_query_init(&walk, span_of(pieces.piece, pieces.len), scratch, scratch_size);
    while ((result = http_query_next(&walk, &name, &value)) > 0)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s=%.*s;", (int)name.len,
                                name.ptr, (int)value.len, value.ptr);
    if (result < 0)
        snprintf(text + len, sizeof text - len, "%s", http_error_name((enum http_error)result));
    pieces_end(&pieces);
    assert_string_equal(text, expected);
}

static void test_parameters(void **state)
{
    (void)state;
    expect(SPAN(""), 0, "");
    expect(SPAN("a=1"), 0, "a=1;");
    expect(SPAN("channel=a&channel=b&since=5f.1~6.2"), 0, "channel=a;channel=b;since=5f.1~6.2;");
    expect(SPAN("a"), 0, "a=;");
    expect(SPAN("a="), 0, "a=;");
    expect(SPAN("=1"), 0, "=1;");
    expect(SPAN("="), 0, "=;");
    expect(SPAN("a=b=c"), 0, "a=b=c;");
    expect(SPAN("&&a=1&&b=2&"), 0, "a=1;b=2;");
}

static void test_escapes(void **state)
{
    (void)state;
    expect(SPAN("a=x+y%20z"), 5, "a=x y z;");
    expect(SPAN("%61=%7e%7E"), 3, "a=~~;");
    expect(SPAN("a=%26%3d%2b%25"), 4, "a=&=+%;");
    expect(SPAN("a=%c3%a9"), 2, "a=\xc3\xa9;");
    expect(SPAN("plain=this+is+copied&other=this-is-not"), 14,
           "plain=this is copied;other=this-is-not;");
}

static void test_refused(void **state)
{
    (void)state;
    expect(SPAN("a=%"), 64, "query");
    expect(SPAN("a=%2"), 64, "query");
    expect(SPAN("a=%2&b"), 64, "query");
    expect(SPAN("a=%2g"), 64, "query");
    expect(SPAN("a=%+1"), 64, "query");
    expect(SPAN("b=1&a=%u0041"), 64, "b=1;query");
    expect(SPAN("a=+++"), 2, "query_long");
    expect(SPAN("a=%20&b=%20"), 1, "a= ;query_long");
}

static void test_decoded_bytes_may_be_any(void **state)
{
    (void)state;
    char scratch[4];
    struct http_query walk;
    struct span name, value;
    http_query_init(&walk, SPAN("a=%00%0a%ff"), scratch, sizeof scratch);
    assert_int_equal(http_query_next(&walk, &name, &value), 1);
    assert_span(value, SPAN("\0\n\xff"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_decoded_bytes_may_be_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
