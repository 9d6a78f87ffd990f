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
