#include "fuzz.h"

#include <string.h>

#include "api/api.h"
#include "carrier/http2.h"
#include "conn/check.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"

/* A client that begins as HTTP/2 does, and then sends the input: to a whole shard, with the library
 * behind our callbacks. The first byte chooses whether it reads. However the input is cut, the
 * rules of conn/check.h hold after each turn, and nothing is held for the client when it has gone.
 */
enum {
    SLOTS = 8,
    PIPE_BYTES = 1 << 16,
    TICKS_MAX = 400, /* of a tenth of a second: beyond all deadlines */
};

static struct fake_shard fake;

static void setup(void)
{
    char why[256];
    struct origins *origins;
    fake_shard_init(&fake);
    fake.settings.head_timeout_ms = fake.settings.idle_timeout_ms = 1000;
    fake.settings.heartbeat_ms = fake.settings.stall_timeout_ms = 1000;
    fake.settings.echo = fake.settings.websocket_publish = true;
    int err = origins_create(&origins, "*", why, sizeof why);
    assert(err == 0);
    fake.server.transports = server_transports;
    fake.server.routes = server_routes;
    fake.server.batch_begin = encoder_begin;
    fake.server.batch_done = encoder_release;
    fake.server.batch_end = encoder_done;
    fake.server.answers_turn = answering_turn;
    fake.server.origins = origins;
    fake.server.http2 = http2_library_create();
    assert(fake.server.http2);
    fake_shard_start(&fake, SLOTS, PIPE_BYTES);
}

static void turn(void)
{
    uint32_t slot;
    fake_shard_turn(&fake);
    const char *broken = shard_check(fake.shard, &slot);
    assert(!broken);
}

/* Returns false when the connection is over. */
static bool hear(struct fake_client *client)
{
    static char bytes[PIPE_BYTES];
    ssize_t n;
    while ((n = fake_client_read(client, bytes, sizeof bytes)) > 0)
        ;
    return n == -EAGAIN;
}

static bool say(struct fake_client *client, struct span bytes, bool reads)
{
    while (bytes.len > 0) {
        ssize_t n = fake_client_write(client, bytes.ptr, bytes.len);
        turn();
        if ((n < 0 && n != -EAGAIN) || (n == -EAGAIN && !reads) || (reads && !hear(client)))
            return false;
        bytes = span_skip(bytes, n > 0 ? (size_t)n : 0);
        if (n == -EAGAIN)
            return false;
    }
    return true;
}

static void run(struct span input, bool reads, uint64_t step)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    struct fake_client *client = fake_client_open(fake.net, fake.listeners[LISTENER_PLAIN]);
    bool goes_on = say(client, span_of(preface, sizeof preface), reads);
    while (goes_on && input.len > 0) {
        size_t part = feed_step(&step, input.len);
        part = part > 0 ? part : 1;
        goes_on = say(client, span_of(input.ptr, part), reads);
        input = span_skip(input, part);
    }
    fake_shard_tick(&fake);
    fake_client_close(client);
    for (unsigned i = 0; i < TICKS_MAX && fake.shard->live > 0; i++)
        fake_shard_tick(&fake);
    turn();
    assert(fake.shard->live == 0 && fake.shard->streams.open == 0);
    assert(counter_read(&fake.shard->counters.http2_connections) == 0);
    for (int i = 0; i < BUDGET_COUNT; i++)
        assert(fake.shard->budgets[i].bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    if (!fake.shard)
        setup();
    bool reads = !(fuzz_choice(&input) & 1);
    const uint64_t steps[] = {0, 1, FEED_VARIED | size};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        run(input, reads, steps[i]);
    return 0;
}
