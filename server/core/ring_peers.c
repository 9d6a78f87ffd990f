#include "core/ring_peers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int ring_peers_init(struct ring *ring)
{
    void *peers = mmap(NULL, ring->capacity * sizeof *ring->peers, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (peers == MAP_FAILED)
        return -ENOMEM;
    ring->peers = peers;
    return 0;
}

void ring_peers_done(struct ring *ring)
{
    if (ring->peers)
        munmap(ring->peers, ring->capacity * sizeof *ring->peers);
}

void ring_peers_set(struct ring *ring, uint32_t slot, const struct sockaddr_in6 *address)
{
    struct in6_addr peer = in6addr_any;
    if (address->sin6_family == AF_INET6) {
        peer = address->sin6_addr;
    } else if (address->sin6_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
        peer.s6_addr[10] = peer.s6_addr[11] = 0xff;
        memcpy(peer.s6_addr + 12, &ipv4->sin_addr, sizeof ipv4->sin_addr);
    }
    ring->peers[slot] = peer;
}
