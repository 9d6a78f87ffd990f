#include "experiment/cluster_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiment/bench.h"

enum {
    COMMANDS_MAX = 8192,
    PLACE_FIRST = 10, /* last number of the first place's address */
    SUBNETS = 256,
};

#define NSENTER "/usr/bin/nsenter"

/* 198.18.0.0/15 is for benchmarks (RFC 2544). */
static const uint32_t NETWORK = UINT32_C(0xc6130000);

struct commands {
    char text[COMMANDS_MAX];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct commands *commands, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len =
        vsnprintf(commands->text + commands->len, COMMANDS_MAX - commands->len, format, arguments);
    va_end(arguments);
    assert(len > 0 && commands->len + (size_t)len < COMMANDS_MAX);
    commands->len += (size_t)len;
}

static int shell(const struct commands *commands)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-ec", commands->text, NULL);
        _exit(127);
    }
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int own_namespace(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* A descriptor of a new one; this thread stays where it is. */
static int namespace_make(void)
{
    int own = own_namespace();
    if (own < 0)
        return own;
    int made = unshare(CLONE_NEWNET) < 0 ? -errno : own_namespace();
    int err = setns(own, CLONE_NEWNET) < 0 ? -errno : 0;
    assert(err == 0 || made == -EPERM); /* else nothing that follows would be where it seems */
    close(own);
    return made;
}

static int namespaces_make(struct lab *lab)
{
    lab->bridge_fd = namespace_make();
    for (unsigned i = 0; i < lab->places && lab->bridge_fd >= 0; i++) {
        lab->fds[i] = namespace_make();
        if (lab->fds[i] < 0)
            return lab->fds[i];
        snprintf(lab->nets[i], LAB_TEXT_MAX, "--net=/proc/%d/fd/%d", (int)getpid(), lab->fds[i]);
    }
    return lab->bridge_fd < 0 ? lab->bridge_fd : 0;
}

static void address_text(const struct lab *lab, unsigned last, char ret[INET_ADDRSTRLEN])
{
    struct in_addr address = {htonl(NETWORK | lab->subnet << 8 | last)};
    inet_ntop(AF_INET, &address, ret, INET_ADDRSTRLEN);
}

static int wire(const struct lab *lab)
{
    struct commands commands = {.len = 0};
    char bridge[LAB_TEXT_MAX], address[INET_ADDRSTRLEN];
    snprintf(bridge, sizeof bridge, "/proc/%d/fd/%d", (int)getpid(), lab->bridge_fd);
    add(&commands,
        "PATH=/usr/sbin:/sbin:/usr/bin:/bin\n"
        "in_bridge() { nsenter --net=%s -- \"$@\"; }\n"
        "in_bridge ip link add switch type bridge\n"
        "in_bridge ip link set switch up\n"
        "ip link add ring%u type veth peer name bench netns %s\n"
        "in_bridge ip link set bench master switch up\n"
        "ip link set ring%u up\n",
        bridge, lab->subnet, bridge, lab->subnet);
    for (unsigned i = 0; i < LAB_SOURCES; i++) {
        address_text(lab, 1 + i, address);
        add(&commands, "ip addr add %s/24 dev ring%u\n", address, lab->subnet);
    }
    for (unsigned i = 0; i < lab->places; i++) {
        address_text(lab, PLACE_FIRST + i, address);
        add(&commands,
            "nsenter %s -- ip link add wire type veth peer name place%u netns %s\n"
            "nsenter %s -- ip addr add %s/24 dev wire\n"
            "nsenter %s -- ip link set wire up\n"
            "nsenter %s -- ip link set lo up\n"
            "in_bridge ip link set place%u master switch up\n",
            lab->nets[i], i, bridge, lab->nets[i], address, lab->nets[i], lab->nets[i], i);
    }
    return shell(&commands);
}

int lab_begin(struct lab *lab, unsigned places)
{
    assert(places <= LAB_PLACES_MAX);
    *lab = (struct lab){.bridge_fd = -1, .places = places, .subnet = (unsigned)getpid() % SUBNETS};
    for (unsigned i = 0; i < LAB_PLACES_MAX; i++)
        lab->fds[i] = -1;
    int err = access(NSENTER, X_OK) < 0 ? -EPERM : namespaces_make(lab);
    if (err == -EPERM) {
        lab_end(lab);
        return 0;
    }
    if (err == 0)
        err = wire(lab);
    lab->apart = err == 0;
    return err < 0 ? bench_fail(err, "the network of the nodes cannot be made: namespaces, ip and "
                                     "veth are needed")
                   : 0;
}

/* The end of the bridge's namespace takes our own wire with it. */
void lab_end(struct lab *lab)
{
    for (unsigned i = 0; i < lab->places; i++)
        if (lab->fds[i] >= 0)
            close(lab->fds[i]);
    if (lab->bridge_fd >= 0)
        close(lab->bridge_fd);
    *lab = (struct lab){.bridge_fd = -1};
}

struct sockaddr_in lab_address(const struct lab *lab, unsigned place, uint16_t port)
{
    assert(lab->apart && place < lab->places);
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(NETWORK | lab->subnet << 8 | (PLACE_FIRST + place)),
    };
}

struct in_addr lab_source(const struct lab *lab)
{
    return (struct in_addr){htonl(NETWORK | lab->subnet << 8 | 1)};
}

void lab_prefix(const struct lab *lab, unsigned place, const char *ret[LAB_PREFIX_MAX + 1])
{
    unsigned count = 0;
    if (lab->apart) {
        ret[count++] = NSENTER;
        ret[count++] = lab->nets[place];
        ret[count++] = "--";
    }
    ret[count] = NULL;
}

int lab_cut(const struct lab *lab, unsigned place, unsigned other, bool cut)
{
    struct commands commands = {.len = 0};
    char address[INET_ADDRSTRLEN];
    address_text(lab, PLACE_FIRST + other, address);
    add(&commands,
        "PATH=/usr/sbin:/sbin:/usr/bin:/bin\nnsenter %s -- ip route %s blackhole %s/32\n",
        lab->nets[place], cut ? "add" : "del", address);
    int err = shell(&commands);
    return err < 0 ? bench_fail(err, "a node cannot be cut off") : 0;
}
