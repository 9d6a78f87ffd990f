#include "wire/capsule.h"

#include <assert.h>

static void close_input(struct capsules *capsules, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++, capsules->have++)
        if (capsules->have < CAPSULE_CODE_SIZE)
            capsules->code = capsules->code << 8 | (uint8_t)bytes.ptr[i];
}

enum capsule_found capsules_input(struct capsules *capsules, struct span bytes)
{
    struct http3_piece piece;
    while (http3_frames_take(&capsules->frames, &bytes, &piece)) {
        if (piece.type != CAPSULE_CLOSE)
            continue;
        if (piece.begins && (piece.length < CAPSULE_CODE_SIZE ||
                             piece.length > CAPSULE_CODE_SIZE + CAPSULE_REASON_MAX))
            return CAPSULE_BAD;
        close_input(capsules, piece.payload);
        if (piece.ends)
            return CAPSULE_CLOSED;
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
