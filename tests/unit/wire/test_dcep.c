#include "wire/dcep.h"
#include "wire_test.h"

static struct dcep_open opened;

static int read_open(struct span message)
{
    memset(&opened, 0, sizeof opened);
    return dcep_read(&opened, message);
}

static void test_known(void **state)
{
    (void)state;
    /* As a browser sends it: unordered, no retransmission. */
    assert_int_equal(read_open(SPAN("\x03\x81\x01\x00\x00\x00\x00\x00\x00\x04\x00\x03"
                                    "newsraw")),
                     DCEP_OPENS);
    assert_int_equal(opened.reliability, DCEP_RETRANSMITS);
    assert_true(opened.unordered);
    assert_int_equal(opened.priority, 256);
    assert_int_equal(opened.limit, 0);
    assert_span(opened.label, SPAN("news"));
    assert_span(opened.protocol, SPAN("raw"));
    /* What a reliable one says of its limit is nothing (RFC 8832 section 5.1). */
    assert_int_equal(read_open(SPAN("\x03\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00")),
                     DCEP_OPENS);
    assert_int_equal(opened.limit, 0);
    assert_int_equal(opened.label.len, 0);
    assert_int_equal(read_open(SPAN("\x02")), DCEP_ACKS);
}

static void test_errors(void **state)
{
    (void)state;
    assert_int_equal(read_open(span_of("", 0)), DCEP_LENGTH);
    assert_int_equal(read_open(SPAN("\x02\x00")), DCEP_LENGTH);
    assert_int_equal(read_open(SPAN("\x01")), DCEP_UNKNOWN);
    assert_int_equal(read_open(SPAN("\x03")), DCEP_LENGTH);
    assert_int_equal(read_open(SPAN("\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00")),
                     DCEP_LENGTH);
    assert_int_equal(read_open(SPAN("\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00x")),
                     DCEP_LENGTH);
    assert_int_equal(read_open(SPAN("\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")),
                     DCEP_TYPE);
    char large[DCEP_SIZE_MAX + 1] = "\x03";
    large[8] = DCEP_TEXT_MAX >> 8;
    large[10] = DCEP_TEXT_MAX >> 8;
    assert_int_equal(read_open(span_of(large, DCEP_SIZE_MAX)), DCEP_OPENS);
    large[9] = 1;
    assert_int_equal(read_open(span_of(large, DCEP_SIZE_MAX + 1)), DCEP_LENGTH);
}

static void test_written_is_read(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= DCEP_LIFETIME; kind++) {
        struct dcep_open open = {
            .reliability = (enum dcep_reliability)kind,
            .unordered = kind % 2 == 0,
            .priority = 512,
            .limit = kind * 100,
            .label = SPAN("ticker"),
            .protocol = SPAN("p"),
        };
        uint8_t buf[DCEP_SIZE_MAX];
        size_t size = dcep_write_open(buf, &open);
        assert_int_equal(read_open(span_of((char *)buf, size)), DCEP_OPENS);
        assert_int_equal(opened.reliability, open.reliability);
        assert_int_equal(opened.unordered, open.unordered);
        assert_int_equal(opened.priority, open.priority);
        assert_int_equal(opened.limit, open.limit);
        assert_span(opened.label, open.label);
        assert_span(opened.protocol, open.protocol);
    }
    uint8_t ack[DCEP_ACK_SIZE];
    assert_int_equal(dcep_write_ack(ack), DCEP_ACK_SIZE);
    assert_int_equal(read_open(span_of((char *)ack, sizeof ack)), DCEP_ACKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
