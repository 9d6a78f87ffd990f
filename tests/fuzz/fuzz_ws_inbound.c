#include "feed_ws.h"
#include "fuzz.h"

/* Masks what a client might have sent, so that its frames need not guess their keys: the payload of
 * each whole frame is XORed once, and the parser XORs it back. */
static void mask_frames(char *frames, size_t len, bool deflate)
{
    struct ws_frame_head head;
    for (size_t at = 0; at < len;) {
        int size = ws_frame_head_parse(&head, frames + at, len - at, WS_SERVER, deflate);
        if (size <= 0)
            return;
        at += (size_t)size;
        for (uint64_t i = 0; i < head.length && at < len; i++, at++)
            frames[at] = (char)(frames[at] ^ head.key[i % 4]);
    }
}

/* The first byte chooses the role and whether messages may be deflated, the second the longest
 * message allowed, in units of 16 bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    uint8_t choice = fuzz_choice(&input);
    enum ws_role role = choice % 2 ? WS_CLIENT : WS_SERVER;
    bool deflate = choice & 2;
    struct ws_rules rules = {
        .role = role, .deflate = deflate, .message_bytes_max = (uint64_t)fuzz_choice(&input) * 16};
    char *frames = malloc(input.len > 0 ? input.len : 1);
    assert(frames);
    if (input.len > 0)
        memcpy(frames, input.ptr, input.len);
    if (role == WS_SERVER)
        mask_frames(frames, input.len, deflate);
    input.ptr = frames;

    struct transcript whole = {0};
    bool idle = feed_ws(&rules, input, input.len, 0, &whole);
    for (size_t which = 0; which < FUZZ_CUTS; which++) {
        struct transcript split = {0};
        size_t first;
        uint64_t step;
        fuzz_cut(input, which, &first, &step);
        bool split_idle = feed_ws(&rules, input, first, step, &split);
        assert(split_idle == idle);
        assert(span_equal(transcript_span(&split), transcript_span(&whole)));
        transcript_free(&split);
    }
    transcript_free(&whole);
    free(frames);
    return 0;
}
