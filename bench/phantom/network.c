#include "phantom/network.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/pages.h"
#include "phantom/random.h"

#define PACKET_NONE UINT32_MAX

/* What a packet's number is drawn for: each has a stream of its own. */
enum draw {
    DRAW_LOSS,
    DRAW_BURST,
    DRAW_JITTER,
    DRAW_REORDER,
};

struct packet {
    int64_t due_ns;
    uint64_t order; /* of those that are due together */
    uint32_t next;  /* of a free one */
    uint16_t head_len, len;
    uint8_t way;
    char bytes[NETWORK_PACKET_MAX];
};

struct way_state {
    uint32_t count;   /* packets so far */
    uint32_t free_ms; /* the narrow line is taken until then, from the network's start on */
};

struct line_state {
    struct way_state ways[2];
    uint32_t key;   /* what its chances come from; 0: no connection has begun */
    uint32_t begun; /* connections so far */
    bool bad[2];
};
static_assert(sizeof(struct line_state) == 28, "network.h says so");

struct network {
    struct network_config config;
    struct line_state *lines;
    int64_t *last_ns; /* by line and way: the arrival of the last; NULL: without jitter */
    uint32_t line_count;
    struct packet *packets;
    uint32_t fresh, free;
    uint32_t *heap; /* of packets under way, the first due on top */
    uint32_t count;
    uint32_t taken; /* the packet that network_next gave last */
    uint64_t order;
    int64_t start_ns;
    struct network_counters counters;
};

bool network_wanted(const struct network_config *config)
{
    return config->rtt_us > 0 || config->jitter_us > 0 || config->loss > 0 || config->reorder > 0 ||
           config->rate_bytes > 0;
}

int network_create(struct network **ret, const struct network_config *config, uint32_t lines)
{
    struct network *network = calloc(1, sizeof *network);
    if (!network)
        return -ENOMEM;
    network->config = *config;
    network->line_count = lines;
    network->free = network->taken = PACKET_NONE;
    network->lines = pages_map(lines * sizeof *network->lines);
    network->packets = pages_map(NETWORK_PACKETS * sizeof *network->packets);
    network->heap = pages_map(NETWORK_PACKETS * sizeof *network->heap);
    if (config->jitter_us > 0)
        network->last_ns = pages_map(2 * (size_t)lines * sizeof *network->last_ns);
    if (!network->lines || !network->packets || !network->heap ||
        (config->jitter_us > 0 && !network->last_ns)) {
        network_free(network);
        return -ENOMEM;
    }
    *ret = network;
    return 0;
}

void network_free(struct network *network)
{
    if (!network)
        return;
    pages_unmap(network->lines, network->line_count * sizeof *network->lines);
    pages_unmap(network->packets, NETWORK_PACKETS * sizeof *network->packets);
    pages_unmap(network->heap, NETWORK_PACKETS * sizeof *network->heap);
    pages_unmap(network->last_ns, 2 * (size_t)network->line_count * sizeof *network->last_ns);
    free(network);
}

const struct network_counters *network_counters(const struct network *network)
{
    return &network->counters;
}

/* ---- chance ---- */

/* 0 … 1, without 1; the same for the same packet. */
static double drawn(const struct network *network, const struct line_state *line,
                    enum network_way way, enum draw draw)
{
    uint64_t z = random_mixed(network->config.seed + UINT64_C(0x9e3779b97f4a7c15) * line->key);
    z = random_mixed(z + UINT64_C(0x9e3779b97f4a7c15) * (line->ways[way].count * UINT64_C(16) +
                                                         (uint64_t)way * 8 + (uint64_t)draw + 1));
    return random_part(z);
}

static uint32_t ms_since(const struct network *network, int64_t now_ns)
{
    return (uint32_t)((now_ns - network->start_ns) / 1000000);
}

void network_begin(struct network *network, uint32_t index, int64_t now_ns)
{
    struct line_state *line = &network->lines[index];
    assert(index < network->line_count);
    if (network->start_ns == 0)
        network->start_ns = now_ns;
    uint32_t begun = line->begun + 1;
    *line = (struct line_state){
        .key = (uint32_t)random_mixed((uint64_t)index << 32 | begun) | 1,
        .begun = begun,
    };
    if (network->last_ns)
        network->last_ns[2 * (size_t)index] = network->last_ns[2 * (size_t)index + 1] = 0;
}

void network_move(struct network *network, uint32_t from, uint32_t to)
{
    assert(from < network->line_count && to < network->line_count);
    uint32_t begun = network->lines[from].begun;
    network->lines[to] = network->lines[from];
    network->lines[from] = (struct line_state){.begun = begun};
    for (size_t i = 0; network->last_ns && i < 2; i++)
        network->last_ns[2 * (size_t)to + i] = network->last_ns[2 * (size_t)from + i];
}

/* Gilbert: a bad line gets well with probability 1 / burst, a good one falls ill so that the share
 * of bad times is the loss. */
static bool is_lost(struct network *network, struct line_state *line, enum network_way way)
{
    const struct network_config *config = &network->config;
    double chance = drawn(network, line, way, DRAW_LOSS);
    if (config->loss_burst <= 1)
        return chance < config->loss;
    double well = 1 / config->loss_burst;
    double ill = config->loss < 1 ? well * config->loss / (1 - config->loss) : 1;
    line->bad[way] = line->bad[way] ? chance >= well : chance < ill;
    return line->bad[way];
}

/* ---- the heap ---- */

static bool sooner(const struct network *network, uint32_t a, uint32_t b)
{
    const struct packet *one = &network->packets[a], *other = &network->packets[b];
    return one->due_ns != other->due_ns ? one->due_ns < other->due_ns : one->order < other->order;
}

static void heap_push(struct network *network, uint32_t packet)
{
    uint32_t at = network->count++;
    while (at > 0 && sooner(network, packet, network->heap[(at - 1) / 2])) {
        network->heap[at] = network->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    network->heap[at] = packet;
}

static uint32_t heap_pop(struct network *network)
{
    uint32_t top = network->heap[0], last = network->heap[--network->count], at = 0;
    while (2 * at + 1 < network->count) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < network->count &&
            sooner(network, network->heap[child + 1], network->heap[child]))
            child++;
        if (!sooner(network, network->heap[child], last))
            break;
        network->heap[at] = network->heap[child];
        at = child;
    }
    network->heap[at] = last;
    return top;
}

static struct packet *packet_take(struct network *network)
{
    uint32_t index = network->free;
    if (index != PACKET_NONE)
        network->free = network->packets[index].next;
    else if (network->fresh < NETWORK_PACKETS)
        index = network->fresh++;
    else
        return NULL;
    return &network->packets[index];
}

/* ---- on the way ---- */

/* How long the line is taken by this packet and those before it. */
static int64_t queued_ns(const struct network *network, struct way_state *way, size_t len,
                         int64_t now_ns)
{
    if (network->config.rate_bytes <= 0)
        return 0;
    uint32_t now_ms = ms_since(network, now_ns);
    double ms = (double)len * 1e3 / network->config.rate_bytes;
    uint32_t from_ms = way->free_ms > now_ms ? way->free_ms : now_ms;
    uint32_t whole = (uint32_t)ms;
    way->free_ms = from_ms + whole + (ms > whole);
    return (int64_t)(way->free_ms - now_ms) * 1000000;
}

static int64_t delay_ns(struct network *network, uint32_t index, enum network_way way, size_t len,
                        int64_t now_ns)
{
    const struct network_config *config = &network->config;
    struct line_state *line = &network->lines[index];
    int64_t wait_ns = config->rtt_us * INT64_C(500);
    wait_ns += queued_ns(network, &line->ways[way], len, now_ns);
    if (config->jitter_us > 0)
        wait_ns += (int64_t)(drawn(network, line, way, DRAW_JITTER) * config->jitter_us * 1e3);
    if (drawn(network, line, way, DRAW_REORDER) < config->reorder) {
        network->counters.reordered++;
        return 0;
    }
    if (!network->last_ns)
        return wait_ns;
    int64_t *last_ns = &network->last_ns[2 * (size_t)index + (size_t)way];
    if (now_ns + wait_ns < *last_ns)
        wait_ns = *last_ns - now_ns;
    *last_ns = now_ns + wait_ns;
    return wait_ns;
}

bool network_pass(struct network *network, uint32_t index, enum network_way way, const char *head,
                  size_t head_len, const char *payload, size_t payload_len, int64_t now_ns)
{
    struct line_state *line = &network->lines[index];
    struct network_counters *counters = &network->counters;
    assert(head_len + payload_len <= NETWORK_PACKET_MAX);
    if (line->key == 0)
        return true;
    line->ways[way].count++;
    if (is_lost(network, line, way)) {
        counters->lost++;
        return false;
    }
    counters->passed++;
    int64_t wait_ns = delay_ns(network, index, way, head_len + payload_len, now_ns);
    if (wait_ns == 0)
        return true;
    struct packet *packet = packet_take(network);
    if (!packet) {
        counters->overflowed++;
        return false;
    }
    packet->due_ns = now_ns + wait_ns;
    packet->order = network->order++;
    packet->way = (uint8_t)way;
    packet->head_len = (uint16_t)head_len;
    packet->len = (uint16_t)(head_len + payload_len);
    memcpy(packet->bytes, head, head_len);
    if (payload_len > 0)
        memcpy(packet->bytes + head_len, payload, payload_len);
    heap_push(network, (uint32_t)(packet - network->packets));
    if (network->count > counters->packets_most)
        counters->packets_most = network->count;
    return false;
}

static void give_back(struct network *network)
{
    if (network->taken == PACKET_NONE)
        return;
    network->packets[network->taken].next = network->free;
    network->free = network->taken;
    network->taken = PACKET_NONE;
}

size_t network_next(struct network *network, int64_t now_ns, const char **ret_packet,
                    size_t *ret_head_len, enum network_way *ret_way)
{
    give_back(network);
    if (network->count == 0 || network->packets[network->heap[0]].due_ns > now_ns)
        return 0;
    network->taken = heap_pop(network);
    const struct packet *packet = &network->packets[network->taken];
    *ret_packet = packet->bytes;
    *ret_head_len = packet->head_len;
    *ret_way = (enum network_way)packet->way;
    return packet->len;
}

int64_t network_wait_ns(const struct network *network, int64_t now_ns, int64_t most_ns)
{
    if (network->count == 0)
        return most_ns;
    int64_t wait_ns = network->packets[network->heap[0]].due_ns - now_ns;
    wait_ns = wait_ns > 0 ? wait_ns : 0;
    return wait_ns < most_ns ? wait_ns : most_ns;
}
