/* attacker: plays one attack with sockets of its own, in a thread of its own, until it is stopped.
 *
 * Idea     The thread has the clients' CPU only while nobody else wants it (SCHED_IDLE): what the
 *          well-behaved clients then notice is the server's doing, and not their neighbour's. It
 *          also looks at the server's memory, fifty times a second.
 * Threads  attacker_start makes one; all functions here are called from the same other thread.
 * Memory   attacker_start to attacker_stop.
 * Bounds   the attack's, and ATTACKER_VISITS_MAX connections in all.
 * Errors   0 or negative errno, after a sentence on standard error. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "abuse/attack.h"
#include "measure/process.h"

enum {
    ATTACKER_VISITS_MAX = 20000,
};

struct attacker;
struct tls_client;

/* Whom, and how that server is spoken to. All stays the caller's. */
struct attack_target {
    struct sockaddr_in plain, tls;
    const struct tls_client *client;
    const char *get;       /* path that is answered, by what is attacked with it */
    const char *visit;     /* path that newcomers ask for */
    const char *post;      /* path that takes a POST, or is at least there */
    const char *subscribe; /* path of the WebSocket of the well-behaved */
    const char *fields;    /* further fields of its head; or NULL */
    const struct process *process;
};

struct attacker_seen {
    uint64_t visits;         /* connections made */
    uint64_t refused;        /* that could not be made */
    uint64_t ended;          /* by the server */
    uint64_t sent, received; /* bytes */
    uint64_t rss_bytes;      /* of the server, the most */
    uint64_t tcp_bytes;      /* of all TCP sockets of the machine, the most */
    int64_t elapsed_ns;
    int64_t cpu_ns, waited_ns; /* of the attacker: used, and wanted in vain */
};

/* At most `connections` at one time, however many the attack would have. */
int attacker_start(struct attacker **ret, const struct attack *attack,
                   const struct attack_target *target, uint32_t connections);

/* Resets all connections. Accepts NULL, and then sees nothing. */
void attacker_stop(struct attacker *attacker, struct attacker_seen *ret);
