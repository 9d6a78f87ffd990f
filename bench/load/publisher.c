/* publisher: one group's messages, on a connection of their own.
 *
 *   closed loop   as many under way as the depth says; the next when one has reached everybody
 *   open loop     one every interval on a schedule, whatever comes back
 *
 * What is due in one step leaves in one send. While the socket is full nothing is added, and the
 * schedule runs on: that is the difference between the corrected latency and the uncorrected. */
#include <errno.h>
#include <stdlib.h>

#include "load/engine.h"
#include "load/payload.h"
#include "wire/mask.h"

enum {
    BUFFER_BYTES_MIN = 256 * 1024,
    PIPELINE_MAX = 256, /* POST requests without an answer */
    READY_TIMEOUT_S = 10,
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
    struct client *client = group_publisher(load, group);
    /* A kept-alive connection may have been ended while nobody looked. */
    int err = group->config.publish == LOAD_PUBLISH_POST ? engine_step(load) : 0;
    if (err < 0)
        return err;
    int64_t deadline_ns = engine_clock_ns() + READY_TIMEOUT_S * INT64_C(1000000000);
    client->attempts = 0;
    if (client->phase == CLIENT_DOWN)
        opener_queue(load, client);
    while (client->phase != CLIENT_UP) {
        err = engine_step(load);
        if (err < 0)
            return err;
        bool trying = client->flags & (CLIENT_LISTED | CLIENT_AGAIN);
        if ((!trying && client->phase == CLIENT_DOWN) || load->now_ns > deadline_ns)
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
    if (wanted && group->config.publish == LOAD_PUBLISH_NONE)
        return -ENOTCONN;
    int err = wanted ? publisher_ready(load, group) : 0;
    if (err < 0)
        return err;
    load->now_ns = engine_clock_ns();
    publisher_start(load, group, mode);
    group->publisher.alone = true;
    return 0;
}

void publisher_stop(struct group *group)
{
    group->publisher.active = false;
}

void publisher_lost(struct load *load, struct client *client)
{
    struct publisher *publisher = &group_of(load, client)->publisher;
    publisher->len = publisher->sent = 0;
    publisher->unanswered = 0;
}

/* ---- one message ---- */

static size_t message_size(const struct group *group, uint32_t number)
{
    return group->protocol.before.len + bytes_of_number(group, number) + group->protocol.after.len;
}

static size_t message_write(const struct group *group, char *out, uint32_t number,
                            int64_t intended_ns)
{
    const struct load_message *before = &group->protocol.before, *after = &group->protocol.after;
    uint32_t size = bytes_of_number(group, number);
    if (before->len > 0)
        memcpy(out, before->bytes, before->len);
    payload_write(out + before->len, size, number, (uint64_t)intended_ns);
    if (after->len > 0)
        memcpy(out + before->len + size, after->bytes, after->len);
    return before->len + size + after->len;
}

static size_t frame_write(const struct load *load, const struct group *group, char *out,
                          uint32_t number, int64_t intended_ns)
{
    struct ws_frame_head head = {
        .length = message_size(group, number),
        .opcode = group->protocol.before.binary ? WS_BINARY : WS_TEXT,
        .fin = true,
        .masked = true,
    };
    ws_key(load->publishers_first + (uint32_t)(group - load->groups), head.key);
    size_t len = ws_frame_head_write(out, &head);
    size_t size = message_write(group, out + len, number, intended_ns);
    mask_apply(out + len, size, head.key);
    return len + size;
}

static struct span post_target(const struct group *group, uint32_t number,
                               char buf[LOAD_TARGET_MAX])
{
    struct span path = span_from(group->publish_path);
    if (group->config.channels == 0)
        return path;
    assert(path.len + CHANNEL_SUFFIX_MAX <= LOAD_TARGET_MAX);
    memcpy(buf, path.ptr, path.len);
    return span_of(buf, path.len +
                            channel_suffix_write(buf + path.len, channel_of_number(group, number)));
}

static size_t post_write(const struct group *group, char *out, uint32_t number, int64_t intended_ns)
{
    const char *fields = group->protocol.publish_fields;
    char target[LOAD_TARGET_MAX];
    const struct http_request_head head = {
        .method = SPAN("POST"),
        .target = post_target(group, number, target),
        .host = span_from(group->publish_host),
        .framing = HTTP_FRAMING_LENGTH,
        .content_length = message_size(group, number),
        .content_type = fields ? (struct span){0} : SPAN("text/plain"),
        .extra = fields ? span_from(fields) : (struct span){0},
    };
    int len = http_request_head_write(out, REQUEST_HEAD_MAX, &head);
    assert(len > 0);
    return (size_t)len + message_write(group, out + len, number, intended_ns);
}

static void publish(struct load *load, struct group *group, int64_t intended_ns)
{
    struct publisher *publisher = &group->publisher;
    char *out = publisher->buffer + publisher->head + publisher->len;
    uint32_t number = ++publisher->number;
    assert(number < UINT32_MAX);
    if (group->config.publish == LOAD_PUBLISH_POST) {
        publisher->len += post_write(group, out, number, intended_ns);
        publisher->unanswered++;
    } else {
        publisher->len += frame_write(load, group, out, number, intended_ns);
    }
    publisher->left--;
    group->counters.published++;
    flights_launch(&group->flights, number, expected_of_number(group, number), intended_ns,
                   load->now_ns);
}

static bool may_publish(const struct load *load, const struct group *group)
{
    const struct publisher *publisher = &group->publisher;
    bool nobody = group->up == group->stalled && !publisher->alone;
    if (publisher->left == 0 || nobody ||
        publisher->size - publisher->len < REQUEST_HEAD_MAX + message_size_most(group))
        return false;
    if (group->config.publish == LOAD_PUBLISH_POST && publisher->unanswered >= PIPELINE_MAX)
        return false;
    if (publisher->mode.depth > 0)
        return group->flights.open < publisher->mode.depth;
    return publisher->due_ns <= (double)load->now_ns;
}

/* ---- sending ---- */

static void flush(struct load *load, struct client *client, struct publisher *publisher)
{
    if (publisher->sent == publisher->len || client->flags & CLIENT_WRITE_WATCHED)
        return;
    struct ring_io io = {
        .slot = client_index(load, client),
        .iov = {publisher->buffer + publisher->sent, publisher->len - publisher->sent},
    };
    ring_send(load->ring, &io, 1);
    if (io.res < 0 && io.res != -EAGAIN) {
        client_fail(load, client, LOAD_FAIL_RESET);
        return;
    }
    publisher->sent += io.res > 0 ? (size_t)io.res : 0;
    if (publisher->sent == publisher->len) {
        publisher->sent = publisher->len = 0;
        return;
    }
    client->flags |= CLIENT_WRITE_WATCHED;
    ring_watch(load->ring, client_index(load, client), RING_WRITE);
}

void publisher_writable(struct load *load, struct client *client)
{
    if (client->phase == CLIENT_UP)
        flush(load, client, &group_of(load, client)->publisher);
}

int64_t publisher_step(struct load *load, struct group *group)
{
    struct publisher *publisher = &group->publisher;
    struct client *client = group_publisher(load, group);
    if (!publisher->active || client->phase != CLIENT_UP || publisher->len > 0)
        return INT64_MAX;
    bool secure = client_secure(load, client);
    publisher->head = secure ? secure_head(load, client) : 0;
    while (may_publish(load, group)) {
        int64_t intended_ns = publisher->mode.depth > 0 ? load->now_ns : (int64_t)publisher->due_ns;
        publisher->due_ns += publisher->interval_ns;
        publish(load, group, intended_ns);
    }
    if (secure && publisher->len > 0)
        publisher->len = secure_seal(load, client, publisher->buffer, publisher->len);
    flush(load, client, publisher);
    if (publisher->mode.depth > 0 || publisher->left == 0)
        return INT64_MAX;
    int64_t wait_ns = (int64_t)publisher->due_ns - load->now_ns;
    return wait_ns > 0 ? wait_ns : 0;
}

void publisher_input(struct load *load, struct client *client, char *bytes, size_t len)
{
    if (group_of(load, client)->config.publish == LOAD_PUBLISH_POST)
        poll_input(load, client, bytes, len);
    else
        ws_input(load, client, bytes, len);
}
