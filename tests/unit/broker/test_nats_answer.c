#include "broker/nats_answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_what_jetstream_says(void **state)
{
    struct nats_answer answer;
    (void)state;
    assert_int_equal(nats_answer_read(&answer, span_from("{\"stream\":\"ringside\", \"seq\":7}")),
                     0);
    assert_true(answer.seq == 7 && answer.code == 0 && !answer.data);
    assert_int_equal(nats_answer_read(&answer, span_from("{\"error\":{\"code\":400,\"err_code\":"
                                                         "10071},\"stream\":\"s\",\"seq\":0}")),
                     0);
    assert_true(answer.code == 400 && answer.err_code == NATS_WRONG_SEQUENCE && answer.seq == 0);
    assert_int_equal(
        nats_answer_read(&answer, span_from("{\"message\":{\"seq\":4,\"data\":\"aGVsbG8=\"}}")), 0);
    assert_true(answer.seq == 4 && answer.len == 5);
    assert_memory_equal(answer.data, "hello", 5);
    free(answer.data);
    assert_int_equal(nats_answer_read(&answer, span_from("{\"message\":{\"seq\":4}}")), 0);
    assert_true(answer.seq == 4 && !answer.data && answer.len == 0);
}

static void test_which_stream_it_is(void **state)
{
    uint64_t one = 0, other = 0, none = 0;
    (void)state;
    assert_int_equal(nats_stream_read(&one, span_from("{\"created\":\"2026-01-01\",\"state\":{}}")),
                     0);
    assert_int_equal(nats_stream_read(&other, span_from("{\"created\":\"2027\",\"state\":{}}")), 0);
    assert_true(one != other && one != 0 && other != 0);
    assert_int_equal(
        nats_stream_read(&none, span_from("{\"error\":{\"code\":404,\"err_code\":10059}}")),
        -ENOENT);
    assert_int_equal(
        nats_stream_read(&none, span_from("{\"error\":{\"code\":503,\"err_code\":10008}}")),
        -EPROTO);
    assert_int_equal(nats_stream_read(&none, span_from("{\"created\":7,\"state\":{}}")), -EPROTO);
    assert_int_equal(nats_stream_read(&none, span_from("")), -EPROTO);
    assert_true(none == 0);
}

static void test_what_is_no_answer(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"seq\":0}",
        "{\"seq\":-1}",
        "{\"seq\":\"7\"}",
        "{\"seq\":7.5}",
        "{\"seq\":99999999999999999999}",
        "{\"error\":7}",
        "{\"error\":{\"code\":0}}",
        "{\"message\":[]}",
        "{\"message\":{\"seq\":4,\"data\":7}}",
        "{\"message\":{\"seq\":4,\"data\":\"####\"}}",
        "{\"message\":{\"seq\":4,\"data\":\"aGVsbG8\"}}",
        "{\"seq\":7}}",
    };
    struct nats_answer answer;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(nats_answer_read(&answer, span_from(texts[i])), -EPROTO);
        assert_null(answer.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_jetstream_says),
        cmocka_unit_test(test_which_stream_it_is),
        cmocka_unit_test(test_what_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
