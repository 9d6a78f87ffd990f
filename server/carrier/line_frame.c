#include "carrier/line_frame.h"

#include <assert.h>

bool line_frame_first(const struct conn *line, struct line_frame *ret)
{
    struct ws_frame_head head;
    if (!line->out_block)
        return false;
    const char *at = line->out_block->bytes + line->out_at;
    int size = ws_frame_head_parse(&head, at, line->out_len, WS_CLIENT, false);
    assert(size > 0 && (uint64_t)size + head.length <= line->out_len);
    *ret = (struct line_frame){
        .payload = {at + size, (size_t)head.length},
        .size = (uint32_t)((uint64_t)size + head.length),
        .opcode = head.opcode,
    };
    return true;
}
