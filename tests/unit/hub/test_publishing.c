/* A helper on a thread of its own publishes in lines to shards on theirs, at lanes that are full,
 * while some of it is refused.
 *
 * The ledger: of each channel every number comes once, in order. A lost wake leaves the test
 * waiting until its time limit; a race is for ThreadSanitizer to see. */
#include "hub/helper.h"
#include "hub/hub.h"
#include "hub/hub_internal.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    SHARDS = 2,
    LINES = 3,
    CHANNELS = 4, /* of a line */
    NUMBERS = 6000,
    REFUSED_EACH = 97, /* every so many is for a channel of its own: soon there is no room */
    UNDER_WAY = 40,
};

struct line {
    unsigned next, again; /* to be sent; from where on, when all is answered */
    unsigned under_way, run;
    bool is_broken;
    unsigned last[CHANNELS]; /* number that was published */
    uint64_t offsets[CHANNELS];
    unsigned ended; /* numbers that were published or refused */
    bool done[NUMBERS + 1];
};

struct stress {
    struct hub_set *set;
    struct bell bells[SHARDS];
    pthread_t threads[SHARDS];
    atomic_bool over;
    struct line lines[LINES];
    bool is_answered; /* something was, in this turn: there may be more to send */
    unsigned failures, canceled;
};

static struct stress stress;

static void expect(bool truth)
{
    stress.failures += !truth;
}

static void wake(void *context, unsigned shard)
{
    (void)context;
    bell_ring(&stress.bells[shard]);
}

/* ---- shards ---- */

static void *run_shard(void *context)
{
    static const struct hub_ops ops = {.wake = wake};
    unsigned index = (unsigned)(uintptr_t)context;
    struct hub *hub = hub_create(stress.set, index, &ops, NULL);
    assert_non_null(hub);
    while (!atomic_load(&stress.over)) {
        if (hub_turn(hub, 0))
            continue;
        if (hub_sleep(hub))
            bell_wait(&stress.bells[index], -1);
        hub_awake(hub);
    }
    return hub;
}

/* ---- the helper ---- */

static bool is_apart(unsigned number)
{
    return number % REFUSED_EACH == 0;
}

static void published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                      uint64_t offset)
{
    struct line *line = &stress.lines[ticket->tag];
    unsigned number = ticket->conn, channel = number % CHANNELS;
    (void)context;
    (void)epoch;
    expect(ticket->generation == line->run);
    stress.is_answered = true;
    line->under_way--;
    expect(!line->done[number]);
    if (err == -ECANCELED) {
        stress.canceled++;
        line->is_broken = true;
        line->again = number < line->again ? number : line->again;
        return;
    }
    line->done[number] = true;
    line->ended++;
    line->is_broken |= err != 0;
    expect(err == 0 || (err == -ENOSPC && is_apart(number)));
    if (is_apart(number))
        return;
    expect(number > line->last[channel] && offset == line->offsets[channel] + 1);
    line->last[channel] = number;
    line->offsets[channel] = offset;
}

/* Returns false when the lane is full. */
static bool send(struct helper *helper, unsigned at, unsigned number)
{
    char name[32];
    const struct line *line = &stress.lines[at];
    const struct ticket ticket = {.conn = number, .generation = line->run, .tag = at};
    int len = is_apart(number) ? snprintf(name, sizeof name, "none/%u/%u", at, number)
                               : snprintf(name, sizeof name, "%u/%u", at, number % CHANNELS);
    struct message *message =
        message_create(name, (size_t)len, hub_hash(stress.set, name, (size_t)len), "x", 1, true);
    assert_non_null(message);
    int err = helper_publish(helper, &ticket, message);
    if (err < 0)
        message_unref(message);
    return err == 0;
}

/* What was published before the line broke, to other channels, is not sent again. */
static void line_step(struct helper *helper, unsigned at, unsigned most)
{
    struct line *line = &stress.lines[at];
    if (line->is_broken && line->under_way == 0) {
        line->is_broken = false;
        line->run++;
        line->next = line->again < line->next ? line->again : line->next;
        line->again = NUMBERS + 1;
    }
    for (; !line->is_broken && line->next <= most && line->under_way < UNDER_WAY; line->next++) {
        if (line->done[line->next])
            continue;
        if (!send(helper, at, line->next))
            return;
        line->under_way++;
    }
}

static bool all_ended(unsigned most)
{
    for (unsigned at = 0; at < LINES; at++)
        if (stress.lines[at].ended < most)
            return false;
    return true;
}

static void publish(struct helper *helper, unsigned most)
{
    while (!all_ended(most)) {
        for (unsigned at = 0; at < LINES; at++)
            line_step(helper, at, most);
        stress.is_answered = false;
        if (!helper_turn(helper) && !stress.is_answered)
            helper_wait(helper, -1);
    }
}

/* The channels of the lines are there before there is no room for more. */
static void publish_all(void)
{
    static const struct helper_ops ops = {.wake = wake, .published = published};
    struct helper *helper = helper_create(stress.set, 0, &ops, NULL);
    assert_non_null(helper);
    publish(helper, CHANNELS);
    publish(helper, NUMBERS);
    helper_free(helper);
}

/* ---- the test ---- */

static void test_in_order_whatever_is_refused(void **state)
{
    (void)state;
    const struct hub_config config = {
        .shards = SHARDS,
        .helpers = 1,
        .lines = LINES,
        .seed = 1,
        .channels_max = LINES * CHANNELS,
        .subscriptions_max = 1,
        .history_messages_max = 1,
        .history_bytes_max = 1024,
        .history_age_ns = INT64_MAX,
        .history_total_bytes_max = 1 << 20,
        .overflow_max = 16,
        .lane_slots = 8,
    };
    stress.set = hub_set_create(&config);
    assert_non_null(stress.set);
    for (unsigned i = 0; i < LINES; i++)
        stress.lines[i] = (struct line){.next = 1, .again = NUMBERS + 1, .run = 1};
    for (unsigned i = 0; i < SHARDS; i++) {
        assert_int_equal(bell_init(&stress.bells[i]), 0);
        assert_int_equal(pthread_create(&stress.threads[i], NULL, run_shard, (void *)(uintptr_t)i),
                         0);
    }
    publish_all();
    atomic_store(&stress.over, true);
    void *hubs[SHARDS];
    for (unsigned i = 0; i < SHARDS; i++)
        bell_ring(&stress.bells[i]);
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_join(stress.threads[i], &hubs[i]);
    for (unsigned i = 0; i < SHARDS; i++)
        hub_free(hubs[i]);
    hub_set_free(stress.set);
    for (unsigned i = 0; i < SHARDS; i++)
        bell_done(&stress.bells[i]);
    assert_int_equal(stress.failures, 0);
    assert_true(stress.canceled > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order_whatever_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
