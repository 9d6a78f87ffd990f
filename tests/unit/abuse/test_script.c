#include "abuse/script.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct attack_target target = {
    .get = "/get", .post = "/post", .subscribe = "/ws?x=1", .fields = "Cookie: a\r\n"};

int bench_fail(int err, const char *format, ...)
{
    (void)format;
    return err;
}

static void test_every_attack_can_be_written(void **state)
{
    (void)state;
    const struct attack *attack;
    for (unsigned i = 0; (attack = attack_at(i)); i++) {
        struct script script;
        assert_int_equal(script_init(&script, attack, &target), 0);
        assert_int_equal(script.opening_len > 0, attack->opening != NULL);
        assert_int_equal(script.len > 0, attack->text != NULL);
        assert_true(!attack->text || script.len >= attack->bulk);
        script_done(&script);
    }
}

static void test_places_bytes_and_bulk(void **state)
{
    (void)state;
    const struct attack attack = {
        .opening = "@upgrade@\\x02\\x80", .text = "@get@\\x00@post@", .bulk = 3, .times = 1};
    struct script script;
    assert_int_equal(script_init(&script, &attack, &target), 0);
    assert_memory_equal(script.opening, "GET /ws?x=1 HTTP/1.1\r\n", 22);
    assert_memory_equal(script.opening + script.opening_len - 15, "Cookie: a\r\n\r\n\x02\x80", 15);
    assert_int_equal(script.len, 4 + 1 + 5 + 3);
    assert_memory_equal(script.text, "/get\0/postaaa", 13);
    script_done(&script);
}

static void test_what_goes_on_is_said_several_times_at_once(void **state)
{
    (void)state;
    const struct attack attack = {.text = "abcde", .bulk = 1};
    struct script script;
    assert_int_equal(script_init(&script, &attack, &target), 0);
    assert_int_equal(script.len, SAID_AT_ONCE / 6 * 6);
    assert_memory_equal(script.text + script.len - 12, "abcdeaabcdea", 12);
    script_done(&script);
}

static void test_numbers(void **state)
{
    (void)state;
    const struct attack attack = {.text = "a=" ATTACK_NUMBER "&b=" ATTACK_NUMBER "."};
    struct script script;
    size_t len;
    assert_int_equal(script_init(&script, &attack, &target), 0);
    assert_true(script.numbered);
    char *copy = script_copy(&script, &len);
    script_number(&script, copy, 12);
    assert_string_equal(copy, "a=0000012&b=0000012.");
    script_number(&script, copy, 34567890);
    assert_string_equal(copy, "a=4567890&b=4567890.");
    assert_int_equal(len, strlen(copy));
    free(copy);
    script_done(&script);
}

static void test_an_unknown_place_is_refused(void **state)
{
    (void)state;
    const struct attack attack = {.text = "@nonsense@"};
    struct script script;
    assert_true(script_init(&script, &attack, &target) < 0);
    script_done(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_attack_can_be_written),
        cmocka_unit_test(test_places_bytes_and_bulk),
        cmocka_unit_test(test_what_goes_on_is_said_several_times_at_once),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_an_unknown_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
