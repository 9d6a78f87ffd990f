#include <stdio.h>

#include "wire/centrifuge.h"
#include "wire_test.h"

static struct centrifuge_command read_good(const char *text)
{
    struct centrifuge_command command;
    assert_int_equal(centrifuge_command_read(&command, span_from(text)), 0);
    return command;
}

static void test_commands(void **state)
{
    (void)state;
    struct centrifuge_command command =
        read_good("{\"id\":2,\"subscribe\":{\"channel\":\"news\",\"recover\":true,\"epoch\":\"5f\","
                  "\"offset\":18446744073709551615,\"token\":\"t\",\"join_leave\":true,"
                  "\"positioned\":false,\"unknown\":{\"channel\":\"other\"}}}");
    assert_int_equal(command.id, 2);
    assert_int_equal(command.method, CENTRIFUGE_SUBSCRIBE);
    assert_span(command.channel, SPAN("news"));
    assert_span(command.epoch, SPAN("5f"));
    assert_span(command.token, SPAN("t"));
    assert_int_equal(command.offset, UINT64_MAX);
    assert_true(command.recover && command.join_leave);
    assert_false(command.positioned || command.since || command.reverse);

    command = read_good("{\"history\":{\"since\":{\"epoch\":\"e\",\"offset\":7},\"limit\":10,"
                        "\"reverse\":true,\"channel\":\"c\"},\"id\":4294967295}");
    assert_int_equal(command.id, UINT32_MAX);
    assert_int_equal(command.method, CENTRIFUGE_HISTORY);
    assert_int_equal(command.limit, 10);
    assert_int_equal(command.offset, 7);
    assert_true(command.since && command.reverse);
    assert_int_equal(read_good("{\"id\":1,\"history\":{\"limit\":-1}}").limit, UINT32_MAX);
    assert_int_equal(read_good("{\"id\":1,\"history\":{}}").limit, 0);
}

static void test_data(void **state)
{
    (void)state;
    static const char *const values[] = {"\"te\\\"xt\"", "{\"a\":[1]}", "[]", "0", "null", "\"\""};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"id\":1,\"publish\":{\"data\":%s,\"channel\":\"c\"}}",
                 values[i]);
        struct centrifuge_command command = read_good(text);
        assert_span(command.data, span_from(values[i]));
    }
}

static void test_without_reply(void **state)
{
    (void)state;
    assert_int_equal(read_good("{}").method, CENTRIFUGE_PONG);
    assert_int_equal(read_good("{\"send\":{\"data\":1}}").method, CENTRIFUGE_SEND);
    assert_int_equal(read_good("{\"id\":9,\"connect\":null,\"ping\":{}}").method, CENTRIFUGE_PING);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "x",
        "[]",
        "null",
        "{",
        "{}{}",
        "{\"id\":1}",
        "{\"id\":1,\"unknown\":{}}",
        "{\"connect\":{}}",
        "{\"id\":0,\"connect\":{}}",
        "{\"id\":-1,\"connect\":{}}",
        "{\"id\":1.5,\"connect\":{}}",
        "{\"id\":\"1\",\"connect\":{}}",
        "{\"id\":4294967296,\"connect\":{}}",
        "{\"id\":1,\"connect\":[]}",
        "{\"id\":1,\"connect\":true}",
        "{\"id\":1,\"connect\":{},\"ping\":{}}",
        "{\"id\":1,\"connect\":{},\"connect\":{}}",
        "{\"id\":1,\"connect\":{\"token\":1}}",
        "{\"id\":1,\"subscribe\":{\"channel\":[\"a\"]}}",
        "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"recover\":1}}",
        "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"offset\":-1}}",
        "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"offset\":\"1\"}}",
        "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"offset\":18446744073709551616}}",
        "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"epoch\":5}}",
        "{\"id\":1,\"history\":{\"limit\":2147483648}}",
        "{\"id\":1,\"history\":{\"limit\":-x}}",
        "{\"id\":1,\"history\":{\"limit\":1e3}}",
        "{\"id\":1,\"history\":{\"since\":[]}}",
        "{\"id\":1,\"history\":{\"since\":{\"offset\":true}}}",
        "{\"id\":1,\"history\":{\"since\":{\"since\":{}}}}",
        "{\"id\":1,\"history\":{\"since\":{},\"since\":{}}}",
        "{\"id\":1,\"publish\":{\"data\":{]}}",
        "{\"id\":1,\"publish\":{\"data\":\"\xff\"}}",
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct centrifuge_command command;
        if (centrifuge_command_read(&command, span_from(table[i])) != CENTRIFUGE_BAD)
            fail_msg("taken: %s", table[i]);
    }
}

static void test_lines(void **state)
{
    (void)state;
    struct span rest = SPAN("\n{}\r\n\n{\"a\":1}\n\r\n"), line;
    assert_true(centrifuge_line_next(&rest, &line));
    assert_span(line, SPAN("{}\r"));
    assert_true(centrifuge_line_next(&rest, &line));
    assert_span(line, SPAN("{\"a\":1}"));
    assert_false(centrifuge_line_next(&rest, &line));
    rest = (struct span){0};
    assert_false(centrifuge_line_next(&rest, &line));
}

static void test_replies(void **state)
{
    (void)state;
    char text[CENTRIFUGE_REPLY_MAX];
    struct out out = out_begin(text, sizeof text);
    centrifuge_reply_error(&out, 7, CENTRIFUGE_ERROR_PERMISSION_DENIED);
    assert_span(span_of(text, (size_t)out_end(&out)),
                SPAN("{\"id\":7,\"error\":{\"code\":103,\"message\":\"permission denied\"}}"));
    out = out_begin(text, sizeof text);
    centrifuge_reply_error(&out, 7, CENTRIFUGE_ERROR_INTERNAL);
    assert_span(span_of(text, (size_t)out_end(&out)),
                SPAN("{\"id\":7,\"error\":{\"code\":100,\"message\":\"internal server error\","
                     "\"temporary\":true}}"));
    out = out_begin(text, sizeof text);
    centrifuge_reply_empty(&out, UINT32_MAX, CENTRIFUGE_PRESENCE_STATS);
    assert_span(span_of(text, (size_t)out_end(&out)),
                SPAN("{\"id\":4294967295,\"presence_stats\":{}}"));
    for (int i = 0; i < CENTRIFUGE_ERROR_COUNT; i++) {
        out = out_begin(text, sizeof text);
        centrifuge_reply_error(&out, UINT32_MAX, (enum centrifuge_error)i);
        assert_false(out.overflow);
    }
}

static void test_pushes(void **state)
{
    (void)state;
    static const struct {
        struct span data;
        enum centrifuge_form form;
        const char *push;
    } table[] = {
        {SPAN_INIT("{\"a\":\n1}"), CENTRIFUGE_JSON, "{\"a\": 1}"},
        {SPAN_INIT(" 12\n"), CENTRIFUGE_JSON, " 12 "},
        {SPAN_INIT("[1,\r\n\r2]\r"), CENTRIFUGE_JSON, "[1,   2] "},
        {SPAN_INIT("\"s\""), CENTRIFUGE_JSON, "\"s\""},
        {SPAN_INIT("a \"b\"\n"), CENTRIFUGE_TEXT, "\"a \\\"b\\\"\\n\""},
        {SPAN_INIT(""), CENTRIFUGE_TEXT, "\"\""},
        {SPAN_INIT("{} {}"), CENTRIFUGE_TEXT, "\"{} {}\""},
        {SPAN_INIT("\xff\x00\xfe"), CENTRIFUGE_BYTES, "{\"base64\":\"/wD+\"}"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char text[256], expected[256];
        const struct centrifuge_publication publication = {
            .data = table[i].data, .form = centrifuge_form_of(table[i].data), .offset = 18};
        assert_int_equal(publication.form, table[i].form);
        struct out out = out_begin(text, sizeof text);
        centrifuge_push_write(&out, SPAN("news:a"), &publication);
        snprintf(expected, sizeof expected,
                 "{\"push\":{\"channel\":\"news:a\",\"pub\":{\"data\":%s,\"offset\":18}}}",
                 table[i].push);
        assert_span(span_of(text, (size_t)out_end(&out)), span_from(expected));
        assert_int_equal(centrifuge_push_size(SPAN("news:a"), &publication), strlen(expected));
        out = out_begin(text, sizeof text);
        centrifuge_bare_push_write(&out, SPAN("news:a"), &publication);
        size_t bare = strlen(expected) - strlen("{\"push\":}");
        assert_span(span_of(text, (size_t)out_end(&out)),
                    span_of(expected + strlen("{\"push\":"), bare));
        assert_int_equal(centrifuge_bare_push_size(SPAN("news:a"), &publication), bare);
    }
}

static void test_strings_and_deltas(void **state)
{
    (void)state;
    static const struct {
        struct span data;
        enum centrifuge_coding coding;
        const char *publication;
    } table[] = {
        {SPAN_INIT("{\"a\":\n1}"), CENTRIFUGE_STRING, "{\"data\":\"{\\\"a\\\":\\n1}\"}"},
        {SPAN_INIT("a \"b\n"), CENTRIFUGE_STRING, "{\"data\":\"\\\"a \\\\\\\"b\\\\n\\\"\"}"},
        {SPAN_INIT("\xff\x00\xfe"), CENTRIFUGE_STRING,
         "{\"data\":\"{\\\"base64\\\":\\\"/wD+\\\"}\"}"},
        {SPAN_INIT("3\n3:a\"c0;"), CENTRIFUGE_DELTA,
         "{\"data\":\"3\\n3:a\\\"c0;\",\"delta\":true}"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char text[256];
        const struct centrifuge_publication publication = {.data = table[i].data,
                                                           .form =
                                                               centrifuge_form_of(table[i].data),
                                                           .coding = table[i].coding};
        struct out out = out_begin(text, sizeof text);
        centrifuge_publication_write(&out, &publication);
        assert_span(span_of(text, (size_t)out_end(&out)), span_from(table[i].publication));
        assert_int_equal(centrifuge_publication_size(&publication), out.at - out.start);
    }
}

static void test_events(void **state)
{
    (void)state;
    static const char expected[] =
        "{\"push\":{\"channel\":\"c\",\"join\":{\"info\":{\"client\":\"x\"}}}}";
    char text[128];
    const struct centrifuge_publication join = {
        .data = SPAN("{\"client\":\"x\"}"), .offset = 7, .event = SPAN("join")};
    struct out out = out_begin(text, sizeof text);
    centrifuge_push_write(&out, SPAN("c"), &join);
    assert_span(span_of(text, (size_t)out_end(&out)), span_from(expected));
    assert_int_equal(centrifuge_push_size(SPAN("c"), &join), strlen(expected));
}

static void test_without_offset(void **state)
{
    (void)state;
    char text[64];
    const struct centrifuge_publication publication = {.data = SPAN("1")};
    struct out out = out_begin(text, sizeof text);
    centrifuge_publication_write(&out, &publication);
    assert_span(span_of(text, (size_t)out_end(&out)), SPAN("{\"data\":1}"));
    assert_int_equal(centrifuge_publication_size(&publication), strlen("{\"data\":1}"));
}

static void test_emulations(void **state)
{
    (void)state;
    static const struct {
        struct span body, session, node, data;
    } good[] = {
        {SPAN_INIT("{\"session\":\"s\",\"node\":\"n\",\"data\":\"{\\\"id\\\":1}\"}"),
         SPAN_INIT("s"), SPAN_INIT("n"), SPAN_INIT("{\\\"id\\\":1}")},
        {SPAN_INIT("{\"more\":[1],\"d\\u0061ta\":\"x\"}"), SPAN_INIT(""), SPAN_INIT(""),
         SPAN_INIT("x")},
        {SPAN_INIT("{}"), SPAN_INIT(""), SPAN_INIT(""), SPAN_INIT("")},
    };
    static const struct span bad[] = {
        SPAN_INIT(""),
        SPAN_INIT("null"),
        SPAN_INIT("[]"),
        SPAN_INIT("{\"data\":7}"),
        SPAN_INIT("{\"node\":null}"),
        SPAN_INIT("{\"session\":\"s\",\"node\":\"n\",\"data\":\"x\"} x"),
        SPAN_INIT("{\"data\":\"\\ud800\"}"),
    };
    struct centrifuge_emulation emulation;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(centrifuge_emulation_read(&emulation, good[i].body), 0);
        assert_span(emulation.session, good[i].session);
        assert_span(emulation.node, good[i].node);
        assert_span(emulation.data, good[i].data);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(centrifuge_emulation_read(&emulation, bad[i]), CENTRIFUGE_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_without_reply),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_strings_and_deltas),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_pushes),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_without_offset),
        cmocka_unit_test(test_emulations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
