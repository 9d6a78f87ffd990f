#include <assert.h>

#include "wire/ws.h"

static const struct {
    const char *name;
    int status;
} handshake_errors[WS_HANDSHAKE_COUNT] = {
    [-WS_HANDSHAKE_METHOD] = {"handshake_method", 405},
    [-WS_HANDSHAKE_UPGRADE] = {"handshake_upgrade", 426},
    [-WS_HANDSHAKE_VERSION] = {"handshake_version", 426},
    [-WS_HANDSHAKE_KEY] = {"handshake_key", 400},
    [-WS_HANDSHAKE_BODY] = {"handshake_body", 400},
    [-WS_HANDSHAKE_STATUS] = {"handshake_status", 400},
    [-WS_HANDSHAKE_ACCEPT] = {"handshake_accept", 400},
    [-WS_HANDSHAKE_EXTENSION] = {"handshake_extension", 400},
};

static const struct {
    const char *name;
    enum ws_close_code code;
} errors[WS_ERROR_COUNT] = {
    [-WS_ERROR_RESERVED_BITS] = {"reserved_bits", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_OPCODE] = {"opcode", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_MASK] = {"mask", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_LENGTH] = {"length", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_CONTROL_LONG] = {"control_long", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_CONTROL_FRAGMENT] = {"control_fragment", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_CONTINUATION] = {"continuation", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_INTERLEAVED] = {"interleaved", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_CLOSE_PAYLOAD] = {"close_payload", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_CLOSE_CODE] = {"close_code", WS_CLOSE_PROTOCOL_ERROR},
    [-WS_ERROR_CLOSE_REASON] = {"close_reason", WS_CLOSE_INVALID_DATA},
    [-WS_ERROR_UTF8] = {"utf8", WS_CLOSE_INVALID_DATA},
    [-WS_ERROR_TOO_BIG] = {"too_big", WS_CLOSE_TOO_BIG},
};

const char *ws_handshake_error_name(enum ws_handshake_error error)
{
    assert(error < 0 && -error < WS_HANDSHAKE_COUNT);
    return handshake_errors[-error].name;
}

int ws_handshake_error_status(enum ws_handshake_error error)
{
    assert(error < 0 && -error < WS_HANDSHAKE_COUNT);
    return handshake_errors[-error].status;
}

const char *ws_error_name(enum ws_error error)
{
    assert(error < 0 && -error < WS_ERROR_COUNT);
    return errors[-error].name;
}

enum ws_close_code ws_error_close_code(enum ws_error error)
{
    assert(error < 0 && -error < WS_ERROR_COUNT);
    return errors[-error].code;
}
