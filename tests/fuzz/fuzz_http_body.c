#include "feed_http.h"
#include "fuzz.h"

/* The first byte is the framing, the second the longest body allowed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    enum http_framing framing = (enum http_framing)(fuzz_choice(&input) % 4);
    uint64_t body_max = fuzz_choice(&input);
    struct http_body body;
    struct transcript whole = {0};
    size_t whole_used;
    if (http_body_init(&body, framing, input.len / 2, body_max) < 0)
        return 0;
    int result = feed_body(body, input, input.len, 0, &whole, &whole_used);
    assert(whole.len <= body_max && whole_used <= input.len);
    for (size_t which = 0; which < FUZZ_CUTS; which++) {
        struct transcript split = {0};
        size_t first, used;
        uint64_t step;
        fuzz_cut(input, which, &first, &step);
        int split_result = feed_body(body, input, first, step, &split, &used);
        assert(split_result == result && used == whole_used);
        assert(span_equal(transcript_span(&split), transcript_span(&whole)));
        transcript_free(&split);
    }
    transcript_free(&whole);
    return 0;
}
