#include "experiment/webhooks_loop.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "experiment/bench.h"
#include "measure/clock.h"

enum {
    SETS_MAX = 4,
    EPOLL_EVENTS = 256,
    TICK_MS = 1,
    TRICKLE_NS = 1000000000,
    FLAP_NS = 500000000,
    ANSWER_MAX = 1024, /* of a server to a poster */
    ANSWER_NS = 1000000000,
    BODY_MAX = DATA_MAX + 96, /* of a post, and its head */
    POST_HEAD_MAX = 256,
};

const char *const behaviour_names[BEHAVIOURS] = {
    [RECEIVER_FAST] = "fast",         [RECEIVER_SLOW] = "slow", [RECEIVER_FAILING] = "failing",
    [RECEIVER_FLAPPING] = "flapping", [RECEIVER_DEAD] = "dead", [RECEIVER_TRICKLE] = "trickle",
};

/* What a descriptor is; the epoll event points at it. */
enum side {
    SIDE_LISTENER,
    SIDE_POSTER,
    SIDE_RECEIVER
};

struct receiver {
    enum side side;
    int fd; /* -1: free */
    uint32_t len;
    int64_t due_ns; /* an answer is owed then; 0: none is */
    uint32_t owed;  /* its place among those that owe one, and 1; 0: it owes none */
    bool trickles;
    char request[REQUEST_MAX];
};

struct poster {
    enum side side;
    int fd; /* -1: not connected */
    uint32_t event;
    bool waits;
    uint32_t len;
    char answer[ANSWER_MAX];
};

struct webhooks_loop {
    int epoll_fd;
    enum side listener; /* where its epoll event points */
    int listen_fd;
    int64_t slow_ns;
    struct webhooks_set *sets[SETS_MAX];
    struct poster posters[POSTERS_MAX];
    struct receiver receivers[RECEIVERS_MAX];
    struct receiver *free[RECEIVERS_MAX], *owing[RECEIVERS_MAX];
    uint32_t free_count, owing_count;
    /* posting */
    struct webhooks_set *set;
    unsigned active; /* posters */
    double rate_per_s;
    int64_t began_ns, end_ns;
    uint32_t first; /* event of this call */
};

static const char ANSWER_200[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static const char ANSWER_500[] = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n";

/* ---- receivers ---- */

static void owe(struct webhooks_loop *loop, struct receiver *receiver, int64_t due_ns)
{
    receiver->due_ns = due_ns;
    if (receiver->owed > 0)
        return;
    loop->owing[loop->owing_count++] = receiver;
    receiver->owed = loop->owing_count;
}

static void owe_nothing(struct webhooks_loop *loop, struct receiver *receiver)
{
    receiver->due_ns = 0;
    if (receiver->owed == 0)
        return;
    struct receiver *last = loop->owing[--loop->owing_count];
    loop->owing[receiver->owed - 1] = last;
    last->owed = receiver->owed;
    receiver->owed = 0;
}

static void receiver_close(struct webhooks_loop *loop, struct receiver *receiver)
{
    close(receiver->fd);
    receiver->fd = -1;
    receiver->trickles = false;
    owe_nothing(loop, receiver);
    loop->free[loop->free_count++] = receiver;
}

static void receiver_say(struct webhooks_loop *loop, struct receiver *receiver, const char *text)
{
    size_t len = strlen(text);
    if (send(receiver->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        receiver_close(loop, receiver);
}

static void watch(const struct webhooks_loop *loop, int fd, void *who)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    int err = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    assert(err == 0);
}

static void accept_all(struct webhooks_loop *loop)
{
    int fd, on = 1;
    while ((fd = accept4(loop->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (loop->free_count == 0) {
            close(fd);
            continue;
        }
        struct receiver *receiver = loop->free[--loop->free_count];
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        receiver->fd = fd;
        receiver->len = 0;
        watch(loop, fd, receiver);
    }
}

static uint32_t hash_of(const char *text, size_t len)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash | 1;
}

static uint32_t id_of(const char *head)
{
    const char *id = strcasestr(head, "\r\nwebhook-id:");
    if (!id)
        return 0;
    id += sizeof "\r\nwebhook-id:" - 1;
    id += strspn(id, " ");
    return hash_of(id, strcspn(id, "\r"));
}

static void note_id(struct event *event, uint32_t id)
{
    if (event->id == 0)
        event->id = id;
    event->renamed |= event->id != id;
}

/* An event has come. Returns how its endpoint behaves. */
static enum behaviour note_arrival(struct webhooks_set *set, uint32_t n, uint32_t id)
{
    struct event *event = &set->events[n];
    enum behaviour behaviour = set->behaviours[n % set->endpoints];
    bool first = event->tries == 0;
    set->came++;
    note_id(event, id);
    event->tries += event->tries < UINT8_MAX;
    if (first && behaviour == RECEIVER_FAST && set->latency)
        histogram_record(set->latency, (uint64_t)(clock_now_ns() - event->due_ns));
    return behaviour;
}

static void take(struct webhooks_set *set, uint32_t n)
{
    struct event *event = &set->events[n];
    set->taken++;
    set->taken_fast += event->taken == 0 && set->behaviours[n % set->endpoints] == RECEIVER_FAST;
    event->taken += event->taken < UINT8_MAX;
}

static void answer(struct webhooks_loop *loop, struct receiver *receiver, struct webhooks_set *set,
                   uint32_t n)
{
    const bool up = clock_now_ns() / FLAP_NS % 2 == 0;
    switch (note_arrival(set, n, id_of(receiver->request))) {
    case RECEIVER_FAST:
        take(set, n);
        receiver_say(loop, receiver, ANSWER_200);
        return;
    case RECEIVER_SLOW:
        take(set, n);
        owe(loop, receiver, clock_now_ns() + loop->slow_ns);
        return;
    case RECEIVER_FAILING:
        receiver_say(loop, receiver, ANSWER_500);
        return;
    case RECEIVER_FLAPPING:
        if (up)
            take(set, n);
        receiver_say(loop, receiver, up ? ANSWER_200 : ANSWER_500);
        return;
    case RECEIVER_TRICKLE:
        receiver->trickles = true;
        owe(loop, receiver, clock_now_ns());
        return;
    case RECEIVER_DEAD:
    case BEHAVIOURS:
        return;
    }
}

/* Where each event is for several endpoints. */
static void answer_one_of(struct webhooks_loop *loop, struct receiver *receiver,
                          struct webhooks_set *set, uint32_t n, uint64_t endpoint)
{
    const uint64_t bit = (uint64_t)n * set->each + endpoint;
    const uint8_t mask = (uint8_t)(1u << bit % 8);
    const bool first = !(set->arrived[bit / 8] & mask);
    set->arrived[bit / 8] |= mask;
    note_id(&set->events[n], id_of(receiver->request));
    set->came++;
    set->taken++;
    set->taken_fast += first;
    set->repeated += !first;
    set->bytes_out += sizeof ANSWER_200 - 1;
    if (first && set->latency)
        histogram_record(set->latency, (uint64_t)(clock_now_ns() - set->events[n].due_ns));
    receiver_say(loop, receiver, ANSWER_200);
}

/* One request that is whole: POST /SET HTTP/1.1 or /SET/ENDPOINT, of so many bytes, and the event's
 * number in its body. */
static void request_done(struct webhooks_loop *loop, struct receiver *receiver, const char *body,
                         size_t size)
{
    char *rest;
    unsigned long number = strtoul(receiver->request + sizeof "POST /" - 1, &rest, 10);
    unsigned long endpoint = *rest == '/' ? strtoul(rest + 1, NULL, 10) : 0;
    const char *n = strstr(body, "\"n\":");
    struct webhooks_set *set = number < SETS_MAX ? loop->sets[number] : NULL;
    unsigned long index = n ? strtoul(n + 4, NULL, 10) : EVENTS_MAX;
    if (set && set->each > 0 && index < set->posted && endpoint < set->each) {
        set->bytes_in += size;
        answer_one_of(loop, receiver, set, (uint32_t)index, endpoint);
    } else if (set && set->each == 0 && index < set->posted)
        answer(loop, receiver, set, (uint32_t)index);
    else
        receiver_say(loop, receiver, "HTTP/1.1 404 Unknown\r\nContent-Length: 0\r\n\r\n");
}

static void receive(struct webhooks_loop *loop, struct receiver *receiver)
{
    ssize_t got = recv(receiver->fd, receiver->request + receiver->len,
                       REQUEST_MAX - 1 - receiver->len, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        receiver_close(loop, receiver);
        return;
    }
    receiver->len += (uint32_t)got;
    receiver->request[receiver->len] = '\0';
    char *end = strstr(receiver->request, "\r\n\r\n");
    const char *length = end ? strcasestr(receiver->request, "\r\ncontent-length:") : NULL;
    if (!length) {
        if (end || receiver->len == REQUEST_MAX - 1)
            receiver_close(loop, receiver);
        return;
    }
    size_t body = strtoul(length + sizeof "\r\ncontent-length:" - 1, NULL, 10);
    const size_t size = (size_t)(end + 4 - receiver->request) + body;
    if (size > receiver->len)
        return;
    receiver->len = 0;
    request_done(loop, receiver, end + 4, size);
}

/* Answers that are due. One that is given, or cannot be, leaves its place to the last. */
static void receivers_turn(struct webhooks_loop *loop, int64_t now_ns)
{
    for (uint32_t i = loop->owing_count; i > 0; i--) {
        struct receiver *receiver = loop->owing[i - 1];
        if (receiver->due_ns > now_ns)
            continue;
        if (receiver->trickles) {
            owe(loop, receiver, now_ns + TRICKLE_NS);
            receiver_say(loop, receiver, "H");
        } else {
            owe_nothing(loop, receiver);
            receiver_say(loop, receiver, ANSWER_200);
        }
    }
}

/* ---- posters ---- */

static int poster_connect(struct webhooks_loop *loop, struct poster *poster)
{
    const struct sockaddr_in *to = &loop->set->server;
    int on = 1;
    poster->side = SIDE_POSTER;
    poster->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (poster->fd < 0 || connect(poster->fd, (const struct sockaddr *)to, sizeof *to) < 0)
        return bench_fail(-errno, "a poster cannot connect: %s", strerror(errno));
    setsockopt(poster->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(loop, poster->fd, poster);
    return 0;
}

static void poster_close(struct poster *poster)
{
    const struct linger reset = {.l_onoff = 1};
    if (poster->fd < 0)
        return;
    setsockopt(poster->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(poster->fd);
    poster->fd = -1;
    poster->waits = false;
}

/* What it says of event n. Returns its length. */
static int body_write(const struct webhooks_set *set, uint32_t n, char body[BODY_MAX])
{
    char data[DATA_MAX + 1];
    int len = snprintf(data, sizeof data, "{\"n\":%u}", n);
    int more = (int)set->data_bytes - len - (int)sizeof ",\"\":\"\"" + 1;
    if (more > 0)
        snprintf(data, sizeof data, "{\"n\":%u,\"\":\"%0*d\"}", n, more, 0);
    return snprintf(body, BODY_MAX, "{\"type\":\"bench\",\"channel\":\"c%u\",\"data\":%s}",
                    n % set->endpoints, data);
}

static int post(struct webhooks_loop *loop, struct poster *poster, int64_t due_ns)
{
    struct webhooks_set *set = loop->set;
    char body[BODY_MAX], request[BODY_MAX + POST_HEAD_MAX];
    if (set->posted == EVENTS_MAX)
        return bench_fail(-ENOSPC, "more than %d events: take shorter or fewer turns", EVENTS_MAX);
    uint32_t n = poster->event = set->posted++;
    int size = body_write(set, n, body);
    int len = snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: bench\r\nX-API-Key: %s\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                       set->straight ? "/0" : "/api/webhook/publish", set->key, size, body);
    set->events[n].due_ns = due_ns;
    poster->waits = true;
    poster->len = 0;
    return send(poster->fd, request, (size_t)len, MSG_NOSIGNAL) == len
               ? 0
               : bench_fail(-EPIPE, "the server ended a poster's connection");
}

static bool enough_under_way(const struct webhooks_set *set)
{
    const uint64_t wanted = (set->posted - set->refused - set->failed) * set->each;
    return set->depth > 0 && wanted >= set->taken_fast + (uint64_t)set->depth * set->each;
}

/* The next event, if one is due. */
static int poster_next(struct webhooks_loop *loop, struct poster *poster, int64_t now_ns)
{
    int64_t due_ns = now_ns;
    if (loop->rate_per_s > 0)
        due_ns = loop->began_ns +
                 (int64_t)((loop->set->posted - loop->first) * (double)NS_PER_S / loop->rate_per_s);
    if (due_ns > now_ns || due_ns >= loop->end_ns || enough_under_way(loop->set))
        return 0;
    return post(loop, poster, due_ns);
}

static int poster_answered(struct webhooks_loop *loop, struct poster *poster)
{
    struct webhooks_set *set = loop->set;
    bool accepted = set->straight ? strncmp(poster->answer, "HTTP/1.1 200", 12) == 0
                                  : strstr(poster->answer, "\"result\":") != NULL;
    poster->waits = false;
    set->events[poster->event].accepted = accepted;
    set->accepted += accepted;
    if (accepted && set->behaviours[poster->event % set->endpoints] == RECEIVER_FAST)
        set->accepted_fast += set->each > 0 ? set->each : 1;
    set->refused += !accepted;
    return poster_next(loop, poster, clock_now_ns());
}

static int poster_read(struct webhooks_loop *loop, struct poster *poster)
{
    ssize_t got =
        recv(poster->fd, poster->answer + poster->len, ANSWER_MAX - 1 - poster->len, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0) {
        loop->set->failed += poster->waits;
        poster_close(poster);
        return bench_fail(-EPIPE, "the server ended a poster's connection");
    }
    poster->len += (uint32_t)got;
    poster->answer[poster->len] = '\0';
    const char *end = strstr(poster->answer, "\r\n\r\n");
    const char *length = end ? strcasestr(poster->answer, "\r\ncontent-length:") : NULL;
    size_t body = length ? strtoul(length + sizeof "\r\ncontent-length:" - 1, NULL, 10) : 0;
    return end && (size_t)(end + 4 - poster->answer) + body <= poster->len
               ? poster_answered(loop, poster)
               : 0;
}

static int posters_turn(struct webhooks_loop *loop, int64_t now_ns)
{
    int err = 0;
    for (unsigned i = 0; i < loop->active && err == 0; i++)
        if (!loop->posters[i].waits)
            err = poster_next(loop, &loop->posters[i], now_ns);
    return err;
}

/* ---- the loop ---- */

static int turn(struct webhooks_loop *loop)
{
    struct epoll_event events[EPOLL_EVENTS];
    int count = epoll_wait(loop->epoll_fd, events, EPOLL_EVENTS, TICK_MS), err = 0;
    for (int i = 0; i < count && err == 0; i++) {
        switch (*(enum side *)events[i].data.ptr) {
        case SIDE_LISTENER:
            accept_all(loop);
            break;
        case SIDE_POSTER:
            err = poster_read(loop, events[i].data.ptr);
            break;
        case SIDE_RECEIVER:
            receive(loop, events[i].data.ptr);
            break;
        }
    }
    receivers_turn(loop, clock_now_ns());
    return err < 0 ? err : bench_interrupted() ? -EINTR : 0;
}

static bool posters_wait(const struct webhooks_loop *loop)
{
    bool some = false;
    for (unsigned i = 0; i < loop->active; i++)
        some |= loop->posters[i].waits;
    return some;
}

int webhooks_loop_post(struct webhooks_loop *loop, struct webhooks_set *set, unsigned posters,
                       double rate_per_s, int64_t duration_ns)
{
    assert(posters <= POSTERS_MAX);
    int err = 0;
    loop->set = set;
    loop->rate_per_s = rate_per_s;
    loop->first = set->posted;
    loop->active = posters;
    for (unsigned i = 0; i < posters && err == 0; i++)
        err = poster_connect(loop, &loop->posters[i]);
    loop->began_ns = clock_now_ns();
    loop->end_ns = loop->began_ns + duration_ns;
    while (err == 0 && clock_now_ns() < loop->end_ns) {
        err = posters_turn(loop, clock_now_ns());
        if (err == 0)
            err = turn(loop);
    }
    while (err == 0 && posters_wait(loop) && clock_now_ns() < loop->end_ns + ANSWER_NS)
        err = turn(loop);
    for (unsigned i = 0; i < posters; i++) {
        set->failed += loop->posters[i].waits;
        poster_close(&loop->posters[i]);
    }
    loop->active = 0;
    return err;
}

static uint64_t lacking_of_each(const struct webhooks_set *set, uint32_t from)
{
    uint64_t lacking = 0;
    for (uint32_t n = from; n < set->posted; n++)
        for (uint64_t bit = (uint64_t)n * set->each, i = 0;
             set->events[n].accepted && i < set->each; bit++, i++)
            lacking += !(set->arrived[bit / 8] >> bit % 8 & 1);
    return lacking;
}

uint64_t webhooks_set_lacking(const struct webhooks_set *set, uint32_t from)
{
    uint64_t lacking = 0;
    if (set->each > 0)
        return lacking_of_each(set, from);
    for (uint32_t n = from; n < set->posted; n++) {
        enum behaviour behaviour = set->behaviours[n % set->endpoints];
        lacking += set->events[n].accepted && set->events[n].taken == 0 &&
                   (behaviour == RECEIVER_FAST || behaviour == RECEIVER_FLAPPING);
    }
    return lacking;
}

static bool is_drained(const struct webhooks_set *set, bool all)
{
    return set->taken_fast >= set->accepted_fast && (!all || webhooks_set_lacking(set, 0) == 0);
}

int webhooks_loop_drain(struct webhooks_loop *loop, struct webhooks_set *set, bool all,
                        int64_t patience_ns)
{
    const int64_t end_ns = clock_now_ns() + patience_ns;
    int err = 0;
    while (err == 0 && clock_now_ns() < end_ns && !is_drained(set, all))
        err = turn(loop);
    return err;
}

int webhooks_loop_await(struct webhooks_loop *loop, const struct webhooks_set *set, uint64_t came,
                        int64_t patience_ns)
{
    const int64_t end_ns = clock_now_ns() + patience_ns;
    int err = 0;
    do
        err = turn(loop);
    while (err == 0 && clock_now_ns() < end_ns && set->came < came);
    return err;
}

/* ---- making ---- */

/* At each address of 127.0.0.0/8, and nowhere else. */
static int listen_anywhere(struct webhooks_loop *loop)
{
    static const char loopback[] = "lo";
    const struct sockaddr_in any = {.sin_family = AF_INET};
    loop->listener = SIDE_LISTENER;
    loop->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (loop->listen_fd < 0 ||
        setsockopt(loop->listen_fd, SOL_SOCKET, SO_BINDTODEVICE, loopback, sizeof loopback) < 0 ||
        bind(loop->listen_fd, (const struct sockaddr *)&any, sizeof any) < 0 ||
        listen(loop->listen_fd, SOMAXCONN) < 0)
        return bench_fail(-errno, "receivers cannot listen: %s", strerror(errno));
    watch(loop, loop->listen_fd, &loop->listener);
    return 0;
}

int webhooks_loop_create(struct webhooks_loop **ret, uint32_t slow_ms)
{
    struct webhooks_loop *loop = *ret = calloc(1, sizeof *loop);
    if (!loop)
        return bench_fail(-ENOMEM, "no memory for receivers");
    loop->slow_ns = (int64_t)slow_ms * NS_PER_MS;
    loop->listen_fd = -1;
    for (unsigned i = 0; i < POSTERS_MAX; i++)
        loop->posters[i].fd = -1;
    for (unsigned i = RECEIVERS_MAX; i > 0; i--) {
        struct receiver *receiver = &loop->receivers[i - 1];
        receiver->side = SIDE_RECEIVER;
        receiver->fd = -1;
        loop->free[loop->free_count++] = receiver;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return bench_fail(-errno, "epoll: %s", strerror(errno));
    return listen_anywhere(loop);
}

void webhooks_loop_free(struct webhooks_loop *loop)
{
    if (!loop)
        return;
    for (unsigned i = 0; i < RECEIVERS_MAX; i++)
        if (loop->receivers[i].fd >= 0)
            receiver_close(loop, &loop->receivers[i]);
    if (loop->listen_fd >= 0)
        close(loop->listen_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
}

struct sockaddr_in webhooks_loop_address(const struct webhooks_loop *loop)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    int err = getsockname(loop->listen_fd, (struct sockaddr *)&address, &size);
    assert(err == 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void webhooks_loop_set(struct webhooks_loop *loop, unsigned number, struct webhooks_set *set)
{
    assert(number < SETS_MAX);
    loop->sets[number] = set;
}
