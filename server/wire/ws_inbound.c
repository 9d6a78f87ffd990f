/* Frames into messages (RFC 6455 sections 5.4 to 5.6, 6.2, 8.1).
 *
 *     HEAD --data frame--> payload --.      flags & IN_FRAME says that a payload is being read;
 *      ^  '-control frame-> payload -|      message_opcode that a message is open. The two are
 *      '-----------------------------'      independent: a ping may come between two fragments. */
#include <assert.h>

#include "wire/mask.h"
#include "wire/ws.h"

static_assert(sizeof(struct ws_inbound) == 152, "kept only while a frame or a message is partial");

enum {
    IN_FRAME = 1,   /* a frame head has been read; `left`, `key` and `opcode` describe it */
    LAST_FRAME = 2, /* the data frame under way has FIN */
    UNTOLD = 4,     /* no piece of the message has been handed out yet */
    FAILED = 8,     /* `opcode` holds minus the error */
    DEFLATED = 16,  /* the message under way is */
};

bool ws_inbound_idle(const struct ws_inbound *in)
{
    return in->flags == 0 && in->message_opcode == 0 && in->held_count == 0;
}

static void fail(struct ws_inbound *in, int error, struct ws_event *ret)
{
    in->flags = FAILED;
    in->opcode = (uint8_t)-error;
    ret->kind = WS_EVENT_ERROR;
    ret->error = (enum ws_error)error;
}

/* Takes a frame head off the input; one in several pieces is put together in `held`. */
static int head_take(struct ws_inbound *in, const struct ws_rules *rules, struct ws_input *input,
                     struct ws_frame_head *ret)
{
    int size = 0;
    if (in->held_count == 0) {
        size_t available = (size_t)(input->end - input->at);
        size = ws_frame_head_parse(ret, input->at, available, rules->role, rules->deflate);
        if (size > 0)
            input->at += size;
        if (size != 0)
            return size;
    }
    while (size == 0 && input->at < input->end) {
        assert(in->held_count < WS_FRAME_HEAD_MAX);
        in->held[in->held_count++] = (uint8_t)*input->at++;
        size = ws_frame_head_parse(ret, (const char *)in->held, in->held_count, rules->role,
                                   rules->deflate);
    }
    if (size > 0)
        in->held_count = 0;
    return size;
}

static int data_frame_begin(struct ws_inbound *in, const struct ws_rules *rules,
                            const struct ws_frame_head *head)
{
    if (head->opcode == WS_CONTINUATION && in->message_opcode == 0)
        return WS_ERROR_CONTINUATION;
    if (head->opcode != WS_CONTINUATION && in->message_opcode != 0)
        return WS_ERROR_INTERLEAVED;
    if (head->length > rules->message_bytes_max - in->message_bytes)
        return WS_ERROR_TOO_BIG;
    in->message_bytes += head->length;
    if (head->opcode != WS_CONTINUATION) {
        in->message_opcode = head->opcode;
        in->flags |= head->deflated ? UNTOLD | DEFLATED : UNTOLD;
    }
    if (head->fin)
        in->flags |= LAST_FRAME;
    return 0;
}

static int frame_begin(struct ws_inbound *in, const struct ws_rules *rules,
                       const struct ws_frame_head *head)
{
    if (head->opcode < WS_CLOSE) {
        int error = data_frame_begin(in, rules, head);
        if (error)
            return error;
    }
    in->flags |= IN_FRAME;
    in->opcode = head->opcode;
    in->left = head->length;
    memcpy(in->key, head->key, sizeof in->key);
    return 0;
}

/* Takes up to `left` payload bytes off the input, unmasked where they lie. */
static size_t payload_take(struct ws_inbound *in, enum ws_role role, struct ws_input *input)
{
    size_t available = (size_t)(input->end - input->at);
    size_t len = available < in->left ? available : (size_t)in->left;
    if (role == WS_SERVER) {
        mask_apply(input->at, len, in->key);
        mask_rotate(in->key, len);
    }
    input->at += len;
    in->left -= len;
    return len;
}

static void message_end(struct ws_inbound *in)
{
    in->message_opcode = 0;
    in->message_bytes = 0;
    in->flags = 0;
}

/* Hands out what the input has of a data frame; nothing, if that is an empty piece in the middle.
 */
static void data_take(struct ws_inbound *in, const struct ws_rules *rules, struct ws_input *input,
                      struct ws_event *ret)
{
    char *payload = input->at;
    size_t len = payload_take(in, rules->role, input);
    bool last = in->left == 0 && (in->flags & LAST_FRAME);
    if (in->message_opcode == WS_TEXT && !(in->flags & DEFLATED) &&
        (!utf8_feed(&in->utf8, payload, len) || (last && !utf8_complete(&in->utf8)))) {
        fail(in, WS_ERROR_UTF8, ret);
        return;
    }
    if (in->left == 0)
        in->flags &= (uint8_t)~IN_FRAME;
    if (len == 0 && !last)
        return;
    *ret = (struct ws_event){.kind = WS_EVENT_DATA,
                             .opcode = (enum ws_opcode)in->message_opcode,
                             .first = (in->flags & UNTOLD) != 0,
                             .last = last,
                             .deflated = (in->flags & DEFLATED) != 0,
                             .payload = payload,
                             .payload_len = len};
    in->flags &= (uint8_t)~UNTOLD;
    if (last)
        message_end(in);
}

static int close_read(struct ws_event *event)
{
    const uint8_t *bytes = (const uint8_t *)event->payload;
    event->close_code = WS_CLOSE_NO_STATUS;
    if (event->payload_len == 0)
        return 0;
    if (event->payload_len == 1)
        return WS_ERROR_CLOSE_PAYLOAD;
    event->close_code = (uint16_t)(bytes[0] << 8 | bytes[1]);
    event->payload += 2;
    event->payload_len -= 2;
    if (!ws_close_code_valid(event->close_code))
        return WS_ERROR_CLOSE_CODE;
    return utf8_valid(span_of(event->payload, event->payload_len)) ? 0 : WS_ERROR_CLOSE_REASON;
}

static enum ws_event_kind control_kind(unsigned opcode)
{
    return opcode == WS_CLOSE ? WS_EVENT_CLOSE : opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG;
}

/* Hands out a control frame once all of it is there: where it lies if that is one place, else from
 * `held`. */
static void control_take(struct ws_inbound *in, const struct ws_rules *rules,
                         struct ws_input *input, struct ws_event *ret)
{
    char *payload = input->at;
    size_t len = payload_take(in, rules->role, input);
    if (in->held_count > 0 || in->left > 0) {
        assert(in->held_count + len + in->left <= WS_CONTROL_MAX);
        memcpy(in->held + in->held_count, payload, len);
        in->held_count = (uint8_t)(in->held_count + len);
        if (in->left > 0)
            return;
        payload = (char *)in->held;
        len = in->held_count;
        in->held_count = 0;
    }
    in->flags &= (uint8_t)~IN_FRAME;
    *ret = (struct ws_event){.kind = control_kind(in->opcode),
                             .opcode = (enum ws_opcode)in->opcode,
                             .payload = payload,
                             .payload_len = len};
    int error = ret->kind == WS_EVENT_CLOSE ? close_read(ret) : 0;
    if (error)
        fail(in, error, ret);
}

void ws_inbound_next(struct ws_inbound *in, const struct ws_rules *rules, struct ws_input *input,
                     struct ws_event *ret)
{
    *ret = (struct ws_event){.kind = WS_EVENT_NONE};
    if (in->flags & FAILED) {
        fail(in, -(int)in->opcode, ret);
        return;
    }
    do {
        if (!(in->flags & IN_FRAME)) {
            struct ws_frame_head head = {0};
            int size = head_take(in, rules, input, &head);
            int error = size > 0 ? frame_begin(in, rules, &head) : size;
            if (error)
                fail(in, error, ret);
            if (size <= 0 || error)
                return;
        }
        if (in->opcode < WS_CLOSE)
            data_take(in, rules, input, ret);
        else
            control_take(in, rules, input, ret);
    } while (ret->kind == WS_EVENT_NONE && input->at < input->end);
}
