#include "wire/glob.h"
#include "wire_test.h"

struct row {
    const char *pattern, *text;
    bool matches;
};

static void test_matches(void **state)
{
    (void)state;
    static const struct row table[] = {
        {"", "", true},
        {"", "a", false},
        {"news", "news", true},
        {"news", "new", false},
        {"new", "news", false},
        {"*", "", true},
        {"*", "any:thing", true},
        {"news:*", "news:", true},
        {"news:*", "news:a:b", true},
        {"news:*", "news", false},
        {"*:b", "a:b:c", false},
        {"*:c", "a:b:c", true},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-c-b", false},
        {"**a", "bba", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"[abc]", "b", true},
        {"[abc]", "d", false},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "ax:", false},
        {"[!a-c]", "d", true},
        {"[!a-c]", "b", false},
        {"[]a]", "]", true},
        {"[a-]", "-", true},
        {"[!]", "!", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"*[0-9]", "room:7", true},
        {"*[0-9]", "room:x", false},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct span pattern = span_from(table[i].pattern), text = span_from(table[i].text);
        if (!glob_valid(pattern)) {
            assert_string_equal(table[i].pattern, "[!]");
            continue;
        }
        if (glob_matches(pattern, text) != table[i].matches)
            print_error("%s %s\n", table[i].pattern, table[i].text);
        assert_true(glob_matches(pattern, text) == table[i].matches);
    }
}

static void test_what_is_none(void **state)
{
    (void)state;
    static const char *const table[] = {"[", "[]", "a[b", "[!", "\\", "a\\", "{a,b}", "}"};
    for (size_t i = 0; i < COUNT_OF(table); i++)
        assert_false(glob_valid(span_from(table[i])));
}

/* What a pattern of many stars costs is bounded by the product of both lengths. */
static void test_many_stars(void **state)
{
    (void)state;
    char pattern[201], text[129];
    for (size_t i = 0; i < sizeof pattern - 1; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof pattern - 1] = 'b';
    memset(text, 'a', sizeof text);
    assert_false(glob_matches(span_of(pattern, sizeof pattern), span_of(text, sizeof text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_many_stars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
