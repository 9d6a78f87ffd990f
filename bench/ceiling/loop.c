#include "ceiling/loop.h"

#include <assert.h>
#include <string.h>

const char *bare_loop_name(enum bare_loop loop)
{
    switch (loop) {
    case BARE_SEND:
        return "bare-send";
    case BARE_COALESCE:
        return "bare-coalesce";
    case BARE_URING:
        return "bare-uring";
    }
    assert(false);
    return "";
}

bool bare_loop_parse(const char *text, size_t len, enum bare_loop *ret)
{
    for (int i = 0; i < BARE_LOOP_COUNT; i++) {
        const char *name = bare_loop_name((enum bare_loop)i);
        if (strlen(name) == len && strncmp(text, name, len) == 0) {
            *ret = (enum bare_loop)i;
            return true;
        }
    }
    return false;
}
