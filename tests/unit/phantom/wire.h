/* wire: clients of phantom/tcp, and a test in the place of the server.
 *
 *   tcp ─► wire_send ─► out[]     what clients have said, as a server would read it
 *   tcp ◄─ wire_say  ◄─ a test    what a server says
 *
 * Every segment goes through its bytes, so that what is read is what was written.
 *
 * Threads  one. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "phantom/tcp.h"

#define WIRE_CLIENT UINT32_C(0xc6120100)
#define WIRE_SERVER UINT32_C(0xc6120001)

enum {
    WIRE_PORT = 8080,
    WIRE_PORTS = 16,
    WIRE_FIRST_PORT = 10000,
    WIRE_OUT_MAX = 2048,
    WIRE_PACKET_MAX = 65536,
    WIRE_EVENTS_MAX = 4096,
    WIRE_MTU = 1500,
};
#define WIRE_MS INT64_C(1000000)

struct wire_event {
    enum tcp_event event;
    uint32_t slot;
    int32_t res;
};

struct wire_packet {
    struct segment segment; /* its bytes are in `packet` */
    uint32_t line;
    char packet[WIRE_PACKET_MAX];
};

struct wire {
    struct tcp *tcp;
    int64_t now_ns;
    struct wire_packet *out;
    unsigned out_count, out_taken;
    struct wire_event events[WIRE_EVENTS_MAX];
    unsigned event_count, event_taken;
};

static inline void wire_send(void *context, uint32_t line, const struct segment *segment,
                             const struct iovec *payload, unsigned count, uint16_t mss)
{
    struct wire *wire = context;
    assert_true(wire->out_count < WIRE_OUT_MAX);
    struct wire_packet *out = &wire->out[wire->out_count++];
    size_t len = segment_head_write(out->packet, segment);
    for (unsigned i = 0; i < count; i++) {
        memcpy(out->packet + len, payload[i].iov_base, payload[i].iov_len);
        len += payload[i].iov_len;
    }
    segment_checksum_write(out->packet, len);
    assert_int_equal(segment_parse(&out->segment, out->packet, len, false), 0);
    assert_int_equal(out->segment.len, segment->len);
    assert_true(segment->len == 0 || mss > 0);
    out->line = line;
}

static inline void wire_happens(void *context, enum tcp_event event, uint32_t slot, int32_t res)
{
    struct wire *wire = context;
    assert_true(wire->event_count < WIRE_EVENTS_MAX);
    wire->events[wire->event_count++] = (struct wire_event){event, slot, res};
}

static inline void wire_init(struct wire *wire, uint32_t slots, uint32_t chunks, bool sack,
                             bool extra)
{
    *wire = (struct wire){.now_ns = 1000 * WIRE_MS};
    wire->out = calloc(WIRE_OUT_MAX, sizeof *wire->out);
    assert_non_null(wire->out);
    const struct tcp_config config = {
        .slots = slots,
        .orphans = slots,
        .chunks = chunks,
        .first_address = WIRE_CLIENT,
        .address_count = (slots + WIRE_PORTS - 1) / WIRE_PORTS,
        .port_first = WIRE_FIRST_PORT,
        .port_count = WIRE_PORTS,
        .mtu = WIRE_MTU,
        .sack = sack,
        .timestamps = extra,
        .window_scale = extra,
        .calls = {wire, wire_send, NULL, wire_happens},
    };
    assert_int_equal(tcp_create(&wire->tcp, &config), 0);
    tcp_time(wire->tcp, wire->now_ns);
}

static inline void wire_done(struct wire *wire)
{
    assert_true(tcp_sound(wire->tcp));
    tcp_free(wire->tcp);
    free(wire->out);
}

static inline void wire_pass(struct wire *wire, int64_t ms)
{
    wire->now_ns += ms * WIRE_MS;
    tcp_time(wire->tcp, wire->now_ns);
    tcp_advance(wire->tcp);
}

static inline void wire_open(struct wire *wire, uint32_t slot)
{
    const struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(WIRE_CLIENT + slot / WIRE_PORTS),
        .sin_port = htons((uint16_t)(WIRE_FIRST_PORT + slot % WIRE_PORTS)),
    };
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(WIRE_SERVER),
        .sin_port = htons(WIRE_PORT),
    };
    assert_int_equal(tcp_open(wire->tcp, slot, &from, &to), 0);
}

/* The next segment that clients have sent; NULL: none. */
static inline const struct segment *wire_heard(struct wire *wire)
{
    if (wire->out_taken == wire->out_count) {
        wire->out_taken = wire->out_count = 0;
        return NULL;
    }
    return &wire->out[wire->out_taken++].segment;
}

static inline const struct wire_event *wire_event(struct wire *wire)
{
    if (wire->event_taken == wire->event_count) {
        wire->event_taken = wire->event_count = 0;
        return NULL;
    }
    return &wire->events[wire->event_taken++];
}

/* The server says something to the client of a slot. */
static inline void wire_say(struct wire *wire, uint32_t slot, struct segment segment)
{
    char *packet = malloc(WIRE_PACKET_MAX);
    assert_non_null(packet);
    segment.from = WIRE_SERVER;
    segment.to = WIRE_CLIENT + slot / WIRE_PORTS;
    segment.from_port = WIRE_PORT;
    segment.to_port = (uint16_t)(WIRE_FIRST_PORT + slot % WIRE_PORTS);
    size_t head = segment_head_write(packet, &segment);
    if (segment.len > 0)
        memcpy(packet + head, segment.bytes, segment.len);
    struct segment read;
    assert_int_equal(segment_parse(&read, packet, head + segment.len, true), 0);
    tcp_input(wire->tcp, &read);
    free(packet);
}
