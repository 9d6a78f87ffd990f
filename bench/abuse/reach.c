#include "abuse/reach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "experiment/bench.h"
#include "measure/fields.h"

enum {
    LOOPBACK_NET = 127,
    ROUTE_GATEWAY = 0x2, /* RTF_GATEWAY */
};

/* The machine's own namespace has settings that no other one has. */
static bool namespace_of_its_own(void)
{
    return access("/proc/sys/net/core/somaxconn", F_OK) == 0 &&
           access("/proc/sys/net/core/netdev_max_backlog", F_OK) != 0;
}

static bool leads_away(void)
{
    enum {
        FLAGS = 3,
        FIELDS
    };
    char line[512], *fields[FIELDS];
    uint64_t flags;
    bool found = false;
    FILE *file = fopen("/proc/net/route", "re");
    while (file && fgets(line, sizeof line, file))
        if (fields_split(line, fields, FIELDS) == FIELDS &&
            field_number(fields[FLAGS], 16, &flags) && flags & ROUTE_GATEWAY)
            found = true;
    if (!file)
        return true;
    fclose(file);
    return found;
}

int reach_check(const char *whose, const struct sockaddr_in *address)
{
    char text[INET_ADDRSTRLEN];
    if (address->sin_family == 0 || ntohl(address->sin_addr.s_addr) >> 24 == LOOPBACK_NET)
        return 0;
    if (namespace_of_its_own() && !leads_away())
        return 0;
    inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    return bench_fail(-EPERM,
                      "abuse attacks no address but loopback's, and those of a network namespace "
                      "without a gateway: %s is %s's",
                      text, whose);
}
