/* Clients on nghttp2 that open, publish, reset, stall, give small windows and vanish, over a kernel
 * with all its surprises: after every turn the rules of conn/check.h hold, no stream of events has
 * a gap, and when all have gone nothing is held for them. */
#include "api/api.h"
#include "carrier/http2.h"
#include "conn/check.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SEEDS = 12,
    STEPS = 1200,
    VISITORS = 12,
    OUT_MAX = 1 << 20,
    TEXT_MAX = 1 << 16,
    BODY_MAX = 30000,
};

/* A stream of events, as far as it has been read. */
struct events {
    int32_t id;
    uint64_t offset; /* of the last one; 0: none has come */
    size_t len;
    char text[TEXT_MAX];
};

struct visitor {
    struct storm *storm;
    struct fake_client *link; /* NULL: away */
    nghttp2_session *session;
    int64_t stalled_until_ns;
    struct events events;
    size_t body_left;
    size_t out_len;
    char *out;
};

struct storm {
    struct fake_shard fake;
    struct origins *origins;
    uint64_t random;
    struct visitor visitors[VISITORS];
    uint64_t heard, published;
};

/* splitmix64 */
static uint64_t next(struct storm *storm)
{
    uint64_t z = (storm->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t below(struct storm *storm, uint64_t bound)
{
    return next(storm) % bound;
}

static bool chance(struct storm *storm, unsigned permille)
{
    return below(storm, 1000) < permille;
}

/* ---- what a client hears ---- */

/* Each event has the number behind the one before it. */
static void hear_event(struct visitor *visitor, const char *event)
{
    const char *id = strstr(event, "id: ");
    const char *dot = id ? strchr(id, '.') : NULL;
    if (!dot)
        return;
    uint64_t offset = strtoull(dot + 1, NULL, 10);
    bool is_message = strstr(event, "data: ");
    if (is_message) {
        assert_int_equal(offset, visitor->events.offset + 1);
        visitor->storm->heard++;
    }
    visitor->events.offset = offset;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    (void)session, (void)flags;
    struct visitor *visitor = user;
    struct events *events = &visitor->events;
    if (id != events->id)
        return 0;
    assert_true(events->len + len < sizeof events->text);
    memcpy(events->text + events->len, data, len);
    events->len += len;
    events->text[events->len] = '\0';
    char *end;
    while ((end = strstr(events->text, "\n\n"))) {
        *end = '\0';
        hear_event(visitor, events->text);
        events->len -= (size_t)(end + 2 - events->text);
        memmove(events->text, end + 2, events->len + 1);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session, (void)code;
    struct visitor *visitor = user;
    if (id == visitor->events.id)
        visitor->events.id = 0;
    return 0;
}

/* ---- what it asks ---- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)source;
    struct visitor *visitor = user;
    size_t part = visitor->body_left < size ? visitor->body_left : size;
    memset(buf, 'x', part);
    visitor->body_left -= part;
    if (visitor->body_left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)part;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

static int32_t request(struct visitor *visitor, const char *method, const char *path,
                       const char *protocol, const nghttp2_data_provider *body)
{
    nghttp2_nv fields[5] = {field(":method", method), field(":scheme", "http"),
                            field(":authority", "h"), field(":path", path)};
    size_t count = 4;
    if (protocol)
        fields[count++] = field(":protocol", protocol);
    return nghttp2_submit_request(visitor->session, NULL, fields, count, body, NULL);
}

static ssize_t read_never(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)buf, (void)size, (void)flags, (void)source, (void)user;
    return NGHTTP2_ERR_DEFERRED;
}

static void ask(struct visitor *visitor)
{
    static const char *const paths[] = {
        "/poll?channel=c", "/longpoll?channel=c&timeout=1", "/healthz",
        "/nothing",        "/poll?channel=a&channel=c",     "/sse?channel=b"};
    static const nghttp2_data_provider body = {.read_callback = read_body};
    static const nghttp2_data_provider open = {.read_callback = read_never};
    struct storm *storm = visitor->storm;
    switch (below(storm, 5)) {
    case 0:
        if (visitor->body_left > 0)
            break;
        visitor->body_left = 1 + below(storm, chance(storm, 100) ? BODY_MAX : 100);
        request(visitor, "POST", "/publish?channel=c", NULL, &body);
        storm->published++;
        break;
    case 1:
        if (visitor->events.id != 0)
            break;
        visitor->events.offset = 0;
        visitor->events.len = 0;
        visitor->events.id = request(visitor, "GET", "/sse?channel=c", NULL, NULL);
        break;
    case 2:
        if (nghttp2_session_get_remote_settings(visitor->session,
                                                NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL))
            request(visitor, "CONNECT", "/ws?channel=c", "websocket", &open);
        break;
    default:
        request(visitor, "GET", paths[below(storm, sizeof paths / sizeof *paths)], NULL, NULL);
        break;
    }
}

/* ---- its life ---- */

static void come(struct visitor *visitor)
{
    struct storm *storm = visitor->storm;
    static const uint32_t windows[] = {0, 1, 100, 5000, 65535, 65535, 1 << 20};
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&visitor->session, callbacks, visitor);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings = {
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
        windows[below(storm, sizeof windows / sizeof *windows)],
    };
    nghttp2_submit_settings(visitor->session, 0, &settings, 1);
    visitor->link = fake_client_open(storm->fake.net, storm->fake.listeners[LISTENER_PLAIN]);
    visitor->out_len = visitor->body_left = 0;
    visitor->events = (struct events){0};
    visitor->stalled_until_ns = 0;
}

static void gone(struct visitor *visitor)
{
    nghttp2_session_del(visitor->session);
    visitor->session = NULL;
    visitor->link = NULL;
}

static void leave(struct visitor *visitor)
{
    if (chance(visitor->storm, 500))
        fake_client_close(visitor->link);
    else
        fake_client_reset(visitor->link);
    gone(visitor);
}

/* Returns false when the connection is over. */
static bool write_some(struct visitor *visitor)
{
    const uint8_t *bytes;
    ssize_t len;
    while (visitor->out_len < OUT_MAX / 2 &&
           (len = nghttp2_session_mem_send(visitor->session, &bytes)) > 0) {
        memcpy(visitor->out + visitor->out_len, bytes, (size_t)len);
        visitor->out_len += (size_t)len;
    }
    size_t part = visitor->out_len;
    if (part > 1 && chance(visitor->storm, 300))
        part = 1 + below(visitor->storm, part);
    ssize_t n = part > 0 ? fake_client_write(visitor->link, visitor->out, part) : 0;
    if (n == -EAGAIN)
        return true;
    if (n < 0)
        return false;
    visitor->out_len -= (size_t)n;
    memmove(visitor->out, visitor->out + n, visitor->out_len);
    return true;
}

static bool read_some(struct visitor *visitor)
{
    static uint8_t bytes[20000];
    for (unsigned i = 0; i < 4; i++) {
        size_t size = chance(visitor->storm, 200) ? 1 + below(visitor->storm, 50) : sizeof bytes;
        ssize_t n = fake_client_read(visitor->link, bytes, size);
        if (n == -EAGAIN)
            return true;
        if (n <= 0)
            return false;
        assert_int_equal(nghttp2_session_mem_recv(visitor->session, bytes, (size_t)n), n);
    }
    return true;
}

static void act(struct visitor *visitor)
{
    struct storm *storm = visitor->storm;
    int64_t now_ns = fake_net_now(storm->fake.net);
    if (!visitor->link) {
        come(visitor);
        return;
    }
    if (now_ns < visitor->stalled_until_ns)
        return;
    if (chance(storm, 3))
        visitor->stalled_until_ns = now_ns + (int64_t)below(storm, 5) * FAKE_SHARD_S;
    if (chance(storm, 150))
        ask(visitor);
    if (chance(storm, 20))
        nghttp2_submit_rst_stream(visitor->session, 0, (int32_t)(1 + 2 * below(storm, 20)),
                                  NGHTTP2_CANCEL);
    if (chance(storm, 20) && visitor->events.id > 0)
        nghttp2_submit_window_update(visitor->session, 0, visitor->events.id, 1000);
    if (chance(storm, 5))
        nghttp2_submit_ping(visitor->session, 0, NULL);
    if (chance(storm, 4) || !write_some(visitor) || !read_some(visitor))
        leave(visitor);
}

/* ---- the storm ---- */

static void start(struct storm *storm, uint64_t seed)
{
    struct fake_shard *fake = &storm->fake;
    char why[256];
    *storm = (struct storm){.random = seed};
    fake_shard_init(fake);
    fake->settings.stall_timeout_ms = 3000;
    fake->settings.heartbeat_ms = 2000;
    fake->settings.queue_bytes_max = 20000;
    fake->settings.http2_streams_max = 20;
    fake->settings.echo = true;
    assert_int_equal(origins_create(&storm->origins, "*", why, sizeof why), 0);
    fake->server.transports = server_transports;
    fake->server.routes = server_routes;
    fake->server.batch_begin = encoder_begin;
    fake->server.batch_done = encoder_release;
    fake->server.batch_end = encoder_done;
    fake->server.answers_turn = answering_turn;
    fake->server.origins = storm->origins;
    fake->server.http2 = http2_library_create();
    assert_non_null(fake->server.http2);
    fake_shard_start(fake, 64, 4000);
    const struct fake_config config = fake_config_wild(seed);
    fake_net_configure(fake->net, &config);
    for (unsigned i = 0; i < VISITORS; i++) {
        storm->visitors[i].storm = storm;
        storm->visitors[i].out = malloc(OUT_MAX);
        assert_non_null(storm->visitors[i].out);
    }
}

static void turn(struct storm *storm)
{
    uint32_t slot;
    fake_shard_turn(&storm->fake);
    const char *broken = shard_check(storm->fake.shard, &slot);
    if (broken)
        fail_msg("slot %u %s", slot, broken);
}

static void nothing_is_held(struct storm *storm)
{
    const struct shard *shard = storm->fake.shard;
    const struct counters *counters = &shard->counters;
    assert_int_equal(shard->live, 0);
    assert_int_equal(shard->streams.open, 0);
    assert_int_equal(counter_read(&counters->http2_connections), 0);
    assert_int_equal(counter_read(&counters->streams_sse), 0);
    assert_int_equal(counter_read(&counters->streams_websocket), 0);
    assert_int_equal(counter_read(&counters->longpolls_held), 0);
    for (int i = 0; i < BUDGET_COUNT; i++)
        assert_int_equal(shard->budgets[i].bytes, 0);
}

static void end(struct storm *storm)
{
    const struct fake_config calm = fake_config_calm();
    fake_net_configure(storm->fake.net, &calm);
    for (unsigned i = 0; i < VISITORS; i++) {
        if (storm->visitors[i].link)
            leave(&storm->visitors[i]);
        free(storm->visitors[i].out);
    }
    for (unsigned i = 0; i < 1000 && storm->fake.shard->live > 0; i++)
        fake_shard_tick(&storm->fake);
    turn(storm);
    nothing_is_held(storm);
    fake_shard_done(&storm->fake);
    http2_library_free((struct http2_library *)(uintptr_t)storm->fake.server.http2);
    origins_free(storm->origins);
}

static void test_storm(void **state)
{
    (void)state;
    static struct storm storm;
    uint64_t heard = 0, opened = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(&storm, seed);
        for (unsigned step = 0; step < STEPS; step++) {
            for (unsigned i = 0; i < VISITORS; i++)
                act(&storm.visitors[i]);
            int64_t now_ns = fake_net_now(storm.fake.net);
            fake_net_advance(storm.fake.net, now_ns + (int64_t)below(&storm, 20000000));
            turn(&storm);
        }
        heard += storm.heard;
        opened += counter_read(&storm.fake.shard->counters.streams_opened);
        end(&storm);
    }
    print_message("%lu streams, %lu events heard\n", (unsigned long)opened, (unsigned long)heard);
    assert_true(opened > 1000 && heard > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
