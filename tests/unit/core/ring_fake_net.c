#include "ring_fake_net.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct fake_config fake_config_calm(void)
{
    return (struct fake_config){.seed = 1, .pipe_bytes_min = 65536, .pipe_bytes_max = 65536};
}

struct fake_config fake_config_wild(uint64_t seed)
{
    return (struct fake_config){
        .seed = seed,
        .pipe_bytes_min = 1,
        .pipe_bytes_max = 65536,
        .delay_ns_max = 20000000,
        .send_short = 100,
        .receive_short = 200,
        .accept_refused = 5,
        .reset = 1,
        .shuffled = true,
        .packet_lost = 50,
        .packet_twice = 50,
        .packet_cut = 5,
        .packet_spoilt = 5,
        .packet_delay_ns_max = 20000000,
    };
}

/* ---- chance and clock ---- */

/* splitmix64 */
uint64_t fake_net_random(struct fake_net *net)
{
    uint64_t z = (net->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t fake_below(struct fake_net *net, uint64_t bound)
{
    return fake_net_random(net) % bound;
}

bool fake_chance(struct fake_net *net, unsigned permille)
{
    return permille > 0 && fake_below(net, 1000) < permille;
}

/* Delays are short mostly, and now and then long: each is up to a random power of two below the
 * most. */
int64_t fake_soon(struct fake_net *net)
{
    if (net->config.delay_ns_max == 0)
        return net->now_ns;
    uint64_t most = (uint64_t)net->config.delay_ns_max >> fake_below(net, 20);
    return net->now_ns + (int64_t)fake_below(net, most + 1);
}

void fake_trace(struct fake_net *net, uint64_t value)
{
    net->trace = (net->trace ^ value) * UINT64_C(0x100000001b3);
    net->trace ^= net->trace >> 29;
}

struct fake_net *fake_net_create(const struct fake_config *config)
{
    assert(config->pipe_bytes_min > 0 && config->pipe_bytes_min <= config->pipe_bytes_max);
    struct fake_net *net = calloc(1, sizeof *net);
    assert(net);
    net->config = *config;
    net->random = config->seed;
    return net;
}

void fake_net_free(struct fake_net *net)
{
    assert(!net->rings);
    while (net->ends)
        fake_end_close(net->ends);
    while (net->sockets)
        fake_udp_close(net->sockets);
    for (unsigned port = 0; port < net->port_count; port++)
        free(net->ports[port].arrivals);
    for (unsigned i = 0; i < net->spare_count; i++)
        free(net->spares[i].bytes);
    free(net);
}

void fake_net_configure(struct fake_net *net, const struct fake_config *config)
{
    net->config = *config;
}

int64_t fake_net_now(const struct fake_net *net)
{
    return net->now_ns;
}

void fake_net_advance(struct fake_net *net, int64_t to_ns)
{
    assert(to_ns >= net->now_ns);
    net->now_ns = to_ns;
}

int64_t fake_net_due(const struct fake_net *net)
{
    int64_t due = INT64_MAX;
    for (const struct fake_ring *ring = net->rings; ring; ring = fake_ring_next(ring))
        if (fake_ring_due(ring) < due)
            due = fake_ring_due(ring);
    return due;
}

uint64_t fake_net_trace(const struct fake_net *net)
{
    return net->trace;
}

uint32_t fake_net_open(const struct fake_net *net)
{
    return net->open;
}

/* ---- ends ---- */

static void pipe_init(struct fake_net *net, struct fake_pipe *pipe, uint32_t size)
{
    pipe->size = size;
    for (unsigned i = 0; i < net->spare_count; i++) {
        if (net->spares[i].size != size)
            continue;
        pipe->bytes = net->spares[i].bytes;
        net->spares[i] = net->spares[--net->spare_count];
        return;
    }
    pipe->bytes = malloc(size);
    assert(pipe->bytes);
}

static void pipe_done(struct fake_net *net, struct fake_pipe *pipe)
{
    if (net->spare_count < FAKE_SPARES)
        net->spares[net->spare_count++] = *pipe;
    else
        free(pipe->bytes);
}

static struct fake_end *end_new(struct fake_net *net)
{
    struct fake_end *end = calloc(1, sizeof(struct fake_client));
    assert(end);
    uint32_t spread = net->config.pipe_bytes_max - net->config.pipe_bytes_min;
    /* Small pipes as often as large ones. */
    uint32_t extra = (uint32_t)fake_below(net, (uint64_t)spread + 1);
    extra >>= spread ? fake_below(net, 12) : 0;
    end->net = net;
    pipe_init(net, &end->in, net->config.pipe_bytes_min + extra);
    end->next = net->ends;
    if (net->ends)
        net->ends->previous = end;
    net->ends = end;
    return end;
}

struct fake_end *fake_end_pair(struct fake_net *net)
{
    struct fake_end *end = end_new(net);
    end->peer = end_new(net);
    end->peer->peer = end;
    net->open++;
    return end;
}

int32_t fake_end_poll(const struct fake_end *end, enum ring_direction direction)
{
    int32_t events = end->reset ? POLLERR | POLLHUP : 0;
    if (direction == RING_READ) {
        if (end->in.count > 0 || end->in.fin || end->reset)
            events |= POLLIN;
        if (end->in.fin || end->reset)
            events |= POLLRDHUP;
        return events;
    }
    /* As in Linux, a full socket is writable again when a third is free. */
    if (end->reset || !end->peer || end->peer->in.count <= end->peer->in.size / 3 * 2)
        events |= POLLOUT;
    return events;
}

static void end_reset_by(struct fake_end *end)
{
    if (end->reset)
        return;
    end->err = end->in.fin ? EPIPE : ECONNRESET;
    end->reset = true;
    fake_ring_notice(end);
}

void fake_end_reset(struct fake_end *end)
{
    if (end->peer) {
        end->peer->in.count = 0; /* what was on its way is lost */
        end_reset_by(end->peer);
    }
    end->in.count = 0;
    end_reset_by(end);
}

void fake_end_shutdown(struct fake_end *end)
{
    if (end->fin_sent || end->reset)
        return;
    end->fin_sent = true;
    if (end->peer) {
        end->peer->in.fin = true;
        fake_ring_notice(end->peer);
    }
}

void fake_end_close(struct fake_end *end)
{
    if (end->in.count > 0 && end->peer)
        fake_end_reset(end);
    fake_end_shutdown(end);
    if (end->peer)
        end->peer->peer = NULL;
    else
        end->net->open--;
    if (end->next)
        end->next->previous = end->previous;
    if (end->previous)
        end->previous->next = end->next;
    else
        end->net->ends = end->next;
    pipe_done(end->net, &end->in);
    free(end);
}

static int error_take(struct fake_end *end)
{
    int err = end->err;
    end->err = 0;
    return err;
}

/* Of so many from there, those before the end of the memory; the others are at its beginning. */
static uint32_t before_wrap(const struct fake_pipe *pipe, uint32_t at, uint32_t size)
{
    return size < pipe->size - at ? size : pipe->size - at;
}

static void pipe_put(struct fake_pipe *pipe, const uint8_t *data, uint32_t size)
{
    const uint32_t at = (pipe->head + pipe->count) % pipe->size;
    const uint32_t first = before_wrap(pipe, at, size);
    memcpy(pipe->bytes + at, data, first);
    memcpy(pipe->bytes, data + first, size - first);
    pipe->count += size;
}

static void pipe_take(struct fake_pipe *pipe, uint8_t *data, uint32_t size)
{
    const uint32_t first = before_wrap(pipe, pipe->head, size);
    memcpy(data, pipe->bytes + pipe->head, first);
    memcpy(data + first, pipe->bytes, size - first);
    pipe->head = (pipe->head + size) % pipe->size;
    pipe->count -= size;
}

/* What an operation moves of what it could, under this chance of less: often nothing. */
static uint32_t share(struct fake_net *net, size_t most, unsigned chance)
{
    uint32_t size = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    if (size == 0 || !fake_chance(net, chance))
        return size;
    return fake_chance(net, 300) ? 0 : (uint32_t)fake_below(net, size);
}

ssize_t fake_end_send(struct fake_end *end, const void *data, size_t size)
{
    struct fake_net *net = end->net;
    assert(size > 0 && size <= INT32_MAX && !end->fin_sent);
    if (end->peer && fake_chance(net, net->config.reset))
        fake_end_reset(end);
    if (end->reset) {
        int err = error_take(end);
        return err ? -err : -EPIPE;
    }
    if (!end->peer) {
        /* The peer has closed: it takes nothing and answers with a reset. */
        end_reset_by(end);
        return (ssize_t)size;
    }
    struct fake_pipe *pipe = &end->peer->in;
    size_t room = pipe->size - pipe->count;
    uint32_t n = share(net, size < room ? size : room, net->config.send_short);
    if (n == 0)
        return -EAGAIN;
    pipe_put(pipe, data, n);
    fake_ring_notice(end->peer);
    return n;
}

ssize_t fake_end_receive(struct fake_end *end, void *data, size_t size)
{
    struct fake_net *net = end->net;
    assert(size > 0);
    if (end->peer && fake_chance(net, net->config.reset))
        fake_end_reset(end);
    if (end->in.count == 0) {
        int err = error_take(end);
        return err ? -err : end->in.fin || end->reset ? 0 : -EAGAIN;
    }
    uint32_t n = share(net, size < end->in.count ? size : end->in.count, net->config.receive_short);
    if (n == 0)
        return -EAGAIN;
    pipe_take(&end->in, data, n);
    if (end->peer)
        fake_ring_notice(end->peer);
    return n;
}

/* ---- ports ---- */

unsigned fake_port_of(struct fake_net *net, int fd)
{
    unsigned port = 0;
    while (port < net->port_count && net->ports[port].fd != fd)
        port++;
    if (port == net->port_count) {
        assert(port < FAKE_PORTS);
        net->ports[net->port_count++].fd = fd;
    }
    return port;
}

void fake_arrive(struct fake_net *net, unsigned port, struct fake_end *end)
{
    assert(port < net->port_count);
    struct fake_port *at = &net->ports[port];
    if (at->count == at->size) {
        at->size = at->size ? 2 * at->size : 16;
        at->arrivals = realloc(at->arrivals, at->size * sizeof *at->arrivals);
        assert(at->arrivals);
    }
    fake_backlog_look(net, port);
    at->arrivals[at->count++] = (struct fake_arrival){end, fake_soon(net)};
}

void fake_backlog_look(struct fake_net *net, unsigned port)
{
    struct fake_port *at = &net->ports[port];
    for (uint32_t i = 0; i < at->count; i++)
        if (at->arrivals[i].due_ns == INT64_MAX)
            at->arrivals[i].due_ns = net->now_ns;
}

struct fake_end *fake_arrival_take(struct fake_net *net, unsigned port)
{
    struct fake_port *at = &net->ports[port];
    for (uint32_t i = 0; i < at->count; i++) {
        if (at->arrivals[i].due_ns > net->now_ns)
            continue;
        struct fake_end *end = at->arrivals[i].end;
        at->count--;
        memmove(&at->arrivals[i], &at->arrivals[i + 1], (at->count - i) * sizeof *at->arrivals);
        return end;
    }
    return NULL;
}

int64_t fake_arrival_due(const struct fake_net *net, unsigned port)
{
    const struct fake_port *at = &net->ports[port];
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < at->count; i++)
        if (at->arrivals[i].due_ns < due)
            due = at->arrivals[i].due_ns;
    return due;
}

/* ---- clients ---- */

struct fake_client *fake_client_open(struct fake_net *net, int fd)
{
    return fake_client_open_from(net, fd, in6addr_loopback);
}

struct fake_client *fake_client_open_from(struct fake_net *net, int fd, struct in6_addr address)
{
    struct fake_end *end = fake_end_pair(net);
    end->peer->address = address;
    fake_arrive(net, fake_port_of(net, fd), end->peer);
    return (struct fake_client *)end;
}

ssize_t fake_client_write(struct fake_client *client, const void *data, size_t size)
{
    return fake_end_send(&client->end, data, size);
}

ssize_t fake_client_read(struct fake_client *client, void *data, size_t size)
{
    return fake_end_receive(&client->end, data, size);
}

bool fake_client_readable(const struct fake_client *client)
{
    return fake_end_poll(&client->end, RING_READ) != 0;
}

void fake_client_miss(struct fake_net *net, const struct fake_client *client)
{
    for (unsigned port = 0; port < net->port_count; port++)
        for (uint32_t i = 0; i < net->ports[port].count; i++)
            if (net->ports[port].arrivals[i].end == client->end.peer)
                net->ports[port].arrivals[i].due_ns = INT64_MAX;
}

bool fake_client_waits(const struct fake_client *client)
{
    return client->end.peer && !client->end.peer->ring;
}

bool fake_client_slot(const struct fake_client *client, const struct ring **ret_ring,
                      uint32_t *ret_slot)
{
    const struct fake_end *peer = client->end.peer;
    if (!peer || !peer->ring)
        return false;
    *ret_ring = fake_ring_base(peer->ring);
    *ret_slot = peer->slot;
    return true;
}

void fake_client_shutdown(struct fake_client *client)
{
    fake_end_shutdown(&client->end);
}

void fake_client_close(struct fake_client *client)
{
    fake_end_close(&client->end);
}

void fake_client_reset(struct fake_client *client)
{
    fake_end_reset(&client->end);
    fake_end_close(&client->end);
}
