/* What clients are told, held against the ledger. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "changes.h"
#include "wire/base64.h"

/* ---- taking messages ---- */

/* Live messages to readers that are behind may be dropped by the settings. */
static bool gaps_allowed(const struct client *client)
{
    return client->state != CLIENT_HTTP &&
           (client->lossy || client->sim->settings.slow_reader != SLOW_READER_DISCONNECT);
}

static struct ledger_cursor *cursor_of(struct client *client, unsigned channel)
{
    for (unsigned i = 0; i < client->reading_count; i++)
        if (client->reading[i].channel == channel)
            return &client->reading[i];
    sim_breach(client->sim, __FILE__, __LINE__, "client %u got a message of channel %u",
               client->index, channel);
}

/* Where what was asked for turns out to have a gap, the end of the answer must say so. */
static void jump(struct client *client, struct ledger_cursor *cursor, uint64_t epoch,
                 uint64_t offset)
{
    bool pending = client->resuming && !client->standing;
    if (!pending || !cursor->known || epoch == 0 || offset == 0)
        return;
    if (epoch == cursor->epoch && offset <= cursor->offset + 1)
        return;
    client->jumped = true;
    cursor->known = false;
}

static void take(struct client *client, unsigned channel, struct span payload, uint64_t epoch,
                 uint64_t offset)
{
    struct ledger *ledger = &client->sim->ledger;
    struct ledger_cursor *cursor = cursor_of(client, channel);
    bool stream = client->state == CLIENT_SSE || client->envelope;
    sim_check(client->sim, !client->ended, "client %u got a message behind the end", client->index);
    sim_check(client->sim, client->standing || !stream,
              "client %u got a message before it was told where it stands", client->index);
    uint64_t id = ledger_identify(ledger, channel, payload.ptr, payload.len);
    const struct ledger_message *message = &ledger->messages[id];
    if (message->fate == LEDGER_TAKEN)
        jump(client, cursor, message->epoch, message->offset);
    else
        jump(client, cursor, epoch, offset);
    ledger_take(ledger, cursor, id, epoch, offset, gaps_allowed(client));
    client->sim->stats.carried += client_shares(client);
}

static void take_base64(struct client *client, unsigned channel, struct span text, uint64_t epoch,
                        uint64_t offset)
{
    static char payload[LEDGER_PAYLOAD_MAX];
    int len = base64_decode(payload, sizeof payload, text);
    sim_check(client->sim, len >= 0, "client %u: base64 %d", client->index, len);
    take(client, channel, span_of(payload, (size_t)len), epoch, offset);
}

/* ---- JSON ---- */

static json_t *parse(const struct client *client, struct span text)
{
    json_error_t error;
    json_t *json = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    sim_check(client->sim, json, "client %u: not JSON: %s: %.*s", client->index, error.text,
              (int)(text.len < 300 ? text.len : 300), text.ptr);
    return json;
}

static unsigned channel_named(const struct client *client, const char *name)
{
    char own[32];
    for (unsigned channel = 0; channel < SIM_CHANNELS_MAX + SIM_TALES; channel++) {
        client_channel_name(channel, own);
        if (strcmp(own, name) == 0)
            return channel;
    }
    sim_breach(client->sim, __FILE__, __LINE__, "client %u: channel %s", client->index, name);
}

/* The places of a position, one for each channel; false when the server did not know it. */
static bool positions_of(const struct client *client, struct span token,
                         struct position ret[READING_MAX])
{
    if (token.len == 0)
        return false;
    int count = position_parse(ret, READING_MAX, token);
    sim_check(client->sim, count == (int)client->reading_count, "client %u: position %.*s",
              client->index, (int)token.len, token.ptr);
    return true;
}

static unsigned place_of(const struct client *client, unsigned channel)
{
    unsigned place = 0;
    while (place < client->reading_count && client->reading[place].channel != channel)
        place++;
    return place;
}

/* {"channel","offset","data" or "delta"[,"base64"][,"position"]} */
static void take_json(struct client *client, json_t *json)
{
    const char *name, *data = NULL, *delta = NULL, *token = "";
    size_t data_len = 0, delta_len = 0, token_len = 0;
    json_int_t offset;
    int base64 = 0;
    struct position positions[READING_MAX];
    uint64_t epoch = 0;
    int err = json_unpack(json, "{s:s, s:I, s?s%, s?s%, s?b, s?s%}", "channel", &name, "offset",
                          &offset, "data", &data, &data_len, "delta", &delta, &delta_len, "base64",
                          &base64, "position", &token, &token_len);
    sim_check(client->sim, err == 0 && !data != !delta, "client %u: not a message", client->index);
    unsigned channel = channel_named(client, name);
    bool at = positions_of(client, span_of(token, token_len), positions);
    sim_check(client->sim, at == client->envelope, "client %u: a position, or none", client->index);
    if (at) {
        const struct position *own = &positions[place_of(client, channel)];
        sim_check(client->sim, own->offset == (uint64_t)offset,
                  "client %u: offset %" PRIu64 " at position %" PRIu64, client->index,
                  (uint64_t)offset, own->offset);
        epoch = own->epoch;
    }
    unsigned place = place_of(client, channel);
    struct span message =
        delta ? changes_apply(client, place, span_of(delta, delta_len)) : span_of(data, data_len);
    changes_keep(client, place, base64 ? (struct span){0} : message);
    if (base64)
        take_base64(client, channel, message, epoch, (uint64_t)offset);
    else
        take(client, channel, message, epoch, (uint64_t)offset);
}

/* ---- where a reader stands ---- */

/* The reader is told its position. What it has seen must lead there, unless it is told otherwise.
 */
static void stands_at(struct client *client, const struct position *positions, bool recovered)
{
    struct sim *sim = client->sim;
    bool lost = client->resuming && !recovered;
    sim_check(sim, lost || !client->jumped,
              "client %u missed messages of its replay and was not told", client->index);
    for (unsigned i = 0; i < client->reading_count; i++) {
        struct ledger_cursor *cursor = &client->reading[i];
        const struct position *at = &positions[i];
        if (!client->standing && client->state != CLIENT_HTTP)
            changes_stands(client, i, at);
        bool same = cursor->known && cursor->epoch == at->epoch && cursor->offset == at->offset;
        bool behind = cursor->known && cursor->epoch == at->epoch && cursor->offset < at->offset;
        sim_check(sim, same || lost || !cursor->known || (behind && gaps_allowed(client)),
                  "client %u, channel %u: stands at %" PRIu64 " and is told %" PRIu64,
                  client->index, cursor->channel, cursor->offset, at->offset);
        sim_check(sim, !cursor->known || cursor->epoch != at->epoch || same || behind,
                  "client %u, channel %u: is sent back from %" PRIu64 " to %" PRIu64, client->index,
                  cursor->channel, cursor->offset, at->offset);
        *cursor = (struct ledger_cursor){cursor->channel, true, at->epoch, at->offset};
    }
    if (client->resuming)
        *(recovered ? &sim->stats.recovered : &sim->stats.lost) += 1;
    client->standing = true;
}

/* ---- by transport ---- */

static void confirm(struct client *client, uint64_t id, json_t *json)
{
    struct ledger *ledger = &client->sim->ledger;
    const char *name, *epoch;
    json_int_t offset;
    int err =
        json_unpack(json, "{s:s, s:I, s:s}", "channel", &name, "offset", &offset, "epoch", &epoch);
    sim_check(client->sim, err == 0, "client %u: not a confirmation", client->index);
    sim_check(client->sim, channel_named(client, name) == ledger->messages[id].channel,
              "client %u: message %" PRIu64 " confirmed on %s", client->index, id, name);
    ledger_learn(ledger, id, strtoull(epoch, NULL, 16), (uint64_t)offset);
    ledger->newest[ledger->messages[id].channel] = id;
}

bool told_ended(const struct client *client)
{
    const struct ledger *ledger = &client->sim->ledger;
    uint64_t id = client->asked_count > 0 ? client->asked[0] : 0;
    return id > 0 && ledger->ends[ledger->messages[id].channel] > 0;
}

/* The reader of one channel is told that it has ended: it has all of it. */
static void ends(struct client *client)
{
    struct ledger_cursor *cursor = &client->reading[0];
    sim_check(client->sim, client->reading_count == 1, "client %u: an end of several channels",
              client->index);
    client->ended = client->state != CLIENT_HTTP;
    client->sim->stats.ends++;
    if (cursor->known && !gaps_allowed(client))
        ledger_end(&client->sim->ledger, cursor);
}

void told_publish(struct client *client, uint64_t id)
{
    json_t *json = parse(client, bytes_left(&client->message));
    confirm(client, id, json);
    json_decref(json);
}

/* {"position","messages","recovered"} */
void told_answer(struct client *client)
{
    json_t *json = parse(client, bytes_left(&client->message)), *messages, *message;
    const char *token;
    size_t token_len, index;
    int recovered;
    struct position positions[READING_MAX];
    int err = json_unpack(json, "{s:s%, s:o, s:b}", "position", &token, &token_len, "messages",
                          &messages, "recovered", &recovered);
    sim_check(client->sim, err == 0, "client %u: not an answer", client->index);
    json_array_foreach(messages, index, message) take_json(client, message);
    bool known = positions_of(client, span_of(token, token_len), positions);
    sim_check(client->sim, known, "client %u: an answer without a position", client->index);
    stands_at(client, positions, recovered);
    if (json_is_true(json_object_get(json, "ended")))
        ends(client);
    json_decref(json);
}

void told_event(struct client *client, const struct sse_event *event)
{
    struct position positions[READING_MAX];
    bool at = event->id.ptr && positions_of(client, event->id, positions);
    bool recovered = span_equal(event->event, SPAN("recovered"));
    if (event->has_retry)
        return;
    if (span_equal(event->event, SPAN("end"))) {
        ends(client);
        return;
    }
    if (recovered || span_equal(event->event, SPAN("unrecoverable"))) {
        sim_check(client->sim, at && client->resuming && !client->standing,
                  "client %u: told of a recovery out of turn", client->index);
        stands_at(client, positions, recovered);
        return;
    }
    if (!event->data.ptr) {
        sim_check(client->sim, at && !client->resuming && !client->standing,
                  "client %u: told its position out of turn", client->index);
        stands_at(client, positions, false);
        return;
    }
    /* Whose channel it is, only the payload says: the one whose place it moves. */
    sim_check(client->sim, at, "client %u got a message without an id", client->index);
    static char payload[LEDGER_PAYLOAD_MAX];
    bool binary = span_equal(event->event, SPAN("binary"));
    struct span data = event->data;
    if (binary) {
        int len = base64_decode(payload, sizeof payload, event->data);
        sim_check(client->sim, len > 0, "client %u: base64 %d", client->index, len);
        data = span_of(payload, (size_t)len);
    }
    uint64_t id = ledger_id(&client->sim->ledger, data.ptr, data.len);
    unsigned channel = client->sim->ledger.messages[id].channel;
    cursor_of(client, channel);
    const struct position *own = &positions[place_of(client, channel)];
    take(client, channel, data, own->epoch, own->offset);
}

/* Confirmations of one channel come in the order of its messages; channels have different homes. */
static void published(struct client *client, json_t *json)
{
    unsigned channel = channel_named(client, json_string_value(json_object_get(json, "channel")));
    unsigned at = 0;
    while (at < client->published_count &&
           client->sim->ledger.messages[client->published[at]].channel != channel)
        at++;
    sim_check(client->sim, at < client->published_count, "client %u: confirmed nothing",
              client->index);
    confirm(client, client->published[at], json);
    client->published_count--;
    memmove(&client->published[at], &client->published[at + 1],
            (client->published_count - at) * sizeof client->published[0]);
}

/* A frame on a WebSocket: a payload, or JSON of one kind or another. */
void told_frame(struct client *client, bool text)
{
    struct span message = bytes_left(&client->message);
    if (!client->envelope) {
        sim_check(client->sim, text == (message.len > 0 && message.ptr[0] != '\xff'),
                  "client %u: text or not", client->index);
        take(client, client->reading[0].channel, message, 0, 0);
        return;
    }
    json_t *json = parse(client, message);
    struct position positions[READING_MAX];
    if (json_object_get(json, "published")) {
        published(client, json);
    } else if (json_object_get(json, "recovered")) {
        bool recovered = json_is_true(json_object_get(json, "recovered"));
        json_t *token = json_object_get(json, "position");
        struct span at = {json_string_value(token), json_string_length(token)};
        bool known = positions_of(client, at, positions);
        sim_check(client->sim, known && !client->standing, "client %u: told twice", client->index);
        stands_at(client, positions, recovered);
    } else {
        take_json(client, json);
    }
    json_decref(json);
}

void told_echo(struct client *client, bool text)
{
    static char expected[LEDGER_PAYLOAD_MAX];
    struct span message = bytes_left(&client->message);
    sim_check(client->sim, client->echoed < client->echoes, "client %u: an echo of nothing",
              client->index);
    size_t len = ledger_bytes(&client->sim->ledger, client->echoed++, expected);
    sim_check(client->sim,
              message.len == len && memcmp(message.ptr, expected, len) == 0 &&
                  text == (expected[0] != '\xff'),
              "client %u: the echo was changed", client->index);
}
