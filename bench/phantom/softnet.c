#include "phantom/softnet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_MAX = 16 * 1024, /* a line of 135 for each CPU */
    DROPPED = 1,          /* columns, from 0 on; all are hexadecimal */
    CPU = 12,
    WAITING = 13,
    UNDER_WAY = 14, /* taken from the queue, and not received */
    COLUMNS = 15,
};

int softnet_open(void)
{
    int fd = open("/proc/net/softnet_stat", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Returns the next line, or NULL where this one is cut. */
static const char *line_parse(const char *at, unsigned long columns[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++) {
        char *end;
        columns[i] = strtoul(at, &end, 16);
        if (end == at || (*end != ' ' && *end != '\n') || (*end == '\n' && i < COLUMNS - 1))
            return NULL;
        at = end;
    }
    at = strchr(at, '\n');
    return at ? at + 1 : NULL;
}

int softnet_parse(struct softnet *ret, const char *text, const cpu_set_t *cpus)
{
    unsigned long columns[COLUMNS];
    *ret = (struct softnet){0};
    while (*text) {
        text = line_parse(text, columns);
        if (!text)
            return -EPROTO;
        if (columns[CPU] >= CPU_SETSIZE || !CPU_ISSET(columns[CPU], cpus))
            continue;
        uint32_t waiting = (uint32_t)(columns[WAITING] + columns[UNDER_WAY]);
        ret->dropped += columns[DROPPED];
        ret->waiting = waiting > ret->waiting ? waiting : ret->waiting;
    }
    return 0;
}

int softnet_read(int fd, const cpu_set_t *cpus, struct softnet *ret)
{
    char text[TEXT_MAX];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    if (got < 0)
        return -errno;
    text[got] = '\0';
    return softnet_parse(ret, text, cpus);
}
