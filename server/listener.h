/* listener: the listening sockets, one per shard on the same port (SO_REUSEPORT), so that shards
 * share no queue.
 *
 * Threads  main's, before the shards start. */
#pragma once

#include <net/if.h> /* IF_NAMESIZE: of the interface behind a link-local address */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct settings;

struct listen_address {
    int backlog; /* connections that the kernel keeps ready there */
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    };
};

enum {
    LISTENER_NAME_MAX = INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof "[]:65535",
};

/* Reads "address:port", the value of a setting: IPv4, or IPv6 in brackets. Port 0 lets the kernel
 * choose. Returns 0 or -EINVAL with `why`. */
int listener_address(struct listen_address *ret, const char *setting, const char *text, char *why,
                     size_t why_size);

/* The address as URLs have it: an IPv6 one in brackets. */
void listener_name(const struct listen_address *address, char ret[LISTENER_NAME_MAX]);

/* Whether nobody but this machine can connect there. */
bool listener_is_loopback(const struct listen_address *address);

/* Opens one shard's listening socket. The first on an address makes sure that nobody else listens
 * there, and replaces port 0 by the one that the kernel chose; the others join it. Accepted sockets
 * inherit congestion_control, unsent_bytes_max and stall_timeout_ms of the settings. Waits half a
 * second for a port that is taken. Returns the descriptor, or negative errno with `why`. */
int listener_open(struct listen_address *address, bool first, const struct settings *settings,
                  char *why, size_t why_size);

/* Makes a listening socket that somebody else has opened like one of ours. Takes over its address,
 * which must be that of `address`, or of any port if that has none. Returns 0, -EADDRNOTAVAIL if it
 * is another, or negative errno. */
int listener_adopt(int fd, struct listen_address *address, const struct settings *settings);
