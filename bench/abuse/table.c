#include <string.h>

#include "abuse/attack.h"

static const struct attack *const families[] = {
    attacks_http, attacks_http2, attacks_websocket, attacks_centrifuge, attacks_tcp, attacks_tls,
};

const struct attack *attack_at(unsigned index)
{
    for (size_t family = 0; family < sizeof families / sizeof families[0]; family++)
        for (const struct attack *attack = families[family]; attack->name; attack++)
            if (index-- == 0)
                return attack;
    return NULL;
}

static bool has(const char *names, const char *name)
{
    const size_t len = strlen(name);
    for (const char *at = names; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
        if (strcspn(at, ",") == len && strncmp(at, name, len) == 0)
            return true;
    return false;
}

bool attack_named(const struct attack *attack, const char *names)
{
    return !names || has(names, attack->name);
}

static bool known(const char *name, size_t len)
{
    const struct attack *attack;
    for (unsigned i = 0; (attack = attack_at(i)); i++)
        if (strlen(attack->name) == len && strncmp(attack->name, name, len) == 0)
            return true;
    return false;
}

unsigned attack_unknown(const char *names, const char **ret)
{
    for (const char *at = names; at && *at;) {
        const size_t len = strcspn(at, ",");
        *ret = at;
        if (!known(at, len))
            return (unsigned)len + (len == 0);
        at += len + (at[len] == ',');
    }
    return 0;
}

uint64_t attack_bound_bytes(const struct attack *attack, uint32_t connections, uint64_t sent_bytes)
{
    return ATTACK_FACTOR * sent_bytes + (uint64_t)connections * attack->holds + attack->keeps +
           ATTACK_SLACK_BYTES;
}
