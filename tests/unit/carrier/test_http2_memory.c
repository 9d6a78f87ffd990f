/* Visits over HTTP/2, again and again: each time another one of the allocations that they make
 * finds no memory, the library's among them. The visitor is told, by an answer, a reset of its
 * stream or the end of its connection; the server goes on, and the next visit is served. */
#include "api/api.h"
#include "carrier/http2.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"
#include "visitor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "failing_alloc.h"

enum {
    SLOTS = 32,
    PIPE_BYTES = 512 * 1024,
    LARGE = 100000, /* more than a block of frames */
    ASKS_MAX = 3,
    VISITS_MAX = 300,
    BODY = 5,
};

enum method {
    GET,
    POST,    /* with a body */
    CONNECT, /* a WebSocket */
};

/* What a visitor asks for, at once; what is published then, on channel a: nothing, or BODY or LARGE
 * bytes; and what it has in the end. */
static const struct visit {
    const char *name;
    struct {
        enum method method;
        const char *path;
    } asks[ASKS_MAX];
    size_t published;
    const char *good;
} visits[] = {
    {"health", {{GET, "/healthz"}}, 0, "\"ok\""},
    {"publish", {{POST, "/publish?channel=a"}}, 0, "\"offset\""},
    {"metrics", {{GET, "/metrics"}}, 0, "# "},
    {"three", {{GET, "/nowhere"}, {GET, "/poll?channel=a"}, {GET, "/healthz"}}, 0, "\"ok\""},
    {"poll of several",
     {{GET, "/poll?channel=a&channel=b"}, {GET, "/longpoll?channel=a&channel=b&since=start"}},
     0,
     "\"data\""},
    {"long poll", {{GET, "/longpoll?channel=b&channel=a"}}, BODY, "\"data\""},
    {"sse", {{GET, "/sse?channel=a"}}, BODY, "data: "},
    {"sse of several", {{GET, "/sse?channel=a&channel=b"}}, LARGE, "event: binary"},
    {"a raw websocket", {{CONNECT, "/ws?channel=a"}}, BODY, "hello"},
    {"envelopes", {{CONNECT, "/ws?channel=a&channel=b&envelope=1"}}, BODY, "\"data\""},
};

struct server_under_test {
    struct fake_shard fake;
    struct origins *origins;
    bool unpublished; /* it was the publisher who was refused */
};

static void turn(struct fake_shard *fake)
{
    failing_alloc.inside = true;
    fake_shard_turn(fake);
    failing_alloc.inside = false;
}

/* A WebSocket says nothing, and does not end either. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)user, (void)size;
    if (source->ptr)
        return NGHTTP2_ERR_DEFERRED;
    memset(buf, 'x', BODY);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return BODY;
}

static void publish(struct server_under_test *server, size_t len)
{
    static char request[LARGE + 200];
    struct fake_client *publisher =
        fake_client_open(server->fake.net, server->fake.listeners[LISTENER_PLAIN]);
    int head =
        snprintf(request, sizeof request,
                 "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", len);
    memset(request + head, 0xff, len);
    if (len == BODY)
        memcpy(request + head, "hello", BODY);
    (void)fake_client_write(publisher, request, (size_t)head + len);
    turn(&server->fake);
    char answer[1024] = "";
    ssize_t n = fake_client_read(publisher, answer, sizeof answer - 1);
    server->unpublished |= n <= 0 || strncmp(answer, "HTTP/1.1 200 ", 13) != 0;
    fake_client_close(publisher);
}

static bool heard(const struct visitor *visitor, const char *what)
{
    return memmem(visitor->heard, visitor->heard_len, what, strlen(what));
}

static void pay(struct server_under_test *server, const struct visit *visit,
                struct visitor *visitor)
{
    server->unpublished = false;
    visitor_come(visitor, &server->fake);
    visitor_settle(visitor, turn);
    for (unsigned i = 0; i < ASKS_MAX && visit->asks[i].path; i++) {
        static const char *const methods[] = {"GET", "POST", "CONNECT"};
        enum method method = visit->asks[i].method;
        const char *protocol = method == CONNECT ? "websocket" : NULL;
        const nghttp2_data_provider body = {{.ptr = protocol ? visitor : NULL}, read_body};
        visitor_ask(visitor, methods[method], visit->asks[i].path, protocol,
                    method == GET ? NULL : &body);
    }
    visitor_settle(visitor, turn);
    if (visit->published > 0)
        publish(server, visit->published);
    visitor_settle(visitor, turn);
    visitor_leave(visitor);
    turn(&server->fake);
}

static void pay_well(struct server_under_test *server, const struct visit *visit, unsigned n)
{
    struct visitor visitor;
    pay(server, visit, &visitor);
    if (!heard(&visitor, visit->good))
        fail_msg("%s, after allocation %u: not served", visit->name, n);
}

static void every_allocation_may_fail(void **state)
{
    struct server_under_test *server = *state;
    unsigned resets = 0;
    for (size_t i = 0; i < sizeof visits / sizeof visits[0]; i++) {
        const struct visit *visit = &visits[i];
        bool failed = true;
        pay_well(server, visit, 0); /* what a shard has from the first time on is there */
        for (unsigned n = 0; failed; n++) {
            struct visitor visitor;
            assert_true(n < VISITS_MAX);
            encoder_done(server->fake.shard);         /* but for this, made by the first batch */
            blocks_done(&server->fake.shard->blocks); /* and these, that others may still hold */
            failing_alloc_arm(n);
            pay(server, visit, &visitor);
            failed = failing_alloc_disarm();
            resets += visitor.resets;
            if (!heard(&visitor, visit->good) && !heard(&visitor, "overloaded") && !visitor.over &&
                visitor.resets == 0 && !server->unpublished)
                fail_msg("%s, allocation %u: the client knows nothing", visit->name, n);
            pay_well(server, visit, n);
        }
        assert_int_equal(server->fake.shard->live, 0);
        assert_int_equal(server->fake.shard->streams.open, 0);
        assert_int_equal(server->fake.shard->budgets[BUDGET_HTTP2].bytes, 0);
    }
    const struct counters *counters = &server->fake.shard->counters;
    assert_true(resets > 0);
    assert_true(counter_read(&counters->closed[CLOSE_OVERLOADED]) > 0);
    assert_true(counter_read(&counters->streams_closed[CLOSE_OVERLOADED]) > 0);
}

static int setup(void **state)
{
    static struct server_under_test server;
    struct fake_shard *fake = &server.fake;
    char why[256];
    fake_shard_init(fake);
    assert_int_equal(origins_create(&server.origins, "*", why, sizeof why), 0);
    fake->server.origins = server.origins;
    fake->server.transports = server_transports;
    fake->server.routes = server_routes;
    fake->server.batch_begin = encoder_begin;
    fake->server.batch_done = encoder_release;
    fake->server.batch_end = encoder_done;
    fake->server.answers_turn = answering_turn;
    fake->server.http2 = http2_library_create();
    assert_non_null(fake->server.http2);
    fake_shard_start(fake, SLOTS, PIPE_BYTES);
    *state = &server;
    return 0;
}

static int teardown(void **state)
{
    struct server_under_test *server = *state;
    fake_shard_done(&server->fake);
    http2_library_free((struct http2_library *)(uintptr_t)server->fake.server.http2);
    origins_free(server->origins);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
