#include "load/sources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>

#define FIRST_ADDRESS UINT32_C(0x7f010001) /* 127.1.0.1 */
#define LAST_ADDRESS  UINT32_C(0x7fc7ffff) /* 127.199.255.255 */

enum {
    PORT_FIRST = 10000,
    PORT_LAST = 60000,
};

static bool skipped(const struct sources *sources, uint16_t port)
{
    for (unsigned i = 0; i < sources->skipped_count; i++)
        if (sources->skipped[i] == port)
            return true;
    return false;
}

static void skip(struct sources *sources, uint16_t port)
{
    if (port >= sources->port_first && port < sources->port_first + sources->port_count &&
        !skipped(sources, port))
        sources->skipped[sources->skipped_count++] = port;
}

static void skip_targets(struct sources *sources, const struct load_group_config *group)
{
    skip(sources, ntohs(group->target.sin_port));
    skip(sources, ntohs(group->publish_target.sin_port));
    if (group->protocol)
        skip(sources, ntohs(group->protocol->publish_target.sin_port));
}

int sources_init(struct sources *sources, const struct load_config *config, uint32_t start)
{
    uint32_t first = ntohl(config->first_address.s_addr);
    uint16_t port_first = config->port_first ? config->port_first : PORT_FIRST;
    uint16_t port_last = config->port_last ? config->port_last : PORT_LAST;
    if (port_last < port_first)
        return -EINVAL;
    *sources = (struct sources){
        .first_address = first ? first : FIRST_ADDRESS,
        .address_count = config->address_count,
        .port_first = port_first,
        .port_count = (uint32_t)port_last - port_first + 1,
    };
    if (sources->address_count == 0)
        sources->address_count = first ? 1 : LAST_ADDRESS - FIRST_ADDRESS + 1;
    for (unsigned i = 0; i < config->group_count; i++)
        skip_targets(sources, &config->groups[i]);
    sources->next = (uint64_t)(start % sources->address_count) * sources->port_count;
    return sources->skipped_count < sources->port_count ? 0 : -EINVAL;
}

struct sockaddr_in sources_next(struct sources *sources)
{
    uint64_t at;
    uint16_t port;
    do {
        at = sources->next++;
        port = (uint16_t)(sources->port_first + at % sources->port_count);
    } while (skipped(sources, port));
    uint32_t nth = (uint32_t)(at / sources->port_count % sources->address_count);
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(sources->first_address + nth),
        .sin_port = htons(port),
    };
}

uint64_t sources_count(const struct sources *sources)
{
    return (uint64_t)sources->address_count * (sources->port_count - sources->skipped_count);
}
