/* Signatures against the example of Standard Webhooks, and how long between two tries. */
#include "courier/signature.h"
#include "courier/webhooks_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER  "whsec_YW5vdGhlciBzZWNyZXQsIG9mIDMyIGJ5dGVzIHRvbyE="

static void test_signature(void **state)
{
    (void)state;
    struct whsec secrets[2];
    char text[SIGNATURE_MAX];
    const struct span id = SPAN("msg_p5jXN8AQM9LWM0D4loKWxJek");
    const struct span body = SPAN("{\"test\": 2432232314}");
    const struct span both = SPAN("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
                                  "v1,69A7vMSLV1xY3TjOvf7GBi37gkBSbjqMRkYaH1G2Nz0=");
    assert_true(whsec_read(&secrets[0], SPAN(SECRET)));
    assert_true(whsec_read(&secrets[1], SPAN(OTHER)));
    size_t len = signature_write(text, secrets, 2, id, 1614265330, body);
    assert_int_equal(len, both.len);
    assert_memory_equal(text, both.ptr, len);
    assert_int_equal(signature_write(text, secrets, 1, id, 1614265330, body), 47);
}

static void test_secrets(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    };
    struct whsec secret, drawn[2];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(whsec_read(&secret, span_from(bad[i])));
    assert_true(whsec_draw(&drawn[0]) && whsec_draw(&drawn[1]));
    assert_memory_not_equal(drawn[0].bytes, drawn[1].bytes, drawn[0].len);
}

static void test_patience(void **state)
{
    (void)state;
    uint64_t random = 19;
    int64_t longest = 1000;
    for (unsigned failures = 1; failures < 100; failures++) {
        for (int i = 0; i < 100; i++) {
            int64_t wait = patience_ms(failures, 1000, 60000, 0, patience_random(&random));
            assert_in_range(wait, longest / 2, longest);
        }
        longest = longest * 2 < 60000 ? longest * 2 : 60000;
    }
    assert_int_equal(patience_ms(1, 1000, 60000, 7, 0), 7000);
    assert_int_equal(patience_ms(1, 1000, 60000, INT64_MAX, 0), INT64_C(24) * 3600 * 1000);
    assert_in_range(patience_ms(9, 5000, 100, 0, 1), 50, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
