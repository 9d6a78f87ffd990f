#include "successor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/settings.h"
#include "conn/shard.h"
#include "notify.h"

enum {
    FIRST_FD = 3, /* of those that are handed over, as systemd has it */
    SOCKETS_MAX = RING_LISTENERS_MAX * HUB_SHARDS_MAX,
    NAME_MAX_LEN = sizeof "admin@",
    NAMES_SIZE = SOCKETS_MAX * NAME_MAX_LEN,
    PATH_SIZE = 4096,
    TEXT_SIZE = 64,
};

/* Behind the name of a socket that is systemd's: it must not be shut down. */
#define KEPT "@"

/* Ours is not called LISTEN_FDS, which needs the process's number, known too late to be told. */
#define SOCKETS     "RINGSIDE_SOCKETS"
#define PREDECESSOR "RINGSIDE_PREDECESSOR"

static const char *const port_names[RING_LISTENERS_MAX] = {
    [LISTENER_PLAIN] = "plain",
    [LISTENER_TLS] = "tls",
    [LISTENER_ADMIN] = "admin",
};

static struct {
    char program[PATH_SIZE];
    char **argv;
    pid_t predecessor; /* 0: none */
    bool joins_quic;   /* the predecessor, with this tag */
    uint16_t tag;
    pid_t child; /* 0: none */
} self;

void successor_prepare(char **argv)
{
    const char *predecessor = getenv(PREDECESSOR);
    ssize_t len = readlink("/proc/self/exe", self.program, sizeof self.program - 1);
    self.program[len > 0 ? len : 0] = '\0';
    self.argv = argv;
    char *end = (char[]){""};
    /* Told by the parent, or left over from somebody else. */
    if (predecessor && strtol(predecessor, &end, 10) == getppid())
        self.predecessor = getppid();
    if (self.predecessor && *end == ' ') {
        self.joins_quic = true;
        self.tag = (uint16_t)strtoul(end, NULL, 10);
        prctl(PR_SET_PDEATHSIG, SIGCHLD); /* as it is no child's end, nobody else tells it */
    }
    unsetenv(PREDECESSOR);
}

bool successor_is_left(void)
{
    bool left = self.joins_quic && getppid() != self.predecessor;
    if (left)
        self.joins_quic = false;
    return left;
}

/* Adds one to a list with colons between. */
static void name_add(char names[NAMES_SIZE], int port, bool kept)
{
    size_t len = strlen(names);
    snprintf(names + len, NAMES_SIZE - len, "%s%s%s", len > 0 ? ":" : "", port_names[port],
             kept ? KEPT : "");
}

/* ---- what was handed to us ---- */

/* Copies the names of the descriptors from FIRST_FD on, with colons between, and says whether they
 * are systemd's. False: there are none. */
static bool names_read(char names[NAMES_SIZE], bool *ret_kept)
{
    const char *ours = self.predecessor ? getenv(SOCKETS) : NULL;
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    const char *theirs = getenv("LISTEN_FDNAMES");
    names[0] = '\0';
    if (ours) {
        snprintf(names, NAMES_SIZE, "%s", ours);
    } else if (pid && count && strtol(pid, NULL, 10) == getpid()) {
        long fds = strtol(count, NULL, 10);
        if (theirs)
            snprintf(names, NAMES_SIZE, "%s", theirs);
        for (long i = 0; !theirs && i < fds && i < SOCKETS_MAX; i++)
            name_add(names, LISTENER_PLAIN, false);
    }
    *ret_kept = !ours;
    unsetenv(SOCKETS);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return names[0] != '\0';
}

/* systemd calls a socket as its unit is called, if nothing else is said. */
static int port_of(const char *name)
{
    size_t len = strlen(name);
    for (int i = 0; i < RING_LISTENERS_MAX; i++)
        if (strcmp(name, port_names[i]) == 0)
            return i;
    return len > 7 && strcmp(name + len - 7, ".socket") == 0 ? LISTENER_PLAIN : -EINVAL;
}

static int refused(char *why, size_t why_size, int port, const char *what)
{
    snprintf(why, why_size, "the sockets that were handed over for %s: %s", port_names[port], what);
    return -EINVAL;
}

static int sockets_take(struct ports *ports, unsigned counts[RING_LISTENERS_MAX], char *names,
                        bool kept, char *why, size_t why_size)
{
    char *rest = names;
    int fd = FIRST_FD;
    for (char *name; (name = strsep(&rest, ":")) != NULL; fd++) {
        size_t len = strcspn(name, KEPT);
        bool is_kept = kept || name[len] != '\0';
        name[len] = '\0';
        int i = port_of(name);
        if (i < 0) {
            snprintf(why, why_size,
                     "a socket that was handed over is called %.40s; FileDescriptorName= says "
                     "plain, tls or admin",
                     name);
            return i;
        }
        if (counts[i] == HUB_SHARDS_MAX)
            return refused(why, why_size, i, "there are more than shards");
        ports->of[i].fds[counts[i]++] = fd;
        ports->of[i].kept |= is_kept;
    }
    return 0;
}

/* Each shard has a socket, be it the same. */
static int sockets_share(struct port *port, unsigned count, unsigned shards)
{
    for (unsigned shard = count; count == 1 && shard < shards; shard++) {
        port->fds[shard] = fcntl(port->fds[0], F_DUPFD_CLOEXEC, FIRST_FD);
        if (port->fds[shard] < 0)
            return -errno;
    }
    return count == 1 || count == shards ? 0 : -EINVAL;
}

static int port_check(struct ports *ports, int i, unsigned count, const struct settings *settings,
                      char *why, size_t why_size)
{
    const unsigned shards = (unsigned)settings->shards;
    struct port *port = &ports->of[i];
    char text[128];
    if (!port->open)
        return refused(why, why_size, i, "the settings say nothing of such a port");
    for (unsigned shard = 0; shard < count; shard++) {
        int err = listener_adopt(port->fds[shard], &port->address, settings);
        if (err < 0) {
            snprintf(text, sizeof text, "%s",
                     err == -EADDRNOTAVAIL
                         ? "they are of another address than the settings; to change it, restart"
                         : strerror(-err));
            return refused(why, why_size, i, text);
        }
    }
    int err = sockets_share(port, count, shards);
    if (err == 0)
        port->inherited = true;
    snprintf(text, sizeof text,
             "%u, and there are %u shards; it takes one, or one for each; to change their number, "
             "restart",
             count, shards);
    return err == 0 ? 0 : refused(why, why_size, i, text);
}

int successor_inherit(struct ports *ports, const struct settings *settings, char *why,
                      size_t why_size)
{
    char names[NAMES_SIZE];
    unsigned counts[RING_LISTENERS_MAX] = {0};
    bool kept;
    ports->udp[DATAGRAM_QUIC].joins = self.joins_quic;
    ports->udp[DATAGRAM_RTC].joins = self.predecessor != 0;
    ports->predecessor_tag = self.tag;
    int err =
        names_read(names, &kept) ? sockets_take(ports, counts, names, kept, why, why_size) : 0;
    for (int i = 0; i < RING_LISTENERS_MAX && err == 0; i++)
        if (counts[i] > 0)
            err = port_check(ports, i, counts[i], settings, why, why_size);
    return err;
}

/* ---- what we hand over ---- */

struct parcel {
    int fds[SOCKETS_MAX]; /* copies, above where they go */
    unsigned count;
    char names[NAMES_SIZE];
};

static int parcel_make(struct parcel *ret, const struct ports *ports, unsigned shards)
{
    *ret = (struct parcel){.count = 0};
    for (int i = 0; i < RING_LISTENERS_MAX; i++) {
        for (unsigned shard = 0; ports->of[i].open && shard < shards; shard++) {
            int fd = fcntl(ports->of[i].fds[shard], F_DUPFD_CLOEXEC, FIRST_FD + SOCKETS_MAX);
            if (fd < 0)
                return -errno;
            name_add(ret->names, i, ports->of[i].kept);
            ret->fds[ret->count++] = fd;
        }
    }
    return 0;
}

static void parcel_done(const struct parcel *parcel)
{
    for (unsigned i = 0; i < parcel->count; i++)
        close(parcel->fds[i]);
}

/* Our environment, and two lines more. NULL: memory is out. */
static char **environment_with(char *sockets, char *predecessor)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **made = calloc(count + 3, sizeof *made);
    if (!made)
        return NULL;
    memcpy(made, environ, count * sizeof *made);
    made[count] = sockets;
    made[count + 1] = predecessor;
    return made;
}

static int spawn(const struct parcel *parcel, const struct ports *ports)
{
    static char sockets[sizeof SOCKETS + 1 + NAMES_SIZE];
    char predecessor[TEXT_SIZE];
    sigset_t none;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    snprintf(predecessor, sizeof predecessor, PREDECESSOR "=%d", (int)getpid());
    if (ports->udp[DATAGRAM_QUIC].open)
        snprintf(predecessor, sizeof predecessor, PREDECESSOR "=%d %u", (int)getpid(), ports->tag);
    snprintf(sockets, sizeof sockets, SOCKETS "=%s", parcel->names);
    char **environment = environment_with(sockets, predecessor);
    if (!environment)
        return -ENOMEM;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    int err = 0;
    for (unsigned i = 0; i < parcel->count && err == 0; i++)
        err = posix_spawn_file_actions_adddup2(&actions, parcel->fds[i], FIRST_FD + (int)i);
    if (err == 0)
        err = posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_FD + (int)parcel->count);
    if (err == 0)
        err = posix_spawn(&self.child, self.program, &actions, &attributes, self.argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return -err;
}

void successor_start(const struct ports *ports, unsigned shards)
{
    static struct parcel parcel;
    if (self.child > 0) {
        fprintf(stderr, "ringside-server: SIGUSR2: process %d is on its way already\n",
                (int)self.child);
        return;
    }
    if (self.joins_quic) {
        fprintf(stderr,
                "ringside-server: SIGUSR2: no successor: process %d, whose successor this "
                "is, still has connections of QUIC; ask again when it has ended\n",
                (int)self.predecessor);
        return;
    }
    if (ports->udp[DATAGRAM_QUIC].open && !ports->routed) {
        fprintf(stderr, "ringside-server: SIGUSR2: no successor: the kernel took no program that "
                        "would tell its packets of QUIC from ours (SO_ATTACH_REUSEPORT_CBPF); with "
                        "http3 = on, restart instead\n");
        return;
    }
    int err = parcel_make(&parcel, ports, shards);
    if (err == 0)
        err = spawn(&parcel, ports);
    parcel_done(&parcel);
    if (err < 0) {
        self.child = 0;
        fprintf(stderr, "ringside-server: SIGUSR2: no successor: %s: %s\n", self.program,
                strerror(-err));
        return;
    }
    printf("SIGUSR2: process %d is to take over\n", (int)self.child);
    fflush(stdout);
}

void successor_reap(void)
{
    int status;
    if (self.child == 0 || waitpid(self.child, &status, WNOHANG) != self.child)
        return;
    fprintf(stderr, "ringside-server: process %d has ended before it took over (%s %d)\n",
            (int)self.child, WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    self.child = 0;
}

void successor_ready(void)
{
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "READY=1\nMAINPID=%d", (int)getpid());
    notify(text);
    if (self.predecessor > 0 && getppid() == self.predecessor)
        kill(self.predecessor, SIGTERM);
}

bool successor_takes_over(pid_t sender)
{
    if (self.child > 0 && sender == self.child)
        return true;
    if (self.child > 0)
        kill(self.child, SIGTERM);
    notify("STOPPING=1");
    return false;
}
