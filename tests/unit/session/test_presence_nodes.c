#include "session/presence_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "broker/nodes.h"

static struct nodes_ask *answered(const char *const *texts, size_t count)
{
    struct nodes_ask *ask = nodes_ask_create(NODES_PRESENCE, 0, SPAN("c"));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(nodes_answer_add(ask, 0, span_from(texts[i])), 0);
    return ask;
}

static void test_lists_are_put_together(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"b\":{}}",         "{}", "{ }", "", "[]", "{\"x\":1}", "{\"c\":{}\n}", "{\"d\":{}} ",
        "{\"e\":{},\"f\":{}}"};
    struct nodes_ask *ask = answered(texts, sizeof texts / sizeof *texts);
    char *list = strdup("\"a\":{}");
    struct presence_answer answer = {.list = {list, strlen(list)}};
    assert_int_equal(presence_nodes_add(&answer, &list, ask), 0);
    assert_true(span_equal(answer.list, SPAN("\"a\":{},\"e\":{},\"f\":{},\"b\":{}")));
    free(list);
    nodes_ask_free(ask);
}

static void test_a_user_on_several_nodes_counts_once(void **state)
{
    (void)state;
    char users[2 * PRESENCE_USER_BYTES];
    struct out out = out_begin(users, sizeof users);
    presence_user_write(&out, SPAN("alice"));
    presence_user_write(&out, SPAN("bob"));
    char other[64];
    struct out text = out_begin(other, sizeof other);
    out_text(&text, "3 ");
    presence_user_write(&text, SPAN("alice"));
    presence_user_write(&text, SPAN("carol"));
    other[out_end(&text)] = '\0';
    const char *const texts[] = {other, "9 short", "-1 ", "x"};
    struct nodes_ask *ask = answered(texts, sizeof texts / sizeof *texts);
    char *list = malloc(sizeof users);
    memcpy(list, users, sizeof users);
    struct presence_answer answer = {
        .stats = true, .clients = 2, .users = 2, .list = {list, sizeof users}};
    assert_int_equal(presence_nodes_add(&answer, &list, ask), 0);
    assert_int_equal(answer.clients, 5);
    assert_int_equal(answer.users, 3);
    free(list);
    nodes_ask_free(ask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_put_together),
        cmocka_unit_test(test_a_user_on_several_nodes_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
