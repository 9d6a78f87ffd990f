#include "ledger.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "sim.h"
#include "wire/json_out.h"

enum {
    JSON_GROWS = 6, /* a byte in a string becomes as many at most */
    ALIKE = 64,     /* ids in a row whose payloads differ in the id alone, where deltas are told */
};

void ledger_init(struct ledger *ledger, struct sim *sim)
{
    *ledger = (struct ledger){.sim = sim, .count = 1};
}

void ledger_done(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->epoch_count; i++)
        free(ledger->epochs[i].ids);
    free(ledger->epochs);
    free(ledger->messages);
}

uint64_t ledger_new(struct ledger *ledger, unsigned channel)
{
    if (ledger->count >= ledger->size) {
        ledger->size = ledger->size ? 2 * ledger->size : 1024;
        ledger->messages = realloc(ledger->messages, ledger->size * sizeof *ledger->messages);
        assert(ledger->messages);
    }
    ledger->messages[ledger->count] = (struct ledger_message){.channel = channel};
    return ledger->count++;
}

uint64_t ledger_new_json(struct ledger *ledger, unsigned channel)
{
    uint64_t id = ledger_new(ledger, channel);
    ledger->messages[id].json = true;
    return id;
}

/* ---- payloads ---- */

static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* What text carries on its way through JSON, event streams and UTF-8. A carriage return is not
 * among them: an event stream has no way to carry it. */
static const char *const scraps[] = {"a",     "Z",      "0",   " ",  "\n",
                                     "\"",    "\\",     "/",   "\t", "\x01",
                                     "<>",    "data: ", "é",   "€",  "\xf0\x9f\x99\x82",
                                     ":\n\n", "{}",     "\n\n"};

static size_t fill_text(char *ret, size_t at, size_t len, uint64_t *state)
{
    for (;;) {
        const char *scrap = scraps[mix(state) % (sizeof scraps / sizeof scraps[0])];
        size_t size = strlen(scrap);
        if (at + size > len)
            return at;
        memcpy(ret + at, scrap, size);
        at += size;
    }
}

static size_t length_of(uint64_t *state)
{
    uint64_t kind = mix(state) % 100;
    uint64_t most = kind < 80 ? 200 : kind < 97 ? 4000 : LEDGER_PAYLOAD_MAX;
    return 32 + mix(state) % (most - 32);
}

/* What a payload follows from: the id alone, or where deltas are told one that neighbours share. */
static uint64_t state_of(const struct ledger *ledger, uint64_t id)
{
    return ledger->sim->seed * UINT64_C(1000003) + (ledger->sim->changes ? id / ALIKE : id);
}

/* [<id>,"and what the id says"] */
static size_t json_payload(const struct ledger *ledger, uint64_t id, char *ret)
{
    uint64_t state = state_of(ledger, id);
    size_t len = length_of(&state) + 64;
    static char text[LEDGER_PAYLOAD_MAX / JSON_GROWS];
    size_t at = (size_t)snprintf(ret, 32, "[%" PRIu64 ",", id);
    size_t size = fill_text(text, 0, len / JSON_GROWS - 8, &state);
    at += json_string_write(ret + at, span_of(text, size));
    ret[at++] = ']';
    return at;
}

/* <id>. and then what the id says; one in eight begins with a byte that no UTF-8 has. */
size_t ledger_bytes(const struct ledger *ledger, uint64_t id, char *ret)
{
    uint64_t state = state_of(ledger, id);
    size_t len = length_of(&state);
    bool binary = mix(&state) % 8 == 0;
    size_t at = 0;
    if (binary)
        ret[at++] = '\xff';
    at += (size_t)snprintf(ret + at, 32, "%" PRIu64 ".", id);
    if (!binary)
        return fill_text(ret, at, len, &state);
    for (; at < len; at++)
        ret[at] = (char)mix(&state);
    return len;
}

size_t ledger_payload(const struct ledger *ledger, uint64_t id, char *ret)
{
    return ledger->messages[id].json ? json_payload(ledger, id, ret)
                                     : ledger_bytes(ledger, id, ret);
}

uint64_t ledger_id(const struct ledger *ledger, const char *payload, size_t len)
{
    char digits[24] = "";
    size_t skip = len > 0 && (payload[0] == '\xff' || payload[0] == '[');
    size_t copied = len - skip < sizeof digits - 1 ? len - skip : sizeof digits - 1;
    memcpy(digits, payload + skip, copied);
    uint64_t id = strtoull(digits, NULL, 10);
    sim_check(ledger->sim, id > 0 && id < ledger->count, "a payload of nobody: %.*s",
              (int)(len < 60 ? len : 60), payload);
    return id;
}

uint64_t ledger_identify(const struct ledger *ledger, unsigned channel, const char *payload,
                         size_t len)
{
    static char expected[LEDGER_PAYLOAD_MAX];
    uint64_t id = ledger_id(ledger, payload, len);
    size_t size = ledger_payload(ledger, id, expected);
    sim_check(ledger->sim, size == len && memcmp(payload, expected, len) == 0,
              "message %" PRIu64 " was changed: %zu bytes of %zu", id, len, size);
    sim_check(ledger->sim, ledger->messages[id].channel == channel,
              "message %" PRIu64 " of channel %u came on channel %u", id,
              ledger->messages[id].channel, channel);
    return id;
}

/* ---- numbers ---- */

static struct ledger_epoch *epoch_of(struct ledger *ledger, unsigned channel, uint64_t epoch)
{
    for (size_t i = 0; i < ledger->epoch_count; i++)
        if (ledger->epochs[i].channel == channel && ledger->epochs[i].epoch == epoch)
            return &ledger->epochs[i];
    size_t size = (ledger->epoch_count + 1) * sizeof *ledger->epochs;
    ledger->epochs = realloc(ledger->epochs, size);
    assert(ledger->epochs);
    struct ledger_epoch *fresh = &ledger->epochs[ledger->epoch_count++];
    *fresh = (struct ledger_epoch){.channel = channel, .epoch = epoch};
    return fresh;
}

static void epoch_put(struct ledger *ledger, struct ledger_epoch *at, uint64_t offset, uint64_t id)
{
    sim_check(ledger->sim, offset > 0 && offset < 1000000, "offset %" PRIu64, offset);
    if (offset > at->size) {
        size_t size = 2 * (size_t)offset;
        at->ids = realloc(at->ids, size * sizeof *at->ids);
        assert(at->ids);
        memset(at->ids + at->size, 0, (size - at->size) * sizeof *at->ids);
        at->size = size;
    }
    uint64_t other = at->ids[offset - 1];
    sim_check(ledger->sim, other == 0 || other == id,
              "messages %" PRIu64 " and %" PRIu64 " of channel %u are both number %" PRIu64, other,
              id, at->channel, offset);
    at->ids[offset - 1] = id;
    if (offset > at->last)
        at->last = offset;
    sim_check(ledger->sim, at->end == 0 || at->last <= at->end,
              "number %" PRIu64 " of channel %u, which has ended with %" PRIu64, at->last,
              at->channel, at->end);
}

static void end_at(struct ledger *ledger, struct ledger_epoch *at, uint64_t offset)
{
    sim_check(ledger->sim, (at->end == 0 || at->end == offset) && at->last <= offset,
              "channel %u ends with number %" PRIu64 ", and with %" PRIu64, at->channel, offset,
              at->end > 0 ? at->end : at->last);
    at->end = offset;
}

struct ledger_place ledger_newest(const struct ledger *ledger, unsigned channel)
{
    for (size_t i = ledger->epoch_count; i-- > 0;)
        if (ledger->epochs[i].channel == channel)
            return (struct ledger_place){ledger->epochs[i].epoch, ledger->epochs[i].last};
    return (struct ledger_place){0};
}

void ledger_learn(struct ledger *ledger, uint64_t id, uint64_t epoch, uint64_t offset)
{
    struct ledger_message *message = &ledger->messages[id];
    sim_check(ledger->sim, message->fate != LEDGER_REFUSED,
              "message %" PRIu64 " was refused to its publisher, and is there", id);
    sim_check(ledger->sim,
              message->fate == LEDGER_SENT ||
                  (message->epoch == epoch && message->offset == offset),
              "message %" PRIu64 " has two numbers: %" PRIu64 " and %" PRIu64, id, message->offset,
              offset);
    if (message->fate == LEDGER_TAKEN)
        return;
    message->fate = LEDGER_TAKEN;
    message->epoch = epoch;
    message->offset = offset;
    message->taken_ns = sim_now(ledger->sim);
    epoch_put(ledger, epoch_of(ledger, message->channel, epoch), offset, id);
    if (message->last)
        end_at(ledger, epoch_of(ledger, message->channel, epoch), offset);
}

void ledger_end(struct ledger *ledger, const struct ledger_cursor *cursor)
{
    sim_check(ledger->sim, ledger->ends[cursor->channel] > 0, "channel %u has ended by itself",
              cursor->channel);
    end_at(ledger, epoch_of(ledger, cursor->channel, cursor->epoch), cursor->offset);
}

bool ledger_at_end(const struct ledger *ledger, const struct ledger_cursor *cursor)
{
    for (size_t i = 0; i < ledger->epoch_count; i++)
        if (ledger->epochs[i].channel == cursor->channel &&
            ledger->epochs[i].epoch == cursor->epoch)
            return cursor->known && ledger->epochs[i].end > 0 &&
                   ledger->epochs[i].end == cursor->offset;
    return false;
}

void ledger_refuse(struct ledger *ledger, uint64_t id)
{
    sim_check(ledger->sim, ledger->messages[id].fate == LEDGER_SENT,
              "message %" PRIu64 " was taken, and its publisher refused", id);
    ledger->messages[id].fate = LEDGER_REFUSED;
}

/* ---- readers ---- */

/* Completes what the reader was told by what is known, or follows from where it stands. */
static void number_complete(const struct ledger *ledger, const struct ledger_cursor *cursor,
                            uint64_t id, uint64_t *epoch, uint64_t *offset, bool gaps)
{
    const struct ledger_message *message = &ledger->messages[id];
    if (message->fate == LEDGER_TAKEN) {
        *epoch = *epoch ? *epoch : message->epoch;
        *offset = *offset ? *offset : message->offset;
    } else if (cursor->known && !gaps) {
        *epoch = *epoch ? *epoch : cursor->epoch;
        *offset = *offset ? *offset : cursor->offset + 1;
    }
}

void ledger_take(struct ledger *ledger, struct ledger_cursor *cursor, uint64_t id, uint64_t epoch,
                 uint64_t offset, bool gaps)
{
    number_complete(ledger, cursor, id, &epoch, &offset, gaps);
    ledger->sim->stats.delivered++;
    if (epoch == 0 || offset == 0)
        return;
    ledger_learn(ledger, id, epoch, offset);
    sim_check(ledger->sim, !cursor->known || epoch == cursor->epoch,
              "channel %u: a reader in epoch %" PRIx64 " got number %" PRIu64 " of %" PRIx64,
              cursor->channel, cursor->epoch, offset, epoch);
    sim_check(ledger->sim, !cursor->known || offset > cursor->offset,
              "channel %u: a reader at %" PRIu64 " got %" PRIu64 " again", cursor->channel,
              cursor->offset, offset);
    sim_check(ledger->sim, !cursor->known || gaps || offset == cursor->offset + 1,
              "channel %u: a reader at %" PRIu64 " missed some: got %" PRIu64, cursor->channel,
              cursor->offset, offset);
    *cursor = (struct ledger_cursor){cursor->channel, true, epoch, offset};
}

bool ledger_behind(const struct ledger *ledger, const struct ledger_cursor *cursor, uint64_t id)
{
    const struct ledger_message *message = &ledger->messages[id];
    return cursor->known && cursor->epoch == message->epoch && cursor->offset >= message->offset;
}
