#include "measure/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
