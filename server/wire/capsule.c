#include "wire/capsule.h"

#include <assert.h>

static enum capsule_found close_read(struct capsules *capsules)
{
    capsules->code = 0;
    for (size_t i = 0; i < CAPSULE_CODE_SIZE; i++)
        capsules->code = capsules->code << 8 | (uint8_t)capsules->bytes[i];
    capsules->reason =
        span_of(capsules->bytes + CAPSULE_CODE_SIZE, capsules->have - (size_t)CAPSULE_CODE_SIZE);
    return CAPSULE_CLOSED;
}

enum capsule_found capsules_input(struct capsules *capsules, struct span bytes)
{
    struct http3_piece piece;
    while (http3_frames_take(&capsules->frames, &bytes, &piece)) {
        if (piece.type != CAPSULE_CLOSE)
            continue;
        if (piece.begins &&
            (piece.length < CAPSULE_CODE_SIZE || piece.length > sizeof capsules->bytes))
            return CAPSULE_BAD;
        memcpy(capsules->bytes + capsules->have, piece.payload.ptr, piece.payload.len);
        capsules->have += (uint16_t)piece.payload.len;
        if (piece.ends)
            return close_read(capsules);
    }
    return CAPSULE_NONE;
}

size_t capsule_close_write(uint8_t *to, uint32_t code, struct span reason)
{
    assert(reason.len <= CAPSULE_REASON_MAX);
    size_t at = http3_frame_head(to, CAPSULE_CLOSE, CAPSULE_CODE_SIZE + reason.len);
    for (int shift = 24; shift >= 0; shift -= 8)
        to[at++] = (uint8_t)(code >> shift);
    if (reason.len > 0)
        memcpy(to + at, reason.ptr, reason.len);
    return at + reason.len;
}
