#include "fuzz.h"

#include <arpa/inet.h>
#include <string.h>

#include "phantom/tcp.h"

/* A server that sends what it likes to clients without sockets, which open, write, read and close
 * meanwhile. Each operation is a byte, and what it needs follows it: a packet as bytes, or a
 * segment that is near to what the client expects. Whatever comes, all that is lent belongs to
 * somebody, and nothing is left when all clients have gone. */
enum {
    SLOTS = 4,
    ORPHANS = 3,
    CHUNKS = 96,
    PORT_FIRST = 1000,
    PORTS = 64,
    MTU = 1500,
    BYTES_MAX = 4096,
    TIME_MS = 90000, /* of an orphan whose server is silent */
    ROUNDS = 40,
};
#define CLIENT UINT32_C(0xc6120100)
#define SERVER UINT32_C(0xc6120001)
#define MS     INT64_C(1000000)

static char bytes[BYTES_MAX];

struct world {
    struct tcp *tcp;
    int64_t now_ns;
    unsigned watched[SLOTS]; /* events owed to each slot */
    bool used[SLOTS], up[SLOTS];
    struct segment last[SLOTS]; /* that its client has sent */
    uint32_t port;
};

static void leaves(void *context, uint32_t line, const struct segment *segment,
                   const struct iovec *payload, unsigned count, uint16_t mss)
{
    struct world *world = context;
    char head[SEGMENT_HEAD_MAX];
    size_t len = 0;
    (void)mss;
    segment_head_write(head, segment);
    for (unsigned i = 0; i < count; i++)
        len += payload[i].iov_len;
    assert(len == segment->len);
    if (line < SLOTS)
        world->last[line] = *segment;
}

static void happens(void *context, enum tcp_event event, uint32_t slot, int32_t res)
{
    struct world *world = context;
    assert(slot < SLOTS && world->used[slot]);
    if (event == TCP_CONNECTED) {
        world->up[slot] = res == 0;
        world->used[slot] = res == 0;
        return;
    }
    unsigned watch = event == TCP_READABLE ? TCP_WATCH_READ : TCP_WATCH_WRITE;
    assert(world->watched[slot] & watch); /* each watch has one event */
    world->watched[slot] &= ~watch;
}

static void open_slot(struct world *world, uint32_t slot)
{
    const struct sockaddr_in from = {
        .sin_addr.s_addr = htonl(CLIENT),
        .sin_port = htons((uint16_t)(PORT_FIRST + world->port++ % PORTS)),
    };
    const struct sockaddr_in to = {.sin_addr.s_addr = htonl(SERVER), .sin_port = htons(80)};
    world->used[slot] = true;
    if (tcp_open(world->tcp, slot, &from, &to) < 0)
        world->used[slot] = false;
}

static void watch(struct world *world, uint32_t slot, enum tcp_watch which)
{
    if (world->watched[slot] & which)
        return;
    world->watched[slot] |= which;
    tcp_watch(world->tcp, slot, which);
}

static void leave(struct world *world, uint32_t slot, bool abrupt)
{
    for (unsigned which = TCP_WATCH_READ; which <= TCP_WATCH_WRITE; which++)
        if (world->watched[slot] & which)
            tcp_unwatch(world->tcp, slot, (enum tcp_watch)which);
    assert(world->watched[slot] == 0);
    if (abrupt)
        tcp_abort(world->tcp, slot);
    if (world->up[slot])
        tcp_close(world->tcp, slot);
    world->up[slot] = world->used[slot] = false;
}

/* A segment that is near to what the client of the slot expects. */
static void near(struct world *world, uint32_t slot, struct span *input)
{
    const struct segment *last = &world->last[slot];
    uint8_t flags = fuzz_choice(input);
    int8_t seq = (int8_t)fuzz_choice(input), ack = (int8_t)fuzz_choice(input);
    uint8_t len = fuzz_choice(input), window = fuzz_choice(input);
    const struct segment segment = {
        .from = last->to,
        .to = last->from,
        .from_port = last->to_port,
        .to_port = last->from_port,
        .seq = last->ack + (uint32_t)(seq * (flags & 0x40 ? 200 : 1)),
        .ack = last->seq + (uint32_t)last->len + !!(last->flags & (SEGMENT_SYN | SEGMENT_FIN)) +
               (uint32_t)(int32_t)ack,
        .window = (uint16_t)(window * 257),
        .flags = flags & 0x1f,
        .mss = window,
        .sack_permitted = window & 1,
        .timed = window & 2,
        .scaled = window & 4,
        .time = last->time + (uint32_t)(int32_t)seq,
        .scale = window % (SEGMENT_SCALE_MAX + 1),
        .bytes = bytes,
        .len = (size_t)len * (flags & 0x80 ? 16 : 1),
    };
    tcp_input(world->tcp, &segment);
}

static void raw(struct world *world, struct span *input)
{
    struct segment segment;
    uint8_t len = fuzz_choice(input);
    size_t count = len < input->len ? len : input->len;
    int whole = segment_parse(&segment, input->ptr, count, true);
    int checked = segment_parse(&segment, input->ptr, count, false);
    assert(checked == whole || checked == -SEGMENT_CHECKSUM);
    if (segment_parse(&segment, input->ptr, count, true) == 0) {
        assert(segment.bytes + segment.len <= input->ptr + count);
        tcp_input(world->tcp, &segment);
    }
    *input = span_skip(*input, count);
}

static void pass(struct world *world, int64_t ms)
{
    world->now_ns += ms * MS;
    tcp_time(world->tcp, world->now_ns);
    tcp_advance(world->tcp);
    assert(tcp_wait_ns(world->tcp, MS) >= 0);
}

static void act(struct world *world, struct span *input)
{
    uint8_t op = fuzz_choice(input);
    uint32_t slot = op % SLOTS;
    switch (op / SLOTS % 12) {
    case 0:
        if (!world->used[slot])
            open_slot(world, slot);
        break;
    case 1:
        if (world->up[slot])
            tcp_write(world->tcp, slot, bytes, (size_t)fuzz_choice(input) * 16);
        break;
    case 2:
        if (world->up[slot])
            tcp_read(world->tcp, slot, bytes, (size_t)fuzz_choice(input) * 16);
        break;
    case 3:
        if (world->up[slot])
            tcp_shutdown(world->tcp, slot);
        break;
    case 4:
        if (world->used[slot])
            leave(world, slot, !world->up[slot] || fuzz_choice(input) & 1);
        break;
    case 5:
        pass(world, fuzz_choice(input) * 8);
        break;
    case 6:
        raw(world, input);
        break;
    case 7:
        if (world->up[slot])
            watch(world, slot, TCP_WATCH_READ);
        break;
    case 8:
        if (world->up[slot])
            watch(world, slot, TCP_WATCH_WRITE);
        break;
    default:
        near(world, slot, input);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    struct world world = {.now_ns = MS};
    const uint8_t choice = fuzz_choice(&input);
    const struct tcp_config config = {
        .slots = SLOTS,
        .orphans = ORPHANS,
        .chunks = CHUNKS,
        .first_address = CLIENT,
        .address_count = 1,
        .port_first = PORT_FIRST,
        .port_count = PORTS,
        .mtu = MTU,
        .large = choice & 1,
        .sack = choice & 2,
        .timestamps = choice & 4,
        .window_scale = choice & 8,
        .calls = {&world, leaves, NULL, happens},
    };
    int err = tcp_create(&world.tcp, &config);
    assert(err == 0);
    tcp_time(world.tcp, world.now_ns);
    while (input.len > 0)
        act(&world, &input);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (world.used[slot])
            leave(&world, slot, !world.up[slot]);
    for (int i = 0; i < ROUNDS; i++)
        pass(&world, TIME_MS);
    assert(tcp_flows(world.tcp) == 0 && tcp_sound(world.tcp));
    tcp_free(world.tcp);
    return 0;
}
