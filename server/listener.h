/* listener: the listening sockets, one per shard on the same port (SO_REUSEPORT), so that shards
 * share no queue.
 *
 * Threads  main's, before the shards start. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>

struct settings;

/* Reads "address:port", the value of a setting. Port 0 lets the kernel choose. Returns 0 or -EINVAL
 * with `why`. */
int listener_address(struct sockaddr_in *ret, const char *setting, const char *text, char *why,
                     size_t why_size);

/* Makes sure that the port is free, and fixes it where it was 0. Returns 0 or negative errno with
 * `why`. */
int listener_claim(struct sockaddr_in *address, char *why, size_t why_size);

/* Opens one shard's listening socket. Accepted sockets inherit congestion_control, unsent_bytes_max
 * and stall_timeout_ms of the settings. Returns the descriptor, or negative errno with `why`. */
int listener_open(const struct sockaddr_in *address, const struct settings *settings, char *why,
                  size_t why_size);
