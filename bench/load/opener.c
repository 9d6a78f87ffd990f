/* opener: connects the links that are queued, with a bounded number under way at one time.
 *
 * A bare connect is up when TCP is, and nothing is under way any longer; but the server's accept
 * queue is bounded, and what overruns it comes back after a second. So those that nobody has
 * accepted yet are bounded too, by what the kernel says of that queue. */
#include "load/backlog.h"
#include "load/rtc.h"
#include "phantom/random.h"

enum {
    IN_FLIGHT_MAX = 512,
    /* In one step: what a socket was last seen with should still be in the cache when its request
     * is sent and its answer read. */
    STEP_CONNECTS = 32,
    DOUBLINGS_MAX = 16,    /* of a back-off: a minute from a millisecond */
    UNACCEPTED_MAX = 1024, /* bare connects; an accept queue has room for 4,096 by default */
};
#define LOOK_NS INT64_C(1000000) /* between two questions to the kernel */
/* The wheel's ticks are 100 ms of the time that it is told: it is told the load's time as if that
 * ran faster. */
#define WHEEL_SPEED (TIMERS_TICK_NS / (WAIT_TICK_MS * INT64_C(1000000)))
static_assert(TIMERS_TICK_NS % (WAIT_TICK_MS * 1000000) == 0, "ticks are whole");

/* ---- the queue, through the links ---- */

static void queue_push(struct load *load, struct link *link)
{
    struct link_list *list = &load->opener.queued;
    uint32_t index = link_index(load, link);
    link->timer = (struct timer_link){LINK_NONE, list->last, TIMERS_NONE};
    if (list->count++ == 0)
        list->first = index;
    else
        load->links[list->last].timer.next = index;
    list->last = index;
}

static void queue_remove(struct load *load, struct link *link)
{
    struct link_list *list = &load->opener.queued;
    assert(list->count > 0);
    bool first = list->first == link_index(load, link);
    bool last = list->last == link_index(load, link);
    if (first)
        list->first = link->timer.next;
    else
        load->links[link->timer.previous].timer.next = link->timer.next;
    if (last)
        list->last = link->timer.previous;
    else
        load->links[link->timer.next].timer.previous = link->timer.previous;
    list->count--;
    timer_link_init(&link->timer);
}

/* ---- by the wheel: time-outs, and those that wait ---- */

void opener_init(struct load *load)
{
    timers_init(&load->opener.timers, load->links, sizeof *load->links,
                offsetof(struct link, timer), load->now_ns * WHEEL_SPEED);
    for (uint32_t i = 0; i < load->link_count; i++)
        timer_link_init(&load->links[i].timer);
}

static void fire_in(struct load *load, struct link *link, uint32_t wait_ms)
{
    int64_t due_ns = load->now_ns + wait_ms * INT64_C(1000000);
    timers_arm(&load->opener.timers, link_index(load, link), due_ns * WHEEL_SPEED);
}

static void wait_for(struct load *load, struct link *link, uint32_t wait_ms)
{
    load->opener.waiting++;
    link->phase = LINK_WAITING;
    link->flags |= LINK_LISTED;
    fire_in(load, link, wait_ms);
}

static void wait_no_more(struct load *load, struct link *link)
{
    timers_cancel(&load->opener.timers, link_index(load, link));
    load->opener.waiting--;
    link->phase = LINK_DOWN;
    link->flags &= (uint8_t)~LINK_LISTED;
}

/* Its time has come to connect again, or to have been up long since. */
static void fired(void *context, uint32_t index)
{
    struct load *load = context;
    struct link *link = &load->links[index];
    if (link->phase != LINK_WAITING) {
        link_fail(load, link, LOAD_FAIL_TIMEOUT);
        return;
    }
    wait_no_more(load, link);
    opener_queue(load, link);
}

/* Returns nanoseconds until it wants to look again for those that wait, or INT64_MAX. */
static int64_t wheel_step(struct load *load)
{
    struct opener *opener = &load->opener;
    timers_advance(&opener->timers, load->now_ns * WHEEL_SPEED, UINT32_MAX, fired, load);
    return opener->waiting > 0 ? WAIT_TICK_MS * INT64_C(1000000) : INT64_MAX;
}

static uint32_t random_upto(struct opener *opener, uint32_t most)
{
    return (uint32_t)(random_next(&opener->random) % ((uint64_t)most + 1));
}

/* The longest that one of its subscribers was told. A hint is good for one wait: who was told
 * nothing since then backs off by itself. */
static uint32_t hint_ms_of(const struct load *load, const struct link *link)
{
    struct subscriber *first = link_first(load, link);
    uint32_t count = link_streams(load, link), most = 0;
    for (uint32_t i = 0; i < count; i++) {
        most = first[i].hint > most ? first[i].hint : most;
        first[i].hint = 0;
    }
    return most * WAIT_TICK_MS;
}

static uint32_t wait_ms_of(struct load *load, const struct link *link)
{
    struct opener *opener = &load->opener;
    const struct load_backoff *backoff = &opener->backoff;
    uint32_t hint_ms = hint_ms_of(load, link);
    if (backoff->hints && hint_ms > 0)
        return hint_ms;
    unsigned doublings = link->attempts < DOUBLINGS_MAX ? link->attempts : DOUBLINGS_MAX;
    uint64_t most_ms = (uint64_t)backoff->first_ms << doublings;
    return random_upto(opener, (uint32_t)(most_ms < backoff->most_ms ? most_ms : backoff->most_ms));
}

/* ---- what happens to a client ---- */

void opener_start(struct load *load, uint32_t in_flight_max, double rate_per_s,
                  unsigned attempts_max)
{
    struct opener *opener = &load->opener;
    opener->in_flight_max = in_flight_max ? in_flight_max : IN_FLIGHT_MAX;
    if (load->secure && opener->in_flight_max > load->secure->handshakes_max)
        opener->in_flight_max = load->secure->handshakes_max;
    if (load->rtc && opener->in_flight_max > RTC_HANDSHAKES)
        opener->in_flight_max = RTC_HANDSHAKES;
    opener->attempts_max = attempts_max ? attempts_max : LOAD_ATTEMPTS_MAX;
    opener->interval_ns = rate_per_s > 0 ? 1e9 / rate_per_s : 0;
    opener->due_ns = (double)load->now_ns;
    opener->opened = opener->failed = 0;
    opener->retries = opener->unaccepted = 0;
    opener->last_ns = load->now_ns;
    opener->backoff = (struct load_backoff){0};
    memset(opener->failures, 0, sizeof opener->failures);
    memset(opener->errors, 0, sizeof opener->errors);
}

void opener_queue(struct load *load, struct link *link)
{
    assert(link->phase == LINK_DOWN);
    if (link->flags & LINK_LISTED)
        return;
    link->flags |= LINK_LISTED;
    queue_push(load, link);
}

void opener_again(struct load *load, struct link *link)
{
    if (link->phase == LINK_DOWN)
        opener_queue(load, link);
    else
        link->flags |= LINK_AGAIN;
}

void opener_return(struct load *load, struct link *link)
{
    uint32_t wait_ms = link->flags & LINK_CYCLING ? 0 : wait_ms_of(load, link);
    if (wait_ms == 0)
        opener_queue(load, link);
    else
        wait_for(load, link, wait_ms);
}

void opener_abandon(struct load *load)
{
    struct opener *opener = &load->opener;
    uint32_t index = opener->queued.count > 0 ? opener->queued.first : LINK_NONE;
    while (index != LINK_NONE) {
        struct link *link = &load->links[index];
        index = link->timer.next;
        if (!(link->flags & LINK_CYCLING))
            opener_forget(load, link);
    }
    for (uint32_t i = 0; i < load->link_count && opener->waiting > 0; i++)
        if (load->links[i].phase == LINK_WAITING)
            wait_no_more(load, &load->links[i]);
}

void opener_forget(struct load *load, struct link *link)
{
    if (!(link->flags & LINK_LISTED))
        return;
    if (link->phase == LINK_WAITING) {
        wait_no_more(load, link);
        return;
    }
    link->flags &= (uint8_t)~LINK_LISTED;
    if (link->phase == LINK_DOWN) {
        queue_remove(load, link);
        return;
    }
    timers_cancel(&load->opener.timers, link_index(load, link));
    load->opener.opening--;
}

void opener_done(struct load *load, struct link *link)
{
    struct opener *opener = &load->opener;
    opener_forget(load, link);
    if (link_publishes(load, link) || link->flags & LINK_CYCLING)
        return;
    opener->opened++;
    opener->last_ns = load->now_ns;
    if (opener->backlog_fd >= 0 && group_is(link_group(load, link), PROTOCOL_BARE)) {
        opener->unaccepted++;
        opener->bare = &link_group(load, link)->config.target;
    }
}

void opener_failed(struct load *load, struct link *link, enum load_failure failure)
{
    struct opener *opener = &load->opener;
    opener_forget(load, link);
    opener->failures[failure]++;
    if (link->attempts < opener->attempts_max) {
        opener->retries++;
        link->flags |= LINK_AGAIN;
    } else if (!link_publishes(load, link)) {
        opener->failed++;
    }
}

/* ---- what is not accepted ---- */

/* Asks where there are many, or no more to come: the last was open when it was accepted. A server
 * that is gone has accepted what it will. */
static void acceptance_step(struct load *load)
{
    struct opener *opener = &load->opener;
    bool last = opener->queued.count + opener->opening == 0;
    if (opener->unaccepted == 0 || load->now_ns < opener->look_ns ||
        (opener->unaccepted < UNACCEPTED_MAX && !last))
        return;
    int waiting = backlog_waiting(opener->backlog_fd, opener->bare);
    opener->unaccepted = waiting > 0 ? (uint32_t)waiting : 0;
    opener->look_ns = load->now_ns + LOOK_NS;
    if (last)
        opener->last_ns = load->now_ns;
}

/* ---- by the clock ---- */

static bool may_open(const struct load *load)
{
    const struct opener *opener = &load->opener;
    return opener->queued.count > 0 && opener->opening < opener->in_flight_max &&
           opener->unaccepted < UNACCEPTED_MAX &&
           (opener->interval_ns == 0 || opener->due_ns <= (double)load->now_ns);
}

int64_t opener_step(struct load *load)
{
    struct opener *opener = &load->opener;
    int64_t waiting_ns = wheel_step(load);
    acceptance_step(load);
    for (int i = 0; i < STEP_CONNECTS && may_open(load); i++) {
        struct link *link = &load->links[opener->queued.first];
        queue_remove(load, link);
        opener->opening++;
        fire_in(load, link, load->handshake_timeout_ms);
        opener->due_ns += opener->interval_ns;
        link_connect(load, link);
    }
    if (opener->unaccepted > 0 && waiting_ns > LOOK_NS)
        waiting_ns = LOOK_NS;
    if (opener->queued.count == 0 || opener->opening >= opener->in_flight_max ||
        opener->unaccepted >= UNACCEPTED_MAX)
        return waiting_ns;
    int64_t wait_ns = (int64_t)opener->due_ns - load->now_ns;
    if (opener->interval_ns == 0 || wait_ns <= 0)
        return 0;
    return wait_ns < waiting_ns ? wait_ns : waiting_ns;
}
