#include "session/asking.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/sign_on.h"
#include "session/channel_name.h"

enum {
    REFRESH_S = 120, /* longer than proxy_timeout_ms can be */
};
#define TYPE_FIELD "Content-Type: application/json"

/* An application, as one shard knows it: for each of what it is asked about. */
struct backend {
    unsigned waiting;
    unsigned failures; /* in a row */
    int64_t pause_ns;  /* with ASKING_FAILURES: until then nobody is asked */
};

struct askings {
    struct backend backends[APPLICATION_HOOK_COUNT];
    uint64_t bytes;
};

/* What an application has for a subscription that is not answered yet. */
struct given {
    struct given *next;
    uint32_t subscription;
    size_t len;
    char data[];
};

/* Of a session: its asks, and the fields of its request, each ended by a zero. */
struct asking {
    struct ask *first;
    struct given *given;
    unsigned count;
    unsigned field_count;
    char fields[];
};

static const char *endpoint_of(const struct settings *settings, enum application_hook hook)
{
    switch (hook) {
    case APPLICATION_CONNECT:
        return settings->proxy_connect_endpoint;
    case APPLICATION_REFRESH:
        return settings->proxy_refresh_endpoint;
    case APPLICATION_SUBSCRIBE:
        return settings->proxy_subscribe_endpoint;
    case APPLICATION_PUBLISH:
        return settings->proxy_publish_endpoint;
    case APPLICATION_SUB_REFRESH:
        return settings->proxy_sub_refresh_endpoint;
    case APPLICATION_RPC:
        return settings->proxy_rpc_endpoint;
    case APPLICATION_HOOK_COUNT:
        break;
    }
    return "";
}

bool asking_wanted(const struct shard *shard, enum application_hook hook)
{
    return endpoint_of(shard->settings, hook)[0] != '\0';
}

/* ---- what is passed on of the head ---- */

static bool is_passed_on(const char *list, struct span name)
{
    for (const char *at = list + strspn(list, " "); *at != '\0'; at += strspn(at, " ")) {
        struct span item = {at, strcspn(at, " ")};
        if (span_equal_nocase(item, name))
            return true;
        at += item.len;
    }
    return false;
}

/* Whether every server would read it alike. */
static bool is_plain(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < ' ' || value.ptr[i] > '~')
            return false;
    return true;
}

/* Returns how many bytes they take, or negative errno. */
static int fields_size(const char *list, const struct http_fields *fields)
{
    size_t size = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        if (!is_passed_on(list, field->name))
            continue;
        if (!is_plain(field->value))
            return -EINVAL;
        if (++count > ASKING_FIELDS_MAX)
            return -E2BIG;
        size += field->name.len + sizeof ": " + field->value.len;
    }
    return (int)size;
}

static void fields_copy(struct asking *asking, size_t size, const char *list,
                        const struct http_fields *fields)
{
    struct out out = out_begin(asking->fields, size);
    for (unsigned i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        if (!is_passed_on(list, field->name))
            continue;
        out_span(&out, field->name);
        out_text(&out, ": ");
        out_span(&out, field->value);
        out_span(&out, span_of("", 1));
        asking->field_count++;
    }
}

static struct asking *asking_create(size_t fields_size)
{
    struct asking *asking = malloc(sizeof *asking + fields_size);
    if (asking)
        *asking = (struct asking){0};
    return asking;
}

int asking_begin(struct asking **ret, const struct settings *settings,
                 const struct http_request *request)
{
    const char *list = settings->proxy_http_headers;
    *ret = NULL;
    int size = fields_size(list, &request->fields);
    if (size <= 0)
        return size;
    struct asking *asking = asking_create((size_t)size);
    if (!asking)
        return -ENOMEM;
    fields_copy(asking, (size_t)size, list, &request->fields);
    *ret = asking;
    return 0;
}

static void ask_free(struct ask *ask)
{
    post_clear(&ask->asked.post);
    free(ask);
}

static void gauges_set(struct shard *shard)
{
    const struct askings *askings = shard->askings;
    uint64_t waiting = 0;
    for (unsigned i = 0; i < APPLICATION_HOOK_COUNT; i++)
        waiting += askings->backends[i].waiting;
    counter_set(&shard->counters.proxy_waiting, waiting);
    counter_set(&shard->counters.proxy_bytes, askings->bytes);
}

/* Nobody waits for it any more. */
static void ask_settle(struct shard *shard, const struct ask *ask)
{
    shard->askings->backends[ask->hook].waiting--;
    shard->askings->bytes -= ask->bytes;
    gauges_set(shard);
}

/* What is with the courier comes back, and finds nobody. */
static void asks_forget(struct shard *shard, struct asking *asking)
{
    for (struct ask *ask = asking->first, *next; ask; ask = next) {
        next = ask->next;
        if (ask->sent)
            continue;
        ask_settle(shard, ask);
        ask_free(ask);
    }
}

void asking_end(struct shard *shard, struct asking *asking)
{
    if (asking)
        asks_forget(shard, asking);
    while (asking && asking->given) {
        struct given *given = asking->given;
        asking->given = given->next;
        free(given);
    }
    free(asking);
}

/* ---- what it has for a subscription ---- */

int asking_data_keep(struct session *session, uint32_t subscription, struct span data)
{
    struct given *given = malloc(sizeof *given + data.len);
    if (!given)
        return -ENOMEM;
    *given = (struct given){session->asking->given, subscription, data.len};
    memcpy(given->data, data.ptr, data.len);
    session->asking->given = given;
    return 0;
}

static struct given **given_of(struct asking *asking, uint32_t subscription)
{
    struct given **link = &asking->given;
    while (*link && (*link)->subscription != subscription)
        link = &(*link)->next;
    return link;
}

struct span asking_data_of(const struct session *session, uint32_t subscription)
{
    const struct given *given = session->asking ? *given_of(session->asking, subscription) : NULL;
    return given ? span_of(given->data, given->len) : (struct span){0};
}

void asking_data_forget(struct session *session, uint32_t subscription)
{
    struct given **link = session->asking ? given_of(session->asking, subscription) : NULL;
    struct given *given = link ? *link : NULL;
    if (given)
        *link = given->next;
    free(given);
}

/* ---- an ask ---- */

static struct span transport_of(const struct conn *conn)
{
    bool one_way = conn->role & ROLE_ONE_WAY;
    if (conn->transport == TRANSPORT_SESSION)
        return one_way ? SPAN("uni_websocket") : SPAN("websocket");
    if (conn->transport == TRANSPORT_SESSION_LINES)
        return one_way ? SPAN("uni_http_stream") : SPAN("http_stream");
    return one_way ? SPAN("uni_sse") : SPAN("sse");
}

static void keep(struct out *out, struct span *span)
{
    const char *at = out->at;
    out_span(out, *span);
    span->ptr = at;
}

static size_t kept_size(const struct centrifuge_command *command)
{
    return command->channel.len + command->epoch.len + command->delta.len + command->subs.len +
           command->data.len;
}

/* What its verdict needs of a command, whose bytes are gone by then. */
static void command_keep(struct ask *ask, struct out *out, const struct centrifuge_command *command)
{
    ask->command = (struct centrifuge_command){.id = command->id,
                                               .method = command->method,
                                               .recover = command->recover,
                                               .offset = command->offset,
                                               .channel = command->channel,
                                               .epoch = command->epoch,
                                               .delta = command->delta,
                                               .subs = command->subs,
                                               .data = command->data};
    keep(out, &ask->command.channel);
    keep(out, &ask->command.epoch);
    keep(out, &ask->command.delta);
    keep(out, &ask->command.subs);
    keep(out, &ask->command.data);
}

static struct application_question question_of(const struct shard *shard, const struct conn *conn,
                                               enum application_hook hook,
                                               const struct centrifuge_command *command,
                                               char id[SESSION_ID_LEN])
{
    const struct session *session = session_of(shard, conn);
    session_id_write(shard, conn, id);
    return (struct application_question){
        .client = span_of(id, SESSION_ID_LEN),
        .transport = transport_of(conn),
        .has_user = hook != APPLICATION_CONNECT,
        .user = person_user(session),
        .meta = person_meta(session),
        .channel = command->channel,
        .data = command->data,
        .name = command->app_name,
        .version = command->app_version,
        .method = command->rpc_method,
    };
}

/* The text begins with them. */
static void fields_of(struct ask *ask, unsigned count)
{
    const char *at = ask->text;
    ask->fields[0] = TYPE_FIELD;
    for (unsigned i = 0; i < count; i++) {
        ask->fields[1 + i] = at;
        at += strlen(at) + 1;
    }
    ask->asked.post.fields = ask->fields;
    ask->asked.post.field_count = 1 + count;
}

/* Fields are copied, too: the session may end before the courier has sent them. */
static size_t fields_bytes(const struct asking *asking)
{
    const char *at = asking->fields;
    for (unsigned i = 0; i < asking->field_count; i++)
        at += strlen(at) + 1;
    return (size_t)(at - asking->fields);
}

static struct ask *ask_create(const struct shard *shard, const struct conn *conn,
                              enum application_hook hook, const struct centrifuge_command *command)
{
    const struct asking *asking = session_of(shard, conn)->asking;
    char id[SESSION_ID_LEN];
    const struct application_question question = question_of(shard, conn, hook, command, id);
    size_t fields = fields_bytes(asking);
    size_t room = fields + kept_size(command) + application_question_size(&question);
    struct ask *ask = malloc(sizeof *ask + room);
    if (!ask)
        return NULL;
    *ask = (struct ask){.hook = hook, .bytes = sizeof *ask + room};
    struct out out = out_begin(ask->text, room);
    out_span(&out, span_of(asking->fields, fields));
    command_keep(ask, &out, command);
    const char *body = out.at;
    application_question_write(&out, &question);
    ask->asked.post.body = span_of(body, (size_t)(out.at - body));
    assert(!out.overflow);
    return ask;
}

/* ---- asked, and answered ---- */

static struct askings *askings_of(struct shard *shard)
{
    if (!shard->askings)
        shard->askings = calloc(1, sizeof *shard->askings);
    return shard->askings;
}

void askings_end(struct shard *shard)
{
    free(shard->askings);
    shard->askings = NULL;
}

static void unlink_of(struct asking *asking, const struct ask *ask)
{
    struct ask **link = &asking->first;
    while (*link && *link != ask)
        link = &(*link)->next;
    if (!*link)
        return;
    *link = ask->next;
    asking->count--;
}

/* Whatever an application answers, it is there. */
static void backend_note(struct shard *shard, struct backend *backend, enum post_end end)
{
    if (end == POST_ANSWERED)
        backend->failures = 0;
    else if (end != POST_STOPPED && end != POST_MEMORY)
        backend->failures++;
    if (backend->failures >= ASKING_FAILURES)
        backend->pause_ns = shard->now_ns + ASKING_PAUSE_MS * INT64_C(1000000);
}

static bool verdict_of(struct verdict *ret, const struct post *post)
{
    return post->end == POST_ANSWERED && post->status == 200 &&
           verdict_read(ret, span_of(post->answer, post->answer_len)) == 0;
}

static void answered(struct shard *shard, struct conn *conn, const struct ask *ask)
{
    struct verdict verdict;
    unlink_of(session_of(shard, conn)->asking, ask);
    if (verdict_of(&verdict, &ask->asked.post))
        verdict_give(shard, conn, ask, &verdict);
    else
        verdict_missing(shard, conn, ask);
}

static void next_send(struct shard *shard, struct conn *conn);

static void ask_done(void *asker, struct call *call)
{
    struct shard *shard = asker;
    struct ask *ask = (struct ask *)call;
    struct conn *conn = conn_of_ticket(shard, &call->ticket);
    struct verdict verdict;
    backend_note(shard, &shard->askings->backends[ask->hook], ask->asked.post.end);
    ask_settle(shard, ask);
    if (!verdict_of(&verdict, &ask->asked.post))
        counter_add(&shard->counters.proxy_failed, 1);
    if (conn && conn->role & ROLE_SESSION)
        answered(shard, conn, ask);
    ask_free(ask);
    if (conn)
        next_send(shard, conn);
}

static void ask_drop(struct call *call)
{
    ask_free((struct ask *)call);
}

static const struct call_ops ask_ops = {.run = courier_run, .done = ask_done, .drop = ask_drop};

/* Whether somebody may be asked now. Of those whose application is not there one is let through in
 * a while. */
static bool is_paused(const struct shard *shard, struct backend *backend)
{
    if (backend->failures < ASKING_FAILURES)
        return false;
    if (shard->now_ns < backend->pause_ns)
        return true;
    backend->pause_ns = shard->now_ns + ASKING_PAUSE_MS * INT64_C(1000000);
    return false;
}

/* Whether there is room for one more. */
static bool has_room(const struct shard *shard, const struct asking *asking,
                     const struct backend *backend, size_t bytes)
{
    const struct settings *settings = shard->settings;
    return asking->count < ASKS_MAX && backend->waiting < (uint64_t)settings->proxy_waiting_max &&
           shard->askings->bytes + bytes <= (uint64_t)settings->proxy_total_bytes_max;
}

static int refused(struct shard *shard, enum centrifuge_error error)
{
    counter_add(&shard->counters.proxy_refused, 1);
    return -1 - (int)error;
}

/* What a client publishes, and calls, its application hears in that order: one is asked when the
 * one before is answered. */
static bool is_ordered(const struct ask *ask)
{
    return ask->hook == APPLICATION_PUBLISH || ask->hook == APPLICATION_RPC;
}

static struct ask *first_ordered(const struct asking *asking)
{
    struct ask *ask = asking->first;
    while (ask && !is_ordered(ask))
        ask = ask->next;
    return ask;
}

/* Returns 0 or -ENOBUFS. */
static int ask_send(struct shard *shard, struct ask *ask)
{
    const struct courier *courier = shard->server->couriers[COURIER_HOOKS];
    ask->sent = courier_ask(courier, shard->hub, &ask->asked) == 0;
    counter_add(&shard->counters.proxy_asked, ask->sent);
    return ask->sent ? 0 : -ENOBUFS;
}

/* Those that cannot be asked are answered for. */
static void next_send(struct shard *shard, struct conn *conn)
{
    while (conn->state == CONN_OPEN && conn->role & ROLE_SESSION) {
        struct asking *asking = session_of(shard, conn)->asking;
        struct ask *ask = first_ordered(asking);
        if (!ask || ask->sent)
            return;
        if (!is_paused(shard, &shard->askings->backends[ask->hook]) && ask_send(shard, ask) == 0)
            return;
        counter_add(&shard->counters.proxy_refused, 1);
        unlink_of(asking, ask);
        ask_settle(shard, ask);
        verdict_missing(shard, conn, ask);
        ask_free(ask);
    }
}

static void ask_prepare(const struct shard *shard, const struct conn *conn, struct ask *ask)
{
    struct post *post = &ask->asked.post;
    ask->asked.call.ops = &ask_ops;
    ask->asked.call.ticket = conn_ticket(shard, conn, ask->command.id);
    post->url = endpoint_of(shard->settings, ask->hook);
    post->timeout_ms = shard->settings->proxy_timeout_ms;
    post->answer_max = (size_t)shard->settings->proxy_answer_bytes_max;
    fields_of(ask, session_of(shard, conn)->asking->field_count);
}

static int ask_begin(struct shard *shard, struct conn *conn, struct ask *ask)
{
    struct asking *asking = session_of(shard, conn)->asking;
    struct backend *backend = &shard->askings->backends[ask->hook];
    bool waits = is_ordered(ask) && first_ordered(asking);
    if (!has_room(shard, asking, backend, ask->bytes))
        return refused(shard, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
    ask_prepare(shard, conn, ask);
    if (!waits && ask_send(shard, ask) < 0)
        return refused(shard, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
    struct ask **link = &asking->first;
    while (*link)
        link = &(*link)->next;
    *link = ask;
    asking->count++;
    backend->waiting++;
    shard->askings->bytes += ask->bytes;
    gauges_set(shard);
    return 0;
}

int asking_ask(struct shard *shard, struct conn *conn, enum application_hook hook,
               const struct centrifuge_command *command)
{
    struct session *session = session_of(shard, conn);
    struct askings *askings = askings_of(shard);
    if (!session->asking)
        session->asking = asking_create(0);
    if (!askings || !session->asking || is_paused(shard, &askings->backends[hook]))
        return refused(shard, CENTRIFUGE_ERROR_INTERNAL);
    struct ask *ask = ask_create(shard, conn, hook, command);
    if (!ask)
        return refused(shard, CENTRIFUGE_ERROR_INTERNAL);
    int err = ask_begin(shard, conn, ask);
    if (err < 0)
        free(ask);
    return err;
}

void asking_take_back(struct shard *shard, const struct conn *conn, struct span channel)
{
    const struct asking *asking = session_of(shard, conn)->asking;
    for (struct ask *ask = asking ? asking->first : NULL; ask; ask = ask->next) {
        struct channel_name name;
        if (ask->hook == APPLICATION_SUBSCRIBE && channel_name_read(&name, ask->command.channel) &&
            span_equal(name.span, channel))
            ask->taken_back = true;
    }
}

/* ---- a connection whose time is over ---- */

/* It goes on until its application has said whether; one that cannot be asked now, later. */
void session_signed_off(struct shard *shard, struct conn *conn, enum close_reason reason)
{
    const struct centrifuge_command command = {0};
    bool asks = reason == CLOSE_TOKEN_EXPIRED && asking_wanted(shard, APPLICATION_REFRESH) &&
                conn->role & ROLE_SESSION && /* it may be saying goodbye */
                session_of(shard, conn)->state == SESSION_CONNECTED;
    int64_t now_s = shard_unix_s(shard);
    if (!asks) {
        session_fail(shard, conn, reason);
        return;
    }
    conn_sign_on_again(shard, conn, now_s + REFRESH_S, now_s);
    (void)asking_ask(shard, conn, APPLICATION_REFRESH, &command);
}
