#include "core/ring_peers.h"

#include <errno.h>
#include <string.h>

#include "core/pages.h"

int ring_peers_init(struct ring *ring)
{
    ring->peers = pages_map(ring->capacity * sizeof *ring->peers);
    return ring->peers ? 0 : -ENOMEM;
}

void ring_peers_done(struct ring *ring)
{
    pages_unmap(ring->peers, ring->capacity * sizeof *ring->peers);
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
