#include <arpa/inet.h>
#include <stdlib.h>

#include "wire/proxy.h"
#include "wire_test.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV4S     "\xc0\x00\x02\x07\xcb\x00\x71\x09\xdc\x04\x01\xbb"
#define IPV6      "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
#define IPV6S     IPV6 IPV6 "\xdc\x04\x01\xbb"

enum {
    READS_MAX = 50, /* of the longest line without a meaning, two bytes at a time */
};

/* A block of exactly that size, so that a sanitizer sees one byte too many. */
static int parse(struct proxy_head *ret, struct span bytes, size_t len)
{
    char *block = malloc(len > 0 ? len : 1);
    assert_non_null(block);
    memcpy(block, bytes.ptr, len);
    int result = proxy_parse(ret, block, len);
    free(block);
    return result;
}

/* Every beginning of a good header asks for more; all of it, and what follows, says the same. */
static void check_good(struct span head, const char *source)
{
    struct proxy_head said;
    char more[512];
    for (size_t len = 0; len < head.len; len++)
        assert_int_equal(parse(&said, head, len), 0);
    /* Receiving what is said to be missing ends at its last byte. */
    unsigned reads = 0;
    for (size_t len = 0; len < head.len; reads++) {
        assert_int_equal(parse(&said, head, len), 0);
        assert_in_range(said.missing, 1, head.len - len);
        len += said.missing;
    }
    assert_true(reads <= READS_MAX);
    assert_int_equal(parse(&said, head, head.len), head.len);
    assert_int_equal(said.named, source != NULL);
    if (source) {
        struct in6_addr expected;
        assert_int_equal(inet_pton(AF_INET6, source, &expected), 1);
        assert_memory_equal(&said.source, &expected, sizeof expected);
    }
    assert_true(head.len + 16 < sizeof more);
    memcpy(more, head.ptr, head.len);
    memcpy(more + head.len, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(parse(&said, span_of(more, head.len + 16), head.len + 16), head.len);
}

static void test_version1(void **state)
{
    (void)state;
    static const struct {
        struct span head;
        const char *source;
    } good[] = {
        {SPAN_INIT("PROXY TCP4 192.0.2.7 203.0.113.9 56324 443\r\n"), "::ffff:192.0.2.7"},
        {SPAN_INIT("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "::ffff:0.0.0.0"},
        {SPAN_INIT("PROXY TCP6 2001:db8::7 2001:db8::9 56324 443\r\n"), "2001:db8::7"},
        {SPAN_INIT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {SPAN_INIT("PROXY UNKNOWN\r\n"), NULL},
        {SPAN_INIT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
         NULL},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        check_good(good[i].head, good[i].source);
    assert_int_equal(good[5].head.len, 107);
}

static void test_version2(void **state)
{
    (void)state;
    static const struct {
        struct span head;
        const char *source;
    } good[] = {
        {SPAN_INIT(SIGNATURE "\x21\x11\0\x0c" IPV4S), "::ffff:192.0.2.7"},
        {SPAN_INIT(SIGNATURE "\x21\x21\0\x24" IPV6S), "2001:db8::7"},
        {SPAN_INIT(SIGNATURE "\x21\x11\0\x13" IPV4S "\x04\0\x04pads"), "::ffff:192.0.2.7"},
        {SPAN_INIT(SIGNATURE "\x21\0\0\0"), NULL},
        {SPAN_INIT(SIGNATURE "\x21\0\0\x03xyz"), NULL},
        {SPAN_INIT(SIGNATURE "\x20\0\0\0"), NULL},
        /* A proxy's own question: whatever it says of addresses is not meant. */
        {SPAN_INIT(SIGNATURE "\x20\x11\0\x0c" IPV4S), NULL},
        {SPAN_INIT(SIGNATURE "\x20\x99\0\x01x"), NULL},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        check_good(good[i].head, good[i].source);
}

/* Over a local socket the proxy's client has no address. */
static void test_unix(void **state)
{
    (void)state;
    char head[16 + 216] = SIGNATURE "\x21\x31\0\xd8";
    check_good(span_of(head, sizeof head), NULL);
}

struct refused {
    struct span bytes;
    int error;
    size_t at; /* bytes after which it is sure */
};

static void check_refused(const struct refused *row)
{
    struct proxy_head said;
    for (size_t len = 0; len <= row->bytes.len; len++)
        assert_int_equal(parse(&said, row->bytes, len), len < row->at ? 0 : row->error);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct refused table[] = {
        {SPAN_INIT("GET / HTTP/1.1\r\n"), PROXY_NONE, 1},
        {SPAN_INIT("PRI * HTTP/2.0\r\n"), PROXY_NONE, 3},
        {SPAN_INIT("POST / HTTP/1.1\r\n"), PROXY_NONE, 2},
        {SPAN_INIT("proxy TCP4 "), PROXY_NONE, 1},
        {SPAN_INIT("\x16\x03\x01"), PROXY_NONE, 1},
        {SPAN_INIT("\r\n\r\n\r\n"), PROXY_NONE, 5},
        {SPAN_INIT("PROXY \r\n"), PROXY_LINE, 8},
        {SPAN_INIT("PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n"), PROXY_LINE, 32},
        {SPAN_INIT("PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n"), PROXY_LINE, 33},
        {SPAN_INIT("PROXY UNKNOWN\n"), PROXY_LINE, 14},
        {SPAN_INIT("PROXY UNKNOWNS\r\n"), PROXY_LINE, 16},
        {SPAN_INIT("PROXY TCP4\r\n"), PROXY_ADDRESS, 12},
        {SPAN_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n"), PROXY_ADDRESS, 30},
        {SPAN_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n"), PROXY_ADDRESS, 34},
        {SPAN_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1  1\r\n"), PROXY_ADDRESS, 33},
        {SPAN_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n"), PROXY_ADDRESS, 33},
        {SPAN_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n"), PROXY_ADDRESS, 33},
        {SPAN_INIT("PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n"), PROXY_ADDRESS, 36},
        {SPAN_INIT("PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n"), PROXY_ADDRESS, 33},
        {SPAN_INIT("PROXY TCP4 ::1 ::1 1 1\r\n"), PROXY_ADDRESS, 24},
        {SPAN_INIT("PROXY TCP4 ::ffff:1.1.1.1 1.1.1.1 1 1\r\n"), PROXY_ADDRESS, 39},
        {SPAN_INIT("PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n"), PROXY_ADDRESS, 32},
        {SPAN_INIT("PROXY TCP6 ::1%lo ::1 1 1\r\n"), PROXY_ADDRESS, 27},
        {SPAN_INIT("PROXY TCP4 1.1.1.1\0 1.1.1.1 1 1\r\n"), PROXY_ADDRESS, 33},
        {SPAN_INIT(SIGNATURE "\x11\x11\0\x0c" IPV4S), PROXY_VERSION, 13},
        {SPAN_INIT(SIGNATURE "\x22\x11\0\x0c" IPV4S), PROXY_VERSION, 13},
        {SPAN_INIT(SIGNATURE "\x21\x12\0\x0c" IPV4S), PROXY_FAMILY, 16},
        {SPAN_INIT(SIGNATURE "\x21\x41\0\x0c" IPV4S), PROXY_FAMILY, 16},
        {SPAN_INIT(SIGNATURE "\x21\x11\0\x0b" IPV4S), PROXY_LENGTH, 16},
        {SPAN_INIT(SIGNATURE "\x21\x21\0\x0c" IPV4S), PROXY_LENGTH, 16},
        {SPAN_INIT(SIGNATURE "\x21\x11\x07\xf1" IPV4S), PROXY_LENGTH, 16},
        {SPAN_INIT(SIGNATURE "\x20\x11\xff\xff" IPV4S), PROXY_LENGTH, 16},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++)
        check_refused(&table[i]);
}

/* A line that does not end is not waited for. */
static void test_endless_line(void **state)
{
    (void)state;
    char line[108] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof line - 14);
    const struct refused row = {span_of(line, sizeof line), PROXY_LINE, 107};
    check_refused(&row);
    line[105] = '\r';
    line[106] = '\n';
    struct proxy_head said;
    assert_int_equal(parse(&said, span_of(line, sizeof line), sizeof line), 107);
}

static void test_longest_version2(void **state)
{
    (void)state;
    static char head[PROXY_HEAD_MAX] = SIGNATURE "\x20\0\x07\xf0";
    struct proxy_head said;
    assert_int_equal(parse(&said, span_of(head, sizeof head), sizeof head - 1), 0);
    assert_int_equal(parse(&said, span_of(head, sizeof head), sizeof head), sizeof head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version1),     cmocka_unit_test(test_version2),
        cmocka_unit_test(test_unix),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_endless_line), cmocka_unit_test(test_longest_version2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
