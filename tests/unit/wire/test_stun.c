#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "wire/stun.h"
#include "wire_test.h"

#define TRANSACTION "\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
#define PASSWORD    SPAN("VOkJxbRl1RmTxUk/WvJxBt")

/* RFC 5769 section 2.1. */
static const char vector[] =
    "\x00\x01\x00\x58\x21\x12\xa4\x42" TRANSACTION "\x80\x22\x00\x10STUN test client"
    "\x00\x24\x00\x04\x6e\x00\x01\xff"
    "\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36"
    "\x00\x06\x00\x09"
    "evtj:h6vY\x20\x20\x20"
    "\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71"
    "\xa2"
    "\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

enum {
    VECTOR_SIZE = sizeof vector - 1,
    FINGERPRINT_AT = VECTOR_SIZE - 8,
    INTEGRITY_AT = FINGERPRINT_AT - 24,
};

/* Until the next call. */
static struct stun_key *key_of(struct span password)
{
    static struct stun_key key;
    stun_key_init(&key, password);
    return &key;
}

/* A block of exactly that size, so that a sanitizer sees one byte too many. */
static int read_copy(const uint8_t *bytes, size_t len)
{
    struct stun_request request;
    uint8_t *block = malloc(len > 0 ? len : 1);
    assert_non_null(block);
    memcpy(block, bytes, len);
    int result = stun_read(&request, block, len);
    free(block);
    return result;
}

static void test_vector(void **state)
{
    (void)state;
    struct stun_request request;
    const uint8_t *bytes = (const uint8_t *)vector;
    assert_int_equal(stun_read(&request, bytes, VECTOR_SIZE), 0);
    assert_span(request.username, SPAN("evtj:h6vY"));
    assert_int_equal(request.priority, 0x6e0001ff);
    assert_int_equal(request.integrity_at, INTEGRITY_AT);
    assert_false(request.controlling || request.use_candidate);
    assert_memory_equal(request.transaction, TRANSACTION, STUN_TRANSACTION_SIZE);
    assert_true(stun_authentic(&request, bytes, key_of(PASSWORD)));
    assert_false(stun_authentic(&request, bytes, key_of(SPAN("VOkJxbRl1RmTxUk/WvJxBu"))));
}

static void test_each_bit_counts(void **state)
{
    (void)state;
    uint8_t bytes[VECTOR_SIZE];
    for (size_t bit = 0; bit < 8 * VECTOR_SIZE; bit++) {
        struct stun_request request;
        memcpy(bytes, vector, VECTOR_SIZE);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(stun_read(&request, bytes, VECTOR_SIZE) < 0);
    }
    for (size_t len = 0; len < VECTOR_SIZE; len++)
        assert_true(read_copy((const uint8_t *)vector, len) < 0);
}

/* The vector with one attribute changed, and a fingerprint that is right again. */
static int changed(size_t at, const char *with, size_t len, size_t end)
{
    struct stun_request request = {
        .transaction = (const uint8_t *)TRANSACTION,
        .username = SPAN("a:b"),
    };
    uint8_t bytes[256];
    int size = stun_write(bytes, sizeof bytes, &request, key_of(PASSWORD));
    assert_int_equal(size, 20 + 8 + 8 + 24 + 8);
    memcpy(bytes + at, with, len);
    return read_copy(bytes, end > 0 ? end : (size_t)size);
}

static void test_errors(void **state)
{
    (void)state;
    assert_int_equal(changed(0, "\x01\x01", 2, 0), STUN_OTHER); /* a response */
    assert_int_equal(changed(0, "\x00\x11", 2, 0), STUN_OTHER); /* an indication */
    assert_int_equal(changed(4, "\0", 1, 0), STUN_OTHER);
    assert_int_equal(changed(2, "\x00\x04", 2, 0), STUN_LENGTH);
    assert_int_equal(changed(22, "\x02\x00", 2, 0), STUN_LENGTH); /* a name beyond the end */
    assert_int_equal(changed(22, "\x00\x00", 2, 0), STUN_ATTRIBUTE);
    assert_int_equal(changed(28, "\x00\x06\x00\x04", 4, 0), STUN_ATTRIBUTE); /* two names */
    assert_int_equal(changed(28, "\x00\x25\x00\x04", 4, 0), STUN_ATTRIBUTE);
    assert_int_equal(changed(28, "\x00\x2a\x00\x04", 4, 0), STUN_UNKNOWN);
    assert_int_equal(changed(28, "\x80\x2a\x00\x04", 4, 0), STUN_ATTRIBUTE);
    assert_int_equal(changed(36, "\x80\x28", 2, 0), STUN_MISSING); /* a fingerprint before it */
    assert_int_equal(changed(36, "\xc0\x57", 2, 0), STUN_MISSING); /* no integrity */
    assert_int_equal(changed(38, "\x00\x10", 2, 0), STUN_ATTRIBUTE);
    assert_int_equal(changed(60, "\xc0\x57", 2, 0), STUN_ATTRIBUTE);
    assert_int_equal(changed(62, "\x00\x00", 2, 0), STUN_ATTRIBUTE);
    assert_int_equal(changed(64, "\x00\x00", 2, 0), STUN_FINGERPRINT);
    assert_int_equal(changed(2, "\x00\x28", 2, 60), STUN_MISSING); /* no fingerprint */
    assert_int_equal(changed(2, "\x00\x10", 2, 36), STUN_MISSING); /* neither */
}

static void test_written_is_read(void **state)
{
    (void)state;
    struct stun_request said, request = {
                                  .transaction = (const uint8_t *)TRANSACTION,
                                  .username = SPAN("AAAAAAAAbbbb:cdef"),
                                  .priority = 1853824767,
                                  .controlling = true,
                                  .use_candidate = true,
                              };
    uint8_t bytes[STUN_REQUEST_MAX];
    int size = stun_write(bytes, sizeof bytes, &request, key_of(PASSWORD));
    assert_true(size > 0);
    assert_int_equal(stun_read(&said, bytes, (size_t)size), 0);
    assert_span(said.username, request.username);
    assert_int_equal(said.priority, request.priority);
    assert_true(said.controlling && said.use_candidate);
    assert_true(stun_authentic(&said, bytes, key_of(PASSWORD)));
    bytes[said.integrity_at + 4 + 19] ^= 1;
    assert_false(stun_authentic(&said, bytes, key_of(PASSWORD)));
    assert_int_equal(stun_write(bytes, (size_t)size - 1, &request, key_of(PASSWORD)), -ENOBUFS);
}

/* The addresses of RFC 5769 sections 2.2 and 2.3. */
static void test_answer(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        struct span attribute;
        size_t size;
    } known[] = {
        {"::ffff:192.0.2.1", SPAN_INIT("\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"), 64},
        {"2001:db8:1234:5678:11:2233:4455:6677",
         SPAN_INIT("\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79"
                   "\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9"),
         76},
    };
    struct stun_request request = {.transaction = (const uint8_t *)TRANSACTION};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct in6_addr address;
        uint8_t answer[STUN_ANSWER_MAX];
        assert_int_equal(inet_pton(AF_INET6, known[i].address, &address), 1);
        size_t size = stun_answer(answer, &request, &address, 32853, key_of(PASSWORD));
        assert_int_equal(size, known[i].size);
        assert_memory_equal(answer, "\x01\x01", 2);
        assert_int_equal(answer[2] << 8 | answer[3], size - 20);
        assert_memory_equal(answer + 8, TRANSACTION, STUN_TRANSACTION_SIZE);
        assert_memory_equal(answer + 20, known[i].attribute.ptr, known[i].attribute.len);
        /* Integrity and fingerprint are made as in a request. */
        struct stun_request made = {.integrity_at = size - 32};
        assert_true(stun_authentic(&made, answer, key_of(PASSWORD)));
    }
}

static void test_answer_is_known(void **state)
{
    (void)state;
    uint8_t bytes[STUN_ANSWER_MAX];
    struct stun_request request = {.transaction = (const uint8_t *)TRANSACTION};
    struct in6_addr address = {.s6_addr = {[10] = 255, 255, 192, 0, 2, 1}};
    size_t size = stun_answer(bytes, &request, &address, 9347, key_of(PASSWORD));
    assert_true(stun_answers(bytes, size, request.transaction, key_of(PASSWORD)));
    assert_false(stun_answers(bytes, size, request.transaction, key_of(SPAN("another"))));
    assert_false(stun_answers(bytes, size, (const uint8_t *)"another numb", key_of(PASSWORD)));
    for (size_t len = 0; len < size; len++)
        assert_false(stun_answers(bytes, len, request.transaction, key_of(PASSWORD)));
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(stun_answers(bytes, size, request.transaction, key_of(PASSWORD)));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector), cmocka_unit_test(test_each_bit_counts),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_answer), cmocka_unit_test(test_answer_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
