#include "load/h2_windows.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum {
    WINDOW = 1000,
    BODY_CHUNK = 300,
};

/* A client with one stream, and a server that would send on it for ever. */
struct world {
    nghttp2_session *client, *server;
    size_t came;
    bool reads;
};

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *context)
{
    struct world *world = context;
    (void)flags, (void)data;
    world->came += len;
    h2_windows_came(session, stream, len, world->reads);
    return 0;
}

static ssize_t endless(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size,
                       uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session, (void)stream, (void)flags, (void)source, (void)context;
    const size_t len = size < BODY_CHUNK ? size : BODY_CHUNK;
    memset(out, 'a', len);
    return (ssize_t)len;
}

static int on_request(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    static nghttp2_nv status = {(uint8_t *)":status", (uint8_t *)"200", 7, 3, 0};
    const nghttp2_data_provider body = {.read_callback = endless};
    (void)context;
    return frame->hd.type == NGHTTP2_HEADERS
               ? nghttp2_submit_response(session, frame->hd.stream_id, &status, 1, &body)
               : 0;
}

static bool carry(nghttp2_session *from, nghttp2_session *to)
{
    const uint8_t *bytes;
    bool any = false;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(from, &bytes)) > 0) {
        assert_int_equal(nghttp2_session_mem_recv(to, bytes, (size_t)len), len);
        any = true;
    }
    assert_int_equal(len, 0);
    return any;
}

/* So many rounds at most: a reader that reads is sent something in each of them. */
static void talk(struct world *world, unsigned rounds)
{
    bool any = true;
    while (any && rounds-- > 0) {
        any = carry(world->client, world->server);
        any |= carry(world->server, world->client);
    }
}

static void world_init(struct world *world)
{
    const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW};
    const nghttp2_nv fields[] = {
        {(uint8_t *)":method", (uint8_t *)"GET", 7, 3, 0},
        {(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0},
        {(uint8_t *)":authority", (uint8_t *)"a", 10, 1, 0},
        {(uint8_t *)":path", (uint8_t *)"/", 5, 1, 0},
    };
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    *world = (struct world){.reads = true};
    assert_int_equal(nghttp2_option_new(&option), 0);
    h2_windows_options(option);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    assert_int_equal(nghttp2_session_client_new2(&world->client, callbacks, world, option), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_request);
    assert_int_equal(nghttp2_session_server_new(&world->server, callbacks, world), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    nghttp2_submit_settings(world->client, NGHTTP2_FLAG_NONE, &window, 1);
    nghttp2_submit_settings(world->server, NGHTTP2_FLAG_NONE, NULL, 0);
    assert_int_equal(nghttp2_submit_request(world->client, NULL, fields, 4, NULL, NULL), 1);
    talk(world, 10);
}

static void world_done(struct world *world)
{
    nghttp2_session_del(world->client);
    nghttp2_session_del(world->server);
}

static void test_who_reads_is_sent_more_than_a_window(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    assert_true(world.came > 3 * (size_t)WINDOW);
    world_done(&world);
}

/* What is under way when the window shuts may still come, and is owed for. */
static void test_who_does_not_read_is_sent_what_is_granted(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world.reads = false;
    h2_windows_shut(world.client);
    talk(&world, 10);
    const size_t shut = world.came;
    talk(&world, 10);
    assert_int_equal(world.came, shut);
    for (unsigned i = 0; i < 40; i++) {
        h2_windows_grant(world.client, 100);
        talk(&world, 10);
    }
    assert_in_range(world.came - shut, 40 * 100 - WINDOW, 40 * 100);
    const size_t granted = world.came;
    h2_windows_grant(world.client, 100);
    talk(&world, 10);
    assert_int_equal(world.came, granted + 100);
    world_done(&world);
}

static void test_who_reads_again_is_sent_all(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    for (unsigned i = 0; i < 3; i++) {
        world.reads = false;
        h2_windows_shut(world.client);
        talk(&world, 10);
        const size_t before = world.came;
        world.reads = true;
        h2_windows_open(world.client, WINDOW);
        talk(&world, 10);
        assert_true(world.came > before + 3 * (size_t)WINDOW);
    }
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_reads_is_sent_more_than_a_window),
        cmocka_unit_test(test_who_does_not_read_is_sent_what_is_granted),
        cmocka_unit_test(test_who_reads_again_is_sent_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
