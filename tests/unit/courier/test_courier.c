/* A courier on its thread is asked by a hub for posts to a server that answers badly. */
#include "bad_server.h"
#include "conf/settings.h"
#include "courier/courier.h"
#include "courier/reach.h"
#include "hub/helper.h"
#include "hub/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    PATIENCE_NS = 100000000,
};

struct asked {
    struct courier_post post;
    char url[256];
    bool done;
};

static struct world {
    struct settings settings;
    struct courier *courier;
    struct hub_set *set;
    struct hub *hub;
    struct bell bell; /* ends the wait of the shard that is this test */
    struct bad_server *server;
    unsigned done;
} world;

static void done(void *asker, struct call *call)
{
    (void)asker;
    struct asked *asked = (struct asked *)call;
    asked->done = true;
    world.done++;
}

static void drop(struct call *call)
{
    (void)call;
    fail_msg("a post was dropped");
}

static const struct call_ops ops = {courier_run, done, drop};

static void wake(void *context, unsigned shard)
{
    (void)context, (void)shard;
    bell_ring(&world.bell);
}

static void set(const char *name, const char *value)
{
    char why[256];
    assert_int_equal(settings_set(&world.settings, name, value, why, sizeof why), 0);
}

static void start(const char *private, const char *places)
{
    const struct hub_config config = {.shards = 1,
                                      .helpers = 1,
                                      .seed = 1,
                                      .channels_max = 1,
                                      .subscriptions_max = 1,
                                      .overflow_max = 1024};
    static const struct hub_ops hub_ops = {.wake = wake};
    const struct courier_waker waker = {.wake = wake};
    char why[256] = "", queue[64];
    world = (struct world){.server = bad_server_start()};
    settings_default(&world.settings);
    snprintf(queue, sizeof queue, "/tmp/courier-%d", (int)getpid());
    set("webhook_queue", queue);
    set("courier_private", private);
    set("courier_posts_max", places);
    assert_int_equal(
        courier_create(&world.courier, COURIER_WEBHOOKS, &world.settings, why, sizeof why), 0);
    assert_non_null(world.courier);
    assert_int_equal(bell_init(&world.bell), 0);
    world.set = hub_set_create(&config);
    world.hub = hub_create(world.set, 0, &hub_ops, NULL);
    assert_non_null(world.hub);
    assert_int_equal(courier_start(world.courier, world.set, 0, &waker), 0);
}

static void end(void)
{
    courier_end(world.courier);
    while (hub_turn(world.hub, 0))
        ;
    courier_free(world.courier);
    unlink(world.settings.webhook_queue);
    hub_free(world.hub);
    hub_set_free(world.set);
    bell_done(&world.bell);
    bad_server_stop(world.server);
}

static struct asked *ask_url(const char *url, int64_t timeout_ms, size_t answer_max)
{
    struct asked *asked = calloc(1, sizeof *asked);
    assert_non_null(asked);
    snprintf(asked->url, sizeof asked->url, "%s", url);
    asked->post = (struct courier_post){
        .call.ops = &ops,
        .post = {.url = asked->url,
                 .body = SPAN("hello"),
                 .timeout_ms = timeout_ms,
                 .answer_max = answer_max},
    };
    assert_int_equal(courier_ask(world.courier, world.hub, &asked->post), 0);
    return asked;
}

static struct asked *ask(const char *path, int64_t timeout_ms, size_t answer_max)
{
    char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", bad_server_port(world.server), path);
    return ask_url(url, timeout_ms, answer_max);
}

static void wait_for(const struct asked *asked)
{
    while (!asked->done) {
        if (!hub_turn(world.hub, 0) && hub_sleep(world.hub))
            bell_wait(&world.bell, PATIENCE_NS);
        hub_awake(world.hub);
    }
}

static void forget(struct asked *asked)
{
    post_clear(&asked->post.post);
    free(asked);
}

static void expect(struct asked *asked, enum post_end how, int status)
{
    wait_for(asked);
    if (asked->post.post.end != how)
        fail_msg("%s ended by %s, not by %s", asked->url, post_end_name(asked->post.post.end),
                 post_end_name(how));
    assert_int_equal(asked->post.post.status, status);
    forget(asked);
}

static void test_answers(void **state)
{
    (void)state;
    start("127.0.0.1", "8");
    struct asked *echo = ask("/echo", 10000, 100);
    wait_for(echo);
    assert_int_equal(echo->post.post.end, POST_ANSWERED);
    assert_int_equal(echo->post.post.status, 200);
    assert_int_equal(echo->post.post.answer_len, 5);
    assert_memory_equal(echo->post.post.answer, "hello", 5);
    forget(echo);
    struct asked *later = ask("/later", 10000, 0);
    wait_for(later);
    assert_int_equal(later->post.post.retry_after_s, 7);
    expect(later, POST_ANSWERED, 503);
    expect(ask("/ok", 10000, 0), POST_ANSWERED, 200);
    expect(ask("/away", 10000, 0), POST_ANSWERED, 302);
    expect(ask("/echo", 10000, 4), POST_TOO_LARGE, 200);
    end();
}

static void test_bad_answers(void **state)
{
    (void)state;
    start("127.0.0.1", "8");
    expect(ask("/garbage", 10000, 0), POST_BAD_ANSWER, 0);
    expect(ask("/reset", 10000, 0), POST_BROKEN, 0);
    expect(ask("/cut", 10000, 0), POST_BROKEN, 200);
    expect(ask("/endless", 10000, 0), POST_TOO_LARGE, 200);
    expect(ask("/endless", 10000, 1000), POST_TOO_LARGE, 200);
    expect(ask("/head", 10000, 0), POST_TOO_LARGE, 200);
    expect(ask("/mute", 100, 0), POST_TIMEOUT, 0);
    expect(ask("/drip", 100, 0), POST_TIMEOUT, 200);
    expect(ask_url("http://127.0.0.1:1/", 10000, 0), POST_FORBIDDEN, 0);
    expect(ask_url("http://name.invalid/", 10000, 0), POST_NAME, 0);
    expect(ask_url("http://", 10000, 0), POST_BAD_URL, 0);
    expect(ask_url("ftp://127.0.0.1/", 10000, 0), POST_BAD_ANSWER, 0);
    end();
}

/* One that does not answer holds nobody up as long as there are places. */
static void test_places(void **state)
{
    (void)state;
    start("127.0.0.1", "2");
    struct asked *mute = ask("/mute", 60000, 0);
    struct asked *other = ask("/mute", 500, 0);
    struct asked *late = ask("/ok", 100, 0);
    struct asked *patient = ask("/ok", 60000, 0);
    expect(late, POST_BUSY, 0);
    expect(other, POST_TIMEOUT, 0);
    expect(patient, POST_ANSWERED, 200);
    assert_false(mute->done);
    courier_end(world.courier);
    expect(mute, POST_STOPPED, 0);
    end();
}

static void test_private_addresses_are_refused(void **state)
{
    (void)state;
    char url[256];
    start("10.0.0.0/8", "8");
    expect(ask("/ok", 10000, 0), POST_FORBIDDEN, 0);
    snprintf(url, sizeof url, "http://localhost:%u/ok", bad_server_port(world.server));
    expect(ask_url(url, 10000, 0), POST_FORBIDDEN, 0);
    snprintf(url, sizeof url, "http://0x7f.1:%u/ok", bad_server_port(world.server));
    expect(ask_url(url, 10000, 0), POST_FORBIDDEN, 0);
    snprintf(url, sizeof url, "http://[::ffff:127.0.0.1]:%u/ok", bad_server_port(world.server));
    expect(ask_url(url, 10000, 0), POST_FORBIDDEN, 0);
    end();
    start("localhost", "8");
    snprintf(url, sizeof url, "http://localhost:%u/ok", bad_server_port(world.server));
    expect(ask_url(url, 10000, 0), POST_ANSWERED, 200);
    expect(ask("/ok", 10000, 0), POST_FORBIDDEN, 0);
    end();
}

static void test_urls(void **state)
{
    (void)state;
    struct reach reach;
    char why[256];
    static const char *const good[] = {"https://a.example", "HTTP://a.example:8080/x?y=z",
                                       "https://[2600::1]/", "https://a.example/%ff"};
    static const char *const bad[] = {
        "",
        "a.example",
        "ftp://a.example",
        "file:///etc/passwd",
        "https://u:p@a.b/",
        "https://a.example:22/",
        "https://",
        "https://[::1",
        "https://a.example/ ",
        "https://a.example/\xff",
        "https://a.exa\x01mple/",
        "https://a.example:99999/",
        "gopher://a.example",
        "unix:/run/x",
    };
    assert_int_equal(reach_read(&reach, "", "80 443 1024-65535", false, why, sizeof why), 0);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!post_url_good(&reach, good[i]))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (post_url_good(&reach, bad[i]))
            fail_msg("%s is taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers), cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_places),  cmocka_unit_test(test_private_addresses_are_refused),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
