#include "abuse/attacker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abuse/script.h"
#include "experiment/caller.h"
#include "measure/clock.h"
#include "measure/memory.h"

static const int64_t LOOK_NS = (int64_t)20 * NS_PER_MS;
static const int64_t SIP_NS = (int64_t)50 * NS_PER_MS;

enum {
    AGAIN_MS = 1000,
    EVENTS = 256,
    STEP_MS = 2,
    CALL_PATIENCE_S = 1,
    SEND_MAX = 64 * 1024, /* of one connection before the next has its turn */
    VECTORS = 64,
    READ_BYTES = 64 * 1024,
    READS_MAX = 4, /* likewise */
    SECURE_MAX = 1024,
};

enum phase {
    DOWN,
    CONNECTING,
    OPENING, /* what goes first is being sent */
    WAITING, /* for its answer */
    SENDING,
    DONE, /* everything is sent */
};

struct link {
    int fd;
    enum phase phase;
    bool full;      /* its socket, for writing */
    int64_t due_ns; /* DOWN: it connects; else it may send again, or sip */
    int64_t sip_ns;
    uint32_t times; /* texts sent in whole */
    size_t at;      /* bytes of the text under way, or of the opening */
    char *own;      /* that text, where it is not everybody's; NULL: it is */
    size_t own_len;
    uint32_t streams; /* that it has used, of HTTP/2 */
};

struct attacker {
    const struct attack *attack;
    const struct attack_target *target;
    struct script script;
    struct link *links;
    uint32_t count;
    int epoll;
    int64_t now_ns, look_ns;
    uint64_t bytes_left, number;
    struct tls_handshakes *handshakes;
    unsigned char *area; /* what is read goes here */
    pthread_t thread;
    atomic_bool stopping;
    struct attacker_seen seen;
};

/* ---- one connection ---- */

static void watch(struct attacker *attacker, struct link *link, int operation)
{
    bool reads = attacker->attack->reads == ATTACK_READS_ALL || link->phase == WAITING;
    struct epoll_event event = {
        .events = EPOLLRDHUP | (reads ? EPOLLIN : 0) |
                  (link->full || link->phase == CONNECTING ? EPOLLOUT : 0),
        .data.u32 = (uint32_t)(link - attacker->links),
    };
    epoll_ctl(attacker->epoll, operation, link->fd, &event);
}

static void enter(struct attacker *attacker, struct link *link, enum phase phase)
{
    link->phase = phase;
    watch(attacker, link, EPOLL_CTL_MOD);
}

static void go(struct attacker *attacker, struct link *link)
{
    const uint32_t again_ms = attacker->attack->again_ms;
    if (link->fd >= 0)
        close(link->fd);
    free(link->own);
    *link = (struct link){
        .fd = -1,
        .due_ns = attacker->now_ns + (int64_t)(again_ms ? again_ms : AGAIN_MS) * NS_PER_MS,
    };
}

/* The server, or the kernel, has ended it. */
static void ended(struct attacker *attacker, struct link *link)
{
    attacker->seen.ended += link->phase != CONNECTING;
    attacker->seen.refused += link->phase == CONNECTING;
    go(attacker, link);
}

static void set_up(const struct attack *attack, int fd)
{
    const struct linger reset = {.l_onoff = 1};
    const int one = 1, least = 1; /* the kernel's least is more */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!attack->small_window)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
    setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &least, sizeof least);
}

/* Behind a handshake the text is sealed as a handshake message, once for each connection. */
static int connect_secure(struct attacker *attacker, struct link *link)
{
    const struct caller_tls tls = {attacker->target->client, attacker->handshakes};
    const struct script *script = &attacker->script;
    struct caller caller;
    int err = caller_connect(&caller, &attacker->target->tls, &tls, CALL_PATIENCE_S);
    if (err < 0) {
        caller_hang_up(&caller);
        return err;
    }
    struct tls_direction *out = &caller.keys.out;
    assert(script->len + tls_record_overhead(out) <= SECURE_MAX);
    link->own = malloc(SECURE_MAX);
    assert(link->own);
    memcpy(link->own + tls_record_head(out), script->text, script->len);
    link->own_len =
        tls_record_seal_in_place(out, TLS_HANDSHAKE, (unsigned char *)link->own, script->len);
    tls_keys_wipe(&caller.keys);
    link->fd = caller.fd;
    return fcntl(link->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int connect_plain(struct attacker *attacker, struct link *link)
{
    const struct attack_target *target = attacker->target;
    const struct sockaddr_in *address = attacker->attack->tls ? &target->tls : &target->plain;
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return -errno;
    set_up(attacker->attack, link->fd);
    int err = connect(link->fd, (const struct sockaddr *)address, sizeof *address);
    return err < 0 && errno != EINPROGRESS ? -errno : 0;
}

/* Nothing is left to say. */
static void finish(struct attacker *attacker, struct link *link)
{
    if (attacker->attack->ends)
        go(attacker, link);
    else
        enter(attacker, link, DONE);
}

static void begin(struct attacker *attacker, struct link *link)
{
    if (attacker->script.len > 0)
        enter(attacker, link, SENDING);
    else
        finish(attacker, link);
}

static void connected(struct attacker *attacker, struct link *link)
{
    attacker->seen.visits++;
    if (attacker->script.opening_len > 0)
        enter(attacker, link, OPENING);
    else
        begin(attacker, link);
}

static void come(struct attacker *attacker, struct link *link)
{
    if (attacker->seen.visits >= ATTACKER_VISITS_MAX)
        return;
    int err =
        attacker->attack->secure ? connect_secure(attacker, link) : connect_plain(attacker, link);
    link->phase = CONNECTING;
    if (err < 0) {
        ended(attacker, link);
        return;
    }
    watch(attacker, link, EPOLL_CTL_ADD);
    if (attacker->attack->secure)
        connected(attacker, link);
}

/* ---- saying ---- */

/* Points `vectors` at what goes next, the text over and over. Returns how many bytes that is. */
static size_t gather(const struct attacker *attacker, const struct link *link,
                     struct iovec vectors[VECTORS], unsigned *ret_count)
{
    const struct attack *attack = attacker->attack;
    const char *text = link->own ? link->own : attacker->script.text;
    const size_t len = link->own ? link->own_len : attacker->script.len;
    size_t most = attack->piece ? attack->piece : SEND_MAX, sum = 0, at = link->at;
    uint32_t times = link->times;
    most = most < attacker->bytes_left ? most : (size_t)attacker->bytes_left;
    *ret_count = 0;
    while (sum < most && *ret_count < VECTORS && (attack->times == 0 || times < attack->times)) {
        size_t part = len - at < most - sum ? len - at : most - sum;
        vectors[(*ret_count)++] = (struct iovec){(char *)text + at, part};
        sum += part;
        at = 0;
        times++;
        if (link->own)
            break;
    }
    return sum;
}

static void said(struct attacker *attacker, struct link *link, size_t sent)
{
    const size_t len = link->own ? link->own_len : attacker->script.len;
    const bool sealed = attacker->attack->secure;
    attacker->seen.sent += sent;
    attacker->bytes_left -= sent;
    link->times += (uint32_t)((link->at + sent) / len);
    link->at = (link->at + sent) % len;
    if (link->at == 0 && link->own && !sealed)
        script_number(&attacker->script, link->own, ++attacker->number, &link->streams);
}

static bool everything_said(const struct attacker *attacker, const struct link *link)
{
    const uint32_t times = attacker->attack->times;
    return attacker->bytes_left == 0 || (times > 0 && link->times >= times);
}

static void settle(struct attacker *attacker, struct link *link)
{
    link->due_ns = attacker->now_ns + (int64_t)attacker->attack->gap_ms * NS_PER_MS;
    if (everything_said(attacker, link))
        finish(attacker, link);
}

static void say(struct attacker *attacker, struct link *link)
{
    struct iovec vectors[VECTORS];
    struct msghdr message = {.msg_iov = vectors};
    unsigned count;
    if (attacker->script.numbered && !link->own) {
        link->own = script_copy(&attacker->script, &link->own_len);
        script_number(&attacker->script, link->own, ++attacker->number, &link->streams);
    }
    if (gather(attacker, link, vectors, &count) == 0) {
        settle(attacker, link);
        return;
    }
    message.msg_iovlen = count;
    ssize_t sent = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) {
        link->full = true;
        watch(attacker, link, EPOLL_CTL_MOD);
    } else if (sent < 0) {
        ended(attacker, link);
    } else {
        said(attacker, link, (size_t)sent);
        settle(attacker, link);
    }
}

static void say_opening(struct attacker *attacker, struct link *link)
{
    const struct script *script = &attacker->script;
    ssize_t sent = send(link->fd, script->opening + link->at, script->opening_len - link->at,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        ended(attacker, link);
        return;
    }
    link->at += sent > 0 ? (size_t)sent : 0;
    attacker->seen.sent += sent > 0 ? (uint64_t)sent : 0;
    if (link->at < script->opening_len)
        return;
    link->at = 0;
    enter(attacker, link, WAITING);
}

/* ---- hearing ---- */

static void hear(struct attacker *attacker, struct link *link, size_t most)
{
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t got = recv(link->fd, attacker->area, most, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            ended(attacker, link);
        if (got <= 0)
            return;
        attacker->seen.received += (uint64_t)got;
        if (link->phase == WAITING)
            begin(attacker, link);
        if ((size_t)got < most || attacker->attack->reads != ATTACK_READS_ALL ||
            link->phase == DOWN)
            return;
    }
}

static void sip(struct attacker *attacker, struct link *link)
{
    link->sip_ns = attacker->now_ns + SIP_NS;
    hear(attacker, link, 1);
}

static void happened(struct attacker *attacker, struct link *link, uint32_t events)
{
    if (link->phase == DOWN)
        return;
    if (link->phase == CONNECTING && !(events & (EPOLLERR | EPOLLHUP)))
        connected(attacker, link);
    else if (events & EPOLLIN && !(events & (EPOLLERR | EPOLLHUP)))
        hear(attacker, link, READ_BYTES);
    else if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        ended(attacker, link);
    if (link->phase != DOWN && link->full && events & EPOLLOUT) {
        link->full = false;
        watch(attacker, link, EPOLL_CTL_MOD);
    }
}

static void attend(struct attacker *attacker, struct link *link)
{
    const bool due = attacker->now_ns >= link->due_ns;
    if (link->phase == DOWN && due)
        come(attacker, link);
    else if (link->phase == OPENING)
        say_opening(attacker, link);
    else if (link->phase == SENDING && due && !link->full)
        say(attacker, link);
    if (attacker->attack->reads == ATTACK_READS_TRICKLE && link->phase >= SENDING &&
        attacker->now_ns >= link->sip_ns)
        sip(attacker, link);
}

/* ---- the thread ---- */

static void raise_to(uint64_t *most, uint64_t value)
{
    if (value > *most)
        *most = value;
}

static void look(struct attacker *attacker)
{
    if (attacker->now_ns < attacker->look_ns)
        return;
    attacker->look_ns = attacker->now_ns + LOOK_NS;
    raise_to(&attacker->seen.rss_bytes, process_rss_bytes_rough(attacker->target->process));
    raise_to(&attacker->seen.tcp_bytes, memory_tcp_pages() * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void step(struct attacker *attacker)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(attacker->epoll, events, EVENTS, STEP_MS);
    attacker->now_ns = clock_now_ns();
    for (int i = 0; i < count; i++)
        happened(attacker, &attacker->links[events[i].data.u32], events[i].events);
    for (uint32_t i = 0; i < attacker->count; i++)
        attend(attacker, &attacker->links[i]);
    look(attacker);
}

static void *run(void *context)
{
    struct attacker *attacker = context;
    const struct sched_param idle = {0};
    sched_setscheduler(0, SCHED_IDLE, &idle);
    const int64_t start_ns = attacker->now_ns = clock_now_ns();
    const int64_t waited_ns = process_thread_wait_ns();
    while (!atomic_load_explicit(&attacker->stopping, memory_order_relaxed))
        step(attacker);
    attacker->look_ns = 0;
    look(attacker);
    attacker->seen.elapsed_ns = clock_now_ns() - start_ns;
    attacker->seen.cpu_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    attacker->seen.waited_ns = process_thread_wait_ns() - waited_ns;
    for (uint32_t i = 0; i < attacker->count; i++)
        go(attacker, &attacker->links[i]);
    return NULL;
}

static void release(struct attacker *attacker)
{
    if (attacker->epoll >= 0)
        close(attacker->epoll);
    tls_handshakes_free(attacker->handshakes);
    script_done(&attacker->script);
    free(attacker->area);
    free(attacker->links);
    free(attacker);
}

int attacker_start(struct attacker **ret, const struct attack *attack,
                   const struct attack_target *target, uint32_t connections)
{
    struct attacker *attacker = calloc(1, sizeof *attacker);
    assert(attacker);
    attacker->attack = attack;
    attacker->target = target;
    attacker->count = connections < attack->connections ? connections : attack->connections;
    attacker->links = calloc(attacker->count, sizeof *attacker->links);
    attacker->area = malloc(READ_BYTES);
    attacker->bytes_left = attack->bytes ? attack->bytes : UINT64_MAX;
    attacker->epoll = epoll_create1(EPOLL_CLOEXEC);
    attacker->handshakes = attack->secure ? tls_handshakes_create(1) : NULL;
    assert(attacker->links && attacker->area && attacker->epoll >= 0);
    for (uint32_t i = 0; i < attacker->count; i++)
        attacker->links[i].fd = -1;
    int err = script_init(&attacker->script, attack, target);
    if (err == 0)
        err = -pthread_create(&attacker->thread, NULL, run, attacker);
    if (err < 0)
        release(attacker);
    else
        *ret = attacker;
    return err;
}

void attacker_stop(struct attacker *attacker, struct attacker_seen *ret)
{
    *ret = (struct attacker_seen){0};
    if (!attacker)
        return;
    atomic_store_explicit(&attacker->stopping, true, memory_order_relaxed);
    pthread_join(attacker->thread, NULL);
    *ret = attacker->seen;
    release(attacker);
}
