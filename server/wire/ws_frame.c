/* Frame heads and control frames (RFC 6455 sections 5.2, 5.5, 7.4). */
#include <assert.h>

#include "wire/mask.h"
#include "wire/ws.h"

enum {
    FIN = 0x80,
    DEFLATED = 0x40, /* RSV1 */
    RESERVED = 0x70,
    OPCODE = 0x0F,
    MASKED = 0x80,
    LENGTH = 0x7F,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

static bool is_control(unsigned opcode)
{
    return (opcode & 0x8) != 0;
}

/* RSV1 belongs to the first frame of a message (RFC 7692 section 6). */
static int first_byte_check(uint8_t byte, bool deflate)
{
    unsigned opcode = byte & OPCODE;
    bool may_deflate = deflate && (opcode == WS_TEXT || opcode == WS_BINARY);
    if (byte & RESERVED & ~(may_deflate ? DEFLATED : 0))
        return WS_ERROR_RESERVED_BITS;
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return WS_ERROR_OPCODE;
    if (is_control(opcode) && !(byte & FIN))
        return WS_ERROR_CONTROL_FRAGMENT;
    return 0;
}

static int second_byte_check(unsigned opcode, uint8_t byte, enum ws_role role)
{
    if (((byte & MASKED) != 0) != (role == WS_SERVER))
        return WS_ERROR_MASK;
    if (is_control(opcode) && (byte & LENGTH) > WS_CONTROL_MAX)
        return WS_ERROR_CONTROL_LONG;
    return 0;
}

static uint64_t big_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

int ws_frame_head_parse(struct ws_frame_head *ret, const char *buf, size_t len, enum ws_role role,
                        bool deflate)
{
    const uint8_t *bytes = (const uint8_t *)buf;
    int error = len >= 1 ? first_byte_check(bytes[0], deflate) : 0;
    if (error == 0 && len >= 2)
        error = second_byte_check(bytes[0] & OPCODE, bytes[1], role);
    if (error || len < 2)
        return error;

    unsigned length = bytes[1] & LENGTH;
    size_t extended = length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
    if (len < 2 + extended)
        return 0;
    ret->length = extended ? big_endian(bytes + 2, extended) : length;
    if ((extended == 2 && ret->length < LENGTH_16) ||
        (extended == 8 && ret->length <= UINT16_MAX) || ret->length > INT64_MAX)
        return WS_ERROR_LENGTH;

    ret->fin = (bytes[0] & FIN) != 0;
    ret->deflated = (bytes[0] & DEFLATED) != 0;
    ret->opcode = bytes[0] & OPCODE;
    ret->masked = role == WS_SERVER;
    size_t size = 2 + extended + (ret->masked ? sizeof ret->key : 0);
    if (len < size)
        return 0;
    if (ret->masked)
        memcpy(ret->key, bytes + 2 + extended, sizeof ret->key);
    return (int)size;
}

size_t ws_frame_head_size(uint64_t payload_length)
{
    return payload_length < LENGTH_16 ? 2 : payload_length <= UINT16_MAX ? 4 : 10;
}

size_t ws_frame_head_write(char buf[WS_FRAME_HEAD_MAX], const struct ws_frame_head *head)
{
    uint8_t first =
        (uint8_t)(head->opcode | (head->fin ? FIN : 0) | (head->deflated ? DEFLATED : 0));
    assert(first_byte_check(first, true) == 0);
    assert(head->length <= INT64_MAX);
    uint8_t *bytes = (uint8_t *)buf;
    size_t size = ws_frame_head_size(head->length);
    bytes[0] = first;
    bytes[1] = (uint8_t)(size == 2 ? head->length : size == 4 ? LENGTH_16 : LENGTH_64);
    for (size_t i = 2; i < size; i++)
        bytes[i] = (uint8_t)(head->length >> 8 * (size - 1 - i));
    if (!head->masked)
        return size;
    bytes[1] |= MASKED;
    memcpy(bytes + size, head->key, sizeof head->key);
    return size + sizeof head->key;
}

size_t ws_control_write(char buf[WS_CONTROL_FRAME_MAX], enum ws_opcode opcode, struct span payload,
                        const uint8_t *key)
{
    assert(is_control(opcode) && payload.len <= WS_CONTROL_MAX);
    struct ws_frame_head head = {
        .length = payload.len, .opcode = (uint8_t)opcode, .fin = true, .masked = key != NULL};
    if (key)
        memcpy(head.key, key, sizeof head.key);
    size_t size = ws_frame_head_write(buf, &head);
    if (payload.len > 0)
        memcpy(buf + size, payload.ptr, payload.len);
    if (key)
        mask_apply(buf + size, payload.len, key);
    return size + payload.len;
}

size_t ws_close_write(char buf[WS_CONTROL_FRAME_MAX], unsigned code, struct span reason,
                      const uint8_t *key)
{
    char payload[WS_CONTROL_MAX];
    if (code == WS_CLOSE_NO_STATUS)
        return ws_control_write(buf, WS_CLOSE, SPAN(""), key);
    assert(ws_close_code_valid(code) && reason.len <= WS_REASON_MAX);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (reason.len > 0)
        memcpy(payload + 2, reason.ptr, reason.len);
    return ws_control_write(buf, WS_CLOSE, span_of(payload, 2 + reason.len), key);
}

bool ws_close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}
