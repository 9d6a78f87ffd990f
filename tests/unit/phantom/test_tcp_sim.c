/* Whole conversations over a network that delays, loses and disorders, each seed another one:
 * whatever one side has said, the other hears once, in order, and to the end.
 *
 *   clients (phantom/tcp) ◄─► phantom/network ◄─► a server that is as plain as can be: it keeps
 *                                                  nothing that comes out of order, and sends all
 *                                                  again when nothing is acknowledged
 */
#include "feed.h"
#include "wire.h"

#include "phantom/network.h"

enum {
    CLIENTS = 24,
    SAID_MAX = 30000, /* bytes of each side of a connection */
    SERVER_MSS = 900,
    SERVER_WINDOW = 8000,
    SERVER_PATIENCE_MS = 400,
    TIME_MAX_MS = 3600 * 1000,
    SEEDS = 12,
};

struct peer {
    uint32_t iss, una, next, rcv;
    uint32_t say; /* bytes that it will say */
    uint32_t heard;
    bool open, ended, over;
    int64_t again_ns;
};

struct client {
    uint32_t say, said, heard;
    bool up, shut, over;
};

struct world {
    struct wire wire;
    struct network *network;
    struct peer peers[CLIENTS];
    struct client clients[CLIENTS];
    uint64_t random;
    bool abrupt; /* some connections are reset in the middle */
    bool extra;  /* timestamps and window scale, both ways */
};

static char byte_of(uint32_t slot, bool client, uint32_t at)
{
    return (char)(slot * 31 + at * 7 + (at >> 8) + client);
}

static uint32_t draw(struct world *world, uint32_t below)
{
    return (uint32_t)(random_next(&world->random) % below);
}

/* ---- the server ---- */

static void peer_send(struct world *world, uint32_t slot, uint8_t flags, uint32_t seq, uint32_t len)
{
    struct peer *peer = &world->peers[slot];
    char packet[NETWORK_PACKET_MAX], bytes[SERVER_MSS];
    const struct segment segment = {
        .from = WIRE_SERVER,
        .to = WIRE_CLIENT + slot / WIRE_PORTS,
        .from_port = WIRE_PORT,
        .to_port = (uint16_t)(WIRE_FIRST_PORT + slot % WIRE_PORTS),
        .seq = seq,
        .ack = peer->rcv,
        .window = (uint16_t)(flags & SEGMENT_SYN ? SERVER_WINDOW : SERVER_WINDOW >> world->extra),
        .flags = flags,
        .mss = flags & SEGMENT_SYN ? SERVER_MSS : 0,
        .sack_permitted = flags & SEGMENT_SYN,
        .timed = world->extra,
        .time = (uint32_t)(world->wire.now_ns / WIRE_MS),
        .scaled = world->extra && flags & SEGMENT_SYN,
        .scale = 1,
        .len = len,
    };
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = byte_of(slot, false, seq - peer->iss - 1 + i);
    size_t head = segment_head_write(packet, &segment);
    if (!network_pass(world->network, slot, NETWORK_TO_CLIENT, packet, head, bytes, len,
                      world->wire.now_ns))
        return;
    struct segment read = segment;
    read.bytes = bytes;
    tcp_input(world->wire.tcp, &read); /* it overtakes */
}

/* All that the window allows, from `next` on. */
static void peer_say(struct world *world, uint32_t slot)
{
    struct peer *peer = &world->peers[slot];
    const uint32_t end = peer->iss + 1 + peer->say;
    while (segment_before(peer->next, end) && peer->next - peer->una < 40000) {
        uint32_t left = end - peer->next;
        uint32_t len = 1 + draw(world, left < SERVER_MSS ? left : SERVER_MSS);
        peer_send(world, slot, SEGMENT_ACK, peer->next, len);
        peer->next += len;
    }
    if (peer->next == end) {
        peer_send(world, slot, SEGMENT_ACK | SEGMENT_FIN, peer->next, 0);
        peer->next++;
    }
    peer->again_ns = world->wire.now_ns + SERVER_PATIENCE_MS * WIRE_MS;
}

static void peer_accept(struct world *world, uint32_t slot, const struct segment *syn)
{
    struct peer *peer = &world->peers[slot];
    peer->rcv = syn->seq + 1;
    peer->una = peer->iss;
    peer->next = peer->iss + 1;
    peer->open = true;
    peer->again_ns = world->wire.now_ns + SERVER_PATIENCE_MS * WIRE_MS;
    peer_send(world, slot, SEGMENT_SYN | SEGMENT_ACK, peer->iss, 0);
}

static void peer_take(struct world *world, uint32_t slot, const struct segment *segment)
{
    struct peer *peer = &world->peers[slot];
    uint32_t known = peer->rcv - segment->seq;
    if (segment_before(peer->rcv, segment->seq) || known > segment->len)
        return;
    for (uint32_t i = known; i < segment->len; i++)
        if (segment->bytes[i] != byte_of(slot, true, peer->heard++))
            fail_msg("client %u: byte %u is another", slot, peer->heard - 1);
    peer->rcv += (uint32_t)segment->len - known;
    if (segment->flags & SEGMENT_FIN && !peer->ended) {
        peer->ended = true;
        peer->rcv++;
    }
}

static void peer_input(struct world *world, uint32_t slot, const struct segment *segment)
{
    struct peer *peer = &world->peers[slot];
    if (segment->flags & SEGMENT_RST) {
        peer->over = true;
    } else if (segment->flags & SEGMENT_SYN) {
        peer_accept(world, slot, segment);
    } else if (peer->open && !peer->over) {
        if (segment_before(peer->next, segment->ack))
            fail_msg("client %u acknowledges what was not said", slot);
        if (segment_before(peer->una, segment->ack))
            peer->una = segment->ack;
        peer_take(world, slot, segment);
        if (segment->len > 0 || segment->flags & SEGMENT_FIN)
            peer_send(world, slot, SEGMENT_ACK, peer->next, 0);
        peer_say(world, slot);
    }
}

static void peer_clock(struct world *world, uint32_t slot)
{
    struct peer *peer = &world->peers[slot];
    if (!peer->open || peer->over || peer->una == peer->next || world->wire.now_ns < peer->again_ns)
        return;
    peer->again_ns = world->wire.now_ns + SERVER_PATIENCE_MS * WIRE_MS;
    if (peer->una == peer->iss) {
        peer_send(world, slot, SEGMENT_SYN | SEGMENT_ACK, peer->iss, 0);
        return;
    }
    peer->next = peer->una;
    const uint32_t end = peer->iss + 1 + peer->say;
    if (segment_before(end, peer->next))
        peer->over = peer->ended;
    else
        peer_say(world, slot);
}

/* ---- clients ---- */

static void client_speak(struct world *world, uint32_t slot)
{
    struct client *client = &world->clients[slot];
    char bytes[2000];
    uint32_t left = client->say - client->said;
    uint32_t len = left < sizeof bytes ? left : sizeof bytes;
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = byte_of(slot, true, client->said + i);
    ptrdiff_t taken = len > 0 ? tcp_write(world->wire.tcp, slot, bytes, len) : 0;
    client->said += taken > 0 ? (uint32_t)taken : 0;
    if (client->said == client->say && !client->shut && draw(world, 4) == 0)
        client->shut = tcp_shutdown(world->wire.tcp, slot) == 0;
}

static void client_listen(struct world *world, uint32_t slot)
{
    struct client *client = &world->clients[slot];
    char bytes[5000];
    ptrdiff_t got;
    while ((got = tcp_read(world->wire.tcp, slot, bytes, 1 + draw(world, sizeof bytes))) > 0)
        for (ptrdiff_t i = 0; i < got; i++)
            if (bytes[i] != byte_of(slot, false, client->heard++))
                fail_msg("client %u hears another byte %u", slot, client->heard - 1);
    if (got != 0 || client->said < client->say)
        return;
    client->over = true;
    tcp_close(world->wire.tcp, slot);
}

static void clients_act(struct world *world)
{
    for (uint32_t slot = 0; slot < CLIENTS; slot++) {
        struct client *client = &world->clients[slot];
        if (!client->up || client->over || draw(world, 3) != 0)
            continue;
        if (world->abrupt && draw(world, 400) == 0) {
            tcp_abort(world->wire.tcp, slot);
            tcp_close(world->wire.tcp, slot);
            client->over = world->peers[slot].over = true;
            continue;
        }
        client_speak(world, slot);
        client_listen(world, slot);
    }
}

/* ---- the world ---- */

static void carry(struct world *world)
{
    const char *packet;
    size_t len, head;
    enum network_way way;
    struct segment segment;
    while ((len = network_next(world->network, world->wire.now_ns, &packet, &head, &way)) > 0) {
        assert_int_equal(segment_parse(&segment, packet, len, true), 0);
        uint32_t address = way == NETWORK_TO_SERVER ? segment.from : segment.to;
        uint16_t port = way == NETWORK_TO_SERVER ? segment.from_port : segment.to_port;
        uint32_t slot = (address - WIRE_CLIENT) * WIRE_PORTS + port - WIRE_FIRST_PORT;
        if (way == NETWORK_TO_CLIENT)
            tcp_input(world->wire.tcp, &segment);
        else
            peer_input(world, slot, &segment);
    }
}

/* What clients have said sets out; an answer to a stranger goes the way of the others. */
static void collect(struct world *world)
{
    for (unsigned i = 0; i < world->wire.out_count; i++) {
        const struct wire_packet *out = &world->wire.out[i];
        const struct segment *segment = &out->segment;
        uint32_t slot =
            (segment->from - WIRE_CLIENT) * WIRE_PORTS + segment->from_port - WIRE_FIRST_PORT;
        size_t head = (size_t)(segment->bytes - out->packet);
        if (network_pass(world->network, slot, NETWORK_TO_SERVER, out->packet, head, segment->bytes,
                         segment->len, world->wire.now_ns))
            peer_input(world, slot, segment);
    }
    world->wire.out_count = world->wire.out_taken = 0;
    for (const struct wire_event *event; (event = wire_event(&world->wire));)
        if (event->event == TCP_CONNECTED) {
            assert_int_equal(event->res, 0);
            world->clients[event->slot].up = true;
        }
}

static bool over(const struct world *world)
{
    for (uint32_t slot = 0; slot < CLIENTS; slot++)
        if (!world->clients[slot].over)
            return false;
    return tcp_flows(world->wire.tcp) == 0;
}

static void step(struct world *world)
{
    world->wire.now_ns += WIRE_MS;
    tcp_time(world->wire.tcp, world->wire.now_ns);
    carry(world);
    collect(world);
    tcp_advance(world->wire.tcp);
    collect(world);
    clients_act(world);
    collect(world);
    for (uint32_t slot = 0; slot < CLIENTS; slot++)
        peer_clock(world, slot);
}

static void run(uint64_t seed, bool abrupt)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->random = seed;
    world->abrupt = abrupt;
    world->extra = seed % 5 < 2;
    wire_init(&world->wire, CLIENTS, 2000, seed & 1, world->extra);
    const struct network_config config = {
        .seed = seed,
        .rtt_us = 20000,
        .jitter_us = seed % 3 * 10000,
        .loss = (double)(seed % 4) * 0.04,
        .loss_burst = seed % 2 ? 1 : 2,
        .reorder = seed % 3 == 1 ? 0.05 : 0,
    };
    assert_int_equal(network_create(&world->network, &config, CLIENTS), 0);
    for (uint32_t slot = 0; slot < CLIENTS; slot++) {
        world->clients[slot].say = draw(world, SAID_MAX);
        world->peers[slot] = (struct peer){.say = draw(world, SAID_MAX),
                                           .iss = (uint32_t)random_next(&world->random)};
        network_begin(world->network, slot, world->wire.now_ns);
        wire_open(&world->wire, slot);
    }
    for (int64_t ms = 0; !over(world); ms++) {
        if (ms == TIME_MAX_MS)
            fail_msg("seed %u: %u flows are left", (unsigned)seed, tcp_flows(world->wire.tcp));
        step(world);
    }
    for (uint32_t slot = 0; slot < CLIENTS && !abrupt; slot++) {
        assert_int_equal(world->clients[slot].heard, world->peers[slot].say);
        assert_int_equal(world->peers[slot].heard, world->clients[slot].say);
    }
    network_free(world->network);
    wire_done(&world->wire);
    free(world);
}

static void test_conversations(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, false);
}

static void test_reset_in_the_middle(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 100 + SEEDS; seed++)
        run(seed, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_reset_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
