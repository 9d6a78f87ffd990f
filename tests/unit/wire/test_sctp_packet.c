#include <string.h>

#include "wire/crc32c.c"
#include "wire/sctp_packet.h"
#include "wire_test.h"

/* RFC 3720 appendix B.4. */
static void test_checksum(void **state)
{
    (void)state;
    uint8_t bytes[48];
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, bytes, 0), 0);
    /* The instruction says what the table says, at any length, whole and in two. */
    for (size_t len = 0; len <= sizeof bytes; len++) {
        assert_int_equal(crc32c(0, bytes, len), ~by_table(~0U, bytes, len));
        for (size_t at = 0; at <= len; at++)
            assert_int_equal(crc32c(crc32c(0, bytes, at), bytes + at, len - at),
                             crc32c(0, bytes, len));
    }
}

static void test_written_is_read(void **state)
{
    (void)state;
    struct sctp_head said, head = {5000, 5001, 0xdeadbeef};
    struct sctp_writer writer;
    struct sctp_reader rest;
    struct sctp_chunk chunk;
    uint8_t packet[64];
    sctp_packet_begin(&writer, packet, sizeof packet, &head);
    assert_int_equal(sctp_packet_end(&writer), 0);
    assert_int_equal(sctp_packet_room(&writer), 48);
    memcpy(sctp_chunk_write(&writer, SCTP_COOKIE_ECHO, 0, 5), "12345", 5);
    assert_int_equal(sctp_packet_room(&writer), 36);
    sctp_chunk_write(&writer, SCTP_ABORT, SCTP_FLAG_T, 0);
    sctp_chunk_write(&writer, SCTP_ERROR, 0, 32);
    assert_int_equal(sctp_packet_room(&writer), 0);
    size_t len = sctp_packet_end(&writer);
    assert_int_equal(len, sizeof packet);
    assert_int_equal(sctp_packet_read(&said, &rest, packet, len), 0);
    assert_int_equal(said.source, 5000);
    assert_int_equal(said.destination, 5001);
    assert_int_equal(said.tag, 0xdeadbeef);
    assert_int_equal(sctp_chunk_next(&chunk, &rest), 1);
    assert_int_equal(chunk.type, SCTP_COOKIE_ECHO);
    assert_span(span_of((const char *)chunk.value, chunk.len), SPAN("12345"));
    assert_int_equal(sctp_chunk_next(&chunk, &rest), 1);
    assert_int_equal(chunk.flags, SCTP_FLAG_T);
    assert_int_equal(chunk.len, 0);
    assert_int_equal(sctp_chunk_next(&chunk, &rest), 1);
    assert_int_equal(sctp_chunk_next(&chunk, &rest), 0);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(sctp_packet_read(&said, &rest, packet, len), SCTP_CHECKSUM);
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        int found[3];
    } known[] = {
        {SPAN_INIT(""), {0}},
        {SPAN_INIT("\x01\x00\x00"), {SCTP_LENGTH}},
        {SPAN_INIT("\x01\x00\x00\x03"), {SCTP_LENGTH}},
        {SPAN_INIT("\x01\x00\x00\x05"), {SCTP_LENGTH}},
        {SPAN_INIT("\x01\x00\x00\x05\x01"), {1, 0}}, /* the padding of the last may lack */
        {SPAN_INIT("\x01\x00\x00\x05\x01\0\0\0\x01\x00\x00\x04"), {1, 1, 0}},
        {SPAN_INIT("\x01\x00\x00\x04\x01\x00\x00\x08"), {1, SCTP_LENGTH}},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct sctp_reader chunks = {(const uint8_t *)known[i].bytes.ptr, known[i].bytes.len};
        struct sctp_reader parameters = chunks;
        for (size_t at = 0;; at++) {
            struct sctp_chunk chunk;
            assert_int_equal(sctp_chunk_next(&chunk, &chunks), known[i].found[at]);
            assert_int_equal(sctp_parameter_next(&chunk, &parameters), known[i].found[at]);
            if (known[i].found[at] != 1)
                break;
        }
    }
    struct sctp_head head;
    struct sctp_reader rest;
    uint8_t packet[18] = {0};
    assert_int_equal(sctp_packet_read(&head, &rest, packet, 12), SCTP_LENGTH);
    assert_int_equal(sctp_packet_read(&head, &rest, packet, 18), SCTP_LENGTH);
    assert_int_equal(sctp_packet_read(&head, &rest, packet, 16), SCTP_CHECKSUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
