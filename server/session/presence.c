#include "session/presence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "hub/hub.h"
#include "hub/table.h"
#include "broker/nodes.h"
#include "session/presence_home.h"
#include "session/presence_nodes.h"
#include "session/session_internal.h"

/* ---- join and leave, on their way ---- */

struct news {
    struct call call;
    bool join;
    int64_t lasts_ns;
    uint8_t name_len;
    uint16_t user_len, info_len;
    char text[]; /* name, client, user, info */
};

static void news_drop(struct call *call)
{
    free(call);
}

/* Subscribers are told by a message that has no place of its own. */
static void told(void *context, struct span channel, bool join, struct span who)
{
    struct shard *shard = context;
    session_event(shard, join ? EVENT_JOINED : EVENT_LEFT, channel, who);
    if (!namespace_of(&shard->settings->namespaces, channel)->join_leave)
        return;
    uint64_t hash = hub_hash(shard->server->hubs, channel.ptr, channel.len);
    struct message *message =
        message_create(channel.ptr, channel.len, hash, who.ptr, who.len, true);
    if (message)
        message->kind = join ? MESSAGE_JOIN : MESSAGE_LEAVE;
    if (message && hub_publish(shard->hub, NULL, message) == 0)
        return;
    message_unref(message);
    counter_add(&shard->counters.presence_lost, 1);
}

static int add(struct shard *shard, struct span name, const struct presence_member *member)
{
    if (!shard->presence)
        shard->presence = presence_home_create(
            told, shard, (uint64_t)shard->settings->presence_total_bytes_max, shard->now_ns);
    return shard->presence ? presence_home_add(shard->presence, name, member, shard->now_ns)
                           : -ENOMEM;
}

/* Somebody new for whom there is no room is not there for those who ask. */
static void came_to_home(struct shard *shard, struct span name,
                         const struct presence_member *member)
{
    int err = add(shard, name, member);
    if (err == -ENOBUFS)
        counter_add(&shard->counters.presence_full, 1);
    else if (err < 0)
        counter_add(&shard->counters.presence_lost, 1);
}

static void news_run(void *target, struct call *call)
{
    struct shard *shard = target;
    struct news *news = (struct news *)call;
    const char *at = news->text + news->name_len;
    const struct presence_member member = {
        .client = {at, SESSION_ID_LEN},
        .user = {at + SESSION_ID_LEN, news->user_len},
        .info = {at + SESSION_ID_LEN + news->user_len, news->info_len},
        .until_ns = shard->now_ns + news->lasts_ns,
    };
    struct span name = {news->text, news->name_len};
    if (news->join)
        came_to_home(shard, name, &member);
    else
        presence_home_remove(shard->presence, name, member.client);
    counter_set(&shard->counters.presence_bytes, presence_home_bytes(shard->presence));
    free(news);
}

static const struct call_ops news_ops = {.run = news_run, .drop = news_drop};

static unsigned home_shard(const struct shard *shard, struct span channel)
{
    return home_of(hub_hash(shard->server->hubs, channel.ptr, channel.len),
                   shard->server->shard_count);
}

static int64_t lasts_ns(const struct shard *shard, const struct namespace *namespace)
{
    int64_t beats_ms = 3 * shard->settings->heartbeat_ms;
    int64_t age_ms = namespace->presence_age_ms;
    return (age_ms > beats_ms ? age_ms : beats_ms) * 1000000;
}

static void tell(struct shard *shard, const struct conn *conn, struct span channel, bool join)
{
    const struct namespace *namespace = namespace_of(&shard->settings->namespaces, channel);
    const struct session *session = session_of(shard, conn);
    if (!namespace->presence && !namespace->join_leave)
        return;
    struct span user = person_user(session), info = person_info(session);
    struct news *news = malloc(sizeof *news + channel.len + SESSION_ID_LEN + user.len + info.len);
    if (news) {
        *news = (struct news){.call.ops = &news_ops,
                              .join = join,
                              .lasts_ns = lasts_ns(shard, namespace),
                              .name_len = (uint8_t)channel.len,
                              .user_len = (uint16_t)user.len,
                              .info_len = (uint16_t)info.len};
        char *at = news->text;
        memcpy(at, channel.ptr, channel.len);
        at += channel.len;
        session_id_write(shard, conn, at);
        struct out out = out_begin(at + SESSION_ID_LEN, user.len + info.len);
        out_span(&out, user);
        out_span(&out, info);
    }
    if (news && hub_call(shard->hub, home_shard(shard, channel), &news->call) == 0)
        return;
    free(news);
    counter_add(&shard->counters.presence_lost, 1);
}

void presence_join(struct shard *shard, const struct conn *conn, struct span channel)
{
    tell(shard, conn, channel, true);
}

void presence_leave(struct shard *shard, const struct conn *conn, struct span channel)
{
    tell(shard, conn, channel, false);
}

static void tell_all(struct shard *shard, const struct conn *conn, bool join)
{
    uint32_t at = session_of(shard, conn)->channels;
    for (; at != HUB_NONE; at = hub_next_of(shard->hub, at)) {
        struct span name;
        uint64_t epoch, offset;
        name.ptr = hub_name_of(shard->hub, at, &name.len);
        /* One that has not been answered yet has not come. */
        if (!join || hub_position(shard->hub, at, &epoch, &offset))
            tell(shard, conn, name, join);
    }
}

void presence_refresh(struct shard *shard, const struct conn *conn)
{
    tell_all(shard, conn, true);
}

void presence_leave_all(struct shard *shard, const struct conn *conn)
{
    tell_all(shard, conn, false);
}

/* ---- questions ---- */

struct question {
    struct call call;
    presence_answered *answered;
    struct nodes_heard *heard; /* another node asks; NULL: a client here */
    struct presence_answer answer;
    char *list;
    uint8_t name_len;
    char name[];
};

static void question_free(struct question *question)
{
    nodes_heard_free(question->heard);
    free(question->list);
    free(question);
}

static void question_drop(struct call *call)
{
    question_free((struct question *)call);
}

static int list_make(struct shard *shard, struct question *question, struct span name)
{
    size_t room = presence_home_room(shard->presence, name);
    if (room > (size_t)shard->settings->queue_bytes_max)
        return -E2BIG;
    if (!presence_home_has_time(shard->presence, room, shard->now_ns))
        return -EBUSY;
    question->list = malloc(room + 1);
    if (!question->list)
        return -ENOMEM;
    struct out out = out_begin(question->list, room + 1);
    if (question->answer.stats)
        presence_home_write_users(shard->presence, name, shard->now_ns, &out);
    else
        presence_home_write(shard->presence, name, shard->now_ns, &out);
    question->answer.list = span_of(question->list, (size_t)out_end(&out));
    return 0;
}

static void question_run(void *target, struct call *call)
{
    struct shard *shard = target;
    struct question *question = (struct question *)call;
    struct presence_answer *answer = &question->answer;
    struct span name = {question->name, question->name_len};
    if (answer->stats)
        presence_home_count(shard->presence, name, shard->now_ns, &answer->clients, &answer->users);
    if (!answer->stats || shard->server->broker)
        answer->err = list_make(shard, question, name);
    hub_answer(shard->hub, call);
}

/* Its asker hears all. */
static void question_answer(struct shard *shard, struct question *question)
{
    const struct ticket ticket = question->call.ticket;
    struct conn *conn = conn_of_ticket(shard, &ticket);
    if (conn)
        question->answered(shard, conn, &ticket, &question->answer);
    question_free(question);
}

/* Those that are silent are taken to have nobody: who is there may have gone with them. */
static void nodes_told(void *context, struct nodes_ask *ask)
{
    struct question *question = ask->context;
    int err = ask->call.err;
    if (err != -ENOTCONN && err != -ENOBUFS)
        err = presence_nodes_add(&question->answer, &question->list, ask);
    question->answer.err = err;
    nodes_ask_free(ask);
    question_answer(context, question);
}

static void nodes_untold(void *context)
{
    question_free(context);
}

/* Returns false when nobody else could be asked. */
static bool ask_nodes(struct shard *shard, struct question *question)
{
    enum nodes_kind kind = question->answer.stats ? NODES_PRESENCE_STATS : NODES_PRESENCE;
    struct span name = {question->name, question->name_len};
    struct nodes_ask *ask = nodes_ask_create(kind, 0, name);
    if (!ask)
        return false;
    ask->context = question;
    ask->done = nodes_told;
    ask->drop = nodes_untold;
    if (nodes_send(shard->hub, shard->server->hubs, ask) == 0)
        return true;
    nodes_ask_free(ask);
    return false;
}

static void reply(struct shard *shard, struct question *question)
{
    struct nodes_heard *heard = question->heard;
    size_t len = 0;
    int err = question->answer.err;
    char *text = err == 0 ? presence_nodes_text(&question->answer, &len) : NULL;
    question->heard = NULL;
    nodes_reply(shard->hub, heard, err < 0 ? err : text ? 0 : -ENOMEM, span_of(text, len));
    free(text);
    question_free(question);
}

static void question_done(void *asker, struct call *call)
{
    struct shard *shard = asker;
    struct question *question = (struct question *)call;
    struct presence_answer *answer = &question->answer;
    if (question->heard) {
        reply(shard, question);
        return;
    }
    if (!shard->server->broker || answer->err < 0) {
        question_answer(shard, question);
        return;
    }
    if (ask_nodes(shard, question))
        return;
    answer->err = -ENOBUFS;
    question_answer(shard, question);
}

static const struct call_ops question_ops = {
    .run = question_run, .done = question_done, .drop = question_drop};

static struct question *question_create(struct span channel, bool stats)
{
    struct question *question = malloc(sizeof *question + channel.len);
    if (!question)
        return NULL;
    *question = (struct question){
        .call.ops = &question_ops, .answer.stats = stats, .name_len = (uint8_t)channel.len};
    memcpy(question->name, channel.ptr, channel.len);
    return question;
}

int presence_ask(struct shard *shard, const struct ticket *ticket, struct span channel, bool stats,
                 presence_answered *answered)
{
    struct question *question = question_create(channel, stats);
    if (!question)
        return -ENOMEM;
    question->call.ticket = *ticket;
    question->answered = answered;
    int err = hub_call(shard->hub, home_shard(shard, channel), &question->call);
    if (err < 0)
        free(question);
    return err;
}

void presence_heard(struct shard *shard, struct nodes_heard *heard)
{
    struct span channel = {heard->text, heard->len};
    bool valid = hub_name_valid(channel.ptr, channel.len);
    struct question *question =
        valid ? question_create(channel, heard->kind == NODES_PRESENCE_STATS) : NULL;
    int err = !valid ? -ENOENT : question ? 0 : -ENOMEM;
    if (err == 0)
        err = hub_call(shard->hub, home_shard(shard, channel), &question->call);
    if (err == 0) {
        question->heard = heard;
        return;
    }
    free(question);
    nodes_reply(shard->hub, heard, err, (struct span){0});
}

/* ---- results ---- */

enum {
    AROUND_MAX = 80,
};

size_t presence_result_room(const struct presence_answer *answer)
{
    return AROUND_MAX + answer->list.len;
}

void presence_result_write(struct out *out, const struct presence_answer *answer)
{
    if (!answer->stats) {
        out_text(out, "{\"presence\":{");
        out_span(out, answer->list);
        out_text(out, "}}");
        return;
    }
    out_text(out, "{\"num_clients\":");
    out_decimal(out, answer->clients);
    out_text(out, ",\"num_users\":");
    out_decimal(out, answer->users);
    out_text(out, "}");
}

void presence_end(struct shard *shard)
{
    presence_home_free(shard->presence);
    shard->presence = NULL;
}
