/* guest_main: `kernel-guest SERVER ENGINE [COMINGS]` runs every check on one engine. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "guest.h"

enum {
    COMINGS = 5000,
    HELD = 2000,
    DESCRIPTORS = 8192, /* for the clients, and for a server that spends them */
};

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: kernel-guest SERVER ENGINE [COMINGS]\n");
        return 2;
    }
    struct guest guest = {.program = argv[1], .engine = argv[2]};
    const struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        perror("kernel-guest: setrlimit");
    guest_bad_input(&guest);
    guest_closes(&guest, false);
    guest_closes(&guest, true);
    guest_churn(&guest, argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : COMINGS);
    guest_hold(&guest, HELD);
    printf("engine %s | %s\n", guest.engine, guest.announced);
    return guest.failed == 0 ? 0 : 1;
}
