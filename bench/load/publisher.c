/* publisher: one group's messages, on a connection of their own.
 *
 *   closed loop   as many under way as the depth says; the next when one has reached everybody
 *   open loop     one every interval on a schedule, whatever comes back
 *
 * What is due in one step leaves in one send. While the socket has not taken all of it nothing is
 * added, and the schedule runs on: that is the difference between the corrected latency and the
 * uncorrected. */
#include <errno.h>
#include <stdlib.h>

#include "load/engine.h"
#include "load/publish.h"

enum {
    BUFFER_BYTES_MIN = 256 * 1024,
    PIPELINE_MAX = 256, /* POST requests without an answer */
    READY_TIMEOUT_S = 10,
    STATUS_UNAVAILABLE = 503,
    STATUS_NO_ROOM = 507,
};

/* At most, with what another server's protocol puts around the payload. */
static size_t message_size_most(const struct group *group)
{
    return group->protocol.before.len + group->config.payload_bytes + group->protocol.after.len;
}

int publisher_init(struct group *group)
{
    size_t frame = REQUEST_HEAD_MAX + message_size_most(group);
    struct publisher *publisher = &group->publisher;
    publisher->size = 2 * frame > BUFFER_BYTES_MIN ? 2 * frame : BUFFER_BYTES_MIN;
    publisher->buffer =
        malloc(publisher->size + (publisher->size / TLS_PLAIN_MAX + 1) * TLS_OVERHEAD_MAX);
    return publisher->buffer ? 0 : -ENOMEM;
}

int publisher_ready(struct load *load, struct group *group)
{
    struct link *link = group_publisher(load, group);
    /* A kept-alive connection may have been ended while nobody looked. */
    int err = group->config.publish->is & PROTOCOL_ANSWERS ? engine_step(load) : 0;
    if (err < 0)
        return err;
    int64_t deadline_ns = engine_clock_ns() + READY_TIMEOUT_S * INT64_C(1000000000);
    link->attempts = 0;
    if (link->phase == LINK_DOWN)
        opener_queue(load, link);
    while (link->phase != LINK_UP) {
        err = engine_step(load);
        if (err < 0)
            return err;
        bool trying = link->flags & (LINK_LISTED | LINK_AGAIN);
        if ((!trying && link->phase == LINK_DOWN) || load->now_ns > deadline_ns)
            return -ENOTCONN;
    }
    return 0;
}

void publisher_start(struct load *load, struct group *group, const struct load_mode *mode)
{
    struct publisher *publisher = &group->publisher;
    publisher->active = mode->depth > 0 || mode->rate_per_s > 0;
    publisher->alone = false;
    publisher->mode = *mode;
    publisher->left = mode->messages > 0 ? mode->messages : UINT64_MAX;
    publisher->interval_ns = mode->rate_per_s > 0 ? 1e9 / mode->rate_per_s : 0;
    publisher->due_ns = (double)load->now_ns;
}

int load_publish(struct load *load, unsigned group_index, const struct load_mode *mode)
{
    assert(group_index < load->group_count);
    struct group *group = &load->groups[group_index];
    bool wanted = mode->depth > 0 || mode->rate_per_s > 0;
    if (wanted && !group->config.publish)
        return -ENOTCONN;
    int err = wanted ? publisher_ready(load, group) : 0;
    if (err < 0)
        return err;
    load->now_ns = engine_clock_ns();
    publisher_start(load, group, mode);
    group->publisher.alone = true;
    return 0;
}

void publisher_end(struct group *group)
{
    group->publisher.left = 0;
}

void publisher_stop(struct group *group)
{
    group->publisher.active = false;
}

/* Nobody will ever say what became of the last message. */
static void doubt(struct group *group)
{
    group->counters.doubts++;
    doubts_add(&group->doubts, group->publisher.number);
}

void publisher_lost(struct load *load, struct link *link)
{
    struct group *group = link_group(load, link);
    if (group->config.certain && group->publisher.unanswered > 0)
        doubt(group);
    group->publisher.unanswered = 0;
}

void publisher_answered(struct group *group, bool failed)
{
    struct publisher *publisher = &group->publisher;
    int status = group->counters.status;
    if (publisher->unanswered > 0)
        publisher->unanswered--;
    group->counters.acknowledged += !failed;
    group->counters.publish_failures += failed;
    if (!failed || !group->config.certain)
        return;
    if (status == STATUS_UNAVAILABLE || status == STATUS_NO_ROOM) {
        group->counters.refused++;
        publisher->again = true;
    } else {
        doubt(group);
    }
}

static void publish(struct load *load, struct group *group, int64_t intended_ns)
{
    struct publisher *publisher = &group->publisher;
    char *out = publisher->buffer + publisher->head + publisher->len;
    uint32_t number = publisher->again ? publisher->number : ++publisher->number;
    assert(number < UINT32_MAX);
    if (publisher->mode.rate_per_s > 0)
        burst_begin(group);
    publisher->len += group->config.publish->publish(load, group, out, number, intended_ns);
    publisher->unanswered += (group->config.publish->is & PROTOCOL_ANSWERS) != 0;
    if (!publisher->again) {
        publisher->left--;
        group->counters.published++;
        flights_launch(&group->flights, number, expected_of_number(group, number), intended_ns,
                       load->now_ns);
    }
    publisher->again = false;
}

/* As many are under way as may be. */
static bool is_full(const struct group *group)
{
    const struct load_mode *mode = &group->publisher.mode;
    const uint32_t most = mode->depth > 0 ? mode->depth : mode->under_way;
    return most > 0 && group->flights.open >= most;
}

static bool may_publish(const struct load *load, const struct group *group)
{
    const struct publisher *publisher = &group->publisher;
    bool nobody = group->up == group->stalled && !publisher->alone;
    if ((publisher->left == 0 && !publisher->again) || nobody ||
        publisher->size - publisher->len < REQUEST_HEAD_MAX + message_size_most(group))
        return false;
    if (publisher->unanswered >= (group->config.certain ? 1 : PIPELINE_MAX) || is_full(group))
        return false;
    return publisher->mode.depth > 0 || publisher->due_ns <= (double)load->now_ns;
}

/* ---- sending ---- */

static void flush(struct load *load, struct link *link, struct publisher *publisher)
{
    struct ring_io io = {
        .slot = link_index(load, link),
        .iov = {publisher->buffer, publisher->len},
    };
    if (publisher->len == 0)
        return;
    ring_send(load->ring, &io, 1);
    publisher->len = 0;
    outbox_taken(load, link, span_of(io.iov.iov_base, io.iov.iov_len), io.res);
}

/* Datagrams that have not come when nobody has heard anything for so long are not waited for: they
 * are not sent again. */
#define LOST_NS INT64_C(500000000)

static void forget_lost(const struct load *load, struct group *group)
{
    if (group->heard != group->counters.deliveries || group->flights.open == 0) {
        group->heard = group->counters.deliveries;
        group->heard_ns = load->now_ns;
    } else if (load->now_ns - group->heard_ns > LOST_NS &&
               load->now_ns - flights_oldest_ns(&group->flights) > LOST_NS) {
        flights_give_up(&group->flights);
    }
}

int64_t publisher_step(struct load *load, struct group *group)
{
    struct publisher *publisher = &group->publisher;
    struct link *link = group_publisher(load, group);
    if (group_is(group, PROTOCOL_LOSSY))
        forget_lost(load, group);
    if (!publisher->active || link->phase != LINK_UP || link->flags & LINK_BACKLOG)
        return INT64_MAX;
    bool secure = link_secure(load, link);
    publisher->head = secure ? secure_head(load, link) : 0;
    while (may_publish(load, group)) {
        int64_t intended_ns = publisher->mode.depth > 0 ? load->now_ns : (int64_t)publisher->due_ns;
        publisher->due_ns += publisher->interval_ns;
        publish(load, group, intended_ns);
    }
    if (secure && publisher->len > 0)
        publisher->len = secure_seal(load, link, publisher->buffer, publisher->len);
    flush(load, link, publisher);
    bool over = publisher->left == 0 && !publisher->again;
    if (publisher->mode.depth > 0 || over || is_full(group))
        return INT64_MAX;
    int64_t wait_ns = (int64_t)publisher->due_ns - load->now_ns;
    return wait_ns > 0 ? wait_ns : 0;
}
