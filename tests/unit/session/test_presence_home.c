/* Who is in a channel, at its home: comes, stays, decays, goes; what it takes, and at most. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "session/presence_home.h"

#define SECOND INT64_C(1000000000)

enum {
    MANY = 100000,
    EACH_MAX = 128,     /* bytes of a member with a user of its own */
    AT_ONCE_MAX = 16384 /* that one member may add */
};

static unsigned joins, leaves;

static void told(void *context, struct span channel, bool join, struct span who)
{
    (void)context, (void)channel, (void)who;
    (*(join ? &joins : &leaves))++;
}

static struct presence_home *make(uint64_t bytes_most)
{
    joins = leaves = 0;
    struct presence_home *home = presence_home_create(told, NULL, bytes_most, 5 * SECOND);
    assert_non_null(home);
    return home;
}

static struct span id_of(unsigned number)
{
    static char text[64];
    snprintf(text, sizeof text, "%08x-0001-0002-abcd-0123456789ab", number);
    return span_of(text, SESSION_ID_LEN);
}

static int add(struct presence_home *home, const char *channel, unsigned number, const char *user,
               int64_t now_ns)
{
    const struct presence_member member = {
        .client = id_of(number), .user = span_from(user), .until_ns = now_ns + 10 * SECOND};
    return presence_home_add(home, span_from(channel), &member, now_ns);
}

static void counts_are(struct presence_home *home, const char *channel, int64_t now_ns,
                       unsigned clients, unsigned users)
{
    unsigned is_clients, is_users;
    presence_home_count(home, span_from(channel), now_ns, &is_clients, &is_users);
    assert_int_equal(is_clients, clients);
    assert_int_equal(is_users, users);
}

static void comes_stays_and_goes(void **state)
{
    (void)state;
    struct presence_home *home = make(UINT64_MAX);
    int64_t now = 6 * SECOND;
    assert_int_equal(add(home, "news", 1, "ann", now), 0);
    assert_int_equal(add(home, "news", 2, "ann", now), 0);
    assert_int_equal(add(home, "news", 3, "", now), 0);
    assert_int_equal(add(home, "news", 1, "ann", now + SECOND), 0);
    counts_are(home, "news", now, 3, 2);
    assert_int_equal(joins, 3);
    presence_home_remove(home, span_from("news"), id_of(2));
    presence_home_remove(home, span_from("news"), id_of(2));
    presence_home_remove(home, span_from("other"), id_of(1));
    presence_home_remove(home, span_from("news"), span_from("no id"));
    counts_are(home, "news", now, 2, 2);
    assert_int_equal(leaves, 1);
    presence_home_free(home);
}

static void who_was_not_heard_of_decays(void **state)
{
    (void)state;
    struct presence_home *home = make(UINT64_MAX);
    assert_int_equal(add(home, "news", 1, "ann", 6 * SECOND), 0);
    assert_int_equal(add(home, "news", 2, "bob", 6 * SECOND), 0);
    assert_int_equal(add(home, "news", 1, "ann", 12 * SECOND), 0);
    counts_are(home, "news", 15 * SECOND, 2, 2);
    counts_are(home, "news", 17 * SECOND, 1, 1);
    counts_are(home, "news", 23 * SECOND, 0, 0);
    assert_int_equal(presence_home_bytes(home), 0);
    assert_int_equal(leaves, 2);
    presence_home_free(home);
}

static void says_who_is_there(void **state)
{
    (void)state;
    struct presence_home *home = make(UINT64_MAX);
    char text[512];
    struct presence_member member = {.client = id_of(7),
                                     .user = SPAN("ann \"a\""),
                                     .info = SPAN("{\"x\":1}"),
                                     .until_ns = 10 * SECOND};
    assert_int_equal(presence_home_add(home, SPAN("news"), &member, 6 * SECOND), 0);
    assert_true(presence_home_room(home, SPAN("news")) < sizeof text);
    struct out out = out_begin(text, sizeof text);
    presence_home_write(home, SPAN("news"), 6 * SECOND, &out);
    text[out_end(&out)] = '\0';
    assert_string_equal(text, "\"00000007-0001-0002-abcd-0123456789ab\":{\"client\":"
                              "\"00000007-0001-0002-abcd-0123456789ab\",\"user\":\"ann \\\"a\\\"\","
                              "\"conn_info\":{\"x\":1}}");
    member.info = (struct span){0};
    assert_int_equal(presence_home_add(home, SPAN("news"), &member, 6 * SECOND), 0);
    out = out_begin(text, sizeof text);
    presence_home_write(home, SPAN("news"), 6 * SECOND, &out);
    text[out_end(&out)] = '\0';
    assert_null(strstr(text, "conn_info"));
    assert_int_equal(joins, 1);
    presence_home_free(home);
}

static void many_grow_in_small_steps(void **state)
{
    (void)state;
    struct presence_home *home = make(UINT64_MAX);
    uint64_t before = 0;
    for (unsigned i = 0; i < MANY; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%u", i);
        assert_int_equal(add(home, "all", i, user, 6 * SECOND), 0);
        assert_in_range(presence_home_bytes(home) - before, 0, AT_ONCE_MAX);
        before = presence_home_bytes(home);
    }
    assert_in_range(before / MANY, 1, EACH_MAX);
    counts_are(home, "all", 6 * SECOND, MANY, MANY);
    for (unsigned i = 0; i < MANY; i++)
        presence_home_remove(home, span_from("all"), id_of(i));
    assert_int_equal(presence_home_bytes(home), 0);
    presence_home_free(home);
}

static void takes_no_more_than_it_may(void **state)
{
    (void)state;
    struct presence_home *home = make(4096);
    unsigned there = 0;
    while (add(home, "all", there, "ann", 6 * SECOND) == 0)
        there++;
    assert_in_range(there, 20, 100);
    assert_in_range(presence_home_bytes(home), 3000, 4096);
    assert_int_equal(add(home, "other", 1, "bob", 6 * SECOND), -ENOBUFS);
    counts_are(home, "other", 6 * SECOND, 0, 0);
    for (unsigned i = 0; i < there; i++) /* those who are there stay */
        assert_int_equal(add(home, "all", i, "ann", 7 * SECOND), 0);
    for (unsigned i = 0; i < 5; i++)
        presence_home_remove(home, span_from("all"), id_of(i));
    assert_int_equal(add(home, "all", there, "ann", 7 * SECOND), 0);
    counts_are(home, "all", 7 * SECOND, there - 4, 1);
    presence_home_free(home);
}

static void tells_so_much_in_a_turn(void **state)
{
    (void)state;
    struct presence_home *home = make(UINT64_MAX);
    assert_true(presence_home_has_time(NULL, 1, 1));
    assert_true(presence_home_has_time(home, 3 * PRESENCE_TURN_BYTES, 6 * SECOND));
    assert_false(presence_home_has_time(home, 1, 6 * SECOND));
    assert_true(presence_home_has_time(home, PRESENCE_TURN_BYTES / 2, 7 * SECOND));
    assert_true(presence_home_has_time(home, PRESENCE_TURN_BYTES / 2, 7 * SECOND));
    assert_false(presence_home_has_time(home, PRESENCE_TURN_BYTES / 2, 7 * SECOND));
    presence_home_free(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_stays_and_goes),      cmocka_unit_test(who_was_not_heard_of_decays),
        cmocka_unit_test(says_who_is_there),         cmocka_unit_test(many_grow_in_small_steps),
        cmocka_unit_test(takes_no_more_than_it_may), cmocka_unit_test(tells_so_much_in_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
