#include "abuse/table.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum {
    CONNECTIONS_MOST = 5000, /* of RLIMIT_NOFILE's 20,000, with the others' and a peer's own */
    BYTES_MOST = 256 << 20,
};

static void test_each_attack_is_named_once_and_bounded(void **state)
{
    (void)state;
    const struct attack *attack;
    unsigned count = 0;
    for (; (attack = attack_at(count)); count++) {
        const uint64_t each = attack->text ? strlen(attack->text) + attack->bulk : 0;
        for (unsigned i = 0; i < count; i++)
            assert_string_not_equal(attack->name, attack_at(i)->name);
        assert_true(attack->about && attack->about[strlen(attack->about) - 1] != '.');
        assert_in_range(attack->connections, 1, CONNECTIONS_MOST);
        assert_true(attack->bytes > 0 || attack->times > 0 || !attack->text);
        assert_in_range(attack->bytes, 0, BYTES_MOST);
        assert_true(attack->connections * each * attack->times <= BYTES_MOST);
        assert_true(attack->holds > 0 && attack->fill <= ATTACK_FILL_MAX);
    }
    assert_true(count >= 25);
    assert_null(attack_at(count));
}

static void test_names(void **state)
{
    (void)state;
    const char *unknown;
    const struct attack *first = attack_at(0);
    assert_true(attack_named(first, NULL) && attack_named(first, "half-heads,polls-unread"));
    assert_false(attack_named(first, "half-heads") || attack_named(first, "polls-unreads,"));
    assert_int_equal(attack_unknown(NULL, &unknown), 0);
    assert_int_equal(attack_unknown("half-heads,polls-unread", &unknown), 0);
    assert_int_equal(attack_unknown("half-heads,polls,tls-alert", &unknown), 5);
    assert_memory_equal(unknown, "polls,", 6);
    assert_int_not_equal(attack_unknown("half-heads,,tls-alert", &unknown), 0);
}

static void test_the_bound_grows_with_what_was_sent(void **state)
{
    (void)state;
    const struct attack attack = {.holds = 1000, .keeps = 7};
    assert_int_equal(attack_bound_bytes(&attack, 3, 50), 200 + 3000 + 7 + ATTACK_SLACK_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_attack_is_named_once_and_bounded),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_the_bound_grows_with_what_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
