#include "load/json_scan.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "load/payload.c"

enum {
    SEEN_MAX = 1024,
};

struct seen {
    char text[SEEN_MAX]; /* one line for each thing found */
    size_t len;
};

/* Scans one piece. Each piece is a block of its own, so that reading past it is noticed. */
static void scan_piece(struct json_scan *scan, struct seen *seen, const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    struct span piece = {copy, len};
    enum json_found found;
    while ((found = json_scan_next(scan, &piece)) != JSON_NOTHING) {
        size_t room = sizeof seen->text - seen->len;
        int written = 0;
        if (found == JSON_RECOVERED)
            written = snprintf(seen->text + seen->len, room, "recovered %d\n", scan->recovered);
        else
            written = snprintf(seen->text + seen->len, room, "%s %.*s %u\n",
                               found == JSON_DATA ? "data" : "position", scan->held_len, scan->held,
                               found == JSON_DATA ? (unsigned)scan->data.length : 0);
        assert_true(written > 0 && (size_t)written < room);
        seen->len += (size_t)written;
    }
    assert_int_equal(piece.len, 0);
    free(copy);
}

/* The same must be found whole, cut in two and three anywhere, and byte by byte. */
static void check(const char *text, const char *want)
{
    size_t len = strlen(text);
    for (size_t first = 0; first <= len; first++)
        for (size_t second = first; second <= len; second++) {
            struct json_scan scan = {0};
            struct seen seen = {.len = 0};
            scan_piece(&scan, &seen, text, first);
            scan_piece(&scan, &seen, text + first, second - first);
            scan_piece(&scan, &seen, text + second, len - second);
            assert_string_equal(seen.text, want);
        }
    struct json_scan scan = {0};
    struct seen seen = {.len = 0};
    for (size_t i = 0; i < len; i++)
        scan_piece(&scan, &seen, text + i, 1);
    assert_string_equal(seen.text, want);
}

static void test_answers(void **state)
{
    (void)state;
    check("{\"position\":\"5f3a.0\",\"messages\":[],\"recovered\":false}\n",
          "position 5f3a.0 0\nrecovered 0\n");
    check("{\"position\":\"5f3a.18\",\"messages\":[{\"channel\":\"c\",\"offset\":17,\"data\":"
          "\"one\"},"
          "{\"channel\":\"c\",\"offset\":18,\"data\":\"\"}],\"recovered\":true}\n",
          "position 5f3a.18 0\ndata one 3\ndata  0\nrecovered 1\n");
}

static void test_envelopes(void **state)
{
    (void)state;
    check("{\"channel\":\"c\",\"offset\":7,\"data\":\"text\",\"position\":\"1.7\"}",
          "data text 4\nposition 1.7 0\n");
    check("{\"position\":\"1.7\",\"recovered\":true}", "position 1.7 0\nrecovered 1\n");
    check("{\"channel\":\"c\",\"offset\":7,\"data\":\"AAE=\",\"base64\":true,\"position\":\"1.7\"}",
          "data AAE= 4\nposition 1.7 0\n");
}

/* Names in places where they are no keys, and values that look like the text around them. */
static void test_misleading(void **state)
{
    (void)state;
    check("{\"channel\":\"data\",\"offset\":1,\"data\":\"position\"}", "data position 8\n");
    check("{\"channel\":\"position\",\"data\":\"{\\\"data\\\":\\\"x\\\"}\"}",
          "data {\\\"data\\\":\\\"x\\\"} 16\n");
    check("{\"data\":\"back\\\\\",\"position\":\"2.2\"}", "data back\\\\ 6\nposition 2.2 0\n");
    check("{\"data\" : \"spaced\" , \"recovered\" : true }", "data spaced 6\nrecovered 1\n");
    check("{\"data\":[1,\"data\"],\"offset\":3}", "");
}

/* Only the start of a long value is held; its length is counted all the same. */
static void test_long_value(void **state)
{
    (void)state;
    char text[200], want[200];
    snprintf(text, sizeof text, "{\"data\":\"%0100d\"}", 7);
    snprintf(want, sizeof want, "data %0*d 100\n", JSON_HELD_MAX, 0);
    check(text, want);
}

/* All bytes of a payload are looked at, and those of the next one are its own. */
static void test_payloads(void **state)
{
    (void)state;
    enum {
        SIZE = 80
    };
    char text[512];
    size_t at[2], len = 0;
    for (unsigned i = 0; i < 2; i++) {
        len +=
            (size_t)snprintf(text + len, sizeof text - len,
                             i ? "\"},{\"offset\":2,\"data\":\"" : "{\"messages\":[{\"data\":\"");
        at[i] = len;
        payload_write(text + len, SIZE, 7 + i, 5, false);
        len += SIZE;
    }
    len += (size_t)snprintf(text + len, sizeof text - len, "\"}],\"position\":\"1.2\"}");
    for (size_t changed = 0; changed <= SIZE; changed++)
        for (size_t cut = 0; cut <= len; cut++) {
            char copy[sizeof text];
            memcpy(copy, text, sizeof text);
            if (changed < SIZE)
                copy[at[0] + changed] = 'q';
            struct json_scan scan = {0};
            struct span pieces[2] = {span_of(copy, cut), span_of(copy + cut, len - cut)};
            unsigned found = 0;
            for (unsigned i = 0; i < 2; i++)
                while (json_scan_next(&scan, &pieces[i]) != JSON_NOTHING) {
                    bool right = scan.data.number == 7 + found && !scan.data.changed;
                    if (found < 2)
                        assert_int_equal(right, found == 1 || changed == SIZE);
                    if (found < 2)
                        assert_int_equal(scan.data.length, SIZE);
                    found++;
                }
            assert_int_equal(found, 3);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),    cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_misleading), cmocka_unit_test(test_long_value),
        cmocka_unit_test(test_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
