#include "load/protocol.h"

#include <string.h>

#define PROTOCOL_ENTRY(name) &protocol_##name,
static const struct protocol *const protocols[] = {PROTOCOLS(PROTOCOL_ENTRY)};
#undef PROTOCOL_ENTRY
#define PROTOCOL_COUNT (sizeof protocols / sizeof protocols[0])

const struct protocol *protocol_transport(unsigned number)
{
    for (size_t i = 0; i < PROTOCOL_COUNT; i++)
        if (protocols[i]->name && number-- == 0)
            return protocols[i];
    return NULL;
}

const struct protocol *protocol_find(const char *name, size_t len)
{
    const struct protocol *found;
    for (unsigned i = 0; (found = protocol_transport(i)); i++)
        if (strlen(found->name) == len && memcmp(found->name, name, len) == 0)
            return found;
    return NULL;
}
