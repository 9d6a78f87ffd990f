/* push: what server push saves: a page and a resource of it over HTTP/2, with the resource asked
 * for when the page is there, and with it pushed beside the page, at a round-trip time.
 *
 *     asked for   connect ─► GET / ─► answer ─► GET the resource ─► answer
 *     pushed      connect ─► GET / ─► PUSH_PROMISE, both answers
 *
 * Each is done --turns times, in turns, by a client of its own on libnghttp2: browsers take no
 * pushes any more (`page` shows it), and nghttp, which does, asks for nothing that it has read of
 * in a page. */
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "experiment/bench.h"
#include "measure/clock.h"
#include "output/figure.h"

enum {
    CONNECTIONS = 100,
    TURNS_MAX = 64,
    READ_BYTES = 16384,
    PATIENCE_S = 30,
    FIELDS = 4,
};

#define RESOURCE "/poll?channel=push"

enum how {
    ASKED_FOR,
    PUSHED,
    HOWS,
};

static const char *const how_names[HOWS] = {"asked for", "pushed"};

/* All of one kind. */
struct visits {
    int64_t loads_ns[TURNS_MAX];
    uint64_t pushes;
};

/* One visit. */
struct visit {
    nghttp2_session *session;
    enum how how;
    int fd;
    int32_t page, resource; /* streams; 0: there is none yet */
    bool done;
    uint64_t pushes;
};

static const enum option_id push_options[] = {OPTION_RTT, OPTION_TURNS, OPTION_COUNT};

static void defaults(struct options *options)
{
    options->rtt_ms = 50;
    options->turns = 5;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static int32_t ask(nghttp2_session *session, const char *path)
{
    const nghttp2_nv fields[FIELDS] = {field(":method", "GET"), field(":scheme", "http"),
                                       field(":authority", "bench"), field(":path", path)};
    int32_t stream = nghttp2_submit_request(session, NULL, fields, FIELDS, NULL, NULL);
    assert(stream > 0);
    return stream;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct visit *visit = context;
    (void)session;
    if (frame->hd.type != NGHTTP2_PUSH_PROMISE)
        return 0;
    visit->resource = frame->push_promise.promised_stream_id;
    visit->pushes++;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
    struct visit *visit = context;
    if (code != NGHTTP2_NO_ERROR)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (stream == visit->page && visit->resource == 0)
        visit->resource = ask(session, RESOURCE);
    else if (stream == visit->resource)
        visit->done = true;
    return 0;
}

static nghttp2_session *session_make(struct visit *visit)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    int err = nghttp2_session_callbacks_new(&callbacks);
    assert(err == 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    err = nghttp2_session_client_new(&session, callbacks, visit);
    assert(err == 0);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

static int flush(struct visit *visit)
{
    const uint8_t *bytes;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(visit->session, &bytes)) > 0)
        if (send(visit->fd, bytes, (size_t)len, MSG_NOSIGNAL) != len)
            return -EIO;
    return (int)len;
}

/* A ring of this thread may interrupt any call that waits. */
static ssize_t hear(int fd, uint8_t *bytes, size_t size)
{
    ssize_t got;
    do
        got = recv(fd, bytes, size, 0);
    while (got < 0 && errno == EINTR && !bench_interrupted());
    return got;
}

/* Until the resource is there. */
static int converse(struct visit *visit)
{
    uint8_t bytes[READ_BYTES];
    int err = 0;
    while (err == 0 && !visit->done) {
        err = flush(visit);
        ssize_t got = err == 0 ? hear(visit->fd, bytes, sizeof bytes) : -1;
        if (err == 0 &&
            (got <= 0 || nghttp2_session_mem_recv(visit->session, bytes, (size_t)got) < 0))
            err = -EIO;
    }
    return err;
}

static int dial(const struct sockaddr_in *address)
{
    const struct linger reset = {.l_onoff = 1};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

static int pay_visit(const struct server *server, enum how how, int64_t *ret_ns, uint64_t *pushes)
{
    struct visit visit = {.how = how};
    const nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_ENABLE_PUSH, how == PUSHED};
    const int64_t begin_ns = clock_now_ns();
    visit.fd = dial(&server->reach);
    if (visit.fd < 0)
        return bench_fail(visit.fd, "the server cannot be reached: %s", strerror(-visit.fd));
    visit.session = session_make(&visit);
    nghttp2_submit_settings(visit.session, NGHTTP2_FLAG_NONE, &settings, 1);
    visit.page = ask(visit.session, "/");
    int err = converse(&visit);
    *ret_ns = clock_now_ns() - begin_ns;
    *pushes += visit.pushes;
    nghttp2_session_del(visit.session);
    close(visit.fd);
    return err < 0 ? bench_fail(err, "a page %s did not come whole", how_names[how]) : 0;
}

static void take(struct bench *bench, enum how how, const struct visits *visits)
{
    struct contestant *into =
        result_add(&bench->result, how_names[how], "a page and its resource", KIND_TRANSPORT);
    json_t *loads = json_array();
    for (unsigned i = 0; i < bench->options->turns; i++)
        json_array_append_new(loads, figure_seconds(visits->loads_ns[i]));
    into->connections = bench->options->turns;
    contestant_figure(
        into, "push",
        json_pack("{s:o, s:o}", "pushes", figure_count(visits->pushes), "loads_s", loads));
}

static int run(struct bench *bench)
{
    static const char *const settings[] = {"http2_push=" RESOURCE, NULL};
    static struct visits visits[HOWS];
    const unsigned turns = bench->options->turns;
    struct server *server;
    if (bench->options->address)
        return bench_fail(-EINVAL, "push starts its own server: --address is of no use");
    if (turns > TURNS_MAX)
        return bench_fail(-EINVAL, "push takes at most %d --turns", TURNS_MAX);
    int err = bench_server_start(bench, CONNECTIONS, settings, &server);
    for (unsigned i = 0; err == 0 && i < turns; i++)
        for (unsigned j = 0; err == 0 && j < HOWS; j++) {
            const enum how how = (enum how)((i + j) % HOWS);
            watch_phase(bench, "visit", how_names[how], NULL);
            err = bench_interrupted()
                      ? -EINTR
                      : pay_visit(server, how, &visits[how].loads_ns[i], &visits[how].pushes);
        }
    for (unsigned how = 0; err == 0 && how < HOWS; how++)
        take(bench, (enum how)how, &visits[how]);
    return err;
}

const struct experiment experiment_push = {
    .name = "push",
    .use = {push_options, "What server push would save: a page and its resource, at an RTT.",
            "A page is asked for over HTTP/2 through a relay with --rtt-ms, and a resource of it: "
            "when the page is there, or pushed with it by the server (http2_push). Each --turns "
            "times, in turns.\n\n"
            "  ringside-bench push\n"
            "  ringside-bench push --rtt-ms 150"},
    .defaults = defaults,
    .run = run,
};
