#include "measure/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/fields.h"

/* "Name:   123 kB" */
static uint64_t meminfo_bytes(const char *name)
{
    char line[256];
    uint64_t kib = 0;
    size_t len = strlen(name);
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, len) == 0)
            kib = strtoull(line + len, NULL, 10);
    if (file)
        fclose(file);
    return kib * 1024;
}

uint64_t memory_available_bytes(void)
{
    return meminfo_bytes("MemAvailable:");
}

uint64_t memory_total_bytes(void)
{
    return meminfo_bytes("MemTotal:");
}

/* A number of "TCP: inuse 1 orphan 0 tw 469 alloc 1 mem 98". */
static uint64_t tcp_sockets(const char *name)
{
    enum {
        PROTOCOL,
        FIELDS_MAX = 16
    };
    char line[256], *fields[FIELDS_MAX];
    uint64_t value = 0;
    FILE *file = fopen("/proc/net/sockstat", "re");
    while (file && fgets(line, sizeof line, file)) {
        unsigned count = fields_split(line, fields, FIELDS_MAX);
        if (count == 0 || strcmp(fields[PROTOCOL], "TCP:") != 0)
            continue;
        for (unsigned i = 1; i + 1 < count; i += 2)
            if (strcmp(fields[i], name) == 0)
                field_number(fields[i + 1], 10, &value);
    }
    if (file)
        fclose(file);
    return value;
}

uint64_t memory_tcp_pages(void)
{
    return tcp_sockets("mem");
}

uint64_t memory_tcp_orphans(void)
{
    return tcp_sockets("orphan");
}
