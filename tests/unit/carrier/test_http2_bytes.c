/* What an idle connection costs, with one stream of events and with more: lines, and all that is
 * taken from the heap for them. */
#include "api/api.h"
#include "carrier/http2.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"
#include "visitor.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    STREAMS = 100,
    FIRST_BYTES_MAX = 12 * 1024, /* a connection with one stream */
    FURTHER_BYTES_MAX = 416,     /* each stream more; nghttp2 1.64 takes the most, 405 */
    SUBSCRIPTION_BYTES = 16,     /* asserted in the hub */
    PIPE_BYTES = 1 << 20,        /* of the fake kernel: what is as large is not counted */
};

/* ---- all that is statically linked allocates here ---- */

static size_t taken;

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static size_t size_of(void *memory)
{
    size_t size = memory ? malloc_usable_size(memory) : 0;
    return size < PIPE_BYTES ? size : 0;
}

static void *counted(void *memory)
{
    taken += size_of(memory);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    taken -= size_of(old);
    return counted(__real_realloc(old, size));
}

void __wrap_free(void *memory)
{
    taken -= size_of(memory);
    __real_free(memory);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* ---- the test ---- */

static size_t used(const struct shard *shard)
{
    size_t line = sizeof(struct conn);
    size_t stream = line + sizeof(struct stream_link) + SUBSCRIPTION_BYTES;
    return taken + shard->live * line + shard->streams.open * stream;
}

static void subscribe(struct visitor *visitor, unsigned streams)
{
    for (unsigned i = 0; i < streams; i++)
        visitor_ask(visitor, "GET", "/sse?channel=c", NULL, NULL);
    visitor_settle(visitor, fake_shard_turn);
}

static void test_bytes(void **state)
{
    const struct fake_shard *fake = *state;
    struct visitor first, visitor;
    /* What a shard and a channel have from the first time on is there. */
    visitor_come(&first, *state);
    subscribe(&first, 2);

    size_t before = used(fake->shard);
    visitor_come(&visitor, *state);
    subscribe(&visitor, 1);
    assert_int_equal(visitor.status, 200);
    assert_int_equal(fake->shard->streams.open, 3);
    size_t one = used(fake->shard) - before;
    subscribe(&visitor, STREAMS - 1);
    assert_int_equal(fake->shard->streams.open, STREAMS + 2);
    size_t further = (used(fake->shard) - before - one) / (STREAMS - 1);
    print_message("a connection with a stream: %zu bytes; each stream more: %zu\n", one, further);
    assert_in_range(one, sizeof(struct conn), FIRST_BYTES_MAX);
    assert_in_range(further, sizeof(struct conn), FURTHER_BYTES_MAX);

    visitor_leave(&visitor);
    fake_shard_turn(*state);
    assert_in_range(used(fake->shard), before - before / 10, before + before / 10);
    visitor_leave(&first);
    fake_shard_turn(*state);
}

static struct origins *origins;

static int setup(void **state)
{
    static struct fake_shard fake;
    char why[256];
    fake_shard_init(&fake);
    assert_int_equal(origins_create(&origins, "*", why, sizeof why), 0);
    fake.server.origins = origins;
    fake.server.transports = server_transports;
    fake.server.routes = server_routes;
    fake.server.batch_begin = encoder_begin;
    fake.server.batch_done = encoder_release;
    fake.server.batch_end = encoder_done;
    fake.server.answers_turn = answering_turn;
    fake.server.http2 = http2_library_create();
    assert_non_null(fake.server.http2);
    fake_shard_start(&fake, 2 * STREAMS, PIPE_BYTES);
    *state = &fake;
    return 0;
}

static int teardown(void **state)
{
    struct fake_shard *fake = *state;
    fake_shard_done(fake);
    http2_library_free((struct http2_library *)(uintptr_t)fake->server.http2);
    origins_free(origins);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
