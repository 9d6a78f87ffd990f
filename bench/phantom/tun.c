#include "phantom/tun.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "phantom/segment.h"
#include "phantom/tcp.h"

static_assert(sizeof(struct virtio_net_hdr) == TUN_HEAD, "what the kernel puts before a packet");

enum {
    IP_HEAD = 20,
    CHECKSUM_OFFSET = 16, /* in a TCP head */
    SHORT_MAX = 256,      /* bytes of payload */
    MASK_MAX = 64,
};

/* ---- refusals ---- */

static int refuse(int err, char *why, size_t why_size, const char *what)
{
    snprintf(why, why_size, "%s", what);
    return err;
}

static int explain(int err, const struct tun_config *config, char *why, size_t why_size)
{
    switch (err) {
    case -ENOENT:
    case -ENODEV:
    case -ENXIO:
        return refuse(err, why, why_size,
                      "/dev/net/tun is missing: modprobe tun, or give the container that device");
    case -EPERM:
    case -EACCES:
        return refuse(err, why, why_size,
                      "CAP_NET_ADMIN is missing: run it as root, as in sudo tuning/tune lab -- "
                      "./build.sh bench ...");
    case -EBUSY:
        snprintf(why, why_size,
                 "there is a device %s already: another run uses it in this network namespace; "
                 "end that, or run this one in tuning/tune lab",
                 config->name);
        return err;
    default:
        snprintf(why, why_size, "the device %s cannot be made: %s", config->name, strerror(-err));
        return err;
    }
}

static bool overlaps(const struct tun_config *config, uint32_t to, uint32_t mask)
{
    uint32_t common = mask & ~UINT32_C(0) << (32 - config->bits);
    return (to & common) == (config->address & common);
}

static uint32_t address_of(const struct sockaddr *address)
{
    struct sockaddr_in inet;
    memcpy(&inet, address, sizeof inet);
    return ntohl(inet.sin_addr.s_addr);
}

static bool interface_in_use(const struct tun_config *config)
{
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *at = all; at && !found; at = at->ifa_next)
        found = at->ifa_addr && at->ifa_addr->sa_family == AF_INET && at->ifa_netmask &&
                overlaps(config, address_of(at->ifa_addr), address_of(at->ifa_netmask));
    freeifaddrs(all);
    return found;
}

/* A line of /proc/net/route: a name, and numbers, most of them hexadecimal. */
static bool line_overlaps(const struct tun_config *config, const char *line)
{
    enum {
        TO,
        GATEWAY,
        FLAGS,
        COUNT,
        USE,
        METRIC,
        MASK,
        FIELDS
    };
    unsigned long fields[FIELDS];
    char *at = (char *)(uintptr_t)line + strcspn(line, "\t ");
    for (int i = 0; i < FIELDS; i++) {
        char *end;
        fields[i] = strtoul(at, &end, 16);
        if (end == at)
            return false;
        at = end;
    }
    uint32_t mask = ntohl((uint32_t)fields[MASK]);
    return mask != 0 && overlaps(config, ntohl((uint32_t)fields[TO]), mask);
}

/* Whether some route has part of the network: then packets would go astray. A default route has
 * not. */
static bool route_in_use(const struct tun_config *config)
{
    FILE *file = fopen("/proc/net/route", "re");
    char line[256];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = line_overlaps(config, line);
    if (file)
        fclose(file);
    return found;
}

/* ---- making it ---- */

int tun_large(const struct tun *tun, bool large)
{
    unsigned offload = TUN_F_CSUM | (large ? TUN_F_TSO4 : 0);
    return ioctl(tun->fd, TUNSETOFFLOAD, offload) < 0 ? -errno : 0;
}

static int attach(struct tun *tun, const struct tun_config *config)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL};
    tun->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun->fd < 0)
        return -errno;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", config->name);
    if (ioctl(tun->fd, TUNSETIFF, &request) < 0)
        return -errno;
    memcpy(tun->name, request.ifr_name, sizeof tun->name);
    return tun_large(tun, config->large);
}

static int set_address(int fd, struct ifreq *request, unsigned long what, uint32_t address)
{
    struct sockaddr_in value = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    memcpy(&request->ifr_addr, &value, sizeof value);
    return ioctl(fd, what, request) < 0 ? -errno : 0;
}

static int bring_up(const struct tun *tun, const struct tun_config *config)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    memcpy(request.ifr_name, tun->name, sizeof request.ifr_name);
    int err = set_address(fd, &request, SIOCSIFADDR, config->address);
    if (err == 0)
        err = set_address(fd, &request, SIOCSIFNETMASK, ~UINT32_C(0) << (32 - config->bits));
    request.ifr_mtu = TUN_MTU;
    if (err == 0 && ioctl(fd, SIOCSIFMTU, &request) < 0)
        err = -errno;
    request.ifr_qlen = TUN_QUEUE;
    if (err == 0 && ioctl(fd, SIOCSIFTXQLEN, &request) < 0)
        err = -errno;
    request.ifr_flags = IFF_UP;
    if (err == 0 && ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        err = -errno;
    close(fd);
    return err;
}

int tun_open(struct tun *ret, const struct tun_config *config, char *why, size_t why_size)
{
    struct tun tun = {.fd = -1};
    if (interface_in_use(config) || route_in_use(config)) {
        struct in_addr address = {htonl(config->address)};
        snprintf(why, why_size,
                 "addresses near %s are in use here, and the clients need them: run it in a "
                 "network namespace, as in sudo tuning/tune lab -- ./build.sh bench ...",
                 inet_ntoa(address));
        return -EADDRINUSE;
    }
    int err = attach(&tun, config);
    if (err == 0)
        err = bring_up(&tun, config);
    if (err < 0) {
        tun_close(&tun);
        return explain(err, config, why, why_size);
    }
    *ret = tun;
    return 0;
}

void tun_close(struct tun *tun)
{
    if (tun->fd >= 0)
        close(tun->fd);
    tun->fd = -1;
}

/* ---- who receives ---- */

/* As the kernel reads CPUs: hexadecimal words with commas, the first CPUs in the last word. */
static void mask_write(char mask[MASK_MAX], const cpu_set_t *cpus)
{
    size_t len = 0;
    for (unsigned word = 4; word-- > 0;) {
        uint32_t bits = 0;
        for (unsigned i = 0; i < 32; i++)
            bits |= CPU_ISSET(word * 32 + i, cpus) ? UINT32_C(1) << i : 0;
        if (len > 0 || bits != 0 || word == 0)
            len += (size_t)snprintf(mask + len, MASK_MAX - len, len > 0 ? ",%08x" : "%x", bits);
    }
}

/* /sys shows the devices of the network namespace in which it was mounted: a child mounts its own,
 * where nobody sees it. Does not return. */
static void receive_on_child(const struct tun *tun, const char *mask)
{
    char path[128];
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
        _exit(errno);
    snprintf(path, sizeof path, "/sys/class/net/%s/queues/rx-0/rps_cpus", tun->name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    _exit(fd < 0 || write(fd, mask, strlen(mask)) < 0 ? errno : 0);
}

int tun_receive_on(const struct tun *tun, const cpu_set_t *cpus)
{
    char mask[MASK_MAX];
    int status;
    mask_write(mask, cpus);
    pid_t child = fork();
    if (child == 0)
        receive_on_child(tun, mask);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* ---- packets ---- */

/* A line of /proc/net/dev: "name: ", and eight numbers for each way. Returns NULL where it is of
 * another device. */
static const char *numbers_of(const struct tun *tun, const char *line)
{
    size_t len = strlen(tun->name);
    line += strspn(line, " ");
    return strncmp(line, tun->name, len) == 0 && line[len] == ':' ? line + len + 1 : NULL;
}

uint64_t tun_dropped(const struct tun *tun)
{
    enum {
        SENT_DROPPED = 11, /* by the kernel: what it sends is what is read here */
    };
    FILE *file = fopen("/proc/net/dev", "re");
    char line[512];
    uint64_t dropped = 0;
    while (file && fgets(line, sizeof line, file)) {
        char *at = (char *)(uintptr_t)numbers_of(tun, line);
        for (int i = 0; at && i <= SENT_DROPPED; i++)
            dropped = strtoull(at, &at, 10);
    }
    if (file)
        fclose(file);
    return dropped;
}

/* What is one piece costs the kernel less than what is two: a call without a list of them. */
ptrdiff_t tun_read(const struct tun *tun, struct tun_packet *packet, bool *ret_vouched)
{
    struct virtio_net_hdr head;
    ssize_t got = read(tun->fd, packet, sizeof *packet);
    if (got < 0)
        return -errno;
    if ((size_t)got < sizeof head)
        return -EIO;
    memcpy(&head, packet->head, sizeof head);
    *ret_vouched = head.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID);
    return got - (ptrdiff_t)sizeof head;
}

/* Short payloads are copied behind their head, for the same reason. */
static ssize_t write_short(const struct tun *tun, const struct virtio_net_hdr *virtio,
                           const char *head, size_t head_len, const struct iovec *payload,
                           unsigned count)
{
    char bytes[TUN_HEAD + SEGMENT_HEAD_MAX + SHORT_MAX];
    size_t len = sizeof *virtio + head_len;
    memcpy(bytes, virtio, sizeof *virtio);
    memcpy(bytes + sizeof *virtio, head, head_len);
    for (unsigned i = 0; i < count; len += payload[i++].iov_len)
        memcpy(bytes + len, payload[i].iov_base, payload[i].iov_len);
    return write(tun->fd, bytes, len);
}

int tun_write(const struct tun *tun, const char *head, size_t head_len, const struct iovec *payload,
              unsigned count, size_t payload_len, uint16_t mss)
{
    struct virtio_net_hdr virtio = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = IP_HEAD,
        .csum_offset = CHECKSUM_OFFSET,
    };
    if (payload_len > mss) {
        virtio.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        virtio.gso_size = mss;
        virtio.hdr_len = (uint16_t)head_len;
    }
    assert(head_len <= SEGMENT_HEAD_MAX);
    if (payload_len <= SHORT_MAX)
        return write_short(tun, &virtio, head, head_len, payload, count) < 0 ? -errno : 0;
    struct iovec parts[2 + TCP_PAYLOADS_MAX] = {{&virtio, sizeof virtio},
                                                {(char *)(uintptr_t)head, head_len}};
    assert(count <= TCP_PAYLOADS_MAX);
    if (count > 0)
        memcpy(&parts[2], payload, count * sizeof *payload);
    return writev(tun->fd, parts, (int)(2 + count)) < 0 ? -errno : 0;
}
