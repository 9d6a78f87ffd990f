/* post_curl: what libcurl is told and tells: options, sockets, timers, answers. */
#include "courier/post_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

enum {
    EVENTS_MAX = 256,
    EVENT_ROUNDS_MAX = 8, /* of so many in a turn */
    CONNECT_MS_MAX = 10000,
    BUFFER_BYTES = 4096, /* libcurl's, for what comes */
};

/* ---- sockets ---- */

/* Returns NULL when memory is out. */
static struct post_socket *socket_of(struct post_client *client, int fd)
{
    if ((unsigned)fd >= client->socket_room) {
        unsigned room = client->socket_room > 0 ? client->socket_room : 256;
        while (room <= (unsigned)fd)
            room *= 2;
        struct post_socket *longer = realloc(client->sockets, room * sizeof *longer);
        if (!longer)
            return NULL;
        memset(longer + client->socket_room, 0, (room - client->socket_room) * sizeof *longer);
        client->sockets = longer;
        client->socket_room = room;
    }
    return &client->sockets[fd];
}

/* Each connect, of each address that a name has. */
static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;
    struct post_client *client = transfer->line->client;
    if (purpose != CURLSOCKTYPE_IPCXN ||
        !post_may_connect(client->config.reach, transfer->post->url, &address->addr)) {
        transfer->why = POST_FORBIDDEN;
        return CURL_SOCKET_BAD;
    }
    transfer->why = POST_ANSWERED;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    struct post_socket *made = fd >= 0 ? socket_of(client, fd) : NULL;
    if (!made) {
        if (fd >= 0)
            close(fd);
        return CURL_SOCKET_BAD;
    }
    *made = (struct post_socket){.line = (uint8_t)(transfer->line - client->lines), .ours = true};
    post_count(&client->counters.connects, 1);
    transfer->line->open++;
    client->open++;
    return fd;
}

static int on_close(void *context, curl_socket_t fd)
{
    struct post_client *client = context;
    struct post_socket *closed = &client->sockets[fd];
    assert(closed->ours);
    client->lines[closed->line].open--;
    client->open--;
    *closed = (struct post_socket){0};
    return close(fd);
}

static void watch(const struct post_client *client, struct post_socket *is, int fd, int what)
{
    struct epoll_event event = {.data.fd = fd};
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (epoll_ctl(client->epoll_fd, is->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0)
        is->watched = (uint8_t)what;
}

static void unwatch(const struct post_client *client, struct post_socket *is, int fd)
{
    if (is->watched)
        epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    is->watched = 0;
}

/* A socket of ours stays where it is: its connection is kept, or closed at once. Others, by which
 * the threads that ask for names ring, are closed without a word. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    (void)easy, (void)known;
    struct post_line *line = context;
    struct post_client *client = line->client;
    struct post_socket *is = socket_of(client, fd);
    if (!is)
        return 0; /* libcurl's timers go on */
    is->line = (uint8_t)(line - client->lines);
    is->wanted = what != CURL_POLL_REMOVE;
    if (is->wanted && is->watched != what)
        watch(client, is, fd, what);
    else if (!is->wanted && !is->ours)
        unwatch(client, is, fd);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct post_line *line = context;
    line->timer_ns =
        timeout_ms < 0 ? INT64_MAX : line->client->now_ns + (int64_t)timeout_ms * NS_PER_MS;
    return 0;
}

/* ---- answers ---- */

static size_t on_head(char *bytes, size_t size, size_t count_of, void *context)
{
    (void)bytes;
    struct transfer *transfer = context;
    size_t len = size * count_of;
    transfer->head_bytes += len;
    if (transfer->head_bytes <= POST_HEAD_MAX)
        return len;
    transfer->why = POST_TOO_LARGE;
    return 0;
}

/* Makes room by doubling. */
static bool room_make(struct transfer *transfer, size_t len)
{
    struct post *post = transfer->post;
    size_t room = transfer->room > 0 ? transfer->room : 1024;
    while (room < len)
        room *= 2;
    if (room > post->answer_max)
        room = post->answer_max;
    if (room <= transfer->room)
        return true;
    char *longer = realloc(post->answer, room);
    if (!longer)
        return false;
    post->answer = longer;
    transfer->room = room;
    return true;
}

static size_t on_body(char *bytes, size_t size, size_t count_of, void *context)
{
    struct transfer *transfer = context;
    struct post *post = transfer->post;
    size_t len = size * count_of;
    size_t most = post->answer_max > 0 ? post->answer_max : (size_t)POST_THROWN_MAX;
    if (len > most - transfer->body_bytes) {
        transfer->why = POST_TOO_LARGE;
        return 0;
    }
    transfer->body_bytes += len;
    if (post->answer_max == 0 || len == 0)
        return len;
    if (!room_make(transfer, transfer->body_bytes)) {
        transfer->why = POST_MEMORY;
        return 0;
    }
    memcpy(post->answer + post->answer_len, bytes, len);
    post->answer_len += len;
    return len;
}

/* ---- life ---- */

int post_lines_create(struct post_client *client)
{
    for (unsigned i = 0; i < POST_LINES; i++) {
        struct post_line *line = &client->lines[i];
        line->client = client;
        line->timer_ns = INT64_MAX;
        line->multi = curl_multi_init();
        if (!line->multi)
            return -ENOMEM;
        curl_multi_setopt(line->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(line->multi, CURLMOPT_SOCKETDATA, line);
        curl_multi_setopt(line->multi, CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(line->multi, CURLMOPT_TIMERDATA, line);
    }
    return 0;
}

void post_lines_free(struct post_client *client)
{
    for (unsigned i = 0; i < POST_LINES; i++)
        curl_multi_cleanup(client->lines[i].multi);
    free(client->sockets);
}

/* ---- one post ---- */

static void callbacks_set(CURL *easy, struct transfer *transfer, struct post_client *client)
{
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

static void rules_set(CURL *easy, const struct post_client *client)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); /* RFC 8996 */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Ringside");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    if (client->config.authorities[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->config.authorities);
}

struct transfer *transfer_create(struct post_client *client)
{
    struct transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer)
        transfer->easy = curl_easy_init();
    if (!transfer || !transfer->easy) {
        free(transfer);
        return NULL;
    }
    callbacks_set(transfer->easy, transfer, client);
    rules_set(transfer->easy, client);
    return transfer;
}

void transfer_free(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    free(transfer);
}

/* libcurl reads the list and keeps none of it, so it is of the post's own strings. */
static struct curl_slist *fields_make(struct transfer *transfer, const struct post *post)
{
    static char none[] = "Expect:";
    struct curl_slist *fields = transfer->fields;
    assert(post->field_count <= POST_FIELDS_MAX);
    fields[0].data = none;
    for (unsigned i = 0; i < post->field_count; i++) {
        fields[i].next = &fields[i + 1];
        fields[i + 1].data = (char *)(uintptr_t)post->fields[i];
    }
    fields[post->field_count].next = NULL;
    return fields;
}

static bool options_set(struct transfer *transfer, const struct post *post, long timeout_ms)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     timeout_ms < CONNECT_MS_MAX ? timeout_ms : (long)CONNECT_MS_MAX);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body.ptr);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields_make(transfer, post));
    return curl_easy_setopt(easy, CURLOPT_URL, post->url) == CURLE_OK;
}

/* At kept_max a line that gets a connection back lets another of its own go. */
static void kept_set(const struct post_client *client, struct post_line *line)
{
    unsigned most = client->kept_max;
    if (client->open >= client->kept_max)
        most = line->open > 1 ? line->open - 1 : 1;
    curl_multi_setopt(line->multi, CURLMOPT_MAXCONNECTS, (long)most);
}

bool transfer_begin(struct post_client *client, struct transfer *transfer, int64_t left_ms)
{
    struct post_line *line = transfer->line = &client->lines[post_line_of(transfer->post->url)];
    kept_set(client, line);
    line->told = true;
    return options_set(transfer, transfer->post, left_ms > 1 ? (long)left_ms : 1L) &&
           curl_multi_add_handle(line->multi, transfer->easy) == CURLM_OK;
}

void transfer_end(struct transfer *transfer)
{
    long status = 0;
    curl_off_t after = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &after);
    transfer->post->status = (int)status;
    transfer->post->retry_after_s = after;
    curl_multi_remove_handle(transfer->line->multi, transfer->easy);
}

/* ---- ends ---- */

static enum post_end end_of(const struct transfer *transfer, CURLcode code)
{
    if (code == CURLE_OK)
        return POST_ANSWERED;
    if (transfer->why != POST_ANSWERED && code != CURLE_OPERATION_TIMEDOUT)
        return transfer->why;
    /* Only those that say something besides that it broke. */
    static const struct {
        CURLcode code;
        enum post_end end;
    } ends[] = {
        {CURLE_OPERATION_TIMEDOUT, POST_TIMEOUT},
        {CURLE_URL_MALFORMAT, POST_BAD_URL},
        {CURLE_COULDNT_RESOLVE_HOST, POST_NAME},
        {CURLE_COULDNT_CONNECT, POST_CONNECT},
        {CURLE_PEER_FAILED_VERIFICATION, POST_CERTIFICATE},
        {CURLE_SSL_CONNECT_ERROR, POST_TLS},
        {CURLE_SSL_CACERT_BADFILE, POST_TLS},
        {CURLE_SSL_CIPHER, POST_TLS},
        {CURLE_SSL_ISSUER_ERROR, POST_CERTIFICATE},
        {CURLE_SSL_INVALIDCERTSTATUS, POST_CERTIFICATE},
        {CURLE_UNSUPPORTED_PROTOCOL, POST_BAD_ANSWER},
        {CURLE_WEIRD_SERVER_REPLY, POST_BAD_ANSWER},
        {CURLE_HTTP2, POST_BAD_ANSWER},
        {CURLE_HTTP2_STREAM, POST_BAD_ANSWER},
        {CURLE_BAD_CONTENT_ENCODING, POST_BAD_ANSWER},
        {CURLE_OUT_OF_MEMORY, POST_MEMORY},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends[i].code == code)
            return ends[i].end;
    return POST_BROKEN;
}

struct transfer *post_lines_ended(struct post_client *client, enum post_end *ret)
{
    for (unsigned i = 0; i < POST_LINES; i++) {
        struct post_line *line = &client->lines[i];
        CURLMsg *message;
        int left;
        while (line->told && (message = curl_multi_info_read(line->multi, &left)) != NULL) {
            char *private = NULL;
            if (message->msg != CURLMSG_DONE)
                continue;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
            struct transfer *transfer = (struct transfer *)(void *)private;
            *ret = end_of(transfer, code);
            return transfer;
        }
        line->told = false;
    }
    return NULL;
}

/* ---- the turn ---- */

static void act(struct post_line *line, curl_socket_t fd, int what)
{
    int running;
    line->told = true;
    curl_multi_socket_action(line->multi, fd, what, &running);
}

static void heard(struct post_client *client, const struct epoll_event *event)
{
    struct post_socket *is = &client->sockets[event->data.fd];
    struct post_line *line = &client->lines[is->line];
    uint32_t events = event->events;
    if (!is->wanted) { /* closed, or more than an answer: libcurl looks when it takes it again */
        unwatch(client, is, event->data.fd);
        return;
    }
    int what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    act(line, event->data.fd, what);
}

void post_lines_turn(struct post_client *client)
{
    struct epoll_event events[EVENTS_MAX];
    int count = EVENTS_MAX;
    for (int round = 0; count == EVENTS_MAX && round < EVENT_ROUNDS_MAX; round++) {
        count = epoll_wait(client->epoll_fd, events, EVENTS_MAX, 0);
        for (int i = 0; i < count; i++)
            heard(client, &events[i]);
    }
    for (unsigned i = 0; i < POST_LINES; i++) {
        struct post_line *line = &client->lines[i];
        if (line->timer_ns > client->now_ns)
            continue;
        line->timer_ns = INT64_MAX;
        act(line, CURL_SOCKET_TIMEOUT, 0);
    }
}

int64_t post_lines_deadline_ns(const struct post_client *client)
{
    int64_t first_ns = INT64_MAX;
    for (unsigned i = 0; i < POST_LINES; i++)
        if (client->lines[i].timer_ns < first_ns)
            first_ns = client->lines[i].timer_ns;
    return first_ns;
}
