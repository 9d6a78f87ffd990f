#include "broker/nodes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    const struct nodes_said question = {.from = 0xaa, .id = 1, .kind = NODES_PRESENCE};
    const struct nodes_said answer = {.is_answer = true, .from = 1, .id = 2, .err = -ENOENT};
    char text[NODES_HEAD_BYTES + 4];
    struct nodes_said read;
    memcpy(text + NODES_HEAD_BYTES, "news", 4);
    nodes_head_write(text, &question);
    assert_int_equal(nodes_said_read(&read, span_of(text, sizeof text)), 0);
    assert_true(!read.is_answer && read.from == 0xaa && read.id == 1);
    assert_true(read.kind == NODES_PRESENCE && span_equal(read.text, SPAN("news")));
    nodes_head_write(text, &answer);
    assert_int_equal(nodes_said_read(&read, span_of(text, NODES_HEAD_BYTES)), 0);
    assert_true(read.is_answer && read.err == -ENOENT && read.text.len == 0);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "Q",
        "Q00000000000000aa0000000000000001",
        "Q00000000000000aa0000000000000001?",
        "A00000000000000aa0000000000000001?",
        "X00000000000000aa0000000000000001p",
        "Q00000000000000AA0000000000000001p",
        "Q00000000000000000000000000000001p",
        "Q00000000000000aa0000000000000000p",
    };
    struct nodes_said read = {.id = 77};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(nodes_said_read(&read, span_from(texts[i])), -EINVAL);
    assert_int_equal(read.id, 77);
}

static void test_answers_are_bounded(void **state)
{
    (void)state;
    struct nodes_ask *ask = nodes_ask_create(NODES_INFO, 0, (struct span){0});
    assert_int_equal(nodes_answer_add(ask, 0, SPAN("one")), 0);
    assert_int_equal(nodes_answer_add(ask, -EAGAIN, (struct span){0}), 0);
    assert_int_equal(ask->call.err, -EAGAIN);
    assert_true(span_equal(span_of(ask->answers->next->text, 3), SPAN("one")));
    ask->bytes = NODES_ANSWERS_MAX;
    assert_int_equal(nodes_answer_add(ask, 0, SPAN("x")), -E2BIG);
    nodes_ask_free(ask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_answers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
