#include "courier/post_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

enum {
    IDLE_HANDLES_MAX = 256, /* kept for the next posts */
    LATE_LOOK_MS = 20,      /* between looks at those that wait */
    KEPT_FACTOR = 2,        /* connections for each place */
};

const char *post_end_name(enum post_end end)
{
    static const char *const names[] = {
#define NAME(NAME, name, meaning) #name,
        POST_ENDS(NAME)
#undef NAME
    };
    return names[end];
}

static void gauge(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* ---- life ---- */

int post_client_create(struct post_client **ret, const struct post_config *config)
{
    struct post_client *client = calloc(1, sizeof *client);
    if (!client)
        return -ENOMEM;
    client->config = *config;
    client->kept_max = KEPT_FACTOR * config->places;
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int err = client->epoll_fd < 0 ? -errno : post_lines_create(client);
    if (err < 0) {
        post_client_free(client);
        return err;
    }
    *ret = client;
    return 0;
}

void post_client_free(struct post_client *client)
{
    if (!client)
        return;
    assert(!client->busy && !client->first);
    while (client->idle) {
        struct transfer *transfer = client->idle;
        client->idle = transfer->next;
        transfer_free(transfer);
    }
    post_lines_free(client);
    if (client->epoll_fd >= 0)
        close(client->epoll_fd);
    free(client);
}

const struct post_counters *post_counters(const struct post_client *client)
{
    return &client->counters;
}

void post_clear(struct post *post)
{
    free(post->answer);
    post->answer = NULL;
    post->answer_len = 0;
}

int post_fd(const struct post_client *client)
{
    return client->epoll_fd;
}

unsigned post_places(const struct post_client *client)
{
    unsigned taken = client->busy_count + client->waiting_count;
    return taken < client->config.places ? client->config.places - taken : 0;
}

/* ---- one post ---- */

static struct transfer *transfer_take(struct post_client *client)
{
    struct transfer *transfer = client->idle;
    if (!transfer)
        return transfer_create(client);
    client->idle = transfer->next;
    client->idle_count--;
    return transfer;
}

static void transfer_give_back(struct post_client *client, struct transfer *transfer)
{
    if (client->idle_count == IDLE_HANDLES_MAX) {
        transfer_free(transfer);
        return;
    }
    transfer->next = client->idle;
    client->idle = transfer;
    client->idle_count++;
}

static void end(struct post_client *client, struct post *post, enum post_end why)
{
    post->end = why;
    post_count(&client->counters.ends[why], 1);
    post->ended(client->config.context, post);
}

static bool begin(struct post_client *client, struct post *post)
{
    struct transfer *transfer = transfer_take(client);
    int64_t left_ms = (post->until_ns - client->now_ns) / NS_PER_MS;
    if (!transfer)
        return false;
    *transfer = (struct transfer){.easy = transfer->easy, .post = post};
    if (!transfer_begin(client, transfer, left_ms)) {
        transfer_give_back(client, transfer);
        return false;
    }
    transfer->next = client->busy;
    if (client->busy)
        client->busy->previous = transfer;
    client->busy = transfer;
    client->busy_count++;
    post_count(&client->counters.posts, 1);
    post_count(&client->counters.sent_bytes, post->body.len);
    return true;
}

void post_start(struct post_client *client, struct post *post, int64_t now_ns)
{
    client->now_ns = now_ns;
    post->until_ns = now_ns + post->timeout_ms * NS_PER_MS;
    post->status = 0;
    post->retry_after_s = 0;
    post->answer = NULL;
    post->answer_len = 0;
    post->next = NULL;
    if (client->first)
        client->last->next = post;
    else
        client->first = post;
    client->last = post;
    client->waiting_count++;
}

/* ---- ends ---- */

static void finish(struct post_client *client, struct transfer *transfer, enum post_end why)
{
    struct post *post = transfer->post;
    transfer_end(transfer);
    if (transfer->previous)
        transfer->previous->next = transfer->next;
    else
        client->busy = transfer->next;
    if (transfer->next)
        transfer->next->previous = transfer->previous;
    client->busy_count--;
    transfer_give_back(client, transfer);
    end(client, post, why);
}

static void take_finished(struct post_client *client)
{
    struct transfer *transfer;
    enum post_end why;
    while ((transfer = post_lines_ended(client, &why)) != NULL)
        finish(client, transfer, why);
}

/* Those whose time is over are answered where they wait. */
static void end_late(struct post_client *client)
{
    struct post **link = &client->first, *last = NULL, *late = NULL;
    if (!client->first || client->now_ns < client->look_ns)
        return;
    client->look_ns = client->now_ns + LATE_LOOK_MS * NS_PER_MS;
    while (*link) {
        struct post *post = *link;
        if (post->until_ns > client->now_ns) {
            last = post;
            link = &post->next;
            continue;
        }
        *link = post->next;
        post->next = late;
        late = post;
        client->waiting_count--;
    }
    client->last = last;
    while (late) {
        struct post *post = late;
        late = post->next;
        end(client, post, POST_BUSY);
    }
}

static struct post *pop(struct post_client *client)
{
    struct post *post = client->first;
    client->first = post->next;
    client->waiting_count--;
    return post;
}

static void begin_waiting(struct post_client *client)
{
    while (client->first && client->busy_count < client->config.places) {
        struct post *post = pop(client);
        if (!begin(client, post))
            end(client, post, POST_MEMORY);
    }
}

/* ---- the turn ---- */

void post_turn(struct post_client *client, int64_t now_ns)
{
    client->now_ns = now_ns;
    begin_waiting(client);
    post_lines_turn(client);
    take_finished(client);
    end_late(client);
    begin_waiting(client);
    gauge(&client->counters.waiting, client->waiting_count);
    gauge(&client->counters.under_way, client->busy_count);
}

int64_t post_deadline_ns(const struct post_client *client)
{
    bool waits = client->first != NULL;
    if (waits && client->busy_count < client->config.places)
        return client->now_ns;
    int64_t curl_ns = post_lines_deadline_ns(client);
    return waits && client->look_ns < curl_ns ? client->look_ns : curl_ns;
}

void post_stop(struct post_client *client)
{
    while (client->busy)
        finish(client, client->busy, POST_STOPPED);
    while (client->first)
        end(client, pop(client), POST_STOPPED);
}
