/* Namespaces: which one a channel is in, what is inherited, and whom a name lets in. */
#include "conf/namespaces.h"

#include <stdio.h>

#include "wire_test.h"

static struct namespaces all;

static void set(const char *name, const char *key, const char *value)
{
    char why[256] = "";
    if (namespaces_set(&all, span_from(name), key, value, why, sizeof why) < 0)
        fail_msg("%s", why);
}

static const struct namespace *of(const char *channel)
{
    return namespace_of(&all, span_from(channel));
}

static void the_longest_name_counts(void **state)
{
    (void)state;
    namespaces_default(&all);
    assert_ptr_equal(of("news:a"), of("a"));
    set("news", "latest_state", "on");
    set("news:local", "presence", "on");
    set("ne", "join_leave", "on");
    assert_span(span_of(of("news:a")->name, of("news:a")->name_len), SPAN("news"));
    assert_int_equal(of("news:local")->name_len, 4);
    assert_int_equal(of("news:local:a")->name_len, 10);
    assert_int_equal(of("news:locality")->name_len, 4);
    assert_int_equal(of("ne:ws")->name_len, 2);
    assert_int_equal(of("new")->name_len, 0);
    assert_int_equal(of("news")->name_len, 0);
    assert_int_equal(of(":news:a")->name_len, 0);
    assert_int_equal(of("n")->name_len, 0);
}

/* Whichever comes first in the file. */
static void what_is_not_set_is_inherited(void **state)
{
    (void)state;
    namespaces_default(&all);
    set("early", "history_messages", "5");
    set("", "allow_publish", "server");
    set("", "history_messages", "7");
    set("late", "allow_subscribe", "signed_on");
    assert_int_equal(of("a")->history_messages, 7);
    assert_int_equal(of("early:a")->history_messages, 5);
    assert_int_equal(of("early:a")->allow_publish, WHO_SERVER);
    assert_int_equal(of("late:a")->history_messages, 7);
    assert_int_equal(of("late:a")->allow_subscribe, WHO_SIGNED_ON);
    assert_int_equal(of("a")->allow_subscribe, WHO_ANONYMOUS);
    assert_int_equal(of("a")->allow_history, WHO_SUBSCRIBER);
}

static void a_name_may_say_whom_it_is_for(void **state)
{
    (void)state;
    namespaces_default(&all);
    set("d", "user_limited", "on");
    static const struct {
        const char *channel, *user;
        bool lets;
    } rows[] = {
        {"d:x#42", "42", true},   {"d:x#42", "4", false},      {"d:x#42", "", false},
        {"d:x#", "42", false},    {"d:x#", "", false},         {"d:x#1,42", "42", true},
        {"d:x#1,42", "1", true},  {"d:x#1,42", "1,42", false}, {"d:x#,42", "", false},
        {"d:x#1#42", "1", false}, {"d:x#1#42", "42", true},    {"d:x", "", true},
        {"x#42", "1", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct span channel = span_from(rows[i].channel);
        if (namespace_lets_user(of(rows[i].channel), channel, span_from(rows[i].user)) !=
            rows[i].lets)
            fail_msg("%s: %s", rows[i].channel, rows[i].user);
    }
    assert_true(namespace_is_limited(of("d:x#1"), SPAN("d:x#1")));
    assert_false(namespace_is_limited(of("d:x"), SPAN("d:x")));
    assert_false(namespace_is_limited(of("x#1"), SPAN("x#1")));
}

static void bad_ones_are_refused(void **state)
{
    static const struct {
        const char *name, *key, *value, *why;
    } rows[] = {
        {"a", "nothing", "1", "nothing named nothing"},
        {"a", "history_messages", "-2", "needs a whole number from -1"},
        {"a", "presence", "maybe", "needs on or off"},
        {"a", "allow_publish", "root", "needs anonymous, signed_on, subscriber or server"},
        {"a:", "presence", "on", "no ':' behind it"},
        {"a b", "presence", "on", "1 to 64 characters"},
        {"a#b", "presence", "on", "1 to 64 characters"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "presence", "on",
         "1 to 64 characters"},
    };
    (void)state;
    namespaces_default(&all);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char why[256] = "";
        assert_true(namespaces_set(&all, span_from(rows[i].name), rows[i].key, rows[i].value, why,
                                   sizeof why) < 0);
        if (!strstr(why, rows[i].why))
            fail_msg("row %zu: %s", i, why);
    }
    for (unsigned i = 0; i < NAMESPACES_MAX; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", i);
        if (all.count <= NAMESPACES_MAX)
            set(name, "presence", "on");
    }
    char why[256];
    assert_true(namespaces_set(&all, SPAN("more"), "presence", "on", why, sizeof why) < 0);
}

static void sections_are_told_apart(void **state)
{
    struct span name;
    (void)state;
    assert_true(namespaces_section("namespace news:a", &name));
    assert_span(name, SPAN("news:a"));
    assert_true(namespaces_section("namespace", &name));
    assert_int_equal(name.len, 0);
    assert_false(namespaces_section("namespaces", &name));
    assert_false(namespaces_section("http", &name));
    assert_false(namespaces_section("", &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_name_counts),
        cmocka_unit_test(what_is_not_set_is_inherited),
        cmocka_unit_test(a_name_may_say_whom_it_is_for),
        cmocka_unit_test(bad_ones_are_refused),
        cmocka_unit_test(sections_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
