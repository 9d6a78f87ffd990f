/* line_frame: the frames of a WebSocket as its line has them queued, for carriers whose messages
 * have bounds of their own.
 *
 * Threads  The shard's.
 * Memory   The payload lies where it is queued, and is gone when it is consumed.
 * Rules    A frame is queued whole, in one run, and without a mask; nothing else is queued. */
#pragma once

#include "conn/conn.h"
#include "wire/ws.h"

struct line_frame {
    struct span payload;
    uint32_t size; /* with its head */
    uint8_t opcode;
};

/* The frame that a line begins with. Returns false when there is none. */
bool line_frame_first(const struct conn *line, struct line_frame *ret);

/* Whether it is a message, or else about the WebSocket. */
static inline bool line_frame_is_message(const struct line_frame *frame)
{
    return frame->opcode == WS_TEXT || frame->opcode == WS_BINARY;
}

/* Whether another one is queued behind it. */
static inline bool line_frame_has_later(const struct conn *line, const struct line_frame *frame)
{
    return frame->size < conn_queued(line);
}
