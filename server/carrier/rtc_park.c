/* rtc_park: what is left of a peer while nothing happens, and back.
 *
 *   struct rtc ─► parked │ 4 │ keys: 56 bytes │ a channel: 8 │ … │ SCTP: 60 for one stream │
 *         128     128    │   │ or 136         │              │   │                         │
 *
 * A peer is idle when all is acknowledged and nothing is due but its next check. Checks are
 * answered without any of this; a record, or something to send, wakes it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/rtc_internal.h"

#define MS UINT64_C(1000000)

enum {
    PARKED_ALIGN = 4,
};

enum parked_is {
    PARKED_LOSSY = 1 << 0,
    PARKED_UNORDERED = 1 << 1,
    PARKED_BY_TIME = 1 << 2, /* `limit` is ms, and not retransmissions */
    PARKED_RELIABLE = 1 << 3,
    PARKED_RESET = 1 << 4, /* its line has ended since */
};

struct parked_channel {
    uint32_t slot;
    uint16_t limit; /* at most RTC_LIMIT_MAX */
    uint8_t id;
    uint8_t is; /* enum parked_is */
};

struct rtc_parked {
    uint16_t bytes; /* of all of it */
    uint8_t channel_count;
    bool has_wide_keys;
    _Alignas(PARKED_ALIGN) uint8_t rest[]; /* keys, association, channels */
};

/* ---- where things are ---- */

static size_t keys_size(bool wide)
{
    return wide ? sizeof(struct dtls_keys) : sizeof(struct dtls_parked);
}
static_assert(sizeof(struct dtls_keys) % PARKED_ALIGN == 0 &&
                  sizeof(struct dtls_parked) % PARKED_ALIGN == 0 &&
                  sizeof(struct parked_channel) % PARKED_ALIGN == 0 &&
                  _Alignof(struct parked_channel) <= PARKED_ALIGN &&
                  _Alignof(struct sctp_parked) <= PARKED_ALIGN,
              "one lies behind the other");

static struct parked_channel *parked_channels(struct rtc_parked *parked)
{
    return (struct parked_channel *)(void *)(parked->rest + keys_size(parked->has_wide_keys));
}

static struct sctp_parked *parked_sctp(struct rtc_parked *parked)
{
    return (struct sctp_parked *)(void *)(parked_channels(parked) + parked->channel_count);
}

/* ---- channels ---- */

static bool channel_idle(const struct rtc *rtc, const struct rtc_channel *channel)
{
    if (channel->is_ending || channel->is_refused)
        return false;
    if (channel->slot == TIMERS_NONE)
        return true;
    const struct conn *line = conn_at(rtc_shard(rtc), channel->slot);
    return line->state == CONN_OPEN && !line->out_block && !(line->link & LINK_DIRTY);
}

static unsigned channels_count(const struct rtc_live *live)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SCTP_STREAMS_MAX; i++)
        count += live->channels[i].slot != TIMERS_NONE;
    return count;
}

static struct parked_channel channel_park(const struct rtc_channel *channel, unsigned id)
{
    struct parked_channel parked = {.slot = channel->slot, .id = (uint8_t)id};
    parked.is = (uint8_t)((channel->is_lossy ? PARKED_LOSSY : 0) |
                          (channel->is_unordered ? PARKED_UNORDERED : 0));
    if (channel->effort.until_ns != SCTP_NEVER) {
        parked.is |= PARKED_BY_TIME;
        parked.limit = (uint16_t)(channel->effort.until_ns / MS);
    } else if (channel->effort.retransmits != UINT32_MAX) {
        parked.limit = (uint16_t)channel->effort.retransmits;
    } else {
        parked.is |= PARKED_RELIABLE;
    }
    return parked;
}

static struct rtc_channel channel_wake(const struct parked_channel *parked)
{
    struct sctp_effort effort = SCTP_RELIABLE;
    if (parked->is & PARKED_BY_TIME)
        effort.until_ns = parked->limit * MS;
    else if (!(parked->is & PARKED_RELIABLE))
        effort.retransmits = parked->limit;
    return (struct rtc_channel){
        .slot = parked->slot,
        .effort = effort,
        .is_lossy = (parked->is & PARKED_LOSSY) != 0,
        .is_unordered = (parked->is & PARKED_UNORDERED) != 0,
    };
}

/* ---- parking ---- */

static bool is_idle(const struct rtc *rtc)
{
    const struct rtc_live *live = rtc->live;
    if (live->handshake || !sctp_idle(&live->sctp))
        return false;
    for (unsigned i = 0; i < SCTP_STREAMS_MAX; i++)
        if (!channel_idle(rtc, &live->channels[i]))
            return false;
    return true;
}

static struct rtc_parked *parked_make(const struct rtc_live *live)
{
    struct dtls_parked keys = {0};
    bool wide = !dtls_keys_park(&live->keys, &keys);
    unsigned count = channels_count(live);
    size_t bytes = sizeof(struct rtc_parked) + keys_size(wide) +
                   count * sizeof(struct parked_channel) + sctp_parked_size(&live->sctp);
    struct rtc_parked *parked = calloc(1, bytes);
    if (!parked)
        return NULL;
    *parked = (struct rtc_parked){(uint16_t)bytes, (uint8_t)count, wide};
    if (wide)
        memcpy(parked->rest, &live->keys, sizeof live->keys);
    else
        memcpy(parked->rest, &keys, sizeof keys);
    explicit_bzero(&keys, sizeof keys);
    sctp_park(&live->sctp, parked_sctp(parked));
    struct parked_channel *channel = parked_channels(parked);
    for (unsigned i = 0; i < SCTP_STREAMS_MAX; i++)
        if (live->channels[i].slot != TIMERS_NONE)
            *channel++ = channel_park(&live->channels[i], i);
    return parked;
}

void rtc_park(struct rtc *rtc)
{
    struct rtc_parked *parked = is_idle(rtc) ? parked_make(rtc->live) : NULL;
    if (!parked)
        return;
    dtls_keys_wipe(&rtc->live->keys);
    free(rtc->live);
    rtc->parked = parked;
    rtc->is_parked = true;
}

/* ---- waking ---- */

static void keys_wake(struct rtc_live *live, const struct rtc_parked *parked)
{
    struct dtls_parked keys;
    if (parked->has_wide_keys) {
        memcpy(&live->keys, parked->rest, sizeof live->keys);
        return;
    }
    memcpy(&keys, parked->rest, sizeof keys);
    dtls_keys_wake(&live->keys, &keys);
    explicit_bzero(&keys, sizeof keys);
}

struct rtc_live *rtc_awake(struct rtc *rtc)
{
    if (!rtc->is_parked)
        return rtc->live;
    struct rtc_parked *parked = rtc->parked;
    struct rtc_live *live = calloc(1, sizeof *live);
    if (!live)
        return NULL;
    live->rtc = rtc;
    live->say_again_ns = INT64_MAX;
    keys_wake(live, parked);
    sctp_wake(&live->sctp, &rtc_shard(rtc)->server->rtc->sctp, &rtc_sctp_ops, parked_sctp(parked));
    rtc_channels_init(live);
    rtc->live = live;
    rtc->is_parked = false;
    const struct parked_channel *channel = parked_channels(parked);
    for (unsigned i = 0; i < parked->channel_count; i++, channel++) {
        struct rtc_channel *awake = &live->channels[channel->id];
        *awake = channel_wake(channel);
        if (channel->is & PARKED_RESET)
            awake->is_ending = sctp_reset(&live->sctp, channel->id) == 0;
    }
    explicit_bzero(parked->rest, keys_size(parked->has_wide_keys));
    free(parked);
    return live;
}

void rtc_parked_reset(struct rtc *rtc, uint16_t id)
{
    struct parked_channel *channel = parked_channels(rtc->parked);
    for (unsigned i = 0; i < rtc->parked->channel_count; i++)
        if (channel[i].id == id) {
            channel[i].slot = TIMERS_NONE;
            channel[i].is |= PARKED_RESET;
        }
}

size_t rtc_parked_bytes(const struct rtc *rtc)
{
    return rtc->parked->bytes;
}
