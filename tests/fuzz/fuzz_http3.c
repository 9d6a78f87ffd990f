#include "fuzz.h"
#include "wire/capsule.h"
#include "wire/http3.h"

/* The same bytes in other pieces are the same frames, and the same errors, on a request's stream,
 * the control stream, those of QPACK, and that of a session of WebTransport. */

static void feed_frames(struct http3_frames *frames, struct span bytes, struct transcript *to)
{
    struct http3_piece piece;
    while (http3_frames_take(frames, &bytes, &piece)) {
        assert(piece.payload.len <= piece.length);
        if (piece.begins) {
            transcript_add(to, SPAN("["));
            transcript_number(to, (long long)piece.type);
            transcript_add(to, SPAN(" "));
            transcript_number(to, (long long)piece.length);
            transcript_add(to, SPAN("|"));
        }
        transcript_add(to, piece.payload);
        if (piece.ends)
            transcript_add(to, SPAN("]"));
    }
    assert(bytes.len == 0);
}

static void feed_streams(struct http3_control *control, struct http3_decoder_input *decoder,
                         struct span bytes, uint64_t errors[3])
{
    if (errors[0] == 0)
        errors[0] = http3_control_input(control, bytes);
    if (errors[1] == 0)
        errors[1] = http3_decoder_input(decoder, bytes);
    if (errors[2] == 0)
        errors[2] = http3_encoder_input(bytes);
}

struct fed_capsules {
    struct capsules capsules;
    enum capsule_found found;
};

/* What is found, and the close. */
static void feed_capsules(struct fed_capsules *capsules, struct span bytes, struct transcript *to)
{
    if (capsules->found != CAPSULE_NONE)
        return;
    capsules->found = capsules_input(&capsules->capsules, bytes);
    if (capsules->found == CAPSULE_NONE)
        return;
    transcript_number(to, capsules->found);
    transcript_number(to, capsules->capsules.code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    struct http3_frames whole = {0};
    struct http3_control control = {0};
    struct http3_decoder_input decoder = {0};
    struct transcript said = {0};
    uint64_t errors[3] = {0};
    transcript_add(&said, SPAN(""));
    struct fed_capsules capsules = {0};
    feed_frames(&whole, input, &said);
    feed_capsules(&capsules, input, &said);
    feed_streams(&control, &decoder, input, errors);
    for (size_t which = 0; which < FUZZ_CUTS; which++) {
        struct http3_frames frames = {0};
        struct fed_capsules capsules_again = {0};
        struct http3_control again = {0};
        struct http3_decoder_input decoder_again = {0};
        struct transcript said_again = {0}, closed_again = {0};
        uint64_t errors_again[3] = {0}, step;
        size_t first;
        transcript_add(&said_again, SPAN(""));
        transcript_add(&closed_again, SPAN(""));
        fuzz_cut(input, which, &first, &step);
        struct pieces pieces = pieces_begin(input, first, step);
        while (pieces_next(&pieces)) {
            struct span piece = span_of(pieces.piece, pieces.len);
            feed_frames(&frames, piece, &said_again);
            feed_capsules(&capsules_again, piece, &closed_again);
            feed_streams(&again, &decoder_again, piece, errors_again);
        }
        pieces_end(&pieces);
        transcript_add(&said_again, transcript_span(&closed_again));
        transcript_free(&closed_again);
        assert(span_equal(transcript_span(&said), transcript_span(&said_again)));
        assert(http3_frames_may_end(&whole) == http3_frames_may_end(&frames));
        for (int i = 0; i < 3; i++)
            assert(errors[i] == errors_again[i]);
        transcript_free(&said_again);
    }
    transcript_free(&said);
    return 0;
}
