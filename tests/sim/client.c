#include "client.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "changes.h"
#include "h2_link.h"
#include "h3_link.h"
#include "secure_link.h"

enum {
    READ_MAX = 30000,
};

void bytes_add(struct bytes *bytes, const void *data, size_t len)
{
    if (bytes->len + len > bytes->size) {
        bytes->size = bytes->len + len > 2 * bytes->size ? bytes->len + len : 2 * bytes->size;
        bytes->ptr = realloc(bytes->ptr, bytes->size);
        assert(bytes->ptr);
    }
    if (len > 0)
        memcpy(bytes->ptr + bytes->len, data, len);
    bytes->len += len;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->ptr);
    *bytes = (struct bytes){0};
}

void client_init(struct client *client, struct sim *sim, unsigned index)
{
    *client = (struct client){.sim = sim, .index = index};
    client->act_at_ns = sim_now(sim) + (int64_t)sim_below(sim, 100 * SIM_MS);
}

bool client_streams(const struct client *client)
{
    return client_is_here(client) && client->state != CLIENT_HTTP;
}

bool client_is_here(const struct client *client)
{
    return client->link || client_shares(client);
}

struct fake_client *client_end(const struct client *client)
{
    return client->carried ? h2_link_end(client->carried) : client->link;
}

void client_gone(struct client *client)
{
    seat_gone(client);
    changes_gone(client);
    bytes_free(&client->out);
    bytes_free(&client->in);
    bytes_free(&client->message);
    bytes_free(&client->held);
    secure_link_free(client->secure);
    client->secure = NULL;
    client->link = NULL;
    client->carried = NULL;
    client->h3 = NULL;
}

/* Half of those with TLS say so. */
void client_leave(struct client *client)
{
    if (client->secure && !client->shut && sim_chance(client->sim, 500)) {
        secure_link_goodbye(client->secure);
        secure_link_push(client->secure);
    }
    if (client->carried)
        h2_link_close(client->carried);
    else if (client->h3)
        h3_link_close(client->h3);
    else
        fake_client_close(client->link);
    client_gone(client);
}

/* ---- one act ---- */

/* Returns false when the connection is over. */
static bool trouble(struct client *client)
{
    struct sim *sim = client->sim;
    if (sim_chance(sim, sim->trouble)) {
        sim->stats.resets++;
        if (client->carried)
            h2_link_reset(client->carried);
        else if (client->h3)
            h3_link_reset(client->h3);
        else
            fake_client_reset(client->link);
        client_gone(client);
        return false;
    }
    if (sim_chance(sim, sim->trouble)) {
        client_leave(client);
        return false;
    }
    if (sim_chance(sim, 2 * sim->trouble)) {
        sim->stats.stalls++;
        client->stalled_until_ns = sim_now(sim) + (int64_t)sim_below(sim, 6 * SIM_S);
        /* It may have vanished already, with the connection that it shares. */
        client->vanished |=
            !client_shares(client) && client->role != ROLE_SSE && sim_chance(sim, 400);
    }
    return true;
}

/* All of it, or some, or so little that a head comes in two. */
static size_t piece(struct sim *sim, size_t len)
{
    if (sim_chance(sim, 700))
        return len;
    size_t most = sim_chance(sim, 500) && len > 100 ? 100 : len;
    return 1 + sim_below(sim, most);
}

static ssize_t link_write(struct client *client, const char *bytes, size_t size)
{
    if (client->carried)
        return h2_link_write(client->carried, bytes, size);
    if (client->h3)
        return h3_link_write(client->h3, bytes, size);
    return client->secure ? secure_link_write(client->secure, bytes, size)
                          : fake_client_write(client->link, bytes, size);
}

static ssize_t link_read(struct client *client, char *bytes, size_t size)
{
    if (client->secure) {
        uint64_t before = client->secure->received;
        ssize_t n = secure_link_read(client->secure, bytes, size);
        client->bytes_read += client->secure->received - before;
        return n;
    }
    ssize_t n = client->carried ? h2_link_read(client->carried, bytes, size)
                : client->h3    ? h3_link_read(client->h3, bytes, size)
                                : fake_client_read(client->link, bytes, size);
    client->bytes_read += n > 0 ? (uint64_t)n : 0;
    return n;
}

/* All that it has said has left. */
static bool all_sent(const struct client *client)
{
    return client->out.len == 0 && (!client->secure || client->secure->out.len == 0);
}

static bool write_some(struct client *client)
{
    struct sim *sim = client->sim;
    if (client->secure && secure_link_push(client->secure) < 0) {
        client_leave(client);
        return false;
    }
    while (client->out.at < client->out.len) {
        struct span left = bytes_left(&client->out);
        size_t size = piece(sim, left.len);
        ssize_t n = link_write(client, left.ptr, size);
        if (n == -EAGAIN)
            return true;
        if (n < 0) {
            client_leave(client);
            return false;
        }
        client->out.at += (size_t)n;
        if ((size_t)n < left.len && (!sim->calm || sim_chance(sim, 300)))
            return true;
    }
    bytes_free(&client->out);
    return true;
}

static bool read_some(struct client *client)
{
    static char bytes[READ_MAX];
    struct sim *sim = client->sim;
    uint64_t rounds = sim->calm ? 1000 : sim_below(sim, 4);
    for (uint64_t i = 0; i < rounds; i++) {
        size_t size = sim_chance(sim, 200) ? 1 + sim_below(sim, 50) : READ_MAX;
        ssize_t n = link_read(client, bytes, size);
        if (n == -EAGAIN)
            return true;
        if (n == 0)
            client_input_end(client);
        if (n <= 0 || (!client->stray && !client_input(client, bytes, (size_t)n))) {
            client_leave(client);
            return false;
        }
    }
    return true;
}

static bool idle(const struct client *client)
{
    return client->state == CLIENT_HTTP && client->role != ROLE_NUISANCE &&
           client->asked_count == 0 && all_sent(client);
}

/* A client may close its half behind its last request, and still wants the answer. */
static void shut_now_and_then(struct client *client)
{
    bool owed = client->role == ROLE_PUBLISH || client->role == ROLE_POLL;
    if (owed && client->asked_count > 0 && all_sent(client) && !client->shut &&
        sim_chance(client->sim, 20)) {
        client->shut = true;
        client->requests_left = 0;
        if (client->secure) {
            secure_link_goodbye(client->secure);
            secure_link_push(client->secure);
        }
        if (all_sent(client) && !client_shares(client))
            fake_client_shutdown(client->link);
    }
}

static void act_connected(struct client *client)
{
    struct sim *sim = client->sim;
    bool stalled = sim_now(sim) < client->stalled_until_ns && !sim->calm;
    if (client->vanished && !stalled && !sim->calm) {
        client_leave(client); /* its seat is wanted */
        return;
    }
    if (client->vanished || stalled)
        return;
    if (client->carried)
        h2_link_go(client->carried);
    if (client->h3)
        h3_link_go(client->h3);
    if (!sim->calm && !trouble(client))
        return;
    if (client->vanished || !write_some(client) || (!client->deaf && !read_some(client)))
        return;
    shut_now_and_then(client);
    if (client->state == CLIENT_WS && !client->close_seen && client->out.len == 0)
        client_chat(client);
    if (idle(client) && !client->leaving && !sim->calm && client->requests_left > 0) {
        client->requests_left--;
        client_ask(client);
    } else if (idle(client) || (client->leaving && all_sent(client))) {
        client_leave(client);
    } else if (client->role == ROLE_NUISANCE && sim_now(sim) - client->arrived_ns > 20 * SIM_S) {
        client_leave(client);
    }
}

/* Soon mostly, later sometimes, and now and then after seconds. */
static int64_t think(struct sim *sim)
{
    if (sim->calm)
        return (int64_t)sim_below(sim, 40 * SIM_MS) + 1;
    uint64_t kind = sim_below(sim, 200);
    int64_t most = kind < 180 ? 10 * SIM_MS : kind < 198 ? 300 * SIM_MS : 4 * SIM_S;
    return (int64_t)sim_below(sim, (uint64_t)most) + 1;
}

void client_act(struct client *client)
{
    struct sim *sim = client->sim;
    if (client_is_here(client))
        act_connected(client);
    else if (!sim->calm && !sim->draining)
        client_open(client);
    client->act_at_ns = sim_now(sim) + think(sim);
}
