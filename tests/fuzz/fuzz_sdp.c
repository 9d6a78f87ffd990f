#include "fuzz.h"
#include "wire/sdp.h"

/* The ends of the lines are told with and without CR; a good offer's answer fits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sdp_offer offer, bare;
    static char without[SDP_OFFER_MAX], answer[SDP_ANSWER_MAX];
    struct sdp_answer read;
    if (sdp_answer_read(&read, fuzz_input(data, size)) == 0)
        assert(read.port > 0 && read.ufrag.len > 0 && read.password.len > 0);
    int err = sdp_offer_read(&offer, fuzz_input(data, size));
    assert(err <= 0 && err >= SDP_SCTP);
    if (err < 0)
        return 0;
    size_t len = 0;
    for (size_t i = 0; i < size; i++)
        if (data[i] != '\r')
            without[len++] = (char)data[i];
    assert(sdp_offer_read(&bare, span_of(without, len)) == 0);
    assert(span_equal(bare.mid, offer.mid) && bare.sctp_port == offer.sctp_port);
    assert(memcmp(bare.fingerprint, offer.fingerprint, sizeof bare.fingerprint) == 0);
    struct sdp_answer made = {
        .mid = offer.mid,
        .ufrag = SPAN("AAAAAAAAbbbb"),
        .password = SPAN("0123456789abcdef01234567"),
        .address_count = 1,
        .port = UINT16_MAX,
        .sctp_port = offer.sctp_port,
        .message_bytes_max = offer.message_bytes_max,
        .session = UINT64_MAX,
    };
    memset(&made.addresses, 0xff, sizeof made.addresses);
    assert(sdp_answer_write(answer, sizeof answer, &made) > 0);
    return 0;
}
