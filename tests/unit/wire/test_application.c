#include <errno.h>

#include "wire/application.h"
#include "wire_test.h"

static struct verdict good(const char *answer)
{
    struct verdict verdict;
    assert_int_equal(verdict_read(&verdict, span_from(answer)), 0);
    return verdict;
}

static void test_result(void **state)
{
    (void)state;
    struct verdict verdict = good(
        "{\"result\":{\"user\":\"4\\u0032\",\"info\":{\"n\":\"x\"},\"data\":\"text\",\"expire_at\":"
        "1700000000,\"channels\":[\"a\"],\"subs\":{\"b\":{}},\"meta\":null,\"what\":[1],"
        "\"b64data\":\"eA==\",\"skip_history\":true,\"version\":7}}");
    assert_int_equal(verdict.kind, VERDICT_RESULT);
    assert_true(verdict.has_result);
    assert_span(verdict.user, SPAN("4\\u0032"));
    assert_span(verdict.info, SPAN("{\"n\":\"x\"}"));
    assert_span(verdict.data, SPAN("\"text\""));
    assert_span(verdict.channels, SPAN("[\"a\"]"));
    assert_span(verdict.subs, SPAN("{\"b\":{}}"));
    assert_span(verdict.b64data, SPAN("eA=="));
    assert_int_equal(verdict.meta.len, 0);
    assert_int_equal(verdict.expire_at, 1700000000);
    assert_int_equal(verdict.version, 7);
    assert_true(verdict.skip_history);
    assert_false(verdict.expired);
    assert_true(good("{\"result\":{}}").has_result);
    assert_false(good("{}").has_result);
    assert_false(good("{\"result\":null,\"error\":null,\"disconnect\":null}").has_result);
}

static void test_others(void **state)
{
    (void)state;
    struct verdict verdict =
        good("{\"error\":{\"code\":1000,\"message\":\"no \\\"x\\\"\",\"temporary\":true}}");
    assert_int_equal(verdict.kind, VERDICT_ERROR);
    assert_int_equal(verdict.code, 1000);
    assert_span(verdict.words, SPAN("no \\\"x\\\""));
    assert_true(verdict.temporary);
    verdict = good("{\"disconnect\":{\"code\":4500,\"reason\":\"go\"},\"error\":{\"code\":1},"
                   "\"result\":{\"user\":\"x\"}}");
    assert_int_equal(verdict.kind, VERDICT_DISCONNECT);
    assert_int_equal(verdict.code, 4500);
    assert_span(verdict.words, SPAN("go"));
    assert_int_equal(verdict.user.len, 0);
    assert_int_equal(good("{\"result\":{},\"error\":{\"code\":7}}").kind, VERDICT_ERROR);
    assert_int_equal(good("{\"error\":{\"code\":7}}").words.len, 0);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{}x",
        "<html>",
        "{\"result\":[]}",
        "{\"result\":\"ok\"}",
        "{\"result\":{\"user\":7}}",
        "{\"result\":{\"channels\":{}}}",
        "{\"result\":{\"expire_at\":-1}}",
        "{\"result\":{\"expire_at\":1.5}}",
        "{\"result\":{\"expire_at\":\"1\"}}",
        "{\"result\":{\"expired\":1}}",
        "{\"error\":{\"message\":\"without a code\"}}",
        "{\"error\":{\"code\":0}}",
        "{\"error\":{\"code\":4294967296}}",
        "{\"disconnect\":{}}",
        "{\"disconnect\":{\"code\":2999}}",
        "{\"disconnect\":{\"code\":5000}}",
        "{\"disconnect\":{\"code\":4000,\"reason\":7}}",
        "{\"result\":{\"user\":\"\xff\"}}",
    };
    struct verdict verdict;
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        assert_int_equal(verdict_read(&verdict, span_from(answers[i])), -EINVAL);
}

static struct span written(char *area, size_t size, const struct application_question *question)
{
    size_t room = application_question_size(question);
    assert_true(room <= size);
    struct out out = out_begin(area, room);
    application_question_write(&out, question);
    return span_of(area, (size_t)out_end(&out));
}

static void test_questions(void **state)
{
    (void)state;
    char area[1024];
    struct application_question question = {.client = SPAN("id"), .transport = SPAN("websocket")};
    assert_span(written(area, sizeof area, &question),
                SPAN("{\"client\":\"id\",\"transport\":\"websocket\",\"protocol\":\"json\","
                     "\"encoding\":\"json\"}"));
    question.has_user = true;
    question.user = SPAN("a\"b\n");
    question.channel = SPAN("x\\u0041");
    question.data = SPAN("{\"k\":[1]}");
    question.meta = SPAN("{}");
    question.name = SPAN("\"js\"");
    question.version = SPAN("\"\"");
    question.method = SPAN("\"m\"");
    assert_span(written(area, sizeof area, &question),
                SPAN("{\"client\":\"id\",\"transport\":\"websocket\",\"protocol\":\"json\","
                     "\"encoding\":\"json\",\"user\":\"a\\\"b\\n\",\"channel\":\"x\\u0041\","
                     "\"method\":\"m\",\"name\":\"js\",\"version\":\"\",\"meta\":{},"
                     "\"data\":{\"k\":[1]}}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
