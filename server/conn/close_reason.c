#include "conn/close_reason.h"

struct row {
    const char *name;
    uint16_t code;
    const char *meaning;
};

#define ROW(NAME, name, code, meaning) {#name, code, meaning},
static const struct row rows[] = {CLOSE_REASONS(ROW)};

const char *close_reason_name(enum close_reason reason)
{
    return rows[reason].name;
}

const char *close_reason_meaning(enum close_reason reason)
{
    return rows[reason].meaning;
}

uint16_t close_reason_code(enum close_reason reason)
{
    return rows[reason].code;
}

struct disconnect {
    enum close_reason reason;
    uint16_t code;
    struct span words;
};

static const struct disconnect disconnects[] = {
    {CLOSE_GOING_AWAY, 3001, SPAN_INIT("shutdown")},
    {CLOSE_OVERLOADED, 3004, SPAN_INIT("internal server error")},
    {CLOSE_GAP, 3010, SPAN_INIT("insufficient state")},
    {CLOSE_INPUT_TOTAL, 3004, SPAN_INIT("internal server error")},
    {CLOSE_TOKEN_EXPIRED, 3005, SPAN_INIT("connection expired")},
    {CLOSE_DISCONNECTED, 3503, SPAN_INIT("force disconnect")},
    {CLOSE_REVOKED, 3503, SPAN_INIT("force disconnect")},
    {CLOSE_SESSION_NO_PONG, 3012, SPAN_INIT("no pong")},
    {CLOSE_SESSION_TOKEN, 3500, SPAN_INIT("invalid token")},
    {CLOSE_SESSION_BAD_REQUEST, 3501, SPAN_INIT("bad request")},
    {CLOSE_SESSION_STALE, 3502, SPAN_INIT("stale")},
    {CLOSE_SESSION_CHANNELS, 3505, SPAN_INIT("channel limit")},
    {CLOSE_SESSION_FORBIDDEN, 3507, SPAN_INIT("permission denied")},
    {CLOSE_SESSION_PROTOCOL, 3506, SPAN_INIT("inappropriate protocol")},
};

unsigned close_reason_disconnect(enum close_reason reason, struct span *ret_words)
{
    for (size_t i = 0; i < sizeof disconnects / sizeof disconnects[0]; i++) {
        if (disconnects[i].reason != reason)
            continue;
        *ret_words = disconnects[i].words;
        return disconnects[i].code;
    }
    return 0;
}
