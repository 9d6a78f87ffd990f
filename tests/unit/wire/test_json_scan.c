#include "wire/json_scan.h"

#include "feed.h"
#include "wire_test.h"

enum {
    TEXT_MAX = 512,
};

/* Reads all members of a copy that ends where the text does. Returns how many there are, or an
 * error; writes a line for each: kind, name, value. */
static int scan(struct span text, char seen[TEXT_MAX])
{
    static const char kinds[] = {'s', 'n', 'o', 'l', 't', 'f', '0'};
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    memcpy(copy, text.ptr, text.len);
    struct json_members members = json_members_begin(span_of(copy, text.len));
    struct json_member member;
    int found, count = 0;
    size_t len = 0;
    seen[0] = '\0';
    while ((found = json_members_next(&members, &member)) > 0) {
        count++;
        len += (size_t)snprintf(seen + len, TEXT_MAX - len, "%c %.*s=%.*s\n", kinds[member.kind],
                                (int)member.name.len, member.name.ptr, (int)member.value.len,
                                member.value.ptr);
        assert_true(len < TEXT_MAX);
    }
    if (found == 0)
        assert_int_equal(json_members_next(&members, &member), 0);
    free(copy);
    return found < 0 ? found : count;
}

static void members_are_given_in_order(void **state)
{
    static const struct {
        const char *text, *seen;
    } rows[] = {
        {"{}", ""},
        {" \t\r\n{ \n} ", ""},
        {"{\"a\":\"b\"}", "s a=b\n"},
        {"{\"\":\"\",\"\":1}", "s =\nn =1\n"},
        {"{ \"a\" : true , \"b\":false,\"c\":null }", "t a=true\nf b=false\n0 c=null\n"},
        {"{\"a\\\"\":\"\\\\\",\"b\":\"\\\"\"}", "s a\\\"=\\\\\ns b=\\\"\n"},
        {"{\"n\":-0.5e+10,\"m\":0,\"k\":12E-3}", "n n=-0.5e+10\nn m=0\nn k=12E-3\n"},
        {"{\"o\":{\"x\":[{},[],{\"y\":[1, \"]}\"]}]},\"l\":[ ]}",
         "o o={\"x\":[{},[],{\"y\":[1, \"]}\"]}]}\nl l=[ ]\n"},
        {"{\"u\":\"\xc3\xa9\xf0\x9f\x98\x80\\u00e9\"}", "s u=\xc3\xa9\xf0\x9f\x98\x80\\u00e9\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char seen[TEXT_MAX];
        assert_true(scan(span_from(rows[i].text), seen) >= 0);
        assert_string_equal(seen, rows[i].seen);
        /* No part of it is a whole object. */
        for (size_t len = 0; len < strlen(rows[i].text); len++) {
            int found = scan(span_of(rows[i].text, len), seen);
            bool only_space = strspn(rows[i].text + len, " \n") + len == strlen(rows[i].text);
            assert_true(found == JSON_INVALID || only_space);
        }
    }
}

static void what_is_no_json_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{",
        "}",
        "{}}",
        "{}x",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":-}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":0x1}",
        "{\"a\":tru}",
        "{\"a\":True}",
        "{\"a\":nullx}",
        "{\"a\":NaN}",
        "{\"a\":[1,]}",
        "{\"a\":[,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[}",
        "{\"a\":[1}]}",
        "{\"a\":{\"b\":1]}",
        "{\"a\":{1:2}}",
        "{\"a\":\"b}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\ud800\"}",
        "{\"a\":\"\\ud800x\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\x80\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"\xff\":1}",
        "{\"a\":[\"\xc3\"]}",
        "\xef\xbb\xbf{}",
        "{\"a\":1}//",
        "{\"a\":1/**/}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char seen[TEXT_MAX];
        if (scan(span_from(rows[i]), seen) != JSON_INVALID)
            fail_msg("taken: %s", rows[i]);
    }
    char seen[TEXT_MAX];
    assert_int_equal(scan(SPAN("{\"a\":\"\0\"}"), seen), JSON_INVALID);
    assert_int_equal(scan(SPAN("{\"a\":1}\0"), seen), JSON_INVALID);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (unsigned depth = JSON_DEPTH_MAX - 2; depth <= JSON_DEPTH_MAX; depth++) {
        char text[TEXT_MAX] = "{\"a\":", seen[TEXT_MAX];
        memset(text + 5, '[', depth);
        memset(text + 5 + depth, ']', depth);
        text[5 + 2 * depth] = '}';
        int found = scan(span_of(text, 6 + 2 * depth), seen);
        assert_int_equal(found, depth < JSON_DEPTH_MAX ? 1 : JSON_TOO_DEEP);
    }
}

static void strings_are_decoded(void **state)
{
    static const struct {
        struct span string, bytes;
    } rows[] = {
        {SPAN_INIT(""), SPAN_INIT("")},
        {SPAN_INIT("plain"), SPAN_INIT("plain")},
        {SPAN_INIT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), SPAN_INIT("\"\\/\b\f\n\r\t")},
        {SPAN_INIT("a\\u0000b"), SPAN_INIT("a\0b")},
        {SPAN_INIT("\\u0041\\u00e9\\u20AC"), SPAN_INIT("A\xc3\xa9\xe2\x82\xac")},
        {SPAN_INIT("x\\uD83D\\uDE00y"), SPAN_INIT("x\xf0\x9f\x98\x80y")},
        {SPAN_INIT("\\udbff\\udfff"), SPAN_INIT("\xf4\x8f\xbf\xbf")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char area[TEXT_MAX];
        size_t len = json_string_decode(area, rows[i].string);
        assert_span(span_of(area, len), rows[i].bytes);
        assert_true(json_string_is(rows[i].string, rows[i].bytes));
        assert_false(json_string_is(rows[i].string, SPAN("something else")));
        assert_false(json_string_is(SPAN("\\u0041"), rows[i].bytes));
        assert_int_equal(json_string_escaped(rows[i].string),
                         memchr(rows[i].string.ptr, '\\', rows[i].string.len) != NULL);
        if (rows[i].bytes.len > 0)
            assert_false(
                json_string_is(rows[i].string, span_of(rows[i].bytes.ptr, rows[i].bytes.len - 1)));
    }
}

static void whole_numbers_are_read(void **state)
{
    uint64_t value = 7;
    (void)state;
    assert_true(json_number_read(SPAN("0"), &value) && value == 0);
    assert_true(json_number_read(SPAN("18446744073709551615"), &value) && value == UINT64_MAX);
    assert_false(json_number_read(SPAN("18446744073709551616"), &value));
    assert_false(json_number_read(SPAN("-1"), &value));
    assert_false(json_number_read(SPAN("1.0"), &value));
    assert_false(json_number_read(SPAN("1e3"), &value));
    assert_int_equal(value, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_given_in_order), cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(depth_is_bounded),           cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(whole_numbers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
