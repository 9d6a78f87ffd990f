/* ws_deflate: the handshake of permessage-deflate without context takeover (RFC 7692 section 7.1).
 *
 *   Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, permessage-deflate
 *                             └──────────────── an offer ─────────────┘  └─ the next best ─┘
 *
 * Threads  any; nothing is shared.
 * Memory   none. */
#pragma once

#include "wire/http.h"

enum ws_deflate {
    WS_DEFLATE_NONE,     /* not offered */
    WS_DEFLATE_DECLINED, /* no offer that can be accepted */
    WS_DEFLATE_ACCEPTED,
};

/* Judges what a client offers, where messages are deflated with a window of 1 << window_bits.
 * Declined is an offer with a parameter that RFC 7692 does not have or has twice, with a value that
 * it refuses, or that wants a smaller window. Returns an enum ws_deflate; or
 * WS_HANDSHAKE_EXTENSION, when the field is no list of extensions (RFC 6455 section 9.1). */
int ws_deflate_judge(const struct http_fields *fields, unsigned window_bits);

enum {
    WS_DEFLATE_FIELD_MAX = 160,
};

/* Writes the field that accepts, ended by CRLF; returns its length. */
size_t ws_deflate_field_write(char buf[WS_DEFLATE_FIELD_MAX], unsigned window_bits);
