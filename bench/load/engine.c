/* engine: one step of everything, and how bytes reach the links.
 *
 *   ring_wait ─► READABLE … ─► up to RECEIVE_BATCH of them ─► ring_receive ─► parse ─► watch again
 *
 * All that one batch brings has the time at which ring_receive returned. */
#include <errno.h>
#include <time.h>

#include "load/quic.h"
#include "load/rtc.h"

enum {
    /* Receiving brings new events: without a bound, those who act by the clock would never act
     * again. */
    STEP_EVENTS = 8 * RECEIVE_BATCH,
};

int64_t engine_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- receiving ---- */

static void received(struct load *load, const struct ring_io *io)
{
    struct link *link = &load->links[io->slot];
    if (!link_open(link))
        return;
    if (io->res > 0) {
        if (!link_publishes(load, link)) {
            struct load_counters *counters = &link_group(load, link)->counters;
            counters->bytes_in += (uint64_t)io->res;
            counters->reads++;
        }
        link_input(load, link, io->iov.iov_base, (size_t)io->res);
    } else if (io->res == -EAGAIN || io->res == -EINTR) {
        link_watch(load, link);
    } else if (io->res == 0) {
        link_ended(load, link);
    } else {
        link_fail(load, link, LOAD_FAIL_RESET);
    }
}

static void settle(struct load *load)
{
    for (uint64_t left = load->touched_groups; left != 0; left &= left - 1) {
        struct group *group = &load->groups[__builtin_ctzll(left)];
        flights_settle(&group->flights, load->now_ns, group->corrected, group->uncorrected);
        if (group->flights.open == 0)
            burst_end(group);
    }
    load->touched_groups = 0;
}

static void receive_flush(struct load *load)
{
    unsigned count = load->receive_count;
    if (count == 0)
        return;
    load->receive_count = 0;
    ring_receive(load->ring, load->receive, count);
    load->now_ns = engine_clock_ns();
    for (unsigned i = 0; i < count; i++)
        received(load, &load->receive[i]);
    settle(load);
}

void engine_receive(struct load *load, const struct link *link, uint32_t bytes)
{
    assert(bytes <= RECEIVE_BYTES);
    unsigned at = load->receive_count++;
    load->receive[at] = (struct ring_io){
        .slot = link_index(load, link),
        .iov = {load->receive_area + (size_t)at * RECEIVE_STRIDE, bytes},
    };
    if (load->receive_count == RECEIVE_BATCH)
        receive_flush(load);
}

/* ---- events ---- */

static void readable(struct load *load, struct link *link)
{
    link->flags &= (uint8_t)~LINK_WATCHED;
    if (link->phase == LINK_CLOSING)
        link_closing(load, link);
    else if (link_reads(load, link))
        engine_receive(load, link, RECEIVE_BYTES);
}

static void writable(struct load *load, struct link *link)
{
    link->flags &= (uint8_t)~LINK_WRITE_WATCHED;
    if (link->phase == LINK_CLOSING)
        link_closing(load, link);
    else
        outbox_writable(load, link);
}

static void handle_event(struct load *load, const struct ring_event *event)
{
    struct link *link = &load->links[event->slot];
    switch (event->kind) {
    case RING_CONNECTED:
        link_connected(load, link, event->res);
        break;
    case RING_READABLE:
        readable(load, link);
        break;
    case RING_WRITABLE:
        writable(load, link);
        break;
    case RING_ACCEPTED:
    case RING_REFUSED:
        assert(!"a client's ring accepts nothing");
        break;
    case RING_PACKETS:
        if (event->slot == RTC_SOCKET)
            rtc_packets(load);
        else
            quic_packets(load);
        settle(load);
    }
}

/* ---- the step ---- */

static int64_t sooner(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Whoever acts by the clock does. Returns nanoseconds until the next of them wants to. */
static int64_t act(struct load *load)
{
    int64_t wait_ns = STEP_WAIT_MS * INT64_C(1000000);
    wait_ns = sooner(wait_ns, churner_step(load));
    wait_ns = sooner(wait_ns, opener_step(load));
    for (unsigned i = 0; i < load->group_count; i++) {
        wait_ns = sooner(wait_ns, publisher_step(load, &load->groups[i]));
        wait_ns = sooner(wait_ns, poller_step(load, &load->groups[i]));
        wait_ns = sooner(wait_ns, trickler_step(load, &load->groups[i]));
    }
    wait_ns = sooner(wait_ns, quic_step(load));
    wait_ns = sooner(wait_ns, rtc_step(load));
    settle(load);
    return wait_ns;
}

static int report(struct load *load)
{
    if (!load->progress || load->now_ns < load->progress_due_ns)
        return 0;
    load->progress_due_ns = load->now_ns + load->progress_ns;
    return load->progress(load->progress_context, load) ? 0 : -EINTR;
}

/* Sends gathered while parsing leave before a slot can be opened anew, so that none reaches the
 * wrong connection. */
int engine_step(struct load *load)
{
    load->now_ns = engine_clock_ns();
    int64_t wait_ns = act(load);
    outbox_flush(load);
    int err = ring_wait(load->ring, wait_ns);
    if (err < 0)
        return err;
    load->now_ns = engine_clock_ns();
    struct ring_event event;
    for (int i = 0; i < STEP_EVENTS && ring_next(load->ring, &event); i++)
        handle_event(load, &event);
    receive_flush(load);
    outbox_flush(load);
    quic_flush(load);
    rtc_flush(load);
    return report(load);
}
