/* A visit to the server, again and again: each time another one of the allocations that it makes
 * finds no memory. The visitor is told or cut off, the server goes on, and nothing is lost of it:
 * the next visit is served. */
#include "api/api.h"
#include "fake_shard.h"
#include "http/origins.h"
#include "transport/answering.h"
#include "transport/encoder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"

enum {
    SLOTS = 32,
    PIPE_BYTES = 512 * 1024,
    LARGE = 100000, /* more than a block of frames */
    STEPS_MAX = 6,
    VISITS_MAX = 200,
};

#define WEBSOCKET                                                                                  \
    " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                        \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define GET(target)          "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(channel, bytes) "POST /publish?channel=" channel " HTTP/1.1\r\nHost: h\r\n" bytes
#define LARGE_POST           POST("a", "Content-Length: 100000\r\n\r\n")

/* What a visitor sends, a turn after each step; and what it has in the end. "*" publishes LARGE
 * bytes that are no text, "+" a short text, each on channel a. */
static const struct visit {
    const char *name;
    const char *steps[STEPS_MAX];
    const char *good;
} visits[] = {
    {"publish", {POST("a", "Content-Length: 5\r\n\r\nhello")}, "HTTP/1.1 200 "},
    {"a body in pieces", {POST("a", "Content-Length: 10\r\n\r\nhello"), "h", "ello"}, "\"offset\""},
    {"a head in pieces", {"GET /healthz HT", "TP/1.1\r\nHost: ", "h\r\n\r\n"}, "HTTP/1.1 200 "},
    {"a head behind another",
     {GET("/healthz") "GET /heal", "thz HTTP/1.1\r\nHost: h\r\n\r\n"},
     "ok"},
    {"metrics", {GET("/metrics")}, "ringside_shards 1"},
    {"poll", {"*", GET("/poll?channel=a")}, "\"base64\""},
    {"poll of several", {"*", "+", GET("/poll?channel=a&channel=b")}, "\"data\""},
    {"long poll", {GET("/longpoll?channel=a"), "*"}, "\"base64\""},
    {"long poll of several", {GET("/longpoll?channel=a&channel=b"), "+"}, "\"data\""},
    {"behind a long poll", {GET("/longpoll?channel=a"), GET("/healthz"), "+"}, "\"status\""},
    {"sse", {GET("/sse?channel=a"), "+", "*"}, "event: binary"},
    {"sse of several", {"+", GET("/sse?channel=a&channel=b&since=start"), "*"}, "data: "},
    {"a raw websocket", {"GET /ws?channel=a" WEBSOCKET, "*"}, "HTTP/1.1 101 "},
    {"envelopes of several",
     {"GET /ws?channel=a&channel=b&envelope=1" WEBSOCKET, "+", "*"},
     "\"base64\""},
    {"a message in pieces",
     {"GET /echo" WEBSOCKET, "\x01\x83\0\0\0", "\0one", "\x80\x83\0\0\0\0two"},
     "onetwo"},
    {"a ping", {"GET /echo" WEBSOCKET, "\x89\x83\0\0\0\0one", "\x80\x80\0\0\0"}, "\x8a\x03one"},
};

struct server_under_test {
    struct fake_shard fake;
    struct origins *origins;
    char got[3 << 20]; /* more than the history in base64 */
    size_t got_len;
    bool ended;
    bool unpublished; /* it was the publisher who was refused */
};

static void turn(struct server_under_test *server)
{
    failing_alloc.inside = true;
    fake_shard_turn(&server->fake);
    failing_alloc.inside = false;
}

static struct fake_client *come(struct server_under_test *server)
{
    return fake_client_open(server->fake.net, server->fake.listeners[LISTENER_PLAIN]);
}

/* A client that has been reset writes to nobody. */
static void say(struct fake_client *client, const char *bytes, size_t len)
{
    (void)fake_client_write(client, bytes, len);
}

static void hear(struct server_under_test *server, struct fake_client *client)
{
    ssize_t n;
    while ((n = fake_client_read(client, server->got + server->got_len,
                                 sizeof server->got - server->got_len)) > 0)
        server->got_len += (size_t)n;
    server->ended |= n != -EAGAIN;
}

/* A large answer comes in pieces, one in a turn. */
static void hear_all(struct server_under_test *server, struct fake_client *client)
{
    size_t before;
    do {
        before = server->got_len;
        hear(server, client);
        turn(server);
    } while (server->got_len > before);
}

static void publish(struct server_under_test *server, bool large)
{
    static char body[LARGE];
    struct fake_client *publisher = come(server);
    memset(body, 0xff, sizeof body);
    if (large)
        say(publisher, LARGE_POST, strlen(LARGE_POST));
    const char *text = POST("a", "Content-Length: 5\r\n\r\nhello");
    say(publisher, large ? body : text, large ? sizeof body : strlen(text));
    turn(server);
    char answer[1024] = "";
    ssize_t n = fake_client_read(publisher, answer, sizeof answer - 1);
    server->unpublished |= n <= 0 || strncmp(answer, "HTTP/1.1 200 ", 13) != 0;
    fake_client_close(publisher);
}

/* A frame's bytes may be zero: a step ends where the next zero begins that no length explains. */
static size_t step_len(const char *step)
{
    if (strncmp(step, "\x01\x83", 2) == 0 || strncmp(step, "\x80\x80", 2) == 0)
        return 5;
    if (step[0] == '\0')
        return 4;
    bool frame = strncmp(step, "\x80\x83", 2) == 0 || strncmp(step, "\x89\x83", 2) == 0;
    return frame ? 9 : strlen(step);
}

static void pay(struct server_under_test *server, const struct visit *visit)
{
    struct fake_client *client = come(server);
    server->got_len = 0;
    server->ended = server->unpublished = false;
    for (unsigned i = 0; i < STEPS_MAX && visit->steps[i]; i++) {
        const char *step = visit->steps[i];
        if (strcmp(step, "*") == 0 || strcmp(step, "+") == 0)
            publish(server, step[0] == '*');
        else
            say(client, step, step_len(step));
        turn(server);
        hear_all(server, client);
    }
    fake_client_close(client);
    turn(server);
}

static bool got(const struct server_under_test *server, const char *what)
{
    return memmem(server->got, server->got_len, what, strlen(what));
}

static void every_allocation_may_fail(void **state)
{
    struct server_under_test *server = *state;
    for (size_t i = 0; i < sizeof visits / sizeof visits[0]; i++) {
        const struct visit *visit = &visits[i];
        bool failed = true;
        pay(server, visit); /* what a shard has from the first time on is there */
        assert_true(got(server, visit->good));
        for (unsigned n = 0; failed; n++) {
            assert_true(n < VISITS_MAX);
            encoder_done(server->fake.shard);         /* but for this, made by the first batch */
            blocks_done(&server->fake.shard->blocks); /* and these, that others may still hold */
            failing_alloc_arm(n);
            pay(server, visit);
            failed = failing_alloc_disarm();
            if (!got(server, visit->good) && !got(server, "\"overloaded\"") &&
                !got(server, "\x03\xf5overloaded") && !server->ended && !server->unpublished)
                fail_msg("%s, allocation %u: the client knows nothing", visit->name, n);
            pay(server, visit);
            if (!got(server, visit->good))
                fail_msg("%s, after allocation %u: not served", visit->name, n);
        }
        assert_int_equal(server->fake.shard->live, 0);
    }
    const struct counters *counters = &server->fake.shard->counters;
    assert_true(counter_read(&counters->refused[REFUSAL_OVERLOADED]) > 0);
    assert_true(counter_read(&counters->closed[CLOSE_OVERLOADED]) > 0);
    assert_true(counter_read(&counters->closed[CLOSE_QUEUE_TOTAL]) > 0);
}

static int setup(void **state)
{
    static struct server_under_test server;
    struct fake_shard *fake = &server.fake;
    char why[256];
    fake_shard_init(fake);
    fake->settings.echo = true;
    assert_int_equal(origins_create(&server.origins, "*", why, sizeof why), 0);
    fake->server.origins = server.origins;
    fake->server.transports = server_transports;
    fake->server.routes = server_routes;
    fake->server.batch_begin = encoder_begin;
    fake->server.batch_done = encoder_release;
    fake->server.batch_end = encoder_done;
    fake->server.answers_turn = answering_turn;
    fake_shard_start(fake, SLOTS, PIPE_BYTES);
    *state = &server;
    return 0;
}

static int teardown(void **state)
{
    struct server_under_test *server = *state;
    fake_shard_done(&server->fake);
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
