/* ws: the WebSocket protocol, both roles (RFC 6455).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-+-+-+-+-------+-+-------------+-------------------------------+
 *     |F|R|R|R| opcode|M| length (7)  |  length, 16 bits (if 126) or  |
 *     |I|S|S|S|  (4)  |A|             |  64 bits (if 127)             |
 *     |N|V|V|V|       |S|             |                               |
 *     | |1|2|3|       |K|             |                               |
 *     +-+-+-+-+-------+-+-------------+-------------------------------+
 *     | masking key, 32 bits (from clients, always; from servers, never)
 *     +---------------------------------------------------------------+
 *
 * Threads  any; nothing is shared.
 * Memory   nothing is allocated. Payloads are unmasked in place and handed out inside the caller's
 *          buffer. A struct ws_inbound is needed only while something is half received: between
 *          messages all zero will do, so a server may parse with a zeroed one on the stack and
 *          keep it only if ws_inbound_idle says no.
 * Bounds   message_bytes_max per message, 125 bytes per control frame. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/http.h"
#include "wire/span.h"
#include "wire/utf8.h"

/* ---- handshake (section 4) ---- */

#define WS_KEY_SIZE    24 /* 16 bytes in base64 */
#define WS_ACCEPT_SIZE 28 /* 20 bytes in base64 */

/* Why a handshake was refused; `-error` is an index below WS_HANDSHAKE_COUNT. */
enum ws_handshake_error {
    WS_HANDSHAKE_METHOD = -1,  /* not a GET */
    WS_HANDSHAKE_UPGRADE = -2, /* HTTP/1.0, or Upgrade/Connection do not ask for websocket */
    WS_HANDSHAKE_VERSION = -3, /* Sec-WebSocket-Version is not 13 */
    WS_HANDSHAKE_KEY = -4,     /* Sec-WebSocket-Key is not 16 bytes in base64, or not there once */
    WS_HANDSHAKE_BODY = -5,    /* a body was announced */
    WS_HANDSHAKE_STATUS = -6,  /* client: the answer is not 101 */
    WS_HANDSHAKE_ACCEPT = -7,  /* client: Sec-WebSocket-Accept does not match the key */
    WS_HANDSHAKE_EXTENSION = -8, /* client: an extension we did not ask for */
};
#define WS_HANDSHAKE_COUNT 9

const char *ws_handshake_error_name(enum ws_handshake_error error);
/* The status to refuse with: 400, 405 or 426. With 426 send WS_VERSION_FIELDS. */
int ws_handshake_error_status(enum ws_handshake_error error);
#define WS_VERSION_FIELDS                                                                          \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

/* Whether a request asks for an upgrade to websocket at all, well or badly. */
bool ws_handshake_wanted(const struct http_request *request);

/* Checks a client's opening handshake. Returns 0 and the key, or an enum ws_handshake_error.
 * Origin, protocols and credentials are left to the caller. */
int ws_handshake_check(const struct http_request *request, struct span *ret_key);

/* Whether the client offers this subprotocol (case matters). */
bool ws_handshake_offers(const struct http_request *request, struct span protocol);

/* Checks a server's answer to `key`. Returns 0 or an enum ws_handshake_error. */
int ws_handshake_answer_check(const struct http_response *response, struct span key);

/* The answer that proves that the key was read: base64(SHA-1(key GUID)). */
void ws_accept_key(char ret_accept[WS_ACCEPT_SIZE], struct span key);

/* Write a whole handshake head; `extra` is further fields, each ended by CRLF. Both return the
 * bytes written or -ENOBUFS. `key` is WS_KEY_SIZE bytes of base64. */
int ws_handshake_answer_write(char *buf, size_t size, struct span key, struct span extra);
int ws_handshake_request_write(char *buf, size_t size, struct span target, struct span host,
                               struct span key, struct span extra);

/* ---- frames (section 5.2) ---- */

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

/* Which end we are: a server refuses unmasked frames, a client masked ones. */
enum ws_role {
    WS_SERVER,
    WS_CLIENT,
};

/* Close codes (section 7.4.1 and the IANA registry). */
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire: a close frame without a code */
    WS_CLOSE_ABNORMAL = 1006,  /* never on the wire: no close frame at all */
    WS_CLOSE_INVALID_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_EXTENSION = 1010,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_RESTART = 1012,
    WS_CLOSE_TRY_LATER = 1013,
    WS_CLOSE_BAD_GATEWAY = 1014,
};

/* Whether a peer may send this code: 1000-1003, 1007-1014, 3000-4999. */
bool ws_close_code_valid(unsigned code);

/* Why the inbound bytes were refused; `-error` is an index below WS_ERROR_COUNT. */
enum ws_error {
    WS_ERROR_RESERVED_BITS = -1,    /* one that no extension has given a meaning here */
    WS_ERROR_OPCODE = -2,           /* reserved opcode */
    WS_ERROR_MASK = -3,             /* missing from a client, present from a server */
    WS_ERROR_LENGTH = -4,           /* not the shortest encoding, or over 63 bits */
    WS_ERROR_CONTROL_LONG = -5,     /* a control frame over 125 bytes */
    WS_ERROR_CONTROL_FRAGMENT = -6, /* a control frame without FIN */
    WS_ERROR_CONTINUATION = -7,     /* a continuation of nothing */
    WS_ERROR_INTERLEAVED = -8,      /* a new message inside a fragmented one */
    WS_ERROR_CLOSE_PAYLOAD = -9,    /* a close payload of one byte */
    WS_ERROR_CLOSE_CODE = -10,      /* a close code that may not be sent */
    WS_ERROR_CLOSE_REASON = -11,    /* a close reason that is not UTF-8 */
    WS_ERROR_UTF8 = -12,            /* a text message that is not UTF-8 */
    WS_ERROR_TOO_BIG = -13,         /* a message over message_bytes_max */
};
#define WS_ERROR_COUNT 14

const char *ws_error_name(enum ws_error error);
/* The code to close with: 1002, 1007 or 1009. */
enum ws_close_code ws_error_close_code(enum ws_error error);

#define WS_FRAME_HEAD_MAX    14
#define WS_CONTROL_MAX       125 /* payload of a control frame */
#define WS_REASON_MAX        123 /* reason text of a close frame */
#define WS_CONTROL_FRAME_MAX (6 + WS_CONTROL_MAX)

struct ws_frame_head {
    uint64_t length;
    uint8_t key[4]; /* masking key, if masked */
    uint8_t opcode; /* enum ws_opcode */
    bool fin;
    bool masked;
    bool deflated; /* RSV1: the message that begins here is (RFC 7692 section 6) */
};

/* Parses the head at the start of `buf`, received in `role`, where permessage-deflate is agreed on
 * or not. Returns its length, 0 when more bytes are needed, or an enum ws_error as soon as one is
 * certain. Judges the frame alone, not the sequence. */
int ws_frame_head_parse(struct ws_frame_head *ret, const char *buf, size_t len, enum ws_role role,
                        bool deflate);

/* Writes a head in the shortest encoding; returns its length. */
size_t ws_frame_head_write(char buf[WS_FRAME_HEAD_MAX], const struct ws_frame_head *head);
/* The length of the head of an unmasked frame: 2, 4 or 10. */
size_t ws_frame_head_size(uint64_t payload_length);

/* Write a whole control frame and return its length. `key` is the masking key, or NULL for a
 * server. `payload` is at most WS_CONTROL_MAX bytes, `reason` at most WS_REASON_MAX bytes of UTF-8.
 * ws_close_write with WS_CLOSE_NO_STATUS writes a close frame without payload. */
size_t ws_control_write(char buf[WS_CONTROL_FRAME_MAX], enum ws_opcode opcode, struct span payload,
                        const uint8_t *key);
size_t ws_close_write(char buf[WS_CONTROL_FRAME_MAX], unsigned code, struct span reason,
                      const uint8_t *key);

/* ---- inbound ---- */

struct ws_rules {
    enum ws_role role;
    bool deflate;               /* permessage-deflate is agreed upon */
    uint64_t message_bytes_max; /* also of one that is deflated, as it comes */
};

/* What is half received. All zero is the state between two messages. */
struct ws_inbound {
    uint64_t left;          /* payload bytes missing from the frame */
    uint64_t message_bytes; /* in the frames of this message so far, this one included */
    uint8_t key[4];         /* rotated so that key[0] masks the next byte */
    struct utf8_state utf8; /* of a text message */
    uint8_t message_opcode; /* WS_TEXT or WS_BINARY inside a message, else 0 */
    uint8_t flags;          /* see ws_inbound.c */
    uint8_t opcode;         /* of the frame whose payload is being read */
    uint8_t held_count;
    uint8_t held[WS_CONTROL_MAX]; /* half a frame head, then half a control payload */
};

/* Bytes received and not yet looked at; ws_inbound_next moves `at` up to `end`. */
struct ws_input {
    char *at;
    char *end;
};

enum ws_event_kind {
    WS_EVENT_NONE, /* the input is used up */
    WS_EVENT_DATA, /* a piece of a message; `first` and `last` say which */
    WS_EVENT_PING, /* answer with the same payload */
    WS_EVENT_PONG,
    WS_EVENT_CLOSE, /* `close_code` (WS_CLOSE_NO_STATUS if none), reason in the payload */
    WS_EVENT_ERROR, /* `error`: close with ws_error_close_code and feed no more */
};

struct ws_event {
    enum ws_event_kind kind;
    enum ws_opcode opcode; /* DATA: WS_TEXT or WS_BINARY, on every piece */
    bool first;            /* DATA: the message begins here */
    bool last;             /* DATA: the message ends here; its text is complete UTF-8 */
    bool deflated;         /* DATA: the payload is, on every piece; and what it becomes unchecked */
    uint16_t close_code;
    enum ws_error error;
    char *payload; /* unmasked, inside the input; of a control frame perhaps in ws_inbound */
    size_t payload_len;
};

/* Takes one event from the input, which it unmasks in place. A frame that lies whole in the input
 * is one event and no copy. Payloads stay valid until the next call or until the caller reuses the
 * input. After WS_EVENT_ERROR every call repeats the error. What follows a CLOSE is for the caller
 * to drop. */
void ws_inbound_next(struct ws_inbound *in, const struct ws_rules *rules, struct ws_input *input,
                     struct ws_event *ret);

/* Whether nothing is half received: no partial frame, no open fragmented message. */
bool ws_inbound_idle(const struct ws_inbound *in);
