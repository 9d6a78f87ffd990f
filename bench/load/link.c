/* link: the life of one connection.
 *
 *   DOWN ─connect─► CONNECTING ─► (TLS) ─► OPENING ─► UP, when all its subscribers are
 *    ▲                  └──────────┬──────────┴────────┘
 *    └── all watches fired ◄── CLOSING ◄── link_close, link_fail */
#include <errno.h>

#include "load/quic.h"
#include "load/rtc.h"

/* Whether nothing of its slot in the ring is its own. */
static bool link_has_no_socket(const struct load *load, const struct link *link)
{
    return link_is_quic(load, link) || link_is_detached(load, link);
}

void link_watch(struct load *load, struct link *link)
{
    if (link->flags & LINK_WATCHED || link_has_no_socket(load, link) || !link_reads(load, link))
        return;
    link->flags |= LINK_WATCHED;
    ring_watch(load->ring, link_index(load, link), RING_READ);
}

/* ---- opening ---- */

/* Of several, the next with each attempt that failed. */
static const struct sockaddr_in *target_of(struct load *load, const struct link *link)
{
    const struct group *group = link_group(load, link);
    const struct load_group_config *config = &group->config;
    bool publishes = link_publishes(load, link);
    if (config->target_count == 0)
        return publishes ? &group->publish_target : &config->target;
    uint32_t nth = publishes ? config->publish_to : link_index(load, link) - group->first_link;
    return &config->targets[(nth + link->attempts - 1U) % config->target_count];
}

void link_connect(struct load *load, struct link *link)
{
    assert(link->phase == LINK_DOWN);
    link->attempts++;
    if (link_is_quic(load, link)) {
        quic_connect(load, link, target_of(load, link));
        return;
    }
    struct sockaddr_in from = sources_next(&load->sources);
    link->phase = LINK_CONNECTING;
    ring_connect(load->ring, link_index(load, link), &from, target_of(load, link));
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

void link_ask_all(struct load *load, struct link *link)
{
    struct subscriber *first = link_first(load, link);
    uint32_t count = link_streams(load, link);
    for (uint32_t i = 0; i < count && link_open(link); i++)
        subscriber_ask(load, &first[i]);
}

void link_opened(struct load *load, struct link *link)
{
    const struct protocol *protocol = link_protocol(load, link);
    if (protocol->opened)
        protocol->opened(load, link);
    else
        link_ask_all(load, link);
}

static void gone(struct load *load, struct link *link)
{
    link->phase = LINK_DOWN;
    if (link->flags & LINK_AGAIN) {
        link->flags &= (uint8_t)~LINK_AGAIN;
        opener_return(load, link);
    }
}

void link_connected(struct load *load, struct link *link, int err)
{
    if (link->phase == LINK_CLOSING) {
        if (err == 0) {
            ring_abort(load->ring, link_index(load, link));
            ring_close(load->ring, link_index(load, link));
        }
        gone(load, link);
        return;
    }
    assert(link->phase == LINK_CONNECTING);
    if (err < 0) {
        if (-err < LOAD_ERRNO_MAX)
            load->opener.errors[-err]++;
        link_fail(load, link, failure_of(err));
        return;
    }
    link->phase = LINK_OPENING;
    if (link_secure(load, link))
        secure_begin(load, link);
    else
        link_opened(load, link);
    link_watch(load, link);
}

/* ---- closing ---- */

void link_closing(struct load *load, struct link *link)
{
    if (link->flags & (LINK_WATCHED | LINK_WRITE_WATCHED))
        return;
    if (!link_is_quic(load, link))
        ring_close(load->ring, link_index(load, link));
    gone(load, link);
}

static void unwatch(struct load *load, const struct link *link)
{
    if (link->flags & LINK_WATCHED)
        ring_unwatch(load->ring, link_index(load, link), RING_READ);
    if (link->flags & LINK_WRITE_WATCHED)
        ring_unwatch(load->ring, link_index(load, link), RING_WRITE);
}

/* Gives back what it and its subscribers hold, and ends the connection. */
static void hang_up(struct load *load, struct link *link, bool orderly)
{
    uint32_t slot = link_index(load, link), count = link_streams(load, link);
    bool connecting = link->phase == LINK_CONNECTING, no_socket = link_has_no_socket(load, link);
    struct subscriber *first = link_first(load, link);
    const struct protocol *protocol = link_protocol(load, link);
    if (link_secure(load, link))
        secure_end(load, link);
    for (uint32_t i = 0; i < count; i++)
        subscriber_hang_up(load, &first[i]);
    if (protocol->closed)
        protocol->closed(load, link);
    outbox_forget(load, link);
    if (link->phase == LINK_UP && !link_publishes(load, link))
        link_group(load, link)->links_up--;
    link->flags &= (uint8_t)~LINK_STALLED;
    link->phase = LINK_CLOSING;
    if (no_socket) { /* its row has said goodbye */
        gone(load, link);
        return;
    }
    if (!orderly || connecting)
        ring_abort(load->ring, slot);
    else
        unwatch(load, link);
    if (!connecting)
        link_closing(load, link);
}

/* All that were up leave. Returns how many. */
static uint32_t leave_all(struct load *load, struct link *link)
{
    struct subscriber *first = link_first(load, link);
    uint32_t count = link_streams(load, link), left = 0;
    if (link_publishes(load, link))
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!(first[i].flags & SUBSCRIBER_UP))
            continue;
        subscriber_leave(load, &first[i]);
        left++;
    }
    link->flags &= (uint8_t)~LINK_CYCLING;
    return left;
}

void link_close(struct load *load, struct link *link, bool orderly)
{
    if (!link_open(link))
        return;
    leave_all(load, link);
    opener_forget(load, link);
    hang_up(load, link, orderly);
}

void link_cycle(struct load *load, struct link *link)
{
    assert(link->phase == LINK_UP);
    link->flags |= LINK_CYCLING;
    opener_again(load, link);
    hang_up(load, link, false);
}

static void count_failure(struct load *load, struct link *link, enum load_failure failure)
{
    struct load_counters *counters = &link_group(load, link)->counters;
    if (link_publishes(load, link)) {
        counters->publisher_failures++;
        if (link->phase == LINK_UP)
            publisher_lost(load, link);
        return;
    }
    uint32_t left = leave_all(load, link);
    counters->closes[failure] += left;
    counters->failures[failure] += left == 0 && link->phase != LINK_UP;
}

void link_fail(struct load *load, struct link *link, enum load_failure failure)
{
    bool connected = link_open(link);
    if (!connected && link->phase != LINK_CONNECTING)
        return;
    count_failure(load, link, failure);
    if (link->phase != LINK_UP)
        opener_failed(load, link, failure);
    if (!connected && failure != LOAD_FAIL_TIMEOUT)
        gone(load, link);
    else
        hang_up(load, link, false);
}

void link_ended(struct load *load, struct link *link)
{
    const struct protocol *protocol = link_protocol(load, link);
    link_fail(load, link,
              protocol->ended ? protocol->ended(link_first(load, link)) : LOAD_FAIL_END);
}

/* ---- what comes in ---- */

void link_plain(struct load *load, struct link *link, char *bytes, size_t len)
{
    link_protocol(load, link)->input(load, link, bytes, len);
}

void link_input(struct load *load, struct link *link, char *bytes, size_t len)
{
    if (link_secure(load, link))
        secure_input(load, link, bytes, len);
    else
        link_plain(load, link, bytes, len);
    if (link_open(link))
        link_watch(load, link);
}
