/* What clients with sessions ask for. */
#include "seat.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "auth/jwt.h"
#include "client.h"
#include "wire/json_out.h"

enum {
    FRAME_MAX = 8 * LEDGER_PAYLOAD_MAX,
    EXPIRES_S_MAX = 60,
};

static const char secret[] = "what all tokens of this world are signed with";
static const char other_secret[] = "what somebody else's tokens are signed with";

void seat_key_publish(void)
{
    int err = setenv("RINGSIDE_SIM_KEY", secret, 1);
    assert(err == 0);
}

/* ---- a frame that is being written ---- */

struct text {
    char bytes[FRAME_MAX];
    size_t len;
};

static struct text frame;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(frame.bytes + frame.len, sizeof frame.bytes - frame.len, format, arguments);
    va_end(arguments);
    assert(len >= 0 && (size_t)len < sizeof frame.bytes - frame.len);
    frame.len += (size_t)len;
}

/* Begins a line with a command that waits for its reply. */
static struct seat_command *command(struct client *client, enum seat_method method,
                                    unsigned channel)
{
    static const char *const names[] = {
        [SEAT_CONNECT] = "connect",
        [SEAT_SUBSCRIBE] = "subscribe",
        [SEAT_UNSUBSCRIBE] = "unsubscribe",
        [SEAT_PUBLISH] = "publish",
        [SEAT_HISTORY] = "history",
        [SEAT_PRESENCE] = "presence",
        [SEAT_REFRESH] = "refresh",
        [SEAT_PRESENCE_STATS] = "presence_stats",
        [SEAT_PING] = "ping",
        [SEAT_SUB_REFRESH] = "sub_refresh",
    };
    struct seat *seat = &client->seat;
    assert(seat->command_count < SEAT_COMMANDS_MAX);
    struct seat_command *fresh = &seat->commands[seat->command_count++];
    *fresh = (struct seat_command){.id = ++seat->last_id, .method = method, .channel = channel};
    add("%s{\"id\":%" PRIu32 ",\"%s\":{", frame.len > 0 ? "\n" : "", fresh->id, names[method]);
    if (method == SEAT_CONNECT || method == SEAT_REFRESH || method == SEAT_PING)
        return fresh;
    char name[32];
    client_channel_name(channel, name);
    add("\"channel\":\"%s\"", name);
    return fresh;
}

static void command_end(void)
{
    add("}}");
}

static void frame_send(struct client *client)
{
    if (frame.len > 0)
        client_frame(client, WS_TEXT, span_of(frame.bytes, frame.len));
    frame.len = 0;
}

/* ---- tokens ---- */

/* Of the client's user, for all channels or for that one; -1: of a connection. Returns when it
 * expires, or 0. */
static int64_t token_add(struct client *client, int channel, enum seat_lie lie)
{
    struct sim *sim = client->sim;
    struct jwt_key key;
    char claims[256], name[32], token[SEAT_TOKEN_MAX];
    const char *with = lie == LIE_FORGED ? other_secret : secret;
    int64_t now_s = sim_now(sim) / SIM_S;
    int err = jwt_key_hs256(&key, (struct span){0}, span_from(with));
    assert(err == 0);
    bool foreign = lie == LIE_FOREIGN && channel < 0;
    int at = snprintf(claims, sizeof claims, "{\"sub\":\"%c%u\",\"info\":{\"seat\":%u}",
                      foreign ? 'x' : 'u', client->index, client->index);
    if (channel >= 0) {
        client_channel_name((unsigned)channel + (lie == LIE_FOREIGN), name);
        at += snprintf(claims + at, sizeof claims - (size_t)at, ",\"channel\":\"%s\"", name);
    }
    int64_t exp_s = 0;
    if (lie == LIE_EXPIRED || sim_chance(sim, 300)) {
        exp_s = lie == LIE_EXPIRED ? now_s - 5 : now_s + 2 + (int64_t)sim_below(sim, EXPIRES_S_MAX);
        at += snprintf(claims + at, sizeof claims - (size_t)at, ",\"exp\":%" PRId64, exp_s);
    }
    claims[at++] = '}';
    int len = jwt_sign_hs256(token, sizeof token, &key, span_of(claims, (size_t)at));
    assert(len > 0);
    add("\"token\":\"%.*s\"", len, token);
    return exp_s;
}

static enum seat_lie lie_of(struct sim *sim)
{
    if (!sim_chance(sim, 40))
        return LIE_NONE;
    return (enum seat_lie)(LIE_FORGED + sim_below(sim, 3));
}

/* ---- commands ---- */

static void connect_add(struct client *client)
{
    struct seat *seat = &client->seat;
    struct seat_command *connect = command(client, SEAT_CONNECT, 0);
    seat->signed_on = sim_chance(client->sim, 700);
    if (seat->signed_on) {
        connect->lie = lie_of(client->sim);
        if (connect->lie == LIE_FOREIGN) /* a new connection is anybody's */
            connect->lie = LIE_NONE;
        connect->expires_s = token_add(client, -1, connect->lie);
    }
    command_end();
}

static void subscribe_add(struct client *client, unsigned channel)
{
    struct sim *sim = client->sim;
    struct seat *seat = &client->seat;
    struct seat_channel *own = &seat->channels[channel];
    struct seat_command *subscribe = command(client, SEAT_SUBSCRIBE, channel);
    if (own->cursor.known && sim_chance(sim, 900)) {
        subscribe->recover = true;
        subscribe->from = own->cursor;
        add(",\"recover\":true,\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64, own->cursor.epoch,
            own->cursor.offset);
    }
    if (seat->signed_on && sim_chance(sim, 200)) {
        subscribe->lie = lie_of(sim);
        add(",");
        subscribe->expires_s = token_add(client, (int)channel, subscribe->lie);
    }
    command_end();
    if (own->stage == SEAT_OUT)
        own->stage = SEAT_ASKED;
}

static void unsubscribe_add(struct client *client, unsigned channel)
{
    struct seat_channel *own = &client->seat.channels[channel];
    command(client, SEAT_UNSUBSCRIBE, channel);
    command_end();
    own->stage = SEAT_LEAVING;
    if (sim_chance(client->sim, 300))
        subscribe_add(client, channel);
}

static void publish_add(struct client *client, unsigned channel)
{
    static char payload[LEDGER_PAYLOAD_MAX];
    struct sim *sim = client->sim;
    if (sim->stats.published >= sim->messages_max)
        return;
    struct seat_command *publish = command(client, SEAT_PUBLISH, channel);
    publish->message = ledger_new_json(&sim->ledger, channel);
    size_t len = ledger_payload(&sim->ledger, publish->message, payload);
    add(",\"data\":%.*s", (int)len, payload);
    command_end();
    sim->stats.published++;
}

static void history_add(struct client *client, unsigned channel)
{
    struct sim *sim = client->sim;
    const struct seat_channel *own = &client->seat.channels[channel];
    struct seat_command *history = command(client, SEAT_HISTORY, channel);
    add(",\"limit\":%d", (int)sim_below(sim, 30) - 1);
    history->reverse = sim_chance(sim, 300);
    if (history->reverse)
        add(",\"reverse\":true");
    if (own->cursor.known && sim_chance(sim, 500)) {
        history->from = own->cursor;
        add(",\"since\":{\"epoch\":\"%" PRIx64 "\",\"offset\":%" PRIu64 "}", own->cursor.epoch,
            own->cursor.offset);
    }
    command_end();
}

static void presence_add(struct client *client, unsigned channel)
{
    bool stats = sim_chance(client->sim, 500);
    command(client, stats ? SEAT_PRESENCE_STATS : SEAT_PRESENCE, channel);
    command_end();
}

static void refresh_add(struct client *client, unsigned channel)
{
    struct sim *sim = client->sim;
    bool of_channel = client->seat.channels[channel].stage == SEAT_IN && sim_chance(sim, 500);
    if (!client->seat.signed_on)
        return;
    struct seat_command *refresh =
        command(client, of_channel ? SEAT_SUB_REFRESH : SEAT_REFRESH, channel);
    refresh->lie = lie_of(sim);
    if (of_channel)
        add(",");
    refresh->expires_s = token_add(client, of_channel ? (int)channel : -1, refresh->lie);
    command_end();
}

/* One of all kinds, for a channel; or none. */
static void any_add(struct client *client)
{
    struct sim *sim = client->sim;
    unsigned channel = (unsigned)sim_below(sim, sim->channel_count);
    enum seat_stage stage = client->seat.channels[channel].stage;
    if (client->seat.command_count + 2 > SEAT_COMMANDS_MAX)
        return;
    uint64_t kind = sim_below(sim, 100);
    if (stage == SEAT_OUT && kind < 70)
        subscribe_add(client, channel);
    else if ((stage == SEAT_IN || stage == SEAT_ASKED) && kind < 15)
        unsubscribe_add(client, channel);
    else if (kind < 50)
        publish_add(client, channel);
    else if (kind < 70)
        history_add(client, channel);
    else if (kind < 85)
        presence_add(client, channel);
    else if (kind < 95)
        refresh_add(client, channel);
    else {
        command(client, SEAT_PING, channel);
        command_end();
    }
}

/* ---- a visit ---- */

/* Some do not say connect; some say all they want at once. */
void seat_greet(struct client *client)
{
    struct sim *sim = client->sim;
    struct seat *seat = &client->seat;
    seat->mute = sim_chance(sim, 10) && !sim->calm;
    if (seat->mute)
        return;
    connect_add(client);
    if (sim_chance(sim, 300))
        frame_send(client);
    for (uint64_t n = 1 + sim_below(sim, sim->channel_count); n > 0; n--) {
        unsigned channel = (unsigned)sim_below(sim, sim->channel_count);
        if (seat->channels[channel].stage == SEAT_OUT)
            subscribe_add(client, channel);
    }
    frame_send(client);
}

/* Nothing that any command begins with. */
static void nonsense(struct client *client)
{
    static const char *const texts[] = {
        "{\"id\":1,\"connect\":{}}",
        "{\"id\":99999999999,\"ping\":{}}",
        "{\"id\":5,\"subscribe\":{\"channel\":",
        "not JSON at all",
        "{\"id\":0,\"subscribe\":{\"channel\":\"a\"}}\n\n{]",
    };
    struct sim *sim = client->sim;
    const char *text = texts[sim_below(sim, sizeof texts / sizeof texts[0])];
    client_frame(client, sim_chance(sim, 200) ? WS_BINARY : WS_TEXT, span_from(text));
    client->role = ROLE_NUISANCE;
}

void seat_chat(struct client *client)
{
    struct sim *sim = client->sim;
    struct seat *seat = &client->seat;
    if (sim->calm || seat->mute)
        return;
    if (sim_chance(sim, 60)) {
        for (uint64_t n = 1 + sim_below(sim, 4); n > 0; n--)
            any_add(client);
        frame_send(client);
    }
    if (sim_chance(sim, 3)) {
        client_frame(client, WS_CLOSE, (struct span){0});
        client->close_seen = true;
    }
    if (sim_chance(sim, 1) && seat->connected)
        nonsense(client);
}

void seat_gone(struct client *client)
{
    struct seat *seat = &client->seat;
    for (unsigned i = 0; i < SIM_CHANNELS_MAX; i++)
        seat->channels[i].stage = SEAT_OUT;
    seat->command_count = 0;
    seat->last_id = 0;
    seat->connected = seat->signed_on = seat->mute = false;
}
