/* opener: connects what is queued, with a bounded number under way at one time. */
#include "load/engine.h"

enum {
    IN_FLIGHT_MAX = 512,
    STEP_CONNECTS = 256, /* in one step, so that others have their turn */
};

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

/* ---- what happens to a client ---- */

void opener_start(struct load *load, uint32_t in_flight_max, double rate_per_s,
                  unsigned attempts_max)
{
    struct opener *opener = &load->opener;
    opener->in_flight_max = in_flight_max ? in_flight_max : IN_FLIGHT_MAX;
    opener->attempts_max = attempts_max ? attempts_max : LOAD_ATTEMPTS_MAX;
    opener->interval_ns = rate_per_s > 0 ? 1e9 / rate_per_s : 0;
    opener->due_ns = (double)load->now_ns;
    opener->opened = opener->failed = 0;
    opener->retries = 0;
    opener->last_ns = load->now_ns;
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

void opener_forget(struct load *load, struct client *client)
{
    if (!(client->flags & CLIENT_LISTED))
        return;
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
    for (int i = 0; i < STEP_CONNECTS && may_open(load); i++) {
        struct client *client = &load->clients[opener->queued.first];
        list_remove(load, &opener->queued, client);
        list_push(load, &opener->opening, client);
        opener->due_ns += opener->interval_ns;
        client_connect(load, client);
    }
    if (opener->queued.count == 0 || opener->opening.count >= opener->in_flight_max)
        return INT64_MAX;
    int64_t wait_ns = (int64_t)opener->due_ns - load->now_ns;
    return opener->interval_ns > 0 && wait_ns > 0 ? wait_ns : 0;
}
