#include "conn/refusal.h"

#include <stddef.h>

struct row {
    const char *name;
    int status;
    const char *sentence;
};

#define ROW(NAME, name, status, sentence) {#name, status, sentence},
static const struct row own[] = {REFUSALS(ROW)};

/* The codec's error behind a number, or 0. */
static int http_error_of(enum refusal refusal)
{
    int index = (int)refusal - REFUSAL_OWN_COUNT;
    return index > 0 && index < HTTP_ERROR_COUNT ? -index : 0;
}

static int handshake_error_of(enum refusal refusal)
{
    int index = (int)refusal - REFUSAL_OWN_COUNT - HTTP_ERROR_COUNT;
    return index > 0 && index < WS_HANDSHAKE_COUNT ? -index : 0;
}

const char *refusal_name(enum refusal refusal)
{
    if (refusal < REFUSAL_OWN_COUNT)
        return own[refusal].name;
    if (http_error_of(refusal) < 0)
        return http_error_name((enum http_error)http_error_of(refusal));
    if (handshake_error_of(refusal) < 0)
        return ws_handshake_error_name((enum ws_handshake_error)handshake_error_of(refusal));
    return NULL;
}

int refusal_status(enum refusal refusal)
{
    if (refusal < REFUSAL_OWN_COUNT)
        return own[refusal].status;
    if (http_error_of(refusal) < 0)
        return http_error_status((enum http_error)http_error_of(refusal));
    return ws_handshake_error_status((enum ws_handshake_error)handshake_error_of(refusal));
}

const char *refusal_sentence(enum refusal refusal)
{
    if (refusal < REFUSAL_OWN_COUNT)
        return own[refusal].sentence;
    if (http_error_of(refusal) < 0)
        return "this is no request that can be read in only one way, or it exceeds a bound";
    return "this path is a WebSocket (RFC 6455, version 13)";
}
