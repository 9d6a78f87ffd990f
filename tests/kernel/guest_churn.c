/* guest_churn: what the kernel still has of clients that came and went. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

enum {
    SOCKETS_LEFT_MAX = 100,
    FORGET_MS = 30000, /* within which closed sockets must be gone */
    LOOK_MS = 100,
    TOGETHER = 50,       /* 5,000 and WARM_COMINGS are multiples of it */
    WARM_COMINGS = 500,  /* so that caches have what they keep */
    KIB_LEFT_MAX = 8192, /* other programs need some; 5,000 sockets are 18,000 */
};

static const char healthz[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/* TCP sockets that the kernel has allocated. */
static long sockets(void)
{
    char line[256];
    long count = -1;
    FILE *file = fopen("/proc/net/sockstat", "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *at = strncmp(line, "TCP:", 4) == 0 ? strstr(line, " alloc ") : NULL;
        if (at)
            count = strtol(at + strlen(" alloc "), NULL, 10);
    }
    if (file)
        fclose(file);
    return count;
}

/* Kernel memory in slabs, in KiB. */
static long slab_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "Slab:", 5) == 0)
            kib = strtol(line + 5, NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

/* Waits until few sockets are left above `before`, at most FORGET_MS. Returns how many are. */
static long sockets_left(long before)
{
    int64_t deadline_ms = guest_now_ms() + FORGET_MS;
    long left;
    while ((left = sockets() - before) > SOCKETS_LEFT_MAX && guest_now_ms() < deadline_ms)
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    return left;
}

/* Each asks, is answered, and resets; TOGETHER at a time, since an emulated machine changes between
 * programs slowly. */
static bool come_and_go(const struct guest *guest, unsigned count)
{
    char answer[2048];
    int fds[TOGETHER];
    bool heard = true;
    for (unsigned done = 0; done < count && heard; done += TOGETHER) {
        for (int i = 0; i < TOGETHER; i++)
            fds[i] = guest_say(guest, healthz);
        for (int i = 0; i < TOGETHER; i++)
            heard &= guest_hear(fds[i], "{\"status\":\"ok\"}", answer, sizeof answer);
        for (int i = 0; i < TOGETHER; i++)
            guest_reset(fds[i]);
    }
    return heard;
}

void guest_churn(struct guest *guest, unsigned comings)
{
    const char *const settings[] = {NULL};
    int idle[OLDER_COUNT];
    char title[128];
    guest_start(guest, settings);
    for (int i = 0; i < OLDER_COUNT; i++)
        idle[i] = guest_stream(guest, "idle");
    bool answered = come_and_go(guest, WARM_COMINGS);
    long slab_before = slab_kib(), before = sockets();
    answered = answered && come_and_go(guest, comings);
    long at_once = sockets() - before, later = sockets_left(before);
    snprintf(title, sizeof title, "%u clients reset beside idle streams: sockets left", comings);
    guest_case(guest, title, answered && later <= SOCKETS_LEFT_MAX, "%ld at once, %ld later",
               at_once, later);
    long kib = slab_kib() - slab_before;
    snprintf(title, sizeof title, "%u clients reset beside idle streams: kernel memory", comings);
    guest_case(guest, title, kib <= KIB_LEFT_MAX, "%ld KiB more", kib);
    for (int i = 0; i < OLDER_COUNT; i++)
        guest_reset(idle[i]);
    guest_stop(guest);
}

/* A crowd that is held, hears one message, and goes. */
void guest_hold(struct guest *guest, unsigned count)
{
    /* Nobody here answers pings, and an emulated machine takes long to open so many. */
    const char *const settings[] = {"heartbeat_ms=3600000", NULL};
    int *held = calloc(count, sizeof *held);
    char buffer[1024], title[128];
    unsigned heard = 0;
    guest_start(guest, settings);
    int early = guest_stream(guest, "early");
    long before = sockets();
    for (unsigned i = 0; i < count; i++)
        held[i] = i % 2 ? guest_stream(guest, "all") : guest_websocket(guest);
    guest_publish(guest, "all", "to-everybody");
    guest_publish(guest, "ws", "to-everybody");
    for (unsigned i = 0; i < count; i++)
        heard += guest_hear(held[i], "to-everybody", buffer, sizeof buffer);
    for (unsigned i = 0; i < count; i++)
        guest_reset(held[i]);
    snprintf(title, sizeof title, "%u held: heard a broadcast", count);
    guest_case(guest, title, heard == count, "%u", heard);
    long left = sockets_left(before);
    snprintf(title, sizeof title, "%u held, all gone: sockets left", count);
    guest_case(guest, title, left <= SOCKETS_LEFT_MAX, "%ld", left);
    guest_reset(early);
    guest_stop(guest);
    free(held);
}
