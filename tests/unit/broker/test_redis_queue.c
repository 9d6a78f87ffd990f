/* What goes to Redis together, and in which order. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "broker/redis_internal.h"
#include "core/message.h"

enum {
    ANSWERS_MAX = 512,
};

static struct hub_set *set;
static struct hub *hub;
static struct helper *helper;
static struct redis *redis;
static int64_t now_ns;
static struct {
    int err;
    uint64_t offset;
} answers[ANSWERS_MAX];
static unsigned answered;

static void published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                      uint64_t offset)
{
    (void)context, (void)ticket, (void)epoch;
    assert_in_range(answered, 0, ANSWERS_MAX - 1);
    answers[answered].err = err;
    answers[answered++].offset = offset;
}

static void wake(void *context, unsigned target)
{
    (void)context, (void)target;
}

static void ask(void *context, struct remote_ask *ask)
{
    (void)context;
    redis_ask(redis, ask);
}

static void turn(void)
{
    hub_turn(hub, now_ns += 1000000);
    helper_turn(helper);
}

static void open_all(void)
{
    static const struct helper_ops helper_ops = {.wake = wake};
    static const struct hub_ops hub_ops = {.published = published, .wake = wake};
    static const struct broker_ops broker_ops = {.ask = ask};
    const struct hub_config config = {.shards = 1,
                                      .helpers = 1,
                                      .seed = 3,
                                      .channels_max = 8,
                                      .subscriptions_max = 8,
                                      .history_messages_max = 8,
                                      .history_bytes_max = 1 << 20,
                                      .history_age_ns = INT64_MAX,
                                      .history_total_bytes_max = 1 << 20,
                                      .reply_bytes_max = 1 << 20,
                                      .overflow_max = 1024,
                                      .broker = &broker_ops,
                                      .remote_bytes_max = 1 << 24,
                                      .lane_slots = 1024};
    const struct redis_config redis_config = {
        .address.timeout_ms = 1000, .prefix = "r", .queue_max = 1024, .seed = 5};
    const struct redis_socket null = {.fd = open("/dev/null", O_RDWR | O_CLOEXEC)};
    const struct redis_socket other = {.fd = open("/dev/null", O_RDWR | O_CLOEXEC)};
    set = hub_set_create(&config);
    helper = helper_create(set, 0, &helper_ops, NULL);
    hub = hub_create(set, 0, &hub_ops, NULL);
    redis = redis_create(&redis_config);
    assert_true(set && helper && hub && redis);
    redis_attach(redis, helper, set, 1, NULL);
    assert_int_equal(redis_link_make(&redis->commands, &null), 0);
    assert_int_equal(redis_link_make(&redis->news, &other), 0);
    answered = 0;
}

static void close_all(void)
{
    redis_stop(redis);
    turn();
    turn();
    hub_free(hub);
    helper_free(helper);
    redis_free(redis);
    hub_set_free(set);
}

static void publish(const char *name, size_t bytes, enum message_kind kind, bool last)
{
    const struct ticket ticket = {0};
    char *payload = calloc(1, bytes);
    struct message *message = message_create(name, strlen(name), hub_hash(set, name, strlen(name)),
                                             payload, bytes, false);
    free(payload);
    message->kind = (uint8_t)kind;
    message->last = last;
    assert_int_equal(hub_publish(hub, &ticket, message), 0);
}

/* Sends what was published. Returns how many commands that were. */
static unsigned sent(void)
{
    unsigned before = redis->commands_sent.count;
    turn();
    turn();
    assert_int_equal(redis_queue_send(redis), 0);
    assert_null(redis->queue.first);
    return redis->commands_sent.count - before;
}

/* Whether "name" is what the command under way at that place publishes to, and of how many. */
static void expect(unsigned at, const char *name, unsigned count)
{
    const struct sent *one = &redis->commands_sent.at[redis->commands_sent.head + at];
    unsigned seen = 0;
    for (const struct call *call = &one->ask->call; call; call = call->next) {
        const struct remote_ask *ask = (const struct remote_ask *)call;
        assert_true(span_equal(span_of(ask->name, ask->name_len), span_from(name)));
        seen++;
    }
    assert_int_equal(seen, count);
}

static void answer(const char *text)
{
    redisReply *reply = NULL;
    assert_int_equal(redisReaderFeed(redis->commands.reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redis_link_reply(&redis->commands, &reply), 0);
    assert_non_null(reply);
    assert_int_equal(redis_take_command(redis, reply), 0);
    freeReplyObject(reply);
    turn();
    turn();
}

static void answer_to_probe(const char *text, int err)
{
    redisReply *reply = NULL;
    assert_true(redis_probe(redis));
    assert_int_equal(redisReaderFeed(redis->commands.reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redis_link_reply(&redis->commands, &reply), 0);
    assert_int_equal(redis_take_command(redis, reply), err);
    freeReplyObject(reply);
}

static void test_a_channel_of_a_turn_is_a_command(void **state)
{
    (void)state;
    open_all();
    for (unsigned i = 0; i < 3; i++) {
        publish("a", 1, MESSAGE_PUBLICATION, false);
        publish("b", 1, MESSAGE_PUBLICATION, false);
    }
    assert_int_equal(sent(), 2);
    answer("*4\r\n$2\r\nff\r\n$1\r\n9\r\n$1\r\n0\r\n$1\r\n0\r\n");
    assert_int_equal(answered, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(answers[i].err == 0 && answers[i].offset == 7 + i);
    answer("-OOM command not allowed\r\n");
    assert_int_equal(answered, 6);
    for (unsigned i = 3; i < 6; i++)
        assert_true(answers[i].err < 0);
    close_all();
}

/* Places that there cannot be are none. */
static void test_an_answer_that_lies(void **state)
{
    (void)state;
    open_all();
    publish("a", 1, MESSAGE_PUBLICATION, false);
    publish("a", 1, MESSAGE_PUBLICATION, false);
    assert_int_equal(sent(), 1);
    answer("*4\r\n$2\r\nff\r\n$1\r\n1\r\n$1\r\n0\r\n$1\r\n0\r\n");
    assert_int_equal(answered, 2);
    assert_true(answers[0].err < 0 && answers[1].err < 0);
    close_all();
}

static void test_order_of_a_channel_stays(void **state)
{
    (void)state;
    open_all();
    publish("a", 1, MESSAGE_PUBLICATION, false);
    publish("a", 1, MESSAGE_PUBLICATION, false);
    publish("a", 1, MESSAGE_EPHEMERAL, false);
    publish("a", 1, MESSAGE_EPHEMERAL, false);
    publish("a", 1, MESSAGE_EPHEMERAL, false);
    publish("a", 1, MESSAGE_PUBLICATION, false);
    publish("a", 1, MESSAGE_PUBLICATION, true);
    assert_int_equal(sent(), 4);
    expect(0, "a", 2);
    expect(1, "a", 3);
    expect(2, "a", 1);
    expect(3, "a", 1);
    close_all();
}

static void test_bounds(void **state)
{
    (void)state;
    open_all();
    for (unsigned i = 0; i < BATCH_MESSAGES_MAX + 1; i++)
        publish("a", 1, MESSAGE_PUBLICATION, false);
    for (unsigned i = 0; i < 3; i++)
        publish("b", BATCH_BYTES_MAX / 2 - 100, MESSAGE_PUBLICATION, false);
    publish("c", 2 * BATCH_BYTES_MAX, MESSAGE_PUBLICATION, false);
    assert_int_equal(sent(), 5);
    close_all();
    assert_int_equal(answered, BATCH_MESSAGES_MAX + 1 + 3 + 1);
}

/* What is large and not kept goes past the script, if that is allowed. */
static void test_what_goes_past_the_script(void **state)
{
    static const char queued[] = "+OK\r\n+QUEUED\r\n+QUEUED\r\n";
    (void)state;
    open_all();
    publish("a", APART_BYTES_MIN, MESSAGE_EPHEMERAL, false);
    assert_int_equal(sent(), 1);
    redis->greeting.transacts = true;
    publish("a", APART_BYTES_MIN, MESSAGE_PUBLICATION, false);
    publish("b", 1, MESSAGE_EPHEMERAL, false);
    assert_int_equal(sent(), 2);
    answer("*4\r\n$2\r\nff\r\n$1\r\n9\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer("-OOM command not allowed\r\n");
    answer("-OOM command not allowed\r\n");
    assert_int_equal(answered, 3);
    for (unsigned i = 0; i < 4; i++) {
        publish("a", APART_BYTES_MIN, MESSAGE_EPHEMERAL, false);
        assert_int_equal(sent(), APART_COMMANDS);
    }
    const char *const said[] = {
        "*2\r\n*4\r\n$2\r\nff\r\n$1\r\n9\r\n$1\r\n0\r\n$1\r\n0\r\n:2\r\n",
        "-EXECABORT Transaction discarded because of: OOM command not allowed\r\n",
        "*2\r\n-NOSCRIPT it is not there\r\n:2\r\n", "*0\r\n"};
    for (unsigned i = 0; i < 4; i++) {
        for (const char *at = queued; *at; at = strchr(at, '\n') + 1) {
            char line[16];
            snprintf(line, sizeof line, "%.*s", (int)(strchr(at, '\n') + 1 - at), at);
            answer(line);
        }
        answer(said[i]);
    }
    assert_int_equal(answered, 6);
    assert_int_equal(answers[3].err, 0);
    assert_true(answers[4].err < 0 && answers[5].err < 0);
    assert_int_equal(redis->commands_sent.count, 1);
    assert_true(sent_first(&redis->commands_sent)->whole);
    close_all();
}

/* Without memory Redis queues nothing, and the script has the last word. */
static void test_what_is_not_queued(void **state)
{
    (void)state;
    open_all();
    redis->greeting.transacts = true;
    publish("a", APART_BYTES_MIN, MESSAGE_EPHEMERAL, false);
    publish("b", APART_BYTES_MIN, MESSAGE_EPHEMERAL, false);
    assert_int_equal(sent(), 2 * APART_COMMANDS);
    for (unsigned i = 0; i < 2; i++) {
        answer("+OK\r\n");
        answer("-OOM command not allowed\r\n");
        answer(i == 0 ? "-OOM command not allowed\r\n" : "+QUEUED\r\n");
        answer("-EXECABORT Transaction discarded because of previous errors.\r\n");
    }
    assert_int_equal(answered, 0);
    assert_int_equal(redis->commands_sent.count, 2);
    answer("*4\r\n$2\r\nff\r\n$1\r\n9\r\n$1\r\n0\r\n$1\r\n0\r\n");
    answer("-OOM command not allowed\r\n");
    assert_int_equal(answered, 2);
    assert_true(answers[0].err == 0 && answers[1].err == -ENOSPC);
    close_all();
}

/* One that is asked where its slot is on its way to is asked as that again. */
static void test_a_script_that_is_forgotten_on_the_way(void **state)
{
    (void)state;
    open_all();
    publish("a", 1, MESSAGE_PUBLICATION, false);
    assert_int_equal(sent(), 1);
    struct sent one = sent_take(&redis->commands_sent);
    assert_int_equal(redis_send_asking(redis, one.ask, false), 0);
    answer("+OK\r\n");
    answer("-NOSCRIPT it is not there\r\n");
    assert_int_equal(redis->commands_sent.count, 2);
    assert_int_equal(sent_first(&redis->commands_sent)->kind, SENT_QUEUED);
    assert_true(sent_last(&redis->commands_sent)->whole);
    answer("+OK\r\n");
    answer("*4\r\n$2\r\nff\r\n$1\r\n9\r\n$1\r\n0\r\n$1\r\n0\r\n");
    assert_true(answered == 1 && answers[0].err == 0);
    close_all();
}

/* A node of a cluster that goes on to be cut off from it. */
static void test_probes(void **state)
{
    (void)state;
    open_all();
    answer_to_probe("-CLUSTERDOWN The cluster is down\r\n", 0);
    answer_to_probe("-CLUSTERDOWN The cluster is down\r\n", 0);
    answer_to_probe("-MOVED 1 h:1\r\n", 0);
    for (unsigned i = 1; i < DOWNS_MAX; i++)
        answer_to_probe("-CLUSTERDOWN The cluster is down\r\n", 0);
    answer_to_probe("-CLUSTERDOWN The cluster is down\r\n", -EPROTO);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_channel_of_a_turn_is_a_command),
        cmocka_unit_test(test_an_answer_that_lies),
        cmocka_unit_test(test_order_of_a_channel_stays),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_what_goes_past_the_script),
        cmocka_unit_test(test_what_is_not_queued),
        cmocka_unit_test(test_a_script_that_is_forgotten_on_the_way),
        cmocka_unit_test(test_probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
