/* quic_strays: packets of another shard's connections, handed to that shard by lane. The kernel's
 * program finds the shard of a packet; where there is none it goes by addresses, and a client that
 * has got another one comes to any shard.
 *
 *   socket ─► arrived: the ID names shard n ─► copy ─► call ─► lane ─► shard n: as if it came there
 *
 * Bounds   STRAYS_OPEN on their way; what comes meanwhile is lost, as anywhere on the network. */
#include <stdlib.h>
#include <string.h>

#include "carrier/quic_internal.h"
#include "hub/call.h"

enum {
    STRAYS_OPEN = 256,
    LONG_HEADER = 0x80,
    TYPE = 0x30,
    TYPE_HANDSHAKE = 0x20,
};

struct stray {
    struct call call;
    struct ring_packet packet;
    uint8_t bytes[];
};

/* A client draws the first destination itself, and it names nobody. */
bool quic_is_elsewhere(const struct shard *shard, const uint8_t *bytes,
                       const ngtcp2_version_cid *ids)
{
    bool is_drawn_here = !(bytes[0] & LONG_HEADER) || (bytes[0] & TYPE) == TYPE_HANDSHAKE;
    return is_drawn_here && ids->dcidlen == QUIC_CID_BYTES &&
           ids->dcid[0] % shard->server->shard_count != shard->index;
}

static void stray_run(void *target, struct call *call)
{
    struct shard *shard = target;
    struct stray *stray = (struct stray *)call;
    if (quic_port_of(shard))
        quic_arrived(shard, &stray->packet);
    hub_answer(shard->hub, call);
}

static void stray_done(void *asker, struct call *call)
{
    const struct shard *shard = asker;
    if (quic_port_of(shard))
        quic_port_of(shard)->strays--;
    free(call);
}

static void stray_drop(struct call *call)
{
    free(call);
}

static const struct call_ops stray_ops = {.run = stray_run, .done = stray_done, .drop = stray_drop};

void quic_hand_on(struct quic_port *port, const struct ring_packet *packet, unsigned target)
{
    struct shard *shard = port->shard;
    size_t len = (size_t)packet->res;
    struct stray *stray = port->strays < STRAYS_OPEN ? malloc(sizeof *stray + len) : NULL;
    if (stray) {
        *stray = (struct stray){.call = {.ops = &stray_ops}, .packet = *packet};
        stray->packet.iov = (struct iovec){stray->bytes, len};
        memcpy(stray->bytes, packet->iov.iov_base, len);
    }
    if (!stray || hub_call(shard->hub, target, &stray->call) < 0) {
        free(stray);
        counter_add(&shard->counters.quic_stuck, 1);
        return;
    }
    port->strays++;
    counter_add(&shard->counters.quic_handed_on, 1);
}
