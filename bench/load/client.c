/* client: the life of one connection.
 *
 *   DOWN ─connect─► CONNECTING ─► (TLS) ─► HANDSHAKE ─► (CONFIRM) ─► UP
 *    ▲                  └──────────┬──────────────┬──────────────────┘
 *    └── all watches fired ◄── CLOSING ◄── client_close, client_fail */
#include <errno.h>

#include "load/engine.h"

void client_watch(struct load *load, struct client *client)
{
    if (client->flags & (CLIENT_WATCHED | CLIENT_STALLED))
        return;
    client->flags |= CLIENT_WATCHED;
    ring_watch(load->ring, client_index(load, client), RING_READ);
}

/* ---- opening ---- */

void client_connect(struct load *load, struct client *client)
{
    assert(client->phase == CLIENT_DOWN);
    struct sockaddr_in from = sources_next(&load->sources);
    client->phase = CLIENT_CONNECTING;
    client->attempts++;
    client->since_ms = (uint32_t)(load->now_ns / 1000000);
    client->sse_flags = 0;
    const struct group *group = group_of(load, client);
    ring_connect(load->ring, client_index(load, client), &from,
                 client_publishes(load, client) ? &group->publish_target : &group->config.target);
}

static enum load_failure failure_of(int err)
{
    switch (err) {
    case -ECONNREFUSED:
        return LOAD_FAIL_REFUSED;
    case -EADDRINUSE:
    case -EADDRNOTAVAIL:
        return LOAD_FAIL_ADDRESS;
    case -ECONNRESET:
        return LOAD_FAIL_RESET;
    default:
        return LOAD_FAIL_CONNECT;
    }
}

static void half_request(struct load *load, struct client *client)
{
    struct span half = SPAN("GET /ws?channel=half HTTP/1.1\r\nHost: half\r\nX-");
    memcpy(outbox_reserve(load, client, half.len), half.ptr, half.len);
    outbox_commit(load, client, half.len);
    client_is_up(load, client);
}

void client_ask(struct load *load, struct client *client)
{
    if (client_publishes(load, client)) {
        if (group_of(load, client)->config.publish == LOAD_PUBLISH_POST)
            client_is_up(load, client);
        else
            ws_request(load, client);
        return;
    }
    switch (group_of(load, client)->config.transport) {
    case LOAD_WEBSOCKET:
    case LOAD_WEBSOCKET_ENVELOPE:
    case LOAD_BARE:
    case LOAD_ECHO:
        ws_request(load, client);
        break;
    case LOAD_SSE:
        sse_request(load, client);
        break;
    case LOAD_LONGPOLL:
    case LOAD_POLL:
    case LOAD_GET:
        if (client->flags & CLIENT_CYCLING)
            client_is_up(load, client);
        poll_request(load, client);
        break;
    case LOAD_CONNECT:
        client_is_up(load, client);
        break;
    case LOAD_HALF_REQUEST:
        half_request(load, client);
        break;
    }
}

static void gone(struct load *load, struct client *client)
{
    client->phase = CLIENT_DOWN;
    if (client->flags & CLIENT_AGAIN) {
        client->flags &= (uint8_t)~CLIENT_AGAIN;
        opener_return(load, client);
    }
}

void client_connected(struct load *load, struct client *client, int err)
{
    if (client->phase == CLIENT_CLOSING) {
        if (err == 0) {
            ring_abort(load->ring, client_index(load, client));
            ring_close(load->ring, client_index(load, client));
        }
        gone(load, client);
        return;
    }
    assert(client->phase == CLIENT_CONNECTING);
    if (err < 0) {
        if (-err < LOAD_ERRNO_MAX)
            load->opener.errors[-err]++;
        client_fail(load, client, failure_of(err));
        return;
    }
    client->phase = CLIENT_HANDSHAKE;
    if (client_secure(load, client))
        secure_begin(load, client);
    else
        client_ask(load, client);
    client_watch(load, client);
}

void client_is_up(struct load *load, struct client *client)
{
    opener_done(load, client);
    client->phase = CLIENT_UP;
    client->attempts = 0;
    if (client->flags & CLIENT_CYCLING || client_publishes(load, client)) {
        client->flags &= (uint8_t)~CLIENT_CYCLING;
        return;
    }
    struct group *group = group_of(load, client);
    group->up++;
    group->counters.missed += ledger_behind(&client->place, channel_last(load, client));
    if (client_ready(client))
        ready_enter(load, client);
}

void client_hint(struct client *client, uint32_t wait_ms)
{
    uint64_t ticks = ((uint64_t)wait_ms + WAIT_TICK_MS - 1) / WAIT_TICK_MS;
    client->hint = ticks < UINT16_MAX ? (uint16_t)ticks : UINT16_MAX;
}

void client_hint_answer(struct client *client, const struct http_response *response,
                        struct span body)
{
    static const char member[] = "\"retry_ms\":";
    const struct http_field *field = http_field_find(&response->fields, SPAN("Retry-After"));
    const char *found = body.len > 0 ? memmem(body.ptr, body.len, member, sizeof member - 1) : NULL;
    struct span text = field ? field->value : (struct span){0};
    uint32_t unit_ms = found ? 1 : 1000;
    if (found)
        text = span_skip(body, (size_t)(found - body.ptr) + sizeof member - 1);
    uint64_t wait = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        wait =
            wait < UINT16_MAX * UINT64_C(1000) ? wait * 10 + (uint64_t)(text.ptr[i] - '0') : wait;
    client_hint(client, (uint32_t)(wait * unit_ms));
}

/* ---- closing ---- */

/* A client that counted as up does so no longer. One that cannot say where it was starts anew. */
static void leave(struct load *load, struct client *client)
{
    struct group *group = group_of(load, client);
    group->up--;
    if (client->flags & CLIENT_STALLED)
        group->stalled--;
    if (client_ready(client))
        ready_leave(load, client);
    if (group->config.transport == LOAD_ECHO && client->flags & CLIENT_ASKED)
        group->echoes--;
    if (client->position.epoch == 0)
        client->place = (struct ledger_place){0};
    client->flags &= (uint8_t) ~(CLIENT_STALLED | CLIENT_CYCLING);
}

static bool counted_up(const struct client *client)
{
    return client->phase == CLIENT_UP || client->flags & CLIENT_CYCLING;
}

void client_closing(struct load *load, struct client *client)
{
    if (client->flags & (CLIENT_WATCHED | CLIENT_WRITE_WATCHED))
        return;
    ring_close(load->ring, client_index(load, client));
    gone(load, client);
}

/* Gives back what it holds, and ends the connection. */
static void hang_up(struct load *load, struct client *client, bool orderly)
{
    uint32_t slot = client_index(load, client);
    bool connecting = client->phase == CLIENT_CONNECTING;
    if (client_secure(load, client))
        secure_end(load, client);
    if (client->stash != STASH_NONE)
        stash_give(&load->stashes, client->stash);
    client->stash = STASH_NONE;
    client->flags &= (uint8_t) ~(CLIENT_ASKED | CLIENT_CHUNKED);
    client->phase = CLIENT_CLOSING;
    if (!orderly || connecting)
        ring_abort(load->ring, slot);
    else if (client->flags & CLIENT_WATCHED)
        ring_unwatch(load->ring, slot, RING_READ);
    if (!connecting)
        client_closing(load, client);
}

void client_close(struct load *load, struct client *client, bool orderly)
{
    if (!client_open(client))
        return;
    if (counted_up(client) && !client_publishes(load, client))
        leave(load, client);
    opener_forget(load, client);
    hang_up(load, client, orderly);
}

void client_cycle(struct load *load, struct client *client)
{
    assert(client->phase == CLIENT_UP);
    client->flags |= CLIENT_CYCLING;
    opener_again(load, client);
    hang_up(load, client, false);
}

void client_fail(struct load *load, struct client *client, enum load_failure failure)
{
    struct load_counters *counters = &group_of(load, client)->counters;
    bool connected = client_open(client);
    if (!connected && client->phase != CLIENT_CONNECTING)
        return;
    if (client_publishes(load, client)) {
        counters->publisher_failures++;
        if (client->phase == CLIENT_UP)
            publisher_lost(load, client);
    } else if (counted_up(client)) {
        counters->closes[failure]++;
        leave(load, client);
    } else {
        counters->failures[failure]++;
    }
    if (client->phase != CLIENT_UP)
        opener_failed(load, client, failure);
    if (!connected && failure != LOAD_FAIL_TIMEOUT)
        gone(load, client);
    else
        hang_up(load, client, false);
}

/* An event stream that ends before it has told a position was one of a client that was not let in.
 */
void client_ended(struct load *load, struct client *client)
{
    bool stream = group_of(load, client)->config.transport == LOAD_SSE;
    bool shed = stream && client->phase == CLIENT_CONFIRM && !(client->flags & CLIENT_CHUNKED);
    client_fail(load, client, shed ? LOAD_FAIL_SHED : LOAD_FAIL_END);
}

/* ---- what comes in ---- */

void client_plain(struct load *load, struct client *client, char *bytes, size_t len)
{
    if (client_publishes(load, client)) {
        publisher_input(load, client, bytes, len);
        return;
    }
    switch (group_of(load, client)->config.transport) {
    case LOAD_WEBSOCKET:
    case LOAD_WEBSOCKET_ENVELOPE:
    case LOAD_BARE:
    case LOAD_ECHO:
        ws_input(load, client, bytes, len);
        break;
    case LOAD_SSE:
        sse_input(load, client, bytes, len);
        break;
    case LOAD_LONGPOLL:
    case LOAD_POLL:
    case LOAD_GET:
        poll_input(load, client, bytes, len);
        break;
    case LOAD_CONNECT:
    case LOAD_HALF_REQUEST:
        break;
    }
}

void client_input(struct load *load, struct client *client, char *bytes, size_t len)
{
    if (client_secure(load, client))
        secure_input(load, client, bytes, len);
    else
        client_plain(load, client, bytes, len);
    if (client_open(client))
        client_watch(load, client);
}

/* Whether it says which message it is, and that it belongs here. */
static bool known(const struct load *load, const struct client *client,
                  const struct payload *payload)
{
    const struct group *group = &load->groups[client->group];
    uint32_t number = payload->number;
    return number != 0 && number != UINT32_MAX &&
           channel_of_number(group, number) == channel_of_client(load, client);
}

void client_deliver(struct load *load, struct client *client, const struct payload *payload)
{
    struct group *group = group_of(load, client);
    uint32_t number = payload->number;
    if (client_publishes(load, client))
        return;
    if (!known(load, client, payload)) {
        group->ledger.corrupt++;
        return;
    }
    if (payload->changed || payload->length != bytes_of_number(group, number))
        group->ledger.corrupt++;
    group->counters.deliveries++;
    group->counters.payload_bytes += payload->length;
    bool ready = client_ready(client);
    ledger_note(&group->ledger, &client->place, sequence_of_number(group, number),
                client_index(load, client) - group->first);
    if (!ready && client_ready(client))
        ready_enter(load, client);
    if (flights_note(&group->flights, number)) {
        load->touched_groups |= UINT64_C(1) << client->group;
        return;
    }
    int64_t late_ns = load->now_ns - (int64_t)payload->intended_ns;
    uint64_t latency_ns = late_ns > 0 ? (uint64_t)late_ns : 0;
    histogram_record(group->corrected, latency_ns);
    histogram_record(group->uncorrected, latency_ns);
}

struct span client_target(const struct load *load, const struct client *client, const char *path,
                          char buf[LOAD_TARGET_MAX])
{
    static const char since[] = "&since=", start[] = "start";
    const struct group *group = &load->groups[client->group];
    bool from_start = group->config.since_start && client->position.epoch == 0;
    struct span target = span_from(path);
    if (client->position.epoch == 0 && !from_start && group->config.channels == 0)
        return target;
    assert(target.len + CHANNEL_SUFFIX_MAX + sizeof since + POSITION_SIZE_MAX < LOAD_TARGET_MAX);
    memcpy(buf, path, target.len);
    size_t len = target.len;
    if (group->config.channels > 0)
        len += channel_suffix_write(buf + len, channel_of_client(load, client));
    if (client->position.epoch == 0 && !from_start)
        return span_of(buf, len);
    memcpy(buf + len, since, sizeof since - 1);
    len += sizeof since - 1;
    if (client->position.epoch != 0)
        return span_of(buf, len + position_write(buf + len, &client->position, 1));
    memcpy(buf + len, start, sizeof start - 1);
    return span_of(buf, len + sizeof start - 1);
}
