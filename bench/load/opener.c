/* opener: connects what is queued, with a bounded number under way at one time. */
#include "load/engine.h"

enum {
    IN_FLIGHT_MAX = 512,
    /* In one step: what a socket was last seen with should still be in the cache when its request
     * is sent and its answer read. */
    STEP_CONNECTS = 32,
    DOUBLINGS_MAX = 16, /* of a back-off: a minute from a millisecond */
};
static_assert((WAIT_BUCKETS & (WAIT_BUCKETS - 1)) == 0, "times find their bucket by a mask");

/* ---- lists through the clients ---- */

static void list_push(struct load *load, struct client_list *list, struct client *client)
{
    uint32_t index = client_index(load, client);
    client->next = CLIENT_NONE;
    client->previous = list->last;
    if (list->count++ == 0)
        list->first = index;
    else
        load->clients[list->last].next = index;
    list->last = index;
}

static void list_remove(struct load *load, struct client_list *list, struct client *client)
{
    assert(list->count > 0);
    bool first = list->first == client_index(load, client);
    bool last = list->last == client_index(load, client);
    if (first)
        list->first = client->next;
    else
        load->clients[client->previous].next = client->next;
    if (last)
        list->last = client->previous;
    else
        load->clients[client->next].previous = client->previous;
    list->count--;
}

/* ---- waiting ---- */

static struct client_list *bucket_of(struct load *load, uint32_t time_ms)
{
    return &load->opener.waiting.buckets[time_ms / WAIT_TICK_MS & (WAIT_BUCKETS - 1)];
}

static uint32_t now_ms(const struct load *load)
{
    return (uint32_t)(load->now_ns / 1000000);
}

static void wait_for(struct load *load, struct client *client, uint32_t wait_ms)
{
    struct waiting *waiting = &load->opener.waiting;
    if (waiting->count++ == 0)
        waiting->tick = now_ms(load) / WAIT_TICK_MS;
    client->phase = CLIENT_WAITING;
    client->since_ms = now_ms(load) + wait_ms;
    client->flags |= CLIENT_LISTED;
    list_push(load, bucket_of(load, client->since_ms), client);
}

static void wait_no_more(struct load *load, struct client *client)
{
    list_remove(load, bucket_of(load, client->since_ms), client);
    load->opener.waiting.count--;
    client->phase = CLIENT_DOWN;
    client->flags &= (uint8_t)~CLIENT_LISTED;
}

/* Queues those of one bucket whose time has come; the others came a lap too early. */
static void wake(struct load *load, const struct client_list *bucket, bool all)
{
    uint32_t index = bucket->count > 0 ? bucket->first : CLIENT_NONE;
    while (index != CLIENT_NONE) {
        struct client *client = &load->clients[index];
        index = client->next;
        if (!all && (int32_t)(now_ms(load) - client->since_ms) < 0)
            continue;
        wait_no_more(load, client);
        if (!all)
            opener_queue(load, client);
    }
}

/* Returns nanoseconds until it wants to look again, or INT64_MAX. */
static int64_t waiting_step(struct load *load)
{
    struct waiting *waiting = &load->opener.waiting;
    while (waiting->count > 0 && waiting->tick != now_ms(load) / WAIT_TICK_MS) {
        wake(load, &waiting->buckets[waiting->tick & (WAIT_BUCKETS - 1)], false);
        waiting->tick++;
    }
    return waiting->count > 0 ? WAIT_TICK_MS * INT64_C(1000000) : INT64_MAX;
}

/* splitmix64 */
static uint32_t random_upto(struct waiting *waiting, uint32_t most)
{
    uint64_t z = (waiting->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % ((uint64_t)most + 1));
}

/* A hint is good for one wait: who was told nothing since then backs off by itself. */
static uint32_t wait_ms_of(struct opener *opener, struct client *client)
{
    const struct load_backoff *backoff = &opener->backoff;
    uint32_t hint_ms = client->hint * (uint32_t)WAIT_TICK_MS;
    client->hint = 0;
    if (backoff->hints && hint_ms > 0)
        return hint_ms;
    unsigned doublings = client->attempts < DOUBLINGS_MAX ? client->attempts : DOUBLINGS_MAX;
    uint64_t most_ms = (uint64_t)backoff->first_ms << doublings;
    return random_upto(&opener->waiting,
                       (uint32_t)(most_ms < backoff->most_ms ? most_ms : backoff->most_ms));
}

/* ---- what happens to a client ---- */

void opener_start(struct load *load, uint32_t in_flight_max, double rate_per_s,
                  unsigned attempts_max)
{
    struct opener *opener = &load->opener;
    opener->in_flight_max = in_flight_max ? in_flight_max : IN_FLIGHT_MAX;
    if (load->secure && opener->in_flight_max > load->secure->handshakes_max)
        opener->in_flight_max = load->secure->handshakes_max;
    opener->attempts_max = attempts_max ? attempts_max : LOAD_ATTEMPTS_MAX;
    opener->interval_ns = rate_per_s > 0 ? 1e9 / rate_per_s : 0;
    opener->due_ns = (double)load->now_ns;
    opener->opened = opener->failed = 0;
    opener->retries = 0;
    opener->last_ns = load->now_ns;
    opener->backoff = (struct load_backoff){0};
    memset(opener->failures, 0, sizeof opener->failures);
    memset(opener->errors, 0, sizeof opener->errors);
}

void opener_queue(struct load *load, struct client *client)
{
    assert(client->phase == CLIENT_DOWN);
    if (client->flags & CLIENT_LISTED)
        return;
    client->flags |= CLIENT_LISTED;
    list_push(load, &load->opener.queued, client);
}

void opener_again(struct load *load, struct client *client)
{
    if (client->phase == CLIENT_DOWN)
        opener_queue(load, client);
    else
        client->flags |= CLIENT_AGAIN;
}

void opener_return(struct load *load, struct client *client)
{
    uint32_t wait_ms = client->flags & CLIENT_CYCLING ? 0 : wait_ms_of(&load->opener, client);
    if (wait_ms == 0)
        opener_queue(load, client);
    else
        wait_for(load, client, wait_ms);
}

void opener_abandon(struct load *load)
{
    uint32_t index = load->opener.queued.count > 0 ? load->opener.queued.first : CLIENT_NONE;
    while (index != CLIENT_NONE) {
        struct client *client = &load->clients[index];
        index = client->next;
        if (!(client->flags & CLIENT_CYCLING))
            opener_forget(load, client);
    }
    for (unsigned i = 0; i < WAIT_BUCKETS && load->opener.waiting.count > 0; i++)
        wake(load, &load->opener.waiting.buckets[i], true);
}

void opener_forget(struct load *load, struct client *client)
{
    if (!(client->flags & CLIENT_LISTED))
        return;
    if (client->phase == CLIENT_WAITING) {
        wait_no_more(load, client);
        return;
    }
    client->flags &= (uint8_t)~CLIENT_LISTED;
    bool queued = client->phase == CLIENT_DOWN;
    list_remove(load, queued ? &load->opener.queued : &load->opener.opening, client);
}

void opener_done(struct load *load, struct client *client)
{
    struct opener *opener = &load->opener;
    opener_forget(load, client);
    if (client_publishes(load, client) || client->flags & CLIENT_CYCLING)
        return;
    opener->opened++;
    opener->last_ns = load->now_ns;
}

void opener_failed(struct load *load, struct client *client, enum load_failure failure)
{
    struct opener *opener = &load->opener;
    opener_forget(load, client);
    opener->failures[failure]++;
    if (client->attempts < opener->attempts_max) {
        opener->retries++;
        client->flags |= CLIENT_AGAIN;
    } else if (!client_publishes(load, client)) {
        opener->failed++;
    }
}

/* ---- by the clock ---- */

static void time_out(struct load *load)
{
    struct client_list *opening = &load->opener.opening;
    uint32_t now_ms = (uint32_t)(load->now_ns / 1000000);
    while (opening->count > 0) {
        struct client *client = &load->clients[opening->first];
        if (now_ms - client->since_ms < load->handshake_timeout_ms)
            return;
        client_fail(load, client, LOAD_FAIL_TIMEOUT);
    }
}

static bool may_open(const struct load *load)
{
    const struct opener *opener = &load->opener;
    return opener->queued.count > 0 && opener->opening.count < opener->in_flight_max &&
           (opener->interval_ns == 0 || opener->due_ns <= (double)load->now_ns);
}

int64_t opener_step(struct load *load)
{
    struct opener *opener = &load->opener;
    time_out(load);
    int64_t waiting_ns = waiting_step(load);
    for (int i = 0; i < STEP_CONNECTS && may_open(load); i++) {
        struct client *client = &load->clients[opener->queued.first];
        list_remove(load, &opener->queued, client);
        list_push(load, &opener->opening, client);
        opener->due_ns += opener->interval_ns;
        client_connect(load, client);
    }
    if (opener->queued.count == 0 || opener->opening.count >= opener->in_flight_max)
        return waiting_ns;
    int64_t wait_ns = (int64_t)opener->due_ns - load->now_ns;
    if (opener->interval_ns == 0 || wait_ns <= 0)
        return 0;
    return wait_ns < waiting_ns ? wait_ns : waiting_ns;
}
