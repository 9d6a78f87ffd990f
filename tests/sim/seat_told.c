/* What clients with sessions are told, held against the ledger. */
#include "seat.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "client.h"
#include "wire/base64.h"

enum {
    NOT_ALLOWED = 103,
    LIMIT = 106,
    NOT_AVAILABLE = 108,
    EXPIRED = 109,
    GONE = 112,
};

#define seat_check(client, condition, format, ...)                                                 \
    sim_check((client)->sim, condition, "seat %u: " format, (client)->index, ##__VA_ARGS__)

/* ---- publications ---- */

/* Embedded JSON lies in the line as it was published. */
static uint64_t embedded(const struct client *client, unsigned channel, const json_t *data,
                         struct span line)
{
    static char payload[LEDGER_PAYLOAD_MAX];
    struct ledger *ledger = &client->sim->ledger;
    json_int_t id = json_integer_value(json_array_get(data, 0));
    seat_check(client, id > 0 && (uint64_t)id < ledger->count, "data of nobody");
    size_t len = ledger_payload(ledger, (uint64_t)id, payload);
    seat_check(client, memmem(line.ptr, line.len, payload, len), "message %" PRIu64 " was changed",
               (uint64_t)id);
    return ledger_identify(ledger, channel, payload, len);
}

static uint64_t identify(const struct client *client, unsigned channel, const json_t *data,
                         struct span line)
{
    static char bytes[LEDGER_PAYLOAD_MAX];
    struct ledger *ledger = &client->sim->ledger;
    const json_t *base64 = json_object_get(data, "base64");
    if (json_is_array(data))
        return embedded(client, channel, data, line);
    if (!base64)
        return ledger_identify(ledger, channel, json_string_value(data), json_string_length(data));
    int len = base64_decode(bytes, sizeof bytes,
                            span_of(json_string_value(base64), json_string_length(base64)));
    seat_check(client, len > 0, "base64 %d", len);
    return ledger_identify(ledger, channel, bytes, (size_t)len);
}

/* The next one behind the cursor. */
static void take(struct client *client, unsigned channel, const json_t *publication,
                 struct span line)
{
    struct sim *sim = client->sim;
    struct seat_channel *own = &client->seat.channels[channel];
    json_int_t offset = json_integer_value(json_object_get(publication, "offset"));
    seat_check(client, own->cursor.known && offset > 0, "channel %u: a publication at %" PRIu64,
               channel, (uint64_t)offset);
    uint64_t id = identify(client, channel, json_object_get(publication, "data"), line);
    ledger_take(&sim->ledger, &own->cursor, id, own->cursor.epoch, (uint64_t)offset, false);
    sim->stats.carried += client_shares(client);
    sim->stats.by_session++;
}

static unsigned channel_of(const struct client *client, const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "channel"));
    char own[32];
    for (unsigned channel = 0; name && channel < client->sim->channel_count; channel++) {
        client_channel_name(channel, own);
        if (strcmp(own, name) == 0)
            return channel;
    }
    sim_breach(client->sim, __FILE__, __LINE__, "seat %u: channel %s", client->index,
               name ? name : "none");
}

/* {"channel","pub"|"join"|"leave"|"unsubscribe"} */
static void told_push(struct client *client, const json_t *push, struct span line)
{
    unsigned channel = channel_of(client, push);
    struct seat_channel *own = &client->seat.channels[channel];
    seat_check(client, own->stage == SEAT_IN || own->stage == SEAT_LEAVING,
               "channel %u: a push without a subscription: %.*s", channel, (int)line.len, line.ptr);
    const json_t *publication = json_object_get(push, "pub");
    const json_t *end = json_object_get(push, "unsubscribe");
    if (publication)
        take(client, channel, publication, line);
    if (end)
        seat_check(client, json_integer_value(json_object_get(end, "code")) == 2501, "an end of %d",
                   (int)json_integer_value(json_object_get(end, "code")));
    if (end && own->stage == SEAT_IN)
        own->stage = SEAT_OUT;
    seat_check(client,
               publication || end || json_object_get(push, "join") ||
                   json_object_get(push, "leave"),
               "a push of nothing");
}

/* ---- results ---- */

static struct ledger_cursor position_of(unsigned channel, const json_t *result)
{
    const char *epoch = json_string_value(json_object_get(result, "epoch"));
    return (struct ledger_cursor){
        .channel = channel,
        .known = true,
        .epoch = epoch ? strtoull(epoch, NULL, 16) : 0,
        .offset = (uint64_t)json_integer_value(json_object_get(result, "offset")),
    };
}

static bool same(const struct ledger_cursor *a, const struct ledger_cursor *b)
{
    return a->epoch == b->epoch && a->offset == b->offset;
}

static void told_subscribe(struct client *client, const struct seat_command *asked,
                           const json_t *result, struct span line)
{
    struct sim *sim = client->sim;
    struct seat_channel *own = &client->seat.channels[asked->channel];
    const struct ledger_cursor at = position_of(asked->channel, result);
    bool recovered = json_is_true(json_object_get(result, "recovered"));
    const json_t *publications = json_object_get(result, "publications"), *publication;
    size_t index;
    /* Or it had been answered before the server heard that the client leaves. */
    seat_check(client, own->stage == SEAT_ASKED || own->stage == SEAT_LEAVING,
               "subscribed at stage %d", (int)own->stage);
    seat_check(client, asked->lie == LIE_NONE, "subscribed by a lie");
    seat_check(client, at.epoch != 0, "no epoch");
    seat_check(client,
               json_is_true(json_object_get(result, "was_recovering")) == asked->recover &&
                   (asked->recover || !recovered),
               "recovering, or not");
    if (own->stage == SEAT_ASKED)
        own->stage = SEAT_IN;
    if (recovered) {
        own->cursor = asked->from;
        json_array_foreach(publications, index, publication)
            take(client, asked->channel, publication, line);
        seat_check(client, same(&own->cursor, &at),
                   "recovered to %" PRIu64 ", and is told %" PRIu64, own->cursor.offset, at.offset);
        sim->stats.recovered++;
        return;
    }
    seat_check(client, json_array_size(publications) == 0, "publications of no recovery");
    seat_check(client, !asked->recover || !same(&asked->from, &at),
               "channel %u: has all, and is told that it has not", asked->channel);
    sim->stats.lost += asked->recover;
    own->cursor = at;
}

/* All neighbours, and each with the number that it has. */
static void told_history(struct client *client, const struct seat_command *asked,
                         const json_t *result, struct span line)
{
    struct ledger *ledger = &client->sim->ledger;
    const struct ledger_cursor top = position_of(asked->channel, result);
    const json_t *publications = json_object_get(result, "publications"), *publication;
    uint64_t before = 0;
    size_t index;
    json_array_foreach(publications, index, publication)
    {
        uint64_t offset = (uint64_t)json_integer_value(json_object_get(publication, "offset"));
        uint64_t id = identify(client, asked->channel, json_object_get(publication, "data"), line);
        ledger_learn(ledger, id, top.epoch, offset);
        uint64_t due = asked->reverse ? before - 1 : before + 1;
        seat_check(client, index == 0 || offset == due, "history: %" PRIu64 " behind %" PRIu64,
                   offset, before);
        seat_check(client, offset <= top.offset, "history: %" PRIu64 " of %" PRIu64, offset,
                   top.offset);
        before = offset;
    }
    uint64_t first =
        (uint64_t)json_integer_value(json_object_get(json_array_get(publications, 0), "offset"));
    seat_check(client,
               !asked->from.known || index == 0 ||
                   (asked->reverse ? first < asked->from.offset : first > asked->from.offset),
               "history: %" PRIu64 " since %" PRIu64, first, asked->from.offset);
}

/* Who is there is somebody, once. */
static void told_presence(const struct client *client, const json_t *result)
{
    json_t *present = json_object_get(result, "presence"), *who;
    const char *id;
    seat_check(client, json_is_object(present), "no presence");
    json_object_foreach(present, id, who)
    {
        const char *client_id = json_string_value(json_object_get(who, "client"));
        seat_check(client, client_id && strcmp(client_id, id) == 0, "%s is another", id);
        const char *user = json_string_value(json_object_get(who, "user"));
        seat_check(client, user && (!*user || *user == 'u'), "%s is %s", id, user ? user : "none");
    }
}

static void told_stats(const struct client *client, const json_t *result)
{
    json_int_t clients = json_integer_value(json_object_get(result, "num_clients"));
    json_int_t users = json_integer_value(json_object_get(result, "num_users"));
    seat_check(client, users <= clients && (users > 0) == (clients > 0), "%d users of %d clients",
               (int)users, (int)clients);
}

/* ---- replies ---- */

static bool may_fail(const struct client *client, const struct seat_command *asked, int code)
{
    const struct settings *settings = &client->sim->settings;
    enum seat_method method = asked->method;
    switch (code) {
    case 100:
    case 111:
        return method != SEAT_CONNECT && method != SEAT_UNSUBSCRIBE && method != SEAT_PING;
    case NOT_ALLOWED:
        return (method == SEAT_SUBSCRIBE && asked->lie != LIE_NONE) || method == SEAT_SUB_REFRESH ||
               (method == SEAT_PUBLISH && !settings->websocket_publish) || method == SEAT_HISTORY ||
               method == SEAT_PRESENCE || method == SEAT_PRESENCE_STATS;
    case LIMIT:
        return (method == SEAT_SUBSCRIBE &&
                client->sim->channel_count > settings->session_channels_max) ||
               method == SEAT_PRESENCE;
    case NOT_AVAILABLE:
        return (method == SEAT_PRESENCE || method == SEAT_PRESENCE_STATS) &&
               !settings->namespaces.list[0].presence;
    case EXPIRED: /* or it did on its way */
        return asked->expires_s > 0 && asked->expires_s <= sim_now(client->sim) / SIM_S;
    case GONE:
        return method == SEAT_HISTORY && asked->from.known;
    default:
        return false;
    }
}

static void told_error(struct client *client, const struct seat_command *asked, int code)
{
    struct seat_channel *own = &client->seat.channels[asked->channel];
    seat_check(client, may_fail(client, asked, code), "method %d fails: %d", (int)asked->method,
               code);
    if (asked->method == SEAT_SUBSCRIBE && own->stage == SEAT_ASKED)
        own->stage = SEAT_OUT;
    if (asked->method == SEAT_PUBLISH)
        ledger_refuse(&client->sim->ledger, asked->message);
    if (asked->method == SEAT_CONNECT)
        client->leaving = true;
    client->sim->stats.refused++;
}

/* What was asked of the channel before it is not answered any more. */
static void told_unsubscribe(struct client *client, const struct seat_command *asked)
{
    struct seat *seat = &client->seat;
    bool again = false;
    unsigned kept = 0;
    for (unsigned i = 0; i < seat->command_count; i++) {
        const struct seat_command *other = &seat->commands[i];
        bool subscribes = other->method == SEAT_SUBSCRIBE && other->channel == asked->channel;
        again |= subscribes && other->id > asked->id;
        if (!subscribes || other->id > asked->id)
            seat->commands[kept++] = *other;
    }
    seat->command_count = kept;
    seat->channels[asked->channel].stage = again ? SEAT_ASKED : SEAT_OUT;
}

static void told_result(struct client *client, const struct seat_command *asked,
                        const json_t *reply, struct span line)
{
    const json_t *result = NULL;
    switch (asked->method) {
    case SEAT_CONNECT:
        result = json_object_get(reply, "connect");
        seat_check(client, asked->lie == LIE_NONE, "connected by a lie");
        client->seat.connected = true;
        break;
    case SEAT_SUBSCRIBE:
        told_subscribe(client, asked, result = json_object_get(reply, "subscribe"), line);
        break;
    case SEAT_UNSUBSCRIBE:
        told_unsubscribe(client, asked);
        result = json_object_get(reply, "unsubscribe");
        break;
    case SEAT_PUBLISH:
        result = json_object_get(reply, "publish");
        break;
    case SEAT_HISTORY:
        told_history(client, asked, result = json_object_get(reply, "history"), line);
        break;
    case SEAT_PRESENCE:
        told_presence(client, result = json_object_get(reply, "presence"));
        break;
    case SEAT_PRESENCE_STATS:
        told_stats(client, result = json_object_get(reply, "presence_stats"));
        break;
    case SEAT_REFRESH:
        seat_check(client, asked->lie == LIE_NONE, "refreshed by a lie");
        result = json_object_get(reply, "refresh");
        break;
    case SEAT_SUB_REFRESH:
        seat_check(client, asked->lie == LIE_NONE, "refreshed a subscription by a lie");
        result = json_object_get(reply, "sub_refresh");
        break;
    case SEAT_PING:
        result = json_object_get(reply, "ping");
        break;
    }
    seat_check(client, json_is_object(result), "method %d is answered %.*s", (int)asked->method,
               (int)line.len, line.ptr);
}

static void told_reply(struct client *client, const json_t *reply, struct span line)
{
    struct seat *seat = &client->seat;
    json_int_t id = json_integer_value(json_object_get(reply, "id"));
    const json_t *error = json_object_get(reply, "error");
    unsigned at = 0;
    while (at < seat->command_count && seat->commands[at].id != id)
        at++;
    seat_check(client, at < seat->command_count, "a reply to nothing: %.*s", (int)line.len,
               line.ptr);
    struct seat_command asked = seat->commands[at];
    seat->command_count--;
    memmove(&seat->commands[at], &seat->commands[at + 1],
            (seat->command_count - at) * sizeof seat->commands[0]);
    if (error)
        told_error(client, &asked, (int)json_integer_value(json_object_get(error, "code")));
    else
        told_result(client, &asked, reply, line);
}

void seat_told(struct client *client, struct span frame)
{
    while (frame.len > 0) {
        const char *feed = memchr(frame.ptr, '\n', frame.len);
        struct span line = span_of(frame.ptr, feed ? (size_t)(feed - frame.ptr) : frame.len);
        frame = span_skip(frame, line.len + (feed != NULL));
        json_error_t error;
        json_t *json =
            json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        seat_check(client, json, "not JSON: %s: %.*s", error.text, (int)line.len, line.ptr);
        const json_t *push = json_object_get(json, "push");
        if (push)
            told_push(client, push, line);
        else if (json_object_size(json) == 0)
            client_frame(client, WS_TEXT, SPAN("{}"));
        else
            told_reply(client, json, line);
        json_decref(json);
    }
}

/* ---- ends ---- */

static bool lied(const struct seat *seat, bool connects)
{
    for (unsigned i = 0; i < seat->command_count; i++) {
        enum seat_method method = seat->commands[i].method;
        if (seat->commands[i].lie != LIE_NONE &&
            (method == SEAT_REFRESH || (connects && method == SEAT_CONNECT)))
            return true;
    }
    return false;
}

void seat_closed(const struct client *client, unsigned code)
{
    const struct seat *seat = &client->seat;
    bool mine = client->role == ROLE_NUISANCE || client->close_seen;
    seat_check(client, code != 3500 || lied(seat, true), "an honest token is refused");
    seat_check(client, code != 3501 || mine || client->leaving, "a bad request of mine");
    seat_check(client, code != 3502 || !seat->connected, "stale, and had connected");
    seat_check(client, code != 3503 && code != 3506, "closed with %u", code);
}

bool seat_has_everything(const struct sim *sim, const struct client *client, char why[80])
{
    const struct seat *seat = &client->seat;
    if (client->leaving || client->close_seen || seat->mute) {
        snprintf(why, 80, "said goodbye, and never got to the end");
        return false;
    }
    if (seat->command_count > 0) {
        snprintf(why, 80, "was never answered method %d", (int)seat->commands[0].method);
        return false;
    }
    for (unsigned i = 0; i < sim->channel_count; i++) {
        const struct seat_channel *own = &seat->channels[i];
        uint64_t last = sim->ledger.newest[i];
        if (own->stage == SEAT_IN && last >= sim->herald_first &&
            !ledger_behind(&sim->ledger, &own->cursor, last)) {
            snprintf(why, 80, "never got message %" PRIu64 " of channel %u", last, i);
            return false;
        }
    }
    return true;
}
