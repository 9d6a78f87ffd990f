#include "changes.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "wire/deflate.h"
#include "wire/delta.h"

enum {
    INFLATED_MAX = 16 << 20,
    WINDOW_BITS = 15,
};

static struct inflater *inflater;
static struct deflater *deflater;

/* ---- permessage-deflate ---- */

void changes_agree(struct client *client, const struct http_response *answer)
{
    const struct http_field *field =
        http_field_find(&answer->fields, SPAN("sec-websocket-extensions"));
    sim_check(client->sim, !field || client->offers, "client %u: an extension out of turn",
              client->index);
    sim_check(client->sim, field || !client->offers || answer->status != 101,
              "client %u: its offer was declined", client->index);
    client->deflates = field != NULL;
}

void changes_inflate(struct client *client, struct bytes *message)
{
    struct span left = bytes_left(message);
    char *text;
    size_t len;
    if (!inflater)
        inflater = inflater_create();
    assert(inflater);
    int err = inflater_message(inflater, left, INFLATED_MAX, &text, &len);
    sim_check(client->sim, err == 0, "client %u: does not inflate: %d", client->index, err);
    bytes_free(message);
    bytes_add(message, text, len);
    free(text);
    client->sim->stats.inflated++;
}

struct span changes_deflate(struct client *client, struct span payload)
{
    static char area[8 * LEDGER_PAYLOAD_MAX];
    if (!client->deflates || payload.len + DEFLATE_ROOM > sizeof area ||
        sim_chance(client->sim, 300))
        return (struct span){0};
    if (!deflater)
        deflater = deflater_create(1, WINDOW_BITS);
    assert(deflater);
    return span_of(area, deflater_message(deflater, area, payload));
}

/* ---- what changed ---- */

void changes_keep(struct client *client, unsigned place, struct span message)
{
    struct bytes *base = &client->base[place];
    base->len = 0;
    client->has_base[place] = client->delta && message.ptr;
    if (client->has_base[place])
        bytes_add(base, message.ptr, message.len);
}

struct span changes_apply(struct client *client, unsigned place, struct span delta)
{
    static char target[LEDGER_PAYLOAD_MAX];
    sim_check(client->sim, client->delta && client->has_base[place],
              "client %u: what changed, and from what it has not", client->index);
    int len = delta_apply(target, sizeof target, bytes_left(&client->base[place]), delta);
    sim_check(client->sim, len > 0, "client %u: a delta that does not fit: %d", client->index, len);
    client->sim->stats.deltas++;
    return span_of(target, (size_t)len);
}

/* ---- the latest ---- */

void changes_ask_latest(struct client *client)
{
    client->latest = true;
    for (unsigned i = 0; i < client->reading_count; i++)
        client->newest[i] = ledger_newest(&client->sim->ledger, client->reading[i].channel);
}

/* Of what was known when it asked, at most one message follows. */
void changes_stands(struct client *client, unsigned place, const struct position *at)
{
    const struct ledger_place *newest = &client->newest[place];
    sim_check(client->sim,
              !client->latest || at->epoch != newest->epoch || at->offset + 1 >= newest->offset,
              "client %u asked for the latest: stands at %" PRIu64 ", where %" PRIu64 " was known",
              client->index, at->offset, newest->offset);
}

void changes_gone(struct client *client)
{
    for (unsigned i = 0; i < READING_MAX; i++) {
        bytes_free(&client->base[i]);
        client->has_base[i] = false;
    }
    client->offers = client->deflates = client->latest = client->delta = false;
}

void changes_done(void)
{
    inflater_free(inflater);
    deflater_free(deflater);
    inflater = NULL;
    deflater = NULL;
}
