/* http3: what HTTP/3 puts on the streams of QUIC (RFC 9114, RFC 9204, RFC 9297), as bytes.
 *
 *   request stream   │ type │ length │ payload … │ type │ length │ payload … │ end
 *   a client's uni   │ kind │ control: SETTINGS, then other frames
 *   stream           │ kind │ instructions of QPACK
 *
 * Idea     Pieces of a stream come in any length. What is kept between them is a number that is not
 *          all there, and of a payload how much is still to come: payloads themselves go by.
 * Errors   Codes of RFC 9114 section 8.1 and RFC 9204 section 6, as they are sent; 0: none.
 * Threads  any.
 * Memory   the caller's.
 * Bounds   HTTP3_CONTROL_BYTES_MAX for the payload of a frame that is read whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"
#include "wire/varint.h"

enum http3_error {
    HTTP3_DATAGRAM_ERROR = 0x33,
    HTTP3_NO_ERROR = 0x100,
    HTTP3_GENERAL_PROTOCOL_ERROR = 0x101,
    HTTP3_INTERNAL_ERROR = 0x102,
    HTTP3_STREAM_CREATION_ERROR = 0x103,
    HTTP3_CLOSED_CRITICAL_STREAM = 0x104,
    HTTP3_FRAME_UNEXPECTED = 0x105,
    HTTP3_FRAME_ERROR = 0x106,
    HTTP3_EXCESSIVE_LOAD = 0x107,
    HTTP3_ID_ERROR = 0x108,
    HTTP3_SETTINGS_ERROR = 0x109,
    HTTP3_MISSING_SETTINGS = 0x10a,
    HTTP3_REQUEST_REJECTED = 0x10b,
    HTTP3_REQUEST_CANCELLED = 0x10c,
    HTTP3_REQUEST_INCOMPLETE = 0x10d,
    HTTP3_MESSAGE_ERROR = 0x10e,
    HTTP3_CONNECT_ERROR = 0x10f,
    HTTP3_VERSION_FALLBACK = 0x110,
    HTTP3_QPACK_DECOMPRESSION_FAILED = 0x200,
    HTTP3_QPACK_ENCODER_STREAM_ERROR = 0x201,
    HTTP3_QPACK_DECODER_STREAM_ERROR = 0x202,
    HTTP3_WEBTRANSPORT_REJECTED = 0x3994bd84, /* a stream of a session that is not there */
    HTTP3_WEBTRANSPORT_GONE = 0x170d7b68,     /* or not any more */
};

/* Its name as it stands in metrics; "other" for a code that is none of these. Indices from 0 to
 * HTTP3_ERROR_NAMES - 1 stand for all of them. */
enum {
    HTTP3_ERROR_NAMES = 24,
};
unsigned http3_error_index(uint64_t code);
const char *http3_error_name(unsigned index);

enum http3_frame_type {
    HTTP3_WEBTRANSPORT_STREAM = 0x41, /* section 4.2: no frame; what follows is not in frames */
    HTTP3_DATA = 0x00,
    HTTP3_HEADERS = 0x01,
    HTTP3_CANCEL_PUSH = 0x03,
    HTTP3_SETTINGS = 0x04,
    HTTP3_PUSH_PROMISE = 0x05,
    HTTP3_GOAWAY = 0x07,
    HTTP3_MAX_PUSH_ID = 0x0d,
};

/* Of a unidirectional stream: its first number. */
enum http3_stream_kind {
    HTTP3_KIND_WEBTRANSPORT = 0x54, /* draft-ietf-webtrans-http3-02 section 4.1 */
    HTTP3_KIND_CONTROL = 0x00,
    HTTP3_KIND_PUSH = 0x01,
    HTTP3_KIND_ENCODER = 0x02,
    HTTP3_KIND_DECODER = 0x03,
};

/* ---- numbers that come in pieces ---- */

struct http3_number {
    uint8_t bytes[VARINT_BYTES_MAX];
    uint8_t have;
};

/* Takes bytes off the front of `bytes` until the number is all there. Returns whether it is; the
 * next number can then be taken by the same. */
bool http3_number_take(struct http3_number *number, struct span *bytes, uint64_t *ret);

/* ---- frames ---- */

struct http3_frames {
    struct http3_number number; /* of the head of the next frame */
    uint64_t type;
    uint64_t left; /* of the payload */
    bool has_type;
    bool in_payload;
};

struct http3_piece {
    uint64_t type;
    uint64_t length;     /* of the payload that was still to come, with this piece */
    struct span payload; /* what came of it */
    bool begins;         /* its head came in this piece */
    bool ends;
};

/* Takes the next piece of a frame off the front of `bytes`. Returns false when they are all taken
 * and there is none. A head by itself is a piece, and so is the end of an empty frame. */
bool http3_frames_take(struct http3_frames *frames, struct span *bytes, struct http3_piece *ret);

/* Whether a stream may end here: between two frames. */
bool http3_frames_may_end(const struct http3_frames *frames);

/* RFC 9114 section 7.2.8: types that HTTP/2 has and HTTP/3 has not. */
bool http3_type_is_reserved(uint64_t type);

/* The head of a frame: returns its size. There is room for twice VARINT_BYTES_MAX. */
size_t http3_frame_head(uint8_t *to, uint64_t type, uint64_t length);

/* ---- the control stream ---- */

enum {
    HTTP3_CONTROL_BYTES_MAX = 1024,
};

struct http3_settings {
    uint64_t field_section_max; /* VARINT_MAX: not said */
    bool datagrams;             /* SETTINGS_H3_DATAGRAM */
    bool webtransport;          /* SETTINGS_ENABLE_WEBTRANSPORT of draft 02 */
};

/* Reads the payload of SETTINGS. Returns an error, or 0. */
uint64_t http3_settings_read(struct http3_settings *ret, struct span payload);

/* Ours, as the first bytes of our control stream; returns their size, at most
 * HTTP3_PREAMBLE_BYTES_MAX. */
enum {
    HTTP3_PREAMBLE_BYTES_MAX = 64,
};
size_t http3_preamble_write(uint8_t *to, uint64_t field_section_max);

struct http3_control {
    struct http3_frames frames;
    struct http3_settings settings;
    uint64_t max_push_id; /* what was said last, and one; 0: nothing was */
    uint64_t goaway;      /* likewise */
    uint16_t have;        /* of `bytes` */
    bool has_settings;
    char bytes[HTTP3_CONTROL_BYTES_MAX];
};

/* Understands what came on a client's control stream. Returns an error, or 0. */
uint64_t http3_control_input(struct http3_control *control, struct span bytes);

/* ---- QPACK without a dynamic table ---- */

/* What a client may say to a decoder that has no table: that it will use none. */
uint64_t http3_encoder_input(struct span bytes);

/* What it may say to an encoder that has none: that it has given a stream up. */
struct http3_decoder_input {
    bool in_number; /* a number of several bytes is not all there */
    uint8_t bytes;  /* of it */
};
uint64_t http3_decoder_input(struct http3_decoder_input *input, struct span bytes);
