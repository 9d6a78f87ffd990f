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
    uint32_t streams = 0;
    char *copy = script_copy(&script, &len);
    script_number(&script, copy, 12, &streams);
    assert_string_equal(copy, "a=0000012&b=0000012.");
    script_number(&script, copy, 34567890, &streams);
    assert_string_equal(copy, "a=4567890&b=4567890.");
    assert_int_equal(len, strlen(copy));
    free(copy);
    script_done(&script);
}

static void test_streams_go_on_from_text_to_text(void **state)
{
    (void)state;
    const struct attack attack = {.text = "\\x00@stream@\\x01@same@@stream@", .times = 9};
    struct script script;
    size_t len;
    uint32_t streams = 0;
    assert_int_equal(script_init(&script, &attack, &target), 0);
    assert_true(script.numbered);
    char *copy = script_copy(&script, &len);
    script_number(&script, copy, 1, &streams);
    assert_int_equal(len, 14);
    assert_memory_equal(copy, "\0\0\0\0\3\1\0\0\0\3\0\0\0\5", 14);
    script_number(&script, copy, 2, &streams);
    assert_memory_equal(copy, "\0\0\0\0\7\1\0\0\0\7\0\0\0\11", 14);
    free(copy);
    script_done(&script);
}

/* Frames are written by hand: each has to end where its length says, and be of a whole head. */
static size_t frames_end(const char *bytes, size_t len)
{
    size_t at = 0;
    while (at + 9 <= len)
        at += 9 + ((size_t)(unsigned char)bytes[at] << 16 |
                   (size_t)(unsigned char)bytes[at + 1] << 8 | (unsigned char)bytes[at + 2]);
    return at;
}

static void test_frames_of_http2_are_whole(void **state)
{
    (void)state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (const struct attack *attack = attacks_http2; attack->name; attack++) {
        struct script script;
        const size_t skipped = sizeof preface - 1;
        assert_int_equal(script_init(&script, attack, &target), 0);
        assert_memory_equal(script.opening, preface, skipped);
        assert_int_equal(frames_end(script.opening + skipped, script.opening_len - skipped),
                         script.opening_len - skipped);
        assert_int_equal(frames_end(script.text, script.len), script.len);
        script_done(&script);
    }
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
        cmocka_unit_test(test_streams_go_on_from_text_to_text),
        cmocka_unit_test(test_frames_of_http2_are_whole),
        cmocka_unit_test(test_an_unknown_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
