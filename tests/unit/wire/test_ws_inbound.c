/* The case numbers are those of the Autobahn test suite, whose list of cases this follows. */
#include "feed_ws.h"
#include "wire_test.h"

enum {
    MESSAGE_MAX = 100000
};

/* Frames of the client's side are written plain below; this masks them for the server's. */
static void mask_frames(struct span frames, struct transcript *ret)
{
    uint64_t seed = frames.len;
    while (frames.len > 0) {
        struct ws_frame_head head;
        char buf[WS_FRAME_HEAD_MAX];
        int size = ws_frame_head_parse(&head, frames.ptr, frames.len, WS_CLIENT, true);
        if (size <= 0) {
            /* A broken head: it is not read beyond the second byte, which gets its mask bit. */
            size_t at = ret->len;
            transcript_add(ret, frames);
            if (frames.len > 1)
                ret->text[at + 1] = (char)(ret->text[at + 1] | 0x80);
            return;
        }
        uint64_t key = random_next(&seed);
        memcpy(head.key, &key, sizeof head.key);
        head.masked = true;
        frames = span_skip(frames, (size_t)size);
        transcript_add(ret, span_of(buf, ws_frame_head_write(buf, &head)));
        size_t len = head.length < frames.len ? (size_t)head.length : frames.len;
        for (size_t i = 0; i < len; i++) {
            char c = (char)(frames.ptr[i] ^ head.key[i % 4]);
            transcript_add(ret, span_of(&c, 1));
        }
        frames = span_skip(frames, len);
    }
}

/* Feeds frames in both roles, whole and cut at every byte, and byte by byte. */
static void expect_rules(struct span frames, const char *expected, struct ws_rules rules)
{
    struct transcript masked = {0};
    mask_frames(frames, &masked);
    for (int role = WS_SERVER; role <= WS_CLIENT; role++) {
        rules.role = (enum ws_role)role;
        struct span input = role == WS_SERVER ? transcript_span(&masked) : frames;
        for (size_t cut = 0; cut <= input.len; cut++) {
            struct transcript said = {0};
            feed_ws(&rules, input, cut, cut == 0, &said);
            assert_span(transcript_span(&said), span_from(expected));
            transcript_free(&said);
        }
    }
    transcript_free(&masked);
}

static void expect_max(struct span frames, const char *expected, uint64_t message_max)
{
    expect_rules(frames, expected, (struct ws_rules){.message_bytes_max = message_max});
}

static void expect_deflate(struct span frames, const char *expected)
{
    expect_rules(frames, expected,
                 (struct ws_rules){.deflate = true, .message_bytes_max = MESSAGE_MAX});
}

static void expect(struct span frames, const char *expected)
{
    expect_max(frames, expected, MESSAGE_MAX);
}

/* 1.x */
static void test_messages(void **state)
{
    (void)state;
    expect(SPAN("\x81\x00"), "t() .");
    expect(SPAN("\x82\x00"), "b() .");
    expect(SPAN("\x81\x05Hello"), "t(Hello) .");
    expect(SPAN("\x82\x04\xff\xfe\xfd\xfc"), "b(\xff\xfe\xfd\xfc) .");
    expect(SPAN("\x81\x01"
                "a\x82\x01"
                "b\x81\x01"
                "c"),
           "t(a) b(b) t(c) .");
    expect(SPAN("\x81\x05Hel"), ".");
    expect(SPAN(""), ".");
}

static void test_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {125, 126, 127, 128, 65535, 65536};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct transcript frame = {0}, expected = {0}, said = {0};
        struct ws_frame_head head = {.length = lengths[i], .opcode = WS_TEXT, .fin = true};
        struct ws_rules rules = {.role = WS_CLIENT, .message_bytes_max = 65536};
        char buf[WS_FRAME_HEAD_MAX];
        transcript_add(&frame, span_of(buf, ws_frame_head_write(buf, &head)));
        transcript_add(&expected, SPAN("t("));
        for (size_t k = 0; k < lengths[i]; k++) {
            transcript_add(&frame, SPAN("*"));
            transcript_add(&expected, SPAN("*"));
        }
        transcript_add(&expected, SPAN(") ."));
        assert_true(feed_ws(&rules, transcript_span(&frame), 3, 997, &said));
        assert_span(transcript_span(&said), transcript_span(&expected));
        transcript_free(&frame);
        transcript_free(&expected);
        transcript_free(&said);
    }
}

/* 2.x */
static void test_pings_and_pongs(void **state)
{
    (void)state;
    char frame[2 + WS_CONTROL_MAX], expected[WS_CONTROL_MAX + 16];
    expect(SPAN("\x89\x00"), "ping() .");
    expect(SPAN("\x89\x05Hello"), "ping(Hello) .");
    expect(SPAN("\x8a\x00"), "pong() .");
    expect(SPAN("\x8a\x02hi\x89\x01x"), "pong(hi) ping(x) .");
    expect(SPAN("\x89\x03"
                "ab"),
           ".");
    memset(frame, 'p', sizeof frame);
    frame[0] = (char)0x89;
    frame[1] = WS_CONTROL_MAX;
    snprintf(expected, sizeof expected, "ping(%.*s) .", WS_CONTROL_MAX, frame + 2);
    expect(span_of(frame, sizeof frame), expected);
    expect(SPAN("\x89\x7e\x00\x7e"), "control_long.");
}

/* 3.x and 4.x; the table of all first bytes is in test_ws_frame. */
static void test_reserved(void **state)
{
    (void)state;
    expect(SPAN("\x81\x01"
                "a\xc1\x01"
                "b"),
           "t(a) reserved_bits.");
    expect(SPAN("\xa1\x01"
                "b"),
           "reserved_bits.");
    expect(SPAN("\x91\x01"
                "b"),
           "reserved_bits.");
    expect(SPAN("\x83\x00"), "opcode.");
    expect(SPAN("\x87\x00"), "opcode.");
    expect(SPAN("\x81\x01"
                "a\x8b\x00"),
           "t(a) opcode.");
    expect(SPAN("\x8f\x00"), "opcode.");
}

/* 5.x */
static void test_fragments(void **state)
{
    (void)state;
    expect(SPAN("\x01\x03"
                "abc\x80\x03"
                "def"),
           "t(abcdef) .");
    expect(SPAN("\x02\x01"
                "a\x00\x01"
                "b\x00\x01"
                "c\x80\x01"
                "d"),
           "b(abcd) .");
    expect(SPAN("\x01\x00\x00\x00\x80\x00"), "t() .");
    expect(SPAN("\x01\x00\x00\x01x\x80\x00"), "t(x) .");
    expect(SPAN("\x01\x01"
                "a\x89\x01p\x80\x01"
                "b"),
           "ping(p) t(ab) .");
    expect(SPAN("\x01\x01"
                "a\x8a\x00\x89\x00\x00\x01"
                "b\x89\x00\x80\x01"
                "c\x81\x00"),
           "pong() ping() ping() t(abc) t() .");
    expect(SPAN("\x01\x01"
                "a\x88\x02\x03\xe8"),
           "close1000() .");
    expect(SPAN("\x01\x01"
                "a"),
           ".");
    expect(SPAN("\x09\x00"), "control_fragment.");
    expect(SPAN("\x0a\x00"), "control_fragment.");
    expect(SPAN("\x08\x00"), "control_fragment.");
    expect(SPAN("\x80\x01"
                "a"),
           "continuation.");
    expect(SPAN("\x00\x01"
                "a"),
           "continuation.");
    expect(SPAN("\x81\x01"
                "a\x80\x01"
                "b"),
           "t(a) continuation.");
    expect(SPAN("\x01\x01"
                "a\x80\x01"
                "b\x80\x01"
                "c"),
           "t(ab) continuation.");
    expect(SPAN("\x01\x01"
                "a\x81\x01"
                "b"),
           "interleaved.");
    expect(SPAN("\x01\x01"
                "a\x01\x01"
                "b"),
           "interleaved.");
    expect(SPAN("\x02\x00\x82\x00"), "interleaved.");
}

/* 6.x; which texts are valid is tested in test_utf8. */
static void test_utf8(void **state)
{
    (void)state;
    expect(SPAN("\x81\x02\xc3\xa9"), "t(\xc3\xa9) .");
    expect(SPAN("\x01\x01\xc3\x80\x01\xa9"), "t(\xc3\xa9) .");
    expect(SPAN("\x01\x01\xc3\x00\x00\x80\x01\xa9"), "t(\xc3\xa9) .");
    expect(SPAN("\x01\x01\xc3\x89\x01p\x80\x01\xa9"), "ping(p) t(\xc3\xa9) .");
    expect(SPAN("\x01\x02\xf0\x9f\x00\x01\x98\x80\x01\x80"), "t(\xf0\x9f\x98\x80) .");
    expect(SPAN("\x82\x01\xff\x81\x01"
                "a"),
           "b(\xff) t(a) .");
    expect(SPAN("\x81\x01\xff"), "utf8.");
    expect(SPAN("\x81\x01\xc3"), "utf8.");
    expect(SPAN("\x01\x01\xc3\x80\x00"), "utf8.");
    expect(SPAN("\x01\x01\xc3\x80\x01"
                "a"),
           "utf8.");
    expect(SPAN("\x81\x03\xed\xa0\x80"), "utf8.");
    /* 6.4: refused in the middle of a frame that has not ended */
    expect(SPAN("\x81\x7e\x01\x00\xce\xba\xf4\x90"), "utf8.");
    expect(SPAN("\x01\x02\xce\xba\x00\x64\xf4\x90"), "utf8.");
}

/* 7.x */
static void test_close(void **state)
{
    (void)state;
    expect(SPAN("\x88\x00"), "close1005() .");
    expect(SPAN("\x88\x02\x03\xe8"), "close1000() .");
    expect(SPAN("\x88\x05\x0f\xa0"
                "bye"),
           "close4000(bye) .");
    expect(SPAN("\x88\x04\x03\xe9\xc3\xa9"), "close1001(\xc3\xa9) .");
    expect(SPAN("\x88\x01x"), "close_payload.");
    expect(SPAN("\x88\x03\x03\xe8\xc3"), "close_reason.");
    expect(SPAN("\x88\x04\x03\xe8\xce\xff"), "close_reason.");
    expect(SPAN("\x81\x01"
                "a\x88\x00"),
           "t(a) close1005() .");
}

static void test_close_codes(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 65536; code += code < 5100 ? 1 : 101) {
        char frame[] = {(char)0x88, 0x02, (char)(code >> 8), (char)code};
        struct ws_rules rules = {.role = WS_CLIENT};
        struct ws_inbound in = {0};
        struct ws_event event;
        struct ws_input input = {frame, frame + sizeof frame};
        ws_inbound_next(&in, &rules, &input, &event);
        if (ws_close_code_valid(code)) {
            assert_int_equal(event.kind, WS_EVENT_CLOSE);
            assert_int_equal(event.close_code, code);
        } else {
            assert_int_equal(event.kind, WS_EVENT_ERROR);
            assert_int_equal(event.error, WS_ERROR_CLOSE_CODE);
        }
    }
}

/* RFC 7692 section 6: RSV1 is on the first frame of a message, and on no other. What is deflated is
 * no UTF-8 yet. */
static void test_deflated(void **state)
{
    (void)state;
    expect_deflate(SPAN("\xc1\x02\xff\xfe"), "zt(\xff\xfe) .");
    expect_deflate(SPAN("\xc2\x02\xff\xfe\x81\x01"
                        "a"),
                   "zb(\xff\xfe) t(a) .");
    expect_deflate(SPAN("\x41\x01\xff\x89\x01p\x00\x01\xfe\x80\x01\xfd"),
                   "ping(p) zt(\xff\xfe\xfd) .");
    expect_deflate(SPAN("\x81\x01\xff"), "utf8.");
    expect_deflate(SPAN("\x41\x01"
                        "a\xc0\x01"
                        "b"),
                   "reserved_bits.");
    expect_deflate(SPAN("\x01\x01"
                        "a\xc0\x01"
                        "b"),
                   "reserved_bits.");
    expect_deflate(SPAN("\xc9\x00"), "reserved_bits.");
    expect_deflate(SPAN("\xc8\x00"), "reserved_bits.");
    expect_deflate(SPAN("\xa1\x00"), "reserved_bits.");
    expect_deflate(SPAN("\x91\x00"), "reserved_bits.");
    expect_deflate(SPAN("\xe1\x00"), "reserved_bits.");
    expect(SPAN("\xc1\x00"), "reserved_bits.");
}

/* 9.x, and the bound */
static void test_too_big(void **state)
{
    (void)state;
    expect_max(SPAN("\x81\x04"
                    "abcd"),
               "t(abcd) .", 4);
    expect_max(SPAN("\x81\x05"
                    "abcde"),
               "too_big.", 4);
    expect_max(SPAN("\x01\x02"
                    "ab\x80\x02"
                    "cd"),
               "t(abcd) .", 4);
    expect_max(SPAN("\x01\x02"
                    "ab\x80\x03"
                    "cde"),
               "too_big.", 4);
    expect_max(SPAN("\x81\x04"
                    "abcd\x81\x04"
                    "abcd"),
               "t(abcd) t(abcd) .", 4);
    expect_max(SPAN("\x01\x04"
                    "abcd\x89\x01p\x80\x00"),
               "ping(p) t(abcd) .", 4);
    expect_max(SPAN("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), "too_big.", INT64_MAX - 1);
    expect_max(SPAN("\x01\x01"
                    "a\x80\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
               "too_big.", INT64_MAX);
    expect_max(SPAN("\x81\x00"), "t() .", 0);
    expect_max(SPAN("\x81\x01"
                    "a"),
               "too_big.", 0);
}

static void test_mask_is_required_or_forbidden(void **state)
{
    (void)state;
    struct ws_rules server = {.role = WS_SERVER, .message_bytes_max = 10};
    struct ws_rules client = {.role = WS_CLIENT, .message_bytes_max = 10};
    struct transcript said = {0};
    feed_ws(&server,
            SPAN("\x81\x01"
                 "a"),
            9, 0, &said);
    feed_ws(&client,
            SPAN("\x81\x81\0\0\0\0"
                 "a"),
            9, 0, &said);
    assert_span(transcript_span(&said), SPAN("mask.mask."));
    transcript_free(&said);
}

/* What a server relies on to keep nothing for a connection: a whole frame leaves no state behind.
 */
static void test_whole_frames_leave_no_state(void **state)
{
    (void)state;
    static const struct {
        struct span frames;
        bool idle;
    } table[] = {
        {SPAN_INIT("\x81\x01"
                   "a"),
         true},
        {SPAN_INIT("\x81\x01"
                   "a\x89\x01p"),
         true},
        {SPAN_INIT("\x01\x01"
                   "a\x80\x00"),
         true},
        {SPAN_INIT("\x81"), false},
        {SPAN_INIT("\x81\x01"), false},
        {SPAN_INIT("\x81\x02"
                   "a"),
         false},
        {SPAN_INIT("\x01\x01"
                   "a"),
         false},
        {SPAN_INIT("\x01\x01"
                   "a\x89\x00"),
         false},
        {SPAN_INIT("\x89\x02p"), false},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct ws_rules rules = {.role = WS_CLIENT, .message_bytes_max = 10};
        struct transcript said = {0};
        assert_int_equal(feed_ws(&rules, table[i].frames, 99, 0, &said), table[i].idle);
        transcript_free(&said);
    }
}

static void test_a_whole_frame_is_one_event_in_place(void **state)
{
    (void)state;
    char frame[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    struct ws_rules rules = {.role = WS_SERVER, .message_bytes_max = 5};
    struct ws_inbound in = {0};
    struct ws_input input = {frame, frame + sizeof frame - 1};
    struct ws_event event;
    ws_inbound_next(&in, &rules, &input, &event);
    assert_int_equal(event.kind, WS_EVENT_DATA);
    assert_int_equal(event.opcode, WS_TEXT);
    assert_true(event.first && event.last);
    assert_ptr_equal(event.payload, frame + 6);
    assert_span(span_of(event.payload, event.payload_len), SPAN("Hello"));
    assert_ptr_equal(input.at, input.end);
    assert_true(ws_inbound_idle(&in));
}

static void test_errors_are_repeated(void **state)
{
    (void)state;
    char frames[] = "\x80\x01"
                    "a\x81\x01"
                    "a";
    struct ws_rules rules = {.role = WS_CLIENT, .message_bytes_max = 5};
    struct ws_inbound in = {0};
    struct ws_input input = {frames, frames + sizeof frames - 1};
    for (int i = 0; i < 3; i++) {
        struct ws_event event;
        ws_inbound_next(&in, &rules, &input, &event);
        assert_int_equal(event.kind, WS_EVENT_ERROR);
        assert_int_equal(event.error, WS_ERROR_CONTINUATION);
        assert_false(ws_inbound_idle(&in));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_pings_and_pongs),
        cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_deflated),
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_mask_is_required_or_forbidden),
        cmocka_unit_test(test_whole_frames_leave_no_state),
        cmocka_unit_test(test_a_whole_frame_is_one_event_in_place),
        cmocka_unit_test(test_errors_are_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
