/* Who may want an event: never fewer than those who do, by asking as few as there are. */
#include "courier/interest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "courier/reach.h"
#include "courier/webhooks_internal.h"

enum {
    ENDPOINTS = 300,
    ROUNDS = 3000,
    MANY = 100000,
    TEXT_ROOM = 16,
};

static struct reach reach;
static uint64_t seed;

static unsigned chance(unsigned of)
{
    return (unsigned)(patience_random(&seed) % of);
}

static int begin(void **state)
{
    char why[128];
    (void)state;
    return reach_read(&reach, "127.0.0.1", "1-65535", true, why, sizeof why);
}

static struct endpoint *endpoint(const char *id, const char *channels, const char *events)
{
    char text[512], why[256] = "";
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"url\":\"http://127.0.0.1:8080/\"%s%s%s%s}", id,
             channels ? ",\"channels\":" : "", channels ? channels : "",
             events ? ",\"events\":" : "", events ? events : "");
    struct endpoint *made = endpoint_read(span_from(text), &reach, why, sizeof why);
    if (!made)
        fail_msg("%s: %s", text, why);
    return made;
}

struct found {
    unsigned asked, wanted;
    struct span type, channel;
};

static bool told(void *context, struct endpoint *endpoint)
{
    struct found *found = context;
    found->asked++;
    found->wanted += endpoint_wants(endpoint, found->type, found->channel);
    return true;
}

static struct found ask(struct interest *interest, const char *type, const char *channel)
{
    struct found found = {.type = span_from(type), .channel = span_from(channel)};
    assert_true(interest_ask(interest, found.type, found.channel, told, &found));
    return found;
}

/* Short ones of few letters, so that many are the same, or begin with each other. */
static const char *random_text(char *ret, bool is_pattern)
{
    static const char *const ends[] = {"", "*", "?", "*a", "[ab]", "*"};
    unsigned len = chance(4) + !is_pattern;
    for (unsigned i = 0; i < len; i++)
        ret[i] = (char)('a' + (char)chance(2));
    snprintf(ret + len, TEXT_ROOM - len, "%s", is_pattern ? ends[chance(6)] : "");
    if (ret[0] == '\0')
        snprintf(ret, TEXT_ROOM, "*");
    return ret;
}

static const char *random_list(char *ret, size_t size)
{
    char pattern[TEXT_ROOM];
    unsigned count = chance(4);
    if (count == 0)
        return NULL;
    size_t at = (size_t)snprintf(ret, size, "[");
    for (unsigned i = 0; i < count; i++)
        at += (size_t)snprintf(ret + at, size - at, "%s\"%s\"", i > 0 ? "," : "",
                               random_text(pattern, true));
    snprintf(ret + at, size - at, "]");
    return ret;
}

static void compare(struct interest *interest, struct endpoint *const *all)
{
    char type[TEXT_ROOM], channel[TEXT_ROOM];
    struct found found, wanted = {0};
    found =
        ask(interest, random_text(type, false), chance(8) > 0 ? random_text(channel, false) : "");
    for (unsigned i = 0; i < ENDPOINTS; i++)
        wanted.wanted += all[i] && endpoint_wants(all[i], found.type, found.channel);
    assert_int_equal(found.wanted, wanted.wanted);
    assert_true(found.asked <= ENDPOINTS);
}

static void test_nobody_is_missed_or_told_twice(void **state)
{
    struct endpoint *all[ENDPOINTS] = {0};
    struct interest interest = {0};
    char channels[128], events[128];
    (void)state;
    seed = 19;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned i = chance(ENDPOINTS);
        if (all[i]) {
            interest_remove(&interest, all[i]);
            endpoint_free(all[i]);
            all[i] = NULL;
        } else {
            all[i] = endpoint("x", random_list(channels, sizeof channels),
                              random_list(events, sizeof events));
            assert_int_equal(interest_add(&interest, all[i]), 0);
        }
        compare(&interest, all);
    }
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        if (all[i])
            interest_remove(&interest, all[i]);
        endpoint_free(all[i]);
    }
    assert_null(interest.by_channel.nodes);
    assert_null(interest.by_type.nodes);
    assert_int_equal(interest.others.count, 0);
    interest_done(&interest);
}

/* A hundred thousand of whom each wants something else: an event asks those who want it. */
static void test_many_are_not_asked_one_by_one(void **state)
{
    static struct endpoint *all[MANY];
    struct interest interest = {0};
    char list[128];
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        unsigned form = i % 3;
        if (form == 0)
            snprintf(list, sizeof list, "[\"user:%u\"]", i);
        else if (form == 1)
            snprintf(list, sizeof list, "[\"tenant-%u:*\", \"tenant-%u:x*\"]", i, i);
        else
            snprintf(list, sizeof list, "[\"order.%u.*\"]", i);
        all[i] = endpoint("x", form < 2 ? list : NULL, form < 2 ? NULL : list);
        assert_int_equal(interest_add(&interest, all[i]), 0);
    }
    for (unsigned i = 0; i < MANY; i += 999) {
        char type[64], channel[64];
        snprintf(type, sizeof type, "order.%u.paid", i);
        snprintf(channel, sizeof channel, i % 3 == 0 ? "user:%u" : "tenant-%u:x", i);
        struct found found = ask(&interest, i % 3 == 2 ? type : "other", i % 3 == 2 ? "" : channel);
        assert_int_equal(found.wanted, 1);
        assert_int_equal(found.asked, 1);
    }
    assert_int_equal(ask(&interest, "other", "nobody").asked, 0);
    for (unsigned i = 0; i < MANY; i++)
        endpoint_free(all[i]);
    interest_done(&interest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_missed_or_told_twice),
        cmocka_unit_test(test_many_are_not_asked_one_by_one),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
