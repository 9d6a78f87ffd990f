#include "wire/http3.h"

#include <assert.h>

/* ---- errors ---- */

static const struct {
    uint64_t code;
    const char *name;
} errors[HTTP3_ERROR_NAMES] = {
    {HTTP3_DATAGRAM_ERROR, "datagram_error"},
    {HTTP3_NO_ERROR, "no_error"},
    {HTTP3_GENERAL_PROTOCOL_ERROR, "general_protocol_error"},
    {HTTP3_INTERNAL_ERROR, "internal_error"},
    {HTTP3_STREAM_CREATION_ERROR, "stream_creation_error"},
    {HTTP3_CLOSED_CRITICAL_STREAM, "closed_critical_stream"},
    {HTTP3_FRAME_UNEXPECTED, "frame_unexpected"},
    {HTTP3_FRAME_ERROR, "frame_error"},
    {HTTP3_EXCESSIVE_LOAD, "excessive_load"},
    {HTTP3_ID_ERROR, "id_error"},
    {HTTP3_SETTINGS_ERROR, "settings_error"},
    {HTTP3_MISSING_SETTINGS, "missing_settings"},
    {HTTP3_REQUEST_REJECTED, "request_rejected"},
    {HTTP3_REQUEST_CANCELLED, "request_cancelled"},
    {HTTP3_REQUEST_INCOMPLETE, "request_incomplete"},
    {HTTP3_MESSAGE_ERROR, "message_error"},
    {HTTP3_CONNECT_ERROR, "connect_error"},
    {HTTP3_VERSION_FALLBACK, "version_fallback"},
    {HTTP3_QPACK_DECOMPRESSION_FAILED, "qpack_decompression_failed"},
    {HTTP3_QPACK_ENCODER_STREAM_ERROR, "qpack_encoder_stream_error"},
    {HTTP3_QPACK_DECODER_STREAM_ERROR, "qpack_decoder_stream_error"},
    {HTTP3_WEBTRANSPORT_REJECTED, "webtransport_rejected"},
    {HTTP3_WEBTRANSPORT_GONE, "webtransport_gone"},
    {UINT64_MAX, "other"},
};

unsigned http3_error_index(uint64_t code)
{
    unsigned i = 0;
    while (i < HTTP3_ERROR_NAMES - 1 && errors[i].code != code)
        i++;
    return i;
}

const char *http3_error_name(unsigned index)
{
    assert(index < HTTP3_ERROR_NAMES);
    return errors[index].name;
}

/* ---- numbers ---- */

bool http3_number_take(struct http3_number *number, struct span *bytes, uint64_t *ret)
{
    while (bytes->len > 0) {
        number->bytes[number->have++] = (uint8_t)bytes->ptr[0];
        *bytes = span_skip(*bytes, 1);
        if (number->have < varint_size(number->bytes[0]))
            continue;
        size_t size = varint_read(span_of((const char *)number->bytes, number->have), ret);
        assert(size == number->have);
        number->have = 0;
        return true;
    }
    return false;
}

/* ---- frames ---- */

static bool take_head(struct http3_frames *frames, struct span *bytes)
{
    if (!frames->has_type)
        frames->has_type = http3_number_take(&frames->number, bytes, &frames->type);
    if (!frames->has_type || !http3_number_take(&frames->number, bytes, &frames->left))
        return false;
    frames->has_type = false;
    frames->in_payload = true;
    return true;
}

bool http3_frames_take(struct http3_frames *frames, struct span *bytes, struct http3_piece *ret)
{
    bool begins = !frames->in_payload;
    if (begins && !take_head(frames, bytes))
        return false;
    if (!begins && bytes->len == 0)
        return false;
    size_t part = frames->left < bytes->len ? (size_t)frames->left : bytes->len;
    *ret = (struct http3_piece){
        .type = frames->type,
        .length = frames->left,
        .payload = span_of(bytes->ptr, part),
        .begins = begins,
        .ends = part == frames->left,
    };
    frames->left -= part;
    frames->in_payload = !ret->ends;
    *bytes = span_skip(*bytes, part);
    return true;
}

bool http3_frames_may_end(const struct http3_frames *frames)
{
    return !frames->in_payload && !frames->has_type && frames->number.have == 0;
}

bool http3_type_is_reserved(uint64_t type)
{
    return type == 0x02 || type == 0x06 || type == 0x08 || type == 0x09;
}

size_t http3_frame_head(uint8_t *to, uint64_t type, uint64_t length)
{
    size_t size = varint_write(to, type);
    return size + varint_write(to + size, length);
}

/* ---- settings ---- */

enum {
    SETTING_TABLE_CAPACITY = 0x01,
    SETTING_FIELD_SECTION_MAX = 0x06,
    SETTING_BLOCKED_STREAMS = 0x07,
    SETTING_CONNECT_PROTOCOL = 0x08,
    SETTING_DATAGRAM = 0x33,
    SETTING_WEBTRANSPORT = 0x2b603742, /* draft 02, which is what browsers speak */
    SESSIONS_MAX = 1,
};

#define SETTING_WEBTRANSPORT_SESSIONS UINT64_C(0xc671706a) /* drafts 07 to 12: the same bytes */

/* RFC 9114 section 7.2.4.1: those of HTTP/2 that it does not have. */
static bool is_of_http2(uint64_t id)
{
    return id >= 0x02 && id <= 0x05;
}

static bool said_before(struct span said, uint64_t id)
{
    uint64_t other, value;
    while (said.len > 0) {
        if (!varint_take(&said, &other) || !varint_take(&said, &value) || other == id)
            return true;
    }
    return false;
}

static bool read_switch(bool *ret, uint64_t value)
{
    *ret = value == 1;
    return value <= 1;
}

/* Returns false for a value that it may not have. */
static bool setting_read(struct http3_settings *ret, uint64_t id, uint64_t value)
{
    bool ignored;
    switch (id) {
    case SETTING_FIELD_SECTION_MAX:
        ret->field_section_max = value;
        return true;
    case SETTING_CONNECT_PROTOCOL:
        return read_switch(&ignored, value);
    case SETTING_DATAGRAM:
        return read_switch(&ret->datagrams, value);
    case SETTING_WEBTRANSPORT:
        return read_switch(&ret->webtransport, value);
    default:
        return !is_of_http2(id);
    }
}

uint64_t http3_settings_read(struct http3_settings *ret, struct span payload)
{
    struct span left = payload;
    *ret = (struct http3_settings){.field_section_max = VARINT_MAX};
    while (left.len > 0) {
        struct span said = span_of(payload.ptr, payload.len - left.len);
        uint64_t id, value;
        if (!varint_take(&left, &id) || !varint_take(&left, &value))
            return HTTP3_FRAME_ERROR;
        if (said_before(said, id) || !setting_read(ret, id, value))
            return HTTP3_SETTINGS_ERROR;
    }
    return 0;
}

static size_t setting_write(uint8_t *to, uint64_t id, uint64_t value)
{
    size_t size = varint_write(to, id);
    return size + varint_write(to + size, value);
}

size_t http3_preamble_write(uint8_t *to, uint64_t field_section_max)
{
    uint8_t payload[HTTP3_PREAMBLE_BYTES_MAX];
    size_t len = setting_write(payload, SETTING_FIELD_SECTION_MAX, field_section_max);
    len += setting_write(payload + len, SETTING_CONNECT_PROTOCOL, 1);
    len += setting_write(payload + len, SETTING_DATAGRAM, 1);
    len += setting_write(payload + len, SETTING_WEBTRANSPORT, 1);
    len += setting_write(payload + len, SETTING_WEBTRANSPORT_SESSIONS, SESSIONS_MAX);
    size_t at = varint_write(to, HTTP3_KIND_CONTROL);
    at += http3_frame_head(to + at, HTTP3_SETTINGS, len);
    assert(at + len <= HTTP3_PREAMBLE_BYTES_MAX);
    memcpy(to + at, payload, len);
    return at + len;
}

/* ---- the control stream ---- */

/* What a frame is that has only a number: RFC 9114 sections 7.2.3, 7.2.6 and 7.2.7. */
static uint64_t number_frame(struct http3_control *control, uint64_t type, struct span payload)
{
    uint64_t id;
    if (!varint_take(&payload, &id) || payload.len > 0)
        return HTTP3_FRAME_ERROR;
    switch (type) {
    case HTTP3_MAX_PUSH_ID:
        if (id + 1 < control->max_push_id)
            return HTTP3_ID_ERROR;
        control->max_push_id = id + 1;
        return 0;
    case HTTP3_GOAWAY:
        if (control->goaway > 0 && id + 1 > control->goaway)
            return HTTP3_ID_ERROR;
        control->goaway = id + 1;
        return 0;
    default:
        return HTTP3_ID_ERROR; /* of a push, and none was promised */
    }
}

static bool is_read_whole(uint64_t type)
{
    return type == HTTP3_SETTINGS || type == HTTP3_GOAWAY || type == HTTP3_MAX_PUSH_ID ||
           type == HTTP3_CANCEL_PUSH;
}

static uint64_t frame_begins(const struct http3_control *control, const struct http3_piece *piece)
{
    if (!control->has_settings && piece->type != HTTP3_SETTINGS)
        return HTTP3_MISSING_SETTINGS;
    if (control->has_settings && piece->type == HTTP3_SETTINGS)
        return HTTP3_FRAME_UNEXPECTED;
    if (piece->type == HTTP3_DATA || piece->type == HTTP3_HEADERS ||
        piece->type == HTTP3_PUSH_PROMISE || http3_type_is_reserved(piece->type))
        return HTTP3_FRAME_UNEXPECTED;
    if (is_read_whole(piece->type) && piece->length > HTTP3_CONTROL_BYTES_MAX)
        return HTTP3_EXCESSIVE_LOAD;
    return 0;
}

static uint64_t frame_ends(struct http3_control *control, uint64_t type)
{
    struct span payload = span_of(control->bytes, control->have);
    control->have = 0;
    if (type != HTTP3_SETTINGS)
        return number_frame(control, type, payload);
    control->has_settings = true;
    return http3_settings_read(&control->settings, payload);
}

uint64_t http3_control_input(struct http3_control *control, struct span bytes)
{
    struct http3_piece piece;
    while (http3_frames_take(&control->frames, &bytes, &piece)) {
        uint64_t error = piece.begins ? frame_begins(control, &piece) : 0;
        if (error != 0)
            return error;
        if (!is_read_whole(piece.type))
            continue;
        memcpy(control->bytes + control->have, piece.payload.ptr, piece.payload.len);
        control->have += (uint16_t)piece.payload.len;
        error = piece.ends ? frame_ends(control, piece.type) : 0;
        if (error != 0)
            return error;
    }
    return 0;
}

/* ---- QPACK ---- */

enum {
    SET_CAPACITY_0 = 0x20, /* RFC 9204 section 4.3.1 */
    STREAM_CANCELLATION = 0x40,
    CANCELLATION_BITS = 0x3f,
    NUMBER_BYTES_MAX = 9, /* behind the first: 63 bits */
};

uint64_t http3_encoder_input(struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if ((uint8_t)bytes.ptr[i] != SET_CAPACITY_0)
            return HTTP3_QPACK_ENCODER_STREAM_ERROR;
    return 0;
}

/* RFC 9204 section 4.4: acknowledgements and increments are of a table that there is not. */
uint64_t http3_decoder_input(struct http3_decoder_input *input, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = (uint8_t)bytes.ptr[i];
        if (input->in_number) {
            input->in_number = byte & 0x80;
            if (++input->bytes > NUMBER_BYTES_MAX)
                return HTTP3_QPACK_DECODER_STREAM_ERROR;
            continue;
        }
        if ((byte & 0xc0) != STREAM_CANCELLATION)
            return HTTP3_QPACK_DECODER_STREAM_ERROR;
        input->in_number = (byte & CANCELLATION_BITS) == CANCELLATION_BITS;
        input->bytes = 0;
    }
    return 0;
}
