#include "wire/http3.h"
#include "wire_test.h"

enum {
    FEEDS = 2, /* whole, and byte by byte */
};

/* ---- numbers ---- */

static void numbers_are_those_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        uint64_t value;
    } rows[] = {
        /* RFC 9000 appendix A.1 */
        {SPAN_INIT("\xc2\x19\x7c\x5e\xff\x14\xe8\x8c"), UINT64_C(151288809941952652)},
        {SPAN_INIT("\x9d\x7f\x3e\x7d"), 494878333},
        {SPAN_INIT("\x7b\xbd"), 15293},
        {SPAN_INIT("\x25"), 37},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t written[VARINT_BYTES_MAX];
        uint64_t value = 0;
        assert_int_equal(varint_read(rows[i].bytes, &value), rows[i].bytes.len);
        assert_int_equal(value, rows[i].value);
        size_t size = varint_write(written, value);
        assert_span(span_of((const char *)written, size), rows[i].bytes);
        assert_int_equal(varint_read(span_of(rows[i].bytes.ptr, size - 1), &value), 0);
    }
    uint64_t long_form;
    assert_int_equal(varint_read(SPAN("\x40\x25"), &long_form), 2);
    assert_int_equal(long_form, 37);
}

/* ---- frames ---- */

static void a_frame_comes_in_pieces(void **state)
{
    (void)state;
    struct http3_frames frames = {0};
    struct http3_piece piece;
    struct span bytes = SPAN("\x01");
    assert_false(http3_frames_take(&frames, &bytes, &piece));
    assert_false(http3_frames_may_end(&frames));
    bytes = SPAN("\x05he");
    assert_true(http3_frames_take(&frames, &bytes, &piece));
    assert_int_equal(piece.type, HTTP3_HEADERS);
    assert_int_equal(piece.length, 5);
    assert_true(piece.begins && !piece.ends);
    assert_span(piece.payload, SPAN("he"));
    assert_false(http3_frames_take(&frames, &bytes, &piece));
    bytes = SPAN("llo\x40\x21");
    assert_true(http3_frames_take(&frames, &bytes, &piece));
    assert_true(!piece.begins && piece.ends);
    assert_span(piece.payload, SPAN("llo"));
    assert_true(http3_frames_may_end(&frames));
    assert_false(http3_frames_take(&frames, &bytes, &piece));
    bytes = span_of("\x00\x00\x00", 3);
    assert_true(http3_frames_take(&frames, &bytes, &piece));
    assert_int_equal(piece.type, 0x21);
    assert_true(piece.begins && piece.ends);
    assert_true(http3_frames_take(&frames, &bytes, &piece));
    assert_int_equal(piece.type, HTTP3_DATA);
    assert_int_equal(bytes.len, 0);
    assert_true(http3_frames_may_end(&frames));
}

/* ---- the control stream ---- */

static uint64_t feed_control(struct http3_control *control, struct span bytes, bool cut)
{
    *control = (struct http3_control){0};
    if (!cut)
        return http3_control_input(control, bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        uint64_t error = http3_control_input(control, span_of(bytes.ptr + i, 1));
        if (error != 0)
            return error;
    }
    return 0;
}

#define ROW(bytes, error)                                                                          \
    {                                                                                              \
        SPAN_INIT(bytes), error                                                                    \
    }

static void what_a_control_stream_may_say(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        uint64_t error;
    } rows[] = {
        ROW("\x04\x00", 0),
        ROW("\x04\x06\x01\x40\x40\x07\x40\x64", 0),
        ROW("\x04\x00\x07\x01\x08\x07\x01\x04\x07\x01\x04", 0),
        ROW("\x04\x00\x0d\x01\x08\x0d\x01\x08\x0d\x01\x09", 0),
        ROW("\x04\x00\x40\x21\x02xx", 0), /* of a kind that nobody knows */
        ROW("\x07\x01\x00", HTTP3_MISSING_SETTINGS),
        ROW("\x40\x21\x00", HTTP3_MISSING_SETTINGS),
        ROW("\x04\x00\x04\x00", HTTP3_FRAME_UNEXPECTED),
        ROW("\x04\x00\x00\x00", HTTP3_FRAME_UNEXPECTED),
        ROW("\x04\x00\x01\x00", HTTP3_FRAME_UNEXPECTED),
        ROW("\x04\x00\x05\x00", HTTP3_FRAME_UNEXPECTED),
        ROW("\x04\x00\x02\x00", HTTP3_FRAME_UNEXPECTED), /* PRIORITY of HTTP/2, and its others */
        ROW("\x04\x00\x06\x00", HTTP3_FRAME_UNEXPECTED),
        ROW("\x04\x00\x08\x00", HTTP3_FRAME_UNEXPECTED),
        ROW("\x04\x00\x09\x00", HTTP3_FRAME_UNEXPECTED),
        ROW("\x04\x02\x02\x00", HTTP3_SETTINGS_ERROR), /* settings of HTTP/2 */
        ROW("\x04\x02\x05\x00", HTTP3_SETTINGS_ERROR),
        ROW("\x04\x04\x06\x01\x06\x01", HTTP3_SETTINGS_ERROR), /* said twice */
        ROW("\x04\x02\x33\x02", HTTP3_SETTINGS_ERROR),
        ROW("\x04\x02\x08\x02", HTTP3_SETTINGS_ERROR),
        ROW("\x04\x01\x06", HTTP3_FRAME_ERROR), /* cut off */
        ROW("\x04\x02\x06\x40", HTTP3_FRAME_ERROR),
        ROW("\x04\x44\x01", HTTP3_EXCESSIVE_LOAD),
        ROW("\x04\x00\x07\x00", HTTP3_FRAME_ERROR),
        ROW("\x04\x00\x07\x02\x00\x00", HTTP3_FRAME_ERROR),
        ROW("\x04\x00\x07\x01\x04\x07\x01\x05", HTTP3_ID_ERROR), /* GOAWAY goes down */
        ROW("\x04\x00\x0d\x01\x04\x0d\x01\x03", HTTP3_ID_ERROR), /* MAX_PUSH_ID goes up */
        ROW("\x04\x00\x03\x01\x00", HTTP3_ID_ERROR),             /* no push was promised */
    };
    struct http3_control control;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int feed = 0; feed < FEEDS; feed++)
            assert_int_equal(feed_control(&control, rows[i].bytes, feed == 1), rows[i].error);
}

static void settings_are_read(void **state)
{
    (void)state;
    struct http3_control control;
    struct span bytes = SPAN("\x04\x0a\x06\x44\x01\x33\x01\xab\x60\x37\x42\x01");
    assert_int_equal(feed_control(&control, bytes, true), 0);
    assert_true(control.has_settings && control.settings.datagrams);
    assert_true(control.settings.webtransport);
    assert_int_equal(control.settings.field_section_max, 1025);
    assert_int_equal(feed_control(&control, SPAN("\x04\x00"), false), 0);
    assert_false(control.settings.datagrams);
    assert_true(control.settings.field_section_max == VARINT_MAX);
}

static void our_preamble_is_what_we_would_take(void **state)
{
    (void)state;
    uint8_t bytes[HTTP3_PREAMBLE_BYTES_MAX];
    struct http3_control control;
    size_t len = http3_preamble_write(bytes, 65536);
    assert_int_equal(bytes[0], HTTP3_KIND_CONTROL);
    struct span frames = span_of((const char *)bytes + 1, len - 1);
    assert_int_equal(feed_control(&control, frames, false), 0);
    assert_int_equal(control.settings.field_section_max, 65536);
    assert_true(control.settings.datagrams && control.settings.webtransport);
}

/* ---- QPACK ---- */

static void without_a_table_an_encoder_has_nothing_to_say(void **state)
{
    (void)state;
    assert_int_equal(http3_encoder_input(SPAN("")), 0);
    assert_int_equal(http3_encoder_input(SPAN("\x20\x20")), 0);
    assert_int_equal(http3_encoder_input(SPAN("\x21")), HTTP3_QPACK_ENCODER_STREAM_ERROR);
    assert_int_equal(http3_encoder_input(SPAN("\x20\xc0")), HTTP3_QPACK_ENCODER_STREAM_ERROR);
}

static void a_decoder_may_give_streams_up(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        uint64_t error;
    } rows[] = {
        ROW("\x40\x44\x7e", 0),
        ROW("\x7f\x80\x80\x01\x44", 0),
        ROW("\x84", HTTP3_QPACK_DECODER_STREAM_ERROR), /* acknowledges a section */
        ROW("\x01", HTTP3_QPACK_DECODER_STREAM_ERROR), /* counts insertions */
        ROW("\x7f\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", HTTP3_QPACK_DECODER_STREAM_ERROR),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http3_decoder_input whole = {0}, cut = {0};
        uint64_t error = 0;
        assert_int_equal(http3_decoder_input(&whole, rows[i].bytes), rows[i].error);
        for (size_t at = 0; at < rows[i].bytes.len && error == 0; at++)
            error = http3_decoder_input(&cut, span_of(rows[i].bytes.ptr + at, 1));
        assert_int_equal(error, rows[i].error);
    }
}

static void errors_have_names(void **state)
{
    (void)state;
    assert_string_equal(http3_error_name(http3_error_index(HTTP3_ID_ERROR)), "id_error");
    assert_string_equal(http3_error_name(http3_error_index(HTTP3_QPACK_DECODER_STREAM_ERROR)),
                        "qpack_decoder_stream_error");
    assert_string_equal(http3_error_name(http3_error_index(1)), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_rfc),
        cmocka_unit_test(a_frame_comes_in_pieces),
        cmocka_unit_test(what_a_control_stream_may_say),
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test(our_preamble_is_what_we_would_take),
        cmocka_unit_test(without_a_table_an_encoder_has_nothing_to_say),
        cmocka_unit_test(a_decoder_may_give_streams_up),
        cmocka_unit_test(errors_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
