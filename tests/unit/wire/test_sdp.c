#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/sdp.h"
#include "wire_test.h"

#define PRINT                                                                                      \
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:"   \
    "ee:ff"
#define HEAD     "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
#define BUNDLE   "a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n"
#define MEDIA    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
#define UFRAG    "a=ice-ufrag:wPzj\r\n"
#define PASSWORD "a=ice-pwd:2mWsTDAT1DfqGk0QeVKFlyTE\r\n"
#define ICE      UFRAG PASSWORD "a=ice-options:trickle\r\n"
#define DTLS     "a=fingerprint:sha-256 " PRINT "\r\na=setup:actpass\r\n"
#define SCTP     "a=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"

/* A block of exactly that size, so that a sanitizer sees one byte too many. */
static int offer_read(struct sdp_offer *ret, struct span text)
{
    static char *block;
    free(block);
    block = malloc(text.len > 0 ? text.len : 1);
    assert_non_null(block);
    memcpy(block, text.ptr, text.len);
    return sdp_offer_read(ret, span_of(block, text.len));
}

static void test_good(void **state)
{
    (void)state;
    static const struct span good[] = {
        SPAN_INIT(HEAD BUNDLE MEDIA ICE DTLS SCTP),
        SPAN_INIT(HEAD ICE DTLS MEDIA SCTP), /* at the session */
        SPAN_INIT(HEAD MEDIA ICE "a=fingerprint:sha-1 AB:CD\r\n" DTLS SCTP
                                 "a=candidate:1 1 udp 1 x.local 9 typ host\r\n"),
        SPAN_INIT("v=0\n" MEDIA ICE DTLS SCTP),
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct sdp_offer offer;
        assert_int_equal(offer_read(&offer, good[i]), 0);
        assert_span(offer.mid, SPAN("0"));
        assert_int_equal(offer.sctp_port, 5000);
        assert_int_equal(offer.message_bytes_max, 262144);
        for (unsigned at = 0; at < SDP_FINGERPRINT_SIZE; at++)
            assert_int_equal(offer.fingerprint[at], at % 16 * 0x11);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    struct sdp_offer offer;
    assert_int_equal(offer_read(&offer, SPAN(HEAD MEDIA ICE DTLS "a=sctp-port:1\r\n")), 0);
    assert_int_equal(offer.message_bytes_max, 65536);
    assert_int_equal(offer.mid.len, 0);
    assert_int_equal(offer_read(&offer, SPAN(HEAD MEDIA ICE DTLS SCTP "a=max-message-size:0\r\n")),
                     0);
    assert_int_equal(offer.message_bytes_max, 0);
    assert_int_equal(
        offer_read(&offer, SPAN(HEAD MEDIA ICE DTLS SCTP "a=max-message-size:9999999999\r\n")), 0);
    assert_int_equal(offer.message_bytes_max, UINT32_MAX);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        enum sdp_error error;
    } bad[] = {
        {SPAN_INIT(""), SDP_SYNTAX},
        {SPAN_INIT("v=1\r\n"), SDP_VERSION},
        {SPAN_INIT("hello"), SDP_VERSION},
        {SPAN_INIT(HEAD MEDIA ICE DTLS SCTP "x"), SDP_SYNTAX},
        {SPAN_INIT(HEAD MEDIA ICE DTLS SCTP "xy\r\n"), SDP_SYNTAX},
        {SPAN_INIT(HEAD MEDIA ICE DTLS SCTP "a=x\ry\r\n"), SDP_SYNTAX},
        {SPAN_INIT(HEAD MEDIA ICE DTLS SCTP "a=x\0y\r\n"), SDP_SYNTAX},
        {SPAN_INIT(HEAD MEDIA ICE DTLS SCTP "a=mid:a b\r\n"), SDP_SYNTAX},
        {SPAN_INIT(HEAD ICE DTLS SCTP), SDP_MEDIA},
        {SPAN_INIT(HEAD MEDIA MEDIA ICE DTLS SCTP), SDP_MEDIA},
        {SPAN_INIT(HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" ICE DTLS SCTP), SDP_MEDIA},
        {SPAN_INIT(HEAD "m=application 9 DTLS/SCTP 5000\r\n" ICE DTLS SCTP), SDP_MEDIA},
        {SPAN_INIT(HEAD "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n" ICE DTLS SCTP),
         SDP_MEDIA},
        {SPAN_INIT(HEAD MEDIA UFRAG DTLS SCTP), SDP_ICE},
        {SPAN_INIT(HEAD MEDIA PASSWORD DTLS SCTP), SDP_ICE},
        {SPAN_INIT(HEAD MEDIA ICE "a=ice-ufrag:abc\r\n" DTLS SCTP), SDP_ICE},
        {SPAN_INIT(HEAD MEDIA ICE "a=ice-ufrag:ab:d\r\n" DTLS SCTP), SDP_ICE},
        {SPAN_INIT(HEAD "a=ice-lite\r\n" MEDIA ICE DTLS SCTP), SDP_ICE},
        {SPAN_INIT(HEAD MEDIA ICE "a=setup:active\r\n" SCTP), SDP_FINGERPRINT},
        {SPAN_INIT(HEAD MEDIA ICE "a=fingerprint:sha-256 00:11\r\n" SCTP), SDP_FINGERPRINT},
        {SPAN_INIT(HEAD MEDIA ICE DTLS "a=setup:passive\r\n" SCTP), SDP_SETUP},
        {SPAN_INIT(HEAD MEDIA ICE "a=fingerprint:sha-256 " PRINT "\r\n" SCTP), SDP_SETUP},
        {SPAN_INIT(HEAD MEDIA ICE DTLS), SDP_SCTP},
        {SPAN_INIT(HEAD MEDIA ICE DTLS "a=sctp-port:0\r\n"), SDP_SCTP},
        {SPAN_INIT(HEAD MEDIA ICE DTLS "a=sctp-port:65536\r\n"), SDP_SCTP},
        {SPAN_INIT(HEAD MEDIA ICE DTLS "a=sctp-port:05000\r\n"), SDP_SCTP},
        {SPAN_INIT(HEAD MEDIA ICE DTLS SCTP "a=max-message-size:-1\r\n"), SDP_SCTP},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct sdp_offer offer;
        int error = offer_read(&offer, bad[i].text);
        if (error != (int)bad[i].error)
            print_error("case %zu\n", i);
        assert_int_equal(error, bad[i].error);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    static char text[SDP_OFFER_MAX + 1];
    static const char good[] = HEAD MEDIA ICE DTLS SCTP;
    struct sdp_offer offer;
    size_t at = sizeof good - 1;
    memcpy(text, good, at);
    /* Lines of the longest, as many as fit, and one that fills the rest. */
    while (at < SDP_OFFER_MAX) {
        size_t room = SDP_OFFER_MAX - at;
        size_t len = room > 2 * (SDP_LINE_MAX + 2) ? SDP_LINE_MAX
                     : room > SDP_LINE_MAX + 2     ? room / 2
                                                   : room - 2;
        memset(text + at, 'x', len);
        text[at + 1] = '=';
        memcpy(text + at + len, "\r\n", 2);
        at += len + 2;
    }
    assert_int_equal(offer_read(&offer, span_of(text, SDP_OFFER_MAX)), 0);
    assert_int_equal(offer_read(&offer, span_of(text, SDP_OFFER_MAX + 1)), SDP_SYNTAX);
    at = sizeof good - 1;
    memset(text + at, 'x', SDP_LINE_MAX + 1);
    text[at + 1] = '=';
    text[at + SDP_LINE_MAX + 1] = '\n';
    assert_int_equal(offer_read(&offer, span_of(text, at + SDP_LINE_MAX + 2)), SDP_SYNTAX);
}

static void test_answer(void **state)
{
    (void)state;
    struct sdp_answer answer = {
        .mid = SPAN("data"),
        .ufrag = SPAN("AAAAAAAAbbbb"),
        .password = SPAN("0123456789abcdef01234567"),
        .address_count = 2,
        .port = 9347,
        .sctp_port = 5000,
        .message_bytes_max = 65536,
        .session = UINT64_MAX,
    };
    char text[SDP_ANSWER_MAX], mid[64];
    for (unsigned i = 0; i < SDP_FINGERPRINT_SIZE; i++)
        answer.fingerprint[i] = (uint8_t)(i % 16 * 0x11);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &answer.addresses[0]), 1);
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &answer.addresses[1]), 1);
    int len = sdp_answer_write(text, sizeof text, &answer);
    assert_true(len > 0);
    static const char expected[] =
        "v=0\r\no=- 9223372036854775807 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n"
        "a=group:BUNDLE data\r\nm=application 9347 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        "c=IN IP4 192.0.2.1\r\na=mid:data\r\na=ice-ufrag:AAAAAAAAbbbb\r\n"
        "a=ice-pwd:0123456789abcdef01234567\r\na=fingerprint:sha-256 "
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n"
        "a=setup:passive\r\na=sctp-port:5000\r\na=max-message-size:65536\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.1 9347 typ host\r\n"
        "a=candidate:2 1 udp 2130706175 2001:db8::1 9347 typ host\r\na=end-of-candidates\r\n";
    assert_span(span_of(text, (size_t)len), span_from(expected));
    for (int size = 0; size < len; size++)
        assert_int_equal(sdp_answer_write(text, (size_t)size, &answer), -ENOBUFS);
    /* The longest of all fits. */
    memset(mid, 'm', SDP_MID_MAX);
    answer.mid = span_of(mid, SDP_MID_MAX);
    memset(&answer.addresses, 0xff, sizeof answer.addresses);
    answer.message_bytes_max = UINT32_MAX;
    assert_true(sdp_answer_write(text, sizeof text, &answer) > 0);
    /* Without a name, without a group. */
    answer.mid.len = 0;
    len = sdp_answer_write(text, sizeof text, &answer);
    assert_null(memmem(text, (size_t)len, "a=mid", 5));
    assert_null(memmem(text, (size_t)len, "a=group", 7));
}

/* What either side writes the other reads. */
static void test_other_side(void **state)
{
    (void)state;
    static const uint8_t print[SDP_FINGERPRINT_SIZE] = "a fingerprint of thirty-two byte";
    char text[SDP_ANSWER_MAX];
    struct sdp_offer offer;
    int len = sdp_offer_write(text, sizeof text, SPAN("wPzj"), SPAN("2mWsTDAT1DfqGk0QeVKFlyTE"),
                              print, 5000);
    assert_true(len > 0);
    assert_int_equal(offer_read(&offer, span_of(text, (size_t)len)), 0);
    assert_memory_equal(offer.fingerprint, print, sizeof print);
    assert_int_equal(offer.sctp_port, 5000);
    assert_int_equal(
        sdp_offer_write(text, 100, SPAN("wPzj"), SPAN("2mWsTDAT1DfqGk0QeVKFlyTE"), print, 5000),
        -ENOBUFS);
    struct sdp_answer read, answer = {
                                .mid = SPAN("0"),
                                .ufrag = SPAN("AAAAAAAAbbbb"),
                                .password = SPAN("0123456789abcdef01234567"),
                                .addresses = {{.s6_addr = {[10] = 255, 255, 192, 0, 2, 1}}},
                                .address_count = 1,
                                .port = 3478,
                                .sctp_port = 5000,
                                .message_bytes_max = 65536,
                            };
    len = sdp_answer_write(text, sizeof text, &answer);
    assert_int_equal(sdp_answer_read(&read, span_of(text, (size_t)len)), 0);
    assert_true(span_equal(read.ufrag, answer.ufrag) && span_equal(read.password, answer.password));
    assert_memory_equal(&read.addresses[0], &answer.addresses[0], sizeof answer.addresses[0]);
    assert_int_equal(read.port, answer.port);
    assert_int_equal(read.sctp_port, answer.sctp_port);
    assert_int_equal(read.message_bytes_max, answer.message_bytes_max);
    /* An offer is none, nor is an answer without an IPv4 candidate. */
    assert_int_equal(sdp_answer_read(&read, SPAN(HEAD MEDIA ICE DTLS SCTP)), SDP_SETUP);
    memset(&answer.addresses[0], 0x20, sizeof answer.addresses[0]);
    len = sdp_answer_write(text, sizeof text, &answer);
    assert_int_equal(sdp_answer_read(&read, span_of(text, (size_t)len)), SDP_ICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_answer), cmocka_unit_test(test_other_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
