#include "transport/pushes.h"

#include <assert.h>

#include "core/message.h"
#include "transport/publication.h"
#include "wire/http.h"
#include "wire/out.h"
#include "wire/ws.h"

/* What stands around each push. */
struct dress {
    struct span front, back;
    bool websocket; /* the whole is a frame, and `back` not behind the last */
    bool bare;
};

static struct dress dress_of(enum format format)
{
    switch (format) {
    case FORMAT_WS_PUSH:
    case FORMAT_WS_BARE_PUSH:
        return (struct dress){{0}, SPAN("\n"), true, format == FORMAT_WS_BARE_PUSH};
    case FORMAT_LINE_PUSH:
    case FORMAT_LINE_BARE_PUSH:
        return (struct dress){{0}, SPAN("\n"), false, format == FORMAT_LINE_BARE_PUSH};
    case FORMAT_SSE_PUSH:
    case FORMAT_SSE_BARE_PUSH:
        return (struct dress){SPAN("data: "), SPAN("\n\n"), false, format == FORMAT_SSE_BARE_PUSH};
    case FORMAT_WS_RAW:
    case FORMAT_WS_ENVELOPE:
    case FORMAT_WS_RAW_DEFLATED:
    case FORMAT_WS_ENVELOPE_DEFLATED:
    case FORMAT_SSE_ENVELOPE:
    case FORMAT_SSE:
    case FORMAT_ANSWER:
    case FORMAT_ANSWER_RECOVERED:
    case FORMAT_COUNT:
        break;
    }
    assert(!"not of pushes");
}

static struct span name_of(const struct message *message)
{
    return span_of(message_name(message), message->name_len);
}

static size_t pushes_size(struct message *const *messages, unsigned count,
                          const struct dress *dress)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct centrifuge_publication publication = publication_of(messages[i]);
        size += dress->front.len + dress->back.len +
                (dress->bare ? centrifuge_bare_push_size
                             : centrifuge_push_size)(name_of(messages[i]), &publication);
    }
    return dress->websocket ? size - dress->back.len : size;
}

static void pushes_write(struct out *out, struct message *const *messages, unsigned count,
                         const struct dress *dress)
{
    for (unsigned i = 0; i < count; i++) {
        const struct centrifuge_publication publication = publication_of(messages[i]);
        out_span(out, dress->front);
        (dress->bare ? centrifuge_bare_push_write
                     : centrifuge_push_write)(out, name_of(messages[i]), &publication);
        if (!dress->websocket || i + 1 < count)
            out_span(out, dress->back);
    }
}

enum {
    HEAD_MAX = HTTP_CHUNK_HEAD_MAX > WS_FRAME_HEAD_MAX ? HTTP_CHUNK_HEAD_MAX : WS_FRAME_HEAD_MAX,
};

struct frame encode_pushes(struct shard *shard, struct message *const *messages, unsigned count,
                           struct encoding encoding)
{
    const struct dress dress = dress_of(encoding.format);
    bool chunked = encoding.framing == FRAMING_CHUNK;
    size_t size = pushes_size(messages, count, &dress);
    size_t room = HEAD_MAX + size + sizeof HTTP_CHUNK_TAIL;
    char *area = blocks_reserve(&shard->blocks, room);
    if (!area)
        return (struct frame){0};
    struct out out = out_begin(area, room);
    const struct ws_frame_head head = {.length = size, .opcode = WS_TEXT, .fin = true};
    if (dress.websocket)
        out.at += ws_frame_head_write(out.at, &head);
    else if (chunked)
        out.at += http_chunk_head_write(out.at, size);
    pushes_write(&out, messages, count, &dress);
    if (chunked)
        out_text(&out, HTTP_CHUNK_TAIL);
    assert(!out.overflow);
    return blocks_commit(&shard->blocks, (size_t)(out.at - out.start));
}
