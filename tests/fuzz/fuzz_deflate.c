#include <errno.h>
#include <stdlib.h>

#include "fuzz.h"
#include "wire/deflate.h"

/* What is deflated is smaller, and becomes again what it was, by a bound that just suffices. */
static void there_and_back(struct deflater *deflater, struct inflater *inflater,
                           struct span payload)
{
    char *area = malloc(payload.len + DEFLATE_ROOM), *bytes;
    size_t bytes_len, len = deflater_message(deflater, area, payload);
    if (len > 0) {
        assert(len < payload.len);
        assert(inflater_message(inflater, span_of(area, len), payload.len, &bytes, &bytes_len) ==
               0);
        assert(span_equal(span_of(bytes, bytes_len), payload));
        free(bytes);
        assert(inflater_message(inflater, span_of(area, len), payload.len - 1, &bytes,
                                &bytes_len) == -EFBIG);
    }
    free(area);
}

/* Pieces, deflated and stored, one behind the other: what a reader of the whole inflates. */
static void pieces(struct deflater *deflater, struct inflater *inflater, struct span text)
{
    struct span front = span_of(text.ptr, text.len / 3), rest = span_skip(text, front.len);
    if (front.len == 0)
        return;
    size_t room = deflate_piece_room(front.len) + deflate_piece_room(rest.len);
    char *area = malloc(room + 1), *bytes;
    size_t len = deflate_piece(deflater, area, front), bytes_len;
    assert(len <= deflate_piece_room(front.len));
    len += deflate_piece(NULL, area + len, rest);
    assert(len <= room);
    /* A message of permessage-deflate ends with an empty block, which is put behind it. */
    area[len] = 0;
    assert(inflater_message(inflater, span_of(area, len + 1), text.len, &bytes, &bytes_len) == 0);
    assert(span_equal(span_of(bytes, bytes_len), text));
    free(bytes);
    free(area);
}

/* The first byte chooses the window and the bound. What comes is inflated, and the same once more,
 * and so is what it became, if anything. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    uint8_t choice = fuzz_choice(&input);
    size_t max = (size_t)1 << (choice >> 3) % 20;
    struct deflater *deflater = deflater_create(1 + choice % 9, 9 + choice % 7);
    struct inflater *inflater = inflater_create();
    char *bytes = NULL, *again = NULL;
    size_t len = 0, again_len = 0;
    int err = inflater_message(inflater, input, max, &bytes, &len);
    assert(err == 0 || err == -EPROTO || err == -EFBIG);
    assert(inflater_message(inflater, input, max, &again, &again_len) == err);
    assert(span_equal(span_of(again, again_len), span_of(bytes, len)) && len <= max);
    there_and_back(deflater, inflater, input);
    pieces(deflater, inflater, input);
    there_and_back(deflater, inflater, span_of(bytes, len));
    free(bytes);
    free(again);
    deflater_free(deflater);
    inflater_free(inflater);
    return 0;
}
