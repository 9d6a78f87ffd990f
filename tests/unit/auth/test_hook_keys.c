#include "auth/hook_keys.h"
#include "wire_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The example of the Standard Webhooks specification. */
#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define BODY      "{\"test\": 2432232314}"

static struct hook_head example(void)
{
    const struct http_fields fields = {
        .count = 3,
        .list = {{SPAN("webhook-id"), SPAN("msg_p5jXN8AQM9LWM0D4loKWxJek")},
                 {SPAN("webhook-timestamp"), SPAN("1614265330")},
                 {SPAN("webhook-signature"), SPAN(SIGNATURE)}},
    };
    struct hook_head head;
    assert_int_equal(hook_head_read(&head, HOOK_STANDARD, &fields), 0);
    return head;
}

static int keys(struct hook_keys *ret, const char *secrets, char why[256])
{
    struct hook hook = {.scheme = HOOK_STANDARD, .channel = "c"};
    snprintf(hook.secrets, sizeof hook.secrets, "%s", secrets);
    return hook_keys_read(ret, &hook, why, 256);
}

static bool is_good(const struct hook_keys *keys, const struct hook_head *head, const char *body,
                    size_t step)
{
    struct hook_check check;
    hook_check_begin(&check, keys, HOOK_STANDARD, head);
    for (struct span rest = span_from(body); rest.len > 0;) {
        size_t len = rest.len < step ? rest.len : step;
        hook_check_add(&check, span_of(rest.ptr, len));
        rest = span_skip(rest, len);
    }
    return hook_check_end(&check, head);
}

static void test_example(void **state)
{
    (void)state;
    char why[256];
    struct hook_keys one;
    struct hook_head head = example();
    setenv("HOOK_SECRET", SECRET, 1);
    assert_int_equal(keys(&one, "env:HOOK_SECRET", why), 0);
    for (size_t step = 1; step < sizeof BODY; step++)
        assert_true(is_good(&one, &head, BODY, step));
    assert_false(is_good(&one, &head, BODY " ", 100));
    head.timestamp_s++;
    assert_false(is_good(&one, &head, BODY, 100));
    head = example();
    head.id[0]++;
    assert_false(is_good(&one, &head, BODY, 100));
    head = example();
    head.macs[0][31] ^= 1;
    assert_false(is_good(&one, &head, BODY, 100));
}

/* Any of the secrets makes any of the signatures. */
static void test_several(void **state)
{
    (void)state;
    char why[256];
    struct hook_keys several;
    struct hook_head head = example();
    setenv("HOOK_OTHER", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1);
    assert_int_equal(keys(&several, "env:HOOK_OTHER  env:HOOK_SECRET", why), 0);
    assert_true(is_good(&several, &head, BODY, 100));
    memcpy(head.macs[HOOK_MACS_MAX - 1], head.macs[0], HOOK_MAC_BYTES);
    memset(head.macs[0], 0, (HOOK_MACS_MAX - 1) * (size_t)HOOK_MAC_BYTES);
    head.mac_count = HOOK_MACS_MAX;
    assert_true(is_good(&several, &head, BODY, 100));
    head.mac_count--;
    assert_false(is_good(&several, &head, BODY, 100));
    assert_int_equal(keys(&several, "env:HOOK_OTHER", why), 0);
    assert_false(is_good(&several, &head, BODY, 100));
}

static void test_refused(void **state)
{
    (void)state;
    char why[256];
    struct hook_keys found;
    setenv("HOOK_SHORT", "whsec_AAAA", 1);
    setenv("HOOK_TEXT", "no base64 at all, and long", 1);
    assert_int_equal(keys(&found, "env:HOOK_SHORT", why), -EINVAL);
    assert_int_equal(keys(&found, "env:HOOK_TEXT", why), -EINVAL);
    assert_int_equal(keys(&found, "env:HOOK_NOWHERE", why), -EINVAL);
    assert_int_equal(keys(&found,
                          "env:HOOK_SECRET env:HOOK_SECRET env:HOOK_SECRET env:HOOK_SECRET "
                          "env:HOOK_SECRET",
                          why),
                     -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
