#include "transport/pushes.h"

#include <assert.h>
#include <stdlib.h>

#include "core/message.h"
#include "transport/compression.h"
#include "transport/encoder_internal.h"
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

/* A delta is one of payloads: those are what a client has only where they are JSON. */
static struct centrifuge_publication push_of(const struct pushes *pushes, unsigned i,
                                             enum telling telling)
{
    struct message *before = i > 0 ? pushes->messages[i - 1] : pushes->before;
    struct span delta = delta_at(pushes->deltas, i);
    struct centrifuge_publication publication = publication_of(pushes->messages[i]);
    if (telling != TELL_WHOLE && publication.event.len == 0)
        publication.coding = CENTRIFUGE_STRING;
    if (delta.len > 0 && publication.form == CENTRIFUGE_JSON &&
        publication_of(before).form == CENTRIFUGE_JSON) {
        publication.coding = CENTRIFUGE_DELTA;
        publication.data = delta;
    }
    return publication;
}

static size_t pushes_size(const struct pushes *pushes, const struct dress *dress,
                          enum telling telling)
{
    size_t size = 0;
    for (unsigned i = 0; i < pushes->count; i++) {
        const struct centrifuge_publication publication = push_of(pushes, i, telling);
        size += dress->front.len + dress->back.len +
                (dress->bare ? centrifuge_bare_push_size
                             : centrifuge_push_size)(name_of(pushes->messages[i]), &publication);
    }
    return dress->websocket ? size - dress->back.len : size;
}

static void pushes_write(struct out *out, const struct pushes *pushes, const struct dress *dress,
                         enum telling telling)
{
    for (unsigned i = 0; i < pushes->count; i++) {
        const struct centrifuge_publication publication = push_of(pushes, i, telling);
        out_span(out, dress->front);
        (dress->bare ? centrifuge_bare_push_write
                     : centrifuge_push_write)(out, name_of(pushes->messages[i]), &publication);
        if (!dress->websocket || i + 1 < pushes->count)
            out_span(out, dress->back);
    }
}

/* Written beside, and deflated from there. */
static struct frame pushes_deflated(struct shard *shard, const struct pushes *pushes,
                                    const struct dress *dress, enum telling telling)
{
    size_t size = pushes_size(pushes, dress, telling);
    assert(size > 0);
    char *plain = malloc(size);
    struct out out, text = out_begin(plain, size);
    if (!plain || !frame_begin(shard, compression_ws_room(size), &out)) {
        free(plain);
        return (struct frame){0};
    }
    pushes_write(&text, pushes, dress, telling);
    assert(!text.overflow);
    out.at += compression_ws_frame(shard, out.at, WS_TEXT, span_of(plain, size));
    free(plain);
    return frame_end(shard, &out);
}

enum {
    HEAD_MAX = HTTP_CHUNK_HEAD_MAX > WS_FRAME_HEAD_MAX ? HTTP_CHUNK_HEAD_MAX : WS_FRAME_HEAD_MAX,
};

struct frame encode_pushes(struct shard *shard, const struct pushes *pushes,
                           struct encoding encoding)
{
    const struct dress dress = dress_of(encoding.format);
    bool chunked = encoding.framing == FRAMING_CHUNK;
    if (encoding.coding == CODING_DEFLATED)
        return pushes_deflated(shard, pushes, &dress, encoding.telling);
    size_t size = pushes_size(pushes, &dress, encoding.telling);
    struct out out;
    if (!frame_begin(shard, HEAD_MAX + size + sizeof HTTP_CHUNK_TAIL, &out))
        return (struct frame){0};
    const struct ws_frame_head head = {.length = size, .opcode = WS_TEXT, .fin = true};
    if (dress.websocket)
        out.at += ws_frame_head_write(out.at, &head);
    else if (chunked)
        out.at += http_chunk_head_write(out.at, size);
    pushes_write(&out, pushes, &dress, encoding.telling);
    if (chunked)
        out_text(&out, HTTP_CHUNK_TAIL);
    return frame_end(shard, &out);
}
