#include "courier/post.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "courier/reach.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    EVENTS_MAX = 256,
    CONNECT_MS_MAX = 10000,
    BUFFER_BYTES = 4096,   /* libcurl's, for what comes */
    IDLE_HANDLES_MAX = 64, /* kept for the next posts */
    LATE_LOOK_MS = 20,     /* between looks at those that wait */
};

/* A post that has a place. */
struct transfer {
    CURL *easy;
    struct post_client *client;
    struct post *post;
    struct curl_slist *fields;
    size_t head_bytes, body_bytes, room;
    enum post_end why; /* what we ended it of; POST_ANSWERED: nothing */
    struct transfer *previous, *next;
};

struct post_client {
    struct post_config config;
    CURLM *multi;
    int epoll_fd;
    int64_t now_ns;
    int64_t timer_ns;          /* libcurl's; INT64_MAX: none */
    int64_t look_ns;           /* for late ones among those that wait */
    struct transfer *busy;     /* a list both ways */
    struct transfer *idle;     /* a list by next */
    struct post *first, *last; /* wait for a place */
    unsigned busy_count, idle_count, waiting_count;
    struct post_counters counters;
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

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static void gauge(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* ---- what libcurl calls ---- */

static bool is_https(const char *url)
{
    return strncasecmp(url, "https:", strlen("https:")) == 0;
}

static uint16_t port_of(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

static bool may_connect(const struct reach *reach, const char *url, const struct sockaddr *address)
{
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return false;
    char *host = NULL;
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK)
        curl_url_get(parts, CURLUPART_HOST, &host, 0);
    const struct in6_addr key = address_of(address);
    bool may = host && reach_allows_port(reach, port_of(address)) &&
               reach_allows(reach, &key, span_from(host), is_https(url));
    curl_free(host);
    curl_url_cleanup(parts);
    return may;
}

/* Each connect, of each address that a name has. */
static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;
    struct post_client *client = transfer->client;
    if (purpose != CURLSOCKTYPE_IPCXN ||
        !may_connect(client->config.reach, transfer->post->url, &address->addr)) {
        transfer->why = POST_FORBIDDEN;
        return CURL_SOCKET_BAD;
    }
    transfer->why = POST_ANSWERED;
    count(&client->counters.connects, 1);
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

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

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    (void)easy;
    struct post_client *client = context;
    struct epoll_event event = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    int way = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(client->epoll_fd, way, fd, &event) < 0)
        epoll_ctl(client->epoll_fd, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    curl_multi_assign(client->multi, fd, client);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct post_client *client = context;
    client->timer_ns =
        timeout_ms < 0 ? INT64_MAX : client->now_ns + (int64_t)timeout_ms * NS_PER_MS;
    return 0;
}

/* ---- life ---- */

int post_client_create(struct post_client **ret, const struct post_config *config)
{
    struct post_client *client = calloc(1, sizeof *client);
    if (!client)
        return -ENOMEM;
    client->config = *config;
    client->timer_ns = INT64_MAX;
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    client->multi = curl_multi_init();
    if (client->epoll_fd < 0 || !client->multi) {
        int err = client->epoll_fd < 0 ? -errno : -ENOMEM;
        post_client_free(client);
        return err;
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)config->places);
    *ret = client;
    return 0;
}

static void transfer_free(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    free(transfer);
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
    curl_multi_cleanup(client->multi);
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
    if (transfer) {
        client->idle = transfer->next;
        client->idle_count--;
        return transfer;
    }
    transfer = calloc(1, sizeof *transfer);
    if (transfer)
        transfer->easy = curl_easy_init();
    if (transfer && transfer->easy)
        return transfer;
    free(transfer);
    return NULL;
}

static void transfer_give_back(struct post_client *client, struct transfer *transfer)
{
    curl_slist_free_all(transfer->fields);
    transfer->fields = NULL;
    if (client->idle_count == IDLE_HANDLES_MAX) {
        transfer_free(transfer);
        return;
    }
    curl_easy_reset(transfer->easy);
    transfer->next = client->idle;
    client->idle = transfer;
    client->idle_count++;
}

static bool field_add(struct transfer *transfer, const char *field)
{
    struct curl_slist *longer = curl_slist_append(transfer->fields, field);
    if (longer)
        transfer->fields = longer;
    return longer != NULL;
}

static bool fields_make(struct transfer *transfer, const struct post *post)
{
    assert(post->field_count <= POST_FIELDS_MAX);
    bool good = field_add(transfer, "Expect:");
    for (unsigned i = 0; i < post->field_count && good; i++)
        good = field_add(transfer, post->fields[i]);
    return good;
}

static void set_callbacks(CURL *easy, struct transfer *transfer)
{
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

static void set_rules(CURL *easy, const struct post_client *client, long timeout_ms)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     timeout_ms < CONNECT_MS_MAX ? timeout_ms : (long)CONNECT_MS_MAX);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Ringside");
    if (client->config.authorities[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->config.authorities);
}

/* Returns false when memory is out, or the URL is no string for libcurl. */
static bool transfer_set(struct transfer *transfer, const struct post *post, long timeout_ms)
{
    CURL *easy = transfer->easy;
    set_callbacks(easy, transfer);
    set_rules(easy, transfer->client, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body.ptr);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
    if (!fields_make(transfer, post))
        return false;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->fields);
    return curl_easy_setopt(easy, CURLOPT_URL, post->url) == CURLE_OK;
}

static void end(struct post_client *client, struct post *post, enum post_end why)
{
    post->end = why;
    count(&client->counters.ends[why], 1);
    post->ended(client->config.context, post);
}

static bool begin(struct post_client *client, struct post *post)
{
    struct transfer *transfer = transfer_take(client);
    int64_t left_ms = (post->until_ns - client->now_ns) / NS_PER_MS;
    if (!transfer)
        return false;
    *transfer = (struct transfer){.easy = transfer->easy, .client = client, .post = post};
    if (!transfer_set(transfer, post, left_ms > 1 ? (long)left_ms : 1L) ||
        curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK) {
        transfer_give_back(client, transfer);
        return false;
    }
    transfer->next = client->busy;
    if (client->busy)
        client->busy->previous = transfer;
    client->busy = transfer;
    client->busy_count++;
    count(&client->counters.posts, 1);
    count(&client->counters.sent_bytes, post->body.len);
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

static void finish(struct post_client *client, struct transfer *transfer, enum post_end why)
{
    struct post *post = transfer->post;
    long status = 0;
    curl_off_t after = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &after);
    post->status = (int)status;
    post->retry_after_s = after;
    curl_multi_remove_handle(client->multi, transfer->easy);
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
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        char *private = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct transfer *transfer = (struct transfer *)(void *)private;
        finish(client, transfer, end_of(transfer, code));
    }
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
    struct epoll_event events[EVENTS_MAX];
    int running;
    client->now_ns = now_ns;
    begin_waiting(client);
    int heard = epoll_wait(client->epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < heard; i++) {
        uint32_t is = events[i].events;
        int what = (is & EPOLLIN ? CURL_CSELECT_IN : 0) | (is & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (is & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(client->multi, events[i].data.fd, what, &running);
    }
    if (client->timer_ns <= now_ns) {
        client->timer_ns = INT64_MAX;
        curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
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
    return waits && client->look_ns < client->timer_ns ? client->look_ns : client->timer_ns;
}

void post_stop(struct post_client *client)
{
    while (client->busy)
        finish(client, client->busy, POST_STOPPED);
    while (client->first)
        end(client, pop(client), POST_STOPPED);
}

/* ---- URLs ---- */

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static bool port_is_good(const struct reach *reach, CURLU *parts)
{
    char *text = NULL;
    bool good = curl_url_get(parts, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                reach_allows_port(reach, (uint16_t)strtol(text, NULL, 10));
    curl_free(text);
    return good;
}

bool post_url_good(const struct reach *reach, const char *url)
{
    char *scheme = NULL, *host = NULL;
    if (strnlen(url, POST_URL_MAX + 1) > POST_URL_MAX || !is_printable(url))
        return false;
    CURLU *parts = curl_url();
    bool good =
        parts && curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && port_is_good(reach, parts);
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parts);
    return good;
}
